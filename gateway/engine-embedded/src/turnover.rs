//! Begins generations of records, empties those of which little is left, and drops them.
//!
//! ```text
//!   open ──────────▶ sealed ───────────────────▶ dropped ───────────▶ keyspace, marks and entry are deleted
//!     full, or old        nothing is left,            in this order, each durable before the next
//!                         or the rest was copied to `records`, some in each group
//! ```
//! Records come here when they are not young any more (young.rs), and count from the start. Knows no queue. Invariants: a
//! generation is dropped only after every record of it is durably gone or in `records`;
//! at most [`PORTION`](crate::keeper) records are copied in one group; what is deleted was marked `dropped` durably before, so a
//! start finds either all of it or something of which nothing counts.
//!
//! # Limits
//! Up to four times the octets of what waits may lie on the disk, and those of two generations; octets of a record that is
//! gone may lie there for an hour and until the rest of their generation is copied. fjall lets nobody write while it makes
//! or drops a keyspace (some ten syncs): once for each 512 MiB or 3.6 million records.

use crate::bodies::{CAPACITY, Generation, Generations, home};
use crate::format::{
    GONE_HEAD, GenerationEntry, GenerationState, META_NEXT, RECORDS_HEAD, anchor_key, chunk_key,
    encode_chunk, numbered_key,
};
use crate::group::Group;
use crate::keeper::{Done, Keeper, Portion, Task};
use crate::metric;
use crate::space::Space;
use crate::work::Work;
use crate::young::Leaving;
use fjall::{Keyspace, OwnedWriteBatch};
use rustc_hash::{FxHashMap, FxHashSet};
use smsgw_message::Timestamp;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// A generation that has records is sealed when it is this old: what is gone does not stay for ever where little comes.
const OLD: Duration = Duration::from_secs(3600);
/// A generation of which more than one record in so many is left is not copied.
const FEW: u64 = 4;
/// How often it is looked for generations with few records, and so how long one must not have shrunk much.
const LOOK: Duration = Duration::from_secs(10);
/// Numbers after which the next generation is begun: behind it there is room for what comes until it is.
const ENOUGH: u64 = CAPACITY / 8 * 7;
/// Chunks of marks that are deleted in one group.
const SWEEP: usize = 256;

/// What the committer has of generations.
pub(crate) struct Turnover {
    pub(crate) all: Generations,
    keeper: Keeper,
    /// Octets of a generation.
    size: u64,
    next_number: u32,
    /// The last generation of which this process wrote the anchor.
    anchored: Option<u32>,
    /// The keyspace of the next one.
    prepared: Option<(u32, Keyspace)>,
    /// Durably dropped, their keyspaces still there.
    dropping: VecDeque<Arc<Generation>>,
    /// Their keyspaces are gone: chunks of marks that are still there.
    cleaning: VecDeque<(u32, Vec<u32>)>,
    /// What was left at the last look.
    left: FxHashMap<u32, u64>,
    looked: Option<Instant>,
    /// To be emptied.
    few: Option<Arc<Generation>>,
    /// Cannot be emptied: something in them cannot be read.
    stuck: FxHashSet<u32>,
}

impl fmt::Debug for Turnover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turnover")
            .field("all", &self.all)
            .finish_non_exhaustive()
    }
}

impl Turnover {
    pub(crate) fn new(all: Generations, next_number: u32, keeper: Keeper, size: u64) -> Self {
        Self {
            all,
            keeper,
            size,
            next_number,
            anchored: None,
            prepared: None,
            dropping: VecDeque::new(),
            cleaning: VecDeque::new(),
            left: FxHashMap::default(),
            looked: None,
            few: None,
            stuck: FxHashSet::default(),
        }
    }

    fn open(&self) -> Option<&Arc<Generation>> {
        self.all.last()
    }

    fn has(&self, generation: &Generation) -> bool {
        self.all.iter().any(|there| there.number == generation.number)
    }
}

/// What a group changes in generations.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Entries in `meta`; `None`: it goes.
    entries: Vec<(u32, Option<GenerationEntry>)>,
    /// Records that move to `records`.
    kept: Option<Portion>,
    /// Marks that go.
    unmarked: Vec<(u32, u32)>,
    /// Dropped from now on.
    ended: Vec<Arc<Generation>>,
}

impl Work {
    /// What time and the keeper bring, as part of this group. Comes before anything is published in it.
    pub(crate) fn turn_over(&mut self, group: &mut Group) -> Result<(), String> {
        match self.turnover.keeper.take() {
            None => {}
            Some(Done::Made(number, keyspace)) => self.turnover.prepared = Some((number, keyspace)),
            // All of it may be gone, and it dropped, since the keeper was asked.
            Some(Done::Read(portion)) if self.turnover.has(&portion.generation) => self.keep(portion, group),
            Some(Done::Read(_)) => {}
            Some(Done::Unreadable(generation, why)) => {
                warn!(
                    generation = generation.number,
                    why,
                    "what is left of old records cannot be read, and stays where it is until it is checked out"
                );
                self.turnover.stuck.insert(generation.number);
                self.turnover.few = None;
            }
            Some(Done::Dropped(number, chunks)) => self.turnover.cleaning.push_back((number, chunks)),
            Some(Done::Failed(cause)) => return Err(cause),
        }
        self.begin_generation(group);
        self.end_generations(group);
        self.clean_up(group);
        let oldest_young = self.young.oldest_record();
        let turnover = &mut self.turnover;
        if !turnover.keeper.is_free() {
            return Ok(());
        }
        // What begins needs room; what is copied gives room back.
        let (may_begin, may_copy) = match self.space {
            Space::Enough => (true, true),
            Space::Low => (false, true),
            Space::Critical => (false, false),
        };
        if may_begin && turnover.prepared.is_none() && turnover.wants_next(self.next_record, group.now) {
            let number = turnover.next_number;
            turnover.next_number = number.saturating_add(1);
            turnover.keeper.give(Task::Make(number));
        } else if let Some(generation) = turnover.dropping.pop_front() {
            turnover.keeper.give(Task::Drop(generation));
        } else if may_copy && group.turn.kept.is_none() {
            if turnover.few.is_none() {
                let now = self.shared.clock.instant();
                turnover.few = turnover.find_few(now, oldest_young);
            }
            if let Some(generation) = turnover.few.clone() {
                turnover.keeper.give(Task::Read(generation));
            }
        }
        Ok(())
    }

    /// The next generation begins, when the open one is full or old and the next one is ready.
    fn begin_generation(&mut self, group: &mut Group) {
        let next = self.next_record;
        let turnover = &mut self.turnover;
        let Some(open) = turnover.open().cloned() else {
            return;
        };
        let numbers = next.saturating_sub(open.first);
        let full = numbers >= ENOUGH || open.size() >= turnover.size;
        let old = numbers > 0 && group.now >= open.began.after(OLD);
        if !(full || old) {
            return;
        }
        let Some((number, keyspace)) = turnover.prepared.take() else {
            return;
        };
        open.seal(next);
        group
            .turn
            .entry(open.number, Some(open.entry(GenerationState::Sealed)));
        let entry = GenerationEntry {
            state: GenerationState::Open,
            first: next,
            end: next.saturating_add(CAPACITY),
            from: next,
            began: group.now,
        };
        group.turn.entry(number, Some(entry));
        let begun = Arc::new(Generation::new(number, &entry, keyspace));
        debug!(generation = number, first = next, "generation begun");
        turnover.all = turnover.all.iter().cloned().chain([begun]).collect();
        // Nobody asks for records that are not there yet.
        self.store.bodies.set(turnover.all.clone());
    }

    /// Sealed generations of which nothing is left.
    fn end_generations(&mut self, group: &mut Group) {
        let turnover = &mut self.turnover;
        let read = group.turn.kept.as_ref().map(|portion| portion.generation.number);
        let sealed = turnover.all.len().saturating_sub(1);
        for generation in turnover.all.iter().take(sealed) {
            // One of which the last portion is in this group goes with a later one.
            if generation.live() > 0 || read == Some(generation.number) {
                continue;
            }
            let entry = generation.entry(GenerationState::Dropped);
            group.turn.entry(generation.number, Some(entry));
            group.turn.ended.push(generation.clone());
            if turnover
                .few
                .as_ref()
                .is_some_and(|few| few.number == generation.number)
            {
                turnover.few = None;
            }
        }
    }

    fn clean_up(&mut self, group: &mut Group) {
        let Some((number, chunks)) = self.turnover.cleaning.front_mut() else {
            return;
        };
        let rest = chunks.len().saturating_sub(SWEEP);
        let number = *number;
        group.turn.unmarked = chunks.drain(rest..).map(|chunk| (number, chunk)).collect();
        if chunks.is_empty() {
            group.turn.entry(number, None);
            self.turnover.cleaning.pop_front();
        }
    }

    /// What is left of a generation goes to `records`.
    fn keep(&mut self, portion: Portion, group: &mut Group) {
        let entry = GenerationEntry {
            from: portion.until,
            ..portion.generation.entry(GenerationState::Sealed)
        };
        group.turn.entry(portion.generation.number, Some(entry));
        group.turn.kept = Some(portion);
    }

    /// Writes records, and what becomes of them.
    pub(crate) fn batch_records(
        &mut self,
        group: &mut Group,
        leaving: &mut Leaving,
        batch: &mut OwnedWriteBatch,
    ) {
        let store = self.store.clone();
        for (number, entry) in &group.turn.entries {
            let key = numbered_key(b'g', *number);
            match entry {
                Some(entry) => batch.insert(&store.meta, key, entry.encode()),
                None => batch.remove(&store.meta, key),
            }
        }
        let gone: FxHashSet<u64> = match &group.turn.kept {
            Some(_) => group.gone.iter().copied().collect(),
            None => FxHashSet::default(),
        };
        let mut kept = false;
        if let Some(portion) = &mut group.turn.kept {
            let generation = &portion.generation;
            portion
                .records
                .retain(|(id, _)| !gone.contains(id) && !generation.is_gone(*id));
            for (id, entry) in &portion.records {
                batch.insert(&store.records, id.to_be_bytes(), entry.clone());
                kept = true;
            }
        }
        // New ones count where they will be; they are written there when they are not young any more.
        if let Some(open) = self.turnover.open() {
            let numbers = group.published.iter().filter(|new| new.id < open.end());
            open.wrote(crate::shared::number(numbers.count()));
        }
        let mut marks: FxHashMap<(u32, u32), [u64; 8]> = FxHashMap::default();
        let gone = group.gone.iter().filter(|id| !leaving.gone_young.contains(id));
        for id in gone {
            let Some(generation) = home(&self.turnover.all, *id) else {
                // Written once, deleted once: the two vanish together when they meet.
                batch.remove_weak(&store.records, id.to_be_bytes());
                kept = true;
                continue;
            };
            let chunk = generation.chunk_of(*id);
            let words = marks
                .entry((generation.number, chunk))
                .or_insert_with(|| generation.chunk(chunk));
            let (word, bit) = generation.place_in_chunk(*id);
            if let Some(word) = words.get_mut(word) {
                *word |= bit;
            }
        }
        for (id, entry) in std::mem::take(&mut leaving.records) {
            match home(&self.turnover.all, id) {
                Some(generation) => {
                    if self.turnover.anchored.is_none_or(|last| last < generation.number) {
                        let anchor = anchor_key(generation.first.saturating_sub(1));
                        batch.insert(&generation.keyspace, anchor, Vec::new());
                        self.turnover.anchored = Some(generation.number);
                    }
                    batch.insert(&generation.keyspace, id.to_be_bytes(), entry);
                }
                None => {
                    batch.insert(&store.records, id.to_be_bytes(), entry);
                    kept = true;
                }
            }
        }
        if !marks.is_empty() || !group.turn.unmarked.is_empty() {
            batch.insert(&store.gone, GONE_HEAD, Vec::new());
        }
        for ((number, chunk), words) in marks {
            batch.insert(&store.gone, chunk_key(number, chunk), encode_chunk(&words));
        }
        for (number, chunk) in &group.turn.unmarked {
            batch.remove(&store.gone, chunk_key(*number, *chunk));
        }
        if !group.published.is_empty() {
            batch.insert(&store.meta, META_NEXT, self.next_record.to_be_bytes());
        }
        if kept {
            batch.insert(&store.records, RECORDS_HEAD, self.next_record.to_be_bytes());
        }
    }

    /// The group is durable: so are its turns.
    pub(crate) fn publish_turn(&mut self, gone: &[u64], turn: Turn) {
        for id in gone {
            if let Some(generation) = home(&self.turnover.all, *id) {
                generation.forget(*id);
            }
        }
        if let Some(portion) = turn.kept {
            let records = crate::shared::number(portion.records.len());
            metric::KEPT_TOTAL.with(&[]).inc_by(records);
            portion.generation.moved_up_to(portion.until, records);
        }
        if !turn.ended.is_empty() {
            let left =
                |there: &&Arc<Generation>| !turn.ended.iter().any(|ended| ended.number == there.number);
            self.turnover.all = self.turnover.all.iter().filter(left).cloned().collect();
            self.store.bodies.set(self.turnover.all.clone());
            for ended in turn.ended {
                debug!(generation = ended.number, "generation dropped");
                self.turnover.left.remove(&ended.number);
                self.turnover.stuck.remove(&ended.number);
                self.turnover.dropping.push_back(ended);
            }
        }
    }
}

impl Turn {
    /// Each key of a batch at most once: the last word counts.
    fn entry(&mut self, number: u32, entry: Option<GenerationEntry>) {
        self.entries.retain(|(there, _)| *there != number);
        self.entries.push((number, entry));
    }
}

impl Turnover {
    /// Whether the keyspace of the next generation should be made now; `next` is the next record.
    fn wants_next(&self, next: u64, now: Timestamp) -> bool {
        self.open().is_none_or(|open| {
            // Numbers, not records: of those that went soon nothing was ever written.
            let numbers = next.saturating_sub(open.first);
            let old = numbers > 0 && now >= open.began.after(OLD);
            old || numbers >= ENOUGH / 2 || open.size() >= self.size / 2
        })
    }

    /// A generation that is worth copying the rest of: few records, not about to lose them anyway, and all of them there.
    fn find_few(&mut self, now: Instant, oldest_young: u64) -> Option<Arc<Generation>> {
        let looked = self.looked;
        if looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK) {
            return None;
        }
        self.looked = Some(now);
        let sealed = self.all.len().saturating_sub(1);
        let mut found = None;
        for generation in self.all.iter().take(sealed) {
            let live = generation.live();
            let before = self.left.insert(generation.number, live);
            let calm = before.is_some_and(|before| before.saturating_sub(live) <= before / 16);
            let few = live.saturating_mul(FEW) <= generation.written();
            let whole = generation.end() <= oldest_young;
            if found.is_none() && calm && few && whole && !self.stuck.contains(&generation.number) {
                found = Some(generation.clone());
            }
        }
        found
    }
}
