//! Records of prepaid credit.

use super::*;

fn charge() -> Charge {
    Charge {
        per_part: 75_000,
        currency: "EUR".to_owned(),
        parts: 3,
        at: ChargeAt::Sent,
        outcome: None,
    }
}

/// Of a prepaid account, as it stands behind all other fields.
fn event_charged() -> Event {
    Event {
        charge: Some(Charge {
            outcome: Some(PartOutcome {
                parts: 2,
                sent: 2,
                delivered: 1,
            }),
            ..charge()
        }),
        ..event()
    }
}

fn ledger_page() -> LedgerPage {
    let lines = (1u8..).zip(Movement::ALL).map(|(n, movement)| LedgerLine {
        number: u64::from(n),
        at: at(1_795_248_000_000),
        movement,
        amount: -75_000,
        balance: 1_000_000,
        id: id(n),
        parts: 1,
        reference: (movement == Movement::TopUp).then(|| "invoice 7".to_owned()),
    });
    LedgerPage {
        currency: "EUR".to_owned(),
        lines: lines.collect(),
    }
}

#[test]
fn records_of_money_are_read_and_written_as_when_they_were_released() {
    holds(
        "mt-charged",
        &MtMessage {
            charge: Some(charge()),
            ..mt()
        },
    );
    holds("event-charged", &event_charged());
    holds("ledger-page", &ledger_page());
    holds(
        "credit-order",
        &CreditOrder {
            id: id(6),
            client: client(),
            movement: Movement::Correction,
            amount: -2_500_000,
            currency: "EUR".to_owned(),
            reference: Some("invoice 7".to_owned()),
            at: at(1_795_248_000_000),
        },
    );
    holds(
        "credit-accounts",
        &CreditAccounts {
            accounts: vec![(client(), "EUR".to_owned())],
        },
    );
}
