//! Judges a round: what the ledgers say together, and whether what the gateway counted explains it.
//!
//! Knows no process. The claim, one line each: nothing lost, nothing reported as something else, nothing twice that was not
//! in doubt, and as many kept as corrupt as carriers garbled.

use super::Round;
use crate::harness::Metrics;
use serde_json::{Value, json};
use std::time::Duration;

/// Deliveries of one session that cannot be decoded and are kept; further ones are only counted.
const KEPT_OF_A_SESSION: u64 = 100;

pub(super) struct Verdict<'a> {
    /// Of `smsgw compare`; null when it found something.
    pub(super) compared: Value,
    /// Counts of the carriers.
    pub(super) counted: &'a [Value],
    pub(super) metrics: &'a Metrics,
    /// Messages that phones sent.
    pub(super) phones: u64,
}

impl Verdict<'_> {
    fn carriers(&self, name: &str) -> u64 {
        self.counted
            .iter()
            .map(|stats| stats[name].as_u64().unwrap())
            .sum()
    }

    fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.metrics.sum(name, labels).round() as u64
    }

    fn found(&self, path: &str) -> u64 {
        let found = self.compared.pointer(path).unwrap_or(&Value::Null);
        found["count"].as_u64().or(found.as_u64()).unwrap_or(0)
    }

    /// Submits of parts that a carrier had accepted before.
    fn repeated(&self) -> u64 {
        self.found("/mt/repeated_submits")
    }

    /// Parts that went out again because nobody knew whether the carrier had them.
    fn sent_again(&self) -> u64 {
        self.metric("smsgw_operator_released_total", &[("reason", "in_doubt")])
    }

    fn corrupt(&self) -> u64 {
        self.metric("smsgw_operator_arrived_total", &[("kind", "undecodable")])
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        let behaved = self.counted.iter().any(|stats| stats["phases"] == 0);
        check(!behaved, "a carrier has not misbehaved".to_owned());
        let (repeated, again) = (self.repeated(), self.sent_again());
        check(
            repeated <= again,
            format!("{repeated} submits of parts that the carrier had, {again} were in doubt and sent again"),
        );
        let doubts = self.metric("smsgw_operator_in_doubt_total", &[]);
        check(again <= doubts, format!("{again} sent again, {doubts} in doubt"));
        let given_up = self.metric("smsgw_operator_ended_total", &[("outcome", "in_doubt")])
            + self.metric("smsgw_operator_ended_total", &[("outcome", "in_doubt_max")]);
        check(given_up == 0, format!("{given_up} given up in doubt"));
        // A delivery that cannot be decoded is kept when it arrived, unless it came over a bind that only sends; a cut may
        // have come before. Of one session the first hundred are kept, and all are counted.
        let (sent, answered) = (
            self.carriers("malformed_deliveries"),
            self.carriers("malformed_answered"),
        );
        let corrupt = self.corrupt();
        let misplaced = self.metric("smsgw_operator_arrivals_refused_total", &[("why", "not_bound")]);
        let counted = self.metric("smsgw_operator_undecodable_total", &[]);
        let all_kept = answered <= corrupt + misplaced;
        let above_the_bound = corrupt >= KEPT_OF_A_SESSION && answered <= counted + misplaced;
        check(
            (all_kept || above_the_bound) && corrupt <= sent,
            format!(
                "{corrupt} kept as corrupt and {misplaced} refused over transmitters, {sent} garbled by carriers, \
                 {answered} of them answered"
            ),
        );
        let kept = self
            .metrics
            .sum_where("smsgw_queue_depth", |label| label("place") == "corrupt");
        check(
            kept.round() as u64 == corrupt,
            format!("{kept} corrupt records, {corrupt} deliveries that could not be decoded"),
        );
        let unreadable = self.metric("smsgw_operator_arrived_total", &[("kind", "unreadable_receipt")]);
        check(unreadable == 0, format!("{unreadable} receipts without an id"));
        let corrupt_state = self.metric("smsgw_router_corrupt_total", &[]);
        check(
            corrupt_state == 0,
            format!("{corrupt_state} records the router could not read"),
        );
        check(
            self.carriers("deliveries_refused") == 0,
            "a delivery was refused for good".to_owned(),
        );
        // Of a part that the carrier took twice, the first id was told to nobody: its receipt (it may come twice) is unknown.
        let unknown = self.metric("smsgw_receipts_unknown_total", &[]);
        check(
            self.compared.is_null() || unknown <= 2 * repeated,
            format!("{unknown} receipts unknown, {repeated} submits of parts that the carrier had"),
        );
        let callbacks = self.found("/mo/called_back");
        check(
            self.compared.is_null() || callbacks == self.phones,
            format!("{callbacks} of {} messages from phones called back", self.phones),
        );
        faults
    }

    /// One line of JSON for people and for `cargo xtask chaos`.
    pub(super) fn summary(&self, round: Round, took: Duration) -> Value {
        json!({
            "protocol": format!("{:?}", round.speech).to_lowercase(),
            "seed": round.seed,
            "level": round.level,
            "messages": round.messages,
            "seconds": took.as_secs(),
            "phases": self.carriers("phases"),
            "passed": !self.compared.is_null() && self.faults().is_empty(),
            "submits": self.carriers("submits"),
            "carried": self.found("/mt/carried"),
            "refused_for_good": self.found("/mt/refused_for_good"),
            "lost": self.found("/mt/missing") + self.found("/reports/missing") + self.found("/mo/missing"),
            "wrong": self.found("/reports/wrong") + self.found("/mt/altered") + self.found("/mo/altered"),
            "unexplained": self.found("/mt/doubled") + self.found("/reports/doubled") + self.found("/mo/doubled"),
            "duplicates": self.repeated(),
            "sent_again_in_doubt": self.sent_again(),
            "in_doubt": self.metric("smsgw_operator_in_doubt_total", &[]),
            "phones": self.phones,
            "phones_excused": self.found("/mo/excused"),
            "garbled": self.carriers("malformed_deliveries"),
            "corrupt": self.corrupt(),
            "over_transmitters": self.metric("smsgw_operator_arrivals_refused_total", &[("why", "not_bound")]),
            "reconnects": self.metric("smsgw_operator_reconnects_total", &[]),
            "throttled": self.carriers("throttled"),
            "turned_away": self.carriers("turned_away"),
            "receipts": self.carriers("receipts"),
            "receipts_parked": self.metric("smsgw_receipts_parked_total", &[]),
            "receipts_unknown": self.metric("smsgw_receipts_unknown_total", &[]),
            "receipts_duplicate": self.metric("smsgw_receipts_duplicate_total", &[]),
        })
    }
}
