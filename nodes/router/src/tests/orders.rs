//! What becomes of a message whatever order things happen in.

use super::*;
use proptest::prelude::*;

/// Something that happens to a message of some parts.
#[derive(Debug, Clone)]
enum Happening {
    Result(SubmitResult),
    Receipt(Receipt),
    ParkedAlarm,
    MessageAlarm,
}

fn happenings() -> impl Strategy<Value = (usize, Vec<Happening>)> {
    let states = prop_oneof![
        4 => Just(ReceiptState::Delivered),
        1 => Just(ReceiptState::Undeliverable),
        1 => Just(ReceiptState::Expired),
        1 => Just(ReceiptState::Enroute),
    ];
    (1usize..5)
        .prop_flat_map(move |parts| {
            let results = proptest::collection::vec(0u8..6, parts);
            let receipts = proptest::collection::vec((0..parts, states.clone()), 0..parts * 3);
            (Just(parts), results, receipts, any::<bool>(), any::<bool>())
        })
        .prop_flat_map(|(parts, results, receipts, parked_alarm, message_alarm)| {
            let mut all = Vec::new();
            for (part, kind) in (1u16..).zip(results) {
                all.push(Happening::Result(match kind {
                    0 => refused(part, 200),
                    1 => SubmitResult {
                        receipt_asked: false,
                        ..sent(message_id(1), part, &format!("p{part}"), 200)
                    },
                    2 => sent(message_id(1), part, "", 200),
                    _ => sent(message_id(1), part, &format!("p{part}"), 200),
                }));
            }
            for (part, state) in receipts {
                all.push(Happening::Receipt(receipt(&format!("p{}", part + 1), state, 200)));
            }
            all.extend(parked_alarm.then_some(Happening::ParkedAlarm));
            all.extend(message_alarm.then_some(Happening::MessageAlarm));
            (Just(parts), Just(all).prop_shuffle())
        })
}

proptest! {
    /// LF-1 and CO-1, whatever the order.
    #[test]
    fn any_order_of_results_receipts_and_alarms_gives_one_final_report((parts, all) in happenings()) {
        let mut world = World::new();
        world.accept(&mt(1, parts), 100);
        let receipts = all.iter().filter(|one| matches!(one, Happening::Receipt(_))).count();
        for one in all {
            match one {
                Happening::Result(result) => world.result(result),
                Happening::Receipt(receipt) => world.receipt(receipt),
                // The alarms of keys go off when their time has come; the times do not matter to the machines.
                Happening::ParkedAlarm => world.pass_to(5_200),
                Happening::MessageAlarm => world.pass_to(30_000),
            }
        }
        // Parked receipts have two alarms.
        world.pass_to(30_000);
        world.pass_to(40_000);
        let finals = world.happened().into_iter().filter(|name| *name == EventName::MtFinal).count();
        prop_assert_eq!(finals, 1);
        prop_assert_eq!(world.told().len(), 1);
        let life = world.life(1);
        prop_assert!(life.is_final && life.parts.iter().all(|part| part.is_final));
        let parked = world.state.iter().filter(|(key, (value, _))| {
            key.space() == "corr" && matches!(Correlation::from_record(&value.value), Ok(Correlation::Parked { .. }))
        });
        prop_assert_eq!(parked.count(), 0, "no receipt waits for ever");
        let unknown = world.notes.iter().filter(|note| matches!(note, Note::Unknown(..))).count();
        prop_assert_eq!(world.buried.len(), unknown);
        prop_assert!(unknown <= receipts);
        let progress = world.happened().into_iter().filter(|name| *name == EventName::MtProgress).count();
        let ended = life.events.iter().filter(|line| line.event == EventName::DrReceived).count();
        let repeated = usize::try_from(world.duplicates()).unwrap();
        // Results that came after the end are among the repeated; each receipt is in exactly one of the others.
        prop_assert!(receipts <= unknown + progress + ended + repeated);
        prop_assert!(unknown + progress + ended <= receipts);
    }
}
