//! What another node asks of the client node in a client's name: records of `client.requests`.

use crate::record::Record;
use crate::{Address, ClientId, MessageId, Timestamp};
use minicbor::{Decode, Encode};

/// A message that a client hands in with its answer to an event: the reply to an MO.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ClientRequest {
    /// The event that was answered: the same event makes the same message, however often it is answered.
    #[n(0)]
    pub event: MessageId,
    /// In whose name.
    #[n(1)]
    pub client: ClientId,
    /// When the event happened; the time of the message's id follows from it.
    #[n(2)]
    pub event_at: Timestamp,
    /// The phone that is replied to.
    #[n(3)]
    pub phone: Address,
    /// The number that the phone wrote to: the sender, where the request names none.
    #[n(4)]
    pub number: Address,
    /// The body of `POST /v1/messages`, without `to`.
    #[n(5)]
    pub body: String,
    /// When the answer came.
    #[n(6)]
    pub at: Timestamp,
    /// Why it was refused, in dead letters.
    #[n(7)]
    pub refused: Option<String>,
    /// The gateway itself answers, by a route or keyword; absent: the client did.
    #[n(8)]
    pub auto: Option<ReplyBounds>,
}

/// What an answer of the gateway itself is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ReplyBounds {
    /// So many at most from the number to the phone within `period`; what is above it is not sent.
    #[n(0)]
    pub max: u32,
    /// The period of `max`, in milliseconds.
    #[n(1)]
    pub period_millis: u64,
    /// It confirms to the phone that it gets no more messages, so it goes though it does.
    #[n(2)]
    pub confirms_opt_out: bool,
}

impl Record for ClientRequest {
    const KIND: u8 = 28;
    const VERSION: u8 = 1;
}
