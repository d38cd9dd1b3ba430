//! The gateway is killed again and again under load, and nothing that was answered is lost.
//!
//! `SMSGW_KILLS` sets how often (20), `SMSGW_SEED` repeats a run's random moments. The token of a message is the first
//! word of its text; it is how a message is found in the carrier's ledger when its request was never answered.

mod load;
mod verdict;

use crate::harness::{Carrier, Gateway, Ledger, Metrics, PATIENCE, Process, Receiver, eventually, usual};
use hyper::Method;
use load::Load;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use verdict::{Run, Verdict};

/// Parts a link may have unanswered.
const WINDOW: usize = 100;
/// Deliveries the carrier may have unanswered.
const DELIVER_WINDOW: usize = 100;
/// What the log says before a part that may have been sent is sent again.
const IN_DOUBT: &str = "part in doubt: a crash or a stop before its answer";
/// Tasks that submit.
const SUBMITTERS: usize = 8;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
    })
}

/// Milliseconds since 1970, as the carrier counts them.
fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing() {
    let kills = number("SMSGW_KILLS").unwrap_or(20);
    let seed = number("SMSGW_SEED").unwrap_or_else(rand::random);
    println!("SMSGW_SEED={seed} SMSGW_KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);

    let receiver = Receiver::start().await;
    let options = [
        "--answer-delay",
        "10",
        "--receipt-delay",
        "10",
        "--deliver-window",
        &DELIVER_WINDOW.to_string(),
    ];
    let carrier = Carrier::start(&options).await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &receiver.url())
        .line("operator.alpha", &format!("window = {WINDOW}"))
        .line("callback", "retry = [\"100ms\", \"200ms for 10m\"]")
        .line("limits", "parked_receipts = \"5s\"")
        .line("log", "level = \"info,smsgw_node_operator::traffic::down=debug\"")
        .write(dir.path());
    let ledger = Arc::clone(&carrier.ledger);
    let carrier = Arc::new(Mutex::new(carrier));
    let load = Load::start(SUBMITTERS, Arc::clone(&receiver.ledger), Arc::clone(&carrier));

    let mut runs = Vec::new();
    for _ in 0..kills {
        runs.push(run_and_kill(dir.path(), &load, &mut rng).await);
    }

    // The last run: some load, then quiet.
    let started = now_ms();
    let mut gateway = Gateway::start(dir.path()).await;
    load.serve(gateway.api.clone());
    let under_load = load.answered_count() + 200;
    load.answered_at_least(under_load).await;
    let sent = load.stop().await;
    let missing = load.all_reported(&sent).await;
    if !missing.is_empty() {
        // Whoever looks for the cause needs what is on the disk.
        println!("the gateway's directory is kept: {}", dir.keep().display());
        explain(&missing, &gateway, &ledger, &runs).await;
        println!(
            "carrier: {}",
            carrier.lock().await.command(&json!({"cmd": "stats"})).await
        );
    }
    assert!(
        missing.is_empty(),
        "answered 2xx and never reported: {:?} …",
        missing.first()
    );

    let verdict = Verdict::of(&sent, &ledger, &receiver.ledger);
    eventually(
        "every receipt whose answer was lost is kept as unknown",
        || async {
            let dead = gateway.metrics().await.sum_where("smsgw_queue_depth", |label| {
                label("queue").starts_with("up.") && label("place") == "dead_letter"
            });
            (dead >= verdict.lost_ids() as f64).then_some(())
        },
    )
    .await;
    eventually("all queues are empty", || async {
        let waiting = gateway
            .metrics()
            .await
            .sum_where("smsgw_queue_depth", |label| label("place") != "dead_letter");
        (waiting < 0.5).then_some(())
    })
    .await;
    let scraped = now_ms();
    let metrics = gateway.metrics().await;
    runs.push(Run {
        started,
        scraped: Some((scraped, in_doubt(&metrics))),
        doubts: doubts(&gateway.process),
        kill: None,
    });
    let unknown = metrics.sum("smsgw_queue_depth", &[("place", "dead_letter")]);
    println!("{}", verdict.summary(&runs, unknown));

    verdict.assert_every_answered_message_was_sent();
    verdict.assert_reports_repeat_only_themselves();
    verdict.assert_duplicates_were_in_doubt(&runs);
    verdict.assert_unknown_receipts_are_those_of_lost_answers(unknown, runs.len() * DELIVER_WINDOW);
    verdict.assert_every_answered_mo_arrived(runs.len() * DELIVER_WINDOW);
    // The answer that was lost is not the one that counts.
    for (id, last) in verdict.sent_again() {
        assert_eq!(
            gateway.api.message(&id).await["parts"][0]["carrier_id"],
            last,
            "message {id}"
        );
    }
    carrier.lock().await.assert_content();
    gateway.stop().await;
    assert!(
        runs.iter().filter(|run| run.scraped.is_some()).count() > runs.len() / 2,
        "most kills hit a gateway that served"
    );
}

/// Shows where messages are that were not reported.
async fn explain(missing: &[(String, String)], gateway: &Gateway, ledger: &Ledger<Value>, runs: &[Run]) {
    for run in runs {
        println!("run from {} killed {:?}", run.started, run.kill);
    }
    println!(
        "{}\n{}",
        gateway.admin("/status").await.text(),
        gateway.admin("/metrics").await.text()
    );
    println!("{} messages without a report, some of them:", missing.len());
    for (token, id) in missing.iter().take(5) {
        let path = format!("/v1/messages/{id}");
        let answer = gateway
            .api
            .request(Method::GET, &path, Some("acme-key"), "")
            .await;
        println!("{token}: {} {}", answer.status, answer.text());
        let text = crate::harness::hex(format!("{token} ").as_bytes());
        ledger.read(|entries| {
            let submits = |entry: &&Value| {
                entry["short_message"]
                    .as_str()
                    .is_some_and(|octets| octets.starts_with(&text))
            };
            for submit in entries.iter().filter(submits) {
                println!(
                    "submit at {} answered {} id {}",
                    submit["at"], submit["answered"], submit["id"]
                );
                let receipts = |entry: &&Value| {
                    entry["kind"] == "receipt_answered" && entry["id"] == submit["receipt_id"]
                };
                for receipt in entries.iter().filter(receipts) {
                    println!("receipt answered at {} with {}", receipt["at"], receipt["status"]);
                }
            }
        });
    }
}

fn in_doubt(metrics: &Metrics) -> f64 {
    metrics.sum("smsgw_operator_in_doubt_total", &[("operator", "alpha")])
}

/// The messages whose parts a process has logged as in doubt; once for each time.
fn doubts(process: &Process) -> Vec<String> {
    process.out.read(|lines| {
        lines
            .iter()
            .filter(|line| line.contains(IN_DOUBT))
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                line["message_id"].as_str().unwrap().to_owned()
            })
            .collect()
    })
}

/// One life of the gateway: some die while they start, the others under load.
async fn run_and_kill(dir: &Path, load: &Load, rng: &mut StdRng) -> Run {
    let started = now_ms();
    if rng.random_ratio(1, 5) {
        let mut process = Gateway::spawn(dir);
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
        assert_eq!(process.has_ended(), None, "the gateway ended by itself");
        let before = now_ms();
        process.kill().await;
        return Run {
            started,
            scraped: None,
            doubts: doubts(&process),
            kill: Some((before, now_ms())),
        };
    }
    let mut gateway = Gateway::start(dir).await;
    load.serve(gateway.api.clone());
    tokio::time::sleep(Duration::from_millis(rng.random_range(50..1500))).await;
    let scraped = now_ms();
    let metrics = gateway.try_metrics().await;
    assert_eq!(gateway.process.has_ended(), None, "the gateway ended by itself");
    let metrics = metrics.unwrap_or_else(|| panic!("no metrics within {PATIENCE:?}"));
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..50))).await;
    let before = now_ms();
    gateway.kill().await;
    load.pause();
    Run {
        started,
        scraped: Some((scraped, in_doubt(&metrics))),
        doubts: doubts(&gateway.process),
        kill: Some((before, now_ms())),
    }
}
