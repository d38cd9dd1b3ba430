//! Matches receipts from carriers with the parts they belong to.
//!
//! Pure machine over one key at a time; knows no queue and no clock. The tasks of the `up` partitions run it: a link
//! group always has the same partition, so one task alone writes the keys of a group and order is kept.
//!
//! ```text
//!            submit result            receipt
//! absent  ─────────────────▶ Sent ◀────────────┐ matched
//!    │                         ▲               │
//!    └── receipt ──▶ Parked ───┘ submit result: the parked ones are matched
//!                      │
//!                      └── two alarms, half of its time each: unknown, kept as dead letters
//! ```
//! Invariant CO-1: a receipt ends as exactly one of matched, parked, unknown; a parked one later as one of the others.
//! Carrier ids are texts: they are never read as numbers.
//!
//! # Limits
//! A carrier that gives the same id to two parts while the first correlation lives has both parts' receipts matched to
//! the later part; it is counted (`smsgw_router_carrier_ids_reused_total`). Ids are compared as they were written.

use crate::record::Correlation;
use sha2::{Digest, Sha256};
use smsgw_message::{LinkGroup, MessageId, Receipt, names};
use smsgw_queue::StateKey;
use std::fmt::Write;
use std::time::Duration;

/// Receipts parked under one id; more of them are unknown at once. A carrier sends a few states per part.
pub(crate) const MAX_PARKED: usize = 16;
/// Longest id that stands in a key as it is or in hexadecimal.
const MAX_ID: usize = 64;

/// The key of a carrier's id. The only place that knows in which form ids are compared.
pub(crate) fn key(group: &LinkGroup, carrier_id: &str) -> StateKey {
    StateKey::from(names::correlation(group, &canonical(carrier_id)))
}

/// The form of an id that stands in its key. Injective: `=` and `~` do not stand in a plain id.
fn canonical(carrier_id: &str) -> String {
    let plain =
        |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b':' | b'@' | b'+');
    if carrier_id.len() > MAX_ID {
        hex('~', &Sha256::digest(carrier_id.as_bytes()))
    } else if carrier_id.bytes().all(plain) {
        carrier_id.to_owned()
    } else {
        hex('=', carrier_id.as_bytes())
    }
}

fn hex(mark: char, octets: &[u8]) -> String {
    let mut text = String::with_capacity(1 + 2 * octets.len());
    text.push(mark);
    for octet in octets {
        write!(text, "{octet:02x}").expect("writing to a String cannot fail");
    }
    text
}

/// What a submit result makes of the state of its id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// What is to be written; `None` when it stands there already.
    pub(crate) write: Option<Correlation>,
    /// Receipts that waited for this, oldest first.
    pub(crate) parked: Vec<Receipt>,
    /// The id belonged to another part before.
    pub(crate) reused: bool,
}

/// A carrier has given its id to a part.
pub(crate) fn handle_sent(now_there: Option<Correlation>, message: MessageId, part: u16) -> Claimed {
    let sent = Correlation::Sent { message, part };
    match now_there {
        None => Claimed {
            write: Some(sent),
            parked: Vec::new(),
            reused: false,
        },
        Some(Correlation::Parked { receipts, .. }) => Claimed {
            write: Some(sent),
            parked: receipts,
            reused: false,
        },
        Some(before @ Correlation::Sent { .. }) if before == sent => Claimed {
            write: None,
            parked: Vec::new(),
            reused: false,
        },
        Some(Correlation::Sent { .. }) => Claimed {
            write: Some(sent),
            parked: Vec::new(),
            reused: true,
        },
    }
}

/// What becomes of a receipt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It belongs to this part.
    Matched {
        /// The message.
        message: MessageId,
        /// Which part, from 1.
        part: u16,
    },
    /// It waits for the answer to its submit.
    Parked(Correlation),
    /// It has no id, or too many wait under it already.
    Unknown,
}

/// A carrier has told what became of a part.
pub(crate) fn handle_receipt(now_there: Option<Correlation>, receipt: &Receipt) -> Fate {
    if receipt.carrier_id.is_empty() {
        return Fate::Unknown; // No answer to a submit can ever claim it.
    }
    match now_there {
        Some(Correlation::Sent { message, part }) => Fate::Matched { message, part },
        Some(Correlation::Parked { receipts, .. }) if receipts.len() >= MAX_PARKED => Fate::Unknown,
        Some(Correlation::Parked { mut receipts, .. }) => {
            receipts.push(receipt.clone());
            Fate::Parked(Correlation::Parked {
                receipts,
                is_late: false,
            })
        }
        None => Fate::Parked(Correlation::Parked {
            receipts: vec![receipt.clone()],
            is_late: false,
        }),
    }
}

/// What becomes of parked receipts when an alarm of theirs goes off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// They were matched meanwhile.
    Nothing,
    /// The first half of their time is over: they wait for the second.
    Again(Correlation),
    /// All of it is over: nobody knows them.
    Unknown(Vec<Receipt>),
}

/// An alarm of parked receipts went off. Their time is given in two halves, because time passes while this process does
/// not run, and while results wait to be read: the first alarm after a stop may come before the submit result that was
/// durable before the stop, and must not overtake it.
pub(crate) fn handle_alarm(now_there: Correlation) -> Due {
    match now_there {
        Correlation::Parked {
            receipts,
            is_late: false,
        } => Due::Again(Correlation::Parked {
            receipts,
            is_late: true,
        }),
        Correlation::Parked {
            receipts,
            is_late: true,
        } => Due::Unknown(receipts),
        Correlation::Sent { .. } => Due::Nothing,
    }
}

/// How long one half is.
pub(crate) fn half(parked: Duration) -> Duration {
    parked / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{message_id, receipt};
    use smsgw_message::ReceiptState::{Delivered, Enroute};

    #[test]
    fn receipt_before_submit_result_is_parked_then_matched() {
        let early = receipt("A7", Delivered, 5);
        let Fate::Parked(state) = handle_receipt(None, &early) else {
            panic!("parked")
        };
        let claimed = handle_sent(Some(state), message_id(1), 1);
        assert_eq!(claimed.parked, vec![early.clone()]);
        assert!(!claimed.reused);
        let late = handle_receipt(claimed.write, &early);
        assert_eq!(
            late,
            Fate::Matched {
                message: message_id(1),
                part: 1
            }
        );
    }

    #[test]
    fn parked_receipts_are_unknown_when_their_time_is_over_and_only_then() {
        let Fate::Parked(state) = handle_receipt(None, &receipt("A7", Enroute, 5)) else {
            panic!("parked")
        };
        let Fate::Parked(state) = handle_receipt(Some(state), &receipt("A7", Delivered, 6)) else {
            panic!("parked")
        };
        let Due::Again(state) = handle_alarm(state) else {
            panic!("the second half")
        };
        let claimed = handle_sent(Some(state.clone()), message_id(1), 1);
        assert_eq!(
            claimed.parked.len(),
            2,
            "a result that is read after the first alarm is not too late"
        );
        let Due::Unknown(receipts) = handle_alarm(state) else {
            panic!("over")
        };
        assert_eq!(receipts.len(), 2);
        let sent = Correlation::Sent {
            message: message_id(1),
            part: 1,
        };
        assert_eq!(handle_alarm(sent), Due::Nothing);
    }

    #[test]
    fn parking_is_bounded_and_what_is_over_is_unknown() {
        let mut state = None;
        for n in 0..MAX_PARKED {
            let Fate::Parked(next) = handle_receipt(state, &receipt("A7", Enroute, 5)) else {
                panic!("parked {n}")
            };
            state = Some(next);
        }
        assert_eq!(handle_receipt(state, &receipt("A7", Enroute, 5)), Fate::Unknown);
    }

    #[test]
    fn an_id_given_again_belongs_to_the_later_part() {
        let first = Correlation::Sent {
            message: message_id(1),
            part: 1,
        };
        let again = handle_sent(Some(first.clone()), message_id(1), 1);
        assert_eq!(
            (again.write, again.reused),
            (None, false),
            "the same answer twice writes nothing"
        );
        let other = handle_sent(Some(first), message_id(2), 1);
        assert_eq!(
            other.write,
            Some(Correlation::Sent {
                message: message_id(2),
                part: 1
            })
        );
        assert!(other.reused);
    }

    #[test]
    fn ids_are_texts_and_every_one_has_a_key_of_its_own() {
        let group = LinkGroup::try_new("alpha").unwrap();
        assert_eq!(key(&group, "0012").as_str(), "corr/alpha/0012");
        assert_eq!(key(&group, "12").as_str(), "corr/alpha/12");
        assert_eq!(key(&group, "a/b").as_str(), "corr/alpha/=612f62");
        assert_eq!(key(&group, "=612f62").as_str(), "corr/alpha/=3d363132663632");
        let long = "9".repeat(200);
        assert!(key(&group, &long).as_str().len() < 90);
        assert_ne!(key(&group, &long), key(&group, &"9".repeat(201)));
        assert_ne!(key(&group, "ü"), key(&group, "u"));
    }
}
