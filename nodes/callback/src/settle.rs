//! From outcomes to durable steps: what was answered well is settled and noted, the rest goes back or is given up.

use crate::answer::{self, Answer, Outcome};
use crate::metric;
use crate::policy::Policy;
use crate::request::message;
use rand::Rng;
use smsgw_message::{ClientRequest, Down, DownKind, Event, EventName, Record, Timestamp, Told, names};
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

/// What becomes of an event after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Told,
    /// Another attempt after so long.
    Again(Duration),
    GivenUp(DeadReason),
}

/// What becomes of an event of this age after this attempt at it. `share` is that of the jitter, from -1 to 1: the same for all
/// events of a request, so that they come back together.
pub(crate) fn fate(policy: &Policy, answer: &Answer, attempt: u32, age: Duration, share: f64) -> Fate {
    match answer.outcome {
        Outcome::Delivered => Fate::Told,
        // The target says that there is nobody for it, now and later (RFC 9110 section 15.5.11).
        Outcome::Gone => Fate::GivenUp(DeadReason::Refused),
        Outcome::Status(_)
        | Outcome::Unmatched(_)
        | Outcome::Timeout
        | Outcome::Connect
        | Outcome::Blocked
        | Outcome::Panicked => match policy.retry.delay(attempt) {
            Some(delay) if age < policy.give_up => {
                let asked = rest(policy, answer).unwrap_or_default();
                Fate::Again(delay.mul_f64(1.0 + policy.jitter * share).max(asked))
            }
            Some(_) | None => Fate::GivenUp(DeadReason::AttemptsExhausted),
        },
    }
}

/// How long the target asks to be left alone, as far as the policy goes along.
pub(crate) fn rest(policy: &Policy, answer: &Answer) -> Option<Duration> {
    let asked = answer.retry_after?;
    (!answer.outcome.is_answered()).then(|| asked.min(policy.own.retry_after_max))
}

/// A share of the jitter.
pub(crate) fn share() -> f64 {
    rand::rng().random_range(-1.0..=1.0)
}

/// The step for an event whose fate is known.
pub(crate) fn step(
    delivery: &Delivery,
    down: &Down,
    (fate, answer): (Fate, &Answer),
    policy: &Policy,
    now: Timestamp,
    retention: Duration,
) -> Step {
    match fate {
        Fate::Told => {
            let body = answer.body.as_deref().unwrap_or_default();
            let reply = answer::reply(policy, down, body, now);
            hand_over(told(delivery, down, now, retention), delivery, reply)
        }
        Fate::Again(after) => {
            debug!(message_id = %message(down), client = %down.client, outcome = answer.outcome.as_str(),
                status = answer.outcome.status(), attempt = delivery.attempt(), ?after, "callback failed");
            Step::from(delivery).release(delivery, after, ReleaseReason::CallbackFailed, Cost::Counted)
        }
        Fate::GivenUp(reason) => give_up(delivery, down, reason, now),
    }
}

/// An event with what every event of this node says.
fn event(delivery: &Delivery, down: &Down, name: EventName, now: Timestamp) -> Event {
    let event = Event {
        message: Some(message(down)),
        client: Some(down.client.clone()),
        class: Some(delivery.lane().class),
        ..Event::new(now, name)
    };
    match &down.what {
        DownKind::Report(report) => Event {
            from: report.from.clone(),
            to: Some(report.to.clone()),
            reference: report.reference.clone(),
            ..event
        },
        DownKind::Mo(mo) => Event {
            from: Some(mo.from.clone()),
            to: Some(mo.to.clone()),
            operator: Some(mo.operator.clone()),
            ..event
        },
    }
}

fn told(delivery: &Delivery, down: &Down, now: Timestamp, retention: Duration) -> Step {
    let step = Step::from(delivery).settle(delivery);
    let mut event = event(delivery, down, EventName::DeliveredToClient, now);
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
        DownKind::Mo(_) => step,
    };
    step.append(names::EVENTS, event.to_record())
}

/// What the answer asks for goes to the client node in the same step, or is kept where it cannot.
fn hand_over(step: Step, delivery: &Delivery, reply: Option<ClientRequest>) -> Step {
    let Some(reply) = reply else { return step };
    let (lane, record) = (delivery.lane().clone(), reply.to_record());
    let outcome = if reply.refused.is_some() {
        "malformed"
    } else {
        "taken"
    };
    metric::REPLIES_TOTAL
        .with(&[reply.client.as_str(), outcome])
        .inc();
    match &reply.refused {
        None => step.publish(names::CLIENT_REQUESTS, lane, record),
        Some(why) => {
            warn!(client = %reply.client, event = %reply.event, why, "reply to an MO cannot be used and is kept as a dead letter");
            step.bury(names::CLIENT_REQUESTS, lane, record, DeadReason::Refused)
        }
    }
}

/// Kept for people, and told to those who count.
pub(crate) fn give_up(delivery: &Delivery, down: &Down, reason: DeadReason, now: Timestamp) -> Step {
    warn!(message_id = %message(down), client = %down.client, reason = reason.as_str(), attempts = delivery.attempt(),
        "callback given up and kept as a dead letter");
    metric::GIVEN_UP_TOTAL
        .with(&[down.client.as_str(), reason.as_str()])
        .inc();
    let event = Event {
        error: Some(reason.as_str().to_owned()),
        ..event(delivery, down, EventName::ClientUnreachable, now)
    };
    Step::from(delivery)
        .dead_letter(delivery, reason)
        .append(names::EVENTS, event.to_record())
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
    use crate::fixtures::policy;
    use hyper::StatusCode;

    fn failed(retry_after: Option<u64>) -> Answer {
        Answer {
            retry_after: retry_after.map(Duration::from_secs),
            ..Answer::from(Outcome::Status(StatusCode::SERVICE_UNAVAILABLE))
        }
    }

    #[test]
    fn a_failure_climbs_the_clients_own_ladder_and_ends_with_it() {
        let own = policy("retry = [\"2s\", \"10s\"]\ngive_up = \"1h\"");
        let at = |attempt, share| fate(&own, &failed(None), attempt, Duration::ZERO, share);
        assert_eq!(at(1, 0.0), Fate::Again(Duration::from_secs(2)));
        assert_eq!(at(2, -1.0), Fate::Again(Duration::from_secs(8)));
        assert_eq!(at(2, 1.0), Fate::Again(Duration::from_secs(12)));
        assert_eq!(at(3, 0.0), Fate::GivenUp(DeadReason::AttemptsExhausted));
        let old = fate(&own, &failed(None), 1, Duration::from_secs(3600), 0.0);
        assert_eq!(old, Fate::GivenUp(DeadReason::AttemptsExhausted));
        let all = policy("");
        let general = fate(&all, &failed(None), 3, Duration::ZERO, 0.0);
        assert_eq!(general, Fate::Again(Duration::from_secs(4)));
    }

    #[test]
    fn retry_after_is_honoured_up_to_its_bound_and_410_ends_at_once() {
        let own = policy("retry = [\"2s\"]\nretry_after_max = \"30s\"");
        let at = |seconds| fate(&own, &failed(Some(seconds)), 1, Duration::ZERO, 0.0);
        assert_eq!(at(20), Fate::Again(Duration::from_secs(20)));
        assert_eq!(
            at(1),
            Fate::Again(Duration::from_secs(2)),
            "never before the ladder"
        );
        assert_eq!(at(86_400), Fate::Again(Duration::from_secs(30)));
        let gone = fate(&own, &Outcome::Gone.into(), 1, Duration::ZERO, 0.0);
        assert_eq!(gone, Fate::GivenUp(DeadReason::Refused));
        assert_eq!(rest(&own, &Outcome::Gone.into()), None);
        assert_eq!(rest(&own, &failed(Some(90))), Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_share_of_the_jitter_reaches_both_sides() {
        let all: Vec<f64> = (0..2000).map(|_| share()).collect();
        assert!(all.iter().all(|share| (-1.0..=1.0).contains(share)));
        assert!(all.iter().any(|share| *share < -0.9) && all.iter().any(|share| *share > 0.9));
    }
}
