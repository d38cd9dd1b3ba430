//! From a frame to a PDU, tolerantly: what carriers really send is taken and named (see [`crate::tolerated`]).
//!
//! Own fields rather than rusmpp's decoder: that one refuses what the field is full of (over-long ids, trailing NULs, cut
//! TLVs), and one reader for both the strict and the tolerated case is simpler than two. Invariants: never panics, never
//! reads or allocates beyond the frame; an answer always decodes; TLVs stay raw; an operation nobody knows stays raw with
//! its id.
//!
//! # Limits
//! An answer with an error status may hold TLVs without the id before them, and nothing marks the difference: TLVs win
//! when they fill the body exactly, the first is known or a vendor's, and not all are empty.

mod bodies;
mod fields;

use crate::{
    framer::Frame,
    message_id,
    password::Password,
    pdu::{AlertNotification, BindKind, Body, CancelSm, Pdu, QuerySm, Raw},
    status::CommandStatus,
    tlv::{Tlvs, tag},
    tolerated::{Tolerated, ToleratedSet},
    version::Version,
};
use fields::Fields;
use rusmpp_core::CommandId;
use thiserror::Error;

/// Longest C-octet strings with their NUL, SMPP 3.4 §4 and 5.0 §4.
mod limit {
    pub(super) const SYSTEM_ID: usize = 16;
    pub(super) const PASSWORD: usize = 9;
    pub(super) const SYSTEM_TYPE: usize = 13;
    pub(super) const ADDRESS_RANGE: usize = 41;
    pub(super) const SERVICE_TYPE: usize = 6;
    pub(super) const ADDRESS: usize = 21;
    pub(super) const LONG_ADDRESS: usize = 65;
    pub(super) const LIST_NAME: usize = 21;
    pub(super) const TIME: usize = 17;
}

/// Why a PDU could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A command_id that no version has, or that we do not serve. The decoder itself gives [`Body::Raw`]; sessions refuse
    /// that with this.
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
    /// A destination of submit_multi is neither an SME nor a distribution list.
    #[error("dest_flag {0} is neither 1 nor 2")]
    DestinationFlag(u8),
    /// A request names a message by an id that nobody can have given out (see [`message_id::MAX`]).
    #[error("message_id has {0} octets, more than {max}", max = message_id::MAX)]
    MessageIdTooLong(usize),
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
            Self::DestinationFlag(_) => CommandStatus::INVALID_DESTINATION_FLAG,
            Self::MessageIdTooLong(_) => CommandStatus::INVALID_MESSAGE_ID,
            Self::WrongDirection => CommandStatus::INVALID_BIND_STATUS,
        }
    }
}

/// Decodes a frame of a peer that speaks SMPP 3.4, or of one whose version is not known yet; also tells what had to be
/// tolerated.
///
/// # Errors
/// When a request lacks fields or cannot be cut into them.
pub fn decode(frame: &Frame<'_>) -> Result<(Pdu, ToleratedSet), DecodeError> {
    decode_as(Version::V3_4, frame)
}

/// Decodes a frame of a peer that speaks `version`. Whatever the version, the same PDU is read; only what counts as
/// tolerated differs: TLVs from a 3.3 peer, lengths, answers with an error and a body.
///
/// # Errors
/// When a request lacks fields or cannot be cut into them.
pub fn decode_as(version: Version, frame: &Frame<'_>) -> Result<(Pdu, ToleratedSet), DecodeError> {
    let id = CommandId::from(frame.command_id);
    let status = CommandStatus(frame.status);
    let mut fields = Fields::new(version, id, frame.body);
    if id.is_operation() {
        if frame.sequence == 0 || frame.sequence > 0x7FFF_FFFF {
            fields.note(Tolerated::ReservedSequence);
        }
        if !status.is_ok() {
            fields.note(Tolerated::StatusInRequest);
        }
    }
    let body = body(&mut fields, id, status)?;
    fields.end();
    Ok((
        Pdu {
            status,
            sequence: frame.sequence,
            body,
        },
        fields.quirks(),
    ))
}

fn body(fields: &mut Fields<'_>, id: CommandId, status: CommandStatus) -> Result<Body, DecodeError> {
    Ok(match id {
        CommandId::SubmitSm => Body::SubmitSm(fields.short_message(true)?),
        CommandId::SubmitSmResp => Body::SubmitSmResp(fields.message_resp(status, true)),
        CommandId::DeliverSm => Body::DeliverSm(fields.short_message(false)?),
        CommandId::DeliverSmResp => Body::DeliverSmResp(fields.message_resp(status, false)),
        CommandId::DataSm => Body::DataSm(fields.data_sm()?),
        CommandId::DataSmResp => Body::DataSmResp(fields.message_resp(status, false)),
        CommandId::EnquireLink => fields.bodyless(Body::EnquireLink),
        CommandId::EnquireLinkResp => Body::EnquireLinkResp(fields.tlvs_only()),
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
            message_id: fields.asked_id()?,
            source: fields.address(limit::ADDRESS, "source_addr_ton")?,
        }),
        CommandId::QuerySmResp => Body::QuerySmResp(fields.query_sm_resp(status)),
        CommandId::CancelSm => Body::CancelSm(CancelSm {
            service_type: fields.string(limit::SERVICE_TYPE),
            message_id: fields.asked_id()?,
            source: fields.address(limit::ADDRESS, "source_addr_ton")?,
            destination: fields.address(limit::ADDRESS, "dest_addr_ton")?,
        }),
        CommandId::CancelSmResp => Body::CancelSmResp(fields.tlvs_only()),
        CommandId::ReplaceSm => Body::ReplaceSm(fields.replace_sm()?),
        CommandId::ReplaceSmResp => Body::ReplaceSmResp(fields.tlvs_only()),
        CommandId::AlertNotification => Body::AlertNotification(AlertNotification {
            source: fields.address(limit::LONG_ADDRESS, "source_addr_ton")?,
            esme: fields.address(limit::LONG_ADDRESS, "esme_addr_ton")?,
            tlvs: fields.tlvs(),
        }),
        CommandId::SubmitMulti => Body::SubmitMulti(fields.submit_multi()?),
        CommandId::SubmitMultiResp => Body::SubmitMultiResp(fields.submit_multi_resp(status)),
        CommandId::BroadcastSm => Body::BroadcastSm(fields.broadcast_sm()?),
        CommandId::BroadcastSmResp => Body::BroadcastSmResp(fields.message_resp(status, false)),
        CommandId::QueryBroadcastSm => Body::QueryBroadcastSm(fields.query_broadcast_sm()?),
        CommandId::QueryBroadcastSmResp => Body::QueryBroadcastSmResp(fields.message_resp(status, false)),
        CommandId::CancelBroadcastSm => Body::CancelBroadcastSm(fields.cancel_broadcast_sm()?),
        CommandId::CancelBroadcastSmResp => Body::CancelBroadcastSmResp(fields.tlvs_only()),
        CommandId::Other(command_id) => Body::Raw(Raw {
            command_id,
            octets: fields.all(),
        }),
    })
}

/// sc_interface_version of a bind answer.
pub(crate) fn interface_version(tlvs: &Tlvs) -> Option<u8> {
    tlvs.get(tag::SC_INTERFACE_VERSION)?.first().copied()
}
