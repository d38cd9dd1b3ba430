//! Messages to the HTTP API: each connection sends one request after the other on a kept-alive connection.
//!
//! Knows the API's request and the `id` of its answer. Invariants: a request is sent again only under the same
//! Idempotency-Key; what became of it stands in the ledger once (`status` 0: nobody knows).
//!
//! # Limits
//! A connection that fails is opened again after 20 ms; after [`FAILURES`] failures in a row its worker ends.

use super::mix::{Mix, MixItem, spread};
use super::pace::{Pace, Plan};
use super::report::{LoadReport, Tally};
use crate::ledger::{Ledger, LedgerError, LedgerOptions, Sent};
use crate::line::Line;
use crate::progress::{Phase, Progress, Span};
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
    /// The client's key; several by commas: connections take them in turn.
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
    /// Kinds and lengths by weight instead: `gsm:100=70,ucs2:50=20,gsm:400=10`.
    #[arg(long, value_delimiter = ',')]
    pub mix: Vec<MixItem>,
    /// Classes by weight: `otp=1,transactional=3,bulk=10`; absent: not given.
    #[arg(long, default_value = "")]
    pub class: String,
    /// From; absent: not given.
    #[arg(long)]
    pub from: Option<String>,
    /// Recipients: this and eight digits of the number of the message. Several by commas: in turn.
    #[arg(long, default_value = "49170")]
    pub to_prefix: String,
    /// Different recipients; 0: each message has its own.
    #[arg(long, default_value_t = 0)]
    pub recipients: u32,
    /// Send a request again, so often at most and under the same Idempotency-Key, that got no answer or 429, 500 or
    /// 503; 0: no key is given.
    #[arg(long, default_value_t = 0)]
    pub retries: u32,
    /// Time before it is sent again.
    #[arg(long, value_parser = crate::span::parse, default_value = "200ms")]
    pub retry_after: Duration,
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
            mix: Vec::new(),
            class: String::new(),
            from: None,
            to_prefix: "49170".into(),
            recipients: 0,
            retries: 0,
            retry_after: Duration::from_millis(200),
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
    /// Not `<class>=<weight>`.
    #[error("`{0}` is not of the form otp=1,transactional=3,bulk=10")]
    Class(String),
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
    /// One set per API key.
    headers: Vec<HeaderMap>,
    run: u32,
    mix: Mix,
    /// What follows the text, by class and weight.
    tails: Vec<(String, u64)>,
    pace: Pace,
    ledger: Mutex<Ledger<Sent>>,
    progress: Arc<Progress>,
}

/// Sends according to the plan; returns what was measured and the latest records.
///
/// # Errors
/// When the address or key cannot be used, or the ledger cannot be written. Failed requests are no error: they are
/// counted.
pub async fn load_http(load: HttpLoad, ledger: &LedgerOptions) -> Result<(LoadReport, Vec<Sent>), LoadError> {
    load_http_with(load, ledger, &Arc::default()).await
}

/// The same, and says all the time how far it is.
///
/// # Errors
/// As [`load_http`].
pub async fn load_http_with(
    load: HttpLoad,
    ledger: &LedgerOptions,
    progress: &Arc<Progress>,
) -> Result<(LoadReport, Vec<Sent>), LoadError> {
    let authority = load
        .url
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/').to_owned());
    let authority = authority
        .filter(|it| !it.contains('/'))
        .ok_or_else(|| LoadError::Url(load.url.clone()))?;
    let host = HeaderValue::try_from(&authority).map_err(|_| LoadError::Url(load.url.clone()))?;
    let headers = load
        .api_key
        .split(',')
        .map(|key| {
            let mut headers = HeaderMap::new();
            let key = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| LoadError::Key)?;
            headers.insert(AUTHORIZATION, key);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(HOST, host.clone());
            Ok(headers)
        })
        .collect::<Result<Vec<_>, LoadError>>()?;
    let started = SystemClock.instant();
    let connections = load.connections.max(1);
    let job = Arc::new(Job {
        mix: Mix::new(&load.mix, load.text_length, &load.to_prefix, load.recipients),
        tails: tails(&load)?,
        authority,
        uri: Uri::from_static("/v1/messages"),
        headers,
        run: rand::random(),
        pace: Pace::new(load.plan, started, progress),
        ledger: Mutex::new(Ledger::open(ledger)?),
        progress: Arc::clone(progress),
        load,
    });
    let (total, duration) = job.load.plan.ends();
    progress.begin(Phase::Sending, total, duration.map(Span::Lasts));
    let mut workers = JoinSet::new();
    for worker in 0..connections {
        let headers = job
            .headers
            .get(worker.checked_rem(job.headers.len()).unwrap_or(0))
            .cloned()
            .unwrap_or_default();
        workers.spawn(work(Arc::clone(&job), headers));
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
fn tails(load: &HttpLoad) -> Result<Vec<(String, u64)>, LoadError> {
    if load.class.is_empty() {
        return Ok(vec![(tail(load, None), 1)]);
    }
    let each = load.class.split(',').map(|item| {
        let (class, weight) = item.split_once('=').unwrap_or((item, "1"));
        let weight = weight.parse::<u32>().ok().filter(|weight| *weight > 0);
        let weight: u32 = weight.ok_or_else(|| LoadError::Class(item.to_owned()))?;
        Ok((tail(load, Some(class.to_owned())), u64::from(weight)))
    });
    each.collect()
}

fn tail(load: &HttpLoad, class: Option<String>) -> String {
    let mut tail = String::from("\"");
    for (name, value) in [
        ("from", &load.from),
        ("report", &load.report),
        ("callback", &load.callback),
        ("class", &class),
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

async fn work(job: Arc<Job>, headers: HeaderMap) -> Result<Tally, LedgerError> {
    let mut tally = Tally::default();
    let mut connection: Option<Open> = None;
    let mut scratch = Vec::new();
    let mut lines = Vec::new();
    while let Some((number, due)) = job.pace.take(SystemClock.instant()) {
        let token = Token {
            way: Way::Mt,
            run: job.run,
            number: u32::try_from(number % (1 << 32)).unwrap_or(0),
        };
        let body = body(&job, token, &mut scratch);
        if let Some(due) = due {
            sleep_until(Instant::from_std(due)).await;
        }
        let start = SystemClock.instant();
        tally.sent = tally.sent.saturating_add(1);
        job.progress.sent.add();
        let mut tries = 0_u32;
        let (status, id) = loop {
            if connection.is_none() && !reopen(&job, &mut connection).await {
                break (0, None);
            }
            let Some(connected) = &mut connection else {
                break (0, None);
            };
            let answer = timeout(
                job.load.timeout,
                send(connected, request(&job, &headers, token, &body)),
            )
            .await;
            let (status, id) = match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    debug!(%error, "a request failed");
                    (0, None)
                }
                Err(_) => (0, None),
            };
            // A connection the server closes is opened again before anything else is sent on it.
            if status == 0 || connected.sender.ready().await.is_err() {
                connection = None;
            }
            if !matches!(status, 0 | 429 | 500 | 503) || tries >= job.load.retries {
                break (status, id);
            }
            tries = tries.saturating_add(1);
            tally.retries = tally.retries.saturating_add(1);
            job.progress.again.add();
            sleep(job.load.retry_after).await;
        };
        let end = SystemClock.instant();
        tally.count(status);
        if status != 0 {
            tally.latency.record(end.saturating_duration_since(start));
            tally
                .from_due
                .record(end.saturating_duration_since(due.unwrap_or(start)));
        }
        tally.accepted = tally.accepted.saturating_add(u64::from(id.is_some()));
        job.progress.note_end(id.is_some(), status != 0);
        keep(&job, token, status, id, &mut scratch, &mut lines)?;
        if connection.is_none() && !reopen(&job, &mut connection).await {
            return Ok(tally);
        }
    }
    let longest = Some(Span::AtMost(job.load.timeout));
    job.progress.advance(Phase::Answers, None, longest);
    Ok(tally)
}

/// Opens a connection; `false` after too many failures in a row, or when the plan is over.
async fn reopen(job: &Job, connection: &mut Option<Open>) -> bool {
    for _ in 0..FAILURES {
        match open(&job.authority).await {
            Ok(fresh) => {
                *connection = Some(fresh);
                return true;
            }
            Err(error) => {
                debug!(error, "no connection");
                if job.pace.is_over(SystemClock.instant()) {
                    return false;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    false
}

/// One line of the ledger.
fn keep(
    job: &Job,
    token: Token,
    status: u32,
    id: Option<String>,
    scratch: &mut Vec<u8>,
    lines: &mut Vec<u8>,
) -> Result<(), LedgerError> {
    let mut ledger = job.ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(item) = job.mix.item(token.number).filter(|_| ledger.is_wanted()) else {
        return Ok(());
    };
    let text = item.sum(token, scratch);
    let mut digits = [0; crate::token::LENGTH];
    token.write(&mut digits);
    scratch.clear();
    job.mix.write_to(token.number, scratch);
    let mut line = Line::new(lines);
    line.number("at", SystemClock.now().as_millis())
        .text("token", &digits)
        .text("to", scratch);
    if let Some(from) = &job.load.from {
        line.text("from", from.as_bytes());
    }
    line.sum("text", text)
        .number("status", status)
        .optional("id", id.as_deref().map(str::as_bytes))
        .end();
    ledger.push_lines(lines)
}

fn body(job: &Job, token: Token, to: &mut Vec<u8>) -> Bytes {
    let mut body = BytesMut::with_capacity(512);
    to.clear();
    job.mix.write_to(token.number, to);
    body.put_slice(b"{\"to\":\"");
    body.put_slice(to);
    let padding = job
        .mix
        .item(token.number)
        .map_or("", |item| item.padding.as_str());
    write!(body, "\",\"text\":\"{token}{padding}").expect("a buffer takes all text");
    let total = job.tails.iter().map(|(_, weight)| weight).sum::<u64>().max(1);
    // Other bits than those that choose the text.
    let mut at = (spread(token.number) >> 20) % total;
    let tail = job
        .tails
        .iter()
        .find(|(_, weight)| match at.checked_sub(*weight) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
    body.put_slice(tail.map_or(b"\"}", |(tail, _)| tail.as_bytes()));
    body.freeze()
}

fn request(job: &Job, headers: &HeaderMap, token: Token, body: &Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = job.uri.clone();
    *request.headers_mut() = headers.clone();
    if job.load.retries > 0
        && let Ok(key) = HeaderValue::try_from(token.to_string())
    {
        request.headers_mut().insert("idempotency-key", key);
    }
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
        assert_eq!(tail(&load, None), "\"}");
        (load.from, load.report) = (Some("a\"b".into()), Some("none".into()));
        assert_eq!(tail(&load, None), "\",\"from\":\"a\\\"b\",\"report\":\"none\"}");
        load.class = "otp=1,bulk=3".into();
        let made = tails(&load).unwrap();
        assert!(
            made.len() == 2 && made[1].0.ends_with(",\"class\":\"bulk\"}") && made[1].1 == 3,
            "{made:?}"
        );
        load.class = "otp=x".into();
        assert!(tails(&load).is_err());
    }
}
