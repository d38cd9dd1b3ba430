//! What is counted, and a row of it: the totals of one client, operator, route, country, class or sender in one period.
//!
//! Pure. Invariant RW-1: a row is a sum; [`Row::merge`] in any order gives the same row.

use crate::spread::Spread;
use minicbor::{Decode, Encode};
use smsgw_message::{Record, RecordError};
use std::collections::BTreeMap;

/// The value that stands for all that had no room of its own.
pub const OTHER: &str = "(other)";
/// Most causes that a row tells apart; the rest is [`OTHER`].
const CAUSES: usize = 64;
/// Longest cause, in octets; what is longer is [`OTHER`].
const CAUSE_OCTETS: usize = 64;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// What is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Count { $($(#[$doc])* $name),+ }

        impl Count {
            /// All of it, in the order in which it is shown and stored.
            pub const ALL: [Self; counts!(@many $($name)+)] = [$(Self::$name),+];

            /// The word in answers and on `/metrics`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
    (@many $($name:ident)+) => { 0 $(+ counts!(@one $name))+ };
    (@one $name:ident) => { 1 };
}

// Stored by place: new ones come last, and none is taken away.
counts! {
    /// Messages that became durable.
    Accepted = "mt_accepted",
    /// Their parts.
    PartsAccepted = "parts_accepted",
    /// Messages that admission refused; by code.
    RefusedAtAccept = "mt_refused_at_accept",
    /// Messages given to their first operator.
    Routed = "mt_routed",
    /// Parts given to an operator, the first time or again.
    PartsGiven = "parts_given",
    /// Messages or parts given to another operator than the one before.
    Rerouted = "mt_rerouted",
    /// Messages that no route took.
    Unroutable = "mt_unroutable",
    /// Parts that a carrier took.
    Sent = "mt_sent",
    /// Parts that a carrier refused, or that ended in its queue here; by error.
    Refused = "mt_refused",
    /// Messages on the phone.
    Delivered = "delivered",
    /// Messages that could not be delivered; by error.
    Failed = "failed",
    /// Messages whose time ran out; by error.
    Expired = "expired",
    /// Messages refused after the accept; by error.
    Rejected = "rejected",
    /// Messages withdrawn; by error.
    Cancelled = "cancelled",
    /// Messages that ended as sent, where no receipt can come.
    EndedSent = "ended_sent",
    /// Parts of messages from phones.
    MoReceived = "mo_received",
    /// Messages from phones that were given to a client.
    MoRouted = "mo_routed",
    /// Receipts of carriers.
    Receipts = "dr_received",
    /// Receipts whose id belongs to nothing we know.
    UnknownReceipts = "dr_unknown",
    /// Reports and messages from phones that a client took.
    Told = "delivered_to_client",
    /// Those that were given up; by reason.
    Untold = "client_unreachable",
    /// Parts that went out again, because nobody knows whether they had.
    InDoubt = "mt_in_doubt",
    /// Messages whose parts were cut anew for their operator.
    Recut = "mt_recut",
    /// Intermediate states that carriers told.
    Progress = "mt_progress",
    /// Messages that their client wants withdrawn.
    CancelRequested = "mt_cancel_requested",
    /// Messages whose content their client replaced before they were sent.
    Replaced = "mt_replaced",
    /// Parts that went out of the queue of an operator unsent, to go elsewhere or nowhere.
    PartsTakenBack = "parts_taken_back",
}

impl Count {
    /// The ways in which a message ends; each message ends in one.
    pub const ENDS: [Self; 6] = [
        Self::Delivered,
        Self::Failed,
        Self::Expired,
        Self::Rejected,
        Self::Cancelled,
        Self::EndedSent,
    ];

    fn place(self) -> usize {
        self as usize
    }
}

/// Totals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    numbers: [u64; Count::ALL.len()],
    causes: BTreeMap<(Count, Box<str>), u64>,
    accept_to_sent: Option<Spread>,
    sent_to_delivered: Option<Spread>,
}

/// What one event adds to each row it belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Effect<'a> {
    /// What, how often, and a second one of the kind.
    pub(crate) counts: [Option<(Count, u64)>; 2],
    /// Why, for the first of them.
    pub(crate) cause: Option<&'a str>,
    pub(crate) accept_to_sent: Option<u64>,
    pub(crate) sent_to_delivered: Option<u64>,
}

impl Row {
    /// How often something was counted.
    pub fn get(&self, count: Count) -> u64 {
        self.numbers.get(count.place()).copied().unwrap_or(0)
    }

    /// Messages that ended.
    pub fn ended(&self) -> u64 {
        Count::ENDS.iter().map(|end| self.get(*end)).sum()
    }

    /// Why, how often; in the order of [`Count`] and then of the causes.
    pub fn causes(&self) -> impl Iterator<Item = (Count, &str, u64)> {
        self.causes
            .iter()
            .map(|((count, cause), times)| (*count, &**cause, *times))
    }

    /// From the accept until a carrier took a part.
    pub fn accept_to_sent(&self) -> Option<&Spread> {
        self.accept_to_sent.as_ref()
    }

    /// From when a carrier took the last part until the message was on the phone.
    pub fn sent_to_delivered(&self) -> Option<&Spread> {
        self.sent_to_delivered.as_ref()
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.numbers.iter().all(|number| *number == 0)
    }

    /// Adds an event.
    pub(crate) fn add(&mut self, effect: &Effect<'_>) {
        for (count, times) in effect.counts.into_iter().flatten() {
            if let Some(number) = self.numbers.get_mut(count.place()) {
                *number += times;
            }
        }
        if let (Some(cause), Some((count, times))) = (effect.cause, effect.counts.first().copied().flatten())
        {
            self.add_cause(count, cause, times);
        }
        if let Some(millis) = effect.accept_to_sent {
            self.accept_to_sent.get_or_insert_default().add(millis);
        }
        if let Some(millis) = effect.sent_to_delivered {
            self.sent_to_delivered.get_or_insert_default().add(millis);
        }
    }

    fn add_cause(&mut self, count: Count, cause: &str, times: u64) {
        let cause = if cause.len() > CAUSE_OCTETS { OTHER } else { cause };
        let mut key = (count, Box::from(cause));
        if self.causes.len() >= CAUSES && !self.causes.contains_key(&key) {
            key.1 = Box::from(OTHER);
        }
        *self.causes.entry(key).or_default() += times;
    }

    /// Adds what another row counted.
    pub fn merge(&mut self, more: &Self) {
        for (number, more) in self.numbers.iter_mut().zip(more.numbers) {
            *number = number.saturating_add(more);
        }
        for ((count, cause), times) in &more.causes {
            self.add_cause(*count, cause, *times);
        }
        for (mine, more) in [
            (&mut self.accept_to_sent, &more.accept_to_sent),
            (&mut self.sent_to_delivered, &more.sent_to_delivered),
        ] {
            if let Some(more) = more {
                mine.get_or_insert_default().merge(more);
            }
        }
    }
}

/// A row as it is stored: what is zero is left out.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredRow {
    /// Place in [`Count::ALL`], how often.
    #[n(0)]
    numbers: Vec<(u8, u64)>,
    /// Place, why, how often.
    #[n(1)]
    causes: Vec<(u8, String, u64)>,
    #[n(2)]
    accept_to_sent: Option<Vec<(u8, u64)>>,
    #[n(3)]
    sent_to_delivered: Option<Vec<(u8, u64)>>,
}

impl Record for StoredRow {
    const KIND: u8 = 60;
    const VERSION: u8 = 1;
}

fn small(place: usize) -> u8 {
    u8::try_from(place).expect("fewer than 256 counts and buckets")
}

impl From<&Row> for StoredRow {
    fn from(row: &Row) -> Self {
        let spread = |spread: &Option<Spread>| {
            let spread = spread.as_ref()?;
            Some(
                spread
                    .filled()
                    .map(|(bucket, count)| (small(bucket), count))
                    .collect(),
            )
        };
        let numbers = Count::ALL
            .iter()
            .map(|count| (small(count.place()), row.get(*count)));
        Self {
            numbers: numbers.filter(|(_, number)| *number > 0).collect(),
            causes: row
                .causes()
                .map(|(count, cause, times)| (small(count.place()), cause.to_owned(), times))
                .collect(),
            accept_to_sent: spread(&row.accept_to_sent),
            sent_to_delivered: spread(&row.sent_to_delivered),
        }
    }
}

impl Row {
    /// Reads a stored row. What a newer version counts beside is left out.
    pub(crate) fn from_stored(octets: &[u8]) -> Result<Self, RecordError> {
        let stored = StoredRow::from_record(octets)?;
        let mut row = Self::default();
        for (place, number) in stored.numbers {
            if let Some(mine) = row.numbers.get_mut(usize::from(place)) {
                *mine = number;
            }
        }
        for (place, cause, times) in stored.causes {
            if let Some(count) = Count::ALL.get(usize::from(place)) {
                row.causes.insert((*count, cause.into_boxed_str()), times);
            }
        }
        let spread = |filled: Option<Vec<(u8, u64)>>| {
            let filled = filled?.into_iter();
            Spread::from_filled(filled.map(|(bucket, count)| (usize::from(bucket), count)))
        };
        row.accept_to_sent = spread(stored.accept_to_sent);
        row.sent_to_delivered = spread(stored.sent_to_delivered);
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(count: Count, times: u64, cause: Option<&str>) -> Effect<'_> {
        Effect {
            counts: [Some((count, times)), None],
            cause,
            accept_to_sent: Some(times),
            ..Effect::default()
        }
    }

    #[test]
    fn every_count_has_one_word_and_its_own_place() {
        let mut words: Vec<&str> = Count::ALL.iter().map(|count| count.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Count::ALL.len());
        for (place, count) in Count::ALL.iter().enumerate() {
            assert_eq!(count.place(), place);
        }
        // Places of released versions.
        assert_eq!(Count::Sent.place(), 7);
        assert_eq!(Count::CancelRequested.place(), 24);
    }

    #[test]
    fn a_row_comes_back_from_its_record_and_merges() {
        let mut row = Row::default();
        row.add(&effect(Count::Failed, 3, Some("001")));
        row.add(&effect(Count::Sent, 40_000, None));
        let stored = StoredRow::from(&row).to_record();
        assert_eq!(Row::from_stored(&stored).unwrap(), row);
        let mut twice = row.clone();
        twice.merge(&row);
        assert_eq!(twice.get(Count::Failed), 6);
        assert_eq!(twice.ended(), 6);
        assert_eq!(twice.causes().collect::<Vec<_>>(), [(Count::Failed, "001", 6)]);
        assert_eq!(twice.accept_to_sent().unwrap().count(), 4);
    }

    #[test]
    fn causes_beyond_the_bound_are_counted_together() {
        let mut row = Row::default();
        for n in 0..1_000 {
            row.add(&effect(Count::Failed, 1, Some(&format!("e{n}"))));
        }
        row.add(&effect(Count::Failed, 1, Some(&"x".repeat(1_000))));
        assert_eq!(row.causes().count(), CAUSES + 1);
        assert_eq!(row.causes().map(|(_, _, times)| times).sum::<u64>(), 1_001);
        let other = row.causes().find(|(_, cause, _)| *cause == OTHER).unwrap();
        assert_eq!(other.2, 1_001 - 64);
    }
}
