//! Laws of addresses: what clients may write, and how peers' addresses are repaired.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use smsgw_message::{Address, AddressError, Npi, Ton};

fn shape(address: &Address) -> (u8, u8, &str) {
    (address.ton().0, address.npi().0, address.as_str())
}

#[test]
fn msisdn_accepts_the_three_ways_of_writing_a_number() {
    for written in ["+491700000001", "491700000001", "00491700000001"] {
        let address = Address::msisdn(written).unwrap();
        assert_eq!(shape(&address), (1, 1, "491700000001"), "{written}");
    }
    assert_eq!(Address::msisdn("12345").unwrap().as_str(), "12345");
    assert_eq!(
        Address::msisdn("123456789012345").unwrap().as_str(),
        "123456789012345"
    );
    assert_eq!(
        Address::msisdn("00123456789012345").unwrap().as_str(),
        "123456789012345"
    );
}

#[test]
fn msisdn_refuses_with_the_reason() {
    use AddressError::{Empty, NoCountryCode, NotADigit, TooLong, TooShort};
    let not_a_digit = |character, position| NotADigit { character, position };
    let cases = [
        ("", Empty),
        ("+", TooShort { digits: 0, min: 5 }),
        ("1234", TooShort { digits: 4, min: 5 }),
        ("001234", TooShort { digits: 4, min: 5 }),
        ("1234567890123456", TooLong { digits: 16, max: 15 }),
        ("01701234567", NoCountryCode),
        ("+00491701234567", NoCountryCode),
        ("0001701234567", NoCountryCode),
        ("49 170 1234567", not_a_digit(' ', 2)),
        ("49-1701234567", not_a_digit('-', 2)),
        ("49.1701234567", not_a_digit('.', 2)),
        ("(49)1701234567", not_a_digit('(', 0)),
        ("++491701234567", not_a_digit('+', 1)),
        ("+49170x", not_a_digit('x', 6)),
        ("٤٩١٧٠١٢", not_a_digit('٤', 0)),
        ("491701234567\0", not_a_digit('\0', 12)),
    ];
    for (written, reason) in cases {
        assert_eq!(Address::msisdn(written), Err(reason), "{written:?}");
    }
}

#[test]
fn errors_do_not_tell_the_number() {
    let error = Address::msisdn("49 170 1234567").unwrap_err();
    assert_eq!(
        error.to_string(),
        "number has U+0020 at position 2, only digits and one leading + are allowed"
    );
}

#[test]
fn sender_is_international_short_code_or_name() {
    let cases = [
        ("+491701234567", (1, 1, "491701234567")),
        ("491701234567", (1, 1, "491701234567")),
        ("00491701234567", (1, 1, "491701234567")),
        ("1234567", (1, 1, "1234567")),
        ("123456", (3, 0, "123456")),
        ("12345", (3, 0, "12345")),
        ("+12345", (3, 0, "12345")),
        ("0800123456", (0, 1, "0800123456")),
        ("Acme", (5, 0, "Acme")),
        ("ACME-Shop24", (5, 0, "ACME-Shop24")),
        ("24/7", (5, 0, "24/7")),
        ("Österreich", (5, 0, "Österreich")),
        ("+Plus", (5, 0, "+Plus")),
    ];
    for (written, expected) in cases {
        assert_eq!(shape(&Address::sender(written).unwrap()), expected, "{written}");
    }
}

#[test]
fn sender_refuses_with_the_reason() {
    use AddressError::{Empty, NoCountryCode, NotADigit, SenderCharacter, SenderTooLong, TooLong};
    let cases = [
        ("", Empty),
        ("   ", Empty),
        ("+", Empty),
        ("+0800123456", NoCountryCode),
        ("1234567890123456", TooLong { digits: 16, max: 15 }),
        (
            "+49 170",
            NotADigit {
                character: ' ',
                position: 3,
            },
        ),
        ("Twelve chars", SenderTooLong { septets: 12, max: 11 }),
        // Brackets take two septets each.
        ("[12345678]a", SenderTooLong { septets: 13, max: 11 }),
        (
            "Привет",
            SenderCharacter {
                character: 'П',
                position: 0,
            },
        ),
        (
            "a\nb",
            SenderCharacter {
                character: '\n',
                position: 1,
            },
        ),
    ];
    for (written, reason) in cases {
        assert_eq!(Address::sender(written), Err(reason), "{written:?}");
    }
}

#[test]
fn addresses_from_peers_are_repaired() {
    let cases = [
        // Right ones stay.
        ((1, 1, "491701234567"), (1, 1, "491701234567")),
        ((5, 0, "Acme"), (5, 0, "Acme")),
        ((3, 9, "12345"), (3, 9, "12345")),
        ((6, 1, "12345"), (6, 1, "12345")),
        ((2, 1, "01701234567"), (2, 1, "01701234567")),
        ((0, 1, "01701234567"), (0, 1, "01701234567")),
        ((0, 0, "12345"), (0, 0, "12345")),
        ((0, 0, ""), (0, 0, "")),
        ((77, 99, "12345"), (77, 99, "12345")),
        // International with fewer than seven digits is a short code.
        ((1, 1, "12345"), (3, 0, "12345")),
        // Prefixes.
        ((1, 1, "+491701234567"), (1, 1, "491701234567")),
        ((0, 0, "+491701234567"), (1, 1, "491701234567")),
        ((1, 1, "00491701234567"), (1, 1, "491701234567")),
        ((0, 1, "00491701234567"), (1, 1, "491701234567")),
        ((1, 1, "01701234567"), (0, 1, "01701234567")),
        // Letters under a numeric type.
        ((1, 1, "Acme"), (5, 0, "Acme")),
        ((0, 0, "Acme 24"), (5, 0, "Acme 24")),
        // Digits under the alphanumeric type.
        ((5, 0, "12345"), (3, 0, "12345")),
        ((5, 0, "491701234567"), (1, 1, "491701234567")),
        ((5, 0, "00491701234567"), (1, 1, "491701234567")),
        // Padding.
        ((1, 1, " 491701234567\0"), (1, 1, "491701234567")),
        // Neither digits nor letters: as sent.
        ((1, 1, "*100#"), (1, 1, "*100#")),
    ];
    for ((ton, npi, text), expected) in cases {
        let address = Address::from_wire(Ton(ton), Npi(npi), text);
        assert_eq!(shape(&address), expected, "{ton} {npi} {text:?}");
    }
}

#[test]
fn display_shows_the_value_and_debug_hides_it() {
    let address = Address::msisdn("+491701234567").unwrap();
    assert_eq!(address.to_string(), "491701234567");
    assert_eq!(address.redacted().to_string(), "*********567");
    assert_eq!(format!("{address:?}"), "Address(1/1 *********567)");
    assert_eq!(
        format!("{:?}", address.redacted()),
        address.redacted().to_string()
    );
    let short = Address::sender("123").unwrap();
    assert_eq!(short.redacted().to_string(), "***");
    let broken = Address::from_wire(Ton(5), Npi(0), "abcd\ne");
    assert_eq!(broken.redacted().to_string(), "***d\\ne");
    assert_eq!(Address::default().redacted().to_string(), "");
}

#[test]
fn numeric_is_digits_only() {
    assert!(Address::msisdn("491701234567").unwrap().is_numeric());
    assert!(!Address::sender("Acme").unwrap().is_numeric());
    assert!(!Address::default().is_numeric());
    assert_eq!(shape(&Address::default()), (0, 0, ""));
}

#[test]
fn record_format_is_ton_npi_text() {
    let octets = minicbor::to_vec(Address::from_wire(Ton(77), Npi(9), "ab1")).unwrap();
    assert_eq!(octets, [0x83, 0x18, 77, 9, 0x63, b'a', b'b', b'1']);
    let back: Address = minicbor::decode(&octets).unwrap();
    assert_eq!(shape(&back), (77, 9, "ab1"));
}

proptest! {
    #[test]
    fn any_text_from_the_wire_is_taken_and_survives_the_record(ton: u8, npi: u8, text in "\\PC{0,30}") {
        let address = Address::from_wire(Ton(ton), Npi(npi), &text);
        let octets = minicbor::to_vec(&address).unwrap();
        prop_assert_eq!(minicbor::decode::<Address>(&octets).unwrap(), address);
    }

    #[test]
    fn repairing_twice_changes_nothing_more(ton in 0u8..8, npi in 0u8..3, text in "\\+?0{0,3}[0-9]{0,12}[a-c]?") {
        let once = Address::from_wire(Ton(ton), Npi(npi), &text);
        let twice = Address::from_wire(once.ton(), once.npi(), once.as_str());
        prop_assert_eq!(shape(&twice), shape(&once));
    }

    #[test]
    fn the_same_number_is_the_same_address_however_it_comes(digits in "[1-9][0-9]{6,14}") {
        let expected = Address::msisdn(&digits).unwrap();
        for prefix in ["", "+", "00"] {
            let written = format!("{prefix}{digits}");
            prop_assert_eq!(&Address::msisdn(&written).unwrap(), &expected);
            prop_assert_eq!(&Address::sender(&written).unwrap(), &expected);
            prop_assert_eq!(&Address::from_wire(Ton::INTERNATIONAL, Npi::ISDN, &written), &expected);
        }
    }

    #[test]
    fn debug_never_shows_more_than_three_characters(text in "[0-9]{4,15}") {
        let shown = format!("{:?}", Address::from_wire(Ton(0), Npi(0), &text).redacted());
        prop_assert_eq!(shown.chars().filter(char::is_ascii_digit).count(), 3);
    }
}
