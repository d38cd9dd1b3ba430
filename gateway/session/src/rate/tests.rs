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
    for (rate, late) in [
        (1, 0),
        (1, 4),
        (10, 1),
        (50, 4),
        (100, 1),
        (1000, 4),
        (10_000, 1),
        (10_000, 4),
    ] {
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
    assert_eq!(limiter.next(t0), t0 + Duration::from_micros(86_500));
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

/// Parts in ten seconds after a throttle, when nothing else is throttled.
fn ten_seconds(throttled: impl FnOnce(&mut RateLimiter, Instant)) -> usize {
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::per_second(100), 1);
    run(&mut limiter, t0, Duration::from_secs(2), ms(0));
    throttled(&mut limiter, t0 + ms(2000));
    run(&mut limiter, t0 + ms(2000), Duration::from_secs(10), ms(0)).len()
}

#[test]
fn a_lone_throttle_costs_little() {
    let undisturbed = ten_seconds(|_, _| {});
    let lone = ten_seconds(RateLimiter::throttled);
    let lost = undisturbed - lone;
    assert!((10..=20).contains(&lost), "{lost} of {undisturbed}");
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::per_second(100), 1);
    limiter.throttled(t0);
    assert_eq!(limiter.effective(t0).as_milli(), 87_500);
    assert!(limiter.is_slowed(t0 + ms(2400)) && !limiter.is_slowed(t0 + ms(2500)));
    // Another one minutes later is alone again.
    limiter.throttled(t0 + Duration::from_secs(300));
    assert_eq!(
        limiter.effective(t0 + Duration::from_secs(300)).as_milli(),
        87_500
    );
}

#[test]
fn throttling_that_goes_on_takes_more_each_second_and_is_given_back_by_steps() {
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::per_second(100), 1);
    let mut rates = Vec::new();
    for second in 0..4 {
        let now = t0 + Duration::from_secs(second);
        limiter.throttled(now);
        rates.push(limiter.effective(now).as_milli());
    }
    // Each second gives 5 back before the next cut: an eighth, a quarter, a half, a half.
    assert_eq!(rates, [87_500, 69_375, 37_188, 21_094]);
    assert_eq!(limiter.effective(t0 + ms(13_000)).as_milli(), 71_094);
    assert!(limiter.is_slowed(t0 + ms(18_000)));
    assert!(!limiter.is_slowed(t0 + ms(19_000)));
    assert_eq!(limiter.effective(t0 + ms(19_000)), limiter.rate());
}

#[test]
fn where_a_share_of_a_second_is_throttled_the_cut_is_twice_that_at_once() {
    let t0 = Instant::now();
    for (throttled, left) in [(1, 87_500), (2, 87_500), (10, 80_000), (20, 60_000), (80, 50_000)] {
        let mut limiter = RateLimiter::new(Rate::per_second(100), 4);
        let sent = run(&mut limiter, t0, Duration::from_secs(2), ms(0));
        assert!((195..=200).contains(&sent.len()));
        let now = t0 + ms(2000);
        for n in 0..throttled {
            limiter.throttled(now + ms(n));
        }
        // The ten percent of the steps that were given back meanwhile.
        let rate = limiter.effective(now + ms(throttled)).as_milli();
        assert!(
            rate.abs_diff(left) <= 2500,
            "{throttled} of about 100: {rate}, not {left}"
        );
    }
}

#[test]
fn a_carrier_that_takes_a_third_is_found_and_used() {
    // It counts whole seconds and throttles beyond 100; we are configured for 300.
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::per_second(300), 1);
    let (mut taken, mut refused) = (0, 0);
    for second in 0..120 {
        let start = t0 + Duration::from_secs(second);
        let mut this = 0;
        for step in 0..1000 {
            let now = start + ms(step);
            for _ in 0..limiter.take(now, 10) {
                this += 1;
                if this > 100 {
                    refused += 1;
                    limiter.throttled(now);
                } else {
                    taken += 1;
                }
            }
        }
    }
    assert!(taken >= 120 * 80, "only {taken} of 12000 were used");
    assert!(refused <= taken / 5, "{refused} refused, {taken} taken");
}

#[test]
fn the_log_is_bounded_whatever_the_rate() {
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::per_second(1_000_000), 1);
    let mut sent = 0;
    for step in 0..200_000u64 {
        sent += limiter.take(t0 + Duration::from_micros(step * 10), 1000);
    }
    assert!(sent > 1_950_000, "{sent} in two seconds");
    assert!(limiter.recent.entries() <= 2100, "{}", limiter.recent.entries());
}

#[test]
fn a_faster_rate_does_not_wait_for_the_turn_of_the_slower_one() {
    let t0 = Instant::now();
    let mut limiter = RateLimiter::new(Rate::try_per_second(0.01).expect("a rate"), 1);
    assert_eq!(limiter.take(t0, 1), 1);
    limiter.set_rate(Rate::per_second(10), 1);
    assert!(limiter.next(t0) <= t0 + ms(102));
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
    assert_eq!(limiter.effective(t0 + ms(2000)).as_milli(), 875_000);
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
    assert!((999..=1016).contains(&(next - t0).as_secs()), "{:?}", next - t0);
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

    /// RA-1 as the carrier sees it: each part on its way for any time up to the guard, while we send as fast as we may and
    /// wake a little late.
    #[test]
    fn delays_up_to_the_guard_never_put_more_than_the_rate_into_a_second(
        per_second in 1u32..400, burst in 1u32..6, late in 0u64..5000,
        delays in prop::collection::vec(0u64..=15_000, 50..1200),
    ) {
        let mut limiter = RateLimiter::new(Rate::per_second(per_second), burst);
        let (mut now, mut seen) = (Instant::now(), Vec::new());
        let t0 = now;
        let mut delays = delays.into_iter();
        'sending: loop {
            for _ in 0..limiter.take(now, 1000) {
                let Some(delay) = delays.next() else { break 'sending };
                seen.push(now + Duration::from_micros(delay));
            }
            let next = limiter.next(now);
            now = if next > now { next + Duration::from_micros(late) } else { now + Duration::from_nanos(1) };
        }
        seen.sort();
        let most = per_second as usize;
        prop_assert!(busiest_second(&seen) <= most, "{} in a second at {}", busiest_second(&seen), per_second);
        // RA-3, from the second second on. What was ahead of its turn when that began is missing from the count.
        let (from, whole) = (t0 + SECOND, (now - t0).as_secs_f64() - 1.0);
        if late <= 4000 && whole > 2.0 {
            let count = u32::try_from(seen.iter().filter(|at| **at >= from).count()).expect("few");
            let due = 0.98 * whole * f64::from(per_second);
            let ahead = f64::from(burst) + TOLERANCE.as_secs_f64() * f64::from(per_second);
            prop_assert!(f64::from(count) >= due - ahead, "{count} of {due} at {per_second}/s");
        }
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
