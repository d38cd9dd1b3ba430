//! Messages that an operator does not take and the next one is asked for: the whole way, from result to report.

use super::*;
use crate::fixtures::{operator, phone, via};
use crate::reroute::Halt;
use proptest::prelude::*;
use smsgw_message::segment::split;
use smsgw_message::text::{self, Requested};
use smsgw_message::{OperatorId, RerouteReason};

/// A message to a route of alpha, beta, whole and wide.
fn message(n: u8, parts: usize) -> MtMessage {
    MtMessage {
        to: phone("4570000001"),
        ..mt(n, parts)
    }
}

/// A text of several parts, as the client node cuts it.
fn long(n: u8) -> MtMessage {
    let encoded = text::encode(&"Long message. ".repeat(20), Requested::Auto).unwrap();
    MtMessage {
        encoding: encoded.encoding,
        parts: split(&encoded, 9).unwrap(),
        ..message(n, 1)
    }
}

fn elsewhere(from: &str, part: u16, millis: i64) -> SubmitResult {
    SubmitResult {
        via: via(from),
        reroute: Some(RerouteReason::Answer),
        ..refused(part, millis)
    }
}

fn taken(by: &str, part: u16, carrier_id: &str, millis: i64) -> SubmitResult {
    SubmitResult {
        via: via(by),
        ..sent(message_id(1), part, carrier_id, millis)
    }
}

fn receipt_of(name: &str, carrier_id: &str, state: ReceiptState, millis: i64) -> Receipt {
    Receipt {
        via: via(name),
        ..receipt(carrier_id, state, millis)
    }
}

impl World {
    /// What was published to an operator, as part and octets of its text.
    fn dispatched(&self, name: &str) -> Vec<(u16, u16, usize)> {
        let queue = names::mt_operator(&operator(name));
        let parts = self
            .published
            .iter()
            .filter(|(to, _)| *to == queue)
            .map(|(_, record)| Dispatch::from_record(record).unwrap());
        parts
            .map(|part| (part.part, part.parts, part.content.data.len()))
            .collect()
    }

    fn lines(&self) -> Vec<(EventName, Option<u16>, String)> {
        let life = self.life(1);
        let lines = life.events.into_iter().skip(2);
        lines
            .map(|line| (line.event, line.part, line.detail.unwrap_or_default()))
            .collect()
    }

    fn halts(&self) -> Vec<Halt> {
        let halt = |note: &Note| match note {
            Note::NotRerouted(_, _, halt) => Some(*halt),
            _ => None,
        };
        self.notes.iter().filter_map(halt).collect()
    }
}

#[test]
fn a_message_that_one_operator_does_not_take_goes_to_the_next_and_is_delivered_there() {
    let mut world = World::new();
    world.accept(&message(1, 1), 100);
    world.result(elsewhere("alpha", 1, 200));
    assert_eq!(world.dispatched("beta"), [(1, 1, 5)]);
    let life = world.life(1);
    assert_eq!((life.state, life.is_final), (MessageState::Queued, false));
    assert_eq!(life.parts[0].via, Some(via("beta")));
    assert_eq!(life.parts[0].tried, Some(vec![operator("alpha")]));
    assert!(world.told().is_empty(), "its client hears of outcomes only");
    world.result(taken("beta", 1, "B1", 300));
    world.receipt(receipt_of("beta", "B1", ReceiptState::Delivered, 400));
    assert_eq!(world.told(), [(MessageState::Delivered, None)]);
    assert_eq!(
        world.lines()[..2],
        [
            (
                EventName::MtRefused,
                Some(1),
                "alpha: ESME_RINVDSTADR (answer)".to_owned()
            ),
            (
                EventName::MtRerouted,
                None,
                "alpha to beta: ESME_RINVDSTADR".to_owned()
            ),
        ]
    );
    let event = world
        .events
        .iter()
        .find(|event| event.name == EventName::MtRerouted)
        .unwrap();
    assert_eq!(event.operator, Some(operator("beta")));
}

#[test]
fn when_no_operator_is_left_the_last_failure_is_the_outcome() {
    let mut world = World::new();
    world.accept(&message(1, 1), 100);
    let mut last = elsewhere("wide", 1, 230);
    last.outcome = SubmitOutcome::Refused {
        error: "ESME_RSUBMITFAIL".to_owned(),
        status: 0x45,
    };
    for result in [
        elsewhere("alpha", 1, 200),
        elsewhere("beta", 1, 210),
        elsewhere("whole", 1, 220),
        last,
    ] {
        assert!(world.told().is_empty());
        world.result(result);
    }
    assert_eq!(
        world.told(),
        [(MessageState::Rejected, Some("ESME_RSUBMITFAIL".to_owned()))]
    );
    assert_eq!(world.halts(), [Halt::Limit], "three after the first");
    assert_eq!(
        world.dispatched("off"),
        [],
        "an operator that is not enabled is passed over"
    );
}

#[test]
fn a_route_of_one_operator_ends_as_refused() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    world.result(elsewhere("alpha", 1, 200));
    assert_eq!(
        world.told(),
        [(MessageState::Rejected, Some("ESME_RINVDSTADR".to_owned()))]
    );
    assert_eq!(world.halts(), [Halt::NoOperator]);
}

#[test]
fn nothing_goes_elsewhere_after_its_validity() {
    let mut world = World::new();
    world.accept(&message(1, 1), 100);
    world.result(elsewhere("alpha", 1, 10_000));
    assert_eq!(world.halts(), [Halt::Expired]);
    assert_eq!(world.told().len(), 1);
    assert_eq!(world.dispatched("beta"), []);
}

#[test]
fn a_long_message_of_which_nothing_was_taken_goes_as_a_whole_cut_for_its_next_operator() {
    let mut world = World::new();
    let octets: usize = long(1).parts.iter().map(|part| part.data.len()).sum();
    world.accept(&long(1), 100);
    world.result(elsewhere("alpha", 1, 200));
    assert_eq!(world.dispatched("beta"), [], "part 2 may be taken yet");
    world.result(elsewhere("alpha", 2, 210));
    assert_eq!(world.dispatched("beta"), [(1, 2, 153), (2, 2, octets - 153)]);
    world.result(elsewhere("beta", 2, 220));
    world.result(elsewhere("beta", 1, 230));
    assert_eq!(
        world.dispatched("whole"),
        [(1, 1, octets)],
        "the carrier of payloads gets it in one piece"
    );
    world.result(elsewhere("whole", 1, 240));
    assert_eq!(
        world.dispatched("wide"),
        [(1, 2, 152), (2, 2, octets - 152)],
        "and the next one cut again, with room for 16-bit references"
    );
    for (part, id) in [(1, "W1"), (2, "W2")] {
        world.result(taken("wide", part, id, 250));
        world.receipt(receipt_of("wide", id, ReceiptState::Delivered, 300));
    }
    assert_eq!(world.told(), [(MessageState::Delivered, None)]);
    let life = world.life(1);
    let tried = ["alpha", "beta", "whole"].map(operator).to_vec();
    assert!(life.parts.iter().all(|part| part.tried == Some(tried.clone())));
}

#[test]
fn where_a_part_was_taken_only_the_others_go_and_as_they_are() {
    for taken_first in [true, false] {
        let mut world = World::new();
        world.accept(&long(1), 100);
        if taken_first {
            world.result(taken("alpha", 1, "A1", 200));
            world.result(elsewhere("alpha", 2, 210));
        } else {
            world.result(elsewhere("alpha", 2, 200));
            assert_eq!(world.dispatched("beta"), []);
            world.result(taken("alpha", 1, "A1", 210));
        }
        let parts = world.dispatched("beta");
        assert_eq!(parts.len(), 1);
        assert_eq!((parts[0].0, parts[0].1), (2, 2));
        world.result(taken("beta", 2, "B1", 300));
        world.receipt(receipt_of("alpha", "A1", ReceiptState::Delivered, 400));
        assert!(world.told().is_empty());
        world.receipt(receipt_of("beta", "B1", ReceiptState::Delivered, 500));
        assert_eq!(world.told(), [(MessageState::Delivered, None)]);
    }
}

#[test]
fn a_message_that_cannot_become_whole_is_not_paid_for_elsewhere() {
    let mut world = World::new();
    world.accept(&long(1), 100);
    world.result(elsewhere("alpha", 1, 200));
    world.result(refused(2, 210));
    assert_eq!(world.dispatched("beta"), []);
    assert_eq!(
        world.told(),
        [(MessageState::Rejected, Some("ESME_RINVDSTADR".to_owned()))]
    );
    assert_eq!(world.halts(), [Halt::Incomplete]);
}

#[test]
fn a_refusal_taken_again_moves_nothing() {
    let mut world = World::new();
    world.accept(&message(1, 1), 100);
    world.result(elsewhere("alpha", 1, 200));
    world.result(elsewhere("alpha", 1, 200));
    assert_eq!(world.dispatched("beta").len(), 1);
    assert_eq!(world.duplicates(), 1);
}

#[test]
fn a_receipt_of_an_operator_that_gave_the_part_away_is_counted_and_changes_nothing() {
    let mut world = World::new();
    world.accept(&message(1, 1), 100);
    // Alpha refuses what it had taken before, under an id that came late.
    world.result(taken("alpha", 1, "A1", 150));
    world.result(elsewhere("alpha", 1, 200));
    assert_eq!(world.dispatched("beta").len(), 1);
    world.receipt(receipt_of("alpha", "A1", ReceiptState::Undeliverable, 250));
    assert!(world.told().is_empty());
    assert_eq!(world.was_noted(|note| matches!(note, Note::Elsewhere(..))), 1);
    world.result(taken("beta", 1, "B1", 300));
    world.receipt(receipt_of("alpha", "A1", ReceiptState::Undeliverable, 350));
    world.receipt(receipt_of("beta", "B1", ReceiptState::Delivered, 400));
    assert_eq!(world.told(), [(MessageState::Delivered, None)]);
}

#[test]
fn a_part_that_spoke_for_all_and_went_away_leaves_the_others_nothing_to_wait_for() {
    let mut world = World::new();
    let text = CONFIG.replacen(
        "system_id = \"test\"",
        "system_id = \"test\"\nlong_receipts = \"first\"",
        1,
    );
    let config = Arc::new(Config::parse("test.toml", &text).unwrap());
    world.plan = Plan::try_new(2, config, Arc::default()).unwrap();
    world.accept(&long(1), 100);
    world.result(taken("alpha", 2, "A2", 200));
    world.result(elsewhere("alpha", 1, 210));
    assert!(world.life(1).parts[1].is_final, "nobody asked for its receipt");
    world.result(taken("beta", 1, "B1", 300));
    world.receipt(receipt_of("beta", "B1", ReceiptState::Delivered, 400));
    assert_eq!(world.told(), [(MessageState::Sent, None)]);
}

fn answers() -> impl Strategy<Value = Vec<(u8, bool)>> {
    proptest::collection::vec((0_u8..6, any::<bool>()), 40)
}

proptest! {
    /// Whatever operators answer, in whatever order: each part is with one operator at a time, none is asked twice, and the
    /// message ends once.
    #[test]
    fn every_message_ends_once_and_no_operator_is_asked_twice(parts in 1_usize..5, answers in answers()) {
        let mut world = World::new();
        world.accept(&message(1, parts), 100);
        let mut answers = answers.into_iter();
        let mut seen = 0;
        let mut open: Vec<(OperatorId, u16)> = Vec::new();
        let mut asked = std::collections::BTreeSet::new();
        let mut now = 200;
        loop {
            for (queue, record) in &world.published[seen..] {
                if queue.starts_with("mt.operator.") {
                    let part = Dispatch::from_record(record).unwrap();
                    prop_assert!(open.iter().all(|(_, number)| *number != part.part), "one at a time");
                    prop_assert!(asked.insert((part.operator.clone(), part.part)), "asked once");
                    open.push((part.operator, part.part));
                }
            }
            seen = world.published.len();
            let Some((kind, from_behind)) = answers.next() else { break };
            if open.is_empty() { break }
            let (name, part) = if from_behind { open.pop().unwrap() } else { open.remove(0) };
            now += 10;
            match kind {
                0 => world.result(SubmitResult { via: via(name.as_str()), ..refused(part, now) }),
                1 | 2 => {
                    let id = format!("{name}{part}");
                    world.result(taken(name.as_str(), part, &id, now));
                    world.receipt(receipt_of(name.as_str(), &id, ReceiptState::Delivered, now));
                }
                _ => world.result(elsewhere(name.as_str(), part, now)),
            }
        }
        prop_assert!(open.is_empty(), "each part was answered for");
        let life = world.life(1);
        prop_assert!(life.is_final && life.parts.iter().all(|part| part.is_final), "{:?}", life);
        prop_assert_eq!(world.told().len(), 1);
        let finals = world.happened().into_iter().filter(|name| *name == EventName::MtFinal).count();
        prop_assert_eq!(finals, 1);
    }
}
