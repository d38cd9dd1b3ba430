//! Follows the events log and writes the numbers that `assign` gives.
//!
//! Invariant: the last numbers, the numbers of the messages and the position change in one step; a last number is written by
//! compare, so that two readers of one log cannot both go on.

use super::assign::{Last, Wanted, wanted};
use crate::metric;
use crate::turns::{Reader, give_way};
use bytes::Bytes;
use smsgw_config::{Config, ConfigHandle, Numbering};
use smsgw_message::{Event, Record, names};
use smsgw_queue::{
    CommitErrorKind, Engine, EngineError, Entry, Expected, Expiry, LogName, Position, StateKey, Step, StepId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

/// The name of this reader of the events log.
pub const NUMBERS_READER: &str = "numbers";
/// Entries of one step.
const BATCH: usize = 2_048;
/// How long one read waits; a drain ends the wait.
const WAIT: Duration = Duration::from_secs(10);

/// The reader, for `turns`.
pub(super) struct NumbersReader {
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    log: LogName,
}

impl NumbersReader {
    pub(super) fn new(engine: Arc<dyn Engine>, config: ConfigHandle) -> Self {
        metric::NUMBERS_TOTAL.register();
        let log = LogName::from(names::EVENTS);
        Self { engine, config, log }
    }
}

impl Reader for NumbersReader {
    async fn hold(&self) -> Result<(), CommitErrorKind> {
        let at = self.engine.position(&self.log, NUMBERS_READER).await?;
        advance(&self.log, step_id(at, b'h'), at)
            .commit(&*self.engine)
            .await
            .map(drop)
            .map_err(|error| error.kind)
    }

    async fn turn(&mut self) -> Result<bool, CommitErrorKind> {
        turn(&*self.engine, &self.log, &self.config).await
    }
}

fn advance(log: &LogName, id: StepId, to: Position) -> Step {
    Step::new(id).advance(log.clone(), NUMBERS_READER, to)
}

/// Waits for something, and does one step. True: there may be more at once.
async fn turn(engine: &dyn Engine, log: &LogName, config: &ConfigHandle) -> Result<bool, CommitErrorKind> {
    // Asked for anew each time: it is what state says, not what this task believes.
    let from = engine.position(log, NUMBERS_READER).await?;
    if engine.read(log, from, 1, WAIT).await?.is_empty() {
        return Ok(false);
    }
    // Before the configuration: what comes behind it is for the configuration of the next turn.
    let end = engine.log_end(log);
    let config = config.config();
    let is_off = config
        .client
        .values()
        .all(|client| client.number == Numbering::None);
    let (entries, to) = if is_off {
        (Vec::new(), end)
    } else {
        let entries = engine.read(log, from, BATCH, Duration::ZERO).await?;
        let Some(last) = entries.last().map(|entry| entry.position) else {
            return Ok(false);
        };
        (entries, last.next())
    };
    let wanted = all_wanted(&entries, &config).await;
    let step = number(engine, advance(log, step_id(to, b'f'), to), &wanted).await?;
    step.commit(engine).await.map_err(|error| error.kind)?;
    metric::NUMBERS_TOTAL
        .with(&[])
        .inc_by(u64::try_from(wanted.len()).unwrap_or(u64::MAX));
    Ok(entries.len() == BATCH)
}

async fn all_wanted(entries: &[Entry], config: &Config) -> Vec<Wanted> {
    let mut all = Vec::new();
    for entry in entries {
        give_way(entry.position).await;
        match Event::from_record(&entry.record) {
            Ok(event) => all.extend(wanted(&event, config)),
            Err(error) => {
                error!(position = entry.position.0, %error, "event cannot be decoded and gets no number");
            }
        }
    }
    all
}

async fn number(engine: &dyn Engine, mut step: Step, all: &[Wanted]) -> Result<Step, CommitErrorKind> {
    let keys: Vec<StateKey> = all
        .iter()
        .map(|wanted| wanted.key.clone())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if keys.is_empty() {
        return Ok(step);
    }
    let mut last = Last::default();
    let mut expected = BTreeMap::new();
    for (key, there) in keys.iter().zip(engine.get(keys.clone()).await?) {
        let Some(there) = there else {
            expected.insert(key, Expected::Absent);
            continue;
        };
        // To begin anew would give numbers again: nothing is numbered until a person has looked.
        let number = there
            .as_counter()
            .ok_or_else(|| EngineError::Read(format!("{key} holds no number")))?;
        last.0.insert(key.clone(), number);
        expected.insert(key, Expected::Version(there.version));
    }
    let mut until = BTreeMap::new();
    for wanted in all {
        let number = last.next(&wanted.key);
        step = step.put(
            names::number_of(wanted.message),
            value(number),
            Expiry::At(wanted.message_until),
        );
        until.insert(&wanted.key, wanted.key_until);
    }
    for (key, expected) in expected {
        let number = last.0.get(key).copied().unwrap_or_default();
        let expiry = until
            .get(key)
            .copied()
            .flatten()
            .map_or(Expiry::Owner, Expiry::At);
        step = step.compare_and_put(key.clone(), expected, value(number), expiry);
    }
    Ok(step)
}

fn value(number: i64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The position says which batch it is; the first half keeps these ids apart from those of records.
fn step_id(to: Position, kind: u8) -> StepId {
    let mut id = *b"numbers\0________";
    let (head, tail) = id.split_at_mut(8);
    if let Some(last) = head.last_mut() {
        *last = kind;
    }
    tail.copy_from_slice(&to.0.to_be_bytes());
    StepId::from_bytes(id)
}
