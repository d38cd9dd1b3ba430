//! Who moves where: tables of what parts of a message have gone through, and what holds for all of them.

use super::*;
use crate::fixtures::{at, mt, operator, sent, via};
use proptest::prelude::*;

const ROUTE: [&str; 3] = ["alpha", "beta", "gamma"];

fn next(tried: &[OperatorId]) -> Option<OperatorId> {
    ROUTE.map(operator).into_iter().find(|name| !tried.contains(name))
}

/// How a part stands in a table.
#[derive(Debug, Clone, Copy)]
enum Is {
    Open,
    Taken,
    Failed,
    /// Waits after so many operators.
    Waits(usize),
}

fn life(parts: &[Is]) -> MessageLife {
    let mut life = MessageLife::accepted(mt(1, parts.len()));
    for (part, is) in life.parts.iter_mut().zip(parts) {
        part.state = MessageState::Queued;
        part.via = Some(via("alpha"));
        match is {
            Is::Open => {}
            Is::Taken => part.state = MessageState::Sent,
            Is::Failed => {
                life::end(part, MessageState::Rejected, "E");
            }
            Is::Waits(count) => {
                for name in ROUTE.iter().take(*count) {
                    part.via = Some(via(name));
                    wait(part, &operator(name), "E", RerouteReason::Answer);
                }
            }
        }
    }
    life
}

#[test]
fn a_long_message_stays_together_as_long_as_it_can() {
    use Is::{Failed, Open, Taken, Waits};
    let whole = |name| Move::Whole(operator(name));
    let parts = |list: &[(u16, &str)]| {
        Move::Parts(
            list.iter()
                .map(|(number, name)| (*number, operator(name)))
                .collect(),
        )
    };
    let table: [(&[Is], Move); 14] = [
        (&[Open], Move::Stay),
        (&[Taken, Open], Move::Stay),
        (&[Waits(1)], whole("beta")),
        (&[Waits(2)], whole("gamma")),
        (&[Waits(3)], Move::End(Halt::NoOperator)),
        (&[Waits(1), Open], Move::Stay),
        (&[Open, Open, Waits(1)], Move::Stay),
        (&[Waits(1), Waits(1)], whole("beta")),
        (&[Waits(1), Waits(2)], whole("gamma")),
        (&[Waits(1), Taken], parts(&[(1, "beta")])),
        (
            &[Waits(1), Taken, Open, Waits(2)],
            parts(&[(1, "beta"), (4, "gamma")]),
        ),
        (&[Waits(1), Failed], Move::End(Halt::Incomplete)),
        (&[Waits(1), Taken, Failed], Move::End(Halt::Incomplete)),
        (&[Waits(1), Taken, Waits(3)], Move::End(Halt::NoOperator)),
    ];
    for (is, expected) in table {
        assert_eq!(decide(&life(is), at(100), 3, next), expected, "{is:?}");
    }
}

#[test]
fn attempts_and_validity_are_bounds() {
    let after = |tried, now, most| decide(&life(&[Is::Waits(tried)]), at(now), most, next);
    assert_eq!(after(1, 100, 0), Move::End(Halt::Limit));
    assert_eq!(after(1, 100, 1), Move::Whole(operator("beta")));
    assert_eq!(after(2, 100, 1), Move::End(Halt::Limit));
    assert_eq!(after(1, 9_999, 1), Move::Whole(operator("beta")));
    assert_eq!(after(1, 10_000, 1), Move::End(Halt::Expired));
    let gone = decide(&life(&[Is::Waits(1)]), at(100), 3, |_: &[OperatorId]| None);
    assert_eq!(gone, Move::End(Halt::NoOperator), "no route applies any more");
}

#[test]
fn a_refusal_that_is_taken_again_is_known_and_an_acceptance_always_counts() {
    let mut life = life(&[Is::Open]);
    let refused = |millis| SubmitResult {
        outcome: SubmitOutcome::Refused {
            error: "E".to_owned(),
            status: 1,
        },
        reroute: Some(RerouteReason::Answer),
        ..sent(life.message.id, 1, "", millis)
    };
    let (first, later) = (refused(200), refused(300));
    let accepted = sent(life.message.id, 1, "A1", 200);
    assert!(!is_repeated(&life, &first));
    let (name, detail) = wait(
        &mut life.parts[0],
        &operator("alpha"),
        "E",
        RerouteReason::Exhausted,
    );
    assert_eq!(detail.as_deref(), Some("alpha: E (exhausted)"));
    life::note(&mut life, at(200), name, Some(1), detail);
    assert!(is_repeated(&life, &first));
    assert!(
        !is_repeated(&life, &later),
        "a person may have given it to alpha again"
    );
    assert!(!is_repeated(&life, &accepted));
}

#[test]
fn receipts_count_from_the_operator_that_has_the_part() {
    let mut life = life(&[Is::Waits(1)]);
    let is_elsewhere = |life: &MessageLife, name| is_elsewhere(&life.parts[0], &operator(name));
    assert!(
        !is_elsewhere(&life, "alpha"),
        "it has not gone to anybody else yet"
    );
    give(&mut life.parts[0], &operator("beta"), None);
    assert!(is_elsewhere(&life, "alpha"));
    assert!(!is_elsewhere(&life, "beta") && !is_elsewhere(&life, "gamma"));
}

fn any_part() -> impl Strategy<Value = Is> {
    prop_oneof![
        Just(Is::Open),
        Just(Is::Taken),
        Just(Is::Failed),
        (1_usize..=3).prop_map(Is::Waits),
    ]
}

proptest! {
    /// RR-1, and what moves is what waits.
    #[test]
    fn nothing_moves_twice_or_back(parts in proptest::collection::vec(any_part(), 1..6), most in 0_u32..4) {
        let life = life(&parts);
        let waits = life.parts.iter().filter(|part| is_waiting(part)).count();
        let tried_at_most = |tried: &[OperatorId]| tried.len() <= usize::try_from(most).unwrap();
        match decide(&life, at(100), most, next) {
            Move::Stay => {
                let open = life.parts.iter().any(|part| !part.is_final && !is_waiting(part));
                prop_assert!(waits == 0 || open, "what waits has something to wait for");
            }
            Move::Whole(operator) => {
                prop_assert_eq!(waits, life.parts.len());
                prop_assert!(life.parts.iter().all(|part| !tried(part).contains(&operator)));
                prop_assert!(tried_at_most(&tried_by_any(&life)));
            }
            Move::Parts(moved) => {
                prop_assert_eq!(moved.len(), waits);
                for (number, operator) in moved {
                    let part = &life.parts[usize::from(number) - 1];
                    prop_assert!(is_waiting(part) && !tried(part).contains(&operator));
                    prop_assert!(tried_at_most(tried(part)));
                }
            }
            Move::End(_) => prop_assert!(waits > 0),
        }
    }
}
