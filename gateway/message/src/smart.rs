//! Smart encoding: typographic characters mapped to ones of the GSM default alphabet, on request.
//!
//! Word processors and telephone keyboards put curly quotes, dashes and no-break spaces into texts; one of them makes a
//! text of 160 septets one of 70 UTF-16 units. Here such a character becomes the plain one that means the same, and every
//! change is told. Knows no message and no client: who may ask for it is decided elsewhere.
//!
//! Invariants: SM-1, all or nothing: unless every character of the result is in the default alphabet, in no more parts
//! than before, nothing is changed, as the text goes out in UCS-2 anyway. SM-2, the changes, put back at their places, give the text that went in.
//! SM-3, a text that is in the default alphabet is not touched.
//!
//! # Limits
//! The order of right-to-left text is never changed: marks that override it (U+202D, U+202E) are not mapped. Characters
//! that mean something of their own (degree sign, superscript digits, arrows, other currencies) are not either.

mod table;

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

use crate::gsm7::DEFAULT;
use crate::segment::{PartCount, count_parts};
use crate::text::{Encoding, Requested};

/// How far the mapping may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strength {
    /// Quotes, dashes, spaces, ligatures, bullets, fractions, fullwidth forms; characters without width go, letters and
    /// their combining accents become one. No letter becomes another.
    #[default]
    Typography,
    /// Also letters that the default alphabet lacks, without their accents (`č` as `c`, `ł` as `l`), and Greek capitals
    /// that look like Latin ones. Words are still readable, but no longer spelled rightly.
    Accents,
}

impl Strength {
    /// Every strength, the weaker first.
    pub const ALL: [Self; 2] = [Self::Typography, Self::Accents];

    /// The word in configuration and APIs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Typography => "typography",
            Self::Accents => "accents",
        }
    }

    /// The strength of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strength| strength.as_str() == word)
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Place in the text that went in, counted in characters from 0.
    pub position: usize,
    /// What stood there: a character, with the combining marks that belong to it.
    pub from: String,
    /// What stands there now; empty when it was removed.
    pub to: String,
}

/// A text that was mapped. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Smart {
    /// The text, all of it in the default alphabet.
    pub text: String,
    /// What was changed, in order; at least one.
    pub changes: Vec<Change>,
    /// What it would have cost.
    pub before: PartCount,
    /// What it costs.
    pub after: PartCount,
}

impl Smart {
    /// Parts saved.
    #[must_use]
    pub const fn saved_parts(&self) -> usize {
        self.before.parts.saturating_sub(self.after.parts)
    }
}

impl fmt::Debug for Smart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smart")
            .field("changes", &self.changes.len())
            .field("before", &self.before)
            .field("after", &self.after)
            .finish()
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The text is in the default alphabet as it is.
    Plain,
    /// It is now.
    Mapped(Smart),
    /// It can be brought there, but takes more parts then: one character has become several too often. Nothing is
    /// changed.
    Dearer {
        /// What it costs as it is.
        before: PartCount,
        /// What it would cost.
        after: PartCount,
    },
    /// It cannot be brought there, so nothing is changed.
    Impossible {
        /// The first character that has no counterpart.
        character: char,
        /// Its place in the text, counted in characters from 0.
        position: usize,
    },
}

impl Outcome {
    /// The text to send: the mapped one, or the one that went in.
    #[must_use]
    pub fn text<'a>(&'a self, original: &'a str) -> &'a str {
        match self {
            Self::Mapped(smart) => &smart.text,
            Self::Plain | Self::Dearer { .. } | Self::Impossible { .. } => original,
        }
    }
}

/// Brings a text into the default alphabet, if that can be done for all of it.
#[must_use]
pub fn map(text: &str, strength: Strength) -> Outcome {
    if DEFAULT.count(text).is_ok() {
        return Outcome::Plain;
    }
    let mut mapped = String::with_capacity(text.len());
    let mut changes = Vec::new();
    let mut position = 0;
    let mut rest = text;
    while let Some(cluster) = first_cluster(rest) {
        let begin = mapped.len();
        if let Err(character) = map_cluster(cluster, strength, &mut mapped) {
            // A mark is told at the place of the letter it belongs to.
            return Outcome::Impossible { character, position };
        }
        let to = mapped.get(begin..).unwrap_or_default();
        if to != cluster {
            changes.push(Change {
                position,
                from: cluster.to_owned(),
                to: to.to_owned(),
            });
        }
        position += cluster.chars().count();
        rest = rest.get(cluster.len()..).unwrap_or_default();
    }
    let before = count_parts(text, Requested::Auto).expect("UCS-2 has every character");
    let after = count_parts(&mapped, Requested::Exactly(Encoding::Gsm7))
        .expect("every character was brought into the default alphabet");
    if after.parts > before.parts {
        return Outcome::Dearer { before, after };
    }
    Outcome::Mapped(Smart {
        text: mapped,
        changes,
        before,
        after,
    })
}

/// The first character with the marks behind it.
fn first_cluster(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    let end = text
        .char_indices()
        .skip(1)
        .find(|(_, character)| !is_combining_mark(*character))
        .map_or(text.len(), |(at, _)| at);
    text.get(..end.max(first.len_utf8()))
}

/// Appends what stands for a cluster, or gives the character that nothing stands for.
fn map_cluster(cluster: &str, strength: Strength, mapped: &mut String) -> Result<(), char> {
    for character in cluster.nfc() {
        if DEFAULT.code_of(character).is_some() {
            mapped.push(character);
        } else if let Some(plain) = table::fullwidth(character) {
            // The grave accent alone is not in the alphabet itself.
            match table::typography(plain) {
                Some(plain) => mapped.push_str(plain),
                None => mapped.push(plain),
            }
        } else if let Some(plain) = table::typography(character) {
            // "1½" is not 11/2.
            if table::is_fraction(character) && mapped.ends_with(|last: char| last.is_ascii_digit()) {
                mapped.push(' ');
            }
            mapped.push_str(plain);
        } else {
            match strength {
                Strength::Typography => return Err(character),
                Strength::Accents => map_letter(character, mapped)?,
            }
        }
    }
    Ok(())
}

/// Appends the letter without as many of its accents as needed.
fn map_letter(character: char, mapped: &mut String) -> Result<(), char> {
    if let Some(plain) = table::letter(character) {
        mapped.push_str(plain);
        return Ok(());
    }
    if is_combining_mark(character) {
        // Its letter could not take it; alone it shows nothing.
        return Ok(());
    }
    let mut parts = Vec::new();
    decompose_canonical(character, |part| parts.push(part));
    while parts.pop().is_some() {
        let mut composed = parts.iter().copied().nfc();
        if let (Some(letter), None) = (composed.next(), composed.next()) {
            if DEFAULT.code_of(letter).is_some() {
                mapped.push(letter);
                return Ok(());
            }
            if let Some(plain) = table::letter(letter) {
                mapped.push_str(plain);
                return Ok(());
            }
        }
    }
    Err(character)
}
