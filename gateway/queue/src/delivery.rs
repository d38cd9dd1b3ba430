//! What an engine hands out: deliveries under lease, log entries, versioned values, and where records are.
//!
//! Invariant: a [`Delivery`] that is dropped without a committed step goes back to its queue, marked as possibly
//! handled; one that was committed is gone from the queue before its drop, which then changes nothing.

use crate::name::{Lane, QueueName};
use crate::step::StepId;
use bytes::Bytes;
use smsgw_message::Timestamp;
use std::fmt;
use std::sync::Arc;

/// Number of a record inside its engine: grows with time, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(u64);

impl RecordId {
    /// From its number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// Where in a log: the position of the next entry to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// The right to say what becomes of one record. Only as good as its token: a lease that was given back is stale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Which queue.
    pub queue: QueueName,
    /// Which record.
    pub record: RecordId,
    /// Which checkout of it.
    pub token: u64,
}

/// Where leases go back to when a delivery is dropped. Implemented by engines.
pub trait LeaseHome: Send + Sync {
    /// The delivery is gone. When the lease is still good, the record becomes ready again, marked as possibly handled.
    fn abandoned(&self, lease: Lease);
}

/// A record under lease, for as long as this value lives.
pub struct Delivery {
    /// What becomes of it is said with this.
    lease: Lease,
    home: Arc<dyn LeaseHome>,
    lane: Lane,
    record: Bytes,
    attempt: u32,
    leased_before_crash: bool,
    published_at: Timestamp,
}

impl Delivery {
    /// For engines: a record that was just leased.
    pub fn new(
        home: Arc<dyn LeaseHome>,
        lease: Lease,
        lane: Lane,
        record: Bytes,
        attempt: u32,
        leased_before_crash: bool,
        published_at: Timestamp,
    ) -> Self {
        Self {
            lease,
            home,
            lane,
            record,
            attempt,
            leased_before_crash,
            published_at,
        }
    }

    /// Its number.
    pub fn id(&self) -> RecordId {
        self.lease.record
    }

    /// Its queue.
    pub fn queue(&self) -> &QueueName {
        &self.lease.queue
    }

    /// Its lane.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The record itself.
    pub fn record(&self) -> &Bytes {
        &self.record
    }

    /// 1 at first; grows with each release at a cost.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Somebody had it before and never said what became of it: a crash, a panic. It may have been handled.
    pub fn leased_before_crash(&self) -> bool {
        self.leased_before_crash
    }

    /// When it was published.
    pub fn published_at(&self) -> Timestamp {
        self.published_at
    }

    /// The lease, for a step.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.home.abandoned(self.lease.clone());
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("queue", &self.lease.queue)
            .field("id", &self.lease.record.0)
            .field("attempt", &self.attempt)
            .field("leased_before_crash", &self.leased_before_crash)
            .field("octets", &self.record.len())
            .finish_non_exhaustive()
    }
}

/// An entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place; the reader that has done it advances to the next one.
    pub position: Position,
    /// What was appended.
    pub record: Bytes,
}

impl Position {
    /// The position after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A value of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// What was written.
    pub value: Bytes,
    /// Changes with every write of the key and never returns to an earlier number.
    pub version: u64,
    /// The step that wrote it.
    pub written_by: StepId,
}

impl Versioned {
    /// The number of a counter written with `add`; `None` when the value is none.
    pub fn as_counter(&self) -> Option<i64> {
        Some(i64::from_be_bytes(self.value.as_ref().try_into().ok()?))
    }
}

/// Where a record of a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// To be checked out.
    Ready,
    /// Under lease.
    InFlight,
    /// Ready later.
    Deferred,
    /// Until a person releases it.
    Held,
    /// Given up, kept for people.
    DeadLetter,
    /// Not to be decoded, kept for people.
    Corrupt,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 6] = [
        Self::Ready,
        Self::InFlight,
        Self::Deferred,
        Self::Held,
        Self::DeadLetter,
        Self::Corrupt,
    ];

    /// The word in logs, metrics and documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::InFlight => "in_flight",
            Self::Deferred => "deferred",
            Self::Held => "held",
            Self::DeadLetter => "dead_letter",
            Self::Corrupt => "corrupt",
        }
    }
}

/// How many records of a queue are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// To be checked out.
    pub ready: u64,
    /// Under lease.
    pub in_flight: u64,
    /// Ready later.
    pub deferred: u64,
    /// Until a person releases them.
    pub held: u64,
    /// Given up, kept.
    pub dead_letter: u64,
    /// Not to be decoded, kept.
    pub corrupt: u64,
    /// Octets of all of them.
    pub octets: u64,
    /// Holds of the queue and of flows of it ([`Engine::holds`](crate::Engine::holds) names them). Not 0: records that are
    /// ready may be kept back.
    pub holds: u64,
}

impl Depth {
    /// The number at one place.
    pub fn at(&self, place: Place) -> u64 {
        match place {
            Place::Ready => self.ready,
            Place::InFlight => self.in_flight,
            Place::Deferred => self.deferred,
            Place::Held => self.held,
            Place::DeadLetter => self.dead_letter,
            Place::Corrupt => self.corrupt,
        }
    }
}
