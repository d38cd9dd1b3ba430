//! Reads what carriers deliver: receipts and MO, as records for the `up` queues (SMPP 3.4 section 4.6 and Appendix B).
//!
//! Pure; id and time are arguments. Invariant IN-1: every delivery becomes exactly one record, and what cannot be read
//! keeps its octets.
//!
//! What is a receipt without the bits of esm_class that say so is the operator's setting (`receipts_unflagged`).

mod mo;

use smsgw_config::{Operator, Unflagged};
use smsgw_message::{
    Address, LinkId, MessageId, Mo, Npi, Receipt, ReceiptState, Sar, Timestamp, Ton, Up, Via,
};
use smsgw_smpp::receipt::{Reading, ReceiptProfile, StateMap};
use smsgw_smpp::{
    Address as WireAddress, COctets, DeliverSm, ToleratedSet, message_id, receipt as wire, tlv,
};

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

/// How this operator's receipts are read.
pub(crate) fn receipts(operator: &Operator) -> ReceiptProfile {
    let states = operator
        .receipt_words
        .iter()
        .fold(StateMap::new(), |states, (word, state)| {
            let state = wire::ReceiptState::from_word(state.as_str());
            let states = states.word(word.as_str(), state);
            match word.as_number() {
                Some(number) => states.number(number, state),
                None => states,
            }
        });
    ReceiptProfile {
        unflagged: match operator.receipts_unflagged {
            Unflagged::Never => wire::Unflagged::Never,
            Unflagged::Tlvs => wire::Unflagged::Tlvs,
            Unflagged::Text => wire::Unflagged::Text,
        },
        states,
    }
}

/// Reads a deliver_sm or data_sm, and says what a receipt has wrong; `id` names it when it is an MO.
pub(crate) fn read(
    message: &DeliverSm,
    operator: &Operator,
    receipts: &ReceiptProfile,
    origin: Origin<'_>,
    id: MessageId,
) -> (Arrival, ToleratedSet) {
    match wire::Receipt::read(message, receipts) {
        Reading::Receipt(receipt) => {
            let tolerated = receipt.tolerated;
            let receipt = of_receipt(receipt, message, origin);
            (Arrival::Record(Up::Receipt(receipt)), tolerated)
        }
        Reading::Unreadable(_) => (
            Arrival::UnreadableReceipt(mo::read(message, operator, origin, id)),
            ToleratedSet::NONE,
        ),
        Reading::None => (
            Arrival::Record(Up::Mo(mo::read(message, operator, origin, id))),
            ToleratedSet::NONE,
        ),
    }
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
        from: Some(address(&message.source)),
        to: Some(address(&message.destination)),
        text_id: receipt.text_id,
    }
}

/// The state behind the carrier's word; what it means at this operator is the router's to say. A word nobody knows is
/// not taken for final.
fn state(receipt: &wire::Receipt) -> ReceiptState {
    match receipt.state {
        wire::ReceiptState::Enroute | wire::ReceiptState::Scheduled | wire::ReceiptState::Unrecognised => {
            ReceiptState::Enroute
        }
        wire::ReceiptState::Delivered => ReceiptState::Delivered,
        wire::ReceiptState::Expired => ReceiptState::Expired,
        wire::ReceiptState::Deleted => ReceiptState::Deleted,
        wire::ReceiptState::Undeliverable | wire::ReceiptState::Skipped => ReceiptState::Undeliverable,
        wire::ReceiptState::Accepted => ReceiptState::Accepted,
        wire::ReceiptState::Unknown => ReceiptState::Unknown,
        wire::ReceiptState::Rejected => ReceiptState::Rejected,
    }
}

/// The carrier's id as an answer gives it. Some pad it to a width, and receipts are read without what is around the id:
/// both have to come out the same.
pub(crate) fn carrier_id(octets: &COctets) -> String {
    message_id::canonical(octets.as_bytes())
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
    use smsgw_config::Alphabet;
    use smsgw_message::{Encoding, LinkGroup, OperatorId};

    const AT: Timestamp = Timestamp::from_millis(1_795_248_000_000);
    const TEXT: &str = "id:0A7 sub:001 dlvrd:001 submit date:2611210800 done date:2611210801 stat:DELIVRD err:000 text:Hello";

    fn arrival(message: &DeliverSm, operator: &Operator) -> Arrival {
        arrival_of(message, operator).0
    }

    fn arrival_of(message: &DeliverSm, operator: &Operator) -> (Arrival, ToleratedSet) {
        let id = OperatorId::try_new("alpha").unwrap();
        let via = Via {
            group: LinkGroup::of(&id),
            operator: id.clone(),
        };
        let link = LinkId::new(&id, 1);
        let origin = Origin {
            via: &via,
            link: &link,
            at: AT,
        };
        let id = MessageId::from_parts(AT, [7; 10]);
        read(message, operator, &receipts(operator), origin, id)
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

    /// Quirk 13: some carriers never set the bits. What a phone can write is no receipt unless configured.
    #[test]
    fn without_the_bits_a_receipt_is_known_by_what_the_operator_says() {
        let mut by_tlv = deliver(0, "");
        by_tlv.tlvs.push(tlv::tag::RECEIPTED_MESSAGE_ID, b"B8\0").unwrap();
        by_tlv.tlvs.push(tlv::tag::MESSAGE_STATE, &[5]).unwrap();
        let by_text = deliver(0, TEXT);
        for (unflagged, tlvs, text) in [
            (Unflagged::Never, false, false),
            (Unflagged::Tlvs, true, false),
            (Unflagged::Text, true, true),
        ] {
            let operator = Operator {
                receipts_unflagged: unflagged,
                ..Operator::default()
            };
            for (message, expected) in [(&by_tlv, tlvs), (&by_text, text)] {
                let is_receipt = matches!(arrival(message, &operator), Arrival::Record(Up::Receipt(_)));
                assert_eq!(is_receipt, expected, "{unflagged} {message:?}");
            }
        }
        assert_eq!(Operator::default().receipts_unflagged, Unflagged::Tlvs);
    }

    #[test]
    fn a_phone_cannot_claim_that_a_message_was_delivered() {
        for text in [TEXT, "id:5 is my number", "id:5 stat:DELIVRD", "Hello", ""] {
            mo(&deliver(0, text), &Operator::default());
        }
        let by_text = Operator {
            receipts_unflagged: Unflagged::Text,
            ..Operator::default()
        };
        for text in ["id:5 is my number", "id:5 stat:DELIVRD", "Hello", ""] {
            mo(&deliver(0, text), &by_text);
        }
    }

    /// Quirk 13: only bits 2 to 5 say it.
    #[test]
    fn other_bits_of_esm_class_do_not_hide_a_receipt() {
        for esm_class in [0x04, 0x44, 0x84, 0x07, 0xC4] {
            let receipt = receipt(&deliver(esm_class, TEXT), &Operator::default());
            assert_eq!(receipt.carrier_id, "0A7", "{esm_class:#x}");
        }
    }

    /// Quirk 10.
    #[test]
    fn where_tlv_and_text_disagree_both_ids_are_kept_and_it_is_counted() {
        let operator = Operator::default();
        let mut message = deliver(0x04, TEXT);
        message
            .tlvs
            .push(tlv::tag::RECEIPTED_MESSAGE_ID, b"B8\0")
            .unwrap();
        let receipt = receipt(&message, &operator);
        assert_eq!(
            (receipt.carrier_id.as_str(), receipt.text_id.as_deref()),
            ("B8", Some("0A7"))
        );
        let tolerated = |message| arrival_of(message, &operator).1;
        let disagrees = smsgw_smpp::Tolerated::ReceiptDisagrees;
        assert!(tolerated(&message).iter().any(|quirk| quirk == disagrees));
        assert_eq!(tolerated(&deliver(0x04, TEXT)).iter().count(), 0, "nothing wrong");
    }

    /// Quirk 9.
    #[test]
    fn a_carriers_own_words_and_numbers_mean_what_the_operator_says() {
        let word = |text: &str| smsgw_config::ReceiptWord::from_text(text).unwrap();
        let operator = Operator {
            receipt_words: [
                (word("acked"), smsgw_config::ReceiptState::Delivrd),
                (word("GONE"), smsgw_config::ReceiptState::Undeliv),
                (word("12"), smsgw_config::ReceiptState::Expired),
            ]
            .into(),
            ..Operator::default()
        };
        for (text, expected) in [
            ("ACKED", ReceiptState::Delivered),
            ("gone", ReceiptState::Undeliverable),
            ("12", ReceiptState::Expired),
            ("DELIVRD", ReceiptState::Delivered),
            ("BUFFRED", ReceiptState::Enroute),
        ] {
            let text = TEXT.replace("DELIVRD", text);
            assert_eq!(
                receipt(&deliver(0x04, &text), &operator).state,
                expected,
                "{text}"
            );
        }
        let mut by_number = deliver(0x04, "");
        by_number
            .tlvs
            .push(tlv::tag::RECEIPTED_MESSAGE_ID, b"B8\0")
            .unwrap();
        by_number.tlvs.push(tlv::tag::MESSAGE_STATE, &[12]).unwrap();
        assert_eq!(receipt(&by_number, &operator).state, ReceiptState::Expired);
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
