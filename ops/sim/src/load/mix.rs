//! What messages are made of: encodings, lengths, classes, recipients, by their weights.
//!
//! Pure. Invariant: the same number always makes the same message, whatever was made before.

use crate::ledger::{Sum, sum};
use crate::smsc::gsm;
use crate::token::{LENGTH, Token};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// GSM 7-bit.
    Gsm,
    /// UCS-2: the text holds Greek and Cyrillic letters.
    Ucs2,
    /// Latin-1 (SMPP only; over HTTP the same text as GSM).
    Latin1,
    /// Octets (over HTTP the same text as GSM).
    Binary,
    /// GSM 7-bit of class 0 (over HTTP the same text as GSM).
    Flash,
}

/// One kind and length, and how many of all are so: `gsm:100=70`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixItem {
    /// In what.
    pub kind: Kind,
    /// Characters, the token's 17 among them.
    pub length: usize,
    /// Against the others.
    pub weight: u32,
}

impl FromStr for MixItem {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (what, weight) = text.split_once('=').unwrap_or((text, "1"));
            let (kind, length) = what.split_once(':').unwrap_or((what, "100"));
            let kind = match kind {
                "gsm" => Kind::Gsm,
                "ucs2" => Kind::Ucs2,
                "latin1" => Kind::Latin1,
                "binary" => Kind::Binary,
                "flash" => Kind::Flash,
                _ => return None,
            };
            let length = length
                .parse()
                .ok()
                .filter(|length| (1..=20_000).contains(length))?;
            let weight = weight.parse().ok().filter(|weight| *weight > 0)?;
            Some(Self { kind, length, weight })
        };
        parse().ok_or_else(|| {
            format!("`{text}` is not of the form gsm|ucs2|latin1|binary|flash:<length>=<weight>")
        })
    }
}

impl fmt::Display for MixItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Gsm => "gsm",
            Kind::Ucs2 => "ucs2",
            Kind::Latin1 => "latin1",
            Kind::Binary => "binary",
            Kind::Flash => "flash",
        };
        write!(f, "{kind}:{}={}", self.length, self.weight)
    }
}

/// Texts made beforehand, so that a message costs a copy.
#[derive(Debug)]
pub(super) struct Mix {
    items: Vec<Ready>,
    total: u64,
    prefixes: Vec<String>,
    recipients: u32,
}

/// One item, with all but the token of its text.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) kind: Kind,
    /// After the token, as text.
    pub(super) padding: String,
    /// After the token, in its encoding.
    pub(super) octets: Vec<u8>,
    weight: u64,
}

impl Mix {
    /// `recipients`: how many different ones; 0: each message its own.
    pub(super) fn new(items: &[MixItem], default_length: usize, prefixes: &str, recipients: u32) -> Self {
        let plain = [MixItem {
            kind: Kind::Gsm,
            length: default_length,
            weight: 1,
        }];
        let items: Vec<Ready> = if items.is_empty() { &plain } else { items }
            .iter()
            .map(Ready::new)
            .collect();
        Self {
            total: items.iter().map(|item| item.weight).sum::<u64>().max(1),
            items,
            prefixes: prefixes.split(',').map(str::to_owned).collect(),
            recipients,
        }
    }

    /// The item of a message.
    pub(super) fn item(&self, number: u32) -> Option<&Ready> {
        if let [only] = &self.items[..] {
            return Some(only);
        }
        let mut at = spread(number) % self.total;
        self.items.iter().find(|item| match at.checked_sub(item.weight) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        })
    }

    /// Writes the recipient of a message.
    pub(super) fn write_to(&self, number: u32, out: &mut Vec<u8>) {
        let who = number.checked_rem(self.recipients).unwrap_or(number) % 100_000_000;
        let count = u32::try_from(self.prefixes.len()).unwrap_or(1);
        let prefix = who
            .checked_rem(count)
            .and_then(|at| self.prefixes.get(usize::try_from(at).ok()?));
        out.extend_from_slice(prefix.map_or(&[][..], |prefix| prefix.as_bytes()));
        let mut digits = [b'0'; 8];
        let mut rest = who;
        for digit in digits.iter_mut().rev() {
            *digit = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or(0));
            rest /= 10;
        }
        out.extend_from_slice(&digits);
    }
}

/// Numbers in a row give values far apart.
pub(super) fn spread(number: u32) -> u64 {
    let mixed = u64::from(number)
        .wrapping_add(1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed.wrapping_shr(32)
}

impl Ready {
    fn new(item: &MixItem) -> Self {
        let words = match item.kind {
            Kind::Gsm | Kind::Flash | Kind::Binary => " lorem ipsum dolor sit amet",
            Kind::Latin1 => " l'été où ça naît, façon Müller",
            Kind::Ucs2 => " καλημέρα κόσμε, привет мир",
        };
        let padding: String = words
            .chars()
            .cycle()
            .take(item.length.saturating_sub(LENGTH))
            .collect();
        let octets = match item.kind {
            Kind::Gsm | Kind::Flash | Kind::Binary => gsm::encode(&padding).unwrap_or_default(),
            Kind::Latin1 => padding.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
            Kind::Ucs2 => padding.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        };
        Self {
            kind: item.kind,
            padding,
            octets,
            weight: item.weight.into(),
        }
    }

    /// The whole text as its receiver must see it, as a sum.
    pub(super) fn sum(&self, token: Token, scratch: &mut Vec<u8>) -> Sum {
        let mut head = [0; LENGTH];
        token.write(&mut head);
        scratch.clear();
        scratch.extend_from_slice(&head);
        scratch.extend_from_slice(self.padding.as_bytes());
        sum(scratch)
    }

    /// The whole user data in its encoding.
    pub(super) fn write(&self, token: Token, out: &mut Vec<u8>) {
        let mut head = [0; LENGTH];
        token.write(&mut head);
        match self.kind {
            Kind::Ucs2 => out.extend(head.iter().flat_map(|octet| [0, *octet])),
            Kind::Gsm | Kind::Latin1 | Kind::Binary | Kind::Flash => out.extend_from_slice(&head),
        }
        out.extend_from_slice(&self.octets);
    }

    /// data_coding (SMPP 3.4 §5.2.19).
    pub(super) const fn data_coding(&self) -> u8 {
        match self.kind {
            Kind::Gsm => 0x00,
            Kind::Latin1 => 0x03,
            Kind::Binary => 0x04,
            Kind::Ucs2 => 0x08,
            Kind::Flash => 0x10,
        }
    }

    /// Octets of one SMS alone, and of each of several behind a UDH.
    pub(super) const fn capacity(&self) -> (usize, usize) {
        match self.kind {
            Kind::Gsm | Kind::Flash => (160, 153),
            Kind::Latin1 | Kind::Binary | Kind::Ucs2 => (140, 134),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Way;

    #[test]
    fn weights_are_kept_and_numbers_decide() {
        let items = ["gsm:100=70", "ucs2:50=20", "binary=10"].map(|text| text.parse().unwrap());
        let mix = Mix::new(&items, 0, "49170,43664", 0);
        let mut seen = [0_u32; 3];
        for number in 0..10_000 {
            match mix.item(number).unwrap().kind {
                Kind::Gsm => seen[0] += 1,
                Kind::Ucs2 => seen[1] += 1,
                other => {
                    assert_eq!(other, Kind::Binary);
                    seen[2] += 1;
                }
            }
        }
        assert!(
            (6800..7200).contains(&seen[0]) && (1800..2200).contains(&seen[1]),
            "{seen:?}"
        );
        let to = |number| {
            let mut out = Vec::new();
            mix.write_to(number, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            [to(0), to(1), to(2)],
            ["4917000000000", "4366400000001", "4917000000002"]
        );
    }

    #[test]
    fn the_text_has_the_length_asked_for() {
        let token = Token {
            way: Way::Mt,
            run: 1,
            number: 2,
        };
        for (text, octets) in [("gsm:160", 160), ("ucs2:70", 140), ("latin1:10", 17)] {
            let ready = Ready::new(&text.parse().unwrap());
            let mut out = Vec::new();
            ready.write(token, &mut out);
            assert_eq!(out.len(), octets, "{text}");
        }
        for wrong in ["", "gsm:0", "gsm:5=0", "morse:5", "gsm:x"] {
            assert!(wrong.parse::<MixItem>().is_err(), "{wrong}");
        }
    }
}
