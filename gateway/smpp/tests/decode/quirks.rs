//! What carriers and clients really send, by the number of the quirk.

use crate::{DELIVER, SUBMIT, SUBMIT_RESP, body, frame, message, read};
use smsgw_smpp::{Body, CommandStatus, Tolerated, decode::DecodeError, message_id, tlv::tag};

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
            // A receipt's TLV has no place in a submit_sm.
            let misplaced = (id == SUBMIT && id_wanted).then_some(Tolerated::TlvMisplaced);
            assert_eq!(quirks, expected.into_iter().chain(misplaced).collect(), "{quirk}");
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
fn unknown_commands_stay_raw_with_their_id_and_octets() {
    for id in [0x22, 0x23, 0x24, 0x0BAD, 0x0001_0000, 0x8000_0023, u32::MAX] {
        let (pdu, quirks) = read(&frame(id, 0, 1, b"x\0y")).unwrap();
        let Body::Raw(raw) = &pdu.body else {
            panic!("{pdu:?}")
        };
        assert_eq!((raw.command_id, &raw.octets[..]), (id, &b"x\0y"[..]));
        assert_eq!(u32::from(pdu.body.command_id()), id);
        assert!(quirks.is_empty());
    }
    use smsgw_smpp::pdu::deprecated;
    assert_eq!(deprecated::name(0x23), Some("query_last_msgs"));
    assert_eq!(deprecated::name(0x8000_0024), Some("query_msg_details_resp"));
    assert_eq!(deprecated::name(0x21), None);
}

#[test]
fn tlvs_with_a_wrong_length_in_the_wrong_pdu_or_twice_stay_and_are_named() {
    use Tolerated as T;
    for (what, id, area, expected) in [
        ("as it should be", DELIVER, &b"\x04\x27\0\x01\x02"[..], vec![]),
        (
            "message_state of two octets",
            DELIVER,
            b"\x04\x27\0\x02\0\x02",
            vec![T::TlvLength],
        ),
        (
            "empty message_state",
            DELIVER,
            b"\x04\x27\0\0",
            vec![T::TlvLength],
        ),
        (
            "message_state in submit_sm",
            SUBMIT,
            b"\x04\x27\0\x01\x02",
            vec![T::TlvMisplaced],
        ),
        (
            "message_state twice",
            DELIVER,
            b"\x04\x27\0\x01\x02\x04\x27\0\x01\x05",
            vec![T::TlvRepeated],
        ),
        (
            "callback_num may repeat",
            SUBMIT,
            b"\x03\x81\0\x041234\x03\x81\0\x045678",
            vec![],
        ),
        ("vendor's", SUBMIT, b"\x14\x01\0\x01x\x14\x01\0\0", vec![]),
        ("reserved", SUBMIT, b"\xF0\x00\0\x01x", vec![]),
        (
            "all wrong",
            SUBMIT,
            b"\x04\x27\0\0\x04\x27\0\0",
            vec![T::TlvLength, T::TlvMisplaced, T::TlvRepeated],
        ),
    ] {
        let (pdu, quirks) = read(&frame(id, 0, 1, &body(&[b"\x02hi", area]))).unwrap();
        assert_eq!(
            message(&pdu).tlvs.as_bytes(),
            area,
            "{what}: they stay as they are"
        );
        assert_eq!(quirks.iter().collect::<Vec<_>>(), expected, "{what}");
    }
}

#[test]
fn an_answer_with_an_id_nobody_can_keep_is_still_an_answer() {
    let body = |len| [vec![b'7'; len], b"\0\x00\x1D\0\x03ok\0".to_vec()].concat();
    let (pdu, quirks) = read(&frame(SUBMIT_RESP, 0, 1, &body(message_id::MAX))).unwrap();
    assert_eq!(pdu.body.message_id().unwrap().len(), message_id::MAX);
    assert_eq!(quirks.iter().collect::<Vec<_>>(), [Tolerated::OverlongString]);
    let (pdu, quirks) = read(&frame(SUBMIT_RESP, 0, 1, &body(message_id::MAX + 1))).unwrap();
    assert!(pdu.body.message_id().unwrap().is_empty());
    assert!(quirks.contains(Tolerated::MessageIdRefused));
    assert_eq!(
        pdu.body.tlvs().unwrap().text(tag::ADDITIONAL_STATUS_INFO_TEXT),
        Some(&b"ok"[..])
    );
}

#[test]
fn a_request_with_an_id_nobody_gave_out_is_refused_with_its_reason() {
    let id = [vec![b'7'; message_id::MAX + 1], b"\0".to_vec()].concat();
    let address = b"\x01\x0149170\0";
    for (command, body) in [
        (3, [&id[..], address].concat()),
        (8, [b"\0", &id[..], address, address].concat()),
        (7, [&id[..], address, b"\0\0\0\0\x02hi"].concat()),
        (0x112, [&id[..], address].concat()),
        (0x113, [b"\0", &id[..], address].concat()),
    ] {
        let error = read(&frame(command, 0, 1, &body)).unwrap_err();
        assert_eq!(error, DecodeError::MessageIdTooLong(256), "{command:#x}");
        assert_eq!(error.status(), CommandStatus::INVALID_MESSAGE_ID);
    }
}

#[test]
fn ids_that_are_no_utf8_keep_their_octets() {
    let (pdu, _) = read(&frame(SUBMIT_RESP, 0, 1, b"A\xff\xfe7\0")).unwrap();
    let id = pdu.body.message_id().unwrap();
    assert_eq!(id.as_bytes(), b"A\xff\xfe7");
    assert_eq!(message_id::canonical(id.as_bytes()), "A\\xff\\xfe7");
    assert_eq!(&message_id::octets("A\\xff\\xfe7").unwrap(), id);
}

#[test]
fn submit_multi_says_what_is_wrong_with_its_destinations() {
    let up_to_count = b"\0\x05\0Acme\0";
    let error = read(&frame(0x21, 0, 1, &[&up_to_count[..], b"\x01\x03"].concat())).unwrap_err();
    assert_eq!(
        (error, error.status()),
        (
            DecodeError::DestinationFlag(3),
            CommandStatus::INVALID_DESTINATION_FLAG
        )
    );
    let error = read(&frame(
        0x21,
        0,
        1,
        &[&up_to_count[..], b"\xFF\x02friends\0"].concat(),
    ))
    .unwrap_err();
    assert_eq!(error, DecodeError::MissingField("dest_flag"));
}

#[test]
fn a_list_of_the_unsuccessful_that_ends_early_keeps_what_is_there() {
    let one = b"\x01\x0149170\0\0\0\0\x0B";
    for (count, tail, kept, expected) in [
        (1_u8, &b""[..], 1, vec![]),
        (3, b"", 1, vec![Tolerated::TruncatedList]),
        (
            2,
            b"\x01\x01491\0\0\0",
            1,
            vec![Tolerated::UnterminatedString, Tolerated::TruncatedList],
        ),
    ] {
        let bytes = frame(0x8000_0021, 0, 1, &[b"A7\0", &[count][..], one, tail].concat());
        let (pdu, quirks) = read(&bytes).unwrap();
        let Body::SubmitMultiResp(resp) = &pdu.body else {
            panic!("{pdu:?}")
        };
        assert_eq!(
            (resp.message_id.as_bytes(), resp.unsuccess.len()),
            (&b"A7"[..], kept)
        );
        assert_eq!(resp.unsuccess[0].status, CommandStatus::INVALID_DESTINATION);
        let expected = expected
            .into_iter()
            .filter(|quirk| *quirk != Tolerated::UnterminatedString)
            .collect::<Vec<_>>();
        assert_eq!(
            quirks
                .iter()
                .filter(|quirk| *quirk != Tolerated::UnterminatedString)
                .collect::<Vec<_>>(),
            expected,
            "{count}"
        );
    }
}

#[test]
fn quirk_39_alphanumeric_and_odd_addresses_pass_as_they_are() {
    for (ton, npi, value) in [
        (5_u8, 0_u8, &b"Acme"[..]),
        (5, 1, b"12345"),
        (3, 9, b"12345"),
        (6, 0, b"123"),
        (1, 1, b"+491700000001"),
        (0, 0, b"00491700000001"),
        (5, 0, b"a sender of 20 chars"),
        (0xFF, 0xFF, b"Caf\xe9"),
    ] {
        let bytes = [
            &b"\0"[..],
            &[ton, npi],
            value,
            b"\0\x01\x0149\0",
            &[0; 9],
            b"\x02hi",
        ]
        .concat();
        for id in [SUBMIT, DELIVER] {
            let (pdu, quirks) = read(&frame(id, 0, 1, &bytes)).unwrap();
            let source = &message(&pdu).source;
            assert_eq!(
                (source.ton, source.npi, source.value.as_bytes()),
                (ton, npi, value)
            );
            assert!(quirks.is_empty());
        }
    }
}

#[test]
fn quirk_40_a_time_in_no_known_form_is_taken_and_named() {
    for (time, expected) in [
        (&b""[..], vec![]),
        (b"261121080000000+", vec![]),
        (b"000000001000000R", vec![]),
        (b"2611210800", vec![Tolerated::TimeForm]),
        (b"261121080000000+0", vec![Tolerated::OverlongString]),
    ] {
        let bytes = [
            &b"\0\0\0\0\x01\x0149\0\0\0\0\0"[..],
            time,
            b"\0",
            &[0; 4],
            b"\x02hi",
        ]
        .concat();
        let (pdu, quirks) = read(&frame(SUBMIT, 0, 1, &bytes)).unwrap();
        assert_eq!(message(&pdu).validity_period.as_bytes(), time);
        assert_eq!(quirks.iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn quirk_42_a_service_type_of_a_product_code_is_taken_whole() {
    let bytes = [&b"PRODUCT-4711\0\0\0\0\x01\x0149\0"[..], &[0; 9], b"\x02hi"].concat();
    let (pdu, quirks) = read(&frame(SUBMIT, 0, 1, &bytes)).unwrap();
    assert_eq!(message(&pdu).service_type.as_bytes(), b"PRODUCT-4711");
    assert_eq!(quirks.iter().collect::<Vec<_>>(), [Tolerated::OverlongString]);
}

#[test]
fn quirk_38_a_header_without_its_indicator_is_left_in_the_text() {
    let (pdu, quirks) = read(&frame(DELIVER, 0, 1, &body(&[b"\x08\x05\0\x03\x41\x02\x01hi"]))).unwrap();
    assert_eq!(message(&pdu).short_message, &b"\x05\0\x03\x41\x02\x01hi"[..]);
    assert!(quirks.is_empty(), "the text layer's to judge");
}
