//! Texts and patterns of texts: what a message says, and whether a pattern is found in it.
//!
//! Knows no route and no rule: routes and content rules use it alike. Invariant: a pattern that exists is compiled, bounded
//! in size, and takes time linear in the text it is matched with.

use regex::{Regex, RegexBuilder};
use smsgw_message::text::decode_shifted;
use smsgw_message::{Encoding, MtMessage};
use std::borrow::Cow;
use std::fmt;

/// Longest pattern, in characters.
const MAX_PATTERN: usize = 1_000;
/// Largest compiled pattern, in octets.
const MAX_COMPILED: usize = 1 << 20;

/// A regular expression for texts: linear in the text (no look-around, no back references), compiled once.
#[derive(Clone)]
pub struct TextPattern(Regex);

impl TextPattern {
    /// Compiles a pattern: at most 1,000 characters, and 1 MiB when compiled.
    pub fn from_text(text: &str) -> Option<Self> {
        let short = !text.is_empty() && text.chars().count() <= MAX_PATTERN;
        short
            .then(|| {
                RegexBuilder::new(text)
                    .size_limit(MAX_COMPILED)
                    .dfa_size_limit(MAX_COMPILED)
                    .build()
            })?
            .ok()
            .map(Self)
    }

    /// Whether it is found in a text.
    pub fn is_found_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for TextPattern {}

impl fmt::Debug for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextPattern({:?})", self.as_str())
    }
}

/// The text of all parts; `None` for octets that are no text. Parts with the same national tables are read as one, so that
/// nothing hides where they were cut.
pub fn text_of(message: &MtMessage) -> Option<String> {
    if message.encoding == Encoding::Binary {
        return None;
    }
    let mut text = String::new();
    for run in message.parts.chunk_by(|one, next| one.shifts() == next.shifts()) {
        let Some(first) = run.first() else { continue };
        let octets: Cow<'_, [u8]> = match run {
            [one] => Cow::Borrowed(&one.data),
            several => Cow::Owned(
                several
                    .iter()
                    .flat_map(|part| part.data.iter().copied())
                    .collect(),
            ),
        };
        text.push_str(&decode_shifted(message.encoding, first.shifts(), &octets).text);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_bounded_and_cannot_look_around() {
        assert!(
            TextPattern::from_text("(?i)casino|bet\\d+")
                .unwrap()
                .is_found_in("The CASINO")
        );
        for wrong in ["", "(", "(?=a)", "(a)\\1", "(\\w{500}){500}", &"x".repeat(1_001)] {
            assert_eq!(TextPattern::from_text(wrong), None, "{wrong}");
        }
    }
}
