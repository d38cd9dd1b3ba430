//! What a message may say: patterns that are denied, length in characters, encodings.
//!
//! Pure. Patterns were compiled when the configuration was read and take time linear in the text. A refusal never repeats
//! content. Invariant: a message without rules is not decoded.
//!
//! # Limits
//! Patterns see one message: of a long one that an SMPP client cut itself, each part is a message here. Octets that are not
//! text (`binary`) have no pattern and no length; `encodings` keeps them out where they are not wanted.

use smsgw_config::TextPattern;
use smsgw_message::text::decode_shifted;
use smsgw_message::{Encoding, MtMessage};
use std::borrow::Cow;

/// Why content is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// A pattern is found in it.
    Pattern,
    /// It has more characters than this.
    TooLong(u32),
    /// Its encoding is not allowed.
    Encoding,
}

/// The rules that hold for somebody.
#[derive(Debug, Default)]
pub(crate) struct ContentRules {
    deny: Vec<TextPattern>,
    max_chars: Option<u32>,
    encodings: Vec<Encoding>,
}

impl ContentRules {
    pub(crate) fn of(deny: &[TextPattern], max_chars: Option<u32>, encodings: &[Encoding]) -> Self {
        Self {
            deny: deny.to_vec(),
            max_chars,
            encodings: encodings.to_vec(),
        }
    }

    fn reads_text(&self) -> bool {
        !self.deny.is_empty() || self.max_chars.is_some()
    }

    /// Judges by several sets of rules; the text is decoded once, and only if one of them asks for it.
    pub(crate) fn judge_all(all: &[&Self], message: &MtMessage) -> Result<(), Denied> {
        let encoding = message.encoding;
        let not_allowed = |rules: &&Self| !rules.encodings.is_empty() && !rules.encodings.contains(&encoding);
        if all.iter().any(not_allowed) {
            return Err(Denied::Encoding);
        }
        if encoding == Encoding::Binary || !all.iter().any(|rules| rules.reads_text()) {
            return Ok(());
        }
        let text = text(message);
        for rules in all {
            if let Some(most) = rules.max_chars {
                let fits = usize::try_from(most).map_or(true, |most| text.chars().nth(most).is_none());
                if !fits {
                    return Err(Denied::TooLong(most));
                }
            }
            if rules.deny.iter().any(|pattern| pattern.is_found_in(&text)) {
                return Err(Denied::Pattern);
            }
        }
        Ok(())
    }
}

/// The text of all parts. Parts with the same national tables are read as one, so that nothing hides where they were cut.
pub(crate) fn text(message: &MtMessage) -> String {
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
    text
}
