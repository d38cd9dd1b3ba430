//! What would be deliver_sm, of operations 01, 30, 52 and 53 (EMI-UCP 4.0 sections 4.2, 4.5, 5.3.2 and 5.3.3).
//!
//! Pure. Invariant: a notification has the id that the answer of its message gave: recipient and time stamp. `None` is an
//! operation that nobody sends to a client; the session refuses it.
//!
//! # Limits
//! Content that cannot be read is kept as its digits, as binary.

use bytes::Bytes;
use smsgw_message::Address;
use smsgw_message::gsm7::{FillBits, unpack};
use smsgw_smpp::{Address as WireAddress, DeliverSm, Tlvs, tlv};
use smsgw_ucp::{
    Content, Message, MessageKind, Operation, Reason, ServiceType, Services, Text, read_number, read_sender,
};

const RECEIPT: u8 = 0x04;
const UDHI: u8 = 0x40;

pub(super) fn message(operation: &Operation) -> Option<DeliverSm> {
    match operation {
        Operation::Message(MessageKind::Deliver, message) => Some(of_phone(message)),
        Operation::Message(MessageKind::Notification, message) => Some(notification(message)),
        Operation::CallInput(call) => Some(of_phone(&Message {
            adc: call.adc.clone(),
            oadc: call.oadc.clone(),
            mt: call.mt.clone(),
            msg: call.msg.clone(),
            ..Message::default()
        })),
        Operation::Transfer(transfer) => Some(of_phone(&Message {
            adc: transfer.adc.clone(),
            oadc: transfer.oadc.clone(),
            mt: Text::number(3, 1),
            msg: transfer.amsg.clone(),
            ..Message::default()
        })),
        Operation::Message(
            MessageKind::Submit
            | MessageKind::Modify
            | MessageKind::Inquiry
            | MessageKind::Delete
            | MessageKind::InquiryResponse
            | MessageKind::DeleteResponse,
            _,
        )
        | Operation::Multiple { .. }
        | Operation::Services { .. }
        | Operation::Alert(_)
        | Operation::Session(_)
        | Operation::List(_)
        | Operation::Unknown(..) => None,
    }
}

/// The same, and of what we submit.
pub(super) fn shown(operation: &Operation) -> Option<DeliverSm> {
    match operation {
        Operation::Message(MessageKind::Submit, submit) => Some(DeliverSm {
            registered_delivery: u8::from(submit.nrq.as_str() == "1"),
            ..of_phone(submit)
        }),
        delivered => message(delivered),
    }
}

/// What a message and its notifications have in common: the recipient's digits, without what centres put before them, and the
/// time stamp.
pub(super) fn key(number: &str, scts: &str) -> String {
    let digits = number.trim_start_matches('+').trim_start_matches('0');
    format!("{digits}:{scts}")
}

fn wire(address: &Address) -> WireAddress {
    let text = address.as_str();
    WireAddress::try_new(address.ton().0, address.npi().0, text.as_bytes()).unwrap_or_default()
}

fn of_phone(message: &Message) -> DeliverSm {
    let services = message.services();
    let header = services
        .as_ref()
        .ok()
        .and_then(|services| services.get(ServiceType::UDH))
        .unwrap_or_default();
    let (data_coding, body) = content(message, services.as_ref().ok());
    DeliverSm {
        source: wire(&read_sender(&message.oadc, &message.otoa)),
        destination: wire(&read_number(&message.adc)),
        esm_class: if header.is_empty() { 0 } else { UDHI },
        data_coding,
        short_message: Bytes::from([header, &body].concat()),
        ..DeliverSm::default()
    }
}

fn content(message: &Message, services: Option<&Services>) -> (u8, Vec<u8>) {
    let dcs = services
        .and_then(|services| services.get(ServiceType::DCS))
        .and_then(|dcs| dcs.first().copied());
    match message.content() {
        Ok(Content::Numeric(digits)) => (0, digits.into_bytes()),
        Ok(Content::Alphanumeric(septets)) => match message.mcls.to_number() {
            Some(class @ 0..=3) => (0xF0 | u8::try_from(class).unwrap_or(0), septets),
            Some(_) | None => (dcs.filter(|dcs| is_gsm7(*dcs)).unwrap_or(0), septets),
        },
        // Septets, packed as on air.
        Ok(Content::Transparent { octets, bits }) if dcs.is_some_and(is_gsm7) => {
            (dcs.unwrap_or(0), unpack(&octets, FillBits::NONE, bits / 7))
        }
        Ok(Content::Transparent { octets, .. }) => (dcs.unwrap_or(4), octets),
        Err(_) => (4, message.msg.as_str().as_bytes().to_vec()),
    }
}

/// Whether a DCS says GSM 7-bit (3GPP 23.038 section 4).
const fn is_gsm7(dcs: u8) -> bool {
    matches!(dcs, 0x00..=0x03 | 0x10..=0x13 | 0xF0..=0xF3)
}

fn notification(message: &Message) -> DeliverSm {
    let id = key(message.oadc.as_str(), message.scts.as_str());
    let reason = message
        .rsn
        .to_number()
        .and_then(|rsn| u16::try_from(rsn).ok())
        .map(Reason);
    let (word, state) = match (message.dst.as_str(), reason) {
        ("0", _) => ("DELIVRD", 2),
        ("1", _) => ("ENROUTE", 1),
        // The time ran out while the phone was away.
        ("2", Some(Reason(10))) => ("EXPIRED", 3),
        ("2", _) => ("UNDELIV", 5),
        _ => ("UNKNOWN", 7),
    };
    let told = message
        .content()
        .ok()
        .and_then(|content| content.to_text())
        .map(|(text, _)| text)
        .unwrap_or_default();
    let err = reason.unwrap_or(Reason(0));
    let text = format!(
        "id:{id} done date:{} stat:{word} err:{err} text:{told}",
        message.dscts
    );
    let mut tlvs = Tlvs::new();
    let id = format!("{id}\0");
    let fits = tlvs.push(tlv::tag::RECEIPTED_MESSAGE_ID, id.as_bytes()).is_ok();
    debug_assert!(fits, "a key is a few dozen octets");
    let fits = tlvs.push(tlv::tag::MESSAGE_STATE, &[state]).is_ok();
    debug_assert!(fits, "one octet fits");
    DeliverSm {
        source: wire(&read_number(&message.oadc)),
        destination: wire(&read_number(&message.adc)),
        esm_class: RECEIPT,
        short_message: Bytes::from(text),
        tlvs,
        ..DeliverSm::default()
    }
}
