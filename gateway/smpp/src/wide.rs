//! Writes the PDUs that rusmpp's types refuse, field by field.
//!
//! Checks lengths only so far that the peer can find the fields again. Invariant: as in `encode`, all or nothing.

use crate::{
    address::Address,
    encode::EncodeError,
    octets::COctets,
    pdu::{
        BindResp, Body, BroadcastSm, Destination, MessageResp, ShortMessage, SubmitMulti, SubmitMultiResp,
        multi,
    },
    status::CommandStatus,
    tlv::{Tlvs, tag},
    version::Version,
};
use bytes::{BufMut, BytesMut};

/// Longest C-octet string written.
pub(crate) const MAX_STRING: usize = 255;

/// Appends a PDU, or nothing.
pub(crate) fn encode(
    version: Version,
    status: CommandStatus,
    sequence: u32,
    body: &Body,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let start = out.len();
    let written = write(version, status, sequence, body, out);
    let length = out.len().saturating_sub(start);
    let filled = written.and_then(|()| {
        let stated = u32::try_from(length).map_err(|_| EncodeError::TooLong)?;
        if let Some(head) = out.get_mut(start..).and_then(|area| area.first_chunk_mut::<4>()) {
            *head = stated.to_be_bytes();
        }
        Ok(())
    });
    if filled.is_err() {
        out.truncate(start);
    }
    filled
}

/// An error without id and TLVs goes without a body (SMPP 3.4 §4.4.2), but not in 3.3 and 5.0.
pub(crate) fn is_bodyless(version: Version, status: CommandStatus, resp: &MessageResp) -> bool {
    !status.is_ok() && version.error_without_body() && resp.message_id.is_empty() && resp.tlvs.is_empty()
}

/// A refused bind goes without a body (SMPP 3.4 §4.1.2), but not in 3.3 and 5.0.
pub(crate) fn is_bodyless_bind(version: Version, status: CommandStatus, resp: &BindResp) -> bool {
    !status.is_ok() && version.error_without_body() && resp.system_id.is_empty() && resp.tlvs.is_empty()
}

fn write(
    version: Version,
    status: CommandStatus,
    sequence: u32,
    body: &Body,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    out.put_u32(0);
    out.put_u32(body.command_id().into());
    out.put_u32(status.0);
    out.put_u32(sequence);
    match body {
        Body::Bind(_, bind) => {
            string(out, "system_id", &bind.system_id)?;
            string(out, "password", bind.password.octets())?;
            string(out, "system_type", &bind.system_type)?;
            out.put_u8(bind.interface_version);
            address(out, "address_range", &bind.address_range)?;
        }
        Body::BindResp(_, resp) => {
            if !is_bodyless_bind(version, status, resp) {
                string(out, "system_id", &resp.system_id)?;
                tlvs(out, &resp.tlvs);
            }
        }
        Body::Outbind { system_id, password } => {
            string(out, "system_id", system_id)?;
            string(out, "password", password.octets())?;
        }
        Body::Unbind | Body::UnbindResp | Body::EnquireLink | Body::GenericNack => {}
        Body::EnquireLinkResp(resp)
        | Body::CancelSmResp(resp)
        | Body::ReplaceSmResp(resp)
        | Body::CancelBroadcastSmResp(resp) => tlvs(out, resp),
        Body::SubmitSm(message) | Body::DeliverSm(message) => short_message(out, message)?,
        Body::DataSm(message) => data_sm(out, message)?,
        Body::SubmitSmResp(resp) | Body::DataSmResp(resp) => {
            if !is_bodyless(version, status, resp) {
                string(out, "message_id", &resp.message_id)?;
                tlvs(out, &resp.tlvs);
            }
        }
        Body::DeliverSmResp(resp) | Body::BroadcastSmResp(resp) | Body::QueryBroadcastSmResp(resp) => {
            string(out, "message_id", &resp.message_id)?;
            tlvs(out, &resp.tlvs);
        }
        Body::QuerySm(query) => {
            string(out, "message_id", &query.message_id)?;
            address(out, "source_addr", &query.source)?;
        }
        Body::QuerySmResp(resp) => {
            string(out, "message_id", &resp.message_id)?;
            string(out, "final_date", &resp.final_date)?;
            out.put_u8(resp.message_state);
            out.put_u8(resp.error_code);
            tlvs(out, &resp.tlvs);
        }
        Body::CancelSm(cancel) => {
            string(out, "service_type", &cancel.service_type)?;
            string(out, "message_id", &cancel.message_id)?;
            address(out, "source_addr", &cancel.source)?;
            address(out, "destination_addr", &cancel.destination)?;
        }
        Body::ReplaceSm(replace) => {
            string(out, "message_id", &replace.message_id)?;
            address(out, "source_addr", &replace.source)?;
            string(out, "schedule_delivery_time", &replace.schedule_delivery_time)?;
            string(out, "validity_period", &replace.validity_period)?;
            out.put_u8(replace.registered_delivery);
            out.put_u8(replace.sm_default_msg_id);
            text(out, &replace.short_message)?;
            tlvs(out, &replace.tlvs);
        }
        Body::AlertNotification(alert) => {
            address(out, "source_addr", &alert.source)?;
            address(out, "esme_addr", &alert.esme)?;
            tlvs(out, &alert.tlvs);
        }
        Body::SubmitMulti(message) => submit_multi(out, message)?,
        Body::SubmitMultiResp(resp) => submit_multi_resp(out, resp)?,
        Body::BroadcastSm(message) => broadcast_sm(out, message)?,
        Body::QueryBroadcastSm(query) => {
            string(out, "message_id", &query.message_id)?;
            address(out, "source_addr", &query.source)?;
            tlvs(out, &query.tlvs);
        }
        Body::CancelBroadcastSm(cancel) => {
            string(out, "service_type", &cancel.service_type)?;
            string(out, "message_id", &cancel.message_id)?;
            address(out, "source_addr", &cancel.source)?;
            tlvs(out, &cancel.tlvs);
        }
        Body::Raw(raw) => out.put_slice(&raw.octets),
    }
    Ok(())
}

fn short_message(out: &mut BytesMut, message: &ShortMessage) -> Result<(), EncodeError> {
    string(out, "service_type", &message.service_type)?;
    address(out, "source_addr", &message.source)?;
    address(out, "destination_addr", &message.destination)?;
    out.put_slice(&[message.esm_class, message.protocol_id, message.priority_flag]);
    string(out, "schedule_delivery_time", &message.schedule_delivery_time)?;
    string(out, "validity_period", &message.validity_period)?;
    out.put_slice(&[
        message.registered_delivery,
        message.replace_if_present,
        message.data_coding,
        message.sm_default_msg_id,
    ]);
    text(out, &message.short_message)?;
    tlvs(out, &message.tlvs);
    Ok(())
}

fn submit_multi(out: &mut BytesMut, message: &SubmitMulti) -> Result<(), EncodeError> {
    string(out, "service_type", &message.service_type)?;
    address(out, "source_addr", &message.source)?;
    count(out, "dest_address", message.destinations.len())?;
    for destination in &message.destinations {
        match destination {
            Destination::Sme(sme) => {
                out.put_u8(multi::SME);
                address(out, "destination_addr", sme)?;
            }
            Destination::List(name) => {
                out.put_u8(multi::LIST);
                string(out, "dl_name", name)?;
            }
        }
    }
    out.put_slice(&[message.esm_class, message.protocol_id, message.priority_flag]);
    string(out, "schedule_delivery_time", &message.schedule_delivery_time)?;
    string(out, "validity_period", &message.validity_period)?;
    out.put_slice(&[
        message.registered_delivery,
        message.replace_if_present,
        message.data_coding,
        message.sm_default_msg_id,
    ]);
    text(out, &message.short_message)?;
    tlvs(out, &message.tlvs);
    Ok(())
}

fn submit_multi_resp(out: &mut BytesMut, resp: &SubmitMultiResp) -> Result<(), EncodeError> {
    string(out, "message_id", &resp.message_id)?;
    count(out, "unsuccess_sme", resp.unsuccess.len())?;
    for unsuccess in &resp.unsuccess {
        address(out, "destination_addr", &unsuccess.address)?;
        out.put_u32(unsuccess.status.0);
    }
    tlvs(out, &resp.tlvs);
    Ok(())
}

fn broadcast_sm(out: &mut BytesMut, message: &BroadcastSm) -> Result<(), EncodeError> {
    string(out, "service_type", &message.service_type)?;
    address(out, "source_addr", &message.source)?;
    string(out, "message_id", &message.message_id)?;
    out.put_u8(message.priority_flag);
    string(out, "schedule_delivery_time", &message.schedule_delivery_time)?;
    string(out, "validity_period", &message.validity_period)?;
    out.put_slice(&[
        message.replace_if_present,
        message.data_coding,
        message.sm_default_msg_id,
    ]);
    tlvs(out, &message.tlvs);
    Ok(())
}

fn count(out: &mut BytesMut, field: &'static str, len: usize) -> Result<(), EncodeError> {
    out.put_u8(u8::try_from(len).map_err(|_| EncodeError::ListTooLong { field, len })?);
    Ok(())
}

fn data_sm(out: &mut BytesMut, message: &ShortMessage) -> Result<(), EncodeError> {
    string(out, "service_type", &message.service_type)?;
    address(out, "source_addr", &message.source)?;
    address(out, "destination_addr", &message.destination)?;
    out.put_slice(&[
        message.esm_class,
        message.registered_delivery,
        message.data_coding,
    ]);
    if !message.short_message.is_empty() {
        let len = message.short_message.len();
        out.put_u16(tag::MESSAGE_PAYLOAD);
        out.put_u16(u16::try_from(len).map_err(|_| EncodeError::MessageTooLong(len))?);
        out.put_slice(&message.short_message);
    }
    tlvs(out, &message.tlvs);
    Ok(())
}

fn string(out: &mut BytesMut, field: &'static str, octets: &COctets) -> Result<(), EncodeError> {
    if octets.len() > MAX_STRING {
        return Err(EncodeError::StringTooLong {
            field,
            len: octets.len(),
        });
    }
    out.put_slice(octets.as_bytes_with_nul());
    Ok(())
}

fn address(out: &mut BytesMut, field: &'static str, address: &Address) -> Result<(), EncodeError> {
    out.put_slice(&[address.ton, address.npi]);
    string(out, field, &address.value)
}

fn text(out: &mut BytesMut, text: &[u8]) -> Result<(), EncodeError> {
    out.put_u8(u8::try_from(text.len()).map_err(|_| EncodeError::MessageTooLong(text.len()))?);
    out.put_slice(text);
    Ok(())
}

fn tlvs(out: &mut BytesMut, tlvs: &Tlvs) {
    out.put_slice(tlvs.as_bytes());
}
