//! What is sent, setting by setting; what single carriers want differently is in [`carriers`], what
//! clients ask for in [`options`].

mod carriers;
mod options;

use super::*;
use crate::fixtures::dispatch;
use smsgw_config::Alphabet;
use smsgw_message::text::{self, Requested};
use smsgw_message::{Address, Encoding};
use smsgw_smpp::Address as WireAddress;

const NOW: Timestamp = Timestamp::from_millis(1_795_248_000_000); // 2026-11-21T08:00:00Z

fn sent(dispatch: &Dispatch, operator: &Operator) -> SubmitSm {
    submit(dispatch, Class::Transactional, operator, NOW)
        .unwrap()
        .message
}

#[test]
fn addresses_carry_the_type_of_the_number_unless_the_operator_says_otherwise() {
    let plain = Operator::default();
    let message = sent(&dispatch(1), &plain);
    assert_eq!(
        (
            message.destination.ton,
            message.destination.npi,
            message.destination.value.as_bytes()
        ),
        (1, 1, b"491700000001".as_slice())
    );
    assert_eq!(
        (
            message.source.ton,
            message.source.npi,
            message.source.value.as_bytes()
        ),
        (3, 0, b"12345".as_slice())
    );

    let named = Dispatch {
        from: Some(Address::sender("Bücher").unwrap()),
        ..dispatch(1)
    };
    let message = sent(&named, &plain);
    assert_eq!((message.source.ton, message.source.npi), (5, 0));
    assert_eq!(message.source.value.as_bytes(), b"B\xFCcher", "Latin-1");

    let overriding = Operator {
        source_ton: Some(0),
        source_npi: Some(9),
        dest_ton: Some(2),
        dest_npi: Some(8),
        ..Operator::default()
    };
    let message = sent(&named, &overriding);
    assert_eq!((message.source.ton, message.source.npi), (0, 9));
    assert_eq!((message.destination.ton, message.destination.npi), (2, 8));
}

#[test]
fn an_absent_sender_is_the_operators_default_or_empty() {
    let anonymous = Dispatch {
        from: None,
        ..dispatch(1)
    };
    assert_eq!(
        sent(
            &anonymous,
            &Operator {
                source_ton: Some(5),
                ..Operator::default()
            }
        )
        .source,
        WireAddress::default()
    );
    let operator = Operator {
        default_from: Some("Shop".to_owned()),
        ..Operator::default()
    };
    let message = sent(&anonymous, &operator);
    assert_eq!(
        (message.source.ton, message.source.value.as_bytes()),
        (5, b"Shop".as_slice())
    );
    assert_eq!(
        sent(&dispatch(1), &operator).source.value.as_bytes(),
        b"12345",
        "the message's own comes first"
    );
}

#[test]
fn a_sender_that_no_octet_writes_is_refused_and_not_mutilated() {
    let greek = Dispatch {
        from: Some(Address::sender("ΔΩ").unwrap()),
        ..dispatch(1)
    };
    assert_eq!(
        submit(&greek, Class::Transactional, &Operator::default(), NOW),
        Err(Unsendable::Address)
    );
}

#[test]
fn data_coding_follows_encoding_and_class() {
    let table = [
        (Encoding::Gsm7, None, 0x00),
        (Encoding::Latin1, None, 0x03),
        (Encoding::Ucs2, None, 0x08),
        (Encoding::Binary, None, 0x04),
        (Encoding::Gsm7, Some(0), 0x10),
        (Encoding::Ucs2, Some(0), 0x18),
        (Encoding::Binary, Some(2), 0x16),
        (Encoding::Latin1, Some(0), 0x03),
    ];
    for (encoding, message_class, expected) in table {
        let dispatch = Dispatch {
            encoding,
            message_class,
            ..dispatch(1)
        };
        assert_eq!(
            sent(&dispatch, &Operator::default()).data_coding,
            expected,
            "{encoding:?} {message_class:?}"
        );
    }
}

#[test]
fn a_header_sets_the_bit_and_stands_before_unpacked_septets() {
    let mut part = dispatch(1);
    part.content.udh = vec![5, 0, 3, 9, 2, 1];
    part.content.data = vec![0x00, 0x1B, 0x65];
    let message = sent(&part, &Operator::default());
    assert_eq!(message.esm_class, 0x40);
    assert_eq!(&message.short_message[..], [5, 0, 3, 9, 2, 1, 0x00, 0x1B, 0x65]);
    assert_eq!(sent(&dispatch(1), &Operator::default()).esm_class, 0);
}

#[test]
fn a_long_body_goes_into_message_payload() {
    let mut part = dispatch(1);
    part.content.data = vec![b'a'; 255];
    let message = sent(&part, &Operator::default());
    assert!(message.short_message.is_empty());
    assert_eq!(message.payload().len(), 255);
    part.content.data = vec![b'a'; 70_000];
    assert_eq!(
        submit(&part, Class::Transactional, &Operator::default(), NOW),
        Err(Unsendable::TooLong)
    );
}

#[test]
fn a_latin1_carrier_gets_latin1_or_ucs2_where_that_fits() {
    let operator = Operator {
        alphabet: Alphabet::Latin1,
        ..Operator::default()
    };
    let text = |text: &str| {
        let mut part = dispatch(1);
        part.content.data = text::encode(text, Requested::Exactly(Encoding::Gsm7))
            .unwrap()
            .bytes;
        part
    };
    let message = sent(&text("@é_"), &operator);
    assert_eq!(
        (message.data_coding, &message.short_message[..]),
        (0, b"@\xE9_".as_slice())
    );
    let message = sent(&text("5 €"), &operator);
    assert_eq!(
        (message.data_coding, &message.short_message[..]),
        (8, b"\x00\x35\x00\x20\x20\xAC".as_slice())
    );
    assert_eq!(
        submit(&text(&"€".repeat(71)), Class::Transactional, &operator, NOW),
        Err(Unsendable::Alphabet)
    );
}

#[test]
fn receipts_are_asked_for_by_policy_and_report() {
    let asked = |receipts, report| {
        let operator = Operator {
            receipts,
            ..Operator::default()
        };
        let submit = submit(
            &Dispatch {
                report,
                ..dispatch(1)
            },
            Class::Transactional,
            &operator,
            NOW,
        )
        .unwrap();
        assert_eq!(submit.message.registered_delivery, u8::from(submit.receipt_asked));
        submit.receipt_asked
    };
    assert!(asked(Receipts::Always, ReportLevel::None));
    assert!(asked(Receipts::Asked, ReportLevel::Final));
    assert!(asked(Receipts::Asked, ReportLevel::All));
    assert!(!asked(Receipts::Asked, ReportLevel::None));
    assert!(!asked(Receipts::Never, ReportLevel::All));
}

#[test]
fn where_one_part_speaks_for_all_only_that_part_asks_and_all_wait() {
    let asked = |long_receipts| -> Vec<u8> {
        let operator = Operator {
            long_receipts,
            ..Operator::default()
        };
        let asked = (1..=3).map(|part| {
            let of_three = Dispatch {
                part,
                parts: 3,
                ..dispatch(1)
            };
            let submit = submit(&of_three, Class::Transactional, &operator, NOW).unwrap();
            assert!(submit.receipt_asked);
            submit.message.registered_delivery
        });
        asked.collect()
    };
    assert_eq!(asked(LongReceipts::All), [1, 1, 1]);
    assert_eq!(asked(LongReceipts::Any), [1, 1, 1]);
    assert_eq!(asked(LongReceipts::First), [1, 0, 0]);
    assert_eq!(asked(LongReceipts::Last), [0, 0, 1]);
}

#[test]
fn validity_is_absolute_relative_or_not_told() {
    let part = Dispatch {
        valid_until: NOW.after(std::time::Duration::from_secs(3600)),
        ..dispatch(1)
    };
    let told = |validity| {
        let message = sent(
            &part,
            &Operator {
                validity,
                ..Operator::default()
            },
        );
        message.validity_period.to_string_lossy()
    };
    assert_eq!(told(ValidityFormat::Absolute), "261121090000000+");
    assert_eq!(told(ValidityFormat::Relative), "000000010000000R");
    assert_eq!(told(ValidityFormat::None), "");
}

#[test]
fn the_service_type_is_the_operators() {
    let operator = Operator {
        service_type: "WAP".to_owned(),
        ..Operator::default()
    };
    assert_eq!(sent(&dispatch(1), &operator).service_type.as_bytes(), b"WAP");
}
