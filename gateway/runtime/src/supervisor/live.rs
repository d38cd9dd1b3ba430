//! A child that runs, as its supervisor knows it, and the ways a child and a supervisor end.
//!
//! Values only; the ward decides over them.

use super::channels::Channels;
use super::context::Phase;
use super::spec::{Escalation, Start};
use super::table::Shared;
use ractor::ActorCell;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the supervisor is after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    Run,
    Drain,
    Stop,
    GiveUp(Escalation),
}

/// A child that runs, in whatever state.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) generation: u64,
    pub(super) path: String,
    pub(super) kind: &'static str,
    pub(super) rank: u32,
    pub(super) cell: ActorCell,
    pub(super) control: Control,
    /// When the present wait ends: for ready, drained, stopped or killed.
    pub(super) deadline: Option<Instant>,
    pub(super) asked: Instant,
    pub(super) remind: Option<Instant>,
    /// Stopped only to be started again, after a failure below it.
    pub(super) halted: bool,
    pub(super) killed: Option<Duration>,
}

/// How a child is told to drain and stop.
#[derive(Debug)]
pub(super) enum Control {
    Task(watch::Sender<Phase>),
    Supervisor(Arc<Shared>),
}

/// How a child ended.
#[derive(Debug)]
pub(super) enum End {
    Returned,
    Failed { reason: String, fatal: bool },
    Panicked { message: String },
    Killed,
}

/// How the supervisor ends.
#[derive(Debug)]
pub(super) enum Finish {
    Stopped,
    Escalated(Escalation),
}

/// What the actor needs to start a child.
pub(super) struct StartOrder {
    pub(super) start: Start,
    pub(super) path: String,
    pub(super) generation: u64,
    pub(super) channels: Arc<Channels>,
}
