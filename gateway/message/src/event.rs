//! Records of the `events` log: one for each step that matters to somebody who counts.

use crate::life::{EventName, MessageState};
use crate::record::Record;
use crate::{ClientId, MessageId, OperatorId, Timestamp};
use minicbor::{Decode, Encode};

/// Something that happened, durable in the same step as the happening itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Event {
    /// When.
    #[n(0)]
    pub at: Timestamp,
    /// What.
    #[n(1)]
    pub name: EventName,
    /// The message, when one is known.
    #[n(2)]
    pub message: Option<MessageId>,
    /// Whose.
    #[n(3)]
    pub client: Option<ClientId>,
    /// Which carrier.
    #[n(4)]
    pub operator: Option<OperatorId>,
    /// Parts it stands for; 1 where nothing else is said.
    #[n(5)]
    pub parts: u16,
    /// The state reached, for `mt_final`.
    #[n(6)]
    pub state: Option<MessageState>,
    /// Error word, when there is one.
    #[n(7)]
    pub error: Option<String>,
    /// Time since the accept, in milliseconds, for `mt_sent` and `mt_final`.
    #[n(8)]
    pub age_ms: Option<u64>,
}

impl Record for Event {
    const KIND: u8 = 7;
    const VERSION: u8 = 1;
}

impl Event {
    /// An event with nothing but its time and name.
    pub fn new(at: Timestamp, name: EventName) -> Self {
        Self {
            at,
            name,
            message: None,
            client: None,
            operator: None,
            parts: 1,
            state: None,
            error: None,
            age_ms: None,
        }
    }
}
