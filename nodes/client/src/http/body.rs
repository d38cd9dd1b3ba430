//! The body of `POST /v1/messages` as it was written, before anything is judged.
//!
//! Read by hand rather than derived, because an unknown field has its own error code and derived readers tell it only
//! as text. A wrong type is `invalid_json`, and so is a field that is there twice.

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
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
    pub(crate) message_class: Option<u64>,
    pub(crate) languages: Option<Vec<String>>,
    pub(crate) smart: Option<String>,
    pub(crate) priority: Option<u64>,
    pub(crate) send_at: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) protocol_id: Option<u64>,
    pub(crate) service_type: Option<String>,
    pub(crate) replace_if_present: Option<bool>,
    pub(crate) tlvs: Option<Vec<Tlv>>,
    /// The first field that is none of ours.
    pub(crate) unknown: Option<String>,
}

/// One optional parameter, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tlv {
    pub(crate) tag: String,
    pub(crate) value: String,
}

/// The name of a field. A bare `Cow` would be copied each time.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The names of all fields, for suggestions.
pub(crate) const FIELDS: [&str; 23] = [
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
    "message_class",
    "languages",
    "smart",
    "priority",
    "send_at",
    "tags",
    "protocol_id",
    "service_type",
    "replace_if_present",
    "tlvs",
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
                while let Some(Name(name)) = map.next_key()? {
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
                        "max_parts" => whole(&mut map, &mut seen, &mut body.max_parts, "max_parts")?,
                        "flash" => once(&mut map, &mut seen, &mut body.flash, "flash")?,
                        "message_class" => {
                            whole(&mut map, &mut seen, &mut body.message_class, "message_class")?
                        }
                        "languages" => once(&mut map, &mut seen, &mut body.languages, "languages")?,
                        "smart" => once(&mut map, &mut seen, &mut body.smart, "smart")?,
                        "priority" => whole(&mut map, &mut seen, &mut body.priority, "priority")?,
                        "send_at" => once(&mut map, &mut seen, &mut body.send_at, "send_at")?,
                        "tags" => once(&mut map, &mut seen, &mut body.tags, "tags")?,
                        "protocol_id" => whole(&mut map, &mut seen, &mut body.protocol_id, "protocol_id")?,
                        "service_type" => once(&mut map, &mut seen, &mut body.service_type, "service_type")?,
                        "replace_if_present" => once(
                            &mut map,
                            &mut seen,
                            &mut body.replace_if_present,
                            "replace_if_present",
                        )?,
                        "tlvs" => once(&mut map, &mut seen, &mut body.tlvs, "tlvs")?,
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

/// Reads a whole number, which may be written with a fraction of nothing: JSON has one kind of number, and many programs
/// write 2 as `2.0`.
fn whole<'de, A: MapAccess<'de>>(
    map: &mut A,
    seen: &mut Vec<&'static str>,
    field: &mut Option<u64>,
    name: &'static str,
) -> Result<(), A::Error> {
    /// Up to here every whole number has a double of its own.
    const MOST: f64 = 9_007_199_254_740_992.0;
    let mut number: Option<serde_json::Number> = None;
    once(map, seen, &mut number, name)?;
    let Some(number) = number else { return Ok(()) };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, and within bounds"
    )]
    let of_double =
        |double: f64| (double.fract() == 0.0 && (0.0..=MOST).contains(&double)).then_some(double as u64);
    let read = number.as_u64().or_else(|| number.as_f64().and_then(of_double));
    *field = Some(read.ok_or_else(|| de::Error::custom("a number that is not whole, or not there"))?);
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
                "max_parts" | "message_class" | "priority" | "protocol_id" => "3",
                "flash" | "replace_if_present" => "true",
                "languages" | "tags" => "[\"x\"]",
                "tlvs" => "[{\"tag\":\"0x1401\",\"value\":\"00\"}]",
                _ => "\"x\"",
            };
            let body: Body = serde_json::from_str(&format!("{{\"{field}\":{value}}}")).unwrap();
            assert_eq!(body.unknown, None, "{field}");
        }
        assert!(serde_json::from_str::<Body>("[]").is_err());
        assert!(serde_json::from_str::<Body>(r#"{"to":49}"#).is_err());
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
        let read = |number: &str| serde_json::from_str::<Body>(&format!("{{\"max_parts\":{number}}}"));
        for (number, whole) in [
            ("3", 3),
            ("3.0", 3),
            ("30e-1", 3),
            ("0", 0),
            ("9007199254740992.0", 1 << 53),
        ] {
            assert_eq!(read(number).unwrap().max_parts, Some(whole), "{number}");
        }
        assert_eq!(read("null").unwrap().max_parts, None);
        for wrong in ["3.5", "-1", "-1.0", "1e300", "\"3\"", "true", "[3]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_even_when_the_first_was_null() {
        for twice in [r#"{"to":"1","to":"1"}"#, r#"{"text":null,"text":"a"}"#] {
            assert!(serde_json::from_str::<Body>(twice).is_err(), "{twice}");
        }
    }
}
