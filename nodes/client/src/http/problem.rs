//! Errors of the HTTP API as problem documents (RFC 9457): a stable `code`, a sentence for people, the field if one is
//! to blame. What the log sees is another matter: nothing of a request's content leaves through here but to its sender.

use crate::accept::Refusal;
use crate::admission::{Refused, Why};
use crate::http::answer::{Answer, full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use smsgw_telemetry::ApiCode;
use std::time::Duration;

/// After how long a client should try again when the gateway sheds load.
const OVERLOAD_RETRY: Duration = Duration::from_secs(2);

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: ApiCode,
    pub(crate) detail: String,
    pub(crate) field: Option<&'static str>,
    pub(crate) retry_after: Option<Duration>,
    /// The methods that the path has, for 405.
    allow: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(code: ApiCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            field: None,
            retry_after: None,
            allow: None,
        }
    }

    pub(crate) fn field(code: ApiCode, field: &'static str, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field),
            ..Self::new(code, detail)
        }
    }

    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// This path has these methods and no other (RFC 9110 section 15.5.6 asks to name them).
    pub(crate) fn wrong_method(allow: String) -> Self {
        Self {
            allow: Some(allow.clone()),
            ..Self::new(ApiCode::MethodNotAllowed, format!("this path takes {allow}"))
        }
    }

    /// Load is shed; the same request may go through a little later.
    pub(crate) fn overloaded(why: &'static str) -> Self {
        Self::new(ApiCode::Overloaded, why).retry_after(OVERLOAD_RETRY)
    }

    /// The engine did not take the accept, or a counter in its step did not.
    pub(crate) fn not_stored(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OverQuota(used_up) => Refused::from(used_up).into(),
            Refusal::InsufficientCredit => Self::new(ApiCode::InsufficientCredit, refusal.words()),
            Refusal::Taken
            | Refusal::Full
            | Refusal::NoSpace
            | Refusal::Stopping
            | Refusal::Failed
            | Refusal::Late => Self::overloaded(refusal.words()),
        }
    }

    pub(crate) fn into_response(self) -> Answer {
        let status = StatusCode::from_u16(self.code.status()).expect("every code has a valid HTTP status");
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: &self.detail,
            field: self.field,
        };
        let body = serde_json::to_vec(&document).expect("a struct of strings is valid JSON");
        let mut response = Response::new(full(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.retry_after {
            // Whole seconds (RFC 9110 section 10.2.3), rounded up: who comes back then is not refused again.
            let seconds = after
                .as_secs()
                .saturating_add(u64::from(after.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(allow) = self.allow {
            let allow = HeaderValue::try_from(allow).expect("names of methods are valid in a header");
            headers.insert(ALLOW, allow);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"smsgw\", Basic realm=\"smsgw\", charset=\"UTF-8\""),
            );
        }
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (code, field) = match refused.why {
            Why::TooManyParts => (ApiCode::TextTooLong, None),
            Why::NoRoute => (ApiCode::NoRoute, Some("to")),
            Why::DestinationDenied => (ApiCode::DestinationDenied, Some("to")),
            Why::SenderDenied => (ApiCode::SenderDenied, Some("from")),
            Why::ContentDenied => (ApiCode::ContentDenied, None),
            Why::OptedOut => (ApiCode::OptedOut, Some("to")),
            Why::RateLimited => (ApiCode::RateLimited, None),
            Why::QuotaExceeded => (ApiCode::QuotaExceeded, None),
            Why::InsufficientCredit => (ApiCode::InsufficientCredit, None),
            Why::Unavailable => (ApiCode::Overloaded, None),
        };
        Self {
            field,
            retry_after: refused.retry_after,
            ..Self::new(code, refused.detail)
        }
    }
}
