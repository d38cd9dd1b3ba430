//! Withdraws messages whose client asks for it.
//!
//! Input: a record of `alarms` that names `cancel/<id>` or `cancel-group/…`. A message that no operator was given yet ends
//! at once: when its own input comes round it is final. So does a part that waits for its next operator. For parts that are
//! with operators, and for groups, the request stays, and `cancels` tells operators to look for it at each checkout; such a
//! part comes back as a submit result, through `up`. What a carrier has is not called back. Knows no clock. Invariant CN-1: a part is withdrawn or sent, and the message ends as its parts do.

use crate::life::{self, Changes};
use crate::outcome::{Outcome, View};
use crate::plan::Plan;
use crate::report;
use smsgw_message::{
    CancelGroup, CancelRequest, Cancels, ClientId, GroupCancels, MessageId, MessageLife, MtMessage, Record,
    Timestamp, names,
};
use smsgw_queue::{Expected, Expiry, StateKey};
use std::time::Duration;

/// How much longer than needed a client's parts are looked up: so that its next request of that time writes nothing.
const GROUPS_LONGER: Duration = Duration::from_secs(60);

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
    let outcome = report::put(outcome, plan, now, &key, &life, seen.expected, changes);
    if !is_open {
        return outcome.with(|step| step.delete(request.key.clone(), asked.expected));
    }
    if before.record.as_ref().is_some_and(|before| before.until >= until) {
        return outcome;
    }
    let groups = before.record.and_then(|before| before.groups);
    open(outcome, before.expected, Cancels { until, groups }, now)
}

/// Tells operators what to look for.
fn open(outcome: Outcome, expected: Expected, mut open: Cancels, now: Timestamp) -> Outcome {
    let mut groups = open.groups.take().unwrap_or_default();
    groups.retain(|group| now < group.until);
    let ends = groups
        .iter()
        .map(|group| group.until)
        .fold(open.until, Timestamp::max);
    open.groups = (!groups.is_empty()).then_some(groups);
    outcome.with(|step| {
        step.compare_and_put(
            StateKey::from(names::CANCELS),
            expected,
            open.to_record(),
            Expiry::At(ends),
        )
    })
}

/// The keys that [`withdraw`] reads and writes.
pub(crate) fn keys_of(message: MessageId) -> Vec<StateKey> {
    vec![
        StateKey::from(names::cancel(message)),
        StateKey::from(names::CANCELS),
    ]
}

/// A message has ended while parts of it are in a queue of an operator: they go no further. Where a request cannot be written
/// they go out, and what comes of them is a duplicate.
pub(crate) fn withdraw(outcome: Outcome, now: Timestamp, message: &MtMessage, view: &View) -> Outcome {
    let cancels = StateKey::from(names::CANCELS);
    let key = StateKey::from(names::cancel(message.id));
    let (Ok(asked), Ok(before)) = (view.read::<CancelRequest>(&key), view.read::<Cancels>(&cancels)) else {
        return outcome;
    };
    let until = message.valid_until;
    if until <= now {
        return outcome; // They expire in their queue.
    }
    let request = CancelRequest {
        client: message.client.clone(),
        at: now,
    };
    let outcome = outcome
        .with(|step| step.compare_and_put(key, asked.expected, request.to_record(), Expiry::At(until)));
    if before.record.as_ref().is_some_and(|before| before.until >= until) {
        return outcome;
    }
    let groups = before.record.and_then(|before| before.groups);
    open(outcome, before.expected, Cancels { until, groups }, now)
}

/// The key of a request for a group of messages, and whose they are. Whether a message belongs to it is seen where its parts
/// are checked out, which all of them come by: there is no index of a client's messages by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    key: StateKey,
    client: ClientId,
}

impl Group {
    pub(crate) fn of(key: StateKey) -> Option<Self> {
        let client = key.as_str().strip_prefix("cancel-group/")?.split('/').next()?;
        let client = client.parse().ok()?;
        Some(Self { key, client })
    }

    pub(crate) fn keys(&self) -> Vec<StateKey> {
        vec![self.key.clone(), StateKey::from(names::CANCELS)]
    }
}

/// A request for a group: operators look for it as long as one of its messages may be unsent.
pub(crate) fn handle_group(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    group: &Group,
    view: &View,
) -> Outcome {
    match view.read::<CancelGroup>(&group.key) {
        Ok(asked) if asked.record.is_none() => return outcome, // It has expired.
        Ok(_) => {}
        Err(error) => return outcome.corrupt(&group.key, &error),
    }
    let cancels = StateKey::from(names::CANCELS);
    let before = match view.read::<Cancels>(&cancels) {
        Ok(before) => before,
        Err(error) => return outcome.corrupt(&cancels, &error),
    };
    let limits = plan.limits();
    let needed = now.after(limits.max_schedule).after(limits.max_validity);
    let until = needed.after(GROUPS_LONGER);
    let mut there = before.record.unwrap_or(Cancels {
        until: now,
        groups: None,
    });
    let groups = there.groups.get_or_insert_default();
    match groups.iter_mut().find(|known| known.client == group.client) {
        Some(known) if known.until >= needed => return outcome,
        Some(known) => known.until = until,
        None => groups.push(GroupCancels {
            client: group.client.clone(),
            until,
        }),
    }
    open(outcome, before.expected, there, now)
}
