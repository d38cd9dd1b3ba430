//! SIGHUP puts a changed file in force without touching what did not change; a wrong file changes nothing.

use crate::harness::{Carrier, World};
use serde_json::json;

#[tokio::test]
async fn sighup_adds_clients_and_routes_and_leaves_other_links_alone() {
    let mut beta = Some(Carrier::start(&["--receipt-delay", "5"]).await);
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings
            .without_routes()
            .route_mt(&["49"], &["alpha"])
            .route_mo(&["12345"], "acme")
    })
    .await;
    world.carrier.events_at_least("bind", 1).await;
    let globex = world.gateway.api.with_key("globex-key");
    let message = json!({"to": "436641234567", "text": "new"});
    assert_eq!(globex.post(message.to_string()).await.unwrap().status, 401);

    let fresh = world
        .settings
        .clone()
        .operator("beta", beta.as_ref().unwrap().port)
        .client("globex", &world.receiver.url())
        .route_mt(&["43"], &["beta"]);
    fresh.write(world.dir.path());
    world.gateway.hang_up();
    world
        .gateway
        .metric_at_least("smsgw_config_changes_total", &[("result", "applied")], 1.0)
        .await;
    let accepted = globex.submit(&message).await;
    let id = accepted["id"].as_str().unwrap();
    assert_eq!(
        world.receiver.report(id).await.body["message"]["state"],
        "delivered"
    );
    assert_eq!(beta.as_ref().unwrap().submits().len(), 1);

    // A wrong file: everything stays.
    fresh
        .clone()
        .line("operator.alpha", "window = 0")
        .line("client.acme", "colour = \"red\"")
        .write(world.dir.path());
    world.gateway.hang_up();
    world
        .gateway
        .metric_at_least("smsgw_config_changes_total", &[("result", "refused")], 1.0)
        .await;
    let id = world.gateway.api.text("491700000001", "still here").await;
    world.receiver.report(&id).await;

    // A file that does not say anything new.
    fresh.write(world.dir.path());
    world.gateway.hang_up();
    world
        .gateway
        .metric_at_least("smsgw_config_changes_total", &[("result", "unchanged")], 1.0)
        .await;

    // The operator and the client go again; what goes to others is not disturbed.
    world.settings.write(world.dir.path());
    world.gateway.hang_up();
    world
        .gateway
        .metric_at_least("smsgw_config_changes_total", &[("result", "applied")], 2.0)
        .await;
    beta.as_ref().unwrap().events_at_least("closed", 1).await;
    assert_eq!(globex.post(message.to_string()).await.unwrap().status, 401);
    let id = world.gateway.api.text("491700000001", "as before").await;
    world.receiver.report(&id).await;

    assert_eq!(
        (world.carrier.events("bind"), world.carrier.events("closed")),
        (1, 0),
        "alpha's link was never touched"
    );
    assert_eq!(beta.take().unwrap().events("bind"), 1);
    world.gateway.stop().await;
}

#[tokio::test]
async fn changed_credentials_open_the_link_again_and_lose_nothing() {
    let mut world = World::start(&["--receipt-delay", "5", "--answer-delay", "50"], |settings| {
        settings
    })
    .await;
    let mut ids = Vec::new();
    for n in 0..40 {
        if n == 20 {
            world
                .settings
                .clone()
                .line("operator.alpha", "password = \"wrong\"")
                .write(world.dir.path());
            world.gateway.hang_up();
        }
        ids.push(
            world
                .gateway
                .api
                .text("491700000001", &format!("message {n}"))
                .await,
        );
    }
    world.carrier.events_at_least("bind_refused", 1).await;
    world.settings.write(world.dir.path());
    world.gateway.hang_up();
    for id in &ids {
        assert_eq!(
            world.receiver.report(id).await.body["message"]["state"],
            "delivered"
        );
    }
    world.gateway.stop().await;
    assert_eq!(
        world.carrier.submits().len(),
        40,
        "links are drained before they are closed: nothing is sent twice"
    );
    assert_eq!(world.carrier.events("bind"), 2);
}

#[tokio::test]
async fn a_watched_file_is_read_by_itself() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("node", "watch = true")
    })
    .await;
    let globex = world.gateway.api.with_key("globex-key");
    world
        .settings
        .clone()
        .client("globex", &world.receiver.url())
        .write(world.dir.path());
    world
        .gateway
        .metric_at_least("smsgw_config_changes_total", &[("result", "applied")], 1.0)
        .await;
    let accepted = globex
        .submit(&json!({"to": "491700000001", "text": "by itself"}))
        .await;
    world.receiver.report(accepted["id"].as_str().unwrap()).await;
    world.gateway.stop().await;
    assert_eq!(world.carrier.events("bind"), 1);
}
