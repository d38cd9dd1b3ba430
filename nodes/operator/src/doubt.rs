//! What becomes of a part that was written to the carrier and never answered.
//!
//! | policy | what is done |
//! |---|---|
//! | `resubmit` | sent again at once |
//! | `wait:<time>` | sent again after that time since it was sent |
//! | `query` | waits one response timeout more for a late answer; when that gives an id, the carrier is asked (query_sm), and the part is sent again if it does not know it; sent again when no id comes |
//! | `reject` | ended as in doubt |
//!
//! With each policy a late acceptance that comes before the part goes out again ends it (see `traffic::query`), and a part
//! is sent again `in_doubt_max` times at most (see `tries`). Pure. Invariant DO-1: a part in doubt is resolved once, by the
//! policy in force when it is resolved, and counted.
//!
//! # Limits
//! The carrier's id comes with the answer (query_sm asks by id, SMPP 3.4 §4.8). Where the answer is lost for good, as with
//! its session, there is no id: `query` cannot ask, and `wait:<time>` cannot see the receipt it waits for. They only delay
//! the resubmit, which is of use with carriers that drop duplicates by content.

use smsgw_config::InDoubt;
use std::time::Duration;

/// Why a part is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The link ended before the answer.
    LinkLost,
    /// The answer did not come within the response timeout and the grace after it.
    Timeout,
    /// Somebody had the part before and never said what became of it.
    Crash,
    /// The carrier does not know the id that it gave in a late answer.
    NotKnown,
}

impl Cause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LinkLost => "link_lost",
            Self::Timeout => "timeout",
            Self::Crash => "crash",
            Self::NotKnown => "not_known",
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Sent again, not before this time has passed.
    Again(Duration),
    /// Ended as in doubt.
    Reject,
}

/// Resolves a doubt that has lasted for `waited` already.
pub(crate) fn resolve(
    policy: InDoubt,
    cause: Cause,
    response_timeout: Duration,
    waited: Duration,
) -> Resolution {
    match (policy, cause) {
        (InDoubt::Reject, _) => Resolution::Reject,
        (InDoubt::Resubmit, _) | (_, Cause::NotKnown) => Resolution::Again(Duration::ZERO),
        (InDoubt::Wait(wait), _) => Resolution::Again(wait.saturating_sub(waited)),
        (InDoubt::Query, _) => Resolution::Again(response_timeout),
    }
}

/// The word of a policy, without its time.
pub(crate) fn policy_word(policy: InDoubt) -> &'static str {
    match policy {
        InDoubt::Resubmit => "resubmit",
        InDoubt::Wait(_) => "wait",
        InDoubt::Query => "query",
        InDoubt::Reject => "reject",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_resolves_in_its_own_way() {
        let s = Duration::from_secs;
        let again = |seconds| Resolution::Again(s(seconds));
        let table = [
            (InDoubt::Resubmit, Cause::LinkLost, 0, again(0)),
            (InDoubt::Resubmit, Cause::Timeout, 40, again(0)),
            (InDoubt::Wait(s(60)), Cause::Crash, 0, again(60)),
            (InDoubt::Wait(s(60)), Cause::Timeout, 40, again(20)),
            (InDoubt::Wait(s(5)), Cause::Timeout, 40, again(0)),
            (InDoubt::Wait(s(60)), Cause::NotKnown, 0, again(0)),
            (InDoubt::Query, Cause::Timeout, 40, again(30)),
            (InDoubt::Query, Cause::LinkLost, 0, again(30)),
            (InDoubt::Query, Cause::NotKnown, 0, again(0)),
            (InDoubt::Reject, Cause::Timeout, 40, Resolution::Reject),
            (InDoubt::Reject, Cause::NotKnown, 0, Resolution::Reject),
        ];
        for (policy, cause, waited, expected) in table {
            assert_eq!(
                resolve(policy, cause, s(30), s(waited)),
                expected,
                "{policy} after {cause:?} and {waited} s"
            );
        }
    }
}
