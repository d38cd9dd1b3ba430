//! One attempt: a POST with a deadline, and what its outcome means.
//!
//! The status is the outcome: what follows it is read only so that the connection can be used again. Invariant: an attempt
//! ends within `callback.timeout` and [`BODY_PATIENCE`], and reads at most [`MAX_ANSWER`] octets of the answer's body; redirects are not followed,
//! since they would lead around the guard's check of what the client may name.

use crate::guard::{GuardError, GuardedConnector};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use smsgw_config::ConfigHandle;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{debug, error};
use url::Url;

/// Most octets of an answer that are read; more is no reason to fail, but the connection is not used again.
const MAX_ANSWER: usize = 64 * 1024;
/// How long the body of an answer is waited for once its status is there.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Where a callback goes: a URL that can be called, and the name its limits go by.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    uri: Uri,
    authorization: Option<HeaderValue>,
    /// Scheme, host and port: what the breaker and the limit count.
    pub(crate) origin: String,
}

/// Without path and query, which may hold a token.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl Target {
    /// Reads a URL; user and password in it become Basic authentication (RFC 7617).
    pub(crate) fn from_url(url: &str) -> Option<Self> {
        let mut url = Url::parse(url).ok()?;
        let origin = url.origin().ascii_serialization();
        let mut authorization = None;
        if !url.username().is_empty() || url.password().is_some() {
            let pair = format!("{}:{}", url.username(), url.password().unwrap_or_default());
            let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(pair))).ok()?;
            value.set_sensitive(true);
            authorization = Some(value);
            url.set_username("").ok()?;
            url.set_password(None).ok()?;
        }
        url.set_fragment(None);
        Some(Self {
            uri: url.as_str().parse().ok()?,
            authorization,
            origin,
        })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered 2xx.
    Delivered,
    /// Answered otherwise.
    Status(StatusCode),
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
    /// The HTTP status, when there was one that is not 2xx.
    pub(crate) fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.as_u16()),
            Self::Delivered | Self::Timeout | Self::Connect | Self::Blocked | Self::Panicked => None,
        }
    }

    /// The word in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Status(_) => "status",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Blocked => "blocked",
            Self::Panicked => "panicked",
        }
    }
}

/// The HTTP client with its pool of connections.
#[derive(Clone)]
pub(crate) struct Poster {
    client: Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poster")
    }
}

impl Poster {
    /// Certificates are checked against the system's roots. On a machine without roots no `https` target can be trusted,
    /// but `http` ones work.
    pub(crate) fn new(config: ConfigHandle) -> Self {
        let idle = usize::try_from(config.config().callback.max_per_target).unwrap_or(usize::MAX);
        let builder = match HttpsConnectorBuilder::new().with_native_roots() {
            Ok(builder) => builder,
            Err(error) => {
                error!(%error, "no certificates of authorities on this machine: callbacks to https targets will fail");
                let none = ClientConfig::builder()
                    .with_root_certificates(RootCertStore::empty())
                    .with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(none)
            }
        };
        let connector = builder
            .https_or_http()
            .enable_http1()
            .wrap_connector(GuardedConnector::new(config));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(idle)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client }
    }

    /// Posts the body and waits for the answer: up to `within` for its status, then a moment for its body.
    pub(crate) async fn post(
        &self,
        target: &Target,
        event: &str,
        attempt: u32,
        body: Vec<u8>,
        within: Duration,
    ) -> Outcome {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = target.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("smsgw/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert("smsgw-attempt", HeaderValue::from(attempt));
        if let Ok(event) = HeaderValue::try_from(event) {
            headers.insert("smsgw-event", event);
        }
        if let Some(authorization) = &target.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let answer = match timeout(within, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if is_blocked(&error) => return Outcome::Blocked,
            Ok(Err(error)) => {
                debug!(
                    ?target,
                    error = &error as &dyn std::error::Error,
                    "callback target could not be asked"
                );
                return Outcome::Connect;
            }
            Err(_) => return Outcome::Timeout,
        };
        let status = answer.status();
        let rest = Limited::new(answer.into_body(), MAX_ANSWER).collect();
        // A body that breaks, is too long or does not end costs the connection and nothing else.
        let reusable = matches!(timeout(BODY_PATIENCE.min(within), rest).await, Ok(Ok(_)));
        if !reusable {
            debug!(
                ?target,
                "connection to a callback target is not used again: its answer did not end in bounds"
            );
        }
        if status.is_success() {
            Outcome::Delivered
        } else {
            Outcome::Status(status)
        }
    }
}

fn is_blocked(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(guard) = error.downcast_ref::<GuardError>() {
            return match guard {
                GuardError::Blocked => true,
                GuardError::NoHost | GuardError::Unreachable(_) => false,
            };
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_url_and_never_show() {
        let target = Target::from_url("https://user:s3cret@example.org:8443/a?token=t#frag").unwrap();
        assert_eq!(target.origin, "https://example.org:8443");
        assert_eq!(target.uri, "https://example.org:8443/a?token=t");
        assert_eq!(target.authorization.as_ref().unwrap(), "Basic dXNlcjpzM2NyZXQ=");
        let shown = format!("{target:?} {:?}", target.authorization);
        assert!(
            !shown.contains("s3cret") && !shown.contains("dXNlc") && !shown.contains("token"),
            "{shown}"
        );
        assert!(Target::from_url("nonsense").is_none());
    }
}
