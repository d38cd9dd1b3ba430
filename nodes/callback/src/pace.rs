//! Clients with a rate: who may send how many events now, and who waits until when.
//!
//! Pure: time is an argument; an item is whatever the caller gives. Invariant: a client's items leave in the order in which
//! they came, at its rate; while some wait its flow is closed, so that no more than one checkout's records wait.

use smsgw_queue::Flow;
use smsgw_session::{Rate, RateLimiter};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Paced<T> {
    limiter: RateLimiter,
    waiting: VecDeque<T>,
    used: Instant,
}

#[derive(Debug)]
pub(crate) struct Pace<T> {
    flows: HashMap<Flow, Paced<T>>,
}

impl<T> Pace<T> {
    pub(crate) fn new() -> Self {
        Self {
            flows: HashMap::new(),
        }
    }

    /// An item that came: given back when it may go now, kept otherwise.
    pub(crate) fn offer(&mut self, now: Instant, flow: &Flow, rate: Rate, item: T) -> Option<T> {
        let waits = self
            .flows
            .get(flow)
            .is_some_and(|paced| !paced.waiting.is_empty());
        if rate.is_unlimited() && !waits {
            self.flows.remove(flow);
            return Some(item);
        }
        let paced = self.flows.entry(flow.clone()).or_insert_with(|| Paced {
            limiter: RateLimiter::new(rate, 1),
            waiting: VecDeque::new(),
            used: now,
        });
        paced.used = now;
        if paced.limiter.rate() != rate {
            paced.limiter.set_rate(rate, 1);
        }
        if paced.waiting.is_empty() && paced.limiter.take(now, 1) == 1 {
            return Some(item);
        }
        paced.waiting.push_back(item);
        None
    }

    /// The items whose turn has come.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<T> {
        let mut due = Vec::new();
        for paced in self.flows.values_mut() {
            while !paced.waiting.is_empty() && paced.limiter.take(now, 1) == 1 {
                due.extend(paced.waiting.pop_front());
                paced.used = now;
            }
        }
        due
    }

    /// When the next item's turn comes.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let waiting = self.flows.values().filter(|paced| !paced.waiting.is_empty());
        waiting.map(|paced| paced.limiter.next(now)).min()
    }

    /// Whether items of this flow wait.
    pub(crate) fn is_waiting(&self, flow: &Flow) -> bool {
        self.flows
            .get(flow)
            .is_some_and(|paced| !paced.waiting.is_empty())
    }

    /// Flows with items that wait: nothing more is to be taken for them.
    pub(crate) fn closed(&self) -> impl Iterator<Item = &Flow> {
        self.flows
            .iter()
            .filter(|(_, paced)| !paced.waiting.is_empty())
            .map(|(flow, _)| flow)
    }

    /// Takes out everything that waits.
    pub(crate) fn take_waiting(&mut self) -> Vec<T> {
        self.flows
            .values_mut()
            .flat_map(|paced| paced.waiting.drain(..))
            .collect()
    }

    /// Forgets flows that nothing came for: their grants count no more.
    pub(crate) fn forget(&mut self, now: Instant, unused: Duration) {
        self.flows.retain(|_, paced| {
            !paced.waiting.is_empty() || now.saturating_duration_since(paced.used) < unused
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the origin of the test's time")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_flow_with_a_rate_sends_that_many_in_order_and_others_do_not_notice() {
        let start = origin();
        let (slow, fast) = (Flow::from("slow"), Flow::from("fast"));
        let mut pace = Pace::new();
        let rate = Rate::per_second(10);
        let mut sent: Vec<u32> = (0..30)
            .filter_map(|n| pace.offer(start, &slow, rate, n))
            .collect();
        assert_eq!(pace.offer(start, &fast, Rate::UNLIMITED, 99), Some(99));
        assert_eq!(pace.closed().collect::<Vec<_>>(), [&slow]);
        let mut now = start;
        while let Some(next) = pace.next(now) {
            now = next;
            sent.extend(pace.due(now));
        }
        assert_eq!(sent, (0..30).collect::<Vec<_>>());
        let took = now - start;
        assert!(
            (Duration::from_millis(2_800)..Duration::from_millis(3_200)).contains(&took),
            "{took:?}"
        );
        assert_eq!(pace.closed().count(), 0);
        pace.forget(now + Duration::from_secs(60), Duration::from_secs(60));
        assert!(pace.flows.is_empty());
    }

    #[test]
    fn a_rate_that_is_taken_away_lets_what_waits_go_first() {
        let now = origin();
        let flow = Flow::from("a");
        let mut pace = Pace::new();
        for n in 0..5 {
            pace.offer(now, &flow, Rate::per_second(1), n);
        }
        assert_eq!(pace.offer(now, &flow, Rate::UNLIMITED, 5), None);
        assert_eq!(pace.due(now), [1, 2, 3, 4, 5]);
        assert_eq!(pace.offer(now, &flow, Rate::UNLIMITED, 6), Some(6));
    }
}
