//! A thread for what waits for the disk and must not keep the committer waiting: making and dropping keyspaces of
//! generations, and reading what is left of one.
//!
//! It has one task at a time and decides nothing. Invariant: it ends with its owner; what it did is durable when it
//! says so.

use crate::bodies::Generation;
use crate::format::{GONE_HEAD, chunk_key, decode_chunk_key};
use crate::store::{Store, in_words, panic_text};
use fjall::{Keyspace, UserValue};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Records that are read at once, and their octets.
const PORTION: usize = 512;
const OCTETS: usize = 256 * 1024;

/// What it is to do.
#[derive(Debug)]
pub(crate) enum Task {
    /// Make the keyspace of a generation.
    Make(u32),
    /// Read some of the records that are left of a generation.
    Read(Arc<Generation>),
    /// Drop the keyspace of a generation of which nothing counts.
    Drop(Arc<Generation>),
}

/// Records that are left of a generation.
#[derive(Debug)]
pub(crate) struct Portion {
    pub(crate) generation: Arc<Generation>,
    pub(crate) records: Vec<(u64, UserValue)>,
    /// All that are left before this one are here.
    pub(crate) until: u64,
}

/// What it did.
pub(crate) enum Done {
    Made(u32, Keyspace),
    Read(Portion),
    /// Something of the generation cannot be read; why.
    Unreadable(Arc<Generation>, String),
    /// With the chunks of marks that are left of it.
    Dropped(u32, Vec<u32>),
    /// The disk or the library refuses; why.
    Failed(String),
}

/// The thread, as its owner has it.
#[derive(Debug)]
pub(crate) struct Keeper {
    tasks: Option<SyncSender<Task>>,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
}

impl Keeper {
    pub(crate) fn start(store: Arc<Store>) -> io::Result<Self> {
        let (tasks, inbox) = sync_channel(1);
        let (outbox, done) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("smsgw-keeper".to_owned())
            .spawn(move || {
                while let Ok(task) = inbox.recv() {
                    if outbox.send(perform(&store, task)).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self {
            tasks: Some(tasks),
            done,
            thread: Some(thread),
            busy: false,
        })
    }

    /// What is done since the last time.
    pub(crate) fn take(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.busy = false;
        Some(done)
    }

    pub(crate) fn is_free(&self) -> bool {
        !self.busy
    }

    /// Gives it a task. It has to be free.
    pub(crate) fn give(&mut self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // A thread that is gone was told so by a panic, which stands in the log; nothing is lost but room on the disk.
            self.busy = tasks.try_send(task).is_ok();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.tasks = None;
        while self.done.recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            // It catches its own panics.
            thread.join().ok();
        }
    }
}

fn perform(store: &Store, task: Task) -> Done {
    let failed = |what: &str, number: u32, error: &fjall::Error| {
        Done::Failed(format!("{what} generation {number}: {}", in_words(error)))
    };
    match task {
        Task::Make(number) => match store.generation_keyspace(number) {
            Ok(keyspace) => Done::Made(number, keyspace),
            Err(error) => failed("make", number, &error),
        },
        Task::Read(generation) => {
            // fjall panics at some kinds of damage.
            let read = catch_unwind(AssertUnwindSafe(|| read(&generation)));
            match read.unwrap_or_else(|panic| Err(panic_text(panic.as_ref()))) {
                Ok((records, until)) => Done::Read(Portion {
                    generation,
                    records,
                    until,
                }),
                Err(why) => Done::Unreadable(generation, why),
            }
        }
        Task::Drop(generation) => {
            let number = generation.number;
            let dropped = store
                .db
                .delete_keyspace(generation.keyspace.clone())
                .and_then(|()| chunks(store, number));
            match dropped {
                Ok(chunks) => Done::Dropped(number, chunks),
                Err(error) => failed("drop", number, &error),
            }
        }
    }
}

fn read(generation: &Generation) -> Result<(Vec<(u64, UserValue)>, u64), String> {
    let (mut records, mut octets) = (Vec::new(), 0usize);
    for id in generation.left() {
        let entry = generation
            .keyspace
            .get(id.to_be_bytes())
            .map_err(|error| in_words(&error))?;
        let Some(entry) = entry else {
            // It may have gone since it was looked for.
            if generation.is_gone(id) {
                continue;
            }
            return Err(format!("record {id} is missing"));
        };
        octets = octets.saturating_add(entry.len());
        records.push((id, entry));
        if records.len() >= PORTION || octets >= OCTETS {
            return Ok((records, id.saturating_add(1)));
        }
    }
    Ok((records, generation.end()))
}

/// Chunks of marks of a generation that lie on the disk.
pub(crate) fn chunks(store: &Store, number: u32) -> fjall::Result<Vec<u32>> {
    let end = number.checked_add(1).map_or(GONE_HEAD, |next| chunk_key(next, 0));
    let keys = store.gone.range(chunk_key(number, 0)..end);
    let mut chunks = Vec::new();
    for item in keys {
        if let Ok((_, chunk)) = decode_chunk_key(&item.key()?) {
            chunks.push(chunk);
        }
    }
    Ok(chunks)
}
