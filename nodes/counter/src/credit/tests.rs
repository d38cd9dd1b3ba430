//! The policy machine: whatever is accepted, ends and is paid in, in whatever order, the money adds up.

use super::book::{Book, Open};
use super::policy;
use proptest::prelude::*;
use smsgw_message::{
    Charge, ChargeAt, ClientId, CreditOrder, Event, EventName, MessageId, Movement, PartOutcome, Timestamp,
};
use std::collections::BTreeMap;

fn charge(at: ChargeAt, per_part: i64, parts: u16, outcome: Option<(u16, u16, u16)>) -> Charge {
    Charge {
        per_part,
        currency: "EUR".to_owned(),
        parts,
        at,
        outcome: outcome.map(|(parts, sent, delivered)| PartOutcome {
            parts,
            sent,
            delivered,
        }),
    }
}

#[test]
fn each_policy_takes_its_parts_and_gives_the_others_back() {
    use ChargeAt::{Accept, Delivered, Sent};
    // Policy, parts of the accept, what became of them, parts taken in the end.
    for (at, parts, outcome, taken) in [
        (Sent, 3, Some((3, 2, 1)), 2),
        (Delivered, 3, Some((3, 2, 1)), 1),
        (Sent, 1, Some((1, 0, 0)), 0),
        (Delivered, 1, Some((1, 1, 1)), 1),
        // Three parts went out as one, and were taken or not.
        (Sent, 3, Some((1, 1, 0)), 3),
        (Delivered, 3, Some((1, 1, 0)), 0),
        // Three parts became four, and three of them were taken.
        (Sent, 3, Some((4, 3, 0)), 2),
        (Sent, 3, Some((4, 4, 0)), 3),
        // An outcome that cannot be, and none at all.
        (Sent, 3, Some((0, 5, 0)), 0),
        (Sent, 3, Some((3, 9, 9)), 3),
        (Sent, 3, None, 0),
    ] {
        let charge = charge(at, 75_000, parts, outcome);
        assert_eq!(policy::at_accept(&charge), None);
        let settled = policy::at_end(&charge).unwrap();
        assert_eq!(settled.taken_parts, taken, "{charge:?}");
        assert_eq!(settled.back_parts, parts - taken);
        assert_eq!(settled.taken + settled.back, charge.reserved());
        assert_eq!(settled.taken, 75_000 * i64::from(taken));
    }
    let at_once = charge(Accept, 75_000, 3, Some((3, 0, 0)));
    assert_eq!(policy::at_accept(&at_once).unwrap().taken_parts, 3);
    assert_eq!(policy::at_end(&at_once), None);
}

/// One thing that happens to an account.
#[derive(Debug, Clone)]
enum Happening {
    Paid(i64),
    Accepted(u8),
    Ended(u8),
}

#[derive(Debug, Clone)]
struct Message {
    charge: Charge,
    outcome: (u16, u16, u16),
}

fn message() -> impl Strategy<Value = Message> {
    let at = prop::sample::select(vec![ChargeAt::Accept, ChargeAt::Sent, ChargeAt::Delivered]);
    (at, 1i64..1_000_000, 1u16..8, 0u16..8, 0u16..8).prop_map(|(at, per_part, parts, sent, delivered)| {
        let sent = sent.min(parts);
        Message {
            charge: charge(at, per_part, parts, None),
            outcome: (parts, sent, delivered.min(sent)),
        }
    })
}

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

fn event(n: u8, name: EventName, charge: Charge) -> Event {
    Event {
        message: Some(id(n)),
        charge: Some(charge),
        ..Event::new(Timestamp::from_millis(i64::from(n)), name)
    }
}

/// The counters of the engine and the book beside them, driven as the nodes drive them.
#[derive(Debug, Default)]
struct Account {
    balance: i64,
    reserved: i64,
    charged: i64,
    paid: i64,
    book: Book,
}

impl Account {
    fn fold(&mut self, handle: impl FnOnce(&mut Open)) -> Vec<smsgw_message::LedgerLine> {
        let mut open = Open::of(self.book);
        handle(&mut open);
        self.balance += open.moves.balance;
        self.reserved += open.moves.reserved;
        self.charged += open.moves.charged;
        self.book = open.book;
        open.moves.lines
    }
}

proptest! {
    /// CD-1, CD-2, PO-1, BK-1: balance = top-ups - charges for any order of events and any cut of them into batches.
    #[test]
    fn money_adds_up_in_any_order_of_what_happens(
        messages in prop::collection::vec(message(), 1..20),
        payments in prop::collection::vec(-5_000_000i64..50_000_000, 0..6),
        order in any::<prop::sample::Index>(),
        shuffle in prop::collection::vec(any::<u32>(), 64),
    ) {
        let mut happenings: Vec<(u32, Happening)> = Vec::new();
        let mut key = shuffle.iter().copied().cycle().skip(order.index(64));
        for payment in &payments {
            happenings.push((key.next().unwrap(), Happening::Paid(*payment)));
        }
        for n in (0u8..).take(messages.len()) {
            let (one, two) = (key.next().unwrap(), key.next().unwrap());
            happenings.push((one.min(two), Happening::Accepted(n)));
            happenings.push((one.max(two), Happening::Ended(n)));
        }
        happenings.sort_by_key(|(key, _)| *key);
        let mut account = Account::default();
        let mut lines = Vec::new();
        let mut accepted = BTreeMap::new();
        for (_, happening) in happenings {
            match happening {
                Happening::Paid(amount) => {
                    account.balance += amount;
                    account.paid += amount;
                    let order = CreditOrder {
                        id: id(200),
                        client: ClientId::try_new("acme").unwrap(),
                        movement: if amount < 0 { Movement::Correction } else { Movement::TopUp },
                        amount,
                        currency: "EUR".to_owned(),
                        reference: None,
                        at: Timestamp::from_millis(1),
                    };
                    lines.extend(account.fold(|open| open.handle_order(&order)));
                }
                Happening::Accepted(n) => {
                    let charge = messages[usize::from(n)].charge.clone();
                    account.balance -= charge.reserved();
                    account.reserved += charge.reserved();
                    accepted.insert(n, ());
                    let event = event(n, EventName::MtAccepted, charge.clone());
                    lines.extend(account.fold(|open| open.handle_event(&event, id(n), &charge)));
                }
                Happening::Ended(n) => {
                    prop_assert!(accepted.remove(&n).is_some());
                    let message = &messages[usize::from(n)];
                    let (parts, sent, delivered) = message.outcome;
                    let outcome = PartOutcome { parts, sent, delivered };
                    let charge = Charge { outcome: Some(outcome), ..message.charge.clone() };
                    let event = event(n, EventName::MtFinal, charge.clone());
                    lines.extend(account.fold(|open| open.handle_event(&event, id(n), &charge)));
                }
            }
            prop_assert_eq!(account.balance + account.reserved + account.charged, account.paid);
            prop_assert_eq!(account.book.balance, account.balance);
        }
        let due: i64 = messages.iter().map(|message| {
            let (_, sent, delivered) = message.outcome;
            let parts = match message.charge.at {
                ChargeAt::Accept => message.charge.parts,
                ChargeAt::Sent => sent,
                ChargeAt::Delivered => delivered,
            };
            message.charge.per_part * i64::from(parts)
        }).sum();
        prop_assert_eq!(account.reserved, 0);
        prop_assert_eq!(account.charged, due);
        prop_assert_eq!(account.balance, payments.iter().sum::<i64>() - due);
        // The statement: no gap, and each balance follows from the one before.
        let (mut balance, mut number) = (0, 0);
        for line in &lines {
            number += 1;
            balance += if line.movement == Movement::Commit { 0 } else { line.amount };
            prop_assert_eq!((line.number, line.balance), (number, balance));
        }
    }
}
