//! The manual has every key, said as the schema says it, and every code has its page.
//!
//! `SMSGW_BLESS=1 cargo test -p smsgw-config --test manual` writes the table anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fmt::Write as _;
use std::path::PathBuf;

use smsgw_config::{Code, json_schema, key_table};

const MARK: &str =
    "<!-- Everything below is written by `SMSGW_BLESS=1 cargo test -p smsgw-config --test manual`. -->\n";

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ops/docs")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn tables() -> String {
    let mut out = String::new();
    let mut section = None;
    for row in key_table() {
        let (path, key) = row.path.rsplit_once('.').unwrap_or(("", &row.path));
        if section.as_deref() != Some(path) {
            section = Some(path.to_owned());
            let title = if path.is_empty() {
                "(before all sections)".to_owned()
            } else if path.starts_with("route.") || ["sender", "price"].contains(&path) {
                format!("[[{path}]]")
            } else {
                format!("[{path}]")
            };
            write!(out, "\n## `{title}`\n\n| key | value | range | default | change | meaning |\n|---|---|---|---|---|---|\n").unwrap();
        }
        let default = if row.required {
            "required".to_owned()
        } else {
            format!("`{}`", row.default)
        };
        let (kind, range, default, doc) = (cell(&row.kind), cell(&row.range), cell(&default), cell(&row.doc));
        writeln!(
            out,
            "| `{key}` | {kind} | {range} | {default} | {} | {doc} |",
            row.impact
        )
        .unwrap();
    }
    out
}

#[test]
fn the_manual_says_what_the_schema_says() {
    let path = docs().join("configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (prose, written) = page.split_once(MARK).expect("the mark stands in the page");
    if std::env::var_os("SMSGW_BLESS").is_some() {
        std::fs::write(&path, format!("{prose}{MARK}{}", tables())).unwrap();
        return;
    }
    for row in tables().lines() {
        assert!(
            written.lines().any(|line| line == row),
            "configuration.md lacks: {row}"
        );
    }
    assert_eq!(written, tables(), "configuration.md says more than the schema");
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let folder = docs().join("errors");
    for code in Code::ALL {
        let page = std::fs::read_to_string(folder.join(format!("{code}.md")))
            .unwrap_or_else(|error| panic!("{code}: {error}"));
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
    }
    let pages = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for page in pages.filter(|name| name.starts_with("SMSGW-C")) {
        assert!(
            Code::ALL.iter().any(|code| page == format!("{code}.md")),
            "{page} belongs to no code"
        );
    }
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    let path = docs().join("config.schema.json");
    let schema = format!("{:#}\n", json_schema());
    if std::env::var_os("SMSGW_BLESS").is_some() {
        std::fs::write(&path, schema).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == schema,
        "write it anew: SMSGW_BLESS=1 cargo nextest run -p smsgw-config manual"
    );
}
