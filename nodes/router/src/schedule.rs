//! Messages that are not to be sent yet.
//!
//! The accept leaves them in their record, whose alarm goes off at `send_at`; they are in no queue until then, so whoever
//! cancels one has only its record to change. At the alarm the message goes into `mt.accepted`, as it would have at once.
//! Knows no clock. Invariant SC-1: a message is published once, in the step that takes `scheduled` out of its record.

use crate::life::Changes;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report;
use smsgw_message::{MessageLife, MessageState, Record, Timestamp, names};
use smsgw_queue::{Expected, StateKey};

/// When a message is to be sent that waits for its time; `None` for all others.
pub(crate) fn due(life: &MessageLife) -> Option<Timestamp> {
    life.message
        .send_at
        .filter(|_| life.state == MessageState::Scheduled)
}

/// The alarm of a message that waits. It may be early, where the wall clock was set back.
pub(crate) fn handle(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    key: &StateKey,
    mut life: MessageLife,
    expected: Expected,
) -> Outcome {
    let mut outcome = outcome;
    if due(&life).is_some_and(|at| at <= now) {
        life.state = MessageState::Accepted;
        for part in &mut life.parts {
            part.state = MessageState::Accepted;
        }
        let record = life.message.to_record();
        outcome = outcome.with(|step| step.publish(names::MT_ACCEPTED, report::lane_of(&life), record));
    }
    let changes = Changes {
        changed: true,
        ..Changes::default()
    };
    report::put(outcome, plan, now, key, &life, expected, changes)
}
