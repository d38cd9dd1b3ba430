//! Which sender a message goes out with: what the client asked for, what it may ask for, and what is always put there.
//!
//! ```text
//! account:  allowed ACME, 49171*   default ACME
//! rule:     prefix 1: override 12025550123        to 1…: always 12025550123
//! rule:     prefix 91: alphanumeric = false       to 91…: a sender of letters is denied
//! ```
//! Pure: rules and question in, answer out. Knows no carrier: what a carrier makes of a sender is the operator's business.
//!
//! Invariant SE-1: a sender that the client named goes out only when a pattern allows it, or when no pattern is set at
//! all; one that stands in the configuration (default, override) needs no pattern.

use crate::by_client::ByClient;
use smsgw_message::{Address, ClientId, Ton};
use std::fmt;
use thiserror::Error;

/// Longest pattern, in characters: `+` and 20 digits.
const MAX_PATTERN: usize = 21;

/// A sender, or senders, that may be used: `*` stands for any characters, `?` for one; letters as they stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderPattern(String);

impl SenderPattern {
    /// Reads a pattern: 1 to 21 characters; a `+` before digits is left out, as it is from the sender of a message.
    pub fn from_text(text: &str) -> Option<Self> {
        let right = (1..=MAX_PATTERN).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        let digits = text
            .strip_prefix('+')
            .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        right.then(|| Self(digits.unwrap_or(text).to_owned()))
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it allows this sender.
    pub fn matches(&self, sender: &str) -> bool {
        let (mut pattern, mut text) = (self.0.chars(), sender.chars());
        // Where to go on when what follows the last star does not fit: behind the star, one character further.
        let mut star = None;
        loop {
            let here = (pattern.clone(), text.clone());
            let fits = match (pattern.next(), text.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    star = Some((pattern.clone(), here.1.clone()));
                    text = here.1;
                    true
                }
                (Some('?'), Some(_)) => true,
                (Some(wanted), Some(there)) => wanted == there,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if fits {
                continue;
            }
            let Some((behind, mut from)) = star else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            (pattern, text) = (behind.clone(), from.clone());
            star = Some((behind, from));
        }
    }
}

impl fmt::Display for SenderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an account, or a rule for some destinations, says of senders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SenderPolicy {
    /// What the client may use; none: anything.
    pub allowed: Vec<SenderPattern>,
    /// For messages that have no sender.
    pub default: Option<Address>,
    /// For all messages, whatever they have.
    pub always: Option<Address>,
    /// Whether a sender may be a name; absent: it may.
    pub alphanumeric: Option<bool>,
}

/// A policy for some destinations. What it leaves out is as the account has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SenderRule {
    /// For these clients; none: all.
    pub clients: Vec<ClientId>,
    /// First digits of the recipient; none: any number.
    pub prefixes: Vec<String>,
    /// What it says.
    pub policy: SenderPolicy,
}

/// Why a sender is denied, in words for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SenderDenied {
    /// No pattern allows it.
    #[error("the account may not use this sender")]
    NotAllowed,
    /// It is a name where only numbers are allowed.
    #[error("a sender to this destination is a number, not a name")]
    Alphanumeric,
}

/// Rules that cannot be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SenderError {
    /// A prefix with something other than digits.
    #[error("sender rule {0} has a prefix with something other than digits")]
    NotDigits(usize),
    /// More than can be numbered.
    #[error("there are more sender rules and prefixes than a table can hold")]
    TooMany,
}

/// All rules. A client's own come before those for all, then the longest prefix, then the first in the file.
#[derive(Debug, Default)]
pub struct SenderTable {
    rules: Vec<SenderRule>,
    by_client: ByClient,
}

impl SenderTable {
    /// Builds the table; rules stand in the order of the file.
    pub fn try_new(rules: Vec<SenderRule>) -> Result<Self, SenderError> {
        for (rule, number) in rules.iter().zip(1..) {
            let digits = |prefix: &String| prefix.bytes().all(|octet| octet.is_ascii_digit());
            if !rule.prefixes.iter().all(digits) {
                return Err(SenderError::NotDigits(number));
            }
        }
        let keys = rules.iter().map(|rule| (&*rule.clients, &*rule.prefixes));
        let by_client = ByClient::new(keys).map_err(|_| SenderError::TooMany)?;
        Ok(Self { rules, by_client })
    }

    /// The sender that a message goes out with, or why not. `asked` is absent where the client named none, and empty where
    /// it wants none; `None` leaves the sender to the operator.
    pub fn judge(
        &self,
        account: &SenderPolicy,
        client: &ClientId,
        to: &Address,
        asked: Option<Address>,
    ) -> Result<Option<Address>, SenderDenied> {
        let rule = self
            .by_client
            .first(client, to.as_str(), |_| true)
            .and_then(|number| self.rules.get(usize::try_from(number).ok()?))
            .map(|rule| &rule.policy);
        let of_rule =
            |read: fn(&SenderPolicy) -> Option<&Address>| rule.and_then(read).or_else(|| read(account));
        if let Some(always) = of_rule(|policy| policy.always.as_ref()) {
            return Ok(Some(always.clone()));
        }
        let sender = match asked {
            None => of_rule(|policy| policy.default.as_ref()).cloned(),
            Some(empty) if empty.as_str().is_empty() => return Ok(None),
            Some(asked) => {
                let allowed = rule
                    .map(|rule| &rule.allowed)
                    .filter(|allowed| !allowed.is_empty())
                    .unwrap_or(&account.allowed);
                if !allowed.is_empty() && !allowed.iter().any(|pattern| pattern.matches(asked.as_str())) {
                    return Err(SenderDenied::NotAllowed);
                }
                Some(asked)
            }
        };
        let names = rule
            .and_then(|rule| rule.alphanumeric)
            .or(account.alphanumeric)
            .unwrap_or(true);
        let is_name = |sender: &Address| sender.ton() == Ton::ALPHANUMERIC || !sender.is_numeric();
        if !names && sender.as_ref().is_some_and(is_name) {
            return Err(SenderDenied::Alphanumeric);
        }
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        Address::sender(text).unwrap()
    }

    fn patterns(texts: &[&str]) -> Vec<SenderPattern> {
        texts
            .iter()
            .map(|text| SenderPattern::from_text(text).unwrap())
            .collect()
    }

    fn judged(
        table: &SenderTable,
        account: &SenderPolicy,
        to: &str,
        asked: Option<&str>,
    ) -> Result<Option<String>, SenderDenied> {
        let asked = asked.map(|asked| {
            if asked.is_empty() {
                Address::default()
            } else {
                address(asked)
            }
        });
        let client = ClientId::try_new("acme").unwrap();
        table
            .judge(account, &client, &Address::msisdn(to).unwrap(), asked)
            .map(|sender| sender.map(|sender| sender.as_str().to_owned()))
    }

    #[test]
    fn the_policy_as_a_table() {
        let rule = |client: Option<&str>, prefix: &str, policy: SenderPolicy| SenderRule {
            clients: client
                .map(|id| ClientId::try_new(id).unwrap())
                .into_iter()
                .collect(),
            prefixes: vec![prefix.to_owned()],
            policy,
        };
        let always = |sender: &str| SenderPolicy {
            always: Some(address(sender)),
            ..SenderPolicy::default()
        };
        let table = SenderTable::try_new(vec![
            rule(None, "1", always("12025550123")),
            rule(
                None,
                "91",
                SenderPolicy {
                    alphanumeric: Some(false),
                    ..SenderPolicy::default()
                },
            ),
            rule(
                Some("acme"),
                "33",
                SenderPolicy {
                    allowed: patterns(&["FR*"]),
                    default: Some(address("FRACME")),
                    ..SenderPolicy::default()
                },
            ),
            rule(Some("other"), "49", always("4900000000")),
            rule(None, "4930", always("30303")),
            rule(
                Some("acme"),
                "493",
                SenderPolicy {
                    default: Some(address("Berlin")),
                    ..SenderPolicy::default()
                },
            ),
        ])
        .unwrap();
        let account = SenderPolicy {
            allowed: patterns(&["ACME", "+49171*", "5????"]),
            default: Some(address("ACME")),
            ..SenderPolicy::default()
        };
        let denied = Err(SenderDenied::NotAllowed);
        let sender = |text: &str| Ok(Some(text.to_owned()));
        for (to, asked, expected) in [
            ("491700000001", None, sender("ACME")),
            ("491700000001", Some("ACME"), sender("ACME")),
            ("491700000001", Some("acme"), denied.clone()),
            ("491700000001", Some("ACMEX"), denied.clone()),
            ("491700000001", Some("+491711234567"), sender("491711234567")),
            ("491700000001", Some("491721234567"), denied.clone()),
            ("491700000001", Some("50000"), sender("50000")),
            ("491700000001", Some("500000"), denied.clone()),
            // None is wanted: what the operator puts there is not the client's.
            ("491700000001", Some(""), Ok(None)),
            // Override: whatever the client named.
            ("12025550199", Some("EVIL"), sender("12025550123")),
            ("12025550199", None, sender("12025550123")),
            ("12025550199", Some(""), sender("12025550123")),
            // Names: the account's default is one as well.
            ("919800000001", Some("ACME"), Err(SenderDenied::Alphanumeric)),
            ("919800000001", None, Err(SenderDenied::Alphanumeric)),
            ("919800000001", Some("491711234567"), sender("491711234567")),
            // A rule's own list and default stand for the account's.
            ("33600000001", Some("ACME"), denied),
            ("33600000001", Some("FRX"), sender("FRX")),
            ("33600000001", None, sender("FRACME")),
            // Own rules come before longer ones for all.
            ("493012345678", None, sender("Berlin")),
            ("493012345678", Some("ACME"), sender("ACME")),
        ] {
            assert_eq!(judged(&table, &account, to, asked), expected, "{to} {asked:?}");
        }
        let open = SenderPolicy::default();
        assert_eq!(
            judged(&table, &open, "491700000001", Some("Any one")),
            sender("Any one")
        );
        assert_eq!(judged(&table, &open, "491700000001", None), Ok(None));
    }

    #[test]
    fn patterns_are_bounded() {
        assert_eq!(SenderPattern::from_text(""), None);
        assert_eq!(SenderPattern::from_text(&"x".repeat(22)), None);
        assert_eq!(SenderPattern::from_text("a\nb"), None);
        assert_eq!(SenderPattern::from_text("+49*").unwrap().as_str(), "49*");
    }

    /// Star: nothing, or one character and the star again.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                naive(rest, text) || text.split_first().is_some_and(|(_, less)| naive(pattern, less))
            }
            (['?', rest @ ..], [_, less @ ..]) => naive(rest, less),
            ([wanted, rest @ ..], [there, less @ ..]) => wanted == there && naive(rest, less),
            ([_, ..], []) | ([], [_, ..]) => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_the_naive_matcher_says(pattern in "[ab*?]{1,10}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                SenderPattern::from_text(&pattern).unwrap().matches(&text),
                naive(&chars(&pattern), &chars(&text))
            );
        }
    }
}
