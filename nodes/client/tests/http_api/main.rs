//! The HTTP API on a real socket with the memory engine: what clients may rely on, and what hostile ones get.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod access;
mod admitting;
mod batches;
mod faults;
mod harness;
mod idempotency;
mod inboxes;
mod replies;
mod sending;
mod tls;

use harness::*;
use smsgw_message::{Dispatch, Event, EventName, MessageId, MessageLife, MessageState, Record, names};
use smsgw_queue::{EngineError, Expected, Expiry, Op};
use smsgw_runtime::Exit;
use smsgw_testkit::Mood;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn an_accept_is_one_step_with_message_life_and_events() {
    let node = Node::start("").await;
    let answer = node.ask(&post(HELLO)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["to"], "491700000001");
    assert_eq!(
        (&body["state"], &body["encoding"], &body["parts"]),
        (&"accepted".into(), &"gsm7".into(), &1.into())
    );
    let id: MessageId = body["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        answer.header("location"),
        Some(format!("/v1/messages/{id}").as_str())
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    {
        let steps = node.steps();
        assert_eq!(steps.len(), 1);
        let [
            Op::Put(index, last, Expected::Any, Expiry::At(gone)),
            Op::Publish(queue, lane, record, None),
            Op::Put(key, life, Expected::Absent, Expiry::Alarm(at, alarms, _)),
            Op::Append(log, event),
            Op::Append(_, routed),
        ] = steps[0].ops()
        else {
            panic!("{:?}", steps[0]);
        };
        assert_eq!(
            (queue.as_str(), lane.flow.as_str(), lane.class.as_str()),
            ("mt.operator.alpha", "acme", "otp")
        );
        let life = MessageLife::from_record(life).unwrap();
        assert_eq!((life.state, life.route), (MessageState::Queued, Some(1)));
        let message = &life.message;
        assert_eq!(
            Some(Dispatch::from_record(record).unwrap()),
            life.dispatch(1, &"alpha".parse().unwrap())
        );
        assert_eq!((message.id, message.reference.as_deref()), (id, Some("order-7")));
        assert_eq!(
            message.valid_until,
            message.accepted_at.after(Duration::from_secs(600))
        );
        assert_eq!(key.as_str(), names::message(id));
        assert!(index.as_str().starts_with("byref/acme/"), "{index:?}");
        assert_eq!(
            (&last[..], *gone),
            (
                &id.as_bytes()[..],
                message
                    .valid_until
                    .after(Duration::from_secs((24 + 7 * 24) * 3600))
            )
        );
        assert_eq!(
            (*at, alarms.as_str()),
            (
                message.valid_until.after(Duration::from_secs(24 * 3600)),
                "alarms"
            )
        );
        let event = Event::from_record(event).unwrap();
        assert_eq!(
            (log.as_str(), event.name, event.message),
            ("events", EventName::MtAccepted, Some(id))
        );
        let routed = Event::from_record(routed).unwrap();
        assert_eq!((routed.name, routed.message), (EventName::MtRouted, Some(id)));
        assert_eq!(routed.operator.unwrap().as_str(), "alpha");
    }
    let path = format!("/v1/messages/{id}");
    let view = node.ask(&get(&path, "acme-key")).await;
    assert_eq!(view.status, 200);
    assert_eq!(view.json()["events"][0]["event"], "mt_accepted");
    assert_eq!(view.json()["events"][1]["event"], "mt_routed");
    assert_eq!(view.json()["parts"][0]["state"], "queued");
    node.ask(&get(&path, "other-key"))
        .await
        .is_problem(404, "not_found");
    let mut peer = node.connect().await;
    peer.send(&get(&path, "acme-key").replace("GET", "HEAD")).await;
    let head = peer.try_answer(true).await.unwrap();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, view.header("content-length"))
    );
    assert_eq!(node.tree.drain().await, Exit::Stopped);
}

#[tokio::test]
async fn nothing_is_answered_before_the_commit() {
    let node = Node::start("").await;
    node.engine.set(Mood::Delay(Duration::from_secs(1)));
    let mut peer = node.connect().await;
    peer.send(&post(HELLO)).await;
    let mut early = [0; 1];
    assert!(
        timeout(Duration::from_millis(200), peer.stream.read(&mut early))
            .await
            .is_err()
    );
    assert_eq!(node.accepted(), 0);
    assert_eq!(peer.answer().await.status, 202);
    assert_eq!(node.accepted(), 1);
}

#[tokio::test]
async fn a_full_gateway_is_503_with_retry_after_until_there_is_room() {
    use smsgw_queue::{Bound, Bounds, Engine};
    let node = Node::start("").await;
    node.engine.set_bounds(Bounds {
        engine: Bound {
            records: 1,
            ..Bound::NONE
        },
        ..Bounds::NONE
    });
    assert_eq!(node.ask(&post(HELLO)).await.status, 202);
    let refused = node.ask(&post(HELLO)).await;
    refused.is_problem(503, "overloaded");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(node.accepted(), 1);
    node.engine.set_bounds(Bounds::NONE);
    assert_eq!(node.ask(&post(HELLO)).await.status, 202);
}

#[tokio::test]
async fn a_full_queue_of_an_operator_refuses_what_would_go_there() {
    use smsgw_queue::{Bound, Bounds, Engine};
    let node = Node::start(
        "[operator.beta]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\npassword = \"x\"\n\
         [[route.mt]]\nprefix = [\"43\"]\noperators = [\"beta\"]",
    )
    .await;
    node.engine.set_bounds(Bounds {
        queue: Bound {
            records: 2,
            ..Bound::NONE
        },
        ..Bounds::NONE
    });
    let elsewhere = HELLO.replace("+49", "+43");
    for (request, expected) in [
        (HELLO, 202),
        (HELLO, 202),
        (HELLO, 503),
        (&elsewhere, 202),
        (HELLO, 503),
    ] {
        assert_eq!(node.ask(&post(request)).await.status, expected, "{request}");
    }
    node.ask(&post(HELLO)).await.is_problem(503, "overloaded");
    assert_eq!(node.accepted(), 2);
}

#[tokio::test]
async fn an_engine_that_cannot_store_is_503_and_stores_nothing() {
    let node = Node::start("request_timeout = \"1s\"").await;
    let errors = [
        EngineError::NoSpace,
        EngineError::Closed,
        EngineError::Poisoned("fdatasync".into()),
        EngineError::Read("io".into()),
    ];
    let path = format!("/v1/messages/{}", MessageId::from_bytes([1; 16]));
    for error in errors {
        node.engine.set(Mood::Refusing(error));
        node.ask(&post(HELLO)).await.is_problem(503, "overloaded");
        node.ask(&get(&path, "acme-key"))
            .await
            .is_problem(503, "overloaded");
    }
    node.engine.set(Mood::Stuck);
    let start = Instant::now();
    node.ask(&post(HELLO)).await.is_problem(503, "overloaded");
    node.ask(&get(&path, "acme-key"))
        .await
        .is_problem(503, "overloaded");
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_eq!(node.accepted(), 0);
    node.engine.set(Mood::Calm);
    assert_eq!(node.ask(&post(HELLO)).await.status, 202);
}

#[tokio::test]
async fn every_refusal_has_its_status_code_and_headers_and_repeats_no_secret() {
    let node = Node::start("").await;
    let long = format!(r#"{{"to":"491700000001","text":"{}"}}"#, "geheim ".repeat(300));
    let bodies = [
        ("{", 400, "invalid_json"),
        ("", 400, "invalid_json"),
        (r#"["geheim"]"#, 400, "invalid_json"),
        (
            r#"{"to":"491700000001","text":"geheim","text":"geheim"}"#,
            400,
            "invalid_json",
        ),
        (r#"{"to":491700000001,"text":"geheim"}"#, 400, "invalid_json"),
        (
            r#"{"to":"491700000001","text":"geheim","colour":1}"#,
            422,
            "unknown_field",
        ),
        (r#"{"to":"49170000000x","text":"geheim"}"#, 422, "invalid_number"),
        (
            r#"{"to":"491700000001","text":"geheim","from":"Weit zu lang"}"#,
            422,
            "invalid_number",
        ),
        (
            r#"{"to":"491700000001","text":"geheim","class":"vip"}"#,
            422,
            "invalid_field",
        ),
        (r#"{"to":"331700000001","text":"geheim"}"#, 422, "no_route"),
        (&long, 422, "text_too_long"),
    ];
    for (body, status, code) in bodies {
        let answer = node.ask(&post(body)).await;
        answer.is_problem(status, code);
        assert!(
            !answer.body.contains("geheim") && !answer.body.contains("acme-key"),
            "{answer:?}"
        );
        assert!(!answer.body.contains("70000000"), "{answer:?}");
    }
    let authorizations = [
        "",
        "Bearer",
        "Bearer ",
        "Basic acme-key",
        "Bearer acme-ke",
        "Bearer acme-key2",
        "acme-key",
    ];
    for authorization in authorizations {
        let answer = node.ask(&post_as(authorization, HELLO)).await;
        answer.is_problem(401, "unauthorized");
        assert!(!answer.body.contains("acme-ke"), "{answer:?}");
    }
    let twice = post_as("Bearer acme-key\r\nauthorization: Bearer acme-key", HELLO);
    node.ask(&twice).await.is_problem(401, "unauthorized");
    node.ask("GET / HTTP/1.1\r\nhost: t\r\n\r\n")
        .await
        .is_problem(401, "unauthorized");
    for path in [
        "/",
        "/v1",
        "/v1/messages/",
        "/v1/messages/x",
        "/v1/messagesx",
        "/v1/messages/a/b",
        "/v1/messages/%00",
    ] {
        node.ask(&get(path, "acme-key"))
            .await
            .is_problem(404, "not_found");
    }
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let answer = node
            .ask(&get("/v1/messages", "acme-key").replace("GET", method))
            .await;
        answer.is_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
    }
    let answer = node
        .ask(&get("/v1/messages/x", "acme-key").replace("GET", "PUT"))
        .await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("DELETE, GET, HEAD"));
    assert_eq!(node.accepted(), 0);
    assert_eq!(node.ask(&post_as("bearer   acme-key", HELLO)).await.status, 202);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_even_to_a_client_that_writes_first_and_reads_later() {
    let node = Node::start("body_limit = \"64KiB\"").await;
    let body = "x".repeat(150 * 1024);
    node.ask(&post(&body)).await.is_problem(413, "body_too_large");
    let head = "POST /v1/messages HTTP/1.1\r\nhost: t\r\nauthorization: Bearer acme-key\r\n";
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    node.ask(&chunked).await.is_problem(413, "body_too_large");
    // Asked first, the client need not send at all.
    let start = Instant::now();
    node.ask(&format!(
        "{head}expect: 100-continue\r\ncontent-length: 100000\r\n\r\n"
    ))
    .await
    .is_problem(413, "body_too_large");
    assert!(start.elapsed() < Duration::from_millis(500));
    node.ask(&post_as("Bearer wrong", &body))
        .await
        .is_problem(401, "unauthorized");
    let fits = format!(r#"{{"to":"491700000001","text":"a"{}}}"#, " ".repeat(60_000));
    assert_eq!(node.ask(&post(&fits)).await.status, 202);
}

#[tokio::test]
async fn slow_heads_slow_bodies_and_peers_that_never_read_are_given_up_and_hold_no_place() {
    let node = Node::start("header_timeout = \"1s\"\nrequest_timeout = \"1s\"\nmax_in_flight = 1").await;
    let mut silent = node.connect().await;
    let mut slow_head = node.connect().await;
    slow_head.send("POST /v1/messages HTTP/1.1\r\nhost:").await;
    let mut slow_body = node.connect().await;
    slow_body.send(&post(HELLO)[..140]).await;
    let mut deaf = node.connect().await;
    let flood = get("/v1/messages/x", "acme-key").repeat(1000);
    let flooding = tokio::spawn(async move {
        // Ends with an error once the gateway has given up.
        while deaf.stream.write_all(flood.as_bytes()).await.is_ok() {}
    });
    assert_eq!(
        node.ask(&post(HELLO)).await.status,
        202,
        "a slow body holds no place"
    );
    slow_body.answer().await.is_problem(400, "invalid_json");
    assert!(slow_body.is_closed_within(Duration::from_secs(1)).await);
    assert!(slow_head.is_closed_within(Duration::from_secs(2)).await);
    assert!(silent.is_closed_within(Duration::from_secs(2)).await);
    timeout(Duration::from_secs(6), flooding)
        .await
        .expect("the deaf peer is given up")
        .unwrap();
    assert_eq!(node.accepted(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_a_stray_newline_delays_nothing() {
    let node = Node::start("").await;
    let mut peer = node.connect().await;
    let bad = post("{");
    peer.send(&format!(
        "{}{bad}{}",
        post(HELLO),
        get("/v1/messages/x", "acme-key")
    ))
    .await;
    assert_eq!(peer.answer().await.status, 202);
    assert_eq!(peer.answer().await.status, 400);
    assert_eq!(peer.answer().await.status, 404);
    let start = Instant::now();
    peer.send(&format!("{}\r\n", post(HELLO))).await;
    assert_eq!(peer.answer().await.status, 202);
    peer.send(&post(HELLO)).await;
    assert_eq!(peer.answer().await.status, 202);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn limits_on_connections_and_on_waiting_requests_hold_and_follow_a_reload() {
    let node = Node::start("max_connections = 2\nmax_in_flight = 1").await;
    node.engine.set(Mood::Delay(Duration::from_millis(800)));
    let (mut first, mut second) = (node.connect().await, node.connect().await);
    first.send(&post(HELLO)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    second.send(&post(HELLO)).await;
    second.answer().await.is_problem(503, "overloaded");
    assert_eq!(first.answer().await.status, 202);
    assert!(
        node.connect()
            .await
            .is_closed_within(Duration::from_secs(1))
            .await
    );
    node.config
        .publish(config("max_connections = 3\nmax_in_flight = 2", ACME));
    let mut third = node.connect().await;
    second.send(&post(HELLO)).await;
    third.send(&post(HELLO)).await;
    assert_eq!(
        (second.answer().await.status, third.answer().await.status),
        (202, 202)
    );
    drop((first, second, third));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(node.ask(&post(HELLO)).await.status, 202, "places come back");
}

#[tokio::test]
async fn above_its_rate_a_client_gets_429_and_others_do_not_and_a_reload_forgets_nothing() {
    let limited = format!("{ACME}\nrate = 0.2\nburst = 3");
    let node = Node::with(config("", &limited)).await;
    for _ in 0..3 {
        assert_eq!(node.ask(&post(HELLO)).await.status, 202);
    }
    node.ask(&post(HELLO)).await.is_problem(429, "rate_limited");
    node.config
        .publish(config("", &format!("{limited}\ndefault_from = \"X\"")));
    node.ask(&post(HELLO)).await.is_problem(429, "rate_limited");
    assert_eq!(node.ask(&post_as("Bearer other-key", HELLO)).await.status, 202);
}

#[tokio::test]
async fn a_reload_counts_from_the_next_request_of_an_open_connection() {
    let node = Node::start("").await;
    let mut peer = node.connect().await;
    peer.send(&post(HELLO)).await;
    assert_eq!(peer.answer().await.status, 202);
    node.config.publish(config("", "api_key = \"new-key\""));
    peer.send(&post(HELLO)).await;
    peer.answer().await.is_problem(401, "unauthorized");
    peer.send(&post_as("Bearer new-key", HELLO)).await;
    assert_eq!(peer.answer().await.status, 202);
}

#[tokio::test]
async fn a_drain_answers_what_was_read_closes_idle_connections_and_refuses_new_ones() {
    let node = Node::start("").await;
    let mut fresh = node.connect().await;
    let mut idle = node.connect().await;
    idle.send(&post(HELLO)).await;
    assert_eq!(idle.answer().await.status, 202);
    node.engine.set(Mood::Delay(Duration::from_millis(600)));
    let mut busy = node.connect().await;
    busy.send(&post(HELLO)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let tree = node.tree.clone();
    let start = Instant::now();
    let drained = tokio::spawn(async move { tree.drain().await });
    assert!(idle.is_closed_within(Duration::from_secs(2)).await);
    assert!(fresh.is_closed_within(Duration::from_secs(2)).await);
    assert!(TcpStream::connect(node.address).await.is_err());
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (202, Some("close")));
    assert_eq!(drained.await.unwrap(), Exit::Stopped);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(node.accepted(), 2);
}
