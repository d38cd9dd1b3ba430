//! Turns the lines of batches into messages, a slice at a time, at the account's rate.
//!
//! Takes tickets of `mt.batch` (accounts in turn); each is one step: the ticket is settled, its slice becomes messages,
//! chunk and batch are moved on, the next ticket is put there. Yields to others three ways: little in one commit, a pause
//! as long as the commit took, and none at all while the router is behind or the gateway is nearly full. Invariant: see
//! `record`: a step that goes through moves a batch on by exactly the lines whose messages it published.
//!
//! # Limits
//! One worker a process, two slices at a time: a batch gains a few thousand messages a second, not more.

use super::record::{
    Batch, Body, Chunk, End, Order, Refused, Ticket, What, Wish, batch_key, body_key, chunk_key, order_key,
};
use super::room::has_room;
use super::store::{Seen, seen};
use crate::accept;
use crate::admission::credit::Asked;
use crate::admission::quota::Spent;
use crate::admission::{self, Why};
use crate::http::problem::Problem;
use crate::http::{body, submit};
use crate::metric;
use crate::shared::Shared;
use crate::tables::Tables;
use smsgw_message::{MessageId, MtMessage, Record, RecordError, Timestamp, names};
use smsgw_queue::{
    CommitErrorKind, Cost, DeadReason, Delivery, EngineError, Expiry, Lane, QueueName, ReleaseReason, Step,
    StepId, Versioned, Want,
};
use smsgw_runtime::{ChildContext, ChildError};
use smsgw_telemetry::ApiCode;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// Messages of one step.
const SLICE: usize = 100;
/// Tickets of one commit.
const TICKETS: usize = 2;
/// How long one checkout waits; a drain ends the wait.
const WAIT: Duration = Duration::from_secs(10);
/// How long to wait while others need the room.
const NO_ROOM: Duration = Duration::from_millis(50);
/// How long to wait when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two commits.
const MOST_PAUSE: Duration = Duration::from_millis(250);
/// Longest time a batch waits without looking again: a quota may be made larger before its period ends.
const MOST_WAIT: Duration = Duration::from_secs(60);
/// Shortest time a batch waits for its rate: a few messages at once cost less than each alone.
const LEAST_WAIT: Duration = Duration::from_millis(10);

/// Follows the tickets until told to drain.
pub(crate) async fn run(ctx: ChildContext, shared: Arc<Shared>) -> Result<(), ChildError> {
    metric::BATCH_LINES_TOTAL.register();
    let queue = QueueName::from(names::MT_BATCH);
    ctx.ready();
    loop {
        while !has_room(&shared) {
            tokio::select! {
                biased;
                () = ctx.draining() => return Ok(()),
                () = tokio::time::sleep(NO_ROOM) => {}
            }
        }
        let tickets = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            tickets = shared.engine.checkout(&queue, Want::new(TICKETS, WAIT)) => tickets,
        };
        let worked = match tickets {
            Ok(tickets) => work(&shared, tickets).await,
            Err(error) => Err(error),
        };
        let pause = match worked {
            Ok(took) => took.min(MOST_PAUSE),
            Err(EngineError::NoSpace) => {
                warn!("disk is full, batches wait for room");
                NO_SPACE_PAUSE
            }
            Err(EngineError::Closed) if ctx.is_draining() => return Ok(()),
            Err(error @ EngineError::Poisoned(_)) => return Err(ChildError::fatal(error)),
            Err(error @ (EngineError::Closed | EngineError::Read(_))) => return Err(error.into()),
        };
        tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What a step counts once it went through.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    end: Option<End>,
}

/// What is to be done with a ticket.
struct Turn {
    step: Step,
    tally: Tally,
    batch: MessageId,
    client: smsgw_message::ClientId,
}

/// Takes a turn for each ticket; returns how long the engine took.
async fn work(shared: &Shared, tickets: Vec<Delivery>) -> Result<Duration, EngineError> {
    let mut steps = Vec::with_capacity(tickets.len());
    let mut turns = Vec::with_capacity(tickets.len());
    for delivery in &tickets {
        let turn = match Ticket::from_record(delivery.record()) {
            Ok(ticket) => turn(shared, delivery, &ticket, SLICE).await?,
            Err(error) => {
                error!(record = delivery.id().as_u64(), %error, "ticket of a batch kept as corrupt");
                None
            }
        };
        // What cannot be read is kept for people; the batch stands still, and its client sees that.
        let step = turn.as_ref().map_or_else(
            || Step::from(delivery).dead_letter(delivery, DeadReason::Corrupt),
            |turn| turn.step.clone(),
        );
        steps.push(step);
        turns.push(turn);
        tokio::task::yield_now().await;
    }
    if steps.is_empty() {
        return Ok(Duration::ZERO);
    }
    let started = shared.clock.instant();
    let answers = shared.engine.commit(steps).await;
    let took = shared.clock.instant().saturating_duration_since(started);
    for ((answer, turn), delivery) in answers.into_iter().zip(turns).zip(&tickets) {
        match answer.map_err(|error| error.kind) {
            Ok(_) => turn.iter().for_each(said),
            Err(CommitErrorKind::Engine(error)) => return Err(error),
            // The credit or a quota does not pay for all of them: one by one, the one that is too many is refused.
            Err(CommitErrorKind::Floor { .. }) => one_by_one(shared, delivery).await?,
            // Somebody else moved the batch, or an allotment changed: decided anew.
            Err(kind @ (CommitErrorKind::Conflict { .. } | CommitErrorKind::Stale { .. })) => {
                debug!(error = %kind, "a slice of a batch is decided again");
            }
            Err(
                kind @ (CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::NoRecord { .. }
                | CommitErrorKind::Leased { .. }
                | CommitErrorKind::Full(_)
                | CommitErrorKind::Invalid(_)),
            ) => {
                error!(error = %kind, "a slice of a batch could not be stored");
                let step = Step::from(delivery);
                let again = step.release(delivery, NO_SPACE_PAUSE, ReleaseReason::Temporary, Cost::Counted);
                let given_back = again.commit(shared.engine.as_ref()).await;
                // Refused for any other reason, the ticket goes back by its drop.
                if let Err(CommitErrorKind::Engine(error)) = given_back.map_err(|error| error.kind) {
                    return Err(error);
                }
            }
        }
    }
    Ok(took)
}

/// The slice of a ticket, cut down to one message.
async fn one_by_one(shared: &Shared, delivery: &Delivery) -> Result<(), EngineError> {
    let Ok(ticket) = Ticket::from_record(delivery.record()) else {
        return Ok(());
    };
    let Some(one) = turn(shared, delivery, &ticket, 1).await? else {
        return Ok(());
    };
    match one
        .step
        .clone()
        .commit(shared.engine.as_ref())
        .await
        .map_err(|error| error.kind)
    {
        Ok(_) => said(&one),
        Err(CommitErrorKind::Engine(error)) => return Err(error),
        // A quota that holds no more: the next turn knows it, and waits for the next period.
        Err(kind @ CommitErrorKind::Floor { .. })
            if Spent::of(&one.step).over_quota(shared, &kind).is_some() => {}
        Err(kind @ CommitErrorKind::Floor { .. }) => {
            if Asked::of(&one.step).insufficient(shared, &kind).is_none() {
                debug!(error = %kind, "a line of a batch is below a floor that is no quota's and no credit's");
            }
            let refused = refuse_next(shared, delivery, &ticket).await?;
            if let Some(turn) = refused {
                match turn
                    .step
                    .clone()
                    .commit(shared.engine.as_ref())
                    .await
                    .map_err(|error| error.kind)
                {
                    Ok(_) => said(&turn),
                    Err(CommitErrorKind::Engine(error)) => return Err(error),
                    Err(kind) => debug!(error = %kind, "a line of a batch is decided again"),
                }
            }
        }
        // The ticket goes back by its drop, and is taken again.
        Err(kind) => debug!(error = %kind, "a line of a batch is decided again"),
    }
    Ok(())
}

fn said(turn: &Turn) {
    let client = turn.client.as_str();
    metric::BATCH_LINES_TOTAL
        .with(&[client, "accepted"])
        .inc_by(turn.tally.accepted);
    metric::BATCH_LINES_TOTAL
        .with(&[client, "refused"])
        .inc_by(turn.tally.refused);
    let word = match turn.tally.end {
        None => return,
        Some(End::Completed) => "completed",
        Some(End::Cancelled) => "cancelled",
        Some(End::Expired) => "expired",
    };
    metric::BATCHES_TOTAL.with(&[client, word]).inc();
    info!(batch_id = %turn.batch, client, end = word, "batch ended");
}

/// A batch as it is read for a turn.
struct Open {
    ticket: Ticket,
    batch: Batch,
    expected: smsgw_queue::Expected,
    chunk: Seen<Chunk>,
    common: Option<body::Body>,
}

enum Read {
    Open(Box<Open>),
    /// Nothing to do for this ticket.
    Over,
    /// The batch ends here.
    Ends(Box<(Batch, smsgw_queue::Expected)>, End),
    Unreadable,
}

async fn read(shared: &Shared, ticket: &Ticket, now: Timestamp) -> Result<Read, EngineError> {
    let keys = vec![
        batch_key(&ticket.client, ticket.batch),
        order_key(&ticket.client, ticket.batch),
    ];
    let mut found = shared.engine.get(keys).await?.into_iter();
    let (batch, order) = (found.next().flatten(), found.next().flatten());
    let unreadable = |error: &RecordError| {
        error!(batch_id = %ticket.batch, %error, "a record of a batch could not be decoded");
        Read::Unreadable
    };
    let (batch, order) = match (seen::<Batch>(batch), seen::<Order>(order)) {
        (Ok(batch), Ok(order)) => (batch, order),
        (Err(error), _) | (_, Err(error)) => return Ok(unreadable(&error)),
    };
    let Some(there) = batch.record.filter(|there| there.end.is_none()) else {
        return Ok(Read::Over);
    };
    let (wish, generation) = order
        .record
        .map_or((Wish::Run, 0), |order| (order.wish, order.generation));
    if generation != ticket.generation {
        return Ok(Read::Over);
    }
    let ends = |there, end| Ok(Read::Ends(Box::new((there, batch.expected)), end));
    match wish {
        Wish::Pause => return Ok(Read::Over),
        Wish::Cancel => return ends(there, End::Cancelled),
        Wish::Run => {}
    }
    if now >= there.until {
        return ends(there, End::Expired);
    }
    let mut keys = vec![chunk_key(there.id, there.chunk)];
    keys.extend(there.body.as_ref().map(|digest| body_key(digest)));
    let mut found = shared.engine.get(keys).await?.into_iter();
    let chunk = match seen::<Chunk>(found.next().flatten()) {
        Ok(chunk) => chunk,
        Err(error) => return Ok(unreadable(&error)),
    };
    let common = match (&there.body, found.next().flatten()) {
        (None, _) => None,
        (Some(_), Some(common)) => match read_common(&common) {
            Some(common) => Some(common),
            None => return Ok(Read::Unreadable),
        },
        // Both have the expiry of the batch: only a wrong clock makes them go before it.
        (Some(_), None) => return ends(there, End::Expired),
    };
    if chunk.record.is_none() {
        return ends(there, End::Expired);
    }
    Ok(Read::Open(Box::new(Open {
        ticket: ticket.clone(),
        batch: there,
        expected: batch.expected,
        chunk,
        common,
    })))
}

fn read_common(there: &Versioned) -> Option<body::Body> {
    let stored = Body::from_record(&there.value)
        .inspect_err(|error| error!(%error, "the body of a batch could not be decoded"))
        .ok()?;
    submit::parse(&stored.json)
        .inspect_err(|problem| {
            error!(
                code = problem.code.as_str(),
                "the body of a batch is none any more"
            )
        })
        .ok()
}

/// What to do for a ticket: at most `most` messages. `None`: something cannot be read.
async fn turn(
    shared: &Shared,
    delivery: &Delivery,
    ticket: &Ticket,
    most: usize,
) -> Result<Option<Turn>, EngineError> {
    let now = shared.clock.now();
    let settle = || Step::from(delivery).settle(delivery);
    let turn = |step, tally| {
        Some(Turn {
            step,
            tally,
            batch: ticket.batch,
            client: ticket.client.clone(),
        })
    };
    Ok(match read(shared, ticket, now).await? {
        Read::Unreadable => None,
        Read::Over => turn(settle(), Tally::default()),
        Read::Ends(there, end) => {
            let (mut batch, expected) = *there;
            let tally = finish(&mut batch, end, now);
            let key = batch_key(&batch.client, batch.id);
            let expiry = Expiry::At(batch.kept_until);
            let step = settle().compare_and_put(key, expected, batch.to_record(), expiry);
            turn(step, tally)
        }
        Read::Open(open) => {
            let (step, tally) = expand(shared, *open, settle(), now, most).await;
            turn(step, tally)
        }
    })
}

fn finish(batch: &mut Batch, end: End, now: Timestamp) -> Tally {
    batch.end = Some(end);
    batch.ended_at = Some(now);
    Tally {
        end: Some(end),
        ..Tally::default()
    }
}

/// Why a slice ends before its lines do.
enum Judged {
    /// The message, and what its admission adds to the step.
    Message(Box<(MtMessage, crate::admission::Admitted)>),
    Refused(Problem),
    /// Its time has not come: after how long it may have.
    Wait(Duration),
}

/// Lines to messages: the step, and what it counts.
async fn expand(shared: &Shared, open: Open, mut step: Step, now: Timestamp, most: usize) -> (Step, Tally) {
    let Open {
        ticket,
        mut batch,
        expected,
        chunk,
        mut common,
    } = open;
    let tables = shared.tables.current();
    let limits = &tables.snapshot.config.limits;
    let mut lines = chunk.record.unwrap_or_default().lines;
    let mut tally = Tally::default();
    let mut wait = None;
    let mut made = 0;
    let from = usize::try_from(batch.within).unwrap_or(usize::MAX);
    for line in lines.iter_mut().skip(from) {
        if made == most {
            break;
        }
        if let What::Pending(text) = &line.what {
            let id = batch.id.derive(u64::from(line.number));
            match judge(shared, &tables, &batch, common.as_mut(), text, id, now).await {
                Judged::Wait(after) => {
                    wait = Some(after);
                    break;
                }
                Judged::Refused(problem) => {
                    Batch::refuse(&mut batch.refused, problem.code.as_str());
                    tally.refused = tally.refused.saturating_add(1);
                    line.what = refusal(text, problem.code, problem.field);
                }
                Judged::Message(message) => {
                    let (message, admitted) = *message;
                    line.what = What::Accepted(message.to.as_str().to_owned(), message.id);
                    step = merge(step, admitted.add_to(accept::step(shared, message, None, limits)));
                    batch.accepted = batch.accepted.saturating_add(1);
                    tally.accepted = tally.accepted.saturating_add(1);
                    made += 1;
                }
            }
        }
        batch.within = batch.within.saturating_add(1);
    }
    let record =
        (tally.accepted > 0 || tally.refused > 0).then(|| Chunk { lines: lines.clone() }.to_record());
    if let Some(record) = record {
        let key = chunk_key(batch.id, batch.chunk);
        step = step.compare_and_put(key, chunk.expected, record, Expiry::At(batch.kept_until));
    }
    if usize::try_from(batch.within).is_ok_and(|within| within >= lines.len()) {
        batch.chunk = batch.chunk.saturating_add(1);
        batch.within = 0;
    }
    if batch.chunk >= batch.chunks {
        tally.end = finish(&mut batch, End::Completed, now).end;
    } else {
        let lane = Lane::new(batch.class, &batch.client);
        let next = ticket.to_record();
        // Nothing is gained by a ticket behind the end of the batch: it ends there.
        step = match wait {
            None => step.publish(names::MT_BATCH, lane, next),
            Some(after) => step.publish_at(names::MT_BATCH, lane, next, now.after(after).min(batch.until)),
        };
    }
    let key = batch_key(&batch.client, batch.id);
    step = step.compare_and_put(key, expected, batch.to_record(), Expiry::At(batch.kept_until));
    (step, tally)
}

async fn judge(
    shared: &Shared,
    tables: &Tables,
    batch: &Batch,
    common: Option<&mut body::Body>,
    text: &str,
    id: MessageId,
    now: Timestamp,
) -> Judged {
    let config = &tables.snapshot.config;
    let reference = rand::random();
    let mut own;
    let body = match common {
        Some(common) => {
            common.to = Some(text.to_owned());
            common
        }
        None => match submit::parse(text.as_bytes()) {
            Ok(body) => {
                own = body;
                &mut own
            }
            Err(problem) => return Judged::Refused(problem),
        },
    };
    // It was ahead when the batch was accepted; a batch that takes its time is no reason to refuse what is due.
    let due = body.send_at.as_deref().and_then(Timestamp::from_rfc3339);
    if due.is_some_and(|due| due <= now) {
        body.send_at = None;
    }
    let built = submit::build(body, &batch.client, config, id, now, reference);
    let mut message = match built {
        Ok(built) => built.message,
        Err(problem) => return Judged::Refused(problem),
    };
    message.batch = Some(batch.id);
    match admission::check_uncounted(shared, tables, &mut message).await {
        Ok(admitted) => Judged::Message(Box::new((message, admitted))),
        Err(refused) => match refused.why {
            Why::RateLimited | Why::QuotaExceeded | Why::Unavailable => Judged::Wait(
                refused
                    .retry_after
                    .unwrap_or(NO_SPACE_PAUSE)
                    .clamp(LEAST_WAIT, MOST_WAIT),
            ),
            Why::TooManyParts
            | Why::NoRoute
            | Why::DestinationDenied
            | Why::SenderDenied
            | Why::ContentDenied
            | Why::OptedOut
            | Why::InsufficientCredit => {
                admission::count(tables, &message, refused.why);
                Judged::Refused(refused.into())
            }
        },
    }
}

fn refusal(text: &str, code: ApiCode, field: Option<&str>) -> What {
    What::Refused(Refused {
        // Of a whole message, the recipient is not known here.
        to: Some(text.to_owned()).filter(|text| !text.contains('{')),
        code: code.as_str().to_owned(),
        field: field.map(str::to_owned),
    })
}

/// The changes of both, as one step of the first one's identity.
fn merge(step: Step, more: Step) -> Step {
    let id: StepId = step.id();
    let mut ops = step.into_ops();
    ops.extend(more.into_ops());
    Step::of_ops(id, ops)
}

/// The next line is one that the account cannot pay for.
async fn refuse_next(
    shared: &Shared,
    delivery: &Delivery,
    ticket: &Ticket,
) -> Result<Option<Turn>, EngineError> {
    let now = shared.clock.now();
    let Read::Open(open) = read(shared, ticket, now).await? else {
        return Ok(None);
    };
    let mut open = *open;
    let from = usize::try_from(open.batch.within).unwrap_or(usize::MAX);
    let lines = open.chunk.record.iter_mut().flat_map(|chunk| &mut chunk.lines);
    let next = lines
        .skip(from)
        .find(|line| matches!(line.what, What::Pending(_)));
    let Some(line) = next else { return Ok(None) };
    if let What::Pending(text) = &line.what {
        line.what = refusal(text, ApiCode::InsufficientCredit, None);
    }
    let code = ApiCode::InsufficientCredit.as_str();
    Batch::refuse(&mut open.batch.refused, code);
    let (client, batch) = (ticket.client.clone(), ticket.batch);
    let chunk = open.chunk.record.clone().unwrap_or_default().to_record();
    let key = chunk_key(open.batch.id, open.batch.chunk);
    let expiry = Expiry::At(open.batch.kept_until);
    let step = Step::from(delivery)
        .settle(delivery)
        .compare_and_put(key, open.chunk.expected, chunk, expiry.clone())
        .compare_and_put(
            batch_key(&open.batch.client, open.batch.id),
            open.expected,
            open.batch.to_record(),
            expiry,
        )
        .publish(
            names::MT_BATCH,
            Lane::new(open.batch.class, &open.batch.client),
            ticket.to_record(),
        );
    let tally = Tally {
        refused: 1,
        ..Tally::default()
    };
    Ok(Some(Turn {
        step,
        tally,
        batch,
        client,
    }))
}
