//! Requests that are repeated with an `Idempotency-Key`.

use crate::harness::{Node, post};
use smsgw_queue::EngineError;
use smsgw_testkit::Mood;

const HELLO: &str = r#"{"to":"+491700000001","text":"Hello"}"#;

fn with_key(key: &str, body: &str) -> String {
    post(body).replacen("\r\n", &format!("\r\nIdempotency-Key: {key}\r\n"), 1)
}

#[tokio::test]
async fn the_same_key_and_body_get_the_first_answer_and_make_one_message() {
    let node = Node::start("").await;
    let first = node.ask(&with_key("order-7", HELLO)).await;
    let again = node.ask(&with_key("order-7", HELLO)).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.json(), again.json());
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(node.accepted(), 1);

    let other = r#"{"to":"+491700000001","text":"Hello!"}"#;
    node.ask(&with_key("order-7", other))
        .await
        .is_problem(422, "idempotency_mismatch");
    assert_eq!(node.ask(&with_key("order-8", HELLO)).await.status, 202);
    assert_eq!(node.accepted(), 2);
    node.ask(&with_key("not a key", HELLO))
        .await
        .is_problem(422, "invalid_field");
}

#[tokio::test]
async fn requests_with_one_key_at_once_make_one_message_and_get_one_answer() {
    let node = Node::start("").await;
    // All look the key up before the first one is stored.
    node.engine
        .set(Mood::Delay(std::time::Duration::from_millis(200)));
    let mut peers = Vec::new();
    for _ in 0..8 {
        let mut peer = node.connect().await;
        peer.send(&with_key("order-7", HELLO)).await;
        peers.push(peer);
    }
    let mut ids = std::collections::BTreeSet::new();
    for mut peer in peers {
        let answer = peer.answer().await;
        assert_eq!(answer.status, 202, "{answer:?}");
        ids.insert(answer.json()["id"].to_string());
    }
    assert_eq!((ids.len(), node.accepted()), (1, 1));
}

#[tokio::test]
async fn a_request_that_was_refused_leaves_no_key_behind() {
    let node = Node::start("").await;
    node.engine.set(Mood::Refusing(EngineError::NoSpace));
    node.ask(&with_key("order-7", HELLO))
        .await
        .is_problem(503, "overloaded");
    node.engine.set(Mood::Calm);
    node.ask(&with_key("order-7", "{}"))
        .await
        .is_problem(422, "invalid_field");
    let answer = node.ask(&with_key("order-7", HELLO)).await;
    assert_eq!(
        (answer.status, answer.header("idempotency-replayed")),
        (202, None)
    );
}
