//! One PDU of each kind, as `ops/peers/vectors.json` lists them for the packages that are not ours.

use bytes::Bytes;
use smsgw_smpp::{
    Address, BindKind, Body, COctets, CommandStatus, Password, ShortMessage, Tlvs,
    pdu::{
        AlertNotification, Bind, BindResp, BroadcastSm, CancelBroadcastSm, CancelSm, Destination,
        MessageResp, QueryBroadcastSm, QuerySm, QuerySmResp, ReplaceSm, SubmitMulti, SubmitMultiResp,
        Unsuccess,
    },
    tlv::tag,
};

pub(crate) fn text(text: &str) -> COctets {
    COctets::try_from(text).unwrap()
}

pub(crate) fn tlvs(list: &[(u16, &[u8])]) -> Tlvs {
    let mut tlvs = Tlvs::new();
    for (tag, value) in list {
        tlvs.push(*tag, value).unwrap();
    }
    tlvs
}

fn address(ton: u8, npi: u8, value: &str) -> Address {
    Address::try_new(ton, npi, value).unwrap()
}

/// Name, status and body. The names are those of the specification.
pub(crate) fn samples() -> Vec<(&'static str, CommandStatus, Body)> {
    let mut samples = links();
    samples.extend(messages());
    samples.extend(broadcasts());
    samples
}

type Sample = (&'static str, CommandStatus, Body);

fn links() -> Vec<Sample> {
    let ok = CommandStatus::OK;
    let bind = |ton, range: &str| Bind {
        system_id: text("esme"),
        password: Password::try_new(b"secret").unwrap(),
        system_type: text("VMS"),
        interface_version: 0x34,
        address_range: address(ton, ton, range),
    };
    let bound = |version| BindResp {
        system_id: text("smsc"),
        tlvs: tlvs(&[(tag::SC_INTERFACE_VERSION, &[version])]),
    };
    let outbind = Body::Outbind {
        system_id: text("smsc"),
        password: Password::try_new(b"secret").unwrap(),
    };
    vec![
        (
            "bind_transmitter",
            ok,
            Body::Bind(BindKind::Transmitter, bind(1, "49")),
        ),
        ("bind_receiver", ok, Body::Bind(BindKind::Receiver, bind(1, "49"))),
        (
            "bind_transceiver",
            ok,
            Body::Bind(BindKind::Transceiver, bind(0, "")),
        ),
        (
            "bind_transmitter_resp",
            ok,
            Body::BindResp(BindKind::Transmitter, bound(0x34)),
        ),
        (
            "bind_receiver_resp",
            ok,
            Body::BindResp(BindKind::Receiver, bound(0x34)),
        ),
        (
            "bind_transceiver_resp",
            ok,
            Body::BindResp(BindKind::Transceiver, bound(0x50)),
        ),
        ("outbind", ok, outbind),
        ("unbind", ok, Body::Unbind),
        ("unbind_resp", ok, Body::UnbindResp),
        ("enquire_link", ok, Body::EnquireLink),
        ("enquire_link_resp", ok, Body::EnquireLinkResp(Tlvs::new())),
        (
            "generic_nack",
            CommandStatus::INVALID_COMMAND_ID,
            Body::GenericNack,
        ),
    ]
}

fn messages() -> Vec<Sample> {
    let ok = CommandStatus::OK;
    let acme = || address(5, 0, "Acme");
    let phone = || address(1, 1, "491700000001");
    let id = || MessageResp {
        message_id: text("0123456789"),
        tlvs: Tlvs::new(),
    };
    let submit = ShortMessage {
        service_type: text("WAP"),
        source: acme(),
        destination: phone(),
        esm_class: 3,
        protocol_id: 0x11,
        priority_flag: 1,
        schedule_delivery_time: text("261121080000000+"),
        validity_period: text("000000001000000R"),
        registered_delivery: 1,
        data_coding: 4,
        short_message: Bytes::from_static(b"Hello\0\xff"),
        tlvs: tlvs(&[(tag::USER_MESSAGE_REFERENCE, &[1, 2])]),
        ..ShortMessage::default()
    };
    let deliver = ShortMessage {
        source: phone(),
        destination: address(3, 0, "12345"),
        esm_class: 4,
        short_message: Bytes::from_static(b"id:0A7 stat:DELIVRD err:000"),
        tlvs: tlvs(&[(tag::MESSAGE_STATE, &[2]), (tag::RECEIPTED_MESSAGE_ID, b"0A7\0")]),
        ..ShortMessage::default()
    };
    let data = ShortMessage {
        source: phone(),
        destination: address(1, 1, "491700000002"),
        registered_delivery: 1,
        data_coding: 4,
        tlvs: tlvs(&[(tag::MESSAGE_PAYLOAD, &[0, 1, 2, 0xFF])]),
        ..ShortMessage::default()
    };
    let queried = QuerySmResp {
        message_id: text("0123456789"),
        final_date: text("261121080000000+"),
        message_state: 2,
        ..QuerySmResp::default()
    };
    let cancel = CancelSm {
        service_type: text("WAP"),
        message_id: text("0123456789"),
        source: acme(),
        destination: phone(),
    };
    let replace = ReplaceSm {
        message_id: text("0123456789"),
        source: acme(),
        validity_period: text("000000001000000R"),
        registered_delivery: 1,
        short_message: Bytes::from_static(b"Bye!"),
        ..ReplaceSm::default()
    };
    let alert = AlertNotification {
        source: phone(),
        esme: address(3, 0, "12345"),
        tlvs: tlvs(&[(tag::MS_AVAILABILITY_STATUS, &[1])]),
    };
    let multi = SubmitMulti {
        source: acme(),
        destinations: vec![Destination::Sme(phone()), Destination::List(text("friends"))],
        registered_delivery: 1,
        data_coding: 4,
        short_message: Bytes::from_static(b"Hello"),
        ..SubmitMulti::default()
    };
    let multi_resp = SubmitMultiResp {
        message_id: text("0123456789"),
        unsuccess: vec![Unsuccess {
            address: phone(),
            status: CommandStatus::INVALID_DESTINATION,
        }],
        tlvs: Tlvs::new(),
    };
    let query = QuerySm {
        message_id: text("0123456789"),
        source: acme(),
    };
    vec![
        ("submit_sm", ok, Body::SubmitSm(submit)),
        ("submit_sm_resp", ok, Body::SubmitSmResp(id())),
        ("deliver_sm", ok, Body::DeliverSm(deliver)),
        ("deliver_sm_resp", ok, Body::DeliverSmResp(MessageResp::default())),
        ("data_sm", ok, Body::DataSm(data)),
        ("data_sm_resp", ok, Body::DataSmResp(id())),
        ("query_sm", ok, Body::QuerySm(query)),
        ("query_sm_resp", ok, Body::QuerySmResp(queried)),
        ("cancel_sm", ok, Body::CancelSm(cancel)),
        ("cancel_sm_resp", ok, Body::CancelSmResp(Tlvs::new())),
        ("replace_sm", ok, Body::ReplaceSm(replace)),
        ("replace_sm_resp", ok, Body::ReplaceSmResp(Tlvs::new())),
        ("alert_notification", ok, Body::AlertNotification(alert)),
        ("submit_multi", ok, Body::SubmitMulti(multi)),
        ("submit_multi_resp", ok, Body::SubmitMultiResp(multi_resp)),
    ]
}

fn broadcasts() -> Vec<Sample> {
    let ok = CommandStatus::OK;
    let acme = || address(5, 0, "Acme");
    let area = &b"\0Madeville"[..];
    let repetitions = (tag::BROADCAST_REP_NUM, &[0, 3][..]);
    let list = [
        (tag::BROADCAST_AREA_IDENTIFIER, area),
        (tag::BROADCAST_CONTENT_TYPE, &[1, 0, 16]),
        repetitions,
        (tag::BROADCAST_FREQUENCY_INTERVAL, &[9, 0, 5]),
        (tag::MESSAGE_PAYLOAD, b"Flood"),
    ];
    let broadcast = |list: &[(u16, &[u8])]| BroadcastSm {
        source: acme(),
        validity_period: text("000000001000000R"),
        data_coding: 4,
        tlvs: tlvs(list),
        ..BroadcastSm::default()
    };
    let once: Vec<_> = list.into_iter().filter(|tlv| *tlv != repetitions).collect();
    let resp = |list: &[(u16, &[u8])]| MessageResp {
        message_id: text("0123456789"),
        tlvs: tlvs(list),
    };
    let query = QueryBroadcastSm {
        message_id: text("0123456789"),
        source: acme(),
        tlvs: Tlvs::new(),
    };
    let queried = resp(&[(tag::MESSAGE_STATE, &[2]), (tag::BROADCAST_AREA_IDENTIFIER, area)]);
    let cancel = CancelBroadcastSm {
        message_id: text("0123456789"),
        source: acme(),
        tlvs: tlvs(&[(tag::BROADCAST_CONTENT_TYPE, &[1, 0, 16])]),
        ..CancelBroadcastSm::default()
    };
    vec![
        ("broadcast_sm", ok, Body::BroadcastSm(broadcast(&once))),
        ("broadcast_sm_repeated", ok, Body::BroadcastSm(broadcast(&list))),
        ("broadcast_sm_resp", ok, Body::BroadcastSmResp(resp(&[]))),
        ("query_broadcast_sm", ok, Body::QueryBroadcastSm(query)),
        ("query_broadcast_sm_resp", ok, Body::QueryBroadcastSmResp(queried)),
        ("cancel_broadcast_sm", ok, Body::CancelBroadcastSm(cancel)),
        (
            "cancel_broadcast_sm_resp",
            ok,
            Body::CancelBroadcastSmResp(Tlvs::new()),
        ),
    ]
}
