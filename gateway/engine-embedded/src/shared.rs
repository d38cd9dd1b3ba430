//! What callers and the committer share, how the engine is, and reading from the store without blocking a task.
//!
//! Invariant: poisoned and closed are for ever; whoever reads after that is told so.

use crate::inbox::Inbox;
use crate::leases::Leases;
use crate::logs::Logs;
use crate::metric;
use crate::queues::{Queues, RecordCache};
use crate::store::{ReadResult, Store};
use crate::values::Values;
use bytes::Bytes;
use smsgw_message::Clock;
use smsgw_queue::{EngineError, Health};
use smsgw_telemetry::IntCounter;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// What callers and the committer share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) inbox: Inbox,
    pub(crate) queues: Queues,
    pub(crate) records: RecordCache,
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

    /// Octets of records, from memory or from the store.
    pub(crate) async fn octets(&self, ids: &[u64]) -> Result<Vec<Bytes>, EngineError> {
        let found = self.records.get(ids.iter().copied());
        let missing: Vec<u64> = ids
            .iter()
            .zip(&found)
            .filter(|(_, here)| here.is_none())
            .map(|(id, _)| *id)
            .collect();
        self.hits
            .record_hits
            .inc_by(number(ids.len().saturating_sub(missing.len())));
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        self.hits.record_misses.inc_by(number(missing.len()));
        let mut read = self.read(move |store| store.records(&missing)).await?.into_iter();
        Ok(found
            .into_iter()
            .filter_map(|here| here.or_else(|| read.next()))
            .collect())
    }
}

pub(crate) fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
