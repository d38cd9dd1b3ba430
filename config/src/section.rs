//! Declares a section of the file once: struct, defaults, reading, comparison and the row of each key for the manual.
//!
//! The doc comment of a field is the text of the manual, its default is the default, its check is the range: nothing
//! is written twice. Must not know any particular section.
//! Invariant: a key that is not declared in a `section!` is a problem, never ignored.

use crate::diff::Impact;

/// One key of the file, for the manual and for tests.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyInfo {
    /// Dotted path; `<id>` stands for a name the user chooses.
    pub path: String,
    /// What kind of value it takes, for people.
    pub kind: String,
    /// The values that are allowed, empty when the kind says it all.
    pub range: String,
    /// The default as it would stand in the file.
    pub default: String,
    /// Whether the key must be there.
    pub required: bool,
    /// Whether the value is secret.
    pub secret: bool,
    /// What a change of it costs while the gateway runs.
    pub impact: Impact,
    /// Meaning, in sentences.
    pub doc: String,
}

/// A condition on a value, with the words that name it.
pub(crate) struct Check<T> {
    pub(crate) text: String,
    pub(crate) test: Box<dyn Fn(&T) -> bool>,
}

/// Both ends included.
pub(crate) fn between<T: PartialOrd + crate::value::Value + 'static>(low: T, high: T) -> Check<T> {
    Check {
        text: format!("{} to {}", low.show(), high.show()),
        test: Box::new(move |value| *value >= low && *value <= high),
    }
}

/// The check holds for a value that is present.
pub(crate) fn if_set<T: 'static>(check: Check<T>) -> Check<Option<T>> {
    Check {
        text: check.text,
        test: Box::new(move |value| value.as_ref().is_none_or(|v| (check.test)(v))),
    }
}

/// A list or text that says something.
pub(crate) fn not_empty<T: IsEmpty>() -> Check<T> {
    Check {
        text: "not empty".to_owned(),
        test: Box::new(|value| !value.is_empty()),
    }
}

/// At most this many bytes, for text that has a fixed place in a protocol.
pub(crate) fn at_most_chars(most: usize) -> Check<String> {
    Check {
        text: format!("at most {most} characters"),
        test: Box::new(move |value| value.len() <= most),
    }
}

/// At most this many digits.
pub(crate) fn at_most_digits(most: usize) -> Check<crate::types::Digits> {
    Check {
        text: format!("at most {most} digits"),
        test: Box::new(move |digits| digits.as_str().len() <= most),
    }
}

/// What can be empty.
pub(crate) trait IsEmpty {
    fn is_empty(&self) -> bool;
}
impl IsEmpty for String {
    fn is_empty(&self) -> bool {
        self.as_str().is_empty()
    }
}
impl<T> IsEmpty for Vec<T> {
    fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

macro_rules! section {
    (@required required) => { true };
    (
        $(#[doc = $sdoc:literal])+
        $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident : $ty:ty = $default:expr, $impact:ident $([$flag:ident])? $(where $check:expr)?;
            )+
        }
    ) => {
        $(#[doc = $sdoc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $ty, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $crate::value::Value for $name {
            fn kind() -> String {
                "table".to_owned()
            }

            fn read(
                reader: &mut $crate::reader::Reader,
                at: &toml::Spanned<toml::de::DeValue<'_>>,
            ) -> Option<Self> {
                let table = reader.table(at)?;
                reader.refuse_unknown(table, &[$( stringify!($field) ),+]);
                let mut section = Self::default();
                $(
                    #[allow(unused_mut, unused_assignments, reason = "not every key has a check")]
                    let mut check: Option<$crate::section::Check<$ty>> = None;
                    $( check = Some($check); )?
                    let required = false $(|| section!(@required $flag))?;
                    reader.field(table, at.span(), stringify!($field), required, check, &mut section.$field);
                )+
                Some(section)
            }

            fn show(&self) -> String {
                "table".to_owned()
            }

            fn rows(prefix: &str, out: &mut Vec<$crate::section::KeyInfo>) {
                let defaults = Self::default();
                $(
                    #[allow(unused_mut, unused_assignments, reason = "not every key has a check")]
                    let mut check: Option<$crate::section::Check<$ty>> = None;
                    $( check = Some($check); )?
                    $crate::value::key_rows::<$ty>(
                        $crate::value::join(prefix, stringify!($field)),
                        &defaults.$field,
                        check.map(|c| c.text).unwrap_or_default(),
                        false $(|| section!(@required $flag))?,
                        $crate::diff::Impact::$impact,
                        concat!($($doc, "\n"),+),
                        out,
                    );
                )+
            }

            fn schema() -> serde_json::Value {
                let defaults = Self::default();
                let mut section = $crate::json_schema::Section::new();
                $(
                    #[allow(unused_mut, unused_assignments, reason = "not every key has a check")]
                    let mut check: Option<$crate::section::Check<$ty>> = None;
                    $( check = Some($check); )?
                    section.key::<$ty>(
                        stringify!($field),
                        &defaults.$field,
                        &check.map(|c| c.text).unwrap_or_default(),
                        false $(|| section!(@required $flag))?,
                        $crate::diff::Impact::$impact,
                        concat!($($doc, "\n"),+),
                    );
                )+
                section.finish()
            }

            fn differ(
                old: &Self,
                new: &Self,
                path: &str,
                _impact: $crate::diff::Impact,
                out: &mut Vec<$crate::diff::Change>,
            ) {
                $(
                    <$ty as $crate::value::Value>::differ(
                        &old.$field,
                        &new.$field,
                        &$crate::value::join(path, stringify!($field)),
                        $crate::diff::Impact::$impact,
                        out,
                    );
                )+
            }

            fn take(&mut self, other: &Self, path: &str, paths: &[String]) {
                $(
                    <$ty as $crate::value::Value>::take(
                        &mut self.$field,
                        &other.$field,
                        &$crate::value::join(path, stringify!($field)),
                        paths,
                    );
                )+
            }
        }
    };
}

/// An enum whose variants are words of the file.
macro_rules! words {
    (
        $(#[doc = $edoc:literal])+
        $name:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $word:literal, )+ }
    ) => {
        $(#[doc = $edoc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl $name {
            /// Every variant, in the order of the manual.
            pub const ALL: &[Self] = &[$( Self::$variant, )+];

            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )+
                }
            }

            /// The variant of a word of the file.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $( $word => Some(Self::$variant), )+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::value::Value for $name {
            fn kind() -> String {
                [$( concat!("\"", $word, "\"") ),+].join(" | ")
            }

            fn read(
                reader: &mut $crate::reader::Reader,
                at: &toml::Spanned<toml::de::DeValue<'_>>,
            ) -> Option<Self> {
                let word = reader.text::<Self>(at)?;
                let found = Self::from_word(word);
                if found.is_none() {
                    reader.not_a_word(at, word, &[$( $word ),+]);
                }
                found
            }

            fn show(&self) -> String {
                format!("\"{}\"", self.as_str())
            }
        }
    };
}
