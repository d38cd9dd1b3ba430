//! How a route changes sender and destination on their way to the carrier.
//!
//! ```text
//! set:ACME          whatever it was
//! prefix:49         49 before it
//! replace:0=49      49 in place of the 0 at its beginning; others stay
//! ```
//! Pure. The client's own view of a message keeps the addresses it gave: routes and reports go by those.

use smsgw_message::Address;
use std::fmt;

/// Longest piece of a rule, in characters.
const MAX_PIECE: usize = 20;

/// One change of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// Put this in its place.
    Set(String),
    /// Put this before it.
    Prefix(String),
    /// Put the second in place of the first where it begins so.
    Replace(String, String),
}

impl Rewrite {
    /// Reads `set:ACME`, `prefix:49` or `replace:0=49`.
    pub fn from_text(text: &str) -> Option<Self> {
        let is_piece =
            |piece: &str| piece.chars().count() <= MAX_PIECE && !piece.chars().any(char::is_control);
        let (what, rest) = text.split_once(':')?;
        match what {
            "set" => (!rest.is_empty() && is_piece(rest)).then(|| Self::Set(rest.to_owned())),
            "prefix" => (!rest.is_empty() && is_piece(rest)).then(|| Self::Prefix(rest.to_owned())),
            "replace" => {
                let (old, new) = rest.split_once('=')?;
                let right = !old.is_empty() && is_piece(old) && is_piece(new);
                right.then(|| Self::Replace(old.to_owned(), new.to_owned()))
            }
            _other => None,
        }
    }

    fn of(&self, text: &str) -> String {
        match self {
            Self::Set(new) => new.clone(),
            Self::Prefix(new) => format!("{new}{text}"),
            Self::Replace(old, new) => match text.strip_prefix(old.as_str()) {
                Some(rest) => format!("{new}{rest}"),
                None => text.to_owned(),
            },
        }
    }

    /// Whether it makes digits of digits.
    pub fn keeps_digits(&self) -> bool {
        let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
        match self {
            Self::Set(new) | Self::Prefix(new) => digits(new),
            Self::Replace(old, new) => digits(old) && digits(new),
        }
    }

    /// Whether it makes a sender of nothing.
    pub fn is_set(&self) -> bool {
        matches!(self, Self::Set(_))
    }

    /// Whether a message can have what it puts in place: a sender, or a number where `is_number`.
    pub fn is_right(&self, is_number: bool) -> bool {
        match self {
            Self::Set(new) if is_number => Address::msisdn(new).is_ok(),
            Self::Set(new) => Address::sender(new).is_ok(),
            Self::Prefix(_) | Self::Replace(..) => !is_number || self.keeps_digits(),
        }
    }
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(new) => write!(f, "set:{new}"),
            Self::Prefix(new) => write!(f, "prefix:{new}"),
            Self::Replace(old, new) => write!(f, "replace:{old}={new}"),
        }
    }
}

/// What the rules make of a text, one after the other; `None` when it stays as it is.
fn rewritten(rules: &[Rewrite], text: &str) -> Option<String> {
    let new = rules.iter().fold(None, |text_now: Option<String>, rule| {
        Some(rule.of(text_now.as_deref().unwrap_or(text)))
    })?;
    (new != text).then_some(new)
}

/// What comes of rules that make no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoAddress;

/// The sender that goes out, where it is another one. A message without one has only what is set.
pub(crate) fn sender(rules: &[Rewrite], from: Option<&Address>) -> Result<Option<Address>, NoAddress> {
    let behind_set = rules.iter().rposition(Rewrite::is_set);
    let (rules, text) = match (from.map(Address::as_str), behind_set) {
        (Some(text), _) if !text.is_empty() => (rules, text),
        (_, Some(at)) => (rules.get(at..).unwrap_or_default(), ""),
        (_, None) => return Ok(None),
    };
    rewritten(rules, text)
        .map(|text| Address::sender(&text).map_err(|_| NoAddress))
        .transpose()
}

/// The destination that goes out, where it is another one.
pub(crate) fn destination(rules: &[Rewrite], to: &Address) -> Result<Option<Address>, NoAddress> {
    rewritten(rules, to.as_str())
        .map(|text| Address::msisdn(&text).map_err(|_| NoAddress))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::{Npi, Ton};

    fn rules(texts: &[&str]) -> Vec<Rewrite> {
        texts
            .iter()
            .map(|text| Rewrite::from_text(text).unwrap())
            .collect()
    }

    #[test]
    fn rules_are_read_and_shown() {
        for text in ["set:ACME", "prefix:49", "replace:0=49", "replace:0="] {
            assert_eq!(Rewrite::from_text(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "set:",
            "prefix:",
            "replace:0",
            "replace:=1",
            "cut:1",
            "set:a\nb",
        ] {
            assert_eq!(Rewrite::from_text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_change_as_the_rules_say() {
        let national = Address::from_wire(Ton::NATIONAL, Npi::ISDN, "01701234567");
        let to = |texts: &[&str]| {
            destination(&rules(texts), &national).map(|to| to.map(|to| (to.ton(), to.as_str().to_owned())))
        };
        assert_eq!(
            to(&["replace:0=49"]),
            Ok(Some((Ton::INTERNATIONAL, "491701234567".to_owned())))
        );
        assert_eq!(to(&["replace:9=49"]), Ok(None), "it begins otherwise and stays");
        assert_eq!(
            to(&["replace:0=", "prefix:4912345678901"]),
            Err(NoAddress),
            "too long"
        );
        let from = |texts: &[&str], from: Option<&str>| {
            let from = from.map(|text| Address::sender(text).unwrap());
            sender(&rules(texts), from.as_ref()).map(|new| new.map(|new| new.as_str().to_owned()))
        };
        assert_eq!(from(&["set:ACME"], None), Ok(Some("ACME".to_owned())));
        assert_eq!(
            from(&["prefix:X", "set:A", "prefix:B"], None),
            Ok(Some("BA".to_owned()))
        );
        assert_eq!(from(&["prefix:49"], None), Ok(None));
        assert_eq!(
            from(&["prefix:49"], Some("1701234567")),
            Ok(Some("491701234567".to_owned()))
        );
        assert_eq!(from(&["prefix:TOOLONGNAME"], Some("ACME")), Err(NoAddress));
    }
}
