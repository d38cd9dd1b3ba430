//! Compares the ledgers of a run: what was accepted, what the carrier got, what was called back.
//!
//! Pure. A submit belongs to the message whose token its text begins with; a callback to the message whose id it names.
//! Invariant: every record is counted in exactly one place of its section.
//!
//! # Limits
//! An answer that the carrier had sent when the gateway was killed, or its connection lost on the way, counts as given:
//! what the gateway then submits again is `doubled`, up to a window for each time.
//! Ids of carriers must differ (`--ids` and `--first-id`) when the ledgers of several are compared at once.
//! Only the first part of a long message begins with the token; later parts count as `without_token`.

use crate::ledger::{Callback, CarrierRecord, Sent};
use crate::token::{Token, Way};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

/// Examples named per finding.
const EXAMPLES: usize = 10;

/// A number of things, the first of them by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// The first ten.
    pub examples: Vec<String>,
}

impl Found {
    fn note(&mut self, name: impl FnOnce() -> String) {
        self.count = self.count.saturating_add(1);
        if self.examples.len() < EXAMPLES {
            self.examples.push(name());
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.count == 0
    }
}

/// Messages from the client to the carrier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MtComparison {
    /// Requests answered with an id.
    pub accepted: u64,
    /// Requests whose answer is not known.
    pub in_doubt: u64,
    /// Ids answered more than once for different requests.
    pub ids_repeated: Found,
    /// Messages the carrier accepted, each counted once.
    pub carried: u64,
    /// Accepted by the gateway, never by the carrier: lost, or still queued.
    pub missing: Found,
    /// Accepted by the carrier more than once, although it answered the first time.
    pub doubled: Found,
    /// Accepted by the carrier more than once after an answer it did not give: in doubt, as documented.
    pub resubmitted: Found,
    /// Accepted by the carrier, although the gateway had refused it or nobody had sent it.
    pub unknown: Found,
    /// Accepted by the carrier although the answer to the client was lost: allowed.
    pub in_doubt_carried: u64,
    /// Submits whose text begins with no token.
    pub without_token: u64,
    /// Submits the carrier refused.
    pub refused: u64,
}

/// Reports to the client's callback.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportComparison {
    /// Messages with a report answered 2xx, each counted once.
    pub reported: u64,
    /// Accepted and carried, without a report.
    pub missing: Found,
    /// With more than one report of the same event answered 2xx, or more than one final state.
    pub doubled: Found,
    /// For ids never answered.
    pub unknown: Found,
}

/// Messages from phones to the client's callback.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoComparison {
    /// Taken from the carrier.
    pub taken: u64,
    /// Called back, each counted once.
    pub called_back: u64,
    /// Taken, never called back.
    pub missing: Found,
    /// Called back more than once.
    pub doubled: Found,
    /// Called back, not taken: the answer to the carrier was lost, so that it sends the message again.
    pub not_taken: Found,
}

/// What the ledgers say together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// To the carrier.
    pub mt: MtComparison,
    /// Reports; absent when no callback ledger was given or no reports were expected.
    pub reports: Option<ReportComparison>,
    /// From the carrier; absent when no callback ledger was given.
    pub mo: Option<MoComparison>,
}

impl Comparison {
    /// Whether everything accepted arrived everywhere.
    #[must_use]
    pub fn nothing_lost(&self) -> bool {
        self.mt.missing.is_none()
            && self
                .reports
                .as_ref()
                .is_none_or(|reports| reports.missing.is_none())
            && self.mo.as_ref().is_none_or(|mo| mo.missing.is_none())
    }

    /// Whether nothing came twice or from nowhere, but for what the carrier left in doubt.
    #[must_use]
    pub fn nothing_invented(&self) -> bool {
        let mt = &self.mt;
        mt.doubled.is_none()
            && mt.unknown.is_none()
            && mt.ids_repeated.is_none()
            && self
                .reports
                .as_ref()
                .is_none_or(|reports| reports.doubled.is_none() && reports.unknown.is_none())
            && self.mo.as_ref().is_none_or(|mo| mo.doubled.is_none())
    }
}

/// What to compare.
#[derive(Debug, Clone, Copy)]
pub struct Ledgers<'a> {
    /// Of the load generator.
    pub sent: &'a [Sent],
    /// Of the carriers.
    pub carrier: &'a [CarrierRecord],
    /// Of the callback sink, if there was one.
    pub callbacks: Option<&'a [Callback]>,
    /// Whether every message carried is to be reported.
    pub reports_expected: bool,
}

/// Compares.
#[must_use]
pub fn compare(ledgers: Ledgers<'_>) -> Comparison {
    let (mt, carried) = compare_mt(ledgers.sent, ledgers.carrier);
    let reports = ledgers
        .callbacks
        .filter(|_| ledgers.reports_expected)
        .map(|callbacks| compare_reports(ledgers.sent, &carried, callbacks));
    let mo = ledgers
        .callbacks
        .map(|callbacks| compare_mo(ledgers.carrier, callbacks));
    Comparison { mt, reports, mo }
}

/// What the carrier has of one message.
#[derive(Debug, Default)]
struct Carried {
    times: u64,
    /// Of those, all but the last were left without an answer.
    answered: u64,
}

fn compare_mt(sent: &[Sent], carrier: &[CarrierRecord]) -> (MtComparison, FxHashSet<Token>) {
    use crate::ledger::Fate;
    let mut result = MtComparison::default();
    let mut carried: FxHashMap<Token, Carried> = FxHashMap::default();
    let submits = carrier.iter().filter_map(|record| match record {
        CarrierRecord::Submit(submit) => Some(submit),
        CarrierRecord::MoTaken(_) | CarrierRecord::AnswerLost(_) => None,
    });
    let lost: FxHashSet<&str> = carrier
        .iter()
        .filter_map(|record| match record {
            CarrierRecord::AnswerLost(lost) => Some(lost.id.as_str()),
            CarrierRecord::Submit(_) | CarrierRecord::MoTaken(_) => None,
        })
        .collect();
    for submit in submits {
        let answered = match submit.fate {
            Fate::Refused => {
                add(&mut result.refused);
                continue;
            }
            Fate::Accepted => u64::from(!lost.contains(submit.id.as_str())),
            Fate::Unanswered | Fate::Cut => 0,
        };
        match submit.token.filter(|token| token.way == Way::Mt) {
            Some(token) => {
                let known = carried.entry(token).or_default();
                known.times = known.times.saturating_add(1);
                known.answered = known.answered.saturating_add(answered);
            }
            None => add(&mut result.without_token),
        }
    }
    let mut ids: FxHashSet<&str> = FxHashSet::default();
    let mut known: FxHashSet<Token> = FxHashSet::default();
    for request in sent {
        if request.status == 0 {
            add(&mut result.in_doubt);
            known.insert(request.token);
            if carried.contains_key(&request.token) {
                add(&mut result.in_doubt_carried);
            }
        }
        let Some(id) = &request.id else { continue };
        known.insert(request.token);
        add(&mut result.accepted);
        if !ids.insert(id) {
            result.ids_repeated.note(|| id.clone());
        }
        if !carried.contains_key(&request.token) {
            result.missing.note(|| format!("{} ({id})", request.token));
        }
    }
    for (token, times) in &carried {
        add(&mut result.carried);
        if !known.contains(token) {
            result.unknown.note(|| token.to_string());
        }
        if times.times > 1 {
            // Each answer that was given makes one more submit than there should be, after the first.
            if times.answered > 1 {
                result.doubled.note(|| token.to_string());
            } else {
                result.resubmitted.note(|| token.to_string());
            }
        }
    }
    (result, carried.into_keys().collect())
}

fn compare_reports(sent: &[Sent], carried: &FxHashSet<Token>, callbacks: &[Callback]) -> ReportComparison {
    let mut result = ReportComparison::default();
    let known: FxHashMap<&str, Token> = sent
        .iter()
        .filter_map(|request| Some((request.id.as_deref()?, request.token)))
        .collect();
    let mut reported: FxHashMap<&str, (u64, FxHashSet<&str>)> = FxHashMap::default();
    let settled = callbacks
        .iter()
        .filter(|callback| callback.kind != "mo" && (200..300).contains(&callback.answered));
    let mut unknown: FxHashSet<&str> = FxHashSet::default();
    let in_doubt = sent.iter().any(|request| request.status == 0);
    for callback in settled {
        let id = callback.message.as_str();
        if known.contains_key(id) {
            let (finals, events) = reported.entry(id).or_default();
            let repeated = !events.insert(callback.event.as_str());
            let is_final = callback.state.as_deref().is_some_and(is_final);
            *finals = finals.saturating_add(u64::from(is_final));
            if repeated || (is_final && *finals > 1) {
                result.doubled.note(|| id.to_owned());
            }
        } else if !in_doubt && unknown.insert(id) {
            // With requests in doubt, an id nobody knows may be one of theirs.
            result.unknown.note(|| id.to_owned());
        }
    }
    result.reported = u64::try_from(reported.len()).unwrap_or(u64::MAX);
    for (id, token) in &known {
        if carried.contains(token) && !reported.contains_key(id) {
            result.missing.note(|| (*id).to_owned());
        }
    }
    result
}

/// The states of reports after which nothing follows.
fn is_final(state: &str) -> bool {
    ["delivered", "failed", "expired", "rejected", "cancelled"].contains(&state)
}

fn compare_mo(carrier: &[CarrierRecord], callbacks: &[Callback]) -> MoComparison {
    let mut result = MoComparison::default();
    let mut taken: FxHashSet<Token> = FxHashSet::default();
    for record in carrier {
        if let CarrierRecord::MoTaken(mo) = record
            && let Some(token) = mo.token
            && taken.insert(token)
        {
            add(&mut result.taken);
        }
    }
    let mut called: FxHashSet<Token> = FxHashSet::default();
    let mut doubled: FxHashSet<Token> = FxHashSet::default();
    for callback in callbacks.iter().filter(|callback| callback.kind == "mo") {
        let Some(token) = callback.token.filter(|_| (200..300).contains(&callback.answered)) else {
            continue;
        };
        if called.insert(token) {
            add(&mut result.called_back);
            if !taken.contains(&token) {
                result.not_taken.note(|| token.to_string());
            }
        } else if doubled.insert(token) {
            result.doubled.note(|| token.to_string());
        }
    }
    for token in taken.difference(&called) {
        result.missing.note(|| token.to_string());
    }
    result
}

fn add(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests;
