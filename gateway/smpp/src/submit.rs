//! Builds a submit_sm from plain values.
//!
//! Checks what no PDU can hold; what a carrier wants in a field is its [`Profile`]'s. Invariant: what is built encodes, and
//! means what was asked for: what cannot be expressed is refused.

use crate::{
    address::Address,
    esm_class,
    octets::COctets,
    pdu::SubmitSm,
    profile::{LongMode, Profile, ReceiptParts},
    tlv::{Tlvs, tag},
};
use bytes::Bytes;
use thiserror::Error;

/// Octets that fit short_message (SMPP 3.4 §4.4.1).
pub const SHORT_MESSAGE: usize = 254;
/// Digits of callback_num.
const CALLBACK: usize = 16;
/// Highest priority_flag of any network.
const PRIORITY: u8 = 4;

/// registered_delivery: which receipts are asked for (SMPP 3.4 §5.2.17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Receipts {
    /// None.
    #[default]
    None,
    /// The final one, whatever it says.
    Final,
    /// The final one when it is a failure.
    Failure,
    /// The final one and those between.
    All,
}

impl Receipts {
    const fn flags(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Final => 1,
            Self::Failure => 2,
            Self::All => 0x11,
        }
    }
}

/// Why a submit_sm could not be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// A field of text is longer than the specification allows.
    #[error("{field} has {len} octets, more than {max}")]
    FieldTooLong {
        /// Which one.
        field: &'static str,
        /// Its length.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The header's first octet is not its length.
    #[error("the user data header does not state its own length")]
    BadHeader,
    /// Header and text are longer than a TLV.
    #[error("the message has {0} octets, more than 65535")]
    MessageTooLong(usize),
    /// message_payload cannot be one part of several: the carrier would cut it again.
    #[error("a part of a long message cannot go as message_payload")]
    PartInPayload,
    /// Number and total of a part do not fit each other.
    #[error("part {number} of {total} does not exist")]
    NoSuchPart {
        /// From 1.
        number: u8,
        /// How many.
        total: u8,
    },
    /// The reference of a long message does not fit eight bits.
    #[error("reference {0} does not fit eight bits")]
    ReferenceTooLarge(u16),
    /// The user data header is longer than its length octet can say.
    #[error("the user data header has {0} octets, more than 255")]
    HeaderTooLong(usize),
    /// priority_flag beyond what any network defines (SMPP 5.0 §4.7.19).
    #[error("priority {0} is more than 4")]
    Priority(u8),
    /// callback_num holds 1 to 16 digits (SMPP 3.4 §5.3.2.36).
    #[error("a callback number of {0} characters, not 1 to 16")]
    CallbackNumber(usize),
    /// A TLV's value is longer than a TLV.
    #[error("the value of TLV {0:#06x} is longer than 65535")]
    TlvTooLong(u16),
}

/// A part of a long message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The same in all parts, and another in the next message to that recipient.
    pub reference: u16,
    /// How many.
    pub total: u8,
    /// Which one, from 1.
    pub number: u8,
}

/// The kind of digits in callback_num (SMPP 3.4 §5.3.2.36).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackDigits {
    /// Telephone digits.
    Dtmf,
    /// Characters.
    Ascii,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct SubmitBuilder {
    message: SubmitSm,
    header: Vec<u8>,
    tlvs: Vec<(u16, Vec<u8>)>,
    part: Option<(Part, LongMode)>,
    receipt_parts: ReceiptParts,
    payload: bool,
    nul: bool,
    gsm7_coding: u8,
    callback_digits: Option<usize>,
}

impl SubmitBuilder {
    /// A message from `source` to `destination`.
    #[must_use]
    pub fn new(source: Address, destination: Address) -> Self {
        Self {
            message: SubmitSm {
                source,
                destination,
                ..SubmitSm::default()
            },
            header: Vec::new(),
            tlvs: Vec::new(),
            part: None,
            receipt_parts: ReceiptParts::All,
            payload: false,
            nul: false,
            gsm7_coding: 0,
            callback_digits: None,
        }
    }

    /// What the carrier wants in every message: service_type, a NUL after the text, of which parts receipts are asked for,
    /// data_coding of [`SubmitBuilder::gsm7`].
    #[must_use]
    pub fn for_profile(mut self, profile: &Profile) -> Self {
        self.message.service_type = profile.service_type.clone();
        self.nul = profile.nul_terminated;
        self.receipt_parts = profile.receipt_parts;
        self.gsm7_coding = profile.gsm7_coding;
        self
    }

    /// GSM 7-bit text, one septet in each octet, with the data_coding that the carrier has for it.
    #[must_use]
    pub fn gsm7(self, text: impl Into<Bytes>) -> Self {
        let data_coding = self.gsm7_coding;
        self.text(data_coding, text)
    }

    /// This is one part of a long message: reference, total and number go into the user data header, before what is there
    /// already, or into the sar_* TLVs.
    #[must_use]
    pub fn part(mut self, part: Part, mode: LongMode) -> Self {
        self.part = Some((part, mode));
        self
    }

    /// The user data goes into message_payload, however short it is.
    #[must_use]
    pub fn payload(mut self) -> Self {
        self.payload = true;
        self
    }

    /// callback_num: the number shown to be called back.
    #[must_use]
    pub fn callback_num(mut self, digits: CallbackDigits, number: &Address) -> Self {
        let mode = match digits {
            CallbackDigits::Dtmf => 0,
            CallbackDigits::Ascii => 1,
        };
        let mut value = vec![mode, number.ton, number.npi];
        value.extend_from_slice(number.value.as_bytes());
        self.callback_digits = Some(number.value.len());
        self.tlv(tag::CALLBACK_NUM, &value)
    }

    /// replace_if_present_flag: takes the place of a message of the same service type and addresses that still waits.
    #[must_use]
    pub fn replace_if_present(mut self, replace: bool) -> Self {
        self.message.replace_if_present = u8::from(replace);
        self
    }

    /// The text, encoded as `data_coding` says, without header.
    #[must_use]
    pub fn text(mut self, data_coding: u8, text: impl Into<Bytes>) -> Self {
        self.message.data_coding = data_coding;
        self.message.short_message = text.into();
        self
    }

    /// A user data header before the text; its first octet is the length of the rest. Sets the UDH indicator.
    #[must_use]
    pub fn header(mut self, header: &[u8]) -> Self {
        self.header = header.to_vec();
        self
    }

    /// Mode and features beside the UDH indicator.
    #[must_use]
    pub fn esm_class(mut self, esm_class: u8) -> Self {
        self.message.esm_class = esm_class;
        self
    }

    /// Validity, as SMPP 3.4 §7.1.1 writes times; empty for the carrier's default.
    #[must_use]
    pub fn validity(mut self, validity: COctets) -> Self {
        self.message.validity_period = validity;
        self
    }

    /// Time of delivery, in the same form; empty for at once.
    #[must_use]
    pub fn schedule(mut self, schedule: COctets) -> Self {
        self.message.schedule_delivery_time = schedule;
        self
    }

    /// Receipts wanted.
    #[must_use]
    pub fn receipts(mut self, receipts: Receipts) -> Self {
        self.message.registered_delivery = receipts.flags();
        self
    }

    /// service_type.
    #[must_use]
    pub fn service_type(mut self, service_type: COctets) -> Self {
        self.message.service_type = service_type;
        self
    }

    /// protocol_id (TP-PID).
    #[must_use]
    pub fn protocol_id(mut self, protocol_id: u8) -> Self {
        self.message.protocol_id = protocol_id;
        self
    }

    /// priority_flag.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.message.priority_flag = priority;
        self
    }

    /// One more optional parameter.
    #[must_use]
    pub fn tlv(mut self, tag: u16, value: &[u8]) -> Self {
        self.tlvs.push((tag, value.to_vec()));
        self
    }

    /// The message; user data beyond 254 octets goes into message_payload.
    ///
    /// # Errors
    /// When something cannot be written into a PDU, or would mean something else there.
    pub fn build(self) -> Result<SubmitSm, SubmitError> {
        let Self {
            mut message,
            header,
            mut tlvs,
            part,
            receipt_parts,
            payload,
            nul,
            gsm7_coding: _,
            callback_digits,
        } = self;
        check_fields(&message)?;
        if let Some(digits) = callback_digits.filter(|digits| !(1..=CALLBACK).contains(digits)) {
            return Err(SubmitError::CallbackNumber(digits));
        }
        let header = with_part(header, part, &mut tlvs)?;
        if let Some((part, _)) = part
            && !receipt_parts.asks(part.number, part.total)
        {
            message.registered_delivery = 0;
        }
        if !header.is_empty() {
            message.esm_class |= esm_class::UDHI;
        }
        if !header.is_empty() || nul {
            let mut whole = header;
            whole.extend_from_slice(&message.short_message);
            whole.extend(nul.then_some(0));
            message.short_message = Bytes::from(whole);
        }
        let mut area = Tlvs::new();
        let len = message.short_message.len();
        if len > SHORT_MESSAGE || (payload && len > 0) {
            if part.is_some() {
                return Err(SubmitError::PartInPayload);
            }
            let payload = std::mem::take(&mut message.short_message);
            area.push(tag::MESSAGE_PAYLOAD, &payload)
                .map_err(|_| SubmitError::MessageTooLong(len))?;
        }
        for (tag, value) in tlvs {
            area.push(tag, &value).map_err(|_| SubmitError::TlvTooLong(tag))?;
        }
        message.tlvs = area;
        Ok(message)
    }
}

fn check_fields(message: &SubmitSm) -> Result<(), SubmitError> {
    for (field, value, max) in [
        ("service_type", &message.service_type, 5),
        ("source_addr", &message.source.value, 20),
        ("destination_addr", &message.destination.value, 20),
        ("schedule_delivery_time", &message.schedule_delivery_time, 16),
        ("validity_period", &message.validity_period, 16),
    ] {
        let len = value.len();
        if len > max {
            return Err(SubmitError::FieldTooLong { field, len, max });
        }
    }
    if message.priority_flag > PRIORITY {
        return Err(SubmitError::Priority(message.priority_flag));
    }
    Ok(())
}

/// The header with the part's element before the others, or TLVs for it.
fn with_part(
    header: Vec<u8>,
    part: Option<(Part, LongMode)>,
    tlvs: &mut Vec<(u16, Vec<u8>)>,
) -> Result<Vec<u8>, SubmitError> {
    if let Some(stated) = header.first()
        && usize::from(*stated).saturating_add(1) != header.len()
    {
        return Err(SubmitError::BadHeader);
    }
    let Some((part, mode)) = part else {
        return Ok(header);
    };
    let Part {
        reference,
        total,
        number,
    } = part;
    if number == 0 || number > total {
        return Err(SubmitError::NoSuchPart { number, total });
    }
    let [high, low] = reference.to_be_bytes();
    let element = match mode {
        LongMode::Udh8 if high != 0 => return Err(SubmitError::ReferenceTooLarge(reference)),
        LongMode::Udh8 => vec![0x00, 3, low, total, number],
        LongMode::Udh16 => vec![0x08, 4, high, low, total, number],
        LongMode::Sar => {
            tlvs.push((tag::SAR_MSG_REF_NUM, vec![high, low]));
            tlvs.push((tag::SAR_TOTAL_SEGMENTS, vec![total]));
            tlvs.push((tag::SAR_SEGMENT_SEQNUM, vec![number]));
            return Ok(header);
        }
        LongMode::Payload => return Err(SubmitError::PartInPayload),
    };
    let others = header.get(1..).unwrap_or(&[]);
    let len = element.len().saturating_add(others.len());
    let mut whole = vec![u8::try_from(len).map_err(|_| SubmitError::HeaderTooLong(len))?];
    whole.extend(element);
    whole.extend_from_slice(others);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> SubmitBuilder {
        let to = Address::international("491700000001").expect("no NUL");
        SubmitBuilder::new(Address::alphanumeric("Acme").expect("no NUL"), to)
    }

    #[test]
    fn header_and_text_make_the_user_data_and_set_the_indicator() {
        let message = builder()
            .text(0, &b"part"[..])
            .header(&[5, 0, 3, 7, 2, 1])
            .receipts(Receipts::Final)
            .build();
        let message = message.expect("fits");
        assert_eq!(&message.short_message[..], b"\x05\x00\x03\x07\x02\x01part");
        assert_eq!(
            (message.esm_class, message.registered_delivery),
            (esm_class::UDHI, 1)
        );
    }

    #[test]
    fn long_user_data_goes_into_message_payload() {
        let text = vec![b'x'; 255];
        let message = builder()
            .text(4, text.clone())
            .tlv(tag::USER_MESSAGE_REFERENCE, &[0, 9])
            .build()
            .expect("fits");
        assert!(message.short_message.is_empty());
        assert_eq!(message.payload(), text);
        assert_eq!(message.tlvs.get(tag::USER_MESSAGE_REFERENCE), Some(&[0, 9][..]));
    }

    #[test]
    fn what_fits_no_pdu_is_refused() {
        assert_eq!(builder().header(&[4, 0, 3]).build(), Err(SubmitError::BadHeader));
        assert_eq!(
            builder().text(0, vec![0; 65_536]).build(),
            Err(SubmitError::MessageTooLong(65_536))
        );
        assert_eq!(
            builder().tlv(9, &[0; 65_536]).build(),
            Err(SubmitError::TlvTooLong(9))
        );
        let long = Address::alphanumeric("a".repeat(21)).expect("no NUL");
        let built = SubmitBuilder::new(long, Address::default()).build();
        assert_eq!(
            built,
            Err(SubmitError::FieldTooLong {
                field: "source_addr",
                len: 21,
                max: 20
            })
        );
    }

    fn part(reference: u16, total: u8, number: u8) -> Part {
        Part {
            reference,
            total,
            number,
        }
    }

    #[test]
    fn parts_are_told_in_the_header_before_what_is_there_or_in_tlvs() {
        let ports: &[u8] = &[6, 5, 4, 0x15, 0x81, 0, 0];
        let built = |mode| {
            builder()
                .text(0, &b"part"[..])
                .header(ports)
                .part(part(0x0102, 3, 2), mode)
                .build()
        };
        let message = built(LongMode::Udh16).expect("fits");
        assert_eq!(
            &message.short_message[..],
            b"\x0c\x08\x04\x01\x02\x03\x02\x05\x04\x15\x81\x00\x00part"
        );
        assert_eq!(message.esm_class, esm_class::UDHI);
        let message = built(LongMode::Sar).expect("fits");
        assert_eq!(&message.short_message[..], b"\x06\x05\x04\x15\x81\x00\x00part");
        for (tag, value) in [
            (tag::SAR_MSG_REF_NUM, &[1, 2][..]),
            (tag::SAR_TOTAL_SEGMENTS, &[3]),
            (tag::SAR_SEGMENT_SEQNUM, &[2]),
        ] {
            assert_eq!(message.tlvs.get(tag), Some(value));
        }
        let message = builder()
            .text(0, &b"part"[..])
            .part(part(7, 2, 1), LongMode::Udh8)
            .build();
        assert_eq!(
            &message.expect("fits").short_message[..],
            b"\x05\x00\x03\x07\x02\x01part"
        );
        let plain = builder()
            .text(0, &b"part"[..])
            .part(part(7, 2, 1), LongMode::Sar)
            .build();
        assert_eq!(plain.expect("fits").esm_class, 0, "no header, no indicator");
    }

    #[test]
    fn parts_that_cannot_be_expressed_are_refused() {
        for (of, mode, expected) in [
            (
                part(256, 2, 1),
                LongMode::Udh8,
                SubmitError::ReferenceTooLarge(256),
            ),
            (part(1, 2, 1), LongMode::Payload, SubmitError::PartInPayload),
            (
                part(1, 2, 3),
                LongMode::Sar,
                SubmitError::NoSuchPart { number: 3, total: 2 },
            ),
            (
                part(1, 2, 0),
                LongMode::Udh8,
                SubmitError::NoSuchPart { number: 0, total: 2 },
            ),
        ] {
            assert_eq!(builder().text(0, &b"x"[..]).part(of, mode).build(), Err(expected));
        }
        let long = builder()
            .text(0, vec![0; 255])
            .part(part(1, 2, 1), LongMode::Sar)
            .build();
        assert_eq!(long, Err(SubmitError::PartInPayload));
        let mut full = vec![255];
        full.extend([0x70, 253]);
        full.extend([0; 253]);
        assert_eq!(
            builder()
                .header(&full)
                .part(part(1, 2, 1), LongMode::Udh8)
                .build(),
            Err(SubmitError::HeaderTooLong(260))
        );
        assert_eq!(builder().priority(5).build(), Err(SubmitError::Priority(5)));
        assert!(builder().priority(4).build().is_ok());
        for digits in ["", "12345678901234567"] {
            let number = Address::international(digits).expect("no NUL");
            let built = builder().callback_num(CallbackDigits::Ascii, &number).build();
            assert_eq!(built, Err(SubmitError::CallbackNumber(digits.len())));
        }
    }

    #[test]
    fn what_the_carrier_wants_in_every_message_comes_from_its_profile() {
        let profile = Profile {
            service_type: COctets::until_nul(b"BILL7"),
            nul_terminated: true,
            gsm7_coding: 0xF1,
            receipt_parts: ReceiptParts::Last,
            ..Profile::default()
        };
        let built = |number| {
            builder()
                .for_profile(&profile)
                .gsm7(&b"Hi"[..])
                .receipts(Receipts::Final)
                .part(part(9, 2, number), LongMode::Udh8)
                .build()
                .expect("fits")
        };
        let (first, last) = (built(1), built(2));
        assert_eq!(first.service_type.as_bytes(), b"BILL7");
        assert_eq!(&last.short_message[..], b"\x05\x00\x03\x09\x02\x02Hi\0");
        assert_eq!((last.data_coding, first.registered_delivery), (0xF1, 0));
        assert_eq!(last.registered_delivery, 1);
    }

    #[test]
    fn payload_callback_number_and_raw_fields_are_written_as_given() {
        let number = Address::try_new(1, 1, "4930123").expect("no NUL");
        let message = builder()
            .text(0xD8, &b"\0A"[..])
            .payload()
            .callback_num(CallbackDigits::Ascii, &number)
            .priority(3)
            .protocol_id(0x7F)
            .replace_if_present(true)
            .tlv(0x1400, b"vendor")
            .build()
            .expect("fits");
        assert!(message.short_message.is_empty());
        assert_eq!(message.payload(), b"\0A");
        assert_eq!(
            message.tlvs.get(tag::CALLBACK_NUM),
            Some(&b"\x01\x01\x014930123"[..])
        );
        assert_eq!(message.tlvs.get(0x1400), Some(&b"vendor"[..]));
        assert_eq!(
            (message.data_coding, message.priority_flag, message.protocol_id),
            (0xD8, 3, 0x7F)
        );
        assert_eq!(message.replace_if_present, 1);
    }
}
