//! Writes a PDU for a peer of a given version: what that version does not know is left out and told.
//!
//! What the message cannot do without (its text, the part it is, the port it is for) is never left out: then nothing is
//! written. A PDU that needs no change is written without being copied.
//!
//! # Limits
//! A message_id longer than the version's field is written whole and told: a cut id would be another message's, and no
//! answer at all would make the client send again. Tags that no version defines pass (from 3.4 on): they are agreed
//! between the two, and whoever does not know them has to skip them (SMPP 3.4 §3.3).

use super::{EncodeError, write};
use crate::{
    octets::COctets,
    pdu::Body,
    status::CommandStatus,
    tlv::{self, Tlvs, tag},
    version::Version,
};
use bytes::{Bytes, BytesMut};

/// What [`encode_as`] changed. [`Adapted::is_nothing`] nearly always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adapted {
    /// Tags of the TLVs that were left out, in their order.
    pub dropped: Vec<u16>,
    /// The status the answer was to have, when the peer's version does not know it.
    pub status: Option<CommandStatus>,
    /// message_payload went into short_message.
    pub payload_moved: bool,
    /// Octets of a message_id that is longer than the peer's version foresees.
    pub long_message_id: Option<usize>,
    /// The message_state that was to be told, when the peer's version does not have it (SCHEDULED, SKIPPED).
    pub message_state: Option<u8>,
}

impl Adapted {
    /// Whether the PDU went out as it was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// TLVs without which the message would be another one.
const NEEDED: [u16; 5] = [
    tag::SAR_MSG_REF_NUM,
    tag::SAR_TOTAL_SEGMENTS,
    tag::SAR_SEGMENT_SEQNUM,
    tag::SOURCE_PORT,
    tag::DESTINATION_PORT,
];

/// Appends a PDU for a peer of that version.
///
/// # Errors
/// When it does not fit the wire format, or when the version lacks the operation or something the message needs; nothing
/// is appended then.
pub fn encode_as(
    version: Version,
    status: CommandStatus,
    sequence: u32,
    body: &Body,
    out: &mut BytesMut,
) -> Result<Adapted, EncodeError> {
    if !version.has(body) {
        let command_id = body.command_id().into();
        return Err(EncodeError::NotInVersion { command_id, version });
    }
    if let Some(text) = body.short_message()
        && text.len() > version.short_message_max()
    {
        return Err(EncodeError::MessageTooLong(text.len()));
    }
    let mut adapted = Adapted {
        long_message_id: body
            .message_id()
            .map(COctets::len)
            .filter(|len| *len > version.message_id_max()),
        ..Adapted::default()
    };
    let known = status.known_in(version);
    if known != status {
        adapted.status = Some(status);
    }
    if fits(version, body) {
        write(version, known, sequence, body, out)?;
    } else {
        let mut body = body.clone();
        strip(version, &mut body, &mut adapted)?;
        write(version, known, sequence, &body, out)?;
    }
    Ok(adapted)
}

/// Whether the version knows this TLV.
fn knows(version: Version, tag: u16) -> bool {
    match version {
        Version::V3_3 => false,
        Version::V3_4 | Version::V5_0 => tlv::definition(tag).is_none_or(|known| known.since <= version),
    }
}

/// The states that came with 5.0 (§4.7.15): SCHEDULED was ENROUTE before, SKIPPED was UNDELIVERABLE.
const fn older_state(state: u8) -> Option<u8> {
    match state {
        0 => Some(1),
        9 => Some(5),
        _ => None,
    }
}

fn fits(version: Version, body: &Body) -> bool {
    if version == Version::V5_0 {
        return true;
    }
    // Zero is what an error answer has where there is no state.
    if let Body::QuerySmResp(resp) = body
        && !resp.message_id.is_empty()
        && older_state(resp.message_state).is_some()
    {
        return false;
    }
    body.tlvs().is_none_or(|tlvs| {
        tlvs.iter().all(|tlv| {
            knows(version, tlv.tag) && !(tlv.tag == tag::MESSAGE_STATE && newer_state(tlv.value).is_some())
        })
    })
}

fn newer_state(value: &[u8]) -> Option<(u8, u8)> {
    match value {
        [state] => older_state(*state).map(|older| (*state, older)),
        _ => None,
    }
}

fn strip(version: Version, body: &mut Body, adapted: &mut Adapted) -> Result<(), EncodeError> {
    if let Body::QuerySmResp(resp) = body
        && let Some(older) = older_state(resp.message_state)
        && !resp.message_id.is_empty()
    {
        adapted.message_state = Some(resp.message_state);
        resp.message_state = older;
    }
    let Some(tlvs) = body.tlvs_mut() else {
        return Ok(());
    };
    let (mut kept, mut payload) = (Tlvs::new(), None);
    for tlv in std::mem::take(tlvs).iter() {
        let mut value = tlv.value;
        let state;
        if tlv.tag == tag::MESSAGE_STATE
            && let Some((newer, older)) = newer_state(value)
        {
            adapted.message_state = Some(newer);
            state = [older];
            value = &state;
        }
        if knows(version, tlv.tag) {
            kept.push(tlv.tag, value).expect("it was a TLV before");
        } else if tlv.tag == tag::MESSAGE_PAYLOAD {
            payload = payload.or(Some(Bytes::copy_from_slice(value)));
        } else if NEEDED.contains(&tlv.tag) {
            return Err(EncodeError::NeedsTlv {
                tag: tlv.tag,
                version,
            });
        } else {
            adapted.dropped.push(tlv.tag);
        }
    }
    *tlvs = kept;
    if let Some(payload) = payload {
        let len = payload.len();
        match body.short_message_mut() {
            Some(text) if text.is_empty() && len <= version.short_message_max() => *text = payload,
            Some(text) if text.is_empty() => return Err(EncodeError::MessageTooLong(len)),
            Some(_) | None => {
                let tag = tag::MESSAGE_PAYLOAD;
                return Err(EncodeError::NeedsTlv { tag, version });
            }
        }
        adapted.payload_moved = true;
    }
    Ok(())
}
