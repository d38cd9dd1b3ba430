//! One session's traffic: parts down within window and rate, answers into steps, deliveries up and answered once durable.
//!
//! ```text
//!  queue ─checkout(free slots, tokens)─▶ backlog ─token─▶ Submit ─▶ in flight ─answer─▶ verdict ─▶ results ─▶ commit
//!                                                             └─timeout─▶ grace ─▶ in doubt ──────────▲
//!  Delivered ─▶ step ─▶ commit ─▶ Answer
//! ```
//! Reserve, then take (law 4): a checkout asks for no more than there are free slots, tokens and room among what is not
//! committed; a token is spent when the part goes out. Nothing waits for a commit but the next checkout beyond that room.
//!
//! Where the operator has several links they check out in turn and hand over to each other what belongs together
//! (`together`, `handed`); the backlog may then hold more than there are free slots, and waits for them.
//!
//! Invariants:
//! - TR-1: a delivery that was checked out is in exactly one of a link's channel, backlog, in flight, results, a commit.
//! - TR-2: at most `window` parts are unanswered, at most [`UNCOMMITTED`] windows answered and not yet durable (plus what
//!   the window holds).
//! - TR-3: a deliver_sm is answered OK only after its step is durable; deliveries are committed in their order.
//! - TR-4: the command channel has room for everything this side may have outstanding, so it is never waited for.
//!
//! Late answers: a part that was not answered within the response timeout is kept for a grace of at most
//! [`LATE_GRACE`]; an answer that comes in it counts as the answer. After it the in-doubt policy decides; a still later
//! acceptance ends the part when it comes round, unless it has gone out again before (see `query`).
//!
//! The window narrows while the carrier is slow (`adaptive`); what is unanswered beyond it stays. When a whole window goes without any answer, the
//! link leaves and binds again: a session that only answers enquire_link is of no use, and would hold up parts that
//! other links could send.

mod down;
mod ends;
mod handed;
mod query;
mod up;

use crate::again::{Answered, Digest};
use crate::commit::{Ended, Kept};
use crate::doubt::Cause;
use crate::hop::{Finished, PartRef};
use crate::incoming;
use crate::link::Link;
use crate::metric::{Meters, refusal_word};
use crate::status::LinkState;
use crate::together::{Membership, Parcel};
use down::Answer;
use ends::{back, broken};
use query::Tombs;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smsgw_message::Timestamp;
use smsgw_queue::{BoxFuture, Delivery, EngineError, ReleaseReason, Step, Want};
use smsgw_runtime::ChildContext;
use smsgw_session::{CongestionSettings, CongestionWindow};
use smsgw_smpp::{CloseCause, Congestion, EsmeCommand, EsmeConfig, EsmeEvent, SubmitSm};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

/// Windows of parts that may be answered (or timed out) and not yet durable.
const UNCOMMITTED: usize = 4;
/// Batches of results in the engine at once.
const COMMITS: usize = 4;
/// Deliveries of the carrier that may wait for the engine; beyond, events are not taken and the driver stops reading.
const INTAKE: usize = 1000;
/// Their octets; beyond, the same. A thousand deliveries of 64 KiB in one commit would hold up the whole engine.
const INTAKE_OCTETS: usize = 1024 * 1024;
/// Deliveries that the session lets be unanswered; above what can be on the way between it and [`INTAKE`].
pub(crate) const SESSION_DELIVERIES: usize = 4096;
/// How long a checkout waits for a part.
const CHECKOUT_WAIT: Duration = Duration::from_secs(30);
/// Most parts of one checkout.
const CHECKOUT_MAX: usize = 1000;
/// Pause after a checkout that failed.
const CHECKOUT_RETRY: Duration = Duration::from_millis(500);
/// How long an answer is waited for after the response timeout, at most.
pub(crate) const LATE_GRACE: Duration = Duration::from_secs(10);
/// Parts without any answer after which the link leaves, when they are a window too: one lost answer is no sign.
const IGNORED: usize = 3;
/// Undecodable deliveries of one session that are kept; the others are only counted.
const UNDECODABLE_KEPT: usize = 100;
/// Warnings about single PDUs of one session; further ones are only counted.
const COMPLAINTS: usize = 100;

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Over {
    /// The session is over and everything about it is durable.
    Closed {
        cause: CloseCause,
        /// It was of use: stayed bound for a while, or something went over it.
        worked: bool,
    },
    /// The engine is poisoned.
    Poisoned(String),
    /// The engine is closed, or a commit panicked.
    Broken(&'static str),
    /// We were told to stop now.
    Stopping,
}

/// A part ready to be sent.
struct Ready {
    delivery: Delivery,
    part: PartRef,
    valid_until: Timestamp,
    message: SubmitSm,
    receipt_asked: bool,
}

/// A part that was sent.
struct InFlight {
    delivery: Delivery,
    part: PartRef,
    valid_until: Timestamp,
    receipt_asked: bool,
    sent_at: Instant,
    timed_out: bool,
    /// The carrier's id that is asked after: what was sent this time is a query.
    asked: Option<String>,
}

/// A delivery of the carrier on its way to the engine. Undecodable ones were answered by the session.
struct Arrived {
    delivery: Awaiting,
    octets: usize,
    step: Step,
}

/// A delivery that waits for its commit.
#[derive(Debug, Clone, Copy)]
struct Awaiting {
    /// To answer; absent when the session has answered it.
    sequence: Option<u32>,
    /// What an MO says, to know it again when its answer is lost. The router knows receipts again.
    digest: Option<Digest>,
}

/// Deliveries of one commit, once the engine has said what became of them.
struct Taken {
    deliveries: Vec<Awaiting>,
    octets: usize,
    kept: Vec<Kept>,
    ended: Ended,
}

pub(crate) struct Traffic<'a> {
    link: &'a Link,
    meters: &'a mut Meters,
    commands: mpsc::Sender<EsmeCommand>,
    window: usize,
    response_timeout: Duration,
    /// What to bind with once the carrier's outbind asks for it; its secret was checked when its connection was taken.
    asked: Option<Box<EsmeConfig>>,
    bound: bool,
    bound_at: Option<Instant>,
    worked: bool,
    draining: bool,
    closed: Option<CloseCause>,
    next_tag: u64,
    outstanding: usize,
    /// Always fed, heeded while `adaptive`.
    congestion: CongestionWindow,
    adaptive: bool,
    shown_width: usize,
    tombs: Tombs,
    in_flight: FxHashMap<u64, InFlight>,
    /// Timed-out parts in the order in which their grace ends; those answered meanwhile are no longer in flight.
    limbo: VecDeque<(Instant, u64)>,
    in_limbo: usize,
    /// Parts whose grace ended, without any answer to any part since they were sent.
    ignored: usize,
    last_answer: Option<Instant>,
    backlog: VecDeque<Ready>,
    /// Its place among the links of the operator, while it may send.
    membership: Option<Membership>,
    /// Parts that other links checked out and that belong here.
    handed: Option<mpsc::Receiver<Parcel>>,
    results: Vec<Finished>,
    /// Results here and in commits.
    uncommitted: usize,
    commits: JoinSet<(usize, Ended)>,
    intake: Vec<Arrived>,
    /// Deliveries here and in the commit.
    untaken: usize,
    untaken_octets: usize,
    intake_commit: JoinSet<Taken>,
    answered: Answered,
    kept_undecodable: usize,
    complaints: usize,
    no_checkout_before: Option<Instant>,
}

/// Room the command channel needs for a window (TR-4): submits, answers, unbinds.
pub(crate) fn command_room(window: usize) -> usize {
    window.saturating_add(SESSION_DELIVERIES).saturating_add(8)
}

impl<'a> Traffic<'a> {
    pub(crate) fn new(
        link: &'a Link,
        meters: &'a mut Meters,
        commands: mpsc::Sender<EsmeCommand>,
        window: usize,
        response_timeout: Duration,
    ) -> Self {
        Self {
            link,
            meters,
            commands,
            window,
            response_timeout,
            asked: None,
            bound: false,
            bound_at: None,
            worked: false,
            draining: false,
            closed: None,
            next_tag: 0,
            outstanding: 0,
            congestion: CongestionWindow::new(CongestionSettings::default(), window),
            adaptive: link.account.settings().adaptive,
            shown_width: 0,
            tombs: Tombs::default(),
            in_flight: FxHashMap::with_capacity_and_hasher(window.min(4096), FxBuildHasher),
            limbo: VecDeque::new(),
            in_limbo: 0,
            ignored: 0,
            last_answer: None,
            backlog: VecDeque::new(),
            membership: None,
            handed: None,
            results: Vec::new(),
            uncommitted: 0,
            commits: JoinSet::new(),
            intake: Vec::new(),
            untaken: 0,
            untaken_octets: 0,
            intake_commit: JoinSet::new(),
            answered: Answered::default(),
            kept_undecodable: 0,
            complaints: 0,
            no_checkout_before: None,
        }
    }

    /// On a connection that the carrier opened: what to bind with.
    pub(crate) fn asked(self, asked: Option<Box<EsmeConfig>>) -> Self {
        Self { asked, ..self }
    }

    /// Runs until the session is over and its traffic is durable, or the engine or the supervisor ends it.
    pub(crate) async fn run(
        mut self,
        ctx: &ChildContext,
        mut events: mpsc::Receiver<Vec<EsmeEvent>>,
    ) -> Over {
        let engine = Arc::clone(&self.link.engine);
        let mut draining = pin!(ctx.draining());
        let mut stopping = pin!(ctx.stopping());
        let mut wishes = self.link.wish.subscribe();
        let mut checkout: Option<BoxFuture<'_, Result<Vec<Parcel>, EngineError>>> = None;
        loop {
            let now = self.link.clock.instant();
            self.send_backlog(now);
            self.end_graces(now);
            if self.closed.is_some() || !self.bound || self.link.is_held() {
                // Before it runs on: what it takes out after the link has left its place, nobody would give back.
                checkout = None;
            }
            self.start_commits();
            self.show_width();
            self.meters
                .window_in_use
                .set(i64::try_from(self.outstanding).unwrap_or(i64::MAX));
            self.link.load.in_flight(self.outstanding);
            if let Some(cause) = self.closed
                && self.uncommitted == 0
                && self.untaken == 0
            {
                return Over::Closed {
                    cause,
                    worked: self.worked,
                };
            }
            if checkout.is_none() {
                let room = self.room(now);
                if let Some(membership) = self.membership.as_ref().filter(|_| room > 0) {
                    let (clock, parts) = (&*self.link.clock, &self.link.account.parts);
                    let want = Want::new(room, CHECKOUT_WAIT);
                    checkout = Some(membership.checkout(&*engine, parts, want, clock));
                }
            }
            let deadline = self.deadline(now, checkout.is_some());
            let takes_events =
                self.closed.is_none() && self.untaken < INTAKE && self.untaken_octets < INTAKE_OCTETS;
            tokio::select! {
                () = stopping.as_mut() => return Over::Stopping,
                // A link that was dropped with its sender is drained as well.
                Ok(()) = wishes.changed() => self.rewish(),
                () = draining.as_mut(), if !self.draining => {
                    checkout = None;
                    self.drain();
                }
                Some(ended) = self.commits.join_next() => match ended {
                    Ok((count, ended)) => {
                        self.uncommitted = self.uncommitted.saturating_sub(count);
                        if let Some(over) = broken(ended) {
                            return over;
                        }
                    }
                    Err(_) => return Over::Broken("a commit of results panicked"),
                },
                Some(ended) = self.intake_commit.join_next() => match ended {
                    Ok(Taken { deliveries, octets, kept, ended }) => {
                        if let Some(over) = broken(ended) {
                            // Unanswered, so the carrier sends them again.
                            return over;
                        }
                        self.untaken_octets = self.untaken_octets.saturating_sub(octets);
                        self.answer(deliveries, kept);
                    }
                    Err(_) => return Over::Broken("a commit of deliveries panicked"),
                },
                batch = events.recv(), if takes_events => match batch {
                    Some(batch) => self.handle(batch),
                    // The driver is gone without a word: what was sent is in doubt.
                    None => {
                        let in_doubt = self.in_flight.keys().copied().collect();
                        self.close(CloseCause::Lost, in_doubt);
                    }
                },
                Some(parcel) = handed::next(&mut self.handed), if self.may_be_handed() => {
                    self.take(vec![parcel]);
                }
                got = waiting(&mut checkout) => {
                    checkout = None;
                    match got {
                        Ok(parcels) => {
                            // They were sorted before.
                            self.take_handed();
                            self.take(parcels);
                        }
                        Err(EngineError::Poisoned(cause)) => return Over::Poisoned(cause),
                        Err(EngineError::Closed) => return Over::Broken("the engine is closed"),
                        Err(error @ (EngineError::NoSpace | EngineError::Read(_))) => {
                            warn!(operator = %self.link.account.id, link = %self.link.id, %error, "parts cannot be checked out; trying again");
                            self.no_checkout_before = self.link.clock.instant().checked_add(CHECKOUT_RETRY);
                        }
                    }
                }
                () = at(deadline) => {}
            }
        }
    }

    /// Events of the session.
    fn handle(&mut self, events: Vec<EsmeEvent>) {
        let now = self.link.clock.instant();
        let at = self.link.clock.now();
        let settings = self.link.account.settings();
        let receipts = incoming::receipts(&settings);
        self.adaptive = settings.adaptive;
        let mut deliveries = 0;
        for event in events {
            match event {
                EsmeEvent::Bound {
                    system_id,
                    interface_version,
                    version,
                } => {
                    self.bound = true;
                    self.bound_at = Some(now);
                    self.join();
                    self.link.speaks(version);
                    info!(operator = %self.link.account.id, link = %self.link.id, bind = self.link.bind.as_str(), carrier = %system_id, interface_version, %version, "bound");
                    self.link.report(self.meters, LinkState::Bound, None);
                }
                // `Closed` follows and carries the status.
                EsmeEvent::BindRefused { status } => self.meters.bind_refused(status),
                EsmeEvent::Answered {
                    tag,
                    status,
                    message_id,
                    congestion,
                    took,
                    ..
                } => {
                    self.congested(congestion, now);
                    let answer = Answer {
                        status,
                        carrier_id: message_id,
                        took,
                    };
                    self.answered(tag, &answer, &settings, now, at);
                }
                EsmeEvent::TimedOut { tag } => self.timed_out(tag, now, at),
                EsmeEvent::LateAnswer {
                    tag,
                    status,
                    message_id,
                    congestion,
                    ..
                } => {
                    self.congested(congestion, now);
                    self.late_answer(tag, status, &message_id, &settings, now, at);
                }
                EsmeEvent::NotSent { tag, why } => self.not_sent(tag, why, at),
                EsmeEvent::Delivered {
                    sequence, message, ..
                } => {
                    deliveries += 1;
                    self.arrived(sequence, &message, &settings, &receipts, now, at);
                }
                EsmeEvent::DeliveryRefused { status, .. } => {
                    self.meters.arrival_refused(refusal_word(status))
                }
                EsmeEvent::Alert(_) => {
                    debug!(operator = %self.link.account.id, link = %self.link.id, "alert_notification");
                }
                EsmeEvent::Congested(state) => {
                    self.congested(Some(state), now);
                    debug!(operator = %self.link.account.id, link = %self.link.id, %state, "congestion_state");
                }
                EsmeEvent::Outbind { system_id, .. } => {
                    info!(operator = %self.link.account.id, link = %self.link.id, carrier = %system_id, "the carrier asks for our bind");
                    let command = match self.asked.take() {
                        Some(config) => EsmeCommand::Bind(config),
                        None => EsmeCommand::RefuseOutbind,
                    };
                    // A session that is over already says so by itself.
                    if self.commands.try_send(command).is_err() {
                        debug!(link = %self.link.id, "session over before the bind");
                    }
                }
                EsmeEvent::Adapted { adapted, .. } => {
                    debug!(operator = %self.link.account.id, link = %self.link.id, ?adapted, "not all of it could be told");
                }
                EsmeEvent::Unmatched {
                    command_id, status, ..
                } => {
                    self.meters.unmatched();
                    debug!(operator = %self.link.account.id, link = %self.link.id, ?command_id, %status, "answer to nothing we sent");
                }
                EsmeEvent::Undecodable(undecodable) => self.undecodable(undecodable, at),
                EsmeEvent::Tolerated { quirks, .. } => {
                    for quirk in quirks.iter() {
                        self.meters.tolerated(quirk);
                    }
                }
                EsmeEvent::Closed { cause, in_doubt } => self.close(cause, in_doubt),
            }
        }
        self.link.load.received(now, deliveries);
    }

    /// No new parts; the session waits for answers and unbinds.
    fn drain(&mut self) {
        self.draining = true;
        self.link.report(self.meters, LinkState::Draining, None);
        let at = self.link.clock.now();
        self.leave(ReleaseReason::Stopping, at);
        for ready in std::mem::take(&mut self.backlog) {
            self.finish(ready.delivery, back(Duration::ZERO, ReleaseReason::Stopping), at);
        }
        info!(operator = %self.link.account.id, link = %self.link.id, bind = self.link.bind.as_str(), outstanding = self.outstanding, "draining");
        self.unbind();
    }

    /// Waits for what is unanswered, and unbinds.
    fn unbind(&self) {
        let within = self.link.patience();
        // A session that is over already says so by itself.
        if self.commands.try_send(EsmeCommand::Unbind { within }).is_err() {
            debug!(link = %self.link.id, "session over before the unbind");
        }
    }

    /// Something else is wanted of the link: it is held or not, or a drain is to be over sooner.
    fn rewish(&mut self) {
        if self.draining {
            self.unbind();
        } else if self.bound {
            let held = self.link.is_held();
            info!(operator = %self.link.account.id, link = %self.link.id, held, "order for a link");
            self.link.show_held();
            if held {
                let at = self.link.clock.now();
                self.leave(ReleaseReason::Stopping, at);
            } else if self.membership.is_none() {
                self.join();
            }
        }
    }

    /// The session is over: everything that was under way gets its fate.
    fn close(&mut self, cause: CloseCause, in_doubt: Vec<u64>) {
        let now = self.link.clock.instant();
        let at = self.link.clock.now();
        self.worked |= self
            .bound_at
            .is_some_and(|bound| now.saturating_duration_since(bound) > Duration::from_secs(5));
        self.closed = Some(cause);
        self.bound = false;
        self.leave(ReleaseReason::LinkLost, at);
        self.meters.width(0);
        let window = self.link.account.settings().redelivery_window;
        self.link
            .account
            .expect_again(self.answered.take(window, now), now);
        if !self.draining {
            // Storing what is left may take a while; the link is not bound meanwhile.
            self.link
                .report(self.meters, LinkState::Down, Some(cause.to_string()));
        }
        if !in_doubt.is_empty() || self.in_limbo > 0 {
            let parts = in_doubt.len().saturating_add(self.in_limbo);
            warn!(operator = %self.link.account.id, link = %self.link.id, parts, "parts in doubt: the session ended before their answers");
        }
        for tag in in_doubt {
            if let Some(flight) = self.in_flight.remove(&tag) {
                if flight.asked.is_some() {
                    self.meters.queried("unanswered");
                    self.believed(flight, at);
                    continue;
                }
                let (cause, waited) = match flight.timed_out {
                    true => (Cause::Timeout, now.saturating_duration_since(flight.sent_at)),
                    false => (Cause::LinkLost, Duration::ZERO),
                };
                self.doubt(flight, cause, waited, at);
            }
        }
        for (_, flight) in std::mem::take(&mut self.in_flight) {
            if flight.asked.is_some() {
                self.meters.queried("not_asked");
                self.believed(flight, at);
            } else if flight.timed_out {
                let waited = now.saturating_duration_since(flight.sent_at);
                self.doubt(flight, Cause::Timeout, waited, at);
            } else {
                // The session never took the command: nothing of it was written.
                self.finish(flight.delivery, back(Duration::ZERO, ReleaseReason::LinkLost), at);
            }
        }
        for ready in std::mem::take(&mut self.backlog) {
            self.finish(ready.delivery, back(Duration::ZERO, ReleaseReason::LinkLost), at);
        }
        self.limbo.clear();
        self.in_limbo = 0;
        self.outstanding = 0;
    }

    /// How busy the carrier says it is, when it does.
    fn congested(&mut self, state: Option<Congestion>, now: Instant) {
        if let Some(state) = state {
            self.congestion.congestion_state(now, state.percent());
        }
    }
}

/// The checkout under way; never ends when there is none.
async fn waiting<T>(checkout: &mut Option<BoxFuture<'_, T>>) -> T {
    match checkout {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(tokio::time::Instant::from_std(deadline)).await,
        None => std::future::pending().await,
    }
}
