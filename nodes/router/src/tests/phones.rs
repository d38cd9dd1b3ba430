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
            (up(), DeadReason::NoRoute),
            (up(), DeadReason::NoRoute),
        ]
    );
    let boxes: Vec<&str> = world.inboxes.iter().map(|(log, _)| log.as_str()).collect();
    assert_eq!(
        boxes,
        ["inbox.quiet"],
        "its client has neither callback nor binds"
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

#[test]
fn a_partial_message_says_so_and_a_whole_one_has_the_headers_of_its_parts() {
    let mut world = World::new();
    world.mo(mo_part(7, 2, 2, "b"), 10);
    world.mo(mo_part(7, 2, 1, "a"), 20);
    world.mo(mo_part(8, 3, 1, "c"), 30);
    world.pass_to(30_030);
    let mos = world.mos();
    let [whole, partial] = mos.as_slice() else {
        panic!("two messages, not {}", mos.len());
    };
    assert_eq!((whole.missing, whole.incomplete), (None, false));
    let headers: Vec<u8> = whole.headers.iter().flatten().map(|header| header[5]).collect();
    assert_eq!(headers, [1, 2]);
    assert_eq!((partial.missing, partial.incomplete), (Some(2), true));
}

#[test]
fn parts_that_were_durable_before_a_stop_and_are_read_after_the_alarm_make_a_whole() {
    let mut world = World::new();
    world.mo(mo_part(7, 2, 1, "a"), 0);
    // Stopped; started again an hour later: the alarm is taken before the part that waits in `up`.
    world.pass_to(3_600_000);
    assert!(world.mos().is_empty());
    world.mo(mo_part(7, 2, 2, "b"), 3_600_001);
    assert_eq!(world.mos()[0].text.as_deref(), Some("ab"));
    assert!(!world.mos()[0].incomplete);

    world.mo(mo_part(9, 2, 1, "lonely"), 4_000_000);
    world.pass_to(4_600_000);
    assert_eq!(world.mos().len(), 1, "half of the time once more");
    world.pass_to(4_615_000);
    assert_eq!(world.mos().len(), 2);
}

#[test]
fn parts_meet_whatever_bind_brought_them() {
    let mut world = World::new();
    let mut second = mo_part(7, 2, 2, "b");
    second.link = smsgw_message::LinkId::new(&second.via.operator, 2);
    world.mo(second, 10);
    world.mo(mo_part(7, 2, 1, "a"), 20);
    assert_eq!(world.mos()[0].text.as_deref(), Some("ab"));
}
