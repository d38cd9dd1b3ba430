//! What requests look like, and the events of inboxes and callbacks; the components of the document.
//!
//! A message's fields are read by hand (`http::body`), so they are described by hand here; a test holds the two together.
//!
//! # Limits
//! A schema cannot say everything: whether a text fits its encoding, whether a route leads to a number. Such requests are
//! 422 although they look right.

use crate::http::account::{BalanceView, LimitsView};
use crate::http::batch::{BatchView, BatchesView, ResultsView};
use crate::http::body::FIELDS;
use crate::http::inbox::{AcknowledgedView, PageView};
use crate::http::messages::{Accepted, Withdrawn};
use crate::http::optouts::OptOutView;
use crate::http::preview::Preview;
use crate::http::search;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{Components, RefOr, Schema};

/// An event for a client: what a callback posts and an inbox gives.
#[derive(ToSchema)]
#[schema(as = Event)]
#[expect(
    dead_code,
    reason = "the document is written by smsgw_message::document; this is its shape"
)]
pub(crate) struct EventDocument {
    /// `report`: a message changed its state. `mo`: a phone wrote.
    r#type: String,
    /// The event's own id: the same whenever it is given.
    #[schema(format = "uuid")]
    id: String,
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// What happened: with `report` the message and its state, with `mo` the text and where it came from.
    #[schema(value_type = Object)]
    message: (),
}

/// A problem document (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "http::problem writes it; this is its shape")]
struct ProblemDocument {
    r#type: String,
    /// The status in words.
    title: String,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// Never changes its meaning: decide by it.
    code: String,
    /// For people.
    detail: String,
    /// The field that is to blame.
    #[schema(required = false)]
    field: String,
}

/// The schemas of all requests and answers.
pub(crate) fn components(components: Components) -> Components {
    let mut schemas = Vec::new();
    add::<ProblemDocument>(&mut schemas);
    add::<EventDocument>(&mut schemas);
    add::<Accepted<'_>>(&mut schemas);
    add::<Withdrawn>(&mut schemas);
    add::<Preview<'_>>(&mut schemas);
    add::<search::Page<'_>>(&mut schemas);
    add::<BalanceView>(&mut schemas);
    add::<LimitsView>(&mut schemas);
    add::<BatchView>(&mut schemas);
    add::<BatchesView>(&mut schemas);
    add::<ResultsView>(&mut schemas);
    add::<PageView>(&mut schemas);
    add::<AcknowledgedView>(&mut schemas);
    add::<OptOutView>(&mut schemas);
    let mut builder = utoipa::openapi::ComponentsBuilder::from(components).schemas_from_iter(schemas);
    for (name, schema) in [
        ("MessageRequest", object(None)),
        ("BatchRequest", object(Some(recipients()))),
        ("OptOutRequest", opt_out()),
    ] {
        builder = builder.schema(name, read(schema));
    }
    builder.build()
}

/// A type and all that it is made of.
fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

fn read(schema: Value) -> RefOr<Schema> {
    RefOr::T(serde_json::from_value(schema).expect("a schema that a test has read"))
}

fn recipients() -> Value {
    json!({
        "type": "array", "minItems": 1, "items": {"type": "string", "maxLength": 200},
        "description": "The phones, international; `limits.batch_max` at most. Each that cannot be one is refused by itself."
    })
}

/// What may be said of an opt-out.
fn opt_out() -> Value {
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {"expires_at": {
            "type": ["string", "null"], "format": "date-time",
            "description": "When it ends by itself (RFC 3339), ahead; absent: when it is deleted."
        }}
    })
}

/// The request for a message, or for one to many.
fn object(to: Option<Value>) -> Value {
    let mut properties = serde_json::Map::new();
    for field in FIELDS {
        properties.insert(field.to_owned(), property(field));
    }
    if let Some(to) = to {
        properties.insert("to".to_owned(), to);
    }
    json!({
        "type": "object", "required": ["to"], "properties": properties, "additionalProperties": false,
        "description": "One of `text` and `binary` is required. `null` is the same as absent."
    })
}

/// One field of a message.
fn property(field: &str) -> Value {
    let text = |what: &str| json!({"type": ["string", "null"], "description": what});
    let word = |words: &[&str], what: &str| {
        let words: Vec<Value> = words
            .iter()
            .map(|word| json!(word))
            .chain([Value::Null])
            .collect();
        json!({"type": ["string", "null"], "enum": words, "description": what})
    };
    let number = |least: u32, most: u32, what: &str| json!({"type": ["integer", "null"], "minimum": least, "maximum": most, "description": what});
    let flag = |what: &str| json!({"type": ["boolean", "null"], "description": what});
    let with = |mut schema: Value, name: &str, value: Value| {
        if let Value::Object(fields) = &mut schema {
            fields.insert(name.to_owned(), value);
        }
        schema
    };
    let hex = "^([0-9a-fA-F]{2})*$";
    match field {
        "to" => {
            json!({"type": "string", "pattern": "^(\\+|00)?[1-9][0-9]{4,14}$", "description": "The phone, international."})
        }
        "from" => with(
            text("Sender: digits, or a name of at most 11 characters."),
            "maxLength",
            json!(21),
        ),
        "text" => text("The message."),
        "binary" => with(
            text("Content that is not text, in hexadecimal."),
            "pattern",
            json!(hex),
        ),
        "udh" => with(
            text("User data header with its length octet, in hexadecimal."),
            "pattern",
            json!(hex),
        ),
        "encoding" => word(
            &["auto", "gsm7", "latin1", "ucs2", "binary"],
            "How the text is written.",
        ),
        "class" => word(&["otp", "transactional", "bulk"], "What goes first in queues."),
        "report" => word(&["none", "final", "all"], "Which changes of state are reported."),
        "callback" => with(
            text("Where reports of this message go: a URL with http or https."),
            "maxLength",
            json!(2048),
        ),
        "reference" => with(text("Your name for the message."), "maxLength", json!(255)),
        "validity" => with(
            text("Not sent after this time: `30s`, `10m`, `1h30m`, `2d`."),
            "pattern",
            json!("^([0-9]+(ms|s|m|h|d))+$"),
        ),
        "max_parts" => number(1, u32::MAX, "More parts than this are refused."),
        "flash" => flag("Shown at once and not kept: message class 0."),
        "message_class" => number(0, 3, "GSM message class (3GPP 23.038 section 4)."),
        "smart" => word(
            &["typography", "accents"],
            "Which characters outside GSM 7-bit may be replaced by similar ones.",
        ),
        "priority" => number(0, 3, "priority_flag (SMPP 3.4 section 5.2.14)."),
        "send_at" => with(
            text("Not sent before this time (RFC 3339)."),
            "format",
            json!("date-time"),
        ),
        "protocol_id" => number(0, 255, "TP-PID (3GPP 23.040 section 9.2.3.9)."),
        "service_type" => with(
            text("service_type (SMPP 3.4 section 5.2.11)."),
            "maxLength",
            json!(5),
        ),
        "replace_if_present" => flag("replace_if_present_flag (SMPP 3.4 section 5.2.18)."),
        "languages" => {
            json!({"type": ["array", "null"], "items": {"type": "string"}, "description": "National language tables that may be used."})
        }
        "tags" => {
            json!({"type": ["array", "null"], "items": {"type": "string"}, "description": "Your words for statistics and routes."})
        }
        "tlvs" => json!({
            "type": ["array", "null"], "description": "Optional parameters (SMPP 3.4 section 5.3) that the operator lets through.",
            "items": {
                "type": "object", "required": ["tag", "value"], "additionalProperties": false,
                "properties": {"tag": {"type": "string"}, "value": {"type": "string", "pattern": hex}}
            }
        }),
        other => json!({"description": other}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_message_is_described() {
        for field in FIELDS {
            assert!(
                property(field)["type"] != Value::Null,
                "describe {field} in `property`"
            );
        }
    }
}
