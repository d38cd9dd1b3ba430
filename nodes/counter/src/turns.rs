//! The loop of a reader that works in turns, and what it does when the engine does not: wait for room, end with the node, or
//! fail and be started again.
//!
//! Invariant TU-1: a reader is ready once it holds its logs. What it fails at later holds up nobody else: the events wait for it.

use smsgw_queue::{CommitErrorKind, EngineError, Position};
use smsgw_runtime::{ChildContext, ChildError};
use std::time::Duration;
use tracing::warn;

/// After a batch that was not full: what comes meanwhile goes into one step.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

/// Events that are worked on in one go: less than half a millisecond of a thread that others wait for.
const IN_ONE_GO: u64 = 128;

/// Asked before each event of a batch: after some of them others get the thread.
pub(crate) async fn give_way(event: Position) {
    if event.0.is_multiple_of(IN_ONE_GO) {
        tokio::task::yield_now().await;
    }
}

/// A reader of logs.
pub(crate) trait Reader: Send {
    /// Becomes a reader of its logs where it stands: from here on nothing is trimmed that was not read.
    fn hold(&self) -> impl Future<Output = Result<(), CommitErrorKind>> + Send;

    /// Waits for something, and does one step. True: there may be more at once.
    fn turn(&mut self) -> impl Future<Output = Result<bool, CommitErrorKind>> + Send;
}

pub(crate) async fn follow(ctx: ChildContext, mut reader: impl Reader) -> Result<(), ChildError> {
    while let Err(error) = reader.hold().await {
        if pause_or_fail(&ctx, error).await? {
            return Ok(());
        }
    }
    ctx.ready();
    loop {
        let worked = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            worked = reader.turn() => worked,
        };
        match worked {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    biased;
                    () = ctx.draining() => return Ok(()),
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
            Err(error) => {
                if pause_or_fail(&ctx, error).await? {
                    return Ok(());
                }
            }
        }
    }
}

/// A full disk is waited for, a poisoned engine ends the process, all else restarts the task. True: the node drains.
pub(crate) async fn pause_or_fail(ctx: &ChildContext, error: CommitErrorKind) -> Result<bool, ChildError> {
    match error {
        CommitErrorKind::Engine(EngineError::NoSpace) => {
            warn!("disk is full, credit and numbers wait for room");
            tokio::select! {
                () = ctx.draining() => Ok(true),
                () = tokio::time::sleep(NO_SPACE_PAUSE) => Ok(false),
            }
        }
        CommitErrorKind::Engine(error @ EngineError::Poisoned(_)) => Err(ChildError::fatal(error)),
        CommitErrorKind::Engine(EngineError::Closed) if ctx.is_draining() => Ok(true),
        error @ (CommitErrorKind::Engine(EngineError::Closed | EngineError::Read(_))
        | CommitErrorKind::Stale { .. }
        | CommitErrorKind::Conflict { .. }
        | CommitErrorKind::Floor { .. }
        | CommitErrorKind::NotACounter { .. }
        | CommitErrorKind::NoRecord { .. }
        | CommitErrorKind::Leased { .. }
        | CommitErrorKind::Full(_)
        | CommitErrorKind::Invalid(_)) => Err(error.into()),
    }
}
