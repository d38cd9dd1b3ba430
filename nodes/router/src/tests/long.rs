//! What long messages become on their way to an operator.

use super::*;
use smsgw_message::segment::split;
use smsgw_message::text::{Requested, encode};
use smsgw_message::udh::Udh;
use smsgw_message::{Address, names};

fn long(n: u8, to: &str) -> MtMessage {
    let encoded = encode(&"x".repeat(306), Requested::Auto).unwrap();
    MtMessage {
        to: Address::msisdn(to).unwrap(),
        parts: split(&encoded, 9).unwrap(),
        ..mt(n, 1)
    }
}

fn dispatches(world: &World, operator: &str) -> Vec<Dispatch> {
    let queue = names::mt_operator(&crate::fixtures::operator(operator));
    let of = world.published.iter().filter(|(name, _)| *name == queue);
    of.map(|(_, record)| Dispatch::from_record(record).unwrap())
        .collect()
}

fn reference(dispatch: &Dispatch) -> u16 {
    Udh::parse(&dispatch.content.udh)
        .unwrap()
        .0
        .concat
        .unwrap()
        .reference
}

#[test]
fn references_of_one_phone_follow_each_other_and_expire_after_a_day() {
    let mut world = World::new();
    for n in 1..=3 {
        world.accept(&long(n, "491700000001"), 0);
    }
    let sent: Vec<u16> = dispatches(&world, "alpha").iter().map(reference).collect();
    let [a, b, c, d, e, f] = sent.as_slice() else {
        panic!("two parts of three messages, not {sent:?}");
    };
    assert!(a == b && c == d && e == f, "one reference in all parts: {sent:?}");
    assert_eq!((*c, *e), ((a + 1) & 0xFF, (a + 2) & 0xFF));
    let there = |world: &World| world.state.keys().filter(|key| key.space() == "ref").count();
    world.accept(&mt(4, 1), 10);
    assert_eq!(there(&world), 1, "short messages need none");
    world.pass_to(86_400_000);
    assert_eq!(there(&world), 0);
}

#[test]
fn parts_are_cut_anew_only_where_the_operator_needs_it_and_the_record_says_so() {
    let mut world = World::new();
    world.accept(&long(1, "491700000001"), 0);
    assert_eq!(world.life(1).parts.len(), 2);
    assert_eq!(world.happened(), [EventName::MtRouted]);

    world.accept(&long(2, "431700000001"), 0);
    let wide = dispatches(&world, "wide");
    assert_eq!(wide.len(), 3);
    assert!(
        wide.iter()
            .all(|part| part.parts == 3 && part.content.udh.len() == 7)
    );
    let life = world.life(2);
    assert_eq!((life.parts.len(), life.message.parts.len()), (3, 3));
    let said: Vec<_> = life
        .events
        .iter()
        .map(|line| (line.event, line.detail.as_deref()))
        .collect();
    assert_eq!(
        said,
        [
            (EventName::MtAccepted, None),
            (EventName::MtRecut, Some("udh16: 3 parts, were 2")),
            (EventName::MtRouted, Some("wide")),
        ]
    );

    world.accept(&long(3, "411700000001"), 0);
    let whole = dispatches(&world, "whole");
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].content.data, b"x".repeat(306));
    assert!(whole[0].content.udh.is_empty());
    assert_eq!(world.life(3).parts.len(), 1);
}
