//! Inboxes: pages, long polls, streams, acknowledgements, and what is dropped.

use crate::harness::*;
use serde_json::{Value, json};
use smsgw_message::{
    Address, ClientId, Down, DownKind, MessageId, MessageState, Record, Report, Timestamp, document, names,
};
use smsgw_queue::{Engine, LogName, Op, Position, Step, StepId};
use smsgw_runtime::{Clock, SystemClock};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

fn report(n: u8, at: Timestamp) -> Down {
    Down {
        event: MessageId::from_bytes([n; 16]),
        client: ClientId::try_new("acme").unwrap(),
        url: None,
        at,
        what: DownKind::Report(Report {
            message: MessageId::from_bytes([n; 16]),
            reference: Some(format!("order-{n}\n\"")),
            from: None,
            to: Address::msisdn("491700000001").unwrap(),
            state: MessageState::Delivered,
            error: None,
            accepted_at: at,
        }),
        for_bind: None,
    }
}

/// What the router does.
async fn put(node: &Node, n: u8, at: Timestamp) -> Value {
    let down = report(n, at);
    let log = names::inbox(&down.client);
    let step = Step::new(StepId::from_bytes([n; 16])).append(log, down.to_record());
    step.commit(node.memory.as_ref()).await.unwrap();
    serde_json::from_slice(&document::render(&down)).unwrap()
}

fn now() -> Timestamp {
    SystemClock.now()
}

async fn page(node: &Node, query: &str) -> Value {
    let answer = node.ask(&get(&format!("/v1/inbox{query}"), "acme-key")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn delete(query: &str) -> String {
    get(&format!("/v1/inbox{query}"), "acme-key").replace("GET", "DELETE")
}

#[tokio::test]
async fn what_is_not_acknowledged_is_given_again() {
    let node = Node::start("").await;
    let empty = page(&node, "").await;
    assert_eq!(
        (&empty["events"], &empty["cursor"], &empty["dropped"]),
        (&json!([]), &Value::Null, &json!(0))
    );
    let mut events = Vec::new();
    for n in 1..=5 {
        events.push(put(&node, n, now()).await);
    }
    let first = page(&node, "?limit=2").await;
    assert_eq!(first["events"], json!(events[..2]));
    assert_eq!(first["waiting"], json!(3));
    let cursor = first["cursor"].as_str().unwrap();
    let second = page(&node, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(second["events"], json!(events[2..4]));
    assert_eq!(
        page(&node, "?limit=2").await["events"],
        json!(events[..2]),
        "again"
    );

    let answer = node.ask(&delete(&format!("?through={cursor}"))).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"acknowledged": 2, "waiting": 3}))
    );
    let again = node.ask(&delete(&format!("?through={cursor}"))).await;
    assert_eq!(again.json(), json!({"acknowledged": 0, "waiting": 3}));
    assert_eq!(page(&node, "").await["events"], json!(events[2..]));
    let steps = node.engine.steps().clone();
    let told = steps
        .iter()
        .flat_map(Step::ops)
        .filter(|op| matches!(op, Op::Put(key, ..) if key.space() == "told"));
    assert_eq!(
        told.count(),
        2,
        "the life of a message shows that its client knows"
    );

    for (query, code) in [
        ("?cursor=x", "invalid_field"),
        ("?cursor=99", "invalid_field"),
        ("?limit=0", "invalid_field"),
        ("?wait=soon", "invalid_field"),
        ("?through=1", "unknown_field"),
    ] {
        let request = get(&format!("/v1/inbox{query}"), "acme-key");
        node.ask(&request).await.is_problem(422, code);
    }
    for query in ["", "?through=", "?through=-1", "?through=99"] {
        node.ask(&delete(query)).await.is_problem(422, "invalid_field");
    }
    let other = node.ask(&get("/v1/inbox", "other-key")).await;
    assert_eq!(other.json()["events"], json!([]));
}

#[tokio::test]
async fn a_long_poll_answers_when_something_comes_and_when_the_node_drains() {
    let node = Node::start("").await;
    let started = Instant::now();
    assert_eq!(page(&node, "?wait=200ms").await["events"], json!([]));
    assert!(started.elapsed() >= Duration::from_millis(200));
    let mut peer = node.connect().await;
    peer.send(&get("/v1/inbox?wait=30s", "acme-key")).await;
    sleep(Duration::from_millis(200)).await;
    let event = put(&node, 1, now()).await;
    assert_eq!(peer.answer().await.json()["events"], json!([event]));
    peer.send(&get("/v1/inbox?wait=30s&cursor=0", "acme-key")).await;
    sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    let (answer, _) = tokio::join!(peer.answer(), node.tree.drain());
    assert_eq!((answer.status, &answer.json()["events"]), (200, &json!([])));
    assert!(started.elapsed() < Duration::from_secs(5));
}

async fn until(peer: &mut Peer, text: &mut String, end: &str) {
    while !text.contains(end) {
        let mut octets = [0; 4096];
        let reading = timeout(Duration::from_secs(8), peer.stream.read(&mut octets));
        let read = reading
            .await
            .unwrap_or_else(|_| panic!("no {end:?} in {text}"))
            .unwrap();
        assert!(read > 0, "the stream ended without {end:?}: {text}");
        text.push_str(std::str::from_utf8(&octets[..read]).unwrap());
    }
}

#[tokio::test]
async fn a_stream_gives_events_as_they_come_and_goes_on_behind_the_last_one_seen() {
    let node = Node::with(config("[inbox]\nmax_readers = 1\n", ACME)).await;
    let first = put(&node, 1, now()).await;
    let stream = |last: &str| {
        format!(
            "GET /v1/inbox HTTP/1.1\r\nhost: t\r\nauthorization: Bearer acme-key\r\naccept: text/event-stream\r\n{last}\r\n"
        )
    };
    let mut peer = node.connect().await;
    peer.send(&stream("")).await;
    let mut text = String::new();
    until(&mut peer, &mut text, "id: 0\nevent: report\ndata: {").await;
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), first);
    node.ask(&get("/v1/inbox?wait=1s", "acme-key"))
        .await
        .is_problem(429, "rate_limited");
    put(&node, 2, now()).await;
    until(&mut peer, &mut text, "id: 1\nevent: report\ndata: {").await;
    drop(peer);

    // The slot is free once the server has seen that the peer is gone.
    put(&node, 3, now()).await;
    let deadline = Instant::now() + Duration::from_secs(8);
    let (mut peer, mut text) = loop {
        let mut peer = node.connect().await;
        peer.send(&stream("last-event-id: 0\r\n")).await;
        let mut text = String::new();
        until(&mut peer, &mut text, "\r\n\r\n").await;
        if text.starts_with("HTTP/1.1 200") {
            break (peer, text);
        }
        assert!(Instant::now() < deadline, "{text}");
        sleep(Duration::from_millis(50)).await;
    };
    until(&mut peer, &mut text, "id: 2\n").await;
    assert!(!text.contains("id: 0\n") && text.contains("id: 1\n"), "{text}");
    // A new configuration ends the stream: the account may be another one.
    node.config.publish(config("[inbox]\nmax_readers = 2\n", ACME));
    put(&node, 4, now()).await;
    // The last chunk has no octets (RFC 9112 section 7.1).
    until(&mut peer, &mut text, "\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_dropped_and_counted() {
    let node = Node::with(config("[inbox]\nmax_events = 3\nexpiry = \"60s\"\n", ACME)).await;
    for n in 1..=2 {
        put(&node, n, now().before(Duration::from_secs(120))).await;
    }
    let fresh: Vec<Value> = {
        let mut all = Vec::new();
        for n in 3..=8 {
            all.push(put(&node, n, now()).await);
        }
        all
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = page(&node, "").await;
        if seen["dropped"] == json!(5) {
            assert_eq!(seen["events"], json!(fresh[3..]));
            break;
        }
        assert!(Instant::now() < deadline, "{seen}");
        sleep(Duration::from_millis(50)).await;
    }
    let log = LogName::from("inbox.acme");
    let first = node
        .memory
        .read(&log, Position(0), 1, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(first[0].position, Position(5), "the log is trimmed");
}

#[tokio::test]
async fn an_account_that_is_gone_leaves_nothing_behind() {
    let gone = format!("{ACME}\n[client.gone]\napi_key = \"gone-key\"");
    let inbox = "[inbox]\nexpiry = \"60s\"\n";
    let node = Node::with(config(inbox, &gone)).await;
    let known = async || {
        let found = node
            .memory
            .get(vec!["inboxes".into(), "inbox/gone".into()])
            .await
            .unwrap();
        let list = found[0].as_ref().map_or(Vec::new(), |list| list.value.to_vec());
        (list.windows(4).any(|four| four == b"gone"), found[1].is_some())
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while !known().await.0 {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    }
    let old = report(1, now().before(Duration::from_secs(120)));
    let step = Step::new(StepId::from_bytes([1; 16])).append("inbox.gone", old.to_record());
    step.commit(node.memory.as_ref()).await.unwrap();
    while !known().await.1 {
        assert!(Instant::now() < deadline, "the event was dropped");
        sleep(Duration::from_millis(20)).await;
    }
    node.config.publish(config(inbox, ACME));
    while known().await != (false, false) {
        assert!(Instant::now() < deadline, "{:?}", known().await);
        sleep(Duration::from_millis(20)).await;
    }
    let log = LogName::from("inbox.gone");
    let left = node
        .memory
        .read(&log, Position(0), 1, Duration::ZERO)
        .await
        .unwrap();
    assert!(left.is_empty());
}
