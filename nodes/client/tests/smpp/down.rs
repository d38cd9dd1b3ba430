//! Reports and MO to bound clients.

use crate::harness::*;
use smsgw_message::names;
use smsgw_queue::{Engine, Place};
use smsgw_runtime::{Clock, SystemClock};
use smsgw_smpp::{BindKind, CommandStatus, EsmeCommand, EsmeEvent, EsmeSession, Receipt, ReceiptState, tlv};
use std::time::Duration;
use tokio::net::TcpListener;

const QUEUE: &str = names::DOWN_SMPP;

async fn is_empty(node: &Node) {
    node.until("everything is settled", |node| {
        let depth = node.engine.depth(&QUEUE.into());
        depth.ready + depth.in_flight + depth.deferred == 0
    })
    .await;
}

#[tokio::test]
async fn a_report_is_a_receipt_and_is_settled_once_the_client_has_it() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let message = id(1);
    node.tell(report("acme", message, None)).await;
    let (sequence, deliver) = esme.delivered().await;
    assert_eq!(node.depth(QUEUE, Place::InFlight), 1);
    let receipt = Receipt::parse(&deliver).unwrap();
    assert_eq!(
        (receipt.id.clone(), receipt.state),
        (message.to_string(), ReceiptState::Delivered)
    );
    assert_eq!(deliver.esm_class, 0x04);
    assert_eq!(deliver.source.value.to_string_lossy(), "491700000001");
    assert_eq!(deliver.destination.value.to_string_lossy(), "12345");
    esme.reply(sequence, CommandStatus::OK).await;
    is_empty(&node).await;
    let told = node.engine.get(vec![names::told(message).into()]).await.unwrap();
    assert!(told[0].is_some());
}

#[tokio::test]
async fn what_waits_for_a_client_that_is_away_holds_up_nobody_and_comes_with_its_bind() {
    let node = Node::start("", "").await;
    let mut other = node
        .bind_as("other", "secret", BindKind::Receiver, 0x34)
        .await
        .unwrap();
    let _submits_only = node
        .bind_as("acme", "a long secret", BindKind::Transmitter, 0x34)
        .await
        .unwrap();
    for n in 0..100 {
        node.tell(mo("acme", id(n), &format!("for acme {n}"))).await;
    }
    node.tell(mo("other", id(200), "for other")).await;
    assert_eq!(&other.take().await.short_message[..], b"for other");
    node.until("it is left alone", |node| node.depth(QUEUE, Place::Ready) == 100)
        .await;
    let steps = node.engine.steps().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(node.engine.steps().len() <= steps + 1, "nobody spins over it");
    let mut esme = node.bind().await;
    for n in 0..100 {
        assert_eq!(
            String::from_utf8_lossy(&esme.take().await.short_message),
            format!("for acme {n}"),
            "in order"
        );
    }
    is_empty(&node).await;
}

#[tokio::test]
async fn a_report_goes_to_its_own_bind_and_to_another_when_that_is_gone() {
    let node = Node::start("", "").await;
    let mut one = node.bind().await;
    let first = node.sessions.list()[0].id;
    let mut two = node.bind().await;
    let second = node
        .sessions
        .list()
        .iter()
        .find(|session| session.id != first)
        .unwrap()
        .id;
    for n in 0..5 {
        node.tell(report("acme", id(n), Some(second))).await;
        two.take().await;
    }
    assert!(one.is_quiet(Duration::from_millis(50)).await);
    drop(two);
    node.until("it is gone", |node| node.sessions.list().len() == 1)
        .await;
    node.tell(report("acme", id(9), Some(second))).await;
    one.take().await;
    is_empty(&node).await;
}

#[tokio::test]
async fn what_was_not_answered_comes_again_over_the_next_bind() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    node.tell(mo("acme", id(1), "Hello")).await;
    esme.delivered().await;
    drop(esme);
    node.until("it is back", |node| node.depth(QUEUE, Place::Ready) == 1)
        .await;
    let mut again = node.bind().await;
    assert_eq!(&again.take().await.short_message[..], b"Hello");
    is_empty(&node).await;
}

#[tokio::test]
async fn temporary_errors_and_silence_are_tried_again_and_final_ones_are_not() {
    let node = Node::start("response_timeout = \"1s\"", "").await;
    let mut esme = node.bind().await;
    node.tell(mo("acme", id(1), "later")).await;
    let (sequence, _) = esme.delivered().await;
    esme.reply(sequence, CommandStatus::TEMPORARY_APP_ERROR).await;
    let (_, again) = esme.delivered().await;
    assert_eq!(&again.short_message[..], b"later");
    // Not answered at all: after the response timeout it comes once more.
    let (sequence, _) = esme.delivered().await;
    esme.reply(sequence, CommandStatus::OK).await;
    is_empty(&node).await;
    node.tell(mo("acme", id(2), "never")).await;
    let (sequence, _) = esme.delivered().await;
    esme.reply(sequence, CommandStatus::REJECT_APP_ERROR).await;
    node.until("a dead letter", |node| node.depth(QUEUE, Place::DeadLetter) == 1)
        .await;
}

#[tokio::test]
async fn a_window_bounds_what_is_unanswered() {
    let node = Node::start("", "window = 3").await;
    let mut esme = node.bind().await;
    for n in 0..10 {
        node.tell(mo("acme", id(n), &n.to_string())).await;
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(esme.delivered().await.0);
    }
    assert!(esme.is_quiet(Duration::from_millis(200)).await);
    esme.reply(held[1], CommandStatus::OK).await;
    assert_eq!(&esme.take().await.short_message[..], b"3");
    esme.reply(held[0], CommandStatus::OK).await;
    esme.reply(held[2], CommandStatus::OK).await;
    for _ in 0..6 {
        esme.take().await;
    }
    is_empty(&node).await;
}

#[tokio::test]
async fn a_long_mo_comes_in_the_form_that_the_account_wants() {
    let long = "x".repeat(200);
    for (form, version, kind, parts) in [
        ("udh", 0x34, BindKind::Transceiver, 2),
        ("sar", 0x34, BindKind::Transceiver, 2),
        ("payload", 0x34, BindKind::Transceiver, 1),
        ("payload", 0x33, BindKind::Receiver, 2),
    ] {
        let node = Node::start("", &format!("[client.acme.smpp]\nlong_deliveries = \"{form}\"")).await;
        let mut esme = node
            .bind_as("acme", "a long secret", kind, version)
            .await
            .unwrap();
        node.tell(mo("acme", id(1), &long)).await;
        let mut octets = 0;
        for n in 1..=parts {
            let part = esme.take().await;
            let has_udh = part.esm_class & 0x40 != 0;
            assert_eq!(has_udh, form == "udh" || version == 0x33, "{form}");
            octets += part.payload().len() - if has_udh { 6 } else { 0 };
            if form == "sar" {
                assert_eq!(part.tlvs.integer(tlv::tag::SAR_SEGMENT_SEQNUM), Some(n));
            }
        }
        assert_eq!(octets, 200, "{form}");
        is_empty(&node).await;
    }
}

#[tokio::test]
async fn data_sm_carries_deliveries_where_the_account_says_so() {
    let node = Node::start("", "[client.acme.smpp]\ndeliver_with = \"data_sm\"").await;
    let mut esme = node.bind().await;
    node.tell(mo("acme", id(1), "Hello")).await;
    let EsmeEvent::Delivered {
        sequence,
        operation,
        message,
    } = esme.event().await
    else {
        panic!("a delivery");
    };
    assert_eq!(
        (operation, message.payload()),
        (smsgw_smpp::Operation::DataSm, b"Hello".as_slice())
    );
    esme.reply(sequence, CommandStatus::OK).await;
    is_empty(&node).await;
}

#[tokio::test]
async fn a_client_without_smpp_account_gets_dead_letters_and_not_a_loop() {
    let node = Node::start("", "").await;
    node.tell(mo("nobody", id(1), "Hello")).await;
    node.until("a dead letter", |node| node.depth(QUEUE, Place::DeadLetter) == 1)
        .await;
}

#[tokio::test]
async fn a_client_with_outbind_is_called_when_something_waits_and_only_then() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outbind = format!(
        "[client.acme.smpp]\noutbind = [\"{}\"]\noutbind_password = \"ours\"",
        listener.local_addr().unwrap()
    );
    let node = Node::start("", &outbind).await;
    let early = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(early.is_err(), "nothing waits");
    node.tell(mo("acme", id(1), "Hello")).await;
    let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept())
        .await
        .unwrap()
        .unwrap();
    let config = esme_config("acme", "a long secret", BindKind::Receiver, 0x34);
    let mut esme = Esme::over(stream, EsmeSession::listen(config.clone(), SystemClock.instant()));
    let EsmeEvent::Outbind { system_id, password } = esme.event().await else {
        panic!("an outbind");
    };
    assert_eq!(
        (system_id.to_string_lossy().as_str(), password.expose()),
        ("smsgw", b"ours".as_slice())
    );
    esme.command(EsmeCommand::Bind(Box::new(config))).await;
    assert!(matches!(esme.event().await, EsmeEvent::Bound { .. }));
    assert_eq!(&esme.take().await.short_message[..], b"Hello");
    is_empty(&node).await;
}

#[tokio::test]
async fn what_waits_too_long_or_is_too_much_becomes_dead_letters_oldest_first() {
    let mut settings = config("", "[client.acme.smpp]\nwaiting_max = 4");
    let node = Node::with(settings.clone()).await;
    for n in 0..10 {
        node.tell(mo("acme", id(n), &n.to_string())).await;
    }
    node.until("the surplus is dead", |node| {
        node.depth(QUEUE, Place::DeadLetter) == 6 && node.depth(QUEUE, Place::Ready) == 4
    })
    .await;
    let mut esme = node.bind().await;
    for n in 6..10 {
        assert_eq!(
            esme.take().await.short_message,
            n.to_string().as_bytes(),
            "the youngest are left"
        );
    }
    is_empty(&node).await;
    drop(esme);
    node.until("it is gone", |node| node.sessions.list().is_empty())
        .await;
    // Shorter than a file may say.
    settings
        .client
        .get_mut(&client("acme"))
        .unwrap()
        .smpp
        .waiting_expiry = Duration::from_millis(500);
    node.config.publish(settings);
    node.tell(mo("acme", id(20), "old")).await;
    node.until("the old one is dead", |node| {
        node.depth(QUEUE, Place::DeadLetter) == 7
    })
    .await;
}
