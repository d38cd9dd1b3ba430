//! The accept: one step makes a message durable, whichever face it came by.
//!
//! The step publishes the message and writes its life, its events, and what the face wants remembered with it (the answer to
//! an idempotency key). The route that admission found is taken where the message needs nothing else of the router (ADR 0016):
//! then it goes to its operator, else to the router. Knows neither HTTP nor SMPP. Invariant: `Ok` is said after the commit;
//! after `Err(Refusal::Late)` the message may still be sent, after any other it is not.

use crate::admission::content;
use crate::admission::credit::{self, Asked};
use crate::admission::quota::{Spent, UsedUp};
use crate::metric;
use crate::shared::Shared;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use smsgw_config::LimitsSection;
use smsgw_message::{
    ClientId, Encoding, Event, EventName, MessageLife, MessageState, MtMessage, Record, Routed, Timestamp,
    names,
};
use smsgw_queue::{
    CommitError, CommitErrorKind, EngineError, Expected, Expiry, Flow, Full, Lane, QueueName, StateKey, Step,
    StepId,
};
use std::fmt::Write;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error};

/// Why a message was not accepted, as far as the engine is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What was to be remembered with it is there already: a request with the same key was faster.
    Taken,
    /// A quota of the account does not hold the message.
    OverQuota(UsedUp),
    /// The account's prepaid credit does not pay for it.
    InsufficientCredit,
    /// Too many messages wait in the gateway, or in one queue.
    Full,
    /// No room on the disk.
    NoSpace,
    /// The gateway is stopping.
    Stopping,
    /// The engine failed; it has said why in the log.
    Failed,
    /// The engine did not answer in time; the message may still be sent.
    Late,
}

impl Refusal {
    /// What a client is told.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::OverQuota(used_up) => used_up.words(),
            Self::InsufficientCredit => credit::WORDS,
            Self::Full => "too many messages wait in the gateway",
            Self::NoSpace => "the gateway has no room to store the message",
            Self::Stopping => "the gateway is stopping",
            Self::Taken | Self::Failed => "the gateway could not store the message",
            Self::Late => "the gateway could not confirm the message in time; it may still be sent",
        }
    }
}

/// Until when a message may live: what is remembered of its accept is kept at least as long, since a repetition must not
/// find the key gone and the message under way.
pub(crate) fn remembered_until(message: &MtMessage, limits: &LimitsSection) -> Timestamp {
    limits
        .given_up_at(message)
        .max(message.accepted_at.after(limits.idempotency))
}

/// The step: the message for its operator or the router unless it is for later, its life and its events. A face may add to it.
///
/// `routed` is where the message goes without the router. A step with an input gives none: no bound refuses it, so a queue that is
/// full would take it all the same.
pub(crate) fn step(
    shared: &Shared,
    message: MtMessage,
    routed: Option<&Routed>,
    limits: &LimitsSection,
) -> Step {
    let id = message.id;
    let lane = Lane::new(message.class, Flow::new(&message.client));
    let event = Event {
        message: Some(id),
        client: Some(message.client.clone()),
        parts: message.part_count(),
        from: message.from.clone(),
        to: Some(message.to.clone()),
        reference: message.reference.clone(),
        class: Some(message.class),
        tags: message.tags.clone(),
        encoding: Some(message.encoding),
        state: Some(MessageLife::first_state(&message)),
        text: stored_text(shared, &message),
        charge: message.charge.clone(),
        ..Event::new(message.accepted_at, EventName::MtAccepted)
    };
    // What is to be sent later waits in its record; the router is woken by its alarm and publishes it then.
    let at = message.send_at.unwrap_or_else(|| limits.given_up_at(&message));
    let alarm = Expiry::Alarm(at, shared.alarms.clone(), lane.clone());
    let step = Step::new(StepId::accept(id));
    let step = match &message.reference {
        None => step,
        // The last one under a reference is found: no read before the write, and nothing to contend for.
        Some(reference) => step.compare_and_put(
            reference_key(&message.client, reference),
            Expected::Any,
            Bytes::copy_from_slice(id.as_bytes()),
            Expiry::At(limits.given_up_at(&message).after(limits.message_retention)),
        ),
    };
    let mut life = MessageLife::accepted(message);
    let given = routed.map(|routed| {
        life.state = MessageState::Queued;
        life.give(routed, life.message.accepted_at)
    });
    let step = match routed {
        Some(Routed { operator, .. }) => {
            let queue = QueueName::from(names::mt_operator(operator));
            (1..=life.message.part_count())
                .filter_map(|number| life.dispatch(number, operator))
                .fold(step, |step, part| {
                    step.publish(queue.clone(), lane.clone(), part.to_record())
                })
        }
        None if life.message.send_at.is_some() => step,
        None => step.publish(shared.accepted.clone(), lane, life.message.to_record()),
    };
    let step = step.compare_and_put(names::message(id), Expected::Absent, life.to_record(), alarm);
    let events = [Some(event), given].into_iter().flatten();
    events.fold(step, |step, event| {
        step.append(shared.events.clone(), event.to_record())
    })
}

/// The text as it goes out, where it may be stored (`history.store_text`): every reader of the log gets to see it.
fn stored_text(shared: &Shared, message: &MtMessage) -> Option<String> {
    let tables = shared.tables.current();
    let is_stored =
        tables.snapshot.config.stores_text(&message.client) && message.encoding != Encoding::Binary;
    is_stored.then(|| content::text(message))
}

/// Where the id of the last message with a reference stands, for as long as the record of the message.
pub(crate) fn reference_key(client: &ClientId, reference: &str) -> StateKey {
    let mut key = format!("byref/{client}/");
    // Half the digest is enough: who looks it up compares the reference.
    for octet in Sha256::digest(reference).iter().take(16) {
        write!(key, "{octet:02x}").expect("writing to a String cannot fail");
    }
    StateKey::from(key)
}

/// Commits an accept; returns when it is durable.
pub(crate) async fn commit(shared: &Shared, step: Step, deadline: Instant) -> Result<(), Refusal> {
    let asked = Counters::of(&step);
    let since = shared.clock.instant();
    match timeout_at(deadline, step.commit(shared.engine.as_ref())).await {
        Ok(Ok(_)) => {
            note(shared, since, 1);
            Ok(())
        }
        Ok(Err(refused)) => Err(asked
            .refusal(shared, &refused.kind)
            .unwrap_or_else(|| judge(&refused))),
        Err(_) => {
            error!(
                "the engine did not answer an accept within http.request_timeout or smpp.response_timeout"
            );
            Err(Refusal::Late)
        }
    }
}

/// Commits several accepts together; each is durable or refused on its own.
pub(crate) async fn commit_all(
    shared: &Shared,
    steps: Vec<Step>,
    deadline: Instant,
) -> Vec<Result<(), Refusal>> {
    let asked: Vec<Counters> = steps.iter().map(Counters::of).collect();
    let count = asked.len();
    let since = shared.clock.instant();
    match timeout_at(deadline, shared.engine.commit(steps)).await {
        Ok(answers) => {
            note(shared, since, count);
            answers
                .into_iter()
                .zip(asked)
                .map(|(answer, asked)| match answer {
                    Ok(_) => Ok(()),
                    Err(refused) => Err(asked
                        .refusal(shared, &refused.kind)
                        .unwrap_or_else(|| judge(&refused))),
                })
                .collect()
        }
        Err(_) => {
            error!("the engine did not answer accepts within smpp.response_timeout");
            vec![Err(Refusal::Late); count]
        }
    }
}

/// Tells how long a commit took, by which it is known how many turns there have to be.
fn note(shared: &Shared, since: std::time::Instant, count: usize) {
    let now = shared.clock.instant();
    shared
        .turns
        .stored(now, count, now.saturating_duration_since(since));
}

/// The counters that a step takes from, to know whose floor refused it.
pub(crate) struct Counters(Spent, Asked);

impl Counters {
    pub(crate) fn of(step: &Step) -> Self {
        Self(Spent::of(step), Asked::of(step))
    }

    /// What to tell, when it was a quota or a balance that refused.
    pub(crate) fn refusal(&self, shared: &Shared, error: &CommitErrorKind) -> Option<Refusal> {
        self.0
            .over_quota(shared, error)
            .or_else(|| self.1.insufficient(shared, error))
    }
}

fn judge(error: &CommitError) -> Refusal {
    match &error.kind {
        CommitErrorKind::Engine(EngineError::NoSpace) => {
            // The engine says so in the log once; here it would be once for each request.
            debug!(%error, "message refused: the disk is full");
            Refusal::NoSpace
        }
        CommitErrorKind::Full(full) => {
            let bound = match full {
                Full::Engine => "engine",
                Full::Queue(_) => "queue",
            };
            metric::FULL_TOTAL.with(&[bound]).inc();
            debug!(%error, kind = %error.kind, "message refused: too many wait");
            Refusal::Full
        }
        CommitErrorKind::Engine(EngineError::Closed) => Refusal::Stopping,
        CommitErrorKind::Conflict { .. } => Refusal::Taken,
        CommitErrorKind::Engine(EngineError::Poisoned(_) | EngineError::Read(_))
        | CommitErrorKind::Stale { .. }
        | CommitErrorKind::Floor { .. }
        | CommitErrorKind::NotACounter { .. }
        | CommitErrorKind::NoRecord { .. }
        | CommitErrorKind::Leased { .. }
        | CommitErrorKind::Invalid(_) => {
            error!(%error, kind = %error.kind, "message refused: the engine could not store it");
            Refusal::Failed
        }
    }
}
