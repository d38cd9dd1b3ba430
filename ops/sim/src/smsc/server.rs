//! The carrier on sockets: one task holds the machine, one task drives each connection.
//!
//! Decides nothing. Invariants: the ledger's records of a turn are handed to the system before the turn's commands
//! reach the sessions; every channel is bounded, and the machine's task never waits for a connection (a command channel
//! holds more than a session's windows allow to be outstanding; a connection that overruns it is cut).

use super::machine::{Moment, SessionId, Smsc};
use super::mo::MoBatch;
use super::options::SmscOptions;
use super::session::{SimCommand, SimEvent, SimSession};
use super::stats::SmscStats;
use crate::ledger::{CarrierRecord, Ledger, LedgerError, LedgerOptions};
use rustc_hash::FxHashMap;
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use smsgw_transport::{DriveOptions, Driven, ListenError, Listener, drive};
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// Connections at most; further ones are closed at once.
const CONNECTIONS: usize = 10_000;
/// Batches of events under way to the machine.
const EVENT_BATCHES: usize = 64;
/// Commands a session may get beyond its windows: bind answers, cuts, malformed PDUs, answers to queries.
const SPARE_COMMANDS: usize = 1024;

/// The simulated carrier could not go on.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The ledger; nothing is answered that is not in it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
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

enum Control {
    Options(Box<SmscOptions>),
    Mo(MoBatch),
    CutAll,
}

/// A running carrier. Dropping it cuts its connections.
#[derive(Debug)]
pub struct SmscServer {
    local_addr: SocketAddr,
    control: mpsc::Sender<Control>,
    stats: watch::Receiver<SmscStats>,
    hub: JoinHandle<Result<SmscReport, ServerError>>,
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
        let listener = Listener::bind(listen).await?;
        let local_addr = listener.local_addr();
        let ledger = Ledger::open(ledger)?;
        let machine = Smsc::new(options, moment(), ledger.is_wanted());
        let (control, controls) = mpsc::channel(16);
        let (told, stats) = watch::channel(machine.stats());
        let (events, received) = mpsc::channel(EVENT_BATCHES);
        let hub = Hub {
            machine,
            ledger,
            listener,
            sessions: FxHashMap::default(),
            running: JoinSet::new(),
            next_session: 0,
            events,
            received,
            told,
        };
        Ok(Self {
            local_addr,
            control,
            stats,
            hub: tokio::spawn(hub.run(controls)),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> SmscStats {
        self.stats.borrow().clone()
    }

    /// Waits until the counts are as wanted.
    ///
    /// # Errors
    /// When they are not in time, or the carrier has ended.
    pub async fn wait_until(
        &self,
        within: Duration,
        wanted: impl FnMut(&SmscStats) -> bool,
    ) -> Result<SmscStats, WaitError> {
        let mut stats = self.stats.clone();
        let found = match timeout(within, stats.wait_for(wanted)).await {
            Ok(Ok(found)) => Some(found.clone()),
            Ok(Err(_)) | Err(_) => None,
        };
        found.ok_or_else(|| WaitError {
            within,
            stats: Box::new(self.stats()),
        })
    }

    /// Sends messages from phones, now or once somebody is bound.
    pub async fn inject_mo(&self, batch: MoBatch) {
        self.tell(Control::Mo(batch)).await;
    }

    /// Changes the behaviour; windows and names count for new connections.
    pub async fn set_options(&self, options: SmscOptions) {
        self.tell(Control::Options(Box::new(options))).await;
    }

    /// Cuts every connection now.
    pub async fn cut_all(&self) {
        self.tell(Control::CutAll).await;
    }

    /// Stops, cutting what is connected.
    ///
    /// # Errors
    /// When it had ended before with an error.
    pub async fn stop(self) -> Result<SmscReport, ServerError> {
        drop(self.control);
        self.hub.await?
    }

    async fn tell(&self, control: Control) {
        // A carrier that has ended says why in `stop`.
        if self.control.send(control).await.is_err() {
            warn!(local = %self.local_addr, "the simulated carrier has ended and was told something");
        }
    }
}

fn moment() -> Moment {
    Moment {
        instant: SystemClock.instant(),
        wall: SystemClock.now(),
    }
}

struct Hub {
    machine: Smsc,
    ledger: Ledger<CarrierRecord>,
    listener: Listener,
    sessions: FxHashMap<SessionId, (mpsc::Sender<SimCommand>, AbortHandle)>,
    running: JoinSet<(SessionId, Driven<SimSession>)>,
    next_session: u64,
    events: mpsc::Sender<Vec<SimEvent>>,
    received: mpsc::Receiver<Vec<SimEvent>>,
    told: watch::Sender<SmscStats>,
}

impl Hub {
    async fn run(mut self, mut controls: mpsc::Receiver<Control>) -> Result<SmscReport, ServerError> {
        loop {
            let due = self.machine.poll_timeout().map(Instant::from_std);
            tokio::select! {
                biased;
                Some(batch) = self.received.recv() => {
                    self.handle_events(batch);
                    self.handle_waiting_events();
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                control = controls.recv() => match control {
                    Some(control) => self.handle_control(control),
                    None => break,
                },
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    // What it had told stands in the channel already.
                    self.handle_waiting_events();
                    self.handle_ended(ended);
                }
                (stream, peer) = self.listener.accept() => self.open(stream, peer),
            }
            self.machine.handle_timeout(moment());
            self.carry_out()?;
        }
        self.running.shutdown().await;
        self.ledger.flush()?;
        let stats = self.stats();
        self.told.send_replace(stats.clone());
        Ok(SmscReport {
            stats,
            records: self.ledger.into_latest(),
        })
    }

    fn stats(&self) -> SmscStats {
        SmscStats {
            records_forgotten: self.ledger.forgotten(),
            ..self.machine.stats()
        }
    }

    fn handle_events(&mut self, batch: Vec<SimEvent>) {
        let now = moment();
        for SimEvent { session, event } in batch {
            self.machine.handle_event(now, session, event);
        }
    }

    fn handle_waiting_events(&mut self) {
        // Bounded, so that a turn ends although the connections go on.
        for _ in 0..EVENT_BATCHES {
            match self.received.try_recv() {
                Ok(batch) => self.handle_events(batch),
                Err(_) => return,
            }
        }
    }

    fn handle_control(&mut self, control: Control) {
        match control {
            Control::Options(options) => self.machine.set_options(*options),
            Control::Mo(batch) => self.machine.inject_mo(moment(), batch),
            Control::CutAll => self.machine.cut_all(),
        }
    }

    fn handle_ended(&mut self, ended: Result<(SessionId, Driven<SimSession>), JoinError>) {
        match ended {
            Ok((session, driven)) => {
                debug!(session = session.0, end = ?driven.end, "a connection ended");
                self.sessions.remove(&session);
                self.handle_events(driven.undelivered);
                self.machine.handle_ended(session);
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => warn!(%error, "the task of a connection ended unexpectedly"),
        }
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.sessions.len() >= CONNECTIONS {
            warn!(%peer, limit = CONNECTIONS, "too many connections; closed at once");
            return;
        }
        self.next_session = self.next_session.wrapping_add(1);
        let id = SessionId(self.next_session);
        let config = self.machine.session_config();
        let room = config
            .requests
            .saturating_add(config.window)
            .saturating_add(SPARE_COMMANDS);
        let (commands, taken) = mpsc::channel(room.min(1 << 20));
        let ignore = self.machine.options().ignore_enquire_link;
        let session = SimSession::new(id, config, ignore, SystemClock.instant());
        let driven = drive(
            session,
            stream,
            taken,
            self.events.clone(),
            DriveOptions::new("sim"),
        );
        let task = self.running.spawn(async move { (id, driven.await) });
        self.sessions.insert(id, (commands, task));
        self.machine.handle_opened(id);
    }

    /// Writes the ledger, then hands out the commands.
    fn carry_out(&mut self) -> Result<(), LedgerError> {
        while let Some(record) = self.machine.poll_record() {
            self.ledger.push(record)?;
        }
        self.ledger.flush()?;
        while let Some(action) = self.machine.poll_action() {
            let Some((commands, task)) = self.sessions.get(&action.session) else {
                continue;
            };
            if let Err(mpsc::error::TrySendError::Full(_)) = commands.try_send(action.command) {
                warn!(
                    session = action.session.0,
                    "a connection does not take its commands; cut"
                );
                task.abort();
                self.sessions.remove(&action.session);
                self.machine.handle_ended(action.session);
            }
        }
        self.told.send_replace(self.stats());
        Ok(())
    }
}
