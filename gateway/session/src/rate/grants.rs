//! The grants of the last second and guard: what a carrier may still count.
//!
//! Reads no clock. Invariant GR-1: a grant is in the log until `1 s + guard` after it, never shorter; memory is bounded by
//! [`RUN`], whatever the rate.

use super::{GUARD, SECOND};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Grants this close together are one entry, at the time of the last of them: some 2000 entries at most. It holds back a rate
/// above 2000 by half a thousandth at worst.
const RUN: Duration = Duration::from_micros(500);

#[derive(Debug, Clone, Copy)]
struct Run {
    first: Instant,
    last: Instant,
    parts: usize,
}

/// The log, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Grants {
    runs: VecDeque<Run>,
    /// Parts of all runs.
    parts: usize,
}

impl Grants {
    pub(super) fn add(&mut self, now: Instant, parts: usize) {
        while let Some(run) = self.runs.pop_front_if(|run| !counts(run.last, now)) {
            self.parts = self.parts.saturating_sub(run.parts);
        }
        self.parts = self.parts.saturating_add(parts);
        match self.runs.back_mut() {
            Some(run) if now.saturating_duration_since(run.first) < RUN => {
                run.last = run.last.max(now);
                run.parts = run.parts.saturating_add(parts);
            }
            Some(_) | None => self.runs.push_back(Run {
                first: now,
                last: now,
                parts,
            }),
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Parts that count at `now`.
    pub(super) fn within(&self, now: Instant) -> usize {
        let over = self.runs.iter().take_while(|run| !counts(run.last, now));
        self.parts.saturating_sub(over.map(|run| run.parts).sum())
    }

    /// From when on at most `most` of them count; `None` when that is so already, whatever the time.
    pub(super) fn at_most(&self, most: usize) -> Option<Instant> {
        let (mut left, mut from) = (self.parts, None);
        for run in &self.runs {
            if left <= most {
                break;
            }
            left = left.saturating_sub(run.parts);
            from = run.last.checked_add(SECOND.saturating_add(GUARD));
        }
        from
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.runs.len()
    }
}

fn counts(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < SECOND.saturating_add(GUARD)
}
