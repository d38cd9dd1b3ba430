//! What an answer means: settled or not, how long to stay away, whether it carries a reply to an MO.
//!
//! Pure. The status decides, and the body where the client's policy says so; redirects are failures, since they would lead
//! around the guard's check of what the client may name. Invariant: only what the client's policy calls a success settles.

use crate::policy::Policy;
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use smsgw_config::CallbackFormat;
use smsgw_message::{ClientRequest, Down, DownKind, Timestamp};
use std::time::{Duration, UNIX_EPOCH};

/// Longest text of a reply, in octets: more is no short message.
const MAX_REPLY: usize = 16 * 1024;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered as the policy wants it.
    Delivered,
    /// Answered otherwise.
    Status(StatusCode),
    /// Answered well, and the body is not what the policy wants.
    Unmatched(StatusCode),
    /// Answered 410: the target wants the event no more.
    Gone,
    /// No status in time.
    Timeout,
    /// No connection, or it broke, or what came back was not HTTP.
    Connect,
    /// No address of the target may be called.
    Blocked,
    /// The attempt itself broke down: a fault of ours.
    Panicked,
}

impl Outcome {
    /// The HTTP status, when there was one and it did not settle.
    pub(crate) fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) | Self::Unmatched(status) => Some(status.as_u16()),
            Self::Gone => Some(410),
            Self::Delivered | Self::Timeout | Self::Connect | Self::Blocked | Self::Panicked => None,
        }
    }

    /// Whether the target is well, as far as its breaker is concerned: one that answers 410 is.
    pub(crate) fn is_answered(self) -> bool {
        match self {
            Self::Delivered | Self::Gone => true,
            Self::Status(_)
            | Self::Unmatched(_)
            | Self::Timeout
            | Self::Connect
            | Self::Blocked
            | Self::Panicked => false,
        }
    }

    /// The word in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Status(_) => "status",
            Self::Unmatched(_) => "unmatched",
            Self::Gone => "gone",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Blocked => "blocked",
            Self::Panicked => "panicked",
        }
    }
}

/// An attempt that ended, with what its answer says beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// The target asks not to be called for so long.
    pub(crate) retry_after: Option<Duration>,
    /// The body, where it was asked for and came whole.
    pub(crate) body: Option<Vec<u8>>,
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            retry_after: None,
            body: None,
        }
    }
}

/// Whether the body is needed to tell what an answer means.
pub(crate) fn needs_body(policy: &Policy, is_mo: bool) -> bool {
    policy.own.success_body.is_some() || (policy.own.replies && is_mo)
}

/// What status and body mean.
pub(crate) fn judge(policy: &Policy, status: StatusCode, body: Option<&[u8]>) -> Outcome {
    let listed = &policy.own.success;
    let good = match listed.is_empty() {
        true => status.is_success(),
        false => listed.contains(&u32::from(status.as_u16())),
    };
    match (good, &policy.own.success_body) {
        (true, None) => Outcome::Delivered,
        (true, Some(pattern)) => {
            let found = body.is_some_and(|body| pattern.is_found_in(&String::from_utf8_lossy(body)));
            if found {
                Outcome::Delivered
            } else {
                Outcome::Unmatched(status)
            }
        }
        (false, _) if status == StatusCode::GONE => Outcome::Gone,
        (false, _) => Outcome::Status(status),
    }
}

/// `Retry-After` as seconds or as a date (RFC 9110 section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|octet| octet.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit mean: very long.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let at = at.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let at = Timestamp::from_millis(i64::try_from(at).ok()?);
    Some(at.since(now))
}

/// The reply that a successful answer to an MO carries. A body that is none at all (`OK`) is no reply; one that should be and
/// cannot be used comes back as refused, for people.
pub(crate) fn reply(policy: &Policy, down: &Down, body: &[u8], now: Timestamp) -> Option<ClientRequest> {
    let DownKind::Mo(mo) = &down.what else { return None };
    if !policy.own.replies {
        return None;
    }
    let request = |body: String, refused: Option<&str>| ClientRequest {
        event: down.event,
        client: down.client.clone(),
        event_at: down.at,
        phone: mo.from.clone(),
        number: mo.to.clone(),
        body,
        at: now,
        refused: refused.map(str::to_owned),
        auto: None,
    };
    let quoted =
        |octets: &[u8]| String::from_utf8_lossy(octets.get(..MAX_REPLY).unwrap_or(octets)).into_owned();
    if policy.own.format != CallbackFormat::Json {
        let text = match std::str::from_utf8(body) {
            Ok(text) => text.trim_end_matches(['\r', '\n']),
            Err(_) => return Some(request(quoted(body), Some("the answer is not UTF-8"))),
        };
        if text.trim().is_empty() {
            return None;
        }
        if text.len() > MAX_REPLY {
            return Some(request(
                quoted(body),
                Some("the answer is longer than a reply may be"),
            ));
        }
        return Some(request(serde_json::json!({ "text": text }).to_string(), None));
    }
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let reply = document.get("reply").filter(|reply| !reply.is_null())?;
    let text = reply.to_string();
    let refused = match reply.as_object() {
        None => Some("reply is not an object"),
        Some(_) if text.len() > MAX_REPLY => Some("the reply is longer than one may be"),
        Some(fields) if fields.contains_key("to") => {
            Some("a reply goes to the phone that wrote: it has no to")
        }
        Some(_) => None,
    };
    Some(request(
        if refused.is_some() {
            quoted(text.as_bytes())
        } else {
            text
        },
        refused,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{mo, policy};
    use hyper::header::HeaderValue;

    #[test]
    fn any_2xx_settles_unless_the_policy_says_otherwise() {
        let plain = policy("");
        let judged = |policy: &Policy, status: u16, body: &str| {
            judge(
                policy,
                StatusCode::from_u16(status).unwrap(),
                Some(body.as_bytes()),
            )
            .as_str()
        };
        for (status, word) in [
            (200, "delivered"),
            (299, "delivered"),
            (301, "status"),
            (404, "status"),
            (410, "gone"),
        ] {
            assert_eq!(judged(&plain, status, ""), word, "{status}");
        }
        let listed = policy("success = [200, 404]\nsuccess_body = \"(?i)^ok\"");
        for (status, body, word) in [
            (200, "OK done", "delivered"),
            (404, "ok", "delivered"),
            (200, "not ok", "unmatched"),
            (204, "ok", "status"),
            (410, "ok", "gone"),
        ] {
            assert_eq!(judged(&listed, status, body), word, "{status} {body}");
        }
        assert_eq!(
            judge(&listed, StatusCode::OK, None).as_str(),
            "unmatched",
            "a body that broke"
        );
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_each_form_of_date() {
        let now = Timestamp::from_rfc3339("1994-11-06T08:49:07Z").unwrap();
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("99999999999999999999999"), Some(u64::from(u32::MAX)));
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(date), Some(30), "{date}");
        }
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "in the past");
        for wrong in ["", "soon", "-5", "1.5"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_reply_is_taken_where_it_is_allowed_and_kept_where_it_is_wrong() {
        let now = Timestamp::from_millis(5);
        let json = policy("replies = true");
        let of = |policy: &Policy, body: &str| reply(policy, &mo(), body.as_bytes(), now);
        let good = of(&json, r#"{"reply":{"text":"Hello","class":"otp"}}"#).unwrap();
        assert_eq!(
            (good.body.as_str(), good.refused),
            (r#"{"class":"otp","text":"Hello"}"#, None)
        );
        assert_eq!(good.phone.as_str(), "491700000001");
        for none in ["OK", "", "{}", r#"{"reply":null}"#, "[]", "\"reply\""] {
            assert_eq!(of(&json, none), None, "{none}");
        }
        for wrong in [r#"{"reply":"Hello"}"#, r#"{"reply":{"to":"4917","text":"x"}}"#] {
            assert!(of(&json, wrong).unwrap().refused.is_some(), "{wrong}");
        }
        assert_eq!(
            of(&policy(""), r#"{"reply":{"text":"Hello"}}"#),
            None,
            "off by default"
        );
        let get = policy("format = \"get\"\nreplies = true");
        assert_eq!(
            of(&get, "Hi \"you\"\r\n").unwrap().body,
            r#"{"text":"Hi \"you\""}"#
        );
        assert_eq!(of(&get, " \n"), None);
        assert!(reply(&get, &mo(), &[0xff], now).unwrap().refused.is_some());
        assert!(of(&get, &"x".repeat(MAX_REPLY + 1)).unwrap().refused.is_some());
    }
}
