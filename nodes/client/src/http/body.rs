//! The body of `POST /v1/messages` as it was written, before anything is judged.
//!
//! Read by hand rather than derived, because an unknown field has its own error code and derived readers tell it only
//! as text. A wrong type is `invalid_json`, and so is a field that is there twice.

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Every field of the request, absent or as given. JSON `null` is absent.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) to: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) binary: Option<String>,
    pub(crate) udh: Option<String>,
    pub(crate) encoding: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) report: Option<String>,
    pub(crate) callback: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) validity: Option<String>,
    pub(crate) max_parts: Option<u64>,
    pub(crate) flash: Option<bool>,
    /// The first field that is none of ours.
    pub(crate) unknown: Option<String>,
}

/// The names of all fields, for suggestions.
pub(crate) const FIELDS: [&str; 13] = [
    "to",
    "from",
    "text",
    "binary",
    "udh",
    "encoding",
    "class",
    "report",
    "callback",
    "reference",
    "validity",
    "max_parts",
    "flash",
];

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that describes one message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let mut body = Body::default();
                let mut seen = Vec::with_capacity(FIELDS.len());
                while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match name.as_ref() {
                        "to" => once(&mut map, &mut seen, &mut body.to, "to")?,
                        "from" => once(&mut map, &mut seen, &mut body.from, "from")?,
                        "text" => once(&mut map, &mut seen, &mut body.text, "text")?,
                        "binary" => once(&mut map, &mut seen, &mut body.binary, "binary")?,
                        "udh" => once(&mut map, &mut seen, &mut body.udh, "udh")?,
                        "encoding" => once(&mut map, &mut seen, &mut body.encoding, "encoding")?,
                        "class" => once(&mut map, &mut seen, &mut body.class, "class")?,
                        "report" => once(&mut map, &mut seen, &mut body.report, "report")?,
                        "callback" => once(&mut map, &mut seen, &mut body.callback, "callback")?,
                        "reference" => once(&mut map, &mut seen, &mut body.reference, "reference")?,
                        "validity" => once(&mut map, &mut seen, &mut body.validity, "validity")?,
                        "max_parts" => once(&mut map, &mut seen, &mut body.max_parts, "max_parts")?,
                        "flash" => once(&mut map, &mut seen, &mut body.flash, "flash")?,
                        other => {
                            body.unknown.get_or_insert_with(|| other.to_owned());
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(body)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Reads a field that was not there yet. Which of two values is meant cannot be known (RFC 8259 section 4).
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    seen: &mut Vec<&'static str>,
    field: &mut Option<T>,
    name: &'static str,
) -> Result<(), A::Error> {
    if seen.contains(&name) {
        return Err(de::Error::duplicate_field(name));
    }
    seen.push(name);
    *field = map.next_value()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unknown_field_is_remembered_and_null_is_absent() {
        let body: Body = serde_json::from_str(r#"{"to":"1","txt":{"a":[1]},"zzz":1,"text":null}"#).unwrap();
        assert_eq!(body.unknown.as_deref(), Some("txt"));
        assert_eq!(body.to.as_deref(), Some("1"));
        assert_eq!(body.text, None);
    }

    #[test]
    fn every_field_is_read_and_none_of_them_is_unknown() {
        for field in FIELDS {
            let value = match field {
                "max_parts" => "3",
                "flash" => "true",
                _ => "\"x\"",
            };
            let body: Body = serde_json::from_str(&format!("{{\"{field}\":{value}}}")).unwrap();
            assert_eq!(body.unknown, None, "{field}");
        }
        assert!(serde_json::from_str::<Body>("[]").is_err());
        assert!(serde_json::from_str::<Body>(r#"{"to":49}"#).is_err());
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_even_when_the_first_was_null() {
        for twice in [r#"{"to":"1","to":"1"}"#, r#"{"text":null,"text":"a"}"#] {
            assert!(serde_json::from_str::<Body>(twice).is_err(), "{twice}");
        }
    }
}
