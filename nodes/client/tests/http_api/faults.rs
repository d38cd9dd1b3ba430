//! Panics and failures at every seam of a request: its connection ends, no other one does, and a key keeps a repeated
//! request from making a second message.

use crate::harness::{HELLO, Node, post};
use smsgw_message::{Dispatch, Record};
use smsgw_queue::{Engine, QueueName, Want};
use smsgw_runtime::ChildState;
use smsgw_testkit::{Prank, Pranks, restarts_below};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

fn with_key(key: &str) -> String {
    post(HELLO).replacen("\r\n", &format!("\r\nIdempotency-Key: {key}\r\n"), 1)
}

#[tokio::test]
async fn requests_repeated_through_panics_and_lost_answers_make_one_message_each() {
    let (mut panics, mut repeats) = (0, 0);
    for seed in 0..6 {
        let node = Node::start("").await;
        // One connection that is open all the time and must not notice.
        let mut bystander = node.connect().await;
        bystander.send(&with_key("bystander")).await;
        assert_eq!(bystander.answer().await.status, 202);
        node.engine.play(
            Pranks::by(seed)
                .with(Prank::PanicBefore, 80)
                .with(Prank::PanicAfter, 120)
                .with(Prank::LoseAnswer, 120)
                .with(Prank::Refuse, 80)
                .with(Prank::Delay, 50)
                .at_most(60),
        );
        node.luck.panic_by(seed, 30, 10);
        let mut ids = BTreeSet::new();
        for n in 0..60 {
            let mut tries = 0;
            let id = loop {
                tries += 1;
                assert!(tries < 50, "seed {seed}: {n} is never accepted");
                let mut peer = node.connect().await;
                peer.send(&with_key(&format!("order-{n}"))).await;
                match peer.try_answer(false).await {
                    Some(answer) if answer.status == 202 => break answer.json()["id"].to_string(),
                    Some(answer) => assert!(matches!(answer.status, 500 | 503), "{answer:?}"),
                    None => {}
                }
                repeats += 1;
            };
            assert!(ids.insert(id), "seed {seed}: two keys, one message");
        }
        panics += node.engine.panics() + node.luck.panics();
        node.engine.calm();
        node.luck.calm();
        bystander.send(&with_key("bystander-2")).await;
        assert_eq!(bystander.answer().await.status, 202);
        let queue = QueueName::from("mt.operator.alpha");
        let want = Want::new(1_000, Duration::ZERO);
        let accepted = node.memory.checkout(&queue, want).await.unwrap();
        let messages: BTreeSet<String> = accepted
            .iter()
            .map(|delivery| {
                Dispatch::from_record(delivery.record())
                    .unwrap()
                    .message
                    .to_string()
            })
            .collect();
        assert_eq!(
            (accepted.len(), messages.len()),
            (62, 62),
            "seed {seed}: one message a key"
        );
        let answered: BTreeSet<String> = ids.iter().map(|id| id.trim_matches('"').to_owned()).collect();
        assert!(
            answered.is_subset(&messages),
            "seed {seed}: what was answered is there"
        );
        assert_eq!(
            restarts_below(&node.tree.status()),
            0,
            "a request is not the listener"
        );
        assert_eq!(node.neighbour.load(Ordering::SeqCst), 1);
        node.tree.stop().await;
    }
    assert!(panics > 60 && repeats > 100, "{panics} panics, {repeats} repeats");
    let counted = smsgw_telemetry::exposition();
    let line = counted
        .lines()
        .find_map(|line| line.strip_prefix("smsgw_http_connection_panics_total "));
    assert_eq!(line.unwrap().parse::<usize>().unwrap(), panics);
}

#[tokio::test]
async fn a_panic_of_the_listener_opens_the_same_port_again_and_ends_no_connection() {
    // The listener asks the clock whether an address is kept out.
    let node = Node::start("ban_after = 1000").await;
    let mut bystander = node.connect().await;
    bystander.send(&with_key("before")).await;
    assert_eq!(bystander.answer().await.status, 202);
    let restarts = |node: &Node| node.tree.status().find(&["client", "http"]).unwrap().restarts;
    for panics in 1..=3 {
        let mut unlucky = crash(&node, panics).await;
        // Its connection was taken, and is gone without an answer.
        let mut octets = Vec::new();
        let read = timeout(Duration::from_secs(5), unlucky.read_to_end(&mut octets)).await;
        assert!(read.is_ok() && octets.is_empty(), "{read:?} {octets:?}");
        bystander.send(&with_key(&format!("while-{panics}"))).await;
        assert_eq!(bystander.answer().await.status, 202, "open while nobody listens");
        let listens = || node.tree.status().find(&["client", "http"]).unwrap().state == ChildState::Running;
        while !listens() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut next = node.connect().await;
        next.send(&with_key(&format!("after-{panics}"))).await;
        assert_eq!(next.answer().await.status, 202);
        assert_eq!(restarts(&node), panics);
    }
    let status = node.tree.status();
    let listener = status.find(&["client", "http"]).unwrap();
    assert_eq!(
        listener.last_error.as_deref(),
        Some("panicked: the clock panicked")
    );
    assert_eq!(restarts_below(&status), 3, "nothing else was started again");
    let counted = smsgw_telemetry::exposition();
    let restarts = "smsgw_runtime_child_restarts_total{kind=\"listener\"} 3";
    assert!(counted.lines().any(|line| line == restarts), "{counted}");
    assert_eq!(node.neighbour.load(Ordering::SeqCst), 1);
    assert_eq!(node.accepted(), 7);
    // The one from before the panics still ends in order.
    node.tree.drain().await;
    assert!(bystander.try_answer(false).await.is_none());
}

/// Connects until the listener has panicked so many times: another part may have asked the clock first.
async fn crash(node: &Node, panics: u64) -> TcpStream {
    for _ in 0..20 {
        node.luck.panic_by(panics, 1000, 1);
        let stream = TcpStream::connect(node.address).await.unwrap();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if node.tree.status().find(&["client", "http"]).unwrap().state == ChildState::BackingOff {
                node.luck.calm();
                return stream;
            }
        }
    }
    panic!("the listener never panicked: {:#?}", node.tree.status());
}
