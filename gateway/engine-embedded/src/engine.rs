//! The engine as nodes see it: opening, the calls of the contract, closing.
//!
//! Calls that find what they want in memory never leave their thread; what is on the disk is read on tokio's blocking
//! threads. Invariant: a record is handed out only after its lease mark is with the operating system; a checkout whose
//! future is dropped in between puts its records back.

use crate::config::{EmbeddedConfig, OpenError, OpenErrorKind};
use crate::inbox::{Inbox, PORTION, Request};
use crate::keeper::Keeper;
use crate::lock;
use crate::lock::DirLock;
use crate::logs::Found;
use crate::metric;
use crate::queues::{QueueCell, RecordCache};
use crate::recover::recover;
use crate::release::Release;
use crate::shared::{CacheCounters, Shared, explained, number};
use crate::space::SpaceProbe;
use crate::store::{ReadResult, Store};
use crate::turnover::Turnover;
use crate::values::{Cached, Values};
use crate::work::{Continue, Work};
use crate::young;
use smsgw_message::{Clock, Timestamp};
use smsgw_queue::index::Leased;
use smsgw_queue::{
    Bounds, BoxFuture, CommitError, Committed, DeadLetters, Delivery, Depth, Engine, EngineError, Entry,
    Health, Held, Lease, LeaseHome, LogName, Look, Page, Position, QueueName, StateKey, Step, Versioned,
    Want,
};
use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How long a checkout sleeps at most while a deferred record waits: wall time may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Records that were leased and are not yet deliveries: put back when the checkout ends here.
struct Taken<'a> {
    cell: &'a Arc<QueueCell>,
    leased: Vec<Leased>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.leased.is_empty() {
            return;
        }
        let mut index = lock(&self.cell.index);
        // Last first, so that each is in front of those behind it.
        for leased in self.leased.drain(..).rev() {
            index.put_back(leased.id, leased.token);
        }
        drop(index);
        self.cell.changed.notify_waiters();
    }
}

/// The engine contract on one fjall database.
pub struct EmbeddedEngine {
    pub(crate) shared: Arc<Shared>,
    committer: Mutex<Option<JoinHandle<()>>>,
    dir: std::path::PathBuf,
}

impl fmt::Debug for EmbeddedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedEngine")
            .field("dir", &self.dir)
            .field("health", &*self.shared.health.borrow())
            .finish_non_exhaustive()
    }
}

impl EmbeddedEngine {
    /// Opens the directory and recovers what is in it. Blocks until that is done.
    pub fn open(config: EmbeddedConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        Self::open_with_probe(config, clock, SpaceProbe::system())
    }

    /// As [`EmbeddedEngine::open`], asking another one how much disk is free.
    pub fn open_with_probe(
        config: EmbeddedConfig,
        clock: Arc<dyn Clock>,
        probe: SpaceProbe,
    ) -> Result<Arc<Self>, OpenError> {
        let dir = config.dir.clone();
        Self::try_open(config, clock, probe).map_err(|kind| OpenError { dir, kind })
    }

    fn try_open(
        config: EmbeddedConfig,
        clock: Arc<dyn Clock>,
        probe: SpaceProbe,
    ) -> Result<Arc<Self>, OpenErrorKind> {
        let start = clock.instant();
        fs::create_dir_all(&config.dir).map_err(OpenErrorKind::io("create the directory"))?;
        let lock = DirLock::acquire(&config.dir)?;
        let store = Store::open(&config, lock)?;
        let (next_young, broken) = young::settle(&store, false)?;
        if let Some(why) = broken.first() {
            return Err(OpenErrorKind::damaged("what was written last", why));
        }
        let mut recovered = recover(&store, &config, clock.now())?;
        let rest = Continue::of(&mut recovered, next_young);
        let store = Arc::new(store);
        let keeper = Keeper::start(store.clone()).map_err(OpenErrorKind::io("start the keeper"))?;
        let release = Release::start(store.clone()).map_err(OpenErrorKind::io("start the release thread"))?;
        let turnover = Turnover::new(
            store.bodies.all(),
            recovered.next_generation,
            keeper,
            config.generation.max(1024 * 1024),
        );
        let shared = Arc::new(Shared {
            inbox: Inbox::new(config.max_waiting),
            queues: recovered.queues,
            records: RecordCache::new(config.record_cache),
            ahead: Mutex::default(),
            bounds: RwLock::new(Arc::new(config.bounds.clone())),
            values: Values::new(config.state_cache, store.db.snapshot()),
            logs: recovered.logs,
            leases: recovered.leases,
            health: watch::Sender::new(Health::Ready),
            store: RwLock::new(Some(store.clone())),
            hits: CacheCounters::new(),
            clock,
        });
        let dir = config.dir.clone();
        let work = Work::new(shared.clone(), store, config, probe, rest, turnover, release);
        let committer = std::thread::Builder::new()
            .name("smsgw-committer".to_owned())
            .spawn(move || work.run())
            .map_err(OpenErrorKind::io("start the committer"))?;
        let took = shared.clock.instant().saturating_duration_since(start);
        tracing::info!(dir = %dir.display(), ?took, "engine open");
        Ok(Arc::new(Self {
            shared,
            committer: Mutex::new(Some(committer)),
            dir,
        }))
    }

    /// Waits until the engine is poisoned and says why. The process must end then. Never returns for an engine that
    /// is closed in order.
    pub async fn poisoned(&self) -> String {
        let mut health = self.shared.health.subscribe();
        loop {
            if let Health::Poisoned(cause) = &*health.borrow_and_update() {
                return cause.clone();
            }
            if health.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Makes the engine look at its clock now and returns when it has done what is due. For tests that move the
    /// clock by hand; time that passes by itself needs no help.
    pub async fn tick(&self) {
        self.commit(Vec::new()).await;
        for cell in self.shared.queues.all() {
            cell.changed.notify_waiters();
        }
    }

    /// Ends the committer; what waited in the inbox is done before.
    fn stop(shared: &Shared, committer: Option<JoinHandle<()>>) {
        shared.inbox.close(EngineError::Closed);
        if let Some(committer) = committer {
            // It catches its own panics.
            committer.join().ok();
        }
        shared.set_health(Health::Closed);
    }

    async fn wait_for_change(
        &self,
        changed: impl Future<Output = ()>,
        due: Option<Timestamp>,
        deadline: tokio::time::Instant,
    ) -> bool {
        let due_in = due.map_or(LOOK_AGAIN * 3600, |due| {
            due.since(self.shared.clock.now())
                .clamp(Duration::from_millis(1), LOOK_AGAIN)
        });
        let mut health = self.shared.health.subscribe();
        let ended = async {
            let over = |now: &Health| matches!(now, Health::Poisoned(_) | Health::Closed);
            // The sender lives as long as the engine.
            health.wait_for(over).await.ok();
        };
        tokio::select! {
            () = changed => true,
            () = ended => true,
            () = tokio::time::sleep(due_in) => true,
            () = tokio::time::sleep_until(deadline) => false,
        }
    }

    async fn take(&self, name: &QueueName, want: Want) -> Result<Vec<Delivery>, EngineError> {
        let cell = self.shared.queues.cell(name);
        let deadline = tokio::time::Instant::now() + want.wait;
        let mut time_is_up = want.max == 0 || want.wait.is_zero();
        loop {
            let changed = cell.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Before looking: a change between the look and the wait must not be missed.
            changed.as_mut().enable();
            self.shared.check()?;
            let (leased, due) = {
                let mut index = lock(&cell.index);
                index.due(self.shared.clock.now());
                (
                    index.checkout_within(want.max, want.max_octets, &want.flows),
                    index.next_due(),
                )
            };
            if !leased.is_empty() {
                let deliveries = self.deliver(Taken { cell: &cell, leased }).await?;
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
                // Nothing of it could be read back: what is behind it is next.
                continue;
            }
            if time_is_up {
                return Ok(Vec::new());
            }
            time_is_up = !self.wait_for_change(changed, due, deadline).await;
        }
    }

    async fn deliver(&self, mut taken: Taken<'_>) -> Result<Vec<Delivery>, EngineError> {
        let ids: Vec<u64> = taken.leased.iter().map(|leased| leased.id.as_u64()).collect();
        if let Err(error) = self.shared.leases.mark(ids.iter().copied()) {
            return Err(self
                .shared
                .poison(explained(&self.dir, &format!("lease mark: {error}"))));
        }
        let octets = self.shared.octets(taken.cell.number(), &ids).await?;
        let home = Arc::clone(taken.cell) as Arc<dyn LeaseHome>;
        let leased = std::mem::take(&mut taken.leased);
        let mut damaged = Vec::new();
        let deliveries: Vec<Delivery> = leased
            .into_iter()
            .zip(octets)
            .filter_map(|(leased, found)| {
                let octets = match found {
                    Ok(octets) => octets,
                    Err(damage) => {
                        damaged.push((leased, damage));
                        return None;
                    }
                };
                let lease = Lease {
                    queue: taken.cell.name.clone(),
                    record: leased.id,
                    token: leased.token,
                };
                Some(Delivery::new(
                    home.clone(),
                    lease,
                    leased.lane,
                    octets,
                    leased.attempt,
                    leased.leased_before,
                    leased.published_at,
                ))
            })
            .collect();
        if !damaged.is_empty() {
            self.set_aside(taken.cell, damaged).await;
        }
        Ok(deliveries)
    }

    async fn read_log(
        &self,
        name: &LogName,
        from: Position,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Entry>, EngineError> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut time_is_up = max == 0 || wait.is_zero();
        loop {
            let begun = self.shared.logs.begun.notified();
            let mut begun = std::pin::pin!(begun);
            begun.as_mut().enable();
            self.shared.check()?;
            let Some(cell) = self.shared.logs.find(name) else {
                if time_is_up {
                    return Ok(Vec::new());
                }
                time_is_up = !self.wait_for_change(begun, None, deadline).await;
                continue;
            };
            let grown = cell.grown.notified();
            let mut grown = std::pin::pin!(grown);
            grown.as_mut().enable();
            // The lock ends with the statement.
            let found = lock(&cell.state).read(from.0, max);
            match found {
                Found::Entries(entries) => {
                    self.shared.hits.log_hits.inc();
                    return Ok(entries);
                }
                Found::OnDisk { from, end } => {
                    self.shared.hits.log_misses.inc();
                    let log = cell.number;
                    let entries = self
                        .shared
                        .read(move |store| store.entries(log, from, end, max))
                        .await?;
                    if !entries.is_empty() {
                        return Ok(entries);
                    }
                    // Trimmed meanwhile: then the log begins later now.
                    if lock(&cell.state).first <= from {
                        return Err(EngineError::Read(format!(
                            "entry {from} of log {name} is missing"
                        )));
                    }
                }
                Found::Nothing if time_is_up => return Ok(Vec::new()),
                Found::Nothing => time_is_up = !self.wait_for_change(grown, None, deadline).await,
            }
        }
    }

    async fn get_values(&self, keys: Vec<StateKey>) -> Result<Vec<Option<Versioned>>, EngineError> {
        self.shared.check()?;
        let now = self.shared.clock.now();
        let visible = |value: Option<Arc<crate::format::Value>>| {
            value
                .filter(|value| !value.expired(now))
                .map(|value| value.versioned())
        };
        let (found, seen) = self.shared.values.get(&keys);
        let unknown: Vec<StateKey> = keys
            .into_iter()
            .zip(&found)
            .filter(|(_, found)| matches!(found, Cached::Unknown))
            .map(|(key, _)| key)
            .collect();
        self.shared
            .hits
            .state_hits
            .inc_by(number(found.len().saturating_sub(unknown.len())));
        let mut read = Vec::new();
        if !unknown.is_empty() {
            self.shared.hits.state_misses.inc_by(number(unknown.len()));
            let moment = seen.clone();
            read = self
                .shared
                .read(move |store| {
                    let values = unknown.into_iter().map(|key| {
                        let value = store.value_at(&moment.snapshot, &key)?;
                        Ok((key, value))
                    });
                    values.collect::<ReadResult<Vec<_>>>()
                })
                .await?;
            self.shared.values.found(read.iter().cloned(), &seen);
        }
        let mut read = read.into_iter().map(|(_, value)| value);
        let values = found.into_iter().map(|found| match found {
            Cached::Here(value) => visible(value),
            Cached::Unknown => visible(read.next().flatten()),
        });
        Ok(values.collect())
    }
}

impl Engine for EmbeddedEngine {
    fn commit(&self, steps: Vec<Step>) -> BoxFuture<'_, Vec<Result<Committed, CommitError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(steps.len());
            let mut portions = Vec::with_capacity(steps.len().div_ceil(PORTION));
            for (round, steps) in (0..).zip(in_portions(steps)) {
                let ids: Vec<_> = steps.iter().map(Step::id).collect();
                let (answer, answered) = oneshot::channel();
                let request = Request {
                    steps,
                    answer,
                    since: self.shared.clock.instant(),
                };
                let put = self.shared.inbox.put(request, round).await;
                portions.push((ids, put.map(|()| answered)));
            }
            for (ids, put) in portions {
                let why = match put {
                    Ok(answered) => match answered.await {
                        Ok(answer) => {
                            answers.extend(answer);
                            continue;
                        }
                        Err(_) => self.shared.refusal().unwrap_or(EngineError::Closed),
                    },
                    Err(why) => why,
                };
                answers.extend(ids.into_iter().map(|step| {
                    Err(CommitError {
                        step,
                        kind: why.clone().into(),
                    })
                }));
            }
            answers
        })
    }

    fn checkout(&self, queue: &QueueName, want: Want) -> BoxFuture<'_, Result<Vec<Delivery>, EngineError>> {
        let queue = queue.clone();
        Box::pin(async move { self.take(&queue, want).await })
    }

    fn read(
        &self,
        log: &LogName,
        from: Position,
        max: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Entry>, EngineError>> {
        let log = log.clone();
        Box::pin(async move { self.read_log(&log, from, max, wait).await })
    }

    fn position(&self, log: &LogName, reader: &'static str) -> BoxFuture<'_, Result<Position, EngineError>> {
        let log = log.clone();
        Box::pin(async move {
            self.shared.check()?;
            let Some(cell) = self.shared.logs.find(&log) else {
                return Ok(Position::default());
            };
            let state = lock(&cell.state);
            Ok(Position(
                state.readers.get(reader).copied().unwrap_or(state.first),
            ))
        })
    }

    fn get(&self, keys: Vec<StateKey>) -> BoxFuture<'_, Result<Vec<Option<Versioned>>, EngineError>> {
        Box::pin(self.get_values(keys))
    }

    fn depth(&self, queue: &QueueName) -> Depth {
        let Some(cell) = self.shared.queues.find(queue) else {
            return Depth::default();
        };
        let mut index = lock(&cell.index);
        index.due(self.shared.clock.now());
        index.depth()
    }

    fn queues(&self) -> Vec<(QueueName, Depth)> {
        let depths = self
            .shared
            .queues
            .all()
            .into_iter()
            .map(|cell| (cell.name.clone(), self.depth(&cell.name)));
        depths.filter(|(_, depth)| *depth != Depth::default()).collect()
    }

    fn look(&self, queue: &QueueName, look: Look) -> BoxFuture<'_, Result<Page, EngineError>> {
        let queue = queue.clone();
        Box::pin(async move { self.look_into(&queue, look).await })
    }

    fn dead_letters(&self, queue: &QueueName) -> Vec<DeadLetters> {
        let cell = self.shared.queues.find(queue);
        cell.map_or_else(Vec::new, |cell| lock(&cell.index).dead_letters())
    }

    fn holds(&self, queue: &QueueName) -> Vec<Held> {
        let cell = self.shared.queues.find(queue);
        cell.map_or_else(Vec::new, |cell| lock(&cell.index).holds())
    }

    fn log_end(&self, log: &LogName) -> Position {
        let cell = self.shared.logs.find(log);
        cell.map_or_else(Position::default, |cell| Position(lock(&cell.state).next))
    }

    fn set_bounds(&self, bounds: Bounds) {
        *self.shared.bounds.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(bounds);
    }

    fn bounds(&self) -> Bounds {
        Bounds::clone(&self.shared.bounds())
    }

    fn refresh_metrics(&self) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.shared.queues.refresh_metrics();
        if let Some(store) = &*self.shared.store.read().unwrap_or_else(PoisonError::into_inner) {
            match store.db.disk_space() {
                Ok(used) => metric::DISK_USED.with(&[]).set(gauge(used)),
                Err(error) => tracing::warn!(%error, "disk use not known"),
            }
            let generations = number(store.bodies.all().len());
            metric::GENERATIONS.with(&[]).set(gauge(generations));
        }
    }

    fn health(&self) -> Health {
        self.shared.health.borrow().clone()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let committer = lock(&self.committer).take();
            let dir = self.dir.clone();
            let shared = self.shared.clone();
            let done = tokio::task::spawn_blocking(move || {
                Self::stop(&shared, committer);
                let store = shared
                    .store
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                let Some(store) = store else { return Ok(()) };
                let poisoned = matches!(*shared.health.borrow(), Health::Poisoned(_));
                if !poisoned {
                    let marks = shared.leases.close().map_err(|error| error.to_string());
                    let synced = store
                        .db
                        .persist(fjall::PersistMode::SyncAll)
                        .map_err(|error| crate::store::in_words(&error));
                    marks
                        .and(synced)
                        .map_err(|cause| EngineError::Read(explained(&dir, &cause)))?;
                }
                give_back(store);
                match shared.refusal() {
                    Some(why @ EngineError::Poisoned(_)) => Err(why),
                    Some(EngineError::Closed | EngineError::NoSpace | EngineError::Read(_)) | None => Ok(()),
                }
            });
            done.await.map_err(|panic| EngineError::Read(panic.to_string()))?
        })
    }
}

/// Waits for reads that are still running, so that the directory is free afterwards.
/// Steps of a call as the inbox takes them, in order. A call of none is one portion too: it waits for what was put in before.
fn in_portions(steps: Vec<Step>) -> Vec<Vec<Step>> {
    if steps.len() <= PORTION {
        return vec![steps];
    }
    let mut portions = Vec::with_capacity(steps.len().div_ceil(PORTION));
    let mut steps = steps.into_iter();
    while !steps.as_slice().is_empty() {
        portions.push(steps.by_ref().take(PORTION).collect());
    }
    portions
}

fn give_back(mut store: Arc<Store>) {
    for _ in 0..5000 {
        match Arc::try_unwrap(store) {
            Ok(last) => return drop(last),
            Err(shared) => store = shared,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    tracing::warn!("a read of the store does not end; the directory stays locked until it does");
}

impl Drop for EmbeddedEngine {
    /// As a crash leaves it, but for the threads: they end here. Close it first where that matters.
    fn drop(&mut self) {
        let committer = lock(&self.committer).take();
        Self::stop(&self.shared, committer);
        let store = self
            .shared
            .store
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(store);
    }
}
