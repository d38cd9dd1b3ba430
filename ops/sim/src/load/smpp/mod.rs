//! Submits over SMPP: as many as a window allows, or as many as are due, and what comes back on the same binds.
//!
//! Speaks SMPP by itself, so that its cost is its own. Knows nothing of a gateway. Invariants: at most `window` submits of
//! a bind are unanswered; each message stands in the ledger once, with what became of it; a delivery stands in the ledger
//! of received ones before it is answered.
//!
//! # Limits
//! What is in doubt after a lost connection is not submitted again. What is unanswered when the plan is done is waited for
//! as long as an answer may take.

mod bind;
mod submit;

use super::mix::Mix;
use super::options::{LoadBind, SmppLoad};
use super::pace::Pace;
use super::report::{LoadReport, Tally};
use crate::ledger::{Callback, Ledger, LedgerError, LedgerOptions, Sent};
use crate::progress::{Phase, Progress, Span};
use bind::Bind;
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use smsgw_smpp::CommandStatus;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

/// The load could not be generated.
#[derive(Debug, Error)]
pub enum SmppLoadError {
    /// No connection, or it was lost.
    #[error("failed to {doing} {host}")]
    Connection {
        /// `connect to`, `talk to`.
        doing: &'static str,
        /// Where.
        host: String,
        /// Why.
        #[source]
        kind: io::Error,
    },
    /// The bind was refused.
    #[error("the bind was refused: {0}")]
    Refused(CommandStatus),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A bind's task panicked.
    #[error("a bind's task ended unexpectedly")]
    Ended(#[from] JoinError),
}

/// What all binds share.
#[derive(Debug)]
struct Job {
    load: SmppLoad,
    mix: Mix,
    run: u32,
    pace: Pace,
    sent: Mutex<Ledger<Sent>>,
    received: Mutex<Ledger<Callback>>,
    keeps_sent: bool,
    keeps_received: bool,
    started: Instant,
    /// Submits accepted without a receipt so far; below zero while a receipt is ahead of its answer.
    owed: AtomicI64,
    /// When the last receipt came, in microseconds from the start.
    last_receipt: AtomicU64,
    progress: Arc<Progress>,
}

impl Job {
    fn note_accepted(&self) {
        self.owed.fetch_add(1, Ordering::Relaxed);
        self.progress.submits.add();
    }

    fn note_receipt(&self, now: Instant) {
        self.owed.fetch_sub(1, Ordering::Relaxed);
        self.progress.receipts.add();
        let micros = now.saturating_duration_since(self.started).as_micros();
        self.last_receipt
            .fetch_max(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A bind has nothing to submit any more.
    fn note_over(&self) {
        let longest = Some(Span::AtMost(self.load.timeout));
        self.progress.advance(Phase::Answers, None, longest);
    }

    /// The last bind has its last answer.
    fn note_answered(&self) {
        let asked = self.load.until_receipts || self.load.registered_delivery > 0;
        let of = asked.then(|| self.progress.submits());
        let longest = Some(Span::AtMost(self.load.linger));
        self.progress.advance(Phase::Receipts, of, longest);
    }

    /// A receipt has come for each accepted submit.
    fn has_all_receipts(&self) -> bool {
        self.owed.load(Ordering::Relaxed) <= 0
    }

    fn keep<T: serde::Serialize + serde::de::DeserializeOwned>(
        ledger: &Mutex<Ledger<T>>,
        lines: &mut Vec<u8>,
    ) -> Result<(), LedgerError> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.push_lines(lines)?;
        ledger.flush()
    }
}

/// What a load run leaves: what was measured, and the latest records of both ledgers.
#[derive(Debug)]
pub struct SmppLoaded {
    /// What was measured.
    pub report: LoadReport,
    /// Messages sent.
    pub sent: Vec<Sent>,
    /// Receipts and MO received.
    pub received: Vec<Callback>,
}

/// Binds, then submits according to the plan; returns what was measured and the latest records.
///
/// # Errors
/// When a bind fails or is lost for good, or a ledger cannot be written.
pub async fn load_smpp(
    load: SmppLoad,
    ledger: &LedgerOptions,
    received: &LedgerOptions,
) -> Result<SmppLoaded, SmppLoadError> {
    load_smpp_with(load, ledger, received, &Arc::default()).await
}

/// The same, and says all the time how far it is.
///
/// # Errors
/// As [`load_smpp`].
pub async fn load_smpp_with(
    load: SmppLoad,
    ledger: &LedgerOptions,
    received: &LedgerOptions,
    progress: &Arc<Progress>,
) -> Result<SmppLoaded, SmppLoadError> {
    let (clients, submitting) = (load.clients.max(1), load.binds.max(1));
    let receiving = usize::from(load.bind == LoadBind::Pair);
    let wanted = clients.saturating_mul(submitting.saturating_add(receiving));
    progress.begin(Phase::Binding, u64::try_from(wanted).ok(), None);
    let mut binds = Vec::new();
    for client in 1..=clients {
        for at in 0..submitting.saturating_add(receiving) {
            binds.push(Bind::open(&load, client, at < submitting).await?);
            progress.bound.add();
        }
    }
    let started = SystemClock.instant();
    let job = Arc::new(Job {
        mix: Mix::new(&load.mix, load.text_length, &load.to_prefix, load.recipients),
        run: rand::random(),
        pace: Pace::new(load.plan, started, progress),
        keeps_sent: ledger.is_wanted(),
        keeps_received: received.is_wanted(),
        started,
        owed: AtomicI64::new(0),
        last_receipt: AtomicU64::new(0),
        progress: Arc::clone(progress),
        sent: Mutex::new(Ledger::open(ledger)?),
        received: Mutex::new(Ledger::open(received)?),
        load,
    });
    let (total, duration) = job.load.plan.ends();
    progress.begin(Phase::Sending, total, duration.map(Span::Lasts));
    let submitting = binds.iter().filter(|bind| bind.submits()).count();
    let (done, is_done) = watch::channel(submitting);
    let done = Arc::new(done);
    let mut workers = JoinSet::new();
    for bind in binds {
        workers.spawn(bind.work(Arc::clone(&job), Arc::clone(&done), is_done.clone()));
    }
    let mut tally = Tally::default();
    let mut last_answer = started;
    while let Some(ended) = workers.join_next().await {
        let (measured, last) = ended??;
        tally.merge(&measured);
        last_answer = last_answer.max(last);
    }
    let took = last_answer.saturating_duration_since(started);
    let mut report = tally.report(took, |status| {
        if status == 0 {
            "no_answer".into()
        } else {
            CommandStatus(status.wrapping_sub(Sent::SMPP)).to_string()
        }
    });
    report.receipts_seconds = Duration::from_micros(job.last_receipt.load(Ordering::Relaxed)).as_secs_f64();
    Ok(SmppLoaded {
        report,
        sent: finish(&job.sent)?,
        received: finish(&job.received)?,
    })
}

fn finish<T: serde::Serialize + serde::de::DeserializeOwned>(
    ledger: &Mutex<Ledger<T>>,
) -> Result<Vec<T>, LedgerError> {
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    ledger.flush()?;
    let done = std::mem::replace(&mut *ledger, Ledger::open(&LedgerOptions::default())?);
    Ok(done.into_latest())
}
