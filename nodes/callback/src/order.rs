//! Which events of a message must wait for earlier ones: states are told in the order in which they were published.
//!
//! Pure: time is an argument. Only what is not final is remembered, since nothing follows a final state; the number of a
//! record says which came first. An event that cannot be told yet is remembered as well, so that a third one waits for it.
//!
//! Invariant OR-1: while an earlier event of its message is under way or waits for its next attempt, [`Order::admit`] lets no
//! later one go, except together with it in one request.
//!
//! # Limits
//! At most [`MOST`] events are remembered; beyond that order is not kept (`smsgw_callback_order_forgotten_total`). With several
//! callback nodes each knows its own. A dead letter that a person replays comes when it comes.

use crate::metric;
use smsgw_message::MessageId;
use smsgw_queue::RecordId;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Most events that are remembered.
const MOST: usize = 500_000;
/// How soon an event comes back that waits for one under way.
const SOON: Duration = Duration::from_millis(100);
/// After how long an event that was due and did not come is looked for: somebody may have held or dropped it.
pub(crate) const OVERDUE: Duration = Duration::from_secs(60);

/// May an event be told?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Go,
    /// Not before this time.
    NotBefore(Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the request with this number.
    UnderWay(u64),
    /// Ready at this time.
    Deferred(Instant),
}

#[derive(Debug, Default)]
pub(crate) struct Order {
    messages: HashMap<MessageId, BTreeMap<RecordId, State>>,
    events: usize,
}

impl Order {
    /// Whether this event may go, in the request with number `unit`. One that may and is not final is under way from then on;
    /// one that may not is remembered until it comes again.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        message: MessageId,
        record: RecordId,
        unit: u64,
        is_final: bool,
    ) -> Turn {
        let earlier = self.messages.get(&message).and_then(|events| {
            let blocks = events
                .range(..record)
                .filter(|(_, state)| **state != State::UnderWay(unit));
            blocks.map(|(_, state)| *state).next_back()
        });
        let turn = match earlier {
            None => Turn::Go,
            Some(State::UnderWay(_)) => Turn::NotBefore(now + SOON),
            Some(State::Deferred(due)) => Turn::NotBefore(due.max(now) + SOON),
        };
        match turn {
            Turn::Go if is_final => self.done(message, record),
            Turn::Go => self.put(message, record, State::UnderWay(unit)),
            Turn::NotBefore(at) => self.put(message, record, State::Deferred(at)),
        }
        turn
    }

    /// The event comes again at this time.
    pub(crate) fn deferred(&mut self, message: MessageId, record: RecordId, until: Instant, is_final: bool) {
        if is_final {
            self.done(message, record);
        } else {
            self.put(message, record, State::Deferred(until));
        }
    }

    /// The event was told or given up, or is gone.
    pub(crate) fn done(&mut self, message: MessageId, record: RecordId) {
        if let Some(events) = self.messages.get_mut(&message) {
            self.events = self
                .events
                .saturating_sub(usize::from(events.remove(&record).is_some()));
            if events.is_empty() {
                self.messages.remove(&message);
            }
        }
    }

    /// Events that should have come long ago: whoever knows the queue says [`Order::done`] of those that are gone.
    pub(crate) fn overdue(&self, now: Instant, most: usize) -> Vec<(MessageId, RecordId)> {
        let late = |state: &State| match state {
            State::UnderWay(_) => false,
            State::Deferred(due) => now.saturating_duration_since(*due) >= OVERDUE,
        };
        let all = self.messages.iter().flat_map(|(message, events)| {
            events
                .iter()
                .filter(|(_, state)| late(state))
                .map(|(record, _)| (*message, *record))
        });
        all.take(most).collect()
    }

    fn put(&mut self, message: MessageId, record: RecordId, state: State) {
        if self.events >= MOST {
            let known = self
                .messages
                .get(&message)
                .is_some_and(|events| events.contains_key(&record));
            if !known {
                metric::ORDER_FORGOTTEN_TOTAL.with(&[]).inc();
                return;
            }
        }
        let before = self.messages.entry(message).or_default().insert(record, state);
        self.events = self.events.saturating_add(usize::from(before.is_none()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::disallowed_methods, reason = "the origin of the test's time")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn message(n: u8) -> MessageId {
        MessageId::from_bytes([n; 16])
    }

    fn record(n: u64) -> RecordId {
        RecordId::from_u64(n)
    }

    #[test]
    fn a_later_event_waits_until_the_earlier_one_is_told_or_given_up() {
        let now = origin();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut order = Order::default();
        assert_eq!(order.admit(now, message(1), record(1), 1, false), Turn::Go);
        assert_eq!(
            order.admit(now, message(1), record(2), 2, false),
            Turn::NotBefore(now + SOON)
        );
        assert_eq!(
            order.admit(now, message(2), record(3), 3, true),
            Turn::Go,
            "another message"
        );
        order.deferred(message(1), record(1), at(8), false);
        assert_eq!(
            order.admit(at(1), message(1), record(2), 4, false),
            Turn::NotBefore(at(8) + SOON)
        );
        // The third one waits for the second, which comes after the first.
        assert_eq!(
            order.admit(at(1), message(1), record(4), 5, true),
            Turn::NotBefore(at(8) + SOON + SOON)
        );
        assert_eq!(order.admit(at(8), message(1), record(1), 6, false), Turn::Go);
        order.done(message(1), record(1));
        assert_eq!(order.admit(at(9), message(1), record(2), 7, false), Turn::Go);
        assert!(matches!(
            order.admit(at(9), message(1), record(4), 8, true),
            Turn::NotBefore(_)
        ));
        order.done(message(1), record(2));
        assert_eq!(order.admit(at(9), message(1), record(4), 9, true), Turn::Go);
        assert_eq!(
            (order.events, order.messages.len()),
            (0, 0),
            "a final state is the end of it"
        );
    }

    #[test]
    fn events_of_one_message_may_go_in_one_request() {
        let now = origin();
        let mut order = Order::default();
        assert_eq!(order.admit(now, message(1), record(1), 7, false), Turn::Go);
        assert_eq!(order.admit(now, message(1), record(2), 7, true), Turn::Go);
        assert!(matches!(
            order.admit(now, message(1), record(3), 8, true),
            Turn::NotBefore(_)
        ));
    }

    #[test]
    fn what_is_overdue_can_be_looked_for_and_forgotten() {
        let now = origin();
        let mut order = Order::default();
        order.deferred(message(1), record(1), now, false);
        assert_eq!(order.overdue(now + OVERDUE - Duration::from_millis(1), 9), []);
        assert_eq!(order.overdue(now + OVERDUE, 9), [(message(1), record(1))]);
        order.done(message(1), record(1));
        assert_eq!(order.admit(now, message(1), record(2), 1, true), Turn::Go);
        assert_eq!(order.events, 0);
    }

    proptest! {
        /// Whatever fails and comes back when, the states of a message arrive in their order, and each arrives.
        #[test]
        fn states_never_arrive_reversed(fates in prop::collection::vec((any::<bool>(), 1..20_u64), 1..400)) {
            let start = origin();
            let mut order = Order::default();
            // Three messages of four events; records in the order of publishing.
            let mut queue: Vec<(u64, u64)> = (0..12).map(|n| (0, n)).collect();
            let mut told: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            let mut fates = fates.into_iter().cycle();
            let (mut now, mut unit) = (0_u64, 0);
            for _ in 0..20_000 {
                if queue.is_empty() {
                    break;
                }
                let (good, wait) = fates.next().unwrap();
                // The oldest of those that are ready, as the engine hands them out.
                let ready = (0..queue.len()).filter(|at| queue[*at].0 <= now);
                let oldest = ready.min_by_key(|at| queue[*at].1);
                now += 37;
                let Some(at) = oldest else { continue };
                let (_, event) = queue.remove(at);
                let (id, last) = (message(u8::try_from(event % 3).unwrap()), event / 3 == 3);
                let time = start + Duration::from_millis(now);
                unit += 1;
                // A final state that fails is not remembered and still must not be overtaken: nothing follows it.
                match order.admit(time, id, record(event), unit, last) {
                    Turn::NotBefore(until) => {
                        let until = until.saturating_duration_since(start).as_millis();
                        queue.push((u64::try_from(until).unwrap(), event));
                    }
                    // The first attempts may fail; in the end each is told.
                    Turn::Go if !good && now < 400_000 => {
                        let due = now + wait * 100;
                        order.deferred(id, record(event), start + Duration::from_millis(due), last);
                        queue.push((due, event));
                    }
                    Turn::Go => {
                        order.done(id, record(event));
                        told.entry(event % 3).or_default().push(event);
                    }
                }
            }
            prop_assert!(queue.is_empty(), "{queue:?}");
            for events in told.values() {
                prop_assert!(events.windows(2).all(|pair| pair[0] < pair[1]), "{events:?}");
            }
            prop_assert_eq!(order.events, 0);
        }
    }
}
