//! What the links of one operator share: names, the settings in force, the rate limits, memory of late answers.
//!
//! An account lives as long as its operator is configured, across relinks, so that "at most `rate` in any second" also
//! holds while links are opened again. Locks are held for a few instructions, never over an await.

use crate::again::{Again, Digest};
use crate::late::{LateAnswer, LateAnswers};
use crate::lives::Lives;
use crate::metric::Endings;
use crate::together::Together;
use crate::tries::{self, HaveCounts};
use smsgw_config::{Config, Operator};
use smsgw_message::{LinkGroup, OperatorId, Via, names};
use smsgw_queue::{LogName, QueueName, RecordId};
use smsgw_session::{Rate, RateLimiter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tracing::error;

/// Late answers that are remembered.
const LATE: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: OperatorId,
    pub(crate) via: Via,
    /// Where its parts come from.
    pub(crate) parts: QueueName,
    /// Where results, receipts and MO go.
    pub(crate) up: QueueName,
    pub(crate) events: LogName,
    pub(crate) endings: Endings,
    /// Who writes the lives of its messages.
    pub(crate) lives: Lives,
    /// How its links share long messages.
    pub(crate) together: Arc<Together>,
    settings: RwLock<Arc<Operator>>,
    limiter: Mutex<RateLimiter>,
    inbound: Mutex<RateLimiter>,
    late: Mutex<LateAnswers>,
    again: Mutex<Again>,
    /// Parts that something was counted of.
    counts: Mutex<HaveCounts>,
}

impl Account {
    pub(crate) fn new(id: &OperatorId, operator: &Operator, config: &Config) -> Self {
        let group = LinkGroup::of(id);
        Self {
            id: id.clone(),
            parts: QueueName::from(names::mt_operator(id)),
            up: QueueName::from(names::up(&group)),
            events: LogName::from(names::EVENTS),
            endings: Endings::new(id),
            lives: Lives::new(config),
            together: Together::new(id),
            settings: RwLock::new(Arc::new(operator.clone())),
            limiter: Mutex::new(RateLimiter::new(rate(id, operator), operator.burst)),
            inbound: Mutex::new(RateLimiter::new(
                inbound_rate(id, operator),
                inbound_burst(operator),
            )),
            late: Mutex::new(LateAnswers::new(LATE)),
            again: Mutex::default(),
            counts: Mutex::new(HaveCounts::new(tries::REMEMBERED)),
            via: Via {
                operator: id.clone(),
                group,
            },
        }
    }

    /// The settings in force; ask once per batch.
    pub(crate) fn settings(&self) -> Arc<Operator> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts new settings in force. Those that need a new link are seen by the next one.
    pub(crate) fn apply(&self, operator: &Operator, config: &Config) {
        self.lives.apply(config);
        self.limiter().set_rate(rate(&self.id, operator), operator.burst);
        self.inbound()
            .set_rate(inbound_rate(&self.id, operator), inbound_burst(operator));
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(operator.clone());
    }

    /// The rate limit of all links together.
    pub(crate) fn limiter(&self) -> MutexGuard<'_, RateLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more delivery of the carrier may be taken now, by the rate of all links together.
    pub(crate) fn takes_delivery(&self, now: Instant) -> bool {
        self.inbound().take(now, 1) == 1
    }

    /// The carrier took a part after all, which was given back before it said so.
    pub(crate) fn answered_late(&self, record: RecordId, answer: LateAnswer, now: Instant) {
        self.late().put(record, answer, now);
    }

    /// What the carrier said too late of this part; told once.
    pub(crate) fn late_answer(&self, record: RecordId) -> Option<LateAnswer> {
        self.late().take(record)
    }

    /// The carrier may deliver these again: their answers were lost, or may be.
    pub(crate) fn expect_again(&self, digests: impl Iterator<Item = Digest>, now: Instant) {
        let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
        digests.for_each(|digest| again.expect(digest, now));
    }

    /// Whether a delivery is one of those.
    pub(crate) fn is_again(&self, digest: Digest, now: Instant) -> bool {
        self.again
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(digest, now)
    }

    /// The parts that have a count, which ends with them.
    pub(crate) fn counts(&self) -> MutexGuard<'_, HaveCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbound(&self) -> MutexGuard<'_, RateLimiter> {
        self.inbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> MutexGuard<'_, LateAnswers> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rate of the settings. One that rounds to nothing is the slowest there is, never unlimited.
fn rate(id: &OperatorId, operator: &Operator) -> Rate {
    checked(id, operator.rate)
}

fn inbound_rate(id: &OperatorId, operator: &Operator) -> Rate {
    checked(id, operator.inbound_rate)
}

/// Deliveries come in bunches: a second's worth may come at once, in the same second nothing more.
fn inbound_burst(operator: &Operator) -> u32 {
    let whole = Duration::try_from_secs_f64(operator.inbound_rate.ceil()).map_or(0, |span| span.as_secs());
    u32::try_from(whole).unwrap_or(u32::MAX).max(1)
}

fn checked(id: &OperatorId, per_second: f64) -> Rate {
    Rate::try_per_second(per_second).unwrap_or_else(|| {
        let slowest = Rate::try_per_second(0.001).expect("a thousandth part per second is a rate");
        error!(operator = %id, rate = per_second, "rate is too small to be kept; 0.001 is used");
        slowest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_rounds_to_zero_is_not_unlimited() {
        let id = OperatorId::try_new("alpha").unwrap();
        let operator = Operator {
            rate: 0.0001,
            ..Operator::default()
        };
        assert_eq!(rate(&id, &operator).as_milli(), 1);
        assert!(rate(&id, &Operator::default()).is_unlimited());
    }
}
