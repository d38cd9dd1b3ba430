//! When another operator of a route is tried though one has taken the message: a receipt that tells of a failure, or silence.
//!
//! ```text
//! receipt of a failure that the route names ┐
//! no final receipt for `silence`            ┴▶ the part waits, its operator remembered ─▶ `reroute`: the next one, or none
//!                                              none ─▶ the failure counts; after silence the receipt is waited for as before
//! receipt of an earlier operator: delivered ─▶ the part is delivered; what a later one has not sent yet is withdrawn
//! ```
//! Knows the route by asking for it anew: what the file says now counts. Pure over a [`MessageLife`]; time is an argument.
//!
//! Invariant FO-1: a message that any of its operators delivers before its end is told as delivered, and the client hears of the
//! failure of the last attempt only.
//!
//! # Limits
//! A receipt of an earlier operator that tells of a delivery after the failure of the last one changes nothing: the client was
//! told. Of a long message that was cut anew for a later operator, receipts of earlier ones count for nothing, because their
//! parts are others; the phone may then show what the record calls failed. What a carrier has taken is not called back.

use crate::life::{self, Changes, Meaning};
use crate::outcome::{Outcome, View};
use crate::plan::{self, Plan};
use crate::{cancel, reroute};
use smsgw_message::{
    EventName, MessageLife, MessageState, OperatorId, PartLife, Receipt, SubmitResult, Timestamp, Via,
};
use smsgw_queue::StateKey;

/// Another operator is to be tried though one has taken the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Retry {
    /// What that one charges, in millionths; `None` when nothing says so.
    pub(crate) cost: Option<u64>,
}

/// An operator took this part and has failed, or is silent (`fallback` is `sent`), and another one is to be tried.
pub(crate) fn wait(
    part: &mut PartLife,
    operator: &OperatorId,
    fallback: MessageState,
    error: &str,
    retry: Retry,
) {
    // A second word about the same attempt costs nothing more.
    let is_counted = reroute::is_waiting(part);
    reroute::set_waiting(part, operator, error);
    part.fallback = Some(fallback);
    if let Some(cost) = retry.cost.filter(|_| !is_counted) {
        part.spent = Some(part.spent.unwrap_or_default().saturating_add(cost));
    }
}

/// Whether the route of a message asks for another operator after this receipt.
pub(crate) fn after_receipt(
    plan: &Plan,
    life: &MessageLife,
    receipt: &Receipt,
    meaning: Meaning,
    now: Timestamp,
) -> Option<Retry> {
    let failed = match meaning {
        Meaning::Intermediate => false,
        Meaning::Final(state) => reroute::has_failed(state),
    };
    if !failed || !plan.has_failover() || life.is_final {
        return None;
    }
    let decision = plan.decide(&life.message, now).ok()?;
    let failover = plan.failover(decision.route)?;
    let is_named = failover.states.contains(&plan::word_of(receipt.state))
        || receipt
            .error
            .as_ref()
            .is_some_and(|error| failover.errors.contains(error));
    is_named.then(|| Retry {
        cost: plan.cost(&receipt.via.operator, &life.message, now),
    })
}

/// A carrier took a part: says when its silence is long enough for another operator.
pub(crate) fn arm(plan: &Plan, life: &mut MessageLife, result: &SubmitResult, now: Timestamp) {
    if !plan.has_failover() || life.is_final {
        return;
    }
    let silence = plan
        .decide(&life.message, now)
        .ok()
        .and_then(|decision| plan.failover(decision.route)?.silence);
    let index = usize::from(result.part).checked_sub(1);
    let part = index.and_then(|index| life.parts.get_mut(index));
    if let (Some(silence), Some(part)) = (silence, part.filter(|part| can_be_silent(part)))
        && part.via.as_ref() == Some(&result.via)
    {
        part.silent_at = Some(result.at.after(silence));
    }
}

fn can_be_silent(part: &PartLife) -> bool {
    !part.is_final && part.state == MessageState::Sent
}

/// When the first of its parts has been silent for too long; `None` when none is waited for so.
pub(crate) fn silent_at(life: &MessageLife) -> Option<Timestamp> {
    let open = life.parts.iter().filter(|part| can_be_silent(part));
    open.filter_map(|part| part.silent_at).min()
}

/// Carriers that took parts have been silent for too long: other operators are tried, once. Where there is none, the parts go
/// on waiting for their receipts.
pub(crate) fn handle_silence(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    life: &mut MessageLife,
    changes: &mut Changes,
) -> Outcome {
    let mut from: Option<Via> = None;
    let message = &life.message;
    for part in life.parts.iter_mut().filter(|part| can_be_silent(part)) {
        let (Some(via), Some(_)) = (part.via.clone(), part.silent_at.filter(|at| *at <= now)) else {
            continue;
        };
        let cost = plan.cost(&via.operator, message, now);
        let retry = Retry { cost };
        wait(part, &via.operator, MessageState::Sent, life::NO_RECEIPT, retry);
        from.get_or_insert(via);
    }
    changes.changed = true;
    match from {
        Some(from) => reroute::handle(outcome, plan, now, &from, life, changes),
        None => outcome,
    }
}

/// No other operator is left: what the last one said, or did not say, counts.
pub(crate) fn give_up(part: &mut PartLife) {
    let error = part.error.take().unwrap_or_default();
    match part.fallback.take() {
        None => {
            life::end(part, MessageState::Rejected, &error);
        }
        // The carrier was silent only: its receipt is waited for as before.
        Some(MessageState::Sent) => {
            part.state = MessageState::Sent;
            if let (Some(tried), Some(via)) = (&mut part.tried, &part.via) {
                tried.retain(|operator| *operator != via.operator);
            }
        }
        Some(state) => {
            life::end(part, state, &error);
        }
    }
}

/// Whether a receipt of an operator that the part went away from ends it: the phone has it.
pub(crate) fn is_delivered_elsewhere(life: &MessageLife, part: &PartLife, meaning: Meaning) -> bool {
    let is_cut_anew = || {
        let events = life.events.iter().map(|line| line.event);
        let mut since = events.skip_while(|event| *event != EventName::MtRouted);
        life.message.part_count() > 1 && since.any(|event| event == EventName::MtRecut)
    };
    !part.is_final && meaning == Meaning::Final(MessageState::Delivered) && !is_cut_anew()
}

/// Whether a part of it is with another operator than its first, and not sent by it yet.
pub(crate) fn is_on_its_way(life: &MessageLife) -> bool {
    life.parts.iter().any(|part| {
        let has_moved = part.tried.as_ref().is_some_and(|tried| !tried.is_empty());
        !part.is_final && part.state == MessageState::Queued && has_moved
    })
}

/// The keys that it takes to withdraw what a later operator has not sent of the message under `key`.
pub(crate) fn keys(key: &StateKey, view: &View) -> Vec<StateKey> {
    let life = view.life(key).ok().and_then(|seen| seen.record);
    life.filter(|life| is_on_its_way(life))
        .map_or_else(Vec::new, |life| cancel::keys_of(life.message.id))
}

/// A receipt has ended a message: what was on its way to a later operator goes no further.
pub(crate) fn withdraw(
    outcome: Outcome,
    was_on_its_way: bool,
    now: Timestamp,
    life: &MessageLife,
    view: &View,
) -> Outcome {
    if was_on_its_way && life.is_final {
        cancel::withdraw(outcome, now, &life.message, view)
    } else {
        outcome
    }
}

/// When a message began, for `failover.within`.
pub(crate) fn began(life: &MessageLife) -> Timestamp {
    life.message.send_at.unwrap_or(life.message.accepted_at)
}
