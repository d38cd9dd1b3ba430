//! What becomes of a part that was written to the carrier and never answered.
//!
//! Pure. Invariant DO-1: a part in doubt is resolved once, by the policy in force when it is resolved, and counted.
//!
//! # Limits
//! The carrier's id comes with the answer. Where the answer is lost there is no id, so `wait:<time>` cannot see the
//! receipt it waits for: it only delays the resubmit, which is still of use with carriers that drop duplicates by
//! content. For the same reason `query` cannot be done over SMPP 3.4 (query_sm asks by id): it is treated as a wait of
//! one response timeout, and the link says so when it starts.

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
}

impl Cause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LinkLost => "link_lost",
            Self::Timeout => "timeout",
            Self::Crash => "crash",
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
pub(crate) fn resolve(policy: InDoubt, response_timeout: Duration, waited: Duration) -> Resolution {
    match policy {
        InDoubt::Resubmit => Resolution::Again(Duration::ZERO),
        InDoubt::Wait(wait) => Resolution::Again(wait.saturating_sub(waited)),
        InDoubt::Query => Resolution::Again(response_timeout.saturating_sub(waited)),
        InDoubt::Reject => Resolution::Reject,
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
        let table = [
            (InDoubt::Resubmit, 0, Resolution::Again(s(0))),
            (InDoubt::Resubmit, 9, Resolution::Again(s(0))),
            (InDoubt::Wait(s(60)), 0, Resolution::Again(s(60))),
            (InDoubt::Wait(s(60)), 9, Resolution::Again(s(51))),
            (InDoubt::Wait(s(5)), 9, Resolution::Again(s(0))),
            (InDoubt::Query, 0, Resolution::Again(s(30))),
            (InDoubt::Reject, 0, Resolution::Reject),
        ];
        for (policy, waited, expected) in table {
            assert_eq!(
                resolve(policy, s(30), s(waited)),
                expected,
                "{policy} after {waited} s"
            );
        }
    }
}
