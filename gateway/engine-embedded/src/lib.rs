//! The engine contract on fjall: durable queues, logs and state in one directory, for one process.
//!
//! ```text
//!   any task                     committer (one thread)                    disk
//!   commit ──▶ inbox ──▶ apply (apply.rs) ─▶ batch ─▶ fdatasync ─▶ publish ─▶ answer
//!   checkout ◀── index (one lock a queue) ◀─────────────────────────┘   leases-*.log ◀─ mark, before handing out
//!   get, read ◀── values, logs in memory ◀──────────────────────────┘   store/  ◀─ misses, on blocking threads
//! ```
//! One thread changes everything; group commit means that it takes what came in while the last sync ran, with no delay
//! added. The index of each queue is the one of `smsgw-queue`, shared with the memory engine.
//!
//! Invariants: what `commit` answered with success is on the disk; what is not on the disk is visible to nobody; after
//! a failed write or sync the engine is poisoned and says nothing but that. This crate does not read the clock, it is
//! given one. On-disk format: format.rs; what groups wrote lately: young.rs; what becomes of older records on the disk: turnover.rs; why
//! nobody waits while fjall frees memory: release.rs.
//!
//! # Limits
//! - After a power cut every record counts as possibly leased (lease marks are not synced; leases.rs).
//! - A record that cannot be read back (a damaged table) is set aside as corrupt when it is checked out; the next start
//!   ends with an error until the directory is repaired.
//! - A log that once existed keeps some hundred octets for ever, so that its positions never return.

mod ahead;
mod apply;
mod bodies;
mod commit;
mod config;
mod dead;
mod engine;
mod families;
mod format;
mod generations;
mod group;
mod inbox;
mod journal;
mod keeper;
mod leases;
mod lock;
mod logs;
mod look;
pub mod metric;
pub mod offline;
mod pace;
mod queues;
mod recover;
mod release;
mod shared;
mod space;
mod store;
mod turnover;
mod values;
mod walk;
mod work;
mod young;

pub use config::{EmbeddedConfig, OpenError, OpenErrorKind};
pub use engine::EmbeddedEngine;
pub use space::SpaceProbe;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic under one of our locks is a defect of the committer (which poisons the engine) or of a caller (whose
/// change is one call of the index): what is behind the lock can still be read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
