//! `smsgw operator move`: what waits for an operator goes to another one, over a kill in the middle and while traffic flows.

use crate::harness::{
    Api, Carrier, Gateway, PATIENCE, Process, Receiver, Settings, World, eventually, free_port,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// Tasks that submit.
const SUBMITTERS: usize = 16;

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (Option<i32>, String, String) {
    let mut process: Process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status.code(), process.out.read(text), process.err.read(text))
}

/// One phone for each message: by it its parts are found.
fn phone(n: usize) -> String {
    format!("4917{n:08}")
}

/// Every fifth message takes two parts.
fn parts(n: usize) -> usize {
    if n.is_multiple_of(5) { 2 } else { 1 }
}

/// Submits these messages; all are accepted.
async fn submit(api: &Api, numbers: std::ops::Range<usize>) {
    let mut tasks = JoinSet::new();
    for task in 0..SUBMITTERS {
        let (api, numbers) = (api.clone(), numbers.clone());
        tasks.spawn(async move {
            for n in numbers.filter(|n| n % SUBMITTERS == task) {
                let text = "x".repeat(if parts(n) == 2 { 200 } else { 20 });
                api.submit(&json!({"from": "12345", "to": phone(n), "text": text}))
                    .await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

async fn waiting(gateway: &Gateway, operator: &str) -> usize {
    let queue = format!("mt.operator.{operator}");
    let labels = [("queue", queue.as_str()), ("place", "ready")];
    gateway.metrics().await.sum("smsgw_queue_depth", &labels) as usize
}

/// How often each phone was written to.
fn sent(carriers: &[&Carrier]) -> BTreeMap<String, usize> {
    let mut sent = BTreeMap::new();
    for submit in carriers.iter().flat_map(|carrier| carrier.submits()) {
        *sent
            .entry(submit["dest"].as_str().unwrap().to_owned())
            .or_insert(0) += 1;
    }
    sent
}

fn expected(numbers: std::ops::Range<usize>) -> BTreeMap<String, usize> {
    numbers.map(|n| (phone(n), parts(n))).collect()
}

/// Waits until each of so many messages was reported, and none twice.
async fn reported(receiver: &Receiver, count: usize) {
    eventually(&format!("{count} reports"), || async {
        let reports = receiver.ledger.read(|entries| {
            let ids = entries.iter().filter(|entry| entry.body["type"] == "report");
            ids.map(|entry| entry.body["message"]["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        });
        let mut unique = reports.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), reports.len(), "none is told twice");
        (reports.len() == count).then_some(())
    })
    .await;
}

/// Every message has ended once, and every part that an operator was given is accounted for.
async fn balances(admin: &str) {
    let (code, out, err) = tool(&["balance", "--admin", admin, "--wait", "30", "--settled", "--json"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let balance: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&balance["holds"], &balance["open"]),
        (&json!(true), &json!(0)),
        "{out}"
    );
}

fn settings(port: u16, receiver: &Receiver) -> Settings {
    Settings::new()
        .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
        .client("acme", &receiver.url())
}

async fn reload(gateway: &Gateway, settings: &Settings, dir: &Path) {
    let before = gateway.metrics().await.sum("smsgw_config_epoch", &[]);
    settings.write(dir);
    gateway.hang_up();
    gateway
        .metric_at_least("smsgw_config_epoch", &[], before + 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_neither_loses_nor_doubles_a_part() {
    const MESSAGES: usize = 3_000;
    let (port, receiver, beta) = (free_port(), Receiver::start().await, Carrier::start(&[]).await);
    let admin = format!("127.0.0.1:{port}");
    let dir = tempfile::tempdir().unwrap();
    let with_beta = settings(port, &receiver).operator("beta", beta.port);
    let both = with_beta
        .clone()
        .operator("alpha", 1)
        .line("operator.alpha", "enabled = false");
    both.route_mt(&[], &["alpha"]).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    submit(&gateway.api, 0..MESSAGES).await;
    let all: usize = (0..MESSAGES).map(parts).sum();
    eventually("all parts wait", || async {
        (waiting(&gateway, "alpha").await == all).then_some(())
    })
    .await;

    // The operator leaves the configuration; the other one is held, so that no carrier has anything when the gateway dies.
    reload(&gateway, &with_beta.route_mt(&[], &["beta"]), dir.path()).await;
    let (code, out, err) = tool(&["operator", "hold", "beta", "--admin", &admin]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let words = [
        "operator",
        "move",
        "alpha",
        "--to",
        "beta",
        "--admin",
        &admin,
        "--reason",
        "alpha is gone",
    ];
    let mut asking = Gateway::tool(&[&words[..], &["--no-wait", "--json"]].concat());
    let moved = eventually("the first parts are moved", || async {
        let moved = gateway.metrics().await.sum("smsgw_router_moved_total", &[]) as usize;
        (moved > 0).then_some(moved)
    })
    .await;
    gateway.kill().await;
    assert!(moved < all, "killed in the middle: {moved} of {all}");
    asking.ended().await;

    let gateway = Gateway::start(dir.path()).await;
    let resumed = |line: &String| line.contains("moving parts to another operator");
    let goes_on = gateway.process.out.wait("the order goes on", |lines| {
        lines.iter().find(|line| resumed(line)).cloned()
    });
    let line: Value = serde_json::from_str(&goes_on.await).unwrap();
    let instruction = line["instruction"].as_str().unwrap().to_owned();
    let path = format!("/operators/alpha/move/{instruction}");
    let row = eventually("the order is done", || async {
        let row = gateway.admin(&path).await.json();
        (row["outcome"] != "waiting").then_some(row)
    })
    .await;
    let messages = MESSAGES as u64;
    assert_eq!(
        row,
        json!({
            "instruction": instruction, "outcome": "applied", "waiting": 0,
            "moved": {"messages": messages, "parts": all, "ended": 0, "stays": {}},
        }),
        "the answer counts what was moved before the kill and after it"
    );
    assert_eq!(
        (waiting(&gateway, "alpha").await, waiting(&gateway, "beta").await),
        (0, all)
    );
    assert!(sent(&[&beta]).is_empty());
    let (code, out, err) = tool(&["history", "--audit", "--admin", &admin]).await;
    assert_eq!(code, Some(0), "{err}");
    for words in ["move", "alpha is gone", &format!("\"parts\":{all}")] {
        assert!(out.contains(words), "{words}: {out}");
    }

    let (code, out, err) = tool(&["operator", "release", "beta", "--admin", &admin]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    reported(&receiver, MESSAGES).await;
    assert_eq!(
        sent(&[&beta]),
        expected(0..MESSAGES),
        "each part reached the carrier once"
    );
    balances(&admin).await;
    let (code, _, err) = tool(&words).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains("there is no such operator, and nothing waits for one of that name"),
        "{err}"
    );
    beta.assert_content();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_moves_while_traffic_flows_in_both_queues() {
    const BACKLOG: usize = 600;
    const MORE: usize = 200;
    let port = free_port();
    let admin = format!("127.0.0.1:{port}");
    let beta = Carrier::start(&[]).await;
    let world = World::start(&[], |usual| {
        usual
            .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
            .line("operator.alpha", "rate = 20")
            .operator("beta", beta.port)
            .without_routes()
            .route_mt(&["49170"], &["alpha"])
            .route_mt(&["49171"], &["beta"])
    })
    .await;
    submit(&world.gateway.api, 0..BACKLOG).await;
    world.carrier.submits_at_least(5).await;
    let api = world.gateway.api.clone();
    let more = tokio::spawn(async move {
        for n in 0..MORE {
            let to = if n.is_multiple_of(2) {
                phone(BACKLOG + n)
            } else {
                format!("49171{n:07}")
            };
            api.submit(&json!({"from": "12345", "to": to, "text": "x"})).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let words = [
        "operator", "move", "alpha", "--to", "beta", "--admin", &admin, "--json",
    ];
    let (code, out, err) = tool(&words).await;
    assert_eq!(
        (code, err.as_str()),
        (Some(0), ""),
        "where nobody looks there is no bar: {out}"
    );
    let row: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(row["outcome"], "applied", "{out}");
    assert!(row["moved"]["parts"].as_u64().unwrap() > 300, "{out}");
    more.await.unwrap();
    // What came after the order waits for alpha; its rest goes as well.
    tokio::time::timeout(PATIENCE, async {
        while waiting(&world.gateway, "alpha").await > 0 {
            let (code, out, err) = tool(&words).await;
            assert_eq!(code, Some(0), "{out}{err}");
        }
    })
    .await
    .unwrap();
    reported(&world.receiver, BACKLOG + MORE).await;
    let sent = sent(&[&world.carrier, &beta]);
    assert_eq!(sent.len(), BACKLOG + MORE);
    let doubled: Vec<_> = (0..BACKLOG).filter(|n| sent[&phone(*n)] != parts(*n)).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert!(!world.carrier.submits().is_empty() && beta.submits().len() > 300);
    balances(&admin).await;
    world.carrier.assert_content();
    beta.assert_content();
}
