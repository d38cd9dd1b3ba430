//! Takes accepted messages and puts their parts into the queue of an operator.
//!
//! Input: `mt.accepted`, records [`MtMessage`]. Invariant MT-1: a message is routed once; its parts are published in the
//! step that writes `queued` into its record, all to one operator.
//!
//! The first operator of the route's order is taken; the others stand by for what it does not take (see `reroute`). What
//! needs nothing that only the router has was sent on its way by its accept and does not come here (ADR 0016).

use crate::life::{self, Changes};
use crate::outcome::{Outcome, View};
use crate::plan::Plan;
use crate::record::LastReference;
use crate::recut;
use crate::replace;
use crate::report;
use crate::work::{Hop, Keys, Unreadable};
use smsgw_message::{MessageLife, MtMessage, OperatorId, Record, Timestamp};
use smsgw_queue::{Expiry, StateKey, StepId};

/// The hop of `mt.accepted`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mt;

/// A record of `mt.accepted`, and the key of its life.
#[derive(Debug)]
pub(crate) struct Accepted {
    message: MtMessage,
    key: StateKey,
}

impl Hop for Mt {
    type Input = Accepted;

    fn decode(&self, record: &[u8]) -> Result<Accepted, Unreadable> {
        let message = MtMessage::from_record(record)?;
        if message.parts.is_empty() {
            return Err(Unreadable::NoParts);
        }
        let key = report::message_key(message.id);
        Ok(Accepted { message, key })
    }

    fn keys(&self, plan: &Plan, accepted: &Accepted, _view: &View) -> Keys {
        let Accepted { message, key } = accepted;
        let references = recut::may_be_long(message, plan.may_rewrite()).then(|| recut::key(&message.to));
        Keys::all([key.clone()].into_iter().chain(references))
    }

    fn decide(&self, plan: &Plan, now: Timestamp, id: StepId, accepted: &Accepted, view: &View) -> Outcome {
        let Accepted { message, key } = accepted;
        let mut outcome = Outcome::new(id);
        let seen = match view.read::<MessageLife>(key) {
            Ok(seen) => seen,
            Err(error) => return outcome.corrupt(key, &error),
        };
        // The accept wrote the record; where it is gone all the same, the input holds all it takes to begin anew.
        let mut life = seen
            .record
            .unwrap_or_else(|| MessageLife::accepted(message.clone()));
        if life.is_final || life.parts.iter().any(|part| part.via.is_some()) {
            return outcome; // Routed or ended before: the input is a repetition.
        }
        if replace::is_void(&life, message) {
            return outcome;
        }
        let mut changes = Changes::default();
        if message.valid_until <= now {
            life::handle_late(&mut life, now, &mut changes);
            return report::put(outcome, plan, now, key, &life, seen.expected, changes);
        }
        match plan.decide(&life.message, now) {
            Ok(decision) => {
                let operator = decision.operator();
                if recut::may_be_long(message, plan.may_rewrite()) {
                    outcome = match adapt(outcome, plan, operator, now, &mut life, &mut changes, view) {
                        Ok(outcome) => outcome,
                        Err(corrupt) => return corrupt,
                    };
                }
                life::handle_routed(&mut life, &decision, now, &mut changes);
                let queue = plan.parts_of(operator);
                let numbers = 1..=life.message.part_count();
                for dispatch in numbers.filter_map(|number| life.dispatch(number, operator)) {
                    let (queue, lane) = (queue.clone(), report::lane_of(&life));
                    outcome = outcome.with(|step| step.publish(queue, lane, dispatch.to_record()));
                }
            }
            Err(refusal) => life::handle_unroutable(&mut life, refusal, now, &mut changes),
        }
        report::put(outcome, plan, now, key, &life, seen.expected, changes)
    }
}

/// Gives a long message the parts that its operator carries, and their reference.
fn adapt(
    outcome: Outcome,
    plan: &Plan,
    operator: &OperatorId,
    now: Timestamp,
    life: &mut MessageLife,
    changes: &mut Changes,
    view: &View,
) -> Result<Outcome, Outcome> {
    let key = recut::key(&life.message.to);
    let seen = match view.read::<LastReference>(&key) {
        Ok(seen) => seen,
        Err(error) => return Err(outcome.corrupt(&key, &error)),
    };
    let next = recut::next(seen.record, &life.message);
    let recut = plan
        .operator(operator)
        .and_then(|settings| recut::recut(&life.message, settings, next.reference));
    let Some(recut) = recut else {
        return Ok(outcome);
    };
    life::handle_recut(life, recut, operator, now, changes);
    let expiry = Expiry::At(now.after(recut::REFERENCES_KEPT));
    Ok(outcome.with(|step| step.compare_and_put(key, seen.expected, next.to_record(), expiry)))
}
