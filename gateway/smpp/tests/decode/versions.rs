//! What goes to a peer of an older version, and what is told about it.

use crate::{
    every_pdu::{bodies, octets},
    read_as,
    samples::{samples, text, tlvs},
};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use smsgw_smpp::{
    Body, COctets, CommandStatus, ShortMessage, Tolerated, Version,
    encode::{Adapted, EncodeError, encode_as},
    pdu::{BindResp, MessageResp, QuerySmResp},
    tlv::{definition, tag},
};

fn write(version: Version, body: &Body) -> Result<(Body, Adapted), EncodeError> {
    let mut out = BytesMut::new();
    let adapted = encode_as(version, CommandStatus::OK, 1, body, &mut out)?;
    let (pdu, quirks) = read_as(version, &out).unwrap();
    assert!(!quirks.contains(Tolerated::TlvFromOldVersion));
    Ok((pdu.body, adapted))
}

fn with_tlvs(short_message: &'static [u8], list: &[(u16, &[u8])]) -> Body {
    Body::SubmitSm(ShortMessage {
        short_message: Bytes::from_static(short_message),
        tlvs: tlvs(list),
        ..ShortMessage::default()
    })
}

#[test]
fn an_operation_that_came_later_is_not_written() {
    for (version, without) in [
        (
            Version::V3_3,
            &[
                "transceiver",
                "outbind",
                "data_sm",
                "alert_notification",
                "broadcast",
            ][..],
        ),
        (Version::V3_4, &["broadcast"]),
        (Version::V5_0, &[]),
    ] {
        for (name, status, body) in samples() {
            let mut out = BytesMut::from(&b"before"[..]);
            let written = encode_as(version, status, 1, &body, &mut out);
            if without.iter().any(|part| name.contains(part)) {
                let command_id = body.command_id().into();
                assert_eq!(
                    written,
                    Err(EncodeError::NotInVersion { command_id, version }),
                    "{name}"
                );
                assert_eq!(&out[..], b"before", "{name}");
            } else {
                assert!(written.is_ok(), "{name} {version}: {written:?}");
            }
        }
    }
}

#[test]
fn tlvs_are_left_out_for_3_3_and_told() {
    let body = with_tlvs(
        b"hi",
        &[
            (tag::USER_MESSAGE_REFERENCE, &[0, 1]),
            (0x1401, b"x"),
            (0xF000, b""),
        ],
    );
    let (read, adapted) = write(Version::V3_3, &body).unwrap();
    assert_eq!(read, with_tlvs(b"hi", &[]));
    assert_eq!(adapted.dropped, [tag::USER_MESSAGE_REFERENCE, 0x1401, 0xF000]);
    let (read, adapted) = write(Version::V3_4, &body).unwrap();
    assert_eq!((read, adapted.is_nothing()), (body, true));
}

#[test]
fn tlvs_of_5_0_are_left_out_for_3_4_and_the_rest_stays_in_order() {
    let resp = |list: &[(u16, &[u8])]| {
        Body::SubmitSmResp(MessageResp {
            message_id: text("A7"),
            tlvs: tlvs(list),
        })
    };
    let body = resp(&[
        (0x1401, b"x"),
        (tag::CONGESTION_STATE, &[80]),
        (tag::DPF_RESULT, &[1]),
    ]);
    assert_eq!(body.congestion_state(), Some(80));
    let (read, adapted) = write(Version::V3_4, &body).unwrap();
    assert_eq!(read, resp(&[(0x1401, b"x"), (tag::DPF_RESULT, &[1])]));
    assert_eq!(adapted.dropped, [tag::CONGESTION_STATE]);
    let (read, adapted) = write(Version::V5_0, &body).unwrap();
    assert_eq!((read, adapted.is_nothing()), (body, true));
}

#[test]
fn congestion_state_rides_on_answers_without_fields() {
    for state in [0, 99, 100, 255] {
        let body = Body::EnquireLinkResp(tlvs(&[(tag::CONGESTION_STATE, &[state])]));
        let (read, _) = write(Version::V5_0, &body).unwrap();
        assert_eq!(read.congestion_state(), Some(state.min(100)));
        let (read, adapted) = write(Version::V3_4, &body).unwrap();
        assert_eq!((read.congestion_state(), adapted.dropped.len()), (None, 1));
    }
}

#[test]
fn a_payload_moves_into_short_message_for_3_3_or_is_refused() {
    let (read, adapted) = write(
        Version::V3_3,
        &with_tlvs(b"", &[(tag::MESSAGE_PAYLOAD, b"Hello")]),
    )
    .unwrap();
    assert_eq!(read, with_tlvs(b"Hello", &[]));
    assert!(adapted.payload_moved && adapted.dropped.is_empty());
    let long = with_tlvs(b"", &[(tag::MESSAGE_PAYLOAD, &[b'x'; 255])]);
    assert_eq!(write(Version::V3_3, &long), Err(EncodeError::MessageTooLong(255)));
    let both = with_tlvs(b"hi", &[(tag::MESSAGE_PAYLOAD, b"Hello")]);
    assert!(matches!(
        write(Version::V3_3, &both),
        Err(EncodeError::NeedsTlv { .. })
    ));
}

#[test]
fn a_part_or_a_port_is_never_silently_made_another_message() {
    for needed in [
        tag::SAR_MSG_REF_NUM,
        tag::SAR_TOTAL_SEGMENTS,
        tag::SAR_SEGMENT_SEQNUM,
        tag::SOURCE_PORT,
        tag::DESTINATION_PORT,
    ] {
        let body = with_tlvs(b"hi", &[(needed, &[1])]);
        let version = Version::V3_3;
        assert_eq!(
            write(version, &body),
            Err(EncodeError::NeedsTlv { tag: needed, version })
        );
    }
}

#[test]
fn lengths_follow_the_version() {
    let message = |len| {
        Body::SubmitSm(ShortMessage {
            short_message: vec![b'x'; len].into(),
            ..ShortMessage::default()
        })
    };
    for version in Version::ALL {
        let most = version.short_message_max();
        assert!(write(version, &message(most)).is_ok());
        assert_eq!(
            write(version, &message(most + 1)),
            Err(EncodeError::MessageTooLong(most + 1))
        );
        for (len, told) in [
            (8, None),
            (64, (version == Version::V3_3).then_some(64)),
            (65, Some(65)),
        ] {
            let body = Body::SubmitSmResp(MessageResp {
                message_id: COctets::try_new(&vec![b'7'; len]).unwrap(),
                ..MessageResp::default()
            });
            let (read, adapted) = write(version, &body).unwrap();
            assert_eq!(
                (read, adapted.long_message_id),
                (body, told),
                "never cut: {version} {len}"
            );
        }
    }
}

#[test]
fn states_and_statuses_of_5_0_become_the_nearest_older_ones() {
    let resp = |message_state| {
        Body::QuerySmResp(QuerySmResp {
            message_id: text("A7"),
            message_state,
            ..QuerySmResp::default()
        })
    };
    for (state, older) in [(0, 1), (9, 5)] {
        let (read, adapted) = write(Version::V3_4, &resp(state)).unwrap();
        assert_eq!((read, adapted.message_state), (resp(older), Some(state)));
        let (read, adapted) = write(Version::V5_0, &resp(state)).unwrap();
        assert_eq!((read, adapted.message_state), (resp(state), None));
    }
    let mut out = BytesMut::new();
    let status = CommandStatus::SERVICE_TYPE_DENIED;
    let body = Body::SubmitSmResp(MessageResp::default());
    let adapted = encode_as(Version::V3_4, status, 1, &body, &mut out).unwrap();
    assert_eq!(adapted.status, Some(status));
    assert_eq!(
        read_as(Version::V3_4, &out).unwrap().0.status,
        CommandStatus::INVALID_SERVICE_TYPE
    );
}

#[test]
fn an_error_answer_has_no_body_in_3_4_and_empty_fields_elsewhere() {
    let bodies = [
        Body::SubmitSmResp(MessageResp::default()),
        Body::BindResp(smsgw_smpp::BindKind::Transmitter, BindResp::default()),
    ];
    for body in bodies {
        for (version, len) in [(Version::V3_3, 17), (Version::V3_4, 16), (Version::V5_0, 17)] {
            let mut out = BytesMut::new();
            encode_as(version, CommandStatus::SYSTEM_ERROR, 1, &body, &mut out).unwrap();
            assert_eq!(out.len(), len, "{version}");
            let (pdu, quirks) = read_as(version, &out).unwrap();
            assert_eq!((pdu.body, quirks.is_empty()), (body.clone(), true), "{version}");
        }
    }
}

#[test]
fn tlvs_from_a_3_3_peer_are_read_and_named() {
    let body = with_tlvs(b"hi", &[(tag::USER_MESSAGE_REFERENCE, &[0, 1])]);
    let mut out = BytesMut::new();
    encode_as(Version::V3_4, CommandStatus::OK, 1, &body, &mut out).unwrap();
    let (pdu, quirks) = read_as(Version::V3_3, &out).unwrap();
    assert_eq!(pdu.body, body);
    assert_eq!(quirks.iter().collect::<Vec<_>>(), [Tolerated::TlvFromOldVersion]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_version_is_told_what_it_does_not_know_and_nothing_vanishes(
        body in bodies(), version in prop::sample::select(Version::ALL.to_vec()), id in octets(70),
    ) {
        let body = match body {
            Body::SubmitSmResp(resp) => Body::SubmitSmResp(MessageResp { message_id: id, ..resp }),
            other => other,
        };
        let mut out = BytesMut::new();
        let adapted = match encode_as(version, CommandStatus::OK, 1, &body, &mut out) {
            Ok(adapted) => adapted,
            Err(error) => {
                prop_assert!(out.is_empty());
                prop_assert!(version != Version::V5_0 || !version.has(&body), "{}", error);
                return Ok(());
            }
        };
        prop_assert!(version.has(&body));
        let (pdu, _) = read_as(version, &out).unwrap();
        let before: Vec<_> = body.tlvs().into_iter().flatten().map(|tlv| (tlv.tag, tlv.value.len())).collect();
        let after: Vec<_> = pdu.body.tlvs().into_iter().flatten().map(|tlv| (tlv.tag, tlv.value.len())).collect();
        for (tag, _) in &after {
            prop_assert!(version != Version::V3_3);
            prop_assert!(definition(*tag).is_none_or(|known| known.since <= version));
        }
        let lost: Vec<_> = before.iter().filter(|tlv| !after.contains(tlv)).map(|(tag, _)| *tag)
            .filter(|tag| !(adapted.payload_moved && *tag == tag::MESSAGE_PAYLOAD)).collect();
        prop_assert_eq!(lost, adapted.dropped);
        prop_assert_eq!(pdu.body.message_id(), body.message_id(), "ids are never cut");
    }
}
