//! What a comparison finds: counts per direction, and the first of what is wrong by name.
//!
//! Knows no ledger. Invariant: what is allowed and what is not stand in different fields, so that `nothing_lost` and
//! `nothing_invented` read no further.

use crate::ledger::Sent;
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
    pub(super) fn note(&mut self, name: impl FnOnce() -> String) {
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
#[serde(default)]
pub struct MtComparison {
    /// Requests answered with an id.
    pub accepted: u64,
    /// Requests whose answer is not known.
    pub in_doubt: u64,
    /// Ids answered more than once for different requests.
    pub ids_repeated: Found,
    /// Messages the carrier accepted with all their parts, each counted once.
    pub carried: u64,
    /// Accepted by the gateway, never (or not with all parts) by the carrier: lost, or still queued.
    pub missing: Found,
    /// Accepted by the carrier more than once, although it answered the first time.
    pub doubled: Found,
    /// Accepted by the carrier more than once after an answer it did not give, or within a window: in doubt, as
    /// documented.
    pub resubmitted: Found,
    /// Accepted by the carrier with another text, sender or recipient than it was sent with.
    pub altered: Found,
    /// Accepted by the carrier, although the gateway had refused it or nobody had sent it.
    pub unknown: Found,
    /// Accepted by the carrier although the answer to the client was lost: allowed.
    pub in_doubt_carried: u64,
    /// Submits whose text begins with no token, and that are no part of a message that does.
    pub without_token: u64,
    /// Messages whose text could not be compared.
    pub unchecked: u64,
    /// Submits that the carrier accepted although it had accepted the same part before.
    pub repeated_submits: u64,
    /// Submits the carrier refused.
    pub refused: u64,
    /// Messages that the carrier refused for good and took no part of: rightly not carried.
    pub refused_for_good: u64,
    /// Messages replaced by replace_sm.
    pub replaced: u64,
}

/// Reports to the client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportComparison {
    /// Messages with a report taken, each counted once.
    pub reported: u64,
    /// Accepted and carried, without (all) final reports.
    pub missing: Found,
    /// With more than one report of the same event taken, or more final states than ids.
    pub doubled: Found,
    /// The same within a window: allowed.
    pub excused: Found,
    /// For ids never answered.
    pub unknown: Found,
    /// With another final state than the carrier's receipts tell, or than its refusal for good means. Judged where the
    /// ledger says the state, and all parts have the same.
    pub wrong: Found,
}

/// Messages from phones to the client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoComparison {
    /// Taken from the carrier with all their parts.
    pub taken: u64,
    /// Called back, each counted once.
    pub called_back: u64,
    /// Taken, never called back.
    pub missing: Found,
    /// Called back more than once.
    pub doubled: Found,
    /// The same after the carrier had sent it again, or within a window: allowed.
    pub excused: Found,
    /// Called back with another text, sender or recipient than the carrier sent.
    pub altered: Found,
    /// Called back, not taken: the answer to the carrier was lost, so that it sends the message again.
    pub not_taken: Found,
    /// Called back, and no carrier ever sent the like.
    pub unknown: Found,
}

/// What the ledgers say together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// To the carrier.
    pub mt: MtComparison,
    /// Reports; absent when no callback ledger was given or no reports were expected.
    pub reports: Option<ReportComparison>,
    /// From the carrier; absent when no callback ledger was given.
    pub mo: Option<MoComparison>,
    /// Octets the comparison held.
    pub memory: u64,
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

    /// Whether nothing came twice, altered or from nowhere, but for what the carrier or a window left in doubt.
    #[must_use]
    pub fn nothing_invented(&self) -> bool {
        let mt = &self.mt;
        let none = |found: &[&Found]| found.iter().all(|found| found.is_none());
        none(&[&mt.doubled, &mt.unknown, &mt.ids_repeated, &mt.altered])
            && self
                .reports
                .as_ref()
                .is_none_or(|reports| none(&[&reports.doubled, &reports.unknown, &reports.wrong]))
            && self
                .mo
                .as_ref()
                .is_none_or(|mo| none(&[&mo.doubled, &mo.altered, &mo.unknown]))
    }
}

impl Comparison {
    /// Adds the id to examples that are named by their token: to be called for every request once the comparison is done.
    pub fn name_id(&mut self, sent: &Sent) {
        let Some(id) = &sent.id else { return };
        let mt = &mut self.mt;
        let (unreported, wrong) = match &mut self.reports {
            Some(reports) => (Some(&mut reports.missing), Some(&mut reports.wrong)),
            None => (None, None),
        };
        let all = [
            Some(&mut mt.missing),
            Some(&mut mt.doubled),
            Some(&mut mt.resubmitted),
            Some(&mut mt.altered),
            unreported,
            wrong,
        ];
        if all.iter().flatten().all(|found| found.examples.is_empty()) {
            return;
        }
        let token = sent.token.to_string();
        for example in all.into_iter().flatten().flat_map(|found| &mut found.examples) {
            if *example == token {
                *example = format!("{token} ({id})");
            }
        }
    }
}
