//! Text or octets of a request, as units of an encoding.
//!
//! `encoding` says how the text may be written, `languages` which national tables the phones are known to have, `smart`
//! how far characters may be replaced to stay in the default alphabet. How a message of several parts is carried is the
//! operator's affair and not asked here. Pure. Invariant: a character is replaced only where `smart` asks for it, and
//! every change is told.

use crate::http::body::Body;
use crate::http::fields::invalid;
use crate::http::problem::Problem;
use smsgw_message::Encoding;
use smsgw_message::gsm7::{Language, Languages};
use smsgw_message::segment::encode_cheapest;
use smsgw_message::smart::{self, Smart, Strength};
use smsgw_message::text::{EncodeError, Encoded, Requested, encode};

const ENCODINGS: &str = "is one of auto, gsm7, latin1, ucs2";

/// What a request's content is written as.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) encoded: Encoded,
    pub(crate) smart: Option<Smart>,
}

/// Reads content and encoding.
pub(crate) fn read(body: &Body) -> Result<Content, Problem> {
    match (&body.text, &body.binary) {
        (Some(_), Some(_)) => Err(invalid("binary", "text and binary exclude each other")),
        (None, None) => Err(invalid("text", "one of text and binary is required")),
        (None, Some(hex)) => octets(body, hex),
        (Some(text), None) => units(body, text),
    }
}

fn octets(body: &Body, hex: &str) -> Result<Content, Problem> {
    let is_binary = |word: &str| word == Encoding::Binary.as_str();
    if !body.encoding.as_deref().is_none_or(is_binary) {
        return Err(invalid(
            "encoding",
            "with binary there is no other encoding than binary",
        ));
    }
    for (field, is_there) in [
        ("languages", body.languages.is_some()),
        ("smart", body.smart.is_some()),
    ] {
        if is_there {
            return Err(invalid(field, "is for text, not for binary"));
        }
    }
    Ok(Content {
        encoded: Encoded::binary(from_hex("binary", hex)?),
        smart: None,
    })
}

fn units(body: &Body, text: &str) -> Result<Content, Problem> {
    let languages = languages(body.languages.as_deref())?;
    let strength = match body.smart.as_deref() {
        None => None,
        Some(word) => {
            Some(Strength::from_word(word).ok_or_else(|| invalid("smart", "is one of typography, accents"))?)
        }
    };
    let wanted = match body.encoding.as_deref() {
        None | Some("auto") => None,
        Some(word) => match Encoding::from_word(word) {
            None | Some(Encoding::Binary) => return Err(invalid("encoding", ENCODINGS)),
            Some(encoding @ (Encoding::Gsm7 | Encoding::Latin1 | Encoding::Ucs2)) => Some(encoding),
        },
    };
    if let Some(Encoding::Latin1 | Encoding::Ucs2) = wanted {
        for (field, is_there) in [
            ("languages", body.languages.is_some()),
            ("smart", body.smart.is_some()),
        ] {
            if is_there {
                return Err(invalid(field, "is for encoding auto and gsm7"));
            }
        }
    }
    let mapped = strength.and_then(|strength| match smart::map(text, strength) {
        smart::Outcome::Mapped(smart) => Some(smart),
        smart::Outcome::Plain | smart::Outcome::Dearer { .. } | smart::Outcome::Impossible { .. } => None,
    });
    let text = mapped.as_ref().map_or(text, |smart| smart.text.as_str());
    let encoded = match wanted {
        None => encode_cheapest(text, languages),
        Some(Encoding::Gsm7) if !languages.is_empty() => {
            let encoded = encode_cheapest(text, languages);
            if encoded.encoding == Encoding::Gsm7 {
                encoded
            } else {
                let why = "the text cannot be written in gsm7 with these languages, or for no fewer parts than in ucs2";
                return Err(invalid("encoding", why));
            }
        }
        Some(encoding) => encode(text, Requested::Exactly(encoding)).map_err(|error| match error {
            EncodeError::Unmappable { .. } => invalid("encoding", error.to_string()),
            EncodeError::TextAsBinary => invalid("encoding", ENCODINGS),
        })?,
    };
    Ok(Content {
        encoded,
        smart: mapped,
    })
}

fn languages(words: Option<&[String]>) -> Result<Languages, Problem> {
    let of = |word: &String| {
        Language::from_word(word).ok_or_else(|| {
            let all = Language::ALL.map(Language::as_str).join(", ");
            invalid("languages", format!("is a list of {all}"))
        })
    };
    words.unwrap_or_default().iter().map(of).collect()
}

/// Octets that were written in hexadecimal.
pub(crate) fn from_hex(field: &'static str, hex: &str) -> Result<Vec<u8>, Problem> {
    let digit = |octet: u8| {
        char::from(octet)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    hex.as_bytes()
        .chunks(2)
        .map(pair)
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| invalid(field, "is octets in hexadecimal, two digits each"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_telemetry::ApiCode;

    fn content(json: &str) -> Result<Content, Problem> {
        read(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn national_tables_are_used_only_when_named_and_only_when_they_save_a_part() {
        let text = "ş".repeat(100);
        let plain = content(&format!(r#"{{"text":"{text}"}}"#)).unwrap();
        assert_eq!(plain.encoded.encoding, Encoding::Ucs2);
        let turkish = content(&format!(r#"{{"text":"{text}","languages":["turkish"]}}"#)).unwrap();
        assert_eq!(turkish.encoded.encoding, Encoding::Gsm7);
        assert!(!turkish.encoded.shifts.is_none());
        let exactly = format!(r#"{{"text":"{text}","encoding":"gsm7","languages":["turkish"]}}"#);
        assert_eq!(content(&exactly).unwrap().encoded, turkish.encoded);
        let short = content(r#"{"text":"ş","languages":["turkish"]}"#).unwrap();
        assert_eq!(
            short.encoded.encoding,
            Encoding::Ucs2,
            "one part either way: every phone reads UCS-2"
        );
    }

    #[test]
    fn smart_encoding_tells_what_it_changed_and_changes_nothing_unasked() {
        let plain = content(r#"{"text":"“Hi” – ok"}"#).unwrap();
        assert_eq!((plain.encoded.encoding, plain.smart), (Encoding::Ucs2, None));
        let smart = content(r#"{"text":"“Hi” – ok","smart":"typography"}"#).unwrap();
        assert_eq!(smart.encoded.encoding, Encoding::Gsm7);
        let changes = smart.smart.unwrap().changes;
        assert_eq!(
            changes.iter().map(|change| change.position).collect::<Vec<_>>(),
            [0, 3, 5]
        );
        let impossible = content(r#"{"text":"“漢”","smart":"accents"}"#).unwrap();
        assert_eq!(
            (impossible.encoded.encoding, impossible.smart),
            (Encoding::Ucs2, None)
        );
    }

    #[test]
    fn what_does_not_go_together_names_its_field() {
        for (json, field) in [
            (r#"{"binary":"00","smart":"typography"}"#, "smart"),
            (r#"{"binary":"00","languages":[]}"#, "languages"),
            (r#"{"text":"a","encoding":"ucs2","smart":"accents"}"#, "smart"),
            (
                r#"{"text":"a","encoding":"latin1","languages":["hindi"]}"#,
                "languages",
            ),
            (r#"{"text":"a","languages":["klingon"]}"#, "languages"),
            (r#"{"text":"a","smart":"very"}"#, "smart"),
            (r#"{"text":"a","encoding":"binary"}"#, "encoding"),
            (
                r#"{"text":"漢","encoding":"gsm7","languages":["turkish"]}"#,
                "encoding",
            ),
            (r#"{"binary":"0g"}"#, "binary"),
        ] {
            let problem = content(json).unwrap_err();
            assert_eq!(
                (problem.code, problem.field),
                (ApiCode::InvalidField, Some(field)),
                "{json}"
            );
        }
    }
}
