//! Circuit breaker of one target: after so many failures in a row only a probe now and then goes through.
//!
//! Pure: time is an argument. Invariant: while it is open, at most one request is under way, the probe; one success
//! closes it.

use std::time::{Duration, Instant};

/// The numbers it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerPolicy {
    /// Failures in a row that open it.
    pub(crate) failures: u32,
    /// First interval of probes; doubles with each failed one.
    pub(crate) probe: Duration,
    /// Longest interval of probes.
    pub(crate) probe_max: Duration,
}

/// May a request go?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admit {
    Yes,
    /// It may, and as the probe: its end must be told.
    Probe,
    /// Not before the end of the probe that is under way.
    AfterProbe,
    /// Not before this time.
    NotBefore(Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failed: u32 },
    Open { until: Instant, interval: Duration },
    Probing { interval: Duration },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breaker {
    state: State,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Closed { failed: 0 },
        }
    }

    /// Asks for one request. The first one after the interval of an open breaker is its probe.
    pub(crate) fn admit(&mut self, now: Instant) -> Admit {
        match self.state {
            State::Closed { .. } => Admit::Yes,
            State::Open { until, .. } if now < until => Admit::NotBefore(until),
            State::Open { interval, .. } => {
                self.state = State::Probing { interval };
                Admit::Probe
            }
            State::Probing { .. } => Admit::AfterProbe,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.state = State::Closed { failed: 0 };
    }

    /// A request failed.
    pub(crate) fn failed(&mut self, now: Instant, policy: &BreakerPolicy, probe: bool) {
        match self.state {
            State::Closed { failed } => {
                let failed = failed.saturating_add(1);
                self.state = if failed < policy.failures {
                    State::Closed { failed }
                } else {
                    State::Open {
                        until: now + policy.probe,
                        interval: policy.probe,
                    }
                };
            }
            State::Probing { interval } if probe => {
                let interval = interval.saturating_mul(2).min(policy.probe_max);
                self.state = State::Open {
                    until: now + interval,
                    interval,
                };
            }
            // Requests that were under way when it opened say nothing new.
            State::Probing { .. } | State::Open { .. } => {}
        }
    }

    /// The target asks not to be called for so long: only a probe goes then.
    pub(crate) fn rest(&mut self, now: Instant, span: Duration, policy: &BreakerPolicy) {
        let until = now + span;
        match self.state {
            State::Closed { .. } | State::Probing { .. } => {
                self.state = State::Open {
                    until,
                    interval: policy.probe,
                };
            }
            State::Open {
                until: before,
                interval,
            } => {
                self.state = State::Open {
                    until: before.max(until),
                    interval,
                };
            }
        }
    }

    /// When the next probe may go.
    pub(crate) fn open_until(&self) -> Option<Instant> {
        match self.state {
            State::Closed { .. } | State::Probing { .. } => None,
            State::Open { until, .. } => Some(until),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { .. } | State::Probing { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 3,
        probe: Duration::from_secs(1),
        probe_max: Duration::from_secs(3),
    };
    #[expect(clippy::disallowed_methods, reason = "the origin of the test's time")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_probes_with_doubling_intervals() {
        let start = origin();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut breaker = Breaker::new();
        breaker.failed(at(0), &POLICY, false);
        breaker.failed(at(0), &POLICY, false);
        breaker.succeeded();
        breaker.failed(at(0), &POLICY, false);
        breaker.failed(at(0), &POLICY, false);
        assert!(!breaker.is_open(), "not in a row");
        breaker.failed(at(0), &POLICY, false);
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(at(0)), Admit::NotBefore(at(1)));
        assert_eq!(breaker.admit(at(1)), Admit::Probe);
        assert_eq!(breaker.admit(at(9)), Admit::AfterProbe, "one probe at a time");
        breaker.failed(at(9), &POLICY, true);
        assert_eq!(breaker.admit(at(10)), Admit::NotBefore(at(11)));
        assert_eq!(breaker.admit(at(11)), Admit::Probe);
        breaker.failed(at(12), &POLICY, true);
        assert_eq!(breaker.open_until(), Some(at(15)), "capped at probe_max");
        assert_eq!(breaker.admit(at(15)), Admit::Probe);
        breaker.succeeded();
        assert_eq!(breaker, Breaker::new());
        assert_eq!(breaker.admit(at(15)), Admit::Yes);
    }

    #[test]
    fn a_late_failure_of_a_request_from_before_does_not_stand_for_the_probe() {
        let start = origin();
        let mut breaker = Breaker::new();
        for _ in 0..3 {
            breaker.failed(start, &POLICY, false);
        }
        let later = start + Duration::from_secs(1);
        assert_eq!(breaker.admit(later), Admit::Probe);
        breaker.failed(later, &POLICY, false);
        assert_eq!(breaker.admit(later), Admit::AfterProbe);
        breaker.failed(later, &POLICY, true);
        assert_eq!(breaker.open_until(), Some(later + Duration::from_secs(2)));
    }
}
