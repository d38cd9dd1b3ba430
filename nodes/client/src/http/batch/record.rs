//! What stands in state about batches. Only the client node reads and writes these.
//!
//! ```text
//! batch/<client>/<id>        Batch   how far it is; written by the accept, then by the worker
//! batch-order/<client>/<id>  Order   what the client asked of it; written by its requests
//! batch-part/<id>/<n>        Chunk   up to 100 lines: what is to be sent, then what became of it
//! batches/<client>           Listed  the ids of the newest batches
//! body/<sha256>              Body    what the messages of a batch have in common, once for all batches that share it
//! mt.batch                   Ticket  there is one while a batch has something left to do
//! ```
//! Invariant: a batch that is not finished, paused or cancelled has exactly one ticket of its order's generation; a step
//! that takes the ticket moves the batch on and puts the next one there, so nothing is done twice.

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use smsgw_message::{Class, ClientId, MessageId, Record, Timestamp};
use smsgw_queue::StateKey;
use std::fmt::Write;

/// Most lines of one chunk.
pub(crate) const LINES: usize = 100;

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Batch {
    #[n(0)]
    pub(crate) id: MessageId,
    #[n(1)]
    pub(crate) client: ClientId,
    #[n(2)]
    pub(crate) created_at: Timestamp,
    /// What is not sent by then is not sent at all.
    #[n(3)]
    pub(crate) until: Timestamp,
    /// When all that is known of it goes away.
    #[n(4)]
    pub(crate) kept_until: Timestamp,
    /// What all its messages have in common; absent: every line is a whole message.
    #[n(5)]
    pub(crate) body: Option<ByteArray<32>>,
    #[n(6)]
    pub(crate) class: Class,
    /// Lines.
    #[n(7)]
    pub(crate) total: u32,
    #[n(8)]
    pub(crate) chunks: u32,
    /// The chunk that is worked on, from 0.
    #[n(9)]
    pub(crate) chunk: u32,
    /// Lines of it that are done.
    #[n(10)]
    pub(crate) within: u32,
    #[n(11)]
    pub(crate) accepted: u32,
    #[n(12)]
    pub(crate) refused: Vec<Count>,
    #[n(13)]
    pub(crate) end: Option<End>,
    #[n(14)]
    pub(crate) ended_at: Option<Timestamp>,
    /// The client's own name for it.
    #[n(15)]
    pub(crate) reference: Option<String>,
}

/// Lines refused with one code.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Count {
    #[n(0)]
    pub(crate) code: String,
    #[n(1)]
    pub(crate) lines: u32,
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum End {
    /// Every line was accepted or refused.
    #[n(0)]
    Completed,
    /// The client asked for it.
    #[n(1)]
    Cancelled,
    /// Its time was over, or its account is gone.
    #[n(2)]
    Expired,
}

impl Batch {
    pub(crate) fn refused_lines(&self) -> u32 {
        self.refused
            .iter()
            .fold(0, |sum, count| sum.saturating_add(count.lines))
    }

    /// Lines of which nothing is decided.
    pub(crate) fn pending(&self) -> u32 {
        self.total
            .saturating_sub(self.accepted)
            .saturating_sub(self.refused_lines())
    }

    /// One more line was refused.
    pub(crate) fn refuse(refused: &mut Vec<Count>, code: &str) {
        match refused.iter_mut().find(|count| count.code == code) {
            Some(count) => count.lines = count.lines.saturating_add(1),
            None => refused.push(Count {
                code: code.to_owned(),
                lines: 1,
            }),
        }
    }

    /// Its state for its client.
    pub(crate) fn state(&self, order: Option<&Order>, now: Timestamp) -> State {
        match (self.end, order.map_or(Wish::Run, |order| order.wish)) {
            (Some(End::Completed), _) => State::Completed,
            (Some(End::Cancelled), _) => State::Cancelled,
            (Some(End::Expired), _) => State::Expired,
            (None, Wish::Cancel) => State::Cancelled,
            (None, _) if now >= self.until => State::Expired,
            (None, Wish::Pause) => State::Paused,
            (None, Wish::Run) => State::Running,
        }
    }
}

/// The state of a batch for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Paused,
    Completed,
    Cancelled,
    Expired,
}

impl State {
    pub(crate) const WORDS: [&str; 5] = ["running", "paused", "completed", "cancelled", "expired"];

    pub(crate) fn as_str(self) -> &'static str {
        let [running, paused, completed, cancelled, expired] = Self::WORDS;
        match self {
            Self::Running => running,
            Self::Paused => paused,
            Self::Completed => completed,
            Self::Cancelled => cancelled,
            Self::Expired => expired,
        }
    }
}

/// What a client asked of a batch. Absent: nothing, generation 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Order {
    #[n(0)]
    pub(crate) wish: Wish,
    /// Only the ticket of this generation counts.
    #[n(1)]
    pub(crate) generation: u32,
    #[n(2)]
    pub(crate) at: Timestamp,
}

/// Shall it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Wish {
    #[n(0)]
    Run,
    #[n(1)]
    Pause,
    #[n(2)]
    Cancel,
}

/// Some lines of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Chunk {
    #[n(0)]
    pub(crate) lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Line {
    /// Its number, from 1: the place in `to`, or the line of NDJSON.
    #[n(0)]
    pub(crate) number: u32,
    #[n(1)]
    pub(crate) what: What,
}

/// What is known of a line.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum What {
    /// The recipient, or the message in JSON.
    #[n(0)]
    Pending(#[n(0)] String),
    /// The recipient and the message.
    #[n(1)]
    Accepted(#[n(0)] String, #[n(1)] MessageId),
    /// Why it is not sent.
    #[n(2)]
    Refused(#[n(0)] Refused),
}

/// A line that is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Refused {
    /// As written, cut.
    #[n(0)]
    pub(crate) to: Option<String>,
    #[n(1)]
    pub(crate) code: String,
    #[n(2)]
    pub(crate) field: Option<String>,
}

/// Ids of a client's batches, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Listed {
    #[n(0)]
    pub(crate) batches: Vec<Entry>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Entry {
    #[n(0)]
    pub(crate) id: MessageId,
    #[n(1)]
    pub(crate) kept_until: Timestamp,
}

/// What the messages of a batch have in common, as JSON without recipients.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Body {
    #[n(0)]
    pub(crate) json: ByteVec,
    /// The latest of the batches that refer to it is kept until then.
    #[n(1)]
    pub(crate) kept_until: Timestamp,
}

/// There is something to do for a batch.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Ticket {
    #[n(0)]
    pub(crate) client: ClientId,
    #[n(1)]
    pub(crate) batch: MessageId,
    #[n(2)]
    pub(crate) generation: u32,
}

macro_rules! records {
    ($($type:ident = $kind:literal),+) => {
        $(impl Record for $type {
            const KIND: u8 = $kind;
            const VERSION: u8 = 1;
        })+
    };
}
records!(
    Batch = 48,
    Order = 49,
    Chunk = 50,
    Listed = 51,
    Body = 52,
    Ticket = 53
);

pub(crate) fn batch_key(client: &ClientId, id: MessageId) -> StateKey {
    StateKey::from(format!("batch/{client}/{id}"))
}

pub(crate) fn order_key(client: &ClientId, id: MessageId) -> StateKey {
    StateKey::from(format!("batch-order/{client}/{id}"))
}

pub(crate) fn chunk_key(id: MessageId, n: u32) -> StateKey {
    StateKey::from(format!("batch-part/{id}/{n}"))
}

pub(crate) fn list_key(client: &ClientId) -> StateKey {
    StateKey::from(format!("batches/{client}"))
}

pub(crate) fn body_key(digest: &[u8; 32]) -> StateKey {
    let mut key = "body/".to_owned();
    for octet in digest {
        write!(key, "{octet:02x}").expect("writing to a String cannot fail");
    }
    StateKey::from(key)
}
