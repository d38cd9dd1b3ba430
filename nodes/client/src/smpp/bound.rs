//! A bound session: what its client asks is served within its window, what waits for the client is sent within it.
//!
//! ```text
//! events ─▶ intake ─window─▶ batches ─▶ engine ─▶ answers        (no event is taken while the intake waits: reading stops)
//! jobs ─▶ PDUs ─window─▶ deliver_sm ─▶ answers ─▶ steps ─▶ engine
//! ```
//! Invariants:
//! - BO-1: at most `window` requests of the client are unanswered; what was read beyond stays in the intake, which holds at
//!   most what the driver reads at once.
//! - BO-2: a job ends in exactly one step; its slot is given back after that step was committed, or with its lease.
//! - BO-3: the command channel has room for every answer and delivery that may be outstanding: it is never waited for.

use super::Server;
use super::binds::{Bind, Registration};
use super::down::Job;
use super::down::outcome::{self, Attempt, Keep};
use super::down::render::{as_data_sm, render};
use super::metric;
use super::named;
use super::refusal;
use super::requests::{self, Asks, Request, Served};
use smsgw_config::Config;
use smsgw_queue::{CommitErrorKind, EngineError, Step};
use smsgw_runtime::ChildContext;
use smsgw_smpp::{CloseCause, DeliverSm, SmscCommand, SmscEvent};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, warn};

/// How long a session that is told to end waits for its client's answers.
const FORCED: Duration = Duration::from_secs(2);
/// How long the engine may take for the last commits of a session.
const LAST_COMMITS: Duration = Duration::from_secs(10);
/// Pause before a step is committed again that the engine had no room for.
const NO_ROOM: Duration = Duration::from_secs(1);
/// Warnings about single PDUs of one session; further ones are only counted.
const COMPLAINTS: u32 = 20;

/// The channels to the driver.
#[derive(Debug)]
pub(super) struct Wires {
    pub(super) commands: mpsc::Sender<SmscCommand>,
    pub(super) events: mpsc::Receiver<Vec<SmscEvent>>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Over {
    Closed(CloseCause),
    /// We were told to stop now.
    Stopping,
    /// The driver is gone, or a task of ours failed.
    Broken,
}

/// A job under way.
#[derive(Debug)]
struct Under {
    job: Job,
    /// PDUs without an answer, sent or not.
    left: usize,
    attempt: Attempt,
}

/// What a task of the session has done.
#[derive(Debug)]
enum Done {
    /// A batch of so many requests.
    Served(usize, Served),
    /// Steps of deliveries are durable, or given up on.
    Settled,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Bound {
    server: Arc<Server>,
    /// `None` once the session ends: nothing more is handed to it.
    registration: Option<Registration>,
    bind: Arc<Bind>,
    jobs: mpsc::Receiver<Job>,
    window: usize,
    intake: VecDeque<Request>,
    /// Requests that are being served.
    serving: usize,
    /// Over the rate until then.
    held_until: Option<Instant>,
    work: JoinSet<Done>,
    outbox: VecDeque<(u64, DeliverSm)>,
    /// Tag of a PDU that was sent, to its job.
    sent: HashMap<u64, u64>,
    under: HashMap<u64, Under>,
    numbers: u64,
    complaints: u32,
    why: &'static str,
}

impl Bound {
    pub(super) fn new(
        server: Arc<Server>,
        registration: Registration,
        jobs: mpsc::Receiver<Job>,
        window: usize,
    ) -> Self {
        Self {
            server,
            bind: Arc::clone(&registration.bind),
            registration: Some(registration),
            jobs,
            window,
            intake: VecDeque::new(),
            serving: 0,
            held_until: None,
            work: JoinSet::new(),
            outbox: VecDeque::new(),
            sent: HashMap::new(),
            under: HashMap::new(),
            numbers: 0,
            complaints: 0,
            why: "",
        }
    }

    pub(super) fn bind(&self) -> &Bind {
        &self.bind
    }

    /// Why we ended it, when we did.
    pub(super) fn why(&self) -> &'static str {
        self.why
    }

    /// Runs until the session is over and what it had is settled or given back.
    pub(super) async fn run(&mut self, ctx: &ChildContext, mut wires: Wires) -> Over {
        self.server.binds.announce();
        let over = self.traffic(ctx, &mut wires).await;
        self.registration = None;
        self.lose_jobs();
        let finishing = async {
            while let Some(done) = self.work.join_next().await {
                note_panic(done.err());
            }
        };
        tokio::select! {
            () = ctx.stopping() => {}
            finished = timeout(LAST_COMMITS, finishing) => if finished.is_err() {
                warn!(client = %self.bind.client, "the engine did not take the last steps of a session in time");
            }
        }
        over
    }

    async fn traffic(&mut self, ctx: &ChildContext, wires: &mut Wires) -> Over {
        let bind = Arc::clone(&self.bind);
        let mut epochs = self.server.config.subscribe();
        epochs.borrow_and_update();
        loop {
            self.serve_intake();
            if let Err(over) = self.send_out(&wires.commands) {
                return over;
            }
            let is_ending = self.registration.is_none();
            let held = self.held_until;
            tokio::select! {
                () = ctx.stopping() => return Over::Stopping,
                () = ctx.draining(), if !is_ending => {
                    let within = self.server.config.config().node.drain_timeout;
                    self.end("draining", within, &wires.commands);
                }
                () = bind.disconnect.notified(), if !is_ending => self.end("disconnected", FORCED, &wires.commands),
                changed = epochs.changed(), if !is_ending => {
                    if changed.is_ok() && !self.has_account() {
                        self.end("account_removed", FORCED, &wires.commands);
                    }
                }
                batch = wires.events.recv(), if self.intake.is_empty() => {
                    let Some(batch) = batch else { return Over::Broken };
                    let ended = self.handle(batch);
                    self.settle();
                    if let Some(cause) = ended {
                        return Over::Closed(cause);
                    }
                }
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    match done {
                        Ok(Done::Served(count, served)) => {
                            if let Err(over) = self.served(count, served, &wires.commands) {
                                return over;
                            }
                        }
                        Ok(Done::Settled) => {}
                        Err(error) => {
                            // What was asked cannot be answered any more: the client must learn that by the end.
                            note_panic(Some(error));
                            return Over::Broken;
                        }
                    }
                }
                Some(job) = self.jobs.recv(), if !is_ending => self.open(job),
                () = sleep_until(held.unwrap_or_else(Instant::now)), if held.is_some() => self.held_until = None,
            }
        }
    }

    /// Takes no more, and unbinds once everything is answered, or after that time.
    fn end(&mut self, why: &'static str, within: Duration, commands: &mpsc::Sender<SmscCommand>) {
        self.why = why;
        self.registration = None;
        // What was handed over meanwhile goes back with its lease.
        self.jobs.close();
        while self.jobs.try_recv().is_ok() {}
        // A channel that is closed has a session that is over: its `Closed` is on the way.
        commands
            .try_send(SmscCommand::Unbind { within })
            .unwrap_or_default();
    }

    fn config(&self) -> Arc<Config> {
        self.server.config.config()
    }

    fn has_account(&self) -> bool {
        let config = self.config();
        config
            .client
            .get(&self.bind.client)
            .is_some_and(|account| account.system_id.is_some())
    }

    /// Starts what the window has room for.
    fn serve_intake(&mut self) {
        if self.held_until.is_some() {
            return;
        }
        let mut batch = VecDeque::new();
        while self.serving < self.window
            && let Some(request) = self.intake.pop_front()
        {
            self.serving += 1;
            let (server, bind) = (Arc::clone(&self.server), Arc::clone(&self.bind));
            match &request.asks {
                Asks::Query(_) | Asks::Cancel(_) | Asks::Replace(_) => {
                    self.work
                        .spawn(async move { Done::Served(1, named::serve(server, bind, request).await) });
                }
                Asks::Submit(..) | Asks::Multi(_) => batch.push_back(request),
            }
        }
        if !batch.is_empty() {
            let (server, bind) = (Arc::clone(&self.server), Arc::clone(&self.bind));
            let count = batch.len();
            self.work
                .spawn(async move { Done::Served(count, requests::serve(server, bind, batch).await) });
        }
    }

    fn served(
        &mut self,
        count: usize,
        served: Served,
        commands: &mpsc::Sender<SmscCommand>,
    ) -> Result<(), Over> {
        self.serving = self.serving.saturating_sub(count);
        for answer in served.answers {
            send(commands, answer)?;
        }
        if !served.rest.is_empty() {
            for request in served.rest.into_iter().rev() {
                self.intake.push_front(request);
            }
            self.held_until = Instant::now().checked_add(served.retry_in);
        }
        Ok(())
    }

    /// A report or MO for this client: from here on it is ours.
    fn open(&mut self, job: Job) {
        let number = self.number();
        let config = self.config();
        let Some(account) = config.client.get(&self.bind.client) else {
            // Its lease goes back; the end of the session is near.
            return;
        };
        match render(&job.down, account, self.bind.version) {
            Ok(pdus) => {
                let left = pdus.len();
                self.outbox.extend(pdus.into_iter().map(|pdu| (number, pdu)));
                let attempt = Attempt::Answered(smsgw_smpp::CommandStatus::OK);
                self.under.insert(number, Under { job, left, attempt });
            }
            Err(misfit) => {
                error!(client = %self.bind.client, message_id = %job.down.message(), why = %misfit, "a delivery cannot be told to its client");
                let under = Under {
                    job,
                    left: 0,
                    attempt: Attempt::Misfit,
                };
                self.under.insert(number, under);
                self.settle();
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers = self.numbers.wrapping_add(1);
        self.numbers
    }

    /// Sends what the window of deliveries has room for.
    fn send_out(&mut self, commands: &mpsc::Sender<SmscCommand>) -> Result<(), Over> {
        if self.outbox.is_empty() || self.registration.is_none() {
            return Ok(());
        }
        let config = self.config();
        let data_sm = config
            .client
            .get(&self.bind.client)
            .is_some_and(|account| as_data_sm(account, self.bind.version));
        while self.sent.len() < self.window
            && let Some((number, message)) = self.outbox.pop_front()
        {
            // A part behind one that was refused is not sent.
            if self
                .under
                .get(&number)
                .is_none_or(|under| under.attempt != Attempt::Answered(smsgw_smpp::CommandStatus::OK))
            {
                self.answered(number, Attempt::Answered(smsgw_smpp::CommandStatus::OK));
                continue;
            }
            let tag = self.number();
            self.sent.insert(tag, number);
            let command = if data_sm {
                SmscCommand::DeliverData { tag, message }
            } else {
                SmscCommand::Deliver { tag, message }
            };
            send(commands, command)?;
        }
        self.settle();
        Ok(())
    }

    fn answered(&mut self, number: u64, attempt: Attempt) {
        if let Some(under) = self.under.get_mut(&number) {
            under.left = under.left.saturating_sub(1);
            under.attempt = under.attempt.and(attempt);
        }
    }

    fn ended(&mut self, tag: u64, attempt: Attempt) {
        if let Some(number) = self.sent.remove(&tag) {
            self.answered(number, attempt);
        }
    }

    /// Takes events; the cause when the session is over.
    fn handle(&mut self, batch: Vec<SmscEvent>) -> Option<CloseCause> {
        let arrived = self.server.shared.clock.instant();
        let client = self.bind.client.clone();
        let mut ended = None;
        for event in batch {
            let (sequence, asks) = match event {
                SmscEvent::Submit {
                    sequence,
                    operation,
                    message,
                } => (sequence, Asks::Submit(operation, message)),
                SmscEvent::SubmitMulti { sequence, message } => (sequence, Asks::Multi(message)),
                SmscEvent::Query { sequence, query } => (sequence, Asks::Query(query)),
                SmscEvent::Cancel { sequence, cancel } => (sequence, Asks::Cancel(cancel)),
                SmscEvent::Replace { sequence, replace } => (sequence, Asks::Replace(replace)),
                SmscEvent::DeliverAnswered { tag, status, .. } => {
                    self.ended(tag, Attempt::Answered(status));
                    continue;
                }
                SmscEvent::TimedOut { tag } => {
                    self.ended(tag, Attempt::TimedOut);
                    continue;
                }
                SmscEvent::NotSent { tag, why } => {
                    debug!(%client, %why, "a delivery was not sent");
                    let attempt = match why {
                        smsgw_smpp::Refusal::DoesNotFit | smsgw_smpp::Refusal::NotInVersion => {
                            Attempt::Misfit
                        }
                        smsgw_smpp::Refusal::NotBound
                        | smsgw_smpp::Refusal::WrongBind
                        | smsgw_smpp::Refusal::Draining
                        | smsgw_smpp::Refusal::WindowFull
                        | smsgw_smpp::Refusal::Closed => Attempt::Lost,
                    };
                    self.ended(tag, attempt);
                    continue;
                }
                SmscEvent::RequestRefused {
                    command_id, status, ..
                } => {
                    metric::REQUESTS_TOTAL
                        .with(&[client.as_str(), "other", refusal::word(status)])
                        .inc();
                    debug!(%client, ?command_id, %status, "request refused by the session");
                    continue;
                }
                SmscEvent::Undecodable(undecodable) => {
                    metric::MALFORMED_TOTAL
                        .with(&[client.as_str(), "undecodable"])
                        .inc();
                    self.complain(&format_args!(
                        "command {:#010x}: {}",
                        undecodable.command_id, undecodable.error
                    ));
                    continue;
                }
                SmscEvent::Tolerated { quirks, .. } => {
                    for quirk in quirks.iter() {
                        metric::MALFORMED_TOTAL
                            .with(&[client.as_str(), quirk.name()])
                            .inc();
                    }
                    continue;
                }
                SmscEvent::LateAnswer { status, .. } => {
                    debug!(%client, %status, "a delivery was answered too late; it comes again");
                    continue;
                }
                SmscEvent::Unmatched {
                    command_id, status, ..
                } => {
                    debug!(%client, ?command_id, %status, "an answer to nothing");
                    continue;
                }
                SmscEvent::Adapted { .. } | SmscEvent::Congested(_) | SmscEvent::BindRequested { .. } => {
                    continue;
                }
                SmscEvent::Closed { cause, in_doubt } => {
                    for tag in in_doubt {
                        self.ended(tag, Attempt::Lost);
                    }
                    ended = Some(cause);
                    continue;
                }
            };
            self.intake.push_back(Request {
                sequence,
                asks,
                arrived,
            });
        }
        ended
    }

    fn complain(&mut self, what: &dyn std::fmt::Display) {
        if self.complaints < COMPLAINTS {
            self.complaints += 1;
            warn!(client = %self.bind.client, peer = %self.bind.peer, what = %what, "a PDU of a client cannot be decoded");
        }
    }

    /// What was not answered when the session ended is tried again at once, over another bind.
    fn lose_jobs(&mut self) {
        self.jobs.close();
        while self.jobs.try_recv().is_ok() {}
        self.outbox.clear();
        self.sent.clear();
        for under in self.under.values_mut() {
            if under.left > 0 {
                under.left = 0;
                under.attempt = under.attempt.and(Attempt::Lost);
            }
        }
        self.settle();
    }

    /// Commits the steps of the jobs that have ended.
    fn settle(&mut self) {
        let over: Vec<u64> = self
            .under
            .iter()
            .filter(|(_, under)| under.left == 0)
            .map(|(number, _)| *number)
            .collect();
        if over.is_empty() {
            return;
        }
        let config = self.config();
        let waiting = config
            .client
            .get(&self.bind.client)
            .map_or(Duration::MAX, |account| account.smpp.waiting_expiry);
        let keep = Keep {
            waiting,
            told: config.limits.message_retention,
        };
        let now = self.server.shared.clock.now();
        let mut steps = Vec::with_capacity(over.len());
        let mut jobs = Vec::with_capacity(over.len());
        for under in over.into_iter().filter_map(|number| self.under.remove(&number)) {
            if under.attempt == Attempt::Answered(smsgw_smpp::CommandStatus::OK) {
                self.bind.delivered.fetch_add(1, Ordering::Relaxed);
            }
            steps.push(outcome::step(
                &under.job.delivery,
                &under.job.down,
                under.attempt,
                now,
                keep,
            ));
            jobs.push(under.job);
        }
        let server = Arc::clone(&self.server);
        self.work.spawn(async move {
            store(&server, steps).await;
            // Leases and slots live until here.
            drop(jobs);
            Done::Settled
        });
    }
}

/// Commits what became of deliveries. What the engine has no room for is tried until it has: giving it back would send the
/// same again and again for as long as the disk is full.
async fn store(server: &Server, mut steps: Vec<Step>) {
    loop {
        let answers = server.shared.engine.commit(steps.clone()).await;
        let mut left = Vec::new();
        for (step, answer) in steps.into_iter().zip(answers) {
            let Err(refused) = answer else { continue };
            match &refused.kind {
                CommitErrorKind::Engine(EngineError::NoSpace) => left.push(step),
                // Stopping, or about to end the process: with the lease the record goes back.
                CommitErrorKind::Engine(EngineError::Closed | EngineError::Poisoned(_)) => {}
                CommitErrorKind::Engine(EngineError::Read(_))
                | CommitErrorKind::Stale { .. }
                | CommitErrorKind::Conflict { .. }
                | CommitErrorKind::Floor { .. }
                | CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::NoRecord { .. }
                | CommitErrorKind::Leased { .. }
                | CommitErrorKind::Full(_)
                | CommitErrorKind::Invalid(_) => {
                    error!(error = %refused, kind = %refused.kind, "what became of a delivery could not be stored; it may be sent again");
                }
            }
        }
        if left.is_empty() {
            return;
        }
        warn!(
            left = left.len(),
            "what became of deliveries cannot be stored; the client's next ones wait"
        );
        steps = left;
        tokio::time::sleep(NO_ROOM).await;
    }
}

fn send(commands: &mpsc::Sender<SmscCommand>, command: SmscCommand) -> Result<(), Over> {
    use mpsc::error::TrySendError;
    match commands.try_send(command) {
        // Closed: the session is over, and says so by its last event.
        Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        Err(TrySendError::Full(_)) => {
            error!("the command channel of a session is full; the session ends");
            Err(Over::Broken)
        }
    }
}

fn note_panic(error: Option<JoinError>) {
    if let Some(error) = error {
        error!(%error, "a task of a session failed; its client has no answer");
    }
}
