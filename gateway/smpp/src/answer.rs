//! Which answer belongs to which request.
//!
//! Knows command ids and bodies, no session. Invariant AN-1: every request that has an answer has an error answer that
//! encodes.

use crate::{
    matrix::has_answer,
    pdu::{BindKind, BindResp, Body, MessageResp, QuerySmResp, SubmitMultiResp},
    status::CommandStatus,
    tlv::Tlvs,
};
use rusmpp_core::CommandId;

/// Whether such an answer can be meant for such a request. Some peers answer data_sm or submit_multi as if they had been
/// submit_sm, and one delivery as if it were the other; generic_nack may answer anything.
pub(crate) fn answers(response: CommandId, request: CommandId) -> bool {
    match response {
        CommandId::GenericNack => true,
        CommandId::SubmitSmResp | CommandId::SubmitMultiResp => matches!(
            request,
            CommandId::SubmitSm | CommandId::SubmitMulti | CommandId::DataSm
        ),
        CommandId::DataSmResp => matches!(
            request,
            CommandId::SubmitSm | CommandId::SubmitMulti | CommandId::DataSm | CommandId::DeliverSm
        ),
        CommandId::DeliverSmResp => matches!(request, CommandId::DeliverSm | CommandId::DataSm),
        _ => response == request.matching_response(),
    }
}

/// Answers have none themselves, nor have outbind and alert_notification to those who know them.
pub(crate) fn is_answered(command_id: u32, unknown: bool) -> bool {
    let id = CommandId::from(command_id);
    id.is_operation() && (unknown || has_answer(id))
}

/// The answer to a request, without any field; generic_nack where the request is not known.
pub(crate) fn error_answer(request: CommandId) -> Body {
    match request {
        CommandId::SubmitSm => Body::SubmitSmResp(MessageResp::default()),
        CommandId::DeliverSm => Body::DeliverSmResp(MessageResp::default()),
        CommandId::DataSm => Body::DataSmResp(MessageResp::default()),
        CommandId::QuerySm => Body::QuerySmResp(QuerySmResp::default()),
        CommandId::CancelSm => Body::CancelSmResp(Tlvs::new()),
        CommandId::ReplaceSm => Body::ReplaceSmResp(Tlvs::new()),
        CommandId::BindTransmitter => Body::BindResp(BindKind::Transmitter, BindResp::default()),
        CommandId::BindReceiver => Body::BindResp(BindKind::Receiver, BindResp::default()),
        CommandId::BindTransceiver => Body::BindResp(BindKind::Transceiver, BindResp::default()),
        CommandId::Unbind => Body::UnbindResp,
        CommandId::EnquireLink => Body::EnquireLinkResp(Tlvs::new()),
        CommandId::SubmitMulti => Body::SubmitMultiResp(SubmitMultiResp::default()),
        CommandId::BroadcastSm => Body::BroadcastSmResp(MessageResp::default()),
        CommandId::QueryBroadcastSm => Body::QueryBroadcastSmResp(MessageResp::default()),
        CommandId::CancelBroadcastSm => Body::CancelBroadcastSmResp(Tlvs::new()),
        _ => Body::GenericNack,
    }
}

/// An error, never zero: a generic_nack that says success makes no sense.
pub(crate) fn nack_status(status: CommandStatus) -> CommandStatus {
    if status.is_ok() {
        CommandStatus::UNKNOWN_ERROR
    } else {
        status
    }
}
