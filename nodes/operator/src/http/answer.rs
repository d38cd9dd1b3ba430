//! What an answer of the carrier means: a status in the operator's lists, and the carrier's id.
//!
//! Pure. Invariant: a part is never taken for accepted when the carrier's own code does not say so, where there is one.

use super::pick::{Source, pick};
use hyper::{HeaderMap, StatusCode};
use smsgw_config::{HTTP_BASE, HTTP_CODE_BASE, HttpCarrier};
use smsgw_smpp::{COctets, CommandStatus};
use std::time::{Duration, SystemTime};

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered {
        status: CommandStatus,
        id: COctets,
    },
    /// It was written, and whether it was taken nobody can say.
    Unclear,
}

/// Judges an answer; `body` is all of it, `None` when it broke off or was too long: then nobody can say what a success said.
pub(super) fn judge(
    http: &HttpCarrier,
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Outcome {
    let source = Source {
        headers,
        query: "",
        body: body.unwrap_or_default(),
    };
    let code = http.code.as_ref().and_then(|picker| pick(picker, source));
    let refused = |status| Outcome::Answered {
        status,
        id: COctets::new(),
    };
    let by_code = code.as_deref().and_then(|code| {
        http.codes
            .iter()
            .find(|(name, _)| name.as_str() == code)
            .map(|(_, range)| CommandStatus(range.bounds().0))
    });
    if let Some(status) = by_code {
        return refused(status);
    }
    if !status.is_success() {
        return refused(CommandStatus(
            HTTP_BASE.saturating_add(u32::from(status.as_u16())),
        ));
    }
    match (&http.code, code) {
        (Some(_), None) => return Outcome::Unclear,
        (Some(_), Some(code)) if !http.success.contains(&code) => {
            return refused(match code.parse::<u16>() {
                Ok(number) => CommandStatus(HTTP_CODE_BASE.saturating_add(u32::from(number))),
                Err(_) => CommandStatus::REJECT_APP_ERROR,
            });
        }
        (None | Some(_), _) => {}
    }
    let id = http.id.as_ref().and_then(|picker| pick(picker, source));
    if http.id.is_some() && id.is_none() && body.is_none() {
        return Outcome::Unclear;
    }
    Outcome::Answered {
        status: CommandStatus::OK,
        id: COctets::until_nul(id.unwrap_or_default().as_bytes()),
    }
}

/// How long the carrier asks us to wait (RFC 9110 section 10.2.3): seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(hyper::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}
