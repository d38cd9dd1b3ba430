//! The bodies of the operations that have more than a few fields, in the order of the wire.
//!
//! Knows nothing of headers. Invariant: what an answer holds never fails, what a request lacks does.

use super::{DecodeError, fields::Fields, limit};
use crate::{
    address::Address,
    octets::COctets,
    password::Password,
    pdu::{
        Bind, BindResp, BroadcastSm, CancelBroadcastSm, Destination, MessageResp, QueryBroadcastSm,
        QuerySmResp, ReplaceSm, ShortMessage, SubmitMulti, SubmitMultiResp, Unsuccess, multi,
    },
    status::CommandStatus,
    tlv::{self, TagClass, Tlvs},
    tolerated::Tolerated,
};
use bytes::Bytes;

impl Fields<'_> {
    pub(super) fn bind(&mut self) -> Result<Bind, DecodeError> {
        Ok(Bind {
            system_id: self.string(limit::SYSTEM_ID),
            password: Password::from_octets(self.string(limit::PASSWORD)),
            system_type: self.string(limit::SYSTEM_TYPE),
            interface_version: self.octet("interface_version")?,
            address_range: self.address(limit::ADDRESS_RANGE, "addr_ton")?,
        })
    }

    pub(super) fn bind_resp(&mut self, status: CommandStatus) -> BindResp {
        if !self.has_body(status, true) {
            return BindResp::default();
        }
        BindResp {
            system_id: self.string(limit::SYSTEM_ID),
            tlvs: self.tlvs(),
        }
    }

    /// Whether an answer has a body. Success without one is a departure for all, an error with one only for those that
    /// leave it out then (SMPP 3.4 §4.1.2, §4.4.2), and not in 3.3 and 5.0.
    fn has_body(&mut self, status: CommandStatus, bodyless_error: bool) -> bool {
        match (self.rest.is_empty(), status.is_ok()) {
            (true, true) => self.note(Tolerated::MissingBody),
            (false, false) if bodyless_error && self.version.error_without_body() => {
                self.note(Tolerated::BodyOnError);
            }
            (true, false) | (false, true | false) => {}
        }
        !self.rest.is_empty()
    }

    /// TLVs without the id before them, which only an error answer may hold.
    fn tlvs_instead_of_id(&mut self, status: CommandStatus) -> Option<Tlvs> {
        if status.is_ok() || self.rest.len() < 4 {
            return None;
        }
        let (tlvs, left) = Tlvs::parse(self.rest);
        let known = tlvs
            .iter()
            .next()
            .is_some_and(|first| tlv::class(first.tag) != TagClass::Reserved);
        // An id of two digits, its NUL and a count of nothing look like one vendor TLV without a value.
        let says_something = tlvs.iter().any(|tlv| !tlv.value.is_empty());
        (left == 0 && known && says_something).then(|| self.tlvs())
    }

    pub(super) fn message_resp(&mut self, status: CommandStatus, bodyless_error: bool) -> MessageResp {
        if !self.has_body(status, bodyless_error) {
            return MessageResp::default();
        }
        if let Some(tlvs) = self.tlvs_instead_of_id(status) {
            return MessageResp {
                message_id: COctets::new(),
                tlvs,
            };
        }
        MessageResp {
            message_id: self.given_id(),
            tlvs: self.tlvs(),
        }
    }

    pub(super) fn query_sm_resp(&mut self, status: CommandStatus) -> QuerySmResp {
        if !self.has_body(status, false) {
            return QuerySmResp::default();
        }
        QuerySmResp {
            message_id: self.given_id(),
            final_date: self.time(),
            message_state: self.octet_or_zero(),
            error_code: self.octet_or_zero(),
            tlvs: self.tlvs(),
        }
    }

    /// submit_sm (`strict` about its length) and deliver_sm.
    pub(super) fn short_message(&mut self, strict: bool) -> Result<ShortMessage, DecodeError> {
        let mut message = ShortMessage {
            service_type: self.string(limit::SERVICE_TYPE),
            source: self.address(limit::ADDRESS, "source_addr_ton")?,
            destination: self.address(limit::ADDRESS, "dest_addr_ton")?,
            esm_class: self.octet("esm_class")?,
            protocol_id: self.octet("protocol_id")?,
            priority_flag: self.octet("priority_flag")?,
            schedule_delivery_time: self.time(),
            validity_period: self.time(),
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

    pub(super) fn submit_multi(&mut self) -> Result<SubmitMulti, DecodeError> {
        let service_type = self.string(limit::SERVICE_TYPE);
        let source = self.address(limit::ADDRESS, "source_addr_ton")?;
        let destinations = self.destinations()?;
        let mut message = SubmitMulti {
            service_type,
            source,
            destinations,
            esm_class: self.octet("esm_class")?,
            protocol_id: self.octet("protocol_id")?,
            priority_flag: self.octet("priority_flag")?,
            schedule_delivery_time: self.time(),
            validity_period: self.time(),
            registered_delivery: self.octet("registered_delivery")?,
            replace_if_present: self.octet("replace_if_present_flag")?,
            data_coding: self.octet("data_coding")?,
            sm_default_msg_id: self.octet("sm_default_msg_id")?,
            short_message: Bytes::new(),
            tlvs: Tlvs::new(),
        };
        (message.short_message, message.tlvs) = self.text_and_tlvs(true)?;
        Ok(message)
    }

    /// number_of_dests and as many destinations. A wrong flag leaves no way to find the next one.
    fn destinations(&mut self) -> Result<Vec<Destination>, DecodeError> {
        let count = self.octet("number_of_dests")?;
        let mut destinations = Vec::new();
        for _ in 0..count {
            destinations.push(match self.octet("dest_flag")? {
                multi::SME => Destination::Sme(self.address(limit::ADDRESS, "dest_addr_ton")?),
                multi::LIST => Destination::List(self.string(limit::LIST_NAME)),
                flag => return Err(DecodeError::DestinationFlag(flag)),
            });
        }
        Ok(destinations)
    }

    /// The list of those not taken may end early: what is there is kept, because it tells who gets nothing.
    pub(super) fn submit_multi_resp(&mut self, status: CommandStatus) -> SubmitMultiResp {
        if !self.has_body(status, false) {
            return SubmitMultiResp::default();
        }
        if let Some(tlvs) = self.tlvs_instead_of_id(status) {
            return SubmitMultiResp {
                tlvs,
                ..SubmitMultiResp::default()
            };
        }
        let message_id = self.given_id();
        // An error may end after its empty id.
        let count = if self.rest.is_empty() && !status.is_ok() {
            0
        } else {
            self.octet_or_zero()
        };
        let mut unsuccess = Vec::new();
        for _ in 0..count {
            let Ok(one) = self.unsuccess() else {
                self.note(Tolerated::TruncatedList);
                self.rest = &[];
                break;
            };
            unsuccess.push(one);
        }
        SubmitMultiResp {
            message_id,
            unsuccess,
            tlvs: self.tlvs(),
        }
    }

    fn unsuccess(&mut self) -> Result<Unsuccess, DecodeError> {
        let address: Address = self.address(limit::ADDRESS, "dest_addr_ton")?;
        let (code, rest) = self
            .rest
            .split_first_chunk::<4>()
            .ok_or(DecodeError::MissingField("error_status_code"))?;
        self.rest = rest;
        Ok(Unsuccess {
            address,
            status: CommandStatus(u32::from_be_bytes(*code)),
        })
    }

    pub(super) fn data_sm(&mut self) -> Result<ShortMessage, DecodeError> {
        Ok(ShortMessage {
            service_type: self.string(limit::SERVICE_TYPE),
            source: self.address(limit::LONG_ADDRESS, "source_addr_ton")?,
            destination: self.address(limit::LONG_ADDRESS, "dest_addr_ton")?,
            esm_class: self.octet("esm_class")?,
            registered_delivery: self.octet("registered_delivery")?,
            data_coding: self.octet("data_coding")?,
            tlvs: self.tlvs(),
            ..ShortMessage::default()
        })
    }

    pub(super) fn replace_sm(&mut self) -> Result<ReplaceSm, DecodeError> {
        let mut replace = ReplaceSm {
            message_id: self.asked_id()?,
            source: self.address(limit::ADDRESS, "source_addr_ton")?,
            schedule_delivery_time: self.time(),
            validity_period: self.time(),
            registered_delivery: self.octet("registered_delivery")?,
            sm_default_msg_id: self.octet("sm_default_msg_id")?,
            short_message: Bytes::new(),
            tlvs: Tlvs::new(),
        };
        (replace.short_message, replace.tlvs) = self.text_and_tlvs(true)?;
        Ok(replace)
    }

    pub(super) fn broadcast_sm(&mut self) -> Result<BroadcastSm, DecodeError> {
        Ok(BroadcastSm {
            service_type: self.string(limit::SERVICE_TYPE),
            source: self.address(limit::ADDRESS, "source_addr_ton")?,
            message_id: self.asked_id()?,
            priority_flag: self.octet("priority_flag")?,
            schedule_delivery_time: self.time(),
            validity_period: self.time(),
            replace_if_present: self.octet("replace_if_present_flag")?,
            data_coding: self.octet("data_coding")?,
            sm_default_msg_id: self.octet("sm_default_msg_id")?,
            tlvs: self.tlvs(),
        })
    }

    pub(super) fn query_broadcast_sm(&mut self) -> Result<QueryBroadcastSm, DecodeError> {
        Ok(QueryBroadcastSm {
            message_id: self.asked_id()?,
            source: self.address(limit::ADDRESS, "source_addr_ton")?,
            tlvs: self.tlvs(),
        })
    }

    pub(super) fn cancel_broadcast_sm(&mut self) -> Result<CancelBroadcastSm, DecodeError> {
        Ok(CancelBroadcastSm {
            service_type: self.string(limit::SERVICE_TYPE),
            message_id: self.asked_id()?,
            source: self.address(limit::ADDRESS, "source_addr_ton")?,
            tlvs: self.tlvs(),
        })
    }

    /// sm_length, short_message and what follows.
    ///
    /// A length that says more than there is: one octet too many is the NUL that some count and do not send. More than
    /// that is cut text, refused where the sender can repair it (`strict`) and taken in deliver_sm, which the carrier would
    /// send again for days. A length 256 or a multiple of it too small has lost its upper bits.
    fn text_and_tlvs(&mut self, strict: bool) -> Result<(Bytes, Tlvs), DecodeError> {
        let stated = usize::from(self.octet("sm_length")?);
        if stated > self.version.short_message_max() {
            self.note(Tolerated::ShortMessageOverlong);
        }
        let Some((text, rest)) = self.rest.split_at_checked(stated) else {
            let present = self.rest.len();
            if strict && present.saturating_add(1) < stated {
                return Err(DecodeError::MessageLength { stated, present });
            }
            self.note(Tolerated::ShortMessageTruncated);
            return Ok((self.all(), Tlvs::new()));
        };
        if rest.is_empty() {
            self.rest = rest;
            return Ok((Bytes::copy_from_slice(text), Tlvs::new()));
        }
        let wrapped = rest.len().checked_rem(256) == Some(0);
        if wrapped && Tlvs::parse(rest).1 == rest.len() && rest.iter().any(|octet| *octet != 0) {
            self.note(Tolerated::ShortMessageUnderstated);
            return Ok((self.all(), Tlvs::new()));
        }
        self.rest = rest;
        Ok((Bytes::copy_from_slice(text), self.tlvs()))
    }
}
