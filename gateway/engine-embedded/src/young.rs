//! What the last groups wrote, while it is young: one entry of `young` for each group, and memory.
//!
//! ```text
//! group ─▶ young ─▶ memory ─┬─ settled, written anew, deleted ─▶ nothing: its entry goes, and it was never anywhere else
//!                           └─ still true after some seconds ──▶ its place: a generation or `records`, `state` and `expiry`
//! start ─▶ what `young` has goes to its place before anything else is read
//! ```
//! A message is three records and some four versions of its life within a second, and every key that is written costs a search
//! in a table in memory, more than all else a group does (ADR 0014).
//!
//! Invariants: what is young is in memory and in `young`, and what is not is at its place; it goes there in the batch that
//! deletes its group from `young`, groups in their order, so a start finds each record and the last value of each key in one of
//! the two; a reminder that is due within [`SOON`] is in `expiry` from the start.
//!
//! # Limits
//! `young` takes at most `write_buffer` octets and one group more, and as much again in memory: beyond that the oldest leave
//! sooner. A start has as much to put to its place.

use crate::format::young::Encoder;
use crate::format::{EXPIRY_HEAD, STATE_HEAD, YOUNG_HEAD, encode_record, expiry_key, state_key};
use crate::group::{Group, NewEntry};
use crate::values::{Place, Trace, Written};
use crate::work::Work;
use fjall::OwnedWriteBatch;
use rustc_hash::FxHashSet;
use smsgw_message::Timestamp;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

mod settle;

pub(crate) use settle::settle;

/// How long what a group wrote stays young.
const YOUTH: Duration = Duration::from_secs(2);
/// What is due before this is over is looked for in `expiry`; what is due later leaves its youth before.
const SOON: Duration = Duration::from_secs(60);
/// Old groups that leave with one group, and their octets: nobody waits long for them.
const GROUPS: usize = 64;
const OCTETS: usize = 1024 * 1024;

/// A group whose entry is in `young`.
#[derive(Debug)]
struct YoungGroup {
    /// Never 0.
    number: u64,
    since: Instant,
    octets: usize,
    /// What it published, in order.
    records: Vec<u64>,
    /// Where its values are.
    values: Vec<Place>,
    /// When the first of its values is due that has no entry in `expiry`.
    due: Option<Timestamp>,
}

/// The groups that are young, oldest first.
#[derive(Debug)]
pub(crate) struct Young {
    groups: VecDeque<YoungGroup>,
    octets: usize,
    most: usize,
    next: u64,
}

/// What goes to its place with a group, and what else of it is about young ones.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    /// The oldest groups, so many.
    groups: usize,
    /// Their records that are left, as they are written.
    pub(crate) records: Vec<(u64, Vec<u8>)>,
    /// Young records that are gone with this group.
    pub(crate) gone_young: FxHashSet<u64>,
}

/// A group that was written.
#[derive(Debug)]
pub(crate) struct Entered {
    leaving: Leaving,
    written: Vec<Written>,
    octets: usize,
}

impl Young {
    /// `next`: the number of the next group; `most`: octets that `young` may take.
    pub(crate) fn new(next: u64, most: u64) -> Self {
        Self {
            groups: VecDeque::new(),
            octets: 0,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            next,
        }
    }

    /// How many of the oldest groups leave now.
    fn ripe(&self, now: Instant, all: bool) -> usize {
        if all {
            return self.groups.len();
        }
        let (mut ripe, mut octets) = (0, 0usize);
        for group in &self.groups {
            let old = now.saturating_duration_since(group.since) >= YOUTH;
            let too_many = self.octets.saturating_sub(octets) > self.most;
            if !too_many && (!old || ripe >= GROUPS || octets >= OCTETS) {
                break;
            }
            ripe += 1;
            octets = octets.saturating_add(group.octets);
        }
        ripe
    }

    /// No record before this one is young.
    pub(crate) fn oldest_record(&self) -> u64 {
        let first = self.groups.iter().find_map(|group| group.records.first());
        first.copied().unwrap_or(u64::MAX)
    }

    /// Whether something is due that has no entry in `expiry`: the clock was set, and went farther than [`SOON`].
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let dues = self.groups.iter().filter_map(|group| group.due);
        dues.min().is_some_and(|due| due <= now)
    }

    fn leave(&mut self, groups: usize) {
        for group in self.groups.drain(..groups) {
            self.octets = self.octets.saturating_sub(group.octets);
        }
    }
}

impl Work {
    /// Who leaves with a group. To be called once for each, before anything of it is written.
    pub(crate) fn leaving(&self, group: &Group) -> Leaving {
        let now = self.shared.clock.instant();
        let groups = self.young.ripe(now, group.all_leave);
        let gone_young = self.shared.records.young_among(&group.gone);
        let mut records = Vec::new();
        let old = self.young.groups.iter().take(groups);
        let ids = old.flat_map(|old| &old.records).copied();
        let left = ids.filter(|id| !gone_young.contains(id));
        self.shared.records.leaving(left, |record| {
            let mut entry = Vec::new();
            put_record(record, &mut entry);
            records.push((record.id, entry));
        });
        Leaving {
            groups,
            records,
            gone_young,
        }
    }

    /// Writes what a group changes in state, and its entry of `young`.
    pub(crate) fn batch_young(
        &mut self,
        group: &Group,
        leaving: Leaving,
        batch: &mut OwnedWriteBatch,
    ) -> Entered {
        let store = self.store.clone();
        let written = self.batch_values(group, &leaving, batch);
        let mut octets = 0;
        let enters = !(group.published.is_empty() && leaving.gone_young.is_empty() && written.is_empty());
        if enters {
            let mut entry = Encoder::new(self.next_version, self.young_octets(group, &written));
            for new in &group.published {
                entry.record(new.id, |out| put_record(new, out));
            }
            entry.end_records();
            for id in group.gone.iter().filter(|id| leaving.gone_young.contains(id)) {
                entry.gone(*id);
            }
            entry.end_gone();
            for Written { key, value, .. } in &written {
                entry.value(
                    key.as_str(),
                    value
                        .as_ref()
                        .map(|value| |out: &mut Vec<u8>| value.encode_to(out)),
                );
            }
            let entry = entry.end();
            octets = entry.len();
            batch.insert(&store.young, self.young.next.to_be_bytes(), entry);
        }
        for old in self.young.groups.iter().take(leaving.groups) {
            // Written once, deleted once.
            batch.remove_weak(&store.young, old.number.to_be_bytes());
        }
        if enters || leaving.groups > 0 {
            let next = self.young.next.saturating_add(1);
            batch.insert(&store.young, YOUNG_HEAD, next.to_be_bytes());
        }
        Entered {
            leaving,
            written,
            octets,
        }
    }

    /// About how long the entry of a group is.
    fn young_octets(&self, group: &Group, written: &[Written]) -> usize {
        let records = group.published.iter().map(|new| new.octets.len() + 80);
        let values = written.iter().map(|written| {
            let value = written.value.as_ref().map_or(0, |value| value.octets.len() + 96);
            written.key.as_str().len() + value + 16
        });
        records.chain(values).sum::<usize>() + group.gone.len() * 8 + 64
    }

    /// Reminders that are due soon, those that are not any more, and the values that leave their youth.
    fn batch_values(
        &mut self,
        group: &Group,
        leaving: &Leaving,
        batch: &mut OwnedWriteBatch,
    ) -> Vec<Written> {
        let store = self.store.clone();
        let mut expiry = !group.swept.is_empty();
        for entry in &group.swept {
            batch.remove_weak(&store.expiry, entry.clone());
        }
        let soon = group.now.after(SOON);
        let mut written = Vec::with_capacity(group.state.len());
        for (key, value) in &group.state {
            let old = self.shared.values.trace(key);
            // When nobody remembers the old one, its entry is found to be stale at its time, and the new one's is written.
            let on_disk = self.families.may_have(key.as_str());
            let is_known = old.is_some() || !on_disk;
            let reminded = false;
            let (old, trace) = old.unwrap_or((None, Trace { on_disk, reminded }));
            let old = old.as_deref().and_then(|value| Some((value.due()?, value.entry)));
            let new = value
                .as_deref()
                .and_then(|value| Some((value.due()?, value.entry)));
            if old != new
                && trace.reminded
                && let Some((due, number)) = old
            {
                let entry = expiry_key(due, number, key.as_str());
                if !group.swept.iter().any(|swept| **swept == *entry) {
                    batch.remove_weak(&store.expiry, entry);
                    expiry = true;
                }
            }
            let reminded = match new {
                None => false,
                Some(_) if old == new => trace.reminded,
                Some((due, number)) => {
                    let now = due <= soon || !is_known;
                    if now {
                        batch.insert(&store.expiry, expiry_key(due, number, key.as_str()), Vec::new());
                        expiry = true;
                    }
                    now
                }
            };
            written.push(Written {
                key: key.clone(),
                value: value.clone(),
                trace: Trace {
                    on_disk: trace.on_disk,
                    reminded,
                },
            });
        }
        let mut state = false;
        for old in self.young.groups.iter().take(leaving.groups) {
            let still = self.shared.values.young_of(old.number, &old.values);
            for Written { key, value, trace } in
                still.iter().filter(|still| !group.state.contains_key(&still.key))
            {
                match value {
                    Some(value) => {
                        batch.insert(&store.state, state_key(key.as_str()), value.encode());
                        self.families.add(key.as_str());
                        state = true;
                    }
                    None if trace.on_disk => {
                        batch.remove(&store.state, state_key(key.as_str()));
                        state = true;
                    }
                    None => {}
                }
                if !trace.reminded
                    && let Some(value) = value
                    && let Some(due) = value.due()
                {
                    batch.insert(
                        &store.expiry,
                        expiry_key(due, value.entry, key.as_str()),
                        Vec::new(),
                    );
                    expiry = true;
                }
            }
        }
        if state {
            batch.insert(&store.state, STATE_HEAD, self.next_version.to_be_bytes());
        }
        if expiry {
            batch.insert(&store.expiry, EXPIRY_HEAD, Vec::new());
        }
        written
    }

    /// The group is durable: it is young, and who left is at its place.
    pub(crate) fn publish_young(&mut self, group: &mut Group, entered: Entered) {
        let Entered {
            leaving,
            written,
            octets,
        } = entered;
        let due_of = |written: &Written| written.value.as_ref()?.due();
        let first = written.iter().filter_map(due_of).min();
        let not_reminded = written.iter().filter(|written| !written.trace.reminded);
        let due = not_reminded.filter_map(due_of).min();
        let number = self.young.next;
        let records: Vec<u64> = group.published.iter().map(|new| new.id).collect();
        let old = || self.young.groups.iter().take(leaving.groups);
        let changed = old().any(|old| !old.values.is_empty()) || !written.is_empty();
        let values = if changed {
            let left = old().map(|old| (old.number, old.values.as_slice()));
            self.shared
                .values
                .publish(number, written, left, self.store.db.snapshot())
        } else {
            Vec::new()
        };
        let first = old().filter_map(|old| old.due).chain(first).min();
        self.next_due = [self.next_due, first].into_iter().flatten().min();
        let soon = group.now.after(SOON);
        self.shared.records.update(
            &group.gone,
            std::mem::take(&mut group.published),
            old().flat_map(|old| &old.records).copied(),
            soon,
        );
        self.young.leave(leaving.groups);
        if octets > 0 {
            self.young.groups.push_back(YoungGroup {
                number,
                since: self.shared.clock.instant(),
                octets,
                records,
                values,
                due,
            });
            self.young.octets = self.young.octets.saturating_add(octets);
            self.young.next = number.saturating_add(1);
        }
        let octets = i64::try_from(self.young.octets).unwrap_or(i64::MAX);
        self.metrics.young_octets.set(octets);
    }

    /// All that is young goes to its place, as a group of its own.
    pub(crate) fn end_youth(&mut self) -> Result<(), String> {
        if self.young.groups.is_empty() {
            return Ok(());
        }
        let mut group = Group::new(self.shared.clock.now());
        group.all_leave = true;
        self.commit(group)
    }
}

fn put_record(record: &NewEntry, out: &mut Vec<u8>) {
    encode_record(
        record.queue,
        &record.lane,
        &record.at,
        record.published_at,
        &record.octets,
        out,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 10_000;

    /// Groups of 1000 octets, one each 100 ms.
    fn young(groups: u64, start: Instant) -> Young {
        let mut young = Young::new(1, MOST);
        for n in 0..groups {
            young.groups.push_back(YoungGroup {
                number: n + 1,
                since: start + Duration::from_millis(100) * u32::try_from(n).unwrap(),
                octets: 1000,
                records: if n < 2 {
                    Vec::new()
                } else {
                    vec![n * 10, n * 10 + 1]
                },
                values: Vec::new(),
                due: (n == 3).then(|| Timestamp::from_millis(500)),
            });
            young.octets += 1000;
        }
        young
    }

    #[test]
    fn groups_leave_when_they_are_old_or_too_many() {
        let start = tokio::time::Instant::now().into_std();
        let after = |millis| start + Duration::from_millis(millis);
        let few = young(8, start);
        assert_eq!(few.ripe(after(1_999), false), 0);
        assert_eq!(few.ripe(after(2_000), false), 1);
        assert_eq!(few.ripe(after(2_350), false), 4);
        assert_eq!(few.ripe(after(9_000), false), 8);
        assert_eq!(few.ripe(start, true), 8);
        // Three above the bound.
        assert_eq!(young(13, start).ripe(start, false), 3);
        assert_eq!(
            young(500, start).ripe(start, false),
            490,
            "however many those are"
        );
        let mut many = young(500, start);
        many.most = usize::MAX;
        assert_eq!(
            many.ripe(after(90_000), false),
            GROUPS,
            "old ones not all at once"
        );
        many.groups.iter_mut().for_each(|group| group.octets = OCTETS);
        assert_eq!(many.ripe(after(90_000), false), 1, "nor large ones");
    }

    #[test]
    fn the_oldest_record_and_what_is_due_first_are_known() {
        let start = tokio::time::Instant::now().into_std();
        let mut groups = young(6, start);
        assert_eq!(groups.oldest_record(), 20);
        let at = Timestamp::from_millis;
        assert!(!groups.is_due(at(499)) && groups.is_due(at(500)));
        groups.leave(4);
        assert_eq!((groups.oldest_record(), groups.octets), (40, 2000));
        assert!(!groups.is_due(at(i64::MAX)));
        assert_eq!(Young::new(1, MOST).oldest_record(), u64::MAX);
    }
}
