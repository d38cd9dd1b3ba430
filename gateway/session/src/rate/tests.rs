//! The rate in every sliding second, whatever is asked for and by whom.
#![expect(clippy::disallowed_methods, reason = "tests start from some instant")]

use super::*;
use proptest::prelude::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Most parts in any half-open second.
fn busiest_second(sent: &[Instant]) -> usize {
    let (mut end, mut most) = (0, 0);
    for at in 0..sent.len() {
        while end < sent.len() && sent[end] - sent[at] < SECOND {
            end += 1;
        }
        most = most.max(end - at);
    }
    most
}

/// Sends as fast as allowed, waking `late` after every `next`.
fn run(limiter: &mut RateLimiter, t0: Instant, length: Duration, late: Duration) -> Vec<Instant> {
    let (mut now, mut sent) = (t0, Vec::new());
    while now < t0 + length {
        sent.extend(std::iter::repeat_n(now, limiter.take(now, 1000)));
        let next = limiter.next(now);
        now = if next > now {
            next + late
        } else {
            now + Duration::from_nanos(1)
        };
    }
    sent
}

#[test]
fn throughput_is_the_rate_less_the_guard_even_with_late_timers() {
    for (rate, late) in [(1, 0), (10, 1), (100, 1), (1000, 1), (10_000, 1), (10_000, 3)] {
        let mut limiter = RateLimiter::new(Rate::per_second(rate), 1);
        let sent = run(&mut limiter, Instant::now(), Duration::from_secs(10), ms(late));
        let most = rate as usize;
        assert!(
            busiest_second(&sent) <= most,
            "{rate}/s: {} in a second",
            busiest_second(&sent)
        );
        assert!(
            sent.len() * 100 >= most * 10 * 98,
            "{rate}/s: only {} in 10 s",
            sent.len()
        );
    }
}

#[test]
fn parts_are_spaced_without_a_burst_and_come_together_with_one() {
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::per_second(10), 1);
    assert_eq!((limiter.take(t0, 5), limiter.available(t0)), (1, 0));
    assert_eq!(limiter.next(t0), t0 + ms(96));
    let mut limiter = RateLimiter::new(Rate::per_second(10), 4);
    assert_eq!(limiter.take(t0, 100), 4);
    assert_eq!(limiter.take(t0, 100), 0);
    assert_eq!(
        busiest_second(&run(&mut limiter, t0 + ms(1), Duration::from_secs(5), ms(0))),
        10
    );
}

#[test]
fn fractional_rates_and_no_rate() {
    assert_eq!(Rate::try_per_second(0.5).map(Rate::as_milli), Some(500));
    assert_eq!(Rate::try_per_second(0.0), Some(Rate::UNLIMITED));
    for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e300, 0.0001] {
        assert_eq!(Rate::try_per_second(wrong), None, "{wrong}");
    }
    let t0 = Instant::now();
    let half = Rate::try_per_second(0.5).expect("a rate");
    let sent = run(&mut RateLimiter::new(half, 1), t0, Duration::from_secs(21), ms(0));
    assert_eq!((sent.len(), busiest_second(&sent)), (11, 1));
    let mut unlimited = RateLimiter::new(Rate::UNLIMITED, 1);
    assert_eq!(
        (
            unlimited.available(t0),
            unlimited.take(t0, 70_000),
            unlimited.next(t0)
        ),
        (usize::MAX, 70_000, t0)
    );
}

#[test]
fn changing_burst_or_rate_never_lets_more_than_the_rate_into_a_second() {
    for (before, after) in [
        ((10, 1), (10, 5)),
        ((10, 5), (10, 1)),
        ((5, 1), (10, 5)),
        ((0, 1), (10, 1)),
        ((10, 4), (0, 1)),
    ] {
        let t0 = Instant::now();
        let mut limiter = RateLimiter::new(Rate::per_second(before.0), before.1);
        if before.0 > 0 {
            let mut sent = run(&mut limiter, t0, ms(1500), ms(0));
            limiter.set_rate(Rate::per_second(after.0), after.1);
            if after.0 == 0 {
                assert_eq!(limiter.available(t0 + ms(1500)), usize::MAX);
                continue;
            }
            sent.extend(run(&mut limiter, t0 + ms(1500), Duration::from_secs(4), ms(0)));
            assert!(
                busiest_second(&sent) <= 10,
                "{before:?} to {after:?}: {}",
                busiest_second(&sent)
            );
            assert!(sent.len() > 25, "{before:?} to {after:?}: only {}", sent.len());
        } else {
            limiter.take(t0, 1000);
            limiter.set_rate(Rate::per_second(after.0), after.1);
            assert_eq!(run(&mut limiter, t0, Duration::from_secs(1), ms(0)).len(), 10);
        }
    }
}

#[test]
fn throttling_halves_once_a_second_and_recovers_by_steps() {
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::per_second(100), 1);
    limiter.throttled(t0);
    limiter.throttled(t0 + ms(500));
    assert_eq!(limiter.effective(t0 + ms(500)).as_milli(), 52_500);
    limiter.throttled(t0 + ms(1000));
    assert_eq!(limiter.effective(t0 + ms(1000)).as_milli(), 27_500);
    assert_eq!(limiter.effective(t0 + ms(11_000)).as_milli(), 77_500);
    assert!(limiter.is_slowed(t0 + ms(15_000)));
    assert!(!limiter.is_slowed(t0 + ms(16_000)));
    assert_eq!(limiter.effective(t0 + ms(16_000)), limiter.rate());
}

#[test]
fn endless_throttling_never_stops_for_longer_than_a_second() {
    for rate in [
        Rate::UNLIMITED,
        Rate::per_second(1),
        Rate::per_second(3),
        Rate::per_second(5000),
    ] {
        let t0 = Instant::now();
        let mut limiter = RateLimiter::new(rate, 1);
        let mut last = t0;
        for step in 0..3000u64 {
            let now = t0 + ms(step * 10);
            limiter.throttled(now);
            if limiter.take(now, 1) == 1 {
                last = now;
            }
            assert!(
                now - last <= ms(1020),
                "{rate:?} stood still for {:?}",
                now - last
            );
        }
    }
}

#[test]
fn an_unlimited_link_is_slowed_from_what_it_sent_and_then_unlimited_again() {
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::UNLIMITED, 1);
    for step in 0..200 {
        limiter.take(t0 + ms(step * 10), 10);
    }
    limiter.throttled(t0 + ms(2000));
    assert_eq!(limiter.effective(t0 + ms(2000)).as_milli(), 500_000);
    assert!(limiter.available(t0 + ms(2010)) < 100);
    assert!(limiter.effective(t0 + ms(2000 + 70_000)).is_unlimited());
}

#[test]
fn a_message_goes_whole_or_not_at_all() {
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::per_second(10), 4);
    assert_eq!(limiter.take_all(t0, 0), Ok(()));
    assert_eq!(limiter.take_all(t0, 3), Ok(()));
    let later = limiter
        .take_all(t0, 3)
        .unwrap_err()
        .expect("three parts fit the burst");
    assert!(later > t0 && limiter.next_for(later, 3) == Some(later));
    assert_eq!(limiter.take_all(later, 3), Ok(()));
    assert_eq!(limiter.take_all(later, 5), Err(None), "more than the burst");
    let mut slow = RateLimiter::new(Rate::per_second(2), 5);
    assert_eq!(slow.take_all(t0, 3), Err(None), "more than fit into a second");
    assert_eq!(slow.take_all(t0, 2), Ok(()));
    assert_eq!(RateLimiter::new(Rate::UNLIMITED, 1).take_all(t0, 1000), Ok(()));
}

#[test]
fn one_message_in_many_minutes() {
    let slowest = Rate::try_per_second(0.001).expect("a rate");
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(slowest, 1);
    assert_eq!(limiter.take_all(t0, 1), Ok(()));
    let next = limiter
        .take_all(t0, 1)
        .unwrap_err()
        .expect("one part goes some day");
    assert!((999..=1011).contains(&(next - t0).as_secs()), "{:?}", next - t0);
    assert_eq!(limiter.take_all(next, 1), Ok(()));
}

proptest! {
    /// RA-1: whatever is asked for and whenever.
    #[test]
    fn any_sliding_second_holds_at_most_the_rate(
        milli in 100u64..300_000, burst in 1u32..20,
        asks in prop::collection::vec((0u64..400_000, 1usize..30, prop::bool::weighted(0.02)), 1..600),
    ) {
        let rate = Rate { milli };
        let mut limiter = RateLimiter::new(rate, burst);
        let (mut now, mut sent) = (Instant::now(), Vec::new());
        for (micros, wanted, throttled) in asks {
            now += Duration::from_micros(micros);
            if throttled {
                limiter.throttled(now);
            }
            let promised = limiter.available(now);
            let granted = limiter.take(now, wanted);
            prop_assert_eq!(granted, promised.min(wanted));
            sent.extend(std::iter::repeat_n(now, granted));
            let next = limiter.next(now);
            prop_assert!(next >= now);
            prop_assert!(limiter.available(next) > 0, "next is a promise");
            prop_assert!(next == now || limiter.available(next - Duration::from_micros(1).min(next - now)) == 0 || limiter.is_slowed(now));
        }
        let most = usize::try_from(milli.div_ceil(MILLI)).expect("small");
        prop_assert!(busiest_second(&sent) <= most, "{} in a second at {:?}", busiest_second(&sent), rate);
    }

    /// RA-1 for a limiter that several links share, each with its own pace and messages of several parts.
    #[test]
    fn links_that_share_a_limiter_stay_below_its_rate_together(
        milli in 200u64..200_000, burst in 1u32..12,
        links in prop::collection::vec((1u64..300_000, 1usize..8), 1..6), steps in 50usize..400,
    ) {
        let t0 = Instant::now();
        let mut limiter = RateLimiter::new(Rate { milli }, burst);
        let mut wake: Vec<Instant> = links.iter().map(|_| t0).collect();
        let mut sent = Vec::new();
        for _ in 0..steps {
            let link = (0..links.len()).min_by_key(|link| wake[*link]).expect("a link");
            let (pace, cost) = links[link];
            let now = wake[link];
            wake[link] = match limiter.take_all(now, cost) {
                Ok(()) => {
                    sent.extend(std::iter::repeat_n(now, cost));
                    now + Duration::from_micros(pace)
                }
                Err(Some(later)) => {
                    prop_assert!(later > now);
                    later
                }
                Err(None) => {
                    // Goes part by part.
                    sent.extend(std::iter::repeat_n(now, limiter.take(now, cost)));
                    limiter.next(now).max(now + Duration::from_micros(pace))
                }
            };
        }
        let most = usize::try_from(milli.div_ceil(MILLI)).expect("small");
        prop_assert!(busiest_second(&sent) <= most, "{} in a second at {}", busiest_second(&sent), milli);
        prop_assert!(!sent.is_empty());
    }

    /// Nobody else asking, what `next_for` promises is kept, and a moment before it is too early.
    #[test]
    fn next_for_is_a_promise(milli in 1000u64..50_000, burst in 1u32..12, spent in prop::collection::vec((0u64..200_000, 1usize..12), 0..40), cost in 1usize..12) {
        let mut limiter = RateLimiter::new(Rate { milli }, burst);
        let mut now = Instant::now();
        for (micros, wanted) in spent {
            now += Duration::from_micros(micros);
            limiter.take(now, wanted);
        }
        match limiter.next_for(now, cost) {
            Some(at) if at > now => {
                prop_assert!(limiter.available(at - Duration::from_micros(1).min(at - now)) < cost);
                prop_assert_eq!(limiter.take_all(at, cost), Ok(()));
            }
            Some(_) => prop_assert!(limiter.available(now) >= cost),
            None => prop_assert!(cost > usize::try_from(burst).expect("small") || cost > usize::try_from(milli.div_ceil(MILLI)).expect("small")),
        }
    }
}
