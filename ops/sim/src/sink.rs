//! The client's end of callbacks: answers reports and MO, counts them, keeps a ledger, fails when told to.
//!
//! Checks no signature and knows no gateway. Invariant: a callback stands in the ledger before it is answered 2xx.
//!
//! # Limits
//! A body above 1 MiB or one that is no event is answered 400 and counted as malformed.

use crate::ledger::{Callback, Ledger, LedgerError, LedgerOptions, sum};
use crate::span;
use crate::token::Token;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use smsgw_transport::{ListenError, Listener};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::debug;

/// Largest body taken.
const BODY_LIMIT: usize = 1024 * 1024;
/// Different states counted by name; further ones are counted as `other`.
const STATES: usize = 32;

/// How the sink behaves. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkOptions {
    /// How long an answer takes.
    #[arg(long = "sink-delay", value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub delay: Duration,
    /// How many of the first requests fail.
    #[arg(long = "sink-fail-first", default_value_t = 0)]
    pub fail_first: u64,
    /// Share of requests that fail.
    #[arg(long = "sink-fail-share", default_value_t = 0.0)]
    pub fail_share: f64,
    /// HTTP status of those that fail; 0: the connection is closed instead.
    #[arg(long = "sink-fail-status", default_value_t = 503)]
    pub fail_status: u16,
    /// Seed of everything random.
    #[arg(long = "sink-seed", default_value_t = 1)]
    pub seed: u64,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            fail_first: 0,
            fail_share: 0.0,
            fail_status: 503,
            seed: 1,
        }
    }
}

/// What the sink counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStats {
    /// Requests that held an event.
    pub requests: u64,
    /// Reports answered 2xx.
    pub reports: u64,
    /// MO answered 2xx.
    pub mo: u64,
    /// Failed on purpose.
    pub failed: u64,
    /// Requests without an event.
    pub malformed: u64,
    /// Reports answered 2xx, by state.
    pub states: BTreeMap<String, u64>,
    /// When the latest was answered 2xx, in milliseconds since 1970.
    pub last_at: i64,
    /// Ledger records neither in a file nor in memory.
    pub records_forgotten: u64,
}

/// The sink could not go on.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its task panicked.
    #[error("the callback sink ended unexpectedly")]
    Ended(#[from] JoinError),
}

/// What was waited for did not happen.
#[derive(Debug, Error)]
#[error("the callback sink did not get there within {within:?}; its counts: {stats:?}")]
pub struct SinkWaitError {
    /// How long it had.
    pub within: Duration,
    /// What it had counted.
    pub stats: Box<SinkStats>,
}

/// What is left when the sink stops.
#[derive(Debug)]
pub struct SinkReport {
    /// Everything it counted.
    pub stats: SinkStats,
    /// The latest records, as many as were to be kept.
    pub records: Vec<Callback>,
}

#[derive(Debug)]
struct State {
    options: SinkOptions,
    rng: StdRng,
    ledger: Ledger<Callback>,
    seen: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    told: watch::Sender<SinkStats>,
}

/// A running sink. Dropping it closes its connections.
#[derive(Debug)]
pub struct CallbackSink {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    stats: watch::Receiver<SinkStats>,
    stop: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl CallbackSink {
    /// Opens the port and starts.
    ///
    /// # Errors
    /// When the port or the ledger cannot be opened.
    pub async fn start(
        options: SinkOptions,
        listen: SocketAddr,
        ledger: &LedgerOptions,
    ) -> Result<Self, SinkError> {
        let listener = Listener::bind(listen).await?;
        let local_addr = listener.local_addr();
        let (told, stats) = watch::channel(SinkStats::default());
        let (stop, stopped) = mpsc::channel(1);
        let rng = StdRng::seed_from_u64(options.seed);
        let state = Mutex::new(State {
            options,
            rng,
            ledger: Ledger::open(ledger)?,
            seen: 0,
        });
        let shared = Arc::new(Shared { state, told });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared), stopped));
        Ok(Self {
            local_addr,
            shared,
            stats,
            stop,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// A callback URL of it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/events", self.local_addr)
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> SinkStats {
        self.stats.borrow().clone()
    }

    /// Changes the behaviour from now on; the seed stays.
    pub fn set_options(&self, options: SinkOptions) {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .options = options;
    }

    /// Waits until the counts are as wanted.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn wait_until(
        &self,
        within: Duration,
        wanted: impl FnMut(&SinkStats) -> bool,
    ) -> Result<SinkStats, SinkWaitError> {
        let mut stats = self.stats.clone();
        let found = match timeout(within, stats.wait_for(wanted)).await {
            Ok(Ok(found)) => Some(found.clone()),
            Ok(Err(_)) | Err(_) => None,
        };
        found.ok_or_else(|| SinkWaitError {
            within,
            stats: Box::new(self.stats()),
        })
    }

    /// Stops and closes what is connected.
    ///
    /// # Errors
    /// When it had ended before, or its ledger cannot be written.
    pub async fn stop(self) -> Result<SinkReport, SinkError> {
        let Self {
            shared,
            stop,
            task,
            stats,
            ..
        } = self;
        drop(stop);
        task.await?;
        let stats = stats.borrow().clone();
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ledger.flush()?;
        let ledger = std::mem::replace(&mut state.ledger, Ledger::open(&LedgerOptions::default())?);
        Ok(SinkReport {
            stats: SinkStats {
                records_forgotten: ledger.forgotten(),
                ..stats
            },
            records: ledger.into_latest(),
        })
    }
}

async fn serve(listener: Listener, shared: Arc<Shared>, mut stopped: mpsc::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, peer) = listener.accept() => {
                connections.spawn(connection(stream, peer, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = stopped.recv() => break,
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let service = service_fn(move |request| handle(Arc::clone(&shared), request));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%peer, %error, "a connection ended");
    }
}

/// The connection is to be closed instead of an answer.
#[derive(Debug, Error)]
#[error("closed on purpose, or the ledger cannot be written")]
struct CloseConnection;

async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, CloseConnection> {
    let body = Limited::new(request.into_body(), BODY_LIMIT)
        .collect()
        .await
        .map_err(|_| CloseConnection)?
        .to_bytes();
    let Ok(event) = serde_json::from_slice::<Event<'_>>(&body) else {
        shared
            .told
            .send_modify(|stats| stats.malformed = stats.malformed.saturating_add(1));
        return Ok(answer(StatusCode::BAD_REQUEST));
    };
    let delay = shared
        .state
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .options
        .delay;
    if !delay.is_zero() {
        sleep(delay).await;
    }
    let status = take(&shared, &event).map_err(|error| {
        tracing::error!(%error, "a callback cannot be kept and is not answered");
        CloseConnection
    })?;
    status.map(answer).ok_or(CloseConnection)
}

fn answer(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

/// Decides, keeps, counts; `None` closes the connection.
fn take(shared: &Shared, event: &Event<'_>) -> Result<Option<StatusCode>, LedgerError> {
    let now = SystemClock.now().as_millis();
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    let State {
        options,
        rng,
        ledger,
        seen,
    } = &mut *state;
    *seen = seen.saturating_add(1);
    let fails =
        *seen <= options.fail_first || (options.fail_share > 0.0 && rng.random::<f64>() < options.fail_share);
    let status = if fails {
        StatusCode::from_u16(options.fail_status).ok()
    } else {
        Some(StatusCode::OK)
    };
    if ledger.is_wanted() {
        ledger.push(Callback {
            at: now,
            kind: event.kind.clone().into_owned(),
            event: event.id.clone().into_owned(),
            message: event.message.id.clone().into_owned(),
            state: event.message.state.clone().map(Cow::into_owned),
            token: event
                .message
                .text
                .as_ref()
                .and_then(|text| Token::find(text.as_bytes(), false, 0)),
            text: event.message.text.as_ref().map(|text| sum(text.as_bytes())),
            from: event.message.from.clone().map(Cow::into_owned),
            to: event.message.to.clone().map(Cow::into_owned),
            answered: status.map_or(0, |status| status.as_u16()),
        })?;
        ledger.flush()?;
    }
    shared.told.send_modify(|stats| stats.count(event, status, now));
    Ok(status)
}

impl SinkStats {
    fn count(&mut self, event: &Event<'_>, status: Option<StatusCode>, now: i64) {
        self.requests = self.requests.saturating_add(1);
        if !status.is_some_and(|status| status.is_success()) {
            self.failed = self.failed.saturating_add(1);
            return;
        }
        self.last_at = now;
        if event.kind == "mo" {
            self.mo = self.mo.saturating_add(1);
            return;
        }
        self.reports = self.reports.saturating_add(1);
        let state = event.message.state.as_deref().unwrap_or("none");
        match self.states.get_mut(state) {
            Some(count) => *count = count.saturating_add(1),
            None => {
                let name = if self.states.len() < STATES {
                    state
                } else {
                    "other"
                };
                let count = self.states.entry(name.to_owned()).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    message: EventMessage<'a>,
}

#[derive(Debug, Deserialize)]
struct EventMessage<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    state: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    to: Option<Cow<'a, str>>,
}
