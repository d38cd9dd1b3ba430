//! Carriers that misbehave at random, and still every message is sent, reported once and as what it was.
//!
//! Two carriers of the simulator with `--chaos`: three transceivers at one, two pairs of transmitter and receiver at the
//! other. By seed they cut, drop, stall, slow down, throttle, send receipts in storms, early, twice and on sibling binds, send
//! garbage, keep silent, answer in disorder, lose answers, refuse binds and die half; some messages are long, some refused for
//! good, some not delivered, and phones write meanwhile. `smsgw compare` judges the ledgers of client, carriers and callback
//! receiver; `verdict` what the gateway counted. `cargo xtask chaos` makes a campaign of it: `SMSGW_MESSAGES` (1000),
//! `SMSGW_LEVEL` (2), and `SMSGW_SEED` to repeat one.

mod verdict;

use crate::harness::{Gateway, Process, Settings, compare, peer};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use verdict::Verdict;

/// Parts of messages from phones, per batch.
const BATCH: u64 = 50;
/// A long one among the batches has so many messages of three parts.
const LONG: u64 = 10;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
    })
}

/// What makes a round.
#[derive(Debug, Clone, Copy)]
struct Round {
    seed: u64,
    messages: u64,
    level: u64,
}

/// One carrier: a simulator process, and how many messages its phones send.
struct Carrier {
    process: Process,
    port: u16,
    phones: u64,
}

impl Carrier {
    async fn start(round: Round, ledger: &Path, number: u64, ids: &str) -> Self {
        let (seed, level) = ((round.seed + number).to_string(), round.level.to_string());
        let first_id = (1_000_000_000_000 * (number + 1) + round.seed % 1_000_000).to_string();
        let ledger = ledger.display().to_string();
        let (process, port) = peer(&[
            "sim",
            "smsc",
            "--listen",
            "127.0.0.1:0",
            "--control",
            "--ledger",
            &ledger,
            "--chaos",
            &level,
            "--seed",
            &seed,
            "--ids",
            ids,
            "--first-id",
            &first_id,
            "--deliver-timeout",
            "2s",
            "--receipt-delay",
            "20ms",
            "--receipt-jitter",
            "200ms",
            "--states",
            "undeliv=0.05,expired=0.03,rejectd=0.02",
            "--states-by-recipient",
            "--reject",
            "suffix:13=0x0b",
            "--reject",
            "suffix:57=0x401",
        ])
        .await;
        Self {
            process,
            port,
            phones: 0,
        }
    }

    /// Phones write: a tenth of what clients do, in batches of short and of long messages.
    async fn inject(&mut self, round: Round, number: u64) {
        for batch in 0..(round.messages / 20).div_ceil(BATCH + LONG) {
            // Each batch has phones of its own: those of real ones count their references up.
            let from = format!("49{number}{batch:03}*");
            let short = json!({"total": BATCH, "rate": 25.0, "from": from});
            let concat = ["udh", "udh16", "sar", "udh-and-sar"][(batch % 4) as usize];
            let long = json!({"total": LONG, "rate": 10.0, "from": from, "parts": 3, "order": "shuffled",
                "concat": concat});
            for batch in [short, long] {
                self.process.tell(&format!("mo {batch}")).await;
                self.phones += batch["total"].as_u64().unwrap();
            }
        }
    }

    /// What it has counted.
    async fn stats(&mut self) -> Value {
        let seen = self.process.out.read(<[String]>::len);
        self.process.tell("stats").await;
        self.process
            .out
            .wait("the carrier's counts", |lines| {
                let line: Value = serde_json::from_str(lines.get(seen)?).unwrap();
                assert!(line["error"].is_null(), "{line}");
                Some(line)
            })
            .await
    }
}

fn settings(alpha: u16, beta: u16, sink: u16) -> Settings {
    let mut settings = Settings::new()
        .operator("alpha", alpha)
        .operator("beta", beta)
        .line("operator.alpha", "binds = 3")
        .line("operator.beta", "binds = 2")
        .line("operator.beta", "bind = \"transmitter+receiver\"");
    for operator in ["operator.alpha", "operator.beta"] {
        for line in [
            "window = 20",
            "response_timeout = \"2s\"",
            "enquire_link = \"1s\"",
            "credentials_retry = \"1s\"",
            "throttled_retry = \"100ms\"",
            "queue_full_retry = [\"100ms for 10m\"]",
            "in_doubt_max = 1000",
        ] {
            settings = settings.line(operator, line);
        }
    }
    settings
        // A receipt that came before its answer, while the form of ids was not known yet, is looked at again at half of it.
        .line("limits", "parked_receipts = \"10s\"")
        .client("acme", &format!("http://127.0.0.1:{sink}/"))
        .route_mt(&["49"], &["alpha"])
        .route_mt(&["43"], &["beta"])
        .route_mo(&["12345"], "acme")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_carriers_do_every_message_is_sent_and_reported_once() {
    let round = Round {
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
    let mut alpha = Carrier::start(round, &dir.path().join("carrier"), 0, "hex-then-decimal").await;
    let mut beta = Carrier::start(round, &dir.path().join("carrier-beta"), 1, "padded-then-decimal").await;
    settings(alpha.port, beta.port, sink_port).write(dir.path());
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
