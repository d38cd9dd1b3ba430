//! Takes what comes up from carriers: answers to submits, receipts, messages from phones.
//!
//! Input: one partition `up.<p>`, records [`Up`]; one worker each, so what a link group tells is taken in its order.
//! Brings the machines together: `correlate` says which part, `life` what it means, `mo` does the rest.

use crate::assemble::Place;
use crate::carrier_id::Form;
use crate::claim::{self, Breadth};
use crate::correlate;
use crate::failover;
use crate::life::{self, Changes};
use crate::mo;
use crate::outcome::{Note, Outcome, View};
use crate::plan::Plan;
use crate::receipt;
use crate::report;
use crate::reroute;
use crate::work::{Hop, Keys, Unreadable};
use smsgw_message::{
    Correlation, InDoubt, MessageLife, Mo, Receipt, Record, SubmitOutcome, SubmitResult, Timestamp,
    Up as Told, fold,
};
use smsgw_queue::{DeadReason, Expiry, StateKey, StepId};

/// The hop of `up.<p>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Up;

/// A record of `up.<p>`.
#[derive(Debug)]
pub(crate) enum Input {
    SubmitResult(Answer),
    Receipt(Receipt),
    Mo(Mo),
    InDoubt(InDoubt),
}

/// A submit result, with the keys that follow from it: of the life of its message, and of the id that receipts will carry.
#[derive(Debug)]
pub(crate) struct Answer {
    result: SubmitResult,
    message: StateKey,
    correlation: Option<StateKey>,
}

impl Answer {
    fn of(result: SubmitResult) -> Self {
        Self {
            message: report::message_key(result.message),
            correlation: carrier_id(&result).map(|id| correlate::key_of(&result.via.group, id)),
            result,
        }
    }
}

impl Hop for Up {
    type Input = Input;

    fn decode(&self, record: &[u8]) -> Result<Input, Unreadable> {
        Ok(match Told::from_record(record)? {
            Told::SubmitResult(result) => Input::SubmitResult(Answer::of(result)),
            Told::Receipt(receipt) => Input::Receipt(receipt),
            Told::Mo(mo) => Input::Mo(mo),
            Told::InDoubt(doubt) => Input::InDoubt(doubt),
        })
    }

    fn keys(&self, plan: &Plan, input: &Input, view: &View) -> Keys {
        match input {
            Input::SubmitResult(Answer {
                message, correlation, ..
            }) => Keys::all([message.clone()]).and_new(correlation.clone()),
            Input::Receipt(receipt) => Keys::so_far(receipt::keys(plan, receipt, Breadth::Usual, view)),
            Input::Mo(mo) => Keys::all(Place::of(mo).map(|place| place.key(mo))),
            Input::InDoubt(doubt) => Keys::all([report::message_key(doubt.message)]),
        }
    }

    fn decide(&self, plan: &Plan, now: Timestamp, id: StepId, input: &Input, view: &View) -> Outcome {
        let outcome = Outcome::new(id);
        match input {
            Input::SubmitResult(answer) => handle_submit_result(outcome, plan, now, answer, view),
            Input::Receipt(receipt) => receipt::handle(outcome, plan, now, receipt, view),
            Input::Mo(mo) => mo::handle(outcome, plan, now, mo, view),
            Input::InDoubt(doubt) => handle_in_doubt(outcome, plan, now, doubt, view),
        }
    }
}

/// A part was in doubt: a line of its message's life. Where the message is gone, nobody asks.
fn handle_in_doubt(outcome: Outcome, plan: &Plan, now: Timestamp, doubt: &InDoubt, view: &View) -> Outcome {
    let key = report::message_key(doubt.message);
    let seen = match view.read::<MessageLife>(&key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(&key, &error),
    };
    let Some(mut life) = seen.record else {
        return outcome;
    };
    let mut changes = Changes::default();
    life::handle_in_doubt(&mut life, doubt, &mut changes);
    report::put(outcome, plan, now, &key, &life, seen.expected, changes)
}

/// The id that receipts will carry, when there is one.
fn carrier_id(result: &SubmitResult) -> Option<&str> {
    match &result.outcome {
        SubmitOutcome::Sent { carrier_id } => Some(carrier_id.as_str()).filter(|id| !id.is_empty()),
        SubmitOutcome::Refused { .. }
        | SubmitOutcome::Expired
        | SubmitOutcome::InDoubt
        | SubmitOutcome::Cancelled => None,
    }
}

fn handle_submit_result(
    mut outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    answer: &Answer,
    view: &View,
) -> Outcome {
    let Answer {
        result,
        message,
        correlation,
    } = answer;
    let operator = &result.via.operator;
    let seen = match view.read::<MessageLife>(message) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(message, &error),
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
    if life::handle_submit_result(&mut life, result, plan.long_receipts(operator), &mut changes).is_err() {
        return orphaned(outcome);
    }
    failover::arm(plan, &mut life, result, now);
    outcome = reroute::handle(outcome, plan, now, &result.via, &mut life, &mut changes);
    if let (Some(carrier_id), Some(key)) = (carrier_id(result), correlation) {
        let there = match view.read::<Correlation>(key) {
            Ok(there) => there,
            Err(error) => return outcome.corrupt(key, &error),
        };
        let is_shared = plan.shares_ids(&result.via.operator);
        let claimed =
            correlate::handle_sent(there.record, carrier_id, result.message, result.part, is_shared);
        if let Some(correlation) = claimed.write {
            let expiry = Expiry::At(receipt::owned_until(plan, now, &life));
            outcome = outcome.with(|step| {
                step.compare_and_put(key.clone(), there.expected, correlation.to_record(), expiry)
            });
        }
        if claimed.reused {
            outcome = outcome.note(Note::IdReused(operator.clone(), result.message));
        }
        for receipt in claimed.parked {
            let (form, certain) = Form::between(carrier_id, &receipt.carrier_id);
            if !claim::is_settled(plan, &receipt, form, &life, result.part) {
                outcome = receipt::again(outcome, &receipt);
                continue;
            }
            let meaning = plan.meaning(&receipt.via.operator, receipt.state);
            let rule = plan.long_receipts(&receipt.via.operator);
            let retry = failover::after_receipt(plan, &life, &receipt, meaning, now);
            let part = result.part;
            if life::handle_receipt(&mut life, part, &receipt, meaning, rule, retry, &mut changes).is_err() {
                return orphaned(outcome);
            }
            outcome = reroute::handle(outcome, plan, now, &receipt.via, &mut life, &mut changes);
            outcome = outcome.note(receipt::matched(&receipt, form, certain));
        }
        for stray in claimed.strays {
            outcome = if fold(&stray.carrier_id) == fold(carrier_id) && !is_shared {
                receipt::bury(outcome, now, &stray)
            } else {
                // It waited here under another form of its id, or for one more part of it.
                receipt::again(outcome, &stray)
            };
        }
    }
    if changes.duplicates > 0 {
        outcome = outcome.note(Note::Duplicate(
            operator.clone(),
            result.message,
            changes.duplicates,
        ));
    }
    report::put(outcome, plan, now, message, &life, seen.expected, changes)
}
