//! submit_multi, data_sm, outbind, versions and congestion_state at the SMSC's end.

use super::*;
use crate::{congestion::Congestion, pdu::Unsuccess, samples::multi, tlv::tag};

fn bound_as(version: u8, kind: BindKind) -> Bench {
    let mut bench = Bench::new(SmscConfig {
        interface_version: Some(0x50),
        ..config()
    });
    bench.receive(CommandStatus::OK, 1, &bind(kind, version));
    bench.command(SmscCommand::AcceptBind { window: None });
    let _ = bench.events();
    bench
}

#[test]
fn submit_multi_is_handed_up_and_answered_with_those_that_were_not_taken() {
    let mut bench = Bench::bound(config(), BindKind::Transmitter);
    bench.receive(CommandStatus::OK, 4, &Body::SubmitMulti(multi()));
    let events = bench.events();
    assert!(
        matches!(&events[..], [SmscEvent::SubmitMulti { sequence: 4, message }] if *message == multi()),
        "{events:?}"
    );
    let unsuccess = vec![Unsuccess {
        address: crate::Address::international("491700000001").expect("no NUL"),
        status: CommandStatus::INVALID_DESTINATION,
    }];
    let answer = |status| SmscCommand::AnswerMulti {
        sequence: 4,
        status,
        message_id: COctets::until_nul(b"A7"),
        unsuccess: unsuccess.clone(),
    };
    bench.command(answer(CommandStatus::OK));
    let expected = SubmitMultiResp {
        message_id: COctets::until_nul(b"A7"),
        unsuccess: unsuccess.clone(),
        tlvs: Tlvs::new(),
    };
    assert_eq!(bench.sent(), [Pdu::new(4, Body::SubmitMultiResp(expected))]);
    bench.receive(CommandStatus::OK, 5, &Body::SubmitMulti(multi()));
    let _ = bench.events();
    bench.command(SmscCommand::AnswerMulti {
        sequence: 5,
        status: CommandStatus::SUBMIT_FAILED,
        message_id: COctets::until_nul(b"A8"),
        unsuccess: unsuccess.clone(),
    });
    let refused = Body::SubmitMultiResp(SubmitMultiResp::default());
    assert_eq!(
        bench.sent(),
        [Pdu::answer(5, CommandStatus::SUBMIT_FAILED, refused)]
    );
}

#[test]
fn data_sm_goes_down_within_the_same_window_and_either_answer_counts() {
    let mut bench = Bench::bound(
        SmscConfig {
            window: 2,
            ..config()
        },
        BindKind::Receiver,
    );
    for (tag, data) in [(1, true), (2, false), (3, true)] {
        let message = message();
        bench.command(if data {
            SmscCommand::DeliverData { tag, message }
        } else {
            SmscCommand::Deliver { tag, message }
        });
    }
    let why = Refusal::WindowFull;
    assert_eq!(bench.events(), [SmscEvent::NotSent { tag: 3, why }]);
    let sent = bench.sent();
    bench.receive(
        CommandStatus::OK,
        sent[0].sequence,
        &Body::DeliverSmResp(MessageResp::default()),
    );
    bench.receive(
        CommandStatus::OK,
        sent[1].sequence,
        &Body::DataSmResp(MessageResp::default()),
    );
    let answered: Vec<u64> = bench
        .events()
        .iter()
        .filter_map(|event| match event {
            SmscEvent::DeliverAnswered { tag, .. } => Some(*tag),
            _ => None,
        })
        .collect();
    assert_eq!(answered, [1, 2]);
    assert_eq!(bench.session.held(), Held::default());
}

#[test]
fn an_answer_that_no_delivery_can_have_leaves_it_waiting() {
    let mut bench = Bench::bound(config(), BindKind::Receiver);
    bench.command(SmscCommand::Deliver {
        tag: 1,
        message: message(),
    });
    let sequence = bench.sent()[0].sequence;
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(resp("A")));
    assert!(matches!(bench.events()[..], [SmscEvent::Unmatched { .. }]));
    assert_eq!(bench.session.outstanding(), 1);
}

#[test]
fn an_outbind_asks_for_a_bind_which_then_follows() {
    let now = Instant::now();
    let secret = Password::try_new(b"secret").expect("no NUL");
    let name = COctets::until_nul(b"SMSC");
    let session = SmscSession::outbind(config(), name.clone(), secret.clone(), now).expect("fits");
    let mut bench = Bench { session, now };
    let outbind = Body::Outbind {
        system_id: name.clone(),
        password: secret.clone(),
    };
    assert_eq!(bench.sent(), [Pdu::new(1, outbind)]);
    bench.receive(CommandStatus::OK, 9, &bind(BindKind::Receiver, 0x34));
    assert!(matches!(bench.events()[..], [SmscEvent::BindRequested { .. }]));
    bench.command(SmscCommand::AcceptBind { window: None });
    assert_eq!(bench.session.bind_kind(), Some(BindKind::Receiver));

    let session = SmscSession::outbind(config(), name, secret, now).expect("fits");
    let mut bench = Bench { session, now };
    bench.pass(secs(30));
    let closed = SmscEvent::Closed {
        cause: CloseCause::BindTimeout,
        in_doubt: vec![],
    };
    assert_eq!(bench.events(), [closed]);
    let long = COctets::until_nul(&[b'x'; 100_000]);
    assert!(SmscSession::outbind(config(), long, Password::default(), now).is_err());
}

#[test]
fn the_lower_version_is_spoken_and_3_3_gets_no_tlvs() {
    use Version::{V3_3, V3_4, V5_0};
    for (ours, theirs, spoken) in [
        (Some(0x50), 0x33, V3_3),
        (Some(0x50), 0x34, V3_4),
        (Some(0x50), 0x50, V5_0),
        (Some(0x34), 0x50, V3_4),
        (None, 0x50, V3_4),
        (Some(0x33), 0x34, V3_3),
    ] {
        let mut bench = Bench::new(SmscConfig {
            interface_version: ours,
            ..config()
        });
        bench.receive(CommandStatus::OK, 1, &bind(BindKind::Receiver, theirs));
        bench.command(SmscCommand::AcceptBind { window: None });
        assert_eq!(bench.session.version(), spoken, "{ours:?} {theirs:#x}");
        let sent = bench.sent();
        // Who speaks 3.3 says so by saying nothing.
        let told = ours.filter(|_| spoken != V3_3);
        assert!(
            matches!(&sent[..], [Pdu { body: Body::BindResp(_, resp), .. }] if crate::decode::interface_version(&resp.tlvs) == told),
            "{ours:?} {theirs:#x} {sent:?}"
        );
    }
    let mut bench = bound_as(0x33, BindKind::Receiver);
    let _ = bench.sent();
    let mut receipt = message();
    receipt
        .tlvs
        .push(tag::RECEIPTED_MESSAGE_ID, b"A7\0")
        .expect("short");
    bench.command(SmscCommand::Deliver {
        tag: 1,
        message: receipt,
    });
    let sent = bench.sent();
    assert!(
        matches!(&sent[..], [Pdu { body: Body::DeliverSm(told), .. }] if told.tlvs.is_empty()),
        "{sent:?}"
    );
    assert!(matches!(
        bench.events()[..],
        [SmscEvent::Adapted { tag: Some(1), .. }]
    ));
}

#[test]
fn congestion_is_told_in_every_answer_to_clients_of_5_0() {
    for (version, told) in [(0x34, None), (0x50, Some(Congestion::new(90)))] {
        let mut bench = bound_as(version, BindKind::Transceiver);
        bench.command(SmscCommand::Congestion(Some(Congestion::new(90))));
        let _ = bench.sent();
        bench.receive(CommandStatus::OK, 2, &Body::SubmitSm(message()));
        bench.command(SmscCommand::AnswerSubmit {
            sequence: 2,
            status: CommandStatus::OK,
            message_id: COctets::until_nul(b"A"),
        });
        bench.receive(CommandStatus::OK, 3, &Body::EnquireLink);
        let seen: Vec<_> = bench
            .sent()
            .iter()
            .map(|pdu| match &pdu.body {
                Body::SubmitSmResp(resp) => Congestion::of(&resp.tlvs),
                Body::EnquireLinkResp(tlvs) => Congestion::of(tlvs),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seen, [told, told], "{version:#x}");
    }
}
