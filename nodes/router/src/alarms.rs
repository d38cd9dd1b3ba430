//! Takes the keys whose time has come: messages without an end or not sent yet, parked receipts, long MO with parts
//! missing; and those that a client node names because of a request to cancel or to replace.
//!
//! Input: queue `alarms`, records are the text of a key. The value under the key says whether there still is something
//! to do: an alarm that was overtaken by a write changes nothing.

use crate::claim::{self, Blocked, Breadth, Found};
use crate::life::{self, Changes};
use crate::outcome::{Note, Outcome, View};
use crate::plan::Plan;
use crate::work::{Hop, Keys, Unreadable};
use crate::{cancel, correlate, failover, mo, receipt, replace, report, schedule};
use smsgw_message::{Correlation, Early, MessageLife, Owner, Receipt, Record, Timestamp, names};
use smsgw_queue::{CommitErrorKind, Expected, Expiry, StateKey, StepId};
use std::time::Duration;

/// The hop of `alarms`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alarms;

/// A key of this node, by what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    Message(StateKey),
    Correlation(StateKey),
    Reassembly(StateKey),
    Cancel(cancel::Request),
    CancelGroup(cancel::Group),
    Replace(replace::Request),
}

impl Hop for Alarms {
    type Input = Due;

    fn decode(&self, record: &[u8]) -> Result<Due, Unreadable> {
        let key = StateKey::from(std::str::from_utf8(record).map_err(|_| Unreadable::NotAKey)?);
        match key.space() {
            "msg" => Ok(Due::Message(key)),
            "corr" => Ok(Due::Correlation(key)),
            "mo" => Ok(Due::Reassembly(key)),
            "cancel" => Ok(Due::Cancel(cancel::Request::of(key).ok_or(Unreadable::NotAKey)?)),
            "cancel-group" => Ok(Due::CancelGroup(
                cancel::Group::of(key).ok_or(Unreadable::NotAKey)?,
            )),
            "replace" => Ok(Due::Replace(
                replace::Request::of(key).ok_or(Unreadable::NotAKey)?,
            )),
            _ => Err(Unreadable::NotAKey),
        }
    }

    fn refused(&self, due: &Due, why: &CommitErrorKind) -> Option<Due> {
        match due {
            Due::Replace(request) => request.refused(why).map(Due::Replace),
            Due::Message(_)
            | Due::Correlation(_)
            | Due::Reassembly(_)
            | Due::Cancel(_)
            | Due::CancelGroup(_) => None,
        }
    }

    fn keys(&self, plan: &Plan, due: &Due, view: &View) -> Keys {
        let key = match due {
            Due::Correlation(key) => key,
            Due::Message(key) | Due::Reassembly(key) => return Keys::all([key.clone()]),
            Due::Cancel(request) => return Keys::all(request.keys()),
            Due::CancelGroup(group) => return Keys::all(group.keys()),
            Due::Replace(request) => return Keys::so_far(request.keys(view)),
        };
        let parked = view.read::<Correlation>(key).ok().and_then(|seen| seen.record);
        let (receipts, is_late) = match parked {
            Some(Correlation::Parked { receipts, is_late }) => (receipts, is_late),
            Some(Correlation::Sent { .. } | Correlation::Owned { .. }) | None => (Vec::new(), false),
        };
        let breadth = if is_late { Breadth::Every } else { Breadth::Usual };
        let elsewhere = receipts
            .iter()
            .flat_map(|receipt| receipt::keys(plan, receipt, breadth, view));
        Keys::so_far([key.clone()].into_iter().chain(elsewhere))
    }

    fn decide(&self, plan: &Plan, now: Timestamp, id: StepId, due: &Due, view: &View) -> Outcome {
        let outcome = Outcome::new(id);
        match due {
            Due::Message(key) => handle_message(outcome, plan, now, key, view),
            Due::Correlation(key) => handle_correlation(outcome, plan, now, key, view),
            Due::Reassembly(key) => mo::handle_alarm(outcome, plan, now, key, view),
            Due::Cancel(request) => cancel::handle(outcome, plan, now, request, view),
            Due::CancelGroup(group) => cancel::handle_group(outcome, plan, now, group, view),
            Due::Replace(request) => replace::handle(outcome, plan, now, request, view),
        }
    }
}

fn handle_message(outcome: Outcome, plan: &Plan, now: Timestamp, key: &StateKey, view: &View) -> Outcome {
    let seen = match view.read::<MessageLife>(key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(key, &error),
    };
    let Some(mut life) = seen.record.filter(|life| !life.is_final) else {
        return outcome;
    };
    if schedule::due(&life).is_some() {
        return schedule::handle(outcome, plan, now, key, life, seen.expected);
    }
    let mut changes = Changes::default();
    let mut outcome = outcome;
    if report::given_up_at(plan, &life) <= now {
        life::handle_alarm(&mut life, now, &mut changes);
    } else if failover::silent_at(&life).is_some_and(|at| at <= now) {
        outcome = failover::handle_silence(outcome, plan, now, &mut life, &mut changes);
    } else {
        // The grace was made longer meanwhile: the record is written again for its new alarm.
        changes.changed = true;
    }
    report::put(outcome, plan, now, key, &life, seen.expected, changes)
}

fn handle_correlation(outcome: Outcome, plan: &Plan, now: Timestamp, key: &StateKey, view: &View) -> Outcome {
    let seen = match view.read::<Correlation>(key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(key, &error),
    };
    let parked = plan.limits().parked_receipts;
    if let Some(Correlation::Owned {
        owners,
        early: Some(early),
    }) = seen.record
    {
        return handle_early(outcome, now, parked, key, owners, early, seen.expected);
    }
    let due = seen.record.map_or(correlate::Due::Nothing, |there| {
        correlate::handle_alarm(there, now, parked)
    });
    // They wait so long again, and whether that is the second half of their time.
    let (receipts, wait, is_late) = match due {
        correlate::Due::Nothing => return outcome,
        correlate::Due::Look(receipts, next) => (receipts, next, false),
        correlate::Due::Again(receipts) => (receipts, correlate::half(parked), true),
        correlate::Due::Unknown(receipts) => {
            return last_look(outcome, plan, now, key, receipts, seen.expected, view);
        }
    };
    // Parts that were answered meanwhile under another form of the id, and what was learnt of the carrier's ids: such
    // receipts go through `up` once more. Whether a part is there is judged as `up` does, so none goes round in circles.
    let (misplaced, rest): (Vec<_>, Vec<_>) = receipts
        .into_iter()
        .partition(|receipt| receipt::is_misplaced(plan, receipt, key, view));
    let outcome = misplaced.iter().fold(outcome, receipt::again);
    keep(outcome, key, seen.expected, rest, now.after(wait), is_late)
}

/// Receipts that wait for one more answer with a shared id. The second half of their time is over: no answer came, so they were
/// duplicates.
fn handle_early(
    outcome: Outcome,
    now: Timestamp,
    parked: Duration,
    key: &StateKey,
    owners: Vec<Owner>,
    early: Early,
    expected: Expected,
) -> Outcome {
    let Some(first) = early.receipts.first() else {
        return outcome;
    };
    let (operator, lane) = (first.via.operator.clone(), mo::lane_of(&first.via.group));
    let message = owners.first().map(|owner| owner.message);
    let duplicates = early.receipts.len();
    let (early, expiry) = if early.is_late {
        (None, Expiry::At(early.owned_until.max(now)))
    } else {
        let again = now.after(correlate::half(parked));
        let early = Early {
            is_late: true,
            ..early
        };
        (Some(early), Expiry::Alarm(again, names::ALARMS.into(), lane))
    };
    let over = early.is_none();
    let there = Correlation::Owned { owners, early };
    let outcome = outcome.with(|step| step.compare_and_put(key.clone(), expected, there.to_record(), expiry));
    match message.filter(|_| over) {
        Some(message) => {
            let count = u32::try_from(duplicates).unwrap_or(u32::MAX);
            outcome.note(Note::Duplicate(operator, message, count))
        }
        None => outcome,
    }
}

/// What is left of parked receipts waits until then.
fn keep(
    outcome: Outcome,
    key: &StateKey,
    expected: Expected,
    receipts: Vec<Receipt>,
    until: Timestamp,
    is_late: bool,
) -> Outcome {
    let Some(first) = receipts.first() else {
        return outcome.with(|step| step.delete(key.clone(), expected));
    };
    let expiry = Expiry::Alarm(until, names::ALARMS.into(), mo::lane_of(&first.via.group));
    let parked = Correlation::Parked { receipts, is_late };
    outcome.with(|step| step.compare_and_put(key.clone(), expected, parked.to_record(), expiry))
}

/// The time of these receipts is over: every form of their ids is tried, whatever the carrier's habit is. One that has a part
/// by that is taken here and now, because `up` would look only where the habit says; it makes the habit doubtful. One in a
/// step, because the next may be about the same message: the others follow at once.
fn last_look(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    key: &StateKey,
    receipts: Vec<Receipt>,
    expected: Expected,
    view: &View,
) -> Outcome {
    let mut outcome = outcome;
    let mut receipts = receipts.into_iter();
    while let Some(receipt) = receipts.next() {
        let found = match claim::find(plan, &receipt, Breadth::Every, view) {
            Ok(found) => found,
            Err(Blocked { key, error }) => return outcome.corrupt(&key, &error),
        };
        outcome = match take(outcome, plan, now, &receipt, found, view) {
            Ok(taken) => return keep(taken, key, expected, receipts.collect(), now, true),
            Err(outcome) => match receipt::by_text(&receipt) {
                Some(receipt) => receipt::again(outcome, &receipt),
                None => receipt::bury(outcome, now, &receipt),
            },
        };
    }
    keep(outcome, key, expected, Vec::new(), now, true)
}

/// Takes a receipt whose part was found; else gives the outcome back as it was.
fn take(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    receipt: &Receipt,
    found: Option<Found>,
    view: &View,
) -> Result<Outcome, Outcome> {
    match found {
        Some(found) => receipt::apply(outcome, plan, now, receipt, found, view),
        None => Err(outcome),
    }
}
