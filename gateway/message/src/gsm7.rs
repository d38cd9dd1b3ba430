//! The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038 §6.2.1), both ways, and
//! the packing of septets into octets (§6.1.2.1).
//!
//! It works on *units*: one octet per septet, the high bit clear, an escaped character taking two.
//! That is what SMPP carries for data_coding 0; only peers that want packed text need [`pack`] and
//! [`unpack`]. The module knows no message, no header and no part limits: see `segment`.
//!
//! Invariant G7-1: what [`Alphabet::encode`] accepts, [`Alphabet::decode`] gives back unchanged. A
//! character without a code is refused, never replaced by one that looks like it.
//!
//! An [`Alphabet`] is a pair of tables built at compile time, so that a national language table
//! (23.038 annex A) is one more `static`, not another code path.
//!
//! # Limits
//! Lower-case ç has no code (0x09 is Ç), nor have the Greek capitals that look like Latin ones.
//! Text compression (23.042) is not supported.

use std::fmt;

use thiserror::Error;

/// Escape to the extension table.
pub const ESC: u8 = 0x1B;

/// Septets in one table.
const TABLE_LEN: usize = 128;
/// Every character of both tables, should none of them be in Latin-1.
const WIDE_LEN: usize = 2 * TABLE_LEN;
/// No code for this character; no code has this value, as the high octet is 0 or [`ESC`].
const NO_CODE: u16 = u16::MAX;
/// No character behind this escape; no table holds NUL.
const NO_CHAR: char = '\0';

/// 3GPP TS 23.038 §6.2.1, in the order of the codes. 0x1B is the escape and maps to nothing.
#[rustfmt::skip]
const DEFAULT_TABLE: [char; TABLE_LEN] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', NO_CHAR, 'Æ', 'æ', 'ß', 'É',
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/',
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?',
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O',
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§',
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// 3GPP TS 23.038 §6.2.1.1: code after the escape, character.
const DEFAULT_EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{000C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// The alphabet every phone has.
pub static DEFAULT: Alphabet = Alphabet::build(DEFAULT_TABLE, &DEFAULT_EXTENSION);

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

/// An octet with the high bit set where a septet was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("octet 0x{octet:02X} at position {position} is not a septet")]
pub struct NotASeptet {
    /// The octet.
    pub octet: u8,
    /// Its place, counted in octets from 0.
    pub position: usize,
}

/// A locking table with its extension (single shift) table, indexed in both directions.
pub struct Alphabet {
    plain: [char; TABLE_LEN],
    extension: [char; TABLE_LEN],
    /// Codes of U+0000..=U+00FF: nearly every character of nearly every message.
    latin1: [u16; 256],
    /// Codes of the others, sorted by character and padded with `(char::MAX, NO_CODE)`.
    wide: [(char, u16); WIDE_LEN],
}

impl fmt::Debug for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alphabet").finish_non_exhaustive()
    }
}

impl Alphabet {
    /// Indexes the tables. A character in both is encoded by its plain, shorter code.
    #[expect(
        clippy::indexing_slicing,
        reason = "evaluated at compile time: a bad index does not compile"
    )]
    const fn build(plain: [char; TABLE_LEN], extension: &[(u8, char)]) -> Self {
        let mut alphabet = Self {
            plain,
            extension: [NO_CHAR; TABLE_LEN],
            latin1: [NO_CODE; 256],
            wide: [(char::MAX, NO_CODE); WIDE_LEN],
        };
        let mut code: u8 = 0;
        while (code as usize) < TABLE_LEN {
            if code != ESC {
                alphabet.learn(plain[code as usize], code as u16);
            }
            code += 1;
        }
        let mut i = 0;
        while i < extension.len() {
            let (code, character) = extension[i];
            alphabet.extension[code as usize] = character;
            alphabet.learn(character, u16::from_be_bytes([ESC, code]));
            i += 1;
        }
        alphabet
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "evaluated at compile time: a bad index does not compile"
    )]
    const fn learn(&mut self, character: char, code: u16) {
        let scalar = character as u32;
        if scalar < 256 {
            if self.latin1[scalar as usize] == NO_CODE {
                self.latin1[scalar as usize] = code;
            }
            return;
        }
        let mut at = 0;
        while (self.wide[at].0 as u32) < scalar {
            at += 1;
        }
        if self.wide[at].0 as u32 == scalar {
            return;
        }
        let mut last = WIDE_LEN - 1;
        while last > at {
            self.wide[last] = self.wide[last - 1];
            last -= 1;
        }
        self.wide[at] = (character, code);
    }

    /// The code of a character, if it has one.
    #[must_use]
    pub fn code_of(&self, character: char) -> Option<Code> {
        let code = match u8::try_from(character) {
            Ok(latin1) => self.latin1.get(usize::from(latin1)).copied()?,
            Err(_) => {
                let at = self.wide.binary_search_by_key(&character, |entry| entry.0).ok()?;
                self.wide.get(at)?.1
            }
        };
        match code.to_be_bytes() {
            [0, septet] => Some(Code::Plain(septet)),
            [ESC, septet] => Some(Code::Escaped(septet)),
            // NO_CODE; nothing else is ever stored.
            [_, _] => None,
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
        let mut units = Vec::with_capacity(text.len());
        for (position, character) in text.chars().enumerate() {
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
    /// As 23.038 §6.2.1 asks of a phone: an escape before a code that is not in the extension
    /// table shows the plain character; a doubled escape shows one space. A lone escape at the end
    /// is a space too. An octet that is no septet becomes U+FFFD. All four count as lossy.
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
                        let escaped = self.extension_char(code);
                        lossy |= escaped.is_none();
                        escaped.or_else(|| self.plain_char(code))
                    }
                }
            } else {
                self.plain_char(unit)
            };
            text.push(character.unwrap_or_else(|| {
                lossy = true;
                char::REPLACEMENT_CHARACTER
            }));
        }
        (text, lossy)
    }

    fn extension_char(&self, code: u8) -> Option<char> {
        let character = self.extension.get(usize::from(code)).copied()?;
        (character != NO_CHAR).then_some(character)
    }

    fn plain_char(&self, unit: u8) -> Option<char> {
        self.plain.get(usize::from(unit)).copied()
    }
}

/// Bits between a user data header and the first septet, so that septets start on a septet
/// boundary counted from the start of the user data (3GPP TS 23.040 §9.2.3.24). 0 to 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FillBits(u8);

impl FillBits {
    /// No header in front.
    pub const NONE: Self = Self(0);

    /// Behind a header of this many octets, its length octet included.
    #[must_use]
    pub const fn after_header(octets: usize) -> Self {
        // octets * 8 is octets modulo 7.
        match octets % 7 {
            0 => Self(0),
            1 => Self(6),
            2 => Self(5),
            3 => Self(4),
            4 => Self(3),
            5 => Self(2),
            _ => Self(1),
        }
    }

    /// The number of bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// Packs septets into octets, behind the fill bits (which are 0).
pub fn pack(septets: &[u8], fill: FillBits) -> Result<Vec<u8>, NotASeptet> {
    let mut octets = Vec::with_capacity(septets.len() - septets.len() / 8 + 1);
    if septets.is_empty() {
        return Ok(octets);
    }
    let mut waiting: u32 = 0;
    let mut bits = u32::from(fill.0);
    for (position, septet) in septets.iter().copied().enumerate() {
        if septet > 0x7F {
            return Err(NotASeptet {
                octet: septet,
                position,
            });
        }
        waiting |= u32::from(septet) << bits;
        bits += 7;
        // At most 7 + 7 bits wait, so one octet leaves per septet.
        if bits >= 8 {
            let [low, ..] = waiting.to_le_bytes();
            octets.push(low);
            waiting >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        let [low, ..] = waiting.to_le_bytes();
        octets.push(low);
    }
    Ok(octets)
}

/// How many whole septets are in that many octets behind the fill bits.
///
/// # Limits
/// Seven padding bits look like one more septet 0 (`@`): a caller that knows the number of septets
/// must give that number to [`unpack`] instead.
#[must_use]
pub const fn septets_in(octets: usize, fill: FillBits) -> usize {
    (octets * 8).saturating_sub(fill.0 as usize) / 7
}

/// Unpacks `count` septets, or as many as there are.
#[must_use]
pub fn unpack(octets: &[u8], fill: FillBits, count: usize) -> Vec<u8> {
    let count = count.min(septets_in(octets.len(), fill));
    let mut septets = Vec::with_capacity(count);
    let mut waiting: u32 = 0;
    let mut bits: u32 = 0;
    let mut skip = u32::from(fill.0);
    for octet in octets {
        waiting |= u32::from(*octet) << bits;
        bits += 8;
        if skip > 0 {
            // Fewer than 8, and this is the first octet.
            waiting >>= skip;
            bits -= skip;
            skip = 0;
        }
        while bits >= 7 && septets.len() < count {
            let [low, ..] = waiting.to_le_bytes();
            septets.push(low & 0x7F);
            waiting >>= 7;
            bits -= 7;
        }
        if septets.len() == count {
            break;
        }
    }
    septets
}
