//! What the links of one operator share: names, the settings in force, the rate limit, memory of full queues.
//!
//! An account lives as long as its operator is configured, across relinks, so that "at most `rate` in any second" also
//! holds while links are opened again. Locks are held for a few instructions, never over an await.

use crate::metric::Endings;
use crate::patience::Patience;
use smsgw_config::Operator;
use smsgw_message::{LinkGroup, OperatorId, Via, names};
use smsgw_queue::{LogName, QueueName, RecordId};
use smsgw_session::{Rate, RateLimiter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;
use tracing::error;

/// Parts whose meetings with full queues are remembered.
const PATIENCE: usize = 10_000;

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
    settings: RwLock<Arc<Operator>>,
    limiter: Mutex<RateLimiter>,
    patience: Mutex<Patience>,
}

impl Account {
    pub(crate) fn new(id: &OperatorId, operator: &Operator) -> Self {
        let group = LinkGroup::of(id);
        Self {
            id: id.clone(),
            parts: QueueName::from(names::mt_operator(id)),
            up: QueueName::from(names::up(&group)),
            events: LogName::from(names::EVENTS),
            endings: Endings::new(id),
            settings: RwLock::new(Arc::new(operator.clone())),
            limiter: Mutex::new(RateLimiter::new(rate(id, operator), operator.burst)),
            patience: Mutex::new(Patience::new(PATIENCE)),
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
    pub(crate) fn apply(&self, operator: &Operator) {
        self.limiter().set_rate(rate(&self.id, operator), operator.burst);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(operator.clone());
    }

    /// The rate limit of all links together.
    pub(crate) fn limiter(&self) -> MutexGuard<'_, RateLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often a part met a full queue before.
    pub(crate) fn full_queues(&self, record: RecordId) -> u32 {
        self.patience().meetings(record)
    }

    pub(crate) fn met_full_queue(&self, record: RecordId, now: Instant) {
        self.patience().meet(record, now);
    }

    pub(crate) fn part_ended(&self, record: RecordId) {
        self.patience().forget(record);
    }

    fn patience(&self) -> MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rate of the settings. One that rounds to nothing is the slowest there is, never unlimited.
fn rate(id: &OperatorId, operator: &Operator) -> Rate {
    Rate::try_per_second(operator.rate).unwrap_or_else(|| {
        let slowest = Rate::try_per_second(0.001).expect("a thousandth part per second is a rate");
        error!(operator = %id, rate = operator.rate, "rate is too small to be kept; 0.001 is used");
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
