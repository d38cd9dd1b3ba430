//! What goes over one bind now: its window, its rates, its answers and its last error, for people.
//!
//! Metrics tell the same over time; this answers "how fast is it at this moment" without a second look. Written once
//! per turn of the traffic loop, read by status pages. Invariant LO-1: a rate is of the last ten whole seconds.

use crate::account::Account;
use crate::answers::{AnswerTimes, LinkError};
use smsgw_message::Timestamp;
use smsgw_runtime::Clock;
use smsgw_session::Rate;
use smsgw_smpp::CommandStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds over which a rate is taken.
const SPAN: u64 = 10;

/// The load of a bind, as it is shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LinkLoad {
    /// Parts sent and not answered.
    pub in_flight: usize,
    /// Parts that may be now, less than configured while the carrier is slow; 0 while the bind has no session.
    pub window: usize,
    /// Parts sent, over the last ten seconds.
    pub sent_per_second: f64,
    /// Deliveries of the carrier (receipts and MO), over the last ten seconds.
    pub received_per_second: f64,
    /// Half of the answers to submits of the last minute took no longer than this.
    pub answer_p50: Option<Duration>,
    /// 99 of 100 of them took no longer than this.
    pub answer_p99: Option<Duration>,
    /// Parts per second that all links of the operator may send together; `None`: as many as they can.
    pub rate: Option<f64>,
    /// The same now, less while the carrier throttles; `None`: not limited.
    pub rate_now: Option<f64>,
    /// What went wrong last: an answer that was no ESME_ROK, or the end of a session.
    pub last_error: Option<LinkError>,
}

/// The load of a bind, as its task counts it.
#[derive(Debug)]
pub(crate) struct Load {
    clock: Arc<dyn Clock>,
    account: Arc<Account>,
    since: Instant,
    in_flight: AtomicUsize,
    window: AtomicUsize,
    sent: Mutex<Tally>,
    received: Mutex<Tally>,
    answers: Mutex<AnswerTimes>,
    last_error: Mutex<Option<LinkError>>,
}

impl Load {
    pub(crate) fn new(clock: Arc<dyn Clock>, account: Arc<Account>) -> Self {
        Self {
            since: clock.instant(),
            clock,
            account,
            in_flight: AtomicUsize::new(0),
            window: AtomicUsize::new(0),
            sent: Mutex::default(),
            received: Mutex::default(),
            answers: Mutex::default(),
            last_error: Mutex::default(),
        }
    }

    /// A session begins (its window) or is over (0).
    pub(crate) fn window(&self, window: usize) {
        self.window.store(window, Ordering::Relaxed);
        self.in_flight.store(0, Ordering::Relaxed);
    }

    /// The window of the session as it is now.
    pub(crate) fn width(&self, width: usize) {
        self.window.store(width, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self, parts: usize) {
        self.in_flight.store(parts, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, now: Instant, parts: u64) {
        add(&self.sent, self.second(now), parts);
    }

    pub(crate) fn received(&self, now: Instant, deliveries: u64) {
        add(&self.received, self.second(now), deliveries);
    }

    pub(crate) fn answered(&self, now: Instant, took: Duration) {
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(now, took);
    }

    /// The carrier refused a part.
    pub(crate) fn refused(&self, at: Timestamp, status: CommandStatus) {
        if !status.is_ok() {
            self.failed(at, status.to_string());
        }
    }

    pub(crate) fn failed(&self, at: Timestamp, text: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(LinkError { at, text });
    }

    pub(crate) fn snapshot(&self) -> LinkLoad {
        let now = self.clock.instant();
        let second = self.second(now);
        let percentile = |hundredths| {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.percentile(now, hundredths)
        };
        let rate = |tally: &Mutex<Tally>| {
            tally
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .per_second(second)
        };
        let (whole, effective) = {
            let limiter = self.account.limiter();
            (limiter.rate(), limiter.effective(now))
        };
        let shown =
            |rate: Rate| (!rate.is_unlimited()).then(|| Duration::from_millis(rate.as_milli()).as_secs_f64());
        LinkLoad {
            rate: shown(whole),
            rate_now: shown(effective),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            window: self.window.load(Ordering::Relaxed),
            sent_per_second: rate(&self.sent),
            received_per_second: rate(&self.received),
            answer_p50: percentile(50),
            answer_p99: percentile(99),
            last_error: self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs()
    }
}

fn add(tally: &Mutex<Tally>, second: u64, count: u64) {
    if count > 0 {
        tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(second, count);
    }
}

/// Counts by second: the one that runs and the ten before it.
#[derive(Debug, Default)]
struct Tally {
    /// Second and count, oldest first.
    counts: std::collections::VecDeque<(u64, u64)>,
}

impl Tally {
    fn add(&mut self, second: u64, count: u64) {
        self.forget(second);
        match self.counts.back_mut() {
            Some((last, sum)) if *last == second => *sum = sum.saturating_add(count),
            Some(_) | None => self.counts.push_back((second, count)),
        }
    }

    fn per_second(&mut self, now: u64) -> f64 {
        self.forget(now);
        let whole = self.counts.iter().filter(|(second, _)| *second < now);
        let sum: u64 = whole.map(|(_, count)| count).sum();
        // A bind that is younger than the span has not had all of it.
        let seconds = SPAN.min(now).max(1);
        let tenths = sum.saturating_mul(10) / seconds;
        f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
    }

    fn forget(&mut self, now: u64) {
        while self
            .counts
            .front()
            .is_some_and(|(second, _)| second.saturating_add(SPAN) < now)
        {
            self.counts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_ten_whole_seconds_and_runs_out() {
        let mut tally = Tally::default();
        for second in 0..30 {
            tally.add(second, 60);
            tally.add(second, 40);
        }
        let close = |rate: f64, expected: f64| (rate - expected).abs() < 0.05;
        assert!(close(tally.per_second(30), 100.0), "{}", tally.per_second(30));
        assert!(close(tally.per_second(35), 50.0), "{}", tally.per_second(35));
        assert!(close(tally.per_second(41), 0.0));
        assert!(tally.counts.is_empty(), "what is not needed is not kept");
        let mut young = Tally::default();
        young.add(0, 30);
        young.add(1, 10);
        assert!(close(young.per_second(2), 20.0), "{}", young.per_second(2));
        assert!(close(Tally::default().per_second(0), 0.0));
    }
}
