//! The user data header (3GPP TS 23.040 §9.2.3.24): an octet with the length of what follows, then
//! elements of identifier, length and data.
//!
//! ```text
//! UDHL | IEI IEDL data.. | IEI IEDL data.. |
//!  05  | 00  03  ref total sequence        |   concatenation, 8-bit reference
//!  06  | 08  04  ref ref total sequence    |   concatenation, 16-bit reference
//!  06  | 05  04  to to from from           |   application ports, 16 bits
//!  03  | 24  01  language                  |   national language single shift
//! ```
//! Reads what a peer sent and never panics on it. [`Udh::parse`] is for those who refuse a header that does not add up,
//! [`Udh::read`] for those who must go on with it. Knows no message, no alphabet and no part limits.
//!
//! Invariants: UH-1, every element other than the concatenation in force is kept octet for octet, in its order, and
//! [`Udh::to_octets`] writes it again. UH-2, whatever is passed over is counted in [`Tolerated`].
//!
//! # Limits
//! A length octet bounds everything: at most 255 octets and 127 elements. Where the concatenation stood among the others
//! is not kept: it is written first. Elements whose positions count characters (text formatting, 0x0A, and its kin) are
//! carried, not adjusted.

mod element;

use thiserror::Error;

pub use element::{Element, ElementKind, Indication, Ports, Waiting, id};

use crate::gsm7::{Language, Shifts};

/// Octets a length octet can count.
const MAX_LENGTH: usize = 255;

/// The place of a part in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Concat {
    /// Common to the parts of one message.
    pub reference: u16,
    /// The reference was written in 16 bits: 7 in 8 bits and 7 in 16 bits are two references.
    pub wide: bool,
    /// Parts of the message, at least 1.
    pub total: u8,
    /// This part, from 1 to `total`.
    pub sequence: u8,
}

impl Concat {
    fn of(element: u8, data: &[u8]) -> Option<Self> {
        let (reference, wide, total, sequence) = match (element, data) {
            (id::CONCAT_8_BIT, &[reference, total, sequence]) => {
                (u16::from(reference), false, total, sequence)
            }
            (id::CONCAT_16_BIT, &[high, low, total, sequence]) => {
                (u16::from_be_bytes([high, low]), true, total, sequence)
            }
            _ => return None,
        };
        // §9.2.3.24.1: a receiver ignores the element when one of these does not hold.
        (total > 0 && sequence > 0 && sequence <= total).then_some(Self {
            reference,
            wide,
            total,
            sequence,
        })
    }

    /// The element, its identifier and length in front.
    fn write(self, octets: &mut Vec<u8>) {
        let [high, low] = self.reference.to_be_bytes();
        if self.wide {
            octets.extend_from_slice(&[id::CONCAT_16_BIT, 4, high, low, self.total, self.sequence]);
        } else {
            octets.extend_from_slice(&[id::CONCAT_8_BIT, 3, low, self.total, self.sequence]);
        }
    }
}

/// What was wrong with a header that was read all the same, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tolerated {
    /// Concatenation elements of a wrong length or with impossible values: no parts, no number, a number above the
    /// parts. They are among the others.
    pub broken_concats: u8,
    /// Concatenation elements that a later one replaced (§9.2.3.24: the last one counts). They are gone.
    pub replaced_concats: u8,
    /// Other elements that cannot mean what their identifier says. They are among the others, and mean nothing.
    pub broken_elements: u8,
    /// Octets at the end that are no whole element. They are not written again.
    pub cut_octets: u8,
    /// Octets that the length octet promised and that were not there.
    pub missing_octets: u8,
}

impl Tolerated {
    /// Nothing was wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A header that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Udh {
    /// The concatenation; the last one when there are several (§9.2.3.24).
    pub concat: Option<Concat>,
    /// Everything else, in its order.
    pub others: Vec<Element>,
    /// What was wrong with it.
    pub tolerated: Tolerated,
}

/// Why a header cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UdhError {
    /// No length octet.
    #[error("user data header expected, nothing present")]
    Missing,
    /// The length octet promises more than there is.
    #[error("user data header of {announced} octets announced, {present} present")]
    Truncated {
        /// What the length octet says.
        announced: usize,
        /// Octets behind the length octet.
        present: usize,
    },
    /// An element reaches over the end of the header.
    #[error("element 0x{id:02X} of the user data header ends behind the header")]
    ElementTooLong {
        /// Its identifier.
        id: u8,
    },
    /// More octets than a length octet can count.
    #[error("user data header of {octets} octets, at most 255 are possible")]
    TooLong {
        /// Its octets, the length octet not counted.
        octets: usize,
    },
}

impl Udh {
    /// Reads the header at the start of user data; also gives what is behind it. A header that does not add up is an
    /// error, as §9.2.3.24 has it ignored as a whole.
    pub fn parse(user_data: &[u8]) -> Result<(Self, &[u8]), UdhError> {
        let (length, rest) = user_data.split_first().ok_or(UdhError::Missing)?;
        let announced = usize::from(*length);
        let (header, body) = rest.split_at_checked(announced).ok_or(UdhError::Truncated {
            announced,
            present: rest.len(),
        })?;
        let (udh, cut) = Self::of_elements(header);
        match cut.first() {
            Some(id) => Err(UdhError::ElementTooLong { id: *id }),
            None => Ok((udh, body)),
        }
    }

    /// Reads a header whatever is wrong with it: a length beyond the end ends there, elements in front of one that does
    /// not fit count. `None` when there is not even a length octet.
    #[must_use]
    pub fn read(user_data: &[u8]) -> Option<(Self, &[u8])> {
        let (length, rest) = user_data.split_first()?;
        let announced = usize::from(*length);
        let (header, body) = rest.split_at_checked(announced).unwrap_or((rest, &[]));
        let (mut udh, cut) = Self::of_elements(header);
        udh.tolerated.cut_octets = octet_count(cut.len());
        udh.tolerated.missing_octets = octet_count(announced - header.len());
        Some((udh, body))
    }

    /// The whole elements, and what is left behind them.
    fn of_elements(mut octets: &[u8]) -> (Self, &[u8]) {
        let mut udh = Self::default();
        while let [id, length, rest @ ..] = octets
            && let Some((data, rest)) = rest.split_at_checked(usize::from(*length))
        {
            udh.take(*id, data);
            octets = rest;
        }
        (udh, octets)
    }

    fn take(&mut self, element: u8, data: &[u8]) {
        if let Some(concat) = Concat::of(element, data) {
            if self.concat.replace(concat).is_some() {
                self.tolerated.replaced_concats += 1;
            }
            return;
        }
        let element = Element {
            id: element,
            data: data.to_vec(),
        };
        if matches!(element.id, id::CONCAT_8_BIT | id::CONCAT_16_BIT) {
            self.tolerated.broken_concats += 1;
        } else if element.is_broken() {
            self.tolerated.broken_elements += 1;
        }
        self.others.push(element);
    }

    /// The header as user data begins with it: the length octet, the concatenation, the others in their order. Empty
    /// when there is no element.
    pub fn to_octets(&self) -> Result<Vec<u8>, UdhError> {
        let mut octets = vec![0];
        if let Some(concat) = self.concat {
            concat.write(&mut octets);
        }
        for element in &self.others {
            let length = u8::try_from(element.data.len()).map_err(|_| UdhError::TooLong {
                octets: 2 + element.data.len(),
            })?;
            octets.extend_from_slice(&[element.id, length]);
            octets.extend_from_slice(&element.data);
        }
        finish(octets)
    }

    /// The application ports, when both ends are told (§9.2.3.24.3 and .4). The last element counts, as for all that
    /// exclude one another.
    #[must_use]
    pub fn ports(&self) -> Option<Ports> {
        self.others.iter().rev().find_map(Element::ports)
    }

    /// Messages waiting, one element for each kind (§9.2.3.24.2).
    pub fn indications(&self) -> impl Iterator<Item = Indication> {
        self.others.iter().filter_map(Element::indication)
    }

    /// The tables the body is written with (§9.2.3.24.15 and .16). A reserved identifier is ignored: the default
    /// alphabet stays.
    #[must_use]
    pub fn shifts(&self) -> Shifts {
        let last = |wanted: u8| {
            self.others
                .iter()
                .rev()
                .find(|element| element.id == wanted)
                .and_then(|element| match element.data.as_slice() {
                    &[identifier] => Language::from_identifier(identifier),
                    _ => None,
                })
        };
        Shifts {
            locking: last(id::LOCKING_SHIFT),
            single: last(id::SINGLE_SHIFT),
        }
    }
}

impl Shifts {
    /// The tables that a header names, however it is broken otherwise; none for an empty one.
    #[must_use]
    pub fn of_header(udh: &[u8]) -> Self {
        Udh::read(udh).map_or(Self::NONE, |(udh, _)| udh.shifts())
    }

    fn write(self, octets: &mut Vec<u8>) {
        if let Some(language) = self.single {
            octets.extend_from_slice(&[id::SINGLE_SHIFT, 1, language.identifier()]);
        }
        if let Some(language) = self.locking {
            octets.extend_from_slice(&[id::LOCKING_SHIFT, 1, language.identifier()]);
        }
    }
}

/// The header of one part: the concatenation, the shifts, then elements that are written already.
pub(crate) fn write(concat: Option<Concat>, shifts: Shifts, elements: &[u8]) -> Result<Vec<u8>, UdhError> {
    let mut octets = Vec::with_capacity(1 + 6 + shifts.element_octets() + elements.len());
    octets.push(0);
    if let Some(concat) = concat {
        concat.write(&mut octets);
    }
    shifts.write(&mut octets);
    octets.extend_from_slice(elements);
    finish(octets)
}

/// Sets the length octet in front; a header without elements is none.
fn finish(mut octets: Vec<u8>) -> Result<Vec<u8>, UdhError> {
    let behind = octets.len() - 1;
    if behind == 0 {
        return Ok(Vec::new());
    }
    let length = u8::try_from(behind).map_err(|_| UdhError::TooLong { octets: behind })?;
    if let Some(first) = octets.first_mut() {
        *first = length;
    }
    Ok(octets)
}

/// At most what a length octet says.
fn octet_count(octets: usize) -> u8 {
    u8::try_from(octets.min(MAX_LENGTH)).expect("at most 255")
}
