//! What a task does when the engine does not: wait for room, end with the node, or fail.

use smsgw_queue::{CommitErrorKind, EngineError};
use smsgw_runtime::{ChildContext, ChildError};
use std::time::Duration;
use tracing::warn;

/// How long to wait when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

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
