//! For tests of both ends: one of each request, and the answer that the matrix calls for.

use crate::{
    address::Address,
    answer::error_answer,
    matrix::{Judgement, SessionState, Side, has_answer, judge},
    octets::COctets,
    password::Password,
    pdu::{
        AlertNotification, Bind, BindKind, Body, BroadcastSm, CancelBroadcastSm, CancelSm, Destination, Pdu,
        QueryBroadcastSm, QuerySm, Raw, ReplaceSm, ShortMessage, SubmitMulti,
    },
    version::Version,
};
use bytes::Bytes;
use rusmpp_core::CommandId;

pub(crate) fn multi() -> SubmitMulti {
    SubmitMulti {
        destinations: vec![
            Destination::Sme(Address::international("491700000001").expect("no NUL")),
            Destination::List(COctets::until_nul(b"friends")),
        ],
        short_message: Bytes::from_static(b"Hello"),
        ..SubmitMulti::default()
    }
}

/// One of each request of any version, and one of none.
pub(crate) fn requests() -> Vec<Body> {
    vec![
        Body::Bind(BindKind::Transmitter, Bind::default()),
        Body::Bind(BindKind::Receiver, Bind::default()),
        Body::Bind(BindKind::Transceiver, Bind::default()),
        Body::Outbind {
            system_id: COctets::until_nul(b"SMSC"),
            password: Password::default(),
        },
        Body::Unbind,
        Body::EnquireLink,
        Body::SubmitSm(ShortMessage::default()),
        Body::SubmitMulti(multi()),
        Body::DataSm(ShortMessage::default()),
        Body::DeliverSm(ShortMessage::default()),
        Body::QuerySm(QuerySm::default()),
        Body::CancelSm(CancelSm::default()),
        Body::ReplaceSm(ReplaceSm::default()),
        Body::AlertNotification(AlertNotification::default()),
        Body::BroadcastSm(BroadcastSm::default()),
        Body::QueryBroadcastSm(QueryBroadcastSm::default()),
        Body::CancelBroadcastSm(CancelBroadcastSm::default()),
        Body::Raw(Raw {
            command_id: 0x0001_0000,
            octets: Bytes::from_static(b"vendor"),
        }),
    ]
}

/// The states that a session can be put into.
pub(crate) const STATES: [Option<BindKind>; 4] = [
    None,
    Some(BindKind::Transmitter),
    Some(BindKind::Receiver),
    Some(BindKind::Transceiver),
];

/// What a refused request is answered with, `None` when it is not refused; the inner `None` when it has no answer.
pub(crate) fn refusal(
    version: Version,
    kind: Option<BindKind>,
    sender: Side,
    command: CommandId,
) -> Option<Option<Pdu>> {
    let state = kind.map_or(SessionState::Open, SessionState::bound);
    let judgement = judge(version, state, sender, command);
    let status = judgement.status(command, kind.is_some())?;
    let body = match judgement {
        Judgement::Unknown => Body::GenericNack,
        Judgement::Allowed | Judgement::WrongState | Judgement::WrongSide => error_answer(command),
    };
    Some((judgement == Judgement::Unknown || has_answer(command)).then(|| Pdu::answer(7, status, body)))
}
