//! What becomes of a report or MO once the client has answered, or has not.
//!
//! Pure: makes steps. Invariant OU-1: what the client took is settled with its event, what may pass is tried again, what is
//! refused for good or is too old is kept as a dead letter with its reason.

use super::kind;
use crate::smpp::metric;
use smsgw_message::{ClientId, Down, Timestamp};
use smsgw_queue::{Cost, DeadReason, Delivery, ReleaseReason, Step, told};
use smsgw_smpp::CommandStatus;
use std::time::Duration;
use tracing::{debug, warn};

/// Attempts against an error that is neither temporary nor final by its name.
const UNCLEAR_ATTEMPTS: u32 = 5;
/// Longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::smpp) enum Attempt {
    /// Every PDU was answered; the first error, or zero.
    Answered(CommandStatus),
    /// A PDU was not answered in time.
    TimedOut,
    /// The session ended, or was ending, before every PDU was answered.
    Lost,
    /// No PDU can say it.
    Misfit,
}

impl Attempt {
    /// The worse of two, where a record took several PDUs.
    pub(in crate::smpp) fn and(self, other: Self) -> Self {
        match self {
            Self::Answered(CommandStatus::OK) => other,
            Self::Answered(_) | Self::TimedOut | Self::Lost | Self::Misfit => self,
        }
    }

    /// The label in metrics.
    fn word(self) -> &'static str {
        match self {
            Self::Answered(status) if status.is_ok() => "delivered",
            Self::Answered(status) => match nature(status) {
                Nature::Final => "refused",
                Nature::Temporary | Nature::Unclear => "temporary",
            },
            Self::TimedOut => "timeout",
            Self::Lost => "lost",
            Self::Misfit => "misfit",
        }
    }
}

enum Nature {
    Temporary,
    Final,
    Unclear,
}

/// SMPP 3.4 section 5.1.3: what an ESME says of a delivery.
fn nature(status: CommandStatus) -> Nature {
    match status {
        CommandStatus::TEMPORARY_APP_ERROR
        | CommandStatus::THROTTLED
        | CommandStatus::MESSAGE_QUEUE_FULL
        | CommandStatus::SYSTEM_ERROR => Nature::Temporary,
        CommandStatus::PERMANENT_APP_ERROR | CommandStatus::REJECT_APP_ERROR => Nature::Final,
        _ => Nature::Unclear,
    }
}

/// What is kept of a delivery, and for how long.
#[derive(Debug, Clone, Copy)]
pub(in crate::smpp) struct Keep {
    /// `waiting_expiry` of the account.
    pub(in crate::smpp) waiting: Duration,
    /// `limits.message_retention`.
    pub(in crate::smpp) told: Duration,
}

/// The step for an attempt that ended.
pub(in crate::smpp) fn step(
    delivery: &Delivery,
    down: &Down,
    attempt: Attempt,
    now: Timestamp,
    keep: Keep,
) -> Step {
    let client = down.client.as_str();
    metric::DELIVERIES_TOTAL
        .with(&[client, kind(down), attempt.word()])
        .inc();
    let again = |after, reason, cost| {
        if is_too_old(delivery, now, keep.waiting) {
            give_up(delivery, down, DeadReason::AttemptsExhausted, now)
        } else {
            Step::from(delivery).release(delivery, after, reason, cost)
        }
    };
    match attempt {
        Attempt::Answered(status) if status.is_ok() => delivered(delivery, down, now, keep.told),
        Attempt::Answered(status) => {
            debug!(message_id = %down.message(), client, %status, attempt = delivery.attempt(), "client refused a delivery");
            let pause = pause(delivery.attempt());
            match nature(status) {
                Nature::Temporary => again(pause, ReleaseReason::Temporary, Cost::Counted),
                Nature::Unclear if delivery.attempt() < UNCLEAR_ATTEMPTS => {
                    again(pause, ReleaseReason::Temporary, Cost::Counted)
                }
                Nature::Final | Nature::Unclear => give_up(delivery, down, DeadReason::Refused, now),
            }
        }
        Attempt::TimedOut => again(pause(delivery.attempt()), ReleaseReason::InDoubt, Cost::Counted),
        Attempt::Lost => again(Duration::ZERO, ReleaseReason::LinkLost, Cost::Free),
        Attempt::Misfit => give_up(delivery, down, DeadReason::Refused, now),
    }
}

/// 1, 2, 4 … 60 s.
fn pause(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(6);
    Duration::from_secs(1_u64 << doublings).min(LONGEST_PAUSE)
}

pub(in crate::smpp) fn is_too_old(delivery: &Delivery, now: Timestamp, waiting: Duration) -> bool {
    now.since(delivery.published_at()) >= waiting
}

fn delivered(delivery: &Delivery, down: &Down, now: Timestamp, retention: Duration) -> Step {
    let step = Step::from(delivery).settle(delivery);
    let class = Some(delivery.lane().class);
    told::delivered(step, down, class, now, delivery.attempt(), retention)
}

/// Kept for people, and told to those who count.
pub(in crate::smpp) fn give_up(delivery: &Delivery, down: &Down, reason: DeadReason, now: Timestamp) -> Step {
    warn!(message_id = %down.message(), client = %down.client, reason = reason.as_str(), attempts = delivery.attempt(),
        "delivery to a client given up and kept as a dead letter");
    count_given_up(&down.client, reason);
    let step = Step::from(delivery).dead_letter(delivery, reason);
    told::given_up(step, down, Some(delivery.lane().class), now, reason)
}

fn count_given_up(client: &ClientId, reason: DeadReason) {
    metric::GIVEN_UP_TOTAL
        .with(&[client.as_str(), reason.as_str()])
        .inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_the_first_error_of_several_pdus_counts() {
        let pauses: Vec<u64> = (0..9).map(|attempt| pause(attempt).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        let (ok, throttled) = (
            Attempt::Answered(CommandStatus::OK),
            Attempt::Answered(CommandStatus::THROTTLED),
        );
        assert_eq!(ok.and(throttled), throttled);
        assert_eq!(throttled.and(ok), throttled);
        assert_eq!(throttled.and(Attempt::TimedOut), throttled);
        assert_eq!(ok.and(ok), ok);
        let words = [0x00, 0x64, 0x58, 0x65, 0x66, 0x400]
            .map(|status| Attempt::Answered(CommandStatus(status)).word());
        assert_eq!(
            words,
            [
                "delivered",
                "temporary",
                "temporary",
                "refused",
                "refused",
                "temporary"
            ]
        );
    }
}
