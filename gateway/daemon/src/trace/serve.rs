//! Answers `/trace/…` on the administrator's listener.
//!
//! For who has the token or shows a certificate; else only for this machine: the caller's address is loopback and the Host header
//! names no other (a web page that a browser on this machine has open cannot ask under a name of its own).

use super::capture::{Ask, Captures, LARGEST, LONGEST, Lines, SMALLEST, StartError, USUAL};
use super::{message, query};
use crate::operators::ORDER_HEADER;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use smsgw_config::ConfigHandle;
use smsgw_history::History;
use smsgw_message::LinkId;
use smsgw_node_operator::{CaptureError, LinkTable};
use smsgw_queue::Engine;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

/// The answer of the listener: at once, or as it comes.
pub(crate) type Answer = Response<Either<Full<Bytes>, Lines>>;

/// What the answers are made of.
pub(crate) struct Desk<'a> {
    pub(crate) engine: &'a Arc<dyn Engine>,
    pub(crate) config: &'a ConfigHandle,
    /// Absent when this process runs no operator node.
    pub(crate) links: Option<&'a LinkTable>,
    pub(crate) captures: Option<&'a Captures>,
    /// Absent when there is none.
    pub(crate) history: Option<&'a History>,
    pub(crate) caller: &'a Caller,
}

/// How the audit begins the name of who showed a certificate. Nobody else is named so.
pub(crate) const BY_CERTIFICATE: &str = "certificate ";

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    pub(crate) peer: Option<IpAddr>,
    /// It has the token of `[admin]`, which no web page of another site has.
    pub(crate) bearer: bool,
    /// The name in the certificate that it showed, signed by who signs those of administrators.
    pub(crate) certificate: Option<Arc<str>>,
}

impl Caller {
    /// From this machine.
    pub(crate) fn is_here(&self) -> bool {
        self.peer.is_some_and(|peer| peer.to_canonical().is_loopback())
    }

    /// As the audit shows it.
    pub(crate) fn by(&self) -> String {
        match &self.certificate {
            Some(name) => format!("{BY_CERTIFICATE}{name}"),
            None => "admin".to_owned(),
        }
    }
}

impl Desk<'_> {
    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        if !self.is_near(request) {
            return said(
                StatusCode::FORBIDDEN,
                "/trace answers only on this machine, under its loopback address; by certificate, a POST carries x-smsgw-order",
            );
        }
        let asked = request.uri().query().unwrap_or_default();
        match (request.uri().path(), request.method()) {
            ("/trace/message", &Method::GET) => self.message(asked).await,
            ("/trace/link", &Method::POST) => self.link(asked),
            ("/trace/message" | "/trace/link", _) => said(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET /trace/message, POST /trace/link",
            ),
            _ => said(StatusCode::NOT_FOUND, "try /trace/message or /trace/link"),
        }
    }

    /// The caller has the token; or showed a certificate; or is on this machine, and no web page under another name. A browser
    /// shows a certificate for any page: what is more than reading then needs the header that no page of another site can send.
    pub(crate) fn is_near<B>(&self, request: &Request<B>) -> bool {
        if self.caller.bearer {
            return true;
        }
        if self.caller.certificate.is_some() {
            return *request.method() == Method::GET || request.headers().contains_key(ORDER_HEADER);
        }
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let named = host.is_some_and(|host| {
            let name = match host.rsplit_once(':') {
                Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
                Some(_) | None => host,
            };
            let name = name.trim_start_matches('[').trim_end_matches(']');
            name == "localhost" || name.parse::<IpAddr>().is_ok()
        });
        named && self.caller.is_here()
    }

    async fn message(&self, asked: &str) -> Answer {
        let Some(id) = query::value(asked, "id").filter(|id| !id.is_empty()) else {
            return said(StatusCode::UNPROCESSABLE_ENTITY, "id is missing or no text");
        };
        match message::find(self.engine.as_ref(), &self.config.config(), self.history, &id).await {
            Ok(found) => {
                let nothing = found.messages.is_empty()
                    && found.parked.is_empty()
                    && found.gone.is_empty()
                    && found.history_error.is_none();
                let status = if nothing {
                    StatusCode::NOT_FOUND
                } else {
                    StatusCode::OK
                };
                json(status, &found)
            }
            Err(error) => {
                error!(%error, "a message cannot be looked up");
                said(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &format!("{:#}", anyhow::Error::from(error)),
                )
            }
        }
    }

    fn link(&self, asked: &str) -> Answer {
        let (Some(links), Some(captures)) = (self.links, self.captures) else {
            return said(StatusCode::NOT_FOUND, "this process runs no operator node");
        };
        let link = query::value(asked, "link").and_then(|link| LinkId::try_new(&link).ok());
        let Some(link) = link else {
            return said(StatusCode::UNPROCESSABLE_ENTITY, "link is missing or no name");
        };
        let number = |key, usual: u64| match query::value(asked, key) {
            None => Some(usual),
            Some(text) => text.parse().ok(),
        };
        let time = number("seconds", 300)
            .map(Duration::from_secs)
            .filter(|time| !time.is_zero() && *time <= LONGEST);
        let octets = number("octets", USUAL).filter(|octets| (SMALLEST..=LARGEST).contains(octets));
        let (Some(time), Some(octets)) = (time, octets) else {
            return said(
                StatusCode::UNPROCESSABLE_ENTITY,
                "seconds is from 1 to 3600, octets from 1 MiB to 1 GiB",
            );
        };
        let ask = Ask { link, time, octets };
        match captures.start(&ask, links, Arc::clone(self.engine)) {
            Ok(lines) => {
                let mut answer = Response::new(Either::Right(lines));
                answer
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
                answer
            }
            Err(error) => {
                let status = match &error {
                    StartError::Link(CaptureError::NoSuchLink) => StatusCode::NOT_FOUND,
                    StartError::Link(CaptureError::Busy) | StartError::Busy => StatusCode::CONFLICT,
                    StartError::File { .. } => StatusCode::INTERNAL_SERVER_ERROR,
                };
                said(status, &format!("{:#}", anyhow::Error::from(error)))
            }
        }
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).expect("strings and numbers are valid JSON");
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(body))));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A refusal, as text on one line.
fn said(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(format!("{text}\n")))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_config::Config;
    use smsgw_queue::MemoryEngine;
    use smsgw_runtime::SystemClock;

    async fn status(method: Method, uri: &str, host: Option<&str>, peer: &str) -> u16 {
        status_of(method, uri, host, peer, &Caller::default(), false).await
    }

    async fn status_of(
        method: Method,
        uri: &str,
        host: Option<&str>,
        peer: &str,
        caller: &Caller,
        marked: bool,
    ) -> u16 {
        let engine: Arc<dyn Engine> = MemoryEngine::new(Arc::new(SystemClock));
        let config = ConfigHandle::new(Config::default());
        let (links, captures) = (LinkTable::default(), Captures::new("/nowhere".into()));
        let desk = Desk {
            engine: &engine,
            config: &config,
            links: Some(&links),
            captures: Some(&captures),
            history: None,
            caller: &Caller {
                peer: peer.parse().ok(),
                ..caller.clone()
            },
        };
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        if marked {
            request = request.header(ORDER_HEADER, "1");
        }
        desk.answer(&request.body(()).unwrap()).await.status().as_u16()
    }

    #[tokio::test]
    async fn only_this_machine_is_answered_and_only_under_its_address() {
        let ask = |host, peer| status(Method::GET, "/trace/message?id=x", host, peer);
        for host in ["127.0.0.1:8081", "127.0.0.1", "localhost:8081", "[::1]:8081"] {
            assert_eq!(ask(Some(host), "127.0.0.1").await, 404, "{host}");
        }
        assert_eq!(ask(Some("127.0.0.1"), "::ffff:127.0.0.1").await, 404);
        for host in [Some("evil.example:8081"), Some("evil.example"), Some(""), None] {
            assert_eq!(ask(host, "127.0.0.1").await, 403, "{host:?}");
        }
        for peer in ["192.0.2.7", "::2", "?"] {
            assert_eq!(ask(Some("127.0.0.1:8081"), peer).await, 403, "{peer}");
        }
    }

    #[tokio::test]
    async fn from_other_machines_who_has_a_token_or_a_certificate_is_answered_but_no_page_of_another_site() {
        let token = Caller {
            bearer: true,
            ..Caller::default()
        };
        let certificate = Caller {
            certificate: Some("alice".into()),
            ..Caller::default()
        };
        assert_eq!(
            (token.by(), certificate.by()),
            ("admin".into(), "certificate alice".into())
        );
        let (host, far) = (Some("gw.example:8081"), "192.0.2.7");
        let read = "/trace/message?id=x";
        let capture = "/trace/link?link=alpha-1";
        for (caller, marked, reads, captures) in [
            (&Caller::default(), true, 403, 403),
            (&token, false, 404, 404),
            (&certificate, false, 404, 403),
            (&certificate, true, 404, 404),
        ] {
            let got = status_of(Method::GET, read, host, far, caller, marked).await;
            assert_eq!(got, reads, "{caller:?} {marked}");
            let got = status_of(Method::POST, capture, host, far, caller, marked).await;
            assert_eq!(got, captures, "{caller:?} {marked}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_refused_by_name() {
        let ask = |method, uri: &'static str| async move {
            status(method, uri, Some("localhost"), "127.0.0.1").await
        };
        assert_eq!(ask(Method::GET, "/trace/message").await, 422);
        assert_eq!(ask(Method::GET, "/trace/message?id=%zz").await, 422);
        assert_eq!(ask(Method::POST, "/trace/message?id=1").await, 405);
        assert_eq!(ask(Method::GET, "/trace/link?link=alpha-1").await, 405);
        assert_eq!(ask(Method::POST, "/trace/link").await, 422);
        assert_eq!(ask(Method::POST, "/trace/link?link=../../etc").await, 422);
        for bounds in [
            "seconds=0",
            "seconds=3601",
            "seconds=x",
            "octets=1000",
            "octets=1073741825",
        ] {
            let uri: &'static str = format!("/trace/link?link=alpha-1&{bounds}").leak();
            assert_eq!(ask(Method::POST, uri).await, 422, "{bounds}");
        }
        assert_eq!(
            ask(Method::POST, "/trace/link?link=alpha-1").await,
            404,
            "no such link"
        );
        assert_eq!(ask(Method::GET, "/trace/").await, 404);
    }
}
