//! Ranges, presets and what reads each field.

use super::*;
use crate::{
    octets::COctets,
    password::Password,
    receipt::{ReceiptState, StateMap, Unflagged},
    status::CommandStatus,
};
use bytes::Bytes;

fn config() -> EsmeConfig {
    EsmeConfig::new(
        COctets::until_nul(b"test"),
        Password::try_new(b"secret").expect("no NUL"),
    )
}

#[test]
fn the_presets_are_valid_and_the_default_is_the_standard() {
    for profile in [Profile::default(), Profile::sinch(), Profile::clickatell()] {
        assert_eq!(profile.clone().checked(), Ok(profile));
    }
    let session = config()
        .with_profile(&Profile::default())
        .expect("short credentials");
    assert_eq!(session, config());
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let zero = Duration::ZERO;
    let long = Duration::from_secs(1_000_000);
    let wrong = Profile {
        version: Version::V3_3,
        window: 0,
        response_timeout: zero,
        enquire_link: None,
        enquire_link_always: true,
        enquire_link_strict: true,
        silence_limit: Some(long),
        unanswered_limit: Some(zero),
        max_system_id: 0,
        max_password: 256,
        receipt_offset: Some(841),
        addresses: AddressRules {
            max_alphanumeric: 21,
            ..AddressRules::default()
        },
        service_type: COctets::until_nul(b"SIXSIX"),
        long: LongMode::Sar,
        reconnect: ReconnectFloors {
            credentials: long,
            already_bound: long,
            refused: long,
            lost: long,
        },
        ..Profile::default()
    };
    let problems = wrong.checked().expect_err("nearly everything is wrong");
    let fields: Vec<_> = problems.0.iter().map(|problem| problem.field).collect();
    assert_eq!(
        fields,
        [
            "window",
            "response_timeout",
            "enquire_link_always",
            "enquire_link_strict",
            "silence_limit",
            "unanswered_limit",
            "max_system_id",
            "max_password",
            "receipt_offset",
            "addresses.max_alphanumeric",
            "service_type",
            "long",
            "reconnect.credentials",
            "reconnect.already_bound",
            "reconnect.refused",
            "reconnect.lost",
        ]
    );
    assert!(
        problems
            .to_string()
            .contains("window is 0, allowed is 1 to 100000; ")
    );
    let hasty = Profile {
        unanswered_limit: Some(Duration::from_secs(29)),
        ..Profile::default()
    };
    assert_eq!(hasty.checked().expect_err("before an answer is late").0.len(), 1);
    let often = Profile {
        enquire_link: Some(zero),
        ..Profile::default()
    };
    assert_eq!(often.checked().expect_err("no time").0.len(), 1);
}

#[test]
fn credentials_longer_than_the_carrier_takes_are_refused_before_it_cuts_them() {
    let mut long = config();
    long.system_id = COctets::until_nul(b"sixteen_octets_x");
    let refused = CredentialTooLong {
        field: "system_id",
        len: 16,
        max: 15,
    };
    assert_eq!(long.clone().with_profile(&Profile::default()), Err(refused));
    let wide = Profile {
        max_system_id: 16,
        ..Profile::default()
    };
    assert!(long.with_profile(&wide).is_ok());
}

#[test]
fn pauses_before_the_next_bind_follow_the_class_of_the_refusal() {
    let profile = Profile::default();
    for (status, seconds) in [
        (CommandStatus::INVALID_PASSWORD, 60),
        (CommandStatus::INVALID_SYSTEM_ID, 60),
        (CommandStatus::BIND_FAILED, 60),
        (CommandStatus::ALREADY_BOUND, 30),
        (CommandStatus::SYSTEM_ERROR, 0),
        (CommandStatus(0x400), 0),
    ] {
        let floor = profile.reconnect_floor(CloseCause::BindRefused(status));
        assert_eq!(floor, Duration::from_secs(seconds), "{status}");
    }
    assert_eq!(profile.reconnect_floor(CloseCause::Lost), Duration::ZERO);
    let patient = Profile::clickatell();
    assert_eq!(patient.reconnect_floor(CloseCause::Lost), Duration::from_secs(30));
    let status = CloseCause::BindRefused(CommandStatus::INVALID_PASSWORD);
    assert_eq!(patient.reconnect_floor(status), Duration::from_secs(60));
}

#[test]
fn receipts_are_recognised_and_read_as_the_carrier_writes_them() {
    let text = b"id:7 sub:001 dlvrd:001 submit date:2611210800 done date:2611210801 stat:ACKED err:000";
    let message = ShortMessage {
        short_message: Bytes::from_static(text),
        ..ShortMessage::default()
    };
    assert_eq!(Profile::default().receipt(&message), Reading::None);
    let tolerant = Profile {
        receipts: ReceiptProfile {
            unflagged: Unflagged::Text,
            states: StateMap::new().word("ACKED", ReceiptState::Delivered),
        },
        receipt_offset: Some(120),
        ..Profile::default()
    };
    let Reading::Receipt(receipt) = tolerant.receipt(&message) else {
        panic!("a receipt")
    };
    assert_eq!(receipt.state, ReceiptState::Delivered);
    // 2026-11-21T08:01 two hours ahead of UTC.
    let done = receipt.done_time.expect("a time");
    assert_eq!(tolerant.receipt_time(done), Some(1_795_240_860));
    assert_eq!(
        Profile::default().receipt_time(done),
        None,
        "nobody knows the offset"
    );
}

#[test]
fn addresses_get_the_type_and_plan_of_the_carrier() {
    let rules = AddressRules::default();
    let other = AddressRules {
        international: (2, 8),
        short_code: (6, 0),
        alphanumeric: (0, 1),
        prefix: Prefix::DoubleZero,
        max_alphanumeric: 15,
    };
    for (rules, text, expected) in [
        (rules, "491700000001", Ok((1, 1, "491700000001"))),
        (rules, "+491700000001", Ok((1, 1, "491700000001"))),
        (rules, "12345", Ok((3, 0, "12345"))),
        (rules, "Acme", Ok((5, 0, "Acme"))),
        (rules, "", Ok((0, 0, ""))),
        (
            rules,
            "TwelveChars!",
            Err(Unaddressable::TooManyLetters { len: 12, max: 11 }),
        ),
        (rules, "ΔΩ", Err(Unaddressable::Character)),
        (rules, "A\0", Err(Unaddressable::Character)),
        (
            rules,
            "123456789012345678901",
            Err(Unaddressable::TooManyDigits(21)),
        ),
        (other, "491700000001", Ok((2, 8, "00491700000001"))),
        (other, "12345", Ok((6, 0, "12345"))),
        (other, "TwelveChars!", Ok((0, 1, "TwelveChars!"))),
    ] {
        let expected =
            expected.map(|(ton, npi, value)| crate::Address::try_new(ton, npi, value).expect("no NUL"));
        assert_eq!(rules.sender(text), expected, "{text}");
    }
    assert_eq!(rules.recipient("Acme"), Err(Unaddressable::NotANumber));
    assert_eq!(rules.recipient(""), Err(Unaddressable::NotANumber));
}
