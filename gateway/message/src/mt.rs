//! MT: what a client asked for, and the part of it that one carrier is asked to send.

use crate::quick::{self, fields, words};
use crate::record::{Record, RecordError};
use crate::{
    Address, CarrierOptions, Charge, ClientId, Encoding, LinkGroup, MessageId, OperatorId, Part, Timestamp,
};
use minicbor::{Decode, Encode};

/// Class of service: decides weight in queues, not content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Class {
    /// One-time passwords and the like: first.
    #[n(0)]
    Otp,
    /// The rest of what people wait for.
    #[default]
    #[n(1)]
    Transactional,
    /// Campaigns.
    #[n(2)]
    Bulk,
}

words!(Class: Otp, Transactional, Bulk);

impl Class {
    /// All classes, first served first.
    pub const ALL: [Self; 3] = [Self::Otp, Self::Transactional, Self::Bulk];

    /// The word in APIs, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Otp => "otp",
            Self::Transactional => "transactional",
            Self::Bulk => "bulk",
        }
    }

    /// The class of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// Which reports the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum ReportLevel {
    /// None at all.
    #[n(0)]
    None,
    /// One, when the message has reached a final state.
    #[default]
    #[n(1)]
    Final,
    /// One for each change of state.
    #[n(2)]
    All,
}

words!(ReportLevel: None, Final, All);

impl ReportLevel {
    /// The word in APIs and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Final => "final",
            Self::All => "all",
        }
    }

    /// The level of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Final, Self::All]
            .into_iter()
            .find(|level| level.as_str() == word)
    }
}

/// By which face the client handed the message in; decides where its reports go by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Origin {
    /// The HTTP API.
    #[n(0)]
    Http,
    /// An SMPP bind.
    #[n(1)]
    Smpp,
}

words!(Origin: Http, Smpp);

/// A message as a client node accepted it: encoding and parts are fixed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MtMessage {
    /// Ours, given at the accept.
    #[n(0)]
    pub id: MessageId,
    /// Who sent it.
    #[n(1)]
    pub client: ClientId,
    /// When it became durable.
    #[n(2)]
    pub accepted_at: Timestamp,
    /// Sender; absent: the client's default, else the operator's, else empty.
    #[n(3)]
    pub from: Option<Address>,
    /// The phone.
    #[n(4)]
    pub to: Address,
    /// How the parts' octets are to be read.
    #[n(5)]
    pub encoding: Encoding,
    /// The content, cut. Emptied (each part's octets removed) once the message is final.
    #[n(6)]
    pub parts: Vec<Part>,
    /// Class of service.
    #[n(7)]
    pub class: Class,
    /// Not sent after this time, and asked of the carrier as validity.
    #[n(8)]
    pub valid_until: Timestamp,
    /// Which reports the client wants.
    #[n(9)]
    pub report: ReportLevel,
    /// Where reports go, when not to the client's default.
    #[n(10)]
    pub callback: Option<String>,
    /// The client's own name for the message, returned with every report.
    #[n(11)]
    pub reference: Option<String>,
    /// By which face it came.
    #[n(12)]
    pub origin: Origin,
    /// GSM message class 0 to 3 (3GPP 23.038 section 4); 0 is a flash message.
    #[n(13)]
    pub message_class: Option<u8>,
    /// What else is asked of the carrier.
    #[n(14)]
    pub options: Option<CarrierOptions>,
    /// Not sent before this time.
    #[n(15)]
    pub send_at: Option<Timestamp>,
    /// The client's words for its statistics and routes.
    #[n(16)]
    pub tags: Option<Vec<String>>,
    /// registered_delivery as an SMPP client gave it (SMPP 3.4 section 5.2.17).
    #[n(17)]
    pub registered_delivery: Option<u8>,
    /// Over which bind it came: its reports go there first while that bind lasts.
    #[n(18)]
    pub bind: Option<u64>,
    /// What ties parts together that an SMPP client cut itself, each of them a message here.
    #[n(19)]
    pub bundle: Option<u64>,
    /// The batch it belongs to.
    #[n(20)]
    pub batch: Option<MessageId>,
    /// What it costs a prepaid account.
    #[n(21)]
    pub charge: Option<Charge>,
    /// data_coding as an SMPP client gave it, where `encoding` does not say it: a text that replaces this one is read by it.
    #[n(22)]
    pub submitted_coding: Option<u8>,
}

fields!(MtMessage:
    id, client, accepted_at, from, to, encoding, parts, class, valid_until, report, callback, reference,
    origin, message_class, options, send_at, tags, registered_delivery, bind, bundle, batch, charge,
    submitted_coding
);

impl Record for MtMessage {
    const KIND: u8 = 1;
    const VERSION: u8 = 1;

    fn from_body(_version: u8, body: &[u8]) -> Result<Self, RecordError> {
        quick::from_body(body)
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        quick::write::body(self, out);
    }
}

/// One part on its way to one operator: a record of `mt.operator.<id>`. One window slot carries one of these.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Dispatch {
    /// The message.
    #[n(0)]
    pub message: MessageId,
    /// Which part, counted from 1.
    #[n(1)]
    pub part: u16,
    /// How many parts the message has.
    #[n(2)]
    pub parts: u16,
    /// Who sent it.
    #[n(3)]
    pub client: ClientId,
    /// The operator it is for.
    #[n(4)]
    pub operator: OperatorId,
    /// Sender; absent: the operator's default, else empty.
    #[n(5)]
    pub from: Option<Address>,
    /// The phone.
    #[n(6)]
    pub to: Address,
    /// How the octets are to be read.
    #[n(7)]
    pub encoding: Encoding,
    /// The octets of this part.
    #[n(8)]
    pub content: Part,
    /// Not sent after this time.
    #[n(9)]
    pub valid_until: Timestamp,
    /// Whether the client wants to know the outcome (operators with `receipts = "asked"` go by it).
    #[n(10)]
    pub report: ReportLevel,
    /// GSM message class 0 to 3.
    #[n(11)]
    pub message_class: Option<u8>,
    /// What else is asked of the carrier.
    #[n(12)]
    pub options: Option<CarrierOptions>,
    /// Dispatches with the same value belong to one long message that the client cut: one link, in their order.
    #[n(13)]
    pub bundle: Option<u64>,
    /// The client's own name for the message.
    #[n(14)]
    pub reference: Option<String>,
    /// Class of service.
    #[n(15)]
    pub class: Option<Class>,
    /// The route taken, counted from 1 as in the file.
    #[n(16)]
    pub route: Option<u32>,
    /// The client's own numbers, where the route gives the carrier others.
    #[n(17)]
    pub own: Option<ClientNumbers>,
}

fields!(Dispatch:
    message, part, parts, client, operator, from, to, encoding, content, valid_until, report,
    message_class, options, bundle, reference, class, route, own
);

/// Sender and phone as the client gave them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ClientNumbers {
    /// Sender; absent: the client gave none.
    #[n(0)]
    pub from: Option<Address>,
    /// The phone.
    #[n(1)]
    pub to: Address,
}

fields!(ClientNumbers: from, to);

impl Dispatch {
    /// The numbers that the client knows the message by.
    pub fn numbers(&self) -> (Option<&Address>, &Address) {
        match &self.own {
            Some(own) => (own.from.as_ref(), &own.to),
            None => (self.from.as_ref(), &self.to),
        }
    }
}

impl Record for Dispatch {
    const KIND: u8 = 2;
    const VERSION: u8 = 1;

    fn from_body(_version: u8, body: &[u8]) -> Result<Self, RecordError> {
        quick::from_body(body)
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        quick::write::body(self, out);
    }
}

impl MtMessage {
    /// The record for part `n` (from 1), when there is such a part.
    pub fn dispatch(&self, n: u16, operator: &OperatorId) -> Option<Dispatch> {
        let index = usize::from(n).checked_sub(1)?;
        Some(Dispatch {
            message: self.id,
            part: n,
            parts: self.part_count(),
            client: self.client.clone(),
            operator: operator.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            encoding: self.encoding,
            content: self.parts.get(index)?.clone(),
            valid_until: self.valid_until,
            report: self.report,
            message_class: self.message_class,
            options: self.options.clone(),
            bundle: self.bundle,
            reference: self.reference.clone(),
            class: Some(self.class),
            route: None,
            own: None,
        })
    }

    /// How many parts the message has. At most 255, the most a concatenation header can count.
    pub fn part_count(&self) -> u16 {
        u16::try_from(self.parts.len()).expect("segmentation makes at most 255 parts")
    }
}

/// Where a part went: operator and the name space its carrier id is unique in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Via {
    /// The operator.
    #[n(0)]
    pub operator: OperatorId,
    /// The link group whose ids the carrier id belongs to.
    #[n(1)]
    pub group: LinkGroup,
}

fields!(Via: operator, group);
