//! Gives a message another content or other times, as its client asks (SMPP 3.4 section 4.10).
//!
//! Input: a record of `alarms` that names `replace/<id>`, where the client node has put the new message, judged and cut. One
//! step takes the old parts out of the queue of their operator, writes the new message into `msg/<id>`, publishes it (or sets
//! its alarm, when it is for later), takes what it costs more from the counters, and says so in the request, where the client
//! node waits for it. Knows no clock.
//!
//! Invariant RP-2: either the old message goes out or the new one. The step is refused when a record of the old one is under
//! lease, was, or is gone; when an operator counts tries of a part; and when `msg/<id>` is not what was judged. What of the
//! old message is still in `mt.accepted` is void (see `mt`).

use crate::life::{self, Changes};
use crate::outcome::{Outcome, View};
use crate::plan::Plan;
use crate::report;
use smsgw_message::{
    EventName, MessageId, MessageLife, MessageState, MtMessage, Record, ReplaceRequest, ReplaceVerdict,
    Timestamp, names,
};
use smsgw_queue::{CommitErrorKind, Expected, Expiry, RecordId, StateKey};
use std::time::Duration;

/// How long a verdict is kept for the client node to read it.
const VERDICT_KEPT: Duration = Duration::from_secs(60);

/// The key of a request, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    key: StateKey,
    message: MessageId,
    /// Its step was refused by what it found: that is the verdict.
    refused: Option<ReplaceVerdict>,
}

impl Request {
    pub(crate) fn of(key: StateKey) -> Option<Self> {
        let message = key.as_str().strip_prefix("replace/")?.parse().ok()?;
        Some(Self {
            key,
            message,
            refused: None,
        })
    }

    /// The same after its step was refused so; `None` when that says nothing of the request.
    pub(crate) fn refused(&self, why: &CommitErrorKind) -> Option<Self> {
        let verdict = match why {
            CommitErrorKind::NoRecord { .. } | CommitErrorKind::Leased { .. } => ReplaceVerdict::TooLate,
            CommitErrorKind::Floor { .. } => ReplaceVerdict::OverQuota,
            CommitErrorKind::Stale { .. }
            | CommitErrorKind::Conflict { .. }
            | CommitErrorKind::NotACounter { .. }
            | CommitErrorKind::Full(_)
            | CommitErrorKind::Invalid(_)
            | CommitErrorKind::Engine(_) => return None,
        };
        Some(Self {
            refused: Some(verdict),
            ..self.clone()
        })
    }

    pub(crate) fn keys(&self, view: &View) -> Vec<StateKey> {
        let mut keys = vec![self.key.clone(), report::message_key(self.message)];
        let asked = view
            .read::<ReplaceRequest>(&self.key)
            .ok()
            .and_then(|seen| seen.record);
        keys.extend(asked.iter().flat_map(|asked| self.tries(asked)));
        keys
    }

    /// Where operators count how often they tried a part: one that was tried may be with its carrier.
    fn tries(&self, asked: &ReplaceRequest) -> Vec<StateKey> {
        let waiting = asked.waiting.iter();
        let keys = waiting.flat_map(|waiting| {
            (1u16..)
                .zip(&waiting.records)
                .map(|(part, _)| StateKey::from(names::tries(&waiting.operator, self.message, part)))
        });
        keys.collect()
    }
}

pub(crate) fn handle(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    request: &Request,
    view: &View,
) -> Outcome {
    let asked = match view.read::<ReplaceRequest>(&request.key) {
        Ok(asked) => asked,
        Err(error) => return outcome.corrupt(&request.key, &error),
    };
    let key = report::message_key(request.message);
    let seen = match view.read::<MessageLife>(&key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(&key, &error),
    };
    let Some(there) = asked.record.filter(|there| there.verdict.is_none()) else {
        return outcome; // Its client waits no more, or it is decided.
    };
    let verdict = |outcome: Outcome, verdict| {
        let decided = ReplaceRequest {
            message: None,
            waiting: None,
            spends: Vec::new(),
            verdict: Some(verdict),
            ..there.clone()
        };
        let until = Expiry::At(now.after(VERDICT_KEPT));
        outcome.with(|step| {
            step.compare_and_put(request.key.clone(), asked.expected, decided.to_record(), until)
        })
    };
    if let Some(refused) = request.refused {
        return verdict(outcome, refused);
    }
    let is_as_judged = seen.expected == Expected::Version(there.seen);
    let life = seen.record.filter(|life| is_as_judged && !life.is_final);
    let (Some(mut life), Some(message)) = (life, there.message.clone()) else {
        return verdict(outcome, ReplaceVerdict::Changed);
    };
    let mut outcome = outcome;
    for key in request.tries(&there) {
        if view.is_there(&key) {
            return verdict(outcome, ReplaceVerdict::TooLate);
        }
        outcome = outcome.with(|step| step.delete(key, Expected::Absent));
    }
    if let Some(waiting) = &there.waiting {
        let queue = names::mt_operator(&waiting.operator);
        for record in &waiting.records {
            outcome = outcome.with(|step| step.discard(queue.as_str(), RecordId::from_u64(*record)));
        }
        // They were counted as given to it, and are given anew.
        let mut event = life.event(now, EventName::MtTakenBack);
        event.operator = Some(waiting.operator.clone());
        event.parts = u16::try_from(waiting.records.len()).unwrap_or(u16::MAX);
        outcome = outcome.event(&event);
    }
    outcome = there.spends.iter().fold(outcome, |outcome, spend| {
        outcome.with(|step| {
            step.add(
                spend.key.as_str(),
                spend.delta,
                spend.floor,
                Expiry::At(spend.until),
            )
        })
    });
    let mut changes = Changes::default();
    begin_anew(&mut life, message, now, &mut changes);
    if life.state == MessageState::Accepted {
        let record = life.message.to_record();
        outcome = outcome.with(|step| step.publish(names::MT_ACCEPTED, report::lane_of(&life), record));
    }
    let outcome = report::put(outcome, plan, now, &key, &life, seen.expected, changes);
    verdict(outcome, ReplaceVerdict::Replaced)
}

/// The message as it is now, before everything but its accept.
fn begin_anew(life: &mut MessageLife, message: MtMessage, now: Timestamp, out: &mut Changes) {
    let detail = format!("{} parts, were {}", message.parts.len(), life.parts.len());
    let fresh = MessageLife::accepted(message);
    life.message = fresh.message;
    life.state = fresh.state;
    life.parts = fresh.parts;
    life.route = None;
    life::note(life, now, EventName::MtReplaced, None, Some(detail));
    out.events.push(life.event(now, EventName::MtReplaced));
    out.changed = true;
}

/// Whether a record of `mt.accepted` is of a message that was replaced: the step that replaced it published it anew.
pub(crate) fn is_void(life: &MessageLife, accepted: &MtMessage) -> bool {
    // In this order: hardly any message is replaced, and comparing two takes longer.
    life.events.iter().any(|line| line.event == EventName::MtReplaced) && life.message != *accepted
}
