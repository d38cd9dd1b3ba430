//! Writes the life of a message whose only part a carrier took, in the step that settles the part.
//!
//! ```text
//! answer ─┬─ it says all there is to say ─▶ settle, life, carrier's id, events: one step, compared with what was read
//!         └─ more follows: a report, another operator, other parts, parked receipts ─▶ settle, answer to the router
//! ```
//! What the answer makes of a life is told by [`MessageLife::taken`], as the router tells it. Knows no rule of its own but
//! who is to write.
//!
//! Invariant LV-1: what is written compares both the life and the carrier's id; where either is not as expected (somebody wrote in
//! between, a receipt came before its answer) nothing of it stands, and the answer goes to the router.

use crate::account::Account;
use crate::commit::Ended;
use crate::hop::{Done, Ending, Fate};
use bytes::Bytes;
use smsgw_config::{Config, LimitsSection};
use smsgw_message::{
    Correlation, Event, LinkId, MessageLife, Record, ReportLevel, SubmitOutcome, SubmitResult, names,
};
use smsgw_queue::{
    Engine, EngineError, Expected, Expiry, Flow, Lane, LogName, QueueName, StateKey, Step, Versioned,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use tracing::{debug, error};

/// Batches of answers that go to the router after one that found something unexpected: a carrier whose receipts come before its
/// answers is not decided twice each time.
const LEFT_FOR: u32 = 64;

/// Where the alarms of messages go off.
static ALARMS: LazyLock<QueueName> = LazyLock::new(|| QueueName::from(names::ALARMS));

/// What an operator must know of the configuration to write lives, and whether it is to.
#[derive(Debug)]
pub(crate) struct Lives {
    rules: RwLock<Arc<Rules>>,
    /// For so many batches the router writes.
    left: AtomicU32,
}

#[derive(Debug)]
struct Rules {
    limits: LimitsSection,
    has_failover: bool,
}

impl Lives {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            rules: RwLock::new(Arc::new(Rules::of(config))),
            left: AtomicU32::new(0),
        }
    }

    pub(crate) fn apply(&self, config: &Config) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules::of(config));
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asked once for each batch.
    fn are_left_to_the_router(&self) -> bool {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.is_ok()
    }

    /// Something was not as expected.
    pub(crate) fn leave_to_the_router(&self) {
        self.left.store(LEFT_FOR, Ordering::Relaxed);
    }
}

impl Rules {
    fn of(config: &Config) -> Self {
        Self {
            limits: config.limits.clone(),
            has_failover: config.has_failover(),
        }
    }
}

/// What the step of an answer writes in place of telling the router.
#[derive(Debug)]
pub(crate) struct Written {
    key: StateKey,
    expected: Expected,
    life: Bytes,
    expiry: Expiry,
    id: Option<(StateKey, Bytes, Expiry)>,
    events: Vec<Event>,
}

impl Written {
    /// Logs what was told of the message, once it is durable.
    pub(crate) fn say(&self) {
        for event in &self.events {
            if let Some(message) = event.message {
                debug!(message_id = %message, event = event.name.as_str(), "step committed");
            }
        }
    }

    pub(crate) fn add_to(&self, step: Step, log: &LogName) -> Step {
        // The id first: on an engine that may leave a prefix of a step, an id without its life is found to be the answer's own.
        let step = match self.id.clone() {
            Some((key, id, expiry)) => step.compare_and_put(key, Expected::Absent, id, expiry),
            None => step,
        };
        let step = step.compare_and_put(
            self.key.clone(),
            self.expected,
            self.life.clone(),
            self.expiry.clone(),
        );
        self.events
            .iter()
            .fold(step, |step, event| step.append(log.clone(), event.to_record()))
    }
}

/// Finds out which of the batch are written here, and what.
pub(crate) async fn write(
    engine: &dyn Engine,
    account: &Account,
    link: &LinkId,
    batch: &mut [Done],
) -> Result<(), Ended> {
    let mut asked: Vec<(&mut Done, SubmitResult)> = Vec::with_capacity(batch.len());
    for done in batch {
        // What the router was told of an earlier attempt stands in its queue, and comes first.
        if let Fate::Ended(ending) = &done.fate
            && may_be_all(ending)
            && !account.counts().has(done.delivery.id())
        {
            let result = ending.result(done.at, account, link);
            asked.push((done, result));
        }
    }
    if asked.is_empty() || account.lives.are_left_to_the_router() {
        return Ok(());
    }
    let keys = asked.iter().map(|(_, result)| key_of(result)).collect();
    let values = match engine.get(keys).await {
        Ok(values) => values,
        Err(EngineError::Poisoned(cause)) => return Err(Ended::Poisoned(cause)),
        Err(EngineError::Closed) => return Err(Ended::Closed),
        Err(error @ (EngineError::NoSpace | EngineError::Read(_))) => {
            error!(operator = %account.id, %link, %error, "lives of messages cannot be read; the router writes them");
            return Ok(());
        }
    };
    let rules = account.lives.rules();
    for ((done, result), value) in asked.iter_mut().zip(values) {
        done.written = value.and_then(|value| written(&rules, result, &value));
    }
    Ok(())
}

/// Whether the life of the message is worth a look.
fn may_be_all(ending: &Ending) -> bool {
    let is_told = match ending.part.report {
        ReportLevel::None => false,
        ReportLevel::Final => !ending.receipt_asked,
        ReportLevel::All => true,
    };
    let was_sent = matches!(ending.outcome, SubmitOutcome::Sent { .. });
    was_sent && !is_told && ending.part.parts == 1
}

fn key_of(result: &SubmitResult) -> StateKey {
    StateKey::from(names::message(result.message))
}

/// What is written for an answer; `None` where it is for the router, as all is that cannot be read.
fn written(rules: &Rules, result: &SubmitResult, value: &Versioned) -> Option<Written> {
    let life = MessageLife::from_record(&value.value).ok()?;
    let (life, events) = life.taken(result)?;
    if rules.has_failover && !life.is_final {
        return None;
    }
    let Rules { limits, .. } = rules;
    let message = &life.message;
    let expiry = if life.is_final {
        Expiry::At(limits.record_kept_until(result.at))
    } else {
        let lane = Lane::new(message.class, Flow::new(&message.client));
        Expiry::Alarm(limits.given_up_at(message), ALARMS.clone(), lane)
    };
    let carrier_id = life.parts.first()?.carrier_id.as_deref();
    let id = carrier_id.map(|id| {
        let key = StateKey::from(Correlation::key(&result.via.group, id));
        let record = Correlation::first(id, result.message, result.part).to_record();
        (key, record, Expiry::At(limits.id_known_until(message, result.at)))
    });
    Some(Written {
        key: key_of(result),
        expected: Expected::Version(value.version),
        life: life.to_record(),
        expiry,
        id,
        events,
    })
}
