//! Takes accepted messages and puts their parts into the queue of an operator.
//!
//! Input: `mt.accepted`, records [`MtMessage`]. Invariant MT-1: a message is routed once; its parts are published in the
//! step that writes `queued` into its record, all to one operator.
//!
//! The first operator of the route is taken; the others stand by for what it does not take (see `reroute`).

use crate::life::{self, Changes};
use crate::outcome::{Outcome, View};
use crate::plan::Plan;
use crate::record::LastReference;
use crate::recut;
use crate::report;
use crate::work::{Hop, Unreadable};
use smsgw_message::{MessageLife, MtMessage, OperatorId, Record, Timestamp, names};
use smsgw_queue::{Expiry, StateKey, StepId};
use smsgw_routing::decide_mt;

/// The hop of `mt.accepted`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mt;

impl Hop for Mt {
    type Input = MtMessage;

    fn decode(&self, record: &[u8]) -> Result<MtMessage, Unreadable> {
        let message = MtMessage::from_record(record)?;
        if message.parts.is_empty() {
            Err(Unreadable::NoParts)
        } else {
            Ok(message)
        }
    }

    fn keys(&self, plan: &Plan, message: &MtMessage, _view: &View) -> Vec<StateKey> {
        let references = recut::may_be_long(message, plan.may_rewrite()).then(|| recut::key(&message.to));
        [report::message_key(message.id)]
            .into_iter()
            .chain(references)
            .collect()
    }

    fn decide(&self, plan: &Plan, now: Timestamp, id: StepId, message: &MtMessage, view: &View) -> Outcome {
        let mut outcome = Outcome::new(id);
        let key = report::message_key(message.id);
        let seen = match view.read::<MessageLife>(&key) {
            Ok(seen) => seen,
            Err(error) => return outcome.corrupt(&key, &error),
        };
        // The accept wrote the record; where it is gone all the same, the input holds all it takes to begin anew.
        let mut life = seen
            .record
            .unwrap_or_else(|| MessageLife::accepted(message.clone()));
        if life.is_final || life.parts.iter().any(|part| part.via.is_some()) {
            return outcome; // Routed or ended before: the input is a repetition.
        }
        let mut changes = Changes::default();
        if message.valid_until <= now {
            life::handle_late(&mut life, now, &mut changes);
        } else if let Ok(decision) = decide_mt(plan.table(), &message.client, message.class, &message.to) {
            let operator = decision.operator();
            if recut::may_be_long(message, plan.may_rewrite()) {
                outcome = match adapt(outcome, plan, operator, now, &mut life, &mut changes, view) {
                    Ok(outcome) => outcome,
                    Err(corrupt) => return corrupt,
                };
            }
            life::handle_routed(&mut life, operator, now, &mut changes);
            let queue = names::mt_operator(operator);
            let message = &life.message;
            for dispatch in (1..=message.part_count()).filter_map(|number| message.dispatch(number, operator))
            {
                let (queue, lane) = (queue.as_str(), report::lane_of(&life));
                outcome = outcome.with(|step| step.publish(queue, lane, dispatch.to_record()));
            }
        } else {
            life::handle_unroutable(&mut life, now, &mut changes);
        }
        report::put(outcome, plan, now, &life, seen.expected, changes)
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
