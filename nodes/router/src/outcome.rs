//! What a hop has decided: the step to commit, what becomes of its input, and what is to be counted once it went
//! through; and the view of state it decides by.
//!
//! Values only: no engine is called here, which is what lets the deciding code be tested without one.
//! Invariant OC-1: nothing is counted or logged before its step is durable, so a step that is decided again counts once.

use crate::carrier_id::{Form, Known};
use crate::metric;
use crate::plan::Plan;
use crate::reply::Answer;
use crate::reroute::Halt;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use smsgw_message::{
    ClientId, Event, EventName, KeywordAction, LinkGroup, MessageId, MessageLife, OperatorId, Record,
    RecordError, names,
};
use smsgw_queue::{DeadReason, Expected, LogName, Op, StateKey, Step, StepId, Versioned};
use std::sync::{LazyLock, OnceLock};
use tracing::{debug, error, info, warn};

/// The log of what happens: every step writes there.
static EVENTS: LazyLock<LogName> = LazyLock::new(|| LogName::from(names::EVENTS));

/// Values of the keys that a batch needs: as they were read, and then as the steps decided before would leave them.
#[derive(Debug, Default)]
pub(crate) struct View {
    values: FxHashMap<StateKey, There>,
    /// For each step that promised something and needs others: the steps without which it does not go through.
    needs: FxHashMap<StepId, Vec<StepId>>,
}

#[derive(Debug)]
struct There {
    value: Option<Bytes>,
    expected: Expected,
    /// The value, where it was looked at as a message's life.
    life: OnceLock<Box<MessageLife>>,
}

impl There {
    fn new(value: Option<Bytes>, expected: Expected) -> Self {
        Self {
            value,
            expected,
            life: OnceLock::new(),
        }
    }
}

/// A value as it is in the view, and what a write of it must expect.
#[derive(Debug)]
pub(crate) struct Seen<R> {
    pub(crate) record: Option<R>,
    pub(crate) expected: Expected,
}

impl View {
    /// A value as it was read.
    pub(crate) fn insert(&mut self, key: StateKey, value: Option<Versioned>) {
        let expected = value
            .as_ref()
            .map_or(Expected::Absent, |there| Expected::Version(there.version));
        self.values
            .insert(key, There::new(value.map(|there| there.value), expected));
    }

    /// Makes room for so many values more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.values.reserve(more);
    }

    pub(crate) fn has(&self, key: &StateKey) -> bool {
        self.values.contains_key(key)
    }

    /// Whether a value is here as it was read, with no promise in its place.
    pub(crate) fn is_as_read(&self, key: &StateKey) -> bool {
        self.values
            .get(key)
            .is_some_and(|there| !matches!(there.expected, Expected::WrittenBy(_)))
    }

    /// The steps of this batch without which this one does not go through: those whose promises it compares, and what
    /// they need.
    fn needs_of(&self, step: &Step) -> Vec<StepId> {
        let mut needs = Vec::new();
        for op in step.ops() {
            if let Op::Put(_, _, Expected::WrittenBy(before), _)
            | Op::Delete(_, Expected::WrittenBy(before)) = op
            {
                needs.push(*before);
                needs.extend(self.needs.get(before).into_iter().flatten().copied());
            }
        }
        needs
    }

    /// Whether a step fails when a step fails by whose promise it was decided. One that looked at a promised value and
    /// compares nothing (it changes nothing, say) does not: it is to be decided when the promise has been kept.
    pub(crate) fn stands_or_falls(&self, step: &Step, looked_at: &[StateKey]) -> bool {
        let needs = self.needs_of(step);
        looked_at
            .iter()
            .filter_map(|key| self.values.get(key))
            .all(|there| match there.expected {
                Expected::WrittenBy(before) => needs.contains(&before),
                Expected::Absent | Expected::Version(_) | Expected::Any => true,
            })
    }

    /// Takes over what a step will have written, for the steps behind it in the same commit.
    pub(crate) fn promise(&mut self, step: &Step) {
        let needs = self.needs_of(step);
        if !needs.is_empty() {
            self.needs.insert(step.id(), needs);
        }
        for op in step.ops() {
            let (key, value) = match op {
                Op::Put(key, value, _, _) => (key, value.clone()),
                // What follows a deletion cannot be chained to it: it waits for the next wave.
                Op::Delete(key, _) => {
                    self.values.remove(key);
                    continue;
                }
                Op::Settle(_)
                | Op::Release(..)
                | Op::Hold(..)
                | Op::DeadLetter(..)
                | Op::Publish(..)
                | Op::Bury(..)
                | Op::Requeue(..)
                | Op::Discard(..)
                | Op::HoldRecord(..)
                | Op::HoldAll(..)
                | Op::ReleaseAll(..)
                | Op::Move(..)
                | Op::Append(..)
                | Op::Advance(..)
                | Op::Add(..) => continue,
            };
            let expected = Expected::WrittenBy(step.id());
            self.values.insert(key.clone(), There::new(Some(value), expected));
        }
    }

    /// Whether anything is under a key.
    pub(crate) fn is_there(&self, key: &StateKey) -> bool {
        self.values.get(key).is_some_and(|there| there.value.is_some())
    }

    /// The life of a message, decoded once however often it is looked at. A key that was not read counts as absent.
    pub(crate) fn life(&self, key: &StateKey) -> Result<Seen<&MessageLife>, RecordError> {
        let there = self.values.get(key);
        let record = there
            .and_then(|there| Some((there, there.value.as_deref()?)))
            .map(|(there, value)| match there.life.get() {
                Some(life) => Ok(life),
                None => MessageLife::from_record(value).map(|life| there.life.get_or_init(|| Box::new(life))),
            })
            .transpose()?;
        Ok(Seen {
            record: record.map(|life| &**life),
            expected: there.map_or(Expected::Absent, |there| there.expected),
        })
    }

    /// The record under a key. A key that was not read counts as absent: a write then fails as a conflict and the
    /// hop is decided again.
    pub(crate) fn read<R: Record>(&self, key: &StateKey) -> Result<Seen<R>, RecordError> {
        let Some(there) = self.values.get(key) else {
            return Ok(Seen {
                record: None,
                expected: Expected::Absent,
            });
        };
        let record = there.value.as_deref().map(R::from_record).transpose()?;
        Ok(Seen {
            record,
            expected: there.expected,
        })
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
    Unknown(OperatorId, LinkGroup),
    /// A receipt was matched through an id of this form.
    Matched {
        operator: OperatorId,
        group: LinkGroup,
        form: Form,
        /// No other form could have matched it.
        certain: bool,
    },
    /// A receipt waits for the answer to its submit.
    Parked(OperatorId),
    /// Something came for a part that was final.
    Duplicate(OperatorId, MessageId, u32),
    /// A receipt came after its part was given up.
    Late(OperatorId, MessageId),
    /// A receipt came that was not asked for.
    Unrequested(OperatorId, MessageId),
    /// A receipt came from an operator that the part went away from.
    Elsewhere(OperatorId, MessageId),
    /// A part was given to another operator.
    Rerouted {
        from: OperatorId,
        to: OperatorId,
        message: MessageId,
    },
    /// Parts were given to another operator by order.
    Moved(OperatorId, OperatorId, u64),
    /// Parts were to go elsewhere and did not.
    NotRerouted(OperatorId, MessageId, Halt),
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
    /// What came of the answer of a route or keyword.
    Answered(ClientId, MessageId, Answer),
    /// A phone said what it wants.
    Spoken(ClientId, MessageId, KeywordAction),
    /// A value of state cannot be decoded.
    CorruptState(StateKey, String),
}

impl Note {
    /// Counts and logs it; `queue` is where the input came from.
    pub(crate) fn say(&self, plan: &Plan, queue: &str) {
        match self {
            Self::Happened(name, Some(message)) => {
                debug!(message_id = %message, event = name.as_str(), "step committed")
            }
            Self::Happened(name, None) => debug!(event = name.as_str(), "step committed"),
            Self::Unknown(operator, group) => {
                metric::RECEIPTS_UNKNOWN_TOTAL.with(&[operator.as_str()]).inc();
                debug!(%operator, "receipt belongs to nothing we sent, kept as dead letter");
                if let Some(form) = plan.habits().missed(group) {
                    warn!(%operator, %group, form = form.as_str(), "receipts match nothing any more: every form of message ids is tried again");
                }
            }
            Self::Matched {
                operator,
                group,
                form,
                certain,
            } => {
                metric::RECEIPTS_MATCHED_TOTAL
                    .with(&[operator.as_str(), form.as_str()])
                    .inc();
                plan.habits().count_matched(group);
                match certain.then(|| plan.habits().matched(group, *form)).flatten() {
                    None | Some(Known::Nothing) => {}
                    Some(Known::Is(form)) => {
                        info!(%operator, %group, form = form.as_str(), "learnt how this carrier writes message ids");
                    }
                    Some(Known::Doubted(habit)) => {
                        warn!(%operator, %group, form = form.as_str(), habit = habit.as_str(), "a receipt has its message id in another form than those before: every form is tried");
                    }
                    Some(Known::Mixed) => {
                        warn!(%operator, %group, "this carrier mixes forms of message ids: every form is tried for each receipt");
                    }
                }
            }
            Self::Parked(operator) => {
                metric::RECEIPTS_PARKED_TOTAL.with(&[operator.as_str()]).inc();
                plan.habits().count_parked(&LinkGroup::of(operator));
                debug!(%operator, "receipt parked until the answer to its submit");
            }
            Self::Duplicate(operator, message, times) => {
                metric::RECEIPTS_DUPLICATE_TOTAL
                    .with(&[operator.as_str()])
                    .inc_by(u64::from(*times));
                debug!(message_id = %message, %operator, "nothing changed: the part was final already");
            }
            Self::Late(operator, message) => {
                metric::RECEIPTS_LATE_TOTAL.with(&[operator.as_str()]).inc();
                debug!(message_id = %message, %operator, "receipt came after its part was given up");
            }
            Self::Unrequested(operator, message) => {
                metric::RECEIPTS_UNREQUESTED_TOTAL
                    .with(&[operator.as_str()])
                    .inc();
                debug!(message_id = %message, %operator, "receipt that was not asked for");
            }
            Self::Elsewhere(operator, message) => {
                metric::RECEIPTS_ELSEWHERE_TOTAL.with(&[operator.as_str()]).inc();
                debug!(message_id = %message, %operator, "receipt for a part that another operator has");
            }
            Self::Rerouted { from, to, message } => {
                metric::REROUTED_TOTAL.with(&[from.as_str(), to.as_str()]).inc();
                debug!(message_id = %message, %from, %to, "part given to another operator");
            }
            Self::Moved(from, to, parts) => {
                metric::MOVED_TOTAL
                    .with(&[from.as_str(), to.as_str()])
                    .inc_by(*parts);
            }
            Self::NotRerouted(operator, message, halt) => {
                metric::REROUTES_ENDED_TOTAL
                    .with(&[operator.as_str(), halt.as_str()])
                    .inc();
                debug!(message_id = %message, %operator, why = halt.as_str(), "no other operator is tried");
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
            Self::Answered(client, message, answer) => {
                metric::AUTO_REPLIES_TOTAL
                    .with(&[client.as_str(), answer.as_str()])
                    .inc();
                debug!(message_id = %message, %client, answer = answer.as_str(), "answer of a route or keyword");
            }
            Self::Spoken(client, message, keyword) => {
                metric::KEYWORDS_TOTAL
                    .with(&[client.as_str(), keyword.as_str()])
                    .inc();
                debug!(message_id = %message, %client, keyword = keyword.as_str(), "phone sent a keyword");
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
            notes: Vec::with_capacity(2),
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
        self.with(|step| step.append(EVENTS.clone(), event.to_record()))
            .note(Note::Happened(event.name, event.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::message_id;
    use smsgw_message::Told;
    use smsgw_queue::Expiry;

    fn told(attempts: u32) -> Told {
        Told {
            message: message_id(1),
            at: crate::fixtures::at(5),
            attempts,
        }
    }

    fn id(n: u8) -> StepId {
        StepId::from_bytes([n; 16])
    }

    fn put(step: Step, key: &str, expected: Expected) -> Step {
        step.compare_and_put(key, expected, told(1).to_record(), Expiry::Owner)
    }

    #[test]
    fn a_later_input_sees_what_an_earlier_one_is_about_to_write_and_expects_its_writer() {
        let key = StateKey::from("k");
        let mut view = View::default();
        view.insert(key.clone(), None);
        view.promise(&put(Step::new(id(1)), "k", Expected::Absent));
        let seen = view.read::<Told>(&key).unwrap();
        assert_eq!(
            (seen.record, seen.expected),
            (Some(told(1)), Expected::WrittenBy(id(1)))
        );
        view.promise(&Step::new(id(2)).delete("k", Expected::WrittenBy(id(1))));
        assert!(!view.has(&key), "what follows a deletion is read again");
    }

    #[test]
    fn a_step_is_chained_only_when_it_falls_with_every_step_it_was_decided_by() {
        let keys = ["corr", "msg"].map(StateKey::from);
        let mut view = View::default();
        for key in &keys {
            view.insert(key.clone(), None);
        }
        let writes_nothing = Step::new(id(9));
        assert!(
            view.stands_or_falls(&writes_nothing, &keys),
            "nothing is promised yet"
        );
        let first = put(
            put(Step::new(id(1)), "corr", Expected::Absent),
            "msg",
            Expected::Absent,
        );
        view.promise(&first);
        assert!(!view.stands_or_falls(&writes_nothing, &keys));
        let second = put(Step::new(id(2)), "msg", Expected::WrittenBy(id(1)));
        assert!(view.stands_or_falls(&second, &keys));
        view.promise(&second);
        let third = put(Step::new(id(3)), "msg", Expected::WrittenBy(id(2)));
        assert!(
            view.stands_or_falls(&third, &keys),
            "falls with the first one by way of the second"
        );
        let aside = put(Step::new(id(4)), "corr", Expected::WrittenBy(id(1)));
        assert!(
            !view.stands_or_falls(&aside, &keys),
            "looked at msg of the second, and would outlive it"
        );
    }
}
