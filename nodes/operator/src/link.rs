//! A link: connects, binds, lets traffic run, and does it again after each end, with growing pauses.
//!
//! Knows the supervisor's signals and the transport; what goes over a session is `traffic`'s duty. Invariant LI-1: a link
//! that was not told to drain never gives up; each end has a cause that is logged, counted and shown.
//!
//! Pauses: `reconnect_min` doubling to `reconnect_max` with jitter, from the start again once a session was of use;
//! at least `credentials_retry` after refused credentials, at least [`ALREADY_BOUND_WAIT`] after ESME_RALYBND (carriers
//! keep ghosts of lost sessions for up to a minute; binding faster only feeds them).

use crate::account::Account;
use crate::bind::{self, Bind};
use crate::dial::{Dial, Dialled};
use crate::metric::Meters;
use crate::status::{LinkState, LinkStatus, LinkTable};
use crate::traffic::{self, Over, Traffic};
use smsgw_config::{Operator, TlsSection};
use smsgw_message::LinkId;
use smsgw_queue::Engine;
use smsgw_runtime::{ChildContext, ChildError, Clock};
use smsgw_session::Backoff;
use smsgw_smpp::{CloseCause, CommandStatus, EsmeSession};
use smsgw_transport::{ConnectOptions, DriveEnd, DriveOptions, TlsClient, drive};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

/// Least pause after ESME_RALYBND.
pub(crate) const ALREADY_BOUND_WAIT: Duration = Duration::from_secs(30);
/// Batches of events that may wait for the link.
const EVENT_BATCHES: usize = 4;
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
    pub(crate) peer: Mutex<Option<SocketAddr>>,
}

impl Link {
    /// Shows the state in metric and table.
    pub(crate) fn report(&self, meters: &Meters, state: LinkState, reason: Option<String>) {
        meters.state(state);
        self.table.set(LinkStatus {
            operator: self.account.id.clone(),
            link: self.id.clone(),
            bind: self.bind.as_str(),
            state,
            since: self.clock.now(),
            peer: *self.peer.lock().unwrap_or_else(PoisonError::into_inner),
            reason,
        });
    }

    fn set_peer(&self, peer: Option<SocketAddr>) {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = peer;
    }
}

/// Why a try ended, and how long to wait at least.
struct Lost {
    cause: &'static str,
    reason: String,
    floor: Duration,
    worked: bool,
}

/// The task of one bind.
pub(crate) async fn run(ctx: ChildContext, link: Arc<Link>) -> Result<(), ChildError> {
    // The links start together and a carrier that is down delays nobody: up means running, not bound.
    ctx.ready();
    let operator = link.account.settings();
    let mut meters = Meters::new(&link.account.id, &link.id, link.bind.as_str());
    let mut backoff = Backoff::new(operator.reconnect_min, operator.reconnect_max, JITTER);
    let mut tls = None;
    let _shown = Shown(&link);
    link.report(&meters, LinkState::Down, None);
    loop {
        if ctx.is_draining() {
            return Ok(());
        }
        let lost = match try_once(&ctx, &link, &operator, &mut meters, &mut tls).await {
            Ok(lost) => lost,
            Err(ended) => return ended,
        };
        if ctx.is_draining() {
            return Ok(());
        }
        if lost.worked {
            backoff.reset();
        }
        let pause = backoff.next(rand::random(), lost.floor);
        meters.reconnect(lost.cause);
        warn!(operator = %link.account.id, link = %link.id, bind = link.bind.as_str(), cause = lost.cause, reason = lost.reason, retry_in = ?pause, "link down");
        link.set_peer(None);
        link.report(&meters, LinkState::Down, Some(lost.reason));
        tokio::select! {
            () = ctx.draining() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
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
    operator: &Operator,
    meters: &mut Meters,
    tls: &mut Option<TlsClient>,
) -> Result<Lost, Result<(), ChildError>> {
    link.report(meters, LinkState::Connecting, None);
    let settings = link.account.settings();
    let config = match bind::session(operator, link.bind) {
        Ok(config) => config,
        Err(error) => {
            error!(operator = %link.account.id, link = %link.id, %error, "the link has nothing to bind with");
            return Ok(lost(
                "no_credentials",
                error.to_string(),
                settings.credentials_retry,
            ));
        }
    };
    let connection = tokio::select! {
        () = ctx.draining() => return Err(Ok(())),
        connection = open(link, operator, tls) => match connection {
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
    link.set_peer(Some(peer));
    info!(operator = %link.account.id, link = %link.id, bind = link.bind.as_str(), %peer, host, tls, "connected");

    let window = config.window;
    let session = EsmeSession::new(config, link.clock.instant());
    let (commands, session_commands) = mpsc::channel(traffic::command_room(window));
    let (session_events, events) = mpsc::channel(EVENT_BATCHES);
    // Aborted when this future is dropped: a killed link leaves no connection behind.
    let mut driver = JoinSet::new();
    driver.spawn(drive(
        session,
        stream,
        session_commands,
        session_events,
        DriveOptions::new("link"),
    ));
    let traffic = Traffic::new(link, meters, commands, window, operator.response_timeout);
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
        floor: floor(cause, &settings, link),
        worked,
    })
}

async fn open(link: &Link, operator: &Operator, tls: &mut Option<TlsClient>) -> Result<Dialled, Lost> {
    if let (Some(section), None) = (&operator.tls, &*tls) {
        *tls = Some(tls_client(section).await?);
    }
    let hosts = hosts_from(operator, link.index);
    let options = ConnectOptions {
        timeout: operator.connect_timeout,
        tls: tls.clone(),
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

async fn tls_client(section: &TlsSection) -> Result<TlsClient, Lost> {
    let section = section.clone();
    let told = |reason: String| lost("tls_setup", reason, Duration::ZERO);
    match tokio::task::spawn_blocking(move || bind::tls(&section)).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(told(chain(&error))),
        Err(error) => Err(told(error.to_string())),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn lost(cause: &'static str, reason: String, floor: Duration) -> Lost {
    Lost {
        cause,
        reason,
        floor,
        worked: false,
    }
}

/// The least pause that an end calls for.
fn floor(cause: CloseCause, settings: &Operator, link: &Link) -> Duration {
    let CloseCause::BindRefused(status) = cause else {
        return Duration::ZERO;
    };
    match status {
        CommandStatus::INVALID_PASSWORD | CommandStatus::INVALID_SYSTEM_ID | CommandStatus::BIND_FAILED => {
            error!(operator = %link.account.id, link = %link.id, %status, "the carrier refuses our credentials; somebody has to check them");
            settings.credentials_retry
        }
        CommandStatus::ALREADY_BOUND => ALREADY_BOUND_WAIT,
        CommandStatus(_) => Duration::ZERO,
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
