//! Messages for later, and messages that their clients withdraw.

use super::*;
use MessageState::{Cancelled, Queued, Scheduled, Sent};
use smsgw_message::{CancelGroup, CancelRequest, Cancels, ClientId, GroupWish};

/// As the accept leaves it.
fn scheduled(world: &mut World, millis: i64) -> MtMessage {
    let message = MtMessage {
        send_at: Some(at(millis)),
        ..mt(1, 2)
    };
    store(
        world,
        &message,
        Expiry::Alarm(at(millis), names::ALARMS.into(), lane(&message)),
    );
    message
}

fn lane(message: &MtMessage) -> smsgw_queue::Lane {
    smsgw_queue::Lane::new(message.class, &message.client)
}

fn store(world: &mut World, message: &MtMessage, expiry: Expiry) {
    let value = Versioned {
        value: MessageLife::accepted(message.clone()).to_record(),
        version: 0,
        written_by: StepId::from_bytes([0; 16]),
    };
    world.state.insert(message_key(message.id), (value, expiry));
}

fn ask(world: &mut World, client: &str, now: i64) {
    let key = names::cancel(message_id(1));
    let request = CancelRequest {
        client: ClientId::try_new(client).unwrap(),
        at: at(now),
    };
    let value = Versioned {
        value: request.to_record(),
        version: 0,
        written_by: StepId::from_bytes([0; 16]),
    };
    let until = Expiry::At(at(1_000_000));
    world.state.insert(StateKey::from(key.clone()), (value, until));
    world.run(&Alarms, names::ALARMS, key.as_bytes(), at(now));
}

fn is_asked(world: &World) -> bool {
    world
        .state
        .contains_key(&StateKey::from(names::cancel(message_id(1))))
}

fn queues(world: &World) -> Vec<&str> {
    world.published.iter().map(|(queue, _)| queue.as_str()).collect()
}

fn withdrawn(part: u16, millis: i64) -> SubmitResult {
    SubmitResult {
        outcome: SubmitOutcome::Cancelled,
        ..sent(message_id(1), part, "", millis)
    }
}

#[test]
fn a_message_for_later_is_published_once_at_its_time_and_then_lives_as_any_other() {
    let mut world = World::new();
    let message = scheduled(&mut world, 5_000);
    world.pass_to(4_999);
    assert_eq!((world.life(1).state, queues(&world).len()), (Scheduled, 0));
    world.pass_to(5_000);
    assert_eq!(queues(&world), [names::MT_ACCEPTED]);
    // The alarm's record again, as after a crash.
    world.run(
        &Alarms,
        names::ALARMS,
        message_key(message.id).as_str().as_bytes(),
        at(5_001),
    );
    assert_eq!(queues(&world), [names::MT_ACCEPTED]);
    let (_, record) = world.published.remove(0);
    assert_eq!(MtMessage::from_record(&record).unwrap(), message);
    world.accept(&message, 5_002);
    assert_eq!(
        (world.life(1).state, queues(&world)),
        (Queued, vec!["mt.operator.alpha"; 2])
    );
    let (_, expiry) = &world.state[&message_key(message.id)];
    assert!(
        matches!(expiry, Expiry::Alarm(end, ..) if *end == at(30_000)),
        "{expiry:?}"
    );
}

#[test]
fn an_alarm_that_is_early_is_set_again() {
    let mut world = World::new();
    let message = scheduled(&mut world, 5_000);
    world.run(
        &Alarms,
        names::ALARMS,
        message_key(message.id).as_str().as_bytes(),
        at(4_000),
    );
    assert_eq!((world.life(1).state, queues(&world).len()), (Scheduled, 0));
    let (_, expiry) = &world.state[&message_key(message.id)];
    assert!(
        matches!(expiry, Expiry::Alarm(end, ..) if *end == at(5_000)),
        "{expiry:?}"
    );
}

#[test]
fn what_no_operator_was_given_ends_at_once_and_its_input_finds_it_final() {
    for send_at in [None, Some(at(5_000))] {
        let mut world = World::new();
        let message = MtMessage { send_at, ..mt(1, 2) };
        store(&mut world, &message, Expiry::Owner);
        ask(&mut world, "acme", 100);
        assert_eq!((world.life(1).state, world.life(1).is_final), (Cancelled, true));
        assert_eq!(world.told(), [(Cancelled, Some("cancelled".to_owned()))]);
        assert!(!is_asked(&world) && !world.state.contains_key(&StateKey::from(names::CANCELS)));
        world.accept(&message, 200);
        assert_eq!(queues(&world), [names::DOWN_CALLBACK]);
        assert_eq!(
            world.happened(),
            [EventName::MtCancelRequested, EventName::MtFinal]
        );
    }
}

#[test]
fn parts_with_an_operator_are_looked_for_there_and_the_message_ends_as_they_do() {
    let mut world = World::new();
    world.accept(&mt(1, 2), 100);
    ask(&mut world, "acme", 150);
    assert_eq!((world.life(1).state, is_asked(&world)), (Queued, true));
    let until = |world: &World| {
        let (open, _) = &world.state[&StateKey::from(names::CANCELS)];
        Cancels::from_record(&open.value).unwrap().until
    };
    assert_eq!(until(&world), world.life(1).message.valid_until);
    world.result(withdrawn(1, 200));
    assert!(!world.life(1).is_final);
    world.result(withdrawn(2, 201));
    assert_eq!((world.life(1).state, world.life(1).is_final), (Cancelled, true));
    assert_eq!(world.told(), [(Cancelled, Some("cancelled".to_owned()))]);
    // Once more, when all is over.
    ask(&mut world, "acme", 300);
    assert!(!is_asked(&world));
    assert_eq!(world.told().len(), 1);
}

#[test]
fn a_part_that_waits_for_another_operator_is_with_none_and_ends_at_once() {
    let mut world = World::new();
    world.accept(&mt(1, 2), 100);
    world.result(SubmitResult {
        reroute: Some(smsgw_message::RerouteReason::Answer),
        ..refused(1, 120)
    });
    ask(&mut world, "acme", 150);
    let life = world.life(1);
    assert_eq!((life.parts[0].state, life.parts[0].is_final), (Cancelled, true));
    assert!(is_asked(&world), "its sibling is with an operator");
    world.result(withdrawn(2, 200));
    assert_eq!(world.told(), [(Cancelled, Some("cancelled".to_owned()))]);
}

#[test]
fn a_part_that_went_to_another_operator_is_looked_for_there() {
    let mut world = World::new();
    let message = MtMessage {
        to: crate::fixtures::phone("4570000001"),
        ..mt(1, 1)
    };
    world.accept(&message, 100);
    ask(&mut world, "acme", 110);
    // It was with the carrier already, which did not take it.
    world.result(SubmitResult {
        reroute: Some(smsgw_message::RerouteReason::Answer),
        ..refused(1, 120)
    });
    assert_eq!(queues(&world), ["mt.operator.alpha", "mt.operator.beta"]);
    assert!(is_asked(&world), "the next operator looks for it too");
    world.result(SubmitResult {
        via: crate::fixtures::via("beta"),
        ..withdrawn(1, 200)
    });
    assert_eq!(world.told(), [(Cancelled, Some("cancelled".to_owned()))]);
}

#[test]
fn a_request_at_the_moment_of_the_alarm_ends_the_message_whichever_comes_first() {
    for is_alarm_first in [true, false] {
        let mut world = World::new();
        let message = scheduled(&mut world, 5_000);
        if is_alarm_first {
            world.pass_to(5_000);
        }
        ask(&mut world, "acme", 5_000);
        let key = message_key(message.id);
        world.run(&Alarms, names::ALARMS, key.as_str().as_bytes(), at(5_000));
        // What the alarm has published finds it final.
        world.accept(&message, 5_001);
        assert!(
            queues(&world)
                .iter()
                .all(|queue| !queue.starts_with("mt.operator"))
        );
        assert_eq!(world.told(), [(Cancelled, Some("cancelled".to_owned()))]);
        assert!(!is_asked(&world));
    }
}

#[test]
fn a_part_that_was_sent_stays_sent() {
    let mut world = World::new();
    world.accept(&mt(1, 2), 100);
    world.result(sent(message_id(1), 1, "A7", 120));
    ask(&mut world, "acme", 150);
    world.result(withdrawn(2, 200));
    let life = world.life(1);
    assert_eq!((life.state, life.is_final), (Sent, false));
    world.receipt(receipt("A7", ReceiptState::Delivered, 400));
    let life = world.life(1);
    assert_eq!(
        (life.state, life.is_final, life.parts[0].state),
        (Cancelled, true, MessageState::Delivered)
    );
}

#[test]
fn nobody_withdraws_the_message_of_another() {
    let mut world = World::new();
    world.accept(&mt(1, 1), 100);
    ask(&mut world, "quiet", 150);
    assert_eq!((world.life(1).state, is_asked(&world)), (Queued, false));
    assert!(
        !world
            .life(1)
            .events
            .iter()
            .any(|line| line.event == EventName::MtCancelRequested)
    );
}

#[test]
fn operators_look_for_groups_as_long_as_a_message_may_wait_and_forget_clients_whose_time_is_over() {
    const DAY: i64 = 24 * 3_600_000;
    let mut world = World::new();
    let to = crate::fixtures::phone("491700000001");
    let from = smsgw_message::Address::sender("ACME").unwrap();
    let mut ask_group = |client: &str, now: i64| {
        let client = ClientId::try_new(client).unwrap();
        let key = names::cancel_group(&client, &from, &to);
        let wish = GroupWish {
            at: at(now),
            service_type: None,
        };
        let group = CancelGroup {
            client,
            wishes: vec![wish],
        };
        let value = Versioned {
            value: group.to_record(),
            version: 0,
            written_by: StepId::from_bytes([0; 16]),
        };
        world
            .state
            .insert(StateKey::from(key.clone()), (value, Expiry::Owner));
        world.run(&Alarms, names::ALARMS, key.as_bytes(), at(now));
        let (open, expiry) = &world.state[&StateKey::from(names::CANCELS)];
        let open = Cancels::from_record(&open.value).unwrap();
        let groups: Vec<_> = open.groups.unwrap_or_default();
        let clients: Vec<_> = groups.iter().map(|group| group.client.to_string()).collect();
        let longest = groups.iter().map(|group| group.until).max().unwrap();
        assert!(*expiry == Expiry::At(longest.max(open.until)));
        (open.until, clients, groups[0].until)
    };
    let (single, clients, until) = ask_group("acme", 100);
    assert_eq!(
        (single, clients),
        (at(100), vec!["acme".to_owned()]),
        "no single message is looked for"
    );
    assert!(
        until >= at(100 + 37 * DAY),
        "limits.max_schedule and limits.max_validity: {until:?}"
    );
    let (_, _, again) = ask_group("acme", 1_000);
    assert_eq!(again, until, "long enough already");
    let (_, clients, _) = ask_group("quiet", 20 * DAY);
    assert_eq!(clients, ["acme", "quiet"]);
    let (_, clients, _) = ask_group("quiet", 50 * DAY);
    assert_eq!(clients, ["quiet"]);
}
