//! Finds a value in a message of the carrier: by JSON pointer, path of XML, regular expression, parameter or header.
//!
//! Pure. Invariant: any octets at all give a value or none; the work is linear in their number.
//!
//! # Limits
//! XML is walked, not checked: no namespaces (a prefix is passed over), no entities but the five of the standard and numbers; the
//! first element on the path is taken.

use hyper::HeaderMap;
use regex::Regex;
use smsgw_config::Picker;
use std::borrow::Cow;

/// A message of the carrier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
}

/// The value; none is empty.
pub(super) fn pick(picker: &Picker, from: Source<'_>) -> Option<String> {
    let found = match picker {
        Picker::Json(pointer) => json(pointer, from.body),
        Picker::Xml(path) => xml(path, &String::from_utf8_lossy(from.body)),
        Picker::Regex(pattern) => {
            let text = String::from_utf8_lossy(from.body);
            // It was compiled when the configuration was read.
            let groups = Regex::new(pattern.as_str()).ok()?.captures(&text)?;
            groups.get(1).map(|group| group.as_str().to_owned())
        }
        Picker::Param(name) => [from.query.as_bytes(), from.body]
            .into_iter()
            .flat_map(|pairs| url::form_urlencoded::parse(pairs))
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned()),
        Picker::Header(name) => from
            .headers
            .get(name.as_str())
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
    };
    found.filter(|value| !value.is_empty())
}

fn json(pointer: &str, body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    match value.pointer(pointer)? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(word) => Some(word.to_string()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    }
}

fn xml(path: &str, text: &str) -> Option<String> {
    let mut wanted: Vec<&str> = path.split('/').skip(1).collect();
    let attribute = wanted
        .pop_if(|last| last.starts_with('@'))
        .and_then(|name| name.strip_prefix('@'));
    // Depth, and how many of the names on the way here were wanted ones.
    let (mut depth, mut on_path) = (0_usize, 0_usize);
    let (mut rest, mut value, mut inside) = (text, String::new(), false);
    while let Some((before, behind)) = rest.split_once('<') {
        if inside {
            value.push_str(&unescaped(before));
        }
        if let Some(behind) = behind.strip_prefix("!--") {
            rest = behind.split_once("-->")?.1;
            continue;
        }
        if let Some(behind) = behind.strip_prefix("![CDATA[") {
            let (data, behind) = behind.split_once("]]>")?;
            if inside {
                value.push_str(data);
            }
            rest = behind;
            continue;
        }
        let (tag, behind) = split_tag(behind)?;
        rest = behind;
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if tag.starts_with('/') {
            if inside && depth == wanted.len() {
                return Some(value.trim().to_owned());
            }
            on_path = on_path.min(depth.saturating_sub(1));
            depth = depth.saturating_sub(1);
            continue;
        }
        let (tag, is_empty) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        if on_path == depth && wanted.get(depth) == Some(&local(name)) {
            if depth.saturating_add(1) == wanted.len() {
                match attribute {
                    Some(attribute) => {
                        if let Some(found) = attribute_of(attributes, attribute) {
                            return Some(found);
                        }
                    }
                    None if is_empty => return None,
                    None => inside = true,
                }
            }
            if !is_empty {
                on_path = on_path.saturating_add(1);
            }
        }
        if !is_empty {
            depth = depth.saturating_add(1);
        }
    }
    None
}

/// Up to the `>` that is not in quotes.
fn split_tag(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '>') => return Some((text.get(..at)?, text.get(at.saturating_add(1)..)?)),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None | Some(_), _) => {}
        }
    }
    None
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn attribute_of(mut text: &str, wanted: &str) -> Option<String> {
    while let Some((name, behind)) = text.split_once('=') {
        let behind = behind.trim_start();
        let quote = behind
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, rest) = behind.strip_prefix(quote)?.split_once(quote)?;
        if local(name.trim()) == wanted {
            return Some(unescaped(value).into_owned());
        }
        text = rest;
    }
    None
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let read = behind
            .split_once(';')
            .and_then(|(name, behind)| Some((entity(name)?, behind)));
        match read {
            Some((character, behind)) => {
                out.push(character);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn entity(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        other => match other.strip_prefix("#x") {
            Some(digits) => number(digits, 16),
            None => number(other.strip_prefix('#')?, 10),
        },
    }
}
