//! The decoder on what the field sends: quirks by their number in the notes on carriers, and random bytes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use bytes::BytesMut;
use proptest::prelude::*;
use smsgw_smpp::{
    Address, Body, COctets, CommandStatus, Pdu, ShortMessage, Tolerated, ToleratedSet,
    decode::{DecodeError, decode},
    encode::encode,
    framer::Framer,
    tlv::tag,
};

fn frame(id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [body.len() as u32 + 16, id, status, sequence] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

fn read(bytes: &[u8]) -> Result<(Pdu, ToleratedSet), DecodeError> {
    let mut framer = Framer::new(100_000);
    framer.push(bytes);
    let decoded = decode(&framer.next_frame().unwrap().unwrap());
    assert_eq!(framer.pending(), 0, "in step");
    decoded
}

const SUBMIT: u32 = 4;
const DELIVER: u32 = 5;
const SUBMIT_RESP: u32 = 0x8000_0004;

/// Body of a deliver_sm or submit_sm up to sm_length.
fn head() -> Vec<u8> {
    let mut body = b"\0\x01\x01491700000001\0\x03\x0012345\0".to_vec();
    body.extend([4, 0, 0, 0, 0, 0, 0, 0, 0]);
    body
}

fn body(parts: &[&[u8]]) -> Vec<u8> {
    let mut body = head();
    for part in parts {
        body.extend_from_slice(part);
    }
    body
}

fn message(decoded: &Pdu) -> &ShortMessage {
    match &decoded.body {
        Body::SubmitSm(message) | Body::DeliverSm(message) | Body::DataSm(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn quirks_of_user_data_and_tlvs() {
    let id = b"\x00\x1E\x00\x03A7\0";
    let long: Vec<u8> = [&[44][..], &[b'x'; 300]].concat();
    for (quirk, id_wanted, parts, text, expected) in [
        ("none", true, vec![&b"\x02hi"[..], id], &b"hi"[..], None),
        (
            "19 NUL after short_message",
            false,
            vec![b"\x02hi\0"],
            b"hi",
            Some(Tolerated::TrailingNul),
        ),
        (
            "19 several NULs",
            false,
            vec![b"\x02hi\0\0\0\0\0"],
            b"hi",
            Some(Tolerated::TrailingNul),
        ),
        (
            "19 NUL between short_message and TLVs",
            true,
            vec![b"\x02hi\0", id],
            b"hi",
            Some(Tolerated::TrailingNul),
        ),
        (
            "19 NUL after the TLVs",
            true,
            vec![b"\x02hi", id, b"\0"],
            b"hi",
            Some(Tolerated::TrailingNul),
        ),
        (
            "19 truncated TLV",
            true,
            vec![b"\x02hi", id, b"\x04\x27\x00\x01"],
            b"hi",
            Some(Tolerated::TruncatedTlv),
        ),
        (
            "19 truncated TLV header",
            true,
            vec![b"\x02hi", id, b"\x04\x27\x00"],
            b"hi",
            Some(Tolerated::TruncatedTlv),
        ),
        (
            "19 TLV longer than the PDU",
            false,
            vec![b"\x02hi", b"\x00\x1E\x00\xFFA7\0"],
            b"hi",
            Some(Tolerated::TruncatedTlv),
        ),
        (
            "22 length counts a NUL that is not there",
            false,
            vec![b"\x03hi"],
            b"hi",
            Some(Tolerated::ShortMessageTruncated),
        ),
        (
            "22 length lost its upper bits",
            false,
            vec![&long],
            &[b'x'; 300],
            Some(Tolerated::ShortMessageUnderstated),
        ),
    ] {
        for id in [SUBMIT, DELIVER] {
            let (pdu, quirks) = read(&frame(id, 0, 7, &body(&parts))).unwrap();
            assert_eq!(message(&pdu).short_message, text, "{quirk}");
            assert_eq!(message(&pdu).destination.value.as_bytes(), b"12345");
            assert_eq!(quirks, expected.into_iter().collect(), "{quirk}");
            assert_eq!(
                message(&pdu).tlvs.get(tag::RECEIPTED_MESSAGE_ID).is_some(),
                id_wanted,
                "{quirk}"
            );
        }
    }
}

#[test]
fn quirk_22_a_cut_message_is_refused_in_submit_sm_and_taken_in_deliver_sm() {
    let cut = body(&[b"\x20hi"]);
    let error = read(&frame(SUBMIT, 0, 7, &cut)).unwrap_err();
    assert_eq!(
        error,
        DecodeError::MessageLength {
            stated: 32,
            present: 2
        }
    );
    assert_eq!(error.status(), CommandStatus::INVALID_MESSAGE_LENGTH);
    let (pdu, quirks) = read(&frame(DELIVER, 0, 7, &cut)).unwrap();
    assert_eq!(message(&pdu).short_message, &b"hi"[..]);
    assert!(quirks.contains(Tolerated::ShortMessageTruncated));
    let (pdu, quirks) = read(&frame(SUBMIT, 0, 7, &body(&[&[255], &[b'x'; 255]]))).unwrap();
    assert_eq!(message(&pdu).short_message.len(), 255);
    assert!(quirks.contains(Tolerated::ShortMessageOverlong));
}

#[test]
fn quirk_20_strings_unterminated_overlong_and_missing() {
    let bind = |system_id: &[u8], password: &[u8]| {
        let tail = b"\0\x34\0\0\0";
        read(&frame(
            9,
            0,
            1,
            &[system_id, b"\0", password, b"\0", tail].concat(),
        ))
        .unwrap()
    };
    let (pdu, quirks) = bind(b"sixteen-charactr", b"longer-than-8");
    let Body::Bind(_, bound) = pdu.body else { panic!() };
    assert_eq!(
        (bound.system_id.as_bytes(), bound.password.expose()),
        (&b"sixteen-charactr"[..], &b"longer-than-8"[..])
    );
    assert_eq!(quirks, [Tolerated::OverlongString].into_iter().collect());
    assert!(bind(b"fifteen-charact", b"8-octets").1.is_empty());

    let (pdu, quirks) = read(&frame(SUBMIT_RESP, 0, 1, b"A7")).unwrap();
    let Body::SubmitSmResp(resp) = pdu.body else {
        panic!()
    };
    assert_eq!(
        (resp.message_id.as_bytes(), quirks),
        (&b"A7"[..], [Tolerated::UnterminatedString].into_iter().collect())
    );

    // bind without its last string, and one that ends before a field that has no default.
    let (_, quirks) = read(&frame(9, 0, 1, b"a\0b\0\0\x34\0\0")).unwrap();
    assert_eq!(quirks, [Tolerated::MissingString].into_iter().collect());
    let error = read(&frame(9, 0, 1, b"a\0b\0\0")).unwrap_err();
    assert_eq!(
        (error, error.status()),
        (
            DecodeError::MissingField("interface_version"),
            CommandStatus::INVALID_COMMAND_LENGTH
        )
    );
}

#[test]
fn quirk_21_answers_with_and_without_body() {
    let tlv = b"\x00\x1D\x00\x03no\0";
    for (what, status, body, id, expected) in [
        ("as it should be", 0, &b"A7\0"[..], "A7", None),
        ("error without body", 0x45, b"", "", None),
        ("error with id", 0x45, b"A7\0", "A7", Some(Tolerated::BodyOnError)),
        (
            "error with empty id",
            0x45,
            b"\0",
            "",
            Some(Tolerated::BodyOnError),
        ),
        (
            "error with TLVs instead of an id",
            0x45,
            tlv,
            "",
            Some(Tolerated::BodyOnError),
        ),
        ("success without body", 0, b"", "", Some(Tolerated::MissingBody)),
        (
            "id longer than 64",
            0,
            &[&[b'9'; 80][..], b"\0"].concat(),
            &"9".repeat(80),
            Some(Tolerated::OverlongString),
        ),
    ] {
        for command in [SUBMIT_RESP, 0x8000_0005, 0x8000_0103] {
            let (pdu, quirks) = read(&frame(command, status, 1, body)).unwrap();
            let (Body::SubmitSmResp(resp) | Body::DeliverSmResp(resp) | Body::DataSmResp(resp)) = pdu.body
            else {
                panic!()
            };
            assert_eq!(resp.message_id.to_string_lossy(), id, "{what}");
            // Only submit_sm_resp leaves its body out with an error.
            let expected =
                expected.filter(|quirk| *quirk != Tolerated::BodyOnError || command == SUBMIT_RESP);
            assert_eq!(quirks, expected.into_iter().collect(), "{what}");
            assert_eq!(resp.tlvs.is_empty(), what != "error with TLVs instead of an id");
        }
    }
    for command in [0x8000_0001u32, 0x8000_0002, 0x8000_0009] {
        assert!(read(&frame(command, 0xE, 1, b"")).unwrap().1.is_empty());
        let quirks = read(&frame(command, 0, 1, b"")).unwrap().1;
        assert_eq!(quirks, [Tolerated::MissingBody].into_iter().collect());
    }
}

#[test]
fn quirk_24_reserved_sequence_numbers_and_statuses_in_requests() {
    for (sequence, status, expected) in [
        (0, 0, vec![Tolerated::ReservedSequence]),
        (0x8000_0000, 0, vec![Tolerated::ReservedSequence]),
        (0x7FFF_FFFF, 0, vec![]),
        (1, 8, vec![Tolerated::StatusInRequest]),
    ] {
        let (pdu, quirks) = read(&frame(0x15, status, sequence, b"")).unwrap();
        assert_eq!((pdu.sequence, quirks), (sequence, expected.into_iter().collect()));
    }
    assert!(
        read(&frame(0x8000_0000, 3, 0, b"")).unwrap().1.is_empty(),
        "generic_nack may have 0"
    );
}

#[test]
fn bodies_where_none_belongs_are_ignored() {
    for command in [0x15, 0x8000_0015, 6, 0x8000_0006, 0x8000_0000] {
        let quirks = read(&frame(command, 0, 1, b"junk")).unwrap().1;
        assert_eq!(quirks, [Tolerated::UnexpectedBody].into_iter().collect());
    }
}

#[test]
fn unknown_commands_are_named() {
    for id in [0x21, 0x111, 0x0BAD, 0x8000_0021, u32::MAX] {
        let error = read(&frame(id, 0, 1, b"x")).unwrap_err();
        assert_eq!(
            (error, error.status()),
            (DecodeError::UnknownCommand(id), CommandStatus::INVALID_COMMAND_ID)
        );
    }
}

/// Command ids of SMPP 3.4.
const IDS: [u32; 24] = [
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    0xB,
    0x15,
    0x102,
    0x103,
    0x8000_0000,
    0x8000_0001,
    0x8000_0002,
    0x8000_0003,
    0x8000_0004,
    0x8000_0005,
    0x8000_0006,
    0x8000_0007,
    0x8000_0008,
    0x8000_0009,
    0x8000_0103,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bodies_never_panic_and_answers_always_decode(
        id in prop_oneof![prop::sample::select(IDS.to_vec()), any::<u32>()],
        status in prop_oneof![Just(0u32), any::<u32>()], sequence in any::<u32>(),
        body in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..120),
    ) {
        let bytes = frame(id, status, sequence, &body);
        match read(&bytes) {
            Ok((pdu, quirks)) => {
                prop_assert_eq!(pdu.sequence, sequence);
                prop_assert_eq!(u32::from(pdu.body.command_id()), id);
                // What was taken can be sent on, and is the same then.
                let mut out = BytesMut::new();
                // An error answer is ambiguous by nature: its body may begin with the id or with TLVs.
                let whole = !quirks.contains(Tolerated::TruncatedTlv) && (id < 0x8000_0000 || status == 0);
                if whole && encode(pdu.status, sequence, &pdu.body, &mut out).is_ok() {
                    prop_assert_eq!(read(&out).unwrap().0, pdu);
                }
            }
            Err(error) => prop_assert!(id < 0x8000_0000 || error == DecodeError::UnknownCommand(id)),
        }
    }

    #[test]
    fn a_valid_pdu_cut_anywhere_or_with_a_byte_changed_never_panics(cut in 0usize..200, at in 0usize..200, to in any::<u8>()) {
        let whole = body(&[b"\x14id:7 stat:DELIVRD e:", b"\x00\x1E\x00\x03A7\0\x04\x27\x00\x01\x02"]);
        let mut changed = whole[..cut.min(whole.len())].to_vec();
        if let Some(byte) = changed.get_mut(at) {
            *byte = to;
        }
        let _ = read(&frame(DELIVER, 0, 1, &changed));
        let _ = read(&frame(SUBMIT, 0, 1, &changed));
        let _ = read(&frame(0x103, 0, 1, &changed));
    }
}

#[test]
fn a_garbage_body_leaves_the_next_pdu_alone() {
    let mut framer = Framer::new(100_000);
    framer.push(&frame(SUBMIT, 0, 1, &[0xFF; 40]));
    framer.push(&frame(0x15, 0, 2, b""));
    assert!(decode(&framer.next_frame().unwrap().unwrap()).is_err());
    let (pdu, quirks) = decode(&framer.next_frame().unwrap().unwrap()).unwrap();
    assert_eq!(
        (pdu, quirks),
        (Pdu::new(2, Body::EnquireLink), ToleratedSet::NONE)
    );
}

/// Prints what a round trip costs; `cargo test --release -p smsgw-smpp --test decode -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn cost_of_a_round_trip() {
    let mut sm = ShortMessage {
        source: Address::alphanumeric("Acme").unwrap(),
        destination: Address::international("491700000001").unwrap(),
        short_message: bytes::Bytes::from(vec![b'x'; 120]),
        validity_period: COctets::try_new(b"261121080000000+").unwrap(),
        registered_delivery: 1,
        ..ShortMessage::default()
    };
    let mut receipt = sm.clone();
    receipt
        .tlvs
        .push(tag::RECEIPTED_MESSAGE_ID, b"0198aabbccdd\0")
        .unwrap();
    receipt.tlvs.push(tag::MESSAGE_STATE, &[2]).unwrap();
    sm.esm_class = 3;
    for (name, body) in [
        ("submit_sm", Body::SubmitSm(sm)),
        ("deliver_sm", Body::DeliverSm(receipt)),
    ] {
        const ROUNDS: u32 = 1_000_000;
        let mut out = BytesMut::with_capacity(1 << 16);
        let start = std::time::Instant::now();
        for sequence in 0..ROUNDS {
            out.clear();
            encode(CommandStatus::OK, sequence, &body, &mut out).unwrap();
            std::hint::black_box(&out);
        }
        let encoded = start.elapsed();
        let mut framer = Framer::new(65_536);
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            framer.push(&out);
            std::hint::black_box(decode(&framer.next_frame().unwrap().unwrap()).unwrap());
        }
        println!(
            "{name}: encode {:?}, frame and decode {:?}",
            encoded / ROUNDS,
            start.elapsed() / ROUNDS
        );
    }
}
