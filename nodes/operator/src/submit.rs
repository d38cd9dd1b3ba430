//! Makes submit_sm of a dispatch, as the operator's settings want it (SMPP 3.4 section 4.4.1).
//!
//! Pure; time is an argument. Invariant SU-1: nothing is replaced or cut to make it fit: what the carrier cannot be
//! told is refused with its reason.
//!
//! # Limits
//! Senders of letters are written in ASCII or Latin-1, which is what carriers read there; others are refused.

use bytes::Bytes;
use smsgw_config::{Alphabet, Operator, Receipts, ValidityFormat};
use smsgw_message::text::GsmClass;
use smsgw_message::text::{self, Requested};
use smsgw_message::{Address, Dispatch, Encoding, Npi, ReportLevel, Timestamp, Ton};
use smsgw_smpp::{Address as WireAddress, COctets, SubmitSm, Tlvs, address, esm_class, time, tlv};
use thiserror::Error;

/// Octets that fit short_message in SMPP 3.4; more go into message_payload.
const SHORT_MESSAGE_MAX: usize = 254;
/// Octets of user data in one SMS.
const SMS_OCTETS: usize = smsgw_message::segment::PART_OCTETS;

/// Why a part cannot be told to this carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unsendable {
    /// A sender or recipient that no address field takes.
    #[error("address_not_encodable")]
    Address,
    /// `service_type` holds a NUL.
    #[error("service_type_not_encodable")]
    ServiceType,
    /// The carrier's alphabet lacks a character, and in UCS-2 the part would be too long.
    #[error("text_not_in_alphabet")]
    Alphabet,
    /// Longer than any parameter takes.
    #[error("message_does_not_fit")]
    TooLong,
}

/// What is sent, and whether it asks for a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submit {
    pub(crate) message: SubmitSm,
    pub(crate) receipt_asked: bool,
}

/// Writes the part of `dispatch` for this operator.
pub(crate) fn submit(dispatch: &Dispatch, operator: &Operator, now: Timestamp) -> Result<Submit, Unsendable> {
    let (data_coding, data) = body(dispatch, operator.alphabet)?;
    let mut short_message = Vec::with_capacity(dispatch.content.udh.len() + data.len());
    short_message.extend_from_slice(&dispatch.content.udh);
    short_message.extend_from_slice(&data);
    let mut tlvs = Tlvs::new();
    if short_message.len() > SHORT_MESSAGE_MAX {
        tlvs.push(tlv::tag::MESSAGE_PAYLOAD, &short_message)
            .map_err(|_| Unsendable::TooLong)?;
        short_message.clear();
    }
    let receipt_asked = match operator.receipts {
        Receipts::Always => true,
        Receipts::Never => false,
        Receipts::Asked => match dispatch.report {
            ReportLevel::None => false,
            ReportLevel::Final | ReportLevel::All => true,
        },
    };
    let message = SubmitSm {
        service_type: COctets::try_from(operator.service_type.as_str())
            .map_err(|_| Unsendable::ServiceType)?,
        source: source(dispatch, operator)?,
        destination: wire(&dispatch.to, operator.dest_ton, operator.dest_npi)?,
        esm_class: if dispatch.content.has_udh() {
            esm_class::UDHI
        } else {
            0
        },
        validity_period: validity(operator.validity, dispatch.valid_until, now),
        registered_delivery: u8::from(receipt_asked),
        data_coding,
        short_message: Bytes::from(short_message),
        tlvs,
        ..SubmitSm::default()
    };
    Ok(Submit {
        message,
        receipt_asked,
    })
}

/// data_coding and the octets behind the header.
fn body(dispatch: &Dispatch, alphabet: Alphabet) -> Result<(u8, Vec<u8>), Unsendable> {
    let part = &dispatch.content;
    let class = dispatch.message_class.and_then(gsm_class);
    match (dispatch.encoding, alphabet) {
        (Encoding::Gsm7, Alphabet::Latin1) => {
            let text = text::decode(Encoding::Gsm7, &part.data).text;
            match text::encode(&text, Requested::Exactly(Encoding::Latin1)) {
                // The carrier's default alphabet is what data_coding 0 means, and it knows no class there.
                Ok(latin1) => Ok((Encoding::Gsm7.data_coding(), latin1.bytes)),
                Err(_) => {
                    let ucs2 = text::encode(&text, Requested::Exactly(Encoding::Ucs2))
                        .map_err(|_| Unsendable::Alphabet)?
                        .bytes;
                    if part.udh.len() + ucs2.len() > SMS_OCTETS {
                        return Err(Unsendable::Alphabet);
                    }
                    Ok((coding(Encoding::Ucs2, class), ucs2))
                }
            }
        }
        (encoding @ (Encoding::Gsm7 | Encoding::Latin1 | Encoding::Ucs2 | Encoding::Binary), _) => {
            Ok((coding(encoding, class), part.data.clone()))
        }
    }
}

/// Latin-1 has no octet with a class: it goes without.
fn coding(encoding: Encoding, class: Option<GsmClass>) -> u8 {
    class
        .and_then(|class| encoding.data_coding_with_class(class))
        .unwrap_or_else(|| encoding.data_coding())
}

fn gsm_class(class: u8) -> Option<GsmClass> {
    match class {
        0 => Some(GsmClass::Class0),
        1 => Some(GsmClass::Class1),
        2 => Some(GsmClass::Class2),
        3 => Some(GsmClass::Class3),
        _ => None,
    }
}

/// The sender: the message's, else the operator's default, else empty (the carrier puts its own).
fn source(dispatch: &Dispatch, operator: &Operator) -> Result<WireAddress, Unsendable> {
    match (&dispatch.from, operator.default_from.as_deref()) {
        (Some(from), _) => wire(from, operator.source_ton, operator.source_npi),
        (None, Some(text)) if !text.is_empty() => {
            // What no rule for senders knows goes out as it is written, and the carrier decides.
            let from = Address::sender(text)
                .unwrap_or_else(|_| Address::from_wire(Ton::UNKNOWN, Npi::UNKNOWN, text));
            wire(&from, operator.source_ton, operator.source_npi)
        }
        (None, Some(_) | None) => Ok(WireAddress::default()),
    }
}

fn wire(address: &Address, ton: Option<u8>, npi: Option<u8>) -> Result<WireAddress, Unsendable> {
    if address.as_str().is_empty() {
        return Ok(WireAddress::default());
    }
    let Ton(own_ton) = address.ton();
    let Npi(own_npi) = address.npi();
    let octets = address
        .as_str()
        .chars()
        .map(u8::try_from)
        .collect::<Result<Vec<u8>, _>>()
        .map_err(|_| Unsendable::Address)?;
    address::Address::try_new(ton.unwrap_or(own_ton), npi.unwrap_or(own_npi), octets)
        .map_err(|_| Unsendable::Address)
}

/// Empty where the carrier is not to be told, or where SMPP has no words for that time: its own default holds then, and
/// we stop trying at the end of the validity anyway.
fn validity(format: ValidityFormat, until: Timestamp, now: Timestamp) -> COctets {
    match format {
        ValidityFormat::None => None,
        ValidityFormat::Absolute => u64::try_from(until.as_millis())
            .ok()
            .and_then(|millis| time::absolute(millis / 1000)),
        ValidityFormat::Relative => time::relative(until.since(now)),
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::dispatch;

    const NOW: Timestamp = Timestamp::from_millis(1_795_248_000_000); // 2026-11-21T08:00:00Z

    fn sent(dispatch: &Dispatch, operator: &Operator) -> SubmitSm {
        submit(dispatch, operator, NOW).unwrap().message
    }

    #[test]
    fn addresses_carry_the_type_of_the_number_unless_the_operator_says_otherwise() {
        let plain = Operator::default();
        let message = sent(&dispatch(1), &plain);
        assert_eq!(
            (
                message.destination.ton,
                message.destination.npi,
                message.destination.value.as_bytes()
            ),
            (1, 1, b"491700000001".as_slice())
        );
        assert_eq!(
            (
                message.source.ton,
                message.source.npi,
                message.source.value.as_bytes()
            ),
            (3, 0, b"12345".as_slice())
        );

        let named = Dispatch {
            from: Some(Address::sender("Bücher").unwrap()),
            ..dispatch(1)
        };
        let message = sent(&named, &plain);
        assert_eq!((message.source.ton, message.source.npi), (5, 0));
        assert_eq!(message.source.value.as_bytes(), b"B\xFCcher", "Latin-1");

        let overriding = Operator {
            source_ton: Some(0),
            source_npi: Some(9),
            dest_ton: Some(2),
            dest_npi: Some(8),
            ..Operator::default()
        };
        let message = sent(&named, &overriding);
        assert_eq!((message.source.ton, message.source.npi), (0, 9));
        assert_eq!((message.destination.ton, message.destination.npi), (2, 8));
    }

    #[test]
    fn an_absent_sender_is_the_operators_default_or_empty() {
        let anonymous = Dispatch {
            from: None,
            ..dispatch(1)
        };
        assert_eq!(
            sent(
                &anonymous,
                &Operator {
                    source_ton: Some(5),
                    ..Operator::default()
                }
            )
            .source,
            WireAddress::default()
        );
        let operator = Operator {
            default_from: Some("Shop".to_owned()),
            ..Operator::default()
        };
        let message = sent(&anonymous, &operator);
        assert_eq!(
            (message.source.ton, message.source.value.as_bytes()),
            (5, b"Shop".as_slice())
        );
        assert_eq!(
            sent(&dispatch(1), &operator).source.value.as_bytes(),
            b"12345",
            "the message's own comes first"
        );
    }

    #[test]
    fn a_sender_that_no_octet_writes_is_refused_and_not_mutilated() {
        let greek = Dispatch {
            from: Some(Address::sender("ΔΩ").unwrap()),
            ..dispatch(1)
        };
        assert_eq!(
            submit(&greek, &Operator::default(), NOW),
            Err(Unsendable::Address)
        );
    }

    #[test]
    fn data_coding_follows_encoding_and_class() {
        let table = [
            (Encoding::Gsm7, None, 0x00),
            (Encoding::Latin1, None, 0x03),
            (Encoding::Ucs2, None, 0x08),
            (Encoding::Binary, None, 0x04),
            (Encoding::Gsm7, Some(0), 0x10),
            (Encoding::Ucs2, Some(0), 0x18),
            (Encoding::Binary, Some(2), 0x16),
            (Encoding::Latin1, Some(0), 0x03),
        ];
        for (encoding, message_class, expected) in table {
            let dispatch = Dispatch {
                encoding,
                message_class,
                ..dispatch(1)
            };
            assert_eq!(
                sent(&dispatch, &Operator::default()).data_coding,
                expected,
                "{encoding:?} {message_class:?}"
            );
        }
    }

    #[test]
    fn a_header_sets_the_bit_and_stands_before_unpacked_septets() {
        let mut part = dispatch(1);
        part.content.udh = vec![5, 0, 3, 9, 2, 1];
        part.content.data = vec![0x00, 0x1B, 0x65];
        let message = sent(&part, &Operator::default());
        assert_eq!(message.esm_class, 0x40);
        assert_eq!(&message.short_message[..], [5, 0, 3, 9, 2, 1, 0x00, 0x1B, 0x65]);
        assert_eq!(sent(&dispatch(1), &Operator::default()).esm_class, 0);
    }

    #[test]
    fn a_long_body_goes_into_message_payload() {
        let mut part = dispatch(1);
        part.content.data = vec![b'a'; 255];
        let message = sent(&part, &Operator::default());
        assert!(message.short_message.is_empty());
        assert_eq!(message.payload().len(), 255);
        part.content.data = vec![b'a'; 70_000];
        assert_eq!(submit(&part, &Operator::default(), NOW), Err(Unsendable::TooLong));
    }

    #[test]
    fn a_latin1_carrier_gets_latin1_or_ucs2_where_that_fits() {
        let operator = Operator {
            alphabet: Alphabet::Latin1,
            ..Operator::default()
        };
        let text = |text: &str| {
            let mut part = dispatch(1);
            part.content.data = text::encode(text, Requested::Exactly(Encoding::Gsm7))
                .unwrap()
                .bytes;
            part
        };
        let message = sent(&text("@é_"), &operator);
        assert_eq!(
            (message.data_coding, &message.short_message[..]),
            (0, b"@\xE9_".as_slice())
        );
        let message = sent(&text("5 €"), &operator);
        assert_eq!(
            (message.data_coding, &message.short_message[..]),
            (8, b"\x00\x35\x00\x20\x20\xAC".as_slice())
        );
        assert_eq!(
            submit(&text(&"€".repeat(71)), &operator, NOW),
            Err(Unsendable::Alphabet)
        );
    }

    #[test]
    fn receipts_are_asked_for_by_policy_and_report() {
        let asked = |receipts, report| {
            let operator = Operator {
                receipts,
                ..Operator::default()
            };
            let submit = submit(
                &Dispatch {
                    report,
                    ..dispatch(1)
                },
                &operator,
                NOW,
            )
            .unwrap();
            assert_eq!(submit.message.registered_delivery, u8::from(submit.receipt_asked));
            submit.receipt_asked
        };
        assert!(asked(Receipts::Always, ReportLevel::None));
        assert!(asked(Receipts::Asked, ReportLevel::Final));
        assert!(asked(Receipts::Asked, ReportLevel::All));
        assert!(!asked(Receipts::Asked, ReportLevel::None));
        assert!(!asked(Receipts::Never, ReportLevel::All));
    }

    #[test]
    fn validity_is_absolute_relative_or_not_told() {
        let part = Dispatch {
            valid_until: NOW.after(std::time::Duration::from_secs(3600)),
            ..dispatch(1)
        };
        let told = |validity| {
            let message = sent(
                &part,
                &Operator {
                    validity,
                    ..Operator::default()
                },
            );
            message.validity_period.to_string_lossy()
        };
        assert_eq!(told(ValidityFormat::Absolute), "261121090000000+");
        assert_eq!(told(ValidityFormat::Relative), "000000010000000R");
        assert_eq!(told(ValidityFormat::None), "");
    }

    #[test]
    fn the_service_type_is_the_operators() {
        let operator = Operator {
            service_type: "WAP".to_owned(),
            ..Operator::default()
        };
        assert_eq!(sent(&dispatch(1), &operator).service_type.as_bytes(), b"WAP");
    }
}
