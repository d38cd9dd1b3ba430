//! Puts what follows from a change of a message into a step: its record, its events, its reports.
//!
//! Knows the life machine's [`Changes`] and the names of keys and queues; decides only where a report goes: to the
//! message's callback, else to binds where it came over one, else by the client ([`Plan::target`]), at last into its inbox; and whether the client
//! asked for it by registered_delivery. Invariant RP-1: a report has the same event id whenever its step is done.
//!
//! # Limits
//! A report for an account that is gone is counted and goes nowhere; the message's record still shows its state.

use crate::failover;
use crate::life::{Changes, Due};
use crate::outcome::{Note, Outcome};
use crate::plan::{Plan, Target};
use crate::schedule;
use smsgw_message::segment::Part;
use smsgw_message::text::decode_shifted;
use smsgw_message::{
    Down, DownKind, Encoding, ForBind, MessageLife, MessageState, Origin, Record, Timestamp, names,
};
use smsgw_queue::{DeadReason, Expected, Expiry, Flow, Lane, QueueName, StateKey};
use std::sync::LazyLock;

/// Characters of a message that its receipt quotes (SMPP 3.4 appendix B).
const QUOTED: usize = 20;

/// Where the alarms of messages go off.
static ALARMS: LazyLock<QueueName> = LazyLock::new(|| QueueName::from(names::ALARMS));

/// The key of a message's record.
pub(crate) fn message_key(life: smsgw_message::MessageId) -> StateKey {
    StateKey::from(names::message(life))
}

/// When receipts for a message are no longer waited for.
pub(crate) fn given_up_at(plan: &Plan, life: &MessageLife) -> Timestamp {
    plan.limits().given_up_at(&life.message)
}

/// The lane of everything that concerns a message.
pub(crate) fn lane_of(life: &MessageLife) -> Lane {
    Lane::new(life.message.class, Flow::new(&life.message.client))
}

/// Writes the record under its key ([`message_key`]), appends the events, publishes the reports.
pub(crate) fn put(
    mut outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    key: &StateKey,
    life: &MessageLife,
    expected: Expected,
    changes: Changes,
) -> Outcome {
    if !changes.changed {
        return outcome;
    }
    let expiry = if life.is_final {
        Expiry::At(plan.limits().record_kept_until(now))
    } else {
        let at = schedule::due(life).unwrap_or_else(|| given_up_at(plan, life));
        let at = failover::silent_at(life).map_or(at, |silent| silent.min(at));
        Expiry::Alarm(at, ALARMS.clone(), lane_of(life))
    };
    outcome = outcome.with(|step| step.compare_and_put(key.clone(), expected, life.to_record(), expiry));
    for event in &changes.events {
        outcome = outcome.event(event);
    }
    for due in changes.reports {
        outcome = publish(outcome, plan, life, due);
    }
    outcome
}

fn publish(outcome: Outcome, plan: &Plan, life: &MessageLife, due: Due) -> Outcome {
    let message = &life.message;
    let client = &message.client;
    if !is_asked_for(message.registered_delivery, due.report.state, life.is_final) {
        return outcome;
    }
    let target = match &message.callback {
        Some(url) => Target::Callback(url.clone()),
        None => plan.target(client, message.origin == Origin::Smpp),
    };
    let down = |url, for_bind| Down {
        event: message.id.derive(due.counter),
        client: client.clone(),
        url,
        at: due.at,
        what: DownKind::Report(due.report),
        for_bind,
    };
    let (queue, down) = match target {
        Target::Callback(url) => (names::DOWN_CALLBACK, down(Some(url), None)),
        Target::Binds => {
            let mut more = for_bind(life);
            if plan.quotes(client) {
                more.text = due
                    .opening
                    .as_ref()
                    .or(message.parts.first())
                    .map(|first| quote(message.encoding, first));
            }
            (names::DOWN_SMPP, down(None, Some(more)))
        }
        Target::Inbox if plan.has_client(client) => {
            let record = down(None, None).to_record();
            return outcome.with(|step| step.append(names::inbox(client), record));
        }
        // The account is gone: kept for a person, as an MO is.
        Target::Inbox => {
            let record = down(None, None).to_record();
            return outcome
                .with(|step| step.bury(names::DOWN_CALLBACK, lane_of(life), record, DeadReason::NoOwner))
                .note(Note::ReportWithoutTarget(client.clone(), message.id));
        }
    };
    outcome.with(|step| step.publish(queue, lane_of(life), down.to_record()))
}

/// What registered_delivery says of this state (SMPP 5.0 section 4.7.21); a message without it has a report level, which
/// has been asked. An intermediate notification is due once: when every part is with a carrier.
fn is_asked_for(registered_delivery: Option<u8>, state: MessageState, is_final: bool) -> bool {
    let Some(asked) = registered_delivery else {
        return true;
    };
    if !is_final {
        return state == MessageState::Sent;
    }
    match asked & 0b11 {
        // Failures only. `sent` as an end is none: no receipt can say what became of it.
        2 => !matches!(state, MessageState::Delivered | MessageState::Sent),
        // Successes only.
        3 => state == MessageState::Delivered,
        // Always; and where the account asks for what the message does not.
        _ => true,
    }
}

fn for_bind(life: &MessageLife) -> ForBind {
    let delivered = life
        .parts
        .iter()
        .filter(|part| part.state == MessageState::Delivered)
        .count();
    ForBind {
        id: life.message.batch.filter(|_| life.message.origin == Origin::Smpp),
        bind: life.message.bind,
        parts: life.message.part_count(),
        delivered: u16::try_from(delivered).unwrap_or(u16::MAX),
        is_final: life.is_final,
        text: None,
    }
}

/// How a message begins. Only its first part is read, and binary has no text.
fn quote(encoding: Encoding, first: &Part) -> String {
    let text = decode_shifted(encoding, first.shifts(), &first.data).text;
    text.chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_delivery_is_kept_to_the_letter() {
        use MessageState::{Delivered, Failed, Queued, Sent};
        // registered_delivery, then: delivered, failed, sent as the end, sent on the way.
        for (asked, expected) in [
            (None, [true, true, true, true]),
            (Some(0x11), [true, true, true, true]),
            (Some(0x12), [false, true, false, true]),
            (Some(0x13), [true, false, false, true]),
        ] {
            let end = [Delivered, Failed, Sent].map(|state| is_asked_for(asked, state, true));
            let way = is_asked_for(asked, Sent, false);
            assert_eq!([end[0], end[1], end[2], way], expected, "{asked:?}");
        }
        assert!(!is_asked_for(Some(0x11), Queued, false), "once is enough");
    }
}
