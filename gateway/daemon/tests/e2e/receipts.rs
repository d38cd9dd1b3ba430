//! Receipts that come too early or belong to nothing.

use crate::harness::World;
use serde_json::json;

#[tokio::test]
async fn a_receipt_before_its_answer_is_parked_and_matched() {
    let options = ["--receipt-before-answer", "--answer-delay", "300"];
    let mut world = World::start(&options, |settings| settings).await;
    let id = world.gateway.api.text("491700000001", "early").await;
    assert_eq!(
        world.receiver.report(&id).await.body["message"]["state"],
        "delivered"
    );
    let metrics = world.gateway.metrics().await;
    assert!(metrics.sum("smsgw_receipts_parked_total", &[("operator", "alpha")]) >= 1.0);
    assert!(metrics.sum("smsgw_receipts_unknown_total", &[]) < 0.5);
    let message = world.gateway.api.message_with(&id, "delivered_to_client").await;
    assert_eq!(
        message["parts"][0]["carrier_id"],
        world.carrier.submits()[0]["id"]
    );
    world.gateway.stop().await;
    assert_eq!(world.receiver.all().len(), 1);
}

#[tokio::test]
async fn a_parked_receipt_survives_a_kill_and_is_matched_after_it() {
    let options = ["--receipt-before-answer", "--answer-delay", "2000"];
    let mut world = World::start(&options, |settings| settings).await;
    let id = world.gateway.api.text("491700000001", "early").await;
    world
        .gateway
        .metric_at_least("smsgw_receipts_parked_total", &[("operator", "alpha")], 1.0)
        .await;
    world.gateway.kill().await;
    world.restart().await;
    // The killed submit's answer never came, so the part is sent again under a new id; its receipt is early as well.
    assert_eq!(
        world.receiver.report(&id).await.body["message"]["state"],
        "delivered"
    );
    let submits = world.carrier.submits();
    assert_eq!(submits.len(), 2);
    let message = world.gateway.api.message(&id).await;
    assert_eq!(message["parts"][0]["carrier_id"], submits[1]["id"]);
    world.gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_receipt_ends_as_a_dead_letter_and_is_counted() {
    let mut world = World::start(&[], |settings| {
        settings.line("limits", "parked_receipts = \"2s\"")
    })
    .await;
    world.carrier.events_at_least("bind", 1).await;
    world
        .carrier
        .command(&json!({"cmd": "receipt", "id": "no-such-id", "state": "DELIVRD"}))
        .await;
    world
        .carrier
        .ledger
        .wait("the receipt is answered", |entries| {
            entries
                .iter()
                .find(|entry| entry["kind"] == "receipt_answered" && entry["status"] == 0)
                .cloned()
        })
        .await;
    world
        .gateway
        .metric_at_least("smsgw_receipts_parked_total", &[("operator", "alpha")], 1.0)
        .await;
    world
        .gateway
        .metric_at_least("smsgw_receipts_unknown_total", &[("operator", "alpha")], 1.0)
        .await;
    let dead = [("queue", "up.3"), ("place", "dead_letter")];
    world
        .gateway
        .metric_at_least("smsgw_queue_depth", &dead, 1.0)
        .await;
    let reasons = [("queue", "up.3"), ("reason", "unknown_receipt")];
    let counted = world
        .gateway
        .metrics()
        .await
        .sum("smsgw_queue_dead_letters_total", &reasons);
    assert!((counted - 1.0).abs() < 0.5, "{counted}");
    world.gateway.stop().await;
    assert!(world.receiver.all().is_empty());
}

#[tokio::test]
async fn a_receipt_that_comes_twice_is_reported_once() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| settings).await;
    let id = world.gateway.api.text("491700000001", "once").await;
    world.receiver.report(&id).await;
    let carrier_id = world.carrier.submits()[0]["receipt_id"].clone();
    world
        .carrier
        .command(&json!({"cmd": "receipt", "id": carrier_id, "state": "UNDELIV"}))
        .await;
    world
        .gateway
        .metric_at_least("smsgw_receipts_duplicate_total", &[("operator", "alpha")], 1.0)
        .await;
    assert_eq!(
        world.gateway.api.message(&id).await["state"],
        "delivered",
        "the first final state stays"
    );
    world.gateway.stop().await;
    assert_eq!(world.receiver.all().len(), 1);
}
