//! One gateway, and an operator for each habit of real carriers: whatever they do, the message ends as it should.
//!
//! Each carrier is the simulator with one switch of `ops/docs/simulator.md` on. A few messages go through each, short and
//! long ones, some from phones; judged are the states that the client was told (each once), the submits that the carrier
//! accepted (each part once), the texts and senders of phones, and what the gateway counted. `ops/docs/carrier-quirks.md`
//! names the case of each habit; `page` holds the two together.

mod case;
mod links;
mod page;
mod phones;
mod receipts;
mod submits;

use crate::harness::{Api, Callback, Gateway, Metrics, PATIENCE, Receiver, Settings};
use case::{Case, TEXT};
use serde_json::{Value, json};
use smsgw_sim::ledger::{CarrierRecord, Fate, LedgerOptions, sum};
use smsgw_sim::smsc::{SmscOptions, SmscReport, SmscServer};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Records of one carrier that are kept: far more than a case makes.
const KEPT: usize = 10_000;

/// A case with its carrier and its operator.
struct Running {
    case: Case,
    operator: String,
    server: Option<SmscServer>,
    /// Ids of the messages sent.
    ids: Vec<String>,
    /// Parts of them.
    parts: usize,
}

fn all() -> Vec<Case> {
    [
        receipts::cases(),
        submits::cases(),
        links::cases(),
        phones::cases(),
    ]
    .concat()
}

async fn start(at: usize, case: Case) -> Running {
    let options = SmscOptions::default()
        .with(&json!({"name": case.name, "seed": at}))
        .and_then(|options| options.with(&case.carrier))
        .unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    let server = SmscServer::start(options, ([127, 0, 0, 1], 0).into(), &LedgerOptions::memory(KEPT))
        .await
        .unwrap();
    Running {
        operator: format!("c{at:03}"),
        case,
        server: Some(server),
        ids: Vec::new(),
        parts: 0,
    }
}

fn settings(running: &[Running], callback: &str) -> Settings {
    let mut settings = Settings::new()
        .client("acme", callback)
        .line("limits", "parked_receipts = \"4s\"");
    for (at, one) in running.iter().enumerate() {
        let section = format!("operator.{}", one.operator);
        settings = settings.operator(&one.operator, one.server().local_addr().port());
        for line in &one.case.operator {
            settings = settings.line(&section, line);
        }
        settings = settings.route_mt(&[&format!("49{at:03}")], &[&one.operator]);
    }
    settings.route_mo(&["12345"], "acme")
}

impl Running {
    fn server(&self) -> &SmscServer {
        self.server.as_ref().expect("it runs to the end")
    }

    /// Hands in messages; their recipients belong to this operator alone.
    async fn send(&mut self, api: &Api, at: usize, short: usize, long: usize) {
        for n in 0..short + long {
            let number = self.ids.len();
            let text = match n < short {
                true => format!("{TEXT} {number}"),
                false => format!("{TEXT} {number} {}", "0123456789".repeat(20)),
            };
            let to = format!("49{at:03}{number:07}");
            let accepted = api
                .submit(&json!({"from": self.case.from, "to": to, "text": text}))
                .await;
            self.ids.push(accepted["id"].as_str().unwrap().to_owned());
            self.parts += accepted["parts"].as_u64().unwrap() as usize;
        }
    }

    /// Waits until the carrier has accepted every part, and cuts.
    async fn cut(&self, gateway: &Gateway) {
        let labels = [("operator", self.operator.as_str()), ("outcome", "sent")];
        gateway
            .metric_at_least("smsgw_operator_ended_total", &labels, self.parts as f64)
            .await;
        self.server().cut_all();
    }

    /// What has not come true yet of what is counted.
    fn uncounted(&self, metrics: &Metrics) -> Vec<String> {
        let mut faults = Vec::new();
        for count in &self.case.counts {
            let labels = [&[("operator", self.operator.as_str())], &count.labels[..]].concat();
            let found = metrics.sum(count.name, &labels);
            if found < count.least || found > count.most {
                faults.push(format!(
                    "{} {:?} is {found}, not {} to {}",
                    count.name, count.labels, count.least, count.most
                ));
            }
        }
        faults
    }

    /// Whether each message ended as it should, told once.
    fn told(&self, callbacks: &[Callback], states: &BTreeMap<String, String>) -> Vec<String> {
        let mut faults = Vec::new();
        for id in &self.ids {
            let told: Vec<&Value> = callbacks
                .iter()
                .filter(|callback| {
                    callback.body["type"] == "report" && callback.body["message"]["id"] == **id
                })
                .map(|callback| &callback.body["message"]["state"])
                .collect();
            let ends = self.case.ends;
            let right = match ends {
                // Nothing final is known of them; nothing is told.
                "queued" => told.is_empty(),
                // Final where no receipt can come: none was asked for, or there is no id to know it by.
                "sent" if self.case.sent_is_final => told == ["sent"],
                "sent" => told.is_empty(),
                _ => told == [ends],
            };
            if !right || states[id] != ends {
                faults.push(format!(
                    "{id} is {}, the client was told {told:?}, expected {ends}",
                    states[id]
                ));
            }
        }
        faults
    }

    /// Whether the client got each message of phones.
    fn unheard(&self, callbacks: &[Callback]) -> Option<String> {
        let batch = self.case.phones.as_ref()?;
        let (total, heard) = (
            batch["total"].as_u64().unwrap() as usize,
            self.heard_of(callbacks).count(),
        );
        (heard < total).then(|| format!("{heard} messages of {total} from phones"))
    }

    /// Whether the client got each once, and as it was.
    fn heard(&self, callbacks: &[Callback], report: &SmscReport) -> Vec<String> {
        let taken = report.records.iter().filter_map(|record| match record {
            CarrierRecord::MoTaken(taken) => Some(taken),
            CarrierRecord::AnswerLost(_) | CarrierRecord::Submit(_) | CarrierRecord::Replaced(_) => None,
        });
        let texts: BTreeSet<u64> = taken.filter_map(|taken| taken.text).map(|text| text.0).collect();
        let heard: Vec<&Value> = self.heard_of(callbacks).collect();
        let mut faults = Vec::new();
        if let Some(batch) = &self.case.phones
            && batch["total"].as_u64() != Some(heard.len() as u64)
        {
            faults.push(format!(
                "{} messages from phones, not {}",
                heard.len(),
                batch["total"]
            ));
        }
        let mut left = texts.clone();
        for message in heard {
            let text = message["text"].as_str().unwrap_or_default();
            if !left.remove(&sum(text.as_bytes()).0) && !texts.is_empty() {
                faults.push(format!("no phone wrote {text:?}, or not twice"));
            }
            if self.case.phone.is_some_and(|phone| message["from"] != phone) {
                faults.push(format!("from {}, not {:?}", message["from"], self.case.phone));
            }
        }
        faults
    }

    fn heard_of<'a>(&'a self, callbacks: &'a [Callback]) -> impl Iterator<Item = &'a Value> {
        callbacks
            .iter()
            .filter(|callback| callback.body["type"] == "mo")
            .map(|callback| &callback.body["message"])
            .filter(|message| message["operator"] == self.operator)
    }

    /// What is not yet, or no longer, as it should be.
    async fn faults(&self, api: &Api, metrics: &Metrics, callbacks: &[Callback]) -> Vec<String> {
        let mut states = BTreeMap::new();
        for id in &self.ids {
            let message = api.message(id).await;
            states.insert(id.clone(), message["state"].as_str().unwrap().to_owned());
        }
        let mut faults = self.uncounted(metrics);
        faults.extend(self.told(callbacks, &states));
        faults.extend(self.unheard(callbacks));
        faults
    }

    /// Whether the carrier got each part once, in a form that it can read.
    fn carried(&self, metrics: &Metrics, report: &SmscReport) -> Vec<String> {
        let submits = report.records.iter().filter_map(|record| match record {
            CarrierRecord::Submit(submit) => Some(submit),
            CarrierRecord::AnswerLost(_) | CarrierRecord::MoTaken(_) | CarrierRecord::Replaced(_) => None,
        });
        let accepted = submits.filter(|submit| submit.fate != Fate::Refused).count();
        let mut faults = Vec::new();
        let expected = match self.case.refused || self.case.ends == "queued" {
            true => 0,
            false => self.parts,
        };
        let labels = [("operator", self.operator.as_str()), ("reason", "in_doubt")];
        let again = metrics.sum("smsgw_operator_released_total", &labels);
        let surplus = accepted.saturating_sub(expected);
        let explained = surplus == 0 || self.case.may_repeat && surplus as f64 <= again;
        if accepted < expected || !explained {
            faults.push(format!(
                "{accepted} submits accepted for {expected} parts, {again} sent again in doubt"
            ));
        }
        let stats = &report.stats;
        if (stats.undecodable, stats.ids_in_answers, stats.deliveries_refused) != (0, 0, 0) {
            faults.push(format!("the carrier cannot read us: {stats:?}"));
        }
        faults
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_carrier_does_its_messages_end_as_they_should() {
    // `SMSGW_CASE=receipt_` runs those cases alone that begin so.
    let only = std::env::var("SMSGW_CASE").unwrap_or_default();
    let begun = Instant::now();
    let receiver = Receiver::start().await;
    let mut running = Vec::new();
    for (at, case) in all()
        .into_iter()
        .filter(|case| case.name.starts_with(&only))
        .enumerate()
    {
        running.push(start(at, case).await);
    }
    let dir = tempfile::tempdir().unwrap();
    settings(&running, &receiver.url()).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let api = gateway.api.clone();
    for (at, one) in running.iter_mut().enumerate() {
        let (short, long) = (one.case.short, one.case.long);
        one.send(&api, at, short, long).await;
        if let Some(batch) = &one.case.phones {
            one.server()
                .inject_mo(serde_json::from_value(batch.clone()).unwrap());
        }
    }
    for (at, one) in running.iter_mut().enumerate() {
        if let Some(more) = one.case.cut {
            one.cut(&gateway).await;
            one.send(&api, at, more, 0).await;
        }
    }

    // All of it comes true some time; what is still wrong in the end is said at once.
    let deadline = Instant::now() + PATIENCE;
    let mut pending: Vec<&Running> = running.iter().collect();
    loop {
        let (metrics, callbacks) = (gateway.metrics().await, receiver.all());
        let mut left = Vec::new();
        for one in pending {
            if !one.faults(&api, &metrics, &callbacks).await.is_empty() {
                left.push(one);
            }
        }
        if left.is_empty() || Instant::now() > deadline {
            println!("{} carriers, {:?}", running.len(), begun.elapsed());
            break;
        }
        pending = left;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // What comes late must not come twice.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (metrics, callbacks) = (gateway.metrics().await, receiver.all());
    let mut faults = Vec::new();
    for one in &running {
        let wrong = one.faults(&api, &metrics, &callbacks).await;
        faults.extend(
            wrong
                .into_iter()
                .map(|fault| format!("{}: {fault}", one.case.name)),
        );
    }
    gateway.stop().await;
    let callbacks = receiver.all();
    for mut one in running {
        let report = one.server.take().unwrap().stop().await.unwrap();
        let mut wrong = one.carried(&metrics, &report);
        wrong.extend(one.heard(&callbacks, &report));
        let reports = callbacks
            .iter()
            .filter(|callback| callback.body["type"] == "report");
        let told = reports.filter(|callback| one.ids.iter().any(|id| callback.body["message"]["id"] == **id));
        if told.count() > one.ids.len() {
            wrong.push("a message was reported twice".to_owned());
        }
        faults.extend(
            wrong
                .into_iter()
                .map(|fault| format!("{}: {fault}", one.case.name)),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
