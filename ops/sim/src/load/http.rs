//! Messages to the HTTP API: each connection sends one request after the other on a kept-alive connection.
//!
//! Knows the API's request and the `id` of its answer. Invariants: a request is sent once, never again by itself; what
//! became of it stands in the ledger (`status` 0: nobody knows).
//!
//! # Limits
//! A connection that fails is opened again after 20 ms; after [`FAILURES`] failures in a row its worker ends.

use super::pace::{Pace, Plan};
use super::report::{LoadReport, Tally};
use crate::ledger::{Ledger, LedgerError, LedgerOptions, Sent};
use crate::token::{Token, Way};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

/// Failed connections in a row after which a worker gives up.
const FAILURES: u32 = 500;

/// Messages to the HTTP API.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct HttpLoad {
    /// Where to: `http://host:port`.
    #[arg(long)]
    pub url: String,
    /// The client's key.
    #[arg(long)]
    pub api_key: String,
    /// Connections at once.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// How much and how fast.
    #[command(flatten)]
    pub plan: Plan,
    /// Characters of the text, 17 of them the token.
    #[arg(long, default_value_t = 100)]
    pub text_length: usize,
    /// From; absent: not given.
    #[arg(long)]
    pub from: Option<String>,
    /// Recipients: this and eight digits of the number of the message.
    #[arg(long, default_value = "49170")]
    pub to_prefix: String,
    /// `none`, `final` or `all`; absent: not given.
    #[arg(long)]
    pub report: Option<String>,
    /// Where reports go; absent: not given.
    #[arg(long)]
    pub callback: Option<String>,
    /// How long an answer may take.
    #[arg(long, value_parser = crate::span::parse, default_value = "30s")]
    pub timeout: Duration,
}

impl HttpLoad {
    /// To that address with that key, and the defaults of the command line.
    #[must_use]
    pub fn new(url: impl Into<String>, api_key: impl Into<String>, plan: Plan) -> Self {
        Self {
            url: url.into(),
            api_key: api_key.into(),
            connections: 64,
            plan,
            text_length: 100,
            from: None,
            to_prefix: "49170".into(),
            report: None,
            callback: None,
            timeout: Duration::from_secs(30),
        }
    }
}

/// The load could not be generated.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Not `http://host:port`.
    #[error("`{0}` is no address of the form http://host:port")]
    Url(String),
    /// The key cannot stand in a header.
    #[error("the API key cannot stand in a header")]
    Key,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A worker panicked.
    #[error("a worker ended unexpectedly")]
    Ended(#[from] JoinError),
}

#[derive(Debug)]
struct Job {
    load: HttpLoad,
    authority: String,
    uri: Uri,
    headers: HeaderMap,
    /// The body between token and number, and after it.
    run: u32,
    padding: String,
    tail: String,
    pace: Pace,
    ledger: Mutex<Ledger<Sent>>,
}

/// Sends according to the plan; returns what was measured and the latest records.
///
/// # Errors
/// When the address or key cannot be used, or the ledger cannot be written. Failed requests are no error: they are
/// counted.
pub async fn load_http(load: HttpLoad, ledger: &LedgerOptions) -> Result<(LoadReport, Vec<Sent>), LoadError> {
    let authority = load
        .url
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/').to_owned());
    let authority = authority
        .filter(|it| !it.contains('/'))
        .ok_or_else(|| LoadError::Url(load.url.clone()))?;
    let mut headers = HeaderMap::new();
    let key = HeaderValue::try_from(format!("Bearer {}", load.api_key)).map_err(|_| LoadError::Key)?;
    headers.insert(AUTHORIZATION, key);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let host = HeaderValue::try_from(&authority).map_err(|_| LoadError::Url(load.url.clone()))?;
    headers.insert(HOST, host);
    let started = SystemClock.instant();
    let padding = load
        .text_length
        .saturating_sub(crate::token::LENGTH.saturating_add(1));
    let connections = load.connections.max(1);
    let job = Arc::new(Job {
        padding: "lorem ipsum dolor sit amet "
            .chars()
            .cycle()
            .take(padding)
            .collect(),
        tail: tail(&load),
        authority,
        uri: Uri::from_static("/v1/messages"),
        headers,
        run: rand::random(),
        pace: Pace::new(load.plan, started),
        ledger: Mutex::new(Ledger::open(ledger)?),
        load,
    });
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(work(Arc::clone(&job)));
    }
    let mut tally = Tally::default();
    while let Some(done) = workers.join_next().await {
        tally.merge(&done??);
    }
    let took = SystemClock.instant().saturating_duration_since(started);
    let report = tally.report(took, |status| {
        if status == 0 {
            "no_answer".into()
        } else {
            status.to_string()
        }
    });
    let mut ledger = job.ledger.lock().unwrap_or_else(PoisonError::into_inner);
    ledger.flush()?;
    let ledger = std::mem::replace(&mut *ledger, Ledger::open(&LedgerOptions::default())?);
    Ok((report, ledger.into_latest()))
}

/// What follows the text: `"` and the fields that are the same in every request.
fn tail(load: &HttpLoad) -> String {
    let mut tail = String::from("\"");
    for (name, value) in [
        ("from", &load.from),
        ("report", &load.report),
        ("callback", &load.callback),
    ] {
        if let Some(value) = value {
            tail.push_str(&format!(
                ",\"{name}\":{}",
                serde_json::Value::from(value.as_str())
            ));
        }
    }
    tail.push('}');
    tail
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
}

async fn open(authority: &str) -> Result<Open, String> {
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends when the sender is dropped or the peer closes.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "a connection ended");
        }
    });
    Ok(Open { sender })
}

async fn work(job: Arc<Job>) -> Result<Tally, LedgerError> {
    let mut tally = Tally::default();
    let mut connection: Option<Open> = None;
    let mut failures = 0_u32;
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    while let Some((number, due)) = job.pace.take(SystemClock.instant()) {
        let mut open = loop {
            // A connection the server closed while idle is opened again before anything is sent on it.
            if let Some(mut known) = connection.take()
                && known.sender.ready().await.is_ok()
            {
                break Some(known);
            }
            match open(&job.authority).await {
                Ok(fresh) => connection = Some(fresh),
                Err(error) => {
                    debug!(error, "no connection");
                    failures = failures.saturating_add(1);
                    if failures >= FAILURES || job.pace.is_over(SystemClock.instant()) {
                        break None;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let Some(connected) = &mut open else {
            return Ok(tally);
        };
        failures = 0;
        if let Some(due) = due {
            sleep_until(Instant::from_std(due)).await;
        }
        let token = Token {
            way: Way::Mt,
            run: job.run,
            number: u32::try_from(number % (1 << 32)).unwrap_or(0),
        };
        let request = request(&job, token, &mut buffer);
        let start = SystemClock.instant();
        tally.sent = tally.sent.saturating_add(1);
        let answer = timeout(job.load.timeout, send(connected, request)).await;
        let end = SystemClock.instant();
        let (status, id) = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                debug!(%error, "a request failed");
                (0, None)
            }
            Err(_) => (0, None),
        };
        tally.count(status);
        if status != 0 {
            tally.latency.record(end.saturating_duration_since(start));
            tally
                .from_due
                .record(end.saturating_duration_since(due.unwrap_or(start)));
            connection = open;
        }
        tally.accepted = tally.accepted.saturating_add(u64::from(id.is_some()));
        let mut ledger = job.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.is_wanted() {
            let to = format!("{}{:08}", job.load.to_prefix, token.number % 100_000_000);
            ledger.push(Sent {
                at: SystemClock.now().as_millis(),
                token,
                to,
                status,
                id,
            })?;
        }
    }
    Ok(tally)
}

fn request(job: &Job, token: Token, buffer: &mut BytesMut) -> Request<Full<Bytes>> {
    buffer.reserve(512);
    let to = token.number % 100_000_000;
    let (prefix, padding) = (&job.load.to_prefix, &job.padding);
    write!(
        buffer,
        "{{\"to\":\"{prefix}{to:08}\",\"text\":\"{token} {padding}"
    )
    .expect("a buffer takes all text");
    buffer.put_slice(job.tail.as_bytes());
    let mut request = Request::new(Full::new(buffer.split().freeze()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = job.uri.clone();
    *request.headers_mut() = job.headers.clone();
    request
}

async fn send(
    connected: &mut Open,
    request: Request<Full<Bytes>>,
) -> Result<(u32, Option<String>), hyper::Error> {
    let response = connected.sender.send_request(request).await?;
    let status = u32::from(response.status().as_u16());
    let body = response.into_body().collect().await?.to_bytes();
    let id = if status == 202 { id_of(&body) } else { None };
    Ok((status, id))
}

/// The `id` of an answer; it holds no character that JSON escapes.
fn id_of(body: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\"id\":\"";
    let at = body.windows(KEY.len()).position(|window| window == KEY)?;
    let rest = body.get(at.checked_add(KEY.len())?..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    String::from_utf8(rest.get(..end)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_in_an_answer() {
        assert_eq!(id_of(br#"{"id":"0198-a","to":"49"}"#).as_deref(), Some("0198-a"));
        assert_eq!((id_of(b"{}"), id_of(br#"{"id":"0198"#)), (None, None));
    }

    #[test]
    fn the_fixed_fields_are_json() {
        let mut load = HttpLoad::new("http://127.0.0.1:1", "key", Plan::total(1));
        assert_eq!(tail(&load), "\"}");
        (load.from, load.report) = (Some("a\"b".into()), Some("none".into()));
        assert_eq!(tail(&load), "\",\"from\":\"a\\\"b\",\"report\":\"none\"}");
    }
}
