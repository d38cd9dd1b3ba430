//! A batch is killed in the middle, again and again, and every recipient gets one message.
//!
//! No carrier is there, so that what was made of the batch can be counted where it waits.

use crate::harness::{Gateway, PATIENCE, Settings, eventually, free_port};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Recipients of the batch.
const RECIPIENTS: usize = 20_000;
/// Kills while it runs.
const KILLS: usize = 4;

async fn batch(gateway: &Gateway, id: &str) -> Value {
    let path = format!("/v1/batches/{id}");
    let answer = gateway
        .api
        .request(Method::GET, &path, Some("acme-key"), "")
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_batch_that_is_killed_again_and_again_sends_one_message_to_each_recipient() {
    let dir = tempfile::tempdir().unwrap();
    Settings::new()
        .operator("alpha", free_port())
        .client("acme", "http://127.0.0.1:9/")
        .route_mt(&[], &["alpha"])
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let to: Vec<String> = (0..RECIPIENTS).map(|n| format!("4917{n:08}")).collect();
    let body = json!({"to": to, "text": "one each"}).to_string();
    let answer = gateway
        .api
        .request(Method::POST, "/v1/batches", Some("acme-key"), &body)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();

    let mut kills = 0;
    let mut last = 0;
    while kills < KILLS {
        // Each life does a good piece of the work, and is killed in the middle of the next one.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = batch(&gateway, &id).await;
            let accepted = seen["accepted"].as_u64().unwrap();
            if accepted >= last + 1_500 {
                last = accepted;
                break;
            }
            assert!(Instant::now() < deadline, "no progress: {seen}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gateway.kill().await;
        kills += 1;
        gateway = Gateway::start(dir.path()).await;
        let seen = batch(&gateway, &id).await;
        assert!(
            seen["accepted"].as_u64().unwrap() >= last,
            "what was told is durable: {seen}"
        );
    }
    println!("{kills} kills, the last one at {last} of {RECIPIENTS}");
    assert!(last < RECIPIENTS as u64, "every kill was in the middle");

    let end = eventually("the batch is completed", || async {
        let seen = batch(&gateway, &id).await;
        (seen["state"] == "completed").then_some(seen)
    })
    .await;
    assert_eq!(end["accepted"], json!(RECIPIENTS));
    eventually("every message waits for the carrier, once", || async {
        let metrics = gateway.metrics().await;
        let waits = |queue| metrics.sum("smsgw_queue_depth", &[("queue", queue)]);
        let (routed, left) = (waits("mt.operator.alpha"), waits("mt.accepted"));
        assert!(
            routed + left <= RECIPIENTS as f64 + 0.5,
            "{routed} and {left}: too many"
        );
        (routed > RECIPIENTS as f64 - 0.5).then_some(())
    })
    .await;
    let (mut phones, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/batches/{id}/results?limit=1000{cursor}");
        let page = gateway
            .api
            .request(Method::GET, &path, Some("acme-key"), "")
            .await
            .json();
        for line in page["results"].as_array().unwrap() {
            phones.insert(line["to"].as_str().unwrap().to_owned());
            ids.insert(line["id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((phones.len(), ids.len()), (RECIPIENTS, RECIPIENTS));
    gateway.stop().await;
}
