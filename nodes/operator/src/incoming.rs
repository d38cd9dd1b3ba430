//! Reads what carriers deliver: receipts and MO, as records for the `up` queues (SMPP 3.4 section 4.6 and Appendix B).
//!
//! Pure; id and time are arguments. Invariant IN-1: every delivery becomes exactly one record, and what cannot be read
//! keeps its octets.
//!
//! # Limits
//! Without the receipt bits of esm_class a delivery counts as a receipt only when it carries receipted_message_id and
//! message_state, which no phone can set, or when its text has the whole form of Appendix B with both dates. A person
//! who writes such a text gets it taken for a receipt of an unknown message.

use minicbor::bytes::ByteVec;
use smsgw_config::{Alphabet, Operator};
use smsgw_message::segment::Udh;
use smsgw_message::{
    Address, Encoding, LinkId, MessageId, Mo, Npi, Receipt, ReceiptState, Sar, Timestamp, Ton, Up, Via,
};
use smsgw_smpp::{Address as WireAddress, COctets, DeliverSm, esm_class, receipt as wire, tlv};

/// What a delivery is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// For the router.
    Record(Up),
    /// It says that it is a receipt, and has no id that could be read. Its octets are kept as an MO would be.
    UnreadableReceipt(Mo),
}

/// Where and when a delivery came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) via: &'a Via,
    pub(crate) link: &'a LinkId,
    pub(crate) at: Timestamp,
}

/// Reads a delivery; `id` names it when it is an MO.
pub(crate) fn read(message: &DeliverSm, operator: &Operator, origin: Origin<'_>, id: MessageId) -> Arrival {
    let flagged = wire::is_receipt(message.esm_class);
    if flagged || looks_like_receipt(message) {
        match wire::Receipt::parse(message) {
            Some(receipt) => return Arrival::Record(Up::Receipt(of_receipt(receipt, message, origin))),
            None if flagged => return Arrival::UnreadableReceipt(of_message(message, operator, origin, id)),
            None => {}
        }
    }
    Arrival::Record(Up::Mo(of_message(message, operator, origin, id)))
}

fn looks_like_receipt(message: &DeliverSm) -> bool {
    let has = |tag| message.tlvs.get(tag).is_some();
    if has(tlv::tag::RECEIPTED_MESSAGE_ID) && has(tlv::tag::MESSAGE_STATE) {
        return true;
    }
    let text = message.payload().to_ascii_lowercase();
    let holds = |label: &[u8]| text.windows(label.len()).any(|window| window == label);
    text.starts_with(b"id:")
        && [&b" submit date:"[..], b" done date:", b" stat:"]
            .into_iter()
            .all(holds)
}

fn of_receipt(receipt: wire::Receipt, message: &DeliverSm, origin: Origin<'_>) -> Receipt {
    Receipt {
        via: origin.via.clone(),
        link: origin.link.clone(),
        state: state(&receipt),
        carrier_id: receipt.id,
        error: receipt.err,
        text: String::from_utf8_lossy(message.payload()).into_owned(),
        at: origin.at,
        done_date: receipt.done_date,
    }
}

/// The state behind the carrier's word; what it means at this operator is the router's to say. A word nobody knows is
/// not taken for final.
fn state(receipt: &wire::Receipt) -> ReceiptState {
    match receipt.state {
        wire::ReceiptState::Enroute | wire::ReceiptState::Unrecognised => ReceiptState::Enroute,
        wire::ReceiptState::Delivered => ReceiptState::Delivered,
        wire::ReceiptState::Expired => ReceiptState::Expired,
        wire::ReceiptState::Deleted => ReceiptState::Deleted,
        wire::ReceiptState::Undeliverable => ReceiptState::Undeliverable,
        wire::ReceiptState::Accepted => ReceiptState::Accepted,
        wire::ReceiptState::Unknown => ReceiptState::Unknown,
        wire::ReceiptState::Rejected => ReceiptState::Rejected,
    }
}

fn of_message(message: &DeliverSm, operator: &Operator, origin: Origin<'_>, id: MessageId) -> Mo {
    let (udh, data) = split_header(message);
    let encoding = match (message.data_coding, operator.alphabet) {
        (0, Alphabet::Latin1) => Encoding::Latin1,
        (octet, Alphabet::Latin1 | Alphabet::Gsm7) => Encoding::from_data_coding(octet),
    };
    Mo {
        id,
        via: origin.via.clone(),
        link: origin.link.clone(),
        from: address(&message.source),
        to: address(&message.destination),
        data_coding: message.data_coding,
        encoding,
        udh: ByteVec::from(udh.to_vec()),
        data: ByteVec::from(data.to_vec()),
        at: origin.at,
        sar: sar(message),
    }
}

/// The carrier's id as an answer gives it. Some pad it to a width, and receipts are read without what is around the id:
/// both have to come out the same.
pub(crate) fn carrier_id(octets: &COctets) -> String {
    octets.to_string_lossy().trim().to_owned()
}

/// Header and the rest. A header that is announced and cannot be read is left where it is: in the data.
fn split_header(message: &DeliverSm) -> (&[u8], &[u8]) {
    let payload = message.payload();
    if esm_class::has_udh(message.esm_class)
        && let Ok((_, data)) = Udh::parse(payload)
        && let Some(split) = payload.split_at_checked(payload.len() - data.len())
    {
        return split;
    }
    (&[], payload)
}

fn sar(message: &DeliverSm) -> Option<Sar> {
    let reference = message.tlvs.get(tlv::tag::SAR_MSG_REF_NUM)?;
    let total = message.tlvs.get(tlv::tag::SAR_TOTAL_SEGMENTS)?;
    let number = message.tlvs.get(tlv::tag::SAR_SEGMENT_SEQNUM)?;
    match (reference, total, number) {
        (&[high, low], &[total], &[number]) if (1..=total).contains(&number) => Some(Sar {
            reference: u16::from_be_bytes([high, low]),
            total,
            number,
        }),
        _ => None,
    }
}

/// ASCII nearly always; octets above it are read as Latin-1, which loses none of them.
fn address(address: &WireAddress) -> Address {
    let octets = address.value.as_bytes();
    let text = match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().copied().map(char::from).collect(),
    };
    Address::from_wire(Ton(address.ton), Npi(address.npi), &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use smsgw_message::{LinkGroup, OperatorId};

    const AT: Timestamp = Timestamp::from_millis(1_795_248_000_000);
    const TEXT: &str = "id:0A7 sub:001 dlvrd:001 submit date:2611210800 done date:2611210801 stat:DELIVRD err:000 text:Hello";

    fn arrival(message: &DeliverSm, operator: &Operator) -> Arrival {
        let id = OperatorId::try_new("alpha").unwrap();
        let via = Via {
            group: LinkGroup::of(&id),
            operator: id.clone(),
        };
        let link = LinkId::new(&id, 1);
        read(
            message,
            operator,
            Origin {
                via: &via,
                link: &link,
                at: AT,
            },
            MessageId::from_parts(AT, [7; 10]),
        )
    }

    fn receipt(message: &DeliverSm, operator: &Operator) -> Receipt {
        match arrival(message, operator) {
            Arrival::Record(Up::Receipt(receipt)) => receipt,
            other => panic!("a receipt, not {other:?}"),
        }
    }

    fn mo(message: &DeliverSm, operator: &Operator) -> Mo {
        match arrival(message, operator) {
            Arrival::Record(Up::Mo(mo)) => mo,
            other => panic!("an MO, not {other:?}"),
        }
    }

    fn deliver(esm_class: u8, text: impl AsRef<[u8]>) -> DeliverSm {
        DeliverSm {
            source: WireAddress::international("491700000001").unwrap(),
            destination: WireAddress::short_code("12345").unwrap(),
            esm_class,
            short_message: Bytes::copy_from_slice(text.as_ref()),
            ..DeliverSm::default()
        }
    }

    #[test]
    fn a_receipt_keeps_the_carriers_id_text_and_date() {
        let receipt = receipt(&deliver(0x04, TEXT), &Operator::default());
        assert_eq!(
            (receipt.carrier_id.as_str(), receipt.state),
            ("0A7", ReceiptState::Delivered)
        );
        assert_eq!(receipt.error.as_deref(), Some("000"));
        assert_eq!(receipt.done_date.as_deref(), Some("2611210801"));
        assert_eq!(
            (receipt.text.as_str(), receipt.at, receipt.link.as_str()),
            (TEXT, AT, "alpha-1")
        );
    }

    #[test]
    fn receipts_without_the_bits_are_known_by_their_whole_form_or_their_tlvs() {
        assert_eq!(receipt(&deliver(0, TEXT), &Operator::default()).carrier_id, "0A7");
        let mut by_tlv = deliver(0, "");
        by_tlv.tlvs.push(tlv::tag::RECEIPTED_MESSAGE_ID, b"B8\0").unwrap();
        by_tlv.tlvs.push(tlv::tag::MESSAGE_STATE, &[5]).unwrap();
        assert_eq!(
            receipt(&by_tlv, &Operator::default()).state,
            ReceiptState::Undeliverable
        );
        for text in ["id:5 is my number", "id:5 stat:DELIVRD", "Hello", ""] {
            mo(&deliver(0, text), &Operator::default());
        }
    }

    #[test]
    fn an_id_padded_in_the_answer_is_that_of_its_receipts() {
        let answered = carrier_id(&COctets::try_from("  0A7   ").unwrap());
        assert_eq!(answered, "0A7");
        let padded = TEXT.replace("id:0A7", "id:  0A7  ");
        assert_eq!(
            receipt(&deliver(0x04, padded), &Operator::default()).carrier_id,
            answered
        );
        let mut by_tlv = deliver(0x04, "");
        by_tlv
            .tlvs
            .push(tlv::tag::RECEIPTED_MESSAGE_ID, b"  0A7   \0")
            .unwrap();
        assert_eq!(receipt(&by_tlv, &Operator::default()).carrier_id, answered);
    }

    #[test]
    fn a_flagged_receipt_without_an_id_is_kept_whole() {
        match arrival(&deliver(0x04, "no id here"), &Operator::default()) {
            Arrival::UnreadableReceipt(kept) => assert_eq!(kept.data.as_slice(), b"no id here"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_have_their_state_and_one_that_nobody_knows_is_not_final() {
        let table = [
            ("DELIVRD", ReceiptState::Delivered),
            ("delivrd", ReceiptState::Delivered),
            ("EXPIRED", ReceiptState::Expired),
            ("DELETED", ReceiptState::Deleted),
            ("UNDELIV", ReceiptState::Undeliverable),
            ("FAILED", ReceiptState::Undeliverable),
            ("ACCEPTD", ReceiptState::Accepted),
            ("UNKNOWN", ReceiptState::Unknown),
            ("REJECTD", ReceiptState::Rejected),
            ("ENROUTE", ReceiptState::Enroute),
            ("GIBBERISH", ReceiptState::Enroute),
        ];
        for (word, expected) in table {
            let text = TEXT.replace("DELIVRD", word);
            assert_eq!(
                receipt(&deliver(0x04, text), &Operator::default()).state,
                expected,
                "{word}"
            );
        }
    }

    #[test]
    fn an_mo_has_its_addresses_coding_and_octets() {
        let message = DeliverSm {
            data_coding: 8,
            ..deliver(0, b"\x00H\x00i")
        };
        let mo = mo(&message, &Operator::default());
        assert_eq!((mo.from.as_str(), mo.to.as_str()), ("491700000001", "12345"));
        assert_eq!(
            (mo.encoding, mo.data_coding, mo.data.as_slice()),
            (Encoding::Ucs2, 8, b"\x00H\x00i".as_slice())
        );
        assert_eq!((mo.udh.len(), mo.sar), (0, None));
    }

    #[test]
    fn data_coding_zero_is_what_the_operator_says() {
        assert_eq!(
            mo(&deliver(0, "x"), &Operator::default()).encoding,
            Encoding::Gsm7
        );
        let latin1 = Operator {
            alphabet: Alphabet::Latin1,
            ..Operator::default()
        };
        assert_eq!(mo(&deliver(0, "x"), &latin1).encoding, Encoding::Latin1);
        assert_eq!(
            mo(
                &DeliverSm {
                    data_coding: 8,
                    ..deliver(0, "x")
                },
                &latin1
            )
            .encoding,
            Encoding::Ucs2
        );
    }

    #[test]
    fn a_header_is_split_off_and_a_broken_one_stays() {
        let long = mo(
            &deliver(0x40, b"\x05\x00\x03\x09\x02\x01Hello"),
            &Operator::default(),
        );
        assert_eq!(
            (long.udh.as_slice(), long.data.as_slice()),
            (b"\x05\x00\x03\x09\x02\x01".as_slice(), b"Hello".as_slice())
        );
        let broken = mo(&deliver(0x40, b"\x50\x00\x03"), &Operator::default());
        assert_eq!(
            (broken.udh.len(), broken.data.as_slice()),
            (0, b"\x50\x00\x03".as_slice())
        );
    }

    #[test]
    fn sar_tlvs_and_message_payload_are_read() {
        let mut message = deliver(0, "");
        message
            .tlvs
            .push(tlv::tag::MESSAGE_PAYLOAD, b"long text")
            .unwrap();
        message.tlvs.push(tlv::tag::SAR_MSG_REF_NUM, &[1, 2]).unwrap();
        message.tlvs.push(tlv::tag::SAR_TOTAL_SEGMENTS, &[3]).unwrap();
        message.tlvs.push(tlv::tag::SAR_SEGMENT_SEQNUM, &[2]).unwrap();
        let part = mo(&message, &Operator::default());
        assert_eq!(part.data.as_slice(), b"long text");
        assert_eq!(
            part.sar,
            Some(Sar {
                reference: 0x0102,
                total: 3,
                number: 2
            })
        );
        message.tlvs.push(tlv::tag::SAR_SEGMENT_SEQNUM, &[9]).unwrap();
        assert_eq!(
            mo(&message, &Operator::default()).sar.map(|sar| sar.number),
            Some(2),
            "the first one counts"
        );
    }

    #[test]
    fn letters_above_ascii_in_an_address_are_latin1() {
        let mut message = deliver(0, "x");
        message.source = WireAddress::alphanumeric(b"B\xFCro").unwrap();
        assert_eq!(mo(&message, &Operator::default()).from.as_str(), "Büro");
    }
}
