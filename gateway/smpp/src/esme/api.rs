//! What an ESME session takes and tells: configuration, commands, events.

use crate::{
    address::Address,
    congestion::Congestion,
    encode::Adapted,
    end::notice,
    octets::COctets,
    outcome::{CloseCause, Refusal, Undecodable, WindowCounts},
    password::Password,
    pdu::{
        AlertNotification, BindKind, Body, CancelSm, DataSm, DeliverSm, QuerySm, QuerySmResp, ReplaceSm,
        SubmitMulti, SubmitSm, Unsuccess,
    },
    status::CommandStatus,
    tlv::Tlvs,
    tolerated::ToleratedSet,
    version::Version,
};
use rusmpp_core::CommandId;
use std::time::Duration;

/// How an ESME session behaves. `EsmeConfig::new` gives the documented defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EsmeConfig {
    /// Our name at the carrier.
    pub system_id: COctets,
    /// Our secret.
    pub password: Password,
    /// Mostly empty.
    pub system_type: COctets,
    /// Default transceiver.
    pub bind: BindKind,
    /// What we say we speak: 0x33, 0x34 or 0x50. Default 0x34.
    pub interface_version: u8,
    /// Mostly empty.
    pub address_range: Address,
    /// Unanswered requests at most, 1 or more. Default 10.
    pub window: usize,
    /// Which requests take a slot of it. Default everything.
    pub window_counts: WindowCounts,
    /// A submit unanswered for that long is reported as timed out. Default 30 s.
    pub response_timeout: Duration,
    /// From the start to the answer of the bind. Default 30 s.
    pub bind_timeout: Duration,
    /// enquire_link after that much silence of the peer, `None` never. Default 30 s.
    pub enquire_link: Option<Duration>,
    /// Sends it at that interval whatever the peer sends, for peers that count nothing else as activity. Default no.
    pub enquire_link_always: bool,
    /// enquire_link unanswered, and nothing else received, for that long ends the session. Default 30 s.
    pub enquire_link_timeout: Duration,
    /// Only its answer counts then, not other traffic. Default no: some peers never answer it and work.
    pub enquire_link_strict: bool,
    /// How long the peer may send nothing at all, `None` for ever (as far as enquire_link lets it). Default `None`.
    pub silence_limit: Option<Duration>,
    /// How long the peer may leave everything unanswered while something is: then the session unbinds at once, as
    /// [`CloseCause::Unanswered`]. A half-dead peer may still answer enquire_link. Default `None`: never.
    pub unanswered_limit: Option<Duration>,
    /// Unbinds after that long without anything but enquire_link, `None` never. Default never.
    pub inactivity: Option<Duration>,
    /// How long an unbind may stay unanswered. Default 5 s.
    pub unbind_timeout: Duration,
    /// How long a timed-out submit is remembered for its late answer. Default 300 s.
    pub tombstone_ttl: Duration,
    /// How many of them at most; beyond, the oldest is forgotten. Default 10 000.
    pub tombstones: usize,
    /// Deliveries waiting for the owner's answer at most; more are answered ESME_RX_T_APPN. Default 1000.
    pub deliveries: usize,
    /// Largest PDU taken, in bytes. Default 64 KiB.
    pub max_pdu: u32,
}

impl EsmeConfig {
    /// The defaults, with these credentials.
    #[must_use]
    pub fn new(system_id: COctets, password: Password) -> Self {
        Self {
            system_id,
            password,
            system_type: COctets::new(),
            bind: BindKind::Transceiver,
            interface_version: 0x34,
            address_range: Address::default(),
            window: 10,
            window_counts: WindowCounts::Everything,
            response_timeout: Duration::from_secs(30),
            bind_timeout: Duration::from_secs(30),
            enquire_link: Some(Duration::from_secs(30)),
            enquire_link_always: false,
            enquire_link_timeout: Duration::from_secs(30),
            enquire_link_strict: false,
            silence_limit: None,
            unanswered_limit: None,
            inactivity: None,
            unbind_timeout: Duration::from_secs(5),
            tombstone_ttl: Duration::from_secs(300),
            tombstones: 10_000,
            deliveries: 1000,
            max_pdu: crate::framer::DEFAULT_MAX_PDU,
        }
    }
}

/// What the owner asks of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EsmeCommand {
    /// Send submit_sm. Ends as exactly one of `Answered`, `TimedOut`, `NotSent` or an entry of `Closed::in_doubt`.
    Submit {
        /// The owner's own name for it, unique among what is unanswered.
        tag: u64,
        /// The message.
        message: SubmitSm,
    },
    /// Send any request. Ends like `Submit`; what was asked stands in the answer's `reply`.
    Request {
        /// As in `Submit`, out of the same names.
        tag: u64,
        /// What is asked.
        request: Request,
    },
    /// Bind, after [`EsmeEvent::Outbind`], with these credentials and settings.
    Bind(Box<EsmeConfig>),
    /// Do not bind after [`EsmeEvent::Outbind`]: the session closes, as [`CloseCause::OutbindRefused`].
    RefuseOutbind,
    /// Answer the oldest unanswered delivery with that sequence number; to be given after the owner's durable commit.
    Answer {
        /// `sequence` of [`EsmeEvent::Delivered`].
        sequence: u32,
        /// Zero: taken over.
        status: CommandStatus,
    },
    /// Submit no more, wait until everything is answered in both directions, but not longer than `within`, then unbind.
    Unbind {
        /// How long to wait for answers before the unbind goes out.
        within: Duration,
    },
    /// Unbind at once because the carrier answers no submits; the session ends as [`CloseCause::Unanswered`].
    Leave,
}

/// What an ESME can ask of a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// submit_sm.
    SubmitSm(SubmitSm),
    /// submit_multi.
    SubmitMulti(SubmitMulti),
    /// data_sm, from 3.4 on.
    DataSm(DataSm),
    /// query_sm.
    QuerySm(QuerySm),
    /// cancel_sm.
    CancelSm(CancelSm),
    /// replace_sm.
    ReplaceSm(ReplaceSm),
}

impl Request {
    pub(crate) fn into_body(self) -> Body {
        match self {
            Self::SubmitSm(message) => Body::SubmitSm(message),
            Self::SubmitMulti(multi) => Body::SubmitMulti(multi),
            Self::DataSm(message) => Body::DataSm(message),
            Self::QuerySm(query) => Body::QuerySm(query),
            Self::CancelSm(cancel) => Body::CancelSm(cancel),
            Self::ReplaceSm(replace) => Body::ReplaceSm(replace),
        }
    }
}

/// Which request was answered, with what only its answer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// submit_sm.
    SubmitSm,
    /// submit_multi; a status of zero only says that some destinations were taken.
    SubmitMulti {
        /// Those that were not, each with its own status.
        unsuccess: Vec<Unsuccess>,
    },
    /// data_sm.
    DataSm,
    /// query_sm; empty with an error status.
    QuerySm(Box<QuerySmResp>),
    /// cancel_sm.
    CancelSm,
    /// replace_sm.
    ReplaceSm,
}

/// Which operation brought a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// submit_sm (to an SMSC).
    SubmitSm,
    /// deliver_sm (to an ESME).
    DeliverSm,
    /// data_sm (both ways).
    DataSm,
}

/// An answer in the terms of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// As in [`EsmeEvent::Answered`].
    pub status: CommandStatus,
    /// As in [`EsmeEvent::Answered`].
    pub message_id: COctets,
    /// As in [`EsmeEvent::Answered`].
    pub tlvs: Tlvs,
    /// As in [`EsmeEvent::Answered`].
    pub reply: Reply,
}

impl Answer {
    /// What the owner is told; `late`: after the request was reported as timed out.
    #[must_use]
    pub fn told(self, tag: u64, took: Duration, late: bool) -> EsmeEvent {
        let congestion = Congestion::of(&self.tlvs);
        let Self {
            status,
            message_id,
            tlvs,
            reply,
        } = self;
        if late {
            EsmeEvent::LateAnswer {
                tag,
                status,
                message_id,
                tlvs,
                reply,
                congestion,
                took,
            }
        } else {
            EsmeEvent::Answered {
                tag,
                status,
                message_id,
                tlvs,
                reply,
                congestion,
                took,
            }
        }
    }
}

/// What the session tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EsmeEvent {
    /// The carrier took the bind.
    Bound {
        /// The carrier's name.
        system_id: COctets,
        /// sc_interface_version, when given.
        interface_version: Option<u8>,
        /// What both ends speak.
        version: Version,
    },
    /// The carrier asks us to bind, on a connection that it opened ([`crate::EsmeSession::listen`]). The owner checks the
    /// secret and answers with [`EsmeCommand::Bind`] or [`EsmeCommand::RefuseOutbind`].
    Outbind {
        /// Who asks.
        system_id: COctets,
        /// Their secret.
        password: Password,
    },
    /// The carrier refused the bind; `Closed` follows.
    BindRefused {
        /// Why.
        status: CommandStatus,
    },
    /// A request was answered.
    Answered {
        /// Of the request.
        tag: u64,
        /// Zero: accepted. A generic_nack with status zero is reported as ESME_RUNKNOWNERR.
        status: CommandStatus,
        /// The carrier's id; empty when it gave none.
        message_id: COctets,
        /// Optional parameters of the answer.
        tlvs: Tlvs,
        /// What was asked, and what only such an answer has.
        reply: Reply,
        /// How busy the carrier is, when it says so (5.0).
        congestion: Option<Congestion>,
        /// From the request to the answer.
        took: Duration,
    },
    /// A request was not answered in time: in doubt. Its slot is free; a late answer still gets reported.
    TimedOut {
        /// Of the request.
        tag: u64,
    },
    /// The answer of a request that was reported as timed out.
    LateAnswer {
        /// Of the request.
        tag: u64,
        /// As in `Answered`.
        status: CommandStatus,
        /// As in `Answered`.
        message_id: COctets,
        /// As in `Answered`.
        tlvs: Tlvs,
        /// As in `Answered`.
        reply: Reply,
        /// As in `Answered`.
        congestion: Option<Congestion>,
        /// As in `Answered`.
        took: Duration,
    },
    /// A request was not sent.
    NotSent {
        /// Of the request.
        tag: u64,
        /// Why.
        why: Refusal,
    },
    /// The carrier delivers a message or a receipt. The owner answers with [`EsmeCommand::Answer`].
    Delivered {
        /// For the answer; chosen by the carrier, which may repeat itself.
        sequence: u32,
        /// deliver_sm or data_sm.
        operation: Operation,
        /// The message with its raw TLVs.
        message: DeliverSm,
    },
    /// The session itself refused a delivery, the carrier keeps it: ESME_RX_T_APPN when too many wait for the owner,
    /// ESME_RINVBNDSTS when the bind does not allow it (or what else came before the bind was answered).
    DeliveryRefused {
        /// What it was.
        command_id: CommandId,
        /// Its number.
        sequence: u32,
        /// What it was answered with.
        status: CommandStatus,
    },
    /// alert_notification.
    Alert(AlertNotification),
    /// The carrier says how busy it is, in its answer to enquire_link (5.0).
    Congested(Congestion),
    /// An answer to nothing we have, or whose time is over; or an `Answer` command for a delivery that is not there.
    Unmatched {
        /// What it was.
        command_id: CommandId,
        /// Its number.
        sequence: u32,
        /// Its status.
        status: CommandStatus,
    },
    /// A PDU could not be decoded, or makes no sense to an ESME.
    Undecodable(Undecodable),
    /// A PDU was taken although it is not as the specification says.
    Tolerated {
        /// What it was.
        command_id: CommandId,
        /// What was wrong with it.
        quirks: ToleratedSet,
    },
    /// What was sent is less than what was to be told: the peer's version does not have all of it.
    Adapted {
        /// Of a request; `None` for an answer.
        tag: Option<u64>,
        /// What it was.
        command_id: CommandId,
        /// What was left out or changed.
        adapted: Adapted,
    },
    /// The session is over. Comes once, as the last event.
    Closed {
        /// Why.
        cause: CloseCause,
        /// Requests sent (or about to be) and neither answered nor reported as timed out, oldest deadline first.
        in_doubt: Vec<u64>,
    },
}

notice!(EsmeEvent, DeliveryRefused);
