//! Messages from phones by number, keyword and client; what a phone wants; what it is answered.

use crate::harness::{World, content};
use hyper::Method;
use serde_json::{Value, json};

const ROUTES: &str = r#"
[[route.mo]]
to = ["12*"]
client = "acme"
[[route.mo]]
to = ["12345"]
clients = ["acme", "other"]
mode = "all"
keyword = "win"
synonyms = ["выигрыш"]
reply = "Thank you, you take part."
reply_max = 1
[keywords]
defaults = ["en"]
[[keywords.set]]
words = ["basta"]
action = "opt_out"
reply = "No more messages."
"#;

fn mo(text: &str) -> Value {
    json!({"cmd": "mo", "from": "491700000007", "to": "12345", "text": text})
}

/// Waits until a text is at the carrier; it never is there more often.
async fn sent(world: &World, text: &str) {
    for least in 1.. {
        let submits = world.carrier.submits_at_least(least).await;
        let same = |submit: &&Value| content(submit) == text.as_bytes();
        match submits.iter().filter(same).count() {
            0 => {}
            there => return assert_eq!(there, 1, "{text:?}"),
        }
    }
}

#[tokio::test]
async fn a_phone_reaches_both_clients_is_answered_once_and_can_say_stop_and_start() {
    let mut world = World::start(&[], |settings| {
        settings
            .line("client.acme", "opt_out = true")
            .line("client.other", "api_key = \"other-key\"")
            .without_routes()
            .route_mt(&[], &["alpha"])
            .route(ROUTES)
    })
    .await;
    world.carrier.events_at_least("bind", 1).await;

    world.carrier.command(&mo("WIN! a car")).await;
    let first = world
        .receiver
        .mo("the entry", |mo| mo["text"] == "WIN! a car")
        .await;
    assert!(first.body["message"].get("keyword").is_none());
    world.carrier.command(&mo("win again")).await;
    world
        .receiver
        .mo("the second", |mo| mo["text"] == "win again")
        .await;
    sent(&world, "Thank you, you take part.").await;
    let guard = [("client", "acme"), ("outcome", "loop_guard")];
    world
        .gateway
        .metric_at_least("smsgw_client_replies_total", &guard, 1.0)
        .await;
    // The other client, without callback and binds, finds both in its inbox, under ids of their own.
    let inbox = world.gateway.api.with_key("other-key");
    let inbox = inbox
        .request(Method::GET, "/v1/inbox", Some("other-key"), "")
        .await
        .json();
    let events = inbox["events"].as_array().unwrap();
    let texts: Vec<&Value> = events.iter().map(|event| &event["message"]["text"]).collect();
    assert_eq!(texts, ["WIN! a car", "win again"], "{inbox}");
    assert_eq!(events[0]["message"]["id"], first.body["message"]["id"]);
    assert_ne!(events[0]["id"], first.body["id"]);

    world.carrier.command(&mo("Basta.")).await;
    let stop = world.receiver.mo("stop", |mo| mo["text"] == "Basta.").await;
    assert_eq!(stop.body["message"]["keyword"], "stop");
    sent(&world, "No more messages.").await;
    let message = json!({"to": "491700000007", "from": "12345", "text": "Buy now"});
    let answer = world.gateway.api.post(message.to_string()).await.unwrap();
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (422, &json!("opted_out"))
    );

    world.carrier.command(&mo("start")).await;
    let start = world.receiver.mo("start", |mo| mo["text"] == "start").await;
    assert_eq!(start.body["message"]["keyword"], "start");
    let answer = world.gateway.api.post(message.to_string()).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    sent(&world, "Buy now").await;
    sent(&world, "Thank you, you take part.").await;
    world.gateway.stop().await;
    world.carrier.assert_content();
}
