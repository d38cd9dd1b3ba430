//! How much an engine takes: bounds of what waits, and what a name or record may measure.
//!
//! ```text
//! accept (no input) ──▶ is its queue, or the engine, at its bound? ── yes ──▶ CommitErrorKind::Full, nothing changed
//! hop (has an input) ──▶ always taken: what is inside must get out, or nothing ever gets better
//! ```
//! A bound is looked at before the step: it is passed by at most what one step publishes. What waits is what is ready, in
//! flight, deferred or held. Dead letters and corrupt records wait for nobody; they have a bound of their own, above which
//! the oldest are deleted, so that what nobody looks at never stops what somebody waits for.
//!
//! Knows no engine. Invariant: what passes [`check`] can be written by every engine.

use crate::name::QueueName;
use crate::step::{Expiry, Op, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use thiserror::Error;

/// Longest name of a queue, flow, log or reader, and longest key of state, in octets.
pub const MAX_NAME: usize = 4096;
/// Longest record, entry of a log, or value of state, in octets.
pub const MAX_RECORD: usize = 16 * 1024 * 1024;

/// So many records with so many octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Records.
    pub records: u64,
    /// Octets of these records.
    pub octets: u64,
}

impl Amount {
    /// This and that together.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            records: self.records.saturating_add(more.records),
            octets: self.octets.saturating_add(more.octets),
        }
    }

    /// This without that.
    #[must_use]
    pub const fn minus(self, less: Self) -> Self {
        Self {
            records: self.records.saturating_sub(less.records),
            octets: self.octets.saturating_sub(less.octets),
        }
    }
}

/// How much may be somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Records, at most.
    pub records: u64,
    /// Octets of these records, at most.
    pub octets: u64,
}

impl Bound {
    /// As much as there is.
    pub const NONE: Self = Self {
        records: u64::MAX,
        octets: u64::MAX,
    };

    /// No more fits in.
    pub const fn is_reached(self, amount: Amount) -> bool {
        amount.records >= self.records || amount.octets >= self.octets
    }

    /// More is there than may be.
    pub const fn is_exceeded(self, amount: Amount) -> bool {
        amount.records > self.records || amount.octets > self.octets
    }
}

/// All bounds of an engine. Can be changed while it runs; a smaller one deletes nothing that waits, it only refuses what
/// comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// What waits in all queues together.
    pub engine: Bound,
    /// What waits in each queue that is not named in `queues`.
    pub queue: Bound,
    /// What waits in these queues.
    pub queues: BTreeMap<QueueName, Bound>,
    /// Queues that always take (an administrator's instructions): a step that publishes to no other queue is refused by
    /// no bound. What waits in them counts.
    pub exempt: BTreeSet<QueueName>,
    /// Dead letters of each queue; its corrupt records have a bound as large of their own. Above it the oldest go.
    pub dead_letters: Bound,
}

impl Bounds {
    /// No bound at all.
    pub const NONE: Self = Self {
        engine: Bound::NONE,
        queue: Bound::NONE,
        queues: BTreeMap::new(),
        exempt: BTreeSet::new(),
        dead_letters: Bound::NONE,
    };

    /// The bound of a queue.
    pub fn of(&self, queue: &QueueName) -> Bound {
        self.queues.get(queue).copied().unwrap_or(self.queue)
    }

    /// Whether a step goes through, or what is full. `engine` is what waits in all queues, `waits` says what waits in one.
    pub fn admit(
        &self,
        step: &Step,
        engine: Amount,
        mut waits: impl FnMut(&QueueName) -> Amount,
    ) -> Result<(), Full> {
        if step.has_input() {
            return Ok(());
        }
        for op in step.ops() {
            let Op::Publish(queue, ..) = op else { continue };
            if self.exempt.contains(queue) {
                continue;
            }
            if self.engine.is_reached(engine) {
                return Err(Full::Engine);
            }
            let bound = self.of(queue);
            if bound != Bound::NONE && bound.is_reached(waits(queue)) {
                return Err(Full::Queue(queue.clone()));
            }
        }
        Ok(())
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::NONE
    }
}

/// What is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Full {
    /// All queues together.
    Engine,
    /// This one.
    Queue(QueueName),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("the engine"),
            Self::Queue(queue) => write!(f, "queue {queue}"),
        }
    }
}

/// A step that no engine can write: a mistake of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// A name, or a key of state, is longer than [`MAX_NAME`].
    #[error("the name of a {what} has {octets} octets, more than {MAX_NAME}")]
    NameTooLong {
        /// Of what.
        what: &'static str,
        /// How long it is.
        octets: usize,
    },
    /// A record, entry or value is longer than [`MAX_RECORD`].
    #[error("a {what} has {octets} octets, more than {MAX_RECORD}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How long it is.
        octets: usize,
    },
}

/// Whether every engine can write what a step says.
pub fn check(step: &Step) -> Result<(), Invalid> {
    let name = |what: &'static str, text: &str| match text.len() {
        octets if octets > MAX_NAME => Err(Invalid::NameTooLong { what, octets }),
        _ => Ok(()),
    };
    let size = |what: &'static str, octets: &[u8]| match octets.len() {
        octets if octets > MAX_RECORD => Err(Invalid::TooLarge { what, octets }),
        _ => Ok(()),
    };
    let expiry = |expiry: &Expiry| match expiry {
        Expiry::Alarm(_, queue, lane) => {
            name("queue", queue.as_str())?;
            name("flow", lane.flow.as_str())
        }
        Expiry::At(_) | Expiry::Owner => Ok(()),
    };
    step.ops().iter().try_for_each(|op| match op {
        Op::Publish(queue, lane, record, _) | Op::Bury(queue, lane, record, _) => {
            name("queue", queue.as_str())?;
            name("flow", lane.flow.as_str())?;
            size("record", record)
        }
        Op::Move(_, _, queue, lane) => {
            name("queue", queue.as_str())?;
            name("flow", lane.flow.as_str())
        }
        Op::HoldAll(queue, scope, _) | Op::ReleaseAll(queue, scope) => {
            name("queue", queue.as_str())?;
            scope.flow().map_or(Ok(()), |flow| name("flow", flow.as_str()))
        }
        Op::Append(log, entry) => {
            name("log", log.as_str())?;
            size("log entry", entry)
        }
        Op::Advance(log, reader, _) => {
            name("log", log.as_str())?;
            name("reader", reader)
        }
        Op::Put(key, value, _, until) => {
            name("key", key.as_str())?;
            size("value", value)?;
            expiry(until)
        }
        Op::Add(key, _, _, until) => {
            name("key", key.as_str())?;
            expiry(until)
        }
        Op::Delete(key, _) => name("key", key.as_str()),
        Op::Settle(_)
        | Op::Release(..)
        | Op::Hold(..)
        | Op::DeadLetter(..)
        | Op::Requeue(..)
        | Op::Discard(..)
        | Op::HoldRecord(..) => Ok(()),
    })
}
