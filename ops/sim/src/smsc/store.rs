//! The latest messages, for query_sm, cancel_sm and replace_sm.
//!
//! Knows no PDU. Invariant: at most as many as it may hold; the oldest goes first.
//!
//! # Limits
//! Messages are known by 64 bits of their id.

use super::rule::StateWord;
use rustc_hash::{FxHashMap, FxHashSet};
use smsgw_message::Timestamp;
use std::collections::VecDeque;

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Counts messages; what its receipt is known by.
    pub(super) number: u64,
    pub(super) source: Box<[u8]>,
    /// The state it will have, or has.
    pub(super) state: StateWord,
    /// From when on.
    pub(super) final_at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    messages: FxHashMap<u64, Stored>,
    order: VecDeque<u64>,
    /// Messages cancelled whose receipt is still under way.
    cancelled: FxHashSet<u64>,
}

fn key(id: &[u8]) -> u64 {
    crate::ledger::sum(id).0
}

impl Store {
    pub(super) fn insert(&mut self, id: &[u8], stored: Stored, limit: usize) {
        if limit == 0 {
            return;
        }
        let key = key(id);
        self.messages.insert(key, stored);
        self.order.push_back(key);
        while self.order.len() > limit {
            if let Some(gone) = self.order.pop_front().and_then(|key| self.messages.remove(&key)) {
                self.cancelled.remove(&gone.number);
            }
        }
    }

    pub(super) fn get(&self, id: &[u8]) -> Option<&Stored> {
        self.messages.get(&key(id))
    }

    /// Makes it deleted from now on; `false` when it is final already or not known.
    pub(super) fn cancel(&mut self, id: &[u8], now: Timestamp) -> bool {
        let Some(stored) = self
            .messages
            .get_mut(&key(id))
            .filter(|stored| stored.final_at > now)
        else {
            return false;
        };
        stored.state = StateWord::DELETED;
        stored.final_at = now;
        self.cancelled.insert(stored.number);
        true
    }

    /// Whether the receipt of that message is not to be sent; asked once per receipt.
    pub(super) fn is_cancelled(&self, number: u64) -> bool {
        !self.cancelled.is_empty() && self.cancelled.contains(&number)
    }
}
