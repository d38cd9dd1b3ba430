//! Hands finished parts and deliveries of carriers to the engine, a batch per call.
//!
//! Invariant CM-1: a batch ends with every step taken, or void (somebody else has the record), or with the engine's
//! refusal told to the link. Nothing is dropped: what is not committed stays under lease, or unanswered at the carrier.

use crate::account::Account;
use crate::hop::{self, Done, Fate};
use smsgw_message::LinkId;
use smsgw_queue::{CommitErrorKind, Engine, EngineError, Step};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};

/// Pause before a refused batch is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything that could go through went through.
    Done,
    /// The engine is poisoned: the process has to end.
    Poisoned(String),
    /// The engine is closed: the gateway stops.
    Closed,
}

/// Commits finished parts; tries again while the engine has no space. Returns how many parts it was about.
pub(crate) async fn parts(
    engine: Arc<dyn Engine>,
    account: Arc<Account>,
    link: LinkId,
    mut batch: Vec<Done>,
) -> (usize, Ended) {
    let count = batch.len();
    let mut told = false;
    while !batch.is_empty() {
        let steps = batch
            .iter()
            .map(|done| hop::of_part(done, &account, &link))
            .collect();
        let answers = engine.commit(steps).await;
        let mut again = Vec::new();
        for (done, answer) in batch.into_iter().zip(answers) {
            let Err(failed) = answer else {
                count_end(&account, &done);
                continue;
            };
            match &failed.kind {
                CommitErrorKind::Engine(EngineError::Poisoned(cause)) => {
                    return (count, Ended::Poisoned(cause.clone()));
                }
                CommitErrorKind::Engine(EngineError::Closed) => return (count, Ended::Closed),
                CommitErrorKind::Engine(EngineError::NoSpace | EngineError::Read(_)) => {
                    account.endings.commit_failed("retried");
                    if !told {
                        told = true;
                        error!(operator = %account.id, %link, error = %failed.kind, "results of parts cannot be stored; trying again");
                    }
                    again.push(done);
                }
                CommitErrorKind::Stale { record, .. } => {
                    account.endings.commit_failed("stale");
                    warn!(operator = %account.id, %link, record, "somebody else has the part; this result is void");
                }
                CommitErrorKind::Conflict { .. }
                | CommitErrorKind::Floor { .. }
                | CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::NoRecord { .. } => {
                    // No step of ours compares or counts; the part goes back when its delivery is dropped.
                    account.endings.commit_failed("refused");
                    error!(operator = %account.id, %link, error = %failed.kind, "the engine refused the result of a part");
                }
            }
        }
        batch = again;
        if !batch.is_empty() {
            tokio::time::sleep(RETRY).await;
        }
    }
    (count, Ended::Done)
}

fn count_end(account: &Account, done: &Done) {
    match &done.fate {
        Fate::Ended { word: "sent", .. } => account.endings.sent(),
        Fate::Ended { word, .. } => account.endings.ended(word),
        Fate::Back { reason, .. } => account.endings.released(*reason),
        Fate::Corrupt => account.endings.ended("corrupt"),
    }
}

/// Commits what a carrier delivered: for each step whether it is durable.
pub(crate) async fn arrivals(
    engine: Arc<dyn Engine>,
    account: Arc<Account>,
    steps: Vec<Step>,
) -> (Vec<bool>, Ended) {
    let mut ended = Ended::Done;
    let mut told = false;
    let durable = engine
        .commit(steps)
        .await
        .into_iter()
        .map(|answer| {
            let Err(failed) = answer else { return true };
            account.endings.commit_failed("refused");
            match &failed.kind {
                CommitErrorKind::Engine(EngineError::Poisoned(cause)) => ended = Ended::Poisoned(cause.clone()),
                CommitErrorKind::Engine(EngineError::Closed) => ended = Ended::Closed,
                CommitErrorKind::Engine(EngineError::NoSpace | EngineError::Read(_))
                | CommitErrorKind::Stale { .. }
                | CommitErrorKind::Conflict { .. }
                | CommitErrorKind::Floor { .. }
                | CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::NoRecord { .. } => {
                    if !told {
                        told = true;
                        error!(operator = %account.id, error = %failed.kind, "deliveries of the carrier cannot be stored; it keeps them");
                    }
                }
            }
            false
        })
        .collect();
    (durable, ended)
}
