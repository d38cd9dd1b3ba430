//! Replacing a message that is not sent yet, whichever face asks for it (SMPP 3.4 section 4.10).
//!
//! ```text
//! msg/<id> ─▶ may it be? ─▶ the new message ─▶ admission ─▶ where its parts wait ─▶ replace/<id>, told to the router
//!                                                             verdict ◀── replace/<id> ◀── one step of the router
//! ```
//! Unlike a request to cancel, nobody learns later what became of this one: so the answer waits for the router's verdict. Where
//! none comes in time the request is taken back, by a compare that the verdict would lose or win: what is told is what is.
//! Knows no protocol. Invariant RE-1: `Ok` is said when the new message is durable and the old one goes nowhere; after an
//! error the message is what it was.
//!
//! # Limits
//! Parts are found in the queue of their operator, among at most [`PAGES`] pages of the client's records behind the record that
//! routed them, or behind those of earlier messages where the accept sent them there; one that an administrator moved, that was
//! tried before, or that is deferred is not. Parts on top are taken from the quotas of the present day and month, fewer ones are
//! not given back. A message of a prepaid account keeps its number of parts, by which its price was put aside.

use crate::accept::{self, Refusal};
use crate::admission::quota::{Period, UsedUp};
use crate::admission::{self, Admitted, Refused, Why};
use crate::shared::Shared;
use crate::tables::Tables;
use smsgw_message::{
    ClientId, CounterSpend, Dispatch, EventName, MessageId, MessageLife, MessageState, MtMessage, OperatorId,
    Record, ReplaceRequest, ReplaceVerdict, Timestamp, WaitingParts, names,
};
use smsgw_queue::{
    Browsed, Expected, Expiry, Lane, Look, Op, Page, Place, QueueName, RecordId, StateKey, Step, StepId,
    Versioned,
};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, error};

/// How often it is tried anew when the message moved on meanwhile: to the router, to its operator.
const TRIES: usize = 5;
/// Records of one look into a queue.
const PAGE: usize = 256;
/// Looks at most.
const PAGES: usize = 8;
/// By how much the order of records may differ from that of the times of their messages.
const ASTRAY: Duration = Duration::from_secs(1);
/// The first wait for the verdict, which doubles up to [`POLL_MOST`].
const POLL: Duration = Duration::from_millis(2);
const POLL_MOST: Duration = Duration::from_millis(100);
/// How long a request lives whose client node is gone.
const KEPT: Duration = Duration::from_secs(600);

/// Why a message stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied<E> {
    /// There is none, or it is another client's.
    NotFound,
    /// It has come to its end, or a part of it is sent, in doubt, or on its way to the carrier.
    TooLate,
    /// Its client has withdrawn it.
    Withdrawn,
    /// Its price was put aside for another number of parts.
    Prepaid,
    /// The new message cannot be made.
    Unfit(E),
    /// Admission does not take the new message.
    NotAdmitted(Refused),
    /// A record could not be read in time, or not at all.
    Unreadable,
    /// The router gave no verdict in time; the request was taken back.
    Unanswered,
    /// The engine did not take the request.
    Refused(Refusal),
}

/// Replaces a message by what `make` makes of it.
pub(crate) async fn request<E>(
    shared: &Shared,
    tables: &Tables,
    client: &ClientId,
    id: MessageId,
    make: impl Fn(&MtMessage) -> Result<MtMessage, E>,
    deadline: Instant,
) -> Result<(), Denied<E>> {
    for _ in 0..TRIES {
        let (life, there) = read_life(shared, id, deadline).await?.ok_or(Denied::NotFound)?;
        let waiting_at = check(&life, client)?;
        let mut message = make(&life.message).map_err(Denied::Unfit)?;
        let spends = admit(shared, tables, &life.message, &mut message).await?;
        let waiting = match waiting_at {
            None => None,
            Some(operator) => Some(
                locate(shared, &life, &operator, &there, deadline)
                    .await?
                    .ok_or(Denied::TooLate)?,
            ),
        };
        let asked = ReplaceRequest {
            client: client.clone(),
            at: shared.clock.now(),
            seen: there.version,
            message: Some(message),
            waiting,
            spends,
            verdict: None,
        };
        match ask(shared, &life.message, asked, deadline).await? {
            ReplaceVerdict::Replaced => {
                debug!(message_id = %id, %client, "replaced");
                return Ok(());
            }
            ReplaceVerdict::Changed => {}
            ReplaceVerdict::TooLate => return Err(Denied::TooLate),
            ReplaceVerdict::OverQuota => return Err(Denied::NotAdmitted(over_quota())),
        }
    }
    Err(Denied::TooLate)
}

fn over_quota() -> Refused {
    Refused::from(UsedUp {
        period: Period::Day,
        retry_after: Duration::ZERO,
    })
}

/// Whether it may be replaced as far as its record says; the operator that has all its parts, when it was given to one.
fn check<E>(life: &MessageLife, client: &ClientId) -> Result<Option<OperatorId>, Denied<E>> {
    if life.message.client != *client {
        return Err(Denied::NotFound);
    }
    let has = |name| life.events.iter().any(|line| line.event == name);
    if has(EventName::MtCancelRequested) {
        return Err(Denied::Withdrawn);
    }
    // A carrier that took it, and after whose failure or silence another one is tried, may deliver it yet.
    if life.is_final || has(EventName::MtInDoubt) || has(EventName::MtSent) {
        return Err(Denied::TooLate);
    }
    let first = life.parts.first().and_then(|part| part.via.as_ref());
    let is_unsent = life.parts.iter().all(|part| {
        let state = match part.via {
            None => matches!(part.state, MessageState::Accepted | MessageState::Scheduled),
            Some(_) => part.state == MessageState::Queued,
        };
        state && !part.is_final && part.via.as_ref() == first
    });
    if is_unsent {
        Ok(first.map(|via| via.operator.clone()))
    } else {
        Err(Denied::TooLate)
    }
}

/// Puts the new message through admission; gives what its parts on top take from the counters.
async fn admit<E>(
    shared: &Shared,
    tables: &Tables,
    before: &MtMessage,
    message: &mut MtMessage,
) -> Result<Vec<CounterSpend>, Denied<E>> {
    let refused = |refused: Refused| {
        admission::count(tables, before, refused.why);
        Denied::NotAdmitted(refused)
    };
    let more = message.part_count().saturating_sub(before.part_count());
    let account = tables
        .account(&before.client)
        .ok_or_else(|| Denied::NotAdmitted(admission::no_account()))?;
    match tables.judge(message) {
        Ok(_) => {}
        // Only what comes on top is paid for, below.
        Err(Refused {
            why: Why::QuotaExceeded | Why::InsufficientCredit,
            ..
        }) => {}
        Err(why) => return Err(refused(why)),
    }
    // The sender and what was put aside are those of the accept.
    message.from.clone_from(&before.from);
    message.charge.clone_from(&before.charge);
    if message.charge.is_some() && message.part_count() != before.part_count() {
        return Err(Denied::Prepaid);
    }
    if account.opt_out {
        admission::optout::check(shared.engine.as_ref(), message)
            .await
            .map_err(refused)?;
    }
    if more == 0 {
        return Ok(Vec::new());
    }
    let on_top = MtMessage {
        accepted_at: shared.clock.now(),
        parts: message.parts.iter().take(usize::from(more)).cloned().collect(),
        ..message.clone()
    };
    let spends = account.spend(&on_top).map_err(refused)?;
    account.take(more, shared.clock.instant()).map_err(refused)?;
    let step = Admitted::new(None, spends, None).add_to(Step::new(StepId::accept(message.id)));
    let spends = step.into_ops().into_iter().filter_map(|op| {
        let Op::Add(key, delta, floor, Expiry::At(until)) = op else {
            return None;
        };
        Some(CounterSpend {
            key: key.as_str().to_owned(),
            delta,
            floor,
            until,
        })
    });
    Ok(spends.collect())
}

/// Finds the records of all parts. `None`: one of them does not wait there.
async fn locate<E>(
    shared: &Shared,
    life: &MessageLife,
    operator: &OperatorId,
    there: &Versioned,
    deadline: Instant,
) -> Result<Option<WaitingParts>, Denied<E>> {
    let queue = QueueName::from(names::mt_operator(operator));
    let look = |after, max| {
        let look = Look::at(Place::Ready, max)
            .of(life.message.client.as_str())
            .behind(after);
        look_at(shared, &queue, look, life.message.id, deadline)
    };
    let mut found = vec![None; life.parts.len()];
    let mut after = match there.written_by == StepId::accept(life.message.id) {
        // Its accept published it, among others in the order of their time.
        true => behind_earlier(life.message.accepted_at, |after| look(after, 1)).await?,
        // The step that wrote the message's record published them: their numbers are above that of its input.
        false => Some(there.written_by.input_number()),
    };
    for _ in 0..PAGES {
        let page = look(after, PAGE).await?;
        for seen in page.records.iter().filter(|seen| !seen.leased_before) {
            let Ok(dispatch) = Dispatch::from_record(&seen.record) else {
                continue;
            };
            let index = usize::from(dispatch.part).checked_sub(1);
            if dispatch.message == life.message.id
                && let Some(place) = index.and_then(|index| found.get_mut(index))
            {
                *place = Some(seen.id.as_u64());
            }
        }
        let records: Option<Vec<u64>> = found.iter().copied().collect();
        if let Some(records) = records {
            return Ok(Some(WaitingParts {
                operator: operator.clone(),
                records,
            }));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    Ok(None)
}

/// A number behind which the records of messages stand that were accepted since: halves what is left until it is there. A
/// record that waited for the router stands behind later ones, which is what [`ASTRAY`] is for.
async fn behind_earlier<E, F>(
    accepted_at: Timestamp,
    first: impl Fn(Option<RecordId>) -> F,
) -> Result<Option<RecordId>, Denied<E>>
where
    F: Future<Output = Result<Page, Denied<E>>>,
{
    let since = accepted_at.before(ASTRAY);
    let (mut low, mut high) = (0_u64, u64::MAX);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let page = first(Some(RecordId::from_u64(middle))).await?;
        let made_at = |seen: &Browsed| Some(Dispatch::from_record(&seen.record).ok()?.message.made_at());
        // One that cannot be decoded is passed over with what is before it.
        match page.records.first() {
            Some(seen) if made_at(seen).is_none_or(|at| at < since) => low = middle,
            Some(_) | None => high = middle,
        }
    }
    Ok(Some(RecordId::from_u64(low)).filter(|_| low > 0))
}

async fn look_at<E>(
    shared: &Shared,
    queue: &QueueName,
    look: Look,
    message: MessageId,
    deadline: Instant,
) -> Result<Page, Denied<E>> {
    timeout_at(deadline, shared.engine.look(queue, look))
        .await
        .map_err(|_| Denied::Unreadable)?
        .map_err(|error| {
            error!(message_id = %message, %error, "the queue of a message to be replaced could not be read");
            Denied::Unreadable
        })
}

/// Hands the request to the router and waits for its verdict.
async fn ask<E>(
    shared: &Shared,
    message: &MtMessage,
    asked: ReplaceRequest,
    deadline: Instant,
) -> Result<ReplaceVerdict, Denied<E>> {
    let key = StateKey::from(names::replace(message.id));
    let expected = match read(shared, &key, deadline).await? {
        None => Expected::Absent,
        // One request of a message at a time; what was decided before is of no more use.
        Some((there, request)) if request.verdict.is_some() => Expected::Version(there.version),
        Some(_) => return Err(Denied::Refused(Refusal::Taken)),
    };
    let until = Expiry::At(asked.at.after(KEPT));
    let lane = Lane::new(message.class, &message.client);
    let named = key.as_str().as_bytes().to_vec();
    let step = Step::new(StepId::from_bytes(rand::random()))
        .compare_and_put(key.clone(), expected, asked.to_record(), until)
        .publish(names::ALARMS, lane, named.into());
    match accept::commit(shared, step, deadline).await {
        Ok(()) => {}
        // It may be there all the same: then it is taken back.
        Err(Refusal::Late) => return take_back(shared, &key, asked.at).await,
        Err(refusal) => return Err(Denied::Refused(refusal)),
    }
    let mut pause = POLL;
    loop {
        match read(shared, &key, deadline).await {
            Ok(Some((
                _,
                ReplaceRequest {
                    verdict: Some(verdict),
                    ..
                },
            ))) => return Ok(verdict),
            Ok(Some(_)) | Err(Denied::Unreadable) if Instant::now() < deadline => {}
            Ok(Some(_)) | Err(Denied::Unreadable) => return take_back(shared, &key, asked.at).await,
            Ok(None) => return Err(Denied::Unanswered),
            Err(other) => return Err(other),
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(POLL_MOST);
    }
}

/// Nobody waits any more: the request is deleted, unless its verdict came first.
async fn take_back<E>(shared: &Shared, key: &StateKey, at: Timestamp) -> Result<ReplaceVerdict, Denied<E>> {
    let patience = Instant::now() + TAKING_BACK;
    loop {
        let Some((there, request)) = read(shared, key, patience).await? else {
            return Err(Denied::Unanswered);
        };
        if let Some(verdict) = request.verdict {
            return Ok(verdict);
        }
        if request.at != at {
            return Err(Denied::Unanswered); // Another one's; ours never came.
        }
        let step = Step::new(StepId::from_bytes(rand::random()))
            .delete(key.clone(), Expected::Version(there.version));
        match accept::commit(shared, step, patience).await {
            Ok(()) => return Err(Denied::Unanswered),
            Err(Refusal::Taken) => {}
            Err(refusal) => return Err(Denied::Refused(refusal)),
        }
    }
}

/// How long taking back may take.
const TAKING_BACK: Duration = Duration::from_secs(5);

async fn read<E>(
    shared: &Shared,
    key: &StateKey,
    deadline: Instant,
) -> Result<Option<(Versioned, ReplaceRequest)>, Denied<E>> {
    read_record(shared, key.clone(), deadline).await
}

async fn read_life<E>(
    shared: &Shared,
    id: MessageId,
    deadline: Instant,
) -> Result<Option<(MessageLife, Versioned)>, Denied<E>> {
    let found = read_record(shared, names::message(id).into(), deadline).await?;
    Ok(found.map(|(there, life)| (life, there)))
}

async fn read_record<R: Record, E>(
    shared: &Shared,
    key: StateKey,
    deadline: Instant,
) -> Result<Option<(Versioned, R)>, Denied<E>> {
    let failed = |error: &dyn std::fmt::Display| {
        error!(%error, "what replacing a message needs could not be read");
        Denied::Unreadable
    };
    let found = timeout_at(deadline, shared.engine.get(vec![key]))
        .await
        .map_err(|_| Denied::Unreadable)?
        .map_err(|error| failed(&error))?;
    let Some(there) = found.into_iter().next().flatten() else {
        return Ok(None);
    };
    let record = R::from_record(&there.value).map_err(|error| failed(&error))?;
    Ok(Some((there, record)))
}
