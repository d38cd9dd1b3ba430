//! Requests of every kind and their answers; answers that are late, double, of another kind, or mean something else.

use super::*;
use crate::pdu::{CancelSm, QuerySm, QuerySmResp, ReplaceSm, Unsuccess};

fn ask(bench: &mut Bench, tag: u64, request: Request) -> u32 {
    bench.command(EsmeCommand::Request { tag, request });
    let sent = bench.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent[0].sequence
}

fn reply(events: &[EsmeEvent]) -> (u64, CommandStatus, Reply) {
    let [
        EsmeEvent::Answered {
            tag, status, reply, ..
        },
    ] = events
    else {
        panic!("{events:?}")
    };
    (*tag, *status, reply.clone())
}

#[test]
fn each_kind_of_request_has_its_own_answer() {
    let mut bench = Bench::bound(config());
    let found = QuerySmResp {
        message_id: COctets::until_nul(b"A"),
        message_state: 2,
        ..QuerySmResp::default()
    };
    let failed = Unsuccess {
        address: crate::Address::international("491700000002").expect("no NUL"),
        status: CommandStatus::INVALID_DESTINATION,
    };
    let table = [
        (
            Request::SubmitSm(message()),
            Body::SubmitSmResp(id("A")),
            Reply::SubmitSm,
        ),
        (
            Request::DataSm(message()),
            Body::DataSmResp(id("A")),
            Reply::DataSm,
        ),
        (
            Request::SubmitMulti(crate::samples::multi()),
            Body::SubmitMultiResp(SubmitMultiResp {
                message_id: COctets::until_nul(b"A"),
                unsuccess: vec![failed.clone()],
                tlvs: Tlvs::new(),
            }),
            Reply::SubmitMulti {
                unsuccess: vec![failed],
            },
        ),
        (
            Request::QuerySm(QuerySm::default()),
            Body::QuerySmResp(found.clone()),
            Reply::QuerySm(Box::new(found)),
        ),
        (
            Request::CancelSm(CancelSm::default()),
            Body::CancelSmResp(Tlvs::new()),
            Reply::CancelSm,
        ),
        (
            Request::ReplaceSm(ReplaceSm::default()),
            Body::ReplaceSmResp(Tlvs::new()),
            Reply::ReplaceSm,
        ),
    ];
    for (tag, (request, answer, expected)) in (0..).zip(table) {
        let sequence = ask(&mut bench, tag, request);
        bench.receive(CommandStatus::OK, sequence, &answer);
        assert_eq!(reply(&bench.events()), (tag, CommandStatus::OK, expected));
    }
    assert_eq!(bench.session.held(), crate::Held::default());
}

#[test]
fn an_error_or_a_nack_to_any_request_keeps_its_kind() {
    let mut bench = Bench::bound(config());
    let sequence = ask(&mut bench, 1, Request::QuerySm(QuerySm::default()));
    bench.receive(CommandStatus::QUERY_FAILED, sequence, &Body::GenericNack);
    assert_eq!(
        reply(&bench.events()),
        (1, CommandStatus::QUERY_FAILED, Reply::QuerySm(Box::default()))
    );
    let sequence = ask(&mut bench, 2, Request::SubmitMulti(crate::samples::multi()));
    bench.receive(CommandStatus::OK, sequence, &Body::GenericNack);
    let nothing = Reply::SubmitMulti { unsuccess: vec![] };
    assert_eq!(reply(&bench.events()), (2, CommandStatus::UNKNOWN_ERROR, nothing));
}

/// Quirk 24: the number decides, as long as the answer can be meant for the request.
#[test]
fn an_answer_of_a_sister_operation_counts_and_any_other_does_not() {
    let mut bench = Bench::bound(config());
    let sequence = ask(&mut bench, 1, Request::DataSm(message()));
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    assert_eq!(reply(&bench.events()), (1, CommandStatus::OK, Reply::DataSm));

    let sequence = bench.submit(2);
    for wrong in [
        Body::QuerySmResp(QuerySmResp::default()),
        Body::CancelSmResp(Tlvs::new()),
        Body::DeliverSmResp(id("A")),
        Body::EnquireLinkResp(Tlvs::new()),
        Body::BindResp(BindKind::Transceiver, BindResp::default()),
        Body::UnbindResp,
    ] {
        bench.receive(CommandStatus::OK, sequence, &wrong);
        let events = bench.events();
        assert!(
            matches!(events[..], [EsmeEvent::Unmatched { .. }]),
            "{wrong:?} {events:?}"
        );
        assert_eq!(bench.session.outstanding(), 1, "the submit still waits");
    }
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("B")));
    assert_eq!(bench.events(), [answered(2, "B")]);
}

#[test]
fn a_submit_multi_answer_that_refuses_the_only_destination_is_a_refusal() {
    let mut bench = Bench::bound(config());
    let sequence = bench.submit(1);
    let resp = SubmitMultiResp {
        unsuccess: vec![Unsuccess {
            address: crate::Address::default(),
            status: CommandStatus::INVALID_DESTINATION,
        }],
        ..SubmitMultiResp::default()
    };
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitMultiResp(resp));
    assert_eq!(
        reply(&bench.events()),
        (1, CommandStatus::INVALID_DESTINATION, Reply::SubmitSm)
    );
}

/// Quirk 24.
#[test]
fn a_double_answer_is_unmatched_and_ends_nothing_twice() {
    let mut bench = Bench::bound(config());
    let sequence = bench.submit(1);
    for _ in 0..2 {
        bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    }
    assert!(matches!(
        bench.events()[..],
        [EsmeEvent::Answered { tag: 1, .. }, EsmeEvent::Unmatched { .. }]
    ));
}

/// Quirk 24: a tombstone waits for an answer that can be meant for it, and is not spent on another.
#[test]
fn a_late_answer_of_the_wrong_kind_leaves_the_tombstone() {
    let mut bench = Bench::bound(EsmeConfig {
        enquire_link: None,
        ..config()
    });
    let sequence = ask(&mut bench, 1, Request::CancelSm(CancelSm::default()));
    bench.pass(secs(31));
    assert_eq!(bench.events(), [EsmeEvent::TimedOut { tag: 1 }]);
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    assert!(matches!(bench.events()[..], [EsmeEvent::Unmatched { .. }]));
    bench.receive(CommandStatus::OK, sequence, &Body::CancelSmResp(Tlvs::new()));
    let events = bench.events();
    let [
        EsmeEvent::LateAnswer {
            tag: 1,
            reply: Reply::CancelSm,
            took,
            ..
        },
    ] = events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(took, secs(31));
    assert_eq!(bench.session.held(), crate::Held::default());
}

/// Quirk 24: numbers of the carrier are its own affair.
#[test]
fn deliveries_with_any_number_are_taken_and_answered_under_it() {
    let mut bench = Bench::bound(config());
    for sequence in [0, 0x8000_0000, u32::MAX, 1, 1] {
        bench.receive(CommandStatus::OK, sequence, &Body::DeliverSm(message()));
        let events = bench.events();
        assert!(
            matches!(events.last(), Some(EsmeEvent::Delivered { sequence: given, .. }) if *given == sequence),
            "{events:?}"
        );
        bench.command(EsmeCommand::Answer {
            sequence,
            status: CommandStatus::OK,
        });
        assert_eq!(bench.sent()[0].sequence, sequence);
    }
}

/// Quirk 21.
#[test]
fn an_error_with_an_id_and_a_success_without_one_are_answers() {
    let mut bench = Bench::bound(config());
    let sequence = bench.submit(1);
    bench.receive(
        CommandStatus::SUBMIT_FAILED,
        sequence,
        &Body::SubmitSmResp(id("A")),
    );
    let events = bench.events();
    assert!(
        matches!(&events[..], [EsmeEvent::Tolerated { .. }, EsmeEvent::Answered { tag: 1, message_id, .. }] if message_id.as_bytes() == b"A"),
        "{events:?}"
    );
    let sequence = bench.submit(2);
    let mut bare = vec![0, 0, 0, 16, 0x80, 0, 0, 4, 0, 0, 0, 0];
    bare.extend(sequence.to_be_bytes());
    bench.session.handle_bytes(bench.now, &bare);
    let events = bench.events();
    assert!(
        matches!(&events[..], [EsmeEvent::Tolerated { .. }, EsmeEvent::Answered { tag: 2, message_id, .. }] if message_id.is_empty()),
        "{events:?}"
    );
}

/// Quirk 17.
#[test]
fn a_delivery_is_answered_with_an_empty_id() {
    let mut bench = Bench::bound(config());
    bench.receive(CommandStatus::OK, 5, &Body::DeliverSm(message()));
    bench.command(EsmeCommand::Answer {
        sequence: 5,
        status: CommandStatus::OK,
    });
    let mut out = BytesMut::new();
    assert!(bench.session.poll_transmit(&mut out));
    assert_eq!(out.len(), 17, "header and a NUL");
}

#[test]
fn the_window_is_one_for_all_requests_or_for_messages_only() {
    for (counts, queries) in [(WindowCounts::Everything, 1), (WindowCounts::Messages, 2)] {
        let mut bench = Bench::bound(EsmeConfig {
            window: 2,
            window_counts: counts,
            ..config()
        });
        let _ = bench.submit(1);
        for tag in 10..13 {
            bench.command(EsmeCommand::Request {
                tag,
                request: Request::QuerySm(QuerySm::default()),
            });
        }
        assert_eq!(bench.sent().len(), queries, "{counts:?}");
        let full = bench
            .events()
            .iter()
            .filter(|event| {
                matches!(
                    event,
                    EsmeEvent::NotSent {
                        why: Refusal::WindowFull,
                        ..
                    }
                )
            })
            .count();
        assert_eq!(full, 3 - queries, "{counts:?}");
        let free = if counts == WindowCounts::Messages { 1 } else { 0 };
        assert_eq!(bench.session.free_slots(), free, "{counts:?}");
    }
}
