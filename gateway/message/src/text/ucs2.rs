//! UTF-16 as messages carry it: big-endian by the standards, sometimes little-endian or marked by
//! handsets and clients (carrier quirks, item 36).
//!
//! Knows nothing of parts. Never refuses octets: what cannot be read becomes U+FFFD and is flagged.

use super::Decoded;
use minicbor::{Decode, Encode};

/// Fewer units than this are never taken for little-endian without a mark: "一" alone (4E 00) is a
/// text people send.
const GUESS_MIN_UNITS: usize = 4;

/// How the octets of a UCS-2 body were ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ByteOrder {
    /// Big-endian without a mark, as the standards want it.
    #[n(0)]
    Big,
    /// Big-endian behind a byte order mark, which was removed.
    #[n(1)]
    BigMarked,
    /// Little-endian behind a byte order mark, which was removed.
    #[n(2)]
    LittleMarked,
    /// Little-endian without a mark, guessed: as big-endian it made no sense, as little-endian it
    /// is ASCII.
    #[n(3)]
    LittleGuessed,
}

impl ByteOrder {
    /// The word in APIs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Big => "big",
            Self::BigMarked => "big-marked",
            Self::LittleMarked => "little-marked",
            Self::LittleGuessed => "little-guessed",
        }
    }
}

/// Whether the text must be sent behind a byte order mark, because without one [`decode`] would
/// take its first character for the mark or the whole for little-endian. No text in a language
/// does; it costs one unit.
pub(super) fn needs_mark(text: &str) -> bool {
    if text.starts_with(['\u{FEFF}', '\u{FFFE}']) {
        return true;
    }
    let mut units = 0;
    for unit in text.encode_utf16() {
        let [high, low] = unit.to_be_bytes();
        if !is_little_endian_ascii_unit([high, low]) {
            return false;
        }
        units += 1;
    }
    units >= GUESS_MIN_UNITS
}

pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() * 2);
    if needs_mark(text) {
        bytes.extend_from_slice(&[0xFE, 0xFF]);
    }
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&unit.to_be_bytes());
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let (byte_order, body) = match bytes {
        [0xFE, 0xFF, body @ ..] => (ByteOrder::BigMarked, body),
        [0xFF, 0xFE, body @ ..] => (ByteOrder::LittleMarked, body),
        body if is_little_endian_ascii(body) => (ByteOrder::LittleGuessed, body),
        body => (ByteOrder::Big, body),
    };
    let (pairs, half) = body.as_chunks::<2>();
    let units = pairs.iter().map(|pair| match byte_order {
        ByteOrder::Big | ByteOrder::BigMarked => u16::from_be_bytes(*pair),
        ByteOrder::LittleMarked | ByteOrder::LittleGuessed => u16::from_le_bytes(*pair),
    });
    let mut lossy = false;
    let mut text = String::with_capacity(body.len());
    for character in char::decode_utf16(units) {
        text.push(character.unwrap_or_else(|_| {
            lossy = true;
            char::REPLACEMENT_CHARACTER
        }));
    }
    if !half.is_empty() {
        lossy = true;
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Decoded {
        text,
        lossy,
        byte_order: Some(byte_order),
    }
}

fn is_little_endian_ascii(body: &[u8]) -> bool {
    let (pairs, half) = body.as_chunks::<2>();
    half.is_empty()
        && pairs.len() >= GUESS_MIN_UNITS
        && pairs.iter().copied().all(is_little_endian_ascii_unit)
}

const fn is_little_endian_ascii_unit(octets: [u8; 2]) -> bool {
    let [first, second] = octets;
    second == 0 && matches!(first, b'\n' | b'\r' | b' '..=b'~')
}
