//! SMPP as the carrier reads and writes it: octets, by hand (SMPP 3.4 §3.2, §4; 5.0 where it differs).
//!
//! Shares no codec with the gateway: what one misunderstands the other does not confirm, and octets can be wrong on
//! purpose. Knows no session. Invariant: reading never leaves the slice it was given; a PDU written states its length.

use bytes::{BufMut, BytesMut};

/// Octets of a header.
pub(crate) const HEADER: usize = 16;
/// Largest PDU taken.
pub(crate) const MAX_PDU: usize = 1 << 20;
/// Set in the command_id of answers.
pub(crate) const ANSWER: u32 = 0x8000_0000;

/// command_id, SMPP 3.4 §5.1.2.1 and 5.0 §4.7.5.
pub(crate) mod id {
    pub(crate) const GENERIC_NACK: u32 = 0x8000_0000;
    pub(crate) const BIND_RECEIVER: u32 = 0x01;
    pub(crate) const BIND_TRANSMITTER: u32 = 0x02;
    pub(crate) const QUERY_SM: u32 = 0x03;
    pub(crate) const SUBMIT_SM: u32 = 0x04;
    pub(crate) const DELIVER_SM: u32 = 0x05;
    pub(crate) const UNBIND: u32 = 0x06;
    pub(crate) const REPLACE_SM: u32 = 0x07;
    pub(crate) const CANCEL_SM: u32 = 0x08;
    pub(crate) const BIND_TRANSCEIVER: u32 = 0x09;
    pub(crate) const OUTBIND: u32 = 0x0B;
    pub(crate) const ENQUIRE_LINK: u32 = 0x15;
    pub(crate) const SUBMIT_MULTI: u32 = 0x21;
    pub(crate) const ALERT_NOTIFICATION: u32 = 0x102;
    pub(crate) const DATA_SM: u32 = 0x103;
}

/// Tags of optional parameters, SMPP 3.4 §5.3.2 and 5.0 §4.8.4.
pub(crate) mod tag {
    pub(crate) const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
    pub(crate) const SOURCE_PORT: u16 = 0x020A;
    pub(crate) const DESTINATION_PORT: u16 = 0x020B;
    pub(crate) const SAR_MSG_REF_NUM: u16 = 0x020C;
    pub(crate) const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
    pub(crate) const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
    pub(crate) const SC_INTERFACE_VERSION: u16 = 0x0210;
    pub(crate) const MS_AVAILABILITY_STATUS: u16 = 0x0422;
    pub(crate) const NETWORK_ERROR_CODE: u16 = 0x0423;
    pub(crate) const MESSAGE_PAYLOAD: u16 = 0x0424;
    pub(crate) const MESSAGE_STATE: u16 = 0x0427;
    pub(crate) const CONGESTION_STATE: u16 = 0x0428;
}

/// The header of a PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: u32,
    pub(crate) status: u32,
    pub(crate) sequence: u32,
}

/// What stands at the front of a stream.
#[derive(Debug)]
pub(crate) enum Cut<'a> {
    /// A PDU: its header, its body and its length.
    Pdu(Head, &'a [u8], usize),
    /// Not all of it yet.
    Partial,
    /// A length that cannot be followed.
    BadLength,
}

/// Cuts the first PDU from the front.
pub(crate) fn cut(stream: &[u8]) -> Cut<'_> {
    let word = |at: usize| {
        let end = at.checked_add(4)?;
        let octets: [u8; 4] = stream.get(at..end)?.try_into().ok()?;
        Some(u32::from_be_bytes(octets))
    };
    let Some(length) = word(0) else {
        return Cut::Partial;
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(HEADER..=MAX_PDU).contains(&length) {
        return Cut::BadLength;
    }
    match (word(4), word(8), word(12), stream.get(HEADER..length)) {
        (Some(id), Some(status), Some(sequence), Some(body)) => {
            let head = Head { id, status, sequence };
            Cut::Pdu(head, body, length)
        }
        _ => Cut::Partial,
    }
}

/// Reads fields one after the other; a field that is not there ends it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*octet)
    }

    /// A C-octet string; what has no NUL ends with the PDU.
    pub(crate) fn string(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|octet| *octet == 0);
        let string = self.0.get(..end.unwrap_or(self.0.len())).unwrap_or(&[]);
        let next = end.map_or(self.0.len(), |end| end.saturating_add(1));
        self.0 = self.0.get(next..).unwrap_or(&[]);
        string
    }

    pub(crate) fn address(&mut self) -> Option<Address<'a>> {
        Some(Address {
            ton: self.octet()?,
            npi: self.octet()?,
            value: self.string(),
        })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }
}

/// An address: type, plan, value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Address<'a> {
    pub(crate) ton: u8,
    pub(crate) npi: u8,
    pub(crate) value: &'a [u8],
}

/// Which operation brought a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// submit_sm.
    SubmitSm,
    /// data_sm.
    DataSm,
    /// submit_multi.
    SubmitMulti,
}

impl Operation {
    /// The command_id of its answer.
    pub(crate) const fn answer_id(self) -> u32 {
        ANSWER
            | match self {
                Self::SubmitSm => id::SUBMIT_SM,
                Self::DataSm => id::DATA_SM,
                Self::SubmitMulti => id::SUBMIT_MULTI,
            }
    }
}

/// A message as the ESME submitted it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Submission<'a> {
    pub(crate) operation: Operation,
    pub(crate) service_type: &'a [u8],
    pub(crate) source: Address<'a>,
    pub(crate) destination: Address<'a>,
    pub(crate) esm_class: u8,
    pub(crate) validity: &'a [u8],
    pub(crate) registered_delivery: u8,
    pub(crate) data_coding: u8,
    pub(crate) short_message: &'a [u8],
    pub(crate) tlvs: &'a [u8],
}

/// Destinations of submit_multi at most (SMPP 3.4 §4.5.1).
const DESTINATIONS: usize = 254;

impl<'a> Submission<'a> {
    /// Reads submit_sm, data_sm or submit_multi; also the further destinations of the latter.
    ///
    /// # Errors
    /// The command_status to answer with.
    pub(crate) fn read(operation: Operation, body: &'a [u8]) -> Result<(Self, Vec<Address<'a>>), u32> {
        const INVALID_COMMAND_LENGTH: u32 = 0x02;
        const INVALID_MESSAGE_LENGTH: u32 = 0x01;
        let mut fields = Fields(body);
        let mut more = Vec::new();
        let mut head = || -> Option<(Self, Fields<'a>)> {
            let service_type = fields.string();
            let source = fields.address()?;
            let destination = match operation {
                Operation::SubmitSm | Operation::DataSm => fields.address()?,
                Operation::SubmitMulti => {
                    more = destinations(&mut fields)?;
                    more.first().copied().unwrap_or_default()
                }
            };
            let mut message = Self {
                operation,
                service_type,
                source,
                destination,
                esm_class: fields.octet()?,
                validity: &[],
                registered_delivery: 0,
                data_coding: 0,
                short_message: &[],
                tlvs: &[],
            };
            if operation == Operation::DataSm {
                message.registered_delivery = fields.octet()?;
                message.data_coding = fields.octet()?;
                message.tlvs = fields.0;
                return Some((message, fields));
            }
            fields.octet()?; // protocol_id
            fields.octet()?; // priority_flag
            fields.string(); // schedule_delivery_time
            message.validity = fields.string();
            message.registered_delivery = fields.octet()?;
            fields.octet()?; // replace_if_present_flag
            message.data_coding = fields.octet()?;
            fields.octet()?; // sm_default_msg_id
            Some((message, fields))
        };
        let (mut message, mut fields) = head().ok_or(INVALID_COMMAND_LENGTH)?;
        if operation != Operation::DataSm {
            let length = fields.octet().ok_or(INVALID_COMMAND_LENGTH)?;
            message.short_message = fields.take(usize::from(length)).ok_or(INVALID_MESSAGE_LENGTH)?;
            message.tlvs = fields.0;
        }
        Ok((message, more))
    }

    /// The user data, wherever it stands.
    pub(crate) fn user_data(&self) -> &'a [u8] {
        if self.short_message.is_empty() {
            self.tlv(tag::MESSAGE_PAYLOAD).unwrap_or(&[])
        } else {
            self.short_message
        }
    }

    /// Whether user data begins with a header.
    pub(crate) const fn has_udh(&self) -> bool {
        self.esm_class & 0x40 != 0
    }

    /// The value of an optional parameter.
    pub(crate) fn tlv(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.tlvs;
        while let Some((found, value, tail)) = split_tlv(rest) {
            if found == wanted {
                return Some(value);
            }
            rest = tail;
        }
        None
    }

    /// How the message belongs to a longer one, by UDH or SAR parameters (3GPP 23.040 §9.2.3.24.1, SMPP 3.4
    /// §5.3.2.22).
    pub(crate) fn part(&self) -> Option<Part> {
        if self.has_udh() {
            return Part::in_user_data(self.user_data());
        }
        let number = |tag| {
            let value = self.tlv(tag)?;
            Some(
                value
                    .iter()
                    .fold(0_u16, |all, octet| all.wrapping_shl(8) | u16::from(*octet)),
            )
        };
        let part = Part {
            reference: number(tag::SAR_MSG_REF_NUM)?,
            total: number(tag::SAR_TOTAL_SEGMENTS)?,
            number: number(tag::SAR_SEGMENT_SEQNUM)?,
        };
        part.is_valid().then_some(part)
    }

    /// How many SMS it is on air: a payload longer than one is cut by the carrier.
    pub(crate) fn sms(&self) -> usize {
        let octets = self.user_data().len();
        let (one, each) = match self.data_coding & 0x0C {
            0x08 => (140, 134),
            0x04 => (140, 134),
            _ => (160, 153),
        };
        if octets <= one || self.has_udh() {
            1
        } else {
            octets.div_ceil(each)
        }
    }
}

fn destinations<'a>(fields: &mut Fields<'a>) -> Option<Vec<Address<'a>>> {
    let count = usize::from(fields.octet()?).min(DESTINATIONS);
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        match fields.octet()? {
            1 => found.push(fields.address()?),
            // A distribution list: a name without type and plan.
            2 => found.push(Address {
                value: fields.string(),
                ..Address::default()
            }),
            _ => return None,
        }
    }
    Some(found)
}

/// Which part of which long message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) reference: u16,
    pub(crate) total: u16,
    /// From 1.
    pub(crate) number: u16,
}

impl Part {
    const fn is_valid(self) -> bool {
        self.total > 1 && self.number > 0 && self.number <= self.total
    }

    /// From a user data header (information elements 0x00 and 0x08).
    pub(crate) fn in_user_data(user_data: &[u8]) -> Option<Self> {
        let length = usize::from(*user_data.first()?);
        let mut rest = user_data.get(1..length.checked_add(1)?)?;
        while let [kind, size, tail @ ..] = rest {
            let (value, next) = tail.split_at_checked(usize::from(*size))?;
            let part = match (kind, value) {
                (0x00, [reference, total, number]) => Some(Self {
                    reference: u16::from(*reference),
                    total: u16::from(*total),
                    number: u16::from(*number),
                }),
                (0x08, [high, low, total, number]) => Some(Self {
                    reference: u16::from_be_bytes([*high, *low]),
                    total: u16::from(*total),
                    number: u16::from(*number),
                }),
                _ => None,
            };
            if let Some(part) = part {
                return part.is_valid().then_some(part);
            }
            rest = next;
        }
        None
    }
}

/// The first TLV: tag, value, what follows.
pub(crate) fn split_tlv(area: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (tag, rest) = area.split_first_chunk::<2>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((u16::from_be_bytes(*tag), value, rest))
}

/// Appends a PDU with the body that `write` appends.
pub(crate) fn pdu(
    out: &mut BytesMut,
    id: u32,
    status: u32,
    sequence: u32,
    write: impl FnOnce(&mut BytesMut),
) {
    let start = out.len();
    out.put_u32(0);
    out.put_u32(id);
    out.put_u32(status);
    out.put_u32(sequence);
    write(out);
    let length = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<4>) {
        *head = length.to_be_bytes();
    }
}

/// A C-octet string: up to the first NUL, and one.
pub(crate) fn put_string(out: &mut impl BufMut, string: &[u8]) {
    let end = string
        .iter()
        .position(|octet| *octet == 0)
        .unwrap_or(string.len());
    out.put_slice(string.get(..end).unwrap_or(string));
    out.put_u8(0);
}

/// An address.
pub(crate) fn put_address(out: &mut impl BufMut, ton: u8, npi: u8, value: &[u8]) {
    out.put_u8(ton);
    out.put_u8(npi);
    put_string(out, value);
}

/// An optional parameter; what is longer than its length field can say is cut.
pub(crate) fn put_tlv(out: &mut impl BufMut, tag: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.put_u16(tag);
    out.put_u16(length);
    out.put_slice(value.get(..usize::from(length)).unwrap_or(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pdus_are_cut_by_their_length_and_impossible_lengths_are_told() {
        let mut out = BytesMut::new();
        pdu(&mut out, id::SUBMIT_SM, 0, 7, |out| put_string(out, b"a\0b"));
        assert_eq!(out.len(), 18);
        let Cut::Pdu(head, body, 18) = cut(&out) else {
            panic!("{out:?}")
        };
        assert_eq!((head.id, head.sequence, body), (4, 7, &b"a\0"[..]));
        assert!(matches!(cut(&out[..17]), Cut::Partial));
        assert!(matches!(cut(&[0, 0, 0, 15]), Cut::BadLength));
        assert!(matches!(cut(&[0, 0]), Cut::Partial));
    }

    #[test]
    fn every_form_of_concatenation_is_read() {
        let part = |reference, total, number| {
            Some(Part {
                reference,
                total,
                number,
            })
        };
        assert_eq!(Part::in_user_data(&[5, 0, 3, 7, 2, 1, b'x']), part(7, 2, 1));
        assert_eq!(Part::in_user_data(&[6, 8, 4, 1, 2, 3, 3]), part(0x102, 3, 3));
        let with_ports = [11, 5, 4, 1, 2, 3, 4, 0, 3, 9, 2, 2];
        assert_eq!(Part::in_user_data(&with_ports), part(9, 2, 2));
        for none in [&[][..], &[5, 0, 3, 7, 1, 1], &[5, 0, 3, 7, 2, 3], &[9, 0, 3, 7]] {
            assert_eq!(Part::in_user_data(none), None);
        }
    }
}
