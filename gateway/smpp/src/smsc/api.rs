//! What an SMSC session takes and tells: configuration, commands, events.

use crate::{
    address::Address,
    congestion::Congestion,
    encode::Adapted,
    end::notice,
    esme::Operation,
    octets::COctets,
    outcome::{CloseCause, Refusal, Undecodable, WindowCounts},
    password::Password,
    pdu::{
        AlertNotification, BindKind, CancelSm, DataSm, DeliverSm, QuerySm, QuerySmResp, ReplaceSm,
        SubmitMulti, SubmitSm, Unsuccess,
    },
    status::CommandStatus,
    tlv::Tlvs,
    tolerated::ToleratedSet,
};
use rusmpp_core::CommandId;
use std::time::Duration;

/// How an SMSC session behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmscConfig {
    /// Our name in bind answers.
    pub system_id: COctets,
    /// What we speak at most, 0x33, 0x34 or 0x50: sc_interface_version in bind answers, to ESMEs of 3.4 and later. Default
    /// 0x34; `None` leaves it out of the answer and speaks 3.4.
    pub interface_version: Option<u8>,
    /// From the start until an ESME has asked to bind, and again until the owner has decided. Default 30 s.
    pub bind_timeout: Duration,
    /// Submits (and other requests) waiting for the owner's answer at most; more are answered `overload_status`.
    /// Default 1000.
    pub requests: usize,
    /// What is answered beyond `requests`. Default ESME_RTHROTTLED.
    pub overload_status: CommandStatus,
    /// Unanswered deliveries at most. Default 10.
    pub window: usize,
    /// Which requests of ours take a slot of it. Default everything.
    pub window_counts: WindowCounts,
    /// A delivery unanswered for that long is reported as timed out. Default 30 s.
    pub response_timeout: Duration,
    /// enquire_link after that much silence of the peer, `None` never. Default 30 s.
    pub enquire_link: Option<Duration>,
    /// Sends it at that interval whatever the peer sends. Default no.
    pub enquire_link_always: bool,
    /// enquire_link unanswered, and nothing else received, for that long ends the session. Default 30 s.
    pub enquire_link_timeout: Duration,
    /// Only its answer counts then, not other traffic. Default no.
    pub enquire_link_strict: bool,
    /// How long the peer may send nothing at all, `None` for ever (as far as enquire_link lets it). Default `None`.
    pub silence_limit: Option<Duration>,
    /// How long the peer may leave everything unanswered while something is: then the session unbinds at once, as
    /// [`CloseCause::Unanswered`]. Default `None`: never.
    pub unanswered_limit: Option<Duration>,
    /// Unbinds after that long without anything but enquire_link, `None` never. Default never.
    pub inactivity: Option<Duration>,
    /// How long an unbind may stay unanswered. Default 5 s.
    pub unbind_timeout: Duration,
    /// How long a timed-out delivery is remembered for its late answer. Default 300 s.
    pub tombstone_ttl: Duration,
    /// How many of them at most. Default 10 000.
    pub tombstones: usize,
    /// Largest PDU taken, in bytes. Default 64 KiB.
    pub max_pdu: u32,
}

impl SmscConfig {
    /// The defaults, with this name.
    #[must_use]
    pub fn new(system_id: COctets) -> Self {
        Self {
            system_id,
            interface_version: Some(0x34),
            bind_timeout: Duration::from_secs(30),
            requests: 1000,
            overload_status: CommandStatus::THROTTLED,
            window: 10,
            window_counts: WindowCounts::Everything,
            response_timeout: Duration::from_secs(30),
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
            max_pdu: crate::framer::DEFAULT_MAX_PDU,
        }
    }
}

/// What the owner asks of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmscCommand {
    /// Take the bind that was asked for. May change the window: the account is known only now.
    AcceptBind {
        /// Unanswered deliveries at most from now on; `None` keeps the configured number.
        window: Option<usize>,
    },
    /// Refuse the bind. The session ends after the answer.
    RefuseBind {
        /// Why.
        status: CommandStatus,
    },
    /// Answer a submit (submit_sm or data_sm); to be given after the owner's durable commit.
    AnswerSubmit {
        /// `sequence` of [`SmscEvent::Submit`].
        sequence: u32,
        /// Zero: accepted.
        status: CommandStatus,
        /// Our id; left out of the answer when the status is an error.
        message_id: COctets,
    },
    /// Answer submit_multi; to be given after the owner's durable commit.
    AnswerMulti {
        /// Of the request.
        sequence: u32,
        /// Zero: accepted, as far as `unsuccess` does not say otherwise.
        status: CommandStatus,
        /// Our id for all destinations; left out of the answer when the status is an error.
        message_id: COctets,
        /// Destinations that were not taken, 255 at most; left out likewise.
        unsuccess: Vec<Unsuccess>,
    },
    /// Answer query_sm.
    AnswerQuery {
        /// Of the request.
        sequence: u32,
        /// Zero: found.
        status: CommandStatus,
        /// What is known; left out when the status is an error.
        answer: QuerySmResp,
    },
    /// Answer cancel_sm.
    AnswerCancel {
        /// Of the request.
        sequence: u32,
        /// Zero: cancelled.
        status: CommandStatus,
    },
    /// Answer replace_sm.
    AnswerReplace {
        /// Of the request.
        sequence: u32,
        /// Zero: replaced.
        status: CommandStatus,
    },
    /// Send deliver_sm. Ends as exactly one of `DeliverAnswered`, `TimedOut`, `NotSent` or an entry of
    /// `Closed::in_doubt`.
    Deliver {
        /// The owner's own name for it, unique among what is unanswered.
        tag: u64,
        /// The message or receipt.
        message: DeliverSm,
    },
    /// Send data_sm to the ESME. Ends like `Deliver`.
    DeliverData {
        /// As in `Deliver`, out of the same names.
        tag: u64,
        /// The message or receipt.
        message: DataSm,
    },
    /// Send alert_notification, which has no answer: nothing more is heard of it but a `NotSent`.
    Alert {
        /// For `NotSent`.
        tag: u64,
        /// Who is there again.
        alert: AlertNotification,
    },
    /// Tell clients of 5.0 how busy we are, in every answer from now on; `None` tells them nothing.
    Congestion(Option<Congestion>),
    /// Take no more submits, wait until everything is answered in both directions, but not longer than `within`, then
    /// unbind.
    Unbind {
        /// How long to wait for answers before the unbind goes out.
        within: Duration,
    },
}

/// What the session tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmscEvent {
    /// An ESME wants to bind. Answer with `AcceptBind` or `RefuseBind`.
    BindRequested {
        /// What for.
        kind: BindKind,
        /// Who.
        system_id: COctets,
        /// Their secret.
        password: Password,
        /// Mostly empty.
        system_type: COctets,
        /// 0x34 for SMPP 3.4.
        interface_version: u8,
        /// Mostly empty.
        address_range: Address,
    },
    /// The ESME submits. Answer with `AnswerSubmit`.
    Submit {
        /// For the answer; chosen by the ESME, which may repeat itself.
        sequence: u32,
        /// submit_sm or data_sm.
        operation: Operation,
        /// The message with its raw TLVs.
        message: SubmitSm,
    },
    /// submit_multi. Answer with `AnswerMulti`.
    SubmitMulti {
        /// For the answer.
        sequence: u32,
        /// The message and its destinations.
        message: SubmitMulti,
    },
    /// query_sm. Answer with `AnswerQuery`.
    Query {
        /// For the answer.
        sequence: u32,
        /// Which message.
        query: QuerySm,
    },
    /// cancel_sm. Answer with `AnswerCancel`.
    Cancel {
        /// For the answer.
        sequence: u32,
        /// Which message.
        cancel: CancelSm,
    },
    /// replace_sm. Answer with `AnswerReplace`.
    Replace {
        /// For the answer.
        sequence: u32,
        /// Which message, by what.
        replace: ReplaceSm,
    },
    /// The session itself refused a request: wrong bind state, unbinding, too many unanswered, or not served.
    RequestRefused {
        /// What it was.
        command_id: CommandId,
        /// Its number.
        sequence: u32,
        /// What it was answered with.
        status: CommandStatus,
    },
    /// A delivery was answered.
    DeliverAnswered {
        /// Of the delivery.
        tag: u64,
        /// Zero: taken. A generic_nack with status zero is reported as ESME_RUNKNOWNERR.
        status: CommandStatus,
        /// Optional parameters of the answer.
        tlvs: Tlvs,
    },
    /// A delivery was not answered in time. Its slot is free; a late answer still gets reported.
    TimedOut {
        /// Of the delivery.
        tag: u64,
    },
    /// The answer of a delivery that was reported as timed out.
    LateAnswer {
        /// Of the delivery.
        tag: u64,
        /// As in `DeliverAnswered`.
        status: CommandStatus,
    },
    /// A delivery was not sent.
    NotSent {
        /// Of the delivery.
        tag: u64,
        /// Why.
        why: Refusal,
    },
    /// The ESME says how busy it is, in its answer to enquire_link (5.0).
    Congested(Congestion),
    /// An answer to nothing we have, or whose time is over; or a command answering a request that is not there.
    Unmatched {
        /// What it was.
        command_id: CommandId,
        /// Its number.
        sequence: u32,
        /// Its status.
        status: CommandStatus,
    },
    /// A PDU could not be decoded, or makes no sense to an SMSC.
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
        /// Deliveries sent (or about to be) and neither answered nor reported as timed out, oldest deadline first.
        in_doubt: Vec<u64>,
    },
}

notice!(SmscEvent, RequestRefused);
