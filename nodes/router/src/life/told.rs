//! What a receipt makes of a life, and which receipts speak for a long message.
//!
//! Pure, like the rest of the life. Invariant TO-1: a receipt that changes nothing has one reason for it, and a part that is
//! final stays what it is, unless it was delivered after all.

use super::{
    Changes, EXPIRED, Meaning, NO_RECEIPT, NoSuchPart, Retry, conclude, failover, note, part_mut, part_of,
    word,
};
use crate::reroute;
use smsgw_config::LongReceipts;
use smsgw_message::{EventName, MessageLife, MessageState, OperatorId, PartLife, Receipt, Via};

/// Why a receipt changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surplus {
    /// Another one has ended the part.
    Duplicate,
    /// The part was given up before it came.
    Late,
    /// None was asked for: the part was final when it was sent.
    Unrequested,
    /// It is from an operator that the part went away from.
    Elsewhere,
}

/// Why a receipt of this operator for this part will change nothing; `None` while the part is open, and its own or delivered.
pub(crate) fn surplus(
    life: &MessageLife,
    number: u16,
    operator: &OperatorId,
    meaning: Meaning,
) -> Option<Surplus> {
    let index = usize::from(number).checked_sub(1)?;
    let part = life.parts.get(index)?;
    if reroute::is_elsewhere(part, operator) && !failover::is_delivered_elsewhere(life, part, meaning) {
        return Some(Surplus::Elsewhere);
    }
    if !part.is_final {
        return None;
    }
    let given_up = [NO_RECEIPT, EXPIRED].map(Some).contains(&part.error.as_deref());
    Some(match (part.state, given_up) {
        (MessageState::Sent, _) => Surplus::Unrequested,
        (_, true) => Surplus::Late,
        (_, false) => Surplus::Duplicate,
    })
}

/// The part whose receipt alone is asked for.
fn speaker(parts: &[PartLife], rule: LongReceipts) -> Option<&PartLife> {
    match rule {
        LongReceipts::All | LongReceipts::Any => None,
        LongReceipts::First => parts.first(),
        LongReceipts::Last => parts.last(),
    }
}

/// What a receipt has said of the whole message, for parts that the carrier takes after that.
pub(super) fn spoken(
    life: &MessageLife,
    rule: LongReceipts,
    via: &Via,
) -> Option<(MessageState, Option<String>)> {
    let by_receipt =
        |part: &&PartLife| part.is_final && part.carrier_id.is_some() && part.via.as_ref() == Some(via);
    let part = match rule {
        LongReceipts::All => None,
        LongReceipts::Any => life.parts.iter().find(by_receipt),
        LongReceipts::First | LongReceipts::Last => speaker(&life.parts, rule).filter(by_receipt),
    }?;
    Some((part.state, part.error.clone()))
}

/// The only part that a receipt was asked of has ended without one, or went to another carrier: the others have none to
/// wait for here.
pub(crate) fn end_unspoken(life: &mut MessageLife, rule: LongReceipts, via: &Via) {
    let silent = speaker(&life.parts, rule)
        .is_some_and(|part| part.via.as_ref() != Some(via) || (part.is_final && part.carrier_id.is_none()));
    if silent {
        for part in taken(&mut life.parts, via) {
            part.is_final = true;
        }
    }
}

/// The open parts that this carrier has taken.
fn taken<'a>(parts: &'a mut [PartLife], via: &'a Via) -> impl Iterator<Item = &'a mut PartLife> {
    parts.iter_mut().filter(move |part| {
        !part.is_final && part.state == MessageState::Sent && part.via.as_ref() == Some(via)
    })
}

/// A receipt was matched with a part. Where `retry` is set, a failure that it tells of is not the end: another operator is
/// looked for, and the failure counts when there is none.
pub(crate) fn handle_receipt(
    life: &mut MessageLife,
    number: u16,
    receipt: &Receipt,
    meaning: Meaning,
    rule: LongReceipts,
    retry: Option<Retry>,
    out: &mut Changes,
) -> Result<(), NoSuchPart> {
    let part = part_of(life, number)?;
    let is_elsewhere = reroute::is_elsewhere(part, &receipt.via.operator);
    let counts_all_the_same = is_elsewhere && failover::is_delivered_elsewhere(life, part, meaning);
    let part = part_mut(life, number)?;
    if part.is_final || (is_elsewhere && !counts_all_the_same) {
        out.duplicates += 1;
        return Ok(());
    }
    if counts_all_the_same {
        // The attempt that delivered it is the one that counts; what the later one tells is a duplicate.
        part.via = Some(receipt.via.clone());
        part.carrier_id = Some(receipt.carrier_id.clone());
    }
    let detail = Some(word(receipt.state).to_owned());
    match meaning {
        Meaning::Intermediate => {
            note(life, receipt.at, EventName::MtProgress, Some(number), detail);
            let mut event = life.event(receipt.at, EventName::MtProgress);
            event.operator = Some(receipt.via.operator.clone());
            event.parts = 1;
            out.events.push(event);
        }
        Meaning::Final(state) if retry.is_some() => {
            let error = carriers_error(receipt);
            let operator = &receipt.via.operator;
            let retry = retry.unwrap_or_default();
            failover::wait(part, operator, state, &error, retry);
            match rule {
                LongReceipts::All => {}
                LongReceipts::Any | LongReceipts::First | LongReceipts::Last => {
                    for other in taken(&mut life.parts, &receipt.via) {
                        failover::wait(other, operator, state, &error, retry);
                    }
                }
            }
            note(life, receipt.at, EventName::DrReceived, Some(number), detail);
        }
        Meaning::Final(state) => {
            part.state = state;
            part.is_final = true;
            part.silent_at = None;
            part.error = match state {
                MessageState::Delivered | MessageState::Sent => None,
                MessageState::Accepted
                | MessageState::Scheduled
                | MessageState::Queued
                | MessageState::Failed
                | MessageState::Expired
                | MessageState::Rejected
                | MessageState::Cancelled => Some(carriers_error(receipt)),
            };
            let error = part.error.clone();
            match rule {
                LongReceipts::All => {}
                LongReceipts::Any | LongReceipts::First | LongReceipts::Last => {
                    for other in taken(&mut life.parts, &receipt.via) {
                        other.state = state;
                        other.error.clone_from(&error);
                        other.is_final = true;
                    }
                }
            }
            note(life, receipt.at, EventName::DrReceived, Some(number), detail);
        }
    }
    conclude(life, receipt.at, out);
    Ok(())
}

/// The carrier's code, or its word where the code says nothing.
fn carriers_error(receipt: &Receipt) -> String {
    let says_something = |code: &&String| {
        code.bytes()
            .any(|octet| octet != b'0' && !octet.is_ascii_whitespace())
    };
    receipt
        .error
        .as_ref()
        .filter(says_something)
        .cloned()
        .unwrap_or_else(|| word(receipt.state).to_owned())
}
