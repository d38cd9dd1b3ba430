//! How an ESME session stays alive and how it ends.

use super::*;

#[test]
fn enquire_link_is_answered_in_every_state() {
    let mut bench = Bench::new(config());
    let _ = bench.sent();
    let answer = |sequence| vec![Pdu::new(sequence, Body::EnquireLinkResp(crate::Tlvs::new()))];
    bench.receive(CommandStatus::OK, 1, &Body::EnquireLink);
    assert_eq!(bench.sent(), answer(1));
    let mut bench = Bench::bound(config());
    bench.receive(CommandStatus::OK, 2, &Body::EnquireLink);
    assert_eq!(bench.sent(), answer(2));
    let _ = bench.submit(1);
    bench.command(EsmeCommand::Unbind { within: secs(10) });
    bench.receive(CommandStatus::OK, 3, &Body::EnquireLink);
    assert_eq!(bench.sent(), answer(3));
    bench.pass(secs(10));
    assert_eq!(bench.sent().len(), 1);
    bench.receive(CommandStatus::OK, 4, &Body::EnquireLink);
    assert_eq!(bench.sent(), answer(4));
}

#[test]
fn silence_is_asked_about_and_ends_the_session_when_nothing_comes_back() {
    let mut bench = Bench::bound(config());
    let outstanding = bench.submit(1);
    bench.pass(secs(29));
    assert_eq!(bench.sent(), []);
    bench.pass(secs(1));
    let sent = bench.sent();
    let [
        Pdu {
            sequence,
            body: Body::EnquireLink,
            ..
        },
    ] = sent[..]
    else {
        panic!("{sent:?}")
    };
    assert_ne!(sequence, outstanding);
    bench.receive(
        CommandStatus::OK,
        sequence,
        &Body::EnquireLinkResp(crate::Tlvs::new()),
    );
    bench.pass(secs(30));
    assert_eq!(bench.sent().len(), 1, "silent again");
    bench.pass(secs(29));
    assert!(!bench.session.is_closed());
    bench.pass(secs(1));
    assert_eq!(
        bench.events(),
        [
            EsmeEvent::TimedOut { tag: 1 },
            closed(CloseCause::EnquireLinkTimeout, &[])
        ]
    );
}

#[test]
fn a_peer_that_sends_anything_lives_even_if_it_never_answers_enquire_link() {
    let mut bench = Bench::bound(config());
    for round in 0..20u32 {
        bench.pass(secs(25));
        bench.receive(CommandStatus::OK, round, &Body::EnquireLink);
    }
    assert_eq!(
        bench
            .sent()
            .iter()
            .filter(|pdu| pdu.body == Body::EnquireLink)
            .count(),
        0,
        "traffic resets the timer"
    );
    for round in 0..20u32 {
        bench.pass(secs(40));
        bench.receive(CommandStatus::OK, round, &Body::EnquireLink);
    }
    assert!(!bench.session.is_closed());
    assert!(bench.sent().iter().any(|pdu| pdu.body == Body::EnquireLink));
}

#[test]
fn unbind_waits_for_both_directions_then_goes_out_and_its_answer_ends_the_session() {
    let mut bench = Bench::bound(config());
    let sequence = bench.submit(1);
    bench.receive(CommandStatus::OK, 9, &Body::DeliverSm(message()));
    bench.command(EsmeCommand::Unbind { within: secs(10) });
    bench.command(EsmeCommand::Submit {
        tag: 2,
        message: message(),
    });
    assert_eq!(
        bench.events()[1..],
        [EsmeEvent::NotSent {
            tag: 2,
            why: Refusal::Draining
        }]
    );
    assert_eq!((bench.sent(), bench.session.free_slots()), (vec![], 0));
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    assert_eq!((bench.sent(), bench.events()), (vec![], vec![answered(1, "A")]));
    bench.command(EsmeCommand::Answer {
        sequence: 9,
        status: CommandStatus::OK,
    });
    let sent = bench.sent();
    let [
        _,
        Pdu {
            sequence,
            body: Body::Unbind,
            ..
        },
    ] = sent[..]
    else {
        panic!("{sent:?}")
    };
    bench.receive(CommandStatus::OK, sequence, &Body::UnbindResp);
    assert_eq!(bench.events(), [closed(CloseCause::Unbound, &[])]);
    assert_eq!(
        (bench.session.is_closed(), bench.session.poll_timeout()),
        (true, None)
    );
}

#[test]
fn an_unbind_whose_time_is_over_goes_out_and_the_rest_is_in_doubt() {
    for (finish, cause) in [(true, CloseCause::Unbound), (false, CloseCause::UnbindTimeout)] {
        let mut bench = Bench::bound(config());
        let (first, _) = (bench.submit(1), bench.submit(2));
        bench.command(EsmeCommand::Unbind { within: secs(10) });
        bench.pass(secs(10));
        let sent = bench.sent();
        let [
            Pdu {
                sequence,
                body: Body::Unbind,
                ..
            },
        ] = sent[..]
        else {
            panic!("{sent:?}")
        };
        bench.receive(CommandStatus::OK, first, &Body::SubmitSmResp(id("A")));
        if finish {
            bench.receive(CommandStatus::OK, sequence, &Body::UnbindResp);
        } else {
            bench.pass(secs(5));
        }
        let mut events = bench.events();
        if let EsmeEvent::Answered { took, .. } = &mut events[0] {
            assert_eq!(std::mem::take(took), secs(10));
        }
        assert_eq!(events, [answered(1, "A"), closed(cause, &[2])]);
    }
}

#[test]
fn the_peers_unbind_is_answered_and_ends_the_session() {
    let mut bench = Bench::bound(config());
    let _ = (bench.submit(1), bench.submit(2));
    bench.receive(CommandStatus::OK, 77, &Body::Unbind);
    assert_eq!(bench.sent(), [Pdu::new(77, Body::UnbindResp)]);
    assert_eq!(bench.events(), [closed(CloseCause::PeerUnbound, &[1, 2])]);
}

#[test]
fn closed_comes_once_and_last_and_nothing_follows_it() {
    let mut bench = Bench::bound(config());
    let sequence = bench.submit(1);
    bench.session.handle_eof(bench.now);
    bench.command(EsmeCommand::Submit {
        tag: 2,
        message: message(),
    });
    let not_sent = EsmeEvent::NotSent {
        tag: 2,
        why: Refusal::Closed,
    };
    assert_eq!(bench.events(), [not_sent, closed(CloseCause::Lost, &[1])]);
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    bench.session.handle_eof(bench.now);
    bench.command(EsmeCommand::Unbind { within: secs(1) });
    bench.command(EsmeCommand::Answer {
        sequence: 1,
        status: CommandStatus::OK,
    });
    bench.command(EsmeCommand::Submit {
        tag: 3,
        message: message(),
    });
    bench.pass(secs(1000));
    assert_eq!((bench.events(), bench.sent()), (vec![], vec![]));
}

#[test]
fn inactivity_unbinds_but_enquire_link_is_no_activity() {
    let mut bench = Bench::bound(EsmeConfig {
        inactivity: Some(secs(100)),
        enquire_link: Some(secs(1000)),
        ..config()
    });
    bench.pass(secs(60));
    let sequence = bench.submit(1);
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    for _ in 0..9 {
        bench.pass(secs(10));
        bench.receive(CommandStatus::OK, 5, &Body::EnquireLink);
    }
    assert!(bench.session.is_bound());
    bench.pass(secs(10));
    let last = bench.sent().pop().expect("something was sent");
    assert_eq!(last.body, Body::Unbind);
    bench.receive(CommandStatus::OK, last.sequence, &Body::UnbindResp);
    assert_eq!(bench.events().last(), Some(&closed(CloseCause::Inactive, &[])));
}

#[test]
fn leaving_unbinds_at_once_and_says_why_however_the_peer_takes_it() {
    let unbound = |bench: &mut Bench| {
        let _ = bench.submit(1);
        bench.command(EsmeCommand::Leave);
        let sent = bench.sent();
        assert!(
            matches!(
                sent[..],
                [Pdu {
                    body: Body::Unbind,
                    ..
                }]
            ),
            "{sent:?}"
        );
        sent[0].sequence
    };
    let end = [closed(CloseCause::Unanswered, &[1])];
    let mut bench = Bench::bound(config());
    let sequence = unbound(&mut bench);
    bench.receive(CommandStatus::OK, sequence, &Body::UnbindResp);
    assert_eq!(bench.events(), end);
    let mut bench = Bench::bound(config());
    unbound(&mut bench);
    bench.pass(secs(5));
    assert_eq!(bench.events(), end, "without an answer");
    let mut bench = Bench::bound(config());
    unbound(&mut bench);
    bench.command(EsmeCommand::Leave);
    bench.session.handle_eof(bench.now);
    assert_eq!(bench.events(), end, "closed by the peer");
}
