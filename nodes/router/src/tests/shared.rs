//! Ids that stand for several parts: UCP names a message by its recipient and second.

use super::*;
use crate::fixtures::{phone, via};
use smsgw_message::MessageState::Delivered;

const KEY: &str = "46700000001:211126120000";
const CENTRE: &str = r#"
[operator.centre]
protocol = "ucp"
hosts = ["127.0.0.1:1"]
login = "12345"
password = "test"
[[route.mt]]
prefix = ["46"]
operators = ["centre"]
"#;

fn accepted(world: &mut World, n: u8, parts: usize) {
    let message = MtMessage {
        to: phone("46700000001"),
        ..mt(n, parts)
    };
    world.accept(&message, 100);
}

fn answer(world: &mut World, n: u8, part: u16, millis: i64) {
    let result = SubmitResult {
        via: via("centre"),
        ..sent(message_id(n), part, KEY, millis)
    };
    world.result(result);
}

fn notify(world: &mut World, millis: i64) {
    let told = Receipt {
        via: via("centre"),
        from: Some(phone("46700000001")),
        ..receipt(KEY, ReceiptState::Delivered, millis)
    };
    world.receipt(told);
}

/// What was given back to `up` takes its turn.
fn go_round(world: &mut World, seen: usize, now: i64) -> usize {
    let queue = names::up(&via("centre").group);
    let mut done = seen;
    loop {
        let again = world.published.iter().filter(|(name, _)| *name == queue);
        let Some(record) = again.map(|(_, record)| record.clone()).nth(done) else {
            return done;
        };
        world.run(&UpHop, &queue, &record, at(now));
        done += 1;
    }
}

fn duplicates(world: &World) -> u32 {
    let times = |note: &Note| match note {
        Note::Duplicate(_, _, times) => *times,
        _ => 0,
    };
    world.notes.iter().map(times).sum()
}

fn waiting(world: &World) -> usize {
    let (there, _) = &world.state[&StateKey::from(format!("corr/centre/{KEY}"))];
    match Correlation::from_record(&there.value).unwrap() {
        Correlation::Owned { early, .. } => early.map_or(0, |early| early.receipts.len()),
        Correlation::Parked { receipts, .. } => receipts.len(),
        Correlation::Sent { .. } => 0,
    }
}

#[test]
fn notifications_before_all_answers_are_given_to_the_parts_as_they_are_answered() {
    let mut world = World::with(CENTRE);
    accepted(&mut world, 1, 3);
    for millis in [110, 111, 112] {
        notify(&mut world, millis);
    }
    let mut seen = 0;
    for part in 1..=3 {
        answer(&mut world, 1, part, 200 + i64::from(part));
        seen = go_round(&mut world, seen, 210);
        assert_eq!(waiting(&world), usize::from(3 - part));
    }
    assert_eq!(world.told(), [(Delivered, None)]);
    assert!(world.buried.is_empty());
    assert_eq!(duplicates(&world), 0);
}

#[test]
fn a_notification_before_the_answer_of_its_part_waits_beside_the_parts_that_have_theirs() {
    let mut world = World::with(CENTRE);
    accepted(&mut world, 1, 1);
    accepted(&mut world, 2, 1);
    answer(&mut world, 1, 1, 200);
    notify(&mut world, 300);
    notify(&mut world, 301);
    assert_eq!((world.told().len(), waiting(&world)), (1, 1));
    // Half of its time passes, and the answer comes in the other half.
    world.pass_to(2_900);
    assert_eq!(waiting(&world), 1);
    answer(&mut world, 2, 1, 3_000);
    go_round(&mut world, 0, 3_000);
    assert_eq!(world.told(), [(Delivered, None), (Delivered, None)]);
    assert_eq!((waiting(&world), duplicates(&world)), (0, 0));
    assert!(world.buried.is_empty());
}

#[test]
fn a_notification_that_no_answer_comes_for_was_a_duplicate_and_is_forgotten() {
    let mut world = World::with(CENTRE);
    accepted(&mut world, 1, 1);
    answer(&mut world, 1, 1, 200);
    for millis in 300..330 {
        notify(&mut world, millis);
    }
    // One is the part's, sixteen wait, the others are too many.
    assert_eq!((waiting(&world), duplicates(&world)), (16, 13));
    world.pass_to(2_900);
    assert_eq!((waiting(&world), duplicates(&world)), (16, 13));
    world.pass_to(5_500);
    assert_eq!((waiting(&world), duplicates(&world)), (0, 29));
    assert_eq!(world.told(), [(Delivered, None)]);
    world.pass_to(100_000);
    assert!(
        world.state.keys().all(|key| key.space() != "corr"),
        "nothing is for ever"
    );
    assert!(world.buried.is_empty());
}
