//! What a load run measured, as a value that is printed and read back.

use crate::histogram::Histogram;
use crate::process::Usage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half take no longer.
    pub p50_ms: f64,
    /// 90 of 100 take no longer.
    #[serde(default)]
    pub p90_ms: f64,
    /// 99 of 100 take no longer.
    pub p99_ms: f64,
    /// 999 of 1000 take no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl From<&Histogram> for Quantiles {
    fn from(histogram: &Histogram) -> Self {
        let ms = |latency: Duration| latency.as_secs_f64() * 1000.0;
        Self {
            p50_ms: ms(histogram.quantile(500)),
            p90_ms: ms(histogram.quantile(900)),
            p99_ms: ms(histogram.quantile(990)),
            p999_ms: ms(histogram.quantile(999)),
            max_ms: ms(histogram.max()),
        }
    }
}

/// What a load run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Requests sent.
    pub sent: u64,
    /// Accepted: 202 with an id, or command_status 0.
    pub accepted: u64,
    /// Answers by status; `no_answer` are those whose connection failed.
    pub statuses: BTreeMap<String, u64>,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Accepted per second.
    pub rate: f64,
    /// From sending to the answer.
    pub latency: Quantiles,
    /// From when a request was due (with a rate), so that a stall counts for all it held up.
    pub latency_from_due: Quantiles,
    /// Deliveries answered (SMPP only).
    pub delivered: u64,
    /// Receipts among them.
    #[serde(default)]
    pub receipts: u64,
    /// From the first request to the last receipt (SMPP only); 0 when none came.
    #[serde(default)]
    pub receipts_seconds: f64,
    /// Messages from phones among them.
    #[serde(default)]
    pub mo: u64,
    /// Deliveries that could not be read.
    #[serde(default)]
    pub unreadable: u64,
    /// Connections made again.
    #[serde(default)]
    pub reconnects: u64,
    /// Requests sent again under the same key (HTTP only).
    #[serde(default)]
    pub retries: u64,
    /// CPU of the process per message sent, in microseconds; everything else the process does counts too.
    #[serde(default)]
    pub cpu_us_per_message: f64,
    /// What the process that generated the load has used.
    pub usage: Option<Usage>,
}

/// What one connection measured.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) receipts: u64,
    pub(super) mo: u64,
    pub(super) unreadable: u64,
    pub(super) reconnects: u64,
    pub(super) retries: u64,
    pub(super) statuses: BTreeMap<u32, u64>,
    pub(super) latency: Histogram,
    pub(super) from_due: Histogram,
}

impl Tally {
    pub(super) fn count(&mut self, status: u32) {
        let count = self.statuses.entry(status).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.delivered = self.delivered.saturating_add(other.delivered);
        self.receipts = self.receipts.saturating_add(other.receipts);
        self.mo = self.mo.saturating_add(other.mo);
        self.unreadable = self.unreadable.saturating_add(other.unreadable);
        self.reconnects = self.reconnects.saturating_add(other.reconnects);
        self.retries = self.retries.saturating_add(other.retries);
        for (status, more) in &other.statuses {
            let count = self.statuses.entry(*status).or_default();
            *count = count.saturating_add(*more);
        }
        self.latency.merge(&other.latency);
        self.from_due.merge(&other.from_due);
    }

    pub(super) fn report(&self, took: Duration, name: impl Fn(u32) -> String) -> LoadReport {
        let accepted = f64::from(u32::try_from(self.accepted).unwrap_or(u32::MAX));
        let sent = f64::from(u32::try_from(self.sent.max(1)).unwrap_or(u32::MAX));
        let usage = crate::process::own_usage().ok();
        let seconds = took.as_secs_f64();
        LoadReport {
            sent: self.sent,
            accepted: self.accepted,
            statuses: self
                .statuses
                .iter()
                .map(|(status, count)| (name(*status), *count))
                .collect(),
            seconds,
            rate: if seconds > 0.0 { accepted / seconds } else { 0.0 },
            latency: Quantiles::from(&self.latency),
            latency_from_due: Quantiles::from(&self.from_due),
            delivered: self.delivered,
            receipts: self.receipts,
            receipts_seconds: 0.0,
            mo: self.mo,
            unreadable: self.unreadable,
            reconnects: self.reconnects,
            retries: self.retries,
            cpu_us_per_message: usage.map_or(0.0, |usage| usage.cpu_seconds * 1e6 / sent),
            usage,
        }
    }
}
