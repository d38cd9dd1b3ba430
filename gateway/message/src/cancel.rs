//! A client wants a message withdrawn.
//!
//! ```text
//! client node: cancel/<id> and a record of `alarms` that names it ─▶ router: ends what no operator has; else `cancels`
//! operator: reads `cancels` with each checkout; while it holds, `cancel/<id>` of each part that was checked out
//! ```
//! The same for groups of messages (SMPP 3.4 section 4.9: a sender and a destination), which are in no index: the request
//! stands under their numbers, and each part of that client is looked up by its own while one is open.
//!
//! So a part costs one look more only while a request is open, and no node keeps a list that could be lost or grow.

use crate::record::Record;
use crate::{ClientId, MessageId, Timestamp};
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
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Cancels {
    /// Until then.
    #[n(0)]
    pub until: Timestamp,
    /// Clients that have withdrawn groups of messages, each once.
    #[n(1)]
    pub groups: Option<Vec<GroupCancels>>,
}

/// A client has requests for groups: each part of it is looked up by its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct GroupCancels {
    /// The client.
    #[n(0)]
    pub client: ClientId,
    /// Until then.
    #[n(1)]
    pub until: Timestamp,
}

/// All messages of a client from one sender to one phone are to be withdrawn that it had handed in by then: state under
/// `cancel-group/<client>/<to>/<from>`, for as long as one of them may be in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CancelGroup {
    /// Whose messages they are.
    #[n(0)]
    pub client: ClientId,
    /// What was asked, each service type once.
    #[n(1)]
    pub wishes: Vec<GroupWish>,
}

/// One request for a group.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct GroupWish {
    /// Messages that were accepted up to then.
    #[n(0)]
    pub at: Timestamp,
    /// Of this service type only.
    #[n(1)]
    pub service_type: Option<String>,
}

impl CancelGroup {
    /// Whether a message of this id and service type is meant. Its id says when it was accepted.
    pub fn means(&self, message: MessageId, service_type: Option<&str>) -> bool {
        let accepted_at = message.made_at();
        self.wishes.iter().any(|wish| {
            let is_meant = wish.service_type.is_none() || wish.service_type.as_deref() == service_type;
            is_meant && accepted_at <= wish.at
        })
    }
}

impl Record for CancelGroup {
    const KIND: u8 = 15;
    const VERSION: u8 = 1;
}

impl Record for Cancels {
    const KIND: u8 = 12;
    const VERSION: u8 = 1;
}
