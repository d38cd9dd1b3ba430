//! What clients hand in by other ways than a face: replies to MO, from the answers to callbacks; and what the gateway itself
//! answers phones in a client's name, by a route or keyword.
//!
//! ```text
//! client.requests ─▶ known? ─▶ body, as of POST /v1/messages ─▶ admission ─▶ replies to this phone ─▶ one step:
//!                                                                    settle, mt.accepted, msg/<id>, events, replies/…
//! ```
//! The id of the message follows from the event that was answered, so an event that is answered twice makes one message. Knows no
//! callback. Invariant RQ-1: a request leaves the queue as one message, or as a dead letter that says why it was refused; an
//! answer of the gateway itself that is one too many (`auto.max`) leaves it counted.
//!
//! # Limits
//! A request whose client is over its rate or quota waits up to [`PATIENCE`]; an answer that late would surprise its reader.

use crate::accept::{self, Counters};
use crate::admission::{self, Why};
use crate::http::body::Body;
use crate::http::submit;
use crate::metric;
use crate::shared::Shared;
use crate::tables::Tables;
use sha2::{Digest, Sha256};
use smsgw_config::CallbackPolicy;
use smsgw_message::{Address, ClientId, ClientRequest, MessageId, Record, Timestamp, names};
use smsgw_queue::{
    CommitErrorKind, Cost, DeadReason, Delivery, EngineError, Expiry, QueueName, ReleaseReason, StateKey,
    Step, Want,
};
use smsgw_runtime::{ChildContext, ChildError};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, error, warn};

/// How long a checkout waits.
const LOOK_AROUND: Duration = Duration::from_secs(30);
/// Records of one checkout.
const CHECKOUT: usize = 16;
/// How long a request waits for its client's rate or quota.
const PATIENCE: Duration = Duration::from_secs(600);
/// The longest of these waits at once.
const LONGEST: Duration = Duration::from_secs(60);
/// How long to wait when the engine has no room.
const NO_ROOM: Duration = Duration::from_secs(1);

/// The task.
pub(crate) async fn run(ctx: ChildContext, shared: Arc<Shared>) -> Result<(), ChildError> {
    let queue = QueueName::from(names::CLIENT_REQUESTS);
    ctx.ready();
    loop {
        let taken = tokio::select! {
            () = ctx.draining() => return Ok(()),
            taken = shared.engine.checkout(&queue, Want::new(CHECKOUT, LOOK_AROUND)) => taken.map_err(fault)?,
        };
        for delivery in taken {
            loop {
                match one(&shared, &delivery).await {
                    Ok(()) => break,
                    Err(CommitErrorKind::Engine(EngineError::NoSpace)) => {
                        warn!("replies to MO cannot be stored; they wait until they can");
                        tokio::select! {
                            () = ctx.draining() => return Ok(()),
                            () = tokio::time::sleep(NO_ROOM) => {}
                        }
                    }
                    // Somebody else has it.
                    Err(CommitErrorKind::Stale { .. }) => break,
                    Err(CommitErrorKind::Engine(error)) => return Err(fault(error)),
                    Err(kind) => return Err(ChildError::new(kind)),
                }
            }
        }
    }
}

fn fault(error: EngineError) -> ChildError {
    match error {
        EngineError::Poisoned(_) => ChildError::fatal(error),
        EngineError::NoSpace | EngineError::Closed | EngineError::Read(_) => ChildError::from(error),
    }
}

/// What becomes of a request.
#[derive(Debug)]
enum Verdict {
    /// Settled by this step, together with the message.
    Accepted(Box<Step>),
    /// The message is there already.
    Known,
    Later(Duration),
    Refused(Refusal),
}

/// Why a request is refused: a word for the metric, a sentence for people.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    word: &'static str,
    detail: String,
}

async fn one(shared: &Shared, delivery: &Delivery) -> Result<(), CommitErrorKind> {
    let engine = shared.engine.as_ref();
    let request = match ClientRequest::from_record(delivery.record()) {
        Ok(request) => request,
        Err(error) => {
            error!(%error, "request of a client cannot be decoded");
            let step = Step::from(delivery).dead_letter(delivery, DeadReason::Corrupt);
            return step.commit(engine).await.map(drop).map_err(|error| error.kind);
        }
    };
    let tables = shared.tables.current();
    let verdict = judge(shared, &tables, delivery, &request).await?;
    let (step, outcome) = match verdict {
        Verdict::Accepted(step) => {
            let counters = Counters::of(&step);
            let committed = step.commit(engine).await.map_err(|error| error.kind);
            let over = committed
                .as_ref()
                .err()
                .and_then(|kind| counters.refusal(shared, kind));
            match committed {
                Ok(_) => {
                    count(&request, "accepted");
                    return Ok(());
                }
                Err(_) if let Some(over) = over => {
                    let word = match over {
                        accept::Refusal::InsufficientCredit => "insufficient_credit",
                        accept::Refusal::OverQuota(_)
                        | accept::Refusal::Taken
                        | accept::Refusal::Full
                        | accept::Refusal::NoSpace
                        | accept::Refusal::Stopping
                        | accept::Refusal::Failed
                        | accept::Refusal::Late => "quota_exceeded",
                    };
                    let detail = over.words().to_owned();
                    (refused(delivery, &request, Refusal { word, detail }), word)
                }
                // Two programs that answer each other: nobody wants to look at each of their messages.
                Err(CommitErrorKind::Floor { .. }) if request.auto.is_some() => {
                    (Step::from(delivery).settle(delivery), "loop_guard")
                }
                Err(CommitErrorKind::Floor { .. }) => {
                    let detail =
                        "more replies to this phone than replies_max within replies_period".to_owned();
                    let word = "too_many_replies";
                    (refused(delivery, &request, Refusal { word, detail }), word)
                }
                // Who was faster has made the same message.
                Err(CommitErrorKind::Conflict { .. }) => (Step::from(delivery).settle(delivery), "repeated"),
                Err(kind) => return Err(kind),
            }
        }
        Verdict::Known => (Step::from(delivery).settle(delivery), "repeated"),
        Verdict::Later(after) => {
            let step = Step::from(delivery).release(delivery, after, ReleaseReason::Throttled, Cost::Free);
            (step, "waits")
        }
        Verdict::Refused(refusal) => {
            let word = refusal.word;
            (refused(delivery, &request, refusal), word)
        }
    };
    step.commit(engine).await.map_err(|error| error.kind)?;
    count(&request, outcome);
    Ok(())
}

fn count(request: &ClientRequest, outcome: &'static str) {
    debug!(client = %request.client, event = %request.event, outcome, "reply to an MO");
    metric::REPLIES_TOTAL
        .with(&[request.client.as_str(), outcome])
        .inc();
}

/// The message of an event: later than the event itself, and always the same.
fn message_id(request: &ClientRequest) -> MessageId {
    let mut seed = Sha256::new();
    seed.update(b"reply/");
    seed.update(request.event.as_bytes());
    let digest = seed.finalize();
    let mut random = [0; 10];
    for (octet, from) in random.iter_mut().zip(digest) {
        *octet = from;
    }
    MessageId::from_parts(request.event_at, random)
}

async fn judge(
    shared: &Shared,
    tables: &Tables,
    delivery: &Delivery,
    request: &ClientRequest,
) -> Result<Verdict, CommitErrorKind> {
    let id = message_id(request);
    let key = StateKey::from(names::message(id));
    let known = shared
        .engine
        .get(vec![key])
        .await
        .map_err(CommitErrorKind::Engine)?;
    if known.into_iter().flatten().next().is_some() {
        return Ok(Verdict::Known);
    }
    let config = &tables.snapshot.config;
    let Some(client) = config.client.get(&request.client) else {
        return Ok(no("no_account", "the account no longer exists"));
    };
    if request.auto.is_none() && !client.callback_policy.replies {
        return Ok(no("not_allowed", "replies are not allowed any more"));
    }
    let now = shared.clock.now();
    let body = match body_of(request) {
        Ok(body) => body,
        Err(refusal) => return Ok(Verdict::Refused(refusal)),
    };
    let built = submit::build(&body, &request.client, config, id, now, rand::random());
    let mut message = match built {
        Ok(built) => built.message,
        Err(problem) => return Ok(no(problem.code.as_str(), &problem.detail)),
    };
    let confirms = request.auto.is_some_and(|auto| auto.confirms_opt_out);
    let admitted = match admission::check_opted(shared, tables, &mut message, confirms).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let waits = match refused.why {
                Why::RateLimited | Why::QuotaExceeded | Why::Unavailable => true,
                Why::TooManyParts
                | Why::NoRoute
                | Why::DestinationDenied
                | Why::SenderDenied
                | Why::ContentDenied
                | Why::OptedOut
                | Why::InsufficientCredit => false,
            };
            let age = now.since(delivery.published_at());
            return Ok(match refused.retry_after {
                Some(after) if waits && age.saturating_add(after) < PATIENCE => {
                    Verdict::Later(after.min(LONGEST))
                }
                Some(_) | None => {
                    admission::count(tables, &message, refused.why);
                    no(refused.why.as_str(), &refused.detail)
                }
            });
        }
    };
    let step = accept::step(shared, message, None, &config.limits);
    let step = admitted.add_to(step.settle(delivery));
    Ok(Verdict::Accepted(Box::new(one_more(
        step,
        request,
        &client.callback_policy,
        now,
    ))))
}

fn no(word: &'static str, detail: &str) -> Verdict {
    let detail = detail.to_owned();
    Verdict::Refused(Refusal { word, detail })
}

/// The body of the request, to the phone that wrote, from the number it wrote to unless another one is asked for.
fn body_of(request: &ClientRequest) -> Result<Body, Refusal> {
    // One that was refused before is judged anew: a dead letter is replayed because what stood in its way is gone. What was no
    // reply at all is none now.
    let mut body = submit::parse(request.body.as_bytes()).map_err(|problem| Refusal {
        word: problem.code.as_str(),
        detail: problem.detail,
    })?;
    if body.to.is_some() {
        return Err(Refusal {
            word: "malformed",
            detail: "a reply goes to the phone that wrote: it has no to".to_owned(),
        });
    }
    body.to = Some(request.phone.as_str().to_owned());
    if body.from.is_none() {
        body.from = Some(request.number.as_str().to_owned());
    }
    Ok(body)
}

/// Counts the reply, so that two programs that answer each other come to an end.
fn one_more(step: Step, request: &ClientRequest, policy: &CallbackPolicy, now: Timestamp) -> Step {
    let (period, most) = match &request.auto {
        Some(auto) => (Duration::from_millis(auto.period_millis), auto.max),
        None => (policy.replies_period, policy.replies_max),
    };
    let key = match request.auto {
        Some(_) => auto_replies_key(&request.client, &request.phone, &request.number, period, now),
        None => names::replies(&request.client, &request.phone, period_of(period, now)),
    };
    let floor = i64::from(most).saturating_neg();
    step.add(
        key,
        -1,
        Some(floor),
        Expiry::At(now.after(period.saturating_mul(2))),
    )
}

/// The counter of answers of the gateway itself from a number to a phone, in the period that `at` lies in: it counts down from 0.
pub fn auto_replies_key(
    client: &ClientId,
    phone: &Address,
    number: &Address,
    period: Duration,
    at: Timestamp,
) -> String {
    names::auto_replies(client, phone, number, period_of(period, at))
}

/// Periods since 1970.
fn period_of(period: Duration, at: Timestamp) -> u64 {
    let millis = i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1);
    u64::try_from(at.as_millis().div_euclid(millis)).unwrap_or(0)
}

fn refused(delivery: &Delivery, request: &ClientRequest, refusal: Refusal) -> Step {
    warn!(client = %request.client, event = %request.event, why = refusal.word, detail = refusal.detail,
        "reply to an MO refused and kept as a dead letter");
    let kept = ClientRequest {
        refused: Some(format!("{}: {}", refusal.word, refusal.detail)),
        ..request.clone()
    };
    Step::from(delivery).settle(delivery).bury(
        names::CLIENT_REQUESTS,
        delivery.lane().clone(),
        kept.to_record(),
        DeadReason::Refused,
    )
}
