//! What becomes of messages from phones.

use super::*;

#[test]
fn a_message_from_a_phone_goes_to_its_client() {
    let mut world = World::new();
    world.mo(mo("hello"), 10);
    let down = &world.mos()[0];
    assert_eq!((down.text.as_deref(), down.incomplete), (Some("hello"), false));
    assert_eq!(world.happened(), [EventName::MoRouted]);
}

#[test]
fn a_message_from_a_phone_that_nobody_takes_is_kept() {
    let mut world = World::new();
    let to = |digits| smsgw_message::Address::from_wire(smsgw_message::Ton(3), smsgw_message::Npi(0), digits);
    world.mo(
        Mo {
            to: to("999"),
            ..mo("x")
        },
        10,
    );
    world.mo(
        Mo {
            to: to("777"),
            ..mo("x")
        },
        10,
    );
    for number in [1, 2] {
        world.mo(
            Mo {
                to: to("999"),
                ..mo_part(7, 2, number, "x")
            },
            10,
        );
    }
    assert_eq!(
        world.buried,
        [
            (up(), DeadReason::NoRoute),
            (names::DOWN_CALLBACK.to_owned(), DeadReason::NoOwner),
            (up(), DeadReason::NoRoute),
            (up(), DeadReason::NoRoute),
        ]
    );
    assert!(world.state.is_empty(), "parts that were released begin anew");
}

#[test]
fn a_long_message_from_a_phone_waits_for_its_parts_and_not_for_ever() {
    let mut world = World::new();
    world.mo(mo_part(7, 2, 2, "world"), 10);
    world.mo(mo_part(7, 2, 1, "hello "), 20);
    world.mo(mo_part(7, 2, 1, "hello "), 30);
    world.mo(mo_part(8, 3, 3, "end"), 40);
    world.mo(mo_part(8, 3, 1, "begin, "), 50);
    world.pass_to(30_039);
    assert_eq!(world.mos().len(), 1);
    world.pass_to(30_040);
    let told: Vec<_> = world
        .mos()
        .into_iter()
        .map(|mo| (mo.text.unwrap(), mo.incomplete))
        .collect();
    assert_eq!(
        told,
        [("hello world".to_owned(), false), ("begin, end".to_owned(), true)]
    );
    assert!(
        world
            .notes
            .iter()
            .any(|note| matches!(note, Note::MoPartDuplicate(..)))
    );
    assert!(world.state.is_empty(), "nothing stays");
}
