//! The SMPP server on a real socket with the memory engine: what clients may rely on.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod admitting;
mod down;
mod faults;
mod harness;
mod named;
mod replacing;
mod sharing;
mod tls;

use harness::*;
use smsgw_message::{MessageId, MessageLife, Origin, Record, ReportLevel, names};
use smsgw_queue::EngineError;
use smsgw_smpp::pdu::{Destination, QuerySm, SubmitMulti};
use smsgw_smpp::{Address, BindKind, COctets, CommandStatus, EsmeCommand, EsmeEvent, Reply, Request};
use smsgw_testkit::Mood;
use std::time::Duration;

#[tokio::test]
async fn a_submit_is_durable_before_it_is_answered_and_keeps_all_that_was_asked() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let (status, given) = esme.answer(text("Hello")).await;
    assert_eq!(status, CommandStatus::OK);
    let id: MessageId = given.parse().unwrap();
    let found = smsgw_queue::Engine::get(node.engine.as_ref(), vec![names::message(id).into()])
        .await
        .unwrap();
    let life = MessageLife::from_record(&found[0].as_ref().unwrap().value).unwrap();
    assert_eq!(life.message.id, id);
    let messages = node.accepted().await;
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert_eq!(
        (message.origin, message.report, message.registered_delivery),
        (Origin::Smpp, ReportLevel::Final, Some(1))
    );
    assert_eq!(message.bind, Some(node.sessions.list()[0].id));
    assert_eq!(
        (message.to.as_str(), message.parts[0].data.as_slice()),
        ("491700000001", b"Hello".as_slice())
    );
    assert_eq!(node.sessions.list()[0].submitted, 1);
}

#[tokio::test]
async fn while_the_engine_hesitates_nothing_is_answered_and_what_it_refuses_is_refused() {
    let node = Node::start("response_timeout = \"1s\"", "").await;
    let mut esme = node.bind().await;
    node.engine.set(Mood::Stuck);
    esme.submit(1, text("Hello")).await;
    assert!(
        esme.is_quiet(Duration::from_millis(300)).await,
        "no answer before the commit"
    );
    assert_eq!(
        esme.answered().await.0,
        CommandStatus::SYSTEM_ERROR,
        "late: it may be sent or not"
    );
    node.engine.set(Mood::Refusing(EngineError::NoSpace));
    assert_eq!(
        esme.answer(text("Hello")).await.0,
        CommandStatus::MESSAGE_QUEUE_FULL
    );
    node.engine.set(Mood::Calm);
    assert_eq!(esme.answer(text("Hello")).await.0, CommandStatus::OK);
}

#[tokio::test]
async fn a_thousand_submits_at_once_are_each_answered_once() {
    let node = Node::start("", "window = 50").await;
    let mut esme = node.bind().await;
    for tag in 0..1000 {
        esme.submit(tag, text(&format!("Hello {tag}"))).await;
    }
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let (status, id) = esme.answered().await;
        assert_eq!(status, CommandStatus::OK);
        ids.insert(id);
    }
    assert_eq!(ids.len(), 1000);
    assert_eq!(node.waiting(), 1000);
}

#[tokio::test]
async fn credentials_and_limits_decide_on_a_bind() {
    let node = Node::start("", "max_binds = 3\n[client.acme.smpp]\nmax_receivers = 1").await;
    let bind = |system_id, password, kind| node.bind_as(system_id, password, kind, 0x34);
    let trx = BindKind::Transceiver;
    assert_eq!(
        bind("nobody", "secret", trx).await.err(),
        Some(CommandStatus::INVALID_SYSTEM_ID)
    );
    assert_eq!(
        bind("acme", "a long s", trx).await.err(),
        Some(CommandStatus::INVALID_PASSWORD)
    );
    let _one = bind("acme", "a long secret", trx).await.unwrap();
    let _two = bind("acme", "a long secret", BindKind::Receiver).await.unwrap();
    assert_eq!(
        bind("acme", "a long secret", BindKind::Receiver).await.err(),
        Some(CommandStatus::ALREADY_BOUND)
    );
    let three = bind("acme", "a long secret", BindKind::Transmitter)
        .await
        .unwrap();
    assert_eq!(
        bind("acme", "a long secret", trx).await.err(),
        Some(CommandStatus::ALREADY_BOUND)
    );
    assert_eq!(node.sessions.list().len(), 3);
    drop(three);
    node.until("the place of the one that left", |node| {
        node.sessions.list().len() == 2
    })
    .await;
    bind("acme", "a long secret", trx).await.unwrap();
    bind("other", "secret", trx).await.unwrap();
}

#[tokio::test]
async fn over_the_rate_a_submit_waits_and_then_is_throttled() {
    let node = Node::start("rate_wait = \"300ms\"", "rate = 10\nburst = 1").await;
    let mut esme = node.bind().await;
    let begun = std::time::Instant::now();
    for tag in 0..20 {
        esme.submit(tag, text("Hello")).await;
    }
    let mut ok = 0;
    for _ in 0..20 {
        match esme.answered().await.0 {
            CommandStatus::OK => ok += 1,
            status => assert_eq!(status, CommandStatus::THROTTLED),
        }
    }
    assert!((3..=6).contains(&ok), "{ok} in {:?}", begun.elapsed());
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn every_version_gets_an_id_it_has_room_for_and_finds_its_message_by_it() {
    for (version, form, kind, length) in [
        (0x33, "uuid", BindKind::Transmitter, 8),
        (0x34, "uuid", BindKind::Transceiver, 36),
        (0x34, "hex", BindKind::Transceiver, 32),
        (0x50, "decimal", BindKind::Transceiver, 37),
        (0x50, "short", BindKind::Transceiver, 8),
    ] {
        let node = Node::start("", &format!("[client.acme.smpp]\nmessage_id = \"{form}\"")).await;
        let mut esme = node
            .bind_as("acme", "a long secret", kind, version)
            .await
            .unwrap();
        let (status, given) = esme.answer(text("Hello")).await;
        assert_eq!(
            (status, given.len()),
            (CommandStatus::OK, length),
            "{form} {given}"
        );
        let ask = |message_id: &str, source: &str| EsmeCommand::Request {
            tag: 7,
            request: Request::QuerySm(QuerySm {
                message_id: COctets::try_from(message_id).unwrap(),
                source: Address::short_code(source).unwrap(),
            }),
        };
        esme.command(ask(&given, "12345")).await;
        match esme.event().await {
            EsmeEvent::Answered {
                status,
                reply: Reply::QuerySm(reply),
                ..
            } => {
                assert_eq!(status, CommandStatus::OK);
                assert_eq!(
                    (reply.message_id.to_string_lossy(), reply.message_state),
                    (given.clone(), 1)
                );
                assert!(reply.final_date.is_empty());
            }
            other => panic!("{other:?}"),
        }
        esme.command(ask(&given, "54321")).await;
        assert_eq!(
            esme.answered().await.0,
            CommandStatus::QUERY_FAILED,
            "another sender"
        );
        let mut other = node
            .bind_as("other", "secret", BindKind::Transceiver, 0x34)
            .await
            .unwrap();
        other.command(ask(&given, "12345")).await;
        assert_eq!(
            other.answered().await.0,
            CommandStatus::QUERY_FAILED,
            "another client"
        );
    }
}

#[tokio::test]
async fn submit_multi_is_a_message_for_each_number_and_tells_of_those_that_are_none() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let sme = |number: &str| Destination::Sme(Address::international(number).unwrap());
    let multi = SubmitMulti {
        source: Address::short_code("12345").unwrap(),
        destinations: vec![
            sme("491700000001"),
            sme("331700000001"),
            Destination::List(COctets::try_from("friends").unwrap()),
            sme("491700000002"),
        ],
        short_message: bytes::Bytes::from_static(b"Hello"),
        registered_delivery: 1,
        ..SubmitMulti::default()
    };
    let request = Request::SubmitMulti(multi);
    esme.command(EsmeCommand::Request { tag: 1, request }).await;
    let EsmeEvent::Answered {
        status,
        message_id,
        reply: Reply::SubmitMulti { unsuccess },
        ..
    } = esme.event().await
    else {
        panic!("an answer");
    };
    assert_eq!(status, CommandStatus::OK);
    let named: MessageId = message_id.to_string_lossy().parse().unwrap();
    let failed: Vec<_> = unsuccess
        .iter()
        .map(|one| (one.address.value.to_string_lossy(), one.status))
        .collect();
    assert_eq!(
        failed,
        [
            ("331700000001".to_owned(), CommandStatus::INVALID_DESTINATION),
            ("friends".to_owned(), CommandStatus::INVALID_LIST_NAME)
        ]
    );
    let mut messages = node.accepted().await;
    messages.sort_by(|a, b| a.to.cmp(&b.to));
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].id, messages[0].batch), (named, Some(named)));
    assert_eq!(
        (messages[1].to.as_str(), messages[1].batch),
        ("491700000002", Some(named))
    );
}

#[tokio::test]
async fn a_session_is_ended_by_order_and_when_its_account_goes_and_the_others_stay() {
    let node = Node::start("", "").await;
    let mut first = node.bind().await;
    // Two that bind in the same millisecond stand in any order.
    let id = node.sessions.list()[0].id;
    let mut second = node.bind().await;
    let mut other = node
        .bind_as("other", "secret", BindKind::Transceiver, 0x34)
        .await
        .unwrap();
    assert_eq!(node.sessions.list().len(), 3);
    assert!(node.sessions.disconnect(id));
    assert!(!node.sessions.disconnect(1));
    assert_eq!(first.closed().await, smsgw_smpp::CloseCause::PeerUnbound);
    node.until("one left", |node| node.sessions.list().len() == 2)
        .await;
    let mut without = (*node.config.config()).clone();
    without.client.remove(&client("acme"));
    node.config.publish(without);
    assert_eq!(second.closed().await, smsgw_smpp::CloseCause::PeerUnbound);
    assert_eq!(other.answer(text("Hello")).await.0, CommandStatus::OK);
}

#[tokio::test]
async fn a_drain_answers_what_was_asked_and_unbinds() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    for tag in 0..200 {
        esme.submit(tag, text("Hello")).await;
    }
    let (first, _) = esme.answered().await;
    assert_eq!(first, CommandStatus::OK);
    let (_, accepted) = tokio::join!(node.tree.drain(), async {
        let mut accepted = 1;
        loop {
            match esme.event().await {
                EsmeEvent::Answered { status, .. } if status.is_ok() => accepted += 1,
                EsmeEvent::Closed { in_doubt, .. } => {
                    assert!(in_doubt.is_empty(), "{in_doubt:?}");
                    return accepted;
                }
                _ => {}
            }
        }
    });
    assert_eq!(node.waiting(), accepted);
}
