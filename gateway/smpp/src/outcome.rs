//! Words that both ends of a session share in their events: why a session ended, why a request was not taken, what could
//! not be decoded.

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
    /// We left because the peer lives and yet answers no submits.
    Unanswered,
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
            Self::BindRefused(_) => "bind_refused",
            Self::BindTimeout => "bind_timeout",
            Self::Unbound => "unbound",
            Self::UnbindTimeout => "unbind_timeout",
            Self::PeerUnbound => "peer_unbound",
            Self::EnquireLinkTimeout => "enquire_link_timeout",
            Self::Inactive => "inactive",
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
            | Self::Unanswered
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
