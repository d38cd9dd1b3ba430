//! What goes into and comes out of a [`QueueIndex`](super::QueueIndex), and what it keeps of a record.
//!
//! Invariant: the codes of [`Reason`] stand on disks; a code never changes its meaning and is never used again.

use super::lanes::FlowId;
use crate::delivery::{Place, RecordId};
use crate::error::CommitErrorKind;
use crate::name::{Lane, QueueName};
use crate::step::{DeadReason, HoldReason, ReleaseReason};
use smsgw_message::{Class, Timestamp};

/// Why a record is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Ready and in flight need none.
    None,
    /// Deferred: published for later.
    Scheduled,
    /// Deferred: it was released.
    Released(ReleaseReason),
    /// Held.
    Held(HoldReason),
    /// Dead letter or corrupt.
    Dead(DeadReason),
}

/// Every reason with its code on disks.
const CODES: [(Reason, u8); 21] = [
    (Reason::None, 0),
    (Reason::Scheduled, 1),
    (Reason::Released(ReleaseReason::Throttled), 16),
    (Reason::Released(ReleaseReason::MobileQueueFull), 17),
    (Reason::Released(ReleaseReason::Temporary), 18),
    (Reason::Released(ReleaseReason::LinkLost), 19),
    (Reason::Released(ReleaseReason::InDoubt), 20),
    (Reason::Released(ReleaseReason::CallbackFailed), 21),
    (Reason::Released(ReleaseReason::BreakerOpen), 22),
    (Reason::Released(ReleaseReason::Contended), 23),
    (Reason::Released(ReleaseReason::Stopping), 24),
    (Reason::Released(ReleaseReason::Instructed), 25),
    (Reason::Held(HoldReason::Instructed), 64),
    (Reason::Held(HoldReason::InDoubt), 65),
    (Reason::Dead(DeadReason::UnknownReceipt), 96),
    (Reason::Dead(DeadReason::NoRoute), 97),
    (Reason::Dead(DeadReason::NoOwner), 98),
    (Reason::Dead(DeadReason::AttemptsExhausted), 99),
    (Reason::Dead(DeadReason::Refused), 100),
    (Reason::Dead(DeadReason::Corrupt), 101),
    (Reason::Dead(DeadReason::Unreadable), 102),
];

impl Reason {
    /// The word in logs, metrics and documentation; empty for no reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Scheduled => "scheduled",
            Self::Released(reason) => reason.as_str(),
            Self::Held(reason) => reason.as_str(),
            Self::Dead(reason) => reason.as_str(),
        }
    }

    /// The octet that stands for it on disks.
    pub fn code(self) -> u8 {
        let release = |reason| match reason {
            ReleaseReason::Throttled => 16,
            ReleaseReason::MobileQueueFull => 17,
            ReleaseReason::Temporary => 18,
            ReleaseReason::LinkLost => 19,
            ReleaseReason::InDoubt => 20,
            ReleaseReason::CallbackFailed => 21,
            ReleaseReason::BreakerOpen => 22,
            ReleaseReason::Contended => 23,
            ReleaseReason::Stopping => 24,
            ReleaseReason::Instructed => 25,
        };
        match self {
            Self::None => 0,
            Self::Scheduled => 1,
            Self::Released(reason) => release(reason),
            Self::Held(HoldReason::Instructed) => 64,
            Self::Held(HoldReason::InDoubt) => 65,
            Self::Dead(DeadReason::UnknownReceipt) => 96,
            Self::Dead(DeadReason::NoRoute) => 97,
            Self::Dead(DeadReason::NoOwner) => 98,
            Self::Dead(DeadReason::AttemptsExhausted) => 99,
            Self::Dead(DeadReason::Refused) => 100,
            Self::Dead(DeadReason::Corrupt) => 101,
            Self::Dead(DeadReason::Unreadable) => 102,
        }
    }

    /// The reason of a code; `None` for a code that no version has written.
    pub fn from_code(code: u8) -> Option<Self> {
        CODES
            .iter()
            .find(|(_, known)| *known == code)
            .map(|(reason, _)| *reason)
    }

    /// Where a record with this reason is.
    pub fn place(self) -> Place {
        match self {
            Self::None => Place::Ready,
            Self::Scheduled | Self::Released(_) => Place::Deferred,
            Self::Held(_) => Place::Held,
            Self::Dead(reason) => reason.place(),
        }
    }
}

/// A record that enters the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Its number; never used before.
    pub id: RecordId,
    /// Its lane.
    pub lane: Lane,
    /// When it was published.
    pub published_at: Timestamp,
    /// Octets of the record.
    pub size: usize,
}

/// Where a record was found at recovery. One that was leased is ready, marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// To be checked out.
    Ready,
    /// Ready later.
    Deferred {
        /// When.
        due: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// Held, dead letter or corrupt; the reason says which.
    Aside {
        /// Why.
        reason: Reason,
        /// Since when.
        since: Timestamp,
    },
}

/// A record as it was found at recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What it was published with.
    pub record: NewRecord,
    /// Where it is.
    pub at: At,
    /// Its attempt.
    pub attempt: u32,
    /// Somebody had it and never said what became of it.
    pub leased_before: bool,
}

/// A record that was just leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// Its number.
    pub id: RecordId,
    /// The token of the lease.
    pub token: u64,
    /// Its lane.
    pub lane: Lane,
    /// Its attempt.
    pub attempt: u32,
    /// Somebody had it before and never said what became of it.
    pub leased_before: bool,
    /// When it was published.
    pub published_at: Timestamp,
    /// Octets of the record.
    pub size: u32,
}

/// All that the index knows of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its number.
    pub id: RecordId,
    /// Its lane.
    pub lane: Lane,
    /// Where it is.
    pub place: Place,
    /// Why it is there.
    pub reason: Reason,
    /// Its attempt.
    pub attempt: u32,
    /// Somebody had it before and never said what became of it.
    pub leased_before: bool,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it becomes ready, for a deferred one.
    pub due: Option<Timestamp>,
    /// Since when it is held, dead or corrupt.
    pub since: Option<Timestamp>,
    /// Octets of the record.
    pub size: u32,
}

/// Why an operation does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Somebody else has the record, or it is gone.
    Stale(RecordId),
    /// The record is not at a place that the operation applies to.
    NoRecord(RecordId),
    /// Somebody has the record under lease.
    Leased(RecordId),
}

impl Refused {
    /// As the error of the step.
    pub fn into_kind(self, queue: &QueueName) -> CommitErrorKind {
        let queue = queue.clone();
        match self {
            Self::Stale(id) => CommitErrorKind::Stale {
                queue,
                record: id.as_u64(),
            },
            Self::NoRecord(id) => CommitErrorKind::NoRecord {
                queue,
                record: id.as_u64(),
            },
            Self::Leased(id) => CommitErrorKind::Leased {
                queue,
                record: id.as_u64(),
            },
        }
    }
}

/// What one operation did: to be finished when its step is durable, or undone when its step is refused.
#[derive(Debug)]
#[must_use = "a change is finished or undone"]
pub struct Change {
    pub(super) id: RecordId,
    pub(super) was: Was,
    pub(super) to: To,
}

impl Change {
    /// Which record.
    pub fn id(&self) -> RecordId {
        self.id
    }
}

/// How a record was before a change.
#[derive(Debug)]
pub(super) enum Was {
    Nothing,
    InFlight(InFlight),
    Aside(Aside),
    /// Ready, and whether it stood in its line: not, when the change that made it ready is not finished.
    Ready(Entry, bool),
    /// Deferred, and whether it was to become due by itself: not, when the change that deferred it is not finished.
    Deferred(Deferred, bool),
}

/// Where a change has put its record.
#[derive(Debug)]
pub(super) enum To {
    Ready,
    Deferred,
    Aside,
    Gone,
}

/// What is kept of every record: 24 octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) published_at: Timestamp,
    pub(super) attempt: u32,
    pub(super) size: u32,
    pub(super) flow: FlowId,
    pub(super) class: Class,
    pub(super) leased_before: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) entry: Entry,
    pub(super) token: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Deferred {
    pub(super) entry: Entry,
    pub(super) due: Timestamp,
    pub(super) reason: Reason,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Aside {
    pub(super) entry: Entry,
    pub(super) reason: Reason,
    pub(super) since: Timestamp,
}
