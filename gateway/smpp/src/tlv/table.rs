//! Every TLV of SMPP 3.4 (§5.3.2) and 5.0 (§4.8.4) by name: tag, type, length, since when, in which PDUs.
//!
//! A table and nothing else; values stay raw wherever they are. Where the two versions differ, the wider rule stands.
//! Invariant: the table is in the order of the tags.

use super::Tlvs;
use crate::{
    tolerated::{Tolerated, ToleratedSet},
    version::Version,
};
use rusmpp_core::CommandId;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An unsigned number, big endian.
    Integer,
    /// Octets up to a NUL.
    CString,
    /// Octets with a form of their own.
    Octets,
}

/// What the specification says of one TLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its tag.
    pub tag: u16,
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Least octets of the value.
    pub min: u16,
    /// Most octets of the value; a C-octet string's with its NUL.
    pub max: u16,
    /// The first version that has it.
    pub since: Version,
    /// Whether it may stand several times.
    pub repeats: bool,
    /// Bits of [`place`].
    pdus: u32,
}

impl Definition {
    /// Whether a value of that many octets is allowed.
    #[must_use]
    pub fn fits(&self, len: usize) -> bool {
        (usize::from(self.min)..=usize::from(self.max)).contains(&len)
    }

    /// Whether it may stand in that PDU.
    #[must_use]
    pub const fn stands_in(&self, command: CommandId) -> bool {
        self.pdus & place(command) != 0
    }
}

/// Whose a tag is (SMPP 3.4 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagClass {
    /// In the table.
    Known(&'static Definition),
    /// 0x1400 to 0x3FFF: agreed with a vendor.
    Vendor,
    /// Everything else.
    Reserved,
}

/// Whose the tag is.
#[must_use]
pub fn class(tag: u16) -> TagClass {
    match (definition(tag), tag) {
        (Some(known), _) => TagClass::Known(known),
        (None, 0x1400..=0x3FFF) => TagClass::Vendor,
        (None, _) => TagClass::Reserved,
    }
}

/// What the specification says of a tag, if anything.
#[must_use]
pub fn definition(tag: u16) -> Option<&'static Definition> {
    TABLE.get(index(tag)?)
}

fn index(tag: u16) -> Option<usize> {
    TABLE.binary_search_by_key(&tag, |known| known.tag).ok()
}

/// What is wrong with the TLVs of a PDU from a peer of that version.
pub(crate) fn check(tlvs: &Tlvs, command: CommandId, version: Version) -> ToleratedSet {
    let mut quirks = ToleratedSet::NONE;
    if version == Version::V3_3 && !tlvs.is_empty() {
        quirks.insert(Tolerated::TlvFromOldVersion);
    }
    // One bit for each row, so that a PDU full of TLVs costs no more than one look at each.
    let mut seen = 0_u128;
    for tlv in tlvs {
        let Some((known, at)) = index(tlv.tag).and_then(|at| Some((TABLE.get(at)?, at))) else {
            continue;
        };
        if !known.fits(tlv.value.len()) {
            quirks.insert(Tolerated::TlvLength);
        }
        if !known.stands_in(command) {
            quirks.insert(Tolerated::TlvMisplaced);
        }
        let bit = u32::try_from(at)
            .ok()
            .and_then(|at| 1_u128.checked_shl(at))
            .unwrap_or(0);
        if seen & bit != 0 && !known.repeats {
            quirks.insert(Tolerated::TlvRepeated);
        }
        seen |= bit;
    }
    quirks
}

const BIND_RESP: u32 = 1;
const SUBMIT: u32 = 1 << 1;
const MULTI: u32 = 1 << 2;
const DATA: u32 = 1 << 3;
const DELIVER: u32 = 1 << 4;
const REPLACE: u32 = 1 << 5;
const ALERT: u32 = 1 << 6;
const BROADCAST: u32 = 1 << 7;
const QUERY_BROADCAST: u32 = 1 << 8;
const CANCEL_BROADCAST: u32 = 1 << 9;
const SUBMIT_RESP: u32 = 1 << 10;
const DATA_RESP: u32 = 1 << 11;
const DELIVER_RESP: u32 = 1 << 12;
const BROADCAST_RESP: u32 = 1 << 13;
const QUERY_BROADCAST_RESP: u32 = 1 << 14;
const OTHER_RESP: u32 = 1 << 15;
/// Where nothing stands, and where anything may: a raw PDU's body is not read.
const NOWHERE: u32 = 0;
const SUBMISSION: u32 = SUBMIT | MULTI | DATA;
const SUBMISSION_RESP: u32 = SUBMIT_RESP | DATA_RESP;
const ANY_RESP: u32 =
    BIND_RESP | SUBMIT_RESP | DATA_RESP | DELIVER_RESP | BROADCAST_RESP | QUERY_BROADCAST_RESP | OTHER_RESP;

const fn place(command: CommandId) -> u32 {
    match command {
        CommandId::BindTransmitterResp | CommandId::BindReceiverResp | CommandId::BindTransceiverResp => {
            BIND_RESP
        }
        CommandId::SubmitSm => SUBMIT,
        CommandId::SubmitMulti => MULTI,
        CommandId::DataSm => DATA,
        CommandId::DeliverSm => DELIVER,
        CommandId::ReplaceSm => REPLACE,
        CommandId::AlertNotification => ALERT,
        CommandId::BroadcastSm => BROADCAST,
        CommandId::QueryBroadcastSm => QUERY_BROADCAST,
        CommandId::CancelBroadcastSm => CANCEL_BROADCAST,
        CommandId::SubmitSmResp | CommandId::SubmitMultiResp => SUBMIT_RESP,
        CommandId::DataSmResp => DATA_RESP,
        CommandId::DeliverSmResp => DELIVER_RESP,
        CommandId::BroadcastSmResp => BROADCAST_RESP,
        CommandId::QueryBroadcastSmResp => QUERY_BROADCAST_RESP,
        CommandId::QuerySmResp
        | CommandId::CancelSmResp
        | CommandId::ReplaceSmResp
        | CommandId::CancelBroadcastSmResp
        | CommandId::EnquireLinkResp
        | CommandId::UnbindResp
        | CommandId::GenericNack => OTHER_RESP,
        CommandId::BindTransmitter
        | CommandId::BindReceiver
        | CommandId::BindTransceiver
        | CommandId::Outbind
        | CommandId::QuerySm
        | CommandId::CancelSm
        | CommandId::EnquireLink
        | CommandId::Unbind
        | CommandId::Other(_) => NOWHERE,
    }
}

macro_rules! table {
    ($($(#[$doc:meta])* $constant:ident $tag:literal $name:literal $kind:ident $min:literal..=$max:literal $since:ident [$($pdus:tt)+] $repeats:literal;)+) => {
        /// The tags by name.
        pub mod tag {
            $($(#[$doc])* pub const $constant: u16 = $tag;)+
        }

        /// All of them, in the order of their tags.
        pub const TABLE: &[Definition] = &[$(Definition {
            tag: $tag,
            name: $name,
            kind: Kind::$kind,
            min: $min,
            max: $max,
            since: Version::$since,
            repeats: $repeats,
            pdus: $($pdus)+,
        },)+];
    };
}

table! {
    /// dest_addr_subunit: which part of the destination device the user data is for.
    DEST_ADDR_SUBUNIT 0x0005 "dest_addr_subunit" Integer 1..=1 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// dest_network_type: network of the destination.
    DEST_NETWORK_TYPE 0x0006 "dest_network_type" Integer 1..=1 V3_4 [SUBMISSION] false;
    /// dest_bearer_type: bearer wanted for the destination.
    DEST_BEARER_TYPE 0x0007 "dest_bearer_type" Integer 1..=1 V3_4 [SUBMISSION] false;
    /// dest_telematics_id: telematic interworking for the destination.
    DEST_TELEMATICS_ID 0x0008 "dest_telematics_id" Integer 2..=2 V3_4 [SUBMISSION] false;
    /// source_addr_subunit: which part of the source device made the user data.
    SOURCE_ADDR_SUBUNIT 0x000D "source_addr_subunit" Integer 1..=1 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// source_network_type: network of the source.
    SOURCE_NETWORK_TYPE 0x000E "source_network_type" Integer 1..=1 V3_4 [SUBMISSION] false;
    /// source_bearer_type: bearer over which the message came.
    SOURCE_BEARER_TYPE 0x000F "source_bearer_type" Integer 1..=1 V3_4 [SUBMISSION] false;
    /// source_telematics_id: telematics interface over which the message came; one octet in 3.4, two in some.
    SOURCE_TELEMATICS_ID 0x0010 "source_telematics_id" Integer 1..=2 V3_4 [SUBMISSION] false;
    /// qos_time_to_live: seconds to keep the message.
    QOS_TIME_TO_LIVE 0x0017 "qos_time_to_live" Integer 4..=4 V3_4 [SUBMISSION | DELIVER] false;
    /// payload_type: kind of payload: 0 WDP, 1 WCMP.
    PAYLOAD_TYPE 0x0019 "payload_type" Integer 1..=1 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// additional_status_info_text: what the answer means, for people.
    ADDITIONAL_STATUS_INFO_TEXT 0x001D "additional_status_info_text" CString 1..=256 V3_4 [ANY_RESP] false;
    /// receipted_message_id: the carrier's id of the message a receipt is about.
    RECEIPTED_MESSAGE_ID 0x001E "receipted_message_id" CString 1..=65 V3_4 [DELIVER | DATA] false;
    /// ms_msg_wait_facilities: message waiting indication and its kind.
    MS_MSG_WAIT_FACILITIES 0x0030 "ms_msg_wait_facilities" Integer 1..=1 V3_4 [SUBMISSION] false;
    /// privacy_indicator: 0 none to 3 secret.
    PRIVACY_INDICATOR 0x0201 "privacy_indicator" Integer 1..=1 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// source_subaddress: subaddress of the source: type and characters.
    SOURCE_SUBADDRESS 0x0202 "source_subaddress" Octets 2..=23 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// dest_subaddress: subaddress of the destination: type and characters.
    DEST_SUBADDRESS 0x0203 "dest_subaddress" Octets 2..=23 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// user_message_reference: reference chosen by the ESME.
    USER_MESSAGE_REFERENCE 0x0204 "user_message_reference" Integer 2..=2 V3_4 [SUBMISSION | DELIVER | BROADCAST | QUERY_BROADCAST | QUERY_BROADCAST_RESP | CANCEL_BROADCAST] false;
    /// user_response_code: code of a user acknowledgement.
    USER_RESPONSE_CODE 0x0205 "user_response_code" Integer 1..=1 V3_4 [SUBMISSION | DELIVER] false;
    /// source_port: application port of the source.
    SOURCE_PORT 0x020A "source_port" Integer 2..=2 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// destination_port: application port of the destination.
    DESTINATION_PORT 0x020B "destination_port" Integer 2..=2 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// sar_msg_ref_num: reference of a long message in parts.
    SAR_MSG_REF_NUM 0x020C "sar_msg_ref_num" Integer 2..=2 V3_4 [SUBMISSION | DELIVER] false;
    /// language_indicator: language of the text.
    LANGUAGE_INDICATOR 0x020D "language_indicator" Integer 1..=1 V3_4 [SUBMISSION | DELIVER | BROADCAST] false;
    /// sar_total_segments: parts of the long message.
    SAR_TOTAL_SEGMENTS 0x020E "sar_total_segments" Integer 1..=1 V3_4 [SUBMISSION | DELIVER] false;
    /// sar_segment_seqnum: number of this part, from 1.
    SAR_SEGMENT_SEQNUM 0x020F "sar_segment_seqnum" Integer 1..=1 V3_4 [SUBMISSION | DELIVER] false;
    /// sc_interface_version: version of the SMSC, in a bind answer.
    SC_INTERFACE_VERSION 0x0210 "sc_interface_version" Integer 1..=1 V3_4 [BIND_RESP] false;
    /// callback_num_pres_ind: presentation of a call-back number.
    CALLBACK_NUM_PRES_IND 0x0302 "callback_num_pres_ind" Integer 1..=1 V3_4 [SUBMISSION | DELIVER | BROADCAST] true;
    /// callback_num_atag: letters shown for a call-back number.
    CALLBACK_NUM_ATAG 0x0303 "callback_num_atag" Octets 0..=65 V3_4 [SUBMISSION | DELIVER | BROADCAST] true;
    /// number_of_messages: messages in a mailbox, 0 to 99.
    NUMBER_OF_MESSAGES 0x0304 "number_of_messages" Integer 1..=1 V3_4 [SUBMISSION] false;
    /// callback_num: number to call back.
    CALLBACK_NUM 0x0381 "callback_num" Octets 4..=19 V3_4 [SUBMISSION | DELIVER | BROADCAST] true;
    /// dpf_result: whether the delivery pending flag was set.
    DPF_RESULT 0x0420 "dpf_result" Integer 1..=1 V3_4 [SUBMISSION_RESP | DELIVER | DATA] false;
    /// set_dpf: sets the delivery pending flag on failure.
    SET_DPF 0x0421 "set_dpf" Integer 1..=1 V3_4 [SUBMISSION] false;
    /// ms_availability_status: 0 available, 1 denied, 2 unavailable.
    MS_AVAILABILITY_STATUS 0x0422 "ms_availability_status" Integer 1..=1 V3_4 [ALERT] false;
    /// network_error_code: network type and two octets of code.
    NETWORK_ERROR_CODE 0x0423 "network_error_code" Octets 3..=3 V3_4 [SUBMISSION_RESP | DELIVER_RESP | DELIVER | DATA] false;
    /// message_payload: the message when it does not stand in short_message.
    MESSAGE_PAYLOAD 0x0424 "message_payload" Octets 0..=65535 V3_4 [SUBMISSION | DELIVER | REPLACE | BROADCAST] false;
    /// delivery_failure_reason: why a delivery failed.
    DELIVERY_FAILURE_REASON 0x0425 "delivery_failure_reason" Integer 1..=1 V3_4 [SUBMISSION_RESP | DELIVER_RESP] false;
    /// more_messages_to_send: 1: more messages for the same destination follow.
    MORE_MESSAGES_TO_SEND 0x0426 "more_messages_to_send" Integer 1..=1 V3_4 [SUBMISSION] false;
    /// message_state: state in a receipt.
    MESSAGE_STATE 0x0427 "message_state" Integer 1..=1 V3_4 [DELIVER | DATA | QUERY_BROADCAST_RESP] false;
    /// congestion_state: load of the sender of an answer: 0 idle, 1 to 29 low, 30 to 49 medium, 50 to 79 high, 80 to
    /// 89 optimal, 90 to 99 nearly congested, 100 congested.
    CONGESTION_STATE 0x0428 "congestion_state" Integer 1..=1 V5_0 [ANY_RESP] false;
    /// ussd_service_op: USSD operation.
    USSD_SERVICE_OP 0x0501 "ussd_service_op" Integer 1..=1 V3_4 [SUBMISSION | DELIVER] false;
    /// broadcast_channel_indicator: 0 basic, 1 extended channel.
    BROADCAST_CHANNEL_INDICATOR 0x0600 "broadcast_channel_indicator" Integer 1..=1 V5_0 [BROADCAST] false;
    /// broadcast_content_type: network type and two octets of content type.
    BROADCAST_CONTENT_TYPE 0x0601 "broadcast_content_type" Octets 3..=3 V5_0 [BROADCAST | CANCEL_BROADCAST] false;
    /// broadcast_content_type_info: more about the content.
    BROADCAST_CONTENT_TYPE_INFO 0x0602 "broadcast_content_type_info" Octets 1..=255 V5_0 [BROADCAST] false;
    /// broadcast_message_class: class of the message, 0 none to 3.
    BROADCAST_MESSAGE_CLASS 0x0603 "broadcast_message_class" Integer 1..=1 V5_0 [BROADCAST] false;
    /// broadcast_rep_num: how often the broadcast is repeated; two octets, one in some.
    BROADCAST_REP_NUM 0x0604 "broadcast_rep_num" Integer 1..=2 V5_0 [BROADCAST] false;
    /// broadcast_frequency_interval: unit and number of the time between repetitions.
    BROADCAST_FREQUENCY_INTERVAL 0x0605 "broadcast_frequency_interval" Octets 3..=3 V5_0 [BROADCAST] false;
    /// broadcast_area_identifier: format and details of an area.
    BROADCAST_AREA_IDENTIFIER 0x0606 "broadcast_area_identifier" Octets 1..=101 V5_0 [BROADCAST | BROADCAST_RESP | QUERY_BROADCAST_RESP] true;
    /// broadcast_error_status: status of an area that was not taken.
    BROADCAST_ERROR_STATUS 0x0607 "broadcast_error_status" Integer 4..=4 V5_0 [BROADCAST_RESP] true;
    /// broadcast_area_success: per cent of an area that was reached, 255 unknown.
    BROADCAST_AREA_SUCCESS 0x0608 "broadcast_area_success" Integer 1..=1 V5_0 [QUERY_BROADCAST_RESP] true;
    /// broadcast_end_time: when the broadcast ended.
    BROADCAST_END_TIME 0x0609 "broadcast_end_time" CString 16..=17 V5_0 [QUERY_BROADCAST_RESP] false;
    /// broadcast_service_group: service group.
    BROADCAST_SERVICE_GROUP 0x060A "broadcast_service_group" Octets 1..=255 V5_0 [BROADCAST] false;
    /// billing_identification: billing data: a format octet and what it says.
    BILLING_IDENTIFICATION 0x060B "billing_identification" Octets 1..=1024 V5_0 [SUBMISSION] false;
    /// source_network_id: network of the source.
    SOURCE_NETWORK_ID 0x060D "source_network_id" CString 7..=66 V5_0 [SUBMISSION | DELIVER] false;
    /// dest_network_id: network of the destination.
    DEST_NETWORK_ID 0x060E "dest_network_id" CString 7..=66 V5_0 [SUBMISSION | DELIVER] false;
    /// source_node_id: node of the source.
    SOURCE_NODE_ID 0x060F "source_node_id" Octets 6..=6 V5_0 [SUBMISSION | DELIVER] false;
    /// dest_node_id: node of the destination.
    DEST_NODE_ID 0x0610 "dest_node_id" Octets 6..=6 V5_0 [SUBMISSION | DELIVER] false;
    /// dest_addr_np_resolution: whether number portability was asked.
    DEST_ADDR_NP_RESOLUTION 0x0611 "dest_addr_np_resolution" Integer 1..=1 V5_0 [SUBMISSION | DELIVER] false;
    /// dest_addr_np_information: answer of the number portability query.
    DEST_ADDR_NP_INFORMATION 0x0612 "dest_addr_np_information" Octets 0..=10 V5_0 [SUBMISSION | DELIVER] false;
    /// dest_addr_np_country: country code of that answer.
    DEST_ADDR_NP_COUNTRY 0x0613 "dest_addr_np_country" Octets 1..=5 V5_0 [SUBMISSION | DELIVER] false;
    /// display_time: 0 temporary, 1 default, 2 invoke.
    DISPLAY_TIME 0x1201 "display_time" Integer 1..=1 V3_4 [SUBMISSION | BROADCAST] false;
    /// sms_signal: alert of the phone (TDMA, CDMA).
    SMS_SIGNAL 0x1203 "sms_signal" Integer 2..=2 V3_4 [SUBMISSION | BROADCAST] false;
    /// ms_validity: validity in the phone: one octet in 3.4, four with a period in 5.0.
    MS_VALIDITY 0x1204 "ms_validity" Octets 1..=4 V3_4 [SUBMISSION | BROADCAST] false;
    /// alert_on_message_delivery: alert the user; empty in 3.4, one octet in 5.0.
    ALERT_ON_MESSAGE_DELIVERY 0x130C "alert_on_message_delivery" Octets 0..=1 V3_4 [SUBMISSION | BROADCAST] false;
    /// its_reply_type: how the user may reply.
    ITS_REPLY_TYPE 0x1380 "its_reply_type" Integer 1..=1 V3_4 [SUBMISSION | DELIVER] false;
    /// its_session_info: session number and sequence.
    ITS_SESSION_INFO 0x1383 "its_session_info" Octets 2..=2 V3_4 [SUBMISSION | DELIVER] false;
}

#[cfg(test)]
mod tests;
