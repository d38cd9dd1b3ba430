//! Batches: what is promised, what comes of each line, and that a client can stop one.

use crate::harness::*;
use serde_json::{Value, json};
use smsgw_message::{MtMessage, Record, names};
use smsgw_queue::{Engine, Op, QueueName, Want};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;

fn request(path: &str, body: &str, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer acme-key\r\n{more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn batch(body: &str) -> String {
    request("/v1/batches", body, "")
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("4917{n:08}")).collect()
}

async fn view(node: &Node, id: &str) -> Value {
    let answer = node.ask(&get(&format!("/v1/batches/{id}"), "acme-key")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn once(node: &Node, id: &str, state: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = view(node, id).await;
        if seen["state"] == state {
            return seen;
        }
        assert!(Instant::now() < deadline, "not {state}: {seen}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Every message in the queue for the router.
async fn messages(node: &Node) -> Vec<MtMessage> {
    let queue = QueueName::from(names::MT_ACCEPTED);
    let mut all = Vec::new();
    loop {
        let taken = node
            .memory
            .checkout(&queue, Want::new(500, Duration::ZERO))
            .await
            .unwrap();
        if taken.is_empty() {
            return all;
        }
        for delivery in &taken {
            all.push(MtMessage::from_record(delivery.record()).unwrap());
            let step = smsgw_queue::Step::from(delivery).settle(delivery);
            step.commit(node.memory.as_ref()).await.unwrap();
        }
    }
}

async fn results(node: &Node, id: &str, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/batches/{id}/results?limit={limit}{cursor}");
        let answer = node.ask(&get(&path, "acme-key")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        let lines = page["results"].as_array().unwrap();
        assert!(lines.len() <= limit);
        all.extend(lines.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_text_to_many_becomes_one_message_for_each_number_that_is_one() {
    let node = Node::start("").await;
    let mut to = numbers(1_203);
    to[100] = "12".to_owned();
    to[1_202] = "no number".to_owned();
    let body = json!({"to": to, "text": "Hello", "class": "bulk", "reference": "spring"}).to_string();
    let answer = node.ask(&batch(&body)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let accepted = answer.json();
    let id = accepted["id"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.header("location"),
        Some(format!("/v1/batches/{id}").as_str())
    );
    assert_eq!(
        (&accepted["total"], &accepted["refused"], &accepted["pending"]),
        (&json!(1203), &json!({"invalid_number": 2}), &json!(1201))
    );
    assert_eq!(
        accepted["refused_lines"][0],
        json!({"line": 101, "state": "refused", "to": "12", "code": "invalid_number", "field": "to"})
    );
    let seen = once(&node, &id, "completed").await;
    assert_eq!((&seen["accepted"], &seen["pending"]), (&json!(1201), &json!(0)));
    assert_eq!(seen["reference"], "spring");
    assert!(seen["finished_at"].is_string());

    let sent = messages(&node).await;
    let phones: BTreeSet<&str> = sent.iter().map(|message| message.to.as_str()).collect();
    let ids: BTreeSet<_> = sent.iter().map(|message| message.id).collect();
    assert_eq!((sent.len(), phones.len(), ids.len()), (1201, 1201, 1201));
    assert!(sent.iter().all(|message| {
        message.batch.unwrap().to_string() == id && message.reference.as_deref() == Some("spring")
    }));

    let lines = results(&node, &id, 77).await;
    assert_eq!(lines.len(), 1203);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["line"], json!(index + 1));
        assert_eq!(line["state"] == "refused", [100, 1202].contains(&index), "{line}");
        if line["state"] == "accepted" {
            assert_eq!(line["to"], json!(to[index]));
            assert!(ids.contains(&line["id"].as_str().unwrap().parse().unwrap()));
        }
    }
    let first = lines[0]["id"].as_str().unwrap();
    let message = node.ask(&get(&format!("/v1/messages/{first}"), "acme-key")).await;
    assert_eq!(message.json()["batch"], json!(id));
    node.ask(&get(&format!("/v1/batches/{id}"), "other-key"))
        .await
        .is_problem(404, "not_found");
    let list = node.ask(&get("/v1/batches?limit=1", "acme-key")).await.json();
    assert_eq!(
        (&list["batches"][0]["id"], &list["next"]),
        (&json!(id), &Value::Null)
    );
    assert_eq!(
        node.ask(&get("/v1/batches", "other-key")).await.json()["batches"],
        json!([])
    );
}

#[tokio::test]
async fn a_body_is_stored_once_and_a_key_makes_one_batch() {
    let node = Node::start("").await;
    let body = |to: &[&str]| json!({"text": "the same", "to": to}).to_string();
    assert_eq!(node.ask(&batch(&body(&["491700000001"]))).await.status, 202);
    let key = "idempotency-key: b1\r\n";
    let first = node
        .ask(&request("/v1/batches", &body(&["491700000002"]), key))
        .await;
    let again = node
        .ask(&request("/v1/batches", &body(&["491700000002"]), key))
        .await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(
        (&first.body, again.header("idempotency-replayed")),
        (&again.body, Some("true"))
    );
    node.ask(&request("/v1/batches", &body(&["491700000003"]), key))
        .await
        .is_problem(422, "idempotency_mismatch");
    once(&node, first.json()["id"].as_str().unwrap(), "completed").await;
    assert_eq!(messages(&node).await.len(), 2);
    let mut bodies = BTreeSet::new();
    for step in node.engine.steps().iter() {
        for op in step.ops() {
            if let Op::Put(key, ..) = op
                && key.space() == "body"
            {
                bodies.insert(key.as_str().to_owned());
            }
        }
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn lines_are_judged_one_by_one() {
    let node = Node::start("").await;
    let body = "{\"to\":\"491700000001\",\"text\":\"a\"}\r\n\n{\"to\":\"1\",\"text\":\"b\"}\nnot json\n{\"to\":\"331234567\",\"text\":\"c\"}\n{\"to\":\"491700000002\"}";
    let answer = node
        .ask(&request(
            "/v1/batches",
            body,
            "content-type: application/x-ndjson; charset=utf-8\r\n",
        ))
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let seen = once(&node, &id, "completed").await;
    assert_eq!(
        (&seen["total"], &seen["accepted"], &seen["refused"]),
        (
            &json!(5),
            &json!(1),
            &json!({"invalid_number": 1, "invalid_json": 1, "no_route": 1, "invalid_field": 1})
        )
    );
    let lines = results(&node, &id, 100).await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["line"].as_u64().unwrap(),
                line["code"].as_str(),
                line["field"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, None, None),
            (3, Some("invalid_number"), Some("to")),
            (4, Some("invalid_json"), None),
            (5, Some("no_route"), Some("to")),
            (6, Some("invalid_field"), Some("text")),
        ]
    );
    assert_eq!(messages(&node).await.len(), 1);
}

#[tokio::test]
async fn a_batch_that_cannot_be_one_leaves_nothing_behind() {
    let node = Node::with(config(
        "upload_timeout = \"5s\"\n[limits]\nbatch_max = 300\n",
        ACME,
    ))
    .await;
    let many = json!({"to": numbers(301), "text": "x"}).to_string();
    node.ask(&batch(&many)).await.is_problem(413, "body_too_large");
    for (body, status, code) in [
        ("", 400, "invalid_json"),
        ("[]", 400, "invalid_json"),
        (r#"{"to":["491700000001"],"text":"x"} {"#, 400, "invalid_json"),
        (
            r#"{"to":["491700000001"],"to":[],"text":"x"}"#,
            400,
            "invalid_json",
        ),
        (r#"{"to":[],"text":"x"}"#, 422, "invalid_field"),
        (r#"{"to":"491700000001","text":"x"}"#, 422, "invalid_field"),
        (r#"{"text":"x"}"#, 422, "invalid_field"),
        (r#"{"to":["491700000001"]}"#, 422, "invalid_field"),
        (
            r#"{"to":["491700000001"],"text":"x","txt":"y"}"#,
            422,
            "unknown_field",
        ),
    ] {
        node.ask(&batch(body)).await.is_problem(status, code);
    }
    // A connection that breaks in the middle.
    let mut peer = node.connect().await;
    let half = json!({"to": numbers(250), "text": "x"}).to_string();
    let head = batch(&half);
    peer.send(&head[..head.len() - 10]).await;
    sleep(Duration::from_millis(300)).await;
    drop(peer);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (mut written, mut left) = (0, BTreeSet::new());
        for step in node.engine.steps().iter() {
            for op in step.ops() {
                match op {
                    Op::Put(key, ..) if key.space() == "batch-part" => {
                        written += 1;
                        left.insert(key.as_str().to_owned());
                    }
                    Op::Delete(key, _) => {
                        left.remove(key.as_str());
                    }
                    _ => {}
                }
            }
        }
        if left.is_empty() && written >= 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{left:?} of {written}");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        node.ask(&get("/v1/batches", "acme-key")).await.json()["batches"],
        json!([])
    );
    assert_eq!(node.accepted(), 0);
}

#[tokio::test]
async fn a_running_batch_is_paused_resumed_and_cancelled_within_a_second() {
    let acme = format!("{ACME}\nrate = 100\nburst = 5");
    let node = Node::with(config("", &acme)).await;
    let body = json!({"to": numbers(900), "text": "slow"}).to_string();
    let id = node.ask(&batch(&body)).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let order = |what: &str| request(&format!("/v1/batches/{id}/{what}"), "", "");
    sleep(Duration::from_millis(300)).await;
    let began = node.accepted();
    assert!((10..200).contains(&began), "at the account's rate: {began}");

    let paused = node.ask(&order("pause")).await;
    assert_eq!((paused.status, &paused.json()["state"]), (200, &json!("paused")));
    sleep(Duration::from_millis(500)).await;
    let stopped = node.accepted();
    sleep(Duration::from_millis(700)).await;
    assert_eq!(node.accepted(), stopped, "paused");
    assert_eq!(
        node.ask(&order("pause")).await.status,
        200,
        "once more is as once"
    );

    assert_eq!(node.ask(&order("resume")).await.json()["state"], "running");
    sleep(Duration::from_millis(500)).await;
    assert!(node.accepted() > stopped);

    assert_eq!(node.ask(&order("cancel")).await.json()["state"], "cancelled");
    sleep(Duration::from_millis(500)).await;
    let stopped = node.accepted();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(node.accepted(), stopped, "cancelled");
    let seen = view(&node, &id).await;
    assert_eq!(seen["state"], "cancelled");
    assert_eq!(seen["accepted"].as_u64().unwrap(), stopped);
    assert!(seen["finished_at"].is_string());
    node.ask(&order("resume")).await.is_problem(409, "conflict");
    let lines = results(&node, &id, 1000).await;
    assert_eq!(lines.last().unwrap()["state"], "cancelled");
    let sent = messages(&node).await;
    let phones: BTreeSet<&str> = sent.iter().map(|message| message.to.as_str()).collect();
    assert_eq!(phones.len(), sent.len(), "pauses double nothing");
    assert!(
        node.memory
            .queues()
            .iter()
            .all(|(name, depth)| name.as_str() != names::MT_BATCH
                || depth.ready + depth.deferred + depth.in_flight == 0)
    );
}
