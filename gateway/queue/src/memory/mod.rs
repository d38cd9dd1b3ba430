//! The engine for tests: the full contract in memory, durable as long as the value lives.
//!
//! Everything that time does (deferred records, alarms, expiry, retention) is done when somebody asks: each call looks
//! at the clock first, and a call that waits sleeps until the next thing is due. There is no task behind it. A test that
//! moves its clock by hand calls [`MemoryEngine::tick`] afterwards; one whose clock follows tokio's (paused) time
//! needs nothing.
//!
//! Invariants: a step is applied under one lock, so nobody sees half of it; what `commit` answered survives
//! [`MemoryEngine::reopen`].
//!
//! # Limits
//! One lock for everything, and every change wakes every waiting call: enough for tests, not for a gateway.

mod core;
mod log;
mod queue;
mod state;

use self::core::Core;
use crate::bound::Bounds;
use crate::delivery::{Delivery, Depth, Entry, Lease, LeaseHome, Position, Versioned};
use crate::engine::{BoxFuture, Committed, Engine, Health, Want};
use crate::error::{CommitError, CommitErrorKind, EngineError};
use crate::look::{DeadLetters, Held, Look, Page};
use crate::metric;
use crate::name::{LogName, QueueName, StateKey};
use crate::step::Step;
use smsgw_message::{Clock, Timestamp};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long dead letters and corrupt records are kept unless said otherwise.
pub const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The engine for tests.
pub struct MemoryEngine {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    core: Mutex<Core>,
    /// Something changed that a waiting call may be waiting for.
    changed: Notify,
}

impl MemoryEngine {
    /// An empty engine that keeps dead letters for seven days.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_retention(clock, DEAD_LETTER_RETENTION)
    }

    /// An empty engine that keeps dead letters for this long.
    pub fn with_retention(clock: Arc<dyn Clock>, retention: Duration) -> Arc<Self> {
        Self::over(clock, Core::new(retention))
    }

    fn over(clock: Arc<dyn Clock>, core: Core) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(Shared {
                clock,
                core: Mutex::new(core),
                changed: Notify::new(),
            }),
        })
    }

    /// What a new process finds after this one was killed: everything committed; what was under lease is ready and
    /// marked. This engine is closed by it, and leases of it are good for nothing.
    pub fn reopen(&self) -> Arc<Self> {
        let now = self.shared.clock.now();
        let core = self.shared.lock().recover(now);
        self.shared.changed.notify_waiters();
        Self::over(Arc::clone(&self.shared.clock), core)
    }

    /// Looks at the clock: for tests that move it by hand while calls wait.
    pub fn tick(&self) {
        drop(self.shared.at_now());
        self.shared.changed.notify_waiters();
    }
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEngine")
            .field("clock", &self.shared.clock)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        // A test that panicked inside (an assertion of ours) has failed anyway.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The core after everything that is due by now.
    fn at_now(&self) -> (MutexGuard<'_, Core>, Timestamp) {
        let now = self.clock.now();
        let mut core = self.lock();
        if !core.closed && core.advance(now) {
            self.changed.notify_waiters();
        }
        (core, now)
    }

    /// Asks `look` until it has something, at most for `wait`. It is asked at every change and whenever something is
    /// due.
    async fn wait_for<T>(
        &self,
        wait: Duration,
        mut look: impl FnMut(&mut Core) -> Option<T>,
    ) -> Result<Option<T>, EngineError> {
        let deadline = tokio::time::sleep(wait);
        let mut deadline = std::pin::pin!(deadline);
        let mut last = wait.is_zero();
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Before looking: a change between the look and the wait must not be missed.
            changed.as_mut().enable();
            let due_in = {
                let (mut core, now) = self.at_now();
                if core.closed {
                    return Err(EngineError::Closed);
                }
                if let Some(found) = look(&mut core) {
                    return Ok(Some(found));
                }
                core.next_time()
                    .map(|at| at.since(now).max(Duration::from_millis(1)))
            };
            if last {
                return Ok(None);
            }
            let due = async {
                match due_in {
                    Some(due_in) => tokio::time::sleep(due_in).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = due => {}
                () = &mut deadline => last = true,
            }
        }
    }
}

impl LeaseHome for Shared {
    fn abandoned(&self, lease: Lease) {
        let mut core = self.lock();
        if core.closed {
            return;
        }
        if let Some(queue) = core.queues.get_mut(&lease.queue)
            && queue.index.abandon(&lease)
        {
            metric::abandoned(&lease.queue);
            self.changed.notify_waiters();
        }
    }
}

impl Engine for MemoryEngine {
    fn commit(&self, steps: Vec<Step>) -> BoxFuture<'_, Vec<Result<Committed, CommitError>>> {
        Box::pin(async move {
            // A call that never waits would keep its thread from the other tasks of a test.
            tokio::task::consume_budget().await;
            let (mut core, now) = self.shared.at_now();
            if core.closed {
                let closed = |step: &Step| {
                    Err(CommitError {
                        step: step.id(),
                        kind: CommitErrorKind::Engine(EngineError::Closed),
                    })
                };
                return steps.iter().map(closed).collect();
            }
            let answers = steps.into_iter().map(|step| core.commit(step, now)).collect();
            core.advance(now);
            drop(core);
            self.shared.changed.notify_waiters();
            answers
        })
    }

    fn checkout(&self, queue: &QueueName, want: Want) -> BoxFuture<'_, Result<Vec<Delivery>, EngineError>> {
        let name = queue.clone();
        Box::pin(async move {
            tokio::task::consume_budget().await;
            let wait = if want.max == 0 { Duration::ZERO } else { want.wait };
            let found = self
                .shared
                .wait_for(wait, |core| {
                    let leased = core.checkout(&name, &want);
                    (!leased.is_empty()).then_some(leased)
                })
                .await?;
            let deliveries = found.unwrap_or_default().into_iter().map(|(leased, record)| {
                let lease = Lease {
                    queue: name.clone(),
                    record: leased.id,
                    token: leased.token,
                };
                let home = Arc::clone(&self.shared) as Arc<dyn LeaseHome>;
                Delivery::new(
                    home,
                    lease,
                    leased.lane,
                    record,
                    leased.attempt,
                    leased.leased_before,
                    leased.published_at,
                )
            });
            Ok(deliveries.collect())
        })
    }

    fn read(
        &self,
        log: &LogName,
        from: Position,
        max: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Entry>, EngineError>> {
        let log = log.clone();
        Box::pin(async move {
            tokio::task::consume_budget().await;
            let wait = if max == 0 { Duration::ZERO } else { wait };
            let found = self
                .shared
                .wait_for(wait, |core| {
                    let entries = core.read(&log, from, max);
                    (!entries.is_empty()).then_some(entries)
                })
                .await?;
            Ok(found.unwrap_or_default())
        })
    }

    fn position(&self, log: &LogName, reader: &'static str) -> BoxFuture<'_, Result<Position, EngineError>> {
        let log = log.clone();
        Box::pin(async move {
            let (core, _) = self.shared.at_now();
            if core.closed {
                return Err(EngineError::Closed);
            }
            Ok(core
                .logs
                .get(&log)
                .map(|log| log.position(reader))
                .unwrap_or_default())
        })
    }

    fn get(&self, keys: Vec<StateKey>) -> BoxFuture<'_, Result<Vec<Option<Versioned>>, EngineError>> {
        Box::pin(async move {
            let (core, now) = self.shared.at_now();
            if core.closed {
                return Err(EngineError::Closed);
            }
            Ok(keys.iter().map(|key| core.get(key, now)).collect())
        })
    }

    fn depth(&self, queue: &QueueName) -> Depth {
        let (core, _) = self.shared.at_now();
        core.queues
            .get(queue)
            .map(|queue| queue.index.depth())
            .unwrap_or_default()
    }

    fn queues(&self) -> Vec<(QueueName, Depth)> {
        let (core, _) = self.shared.at_now();
        core.queues
            .iter()
            .map(|(name, queue)| (name.clone(), queue.index.depth()))
            .collect()
    }

    fn look(&self, queue: &QueueName, look: Look) -> BoxFuture<'_, Result<Page, EngineError>> {
        let queue = queue.clone();
        Box::pin(async move {
            let (core, _) = self.shared.at_now();
            if core.closed {
                return Err(EngineError::Closed);
            }
            Ok(core.look(&queue, &look))
        })
    }

    fn dead_letters(&self, queue: &QueueName) -> Vec<DeadLetters> {
        let (core, _) = self.shared.at_now();
        let queue = core.queues.get(queue);
        queue.map(|queue| queue.index.dead_letters()).unwrap_or_default()
    }

    fn holds(&self, queue: &QueueName) -> Vec<Held> {
        let (core, _) = self.shared.at_now();
        let queue = core.queues.get(queue);
        queue.map(|queue| queue.index.holds()).unwrap_or_default()
    }

    fn log_end(&self, log: &LogName) -> Position {
        let (core, _) = self.shared.at_now();
        core.logs
            .get(log)
            .map(|log| Position(log.end()))
            .unwrap_or_default()
    }

    fn set_bounds(&self, bounds: Bounds) {
        self.shared.lock().bounds = bounds;
        self.tick();
    }

    fn bounds(&self) -> Bounds {
        self.shared.lock().bounds.clone()
    }

    fn health(&self) -> Health {
        if self.shared.lock().closed {
            Health::Closed
        } else {
            Health::Ready
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            self.shared.lock().closed = true;
            self.shared.changed.notify_waiters();
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
