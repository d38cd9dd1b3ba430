//! Identifiers: one type for each thing, so that a client is never taken for an operator.
//!
//! Invariant: the text of a name is never empty and holds only `a-z A-Z 0-9 . _ -`, so it can stand in a queue name, a
//! state key, a metric label and a file name.

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};
use smol_str::{SmolStr, format_smolstr};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use uuid::Uuid;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Names have at least one character.
    #[error("a name must not be empty")]
    Empty,
    /// Names are short enough for labels and file names.
    #[error("a name has at most {MAX_NAME} characters, this one has {0}")]
    TooLong(usize),
    /// The first character that may not stand in a name.
    #[error("a name holds letters, digits, '.', '_' and '-', not {0:?}")]
    Character(char),
}

/// Longest name, in characters.
pub const MAX_NAME: usize = 64;

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if !text.bytes().all(stands)
        && let Some(bad) = text.chars().find(|c| !may_stand(*c))
    {
        return Err(NameError::Character(bad));
    }
    if text.len() > MAX_NAME {
        return Err(NameError::TooLong(text.len()));
    }
    Ok(())
}

const fn may_stand(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The same of each octet, looked up: a dozen names are read for each message.
#[expect(clippy::indexing_slicing, reason = "an octet outside would not compile")]
const STANDS: [bool; 256] = {
    let (mut stands, mut octet) = ([false; 256], 0_u8);
    while octet.is_ascii() {
        stands[octet as usize] = may_stand(octet as char);
        octet += 1;
    }
    stands
};

fn stands(octet: u8) -> bool {
    STANDS.get(usize::from(octet)).is_some_and(|stands| *stands)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(SmolStr);

        impl $type {
            /// Takes a text that is a valid name.
            pub fn try_new(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(SmolStr::new(text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_new(text)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&$type> for SmolStr {
            fn from(name: &$type) -> Self {
                name.0.clone()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<C> Encode<C> for $type {
            fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $type {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                Self::try_new(d.str()?).map_err(decode::Error::custom)
            }
        }
    };
}

name!(
    /// A client account: `[client.<id>]`.
    ClientId
);
name!(
    /// A carrier account: `[operator.<id>]`.
    OperatorId
);
name!(
    /// The links that share carrier ids, receipts and a rate limit. One per operator unless configured otherwise.
    LinkGroup
);
name!(
    /// One connection (bind) of an operator: `<operator>-<n>`.
    LinkId
);

impl LinkGroup {
    /// The group of an operator that configures none.
    pub fn of(operator: &OperatorId) -> Self {
        Self(operator.0.clone())
    }
}

impl LinkId {
    /// The `n`-th link of an operator, counted from 1.
    pub fn new(operator: &OperatorId, n: usize) -> Self {
        Self(format_smolstr!("{operator}-{n}"))
    }
}

/// Id of a message (MT or MO) or of an event for a client: UUID version 7 (RFC 9562), so ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Octets of its text.
    pub const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

    /// Builds an id from the time and 10 random octets, of which 74 bits are used.
    pub fn from_parts(at: crate::Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Takes the 16 octets of a UUID.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 octets.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Writes its text, for who has room for it.
    pub fn write(self, room: &mut [u8; Self::LENGTH]) -> &str {
        self.0.as_hyphenated().encode_lower(room)
    }

    /// The time it was made at, in milliseconds: its first six octets (RFC 9562 section 5.7).
    pub fn made_at(&self) -> crate::Timestamp {
        let [a, b, c, d, e, f, ..] = *self.as_bytes();
        let millis = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        crate::Timestamp::from_millis(i64::try_from(millis).expect("48 bits fit"))
    }

    /// An id that follows from this one and a number alone: the same inputs give the same id, so a step that is done
    /// again names its outputs as it did the first time (law 1). Keeps the time, replaces the random part.
    pub fn derive(&self, n: u64) -> Self {
        let mut bytes = *self.0.as_bytes();
        // 62 bits behind the variant are mixed; the time, version and variant bits stay.
        let (head, tail) = bytes.split_at_mut(8);
        let mut mix = [0u8; 8];
        mix.copy_from_slice(tail);
        let seed = u64::from_be_bytes(mix) ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
        let mixed = split_mix(seed) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000;
        tail.copy_from_slice(&mixed.to_be_bytes());
        debug_assert_eq!(head.len(), 8, "a UUID has 16 octets");
        Self(Uuid::from_bytes(bytes))
    }
}

/// Finalizer of the splitmix64 generator: a bijection that spreads every input bit.
fn split_mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl FromStr for MessageId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<C> Encode<C> for MessageId {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.bytes(self.0.as_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for MessageId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let bytes = d.bytes()?;
        let bytes: [u8; 16] = bytes
            .try_into()
            .map_err(|_| decode::Error::message("a message id has 16 octets"))?;
        Ok(Self::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn names_refuse_what_could_not_stand_in_a_label() {
        assert!(ClientId::try_new("acme-1.x_Y").is_ok());
        assert_eq!(ClientId::try_new(""), Err(NameError::Empty));
        assert_eq!(ClientId::try_new("a b"), Err(NameError::Character(' ')));
        assert_eq!(ClientId::try_new(&"x".repeat(65)), Err(NameError::TooLong(65)));
    }

    #[test]
    fn ids_sort_by_time_and_derive_without_chance() {
        let a = MessageId::from_parts(Timestamp::from_millis(1_000), [255; 10]);
        let b = MessageId::from_parts(Timestamp::from_millis(1_001), [0; 10]);
        assert!(a < b);
        assert_eq!(a.derive(1), a.derive(1));
        assert_ne!(a.derive(1), a.derive(2));
        assert_ne!(a.derive(0), a);
        assert_eq!(a.derive(7).to_string().as_bytes()[14], b'7', "still version 7");
        assert_eq!(a.to_string().parse::<MessageId>().unwrap(), a);
    }
}
