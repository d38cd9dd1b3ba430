//! What of a message's money is due in the end, by the policy that its charge has from the accept. Pure.
//!
//! ```text
//! charge.at    due in the end                      settled
//! accept       all parts that were reserved for    with the accept itself
//! sent         those that a carrier took           with mt_final
//! delivered    those that were delivered           with mt_final
//! ```
//! Invariant PO-1: what is taken and what is given back are together what was put aside; neither is less than 0.
//!
//! # Limits
//! A message that its operator's form cut into other parts than the accept counted is charged by share, rounded down to whole
//! parts of the accept: all of them when every part was taken (or delivered), none when none was. Of a part that went
//! from carrier to carrier the last one counts.

use smsgw_message::{Charge, ChargeAt};

/// How the money that was put aside for a message is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    /// Parts taken for good.
    pub(super) taken_parts: u16,
    /// Their price.
    pub(super) taken: i64,
    /// Parts given back.
    pub(super) back_parts: u16,
    /// Their price.
    pub(super) back: i64,
}

/// What is settled with the accept; `None`: the end of the message says.
pub(super) fn at_accept(charge: &Charge) -> Option<Settled> {
    match charge.at {
        ChargeAt::Accept => Some(divide(charge, charge.parts)),
        ChargeAt::Sent | ChargeAt::Delivered => None,
    }
}

/// What is settled with the end of the message; `None`: it was settled with the accept. Without an outcome nothing is
/// known to be due, and all of it goes back.
pub(super) fn at_end(charge: &Charge) -> Option<Settled> {
    let (of, done) = match (charge.at, charge.outcome) {
        (ChargeAt::Accept, _) => return None,
        (ChargeAt::Sent, Some(outcome)) => (outcome.parts, outcome.sent),
        (ChargeAt::Delivered, Some(outcome)) => (outcome.parts, outcome.delivered),
        (ChargeAt::Sent | ChargeAt::Delivered, None) => (1, 0),
    };
    Some(divide(charge, share(charge.parts, done, of)))
}

/// `parts` x `done` / `of`, rounded down, and never more than `parts`.
fn share(parts: u16, done: u16, of: u16) -> u16 {
    let all = u32::from(parts).saturating_mul(u32::from(done.min(of)));
    let due = all.checked_div(u32::from(of)).unwrap_or(0);
    u16::try_from(due).unwrap_or(parts)
}

fn divide(charge: &Charge, due: u16) -> Settled {
    let taken = charge.of_parts(due);
    Settled {
        taken_parts: due,
        taken,
        back_parts: charge.parts.saturating_sub(due),
        back: charge.reserved().saturating_sub(taken),
    }
}
