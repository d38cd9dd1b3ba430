//! What comes up from carriers: answers to submits, receipts, MO. Records of `up.<p>`.

use crate::dcs::Charset;
use crate::mt::Via;
use crate::quick::write::{self, Put};
use crate::quick::{self, Octets, Quick, fields, words};
use crate::record::{Record, RecordError};
use crate::{Address, ClientId, Encoding, LinkId, MessageId, ReportLevel, Timestamp};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Anything an operator node has to tell the router.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Up {
    /// A carrier has answered for a part, or we have given the part up.
    #[n(0)]
    SubmitResult(#[n(0)] SubmitResult),
    /// A carrier has told what became of a part.
    #[n(1)]
    Receipt(#[n(0)] Receipt),
    /// A phone has sent a message.
    #[n(2)]
    Mo(#[n(0)] Mo),
    /// A part was written to a carrier and not answered, and goes out again.
    #[n(3)]
    InDoubt(#[n(0)] InDoubt),
}

impl Record for Up {
    const KIND: u8 = 3;
    const VERSION: u8 = 1;

    fn from_body(_version: u8, body: &[u8]) -> Result<Self, RecordError> {
        quick::from_body(body)
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        quick::write::body(self, out);
    }
}

// What is rare is left to minicbor.
impl Quick<'_> for Up {
    fn read(octets: &mut Octets<'_>) -> Option<Self> {
        match octets.variant()? {
            0 => octets.only().map(Self::SubmitResult),
            1 => octets.only().map(Self::Receipt),
            _ => None,
        }
    }
}

impl Put for Up {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::SubmitResult(result) => write::only(out, 0, result),
            Self::Receipt(receipt) => write::only(out, 1, receipt),
            Self::Mo(_) | Self::InDoubt(_) => write::rare(out, self),
        }
    }
}

/// The final outcome of handing one part to a carrier.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SubmitResult {
    /// The message.
    #[n(0)]
    pub message: MessageId,
    /// Which part, from 1.
    #[n(1)]
    pub part: u16,
    /// Who sent it.
    #[n(2)]
    pub client: ClientId,
    /// Where it went.
    #[n(3)]
    pub via: Via,
    /// Over which link; absent when it never reached one (expired in the queue).
    #[n(4)]
    pub link: Option<LinkId>,
    /// What the carrier said.
    #[n(5)]
    pub outcome: SubmitOutcome,
    /// When.
    #[n(6)]
    pub at: Timestamp,
    /// Whether a receipt was asked for: without one, `sent` is final.
    #[n(7)]
    pub receipt_asked: bool,
    /// Which reports the client wants.
    #[n(8)]
    pub report: ReportLevel,
    /// Another operator is to be tried, and why; `outcome` counts when there is none.
    #[n(9)]
    pub reroute: Option<RerouteReason>,
}

fields!(SubmitResult: message, part, client, via, link, outcome, at, receipt_asked, report, reroute);

/// How often an operator gave a part back for no fault of its own: state under `tries/<operator>/<message>/<part>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Tries {
    /// Meetings with a full queue.
    #[n(0)]
    pub full: u32,
    /// Doubts after which it went out again: the carrier may have it.
    #[n(1)]
    pub in_doubt: u32,
}

impl Record for Tries {
    const KIND: u8 = 35;
    const VERSION: u8 = 1;
}

/// Why another operator is to be tried for a part that one did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum RerouteReason {
    /// The carrier's answer is one of those that its operator configures so.
    #[n(0)]
    Answer,
    /// The attempts for temporary answers are used up, and its operator configures so.
    #[n(1)]
    Exhausted,
}

words!(RerouteReason: Answer, Exhausted);

impl RerouteReason {
    /// The word in logs, metrics and the life of a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Exhausted => "exhausted",
        }
    }
}

/// What became of a submit.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum SubmitOutcome {
    /// The carrier has taken the part under this id. Empty when the carrier gives none: no receipt can be matched.
    #[n(0)]
    Sent {
        /// The carrier's id, as it wrote it.
        #[n(0)]
        carrier_id: String,
    },
    /// The carrier refused for good, or the attempts are used up.
    #[n(1)]
    Refused {
        /// Status word or code of the carrier, for people: `ESME_RINVDSTADR`.
        #[n(0)]
        error: String,
        /// The number behind it.
        #[n(1)]
        status: u32,
    },
    /// Its validity ended before a carrier took it.
    #[n(2)]
    Expired,
    /// In doubt, and the operator's policy is to reject what is in doubt.
    #[n(3)]
    InDoubt,
    /// Its client has withdrawn it before it was sent.
    #[n(4)]
    Cancelled,
}

impl Quick<'_> for SubmitOutcome {
    fn read(octets: &mut Octets<'_>) -> Option<Self> {
        match octets.variant()? {
            0 => octets.only().map(|carrier_id| Self::Sent { carrier_id }),
            _ => None,
        }
    }
}

impl Put for SubmitOutcome {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sent { carrier_id } => write::only(out, 0, carrier_id),
            Self::Refused { .. } | Self::Expired | Self::InDoubt | Self::Cancelled => write::rare(out, self),
        }
    }
}

/// A part was in doubt and is not given up: a line of its message's life, which changes no state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InDoubt {
    /// The message.
    #[n(0)]
    pub message: MessageId,
    /// Which part, from 1.
    #[n(1)]
    pub part: u16,
    /// Where it went.
    #[n(2)]
    pub via: Via,
    /// Why and what was done, for people: `link_lost: resubmit 1 of 5`.
    #[n(3)]
    pub detail: String,
    /// When it was decided.
    #[n(4)]
    pub at: Timestamp,
}

/// State of a message as carriers tell it (SMPP 3.4 section 5.2.28 and Appendix B).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ReceiptState {
    /// On its way.
    #[n(1)]
    Enroute,
    /// Arrived.
    #[n(2)]
    Delivered,
    /// Its validity ended.
    #[n(3)]
    Expired,
    /// Deleted at the carrier.
    #[n(4)]
    Deleted,
    /// Could not be delivered.
    #[n(5)]
    Undeliverable,
    /// Taken on behalf of the subscriber.
    #[n(6)]
    Accepted,
    /// The carrier does not know.
    #[n(7)]
    Unknown,
    /// Refused.
    #[n(8)]
    Rejected,
}

impl Quick<'_> for ReceiptState {
    fn read(octets: &mut Octets<'_>) -> Option<Self> {
        // Counted from 1, as the standard counts.
        let place = usize::from(u8::read(octets)?).checked_sub(1)?;
        let all = [
            Self::Enroute,
            Self::Delivered,
            Self::Expired,
            Self::Deleted,
            Self::Undeliverable,
            Self::Accepted,
            Self::Unknown,
            Self::Rejected,
        ];
        all.get(place).copied()
    }
}

impl Put for ReceiptState {
    fn put(&self, out: &mut Vec<u8>) {
        write::rare(out, self);
    }
}

/// A receipt, not yet matched with a message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// Where it came from.
    #[n(0)]
    pub via: Via,
    /// Over which link.
    #[n(1)]
    pub link: LinkId,
    /// The carrier's id, as it wrote it.
    #[n(2)]
    pub carrier_id: String,
    /// The state, when the carrier's word is one we know.
    #[n(3)]
    pub state: ReceiptState,
    /// The carrier's error code, as it wrote it.
    #[n(4)]
    pub error: Option<String>,
    /// The whole text of the receipt.
    #[n(5)]
    pub text: String,
    /// When we took it.
    #[n(6)]
    pub at: Timestamp,
    /// The carrier's own time of the last change, as it wrote it (its time zone is unstated).
    #[n(7)]
    pub done_date: Option<String>,
    /// Who the receipt is from: the recipient of the message, at most carriers.
    #[n(8)]
    pub from: Option<Address>,
    /// Who it is to: the sender of the message, at most carriers.
    #[n(9)]
    pub to: Option<Address>,
    /// The id in the text of the receipt, where receipted_message_id has another one.
    #[n(10)]
    pub text_id: Option<String>,
}

fields!(Receipt: via, link, carrier_id, state, error, text, at, done_date, from, to, text_id);

/// A message from a phone; one part of it when it is long.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Mo {
    /// Ours, given when it became durable.
    #[n(0)]
    pub id: MessageId,
    /// Where it came from.
    #[n(1)]
    pub via: Via,
    /// Over which link.
    #[n(2)]
    pub link: LinkId,
    /// The phone.
    #[n(3)]
    pub from: Address,
    /// The number it was sent to.
    #[n(4)]
    pub to: Address,
    /// As the carrier said.
    #[n(5)]
    pub data_coding: u8,
    /// How the octets were read.
    #[n(6)]
    pub encoding: Encoding,
    /// User data header with its length octet, when there is one.
    #[n(7)]
    pub udh: ByteVec,
    /// The octets after the header.
    #[n(8)]
    pub data: ByteVec,
    /// When we took it.
    #[n(9)]
    pub at: Timestamp,
    /// Reference, total and number of a part told by SAR TLVs instead of a header.
    #[n(10)]
    pub sar: Option<Sar>,
    /// The characters, where `encoding` does not name them: a text that is no encoding of ours.
    #[n(11)]
    pub charset: Option<Charset>,
    /// The octets after the header as they came, where `data` is not: packed septets.
    #[n(12)]
    pub raw: Option<ByteVec>,
}

/// Concatenation by TLV (SMPP 3.4 sections 5.3.2.22 to 5.3.2.24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Sar {
    /// sar_msg_ref_num.
    #[n(0)]
    pub reference: u16,
    /// sar_total_segments.
    #[n(1)]
    pub total: u8,
    /// sar_segment_seqnum, from 1.
    #[n(2)]
    pub number: u8,
}
