//! Type of number and numbering plan as a carrier wants them: international, short code and letters, for senders and
//! recipients alike.
//!
//! Invariant: nothing is cut; what the carrier cannot be told is refused.

use crate::address::{Address, npi, ton};
use thiserror::Error;

/// What stands before an international number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefix {
    /// The digits alone.
    #[default]
    None,
    /// `+`.
    Plus,
    /// `00`.
    DoubleZero,
}

/// Digits below which a number is a short code: no international number has so few.
const SHORT: usize = 7;
/// Digits of an address field (SMPP 3.4 §5.2.8).
const MAX: usize = 20;

/// Type and plan of each kind of address, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRules {
    /// Type and plan of a number with country code. Default 1, 1.
    pub international: (u8, u8),
    /// Of digits fewer than seven. Default 3, 0; others want 6, 0 or 0, 1.
    pub short_code: (u8, u8),
    /// Of a sender with letters. Default 5, 0.
    pub alphanumeric: (u8, u8),
    /// Before a number with country code. Default nothing.
    pub prefix: Prefix,
    /// Most characters of a sender with letters, 1 to 20. Default 11, as phones show; some carriers take 15 and more.
    pub max_alphanumeric: usize,
}

impl Default for AddressRules {
    fn default() -> Self {
        Self {
            international: (ton::INTERNATIONAL, npi::ISDN),
            short_code: (ton::NETWORK_SPECIFIC, npi::UNKNOWN),
            alphanumeric: (ton::ALPHANUMERIC, npi::UNKNOWN),
            prefix: Prefix::None,
            max_alphanumeric: 11,
        }
    }
}

/// Why an address cannot be told to the carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unaddressable {
    /// More letters than the carrier takes.
    #[error("the sender has {len} characters, more than {max}")]
    TooManyLetters {
        /// Characters.
        len: usize,
        /// Most that are taken.
        max: usize,
    },
    /// More digits than fit.
    #[error("the number has {0} characters with its prefix, more than 20")]
    TooManyDigits(usize),
    /// A character that no address field writes: a NUL, or one beyond Latin-1.
    #[error("the address has a character that no octet writes")]
    Character,
    /// A recipient that is no number.
    #[error("the recipient is not a number")]
    NotANumber,
}

impl AddressRules {
    /// A sender: digits (with or without `+`) or letters. Empty: the carrier puts its own.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn sender(&self, text: &str) -> Result<Address, Unaddressable> {
        if text.is_empty() {
            return Ok(Address::default());
        }
        if let Some(digits) = digits(text) {
            return self.number(text, digits);
        }
        let octets: Vec<u8> = text
            .chars()
            .map(u8::try_from)
            .collect::<Result<_, _>>()
            .map_err(|_| Unaddressable::Character)?;
        if octets.len() > self.max_alphanumeric {
            return Err(Unaddressable::TooManyLetters {
                len: octets.len(),
                max: self.max_alphanumeric,
            });
        }
        address(self.alphanumeric, &octets)
    }

    /// A recipient: digits, with or without `+`.
    ///
    /// # Errors
    /// When it is no number or too long.
    pub fn recipient(&self, text: &str) -> Result<Address, Unaddressable> {
        let digits = digits(text).ok_or(Unaddressable::NotANumber)?;
        self.number(text, digits)
    }

    fn number(&self, text: &str, digits: &str) -> Result<Address, Unaddressable> {
        let international = text.starts_with('+') || digits.len() >= SHORT;
        let (kind, prefix) = if international {
            (self.international, self.prefix)
        } else {
            (self.short_code, Prefix::None)
        };
        let prefix = match prefix {
            Prefix::None => "",
            Prefix::Plus => "+",
            Prefix::DoubleZero => "00",
        };
        let written = format!("{prefix}{digits}");
        if written.len() > MAX {
            return Err(Unaddressable::TooManyDigits(written.len()));
        }
        address(kind, written.as_bytes())
    }
}

fn digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

fn address((ton, npi): (u8, u8), octets: &[u8]) -> Result<Address, Unaddressable> {
    Address::try_new(ton, npi, octets).map_err(|_| Unaddressable::Character)
}
