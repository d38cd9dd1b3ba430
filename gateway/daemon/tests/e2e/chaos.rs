//! A carrier that misbehaves at random, and still every message is sent, reported once and as what it was.
//!
//! The carrier is the simulator with `--chaos`: cuts, drops, stalls, throttling, receipt storms, garbage, silence, disorder,
//! lost answers, refused binds, half-dead connections, one after the other and by seed. `smsgw compare` judges the ledgers of
//! client, carrier and callback receiver. `SMSGW_MESSAGES` (1000) and `SMSGW_LEVEL` (2) make a campaign of it, `SMSGW_SEED`
//! repeats one.

use crate::harness::{Gateway, Settings, compare, peer};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_carrier_does_every_message_is_sent_and_reported_once() {
    let seed = number("SMSGW_SEED", u64::from(rand::random::<u32>()));
    let messages = number("SMSGW_MESSAGES", 1000);
    let level = number("SMSGW_LEVEL", 2).to_string();
    println!("SMSGW_SEED={seed} SMSGW_MESSAGES={messages} SMSGW_LEVEL={level}");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();

    let (mut sink, sink_port) = peer(&[
        "sim",
        "sink",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "--ledger",
        &path("callbacks"),
    ])
    .await;
    let (mut carrier, carrier_port) = peer(&[
        "sim",
        "smsc",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "--ledger",
        &path("carrier"),
        "--chaos",
        &level,
        "--seed",
        &seed.to_string(),
        "--ids",
        "hex-then-decimal",
        "--deliver-timeout",
        "2s",
        "--receipt-delay",
        "20ms",
        "--receipt-jitter",
        "200ms",
    ])
    .await;
    let alpha = "operator.alpha";
    Settings::new()
        .operator("alpha", carrier_port)
        .line(alpha, "binds = 3")
        .line(alpha, "window = 20")
        .line(alpha, "response_timeout = \"1s\"")
        .line(alpha, "enquire_link = \"1s\"")
        .line(alpha, "credentials_retry = \"1s\"")
        .line(alpha, "throttled_retry = \"100ms\"")
        .line(alpha, "queue_full_retry = [\"100ms for 10m\"]")
        .line(alpha, "temporary_retry = [\"100ms for 10m\"]")
        .line(alpha, "temporary_attempts = 1000")
        .line(alpha, "in_doubt_max = 1000")
        // A receipt that came before its answer, while the form of ids was not known yet, is looked at again at half of it.
        .line("limits", "parked_receipts = \"10s\"")
        .client("acme", &format!("http://127.0.0.1:{sink_port}/"))
        .route_mt(&[], &["alpha"])
        .route_mo(&["12345"], "acme")
        .write(dir.path());
    let gateway = Gateway::start(dir.path()).await;

    let mut load = Gateway::tool(&[
        "load",
        "http",
        "--url",
        gateway.api.base(),
        "--api-key",
        "acme-key",
        "--connections",
        "16",
        "--total",
        &messages.to_string(),
        "--mix",
        "gsm:100=80,ucs2:60=10,gsm:350=10",
        "--retries",
        "20",
        "--ledger",
        &path("sent"),
    ]);
    let patience = Duration::from_secs(60) + Duration::from_millis(messages * 20);
    let deadline = Instant::now() + patience;
    while load.has_ended().is_none() {
        assert!(
            Instant::now() < deadline,
            "the load does not end within {patience:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(
        load.ended().await.success(),
        "{:?}",
        load.out.read(<[String]>::to_vec)
    );

    let mut said = compare(dir.path()).await;
    while let Err(findings) = &said {
        if Instant::now() > deadline {
            let kept = dir.keep();
            carrier.tell("stats").await;
            panic!("after {patience:?}, ledgers under {}: {findings}", kept.display());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        said = compare(dir.path()).await;
    }
    // What comes late must not come twice.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let said = compare(dir.path()).await.unwrap();
    let metrics = gateway.metrics().await;
    println!("{said}");
    let verdict: Value = serde_json::from_str(&said).unwrap();
    let again = verdict["mt"]["resubmitted"]["count"].as_f64().unwrap();
    let doubts = metrics.sum("smsgw_operator_in_doubt_total", &[]);
    assert!(
        again <= doubts,
        "{again} messages went to the carrier twice, {doubts} parts were in doubt"
    );
    for name in [
        "smsgw_operator_in_doubt_total",
        "smsgw_receipts_matched_total",
        "smsgw_receipts_unknown_total",
        "smsgw_receipts_duplicate_total",
    ] {
        println!("{name} {}", metrics.sum(name, &[]));
    }
    carrier.tell("stats").await;
    sink.tell("stats").await;
}
