//! Which operation is allowed in which state of a session, from which end, in which version: the operation matrices of
//! SMPP 3.3, SMPP 3.4 (§2.3, table 2-1) and SMPP 5.0 (§2.4) as one table.
//!
//! Knows no session; both ends ask it before they send and when they receive. Invariant MA-1: every command id has
//! exactly one judgement for each version, state and end.
//!
//! Where practice is wider than a page, the page of 5.0 holds for all versions: enquire_link and generic_nack in every
//! state (3.4: bound only; clients probe before they bind), replace_sm and submit_multi also on a transceiver (3.4 forgets
//! the former), any bind after outbind (3.4: bind_receiver).
//!
//! # Limits
//! param_retrieve, query_last_msgs and query_msg_details of 3.3 are judged unknown: nobody serves them any more.

use crate::{pdu::BindKind, status::CommandStatus, version::Version};
use rusmpp_core::CommandId;

/// What a bind of that kind speaks: a transceiver is 3.4 at least, whatever its interface_version says.
#[must_use]
pub fn version_of_bind(kind: BindKind, interface_version: u8) -> Version {
    let stated = Version::from_octet(interface_version);
    match kind {
        BindKind::Transceiver => stated.max(Version::V3_4),
        BindKind::Transmitter | BindKind::Receiver => stated,
    }
}

/// State of a session, the same word at both ends (SMPP 5.0 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Connected, nobody has asked for a bind, or the bind is not answered.
    Open,
    /// The SMSC has sent outbind.
    Outbound,
    /// Bound as transmitter.
    BoundTx,
    /// Bound as receiver.
    BoundRx,
    /// Bound as transceiver.
    BoundTrx,
    /// The unbind is answered; the connection is still there.
    Unbound,
    /// No connection.
    Closed,
}

impl SessionState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Outbound,
        Self::BoundTx,
        Self::BoundRx,
        Self::BoundTrx,
        Self::Unbound,
        Self::Closed,
    ];

    /// The state of a session bound like that.
    #[must_use]
    pub const fn bound(kind: BindKind) -> Self {
        match kind {
            BindKind::Transmitter => Self::BoundTx,
            BindKind::Receiver => Self::BoundRx,
            BindKind::Transceiver => Self::BoundTrx,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Open => OPEN,
            Self::Outbound => OUTBOUND,
            Self::BoundTx => TX,
            Self::BoundRx => RX,
            Self::BoundTrx => TRX,
            Self::Unbound => UNBOUND,
            Self::Closed => NEVER,
        }
    }
}

/// An end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client's end.
    Esme,
    /// The carrier's end; message centre (MC) in 5.0.
    Smsc,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Esme => Self::Smsc,
            Self::Smsc => Self::Esme,
        }
    }
}

/// What the matrix says about a PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// It may be sent.
    Allowed,
    /// That end may send it, but not in this state.
    WrongState,
    /// Only the other end may send it.
    WrongSide,
    /// The version does not have it.
    Unknown,
}

impl Judgement {
    /// What a request judged like that is answered with. `bound`: whether the session is bound, where a second bind has
    /// its own status (SMPP 3.4 §5.1.3).
    #[must_use]
    pub const fn status(self, command: CommandId, bound: bool) -> Option<CommandStatus> {
        match self {
            Self::Allowed => None,
            Self::WrongState if bound && is_bind(command) => Some(CommandStatus::ALREADY_BOUND),
            Self::WrongState | Self::WrongSide => Some(CommandStatus::INVALID_BIND_STATUS),
            Self::Unknown => Some(CommandStatus::INVALID_COMMAND_ID),
        }
    }
}

const NEVER: u8 = 0;
const OPEN: u8 = 1;
const OUTBOUND: u8 = 1 << 1;
const TX: u8 = 1 << 2;
const RX: u8 = 1 << 3;
const TRX: u8 = 1 << 4;
const UNBOUND: u8 = 1 << 5;
const BEFORE: u8 = OPEN | OUTBOUND;
const SENDS: u8 = TX | TRX;
const TAKES: u8 = RX | TRX;
const BOUND: u8 = TX | RX | TRX;
const ANY: u8 = BEFORE | BOUND | UNBOUND;

/// Of one request: the first version that has it, and the states in which each end may send it.
struct Row {
    since: Version,
    esme: u8,
    smsc: u8,
}

/// The table. `None`: no version has it. Answers are looked up by their request.
const fn row(request: CommandId) -> Option<Row> {
    use Version::{V3_3, V3_4, V5_0};
    let (since, esme, smsc) = match request {
        CommandId::BindTransmitter | CommandId::BindReceiver => (V3_3, BEFORE, NEVER),
        CommandId::BindTransceiver => (V3_4, BEFORE, NEVER),
        CommandId::Outbind => (V3_4, NEVER, OPEN),
        CommandId::Unbind => (V3_3, BOUND, BOUND),
        CommandId::EnquireLink => (V3_3, ANY, ANY),
        CommandId::SubmitSm
        | CommandId::SubmitMulti
        | CommandId::QuerySm
        | CommandId::CancelSm
        | CommandId::ReplaceSm => (V3_3, SENDS, NEVER),
        CommandId::DataSm => (V3_4, SENDS, TAKES),
        CommandId::DeliverSm => (V3_3, NEVER, TAKES),
        CommandId::AlertNotification => (V3_4, NEVER, TAKES),
        CommandId::BroadcastSm | CommandId::QueryBroadcastSm | CommandId::CancelBroadcastSm => {
            (V5_0, SENDS, NEVER)
        }
        CommandId::GenericNack
        | CommandId::BindReceiverResp
        | CommandId::BindTransmitterResp
        | CommandId::BindTransceiverResp
        | CommandId::QuerySmResp
        | CommandId::SubmitSmResp
        | CommandId::DeliverSmResp
        | CommandId::UnbindResp
        | CommandId::ReplaceSmResp
        | CommandId::CancelSmResp
        | CommandId::EnquireLinkResp
        | CommandId::SubmitMultiResp
        | CommandId::DataSmResp
        | CommandId::BroadcastSmResp
        | CommandId::QueryBroadcastSmResp
        | CommandId::CancelBroadcastSmResp
        | CommandId::Other(_) => return None,
    };
    Some(Row { since, esme, smsc })
}

/// Whether `sender` may send `command` in that state and version.
#[must_use]
pub fn judge(version: Version, state: SessionState, sender: Side, command: CommandId) -> Judgement {
    if command == CommandId::GenericNack {
        return allowed(ANY, ANY, state);
    }
    // An answer may be sent where its request may be received.
    let (request, asks) = if command.is_operation() {
        (command, sender)
    } else {
        (command.matching_request(), sender.other())
    };
    if !command.is_operation() && !has_answer(request) {
        return Judgement::Unknown;
    }
    let Some(Row { since, esme, smsc }) = row(request) else {
        return Judgement::Unknown;
    };
    if version < since {
        return Judgement::Unknown;
    }
    match asks {
        Side::Esme => allowed(esme, smsc, state),
        Side::Smsc => allowed(smsc, esme, state),
    }
}

const fn allowed(own: u8, others: u8, state: SessionState) -> Judgement {
    if own & state.bit() != 0 {
        Judgement::Allowed
    } else if own == NEVER && others != NEVER {
        Judgement::WrongSide
    } else {
        Judgement::WrongState
    }
}

/// Whether a request has an answer: all but outbind and alert_notification.
#[must_use]
pub const fn has_answer(request: CommandId) -> bool {
    !matches!(request, CommandId::Outbind | CommandId::AlertNotification)
}

const fn is_bind(command: CommandId) -> bool {
    matches!(
        command,
        CommandId::BindTransmitter | CommandId::BindReceiver | CommandId::BindTransceiver
    )
}

#[cfg(test)]
mod tests;
