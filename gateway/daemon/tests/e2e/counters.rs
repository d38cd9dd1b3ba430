//! The gateway is killed under load, and counters, ledger and call detail records agree with what the load and the carrier
//! have in their ledgers: nothing is missing, nothing is there twice.
//!
//! `SMSGW_COUNTER_KILLS` sets how often (3), `SMSGW_COUNTER_RATE` how many messages a second are offered (400). A campaign:
//! `SMSGW_COUNTER_KILLS=20 SMSGW_COUNTER_RATE=5000 cargo nextest run -p smsgw-daemon counters::`.

use crate::harness::{Gateway, Settings, eventually, free_port, peer};
use serde_json::Value;
use smsgw_sim::ledger::LedgerOptions;
use smsgw_sim::load::{HttpLoad, Plan, load_http};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn settings(carrier: u16, http: u16) -> Settings {
    Settings::new()
        .line("http", &format!("listen = \"127.0.0.1:{http}\""))
        .operator("alpha", carrier)
        .line("operator.alpha", "rate = 0")
        .line("client.acme", "api_key = \"acme-key\"")
        .route_mt(&["49"], &["alpha"])
        .line("limits", "parked_receipts = \"2s\"")
        .line("cdr", "enabled = true")
        .line("cdr", "compress = \"none\"")
        .line("cdr", "rotate_size = \"256KiB\"")
}

/// What the carrier's ledger says: recipients of submits it accepted.
fn recipients(ledger: &Path) -> (usize, BTreeSet<String>) {
    let text = std::fs::read_to_string(ledger).unwrap();
    let mut submits = 0;
    let mut all = BTreeSet::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["type"] == "submit" {
            submits += 1;
            all.insert(line["destination"].as_str().unwrap().to_owned());
        }
    }
    (submits, all)
}

/// The lines of all files: event and id.
fn records(dir: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for day in std::fs::read_dir(dir).unwrap() {
        for file in std::fs::read_dir(day.unwrap().path()).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(text.ends_with("\r\n"), "whole lines only");
            for line in text.split_terminator("\r\n") {
                let mut values = line.split(',').skip(1);
                let (event, id) = (values.next().unwrap(), values.next().unwrap());
                assert_eq!(values.count(), 13, "{line}");
                all.push((event.to_owned(), id.to_owned()));
            }
        }
    }
    all
}

async fn json(words: &[&str]) -> (i32, Value) {
    let mut process = Gateway::tool(words);
    let status = process.ended().await;
    let said = process.out.read(|lines| lines.join("\n"));
    (
        status.code().unwrap(),
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_ledger_and_call_detail_records_agree_with_the_load_after_kills() {
    let (kills, rate) = (
        number("SMSGW_COUNTER_KILLS", 3),
        number("SMSGW_COUNTER_RATE", 400),
    );
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("carrier");
    let ledger_text = ledger.display().to_string();
    let (carrier, port) = peer(&[
        "sim",
        "smsc",
        "--listen",
        "127.0.0.1:0",
        "--ledger",
        &ledger_text,
        "--receipt-delay",
        "50ms",
        "--states",
        "undeliv=0.05,expired=0.03",
        "--states-by-recipient",
        "--reject",
        "suffix:13=0x0b",
    ])
    .await;
    let http = free_port();
    settings(port, http).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let plan = Plan {
        rate: rate as f64,
        ..Plan::duration(Duration::from_secs(kills * 4 + 2))
    };
    let load = HttpLoad {
        retries: 1_000,
        retry_after: Duration::from_millis(100),
        report: Some("none".into()),
        connections: 64,
        ..HttpLoad::new(format!("http://127.0.0.1:{http}"), "acme-key", plan)
    };
    let keep = LedgerOptions {
        file: None,
        keep: 2_000_000,
    };
    let loading = tokio::spawn(async move { load_http(load, &keep).await });
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(2_000 + rand::random_range(0..1_500))).await;
        gateway.kill().await;
        gateway = Gateway::start(dir.path()).await;
    }
    let (report, sent) = loading.await.unwrap().unwrap();
    let accepted: BTreeSet<String> = sent.iter().filter_map(|sent| sent.id.clone()).collect();
    assert_eq!(
        accepted.len(),
        sent.len(),
        "every request was accepted in the end"
    );

    let admin = gateway.admin_address();
    let judged = eventually("every message has ended and everything is counted", || async {
        let (code, judged) = json(&["balance", "--admin", &admin, "--wait", "2", "--json"]).await;
        assert_eq!(code, 0, "{judged:#}");
        (judged["open"] == 0 && judged["settled"] == true).then_some(judged)
    })
    .await;
    // The span of a run may begin before midnight.
    let yesterday = yesterday_utc();
    let by = async |what: &str| {
        let words = [
            "counters", "--admin", &admin, "--from", &yesterday, "--by", what, "--json",
        ];
        let (code, counted) = json(&words).await;
        assert_eq!(code, 0, "{counted:#}");
        counted["lines"].clone()
    };
    let client = by("client").await;
    let counts = |word: &str| client[0]["counts"][word].as_u64().unwrap_or(0);
    let ends: u64 = ["delivered", "failed", "expired", "rejected"]
        .map(counts)
        .iter()
        .sum();
    let all = accepted.len() as u64;
    assert_eq!((counts("mt_accepted"), ends), (all, all), "{client:#}");
    assert!(
        ["delivered", "failed", "expired", "rejected"]
            .iter()
            .all(|word| counts(word) > 0),
        "{client:#}"
    );
    assert_eq!(
        client[0]["causes"]["rejected"].as_object().unwrap().len(),
        1,
        "{client:#}"
    );
    for (what, value) in [("country", "DE"), ("route", "mt.1"), ("operator", "alpha")] {
        let lines = by(what).await;
        assert_eq!(lines[0]["value"], value);
        assert_eq!(lines[0]["counts"]["delivered"], counts("delivered"), "{lines:#}");
    }

    // What admission refuses leaves no message, and is counted all the same.
    for _ in 0..3 {
        let answer = gateway
            .api
            .post("{\"to\":\"33612345678\",\"text\":\"x\"}")
            .await
            .unwrap();
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
    eventually("refusals are counted by code", || async {
        let refused = &by("client").await[0]["causes"]["mt_refused_at_accept"]["no_route"];
        (*refused == 3).then_some(())
    })
    .await;

    // The carrier's ledger: every accepted message came there, and as many were sent as it took.
    let (submits, phones) = recipients(&ledger);
    let expected: BTreeSet<String> = sent.iter().map(|sent| sent.to.clone()).collect();
    assert_eq!(phones, expected, "recipients of the carrier and of the load");
    let ended_here = counts("mt_sent") + counts("mt_refused");
    assert_eq!(ended_here, all, "each part has one outcome");
    assert!(submits as u64 >= ended_here, "{submits} submits");

    // Call detail records: the same numbers, and no accept or end twice.
    let records = eventually("all events have a line", || async {
        let lag = gateway.metrics().await.sum("smsgw_cdr_lag_entries", &[]);
        let lines = records(&dir.path().join("data/cdr"));
        let ends = lines.iter().filter(|(event, _)| event == "mt_final").count();
        (lag < 0.5 && ends >= accepted.len()).then_some(lines)
    })
    .await;
    let mut lines: BTreeMap<&str, u64> = BTreeMap::new();
    for (event, _) in &records {
        *lines.entry(event).or_default() += 1;
    }
    for word in ["mt_accepted", "mt_routed", "mt_sent", "mt_refused", "mt_in_doubt"] {
        assert_eq!(
            lines.get(word).copied().unwrap_or(0),
            counts(word),
            "{word}: {lines:?}"
        );
    }
    assert_eq!(lines["mt_final"], ends);
    for event in ["mt_accepted", "mt_final"] {
        let mut ids: Vec<&str> = Vec::new();
        ids.extend(
            records
                .iter()
                .filter(|(name, _)| name == event)
                .map(|(_, id)| &**id),
        );
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(distinct.len(), ids.len(), "{event} twice");
        assert_eq!(distinct, accepted.iter().map(String::as_str).collect(), "{event}");
    }
    println!(
        "{kills} kills: {} accepted at {:.0}/s, {} submits, {} lines, {} ended, balance holds: {}",
        accepted.len(),
        report.rate,
        submits,
        records.len(),
        ends,
        judged["holds"]
    );
    gateway.stop().await;
    drop(carrier);
}

fn yesterday_utc() -> String {
    let day = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    day.strftime("%Y-%m-%d").to_string()
}
