//! The controller against a simulated carrier: a queue that is served at a capacity, behind a line of a length.
#![expect(clippy::disallowed_methods, reason = "tests start from some instant")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures of a simulation"
)]

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Serves requests one after another, `capacity` in a second; each answer takes `line` longer. Refuses what finds more than
/// `queue` waiting.
struct Carrier {
    capacity: f64,
    line: Duration,
    queue: usize,
    free_at: Instant,
    /// When answered, when sent, whether accepted.
    answers: VecDeque<(Instant, Instant, bool)>,
}

struct Sender {
    window: CongestionWindow,
    carrier: Carrier,
    now: Instant,
}

struct Seen {
    accepted: usize,
    refused: usize,
    /// Sorted.
    times: Vec<Duration>,
    widest: usize,
    narrowest: usize,
}

impl Seen {
    fn rate(&self, over: Duration) -> f64 {
        self.accepted as f64 / over.as_secs_f64()
    }

    fn time(&self, percent: usize) -> Duration {
        self.times[(self.times.len() - 1) * percent / 100]
    }
}

impl Sender {
    fn new(settings: CongestionSettings, ceiling: usize, capacity: f64, line: Duration) -> Self {
        let now = Instant::now();
        Self {
            window: CongestionWindow::new(settings, ceiling),
            carrier: Carrier {
                capacity,
                line,
                queue: usize::MAX,
                free_at: now,
                answers: VecDeque::new(),
            },
            now,
        }
    }

    /// Sends whatever the window allows, for so long.
    fn run(&mut self, length: Duration) -> Seen {
        let end = self.now + length;
        let mut seen = Seen {
            accepted: 0,
            refused: 0,
            times: Vec::new(),
            widest: 0,
            narrowest: usize::MAX,
        };
        while self.now < end {
            let limit = self.window.limit();
            (seen.widest, seen.narrowest) = (seen.widest.max(limit), seen.narrowest.min(limit));
            while self.carrier.answers.len() < limit {
                let carrier = &mut self.carrier;
                let service = Duration::from_secs_f64(1.0 / carrier.capacity);
                let waiting = carrier.free_at.saturating_duration_since(self.now);
                let accepted = (waiting.as_secs_f64() * carrier.capacity) as usize <= carrier.queue;
                if accepted {
                    carrier.free_at = carrier.free_at.max(self.now) + service;
                }
                let done = if accepted {
                    carrier.free_at
                } else {
                    carrier.free_at.max(self.now)
                };
                carrier
                    .answers
                    .push_back((done + carrier.line, self.now, accepted));
            }
            let outstanding = self.carrier.answers.len();
            let (at, sent, accepted) = self.carrier.answers.pop_front().expect("never a full stop");
            self.now = self.now.max(at);
            if accepted {
                self.window.answered(self.now, self.now - sent, outstanding);
                seen.accepted += 1;
                seen.times.push(self.now - sent);
            } else {
                self.window.throttled(self.now);
                seen.refused += 1;
            }
        }
        seen.times.sort_unstable();
        seen
    }
}

fn quick() -> CongestionSettings {
    CongestionSettings {
        best_ttl: secs(5),
        ..CongestionSettings::default()
    }
}

/// The answer time that the settings allow: the carrier's own, doubled or with the slack.
fn allowed(capacity: f64, line: Duration) -> Duration {
    let own = line + Duration::from_secs_f64(1.0 / capacity);
    (own * 2).max(own + ms(50))
}

#[test]
fn a_carrier_that_answers_late_gets_what_it_can_take_and_no_queue() {
    for (capacity, line, ceiling) in [
        (100.0, 20, 1000),
        (1000.0, 50, 1000),
        (5000.0, 100, 10_000),
        (20.0, 10, 100),
    ] {
        let mut sender = Sender::new(quick(), ceiling, capacity, ms(line));
        sender.run(secs(60));
        let seen = sender.run(secs(60));
        let (rate, late) = (seen.rate(secs(60)), seen.time(95));
        assert!(
            rate >= capacity * 0.95,
            "{capacity}/s behind {line} ms: only {rate}/s"
        );
        let bound = allowed(capacity, ms(line)) * 13 / 10;
        assert!(
            late <= bound,
            "{capacity}/s behind {line} ms: {late:?}, more than {bound:?}"
        );
    }
}

#[test]
fn the_window_follows_a_capacity_that_falls_and_returns() {
    let mut sender = Sender::new(quick(), 1000, 1000.0, ms(50));
    sender.run(secs(30));
    let wide = sender.window.limit();
    sender.carrier.capacity = 100.0;
    sender.run(secs(30));
    let poor = sender.run(secs(20));
    assert!(poor.rate(secs(20)) >= 95.0, "{}", poor.rate(secs(20)));
    assert!(
        poor.time(95) <= allowed(100.0, ms(50)) * 13 / 10,
        "{:?}",
        poor.time(95)
    );
    assert!(poor.widest < wide / 2, "{} of {wide}", poor.widest);
    assert_eq!(sender.window.narrowed(), Some(Narrowed::Slow));
    sender.carrier.capacity = 1000.0;
    sender.run(secs(20));
    let rich = sender.run(secs(20));
    assert!(rich.rate(secs(20)) >= 950.0, "{}", rich.rate(secs(20)));
}

#[test]
fn a_longer_line_is_learned_instead_of_taken_for_a_queue() {
    let mut sender = Sender::new(quick(), 1000, 500.0, ms(20));
    sender.run(secs(20));
    sender.carrier.line = ms(200);
    sender.run(secs(60));
    let seen = sender.run(secs(30));
    assert!(seen.rate(secs(30)) >= 475.0, "{}", seen.rate(secs(30)));
    let best = sender.window.best().expect("there were answers");
    assert!((ms(200)..ms(260)).contains(&best), "{best:?}");
}

#[test]
fn a_window_below_the_capacity_is_left_alone() {
    let mut sender = Sender::new(quick(), 10, 10_000.0, ms(50));
    let seen = sender.run(secs(60));
    assert_eq!((seen.narrowest, sender.window.narrowed()), (10, None));
}

#[test]
fn refusals_that_go_on_halve_the_window_once_a_second_and_never_below_the_floor() {
    let t0 = Instant::now();
    let settings = CongestionSettings {
        floor: 3,
        start: 100,
        ..CongestionSettings::default()
    };
    let mut window = CongestionWindow::new(settings, 100);
    let mut limits = Vec::new();
    for step in 0..16 {
        window.throttled(t0 + ms(step * 500));
        limits.push(window.limit());
    }
    // The first one alone takes a quarter.
    assert_eq!(limits, [75, 75, 37, 37, 18, 18, 9, 9, 4, 4, 3, 3, 3, 3, 3, 3]);
    assert_eq!(window.narrowed(), Some(Narrowed::Throttled));
    window.timed_out(t0 + secs(60));
    assert_eq!((window.limit(), window.narrowed()), (3, Some(Narrowed::TimedOut)));
}

#[test]
fn a_carrier_that_refuses_beyond_a_short_queue_is_used_all_the_same() {
    let mut sender = Sender::new(quick(), 1000, 1000.0, ms(50));
    sender.carrier.queue = 20;
    sender.run(secs(20));
    let seen = sender.run(secs(60));
    assert!(seen.rate(secs(60)) >= 700.0, "{}", seen.rate(secs(60)));
    assert!(
        seen.refused * 20 < seen.accepted,
        "{} refused of {}",
        seen.refused,
        seen.accepted
    );
}

#[test]
fn congestion_state_holds_from_80_and_shrinks_from_90() {
    for (state, band) in [
        (0, CongestionBand::Idle),
        (1, CongestionBand::Low),
        (29, CongestionBand::Low),
        (30, CongestionBand::Medium),
        (49, CongestionBand::Medium),
        (50, CongestionBand::High),
        (79, CongestionBand::High),
        (80, CongestionBand::Optimum),
        (89, CongestionBand::Optimum),
        (90, CongestionBand::Nearing),
        (99, CongestionBand::Nearing),
        (100, CongestionBand::Congested),
        (255, CongestionBand::Congested),
    ] {
        assert_eq!(CongestionBand::of(state), band, "{state}");
    }
    let t0 = Instant::now();
    let settings = CongestionSettings {
        start: 100,
        ..CongestionSettings::default()
    };
    let mut window = CongestionWindow::new(settings, 100);
    let answer = |window: &mut CongestionWindow, from: u64| {
        for step in 0..200 {
            let outstanding = window.limit();
            window.answered(t0 + ms(from + step), ms(1), outstanding);
        }
    };
    window.congestion_state(t0, 95);
    assert_eq!(
        (window.limit(), window.narrowed()),
        (75, Some(Narrowed::CongestionState))
    );
    window.congestion_state(t0 + ms(900), 100);
    assert_eq!(window.limit(), 75, "once a second");
    window.congestion_state(t0 + ms(1000), 100);
    assert_eq!(window.limit(), 37);
    window.congestion_state(t0 + ms(1100), 85);
    answer(&mut window, 1200);
    assert_eq!(window.limit(), 37, "as much as the peer wants");
    window.congestion_state(t0 + ms(2000), 10);
    answer(&mut window, 2100);
    assert!(window.limit() > 38, "{}", window.limit());
}

#[test]
fn a_lone_refusal_takes_a_quarter_however_often_it_comes_alone() {
    let t0 = Instant::now();
    let settings = CongestionSettings {
        start: 100,
        ..CongestionSettings::default()
    };
    let mut window = CongestionWindow::new(settings, 100);
    window.throttled(t0);
    assert_eq!(window.limit(), 75);
    window.throttled(t0 + secs(2));
    assert_eq!(window.limit(), 56, "alone again");
    window.throttled(t0 + secs(3));
    assert_eq!(window.limit(), 28, "it goes on");
}

#[test]
fn a_congestion_state_that_is_not_said_again_is_forgotten() {
    let t0 = Instant::now();
    let settings = CongestionSettings {
        start: 50,
        state_ttl: secs(20),
        ..CongestionSettings::default()
    };
    let mut window = CongestionWindow::new(settings, 100);
    let answer = |window: &mut CongestionWindow, from: Duration| {
        for step in 0..200 {
            let outstanding = window.limit();
            window.answered(t0 + from + ms(step), ms(1), outstanding);
        }
        window.limit()
    };
    window.congestion_state(t0, 85);
    assert_eq!(answer(&mut window, secs(1)), 50, "as much as the peer wants");
    assert_eq!(answer(&mut window, secs(19)), 50, "still");
    assert!(answer(&mut window, secs(20)) > 50, "said too long ago");
    // Said again, it holds again.
    window.congestion_state(t0 + secs(30), 85);
    let held = window.limit();
    assert_eq!(answer(&mut window, secs(31)), held);
}

#[test]
fn a_new_ceiling_is_grown_into_and_a_lower_one_holds_at_once() {
    let mut sender = Sender::new(quick(), 10, 1_000_000.0, ms(50));
    sender.run(secs(1));
    sender.window.set_ceiling(1000);
    assert_eq!(sender.window.limit(), 10);
    sender.run(ms(600));
    assert_eq!(sender.window.limit(), 1000, "twice as wide each round");
    sender.window.set_ceiling(20);
    assert_eq!((sender.window.limit(), sender.window.narrowed()), (20, None));
    sender.window.set_ceiling(0);
    assert_eq!(sender.window.limit(), 1);
}

#[test]
fn a_wide_ceiling_does_not_begin_with_a_flood() {
    let mut sender = Sender::new(CongestionSettings::default(), 10_000, 50.0, ms(100));
    let seen = sender.run(secs(5));
    assert!(seen.widest <= 40, "{}", seen.widest);
    assert!(seen.time(100) < secs(1), "{:?}", seen.time(100));
}

#[test]
fn settings_out_of_range_are_brought_into_it() {
    let wild = CongestionSettings {
        floor: 0,
        start: 0,
        slow_percent: 0,
        slack: Duration::MAX,
        keep_percent: 100,
        throttled_keep_percent: 0,
        step: 0,
        best_ttl: Duration::ZERO,
        state_ttl: Duration::ZERO,
    };
    let tame = CongestionSettings {
        floor: 1,
        start: 1,
        slow_percent: 120,
        slack: secs(10),
        keep_percent: 95,
        throttled_keep_percent: 10,
        step: 1,
        best_ttl: secs(5),
        state_ttl: secs(1),
    };
    assert_eq!(wild.sanitised(), tame);
    assert_eq!(
        CongestionSettings::default().sanitised(),
        CongestionSettings::default()
    );
}

/// A carrier of that capacity at the end of such a way: at least 95 % of what it can take, and a bounded answer time; and so
/// again after the capacity has changed to so many percent.
fn used_without_a_long_queue(
    capacity: u32,
    line: Duration,
    change: u32,
    ceiling: usize,
) -> Result<(), TestCaseError> {
    let mut capacity = f64::from(capacity);
    let mut sender = Sender::new(quick(), ceiling, capacity, line);
    for turn in 0..2 {
        if turn == 1 {
            capacity = (capacity * f64::from(change) / 100.0).clamp(20.0, 2000.0);
            sender.carrier.capacity = capacity;
        }
        sender.run(secs(60));
        let seen = sender.run(secs(20));
        let rate = seen.rate(secs(20));
        prop_assert!(
            rate >= capacity * 0.95,
            "only {} of {} (turn {})",
            rate,
            capacity,
            turn
        );
        // Windows are whole: one more is one message more to wait for.
        let bound = allowed(capacity, line) * 14 / 10 + Duration::from_secs_f64(1.0 / capacity);
        prop_assert!(
            seen.time(95) <= bound,
            "{:?} of {:?} (turn {})",
            seen.time(95),
            bound,
            turn
        );
        prop_assert!(seen.narrowest >= 1 && seen.widest <= ceiling);
    }
    Ok(())
}

#[test]
fn a_slow_carrier_next_door_is_used_without_a_long_queue() {
    used_without_a_long_queue(25, ms(20), 20, 1000).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_carrier_is_used_to_95_percent_without_a_long_queue(
        capacity in 20u32..1500, line in 2u64..300, change in 20u32..500, ceiling in 1000usize..3000,
    ) {
        used_without_a_long_queue(capacity, ms(line), change, ceiling)?;
    }
}

proptest! {
    /// CG-1, whatever happens and whatever the settings.
    #[test]
    fn the_limit_stays_between_floor_and_ceiling(
        floor in 0usize..50, keep in 0u32..200, step in 0usize..50, ceiling in 0usize..200,
        events in prop::collection::vec((0u8..6, 0u64..3000, 0u64..5000, any::<u8>()), 0..500),
    ) {
        let settings = CongestionSettings { floor, keep_percent: keep, throttled_keep_percent: keep, step, ..CongestionSettings::default() };
        let mut window = CongestionWindow::new(settings, ceiling);
        let (mut now, mut ceiling) = (Instant::now() + secs(10), ceiling.max(1));
        for (what, wait, took, number) in events {
            now += ms(wait);
            match what {
                0 => window.throttled(now),
                1 => window.timed_out(now),
                2 => window.congestion_state(now, number),
                3 => { ceiling = usize::from(number).max(1); window.set_ceiling(ceiling); }
                _ => for _ in 0..number { window.answered(now, ms(took), usize::from(number)); }
            }
            prop_assert!(window.limit() >= floor.max(1).min(ceiling));
            prop_assert!(window.limit() <= ceiling);
        }
    }
}
