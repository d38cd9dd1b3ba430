//! Laws of the national language tables.

use proptest::prelude::*;
use smsgw_message::gsm7::{
    Alphabet, Code, DEFAULT, ESC, FillBits, Language, Languages, Shifts, pack, unpack,
};

/// Every pair of tables, the default ones among them: 14 by 14.
fn pairs() -> Vec<Shifts> {
    let tables = || std::iter::once(None).chain(Language::ALL.into_iter().map(Some));
    tables()
        .flat_map(|locking| tables().map(move |single| Shifts { locking, single }))
        .collect()
}

fn locking(language: Language) -> Shifts {
    Shifts {
        locking: Some(language),
        single: None,
    }
}

fn single(language: Language) -> Shifts {
    Shifts {
        locking: None,
        single: Some(language),
    }
}

/// The character of one code, when the table has one.
fn plain(shifts: Shifts, code: u8) -> Option<char> {
    let (text, lossy) = Alphabet::of(shifts).decode(&[code]);
    (!lossy).then(|| text.chars().next().unwrap())
}

fn escaped(shifts: Shifts, code: u8) -> Option<char> {
    let (text, lossy) = Alphabet::of(shifts).decode(&[ESC, code]);
    (!lossy).then(|| text.chars().next().unwrap())
}

/// Every character that a pair can write.
fn characters(shifts: Shifts) -> Vec<char> {
    (0..=0x7F)
        .filter_map(|code| plain(shifts, code))
        .chain((0..=0x7F).filter_map(|code| escaped(shifts, code)))
        .collect()
}

#[test]
fn languages_have_their_identifiers_and_words() {
    for (identifier, language) in (1u8..).zip(Language::ALL) {
        assert_eq!(language.identifier(), identifier);
        assert_eq!(Language::from_identifier(identifier), Some(language));
        assert_eq!(Language::from_word(language.as_str()), Some(language));
    }
    for reserved in [0, 14, 15, 0x80, 0xFF] {
        assert_eq!(Language::from_identifier(reserved), None);
    }
    assert_eq!(Language::from_word("klingon"), None);
    assert_eq!(Languages::all().iter().collect::<Vec<_>>(), Language::ALL);
    let two = Languages::NONE.with(Language::Urdu).with(Language::Turkish);
    assert_eq!(format!("{two:?}"), "{Turkish, Urdu}");
    assert!(two.contains(Language::Urdu) && !two.contains(Language::Hindi));
    assert!(Languages::NONE.is_empty() && !two.is_empty());
}

#[test]
fn tables_are_complete() {
    // Codes in use, counted in annex A: locking (0 for none) and single shift.
    let counts = [
        (127, 17),
        (0, 19),
        (127, 37),
        (114, 82),
        (120, 70),
        (127, 88),
        (120, 73),
        (120, 82),
        (116, 75),
        (110, 76),
        (102, 77),
        (120, 77),
        (127, 90),
    ];
    for (language, (in_locking, in_single)) in Language::ALL.into_iter().zip(counts) {
        let count = |has: &dyn Fn(u8) -> bool| (0..=0x7F).filter(|code| has(*code)).count();
        if language == Language::Spanish {
            for code in 0..=0x7F {
                assert_eq!(plain(locking(language), code), plain(Shifts::NONE, code));
            }
        } else {
            let found = count(&|code| plain(locking(language), code).is_some());
            assert_eq!(found, in_locking, "{language}");
        }
        let found = count(&|code| escaped(single(language), code).is_some());
        assert_eq!(found, in_single, "{language}");
    }
}

/// Written out once more, apart from the tables.
#[test]
fn codes_are_those_of_the_annex() {
    use Language::*;
    let in_locking = [
        (Turkish, 0x04, '€'),
        (Turkish, 0x1D, 'ş'),
        (Turkish, 0x60, 'ç'),
        (Portuguese, 0x12, 'ª'),
        (Portuguese, 0x7D, '`'),
        (Bengali, 0x03, 'অ'),
        (Bengali, 0x7F, '\u{9F1}'),
        (Gujarati, 0x13, 'ઓ'),
        (Hindi, 0x0E, '\u{90E}'),
        (Hindi, 0x3C, '\u{929}'),
        (Hindi, 0x7F, '\u{97F}'),
        (Kannada, 0x24, '\u{CA1}'),
        (Kannada, 0x3D, '\u{CAA}'),
        (Malayalam, 0x4D, 'ഹ'),
        (Oriya, 0x47, '\u{B33}'),
        (Punjabi, 0x47, '\u{A33}'),
        (Tamil, 0x3C, 'ன'),
        (Telugu, 0x4F, '\u{C3D}'),
        (Urdu, 0x00, 'ا'),
        (Urdu, 0x5D, '\u{650}'),
        (Urdu, 0x7F, '\u{670}'),
    ];
    for (language, code, character) in in_locking {
        assert_eq!(plain(locking(language), code), Some(character), "{language}");
        let alphabet = Alphabet::of(locking(language));
        assert_eq!(alphabet.code_of(character), Some(Code::Plain(code)));
    }
    let in_single = [
        (Turkish, 0x53, 'Ş'),
        (Spanish, 0x09, 'ç'),
        (Spanish, 0x55, 'Ú'),
        (Portuguese, 0x7F, 'â'),
        (Bengali, 0x24, '\u{9DF}'),
        (Hindi, 0x26, '\u{951}'),
        (Hindi, 0x39, '\u{970}'),
        (Kannada, 0x26, '\u{CDE}'),
        (Malayalam, 0x34, '\u{D7F}'),
        (Oriya, 0x2A, '\u{B5F}'),
        (Punjabi, 0x2D, '\u{A75}'),
        (Tamil, 0x2E, '\u{BFA}'),
        (Telugu, 0x32, '\u{C7F}'),
        (Urdu, 0x3F, '\u{6D4}'),
    ];
    for (language, code, character) in in_single {
        assert_eq!(escaped(single(language), code), Some(character), "{language}");
        let alphabet = Alphabet::of(single(language));
        assert_eq!(alphabet.code_of(character), Some(Code::Escaped(code)));
    }
    // No euro sign in Telugu: the main table speaks.
    let telugu = Alphabet::of(single(Telugu));
    assert_eq!(telugu.code_of('€'), None);
    assert_eq!(telugu.decode(&[ESC, 0x65]), ("e".to_owned(), true));
}

#[test]
fn letters_of_a_language_are_those_of_its_script() {
    let scripts = [
        (Language::Bengali, 0x980..=0x9FF),
        (Language::Gujarati, 0xA80..=0xAFF),
        (Language::Hindi, 0x900..=0x97F),
        (Language::Kannada, 0xC80..=0xCFF),
        (Language::Malayalam, 0xD00..=0xD7F),
        (Language::Oriya, 0xB00..=0xB7F),
        (Language::Punjabi, 0xA00..=0xA7F),
        (Language::Tamil, 0xB80..=0xBFF),
        (Language::Telugu, 0xC00..=0xC7F),
        (Language::Urdu, 0x600..=0x6FF),
    ];
    for (language, script) in scripts {
        let both = Shifts {
            locking: Some(language),
            single: Some(language),
        };
        for character in characters(both) {
            let scalar = u32::from(character);
            let fits = scalar < 0x100 || character == '€' || matches!(scalar, 0x964 | 0x965);
            assert!(fits || script.contains(&scalar), "{language}: U+{scalar:04X}");
        }
        // In the order of Unicode but for Urdu: a misprint would stand out.
        if language != Language::Urdu {
            let letters: Vec<_> = (0..=0x7F)
                .filter_map(|code| plain(locking(language), code))
                .filter(|character| u32::from(*character) > 0xFF)
                .collect();
            assert!(letters.is_sorted_by(|a, b| a < b), "{language}");
        }
    }
}

#[test]
fn every_character_of_every_pair_survives_unpacked_and_packed() {
    let mut seen = 0;
    for shifts in pairs() {
        let alphabet = Alphabet::of(shifts);
        let all = characters(shifts);
        seen += all.len();
        for character in &all {
            let text = character.to_string();
            let units = alphabet.encode(&text).unwrap();
            assert_eq!(alphabet.decode(&units), (text.clone(), false), "{shifts:?}");
            assert_eq!(alphabet.count(&text).unwrap(), units.len());
        }
        let text: String = all.iter().collect();
        let units = alphabet.encode(&text).unwrap();
        for header in 0..7 {
            let fill = FillBits::after_header(header);
            let packed = pack(&units, fill).unwrap();
            let unpacked = unpack(&packed, fill, units.len());
            assert_eq!(alphabet.decode(&unpacked), (text.clone(), false), "{shifts:?}");
        }
    }
    // 1684 characters in 14 main tables (Spanish counted as the default), 873 in 14 behind the escape.
    assert_eq!(seen, 14 * (1684 + 873));
}

#[test]
fn what_a_table_leaves_void_is_told() {
    // Bengali has nothing on 0x0C and 0x0E; the main table stands in behind the escape.
    let bengali = Alphabet::of(locking(Language::Bengali));
    assert_eq!(bengali.decode(&[0x0E]), ("\u{FFFD}".to_owned(), true));
    assert_eq!(bengali.decode(&[ESC, 0x0E]), ("\u{FFFD}".to_owned(), true));
    assert_eq!(bengali.decode(&[ESC, 0x03]), ("অ".to_owned(), true));
    assert_eq!(bengali.decode(&[ESC, ESC]), (" ".to_owned(), true));
    assert_eq!(bengali.decode(&[0x61, ESC]), ("a ".to_owned(), true));
    // A character that stands twice is written with its lower code, and read from both.
    let hindi = Alphabet::of(single(Language::Hindi));
    assert_eq!(hindi.decode(&[ESC, 0x0B, ESC, 0x18]), ("**".to_owned(), false));
    assert_eq!(hindi.code_of('¡'), Some(Code::Plain(0x40)));
    let both = Alphabet::of(Shifts {
        locking: Some(Language::Hindi),
        single: Some(Language::Hindi),
    });
    assert_eq!(both.code_of('¡'), Some(Code::Escaped(0x13)));
    assert_eq!(both.code_of('*'), Some(Code::Escaped(0x0B)));
}

#[test]
fn the_default_alphabet_is_the_one_without_shifts() {
    for character in (char::MIN..='\u{FFFF}').filter(|character| *character != '\0') {
        assert_eq!(
            Alphabet::of(Shifts::NONE).code_of(character),
            DEFAULT.code_of(character)
        );
    }
    assert_eq!(Shifts::NONE.header_octets(), 0);
    assert_eq!(single(Language::Urdu).header_octets(), 4);
    let both = Shifts {
        single: Some(Language::Urdu),
        ..locking(Language::Urdu)
    };
    assert_eq!((both.header_octets(), both.element_octets()), (7, 6));
}

/// A pair of tables and a text of its characters.
fn shifted_text() -> impl Strategy<Value = (Shifts, String)> {
    proptest::sample::select(pairs()).prop_flat_map(|shifts| {
        let text = proptest::collection::vec(proptest::sample::select(characters(shifts)), 0..300);
        text.prop_map(move |text| (shifts, text.into_iter().collect()))
    })
}

proptest! {
    #[test]
    fn text_survives_with_every_fill((shifts, text) in shifted_text(), header in 0usize..20) {
        let alphabet = Alphabet::of(shifts);
        let units = alphabet.encode(&text).unwrap();
        prop_assert_eq!(alphabet.count(&text).unwrap(), units.len());
        prop_assert_eq!(alphabet.decode(&units), (text.clone(), false));
        let fill = FillBits::after_header(header);
        let packed = pack(&units, fill).unwrap();
        let bits = usize::from(fill.bits()) * usize::from(!units.is_empty()) + units.len() * 7;
        prop_assert_eq!(packed.len(), bits.div_ceil(8));
        prop_assert_eq!(alphabet.decode(&unpack(&packed, fill, units.len())), (text, false));
    }

    #[test]
    fn any_units_decode(units in proptest::collection::vec(any::<u8>(), 0..200), shifts in proptest::sample::select(pairs())) {
        let (text, _) = Alphabet::of(shifts).decode(&units);
        prop_assert!(text.chars().count() <= units.len());
    }
}
