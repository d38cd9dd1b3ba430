//! What the carrier takes, and how fast.

use crate::span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which validity_period is accepted; others are answered ESME_RINVEXPIRY (0x62).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValidityForm {
    /// Every form.
    #[default]
    Any,
    /// Absolute times only (`…+`, `…-`).
    Absolute,
    /// Relative times only (`…R`).
    Relative,
    /// Only an empty one.
    Empty,
}

/// Submits: quirks 30, 32, 40 and 42.
#[derive(Debug, Clone, PartialEq, Default, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubmitQuirks {
    /// Answers per second and account: what comes faster waits in a queue, and so do its answers (quirk 30). 0: no limit.
    #[arg(long, default_value_t = 0.0)]
    pub service_rate: f64,
    /// How many may wait in that queue; more are answered `throttle-status`. 0: no limit.
    #[arg(long, default_value_t = 0)]
    pub service_queue: usize,
    /// `throttle` and `service-rate` count SMS on air, not submits (quirk 32).
    #[arg(long)]
    pub count_parts: bool,
    /// `throttle` counts answers to deliveries too (quirk 32).
    #[arg(long)]
    pub count_delivery_answers: bool,
    /// Which validity_period is accepted (quirk 40).
    #[arg(long, value_enum, default_value_t = ValidityForm::Any)]
    pub validity: ValidityForm,
    /// Longest relative validity_period accepted; 0: no limit (quirk 40).
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub validity_max: Duration,
    /// Refuse a service_type of more than 5 characters with 0x15 (quirk 42).
    #[arg(long)]
    pub strict_service_type: bool,
    /// Refuse senders of type 5 with more characters than this with 0x0a; 0: no limit (quirk 39).
    #[arg(long, default_value_t = 0)]
    pub alphanumeric_max: usize,
    /// Refuse senders of letters whose type is not 5, and international numbers with `+` or `00` (quirk 39).
    #[arg(long)]
    pub strict_addresses: bool,
    /// Refuse user data that the data_coding does not allow: dcs 0 above 0x7f, UCS-2 of odd length (quirk 34).
    #[arg(long)]
    pub strict_data_coding: bool,
}
