//! Walks a parsed document, collects every problem and remembers where each key stands.
//!
//! serde stops at the first wrong value; this does not. Must not know any section.
//! Invariant: a value that cannot be used leaves a problem behind and its default in place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Code, Problem};
use crate::section::Check;
use crate::sources::Sources;
use crate::value::{Value, join};

/// Most keys that a message lists; the manual has the rest.
const LISTED: usize = 12;

/// Longest value that a message repeats.
const REPEATED: usize = 60;

/// Where a key and its value stand.
#[derive(Debug, Clone)]
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

/// The state of one walk.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    problems: Vec<Problem>,
    places: BTreeMap<String, Place>,
    path: String,
    /// Where values stand that hold something of the environment: never shown.
    from_environment: BTreeSet<usize>,
}

impl Reader {
    /// The problems found, in the order of the files and their texts.
    pub(crate) fn into_problems(mut self, sources: &Sources) -> Vec<Problem> {
        self.problems
            .sort_by(|a, b| (a.span.start, a.code, &a.message).cmp(&(b.span.start, b.code, &b.message)));
        for problem in &mut self.problems {
            if let Some((start, source)) = sources.locate(problem.span.start) {
                problem.place(start, &source.name, &source.text);
            }
        }
        self.problems
    }

    /// Notes that a value holds something of the environment.
    pub(crate) fn note_environment(&mut self, span: Range<usize>) {
        self.from_environment.insert(span.start);
    }

    fn is_from_environment(&self, at: &Spanned<DeValue<'_>>) -> bool {
        self.from_environment.contains(&at.span().start)
    }

    pub(crate) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// Whether the file has this key.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// A problem with the value of a key, else of what is around it.
    pub(crate) fn at_value(&mut self, code: Code, path: &str, message: String, help: Option<String>) {
        let span = self.place_of(path).map_or(0..0, |place| place.value.clone());
        self.report(code, span, message, help, true);
    }

    /// A problem with a key itself.
    pub(crate) fn at_key(&mut self, code: Code, path: &str, message: String, help: Option<String>) {
        let span = self.place_of(path).map_or(0..0, |place| place.key.clone());
        self.report(code, span, message, help, true);
    }

    /// A problem with a key whose value must not be shown.
    pub(crate) fn at_secret(&mut self, code: Code, path: &str, message: String, help: Option<String>) {
        let span = self.place_of(path).map_or(0..0, |place| place.key.clone());
        self.report(code, span, message, help, false);
    }

    fn place_of(&self, path: &str) -> Option<&Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(place);
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }

    /// A problem anywhere.
    pub(crate) fn report(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: String,
        help: Option<String>,
        show_source: bool,
    ) {
        self.problems.push(Problem {
            message,
            code,
            file: String::new(),
            line: 0,
            column: 0,
            span,
            help,
            show_source,
        });
    }

    /// Reads something one step further down.
    pub(crate) fn inside<T: Value>(
        &mut self,
        step: &str,
        key: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        read: impl FnOnce(&mut Self, &Spanned<DeValue<'_>>) -> Option<T>,
    ) -> Option<T> {
        let length = self.path.len();
        let step = if self.path.is_empty() {
            step.trim_start_matches('.')
        } else {
            step
        };
        self.path.push_str(step);
        self.places.insert(
            self.path.clone(),
            Place {
                key,
                value: value.span(),
            },
        );
        let found = read(self, value);
        self.path.truncate(length);
        found
    }

    /// One declared key of a table.
    pub(crate) fn field<T: Value>(
        &mut self,
        table: &DeTable<'_>,
        around: Range<usize>,
        name: &str,
        required: bool,
        check: Option<Check<T>>,
        target: &mut T,
    ) {
        let Some((key, value)) = table.get_key_value(name) else {
            if required {
                let message = format!("{} is missing", join(&self.path, name));
                self.report(
                    Code::MissingKey,
                    around,
                    message,
                    Some(format!("expected: {}", T::kind())),
                    true,
                );
            }
            return;
        };
        let found = self.inside(&format!(".{name}"), key.span(), value, |reader, at| {
            let before = reader.problem_count();
            let found = T::read(reader, at)?;
            // A list that lost a wrong item must not be judged as if it had been written so.
            let whole = reader.problem_count() == before;
            if let Some(check) = check.filter(|check| whole && !(check.test)(&found)) {
                let shown = if T::SECRET || reader.is_from_environment(at) {
                    "the value".to_owned()
                } else {
                    found.show()
                };
                reader.out_of_range(at, &shown, &check.text);
            }
            Some(found)
        });
        if let Some(found) = found {
            *target = found;
        }
    }

    /// The value as a table.
    pub(crate) fn table<'d, 'i>(&mut self, at: &'d Spanned<DeValue<'i>>) -> Option<&'d DeTable<'i>> {
        let table = at.get_ref().as_table();
        if table.is_none() {
            let message = format!(
                "{}: expected a table, found {}",
                self.path,
                at.get_ref().type_str()
            );
            self.report(
                Code::WrongType,
                at.span(),
                message,
                Some(format!("write [{}]", self.path)),
                false,
            );
        }
        table
    }

    /// Every key of the table must be one of these.
    pub(crate) fn refuse_unknown(&mut self, table: &DeTable<'_>, names: &[&str]) {
        for (key, _) in table
            .iter()
            .filter(|(key, _)| !names.contains(&key.get_ref().as_ref()))
        {
            let text = key.get_ref().as_ref();
            let message = format!("unknown key {}", join(&self.path, text));
            let help = nearest(text, names)
                .map(|name| format!("did you mean `{name}`?"))
                .or_else(|| (names.len() <= LISTED).then(|| format!("known keys: {}", names.join(", "))));
            self.report(Code::UnknownKey, key.span(), message, help, false);
        }
    }

    /// The value as text.
    pub(crate) fn text<'d, T: Value>(&mut self, at: &'d Spanned<DeValue<'_>>) -> Option<&'d str> {
        let text = at.get_ref().as_str();
        if text.is_none() {
            self.wrong_type::<T>(at);
        }
        text
    }

    /// The value as a whole number.
    pub(crate) fn integer<T: Value>(&mut self, at: &Spanned<DeValue<'_>>) -> Option<i128> {
        let Some(integer) = at.get_ref().as_integer() else {
            self.wrong_type::<T>(at);
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        if number.is_none() {
            self.out_of_range(at, integer.as_str(), "64 bits");
        }
        number
    }

    /// The value as a finite number.
    pub(crate) fn number<T: Value>(&mut self, at: &Spanned<DeValue<'_>>) -> Option<f64> {
        let text = match at.get_ref() {
            DeValue::Float(float) => Some(float.as_str()),
            DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str()),
            _ => None,
        };
        let Some(text) = text else {
            self.wrong_type::<T>(at);
            return None;
        };
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        if number.is_none() {
            self.out_of_range(at, text, "a finite number");
        }
        number
    }

    pub(crate) fn wrong_type<T: Value>(&mut self, at: &Spanned<DeValue<'_>>) {
        let found = at.get_ref().type_str();
        let message = format!("{}: expected {}, found {found}", self.path, T::kind());
        let quoted =
            matches!(at.get_ref(), DeValue::Integer(_) | DeValue::Float(_)) && T::kind().contains('"');
        let help = quoted.then(|| "write it as text with its unit, in quotes".to_owned());
        self.report(Code::WrongType, at.span(), message, help, !T::SECRET);
    }

    pub(crate) fn not_a<T: Value>(&mut self, at: &Spanned<DeValue<'_>>, text: &str) {
        // A URL may hold a password before `@` or a token after `?`.
        let repeat = !T::SECRET
            && text.len() <= REPEATED
            && !text.contains(['@', '?'])
            && !self.is_from_environment(at);
        let value = if repeat {
            format!("{text:?}")
        } else {
            "the value".to_owned()
        };
        let message = format!("{}: {value} is not valid, expected {}", self.path, T::kind());
        self.report(Code::BadValue, at.span(), message, None, !T::SECRET);
    }

    pub(crate) fn not_a_word(&mut self, at: &Spanned<DeValue<'_>>, text: &str, words: &[&str]) {
        let (code, help) = match text {
            "jetstream" => (
                Code::NotInThisVersion,
                Some("this version has \"embedded\" and \"memory\"".to_owned()),
            ),
            _ => (
                Code::BadValue,
                nearest(text, words).map(|word| format!("did you mean \"{word}\"?")),
            ),
        };
        let message = if code == Code::NotInThisVersion {
            format!("{}: \"{text}\" is not in this version", self.path)
        } else {
            let value = if text.len() <= REPEATED && !self.is_from_environment(at) {
                format!("{text:?}")
            } else {
                "the value".to_owned()
            };
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("{}: {value} is not one of {}", self.path, words.join(", "))
        };
        self.report(code, at.span(), message, help, true);
    }

    pub(crate) fn out_of_range(&mut self, at: &Spanned<DeValue<'_>>, shown: &str, range: &str) {
        let message = format!("{}: {shown} is not in its range: {range}", self.path);
        self.report(Code::OutOfRange, at.span(), message, None, true);
    }

    pub(crate) fn bad_name(&mut self, span: Range<usize>, text: &str, help: &str) {
        let message = format!("{}: {text:?} cannot be a name here", self.path);
        self.report(Code::BadValue, span, message, Some(help.to_owned()), false);
    }
}

/// The word that was probably meant.
pub(crate) fn nearest<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    words
        .iter()
        .map(|word| (strsim::damerau_levenshtein(text, word), *word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min()
        .map(|(_, word)| word)
}
