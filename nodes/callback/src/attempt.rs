//! One attempt: a request with a deadline, and what came back.
//!
//! The status is the outcome unless the client's policy asks for more: what follows it is read so that the connection can be used
//! again. Invariant: an attempt ends within the client's timeout and [`BODY_PATIENCE`], and reads at most [`MAX_ANSWER`] octets of
//! the answer's body and [`MAX_HEAD`] of its head; redirects are not followed.

use crate::answer::{self, Answer, Outcome};
use crate::guard::{GuardError, GuardedConnector};
use crate::policy::Policy;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use smsgw_config::ConfigHandle;
use smsgw_message::Timestamp;
use smsgw_transport::TlsClient;
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, error};

/// Most octets of an answer that are read; more is no reason to fail, but the connection is not used again.
const MAX_ANSWER: usize = 64 * 1024;
/// Most octets of an answer's head.
const MAX_HEAD: usize = 32 * 1024;
/// How long the body of an answer is waited for once its status is there and all that counts.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// How often an HTTP/2 connection is asked whether it is alive, and how long it may take to say so.
const ALIVE: Duration = Duration::from_secs(10);

/// An HTTP client with its pool of connections: HTTP/2 where TLS agrees on it, else HTTP/1.1 kept alive.
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
    /// Certificates are checked as `tls` says, else against the system's roots. On a machine without roots no `https` target can
    /// be trusted, but `http` ones work.
    pub(crate) fn new(config: ConfigHandle, tls: Option<&TlsClient>) -> Self {
        let idle = usize::try_from(config.config().callback.max_per_target).unwrap_or(usize::MAX);
        let builder = HttpsConnectorBuilder::new();
        let builder = match tls {
            Some(tls) => builder.with_tls_config(tls.config().clone()),
            None => match HttpsConnectorBuilder::new().with_native_roots() {
                Ok(builder) => builder,
                Err(error) => {
                    error!(%error, "no certificates of authorities on this machine: callbacks to https targets will fail");
                    let none = ClientConfig::builder()
                        .with_root_certificates(RootCertStore::empty())
                        .with_no_client_auth();
                    builder.with_tls_config(none)
                }
            },
        };
        let connector = builder
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(GuardedConnector::new(config));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(idle)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http1_max_buf_size(MAX_HEAD)
            .http2_max_header_list_size(u32::try_from(MAX_HEAD).expect("a small constant"))
            .http2_keep_alive_interval(ALIVE)
            .http2_keep_alive_timeout(ALIVE)
            .build(connector);
        Self { client }
    }

    /// Sends the request and waits for the answer: for its status up to the client's timeout; for its body as long, where the body
    /// counts, else a moment.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        policy: &Policy,
        needs_body: bool,
        now: Timestamp,
    ) -> Answer {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let until = Instant::now() + policy.timeout;
        let answer = match timeout_at(until, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if is_blocked(&error) => return Outcome::Blocked.into(),
            Ok(Err(error)) => {
                debug!(%host, error = &error as &dyn std::error::Error, "callback target could not be asked");
                return Outcome::Connect.into();
            }
            Err(_) => return Outcome::Timeout.into(),
        };
        let status = answer.status();
        let retry_after = answer::retry_after(answer.headers(), now);
        let rest = Limited::new(answer.into_body(), MAX_ANSWER).collect();
        // A body that breaks, is too long or does not end costs the connection; what it would have said is not known.
        let body = if needs_body {
            timeout_at(until, rest).await
        } else {
            timeout(BODY_PATIENCE.min(policy.timeout), rest).await
        };
        let body = match body {
            Ok(Ok(body)) => Some(body.to_bytes().to_vec()),
            Ok(Err(_)) | Err(_) => {
                debug!(%host, "connection to a callback target is not used again: its answer did not end in bounds");
                None
            }
        };
        Answer {
            outcome: answer::judge(policy, status, body.as_deref()),
            retry_after,
            body: body.filter(|_| needs_body),
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
