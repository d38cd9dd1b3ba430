//! The owner's side of a supervisor: build it, spawn the root, add and remove children, drain and stop.
//!
//! Knows the table and sends control messages; decides nothing.

use super::actor::{self, Message};
use super::spec::{ChildSpec, Escalation, Intensity, Strategy};
use super::status::{ChildState, TreeStatus};
use super::table::Shared;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

/// A supervisor to be: a name, a strategy and children.
///
/// ```
/// # use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Strategy, Supervisor};
/// # async fn run_link(ctx: ChildContext) -> Result<(), ChildError> { ctx.ready(); ctx.draining().await; Ok(()) }
/// let operator = Supervisor::new("operator", Strategy::OneForOne)
///     .child(ChildSpec::task("link-alpha-1", move |ctx| run_link(ctx)).kind("link"));
/// let links = operator.handle(); // adds and removes links later
/// let root = Supervisor::new("smsgw", Strategy::RestForOne).child(ChildSpec::supervisor(operator));
/// ```
#[derive(Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

impl Supervisor {
    /// A supervisor without children.
    pub fn new(name: impl Into<String>, strategy: Strategy) -> Self {
        Self {
            shared: Arc::new(Shared::new(name.into(), strategy)),
        }
    }

    /// How many restarts it takes before it gives up. Default: 5 in 30 seconds.
    #[must_use]
    pub fn intensity(self, intensity: Intensity) -> Self {
        self.shared.lock().intensity = intensity;
        self
    }

    /// One more child, started after those before it (see [`Strategy`] and [`ChildSpec::order`]).
    ///
    /// # Panics
    /// When the name is taken: a mistake in our own code.
    #[must_use]
    pub fn child(self, spec: ChildSpec) -> Self {
        let inserted = self.shared.lock().insert(spec, self.shared.strategy, false);
        if let Err(name) = inserted {
            panic!("supervisor {} has two children named {}", self.shared.name, name);
        }
        self
    }

    /// The handle through which children are added and removed later; it outlives restarts of the supervisor.
    pub fn handle(&self) -> SupervisorHandle {
        SupervisorHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Starts the root of a tree. Returns at once; [`Tree::started`] waits until everything is ready.
    pub async fn spawn(self) -> Tree {
        let (started, is_started) = watch::channel(false);
        let (exit, has_exited) = watch::channel(None);
        actor::spawn_root(Arc::clone(&self.shared), started, exit).await;
        Tree {
            shared: self.shared,
            started: is_started,
            exit: has_exited,
        }
    }

    pub(super) fn into_shared(self) -> Arc<Shared> {
        self.shared
    }
}

/// Adds and removes children of a supervisor while it runs, and looks at them.
#[derive(Debug, Clone)]
pub struct SupervisorHandle {
    shared: Arc<Shared>,
}

/// A child of that name exists already; it may be on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("failed to add child {child} to supervisor {supervisor}: the name is taken")]
pub struct AddError {
    /// The supervisor asked.
    pub supervisor: String,
    /// The name that is taken.
    pub child: String,
}

/// There is no such child to remove.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("supervisor {supervisor} has no child {child}")]
pub struct RemoveError {
    /// The supervisor asked.
    pub supervisor: String,
    /// The name that is not there.
    pub child: String,
}

impl SupervisorHandle {
    /// Adds a child; it starts at once, or with the supervisor when that is not running now.
    pub fn add(&self, spec: ChildSpec) -> Result<(), AddError> {
        let mut table = self.shared.lock();
        let at_once = table.mailbox.is_some();
        table
            .insert(spec, self.shared.strategy, at_once)
            .map_err(|child| AddError {
                supervisor: self.shared.name.clone(),
                child,
            })?;
        // Without an actor the entry waits for the supervisor's start.
        table.notify();
        Ok(())
    }

    /// Drains, stops and if need be kills a child by the deadlines of its spec; returns when it is gone.
    pub async fn remove(&self, name: &str) -> Result<(), RemoveError> {
        let gone = {
            let mut table = self.shared.lock();
            let Some(entry) = table.entries.iter_mut().find(|entry| entry.spec.name == name) else {
                return Err(RemoveError {
                    supervisor: self.shared.name.clone(),
                    child: name.to_owned(),
                });
            };
            let (done, gone) = oneshot::channel();
            entry.removal.get_or_insert_default().push(done);
            let key = entry.key;
            if !table.notify() {
                // Nobody acts on the table, so nothing of this child runs.
                table.delete(key);
            }
            gone
        };
        // An error is a sender dropped with its entry: gone as well.
        gone.await.ok();
        Ok(())
    }

    /// The supervisor and everything below it, now.
    pub fn status(&self) -> TreeStatus {
        self.shared.status()
    }
}

/// The root of a running tree.
#[derive(Debug, Clone)]
pub struct Tree {
    shared: Arc<Shared>,
    started: watch::Receiver<bool>,
    exit: watch::Receiver<Option<Exit>>,
}

/// How a tree ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// Drained or stopped, as asked.
    Stopped,
    /// The root gave up.
    Escalated(Escalation),
    /// The root supervisor itself died: a defect of this crate.
    Crashed,
}

impl Exit {
    /// The exit code of the process: 0 after an orderly stop, 70 (`EX_SOFTWARE`) when the tree gave up or crashed.
    pub fn code(&self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Escalated(_) | Self::Crashed => 70,
        }
    }
}

impl Tree {
    /// The handle of the root supervisor.
    pub fn handle(&self) -> SupervisorHandle {
        SupervisorHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// The whole tree, now.
    pub fn status(&self) -> TreeStatus {
        self.shared.status()
    }

    /// Waits until every child has reported ready (true), or the tree ended before that (false).
    pub async fn started(&self) -> bool {
        self.started.clone().wait_for(|started| *started).await.is_ok()
    }

    /// Drains and stops everything in reverse order; see [`ChildSpec::drain_timeout`] and [`ChildSpec::stop_timeout`].
    pub async fn drain(&self) -> Exit {
        self.shut_down(true).await
    }

    /// Stops everything in reverse order without draining; also cuts a drain short that is under way.
    pub async fn stop(&self) -> Exit {
        self.shut_down(false).await
    }

    /// Waits for the end of the tree, however it comes.
    pub async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|exit| exit.clone()).unwrap_or(Exit::Crashed)
    }

    async fn shut_down(&self, drain: bool) -> Exit {
        // A tree that has ended already says how below.
        self.shared.lock().post(Message::ShutDown { drain });
        self.ended().await
    }

    /// Everything was ready once and nothing was asked to end: for `/readyz`, which a failing link must not turn.
    pub fn is_running(&self) -> bool {
        self.shared.lock().state == ChildState::Running
    }
}
