//! Call detail records: a line of a file for each event, written exactly once.
//!
//! ```text
//! events ──▶ lines ──▶ end of the file, sync ──▶ one step: position of this reader, cdr/file (Mark: which file, how long)
//! ```
//! A file and the engine cannot commit together, so the engine says how much of the file is certain. After a crash the file
//! is cut back to that, and the events behind the position are written again: the same lines, in the same order.
//!
//! Knows no node; its reader has a position of its own, so that a full disk of files stops nothing else. Blocking work is
//! done off the runtime's threads.
//!
//! Invariant CR-1: the lines up to [`Mark`] are those of the events up to the position, each once, in the order of the log.
//!
//! # Limits
//! While files cannot be written, events wait in the log, which grows. While records are off, events pass without a line.
//! A file that somebody shortened is not written to again: lines that are gone stay gone, and are counted.

mod files;
mod line;

use crate::metric;
use crate::period::Day;
use crate::sheet::ReadError;
use crate::turns::give_way;
use files::{Files, Found};
use line::Lines;
use minicbor::{Decode, Encode};
use smsgw_config::CdrSection;
use smsgw_message::{Clock, Event, Record, Timestamp, names};
use smsgw_queue::{Engine, EngineError, Entry, Expiry, LogName, Position, Step, StepId};
use smsgw_runtime::{ChildContext, ChildError};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// The name of this reader of the events log.
pub const READER: &str = "cdr";
/// Where [`Mark`] stands.
const FILE: &str = "cdr/file";
/// Entries of one write.
const BATCH: usize = 8_192;
/// How long one read waits: a file gets old meanwhile.
const WAIT: Duration = Duration::from_secs(5);
/// Between two writes, so that little traffic does not sync for each event.
const PAUSE: Duration = Duration::from_millis(200);
/// How long to wait when a file cannot be written.
const STUCK_PAUSE: Duration = Duration::from_secs(1);
/// How often a reader that writes nothing moves on.
const PASS: Duration = Duration::from_secs(10);
/// How often old days are looked for.
const TIDY: Duration = Duration::from_secs(600);

/// How call detail records are written.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory of the files.
    pub dir: PathBuf,
    /// What the file says.
    pub section: CdrSection,
}

/// How much of which file is certain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Mark {
    /// 0: there was none yet.
    #[n(0)]
    number: u64,
    #[n(1)]
    day: String,
    #[n(2)]
    extension: String,
    #[n(3)]
    length: u64,
    /// When it was begun, in milliseconds since 1970.
    #[n(4)]
    begun: i64,
    /// Nothing more is written to it.
    #[n(5)]
    is_full: bool,
}

impl Record for Mark {
    const KIND: u8 = 65;
    const VERSION: u8 = 1;
}

impl Mark {
    const NONE: Self = Self {
        number: 0,
        day: String::new(),
        extension: String::new(),
        length: 0,
        begun: 0,
        is_full: true,
    };

    /// Whether records were ever on.
    async fn exists(engine: &dyn Engine) -> Result<bool, CdrError> {
        let found = engine.get(vec![FILE.into()]).await?;
        Ok(found.into_iter().any(|there| there.is_some()))
    }
}

/// Why writing stopped.
#[derive(Debug, thiserror::Error)]
enum CdrError {
    #[error("failed to follow the events log")]
    Engine(#[from] EngineError),
    #[error("failed to move the position: {0}")]
    Step(smsgw_queue::CommitErrorKind),
    #[error("failed to write call detail records")]
    File(#[from] io::Error),
    #[error("failed to read where call detail records end: {0}")]
    Mark(ReadError),
}

/// Writes lines until told to drain; without settings only moves on, if there ever were some.
pub(crate) async fn follow(
    ctx: ChildContext,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    settings: Option<Arc<Settings>>,
) -> Result<(), ChildError> {
    metric::CDR_LINES_TOTAL.register();
    metric::CDR_LOST_TOTAL.register();
    metric::CDR_STUCK.with(&[]).set(0);
    metric::CDR_LAG.with(&[]).set(0);
    if settings.is_some() {
        crate::reader::hold(&ctx, &*engine, READER).await?;
    }
    ctx.ready();
    loop {
        let worked = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            worked = run(&*engine, &clock, settings.as_deref()) => worked,
        };
        let Err(error) = worked;
        match error {
            CdrError::File(error) => {
                metric::CDR_STUCK.with(&[]).set(1);
                error!(%error, "call detail records cannot be written; events wait in the log");
            }
            CdrError::Engine(EngineError::NoSpace) => {
                warn!("disk is full, call detail records wait for room");
            }
            CdrError::Engine(EngineError::Closed) if ctx.is_draining() => return Ok(()),
            CdrError::Engine(EngineError::Poisoned(_)) => return Err(ChildError::fatal(error)),
            CdrError::Engine(EngineError::Closed | EngineError::Read(_))
            | CdrError::Step(_)
            | CdrError::Mark(_) => return Err(error.into()),
        }
        tokio::select! {
            () = ctx.draining() => return Ok(()),
            () = tokio::time::sleep(STUCK_PAUSE) => {}
        }
    }
}

type Never = std::convert::Infallible;

async fn run(
    engine: &dyn Engine,
    clock: &Arc<dyn Clock>,
    settings: Option<&Settings>,
) -> Result<Never, CdrError> {
    let log = LogName::from(names::EVENTS);
    let Some(settings) = settings else {
        return pass(engine, &log).await;
    };
    let mark = mark(engine).await.map_err(CdrError::Mark)?;
    let is_known = mark.is_some();
    let files = Files::new(settings.dir.clone(), settings.section.clone());
    let mut writer = Writer {
        files: Arc::new(Mutex::new(files)),
        lines: Lines::new(settings.section.clone()),
        section: settings.section.clone(),
        position: engine.position(&log, READER).await?,
        mark: mark.unwrap_or(Mark::NONE),
        day: (Day::of(Timestamp::from_millis(0)), String::new()),
        tidied: None,
        clock: Arc::clone(clock),
    };
    writer.recover(is_known).await?;
    // So that it is known that records were on, if they are switched off before the first event.
    commit(engine, &log, writer.position, Some(&writer.mark)).await?;
    loop {
        let entries = engine.read(&log, writer.position, BATCH, WAIT).await?;
        let lag = engine.log_end(&log).0.saturating_sub(writer.position.0);
        metric::CDR_LAG
            .with(&[])
            .set(i64::try_from(lag).unwrap_or(i64::MAX));
        let is_whole = entries.len() >= BATCH;
        writer.write(engine, &log, entries).await?;
        metric::CDR_STUCK.with(&[]).set(0);
        writer.tidy().await?;
        if !is_whole {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Lets the log be trimmed when records were on once and are off.
async fn pass(engine: &dyn Engine, log: &LogName) -> Result<Never, CdrError> {
    // The mark is written with the first position.
    let was_on = Mark::exists(engine).await?;
    loop {
        let (position, end) = (engine.position(log, READER).await?, engine.log_end(log));
        if was_on && position < end {
            commit(engine, log, end, None).await?;
        }
        tokio::time::sleep(PASS).await;
    }
}

/// `None`: this engine never wrote a line.
async fn mark(engine: &dyn Engine) -> Result<Option<Mark>, ReadError> {
    let found = engine.get(vec![FILE.into()]).await?;
    let Some(there) = found.into_iter().next().flatten() else {
        return Ok(None);
    };
    Mark::from_record(&there.value)
        .map(Some)
        .map_err(|error| ReadError::Broken {
            key: FILE.into(),
            error,
        })
}

async fn commit(
    engine: &dyn Engine,
    log: &LogName,
    position: Position,
    mark: Option<&Mark>,
) -> Result<(), CdrError> {
    let mut id = *b"cdr\0\0\0\0\0________";
    id.split_at_mut(8).1.copy_from_slice(&position.0.to_be_bytes());
    let mut step = Step::new(StepId::from_bytes(id)).advance(log.clone(), READER, position);
    if let Some(mark) = mark {
        step = step.put(FILE, mark.to_record(), Expiry::Owner);
    }
    match step.commit(engine).await {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind {
            smsgw_queue::CommitErrorKind::Engine(error) => CdrError::Engine(error),
            kind @ (smsgw_queue::CommitErrorKind::Stale { .. }
            | smsgw_queue::CommitErrorKind::Conflict { .. }
            | smsgw_queue::CommitErrorKind::Floor { .. }
            | smsgw_queue::CommitErrorKind::NotACounter { .. }
            | smsgw_queue::CommitErrorKind::NoRecord { .. }
            | smsgw_queue::CommitErrorKind::Leased { .. }
            | smsgw_queue::CommitErrorKind::Full(_)
            | smsgw_queue::CommitErrorKind::Invalid(_)) => CdrError::Step(kind),
        }),
    }
}

struct Writer {
    /// One call at a time: the lock is for the thread that does the work.
    files: Arc<Mutex<Files>>,
    lines: Lines,
    section: CdrSection,
    position: Position,
    mark: Mark,
    /// The day of the last event, and how it is written.
    day: (Day, String),
    tidied: Option<Instant>,
    clock: Arc<dyn Clock>,
}

impl Writer {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Files) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CdrError> {
        let files = Arc::clone(&self.files);
        let worked = tokio::task::spawn_blocking(move || {
            work(&mut files.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match worked.await {
            Ok(done) => Ok(done?),
            Err(error) => Err(CdrError::File(io::Error::other(error))),
        }
    }

    async fn recover(&mut self, is_known: bool) -> Result<(), CdrError> {
        let mark = self.mark.clone();
        match self.blocking(move |files| files.recover(&mark, is_known)).await? {
            Found::Whole => {}
            Found::Foreign(last) => {
                warn!(
                    known = self.mark.number,
                    last,
                    "there are files of call detail records that this engine did not write: they stay, and numbers go on behind them"
                );
                self.mark.number = last;
                self.mark.is_full = true;
            }
            Found::Short => {
                metric::CDR_LOST_TOTAL.with(&[]).inc();
                error!(number = self.mark.number, day = %self.mark.day, length = self.mark.length,
                    "a file of call detail records is shorter than it was, or gone: lines are lost");
                self.mark.is_full = true;
            }
        }
        Ok(())
    }

    /// The newest event of the log says what time it is: lines, files and their days follow from the log alone.
    async fn write(
        &mut self,
        engine: &dyn Engine,
        log: &LogName,
        entries: Vec<Entry>,
    ) -> Result<(), CdrError> {
        let mut rest = entries.into_iter().peekable();
        if rest.peek().is_none() {
            return self.close_old(engine, log).await;
        }
        while rest.peek().is_some() {
            let mut lines = String::new();
            let (mut count, mut skipped, mut next) = (0, 0, None::<Mark>);
            let mut position = self.position;
            while let Some(entry) = rest.peek() {
                give_way(entry.position).await;
                let event = Event::from_record(&entry.record);
                if let Ok(event) = &event {
                    let ahead = self.ahead(event.at);
                    if let Some(begun) = &ahead
                        && count > 0
                    {
                        // The next file begins with this event.
                        info!(number = begun.number, "a file of call detail records is full");
                        break;
                    }
                    next = next.or(ahead);
                }
                match event {
                    Ok(event) => {
                        self.lines.write(&event, &mut lines);
                        count += 1;
                    }
                    Err(error) => {
                        skipped += 1;
                        error!(position = entry.position.0, %error, "event cannot be decoded and has no line");
                    }
                }
                position = entry.position.next();
                rest.next();
                let length = next.as_ref().map_or(self.mark.length, |_| 0);
                let written = length.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
                if written >= self.section.rotate_size.as_u64() {
                    break;
                }
            }
            let mark = next.unwrap_or_else(|| self.mark.clone());
            let mark = if count > 0 {
                let head = self.lines.head();
                self.blocking(move |files| files.append(&mark, &head, &lines))
                    .await?
            } else {
                self.mark.clone()
            };
            commit(engine, log, position, Some(&mark)).await?;
            (self.position, self.mark) = (position, mark);
            metric::CDR_LINES_TOTAL.with(&[]).inc_by(count);
            metric::SKIPPED_TOTAL.with(&[]).inc_by(skipped);
        }
        Ok(())
    }

    /// The file that an event of this time begins, if the present one takes no more.
    fn ahead(&mut self, at: Timestamp) -> Option<Mark> {
        let day = Day::of(at);
        if self.day.0 != day || self.day.1.is_empty() {
            self.day = (day, day.to_string());
        }
        let day = &self.day.1;
        let age = at.since(Timestamp::from_millis(self.mark.begun));
        let is_full = self.mark.is_full
            || self.mark.length >= self.section.rotate_size.as_u64()
            || age >= self.section.rotate_every
            || *day > self.mark.day;
        is_full.then(|| {
            let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.next(&self.mark, day, at.as_millis())
        })
    }

    /// Nothing came: a file that is old by the clock takes no more, so that it can be compressed and taken away.
    async fn close_old(&mut self, engine: &dyn Engine, log: &LogName) -> Result<(), CdrError> {
        let age = self.clock.now().since(Timestamp::from_millis(self.mark.begun));
        if self.mark.is_full || self.mark.length == 0 || age < self.section.rotate_every {
            return Ok(());
        }
        let mark = Mark {
            is_full: true,
            ..self.mark.clone()
        };
        commit(engine, log, self.position, Some(&mark)).await?;
        self.mark = mark;
        self.tidied = None;
        Ok(())
    }

    async fn tidy(&mut self) -> Result<(), CdrError> {
        let is_due = self.tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY);
        if !is_due {
            return Ok(());
        }
        self.tidied = Some(Instant::now());
        let mark = self.mark.clone();
        let kept = Duration::from_secs(u64::from(self.section.keep_days) * 86_400);
        let oldest = (self.section.keep_days > 0).then(|| Day::of(self.clock.now().before(kept)).to_string());
        self.blocking(move |files| files.tidy(&mark, oldest.as_deref()))
            .await
    }
}
