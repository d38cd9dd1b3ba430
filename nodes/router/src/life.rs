//! The life of a message: what each thing that happens makes of its record, its log and its reports.
//!
//! Pure machine over one [`MessageLife`]; knows no queue, no key and no clock. Every `handle_*` changes parts and adds what
//! follows for the whole ([`conclude`]) to [`Changes`].
//!
//! Invariant LF-1: a message becomes final once, with one [`EventName::MtFinal`] and at most one final report; what
//! comes later changes nothing and is counted as a duplicate.
//! Invariant LF-2: no event and no line of a life holds content or a number.

mod told;

use told::spoken;
pub(crate) use told::{Surplus, end_unspoken, handle_receipt, surplus};

use crate::failover::{self, Retry};
use crate::recut::Recut;
use crate::reroute;
use smsgw_config::LongReceipts;
pub(crate) use smsgw_message::whole::{Changes, Due, NO_RECEIPT, conclude};
use smsgw_message::{
    EventName, InDoubt, LifeEvent, MessageLife, MessageState, OperatorId, PartLife, ReceiptState,
    SubmitOutcome, SubmitResult, Timestamp,
};
use smsgw_routing::{Decision, Refusal};

/// Error word of a message or part whose validity ended here.
pub(crate) const EXPIRED: &str = "expired";
/// Error word of a part that its client has withdrawn.
pub(crate) const CANCELLED: &str = "cancelled";
/// Error word of a part that was in doubt where the operator's policy is to reject.
pub(crate) const IN_DOUBT: &str = "in_doubt";

/// There is no part of this number: the input does not belong to this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoSuchPart;

/// What a carrier's state means for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// On its way still.
    Intermediate,
    /// The end.
    Final(MessageState),
}

/// What a carrier's state means where its operator configures nothing.
pub(crate) fn meaning(state: ReceiptState) -> Meaning {
    match state {
        ReceiptState::Enroute | ReceiptState::Accepted => Meaning::Intermediate,
        ReceiptState::Delivered => Meaning::Final(MessageState::Delivered),
        ReceiptState::Expired => Meaning::Final(MessageState::Expired),
        ReceiptState::Deleted => Meaning::Final(MessageState::Cancelled),
        ReceiptState::Undeliverable | ReceiptState::Unknown => Meaning::Final(MessageState::Failed),
        ReceiptState::Rejected => Meaning::Final(MessageState::Rejected),
    }
}

/// The carrier's word for a state (SMPP 3.4 Appendix B).
pub(crate) fn word(state: ReceiptState) -> &'static str {
    match state {
        ReceiptState::Enroute => "ENROUTE",
        ReceiptState::Delivered => "DELIVRD",
        ReceiptState::Expired => "EXPIRED",
        ReceiptState::Deleted => "DELETED",
        ReceiptState::Undeliverable => "UNDELIV",
        ReceiptState::Accepted => "ACCEPTD",
        ReceiptState::Unknown => "UNKNOWN",
        ReceiptState::Rejected => "REJECTD",
    }
}

/// The router chose an operator: every part is on its way to it.
pub(crate) fn handle_routed(
    life: &mut MessageLife,
    decision: &Decision<'_>,
    now: Timestamp,
    out: &mut Changes,
) {
    out.events.push(life.give(&decision.routed(), now));
    conclude(life, now, out);
}

/// The parts are those that the chosen operator carries.
pub(crate) fn handle_recut(
    life: &mut MessageLife,
    recut: Recut,
    operator: &OperatorId,
    now: Timestamp,
    out: &mut Changes,
) {
    let Recut {
        encoding,
        parts,
        word,
    } = recut;
    if encoding != life.message.encoding
        && let Some(options) = &mut life.message.options
    {
        // It told of the octets as they were.
        options.data_coding = None;
    }
    let detail = format!("{} parts, were {}", parts.len(), life.parts.len());
    life.message.encoding = encoding;
    life.message.parts = parts;
    if let (Some(word), Some(part)) = (word, life.parts.first().cloned()) {
        life.parts = vec![part; life.message.parts.len()];
        note(
            life,
            now,
            EventName::MtRecut,
            None,
            Some(format!("{word}: {detail}")),
        );
        let mut event = life.event(now, EventName::MtRecut);
        event.operator = Some(operator.clone());
        out.events.push(event);
    }
}

/// No route applies, or the one that does refuses it.
pub(crate) fn handle_unroutable(life: &mut MessageLife, refusal: Refusal, now: Timestamp, out: &mut Changes) {
    let error = refusal.as_str();
    life.route = refusal.route().and_then(|route| u32::try_from(route).ok());
    end_open_parts(life, |_| (MessageState::Rejected, error));
    note(life, now, EventName::MtUnroutable, None, Some(error.to_owned()));
    let mut event = life.event(now, EventName::MtUnroutable);
    event.error = Some(error.to_owned());
    out.events.push(event);
    conclude(life, now, out);
}

/// Its validity ended before it was routed.
pub(crate) fn handle_late(life: &mut MessageLife, now: Timestamp, out: &mut Changes) {
    end_open_parts(life, |_| (MessageState::Expired, EXPIRED));
    conclude(life, now, out);
}

/// Its client wants it withdrawn. What no operator has (none was given it yet, or one gave it back) ends here; true when parts are with operators and unsent.
pub(crate) fn handle_cancel(life: &mut MessageLife, now: Timestamp, out: &mut Changes) -> bool {
    note(life, now, EventName::MtCancelRequested, None, None);
    out.events.push(life.event(now, EventName::MtCancelRequested));
    out.changed = true;
    let is_nowhere = |part: &PartLife| part.via.is_none() || reroute::is_waiting(part);
    for part in life
        .parts
        .iter_mut()
        .filter(|part| !part.is_final && is_nowhere(part))
    {
        // One that an operator has, and that was to go to another for its silence or failure, cannot be called back.
        match part.fallback {
            Some(_) => failover::give_up(part),
            None => {
                end(part, MessageState::Cancelled, CANCELLED);
            }
        }
    }
    conclude(life, now, out);
    life.parts
        .iter()
        .any(|part| !part.is_final && part.state == MessageState::Queued)
}

/// Nothing more will come: the alarm behind validity and grace went off. Does nothing to a final message.
pub(crate) fn handle_alarm(life: &mut MessageLife, now: Timestamp, out: &mut Changes) {
    if life.is_final {
        return;
    }
    end_open_parts(life, |part| match part.state {
        MessageState::Sent => (MessageState::Expired, NO_RECEIPT),
        MessageState::Accepted
        | MessageState::Scheduled
        | MessageState::Queued
        | MessageState::Delivered
        | MessageState::Failed
        | MessageState::Expired
        | MessageState::Rejected
        | MessageState::Cancelled => (MessageState::Expired, EXPIRED),
    });
    conclude(life, now, out);
}

/// A carrier has answered for a part, or the part was given up. `sent` is final where no receipt can come: none was
/// asked for, or the carrier gave no id.
pub(crate) fn handle_submit_result(
    life: &mut MessageLife,
    result: &SubmitResult,
    rule: LongReceipts,
    out: &mut Changes,
) -> Result<(), NoSuchPart> {
    let operator = &result.via.operator;
    let spoken = spoken(life, rule, &result.via);
    let repeated = reroute::is_repeated(life, result);
    let part = part_mut(life, result.part)?;
    if part.is_final || repeated {
        out.duplicates += 1;
        return Ok(());
    }
    part.via = Some(result.via.clone());
    part.link = result.link.clone();
    // The operator's own step has told the events log; here it becomes a line of the message's life.
    let (name, error) = match &result.outcome {
        SubmitOutcome::Sent { carrier_id } => {
            part.state = MessageState::Sent;
            part.error = None;
            part.carrier_id = Some(carrier_id.clone()).filter(|id| !id.is_empty());
            part.is_final = !result.receipt_asked || carrier_id.is_empty();
            if let (Some((state, error)), true) = (spoken, result.receipt_asked) {
                part.state = state;
                part.error = error;
                part.is_final = true;
            }
            (EventName::MtSent, None)
        }
        SubmitOutcome::Refused { error, status: _ } => match result.reroute {
            Some(reason) => reroute::wait(part, operator, error, reason),
            None => (end(part, MessageState::Rejected, error), Some(error.clone())),
        },
        SubmitOutcome::Expired => (
            end(part, MessageState::Expired, EXPIRED),
            Some(EXPIRED.to_owned()),
        ),
        SubmitOutcome::Cancelled => (
            end(part, MessageState::Cancelled, CANCELLED),
            Some(CANCELLED.to_owned()),
        ),
        SubmitOutcome::InDoubt => (
            end(part, MessageState::Rejected, IN_DOUBT),
            Some(IN_DOUBT.to_owned()),
        ),
    };
    let detail = error.unwrap_or_else(|| operator.as_str().to_owned());
    note(life, result.at, name, Some(result.part), Some(detail));
    end_unspoken(life, rule, &result.via);
    conclude(life, result.at, out);
    Ok(())
}

/// A part was written to a carrier, not answered, and goes out again.
pub(crate) fn handle_in_doubt(life: &mut MessageLife, doubt: &InDoubt, out: &mut Changes) {
    let detail = format!("{}: {}", doubt.via.operator, doubt.detail);
    note(
        life,
        doubt.at,
        EventName::MtInDoubt,
        Some(doubt.part),
        Some(detail),
    );
    out.changed = true;
}

fn part_of(life: &MessageLife, number: u16) -> Result<&PartLife, NoSuchPart> {
    usize::from(number)
        .checked_sub(1)
        .and_then(|index| life.parts.get(index))
        .ok_or(NoSuchPart)
}

fn part_mut(life: &mut MessageLife, number: u16) -> Result<&mut PartLife, NoSuchPart> {
    usize::from(number)
        .checked_sub(1)
        .and_then(|index| life.parts.get_mut(index))
        .ok_or(NoSuchPart)
}

pub(crate) fn end(part: &mut PartLife, state: MessageState, error: &str) -> EventName {
    part.state = state;
    part.error = Some(error.to_owned());
    part.is_final = true;
    EventName::MtRefused
}

fn end_open_parts(life: &mut MessageLife, how: impl Fn(&PartLife) -> (MessageState, &'static str)) {
    for part in life.parts.iter_mut().filter(|part| !part.is_final) {
        let (state, error) = how(part);
        end(part, state, error);
    }
}

pub(crate) fn note(
    life: &mut MessageLife,
    at: Timestamp,
    event: EventName,
    part: Option<u16>,
    detail: Option<String>,
) {
    life.note(LifeEvent {
        at,
        event,
        part,
        detail,
    });
}
