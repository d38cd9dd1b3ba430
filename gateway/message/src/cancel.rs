//! A client wants a message withdrawn.
//!
//! ```text
//! client node: cancel/<id> and a record of `alarms` that names it ─▶ router: ends what no operator has; else `cancels`
//! operator: reads `cancels` with each checkout; while it holds, `cancel/<id>` of each part that was checked out
//! ```
//! So a part costs one look more only while a request is open, and no node keeps a list that could be lost or grow.

use crate::record::Record;
use crate::{ClientId, Timestamp};
use minicbor::{Decode, Encode};

/// What was asked: state under `cancel/<id>`, for as long as parts of the message may be in queues.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CancelRequest {
    /// Whose message it is.
    #[n(0)]
    pub client: ClientId,
    /// When it was asked.
    #[n(1)]
    pub at: Timestamp,
}

impl Record for CancelRequest {
    const KIND: u8 = 11;
    const VERSION: u8 = 1;
}

/// Parts that are to be withdrawn may be in queues of operators: state under `cancels`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Cancels {
    /// Until then.
    #[n(0)]
    pub until: Timestamp,
}

impl Record for Cancels {
    const KIND: u8 = 12;
    const VERSION: u8 = 1;
}
