//! Takes the keys whose time has come: messages without an end, parked receipts, long MO with parts missing.
//!
//! Input: queue `alarms`, records are the text of a key. The value under the key says whether there still is something
//! to do: an alarm that was overtaken by a write changes nothing.

use crate::life::{self, Changes};
use crate::outcome::{Outcome, View};
use crate::plan::Plan;
use crate::record::Correlation;
use crate::work::{Hop, Unreadable};
use crate::{correlate, mo, receipt, report};
use smsgw_message::{MessageLife, Receipt, Record, Timestamp, Up, names};
use smsgw_queue::{Expiry, StateKey, StepId};

/// The hop of `alarms`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alarms;

/// A key of this node, by what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    Message(StateKey),
    Correlation(StateKey),
    Reassembly(StateKey),
}

impl Hop for Alarms {
    type Input = Due;

    fn decode(&self, record: &[u8]) -> Result<Due, Unreadable> {
        let key = StateKey::from(std::str::from_utf8(record).map_err(|_| Unreadable::NotAKey)?);
        match key.space() {
            "msg" => Ok(Due::Message(key)),
            "corr" => Ok(Due::Correlation(key)),
            "mo" => Ok(Due::Reassembly(key)),
            _ => Err(Unreadable::NotAKey),
        }
    }

    fn keys(&self, plan: &Plan, due: &Due, view: &View) -> Vec<StateKey> {
        let (Due::Message(key) | Due::Correlation(key) | Due::Reassembly(key)) = due;
        let parked = match due {
            Due::Correlation(key) => view.read::<Correlation>(key).ok().and_then(|seen| seen.record),
            Due::Message(_) | Due::Reassembly(_) => None,
        };
        let receipts = match parked {
            Some(Correlation::Parked { receipts, .. }) => receipts,
            Some(Correlation::Sent { .. } | Correlation::Owned { .. }) | None => Vec::new(),
        };
        let elsewhere = receipts
            .iter()
            .flat_map(|receipt| receipt::keys(plan, receipt, view));
        [key.clone()].into_iter().chain(elsewhere).collect()
    }

    fn decide(&self, plan: &Plan, now: Timestamp, id: StepId, due: &Due, view: &View) -> Outcome {
        let outcome = Outcome::new(id);
        match due {
            Due::Message(key) => handle_message(outcome, plan, now, key, view),
            Due::Correlation(key) => handle_correlation(outcome, plan, now, key, view),
            Due::Reassembly(key) => mo::handle_alarm(outcome, plan, now, key, view),
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
    let mut changes = Changes::default();
    if report::given_up_at(plan, &life) <= now {
        life::handle_alarm(&mut life, now, &mut changes);
    } else {
        // The grace was made longer meanwhile: the record is written again for its new alarm.
        changes.changed = true;
    }
    report::put(outcome, plan, now, &life, seen.expected, changes)
}

fn handle_correlation(outcome: Outcome, plan: &Plan, now: Timestamp, key: &StateKey, view: &View) -> Outcome {
    let seen = match view.read::<Correlation>(key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(key, &error),
    };
    let due = seen
        .record
        .map_or(correlate::Due::Nothing, correlate::handle_alarm);
    let (receipts, is_over) = match due {
        correlate::Due::Nothing => return outcome,
        correlate::Due::Again(receipts) => (receipts, false),
        correlate::Due::Unknown(receipts) => (receipts, true),
    };
    // Parts that were answered meanwhile under another form of the id, and what was learnt of the carrier's ids: such
    // receipts go through `up` once more. Whether a part is there is judged as `up` does, so none goes round in circles.
    let (misplaced, rest): (Vec<_>, Vec<_>) = receipts
        .into_iter()
        .partition(|receipt| receipt::is_misplaced(plan, receipt, key, view));
    let outcome = misplaced.iter().fold(outcome, again);
    let lane = rest.first().map(|receipt| mo::lane_of(&receipt.via.group));
    if let (false, Some(lane)) = (is_over, lane) {
        let alarm = now.after(correlate::half(plan.limits().parked_receipts));
        let expiry = Expiry::Alarm(alarm, names::ALARMS.into(), lane);
        let parked = Correlation::Parked {
            receipts: rest,
            is_late: true,
        };
        return outcome
            .with(|step| step.compare_and_put(key.clone(), seen.expected, parked.to_record(), expiry));
    }
    let outcome = outcome.with(|step| step.delete(key.clone(), seen.expected));
    rest.iter()
        .fold(outcome, |outcome, receipt| match receipt::by_text(receipt) {
            Some(receipt) => again(outcome, &receipt),
            None => receipt::bury(outcome, now, receipt),
        })
}

/// A parked receipt goes through `up` once more.
fn again(outcome: Outcome, receipt: &Receipt) -> Outcome {
    let group = &receipt.via.group;
    let record = Up::Receipt(receipt.clone()).to_record();
    outcome.with(|step| step.publish(names::up(group), mo::lane_of(group), record))
}
