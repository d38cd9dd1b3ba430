//! What carriers answer, or that they do not: down, refusing, throttling, undeliverable, silent.

use crate::harness::{Carrier, Gateway, Receiver, World, free_port, usual};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn while_the_carrier_is_down_messages_are_taken_and_go_out_when_it_comes() {
    let receiver = Receiver::start().await;
    let port = free_port();
    let dir = tempfile::tempdir().unwrap();
    usual(port, &receiver.url()).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;

    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(gateway.api.text("491700000001", &format!("waiting {n}")).await);
    }
    let queued = gateway.api.message_once(&ids[19], "queued").await;
    assert_eq!(queued["final"], false);
    assert_eq!(
        gateway.admin("/readyz").await.status,
        200,
        "a link that is down refuses nothing"
    );
    gateway
        .metric_at_least("smsgw_operator_reconnects_total", &[("operator", "alpha")], 2.0)
        .await;
    let depth = gateway
        .metrics()
        .await
        .sum("smsgw_queue_depth", &[("queue", "mt.operator.alpha")]);
    assert!((depth - 20.0).abs() < 0.5, "{depth}");

    let carrier = Carrier::start_on(port, &["--receipt-delay", "5"]).await;
    for id in &ids {
        assert_eq!(receiver.report(id).await.body["message"]["state"], "delivered");
    }
    gateway.stop().await;
    assert_eq!(carrier.submits().len(), 20, "each went out once");
    carrier.assert_content();
}

#[tokio::test]
async fn a_refusal_is_final_and_reported_and_an_undeliverable_receipt_fails_the_message() {
    let mut world = World::start(
        &[
            "--receipt-delay",
            "5",
            "--reject",
            "99=0x0b",
            "--receipt-suffix",
            "98=UNDELIV",
            "--receipt-suffix",
            "97=EXPIRED",
            "--receipt-suffix",
            "96=REJECTD",
            "--receipt-suffix",
            "95=DELETED",
        ],
        |settings| settings,
    )
    .await;
    let api = &world.gateway.api;
    let expected = [
        ("491700000099", "rejected", "ESME_RINVDSTADR"),
        ("491700000098", "failed", "001"),
        ("491700000097", "expired", "001"),
        ("491700000096", "rejected", "001"),
        ("491700000095", "cancelled", "001"),
    ];
    for (to, state, error) in expected {
        let id = api.text(to, "Hello").await;
        let report = world.receiver.report(&id).await;
        assert_eq!(report.body["message"]["state"], state, "{to}");
        assert_eq!(report.body["message"]["error"], error, "{to}");
        let message = api.message_with(&id, "delivered_to_client").await;
        assert_eq!(
            (&message["state"], &message["error"], &message["final"]),
            (&json!(state), &json!(error), &json!(true))
        );
    }
    world.gateway.stop().await;
    assert_eq!(
        world.carrier.submits().len(),
        expected.len(),
        "what is final is not tried again"
    );
}

#[tokio::test]
async fn what_the_carrier_throttles_arrives_later_and_costs_no_attempt() {
    let mut world = World::start(&["--receipt-delay", "5", "--rate", "5"], |settings| {
        settings
            .line("operator.alpha", "throttled_retry = \"200ms\"")
            .line("operator.alpha", "temporary_attempts = 1")
    })
    .await;
    let mut ids = Vec::new();
    for n in 0..15 {
        ids.push(world.gateway.api.text("491700000001", &format!("many {n}")).await);
    }
    for id in &ids {
        assert_eq!(
            world.receiver.report(id).await.body["message"]["state"],
            "delivered"
        );
    }
    let metrics = world.gateway.metrics().await;
    let throttled = metrics.sum("smsgw_operator_answers_total", &[("status", "ESME_RTHROTTLED")]);
    assert!(throttled >= 1.0, "the carrier has throttled: {throttled}");
    let released = metrics.sum("smsgw_operator_released_total", &[("reason", "throttled")]);
    assert!(
        (released - throttled).abs() < 0.5,
        "each came back once: {released} of {throttled}"
    );
    world.gateway.stop().await;
    let mut accepted = BTreeMap::<String, usize>::new();
    for submit in world
        .carrier
        .submits()
        .iter()
        .filter(|submit| submit["status"] == 0)
    {
        *accepted
            .entry(submit["short_message"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    assert_eq!(accepted.len(), 15);
    assert!(accepted.values().all(|times| *times == 1), "{accepted:?}");
}

#[tokio::test]
async fn a_lost_answer_puts_the_part_in_doubt_and_it_is_sent_again() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("limits", "parked_receipts = \"1s\"")
    })
    .await;
    world
        .carrier
        .command(&json!({"cmd": "silence", "on": true}))
        .await;
    let id = world.gateway.api.text("491700000001", "in doubt").await;
    world.carrier.submits_at_least(1).await;
    world
        .carrier
        .command(&json!({"cmd": "silence", "on": false}))
        .await;
    world.carrier.command(&json!({"cmd": "drop"})).await;
    let labels = [
        ("operator", "alpha"),
        ("policy", "resubmit"),
        ("cause", "link_lost"),
    ];
    world
        .gateway
        .metric_at_least("smsgw_operator_in_doubt_total", &labels, 1.0)
        .await;
    let report = world.receiver.report(&id).await;
    assert_eq!(report.body["message"]["state"], "delivered");
    let submits = world.carrier.submits_at_least(2).await;
    let message = world.gateway.api.message(&id).await;
    assert_eq!(
        message["parts"][0]["carrier_id"], submits[1]["id"],
        "the answered one counts"
    );
    // The first one's receipt has an id nobody was told.
    world
        .gateway
        .metric_at_least("smsgw_receipts_unknown_total", &[("operator", "alpha")], 1.0)
        .await;
    world.gateway.stop().await;
    assert_eq!(world.carrier.submits().len(), 2);
    assert_eq!(world.receiver.about(&id).len(), 1);
}

#[tokio::test]
async fn parts_go_to_the_operator_of_the_longest_prefix() {
    let beta = Carrier::start(&["--receipt-delay", "5"]).await;
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings
            .operator("beta", beta.port)
            .route_mt(&["4366"], &["beta"])
    })
    .await;
    let ids = [
        world.gateway.api.text("491700000001", "a").await,
        world.gateway.api.text("436641234567", "b").await,
    ];
    for id in &ids {
        world.receiver.report(id).await;
    }
    world.gateway.stop().await;
    let destinations =
        |carrier: &Carrier| -> Vec<Value> { carrier.submits().iter().map(|s| s["dest"].clone()).collect() };
    assert_eq!(destinations(&world.carrier), [json!("491700000001")]);
    assert_eq!(destinations(&beta), [json!("436641234567")]);
}

#[tokio::test]
async fn links_that_are_lost_again_and_again_lose_nothing() {
    let mut world = World::start(
        &[
            "--receipt-delay",
            "5",
            "--answer-delay",
            "20",
            "--drop-after",
            "30",
        ],
        |settings| {
            settings
                .line("operator.alpha", "window = 5")
                .line("limits", "parked_receipts = \"1s\"")
        },
    )
    .await;
    let mut ids = Vec::new();
    for n in 0..100 {
        ids.push(
            world
                .gateway
                .api
                .text("491700000001", &format!("message {n}"))
                .await,
        );
    }
    for id in &ids {
        assert_eq!(
            world.receiver.report(id).await.body["message"]["state"],
            "delivered"
        );
    }
    let again = world.carrier.submits().len() - ids.len();
    assert!(
        world.carrier.events("dropped") >= 3 && again >= 3,
        "the carrier has dropped its connections"
    );
    let metrics = world.gateway.metrics().await;
    let in_doubt = metrics.sum("smsgw_operator_in_doubt_total", &[("cause", "link_lost")]);
    assert!(
        again as f64 <= in_doubt,
        "{again} sent again, {in_doubt} in doubt"
    );
    world
        .gateway
        .metric_at_least("smsgw_receipts_unknown_total", &[], again as f64)
        .await;
    world.gateway.stop().await;
    assert_eq!(world.receiver.all().len(), ids.len());
}

#[tokio::test]
async fn every_way_to_bind_carries_the_whole_trip() {
    for (bind, binds, expected) in [
        ("transmitter+receiver", 1, ["bind_receiver", "bind_transmitter"]),
        ("transceiver", 2, ["bind_transceiver"; 2]),
    ] {
        let mut world = World::start(&["--receipt-delay", "5"], |settings| {
            settings
                .line("operator.alpha", &format!("bind = \"{bind}\""))
                .line("operator.alpha", &format!("binds = {binds}"))
        })
        .await;
        world.carrier.events_at_least("bind", 2).await;
        let mut kinds: Vec<String> = world.carrier.ledger.read(|entries| {
            entries
                .iter()
                .filter_map(|entry| Some(entry["as"].as_str()?.to_owned()))
                .collect()
        });
        kinds.sort();
        assert_eq!(kinds, expected);
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(
                world
                    .gateway
                    .api
                    .text("491700000001", &format!("message {n}"))
                    .await,
            );
        }
        for id in &ids {
            assert_eq!(
                world.receiver.report(id).await.body["message"]["state"],
                "delivered"
            );
        }
        world.gateway.stop().await;
        assert_eq!(world.carrier.submits().len(), ids.len());
        world.carrier.assert_content();
    }
}
