//! Puts what follows from a change of a message into a step: its record, its events, its reports.
//!
//! Knows the life machine's [`Changes`] and the names of keys and queues; decides only where a report goes: to the
//! message's callback, else to its client's. Invariant RP-1: a report has the same event id whenever its step is done.
//!
//! # Limits
//! A report without a callback is counted and goes nowhere; the message's record still shows its state.

use crate::life::{Changes, Due};
use crate::outcome::{Note, Outcome};
use crate::plan::Plan;
use smsgw_message::{Down, DownKind, MessageLife, Record, Timestamp, names};
use smsgw_queue::{Expected, Expiry, Lane, StateKey};

/// The key of a message's record.
pub(crate) fn message_key(life: smsgw_message::MessageId) -> StateKey {
    StateKey::from(names::message(life))
}

/// When receipts for a message are no longer waited for.
pub(crate) fn given_up_at(plan: &Plan, life: &MessageLife) -> Timestamp {
    life.message.valid_until.after(plan.limits().receipt_grace)
}

/// The lane of everything that concerns a message.
pub(crate) fn lane_of(life: &MessageLife) -> Lane {
    Lane::new(life.message.class, &life.message.client)
}

/// Writes the record, appends the events, publishes the reports.
pub(crate) fn put(
    mut outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    life: &MessageLife,
    expected: Expected,
    changes: Changes,
) -> Outcome {
    if !changes.changed {
        return outcome;
    }
    let expiry = if life.is_final {
        Expiry::At(now.after(plan.limits().message_retention))
    } else {
        Expiry::Alarm(given_up_at(plan, life), names::ALARMS.into(), lane_of(life))
    };
    outcome = outcome
        .with(|step| step.compare_and_put(message_key(life.message.id), expected, life.to_record(), expiry));
    for event in &changes.events {
        outcome = outcome.event(event);
    }
    for due in changes.reports {
        outcome = publish(outcome, plan, life, due);
    }
    outcome
}

fn publish(outcome: Outcome, plan: &Plan, life: &MessageLife, due: Due) -> Outcome {
    let client = &life.message.client;
    let Some(url) = life.message.callback.clone().or_else(|| plan.callback(client)) else {
        return outcome.note(Note::ReportWithoutTarget(client.clone(), life.message.id));
    };
    let down = Down {
        event: life.message.id.derive(due.counter),
        client: client.clone(),
        url: Some(url),
        at: due.at,
        what: DownKind::Report(due.report),
    };
    outcome.with(|step| step.publish(names::DOWN_CALLBACK, lane_of(life), down.to_record()))
}
