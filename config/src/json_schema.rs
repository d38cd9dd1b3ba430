//! The schema of the file for editors and pipelines: JSON Schema, draft 2020-12.
//!
//! Made of what each type says of itself (`Value::kind`, the check of its key, its default), so that nothing is written
//! twice; committed as `ops/docs/config.schema.json`. Must not know any particular section.
//! Invariant: what [`crate::Config::parse`] takes, the schema takes; it refuses unknown keys, wrong types, words and ranges.
//!
//! # Limits
//! What must agree between keys (a route and its operator, a password and its file) only the gateway checks.

use serde_json::{Map, Value as Json, json};

use crate::diff::Impact;
use crate::schema::Config;
use crate::value::Value;

/// A text that holds a `${NAME}` may be anything.
const REFERENCE: &str = r"\$\{";

/// The schema of the whole file.
pub fn json_schema() -> Json {
    let mut schema = Config::schema();
    if let Some(object) = schema.as_object_mut() {
        object.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        object.insert("title".to_owned(), json!("Configuration of smsgw"));
    }
    schema
}

/// A section while its keys are told.
#[derive(Debug)]
pub(crate) struct Section {
    properties: Map<String, Json>,
    required: Vec<String>,
}

impl Section {
    pub(crate) fn new() -> Self {
        Self {
            properties: Map::new(),
            required: Vec::new(),
        }
    }

    /// One key: its type, its range in words, its default, what a change costs, its meaning.
    pub(crate) fn key<T: Value>(
        &mut self,
        name: &str,
        default: &T,
        range: &str,
        required: bool,
        impact: Impact,
        doc: &str,
    ) {
        let mut schema = T::schema();
        if required {
            self.required.push(name.to_owned());
        }
        if let Some(object) = schema.as_object_mut() {
            bound(object, range);
            let words: Vec<&str> = doc.split_whitespace().collect();
            object.insert("description".to_owned(), json!(words.join(" ")));
            let shown = default.show();
            let default = (!T::SECRET && !required).then(|| as_json(&shown)).flatten();
            if let Some(default) = default {
                object.insert("default".to_owned(), default);
            }
            if !object.contains_key("properties") {
                object.insert("x-change".to_owned(), json!(impact.as_str()));
            }
        }
        self.properties.insert(name.to_owned(), schema);
    }

    pub(crate) fn finish(self) -> Json {
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if let Some(object) = schema.as_object_mut().filter(|_| !self.required.is_empty()) {
            object.insert("required".to_owned(), json!(self.required));
        }
        schema
    }
}

/// What the words of a check say, as far as a schema can say it.
fn bound(schema: &mut Map<String, Json>, range: &str) {
    let is = |schema: &Map<String, Json>, kinds: &[&str]| {
        schema
            .get("type")
            .and_then(Json::as_str)
            .is_some_and(|kind| kinds.contains(&kind))
    };
    if range == "not empty" {
        if is(schema, &["array"]) {
            schema.insert("minItems".to_owned(), json!(1));
        } else if is(schema, &["string"]) {
            schema.insert("minLength".to_owned(), json!(1));
        }
    }
    if let Some((low, high)) = range
        .split_once(" to ")
        .filter(|_| is(schema, &["integer", "number"]))
    {
        for (name, bound) in [("minimum", low), ("maximum", high)] {
            if let Some(bound) = as_json(bound).filter(Json::is_number) {
                schema.insert(name.to_owned(), bound);
            }
        }
    }
}

/// A value as it stands in the file, as JSON; `None` for what is absent or has no such form.
fn as_json(shown: &str) -> Option<Json> {
    fn of(value: toml::Value) -> Json {
        match value {
            toml::Value::String(text) => json!(text),
            toml::Value::Integer(number) => json!(number),
            toml::Value::Float(number) => json!(number),
            toml::Value::Boolean(yes) => json!(yes),
            toml::Value::Datetime(time) => json!(time.to_string()),
            toml::Value::Array(items) => Json::Array(items.into_iter().map(of).collect()),
            toml::Value::Table(table) => {
                Json::Object(table.into_iter().map(|(key, value)| (key, of(value))).collect())
            }
        }
    }
    let table: toml::Table = toml::from_str(&format!("value = {shown}")).ok()?;
    table.into_iter().next().map(|(_, value)| of(value))
}

/// The schema of a text of this kind.
pub(crate) fn of_kind(kind: &str) -> Json {
    let words: Vec<&str> = kind.split(" | ").collect();
    let word = |word: &&str| {
        let inner = word.strip_prefix('"')?.strip_suffix('"')?;
        (!inner.contains([':', '"'])).then(|| inner.to_owned())
    };
    if let Some(words) = words.iter().map(word).collect::<Option<Vec<String>>>() {
        return json!({ "type": "string", "anyOf": [{ "enum": words }, { "pattern": REFERENCE }] });
    }
    let pattern = [
        ("time such as \"30s\", ", r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$"),
        ("size such as", r"^[0-9]+ *(TiB|GiB|MiB|KiB|GB|MB|kB|B)$"),
        ("digits", "^[0-9]+$"),
        ("\"host:port\"", r"^.+:[0-9]+$"),
        ("http or https URL", "^[hH][tT][tT][pP][sS]?://"),
        ("three capital letters", "^[A-Z]{3}$"),
    ]
    .into_iter()
    .find(|(start, _)| kind.starts_with(start));
    match pattern {
        Some((_, pattern)) => json!({ "type": "string", "pattern": format!("{pattern}|{REFERENCE}") }),
        None => json!({ "type": "string" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_forms_become_what_a_schema_can_say() {
        assert_eq!(of_kind("\"a\" | \"b\"")["anyOf"][0]["enum"], json!(["a", "b"]));
        assert_eq!(
            of_kind("\"resubmit\" | \"wait:30s\""),
            json!({ "type": "string" })
        );
        assert!(of_kind("digits")["pattern"].is_string());
        assert_eq!(as_json("[\"a\", 1]"), Some(json!(["a", 1])));
        assert_eq!((as_json("absent"), as_json("table")), (None, None));
    }

    #[test]
    fn every_key_is_there_with_its_meaning() {
        let schema = json_schema();
        let window = &schema["properties"]["operator"]["additionalProperties"]["properties"]["window"];
        assert_eq!(window["type"], "integer");
        assert_eq!(
            (&window["minimum"], &window["x-change"]),
            (&json!(1), &json!("relink"))
        );
        assert!(
            window["description"]
                .as_str()
                .is_some_and(|text| text.contains("Since"))
        );
        assert_eq!(schema["required"], json!(["node"]));
        let routes = &schema["properties"]["route"]["properties"]["mt"];
        assert_eq!(
            (&routes["type"], &routes["items"]["type"]),
            (&json!("array"), &json!("object"))
        );
    }
}
