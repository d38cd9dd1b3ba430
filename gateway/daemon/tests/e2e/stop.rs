//! SIGTERM: what is outstanding is waited for, what is queued stays, and the links are unbound.

use crate::harness::{Carrier, Gateway, Receiver, World, free_port, usual};

#[tokio::test]
async fn sigterm_drains_and_queued_messages_go_out_after_the_restart() {
    let receiver = Receiver::start().await;
    let port = free_port();
    let dir = tempfile::tempdir().unwrap();
    usual(port, &receiver.url()).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(gateway.api.text("491700000001", &format!("queued {n}")).await);
    }
    gateway.stop().await;

    let carrier = Carrier::start_on(port, &["--receipt-delay", "5"]).await;
    let mut gateway = Gateway::start(dir.path()).await;
    for id in &ids {
        assert_eq!(receiver.report(id).await.body["message"]["state"], "delivered");
    }
    assert!(
        gateway.metrics().await.sum("smsgw_operator_in_doubt_total", &[]) < 0.5,
        "nothing was in doubt"
    );
    gateway.stop().await;
    assert_eq!(carrier.submits().len(), 10);
}

#[tokio::test]
async fn sigterm_waits_for_outstanding_answers_and_unbinds() {
    let mut world = World::start(&["--receipt-delay", "5", "--answer-delay", "700"], |settings| {
        settings
    })
    .await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(
            world
                .gateway
                .api
                .text("491700000001", &format!("outstanding {n}"))
                .await,
        );
    }
    world.carrier.submits_at_least(5).await;
    world.gateway.stop().await;
    world.carrier.events_at_least("closed", 1).await;
    assert_eq!(world.carrier.events("socket_error"), 0, "unbound, not torn off");

    world.restart().await;
    for id in &ids {
        assert_eq!(
            world.receiver.report(id).await.body["message"]["state"],
            "delivered"
        );
    }
    assert!(
        world
            .gateway
            .metrics()
            .await
            .sum("smsgw_operator_in_doubt_total", &[])
            < 0.5,
        "nothing was in doubt"
    );
    world.gateway.stop().await;
    assert_eq!(
        world.carrier.submits().len(),
        5,
        "answered before the end: nothing is sent twice"
    );
}

#[tokio::test]
async fn undelivered_callbacks_survive_the_stop() {
    let port = free_port();
    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &format!("http://127.0.0.1:{port}/events"))
        .line("callback", "retry = [\"200ms\", \"500ms for 10m\"]")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let id = gateway.api.text("491700000001", "nobody listens").await;
    gateway
        .metric_at_least("smsgw_callback_attempts_total", &[("outcome", "connect")], 1.0)
        .await;
    gateway.stop().await;

    let receiver = Receiver::start_on(port).await;
    let mut gateway = Gateway::start(dir.path()).await;
    let report = receiver.report(&id).await;
    assert!(report.attempt >= 2, "attempts are remembered: {}", report.attempt);
    gateway.stop().await;
    assert_eq!(carrier.submits().len(), 1);
}
