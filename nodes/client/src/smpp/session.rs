//! The task of one connection: handshake, bind, and then [`Bound`] until it is over.
//!
//! Knows the driver and the supervisor's signals. Invariant SE-1: a session that fails, however it fails, ends alone: its
//! connection is closed, what it had of the queue goes back, its bind leaves the table.

use super::binds::{Entry, kind_word};
use super::bound::{Bound, Over, Wires};
use super::login::{self, Denied};
use super::{Connected, Origin, Server, metric, refusal};
use smsgw_config::{Config, InterfaceVersion};
use smsgw_message::ClientId;
use smsgw_runtime::{ChildContext, ChildError};
use smsgw_smpp::matrix::version_of_bind;
use smsgw_smpp::{
    BindKind, CommandStatus, Password, SmscCommand, SmscConfig, SmscEvent, SmscSession, Version,
};
use smsgw_transport::{ConnectOptions, DriveEnd, DriveOptions, Driven, connect, drive};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{debug, info, warn};

/// Octets read at once: what a session may have read and not looked at is bounded by a few of these.
const READ: usize = 8 * 1024;
/// Requests that a session lets wait for us: above the largest window and what can be read beside it.
pub(super) const REQUESTS: usize = 12_000;
/// Commands on their way to the session: an answer for each request, a delivery for each slot of the largest window.
const COMMANDS: usize = REQUESTS + 10_000 + 64;
/// Batches of events that wait for us.
const EVENT_BATCHES: usize = 1;

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection, with what is known of it.
struct Opened {
    io: Box<dyn Io>,
    peer: SocketAddr,
    tls: bool,
    session: SmscSession,
    /// Who was called.
    called: Option<ClientId>,
    _connected: Option<Connected>,
}

/// A bind that was asked for.
struct Asked {
    kind: BindKind,
    system_id: smsgw_smpp::COctets,
    password: Password,
    interface_version: u8,
}

pub(super) async fn run(
    ctx: ChildContext,
    server: Arc<Server>,
    origin: Option<Origin>,
    number: u64,
) -> Result<(), ChildError> {
    ctx.ready();
    let Some(origin) = origin else {
        return Ok(());
    };
    let opened = tokio::select! {
        () = ctx.draining() => return Ok(()),
        opened = open(&server, origin) => opened,
    };
    let Some(Opened {
        io,
        peer,
        tls,
        session,
        called,
        _connected,
    }) = opened
    else {
        return Ok(());
    };
    debug!(%peer, tls, session = number, "SMPP connection");
    let (commands, session_commands) = mpsc::channel(COMMANDS);
    let (session_events, mut events) = mpsc::channel(EVENT_BATCHES);
    let options = DriveOptions {
        read_buffer: READ,
        ..DriveOptions::new("esme")
    };
    // Aborted when this future is dropped: a killed session leaves no connection behind.
    let mut driver = JoinSet::new();
    driver.spawn(drive(session, io, session_commands, session_events, options));
    let bound = tokio::select! {
        // Nobody is bound: there is nothing to wait for.
        () = ctx.draining() => return Ok(()),
        bound = login(&server, &mut events, &commands, peer, tls) => bound,
    };
    if let Some(client) = &called {
        let outcome = if bound.is_some() { "bound" } else { "unanswered" };
        metric::OUTBINDS_TOTAL.with(&[client.as_str(), outcome]).inc();
    }
    let Some(mut bound) = bound else {
        return Ok(());
    };
    let wires = Wires { commands, events };
    let since = server.shared.clock.instant();
    let over = bound.run(&ctx, wires).await;
    let driven = tokio::select! {
        () = ctx.stopping() => None,
        driven = driver.join_next() => driven,
    };
    let bind = bound.bind();
    let cause = match over {
        Over::Closed(cause) => cause.name(),
        Over::Stopping => "stopping",
        Over::Broken => "broken",
    };
    metric::UNBINDS_TOTAL.with(&[bind.client.as_str(), cause]).inc();
    let seconds = server
        .shared
        .clock
        .instant()
        .saturating_duration_since(since)
        .as_secs();
    info!(client = %bind.client, session = %format_args!("{:016x}", bind.id), %peer, bind = kind_word(bind.kind), cause,
        why = bound.why(), transport = transport(driven), submitted = bind.submitted.load(std::sync::atomic::Ordering::Relaxed),
        delivered = bind.delivered.load(std::sync::atomic::Ordering::Relaxed), seconds, "unbound");
    Ok(())
}

/// How the connection ended, where that says more than the session.
fn transport(driven: Option<Result<Driven<SmscSession>, JoinError>>) -> String {
    match driven {
        Some(Ok(driven)) => match driven.end {
            DriveEnd::Failed(error) => error.to_string(),
            DriveEnd::WriteStalled => "the client took no bytes".to_owned(),
            DriveEnd::PeerClosed => "the client closed".to_owned(),
            DriveEnd::Closed | DriveEnd::OwnerGone => String::new(),
        },
        Some(Err(error)) => error.to_string(),
        None => String::new(),
    }
}

async fn open(server: &Server, origin: Origin) -> Option<Opened> {
    let config = server.config.config();
    let now = server.shared.clock.instant();
    match origin {
        Origin::Accepted(stream, peer, connected) => {
            let session = SmscSession::new(session_config(&config), now);
            let (io, tls): (Box<dyn Io>, bool) = match server.tls.get() {
                Some(Some(tls)) => match timeout(config.smpp.bind_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => (Box::new(stream), true),
                    Ok(Err(error)) => {
                        debug!(%peer, %error, "TLS handshake failed");
                        return None;
                    }
                    Err(_) => {
                        debug!(%peer, "TLS handshake took too long");
                        return None;
                    }
                },
                Some(None) | None => (Box::new(stream), false),
            };
            Some(Opened {
                io,
                peer,
                tls,
                session,
                called: None,
                _connected: Some(connected),
            })
        }
        Origin::Outbind(client) => call(server, &config, client).await,
    }
}

/// Connects to a client and asks it to bind.
async fn call(server: &Server, config: &Config, client: ClientId) -> Option<Opened> {
    let account = config.client.get(&client)?;
    let failed = |why: &dyn std::fmt::Display| {
        metric::OUTBINDS_TOTAL
            .with(&[client.as_str(), "connect_failed"])
            .inc();
        warn!(%client, error = %why, "a client could not be called");
    };
    let hosts: Vec<String> = account.smpp.outbind.iter().map(ToString::to_string).collect();
    let options = ConnectOptions {
        timeout: config.smpp.bind_timeout,
        ..ConnectOptions::default()
    };
    let connection = match connect(&hosts, &options).await {
        Ok(connection) => connection,
        Err(error) => {
            failed(&error);
            return None;
        }
    };
    let secret = account
        .smpp
        .outbind_password
        .as_ref()
        .map_or("", |secret| secret.expose());
    let Ok(password) = Password::try_new(secret.as_bytes()) else {
        failed(&"outbind_password holds a NUL");
        return None;
    };
    let ours = session_config(config);
    let name = ours.system_id.clone();
    match SmscSession::outbind(ours, name, password, server.shared.clock.instant()) {
        Ok(session) => Some(Opened {
            peer: connection.peer(),
            io: Box::new(connection),
            tls: false,
            session,
            called: Some(client),
            _connected: None,
        }),
        Err(error) => {
            failed(&error);
            None
        }
    }
}

fn version(config: &Config) -> Version {
    match config.smpp.version {
        InterfaceVersion::V3_3 => Version::V3_3,
        InterfaceVersion::V3_4 => Version::V3_4,
        InterfaceVersion::V5_0 => Version::V5_0,
    }
}

fn session_config(config: &Config) -> SmscConfig {
    let smpp = &config.smpp;
    let window = usize::try_from(smpp.window).unwrap_or(usize::MAX);
    SmscConfig {
        interface_version: Some(version(config).octet()),
        bind_timeout: smpp.bind_timeout,
        requests: REQUESTS,
        overload_status: CommandStatus::THROTTLED,
        window,
        response_timeout: smpp.response_timeout,
        enquire_link: Some(smpp.enquire_link),
        enquire_link_timeout: smpp.response_timeout,
        ..SmscConfig::new(super::down::render::name(&smpp.system_id))
    }
}

/// Waits for a bind and decides on it; `None` when the connection is over without one.
async fn login(
    server: &Arc<Server>,
    events: &mut mpsc::Receiver<Vec<SmscEvent>>,
    commands: &mpsc::Sender<SmscCommand>,
    peer: SocketAddr,
    tls: bool,
) -> Option<Bound> {
    let mut refused = false;
    loop {
        let batch = events.recv().await?;
        for event in batch {
            match event {
                SmscEvent::BindRequested {
                    kind,
                    system_id,
                    password,
                    interface_version,
                    ..
                } if !refused => {
                    let asked = Asked {
                        kind,
                        system_id,
                        password,
                        interface_version,
                    };
                    match decide(server, &asked, peer, tls).await {
                        Ok((bound, window)) => {
                            let accept = SmscCommand::AcceptBind { window: Some(window) };
                            commands.send(accept).await.ok()?;
                            return Some(bound);
                        }
                        Err((denied, delay)) => {
                            refused = true;
                            note(&denied, &asked, peer);
                            tokio::time::sleep(delay).await;
                            let status = denied.status.known_in(version_of_bind(kind, interface_version));
                            commands.send(SmscCommand::RefuseBind { status }).await.ok()?;
                        }
                    }
                }
                SmscEvent::Closed { cause, .. } => {
                    debug!(%peer, cause = cause.name(), "SMPP connection over without a bind");
                    return None;
                }
                SmscEvent::Undecodable(_) => metric::MALFORMED_TOTAL.with(&["-", "undecodable"]).inc(),
                SmscEvent::Tolerated { quirks, .. } => {
                    for quirk in quirks.iter() {
                        metric::MALFORMED_TOTAL.with(&["-", quirk.name()]).inc();
                    }
                }
                SmscEvent::RequestRefused {
                    status, command_id, ..
                } => {
                    debug!(%peer, ?command_id, %status, "request before a bind");
                    metric::REQUESTS_TOTAL
                        .with(&["-", "unbound", refusal::word(status)])
                        .inc();
                }
                SmscEvent::BindRequested { .. }
                | SmscEvent::Submit { .. }
                | SmscEvent::SubmitMulti { .. }
                | SmscEvent::Query { .. }
                | SmscEvent::Cancel { .. }
                | SmscEvent::Replace { .. }
                | SmscEvent::DeliverAnswered { .. }
                | SmscEvent::TimedOut { .. }
                | SmscEvent::LateAnswer { .. }
                | SmscEvent::NotSent { .. }
                | SmscEvent::Congested(_)
                | SmscEvent::Unmatched { .. }
                | SmscEvent::Adapted { .. } => {}
            }
        }
    }
}

fn note(denied: &Denied, asked: &Asked, peer: SocketAddr) {
    let client = denied.client.as_ref().map_or("-", ClientId::as_str);
    metric::BINDS_TOTAL.with(&[client, denied.why]).inc();
    // What somebody gives as system_id may be a password in the wrong field.
    warn!(%peer, client, bind = kind_word(asked.kind), why = denied.why, status = %denied.status, "bind refused");
}

/// Whether the bind is taken: a bound session and its window, or why not and after what delay.
async fn decide(
    server: &Arc<Server>,
    asked: &Asked,
    peer: SocketAddr,
    tls: bool,
) -> Result<(Bound, usize), (Denied, Duration)> {
    let config = server.config.config();
    let delay = config.smpp.login_delay;
    let client = login::check(
        &server.shared,
        &config,
        peer.ip(),
        &asked.system_id,
        &asked.password,
    )
    .await
    .map_err(|denied| (denied, delay))?;
    let denied = |why| Denied {
        status: CommandStatus::ALREADY_BOUND,
        why,
        client: Some(client.clone()),
    };
    let Some(account) = config.client.get(&client) else {
        return Err((denied("system_id"), delay));
    };
    let window = usize::try_from(account.window.unwrap_or(config.smpp.window)).unwrap_or(usize::MAX);
    let version = version(&config).min(version_of_bind(asked.kind, asked.interface_version));
    let (jobs, waiting) = mpsc::channel(window.max(1));
    let entry = Entry {
        id: rand::random(),
        client: client.clone(),
        kind: asked.kind,
        version,
        peer,
        tls,
        since: server.shared.clock.now(),
        window,
        jobs,
    };
    let registration = server
        .binds
        .register(entry, account)
        .map_err(|why| (denied(why), Duration::ZERO))?;
    metric::BINDS_TOTAL.with(&[client.as_str(), "accepted"]).inc();
    let bind = &registration.bind;
    info!(%client, session = %format_args!("{:016x}", bind.id), %peer, bind = kind_word(bind.kind), ?version, tls, window, "bound");
    Ok((
        Bound::new(Arc::clone(server), registration, waiting, window),
        window,
    ))
}
