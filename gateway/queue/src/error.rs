//! What can go wrong in an engine, told so that a node can decide what to do.

use crate::bound::{Full, Invalid};
use crate::name::{QueueName, StateKey};
use crate::step::StepId;
use thiserror::Error;

/// A step did not go through; nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("failed to commit step {step:?}")]
pub struct CommitError {
    /// Which step.
    pub step: StepId,
    /// What happened.
    #[source]
    pub kind: CommitErrorKind,
}

/// Why a step did not go through.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommitErrorKind {
    /// Somebody else has the record, or it is gone. What this hop did is void.
    #[error("the lease on record {record} of {queue} is stale")]
    Stale {
        /// Which queue.
        queue: QueueName,
        /// Which record.
        record: u64,
    },
    /// The key is not what the step expected: read again and decide again.
    #[error("state under {key} has another version than expected")]
    Conflict {
        /// Which key.
        key: StateKey,
    },
    /// The counter would go below its floor.
    #[error("counter {key} would go below its floor")]
    Floor {
        /// Which key.
        key: StateKey,
    },
    /// The value under the key is no counter.
    #[error("state under {key} is not a counter")]
    NotACounter {
        /// Which key.
        key: StateKey,
    },
    /// No such record at a place that this change applies to.
    #[error("no record {record} in {queue} that can be moved so")]
    NoRecord {
        /// Which queue.
        queue: QueueName,
        /// Which record.
        record: u64,
    },
    /// Somebody has the record under lease, and says what becomes of it.
    #[error("record {record} of {queue} is under lease")]
    Leased {
        /// Which queue.
        queue: QueueName,
        /// Which record.
        record: u64,
    },
    /// The step lets something in where a bound is reached. It may go through later.
    #[error("{0} has reached its bound")]
    Full(Full),
    /// The step can never go through: a mistake of its writer.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The engine itself refuses.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why an engine refuses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    /// Less free disk space than configured; steps that only settle still go through.
    #[error("less disk space is free than min_free_disk")]
    NoSpace,
    /// A sync failed: nothing written since is certain. The process must end and recover.
    #[error("the engine is poisoned by a failed write or sync: {0}")]
    Poisoned(String),
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
    /// A read failed.
    #[error("failed to read from the engine: {0}")]
    Read(String),
}
