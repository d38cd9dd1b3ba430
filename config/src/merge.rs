//! Several files as one document: tables are joined, `[[lists]]` of tables appended in the order of the files.
//!
//! Must not know what a key means. Invariant: no value of a file is dropped silently; a key that stands in two files is a
//! problem that names both places.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::env::{self, Environment};
use crate::problem::Code;
use crate::reader::Reader;
use crate::sources::Sources;
use crate::value::join;

/// The document of all files; `None` after a problem of syntax was reported.
pub(crate) fn document<'s>(
    sources: &'s Sources,
    environment: &Environment<'_>,
    reader: &mut Reader,
) -> Option<Spanned<DeValue<'s>>> {
    let mut whole: Option<DeTable<'s>> = None;
    let mut broken = false;
    for (start, source) in sources.starts() {
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            // The parser's message names what it expected; its `Display` would print the line as well.
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            let span = span.start.saturating_add(start)..span.end.saturating_add(start);
            reader.report(Code::Syntax, span, message, None, false);
        }
        // What the parser made of a broken text would only lead to problems that are not there.
        broken |= !errors.is_empty();
        if broken {
            continue;
        }
        let mut table = shifted(document.into_inner(), start);
        env::expand(&mut table, &source.text, start, environment, reader);
        match &mut whole {
            None => whole = Some(table),
            Some(whole) => {
                take_include(&mut table, reader);
                merge(whole, table, "", sources, reader);
            }
        }
    }
    let whole = whole.filter(|_| !broken)?;
    Some(Spanned::new(0..0, DeValue::Table(whole)))
}

/// The `include` list of an included file was followed; of the main file it stays, as any other key.
fn take_include(table: &mut DeTable<'_>, reader: &mut Reader) {
    let Some(include) = table.remove("include") else {
        return;
    };
    let is_list = include
        .get_ref()
        .as_array()
        .is_some_and(|items| items.iter().all(|item| item.get_ref().is_str()));
    if !is_list {
        let message = format!(
            "include: expected list of text, found {}",
            include.get_ref().type_str()
        );
        reader.report(Code::WrongType, include.span(), message, None, true);
    }
}

fn merge<'s>(into: &mut DeTable<'s>, from: DeTable<'s>, path: &str, sources: &Sources, reader: &mut Reader) {
    for (key, value) in from {
        let Some((there, _)) = into.get_key_value(key.get_ref().as_ref()) else {
            into.insert(key, value);
            continue;
        };
        let (first, here) = (there.span().start, key.span());
        let path = join(path, key.get_ref());
        let Some(old) = into.get_mut(key.get_ref().as_ref()) else {
            continue;
        };
        match (old.get_mut(), value.into_inner()) {
            (DeValue::Table(old), DeValue::Table(new)) => merge(old, new, &path, sources, reader),
            (DeValue::Array(old), DeValue::Array(new)) if is_of_tables(old) && is_of_tables(&new) => {
                for item in new {
                    old.push(item);
                }
            }
            (_, _) => {
                let message = format!("{path} stands in two files, first at {}", sources.describe(first));
                let help = "keep it in one of them".to_owned();
                reader.report(Code::DefinedTwice, here, message, Some(help), false);
            }
        }
    }
}

fn is_of_tables(array: &DeArray<'_>) -> bool {
    !array.is_empty() && array.iter().all(|item| item.get_ref().is_table())
}

/// The same table, its places counted from `by`.
fn shifted(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    if by == 0 {
        return table;
    }
    let mut out = DeTable::new();
    for (key, value) in table {
        let span = key.span();
        let key = Spanned::new(
            span.start.saturating_add(by)..span.end.saturating_add(by),
            key.into_inner(),
        );
        out.insert(key, shifted_value(value, by));
    }
    out
}

fn shifted_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted(table, by)),
        DeValue::Array(array) => {
            let mut out = DeArray::new();
            for item in array {
                out.push(shifted_value(item, by));
            }
            DeValue::Array(out)
        }
        other @ (DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)) => other,
    };
    Spanned::new(span.start.saturating_add(by)..span.end.saturating_add(by), inner)
}
