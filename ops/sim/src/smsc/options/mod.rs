//! How the simulated carrier behaves: on the command line, in files (TOML or JSON), and as a value.
//!
//! One struct per duty; the switches that only misbehave are in tables of their own. Invariant: the defaults of the
//! command line and of [`SmscOptions::default`] are the same, and make a carrier that accepts everything at once.

mod answer;
mod bind;
mod deliver;
mod http;
mod receipt;
mod submit;

pub use answer::{AnswerQuirks, AnswerStrings, ErrorAnswer};
pub use bind::BindQuirks;
pub use deliver::{DeliverQuirks, Sequences, Tail};
pub use http::HttpQuirks;
pub use receipt::{
    DateForm, Disagreement, NetworkError, ReceiptBind, ReceiptForm, ReceiptQuirks, ReceiptText, ReceiptedPart,
};
pub use submit::{SubmitQuirks, ValidityForm};

use super::id::IdFormat;
use super::rule::{RejectRule, StateShare};
use crate::span;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

/// Which messages get a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptWhen {
    /// As registered_delivery asks.
    #[default]
    Asked,
    /// All of them (quirk 14).
    Always,
    /// None.
    Never,
}

/// What the carrier speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// SMPP.
    #[default]
    Smpp,
    /// UCP/EMI: `sim ucp`.
    Ucp,
    /// HTTP: `sim http`.
    Http,
}

/// The carrier's behaviour. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmscOptions {
    /// What it speaks; counts for new connections. UCP and HTTP have the same switches, as far as they have
    /// words for them.
    #[arg(long, value_enum, default_value_t = Protocol::Smpp, hide = true)]
    pub protocol: Protocol,
    /// Name of the carrier in bind answers.
    #[arg(long, default_value = "smsgw-sim")]
    pub name: String,
    /// The only account that may bind; absent: any.
    #[arg(long)]
    pub system_id: Option<String>,
    /// Its password; absent: any.
    #[arg(long)]
    pub password: Option<String>,
    /// Refuse every bind with this command_status; 0: accept.
    #[arg(long, default_value_t = 0, value_parser = span::number)]
    pub refuse_binds: u32,
    /// Submits per bind that may wait for their answer; more are answered ESME_RTHROTTLED.
    #[arg(long, default_value_t = 10_000)]
    pub window: usize,
    /// Deliveries per bind that may wait for the ESME's answer.
    #[arg(long, default_value_t = 100)]
    pub deliver_window: usize,
    /// After which an unanswered delivery is sent again.
    #[arg(long, value_parser = span::parse, default_value = "30s")]
    #[serde(with = "span::text")]
    pub deliver_timeout: Duration,
    /// After which a delivery that was answered with a temporary error is sent again.
    #[arg(long, value_parser = span::parse, default_value = "1s")]
    #[serde(with = "span::text")]
    pub redeliver_after: Duration,
    /// Deliveries that wait per account at most; beyond, the oldest is forgotten (and counted).
    #[arg(long, default_value_t = 2_000_000)]
    pub outbox: usize,
    /// Latest messages remembered for query_sm, cancel_sm and replace_sm.
    #[arg(long, default_value_t = 10_000)]
    pub store: usize,
    /// How long the answer of a submit takes.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub answer_delay: Duration,
    /// Random time added to it, at most.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub answer_jitter: Duration,
    /// Form of message ids (quirks 1 to 4).
    #[arg(long, value_enum, default_value_t = IdFormat::Decimal)]
    pub ids: IdFormat,
    /// First id; absent: from the time of the start, so that a restarted carrier repeats none. The same one at two
    /// carriers makes their ids collide (quirk 6).
    #[arg(long)]
    pub first_id: Option<u64>,
    /// Submits per account in any second; more are answered `throttle-status` (quirks 29 and 32). 0: no limit.
    #[arg(long, default_value_t = 0)]
    pub throttle: usize,
    /// The answer to submits above `throttle`: 0x58, 0x14, 0x64, 0x45, 0x08, 0x400 … (quirk 29).
    #[arg(long, default_value_t = 0x58, value_parser = span::number)]
    pub throttle_status: u32,
    /// Refusals: `suffix:000=0x0b`, `prefix:4999=0x45`, `share:0.01=0x08`. The first that fits counts.
    #[arg(long)]
    pub reject: Vec<RejectRule>,
    /// Share of submits that are accepted and never answered.
    #[arg(long, default_value_t = 0.0)]
    pub never_answer: f64,
    /// Cut the connection instead of answering every so many-th submit; 0: never.
    #[arg(long, default_value_t = 0)]
    pub drop_every: u64,
    /// Share of submits at which the connection is cut instead of an answer.
    #[arg(long, default_value_t = 0.0)]
    pub drop_share: f64,
    /// Which messages get a receipt; `always` sends unrequested ones (quirk 14).
    #[arg(long, value_enum, default_value_t = ReceiptWhen::Asked)]
    pub receipts: ReceiptWhen,
    /// Where a receipt says what it says (quirks 10 and 12).
    #[arg(long, value_enum, default_value_t = ReceiptForm::Both)]
    pub receipt_form: ReceiptForm,
    /// From the answer (or the submit, with `receipt-first`) to the receipt.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub receipt_delay: Duration,
    /// Random time added to it, at most.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub receipt_jitter: Duration,
    /// Count `receipt-delay` from the submit; with a delay of 0 the receipt goes out before the answer (quirk 5).
    #[arg(long)]
    pub receipt_first: bool,
    /// Shares of final states, such as `undeliv=0.05,expired=0.01,acked=0.1` (quirk 9); the rest is delivered.
    #[arg(long, value_delimiter = ',')]
    pub states: Vec<StateShare>,
    /// The state follows from the recipient, and stands in the ledger: a message that is submitted again has the same one.
    #[arg(long)]
    pub states_by_recipient: bool,
    /// Share of receipts that are sent twice (quirks 9 and 16).
    #[arg(long, default_value_t = 0.0)]
    pub duplicate_receipts: f64,
    /// Do not answer enquire_link (quirk 23).
    #[arg(long)]
    pub ignore_enquire_link: bool,
    /// Send a malformed deliver_sm after every so many-th submit; 0: never.
    #[arg(long, default_value_t = 0)]
    pub malformed_every: u64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How it binds and keeps sessions.
    #[command(flatten)]
    pub binds: BindQuirks,
    /// What it takes, and how fast.
    #[command(flatten)]
    pub submits: SubmitQuirks,
    /// How it answers.
    #[command(flatten)]
    pub answers: AnswerQuirks,
    /// How its receipts look and travel.
    #[command(flatten)]
    pub receipt: ReceiptQuirks,
    /// How its deliveries look on the wire.
    #[command(flatten)]
    pub deliveries: DeliverQuirks,
    /// What only HTTP has.
    #[command(flatten)]
    pub http: HttpQuirks,
}

impl Default for SmscOptions {
    fn default() -> Self {
        Self {
            protocol: Protocol::Smpp,
            name: "smsgw-sim".into(),
            system_id: None,
            password: None,
            refuse_binds: 0,
            window: 10_000,
            deliver_window: 100,
            deliver_timeout: Duration::from_secs(30),
            redeliver_after: Duration::from_secs(1),
            outbox: 2_000_000,
            store: 10_000,
            answer_delay: Duration::ZERO,
            answer_jitter: Duration::ZERO,
            ids: IdFormat::Decimal,
            first_id: None,
            throttle: 0,
            throttle_status: 0x58,
            reject: Vec::new(),
            never_answer: 0.0,
            drop_every: 0,
            drop_share: 0.0,
            receipts: ReceiptWhen::Asked,
            receipt_form: ReceiptForm::Both,
            receipt_delay: Duration::ZERO,
            receipt_jitter: Duration::ZERO,
            receipt_first: false,
            states: Vec::new(),
            states_by_recipient: false,
            duplicate_receipts: 0.0,
            ignore_enquire_link: false,
            malformed_every: 0,
            seed: 1,
            binds: BindQuirks::default(),
            submits: SubmitQuirks::default(),
            answers: AnswerQuirks::default(),
            receipt: ReceiptQuirks::default(),
            deliveries: DeliverQuirks::default(),
            http: HttpQuirks::default(),
        }
    }
}

/// Options could not be read.
#[derive(Debug, Error)]
#[error("failed to read options{}", .path.as_deref().map(|path| format!(" from {path}")).unwrap_or_default())]
pub struct OptionsError {
    /// The file, if it was one.
    pub path: Option<String>,
    /// Why.
    #[source]
    pub kind: OptionsErrorKind,
}

/// Why options could not be read.
#[derive(Debug, Error)]
pub enum OptionsErrorKind {
    /// The file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// No JSON, an unknown option, or a wrong value.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// No TOML.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
}

impl SmscOptions {
    /// Reads a file: JSON when its name ends so, else TOML.
    ///
    /// # Errors
    /// When it cannot be read or holds an unknown option.
    pub fn read(path: &Path) -> Result<Self, OptionsError> {
        read_value(path).and_then(|value| {
            Self::default().with(&value).map_err(|error| OptionsError {
                path: Some(path.display().to_string()),
                ..error
            })
        })
    }

    /// The options that are not the default, as a table for [`Self::with`].
    ///
    /// # Errors
    /// Never with options that were read; see [`OptionsError`].
    pub fn differences(&self) -> Result<Value, OptionsError> {
        let value = |options: &Self| {
            serde_json::to_value(options).map_err(|error| OptionsError {
                path: None,
                kind: error.into(),
            })
        };
        let mut own = value(self)?;
        remove_same(&mut own, &value(&Self::default())?);
        Ok(own)
    }

    /// These options with those of a table changed: `{"throttle": 10, "receipt": {"text": "bare"}}`.
    ///
    /// # Errors
    /// When the table names an unknown option or has a wrong value.
    pub fn with(&self, changes: &Value) -> Result<Self, OptionsError> {
        let changed = || -> Result<Self, OptionsErrorKind> {
            let mut value = serde_json::to_value(self)?;
            merge(&mut value, changes);
            Ok(serde_json::from_value(value)?)
        };
        changed().map_err(|kind| OptionsError { path: None, kind })
    }
}

/// A file of options as a table.
pub(crate) fn read_value(path: &Path) -> Result<Value, OptionsError> {
    let read = || -> Result<Value, OptionsErrorKind> {
        let text = std::fs::read_to_string(path)?;
        Ok(if path.extension().is_some_and(|extension| extension == "json") {
            serde_json::from_str(&text)?
        } else {
            toml::from_str(&text)?
        })
    };
    read().map_err(|kind| OptionsError {
        path: Some(path.display().to_string()),
        kind,
    })
}

fn remove_same(of: &mut Value, default: &Value) {
    let (Value::Object(of), Value::Object(default)) = (of, default) else {
        return;
    };
    of.retain(|name, value| {
        let Some(same) = default.get(name) else {
            return true;
        };
        if value == same {
            return false;
        }
        remove_same(value, same);
        true
    });
}

/// Tables are merged, everything else is replaced.
fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(into.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

#[cfg(test)]
mod tests;
