//! The desired set of a supervisor's children and what each is doing.
//!
//! Shared between the supervisor's actor, which acts on it, and the handles, which change and read it. The lock is
//! held for moments and never over an await. Knows no strategy.
//!
//! Invariant: an entry lives until it is removed or, being temporary, has ended; names are unique.

use super::actor::Message;
use super::channels::Channels;
use super::mailbox::Mailbox;
use super::spec::{ChildSpec, Intensity, Start, Strategy};
use super::status::{ChildState, TreeStatus};
use crate::clock::SystemClock;
use smsgw_message::{Clock, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a killed child may take to end before it is abandoned.
pub(super) const KILL_GRACE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) strategy: Strategy,
    table: Mutex<Table>,
}

#[derive(Debug)]
pub(super) struct Table {
    /// The actor that acts on this table, while there is one.
    pub(super) mailbox: Option<Mailbox<Message>>,
    /// The supervisor's own state; changed by [`Table::enter`].
    pub(super) state: ChildState,
    since: Timestamp,
    pub(super) intensity: Intensity,
    pub(super) starts: u64,
    /// Sorted by rank, then age.
    pub(super) entries: Vec<Entry>,
    next_key: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) spec: ChildSpec,
    pub(super) rank: u32,
    /// Changed by [`Entry::enter`].
    pub(super) state: ChildState,
    since: Timestamp,
    pub(super) restarts: u64,
    pub(super) last_failure: Option<Failure>,
    /// The channels that the present life of the child shows.
    pub(super) channels: Arc<Channels>,
    /// Starts without waiting for lower ranks.
    pub(super) at_once: bool,
    /// Failures in a row, for the backoff.
    pub(super) failures: u32,
    pub(super) ready_since: Option<Instant>,
    /// End of the pause while backing off.
    pub(super) due: Option<Instant>,
    /// The same for people; of no meaning in another state.
    pub(super) restart_at: Option<Timestamp>,
    /// Somebody waits until the entry is gone.
    pub(super) removal: Option<Vec<oneshot::Sender<()>>>,
}

/// How a child failed last.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    reason: String,
    at: Timestamp,
}

impl Failure {
    /// Longest reason that is kept, in characters: an error may carry as much text as it likes.
    const LONGEST: usize = 500;

    pub(super) fn new(reason: String) -> Self {
        let reason = match reason.char_indices().nth(Self::LONGEST) {
            Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
            None => reason,
        };
        Self {
            reason,
            at: SystemClock.now(),
        }
    }
}

impl Shared {
    pub(super) fn new(name: String, strategy: Strategy) -> Self {
        let table = Table {
            mailbox: None,
            state: ChildState::Waiting,
            since: SystemClock.now(),
            intensity: Intensity::default(),
            starts: 0,
            entries: Vec::new(),
            next_key: 0,
        };
        Self {
            name,
            strategy,
            table: Mutex::new(table),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        // No code that can panic changes the table half way, so a poisoned lock still holds a whole table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest an orderly end of everything below may take.
    pub(super) fn shutdown_budget(&self, drain: bool) -> Duration {
        let mut ranks: BTreeMap<u32, Duration> = BTreeMap::new();
        for entry in &self.lock().entries {
            let own = match &entry.spec.start {
                Start::Task(_) => {
                    let drain = if drain {
                        entry.spec.drain_timeout
                    } else {
                        Duration::ZERO
                    };
                    drain.saturating_add(entry.spec.stop_timeout)
                }
                Start::Supervisor(below) => below.shutdown_budget(drain),
            };
            let slowest = ranks.entry(entry.rank).or_default();
            *slowest = (*slowest).max(own.saturating_add(KILL_GRACE));
        }
        ranks
            .values()
            .fold(KILL_GRACE, |sum, rank| sum.saturating_add(*rank))
    }

    pub(super) fn status(&self) -> TreeStatus {
        let table = self.lock();
        TreeStatus {
            name: self.name.clone(),
            kind: "supervisor",
            state: table.state,
            since: table.since,
            restart_at: None,
            restarts: table.starts.saturating_sub(1),
            last_error: None,
            failed_at: None,
            mailbox: Some(table.waiting()),
            channels: Vec::new(),
            children: table.entries.iter().map(Entry::status).collect(),
        }
    }
}

impl Table {
    /// Adds an entry, or gives the name back when it is taken.
    pub(super) fn insert(
        &mut self,
        spec: ChildSpec,
        strategy: Strategy,
        at_once: bool,
    ) -> Result<(), String> {
        if self.entries.iter().any(|entry| entry.spec.name == spec.name) {
            return Err(spec.name);
        }
        let rank = match (spec.order, strategy) {
            (Some(order), _) => order,
            (None, Strategy::OneForOne) => 0,
            (None, Strategy::RestForOne) => self.entries.last().map_or(0, |last| last.rank.saturating_add(1)),
        };
        let at = self.entries.partition_point(|entry| entry.rank <= rank);
        let key = self.next_key;
        self.next_key += 1;
        let entry = Entry {
            key,
            spec,
            rank,
            state: ChildState::Waiting,
            since: SystemClock.now(),
            restarts: 0,
            last_failure: None,
            channels: Arc::default(),
            at_once,
            failures: 0,
            ready_since: None,
            due: None,
            restart_at: None,
            removal: None,
        };
        self.entries.insert(at, entry);
        Ok(())
    }

    pub(super) fn entry(&mut self, key: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    /// Takes the entry out and tells whoever waits for that.
    pub(super) fn delete(&mut self, key: u64) {
        let Some(at) = self.entries.iter().position(|entry| entry.key == key) else {
            return;
        };
        let entry = self.entries.remove(at);
        for waiting in entry.removal.into_iter().flatten() {
            // The owner may have stopped waiting.
            waiting.send(()).ok();
        }
    }

    /// Tells the actor, if there is one, that the table changed.
    pub(super) fn notify(&self) -> bool {
        self.post(Message::Changed)
    }

    /// Sends to the actor; false when there is none.
    pub(super) fn post(&self, message: Message) -> bool {
        self.mailbox.as_ref().is_some_and(|mailbox| mailbox.post(message))
    }

    pub(super) fn enter(&mut self, state: ChildState) {
        if self.state != state {
            self.state = state;
            self.since = SystemClock.now();
        }
    }

    /// Messages that wait for the actor.
    fn waiting(&self) -> u64 {
        self.mailbox.as_ref().map_or(0, Mailbox::depth)
    }
}

impl Entry {
    pub(super) fn enter(&mut self, state: ChildState) {
        if self.state != state {
            self.state = state;
            self.since = SystemClock.now();
        }
    }

    fn status(&self) -> TreeStatus {
        let (mailbox, children) = match &self.spec.start {
            Start::Task(_) => (None, Vec::new()),
            Start::Supervisor(below) => {
                let below = below.status();
                (below.mailbox, below.children)
            }
        };
        let backs_off = self.state == ChildState::BackingOff;
        TreeStatus {
            name: self.spec.name.clone(),
            kind: self.spec.kind,
            state: self.state,
            since: self.since,
            restart_at: self.restart_at.filter(|_| backs_off),
            restarts: self.restarts,
            last_error: self.last_failure.as_ref().map(|failure| failure.reason.clone()),
            failed_at: self.last_failure.as_ref().map(|failure| failure.at),
            mailbox,
            channels: if self.state.is_live() {
                self.channels.status()
            } else {
                Vec::new()
            },
            children,
        }
    }
}
