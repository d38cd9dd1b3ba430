//! Both writers against each other, against rusmpp's own decoder and against ours; and how fast they are.

use super::*;
use crate::{
    decode::decode,
    framer::Framer,
    password::Password,
    pdu::{AlertNotification, CancelSm, Pdu, QuerySm, QuerySmResp, ReplaceSm},
    tolerated::ToleratedSet,
};
use bytes::Bytes;
use proptest::prelude::*;
use rusmpp_core::decode::borrowed::DecodeWithLength;

fn octets(max: usize) -> impl Strategy<Value = COctets> {
    prop::collection::vec(1u8..0x80, 0..=max).prop_map(|bytes| COctets::try_new(&bytes).expect("no NUL"))
}

fn times() -> impl Strategy<Value = COctets> {
    prop_oneof![
        Just(COctets::new()),
        prop::collection::vec(b'0'..=b'9', 16).prop_map(|bytes| COctets::until_nul(&bytes))
    ]
}

fn addresses(max: usize) -> impl Strategy<Value = Address> {
    (any::<u8>(), any::<u8>(), octets(max)).prop_map(|(ton, npi, value)| Address { ton, npi, value })
}

fn tlv_lists(max: usize) -> impl Strategy<Value = Tlvs> {
    prop::collection::vec(
        (0x1400u16..0x3FFF, prop::collection::vec(any::<u8>(), 0..30)),
        0..=max,
    )
    .prop_map(|items| {
        let mut tlvs = Tlvs::new();
        for (tag, value) in items {
            tlvs.push(tag, &value).expect("short");
        }
        tlvs
    })
}

fn messages() -> impl Strategy<Value = ShortMessage> {
    let flags = (any::<[u8; 5]>(), any::<u8>(), any::<u8>());
    (
        octets(5),
        addresses(20),
        addresses(20),
        flags,
        times(),
        times(),
        prop::collection::vec(any::<u8>(), 0..=254),
        tlv_lists(6),
    )
        .prop_map(
            |(
                service_type,
                source,
                destination,
                (octet, registered, coding),
                schedule,
                validity,
                text,
                tlvs,
            )| {
                let [
                    esm_class,
                    protocol_id,
                    priority_flag,
                    replace_if_present,
                    sm_default_msg_id,
                ] = octet;
                ShortMessage {
                    service_type,
                    source,
                    destination,
                    esm_class,
                    protocol_id,
                    priority_flag,
                    schedule_delivery_time: schedule,
                    validity_period: validity,
                    registered_delivery: registered,
                    replace_if_present,
                    data_coding: coding,
                    sm_default_msg_id,
                    short_message: Bytes::from(text),
                    tlvs,
                }
            },
        )
}

fn data_messages() -> impl Strategy<Value = ShortMessage> {
    messages().prop_map(|message| ShortMessage {
        protocol_id: 0,
        priority_flag: 0,
        schedule_delivery_time: COctets::new(),
        validity_period: COctets::new(),
        replace_if_present: 0,
        sm_default_msg_id: 0,
        short_message: Bytes::new(),
        ..message
    })
}

fn bodies() -> impl Strategy<Value = Body> {
    let kinds = || {
        prop::sample::select(vec![
            BindKind::Transmitter,
            BindKind::Receiver,
            BindKind::Transceiver,
        ])
    };
    let resp = || (octets(64), tlv_lists(4)).prop_map(|(message_id, tlvs)| MessageResp { message_id, tlvs });
    let secret = || octets(8).prop_map(Password::from_octets);
    prop_oneof![
        messages().prop_map(Body::SubmitSm),
        messages().prop_map(Body::DeliverSm),
        data_messages().prop_map(Body::DataSm),
        resp().prop_map(Body::SubmitSmResp),
        resp().prop_map(Body::DeliverSmResp),
        resp().prop_map(Body::DataSmResp),
        (
            kinds(),
            octets(15),
            secret(),
            octets(12),
            any::<u8>(),
            addresses(40)
        )
            .prop_map(
                |(kind, system_id, password, system_type, interface_version, address_range)| {
                    Body::Bind(
                        kind,
                        Bind {
                            system_id,
                            password,
                            system_type,
                            interface_version,
                            address_range,
                        },
                    )
                }
            ),
        (kinds(), octets(15), prop::option::of(any::<u8>())).prop_map(|(kind, system_id, version)| {
            Body::BindResp(
                kind,
                BindResp {
                    system_id,
                    tlvs: version_tlv(version),
                },
            )
        }),
        (octets(15), secret()).prop_map(|(system_id, password)| Body::Outbind { system_id, password }),
        (octets(64), addresses(20))
            .prop_map(|(message_id, source)| Body::QuerySm(QuerySm { message_id, source })),
        (octets(64), times(), any::<u8>(), any::<u8>()).prop_map(
            |(message_id, final_date, message_state, error_code)| {
                Body::QuerySmResp(QuerySmResp {
                    message_id,
                    final_date,
                    message_state,
                    error_code,
                    tlvs: Tlvs::new(),
                })
            }
        ),
        (octets(5), octets(64), addresses(20), addresses(20)).prop_map(
            |(service_type, message_id, source, destination)| {
                Body::CancelSm(CancelSm {
                    service_type,
                    message_id,
                    source,
                    destination,
                })
            }
        ),
        messages().prop_map(|message| Body::ReplaceSm(ReplaceSm {
            message_id: message.service_type,
            source: message.source,
            schedule_delivery_time: message.schedule_delivery_time,
            validity_period: message.validity_period,
            registered_delivery: message.registered_delivery,
            sm_default_msg_id: message.sm_default_msg_id,
            short_message: message.short_message,
            tlvs: Tlvs::new(),
        })),
        (addresses(64), addresses(64)).prop_map(|(source, esme)| Body::AlertNotification(
            AlertNotification {
                source,
                esme,
                tlvs: Tlvs::new()
            }
        )),
        prop::sample::select(vec![
            Body::Unbind,
            Body::UnbindResp,
            Body::EnquireLink,
            Body::EnquireLinkResp(Tlvs::new()),
            Body::GenericNack,
            Body::CancelSmResp(Tlvs::new()),
            Body::ReplaceSmResp(Tlvs::new()),
        ]),
    ]
}

fn written(body: &Body, sequence: u32) -> BytesMut {
    let mut out = BytesMut::new();
    encode(CommandStatus::OK, sequence, body, &mut out).expect("fits");
    out
}

fn read(bytes: &[u8]) -> (Pdu, ToleratedSet) {
    let mut framer = Framer::new(100_000);
    framer.push(bytes);
    let frame = framer.next_frame().expect("in step").expect("whole");
    decode(&frame).expect("decodes")
}

proptest! {
    #[test]
    fn both_writers_give_the_same_bytes_and_both_decoders_read_them(body in bodies(), sequence in 1u32..0x7FFF_FFFF) {
        prop_assert!(strict(Version::V3_4, CommandStatus::OK, &body).is_some(), "rusmpp takes what the specification allows");
        let bytes = written(&body, sequence);
        let mut wide = BytesMut::new();
        wide::encode(Version::V3_4, CommandStatus::OK, sequence, &body, &mut wide).expect("fits");
        prop_assert_eq!(&bytes, &wide);

        let (pdu, quirks) = read(&bytes);
        prop_assert_eq!(pdu, Pdu::new(sequence, body.clone()));
        prop_assert_eq!(quirks, ToleratedSet::NONE);

        let rest = &bytes[4..];
        let (command, size) = Command::<'_, 16>::decode(rest, rest.len()).expect("rusmpp decodes");
        prop_assert_eq!(size, rest.len());
        prop_assert_eq!(command.id(), body.command_id());
        prop_assert_eq!(command.sequence_number, sequence);
    }

    #[test]
    fn error_answers_without_an_id_have_no_body(status in 1u32..0x500) {
        for body in [Body::SubmitSmResp(MessageResp::default()), Body::DataSmResp(MessageResp::default()), Body::BindResp(BindKind::Transceiver, BindResp::default())] {
            let mut out = BytesMut::new();
            encode(CommandStatus(status), 1, &body, &mut out).expect("fits");
            prop_assert_eq!(out.len(), 16);
            let (pdu, quirks) = read(&out);
            prop_assert_eq!(pdu, Pdu::answer(1, CommandStatus(status), body));
            prop_assert!(quirks.is_empty());
        }
    }
}

#[test]
fn what_rusmpp_refuses_goes_the_wide_way_and_comes_back() {
    let mut many = ShortMessage::default();
    for tag in 0..20 {
        many.tlvs.push(0x1400 + tag, &[1]).expect("short");
    }
    let latin = ShortMessage {
        source: Address::alphanumeric(b"Caf\xe9").expect("no NUL"),
        ..ShortMessage::default()
    };
    let time = ShortMessage {
        validity_period: COctets::until_nul(b"2611210800"),
        ..ShortMessage::default()
    };
    let bind = Bind {
        system_id: COctets::until_nul(b"longer-than-fifteen"),
        password: Password::try_new(b"longer-than-eight").expect("no NUL"),
        interface_version: 0x34,
        ..Bind::default()
    };
    for body in [
        Body::SubmitSm(many),
        Body::SubmitSm(latin),
        Body::DeliverSm(time),
        Body::Bind(BindKind::Transceiver, bind),
    ] {
        assert!(
            strict(Version::V3_4, CommandStatus::OK, &body).is_none(),
            "{body:?}"
        );
        assert_eq!(read(&written(&body, 9)).0, Pdu::new(9, body));
    }
}

#[test]
fn data_sm_carries_its_text_in_message_payload() {
    let message = ShortMessage {
        short_message: Bytes::from_static(b"Hello"),
        ..ShortMessage::default()
    };
    let (pdu, _) = read(&written(&Body::DataSm(message), 1));
    let Body::DataSm(read) = pdu.body else {
        panic!("{pdu:?}")
    };
    assert_eq!((read.payload(), read.short_message.len()), (&b"Hello"[..], 0));
}

#[test]
fn nothing_is_appended_when_a_pdu_does_not_fit() {
    let mut out = BytesMut::from(&b"before"[..]);
    let text = ShortMessage {
        short_message: Bytes::from(vec![0; 256]),
        ..ShortMessage::default()
    };
    assert_eq!(
        encode(CommandStatus::OK, 1, &Body::SubmitSm(text), &mut out),
        Err(EncodeError::MessageTooLong(256))
    );
    let id = MessageResp {
        message_id: COctets::until_nul(&[b'a'; 300]),
        tlvs: Tlvs::new(),
    };
    let error = encode(CommandStatus::OK, 1, &Body::SubmitSmResp(id), &mut out);
    assert_eq!(
        error,
        Err(EncodeError::StringTooLong {
            field: "message_id",
            len: 300
        })
    );
    assert_eq!(&out[..], b"before");
}
