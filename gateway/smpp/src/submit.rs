//! Builds a submit_sm from plain values.
//!
//! Checks what no PDU can hold; what a carrier wants in a field is its profile's. Invariant: what is built encodes.

use crate::{
    address::Address,
    esm_class,
    octets::COctets,
    pdu::SubmitSm,
    tlv::{Tlvs, tag},
};
use bytes::Bytes;
use thiserror::Error;

/// Octets that fit short_message (SMPP 3.4 §4.4.1).
pub const SHORT_MESSAGE: usize = 254;
/// Longest user data header: its own length octet counts to 255.
const UDH: usize = 255;

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
    /// A TLV's value is longer than a TLV.
    #[error("the value of TLV {0:#06x} is longer than 65535")]
    TlvTooLong(u16),
}

/// See the module.
#[derive(Debug, Clone)]
pub struct SubmitBuilder {
    message: SubmitSm,
    header: Vec<u8>,
    tlvs: Vec<(u16, Vec<u8>)>,
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
        }
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

    /// Validity, from [`crate::time::absolute`] or [`crate::time::relative`].
    #[must_use]
    pub fn validity(mut self, validity: COctets) -> Self {
        self.message.validity_period = validity;
        self
    }

    /// Time of delivery, from [`crate::time`].
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
    /// When something cannot be written into a PDU.
    pub fn build(self) -> Result<SubmitSm, SubmitError> {
        let Self {
            mut message,
            header,
            tlvs,
        } = self;
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
        if let Some(stated) = header.first() {
            if header.len() > UDH || usize::from(*stated).saturating_add(1) != header.len() {
                return Err(SubmitError::BadHeader);
            }
            message.esm_class |= esm_class::UDHI;
            let mut whole = header;
            whole.extend_from_slice(&message.short_message);
            message.short_message = Bytes::from(whole);
        }
        let mut area = Tlvs::new();
        let len = message.short_message.len();
        if len > SHORT_MESSAGE {
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
}
