//! Moving and requeueing many records: page by page, a bounded commit for each.
//!
//! Every record is a step of its own, so one that somebody took meanwhile stops no other. Safe to repeat after a crash:
//! what was moved or requeued is no longer where it is looked for. Knows no engine.

use crate::delivery::RecordId;
use crate::engine::Engine;
use crate::error::{CommitErrorKind, EngineError};
use crate::look::{Browsed, Look};
use crate::name::{Lane, QueueName};
use crate::step::{Step, StepId};
use thiserror::Error;

/// Records of one page, and steps of one commit.
const BATCH: usize = 256;

/// What a move of many records did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Records that were moved.
    pub records: u64,
    /// Octets of these.
    pub octets: u64,
    /// Records that were chosen, and that somebody took, settled or moved meanwhile.
    pub passed_over: u64,
    /// Where to go on; `None`: the end was reached.
    pub next: Option<RecordId>,
}

/// What a requeue of many records did: as [`Moved`].
pub type Requeued = Moved;

/// Many records were not done to their end.
#[derive(Debug, Error)]
#[error("failed after {} records", .done.records)]
pub struct BulkError {
    /// What was done before; it stays done.
    pub done: Moved,
    /// What happened.
    #[source]
    pub kind: CommitErrorKind,
}

/// Moves records of `from` that `look` finds to `to`, into the lane that `choose` gives them; those for which it gives none
/// stay. At most `look.max` records, oldest first; [`Moved::next`] is for the next call ([`Look::behind`]).
///
/// ```ignore
/// let look = Look::at(Place::Ready, 100_000).of("acme");
/// let moved = move_all(engine, &from, &to, look, |seen| Some(seen.lane.clone())).await?;
/// ```
///
/// # Errors
/// The engine's refusal, with what was done before. What is under lease cannot be moved: looking at
/// [`Place::InFlight`](crate::Place::InFlight) moves nothing and passes everything over.
pub async fn move_all(
    engine: &dyn Engine,
    from: &QueueName,
    to: &QueueName,
    look: Look,
    mut choose: impl FnMut(&Browsed) -> Option<Lane>,
) -> Result<Moved, BulkError> {
    let source = QueueName::from(format!("move {from} {to}"));
    let change = |seen: &Browsed| {
        let lane = choose(seen)?;
        let step = Step::new(StepId::of_record(&source, seen.id));
        Some(step.move_record(from.clone(), seen.id, to.clone(), lane))
    };
    each(engine, from, look, change).await
}

/// Requeues held records or dead letters of `queue` that `look` finds and `choose` takes. At most `look.max` records, oldest
/// first.
///
/// # Errors
/// The engine's refusal, with what was done before.
pub async fn requeue_all(
    engine: &dyn Engine,
    queue: &QueueName,
    look: Look,
    mut choose: impl FnMut(&Browsed) -> bool,
) -> Result<Requeued, BulkError> {
    let source = QueueName::from(format!("requeue {queue}"));
    let change = |seen: &Browsed| {
        let step = Step::new(StepId::of_record(&source, seen.id));
        choose(seen).then(|| step.requeue(queue.clone(), seen.id))
    };
    each(engine, queue, look, change).await
}

async fn each(
    engine: &dyn Engine,
    queue: &QueueName,
    look: Look,
    mut change: impl FnMut(&Browsed) -> Option<Step>,
) -> Result<Moved, BulkError> {
    let mut done = Moved {
        next: look.after,
        ..Moved::default()
    };
    let fail = |done: Moved, kind: CommitErrorKind| BulkError { done, kind };
    let mut left = look.max;
    while left > 0 {
        let page = Look {
            max: left.min(BATCH),
            after: done.next,
            ..look.clone()
        };
        let page = engine
            .look(queue, page)
            .await
            .map_err(|error| fail(done, error.into()))?;
        let chosen: Vec<(u64, Step)> = page
            .records
            .iter()
            .filter_map(|seen| Some((seen.size, change(seen)?)))
            .collect();
        let (sizes, steps): (Vec<u64>, Vec<Step>) = chosen.into_iter().unzip();
        left = left.saturating_sub(steps.len());
        for (size, answer) in sizes.into_iter().zip(engine.commit(steps).await) {
            match answer.map_err(|error| error.kind) {
                Ok(_) => {
                    done.records = done.records.saturating_add(1);
                    done.octets = done.octets.saturating_add(size);
                }
                Err(
                    CommitErrorKind::NoRecord { .. }
                    | CommitErrorKind::Leased { .. }
                    | CommitErrorKind::Stale { .. },
                ) => done.passed_over = done.passed_over.saturating_add(1),
                Err(
                    kind @ (CommitErrorKind::Conflict { .. }
                    | CommitErrorKind::Floor { .. }
                    | CommitErrorKind::NotACounter { .. }
                    | CommitErrorKind::Full(_)
                    | CommitErrorKind::Invalid(_)
                    | CommitErrorKind::Engine(
                        EngineError::NoSpace
                        | EngineError::Poisoned(_)
                        | EngineError::Closed
                        | EngineError::Read(_),
                    )),
                ) => return Err(fail(done, kind)),
            }
        }
        done.next = page.next;
        if page.next.is_none() {
            break;
        }
    }
    Ok(done)
}
