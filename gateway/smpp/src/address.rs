//! An SMPP address: type of number, numbering plan and the characters (SMPP 3.4 §5.2.5 to §5.2.7).
//!
//! Does not judge whether the three fit each other: carriers disagree, and their profile decides.

use crate::octets::{COctets, NulInside};

/// Type of number, SMPP 3.4 §5.2.5.
pub mod ton {
    /// The carrier decides.
    pub const UNKNOWN: u8 = 0;
    /// With country code.
    pub const INTERNATIONAL: u8 = 1;
    /// Without country code.
    pub const NATIONAL: u8 = 2;
    /// Of the carrier's network; short codes at some.
    pub const NETWORK_SPECIFIC: u8 = 3;
    /// Subscriber number.
    pub const SUBSCRIBER: u8 = 4;
    /// Letters.
    pub const ALPHANUMERIC: u8 = 5;
    /// Short codes at others.
    pub const ABBREVIATED: u8 = 6;
}

/// Numbering plan, SMPP 3.4 §5.2.6.
pub mod npi {
    /// Unknown.
    pub const UNKNOWN: u8 = 0;
    /// Telephone numbers (E.163, E.164).
    pub const ISDN: u8 = 1;
    /// National.
    pub const NATIONAL: u8 = 8;
    /// Private.
    pub const PRIVATE: u8 = 9;
}

/// An address with its type and plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Address {
    /// Type of number, see [`ton`].
    pub ton: u8,
    /// Numbering plan, see [`npi`].
    pub npi: u8,
    /// Digits or letters; 20 at most by the specification.
    pub value: COctets,
}

impl Address {
    /// An address as given.
    ///
    /// # Errors
    /// When the value holds a NUL.
    pub fn try_new(ton: u8, npi: u8, value: impl AsRef<[u8]>) -> Result<Self, NulInside> {
        Ok(Self {
            ton,
            npi,
            value: COctets::try_new(value.as_ref())?,
        })
    }

    /// An international number, digits without `+`.
    ///
    /// # Errors
    /// When the value holds a NUL.
    pub fn international(digits: &str) -> Result<Self, NulInside> {
        Self::try_new(ton::INTERNATIONAL, npi::ISDN, digits)
    }

    /// A sender of letters.
    ///
    /// # Errors
    /// When the value holds a NUL.
    pub fn alphanumeric(letters: impl AsRef<[u8]>) -> Result<Self, NulInside> {
        Self::try_new(ton::ALPHANUMERIC, npi::UNKNOWN, letters)
    }

    /// A short code, with the type and plan that most carriers take.
    ///
    /// # Errors
    /// When the value holds a NUL.
    pub fn short_code(digits: &str) -> Result<Self, NulInside> {
        Self::try_new(ton::NETWORK_SPECIFIC, npi::UNKNOWN, digits)
    }
}
