//! The one model of a PDU that everything above uses: header fields and a body with owned values and raw TLVs.
//!
//! Knows nothing of bytes on the wire (`decode`, `encode`) or of sessions. submit_sm, deliver_sm and data_sm share one
//! struct: the first two have the same fields, and data_sm has fewer (SMPP 3.4 §4.4, §4.6, §4.7). Every operation of SMPP
//! 3.4 and 5.0 has a variant; those that only SMPP 3.3 had and all others stay raw.

mod broadcast;
pub(crate) mod multi;
mod parts;

pub use broadcast::{BroadcastSm, CancelBroadcastSm, QueryBroadcastSm};
pub use multi::{Destination, SubmitMulti, SubmitMultiResp, Unsuccess};

use crate::{address::Address, octets::COctets, password::Password, status::CommandStatus, tlv::Tlvs};
use bytes::Bytes;
use rusmpp_core::CommandId;

/// One PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    /// command_status; zero in requests.
    pub status: CommandStatus,
    /// sequence_number, whatever the peer chose.
    pub sequence: u32,
    /// What it is, with its fields.
    pub body: Body,
}

impl Pdu {
    /// A PDU with status zero.
    #[must_use]
    pub const fn new(sequence: u32, body: Body) -> Self {
        Self {
            status: CommandStatus::OK,
            sequence,
            body,
        }
    }

    /// An answer.
    #[must_use]
    pub const fn answer(sequence: u32, status: CommandStatus, body: Body) -> Self {
        Self {
            status,
            sequence,
            body,
        }
    }
}

/// The operations of SMPP 3.3, 3.4 and 5.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// bind_transmitter, bind_receiver, bind_transceiver.
    Bind(BindKind, Bind),
    /// The answers to them.
    BindResp(BindKind, BindResp),
    /// outbind: the SMSC asks an ESME to bind.
    Outbind {
        /// The SMSC's name.
        system_id: COctets,
        /// The SMSC's secret.
        password: Password,
    },
    /// unbind.
    Unbind,
    /// unbind_resp.
    UnbindResp,
    /// enquire_link.
    EnquireLink,
    /// enquire_link_resp; TLVs (congestion_state) from 5.0 on.
    EnquireLinkResp(Tlvs),
    /// generic_nack.
    GenericNack,
    /// submit_sm.
    SubmitSm(ShortMessage),
    /// submit_sm_resp.
    SubmitSmResp(MessageResp),
    /// deliver_sm.
    DeliverSm(ShortMessage),
    /// deliver_sm_resp.
    DeliverSmResp(MessageResp),
    /// data_sm.
    DataSm(ShortMessage),
    /// data_sm_resp.
    DataSmResp(MessageResp),
    /// query_sm.
    QuerySm(QuerySm),
    /// query_sm_resp.
    QuerySmResp(QuerySmResp),
    /// cancel_sm.
    CancelSm(CancelSm),
    /// cancel_sm_resp; TLVs (congestion_state) from 5.0 on.
    CancelSmResp(Tlvs),
    /// replace_sm.
    ReplaceSm(ReplaceSm),
    /// replace_sm_resp; TLVs (congestion_state) from 5.0 on.
    ReplaceSmResp(Tlvs),
    /// alert_notification, which has no answer.
    AlertNotification(AlertNotification),
    /// submit_multi.
    SubmitMulti(SubmitMulti),
    /// submit_multi_resp.
    SubmitMultiResp(SubmitMultiResp),
    /// broadcast_sm, from 5.0 on.
    BroadcastSm(BroadcastSm),
    /// broadcast_sm_resp.
    BroadcastSmResp(MessageResp),
    /// query_broadcast_sm, from 5.0 on.
    QueryBroadcastSm(QueryBroadcastSm),
    /// query_broadcast_sm_resp: state, areas and their success are TLVs.
    QueryBroadcastSmResp(MessageResp),
    /// cancel_broadcast_sm, from 5.0 on.
    CancelBroadcastSm(CancelBroadcastSm),
    /// cancel_broadcast_sm_resp.
    CancelBroadcastSmResp(Tlvs),
    /// Everything else: what only SMPP 3.3 had (see [`deprecated`]), vendors' own operations, nonsense.
    Raw(Raw),
}

/// A PDU that is not taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Raw {
    /// command_id as received.
    pub command_id: u32,
    /// All that follows the header.
    pub octets: Bytes,
}

/// Operations that SMPP 3.3 has and 3.4 dropped; an answer has the top bit set besides. They are known by name and stay
/// [`Body::Raw`]: no carrier serves them any more.
pub mod deprecated {
    /// param_retrieve.
    pub const PARAM_RETRIEVE: u32 = 0x22;
    /// query_last_msgs.
    pub const QUERY_LAST_MSGS: u32 = 0x23;
    /// query_msg_details.
    pub const QUERY_MSG_DETAILS: u32 = 0x24;

    /// The name of such an operation or of its answer.
    #[must_use]
    pub const fn name(command_id: u32) -> Option<&'static str> {
        Some(match command_id {
            PARAM_RETRIEVE => "param_retrieve",
            QUERY_LAST_MSGS => "query_last_msgs",
            QUERY_MSG_DETAILS => "query_msg_details",
            0x8000_0022 => "param_retrieve_resp",
            0x8000_0023 => "query_last_msgs_resp",
            0x8000_0024 => "query_msg_details_resp",
            _ => return None,
        })
    }
}

impl Body {
    /// The command_id of this body.
    #[must_use]
    pub fn command_id(&self) -> CommandId {
        match self {
            Self::Bind(BindKind::Transmitter, _) => CommandId::BindTransmitter,
            Self::Bind(BindKind::Receiver, _) => CommandId::BindReceiver,
            Self::Bind(BindKind::Transceiver, _) => CommandId::BindTransceiver,
            Self::BindResp(BindKind::Transmitter, _) => CommandId::BindTransmitterResp,
            Self::BindResp(BindKind::Receiver, _) => CommandId::BindReceiverResp,
            Self::BindResp(BindKind::Transceiver, _) => CommandId::BindTransceiverResp,
            Self::Outbind { .. } => CommandId::Outbind,
            Self::Unbind => CommandId::Unbind,
            Self::UnbindResp => CommandId::UnbindResp,
            Self::EnquireLink => CommandId::EnquireLink,
            Self::EnquireLinkResp(_) => CommandId::EnquireLinkResp,
            Self::GenericNack => CommandId::GenericNack,
            Self::SubmitSm(_) => CommandId::SubmitSm,
            Self::SubmitSmResp(_) => CommandId::SubmitSmResp,
            Self::DeliverSm(_) => CommandId::DeliverSm,
            Self::DeliverSmResp(_) => CommandId::DeliverSmResp,
            Self::DataSm(_) => CommandId::DataSm,
            Self::DataSmResp(_) => CommandId::DataSmResp,
            Self::QuerySm(_) => CommandId::QuerySm,
            Self::QuerySmResp(_) => CommandId::QuerySmResp,
            Self::CancelSm(_) => CommandId::CancelSm,
            Self::CancelSmResp(_) => CommandId::CancelSmResp,
            Self::ReplaceSm(_) => CommandId::ReplaceSm,
            Self::ReplaceSmResp(_) => CommandId::ReplaceSmResp,
            Self::AlertNotification(_) => CommandId::AlertNotification,
            Self::SubmitMulti(_) => CommandId::SubmitMulti,
            Self::SubmitMultiResp(_) => CommandId::SubmitMultiResp,
            Self::BroadcastSm(_) => CommandId::BroadcastSm,
            Self::BroadcastSmResp(_) => CommandId::BroadcastSmResp,
            Self::QueryBroadcastSm(_) => CommandId::QueryBroadcastSm,
            Self::QueryBroadcastSmResp(_) => CommandId::QueryBroadcastSmResp,
            Self::CancelBroadcastSm(_) => CommandId::CancelBroadcastSm,
            Self::CancelBroadcastSmResp(_) => CommandId::CancelBroadcastSmResp,
            Self::Raw(raw) => CommandId::from(raw.command_id),
        }
    }
}

/// How an ESME binds: what it may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindKind {
    /// Submits only.
    Transmitter,
    /// Receives only.
    Receiver,
    /// Both.
    Transceiver,
}

impl BindKind {
    /// Whether the ESME may submit on it.
    #[must_use]
    pub const fn can_submit(self) -> bool {
        match self {
            Self::Transmitter | Self::Transceiver => true,
            Self::Receiver => false,
        }
    }

    /// Whether the SMSC may deliver on it.
    #[must_use]
    pub const fn can_deliver(self) -> bool {
        match self {
            Self::Receiver | Self::Transceiver => true,
            Self::Transmitter => false,
        }
    }
}

/// Fields of a bind request (SMPP 3.4 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bind {
    /// Who binds.
    pub system_id: COctets,
    /// Their secret, never shown.
    pub password: Password,
    /// Kind of system, often empty.
    pub system_type: COctets,
    /// 0x34 for SMPP 3.4.
    pub interface_version: u8,
    /// Addresses served by this session: type, plan and a pattern.
    pub address_range: Address,
}

/// Fields of a bind answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BindResp {
    /// Who answers.
    pub system_id: COctets,
    /// `sc_interface_version` is the only one defined.
    pub tlvs: Tlvs,
}

/// A short message of submit_sm, deliver_sm or data_sm.
///
/// data_sm has no protocol_id, priority_flag, times, replace flag, default message and short_message: they are default
/// when it is decoded; when it is encoded the times and flags are left out and a short_message goes into message_payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShortMessage {
    /// Service, often empty; some carriers use it for billing.
    pub service_type: COctets,
    /// From.
    pub source: Address,
    /// To.
    pub destination: Address,
    /// Mode, type and features; see [`crate::esm_class`].
    pub esm_class: u8,
    /// GSM TP-PID.
    pub protocol_id: u8,
    /// Priority, 0 lowest.
    pub priority_flag: u8,
    /// Empty: at once. See [`crate::time`].
    pub schedule_delivery_time: COctets,
    /// Empty: the SMSC's default. See [`crate::time`].
    pub validity_period: COctets,
    /// 1: final receipt, 2: receipt of failure, 0x10: intermediate ones too.
    pub registered_delivery: u8,
    /// 1: replace the message of the same service type and addresses.
    pub replace_if_present: u8,
    /// GSM TP-DCS or what the carrier makes of it.
    pub data_coding: u8,
    /// A canned message of the SMSC, 0 none.
    pub sm_default_msg_id: u8,
    /// User data with its header (UDH), if any; at most 255 octets on the wire.
    pub short_message: Bytes,
    /// Optional parameters as they stand on the wire.
    pub tlvs: Tlvs,
}

/// submit_sm.
pub type SubmitSm = ShortMessage;
/// deliver_sm.
pub type DeliverSm = ShortMessage;
/// data_sm.
pub type DataSm = ShortMessage;

impl ShortMessage {
    /// The user data, wherever it stands: short_message, or the message_payload TLV when that is empty.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        if self.short_message.is_empty() {
            self.tlvs.get(crate::tlv::tag::MESSAGE_PAYLOAD).unwrap_or(&[])
        } else {
            &self.short_message
        }
    }
}

/// Fields of the answers to submit_sm, deliver_sm and data_sm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageResp {
    /// The SMSC's id; empty in deliver_sm_resp and where the peer left it out.
    pub message_id: COctets,
    /// Optional parameters.
    pub tlvs: Tlvs,
}

/// Fields of query_sm (SMPP 3.4 §4.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuerySm {
    /// The SMSC's id of the message.
    pub message_id: COctets,
    /// Source of the message, checked by the SMSC.
    pub source: Address,
}

/// Fields of query_sm_resp.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuerySmResp {
    /// The SMSC's id of the message.
    pub message_id: COctets,
    /// When it became final; empty before.
    pub final_date: COctets,
    /// message_state, SMPP 3.4 §5.2.28.
    pub message_state: u8,
    /// Network error, 0 none.
    pub error_code: u8,
    /// Optional parameters (congestion_state) from 5.0 on.
    pub tlvs: Tlvs,
}

/// Fields of cancel_sm (SMPP 3.4 §4.9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancelSm {
    /// Service type of a group.
    pub service_type: COctets,
    /// The SMSC's id; empty for a group.
    pub message_id: COctets,
    /// Source of the message.
    pub source: Address,
    /// Destination of the message, for a group.
    pub destination: Address,
}

/// Fields of replace_sm (SMPP 3.4 §4.10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplaceSm {
    /// The SMSC's id of the message.
    pub message_id: COctets,
    /// Source of the message.
    pub source: Address,
    /// Empty: unchanged.
    pub schedule_delivery_time: COctets,
    /// Empty: unchanged.
    pub validity_period: COctets,
    /// As in submit_sm.
    pub registered_delivery: u8,
    /// As in submit_sm.
    pub sm_default_msg_id: u8,
    /// The new user data.
    pub short_message: Bytes,
    /// None in 3.4; message_payload in 5.0.
    pub tlvs: Tlvs,
}

/// Fields of alert_notification (SMPP 3.4 §4.12).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertNotification {
    /// The mobile that is there again.
    pub source: Address,
    /// Who asked to be told.
    pub esme: Address,
    /// ms_availability_status.
    pub tlvs: Tlvs,
}
