//! Submits over SMPP with a full window: what an ESME without a gateway behind it gets from a server.
//!
//! Uses the same session and driver as the gateway's links, so that the comparison is about what lies between. Knows
//! nothing of a gateway. Invariants: at most `window` submits of a bind are unanswered; each ends in the tally once;
//! deliveries are answered OK and counted.
//!
//! # Limits
//! A bind that is lost is not bound again: its outstanding submits count as `no_answer`. What is unanswered when the
//! plan is done is waited for 30 s.

use super::pace::{Pace, Plan};
use super::report::{LoadReport, Tally};
use crate::ledger::{Ledger, LedgerError, LedgerOptions, Sent};
use crate::token::{Token, Way};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use smsgw_smpp::octets::NulInside;
use smsgw_smpp::{
    Address, COctets, CloseCause, CommandStatus, EsmeCommand, EsmeConfig, EsmeEvent, EsmeSession, Password,
    SubmitSm,
};
use smsgw_transport::{ConnectError, ConnectOptions, DriveOptions, connect, drive};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep_until, timeout_at};

/// How long the answers of the last submits are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// Submits over SMPP.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SmppLoad {
    /// `host:port`.
    #[arg(long)]
    pub host: String,
    /// Account.
    #[arg(long, default_value = "test")]
    pub system_id: String,
    /// Its password.
    #[arg(long, default_value = "test")]
    pub password: String,
    /// Binds at once, transceivers.
    #[arg(long, default_value_t = 1)]
    pub binds: usize,
    /// Unanswered submits per bind.
    #[arg(long, default_value_t = 10)]
    pub window: usize,
    /// How much and how fast.
    #[command(flatten)]
    pub plan: Plan,
    /// Characters of the text, 17 of them the token.
    #[arg(long, default_value_t = 100)]
    pub text_length: usize,
    /// From.
    #[arg(long, default_value = "12345")]
    pub from: String,
    /// Recipients: this and eight digits of the number of the message.
    #[arg(long, default_value = "49170")]
    pub to_prefix: String,
    /// registered_delivery.
    #[arg(long, default_value_t = 0)]
    pub registered_delivery: u8,
}

impl SmppLoad {
    /// To that server, and the defaults of the command line.
    #[must_use]
    pub fn new(host: impl Into<String>, plan: Plan) -> Self {
        Self {
            host: host.into(),
            system_id: "test".into(),
            password: "test".into(),
            binds: 1,
            window: 10,
            plan,
            text_length: 100,
            from: "12345".into(),
            to_prefix: "49170".into(),
            registered_delivery: 0,
        }
    }
}

/// The load could not be generated.
#[derive(Debug, Error)]
pub enum SmppLoadError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The session ended before the plan was done.
    #[error("the session ended: {0}")]
    Closed(CloseCause),
    /// A name or number with a NUL.
    #[error(transparent)]
    Nul(#[from] NulInside),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A bind's task panicked.
    #[error("a bind's task ended unexpectedly")]
    Ended(#[from] JoinError),
}

#[derive(Debug)]
struct Job {
    load: SmppLoad,
    source: Address,
    run: u32,
    padding: String,
    pace: Pace,
    ledger: Mutex<Ledger<Sent>>,
}

/// Binds, then submits according to the plan; returns what was measured and the latest records.
///
/// # Errors
/// When a bind fails or is lost, or the ledger cannot be written.
pub async fn load_smpp(
    load: SmppLoad,
    ledger: &LedgerOptions,
) -> Result<(LoadReport, Vec<Sent>), SmppLoadError> {
    let mut binds = Vec::new();
    for _ in 0..load.binds.max(1) {
        binds.push(Bind::open(&load).await?);
    }
    let started = SystemClock.instant();
    let padding = load
        .text_length
        .saturating_sub(crate::token::LENGTH.saturating_add(1));
    let job = Arc::new(Job {
        source: Address::short_code(&load.from)?,
        run: rand::random(),
        padding: "lorem ipsum dolor sit amet "
            .chars()
            .cycle()
            .take(padding)
            .collect(),
        pace: Pace::new(load.plan, started),
        ledger: Mutex::new(Ledger::open(ledger)?),
        load,
    });
    let mut workers = JoinSet::new();
    for bind in binds {
        workers.spawn(bind.work(Arc::clone(&job)));
    }
    let mut tally = Tally::default();
    let mut last_answer = started;
    while let Some(done) = workers.join_next().await {
        let (measured, last) = done??;
        tally.merge(&measured);
        last_answer = last_answer.max(last);
    }
    let took = last_answer.saturating_duration_since(started);
    let report = tally.report(took, |status| {
        if status == 0 {
            "no_answer".into()
        } else {
            CommandStatus(status.wrapping_sub(Sent::SMPP)).to_string()
        }
    });
    let mut ledger = job.ledger.lock().unwrap_or_else(PoisonError::into_inner);
    ledger.flush()?;
    let ledger = std::mem::replace(&mut *ledger, Ledger::open(&LedgerOptions::default())?);
    Ok((report, ledger.into_latest()))
}

struct Outstanding {
    token: Token,
    to: String,
    sent: Instant,
    due: Option<Instant>,
}

struct Bind {
    commands: mpsc::Sender<EsmeCommand>,
    events: mpsc::Receiver<Vec<EsmeEvent>>,
    /// Ends the driver with the bind.
    driver: JoinSet<()>,
    free: usize,
    outstanding: FxHashMap<u64, Outstanding>,
    tally: Tally,
    last_answer: Instant,
}

impl Bind {
    /// Connects and waits until bound.
    async fn open(load: &SmppLoad) -> Result<Self, SmppLoadError> {
        let window = load.window.max(1);
        let connection = connect(std::slice::from_ref(&load.host), &ConnectOptions::default()).await?;
        let config = EsmeConfig {
            window,
            ..EsmeConfig::new(
                COctets::try_from(load.system_id.as_str())?,
                Password::try_new(load.password.as_bytes())?,
            )
        };
        let deliveries = config.deliveries;
        let session = EsmeSession::new(config, SystemClock.instant());
        // Submits within the window, answers to what the session lets wait, and an unbind.
        let (commands, taken) = mpsc::channel(window.saturating_add(deliveries).saturating_add(1));
        let (told, mut events) = mpsc::channel(64);
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            drive(session, connection, taken, told, DriveOptions::new("load")).await;
        });
        while let Some(batch) = events.recv().await {
            for event in batch {
                match event {
                    EsmeEvent::Bound { .. } => {
                        return Ok(Self {
                            commands,
                            events,
                            driver,
                            free: window,
                            outstanding: FxHashMap::default(),
                            tally: Tally::default(),
                            last_answer: SystemClock.instant(),
                        });
                    }
                    EsmeEvent::Closed { cause, .. } => return Err(SmppLoadError::Closed(cause)),
                    // Nothing else is told before the bind is answered.
                    _ => {}
                }
            }
        }
        Err(SmppLoadError::Closed(CloseCause::Lost))
    }

    async fn work(mut self, job: Arc<Job>) -> Result<(Tally, Instant), SmppLoadError> {
        let mut next = job.pace.take(SystemClock.instant());
        while next.is_some() || !self.outstanding.is_empty() {
            let now = SystemClock.instant();
            while self.free > 0 {
                let Some((number, due)) = next.filter(|(_, due)| due.is_none_or(|due| due <= now)) else {
                    break;
                };
                self.submit(&job, number, due, now).await?;
                next = job.pace.take(now);
            }
            let due = next
                .filter(|_| self.free > 0)
                .and_then(|(_, due)| due)
                .map(tokio::time::Instant::from_std);
            let give_up = tokio::time::Instant::now().checked_add(LAST_ANSWERS);
            let waiting = async {
                match give_up {
                    Some(at) => timeout_at(at, self.events.recv()).await.ok().flatten(),
                    None => self.events.recv().await,
                }
            };
            let batch = tokio::select! {
                batch = waiting => batch,
                () = sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => continue,
            };
            let Some(batch) = batch else { break };
            for event in batch {
                self.handle(&job, event).await?;
            }
            if job.pace.is_over(SystemClock.instant()) {
                next = None;
            }
        }
        let left: Vec<Outstanding> = self
            .outstanding
            .drain()
            .map(|(_, outstanding)| outstanding)
            .collect();
        for outstanding in left {
            self.tally.count(0);
            self.keep(&job, outstanding, 0, None)?;
        }
        let within = Duration::from_secs(1);
        // A session that is over takes no command and needs none.
        if self.commands.send(EsmeCommand::Unbind { within }).await.is_ok() {
            while let Some(_last) = self.events.recv().await {}
        }
        self.driver.shutdown().await;
        Ok((self.tally, self.last_answer))
    }

    async fn submit(
        &mut self,
        job: &Job,
        number: u64,
        due: Option<Instant>,
        now: Instant,
    ) -> Result<(), SmppLoadError> {
        let token = Token {
            way: Way::Mt,
            run: job.run,
            number: u32::try_from(number % (1 << 32)).unwrap_or(0),
        };
        let to = format!("{}{:08}", job.load.to_prefix, token.number % 100_000_000);
        let message = SubmitSm {
            source: job.source.clone(),
            destination: Address::international(&to)?,
            registered_delivery: job.load.registered_delivery,
            short_message: Bytes::from(format!("{token} {}", job.padding)),
            ..SubmitSm::default()
        };
        self.free = self.free.saturating_sub(1);
        self.tally.sent = self.tally.sent.saturating_add(1);
        self.outstanding.insert(
            number,
            Outstanding {
                token,
                to,
                sent: now,
                due,
            },
        );
        let sent = self
            .commands
            .send(EsmeCommand::Submit { tag: number, message })
            .await;
        sent.map_err(|_| SmppLoadError::Closed(CloseCause::Lost))
    }

    async fn handle(&mut self, job: &Job, event: EsmeEvent) -> Result<(), SmppLoadError> {
        match event {
            EsmeEvent::Answered {
                tag,
                status,
                message_id,
                ..
            } => {
                let id = status.is_ok().then(|| message_id.to_string_lossy());
                self.finish(job, tag, status.0.wrapping_add(Sent::SMPP), id)?;
            }
            EsmeEvent::TimedOut { tag } | EsmeEvent::NotSent { tag, .. } => self.finish(job, tag, 0, None)?,
            EsmeEvent::Delivered { sequence, .. } => {
                self.tally.delivered = self.tally.delivered.saturating_add(1);
                let answer = EsmeCommand::Answer {
                    sequence,
                    status: CommandStatus::OK,
                };
                self.commands
                    .send(answer)
                    .await
                    .map_err(|_| SmppLoadError::Closed(CloseCause::Lost))?;
            }
            EsmeEvent::Closed { cause, .. } => return Err(SmppLoadError::Closed(cause)),
            EsmeEvent::Bound { .. }
            | EsmeEvent::BindRefused { .. }
            | EsmeEvent::LateAnswer { .. }
            | EsmeEvent::DeliveryRefused { .. }
            | EsmeEvent::Alert(_)
            | EsmeEvent::Unmatched { .. }
            | EsmeEvent::Undecodable(_)
            | EsmeEvent::Tolerated { .. } => {}
        }
        Ok(())
    }

    fn finish(&mut self, job: &Job, tag: u64, status: u32, id: Option<String>) -> Result<(), LedgerError> {
        let Some(outstanding) = self.outstanding.remove(&tag) else {
            return Ok(());
        };
        self.free = self.free.saturating_add(1);
        let now = SystemClock.instant();
        self.tally.count(status);
        if status != 0 {
            self.last_answer = now;
            self.tally
                .latency
                .record(now.saturating_duration_since(outstanding.sent));
            let due = outstanding.due.unwrap_or(outstanding.sent);
            self.tally.from_due.record(now.saturating_duration_since(due));
        }
        self.tally.accepted = self.tally.accepted.saturating_add(u64::from(id.is_some()));
        self.keep(job, outstanding, status, id)
    }

    fn keep(&self, job: &Job, of: Outstanding, status: u32, id: Option<String>) -> Result<(), LedgerError> {
        let mut ledger = job.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if !ledger.is_wanted() {
            return Ok(());
        }
        ledger.push(Sent {
            at: SystemClock.now().as_millis(),
            token: of.token,
            to: of.to,
            status,
            id,
        })
    }
}
