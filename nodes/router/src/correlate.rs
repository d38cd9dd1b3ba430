//! Matches receipts from carriers with the parts they belong to.
//!
//! Pure machine over one key at a time; knows no queue and no clock. The tasks of the `up` partitions run it: a link
//! group always has the same partition, so one task alone writes the keys of a group and order is kept. Where nothing else follows
//! from an answer, the operator node takes the first step of it (absent to Sent); who comes second finds the key taken and decides anew.
//!
//! ```text
//!            submit result            receipt
//! absent  ─────────────────▶ Sent ◀────────────┐ matched
//!    │                         ▲               │
//!    └── receipt ──▶ Parked ───┘ submit result: the parked ones are matched
//!                      │
//!                      └── two alarms, half of its time each: unknown, kept as dead letters
//! ```
//! As long as it is not known how a carrier writes its ids, a receipt may wait under another form of the one that its answer
//! gave. So it is looked at after 2 s, and then each time as long again as it has waited, until the first half is over: the
//! first receipts of a new carrier need not wait for that half.
//!
//! Ids are kept under their folded form (see `carrier_id`); among those of one key the one written exactly so goes first,
//! and where several could be meant none is taken.
//!
//! Invariant CO-1: a receipt ends as exactly one of matched, parked, unknown; a parked one later as one of the others.
//! Carrier ids are texts: they are never read as numbers of the machine.
//!
//! Where ids are shared (UCP: recipient and second), the parts of one id are kept in the order of their answers, and a receipt
//! is for the first of them that is open. When none is, it waits beside them for one more answer with that id, as long as parked
//! ones do, and was a duplicate if none comes.
//!
//! # Limits
//! Of parts that share an id one may have the receipt of another: nothing tells them apart; a receipt that a carrier repeats may so
//! be taken for that of a part whose answer is later still. Another carrier
//! that gives the same id to two parts while the first correlation lives has both parts' receipts matched to the later part; it
//! is counted (`smsgw_router_carrier_ids_reused_total`).

use smsgw_message::{Correlation, Early, LinkGroup, MessageId, Owner, Receipt, Timestamp, fold};
use smsgw_queue::StateKey;
use std::time::Duration;

/// Receipts parked under one id; more of them are unknown at once. A carrier sends a few states per part.
pub(crate) const MAX_PARKED: usize = 16;
/// Ids kept under one key; beyond, the oldest is forgotten. Only a carrier that means nothing by case or zeros needs two.
pub(crate) const MAX_OWNERS: usize = 8;
/// The same where ids are shared: the parts of a few long messages to one phone in one second.
pub(crate) const MAX_SHARED: usize = 64;
/// When a parked receipt is looked at for the first time while its carrier's ids are not known yet.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// The key of a carrier's id that was folded before.
pub(crate) fn key(group: &LinkGroup, folded: &str) -> StateKey {
    StateKey::from(Correlation::key_of_folded(group, folded))
}

/// The key of an id as an answer has it.
pub(crate) fn key_of(group: &LinkGroup, carrier_id: &str) -> StateKey {
    StateKey::from(Correlation::key(group, carrier_id))
}

/// What a submit result makes of the state of its id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// What is to be written; `None` when it stands there already.
    pub(crate) write: Option<Correlation>,
    /// Receipts that waited for this, oldest first.
    pub(crate) parked: Vec<Receipt>,
    /// Receipts under the same key that are about another id: those of this folded id nobody else can claim any more, unless ids
    /// are shared; those that waited here in another form are looked at anew.
    pub(crate) strays: Vec<Receipt>,
    /// The id belonged to another part before.
    pub(crate) reused: bool,
}

impl Claimed {
    fn write(correlation: Correlation) -> Self {
        Self {
            write: Some(correlation),
            parked: Vec::new(),
            strays: Vec::new(),
            reused: false,
        }
    }
}

/// A carrier has given its id to a part; `shared`: maybe to others as well.
pub(crate) fn handle_sent(
    now_there: Option<Correlation>,
    carrier_id: &str,
    message: MessageId,
    part: u16,
    shared: bool,
) -> Claimed {
    let folded = fold(carrier_id);
    let owner = Owner {
        id: carrier_id.to_owned(),
        message,
        part,
    };
    let (mut owners, early) = match now_there {
        None => return Claimed::write(Correlation::of(&folded, vec![owner])),
        Some(Correlation::Parked { receipts, .. }) => {
            let exact = receipts.iter().any(|receipt| receipt.carrier_id == carrier_id);
            let first = receipts.first().map(|receipt| receipt.carrier_id.clone());
            if shared {
                // One is for this part; the others are looked at anew, and wait for the answers of theirs.
                let mut receipts = receipts;
                let strays = receipts.split_off(1.min(receipts.len()));
                return Claimed {
                    parked: receipts,
                    strays,
                    ..Claimed::write(Correlation::of(&folded, vec![owner]))
                };
            }
            // Written otherwise they are still about this part, as long as they agree among themselves.
            let (parked, strays) = receipts.into_iter().partition(|receipt| match exact {
                true => receipt.carrier_id == carrier_id,
                false => Some(&receipt.carrier_id) == first.as_ref(),
            });
            return Claimed {
                parked,
                strays,
                ..Claimed::write(Correlation::of(&folded, vec![owner]))
            };
        }
        Some(there @ (Correlation::Sent { .. } | Correlation::Owned { .. })) => {
            let early = early_of(&there);
            (owners_of(there, &folded), early)
        }
    };
    if owners.contains(&owner) {
        return Claimed {
            write: None,
            parked: Vec::new(),
            strays: Vec::new(),
            reused: false,
        };
    }
    let before = owners.len();
    owners.retain(|other| shared || other.id != owner.id);
    let reused = owners.len() < before;
    owners.push(owner);
    let most = if shared { MAX_SHARED } else { MAX_OWNERS };
    let surplus = owners.len().saturating_sub(most);
    owners.drain(..surplus);
    Claimed {
        reused,
        strays: early,
        ..Claimed::write(Correlation::of(&folded, owners))
    }
}

/// A receipt came that each part of its shared id has had already: it waits beside them. `None` where too many do.
pub(crate) fn keep_early(
    there: Correlation,
    receipt: &Receipt,
    owned_until: Timestamp,
) -> Option<Correlation> {
    let mut receipts = early_of(&there);
    if receipts.len() >= MAX_PARKED {
        return None;
    }
    receipts.push(receipt.clone());
    let owners = owners_of(there, &fold(&receipt.carrier_id));
    let early = Early {
        receipts,
        is_late: false,
        owned_until,
    };
    (!owners.is_empty()).then_some(Correlation::Owned {
        owners,
        early: Some(early),
    })
}

fn early_of(there: &Correlation) -> Vec<Receipt> {
    match there {
        Correlation::Owned {
            early: Some(early), ..
        } => early.receipts.clone(),
        Correlation::Owned { early: None, .. } | Correlation::Sent { .. } | Correlation::Parked { .. } => {
            Vec::new()
        }
    }
}

fn owners_of(there: Correlation, folded: &str) -> Vec<Owner> {
    match there {
        Correlation::Sent { message, part } => vec![Owner {
            id: folded.to_owned(),
            message,
            part,
        }],
        Correlation::Owned { owners, .. } => owners,
        Correlation::Parked { .. } => Vec::new(),
    }
}

/// The parts that an id belongs to, in the order of their answers: more than one only where ids are shared.
pub(crate) fn parts(there: &Correlation, answered: &str) -> Vec<(MessageId, u16)> {
    match there {
        Correlation::Sent { message, part } => vec![(*message, *part)],
        Correlation::Owned { owners, .. } => {
            let alone = owners.len() == 1;
            let its = owners.iter().filter(|owner| alone || owner.id == answered);
            its.map(|owner| (owner.message, owner.part)).collect()
        }
        Correlation::Parked { .. } => Vec::new(),
    }
}

/// What becomes of a receipt that no part was found for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits for the answer to its submit.
    Parked(Correlation),
    /// It has no id, its id may mean several parts, or too many wait under it already.
    Unknown,
}

/// A carrier has told what became of a part that nobody knows yet.
pub(crate) fn park(now_there: Option<Correlation>, receipt: &Receipt) -> Fate {
    if receipt.carrier_id.is_empty() {
        return Fate::Unknown; // No answer to a submit can ever claim it.
    }
    match now_there {
        Some(Correlation::Sent { .. } | Correlation::Owned { .. }) => Fate::Unknown,
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
    /// They are looked at, and again after this time.
    Look(Vec<Receipt>, Duration),
    /// The first half of their time is over: they wait for the second.
    Again(Vec<Receipt>),
    /// All of it is over: nobody knows them.
    Unknown(Vec<Receipt>),
}

/// An alarm of parked receipts went off. Their time is given in two halves, because time passes while this process does
/// not run, and while results wait to be read: the first alarm after a stop may come before the submit result that was
/// durable before the stop, and must not overtake it.
pub(crate) fn handle_alarm(now_there: Correlation, now: Timestamp, parked: Duration) -> Due {
    match now_there {
        Correlation::Parked {
            receipts,
            is_late: false,
        } => {
            let newest = receipts.iter().map(|receipt| receipt.at).max();
            let waited = newest.map_or(Duration::MAX, |at| now.since(at));
            match half(parked).checked_sub(waited).filter(|left| !left.is_zero()) {
                Some(left) => Due::Look(receipts, waited.max(FIRST_LOOK).min(left)),
                None => Due::Again(receipts),
            }
        }
        Correlation::Parked {
            receipts,
            is_late: true,
        } => Due::Unknown(receipts),
        Correlation::Sent { .. } | Correlation::Owned { .. } => Due::Nothing,
    }
}

/// When a receipt that was just parked is looked at: soon, unless it is known how its carrier writes ids.
pub(crate) fn first_look(parked: Duration, known: bool) -> Duration {
    if known {
        half(parked)
    } else {
        FIRST_LOOK.min(half(parked))
    }
}

/// How long one half is.
pub(crate) fn half(parked: Duration) -> Duration {
    parked / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, message_id, receipt};
    use smsgw_message::ReceiptState::{Delivered, Enroute};

    const PARKED: Duration = Duration::from_secs(20);

    fn parked(state: Option<Correlation>, receipt: &Receipt) -> Correlation {
        match park(state, receipt) {
            Fate::Parked(state) => state,
            Fate::Unknown => panic!("parked"),
        }
    }

    /// The part that an id belongs to, when it is one.
    fn owner(there: &Correlation, answered: &str) -> Option<(MessageId, u16)> {
        match parts(there, answered).as_slice() {
            [only] => Some(*only),
            [] | [_, _, ..] => None,
        }
    }

    #[test]
    fn parts_that_share_an_id_stand_in_the_order_of_their_answers() {
        let id = "491700000001:211126120000";
        let mut there = None;
        for part in 1..=3 {
            let claimed = handle_sent(there, id, message_id(1), part, true);
            assert!(!claimed.reused);
            there = claimed.write;
        }
        let there = there.unwrap();
        let all: Vec<u16> = parts(&there, id).iter().map(|(_, part)| *part).collect();
        assert_eq!(all, [1, 2, 3]);
        let again = handle_sent(Some(there), id, message_id(1), 2, true);
        assert_eq!(again.write, None, "it stands there already");

        let parked = Correlation::Parked {
            receipts: vec![receipt(id, Delivered, 5), receipt(id, Delivered, 6)],
            is_late: false,
        };
        let claimed = handle_sent(Some(parked), id, message_id(1), 1, true);
        assert_eq!((claimed.parked.len(), claimed.strays.len()), (1, 1));
    }

    #[test]
    fn receipt_before_submit_result_is_parked_then_matched() {
        let early = receipt("a7", Delivered, 5);
        let state = parked(None, &early);
        let claimed = handle_sent(Some(state), "a7", message_id(1), 1, false);
        assert_eq!(claimed.parked, vec![early]);
        assert!(!claimed.reused && claimed.strays.is_empty());
        let there = claimed.write.unwrap();
        assert!(matches!(there, Correlation::Sent { .. }));
        assert_eq!(owner(&there, "a7"), Some((message_id(1), 1)));
    }

    #[test]
    fn parked_receipts_are_unknown_when_their_time_is_over_and_only_then() {
        let state = parked(None, &receipt("A7", Enroute, 5));
        let state = parked(Some(state), &receipt("A7", Delivered, 6));
        let Due::Again(receipts) = handle_alarm(state, at(10_006), PARKED) else {
            panic!("the second half")
        };
        let state = Correlation::Parked {
            receipts,
            is_late: true,
        };
        let claimed = handle_sent(Some(state.clone()), "A7", message_id(1), 1, false);
        assert_eq!(
            claimed.parked.len(),
            2,
            "a result that is read after the first alarm is not too late"
        );
        let Due::Unknown(receipts) = handle_alarm(state, at(20_006), PARKED) else {
            panic!("over")
        };
        assert_eq!(receipts.len(), 2);
        assert_eq!(
            handle_alarm(claimed.write.unwrap(), at(20_006), PARKED),
            Due::Nothing
        );
    }

    #[test]
    fn receipts_of_an_unknown_carrier_are_looked_at_soon_and_then_less_and_less_often() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert_eq!(first_look(minutes(5), true), Duration::from_secs(150));
        assert_eq!(first_look(minutes(5), false), FIRST_LOOK);
        assert_eq!(
            first_look(Duration::from_secs(1), false),
            Duration::from_millis(500)
        );
        let mut state = parked(None, &receipt("A7", Delivered, 0));
        let mut looks = vec![FIRST_LOOK];
        loop {
            let now = at(0).after(looks.iter().sum());
            match handle_alarm(state, now, minutes(5)) {
                Due::Look(receipts, next) => {
                    looks.push(next);
                    state = Correlation::Parked {
                        receipts,
                        is_late: false,
                    };
                }
                Due::Again(_) => break,
                other => panic!("{other:?}"),
            }
        }
        let seconds: Vec<u64> = looks.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds, [2, 2, 4, 8, 16, 32, 64, 22], "150 s in all");
        let later = at(0).after(minutes(60));
        let state = parked(None, &receipt("A7", Delivered, 0));
        assert!(
            matches!(handle_alarm(state, later, minutes(5)), Due::Again(_)),
            "after a stop the second half is still given"
        );
    }

    #[test]
    fn parking_is_bounded_and_what_is_over_is_unknown() {
        let mut state = None;
        for _ in 0..MAX_PARKED {
            state = Some(parked(state, &receipt("A7", Enroute, 5)));
        }
        assert_eq!(park(state, &receipt("A7", Enroute, 5)), Fate::Unknown);
        assert_eq!(park(None, &receipt("", Enroute, 5)), Fate::Unknown);
    }

    #[test]
    fn an_id_given_again_belongs_to_the_later_part() {
        for id in ["A7", "a7"] {
            let first = handle_sent(None, id, message_id(1), 1, false).write.unwrap();
            let again = handle_sent(Some(first.clone()), id, message_id(1), 1, false);
            assert_eq!(
                (again.write, again.reused),
                (None, false),
                "the same answer twice writes nothing"
            );
            let other = handle_sent(Some(first), id, message_id(2), 1, false);
            assert_eq!(owner(&other.write.unwrap(), id), Some((message_id(2), 1)));
            assert!(other.reused);
        }
    }

    #[test]
    fn ids_of_one_key_are_told_apart_by_how_they_are_written() {
        let first = handle_sent(None, "012", message_id(1), 1, false).write.unwrap();
        assert_eq!(
            owner(&first, "12"),
            Some((message_id(1), 1)),
            "the only one that can be meant"
        );
        let both = handle_sent(Some(first), "12", message_id(2), 1, false);
        assert!(!both.reused);
        let both = both.write.unwrap();
        assert_eq!(owner(&both, "012"), Some((message_id(1), 1)));
        assert_eq!(owner(&both, "12"), Some((message_id(2), 1)));
        assert_eq!(owner(&both, "0012"), None, "either could be meant");
        assert_eq!(
            park(Some(both.clone()), &receipt("0012", Delivered, 5)),
            Fate::Unknown
        );
        let mut many = both;
        for n in 3..20_u8 {
            let id = format!("{}12", "0".repeat(usize::from(n)));
            many = handle_sent(Some(many), &id, message_id(n), 1, false)
                .write
                .unwrap();
        }
        assert_eq!(owners_of(many, "12").len(), MAX_OWNERS);
    }

    #[test]
    fn a_parked_receipt_of_another_id_under_the_same_key_is_no_part_of_the_claim() {
        let state = parked(None, &receipt("012", Delivered, 5));
        let state = parked(Some(state), &receipt("12", Delivered, 6));
        let claimed = handle_sent(Some(state), "12", message_id(1), 1, false);
        let ids = |receipts: &[Receipt]| -> Vec<String> {
            receipts
                .iter()
                .map(|receipt| receipt.carrier_id.clone())
                .collect()
        };
        assert_eq!(ids(&claimed.parked), ["12"]);
        assert_eq!(ids(&claimed.strays), ["012"]);
    }

    #[test]
    fn ids_are_texts_and_those_that_are_no_numbers_have_keys_of_their_own() {
        let group = LinkGroup::try_new("alpha").unwrap();
        let key = |id: &str| key_of(&group, id);
        assert_eq!(key("x012").as_str(), "corr/alpha/x012");
        assert_eq!(key("0012").as_str(), "corr/alpha/12");
        assert_eq!(key("a/b").as_str(), "corr/alpha/=612f62");
        assert_eq!(key("=612f62").as_str(), "corr/alpha/=3d363132663632");
        let long = "9".repeat(200);
        assert!(key(&long).as_str().len() < 90);
        assert_ne!(key(&long), key(&"9".repeat(201)));
        assert_ne!(key("ü"), key("u"));
    }
}
