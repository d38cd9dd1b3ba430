//! What a client may ask of the carrier beside content and addresses.
//!
//! Values as the standards number them (SMPP 3.4 section 5.2); an operator's link passes on what its protocol and its
//! account can carry. Most messages ask for nothing and have no such record.

use crate::quick::fields;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Wishes that go from the client's request to the carrier's PDU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct CarrierOptions {
    /// priority_flag, 0 to 3 (SMPP 3.4 section 5.2.14).
    #[n(0)]
    pub priority: Option<u8>,
    /// protocol_id, the TP-PID of 3GPP 23.040 section 9.2.3.9.
    #[n(1)]
    pub protocol_id: Option<u8>,
    /// service_type, at most 5 characters (SMPP 3.4 section 5.2.11).
    #[n(2)]
    pub service_type: Option<String>,
    /// replace_if_present_flag (SMPP 3.4 section 5.2.18).
    #[n(3)]
    pub replace_if_present: Option<bool>,
    /// data_coding as an SMPP client gave it, where encoding and message class do not say all of it.
    #[n(4)]
    pub data_coding: Option<u8>,
    /// Optional parameters in the order of the request; none of them one that the gateway writes itself.
    #[n(5)]
    pub tlvs: Option<Vec<RawTlv>>,
}

fields!(CarrierOptions: priority, protocol_id, service_type, replace_if_present, data_coding, tlvs);

/// An optional parameter (SMPP 3.4 section 5.3), not looked into.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RawTlv {
    /// Its tag.
    #[n(0)]
    pub tag: u16,
    /// Its value, at most 65,535 octets.
    #[n(1)]
    pub value: ByteVec,
}

fields!(RawTlv: tag, value);

impl CarrierOptions {
    /// Nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
