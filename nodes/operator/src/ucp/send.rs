//! Operation 51 of what would be submit_sm (EMI-UCP 4.0 section 5.3.1).
//!
//! Pure. Invariant: the phone shows the text that was accepted; what UCP has no words for is refused, or is one of the
//! options that an operator may leave out.

use super::Writing;
use smsgw_message::text::{self, Requested};
use smsgw_message::validity::{SmppTime, ZoneOffset, write_ucp_minutes};
use smsgw_message::{Address, Encoding, Npi, Timestamp, Ton};
use smsgw_smpp::{SubmitSm, tlv};
use smsgw_ucp::{Content, Message, MessageKind, Operation, ServiceType, Services, Text, recipient, sender};

/// esm_class: a user data header stands before the text.
const UDHI: u8 = 0x40;
/// Octets of a message on air, header and all.
const OCTETS: usize = 140;

pub(super) fn operation(message: &SubmitSm, writing: &Writing) -> Option<Operation> {
    let (header, body) = split(message)?;
    let to = address(&message.destination)?;
    let (oadc, otoa) = sender(&address(&message.source)?)?;
    let (content, dcs, class) = content(message.data_coding, header.len(), body)?;
    let (mt, nb, msg) = content.fields()?;
    let mut services = Vec::new();
    if !header.is_empty() {
        services.push((ServiceType::UDH, header.to_vec()));
    }
    services.extend(dcs.map(|dcs| (ServiceType::DCS, vec![dcs])));
    let asks = message.registered_delivery & 3 != 0;
    let more = message.tlvs.integer(tlv::tag::MORE_MESSAGES_TO_SEND) == Some(1);
    let given = |given: bool, number: u64, width| {
        if given {
            Text::number(number, width)
        } else {
            Text::default()
        }
    };
    let fields = Message {
        adc: recipient(&to, writing.numbers)?,
        oadc,
        otoa,
        nrq: given(asks, 1, 1),
        // Delivery and non-delivery; what is buffered is not told.
        nt: given(asks, 3, 1),
        nadc: if asks {
            writing.notify.clone()
        } else {
            Text::default()
        },
        npid: given(asks, 539, 4),
        vp: validity(message)?,
        rpid: given(message.protocol_id != 0, u64::from(message.protocol_id), 4),
        mms: given(more, 1, 1),
        pr: given(message.priority_flag != 0, u64::from(message.priority_flag), 1),
        mcls: class.map_or_else(Text::default, |class| Text::number(u64::from(class), 1)),
        mt,
        nb,
        msg,
        xser: Services(services).to_field()?,
        ..Message::default()
    };
    Some(Operation::Message(MessageKind::Submit, Box::new(fields)))
}

fn split(message: &SubmitSm) -> Option<(&[u8], &[u8])> {
    let payload = message.payload();
    if message.esm_class & UDHI == 0 {
        return Some((&[], payload));
    }
    let length = usize::from(*payload.first()?).checked_add(1)?;
    payload.split_at_checked(length)
}

fn address(address: &smsgw_smpp::Address) -> Option<Address> {
    // Letters were written one octet each.
    let text: String = address.value.as_bytes().iter().copied().map(char::from).collect();
    Some(Address::from_wire(Ton(address.ton), Npi(address.npi), &text))
}

/// The content, the octet of XSer's DCS where MT does not say it, and the message class.
fn content(data_coding: u8, header: usize, body: &[u8]) -> Option<(Content, Option<u8>, Option<u8>)> {
    let transparent = |octets: &[u8]| Content::Transparent {
        octets: octets.to_vec(),
        bits: octets.len().saturating_mul(8),
    };
    Some(match data_coding {
        0 => (Content::Alphanumeric(body.to_vec()), None, None),
        // GSM 7-bit with a message class (3GPP 23.038 section 4).
        0x10..=0x13 | 0xF0..=0xF3 => (Content::Alphanumeric(body.to_vec()), None, Some(data_coding & 3)),
        1 | 3 => {
            let text: String = body.iter().copied().map(char::from).collect();
            match text::encode(&text, Requested::Exactly(Encoding::Gsm7)) {
                Ok(encoded) => (Content::Alphanumeric(encoded.bytes), None, None),
                Err(_) => {
                    let wide = text::encode(&text, Requested::Exactly(Encoding::Ucs2))
                        .ok()?
                        .bytes;
                    (header.saturating_add(wide.len()) <= OCTETS).then_some(())?;
                    (transparent(&wide), Some(8), None)
                }
            }
        }
        // As GSM has it on air; SMPP's own 02 and 04 are both octets.
        2 | 4 => (transparent(body), Some(4), None),
        other => (transparent(body), Some(other), None),
    })
}

/// VP, which has minutes and no zone: UTC.
fn validity(message: &SubmitSm) -> Option<Text> {
    let octets = message.validity_period.as_bytes();
    if octets.is_empty() {
        return Some(Text::default());
    }
    let read = SmppTime::read(octets, ZoneOffset::UTC).ok()??;
    // The traffic writes absolute times; a relative one has no beginning here and is left to the carrier's default.
    let at: Timestamp = match read.time {
        SmppTime::Absolute { at, .. } => at,
        SmppTime::Relative(_) => return Some(Text::default()),
    };
    Text::new(&write_ucp_minutes(at, ZoneOffset::UTC)?)
}
