//! Answers that came after their part had been given back: the part is not sent again when it comes round.
//!
//! Only acceptances are kept: a refusal says nothing of a part that may go out again anyway. Bounded: at most
//! `capacity`, each for at most `TTL`. Invariant LA-1: forgetting only sends a part again.
//!
//! # Limits
//! Lives in memory. With `resubmit` a part goes out again before a late answer can be of use, and nothing is lost. With
//! `wait:<time>` and `query` a restart between the late answer and the part's turn forgets the id: the part is sent again, its
//! phone may get it twice, and the receipt of the first time stays unknown (a dead letter, `smsgw_receipts_unknown_total`).
//! That takes an answer later than `response_timeout` and its grace, and a restart within the wait; writing each such id to
//! the disk before the part's turn would save that one duplicate.

use smsgw_queue::RecordId;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Longer than a part in doubt waits by any sensible policy.
const TTL: Duration = Duration::from_secs(3600);

/// An acceptance that came late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LateAnswer {
    pub(crate) carrier_id: String,
    pub(crate) receipt_asked: bool,
}

/// Late acceptances by record.
#[derive(Debug)]
pub(crate) struct LateAnswers {
    capacity: usize,
    known: HashMap<RecordId, (LateAnswer, Instant)>,
    /// In the order of their coming; an entry whose time is not that of `known` is outdated.
    order: VecDeque<(Instant, RecordId)>,
}

impl LateAnswers {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The carrier took this part after all; its first id stays.
    pub(crate) fn put(&mut self, record: RecordId, answer: LateAnswer, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| {
            now.saturating_duration_since(*at) > TTL || self.order.len() >= self.capacity
        }) {
            self.forget_first();
        }
        if self.known.contains_key(&record) {
            return;
        }
        self.known.insert(record, (answer, now));
        self.order.push_back((now, record));
    }

    /// What is known of a part, which is then forgotten.
    pub(crate) fn take(&mut self, record: RecordId) -> Option<LateAnswer> {
        if self.known.is_empty() {
            return None;
        }
        self.known.remove(&record).map(|(answer, _)| answer)
    }

    fn forget_first(&mut self) {
        let Some((at, record)) = self.order.pop_front() else {
            return;
        };
        if self.known.get(&record).is_some_and(|(_, since)| *since == at) {
            self.known.remove(&record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64) -> RecordId {
        RecordId::from_u64(n)
    }

    fn answer(id: &str) -> LateAnswer {
        LateAnswer {
            carrier_id: id.to_owned(),
            receipt_asked: true,
        }
    }

    #[test]
    fn the_first_answer_is_kept_until_it_is_taken_or_time_passes() {
        let t0 = tokio::time::Instant::now().into_std();
        let mut late = LateAnswers::new(10);
        late.put(record(1), answer("A"), t0);
        late.put(record(1), answer("B"), t0);
        late.put(record(2), answer("C"), t0);
        assert_eq!(late.take(record(1)), Some(answer("A")));
        assert_eq!(late.take(record(1)), None);
        late.put(record(3), answer("D"), t0 + TTL + Duration::from_secs(1));
        assert_eq!(late.take(record(2)), None, "its time is over");
        assert_eq!(late.take(record(3)), Some(answer("D")));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten_first() {
        let t0 = tokio::time::Instant::now().into_std();
        let mut late = LateAnswers::new(3);
        for n in 0..1000 {
            late.put(record(n), answer("A"), t0 + Duration::from_millis(n));
            if n % 2 == 0 {
                late.take(record(n));
            }
        }
        assert!(late.known.len() <= 3 && late.order.len() <= 3);
        assert_eq!(late.take(record(1)), None);
        assert_eq!(late.take(record(999)), Some(answer("A")));
    }
}
