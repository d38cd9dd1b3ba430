//! SIGHUP puts a changed file in force without touching what did not change; a wrong file changes nothing.

use crate::harness::{Carrier, Gateway, Process, Settings, World, compare, eventually, free_port, peer};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

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

    // One session numbers its requests upwards from 1 (SMPP 3.4 section 3.2): a link that was opened again begins anew.
    let numbers: Vec<u64> = world
        .carrier
        .submits()
        .iter()
        .map(|submit| submit["sequence"].as_u64().unwrap())
        .collect();
    assert!(
        numbers.len() >= 2 && numbers.is_sorted_by(|a, b| a < b),
        "{numbers:?}"
    );
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

/// How large a storm is.
#[derive(Debug, Clone, Copy)]
struct Storm {
    links: usize,
    /// Of each client; there is a client for each link.
    binds: usize,
    reloads: u32,
    /// Submits a second.
    rate: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_reloads_under_load_touches_no_link_and_no_session_and_loses_nothing() {
    storm(Storm {
        links: 20,
        binds: 5,
        reloads: 10,
        rate: 200,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: 100 links, 1,000 sessions, 50 reloads"]
async fn a_long_storm_of_reloads_touches_no_link_and_no_session_and_loses_nothing() {
    storm(Storm {
        links: 100,
        binds: 10,
        reloads: 50,
        rate: 300,
    })
    .await;
}

/// Sessions of clients and links of operators as the gateway tells them, each with when it began.
async fn standing(gateway: &Gateway) -> (BTreeSet<String>, BTreeSet<String>) {
    let sessions: Value = serde_json::from_slice(&gateway.admin("/sessions").await.body).unwrap();
    let status: Value = serde_json::from_slice(&gateway.admin("/status").await.body).unwrap();
    let text = |row: &Value, keys: [&str; 3]| keys.map(|key| row[key].to_string()).join(" ");
    let sessions = sessions.as_array().unwrap().iter();
    let links = status["links"].as_array().unwrap().iter();
    (
        sessions
            .map(|row| text(row, ["session", "client", "since"]))
            .collect(),
        links
            .filter(|row| row["state"] == "bound")
            .map(|row| text(row, ["link", "since", "peer"]))
            .collect(),
    )
}

async fn stats(carrier: &mut Process) -> Value {
    let seen = carrier.out.read(<[String]>::len);
    carrier.tell("stats").await;
    carrier
        .out
        .wait("the carrier's counts", |lines| {
            serde_json::from_str(lines.get(seen)?).ok()
        })
        .await
}

/// The file of the n-th reload: what comes, goes and changes has nothing to do with the load. Every third is wrong.
fn changed(usual: &Settings, n: u32) -> (Settings, &'static str) {
    let fresh = usual.clone().line("limits", &format!("max_parts = {}", 10 + n));
    match n % 3 {
        0 => (fresh.line("limits", "max_parts = 0"), "refused"),
        1 => (
            fresh
                .operator("spare", 1)
                .line("operator.spare", "enabled = false")
                .line("client.spare", "api_key = \"spare\"")
                .route_mt(&["999"], &["spare"]),
            "applied",
        ),
        _ => (
            fresh.line("client.spare", &format!("api_key = \"spare-{n}\"")),
            "applied",
        ),
    }
}

async fn storm(storm: Storm) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (mut carrier, carrier_port) = peer(&[
        "sim",
        "smsc",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "--ledger",
        &path("carrier"),
        "--receipt-delay",
        "50ms",
    ])
    .await;
    let port = free_port();
    let mut usual = Settings::new().line("smpp", &format!("listen = \"127.0.0.1:{port}\""));
    for n in 1..=storm.links {
        let operator = format!("operator.op{n}");
        usual = usual
            .operator(&format!("op{n}"), carrier_port)
            .line(&operator, &format!("system_id = \"op{n}\""))
            .line(&format!("client.esme{n}"), &format!("system_id = \"esme{n}\""))
            .line(&format!("client.esme{n}"), "password = \"secret\"")
            .route(&format!(
                "[[route.mt]]\nclient = [\"esme{n}\"]\noperators = [\"op{n}\"]\n"
            ));
    }
    usual.write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let (links, sessions) = (storm.links, storm.links * storm.binds);
    eventually("every link is bound", || async {
        (standing(&gateway).await.1.len() == links).then_some(())
    })
    .await;
    let mut load = Gateway::tool(&[
        "load",
        "smpp",
        "--host",
        &format!("127.0.0.1:{port}"),
        "--system-id",
        "esme*",
        "--password",
        "secret",
        "--clients",
        &links.to_string(),
        "--binds",
        &storm.binds.to_string(),
        "--rate",
        &storm.rate.to_string(),
        "--duration",
        "1h",
        "--registered-delivery",
        "1",
        "--linger",
        "60s",
        "--until-receipts",
        "--ledger",
        &path("sent"),
        "--received",
        &path("callbacks"),
    ]);
    eventually("every session is bound", || async {
        (standing(&gateway).await.0.len() == sessions).then_some(())
    })
    .await;
    let before = standing(&gateway).await;
    let mut counts = [("applied", 0.0), ("refused", 0.0)];
    for n in 1..=storm.reloads {
        let (settings, outcome) = changed(&usual, n);
        settings.write(dir.path());
        gateway.hang_up();
        let (_, count) = counts.iter_mut().find(|(word, _)| *word == outcome).unwrap();
        *count += 1.0;
        gateway
            .metric_at_least("smsgw_config_changes_total", &[("result", outcome)], *count)
            .await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(load.has_ended().is_none(), "the load went on all the while");
    let after = standing(&gateway).await;
    assert_eq!(after, before, "every link and every session stands as it did");
    // It sends no more, and ends when its receipts are there.
    load.signal(Signal::INT);
    let status = load.ended().await;
    assert!(status.success(), "{:?}", load.err.read(<[String]>::to_vec));
    let counted = stats(&mut carrier).await;
    assert_eq!(
        (counted["binds"].as_u64(), counted["binds_refused"].as_u64()),
        (Some(links as u64), Some(0)),
        "no link was ever opened again: {counted}"
    );
    let said = compare(dir.path()).await.unwrap_or_else(|why| panic!("{why}"));
    println!("{storm:?}: {said}");
    let compared: Value = serde_json::from_str(&said).unwrap();
    let accepted = compared["mt"]["accepted"].as_u64().unwrap();
    assert!(
        accepted > u64::from(storm.rate * storm.reloads) / 8,
        "the load was one: {said}"
    );
    gateway.stop().await;
}
