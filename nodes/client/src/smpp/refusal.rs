//! What a client is answered: every refusal of ours as a command_status (SMPP 3.4 section 5.1.3, 5.0 section 4.7.6).
//!
//! Pure. Invariant RF-1: each reason has exactly one status, listed with its section in `ops/docs/api/smpp.md`; a client of
//! an older version gets the nearest that its version has.

use crate::accept::Refusal;
use crate::admission::Why;
use smsgw_smpp::{CommandStatus, Version};
use thiserror::Error;

/// A request that is refused for what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{status}: {why}")]
pub(super) struct Unfit {
    pub(super) status: CommandStatus,
    /// For our log; a PDU has no room for it. Never content.
    pub(super) why: &'static str,
}

impl Unfit {
    pub(super) const fn new(status: CommandStatus, why: &'static str) -> Self {
        Self { status, why }
    }

    /// As a client of that version understands it.
    pub(super) const fn known_in(self, version: Version) -> Self {
        Self {
            status: self.status.known_in(version),
            why: self.why,
        }
    }
}

/// Of a message that admission refuses.
pub(super) const fn not_admitted(why: Why) -> Unfit {
    let (status, why) = match why {
        Why::TooManyParts => (CommandStatus::INVALID_MESSAGE_LENGTH, "too many parts"),
        Why::NoRoute => (CommandStatus::INVALID_DESTINATION, "no route"),
        Why::DestinationDenied => (CommandStatus::INVALID_DESTINATION, "destination denied"),
        Why::OptedOut => (CommandStatus::INVALID_DESTINATION, "opted out"),
        Why::SenderDenied => (CommandStatus::INVALID_SOURCE, "sender denied"),
        Why::ContentDenied => (CommandStatus::SUBMIT_FAILED, "content denied"),
        Why::RateLimited => (CommandStatus::THROTTLED, "over the rate"),
        Why::QuotaExceeded => (CommandStatus::MESSAGE_QUEUE_FULL, "quota used up"),
        Why::InsufficientCredit => (CommandStatus::SUBMIT_FAILED, "insufficient credit"),
        Why::Unavailable => (CommandStatus::SYSTEM_ERROR, "something could not be looked up"),
    };
    Unfit::new(status, why)
}

/// Of a message that the engine does not take.
pub(super) fn not_stored(refusal: Refusal) -> Unfit {
    let status = match refusal {
        Refusal::InsufficientCredit => not_admitted(Why::InsufficientCredit).status,
        Refusal::OverQuota(_) | Refusal::Full | Refusal::NoSpace => CommandStatus::MESSAGE_QUEUE_FULL,
        Refusal::Taken | Refusal::Stopping | Refusal::Failed | Refusal::Late => CommandStatus::SYSTEM_ERROR,
    };
    Unfit::new(status, refusal.words())
}

/// The word of a status in metrics and logs: bounded, whatever the number is.
pub(super) const fn word(status: CommandStatus) -> &'static str {
    match status.name() {
        Some(name) => name,
        None => "other",
    }
}
