//! How many dead letters and corrupt records there are for each reason, and how large they are.
//!
//! Invariant: what was added is removed with the same reason and size, so nothing is ever below zero.

use super::Reason;
use crate::bound::Amount;
use crate::delivery::Place;
use crate::look::DeadLetters;
use crate::step::DeadReason;

/// Sums by the place of a reason in [`DeadReason::ALL`].
#[derive(Debug, Default)]
pub(super) struct Tally([Amount; DeadReason::ALL.len()]);

const fn one(size: u32) -> Amount {
    Amount {
        records: 1,
        // Widening: `From` is not const.
        octets: size as u64,
    }
}

impl Tally {
    fn of_mut(&mut self, reason: Reason) -> Option<&mut Amount> {
        let Reason::Dead(reason) = reason else { return None };
        let at = DeadReason::ALL.iter().position(|known| *known == reason)?;
        self.0.get_mut(at)
    }

    pub(super) fn add(&mut self, reason: Reason, size: u32) {
        if let Some(sum) = self.of_mut(reason) {
            *sum = sum.plus(one(size));
        }
    }

    pub(super) fn remove(&mut self, reason: Reason, size: u32) {
        if let Some(sum) = self.of_mut(reason) {
            *sum = sum.minus(one(size));
        }
    }

    /// Reasons with records.
    pub(super) fn each(&self) -> impl Iterator<Item = DeadLetters> {
        let all = DeadReason::ALL.into_iter().zip(self.0);
        all.filter(|(_, amount)| amount.records > 0)
            .map(|(reason, amount)| DeadLetters { reason, amount })
    }

    /// All of one place.
    pub(super) fn at(&self, place: Place) -> Amount {
        self.each()
            .filter(|dead| dead.reason.place() == place)
            .fold(Amount::default(), |sum, dead| sum.plus(dead.amount))
    }
}
