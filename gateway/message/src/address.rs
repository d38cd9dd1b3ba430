//! Addresses: who a message is from and to, with the type of number (TON) and numbering plan (NPI)
//! of SMPP 3.4 §5.2.5 and §5.2.6.
//!
//! Three ways in: [`Address::msisdn`] and [`Address::sender`] are strict, for what a client writes;
//! [`Address::from_wire`] takes what a peer sends and repairs what peers are known to get wrong
//! (carrier quirks, items 39 and 41). Knows no number plan and no route.
//!
//! Invariant AD-1: an international number made by any of the three is its digits without `+` or
//! `00`, so that equal numbers are equal addresses. `Debug` never shows a whole address;
//! `Display` does and is for the wire and the API, [`Address::redacted`] is for logs.
//!
//! # Limits
//! A national number on the wire (TON 2, or TON 0 without `00` or `+`) stays as it is: the country
//! it belongs to is not known here.

use std::fmt;

use minicbor::{Decode, Encode};
use smol_str::SmolStr;
use thiserror::Error;

use crate::gsm7;
use crate::quick::write::Put;
use crate::quick::{Octets, Quick, fields};

/// E.164: country code and number together.
const MSISDN_MAX_DIGITS: usize = 15;
/// Shorter ones are not reachable from another country.
const MSISDN_MIN_DIGITS: usize = 5;
/// Digits from which a sender is a subscriber number; below, it is a short code.
const INTERNATIONAL_MIN_DIGITS: usize = 7;
/// 3GPP TS 23.040 §9.1.2.5: an alphanumeric address has 10 octets of packed septets.
const ALPHANUMERIC_MAX_SEPTETS: usize = 11;
/// Characters of an address that may be shown.
const SHOWN: usize = 3;

/// Type of number, SMPP 3.4 §5.2.5. Peers send numbers that have no name; they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Ton(#[n(0)] pub u8);

impl Ton {
    /// Unknown: digits as they are dialled.
    pub const UNKNOWN: Self = Self(0);
    /// Country code first, no prefix.
    pub const INTERNATIONAL: Self = Self(1);
    /// Without country code.
    pub const NATIONAL: Self = Self(2);
    /// Short codes.
    pub const NETWORK_SPECIFIC: Self = Self(3);
    /// Subscriber number.
    pub const SUBSCRIBER: Self = Self(4);
    /// Text in the GSM 7-bit alphabet.
    pub const ALPHANUMERIC: Self = Self(5);
    /// Short codes, for some carriers.
    pub const ABBREVIATED: Self = Self(6);
}

/// Numbering plan indicator, SMPP 3.4 §5.2.6. Peers send numbers that have no name; they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Npi(#[n(0)] pub u8);

impl Npi {
    /// Unknown.
    pub const UNKNOWN: Self = Self(0);
    /// ISDN, E.163/E.164: telephone numbers.
    pub const ISDN: Self = Self(1);
    /// Data, X.121.
    pub const DATA: Self = Self(3);
    /// Telex, F.69.
    pub const TELEX: Self = Self(4);
    /// Land mobile, E.212.
    pub const LAND_MOBILE: Self = Self(6);
    /// National.
    pub const NATIONAL: Self = Self(8);
    /// Private.
    pub const PRIVATE: Self = Self(9);
    /// ERMES.
    pub const ERMES: Self = Self(10);
    /// Internet (IP).
    pub const INTERNET: Self = Self(14);
    /// WAP client id.
    pub const WAP: Self = Self(18);
}

impl Quick<'_> for Ton {
    fn read(octets: &mut Octets<'_>) -> Option<Self> {
        u8::read(octets).map(Self)
    }
}

impl Quick<'_> for Npi {
    fn read(octets: &mut Octets<'_>) -> Option<Self> {
        u8::read(octets).map(Self)
    }
}

impl From<u8> for Ton {
    fn from(octet: u8) -> Self {
        Self(octet)
    }
}

impl From<u8> for Npi {
    fn from(octet: u8) -> Self {
        Self(octet)
    }
}

impl fmt::Display for Ton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Npi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a client's number or sender is refused. Says where, never what: it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Nothing but spaces.
    #[error("address is empty")]
    Empty,
    /// Something other than digits and one leading `+`.
    #[error(
        "number has U+{:04X} at position {position}, only digits and one leading + are allowed",
        u32::from(*.character)
    )]
    NotADigit {
        /// The character.
        character: char,
        /// Its place, counted in characters from 0.
        position: usize,
    },
    /// A number that begins with 0 behind `+` or `00`, or with one 0: no country code does.
    #[error("number begins with 0, the country code is missing")]
    NoCountryCode,
    /// Fewer digits than a number has.
    #[error("number has {digits} digits, at least {min} are needed")]
    TooShort {
        /// Digits without prefix.
        digits: usize,
        /// The least.
        min: usize,
    },
    /// More digits than E.164 allows.
    #[error("number has {digits} digits, at most {max} are allowed")]
    TooLong {
        /// Digits without prefix.
        digits: usize,
        /// The most.
        max: usize,
    },
    /// A sender name that does not fit in an address field; `^{}\[]~|€` count twice.
    #[error("sender name takes {septets} septets, at most {max} are allowed")]
    SenderTooLong {
        /// What it takes.
        septets: usize,
        /// The most.
        max: usize,
    },
    /// A sender name with a character that is not in the GSM 7-bit alphabet, or a control character.
    #[error(
        "sender name has U+{:04X} at position {position}, which is not a printable GSM 7-bit character",
        u32::from(*.character)
    )]
    SenderCharacter {
        /// The character.
        character: char,
        /// Its place, counted in characters from 0.
        position: usize,
    },
}

/// A source or destination. The default is the empty one: a sender left to the carrier.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Encode, Decode)]
pub struct Address {
    #[n(0)]
    ton: Ton,
    #[n(1)]
    npi: Npi,
    #[cbor(n(2), with = "text")]
    text: SmolStr,
}

/// The text in CBOR: as any other.
mod text {
    use minicbor::decode::{self, Decoder};
    use minicbor::encode::{self, Encoder, Write};
    use smol_str::SmolStr;

    pub(super) fn encode<C, W: Write>(
        text: &SmolStr,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(text)?.ok()
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<SmolStr, decode::Error> {
        d.str().map(SmolStr::new)
    }
}

impl Put for Ton {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

impl Put for Npi {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

fields!(Address: ton, npi, text);

impl Address {
    /// A phone number as a client writes it: `+49170…`, `49170…` or `0049170…`.
    pub fn msisdn(number: &str) -> Result<Self, AddressError> {
        if number.is_empty() {
            return Err(AddressError::Empty);
        }
        let (plus, digits) = split_plus(number);
        only_digits(digits, usize::from(plus))?;
        let digits = if plus {
            digits
        } else {
            digits.strip_prefix("00").unwrap_or(digits)
        };
        if digits.len() < MSISDN_MIN_DIGITS {
            return Err(AddressError::TooShort {
                digits: digits.len(),
                min: MSISDN_MIN_DIGITS,
            });
        }
        fits_e164(digits)?;
        if digits.starts_with('0') {
            return Err(AddressError::NoCountryCode);
        }
        Ok(Self::international(digits))
    }

    /// A sender as a client writes it: a number, a short code or a name of up to 11 characters.
    ///
    /// Digits are international from seven on, else a short code. Digits with a single leading 0
    /// cannot be international and go out as dialled (TON unknown).
    pub fn sender(sender: &str) -> Result<Self, AddressError> {
        if sender.trim().is_empty() {
            return Err(AddressError::Empty);
        }
        let (plus, digits) = split_plus(sender);
        match only_digits(digits, usize::from(plus)) {
            Ok(()) if digits.is_empty() => Err(AddressError::Empty),
            Ok(()) => Self::numeric_sender(plus, digits),
            // With a + and no letter it is a number with a slip in it, not a name.
            Err(error) if plus && !sender.chars().any(char::is_alphabetic) => Err(error),
            Err(_) => Self::alphanumeric_sender(sender),
        }
    }

    fn numeric_sender(plus: bool, digits: &str) -> Result<Self, AddressError> {
        let prefixed = digits
            .strip_prefix("00")
            .filter(|rest| !plus && rest.len() >= INTERNATIONAL_MIN_DIGITS);
        let number = prefixed.unwrap_or(digits);
        fits_e164(number)?;
        if number.starts_with('0') && (plus || prefixed.is_some()) {
            return Err(AddressError::NoCountryCode);
        }
        Ok(Self::from_digits(number))
    }

    fn alphanumeric_sender(name: &str) -> Result<Self, AddressError> {
        if let Some((position, character)) = name
            .chars()
            .enumerate()
            .find(|(_, character)| character.is_control())
        {
            return Err(AddressError::SenderCharacter { character, position });
        }
        let septets = gsm7::DEFAULT
            .count(name)
            .map_err(|error| AddressError::SenderCharacter {
                character: error.character,
                position: error.position,
            })?;
        if septets > ALPHANUMERIC_MAX_SEPTETS {
            return Err(AddressError::SenderTooLong {
                septets,
                max: ALPHANUMERIC_MAX_SEPTETS,
            });
        }
        Ok(Self::alphanumeric(name))
    }

    /// An address from a peer. Takes everything; corrects TON and NPI where the text shows that they
    /// are wrong, and removes `+` and `00` where they say "international".
    #[must_use]
    pub fn from_wire(ton: Ton, npi: Npi, text: &str) -> Self {
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        let as_sent = || Self {
            ton,
            npi,
            text: SmolStr::new(text),
        };
        let (plus, digits) = split_plus(text);
        if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
            // Letters under a numeric TON: the peer means a name.
            let numeric = ton < Ton::ALPHANUMERIC || ton == Ton::ABBREVIATED;
            return if numeric && text.chars().any(char::is_alphabetic) {
                Self::alphanumeric(text)
            } else {
                as_sent()
            };
        }
        let behind_00 = digits
            .strip_prefix("00")
            .filter(|rest| rest.len() >= INTERNATIONAL_MIN_DIGITS && !rest.starts_with('0'));
        if plus || ton == Ton::INTERNATIONAL || ton == Ton::ALPHANUMERIC {
            return Self::from_digits(behind_00.unwrap_or(digits));
        }
        match (ton, behind_00) {
            (Ton::UNKNOWN, Some(rest)) => Self::international(rest),
            // As dialled, national, short code forms, numbers without a name: the peer's word stands.
            (Ton(_), _) => as_sent(),
        }
    }

    /// Digits without prefix: short code, international, or as dialled.
    fn from_digits(digits: &str) -> Self {
        if digits.len() < INTERNATIONAL_MIN_DIGITS {
            Self {
                ton: Ton::NETWORK_SPECIFIC,
                npi: Npi::UNKNOWN,
                text: SmolStr::new(digits),
            }
        } else if digits.starts_with('0') {
            Self {
                ton: Ton::UNKNOWN,
                npi: Npi::ISDN,
                text: SmolStr::new(digits),
            }
        } else {
            Self::international(digits)
        }
    }

    fn international(digits: &str) -> Self {
        Self {
            ton: Ton::INTERNATIONAL,
            npi: Npi::ISDN,
            text: SmolStr::new(digits),
        }
    }

    fn alphanumeric(name: &str) -> Self {
        Self {
            ton: Ton::ALPHANUMERIC,
            npi: Npi::UNKNOWN,
            text: SmolStr::new(name),
        }
    }

    /// Type of number.
    #[must_use]
    pub const fn ton(&self) -> Ton {
        self.ton
    }

    /// Numbering plan.
    #[must_use]
    pub const fn npi(&self) -> Npi {
        self.npi
    }

    /// The digits or the name, without `+`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Digits only, and at least one.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        !self.text.is_empty() && self.text.bytes().all(|octet| octet.is_ascii_digit())
    }

    /// The address for logs.
    #[must_use]
    pub const fn redacted(&self) -> Redacted<'_> {
        Redacted(self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({}/{} {})", self.ton, self.npi, self.redacted())
    }
}

/// Shows the last three characters of an address, stars for the others; stars only when it is no
/// longer than that.
#[derive(Clone, Copy)]
pub struct Redacted<'a>(&'a Address);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_str();
        let length = text.chars().count();
        let hidden = if length > SHOWN { length - SHOWN } else { length };
        for _ in 0..hidden {
            f.write_str("*")?;
        }
        text.chars()
            .skip(hidden)
            // A peer's name may hold line breaks; a log line must not.
            .try_for_each(|character| write!(f, "{}", character.escape_debug()))
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn split_plus(text: &str) -> (bool, &str) {
    match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// `position` is the place of the first character in what the client wrote.
fn only_digits(digits: &str, position: usize) -> Result<(), AddressError> {
    match digits
        .chars()
        .enumerate()
        .find(|(_, character)| !character.is_ascii_digit())
    {
        None => Ok(()),
        Some((offset, character)) => Err(AddressError::NotADigit {
            character,
            position: position + offset,
        }),
    }
}

fn fits_e164(digits: &str) -> Result<(), AddressError> {
    if digits.len() > MSISDN_MAX_DIGITS {
        return Err(AddressError::TooLong {
            digits: digits.len(),
            max: MSISDN_MAX_DIGITS,
        });
    }
    Ok(())
}
