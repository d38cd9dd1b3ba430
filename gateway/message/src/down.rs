//! What goes down to clients: reports and MO. Records of `down.callback` and `down.smpp`.

use crate::dcs::Charset;
use crate::life::MessageState;
use crate::quick::write::{self, Put};
use crate::quick::{self, Octets, Quick, fields};
use crate::record::{Record, RecordError};
use crate::text::ByteOrder;
use crate::{Address, ClientId, Encoding, MessageId, OperatorId, Timestamp};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// One event for one client.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Down {
    /// Id of this event: the same on every attempt to deliver it.
    #[n(0)]
    pub event: MessageId,
    /// For whom.
    #[n(1)]
    pub client: ClientId,
    /// Target URL of a callback; absent on `down.smpp`.
    #[n(2)]
    pub url: Option<String>,
    /// When the event happened.
    #[n(3)]
    pub at: Timestamp,
    /// What happened.
    #[n(4)]
    pub what: DownKind,
    /// What an ESME is told beyond that; on `down.smpp` only, and there with reports.
    #[n(5)]
    pub for_bind: Option<ForBind>,
}

fields!(Down: event, client, url, at, what, for_bind);

/// What a receipt over SMPP says beyond the report (SMPP 3.4 appendix B), and where it goes first.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ForBind {
    /// The id that the client was given, where it is not the message's own: submit_multi has one for all its messages.
    #[n(0)]
    pub id: Option<MessageId>,
    /// Over which bind the message came.
    #[n(1)]
    pub bind: Option<u64>,
    /// Parts of the message.
    #[n(2)]
    pub parts: u16,
    /// Parts that were delivered.
    #[n(3)]
    pub delivered: u16,
    /// Nothing follows: a receipt, else an intermediate notification (SMPP 3.4 section 5.2.12).
    #[n(4)]
    pub is_final: bool,
    /// How the message begins, where the account's receipts quote it: 20 characters at most.
    #[n(5)]
    pub text: Option<String>,
}

fields!(ForBind: id, bind, parts, delivered, is_final, text);

impl Down {
    /// The message it is about: one of the client's, or one from a phone.
    pub fn message(&self) -> MessageId {
        match &self.what {
            DownKind::Report(report) => report.message,
            DownKind::Mo(mo) => mo.message,
        }
    }
}

impl Record for Down {
    const KIND: u8 = 4;
    const VERSION: u8 = 1;

    fn from_body(_version: u8, body: &[u8]) -> Result<Self, RecordError> {
        quick::from_body(body)
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        quick::write::body(self, out);
    }
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DownKind {
    /// A message of the client changed its state.
    #[n(0)]
    Report(#[n(0)] Report),
    /// A phone wrote to a number of the client.
    #[n(1)]
    Mo(#[n(0)] MoDown),
}

// An MO is rare beside reports and left to minicbor.
impl Quick<'_> for DownKind {
    fn read(octets: &mut Octets<'_>) -> Option<Self> {
        match octets.variant()? {
            0 => octets.only().map(Self::Report),
            _ => None,
        }
    }
}

impl Put for DownKind {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Report(report) => write::only(out, 0, report),
            Self::Mo(_) => write::rare(out, self),
        }
    }
}

/// A report, correlated.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// The message.
    #[n(0)]
    pub message: MessageId,
    /// The client's own name for it.
    #[n(1)]
    pub reference: Option<String>,
    /// Sender, as accepted.
    #[n(2)]
    pub from: Option<Address>,
    /// The phone.
    #[n(3)]
    pub to: Address,
    /// What became of it.
    #[n(4)]
    pub state: MessageState,
    /// Why, when it failed: `no_receipt`, `expired`, or the carrier's code.
    #[n(5)]
    pub error: Option<String>,
    /// When the message was accepted.
    #[n(6)]
    pub accepted_at: Timestamp,
}

fields!(Report: message, reference, from, to, state, error, accepted_at);

/// A whole MO: parts joined.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MoDown {
    /// Id of the MO (of its first part).
    #[n(0)]
    pub message: MessageId,
    /// The phone.
    #[n(1)]
    pub from: Address,
    /// The number it was sent to.
    #[n(2)]
    pub to: Address,
    /// The text; absent for binary content.
    #[n(3)]
    pub text: Option<String>,
    /// The octets as they came, parts joined, headers removed.
    #[n(4)]
    pub data: ByteVec,
    /// How the octets were read.
    #[n(5)]
    pub encoding: Encoding,
    /// As the carrier said.
    #[n(6)]
    pub data_coding: u8,
    /// Where it came from.
    #[n(7)]
    pub operator: OperatorId,
    /// Whether a part is missing (its time ran out) or a character could not be read.
    #[n(8)]
    pub incomplete: bool,
    /// The characters, where `encoding` does not name them.
    #[n(9)]
    pub charset: Option<Charset>,
    /// The octets as they came, parts joined, headers removed, where `data` is not: packed septets.
    #[n(10)]
    pub raw: Option<ByteVec>,
    /// The user data header of each part, with its length octet, in the order of the parts; absent when none has one.
    #[n(11)]
    pub headers: Option<Vec<ByteVec>>,
    /// How many parts are missing; absent when none is.
    #[n(12)]
    pub missing: Option<u8>,
    /// How the octets of a UCS-2 body were ordered, where not as the standards want it.
    #[n(13)]
    pub byte_order: Option<ByteOrder>,
    /// What the whole text means, where it is one of the words of `[keywords]`.
    #[n(14)]
    pub keyword: Option<KeywordAction>,
}

/// What a phone wants that sends one of the words of `[keywords]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum KeywordAction {
    /// No more messages.
    #[n(0)]
    OptOut,
    /// Messages again.
    #[n(1)]
    OptIn,
    /// To know what this is.
    #[n(2)]
    Help,
}

impl KeywordAction {
    /// The word that clients are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptOut => "stop",
            Self::OptIn => "start",
            Self::Help => "help",
        }
    }
}
