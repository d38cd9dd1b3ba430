//! Addresses that failed to log in too often, and connections of each account.
//!
//! Pure machines; time is an argument. Both tables are bounded: failures by [`MOST`] addresses, of which the one that failed
//! longest ago gives way; connections by those that are open. Invariant GD-1: loopback is never kept out.

use smsgw_message::ClientId;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that are remembered at most.
const MOST: usize = 10_000;

/// Failed logins by address.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Guard {
    /// A login failed. `after` failures, each within `span` of the one before, keep an address out; 0 never does.
    pub(crate) fn failed(&self, from: IpAddr, now: Instant, after: u32, span: Duration) {
        let Some(place) = place(from).filter(|_| after > 0) else {
            return;
        };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if !failures.contains_key(&place) && failures.len() >= MOST {
            failures.retain(|_, seen| now.saturating_duration_since(seen.last) < span);
            if failures.len() >= MOST {
                let oldest = failures
                    .iter()
                    .min_by_key(|(_, seen)| seen.last)
                    .map(|(place, _)| *place);
                oldest.map(|oldest| failures.remove(&oldest));
            }
        }
        let seen = failures.entry(place).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(seen.last) >= span {
            seen.count = 0;
        }
        *seen = Failures {
            count: seen.count.saturating_add(1),
            last: now,
        };
    }

    /// Whether the address is kept out now.
    pub(crate) fn keeps_out(&self, from: IpAddr, now: Instant, after: u32, span: Duration) -> bool {
        let Some(place) = place(from).filter(|_| after > 0) else {
            return false;
        };
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures
            .get(&place)
            .is_some_and(|seen| seen.count >= after && now.saturating_duration_since(seen.last) < span)
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 subscriber has. `None` for loopback.
fn place(from: IpAddr) -> Option<IpAddr> {
    match from.to_canonical() {
        from if from.is_loopback() => None,
        IpAddr::V6(from) => {
            let network = u128::from(from) & !u128::from(u64::MAX);
            Some(Ipv6Addr::from(network).into())
        }
        from @ IpAddr::V4(_) => Some(from),
    }
}

/// Open connections by account.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seats(Arc<Mutex<HashMap<ClientId, u32>>>);

/// A connection of an account, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    client: ClientId,
    seats: Seats,
}

impl Seats {
    /// Counts a connection, unless `most` are open already; 0 is no limit.
    pub(crate) fn take(&self, client: &ClientId, most: u32) -> Option<Seat> {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = seats.entry(client.clone()).or_insert(0);
        if most > 0 && *open >= most {
            return None;
        }
        *open = open.saturating_add(1);
        Some(Seat {
            client: client.clone(),
            seats: self.clone(),
        })
    }

    /// How many are open.
    pub(crate) fn open(&self, client: &ClientId) -> u32 {
        let seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.get(client).copied().unwrap_or(0)
    }
}

impl Seat {
    pub(crate) fn is_of(&self, client: &ClientId) -> bool {
        self.client == *client
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = seats.get_mut(&self.client) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                seats.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(60);

    #[expect(clippy::disallowed_methods, reason = "the origin of the test's time")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_kept_out_after_its_failures_until_the_span_is_over_and_loopback_never() {
        let (guard, start) = (Guard::default(), origin());
        for n in 0..3 {
            assert!(!guard.keeps_out(ip("192.0.2.1"), start, 3, SPAN), "{n}");
            guard.failed(ip("192.0.2.1"), start, 3, SPAN);
            guard.failed(ip("2001:db8::1"), start, 3, SPAN);
            guard.failed(ip("127.0.0.1"), start, 3, SPAN);
            guard.failed(ip("::1"), start, 3, SPAN);
        }
        for out in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::ffff"] {
            assert!(guard.keeps_out(ip(out), start, 3, SPAN), "{out}");
            assert!(!guard.keeps_out(ip(out), start + SPAN, 3, SPAN), "{out}");
            assert!(!guard.keeps_out(ip(out), start, 0, SPAN), "bans are off");
        }
        for free in [
            "192.0.2.2",
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "2001:db8:0:1::1",
        ] {
            assert!(!guard.keeps_out(ip(free), start, 3, SPAN), "{free}");
        }
        guard.failed(ip("192.0.2.1"), start + SPAN, 3, SPAN);
        assert!(
            !guard.keeps_out(ip("192.0.2.1"), start + SPAN, 3, SPAN),
            "counted anew"
        );
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_the_table() {
        let (guard, start) = (Guard::default(), origin());
        guard.failed(ip("192.0.2.1"), start, 1, SPAN);
        for n in 0..u32::try_from(MOST).unwrap() + 100 {
            let address = IpAddr::from(std::net::Ipv4Addr::from(0x0A00_0000 + n));
            guard.failed(address, start + Duration::from_millis(1), 1, SPAN);
        }
        assert_eq!(guard.failures.lock().unwrap().len(), MOST);
        assert!(
            !guard.keeps_out(ip("192.0.2.1"), start, 1, SPAN),
            "the oldest gave way"
        );
    }

    #[test]
    fn seats_are_given_back_and_zero_is_no_limit() {
        let (seats, acme) = (Seats::default(), ClientId::try_new("acme").unwrap());
        let first = seats.take(&acme, 1).unwrap();
        assert!(seats.take(&acme, 1).is_none());
        assert!(seats.take(&ClientId::try_new("other").unwrap(), 1).is_some());
        let second = seats.take(&acme, 0).unwrap();
        assert_eq!(seats.open(&acme), 2);
        drop((first, second));
        assert_eq!(seats.open(&acme), 0);
        assert!(seats.0.lock().unwrap().is_empty());
    }
}
