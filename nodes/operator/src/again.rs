//! Messages from phones that a carrier delivers again because our answer was lost with its session.
//!
//! A phone may well send the same text twice, and both count (a vote, a payment). So a repetition is recognised only where
//! the carrier had reason to repeat: the first delivery was made durable and its answer was written to a session that
//! ended within `redelivery_window` after it, or was never written. Each such delivery excuses one repetition.
//!
//! Pure; time is an argument. Invariant AG-1: forgetting only lets a repetition through, which is counted nowhere as lost.
//!
//! # Limits
//! Lives in memory: after a kill, what was in flight comes twice. A repetition on the same session (the carrier waited
//! longer than it wanted for our answer) is taken for a new message.

use sha2::{Digest as _, Sha256};
use smsgw_smpp::DeliverSm;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Carriers repeat for days, but a new session of an ESME that is there again sees it within minutes.
const KEPT: Duration = Duration::from_secs(3600);
/// Deliveries that may be remembered; each takes about 100 octets.
const CAPACITY: usize = 10_000;

/// What a delivery says, all but its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    pub(crate) fn of(message: &DeliverSm) -> Self {
        let mut hash = Sha256::new();
        for field in [
            message.service_type.as_bytes(),
            message.source.value.as_bytes(),
            message.destination.value.as_bytes(),
            &[message.esm_class, message.protocol_id, message.data_coding],
            &message.short_message,
            message.tlvs.as_bytes(),
        ] {
            // Lengths keep the fields apart.
            hash.update(field.len().to_be_bytes());
            hash.update(field);
        }
        let mut digest = [0; 16];
        digest
            .iter_mut()
            .zip(hash.finalize())
            .for_each(|(to, from)| *to = from);
        Self(digest)
    }
}

/// Deliveries of one session whose answers may still be on their way.
#[derive(Debug, Default)]
pub(crate) struct Answered(VecDeque<(Instant, Digest)>);

impl Answered {
    /// A delivery was answered; those answered longer than `window` ago are certain.
    pub(crate) fn push(&mut self, digest: Digest, window: Duration, now: Instant) {
        self.forget_certain(window, now);
        if self.0.len() >= CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((now, digest));
    }

    /// The session is over: those that are not certain.
    pub(crate) fn take(&mut self, window: Duration, now: Instant) -> impl Iterator<Item = Digest> + use<> {
        self.forget_certain(window, now);
        std::mem::take(&mut self.0).into_iter().map(|(_, digest)| digest)
    }

    fn forget_certain(&mut self, window: Duration, now: Instant) {
        while self
            .0
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > window)
        {
            self.0.pop_front();
        }
    }
}

/// Deliveries that an operator's carrier may repeat.
#[derive(Debug, Default)]
pub(crate) struct Again {
    expected: HashMap<Digest, u32>,
    order: VecDeque<(Instant, Digest)>,
}

impl Again {
    /// The answer of this delivery was lost, or may be.
    pub(crate) fn expect(&mut self, digest: Digest, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > KEPT || self.order.len() >= CAPACITY)
        {
            self.forget_first();
        }
        *self.expected.entry(digest).or_default() += 1;
        self.order.push_back((now, digest));
    }

    /// Whether this delivery is a repetition; it excuses one.
    pub(crate) fn take(&mut self, digest: Digest, now: Instant) -> bool {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > KEPT)
        {
            self.forget_first();
        }
        if !self.expected.contains_key(&digest) {
            return false;
        }
        if let Some(at) = self.order.iter().position(|(_, one)| *one == digest) {
            self.order.remove(at);
        }
        self.less(digest);
        true
    }

    fn forget_first(&mut self) {
        if let Some((_, digest)) = self.order.pop_front() {
            self.less(digest);
        }
    }

    fn less(&mut self, digest: Digest) {
        if let Some(times) = self.expected.get_mut(&digest) {
            *times -= 1;
            if *times == 0 {
                self.expected.remove(&digest);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
mod tests {
    use super::*;
    use bytes::Bytes;
    use smsgw_smpp::Address;

    const WINDOW: Duration = Duration::from_secs(2);

    fn digest(text: &'static str) -> Digest {
        Digest::of(&DeliverSm {
            short_message: Bytes::from(text),
            ..DeliverSm::default()
        })
    }

    #[test]
    fn only_answers_of_the_last_moments_may_have_been_lost() {
        let start = Instant::now();
        let mut answered = Answered::default();
        answered.push(digest("old"), WINDOW, start);
        answered.push(digest("new"), WINDOW, start + Duration::from_secs(3));
        let lost: Vec<_> = answered.take(WINDOW, start + Duration::from_secs(4)).collect();
        assert_eq!(lost, [digest("new")]);
        assert_eq!(answered.take(WINDOW, start).count(), 0);
    }

    #[test]
    fn each_lost_answer_excuses_one_repetition() {
        let now = Instant::now();
        let mut again = Again::default();
        assert!(!again.take(digest("vote A"), now));
        again.expect(digest("vote A"), now);
        again.expect(digest("vote A"), now);
        assert!(again.take(digest("vote A"), now));
        assert!(again.take(digest("vote A"), now));
        assert!(
            !again.take(digest("vote A"), now),
            "the third is a vote of its own"
        );
        assert!(again.expected.is_empty() && again.order.is_empty());
    }

    #[test]
    fn what_is_expected_is_bounded_and_ends() {
        let now = Instant::now();
        let mut again = Again::default();
        for n in 0..CAPACITY + 10 {
            let text: &'static str = Box::leak(n.to_string().into_boxed_str());
            again.expect(digest(text), now);
        }
        assert_eq!((again.expected.len(), again.order.len()), (CAPACITY, CAPACITY));
        assert!(!again.take(digest("0"), now), "the oldest were forgotten");
        assert!(!again.take(digest("100"), now + KEPT + Duration::from_secs(1)));
        assert!(again.expected.is_empty());
    }

    #[test]
    fn everything_but_the_sequence_number_tells_deliveries_apart() {
        let message = DeliverSm {
            source: Address::international("491700000001").unwrap(),
            short_message: Bytes::from_static(b"x"),
            ..DeliverSm::default()
        };
        let other = |change: fn(&mut DeliverSm)| {
            let mut other = message.clone();
            change(&mut other);
            assert_ne!(Digest::of(&other), Digest::of(&message));
        };
        other(|m| m.data_coding = 8);
        other(|m| m.esm_class = 0x40);
        other(|m| m.source = Address::international("491700000002").unwrap());
        other(|m| std::mem::swap(&mut m.source, &mut m.destination));
        other(|m| m.short_message = Bytes::from_static(b"y"));
        other(|m| m.tlvs.push(0x1400, b"1").unwrap());
        assert_eq!(Digest::of(&message.clone()), Digest::of(&message));
    }
}
