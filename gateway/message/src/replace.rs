//! A client wants another content, or other times, for a message that is not sent yet.
//!
//! ```text
//! client node: replace/<id>, the new message in it, and a record of `alarms` that names it
//! router: takes the old parts out of their queue, writes `msg/<id>`, publishes the new message; the verdict into replace/<id>
//! client node: reads the verdict, and only then answers
//! ```
//! All that the router does is one step, which is refused when a part has left its queue: so a message goes out as it was or
//! as it is to be, never as both. What was judged is compared: the request names the version of `msg/<id>` it was made for.

use crate::record::Record;
use crate::{ClientId, MtMessage, OperatorId, Timestamp};
use minicbor::{Decode, Encode};

/// What was asked, and what became of it: state under `replace/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReplaceRequest {
    /// Whose message it is.
    #[n(0)]
    pub client: ClientId,
    /// When it was asked.
    #[n(1)]
    pub at: Timestamp,
    /// Version of `msg/<id>` that it was judged by: of another one it says nothing.
    #[n(2)]
    pub seen: u64,
    /// The message as it is to be; gone once the verdict is there.
    #[n(3)]
    pub message: Option<MtMessage>,
    /// Where its parts wait, when an operator was given them.
    #[n(4)]
    pub waiting: Option<WaitingParts>,
    /// What the account has to spend for parts that the message did not have before.
    #[n(5)]
    pub spends: Vec<CounterSpend>,
    /// What became of it.
    #[n(6)]
    pub verdict: Option<ReplaceVerdict>,
}

impl Record for ReplaceRequest {
    const KIND: u8 = 14;
    const VERSION: u8 = 1;
}

/// Records of an operator's queue that hold the parts of a message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WaitingParts {
    /// The operator.
    #[n(0)]
    pub operator: OperatorId,
    /// Numbers of the records, one for each part.
    #[n(1)]
    pub records: Vec<u64>,
}

/// A change of a counter that may not go below its floor.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CounterSpend {
    /// Its key.
    #[n(0)]
    pub key: String,
    /// What is added.
    #[n(1)]
    pub delta: i64,
    /// The least it may be after that.
    #[n(2)]
    pub floor: Option<i64>,
    /// When the counter expires.
    #[n(3)]
    pub until: Timestamp,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ReplaceVerdict {
    /// The new message goes out, the old one does not.
    #[n(0)]
    Replaced,
    /// The message is not what was judged any more; ask again.
    #[n(1)]
    Changed,
    /// A part has left its queue, or may have.
    #[n(2)]
    TooLate,
    /// A quota does not hold the parts that come on top.
    #[n(3)]
    OverQuota,
}
