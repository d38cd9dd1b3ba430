//! Withdraws messages whose client asks for it.
//!
//! Input: a record of `alarms` that names `cancel/<id>`. A message that no operator was given yet ends at once: when its
//! own input comes round it is final. So does a part that waits for its next operator. For parts that are with operators the request stays, and `cancels` tells operators to
//! look for it at each checkout; such a part comes back as a submit result, through `up`. What a carrier has is not called
//! back. Knows no clock. Invariant CN-1: a part is withdrawn or sent, and the message ends as its parts do.

use crate::life::{self, Changes};
use crate::outcome::{Outcome, View};
use crate::plan::Plan;
use crate::report;
use smsgw_message::{CancelRequest, Cancels, MessageId, MessageLife, Record, Timestamp, names};
use smsgw_queue::{Expiry, StateKey};

/// The key of a request, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    key: StateKey,
    message: MessageId,
}

impl Request {
    pub(crate) fn of(key: StateKey) -> Option<Self> {
        let message = key.as_str().strip_prefix("cancel/")?.parse().ok()?;
        Some(Self { key, message })
    }

    pub(crate) fn keys(&self) -> Vec<StateKey> {
        vec![
            self.key.clone(),
            report::message_key(self.message),
            StateKey::from(names::CANCELS),
        ]
    }
}

pub(crate) fn handle(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    request: &Request,
    view: &View,
) -> Outcome {
    let asked = match view.read::<CancelRequest>(&request.key) {
        Ok(asked) => asked,
        Err(error) => return outcome.corrupt(&request.key, &error),
    };
    let key = report::message_key(request.message);
    let seen = match view.read::<MessageLife>(&key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(&key, &error),
    };
    let cancels = StateKey::from(names::CANCELS);
    let before = match view.read::<Cancels>(&cancels) {
        Ok(before) => before,
        Err(error) => return outcome.corrupt(&cancels, &error),
    };
    let Some(CancelRequest { client, .. }) = asked.record else {
        return outcome; // Done before, or of no more use.
    };
    let life = seen
        .record
        .filter(|life| !life.is_final && life.message.client == client);
    let mut changes = Changes::default();
    let Some(mut life) = life else {
        return outcome.with(|step| step.delete(request.key.clone(), asked.expected));
    };
    let is_open = life::handle_cancel(&mut life, now, &mut changes);
    let until = life.message.valid_until;
    let outcome = report::put(outcome, plan, now, &life, seen.expected, changes);
    if !is_open {
        return outcome.with(|step| step.delete(request.key.clone(), asked.expected));
    }
    if before.record.is_some_and(|before| before.until >= until) {
        return outcome;
    }
    let open = Cancels { until }.to_record();
    outcome.with(|step| step.compare_and_put(cancels, before.expected, open, Expiry::At(until)))
}
