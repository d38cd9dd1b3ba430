//! Rules of the carrier: what is refused, and which states receipts have.
//!
//! Knows nothing of sessions. Invariant: what is shown can be read again.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use smsgw_smpp::CommandStatus;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not of the form {form}")]
pub struct RuleError {
    text: String,
    form: &'static str,
}

const REJECT: &str = "`suffix:<digits>=<status>`, `prefix:<digits>=<status>` or `share:<0 to 1>=<status>`";
const STATE: &str = "`<state>=<0 to 1>` with a state such as `undeliv`, `expired`, `buffred`";

#[derive(Debug, Clone, PartialEq)]
enum Matcher {
    Suffix(String),
    Prefix(String),
    Share(f64),
}

/// Which submits are refused, and with what.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectRule {
    matcher: Matcher,
    status: CommandStatus,
}

impl RejectRule {
    /// Numbers that end with these digits.
    #[must_use]
    pub fn suffix(digits: impl Into<String>, status: CommandStatus) -> Self {
        Self {
            matcher: Matcher::Suffix(digits.into()),
            status,
        }
    }

    /// Numbers that begin with these digits.
    #[must_use]
    pub fn prefix(digits: impl Into<String>, status: CommandStatus) -> Self {
        Self {
            matcher: Matcher::Prefix(digits.into()),
            status,
        }
    }

    /// A share of all.
    #[must_use]
    pub const fn share(share: f64, status: CommandStatus) -> Self {
        Self {
            matcher: Matcher::Share(share),
            status,
        }
    }

    /// The status with which a submit to that number is refused; `chance` says whether a share is hit.
    pub fn refuses(&self, destination: &[u8], chance: impl FnOnce(f64) -> bool) -> Option<CommandStatus> {
        let fits = match &self.matcher {
            Matcher::Suffix(digits) => destination.ends_with(digits.as_bytes()),
            Matcher::Prefix(digits) => destination.starts_with(digits.as_bytes()),
            Matcher::Share(share) => chance(*share),
        };
        fits.then_some(self.status)
    }
}

impl FromStr for RejectRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let parse = || {
            let (what, status) = text.split_once('=')?;
            let status = match status.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => status.parse().ok()?,
            };
            let matcher = match what.split_once(':')? {
                ("suffix", digits) if !digits.is_empty() => Matcher::Suffix(digits.to_owned()),
                ("prefix", digits) if !digits.is_empty() => Matcher::Prefix(digits.to_owned()),
                ("share", share) => Matcher::Share(parse_share(share)?),
                _ => return None,
            };
            (status != 0).then_some(Self {
                matcher,
                status: CommandStatus(status),
            })
        };
        parse().ok_or_else(|| RuleError {
            text: text.to_owned(),
            form: REJECT,
        })
    }
}

impl fmt::Display for RejectRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.matcher {
            Matcher::Suffix(digits) => write!(f, "suffix:{digits}")?,
            Matcher::Prefix(digits) => write!(f, "prefix:{digits}")?,
            Matcher::Share(share) => write!(f, "share:{share}")?,
        }
        write!(f, "={:#x}", self.status.0)
    }
}

/// A state as a carrier's receipts name it: those of SMPP and those seen beside them (quirk 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateWord {
    word: &'static str,
    number: u8,
}

/// Word and message_state (SMPP 3.4 §5.2.28, 5.0 §4.7.15).
const STATES: [(&str, u8); 15] = [
    ("ENROUTE", 1),
    ("DELIVRD", 2),
    ("EXPIRED", 3),
    ("DELETED", 4),
    ("UNDELIV", 5),
    ("ACCEPTD", 6),
    ("UNKNOWN", 7),
    ("REJECTD", 8),
    ("SCHEDULED", 0),
    ("SKIPPED", 9),
    ("ACKED", 6),
    ("BUFFRED", 1),
    ("BUFFERD", 1),
    ("FAILED", 5),
    ("0", 2),
];

impl StateWord {
    /// At the phone.
    pub const DELIVERED: Self = Self {
        word: "DELIVRD",
        number: 2,
    };
    /// Cancelled.
    pub const DELETED: Self = Self {
        word: "DELETED",
        number: 4,
    };
    /// Refused.
    pub const REJECTED: Self = Self {
        word: "REJECTD",
        number: 8,
    };
    /// On its way.
    pub const ENROUTE: Self = Self {
        word: "ENROUTE",
        number: 1,
    };

    /// As the text says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.word
    }

    /// As message_state says it.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.number
    }

    /// Whether the phone has it.
    #[must_use]
    pub const fn is_delivered(self) -> bool {
        self.number == 2
    }
}

impl FromStr for StateWord {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        STATES
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(word, number)| Self {
                word,
                number: *number,
            })
            .ok_or_else(|| RuleError {
                text: text.to_owned(),
                form: "a state such as `delivrd`, `undeliv`, `acked`, `buffred`",
            })
    }
}

impl fmt::Display for StateWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word.to_ascii_lowercase())
    }
}

/// How many receipts have one state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateShare {
    /// Which state.
    pub state: StateWord,
    /// From 0 to 1.
    pub share: f64,
}

impl StateShare {
    /// The state for a random number from 0 to 1: what no share takes is delivered.
    #[must_use]
    pub fn choose(shares: &[Self], mut at: f64) -> StateWord {
        for choice in shares {
            if at < choice.share {
                return choice.state;
            }
            at -= choice.share;
        }
        StateWord::DELIVERED
    }
}

impl FromStr for StateShare {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let parse = || {
            let (state, share) = text.split_once('=')?;
            Some(Self {
                state: state.parse().ok()?,
                share: parse_share(share)?,
            })
        };
        parse().ok_or_else(|| RuleError {
            text: text.to_owned(),
            form: STATE,
        })
    }
}

impl fmt::Display for StateShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.state, self.share)
    }
}

fn parse_share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(D::Error::custom)
            }
        }
    };
}
as_text!(RejectRule);
as_text!(StateShare);
as_text!(StateWord);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_refuse_what_they_name() {
        let refused = |rule: &str, number: &str| {
            rule.parse::<RejectRule>()
                .unwrap()
                .refuses(number.as_bytes(), |share| share > 0.5)
                .map(|status| status.0)
        };
        assert_eq!(refused("suffix:000=0x0b", "49170000"), Some(0x0b));
        assert_eq!(refused("suffix:000=0x0b", "49170001"), None);
        assert_eq!(refused("prefix:4917=69", "49170001"), Some(69));
        assert_eq!(refused("prefix:4917=69", "4816"), None);
        assert_eq!(
            (refused("share:0.6=8", "1"), refused("share:0.4=8", "1")),
            (Some(8), None)
        );
    }

    #[test]
    fn texts_that_are_no_rules_are_refused() {
        for text in [
            "",
            "suffix:=1",
            "suffix:0",
            "infix:0=1",
            "share:2=1",
            "prefix:1=0",
            "prefix:1=x",
        ] {
            assert!(text.parse::<RejectRule>().is_err(), "{text}");
        }
        for text in [
            "",
            "nonsense=1",
            "undeliv",
            "undeliv=1.5",
            "undeliv=-1",
            "undeliv=NaN",
        ] {
            assert!(text.parse::<StateShare>().is_err(), "{text}");
        }
    }

    #[test]
    fn states_are_chosen_by_their_shares() {
        let shares = ["undeliv=0.25", "expired=0.25"].map(|text| text.parse().unwrap());
        for (at, state) in [
            (0.0, "UNDELIV"),
            (0.25, "EXPIRED"),
            (0.49, "EXPIRED"),
            (0.5, "DELIVRD"),
        ] {
            assert_eq!(StateShare::choose(&shares, at).word(), state, "{at}");
        }
    }
}
