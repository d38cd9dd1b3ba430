//! The broadcast family of SMPP 5.0 (§4.4 to §4.6): a message to everybody in an area.
//!
//! Areas, content type, repetitions and frequency are TLVs (see [`crate::tlv::tag`]); user data is in message_payload.

use crate::{address::Address, octets::COctets, tlv::Tlvs};

/// Fields of broadcast_sm (SMPP 5.0 §4.4.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BroadcastSm {
    /// Service, often empty.
    pub service_type: COctets,
    /// From.
    pub source: Address,
    /// The message to be replaced; empty for a new one.
    pub message_id: COctets,
    /// Priority, 0 lowest.
    pub priority_flag: u8,
    /// Empty: at once. See [`crate::time`].
    pub schedule_delivery_time: COctets,
    /// Empty: from repetitions and frequency. See [`crate::time`].
    pub validity_period: COctets,
    /// 1: replace the message of that id or reference.
    pub replace_if_present: u8,
    /// GSM TP-DCS or what the carrier makes of it.
    pub data_coding: u8,
    /// A canned message of the SMSC, 0 none.
    pub sm_default_msg_id: u8,
    /// Areas, content type, repetitions and frequency must be there.
    pub tlvs: Tlvs,
}

/// Fields of query_broadcast_sm (SMPP 5.0 §4.6.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryBroadcastSm {
    /// The SMSC's id of the message; empty when user_message_reference names it.
    pub message_id: COctets,
    /// Source of the message, checked by the SMSC.
    pub source: Address,
    /// user_message_reference, if any.
    pub tlvs: Tlvs,
}

/// Fields of cancel_broadcast_sm (SMPP 5.0 §4.6.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancelBroadcastSm {
    /// Service type of a group.
    pub service_type: COctets,
    /// The SMSC's id; empty for a group.
    pub message_id: COctets,
    /// Source of the message.
    pub source: Address,
    /// broadcast_content_type and user_message_reference, if any.
    pub tlvs: Tlvs,
}
