//! The message history: searches, messages whose record is gone, traces, kills, and a database that is down.

use crate::harness::{Gateway, Process, World, eventually};
use hyper::Method;
use serde_json::{Value, json};
use smsgw_testkit::Postgres;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What a search answers.
async fn ask(world: &World, query: &str) -> (u16, Value) {
    let path = format!("/v1/messages?{query}");
    let answer = world
        .gateway
        .api
        .request(Method::GET, &path, Some("acme-key"), "")
        .await;
    (answer.status, answer.json())
}

fn ids(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until a search finds so many.
async fn found(world: &World, query: &str, count: usize) -> Value {
    eventually(&format!("{count} messages for {query}"), || async {
        let (status, page) = ask(world, query).await;
        // A database that has just come back may not let everybody in yet.
        if status == 503 {
            return None;
        }
        assert_eq!(status, 200, "{page}");
        (ids(&page).len() == count).then_some(page)
    })
    .await
}

async fn trace(world: &World, what: &str) -> String {
    let admin = world.gateway.admin_address();
    let mut process: Process = Gateway::tool(&["trace", what, "--admin", &admin]);
    let status = process.ended().await;
    assert!(status.success(), "{what}");
    process.out.read(|lines| lines.join("\n"))
}

/// Rows of all days, as another program reads them.
fn rows(directory: &Path, sql: &str) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "db") {
            let output = Command::new("sqlite3")
                .arg("-readonly")
                .arg(path)
                .arg(sql)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            all.extend(
                String::from_utf8(output.stdout)
                    .unwrap()
                    .lines()
                    .map(str::to_owned),
            );
        }
    }
    all
}

#[tokio::test]
async fn messages_are_found_by_what_is_known_of_them_and_outlive_their_records() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("client.acme", "store_text = true")
    })
    .await;
    let mut sent = Vec::new();
    for n in 0..5 {
        let body = json!({"from": "12345", "to": format!("49170000000{n}"), "text": format!("Parcel number {n} arrives"),
            "reference": format!("order-{n}"), "tags": [if n % 2 == 0 { "even" } else { "odd" }]});
        let answer = world.gateway.api.submit(&body).await;
        sent.push(answer["id"].as_str().unwrap().to_owned());
        // Within a millisecond ids are in no order, and a page goes by ids.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    sent.reverse();
    let page = found(&world, "state=delivered", 5).await;
    assert_eq!(ids(&page), sent, "newest first");
    assert_eq!(page["next"], Value::Null);
    assert_eq!(
        ids(&found(&world, "to=%2B491700000003", 1).await),
        [sent[1].clone()]
    );
    found(&world, "tag=even", 3).await;
    found(&world, "tag=even&state=failed", 0).await;
    found(&world, "text=parcel+ARRIVES", 5).await;
    found(&world, "text=parcel+3", 1).await;
    found(
        &world,
        "from=12345&from_time=2026-01-01T00:00:00Z&reference=order-2",
        1,
    )
    .await;
    found(&world, "to_time=2026-01-01T00:00:00Z", 0).await;
    let (_, first) = ask(&world, "limit=2").await;
    let (_, second) = ask(
        &world,
        &format!("limit=4&cursor={}", first["next"].as_str().unwrap()),
    )
    .await;
    assert_eq!([ids(&first), ids(&second)].concat(), sent);
    for wrong in [
        "state=lost",
        "cursor=x",
        "limit=101",
        "from_time=today",
        "direction=up",
        "to=",
    ] {
        assert_eq!(ask(&world, wrong).await.0, 422, "{wrong}");
    }
    let carrier_id = world.carrier.submits()[0]["id"].as_str().unwrap().to_owned();
    for what in ["order-0", "491700000000", carrier_id.as_str()] {
        assert!(trace(&world, what).await.contains(&sent[4]), "{what}");
    }

    // A new store beside the old history: the records are gone, the messages are not.
    world.gateway.stop().await;
    let history = world.dir.path().join("data/history");
    world.settings = world
        .settings
        .clone()
        .line("node", "data_dir = \"other\"")
        .line("history", &format!("dir = {history:?}"));
    world.settings.write(world.dir.path());
    world.restart().await;
    let message = world.gateway.api.message(&sent[0]).await;
    assert_eq!(message["state"], "delivered");
    assert_eq!(message["text"], "Parcel number 4 arrives");
    assert_eq!(
        (&message["final"], &message["parts"][0]["state"]),
        (&json!(true), &json!("delivered"))
    );
    assert_eq!(message["parts"][0]["operator"], "alpha");
    assert!(message["parts"][0]["carrier_id"].is_string());
    let events: Vec<&str> = message["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "mt_accepted",
            "mt_routed",
            "mt_sent",
            "mt_final",
            "delivered_to_client"
        ]
    );
    assert_eq!(ids(&ask(&world, "limit=100").await.1), sent);
    let drawn = trace(&world, "order-4").await;
    assert!(
        drawn.contains(&sent[0]) && drawn.contains("found by its reference"),
        "{drawn}"
    );
    assert!(
        !drawn.contains("491700000004"),
        "numbers are shown only where log.bodies allows it"
    );
    world.gateway.stop().await;
}

#[tokio::test]
async fn an_mo_is_found_by_its_client() {
    let mut world = World::start(&[], |settings| settings).await;
    world.carrier.events_at_least("bind", 1).await;
    let mo = json!({"cmd": "mo", "from": "491700000009", "to": "12345", "data_coding": 0, "esm_class": 0, "hex": "68656c6c6f"});
    world.carrier.command(&mo).await;
    let page = found(&world, "direction=mo&from=491700000009", 1).await;
    let message = &page["messages"][0];
    assert_eq!(
        (&message["direction"], &message["to"], &message["state"]),
        (&json!("mo"), &json!("12345"), &json!("routed"))
    );
    assert_eq!(
        message.get("text"),
        None,
        "no text is stored that nobody asked to store"
    );
    found(&world, "from=491700000009", 0).await;
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_history_has_every_event_once() {
    let mut world = World::start(&["--receipt-delay", "20"], |settings| settings).await;
    let mut sent = BTreeSet::new();
    for kill in 0..6_u64 {
        for n in 0..60 {
            sent.insert(world.gateway.api.text(&format!("4917{kill:04}{n:04}"), "x").await);
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..700))).await;
        world.gateway.kill().await;
        world.restart().await;
    }
    found(&world, "limit=1", 1).await;
    let all = sent.len();
    eventually("every message is delivered and told, and history has it", || async {
        let told = rows(&world.dir.path().join("data/history"), "SELECT 1 FROM message WHERE state = 'delivered' AND told_at IS NOT NULL AND direction = 'mt'");
        (told.len() == all).then_some(())
    })
    .await;
    world.gateway.stop().await;
    let history = world.dir.path().join("data/history");
    let accepted: BTreeSet<String> = rows(
        &history,
        "SELECT lower(hex(message)) FROM event WHERE name = 'mt_accepted'",
    )
    .into_iter()
    .collect();
    let bare: BTreeSet<String> = sent.iter().map(|id| id.replace('-', "")).collect();
    assert_eq!(accepted, bare);
    for name in ["mt_accepted", "mt_routed", "mt_final"] {
        let once = rows(&history, &format!("SELECT 1 FROM event WHERE name = '{name}'"));
        assert_eq!(once.len(), all, "{name}");
    }
    // No position is missing and none is there twice: what is written is the log.
    let positions: Vec<u64> = rows(&history, "SELECT position FROM event")
        .iter()
        .map(|row| row.parse().unwrap())
        .collect();
    let distinct: BTreeSet<u64> = positions.iter().copied().collect();
    assert_eq!(positions.len(), distinct.len());
    assert_eq!(
        distinct.last().unwrap() - distinct.first().unwrap() + 1,
        distinct.len() as u64
    );
}

#[tokio::test]
async fn while_postgresql_is_down_messages_flow_and_searches_say_so() {
    let mut server = Postgres::start();
    let url = server.url();
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings
            .line("history", "kind = \"postgres\"")
            .line("history", &format!("url = {url:?}"))
    })
    .await;
    let before = world.gateway.api.text("491700000001", "before").await;
    found(&world, "state=delivered", 1).await;
    server.stop();
    let mut during = Vec::new();
    for n in 0..20 {
        let id = world
            .gateway
            .api
            .text(&format!("4917000001{n:02}"), "during")
            .await;
        world.receiver.report(&id).await;
        during.push(id);
    }
    let (status, problem) = ask(&world, "state=delivered").await;
    assert_eq!((status, &problem["code"]), (503, &json!("overloaded")));
    assert_eq!(world.gateway.api.message(&before).await["state"], "delivered");
    world
        .gateway
        .metric_at_least("smsgw_history_lag_entries", &[], 100.0)
        .await;
    world
        .gateway
        .metric_at_least("smsgw_history_write_failures_total", &[], 1.0)
        .await;
    server.resume();
    let page = found(&world, "state=delivered&limit=100", 21).await;
    assert!(during.iter().all(|id| ids(&page).contains(id)));
    world.gateway.stop().await;
    assert_eq!(
        server.psql(
            "SELECT count(*), count(DISTINCT (message, name, part)) FROM smsgw_event WHERE name = 'mt_final'"
        ),
        "21|21"
    );
}
