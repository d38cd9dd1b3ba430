//! Optional parameters (TLVs) of a PDU, raw and in their order.
//!
//! Invariant: the area holds whole TLVs only (2 octets tag, 2 octets length, value), so that iterating never fails and the
//! encoder copies it as it is. What a value means is for whoever asks for the tag; `table` knows names and lengths.

use std::fmt;
use thiserror::Error;

mod table;

pub(crate) use table::check;
pub use table::{Definition, Kind, TABLE, TagClass, class, definition, tag};

/// One optional parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Tag, SMPP 3.4 §5.3.2 or the vendor's.
    pub tag: u16,
    /// Value as sent.
    pub value: &'a [u8],
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}=\"{}\"", self.tag, self.value.escape_ascii())
    }
}

/// A value that does not fit the length field of a TLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a TLV value of {0} bytes is longer than 65535")]
pub struct TlvTooLong(pub usize);

/// All optional parameters of one PDU.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tlvs(Vec<u8>);

impl Tlvs {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads an area; returns the whole TLVs and how many bytes at its end were not a TLV.
    #[must_use]
    pub fn parse(area: &[u8]) -> (Self, usize) {
        let mut rest = area;
        while let Some((_, tail)) = split(rest) {
            rest = tail;
        }
        let whole = area.get(..area.len().saturating_sub(rest.len())).unwrap_or(&[]);
        (Self(whole.to_vec()), rest.len())
    }

    /// Adds one at the end.
    ///
    /// # Errors
    /// When the value is longer than 65535 bytes.
    pub fn push(&mut self, tag: u16, value: &[u8]) -> Result<(), TlvTooLong> {
        let len = u16::try_from(value.len()).map_err(|_| TlvTooLong(value.len()))?;
        self.0.reserve(value.len().saturating_add(4));
        self.0.extend_from_slice(&tag.to_be_bytes());
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(value);
        Ok(())
    }

    /// The value of the first TLV with that tag.
    #[must_use]
    pub fn get(&self, tag: u16) -> Option<&[u8]> {
        self.iter().find(|tlv| tlv.tag == tag).map(|tlv| tlv.value)
    }

    /// The values of all TLVs with that tag, in the order of the wire.
    pub fn all(&self, tag: u16) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |tlv| tlv.tag == tag).map(|tlv| tlv.value)
    }

    /// The first TLV with that tag as an integer, of whatever length up to four octets a peer made it. `None` when there
    /// is none, or when it is empty or longer.
    #[must_use]
    pub fn integer(&self, tag: u16) -> Option<u32> {
        let value = self.get(tag)?;
        if value.is_empty() || value.len() > 4 {
            return None;
        }
        Some(value.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet)))
    }

    /// The first TLV with that tag as a C-octet string: up to its NUL, or all of it when the peer left that out.
    #[must_use]
    pub fn text(&self, tag: u16) -> Option<&[u8]> {
        self.get(tag)?.split(|octet| *octet == 0).next()
    }

    /// All of them, in the order of the wire.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The area as it stands on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Tlvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Tlvs {
    type Item = Tlv<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterator over [`Tlvs`].
#[derive(Debug, Clone)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (tlv, rest) = split(self.0)?;
        self.0 = rest;
        Some(tlv)
    }
}

fn split(area: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (tag, rest) = area.split_first_chunk::<2>()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((
        Tlv {
            tag: u16::from_be_bytes(*tag),
            value,
        },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_broken_tail_is_counted_and_the_whole_tlvs_stay() {
        let area = [0x00, 0x1E, 0x00, 0x02, b'A', 0, 0x04, 0x27, 0x00, 0x05, 2];
        let (tlvs, left) = Tlvs::parse(&area);
        assert_eq!(left, 5);
        assert_eq!(tlvs.get(tag::RECEIPTED_MESSAGE_ID), Some(&b"A\0"[..]));
        assert_eq!(tlvs.get(tag::MESSAGE_STATE), None);
        assert_eq!(tlvs.iter().count(), 1);
    }

    #[test]
    fn a_value_longer_than_its_length_field_is_refused() {
        let mut tlvs = Tlvs::new();
        assert_eq!(tlvs.push(1, &vec![0; 65536]), Err(TlvTooLong(65536)));
        assert!(tlvs.is_empty());
    }

    #[test]
    fn integers_are_read_at_any_length_and_strings_without_their_nul() {
        let mut tlvs = Tlvs::new();
        for (tag, value) in [
            (1u16, &b"\x02"[..]),
            (2, b"\0\x02"),
            (3, b""),
            (4, b"12345"),
            (5, b"A7\0x"),
            (6, b"A7"),
        ] {
            tlvs.push(tag, value).expect("short");
        }
        tlvs.push(1, b"\x07").expect("short");
        let integers = [1, 2, 3, 4, 7].map(|tag| tlvs.integer(tag));
        assert_eq!(integers, [Some(2), Some(2), None, None, None]);
        assert_eq!(
            [5, 6, 3, 7].map(|tag| tlvs.text(tag)),
            [Some(&b"A7"[..]), Some(b"A7"), Some(b""), None]
        );
        assert_eq!(tlvs.all(1).collect::<Vec<_>>(), [b"\x02", b"\x07"]);
    }

    proptest! {
        #[test]
        fn what_was_pushed_is_read_back(items in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)), 0..10)) {
            let mut tlvs = Tlvs::new();
            for (tag, value) in &items {
                tlvs.push(*tag, value).expect("short");
            }
            let (again, left) = Tlvs::parse(tlvs.as_bytes());
            prop_assert_eq!(left, 0);
            let read: Vec<_> = again.iter().map(|tlv| (tlv.tag, tlv.value.to_vec())).collect();
            prop_assert_eq!(read, items);
        }
    }
}
