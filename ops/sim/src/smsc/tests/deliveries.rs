//! Deliveries on their way: windows, order, redelivery, and how they look on the wire.

use super::*;
use serde_json::json;

fn told(pdus: &[Pdu]) -> Vec<String> {
    receipts(pdus)
        .iter()
        .map(|pdu| pdu.text()[3..].split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn deliveries_keep_to_the_window_and_follow_as_they_are_answered() {
    let mut rig = Rig::with(json!({"deliver_window": 2}));
    let sent: usize = (1..=5).map(|sequence| rig.submit(sequence, "49").len() - 1).sum();
    let stats = rig.machine.stats();
    assert_eq!((sent, stats.waiting, stats.outstanding), (2, 3, 2));
    assert_eq!(told(&rig.delivered(1, 1, 0)), ["103"]);
}

#[test]
fn quirk_16_what_was_unanswered_at_a_cut_goes_to_the_next_bind_in_order() {
    let mut rig = Rig::with(json!({"deliver_window": 2}));
    for sequence in 1..=3 {
        rig.submit(sequence, "49");
    }
    rig.lose(1);
    assert_eq!(rig.bind(2, id::BIND_TRANSMITTER).len(), 1);
    let again = rig.bind(3, id::BIND_RECEIVER);
    assert_eq!(told(&again), ["101", "102"]);
    assert_eq!(told(&rig.delivered(3, again[1].sequence, 0)), ["103"]);
    assert_eq!(rig.machine.stats().redelivered, 2);
    // The session's end is told twice: by itself and by whoever drives it.
    rig.lose(1);
    assert_eq!(rig.machine.stats().redelivered, 2);
}

#[test]
fn quirk_16_a_delivery_whose_answer_is_lost_comes_again() {
    let mut rig = Rig::with(json!({"deliver_timeout": "2s", "deliveries": {"lost_answers": 1.0}}));
    rig.submit(1, "49");
    assert_eq!(rig.delivered(1, 1, 0), []);
    assert_eq!(rig.at(1_999), []);
    let again = rig.at(2_000);
    assert_eq!(told(&again), ["101"]);
    let proper = rig
        .machine
        .options()
        .with(&json!({"deliveries": {"lost_answers": 0.0}}))
        .unwrap();
    rig.machine.set_options(proper);
    assert_eq!(rig.delivered(1, again[0].sequence, 0), []);
    let stats = rig.machine.stats();
    assert_eq!(
        (stats.answers_lost, stats.receipts_taken, stats.outstanding),
        (1, 1, 0)
    );
}

#[test]
fn a_delivery_comes_again_after_a_temporary_error_or_a_timeout_and_not_after_a_final_one() {
    let mut rig = Rig::bound(SmscOptions::default());
    rig.submit(1, "49");
    assert_eq!(rig.delivered(1, 1, 0x64), []);
    assert_eq!(rig.at(999), []);
    assert_eq!(rig.at(1000)[0].sequence, 2);
    rig.feed(1, &request(id::ENQUIRE_LINK, 77, |_| {}));
    let again: Vec<Pdu> = rig
        .at(31_000)
        .into_iter()
        .filter(|pdu| pdu.id == id::DELIVER_SM)
        .collect();
    assert_eq!(told(&again), ["101"]);
    // The late answer is known as such.
    rig.delivered(1, 2, 0);
    assert_eq!(rig.delivered(1, again[0].sequence, 0x65), []);
    let stats = rig.machine.stats();
    assert_eq!(
        (
            stats.redelivered,
            stats.late_answers,
            stats.deliveries_refused,
            stats.receipts_taken
        ),
        (2, 1, 1, 0)
    );
}

#[test]
fn receipts_of_one_account_never_go_to_another() {
    let mut rig = Rig::with(json!({"receipt_delay": "5ms"}));
    rig.bind_as(2, TRANSCEIVER, "other", "");
    rig.submit(1, "49");
    rig.lose(1);
    rig.pass(5);
    assert_eq!(rig.out(2), []);
    assert_eq!(rig.bind(3, id::BIND_RECEIVER).len(), 2);
}

#[test]
fn a_full_outbox_forgets_the_oldest_and_says_so() {
    let mut rig = Rig::with(json!({"deliver_window": 1, "outbox": 2}));
    for sequence in 1..=5 {
        rig.submit(sequence, "49");
    }
    let stats = rig.machine.stats();
    assert_eq!((stats.waiting, stats.deliveries_forgotten), (2, 2));
    assert_eq!(told(&rig.delivered(1, 1, 0)), ["104"]);
}

#[test]
fn quirk_19_a_nul_a_truncated_tlv_or_half_of_one_follows() {
    let tail = |form: &str, receipt_form: &str| {
        let mut rig = Rig::with(json!({"receipt_form": receipt_form, "deliveries": {"tail": form}}));
        rig.submit(1, "49")[1].body.clone()
    };
    assert!(tail("nul", "text").ends_with(b"text:hello\0"));
    let shifted = tail("nul", "both");
    assert!(
        shifted
            .windows(17)
            .any(|octets| octets.starts_with(b"text:hello\0\0\x1e\0\x04")),
        "{shifted:?}"
    );
    assert!(tail("truncated-tlv", "text").ends_with(b"hello\x14\x01\0\x20xy"));
    assert!(tail("half-tlv", "both").ends_with(b"\x02\x14\x01\0"));
}

#[test]
fn quirk_20_strings_of_deliveries_are_longer_than_allowed() {
    let mut rig = Rig::with(json!({"deliveries": {"overlong_strings": true}}));
    let receipt = rig.submit(1, "491700000001")[1].clone();
    let message = receipt.message();
    assert_eq!((message.service_type.len(), message.source.value.len()), (21, 30));
    assert!(message.source.value.ends_with(b"00491700000001"));
}

#[test]
fn quirk_24_numbers_are_zero_restarted_or_too_high() {
    let numbers = |form: &str| {
        let mut rig = Rig::with(json!({"deliveries": {"sequences": form}}));
        let mut seen = Vec::new();
        for sequence in 1..=10 {
            for receipt in receipts(&rig.submit(sequence, "49")) {
                seen.push(receipt.sequence);
            }
            if let Some(last) = seen.last().copied() {
                rig.delivered(1, last, 0);
            }
        }
        seen
    };
    assert_eq!(numbers("proper"), (1..=10).collect::<Vec<_>>());
    assert_eq!(numbers("zero"), [0; 10]);
    assert_eq!(numbers("restarted"), [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]);
    assert_eq!(numbers("high")[..2], [0x8000_0000, 0x8000_0001]);
}

#[test]
fn cut_all_cuts_every_session() {
    let mut rig = Rig::bound(SmscOptions::default());
    rig.bind(2, id::BIND_RECEIVER);
    let now = rig.moment();
    rig.machine.cut_all(now);
    assert_eq!((rig.flow(1), rig.flow(2)), (Flow::Closing, Flow::Closing));
}
