//! What both ends speak, outbind, congestion_state, and watching a carrier that says nothing.

use super::*;
use crate::{congestion::Congestion, encode::version_tlv, pdu::DataSm, tlv::tag};

fn bound_to(ours: u8, kind: BindKind, theirs: Option<u8>) -> Bench {
    let mut bench = Bench::new(EsmeConfig {
        bind: kind,
        interface_version: ours,
        ..config()
    });
    let sent = bench.sent();
    let [
        Pdu {
            body: Body::Bind(_, bind),
            ..
        },
    ] = &sent[..]
    else {
        panic!("{sent:?}")
    };
    assert_eq!(bind.interface_version, ours);
    let resp = BindResp {
        system_id: COctets::new(),
        tlvs: version_tlv(theirs),
    };
    bench.receive(CommandStatus::OK, 1, &Body::BindResp(kind, resp));
    bench
}

#[test]
fn the_lower_version_is_spoken_and_none_stated_is_ours() {
    use Version::{V3_3, V3_4, V5_0};
    for (ours, theirs, spoken) in [
        (0x33, None, V3_3),
        (0x34, None, V3_4),
        (0x50, None, V5_0),
        (0x50, Some(0x50), V5_0),
        (0x50, Some(0x34), V3_4),
        (0x34, Some(0x50), V3_4),
        (0x34, Some(0x33), V3_3),
        (0x34, Some(0), V3_3),
    ] {
        let mut bench = bound_to(ours, BindKind::Transmitter, theirs);
        let events = bench.events();
        assert!(
            matches!(events.last(), Some(EsmeEvent::Bound { version, interface_version, .. }) if *version == spoken && *interface_version == theirs),
            "{ours:#x} {theirs:?} {events:?}"
        );
        assert_eq!(bench.session.version(), spoken);
    }
    let bench = bound_to(0x34, BindKind::Transceiver, Some(0x33));
    assert_eq!(bench.session.version(), V3_4, "3.3 has no transceiver");
}

#[test]
fn a_3_3_carrier_gets_no_tlvs_and_nothing_that_needs_them() {
    let mut bench = bound_to(0x34, BindKind::Transmitter, Some(0x33));
    let _ = bench.events();
    let with = |tag, value: &[u8]| {
        let mut message = message();
        message.tlvs.push(tag, value).expect("short");
        message
    };
    bench.command(EsmeCommand::Submit {
        tag: 1,
        message: with(tag::USER_MESSAGE_REFERENCE, &[0, 1]),
    });
    let sent = bench.sent();
    assert!(
        matches!(&sent[..], [Pdu { body: Body::SubmitSm(told), .. }] if told.tlvs.is_empty()),
        "{sent:?}"
    );
    let events = bench.events();
    assert!(
        matches!(&events[..], [EsmeEvent::Adapted { tag: Some(1), adapted, .. }] if adapted.dropped == [tag::USER_MESSAGE_REFERENCE]),
        "{events:?}"
    );
    bench.command(EsmeCommand::Submit {
        tag: 2,
        message: with(tag::SAR_MSG_REF_NUM, &[0, 1]),
    });
    bench.command(EsmeCommand::Request {
        tag: 3,
        request: Request::DataSm(DataSm::default()),
    });
    let why = Refusal::NotInVersion;
    assert_eq!(
        bench.events(),
        [
            EsmeEvent::NotSent { tag: 2, why },
            EsmeEvent::NotSent { tag: 3, why }
        ]
    );
    assert_eq!((bench.sent().len(), bench.session.outstanding()), (0, 1));
}

#[test]
fn congestion_and_answer_time_come_with_the_answer_and_with_enquire_link() {
    let mut bench = bound_to(0x50, BindKind::Transceiver, Some(0x50));
    let _ = bench.events();
    let busy = |percent| {
        let mut tlvs = Tlvs::new();
        tlvs.push(tag::CONGESTION_STATE, &[percent]).expect("short");
        tlvs
    };
    let sequence = bench.submit(1);
    bench.pass(Duration::from_millis(250));
    let resp = MessageResp {
        message_id: COctets::until_nul(b"A"),
        tlvs: busy(85),
    };
    bench.receive_as(Version::V5_0, sequence, &Body::SubmitSmResp(resp));
    let events = bench.events();
    let [EsmeEvent::Answered { congestion, took, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (*congestion, *took),
        (Some(Congestion::new(85)), Duration::from_millis(250))
    );
    assert_eq!(bench.session.congestion(), *congestion);
    bench.pass(secs(31));
    let sequence = bench.sent().last().expect("enquire_link").sequence;
    bench.receive_as(Version::V5_0, sequence, &Body::EnquireLinkResp(busy(100)));
    assert_eq!(bench.events(), [EsmeEvent::Congested(Congestion::new(100))]);
    assert_eq!(bench.session.congestion(), Some(Congestion::new(100)));
}

fn outbind() -> Body {
    Body::Outbind {
        system_id: COctets::until_nul(b"SMSC"),
        password: Password::try_new(b"theirs").expect("no NUL"),
    }
}

fn listening() -> Bench {
    let now = Instant::now();
    let mut bench = Bench {
        session: EsmeSession::listen(config(), now),
        now,
    };
    assert_eq!((bench.sent(), bench.events()), (vec![], vec![]));
    bench
}

#[test]
fn an_outbind_is_checked_by_the_owner_who_then_binds() {
    let mut bench = listening();
    bench.receive(CommandStatus::OK, 1, &outbind());
    let events = bench.events();
    assert!(
        matches!(&events[..], [EsmeEvent::Outbind { system_id, password }] if system_id.as_bytes() == b"SMSC" && password.expose() == b"theirs"),
        "{events:?}"
    );
    assert_eq!(bench.sent(), [], "nothing before the owner says so");
    let account = EsmeConfig {
        bind: BindKind::Receiver,
        deliveries: 1,
        ..EsmeConfig::new(COctets::until_nul(b"other"), Password::default())
    };
    bench.command(EsmeCommand::Bind(Box::new(account)));
    let sent = bench.sent();
    assert!(
        matches!(&sent[..], [Pdu { body: Body::Bind(BindKind::Receiver, bind), .. }] if bind.system_id.as_bytes() == b"other"),
        "{sent:?}"
    );
    bench.receive(
        CommandStatus::OK,
        sent[0].sequence,
        &Body::BindResp(BindKind::Receiver, BindResp::default()),
    );
    assert!(bench.session.is_bound());
    for sequence in [5, 6] {
        bench.receive(CommandStatus::OK, sequence, &Body::DeliverSm(message()));
    }
    assert!(
        matches!(
            bench.events()[1..],
            [EsmeEvent::Delivered { .. }, EsmeEvent::DeliveryRefused { .. }]
        ),
        "the limits are those of the account"
    );
}

#[test]
fn an_unwanted_outbind_and_none_at_all_end_the_session() {
    let mut bench = listening();
    bench.receive(CommandStatus::OK, 1, &outbind());
    bench.command(EsmeCommand::RefuseOutbind);
    assert_eq!(
        bench.events().last(),
        Some(&closed(CloseCause::OutbindRefused, &[]))
    );
    assert_eq!(bench.sent(), []);

    let mut bench = listening();
    bench.command(EsmeCommand::Bind(Box::new(config())));
    assert!(
        matches!(bench.events()[..], [EsmeEvent::Unmatched { .. }]),
        "nobody has asked"
    );
    bench.pass(secs(30));
    assert_eq!(bench.events(), [closed(CloseCause::BindTimeout, &[])]);

    let mut bench = listening();
    bench.receive(CommandStatus::OK, 1, &outbind());
    bench.receive(CommandStatus::OK, 2, &outbind());
    bench.pass(secs(30));
    let events = bench.events();
    assert!(
        matches!(
            events[..],
            [
                EsmeEvent::Outbind { .. },
                EsmeEvent::Undecodable(_),
                EsmeEvent::Closed {
                    cause: CloseCause::BindTimeout,
                    ..
                }
            ]
        ),
        "an owner who never decides: {events:?}"
    );
}

/// Quirk 23.
#[test]
fn enquire_link_goes_out_by_the_clock_where_nothing_else_counts_as_activity() {
    for (always, expected) in [(false, 0), (true, 3)] {
        let mut bench = Bench::bound(EsmeConfig {
            enquire_link_always: always,
            ..config()
        });
        let mut asked = 0;
        for round in 0..9 {
            bench.pass(secs(10));
            bench.receive(CommandStatus::OK, round, &Body::EnquireLink);
            for pdu in bench.sent() {
                if pdu.body == Body::EnquireLink {
                    asked += 1;
                    bench.receive(
                        CommandStatus::OK,
                        pdu.sequence,
                        &Body::EnquireLinkResp(Tlvs::new()),
                    );
                }
            }
        }
        assert_eq!(asked, expected, "{always}");
    }
}

/// Quirk 23.
#[test]
fn where_the_answer_is_wanted_traffic_is_no_sign_of_life() {
    for strict in [false, true] {
        let mut bench = Bench::bound(EsmeConfig {
            enquire_link_always: true,
            enquire_link_strict: strict,
            ..config()
        });
        for round in 0..8 {
            bench.pass(secs(10));
            bench.receive(CommandStatus::OK, round, &Body::EnquireLink);
        }
        assert_eq!(bench.session.is_closed(), strict);
    }
}

#[test]
fn a_peer_that_may_not_be_silent_is_left_when_it_is() {
    let mut bench = Bench::bound(EsmeConfig {
        enquire_link: None,
        silence_limit: Some(secs(60)),
        ..config()
    });
    bench.pass(secs(50));
    bench.receive(CommandStatus::OK, 1, &Body::EnquireLink);
    bench.pass(secs(59));
    assert!(!bench.session.is_closed());
    bench.pass(secs(1));
    assert_eq!(bench.events(), [closed(CloseCause::Silent, &[])]);
}

/// Quirk 25.
#[test]
fn a_half_dead_peer_that_only_answers_enquire_link_is_left() {
    let mut bench = Bench::bound(EsmeConfig {
        unanswered_limit: Some(secs(70)),
        ..config()
    });
    let alive = |bench: &mut Bench, seconds: u64| {
        for _ in 0..seconds {
            bench.pass(secs(1));
            bench.receive(CommandStatus::OK, 1, &Body::EnquireLink);
        }
        bench.sent().iter().any(|pdu| pdu.body == Body::Unbind)
    };
    assert!(!alive(&mut bench, 100));
    let answered = bench.submit(1);
    assert!(!alive(&mut bench, 29));
    let _ = bench.submit(2);
    bench.receive(CommandStatus::OK, answered, &Body::SubmitSmResp(id("A")));
    assert!(!alive(&mut bench, 69), "an answer pays for all");
    assert!(alive(&mut bench, 1));
    assert!(!bench.session.is_bound());
    bench.session.handle_eof(bench.now);
    assert_eq!(bench.events().last(), Some(&closed(CloseCause::Unanswered, &[])));
    let mut bench = Bench::bound(EsmeConfig {
        unanswered_limit: Some(secs(70)),
        ..config()
    });
    let sequence = bench.submit(1);
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    assert!(!alive(&mut bench, 200), "nothing is owed");
}

/// Quirk 26.
#[test]
fn already_bound_is_a_refusal_with_its_own_word() {
    let mut bench = Bench::new(config());
    let resp = Body::BindResp(BindKind::Transceiver, BindResp::default());
    bench.receive(CommandStatus::ALREADY_BOUND, 1, &resp);
    let cause = CloseCause::BindRefused(CommandStatus::ALREADY_BOUND);
    assert_eq!(bench.events().last(), Some(&closed(cause, &[])));
    assert_eq!(cause.name(), "already_bound");
    assert_eq!(
        CloseCause::BindRefused(CommandStatus::SYSTEM_ERROR).name(),
        "bind_refused"
    );
}
