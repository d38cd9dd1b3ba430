//! Laws of the index, by example and by random operations against a list that is searched from end to end.

mod fair;
mod model;

use super::types::Entry;
use super::*;
use crate::look::Look;
use crate::name::{Lane, QueueName};
use proptest::prelude::*;
use smsgw_message::Class;
use std::collections::BTreeMap;

const FLOWS: [&str; 4] = ["a", "b", "c", "d"];

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn new(id: u64, class: Class, flow: &str) -> NewRecord {
    NewRecord {
        id: RecordId::from_u64(id),
        lane: Lane::new(class, flow),
        published_at: at(0),
        size: 10,
    }
}

fn add(index: &mut QueueIndex, id: u64, class: Class, flow: &str) {
    let change = index.publish(new(id, class, flow), None, at(0));
    index.finish(change);
}

fn lease(leased: &Leased) -> Lease {
    Lease {
        queue: QueueName::from("q"),
        record: leased.id,
        token: leased.token,
    }
}

fn ids(leased: &[Leased]) -> Vec<u64> {
    leased.iter().map(|leased| leased.id.as_u64()).collect()
}

#[test]
fn each_class_gets_its_weight_in_every_round() {
    let mut index = QueueIndex::new();
    for id in 0..3000 {
        add(&mut index, id, Class::ALL[usize::try_from(id % 3).unwrap()], "a");
    }
    // In portions that do not divide the round.
    let mut served = Vec::new();
    while served.len() < 210 {
        served.extend(
            index
                .checkout(5, &Flows::All)
                .into_iter()
                .map(|leased| leased.lane.class),
        );
    }
    for round in served.windows(21) {
        for class in Class::ALL {
            let share = round.iter().filter(|served| **served == class).count();
            assert_eq!(
                u32::try_from(share).unwrap(),
                lanes::weight(class),
                "{class:?} in {round:?}"
            );
        }
    }
}

#[test]
fn nobody_waits_for_a_class_that_is_empty() {
    let mut index = QueueIndex::new();
    for id in 0..50 {
        add(&mut index, id, Class::Bulk, "a");
    }
    assert_eq!(ids(&index.checkout(50, &Flows::All)), (0..50).collect::<Vec<_>>());
}

#[test]
fn flows_of_a_class_take_turns_whatever_their_length() {
    let mut index = QueueIndex::new();
    for id in 0..100 {
        add(&mut index, id, Class::Otp, "long");
    }
    add(&mut index, 100, Class::Otp, "short");
    add(&mut index, 101, Class::Otp, "short");
    assert_eq!(ids(&index.checkout(6, &Flows::All)), [0, 100, 1, 101, 2, 3]);
}

#[test]
fn a_released_record_goes_to_the_front_of_its_flow() {
    let mut index = QueueIndex::new();
    for id in 0..5 {
        add(&mut index, id, Class::Otp, "a");
    }
    let leased = index.checkout(3, &Flows::All);
    for leased in [&leased[2], &leased[1]] {
        let change = index
            .release(
                &lease(leased),
                Duration::ZERO,
                ReleaseReason::Throttled,
                Cost::Free,
                at(1),
            )
            .unwrap();
        index.finish(change);
    }
    assert_eq!(ids(&index.checkout(9, &Flows::All)), [1, 2, 3, 4]);
}

#[test]
fn ready_records_of_a_rare_flow_are_found_in_their_order_without_passing_others() {
    let mut index = QueueIndex::new();
    let rare = |id: u64| id % 5000 == 4999;
    for id in 0..40_000 {
        let class = Class::ALL[usize::try_from(id / 5000 % 3).unwrap()];
        add(&mut index, id, class, if rare(id) { "b" } else { "a" });
    }
    // Two that came back stand in front of their line.
    let only = Flows::Only("b".into());
    let leased = index.checkout(3, &only);
    for leased in &leased {
        index.put_back(leased.id, leased.token);
    }
    let mut look = Look::at(Place::Ready, 3).of("b");
    let mut found = Vec::new();
    loop {
        let (page, next) = index.look(&look);
        assert!(
            page.iter()
                .all(|view| view.lane.flow.as_str() == "b" && view.place == Place::Ready)
        );
        found.push(page.iter().map(|view| view.id.as_u64()).collect::<Vec<_>>());
        let Some(next) = next else { break };
        look = look.behind(Some(next));
    }
    assert_eq!(
        found,
        [
            vec![4999, 9999, 14_999],
            vec![19_999, 24_999, 29_999],
            vec![34_999, 39_999]
        ]
    );
    let none = index.look(&Look::at(Place::Ready, 0).of("b"));
    assert!(none.0.is_empty() && none.1.is_none());
}

#[test]
fn one_flow_alone_or_all_but_some() {
    let mut index = QueueIndex::new();
    for id in 0..8 {
        add(
            &mut index,
            id,
            Class::Otp,
            FLOWS[usize::try_from(id % 4).unwrap()],
        );
    }
    assert_eq!(ids(&index.checkout(9, &Flows::Only("c".into()))), [2, 6]);
    assert_eq!(
        ids(&index.checkout(9, &Flows::Only("nobody".into()))),
        Vec::<u64>::new()
    );
    let except = Flows::Except(["a".into(), "nobody".into()].into());
    assert_eq!(ids(&index.checkout(9, &except)), [1, 3, 5, 7]);
    assert_eq!(ids(&index.checkout(9, &except)), Vec::<u64>::new());
    assert_eq!(ids(&index.checkout(9, &Flows::All)), [0, 4]);
}

#[test]
fn a_flow_read_alone_keeps_its_weights_whoever_else_reads() {
    let mut index = QueueIndex::new();
    for id in 0..600 {
        add(
            &mut index,
            id,
            if id % 2 == 0 { Class::Otp } else { Class::Bulk },
            "a",
        );
        add(&mut index, 1000 + id, Class::Bulk, "b");
    }
    let mut bulk = 0;
    for _ in 0..170 {
        index.checkout(1, &Flows::Only("b".into()));
        let leased = index.checkout(1, &Flows::Only("a".into()));
        bulk += usize::from(leased[0].lane.class == Class::Bulk);
    }
    assert_eq!(bulk, 10, "one in 17");
}

#[test]
fn what_is_not_finished_is_not_handed_out() {
    let mut index = QueueIndex::new();
    let ready = index.publish(new(1, Class::Otp, "a"), None, at(0));
    let later = index.publish(new(2, Class::Otp, "a"), Some(at(5)), at(0));
    assert_eq!((index.due(at(9)), index.checkout(9, &Flows::All).len()), (0, 0));
    index.finish(later);
    assert_eq!((index.next_due(), index.due(at(9))), (Some(at(5)), 1));
    assert_eq!(ids(&index.checkout(9, &Flows::All)), [2]);
    index.finish(ready);
    assert_eq!(ids(&index.checkout(9, &Flows::All)), [1]);
}

#[test]
fn steps_of_one_call_move_a_record_on_before_any_is_finished() {
    let mut index = QueueIndex::new();
    add(&mut index, 1, Class::Otp, "a");
    let leased = index.checkout(1, &Flows::All);
    let held = index
        .hold(&lease(&leased[0]), HoldReason::Instructed, at(1))
        .unwrap();
    let requeued = index.requeue(RecordId::from_u64(1)).unwrap();
    index.finish(held);
    assert_eq!(index.checkout(9, &Flows::All), []);
    index.finish(requeued);
    assert_eq!(ids(&index.checkout(9, &Flows::All)), [1]);
    assert_eq!(index.checkout(9, &Flows::All), []);
}

#[test]
fn dead_letters_expire_by_when_they_were_given_up() {
    let mut index = QueueIndex::new();
    for (id, since) in [(1, 30), (2, 10), (3, 20)] {
        let reason = if id == 3 {
            DeadReason::Corrupt
        } else {
            DeadReason::NoRoute
        };
        let change = index.bury(new(id, Class::Otp, "a"), reason, at(since));
        index.finish(change);
    }
    assert_eq!(index.oldest_dead(), Some(at(10)));
    let expired = index.expired(at(20), 9);
    assert_eq!(expired, [2, 3].map(RecordId::from_u64));
    for id in expired {
        let change = index.discard(id).unwrap();
        index.finish(change);
    }
    assert_eq!(
        (index.expired(at(29), 9), index.len(), index.octets()),
        (vec![], 1, 10)
    );
    assert_eq!(
        index.requeue(RecordId::from_u64(3)).unwrap_err(),
        Refused::NoRecord(RecordId::from_u64(3))
    );
}

#[test]
fn an_empty_queue_keeps_nothing_of_its_flows() {
    let mut index = QueueIndex::new();
    for id in 0..1000 {
        add(&mut index, id, Class::Bulk, &format!("flow {id}"));
    }
    assert_eq!(index.lanes.members(), 1000);
    for leased in index.checkout(1000, &Flows::All) {
        let change = index.settle(&lease(&leased)).unwrap();
        index.finish(change);
    }
    assert_eq!(
        (index.lanes.members(), index.is_empty(), index.octets()),
        (0, true, 0)
    );
}

#[test]
fn a_record_takes_little_memory() {
    assert_eq!(std::mem::size_of::<Entry>(), 24);
    assert!(std::mem::size_of::<Aside>() <= 40);
}

#[test]
fn reason_codes_are_told_apart_and_come_back() {
    let every = (0..=u8::MAX).filter_map(Reason::from_code).collect::<Vec<_>>();
    assert_eq!(every.len(), 21);
    for reason in every {
        assert_eq!(Reason::from_code(reason.code()), Some(reason));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever comes in between: a class that has records is served within a round.
    #[test]
    fn no_class_starves(fill in prop::collection::vec((0..3_usize, 0..4_usize), 1..300), max in 1..30_usize) {
        let mut index = QueueIndex::new();
        let mut waiting = BTreeMap::<Class, usize>::new();
        for (id, (class, flow)) in fill.iter().enumerate() {
            add(&mut index, u64::try_from(id).unwrap(), Class::ALL[*class], FLOWS[*flow]);
        }
        while index.depth().ready > 0 {
            // Those served last may have been the last of their class: who waits is asked before.
            let has: BTreeSet<_> =
                index.browse(Place::Ready, None, usize::MAX).iter().map(|view| view.lane.class).collect();
            let served = index.checkout(max, &Flows::All);
            for class in has {
                let count = waiting.entry(class).or_default();
                match served.iter().position(|leased| leased.lane.class == class) {
                    Some(_) => *count = 0,
                    None => *count += served.len(),
                }
                prop_assert!(*count <= 21, "{class:?} waited for {count}");
            }
        }
    }

    /// Flows of a class under load: nobody gets a second turn before everybody had one.
    #[test]
    fn flows_get_their_turn_within_one_round(lengths in prop::collection::vec(20..60_u64, 2..6)) {
        let mut index = QueueIndex::new();
        let mut id = 0;
        for (flow, length) in lengths.iter().enumerate() {
            for _ in 0..*length {
                add(&mut index, id, Class::Bulk, &flow.to_string());
                id += 1;
            }
        }
        let served = index.checkout(lengths.len() * 20, &Flows::All);
        for round in served.chunks(lengths.len()) {
            let flows: BTreeSet<_> = round.iter().map(|leased| leased.lane.flow.clone()).collect();
            prop_assert_eq!(flows.len(), lengths.len());
        }
    }
}
