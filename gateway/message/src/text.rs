//! Text to units and back: the four encodings a message body can have, and the choice among them.
//!
//! *Units* are octets as SMPP carries them: GSM 7-bit unpacked (one octet per septet), Latin-1 and
//! binary one octet each, UCS-2 as UTF-16BE, two octets each. How many units fit in a part is
//! `segment`'s business; this module knows no part, no header and no carrier.
//!
//! Invariant TX-1: [`decode`] of what [`encode`] made is the text that went in, not lossy; so is [`decode_shifted`] of
//! what [`encode_shifted`] made with the same tables. A
//! character that does not fit is an error, never a `?`.
//!
//! # Limits
//! Little-endian UCS-2 without a byte order mark is recognised only when the text is ASCII and at
//! least four characters long; other little-endian text comes out as the wrong characters, which is
//! why whoever receives it also gets the raw octets.

mod ucs2;

use crate::quick::words;
use std::fmt;

use minicbor::{Decode, Encode};
use thiserror::Error;

pub use crate::dcs::{DataCoding, GsmClass};
pub use ucs2::ByteOrder;

use crate::gsm7::{self, Alphabet, Shifts, Unmappable};

/// How the body of a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Encoding {
    /// GSM 7-bit default alphabet with its extension table.
    #[n(0)]
    Gsm7,
    /// ISO 8859-1.
    #[n(1)]
    Latin1,
    /// UTF-16BE, called UCS-2 by the standards; surrogate pairs are used.
    #[n(2)]
    Ucs2,
    /// Octets without a text.
    #[n(3)]
    Binary,
}

words!(Encoding: Gsm7, Latin1, Ucs2, Binary);

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 4] = [Self::Gsm7, Self::Latin1, Self::Ucs2, Self::Binary];

    /// The word used in the API, in logs and as a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Latin1 => "latin1",
            Self::Ucs2 => "ucs2",
            Self::Binary => "binary",
        }
    }

    /// The encoding of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.as_str() == word)
    }

    /// Octets in one unit.
    #[must_use]
    pub const fn unit_octets(self) -> usize {
        match self {
            Self::Gsm7 | Self::Latin1 | Self::Binary => 1,
            Self::Ucs2 => 2,
        }
    }

    /// Units one character takes: what it costs in a part. `None` when it does not fit.
    #[must_use]
    pub fn units_of(self, character: char) -> Option<usize> {
        match self {
            Self::Gsm7 => gsm7::DEFAULT.code_of(character).map(gsm7::Code::septets),
            Self::Latin1 => u8::try_from(character).ok().map(|_| 1),
            Self::Ucs2 => Some(character.len_utf16()),
            Self::Binary => None,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which encoding the sender wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Requested {
    /// The cheapest that is safe everywhere: GSM 7-bit if every character fits, else UCS-2.
    #[default]
    Auto,
    /// The same, with Latin-1 tried before UCS-2: for carriers known to handle it.
    AutoOrLatin1,
    /// This one or an error.
    Exactly(Encoding),
}

/// Why a text cannot be encoded as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A character the encoding does not have.
    #[error(
        "character U+{:04X} at position {position} cannot be written in {encoding}",
        u32::from(*.character)
    )]
    Unmappable {
        /// What was asked for.
        encoding: Encoding,
        /// The character.
        character: char,
        /// Its place in the text, counted in characters from 0.
        position: usize,
    },
    /// Binary was asked for with a text instead of octets.
    #[error("a text cannot be written as binary")]
    TextAsBinary,
}

impl From<Unmappable> for EncodeError {
    fn from(error: Unmappable) -> Self {
        Self::Unmappable {
            encoding: Encoding::Gsm7,
            character: error.character,
            position: error.position,
        }
    }
}

/// A body ready to be cut into parts. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    /// How it is written.
    pub encoding: Encoding,
    /// With which national tables, when it is GSM 7-bit; none else.
    pub shifts: Shifts,
    /// The units, as octets.
    pub bytes: Vec<u8>,
}

impl Encoded {
    /// Octets the client gave as they are.
    #[must_use]
    pub const fn binary(bytes: Vec<u8>) -> Self {
        Self::plain(Encoding::Binary, bytes)
    }

    const fn plain(encoding: Encoding, bytes: Vec<u8>) -> Self {
        Self {
            encoding,
            shifts: Shifts::NONE,
            bytes,
        }
    }

    /// Units in the body: septets, octets or UTF-16 units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.bytes.len() / self.encoding.unit_octets()
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("encoding", &self.encoding)
            .field("units", &self.units())
            .finish()
    }
}

/// A text read from units. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The text.
    pub text: String,
    /// The text alone does not give the octets back: something had no meaning in this encoding, or
    /// the body is binary and there is no text.
    pub lossy: bool,
    /// How the octets of a UCS-2 body were ordered; `None` for other encodings.
    pub byte_order: Option<ByteOrder>,
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("text_octets", &self.text.len())
            .field("lossy", &self.lossy)
            .field("byte_order", &self.byte_order)
            .finish()
    }
}

/// Writes a text in the requested encoding, or in the cheapest one. National tables are never chosen here: that takes
/// counting parts, see [`segment::encode_cheapest`](crate::segment::encode_cheapest).
pub fn encode(text: &str, requested: Requested) -> Result<Encoded, EncodeError> {
    match requested {
        Requested::Exactly(encoding) => Ok(Encoded::plain(encoding, encode_as(text, encoding)?)),
        Requested::Auto | Requested::AutoOrLatin1 => {
            if let Ok(bytes) = gsm7::DEFAULT.encode(text) {
                return Ok(Encoded::plain(Encoding::Gsm7, bytes));
            }
            if requested == Requested::AutoOrLatin1
                && let Ok(bytes) = encode_as(text, Encoding::Latin1)
            {
                return Ok(Encoded::plain(Encoding::Latin1, bytes));
            }
            Ok(Encoded::plain(Encoding::Ucs2, ucs2::encode(text)))
        }
    }
}

/// Writes a text in GSM 7-bit with these national tables.
pub fn encode_shifted(text: &str, shifts: Shifts) -> Result<Encoded, EncodeError> {
    Ok(Encoded {
        encoding: Encoding::Gsm7,
        shifts,
        bytes: Alphabet::of(shifts).encode(text)?,
    })
}

/// Units in front of the characters of a text in that encoding: the byte order mark of the few
/// UCS-2 texts that cannot do without.
pub(crate) fn lead_units(text: &str, encoding: Encoding) -> usize {
    match encoding {
        Encoding::Ucs2 => usize::from(ucs2::needs_mark(text)),
        Encoding::Gsm7 | Encoding::Latin1 | Encoding::Binary => 0,
    }
}

fn encode_as(text: &str, encoding: Encoding) -> Result<Vec<u8>, EncodeError> {
    match encoding {
        Encoding::Gsm7 => Ok(gsm7::DEFAULT.encode(text)?),
        Encoding::Latin1 => text
            .chars()
            .enumerate()
            .map(|(position, character)| {
                u8::try_from(character).map_err(|_| EncodeError::Unmappable {
                    encoding,
                    character,
                    position,
                })
            })
            .collect(),
        Encoding::Ucs2 => Ok(ucs2::encode(text)),
        Encoding::Binary => Err(EncodeError::TextAsBinary),
    }
}

/// Reads the units of a whole message, whatever a peer sent: parts are joined first, so that a byte
/// order mark in the first part speaks for all of them.
#[must_use]
pub fn decode(encoding: Encoding, bytes: &[u8]) -> Decoded {
    decode_shifted(encoding, Shifts::NONE, bytes)
}

/// The same, with the national tables that the header of the part names; they change nothing but GSM 7-bit. Parts whose
/// headers name different ones are read one by one.
#[must_use]
pub fn decode_shifted(encoding: Encoding, shifts: Shifts, bytes: &[u8]) -> Decoded {
    match encoding {
        Encoding::Gsm7 => {
            let (text, lossy) = Alphabet::of(shifts).decode(bytes);
            Decoded {
                text,
                lossy,
                byte_order: None,
            }
        }
        Encoding::Latin1 => Decoded {
            text: bytes.iter().copied().map(char::from).collect(),
            lossy: false,
            byte_order: None,
        },
        Encoding::Ucs2 => ucs2::decode(bytes),
        Encoding::Binary => Decoded {
            text: String::new(),
            lossy: !bytes.is_empty(),
            byte_order: None,
        },
    }
}
