//! The SMPP face: a server for clients that bind (SMPP 3.3, 3.4, 5.0).
//!
//! ```text
//! connection ─▶ listener ─▶ session ─▶ login ─▶ binds
//!                             │ submit_sm … ─▶ submit, content ─▶ admission ─▶ accept ─▶ answer
//!                             │ query_sm, cancel_sm ─▶ named ─▶ query, cancel
//!                             ◀─ deliver_sm … ◀─ down: dispatch ◀─ down.smpp
//! ```
//! The session's rules are `smsgw-smpp`'s ([`smsgw_smpp::SmscSession`]), the socket is the driver's; here is what an
//! account may do and what becomes of its requests. Invariant: submit_sm is answered OK after the commit, deliver_sm_resp is
//! believed before its record is settled.
//!
//! # Limits
//! replace_sm is refused (ESME_RREPLACEFAIL), and cancel_sm without a message_id (ESME_RCANCELFAIL).

pub(crate) mod binds;
mod bound;
mod content;
mod down;
mod ident;
mod listener;
mod login;
mod metric;
mod named;
mod orders;
mod outbind;
mod query;
mod refusal;
mod replace;
mod requests;
mod session;
mod submit;

use crate::shared::Shared;
use binds::Binds;
use smsgw_config::ConfigHandle;
use smsgw_message::ClientId;
use smsgw_runtime::{AddError, ChildSpec, Intensity, RestartPolicy, Strategy, Supervisor, SupervisorHandle};
use smsgw_transport::{TlsFiles, TlsServer};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long a session may take to end when the node drains, beyond the time it gives its client.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What every session and the dispatcher share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) binds: Arc<Binds>,
    config: ConfigHandle,
    sessions: SupervisorHandle,
    /// Set by the listener, before it takes the first connection.
    tls: OnceLock<Option<TlsServer>>,
    connections: Arc<AtomicUsize>,
    names: AtomicU64,
}

/// Where a session's connection comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// A client has connected.
    Accepted(TcpStream, SocketAddr, Connected),
    /// We are to call a client.
    Outbind(ClientId),
}

/// One of the connections that are counted; counted off at its drop.
#[derive(Debug)]
pub(super) struct Connected(Arc<AtomicUsize>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
        metric::CONNECTIONS.with(&[]).dec();
    }
}

impl Server {
    /// A place among the connections, unless `most` are open.
    fn connect(&self, most: u32) -> Option<Connected> {
        let before = self.connections.fetch_add(1, Ordering::AcqRel);
        metric::CONNECTIONS.with(&[]).inc();
        let connected = Connected(Arc::clone(&self.connections));
        (before < usize::try_from(most).unwrap_or(usize::MAX)).then_some(connected)
    }

    /// Starts the task of a session. It is not started again when it ends: its connection is gone then.
    fn add_session(self: &Arc<Self>, origin: Origin) -> Result<(), AddError> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let origin = Mutex::new(Some(origin));
        let server = Arc::clone(self);
        let drain = self.config.config().node.drain_timeout;
        let spec = ChildSpec::task(format!("session-{number}"), move |ctx| {
            let origin = origin.lock().unwrap_or_else(PoisonError::into_inner).take();
            session::run(ctx, Arc::clone(&server), origin, number)
        });
        self.sessions.add(
            spec.kind("session")
                .restart(RestartPolicy::Temporary)
                .drain_timeout(drain.saturating_add(LAST_ANSWERS)),
        )
    }
}

/// The SMPP server under supervision: sessions before the listener, so that they end after it.
pub(crate) fn supervise(
    shared: Arc<Shared>,
    config: ConfigHandle,
    binds: Arc<Binds>,
    bound: watch::Sender<Option<SocketAddr>>,
    listen: SocketAddr,
) -> ChildSpec {
    let sessions = Supervisor::new("sessions", Strategy::OneForOne).intensity(Intensity::UNLIMITED);
    let section = &config.current().config.smpp;
    let files = TlsFiles::of(section.cert_file.as_ref(), section.key_file.as_ref());
    let server = Arc::new(Server {
        shared,
        binds,
        config,
        sessions: sessions.handle(),
        tls: OnceLock::new(),
        connections: Arc::default(),
        names: AtomicU64::new(1),
    });
    let (dispatching, ordered, listening) = (Arc::clone(&server), Arc::clone(&server), server);
    let node = Supervisor::new("smpp", Strategy::OneForOne)
        .child(
            ChildSpec::task("down", move |ctx| {
                down::dispatch::run(ctx, Arc::clone(&dispatching))
            })
            .kind("down")
            .order(0),
        )
        .child(
            ChildSpec::task("orders", move |ctx| orders::run(ctx, Arc::clone(&ordered)))
                .kind("orders")
                .order(0),
        )
        .child(ChildSpec::supervisor(sessions).order(1))
        .child(
            ChildSpec::task("listener", move |ctx| {
                listener::serve(ctx, listen, Arc::clone(&listening), bound.clone(), files.clone())
            })
            .kind("listener")
            .order(2),
        );
    ChildSpec::supervisor(node)
}
