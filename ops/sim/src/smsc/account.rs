//! What the carrier knows of one account: its binds, what waits for them, and how fast it submits.
//!
//! Invariant: at most `limit` SMS are let through in any second, over all binds of the account; a delivery is in exactly
//! one place.

use super::machine::SessionId;
use super::mo::MoPart;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A delivery to an ESME, ready but for its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// deliver_sm or data_sm.
    pub(super) command: u32,
    pub(super) body: Bytes,
    /// Whose submit it is about, of receipts.
    pub(super) submitted_on: Option<SessionId>,
    /// A part of a message from a phone; none: a receipt.
    pub(super) mo: Option<Box<MoPart>>,
    /// How often it was sent.
    pub(super) sent: u32,
    /// What it is known by as long as it is owed.
    pub(super) debt: u64,
}

#[derive(Debug, Default)]
pub(super) struct Account {
    name: String,
    /// Binds, in turn for deliveries.
    receivers: VecDeque<SessionId>,
    /// All sessions bound.
    pub(super) bound: usize,
    /// Nobody may bind before.
    pub(super) ghost_until: Option<Instant>,
    /// Deliveries not sent.
    outbox: VecDeque<Outgoing>,
    /// Deliveries that wait for a certain bind.
    reserved: VecDeque<Outgoing>,
    /// When the SMS of the last second came, and how many at once.
    recent: VecDeque<(Instant, usize)>,
    in_second: usize,
    /// When the queue of slow service is done with what it has.
    served_until: Option<Instant>,
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

    /// The next bind in turn for which `fits` says so.
    pub(super) fn next_receiver(&mut self, mut fits: impl FnMut(SessionId) -> bool) -> Option<SessionId> {
        let at = self.receivers.iter().position(|session| fits(*session))?;
        if at == 0 && self.receivers.len() == 1 {
            return self.receivers.front().copied();
        }
        self.receivers.rotate_left(at);
        let session = self.receivers.pop_front()?;
        self.receivers.push_back(session);
        Some(session)
    }

    /// Whether there is a bind for which `fits` says so.
    pub(super) fn has_receiver(&self, fits: impl FnMut(&SessionId) -> bool) -> bool {
        self.receivers.iter().any(fits)
    }

    /// Puts a delivery behind the others. Returns the oldest when there are more than `limit`.
    pub(super) fn enqueue(&mut self, outgoing: Outgoing, limit: usize) -> Option<Outgoing> {
        self.outbox.push_back(outgoing);
        if self.waiting() > limit {
            self.outbox.pop_front().or_else(|| self.reserved.pop_front())
        } else {
            None
        }
    }

    /// Puts a delivery before the others: it was sent once.
    pub(super) fn put_back(&mut self, outgoing: Outgoing) {
        self.outbox.push_front(outgoing);
    }

    /// Sets a delivery aside until the binds have changed.
    pub(super) fn reserve(&mut self, outgoing: Outgoing) {
        self.reserved.push_back(outgoing);
    }

    /// The binds have changed: what was set aside is tried again, in its order and before the others.
    pub(super) fn release_reserved(&mut self) {
        while let Some(outgoing) = self.reserved.pop_back() {
            self.outbox.push_front(outgoing);
        }
    }

    pub(super) fn take_outgoing(&mut self) -> Option<Outgoing> {
        self.outbox.pop_front()
    }

    pub(super) fn has_outgoing(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub(super) fn waiting(&self) -> usize {
        self.outbox.len().saturating_add(self.reserved.len())
    }

    /// Whether `sms` are within the limit of `limit` in any second; 0 is no limit.
    pub(super) fn let_through(&mut self, now: Instant, limit: usize, sms: usize) -> bool {
        if limit == 0 {
            return true;
        }
        let second = Duration::from_secs(1);
        while let Some((at, count)) = self.recent.front().copied()
            && now.saturating_duration_since(at) >= second
        {
            self.in_second = self.in_second.saturating_sub(count);
            self.recent.pop_front();
        }
        if self.in_second.saturating_add(sms) > limit {
            return false;
        }
        self.in_second = self.in_second.saturating_add(sms);
        self.recent.push_back((now, sms));
        true
    }

    /// How many wait in the queue of slow service.
    pub(super) fn queued(&self, now: Instant, rate: f64) -> usize {
        let ahead = self
            .served_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float becomes the nearest count that there is"
        )]
        let queued = (ahead.as_secs_f64() * rate).round() as usize;
        queued
    }

    /// Puts `sms` into the queue of slow service; how long until they are through.
    pub(super) fn serve(&mut self, now: Instant, rate: f64, sms: usize) -> Duration {
        let sms = f64::from(u32::try_from(sms).unwrap_or(u32::MAX));
        let takes = Duration::try_from_secs_f64(sms / rate).unwrap_or(Duration::MAX);
        let from = self.served_until.map_or(now, |until| until.max(now));
        let until = from.checked_add(takes).unwrap_or(from);
        self.served_until = Some(until);
        until.saturating_duration_since(now)
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
            .filter(|millis| account.let_through(at(*millis), 3, 1))
            .collect();
        assert_eq!(passed, [0, 10, 20, 1000, 1010, 1020, 2000, 2010, 2020]);
        assert!((0..100).all(|_| account.let_through(start, 0, 1)));
        let mut account = Account::default();
        assert!(account.let_through(start, 3, 2) && !account.let_through(start, 3, 2));
        assert!(account.let_through(start, 3, 1));
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

    #[test]
    fn slow_service_is_a_queue() {
        let start = SystemClock.instant();
        let mut account = Account::default();
        let waits: Vec<_> = (0..3)
            .map(|_| account.serve(start, 10.0, 1).as_millis())
            .collect();
        assert_eq!((waits, account.queued(start, 10.0)), (vec![100, 200, 300], 3));
        let later = start + Duration::from_secs(1);
        assert_eq!(
            (
                account.queued(later, 10.0),
                account.serve(later, 10.0, 2).as_millis()
            ),
            (0, 200)
        );
    }
}
