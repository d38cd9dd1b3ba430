//! Takes what comes up from carriers: answers to submits, receipts, messages from phones.
//!
//! Input: one partition `up.<p>`, records [`Up`]; one worker each, so what a link group tells is taken in its order.
//! Brings the machines together: `correlate` says which part, `life` what it means, `mo` does the rest.

use crate::assemble::Place;
use crate::correlate::{self, Fate};
use crate::life::{self, Changes};
use crate::mo;
use crate::outcome::{Note, Outcome, View};
use crate::plan::Plan;
use crate::record::Correlation;
use crate::report;
use crate::work::{Hop, Unreadable};
use smsgw_message::{
    Event, EventName, MessageLife, Receipt, Record, SubmitOutcome, SubmitResult, Timestamp, Up as Input,
    names,
};
use smsgw_queue::{DeadReason, Expiry, StateKey, StepId};

/// The hop of `up.<p>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Up;

impl Hop for Up {
    type Input = Input;

    fn decode(&self, record: &[u8]) -> Result<Input, Unreadable> {
        Ok(Input::from_record(record)?)
    }

    fn keys(&self, input: &Input, view: &View) -> Vec<StateKey> {
        match input {
            Input::SubmitResult(result) => {
                let correlation = carrier_id(result).map(|id| correlate::key(&result.via.group, id));
                [report::message_key(result.message)]
                    .into_iter()
                    .chain(correlation)
                    .collect()
            }
            Input::Receipt(receipt) => {
                let key = correlate::key(&receipt.via.group, &receipt.carrier_id);
                let message = match view.read::<Correlation>(&key).ok().and_then(|seen| seen.record) {
                    Some(Correlation::Sent { message, part: _ }) => Some(report::message_key(message)),
                    Some(Correlation::Parked { .. }) | None => None,
                };
                [key].into_iter().chain(message).collect()
            }
            Input::Mo(mo) => Place::of(mo).map(|place| place.key(mo)).into_iter().collect(),
        }
    }

    fn decide(&self, plan: &Plan, now: Timestamp, id: StepId, input: &Input, view: &View) -> Outcome {
        let outcome = Outcome::new(id);
        match input {
            Input::SubmitResult(result) => handle_submit_result(outcome, plan, now, result, view),
            Input::Receipt(receipt) => handle_receipt(outcome, plan, now, receipt, view),
            Input::Mo(mo) => mo::handle(outcome, plan, now, mo, view),
        }
    }
}

/// The id that receipts will carry, when there is one.
fn carrier_id(result: &SubmitResult) -> Option<&str> {
    match &result.outcome {
        SubmitOutcome::Sent { carrier_id } => Some(carrier_id.as_str()).filter(|id| !id.is_empty()),
        SubmitOutcome::Refused { .. } | SubmitOutcome::Expired | SubmitOutcome::InDoubt => None,
    }
}

fn handle_submit_result(
    mut outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    result: &SubmitResult,
    view: &View,
) -> Outcome {
    let operator = &result.via.operator;
    let key = report::message_key(result.message);
    let seen = match view.read::<MessageLife>(&key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(&key, &error),
    };
    let orphaned = |outcome: Outcome| {
        outcome
            .dead(DeadReason::NoOwner)
            .note(Note::Orphaned(operator.clone(), result.message))
    };
    let Some(mut life) = seen.record else {
        return orphaned(outcome);
    };
    let mut changes = Changes::default();
    if life::handle_submit_result(&mut life, result, &mut changes).is_err() {
        return orphaned(outcome);
    }
    if let Some(carrier_id) = carrier_id(result) {
        let key = correlate::key(&result.via.group, carrier_id);
        let there = match view.read::<Correlation>(&key) {
            Ok(there) => there,
            Err(error) => return outcome.corrupt(&key, &error),
        };
        let claimed = correlate::handle_sent(there.record, result.message, result.part);
        if let Some(correlation) = claimed.write {
            // Late answers, too, may have receipts to come.
            let expiry =
                Expiry::At(report::given_up_at(plan, &life).max(now.after(plan.limits().receipt_grace)));
            outcome = outcome
                .with(|step| step.compare_and_put(key, there.expected, correlation.to_record(), expiry));
        }
        if claimed.reused {
            outcome = outcome.note(Note::IdReused(operator.clone(), result.message));
        }
        for receipt in claimed.parked {
            let meaning = plan.meaning(&receipt.via.operator, receipt.state);
            if life::handle_receipt(&mut life, result.part, &receipt, meaning, &mut changes).is_err() {
                return orphaned(outcome);
            }
        }
    }
    if changes.duplicates > 0 {
        outcome = outcome.note(Note::Duplicate(
            operator.clone(),
            result.message,
            changes.duplicates,
        ));
    }
    report::put(outcome, plan, now, &life, seen.expected, changes)
}

fn handle_receipt(outcome: Outcome, plan: &Plan, now: Timestamp, receipt: &Receipt, view: &View) -> Outcome {
    let operator = &receipt.via.operator;
    let key = correlate::key(&receipt.via.group, &receipt.carrier_id);
    let there = match view.read::<Correlation>(&key) {
        Ok(there) => there,
        Err(error) => return outcome.corrupt(&key, &error),
    };
    let (message, part) = match correlate::handle_receipt(there.record, receipt) {
        Fate::Matched { message, part } => (message, part),
        Fate::Parked(correlation) => {
            let alarm = now.after(correlate::half(plan.limits().parked_receipts));
            let expiry = Expiry::Alarm(alarm, names::ALARMS.into(), mo::lane_of(&receipt.via.group));
            return outcome
                .with(|step| step.compare_and_put(key, there.expected, correlation.to_record(), expiry))
                .note(Note::Parked(operator.clone()));
        }
        Fate::Unknown => return unknown(outcome.dead(DeadReason::UnknownReceipt), now, receipt),
    };
    let key = report::message_key(message);
    let seen = match view.read::<MessageLife>(&key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(&key, &error),
    };
    // A record is kept at least until its message is final: where it is gone, this receipt repeats an end.
    let duplicate = |times| Note::Duplicate(operator.clone(), message, times);
    let Some(mut life) = seen.record else {
        return outcome.note(duplicate(1));
    };
    let mut changes = Changes::default();
    let meaning = plan.meaning(operator, receipt.state);
    if life::handle_receipt(&mut life, part, receipt, meaning, &mut changes).is_err() {
        return unknown(outcome.dead(DeadReason::UnknownReceipt), now, receipt);
    }
    if changes.duplicates > 0 {
        return outcome.note(duplicate(changes.duplicates));
    }
    report::put(outcome, plan, now, &life, seen.expected, changes)
}

/// Says that a receipt belongs to nothing we sent.
pub(crate) fn unknown(outcome: Outcome, now: Timestamp, receipt: &Receipt) -> Outcome {
    let mut event = Event::new(now, EventName::DrUnknown);
    event.operator = Some(receipt.via.operator.clone());
    outcome
        .event(&event)
        .note(Note::Unknown(receipt.via.operator.clone()))
}
