//! Cuts an encoded body into parts.
//!
//! A part has 140 octets (3GPP TS 23.040) for header and body: alone 160 septets, 140 octets or 70
//! UTF-16 units, with the 6 octets of an 8-bit concatenation 153, 134 or 67, with more header less. Septets begin on a
//! septet boundary behind the header, so a header of any length costs whole septets.
//! How a message of several parts says so is its [`Carriage`]. Knows neither carriers nor PDUs; picks no reference
//! number, because the caller knows which are in use towards one phone.
//!
//! Invariants: SG-1, the bodies of the parts one after another are the body that went in. SG-2, no
//! part ends between an escape and its septet or within a surrogate pair. SG-3, [`count_parts`] of
//! a text is the number of parts [`split`] makes of it; [`choose`] likewise for [`encode_cheapest`]. SG-4, a part whose
//! body is written with national tables names them in its header.
//!
//! # Limits
//! Combining characters and joined emoji may be cut between their code points; phones join parts
//! before they show them.

mod carriage;
mod count;
mod cuts;

use std::fmt;

use minicbor::{Decode, Encode};
use thiserror::Error;

pub use carriage::{Body, Carriage, PAYLOAD_OCTETS, Plan, SarRoom, Segments, split_by};
pub use count::{Choice, PartCount, choose, count_parts, encode_cheapest};

pub use crate::udh::{Concat, Element, Udh, UdhError};

use crate::gsm7::Shifts;
use crate::quick::write::{self, Put};
use crate::quick::{Octets, Quick};
use crate::text::{Encoded, Encoding};

/// Octets of one part, header included.
pub const PART_OCTETS: usize = 140;
/// Parts of one message: the concatenation counts them in one octet.
pub const MAX_PARTS: u8 = u8::MAX;

/// Octets of a header that holds an 8-bit concatenation and nothing else.
const CONCAT_UDH_OCTETS: usize = 6;
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

impl Quick<'_> for Part {
    fn read(octets: &mut Octets<'_>) -> Option<Self> {
        let mut elements = octets.elements()?;
        let udh = elements.next_bytes()?;
        let data = elements.next_bytes()?;
        elements.end()?;
        Some(Self { udh, data })
    }
}

impl Put for Part {
    fn put(&self, out: &mut Vec<u8>) {
        write::array(out, [false; 2]);
        write::bytes(out, &self.udh);
        write::bytes(out, &self.data);
    }
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

    /// The national tables its units are written with.
    #[must_use]
    pub fn shifts(&self) -> Shifts {
        Shifts::of_header(&self.udh)
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
    /// The header given with the body names national tables, and so does the body.
    #[error("national tables in the user data header and beside it")]
    ShiftsTwice,
    /// More than message_payload can hold.
    #[error("payload of {octets} octets, at most {max} are possible")]
    PayloadTooLong {
        /// Its octets, header included.
        octets: usize,
        /// Octets that are possible.
        max: usize,
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

/// Cuts a body into parts; one part without a concatenation when it fits.
pub fn split(body: &Encoded, reference: u8) -> Result<Vec<Part>, SegmentError> {
    let plan = Plan::of(Carriage::Udh8, u16::from(reference));
    Ok(split_by(Body::from(body), plan)?.parts)
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
    let body = Body {
        encoding,
        units,
        shifts: Shifts::NONE,
        udh: client_udh,
    };
    Ok(split_by(body, Plan::of(Carriage::Udh8, u16::from(reference)))?.parts)
}
