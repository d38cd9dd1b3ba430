//! Laws of the GSM 7-bit alphabet and of packing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "gsm7/national.rs"]
mod national;
#[path = "gsm7/other.rs"]
mod other;
#[path = "gsm7/smart.rs"]
mod smart;

use proptest::prelude::*;
use smsgw_message::gsm7::{Code, DEFAULT, ESC, FillBits, NotASeptet, Unmappable, pack, septets_in, unpack};

/// Written out once more, apart from the tables: code, character.
const SAMPLES: [(u8, char); 24] = [
    (0x00, '@'),
    (0x01, '£'),
    (0x02, '$'),
    (0x03, '¥'),
    (0x05, 'é'),
    (0x09, 'Ç'),
    (0x0A, '\n'),
    (0x0D, '\r'),
    (0x10, 'Δ'),
    (0x11, '_'),
    (0x15, 'Ω'),
    (0x1A, 'Ξ'),
    (0x1C, 'Æ'),
    (0x1F, 'É'),
    (0x24, '¤'),
    (0x3F, '?'),
    (0x40, '¡'),
    (0x5A, 'Z'),
    (0x5B, 'Ä'),
    (0x5F, '§'),
    (0x60, '¿'),
    (0x7B, 'ä'),
    (0x7E, 'ü'),
    (0x7F, 'à'),
];

const EXTENDED: [(u8, char); 10] = [
    (0x0A, '\u{0C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// Every unit sequence of one character.
fn whole_alphabet() -> Vec<Vec<u8>> {
    (0..=0x7F)
        .filter(|code| *code != ESC)
        .map(|code| vec![code])
        .chain(EXTENDED.iter().map(|(code, _)| vec![ESC, *code]))
        .collect()
}

fn gsm_text() -> impl Strategy<Value = String> {
    let characters: Vec<char> = whole_alphabet()
        .iter()
        .map(|units| DEFAULT.decode(units).0.chars().next().unwrap())
        .collect();
    proptest::collection::vec(proptest::sample::select(characters), 0..400)
        .prop_map(|characters| characters.into_iter().collect())
}

#[test]
fn codes_are_those_of_the_standard() {
    for (code, character) in SAMPLES {
        assert_eq!(DEFAULT.code_of(character), Some(Code::Plain(code)));
    }
    for (code, character) in EXTENDED {
        assert_eq!(DEFAULT.code_of(character), Some(Code::Escaped(code)));
    }
    // Codes that are the ASCII ones.
    for code in (0x20u8..=0x5A).chain(0x61..=0x7A) {
        if !matches!(code, 0x24 | 0x40) {
            assert_eq!(
                DEFAULT.code_of(char::from(code)),
                Some(Code::Plain(code)),
                "{code:02X}"
            );
        }
    }
}

#[test]
fn exactly_137_characters_have_a_code() {
    let mapped = (char::MIN..=char::MAX)
        .filter(|character| DEFAULT.code_of(*character).is_some())
        .count();
    assert_eq!(mapped, 127 + 10);
}

#[test]
fn every_character_survives_unpacked_and_packed() {
    let all = whole_alphabet();
    assert_eq!(all.len(), 137);
    for units in &all {
        let (text, lossy) = DEFAULT.decode(units);
        assert!(!lossy);
        assert_eq!(text.chars().count(), 1);
        assert_eq!(&DEFAULT.encode(&text).unwrap(), units);
        assert_eq!(DEFAULT.count(&text).unwrap(), units.len());
    }
    let units = all.concat();
    let (text, lossy) = DEFAULT.decode(&units);
    assert!(!lossy);
    assert_eq!(DEFAULT.encode(&text).unwrap(), units);
    for header in 0..=7 {
        let fill = FillBits::after_header(header);
        let packed = pack(&units, fill).unwrap();
        assert_eq!(unpack(&packed, fill, units.len()), units);
    }
}

#[test]
fn characters_without_a_code_are_refused_with_their_place() {
    for character in ['ç', '`', '\t', '\0', '\u{1B}', 'Α', 'я', '😀', '\u{10FFFF}', 'ÿ'] {
        assert_eq!(
            DEFAULT.encode(&format!("€a{character}b")),
            Err(Unmappable {
                character,
                position: 2
            })
        );
        assert!(DEFAULT.count(&character.to_string()).is_err());
    }
}

#[test]
fn strange_units_decode_as_the_standard_says_and_are_flagged() {
    let cases: [(&[u8], &str, bool); 9] = [
        (&[], "", false),
        (&[0x1B, 0x65], "€", false),
        (&[0x1B, 0x41], "A", true),
        (&[0x1B, 0x0D], "\r", true),
        (&[0x41, 0x1B], "A ", true),
        (&[0x1B, 0x1B, 0x65], " e", true),
        (&[0x1B, 0x1B, 0x1B], "  ", true),
        (&[0x80, 0x41, 0xFF], "\u{FFFD}A\u{FFFD}", true),
        (&[0x1B, 0xE9], "\u{FFFD}", true),
    ];
    for (units, text, lossy) in cases {
        assert_eq!(DEFAULT.decode(units), (text.to_owned(), lossy), "{units:02X?}");
    }
}

#[test]
fn packing_matches_known_octets() {
    // "hellohello" is the example of every tutorial; the others are worked out by hand.
    let cases: [(&str, &[u8]); 3] = [
        (
            "hellohello",
            &[0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37],
        ),
        ("@", &[0x00]),
        ("12345678", &[0x31, 0xD9, 0x8C, 0x56, 0xB3, 0xDD, 0x70]),
    ];
    for (text, octets) in cases {
        let units = DEFAULT.encode(text).unwrap();
        assert_eq!(pack(&units, FillBits::NONE).unwrap(), octets, "{text}");
        assert_eq!(unpack(octets, FillBits::NONE, units.len()), units);
    }
    // One fill bit behind a concatenation header of six octets.
    let fill = FillBits::after_header(6);
    assert_eq!(fill.bits(), 1);
    assert_eq!(pack(&[0x41], fill).unwrap(), [0x82]);
    assert_eq!(unpack(&[0x82], fill, 1), [0x41]);
}

#[test]
fn fill_bits_end_at_a_septet_boundary() {
    for header in 0..200 {
        let bits = usize::from(FillBits::after_header(header).bits());
        assert!(bits < 7);
        assert_eq!((header * 8 + bits) % 7, 0, "{header}");
    }
}

#[test]
fn full_parts_pack_into_140_octets() {
    assert_eq!(pack(&[0x41; 160], FillBits::NONE).unwrap().len(), 140);
    assert_eq!(pack(&[0x41; 153], FillBits::after_header(6)).unwrap().len(), 134);
    assert_eq!(septets_in(140, FillBits::NONE), 160);
    assert_eq!(septets_in(134, FillBits::after_header(6)), 153);
}

#[test]
fn packing_refuses_what_is_no_septet() {
    assert_eq!(
        pack(&[0x41, 0x80], FillBits::NONE),
        Err(NotASeptet {
            octet: 0x80,
            position: 1
        })
    );
    assert_eq!(pack(&[], FillBits::after_header(6)).unwrap(), []);
    assert_eq!(septets_in(0, FillBits::after_header(1)), 0);
}

proptest! {
    #[test]
    fn text_survives(text in gsm_text()) {
        let units = DEFAULT.encode(&text).unwrap();
        prop_assert_eq!(DEFAULT.count(&text).unwrap(), units.len());
        prop_assert_eq!(DEFAULT.decode(&units), (text, false));
    }

    #[test]
    fn septets_survive_packing(
        septets in proptest::collection::vec(0u8..0x80, 0..200),
        header in 0usize..20,
    ) {
        let fill = FillBits::after_header(header);
        let packed = pack(&septets, fill).unwrap();
        prop_assert_eq!(unpack(&packed, fill, septets.len()), &septets[..]);
        // Without the count, at most one septet of padding shows up.
        let all = unpack(&packed, fill, usize::MAX);
        prop_assert!(all.starts_with(&septets));
        prop_assert!(all.len() <= septets.len() + 1);
    }

    #[test]
    fn any_octets_decode_and_unpack(octets in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..0x80, 0x28u8..0x7F], 0..60), header in 0usize..9, count: usize) {
        let fill = FillBits::after_header(header);
        let septets = unpack(&octets, fill, count);
        prop_assert!(septets.len() <= count);
        prop_assert!(septets.iter().all(|septet| *septet < 0x80));
        let (text, lossy) = DEFAULT.decode(&octets);
        // Not lossy means that the units can be had back.
        if !lossy {
            prop_assert_eq!(DEFAULT.encode(&text).unwrap(), octets);
        }
    }
}
