//! From a frame to a PDU, tolerantly: what carriers really send is taken and named (see [`crate::tolerated`]).
//!
//! Own fields rather than rusmpp's decoder: that one refuses what the field is full of (over-long ids, trailing NULs, cut
//! TLVs), and one reader for both the strict and the tolerated case is simpler than two. Invariants: never panics, never
//! reads or allocates beyond the frame; an answer always decodes; TLVs stay raw.

use crate::{
    address::Address,
    framer::Frame,
    octets::COctets,
    password::Password,
    pdu::{
        AlertNotification, Bind, BindKind, BindResp, Body, CancelSm, MessageResp, Pdu, QuerySm, QuerySmResp,
        ReplaceSm, ShortMessage,
    },
    status::CommandStatus,
    tlv::{Tlvs, tag},
    tolerated::{Tolerated, ToleratedSet},
};
use bytes::Bytes;
use rusmpp_core::CommandId;
use thiserror::Error;

/// Longest C-octet strings with their NUL, SMPP 3.4 §4.
mod limit {
    pub(super) const SYSTEM_ID: usize = 16;
    pub(super) const PASSWORD: usize = 9;
    pub(super) const SYSTEM_TYPE: usize = 13;
    pub(super) const ADDRESS_RANGE: usize = 41;
    pub(super) const SERVICE_TYPE: usize = 6;
    pub(super) const ADDRESS: usize = 21;
    pub(super) const LONG_ADDRESS: usize = 65;
    pub(super) const TIME: usize = 17;
    pub(super) const MESSAGE_ID: usize = 65;
    pub(super) const SHORT_MESSAGE: usize = 254;
}

/// Why a PDU could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A command_id that is not of SMPP 3.4, or that we do not serve.
    #[error("unknown command_id {0:#010x}")]
    UnknownCommand(u32),
    /// The PDU ends before a field that has no default.
    #[error("the PDU ends before {0}")]
    MissingField(&'static str),
    /// sm_length says more than there is.
    #[error("sm_length is {stated} but {present} octets follow")]
    MessageLength {
        /// sm_length.
        stated: usize,
        /// Octets left in the PDU.
        present: usize,
    },
    /// A PDU that the peer may not send us: a bind to an ESME, a deliver_sm to an SMSC.
    #[error("the peer's role does not allow this operation")]
    WrongDirection,
}

impl DecodeError {
    /// What the PDU is answered with.
    #[must_use]
    pub const fn status(self) -> CommandStatus {
        match self {
            Self::UnknownCommand(_) => CommandStatus::INVALID_COMMAND_ID,
            Self::MissingField(_) => CommandStatus::INVALID_COMMAND_LENGTH,
            Self::MessageLength { .. } => CommandStatus::INVALID_MESSAGE_LENGTH,
            Self::WrongDirection => CommandStatus::INVALID_BIND_STATUS,
        }
    }
}

/// Decodes a frame; also tells what had to be tolerated.
///
/// # Errors
/// When it is not a PDU of SMPP 3.4 or lacks fields.
pub fn decode(frame: &Frame<'_>) -> Result<(Pdu, ToleratedSet), DecodeError> {
    let id = CommandId::from(frame.command_id);
    let mut fields = Fields {
        rest: frame.body,
        quirks: ToleratedSet::NONE,
    };
    let status = CommandStatus(frame.status);
    if id.is_operation() {
        if frame.sequence == 0 || frame.sequence > 0x7FFF_FFFF {
            fields.quirks.insert(Tolerated::ReservedSequence);
        }
        if !status.is_ok() {
            fields.quirks.insert(Tolerated::StatusInRequest);
        }
    }
    let body = match id {
        CommandId::SubmitSm => Body::SubmitSm(fields.short_message(true)?),
        CommandId::SubmitSmResp => Body::SubmitSmResp(fields.message_resp(status, true)),
        CommandId::DeliverSm => Body::DeliverSm(fields.short_message(false)?),
        CommandId::DeliverSmResp => Body::DeliverSmResp(fields.message_resp(status, false)),
        CommandId::DataSm => Body::DataSm(fields.data_sm()?),
        CommandId::DataSmResp => Body::DataSmResp(fields.message_resp(status, false)),
        CommandId::EnquireLink => fields.bodyless(Body::EnquireLink),
        CommandId::EnquireLinkResp => fields.bodyless(Body::EnquireLinkResp),
        CommandId::Unbind => fields.bodyless(Body::Unbind),
        CommandId::UnbindResp => fields.bodyless(Body::UnbindResp),
        CommandId::GenericNack => fields.bodyless(Body::GenericNack),
        CommandId::BindTransmitter => Body::Bind(BindKind::Transmitter, fields.bind()?),
        CommandId::BindReceiver => Body::Bind(BindKind::Receiver, fields.bind()?),
        CommandId::BindTransceiver => Body::Bind(BindKind::Transceiver, fields.bind()?),
        CommandId::BindTransmitterResp => Body::BindResp(BindKind::Transmitter, fields.bind_resp(status)),
        CommandId::BindReceiverResp => Body::BindResp(BindKind::Receiver, fields.bind_resp(status)),
        CommandId::BindTransceiverResp => Body::BindResp(BindKind::Transceiver, fields.bind_resp(status)),
        CommandId::Outbind => Body::Outbind {
            system_id: fields.string(limit::SYSTEM_ID),
            password: Password::from_octets(fields.string(limit::PASSWORD)),
        },
        CommandId::QuerySm => Body::QuerySm(QuerySm {
            message_id: fields.string(limit::MESSAGE_ID),
            source: fields.address(limit::ADDRESS, "source_addr_ton")?,
        }),
        CommandId::QuerySmResp => Body::QuerySmResp(fields.query_sm_resp(status)),
        CommandId::CancelSm => Body::CancelSm(CancelSm {
            service_type: fields.string(limit::SERVICE_TYPE),
            message_id: fields.string(limit::MESSAGE_ID),
            source: fields.address(limit::ADDRESS, "source_addr_ton")?,
            destination: fields.address(limit::ADDRESS, "dest_addr_ton")?,
        }),
        CommandId::CancelSmResp => fields.bodyless(Body::CancelSmResp),
        CommandId::ReplaceSm => Body::ReplaceSm(fields.replace_sm()?),
        CommandId::ReplaceSmResp => fields.bodyless(Body::ReplaceSmResp),
        CommandId::AlertNotification => Body::AlertNotification(AlertNotification {
            source: fields.address(limit::LONG_ADDRESS, "source_addr_ton")?,
            esme: fields.address(limit::LONG_ADDRESS, "esme_addr_ton")?,
            tlvs: fields.tlvs(),
        }),
        CommandId::SubmitMulti
        | CommandId::SubmitMultiResp
        | CommandId::BroadcastSm
        | CommandId::BroadcastSmResp
        | CommandId::QueryBroadcastSm
        | CommandId::QueryBroadcastSmResp
        | CommandId::CancelBroadcastSm
        | CommandId::CancelBroadcastSmResp
        | CommandId::Other(_) => return Err(DecodeError::UnknownCommand(frame.command_id)),
    };
    fields.end();
    Ok((
        Pdu {
            status,
            sequence: frame.sequence,
            body,
        },
        fields.quirks,
    ))
}

/// Reads fields one after the other and notes what it tolerates.
struct Fields<'a> {
    rest: &'a [u8],
    quirks: ToleratedSet,
}

impl Fields<'_> {
    fn string(&mut self, limit: usize) -> COctets {
        if self.rest.is_empty() {
            self.quirks.insert(Tolerated::MissingString);
            return COctets::new();
        }
        // One octet more or less is read than the limit says: the NUL decides, and the frame is the bound.
        let octets = COctets::until_nul(self.rest);
        let len = octets.len();
        if len == self.rest.len() {
            self.quirks.insert(Tolerated::UnterminatedString);
        }
        if len >= limit {
            self.quirks.insert(Tolerated::OverlongString);
        }
        self.rest = self.rest.get(len.saturating_add(1)..).unwrap_or(&[]);
        octets
    }

    fn octet(&mut self, name: &'static str) -> Result<u8, DecodeError> {
        let (octet, rest) = self.rest.split_first().ok_or(DecodeError::MissingField(name))?;
        self.rest = rest;
        Ok(*octet)
    }

    fn address(&mut self, limit: usize, name: &'static str) -> Result<Address, DecodeError> {
        Ok(Address {
            ton: self.octet(name)?,
            npi: self.octet(name)?,
            value: self.string(limit),
        })
    }

    fn bodyless(&mut self, body: Body) -> Body {
        if !self.rest.is_empty() {
            self.quirks.insert(Tolerated::UnexpectedBody);
            self.rest = &[];
        }
        body
    }

    fn bind(&mut self) -> Result<Bind, DecodeError> {
        Ok(Bind {
            system_id: self.string(limit::SYSTEM_ID),
            password: Password::from_octets(self.string(limit::PASSWORD)),
            system_type: self.string(limit::SYSTEM_TYPE),
            interface_version: self.octet("interface_version")?,
            address_range: self.address(limit::ADDRESS_RANGE, "addr_ton")?,
        })
    }

    fn bind_resp(&mut self, status: CommandStatus) -> BindResp {
        if !self.has_body(status, true) {
            return BindResp::default();
        }
        BindResp {
            system_id: self.string(limit::SYSTEM_ID),
            tlvs: self.tlvs(),
        }
    }

    /// Whether an answer has a body. Success without one is a departure for all, an error with one only for those that
    /// leave it out then (SMPP 3.4 §4.1.2, §4.4.2).
    fn has_body(&mut self, status: CommandStatus, bodyless_error: bool) -> bool {
        match (self.rest.is_empty(), status.is_ok()) {
            (true, true) => self.quirks.insert(Tolerated::MissingBody),
            (false, false) if bodyless_error => self.quirks.insert(Tolerated::BodyOnError),
            (true, false) | (false, true | false) => {}
        }
        !self.rest.is_empty()
    }

    fn message_resp(&mut self, status: CommandStatus, bodyless_error: bool) -> MessageResp {
        if !self.has_body(status, bodyless_error) {
            return MessageResp::default();
        }
        // An error answer may hold TLVs without the id before them; nothing marks the difference, so TLVs win when they
        // fill the body exactly.
        if !status.is_ok() && self.rest.len() >= 4 {
            let (tlvs, left) = Tlvs::parse(self.rest);
            if left == 0 && tlvs.iter().next().is_some_and(|first| first.tag != 0) {
                self.rest = &[];
                return MessageResp {
                    message_id: COctets::new(),
                    tlvs,
                };
            }
        }
        MessageResp {
            message_id: self.string(limit::MESSAGE_ID),
            tlvs: self.tlvs(),
        }
    }

    fn query_sm_resp(&mut self, status: CommandStatus) -> QuerySmResp {
        if !self.has_body(status, false) {
            return QuerySmResp::default();
        }
        let message_id = self.string(limit::MESSAGE_ID);
        let final_date = self.string(limit::TIME);
        let mut octet = || {
            let octet = self.octet("message_state");
            if octet.is_err() {
                self.quirks.insert(Tolerated::MissingBody);
            }
            octet.unwrap_or(0)
        };
        QuerySmResp {
            message_state: octet(),
            error_code: octet(),
            message_id,
            final_date,
        }
    }

    /// submit_sm (`strict` about its length) and deliver_sm.
    fn short_message(&mut self, strict: bool) -> Result<ShortMessage, DecodeError> {
        let mut message = ShortMessage {
            service_type: self.string(limit::SERVICE_TYPE),
            source: self.address(limit::ADDRESS, "source_addr_ton")?,
            destination: self.address(limit::ADDRESS, "dest_addr_ton")?,
            esm_class: self.octet("esm_class")?,
            protocol_id: self.octet("protocol_id")?,
            priority_flag: self.octet("priority_flag")?,
            schedule_delivery_time: self.string(limit::TIME),
            validity_period: self.string(limit::TIME),
            registered_delivery: self.octet("registered_delivery")?,
            replace_if_present: self.octet("replace_if_present_flag")?,
            data_coding: self.octet("data_coding")?,
            sm_default_msg_id: self.octet("sm_default_msg_id")?,
            short_message: Bytes::new(),
            tlvs: Tlvs::new(),
        };
        (message.short_message, message.tlvs) = self.text_and_tlvs(strict)?;
        Ok(message)
    }

    fn data_sm(&mut self) -> Result<ShortMessage, DecodeError> {
        Ok(ShortMessage {
            service_type: self.string(limit::SERVICE_TYPE),
            source: self.address(limit::ADDRESS, "source_addr_ton")?,
            destination: self.address(limit::ADDRESS, "dest_addr_ton")?,
            esm_class: self.octet("esm_class")?,
            registered_delivery: self.octet("registered_delivery")?,
            data_coding: self.octet("data_coding")?,
            tlvs: self.tlvs(),
            ..ShortMessage::default()
        })
    }

    fn replace_sm(&mut self) -> Result<ReplaceSm, DecodeError> {
        let mut replace = ReplaceSm {
            message_id: self.string(limit::MESSAGE_ID),
            source: self.address(limit::ADDRESS, "source_addr_ton")?,
            schedule_delivery_time: self.string(limit::TIME),
            validity_period: self.string(limit::TIME),
            registered_delivery: self.octet("registered_delivery")?,
            sm_default_msg_id: self.octet("sm_default_msg_id")?,
            short_message: Bytes::new(),
            tlvs: Tlvs::new(),
        };
        (replace.short_message, replace.tlvs) = self.text_and_tlvs(true)?;
        Ok(replace)
    }

    /// sm_length, short_message and what follows.
    ///
    /// A length that says more than there is: one octet too many is the NUL that some count and do not send. More than
    /// that is cut text, refused where the sender can repair it (`strict`) and taken in deliver_sm, which the carrier would
    /// send again for days. A length 256 or a multiple of it too small has lost its upper bits.
    fn text_and_tlvs(&mut self, strict: bool) -> Result<(Bytes, Tlvs), DecodeError> {
        let stated = usize::from(self.octet("sm_length")?);
        if stated > limit::SHORT_MESSAGE {
            self.quirks.insert(Tolerated::ShortMessageOverlong);
        }
        let Some((text, rest)) = self.rest.split_at_checked(stated) else {
            let present = self.rest.len();
            if strict && present.saturating_add(1) < stated {
                return Err(DecodeError::MessageLength { stated, present });
            }
            self.quirks.insert(Tolerated::ShortMessageTruncated);
            let text = Bytes::copy_from_slice(self.rest);
            self.rest = &[];
            return Ok((text, Tlvs::new()));
        };
        if rest.is_empty() {
            self.rest = rest;
            return Ok((Bytes::copy_from_slice(text), Tlvs::new()));
        }
        let wrapped = rest.len().checked_rem(256) == Some(0);
        if wrapped && Tlvs::parse(rest).1 == rest.len() && rest.iter().any(|octet| *octet != 0) {
            self.quirks.insert(Tolerated::ShortMessageUnderstated);
            let text = Bytes::copy_from_slice(self.rest);
            self.rest = &[];
            return Ok((text, Tlvs::new()));
        }
        self.rest = rest;
        Ok((Bytes::copy_from_slice(text), self.tlvs()))
    }

    /// All that is left, as TLVs. NULs before or after them, and a broken tail, are dropped.
    fn tlvs(&mut self) -> Tlvs {
        if self.rest.is_empty() {
            return Tlvs::new();
        }
        let area = std::mem::take(&mut self.rest);
        let (tlvs, left) = Tlvs::parse(area);
        if left == 0 && !(tlvs.iter().all(|tlv| tlv.tag == 0 && tlv.value.is_empty())) {
            return tlvs;
        }
        if area.iter().all(|octet| *octet == 0) {
            self.quirks.insert(Tolerated::TrailingNul);
            return Tlvs::new();
        }
        // A NUL after short_message shifts every TLV by one.
        if let Some((0, shifted)) = area.split_first() {
            let (found, left) = Tlvs::parse(shifted);
            if left == 0 && found.get(0).is_none() {
                self.quirks.insert(Tolerated::TrailingNul);
                return found;
            }
        }
        let tail = area.get(area.len().saturating_sub(left)..).unwrap_or(&[]);
        let nuls = tail.iter().all(|octet| *octet == 0);
        self.quirks.insert(if nuls {
            Tolerated::TrailingNul
        } else {
            Tolerated::TruncatedTlv
        });
        tlvs
    }

    /// After a PDU without TLVs of its own.
    fn end(&mut self) {
        if self.rest.is_empty() {
            return;
        }
        let nuls = self.rest.iter().all(|octet| *octet == 0);
        self.quirks.insert(if nuls {
            Tolerated::TrailingNul
        } else {
            Tolerated::UnexpectedBody
        });
    }
}

/// sc_interface_version of a bind answer.
pub(crate) fn interface_version(tlvs: &Tlvs) -> Option<u8> {
    tlvs.get(tag::SC_INTERFACE_VERSION)?.first().copied()
}
