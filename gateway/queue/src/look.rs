//! What people see of queues: pages of records, dead letters by reason, what is held.
//!
//! Knows no engine. Invariant: whatever a page leaves out lies behind its `next`.

use crate::bound::Amount;
use crate::delivery::{Place, RecordId};
use crate::index::View;
use crate::name::{Flow, Lane};
use crate::step::{DeadReason, HoldReason};
use bytes::Bytes;
use smsgw_message::Timestamp;

/// Which records of a queue to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// At this place.
    pub place: Place,
    /// Of this flow; `None`: of every flow.
    pub flow: Option<Flow>,
    /// Behind this one.
    pub after: Option<RecordId>,
    /// At most so many.
    pub max: usize,
}

impl Look {
    /// Records one look passes over at most to find those of its flow: a look takes the same time however long the queue
    /// is. Ready records are found without passing over others.
    pub const PASSES: usize = 10_000;

    /// The first `max` records of a place.
    pub const fn at(place: Place, max: usize) -> Self {
        Self {
            place,
            flow: None,
            after: None,
            max,
        }
    }

    /// Only of this flow.
    #[must_use]
    pub fn of(self, flow: impl Into<Flow>) -> Self {
        Self {
            flow: Some(flow.into()),
            ..self
        }
    }

    /// Behind this record.
    #[must_use]
    pub fn behind(self, after: Option<RecordId>) -> Self {
        Self { after, ..self }
    }
}

/// Some records of a queue, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Browsed>,
    /// Where the next page begins ([`Look::behind`]); `None`: there was nothing more. A page of one flow may be short, even
    /// empty, and have a next one.
    pub next: Option<RecordId>,
}

/// A record as people see it when they look into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browsed {
    /// Its number.
    pub id: RecordId,
    /// Its lane.
    pub lane: Lane,
    /// Where it is.
    pub place: Place,
    /// Why it is there; empty for ready and in flight.
    pub reason: &'static str,
    /// Attempts so far.
    pub attempt: u32,
    /// Somebody had it before and never said what became of it.
    pub leased_before: bool,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it becomes ready, for deferred ones.
    pub due: Option<Timestamp>,
    /// Since when it is held, dead or corrupt.
    pub since: Option<Timestamp>,
    /// Octets of the record.
    pub size: u64,
    /// The record itself; empty when it is not readable.
    pub record: Bytes,
    /// False: the engine cannot read it back, its disk is damaged there.
    pub readable: bool,
}

impl Browsed {
    /// For engines: what the index knows of a record, and its octets when they could be read.
    pub fn new(view: View, record: Option<Bytes>) -> Self {
        Self {
            id: view.id,
            lane: view.lane,
            place: view.place,
            reason: view.reason.as_str(),
            attempt: view.attempt,
            leased_before: view.leased_before,
            published_at: view.published_at,
            due: view.due,
            since: view.since,
            size: u64::from(view.size),
            readable: record.is_some(),
            record: record.unwrap_or_default(),
        }
    }
}

/// Dead letters and corrupt records of a queue with one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetters {
    /// Why they are dead.
    pub reason: DeadReason,
    /// How many, how large.
    pub amount: Amount,
}

/// What a hold is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldScope {
    /// The whole queue.
    Queue,
    /// One flow of it, in every class.
    Flow(Flow),
}

impl HoldScope {
    /// The flow, when it is about one.
    pub fn flow(&self) -> Option<&Flow> {
        match self {
            Self::Queue => None,
            Self::Flow(flow) => Some(flow),
        }
    }
}

/// A queue or flow from which nothing is checked out until it is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What is held.
    pub scope: HoldScope,
    /// Why.
    pub reason: HoldReason,
    /// Since when.
    pub since: Timestamp,
}
