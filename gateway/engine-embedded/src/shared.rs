//! What callers and the committer share, how the engine is, and reading from the store without blocking a task.
//!
//! Invariant: poisoned and closed are for ever; whoever reads after that is told so.

use crate::ahead::Ahead;
use crate::inbox::Inbox;
use crate::leases::Leases;
use crate::lock;
use crate::logs::Logs;
use crate::look::Found;
use crate::metric;
use crate::queues::{Queues, RecordCache};
use crate::store::{ReadResult, Store};
use crate::values::Values;
use bytes::Bytes;
use smsgw_message::Clock;
use smsgw_queue::{Bounds, EngineError, Health};
use smsgw_telemetry::IntCounter;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// What callers and the committer share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) inbox: Inbox,
    pub(crate) queues: Queues,
    pub(crate) records: RecordCache,
    pub(crate) ahead: Mutex<Ahead>,
    pub(crate) bounds: RwLock<Arc<Bounds>>,
    pub(crate) values: Values,
    pub(crate) logs: Logs,
    pub(crate) leases: Leases,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) store: RwLock<Option<Arc<Store>>>,
    pub(crate) hits: CacheCounters,
}

#[derive(Debug)]
pub(crate) struct CacheCounters {
    pub(crate) record_hits: IntCounter,
    pub(crate) record_misses: IntCounter,
    pub(crate) state_hits: IntCounter,
    pub(crate) state_misses: IntCounter,
    pub(crate) log_hits: IntCounter,
    pub(crate) log_misses: IntCounter,
}

impl CacheCounters {
    pub(crate) fn new() -> Self {
        let hits = |what| metric::CACHE_HITS_TOTAL.with(&[what]);
        let misses = |what| metric::CACHE_MISSES_TOTAL.with(&[what]);
        Self {
            record_hits: hits("record"),
            record_misses: misses("record"),
            state_hits: hits("state"),
            state_misses: misses("state"),
            log_hits: hits("log"),
            log_misses: misses("log"),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("health", &*self.health.borrow())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Poisoned and closed stay what they are.
    pub(crate) fn set_health(&self, health: Health) {
        self.health.send_if_modified(|now| match now {
            Health::Ready | Health::LowSpace => std::mem::replace(now, health.clone()) != health,
            Health::Poisoned(_) | Health::Closed => false,
        });
    }

    /// A write or sync failed: nothing goes on. Returns what callers are told.
    pub(crate) fn poison(&self, cause: String) -> EngineError {
        tracing::error!(cause, "the engine is poisoned: the process must end and recover");
        self.set_health(Health::Poisoned(cause.clone()));
        let why = EngineError::Poisoned(cause);
        self.inbox.close(why.clone());
        why
    }

    pub(crate) fn refusal(&self) -> Option<EngineError> {
        match &*self.health.borrow() {
            Health::Ready | Health::LowSpace => None,
            Health::Poisoned(cause) => Some(EngineError::Poisoned(cause.clone())),
            Health::Closed => Some(EngineError::Closed),
        }
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.refusal().map_or(Ok(()), Err)
    }

    /// What may be let in, as it is set now.
    pub(crate) fn bounds(&self) -> Arc<Bounds> {
        self.bounds.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads from the store on a blocking thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> ReadResult<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner).clone();
        let store = store.ok_or(EngineError::Closed)?;
        let done = tokio::task::spawn_blocking(move || read(&store)).await;
        done.map_err(|panic| EngineError::Read(panic.to_string()))?
            .map_err(EngineError::Read)
    }

    /// Fills in what was read before; returns what is still missing, and how much to read ahead of it.
    fn take_ahead(&self, queue: u32, ids: &[u64], found: &mut [Option<Bytes>]) -> (Vec<u64>, usize) {
        let mut read_before = lock(&self.ahead);
        let mut missing = Vec::new();
        for (id, here) in ids.iter().zip(found) {
            if here.is_none() {
                *here = read_before.take(queue, *id);
            }
            if here.is_none() {
                missing.push(*id);
            }
        }
        (missing, read_before.wanted(queue))
    }

    /// Octets of records of a queue, from memory or from the store.
    pub(crate) async fn octets(&self, queue: u32, ids: &[u64]) -> Result<Vec<Found>, EngineError> {
        let mut found = self.records.get(ids.iter().copied());
        let hits = found.iter().flatten().count();
        self.hits.record_hits.inc_by(number(hits));
        if hits == ids.len() {
            return Ok(found.into_iter().flatten().map(Ok).collect());
        }
        self.hits
            .record_misses
            .inc_by(number(ids.len().saturating_sub(hits)));
        // Who reads ahead does it for all; where nothing is read ahead, nobody has to wait.
        let reading = {
            let read_before = lock(&self.ahead);
            (read_before.wanted(queue) > 0)
                .then(|| read_before.reading(queue))
                .flatten()
        };
        let (mut missing, mut ahead) = self.take_ahead(queue, ids, &mut found);
        let _reading = match &reading {
            Some(reading) if !missing.is_empty() => {
                let turn = reading.lock().await;
                (missing, ahead) = self.take_ahead(queue, ids, &mut found);
                Some(turn)
            }
            Some(_) | None => None,
        };
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().map(Ok).collect());
        }
        let (read, others) = self
            .read(move |store| {
                let together = catch_unwind(AssertUnwindSafe(|| store.records(&missing, queue, ahead)));
                match together {
                    Ok(Ok(read)) => Ok((read.records.into_iter().map(Ok).collect(), read.ahead)),
                    // One of them, or one that lies between, is damaged: each by itself.
                    Ok(Err(_)) | Err(_) => Ok((store.records_apart(&missing)?, Vec::new())),
                }
            })
            .await?;
        lock(&self.ahead).keep(queue, others.into_iter());
        let mut read = read.into_iter();
        Ok(found
            .into_iter()
            .filter_map(|here| here.map(Ok).or_else(|| read.next()))
            .collect())
    }
}

/// What a person has to know of a failed write or sync.
pub(crate) fn explained(dir: &Path, cause: &str) -> String {
    format!(
        "{}: {cause}. Nothing that was acknowledged is lost: the next start recovers it. When it repeats, look at the disk",
        dir.display()
    )
}

pub(crate) fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
