//! A thread that lets go of what fjall is done with, and looks how far fjall is behind.
//!
//! fjall frees a table in memory that was written, and deletes the files of tables that were merged, when the last
//! version of a keyspace that names them leaves its history. That happens under the lock that every write to the keyspace
//! and every look at it needs, and takes tens of milliseconds for a table of 16 MiB, for which the committer would wait.
//! So this thread keeps a reference to each of them from the time they are new. What fjall gives up is then a count that
//! goes down; the work is done here, under no lock.
//!
//! It changes nothing that is stored: whatever was not let go of at a kill lies in no version, and the next start deletes it.
//! Invariants: of a table in memory nothing is kept longer than fjall keeps it but for one [`IDLE`] (and what a look takes);
//! at most [`MOST`] of a kind for each keyspace; it ends with its owner.
//!
//! # Limits
//! A version that comes and goes between two looks is not seen, and its files are deleted as if this thread were not there.
//! What fjall does under that lock besides is not changed: it syncs the list of tables, and the last table of a merge.

use crate::metric;
use crate::pace::Debt;
use crate::store::{Store, panic_text};
use fjall::{AbstractTree, Keyspace};
use smsgw_telemetry::IntCounter;
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::error;

/// Between two looks while something changes; the pause doubles up to the other while nothing does.
const BUSY: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_millis(40);
/// What is kept of one kind for a keyspace. fjall stops writers at four tables in memory; more is a version that a long
/// read holds, which is then let go of by whoever ends it.
const MOST: usize = 64;
/// Generations that may still have something in memory.
const GENERATIONS: usize = 4;

/// A table in memory. Its type has no public name.
type Memtable = Arc<dyn Any + Send + Sync>;

/// What is kept of one keyspace.
struct Watched {
    keyspace: Keyspace,
    /// The last one takes what is written now.
    tables: VecDeque<(u64, Memtable)>,
    /// By number; the last one is what counts now.
    versions: VecDeque<(u64, Box<dyn Any + Send>)>,
}

/// What of a kind was let go of.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
struct Released {
    tables: u64,
    versions: u64,
}

impl Watched {
    fn new(keyspace: Keyspace) -> Self {
        Self {
            keyspace,
            tables: VecDeque::new(),
            versions: VecDeque::new(),
        }
    }

    /// Takes a reference to what is new and gives up what nobody else has. True: something changed.
    fn look(&mut self, released: &mut Released) -> bool {
        let tree = &self.keyspace.tree;
        let (active, version) = (tree.active_memtable(), tree.current_version());
        let (before, mut changed) = (*released, false);
        if self.tables.back().is_none_or(|(id, _)| *id != active.id()) {
            self.tables.push_back((active.id(), active));
            changed = true;
        } else {
            drop(active);
        }
        let current = version.id();
        if self.versions.back().is_none_or(|(id, _)| *id != current) {
            self.versions.push_back((current, Box::new(version)));
            changed = true;
        }
        // The last one is in use, whatever its count says. Readers may have one of those in between.
        let sealed = self.tables.len().saturating_sub(1);
        let mut n = 0usize;
        self.tables.retain(|(_, table)| {
            n = n.saturating_add(1);
            let keep = n > sealed || Arc::strong_count(table) > 1;
            released.tables = released.tables.saturating_add(u64::from(!keep));
            keep
        });
        while self.tables.len() > MOST {
            self.tables.pop_front();
        }
        // The history is without gaps: what is older than it is long has left it.
        let history = u64::try_from(tree.version_free_list_len()).unwrap_or(u64::MAX);
        while self.versions.len() > MOST
            || self
                .versions
                .front()
                .is_some_and(|(id, _)| *id < current.saturating_sub(history))
        {
            self.versions.pop_front();
            released.versions = released.versions.saturating_add(1);
        }
        changed || *released != before
    }

    fn debt(&self) -> Debt {
        Debt {
            sealed: self.keyspace.sealed_memtable_count(),
            unmerged: self.keyspace.l0_table_count(),
        }
    }
}

/// All keyspaces that are written to.
struct Watch {
    fixed: Vec<Watched>,
    generations: VecDeque<(u32, Watched)>,
}

impl Watch {
    fn of(store: &Store) -> Self {
        Self {
            fixed: store.keyspaces().into_iter().cloned().map(Watched::new).collect(),
            generations: VecDeque::new(),
        }
    }

    /// Older generations are not written to; one that is dropped takes its tables in memory with it, which nobody waits for.
    fn look(&mut self, store: &Store, released: &mut Released) -> (bool, Debt) {
        let all = store.bodies.all();
        let newest = all
            .get(all.len().saturating_sub(GENERATIONS)..)
            .unwrap_or_default();
        self.generations
            .retain(|(number, _)| newest.iter().any(|there| there.number == *number));
        for there in newest {
            if !self.generations.iter().any(|(number, _)| *number == there.number) {
                let watched = Watched::new(there.keyspace.clone());
                self.generations.push_back((there.number, watched));
            }
        }
        let generations = self.generations.iter_mut().map(|(_, watched)| watched);
        let (mut busy, mut debt) = (false, Debt::default());
        for watched in self.fixed.iter_mut().chain(generations) {
            busy |= watched.look(released);
            debt = debt.most(watched.debt());
        }
        (busy, debt)
    }
}

/// How far fjall is behind, as it was a moment ago.
#[derive(Debug, Default)]
pub(crate) struct LatestDebt(AtomicU64);

/// Nobody looks any more.
const UNKNOWN: u64 = u64::MAX;

impl LatestDebt {
    fn set(&self, debt: Debt) {
        let half = |count: usize| u64::from(u16::try_from(count).unwrap_or(u16::MAX));
        self.0
            .store((half(debt.sealed) << 16) | half(debt.unmerged), Ordering::Relaxed);
    }

    fn unknown(&self) {
        self.0.store(UNKNOWN, Ordering::Relaxed);
    }

    /// `None`: the thread is gone; ask fjall.
    pub(crate) fn get(&self) -> Option<Debt> {
        let both = self.0.load(Ordering::Relaxed);
        let half = |shift: u32| usize::from(u16::try_from((both >> shift) & 0xffff).unwrap_or(u16::MAX));
        (both != UNKNOWN).then(|| Debt {
            sealed: half(16),
            unmerged: half(0),
        })
    }
}

/// The thread, as its owner has it.
#[derive(Debug)]
pub(crate) struct Release {
    debt: Arc<LatestDebt>,
    alive: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Release {
    pub(crate) fn start(store: Arc<Store>) -> io::Result<Self> {
        let (alive, owner) = sync_channel(1);
        let debt = Arc::new(LatestDebt::default());
        let thread = std::thread::Builder::new()
            .name("smsgw-release".to_owned())
            .spawn({
                let debt = debt.clone();
                move || {
                    // fjall panics where a lock of its is poisoned; the committer then meets the same.
                    let watched = catch_unwind(AssertUnwindSafe(|| run(&store, &owner, &debt)));
                    debt.unknown();
                    if let Err(panic) = watched {
                        let why = panic_text(panic.as_ref());
                        error!(why, "tables in memory are not watched any more: expect pauses");
                    }
                }
            })?;
        Ok(Self {
            debt,
            alive: Some(alive),
            thread: Some(thread),
        })
    }

    pub(crate) fn debt(&self) -> &LatestDebt {
        &self.debt
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // It catches its own panics.
            thread.join().ok();
        }
    }
}

fn run(store: &Store, owner: &Receiver<()>, debt: &LatestDebt) {
    let count = |what| -> IntCounter { metric::RELEASED_TOTAL.with(&[what]) };
    let (tables, versions) = (count("table"), count("version"));
    let mut watch = Watch::of(store);
    let mut pause = BUSY;
    loop {
        let mut released = Released::default();
        let (busy, now) = watch.look(store, &mut released);
        debt.set(now);
        tables.inc_by(released.tables);
        versions.inc_by(released.versions);
        pause = if busy {
            BUSY
        } else {
            pause.saturating_mul(2).min(IDLE)
        };
        match owner.recv_timeout(pause) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};
    use std::sync::Weak;

    /// As fjall's batches leave it: written, and a snapshot after it, which moves the horizon of what may go.
    fn write(db: &Database, keyspace: &Keyspace, value: &str) {
        keyspace.insert("key", value).unwrap();
        drop(db.snapshot());
    }

    fn tables(path: &std::path::Path) -> usize {
        std::fs::read_dir(path.join("tables")).unwrap().count()
    }

    #[test]
    fn a_table_in_memory_is_freed_here_and_not_by_fjall() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::builder(dir.path()).open().unwrap();
        let keyspace = db.keyspace("k", KeyspaceCreateOptions::default).unwrap();
        let mut watched = Watched::new(keyspace.clone());
        let mut released = Released::default();
        write(&db, &keyspace, "first");
        assert!(watched.look(&mut released), "all is new");
        let first: Weak<dyn Any + Send + Sync> = Arc::downgrade(&watched.tables.back().unwrap().1);
        keyspace.rotate_memtable_and_wait().unwrap();
        assert!(watched.look(&mut released));
        assert!(first.strong_count() > 1, "fjall still has it in its history");
        // Rotating anything lets go of what nobody can ask for any more: fjall under its lock, then this.
        for n in 0..3 {
            write(&db, &keyspace, &format!("value {n}"));
            keyspace.rotate_memtable_and_wait().unwrap();
        }
        assert_eq!(first.strong_count(), 1, "only we have it");
        watched.look(&mut released);
        assert!(first.upgrade().is_none());
        assert!(released.tables >= 1);
        for n in 0..12 {
            write(&db, &keyspace, &format!("more {n}"));
            keyspace.rotate_memtable_and_wait().unwrap();
            watched.look(&mut released);
            assert!(
                watched.tables.len() <= 4,
                "one in use, and those that fjall has not let go of"
            );
        }
        assert!(released.tables > 8, "{released:?}");
        assert!(keyspace.get("key").unwrap().is_some());
        db.persist(PersistMode::SyncAll).unwrap();
    }

    #[test]
    fn files_of_merged_tables_go_with_the_version_that_leaves_the_history() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::builder(dir.path()).open().unwrap();
        let keyspace = db.keyspace("k", KeyspaceCreateOptions::default).unwrap();
        let mut watched = Watched::new(keyspace.clone());
        let mut released = Released::default();
        for n in 0..20 {
            write(&db, &keyspace, &format!("value {n}"));
            keyspace.rotate_memtable_and_wait().unwrap();
            watched.look(&mut released);
        }
        keyspace.major_compact().unwrap();
        for n in 0..3 {
            write(&db, &keyspace, &format!("more {n}"));
            keyspace.rotate_memtable_and_wait().unwrap();
            watched.look(&mut released);
        }
        assert!(released.versions > 10, "{released:?}");
        // Merges may still be under way.
        let settled = (0..200).any(|n| {
            write(&db, &keyspace, &format!("again {n}"));
            keyspace.rotate_memtable_and_wait().unwrap();
            watched.look(&mut released);
            tables(keyspace.path()) <= keyspace.table_count() + 2
        });
        assert!(settled, "files stay: {}", tables(keyspace.path()));
    }

    #[test]
    fn the_latest_debt_is_what_was_seen_last_until_nobody_looks() {
        let latest = LatestDebt::default();
        assert_eq!(
            latest.get().map(|debt| (debt.sealed, debt.unmerged)),
            Some((0, 0))
        );
        for (sealed, unmerged) in [(0, 1), (3, 0), (4, 30), (1 << 15, 1 << 15)] {
            latest.set(Debt { sealed, unmerged });
            assert_eq!(
                latest.get().map(|debt| (debt.sealed, debt.unmerged)),
                Some((sealed, unmerged))
            );
        }
        latest.set(Debt {
            sealed: usize::MAX,
            unmerged: usize::MAX,
        });
        assert!(latest.get().is_some(), "as much as there is room for");
        latest.unknown();
        assert!(latest.get().is_none());
    }
}
