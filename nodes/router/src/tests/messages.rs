//! What becomes of messages to phones: one after another, by table.

use super::*;
use MessageState::{Delivered, Expired, Failed, Queued, Rejected, Sent};

#[test]
fn an_accepted_message_is_queued_part_by_part_and_the_repetition_changes_nothing() {
    let mut world = World::new();
    world.accept(&mt(1, 3), 100);
    world.accept(&mt(1, 3), 101);
    let parts: Vec<(u16, u16)> = world
        .published
        .iter()
        .map(|(queue, record)| {
            assert_eq!(queue, "mt.operator.alpha");
            let dispatch = Dispatch::from_record(record).unwrap();
            assert_eq!(dispatch.content.data, b"hello");
            (dispatch.part, dispatch.parts)
        })
        .collect();
    assert_eq!(parts, [(1, 3), (2, 3), (3, 3)]);
    assert_eq!(world.life(1).state, Queued);
    assert_eq!(world.happened(), [EventName::MtRouted]);
    let (_, expiry) = &world.state[&message_key(message_id(1))];
    assert!(
        matches!(expiry, Expiry::Alarm(end, queue, _) if *end == at(30_000) && queue.as_str() == names::ALARMS)
    );
}

#[test]
fn without_a_route_or_beyond_its_validity_a_message_ends_with_a_report() {
    let mut world = World::new();
    let french = MtMessage {
        to: crate::fixtures::phone("33100000000"),
        ..mt(1, 2)
    };
    world.accept(&french, 100);
    world.accept(&mt(2, 1), 10_000);
    assert_eq!(
        world.told(),
        [
            (Rejected, Some("no_route".to_owned())),
            (Expired, Some("expired".to_owned()))
        ]
    );
    assert_eq!(
        world.happened(),
        [EventName::MtUnroutable, EventName::MtFinal, EventName::MtFinal]
    );
    assert!(world.life(1).is_final);
    assert!(
        world
            .published
            .iter()
            .all(|(queue, _)| queue == names::DOWN_CALLBACK),
        "nothing goes to an operator"
    );
}

#[test]
fn the_whole_trip_of_one_part() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    world.result(sent(message_id(1), 1, "A7", 200));
    assert_eq!(world.life(1).state, Sent);
    world.receipt(receipt("A7", ReceiptState::Enroute, 300));
    assert_eq!(
        (world.life(1).state, world.told().len()),
        (Sent, 0),
        "an intermediate state ends nothing"
    );
    world.receipt(receipt("A7", ReceiptState::Delivered, 400));
    let life = world.life(1);
    assert_eq!((life.state, life.is_final, life.error), (Delivered, true, None));
    assert!(
        life.message.parts.iter().all(|part| part.data.is_empty()),
        "content goes with the end"
    );
    let lines: Vec<EventName> = life.events.iter().map(|LifeEvent { event, .. }| *event).collect();
    assert_eq!(
        lines,
        [
            EventName::MtAccepted,
            EventName::MtRouted,
            EventName::MtSent,
            EventName::MtProgress,
            EventName::DrReceived,
            EventName::MtFinal
        ]
    );
    assert_eq!(world.events.last().unwrap().age_ms, Some(400));
    world.receipt(receipt("A7", ReceiptState::Undeliverable, 500));
    world.receipt(receipt("A7", ReceiptState::Delivered, 501));
    assert_eq!(world.duplicates(), 2);
    assert_eq!(world.told(), [(Delivered, None)]);
    let down = &world.downs()[0];
    assert_eq!(
        down.event,
        message_id(1).derive(21),
        "the same id whenever the step is done: delivered, final"
    );
    assert_eq!(
        down.url.as_deref(),
        Some("http://127.0.0.1:9/events"),
        "the message's own target"
    );
}

#[test]
fn receipt_before_submit_result_is_parked_then_matched() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    world.receipt(receipt("A7", ReceiptState::Delivered, 150));
    assert!(world.told().is_empty());
    world.result(sent(message_id(1), 1, "A7", 200));
    assert_eq!(world.told(), [(Delivered, None)]);
    assert_eq!(world.happened(), [EventName::MtRouted, EventName::MtFinal]);
    world.pass_to(10_000);
    assert!(world.buried.is_empty(), "the alarm of the parked receipt is void");
}

#[test]
fn a_parked_receipt_is_unknown_when_its_time_is_over() {
    let mut world = World::new();
    world.receipt(receipt("A7", ReceiptState::Delivered, 150));
    world.pass_to(2_650);
    world.pass_to(5_149);
    assert!(world.buried.is_empty());
    world.pass_to(5_150);
    assert_eq!(world.buried, [(up(), DeadReason::UnknownReceipt)]);
    assert_eq!(world.happened(), [EventName::DrUnknown]);
    assert!(world.state.is_empty());
    world.receipt(receipt("", ReceiptState::Delivered, 6_000));
    assert_eq!(world.buried.len(), 2, "a receipt without an id waits for nothing");
}

#[test]
fn a_receipt_parked_before_a_stop_waits_for_the_result_that_is_read_after_it() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    world.receipt(receipt("A7", ReceiptState::Delivered, 150));
    // The process does not run for a while: the first thing it sees is the alarm, then the result.
    world.pass_to(9_000);
    assert!(world.buried.is_empty(), "its time was over only on the clock");
    world.result(sent(message_id(1), 1, "A7", 9_001));
    assert_eq!(world.told(), [(Delivered, None)]);
    world.pass_to(20_000);
    assert!(world.buried.is_empty());
}

#[test]
fn the_worst_part_speaks_for_the_whole() {
    // What happens to the parts one after another, and the end.
    type Case<'a> = (&'a [ReceiptState], bool, MessageState, Option<&'a str>);
    let cases: &[Case<'_>] = &[
        (
            &[ReceiptState::Delivered, ReceiptState::Delivered],
            false,
            Delivered,
            None,
        ),
        (
            &[ReceiptState::Delivered, ReceiptState::Undeliverable],
            false,
            Failed,
            Some("001"),
        ),
        (
            &[ReceiptState::Deleted, ReceiptState::Expired],
            false,
            Expired,
            Some("001"),
        ),
        (
            &[ReceiptState::Expired, ReceiptState::Rejected],
            false,
            Rejected,
            Some("001"),
        ),
        (
            &[ReceiptState::Unknown, ReceiptState::Rejected],
            false,
            Failed,
            Some("001"),
        ),
        (
            &[ReceiptState::Delivered],
            true,
            Rejected,
            Some("ESME_RINVDSTADR"),
        ),
        (&[ReceiptState::Undeliverable], true, Failed, Some("001")),
    ];
    for (receipts, then_refused, state, error) in cases {
        let mut world = World::new();
        world.accept(&mt(1, 2), 100);
        for (part, state) in (1..).zip(*receipts) {
            world.result(sent(message_id(1), part, &format!("id-{part}"), 200));
            world.receipt(receipt(&format!("id-{part}"), *state, 300));
        }
        if *then_refused {
            assert!(!world.life(1).is_final, "one part is open");
            world.result(refused(2, 400));
        }
        assert_eq!(
            world.told(),
            [(*state, error.map(str::to_owned))],
            "{receipts:?} {then_refused}"
        );
    }
}

#[test]
fn sent_is_final_where_no_receipt_can_come() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    world.accept(&mt(2, 1), 100);
    world.result(SubmitResult {
        receipt_asked: false,
        ..sent(message_id(1), 1, "A7", 200)
    });
    world.result(sent(message_id(2), 1, "", 200));
    assert_eq!(world.told(), [(Sent, None), (Sent, None)]);
    world.receipt(receipt("A7", ReceiptState::Delivered, 300));
    assert_eq!(
        (world.told().len(), world.duplicates()),
        (2, 1),
        "one that was not asked for changes nothing"
    );
    assert_eq!(world.was_noted(|note| matches!(note, Note::Unrequested(..))), 1);
}

#[test]
fn a_message_without_a_final_receipt_expires_when_the_grace_is_over() {
    let mut world = World::new();
    world.accept(&mt(1, 2), 100);
    world.result(sent(message_id(1), 1, "A7", 200));
    world.pass_to(29_999);
    assert!(world.told().is_empty());
    world.pass_to(30_000);
    assert_eq!(world.told(), [(Expired, Some("no_receipt".to_owned()))]);
    assert_eq!(
        world.life(1).parts[1].error.as_deref(),
        Some("expired"),
        "a part that was never sent"
    );
    world.result(sent(message_id(1), 2, "B1", 31_000));
    world.receipt(receipt("B1", ReceiptState::Delivered, 31_100));
    assert_eq!((world.told().len(), world.duplicates()), (1, 2));
    assert_eq!(world.was_noted(|note| matches!(note, Note::Late(..))), 1);
    world.pass_to(90_000);
    assert!(
        !world.state.contains_key(&message_key(message_id(1))),
        "the record goes after its retention"
    );
}

#[test]
fn a_receipt_that_comes_twice_is_counted_as_duplicate_and_not_as_late() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    world.result(sent(message_id(1), 1, "A7", 200));
    world.receipt(receipt("A7", ReceiptState::Delivered, 300));
    world.receipt(receipt("A7", ReceiptState::Delivered, 400));
    world.receipt(receipt("A7", ReceiptState::Undeliverable, 500));
    assert_eq!(world.told(), [(Delivered, None)], "the first end counts");
    let duplicate = |note: &Note| matches!(note, Note::Duplicate(_, _, 1));
    assert_eq!((world.was_noted(duplicate), world.duplicates()), (2, 2));
}

#[test]
fn a_doubt_is_a_line_of_its_messages_life_and_changes_nothing_else() {
    let mut world = World::new();
    world.accept(&mt(1, 2), 100);
    let doubt = InDoubt {
        message: message_id(1),
        part: 2,
        via: crate::fixtures::via("alpha"),
        detail: "link_lost: resubmit 1 of 5".to_owned(),
        at: at(200),
    };
    let before = world.life(1);
    world.doubt(doubt.clone());
    let life = world.life(1);
    assert_eq!((life.state, &life.parts), (before.state, &before.parts));
    let line = life.events.last().unwrap();
    assert_eq!((line.event, line.part), (EventName::MtInDoubt, Some(2)));
    assert_eq!(line.detail.as_deref(), Some("alpha: link_lost: resubmit 1 of 5"));
    assert!(world.told().is_empty());
    world.doubt(InDoubt {
        message: message_id(9),
        ..doubt
    });
    assert!(world.buried.is_empty(), "of a message that is gone nobody asks");
}

#[test]
fn a_longer_grace_moves_the_alarm() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    let longer = CONFIG.replace("receipt_grace = \"20s\"", "receipt_grace = \"40s\"");
    world.plan = Plan::try_new(
        2,
        Arc::new(Config::parse("test.toml", &longer).unwrap()),
        Arc::default(),
    )
    .unwrap();
    world.pass_to(30_000);
    assert!(world.told().is_empty());
    world.pass_to(50_000);
    assert_eq!(world.told(), [(Expired, Some("expired".to_owned()))]);
}

#[test]
fn reports_come_as_the_client_asked() {
    for (level, told) in [
        (ReportLevel::None, vec![]),
        (ReportLevel::Final, vec![Delivered]),
        (ReportLevel::All, vec![Queued, Sent, Delivered]),
    ] {
        let mut world = World::new();
        world.accept(
            &MtMessage {
                report: level,
                ..mt(1, 1)
            },
            100,
        );
        world.result(sent(message_id(1), 1, "A7", 200));
        world.receipt(receipt("A7", ReceiptState::Accepted, 300));
        world.receipt(receipt("A7", ReceiptState::Delivered, 400));
        assert_eq!(
            world
                .told()
                .into_iter()
                .map(|(state, _)| state)
                .collect::<Vec<_>>(),
            told
        );
        let mut ids: Vec<_> = world.downs().iter().map(|down| down.event).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), told.len(), "each report has its own id");
    }
}

#[test]
fn a_report_goes_to_the_message_then_to_its_client_then_to_its_inbox() {
    let mut world = World::new();
    let quiet = smsgw_message::ClientId::try_new("quiet").unwrap();
    world.accept(
        &MtMessage {
            callback: None,
            ..mt(1, 1)
        },
        10_000,
    );
    world.accept(
        &MtMessage {
            callback: None,
            client: quiet,
            ..mt(2, 1)
        },
        10_000,
    );
    let gone = smsgw_message::ClientId::try_new("gone").unwrap();
    world.accept(
        &MtMessage {
            callback: None,
            client: gone.clone(),
            ..mt(3, 1)
        },
        10_000,
    );
    let urls: Vec<_> = world.downs().into_iter().map(|down| down.url.unwrap()).collect();
    assert_eq!(urls, ["http://127.0.0.1:9000/events"]);
    let [(log, down)] = world.inboxes.as_slice() else {
        panic!("{:?}", world.inboxes)
    };
    assert_eq!((log.as_str(), &down.url), ("inbox.quiet", &None));
    assert!(
        world
            .notes
            .contains(&Note::ReportWithoutTarget(gone, message_id(3))),
        "an account that is gone reads no inbox"
    );
    assert_eq!(
        world.buried,
        [(names::DOWN_CALLBACK.to_owned(), smsgw_queue::DeadReason::NoOwner)],
        "its report is kept for a person"
    );
    assert!(world.life(2).is_final);
}

#[test]
fn a_receipt_quotes_how_its_message_begins_where_the_account_asks_for_it() {
    for (form, quoted) in [
        ("{id} {text}", Some("@ twenty characters ".to_owned())),
        ("{id}", None),
    ] {
        let mut world = World::new();
        let account = format!(
            "[client.quiet]\nsystem_id = \"q\"\npassword = \"q\"\n[client.quiet.smpp]\nreceipt_text = \"{form}\"\n"
        );
        let text = CONFIG.replacen("[client.quiet]\napi_key = \"quiet-key\"\n", &account, 1);
        let config = Config::parse("test.toml", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
        world.plan = Plan::try_new(2, Arc::new(config), Arc::default()).unwrap();
        let mut message = MtMessage {
            callback: None,
            client: smsgw_message::ClientId::try_new("quiet").unwrap(),
            origin: smsgw_message::Origin::Smpp,
            ..mt(1, 2)
        };
        // The commercial at is 0 in the alphabet of GSM.
        message.parts[0].data = b"\0 twenty characters and more".to_vec();
        world.accept(&message, 100);
        for part in 1..=2 {
            world.result(sent(message_id(1), part, &format!("p{part}"), 200));
            world.receipt(receipt(&format!("p{part}"), ReceiptState::Delivered, 300));
        }
        assert!(
            world
                .life(1)
                .message
                .parts
                .iter()
                .all(|part| part.data.is_empty()),
            "content goes with the end"
        );
        let downs: Vec<Down> = world
            .published
            .iter()
            .filter(|(queue, _)| queue == names::DOWN_SMPP)
            .map(|(_, record)| Down::from_record(record).unwrap())
            .collect();
        assert_eq!(downs.len(), 1);
        assert_eq!(downs[0].for_bind.as_ref().unwrap().text, quoted, "{form}");
    }
}

#[test]
fn an_operator_may_mean_something_else_by_a_state() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    let via = crate::fixtures::via("odd");
    world.result(SubmitResult {
        via: via.clone(),
        ..sent(message_id(1), 1, "A7", 200)
    });
    world.receipt(Receipt {
        via: via.clone(),
        ..receipt("A7", ReceiptState::Undeliverable, 300)
    });
    assert!(world.told().is_empty());
    world.receipt(Receipt {
        via,
        ..receipt("A7", ReceiptState::Enroute, 400)
    });
    assert_eq!(world.told(), [(Delivered, None)]);
}

#[test]
fn ids_belong_to_a_link_group() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    world.result(sent(message_id(1), 1, "A7", 200));
    world.receipt(Receipt {
        via: crate::fixtures::via("odd"),
        ..receipt("A7", ReceiptState::Delivered, 300)
    });
    assert!(world.told().is_empty());
    assert!(
        world
            .notes
            .iter()
            .any(|note| matches!(note, Note::Parked(operator) if operator.as_str() == "odd"))
    );
}

#[test]
fn a_result_without_a_message_or_for_a_part_it_does_not_have_is_kept() {
    let mut world = World::new();
    world.result(sent(message_id(9), 1, "A7", 200));
    world.accept(&mt(1, 1), 100);
    world.result(sent(message_id(1), 2, "A8", 200));
    assert_eq!(
        world.buried.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(),
        [DeadReason::NoOwner; 2]
    );
}

#[test]
fn state_that_cannot_be_decoded_keeps_the_input_as_corrupt() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    if let Some((value, _)) = world.state.get_mut(&message_key(message_id(1))) {
        value.value = Bytes::from_static(b"\xFF\xFF");
    }
    world.result(sent(message_id(1), 1, "A7", 200));
    assert_eq!(world.buried, [(up(), DeadReason::Corrupt)]);
}

/// A message of three parts at an operator where one receipt speaks for all.
fn long_world(rule: &str) -> World {
    let mut world = World::new();
    let text = CONFIG.replacen(
        "password = \"test\"",
        &format!("password = \"test\"\nlong_receipts = \"{rule}\""),
        1,
    );
    world.plan = Plan::try_new(
        2,
        Arc::new(Config::parse("test.toml", &text).unwrap()),
        Arc::default(),
    )
    .unwrap();
    world.accept(&mt(1, 3), 100);
    world
}

fn taken(world: &mut World, part: u16) {
    world.result(sent(message_id(1), part, &format!("p{part}"), 200));
}

#[test]
fn one_receipt_of_whichever_part_speaks_for_a_long_message() {
    let mut world = long_world("any");
    (1..=3).for_each(|part| taken(&mut world, part));
    world.receipt(receipt("p2", ReceiptState::Delivered, 300));
    assert_eq!(world.told(), [(Delivered, None)]);
    world.receipt(receipt("p1", ReceiptState::Undeliverable, 310));
    assert_eq!(world.told().len(), 1, "what comes later changes nothing");
    assert_eq!(world.duplicates(), 1);
}

#[test]
fn a_part_taken_after_the_receipt_that_speaks_for_all_waits_for_none() {
    let mut world = long_world("last");
    taken(&mut world, 1);
    taken(&mut world, 3);
    world.receipt(receipt("p3", ReceiptState::Undeliverable, 300));
    assert!(
        world.told().is_empty(),
        "part 2 is still on its way to the carrier"
    );
    taken(&mut world, 2);
    assert_eq!(world.told(), [(MessageState::Failed, Some("001".to_owned()))]);
}

#[test]
fn where_the_part_that_speaks_is_refused_the_others_wait_for_nothing() {
    let mut world = long_world("first");
    taken(&mut world, 2);
    taken(&mut world, 3);
    assert!(world.told().is_empty());
    world.result(refused(1, 300));
    assert_eq!(
        world.told(),
        [(MessageState::Rejected, Some("ESME_RINVDSTADR".to_owned()))]
    );
    assert_eq!(world.life(1).parts[1].state, MessageState::Sent);
}
