//! What one carrier (or client) does and wants differently, as data: a [`Profile`] per link.
//!
//! The default is the standard; a field exists only where something reads it:
//!
//! | fields | read by |
//! |---|---|
//! | `version`, `window*`, `response_timeout`, `enquire_link*`, `silence_limit`, `unanswered_limit`, `max_*` | [`EsmeConfig::with_profile`], the session |
//! | `receipts`, `receipt_offset` | [`Profile::receipt`], [`Profile::receipt_time`] |
//! | `addresses`, `service_type`, `long`, `receipt_parts`, `nul_terminated`, `gsm7_coding` | [`crate::submit::SubmitBuilder::for_profile`] |
//! | `reconnect` | [`Profile::reconnect_floor`] |
//!
//! Four things are per operator in the configuration and not repeated here: how validity is told (the operator node's, which
//! has the times of the message model), how ids of receipts follow from those of
//! answers (the router's), what a status means for a message (the operator node's), and what data_coding 0 of an MO means
//! (the operator node's). deliver_sm_resp always has an empty id (SMPP 3.4 §4.6.2), so there is no field for it.
//!
//! Pure. Invariant PR-1: what [`Profile::checked`] has let through is within the ranges of its fields.

mod address;

pub use address::{AddressRules, Prefix, Unaddressable};

use crate::{
    esme::EsmeConfig,
    octets::COctets,
    outcome::{CloseCause, WindowCounts},
    pdu::ShortMessage,
    receipt::{Reading, Receipt, ReceiptProfile},
    status::CommandStatus,
    time::LocalTime,
    version::Version,
};
use std::{fmt, time::Duration};
use thiserror::Error;

/// How a long message goes over the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongMode {
    /// Parts with an 8-bit reference in the user data header (3GPP 23.040 §9.2.3.24.1).
    #[default]
    Udh8,
    /// Parts with a 16-bit reference there (§9.2.3.24.8).
    Udh16,
    /// Parts with the sar_* TLVs (SMPP 3.4 §5.3.2.22 to §5.3.2.24).
    Sar,
    /// One PDU with message_payload; the carrier cuts it.
    Payload,
}

/// Of which part of a long message a receipt is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiptParts {
    /// Of each.
    #[default]
    All,
    /// Of the first.
    First,
    /// Of the last.
    Last,
}

impl ReceiptParts {
    /// Whether it is asked for of part `number` (from 1) of `total`.
    #[must_use]
    pub const fn asks(self, number: u8, total: u8) -> bool {
        match self {
            Self::All => true,
            Self::First => number == 1,
            Self::Last => number == total,
        }
    }
}

/// Least pauses before the next bind, by what ended the session. 0 s to a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconnectFloors {
    /// The carrier refused our credentials: more tries bring a ban. Default 60 s.
    pub credentials: Duration,
    /// ESME_RALYBND: carriers keep ghosts of lost sessions for up to a minute. Default 30 s.
    pub already_bound: Duration,
    /// Any other refusal. Default none.
    pub refused: Duration,
    /// Everything else. Default none.
    pub lost: Duration,
}

/// Why a bind was refused, as far as it matters for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BindErrorClass {
    /// ESME_RINVPASWD, ESME_RINVSYSID, ESME_RBINDFAIL.
    Credentials,
    /// ESME_RALYBND.
    AlreadyBound,
    /// Another status.
    Other,
}

impl BindErrorClass {
    /// The class of a status.
    #[must_use]
    pub const fn of(status: CommandStatus) -> Self {
        match status {
            CommandStatus::INVALID_PASSWORD
            | CommandStatus::INVALID_SYSTEM_ID
            | CommandStatus::BIND_FAILED => Self::Credentials,
            CommandStatus::ALREADY_BOUND => Self::AlreadyBound,
            CommandStatus(_) => Self::Other,
        }
    }
}

/// See the module. Plain data: [`Profile::checked`] tells whether it makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What we say we speak. Default 3.4.
    pub version: Version,
    /// Unanswered requests at most, 1 to 100 000. Default 10.
    pub window: usize,
    /// Which requests count. Default everything.
    pub window_counts: WindowCounts,
    /// How long an answer may take, 1 s to 10 min. Default 30 s.
    pub response_timeout: Duration,
    /// Our enquire_link after that much silence, 1 s to 1 h; `None`: the carrier asks, not we. Default 30 s.
    pub enquire_link: Option<Duration>,
    /// At that interval, whatever else is received: for carriers that count only enquire_link as activity. Default no.
    pub enquire_link_always: bool,
    /// Only an answer to it shows that the carrier lives, not other traffic. Default no.
    pub enquire_link_strict: bool,
    /// How long the carrier may send nothing at all, 1 s to a day; `None`: for ever. Default `None`.
    pub silence_limit: Option<Duration>,
    /// How long the carrier may leave everything unanswered, `response_timeout` to a day; `None`: for ever. Default `None`:
    /// one lost answer on a quiet link is no sign, and a dead connection does not answer enquire_link either. For carriers
    /// that do, and are dead all the same.
    pub unanswered_limit: Option<Duration>,
    /// Longest system_id the carrier takes, 1 to 255 octets; 15 by the specification, the default. Some take more.
    pub max_system_id: usize,
    /// Longest password, 1 to 255 octets; 8 by the specification, the default.
    pub max_password: usize,
    /// How receipts are recognised and their states read.
    pub receipts: ReceiptProfile,
    /// Minutes by which the local time in receipts is ahead of UTC, -840 to 840; `None`: not known, and then no
    /// time is computed from it. Default `None`.
    pub receipt_offset: Option<i16>,
    /// Type and plan of addresses.
    pub addresses: AddressRules,
    /// Of submits, 5 octets at most. Default empty.
    pub service_type: COctets,
    /// Default 8-bit references.
    pub long: LongMode,
    /// Default all.
    pub receipt_parts: ReceiptParts,
    /// A NUL after the text, which the carrier takes off. Default no.
    pub nul_terminated: bool,
    /// data_coding of GSM 7-bit text without a class: 0, or 0xF1 and the like where 0 means something else. Default 0.
    pub gsm7_coding: u8,
    /// Least pauses before the next bind.
    pub reconnect: ReconnectFloors,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            version: Version::V3_4,
            window: 10,
            window_counts: WindowCounts::Everything,
            response_timeout: Duration::from_secs(30),
            enquire_link: Some(Duration::from_secs(30)),
            enquire_link_always: false,
            enquire_link_strict: false,
            silence_limit: None,
            unanswered_limit: None,
            max_system_id: 15,
            max_password: 8,
            receipts: ReceiptProfile::default(),
            receipt_offset: None,
            addresses: AddressRules::default(),
            service_type: COctets::new(),
            long: LongMode::Udh8,
            receipt_parts: ReceiptParts::All,
            nul_terminated: false,
            gsm7_coding: 0,
            reconnect: ReconnectFloors {
                credentials: Duration::from_secs(60),
                already_bound: Duration::from_secs(30),
                refused: Duration::ZERO,
                lost: Duration::ZERO,
            },
        }
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} is {found}, allowed is {allowed}")]
pub struct Problem {
    /// Which one.
    pub field: &'static str,
    /// Its value.
    pub found: String,
    /// Its range.
    pub allowed: &'static str,
}

/// Everything that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the profile is not valid")?;
        for (at, problem) in self.0.iter().enumerate() {
            write!(f, "{} {problem}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// A credential longer than the carrier takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{field} has {len} octets, more than the {max} that the carrier takes")]
pub struct CredentialTooLong {
    /// Which one.
    pub field: &'static str,
    /// Its length.
    pub len: usize,
    /// The longest that is taken.
    pub max: usize,
}

impl Profile {
    /// As its documentation of a public API says: Sinch takes 3.3 and 3.4, ten unanswered operations, three sessions.
    #[must_use]
    pub fn sinch() -> Self {
        Self {
            version: Version::V3_4,
            window: 10,
            ..Self::default()
        }
    }

    /// Clickatell asks its clients to wait 30 s before they bind again, whatever ended the session.
    #[must_use]
    pub fn clickatell() -> Self {
        let floor = Duration::from_secs(30);
        let standard = Self::default();
        Self {
            reconnect: ReconnectFloors {
                already_bound: floor.max(standard.reconnect.already_bound),
                refused: floor,
                lost: floor,
                ..standard.reconnect
            },
            ..standard
        }
    }

    /// The profile itself when every field is within its range.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn checked(self) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut check = |field, fits: bool, found: &dyn fmt::Debug, allowed| {
            if !fits {
                problems.push(Problem {
                    field,
                    found: format!("{found:?}"),
                    allowed,
                });
            }
        };
        const SECOND: Duration = Duration::from_secs(1);
        const HOUR: Duration = Duration::from_secs(3600);
        const DAY: Duration = Duration::from_secs(86_400);
        let within =
            |time: Option<Duration>, most: Duration| time.is_none_or(|time| (SECOND..=most).contains(&time));
        check(
            "window",
            (1..=100_000).contains(&self.window),
            &self.window,
            "1 to 100000",
        );
        check(
            "response_timeout",
            within(Some(self.response_timeout), Duration::from_secs(600)),
            &self.response_timeout,
            "1s to 10min",
        );
        check(
            "enquire_link",
            within(self.enquire_link, HOUR),
            &self.enquire_link,
            "1s to 1h",
        );
        check(
            "enquire_link_always",
            !self.enquire_link_always || self.enquire_link.is_some(),
            &self.enquire_link_always,
            "false without enquire_link",
        );
        check(
            "enquire_link_strict",
            !self.enquire_link_strict || self.enquire_link.is_some(),
            &self.enquire_link_strict,
            "false without enquire_link",
        );
        check(
            "silence_limit",
            within(self.silence_limit, DAY),
            &self.silence_limit,
            "1s to 24h",
        );
        check(
            "unanswered_limit",
            within(self.unanswered_limit, DAY)
                && self
                    .unanswered_limit
                    .is_none_or(|limit| limit >= self.response_timeout),
            &self.unanswered_limit,
            "response_timeout to 24h",
        );
        check(
            "max_system_id",
            (1..=255).contains(&self.max_system_id),
            &self.max_system_id,
            "1 to 255",
        );
        check(
            "max_password",
            (1..=255).contains(&self.max_password),
            &self.max_password,
            "1 to 255",
        );
        check(
            "receipt_offset",
            self.receipt_offset
                .is_none_or(|minutes| (-840..=840).contains(&minutes)),
            &self.receipt_offset,
            "-840 to 840 minutes",
        );
        check(
            "addresses.max_alphanumeric",
            (1..=20).contains(&self.addresses.max_alphanumeric),
            &self.addresses.max_alphanumeric,
            "1 to 20",
        );
        check(
            "service_type",
            self.service_type.len() <= 5,
            &self.service_type,
            "5 octets at most",
        );
        let tlvs = self.version >= Version::V3_4;
        let needs_tlvs = match self.long {
            LongMode::Udh8 | LongMode::Udh16 => false,
            LongMode::Sar | LongMode::Payload => true,
        };
        check(
            "long",
            tlvs || !needs_tlvs,
            &self.long,
            "udh8 or udh16 with SMPP 3.3",
        );
        for (field, floor) in [
            ("reconnect.credentials", self.reconnect.credentials),
            ("reconnect.already_bound", self.reconnect.already_bound),
            ("reconnect.refused", self.reconnect.refused),
            ("reconnect.lost", self.reconnect.lost),
        ] {
            check(field, floor <= DAY, &floor, "24h at most");
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(Problems(problems))
        }
    }

    /// What a delivery is, and the receipt in it, recognised and read as this carrier writes them.
    #[must_use]
    pub fn receipt(&self, message: &ShortMessage) -> Reading {
        Receipt::read(message, &self.receipts)
    }

    /// Seconds since 1970 of a time in this carrier's receipts; `None` when the carrier's offset is not known, or before
    /// 1970.
    #[must_use]
    pub fn receipt_time(&self, local: LocalTime) -> Option<u64> {
        let ahead = i64::from(self.receipt_offset?).checked_mul(60)?;
        let local = i64::try_from(local.to_unix()?).ok()?;
        u64::try_from(local.checked_sub(ahead)?).ok()
    }

    /// The least pause before the next bind.
    #[must_use]
    pub const fn reconnect_floor(&self, cause: CloseCause) -> Duration {
        let CloseCause::BindRefused(status) = cause else {
            return self.reconnect.lost;
        };
        match BindErrorClass::of(status) {
            BindErrorClass::Credentials => self.reconnect.credentials,
            BindErrorClass::AlreadyBound => self.reconnect.already_bound,
            BindErrorClass::Other => self.reconnect.refused,
        }
    }
}

impl EsmeConfig {
    /// This configuration on a link with that profile.
    ///
    /// # Errors
    /// When a credential is longer than the carrier takes: it would be cut there, and refused.
    pub fn with_profile(mut self, profile: &Profile) -> Result<Self, CredentialTooLong> {
        for (field, len, max) in [
            ("system_id", self.system_id.len(), profile.max_system_id),
            ("password", self.password.expose().len(), profile.max_password),
        ] {
            if len > max {
                return Err(CredentialTooLong { field, len, max });
            }
        }
        self.interface_version = profile.version.octet();
        self.window = profile.window;
        self.window_counts = profile.window_counts;
        self.response_timeout = profile.response_timeout;
        self.enquire_link = profile.enquire_link;
        self.enquire_link_always = profile.enquire_link_always;
        self.enquire_link_strict = profile.enquire_link_strict;
        self.silence_limit = profile.silence_limit;
        self.unanswered_limit = profile.unanswered_limit;
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
