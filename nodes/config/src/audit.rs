//! Who asked for what, when, why, and what came of it: the newest 10,000 instructions.
//!
//! ```text
//! audit                    how many entries there ever were
//! audit/<n mod 10,000>     the n-th, from 0
//! ```
//! Written in the step that settles the instruction, so that there is an entry for each, once. Must not know what a verb
//! means. Invariant: an entry holds no secret (a change is told by its diff); the ring never grows.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use smsgw_message::{Instruction, InstructionResult, Record, names};
use smsgw_queue::{Engine, EngineError, Expiry, StateKey, Step, Versioned};
use tracing::error;

/// How many entries are kept.
const KEPT: u64 = 10_000;
/// Characters of a result that are kept; all of it stands under `instruction/<id>` for a day.
const DETAIL: usize = 2000;
/// The outcome of an order that another node does.
pub(crate) const FORWARDED: &str = "forwarded";
/// How many are read at once.
const PAGE: usize = 500;

/// How many entries there ever were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
struct Count {
    #[n(0)]
    entries: u64,
}

impl Record for Count {
    const KIND: u8 = 66;
    const VERSION: u8 = 1;
}

/// An instruction and its result.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Entry {
    #[n(0)]
    number: u64,
    #[n(1)]
    instruction: Instruction,
    #[n(2)]
    result: InstructionResult,
}

impl Record for Entry {
    const KIND: u8 = 67;
    const VERSION: u8 = 1;
}

/// One entry for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Counted from 0.
    pub number: u64,
    /// The instruction's id.
    pub instruction: String,
    /// When it was given, RFC 3339.
    pub at: String,
    /// Who gave it.
    pub by: String,
    /// What was asked.
    pub verb: String,
    /// Of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of which link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<u32>,
    /// What the verb needed beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `applied`, `unchanged`, `refused`; `forwarded` to the node that does it, until that has answered and a day after.
    pub outcome: String,
    /// What came of it.
    pub detail: String,
    /// When it was done, RFC 3339.
    pub done_at: String,
}

fn key(number: u64) -> StateKey {
    StateKey::from(names::audit(number % KEPT))
}

async fn count(engine: &dyn Engine) -> Result<u64, EngineError> {
    let found = engine.get(vec![StateKey::from(names::AUDIT)]).await?;
    let Some(found) = found.into_iter().flatten().next() else {
        return Ok(0);
    };
    match Count::from_record(&found.value) {
        Ok(count) => Ok(count.entries),
        Err(error) => {
            error!(%error, "the number of audit entries cannot be decoded: counted anew");
            Ok(0)
        }
    }
}

/// Adds the entry of an instruction to the step that settles it.
pub(crate) async fn note(
    engine: &dyn Engine,
    step: Step,
    instruction: &Instruction,
    result: &InstructionResult,
) -> Result<Step, EngineError> {
    let number = count(engine).await?;
    let entry = Entry {
        number,
        instruction: instruction.clone(),
        result: InstructionResult {
            detail: result.detail.chars().take(DETAIL).collect(),
            ..result.clone()
        },
    };
    let next = Count {
        entries: number.saturating_add(1),
    };
    Ok(step.put(key(number), entry.to_record(), Expiry::Owner).put(
        names::AUDIT,
        next.to_record(),
        Expiry::Owner,
    ))
}

/// The newest entries, newest first.
///
/// # Errors
/// When the engine does not give them.
pub async fn audit(engine: &dyn Engine, most: usize) -> Result<Vec<AuditRow>, EngineError> {
    let end = count(engine).await?;
    let most = u64::try_from(most).unwrap_or(KEPT).min(KEPT);
    let numbers: Vec<u64> = (end.saturating_sub(most)..end).rev().collect();
    let mut rows = Vec::new();
    for page in numbers.chunks(PAGE) {
        let found = engine
            .get(page.iter().map(|number| key(*number)).collect())
            .await?;
        let mut entries = Vec::new();
        for found in found.into_iter().flatten() {
            match Entry::from_record(&found.value) {
                Ok(entry) => entries.push(entry),
                Err(error) => error!(%error, "an audit entry cannot be decoded"),
            }
        }
        let known = results(engine, &entries).await?;
        rows.extend(entries.into_iter().zip(known).map(|(entry, known)| {
            row(Entry {
                result: known.unwrap_or(entry.result),
                ..entry
            })
        }));
    }
    // One that was overwritten meanwhile belongs to a later turn of the ring.
    rows.retain(|row| row.number < end);
    Ok(rows)
}

/// What the nodes that orders were forwarded to say of them, as long as that is kept.
async fn results(
    engine: &dyn Engine,
    entries: &[Entry],
) -> Result<Vec<Option<InstructionResult>>, EngineError> {
    let keys = entries
        .iter()
        .map(|entry| StateKey::from(names::instruction(entry.instruction.id)));
    let found = engine.get(keys.collect()).await?;
    let of = |(entry, found): (&Entry, Option<Versioned>)| {
        let found = found.filter(|_| entry.result.outcome == FORWARDED)?;
        InstructionResult::from_record(&found.value).ok()
    };
    Ok(entries.iter().zip(found).map(of).collect())
}

fn row(entry: Entry) -> AuditRow {
    let Entry {
        number,
        instruction,
        result,
    } = entry;
    AuditRow {
        number,
        instruction: instruction.id.to_string(),
        at: instruction.at.to_string(),
        by: instruction.by,
        verb: instruction.verb,
        target: instruction.target,
        link: instruction.link,
        argument: instruction.argument,
        reason: instruction.reason,
        outcome: result.outcome,
        detail: result.detail,
        done_at: result.at.to_string(),
    }
}
