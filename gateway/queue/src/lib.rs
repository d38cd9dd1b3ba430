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

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod delivery;
mod engine;
mod error;
pub mod index;
mod memory;
pub mod metric;
mod name;
mod step;

pub use delivery::{Browsed, Delivery, Depth, Entry, Lease, LeaseHome, Place, Position, RecordId, Versioned};
pub use engine::{BoxFuture, Committed, Engine, Flows, Health, Want};
pub use error::{CommitError, CommitErrorKind, EngineError};
pub use memory::{DEAD_LETTER_RETENTION, MemoryEngine};
pub use name::{Flow, Lane, LogName, QueueName, StateKey};
pub use step::{Cost, DeadReason, Expected, Expiry, HoldReason, Op, ReleaseReason, Step, StepId};
