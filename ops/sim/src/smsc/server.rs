//! The carrier on sockets: one machine behind a lock, one task a connection, one for time.
//!
//! Decides nothing. Invariants: the ledger's lines of a turn are handed to the system before any octet of that turn is
//! written; nothing is read from a connection that does not take what is written to it.
//!
//! # Limits
//! When the ledger cannot be written every connection is closed and nothing is answered any more; `stop` says why.

mod sockets;

use super::chaos::{Act, ChaosArg, Director, Order};
use super::machine::{Flow, Moment, SessionId, Smsc};
use super::mo::MoBatch;
use super::options::{OptionsError, Protocol, SmscOptions};
use super::owed::{self, OwedRecord};
use super::stats::SmscStats;
use crate::ledger::{CarrierRecord, Ledger, LedgerError, LedgerOptions};
use bytes::BytesMut;
use rustc_hash::FxHashMap;
use serde::{Serialize, de::DeserializeOwned};
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use smsgw_transport::{ListenError, Listener, TlsClient};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// Connections at most; further ones are closed at once.
const CONNECTIONS: usize = 10_000;

/// The simulated carrier could not go on.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The ledger; nothing is answered that is not in it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Options or phases.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// No connection to an ESME that is to bind, or to a UCP client.
    #[error("failed to connect to {to}")]
    Outbind {
        /// Where to.
        to: SocketAddr,
        /// Why.
        #[source]
        kind: io::Error,
    },
    /// Its task panicked.
    #[error("the simulated carrier ended unexpectedly")]
    Ended(#[from] JoinError),
}

/// What was waited for did not happen.
#[derive(Debug, Error)]
#[error("the simulated carrier did not get there within {within:?}; its counts: {stats:?}")]
pub struct WaitError {
    /// How long it had.
    pub within: Duration,
    /// What it had counted.
    pub stats: Box<SmscStats>,
}

/// What is left when the carrier stops.
#[derive(Debug)]
pub struct SmscReport {
    /// Everything it counted.
    pub stats: SmscStats,
    /// The latest records, as many as were to be kept.
    pub records: Vec<CarrierRecord>,
}

#[derive(Debug)]
struct Core {
    machine: Smsc,
    director: Director,
    ledger: Ledger<CarrierRecord>,
    owed: Ledger<OwedRecord>,
    failed: Option<LedgerError>,
    /// Told when their session has something new.
    wakes: FxHashMap<SessionId, Arc<Notify>>,
    next_session: u64,
    /// When the task for time wakes up by itself.
    armed: Option<std::time::Instant>,
    connections: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    core: Mutex<Core>,
    /// Something is due earlier than the task for time knows.
    earlier: Notify,
    /// Something may have been counted.
    changed: Notify,
    /// Whether connections are refused.
    shut: watch::Sender<bool>,
}

/// A running carrier. Dropping it cuts its connections.
#[derive(Debug)]
pub struct SmscServer {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    /// Of connections that it opens to ESMEs and UCP clients.
    tls: Option<TlsClient>,
    /// Accepts and keeps time; dropped with the server.
    tasks: JoinSet<()>,
}

impl SmscServer {
    /// Opens the port and starts.
    ///
    /// # Errors
    /// When the port or the ledger cannot be opened.
    pub async fn start(
        options: SmscOptions,
        listen: SocketAddr,
        ledger: &LedgerOptions,
    ) -> Result<Self, ServerError> {
        Self::start_with(options, None, listen, ledger, None).await
    }

    /// Opens the port and starts, with behaviour that changes; what is owed is in the file `owed`, whatever becomes of this
    /// process.
    ///
    /// # Errors
    /// When the port or a file cannot be opened, or the phases or what is owed cannot be read.
    pub async fn start_with(
        options: SmscOptions,
        chaos: Option<&ChaosArg>,
        listen: SocketAddr,
        ledger: &LedgerOptions,
        owed: Option<&Path>,
    ) -> Result<Self, ServerError> {
        let now = moment();
        let director = match chaos {
            Some(chaos) => Director::open(options.clone(), chaos, options.seed, now.instant)?,
            None => Director::idle(options.clone(), now.instant),
        };
        let listener = Listener::bind(listen).await?;
        let bringers = match options.protocol {
            Protocol::Http => options.http.inbound_connections,
            Protocol::Smpp | Protocol::Ucp => 0,
        };
        let local_addr = listener.local_addr();
        let ledger = Ledger::open(ledger)?;
        let mut machine = Smsc::new(options, now, ledger.is_wanted());
        if let Some(file) = owed {
            machine.resume(now, owed::read(file)?);
        }
        let owed = owed.map_or_else(LedgerOptions::default, LedgerOptions::file);
        let shared = Arc::new(Shared {
            core: Mutex::new(Core {
                machine,
                director,
                ledger,
                owed: Ledger::open(&owed)?,
                failed: None,
                wakes: FxHashMap::default(),
                next_session: 0,
                armed: None,
                connections: JoinSet::new(),
            }),
            earlier: Notify::new(),
            changed: Notify::new(),
            shut: watch::Sender::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_time(Arc::clone(&shared)));
        tasks.spawn(sockets::accept(Arc::clone(&shared), listener));
        for _ in 0..bringers {
            tasks.spawn(sockets::reach(Arc::clone(&shared)));
        }
        Ok(Self {
            local_addr,
            shared,
            tls: None,
            tasks,
        })
    }

    /// The same, with what it opens to ESMEs and UCP clients inside TLS.
    #[must_use]
    pub fn over_tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> SmscStats {
        self.shared.lock().stats()
    }

    /// Waits until the counts are as wanted.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn wait_until(
        &self,
        within: Duration,
        mut wanted: impl FnMut(&SmscStats) -> bool,
    ) -> Result<SmscStats, WaitError> {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                let stats = self.stats();
                if wanted(&stats) {
                    return stats;
                }
                changed.await;
            }
        };
        timeout(within, waiting).await.map_err(|_| WaitError {
            within,
            stats: Box::new(self.stats()),
        })
    }

    /// Sends messages from phones, now or once somebody is bound.
    pub fn inject_mo(&self, batch: MoBatch) {
        self.shared
            .turn(None, |core, now| core.machine.inject_mo(now, batch));
    }

    /// Changes the behaviour; windows, numbers and names count for new connections.
    pub fn set_options(&self, options: SmscOptions) {
        self.shared.turn(None, |core, _| core.set_base(options));
    }

    /// Changes some options.
    ///
    /// # Errors
    /// When one is unknown or has a wrong value; nothing is changed then.
    pub fn change_options(&self, changes: &serde_json::Value) -> Result<(), OptionsError> {
        self.shared.turn(None, |core, _| {
            let changed = core.director.base().with(changes)?;
            core.set_base(changed);
            Ok(())
        })
    }

    /// The behaviour outside of phases.
    #[must_use]
    pub fn options(&self) -> SmscOptions {
        self.shared.lock().director.base().clone()
    }

    /// Cuts every connection now.
    pub fn cut_all(&self) {
        self.shared.turn(None, |core, now| core.machine.cut_all(now));
    }

    /// Unbinds every session.
    pub fn unbind_all(&self) {
        self.shared.turn(None, |core, _| core.machine.unbind_all());
    }

    /// Connects to an ESME and asks it to bind on that connection.
    ///
    /// # Errors
    /// When it cannot be connected to.
    pub async fn outbind(&self, to: SocketAddr, password: &str) -> Result<(), ServerError> {
        if let Some(session) = self.open(to).await? {
            self.shared
                .turn(None, |core, _| core.machine.outbind(session, password));
        }
        Ok(())
    }

    /// Connects to a UCP client and delivers to it, after a login with this name and password, where there is one.
    ///
    /// # Errors
    /// When it cannot be connected to.
    pub async fn connect(&self, to: SocketAddr, login: Option<(&str, &str)>) -> Result<(), ServerError> {
        if self.options().protocol != Protocol::Ucp {
            let kind = io::Error::other("only a UCP centre connects so");
            return Err(ServerError::Outbind { to, kind });
        }
        if let Some(session) = self.open(to).await? {
            self.shared
                .turn(None, |core, now| core.machine.call(now, session, login));
        }
        Ok(())
    }

    async fn open(&self, to: SocketAddr) -> Result<Option<SessionId>, ServerError> {
        let opened = sockets::open(&self.shared, to, self.tls.as_ref()).await;
        opened.map_err(|kind| ServerError::Outbind { to, kind })
    }

    /// Stops, cutting what is connected.
    ///
    /// # Errors
    /// When the ledger could not be written.
    pub async fn stop(mut self) -> Result<SmscReport, ServerError> {
        self.tasks.shutdown().await;
        let mut connections = std::mem::take(&mut self.shared.lock().connections);
        connections.shutdown().await;
        let mut core = self.shared.lock();
        core.keep_records();
        if let Some(failed) = core.failed.take() {
            return Err(failed.into());
        }
        core.ledger.flush()?;
        let stats = core.stats();
        let ledger = std::mem::replace(&mut core.ledger, Ledger::open(&LedgerOptions::default())?);
        Ok(SmscReport {
            stats,
            records: ledger.into_latest(),
        })
    }
}

impl Drop for SmscServer {
    fn drop(&mut self) {
        self.shared.lock().connections.abort_all();
    }
}

fn moment() -> Moment {
    Moment {
        instant: SystemClock.instant(),
        wall: SystemClock.now(),
    }
}

impl Core {
    fn stats(&self) -> SmscStats {
        SmscStats {
            records_forgotten: self.ledger.forgotten(),
            phases: self.director.begun(),
            ..self.machine.stats()
        }
    }

    fn set_base(&mut self, options: SmscOptions) {
        if let Some(Order::Options(options)) = self.director.set_base(options) {
            self.machine.set_options(*options);
        }
    }

    fn handle_timeout(&mut self, now: Moment) {
        for order in self.director.handle_timeout(now.instant) {
            match order {
                Order::Options(options) => self.machine.set_options(*options),
                Order::Act(Act::Cut) => self.machine.cut_all(now),
                Order::Act(Act::Unbind) => self.machine.unbind_all(),
                Order::Act(Act::None) => {}
            }
        }
        self.machine.handle_timeout(now);
    }

    fn keep_records(&mut self) {
        if self.failed.is_some() {
            self.machine.records().into_iter().for_each(Vec::clear);
            self.machine.debts().into_iter().for_each(Vec::clear);
            return;
        }
        // In this order: a receipt of a message that no ledger has would come from nowhere.
        let kept = keep(&mut self.ledger, self.machine.records())
            .and_then(|()| keep(&mut self.owed, self.machine.debts()));
        if let Err(error) = kept {
            warn!(%error, "the ledger cannot be written; every connection is closed");
            self.failed = Some(error);
            for wake in self.wakes.values() {
                wake.notify_one();
            }
        }
    }

    fn transmit(&mut self, session: SessionId, out: &mut BytesMut, stream: &TcpStream) -> Flow {
        if self.failed.is_some() {
            out.clear();
            return Flow::Closing;
        }
        if self.machine.has_unsent(session) && sockets::has_hung_up(stream) {
            self.machine.handle_hung_up(session);
            self.keep_records();
            return Flow::Closing;
        }
        self.machine.poll_transmit(session, out)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the machine, keeps the records, and wakes whoever has something to send, except `own`.
    fn turn<T>(&self, own: Option<SessionId>, act: impl FnOnce(&mut Core, Moment) -> T) -> T {
        let mut core = self.lock();
        let done = act(&mut core, moment());
        core.keep_records();
        while let Some(session) = core.machine.poll_dirty() {
            if Some(session) != own
                && let Some(wake) = core.wakes.get(&session)
            {
                wake.notify_one();
            }
        }
        let is_shut = core.machine.options().binds.refuse_connections;
        self.shut
            .send_if_modified(|shut| std::mem::replace(shut, is_shut) != is_shut);
        let next = [core.machine.poll_timeout(), core.director.poll_timeout()]
            .into_iter()
            .flatten()
            .min();
        let is_earlier = next.is_some_and(|next| core.armed.is_none_or(|armed| next < armed));
        drop(core);
        if is_earlier {
            self.earlier.notify_one();
        }
        self.changed.notify_waiters();
        done
    }

    /// Takes a connection in; `None` when there are too many.
    fn open(self: &Arc<Self>, stream: impl sockets::Stream) -> Option<SessionId> {
        let (session, wake) = self.enter(Smsc::handle_opened)?;
        let shared = Arc::clone(self);
        let task = async move { shared.serve(session, stream, &wake).await };
        self.lock().connections.spawn(task);
        Some(session)
    }

    /// A session for a connection.
    fn enter(&self, opened: impl FnOnce(&mut Smsc, Moment, SessionId)) -> Option<(SessionId, Arc<Notify>)> {
        let mut core = self.lock();
        while core.connections.try_join_next().is_some() {}
        if core.wakes.len() >= CONNECTIONS {
            return None;
        }
        core.next_session = core.next_session.wrapping_add(1);
        let session = SessionId(core.next_session);
        let wake = Arc::new(Notify::new());
        core.wakes.insert(session, Arc::clone(&wake));
        drop(core);
        self.turn(None, |core, now| opened(&mut core.machine, now, session));
        Some((session, wake))
    }

    async fn serve(&self, session: SessionId, stream: impl sockets::Stream, wake: &Notify) {
        if let Err(error) = sockets::connection(self, session, stream, wake).await {
            debug!(session = session.0, %error, "a connection failed");
        }
        self.turn(Some(session), |core, now| {
            core.wakes.remove(&session);
            core.machine.handle_ended(now, session);
        });
    }
}

fn keep<T: Serialize + DeserializeOwned>(
    ledger: &mut Ledger<T>,
    lines: Option<&mut Vec<u8>>,
) -> Result<(), LedgerError> {
    match lines {
        Some(lines) => ledger.push_lines(lines).and_then(|()| ledger.flush()),
        None => Ok(()),
    }
}

async fn keep_time(shared: Arc<Shared>) {
    loop {
        let due = {
            let mut core = shared.lock();
            let due = [core.machine.poll_timeout(), core.director.poll_timeout()];
            core.armed = due.into_iter().flatten().min();
            core.armed
        };
        match due {
            Some(at) => tokio::select! {
                () = sleep_until(Instant::from_std(at)) => {}
                () = shared.earlier.notified() => {}
            },
            None => shared.earlier.notified().await,
        }
        shared.turn(None, Core::handle_timeout);
    }
}
