//! Receipts: their ids, words, times and ways.

use super::*;
use serde_json::json;

/// The only receipt of one submit under these options.
fn receipt(changes: serde_json::Value) -> Pdu {
    let mut rig = Rig::with(changes);
    let out = rig.submit(1, "491700000001");
    let found = receipts(&out);
    assert_eq!(found.len(), 1, "{out:?}");
    found[0].clone()
}

fn text(form: &str) -> String {
    receipt(json!({"receipt_form": "text", "receipt": {"text": form}})).text()
}

const HEAD: &str = "id:101 sub:001 dlvrd:001 submit date:2611210800 done date:2611210800";

#[test]
fn quirks_1_to_4_the_receipt_has_the_id_in_its_other_form() {
    for (form, answer, told) in [
        ("hex-then-decimal", "65", "id:101 "),
        ("decimal-then-hex", "101", "id:65 "),
        ("hex-then-padded", "65", "id:0000000101 "),
        (
            "long-hex-then-decimal",
            "dc3ba31705fb388065",
            "id:4062581000000000000101 ",
        ),
        ("padded-then-decimal", "00000000000000000101", "id:101 "),
        ("decimal-then-padded", "101", "id:00000000000000000101 "),
        (
            "long-zero-lost",
            "04062581000000000000101",
            "id:4062581000000000000101 ",
        ),
    ] {
        let mut rig = Rig::with(json!({"ids": form}));
        let out = rig.submit(1, "49");
        assert_eq!(out[0].message_id(), answer, "{form}");
        assert!(out[1].text().starts_with(told), "{form}: {}", out[1].text());
        let tlv = out[1]
            .message()
            .tlv(wire::tag::RECEIPTED_MESSAGE_ID)
            .unwrap()
            .to_vec();
        assert_eq!(
            tlv,
            format!("{}\0", &told[3..told.len() - 1]).as_bytes(),
            "{form}"
        );
    }
    let upper = ["hex-then-upper", "upper-then-hex"].map(|form| {
        let mut rig = Rig::new(options(json!({"ids": form})));
        rig.machine.set_options(SmscOptions {
            first_id: None,
            ..rig.machine.options().clone()
        });
        rig.bind(1, TRANSCEIVER);
        for sequence in 1..=9 {
            rig.submit(sequence, "49");
        }
        let out = rig.submit(10, "49");
        (out[0].message_id(), out[1].text()[3..5].to_owned())
    });
    assert_eq!(upper, [("6e".into(), "6E".into()), ("6E".into(), "6e".into())]);
}

#[test]
fn quirk_5_the_receipt_comes_before_the_answer() {
    let mut rig = Rig::with(json!({"receipt_first": true}));
    assert_eq!(
        ids(&rig.submit(1, "49")),
        [id::DELIVER_SM, ANSWER | id::SUBMIT_SM]
    );
}

#[test]
fn quirk_6_the_receipt_comes_on_another_bind() {
    let mut rig = Rig::with(json!({"receipt": {"bind": "other"}}));
    rig.bind(2, TRANSCEIVER);
    for sequence in 1..=3 {
        assert_eq!(receipts(&rig.submit(sequence, "49")).len(), 0);
        assert_eq!(receipts(&rig.out(2)).len(), 1);
    }
    rig.lose(2);
    assert_eq!(
        receipts(&rig.submit(4, "49")).len(),
        4,
        "those not answered, and the new one"
    );
    let mut rig = Rig::with(json!({"receipt": {"bind": "same"}}));
    rig.bind(2, TRANSCEIVER);
    assert!((1..=3).all(|sequence| receipts(&rig.submit(sequence, "49")).len() == 1));
}

#[test]
fn quirk_6_the_receipt_comes_after_reconnecting_only() {
    let mut rig = Rig::with(json!({"receipt": {"bind": "reconnected"}}));
    assert_eq!(receipts(&rig.submit(1, "49")).len(), 0);
    assert_eq!(receipts(&rig.bind(2, TRANSCEIVER)).len(), 0);
    assert_eq!(receipts(&rig.submit(2, "49")).len(), 0);
    rig.lose(1);
    assert_eq!(receipts(&rig.out(2)).len(), 2);
}

#[test]
fn quirk_6_the_receipt_comes_on_the_receiver_of_a_pair() {
    let mut rig = Rig::new(options(json!({"receipt": {"bind": "receiver"}})));
    rig.bind(1, TRANSCEIVER);
    rig.bind(2, id::BIND_RECEIVER);
    for sequence in 1..=2 {
        assert_eq!(receipts(&rig.submit(sequence, "49")).len(), 0);
        assert_eq!(receipts(&rig.out(2)).len(), 1);
    }
    let mut rig = Rig::new(SmscOptions::default());
    rig.bind(1, id::BIND_TRANSMITTER);
    assert_eq!(ids(&rig.submit(1, "49")), [ANSWER | id::SUBMIT_SM]);
    assert_eq!(receipts(&rig.bind(2, id::BIND_RECEIVER)).len(), 1);
}

#[test]
fn quirk_6_ids_of_two_carriers_collide() {
    let answer = || {
        answers(&Rig::bound(SmscOptions::default()).submit(1, "49"))[0]
            .2
            .clone()
    };
    assert_eq!(answer(), answer());
}

#[test]
fn quirk_7_the_text_has_many_forms() {
    assert_eq!(text("proper"), format!("{HEAD} stat:DELIVRD err:000 text:hello"));
    assert_eq!(
        text("no-counts"),
        "id:101 submit date:2611210800 done date:2611210800 stat:DELIVRD err:000 text:hello"
    );
    assert_eq!(text("no-text"), format!("{HEAD} stat:DELIVRD err:000"));
    assert_eq!(
        text("bare"),
        "id:101 submit date:2611210800 done date:2611210800 stat:DELIVRD err:000"
    );
    assert_eq!(
        text("capital-text"),
        format!("{HEAD} stat:DELIVRD err:000 Text:hello")
    );
    assert_eq!(
        text("padded"),
        "id: 101 sub:001 dlvrd:001 submit date:2611210800 done date:2611210800 stat: DELIVRD err: 042 text:hello"
    );
    assert_eq!(
        text("lower-case"),
        format!("{HEAD} stat:delivrd err:000 text:hello")
    );
    assert_eq!(
        text("no-stat-label"),
        format!("{HEAD} DELIVRD err:000 text:hello")
    );
    assert_eq!(
        text("long-err"),
        format!("{HEAD} stat:DELIVRD err:0000 text:hello")
    );
    assert_eq!(
        text("word-err"),
        format!("{HEAD} stat:DELIVRD err:nul text:hello")
    );
    assert_eq!(text("no-tail"), format!("{HEAD} stat:DELIVRD err:000"));
    assert!(text("upper-labels").starts_with("ID:101 SUB:001 DLVRD:001 SUBMIT DATE:2611210800 "));
    assert!(text("underscores").contains(" submit_date:2611210800 done_date:2611210800 "));
    let binary = receipt(json!({"receipt_form": "text", "receipt": {"text": "binary-tail"}}));
    assert!(
        binary
            .message()
            .user_data()
            .ends_with(b"text:hello\x00\x05\xff\x80\x1b")
    );
}

#[test]
fn quirk_8_dates_have_10_12_or_14_digits_and_a_zone_of_their_own() {
    let date = |form: &str, zone: i32| {
        let text = receipt(json!({"receipt": {"dates": form, "zone": zone}})).text();
        text.split("done date:")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(date("minutes", 0), "2611210800");
    assert_eq!(date("seconds", 0), "261121080000");
    assert_eq!(date("century", 0), "202611210800");
    assert_eq!(date("century-seconds", 0), "20261121080000");
    assert_eq!(date("empty", 0), "");
    assert_eq!(
        (date("minutes", 330), date("minutes", -540)),
        ("2611211330".into(), "2611202300".into())
    );
}

#[test]
fn quirk_9_states_of_every_carrier_are_mixed_by_their_shares() {
    for (word, number) in [
        ("delivrd", 2),
        ("expired", 3),
        ("deleted", 4),
        ("undeliv", 5),
        ("acceptd", 6),
        ("unknown", 7),
        ("rejectd", 8),
        ("enroute", 1),
        ("acked", 6),
        ("buffred", 1),
        ("bufferd", 1),
        ("failed", 5),
        ("0", 2),
        ("scheduled", 0),
        ("skipped", 9),
    ] {
        let got = receipt(json!({"states": [format!("{word}=1")]}));
        assert!(
            got.text().contains(&format!("stat:{} ", word.to_uppercase())),
            "{word}"
        );
        assert_eq!(
            got.message().tlv(wire::tag::MESSAGE_STATE),
            Some(&[number][..]),
            "{word}"
        );
    }
    let mut rig = Rig::with(json!({"states": ["undeliv=0.5"], "deliver_window": 2000}));
    let failed = (0..1000)
        .filter(|sequence| rig.submit(*sequence, "49")[1].text().contains("UNDELIV"))
        .count();
    assert!((450..550).contains(&failed), "{failed}");
}

#[test]
fn quirk_9_intermediate_states_come_before_the_final_one_and_finals_may_repeat() {
    let receipt = json!({"intermediate": ["enroute", "acceptd"], "intermediate_delay": "1s"});
    let mut rig = Rig::with(json!({"receipt": receipt, "duplicate_receipts": 1.0}));
    let first = rig.submit(1, "49");
    assert_eq!((first.len(), first[1].message().esm_class), (2, 0x20));
    assert!(first[1].text().contains("stat:ENROUTE"));
    assert!(rig.at(1000)[0].text().contains("stat:ACCEPTD"));
    let last = rig.at(2000);
    assert!(
        last.len() == 2 && last.iter().all(|pdu| pdu.text().contains("stat:DELIVRD")),
        "{last:?}"
    );
    assert_eq!(last[0].message().esm_class, 0x04);
}

#[test]
fn quirk_10_tlvs_and_text_disagree_or_one_of_them_is_missing() {
    let got = |form: &str, disagree: &str| {
        let pdu = receipt(json!({"receipt_form": form, "receipt": {"disagree": disagree}}));
        let message = pdu.message();
        let id = message
            .tlv(wire::tag::RECEIPTED_MESSAGE_ID)
            .map(|id| String::from_utf8_lossy(id).into_owned());
        let state = message.tlv(wire::tag::MESSAGE_STATE).map(|state| state[0]);
        let text = pdu.text();
        (id, state, text.contains("id:101 "), text.contains("DELIVRD"))
    };
    let id = || Some("101\0".to_owned());
    assert_eq!(got("both", "none"), (id(), Some(2), true, true));
    assert_eq!(got("text", "none"), (None, None, true, true));
    assert_eq!(got("tlv", "none"), (id(), Some(2), false, false));
    assert_eq!(got("id-tlv", "none"), (id(), None, true, true));
    assert_eq!(got("state-tlv", "none"), (None, Some(2), true, true));
    assert_eq!(got("both", "id"), (id(), Some(2), false, true));
    assert_eq!(got("both", "state"), (id(), Some(2), true, false));
    assert_eq!(got("both", "both"), (id(), Some(2), false, false));
}

#[test]
fn quirk_11_network_error_code_is_three_octets_or_three_digits() {
    let code = |form: &str, state: &str| {
        let pdu = receipt(json!({"states": [format!("{state}=1")], "receipt": {"network_error": form}}));
        pdu.message()
            .tlv(wire::tag::NETWORK_ERROR_CODE)
            .map(<[u8]>::to_vec)
    };
    assert_eq!(code("none", "undeliv"), None);
    assert_eq!(code("proper", "undeliv"), Some(vec![3, 0, 1]));
    assert_eq!(
        (code("ascii", "undeliv"), code("ascii", "delivrd")),
        (Some(b"042".to_vec()), Some(b"000".to_vec()))
    );
}

#[test]
fn quirk_12_the_receipt_is_in_message_payload_or_in_data_sm() {
    let payload = receipt(json!({"receipt_form": "payload"}));
    assert!(payload.message().short_message.is_empty() && payload.text().contains("stat:DELIVRD"));
    let data_sm = receipt(json!({"receipt_form": "data-sm"}));
    assert_eq!((data_sm.id, data_sm.message().esm_class), (id::DATA_SM, 0x04));
    assert!(data_sm.text().contains("stat:DELIVRD"));
    assert_eq!(data_sm.message().tlv(wire::tag::MESSAGE_STATE), Some(&[2][..]));
    let mut rig = Rig::with(json!({"receipt_form": "data-sm"}));
    let sequence = rig.submit(1, "49")[1].sequence;
    let mut answer = BytesMut::new();
    pdu(&mut answer, ANSWER | id::DATA_SM, 0, sequence, |out| {
        out.put_slice(b"given-id\0")
    });
    rig.feed(1, &answer);
    // Quirk 17: an id in the answer is taken, and counted.
    assert_eq!(
        (
            rig.machine.stats().receipts_taken,
            rig.machine.stats().ids_in_answers
        ),
        (1, 1)
    );
}

#[test]
fn quirk_13_esm_class_has_other_bits_or_none() {
    for esm_class in [0x44, 0xc4, 0x07, 0x00] {
        let got = receipt(json!({"receipt": {"esm_class": esm_class}}));
        assert_eq!(got.message().esm_class, esm_class);
    }
}

#[test]
fn quirk_14_receipts_come_unrequested_for_refusals_and_for_ids_nobody_has() {
    let quiet = Submit {
        registered_delivery: 0,
        ..Submit::default()
    };
    let mut rig = Rig::with(json!({"receipts": "always"}));
    assert_eq!(receipts(&rig.submit_on(1, 1, &quiet)).len(), 1);
    let mut rig = Rig::with(json!({"reject": ["share:1=0x45"], "receipt": {"for_refused": true}}));
    let out = rig.submit(1, "49");
    assert_eq!((out[0].status, out.len()), (0x45, 2));
    assert!(out[1].text().contains("stat:REJECTD"), "{}", out[1].text());
    let mut rig = Rig::with(json!({"receipt": {"stray": 1.0}}));
    assert!(rig.submit(1, "49")[2].text().starts_with("id:stray"));
}

#[test]
fn receipts_are_sent_when_asked_for_always_or_never() {
    for (when, states, asked, expected) in [
        ("asked", "", 0, 0),
        ("asked", "", 1, 1),
        ("asked", "", 2, 0),
        ("asked", "undeliv=1", 2, 1),
        ("asked", "undeliv=1", 3, 0),
        ("asked", "", 3, 1),
        ("always", "", 0, 1),
        ("never", "", 1, 0),
    ] {
        let states: Vec<&str> = states.split_terminator(',').collect();
        let mut rig = Rig::with(json!({"receipts": when, "states": states}));
        let submit = Submit {
            registered_delivery: asked,
            ..Submit::default()
        };
        assert_eq!(
            receipts(&rig.submit_on(1, 1, &submit)).len(),
            expected,
            "{when} {states:?} {asked}"
        );
    }
}

#[test]
fn quirk_15_one_receipt_for_all_parts_for_an_arbitrary_one_or_for_several() {
    let reported = |part: &str| -> Vec<u8> {
        let mut rig = Rig::with(json!({"receipt": {"part": part}}));
        (1..=4_u8)
            .filter(|number| {
                let text = [5, 0, 3, 9, 4, *number, b'x'];
                let submit = Submit {
                    esm_class: 0x40,
                    text: &text,
                    ..Submit::default()
                };
                !receipts(&rig.submit_on(1, u32::from(*number), &submit)).is_empty()
            })
            .collect()
    };
    assert_eq!(reported("each"), [1, 2, 3, 4]);
    assert_eq!(reported("first"), [1]);
    assert_eq!(reported("last"), [4]);
    assert_eq!(reported("arbitrary"), [2]);
    assert_eq!(reported("several"), [1, 4]);
    // SAR parameters tell the same.
    let mut rig = Rig::with(json!({"receipt": {"part": "last"}}));
    let tlvs: &[(u16, &[u8])] = &[(0x020C, &[0, 1]), (0x020E, &[2]), (0x020F, &[1])];
    assert_eq!(
        receipts(&rig.submit_on(
            1,
            1,
            &Submit {
                tlvs,
                ..Submit::default()
            }
        ))
        .len(),
        0
    );
}
