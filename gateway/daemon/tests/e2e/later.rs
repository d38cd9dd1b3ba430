//! Messages for later over a `kill -9`, and messages that are withdrawn: before their time, and in the queue of an operator.

use crate::harness::World;
use hyper::Method;
use serde_json::{Value, json};
use smsgw_message::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

async fn withdraw(world: &World, id: &str) -> (u16, Value) {
    let path = format!("/v1/messages/{id}");
    let answer = world
        .gateway
        .api
        .request(Method::DELETE, &path, Some("acme-key"), "")
        .await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_message_for_later_survives_a_kill_and_is_sent_once_in_its_time() {
    let mut world = World::start(&[], |settings| settings).await;
    let at = now().after(Duration::from_secs(4));
    let later = |to: &str| json!({"from": "12345", "to": to, "text": "later", "send_at": at.to_string()});
    let sent = world.gateway.api.submit(&later("491700000001")).await;
    let dropped = world.gateway.api.submit(&later("491700000002")).await;
    assert_eq!(
        (&sent["state"], &dropped["state"]),
        (&json!("scheduled"), &json!("scheduled"))
    );
    let (sent, dropped) = (sent["id"].as_str().unwrap(), dropped["id"].as_str().unwrap());
    assert_eq!(withdraw(&world, dropped).await.0, 202);
    world.gateway.api.message_once(dropped, "cancelled").await;
    world.receiver.report(dropped).await;
    world.gateway.kill().await;
    world.restart().await;
    assert_eq!(world.gateway.api.message(sent).await["state"], "scheduled");
    let submit = world.carrier.submits_at_least(1).await.remove(0);
    assert!(now() >= at, "not before its time");
    assert_eq!(submit["dest"], "491700000001");
    world.gateway.api.message_once(sent, "delivered").await;
    let (status, problem) = withdraw(&world, sent).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")));
    assert_eq!(world.carrier.submits().len(), 1);
}

#[tokio::test]
async fn a_message_in_an_operators_queue_is_withdrawn_and_its_neighbours_go_on() {
    let world = World::start(&[], |settings| settings.line("operator.alpha", "rate = 2")).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(world.gateway.api.text(&format!("49170000000{n}"), "Hello").await);
    }
    let last = ids.pop().unwrap();
    let (status, answer) = withdraw(&world, &last).await;
    assert_eq!(
        (status, &answer["cancel_requested"]),
        (202, &json!(true)),
        "{answer}"
    );
    let message = world.gateway.api.message_once(&last, "cancelled").await;
    assert_eq!(message["parts"][0]["state"], "cancelled");
    let report = world.receiver.report(&last).await;
    assert_eq!(report.body["message"]["state"], "cancelled");
    for id in &ids {
        world.gateway.api.message_once(id, "delivered").await;
    }
    assert_eq!(world.carrier.submits().len(), 9);
}
