//! A step: what one hop changes, all of it or nothing.
//!
//! Invariant: the same input makes the same [`StepId`], so a hop that is done again after a crash is recognised. The
//! outputs of a step are told apart by their place in it.

use crate::delivery::{Delivery, Lease, RecordId};
use crate::engine::Committed;
use crate::look::HoldScope;
use crate::name::{Lane, LogName, QueueName, StateKey};
use crate::{CommitError, Engine, Position};
use bytes::Bytes;
use smsgw_message::{MessageId, Timestamp};
use std::fmt;
use std::time::Duration;

/// Identity of a step: 16 octets that follow from its input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId([u8; 16]);

impl StepId {
    /// For a step with an input: queue and record say it all.
    pub fn of(delivery: &Delivery) -> Self {
        Self::of_record(delivery.queue(), delivery.id())
    }

    /// For a step whose input is this record.
    pub fn of_record(queue: &QueueName, record: RecordId) -> Self {
        // FNV-1a over the queue's name: stable in every version, which `DefaultHasher` does not promise.
        let hash = queue
            .as_str()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
                (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut id = [0; 16];
        let (queue, number) = id.split_at_mut(8);
        queue.copy_from_slice(&hash.to_be_bytes());
        number.copy_from_slice(&record.as_u64().to_be_bytes());
        Self(id)
    }

    /// The number of the record that a step had as its input, when the step is one [`StepId::of`] it. What such a step
    /// published has higher numbers.
    pub fn input_number(&self) -> RecordId {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        RecordId::from_u64(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// For an accept: the id of the message is the identity of the step.
    pub fn accept(message: MessageId) -> Self {
        Self(*message.as_bytes())
    }

    /// From 16 octets that are unique by other means.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 octets.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Why a record goes back to its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReleaseReason {
    /// The carrier asked us to slow down.
    Throttled,
    /// The carrier's queue for this phone is full.
    MobileQueueFull,
    /// The carrier or target failed in a way that may pass.
    Temporary,
    /// The link went away before the record was written to it.
    LinkLost,
    /// Written to the carrier and never answered; the operator's policy is to send again.
    InDoubt,
    /// A callback was not answered 2xx.
    CallbackFailed,
    /// The circuit breaker of the target is open.
    BreakerOpen,
    /// State changed under the hop; it is tried again.
    Contended,
    /// The node stops.
    Stopping,
    /// An administrator released it.
    Instructed,
}

impl ReleaseReason {
    /// The word in logs, metrics and documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::MobileQueueFull => "mobile_queue_full",
            Self::Temporary => "temporary",
            Self::LinkLost => "link_lost",
            Self::InDoubt => "in_doubt",
            Self::CallbackFailed => "callback_failed",
            Self::BreakerOpen => "breaker_open",
            Self::Contended => "contended",
            Self::Stopping => "stopping",
            Self::Instructed => "instructed",
        }
    }
}

/// Why a record is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldReason {
    /// An administrator asked for it.
    Instructed,
    /// In doubt, and a person is to decide.
    InDoubt,
}

impl HoldReason {
    /// The word in logs, metrics and documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instructed => "instructed",
            Self::InDoubt => "in_doubt",
        }
    }
}

/// Why a record became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadReason {
    /// A receipt whose id belongs to nothing we know.
    UnknownReceipt,
    /// An MO that no route takes.
    NoRoute,
    /// Its client or operator is no longer configured.
    NoOwner,
    /// The target could not be reached within the retry ladder.
    AttemptsExhausted,
    /// The target refused for good.
    Refused,
    /// Not to be decoded.
    Corrupt,
    /// The engine could not read it back: its disk is damaged there.
    Unreadable,
}

impl DeadReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::UnknownReceipt,
        Self::NoRoute,
        Self::NoOwner,
        Self::AttemptsExhausted,
        Self::Refused,
        Self::Corrupt,
        Self::Unreadable,
    ];

    /// The word in logs, metrics and documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownReceipt => "unknown_receipt",
            Self::NoRoute => "no_route",
            Self::NoOwner => "no_owner",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::Refused => "refused",
            Self::Corrupt => "corrupt",
            Self::Unreadable => "unreadable",
        }
    }

    /// The place that a record with this reason goes to.
    pub fn place(self) -> crate::Place {
        match self {
            Self::UnknownReceipt
            | Self::NoRoute
            | Self::NoOwner
            | Self::AttemptsExhausted
            | Self::Refused => crate::Place::DeadLetter,
            Self::Corrupt | Self::Unreadable => crate::Place::Corrupt,
        }
    }
}

/// Whether a release counts as an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cost {
    /// It does not: nobody's fault.
    Free,
    /// It does: [`Delivery::attempt`] grows by one.
    Counted,
}

/// What must be true of a key for the step to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Nothing is there.
    Absent,
    /// This version is there.
    Version(u64),
    /// What this step wrote is there: for steps of one commit call that build on each other, whose versions nobody
    /// knows yet. When the first one does not go through, neither does the second.
    WrittenBy(StepId),
    /// Whatever is there is replaced. Only where the writer is alone by design.
    Any,
}

/// When state goes away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// Deleted at this time.
    At(Timestamp),
    /// At this time the key's text is published as a record to the queue, in the lane, once; the value stays, without
    /// expiry, for the consumer of that queue to rewrite or delete. A later write of the key replaces the alarm.
    Alarm(Timestamp, QueueName, Lane),
    /// Its owner deletes it.
    Owner,
}

/// One change of a step.
#[derive(Debug, Clone)]
pub enum Op {
    /// The input is done with.
    Settle(Lease),
    /// The input goes back: ready after this time.
    Release(Lease, Duration, ReleaseReason, Cost),
    /// The input waits for a person.
    Hold(Lease, HoldReason),
    /// The input is kept as a dead letter or as corrupt.
    DeadLetter(Lease, DeadReason),
    /// A new record, ready now or at the given time.
    Publish(QueueName, Lane, Bytes, Option<Timestamp>),
    /// A new record that is a dead letter from the start.
    Bury(QueueName, Lane, Bytes, DeadReason),
    /// A held record or dead letter becomes ready again.
    Requeue(QueueName, RecordId),
    /// A held record, dead letter or corrupt record is deleted. So is a ready or deferred one, as long as it is certain that
    /// nobody has handled it: one under lease is refused ([`CommitErrorKind::Leased`](crate::CommitErrorKind::Leased)), and
    /// one whose lease was lost ([`Delivery::leased_before_crash`]) is no such record.
    Discard(QueueName, RecordId),
    /// A ready or deferred record waits for a person, who requeues or discards it. One under lease is refused
    /// ([`CommitErrorKind::Leased`](crate::CommitErrorKind::Leased)): who has it says what becomes of it.
    HoldRecord(QueueName, RecordId, HoldReason),
    /// Nothing of the scope is checked out until it is released, whether it has records yet or not. Records come in, fall
    /// due, and stay; what is under lease is not called back. A scope that is held already keeps its reason and time.
    HoldAll(QueueName, HoldScope, HoldReason),
    /// The scope is checked out again. Nothing happens when it is not held. A held flow of a held queue stays held.
    ReleaseAll(QueueName, HoldScope),
    /// A record goes from a queue to a lane of another one (or of the same), as it is: it keeps its number, place, reason,
    /// attempts, due time and the time it was published, and so its age among the records of its new lane. One under lease
    /// is refused.
    Move(QueueName, RecordId, QueueName, Lane),
    /// A new entry at the end of a log.
    Append(LogName, Bytes),
    /// The reader has done everything before this position. A reader exists from its first advance on; the log is
    /// trimmed behind its slowest reader.
    Advance(LogName, &'static str, Position),
    /// Writes a value if what is expected is there.
    Put(StateKey, Bytes, Expected, Expiry),
    /// Deletes a key if what is expected is there.
    Delete(StateKey, Expected),
    /// Adds to a counter (an absent one is 0); refused when the sum would be below the floor. The sum is told by
    /// [`Committed::sums`]. A step that was done before (a compare before this change found what the step itself wrote)
    /// adds nothing again.
    Add(StateKey, i64, Option<i64>, Expiry),
}

/// What one hop changes. Built up, then committed.
#[derive(Debug, Clone)]
#[must_use = "a step does nothing until it is committed"]
pub struct Step {
    id: StepId,
    ops: Vec<Op>,
}

impl Step {
    /// An empty step.
    pub fn new(id: StepId) -> Self {
        Self {
            id,
            ops: Vec::with_capacity(6),
        }
    }

    /// A step whose input is this delivery. What becomes of the input must be said by one of `settle`, `release`,
    /// `hold` and `dead_letter`. The delivery must be kept until the commit has answered: dropping it gives it back.
    pub fn from(delivery: &Delivery) -> Self {
        Self::new(StepId::of(delivery))
    }

    /// Its identity.
    pub fn id(&self) -> StepId {
        self.id
    }

    /// Its changes, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// It follows from something that is inside already: it settles, releases, holds, moves, discards or reads on. A step
    /// without an input lets something in, and may be refused by a bound.
    pub fn has_input(&self) -> bool {
        self.ops.iter().any(|op| match op {
            Op::Settle(_)
            | Op::Release(..)
            | Op::Hold(..)
            | Op::DeadLetter(..)
            | Op::Requeue(..)
            | Op::Discard(..)
            | Op::HoldRecord(..)
            | Op::Move(..)
            | Op::Advance(..) => true,
            Op::HoldAll(..)
            | Op::ReleaseAll(..)
            | Op::Publish(..)
            | Op::Bury(..)
            | Op::Append(..)
            | Op::Put(..)
            | Op::Delete(..)
            | Op::Add(..) => false,
        })
    }

    /// Its changes, in order.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// A step of these changes. For whoever has a lease and no delivery.
    pub fn of_ops(id: StepId, ops: Vec<Op>) -> Self {
        Self { id, ops }
    }

    fn with(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// The input is done with.
    pub fn settle(self, delivery: &Delivery) -> Self {
        self.with(Op::Settle(delivery.lease()))
    }

    /// The input goes back and is ready again after `after`.
    pub fn release(self, delivery: &Delivery, after: Duration, reason: ReleaseReason, cost: Cost) -> Self {
        self.with(Op::Release(delivery.lease(), after, reason, cost))
    }

    /// The input waits for a person.
    pub fn hold(self, delivery: &Delivery, reason: HoldReason) -> Self {
        self.with(Op::Hold(delivery.lease(), reason))
    }

    /// The input is kept as a dead letter, or as corrupt when that is the reason.
    pub fn dead_letter(self, delivery: &Delivery, reason: DeadReason) -> Self {
        self.with(Op::DeadLetter(delivery.lease(), reason))
    }

    /// A new record.
    pub fn publish(self, queue: impl Into<QueueName>, lane: Lane, record: Bytes) -> Self {
        self.with(Op::Publish(queue.into(), lane, record, None))
    }

    /// A new record that becomes ready at `at`.
    pub fn publish_at(self, queue: impl Into<QueueName>, lane: Lane, record: Bytes, at: Timestamp) -> Self {
        self.with(Op::Publish(queue.into(), lane, record, Some(at)))
    }

    /// A new record that is a dead letter from the start.
    pub fn bury(self, queue: impl Into<QueueName>, lane: Lane, record: Bytes, reason: DeadReason) -> Self {
        self.with(Op::Bury(queue.into(), lane, record, reason))
    }

    /// A held record or dead letter becomes ready again.
    pub fn requeue(self, queue: impl Into<QueueName>, record: RecordId) -> Self {
        self.with(Op::Requeue(queue.into(), record))
    }

    /// A held record, dead letter or corrupt record is deleted, or one that waits and was surely not handled.
    pub fn discard(self, queue: impl Into<QueueName>, record: RecordId) -> Self {
        self.with(Op::Discard(queue.into(), record))
    }

    /// A ready or deferred record waits for a person.
    pub fn hold_record(self, queue: impl Into<QueueName>, record: RecordId, reason: HoldReason) -> Self {
        self.with(Op::HoldRecord(queue.into(), record, reason))
    }

    /// Nothing of the scope is checked out until it is released.
    pub fn hold_all(self, queue: impl Into<QueueName>, scope: HoldScope, reason: HoldReason) -> Self {
        self.with(Op::HoldAll(queue.into(), scope, reason))
    }

    /// The scope is checked out again.
    pub fn release_all(self, queue: impl Into<QueueName>, scope: HoldScope) -> Self {
        self.with(Op::ReleaseAll(queue.into(), scope))
    }

    /// A record goes to a lane of another queue, as it is.
    pub fn move_record(
        self,
        queue: impl Into<QueueName>,
        record: RecordId,
        to: impl Into<QueueName>,
        lane: Lane,
    ) -> Self {
        self.with(Op::Move(queue.into(), record, to.into(), lane))
    }

    /// A new entry at the end of a log.
    pub fn append(self, log: impl Into<LogName>, entry: Bytes) -> Self {
        self.with(Op::Append(log.into(), entry))
    }

    /// The reader has done everything before `position`.
    pub fn advance(self, log: impl Into<LogName>, reader: &'static str, position: Position) -> Self {
        self.with(Op::Advance(log.into(), reader, position))
    }

    /// Writes a value whatever was there. Only where the writer is alone by design.
    pub fn put(self, key: impl Into<StateKey>, value: Bytes, expiry: Expiry) -> Self {
        self.with(Op::Put(key.into(), value, Expected::Any, expiry))
    }

    /// Writes a value if what is expected is there.
    pub fn compare_and_put(
        self,
        key: impl Into<StateKey>,
        expected: Expected,
        value: Bytes,
        expiry: Expiry,
    ) -> Self {
        self.with(Op::Put(key.into(), value, expected, expiry))
    }

    /// Deletes a key if what is expected is there.
    pub fn delete(self, key: impl Into<StateKey>, expected: Expected) -> Self {
        self.with(Op::Delete(key.into(), expected))
    }

    /// Adds to a counter.
    pub fn add(self, key: impl Into<StateKey>, delta: i64, floor: Option<i64>, expiry: Expiry) -> Self {
        self.with(Op::Add(key.into(), delta, floor, expiry))
    }

    /// Commits this step alone.
    pub async fn commit(self, engine: &dyn Engine) -> Result<Committed, CommitError> {
        engine
            .commit(vec![self])
            .await
            .pop()
            .expect("one answer for each step")
    }
}
