//! Takes receipts and MO that the carrier brings as HTTP requests; answers once they are durable.
//!
//! Knows no traffic: what it read it puts where the operator's links take it. Invariant: success is answered only after a link has
//! said that the delivery is durable; everything else that may pass is 503 with Retry-After.
//!
//! # Limits
//! Without TLS: a proxy in front of it has that. Behind a proxy `allow` sees the proxy's address. A delivery that became durable
//! after our patience was answered 503: the carrier brings it again, and an MO is taken twice.

use super::pick::{Source, pick};
use super::request::sign;
use super::{Arrival, Arrivals, Brought};
use crate::account::Account;
use crate::calls::same;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use smsgw_config::{HttpInbound, InboundAuth, Operator, ReceiptState};
use smsgw_message::Address;
use smsgw_message::Encoding;
use smsgw_message::text::{self, Requested};
use smsgw_runtime::{ChildContext, ChildError};
use smsgw_smpp::{Address as WireAddress, DeliverSm, Tlvs, tlv};
use smsgw_transport::Listener;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

/// Pause after the address could not be had.
const AGAIN: Duration = Duration::from_secs(5);
/// Connections at once.
const CONNECTIONS: usize = 256;
/// How long a request may take to come.
const READING: Duration = Duration::from_secs(10);
/// How long a link and the engine may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Octets of a body.
const MAX_BODY: usize = 256 * 1024;
const RECEIPT: u8 = 0x04;
const UDHI: u8 = 0x40;

/// What the listener of one operator knows.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) account: Arc<Account>,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) address: SocketAddr,
}

/// The task: listens, until it is told to drain.
pub(crate) async fn run(ctx: ChildContext, inbound: Arc<Inbound>) -> Result<(), ChildError> {
    // A port that is taken delays nobody: up means running, as for links.
    ctx.ready();
    let account = &inbound.account;
    let listener = loop {
        match Listener::bind(inbound.address).await {
            Ok(listener) => break listener,
            Err(error) => {
                error!(operator = %account.id, address = %inbound.address, error = %error.kind, retry_in = ?AGAIN, "cannot listen for the carrier's requests");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = sleep(AGAIN) => {}
                }
            }
        }
    };
    info!(operator = %account.id, address = %listener.local_addr(), "listening for the carrier's requests");
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // Connections end with the set.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = ctx.draining() => return Ok(()),
            Some(ended) = connections.join_next() => if let Err(error) = ended {
                error!(operator = %account.id, %error, "serving a carrier failed");
            },
            (stream, peer) = listener.accept() => {
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                    warn!(operator = %account.id, %peer, "too many connections for the carrier's requests");
                    continue;
                };
                let inbound = Arc::clone(&inbound);
                connections.spawn(async move {
                    let service = service_fn(|request| {
                        let inbound = Arc::clone(&inbound);
                        async move { Ok::<_, std::convert::Infallible>(serve(&inbound, peer, request).await) }
                    });
                    let mut server = auto::Builder::new(TokioExecutor::new());
                    server.http1().timer(TokioTimer::new()).header_read_timeout(READING);
                    server.http2().timer(TokioTimer::new()).keep_alive_interval(Some(READING));
                    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                        debug!(operator = %inbound.account.id, %peer, error, "connection of the carrier broke");
                    }
                    drop(permit);
                });
            }
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mo,
    Receipt,
}

async fn serve(inbound: &Inbound, peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let operator = inbound.account.settings();
    let Some(settings) = operator.http.as_ref().and_then(|http| http.inbound.as_ref()) else {
        return plain(StatusCode::NOT_FOUND);
    };
    let ip = peer.ip().to_canonical();
    if !settings.allow.is_empty() && !settings.allow.iter().any(|net| net.contains(&ip)) {
        warn!(operator = %inbound.account.id, %peer, "request from an address that is not in allow");
        return plain(StatusCode::FORBIDDEN);
    }
    let Some(kind) = kind(settings, request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND);
    };
    if !matches!(*request.method(), Method::GET | Method::POST | Method::PUT) {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    let (head, body) = request.into_parts();
    let body = match timeout(READING, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return plain(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT),
    };
    if !is_carrier(settings, &head.headers, &body) {
        warn!(operator = %inbound.account.id, %peer, "request without the carrier's secret");
        return plain(StatusCode::UNAUTHORIZED);
    }
    let source = Source {
        headers: &head.headers,
        query: head.uri.query().unwrap_or_default(),
        body: &body,
    };
    let message = match kind {
        Kind::Mo => mo(settings, source),
        Kind::Receipt => receipt(&operator, settings, source),
    };
    let (brought, done) = match message {
        Some(message) => (Brought::Message(message), answered(settings)),
        None => {
            warn!(operator = %inbound.account.id, %peer, ?kind, "request of the carrier lacks a field; kept as corrupt");
            let kept = match body.is_empty() {
                true => Bytes::copy_from_slice(source.query.as_bytes()),
                false => body.clone(),
            };
            (Brought::Unreadable(kept), plain(StatusCode::UNPROCESSABLE_ENTITY))
        }
    };
    let (answer, durable) = oneshot::channel();
    let taken = timeout(PATIENCE, async {
        inbound
            .arrivals
            .sender
            .send(Arrival { brought, answer })
            .await
            .ok()?;
        durable.await.ok()
    });
    match taken.await {
        Ok(Some(true)) => done,
        Ok(Some(false) | None) | Err(_) => {
            let mut later = plain(StatusCode::SERVICE_UNAVAILABLE);
            later
                .headers_mut()
                .insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("5"));
            later
        }
    }
}

fn kind(settings: &HttpInbound, path: &str) -> Option<Kind> {
    let is = |wanted: &Option<String>| {
        wanted.as_deref().is_some_and(|wanted| match settings.auth {
            InboundAuth::Path => path
                .strip_prefix(wanted)
                .and_then(|rest| rest.strip_prefix('/'))
                .zip(settings.secret.as_ref())
                .is_some_and(|(given, secret)| {
                    same(
                        given.as_bytes(),
                        super::request::percent(secret.expose()).as_bytes(),
                    )
                }),
            InboundAuth::None | InboundAuth::Header | InboundAuth::Hmac => path == wanted,
        })
    };
    if is(&settings.mo_path) {
        Some(Kind::Mo)
    } else if is(&settings.receipt_path) {
        Some(Kind::Receipt)
    } else {
        None
    }
}

/// Whether the request has the secret where it belongs; that of a path was looked for with the path.
fn is_carrier(settings: &HttpInbound, headers: &hyper::HeaderMap, body: &[u8]) -> bool {
    let given = settings
        .header
        .as_ref()
        .and_then(|name| headers.get(name.as_str()))
        .map(|value| value.as_bytes());
    match (settings.auth, given, &settings.secret) {
        (InboundAuth::None | InboundAuth::Path, _, _) => true,
        (InboundAuth::Header, Some(given), Some(secret)) => same(secret.expose().as_bytes(), given),
        (InboundAuth::Hmac, Some(given), Some(secret)) => {
            same(sign(secret.expose(), body, settings.signature).as_bytes(), given)
        }
        // A secret that was not read lets nobody in.
        (InboundAuth::Header | InboundAuth::Hmac, _, _) => false,
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn answered(settings: &HttpInbound) -> Response<Full<Bytes>> {
    let status = u16::try_from(settings.answer_status).unwrap_or(200);
    let mut response = Response::new(Full::new(Bytes::from(settings.answer_body.clone())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if let Ok(value) = settings.answer_type.parse() {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

fn mo(settings: &HttpInbound, source: Source<'_>) -> Option<DeliverSm> {
    let value = |picker: &Option<_>| picker.as_ref().and_then(|picker| pick(picker, source));
    let header = match value(&settings.mo.udh) {
        Some(header) => unhex(&header)?,
        None => Vec::new(),
    };
    let (data_coding, body) = match value(&settings.mo.data) {
        Some(data) => (4, unhex(&data)?),
        None => {
            let text = value(&settings.mo.text).unwrap_or_default();
            let encoded = text::encode(&text, Requested::Auto).ok()?;
            let coding = match encoded.encoding {
                Encoding::Gsm7 => 0,
                Encoding::Ucs2 => 8,
                Encoding::Latin1 => 3,
                Encoding::Binary => 4,
            };
            (coding, encoded.bytes)
        }
    };
    Some(DeliverSm {
        source: wire(&value(&settings.mo.from)?)?,
        destination: wire(&value(&settings.mo.to)?)?,
        esm_class: if header.is_empty() { 0 } else { UDHI },
        data_coding,
        short_message: Bytes::from([header, body].concat()),
        ..DeliverSm::default()
    })
}

fn receipt(operator: &Operator, settings: &HttpInbound, source: Source<'_>) -> Option<DeliverSm> {
    let value = |picker: &Option<_>| picker.as_ref().and_then(|picker| pick(picker, source));
    let (id, word) = (value(&settings.receipt.id)?, value(&settings.receipt.state)?);
    let state = state(operator, &word);
    let error = value(&settings.receipt.error).unwrap_or_default();
    // Read as appendix B has it: a blank would end the value.
    let error: String = error
        .chars()
        .filter(|character| character.is_ascii_graphic())
        .take(32)
        .collect();
    let told = if error.is_empty() {
        String::new()
    } else {
        format!(" err:{error}")
    };
    let text = format!("stat:{}{told} text:{word}", state.as_str());
    let mut tlvs = Tlvs::new();
    tlvs.push(tlv::tag::RECEIPTED_MESSAGE_ID, format!("{id}\0").as_bytes())
        .ok()?;
    tlvs.push(tlv::tag::MESSAGE_STATE, &[number(state)]).ok()?;
    Some(DeliverSm {
        esm_class: RECEIPT,
        short_message: Bytes::from(text),
        tlvs,
        ..DeliverSm::default()
    })
}

/// By the operator's words, then by those that many carriers use; a word nobody knows is not final.
fn state(operator: &Operator, word: &str) -> ReceiptState {
    let own = operator
        .receipt_words
        .iter()
        .find(|(known, _)| known.as_str().eq_ignore_ascii_case(word));
    if let Some((_, state)) = own {
        return *state;
    }
    let word = word.to_ascii_uppercase();
    if let Some(state) = ReceiptState::from_word(&word) {
        return state;
    }
    match word.as_str() {
        "DELIVERED" => ReceiptState::Delivrd,
        "UNDELIVERED" | "UNDELIVERABLE" | "FAILED" => ReceiptState::Undeliv,
        "REJECTED" => ReceiptState::Rejectd,
        "CANCELLED" | "CANCELED" => ReceiptState::Deleted,
        _ => ReceiptState::Enroute,
    }
}

/// message_state (SMPP 3.4 section 5.2.28).
const fn number(state: ReceiptState) -> u8 {
    match state {
        ReceiptState::Enroute => 1,
        ReceiptState::Delivrd => 2,
        ReceiptState::Expired => 3,
        ReceiptState::Deleted => 4,
        ReceiptState::Undeliv => 5,
        ReceiptState::Acceptd => 6,
        ReceiptState::Unknown => 7,
        ReceiptState::Rejectd => 8,
    }
}

fn wire(number: &str) -> Option<WireAddress> {
    // In a query `+` is a blank.
    let address = Address::msisdn(number.trim())
        .or_else(|_| Address::sender(number.trim()))
        .ok()?;
    WireAddress::try_new(address.ton().0, address.npi().0, address.as_str().as_bytes()).ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    digits
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()
        })
        .collect()
}
