//! The carriers of a round and what the gateway is told about them, by protocol.
//!
//! Knows no verdict. Two of each: with several binds, and (over SMPP) with pairs, (over HTTP) with long messages in parts and whole.

use super::{Round, Speech};
use crate::harness::{Process, Settings, peer, stats};
use serde_json::{Value, json};
use std::path::Path;

/// Messages of one part from phones, per batch.
const BATCH: u64 = 50;
/// A long one among the batches has so many messages of three parts.
const LONG: u64 = 10;

/// One carrier: a simulator process, and how many messages its phones send.
pub(super) struct Carrier {
    process: Process,
    pub(super) port: u16,
    pub(super) phones: u64,
}

impl Speech {
    /// The subcommand of `smsgw sim`, forms of ids, states of receipts, and refusals for good.
    fn habits(self) -> (&'static str, [&'static str; 2], &'static str, [&'static str; 2]) {
        match self {
            Self::Smpp => (
                "smsc",
                ["hex-then-decimal", "padded-then-decimal"],
                "undeliv=0.05,expired=0.03,rejectd=0.02",
                ["suffix:13=0x0b", "suffix:57=0x401"],
            ),
            // Notifications say delivered or not; an id is recipient and time.
            Self::Ucp => (
                "ucp",
                ["decimal", "decimal"],
                "undeliv=0.1",
                ["suffix:13=0x06", "suffix:57=0x17"],
            ),
            Self::Http => (
                "http",
                ["uuid", "decimal"],
                "undeliv=0.05,expired=0.03,rejectd=0.02",
                ["suffix:13=0x0b", "suffix:57=422"],
            ),
        }
    }
}

impl Carrier {
    /// `number` tells the two apart; `inbound` is where receipts are brought to over HTTP.
    pub(super) async fn start(round: Round, ledger: &Path, number: u64, inbound: u16) -> Self {
        let (seed, level) = ((round.seed + number).to_string(), round.level.to_string());
        let first_id = (1_000_000_000_000 * (number + 1) + round.seed % 1_000_000).to_string();
        let ledger = ledger.display().to_string();
        let (kind, ids, states, refusals) = round.speech.habits();
        let inbound = format!("127.0.0.1:{inbound}");
        let mut words = vec![
            "sim",
            kind,
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
            ids[number as usize % 2],
            "--first-id",
            &first_id,
            "--deliver-timeout",
            "2s",
            "--receipt-delay",
            "20ms",
            "--receipt-jitter",
            "200ms",
            "--states",
            states,
            "--states-by-recipient",
            "--reject",
            refusals[0],
            "--reject",
            refusals[1],
        ];
        if round.speech == Speech::Http {
            words.extend(["--inbound", &inbound, "--inbound-header", "x-secret: s3cret"]);
        }
        let (process, port) = peer(&words).await;
        Self {
            process,
            port,
            phones: 0,
        }
    }

    /// Phones write: a tenth of what clients do, in batches of short and of long messages.
    pub(super) async fn inject(&mut self, round: Round, number: u64) {
        let concats = match round.speech {
            Speech::Smpp => ["udh", "udh16", "sar", "udh-and-sar"],
            // There are no parameters for SAR.
            Speech::Ucp | Speech::Http => ["udh", "udh16", "udh", "udh16"],
        };
        for batch in 0..(round.messages / 20).div_ceil(BATCH + LONG) {
            // Each batch has phones of its own: those of real ones count their references up.
            let from = format!("49{number}{batch:03}*");
            let short = json!({"total": BATCH, "rate": 25.0, "from": from});
            let concat = concats[(batch % 4) as usize];
            let long = json!({"total": LONG, "rate": 10.0, "from": from, "parts": 3, "order": "shuffled",
                "concat": concat});
            for batch in [short, long] {
                self.process.tell(&format!("mo {batch}")).await;
                self.phones += batch["total"].as_u64().unwrap();
            }
        }
    }

    /// What it has counted.
    pub(super) async fn stats(&mut self) -> Value {
        stats(&mut self.process).await
    }
}

/// The gateway's configuration.
pub(super) fn settings(speech: Speech, carriers: [&Carrier; 2], inbound: [u16; 2], sink: u16) -> Settings {
    let [alpha, beta] = carriers.map(|carrier| carrier.port);
    let mut settings = match speech {
        Speech::Smpp => Settings::new()
            .operator("alpha", alpha)
            .operator("beta", beta)
            .line("operator.beta", "bind = \"transmitter+receiver\""),
        // Error 04 is what these centres say for every refusal that may pass.
        Speech::Ucp => Settings::new()
            .ucp_operator("alpha", alpha)
            .ucp_operator("beta", beta)
            .line("operator.alpha", "throttled = [\"UCP_04\"]")
            .line("operator.beta", "throttled = [\"UCP_04\"]"),
        Speech::Http => Settings::new()
            .http_operator("alpha", alpha, inbound[0])
            .http_operator("beta", beta, inbound[1])
            .line("operator.beta", "long_messages = \"payload\""),
    };
    for operator in ["operator.alpha", "operator.beta"] {
        for line in [
            "binds = 2",
            "window = 20",
            "response_timeout = \"2s\"",
            "reconnect_min = \"50ms\"",
            "reconnect_max = \"500ms\"",
            "credentials_retry = \"1s\"",
            "throttled_retry = \"100ms\"",
            "queue_full_retry = [\"100ms for 10m\"]",
            "in_doubt_max = 1000",
        ] {
            settings = settings.line(operator, line);
        }
        if speech != Speech::Http {
            settings = settings.line(operator, "enquire_link = \"1s\"");
        }
    }
    settings
        .line("operator.alpha", "binds = 3")
        // A receipt that came before its answer, while the form of ids was not known yet, is looked at again at half of it.
        .line("limits", "parked_receipts = \"10s\"")
        .client("acme", &format!("http://127.0.0.1:{sink}/"))
        .route_mt(&["49"], &["alpha"])
        .route_mt(&["43"], &["beta"])
        .route_mo(&["12345"], "acme")
}
