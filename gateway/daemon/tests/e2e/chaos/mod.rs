//! Carriers that misbehave at random, and still every message is sent, reported once and as what it was.
//!
//! Two carriers of the simulator with `--chaos`, over one protocol. By seed they cut, drop, stall, slow down, answer late, throttle,
//! send receipts in storms, early, twice and on sibling binds, send garbage, keep silent, answer in disorder, lose answers, refuse
//! binds and connections and die half; over HTTP they also reset requests, have errors of their own, and garble or break off
//! answers. Some messages are long, some refused for good, some not delivered, and phones write meanwhile. `smsgw compare` judges
//! the ledgers of client, carriers and callback receiver; `verdict` what the gateway counted. `cargo xtask chaos` makes a campaign
//! of it: `SMSGW_MESSAGES` (1000), `SMSGW_LEVEL` (2), and `SMSGW_SEED` to repeat one.

mod carrier;
mod verdict;

use crate::harness::{Gateway, compare, free_port, peer};
use carrier::{Carrier, settings};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;
use verdict::Verdict;

/// Messages of clients a second: slow enough that carriers have time to misbehave, whatever the build.
const RATE: u64 = 200;

/// What the carriers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Smpp,
    Ucp,
    Http,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
    })
}

/// What makes a round.
#[derive(Debug, Clone, Copy)]
struct Round {
    speech: Speech,
    seed: u64,
    messages: u64,
    level: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_carriers_do_every_message_is_sent_and_reported_once() {
    play(Speech::Smpp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_centres_of_ucp_do_every_message_is_sent_and_reported_once() {
    play(Speech::Ucp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_carriers_over_http_do_every_message_is_sent_and_reported_once() {
    play(Speech::Http).await;
}

async fn play(speech: Speech) {
    let round = Round {
        speech,
        seed: number("SMSGW_SEED", u64::from(rand::random::<u32>())),
        messages: number("SMSGW_MESSAGES", 1000),
        level: number("SMSGW_LEVEL", 2),
    };
    println!("{round:?}");
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let patience = Duration::from_secs(60) + Duration::from_millis(round.messages * 20);
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
    // Where carriers over HTTP bring receipts: known to them before the gateway listens.
    let inbound = [free_port(), free_port()];
    let mut alpha = Carrier::start(round, &dir.path().join("carrier"), 0, inbound[0]).await;
    let mut beta = Carrier::start(round, &dir.path().join("carrier-beta"), 1, inbound[1]).await;
    settings(speech, [&alpha, &beta], inbound, sink_port).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    alpha.inject(round, 1).await;
    beta.inject(round, 2).await;
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
        &round.messages.to_string(),
        "--rate",
        &RATE.to_string(),
        "--mix",
        "gsm:100=80,ucs2:60=10,gsm:350=10",
        "--to-prefix",
        "49170,43664",
        "--retries",
        "20",
        "--ledger",
        &path("sent"),
    ]);
    let phones = alpha.phones + beta.phones;
    let judged = loop {
        let ended = load.has_ended();
        if let Some(status) = ended
            && !status.success()
        {
            break Err("the load failed".to_owned());
        }
        let said = match ended {
            Some(_) => compare(dir.path()).await,
            None => Err("the load has not ended".to_owned()),
        };
        let done = said.and_then(|said| {
            let compared: Value = serde_json::from_str(&said).unwrap();
            if compared["mo"]["called_back"].as_u64() < Some(phones) {
                return Err(format!(
                    "{phones} messages from phones, not all called back: {said}"
                ));
            }
            Ok(())
        });
        match done {
            Ok(()) => break Ok(()),
            Err(findings) if begun.elapsed() > patience => break Err(findings),
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    // What comes late must not come twice.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let judged = match judged {
        Ok(()) => compare(dir.path()).await,
        Err(findings) => Err(findings),
    };
    let counted = [alpha.stats().await, beta.stats().await];
    let metrics = gateway.metrics().await;
    let verdict = Verdict {
        compared: judged
            .as_deref()
            .map_or(Value::Null, |said| serde_json::from_str(said).unwrap()),
        counted: &counted,
        metrics: &metrics,
        phones,
    };
    let mut faults = verdict.faults();
    faults.extend(
        judged
            .as_ref()
            .err()
            .map(|findings| format!("after {:?}: {findings}", begun.elapsed())),
    );
    println!("round {}", verdict.summary(round, begun.elapsed()));
    gateway.stop().await;
    sink.tell("stats").await;
    if !faults.is_empty() {
        let kept = dir.keep();
        let log = gateway.process.out.read(|lines| lines.join("\n"));
        std::fs::write(kept.join("gateway.log"), log).unwrap();
        panic!(
            "{round:?}, everything under {}:\n{}",
            kept.display(),
            faults.join("\n")
        );
    }
}
