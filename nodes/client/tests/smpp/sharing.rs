//! Clients beside one another, and the operations that are seldom used.

use crate::harness::*;
use smsgw_smpp::{BindKind, CommandStatus, EsmeCommand, EsmeEvent, Request, SubmitSm};
use smsgw_testkit::Mood;
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test]
async fn data_sm_is_a_submit_with_its_text_in_message_payload_and_not_for_old_clients() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let mut message = SubmitSm {
        short_message: bytes::Bytes::new(),
        ..text("")
    };
    message
        .tlvs
        .push(smsgw_smpp::tlv::tag::MESSAGE_PAYLOAD, b"Hello by data_sm")
        .unwrap();
    let request = |message: &SubmitSm| EsmeCommand::Request {
        tag: 1,
        request: Request::DataSm(message.clone()),
    };
    esme.command(request(&message)).await;
    let (status, given) = esme.answered().await;
    assert_eq!(status, CommandStatus::OK);
    let messages = node.accepted().await;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (messages[0].id.to_string(), messages[0].parts[0].data.as_slice()),
        (given, b"Hello by data_sm".as_slice())
    );
    message.destination = smsgw_smpp::Address::international("331700000001").unwrap();
    esme.command(request(&message)).await;
    assert_eq!(
        esme.answered().await.0,
        CommandStatus::INVALID_DESTINATION,
        "no route"
    );
    let mut old = node
        .bind_as("acme", "a long secret", BindKind::Transmitter, 0x33)
        .await
        .unwrap();
    old.command(request(&message)).await;
    assert!(
        matches!(old.event().await, EsmeEvent::NotSent { .. }),
        "3.3 has no data_sm"
    );
    assert_eq!(node.waiting(), 0);
}

#[tokio::test]
async fn two_clients_with_full_windows_are_each_answered_all_they_asked() {
    const EACH: u64 = 1500;
    let node = Node::start("window = 20", "window = 20").await;
    node.engine.set(Mood::Delay(Duration::from_millis(2)));
    let mut first = node.bind().await;
    let mut second = node
        .bind_as("other", "secret", BindKind::Transceiver, 0x34)
        .await
        .unwrap();
    let run = async |esme: &mut Esme| {
        for tag in 0..EACH {
            esme.submit(tag, text("Hello")).await;
        }
        let mut ids = BTreeSet::new();
        for _ in 0..EACH {
            let (status, id) = esme.answered().await;
            assert_eq!(status, CommandStatus::OK);
            ids.insert(id);
        }
        ids
    };
    let (a, b) = tokio::join!(run(&mut first), run(&mut second));
    assert_eq!((a.len(), b.len()), (1500, 1500));
    assert!(a.is_disjoint(&b));
    assert_eq!(node.waiting(), 2 * EACH);
    let submitted: Vec<_> = node
        .sessions
        .list()
        .iter()
        .map(|session| session.submitted)
        .collect();
    assert_eq!(submitted, [EACH, EACH]);
}

#[tokio::test]
async fn a_client_that_floods_does_not_hold_up_another_ones_single_submits() {
    const FLOOD: u64 = 2000;
    let node = Node::start("window = 10", "").await;
    node.engine.set(Mood::Delay(Duration::from_millis(20)));
    let flood = node.bind().await;
    let mut calm = node
        .bind_as("other", "secret", BindKind::Transceiver, 0x34)
        .await
        .unwrap();
    for tag in 0..FLOOD {
        flood.submit(tag, text("Hello")).await;
    }
    node.until("the flood has begun", |node| node.waiting() > 0).await;
    // Ten at a time the flood takes 200 commits of 20 ms: four seconds, for which nobody else may wait.
    for _ in 0..5 {
        let begun = std::time::Instant::now();
        assert_eq!(calm.answer(text("Hello")).await.0, CommandStatus::OK);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    let flooded = node
        .sessions
        .list()
        .iter()
        .find(|session| session.client == client("acme"))
        .map(|session| session.submitted)
        .unwrap();
    assert!((1..FLOOD).contains(&flooded), "{flooded}: it was under way");
}
