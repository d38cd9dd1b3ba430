//! What becomes of parts that an administrator moves: the step for each unit, or why it stays.
//!
//! ```text
//! message has ended ────────────────────────▶ its records go, nothing is sent
//! every part waits here, none was ever sent ─▶ one step: records out, msg/<id>, cut as the other operator wants it, records in
//! else ─────────────────────────────────────▶ it stays, with the reason
//! ```
//! Pure over the state that it is given; time is an argument. Invariant MV-1: a part is in one queue, that of the operator in its
//! record (`via`): the step is refused when a record is under lease, was, or is gone; when an operator counts a doubt of it;
//! and when `msg/<id>` is not what was judged. Invariant MV-2: what may be with a carrier stays, and with it all its siblings.

use super::Way;
use super::units::{Unit, Waiting};
use crate::life::{self, Changes};
use crate::outcome::{Note, Outcome, Seen, View};
use crate::plan::Plan;
use crate::{recut, report, reroute};
use smsgw_message::{
    Event, EventName, MessageId, MessageLife, MessageState, OperatorId, PartLife, Record, SentAs, Timestamp,
    Tries, names,
};
use smsgw_queue::{StateKey, StepId};

/// Why parts stay where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stays {
    /// A part of the message is with a carrier, or has ended.
    Sent,
    /// A part may be with the carrier: it was never answered.
    InDoubt,
    /// Siblings of it do not wait here: they are sent, or with a link now.
    Apart,
    /// The other operator did not take it before.
    Tried,
    /// No route leads to another operator that is enabled.
    NoRoute,
    /// The record of its message is gone, or says that the part is elsewhere.
    Unknown,
    /// It cannot be read.
    Unreadable,
    /// Somebody had it each time it was to be moved.
    Busy,
}

impl Stays {
    /// The word in answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::InDoubt => "in_doubt",
            Self::Apart => "apart",
            Self::Tried => "tried",
            Self::NoRoute => "no_route",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
            Self::Busy => "busy",
        }
    }
}

/// What the step of a unit does, once it goes through.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) outcome: Outcome,
    pub(crate) messages: u64,
    /// Records that went to the other operator, as they were counted before.
    pub(crate) parts: u64,
    /// Records of messages that have ended.
    pub(crate) ended: u64,
}

/// The keys that the decision reads.
pub(crate) fn keys(from: &OperatorId, unit: &Unit) -> Vec<StateKey> {
    let of = |waiting: &Waiting| [report::message_key(waiting.message), tries_key(from, waiting)];
    unit.parts.iter().flat_map(of).collect()
}

fn tries_key(from: &OperatorId, waiting: &Waiting) -> StateKey {
    StateKey::from(names::tries(from, waiting.message, waiting.part))
}

/// Decides for a unit.
pub(crate) fn decide(
    plan: &Plan,
    now: Timestamp,
    (from, way): (&OperatorId, &Way),
    unit: &Unit,
    id: StepId,
    view: &View,
) -> Result<Moving, Stays> {
    let mut moving = Moving {
        outcome: Outcome::new(id),
        messages: 0,
        parts: 0,
        ended: 0,
    };
    if unit.parts.iter().any(|waiting| waiting.maybe_sent) {
        return Err(Stays::InDoubt);
    }
    let queue = names::mt_operator(from);
    for waiting in &unit.parts {
        let record = waiting.record;
        moving.outcome = moving.outcome.with(|step| step.discard(queue.as_str(), record));
        let key = tries_key(from, waiting);
        let tries = view.read::<Tries>(&key).map_err(|_| Stays::Unreadable)?;
        if tries.record.is_some_and(|tries| tries.in_doubt > 0) {
            return Err(Stays::InDoubt);
        }
        let expected = tries.expected;
        moving.outcome = moving.outcome.with(|step| step.delete(key, expected));
    }
    let mut chosen = None;
    for (message, parts) in by_message(unit) {
        let key = report::message_key(message);
        let seen = view.read::<MessageLife>(&key).map_err(|_| Stays::Unreadable)?;
        moving = match &seen.record {
            Some(life) if !life.is_final => {
                let to = go(plan, now, (from, way), &parts, seen, chosen.as_ref(), moving)?;
                chosen = Some(to.0);
                to.1
            }
            // An operator would end them the same way.
            Some(life) => drop_ended(now, from, Some(life), &parts, moving),
            None if parts.iter().all(|waiting| waiting.valid_until <= now) => {
                drop_ended(now, from, None, &parts, moving)
            }
            None => return Err(Stays::Unknown),
        };
    }
    if moving.ended > 0 && moving.parts > 0 {
        // Of a text that its client cut itself a piece has ended.
        return Err(Stays::Sent);
    }
    Ok(moving)
}

fn by_message(unit: &Unit) -> Vec<(MessageId, Vec<&Waiting>)> {
    let mut all: Vec<(MessageId, Vec<&Waiting>)> = Vec::new();
    for waiting in &unit.parts {
        match all.iter_mut().find(|(message, _)| *message == waiting.message) {
            Some((_, parts)) => parts.push(waiting),
            None => all.push((waiting.message, vec![waiting])),
        }
    }
    all
}

fn count(parts: &[&Waiting]) -> u64 {
    u64::try_from(parts.len()).unwrap_or(u64::MAX)
}

fn taken_back(now: Timestamp, from: &OperatorId, life: Option<&MessageLife>, parts: &[&Waiting]) -> Event {
    let mut event = match life {
        Some(life) => life.event(now, EventName::MtTakenBack),
        None => Event::new(now, EventName::MtTakenBack),
    };
    event.message = parts.first().map(|waiting| waiting.message);
    event.operator = Some(from.clone());
    event.parts = u16::try_from(parts.len()).unwrap_or(u16::MAX);
    event
}

fn drop_ended(
    now: Timestamp,
    from: &OperatorId,
    life: Option<&MessageLife>,
    parts: &[&Waiting],
    moving: Moving,
) -> Moving {
    Moving {
        outcome: moving.outcome.event(&taken_back(now, from, life, parts)),
        ended: moving.ended.saturating_add(count(parts)),
        ..moving
    }
}

/// Whether every part of a message waits in this queue, and nothing of it is elsewhere.
fn check(life: &MessageLife, from: &OperatorId, parts: &[&Waiting]) -> Result<(), Stays> {
    let is_out = |state: MessageState| match state {
        MessageState::Sent
        | MessageState::Delivered
        | MessageState::Failed
        | MessageState::Expired
        | MessageState::Rejected
        | MessageState::Cancelled => true,
        MessageState::Accepted | MessageState::Scheduled | MessageState::Queued => false,
    };
    if life.parts.iter().any(|part| part.is_final || is_out(part.state)) {
        return Err(Stays::Sent);
    }
    let is_here = |part: &PartLife| {
        let via = part.via.as_ref();
        via.is_some_and(|via| via.operator == *from) && !reroute::is_waiting(part)
    };
    let numbers = 1..=life.message.part_count();
    let times = |number: u16| parts.iter().filter(|waiting| waiting.part == number).count();
    if !life.parts.iter().any(is_here)
        || parts.iter().any(|waiting| !numbers.contains(&waiting.part))
        || numbers.clone().any(|number| times(number) > 1)
    {
        return Err(Stays::Unknown);
    }
    if numbers.clone().any(|number| times(number) == 0) || !life.parts.iter().all(is_here) {
        return Err(Stays::Apart);
    }
    Ok(())
}

/// Where a message goes now, and as what.
struct Onward {
    to: OperatorId,
    route: Option<u32>,
    sent_as: Option<SentAs>,
}

/// The operator for a message; its siblings go to the one that was `chosen` for the first of them.
fn onward(
    plan: &Plan,
    now: Timestamp,
    (from, way): (&OperatorId, &Way),
    life: &MessageLife,
    chosen: Option<&OperatorId>,
) -> Result<Onward, Stays> {
    let tried = reroute::tried_by_any(life);
    let decision = plan.decide(&life.message, now).ok();
    let leads_to = |to: &OperatorId| decision.as_ref().filter(|found| found.operators().contains(&to));
    let to = match (way, chosen) {
        (Way::To(to), _) => to.clone(),
        (Way::Routes, Some(chosen)) => leads_to(chosen).map(|_| chosen.clone()).ok_or(Stays::NoRoute)?,
        (Way::Routes, None) => {
            let is_out = |operator: &OperatorId| {
                operator == from
                    || tried.contains(operator)
                    || plan.operator(operator).is_none_or(|settings| !settings.enabled)
            };
            let next = decision.as_ref().and_then(|found| found.operator_but(is_out));
            next.cloned().ok_or(Stays::NoRoute)?
        }
    };
    if tried.contains(&to) {
        return Err(Stays::Tried);
    }
    // What the route in force says of an operator that it leads to; else the message goes out as it would have.
    let (route, sent_as) = match leads_to(&to) {
        Some(found) => (u32::try_from(found.route).ok(), found.sent_as.clone()),
        None => (
            life.route,
            life.parts.first().and_then(|part| part.sent_as.clone()),
        ),
    };
    Ok(Onward { to, route, sent_as })
}

/// The message goes to the other operator.
fn go(
    plan: &Plan,
    now: Timestamp,
    way: (&OperatorId, &Way),
    parts: &[&Waiting],
    seen: Seen<MessageLife>,
    chosen: Option<&OperatorId>,
    moving: Moving,
) -> Result<(OperatorId, Moving), Stays> {
    let (from, _) = way;
    let Seen {
        record: Some(mut life),
        expected,
    } = seen
    else {
        return Err(Stays::Unknown);
    };
    check(&life, from, parts)?;
    let Onward { to, route, sent_as } = onward(plan, now, way, &life, chosen)?;
    let mut changes = Changes::default();
    changes.events.push(taken_back(now, from, Some(&life), parts));
    let tried = reroute::tried_by_any(&life);
    life.route = route;
    let settings = plan.operator(&to);
    if let Some(recut) = settings.and_then(|settings| recut::anew(&life.message, settings)) {
        life::handle_recut(&mut life, recut, &to, now, &mut changes);
    }
    for part in &mut life.parts {
        part.tried = Some(tried.clone()).filter(|tried| !tried.is_empty());
        reroute::give(part, &to, sent_as.as_ref());
    }
    let detail = format!("{from} to {to}: moved by instruction");
    life::note(&mut life, now, EventName::MtRerouted, None, Some(detail));
    let mut event = life.event(now, EventName::MtRerouted);
    event.operator = Some(to.clone());
    changes.events.push(event);
    changes.changed = true;
    let key = report::message_key(life.message.id);
    let mut outcome = report::put(moving.outcome, plan, now, &key, &life, expected, changes);
    let queue = names::mt_operator(&to);
    for number in 1..=life.message.part_count() {
        let Some(dispatch) = life.dispatch(number, &to) else {
            return Err(Stays::Unknown);
        };
        let (queue, lane) = (queue.as_str(), report::lane_of(&life));
        outcome = outcome.with(|step| step.publish(queue, lane, dispatch.to_record()));
    }
    let outcome = outcome.note(Note::Moved(from.clone(), to.clone(), count(parts)));
    let moving = Moving {
        outcome,
        messages: moving.messages.saturating_add(1),
        parts: moving.parts.saturating_add(count(parts)),
        ended: moving.ended,
    };
    Ok((to, moving))
}
