//! Answers to submits.

use super::*;
use serde_json::json;

fn refused(changes: serde_json::Value) -> Pdu {
    let mut rig = Rig::with(json!({"reject": ["share:1=0x45"]}));
    let options = rig.machine.options().with(&changes).unwrap();
    rig.machine.set_options(options);
    rig.submit(7, "49").remove(0)
}

#[test]
fn quirk_21_an_error_has_no_body_a_body_an_id_or_tlvs() {
    let body = |form: &str| refused(json!({"answers": {"error_answers": form}})).body;
    assert_eq!(body("proper"), b"");
    assert_eq!(body("bare"), b"");
    assert_eq!(body("empty-id"), b"\0");
    assert_eq!(body("id"), b"refused-0001\0");
    assert_eq!(body("tlvs"), b"\0\x1d\0\x08refused\0");
    let nack = refused(json!({"answers": {"error_answers": "nack"}}));
    assert_eq!((nack.id, nack.status, nack.sequence), (id::GENERIC_NACK, 0x45, 7));
}

#[test]
fn quirk_21_versions_3_3_and_5_0_keep_the_body_of_an_error() {
    for version in [0x33, 0x50] {
        assert_eq!(
            refused(json!({"binds": {"interface_version": version}})).body,
            b"\0"
        );
    }
    let bare = json!({"binds": {"interface_version": 0x50}, "answers": {"error_answers": "bare"}});
    assert_eq!(refused(bare).body, b"");
}

#[test]
fn quirk_20_strings_of_answers_are_unterminated_overlong_or_empty() {
    let got = |form: &str| {
        let mut rig = Rig::new(options(
            json!({"receipts": "never", "answers": {"answer_strings": form}}),
        ));
        let bound = rig.bind(1, TRANSCEIVER)[0].body.clone();
        (bound, rig.submit(1, "49")[0].body.clone())
    };
    assert_eq!(got("unterminated"), (b"smsgw-sim".to_vec(), b"101".to_vec()));
    let (name, id) = got("overlong");
    assert_eq!(
        (name.iter().position(|octet| *octet == 0), id.len()),
        (Some(40), 81)
    );
    assert!(id.ends_with(b"00101\0"));
    assert_eq!(got("empty"), (b"\0\x02\x10\0\x01\x34".to_vec(), b"\0".to_vec()));
}

#[test]
fn quirk_24_answers_come_out_of_order_and_none_is_lost() {
    let mut rig = Rig::with(json!({"receipts": "never", "answers": {"out_of_order": 8}}));
    let mut seen = Vec::new();
    for sequence in 1..=8 {
        seen.extend(
            answers(&rig.submit(sequence, "49"))
                .into_iter()
                .map(|answer| answer.0),
        );
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=8).collect::<Vec<_>>());
    assert_ne!(seen, sorted);
    // A few that nobody joins go out after a while.
    assert_eq!(rig.submit(9, "49"), []);
    assert_eq!(answers(&rig.at(20)).len(), 1);
    // Those that a lost connection keeps are recorded.
    rig.submit(10, "49");
    rig.lose(1);
    rig.out(1);
    let records = rig.records();
    assert!(
        matches!(records.last(), Some(CarrierRecord::AnswerLost(lost)) if lost.id == "110"),
        "{records:?}"
    );
}

#[test]
fn quirk_24_answers_come_after_the_timeout_of_whoever_asked() {
    let mut rig =
        Rig::with(json!({"receipts": "never", "answers": {"late_share": 1.0, "late_after": "35s"}}));
    assert_eq!(rig.submit(1, "49"), []);
    rig.pass(34_999);
    assert_eq!(answers(&rig.out(1)), []);
    rig.pass(35_000);
    assert_eq!(answers(&rig.out(1)), [(1, 0, "101".into())]);
}

#[test]
fn answers_are_given_twice_when_told() {
    let mut rig = Rig::with(json!({"receipts": "never", "answers": {"duplicate_answers": 1.0}}));
    assert_eq!(
        answers(&rig.submit(1, "49")),
        [(1, 0, "101".into()), (1, 0, "101".into())]
    );
}

#[test]
fn congestion_state_is_a_number_or_follows_the_queue() {
    let mut rig = Rig::with(json!({"receipts": "never", "answers": {"congestion": 80}}));
    assert_eq!(rig.submit(1, "49")[0].body, b"101\0\x04\x28\0\x01\x50");
    let submits = json!({"service_rate": 10.0, "service_queue": 10});
    let quirks =
        json!({"receipts": "never", "submits": submits, "answers": {"congestion_follows_queue": true}});
    let mut rig = Rig::with(quirks);
    for sequence in 1..=5 {
        rig.submit(sequence, "49");
    }
    assert_eq!(rig.at(100)[0].body, b"101\0\x04\x28\0\x01\x28");
}

#[test]
fn answers_and_receipts_take_their_time() {
    let changes = json!({"answer_delay": "50ms", "receipt_delay": "20ms"});
    let mut rig = Rig::with(changes.clone());
    assert_eq!(rig.submit(1, "49"), []);
    assert_eq!(
        rig.machine.poll_timeout(),
        Some(rig.start + Duration::from_millis(50))
    );
    assert_eq!(rig.at(49), []);
    assert_eq!(answers(&rig.at(50)), [(1, 0, "101".into())]);
    assert_eq!(rig.at(69), []);
    assert_eq!(receipts(&rig.at(70)).len(), 1);
    let first = options(changes).with(&json!({"receipt_first": true})).unwrap();
    let mut rig = Rig::bound(first);
    assert_eq!(rig.submit(1, "49"), []);
    assert_eq!(receipts(&rig.at(20)).len(), 1);
    assert_eq!(answers(&rig.at(50)).len(), 1);
}

#[test]
fn jitter_spreads_answers_within_its_bound_and_the_seed_repeats_it() {
    let times = |seed: u64| {
        let changes =
            json!({"answer_delay": "10ms", "answer_jitter": "100ms", "receipts": "never", "seed": seed});
        let mut rig = Rig::with(changes);
        for sequence in 0..20 {
            rig.submit(sequence, "49");
        }
        let mut times = Vec::new();
        for millis in 0..=110 {
            times.extend(rig.at(millis).into_iter().map(|pdu| (millis, pdu.sequence)));
        }
        times
    };
    let first = times(1);
    assert_eq!((first.len(), &first), (20, &times(1)));
    assert!(first.iter().all(|(millis, _)| *millis >= 10));
    assert_ne!(first, times(2));
}
