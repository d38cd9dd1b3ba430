//! `POST /v1/messages`: from the request's fields to a message that is ready for the router.
//!
//! Pure: time, identity and the random octets come from the caller. Each check names its field and code; the order is
//! the one of the API's documentation, so a request with several faults always gets the same answer.

use crate::http::body::{Body, FIELDS};
use crate::http::content::{self, from_hex};
use crate::http::fields::{self, invalid};
use crate::http::problem::Problem;
use smsgw_config::{CallbackUrl, Config};
use smsgw_message::segment::{self, Carriage, Plan, SegmentError, split_by};
use smsgw_message::smart::Smart;
use smsgw_message::{Address, Class, ClientId, MessageId, MtMessage, Origin, ReportLevel, Timestamp};
use smsgw_telemetry::ApiCode;
use std::time::Duration;

/// Longest `reference`, in characters.
pub(crate) const MAX_REFERENCE: usize = 255;
/// Longest `callback`, in octets.
const MAX_CALLBACK: usize = 2048;

/// Reads a request's body.
pub(crate) fn parse(octets: &[u8]) -> Result<Body, Problem> {
    let body: Body = serde_json::from_slice(octets).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => {
                "the body is JSON, but not one object with each field once and of its type"
            }
            serde_json::error::Category::Eof => "the body ends too early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "the body is not JSON",
        };
        // Line and column, not the parser's words: those may repeat content.
        Problem::new(
            ApiCode::InvalidJson,
            format!("{what} (line {}, column {})", error.line(), error.column()),
        )
    })?;
    if let Some(unknown) = &body.unknown {
        // Cut before it is compared: a name may be as long as the body, and comparing costs length times length.
        let name: String = unknown.chars().take(40).collect();
        let near = FIELDS
            .iter()
            .map(|field| (strsim::jaro_winkler(field, &name), field))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(score, _)| *score > 0.75);
        let hint = near
            .map(|(_, field)| format!("; did you mean {field:?}?"))
            .unwrap_or_default();
        return Err(Problem::new(
            ApiCode::UnknownField,
            format!("there is no field {name:?}{hint}"),
        ));
    }
    Ok(body)
}

/// What a body asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) message: MtMessage,
    /// What smart encoding has changed, when it was asked for and did.
    pub(crate) smart: Option<Smart>,
}

/// Checks a body and makes the message of it.
pub(crate) fn build(
    body: &Body,
    client: &ClientId,
    config: &Config,
    id: MessageId,
    now: Timestamp,
    reference: u8,
) -> Result<Built, Problem> {
    let account = config
        .client
        .get(client)
        .ok_or_else(|| Problem::new(ApiCode::Unauthorized, "the account no longer exists"))?;
    let to = body.to.as_deref().ok_or_else(|| invalid("to", "is required"))?;
    let to = Address::msisdn(to)
        .map_err(|error| Problem::field(ApiCode::InvalidNumber, "to", error.to_string()))?;
    let from = match body.from.as_deref() {
        // Admission fills defaults in; an empty sender says that none is wanted.
        None => None,
        Some("") => Some(Address::default()),
        Some(from) => Some(
            Address::sender(from)
                .map_err(|error| Problem::field(ApiCode::InvalidNumber, "from", error.to_string()))?,
        ),
    };
    let content = content::read(body)?;
    let udh = match &body.udh {
        None => Vec::new(),
        Some(udh) => from_hex("udh", udh)?,
    };
    let most = account.max_parts.unwrap_or(config.limits.max_parts);
    let most = match body.max_parts {
        None => usize::from(most),
        Some(0) => return Err(invalid("max_parts", "is at least 1")),
        Some(asked) => usize::from(most).min(usize::try_from(asked).unwrap_or(usize::MAX)),
    };
    let units = segment::Body {
        udh: &udh,
        ..segment::Body::from(&content.encoded)
    };
    let plan = Plan::of(Carriage::Udh8, u16::from(reference));
    let parts = split_by(units, plan).map_err(|error| not_cut(error, most))?.parts;
    let encoding = content.encoded.encoding;
    if parts.len() > most {
        return Err(Problem::new(
            ApiCode::TextTooLong,
            format!(
                "the text takes {} parts as {encoding}; at most {most} are allowed",
                parts.len(),
            ),
        ));
    }
    let send_at = fields::send_at(body.send_at.as_deref(), now, config.limits.max_schedule)?;
    let validity = validity(body.validity.as_deref(), config)?;
    let message = MtMessage {
        id,
        client: client.clone(),
        accepted_at: now,
        from,
        to,
        encoding,
        parts,
        class: word(
            "class",
            body.class.as_deref(),
            Class::from_word,
            "otp, transactional, bulk",
        )?
        .unwrap_or(account.class),
        valid_until: send_at.unwrap_or(now).after(validity),
        report: word(
            "report",
            body.report.as_deref(),
            ReportLevel::from_word,
            "none, final, all",
        )?
        .or(account.report)
        .unwrap_or_default(),
        callback: callback(body.callback.as_deref(), account)?,
        reference: bounded_reference(body.reference.as_deref())?,
        origin: Origin::Http,
        message_class: fields::message_class(body)?,
        options: fields::options(body)?,
        send_at,
        tags: fields::tags(body.tags.as_deref())?,
        registered_delivery: None,
        bind: None,
        bundle: None,
        batch: None,
        charge: None,
        submitted_coding: None,
    };
    Ok(Built {
        message,
        smart: content.smart,
    })
}

fn not_cut(error: SegmentError, most: usize) -> Problem {
    match error {
        SegmentError::TextTooLong { .. } | SegmentError::PayloadTooLong { .. } => Problem::new(
            ApiCode::TextTooLong,
            format!("{error}; at most {most} are allowed"),
        ),
        SegmentError::BrokenUdh(_)
        | SegmentError::UdhTrailing { .. }
        | SegmentError::NoRoom { .. }
        | SegmentError::ShiftsTwice
        | SegmentError::AlreadyConcatenated { .. } => invalid("udh", error.to_string()),
        SegmentError::HalfUnit { .. } => invalid("binary", error.to_string()),
    }
}

fn word<T>(
    field: &'static str,
    word: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
    words: &str,
) -> Result<Option<T>, Problem> {
    word.map(|word| read(word).ok_or_else(|| invalid(field, format!("is one of {words}"))))
        .transpose()
}

fn validity(text: Option<&str>, config: &Config) -> Result<Duration, Problem> {
    let most = config.limits.max_validity;
    let Some(text) = text else {
        return Ok(config.limits.validity);
    };
    let span = smsgw_config::duration_from_text(text)
        .ok_or_else(|| invalid("validity", "is a time such as 30s, 10m, 48h or 2d"))?;
    if span < Duration::from_secs(1) || span > most {
        return Err(invalid(
            "validity",
            format!("lies between 1s and {}s", most.as_secs()),
        ));
    }
    Ok(span)
}

fn callback(url: Option<&str>, account: &smsgw_config::Client) -> Result<Option<String>, Problem> {
    let Some(url) = url else { return Ok(None) };
    if url.len() > MAX_CALLBACK {
        return Err(invalid("callback", format!("has at most {MAX_CALLBACK} octets")));
    }
    let target = CallbackUrl::from_text(url)
        .ok_or_else(|| invalid("callback", "is a URL with http or https and a host"))?;
    if account.callback.as_ref() != Some(&target) && !account.callback_policy.allows(target.url()) {
        return Err(invalid(
            "callback",
            "leads to a host that the account may not be called at",
        ));
    }
    Ok(Some(url.to_owned()))
}

fn bounded_reference(reference: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(reference) = reference else {
        return Ok(None);
    };
    if reference.chars().count() > MAX_REFERENCE {
        return Err(invalid(
            "reference",
            format!("has at most {MAX_REFERENCE} characters"),
        ));
    }
    Ok(Some(reference.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smsgw_message::Encoding;

    fn try_build(json: &str) -> Result<MtMessage, Problem> {
        Ok(try_build_all(json)?.message)
    }

    fn try_build_all(json: &str) -> Result<Built, Problem> {
        let config = Config::parse(
            "t.toml",
            "[node]\nname = \"t\"\n[operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\n\
             password = \"x\"\n[client.acme]\napi_key = \"acme-key\"\ndefault_from = \"ACME\"\n\
             [[route.mt]]\noperators = [\"alpha\"]\n",
        )
        .unwrap();
        let client = ClientId::try_new("acme").unwrap();
        let now = Timestamp::from_millis(1_000_000);
        build(
            &parse(json.as_bytes())?,
            &client,
            &config,
            MessageId::from_parts(now, [1; 10]),
            now,
            7,
        )
    }

    #[test]
    fn what_is_absent_gets_the_documented_default() {
        let message = try_build(r#"{"to":"+491700000001","text":"Hello"}"#).unwrap();
        assert_eq!(message.to.as_str(), "491700000001");
        assert_eq!(message.from, None, "admission fills it in");
        assert_eq!(
            (message.class, message.report),
            (Class::Transactional, ReportLevel::Final)
        );
        assert_eq!(
            message.valid_until,
            message.accepted_at.after(Duration::from_secs(48 * 3600))
        );
        assert_eq!((message.encoding, message.parts.len()), (Encoding::Gsm7, 1));
        assert_eq!(message.callback, None);
    }

    #[test]
    fn each_fault_has_its_code_and_field() {
        use ApiCode::{InvalidField, InvalidJson, InvalidNumber, TextTooLong, UnknownField};
        let long = format!(r#"{{"to":"491700000001","text":"{}"}}"#, "x".repeat(153 * 10 + 1));
        let table: &[(&str, ApiCode, Option<&str>)] = &[
            ("{", InvalidJson, None),
            ("", InvalidJson, None),
            ("null", InvalidJson, None),
            (r#"{"to":"491700000001","text":"a"} x"#, InvalidJson, None),
            (
                r#"{"to":"491700000001","to":"491700000002","text":"a"}"#,
                InvalidJson,
                None,
            ),
            (
                r#"{"to":"491700000001","text":"a","max_parts":0}"#,
                InvalidField,
                Some("max_parts"),
            ),
            (
                r#"{"to":"491700000001","text":"a","max_parts":-1}"#,
                InvalidJson,
                None,
            ),
            (r#"{"to":1}"#, InvalidJson, None),
            (r#"{"to":"491700000001","txt":"a"}"#, UnknownField, None),
            (r#"{"text":"a"}"#, InvalidField, Some("to")),
            (r#"{"to":"49x","text":"a"}"#, InvalidNumber, Some("to")),
            (
                r#"{"to":"491700000001","text":"a","from":"much too long a sender"}"#,
                InvalidNumber,
                Some("from"),
            ),
            (r#"{"to":"491700000001"}"#, InvalidField, Some("text")),
            (
                r#"{"to":"491700000001","text":"a","binary":"00"}"#,
                InvalidField,
                Some("binary"),
            ),
            (
                r#"{"to":"491700000001","binary":"0"}"#,
                InvalidField,
                Some("binary"),
            ),
            (
                r#"{"to":"491700000001","text":"a","encoding":"utf8"}"#,
                InvalidField,
                Some("encoding"),
            ),
            (
                r#"{"to":"491700000001","text":"漢","encoding":"gsm7"}"#,
                InvalidField,
                Some("encoding"),
            ),
            (
                r#"{"to":"491700000001","text":"a","class":"fast"}"#,
                InvalidField,
                Some("class"),
            ),
            (
                r#"{"to":"491700000001","text":"a","report":"some"}"#,
                InvalidField,
                Some("report"),
            ),
            (
                r#"{"to":"491700000001","text":"a","validity":"0s"}"#,
                InvalidField,
                Some("validity"),
            ),
            (
                r#"{"to":"491700000001","text":"a","validity":"soon"}"#,
                InvalidField,
                Some("validity"),
            ),
            (
                r#"{"to":"491700000001","text":"a","callback":"ftp://x/"}"#,
                InvalidField,
                Some("callback"),
            ),
            (
                r#"{"to":"491700000001","binary":"00","udh":"0500"}"#,
                InvalidField,
                Some("udh"),
            ),
            (&long, TextTooLong, None),
        ];
        for (json, code, field) in table {
            let problem = try_build(json).unwrap_err();
            assert_eq!(
                (problem.code, problem.field),
                (*code, *field),
                "{json}: {}",
                problem.detail
            );
        }
    }

    #[test]
    fn an_unknown_field_close_to_a_known_one_gets_a_suggestion() {
        let problem = try_build(r#"{"to":"491700000001","txt":"a"}"#).unwrap_err();
        assert!(
            problem.detail.contains("did you mean \"text\""),
            "{}",
            problem.detail
        );
    }

    #[test]
    fn a_long_text_is_cut_and_max_parts_is_kept() {
        let json = format!(
            r#"{{"to":"491700000001","text":"{}","max_parts":2}}"#,
            "x".repeat(306)
        );
        assert_eq!(try_build(&json).unwrap().parts.len(), 2);
        let json = format!(
            r#"{{"to":"491700000001","text":"{}","max_parts":2}}"#,
            "x".repeat(307)
        );
        assert_eq!(try_build(&json).unwrap_err().code, ApiCode::TextTooLong);
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
            "[+]?[0-9]{0,17}".prop_map(Into::into),
            "([0-9a-f]{2}){0,300}".prop_map(Into::into),
            "[a-zA-Z äöüß€漢😀]{0,700}".prop_map(Into::into),
            prop::sample::select(vec![
                "gsm7",
                "ucs2",
                "latin1",
                "binary",
                "auto",
                "otp",
                "all",
                "10m",
                "0s",
                "9999999999d"
            ])
            .prop_map(Into::into),
            Just("http://user:pw@[::1]:9/x?y#z".into()),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop::collection::vec(inner, 0..3).prop_map(Into::into)
        })
    }

    proptest! {
        #[test]
        fn whatever_fields_come_the_outcome_is_a_message_or_a_4xx_that_repeats_no_text(
            fields in prop::collection::hash_map(prop_oneof![9 => prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned), 1 => any::<String>()], value(), 0..6),
            good in any::<bool>(),
        ) {
            let mut fields: serde_json::Map<String, serde_json::Value> = fields.into_iter().collect();
            if good {
                fields.insert("to".into(), "491700000001".into());
            }
            let body = serde_json::Value::from(fields.clone()).to_string();
            match try_build(&body) {
                Ok(message) => {
                    prop_assert!((1..=10).contains(&message.parts.len()));
                    prop_assert!(message.valid_until > message.accepted_at);
                    // What is accepted can be written and read.
                    use smsgw_message::Record;
                    prop_assert_eq!(MtMessage::from_record(&message.to_record()).unwrap(), message);
                }
                Err(problem) => {
                    prop_assert!((400..500).contains(&problem.code.status()), "{:?}", problem);
                    if let Some(text) = fields.get("text").and_then(|text| text.as_str()) {
                        prop_assert!(text.chars().count() < 12 || !problem.detail.contains(text), "{:?}", problem);
                    }
                }
            }
        }

        #[test]
        fn whatever_octets_come_the_outcome_is_a_body_or_a_4xx(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(problem) = parse(&octets) {
                prop_assert!((400..500).contains(&problem.code.status()));
            }
        }
    }
}
