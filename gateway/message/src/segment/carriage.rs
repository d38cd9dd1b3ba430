//! How a message of several parts is carried, and the parts that makes.
//!
//! ```text
//! udh8     UDHL 00 03 ref total n | ..   6 octets of header in each part
//! udh16    UDHL 08 04 ref ref total n    7 octets
//! sar      no header; sar_msg_ref_num, sar_total_segments, sar_segment_seqnum beside each part (SMPP 3.4 §5.3.2.22 ff.)
//! payload  no header, one body in message_payload (SMPP 3.4 §5.3.2.32); the SMSC cuts it
//! ```
//! National shifts and the client's elements are in the header of every part, whatever the carriage. Writes no TLV and
//! knows no carrier: which carriage an operator wants is configuration.
//!
//! # Limits
//! Elements of the client that count characters of the whole text (e-mail header, hyperlink) are repeated as they are.

use super::cuts::Cuts;
use super::{CONCAT_UDH_OCTETS, LONGEST_CHARACTER, MAX_PARTS, PART_OCTETS, Part, SegmentError, room};
use crate::gsm7::Shifts;
use crate::text::{Encoded, Encoding};
use crate::udh::{self, Concat, Udh};
use crate::up::Sar;

/// Octets of a message_payload, header included: what the length of a TLV can count.
pub const PAYLOAD_OCTETS: usize = 65_535;

/// How the parts of a long message are told to belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Carriage {
    /// A header with an 8-bit reference: understood everywhere.
    #[default]
    Udh8,
    /// A header with a 16-bit reference: fewer collisions, one octet less for the text.
    Udh16,
    /// TLVs beside the parts.
    Sar,
    /// The whole message in message_payload.
    Payload,
}

impl Carriage {
    /// Every carriage.
    pub const ALL: [Self; 4] = [Self::Udh8, Self::Udh16, Self::Sar, Self::Payload];

    /// The word in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udh8 => "udh8",
            Self::Udh16 => "udh16",
            Self::Sar => "sar",
            Self::Payload => "payload",
        }
    }

    /// The carriage of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|carriage| carriage.as_str() == word)
    }

    /// Octets its concatenation takes in the header of a part, the length octet not counted.
    const fn element_octets(self) -> usize {
        match self {
            Self::Udh8 => 5,
            Self::Udh16 => 6,
            Self::Sar | Self::Payload => 0,
        }
    }
}

/// How much of a part a body may fill when SAR TLVs carry the concatenation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SarRoom {
    /// What is left beside the header that the SMSC writes for the phone: 153 septets, 134 octets or 67 UTF-16 units. A
    /// fuller part cannot go over the air as one SMS with its concatenation; SMSCs refuse it, or the phone shows the
    /// parts as messages of their own.
    #[default]
    BesideConcat,
    /// All of it: 160 septets, 140 octets or 70 units. For carriers that ask for it, and peers that join parts
    /// themselves.
    Full,
}

/// How to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How the parts are told to belong together.
    pub carriage: Carriage,
    /// Common to the parts; an 8-bit reference takes its low octet.
    pub reference: u16,
    /// SMS the message may take, those an SMSC makes of a payload included.
    pub max_parts: u8,
    /// For [`Carriage::Sar`].
    pub sar_room: SarRoom,
}

impl Plan {
    /// The plan without a limit of its own.
    #[must_use]
    pub const fn of(carriage: Carriage, reference: u16) -> Self {
        Self {
            carriage,
            reference,
            max_parts: MAX_PARTS,
            sar_room: SarRoom::BesideConcat,
        }
    }

    /// What the header of one of several parts says.
    const fn concat(&self, total: u8, sequence: u8) -> Option<Concat> {
        let (reference, wide) = match self.carriage {
            Carriage::Udh8 => (self.reference & 0xFF, false),
            Carriage::Udh16 => (self.reference, true),
            Carriage::Sar | Carriage::Payload => return None,
        };
        Some(Concat {
            reference,
            wide,
            total,
            sequence,
        })
    }
}

/// What to cut.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    /// How it is written.
    pub encoding: Encoding,
    /// The units, as octets.
    pub units: &'a [u8],
    /// National tables it is written with.
    pub shifts: Shifts,
    /// The client's header with its length octet; empty for none.
    pub udh: &'a [u8],
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("encoding", &self.encoding)
            .field("octets", &self.units.len())
            .field("shifts", &self.shifts)
            .field("udh", &self.udh)
            .finish()
    }
}

impl<'a> From<&'a Encoded> for Body<'a> {
    fn from(encoded: &'a Encoded) -> Self {
        Self {
            encoding: encoded.encoding,
            units: &encoded.bytes,
            shifts: encoded.shifts,
            udh: &[],
        }
    }
}

/// A message that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// The parts, in order; at least one.
    pub parts: Vec<Part>,
    /// SMS it takes: as many as parts, but those the SMSC is expected to make of a payload.
    pub messages: usize,
    /// Reference of the SAR TLVs, when these carry the concatenation.
    sar_reference: Option<u16>,
}

impl Segments {
    /// The SAR TLVs of a part, counted from 1; `None` when it has none.
    #[must_use]
    pub fn sar(&self, number: u8) -> Option<Sar> {
        let reference = self.sar_reference?;
        let total = u8::try_from(self.parts.len()).ok()?;
        (1..=total).contains(&number).then_some(Sar {
            reference,
            total,
            number,
        })
    }
}

/// Cuts a body as planned; one part without a concatenation when it fits in one.
///
/// The client's header is kept octet by octet. In front of its elements stand the concatenation, when there are several
/// parts, and the national shifts. A client's header that already has a concatenation must fit in one part.
pub fn split_by(body: Body<'_>, plan: Plan) -> Result<Segments, SegmentError> {
    let Body {
        encoding,
        units,
        shifts,
        udh: client_udh,
    } = body;
    if !units.len().is_multiple_of(encoding.unit_octets()) {
        return Err(SegmentError::HalfUnit { octets: units.len() });
    }
    let (concatenated, elements) = client_header(client_udh, shifts)?;
    let alone = match shifts.element_octets() + elements.len() {
        // A header without elements is kept like any other.
        0 => client_udh.len(),
        elements => 1 + elements,
    };
    if alone > PART_OCTETS {
        return Err(SegmentError::NoRoom { octets: alone });
    }
    if units.len() / encoding.unit_octets() <= room(encoding, alone) {
        check_parts(1, plan)?;
        return Ok(Segments {
            parts: vec![Part {
                udh: header(None, shifts, client_udh, elements)?,
                data: units.to_vec(),
            }],
            messages: 1,
            sar_reference: None,
        });
    }

    let udh_octets = 1 + plan.carriage.element_octets() + shifts.element_octets() + elements.len();
    let taken = match plan.carriage {
        Carriage::Udh8 | Carriage::Udh16 => udh_octets,
        Carriage::Sar if plan.sar_room == SarRoom::Full => alone,
        // What the SMSC will need, with the 8-bit reference that is the custom.
        Carriage::Sar | Carriage::Payload => CONCAT_UDH_OCTETS + shifts.element_octets() + elements.len(),
    };
    let room = room(encoding, taken);
    if room < LONGEST_CHARACTER {
        return Err(SegmentError::NoRoom { octets: taken });
    }
    let messages = Cuts::new(encoding, units, room).count();
    if concatenated {
        return Err(SegmentError::AlreadyConcatenated { parts: messages });
    }
    let total = check_parts(messages, plan)?;
    if plan.carriage == Carriage::Payload {
        let octets = alone + units.len();
        if octets > PAYLOAD_OCTETS {
            return Err(SegmentError::PayloadTooLong {
                octets,
                max: PAYLOAD_OCTETS,
            });
        }
        return Ok(Segments {
            parts: vec![Part {
                udh: header(None, shifts, client_udh, elements)?,
                data: units.to_vec(),
            }],
            messages,
            sar_reference: None,
        });
    }

    let mut parts = Vec::with_capacity(messages);
    for (sequence, data) in (1..=total).zip(Cuts::new(encoding, units, room)) {
        let concat = plan.concat(total, sequence);
        parts.push(Part {
            udh: header(concat, shifts, client_udh, elements)?,
            data: data.to_vec(),
        });
    }
    Ok(Segments {
        parts,
        messages,
        sar_reference: (plan.carriage == Carriage::Sar).then_some(plan.reference),
    })
}

/// Whether the client's header has a concatenation already, and its elements as they are.
fn client_header(udh: &[u8], shifts: Shifts) -> Result<(bool, &[u8]), SegmentError> {
    let Some((_, elements)) = udh.split_first() else {
        return Ok((false, &[]));
    };
    let (header, trailing) = Udh::parse(udh).map_err(SegmentError::BrokenUdh)?;
    if !trailing.is_empty() {
        return Err(SegmentError::UdhTrailing {
            octets: trailing.len(),
        });
    }
    if !shifts.is_none() && !header.shifts().is_none() {
        return Err(SegmentError::ShiftsTwice);
    }
    Ok((header.concat.is_some(), elements))
}

fn check_parts(parts: usize, plan: Plan) -> Result<u8, SegmentError> {
    match u8::try_from(parts) {
        Ok(total) if total <= plan.max_parts => Ok(total),
        Ok(_) | Err(_) => Err(SegmentError::TextTooLong {
            parts,
            max: usize::from(plan.max_parts),
        }),
    }
}

/// The header of a part; the client's own where nothing is added to it.
fn header(
    concat: Option<Concat>,
    shifts: Shifts,
    client_udh: &[u8],
    elements: &[u8],
) -> Result<Vec<u8>, SegmentError> {
    if concat.is_none() && shifts.is_none() {
        return Ok(client_udh.to_vec());
    }
    udh::write(concat, shifts, elements).map_err(SegmentError::BrokenUdh)
}
