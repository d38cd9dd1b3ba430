//! The life of a message as it stands in state under `msg/<id>`, and what is told of it.
//!
//! The client node writes the first version with the accept. From then on the router writes it, and the operator node with an answer
//! that says all there is to say ([`MessageLife::taken`]); each compares with what it has read.

use crate::mt::{MtMessage, Via};
use crate::quick::{self, fields, words};
use crate::record::{Record, RecordError};
use crate::{Address, LinkId, MessageId, OperatorId, Timestamp};
use minicbor::{Decode, Encode};

/// State of a message or of one of its parts, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum MessageState {
    /// Durable here.
    #[n(0)]
    Accepted,
    /// Durable here, to be sent later.
    #[n(1)]
    Scheduled,
    /// Routed, waiting for its operator.
    #[n(2)]
    Queued,
    /// Taken by the carrier.
    #[n(3)]
    Sent,
    /// On the phone.
    #[n(4)]
    Delivered,
    /// Not deliverable.
    #[n(5)]
    Failed,
    /// Its time ran out.
    #[n(6)]
    Expired,
    /// Refused by the carrier or by us after the accept.
    #[n(7)]
    Rejected,
    /// Withdrawn, here or at the carrier.
    #[n(8)]
    Cancelled,
}

words!(MessageState: Accepted, Scheduled, Queued, Sent, Delivered, Failed, Expired, Rejected, Cancelled);

impl MessageState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Scheduled,
        Self::Queued,
        Self::Sent,
        Self::Delivered,
        Self::Failed,
        Self::Expired,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// The word in APIs, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing follows. (`sent` is final where no receipt is asked for: the router knows, not this word.)
    pub fn is_final(self) -> bool {
        match self {
            Self::Accepted | Self::Scheduled | Self::Queued | Self::Sent => false,
            Self::Delivered | Self::Failed | Self::Expired | Self::Rejected | Self::Cancelled => true,
        }
    }
}

/// A message's record in state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MessageLife {
    /// What was accepted. The octets of its parts are removed once the message is final.
    #[n(0)]
    pub message: MtMessage,
    /// The state of the whole.
    #[n(1)]
    pub state: MessageState,
    /// Why, when it failed.
    #[n(2)]
    pub error: Option<String>,
    /// Nothing more will happen to it.
    #[n(3)]
    pub is_final: bool,
    /// Each part's state; as many as the message has parts.
    #[n(4)]
    pub parts: Vec<PartLife>,
    /// What happened, oldest first. Bounded: at most [`MAX_EVENTS`], the first ones and the last are kept.
    #[n(5)]
    pub events: Vec<LifeEvent>,
    /// The route taken, counted from 1 as in the file, once it is routed.
    #[n(6)]
    pub route: Option<u32>,
    /// Every part was with a carrier once, and the client may have been told; it is not told again when parts go elsewhere.
    #[n(7)]
    pub was_sent: Option<bool>,
}

fields!(MessageLife: message, state, error, is_final, parts, events, route, was_sent);

/// Most events a record keeps.
pub const MAX_EVENTS: usize = 64;

impl Record for MessageLife {
    const KIND: u8 = 5;
    const VERSION: u8 = 1;

    fn from_body(_version: u8, body: &[u8]) -> Result<Self, RecordError> {
        quick::from_body(body)
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        quick::write::body(self, out);
    }
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PartLife {
    /// Its state.
    #[n(0)]
    pub state: MessageState,
    /// Where it went.
    #[n(1)]
    pub via: Option<Via>,
    /// The carrier's id.
    #[n(2)]
    pub carrier_id: Option<String>,
    /// Why, when it failed.
    #[n(3)]
    pub error: Option<String>,
    /// Nothing more will happen to it.
    #[n(4)]
    pub is_final: bool,
    /// Over which link it went last, once a carrier has answered.
    #[n(5)]
    pub link: Option<LinkId>,
    /// Operators that did not take it and asked for another one, in the order they were tried. While the last of them still
    /// stands in `via`, the part waits for what becomes of its siblings.
    #[n(6)]
    pub tried: Option<Vec<OperatorId>>,
    /// Addresses as they went out, where the route changed them.
    #[n(7)]
    pub sent_as: Option<SentAs>,
    /// What a carrier that took it has said, while another operator is looked for: how the part ends when there is none.
    /// `sent` where the carrier said nothing: it then goes on waiting for its receipt.
    #[n(8)]
    pub fallback: Option<MessageState>,
    /// When another operator is tried unless a receipt has come.
    #[n(9)]
    pub silent_at: Option<Timestamp>,
    /// What operators that took it and were given up for another one charge, in millionths of the currency of costs.
    #[n(10)]
    pub spent: Option<u64>,
}

fields!(PartLife: state, via, carrier_id, error, is_final, link, tried, sent_as, fallback, silent_at, spent);

/// Addresses that a carrier was given in place of those of the client.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SentAs {
    /// The sender, where it is another one.
    #[n(0)]
    pub from: Option<Address>,
    /// The phone, where it is another one.
    #[n(1)]
    pub to: Option<Address>,
}

fields!(SentAs: from, to);

/// One line of a message's life.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LifeEvent {
    /// When.
    #[n(0)]
    pub at: Timestamp,
    /// What.
    #[n(1)]
    pub event: EventName,
    /// Of which part, from 1; absent for the whole message.
    #[n(2)]
    pub part: Option<u16>,
    /// What else there is to say: operator, status word. Never content, never a number.
    #[n(3)]
    pub detail: Option<String>,
}

fields!(LifeEvent: at, event, part, detail);

/// The words of a message's life, of the events log and of the logs people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EventName {
    /// A client's message became durable.
    #[n(0)]
    MtAccepted,
    /// An operator was chosen: at the accept, or by the router.
    #[n(1)]
    MtRouted,
    /// No operator could be chosen; the message is final.
    #[n(2)]
    MtUnroutable,
    /// A carrier took a part.
    #[n(3)]
    MtSent,
    /// A carrier refused a part for good, or it expired in our queue.
    #[n(4)]
    MtRefused,
    /// A carrier told of an intermediate state.
    #[n(5)]
    MtProgress,
    /// The message reached a final state.
    #[n(6)]
    MtFinal,
    /// An MO became durable.
    #[n(7)]
    MoReceived,
    /// An MO was routed to a client.
    #[n(8)]
    MoRouted,
    /// A receipt became durable.
    #[n(9)]
    DrReceived,
    /// A client was told (callback answered 2xx, or deliver_sm answered).
    #[n(10)]
    DeliveredToClient,
    /// An event for a client was given up and kept as a dead letter.
    #[n(11)]
    ClientUnreachable,
    /// A receipt whose id belongs to nothing we know.
    #[n(12)]
    DrUnknown,
    /// A part was written to a carrier, not answered, and goes out again.
    #[n(13)]
    MtInDoubt,
    /// The parts of a message were cut anew, because its operator cannot carry them as they were.
    #[n(14)]
    MtRecut,
    /// An operator did not take a message or a part of it, and the next one of its route was asked.
    #[n(15)]
    MtRerouted,
    /// Its client wants it withdrawn; parts that are still here go no further.
    #[n(16)]
    MtCancelRequested,
    /// Messages of a client that were not accepted, within about a second: `parts` says how many, `error` why.
    #[n(17)]
    MtRefusedAtAccept,
    /// Its client has given it another content or other times, before any of it was sent.
    #[n(18)]
    MtReplaced,
    /// Parts went out of the queue of `operator` unsent: an administrator gave them to another one, their client replaced
    /// the message, or it had ended before.
    #[n(19)]
    MtTakenBack,
}

words!(EventName:
    MtAccepted, MtRouted, MtUnroutable, MtSent, MtRefused, MtProgress, MtFinal, MoReceived, MoRouted,
    DrReceived, DeliveredToClient, ClientUnreachable, DrUnknown, MtInDoubt, MtRecut, MtRerouted,
    MtCancelRequested, MtRefusedAtAccept, MtReplaced, MtTakenBack
);

impl EventName {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MtAccepted => "mt_accepted",
            Self::MtRouted => "mt_routed",
            Self::MtUnroutable => "mt_unroutable",
            Self::MtSent => "mt_sent",
            Self::MtRefused => "mt_refused",
            Self::MtProgress => "mt_progress",
            Self::MtFinal => "mt_final",
            Self::MoReceived => "mo_received",
            Self::MoRouted => "mo_routed",
            Self::DrReceived => "dr_received",
            Self::DeliveredToClient => "delivered_to_client",
            Self::ClientUnreachable => "client_unreachable",
            Self::DrUnknown => "dr_unknown",
            Self::MtInDoubt => "mt_in_doubt",
            Self::MtRecut => "mt_recut",
            Self::MtRerouted => "mt_rerouted",
            Self::MtCancelRequested => "mt_cancel_requested",
            Self::MtRefusedAtAccept => "mt_refused_at_accept",
            Self::MtReplaced => "mt_replaced",
            Self::MtTakenBack => "mt_taken_back",
        }
    }
}

impl MessageLife {
    /// The record that goes with an accept.
    pub fn accepted(message: MtMessage) -> Self {
        let state = Self::first_state(&message);
        let part = PartLife {
            state,
            via: None,
            carrier_id: None,
            error: None,
            is_final: false,
            link: None,
            tried: None,
            sent_as: None,
            fallback: None,
            silent_at: None,
            spent: None,
        };
        Self {
            state,
            error: None,
            is_final: false,
            parts: vec![part; message.parts.len()],
            events: vec![LifeEvent {
                at: message.accepted_at,
                event: EventName::MtAccepted,
                part: None,
                detail: None,
            }],
            route: None,
            was_sent: None,
            message,
        }
    }

    /// The state in which a message begins: `scheduled` when it is not to be sent yet.
    pub fn first_state(message: &MtMessage) -> MessageState {
        match message.send_at {
            Some(_) => MessageState::Scheduled,
            None => MessageState::Accepted,
        }
    }

    /// Adds a line. When the record is full, the line before last gives way: beginnings and ends tell most.
    pub fn note(&mut self, event: LifeEvent) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop();
        }
        self.events.push(event);
    }
}

/// When a client was told of a message's final state: state under `told/<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Told {
    /// The message.
    #[n(0)]
    pub message: MessageId,
    /// When the client answered.
    #[n(1)]
    pub at: Timestamp,
    /// How many attempts it took.
    #[n(2)]
    pub attempts: u32,
}

impl Record for Told {
    const KIND: u8 = 6;
    const VERSION: u8 = 1;
}
