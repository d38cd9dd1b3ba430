//! Words that both ends of a session share: why a session ended, why a request was not taken, what could not be decoded,
//! what is held.

use crate::{decode::DecodeError, status::CommandStatus};
use bytes::Bytes;
use std::fmt;
use thiserror::Error;

/// Why a session ended. Each variant is a log word and a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The SMSC refused the bind.
    BindRefused(CommandStatus),
    /// Nobody bound, or nobody answered the bind, in time.
    BindTimeout,
    /// We unbound and the peer confirmed.
    Unbound,
    /// We unbound and the peer did not confirm in time.
    UnbindTimeout,
    /// The peer unbound.
    PeerUnbound,
    /// The peer did not answer enquire_link.
    EnquireLinkTimeout,
    /// Nothing but enquire_link for the inactivity time.
    Inactive,
    /// Nothing at all came for longer than the peer may be silent.
    Silent,
    /// We left because the peer lives and yet answers nothing we ask.
    Unanswered,
    /// The SMSC asked us to bind and the owner did not want to.
    OutbindRefused,
    /// command_length below 16 or above the limit: the stream cannot be cut any more.
    BadLength(u32),
    /// The peer closed, or the transport failed.
    Lost,
}

impl CloseCause {
    /// The word for logs and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            // A ghost of our last session, most often: waiting is all there is to do.
            Self::BindRefused(CommandStatus::ALREADY_BOUND) => "already_bound",
            Self::BindRefused(_) => "bind_refused",
            Self::BindTimeout => "bind_timeout",
            Self::Unbound => "unbound",
            Self::UnbindTimeout => "unbind_timeout",
            Self::PeerUnbound => "peer_unbound",
            Self::EnquireLinkTimeout => "enquire_link_timeout",
            Self::Inactive => "inactive",
            Self::Silent => "silent",
            Self::OutbindRefused => "outbind_refused",
            Self::Unanswered => "unanswered",
            Self::BadLength(_) => "bad_length",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BindRefused(status) => write!(f, "bind refused with {status}"),
            Self::BadLength(length) => write!(f, "command_length {length} is impossible"),
            Self::BindTimeout
            | Self::Unbound
            | Self::UnbindTimeout
            | Self::PeerUnbound
            | Self::EnquireLinkTimeout
            | Self::Inactive
            | Self::Silent
            | Self::Unanswered
            | Self::OutbindRefused
            | Self::Lost => f.write_str(self.name()),
        }
    }
}

/// Why a request was not sent. Nothing went to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not bound yet.
    #[error("the session is not bound")]
    NotBound,
    /// Bound the other way: a receiver cannot submit, a transmitter gets no deliveries.
    #[error("the bind does not allow it")]
    WrongBind,
    /// Unbinding.
    #[error("the session is unbinding")]
    Draining,
    /// What both ends speak does not have the operation, or a parameter without which the message means something else.
    #[error("the peer's version does not have it")]
    NotInVersion,
    /// As many requests as the window allows are unanswered.
    #[error("the window is full")]
    WindowFull,
    /// The session is over.
    #[error("the session is over")]
    Closed,
    /// The message does not fit a PDU, or one of its fields does not fit its place.
    #[error("the message does not fit a PDU")]
    DoesNotFit,
}

/// Which requests take a slot of the window. What does not take one is bounded by the same number, apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WindowCounts {
    /// Every request but those about the session itself.
    #[default]
    Everything,
    /// submit_sm, submit_multi, data_sm and deliver_sm only; query_sm, cancel_sm and replace_sm go beside.
    Messages,
}

/// What a session holds in memory, as numbers. All are zero once it is over and its output is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Requests of ours without an answer.
    pub unanswered: usize,
    /// Timed-out requests remembered for a late answer.
    pub tombstones: usize,
    /// Requests of the peer that wait for the owner's answer.
    pub waiting: usize,
    /// Octets received that are no whole PDU yet.
    pub input: usize,
    /// Octets to be sent.
    pub output: usize,
}

/// A PDU that could not be decoded. It was answered and disturbed nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// command_id as received.
    pub command_id: u32,
    /// sequence_number as received.
    pub sequence: u32,
    /// What was wrong.
    pub error: DecodeError,
    /// What it was answered with; `None` when it was itself an answer, which has none.
    pub answered: Option<CommandStatus>,
    /// The whole PDU.
    pub raw: Bytes,
}
