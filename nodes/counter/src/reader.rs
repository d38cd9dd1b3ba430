//! The task that follows the events log.
//!
//! Reads from its position, folds, and twice a second commits totals, ledger and position in one step. Knows the engine
//! contract and nothing of what an event means: `fold` and `ledger` do.
//!
//! Invariant RD-1: after a commit that failed nothing of what is in memory is used again; what stands in state is.

use crate::cdr;
use crate::fold::{Board, Missing};
use crate::ledger::Ledger;
use crate::metric;
use crate::row::Count;
use crate::sheet::ReadError;
use crate::turns::give_way;
use smsgw_message::{Clock, EventName, EventView, names};
use smsgw_queue::{CommitErrorKind, Engine, EngineError, Entry, LogName, Position, Step, StepId};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Intensity, Strategy, Supervisor};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;
use tracing::{error, warn};

/// The name of this reader of the events log.
pub const READER: &str = "counter";
/// Entries of one read.
const BATCH: usize = 4_096;
/// Events of one commit, at most by a batch more.
const COMMIT: u64 = 65_536;
/// How long an event may wait to be committed.
const EVERY: Duration = Duration::from_millis(500);
/// How long one read waits when nothing waits to be committed; a drain ends the wait.
const WAIT: Duration = Duration::from_secs(10);
/// How long to wait when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

/// The counter node as a child of the daemon's tree; with a writer of call detail records where they are on.
pub fn supervise(
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    records: Option<cdr::Settings>,
) -> ChildSpec {
    let beside = Arc::clone(&engine);
    let reader = ChildSpec::task("reader", move |ctx| follow(ctx, Arc::clone(&engine)));
    let records = records.map(Arc::new);
    let writer = ChildSpec::task("cdr", move |ctx| {
        cdr::follow(ctx, Arc::clone(&beside), Arc::clone(&clock), records.clone())
    });
    ChildSpec::supervisor(
        Supervisor::new("counter", Strategy::OneForOne)
            .intensity(Intensity::UNLIMITED)
            .child(reader.kind("counter"))
            .child(writer.kind("cdr")),
    )
}

async fn follow(ctx: ChildContext, engine: Arc<dyn Engine>) -> Result<(), ChildError> {
    metric::SKIPPED_TOTAL.register();
    metric::FOLDED_TOTAL.register();
    metric::LAG.with(&[]).set(0);
    hold(&ctx, &*engine, READER).await?;
    ctx.ready();
    loop {
        let worked = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            worked = count(&*engine) => worked,
        };
        let Err(error) = worked;
        match error {
            CountError::Engine(EngineError::NoSpace) => {
                warn!("disk is full, totals wait for room");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = tokio::time::sleep(NO_SPACE_PAUSE) => {}
                }
            }
            CountError::Engine(EngineError::Closed) if ctx.is_draining() => return Ok(()),
            CountError::Engine(EngineError::Poisoned(_)) => return Err(ChildError::fatal(error)),
            CountError::Engine(EngineError::Closed | EngineError::Read(_))
            | CountError::Step(_)
            | CountError::Totals(_) => return Err(error.into()),
        }
    }
}

/// From now on the events log is kept for this reader: another one that is faster trims nothing it has not seen.
pub(crate) async fn hold(
    ctx: &ChildContext,
    engine: &dyn Engine,
    reader: &'static str,
) -> Result<(), ChildError> {
    let log = LogName::from(names::EVENTS);
    loop {
        let held = match engine.position(&log, reader).await {
            Ok(position) => {
                let step = Step::new(step_id(position)).advance(log.clone(), reader, position);
                step.commit(engine).await.map(drop).map_err(|error| error.kind)
            }
            Err(error) => Err(CommitErrorKind::Engine(error)),
        };
        match held {
            Ok(()) => return Ok(()),
            Err(CommitErrorKind::Engine(EngineError::NoSpace)) => {
                warn!(reader, "disk is full, the reader waits for room");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = tokio::time::sleep(NO_SPACE_PAUSE) => {}
                }
            }
            Err(error @ CommitErrorKind::Engine(EngineError::Poisoned(_))) => {
                return Err(ChildError::fatal(error));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Why the counter stopped. Nothing of the last step was written, or all: the position tells.
#[derive(Debug, Error)]
enum CountError {
    #[error("failed to follow the events log")]
    Engine(#[source] EngineError),
    #[error("failed to add to the totals: {0}")]
    Step(CommitErrorKind),
    #[error("failed to read the totals: {0}")]
    Totals(ReadError),
}

impl From<ReadError> for CountError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Engine(error) => Self::Engine(error),
            error @ ReadError::Broken { .. } => Self::Totals(error),
        }
    }
}

/// What is in memory between two commits.
struct Folding {
    board: Board,
    ledger: Ledger,
    /// Behind the last entry that was folded.
    position: Position,
    events: u64,
    skipped: u64,
    /// Ages of parts when they were sent, and of messages when they ended, in milliseconds.
    times: (Vec<u64>, Vec<u64>),
    /// When the oldest entry that is not committed was read.
    since: Option<Instant>,
}

/// Follows the log until something fails. Asks for the position anew: it is what state says, not what a task believes.
async fn count(engine: &dyn Engine) -> Result<std::convert::Infallible, CountError> {
    let log = LogName::from(names::EVENTS);
    let mut folding = Folding {
        board: Board::default(),
        ledger: Ledger::load(engine).await?,
        position: engine.position(&log, READER).await.map_err(CountError::Engine)?,
        events: 0,
        skipped: 0,
        times: (Vec::new(), Vec::new()),
        since: None,
    };
    loop {
        let wait = folding
            .since
            .map_or(WAIT, |since| EVERY.saturating_sub(since.elapsed()));
        let entries = engine
            .read(&log, folding.position, BATCH, wait)
            .await
            .map_err(CountError::Engine)?;
        let lag = engine.log_end(&log).0.saturating_sub(folding.position.0);
        metric::LAG.with(&[]).set(i64::try_from(lag).unwrap_or(i64::MAX));
        folding.fold(engine, &entries).await?;
        let is_due = folding.since.is_some_and(|since| since.elapsed() >= EVERY);
        if is_due || folding.events >= COMMIT {
            folding.commit(engine, &log).await?;
        }
    }
}

impl Folding {
    async fn fold(&mut self, engine: &dyn Engine, entries: &[Entry]) -> Result<(), CountError> {
        let Some(last) = entries.last() else {
            return Ok(());
        };
        self.since.get_or_insert_with(Instant::now);
        for entry in entries {
            give_way(entry.position).await;
            match EventView::from_record(&entry.record) {
                Ok(event) => {
                    while let Err(Missing(period)) = self.board.fold(&event) {
                        self.board.hold(engine, period).await?;
                    }
                    self.ledger.fold(&event);
                    self.note_times(&event);
                    self.events += 1;
                }
                Err(error) => {
                    self.skipped += 1;
                    error!(position = entry.position.0, %error, "event cannot be decoded and is passed over");
                }
            }
        }
        self.position = last.position.next();
        Ok(())
    }

    /// Everything that was folded: one step.
    async fn commit(&mut self, engine: &dyn Engine, log: &LogName) -> Result<(), CountError> {
        let step = Step::new(step_id(self.position)).advance(log.clone(), READER, self.position);
        let step = self.board.settle(engine, step).await?;
        let step = self.ledger.settle(step);
        step.commit(engine).await.map_err(|error| match error.kind {
            CommitErrorKind::Engine(error) => CountError::Engine(error),
            kind @ (CommitErrorKind::Stale { .. }
            | CommitErrorKind::Conflict { .. }
            | CommitErrorKind::Floor { .. }
            | CommitErrorKind::NotACounter { .. }
            | CommitErrorKind::NoRecord { .. }
            | CommitErrorKind::Leased { .. }
            | CommitErrorKind::Full(_)
            | CommitErrorKind::Invalid(_)) => CountError::Step(kind),
        })?;
        self.show();
        self.board.settled();
        let (open, minutes) = self.ledger.count();
        metric::OPEN
            .with(&[])
            .set(i64::try_from(open).unwrap_or(i64::MAX));
        metric::OPEN_MINUTES
            .with(&[])
            .set(i64::try_from(minutes).unwrap_or(i64::MAX));
        metric::SKIPPED_TOTAL.with(&[]).inc_by(self.skipped);
        metric::FOLDED_TOTAL.with(&[]).inc_by(self.events);
        (self.events, self.skipped, self.since) = (0, 0, None);
        Ok(())
    }

    fn note_times(&mut self, event: &EventView<'_>) {
        if event.name == EventName::MtSent {
            self.times.0.extend(event.age_ms);
        } else if event.name == EventName::MtFinal {
            self.times.1.extend(event.age_ms);
        }
    }

    fn show(&mut self) {
        let (sent, ended) = (
            metric::ACCEPT_TO_SENT_SECONDS.with(&[]),
            metric::ACCEPT_TO_FINAL_SECONDS.with(&[]),
        );
        for (times, shown) in [(&mut self.times.0, sent), (&mut self.times.1, ended)] {
            for millis in times.drain(..) {
                shown.observe(Duration::from_millis(millis).as_secs_f64());
            }
        }
        for (client, row) in self.board.shown() {
            for count in Count::ALL {
                let times = row.get(count);
                if times > 0 {
                    let labels = [client.unwrap_or("-"), count.as_str()];
                    metric::MESSAGES_TOTAL.with(&labels).inc_by(times);
                }
            }
        }
    }
}

/// The position says which step it is; the first half keeps these ids apart from those of records.
fn step_id(position: Position) -> StepId {
    let mut id = *b"counter\0________";
    id.split_at_mut(8).1.copy_from_slice(&position.0.to_be_bytes());
    StepId::from_bytes(id)
}
