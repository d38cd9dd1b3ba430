//! `${NAME}` in texts of the file: values from the environment of the process.
//!
//! ```text
//! ${NAME}            the value of NAME; a problem when NAME is not set
//! ${NAME:-default}   the default when NAME is not set or empty; it ends at the first `}`
//! $${                a literal `${`; any other `$` is itself
//! ```
//! Texts only: keys and numbers are as they stand. Must not read the environment itself: the caller gives a way to ask.
//! Invariant: a value from the environment is in no problem; what stands in the file is shown instead.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::Code;
use crate::reader::Reader;

/// Asks for the value of a name.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Plain(&'a str),
    /// `$${`
    Escaped,
    /// The name, the default, and all of it as it stands.
    Reference(&'a str, Option<&'a str>, &'a str),
    /// What begins as a reference and is none.
    Broken(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(plain) = before.strip_suffix('$') {
            out.push(Piece::Plain(plain));
            out.push(Piece::Escaped);
            rest = from.get(2..).unwrap_or_default();
            continue;
        }
        out.push(Piece::Plain(before));
        let Some(end) = from.find('}') else {
            out.push(Piece::Broken(from));
            return out;
        };
        let (whole, behind) = from.split_at(end + 1);
        let inner = whole.get(2..end).unwrap_or_default();
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        out.push(match is_name(name) {
            true => Piece::Reference(name, default, whole),
            false => Piece::Broken(whole),
        });
        rest = behind;
    }
    out.push(Piece::Plain(rest));
    out
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A text with what is known of its references; the rest stays as it stands.
pub(crate) fn expanded(text: &str, environment: &Environment<'_>) -> String {
    let mut out = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) | Piece::Broken(plain) => out.push_str(plain),
            Piece::Escaped => out.push_str("${"),
            Piece::Reference(name, default, whole) => {
                out.push_str(value(name, default, environment).as_deref().unwrap_or(whole));
            }
        }
    }
    out
}

fn value(name: &str, default: Option<&str>, environment: &Environment<'_>) -> Option<String> {
    match (environment(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Some(default.to_owned()),
        (Some(value), _) => Some(value),
        (None, default) => default.map(str::to_owned),
    }
}

/// Puts values into every text of a table. `source` is the text of the file, `start` its place.
pub(crate) fn expand(
    table: &mut DeTable<'_>,
    source: &str,
    start: usize,
    environment: &Environment<'_>,
    reader: &mut Reader,
) {
    for (_, value) in table.iter_mut() {
        expand_value(value, source, start, environment, reader);
    }
}

fn expand_value(
    value: &mut Spanned<DeValue<'_>>,
    source: &str,
    start: usize,
    environment: &Environment<'_>,
    reader: &mut Reader,
) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) if text.contains("${") => {
            let local = span.start.saturating_sub(start)..span.end.saturating_sub(start);
            report(
                text,
                source.get(local).unwrap_or_default(),
                span.start,
                environment,
                reader,
            );
            let expanded = expanded(text, environment);
            *text = expanded.into();
            reader.note_environment(span);
        }
        DeValue::Array(array) => {
            for item in array.iter_mut() {
                expand_value(item, source, start, environment, reader);
            }
        }
        DeValue::Table(table) => expand(table, source, start, environment, reader),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

/// Reports references that cannot be followed, each at its place in the text as it is written.
fn report(text: &str, written: &str, start: usize, environment: &Environment<'_>, reader: &mut Reader) {
    // Where the next reference is looked for: the same one may stand there twice.
    let mut from = 0;
    for piece in pieces(text) {
        let (whole, message, help) = match piece {
            Piece::Plain(_) => continue,
            Piece::Escaped => {
                from = place(written, "$${", from).end;
                continue;
            }
            Piece::Reference(name, default, whole) => {
                let at = place(written, whole, from);
                from = at.end;
                if value(name, default, environment).is_some() {
                    continue;
                }
                let help = format!("set it where the gateway is started, or write a default: ${{{name}:-…}}");
                reader.report(
                    Code::Environment,
                    at.start.saturating_add(start)..at.end.saturating_add(start),
                    format!("{name} is not set in the environment"),
                    Some(help),
                    true,
                );
                continue;
            }
            Piece::Broken(whole) => (
                whole,
                "`${` begins no name: letters, digits and `_` up to `}`",
                "write $${ for a literal ${",
            ),
        };
        let at = place(written, whole, from);
        from = at.end;
        // What stands behind may be a secret.
        reader.report(
            Code::Environment,
            at.start.saturating_add(start)..at.end.saturating_add(start),
            message.to_owned(),
            Some(help.to_owned()),
            false,
        );
    }
}

/// Where a piece stands in the text as it is written; all of it where escapes hide it.
fn place(written: &str, piece: &str, from: usize) -> Range<usize> {
    let found = written.get(from..).and_then(|rest| rest.find(piece));
    match found {
        Some(at) => from + at..from + at + piece.len(),
        None => 0..written.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded_with(text: &str) -> String {
        expanded(text, &|name| match name {
            "HOST" => Some("smsc".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn references_are_followed_and_all_other_dollars_stay() {
        for (text, expected) in [
            ("${HOST}:2775", "smsc:2775"),
            ("${HOST}${HOST}", "smscsmsc"),
            ("a$b$$c", "a$b$$c"),
            ("$argon2id$v=19$m=1$x", "$argon2id$v=19$m=1$x"),
            ("$${HOST}", "${HOST}"),
            ("$$${HOST}", "$${HOST}"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE:-x:-y}", "x:-y"),
            ("${NONE:-}", ""),
            ("${NONE}", "${NONE}"),
            ("${1A}", "${1A}"),
            ("${", "${"),
        ] {
            assert_eq!(expanded_with(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_no_reference() {
        assert_eq!(pieces("${a b}")[1], Piece::Broken("${a b}"));
        assert_eq!(pieces("x${A")[1], Piece::Broken("${A"));
        assert!(is_name("_A9") && !is_name("") && !is_name("A-B"));
    }
}
