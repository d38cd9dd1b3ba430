//! Who floods the gateway takes no more than its share: another client at a tenth of its rate keeps its latency, and so
//! does an urgent message of the same client.
//!
//! The carrier takes less than the flood hands in, so that a backlog of many seconds is made. Two latencies are measured:
//! from when a message was due to its answer, and from the answer to the carrier's ledger. One that waited behind the flood
//! would take as long as the backlog is deep. They are measured three times: alone, while the same flood keeps another gateway
//! on this machine busy, and beside it in the same gateway. The second is what processors cost that others use too, whoever
//! they are; what the third takes more is what the neighbour costs.
//!
//! `SMSGW_CALM_RATE` sets the messages a second of the other client (30); the operator sends 20 for each 3 of them.
//!
//! # Limits
//! Gateway, carrier, flood and measurement share the machine's processors: what is asserted is far from what the backlog
//! would cost and far from what an idle machine shows; the figures are printed.

use crate::harness::{Gateway, PATIENCE, Process, Settings, peer};
use crate::smpp_clients::smpp_port;
use serde_json::Value;
use smsgw_sim::ledger::{LedgerOptions, Sent};
use smsgw_sim::load::{HttpLoad, Plan, Quantiles, SmppLoad, load_http, load_smpp};
use std::collections::HashMap;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Parts a second that the operator sends, for each message a second of the client beside the flood.
const RATE: f64 = 20.0 / 3.0;
/// How deep the backlog is before anything is measured, in seconds of the operator's rate.
const DEEP: f64 = 10.0;
/// How long is measured without the flood, and beside it.
const SPAN: Duration = Duration::from_secs(3);
/// What half of the messages may take beside the flood, in milliseconds: a twentieth of what those take that wait behind the
/// backlog, and six times what a slow build took (10 to 80). What it took apart is no measure there: the flood is the one who
/// must be worked on, and a build without optimisation takes ten times as long for each of its messages.
const HALF: f64 = DEEP * 1000.0 / 20.0;
/// What 99 of 100 may take, in milliseconds, on a machine that is busy with other things and whose disk stalls: a quarter of
/// what they take that wait behind the backlog.
const MOST: f64 = DEEP * 1000.0 / 4.0;

/// Messages a second of the client beside the flood.
fn calm_rate() -> f64 {
    std::env::var("SMSGW_CALM_RATE").map_or(30.0, |text| text.parse().expect("messages a second"))
}

#[derive(Debug, Clone, Copy)]
enum Face {
    Http,
    Smpp,
}

struct Scene {
    /// Messages a second of the calm client, and parts a second of the operator.
    calm: f64,
    rate: f64,
    _dir: TempDir,
    ledger: TempDir,
    _carrier: Process,
    gateway: Gateway,
    smpp: String,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
struct Latencies {
    count: usize,
    /// From when a message was due to its answer.
    answer: Quantiles,
    /// From the answer to the carrier: half of them, 99 of 100.
    carrier: (f64, f64),
}

impl Scene {
    async fn start() -> Self {
        let calm = calm_rate();
        let rate = calm * RATE;
        let dir = tempfile::tempdir().unwrap();
        // The carrier writes before it answers, and must not wait for the disk that the gateway writes to.
        let ledger = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let file = ledger.path().join("carrier").display().to_string();
        let words = [
            "sim",
            "smsc",
            "--listen",
            "127.0.0.1:0",
            "--control",
            "--ledger",
            &file,
        ];
        let (carrier, port) = peer(&words).await;
        let mut settings = Settings::new()
            .operator("alpha", port)
            .line("operator.alpha", &format!("rate = {rate}"))
            .line("operator.alpha", "receipts = \"never\"")
            .line("smpp", "listen = \"127.0.0.1:0\"")
            .route_mt(&[], &["alpha"]);
        for client in ["flood", "calm"] {
            let section = format!("client.{client}");
            settings = settings
                .line(&section, &format!("api_key = \"{client}-key\""))
                .line(&section, &format!("system_id = \"{client}\""))
                .line(&section, "password = \"secret\"")
                .line(&section, "report = \"none\"");
        }
        settings.write(dir.path());
        let gateway = Gateway::start(dir.path()).await;
        let smpp = format!("127.0.0.1:{}", smpp_port(&gateway.process).await);
        gateway
            .metric_at_least("smsgw_operator_link_state", &[], 2.0)
            .await;
        Self {
            calm,
            rate,
            _dir: dir,
            ledger,
            _carrier: carrier,
            gateway,
            smpp,
        }
    }

    /// Sends as fast as answers come, until it is dropped.
    fn flood(&self, face: Face, class: &str) -> Process {
        let plan = ["--duration", "60s", "--to-prefix", "49170"];
        match face {
            Face::Http => {
                let to = [
                    "load",
                    "http",
                    "--url",
                    self.gateway.api.base(),
                    "--api-key",
                    "flood-key",
                ];
                let how = ["--connections", "500", "--class", class];
                Gateway::tool(&[&to[..], &how, &plan].concat())
            }
            Face::Smpp => {
                let to = [
                    "load",
                    "smpp",
                    "--host",
                    &self.smpp,
                    "--system-id",
                    "flood",
                    "--password",
                    "secret",
                ];
                let how = ["--binds", "40", "--window", "100"];
                Gateway::tool(&[&to[..], &how, &plan].concat())
            }
        }
    }

    /// Messages of that client, steadily; every one must be taken and reach the carrier.
    async fn measure(&self, face: Face, client: &str, class: &str, prefix: &str) -> Latencies {
        let plan = Plan {
            rate: self.calm,
            ..Plan::duration(SPAN)
        };
        let ledger = LedgerOptions {
            file: None,
            keep: 100_000,
        };
        let (answer, sent) = match face {
            Face::Http => {
                let load = HttpLoad {
                    // Enough to keep the rate while answers take a second.
                    connections: 64,
                    class: class.into(),
                    to_prefix: prefix.into(),
                    ..HttpLoad::new(self.gateway.api.base(), format!("{client}-key"), plan)
                };
                let (report, sent) = load_http(load, &ledger).await.unwrap();
                (report.latency_from_due, sent)
            }
            Face::Smpp => {
                let load = SmppLoad {
                    system_id: client.into(),
                    password: "secret".into(),
                    window: 100,
                    to_prefix: prefix.into(),
                    ..SmppLoad::new(self.smpp.clone(), plan)
                };
                let loaded = load_smpp(load, &ledger, &ledger).await.unwrap();
                (loaded.report.latency_from_due, loaded.sent)
            }
        };
        let refused: Vec<&Sent> = sent.iter().filter(|sent| !sent.is_accepted()).collect();
        assert!(
            refused.is_empty(),
            "{} of {} refused: {:?}",
            refused.len(),
            sent.len(),
            refused[0]
        );
        assert!(
            sent.len() as f64 >= SPAN.as_secs_f64() * self.calm * 0.9,
            "only {} were sent",
            sent.len()
        );
        let deadline = Instant::now() + PATIENCE;
        let came = loop {
            let came = self.came(prefix);
            if sent.iter().all(|sent| came.contains_key(&sent.to)) {
                break came;
            }
            assert!(
                Instant::now() < deadline,
                "after {PATIENCE:?} only {} of {} are at the carrier",
                came.len(),
                sent.len()
            );
            sleep(Duration::from_millis(100)).await;
        };
        let mut took: Vec<i64> = sent
            .iter()
            .map(|sent| (came[&sent.to] - sent.at).max(0))
            .collect();
        took.sort_unstable();
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)] as f64;
        Latencies {
            count: took.len(),
            answer,
            carrier: (at(50), at(99)),
        }
    }

    /// When each recipient of these had its first submit at the carrier.
    fn came(&self, prefix: &str) -> HashMap<String, i64> {
        let text = std::fs::read_to_string(self.ledger.path().join("carrier")).unwrap_or_default();
        let mut came = HashMap::new();
        // The last line may be half written.
        for line in text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        {
            let to = line["destination"].as_str().unwrap_or_default();
            if line["type"] == "submit" && to.starts_with(prefix) {
                came.entry(to.to_owned())
                    .or_insert_with(|| line["at"].as_i64().unwrap());
            }
        }
        came
    }

    /// Records that wait, in all queues of messages.
    async fn backlog(&self) -> f64 {
        let metrics = self.gateway.metrics().await;
        ["mt.accepted", "mt.operator.alpha"]
            .iter()
            .map(|queue| metrics.sum("smsgw_queue_depth", &[("queue", queue)]))
            .sum()
    }

    /// A flood that has made its backlog.
    async fn flooded(&self, face: Face, class: &str) -> Process {
        let mut flooding = self.flood(face, class);
        let deadline = Instant::now() + PATIENCE;
        while self.backlog().await < DEEP * self.rate {
            assert!(Instant::now() < deadline, "no backlog after {PATIENCE:?}");
            assert_eq!(flooding.has_ended(), None, "the flood goes on");
            sleep(Duration::from_millis(50)).await;
        }
        flooding
    }

    /// Measures the calm one while the flood goes to another gateway.
    async fn apart(&self, face: Face, flood: &str, (client, class): (&str, &str)) -> Latencies {
        let mut other = Self::start().await;
        let mut flooding = other.flooded(face, flood).await;
        let apart = self.measure(face, client, class, "49173").await;
        assert_eq!(flooding.has_ended(), None, "the flood went on to the end");
        flooding.kill().await;
        other.gateway.kill().await;
        apart
    }

    /// Floods, measures the calm one beside it, and judges.
    async fn judge(mut self, face: Face, flood: &str, calm: (&str, &str)) {
        let (client, class) = calm;
        let alone = self.measure(face, client, class, "49171").await;
        let apart = self.apart(face, flood, calm).await;
        let mut flooding = self.flooded(face, flood).await;
        let (from, waited, went) = (Instant::now(), self.backlog().await, self.came("49170").len());
        let beside = self.measure(face, client, class, "49172").await;
        let (took, waits) = (from.elapsed().as_secs_f64(), self.backlog().await);
        let came = (self.came("49170").len() - went) as f64;
        assert_eq!(flooding.has_ended(), None, "the flood went on to the end");
        let rate = (waits - waited + came) / took;
        flooding.kill().await;
        let row = |name: &str, seen: &Latencies| {
            println!(
                "{face:?} {client} {class} {name:>6}: {} messages, answer p50 {:.1} p99 {:.1} ms, to the carrier p50 {} p99 {} ms",
                seen.count, seen.answer.p50_ms, seen.answer.p99_ms, seen.carrier.0, seen.carrier.1
            );
        };
        row("alone", &alone);
        row("apart", &apart);
        row("beside", &beside);
        println!(
            "{face:?} flood {rate:.0}/s, {:.1} times the other; backlog {:.1} to {:.1} s deep; times what it takes apart: answer p50 {:.1} p99 {:.1}, way p50 {:.1} p99 {:.1}",
            rate / self.calm,
            waited / self.rate,
            waits / self.rate,
            beside.answer.p50_ms / apart.answer.p50_ms,
            beside.answer.p99_ms / apart.answer.p99_ms,
            beside.carrier.0 / apart.carrier.0.max(1.0),
            beside.carrier.1 / apart.carrier.1.max(1.0)
        );
        assert!(rate >= 10.0 * self.calm, "a flood of {rate}/s is none");
        assert!(waits >= DEEP * self.rate, "the backlog went away: {waits}");
        for (what, half, most) in [
            ("answers", beside.answer.p50_ms, beside.answer.p99_ms),
            ("the way to the carrier", beside.carrier.0, beside.carrier.1),
        ] {
            assert!(
                half <= HALF && most <= MOST,
                "{what} took {half} ms, 99 of 100 up to {most} ms"
            );
        }
        self.gateway.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_beside_one_that_floods_over_http_keeps_its_latency() {
    let scene = Scene::start().await;
    scene
        .judge(Face::Http, "transactional=1", ("calm", "transactional=1"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_beside_one_that_floods_over_smpp_keeps_its_latency() {
    let scene = Scene::start().await;
    scene.judge(Face::Smpp, "", ("calm", "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_time_password_overtakes_the_bulk_of_its_own_client() {
    let scene = Scene::start().await;
    scene.judge(Face::Http, "bulk=1", ("flood", "otp=1")).await;
}
