//! Which lines of a configuration file may be shown to people.
//!
//! Invariant: the value of a secret key, or of a key we do not know, never leaves this module.
//!
//! # Limits
//! It sees one line. A line inside a secret of several lines that looks like a key of its own is not recognised as
//! secret when the text around it is not TOML; write such secrets to a `password_file`.

use crate::schema::key_table;

/// The line as it may be shown, without its comment. With `show_value` the line belongs to a value that was read and is no secret; without
/// it, only values of known keys that are no secrets are kept.
pub fn masked_line(line: &str, show_value: bool) -> String {
    // What stands in a comment is nobody's value: it may be anything, also a secret that was put aside.
    let line = without_comment(line);
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return String::new();
    }
    let table = key_table();
    let leaf = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let secrets: Vec<String> = table
        .iter()
        .filter(|row| row.secret)
        .map(|row| leaf(&row.path))
        .collect();
    let Some((left, right)) = line.split_once('=') else {
        // A header says only names; anything else may be a part of a longer value.
        let header = trimmed.starts_with('[') && trimmed.ends_with(']') && !trimmed.contains(['"', '\'']);
        return if header || show_value {
            line.to_owned()
        } else {
            "***".to_owned()
        };
    };
    let key = leaf(left.trim()).trim_matches(['"', '\'', ' ']).to_owned();
    // A URL may hold a password before `@` or a token after `?`.
    let url = right.contains("://") && right.contains(['@', '?']);
    let secret_inside = secrets
        .iter()
        .any(|name| line.contains(name.as_str()) && !is_file_key(line, name));
    let known = table.iter().any(|row| leaf(&row.path) == key);
    // Where the text is broken a second `=` may belong to a secret whose key was damaged …
    let plain = known && !right.contains('=');
    // … and a name that ends as one of a secret does may be what is left of that.
    let cut = secrets.iter().any(|name| !key.is_empty() && name.ends_with(&key));
    if !url && !secret_inside && !cut && (plain || show_value) {
        return line.to_owned();
    }
    let name_like = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || matches!(c, '_' | '-' | '.');
    if left.chars().all(name_like) {
        format!("{left}= ***")
    } else {
        "***".to_owned()
    }
}

/// The line up to its comment, the spaces before it cut as well.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match quote {
            None if c == '#' => return line.get(..at).unwrap_or_default().trim_end(),
            None => quote = matches!(c, '"' | '\'').then_some(c),
            Some(_) if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
        }
    }
    line.trim_end()
}

/// `password_file` contains `password` and is no secret.
fn is_file_key(line: &str, name: &str) -> bool {
    line.matches(name).count() == line.matches(&format!("{name}_file")).count()
}
