//! What a hop has decided: the step to commit, what becomes of its input, and what is to be counted once it went
//! through; and the view of state it decides by.
//!
//! Values only: no engine is called here, which is what lets the deciding code be tested without one.
//! Invariant OC-1: nothing is counted or logged before its step is durable, so a step that is decided again counts once.

use crate::metric;
use rustc_hash::FxHashMap;
use smsgw_message::{ClientId, Event, EventName, MessageId, OperatorId, Record, RecordError, names};
use smsgw_queue::{DeadReason, Expected, StateKey, Step, StepId, Versioned};
use tracing::{debug, error, warn};

/// Values of the keys that were read for a batch.
#[derive(Debug, Default)]
pub(crate) struct View {
    values: FxHashMap<StateKey, Option<Versioned>>,
}

/// A value as it was read, and what a write of it must expect.
#[derive(Debug)]
pub(crate) struct Seen<R> {
    pub(crate) record: Option<R>,
    pub(crate) expected: Expected,
}

impl View {
    pub(crate) fn insert(&mut self, key: StateKey, value: Option<Versioned>) {
        self.values.insert(key, value);
    }

    pub(crate) fn has(&self, key: &StateKey) -> bool {
        self.values.contains_key(key)
    }

    /// The record under a key. A key that was not read counts as absent: a write then fails as a conflict and the
    /// hop is decided again.
    pub(crate) fn read<R: Record>(&self, key: &StateKey) -> Result<Seen<R>, RecordError> {
        match self.values.get(key).and_then(Option::as_ref) {
            None => Ok(Seen {
                record: None,
                expected: Expected::Absent,
            }),
            Some(there) => Ok(Seen {
                record: Some(R::from_record(&there.value)?),
                expected: Expected::Version(there.version),
            }),
        }
    }
}

/// What becomes of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done with.
    Settle,
    /// It is kept for people.
    Dead(DeadReason),
}

/// Something to count when the step is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// An event was appended.
    Happened(EventName, Option<MessageId>),
    /// Receipts that belong to nothing.
    Unknown(OperatorId),
    /// A receipt waits for the answer to its submit.
    Parked(OperatorId),
    /// Something came for a part that was final.
    Duplicate(OperatorId, MessageId, u32),
    /// A carrier gave an id twice.
    IdReused(OperatorId, MessageId),
    /// The message of a submit result is gone.
    Orphaned(OperatorId, MessageId),
    /// A report has no target.
    ReportWithoutTarget(ClientId, MessageId),
    /// No route takes an MO.
    MoUnroutable(OperatorId, MessageId),
    /// The client of an MO has no target.
    MoWithoutTarget(ClientId, MessageId),
    /// A part of an MO came again.
    MoPartDuplicate(OperatorId, MessageId),
    /// An MO was delivered without all its parts.
    MoIncomplete(OperatorId, MessageId),
    /// A value of state cannot be decoded.
    CorruptState(StateKey, String),
}

impl Note {
    /// Counts and logs it; `queue` is where the input came from.
    pub(crate) fn say(&self, queue: &str) {
        match self {
            Self::Happened(name, Some(message)) => {
                debug!(message_id = %message, event = name.as_str(), "step committed")
            }
            Self::Happened(name, None) => debug!(event = name.as_str(), "step committed"),
            Self::Unknown(operator) => {
                metric::RECEIPTS_UNKNOWN_TOTAL.with(&[operator.as_str()]).inc();
                debug!(%operator, "receipt belongs to nothing we sent, kept as dead letter");
            }
            Self::Parked(operator) => {
                metric::RECEIPTS_PARKED_TOTAL.with(&[operator.as_str()]).inc();
                debug!(%operator, "receipt parked until the answer to its submit");
            }
            Self::Duplicate(operator, message, times) => {
                metric::RECEIPTS_DUPLICATE_TOTAL
                    .with(&[operator.as_str()])
                    .inc_by(u64::from(*times));
                debug!(message_id = %message, %operator, "nothing changed: the part was final already");
            }
            Self::IdReused(operator, message) => {
                metric::CARRIER_IDS_REUSED_TOTAL.with(&[operator.as_str()]).inc();
                debug!(message_id = %message, %operator, "carrier id was in use for another part");
            }
            Self::Orphaned(operator, message) => {
                metric::RESULTS_ORPHANED_TOTAL.with(&[operator.as_str()]).inc();
                warn!(message_id = %message, %operator, "submit result of a message that is gone, kept as dead letter");
            }
            Self::ReportWithoutTarget(client, message) => {
                metric::REPORTS_WITHOUT_TARGET_TOTAL
                    .with(&[client.as_str()])
                    .inc();
                debug!(message_id = %message, %client, "report has no target");
            }
            Self::MoUnroutable(operator, message) => {
                metric::MO_UNROUTABLE_TOTAL.with(&[operator.as_str()]).inc();
                debug!(message_id = %message, %operator, "no route takes the message, kept as dead letter");
            }
            Self::MoWithoutTarget(client, message) => {
                metric::MO_WITHOUT_TARGET_TOTAL.with(&[client.as_str()]).inc();
                debug!(message_id = %message, %client, "client has no target for messages, kept as dead letter");
            }
            Self::MoPartDuplicate(operator, message) => {
                metric::MO_PARTS_DUPLICATE_TOTAL.with(&[operator.as_str()]).inc();
                debug!(message_id = %message, %operator, "part of a long message came again");
            }
            Self::MoIncomplete(operator, message) => {
                metric::MO_INCOMPLETE_TOTAL.with(&[operator.as_str()]).inc();
                debug!(message_id = %message, %operator, "long message given down without all its parts");
            }
            Self::CorruptState(key, error) => {
                metric::CORRUPT_TOTAL.with(&[queue]).inc();
                error!(%key, error, "state cannot be decoded, the input is kept as corrupt");
            }
        }
    }
}

/// A decision in the making.
#[derive(Debug)]
#[must_use = "an outcome does nothing until its step is committed"]
pub(crate) struct Outcome {
    pub(crate) step: Step,
    pub(crate) fate: Fate,
    pub(crate) notes: Vec<Note>,
}

impl Outcome {
    /// Nothing decided yet; the input will be settled.
    pub(crate) fn new(step: StepId) -> Self {
        Self {
            step: Step::new(step),
            fate: Fate::Settle,
            notes: Vec::new(),
        }
    }

    /// Nothing but: the input is kept for people.
    pub(crate) fn dead(self, reason: DeadReason) -> Self {
        Self {
            fate: Fate::Dead(reason),
            ..Self::new(self.step.id())
        }
    }

    /// Nothing but: a value under `key` stands in the way and the input is kept as corrupt.
    pub(crate) fn corrupt(self, key: &StateKey, error: &RecordError) -> Self {
        self.dead(DeadReason::Corrupt)
            .note(Note::CorruptState(key.clone(), error.to_string()))
    }

    /// Adds a change.
    pub(crate) fn with(self, change: impl FnOnce(Step) -> Step) -> Self {
        Self {
            step: change(self.step),
            ..self
        }
    }

    /// Adds something to count.
    pub(crate) fn note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }

    /// Appends to the events log.
    pub(crate) fn event(self, event: &Event) -> Self {
        self.with(|step| step.append(names::EVENTS, event.to_record()))
            .note(Note::Happened(event.name, event.message))
    }
}
