//! Callback targets that are down, answer badly or may not be called.

use crate::harness::{Carrier, Gateway, Receiver, World, free_port, usual};
use serde_json::json;

const LADDER: &str = "retry = [\"100ms\", \"200ms\", \"400ms for 10m\"]";

#[tokio::test]
async fn a_target_that_comes_back_gets_its_report() {
    let port = free_port();
    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &format!("http://127.0.0.1:{port}/events"))
        .line("callback", LADDER)
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let id = gateway.api.text("491700000001", "patience").await;
    let refused = [("client", "acme"), ("outcome", "connect")];
    gateway
        .metric_at_least("smsgw_callback_attempts_total", &refused, 2.0)
        .await;
    assert_eq!(
        gateway.api.message(&id).await["state"],
        "delivered",
        "the message does not wait for its report"
    );

    let receiver = Receiver::start_on(port).await;
    let report = receiver.report(&id).await;
    assert!(report.attempt >= 3, "{}", report.attempt);
    gateway.api.message_with(&id, "delivered_to_client").await;
    let delivered = [("client", "acme"), ("outcome", "delivered")];
    let metrics = gateway.metrics().await;
    assert!((metrics.sum("smsgw_callback_attempts_total", &delivered) - 1.0).abs() < 0.5);
    gateway.stop().await;
    assert_eq!(receiver.all().len(), 1);
}

#[tokio::test]
async fn a_bad_answer_is_tried_again_with_the_same_event() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("callback", LADDER)
    })
    .await;
    world.receiver.answer_badly(503, 2);
    let id = world.gateway.api.text("491700000001", "try again").await;
    world.receiver.report(&id).await;
    let callbacks = world.receiver.about(&id);
    let seen: Vec<(u32, u16)> = callbacks
        .iter()
        .map(|callback| (callback.attempt, callback.answered))
        .collect();
    assert_eq!(seen, [(1, 503), (2, 503), (3, 200)]);
    assert!(
        callbacks
            .iter()
            .all(|callback| callback.body == callbacks[0].body),
        "{callbacks:#?}"
    );
    world
        .gateway
        .metric_at_least("smsgw_callback_attempts_total", &[("outcome", "status")], 2.0)
        .await;
    world.gateway.stop().await;
    assert_eq!(world.receiver.all().len(), 3);
}

#[tokio::test]
async fn a_private_target_is_not_called_unless_allowed() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings
            .line("callback", "allow = [\"127.0.0.1/32\"]")
            .line("callback", LADDER)
    })
    .await;
    let forbidden = format!("http://127.0.0.2:{}/events", world.receiver.port);
    let blocked = world
        .gateway
        .api
        .submit(&json!({"to": "491700000001", "text": "a", "callback": forbidden}))
        .await;
    let allowed = world.gateway.api.text("491700000001", "b").await;
    world.receiver.report(&allowed).await;
    let labels = [("client", "acme"), ("outcome", "blocked")];
    world
        .gateway
        .metric_at_least("smsgw_callback_attempts_total", &labels, 2.0)
        .await;
    let id = blocked["id"].as_str().unwrap();
    let message = world.gateway.api.message(id).await;
    assert_eq!(message["state"], "delivered");
    let told = message["events"]
        .as_array()
        .unwrap()
        .iter()
        .any(|event| event["event"] == "delivered_to_client");
    assert!(!told, "{message:#}");

    // Allowed by a reload, it is not called in vain any more.
    world
        .settings
        .clone()
        .line("callback", "allow = [\"127.0.0.0/8\"]")
        .write(world.dir.path());
    world.gateway.hang_up();
    world
        .gateway
        .metric_at_least("smsgw_callback_attempts_total", &[("outcome", "connect")], 1.0)
        .await;
    world.gateway.stop().await;
    assert!(world.receiver.about(id).is_empty());
}
