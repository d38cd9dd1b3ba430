//! Gives a message, or a part of it, to the next operator of its route when one did not take it and its operator's table says
//! so (`operator.<id>.reroute`); or took it and failed, where its route says so (`failover`).
//!
//! ```text
//! result "try another" ─▶ the part waits ─┬─ a part failed for good, or no operator is left ─▶ its failure counts
//!                                         ├─ a part was taken ─▶ the waiting ones go, as they are
//!                                         ├─ every part waits ─▶ the whole message goes, cut as the next operator wants it
//!                                         └─ else ─▶ it waits for the answers of the other parts
//! ```
//! A message of one part never waits. A long one stays together as long as it can: phones join the parts of one sender only,
//! and each carrier may write the sender its own way, so parts go apart only when one of them is at a carrier already. Where
//! a part has failed for good the message cannot become whole, and nothing more is paid for it.
//!
//! The next operator is the first one of the route in force that is enabled, and that neither the part nor (where the whole
//! goes) any other part was given to before. Each part knows the operators that did not take it (`tried`); `via` is the one
//! that has it now, and the only one whose failures count. Pure over a [`MessageLife`]; time is an argument.
//!
//! Invariant RR-1: a part is given to one operator at a time, and never again to one that did not take it; at most
//! `limits.reroutes` times (or as the route says), and not after its validity.
//!
//! # Limits
//! A part waits as long as a sibling is unanswered: a sibling that is retried for long, or whose link is down, holds the
//! waiting ones up to the end of their validity. Parts that a client cut itself are messages of their own, each with a way of
//! its own. What an operator cannot be told at all (`unsendable`) is final, though another one might be able to.

use crate::failover;
use crate::life::{self, Changes};
use crate::outcome::{Note, Outcome};
use crate::plan::Plan;
use crate::recut::{self, Recut};
use crate::report;
use smsgw_message::{
    EventName, LinkGroup, MessageLife, MessageState, OperatorId, PartLife, Record, RerouteReason, SentAs,
    SubmitOutcome, SubmitResult, Timestamp, Via, names,
};

/// Why parts that are to go elsewhere do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Every operator of the route was tried, or is not enabled, or no route applies any more.
    NoOperator,
    /// `limits.reroutes`.
    Limit,
    /// The validity has ended.
    Expired,
    /// Another part has failed for good.
    Incomplete,
    /// `failover.within` of the route.
    TooLate,
}

impl Halt {
    /// The word in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoOperator => "no_operator",
            Self::Limit => "limit",
            Self::Expired => "expired",
            Self::Incomplete => "incomplete",
            Self::TooLate => "too_late",
        }
    }
}

/// What becomes of the parts that are to go elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// There are none, or they wait for their siblings.
    Stay,
    /// The whole message goes to this operator.
    Whole(OperatorId),
    /// These parts go, numbered from 1.
    Parts(Vec<(u16, OperatorId)>),
    /// None goes: their failures count.
    End(Halt),
}

/// An operator did not take this part, and another one is to be tried. Gives the line for the message's life.
pub(crate) fn wait(
    part: &mut PartLife,
    operator: &OperatorId,
    error: &str,
    reason: RerouteReason,
) -> (EventName, Option<String>) {
    part.carrier_id = None;
    part.fallback = None;
    set_waiting(part, operator, error);
    let detail = format!("{operator}: {error} ({})", reason.as_str());
    (EventName::MtRefused, Some(detail))
}

/// The part looks for the operator after this one.
pub(crate) fn set_waiting(part: &mut PartLife, operator: &OperatorId, error: &str) {
    part.state = MessageState::Queued;
    part.error = Some(error.to_owned());
    part.silent_at = None;
    let tried = part.tried.get_or_insert_default();
    tried.retain(|before| before != operator);
    tried.push(operator.clone());
}

/// Whether this very result was taken before: its part is elsewhere by now.
pub(crate) fn is_repeated(life: &MessageLife, result: &SubmitResult) -> bool {
    let index = usize::from(result.part).checked_sub(1);
    let tried = index
        .and_then(|index| life.parts.get(index)?.tried.as_ref())
        .is_some_and(|tried| tried.contains(&result.via.operator));
    let taken_before = || {
        life.events.iter().any(|line| {
            line.event == EventName::MtRefused && line.part == Some(result.part) && line.at == result.at
        })
    };
    match result.outcome {
        SubmitOutcome::Refused { .. } => tried && taken_before(),
        SubmitOutcome::Sent { .. }
        | SubmitOutcome::Expired
        | SubmitOutcome::InDoubt
        | SubmitOutcome::Cancelled => false,
    }
}

/// Whether the part went away from this operator, so that its receipts tell of nothing that counts.
pub(crate) fn is_elsewhere(part: &PartLife, operator: &OperatorId) -> bool {
    let has_it = part.via.as_ref().is_none_or(|via| via.operator == *operator);
    !has_it && tried(part).contains(operator)
}

fn tried(part: &PartLife) -> &[OperatorId] {
    part.tried.as_deref().unwrap_or_default()
}

/// Whether it is to go elsewhere and has not gone yet.
pub(crate) fn is_waiting(part: &PartLife) -> bool {
    let at = part.via.as_ref().map(|via| &via.operator);
    !part.is_final && at.is_some() && tried(part).last() == at
}

/// Decides, once something has become of a part. `next` gives the operator to try when these were; `most` is how many may
/// be tried after the first.
pub(crate) fn decide(
    life: &MessageLife,
    now: Timestamp,
    most: u32,
    next: impl Fn(&[OperatorId]) -> Option<OperatorId>,
) -> Move {
    let waiting: Vec<(u16, &PartLife)> = (1u16..)
        .zip(&life.parts)
        .filter(|(_, part)| is_waiting(part))
        .collect();
    if waiting.is_empty() {
        return Move::Stay;
    }
    if life.message.valid_until <= now {
        return Move::End(Halt::Expired);
    }
    let state_of_final = |part: &PartLife| part.is_final.then_some(part.state);
    if life.parts.iter().filter_map(state_of_final).any(has_failed) {
        return Move::End(Halt::Incomplete);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let onward = |tried: &[OperatorId]| {
        if tried.len() > most {
            Err(Halt::Limit)
        } else {
            next(tried).ok_or(Halt::NoOperator)
        }
    };
    if waiting.len() == life.parts.len() {
        return match onward(&tried_by_any(life)) {
            Ok(operator) => Move::Whole(operator),
            Err(halt) => Move::End(halt),
        };
    }
    let is_taken = |part: &PartLife| matches!(part.state, MessageState::Sent | MessageState::Delivered);
    if !life.parts.iter().any(is_taken) {
        return Move::Stay;
    }
    let ways = waiting
        .into_iter()
        .map(|(number, part)| Ok((number, onward(tried(part))?)));
    match ways.collect() {
        Ok(parts) => Move::Parts(parts),
        Err(halt) => Move::End(halt),
    }
}

pub(crate) fn has_failed(state: MessageState) -> bool {
    match state {
        MessageState::Failed | MessageState::Expired | MessageState::Rejected | MessageState::Cancelled => {
            true
        }
        MessageState::Accepted
        | MessageState::Scheduled
        | MessageState::Queued
        | MessageState::Sent
        | MessageState::Delivered => false,
    }
}

/// The operators that did not take one part or another, in the order they were tried.
pub(crate) fn tried_by_any(life: &MessageLife) -> Vec<OperatorId> {
    let mut all: Vec<OperatorId> = Vec::new();
    for operator in life.parts.iter().flat_map(tried) {
        if !all.contains(operator) {
            all.push(operator.clone());
        }
    }
    all
}

/// The whole message goes to `operator`, as `recut` where it has to be cut anew.
fn go_whole(
    life: &mut MessageLife,
    operator: &OperatorId,
    sent_as: Option<&SentAs>,
    recut: Option<Recut>,
    now: Timestamp,
    out: &mut Changes,
) {
    let tried = tried_by_any(life);
    let detail = line(tried.last(), operator, life.parts.first());
    if let Some(recut) = recut {
        life::handle_recut(life, recut, operator, now, out);
    }
    for part in &mut life.parts {
        part.tried = Some(tried.clone());
        give(part, operator, sent_as);
    }
    life::note(life, now, EventName::MtRerouted, None, Some(detail));
    let mut event = life.event(now, EventName::MtRerouted);
    event.operator = Some(operator.clone());
    out.events.push(event);
    out.changed = true;
}

/// One part goes to `operator`, as it is.
fn go_alone(
    life: &mut MessageLife,
    number: u16,
    operator: &OperatorId,
    sent_as: Option<&SentAs>,
    now: Timestamp,
    out: &mut Changes,
) {
    let index = usize::from(number).checked_sub(1);
    let Some(part) = index.and_then(|index| life.parts.get_mut(index)) else {
        return;
    };
    let detail = line(tried(part).last(), operator, Some(part));
    give(part, operator, sent_as);
    life::note(life, now, EventName::MtRerouted, Some(number), Some(detail));
    let mut event = life.event(now, EventName::MtRerouted);
    event.operator = Some(operator.clone());
    event.parts = 1;
    out.events.push(event);
    out.changed = true;
}

fn line(from: Option<&OperatorId>, to: &OperatorId, part: Option<&PartLife>) -> String {
    let from = from.map_or("", OperatorId::as_str);
    let error = part.and_then(|part| part.error.as_deref()).unwrap_or_default();
    format!("{from} to {to}: {error}")
}

/// The part goes to this operator, as if nothing had been said of it before.
pub(crate) fn give(part: &mut PartLife, operator: &OperatorId, sent_as: Option<&SentAs>) {
    part.state = MessageState::Queued;
    part.error = None;
    part.fallback = None;
    part.silent_at = None;
    part.sent_as = sent_as.cloned();
    part.carrier_id = None;
    part.link = None;
    part.via = Some(Via {
        operator: operator.clone(),
        group: LinkGroup::of(operator),
    });
}

/// The parts that wait end by the failures they have.
fn end_waiting(life: &mut MessageLife) {
    for part in life.parts.iter_mut().filter(|part| is_waiting(part)) {
        failover::give_up(part);
    }
}

/// Moves what is to be moved, after something has become of a part that `from` had: publishes it to its next operator.
pub(crate) fn handle(
    mut outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    from: &Via,
    life: &mut MessageLife,
    changes: &mut Changes,
) -> Outcome {
    if !life.parts.iter().any(is_waiting) {
        return outcome;
    }
    let route = plan.decide(&life.message, now).ok();
    let caps = route.as_ref().and_then(|route| plan.failover(route.route));
    let spent = life
        .parts
        .iter()
        .filter_map(|part| part.spent)
        .max()
        .unwrap_or_default();
    let is_too_dear = |operator: &OperatorId| {
        let most = caps.and_then(|caps| u64::try_from(caps.cost?.as_i64()).ok());
        most.is_some_and(|most| {
            let cost = plan.cost(operator, &life.message, now);
            cost.is_none_or(|cost| spent.saturating_add(cost) > most)
        })
    };
    let next = |tried: &[OperatorId]| {
        let is_out = |operator: &OperatorId| {
            tried.contains(operator)
                || plan.operator(operator).is_none_or(|settings| !settings.enabled)
                || is_too_dear(operator)
        };
        route.as_ref()?.operator_but(is_out).cloned()
    };
    let attempts = caps.and_then(|caps| caps.attempts);
    let most = attempts.map_or(plan.limits().reroutes, |attempts| attempts.saturating_sub(1));
    let decided = match caps.and_then(|caps| caps.within) {
        Some(within) if now.since(failover::began(life)) > within => Move::End(Halt::TooLate),
        Some(_) | None => decide(life, now, most, next),
    };
    let sent_as = route.as_ref().and_then(|route| route.sent_as.as_ref());
    let number = route.as_ref().and_then(|route| u32::try_from(route.route).ok());
    let moved: Vec<(u16, OperatorId)> = match decided {
        Move::Stay => return outcome,
        Move::End(halt) => {
            end_waiting(life);
            outcome = outcome.note(Note::NotRerouted(from.operator.clone(), life.message.id, halt));
            Vec::new()
        }
        Move::Whole(operator) => {
            let recut = plan
                .operator(&operator)
                .and_then(|settings| recut::anew(&life.message, settings));
            life.route = number;
            go_whole(life, &operator, sent_as, recut, now, changes);
            (1..=life.message.part_count())
                .map(|number| (number, operator.clone()))
                .collect()
        }
        Move::Parts(parts) => {
            life.route = number;
            for (number, operator) in &parts {
                go_alone(life, *number, operator, sent_as, now, changes);
            }
            parts
        }
    };
    life::end_unspoken(life, plan.long_receipts(&from.operator), from);
    life::conclude(life, now, changes);
    for (number, to) in moved {
        let Some(dispatch) = life.dispatch(number, &to) else {
            continue;
        };
        let (queue, lane) = (names::mt_operator(&to), report::lane_of(life));
        outcome = outcome
            .with(|step| step.publish(queue.as_str(), lane, dispatch.to_record()))
            .note(Note::Rerouted {
                from: from.operator.clone(),
                to,
                message: life.message.id,
            });
    }
    outcome
}

#[cfg(test)]
mod tests;
