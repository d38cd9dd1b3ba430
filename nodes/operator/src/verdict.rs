//! What a carrier's answer to a submit means for the part (design section 9, "Verdicts").
//!
//! Pure: tables in, a verdict out; knows no queue, no link and no clock. Invariant VE-1: every status ends as exactly
//! one verdict, and a status that no list of the operator names is final.

use smsgw_config::Operator;
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
    /// The carrier's queue for this phone is full: only this part waits, at no cost.
    QueueFull(Duration),
    /// It may pass: the part comes back after this time, at the cost of an attempt.
    Temporary(Duration),
    /// It might pass, but the attempts are used up.
    Exhausted,
    /// Final.
    Refused,
}

impl Verdict {
    /// How the part goes back, when it does.
    pub(crate) fn retry(self) -> Option<(Duration, ReleaseReason, Cost)> {
        match self {
            Self::Throttled(after) => Some((after, ReleaseReason::Throttled, Cost::Free)),
            Self::QueueFull(after) => Some((after, ReleaseReason::MobileQueueFull, Cost::Free)),
            Self::Temporary(after) => Some((after, ReleaseReason::Temporary, Cost::Counted)),
            Self::Accepted | Self::Exhausted | Self::Refused => None,
        }
    }
}

/// Judges an answer. `attempt` counts from 1 and grows with each retry at a cost; `full` is how often this part met a
/// full queue before. A status in several lists is what the first of throttled, queue_full and temporary makes of it.
pub(crate) fn judge(operator: &Operator, status: CommandStatus, attempt: u32, full: u32) -> Verdict {
    let CommandStatus(code) = status;
    if status.is_ok() {
        Verdict::Accepted
    } else if operator.throttled.contains(&code) {
        Verdict::Throttled(operator.throttled_retry)
    } else if operator.queue_full.contains(&code) {
        Verdict::QueueFull(operator.queue_full_retry.delay_or_last(full.saturating_add(1)))
    } else if operator.temporary.contains(&code) {
        if attempt >= operator.temporary_attempts {
            Verdict::Exhausted
        } else {
            Verdict::Temporary(operator.temporary_retry.delay_or_last(attempt))
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
            (0x00, 1, 0, Verdict::Accepted),
            (0x58, 1, 0, Verdict::Throttled(seconds(1))),
            (0x58, 900, 0, Verdict::Throttled(seconds(1))),
            (0x14, 1, 0, Verdict::QueueFull(seconds(2))),
            (0x14, 1, 1, Verdict::QueueFull(seconds(4))),
            (0x14, 1, 4, Verdict::QueueFull(seconds(32))),
            (0x14, 1, 5, Verdict::QueueFull(seconds(60))),
            (0x14, 9, 5000, Verdict::QueueFull(seconds(60))),
            (0x08, 1, 0, Verdict::Temporary(seconds(2))),
            (0x64, 2, 0, Verdict::Temporary(seconds(4))),
            (0x45, 4, 0, Verdict::Temporary(seconds(16))),
            (0x08, 5, 0, Verdict::Exhausted),
            (0x45, 6, 0, Verdict::Exhausted),
            (0x0B, 1, 0, Verdict::Refused),
            (0x01, 1, 0, Verdict::Refused),
            (0x400, 1, 0, Verdict::Refused),
            (0xFFFF_FFFF, 1, 0, Verdict::Refused),
        ];
        for (code, attempt, full, expected) in table {
            let verdict = judge(&operator, CommandStatus(code), attempt, full);
            assert_eq!(verdict, expected, "{code:#x} at attempt {attempt}, full {full}");
        }
    }

    #[test]
    fn an_operators_lists_replace_the_defaults() {
        let operator = Operator {
            throttled: vec![0x14, 0x400],
            queue_full: vec![0x14],
            temporary: vec![],
            throttled_retry: seconds(3),
            ..Operator::default()
        };
        assert_eq!(
            judge(&operator, CommandStatus(0x14), 1, 0),
            Verdict::Throttled(seconds(3)),
            "first list wins"
        );
        assert_eq!(
            judge(&operator, CommandStatus(0x400), 1, 0),
            Verdict::Throttled(seconds(3))
        );
        assert_eq!(judge(&operator, CommandStatus(0x58), 1, 0), Verdict::Refused);
        assert_eq!(judge(&operator, CommandStatus(0x08), 1, 0), Verdict::Refused);
    }

    #[test]
    fn only_temporary_failures_cost_an_attempt() {
        let costs = [
            Verdict::Throttled(seconds(1)),
            Verdict::QueueFull(seconds(1)),
            Verdict::Temporary(seconds(1)),
        ]
        .map(|verdict| verdict.retry().map(|(_, reason, cost)| (reason.as_str(), cost)));
        assert_eq!(
            costs,
            [
                Some(("throttled", Cost::Free)),
                Some(("mobile_queue_full", Cost::Free)),
                Some(("temporary", Cost::Counted)),
            ]
        );
        for last in [Verdict::Accepted, Verdict::Exhausted, Verdict::Refused] {
            assert_eq!(last.retry(), None);
        }
    }
}
