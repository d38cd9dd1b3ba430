//! What a text costs in parts, and the choice among encodings by that.
//!
//! Invariant SG-3 of `segment` lives here: what is counted is what splitting makes, with 8-bit references.

use super::{CONCAT_UDH_OCTETS, room};
use crate::gsm7::{Alphabet, Code, Language, Languages, Shifts};
use crate::text::{self, EncodeError, Encoded, Encoding, Requested};

/// What a text will cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartCount {
    /// The encoding it gets.
    pub encoding: Encoding,
    /// Units of the whole text.
    pub units: usize,
    /// Parts it takes, at least 1; more than [`MAX_PARTS`] cannot be sent.
    pub parts: usize,
}

/// Counts the parts of a text without making them: one or two walks over it, no allocation.
pub fn count_parts(text: &str, requested: Requested) -> Result<PartCount, EncodeError> {
    let choices: &[Encoding] = match requested {
        Requested::Auto => &[Encoding::Gsm7, Encoding::Ucs2],
        Requested::AutoOrLatin1 => &[Encoding::Gsm7, Encoding::Latin1, Encoding::Ucs2],
        Requested::Exactly(Encoding::Gsm7) => &[Encoding::Gsm7],
        Requested::Exactly(Encoding::Latin1) => &[Encoding::Latin1],
        Requested::Exactly(Encoding::Ucs2) => &[Encoding::Ucs2],
        Requested::Exactly(Encoding::Binary) => &[],
    };
    let mut refused = EncodeError::TextAsBinary;
    for encoding in choices {
        match count_as(text, *encoding) {
            Ok(count) => return Ok(count),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn count_as(text: &str, encoding: Encoding) -> Result<PartCount, EncodeError> {
    count_by(text, encoding, Shifts::NONE, |character| {
        encoding.units_of(character)
    })
}

/// Counts with the units that each character takes; those of the tables named beside.
fn count_by(
    text: &str,
    encoding: Encoding,
    shifts: Shifts,
    units_of: impl Fn(char) -> Option<usize>,
) -> Result<PartCount, EncodeError> {
    let room_of_several = room(encoding, CONCAT_UDH_OCTETS + shifts.element_octets());
    let mut units = text::lead_units(text, encoding);
    let mut parts = 1;
    let mut in_part = units;
    for (position, character) in text.chars().enumerate() {
        let cost = units_of(character).ok_or(EncodeError::Unmappable {
            encoding,
            character,
            position,
        })?;
        units += cost;
        in_part += cost;
        if in_part > room_of_several {
            parts += 1;
            in_part = cost;
        }
    }
    if units <= room(encoding, shifts.header_octets()) {
        parts = 1;
    }
    Ok(PartCount {
        encoding,
        units,
        parts,
    })
}

/// What a text will cost, and with which tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Encoding, units and parts.
    pub count: PartCount,
    /// The national tables; none unless the encoding is GSM 7-bit.
    pub shifts: Shifts,
}

/// The cheapest way to write a text, when the tables of some languages may be used. The same text and set give the same
/// answer always:
///
/// 1. the default alphabet, if it has every character, even where a national table would take fewer parts: every phone
///    reads it;
/// 2. the national tables (locking, single or both) that take the fewest parts, the elements of the header counted, if
///    that is fewer than UCS-2 takes: for the same price every phone reads UCS-2, and not every one national tables. Among
///    equals the fewest octets, then a single shift rather than a locking one, then the order of the identifiers;
/// 3. UCS-2.
#[must_use]
pub fn choose(text: &str, allowed: Languages) -> Choice {
    let plain = count_parts(text, Requested::Auto).expect("UCS-2 has every character");
    let mut best = Choice {
        count: plain,
        shifts: Shifts::NONE,
    };
    // Fewer than two parts cannot be had.
    if plain.encoding == Encoding::Gsm7 || plain.parts == 1 || allowed.is_empty() {
        return best;
    }
    let mut best_rank = None;
    for shifts in fitting(text, allowed) {
        let alphabet = Alphabet::of(shifts);
        let count = count_by(text, Encoding::Gsm7, shifts, |character| {
            alphabet.code_of(character).map(Code::septets)
        });
        let Ok(count) = count else {
            continue;
        };
        let trust = match (shifts.locking, shifts.single) {
            (None, _) => 0,
            (Some(_), None) => 1,
            (Some(_), Some(_)) => 2,
        };
        let rank = (count.parts, trust, count.units);
        if count.parts < plain.parts && best_rank.is_none_or(|best| rank < best) {
            best = Choice { count, shifts };
            best_rank = Some(rank);
        }
    }
    best
}

/// The text, written as [`choose`] says.
#[must_use]
pub fn encode_cheapest(text: &str, allowed: Languages) -> Encoded {
    // The first rule: what the default alphabet can write it does, and nothing is counted.
    if let Ok(encoded) = text::encode_shifted(text, Shifts::NONE) {
        return encoded;
    }
    let Choice { count, shifts } = choose(text, allowed);
    let encoded = match count.encoding {
        Encoding::Gsm7 => text::encode_shifted(text, shifts),
        encoding @ (Encoding::Latin1 | Encoding::Ucs2 | Encoding::Binary) => {
            text::encode(text, Requested::Exactly(encoding))
        }
    };
    encoded.expect("the choice has every character")
}

/// The pairs of tables that have every character, in the order of preference: single shifts alone first. One walk over
/// the text: a character outside both tables of a pair strikes the pair out.
fn fitting(text: &str, allowed: Languages) -> Vec<Shifts> {
    let tables = || std::iter::once(None).chain(allowed.iter().map(Some));
    let mut pairs: Vec<(Shifts, Alphabet)> = tables()
        .flat_map(|locking| tables().map(move |single| Shifts { locking, single }))
        .filter(|shifts| !shifts.is_none() && shifts.locking != Some(Language::Spanish))
        .map(|shifts| (shifts, Alphabet::of(shifts)))
        .collect();
    let mut seen = [0_u64; 2];
    for character in text.chars() {
        // ASCII repeats itself: each of its characters strikes once.
        if character.is_ascii() {
            let (word, bit) = (usize::from(character >= '@'), u32::from(character) % 64);
            match seen.get_mut(word) {
                Some(word) if *word >> bit & 1 == 1 => continue,
                Some(word) => *word |= 1 << bit,
                None => {}
            }
        }
        pairs.retain(|(_, alphabet)| alphabet.code_of(character).is_some());
        if pairs.is_empty() {
            break;
        }
    }
    pairs.into_iter().map(|(shifts, _)| shifts).collect()
}
