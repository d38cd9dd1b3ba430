//! Every octet, both ways; every character set, by words in it.

use super::*;
use proptest::prelude::*;

/// Octets of defined groups with a reserved bit set: the ones that are not written as they came.
fn has_reserved_bit(octet: u8) -> bool {
    match octet {
        // General groups without a class: bits 1 and 0.
        0x10..=0x7F => octet & 0x10 == 0 && octet & 0x03 != 0,
        // Message waiting: bit 2.
        0xC0..=0xEF => octet & 0x04 != 0,
        // Data coding and class: bit 3.
        0xF0..=0xFF => octet & 0x08 != 0,
        0x00..=0x0F | 0x80..=0xBF => false,
    }
}

#[test]
fn every_octet_is_written_as_it_came_unless_a_reserved_bit_is_set() {
    let mut kept = 0;
    for octet in 0..=u8::MAX {
        let coding = DataCoding::parse(octet);
        if has_reserved_bit(octet) {
            assert_ne!(coding.octet(), octet, "{octet:#04x}");
            assert_eq!(DataCoding::parse(coding.octet()), coding, "{octet:#04x}");
        } else {
            assert_eq!(coding.octet(), octet, "{octet:#04x}");
            kept += 1;
        }
    }
    assert_eq!(kept, 256 - 36 - 24 - 8);
}

#[test]
fn a_tp_dcs_differs_from_smpp_only_in_its_first_sixteen_values() {
    for octet in 0x10..=u8::MAX {
        assert_eq!(DataCoding::parse_tp_dcs(octet), DataCoding::parse(octet));
    }
    for (octet, charset) in (0..=0x0F).zip(
        [Charset::Gsm7, Charset::Octet, Charset::Ucs2, Charset::Gsm7]
            .into_iter()
            .flat_map(|charset| [charset; 4]),
    ) {
        let coding = DataCoding::parse_tp_dcs(octet);
        assert_eq!((coding.charset(), coding.octet()), (charset, octet & 0x0C));
    }
}

#[test]
fn the_values_of_smpp_are_as_its_table_has_them() {
    let octets = SmppCoding::ALL.map(SmppCoding::octet);
    assert_eq!(octets, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14]);
    for coding in SmppCoding::ALL {
        assert_eq!(DataCoding::parse(coding.octet()), DataCoding::Smpp(coding));
    }
    for reserved in [0x0B, 0x0C, 0x0F, 0x80, 0x9A, 0xBF] {
        assert_eq!(DataCoding::parse(reserved), DataCoding::Reserved(reserved));
    }
}

#[test]
fn octets_mean_what_the_standards_say() {
    use GsmClass::{Class0, Class1, Class2, Class3};
    for (octet, charset, class) in [
        (0x00, Charset::SmscDefault, None),
        (0x01, Charset::Ia5, None),
        (0x05, Charset::Jis, None),
        (0x09, Charset::Unknown, None),
        (0x0B, Charset::Unknown, None),
        (0x10, Charset::Gsm7, Some(Class0)),
        (0x11, Charset::Gsm7, Some(Class1)),
        (0x15, Charset::Octet, Some(Class1)),
        (0x1A, Charset::Ucs2, Some(Class2)),
        (0x1C, Charset::Gsm7, Some(Class0)),
        (0x20, Charset::Unknown, None),
        (0x38, Charset::Unknown, Some(Class0)),
        (0x40, Charset::Gsm7, None),
        (0x48, Charset::Ucs2, None),
        (0x58, Charset::Ucs2, Some(Class0)),
        (0x80, Charset::Gsm7, None),
        (0xC8, Charset::Gsm7, None),
        (0xD0, Charset::Gsm7, None),
        (0xE8, Charset::Ucs2, None),
        (0xF0, Charset::Gsm7, Some(Class0)),
        (0xF5, Charset::Octet, Some(Class1)),
        (0xF7, Charset::Octet, Some(Class3)),
        (0xFE, Charset::Octet, Some(Class2)),
    ] {
        let coding = DataCoding::parse(octet);
        assert_eq!(
            (coding.charset(), coding.class()),
            (charset, class),
            "{octet:#04x}"
        );
    }
    let DataCoding::General {
        compressed,
        auto_delete,
        ..
    } = DataCoding::parse(0x71)
    else {
        panic!("0x71 is in the group of automatic deletion")
    };
    assert!(compressed && auto_delete);
}

/// What carriers were told and asked before this module knew more than four encodings stays as it was.
#[test]
fn encodings_and_octets_of_the_four_encodings_stay() {
    use Encoding::{Binary, Gsm7, Latin1, Ucs2};
    assert_eq!(Encoding::ALL.map(Encoding::data_coding), [0x00, 0x03, 0x08, 0x04]);
    for encoding in Encoding::ALL {
        assert_eq!(Encoding::from_data_coding(encoding.data_coding()), encoding);
        for class in GsmClass::ALL {
            assert_eq!(GsmClass::new(class.bits()), Some(class));
            match encoding.data_coding_with_class(class) {
                Some(octet) => {
                    let read = DataCoding::parse(octet);
                    assert_eq!((read.charset().encoding(), read.class()), (encoding, Some(class)));
                }
                None => assert_eq!(encoding, Latin1),
            }
        }
    }
    assert_eq!(GsmClass::new(4), None);
    assert_eq!(DataCoding::flash(Ucs2).map(DataCoding::octet), Some(0x18));
    assert_eq!(DataCoding::flash(Gsm7).map(DataCoding::octet), Some(0x10));
    for (octets, encoding) in [
        (0x05..=0x07, Binary),
        (0x09..=0x0F, Binary),
        (0x20..=0x3F, Binary),
        (0x80..=0xDF, Gsm7),
        (0xE0..=0xEF, Ucs2),
    ] {
        for octet in octets {
            assert_eq!(Encoding::from_data_coding(octet), encoding, "{octet:#04x}");
        }
    }
}

#[test]
fn waiting_messages_are_told_by_octet_and_by_header() {
    for (waiting, encoding, octet) in [
        (
            MessageWaiting::set(WaitingKind::Voicemail, 3, false),
            Encoding::Gsm7,
            Some(0xC8),
        ),
        (
            MessageWaiting::set(WaitingKind::Fax, 1, true),
            Encoding::Gsm7,
            Some(0xD9),
        ),
        (
            MessageWaiting::set(WaitingKind::Email, 255, true),
            Encoding::Ucs2,
            Some(0xEA),
        ),
        (
            MessageWaiting::clear(WaitingKind::Voicemail),
            Encoding::Gsm7,
            Some(0xC0),
        ),
        (
            MessageWaiting::clear(WaitingKind::Other),
            Encoding::Gsm7,
            Some(0xC3),
        ),
        (
            MessageWaiting::set(WaitingKind::Email, 1, false),
            Encoding::Ucs2,
            None,
        ),
        (
            MessageWaiting::set(WaitingKind::Email, 1, true),
            Encoding::Binary,
            None,
        ),
    ] {
        assert_eq!(
            waiting.data_coding(encoding).map(DataCoding::octet),
            octet,
            "{waiting:?}"
        );
        let indication = Indication::from(waiting);
        assert_eq!(
            (indication.store, indication.count, indication.profile),
            (waiting.store, waiting.count, 0)
        );
    }
    for (kind, expected) in
        WaitingKind::ALL
            .into_iter()
            .zip([Waiting::Voice, Waiting::Fax, Waiting::Email, Waiting::Other])
    {
        assert_eq!(Indication::from(MessageWaiting::clear(kind)).waiting, expected);
    }
}

#[test]
fn words_of_every_character_set_are_read() {
    for (charset, octets, text, lossy) in [
        (Charset::SmscDefault, b"caf\x05".as_slice(), "café", false),
        (Charset::Gsm7, b"\x00\x1b\x65", "@€", false),
        (Charset::Ia5, b"plain", "plain", false),
        (Charset::Ia5, b"caf\xe9", "café", true),
        (Charset::Latin1, b"caf\xe9", "café", false),
        (Charset::Cyrillic, b"\xbf\xe0\xd8\xd2\xd5\xe2", "Привет", false),
        (Charset::Hebrew, b"\xf9\xec\xe5\xed", "שלום", false),
        (Charset::Hebrew, b"\xf9\xbf", "ש\u{FFFD}", true),
        (Charset::Ucs2, b"\x30\x42", "あ", false),
        (Charset::Ucs2, b"\x30\x42\x30", "あ\u{FFFD}", true),
        (Charset::Jis, b"\x82\xa0\x88\xa4", "あ愛", false),
        (Charset::Jis, b"\x1b$B$\"0&\x1b(B", "あ愛", false),
        (Charset::Jis, b"\xa4\xa2\xff", "､｢\u{FFFD}", true),
        (Charset::Iso2022Jp, b"a\x1b$B$\"\x1b(Bz", "aあz", false),
        (Charset::Iso2022Jp, b"\x1b$B$", "\u{FFFD}", true),
        (Charset::ExtendedKanji, b"\xa4\xa2", "あ", false),
        (Charset::ExtendedKanji, b"\x8f\xb0\xa1", "丂", false),
        (Charset::KsC5601, b"\xb0\xa1\xb3\xaa", "가나", false),
        (Charset::KsC5601, b"\xb0", "\u{FFFD}", true),
        (Charset::Octet, b"\x01\x02", "", true),
        (Charset::Unknown, b"\x01", "", true),
        (Charset::Unknown, b"", "", false),
    ] {
        assert_eq!(
            decode_octets(charset, octets),
            (text.to_owned(), lossy),
            "{charset:?} {octets:x?}"
        );
    }
}

proptest! {
    /// Whatever a peer sends, for every character set: no panic, text bounded by the octets, and what is not lossy has no
    /// replacement character that the sender did not write.
    #[test]
    fn any_octets_are_read_or_flagged(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        for charset in Charset::ALL {
            let (text, lossy) = decode_octets(charset, &octets);
            prop_assert!(text.len() <= octets.len() * 4 + 3, "{:?}", charset);
            prop_assert!(charset.is_text() || text.is_empty());
            if !lossy && charset != Charset::Ucs2 {
                prop_assert!(!text.contains(char::REPLACEMENT_CHARACTER), "{:?}", charset);
            }
        }
    }
}
