//! How often a part met a full queue, or was in doubt, so that its waits grow and its resubmissions end.
//!
//! ```text
//! tries/<operator>/<message>/<part>   Tries   deleted in the step that ends the part
//! ```
//! Kind 35 of the record format. The engine's attempt count does not serve: such retries are free, and temporary failures
//! have a count of their own. A memory of this process does not either: the part may come back to another process, or to
//! this one after the very crash that it causes. So the count is state, written in the step that gives the part back, by
//! whoever has the part under lease: never by two at once. It is read only when there is something to count, so a part
//! that is simply taken costs nothing.
//!
//! Pure. Invariant TS-1: a part goes out again after a doubt only once that doubt has been counted durably.
//!
//! # Limits
//! Which parts have a count is remembered in this process, so that a part without one costs no write when it ends. What is
//! not remembered (after a restart, or beyond [`REMEMBERED`] parts at once) goes an hour after its part's validity.

use crate::doubt::{self, Cause, Resolution};
use crate::hop::{Ending, Fate, PartRef};
use rustc_hash::FxHashSet;
use sha2::{Digest as _, Sha256};
use smsgw_config::{InDoubt, Operator};
pub(crate) use smsgw_message::Tries;
use smsgw_message::{OperatorId, SubmitOutcome, Timestamp, names};
use smsgw_queue::{RecordId, ReleaseReason, StateKey, StepId};
use std::collections::VecDeque;
use std::time::Duration;

/// Parts whose counts are remembered to be deleted.
pub(crate) const REMEMBERED: usize = 100_000;

/// The parts that have a count.
#[derive(Debug)]
pub(crate) struct HaveCounts {
    capacity: usize,
    known: FxHashSet<RecordId>,
    /// In the order of their coming; those that ended may still stand here.
    order: VecDeque<RecordId>,
}

impl HaveCounts {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            known: FxHashSet::default(),
            order: VecDeque::new(),
        }
    }

    /// A count of this part was written or read. The oldest give way.
    pub(crate) fn add(&mut self, record: RecordId) {
        if !self.known.insert(record) {
            return;
        }
        self.order.push_back(record);
        while self.order.len() > self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    pub(crate) fn has(&self, record: RecordId) -> bool {
        self.known.contains(&record)
    }

    /// The part has ended, and its count with it.
    pub(crate) fn remove(&mut self, record: RecordId) {
        if self.known.remove(&record) && self.known.is_empty() {
            self.order.clear();
        }
    }
}

/// What happened to a part this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The carrier's queue for this phone is full.
    QueueFull,
    /// Written and not answered, for so long.
    Doubt { cause: Cause, waited: Duration },
    /// Its client has withdrawn it; `maybe_sent` when a crash or a stop came before what became of it last time.
    Withdrawn { maybe_sent: bool },
    /// Its validity has ended before it went out again; `maybe_sent` as above.
    Expired { maybe_sent: bool },
}

/// A part whose fate depends on what happened to it before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) part: PartRef,
    pub(crate) trouble: Trouble,
    pub(crate) valid_until: Timestamp,
    /// How long the carrier may take to answer.
    pub(crate) response_timeout: Duration,
}

/// The part goes back, and this is written with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) part: PartRef,
    pub(crate) after: Duration,
    pub(crate) reason: ReleaseReason,
    pub(crate) tries: Tries,
    pub(crate) expires: Timestamp,
    /// For the life of the message.
    pub(crate) told: Option<String>,
}

impl Tried {
    pub(crate) fn key(&self, operator: &OperatorId) -> StateKey {
        key(operator, &self.part)
    }

    /// Decides, by what happened `before`.
    pub(crate) fn decide(&self, settings: &Operator, before: Tries, at: Timestamp) -> Fate {
        let left = self.valid_until.since(at);
        let counted = |after: Duration, reason, tries, told| {
            Fate::Counted(Counted {
                part: self.part.clone(),
                // Not longer than it is valid: then it ends as expired, in time.
                after: after.min(left),
                reason,
                tries,
                expires: self.valid_until.after(KEPT),
                told,
            })
        };
        match self.trouble {
            Trouble::QueueFull => {
                let full = before.full.saturating_add(1);
                let after = settings.queue_full_retry.delay_or_last(full);
                let tries = Tries { full, ..before };
                counted(after, ReleaseReason::MobileQueueFull, tries, None)
            }
            Trouble::Doubt { cause, waited } => {
                let in_doubt = before.in_doubt.saturating_add(1);
                let after = match doubt::resolve(settings.in_doubt, cause, self.response_timeout, waited) {
                    Resolution::Again(after) => after,
                    Resolution::Reject => return self.reject("in_doubt"),
                };
                if in_doubt > settings.in_doubt_max {
                    return self.reject("in_doubt_max");
                }
                let told = told(cause, settings.in_doubt, in_doubt, settings.in_doubt_max);
                let tries = Tries { in_doubt, ..before };
                counted(after, ReleaseReason::InDoubt, tries, Some(told))
            }
            // The phone may have it: nobody can say that it was withdrawn, or that it came too late.
            Trouble::Withdrawn { maybe_sent } | Trouble::Expired { maybe_sent }
                if maybe_sent || before.in_doubt > 0 =>
            {
                self.reject("in_doubt")
            }
            Trouble::Withdrawn { .. } => self.end(SubmitOutcome::Cancelled, "cancelled"),
            Trouble::Expired { .. } => self.end(SubmitOutcome::Expired, "expired"),
        }
    }

    fn reject(&self, word: &'static str) -> Fate {
        self.end(SubmitOutcome::InDoubt, word)
    }

    fn end(&self, outcome: SubmitOutcome, word: &'static str) -> Fate {
        Fate::Ended(Ending {
            part: self.part.clone(),
            outcome,
            word,
            receipt_asked: false,
            reroute: None,
        })
    }
}

/// The count stays a little longer than the part, which ends at the first checkout after its validity.
const KEPT: Duration = Duration::from_secs(3600);

impl Counted {
    pub(crate) fn key(&self, operator: &OperatorId) -> StateKey {
        key(operator, &self.part)
    }

    /// The step's own id: the same part goes back several times, and each time publishes other records.
    pub(crate) fn step(&self, input: StepId) -> StepId {
        let mut hash = Sha256::new();
        hash.update(input.as_bytes());
        hash.update(self.tries.full.to_be_bytes());
        hash.update(self.tries.in_doubt.to_be_bytes());
        let mut id = [0; 16];
        id.iter_mut()
            .zip(hash.finalize())
            .for_each(|(to, from)| *to = from);
        StepId::from_bytes(id)
    }
}

/// The key of a part's count.
pub(crate) fn key(operator: &OperatorId, part: &PartRef) -> StateKey {
    StateKey::from(names::tries(operator, part.message, part.part))
}

fn told(cause: Cause, policy: InDoubt, times: u32, most: u32) -> String {
    format!("{}: {policy} {times} of {most}", cause.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::dispatch;
    use smsgw_message::Record;

    const SECOND: Duration = Duration::from_secs(1);

    fn tried(trouble: Trouble) -> Tried {
        let dispatch = dispatch(1);
        Tried {
            part: PartRef::of(&dispatch),
            trouble,
            valid_until: dispatch.valid_until,
            response_timeout: 30 * SECOND,
        }
    }

    fn doubt() -> Tried {
        tried(Trouble::Doubt {
            cause: Cause::LinkLost,
            waited: Duration::ZERO,
        })
    }

    fn counted(fate: Fate) -> Counted {
        match fate {
            Fate::Counted(counted) => counted,
            other => panic!("{other:?}"),
        }
    }

    fn full(full: u32) -> Tries {
        Tries { full, in_doubt: 0 }
    }

    fn in_doubt(in_doubt: u32) -> Tries {
        Tries { full: 0, in_doubt }
    }

    #[test]
    fn waits_grow_with_each_full_queue_and_never_beyond_validity() {
        let met = tried(Trouble::QueueFull);
        let settings = Operator::default();
        let long_before = met.valid_until.before(1000 * SECOND);
        for (before, seconds) in [(0, 2), (1, 4), (4, 32), (5, 60), (u32::MAX, 60)] {
            let back = counted(met.decide(&settings, full(before), long_before));
            assert_eq!(back.after, seconds * SECOND, "after {before}");
            assert_eq!(back.tries, full(before.saturating_add(1)));
            assert_eq!(
                (back.reason, back.told.clone()),
                (ReleaseReason::MobileQueueFull, None)
            );
        }
        let shortly_before = met.valid_until.before(3 * SECOND);
        let back = counted(met.decide(&settings, full(9), shortly_before));
        assert_eq!(back.after, 3 * SECOND);
    }

    #[test]
    fn a_doubt_is_resolved_by_the_policy_until_the_last_resubmission() {
        let settings = Operator {
            in_doubt: InDoubt::Wait(40 * SECOND),
            in_doubt_max: 2,
            ..Operator::default()
        };
        let at = doubt().valid_until.before(1000 * SECOND);
        let back = counted(doubt().decide(&settings, in_doubt(1), at));
        assert_eq!((back.after, back.tries), (40 * SECOND, in_doubt(2)));
        assert_eq!(back.told.as_deref(), Some("link_lost: wait:40s 2 of 2"));
        let word = |settings: &Operator, before| match doubt().decide(settings, before, at) {
            Fate::Ended(Ending { word, outcome, .. }) => Some((word, outcome)),
            _ => None,
        };
        assert_eq!(
            word(&settings, in_doubt(2)),
            Some(("in_doubt_max", SubmitOutcome::InDoubt))
        );
        let reject = Operator {
            in_doubt: InDoubt::Reject,
            ..Operator::default()
        };
        assert_eq!(
            word(&reject, in_doubt(0)),
            Some(("in_doubt", SubmitOutcome::InDoubt))
        );
    }

    #[test]
    fn what_was_withdrawn_or_expires_while_in_doubt_is_called_neither() {
        let end = |trouble, before| {
            let over = tried(trouble);
            let at = over.valid_until.before(1000 * SECOND);
            match over.decide(&Operator::default(), before, at) {
                Fate::Ended(ending) => ending.outcome,
                other => panic!("{other:?}"),
            }
        };
        let withdrawn = |maybe_sent| Trouble::Withdrawn { maybe_sent };
        let expired = |maybe_sent| Trouble::Expired { maybe_sent };
        assert_eq!(end(withdrawn(false), full(3)), SubmitOutcome::Cancelled);
        assert_eq!(end(expired(false), full(3)), SubmitOutcome::Expired);
        for trouble in [withdrawn, expired] {
            assert_eq!(end(trouble(false), in_doubt(1)), SubmitOutcome::InDoubt);
            assert_eq!(end(trouble(true), full(0)), SubmitOutcome::InDoubt);
        }
    }

    #[test]
    fn full_queues_and_doubts_are_counted_apart() {
        let both = Tries { full: 3, in_doubt: 1 };
        let at = doubt().valid_until.before(1000 * SECOND);
        let after_doubt = counted(doubt().decide(&Operator::default(), both, at));
        assert_eq!(after_doubt.tries, Tries { full: 3, in_doubt: 2 });
        let met = tried(Trouble::QueueFull).decide(&Operator::default(), both, at);
        assert_eq!(counted(met).tries, Tries { full: 4, in_doubt: 1 });
    }

    #[test]
    fn each_return_of_a_part_is_a_step_of_its_own() {
        let input = StepId::from_bytes([7; 16]);
        let at = doubt().valid_until.before(1000 * SECOND);
        let steps: std::collections::BTreeSet<_> = (0..4)
            .map(|n| counted(doubt().decide(&Operator::default(), in_doubt(n), at)).step(input))
            .chain([input])
            .collect();
        assert_eq!(steps.len(), 5);
        let again = counted(doubt().decide(&Operator::default(), in_doubt(0), at)).step(input);
        assert!(steps.contains(&again), "the same input makes the same step");
    }

    #[test]
    fn parts_with_counts_are_remembered_until_they_end_and_up_to_a_bound() {
        let mut have = HaveCounts::new(3);
        let record = RecordId::from_u64;
        for n in 0..10 {
            have.add(record(n));
            have.add(record(n));
        }
        assert_eq!((have.known.len(), have.order.len()), (3, 3));
        assert!(have.has(record(9)) && have.has(record(7)) && !have.has(record(6)));
        for n in 0..10 {
            have.remove(record(n));
        }
        assert_eq!((have.known.len(), have.order.len()), (0, 0));
        for n in 10..1000 {
            have.add(record(n));
            have.add(record(5));
            have.remove(record(n));
            assert!(have.known.len() <= 3 && have.order.len() <= 3);
        }
    }

    #[test]
    fn the_record_is_read_back() {
        let tries = Tries { full: 3, in_doubt: 1 };
        assert_eq!(Tries::from_record(&tries.to_record()).unwrap(), tries);
    }
}
