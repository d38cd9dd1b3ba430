//! One queue of the memory engine: its index, and the octets that the index does not hold.
//!
//! Invariant: there are octets of exactly the records that the index knows.

use crate::delivery::RecordId;
use crate::index::QueueIndex;
use bytes::Bytes;
use rustc_hash::FxHashMap;

/// A queue and the octets of its records.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) index: QueueIndex,
    pub(super) bodies: FxHashMap<RecordId, Bytes>,
}

impl Queue {
    /// Time or a bound deletes a dead letter.
    pub(super) fn discard(&mut self, id: RecordId) {
        let change = self.index.discard(id).expect("what is named is there to discard");
        self.index.finish(change);
        self.bodies.remove(&id);
    }
}
