//! Cuts an encoded body into parts.
//!
//! A part has 140 octets (3GPP TS 23.040) for header and body: alone 160 septets, 140 octets or 70
//! UTF-16 units, with the 6 octets of an 8-bit concatenation 153, 134 or 67, with more header less.
//! Knows neither carriers nor SMPP; picks no reference number, because the caller knows which are
//! in use towards one phone.
//!
//! Invariants: SG-1, the bodies of the parts one after another are the body that went in. SG-2, no
//! part ends between an escape and its septet or within a surrogate pair. SG-3, [`count_parts`] of
//! a text is the number of parts [`split`] makes of it.
//!
//! # Limits
//! Combining characters and joined emoji may be cut between their code points; phones join parts
//! before they show them.

mod udh;

use std::fmt;

use minicbor::{Decode, Encode};
use thiserror::Error;

pub use udh::{Concat, Element, Udh, UdhError};

use crate::gsm7::ESC;
use crate::text::{self, EncodeError, Encoded, Encoding, Requested};

/// Octets of one part, header included.
pub const PART_OCTETS: usize = 140;
/// Parts of one message: the concatenation counts them in one octet.
pub const MAX_PARTS: u8 = u8::MAX;

/// Octets of a header that holds an 8-bit concatenation and nothing else.
const CONCAT_UDH_OCTETS: usize = 6;
/// The same without the length octet: what is added to a header of the client.
const CONCAT_ELEMENT_OCTETS: usize = 5;
/// Units the longest character takes: an escape pair or a surrogate pair. A part with less room
/// could not take every character.
const LONGEST_CHARACTER: usize = 2;

/// One SMS of a message. `Debug` does not show the body.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Part {
    /// The user data header with its length octet; empty when there is none.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub udh: Vec<u8>,
    /// The units, without the header.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub data: Vec<u8>,
}

impl Part {
    /// Header and units, as short_message or message_payload carries them.
    #[must_use]
    pub fn user_data(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.udh.len() + self.data.len());
        octets.extend_from_slice(&self.udh);
        octets.extend_from_slice(&self.data);
        octets
    }

    /// The peer must be told that user data begins with a header (UDHI, esm_class bit 6).
    #[must_use]
    pub fn has_udh(&self) -> bool {
        !self.udh.is_empty()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("udh", &self.udh)
            .field("data_octets", &self.data.len())
            .finish()
    }
}

/// Why a body cannot be cut into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// It needs more parts than the concatenation can count.
    #[error("text takes {parts} parts, at most {max} are possible")]
    TextTooLong {
        /// Parts it would take.
        parts: usize,
        /// Parts that are possible.
        max: usize,
    },
    /// The header given with the body cannot be read.
    #[error("broken user data header")]
    BrokenUdh(#[source] UdhError),
    /// The header given with the body is longer than its length octet says.
    #[error("{octets} octets behind the user data header")]
    UdhTrailing {
        /// Octets too many.
        octets: usize,
    },
    /// The header given with the body leaves no room for the body.
    #[error("user data header of {octets} octets leaves no room")]
    NoRoom {
        /// Its octets, those of the concatenation included if one is needed.
        octets: usize,
    },
    /// The header given with the body says it is a part already, but the body takes several.
    #[error("body with its own concatenation header takes {parts} parts")]
    AlreadyConcatenated {
        /// Parts it would take.
        parts: usize,
    },
    /// A UCS-2 body with an odd number of octets.
    #[error("ucs2 body has {octets} octets, an odd number")]
    HalfUnit {
        /// Its octets.
        octets: usize,
    },
}

/// Units that fit beside a header of that many octets (its length octet included, 0 for none).
#[must_use]
pub const fn room(encoding: Encoding, udh_octets: usize) -> usize {
    let octets = PART_OCTETS.saturating_sub(udh_octets);
    match encoding {
        Encoding::Gsm7 => octets * 8 / 7,
        Encoding::Latin1 | Encoding::Binary => octets,
        Encoding::Ucs2 => octets / 2,
    }
}

/// Cuts a body into parts; one part without a header when it fits.
pub fn split(body: &Encoded, reference: u8) -> Result<Vec<Part>, SegmentError> {
    split_units(body.encoding, &body.bytes, &[], reference)
}

/// Cuts units into parts, each with the client's header (with its length octet; empty for none).
///
/// The header is kept octet by octet; when the body takes several parts, a concatenation element is
/// put in front of the client's elements. A header that already has one must fit in one part.
pub fn split_units(
    encoding: Encoding,
    units: &[u8],
    client_udh: &[u8],
    reference: u8,
) -> Result<Vec<Part>, SegmentError> {
    if !units.len().is_multiple_of(encoding.unit_octets()) {
        return Err(SegmentError::HalfUnit { octets: units.len() });
    }
    let (client_concat, client_elements) = match client_udh.split_first() {
        None => (None, client_udh),
        Some((_, elements)) => {
            let (udh, trailing) = Udh::parse(client_udh).map_err(SegmentError::BrokenUdh)?;
            if !trailing.is_empty() {
                return Err(SegmentError::UdhTrailing {
                    octets: trailing.len(),
                });
            }
            (udh.concat, elements)
        }
    };
    if client_udh.len() > PART_OCTETS {
        return Err(SegmentError::NoRoom {
            octets: client_udh.len(),
        });
    }
    if units.len() / encoding.unit_octets() <= room(encoding, client_udh.len()) {
        return Ok(vec![Part {
            udh: client_udh.to_vec(),
            data: units.to_vec(),
        }]);
    }

    let udh_octets = 1 + CONCAT_ELEMENT_OCTETS + client_elements.len();
    let no_room = SegmentError::NoRoom { octets: udh_octets };
    let room = room(encoding, udh_octets);
    if room < LONGEST_CHARACTER {
        return Err(no_room);
    }
    let udh_length = u8::try_from(udh_octets - 1).map_err(|_| no_room)?;
    let parts = Cuts::new(encoding, units, room).count();
    if client_concat.is_some() {
        return Err(SegmentError::AlreadyConcatenated { parts });
    }
    let total = u8::try_from(parts).map_err(|_| SegmentError::TextTooLong {
        parts,
        max: usize::from(MAX_PARTS),
    })?;
    Ok((1..=total)
        .zip(Cuts::new(encoding, units, room))
        .map(|(sequence, data)| Part {
            udh: udh::write_concat(udh_length, reference, total, sequence, client_elements),
            data: data.to_vec(),
        })
        .collect())
}

/// The bodies of the parts, in order; never empty ones.
struct Cuts<'a> {
    encoding: Encoding,
    rest: &'a [u8],
    room_octets: usize,
}

impl<'a> Cuts<'a> {
    /// `room` is at least [`LONGEST_CHARACTER`], in units.
    const fn new(encoding: Encoding, units: &'a [u8], room: usize) -> Self {
        Self {
            encoding,
            rest: units,
            room_octets: room * encoding.unit_octets(),
        }
    }
}

impl<'a> Iterator for Cuts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (full, behind) = match self.rest.split_at_checked(self.room_octets) {
            Some((full, behind)) if !behind.is_empty() => (full, behind),
            Some(_) | None => return Some(std::mem::take(&mut self.rest)),
        };
        let keep = full.len() - octets_of_cut_pair(self.encoding, full, behind);
        let (data, rest) = self.rest.split_at(keep);
        self.rest = rest;
        Some(data)
    }
}

/// Octets at the end of `full` that belong to a pair whose other half is at the start of `behind`.
fn octets_of_cut_pair(encoding: Encoding, full: &[u8], behind: &[u8]) -> usize {
    match encoding {
        Encoding::Latin1 | Encoding::Binary => 0,
        Encoding::Gsm7 => {
            // Parts begin between characters, so an escape opens a pair exactly when the run of
            // escapes it ends is odd: a doubled escape is a pair of its own.
            let escapes = full.iter().rev().take_while(|unit| **unit == ESC).count();
            escapes % 2
        }
        Encoding::Ucs2 => {
            let high = matches!(full, [.., 0xD8..=0xDB, _]);
            let low = matches!(behind, [0xDC..=0xDF, ..]);
            if high && low { 2 } else { 0 }
        }
    }
}

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
    let room_of_several = room(encoding, CONCAT_UDH_OCTETS);
    let mut units = text::lead_units(text, encoding);
    let mut parts = 1;
    let mut in_part = units;
    for (position, character) in text.chars().enumerate() {
        let cost = encoding.units_of(character).ok_or(EncodeError::Unmappable {
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
    if units <= room(encoding, 0) {
        parts = 1;
    }
    Ok(PartCount {
        encoding,
        units,
        parts,
    })
}
