//! The ledger: which messages were accepted and which have ended, so that one that is lost or ended twice has a name.
//!
//! ```text
//! an id begins with the time of its accept: accept and end of a message fall into the same minute, whenever the end comes
//!   ledger/open           the minutes that do not balance yet (Open)
//!   ledger/<minute>       how many were accepted and ended, and a sum over their ids (Minute)
//!   ledger/<minute>/<n>   the ids themselves, one entry for each commit that had some (Ids)
//! a minute balances when as many have ended as were accepted and the sums are the same; then all of it is deleted
//! ```
//! The sums are those of the ids as numbers of 128 bits: with as many ids on both sides they agree by chance once in 2^74.
//! How many ended how is told by the totals of all time (`count/ever/…`), written in the same step.
//!
//! Invariant LG-1: the ids of a minute stay until it balances, or for 400 days: what stands in `ledger/open` is what is open.
//!
//! # Limits
//! Messages that were accepted before there was a ledger end in it all the same: their minutes show more ends than accepts.

mod balance;

pub use balance::{Balance, Broken, ClientBalance, Fault, OperatorBalance, Scope, balance};

use crate::row::OTHER;
use crate::sheet::ReadError;
use minicbor::{Decode, Encode};
use smsgw_message::{EventName, EventView, MessageId, MessageState, Record, Timestamp};
use smsgw_queue::{Engine, Expected, Expiry, StateKey, Step};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::error;

const MINUTE: i64 = 60_000;
/// How long after its end a minute may still get accepts: clocks of nodes differ.
const SETTLED_AFTER: i64 = 2 * MINUTE;
/// How long a minute that never balances is kept.
const KEPT: Duration = Duration::from_secs(400 * 86_400);
const KEPT_MINUTES: i64 = 400 * 24 * 60;

pub(crate) const OPEN: &str = "ledger/open";

pub(crate) fn minute_key(minute: i64) -> StateKey {
    StateKey::from(format!("ledger/{minute}"))
}

pub(crate) fn ids_key(minute: i64, n: u32) -> StateKey {
    StateKey::from(format!("ledger/{minute}/{n}"))
}

/// The minutes that do not balance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Open {
    #[n(0)]
    pub(crate) minutes: Vec<i64>,
}

impl Record for Open {
    const KIND: u8 = 62;
    const VERSION: u8 = 1;
}

/// One minute of accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Minute {
    #[n(0)]
    pub(crate) accepted: u64,
    #[n(1)]
    pub(crate) ended: u64,
    /// High and low half of the sum over the ids.
    #[n(2)]
    pub(crate) sum_accepted: (u64, u64),
    #[n(3)]
    pub(crate) sum_ended: (u64, u64),
    /// How many entries of ids there are.
    #[n(4)]
    pub(crate) entries: u32,
}

impl Record for Minute {
    const KIND: u8 = 63;
    const VERSION: u8 = 1;
}

impl Minute {
    pub(crate) fn balances(&self) -> bool {
        self.accepted == self.ended && self.sum_accepted == self.sum_ended
    }
}

/// Ids of a minute, as they came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Ids {
    /// 16 octets each.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) accepted: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) ended: Vec<u8>,
}

impl Record for Ids {
    const KIND: u8 = 64;
    const VERSION: u8 = 1;
}

fn add(sum: &mut (u64, u64), ids: &[u8]) -> u64 {
    let mut whole = (u128::from(sum.0) << 64) | u128::from(sum.1);
    let (ids, _) = ids.as_chunks::<16>();
    for id in ids {
        whole = whole.wrapping_add(u128::from_be_bytes(*id));
    }
    let low = u64::try_from(whole & u128::from(u64::MAX)).expect("masked to 64 bits");
    let high = u64::try_from(whole >> 64).expect("what is left of 128 bits");
    *sum = (high, low);
    u64::try_from(ids.len()).unwrap_or(u64::MAX)
}

/// When a message was accepted: its id begins with it (RFC 9562 section 5.7).
pub(crate) fn minute_of(message: MessageId) -> i64 {
    let bytes = message.as_bytes().iter().take(6);
    bytes.fold(0_i64, |sum, octet| (sum << 8) | i64::from(*octet)) / MINUTE
}

/// Whether a message has ended with this event.
pub(crate) fn is_end(event: &EventView<'_>) -> bool {
    event.name == EventName::MtFinal
        && match event.state {
            Some(
                MessageState::Delivered
                | MessageState::Failed
                | MessageState::Expired
                | MessageState::Rejected
                | MessageState::Cancelled
                | MessageState::Sent,
            ) => true,
            Some(MessageState::Accepted | MessageState::Scheduled | MessageState::Queued) | None => false,
        }
}

/// The minutes that do not balance, in memory: what stands in state, and what came since the last commit.
#[derive(Debug)]
pub(crate) struct Ledger {
    open: BTreeMap<i64, Minute>,
    came: BTreeMap<i64, Ids>,
    last: Timestamp,
}

impl Ledger {
    /// What stands in state.
    pub(crate) async fn load(engine: &dyn Engine) -> Result<Self, ReadError> {
        let open = open(engine).await?;
        let minutes = minutes(engine, &open).await?;
        Ok(Self {
            open: open
                .into_iter()
                .zip(minutes)
                .map(|(at, minute)| (at, minute.unwrap_or_default()))
                .collect(),
            came: BTreeMap::new(),
            last: Timestamp::from_millis(0),
        })
    }

    /// Notes an accept or an end.
    pub(crate) fn fold(&mut self, event: &EventView<'_>) {
        let Some(message) = event.message else { return };
        let accepted = event.name == EventName::MtAccepted;
        if !accepted && !is_end(event) {
            return;
        }
        self.last = self.last.max(event.at);
        let ids = self.came.entry(minute_of(message)).or_default();
        let side = if accepted {
            &mut ids.accepted
        } else {
            &mut ids.ended
        };
        side.extend_from_slice(message.as_bytes());
    }

    /// How many messages are open, and how many minutes.
    pub(crate) fn count(&self) -> (u64, usize) {
        let open = self.open.values();
        let messages = open.fold(0, |sum, minute| {
            sum + minute.accepted.saturating_sub(minute.ended)
        });
        (messages, self.open.len())
    }

    /// Writes what came. After a commit that failed the ledger must be loaded again.
    pub(crate) fn settle(&mut self, mut step: Step) -> Step {
        let before: Vec<i64> = self.open.keys().copied().collect();
        let touched = std::mem::take(&mut self.came);
        let now = self.last.as_millis();
        for (at, ids) in &touched {
            let minute = self.open.entry(*at).or_default();
            minute.accepted += add(&mut minute.sum_accepted, &ids.accepted);
            minute.ended += add(&mut minute.sum_ended, &ids.ended);
            let expires = Expiry::At(self.last.after(KEPT));
            // What ended before its entry was written need not be.
            step = step.put(ids_key(*at, minute.entries), ids.to_record(), expires.clone());
            minute.entries += 1;
            step = step.put(minute_key(*at), minute.to_record(), expires);
        }
        let mut gone = Vec::new();
        for (at, minute) in &self.open {
            let is_over = at
                .saturating_add(1)
                .saturating_mul(MINUTE)
                .saturating_add(SETTLED_AFTER)
                < now;
            if is_over && minute.balances() {
                for n in 0..minute.entries {
                    step = step.delete(ids_key(*at, n), Expected::Any);
                }
                step = step.delete(minute_key(*at), Expected::Any);
                gone.push(*at);
            } else if at.saturating_add(KEPT_MINUTES).saturating_mul(MINUTE) < now {
                error!(
                    minute = at,
                    accepted = minute.accepted,
                    ended = minute.ended,
                    "a minute of the ledger did not balance in 400 days and is given up"
                );
                gone.push(*at);
            }
        }
        for at in gone {
            self.open.remove(&at);
        }
        if !self.open.keys().eq(before.iter()) {
            let minutes = self.open.keys().copied().collect();
            step = step.put(OPEN, Open { minutes }.to_record(), Expiry::Owner);
        }
        step
    }
}

/// The minutes that do not balance, oldest first.
async fn open(engine: &dyn Engine) -> Result<Vec<i64>, ReadError> {
    let found = engine.get(vec![OPEN.into()]).await?;
    let Some(there) = found.into_iter().next().flatten() else {
        return Ok(Vec::new());
    };
    Open::from_record(&there.value)
        .map(|open| open.minutes)
        .map_err(|error| ReadError::Broken {
            key: OPEN.into(),
            error,
        })
}

/// What is known of these minutes; `None`: it balances by now.
async fn minutes(engine: &dyn Engine, at: &[i64]) -> Result<Vec<Option<Minute>>, ReadError> {
    let keys: Vec<StateKey> = at.iter().map(|at| minute_key(*at)).collect();
    let found = engine.get(keys.clone()).await?;
    let read = keys.into_iter().zip(found).map(|(key, there)| match there {
        None => Ok(None),
        Some(there) => Minute::from_record(&there.value)
            .map(Some)
            .map_err(|error| ReadError::Broken { key, error }),
    });
    read.collect()
}

/// The name that stands for all clients or operators that have no totals of their own.
pub(crate) fn is_other(name: &str) -> bool {
    name == OTHER
}
