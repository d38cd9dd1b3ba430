//! How the carrier answers submits.

use crate::span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Body of an answer with an error status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorAnswer {
    /// As the interface version says: none in 3.4, an empty id in 3.3 and 5.0.
    #[default]
    Proper,
    /// None, whatever the version.
    Bare,
    /// An empty id.
    EmptyId,
    /// A real id.
    Id,
    /// Optional parameters without an id before them.
    Tlvs,
    /// generic_nack instead of the answer.
    Nack,
}

/// C-octet strings in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerStrings {
    /// As they should be.
    #[default]
    Proper,
    /// Without their NUL.
    Unterminated,
    /// Longer than allowed: a name of 40 characters, ids filled up to 80.
    Overlong,
    /// A name and ids of no characters: the receipt still has one.
    Empty,
}

/// Answers: quirks 20, 21 and 24.
#[derive(Debug, Clone, PartialEq, Default, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerQuirks {
    /// Body of answers with an error status (quirk 21).
    #[arg(long, value_enum, default_value_t = ErrorAnswer::Proper)]
    pub error_answers: ErrorAnswer,
    /// C-octet strings in answers (quirk 20).
    #[arg(long, value_enum, default_value_t = AnswerStrings::Proper)]
    pub answer_strings: AnswerStrings,
    /// Answers are held and sent in random order, so many at a time (quirk 24). 0 and 1: in order.
    #[arg(long, default_value_t = 0)]
    pub out_of_order: usize,
    /// Share of submits whose answer takes `late-after` longer (quirk 24: after the ESME's timeout).
    #[arg(long, default_value_t = 0.0)]
    pub late_share: f64,
    /// How much longer.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub late_after: Duration,
    /// Share of answers that are given twice.
    #[arg(long, default_value_t = 0.0)]
    pub duplicate_answers: f64,
    /// congestion_state in answers (SMPP 5.0 §4.8.4.18): 0 to 100; absent: left out.
    #[arg(long)]
    pub congestion: Option<u8>,
    /// congestion_state follows the queue of `service-rate`: 100 when it is full.
    #[arg(long)]
    pub congestion_follows_queue: bool,
}
