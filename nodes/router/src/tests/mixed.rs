//! A carrier that writes the ids of its receipts now as in the answer, now in another base.

use super::ids::{from_phone, sends};
use super::*;
use crate::carrier_id::{Form, Known};
use proptest::prelude::*;
use smsgw_config::MessageIds;
use smsgw_message::Address;

fn known(world: &World) -> Known {
    let group = crate::fixtures::via("alpha").group;
    world.plan.habits().known(&group, MessageIds::Auto)
}

/// Ids of 32 bits, in hexadecimal in the answer.
fn large(n: u8) -> u32 {
    0xA0B1_0000 + u32::from(n)
}

/// A carrier that has written one form only so far.
fn of_one_form(world: &mut World) {
    for n in 101..=104 {
        sends(world, n, &format!("{:x}", large(n)));
        world.receipt(from_phone(&format!("{:x}", large(n)), 210));
    }
    assert_eq!(known(world), Known::Is(Form::Same));
}

#[test]
fn a_receipt_in_another_form_than_the_habit_is_found_at_the_end_of_its_time_and_the_habit_doubted_at_once() {
    let mut world = World::new();
    of_one_form(&mut world);
    sends(&mut world, 1, "0A7F");
    world.receipt(from_phone("2687", 300));
    // Matches of the habit go on meanwhile.
    sends(&mut world, 105, &format!("{:x}", large(105)));
    world.receipt(from_phone(&format!("{:x}", large(105)), 310));
    world.pass_to(2_800);
    assert_eq!(world.told().len(), 5);
    world.pass_to(5_300);
    assert_eq!(world.told().len(), 6);
    assert_eq!(known(&world), Known::Doubted(Form::Same));
    assert!(world.buried.is_empty() && world.state.keys().all(|key| key.as_str() != "corr/alpha/2687"));
    // The next one does not wait, and when the old form comes again, the carrier mixes.
    sends(&mut world, 2, "0A8F");
    world.receipt(from_phone("2703", 5_400));
    assert_eq!(world.told().len(), 7);
    sends(&mut world, 3, "0A9F");
    world.receipt(from_phone("a9f", 5_500));
    assert_eq!((world.told().len(), known(&world)), (8, Known::Mixed));
    sends(&mut world, 4, "3000");
    world.receipt(from_phone("bb8", 5_600));
    assert_eq!(world.told().len(), 9, "the other way round too");
}

#[test]
fn a_carrier_that_changes_its_form_after_an_upgrade_is_learnt_anew() {
    let mut world = World::new();
    of_one_form(&mut world);
    sends(&mut world, 1, "0A1F");
    world.receipt(from_phone("2591", 300));
    world.pass_to(2_800);
    world.pass_to(5_300);
    for n in 2..=3 {
        sends(&mut world, n, &format!("0A{n}F"));
        world.receipt(from_phone(&(0x0A0F + u32::from(n) * 16).to_string(), 5_400));
    }
    assert_eq!(known(&world), Known::Is(Form::HexToDecimal));
    assert!(world.buried.is_empty());
}

#[test]
fn the_last_look_believes_another_form_only_where_phone_and_sender_agree() {
    for (phone, sender, is_found) in [
        ("491700000001", "Acme", true),
        ("491700000001", "Other", false),
        ("491700000099", "Acme", false),
    ] {
        let mut world = World::new();
        of_one_form(&mut world);
        let message = MtMessage {
            from: Some(Address::sender("Acme").unwrap()),
            ..mt(1, 1)
        };
        world.accept(&message, 100);
        world.result(sent(message_id(1), 1, "0A7F", 200));
        world.receipt(Receipt {
            from: Some(crate::fixtures::phone(phone)),
            to: Some(Address::sender(sender).unwrap()),
            ..receipt("2687", ReceiptState::Delivered, 300)
        });
        world.pass_to(2_800);
        world.pass_to(5_300);
        let found = world.told().len() == 5;
        assert_eq!((found, world.buried.len()), (is_found, usize::from(!is_found)));
        let doubted = known(&world) == Known::Doubted(Form::Same);
        assert_eq!(doubted, is_found, "{phone} {sender}");
    }
}

#[test]
fn several_receipts_of_one_message_are_all_taken_at_the_last_look() {
    let mut world = World::new();
    of_one_form(&mut world);
    sends(&mut world, 1, "0A7F");
    world.receipt(Receipt {
        state: ReceiptState::Enroute,
        ..from_phone("2687", 300)
    });
    world.receipt(from_phone("2687", 310));
    for now in [2_900, 5_400, 5_401, 5_402] {
        world.pass_to(now);
    }
    assert_eq!(world.told().len(), 5);
    assert!(world.buried.is_empty());
    assert!(world.happened().contains(&EventName::MtProgress));
}

#[test]
fn an_answer_takes_no_receipt_of_another_phone_that_waits_under_its_id() {
    let mut world = World::new();
    for n in 101..=103 {
        sends(&mut world, n, &format!("{:x}", large(n)));
        world.receipt(from_phone(&large(n).to_string(), 210));
    }
    assert_eq!(known(&world), Known::Is(Form::HexToDecimal));
    // It is about the answer "16", which is to come; the habit lets it wait under "10".
    world.receipt(Receipt {
        from: Some(crate::fixtures::phone("491700000002")),
        ..from_phone("16", 300)
    });
    sends(&mut world, 1, "10");
    assert_eq!(world.go_round(0, 310), 1);
    assert_eq!(world.told().len(), 3, "not that of the first phone");
    let second = MtMessage {
        to: crate::fixtures::phone("491700000002"),
        ..mt(2, 1)
    };
    world.accept(&second, 320);
    world.result(sent(message_id(2), 1, "16", 330));
    assert_eq!(world.go_round(1, 340), 2);
    assert_eq!(world.reports().last().unwrap().message, message_id(2));
}

/// A message of the model carrier.
#[derive(Debug, Clone)]
struct Sms {
    number: u32,
    is_hex: bool,
    is_converted: bool,
    phone: u8,
    sender: Option<&'static str>,
    /// Place of the receipt among all that happens.
    when: u16,
}

impl Sms {
    fn write(&self, is_hex: bool) -> String {
        match is_hex {
            true => format!("{:x}", self.number),
            false => self.number.to_string(),
        }
    }

    fn answer(&self) -> String {
        self.write(self.is_hex)
    }

    fn receipt(&self) -> String {
        self.write(self.is_hex != self.is_converted)
    }

    fn phone(&self) -> Address {
        crate::fixtures::phone(&format!("4917000000{:02}", self.phone))
    }

    fn sender(&self) -> Option<Address> {
        self.sender.map(|sender| Address::sender(sender).unwrap())
    }

    /// Whether this receipt may be about that message, by all that can be seen.
    fn may_mean(&self, other: &Self) -> bool {
        let id = self.receipt();
        let answer = other.answer();
        let answer = smsgw_message::fold(&answer);
        let is_id = Form::ALL
            .iter()
            .any(|form| form.answered(&id).as_ref() == Some(&answer));
        let is_sender = self.sender.is_none() || other.sender.is_none() || self.sender == other.sender;
        is_id && self.phone == other.phone && is_sender
    }
}

/// Few numbers, so that many are the same text in another base; no answer is given twice.
fn traffic(phones: u8) -> impl Strategy<Value = Vec<Sms>> {
    let sender = prop::sample::select(vec![None, Some("Acme"), Some("12345")]);
    let sms = (
        1..60_u32,
        any::<bool>(),
        any::<bool>(),
        0..phones,
        sender,
        any::<u16>(),
    );
    let sms = sms.prop_map(|(number, is_hex, is_converted, phone, sender, when)| Sms {
        number,
        is_hex,
        is_converted,
        phone,
        sender,
        when,
    });
    prop::collection::vec(sms, 1..24).prop_map(|all| {
        let mut answers = std::collections::HashSet::new();
        all.into_iter()
            .filter(|sms| answers.insert(sms.answer()))
            .collect()
    })
}

/// Lets all of it happen; `are_early`: receipts come before answers too. Gives the messages that were told of.
fn play(world: &mut World, traffic: &[Sms], are_early: bool) -> Vec<usize> {
    let told = world.reports().len();
    let mut order: Vec<(u32, usize, bool)> = Vec::new();
    for (index, sms) in traffic.iter().enumerate() {
        let answered = if are_early {
            u32::from(sms.when % 251) * 7 % 251
        } else {
            0
        };
        order.push((answered, index, true));
        order.push((u32::from(sms.when % 256) + 1, index, false));
    }
    order.sort_unstable();
    let mut seen = 0;
    for (now, (_, index, is_answer)) in (5_400..).zip(order) {
        let (sms, n) = (&traffic[index], u8::try_from(index + 1).unwrap());
        if is_answer {
            let message = MtMessage {
                to: sms.phone(),
                from: sms.sender(),
                valid_until: at(60_000),
                ..mt(n, 1)
            };
            world.accept(&message, now);
            world.result(sent(message_id(n), 1, &sms.answer(), now));
        } else {
            world.receipt(Receipt {
                from: Some(sms.phone()),
                to: sms.sender(),
                // Tells whose receipt a message was given.
                error: Some(format!("{:03}", index + 1)),
                ..receipt(&sms.receipt(), ReceiptState::Undeliverable, now)
            });
        }
        seen = world.go_round(seen, now);
    }
    for now in (5_600..30_000).step_by(250) {
        world.pass_to(now);
        seen = world.go_round(seen, now);
    }
    let reports = world.reports().split_off(told);
    let of = |report: &Report| {
        let whose: usize = report.error.as_ref().unwrap().parse().unwrap();
        assert_eq!(
            report.message,
            message_id(u8::try_from(whose).unwrap()),
            "a wrong match"
        );
        whose - 1
    };
    reports.iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Phones are reused and so are the texts of ids: what can be told is, what cannot is kept, nothing goes elsewhere.
    #[test]
    fn receipts_of_a_carrier_that_mixes_find_their_own_message_or_none(traffic in traffic(3)) {
        let mut world = World::new();
        of_one_form(&mut world);
        sends(&mut world, 105, &format!("{:x}", large(105)));
        world.receipt(from_phone(&large(105).to_string(), 300));
        world.pass_to(2_800);
        world.pass_to(5_300);
        sends(&mut world, 106, &format!("{:x}", large(106)));
        world.receipt(from_phone(&format!("{:x}", large(106)), 5_310));
        prop_assert_eq!(known(&world), Known::Mixed);
        let told = play(&mut world, &traffic, false);
        for (index, sms) in traffic.iter().enumerate() {
            let may_be = traffic.iter().filter(|other| sms.may_mean(other)).count();
            prop_assert_eq!(told.contains(&index), may_be == 1, "{} {:?}", index, sms);
        }
        prop_assert_eq!(told.len() + world.buried.len(), traffic.len(), "each matched or kept");
    }

    /// Nothing is known of the carrier, each phone is written to once: every receipt finds its message, whatever the order
    /// of forms and whatever is learnt from it.
    #[test]
    fn receipts_of_phones_of_their_own_all_find_their_message(traffic in traffic(1)) {
        let mut traffic = traffic;
        for (phone, sms) in (10..).zip(&mut traffic) {
            sms.phone = phone;
        }
        let mut world = World::new();
        let told = play(&mut world, &traffic, false);
        prop_assert_eq!((told.len(), world.buried.len()), (traffic.len(), 0));
    }

    /// The carrier is known to mix, and receipts come before the answers.
    #[test]
    fn early_receipts_of_a_carrier_that_mixes_find_their_message_too(traffic in traffic(1)) {
        let mut traffic = traffic;
        for (phone, sms) in (10..).zip(&mut traffic) {
            sms.phone = phone;
        }
        let mut world = World::new();
        let group = crate::fixtures::via("alpha").group;
        for form in [Form::Same, Form::HexToDecimal, Form::Same, Form::HexToDecimal] {
            world.plan.habits().matched(&group, form);
        }
        prop_assert_eq!(known(&world), Known::Mixed);
        let told = play(&mut world, &traffic, true);
        prop_assert_eq!((told.len(), world.buried.len()), (traffic.len(), 0));
    }
}
