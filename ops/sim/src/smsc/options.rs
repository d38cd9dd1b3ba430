//! How the simulated carrier behaves: on the command line, in files, and as a value.
//!
//! Invariant: the defaults of the command line and of [`SmscOptions::default`] are the same, and make a carrier that
//! accepts everything at once.

use super::id::IdFormat;
use super::rule::{RejectRule, StateShare};
use crate::span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which messages get a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptWhen {
    /// As registered_delivery asks.
    #[default]
    Asked,
    /// All of them.
    Always,
    /// None.
    Never,
}

/// Where a receipt says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptForm {
    /// In the text and in TLVs.
    #[default]
    Both,
    /// In the text only.
    Text,
    /// In TLVs only; short_message is empty.
    Tlv,
    /// As text, in message_payload.
    Payload,
}

/// The carrier's behaviour. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmscOptions {
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
    #[arg(long, default_value_t = 0)]
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
    /// How long the answer of a submit takes.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub answer_delay: Duration,
    /// Random time added to it, at most.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub answer_jitter: Duration,
    /// Form of message ids.
    #[arg(long, value_enum, default_value_t = IdFormat::Decimal)]
    pub ids: IdFormat,
    /// First id; absent: from the time of the start, so that a restarted carrier repeats none.
    #[arg(long)]
    pub first_id: Option<u64>,
    /// Submits per account in any second; more are answered `throttle-status`. 0: no limit.
    #[arg(long, default_value_t = 0)]
    pub throttle: usize,
    /// The answer to submits above `throttle`.
    #[arg(long, default_value_t = 0x58)]
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
    /// Which messages get a receipt.
    #[arg(long, value_enum, default_value_t = ReceiptWhen::Asked)]
    pub receipts: ReceiptWhen,
    /// Where a receipt says what it says.
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
    /// Count `receipt-delay` from the submit; with a delay of 0 the receipt goes out before the answer.
    #[arg(long)]
    pub receipt_first: bool,
    /// Shares of final states, such as `undeliv=0.05,expired=0.01`; the rest is delivered.
    #[arg(long, value_delimiter = ',')]
    pub states: Vec<StateShare>,
    /// Share of receipts that are sent twice.
    #[arg(long, default_value_t = 0.0)]
    pub duplicate_receipts: f64,
    /// Do not answer enquire_link.
    #[arg(long)]
    pub ignore_enquire_link: bool,
    /// Send a malformed deliver_sm after every so many-th submit; 0: never.
    #[arg(long, default_value_t = 0)]
    pub malformed_every: u64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Default for SmscOptions {
    fn default() -> Self {
        Self {
            name: "smsgw-sim".into(),
            system_id: None,
            password: None,
            refuse_binds: 0,
            window: 10_000,
            deliver_window: 100,
            deliver_timeout: Duration::from_secs(30),
            redeliver_after: Duration::from_secs(1),
            outbox: 2_000_000,
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
            duplicate_receipts: 0.0,
            ignore_enquire_link: false,
            malformed_every: 0,
            seed: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: SmscOptions,
    }

    #[test]
    fn the_command_line_has_the_same_defaults() {
        assert_eq!(Line::parse_from(["sim"]).options, SmscOptions::default());
    }

    #[test]
    fn options_are_read_from_the_command_line_and_from_files() {
        let line = Line::parse_from([
            "sim",
            "--answer-delay",
            "50ms",
            "--reject",
            "suffix:000=0x0b",
            "--reject",
            "share:0.5=8",
            "--states",
            "undeliv=0.25,expired=0.25",
            "--ids",
            "hex-then-decimal",
            "--receipt-first",
        ]);
        let options = line.options;
        assert_eq!(options.answer_delay, Duration::from_millis(50));
        assert_eq!((options.reject.len(), options.states.len()), (2, 2));
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<SmscOptions>(&text).unwrap(), options);
        assert_eq!(
            serde_json::from_str::<SmscOptions>("{}").unwrap(),
            SmscOptions::default()
        );
        assert!(serde_json::from_str::<SmscOptions>(r#"{"answer_dely":"1s"}"#).is_err());
        assert!(Line::try_parse_from(["sim", "--reject", "suffix:000=0"]).is_err());
    }
}
