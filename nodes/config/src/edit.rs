//! Changes of single keys and sections in the text of a file, with its comments and layout kept.
//!
//! ```text
//! limits.max_parts                 a key
//! operator."a.b".window            a name that is not bare is quoted
//! route.mt[1].operators            one of a list, counted from 0 over all files
//! route.mt[+]                      a new one at the end
//! ```
//! Pure: texts go in, texts come out; whether they make sense is found when they are read as a configuration. Must not
//! know which key means what. Invariant: a file in which nothing is changed keeps every octet.

use std::fmt;

use serde::{Deserialize, Serialize};
use smsgw_config::key_table;
use thiserror::Error;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// What is to be done.
    pub act: EditAct,
    /// Of which key or section, as in the head of this module.
    pub path: String,
    /// The value: TOML, or text as it is for a key that takes text. Of `add`: lines of `key = value`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// In which file, as it is named in a version; absent: where the key or its section stands, else the main file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What is to be done with a key or a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditAct {
    /// Give a key this value, whether it is there or not.
    Set,
    /// A new section; it must not be there.
    Add,
    /// Take a key or section out; it must be there.
    Remove,
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {why}")]
pub struct EditError {
    /// Of which key.
    pub path: String,
    /// What is wrong, without the value.
    pub why: String,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
    Append,
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(n) => write!(f, "[{n}]"),
            Self::Append => f.write_str("[+]"),
        }
    }
}

/// Makes changes in the texts of files; the first is the main one. Gives the new texts, in the same order.
///
/// # Errors
/// The first change that cannot be made; then nothing is changed.
pub(crate) fn edited(files: &[(String, &str)], edits: &[Edit]) -> Result<Vec<String>, EditError> {
    let mut documents = Vec::new();
    for (name, text) in files {
        let document: DocumentMut = text.parse().map_err(|_| EditError {
            path: name.clone(),
            why: "the file is not TOML".to_owned(),
        })?;
        documents.push(document);
    }
    for edit in edits {
        let fault = |why: String| EditError {
            path: edit.path.clone(),
            why,
        };
        let path = segments(&edit.path).map_err(|why| fault(why.to_owned()))?;
        make(files, &mut documents, edit, &path).map_err(fault)?;
    }
    Ok(documents.iter().map(ToString::to_string).collect())
}

fn segments(path: &str) -> Result<Vec<Segment>, &'static str> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(from) = rest.strip_prefix('[') {
            let (inside, behind) = from.split_once(']').ok_or("a bracket is not closed")?;
            out.push(match inside {
                "+" => Segment::Append,
                number => Segment::Index(
                    number
                        .parse()
                        .map_err(|_| "between brackets stands a number or +")?,
                ),
            });
            rest = behind.strip_prefix('.').unwrap_or(behind);
        } else if let Some(from) = rest.strip_prefix('"') {
            let (key, behind) = from.split_once('"').ok_or("a quote is not closed")?;
            out.push(Segment::Key(key.to_owned()));
            rest = behind.strip_prefix('.').unwrap_or(behind);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, behind) = rest.split_at(end);
            if key.is_empty() {
                return Err("a name is empty");
            }
            out.push(Segment::Key(key.trim().to_owned()));
            rest = behind.strip_prefix('.').unwrap_or(behind);
        }
    }
    match out.first() {
        Some(Segment::Key(_)) => Ok(out),
        Some(Segment::Index(_) | Segment::Append) | None => {
            Err("it begins with the name of a section or key")
        }
    }
}

fn make(
    files: &[(String, &str)],
    documents: &mut [DocumentMut],
    edit: &Edit,
    path: &[Segment],
) -> Result<(), String> {
    let (mut path, file) = located(files, documents, edit, path)?;
    let document = documents.get_mut(file).ok_or("there is no such file")?;
    let last = path.pop().ok_or("it names nothing")?;
    match edit.act {
        EditAct::Set => {
            let value = value_of(edit)?;
            set(parent(document, &path, Some(&last))?, &last, value)
        }
        EditAct::Add => {
            let section: DocumentMut = edit
                .value
                .parse()
                .map_err(|_| "its keys are not lines of `key = value`".to_owned())?;
            add(parent(document, &path, Some(&last))?, &last, section.into_table())
        }
        EditAct::Remove => {
            remove(parent(document, &path, None)?, &last)?;
            prune(document.as_item_mut(), &path);
            Ok(())
        }
    }
}

/// In which file a change is made, and the path there: numbers of a list count from that file's first.
fn located(
    files: &[(String, &str)],
    documents: &[DocumentMut],
    edit: &Edit,
    path: &[Segment],
) -> Result<(Vec<Segment>, usize), String> {
    let mut path = path.to_vec();
    let wanted = match &edit.file {
        None => None,
        Some(name) => Some(
            files
                .iter()
                .position(|(there, _)| there == name)
                .ok_or_else(|| format!("the configuration has no file {name}"))?,
        ),
    };
    // A list of tables that is spread over files: the number says in which one.
    if let Some(at) = path
        .iter()
        .position(|segment| matches!(segment, Segment::Index(_)))
    {
        let (before, _) = path.split_at(at);
        let before = before.to_vec();
        if let Some(Segment::Index(number)) = path.get_mut(at) {
            let mut left = *number;
            for (file, document) in documents.iter().enumerate() {
                let here = find(document.as_item(), &before).map_or(0, tables);
                if left < here {
                    *number = left;
                    return Ok((path, file));
                }
                left -= here;
            }
        }
    }
    let depth = |document: &DocumentMut| {
        let there = |length: &usize| {
            let start = path.get(..*length).unwrap_or_default();
            find(document.as_item(), start).is_some_and(is_written)
        };
        (0..=path.len()).rev().find(there).unwrap_or(0)
    };
    let mut best = (0, 0);
    for (file, document) in documents.iter().enumerate() {
        let depth = depth(document);
        if depth > best.0 {
            best = (depth, file);
        }
    }
    Ok((path, wanted.unwrap_or(best.1)))
}

/// How many tables a list of tables has.
fn tables(item: &Item) -> usize {
    match item {
        Item::ArrayOfTables(tables) => tables.len(),
        Item::Value(Value::Array(array)) if array.iter().all(Value::is_inline_table) => array.len(),
        Item::Value(_) | Item::Table(_) | Item::None => 0,
    }
}

/// Whether it stands in the text itself, and not only as the first part of a longer name.
fn is_written(item: &Item) -> bool {
    match item {
        Item::Table(table) => !table.is_implicit(),
        Item::Value(_) | Item::ArrayOfTables(_) => true,
        Item::None => false,
    }
}

fn find<'a>(item: &'a Item, path: &[Segment]) -> Option<&'a Item> {
    path.iter().try_fold(item, |item, segment| match segment {
        Segment::Key(key) => item.as_table_like()?.get(key),
        Segment::Index(_) | Segment::Append => None,
    })
}

/// What a key is put into.
enum Place<'a> {
    Table(&'a mut dyn TableLike),
    Tables(&'a mut ArrayOfTables),
    Array(&'a mut toml_edit::Array),
}

/// Goes down a path; with the step that follows it, what is not there is made for it.
fn parent<'a>(
    document: &'a mut DocumentMut,
    path: &[Segment],
    create: Option<&Segment>,
) -> Result<Place<'a>, String> {
    let mut place = Place::Table(document.as_table_mut());
    for (n, segment) in path.iter().enumerate() {
        place = match (place, segment) {
            (Place::Table(table), Segment::Key(key)) => {
                if !table.contains_key(key) {
                    let next = create.ok_or_else(|| format!("there is no {key}"))?;
                    let is_last = n + 1 == path.len();
                    let fresh = match next {
                        Segment::Append if is_last => Item::ArrayOfTables(ArrayOfTables::new()),
                        Segment::Key(_) | Segment::Index(_) | Segment::Append => {
                            let mut fresh = Table::new();
                            // A section of which only sections follow needs no header.
                            fresh.set_implicit(true);
                            Item::Table(fresh)
                        }
                    };
                    table.insert(key, fresh);
                }
                match table.get_mut(key) {
                    Some(Item::ArrayOfTables(tables)) => Place::Tables(tables),
                    Some(Item::Value(Value::Array(array))) => Place::Array(array),
                    Some(item) => match item.as_table_like_mut() {
                        Some(table) => Place::Table(table),
                        None => return Err(format!("{key} is no section")),
                    },
                    None => return Err(format!("there is no {key}")),
                }
            }
            (Place::Tables(tables), Segment::Index(n)) => {
                let count = tables.len();
                let found = tables
                    .get_mut(*n)
                    .ok_or_else(|| format!("there are only {count}"))?;
                Place::Table(found)
            }
            (Place::Array(array), Segment::Index(n)) => {
                let count = array.len();
                let found = array.get_mut(*n).and_then(Value::as_inline_table_mut);
                Place::Table(found.ok_or_else(|| format!("there are only {count}, or it is no table"))?)
            }
            (Place::Table(_), Segment::Index(_) | Segment::Append) => {
                return Err(format!("{segment} follows what is no list"));
            }
            (Place::Tables(_) | Place::Array(_), Segment::Key(_) | Segment::Append) => {
                return Err(format!("{segment} follows a list: name one of it, as in [0]"));
            }
        };
    }
    Ok(place)
}

fn set(place: Place<'_>, last: &Segment, mut value: Value) -> Result<(), String> {
    match (place, last) {
        (Place::Table(table), Segment::Key(key)) => match table.get_mut(key) {
            Some(Item::Value(old)) => {
                // The blanks before the value, and the comment behind it, stay.
                *value.decor_mut() = old.decor().clone();
                *old = value;
                Ok(())
            }
            Some(Item::Table(_) | Item::ArrayOfTables(_)) => {
                Err("it is a section: set its keys one by one, or add one to a list with [+]".to_owned())
            }
            Some(Item::None) | None => {
                table.insert(key, Item::Value(value));
                Ok(())
            }
        },
        (Place::Tables(tables), Segment::Append) => {
            let table = value
                .into_table()
                .ok_or("a table belongs there: { key = value, … }")?;
            tables.push(table);
            Ok(())
        }
        (Place::Array(array), Segment::Append) => {
            array.push_formatted(value);
            Ok(())
        }
        (Place::Array(array), Segment::Index(n)) => {
            let old = array.get_mut(*n).ok_or("there is no such one")?;
            *value.decor_mut() = old.decor().clone();
            *old = value;
            Ok(())
        }
        (Place::Tables(_), Segment::Index(_)) => Err("it is a section: set its keys one by one".to_owned()),
        (Place::Table(_), Segment::Index(_) | Segment::Append) => {
            Err("it follows what is no list".to_owned())
        }
        (Place::Tables(_) | Place::Array(_), Segment::Key(_)) => {
            Err("it follows a list: name one of it, as in [0]".to_owned())
        }
    }
}

/// A value that became a table of its own.
trait IntoTable {
    fn into_table(self) -> Option<Table>;
}

impl IntoTable for Value {
    fn into_table(self) -> Option<Table> {
        match self {
            Self::InlineTable(table) => Some(InlineTable::into_table(table)),
            Self::String(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Boolean(_)
            | Self::Datetime(_)
            | Self::Array(_) => None,
        }
    }
}

fn add(place: Place<'_>, last: &Segment, mut section: Table) -> Result<(), String> {
    match (place, last) {
        (Place::Table(table), Segment::Key(key)) => {
            // `[operator.x.tls]` without `[operator.x]` makes the latter an implicit table: it is there too.
            if table.contains_key(key) {
                return Err("it is there already".to_owned());
            }
            section.set_implicit(false);
            section.decor_mut().set_prefix("\n");
            table.insert(key, Item::Table(section));
            Ok(())
        }
        (Place::Tables(tables), Segment::Append) => {
            section.decor_mut().set_prefix("\n");
            tables.push(section);
            Ok(())
        }
        (Place::Table(_), Segment::Append | Segment::Index(_))
        | (Place::Tables(_), Segment::Key(_) | Segment::Index(_))
        | (Place::Array(_), Segment::Key(_) | Segment::Index(_) | Segment::Append) => {
            Err("a section cannot be added there".to_owned())
        }
    }
}

fn remove(place: Place<'_>, last: &Segment) -> Result<(), String> {
    let gone = match (place, last) {
        (Place::Table(table), Segment::Key(key)) => table.remove(key).is_some(),
        (Place::Tables(tables), Segment::Index(n)) if *n < tables.len() => {
            tables.remove(*n);
            true
        }
        (Place::Array(array), Segment::Index(n)) if *n < array.len() => {
            array.remove(*n);
            true
        }
        (Place::Table(_), Segment::Index(_) | Segment::Append)
        | (Place::Tables(_) | Place::Array(_), Segment::Key(_) | Segment::Index(_) | Segment::Append) => {
            false
        }
    };
    if gone {
        Ok(())
    } else {
        Err("it is not there".to_owned())
    }
}

/// Takes empty lists and sections that only held what is gone out again.
fn prune(item: &mut Item, path: &[Segment]) {
    let Some((Segment::Key(key), rest)) = path.split_first() else {
        return;
    };
    let Some(table) = item.as_table_like_mut() else {
        return;
    };
    if let Some(inner) = table.get_mut(key) {
        prune(inner, rest);
        let is_empty = match inner {
            Item::ArrayOfTables(tables) => tables.is_empty(),
            Item::Table(table) => table.is_implicit() && table.is_empty(),
            Item::Value(_) | Item::None => false,
        };
        if is_empty {
            table.remove(key);
        }
    }
}

/// The value as TOML. What a person types for a key that takes text needs no quotes.
fn value_of(edit: &Edit) -> Result<Value, String> {
    let text = edit.value.trim();
    let quoted = text.starts_with(['"', '\'', '[', '{']);
    if !quoted && takes_text(&edit.path) {
        return Ok(Value::from(edit.value.as_str()));
    }
    text.parse::<Value>()
        .map(|mut value| {
            value.decor_mut().clear();
            value
        })
        // The parser's message would carry the value along, which may be a secret.
        .map_err(|_| "the value is not TOML: text stands in quotes".to_owned())
}

/// Whether the key of a path takes text, by the table of keys.
fn takes_text(path: &str) -> bool {
    let Ok(path) = segments(path) else {
        return false;
    };
    let keys: Vec<&String> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Key(key) => Some(key),
            Segment::Index(_) | Segment::Append => None,
        })
        .collect();
    let fits = |row: &str| {
        let row: Vec<&str> = row.split('.').collect();
        row.len() == keys.len()
            && row
                .iter()
                .zip(&keys)
                .all(|(row, key)| row.starts_with('<') || row == key)
    };
    let typed = ["integer", "number", "true | false", "list of", "table"];
    key_table()
        .iter()
        .find(|row| fits(&row.path))
        .is_some_and(|row| !typed.iter().any(|kind| row.kind.starts_with(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str =
        "# head\nkey = 1 # one\n\n[a]\nx = \"y\"   # why\n\n[[r.m]]\nn = 1\n[[r.m]]\nn = 2 # two\n";
    const OTHER: &str = "[[r.m]]\nn = 3\n\n[b.\"c.d\"]\nz = [1, 2]\ni = { k = 1 } # in line\n";

    fn edit(act: EditAct, path: &str, value: &str) -> Edit {
        Edit {
            act,
            path: path.to_owned(),
            value: value.to_owned(),
            file: None,
        }
    }

    fn made(edits: &[Edit]) -> Result<Vec<String>, String> {
        let files = [("main".to_owned(), MAIN), ("other".to_owned(), OTHER)];
        edited(&files, edits).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_changed_keeps_every_octet() {
        assert_eq!(made(&[]).unwrap(), [MAIN, OTHER]);
        for (path, value, in_main, from, to) in [
            ("key", "2", true, "key = 1 #", "key = 2 #"),
            ("a.x", "'z'", true, "x = \"y\"   #", "x = 'z'   #"),
            ("r.m[1].n", "9", true, "n = 2 # two", "n = 9 # two"),
            ("r.m[2].n", "9", false, "n = 3", "n = 9"),
            ("b.\"c.d\".z", "[3]", false, "z = [1, 2]", "z = [3]"),
            ("b.\"c.d\".z[1]", "7", false, "z = [1, 2]", "z = [1, 7]"),
            ("b.\"c.d\".i.k", "5", false, "{ k = 1 } # in", "{ k = 5 } # in"),
        ] {
            let texts = made(&[edit(EditAct::Set, path, value)]).unwrap();
            let wanted = match in_main {
                true => [MAIN.replace(from, to), OTHER.to_owned()],
                false => [MAIN.to_owned(), OTHER.replace(from, to)],
            };
            assert_eq!(texts, wanted, "{path}");
        }
    }

    #[test]
    fn what_comes_goes_where_it_belongs_and_what_goes_leaves_nothing_empty() {
        let mut new = edit(EditAct::Add, "b.e", "");
        new.file = Some("other".to_owned());
        let texts = made(&[new, edit(EditAct::Set, "b.e.q", "1")]).unwrap();
        assert_eq!(texts, [MAIN.to_owned(), format!("{OTHER}\n[b.e]\nq = 1\n")]);
        let gone: Vec<Edit> = (0..3).map(|_| edit(EditAct::Remove, "r.m[0]", "")).collect();
        let texts = made(&gone).unwrap();
        assert!(!texts.concat().contains("r.m"), "{texts:?}");
        assert_eq!(
            made(&[edit(EditAct::Remove, "a.x", "")]).unwrap()[0],
            MAIN.replace("x = \"y\"   # why\n", "")
        );
    }

    #[test]
    fn what_cannot_be_done_says_why_without_the_value() {
        for (act, path, value, why) in [
            (EditAct::Remove, "a.q", "", "not there"),
            (EditAct::Remove, "q.q", "", "there is no q"),
            (EditAct::Add, "a", "", "there already"),
            (EditAct::Set, "a", "{}", "section"),
            (EditAct::Set, "a.x.y", "1", "no section"),
            (EditAct::Set, "r.m[9].n", "1", "there are only 2"),
            (EditAct::Set, "r.m.n", "1", "name one of it"),
            (EditAct::Set, "a.x", "hush hush", "not TOML"),
            (EditAct::Set, "a..x", "1", "empty"),
            (EditAct::Set, "", "1", "begins"),
        ] {
            let error = made(&[edit(act, path, value)]).unwrap_err();
            assert!(error.contains(why) && !error.contains("hush"), "{path}: {error}");
        }
        let mut lost = edit(EditAct::Set, "key", "1");
        lost.file = Some("nowhere".to_owned());
        assert!(made(&[lost]).unwrap_err().contains("no file nowhere"));
    }
}
