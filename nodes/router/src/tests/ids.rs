//! Receipts whose id is not written as in the answer: quirks 1 to 6 of real carriers.

use super::*;
use crate::carrier_id::Form;
use smsgw_message::MessageState::Delivered;

/// A receipt of the phone that [`mt`] goes to.
pub(super) fn from_phone(carrier_id: &str, millis: i64) -> Receipt {
    Receipt {
        from: Some(crate::fixtures::phone("491700000001")),
        ..receipt(carrier_id, ReceiptState::Delivered, millis)
    }
}

/// A message is accepted and answered with this id.
pub(super) fn sends(world: &mut World, n: u8, carrier_id: &str) {
    world.accept(&mt(n, 1), 100);
    world.result(sent(message_id(n), 1, carrier_id, 200));
}

fn forms(world: &World) -> Vec<Form> {
    let form = |note: &Note| match note {
        Note::Matched { form, .. } => Some(*form),
        _ => None,
    };
    world.notes.iter().filter_map(form).collect()
}

#[test]
fn leading_zeros_lost_and_case_changed_are_the_same_id() {
    let pairs = [
        ("0913121205", "913121205"),
        ("4062581461565934000241", "04062581461565934000241"),
        ("1d6a811", "1D6A811"),
        ("0e999f21-aa00", "E999F21-AA00"),
    ];
    for (answer, receipt) in pairs {
        let mut world = World::new();
        sends(&mut world, 1, answer);
        world.receipt(from_phone(receipt, 300));
        assert_eq!(world.told(), [(Delivered, None)], "{answer} {receipt}");
        let mut early = World::new();
        early.receipt(from_phone(receipt, 50));
        sends(&mut early, 1, answer);
        assert_eq!(
            early.told(),
            [(Delivered, None)],
            "receipt first: {answer} {receipt}"
        );
    }
}

#[test]
fn ids_that_differ_in_case_only_stay_apart_where_case_means_something() {
    let mut world = World::new();
    sends(&mut world, 1, "aBxY");
    world.receipt(from_phone("AbXy", 300));
    assert!(world.told().is_empty());
}

#[test]
fn hex_in_the_answer_and_decimal_in_the_receipt_is_learnt_and_then_known() {
    let mut world = World::new();
    for n in 1..=4 {
        sends(&mut world, n, &format!("0A{n}F"));
        let number = 0x0A0F + u32::from(n) * 16;
        world.receipt(from_phone(&number.to_string(), 300));
    }
    assert_eq!(world.told().len(), 4);
    assert_eq!(forms(&world), [Form::HexToDecimal; 4]);
    // From now on even a receipt that comes first waits where its answer will look.
    world.receipt(from_phone(&0x0A5F_u32.to_string(), 350));
    sends(&mut world, 5, "0A5F");
    assert_eq!(world.told().len(), 5);
    world.pass_to(9_000);
    assert!(world.buried.is_empty());
}

#[test]
fn receipts_that_wait_where_their_answer_looks_confirm_the_habit_and_do_not_change_it() {
    let mut world = World::new();
    for n in 1..=3 {
        sends(&mut world, n, &format!("0A{n}F"));
        world.receipt(from_phone(&(0x0A0F + u32::from(n) * 16).to_string(), 300));
    }
    // Many receipts before their answers, as in a burst: each is matched by the form it has.
    for n in 4..=9 {
        world.receipt(from_phone(&(0x0A0F + u32::from(n) * 16).to_string(), 350));
        sends(&mut world, n, &format!("0A{n}F"));
    }
    assert_eq!(forms(&world), [Form::HexToDecimal; 9]);
    assert_eq!(world.told().len(), 9);
}

#[test]
fn decimal_in_the_answer_and_hex_in_the_receipt_is_found_too() {
    let mut world = World::new();
    sends(&mut world, 1, "2687");
    world.receipt(from_phone("A7F", 300));
    assert_eq!(world.told(), [(Delivered, None)]);
    assert_eq!(forms(&world), [Form::DecimalToHex]);
}

#[test]
fn another_base_is_not_believed_of_another_phone() {
    let mut world = World::new();
    sends(&mut world, 1, "0A7F");
    let elsewhere = Receipt {
        from: Some(crate::fixtures::phone("491700000099")),
        ..from_phone("2687", 300)
    };
    world.receipt(elsewhere);
    assert!(
        world.told().is_empty(),
        "2687 may be a message whose answer is still to come"
    );
    world.accept(&mt(2, 1), 100);
    world.result(sent(message_id(2), 1, "2687", 400));
    world.go_round(0, 410);
    assert_eq!(world.reports()[0].message, message_id(2));
}

#[test]
fn an_exact_id_goes_before_one_in_another_base() {
    let mut world = World::new();
    sends(&mut world, 1, "A7F");
    sends(&mut world, 2, "2687");
    world.receipt(from_phone("2687", 300));
    assert_eq!(world.reports()[0].message, message_id(2));
    assert_eq!(world.reports().len(), 1);
}

#[test]
fn a_receipt_that_came_before_the_habit_was_known_is_looked_at_again_at_its_alarm() {
    let mut world = World::new();
    world.receipt(from_phone(&0x0A5F_u32.to_string(), 150));
    sends(&mut world, 5, "0A5F");
    for n in 1..=3 {
        sends(&mut world, n, &format!("0A{n}F"));
        let number = 0x0A0F + u32::from(n) * 16;
        world.receipt(from_phone(&number.to_string(), 300));
    }
    assert_eq!(world.told().len(), 3);
    world.pass_to(2_650);
    let again = world
        .published
        .iter()
        .filter(|(queue, _)| *queue == up())
        .map(|(_, record)| record.clone());
    let again: Vec<Bytes> = again.collect();
    assert_eq!(again.len(), 1);
    world.run(&UpHop, &up(), &again[0], at(2_651));
    assert_eq!(world.told().len(), 4);
    world.pass_to(5_150);
    assert!(world.buried.is_empty());
}

#[test]
fn a_configured_form_needs_no_proof() {
    let mut world = World::new();
    let text = CONFIG.replace(
        "system_id = \"test\"",
        "system_id = \"test\"\nmessage_ids = \"hex-to-decimal\"",
    );
    world.plan = Plan::try_new(
        2,
        Arc::new(Config::parse("test.toml", &text).unwrap()),
        Arc::default(),
    )
    .unwrap();
    sends(&mut world, 1, "0A7F");
    world.receipt(receipt("2687", ReceiptState::Delivered, 300));
    assert_eq!(world.told(), [(Delivered, None)]);
}

/// A receipt whose TLV and text have different ids (quirk 10).
fn disagreeing(tlv: &str, text: &str, millis: i64) -> Receipt {
    Receipt {
        text_id: Some(text.to_owned()),
        ..from_phone(tlv, millis)
    }
}

#[test]
fn where_tlv_and_text_disagree_the_tlv_is_tried_first_and_the_text_second() {
    let mut world = World::new();
    sends(&mut world, 1, "T1");
    sends(&mut world, 2, "X2");
    world.receipt(disagreeing("T1", "X2", 300));
    assert_eq!(world.reports()[0].message, message_id(1));
    world.receipt(disagreeing("T9", "X2", 400));
    assert_eq!(world.reports()[1].message, message_id(2));
    assert_eq!(forms(&world), [Form::Same; 2]);
    let certain = |note: &Note| matches!(note, Note::Matched { certain: true, .. });
    assert_eq!(world.was_noted(certain), 1, "by the text nothing is learnt");
}

#[test]
fn a_parked_receipt_that_its_tlv_does_not_match_gets_its_turn_by_its_text() {
    let mut world = World::new();
    world.receipt(disagreeing("T9", "X2", 150));
    sends(&mut world, 2, "X2");
    assert!(world.told().is_empty());
    world.pass_to(2_650);
    world.pass_to(5_200);
    let again: Vec<Bytes> = world
        .published
        .iter()
        .filter(|(queue, _)| *queue == up())
        .map(|(_, record)| record.clone())
        .collect();
    assert_eq!((again.len(), world.buried.len()), (1, 0));
    world.run(&UpHop, &up(), &again[0], at(5_201));
    assert_eq!(world.told(), [(Delivered, None)]);
}

#[test]
fn a_parked_receipt_whose_text_matches_nothing_either_is_unknown_in_the_end() {
    let mut world = World::new();
    world.receipt(disagreeing("T9", "X9", 150));
    let mut seen = 0;
    for now in (1_000..30_000).step_by(500) {
        world.pass_to(now);
        let again: Vec<Bytes> = world
            .published
            .iter()
            .filter(|(queue, _)| *queue == up())
            .map(|(_, record)| record.clone())
            .collect();
        for record in &again[seen..] {
            world.run(&UpHop, &up(), record, at(now));
        }
        seen = again.len();
    }
    assert_eq!((seen, world.buried.len()), (1, 1));
}

#[test]
fn a_receipt_before_its_answer_in_another_base_is_found_at_its_alarm_though_nothing_was_learnt() {
    let mut world = World::new();
    world.receipt(from_phone("2687", 150));
    sends(&mut world, 1, "0A7F");
    assert!(world.told().is_empty());
    world.pass_to(2_650);
    let again: Vec<Bytes> = world
        .published
        .iter()
        .filter(|(queue, _)| *queue == up())
        .map(|(_, record)| record.clone())
        .collect();
    assert_eq!(again.len(), 1);
    world.run(&UpHop, &up(), &again[0], at(2_651));
    assert_eq!(world.told(), [(Delivered, None)]);
    world.pass_to(9_000);
    assert!(world.buried.is_empty());
}

#[test]
fn one_whose_part_is_not_believed_does_not_go_round_and_ends_as_unknown() {
    let mut world = World::new();
    let elsewhere = Receipt {
        from: Some(crate::fixtures::phone("491700000099")),
        ..from_phone("2687", 150)
    };
    world.receipt(elsewhere);
    sends(&mut world, 1, "0A7F");
    world.pass_to(2_650);
    world.pass_to(5_150);
    assert!(world.published.iter().all(|(queue, _)| *queue != up()));
    assert_eq!(world.buried, [(up(), DeadReason::UnknownReceipt)]);
}

#[test]
fn receipts_that_wait_do_not_make_a_habit_doubtful() {
    let mut world = World::new();
    for n in 1..=3 {
        sends(&mut world, n, &format!("0A{n}F"));
        let number = 0x0A0F + u32::from(n) * 16;
        world.receipt(from_phone(&number.to_string(), 300));
    }
    for early in 0..100_u32 {
        world.receipt(from_phone(&(0x000B_0000 + early).to_string(), 310));
    }
    sends(&mut world, 4, "B0063");
    assert_eq!(world.told().len(), 4, "it waited where the answer looks");
}

#[test]
fn the_first_receipts_of_a_new_carrier_wait_seconds_and_not_half_of_their_time() {
    let mut world = World::new();
    let text = CONFIG.replace("parked_receipts = \"5s\"", "parked_receipts = \"300s\"");
    let config = Arc::new(Config::parse("test.toml", &text).unwrap());
    world.plan = Plan::try_new(2, config, Arc::default()).unwrap();
    world.receipt(from_phone("2687", 150));
    world.pass_to(2_150);
    world.pass_to(4_150);
    assert!(
        world.published.iter().all(|(queue, _)| *queue != up()),
        "no answer yet"
    );
    sends(&mut world, 1, "0A7F");
    world.pass_to(8_150);
    let again: Vec<Bytes> = world
        .published
        .iter()
        .filter(|(queue, _)| *queue == up())
        .map(|(_, record)| record.clone())
        .collect();
    assert_eq!(again.len(), 1);
    world.run(&UpHop, &up(), &again[0], at(8_151));
    assert_eq!(world.told(), [(Delivered, None)]);
    // Once the form is known, nothing is looked at before half of its time.
    let habits = world.plan.habits();
    let group = crate::fixtures::via("alpha").group;
    for _ in 0..3 {
        habits.matched(&group, Form::HexToDecimal);
    }
    world.receipt(from_phone("2688", 9_000));
    let key = crate::correlate::key_of(&group, "A80");
    let Expiry::Alarm(when, ..) = &world.state[&key].1 else {
        panic!("an alarm");
    };
    assert_eq!(*when, at(159_000));
}
