//! Message history: the events log as rows of SQL, each exactly once.
//!
//! ```text
//! events ──▶ Batch ──▶ one transaction: rows, position ──▶ one step: position of this reader
//! ```
//! The database and the engine cannot commit together, so both know a position. What PostgreSQL has and the engine does not
//! know of is passed over; SQLite has a file for each day, each with a position of its own, so the engine's decides and each file
//! passes over what it has. The engine's state names the log (`history/source`), so that a
//! database which outlives its engine does not take the new log for the old one.
//!
//! Knows no node; its reader has a position of its own, so that a database that is down stops nothing else: events wait in
//! the log. A file is written to off the runtime's threads.
//!
//! Invariant HW-1: the reader moves over an event only after its rows are durable.
//!
//! # Limits
//! What waits for a database that is down takes room on the engine's disk; when that ends (`engine.min_free_disk`), the gateway
//! takes nothing new. While history is off, events pass and are in none later.

use bytes::Bytes;
use smsgw_history::metric::{AGE_SECONDS, LAG, PASSED_OVER_TOTAL, WRITE_FAILURES_TOTAL};
use smsgw_history::{Batch, HistoryError, Settings, SourceId, Writer};
use smsgw_message::{Clock, Timestamp, names};
use smsgw_queue::{CommitErrorKind, Engine, EngineError, Expected, Expiry, LogName, Position, Step, StepId};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Intensity, Strategy, Supervisor};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// The name of this reader of the events log.
pub const READER: &str = "history";
/// Where the identity of the log stands.
const SOURCE: &str = "history/source";
/// Entries of one transaction at most: a second of what a gateway takes at its fastest on two processors. As rows and records they
/// are some 25 MB of memory. The larger a transaction, the more rows share each page that it writes, and the more events of a message
/// share a row.
const BATCH: usize = 65_536;
/// Octets of the records of one transaction, at most by a read more, where they carry long texts.
const OCTETS: usize = 32 << 20;
/// Entries of one read: the engine hands them out under the lock that who appends waits for.
const READ: usize = 4_096;
/// How long one read waits.
const WAIT: Duration = Duration::from_secs(5);
/// From the beginning of a transaction to that of the next, unless that is full before: what comes meanwhile goes into one. An
/// event that comes after silence does not wait.
const PACE: Duration = Duration::from_secs(1);
/// Between two attempts when the database is down: doubles up to the second one.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How long to wait when the engine's disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);
/// How often a reader that writes nothing moves on.
const PASS: Duration = Duration::from_secs(10);
/// How often old days are looked for.
const TIDY: Duration = Duration::from_secs(600);

/// The writer of history as a child of the daemon's tree; without settings it only lets the log be trimmed.
pub fn supervise(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, settings: Option<Settings>) -> ChildSpec {
    let writer = ChildSpec::task("history", move |ctx| {
        follow(ctx, Arc::clone(&engine), Arc::clone(&clock), settings.clone())
    });
    let supervisor = Supervisor::new("history", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(writer.kind("history"));
    ChildSpec::supervisor(supervisor)
}

/// Why the engine could not be followed. That a database is down is none of these.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("failed to follow the events log")]
    Engine(#[from] EngineError),
    #[error("failed to move the position: {0}")]
    Step(CommitErrorKind),
}

impl From<CommitErrorKind> for FollowError {
    fn from(kind: CommitErrorKind) -> Self {
        match kind {
            CommitErrorKind::Engine(error) => Self::Engine(error),
            kind @ (CommitErrorKind::Stale { .. }
            | CommitErrorKind::Conflict { .. }
            | CommitErrorKind::Floor { .. }
            | CommitErrorKind::NotACounter { .. }
            | CommitErrorKind::NoRecord { .. }
            | CommitErrorKind::Leased { .. }
            | CommitErrorKind::Full(_)
            | CommitErrorKind::Invalid(_)) => Self::Step(kind),
        }
    }
}

async fn follow(
    ctx: ChildContext,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    settings: Option<Settings>,
) -> Result<(), ChildError> {
    WRITE_FAILURES_TOTAL.register();
    LAG.with(&[]).set(0);
    AGE_SECONDS.with(&[]).set(0);
    let mut is_known = false;
    loop {
        let worked = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            worked = run(&ctx, &mut is_known, &*engine, &*clock, settings.as_ref()) => worked,
        };
        let Err(error) = worked;
        match error {
            FollowError::Engine(EngineError::NoSpace) => {
                warn!("disk is full, history waits for room");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = tokio::time::sleep(NO_SPACE_PAUSE) => {}
                }
            }
            FollowError::Engine(EngineError::Closed) if ctx.is_draining() => return Ok(()),
            FollowError::Engine(EngineError::Poisoned(_)) => return Err(ChildError::fatal(error)),
            FollowError::Engine(EngineError::Closed | EngineError::Read(_)) | FollowError::Step(_) => {
                return Err(error.into());
            }
        }
    }
}

type Never = std::convert::Infallible;

async fn run(
    ctx: &ChildContext,
    is_known: &mut bool,
    engine: &dyn Engine,
    clock: &dyn Clock,
    settings: Option<&Settings>,
) -> Result<Never, FollowError> {
    let log = LogName::from(names::EVENTS);
    let Some(settings) = settings else {
        ctx.ready();
        return pass(engine, &log).await;
    };
    // The log is kept for readers it knows: it must know this one before anything is appended.
    let position = engine.position(&log, READER).await?;
    if !*is_known {
        commit(engine, &log, position).await?;
        *is_known = true;
        ctx.ready();
    }
    let source = source(engine).await?;
    let mut follower = Follower {
        engine,
        clock,
        log,
        writer: Writer::new(settings.clone()),
        source,
        position,
        most: BATCH,
        down: None,
        tidied: None,
    };
    loop {
        follower.step().await?;
    }
}

/// Lets the log be trimmed when history was on once and is off.
async fn pass(engine: &dyn Engine, log: &LogName) -> Result<Never, FollowError> {
    loop {
        let (position, end) = (engine.position(log, READER).await?, engine.log_end(log));
        if position > Position(0) && position < end {
            commit(engine, log, end).await?;
        }
        tokio::time::sleep(PASS).await;
    }
}

/// The identity of the log, made when there is none.
async fn source(engine: &dyn Engine) -> Result<SourceId, FollowError> {
    loop {
        let found = engine.get(vec![SOURCE.into()]).await?;
        let found = found.into_iter().next().flatten();
        if let Some(bytes) = found.and_then(|there| <[u8; 16]>::try_from(there.value.as_ref()).ok()) {
            return Ok(SourceId::from_bytes(bytes));
        }
        renew(engine).await?;
    }
}

/// Gives the log another identity.
async fn renew(engine: &dyn Engine) -> Result<(), FollowError> {
    let id = uuid::Uuid::new_v4().into_bytes();
    let value = Bytes::copy_from_slice(&id);
    let step = Step::new(StepId::from_bytes(id)).compare_and_put(SOURCE, Expected::Any, value, Expiry::Owner);
    step.commit(engine)
        .await
        .map(drop)
        .map_err(|error| error.kind.into())
}

async fn commit(engine: &dyn Engine, log: &LogName, position: Position) -> Result<(), FollowError> {
    let mut id = *b"history\0________";
    id.split_at_mut(8).1.copy_from_slice(&position.0.to_be_bytes());
    let step = Step::new(StepId::from_bytes(id)).advance(log.clone(), READER, position);
    step.commit(engine)
        .await
        .map(drop)
        .map_err(|error| error.kind.into())
}

/// How long the database has been down, and how long to wait before the next attempt.
#[derive(Debug, Clone, Copy)]
struct Down {
    since: Instant,
    pause: Duration,
}

struct Follower<'a> {
    engine: &'a dyn Engine,
    clock: &'a dyn Clock,
    log: LogName,
    writer: Writer,
    source: SourceId,
    position: Position,
    /// Entries of the next batch: fewer while one of them is not taken by the database.
    most: usize,
    down: Option<Down>,
    tidied: Option<Instant>,
}

impl Follower<'_> {
    /// One batch, or one failed attempt and the pause after it.
    async fn step(&mut self) -> Result<(), FollowError> {
        if self.writer.is_closed() && !self.open().await? {
            return Ok(());
        }
        self.tidy().await;
        let (batch, octets) = self.read().await?;
        let next = Instant::now() + PACE;
        self.show(batch.began());
        if batch.is_empty() {
            return Ok(());
        }
        let (entries, end) = (batch.len(), Position(batch.next()));
        match self.writer.write(batch, self.clock.now()).await {
            Ok(_) => {
                self.position = end;
                self.most = self.most.saturating_mul(2).min(BATCH);
                self.up();
            }
            Err(error) if error.is_about_rows() => {
                self.refused(&error, entries, end);
                if self.most > 1 {
                    return Ok(());
                }
            }
            Err(error) => {
                self.failed(&error).await;
                return Ok(());
            }
        }
        commit(self.engine, &self.log, self.position).await?;
        self.show(None);
        if octets < OCTETS && self.lag() < u64::try_from(self.most).unwrap_or(u64::MAX) {
            tokio::time::sleep_until(next).await;
        }
        Ok(())
    }

    /// What one transaction takes of that which is there, and how large it is; waits for the first.
    async fn read(&mut self) -> Result<(Batch, usize), EngineError> {
        let mut batch = Batch::new(self.position.0, self.writer.settings().mask);
        let mut octets = 0;
        loop {
            let wait = if batch.is_empty() { WAIT } else { Duration::ZERO };
            let wanted = self.most.saturating_sub(batch.len()).min(READ);
            let from = Position(batch.next());
            let more = self.engine.read(&self.log, from, wanted, wait).await?;
            let is_last = more.len() < READ;
            for entry in more {
                octets += entry.record.len();
                batch.push(entry.position.0, entry.record);
            }
            if is_last || octets >= OCTETS {
                return Ok((batch, octets));
            }
        }
    }

    /// Connects; false after a failed attempt.
    async fn open(&mut self) -> Result<bool, FollowError> {
        let opened = self.writer.open(self.source, self.clock.now()).await;
        let known = match opened {
            Ok(known) => known,
            Err(error) => {
                self.show(None);
                self.failed(&error).await;
                return Ok(false);
            }
        };
        let highest = known.highest.unwrap_or(0);
        if highest > self.engine.log_end(&self.log).0 {
            warn!(
                known = highest,
                end = self.engine.log_end(&self.log).0,
                "the database of history is ahead of the events log: the log is taken for a new one"
            );
            renew(self.engine).await?;
            self.source = source(self.engine).await?;
            return Ok(self.writer.open(self.source, self.clock.now()).await.is_ok());
        }
        let whole = known.whole.unwrap_or(0);
        if whole > self.position.0 {
            info!(
                from = self.position.0,
                to = whole,
                "history has what the engine does not know of"
            );
        }
        self.position = self.position.max(Position(whole));
        Ok(true)
    }

    /// The database does not take these entries, up to `end`: fewer at once, and the one that is left is passed over.
    fn refused(&mut self, error: &HistoryError, entries: usize, end: Position) {
        WRITE_FAILURES_TOTAL.with(&[]).inc();
        self.most = (entries / 2).max(1);
        if entries == 1 {
            PASSED_OVER_TOTAL.with(&["refused"]).inc();
            error!(position = end.0.saturating_sub(1), error = %error.words(), "the database does not take an event: it is not in history");
            self.position = end;
        }
    }

    async fn failed(&mut self, error: &HistoryError) {
        WRITE_FAILURES_TOTAL.with(&[]).inc();
        let down = match self.down {
            None => {
                warn!(error = %error.words(), "history cannot be written; events wait in the log");
                Down {
                    since: Instant::now(),
                    pause: RETRY.0,
                }
            }
            Some(down) => {
                debug!(error = %error.words(), "history still cannot be written");
                Down {
                    pause: down.pause.saturating_mul(2).min(RETRY.1),
                    ..down
                }
            }
        };
        self.down = Some(down);
        tokio::time::sleep(down.pause).await;
    }

    fn up(&mut self) {
        if let Some(down) = self.down.take() {
            info!(down_for = ?down.since.elapsed(), behind = self.lag(), "history is written again");
        }
    }

    fn lag(&self) -> u64 {
        self.engine.log_end(&self.log).0.saturating_sub(self.position.0)
    }

    /// How far behind it is; `oldest` is when the next one happened, where it was read.
    fn show(&self, oldest: Option<Timestamp>) {
        let lag = self.lag();
        LAG.with(&[]).set(i64::try_from(lag).unwrap_or(i64::MAX));
        match oldest {
            Some(oldest) => {
                let age = self.clock.now().since(oldest).as_secs();
                AGE_SECONDS.with(&[]).set(i64::try_from(age).unwrap_or(i64::MAX));
            }
            None if lag == 0 => AGE_SECONDS.with(&[]).set(0),
            // It was shown when it was read; it only gets older.
            None => {}
        }
    }

    async fn tidy(&mut self) {
        if self.tidied.is_some_and(|tidied| tidied.elapsed() < TIDY) {
            return;
        }
        self.tidied = Some(Instant::now());
        let now: Timestamp = self.clock.now();
        match self.writer.retain(now).await {
            Ok(days) => {
                for day in days {
                    info!(%day, "a day of history is deleted: it is too old, or history too large");
                }
            }
            Err(error) => {
                warn!(error = %error.words(), "old history could not be deleted; it is tried again")
            }
        }
    }
}
