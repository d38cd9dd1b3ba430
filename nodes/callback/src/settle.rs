//! From outcomes to durable steps: what was answered 2xx is settled and noted, the rest goes back or is given up.

use crate::attempt::Outcome;
use crate::metric;
use rand::Rng;
use smsgw_config::CallbackSection;
use smsgw_message::{Down, DownKind, Event, EventName, Record, Timestamp, Told, names};
use smsgw_queue::{
    CommitErrorKind, Cost, DeadReason, Delivery, Engine, EngineError, Expiry, ReleaseReason, Step,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, error, warn};

/// Most steps of one commit.
const BATCH: usize = 256;

/// How long to wait before the engine is asked again after it had no room.
const NO_ROOM: Duration = Duration::from_secs(1);

/// A step and the delivery it is about, which must live until the step is durable.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) step: Step,
    pub(crate) delivery: Delivery,
}

/// The step for an attempt that ended.
pub(crate) fn after_attempt(
    delivery: &Delivery,
    down: &Down,
    outcome: Outcome,
    now: Timestamp,
    policy: &CallbackSection,
    retention: Duration,
) -> Step {
    match outcome {
        Outcome::Delivered => delivered(delivery, down, now, retention),
        Outcome::Status(_) | Outcome::Timeout | Outcome::Connect | Outcome::Blocked | Outcome::Panicked => {
            let age = now.since(delivery.published_at());
            match policy.retry.delay(delivery.attempt()) {
                Some(delay) if age < policy.give_up => {
                    let after = jittered(delay, policy.jitter);
                    debug!(message = %message(down), client = %down.client, outcome = outcome.as_str(),
                        status = outcome.status(), attempt = delivery.attempt(), ?after, "callback failed");
                    Step::from(delivery).release(
                        delivery,
                        after,
                        ReleaseReason::CallbackFailed,
                        Cost::Counted,
                    )
                }
                Some(_) | None => give_up(delivery, down, DeadReason::AttemptsExhausted, now),
            }
        }
    }
}

fn delivered(delivery: &Delivery, down: &Down, now: Timestamp, retention: Duration) -> Step {
    let step = Step::from(delivery).settle(delivery);
    let mut event = Event {
        message: Some(message(down)),
        client: Some(down.client.clone()),
        ..Event::new(now, EventName::DeliveredToClient)
    };
    let step = match &down.what {
        DownKind::Report(report) => {
            event.state = Some(report.state);
            event.age_ms = u64::try_from(now.since(report.accepted_at).as_millis()).ok();
            // This node alone writes the key; of several reports the last one counts.
            let told = Told {
                message: report.message,
                at: now,
                attempts: delivery.attempt(),
            };
            step.put(
                names::told(report.message),
                told.to_record(),
                Expiry::At(now.after(retention)),
            )
        }
        DownKind::Mo(mo) => {
            event.operator = Some(mo.operator.clone());
            step
        }
    };
    step.append(names::EVENTS, event.to_record())
}

/// Kept for people, and told to those who count.
pub(crate) fn give_up(delivery: &Delivery, down: &Down, reason: DeadReason, now: Timestamp) -> Step {
    warn!(message_id = %message(down), client = %down.client, reason = reason.as_str(), attempts = delivery.attempt(),
        "callback given up and kept as a dead letter");
    metric::GIVEN_UP_TOTAL
        .with(&[down.client.as_str(), reason.as_str()])
        .inc();
    let event = Event {
        message: Some(message(down)),
        client: Some(down.client.clone()),
        error: Some(reason.as_str().to_owned()),
        ..Event::new(now, EventName::ClientUnreachable)
    };
    Step::from(delivery)
        .dead_letter(delivery, reason)
        .append(names::EVENTS, event.to_record())
}

fn message(down: &Down) -> smsgw_message::MessageId {
    match &down.what {
        DownKind::Report(report) => report.message,
        DownKind::Mo(mo) => mo.message,
    }
}

/// The delay, shorter or longer by up to this share of it.
fn jittered(delay: Duration, share: f64) -> Duration {
    delay.mul_f64(1.0 + rand::rng().random_range(-share..=share))
}

/// Commits settlements as they come, all that wait in one call. Ends when the last sender is gone.
///
/// A settlement that the engine has no room for is kept and tried again, and no more are taken meanwhile: giving its
/// record back would post the same callback again and again for as long as the disk is full.
pub(crate) async fn run(
    mut settlements: mpsc::Receiver<Settlement>,
    engine: Arc<dyn Engine>,
) -> Result<(), EngineError> {
    let mut batch = Vec::with_capacity(BATCH);
    while settlements.recv_many(&mut batch, BATCH).await > 0 {
        loop {
            batch = commit(std::mem::take(&mut batch), engine.as_ref()).await?;
            if batch.is_empty() {
                break;
            }
            if settlements.is_closed() {
                warn!(
                    left = batch.len(),
                    "outcomes of callbacks could not be stored before the stop; the callbacks are sent again"
                );
                return Ok(());
            }
            warn!(
                left = batch.len(),
                "outcomes of callbacks cannot be stored; callbacks wait until they can"
            );
            tokio::time::sleep(NO_ROOM).await;
        }
    }
    Ok(())
}

/// Commits a batch; gives back what the engine refused for the time being.
async fn commit(batch: Vec<Settlement>, engine: &dyn Engine) -> Result<Vec<Settlement>, EngineError> {
    let steps = batch.iter().map(|settlement| settlement.step.clone()).collect();
    let answers = engine.commit(steps).await;
    let mut left = Vec::new();
    for (settlement, answer) in batch.into_iter().zip(answers) {
        let Err(refused) = answer else {
            // The lease is used up: nothing goes back.
            drop(settlement.delivery);
            continue;
        };
        match &refused.kind {
            CommitErrorKind::Engine(error @ (EngineError::Poisoned(_) | EngineError::Closed)) => {
                return Err(error.clone());
            }
            CommitErrorKind::Engine(EngineError::NoSpace | EngineError::Read(_)) => left.push(settlement),
            // The lease is gone, so somebody else has the record: what was done here is void.
            CommitErrorKind::Stale { .. }
            | CommitErrorKind::Conflict { .. }
            | CommitErrorKind::Floor { .. }
            | CommitErrorKind::NotACounter { .. }
            | CommitErrorKind::NoRecord { .. }
            | CommitErrorKind::Leased { .. }
            | CommitErrorKind::Full(_)
            | CommitErrorKind::Invalid(_) => {
                error!(error = %refused, kind = %refused.kind, "outcome of a callback could not be stored; it may be sent again");
            }
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_share_and_reaches_both_sides() {
        let delay = Duration::from_secs(10);
        let all: Vec<Duration> = (0..2000).map(|_| jittered(delay, 0.2)).collect();
        let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(
            *least >= Duration::from_secs(8) && *most <= Duration::from_secs(12),
            "{least:?} {most:?}"
        );
        assert!(
            *least < Duration::from_millis(8_200) && *most > Duration::from_millis(11_800),
            "{least:?} {most:?}"
        );
        assert_eq!(jittered(delay, 0.0), delay);
    }
}
