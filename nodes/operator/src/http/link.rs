//! The link: a task that makes a request of each Submit, and hands what the carrier brought to the traffic.
//!
//! Must not judge what a status means; the traffic's verdict does. Keeps HC-1 of [`super`]. At most a window of requests runs,
//! because the traffic has no more than that outstanding.

use super::answer::{self, Outcome};
use super::request::{self, Writer};
use super::{Arrival, Arrivals, Brought};
use crate::link::{EVENT_BATCHES, Link, Lost, Memory, floor, lost, refused, tls_client};
use crate::metric::Meters;
use crate::status::LinkState;
use crate::traffic::{self, Over, Traffic};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smsgw_config::{HTTP_BASE, HttpCarrier, Operator, StatusRange};
use smsgw_runtime::{ChildContext, ChildError, Clock};
use smsgw_smpp::{
    COctets, CloseCause, CommandId, CommandStatus, EsmeCommand, EsmeEvent, Operation, Refusal, Reply,
    SubmitSm, Tlvs, Undecodable, Version, decode::DecodeError,
};
use smsgw_transport::{ConnectOptions, TlsClient};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, error, info, warn};

/// Octets of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;
/// Octets of an answer's head.
const MAX_HEAD: usize = 32 * 1024;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// How often an HTTP/2 connection is asked whether it is alive, and how long it may take to say so.
const ALIVE: Duration = Duration::from_secs(10);
/// Deliveries of a link that wait for the engine; well within the room of the commands.
const DELIVERIES: usize = 256;

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Finds out whether the carrier can be connected to, and lets traffic run until that is over. `Err` ends the task.
pub(crate) async fn try_once(
    ctx: &ChildContext,
    link: &Arc<Link>,
    memory: &mut Memory,
    meters: &mut Meters,
) -> Result<Lost, Result<(), ChildError>> {
    let operator = Arc::clone(&memory.operator);
    let id = &link.account.id;
    link.report(meters, LinkState::Connecting, None);
    let setup = operator.http.as_ref().and_then(|http| {
        let (host, is_tls) = request::host(&http.url)?;
        Some((http, Writer::new(&operator, http)?, host, is_tls))
    });
    let Some((http, writer, host, is_tls)) = setup else {
        error!(operator = %id, link = %link.id, "the password file was not read");
        let pause = link.account.settings().credentials_retry;
        return Ok(lost(
            "no_credentials",
            "the password file was not read".to_owned(),
            pause,
        ));
    };
    // Trust and identity are set up for http too, where a connector wants them.
    let tls = match is_tls {
        true => match tls_client(&operator, &mut memory.tls).await {
            Ok(tls) => Some(tls),
            Err(lost) => return Ok(lost),
        },
        false => None,
    };
    let options = ConnectOptions {
        timeout: operator.connect_timeout,
        source: operator.source_address,
        tls: tls.clone(),
        ..ConnectOptions::default()
    };
    let hosts = [host];
    let connection = tokio::select! {
        () = ctx.draining() => return Err(Ok(())),
        connection = link.dial.dial(&hosts, &options) => connection,
    };
    // Only to see that it can be had: requests have connections of their own.
    let peer = match connection {
        Ok(connection) => {
            link.connected_to(connection.peer, connection.host, connection.tls, meters);
            connection.peer
        }
        Err(error) => return Ok(lost("connect_failed", error.to_string(), Duration::ZERO)),
    };
    let client = match client(&operator, tls.as_ref()) {
        Ok(client) => client,
        Err(error) => return Ok(lost("tls_setup", error, Duration::ZERO)),
    };
    info!(operator = %id, link = %link.id, %peer, "carrier can be connected to");
    let window = usize::try_from(operator.window).unwrap_or(usize::MAX);
    let (commands, session_commands) = mpsc::channel(traffic::command_room(window));
    let (session_events, events) = mpsc::channel(EVENT_BATCHES);
    ctx.shows("commands", &commands);
    ctx.shows("events", &session_events);
    link.load.window(window);
    let session = Session {
        client,
        writer: Arc::new(writer),
        http: Arc::new(http.clone()),
        patience: operator.response_timeout,
        unauthorized: unauthorized(&operator),
        clock: Arc::clone(&link.clock),
        name: link.id.to_string(),
        requests: JoinSet::new(),
        running: HashSet::new(),
        held: VecDeque::new(),
        paused_until: None,
        waiting: HashMap::new(),
        next: 1,
        ending: None,
    };
    // Aborted when this future is dropped: a killed link leaves no request behind.
    let mut driver = JoinSet::new();
    driver.spawn(session.run(session_commands, session_events, Arc::clone(&link.arrivals)));
    let traffic = Traffic::new(link, meters, commands, window, operator.response_timeout);
    match traffic.run(ctx, events).await {
        Over::Closed { cause, worked } => Ok(Lost {
            cause: cause.name(),
            refused: refused(cause),
            reason: match cause {
                CloseCause::Lost => "the carrier cannot be connected to any more".to_owned(),
                CloseCause::BindRefused(_) => {
                    "the carrier answered 401: it refuses our credentials".to_owned()
                }
                other => other.to_string(),
            },
            floor: floor(cause, &link.account.settings(), link),
            worked,
        }),
        Over::Stopping => {
            warn!(operator = %id, link = %link.id, "stopped before everything was answered and stored");
            Err(Ok(()))
        }
        Over::Poisoned(cause) => Err(Err(ChildError::fatal(format!("the engine is poisoned: {cause}")))),
        Over::Broken(why) => Err(Err(ChildError::new(why))),
    }
}

/// A pool of connections: HTTP/2 where TLS agrees on it, else HTTP/1.1 kept alive.
fn client(operator: &Operator, tls: Option<&TlsClient>) -> Result<HttpClient, String> {
    let config = match tls {
        Some(tls) => tls.config().clone(),
        // Never used: the URL is http. It trusts nobody.
        None => ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
    };
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http();
    let name = operator.tls.as_ref().and_then(|tls| tls.server_name.clone());
    let builder = match name {
        None => builder,
        Some(name) => {
            let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
    };
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(operator.connect_timeout));
    connector.set_local_address(operator.source_address);
    connector.set_keepalive(Some(IDLE));
    let connector = builder.enable_all_versions().wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(usize::try_from(operator.window).unwrap_or(usize::MAX))
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http1_max_buf_size(MAX_HEAD)
        .http2_max_header_list_size(u32::try_from(MAX_HEAD).expect("a small constant"))
        .http2_keep_alive_interval(ALIVE)
        .http2_keep_alive_timeout(ALIVE)
        .build(connector))
}

/// What came of a request.
#[derive(Debug)]
enum Came {
    Answer(Outcome, Option<Duration>),
    /// Written, and no answer; or nobody can say how far it came.
    Nothing,
    /// Never written.
    NotConnected(String),
}

#[derive(Debug)]
struct Done {
    tag: u64,
    came: Came,
    took: Duration,
}

/// How the session comes to its end, and when at the latest.
#[derive(Debug, Clone, Copy)]
struct Ending {
    cause: CloseCause,
    too_late: CloseCause,
    until: Instant,
}

struct Session {
    client: HttpClient,
    writer: Arc<Writer>,
    http: Arc<HttpCarrier>,
    patience: Duration,
    /// The status that says of the link, not of the part: our credentials are refused.
    unauthorized: Option<CommandStatus>,
    clock: Arc<dyn Clock>,
    name: String,
    requests: JoinSet<Done>,
    /// Tags of `requests`.
    running: HashSet<u64>,
    /// Submits that wait until the carrier wants requests again.
    held: VecDeque<(u64, SubmitSm)>,
    paused_until: Option<Instant>,
    waiting: HashMap<u32, oneshot::Sender<bool>>,
    next: u32,
    ending: Option<Ending>,
}

impl Session {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<EsmeCommand>,
        events: mpsc::Sender<Vec<EsmeEvent>>,
        arrivals: Arc<Arrivals>,
    ) {
        let mut out = vec![EsmeEvent::Bound {
            system_id: COctets::new(),
            interface_version: None,
            version: Version::V3_4,
        }];
        loop {
            if let Some(closed) = self.closed() {
                out.push(closed);
            }
            let is_over = matches!(out.last(), Some(EsmeEvent::Closed { .. }));
            if !out.is_empty() && events.send(std::mem::take(&mut out)).await.is_err() {
                return;
            }
            if is_over {
                return;
            }
            let wake = [
                self.paused_until.filter(|_| !self.held.is_empty()),
                self.ending.map(|ending| ending.until),
            ];
            let wake = wake.into_iter().flatten().min();
            let takes = self.ending.is_none() && self.waiting.len() < DELIVERIES;
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command, &mut out),
                    // Nobody hears any more.
                    None => return,
                },
                Some(done) = self.requests.join_next() => match done {
                    Ok(done) => self.done(done, &mut out),
                    Err(error) => {
                        // Which one it was is not known: all that run are in doubt.
                        error!(link = self.name, %error, "a request failed");
                        self.end(CloseCause::Lost, Duration::ZERO);
                    }
                },
                arrival = arrivals.next(), if takes => if let Some(arrival) = arrival {
                    out.push(self.arrived(arrival));
                },
                () = at(wake) => self.resume(&mut out),
            }
        }
    }

    fn command(&mut self, command: EsmeCommand, out: &mut Vec<EsmeEvent>) {
        match command {
            EsmeCommand::Submit { tag, message } => match self.ending {
                Some(_) => out.push(not_sent(tag, Refusal::Draining)),
                None if self.is_paused() => self.held.push_back((tag, message)),
                None => self.submit(tag, &message, out),
            },
            EsmeCommand::Answer { sequence, status } => match self.waiting.remove(&sequence) {
                Some(answer) => {
                    // The carrier may have gone meanwhile; it brings it again.
                    if answer.send(status.is_ok()).is_err() {
                        debug!(link = self.name, "the carrier did not wait for the answer");
                    }
                }
                None => out.push(EsmeEvent::Unmatched {
                    command_id: CommandId::DeliverSm,
                    sequence,
                    status,
                }),
            },
            EsmeCommand::Request { tag, .. } => out.push(not_sent(tag, Refusal::NotInVersion)),
            EsmeCommand::Unbind { within } => {
                self.give_back(Refusal::Draining, out);
                let until = Instant::now().checked_add(within).unwrap_or_else(Instant::now);
                self.ending = Some(Ending {
                    cause: CloseCause::Unbound,
                    too_late: CloseCause::UnbindTimeout,
                    until,
                });
            }
            EsmeCommand::Leave => self.end(CloseCause::Unanswered, Duration::ZERO),
            // Only after an outbind, which HTTP does not have.
            EsmeCommand::Bind(_) | EsmeCommand::RefuseOutbind => {}
        }
    }

    fn end(&mut self, cause: CloseCause, within: Duration) {
        if self.ending.is_none() {
            let now = Instant::now();
            self.ending = Some(Ending {
                cause,
                too_late: cause,
                until: now.checked_add(within).unwrap_or(now),
            });
        }
    }

    /// The end, once there is nothing to wait for or no time left.
    fn closed(&mut self) -> Option<EsmeEvent> {
        let ending = self.ending?;
        let is_late = Instant::now() >= ending.until;
        let is_idle = self.running.is_empty() && self.waiting.is_empty();
        (is_idle || is_late).then(|| EsmeEvent::Closed {
            cause: if is_idle { ending.cause } else { ending.too_late },
            in_doubt: self.running.drain().collect(),
        })
    }

    fn is_paused(&self) -> bool {
        self.paused_until.is_some_and(|until| until > Instant::now())
    }

    /// The carrier wants requests again.
    fn resume(&mut self, out: &mut Vec<EsmeEvent>) {
        if self.is_paused() {
            return;
        }
        self.paused_until = None;
        for (tag, message) in std::mem::take(&mut self.held) {
            self.submit(tag, &message, out);
        }
    }

    fn give_back(&mut self, why: Refusal, out: &mut Vec<EsmeEvent>) {
        out.extend(self.held.drain(..).map(|(tag, _)| not_sent(tag, why)));
    }

    fn submit(&mut self, tag: u64, message: &SubmitSm, out: &mut Vec<EsmeEvent>) {
        let seconds = u64::try_from(self.clock.now().as_millis()).unwrap_or_default() / 1000;
        let Ok(request) = self.writer.request(message, seconds) else {
            out.push(not_sent(tag, Refusal::DoesNotFit));
            return;
        };
        self.running.insert(tag);
        let (client, http, patience) = (self.client.clone(), Arc::clone(&self.http), self.patience);
        let now = UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .unwrap_or(UNIX_EPOCH);
        self.requests.spawn(async move {
            let begun = Instant::now();
            let came = ask(&client, request, &http, patience, now).await;
            Done {
                tag,
                came,
                took: begun.elapsed(),
            }
        });
    }

    fn done(&mut self, done: Done, out: &mut Vec<EsmeEvent>) {
        let Done { tag, came, took } = done;
        self.running.remove(&tag);
        match came {
            Came::Answer(Outcome::Answered { status, .. }, _) if Some(status) == self.unauthorized => {
                out.push(not_sent(tag, Refusal::NotBound));
                self.give_back(Refusal::NotBound, out);
                self.end(
                    CloseCause::BindRefused(CommandStatus::INVALID_PASSWORD),
                    self.patience.saturating_add(Duration::from_secs(1)),
                );
            }
            Came::Answer(Outcome::Answered { status, id }, retry_after) => {
                if let Some(after) = retry_after.filter(|_| !status.is_ok()) {
                    let after = after.min(self.http.retry_after_max);
                    debug!(link = self.name, ?after, "the carrier asks us to wait");
                    let until = Instant::now().checked_add(after);
                    self.paused_until = self.paused_until.max(until);
                }
                out.push(EsmeEvent::Answered {
                    tag,
                    status,
                    message_id: id,
                    tlvs: Tlvs::new(),
                    reply: Reply::SubmitSm,
                    congestion: None,
                    took,
                });
            }
            Came::Answer(Outcome::Unclear, _) | Came::Nothing => out.push(EsmeEvent::TimedOut { tag }),
            Came::NotConnected(error) => {
                warn!(link = self.name, error, "the carrier cannot be connected to");
                out.push(not_sent(tag, Refusal::NotBound));
                self.give_back(Refusal::NotBound, out);
                // What runs has its own time; nothing of it comes into doubt for this.
                self.end(
                    CloseCause::Lost,
                    self.patience.saturating_add(Duration::from_secs(1)),
                );
            }
        }
    }

    fn arrived(&mut self, arrival: Arrival) -> EsmeEvent {
        let sequence = self.next;
        self.next = if sequence >= 0x7FFF_FFFF {
            1
        } else {
            sequence.saturating_add(1)
        };
        match arrival.brought {
            Brought::Message(message) => {
                self.waiting.insert(sequence, arrival.answer);
                EsmeEvent::Delivered {
                    sequence,
                    operation: Operation::DeliverSm,
                    message,
                }
            }
            Brought::Unreadable(raw) => {
                if arrival.answer.send(true).is_err() {
                    debug!(link = self.name, "the carrier did not wait for the refusal");
                }
                EsmeEvent::Undecodable(Undecodable {
                    command_id: CommandId::DeliverSm.into(),
                    sequence,
                    error: DecodeError::MissingField("a field that is needed"),
                    answered: None,
                    raw,
                })
            }
        }
    }
}

/// 401, unless the operator's lists say what it means.
fn unauthorized(operator: &Operator) -> Option<CommandStatus> {
    let status = HTTP_BASE.saturating_add(401);
    let lists = [
        &operator.rejected,
        &operator.reroute,
        &operator.throttled,
        &operator.queue_full,
        &operator.temporary,
    ];
    let is_named = lists
        .into_iter()
        .flatten()
        .any(|range: &StatusRange| range.contains(status));
    (!is_named).then_some(CommandStatus(status))
}

fn not_sent(tag: u64, why: Refusal) -> EsmeEvent {
    EsmeEvent::NotSent { tag, why }
}

async fn at(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// One request. The client sends it again by itself only where a kept connection was closed before anything was written.
async fn ask(
    client: &HttpClient,
    request: Request<Full<Bytes>>,
    http: &HttpCarrier,
    patience: Duration,
    now: std::time::SystemTime,
) -> Came {
    let begun = Instant::now();
    let until = begun.checked_add(patience).unwrap_or(begun);
    let answer = match timeout_at(until, client.request(request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.is_connect() => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            return Came::NotConnected(cause.unwrap_or_else(|| error.to_string()));
        }
        Ok(Err(error)) => {
            debug!(error = &error as &dyn std::error::Error, "request broke off");
            return Came::Nothing;
        }
        Err(_) => return Came::Nothing,
    };
    let (head, body) = answer.into_parts();
    let body = match timeout_at(until, Limited::new(body, MAX_ANSWER).collect()).await {
        Ok(Ok(body)) => Some(body.to_bytes()),
        Ok(Err(_)) | Err(_) => None,
    };
    let outcome = answer::judge(http, head.status, &head.headers, body.as_deref());
    Came::Answer(outcome, answer::retry_after(&head.headers, now))
}

#[cfg(test)]
mod tests;
