//! What clients' endpoints see of the real binary: signatures that the reference library takes, replies that become messages, and
//! every event in spite of kills.

use crate::harness::{Carrier, Gateway, Process, Receiver, World, peers, root, usual};
use serde_json::{Value, json};
use tokio::process::Command;

const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const NEXT: &str = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY";

/// `ops/peers/webhook.py`: a client's endpoint that is not ours.
async fn endpoint(words: &[&str]) -> (Process, String) {
    let mut command = Command::new(peers().join("venv/bin/python"));
    command.arg(root().join("ops/peers/webhook.py")).args(words);
    let process = Process::spawn("webhook.py", command);
    let line: Value = serde_json::from_str(&process.out.nth(0).await).unwrap();
    let url = format!("http://127.0.0.1:{}/events", line["port"]);
    (process, url)
}

async fn line(endpoint: &Process, what: &str, judge: impl Fn(&Value) -> bool) -> Value {
    endpoint
        .out
        .wait(what, |lines| {
            let read = lines.iter().map(|line| {
                serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            });
            read.skip(1).find(|line| judge(line))
        })
        .await
}

#[tokio::test]
async fn signatures_are_those_that_the_reference_library_takes_with_either_key() {
    let (endpoint, url) = endpoint(&[KEY, NEXT, "whsec_d3Jvbmd3cm9uZ3dyb25nd3Jvbmd3cm9uZzAw"]).await;
    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &url)
        .line("client.acme.callback_policy", &format!("signing_key = \"{KEY}\""))
        .line(
            "client.acme.callback_policy",
            &format!("next_signing_key = \"{NEXT}\""),
        )
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let id = gateway.api.text("491700000001", "signed").await;
    let seen = line(&endpoint, "a report", |line| line["message"] == *id).await;
    assert_eq!(
        (&seen["verified_by"], &seen["changed_is_refused"]),
        (&json!([0, 1]), &json!(true)),
        "{seen}"
    );
    assert_eq!(seen["id"], seen["event"]);
    gateway.stop().await;
}

#[tokio::test]
async fn the_answer_to_an_mo_becomes_a_message_and_a_loop_ends() {
    let (endpoint, url) = endpoint(&["--reply", "Danke & bis bald"]).await;
    let mut carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &url)
        .line("client.acme.callback_policy", "replies = true")
        .line("client.acme.callback_policy", "replies_max = 2")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    carrier.events_at_least("bind", 1).await;
    for n in 0..3 {
        let text = format!("Hallo {n}");
        carrier
            .command(&json!({"cmd": "mo", "from": "491700000001", "to": "12345", "text": text}))
            .await;
    }
    let submits = carrier.submits_at_least(2).await;
    for submit in &submits {
        let said = (submit["dest"].as_str(), submit["source"].as_str());
        assert_eq!(said, (Some("491700000001"), Some("12345")), "{submit}");
    }
    let refused = [("client", "acme"), ("outcome", "too_many_replies")];
    gateway
        .metric_at_least("smsgw_client_replies_total", &refused, 1.0)
        .await;
    assert_eq!(carrier.submits().len(), 2, "the third reply was refused");
    let depth = gateway.metrics().await;
    let kept = [("queue", "client.requests"), ("place", "dead_letter")];
    assert!((depth.sum("smsgw_queue_depth", &kept) - 1.0).abs() < 0.5);
    line(&endpoint, "the report of a reply", |line| {
        line["type"] == "report"
    })
    .await;
    gateway.stop().await;
}

/// `SMSGW_CALLBACK_KILLS` sets how often (3).
#[tokio::test]
async fn every_event_arrives_in_spite_of_kills() {
    let kills =
        std::env::var("SMSGW_CALLBACK_KILLS").map_or(3, |text| text.parse().expect("a number of kills"));
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings
            .line("callback", "retry = [\"100ms for 10m\"]")
            .line("client.acme.callback_policy", "batch = 1")
    })
    .await;
    let mut ids = Vec::new();
    for round in 0..=kills {
        // Some of what is under way fails, some is killed in the middle.
        world.receiver.answer_badly(503, 5);
        for n in 0..40 {
            ids.push(
                world
                    .gateway
                    .api
                    .text("491700000001", &format!("{round}/{n}"))
                    .await,
            );
        }
        if round < kills {
            world.gateway.kill().await;
            world.restart().await;
        }
    }
    println!("{kills} kills, {} messages", ids.len());
    for id in &ids {
        let report = world.receiver.report(id).await;
        assert_eq!(report.body["message"]["state"], "delivered");
    }
    let events: std::collections::BTreeSet<String> = world
        .receiver
        .all()
        .iter()
        .map(|callback| callback.body["id"].to_string())
        .collect();
    assert_eq!(
        events.len(),
        ids.len(),
        "one event for each message, however often it was sent"
    );
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_policy_that_is_wrong_is_told_with_its_place() {
    let receiver = Receiver::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = usual(1, &receiver.url())
        .line("client.acme.callback_policy", "format = \"get\"")
        .line("client.acme.callback_policy", "parameters = { s = \"{stat}\" }")
        .line("client.acme.callback_policy", "signing_key = \"whsec_c2hvcnQ=\"")
        .write(dir.path());
    let mut check = Gateway::tool(&["check", file.to_str().unwrap()]);
    assert_eq!(check.ended().await.code(), Some(2));
    let said = check.err.read(|lines| lines.join("\n")) + &check.out.read(|lines| lines.join("\n"));
    assert!(
        said.contains("\"stat\" is not one of") && said.contains("did you mean \"state\"?"),
        "{said}"
    );
    assert!(said.contains("24 to 64") && !said.contains("c2hvcnQ"), "{said}");
}
