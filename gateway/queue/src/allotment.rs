//! Allotments: blocks of a balance that somebody may spend from memory, without a step for each spending.
//!
//! ```text
//! balance ── grant ──▶ block (owner's key) ── spend, from memory ──▶ report: what is left becomes durable
//!    ▲                    │  │
//!    ├── give back ───────┘  └── alarm at its expiry ──▶ reclaim: what was left at the last report
//!    └──────────────────────────────────────────────────────┘
//! ```
//! Each arrow but `spend` is one step. Pure: no clock, no engine; the caller commits the steps and tells the allotment what
//! became of them. Invariant: balance + what is left of all open blocks + all that was reported as spent never changes but
//! by top-ups; no balance goes below its floor.
//!
//! # Limits
//! What an owner spent since its last report is lost when it dies, and is spent again after the reclaim. So the balance is
//! overdrawn by at most the sum of the open blocks of owners that died: small blocks, or a report with each accepted
//! message, make that small. An owner whose clock is behind the engine's may spend after its block was reclaimed: as much
//! as is left of the block at most.

use crate::delivery::Versioned;
use crate::engine::Committed;
use crate::name::{Lane, QueueName, StateKey};
use crate::step::{Expected, Expiry, Step};
use bytes::Bytes;
use smsgw_message::Timestamp;

/// The form of a block's value.
const VERSION: u8 = 1;

/// What is durable of a block, under the key of its owner.
///
/// ```text
/// version:u8 = 1   granted:i64   left:i64   expires_at:i64 (ms)   balance: key, UTF-8        numbers are big-endian
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The counter that it came from, and goes back to.
    pub balance: StateKey,
    /// How much it was.
    pub granted: i64,
    /// What is left of it, as of the last report.
    pub left: i64,
    /// Nothing is spent of it from then on.
    pub expires_at: Timestamp,
}

impl Block {
    /// As a value of state.
    pub fn to_value(&self) -> Bytes {
        let mut out = vec![VERSION];
        for number in [self.granted, self.left, self.expires_at.as_millis()] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(self.balance.as_str().as_bytes());
        Bytes::from(out)
    }

    /// From a value of state; `None` when it is no block.
    pub fn from_value(value: &[u8]) -> Option<Self> {
        let (version, rest) = value.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (granted, rest) = rest.split_first_chunk()?;
        let (left, rest) = rest.split_first_chunk()?;
        let (expires_at, balance) = rest.split_first_chunk()?;
        Some(Self {
            balance: StateKey::from(std::str::from_utf8(balance).ok()?),
            granted: i64::from_be_bytes(*granted),
            left: i64::from_be_bytes(*left),
            expires_at: Timestamp::from_millis(i64::from_be_bytes(*expires_at)),
        })
    }
}

/// Who is told when a block expires, to reclaim it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The queue that gets the owner's key as a record.
    pub queue: QueueName,
    /// In this lane.
    pub lane: Lane,
}

impl Alarm {
    fn at(&self, time: Timestamp) -> Expiry {
        Expiry::Alarm(time, self.queue.clone(), self.lane.clone())
    }
}

/// What was spent and is being written by a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "tell the allotment what became of its report"]
pub struct Report {
    /// How much: for the ledger, in the same step.
    pub spent: i64,
}

/// An open block in the memory of its owner.
#[derive(Debug)]
pub struct Allotment {
    owner: StateKey,
    alarm: Alarm,
    block: Block,
    version: u64,
    /// Spent, and in no report that went through.
    spent: i64,
}

impl Allotment {
    /// Takes `amount` (more than 0) out of a balance, as the block of an owner that has none. The step is refused with
    /// `Floor` when the balance would go below `floor`, and with `Conflict` when the owner has a block already. A step that
    /// is committed twice takes once.
    pub fn grant(
        step: Step,
        owner: &StateKey,
        alarm: &Alarm,
        balance: &StateKey,
        amount: i64,
        floor: i64,
        expires_at: Timestamp,
    ) -> (Step, Block) {
        let block = Block {
            balance: balance.clone(),
            granted: amount,
            left: amount,
            expires_at,
        };
        // The compare comes first: when it finds this step's own block, nothing is taken again.
        let step = step
            .compare_and_put(
                owner.clone(),
                Expected::Absent,
                block.to_value(),
                alarm.at(expires_at),
            )
            .add(
                balance.clone(),
                amount.saturating_neg(),
                Some(floor),
                Expiry::Owner,
            );
        (step, block)
    }

    /// The grant went through.
    pub fn granted(owner: StateKey, alarm: Alarm, block: Block, committed: &Committed) -> Self {
        Self {
            owner,
            alarm,
            block,
            version: committed.version,
            spent: 0,
        }
    }

    /// A block that was open before its owner was started anew: what is left of it as of the last report. `None` when the
    /// value is no block.
    pub fn reopened(owner: StateKey, alarm: Alarm, found: &Versioned) -> Option<Self> {
        Some(Self {
            owner,
            alarm,
            block: Block::from_value(&found.value)?,
            version: found.version,
            spent: 0,
        })
    }

    /// Spends `amount` (0 or more) from memory; false when that is more than is left, or the block has expired.
    pub fn spend(&mut self, now: Timestamp, amount: i64) -> bool {
        let fits = now < self.block.expires_at && amount >= 0 && amount <= self.left();
        if fits {
            self.spent = self.spent.saturating_add(amount);
        }
        fits
    }

    /// What can still be spent.
    pub fn left(&self) -> i64 {
        self.block.left.saturating_sub(self.spent)
    }

    /// What was spent and is not reported.
    pub fn unreported(&self) -> i64 {
        self.spent
    }

    /// The block as of the last report.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Makes durable what was spent so far. The step is refused with `Conflict` when the block was reclaimed: then this
    /// allotment is over.
    pub fn report(&self, step: Step) -> (Step, Report) {
        let block = Block {
            left: self.left(),
            ..self.block.clone()
        };
        let step = step.compare_and_put(
            self.owner.clone(),
            Expected::Version(self.version),
            block.to_value(),
            self.alarm.at(block.expires_at),
        );
        (step, Report { spent: self.spent })
    }

    /// The report went through. What was spent since it was made waits for the next one.
    pub fn reported(&mut self, report: Report, committed: &Committed) {
        self.block.left = self.block.left.saturating_sub(report.spent);
        self.spent = self.spent.saturating_sub(report.spent);
        self.version = committed.version;
    }

    /// Gives back what is left; what is not reported is reported by this step. A `Conflict` says that the block is gone: it
    /// was reclaimed, or this step went through before.
    pub fn give_back(self, step: Step) -> (Step, Report) {
        let rest = self.left();
        let step = step.delete(self.owner, Expected::Version(self.version)).add(
            self.block.balance,
            rest,
            None,
            Expiry::Owner,
        );
        (step, Report { spent: self.spent })
    }

    /// For whoever gets the alarms: puts what is left of a block back, as of its last report. `None` when the value is no
    /// block. A `Conflict` says that its owner was faster: nothing is to be done.
    pub fn reclaim(step: Step, owner: &StateKey, found: &Versioned) -> Option<Step> {
        let block = Block::from_value(&found.value)?;
        Some(step.delete(owner.clone(), Expected::Version(found.version)).add(
            block.balance,
            block.left,
            None,
            Expiry::Owner,
        ))
    }
}

#[cfg(test)]
mod tests;
