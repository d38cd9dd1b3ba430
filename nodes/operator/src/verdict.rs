//! What a carrier's answer to a submit means for the part (design section 9, "Verdicts").
//!
//! Pure: tables in, a verdict out; knows no queue, no link and no clock. Invariant VE-1: every status ends as exactly
//! one verdict, and a status that no list of the operator names is final.

use smsgw_config::{Operator, StatusRange};
use smsgw_message::RerouteReason;
use smsgw_queue::{Cost, ReleaseReason};
use smsgw_smpp::CommandStatus;
use std::time::Duration;

/// The meaning of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The carrier has the part.
    Accepted,
    /// We are too fast: the link slows down, the part comes back after this time at no cost.
    Throttled(Duration),
    /// The carrier's queue for this phone is full: only this part waits, at no cost, and longer each time.
    QueueFull,
    /// It may pass: the part comes back after this time, at the cost of an attempt.
    Temporary(Duration),
    /// It might pass, but the attempts are used up.
    Exhausted,
    /// Not here: the next operator of the route is to be tried.
    Reroute(RerouteReason),
    /// Final.
    Refused,
}

impl Verdict {
    /// How the part goes back, when that does not depend on what happened to it before.
    pub(crate) fn retry(self) -> Option<(Duration, ReleaseReason, Cost)> {
        match self {
            Self::Throttled(after) => Some((after, ReleaseReason::Throttled, Cost::Free)),
            Self::Temporary(after) => Some((after, ReleaseReason::Temporary, Cost::Counted)),
            Self::Accepted | Self::QueueFull | Self::Exhausted | Self::Reroute(_) | Self::Refused => None,
        }
    }
}

fn holds(list: &[StatusRange], code: u32) -> bool {
    list.iter().any(|range| range.contains(code))
}

/// Judges an answer. `attempt` counts from 1 and grows with each retry at a cost. A status in several lists is what the first of rejected, reroute,
/// throttled, queue_full and temporary makes of it.
pub(crate) fn judge(operator: &Operator, status: CommandStatus, attempt: u32) -> Verdict {
    let CommandStatus(code) = status;
    if status.is_ok() {
        Verdict::Accepted
    } else if holds(&operator.rejected, code) {
        Verdict::Refused
    } else if holds(&operator.reroute, code) {
        Verdict::Reroute(RerouteReason::Answer)
    } else if holds(&operator.throttled, code) {
        Verdict::Throttled(operator.throttled_retry)
    } else if holds(&operator.queue_full, code) {
        Verdict::QueueFull
    } else if holds(&operator.temporary, code) {
        if attempt < operator.temporary_attempts {
            Verdict::Temporary(operator.temporary_retry.delay_or_last(attempt))
        } else if operator.reroute_exhausted {
            Verdict::Reroute(RerouteReason::Exhausted)
        } else {
            Verdict::Exhausted
        }
    } else {
        Verdict::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn the_defaults_are_those_of_the_design() {
        let operator = Operator::default();
        let table = [
            (0x00, 1, Verdict::Accepted),
            (0x58, 1, Verdict::Throttled(seconds(1))),
            (0x58, 900, Verdict::Throttled(seconds(1))),
            (0x14, 1, Verdict::QueueFull),
            (0x14, 900, Verdict::QueueFull),
            (0x08, 1, Verdict::Temporary(seconds(2))),
            (0x64, 2, Verdict::Temporary(seconds(4))),
            (0x45, 4, Verdict::Temporary(seconds(16))),
            (0x08, 5, Verdict::Exhausted),
            (0x45, 6, Verdict::Exhausted),
            (0x0B, 1, Verdict::Refused),
            (0x01, 1, Verdict::Refused),
            (0x400, 1, Verdict::Refused),
            (0xFFFF_FFFF, 1, Verdict::Refused),
        ];
        for (code, attempt, expected) in table {
            let verdict = judge(&operator, CommandStatus(code), attempt);
            assert_eq!(verdict, expected, "{code:#x} at attempt {attempt}");
        }
    }

    fn list(ranges: &[&str]) -> Vec<StatusRange> {
        let read = |text: &&str| StatusRange::from_text(text).unwrap();
        ranges.iter().map(read).collect()
    }

    #[test]
    fn the_names_of_the_configuration_are_those_of_the_protocol() {
        for code in 1..=0x1FF {
            let status = CommandStatus(code);
            if let Some(name) = status.name() {
                let read = StatusRange::from_text(name).map(StatusRange::bounds);
                assert_eq!(read, Some((code, code)), "{status}");
            }
        }
    }

    /// Quirk 29: carriers say the same with different answers, so that each can mean anything by configuration.
    #[test]
    fn every_answer_can_be_given_every_verdict() {
        let all = || list(&["1-0xFFFFFFFF"]);
        let none = || Operator {
            throttled: vec![],
            queue_full: vec![],
            temporary: vec![],
            ..Operator::default()
        };
        let codes = (1..=0x1FF).chain([0x400, 0x4FF, 0x500, 0xFFFF, 0x1_0000, u32::MAX]);
        for code in codes.map(CommandStatus) {
            let verdict = |operator: Operator| judge(&operator, code, 1);
            assert_eq!(verdict(none()), Verdict::Refused, "{code}");
            let throttled = Operator {
                throttled: all(),
                ..none()
            };
            assert_eq!(verdict(throttled), Verdict::Throttled(seconds(1)), "{code}");
            let queue_full = Operator {
                queue_full: all(),
                ..none()
            };
            assert_eq!(verdict(queue_full), Verdict::QueueFull, "{code}");
            let temporary = Operator {
                temporary: all(),
                ..none()
            };
            assert_eq!(
                verdict(temporary.clone()),
                Verdict::Temporary(seconds(2)),
                "{code}"
            );
            let reroute = Operator {
                reroute: all(),
                ..temporary
            };
            assert_eq!(
                verdict(reroute.clone()),
                Verdict::Reroute(RerouteReason::Answer),
                "{code}"
            );
            let rejected = Operator {
                rejected: all(),
                ..reroute
            };
            assert_eq!(verdict(rejected), Verdict::Refused, "{code}");
        }
        let everything = Operator {
            throttled: all(),
            ..none()
        };
        assert_eq!(judge(&everything, CommandStatus::OK, 1), Verdict::Accepted);
    }

    #[test]
    fn each_status_of_the_specification_has_the_documented_verdict() {
        let operator = Operator::default();
        for code in 0..=0x1FF {
            let expected = match code {
                0 => Verdict::Accepted,
                0x58 => Verdict::Throttled(seconds(1)),
                0x14 => Verdict::QueueFull,
                0x08 | 0x45 | 0x64 => Verdict::Temporary(seconds(2)),
                _ => Verdict::Refused,
            };
            assert_eq!(judge(&operator, CommandStatus(code), 1), expected, "{code:#x}");
        }
    }

    #[test]
    fn a_vendors_range_may_have_exceptions() {
        let operator = Operator {
            temporary: list(&["0x400-0x4FF", "ESME_RSYSERR"]),
            rejected: list(&["0x401"]),
            ..Operator::default()
        };
        for (code, expected) in [
            (0x400, Verdict::Temporary(seconds(2))),
            (0x401, Verdict::Refused),
            (0x4FF, Verdict::Temporary(seconds(2))),
            (0x500, Verdict::Refused),
            (0x08, Verdict::Temporary(seconds(2))),
        ] {
            assert_eq!(judge(&operator, CommandStatus(code), 1), expected, "{code:#x}");
        }
    }

    #[test]
    fn attempts_that_are_used_up_may_lead_elsewhere() {
        let operator = Operator {
            reroute_exhausted: true,
            ..Operator::default()
        };
        let table = [
            (0x08, 4, Verdict::Temporary(seconds(16))),
            (0x08, 5, Verdict::Reroute(RerouteReason::Exhausted)),
            (0x0B, 5, Verdict::Refused),
            (0x14, 900, Verdict::QueueFull),
        ];
        for (code, attempt, expected) in table {
            let verdict = judge(&operator, CommandStatus(code), attempt);
            assert_eq!(verdict, expected, "{code:#x} at attempt {attempt}");
        }
    }

    #[test]
    fn an_operators_lists_replace_the_defaults() {
        let operator = Operator {
            throttled: list(&["0x14", "0x400"]),
            queue_full: list(&["0x14"]),
            temporary: vec![],
            throttled_retry: seconds(3),
            ..Operator::default()
        };
        assert_eq!(
            judge(&operator, CommandStatus(0x14), 1),
            Verdict::Throttled(seconds(3)),
            "first list wins"
        );
        assert_eq!(
            judge(&operator, CommandStatus(0x400), 1),
            Verdict::Throttled(seconds(3))
        );
        assert_eq!(judge(&operator, CommandStatus(0x58), 1), Verdict::Refused);
        assert_eq!(judge(&operator, CommandStatus(0x08), 1), Verdict::Refused);
    }

    #[test]
    fn only_temporary_failures_cost_an_attempt() {
        let costs = [Verdict::Throttled(seconds(1)), Verdict::Temporary(seconds(1))]
            .map(|verdict| verdict.retry().map(|(_, reason, cost)| (reason.as_str(), cost)));
        assert_eq!(
            costs,
            [
                Some(("throttled", Cost::Free)),
                Some(("temporary", Cost::Counted)),
            ]
        );
        for other in [
            Verdict::Accepted,
            Verdict::QueueFull,
            Verdict::Exhausted,
            Verdict::Reroute(RerouteReason::Answer),
            Verdict::Refused,
        ] {
            assert_eq!(other.retry(), None);
        }
    }
}
