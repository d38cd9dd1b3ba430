//! Single fields of a message that ask something of the carrier or of the clock, checked.
//!
//! Pure; time is an argument. Invariant: what passes here can be written into a PDU, and nothing of it can pretend to be
//! something that the gateway writes itself.

use crate::http::body::{Body, Tlv};
use crate::http::content::from_hex;
use crate::http::problem::Problem;
use smsgw_config::TlvTag;
use smsgw_message::{CarrierOptions, RawTlv, Timestamp};
use smsgw_telemetry::ApiCode;
use std::time::Duration;

/// Most `tags` of a message.
const MAX_TAGS: usize = 16;
/// Longest tag, in characters.
const MAX_TAG: usize = 64;
/// Most `tlvs` of a message.
const MAX_TLVS: usize = 16;
/// Octets of the values of all `tlvs` together.
const MAX_TLV_OCTETS: usize = 1024;
/// How far in the past `send_at` may lie and still means now: clocks differ, and requests take their time.
const LATE: Duration = Duration::from_secs(300);

pub(crate) fn invalid(field: &'static str, detail: impl Into<String>) -> Problem {
    Problem::field(ApiCode::InvalidField, field, detail)
}

/// When to send; `None` for now.
pub(crate) fn send_at(
    text: Option<&str>,
    now: Timestamp,
    most: Duration,
) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let at = Timestamp::from_rfc3339(text)
        .ok_or_else(|| invalid("send_at", "is an RFC 3339 time such as 2027-01-31T09:00:00+01:00"))?;
    if at < now.before(LATE) {
        return Err(invalid("send_at", "lies in the past"));
    }
    if at > now.after(most) {
        let why = format!("lies at most {} s ahead", most.as_secs());
        return Err(invalid("send_at", why));
    }
    Ok((at > now).then_some(at))
}

/// GSM message class; `flash` is short for 0.
pub(crate) fn message_class(body: &Body) -> Result<Option<u8>, Problem> {
    let class = bounded("message_class", body.message_class, 3)?;
    match (body.flash.unwrap_or(false), class) {
        (true, Some(1..)) => Err(invalid(
            "flash",
            "says message_class 0, and message_class says otherwise",
        )),
        (true, _) => Ok(Some(0)),
        (false, class) => Ok(class),
    }
}

/// What the carrier is asked for; `None` when nothing is.
pub(crate) fn options(body: &Body) -> Result<Option<CarrierOptions>, Problem> {
    let options = CarrierOptions {
        priority: bounded("priority", body.priority, 3)?,
        protocol_id: bounded("protocol_id", body.protocol_id, 255)?,
        service_type: service_type(body.service_type.as_deref())?,
        replace_if_present: body.replace_if_present,
        data_coding: None,
        tlvs: tlvs(body.tlvs.as_deref())?,
    };
    Ok((!options.is_empty()).then_some(options))
}

/// The client's words for its own statistics.
pub(crate) fn tags(tags: Option<&[String]>) -> Result<Option<Vec<String>>, Problem> {
    let Some(tags) = tags.filter(|tags| !tags.is_empty()) else {
        return Ok(None);
    };
    if tags.len() > MAX_TAGS {
        return Err(invalid("tags", format!("has at most {MAX_TAGS} words")));
    }
    for (index, tag) in tags.iter().enumerate() {
        let is_right = (1..=MAX_TAG).contains(&tag.chars().count()) && !tag.chars().any(char::is_control);
        if !is_right || tags.iter().take(index).any(|before| before == tag) {
            let why = format!("has different words of 1 to {MAX_TAG} characters each");
            return Err(invalid("tags", why));
        }
    }
    Ok(Some(tags.to_vec()))
}

fn bounded(field: &'static str, value: Option<u64>, most: u8) -> Result<Option<u8>, Problem> {
    let within = |value: u64| {
        u8::try_from(value)
            .ok()
            .filter(|value| *value <= most)
            .ok_or_else(|| invalid(field, format!("lies between 0 and {most}")))
    };
    value.map(within).transpose()
}

fn service_type(text: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let is_right = (1..=5).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic());
    if !is_right {
        return Err(invalid(
            "service_type",
            "has 1 to 5 printable ASCII characters without spaces",
        ));
    }
    Ok(Some(text.to_owned()))
}

fn tlvs(tlvs: Option<&[Tlv]>) -> Result<Option<Vec<RawTlv>>, Problem> {
    let Some(tlvs) = tlvs.filter(|tlvs| !tlvs.is_empty()) else {
        return Ok(None);
    };
    if tlvs.len() > MAX_TLVS {
        return Err(invalid("tlvs", format!("has at most {MAX_TLVS} parameters")));
    }
    let mut checked: Vec<RawTlv> = Vec::with_capacity(tlvs.len());
    let mut octets = 0_usize;
    for tlv in tlvs {
        let tag = tag(&tlv.tag)?;
        if checked.iter().any(|before| before.tag == tag) {
            return Err(invalid("tlvs", format!("has the tag {tag:#06x} twice")));
        }
        let value = from_hex("tlvs", &tlv.value)?;
        octets = octets.saturating_add(value.len());
        checked.push(RawTlv {
            tag,
            value: value.into(),
        });
    }
    if octets > MAX_TLV_OCTETS {
        let why = format!("has at most {MAX_TLV_OCTETS} octets of values");
        return Err(invalid("tlvs", why));
    }
    Ok(Some(checked))
}

fn tag(text: &str) -> Result<u16, Problem> {
    let digits = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let tag = digits
        .and_then(|digits| u16::from_str_radix(digits, 16).ok())
        .ok_or_else(|| invalid("tlvs", "has tags such as 0x1401"))?;
    if tag == 0 || TlvTag::is_own(tag) {
        return Err(invalid(
            "tlvs",
            format!("cannot have {tag:#06x}, which the gateway writes itself"),
        ));
    }
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Body {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn options_are_taken_over_and_absent_ones_leave_no_record() {
        assert_eq!(options(&body("{}")).unwrap(), None);
        let all = body(
            r#"{"priority":3,"protocol_id":64,"service_type":"WAP","replace_if_present":true,"tlvs":[{"tag":"0x1401","value":"00ff"}]}"#,
        );
        let options = options(&all).unwrap().unwrap();
        assert_eq!((options.priority, options.protocol_id), (Some(3), Some(64)));
        assert_eq!(
            (options.service_type.as_deref(), options.replace_if_present),
            (Some("WAP"), Some(true))
        );
        let tlvs = options.tlvs.unwrap();
        assert_eq!((tlvs[0].tag, tlvs[0].value.as_slice()), (0x1401, &[0, 255][..]));
    }

    #[test]
    fn what_the_gateway_writes_itself_and_what_fits_nowhere_is_refused_by_field() {
        let long = "00".repeat(MAX_TLV_OCTETS + 1);
        let long = format!(r#"{{"tlvs":[{{"tag":"0x1401","value":"{long}"}}]}}"#);
        for (json, field) in [
            (r#"{"priority":4}"#, "priority"),
            (r#"{"protocol_id":256}"#, "protocol_id"),
            (r#"{"service_type":"SIXSIX"}"#, "service_type"),
            (r#"{"service_type":"a b"}"#, "service_type"),
            (r#"{"service_type":""}"#, "service_type"),
            (r#"{"tlvs":[{"tag":"0x0424","value":"00"}]}"#, "tlvs"),
            (r#"{"tlvs":[{"tag":"0x0000","value":"00"}]}"#, "tlvs"),
            (r#"{"tlvs":[{"tag":"5121","value":"00"}]}"#, "tlvs"),
            (r#"{"tlvs":[{"tag":"0x+401","value":"00"}]}"#, "tlvs"),
            (r#"{"tlvs":[{"tag":"0x1401","value":"0"}]}"#, "tlvs"),
            (
                r#"{"tlvs":[{"tag":"0x1401","value":""},{"tag":"0x1401","value":""}]}"#,
                "tlvs",
            ),
            (&long, "tlvs"),
        ] {
            let problem = options(&body(json)).unwrap_err();
            assert_eq!(
                (problem.code, problem.field),
                (ApiCode::InvalidField, Some(field)),
                "{json}"
            );
        }
    }

    #[test]
    fn flash_is_message_class_0_and_a_contradiction_is_refused() {
        let class = |json: &str| message_class(&body(json)).ok();
        assert_eq!(class("{}"), Some(None));
        assert_eq!(class(r#"{"flash":true}"#), Some(Some(0)));
        assert_eq!(class(r#"{"flash":true,"message_class":0}"#), Some(Some(0)));
        assert_eq!(class(r#"{"flash":false,"message_class":2}"#), Some(Some(2)));
        assert_eq!(class(r#"{"flash":true,"message_class":2}"#), None);
        assert_eq!(class(r#"{"message_class":4}"#), None);
    }

    #[test]
    fn send_at_has_bounds_and_the_recent_past_is_now() {
        let now = Timestamp::from_rfc3339("2027-01-01T00:00:00Z").unwrap();
        let at = |text: &str| send_at(Some(text), now, Duration::from_secs(3600));
        let ahead = Timestamp::from_rfc3339("2027-01-01T01:00:00Z").unwrap();
        assert_eq!(at("2027-01-01T02:00:00+01:00").unwrap(), Some(ahead));
        assert_eq!(at("2027-01-01T00:00:00Z").unwrap(), None);
        assert_eq!(at("2026-12-31T23:55:00Z").unwrap(), None);
        for wrong in ["2026-12-31T23:54:59Z", "2027-01-01T01:00:01Z", "tomorrow", ""] {
            assert_eq!(at(wrong).unwrap_err().field, Some("send_at"), "{wrong}");
        }
        assert_eq!(send_at(None, now, Duration::ZERO).unwrap(), None);
    }

    #[test]
    fn tags_are_few_short_and_different() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(tags(Some(&words(&["a", "b"]))).unwrap(), Some(words(&["a", "b"])));
        assert_eq!(tags(Some(&[])).unwrap(), None);
        let many: Vec<String> = (0..=MAX_TAGS).map(|n| n.to_string()).collect();
        for wrong in [
            words(&[""]),
            words(&["a", "a"]),
            words(&["a\nb"]),
            vec!["x".repeat(65)],
            many,
        ] {
            assert_eq!(tags(Some(&wrong)).unwrap_err().field, Some("tags"));
        }
    }
}
