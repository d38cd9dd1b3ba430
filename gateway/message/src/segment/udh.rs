//! The user data header (3GPP TS 23.040 §9.2.3.24): an octet with the length of what follows, then
//! elements of identifier, length and data.
//!
//! ```text
//! UDHL | IEI IEDL data.. | IEI IEDL data.. |
//!  05  | 00  03  ref total sequence        |   concatenation, 8-bit reference
//!  06  | 08  04  ref ref total sequence    |   concatenation, 16-bit reference
//! ```
//! Reads what a peer sent and never panics on it; writing is `segment`'s duty. Knows no message.
//!
//! Invariant UH-1: [`Udh::parse`] keeps every element it does not understand.

use thiserror::Error;

const CONCAT_8_BIT: u8 = 0x00;
const CONCAT_16_BIT: u8 = 0x08;

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
    fn new(reference: u16, wide: bool, total: u8, sequence: u8) -> Option<Self> {
        // §9.2.3.24.1: a receiver ignores the element when one of these does not hold.
        (total > 0 && sequence > 0 && sequence <= total).then_some(Self {
            reference,
            wide,
            total,
            sequence,
        })
    }
}

/// An element other than a valid concatenation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Information element identifier.
    pub id: u8,
    /// Its data, at most 255 octets.
    pub data: Vec<u8>,
}

/// A header that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Udh {
    /// The concatenation; the last one when there are several (§9.2.3.24).
    pub concat: Option<Concat>,
    /// Everything else, in its order.
    pub others: Vec<Element>,
    /// A concatenation element had a wrong length or impossible values; it is among `others`.
    pub broken_concat: bool,
}

/// Why a header cannot be read.
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
}

impl Udh {
    /// Reads the header at the start of user data; also gives what is behind it.
    pub fn parse(user_data: &[u8]) -> Result<(Self, &[u8]), UdhError> {
        let (length, rest) = user_data.split_first().ok_or(UdhError::Missing)?;
        let announced = usize::from(*length);
        let (mut elements, body) = rest.split_at_checked(announced).ok_or(UdhError::Truncated {
            announced,
            present: rest.len(),
        })?;
        let mut udh = Self::default();
        while let Some((id, rest)) = elements.split_first() {
            let too_long = UdhError::ElementTooLong { id: *id };
            let (length, rest) = rest.split_first().ok_or(too_long)?;
            let (data, rest) = rest.split_at_checked(usize::from(*length)).ok_or(too_long)?;
            udh.take(*id, data);
            elements = rest;
        }
        Ok((udh, body))
    }

    fn take(&mut self, id: u8, data: &[u8]) {
        let concat = match (id, data) {
            (CONCAT_8_BIT, &[reference, total, sequence]) => {
                Concat::new(u16::from(reference), false, total, sequence)
            }
            (CONCAT_16_BIT, &[high, low, total, sequence]) => {
                Concat::new(u16::from_be_bytes([high, low]), true, total, sequence)
            }
            _ => None,
        };
        if concat.is_some() {
            self.concat = concat;
            return;
        }
        self.broken_concat |= matches!(id, CONCAT_8_BIT | CONCAT_16_BIT);
        self.others.push(Element {
            id,
            data: data.to_vec(),
        });
    }
}

/// The header of one part: the concatenation first, then the elements of the client as they are.
/// The caller has checked that it fits in the length octet.
pub(super) fn write_concat(length: u8, reference: u8, total: u8, sequence: u8, client: &[u8]) -> Vec<u8> {
    let mut udh = Vec::with_capacity(usize::from(length) + 1);
    udh.extend_from_slice(&[length, CONCAT_8_BIT, 3, reference, total, sequence]);
    udh.extend_from_slice(client);
    udh
}
