//! What a supervisor decides: whom to start, whom to stop, whom to restart and when to give up.
//!
//! The actor feeds it ready signals, ends of children and time, and does what [`Ward::advance`] says. Time is an
//! argument. Signals to children (drain, stop, kill) are sent from here; nothing here waits.
//!
//! Invariant: a child that is waited for has a deadline, and the log names it every second and at the deadline.

use super::actor::Message;
use super::channels::Channels;
use super::context::Phase;
use super::live::{Control, End, Finish, Goal, Live, StartOrder};
use super::mailbox::Mailbox;
use super::spec::{Escalation, RestartPolicy, Strategy};
use super::status::ChildState;
use super::table::{Entry, Failure, KILL_GRACE, Shared};
use crate::clock::SystemClock;
use crate::metric;
use ractor::{ActorCell, ActorId, SpawnErr};
use smsgw_message::Clock;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// How often the log names whom a drain or stop waits for.
const REMIND_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Ward {
    shared: Arc<Shared>,
    path: String,
    myself: Mailbox<Message>,
    live: HashMap<u64, Live>,
    goal: Goal,
    /// Rest-for-one: everything above this rank has to end before anything starts.
    halt_above: Option<u32>,
    restarts: VecDeque<Instant>,
    started: bool,
    generation: u64,
}

impl Ward {
    /// Takes over the table: everything in it waits for its start.
    pub(super) fn new(shared: Arc<Shared>, path: String, myself: Mailbox<Message>) -> Self {
        {
            let mut table = shared.lock();
            table.mailbox = Some(myself.clone());
            table.starts += 1;
            table.enter(ChildState::Starting);
            for entry in &mut table.entries {
                entry.enter(ChildState::Waiting);
                entry.at_once = false;
                entry.failures = 0;
                entry.due = None;
                entry.ready_since = None;
            }
        }
        Self {
            shared,
            path,
            myself,
            live: HashMap::new(),
            goal: Goal::Run,
            halt_above: None,
            restarts: VecDeque::new(),
            started: false,
            generation: 0,
        }
    }

    /// Every child has once been up since this supervisor started.
    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    pub(super) fn handle_ready(&mut self, now: Instant, key: u64, generation: u64) {
        let Some(live) = self
            .live
            .get_mut(&key)
            .filter(|live| live.generation == generation)
        else {
            return;
        };
        let mut table = self.shared.lock();
        let Some(entry) = table.entry(key) else { return };
        if entry.state == ChildState::Starting {
            entry.enter(ChildState::Running);
            entry.ready_since = Some(now);
            live.deadline = None;
            debug!(child = %live.path, took = ?(now - live.asked), "child ready");
        }
    }

    pub(super) fn handle_shut_down(&mut self, drain: bool) {
        self.goal = match (&self.goal, drain) {
            (Goal::Run, true) => Goal::Drain,
            (Goal::Run | Goal::Drain, false) => Goal::Stop,
            (Goal::Drain | Goal::Stop | Goal::GiveUp(_), _) => return,
        };
    }

    pub(super) fn handle_end(&mut self, now: Instant, id: ActorId, end: End) {
        let Some(key) = self
            .live
            .iter()
            .find(|(_, live)| live.cell.get_id() == id)
            .map(|(key, _)| *key)
        else {
            return; // abandoned before it ended
        };
        self.end(now, key, end);
    }

    pub(super) fn handle_start_failure(&mut self, now: Instant, key: u64, error: &SpawnErr) {
        let kind = self.shared.lock().entry(key).map(|entry| entry.spec.kind);
        let Some(kind) = kind else { return };
        let path = self.child_path(key);
        self.fail(now, key, &path, kind, error.to_string(), false);
    }

    fn child_path(&self, key: u64) -> String {
        let name = self
            .shared
            .lock()
            .entry(key)
            .map(|entry| entry.spec.name.clone())
            .unwrap_or_default();
        format!("{}/{name}", self.path)
    }

    /// Marks a child as starting; the actor spawns it.
    pub(super) fn begin_start(&mut self, key: u64) -> Option<StartOrder> {
        let mut table = self.shared.lock();
        let entry = table.entry(key)?;
        self.generation += 1;
        entry.enter(ChildState::Starting);
        entry.channels = Arc::new(Channels::default());
        entry.at_once = false;
        entry.due = None;
        entry.ready_since = None;
        let path = format!("{}/{}", self.path, entry.spec.name);
        debug!(child = %path, restarts = entry.restarts, "starting child");
        Some(StartOrder {
            start: entry.spec.start.clone(),
            path,
            generation: self.generation,
            channels: Arc::clone(&entry.channels),
        })
    }

    pub(super) fn handle_started(&mut self, now: Instant, key: u64, cell: ActorCell, control: Control) {
        let mut table = self.shared.lock();
        // Entries leave the table only through this ward, and never between spawn and here.
        let Some(entry) = table.entry(key) else {
            return cell.kill();
        };
        let deadline = match &control {
            Control::Task(_) => now.checked_add(entry.spec.start_timeout),
            // Each of its children has a deadline of its own.
            Control::Supervisor(_) => None,
        };
        let live = Live {
            generation: self.generation,
            path: format!("{}/{}", self.path, entry.spec.name),
            kind: entry.spec.kind,
            rank: entry.rank,
            cell,
            control,
            deadline,
            asked: now,
            remind: None,
            halted: false,
            killed: None,
        };
        self.live.insert(key, live);
    }

    /// Brings what is closer to what shall be; returns the children to start now.
    pub(super) fn advance(&mut self, now: Instant) -> Vec<u64> {
        self.check_deadlines(now);
        self.remove_unwanted(now);
        let starts = match &self.goal {
            Goal::Run => self.pursue_run(now),
            Goal::Drain => self.pursue_end(now, true),
            Goal::Stop | Goal::GiveUp(_) => self.pursue_end(now, false),
        };
        let mut table = self.shared.lock();
        if !self.started
            && self.goal == Goal::Run
            && starts.is_empty()
            && table.entries.iter().all(|entry| entry.state.is_past_start())
        {
            self.started = true;
        }
        table.enter(match &self.goal {
            Goal::Run if self.started => ChildState::Running,
            Goal::Run => ChildState::Starting,
            Goal::Drain => ChildState::Draining,
            Goal::Stop | Goal::GiveUp(_) => ChildState::Stopping,
        });
        starts
    }

    /// How the supervisor ends, once nothing below it runs any more.
    pub(super) fn finish(&self) -> Option<Finish> {
        if !self.live.is_empty() {
            return None;
        }
        match &self.goal {
            Goal::Run => None,
            Goal::Drain | Goal::Stop => {
                info!(supervisor = %self.path, "supervisor stopped");
                Some(Finish::Stopped)
            }
            Goal::GiveUp(escalation) => Some(Finish::Escalated(escalation.clone())),
        }
    }

    /// When [`Ward::advance`] has to be called next, if nothing else happens.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let waits = self
            .live
            .values()
            .flat_map(|live| [live.deadline, live.remind])
            .flatten()
            .min();
        // While children above a failure still end, nothing starts: their end wakes us.
        let due = match self.halt_above {
            Some(_) => None,
            None => self
                .shared
                .lock()
                .entries
                .iter()
                .filter_map(|entry| entry.due)
                .min(),
        };
        [waits, due].into_iter().flatten().min()
    }

    fn check_deadlines(&mut self, now: Instant) {
        let keys: Vec<u64> = self.live.keys().copied().collect();
        for key in keys {
            let state = self.shared.lock().entry(key).map(|entry| entry.state);
            let (Some(live), Some(state)) = (self.live.get_mut(&key), state) else {
                continue;
            };
            let waited = now - live.asked;
            if live.remind.is_some_and(|remind| remind <= now) {
                live.remind = now.checked_add(REMIND_EVERY);
                warn!(child = %live.path, state = state.as_str(), ?waited, "waiting for child");
            }
            if live.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            if live.killed.is_some() {
                error!(child = %live.path, ?waited, "killed child does not end; it is abandoned");
                self.end(now, key, End::Killed);
                continue;
            }
            match state {
                ChildState::Draining => {
                    warn!(child = %live.path, ?waited, "drain deadline passed, stopping child");
                    self.ask(now, key, false);
                }
                ChildState::Starting | ChildState::Stopping => {
                    error!(child = %live.path, state = state.as_str(), ?waited, "deadline passed, killing child");
                    metric::CHILD_KILLS_TOTAL.with(&[live.kind]).inc();
                    live.killed = Some(waited);
                    live.deadline = now.checked_add(KILL_GRACE);
                    live.cell.kill();
                }
                // These wait for nothing.
                ChildState::Waiting
                | ChildState::Running
                | ChildState::BackingOff
                | ChildState::Stopped
                | ChildState::Failed => live.deadline = None,
            }
        }
    }

    fn remove_unwanted(&mut self, now: Instant) {
        let unwanted: Vec<(u64, bool)> = {
            let table = self.shared.lock();
            let unwanted = table.entries.iter().filter(|entry| entry.removal.is_some());
            unwanted.map(|entry| (entry.key, entry.state.is_live())).collect()
        };
        for (key, is_live) in unwanted {
            if is_live {
                self.ask(now, key, true);
            } else {
                self.shared.lock().delete(key);
            }
        }
    }

    fn pursue_run(&mut self, now: Instant) -> Vec<u64> {
        if let Some(rank) = self.halt_above {
            let above = self
                .live
                .values()
                .map(|live| live.rank)
                .filter(|above| *above > rank)
                .max();
            match above {
                Some(top) => {
                    for key in self.live_at(top) {
                        if let Some(live) = self.live.get_mut(&key) {
                            live.halted = true;
                        }
                        self.ask(now, key, false);
                    }
                    return Vec::new();
                }
                None => self.halt_above = None,
            }
        }
        let one_for_one = self.shared.strategy == Strategy::OneForOne;
        let mut table = self.shared.lock();
        for entry in table
            .entries
            .iter_mut()
            .filter(|entry| entry.due.is_some_and(|due| due <= now))
        {
            entry.enter(ChildState::Waiting);
            entry.due = None;
            entry.at_once = one_for_one;
        }
        let behind = table
            .entries
            .iter()
            .filter(|entry| !entry.state.is_past_start() && !entry.at_once);
        let first_behind = behind.map(|entry| entry.rank).min();
        let may_start = |entry: &&Entry| {
            entry.state == ChildState::Waiting && (entry.at_once || Some(entry.rank) == first_behind)
        };
        table
            .entries
            .iter()
            .filter(may_start)
            .map(|entry| entry.key)
            .collect()
    }

    fn pursue_end(&mut self, now: Instant, drain: bool) -> Vec<u64> {
        {
            let mut table = self.shared.lock();
            for entry in table
                .entries
                .iter_mut()
                .filter(|entry| !entry.state.is_past_start())
            {
                if entry.state != ChildState::Starting {
                    entry.enter(ChildState::Stopped);
                    entry.due = None;
                }
            }
        }
        if let Some(top) = self.live.values().map(|live| live.rank).max() {
            for key in self.live_at(top) {
                self.ask(now, key, drain);
            }
        }
        Vec::new()
    }

    fn live_at(&self, rank: u32) -> Vec<u64> {
        self.live
            .iter()
            .filter(|(_, live)| live.rank == rank)
            .map(|(key, _)| *key)
            .collect()
    }

    /// Tells a child to drain or to stop, unless it was told that or more already.
    fn ask(&mut self, now: Instant, key: u64, drain: bool) {
        let Some(live) = self.live.get_mut(&key) else {
            return;
        };
        let mut table = self.shared.lock();
        let Some(entry) = table.entry(key) else { return };
        let already = match entry.state {
            ChildState::Draining => drain,
            ChildState::Stopping => true,
            ChildState::Waiting
            | ChildState::Starting
            | ChildState::Running
            | ChildState::BackingOff
            | ChildState::Stopped
            | ChildState::Failed => false,
        };
        if already || live.killed.is_some() {
            return;
        }
        entry.enter(if drain {
            ChildState::Draining
        } else {
            ChildState::Stopping
        });
        let patience = match &live.control {
            Control::Task(phase) => {
                phase.send_replace(if drain { Phase::Drain } else { Phase::Stop });
                if drain {
                    entry.spec.drain_timeout
                } else {
                    entry.spec.stop_timeout
                }
            }
            Control::Supervisor(below) => {
                // One that is gone has already sent its end.
                below.lock().post(Message::ShutDown { drain });
                below.shutdown_budget(drain)
            }
        };
        live.asked = now;
        live.remind = now.checked_add(REMIND_EVERY);
        live.deadline = now.checked_add(patience);
    }

    fn end(&mut self, now: Instant, key: u64, end: End) {
        let Some(live) = self.live.remove(&key) else {
            return;
        };
        let (state, removing, policy) = {
            let mut table = self.shared.lock();
            let Some(entry) = table.entry(key) else { return };
            let was = entry.state;
            entry.enter(if live.halted {
                ChildState::Waiting
            } else {
                ChildState::Stopped
            });
            (was, entry.removal.is_some(), entry.spec.restart)
        };
        let asked_to_end = matches!(state, ChildState::Draining | ChildState::Stopping);
        let failure = match end {
            End::Returned => None,
            End::Failed { reason, fatal } => Some((reason, fatal)),
            End::Panicked { message } => Some((format!("panicked: {message}"), false)),
            End::Killed => match live.killed {
                Some(_) if asked_to_end => None,
                Some(after) => Some((format!("was not ready within {after:?}"), false)),
                None => Some(("was killed".to_owned(), false)),
            },
        };
        let path = &live.path;
        if let Some((reason, true)) = &failure {
            return self.fail(now, key, path, live.kind, reason.clone(), true);
        }
        if asked_to_end || self.goal != Goal::Run {
            match failure {
                Some((reason, _)) => {
                    warn!(child = %path, error = %reason, "child failed while it was stopping");
                    if let Some(entry) = self.shared.lock().entry(key) {
                        entry.last_failure = Some(Failure::new(reason));
                    }
                }
                None => debug!(child = %path, took = ?(now - live.asked), "child stopped"),
            }
            if removing || (policy == RestartPolicy::Temporary && !live.halted) {
                self.shared.lock().delete(key);
            }
            return;
        }
        match (policy, failure) {
            (RestartPolicy::Permanent, None) => {
                self.fail(
                    now,
                    key,
                    path,
                    live.kind,
                    "returned without being asked to".to_owned(),
                    false,
                );
            }
            (RestartPolicy::Permanent | RestartPolicy::Transient, Some((reason, fatal))) => {
                self.fail(now, key, path, live.kind, reason, fatal);
            }
            (RestartPolicy::Transient, None) => debug!(child = %path, "child finished"),
            (RestartPolicy::Temporary, failure) => {
                match failure {
                    Some((reason, _)) => warn!(child = %path, error = %reason, "child failed"),
                    None => debug!(child = %path, "child finished"),
                }
                self.shared.lock().delete(key);
            }
        }
    }

    /// Counts a failure: restart after a pause, or give up.
    fn fail(&mut self, now: Instant, key: u64, path: &str, kind: &'static str, reason: String, fatal: bool) {
        let mut table = self.shared.lock();
        let intensity = table.intensity;
        let Some(entry) = table.entry(key) else { return };
        entry.last_failure = Some(Failure::new(reason.clone()));
        while self
            .restarts
            .front()
            .is_some_and(|at| now - *at > intensity.window)
        {
            self.restarts.pop_front();
        }
        let unlimited = intensity.max_restarts == usize::MAX;
        if fatal || (!unlimited && self.restarts.len() >= intensity.max_restarts) {
            entry.enter(ChildState::Failed);
            metric::ESCALATIONS_TOTAL.with(&[kind]).inc();
            error!(supervisor = %self.path, child = %path, error = %reason, fatal, "supervisor gives up");
            self.goal = Goal::GiveUp(Escalation {
                supervisor: self.path.clone(),
                child: path.to_owned(),
                reason,
                fatal,
            });
            return;
        }
        if !unlimited {
            self.restarts.push_back(now);
        }
        let healthy = entry
            .ready_since
            .is_some_and(|since| now - since >= entry.spec.backoff.reset_after);
        entry.failures = if healthy {
            1
        } else {
            entry.failures.saturating_add(1)
        };
        entry.restarts += 1;
        entry.ready_since = None;
        let pause = entry.spec.backoff.pause(entry.failures);
        entry.enter(ChildState::BackingOff);
        entry.due = Some(now + pause);
        entry.restart_at = Some(SystemClock.now().after(pause));
        metric::CHILD_RESTARTS_TOTAL.with(&[kind]).inc();
        warn!(child = %path, error = %reason, retry_in = ?pause, restarts = entry.restarts, "child failed");
        if self.shared.strategy == Strategy::RestForOne {
            let rank = entry.rank;
            self.halt_above = Some(self.halt_above.map_or(rank, |above| above.min(rank)));
            for above in table.entries.iter_mut().filter(|entry| entry.rank > rank) {
                if above.state == ChildState::BackingOff {
                    above.enter(ChildState::Waiting);
                    above.due = None;
                }
                above.at_once = false;
            }
        }
    }
}

impl Ward {
    /// Lets go of the table, however the supervisor ended; ractor kills what still runs. Repeating changes nothing.
    pub(super) fn release(&mut self) {
        let mut table = self.shared.lock();
        if table
            .mailbox
            .as_ref()
            .is_none_or(|mailbox| mailbox.actor().get_id() != self.myself.actor().get_id())
        {
            return; // done already, or a successor has taken over
        }
        table.mailbox = None;
        table.enter(match &self.goal {
            Goal::Drain | Goal::Stop => ChildState::Stopped,
            Goal::Run | Goal::GiveUp(_) => ChildState::Failed,
        });
        for entry in &mut table.entries {
            entry.due = None;
            if entry.state != ChildState::Failed {
                entry.enter(ChildState::Stopped);
            }
        }
        let unwanted = table.entries.iter().filter(|entry| entry.removal.is_some());
        let unwanted: Vec<u64> = unwanted.map(|entry| entry.key).collect();
        for key in unwanted {
            table.delete(key);
        }
    }
}
