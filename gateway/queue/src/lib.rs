//! The engine contract: durable queues with lanes, logs read by position, and versioned state, changed by steps.
//!
//! ```text
//!              checkout                    commit(step)
//!   queue ───────────────▶ Delivery ──▶ node ───────────▶ settle input, publish outputs,
//!   ready   lease mark                                    append events, write state: one step
//!     ▲                                                        │
//!     └── release(after, reason) · lease dropped ◀─────────────┘
//! ```
//! Nodes hold an `Arc<dyn Engine>` and know no engine. `memory` is the engine for tests; `conformance` (feature) is
//! the suite that every engine passes. Law 1 lives here: what `commit` answered is durable.

pub mod allotment;
mod bound;
mod bulk;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod delivery;
mod engine;
mod error;
pub mod index;
mod look;
mod memory;
pub mod metric;
mod name;
mod step;
pub mod told;
pub mod transfer;

pub use bound::{Amount, Bound, Bounds, Full, Invalid, MAX_NAME, MAX_RECORD, check};
pub use bulk::{BulkError, Moved, Requeued, move_all, requeue_all};
pub use delivery::{Delivery, Depth, Entry, Lease, LeaseHome, Place, Position, RecordId, Versioned};
pub use engine::{BoxFuture, Committed, Engine, Flows, Health, Want};
pub use error::{CommitError, CommitErrorKind, EngineError};
pub use look::{Browsed, DeadLetters, Held, HoldScope, Look, Page};
pub use memory::{DEAD_LETTER_RETENTION, MemoryEngine};
pub use name::{Flow, Lane, LogName, QueueName, StateKey};
pub use step::{Cost, DeadReason, Expected, Expiry, HoldReason, Op, ReleaseReason, Step, StepId};
