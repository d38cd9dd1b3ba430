//! Holds the committer back a little when the store does not keep up with writing its tables, so that fjall does not
//! hold it back a lot: with four tables in memory that wait to be written, fjall 3.1 sleeps in steps of 100 ms inside
//! a commit, and with thirty tables in the first level until they are merged (fjall issues 257 and 293).
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
}
