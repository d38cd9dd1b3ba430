//! The GSM 7-bit alphabets (3GPP TS 23.038 §6.2.1 and annex A), both ways, and the packing of septets into octets
//! (§6.1.2.1).
//!
//! It works on *units*: one octet per septet, the high bit clear, an escaped character taking two.
//! That is what SMPP carries for data_coding 0; only peers that want packed text need [`pack`] and
//! [`unpack`]. The module knows no message, no header and no part limits: see `segment`.
//!
//! Invariant G7-1: what [`Alphabet::encode`] accepts, [`Alphabet::decode`] gives back unchanged. A
//! character without a code is refused, never replaced by one that looks like it.
//!
//! An [`Alphabet`] is a main table and the one behind the escape: those every phone has ([`DEFAULT`]), or those that
//! [`Shifts`] name. The tables are data of their own, built at compile time.
//!
//! # Limits
//! Lower-case ç has no code in the default alphabet (0x09 is Ç), nor have the Greek capitals that look like Latin ones.
//! Text compression (23.042) is not supported. Where tables and the standard differ: see `locking` and `single`.

mod locking;
mod national;
mod packing;
mod single;
mod table;

use std::fmt;

use thiserror::Error;

pub use national::{Language, Languages, Shifts};
pub use packing::{FillBits, NotASeptet, pack, septets_in, unpack};

use table::Table;

/// Escape to the extension table.
pub const ESC: u8 = 0x1B;

/// The alphabet every phone has.
pub static DEFAULT: Alphabet = Alphabet {
    locking: &locking::DEFAULT_TABLE,
    single: &single::DEFAULT_TABLE,
};

/// The units of one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// One septet.
    Plain(u8),
    /// [`ESC`] and this septet.
    Escaped(u8),
}

impl Code {
    /// Septets it takes: 1 or 2.
    #[must_use]
    pub const fn septets(self) -> usize {
        match self {
            Self::Plain(_) => 1,
            Self::Escaped(_) => 2,
        }
    }
}

/// A character the alphabet has no code for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("character U+{:04X} at position {position} has no GSM 7-bit code", u32::from(*.character))]
pub struct Unmappable {
    /// The character.
    pub character: char,
    /// Its place in the text, counted in characters from 0.
    pub position: usize,
}

/// A main table with the table behind the escape.
#[derive(Clone, Copy)]
pub struct Alphabet {
    locking: &'static Table,
    single: &'static Table,
}

impl fmt::Debug for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alphabet").finish_non_exhaustive()
    }
}

impl Alphabet {
    /// The alphabet of these tables; the default one stands in for a table that a language does not have.
    #[must_use]
    pub const fn of(shifts: Shifts) -> Self {
        let locking = match shifts.locking {
            Some(language) => locking::table(language),
            None => None,
        };
        Self {
            locking: match locking {
                Some(table) => table,
                None => &locking::DEFAULT_TABLE,
            },
            single: match shifts.single {
                Some(language) => single::table(language),
                None => &single::DEFAULT_TABLE,
            },
        }
    }

    /// The code of a character, if it has one; the plain, shorter one when it is in both tables.
    #[must_use]
    pub fn code_of(&self, character: char) -> Option<Code> {
        match self.locking.code(character) {
            Some(code) => Some(Code::Plain(code)),
            None => self.single.code(character).map(Code::Escaped),
        }
    }

    /// Septets the text takes.
    pub fn count(&self, text: &str) -> Result<usize, Unmappable> {
        let mut septets = 0;
        for (position, character) in text.chars().enumerate() {
            match self.code_of(character) {
                Some(code) => septets += code.septets(),
                None => {
                    return Err(Unmappable { character, position });
                }
            }
        }
        Ok(septets)
    }

    /// The text as unpacked units, or the first character that does not fit.
    pub fn encode(&self, text: &str) -> Result<Vec<u8>, Unmappable> {
        const NONE: u8 = u8::MAX;
        // As far as octets, characters and septets are the same in number: to the end, mostly.
        let code_of = |octet: u8| self.locking.code(char::from(octet)).filter(|_| octet.is_ascii());
        let mut units: Vec<u8> = text.bytes().map(|octet| code_of(octet).unwrap_or(NONE)).collect();
        if !units.contains(&NONE) {
            return Ok(units);
        }
        let before = units.iter().position(|unit| *unit == NONE).unwrap_or(units.len());
        units.truncate(before);
        for (position, character) in text.get(before..).unwrap_or_default().chars().enumerate() {
            let position = before + position;
            match self.code_of(character) {
                Some(Code::Plain(septet)) => units.push(septet),
                Some(Code::Escaped(septet)) => units.extend_from_slice(&[ESC, septet]),
                None => {
                    return Err(Unmappable { character, position });
                }
            }
        }
        Ok(units)
    }

    /// Unpacked units as text, and whether anything in them had no exact meaning.
    ///
    /// As 23.038 §6.2.1.1 asks of a phone: an escape before a code that is not in the table behind it (the extension
    /// table or a national single shift table) shows the character of the main table (the default alphabet or the
    /// locking shift table in use); a doubled escape, reserved for yet another table, shows one space. A lone escape at
    /// the end is a space too. An octet that is no septet, and a code that the main table leaves void, become U+FFFD.
    /// All of these count as lossy.
    #[must_use]
    pub fn decode(&self, units: &[u8]) -> (String, bool) {
        let mut text = String::with_capacity(units.len());
        let mut lossy = false;
        let mut rest = units.iter().copied();
        while let Some(unit) = rest.next() {
            let character = if unit == ESC {
                match rest.next() {
                    None | Some(ESC) => {
                        lossy = true;
                        Some(' ')
                    }
                    Some(code) => {
                        let escaped = self.single.character(code);
                        lossy |= escaped.is_none();
                        escaped.or_else(|| self.locking.character(code))
                    }
                }
            } else {
                self.locking.character(unit)
            };
            text.push(character.unwrap_or_else(|| {
                lossy = true;
                char::REPLACEMENT_CHARACTER
            }));
        }
        (text, lossy)
    }
}
