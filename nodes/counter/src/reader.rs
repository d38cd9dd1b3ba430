//! The task that follows the events log.
//!
//! Reads from its position, folds, commits totals and position in one step, then shows the counters. Knows the engine
//! contract and nothing of what an event means: `fold` does.

use crate::fold::{Folded, key};
use crate::metric;
use smsgw_message::{Event, Record, names};
use smsgw_queue::{CommitErrorKind, Engine, EngineError, Entry, Expiry, LogName, Position, Step, StepId};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Strategy, Supervisor};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tracing::{error, warn};

/// The name of this reader of the events log.
pub const READER: &str = "counter";
/// Entries of one step.
const BATCH: usize = 2_048;
/// How long one read waits; a drain ends the wait.
const WAIT: Duration = Duration::from_secs(10);
/// How long to wait when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

/// The counter node as a child of the daemon's tree.
pub fn supervise(engine: Arc<dyn Engine>) -> ChildSpec {
    let reader = ChildSpec::task("reader", move |ctx| follow(ctx, Arc::clone(&engine)));
    ChildSpec::supervisor(Supervisor::new("counter", Strategy::OneForOne).child(reader.kind("counter")))
}

async fn follow(ctx: ChildContext, engine: Arc<dyn Engine>) -> Result<(), ChildError> {
    metric::SKIPPED_TOTAL.register();
    metric::FOLDED_TOTAL.register();
    metric::LAG.with(&[]).set(0);
    let log = LogName::from(names::EVENTS);
    ctx.ready();
    loop {
        // Asked for anew each time: it is what state says, not what this task believes.
        let worked = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            entries = next(&*engine, &log) => match entries {
                Ok(entries) => count(&*engine, &log, entries).await,
                Err(error) => Err(CountError::Engine(error)),
            },
        };
        match worked {
            Ok(()) => {}
            Err(CountError::Engine(EngineError::NoSpace)) => {
                warn!("disk is full, totals wait for room");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = tokio::time::sleep(NO_SPACE_PAUSE) => {}
                }
            }
            Err(CountError::Engine(EngineError::Closed)) if ctx.is_draining() => return Ok(()),
            Err(error @ CountError::Engine(EngineError::Poisoned(_))) => {
                return Err(ChildError::fatal(error));
            }
            Err(
                error
                @ (CountError::Engine(EngineError::Closed | EngineError::Read(_)) | CountError::Step(_)),
            ) => {
                return Err(error.into());
            }
        }
    }
}

/// Why a batch was not counted. Nothing of it was written, or all: the position tells.
#[derive(Debug, Error)]
pub(crate) enum CountError {
    #[error("failed to follow the events log")]
    Engine(#[source] EngineError),
    #[error("failed to add to the totals")]
    Step(#[source] CommitErrorKind),
}

async fn next(engine: &dyn Engine, log: &LogName) -> Result<Vec<Entry>, EngineError> {
    let from = engine.position(log, READER).await?;
    let lag = engine.log_end(log).0.saturating_sub(from.0);
    metric::LAG.with(&[]).set(i64::try_from(lag).unwrap_or(i64::MAX));
    engine.read(log, from, BATCH, WAIT).await
}

/// Folds a batch into the totals: one step.
pub(crate) async fn count(engine: &dyn Engine, log: &LogName, entries: Vec<Entry>) -> Result<(), CountError> {
    let Some(last) = entries.last().map(|entry| entry.position) else {
        return Ok(());
    };
    let mut folded = Folded::default();
    let mut skipped = 0;
    for entry in &entries {
        match Event::from_record(&entry.record) {
            Ok(event) => folded.fold(&event),
            Err(error) => {
                skipped += 1;
                error!(position = entry.position.0, %error, "event cannot be decoded and is passed over");
            }
        }
    }
    let mut step = Step::new(step_id(last)).advance(log.clone(), READER, last.next());
    for ((day, who, what), sum) in &folded.sums {
        step = step.add(key(*day, who, *what), *sum, None, Expiry::At(day.expires_at()));
    }
    step.commit(engine).await.map_err(|error| match error.kind {
        CommitErrorKind::Engine(error) => CountError::Engine(error),
        kind @ (CommitErrorKind::Stale { .. }
        | CommitErrorKind::Conflict { .. }
        | CommitErrorKind::Floor { .. }
        | CommitErrorKind::NotACounter { .. }
        | CommitErrorKind::NoRecord { .. }
        | CommitErrorKind::Leased { .. }
        | CommitErrorKind::Full(_)
        | CommitErrorKind::Invalid(_)) => CountError::Step(kind),
    })?;
    show(&folded, skipped);
    Ok(())
}

/// The position says which batch it is; the first half keeps these ids apart from those of records.
fn step_id(last: Position) -> StepId {
    let mut id = *b"counter\0________";
    id.split_at_mut(8).1.copy_from_slice(&last.0.to_be_bytes());
    StepId::from_bytes(id)
}

fn show(folded: &Folded, skipped: u64) {
    for ((client, what), times) in &folded.shown {
        let client = client.as_ref().map_or("-", |client| client.as_str());
        metric::MESSAGES_TOTAL
            .with(&[client, what.as_str()])
            .inc_by(*times);
    }
    let sent = metric::ACCEPT_TO_SENT_SECONDS.with(&[]);
    folded
        .sent_after
        .iter()
        .for_each(|age| sent.observe(age.as_secs_f64()));
    let ended = metric::ACCEPT_TO_FINAL_SECONDS.with(&[]);
    folded
        .ended_after
        .iter()
        .for_each(|age| ended.observe(age.as_secs_f64()));
    metric::SKIPPED_TOTAL.with(&[]).inc_by(skipped);
    metric::FOLDED_TOTAL.with(&[]).inc_by(folded.events);
}
