//! submit_multi and its answer: one message to many (SMPP 3.4 §4.5, SMPP 5.0 §4.2.3).
//!
//! Invariant of the wire: at most 255 destinations, because one octet counts them; SMPP 3.4 and 5.0 allow 254 and 255.

use crate::{address::Address, octets::COctets, status::CommandStatus, tlv::Tlvs};
use bytes::Bytes;

/// One destination of submit_multi (SMPP 3.4 §4.5.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// dest_flag 1: an SME.
    Sme(Address),
    /// dest_flag 2: a distribution list kept by the SMSC, by name (20 octets at most).
    List(COctets),
}

/// dest_flag of an SME.
pub(crate) const SME: u8 = 1;
/// dest_flag of a distribution list.
pub(crate) const LIST: u8 = 2;

/// Fields of submit_multi. The message is as in submit_sm, with many destinations instead of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubmitMulti {
    /// Service, often empty.
    pub service_type: COctets,
    /// From.
    pub source: Address,
    /// To, in the order of the wire.
    pub destinations: Vec<Destination>,
    /// As in submit_sm.
    pub esm_class: u8,
    /// GSM TP-PID.
    pub protocol_id: u8,
    /// Priority, 0 lowest.
    pub priority_flag: u8,
    /// Empty: at once. See [`crate::time`].
    pub schedule_delivery_time: COctets,
    /// Empty: the SMSC's default. See [`crate::time`].
    pub validity_period: COctets,
    /// As in submit_sm.
    pub registered_delivery: u8,
    /// Reserved in 3.4 (0), as in submit_sm in 5.0.
    pub replace_if_present: u8,
    /// GSM TP-DCS or what the carrier makes of it.
    pub data_coding: u8,
    /// A canned message of the SMSC, 0 none.
    pub sm_default_msg_id: u8,
    /// User data with its header (UDH), if any.
    pub short_message: Bytes,
    /// Optional parameters as they stand on the wire.
    pub tlvs: Tlvs,
}

/// A destination that the SMSC did not take (SMPP 3.4 §4.5.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsuccess {
    /// Which one.
    pub address: Address,
    /// Why.
    pub status: CommandStatus,
}

/// Fields of submit_multi_resp.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubmitMultiResp {
    /// One id for all destinations.
    pub message_id: COctets,
    /// Those that were not taken, in the order of the wire; at most 255.
    pub unsuccess: Vec<Unsuccess>,
    /// Optional parameters.
    pub tlvs: Tlvs,
}
