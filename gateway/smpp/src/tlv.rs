//! Optional parameters (TLVs) of a PDU, raw and in their order.
//!
//! Invariant: the area holds whole TLVs only (2 octets tag, 2 octets length, value), so that iterating never fails and the
//! encoder copies it as it is. What a value means is for whoever asks for the tag.

use std::fmt;
use thiserror::Error;

/// Tags this crate reads or writes (SMPP 3.4 §5.3.2).
pub mod tag {
    /// receipted_message_id: the carrier's id of the message a receipt is about.
    pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
    /// message_state of a receipt.
    pub const MESSAGE_STATE: u16 = 0x0427;
    /// network_error_code: network type and two octets of code.
    pub const NETWORK_ERROR_CODE: u16 = 0x0423;
    /// message_payload: the message when it does not fit short_message.
    pub const MESSAGE_PAYLOAD: u16 = 0x0424;
    /// sc_interface_version in a bind answer.
    pub const SC_INTERFACE_VERSION: u16 = 0x0210;
    /// sar_msg_ref_num: reference of a long message in parts.
    pub const SAR_MSG_REF_NUM: u16 = 0x020C;
    /// sar_total_segments.
    pub const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
    /// sar_segment_seqnum.
    pub const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
    /// user_message_reference, chosen by the ESME.
    pub const USER_MESSAGE_REFERENCE: u16 = 0x0204;
}

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
