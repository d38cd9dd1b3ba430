//! What the carrier knows of one account: its binds, what waits for them, and how fast it submits.
//!
//! Invariant: at most `limit` submits are let through in any second, over all binds of the account.

use super::machine::SessionId;
use super::mo::Mo;
use super::receipt::ReceiptDue;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A delivery to an ESME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outgoing {
    Receipt(ReceiptDue),
    Mo(Box<Mo>),
}

#[derive(Debug, Default)]
pub(super) struct Account {
    name: String,
    /// Binds that take deliveries.
    receivers: VecDeque<SessionId>,
    /// Deliveries not sent.
    outbox: VecDeque<Outgoing>,
    /// When the submits of the last second came.
    recent: VecDeque<Instant>,
}

impl Account {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Its system_id.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn add_receiver(&mut self, session: SessionId) {
        self.receivers.push_back(session);
    }

    pub(super) fn remove_receiver(&mut self, session: SessionId) {
        self.receivers.retain(|known| *known != session);
    }

    /// The next bind in turn for which `has_room` says so.
    pub(super) fn next_receiver(&mut self, has_room: impl Fn(SessionId) -> bool) -> Option<SessionId> {
        let at = self.receivers.iter().position(|session| has_room(*session))?;
        self.receivers.rotate_left(at);
        let session = self.receivers.pop_front()?;
        self.receivers.push_back(session);
        Some(session)
    }

    /// Puts a delivery behind the others. Returns the oldest when there are more than `limit`.
    pub(super) fn enqueue(&mut self, outgoing: Outgoing, limit: usize) -> Option<Outgoing> {
        self.outbox.push_back(outgoing);
        if self.outbox.len() > limit {
            self.outbox.pop_front()
        } else {
            None
        }
    }

    /// Puts a delivery before the others: it was sent once.
    pub(super) fn put_back(&mut self, outgoing: Outgoing) {
        self.outbox.push_front(outgoing);
    }

    pub(super) fn take_outgoing(&mut self) -> Option<Outgoing> {
        self.outbox.pop_front()
    }

    pub(super) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Whether a submit is within the limit of `limit` in any second; 0 is no limit.
    pub(super) fn let_through(&mut self, now: Instant, limit: usize) -> bool {
        if limit == 0 {
            return true;
        }
        let second = Duration::from_secs(1);
        while self
            .recent
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= second)
        {
            self.recent.pop_front();
        }
        if self.recent.len() >= limit {
            return false;
        }
        self.recent.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::Clock;
    use smsgw_runtime::SystemClock;

    #[test]
    fn no_second_has_more_than_the_limit() {
        let start = SystemClock.instant();
        let at = |millis| start + Duration::from_millis(millis);
        let mut account = Account::default();
        let passed: Vec<u64> = (0..250)
            .map(|n| n * 10)
            .filter(|millis| account.let_through(at(*millis), 3))
            .collect();
        assert_eq!(passed, [0, 10, 20, 1000, 1010, 1020, 2000, 2010, 2020]);
        assert!((0..100).all(|_| account.let_through(start, 0)));
    }

    #[test]
    fn binds_take_turns_and_those_without_room_are_passed_over() {
        let mut account = Account::default();
        for session in [1, 2, 3] {
            account.add_receiver(SessionId(session));
        }
        let next = |account: &mut Account| {
            account
                .next_receiver(|session| session != SessionId(2))
                .map(|id| id.0)
        };
        assert_eq!(
            [next(&mut account), next(&mut account), next(&mut account)],
            [Some(1), Some(3), Some(1)]
        );
        account.remove_receiver(SessionId(1));
        account.remove_receiver(SessionId(3));
        assert_eq!(next(&mut account), None);
    }
}
