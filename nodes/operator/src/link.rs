//! A link: connects, binds, lets traffic run, and does it again after each end, with growing pauses.
//!
//! Knows the supervisor's signals and the transport; what goes over a session is `traffic`'s duty. Invariant LI-1: a link
//! that was not told to drain never gives up; each end has a cause that is logged, counted and shown.
//!
//! Pauses: `reconnect_min` doubling to `reconnect_max` with jitter, from the start again once a session was of use;
//! at least `credentials_retry` after refused credentials, at least `already_bound_retry` after ESME_RALYBND (carriers
//! keep ghosts of lost sessions for up to a minute; binding faster only feeds them).
//!
//! Where the carrier is to connect (`calls`), connecting is waiting for its call, and all else the same.
//!
//! With `bind = "auto"` a link begins as a transceiver. When the carrier seems to have none ([`bind::refuses_transceivers`])
//! the task tries a transmitter at once; a transmitter that is bound makes all links of the operator pairs, one that is
//! refused leads back to the transceiver after its pause.

use crate::account::Account;
use crate::bind::{self, Bind};
use crate::calls::{self, Calls, Rank};
use crate::dial::{Dial, Dialled, Stream};
use crate::http;
use crate::load::Load;
use crate::metric::Meters;
use crate::prepared::Prepared;
use crate::status::{LinkState, LinkStatus, LinkTable};
use crate::tls::TlsFiles;
use crate::trace::LinkTap;
use crate::traffic::{self, Over, Traffic};
use smsgw_config::{CarrierCalls, LinkWish, Operator, Protocol};
use smsgw_message::LinkId;
use smsgw_queue::Engine;
use smsgw_runtime::{ChildContext, ChildError, Clock};
use smsgw_session::Backoff;
use smsgw_smpp::{CloseCause, CommandStatus, Version, profile::BindErrorClass};
use smsgw_transport::{ConnectOptions, DriveEnd, DriveOptions, Tapped, TlsClient, drive};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

/// Batches of events that may wait for the link.
pub(crate) const EVENT_BATCHES: usize = 4;
/// Spread of the pauses, in percent.
const JITTER: u32 = 20;

/// One bind of a link, as its task sees it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) account: Arc<Account>,
    pub(crate) id: LinkId,
    /// Counted from 0: hosts are tried from here on, so that links spread over them.
    pub(crate) index: usize,
    pub(crate) bind: Bind,
    /// How long outstanding answers are waited for at the end.
    pub(crate) drain: Duration,
    pub(crate) table: LinkTable,
    pub(crate) load: Arc<Load>,
    pub(crate) line: Mutex<Line>,
    /// What is wanted of it; its keeper says so.
    pub(crate) wish: watch::Sender<LinkWish>,
    /// Connections that the carrier opens, where it does.
    pub(crate) calls: Arc<Calls>,
    /// The last bind was refused for its credentials.
    pub(crate) credentials_refused: AtomicBool,
    /// With `bind = "auto"`: whether the links of the operator are pairs.
    pub(crate) pairs: Option<watch::Sender<bool>>,
    /// What an HTTP carrier brought.
    pub(crate) arrivals: Arc<http::Arrivals>,
    /// Where its sessions can be looked at.
    pub(crate) tap: LinkTap,
}

/// What a link is connected to now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    peer: Option<SocketAddr>,
    host: Option<String>,
    tls: bool,
    version: Option<Version>,
}

impl Link {
    /// Shows the state in metric and table.
    pub(crate) fn report(&self, meters: &Meters, state: LinkState, reason: Option<String>) {
        self.report_until(meters, state, reason, None);
    }

    fn report_until(
        &self,
        meters: &Meters,
        state: LinkState,
        reason: Option<String>,
        pause: Option<Duration>,
    ) {
        meters.state(state);
        if state == LinkState::Bound {
            self.credentials_refused.store(false, Ordering::Relaxed);
            self.pair_works();
        }
        let line = self.line().clone();
        let since = self.clock.now();
        let status = LinkStatus {
            operator: self.account.id.clone(),
            link: self.id.clone(),
            bind: self.bind.as_str(),
            state,
            since,
            peer: line.peer,
            host: line.host,
            tls: line.tls,
            version: line.version.map(|version| version.to_string()),
            reason,
            next_try: pause.map(|pause| since.after(pause)),
            held: self.is_held(),
            credentials_refused: self.credentials_refused.load(Ordering::Relaxed),
        };
        self.table.set(status, Some(&self.load));
    }

    /// A transmitter is bound: where the mode was open, it is the pair from now on.
    fn pair_works(&self) {
        let Some(pairs) = self.pairs.as_ref().filter(|_| self.bind.is_of_pair()) else {
            return;
        };
        if pairs.send_if_modified(|paired| !std::mem::replace(paired, true)) {
            info!(operator = %self.account.id, link = %self.id, "the carrier takes no transceivers: links are pairs of transmitter and receiver");
        }
    }

    /// Whether the mode is decided, and for the pair.
    fn is_paired(&self) -> bool {
        self.pairs.as_ref().is_some_and(|pairs| *pairs.borrow())
    }

    /// How its carrier connects, when it is the one to do so.
    fn is_called<'a>(&self, operator: &'a Operator) -> Option<&'a CarrierCalls> {
        let number = u32::try_from(self.index).unwrap_or(u32::MAX).saturating_add(1);
        operator.calls.as_ref().filter(|_| operator.is_called(number))
    }

    /// Takes nothing from the queue.
    pub(crate) fn is_held(&self) -> bool {
        match *self.wish.borrow() {
            LinkWish::Held => true,
            LinkWish::Open | LinkWish::Drained | LinkWish::Stopped => false,
        }
    }

    /// How long outstanding answers are waited for when it is closed: a drain waits until each has passed its own time.
    pub(crate) fn patience(&self) -> Duration {
        match *self.wish.borrow() {
            LinkWish::Drained => patience_of_drain(&self.account.settings()).max(self.drain),
            LinkWish::Open | LinkWish::Held | LinkWish::Stopped => self.drain,
        }
    }

    /// The same where there is a carrier rather than a connection.
    pub(crate) fn connected_to(&self, peer: SocketAddr, host: String, tls: bool, meters: &Meters) {
        *self.line() = Line {
            peer: Some(peer),
            host: Some(host),
            tls,
            version: None,
        };
        self.connected(meters);
    }

    /// Shows what it is connected to; it binds now.
    fn connected(&self, meters: &Meters) {
        meters.state(LinkState::Connecting);
        let line = self.line().clone();
        self.table.update(&self.id, self.bind.as_str(), |status| {
            status.state = LinkState::Connecting;
            status.reason = None;
            (status.peer, status.host, status.tls) = (line.peer, line.host, line.tls);
        });
    }

    /// Shows that it is held, or no longer.
    pub(crate) fn show_held(&self) {
        let held = self.is_held();
        self.table
            .update(&self.id, self.bind.as_str(), |status| status.held = held);
    }

    /// Bound, in this version.
    pub(crate) fn speaks(&self, version: Version) {
        self.line().version = Some(version);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a drain may have to wait for answers; the second lets the last of them time out by itself.
pub(crate) fn patience_of_drain(operator: &Operator) -> Duration {
    operator.response_timeout.saturating_add(Duration::from_secs(1))
}

/// Why a try ended, and how long to wait at least.
pub(crate) struct Lost {
    pub(crate) cause: &'static str,
    /// What the bind was refused with.
    pub(crate) refused: Option<CommandStatus>,
    pub(crate) reason: String,
    pub(crate) floor: Duration,
    pub(crate) worked: bool,
}

/// How a task goes on after a bind has come to its end.
enum Next {
    /// The link drains: it is over.
    End,
    /// The other kind of bind is to be tried, by `bind = "auto"`.
    Other,
}

/// What lasts from one try to the next.
pub(crate) struct Memory {
    pub(crate) operator: Arc<Operator>,
    limits: (Duration, Duration),
    backoff: Backoff,
    pub(crate) tls: TlsFiles,
}

impl Memory {
    fn new(link: &Link) -> Self {
        let operator = link.account.settings();
        let limits = (operator.reconnect_min, operator.reconnect_max);
        Self {
            backoff: Backoff::new(limits.0, limits.1, JITTER),
            operator,
            limits,
            tls: TlsFiles::default(),
        }
    }

    /// The pause after a try; limits that were changed meanwhile begin anew.
    fn pause(&mut self, link: &Link, lost: &Lost) -> Duration {
        let settings = link.account.settings();
        let limits = (settings.reconnect_min, settings.reconnect_max);
        if limits != self.limits {
            self.limits = limits;
            self.backoff = Backoff::new(limits.0, limits.1, JITTER);
        }
        if lost.worked {
            self.backoff.reset();
        }
        self.backoff.next(rand::random(), lost.floor)
    }
}

/// The task of one bind.
pub(crate) async fn run(ctx: ChildContext, link: Arc<Link>) -> Result<(), ChildError> {
    // The links start together and a carrier that is down delays nobody: up means running, not bound.
    ctx.ready();
    let mut memory = Memory::new(&link);
    match serve(&ctx, &link, &mut memory).await? {
        Next::End | Next::Other => Ok(()),
    }
}

/// The task of a link whose mode is found out: a transceiver, or the transmitter of a pair.
pub(crate) async fn run_auto(
    ctx: ChildContext,
    transceiver: Arc<Link>,
    transmitter: Arc<Link>,
) -> Result<(), ChildError> {
    ctx.ready();
    let mut memory = Memory::new(&transceiver);
    loop {
        for link in [&transceiver, &transmitter] {
            match serve(&ctx, link, &mut memory).await? {
                Next::End => return Ok(()),
                Next::Other => {}
            }
        }
    }
}

/// The task of the receiver of such a link: there is none until it is known to be a pair.
pub(crate) async fn run_receiver(ctx: ChildContext, link: Arc<Link>) -> Result<(), ChildError> {
    ctx.ready();
    if let Some(pairs) = &link.pairs {
        let mut paired = pairs.subscribe();
        tokio::select! {
            () = ctx.draining() => return Ok(()),
            known = paired.wait_for(|paired| *paired) => if known.is_err() {
                return Err(ChildError::new("nobody finds out whether the link is a pair"));
            },
        }
    }
    let mut memory = Memory::new(&link);
    match serve(&ctx, &link, &mut memory).await? {
        Next::End | Next::Other => Ok(()),
    }
}

async fn serve(ctx: &ChildContext, link: &Arc<Link>, memory: &mut Memory) -> Result<Next, ChildError> {
    let mut meters = Meters::new(&link.account.id, &link.id, link.bind.as_str());
    let shown = Shown(link);
    link.report(&meters, LinkState::Down, None);
    loop {
        if ctx.is_draining() {
            return Ok(Next::End);
        }
        if !link.bind.is_of_pair() && link.is_paired() {
            return Ok(Next::Other);
        }
        let lost = match try_once(ctx, link, memory, &mut meters).await {
            Ok(lost) => lost,
            Err(ended) => return ended.map(|()| Next::End),
        };
        if ctx.is_draining() {
            return Ok(Next::End);
        }
        meters.reconnect(lost.cause);
        *link.line() = Line::default();
        link.load.window(0);
        let refused = lost.refused;
        if !link.bind.is_of_pair() && link.pairs.is_some() && refused.is_some_and(bind::refuses_transceivers)
        {
            info!(operator = %link.account.id, link = %link.id, reason = lost.reason, "bind as transceiver refused: trying a transmitter");
            return Ok(Next::Other);
        }
        let pause = memory.pause(link, &lost);
        warn!(operator = %link.account.id, link = %link.id, bind = link.bind.as_str(), cause = lost.cause, reason = lost.reason, retry_in = ?pause, "link down");
        let class = refused.map(BindErrorClass::of);
        link.credentials_refused
            .store(class == Some(BindErrorClass::Credentials), Ordering::Relaxed);
        link.report_until(&meters, LinkState::Down, Some(lost.reason), Some(pause));
        tokio::select! {
            () = ctx.draining() => return Ok(Next::End),
            () = tokio::time::sleep(pause) => {}
        }
        if link.pairs.is_some() && link.bind.is_of_pair() && !link.is_paired() {
            drop(shown);
            return Ok(Next::Other);
        }
    }
}

/// The link's entry in the table; goes with the task, even when that is killed.
struct Shown<'a>(&'a Link);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.table.remove(&self.0.id, self.0.bind.as_str());
    }
}

/// Connects, binds and lets traffic run until the session is over. `Err` ends the task.
async fn try_once(
    ctx: &ChildContext,
    link: &Arc<Link>,
    memory: &mut Memory,
    meters: &mut Meters,
) -> Result<Lost, Result<(), ChildError>> {
    if memory.operator.protocol == Protocol::Http {
        return http::try_once(ctx, link, memory, meters).await;
    }
    let settings = link.account.settings();
    let operator = &*Arc::clone(&memory.operator);
    let called = link.is_called(operator);
    match called.and_then(|calls| calls.listen) {
        None => link.report(meters, LinkState::Connecting, None),
        Some(address) => {
            let word = calls::host(operator.protocol);
            let waits = format!("waits for the carrier's {word} at {address}");
            link.report(meters, LinkState::Down, Some(waits));
        }
    }
    let prepared = match Prepared::of(operator, called, link.bind) {
        Ok(prepared) => prepared,
        Err(error) => {
            error!(operator = %link.account.id, link = %link.id, error, "the link has nothing to bind with");
            return Ok(lost("no_credentials", error, settings.credentials_retry));
        }
    };
    let connection = tokio::select! {
        () = ctx.draining() => return Err(Ok(())),
        connection = open(link, operator, &mut memory.tls) => match connection {
            Ok(connection) => connection,
            Err(lost) => return Ok(lost),
        },
    };
    let Dialled {
        stream,
        peer,
        host,
        tls,
    } = connection;
    *link.line() = Line {
        peer: Some(peer),
        host: Some(host.clone()),
        tls,
        version: None,
    };
    link.connected(meters);
    info!(operator = %link.account.id, link = %link.id, bind = link.bind.as_str(), %peer, host, tls, "connected");

    let window = prepared.window();
    let (session, asked) = prepared.begin(link.clock.instant());
    let tap = link.tap.session(operator.protocol, peer);
    let stream: Box<dyn Stream> = Box::new(Tapped::new(stream, tap));
    let (commands, session_commands) = mpsc::channel(traffic::command_room(window));
    let (session_events, events) = mpsc::channel(EVENT_BATCHES);
    ctx.shows("commands", &commands);
    ctx.shows("events", &session_events);
    link.load.window(window);
    // Aborted when this future is dropped: a killed link leaves no connection behind.
    let mut driver = JoinSet::new();
    driver.spawn(drive(
        session,
        stream,
        session_commands,
        session_events,
        DriveOptions::new("link"),
    ));
    let traffic = Traffic::new(link, meters, commands, window, operator.response_timeout).asked(asked);
    let over = traffic.run(ctx, events).await;
    let (cause, worked) = match over {
        Over::Closed { cause, worked } => (cause, worked),
        Over::Stopping => {
            warn!(operator = %link.account.id, link = %link.id, "stopped before everything was answered and stored");
            return Err(Ok(()));
        }
        Over::Poisoned(cause) => {
            return Err(Err(ChildError::fatal(format!("the engine is poisoned: {cause}"))));
        }
        Over::Broken(why) => return Err(Err(ChildError::new(why))),
    };
    let end = tokio::select! {
        () = ctx.stopping() => return Err(Ok(())),
        driven = driver.join_next() => driven,
    };
    let transport = match end {
        Some(Ok(driven)) => match driven.end {
            DriveEnd::Failed(error) => Some(error.to_string()),
            DriveEnd::WriteStalled => Some("the carrier took no bytes".to_owned()),
            DriveEnd::PeerClosed => Some("the carrier closed the connection".to_owned()),
            DriveEnd::Closed | DriveEnd::OwnerGone => None,
        },
        Some(Err(error)) => Some(format!("the session failed: {error}")),
        None => None,
    };
    let reason = match transport {
        Some(transport) if cause == CloseCause::Lost => transport,
        Some(_) | None => cause.to_string(),
    };
    debug!(operator = %link.account.id, link = %link.id, %peer, %cause, "session over");
    Ok(Lost {
        cause: cause.name(),
        reason,
        refused: refused(cause),
        floor: floor(cause, &settings, link),
        worked,
    })
}

async fn open(link: &Link, operator: &Operator, files: &mut TlsFiles) -> Result<Dialled, Lost> {
    if link.is_called(operator).is_some() {
        return Ok(link.calls.next(Rank::of(link.index, link.bind)).await);
    }
    let tls = match operator.tls {
        None => None,
        Some(_) => Some(tls_client(operator, files).await?),
    };
    let hosts = hosts_from(operator, link.index);
    let options = ConnectOptions {
        timeout: operator.connect_timeout,
        source: operator.source_address,
        tls,
        ..ConnectOptions::default()
    };
    link.dial
        .dial(&hosts, &options)
        .await
        .map_err(|error| lost("connect_failed", error.to_string(), Duration::ZERO))
}

/// The hosts in the order in which the link tries them.
fn hosts_from(operator: &Operator, index: usize) -> Vec<String> {
    let mut hosts: Vec<String> = operator.hosts.iter().map(ToString::to_string).collect();
    if let Some(first) = index.checked_rem(hosts.len()) {
        hosts.rotate_left(first);
    }
    hosts
}

pub(crate) async fn tls_client(operator: &Operator, files: &mut TlsFiles) -> Result<TlsClient, Lost> {
    let section = operator.tls.clone().unwrap_or_default();
    let told = |reason: String| lost("tls_setup", reason, Duration::ZERO);
    let mut read = std::mem::take(files);
    let reading = tokio::task::spawn_blocking(move || {
        let client = read.client(&section);
        (read, client)
    });
    match reading.await {
        Ok((read, client)) => {
            *files = read;
            client.map_err(|error| told(chain(&error)))
        }
        Err(error) => Err(told(error.to_string())),
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub(crate) fn lost(cause: &'static str, reason: String, floor: Duration) -> Lost {
    Lost {
        cause,
        reason,
        floor,
        refused: None,
        worked: false,
    }
}

pub(crate) fn refused(cause: CloseCause) -> Option<CommandStatus> {
    match cause {
        CloseCause::BindRefused(status) => Some(status),
        CloseCause::BindTimeout
        | CloseCause::Unbound
        | CloseCause::UnbindTimeout
        | CloseCause::PeerUnbound
        | CloseCause::EnquireLinkTimeout
        | CloseCause::Inactive
        | CloseCause::Silent
        | CloseCause::Unanswered
        | CloseCause::OutbindRefused
        | CloseCause::BadLength(_)
        | CloseCause::Lost => None,
    }
}

/// The least pause that an end calls for.
pub(crate) fn floor(cause: CloseCause, settings: &Operator, link: &Link) -> Duration {
    let Some(status) = refused(cause) else {
        return Duration::ZERO;
    };
    match BindErrorClass::of(status) {
        BindErrorClass::Credentials => {
            error!(operator = %link.account.id, link = %link.id, %status, "the carrier refuses our credentials; somebody has to check them");
            settings.credentials_retry
        }
        BindErrorClass::AlreadyBound => settings.already_bound_retry,
        BindErrorClass::Other => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_config::HostPort;

    #[test]
    fn links_begin_at_different_hosts_and_try_them_all() {
        let hosts = ["a:1", "b:2", "c:3"]
            .map(|host| HostPort::from_text(host).unwrap())
            .to_vec();
        let operator = Operator {
            hosts,
            ..Operator::default()
        };
        assert_eq!(hosts_from(&operator, 0), ["a:1", "b:2", "c:3"]);
        assert_eq!(hosts_from(&operator, 1), ["b:2", "c:3", "a:1"]);
        assert_eq!(hosts_from(&operator, 5), ["c:3", "a:1", "b:2"]);
        assert!(hosts_from(&Operator::default(), 3).is_empty());
    }
}
