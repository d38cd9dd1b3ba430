//! Messages from phones.

use super::*;
use crate::token::{Token, Way};
use serde_json::json;

/// What these messages look like on the first bind; all of them are taken.
fn sent(batch: serde_json::Value) -> Vec<Pdu> {
    let mut rig = Rig::bound(SmscOptions::default());
    inject(&mut rig, batch);
    let out = rig.out(1);
    for pdu in &out {
        rig.delivered(1, pdu.sequence, 0);
    }
    out
}

fn inject(rig: &mut Rig, mut batch: serde_json::Value) {
    batch.as_object_mut().unwrap().entry("total").or_insert(json!(1));
    let now = rig.moment();
    rig.machine.inject_mo(now, serde_json::from_value(batch).unwrap());
}

/// User data after the token and a blank.
fn said(pdu: &Pdu, unit: usize) -> Vec<u8> {
    pdu.message().user_data()[18 * unit..].to_vec()
}

#[test]
fn messages_from_phones_wait_for_a_bind_and_are_recorded_when_taken() {
    let mut rig = Rig::new(options(json!({"deliver_window": 2})));
    inject(&mut rig, json!({"total": 3}));
    assert_eq!(rig.machine.poll_timeout(), None);
    let out = rig.bind(1, TRANSCEIVER);
    assert_eq!(out.len(), 3);
    let token = Token::find(out[1].message().user_data(), false, 0).unwrap();
    assert_eq!(
        (token.way, token.number, out[1].message().esm_class),
        (Way::Mo, 0, 0)
    );
    assert_eq!(rig.delivered(1, out[1].sequence, 0).len(), 1);
    let records = rig.records();
    let [CarrierRecord::MoTaken(taken)] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (taken.token, taken.destination.as_str(), taken.again),
        (Some(token), "12345", false)
    );
    assert_eq!(
        taken.text,
        Some(crate::ledger::sum(format!("{token} hello").as_bytes()))
    );
    assert_eq!((rig.machine.stats().mo, rig.machine.stats().mo_taken), (3, 1));
}

#[test]
fn quirk_16_a_message_that_comes_again_is_recorded_as_such() {
    let mut rig = Rig::bound(SmscOptions::default());
    inject(&mut rig, json!({}));
    let first = rig.out(1)[0].sequence;
    rig.delivered(1, first, 0x64);
    let again = rig.at(1000)[0].sequence;
    rig.delivered(1, again, 0);
    assert!(matches!(&rig.records()[..], [CarrierRecord::MoTaken(taken)] if taken.again));
}

#[test]
fn messages_from_phones_keep_to_their_rate() {
    let mut rig = Rig::bound(SmscOptions::default());
    inject(&mut rig, json!({"total": 3, "rate": 10.0}));
    assert_eq!(rig.out(1).len(), 1);
    assert_eq!(
        rig.machine.poll_timeout(),
        Some(rig.start + Duration::from_millis(100))
    );
    assert_eq!(
        [99, 100, 1000, 2000].map(|millis| rig.at(millis).len()),
        [0, 1, 1, 0]
    );
}

#[test]
fn quirks_34_and_35_data_coding_0_means_raw_gsm_latin_1_or_utf_8() {
    let said = |encoding: &str| {
        let pdu = &sent(json!({"text": "é@$", "encoding": encoding}))[0];
        (pdu.message().data_coding, said(pdu, 1))
    };
    assert_eq!(said("gsm"), (0, vec![0x05, 0x00, 0x02]));
    assert_eq!(said("gsm241"), (0xF1, vec![0x05, 0x00, 0x02]));
    assert_eq!(said("latin1-as0"), (0, b"\xe9@$".to_vec()));
    assert_eq!(said("latin1"), (3, b"\xe9@$".to_vec()));
    assert_eq!(said("utf8-as0"), (0, "é@$".as_bytes().to_vec()));
    assert_eq!(said("binary"), (4, "é@$".as_bytes().to_vec()));
}

#[test]
fn quirk_36_ucs_2_comes_with_a_mark_or_in_little_endian_order() {
    let user_data = |encoding: &str| {
        let pdu = &sent(json!({"text": "Ж", "encoding": encoding}))[0];
        assert_eq!(pdu.message().data_coding, 8);
        pdu.message().user_data().to_vec()
    };
    assert!(user_data("ucs2").starts_with(b"\0m") && user_data("ucs2").ends_with(b"\x04\x16"));
    assert!(user_data("ucs2-bom").starts_with(b"\xfe\xff\0m"));
    assert!(user_data("ucs2-le-bom").starts_with(b"\xff\xfem\0"));
    assert!(user_data("ucs2-le").starts_with(b"m\0") && user_data("ucs2-le").ends_with(b"\x16\x04"));
}

#[test]
fn quirk_37_septets_are_packed_with_fill_bits_behind_a_header() {
    let pdu = &sent(json!({"text": "x", "encoding": "packed"}))[0];
    let message = pdu.message();
    // 19 septets are 133 bits: 17 octets.
    assert_eq!((message.data_coding, message.user_data().len()), (0, 17));
    let parts = sent(json!({"text": "lorem ipsum", "encoding": "packed", "parts": 2}));
    let first = parts[0].message().user_data();
    // Six octets of header are 48 bits: one fill bit, then `m` (0x6d) from the second bit on.
    assert_eq!((first[0], first[6] & 1, (first[6] >> 1) & 0x7f), (5, 0, 0x6d));
}

#[test]
fn quirk_38_parts_tell_in_every_way_that_they_belong_together() {
    let form = |concat: &str| {
        let parts = sent(json!({"text": "lorem ipsum", "parts": 3, "concat": concat}));
        assert_eq!(parts.len(), if concat == "payload" { 1 } else { 3 }, "{concat}");
        let message = parts[parts.len() - 1].message();
        let sar = message.tlv(wire::tag::SAR_SEGMENT_SEQNUM).map(<[u8]>::to_vec);
        (
            message.esm_class,
            message.user_data().iter().copied().take(3).collect::<Vec<u8>>(),
            sar,
        )
    };
    assert_eq!(form("udh"), (0x40, vec![5, 0, 3], None));
    assert_eq!(form("udh16"), (0x40, vec![6, 8, 4], None));
    assert_eq!(form("udh-and-sar"), (0x40, vec![5, 0, 3], Some(vec![3])));
    assert_eq!(form("no-udhi"), (0x00, vec![5, 0, 3], None));
    assert_eq!(form("ports"), (0x40, vec![11, 5, 4], None));
    assert_eq!(form("ports-in-first"), (0x40, vec![5, 0, 3], None));
    let (esm_class, _, sar) = form("sar");
    assert_eq!((esm_class, sar), (0, Some(vec![3])));
    let (esm_class, text, _) = form("payload");
    assert_eq!((esm_class, text[0]), (0, b'm'));
    let first = &sent(json!({"text": "lorem ipsum", "parts": 2, "concat": "ports-in-first"}))[0];
    assert_eq!(first.message().user_data()[..2], [11, 5]);
}

#[test]
fn quirk_38_parts_come_out_of_order_twice_and_over_different_binds() {
    let numbers = |batch: serde_json::Value| -> Vec<u16> {
        let mut batch = batch;
        batch["text"] = json!("lorem ipsum");
        batch["parts"] = json!(4);
        let parts = sent(batch);
        parts
            .iter()
            .map(|pdu| pdu.message().part().unwrap().number)
            .collect()
    };
    assert_eq!(numbers(json!({"order": "reversed"})), [4, 3, 2, 1]);
    assert_eq!(numbers(json!({"twice": true})), [1, 1, 2, 2, 3, 3, 4, 4]);
    let mut shuffled = numbers(json!({"order": "shuffled"}));
    assert_ne!(shuffled, [1, 2, 3, 4]);
    shuffled.sort_unstable();
    assert_eq!(shuffled, [1, 2, 3, 4]);

    let mut rig = Rig::bound(SmscOptions::default());
    rig.bind(2, id::BIND_RECEIVER);
    inject(&mut rig, json!({"text": "lorem ipsum", "parts": 2}));
    assert_eq!((rig.out(1).len(), rig.out(2).len()), (1, 1));
}

#[test]
fn quirks_39_and_41_numbers_from_phones_have_odd_types_and_prefixes() {
    for (from, ton, npi) in [
        ("0049170*", 1, 1),
        ("+49170*", 1, 1),
        ("110", 1, 1),
        ("Bank", 5, 0),
        ("170*", 2, 8),
    ] {
        let pdu = &sent(json!({"from": from, "from_ton": ton, "from_npi": npi, "to_ton": 3, "to_npi": 9}))[0];
        let message = pdu.message();
        let expected = from.replace('*', "00000000");
        assert_eq!(
            (message.source.value, message.source.ton, message.source.npi),
            (expected.as_bytes(), ton, npi)
        );
        assert_eq!((message.destination.ton, message.destination.npi), (3, 9));
    }
}

#[test]
fn quirk_42_service_types_carry_product_codes_and_messages_come_in_data_sm() {
    let pdu = &sent(json!({"service_type": "PREMIUM", "data_sm": true}))[0];
    assert_eq!(
        (pdu.id, pdu.message().service_type),
        (id::DATA_SM, &b"PREMIUM"[..])
    );
    assert!(pdu.text().ends_with(" hello"));
}
