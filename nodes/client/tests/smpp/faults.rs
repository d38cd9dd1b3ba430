//! Panics of the listener: the port opens again, who is bound does not notice.

use crate::harness::*;
use smsgw_runtime::ChildState;
use smsgw_smpp::{BindKind, CommandStatus};
use smsgw_testkit::restarts_below;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const LISTENER: &[&str] = &["client", "smpp", "listener"];

fn state(node: &Node) -> ChildState {
    node.tree.status().find(LISTENER).unwrap().state
}

/// Connects until the listener has panicked: another part may have asked the clock first.
async fn crash(node: &Node) -> TcpStream {
    for _ in 0..20 {
        node.luck.panic_by(1, 1000, 1);
        let stream = TcpStream::connect(node.address).await.unwrap();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if state(node) == ChildState::BackingOff {
                node.luck.calm();
                return stream;
            }
        }
    }
    panic!("the listener never panicked: {:#?}", node.tree.status());
}

#[tokio::test]
async fn a_panic_of_the_listener_opens_the_same_port_again_and_ends_no_session() {
    // The listener asks the clock whether an address is kept out.
    let node = Node::start("ban_after = 1000", "").await;
    let mut bystander = node.bind().await;
    assert_eq!(bystander.answer(text("before")).await.0, CommandStatus::OK);
    for panics in 1..=3 {
        let mut unlucky = crash(&node).await;
        let mut octets = Vec::new();
        let read = timeout(PATIENCE, unlucky.read_to_end(&mut octets)).await;
        assert!(read.is_ok() && octets.is_empty(), "{read:?} {octets:?}");
        assert_eq!(bystander.answer(text("while")).await.0, CommandStatus::OK);
        node.until("the listener is back", |node| state(node) == ChildState::Running)
            .await;
        let mut next = node
            .bind_as("other", "secret", BindKind::Transceiver, 0x34)
            .await
            .unwrap();
        assert_eq!(next.answer(text("after")).await.0, CommandStatus::OK);
        assert_eq!(node.tree.status().find(LISTENER).unwrap().restarts, panics);
    }
    let status = node.tree.status();
    let listener = status.find(LISTENER).unwrap();
    assert_eq!(
        listener.last_error.as_deref(),
        Some("panicked: the clock panicked")
    );
    assert_eq!(restarts_below(&status), 3, "nothing else was started again");
    let counted = smsgw_telemetry::exposition();
    let restarts = "smsgw_runtime_child_restarts_total{kind=\"listener\"} 3";
    assert!(counted.lines().any(|line| line == restarts), "{counted}");
    assert_eq!(node.waiting(), 7);
    // Those that panicked left no place among the connections taken.
    node.until("the others left", |node| node.sessions.list().len() == 1)
        .await;
    let open = smsgw_telemetry::exposition();
    let open = open
        .lines()
        .find_map(|line| line.strip_prefix("smsgw_esme_connections "));
    assert_eq!(open, Some("1"));
}
