//! Receipts as carriers write them, by the number of the quirk in the notes on carriers.

use super::{text::LABELS, *};
use crate::{Address, Version};
use bytes::Bytes;
use proptest::prelude::*;

mod carriers;
mod round_trip;

fn deliver(text: &[u8]) -> ShortMessage {
    ShortMessage {
        esm_class: 4,
        short_message: Bytes::copy_from_slice(text),
        ..ShortMessage::default()
    }
}

fn parse(text: &str) -> Receipt {
    Receipt::parse(&deliver(text.as_bytes())).expect("a receipt")
}

#[test]
fn the_text_of_appendix_b_gives_every_field() {
    let receipt = parse(
        "id:0123456789 sub:001 dlvrd:001 submit date:1809031208 done date:1809031209 stat:DELIVRD err:000 text:Hello id:9",
    );
    assert_eq!(
        (receipt.id.as_str(), receipt.state),
        ("0123456789", ReceiptState::Delivered)
    );
    assert_eq!(
        (receipt.sub.as_deref(), receipt.dlvrd.as_deref()),
        (Some("001"), Some("001"))
    );
    assert_eq!(receipt.submit_date.as_deref(), Some("1809031208"));
    assert_eq!(
        receipt.done_time.map(|time| (time.hour, time.minute)),
        Some((12, 9))
    );
    assert_eq!(
        (receipt.err.as_deref(), receipt.text.as_deref()),
        (Some("000"), Some(&b"Hello id:9"[..]))
    );
}

#[test]
fn variations_of_the_text() {
    use ReceiptState as S;
    for (quirk, text, id, state, err) in [
        (
            "7 no sub and dlvrd",
            "id:7 submit date:1809031208 done date:1809031208 stat:DELIVRD err:0 text:",
            "7",
            S::Delivered,
            Some("0"),
        ),
        (
            "7 no text",
            "id:7 sub:001 dlvrd:001 submit date:1 done date:2 stat:EXPIRED err:027",
            "7",
            S::Expired,
            Some("027"),
        ),
        (
            "7 Text in capitals",
            "ID:7 SUB:001 STAT:UNDELIV ERR:1 TEXT:stat:DELIVRD",
            "7",
            S::Undeliverable,
            Some("1"),
        ),
        (
            "7 padded",
            "id: 7 stat: DELIVRD err: 042 text: x",
            "7",
            S::Delivered,
            Some("042"),
        ),
        (
            "7 lower case state",
            "id:7 stat:delivrd err:000",
            "7",
            S::Delivered,
            Some("000"),
        ),
        (
            "7 no stat label",
            "id:7 submit date:180903120815 done date:180903120816 DELIVRD err:000",
            "7",
            S::Delivered,
            Some("000"),
        ),
        (
            "7 four digits",
            "id:7 stat:REJECTD err:0000 text:",
            "7",
            S::Rejected,
            Some("0000"),
        ),
        (
            "7 alphanumeric",
            "id:7 stat:UNKNOWN err:nul text:",
            "7",
            S::Unknown,
            Some("nul"),
        ),
        (
            "7 empty err",
            "id:7 stat:DELIVRD err: text:hello",
            "7",
            S::Delivered,
            None,
        ),
        (
            "1 hexadecimal",
            "id:1D6A811 stat:DELIVRD err:0",
            "1D6A811",
            S::Delivered,
            Some("0"),
        ),
        (
            "1 longer than any integer",
            "id:04062581461565934000241 stat:DELIVRD err:0",
            "04062581461565934000241",
            S::Delivered,
            Some("0"),
        ),
        (
            "2 uuid",
            "id:0e999f21-1c5e-4a55-9a3a-0a3f0c1f7c11 stat:ACCEPTD err:0",
            "0e999f21-1c5e-4a55-9a3a-0a3f0c1f7c11",
            S::Accepted,
            Some("0"),
        ),
        (
            "9 other words",
            "id:7 stat:ACKED err:0",
            "7",
            S::Accepted,
            Some("0"),
        ),
        (
            "9 other words",
            "id:7 stat:BUFFRED err:0",
            "7",
            S::Enroute,
            Some("0"),
        ),
        (
            "9 other words",
            "id:7 stat:FAILED err:0",
            "7",
            S::Undeliverable,
            Some("0"),
        ),
        (
            "9 unknown words",
            "id:7 stat:GONE err:0",
            "7",
            S::Unrecognised,
            Some("0"),
        ),
        ("deleted", "id:7 stat:DELETED err:0", "7", S::Deleted, Some("0")),
        ("enroute", "id:7 stat:ENROUTE err:0", "7", S::Enroute, Some("0")),
    ] {
        let receipt = parse(text);
        assert_eq!(
            (receipt.id.as_str(), receipt.state, receipt.err.as_deref()),
            (id, state, err),
            "{quirk}: {text}"
        );
    }
}

#[test]
fn dates_have_10_12_or_14_digits_and_stay_raw_when_they_are_none() {
    for (text, minute) in [
        ("1809031208", Some((12, 8))),
        ("180903120816", Some((12, 8))),
        ("201809031208", Some((12, 8))),
        ("20180903120816", Some((12, 8))),
        ("tomorrow", None),
    ] {
        let receipt = parse(&format!("id:7 done date:{text} stat:DELIVRD"));
        assert_eq!(receipt.done_date.as_deref(), Some(text));
        assert_eq!(
            receipt.done_time.map(|time| (time.hour, time.minute)),
            minute,
            "{text}"
        );
    }
}

#[test]
fn tlvs_come_first_and_the_text_fills_the_gaps() {
    let mut message = deliver(b"id:7 stat:DELIVRD err:012 done date:1809031208 text:x");
    message
        .tlvs
        .push(tag::RECEIPTED_MESSAGE_ID, b"A7\0")
        .expect("fits");
    message.tlvs.push(tag::MESSAGE_STATE, &[5]).expect("fits");
    message
        .tlvs
        .push(tag::NETWORK_ERROR_CODE, &[3, 1, 2])
        .expect("fits");
    let receipt = Receipt::parse(&message).expect("a receipt");
    assert_eq!(
        (receipt.id.as_str(), receipt.state),
        ("A7", ReceiptState::Undeliverable)
    );
    assert_eq!(
        (receipt.network_error, receipt.err.as_deref()),
        (Some((3, 258)), Some("012"))
    );
    assert!(receipt.done_time.is_some());
}

#[test]
fn an_id_tlv_without_a_state_takes_the_state_from_the_text() {
    let mut message = deliver(b"stat:EXPIRED err:1");
    message.tlvs.push(tag::RECEIPTED_MESSAGE_ID, b"A7").expect("fits");
    let receipt = Receipt::parse(&message).expect("a receipt");
    assert_eq!(
        (receipt.id.as_str(), receipt.state),
        ("A7", ReceiptState::Expired)
    );
}

#[test]
fn network_error_code_in_three_digits_is_text() {
    let mut message = deliver(b"id:7 stat:UNDELIV");
    message.tlvs.push(tag::NETWORK_ERROR_CODE, b"042").expect("fits");
    let receipt = Receipt::parse(&message).expect("a receipt");
    assert_eq!(
        (receipt.network_error, receipt.err.as_deref()),
        (None, Some("042"))
    );
}

#[test]
fn a_receipt_may_stand_in_message_payload_behind_a_header_or_in_ucs2() {
    let text = b"id:7 stat:DELIVRD err:000";
    let mut payload = ShortMessage::default();
    payload.tlvs.push(tag::MESSAGE_PAYLOAD, text).expect("fits");
    let mut header = deliver(&[&[5, 0, 3, 0x41, 2, 1][..], text].concat());
    header.esm_class = 0x44;
    let mut no_header = deliver(text);
    no_header.esm_class = 0x44;
    let wide: Vec<u8> = text.iter().flat_map(|byte| [0, *byte]).collect();
    for message in [payload, header, no_header, deliver(&wide)] {
        let receipt = Receipt::parse(&message).expect("a receipt");
        assert_eq!(
            (receipt.id.as_str(), receipt.state),
            ("7", ReceiptState::Delivered),
            "{message:?}"
        );
    }
}

#[test]
fn trailing_binary_does_not_matter_and_plain_text_is_no_receipt() {
    let receipt =
        Receipt::parse(&deliver(b"id:7 stat:DELIVRD err:000 text:\x05\xff\x00\x01")).expect("a receipt");
    assert_eq!(receipt.text.as_deref(), Some(&b"\x05\xff\x00\x01"[..]));
    for text in [
        &b"Hello"[..],
        b"",
        b"void:7 stat:DELIVRD",
        b"text:id:7 stat:DELIVRD",
        b"id: stat:DELIVRD",
    ] {
        assert_eq!(Receipt::parse(&deliver(text)), None, "{}", text.escape_ascii());
    }
}

#[test]
fn only_accepted_and_enroute_are_intermediate() {
    for number in 0..=9 {
        let state = ReceiptState::from_number(number);
        assert_eq!(state.is_final(), !matches!(number, 0 | 1 | 6), "{state:?}");
        if (1..=8).contains(&number) {
            assert_eq!(
                (state.number(), ReceiptState::from_word(state.word())),
                (number, state)
            );
        }
    }
    assert_eq!(ReceiptState::from_number(77), ReceiptState::Unrecognised);
    assert_eq!(ReceiptState::from_number(0), ReceiptState::Scheduled);
    assert_eq!(ReceiptState::from_number(9), ReceiptState::Skipped);
}

fn written() -> ReceiptText {
    let submitted = LocalTime {
        year: 2026,
        month: 11,
        day: 21,
        hour: 8,
        minute: 0,
        second: 30,
    };
    ReceiptText {
        id: "0198-ab".to_owned(),
        sub: 1,
        dlvrd: 1,
        submitted,
        done: LocalTime {
            minute: 2,
            ..submitted
        },
        state: ReceiptState::Delivered,
        err: "000".to_owned(),
        text: b"Hello, this is a longer text".to_vec(),
    }
}

#[test]
fn the_text_written_is_that_of_appendix_b() {
    let expected = "id:0198-ab sub:001 dlvrd:001 submit date:2611210800 done date:2611210802 stat:DELIVRD err:000 \
                    text:Hello, this is a lon";
    assert_eq!(written().to_bytes(), expected.as_bytes());
}

#[test]
fn a_receipt_written_says_what_it_was_told() {
    let (from, to) = (
        Address::international("491700000001"),
        Address::short_code("12345"),
    );
    let message = written()
        .to_deliver_sm(from.expect("no NUL"), to.expect("no NUL"))
        .expect("fits");
    assert!(is_receipt(message.esm_class));
    let receipt = Receipt::parse(&message).expect("a receipt");
    assert_eq!(
        (receipt.id.as_str(), receipt.state),
        ("0198-ab", ReceiptState::Delivered)
    );
    assert_eq!(receipt.submit_date.as_deref(), Some("2611210800"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(text in prop::collection::vec(any::<u8>(), 0..200), area in prop::collection::vec(any::<u8>(), 0..60), esm_class in any::<u8>()) {
        let mut message = deliver(&text);
        message.esm_class = esm_class;
        message.tlvs = Tlvs::parse(&area).0;
        let _ = Receipt::parse(&message);
    }

    #[test]
    fn any_mix_of_labels_and_junk_is_read_without_panic(parts in prop::collection::vec(prop_oneof![
        prop::sample::select(LABELS.to_vec()).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..6),
        Just(b" ".to_vec()),
    ], 0..30)) {
        if let Some(receipt) = Receipt::parse(&deliver(&parts.concat())) {
            prop_assert!(!receipt.id.is_empty());
        }
    }
}
