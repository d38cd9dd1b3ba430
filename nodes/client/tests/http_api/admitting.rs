//! What admission refuses, as a client over HTTP sees it: opt-outs and quotas.

use crate::harness::*;
use serde_json::json;
use smsgw_message::{ClientId, OptOut, Record, Timestamp, names};
use smsgw_queue::{Engine, EngineError, Expiry, Step, StepId};
use smsgw_testkit::Mood;
use std::time::Duration;

/// SHA-256 of `read-key`.
const READ_KEY: &str = "8578df6c579d44d3bf7caeada69ed9cbca30b318a50a0e60216b46760edf5477";

fn request(method: &str, path: &str, key: &str, body: &str) -> String {
    format!(
        "{method} /v1/opt-outs/{path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn put(path: &str) -> String {
    request("PUT", path, "acme-key", "")
}

fn message(to: &str, from: &str) -> String {
    post(&json!({"to": to, "from": from, "text": "Hello"}).to_string())
}

async fn checked() -> Node {
    Node::with(config("", &format!("{ACME}\nopt_out = true"))).await
}

#[tokio::test]
async fn a_phone_that_opted_out_gets_no_message_of_the_account_until_it_is_taken_back() {
    let node = checked().await;
    assert_eq!(node.ask(&message("491700000001", "12345")).await.status, 202);
    let before = node.ask(&request("GET", "+491700000001", "acme-key", "")).await;
    assert_eq!(
        before.json(),
        json!({"to": "491700000001", "listed": false, "opted_out": false, "enforced": true})
    );
    let first = node.ask(&put("491700000001")).await;
    assert_eq!(first.status, 200, "{first:?}");
    let first = first.json();
    assert_eq!(
        (&first["listed"], &first["opted_out"]),
        (&true.into(), &true.into()),
        "{first}"
    );
    let again = node.ask(&put("%2B491700000001")).await.json();
    assert_eq!(
        again, first,
        "the same again changes nothing, not even since when"
    );
    for from in ["12345", "OTHER"] {
        let refused = node.ask(&message("+491700000001", from)).await;
        refused.is_problem(422, "opted_out");
        assert_eq!(refused.json()["field"], "to");
    }
    assert_eq!(node.ask(&message("491700000002", "12345")).await.status, 202);
    assert_eq!(node.accepted(), 2, "what is refused is not there");
    let end = request("DELETE", "491700000001", "acme-key", "");
    for _ in 0..2 {
        let taken_back = node.ask(&end).await;
        assert_eq!((taken_back.status, &taken_back.json()), (200, &before.json()));
    }
    assert_eq!(node.ask(&message("491700000001", "12345")).await.status, 202);
}

#[tokio::test]
async fn an_entry_for_one_sender_leaves_the_others_and_a_wider_one_covers_it() {
    let node = checked().await;
    let listed = node.ask(&put("491700000001?from=ACME")).await.json();
    assert_eq!(
        (&listed["from"], &listed["listed"]),
        (&"ACME".into(), &true.into())
    );
    node.ask(&message("491700000001", "ACME"))
        .await
        .is_problem(422, "opted_out");
    assert_eq!(node.ask(&message("491700000001", "12345")).await.status, 202);
    let wide = node
        .ask(&request("GET", "491700000001", "acme-key", ""))
        .await
        .json();
    assert_eq!(wide["opted_out"], false, "{wide}");
    // Numbers as senders are the same however they are written.
    node.ask(&put("491700000001?from=%2B4915112345678")).await;
    node.ask(&message("491700000001", "004915112345678"))
        .await
        .is_problem(422, "opted_out");
    assert_eq!(node.ask(&put("491700000001")).await.status, 200);
    let narrow = node
        .ask(&request("DELETE", "491700000001?from=ACME", "acme-key", ""))
        .await
        .json();
    assert_eq!(
        (&narrow["listed"], &narrow["opted_out"]),
        (&false.into(), &true.into())
    );
    node.ask(&message("491700000001", "ACME"))
        .await
        .is_problem(422, "opted_out");
}

#[tokio::test]
async fn an_entry_is_durable_before_the_answer_and_goes_when_its_time_is_over() {
    let node = checked().await;
    let key = names::opted_out_of_client(
        &ClientId::try_new("acme").unwrap(),
        &smsgw_message::Address::msisdn("491700000001").unwrap(),
    );
    node.engine.set(Mood::Delay(Duration::from_millis(700)));
    let mut peer = node.connect().await;
    let until = "2099-01-31T10:00:00+01:00";
    let body = json!({ "expires_at": until }).to_string();
    peer.send(&request("PUT", "491700000001", "acme-key", &body))
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(node.memory.get(vec![key.clone().into()]).await.unwrap(), [None]);
    let answer = peer.answer().await.json();
    node.engine.set(Mood::Calm);
    assert_eq!(answer["expires_at"], "2099-01-31T09:00:00.000Z");
    let stored = node.memory.get(vec![key.clone().into()]).await.unwrap();
    let stored = OptOut::from_record(&stored[0].as_ref().unwrap().value).unwrap();
    assert_eq!(stored.until, Timestamp::from_rfc3339(until));
    // Without a time the entry stays until it is deleted.
    assert_eq!(
        node.ask(&put("491700000001")).await.json().get("expires_at"),
        None
    );
    let soon = Timestamp::from_millis(
        Timestamp::from_rfc3339(answer["since"].as_str().unwrap())
            .unwrap()
            .as_millis()
            + 3_000,
    );
    let body = json!({ "expires_at": soon.to_string() }).to_string();
    let answer = node.ask(&request("PUT", "491700000001", "acme-key", &body)).await;
    assert_eq!(answer.json()["opted_out"], true, "{answer:?}");
    for look in 0.. {
        if node.ask(&message("491700000001", "12345")).await.status == 202 {
            break;
        }
        assert!(look < 80, "the entry outlives its time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_list_binds_its_account_alone_and_waits_until_the_check_is_switched_on() {
    let node = Node::start("").await;
    let listed = node.ask(&put("491700000001")).await.json();
    assert_eq!(
        (&listed["listed"], &listed["enforced"]),
        (&true.into(), &false.into())
    );
    assert_eq!(node.ask(&message("491700000001", "12345")).await.status, 202);
    node.config
        .publish(config("", &format!("{ACME}\nopt_out = true")));
    node.ask(&message("491700000001", "12345"))
        .await
        .is_problem(422, "opted_out");
    let others = node
        .ask(&request("GET", "491700000001", "other-key", ""))
        .await
        .json();
    assert_eq!(
        (&others["opted_out"], &others["since"]),
        (&false.into(), &json!(null))
    );
    let other = post_as("Bearer other-key", HELLO);
    assert_eq!(node.ask(&other).await.status, 202);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_its_phone_in_peace() {
    let node = checked().await;
    let acme = ClientId::try_new("acme").unwrap();
    let key = names::opted_out_of_client(&acme, &smsgw_message::Address::msisdn("491700000001").unwrap());
    Step::new(StepId::from_bytes([1; 16]))
        .put(key, "x".into(), Expiry::Owner)
        .commit(node.memory.as_ref())
        .await
        .unwrap();
    let seen = node
        .ask(&request("GET", "491700000001", "acme-key", ""))
        .await
        .json();
    assert_eq!((&seen["listed"], seen.get("since")), (&true.into(), None));
    node.ask(&message("491700000001", "12345"))
        .await
        .is_problem(422, "opted_out");
}

#[tokio::test]
async fn what_is_no_entry_is_refused_by_its_code_and_an_engine_that_cannot_store_is_503() {
    let node = Node::with(config(
        "request_timeout = \"1s\"",
        &format!("{ACME}\n[[client.acme.keys]]\nsha256 = \"{READ_KEY}\"\nscopes = [\"read\"]"),
    ))
    .await;
    for (path, body, status, code) in [
        ("12", "", 422, "invalid_number"),
        ("4917000x", "", 422, "invalid_number"),
        ("491700000001?from=", "", 422, "invalid_number"),
        ("491700000001?to=1", "", 422, "unknown_field"),
        ("491700000001", "{", 400, "invalid_json"),
        ("491700000001", "{\"expires\":1}", 422, "unknown_field"),
        (
            "491700000001",
            "{\"expires_at\":\"2020-01-01T00:00:00Z\"}",
            422,
            "invalid_field",
        ),
    ] {
        let answer = node.ask(&request("PUT", path, "acme-key", body)).await;
        answer.is_problem(status, code);
        assert!(!answer.body.contains("4917"), "{answer:?}");
    }
    let wrong = node.ask(&request("POST", "491700000001", "acme-key", "")).await;
    wrong.is_problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("DELETE, GET, HEAD, PUT"));
    for method in ["PUT", "DELETE"] {
        node.ask(&request(method, "491700000001", "read-key", ""))
            .await
            .is_problem(403, "forbidden");
    }
    assert_eq!(
        node.ask(&request("GET", "491700000001", "read-key", ""))
            .await
            .status,
        200
    );
    node.engine.set(Mood::Refusing(EngineError::NoSpace));
    for method in ["PUT", "GET", "DELETE"] {
        node.ask(&request(method, "491700000001", "acme-key", ""))
            .await
            .is_problem(503, "overloaded");
    }
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_429_until_the_next_period_and_limits_tell_what_is_left() {
    let node = Node::with(config("", &format!("{ACME}\nquota_day = 5\nquota_month = 100"))).await;
    let text =
        |parts: usize| post(&json!({"to": "491700000001", "text": "x".repeat(153 * parts)}).to_string());
    assert_eq!(node.ask(&text(3)).await.status, 202);
    let left = |limits: &serde_json::Value| {
        let quotas = limits["quotas"].as_array().unwrap().clone();
        let of =
            |quota: &serde_json::Value| (quota["used"].as_u64().unwrap(), quota["left"].as_u64().unwrap());
        assert_eq!(
            (&quotas[0]["period"], &quotas[1]["period"]),
            (&"day".into(), &"month".into())
        );
        (of(&quotas[0]), of(&quotas[1]))
    };
    let limits = node.ask(&get("/v1/limits", "acme-key")).await.json();
    assert_eq!(left(&limits), ((3, 2), (3, 97)));
    let refused = node.ask(&text(3)).await;
    refused.is_problem(429, "quota_exceeded");
    let resets = Timestamp::from_rfc3339(limits["quotas"][0]["resets_at"].as_str().unwrap()).unwrap();
    let now =
        Timestamp::from_millis(i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap());
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    let until = resets.since(now).as_secs();
    assert!(
        after.abs_diff(until) <= 5 || after.abs_diff(until + 86_400) <= 5,
        "{after} s, not {until}"
    );
    assert_eq!(
        left(&node.ask(&get("/v1/limits", "acme-key")).await.json()),
        ((3, 2), (3, 97)),
        "a refusal takes nothing"
    );
    assert_eq!(node.ask(&text(2)).await.status, 202, "fewer parts still fit");
    node.ask(&text(1)).await.is_problem(429, "quota_exceeded");
    assert_eq!(
        left(&node.ask(&get("/v1/limits", "acme-key")).await.json()),
        ((5, 0), (5, 95))
    );
    assert_eq!(node.accepted(), 2);
    assert_eq!(node.ask(&post_as("Bearer other-key", HELLO)).await.status, 202);
    node.config
        .publish(config("", &format!("{ACME}\nquota_day = 6\nquota_month = 5")));
    node.ask(&text(1)).await.is_problem(429, "quota_exceeded");
    node.config
        .publish(config("", &format!("{ACME}\nquota_day = 6\nquota_month = 100")));
    assert_eq!(
        node.ask(&text(1)).await.status,
        202,
        "a quota that grew holds at once"
    );
}

const PREPAID: &str = "[client.acme.credit]\nkind = \"prepaid\"\noverdraft = \"0.05\"\n[[price]]\nprice = \"0.1\"\ncurrency = \
                       \"EUR\"\n";

/// Pays into the account of `acme`, as the counter node does.
async fn pay(node: &Node, amount: i64) {
    let acme = ClientId::try_new("acme").unwrap();
    let key = names::credit(&acme, "EUR", names::CREDIT_BALANCE);
    let step = Step::new(StepId::from_bytes(rand::random())).add(key, amount, None, Expiry::Owner);
    step.commit(node.memory.as_ref()).await.unwrap();
}

#[tokio::test]
async fn a_prepaid_account_sends_what_it_can_pay_for_and_sees_its_balance() {
    let node = Node::with(config("", &format!("{ACME}\n{PREPAID}"))).await;
    let balance = async || {
        let answer = node.ask(&get("/v1/balance", "acme-key")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    assert_eq!(
        balance().await,
        json!({"balance": "0", "reserved": "0", "overdraft": "0.05", "currency": "EUR"})
    );
    let hello = message("491700000001", "12345");
    node.ask(&hello).await.is_problem(422, "insufficient_credit");
    pay(&node, 250_000).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        let answer = node.ask(&hello).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json()["price"]["total"], "0.1");
    }
    node.ask(&hello).await.is_problem(422, "insufficient_credit");
    assert_eq!(
        balance().await,
        json!({"balance": "-0.05", "reserved": "0.3", "overdraft": "0.05", "currency": "EUR"})
    );
    assert_eq!(node.accepted(), 3, "what is refused is not there");
    node.ask(&get("/v1/balance", "other-key"))
        .await
        .is_problem(404, "not_prepaid");
    node.engine
        .set(Mood::Refusing(EngineError::Read("broken".to_owned())));
    node.ask(&get("/v1/balance", "acme-key"))
        .await
        .is_problem(503, "overloaded");
}

#[tokio::test]
async fn a_message_shows_its_number_once_it_has_one() {
    let node = Node::start("").await;
    let id = node.ask(&message("491700000001", "12345")).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/messages/{id}");
    let before = node.ask(&get(&path, "acme-key")).await.json();
    assert!(before.get("number").is_none(), "{before}");
    let key = names::number_of(id.parse().unwrap());
    let step =
        Step::new(StepId::from_bytes([9; 16])).put(key, 7_i64.to_be_bytes().to_vec().into(), Expiry::Owner);
    step.commit(node.memory.as_ref()).await.unwrap();
    assert_eq!(node.ask(&get(&path, "acme-key")).await.json()["number"], 7);
}

#[tokio::test]
async fn a_batch_takes_what_the_credit_pays_for_and_refuses_the_other_lines() {
    let node = Node::with(config("", &format!("{ACME}\n{PREPAID}"))).await;
    pay(&node, 350_000).await;
    let to: Vec<String> = (0..10).map(|n| format!("4917000000{n:02}")).collect();
    let body = json!({"to": to, "from": "12345", "text": "Hello"}).to_string();
    let request = format!(
        "POST /v1/batches HTTP/1.1\r\nhost: t\r\nauthorization: Bearer acme-key\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = node.ask(&request).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let end = loop {
        let seen = node
            .ask(&get(&format!("/v1/batches/{id}"), "acme-key"))
            .await
            .json();
        if seen["state"] == "completed" {
            break seen;
        }
        assert!(std::time::Instant::now() < deadline, "{seen}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // 0.35 and an overdraft of 0.05 are four messages of 0.1.
    assert_eq!(end["accepted"], 4, "{end}");
    assert_eq!(node.accepted(), 4);
    let balance = node.ask(&get("/v1/balance", "acme-key")).await.json();
    assert_eq!(
        (&balance["balance"], &balance["reserved"]),
        (&json!("-0.05"), &json!("0.4"))
    );
}
