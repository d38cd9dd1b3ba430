//! Holds the committer back a little when the store does not keep up with writing its tables, so that fjall does not
//! hold it back a lot: with four tables in memory that wait to be written, fjall 3.1 sleeps in steps of 100 ms inside
//! a commit, and with thirty tables in the first level until they are merged (fjall issues 257 and 293). And how large a
//! group of steps may become, by what a sync takes.
//!
//! Pure. Invariant: no single pause is longer than [`LONGEST`]; the more is outstanding, the longer it is, so that
//! callers feel a slower engine and not one that stands still.

use std::time::Duration;

/// The longest pause before one group.
pub(crate) const LONGEST: Duration = Duration::from_millis(20);

/// What a keyspace has outstanding.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Debt {
    /// Tables in memory that wait to be written.
    pub(crate) sealed: usize,
    /// Tables that wait to be merged.
    pub(crate) unmerged: usize,
}

impl Debt {
    /// The worse of both, for each kind.
    pub(crate) fn most(self, other: Self) -> Self {
        Self {
            sealed: self.sealed.max(other.sealed),
            unmerged: self.unmerged.max(other.unmerged),
        }
    }
}

/// How long to wait before the next group, for the keyspace that is worst off.
pub(crate) fn pause(debt: Debt) -> Duration {
    let writing = match debt.sealed {
        0 | 1 => 0,
        2 => 2,
        _ => 20,
    };
    let merging = match debt.unmerged {
        0..=12 => 0,
        13..=16 => 1,
        17..=20 => 3,
        21..=24 => 8,
        _ => 20,
    };
    Duration::from_millis(writing.max(merging)).min(LONGEST)
}

/// Steps of a group at most, for each half of a millisecond that a sync takes when it takes shortest.
const GROUP: usize = 128;
/// What of a commit is not the sync: the processor's work for a step, about.
const STEP: Duration = Duration::from_micros(10);
/// After so many groups what was shortest before is forgotten.
const GROUPS: u32 = 32;

/// How large a group may become. A small one ends soon, and who comes next waits less; but a commit of a slow disk is to be
/// shared by all the more.
#[derive(Debug)]
pub(crate) struct GroupSize {
    most: usize,
    shortest: Duration,
    groups: u32,
}

impl GroupSize {
    pub(crate) fn new() -> Self {
        Self {
            most: GROUP,
            shortest: Duration::MAX,
            groups: 0,
        }
    }

    /// Steps that a group may have.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// A commit of so many steps took so long.
    pub(crate) fn committed(&mut self, steps: u32, took: Duration) {
        let sync = took.saturating_sub(STEP.saturating_mul(steps));
        self.shortest = self.shortest.min(sync);
        self.groups += 1;
        if self.groups < GROUPS {
            return;
        }
        let halves = usize::try_from(self.shortest.as_micros() / 500).unwrap_or(usize::MAX);
        *self = Self {
            most: GROUP.saturating_mul(halves.max(1)),
            ..Self::new()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_debt_is_a_longer_pause_and_none_is_too_long() {
        let mut last = Duration::ZERO;
        for sealed in 0..6 {
            let now = pause(Debt { sealed, unmerged: 0 });
            assert!(now >= last && now <= LONGEST);
            last = now;
        }
        assert_eq!(last, LONGEST);
        let mut last = Duration::ZERO;
        for unmerged in 0..40 {
            let now = pause(Debt { sealed: 0, unmerged });
            assert!(now >= last && now <= LONGEST);
            last = now;
        }
        assert_eq!(last, LONGEST);
        assert_eq!(
            pause(Debt {
                sealed: 1,
                unmerged: 8
            }),
            Duration::ZERO,
            "as it always is"
        );
    }

    #[test]
    fn a_group_grows_with_the_sync_and_not_with_itself() {
        let most_after = |sync: Duration, steps: u32| {
            let mut size = GroupSize::new();
            for _ in 0..GROUPS {
                // One stall in between says nothing about the disk.
                size.committed(steps, Duration::from_secs(1));
                size.committed(steps, sync + STEP * steps);
            }
            size.most()
        };
        for steps in [1, 128, 1000] {
            assert_eq!(most_after(Duration::from_micros(100), steps), GROUP);
            assert_eq!(most_after(Duration::from_millis(1), steps), 2 * GROUP);
            assert_eq!(most_after(Duration::from_millis(20), steps), 40 * GROUP);
        }
        let mut size = GroupSize::new();
        for sync in [20, 0] {
            for _ in 0..GROUPS {
                size.committed(1, Duration::from_millis(sync));
            }
        }
        assert_eq!(size.most(), GROUP, "a disk that is fast again");
    }
}
