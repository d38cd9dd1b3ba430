//! What carriers make of receipts, each with what is noted about it.

use super::*;
use crate::message_id;

fn noted(text: &str, tlvs: &[(u16, &[u8])]) -> (Receipt, Vec<Tolerated>) {
    let mut message = deliver(text.as_bytes());
    for (tag, value) in tlvs {
        message.tlvs.push(*tag, value).expect("short");
    }
    match Receipt::read(&message, &ReceiptProfile::default()) {
        Reading::Receipt(receipt) => {
            let tolerated = receipt.tolerated.iter().collect();
            (receipt, tolerated)
        }
        other => panic!("{text}: {other:?}"),
    }
}

const WHOLE: &str =
    "id:0A7 sub:001 dlvrd:001 submit date:1809031208 done date:1809031209 stat:DELIVRD err:000 text:Hello";
const ID: u16 = tag::RECEIPTED_MESSAGE_ID;
const STATE: u16 = tag::MESSAGE_STATE;
const ERROR: u16 = tag::NETWORK_ERROR_CODE;

#[test]
fn a_receipt_as_the_specification_has_it_needs_no_tolerance() {
    assert_eq!(noted(WHOLE, &[]).1, []);
    assert_eq!(noted(WHOLE, &[(ID, b"0A7\0"), (STATE, &[2])]).1, []);
    assert_eq!(
        noted("", &[(ID, b"0A7\0"), (STATE, &[2]), (ERROR, &[3, 0, 8])]).1,
        []
    );
}

#[test]
fn quirks_7_to_9_each_have_their_name() {
    use Tolerated as T;
    let with = |from: &str, to: &str| WHOLE.replace(from, to);
    for (quirk, text, expected) in [
        (
            "no sub and dlvrd",
            with("sub:001 dlvrd:001 ", ""),
            vec![T::ReceiptFieldsMissing],
        ),
        ("no text", with(" text:Hello", ""), vec![T::ReceiptFieldsMissing]),
        ("Text: in capitals", with("text:", "Text:"), vec![]),
        ("padded err", with("err:000", "err: 042"), vec![]),
        (
            "lower case",
            with("DELIVRD", "delivrd"),
            vec![T::ReceiptStateWord],
        ),
        (
            "no stat label",
            with("stat:", ""),
            vec![T::ReceiptStateUnlabelled],
        ),
        ("four digits", with("err:000", "err:0000"), vec![]),
        ("no number", with("err:000", "err:nul"), vec![]),
        (
            "seconds",
            with("1809031209", "180903120916"),
            vec![T::ReceiptDate],
        ),
        (
            "century",
            with("1809031209", "201809031209"),
            vec![T::ReceiptDate],
        ),
        ("no date", with("1809031209", "0"), vec![T::ReceiptDate]),
        (
            "binary after err",
            with("err:000 text:Hello", "err:000\u{1}\u{2}"),
            vec![T::ReceiptFieldsMissing, T::ReceiptTrailing],
        ),
        (
            "other word",
            with("DELIVRD", "BUFFERD"),
            vec![T::ReceiptStateWord],
        ),
        (
            "nobody's word",
            with("DELIVRD", "GONE"),
            vec![T::ReceiptStateWord],
        ),
        ("zero", with("DELIVRD", "0"), vec![T::ReceiptStateWord]),
    ] {
        let (receipt, tolerated) = noted(&text, &[]);
        assert_eq!(tolerated, expected, "{quirk}: {text}");
        assert_eq!(receipt.id, "0A7", "{quirk}");
    }
}

#[test]
fn quirk_7_octets_after_the_error_do_not_belong_to_it() {
    let (receipt, _) = noted("id:7 stat:DELIVRD err:0000\u{5}\u{1}x", &[]);
    assert_eq!(receipt.err.as_deref(), Some("0000"));
}

#[test]
fn quirk_9_every_word_seen_in_the_field_has_a_state() {
    use ReceiptState as S;
    for (word, state) in [
        ("ACKED", S::Accepted),
        ("BUFFRED", S::Enroute),
        ("BUFFERD", S::Enroute),
        ("FAILED", S::Undeliverable),
        ("SCHEDULED", S::Scheduled),
        ("SKIPPED", S::Skipped),
        ("0", S::Delivered),
        ("UNKNOWN", S::Unknown),
    ] {
        assert_eq!(
            noted(&format!("id:7 stat:{word} err:0"), &[]).0.state,
            state,
            "{word}"
        );
    }
}

#[test]
fn a_zero_in_another_field_is_no_state() {
    let receipt = parse("id:7 sub: 0 dlvrd: 0 err: 0");
    assert_eq!(
        (receipt.state, receipt.state_text),
        (ReceiptState::Unrecognised, None)
    );
}

#[test]
fn a_carriers_own_words_and_numbers_come_first() {
    let states = StateMap::new()
        .word("ACCEPTD", ReceiptState::Rejected)
        .word("acceptd", ReceiptState::Delivered)
        .word("0", ReceiptState::Scheduled)
        .number(6, ReceiptState::Delivered);
    let profile = ReceiptProfile {
        states,
        ..ReceiptProfile::default()
    };
    for (text, number, expected) in [
        ("id:7 stat:Acceptd", None, ReceiptState::Delivered),
        ("id:7 stat:0", None, ReceiptState::Scheduled),
        ("id:7", Some(6), ReceiptState::Delivered),
        ("id:7 stat:EXPIRED", None, ReceiptState::Expired),
        ("id:7", Some(3), ReceiptState::Expired),
        ("id:7 acceptd err:0", None, ReceiptState::Delivered),
    ] {
        let mut message = deliver(text.as_bytes());
        if let Some(number) = number {
            message.tlvs.push(STATE, &[number]).expect("short");
        }
        let Reading::Receipt(receipt) = Receipt::read(&message, &profile) else {
            panic!("{text}")
        };
        assert_eq!(receipt.state, expected, "{text}");
    }
}

#[test]
fn quirk_10_the_tlv_wins_over_the_text_and_the_disagreement_is_told() {
    let (receipt, tolerated) = noted(WHOLE, &[(ID, b"1D6A811\0"), (STATE, &[2])]);
    assert_eq!(
        (receipt.id.as_str(), receipt.text_id.as_deref()),
        ("1D6A811", Some("0A7"))
    );
    assert_eq!(tolerated, [Tolerated::ReceiptDisagrees]);

    let (receipt, tolerated) = noted(WHOLE, &[(ID, b"0A7\0"), (STATE, &[5])]);
    assert_eq!(
        (receipt.state, receipt.text_id),
        (ReceiptState::Undeliverable, None)
    );
    assert_eq!(tolerated, [Tolerated::ReceiptDisagrees]);

    // 5.0 says it finer than Appendix B can: no disagreement.
    let finer = WHOLE.replace("DELIVRD", "UNDELIV");
    let (receipt, tolerated) = noted(&finer, &[(ID, b"0A7\0"), (STATE, &[9])]);
    assert_eq!((receipt.state, tolerated), (ReceiptState::Skipped, vec![]));
}

#[test]
fn quirk_10_a_state_of_two_octets_is_read_and_one_of_nothing_leaves_the_text() {
    assert_eq!(
        noted("id:7 stat:DELIVRD", &[(STATE, &[0, 5])]).0.state,
        ReceiptState::Undeliverable
    );
    assert_eq!(
        noted("id:7 stat:DELIVRD", &[(STATE, &[])]).0.state,
        ReceiptState::Delivered
    );
    assert_eq!(
        noted("id:7 stat:DELIVRD", &[(STATE, &[1, 5])]).0.state,
        ReceiptState::Unrecognised
    );
}

#[test]
fn quirk_11_network_error_code_in_any_shape() {
    for (value, network, err, quirk) in [
        (&[3_u8, 1, 2][..], Some((3, 258)), Some("258"), false),
        (b"042", None, Some("042"), true),
        (b"42\0", None, Some("42"), true),
        (b"0042", None, Some("0042"), true),
        (&[0, 8], None, None, true),
        (&[], None, None, true),
    ] {
        // "42\0" has the right length: type '4', code 0x3200. Only digits throughout are text.
        let expected = if value == b"42\0" {
            (Some((b'4', 0x3200)), Some("12800".to_owned()), false)
        } else {
            (network, err.map(str::to_owned), quirk)
        };
        let (receipt, tolerated) = noted("", &[(ID, b"7\0"), (STATE, &[5]), (ERROR, value)]);
        let told = tolerated.contains(&Tolerated::NetworkErrorDigits);
        assert_eq!((receipt.network_error, receipt.err, told), expected, "{value:?}");
    }
}

#[test]
fn quirk_13_a_text_without_the_bits_is_a_receipt_only_where_the_profile_says_so() {
    let with = |unflagged| ReceiptProfile {
        unflagged,
        ..ReceiptProfile::default()
    };
    let mut by_text = deliver(WHOLE.as_bytes());
    by_text.esm_class = 0;
    let mut by_tlvs = ShortMessage::default();
    by_tlvs.tlvs.push(ID, b"7\0").expect("short");
    by_tlvs.tlvs.push(STATE, &[2]).expect("short");
    for (unflagged, text, tlvs) in [
        (Unflagged::Never, false, false),
        (Unflagged::Tlvs, false, true),
        (Unflagged::Text, true, true),
    ] {
        for (message, expected) in [(&by_text, text), (&by_tlvs, tlvs)] {
            match Receipt::read(message, &with(unflagged)) {
                Reading::Receipt(receipt) => {
                    assert!(expected, "{unflagged:?}");
                    assert!(receipt.tolerated.contains(Tolerated::ReceiptUnflagged));
                }
                Reading::None => assert!(!expected, "{unflagged:?}"),
                Reading::Unreadable(why) => panic!("{why}"),
            }
        }
    }
    assert_eq!(
        ReceiptProfile::default().unflagged,
        Unflagged::Tlvs,
        "nobody can forge one by default"
    );
}

#[test]
fn what_people_write_is_no_receipt_even_where_texts_count() {
    let profile = ReceiptProfile {
        unflagged: Unflagged::Text,
        ..ReceiptProfile::default()
    };
    for text in [
        "id:5 is my number",
        "id:5 stat:DELIVRD",
        "Hello",
        "",
        "My id:7 submit date:1 done date:2 stat:DELIVRD",
    ] {
        let mut message = deliver(text.as_bytes());
        message.esm_class = 0;
        assert_eq!(Receipt::read(&message, &profile), Reading::None, "{text}");
    }
}

#[test]
fn a_receipt_nobody_can_match_is_unreadable_and_not_a_message() {
    let read = |message: &ShortMessage| Receipt::read(message, &ReceiptProfile::default());
    assert_eq!(
        read(&deliver(b"stat:DELIVRD err:000")),
        Reading::Unreadable(Unreadable::NoId)
    );
    let long = format!("id:{} stat:DELIVRD", "7".repeat(message_id::MAX + 1));
    let mut message = ShortMessage {
        esm_class: 4,
        ..ShortMessage::default()
    };
    message
        .tlvs
        .push(tag::MESSAGE_PAYLOAD, long.as_bytes())
        .expect("short");
    assert_eq!(read(&message), Reading::Unreadable(Unreadable::IdTooLong(256)));
    let longest = format!("id:{} stat:DELIVRD", "7".repeat(message_id::MAX));
    let mut message = ShortMessage {
        esm_class: 4,
        ..ShortMessage::default()
    };
    message
        .tlvs
        .push(tag::MESSAGE_PAYLOAD, longest.as_bytes())
        .expect("short");
    assert!(matches!(read(&message), Reading::Receipt(receipt) if receipt.id.len() == message_id::MAX));
}

#[test]
fn ids_that_are_no_text_are_the_same_in_answer_tlv_and_text() {
    let octets = b"A\xe9\\7";
    let text = [b"id:", &octets[..], b" stat:DELIVRD err:000"].concat();
    let by_text = Receipt::parse(&deliver(&text)).expect("a receipt");
    let (by_tlv, _) = noted("", &[(ID, &[octets, &b"\0"[..]].concat()), (STATE, &[2])]);
    assert_eq!(by_text.id, message_id::canonical(octets));
    assert_eq!(by_tlv.id, by_text.id);
    assert_eq!(
        message_id::octets(&by_tlv.id).expect("canonical").as_bytes(),
        octets
    );
}
