//! Hands finished parts and deliveries of carriers to the engine, a batch per call.
//!
//! Invariant CM-1: a batch ends with every step taken, or void (somebody else has the record), or with the engine's
//! refusal told to the link. Nothing is dropped: what is not committed stays under lease, or unanswered at the carrier.

use crate::account::Account;
use crate::hop::{self, Done, End, Ending, Fate, Finished};
use crate::lives;
use crate::tries::{self, Counted, Tries};
use smsgw_message::{LinkId, Record};
use smsgw_queue::{CommitErrorKind, Engine, EngineError, Expected, StateKey, Step, Versioned};
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

/// Commits finished parts, with the lives of messages that are told all by it; tries again while the engine has no space. Returns how many parts it was about.
pub(crate) async fn parts(
    engine: Arc<dyn Engine>,
    account: Arc<Account>,
    link: LinkId,
    finished: Vec<Finished>,
) -> (usize, Ended) {
    let count = finished.len();
    let mut told = false;
    let mut batch = match decided(&*engine, &account, finished).await {
        Ok(batch) => batch,
        Err(ended) => return (count, ended),
    };
    if let Err(ended) = lives::write(&*engine, &account, &link, &mut batch).await {
        return (count, ended);
    }
    while !batch.is_empty() {
        let mut pause = Duration::ZERO;
        let steps = batch
            .iter()
            .map(|done| without_count(hop::of_part(done, &account, &link), done, &account))
            .collect();
        let answers = engine.commit(steps).await;
        let mut again = Vec::new();
        for (mut done, answer) in batch.into_iter().zip(answers) {
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
                    pause = RETRY;
                    again.push(done);
                }
                CommitErrorKind::Conflict { .. } if done.written.take().is_some() => {
                    account.endings.commit_failed("contended");
                    account.lives.leave_to_the_router();
                    again.push(done);
                }
                CommitErrorKind::Stale { record, .. } => {
                    account.endings.commit_failed("stale");
                    warn!(operator = %account.id, %link, record, "somebody else has the part; this result is void");
                }
                CommitErrorKind::Conflict { .. }
                | CommitErrorKind::Floor { .. }
                | CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::NoRecord { .. }
                | CommitErrorKind::Leased { .. }
                | CommitErrorKind::Full(_)
                | CommitErrorKind::Invalid(_) => {
                    // No other step of ours compares, none counts or moves, and no bound refuses one with an input; the part goes back when its delivery is dropped.
                    account.endings.commit_failed("refused");
                    error!(operator = %account.id, %link, error = %failed.kind, "the engine refused the result of a part");
                }
            }
        }
        batch = again;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    (count, Ended::Done)
}

/// Decides what depends on what happened before. Reads that only where something does.
async fn decided(
    engine: &dyn Engine,
    account: &Account,
    finished: Vec<Finished>,
) -> Result<Vec<Done>, Ended> {
    let keys: Vec<_> = finished
        .iter()
        .filter_map(|one| match &one.end {
            End::Known(_) => None,
            End::Tried(tried) => Some(tried.key(&account.id)),
        })
        .collect();
    let mut before = read(engine, account, keys).await?.into_iter();
    let settings = account.settings();
    let decide = |Finished { delivery, end, at }| {
        let fate = match end {
            End::Known(fate) => fate,
            End::Tried(tried) => {
                let before = before.next().unwrap_or_default();
                if before != Tries::default() {
                    account.counts().add(delivery.id());
                }
                tried.decide(&settings, before, at)
            }
        };
        Done {
            delivery,
            fate,
            at,
            written: None,
        }
    };
    Ok(finished.into_iter().map(decide).collect())
}

/// What happened to parts before, in the order of their keys.
async fn read(engine: &dyn Engine, account: &Account, keys: Vec<StateKey>) -> Result<Vec<Tries>, Ended> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut told = false;
    let values = loop {
        match engine.get(keys.clone()).await {
            Ok(values) => break values,
            Err(EngineError::Poisoned(cause)) => return Err(Ended::Poisoned(cause)),
            Err(EngineError::Closed) => return Err(Ended::Closed),
            Err(error @ (EngineError::NoSpace | EngineError::Read(_))) => {
                if !told {
                    told = true;
                    error!(operator = %account.id, %error, "what happened to parts before cannot be read; trying again");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    let tries = |(key, value): (&StateKey, Option<Versioned>)| {
        let Some(value) = value else {
            return Tries::default();
        };
        Tries::from_record(&value.value).unwrap_or_else(|error| {
            error!(operator = %account.id, %key, %error, "state cannot be decoded; the part counts as new");
            Tries::default()
        })
    };
    Ok(keys.iter().zip(values).map(tries).collect())
}

/// What was counted of a part ends with it. A count about to be written is noted first: the part may end elsewhere as soon as
/// it is written.
fn without_count(step: Step, done: &Done, account: &Account) -> Step {
    match &done.fate {
        Fate::Ended(Ending { part, .. }) if account.counts().has(done.delivery.id()) => {
            step.delete(tries::key(&account.id, part), Expected::Any)
        }
        Fate::Counted(_) => {
            account.counts().add(done.delivery.id());
            step
        }
        Fate::Ended(_) | Fate::Back { .. } | Fate::Corrupt => step,
    }
}

fn count_end(account: &Account, done: &Done) {
    if let Some(written) = &done.written {
        written.say();
    }
    match &done.fate {
        Fate::Ended(_) | Fate::Corrupt => account.counts().remove(done.delivery.id()),
        Fate::Back { .. } | Fate::Counted(_) => {}
    }
    match &done.fate {
        Fate::Ended(Ending { word: "sent", .. }) => account.endings.sent(),
        Fate::Ended(Ending { word, .. }) => account.endings.ended(word),
        Fate::Back { reason, .. } | Fate::Counted(Counted { reason, .. }) => {
            account.endings.released(*reason);
        }
        Fate::Corrupt => account.endings.ended("corrupt"),
    }
}

/// What became of a delivery of the carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is durable.
    Durable,
    /// A bound is reached: the carrier keeps it, and sends it again.
    Full,
    /// The engine refused it: the carrier keeps it.
    Refused,
}

/// Commits what a carrier delivered: for each step what became of it.
pub(crate) async fn arrivals(
    engine: Arc<dyn Engine>,
    account: Arc<Account>,
    steps: Vec<Step>,
) -> (Vec<Kept>, Ended) {
    let mut ended = Ended::Done;
    let mut told = false;
    let kept = engine
        .commit(steps)
        .await
        .into_iter()
        .map(|answer| {
            let Err(failed) = answer else {
                return Kept::Durable;
            };
            if let CommitErrorKind::Full(full) = &failed.kind {
                account.endings.commit_failed("full");
                if !told {
                    told = true;
                    warn!(operator = %account.id, %full, "deliveries of the carrier are not taken in: a bound is reached");
                }
                return Kept::Full;
            }
            account.endings.commit_failed("refused");
            match &failed.kind {
                CommitErrorKind::Engine(EngineError::Poisoned(cause)) => ended = Ended::Poisoned(cause.clone()),
                CommitErrorKind::Engine(EngineError::Closed) => ended = Ended::Closed,
                CommitErrorKind::Engine(EngineError::NoSpace | EngineError::Read(_))
                | CommitErrorKind::Stale { .. }
                | CommitErrorKind::Conflict { .. }
                | CommitErrorKind::Floor { .. }
                | CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::NoRecord { .. }
                | CommitErrorKind::Leased { .. }
                | CommitErrorKind::Full(_)
                | CommitErrorKind::Invalid(_) => {
                    if !told {
                        told = true;
                        error!(operator = %account.id, error = %failed.kind, "deliveries of the carrier cannot be stored; it keeps them");
                    }
                }
            }
            Kept::Refused
        })
        .collect();
    (kept, ended)
}
