//! Words of a message from a phone, in the form in which they are compared.
//!
//! Case is folded by Unicode, character by character: there and back through capitals, so that a final sigma is a sigma, a
//! sharp s two of them and a Turkish i an i. Knows no route. Invariant: what is folded stays as it is when it is folded again.

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

/// One word: punctuation at both ends is left out, unless there is nothing else.
fn folded(word: &str) -> String {
    let inner = word.trim_matches(is_punctuation);
    let inner = if inner.is_empty() { word } else { inner };
    inner
        .chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| *c != DOT_ABOVE)
        .collect()
}

/// The first word of a text, as keywords are compared.
pub fn first_word(text: &str) -> Option<String> {
    text.split_whitespace().next().map(folded)
}

/// A whole text as a list of words, as the words of `[keywords]` are compared.
pub fn whole_text(text: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .filter(|word| word.chars().any(|c| !is_punctuation(c)))
        .map(folded)
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

    proptest! {
        #[test]
        fn what_is_folded_stays_so(text in "\\PC{0,40}") {
            let once = whole_text(&text);
            prop_assert_eq!(whole_text(&once), once.clone());
            prop_assert!(once.split(' ').count() <= text.len() + 1);
        }
    }
}
