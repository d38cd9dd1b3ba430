//! Words of a message from a phone, in the form in which they are compared.
//!
//! Case is folded by Unicode, character by character: to small letters, then there and back through capitals, so that a final
//! sigma is a sigma, a sharp s (small or capital) two of them and a Turkish i an i. Knows no route.
//! Invariant: what is folded stays as it is when it is folded again.

/// The dot that is left of a capital dotted I.
const DOT_ABOVE: char = '\u{307}';

/// What stands around words and is none of them.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c,
            '¡' | '§' | '«' | '¶' | '·' | '»' | '¿' | '،' | '؛' | '؟' | '۔' | '।'
            | '\u{200B}'..='\u{205E}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{FEFF}'
            | '！' | '，' | '．' | '：' | '；' | '？')
}

/// One word without case, and without punctuation at both ends unless there is nothing else.
fn folded(word: &str) -> String {
    let word: String = word
        .chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| *c != DOT_ABOVE)
        .collect();
    match word.trim_matches(is_punctuation) {
        "" => word,
        inner => inner.to_owned(),
    }
}

/// The first word of a text, as keywords are compared.
pub fn first_word(text: &str) -> Option<String> {
    text.split_whitespace().map(folded).find(|word| !word.is_empty())
}

/// A whole text as a list of words, as the words of `[keywords]` are compared.
pub fn whole_text(text: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .map(folded)
        .filter(|word| word.chars().any(|c| !is_punctuation(c)))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_of_several_alphabets_are_compared_without_case_and_punctuation() {
        for (one, other) in [
            ("  STOP, please", "stop"),
            ("¡Alto!", "ALTO"),
            ("СТОП.", "стоп"),
            ("ΤΈΛΟΣ", "τέλος"),
            ("İPTAL", "iptal"),
            ("ıptal", "IPTAL"),
            ("«Straße»", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("توقف؟", "توقف"),
            ("बंद।", "बंद"),
            ("🛑", "🛑"),
            ("\u{200E}stop", "stop"),
        ] {
            assert_eq!(first_word(one), first_word(other), "{one}");
        }
        assert_eq!(first_word("stopped"), Some("stopped".to_owned()));
        assert_eq!(first_word(" \n"), None);
        assert_eq!(whole_text(" \"Stop - ALL\" !! "), "stop all");
        assert_eq!(whole_text("..."), "");
    }

    /// A dot above is left out before the ends are looked at, and no word is made of it alone.
    #[test]
    fn a_dot_above_hides_no_punctuation_and_is_no_word() {
        for (text, first, whole) in [
            ("stop.\u{307}", "stop", "stop"),
            ("a \u{307} b", "a", "a b"),
            ("\u{307} b", "b", "b"),
            (".\u{307} b", ".", "b"),
        ] {
            assert_eq!(first_word(text).as_deref(), Some(first), "{text}");
            assert_eq!(whole_text(text), whole, "{text}");
        }
        assert_eq!(first_word("\u{307}"), None);
    }

    /// Beyond these two planes no character has a case or is white space.
    #[test]
    fn every_character_folded_stays_so() {
        for c in '\0'..='\u{1FFFF}' {
            let text = format!("{c} a{c}b a.{c} b");
            let once = whole_text(&text);
            assert_eq!(whole_text(&once), once, "{c:?}");
            let once = first_word(&text);
            assert_eq!(once.as_deref().and_then(first_word), once, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_folded_stays_so(text in "\\PC{0,40}") {
            let once = whole_text(&text);
            prop_assert_eq!(whole_text(&once), once.clone());
            prop_assert!(once.split(' ').count() <= text.len() + 1);
        }
    }
}
