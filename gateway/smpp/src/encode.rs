//! From a PDU to bytes, on rusmpp's types and encoder.
//!
//! What rusmpp cannot represent (over-long credentials, senders that are not ASCII, times that are neither empty nor 16
//! characters, many TLVs, submit_multi, broadcasts) is written by `wide`, field by field; a test holds both to the same
//! bytes. [`encode`] writes what the PDU says; [`encode_as`] writes only what a version of SMPP knows and tells what it
//! left out. Invariant: either a whole PDU is appended or nothing is.

mod adapt;

pub use adapt::{Adapted, encode_as};

use crate::{
    address::Address,
    octets::COctets,
    pdu::{Bind, BindKind, BindResp, Body, MessageResp, ShortMessage},
    status::CommandStatus,
    tlv::{Tlvs, tag},
    version::Version,
    wide,
};
use bytes::BytesMut;
use rusmpp_core::{
    command::borrowed::Command,
    encode::{Encode, Length},
    pdus::borrowed as rus,
    tlvs::{
        TlvTag,
        borrowed::{
            MessageDeliveryRequestTlvValue, MessageSubmissionRequestTlvValue,
            MessageSubmissionResponseTlvValue,
        },
    },
    types::borrowed::{AnyOctetString, COctetString, EmptyOrFullCOctetString, OctetString},
    values::borrowed::ServiceType,
    values::{
        DataCoding, EsmClass, InterfaceVersion, Npi, PriorityFlag, RegisteredDelivery, ReplaceIfPresentFlag,
        Ton,
    },
};
use thiserror::Error;

/// TLVs that go through rusmpp, whose list has a fixed size; more go the wide way.
const TLVS: usize = 8;
type Rus<'a> = rus::Pdu<'a, TLVS>;

/// Why a PDU cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// short_message does not fit its length octet.
    #[error("short_message has {0} octets, more than 255")]
    MessageTooLong(usize),
    /// A C-octet string is longer than any peer could take.
    #[error("{field} has {len} octets, more than {}", wide::MAX_STRING)]
    StringTooLong {
        /// Which one.
        field: &'static str,
        /// Its length.
        len: usize,
    },
    /// A list has more entries than its count can say.
    #[error("{field} has {len} entries, more than 255")]
    ListTooLong {
        /// Which one.
        field: &'static str,
        /// Its entries.
        len: usize,
    },
    /// The PDU is longer than a length field can say.
    #[error("the PDU is too long")]
    TooLong,
    /// The peer's version does not have the operation.
    #[error("SMPP {version} has no command_id {command_id:#010x}")]
    NotInVersion {
        /// The operation.
        command_id: u32,
        /// The peer's version.
        version: Version,
    },
    /// Without this TLV the message would be another one, and the peer's version does not have it.
    #[error("SMPP {version} does not have TLV {tag:#06x}, which the message needs")]
    NeedsTlv {
        /// The TLV.
        tag: u16,
        /// The peer's version.
        version: Version,
    },
}

/// Appends a PDU.
///
/// # Errors
/// When it does not fit the wire format; nothing is appended then.
pub fn encode(
    status: CommandStatus,
    sequence: u32,
    body: &Body,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    write(Version::V3_4, status, sequence, body, out)
}

fn write(
    version: Version,
    status: CommandStatus,
    sequence: u32,
    body: &Body,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    match strict(version, status, body) {
        Some(pdu) => encode_rusmpp(status, sequence, pdu, out),
        None => wide::encode(version, status, sequence, body, out),
    }
}

fn encode_rusmpp(
    status: CommandStatus,
    sequence: u32,
    pdu: Rus<'_>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let command = Command::new(status.0.into(), sequence, pdu);
    let length = command.length().saturating_add(4);
    let stated = u32::try_from(length).map_err(|_| EncodeError::TooLong)?;
    let start = out.len();
    out.resize(start.saturating_add(length), 0);
    if let Some((head, rest)) = out
        .get_mut(start..)
        .and_then(|area| area.split_first_chunk_mut::<4>())
    {
        *head = stated.to_be_bytes();
        command.encode(rest);
    }
    Ok(())
}

/// The body in rusmpp's types, `None` when it does not fit them.
pub(crate) fn strict(version: Version, status: CommandStatus, body: &Body) -> Option<Rus<'_>> {
    Some(match body {
        Body::SubmitSm(message) => Rus::SubmitSm(submit_sm(message)?),
        Body::DeliverSm(message) => Rus::DeliverSm(deliver_sm(message)?),
        Body::DataSm(message) => Rus::DataSm(data_sm(message)?),
        Body::SubmitSmResp(resp) => {
            let mut pdu = rus::SubmitSmResp::builder()
                .message_id(string(id(version, status, resp)?)?)
                .build();
            for tlv in &resp.tlvs {
                pdu.push_tlv(MessageSubmissionResponseTlvValue::Other {
                    tag: tlv.tag.into(),
                    value: opaque(tlv.value),
                })
                .ok()?;
            }
            Rus::SubmitSmResp(pdu)
        }
        Body::DeliverSmResp(resp) => {
            let mut pdu = rus::DeliverSmResp::builder()
                .message_id(string(&resp.message_id)?)
                .build();
            for tlv in &resp.tlvs {
                pdu.push_tlv(
                    rusmpp_core::tlvs::borrowed::MessageDeliveryResponseTlvValue::Other {
                        tag: tlv.tag.into(),
                        value: opaque(tlv.value),
                    },
                )
                .ok()?;
            }
            Rus::DeliverSmResp(pdu)
        }
        Body::DataSmResp(resp) => {
            let mut pdu = rus::DataSmResp::builder()
                .message_id(string(id(version, status, resp)?)?)
                .build();
            for tlv in &resp.tlvs {
                pdu.push_tlv(
                    rusmpp_core::tlvs::borrowed::MessageDeliveryResponseTlvValue::Other {
                        tag: tlv.tag.into(),
                        value: opaque(tlv.value),
                    },
                )
                .ok()?;
            }
            Rus::DataSmResp(pdu)
        }
        Body::Bind(kind, bind) => bind_pdu(*kind, bind)?,
        Body::BindResp(kind, resp) => bind_resp(version, status, *kind, resp)?,
        Body::Outbind { system_id, password } => {
            Rus::Outbind(rus::Outbind::new(string(system_id)?, string(password.octets())?))
        }
        Body::Unbind => Rus::Unbind,
        Body::UnbindResp => Rus::UnbindResp,
        Body::EnquireLink => Rus::EnquireLink,
        Body::EnquireLinkResp(tlvs) if tlvs.is_empty() => Rus::EnquireLinkResp,
        Body::GenericNack => Rus::GenericNack,
        Body::CancelSmResp(tlvs) if tlvs.is_empty() => Rus::CancelSmResp,
        Body::ReplaceSmResp(tlvs) if tlvs.is_empty() => Rus::ReplaceSmResp,
        Body::QuerySm(query) => {
            let (ton, npi, value) = address(&query.source)?;
            Rus::QuerySm(rus::QuerySm::new(string(&query.message_id)?, ton, npi, value))
        }
        Body::QuerySmResp(resp) if resp.tlvs.is_empty() => Rus::QuerySmResp(rus::QuerySmResp::new(
            string(&resp.message_id)?,
            time(&resp.final_date)?,
            resp.message_state.into(),
            resp.error_code,
        )),
        Body::CancelSm(cancel) => {
            let (source_ton, source_npi, source) = address(&cancel.source)?;
            let (ton, npi, destination) = address(&cancel.destination)?;
            Rus::CancelSm(rus::CancelSm::new(
                ServiceType::new(string(&cancel.service_type)?),
                string(&cancel.message_id)?,
                source_ton,
                source_npi,
                source,
                ton,
                npi,
                destination,
            ))
        }
        Body::ReplaceSm(replace) if replace.tlvs.is_empty() => {
            let (ton, npi, source) = address(&replace.source)?;
            Rus::ReplaceSm(rus::ReplaceSm::new(
                string(&replace.message_id)?,
                ton,
                npi,
                source,
                time(&replace.schedule_delivery_time)?,
                time(&replace.validity_period)?,
                RegisteredDelivery::from(replace.registered_delivery),
                replace.sm_default_msg_id,
                OctetString::new(&replace.short_message).ok()?,
                None,
            ))
        }
        Body::AlertNotification(alert) if alert.tlvs.is_empty() => {
            Rus::AlertNotification(rus::AlertNotification::new(
                Ton::from(alert.source.ton),
                Npi::from(alert.source.npi),
                string(&alert.source.value)?,
                Ton::from(alert.esme.ton),
                Npi::from(alert.esme.npi),
                string(&alert.esme.value)?,
                None,
            ))
        }
        Body::EnquireLinkResp(_)
        | Body::CancelSmResp(_)
        | Body::ReplaceSmResp(_)
        | Body::QuerySmResp(_)
        | Body::ReplaceSm(_)
        | Body::AlertNotification(_)
        | Body::SubmitMulti(_)
        | Body::SubmitMultiResp(_)
        | Body::BroadcastSm(_)
        | Body::BroadcastSmResp(_)
        | Body::QueryBroadcastSm(_)
        | Body::QueryBroadcastSmResp(_)
        | Body::CancelBroadcastSm(_)
        | Body::CancelBroadcastSmResp(_)
        | Body::Raw(_) => return None,
    })
}

fn string<const MAX: usize>(octets: &COctets) -> Option<COctetString<'_, 1, MAX>> {
    COctetString::new(octets.as_bytes_with_nul()).ok()
}

fn time(octets: &COctets) -> Option<EmptyOrFullCOctetString<'_, 17>> {
    EmptyOrFullCOctetString::new(octets.as_bytes_with_nul()).ok()
}

fn address(address: &Address) -> Option<(Ton, Npi, COctetString<'_, 1, 21>)> {
    Some((
        Ton::from(address.ton),
        Npi::from(address.npi),
        string(&address.value)?,
    ))
}

const fn opaque(value: &[u8]) -> AnyOctetString<'_> {
    AnyOctetString::new(value)
}

/// The id of an answer, `None` when the answer is to have no body.
fn id(version: Version, status: CommandStatus, resp: &MessageResp) -> Option<&COctets> {
    (!wide::is_bodyless(version, status, resp)).then_some(&resp.message_id)
}

fn bind_pdu(kind: BindKind, bind: &Bind) -> Option<Rus<'_>> {
    macro_rules! bind {
        ($name:ident) => {
            Rus::$name(rus::$name::new(
                string(&bind.system_id)?,
                string(bind.password.octets())?,
                string(&bind.system_type)?,
                InterfaceVersion::from(bind.interface_version),
                Ton::from(bind.address_range.ton),
                Npi::from(bind.address_range.npi),
                string(&bind.address_range.value)?,
            ))
        };
    }
    Some(match kind {
        BindKind::Transmitter => bind!(BindTransmitter),
        BindKind::Receiver => bind!(BindReceiver),
        BindKind::Transceiver => bind!(BindTransceiver),
    })
}

fn bind_resp(version: Version, status: CommandStatus, kind: BindKind, resp: &BindResp) -> Option<Rus<'_>> {
    let told = match (resp.tlvs.iter().count(), resp.tlvs.get(tag::SC_INTERFACE_VERSION)) {
        (0, _) => None,
        (1, Some([version])) => Some(InterfaceVersion::from(*version)),
        _ => return None,
    };
    if wide::is_bodyless_bind(version, status, resp) {
        return None;
    }
    let system_id = string(&resp.system_id)?;
    Some(match kind {
        BindKind::Transmitter => Rus::BindTransmitterResp(rus::BindTransmitterResp::new(system_id, told)),
        BindKind::Receiver => Rus::BindReceiverResp(rus::BindReceiverResp::new(system_id, told)),
        BindKind::Transceiver => Rus::BindTransceiverResp(rus::BindTransceiverResp::new(system_id, told)),
    })
}

fn submit_sm(message: &ShortMessage) -> Option<rus::SubmitSm<'_, TLVS>> {
    let (source_ton, source_npi, source) = address(&message.source)?;
    let (ton, npi, destination) = address(&message.destination)?;
    let mut pdu = rus::SubmitSm::builder()
        .service_type(ServiceType::new(string(&message.service_type)?))
        .source_addr_ton(source_ton)
        .source_addr_npi(source_npi)
        .source_addr(source)
        .dest_addr_ton(ton)
        .dest_addr_npi(npi)
        .destination_addr(destination)
        .esm_class(EsmClass::from(message.esm_class))
        .protocol_id(message.protocol_id)
        .priority_flag(PriorityFlag::from(message.priority_flag))
        .schedule_delivery_time(time(&message.schedule_delivery_time)?)
        .validity_period(time(&message.validity_period)?)
        .registered_delivery(RegisteredDelivery::from(message.registered_delivery))
        .replace_if_present_flag(ReplaceIfPresentFlag::from(message.replace_if_present))
        .data_coding(DataCoding::from(message.data_coding))
        .sm_default_msg_id(message.sm_default_msg_id)
        .short_message(OctetString::new(&message.short_message).ok()?)
        .build();
    for tlv in &message.tlvs {
        let tag = TlvTag::from(tlv.tag);
        pdu.push_tlv(MessageSubmissionRequestTlvValue::Other {
            tag,
            value: opaque(tlv.value),
        })
        .ok()?;
    }
    Some(pdu)
}

fn deliver_sm(message: &ShortMessage) -> Option<rus::DeliverSm<'_, TLVS>> {
    let (source_ton, source_npi, source) = address(&message.source)?;
    let (ton, npi, destination) = address(&message.destination)?;
    let mut pdu = rus::DeliverSm::builder()
        .service_type(ServiceType::new(string(&message.service_type)?))
        .source_addr_ton(source_ton)
        .source_addr_npi(source_npi)
        .source_addr(source)
        .dest_addr_ton(ton)
        .dest_addr_npi(npi)
        .destination_addr(destination)
        .esm_class(EsmClass::from(message.esm_class))
        .protocol_id(message.protocol_id)
        .priority_flag(PriorityFlag::from(message.priority_flag))
        .schedule_delivery_time(time(&message.schedule_delivery_time)?)
        .validity_period(time(&message.validity_period)?)
        .registered_delivery(RegisteredDelivery::from(message.registered_delivery))
        .replace_if_present_flag(ReplaceIfPresentFlag::from(message.replace_if_present))
        .data_coding(DataCoding::from(message.data_coding))
        .sm_default_msg_id(message.sm_default_msg_id)
        .short_message(OctetString::new(&message.short_message).ok()?)
        .build();
    for tlv in &message.tlvs {
        let tag = TlvTag::from(tlv.tag);
        pdu.push_tlv(MessageDeliveryRequestTlvValue::Other {
            tag,
            value: opaque(tlv.value),
        })
        .ok()?;
    }
    Some(pdu)
}

fn data_sm(message: &ShortMessage) -> Option<rus::DataSm<'_, TLVS>> {
    let (source_ton, source_npi, source) = address(&message.source)?;
    let (ton, npi, destination) = address(&message.destination)?;
    let mut pdu = rus::DataSm::builder()
        .service_type(ServiceType::new(string(&message.service_type)?))
        .source_addr_ton(source_ton)
        .source_addr_npi(source_npi)
        .source_addr(source)
        .dest_addr_ton(ton)
        .dest_addr_npi(npi)
        .destination_addr(destination)
        .esm_class(EsmClass::from(message.esm_class))
        .registered_delivery(RegisteredDelivery::from(message.registered_delivery))
        .data_coding(DataCoding::from(message.data_coding))
        .build();
    if !message.short_message.is_empty() {
        let (tag, value) = (TlvTag::from(tag::MESSAGE_PAYLOAD), opaque(&message.short_message));
        pdu.push_tlv(MessageSubmissionRequestTlvValue::Other { tag, value })
            .ok()?;
    }
    for tlv in &message.tlvs {
        let tag = TlvTag::from(tlv.tag);
        pdu.push_tlv(MessageSubmissionRequestTlvValue::Other {
            tag,
            value: opaque(tlv.value),
        })
        .ok()?;
    }
    Some(pdu)
}

/// A bind answer's TLVs.
pub(crate) fn version_tlv(version: Option<u8>) -> Tlvs {
    let mut tlvs = Tlvs::new();
    if let Some(version) = version {
        tlvs.push(tag::SC_INTERFACE_VERSION, &[version])
            .expect("one octet fits a TLV");
    }
    tlvs
}

#[cfg(test)]
mod tests;
