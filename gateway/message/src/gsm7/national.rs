//! National languages: their identifiers (3GPP TS 23.038 §6.2.1.2.4), sets of them, and which of their tables a text uses.
//!
//! Knows no table and no header: `locking` and `single` hold the characters, `udh` reads and writes the elements.

use std::fmt;

/// A language with tables of its own. The order is that of the identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// 0x01.
    Turkish,
    /// 0x02: single shift only.
    Spanish,
    /// 0x03.
    Portuguese,
    /// 0x04, with Assamese.
    Bengali,
    /// 0x05.
    Gujarati,
    /// 0x06.
    Hindi,
    /// 0x07.
    Kannada,
    /// 0x08.
    Malayalam,
    /// 0x09.
    Oriya,
    /// 0x0A.
    Punjabi,
    /// 0x0B.
    Tamil,
    /// 0x0C.
    Telugu,
    /// 0x0D.
    Urdu,
}

impl Language {
    /// Every language, by identifier.
    pub const ALL: [Self; 13] = [
        Self::Turkish,
        Self::Spanish,
        Self::Portuguese,
        Self::Bengali,
        Self::Gujarati,
        Self::Hindi,
        Self::Kannada,
        Self::Malayalam,
        Self::Oriya,
        Self::Punjabi,
        Self::Tamil,
        Self::Telugu,
        Self::Urdu,
    ];

    /// The national language identifier, as the elements 0x24 and 0x25 of a header carry it.
    #[must_use]
    pub const fn identifier(self) -> u8 {
        match self {
            Self::Turkish => 0x01,
            Self::Spanish => 0x02,
            Self::Portuguese => 0x03,
            Self::Bengali => 0x04,
            Self::Gujarati => 0x05,
            Self::Hindi => 0x06,
            Self::Kannada => 0x07,
            Self::Malayalam => 0x08,
            Self::Oriya => 0x09,
            Self::Punjabi => 0x0A,
            Self::Tamil => 0x0B,
            Self::Telugu => 0x0C,
            Self::Urdu => 0x0D,
        }
    }

    /// The language of an identifier; `None` for reserved ones.
    #[must_use]
    pub fn from_identifier(identifier: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.identifier() == identifier)
    }

    /// The word in configuration and APIs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Turkish => "turkish",
            Self::Spanish => "spanish",
            Self::Portuguese => "portuguese",
            Self::Bengali => "bengali",
            Self::Gujarati => "gujarati",
            Self::Hindi => "hindi",
            Self::Kannada => "kannada",
            Self::Malayalam => "malayalam",
            Self::Oriya => "oriya",
            Self::Punjabi => "punjabi",
            Self::Tamil => "tamil",
            Self::Telugu => "telugu",
            Self::Urdu => "urdu",
        }
    }

    /// The language of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == word)
    }

    const fn bit(self) -> u16 {
        1 << self.identifier()
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of languages: those whose tables the receiving phones are known to have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Languages(u16);

impl Languages {
    /// None: only what every phone has.
    pub const NONE: Self = Self(0);

    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Language::ALL.into_iter().collect()
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, language: Language) -> Self {
        Self(self.0 | language.bit())
    }

    /// Whether it is in the set.
    #[must_use]
    pub const fn contains(self, language: Language) -> bool {
        self.0 & language.bit() != 0
    }

    /// Whether there is none in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in the set, by identifier.
    pub fn iter(self) -> impl Iterator<Item = Language> {
        Language::ALL
            .into_iter()
            .filter(move |language| self.contains(*language))
    }
}

impl FromIterator<Language> for Languages {
    fn from_iter<T: IntoIterator<Item = Language>>(languages: T) -> Self {
        languages.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The tables a GSM 7-bit body is written with, where they are not those that every phone has. The header of each part
/// says so: element 0x25 for the locking shift, 0x24 for the single shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shifts {
    /// In place of the default alphabet. Spanish has no such table and changes nothing.
    pub locking: Option<Language>,
    /// In place of the extension table behind the escape.
    pub single: Option<Language>,
}

impl Shifts {
    /// The default alphabet and its extension table.
    pub const NONE: Self = Self {
        locking: None,
        single: None,
    };

    /// Whether the body is written with what every phone has.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.locking.is_none() && self.single.is_none()
    }

    /// Octets the elements take in a header, three each; the length octet of the header is not among them.
    #[must_use]
    pub const fn element_octets(self) -> usize {
        let locking = if self.locking.is_some() { 3 } else { 0 };
        let single = if self.single.is_some() { 3 } else { 0 };
        locking + single
    }

    /// Octets of a header that has nothing else, its length octet included; 0 when there is none.
    #[must_use]
    pub const fn header_octets(self) -> usize {
        match self.element_octets() {
            0 => 0,
            elements => 1 + elements,
        }
    }
}
