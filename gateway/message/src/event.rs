//! Records of the `events` log: one for each step that matters to somebody who counts.

use crate::life::{EventName, MessageState};
use crate::record::Record;
use crate::{Address, Class, ClientId, Encoding, LinkId, MessageId, OperatorId, Timestamp};
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
    /// Sender, as far as the writer knows it.
    #[n(9)]
    pub from: Option<Address>,
    /// Recipient: the phone of an MT, the number of an MO.
    #[n(10)]
    pub to: Option<Address>,
    /// The client's own name for the message.
    #[n(11)]
    pub reference: Option<String>,
    /// Class of service.
    #[n(12)]
    pub class: Option<Class>,
    /// The part it is about, from 1; absent for the whole message.
    #[n(13)]
    pub part: Option<u16>,
    /// Over which link.
    #[n(14)]
    pub link: Option<LinkId>,
    /// The carrier's id of the part.
    #[n(15)]
    pub carrier_id: Option<String>,
    /// The route taken, counted from 1 as in the file.
    #[n(16)]
    pub route: Option<u32>,
    /// The client's words for its statistics, for `mt_accepted`.
    #[n(17)]
    pub tags: Option<Vec<String>>,
    /// How the parts' octets are to be read, for `mt_accepted`.
    #[n(18)]
    pub encoding: Option<Encoding>,
    /// The text, where storing it is allowed, for `mt_accepted` and `mo_routed`.
    #[n(19)]
    pub text: Option<String>,
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
            from: None,
            to: None,
            reference: None,
            class: None,
            part: None,
            link: None,
            carrier_id: None,
            route: None,
            tags: None,
            encoding: None,
            text: None,
        }
    }
}
