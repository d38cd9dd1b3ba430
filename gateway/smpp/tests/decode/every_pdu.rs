//! encode and decode are each other's inverse, for every operation and every TLV.

use crate::read_as;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use smsgw_smpp::{
    Address, BindKind, Body, COctets, CommandId, CommandStatus, Password, Pdu, ShortMessage, Tlvs,
    ToleratedSet, Version,
    encode::{Adapted, encode, encode_as},
    pdu::{
        AlertNotification, Bind, BindResp, BroadcastSm, CancelBroadcastSm, CancelSm, Destination,
        MessageResp, QueryBroadcastSm, QuerySm, QuerySmResp, Raw, ReplaceSm, SubmitMulti, SubmitMultiResp,
        Unsuccess,
    },
    tlv::{Definition, Kind, TABLE},
};

pub(crate) fn octets(max: usize) -> impl Strategy<Value = COctets> + Clone {
    prop::collection::vec(1u8.., 0..=max).prop_map(|bytes| COctets::try_new(&bytes).unwrap())
}

fn times() -> impl Strategy<Value = COctets> {
    prop_oneof![
        Just(COctets::new()),
        prop::collection::vec(1u8.., 16).prop_map(|bytes| COctets::try_new(&bytes).unwrap())
    ]
}

fn addresses(max: usize) -> impl Strategy<Value = Address> + Clone {
    (any::<u8>(), any::<u8>(), octets(max)).prop_map(|(ton, npi, value)| Address { ton, npi, value })
}

fn value(known: &'static Definition) -> BoxedStrategy<Vec<u8>> {
    let (min, max) = (usize::from(known.min), usize::from(known.max).min(300));
    match known.kind {
        Kind::Integer | Kind::Octets => prop::collection::vec(any::<u8>(), min..=max).boxed(),
        Kind::CString => prop::collection::vec(1u8.., min.saturating_sub(1)..=max - 1)
            .prop_map(|mut text| {
                text.push(0);
                text
            })
            .boxed(),
    }
}

/// TLVs that may stand in that PDU, each once, and vendors' between them.
pub(crate) fn tlv_lists(command: CommandId) -> impl Strategy<Value = Tlvs> {
    let allowed: Vec<_> = TABLE.iter().filter(|known| known.stands_in(command)).collect();
    let most = allowed.len().min(10);
    prop::sample::subsequence(allowed, 0..=most)
        .prop_shuffle()
        .prop_flat_map(|known| {
            let known: Vec<_> = known
                .into_iter()
                .map(|known| value(known).prop_map(|value| (known.tag, value)))
                .collect();
            let vendor = (0x1400u16..=0x3FFF, prop::collection::vec(any::<u8>(), 0..40));
            let vendors = prop::collection::vec(vendor, 0..3);
            (known, vendors)
        })
        .prop_map(|(known, vendors)| {
            let mut tlvs = Tlvs::new();
            for (tag, value) in known.iter().chain(&vendors) {
                tlvs.push(*tag, value).unwrap();
            }
            tlvs
        })
}

fn texts() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..=254).prop_map(Bytes::from)
}

fn messages(command: CommandId) -> impl Strategy<Value = ShortMessage> {
    let addresses = (octets(5), addresses(20), addresses(20));
    (
        addresses,
        any::<[u8; 7]>(),
        times(),
        times(),
        texts(),
        tlv_lists(command),
    )
        .prop_map(
            |((service_type, source, destination), flags, schedule, validity, short_message, tlvs)| {
                ShortMessage {
                    service_type,
                    source,
                    destination,
                    esm_class: flags[0],
                    protocol_id: flags[1],
                    priority_flag: flags[2],
                    schedule_delivery_time: schedule,
                    validity_period: validity,
                    registered_delivery: flags[3],
                    replace_if_present: flags[4],
                    data_coding: flags[5],
                    sm_default_msg_id: flags[6],
                    short_message,
                    tlvs,
                }
            },
        )
}

fn data_messages() -> impl Strategy<Value = ShortMessage> {
    (messages(CommandId::DataSm), addresses(64), addresses(64)).prop_map(|(message, source, destination)| {
        ShortMessage {
            service_type: message.service_type,
            source,
            destination,
            esm_class: message.esm_class,
            registered_delivery: message.registered_delivery,
            data_coding: message.data_coding,
            tlvs: message.tlvs,
            ..ShortMessage::default()
        }
    })
}

fn multis() -> impl Strategy<Value = SubmitMulti> {
    let destination = prop_oneof![
        addresses(20).prop_map(Destination::Sme),
        octets(20).prop_map(Destination::List)
    ];
    let destinations = prop_oneof![
        9 => prop::collection::vec(destination.clone(), 0..6),
        1 => prop::collection::vec(destination, 255),
    ];
    (messages(CommandId::SubmitMulti), destinations).prop_map(|(message, destinations)| SubmitMulti {
        service_type: message.service_type,
        source: message.source,
        destinations,
        esm_class: message.esm_class,
        protocol_id: message.protocol_id,
        priority_flag: message.priority_flag,
        schedule_delivery_time: message.schedule_delivery_time,
        validity_period: message.validity_period,
        registered_delivery: message.registered_delivery,
        replace_if_present: message.replace_if_present,
        data_coding: message.data_coding,
        sm_default_msg_id: message.sm_default_msg_id,
        short_message: message.short_message,
        tlvs: message.tlvs,
    })
}

fn resps(command: CommandId) -> impl Strategy<Value = MessageResp> {
    (octets(64), tlv_lists(command)).prop_map(|(message_id, tlvs)| MessageResp { message_id, tlvs })
}

fn binds() -> impl Strategy<Value = Body> {
    let kinds = || {
        prop::sample::select(vec![
            BindKind::Transmitter,
            BindKind::Receiver,
            BindKind::Transceiver,
        ])
    };
    let secrets = || octets(8).prop_map(|secret| Password::try_new(secret.as_bytes()).unwrap());
    let bind = (octets(15), secrets(), octets(12), any::<u8>(), addresses(40)).prop_map(
        |(system_id, password, system_type, interface_version, address_range)| Bind {
            system_id,
            password,
            system_type,
            interface_version,
            address_range,
        },
    );
    prop_oneof![
        (kinds(), bind).prop_map(|(kind, bind)| Body::Bind(kind, bind)),
        (kinds(), octets(15), tlv_lists(CommandId::BindReceiverResp))
            .prop_map(|(kind, system_id, tlvs)| Body::BindResp(kind, BindResp { system_id, tlvs })),
        (octets(15), secrets()).prop_map(|(system_id, password)| Body::Outbind { system_id, password }),
    ]
}

fn queries() -> impl Strategy<Value = Body> {
    let resp = (
        octets(64),
        times(),
        any::<u8>(),
        any::<u8>(),
        tlv_lists(CommandId::QuerySmResp),
    )
        .prop_map(
            |(message_id, final_date, message_state, error_code, tlvs)| QuerySmResp {
                message_id,
                final_date,
                message_state,
                error_code,
                tlvs,
            },
        );
    let replace = (octets(64), messages(CommandId::ReplaceSm)).prop_map(|(message_id, message)| ReplaceSm {
        message_id,
        source: message.source,
        schedule_delivery_time: message.schedule_delivery_time,
        validity_period: message.validity_period,
        registered_delivery: message.registered_delivery,
        sm_default_msg_id: message.sm_default_msg_id,
        short_message: message.short_message,
        tlvs: message.tlvs,
    });
    let cancel = (octets(5), octets(64), addresses(20), addresses(20)).prop_map(
        |(service_type, message_id, source, destination)| CancelSm {
            service_type,
            message_id,
            source,
            destination,
        },
    );
    prop_oneof![
        (octets(64), addresses(20))
            .prop_map(|(message_id, source)| Body::QuerySm(QuerySm { message_id, source })),
        resp.prop_map(Body::QuerySmResp),
        cancel.prop_map(Body::CancelSm),
        tlv_lists(CommandId::CancelSmResp).prop_map(Body::CancelSmResp),
        replace.prop_map(Body::ReplaceSm),
        tlv_lists(CommandId::ReplaceSmResp).prop_map(Body::ReplaceSmResp),
        (
            addresses(64),
            addresses(64),
            tlv_lists(CommandId::AlertNotification)
        )
            .prop_map(|(source, esme, tlvs)| {
                Body::AlertNotification(AlertNotification { source, esme, tlvs })
            }),
    ]
}

fn broadcasts() -> impl Strategy<Value = Body> {
    let broadcast =
        (messages(CommandId::BroadcastSm), octets(64)).prop_map(|(message, message_id)| BroadcastSm {
            service_type: message.service_type,
            source: message.source,
            message_id,
            priority_flag: message.priority_flag,
            schedule_delivery_time: message.schedule_delivery_time,
            validity_period: message.validity_period,
            replace_if_present: message.replace_if_present,
            data_coding: message.data_coding,
            sm_default_msg_id: message.sm_default_msg_id,
            tlvs: message.tlvs,
        });
    let query = (octets(64), addresses(20), tlv_lists(CommandId::QueryBroadcastSm)).prop_map(
        |(message_id, source, tlvs)| QueryBroadcastSm {
            message_id,
            source,
            tlvs,
        },
    );
    let cancel = (
        octets(5),
        octets(64),
        addresses(20),
        tlv_lists(CommandId::CancelBroadcastSm),
    )
        .prop_map(|(service_type, message_id, source, tlvs)| CancelBroadcastSm {
            service_type,
            message_id,
            source,
            tlvs,
        });
    prop_oneof![
        broadcast.prop_map(Body::BroadcastSm),
        resps(CommandId::BroadcastSmResp).prop_map(Body::BroadcastSmResp),
        query.prop_map(Body::QueryBroadcastSm),
        resps(CommandId::QueryBroadcastSmResp).prop_map(Body::QueryBroadcastSmResp),
        cancel.prop_map(Body::CancelBroadcastSm),
        tlv_lists(CommandId::CancelBroadcastSmResp).prop_map(Body::CancelBroadcastSmResp),
    ]
}

fn multi_resps() -> impl Strategy<Value = Body> {
    let unsuccess = || {
        (addresses(20), any::<u32>()).prop_map(|(address, status)| Unsuccess {
            address,
            status: CommandStatus(status),
        })
    };
    let list = prop_oneof![
        9 => prop::collection::vec(unsuccess(), 0..6),
        1 => prop::collection::vec(unsuccess(), 255),
    ];
    (octets(64), list, tlv_lists(CommandId::SubmitMultiResp)).prop_map(|(message_id, unsuccess, tlvs)| {
        Body::SubmitMultiResp(SubmitMultiResp {
            message_id,
            unsuccess,
            tlvs,
        })
    })
}

fn raws() -> impl Strategy<Value = Body> {
    let ids = prop_oneof![
        0x22..=0x24u32,
        0x8000_0022..=0x8000_0024u32,
        0x200..0x8000_0000u32
    ];
    (ids, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(command_id, octets)| {
        Body::Raw(Raw {
            command_id,
            octets: octets.into(),
        })
    })
}

/// Every operation, within the limits of 5.0.
pub(crate) fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        3 => messages(CommandId::SubmitSm).prop_map(Body::SubmitSm),
        3 => messages(CommandId::DeliverSm).prop_map(Body::DeliverSm),
        2 => data_messages().prop_map(Body::DataSm),
        2 => multis().prop_map(Body::SubmitMulti),
        2 => multi_resps(),
        2 => resps(CommandId::SubmitSmResp).prop_map(Body::SubmitSmResp),
        2 => resps(CommandId::DeliverSmResp).prop_map(Body::DeliverSmResp),
        2 => resps(CommandId::DataSmResp).prop_map(Body::DataSmResp),
        3 => binds(),
        7 => queries(),
        6 => broadcasts(),
        1 => tlv_lists(CommandId::EnquireLinkResp).prop_map(Body::EnquireLinkResp),
        1 => prop::sample::select(vec![Body::Unbind, Body::UnbindResp, Body::EnquireLink, Body::GenericNack]),
        1 => raws(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_is_written_is_read_back_without_tolerance(body in bodies(), sequence in 1u32..0x8000_0000) {
        let mut out = BytesMut::new();
        encode(CommandStatus::OK, sequence, &body, &mut out).unwrap();
        let (pdu, quirks) = read_as(Version::V5_0, &out).unwrap();
        prop_assert_eq!(pdu, Pdu::new(sequence, body.clone()));
        prop_assert_eq!(quirks, ToleratedSet::NONE);

        if Version::V5_0.has(&body) {
            let mut again = BytesMut::new();
            let adapted = encode_as(Version::V5_0, CommandStatus::OK, sequence, &body, &mut again).unwrap();
            prop_assert_eq!(adapted, Adapted::default());
            prop_assert_eq!(out, again);
        }
    }
}

#[test]
fn every_tlv_goes_there_and_back_at_its_shortest_and_longest_in_every_pdu_it_may_stand_in() {
    let mut places = 0;
    for (_, status, body) in crate::samples::samples() {
        if body.tlvs().is_none() {
            continue;
        }
        for known in TABLE.iter().filter(|known| known.stands_in(body.command_id())) {
            for len in [known.min, known.max.min(60_000)] {
                let mut value = vec![b'1'; usize::from(len)];
                if let (Kind::CString, Some(last)) = (known.kind, value.last_mut()) {
                    *last = 0;
                }
                let mut body = body.clone();
                *tlvs_mut(&mut body) = crate::samples::tlvs(&[(known.tag, &value)]);
                let mut out = BytesMut::new();
                encode(status, 1, &body, &mut out).unwrap();
                let (pdu, quirks) = read_as(Version::V5_0, &out).unwrap();
                assert_eq!(pdu.body, body, "{}", known.name);
                assert_eq!(quirks, ToleratedSet::NONE, "{}", known.name);
                places += 1;
            }
        }
    }
    assert!(places > 400, "{places}");
}

fn tlvs_mut(body: &mut Body) -> &mut Tlvs {
    match body {
        Body::BindResp(_, resp) => &mut resp.tlvs,
        Body::SubmitSm(message) | Body::DeliverSm(message) | Body::DataSm(message) => &mut message.tlvs,
        Body::SubmitSmResp(resp)
        | Body::DeliverSmResp(resp)
        | Body::DataSmResp(resp)
        | Body::BroadcastSmResp(resp)
        | Body::QueryBroadcastSmResp(resp) => &mut resp.tlvs,
        Body::QuerySmResp(resp) => &mut resp.tlvs,
        Body::EnquireLinkResp(tlvs)
        | Body::CancelSmResp(tlvs)
        | Body::ReplaceSmResp(tlvs)
        | Body::CancelBroadcastSmResp(tlvs) => tlvs,
        Body::ReplaceSm(replace) => &mut replace.tlvs,
        Body::AlertNotification(alert) => &mut alert.tlvs,
        Body::SubmitMulti(message) => &mut message.tlvs,
        Body::SubmitMultiResp(resp) => &mut resp.tlvs,
        Body::BroadcastSm(message) => &mut message.tlvs,
        Body::QueryBroadcastSm(query) => &mut query.tlvs,
        Body::CancelBroadcastSm(cancel) => &mut cancel.tlvs,
        other => panic!("no TLVs in {other:?}"),
    }
}
