//! Laws of smart encoding.

use proptest::prelude::*;
use smsgw_message::gsm7::DEFAULT;
use smsgw_message::smart::{Change, Outcome, Smart, Strength, map};
use smsgw_message::text::Encoding;

fn mapped(text: &str, strength: Strength) -> Smart {
    match map(text, strength) {
        Outcome::Mapped(smart) => smart,
        outcome @ (Outcome::Plain | Outcome::Dearer { .. } | Outcome::Impossible { .. }) => {
            panic!("{text}: {outcome:?}")
        }
    }
}

/// Puts the changes back.
fn undone(smart: &Smart) -> String {
    let mut original = String::new();
    let mut rest = smart.text.as_str();
    let mut at = 0;
    for change in &smart.changes {
        let keep: usize = rest.chars().take(change.position - at).map(char::len_utf8).sum();
        original.push_str(&rest[..keep]);
        original.push_str(&change.from);
        rest = rest[keep..].strip_prefix(change.to.as_str()).unwrap();
        at = change.position + change.from.chars().count();
    }
    original + rest
}

#[test]
fn typography_becomes_plain() {
    let cases = [
        ("“Don’t” – really…", "\"Don't\" - really..."),
        ("«Oui»\u{202F}!", "\"Oui\" !"),
        ("10\u{A0}000\u{2009}€", "10 000 €"),
        ("zero\u{200B}width\u{FEFF}", "zerowidth"),
        ("eﬃcient ﬁsh, œuvre", "efficient fish, oeuvre"),
        ("• one\u{2028}• two", "* one\n* two"),
        ("½ or 1½", "1/2 or 1 1/2"),
        ("Acme™ © 2026 №7", "Acme(TM) (C) 2026 No.7"),
        ("ＡＢＣ１２３！\u{3000}｀", "ABC123! '"),
        ("Cafe\u{301} Mu\u{308}nchen A\u{30A}", "Café München Å"),
        ("\u{212B} \u{2126}", "Å Ω"),
        ("−5 ‑ 7", "-5 - 7"),
        ("a\tb", "a b"),
        ("™\u{FE0F}", "(TM)"),
    ];
    for (text, plain) in cases {
        let smart = mapped(text, Strength::Typography);
        assert_eq!(smart.text, plain);
        assert_eq!(undone(&smart), text);
        assert_eq!(
            (smart.before.encoding, smart.after.encoding),
            (Encoding::Ucs2, Encoding::Gsm7)
        );
    }
}

#[test]
fn every_change_is_told_with_its_place() {
    let smart = mapped("a–e\u{301}\u{200B}…", Strength::Typography);
    let change = |position, from: &str, to: &str| Change {
        position,
        from: from.to_owned(),
        to: to.to_owned(),
    };
    assert_eq!(
        smart.changes,
        [
            change(1, "–", "-"),
            change(2, "e\u{301}", "é"),
            change(4, "\u{200B}", ""),
            change(5, "…", "...")
        ]
    );
    assert!(!format!("{smart:?}").contains('é'));
}

#[test]
fn the_saving_is_told() {
    let text = format!("{}’s", "x".repeat(138));
    let smart = mapped(&text, Strength::Typography);
    assert_eq!((smart.before.parts, smart.after.parts), (3, 1));
    assert_eq!(smart.saved_parts(), 2);
    assert_eq!(mapped("’", Strength::Typography).saved_parts(), 0);
}

#[test]
fn nothing_is_changed_unless_all_of_it_can_be() {
    let cases = [
        ("“Привет”", 'П', 1),
        ("it’s 😀", '😀', 5),
        ("“č”", 'č', 1),
        ("20°–", '°', 2),
        ("x\u{302}’", '\u{302}', 0),
        ("\u{202E}’", '\u{202E}', 0),
        ("5²", '²', 1),
    ];
    for (text, character, position) in cases {
        let outcome = map(text, Strength::Typography);
        assert_eq!(outcome, Outcome::Impossible { character, position }, "{text}");
        assert_eq!(outcome.text(text), text);
    }
    for text in ["", "Hello", "Größe [€]"] {
        assert_eq!(map(text, Strength::Accents), Outcome::Plain);
        assert_eq!(map(text, Strength::Accents).text(text), text);
    }
}

#[test]
fn nothing_is_changed_when_that_costs_more() {
    let text = "…".repeat(70);
    let Outcome::Dearer { before, after } = map(&text, Strength::Typography) else {
        panic!("210 septets are two parts");
    };
    assert_eq!((before.parts, after.parts), (1, 2));
}

#[test]
fn accents_come_off_on_request_only() {
    let cases = [
        ("Čeština, Łódź", "Cestina, Lodz"),
        ("garçon", "garcon"),
        ("Thảo ǘ ǟ", "Thao ü ä"),
        ("İstanbul ığdır", "Istanbul igdir"),
        ("x\u{302} nº", "x no"),
        ("ΑΘΗΝΑ Ά", "AΘHNA A"),
        ("Þór ẞ", "Thor ß"),
        ("são", "sao"),
    ];
    for (text, plain) in cases {
        assert!(matches!(
            map(text, Strength::Typography),
            Outcome::Impossible { .. }
        ));
        let smart = mapped(text, Strength::Accents);
        assert_eq!(smart.text, plain);
        assert_eq!(undone(&smart), text);
    }
    // Letters of the default alphabet keep their accents.
    assert_eq!(mapped("é ñ č", Strength::Accents).text, "é ñ c");
    assert!(matches!(
        map("й ά", Strength::Accents),
        Outcome::Impossible { character: 'й', .. }
    ));
    for strength in Strength::ALL {
        assert_eq!(Strength::from_word(strength.as_str()), Some(strength));
    }
}

#[test]
fn whatever_one_character_becomes_is_in_the_alphabet() {
    let mut mapped_by = [0, 0];
    for character in char::MIN..='\u{1FFFF}' {
        for (strength, count) in Strength::ALL.into_iter().zip(&mut mapped_by) {
            let text = format!("a{character}");
            if let Outcome::Mapped(smart) = map(&text, strength) {
                *count += 1;
                assert!(DEFAULT.count(&smart.text).is_ok());
                assert!(!smart.changes.is_empty());
                assert_eq!(undone(&smart), text);
            }
        }
    }
    let [typography, accents] = mapped_by;
    assert!(typography > 250, "{typography}");
    assert!(accents > typography + 300, "{accents}");
}

proptest! {
    #[test]
    fn any_text_is_mapped_whole_or_left(
        text in proptest::collection::vec(
            prop_oneof![
                any::<char>(),
                proptest::sample::select(vec!['a', '’', '…', '½', '7', '\u{301}', 'e', '\u{200B}', 'č', '\u{327}', 'c', '€']),
                proptest::char::range('\u{2010}', '\u{2040}'),
            ],
            0..40,
        ).prop_map(String::from_iter),
    ) {
        for strength in Strength::ALL {
            let outcome = map(&text, strength);
            match &outcome {
                Outcome::Plain => prop_assert!(DEFAULT.count(&text).is_ok()),
                Outcome::Mapped(smart) => {
                    prop_assert_eq!(DEFAULT.count(&smart.text).unwrap(), smart.after.units);
                    prop_assert!(smart.after.parts <= smart.before.parts);
                    prop_assert_eq!(undone(smart), text.clone());
                    prop_assert_eq!(map(&smart.text, strength), Outcome::Plain);
                }
                Outcome::Dearer { before, after } => prop_assert!(before.parts < after.parts),
                Outcome::Impossible { character, position } => {
                    prop_assert!(DEFAULT.code_of(*character).is_none());
                    prop_assert!(*position < text.chars().count());
                }
            }
        }
    }
}
