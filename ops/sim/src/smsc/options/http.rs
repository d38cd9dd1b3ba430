//! The carrier over HTTP: where it brings receipts and messages from phones, and how its answers go wrong.

use crate::span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `sim http` only.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpQuirks {
    /// HTTP: `host:port` that receipts and messages from phones are brought to; absent: nowhere, and none are made.
    #[arg(long)]
    pub inbound: Option<String>,
    /// HTTP: path of receipts there.
    #[arg(long, default_value = "/receipt")]
    pub receipt_path: String,
    /// HTTP: path of messages from phones there.
    #[arg(long, default_value = "/mo")]
    pub mo_path: String,
    /// HTTP: a header of those requests, such as `x-secret: s3cret`.
    #[arg(long)]
    pub inbound_header: Option<String>,
    /// HTTP: connections to `inbound`, each with one request at a time.
    #[arg(long, default_value_t = 8)]
    pub inbound_connections: usize,
    /// HTTP: Retry-After of 429 and 503, in whole seconds; 0: left out.
    #[arg(long, value_parser = span::parse, default_value = "1s")]
    #[serde(with = "span::text")]
    pub retry_after: Duration,
    /// HTTP: share of requests that are read and not taken, and whose connection is reset.
    #[arg(long, default_value_t = 0.0)]
    pub resets: f64,
    /// HTTP: share of requests that are answered 500 or 503 and not taken.
    #[arg(long, default_value_t = 0.0)]
    pub errors: f64,
    /// HTTP: share of messages that are taken and answered with 2xx and a body that says nothing, or with no HTTP at all.
    #[arg(long, default_value_t = 0.0)]
    pub garbled_answers: f64,
    /// HTTP: share of messages that are taken and whose answer ends in the middle.
    #[arg(long, default_value_t = 0.0)]
    pub half_answers: f64,
}

impl Default for HttpQuirks {
    fn default() -> Self {
        Self {
            inbound: None,
            receipt_path: "/receipt".into(),
            mo_path: "/mo".into(),
            inbound_header: None,
            inbound_connections: 8,
            retry_after: Duration::from_secs(1),
            resets: 0.0,
            errors: 0.0,
            garbled_answers: 0.0,
            half_answers: 0.0,
        }
    }
}
