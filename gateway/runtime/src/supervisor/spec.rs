//! What a supervisor runs: children, how they restart, how long it waits for them.
//!
//! Values only; nothing here runs or waits.

use super::context::ChildContext;
use super::handle::Supervisor;
use super::table::Shared;
use rand::Rng;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub(super) type ChildFuture = Pin<Box<dyn Future<Output = Result<(), ChildError>> + Send>>;
type StartTask = dyn Fn(ChildContext) -> ChildFuture + Send + Sync;

/// Which children a failure restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Only the one that failed. Children are independent: they start and stop together unless given
    /// [`ChildSpec::order`].
    OneForOne,
    /// The one that failed and everything started after it. Children start in the order listed, each after the one
    /// before is ready, and stop in reverse.
    RestForOne,
}

/// When a child that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Always: it is not meant to end.
    Permanent,
    /// After an error or a panic; an orderly end is final.
    Transient,
    /// Never; it leaves the table when it ends.
    Temporary,
}

/// How many restarts, over all children, a supervisor takes before it gives up and fails upward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts tolerated inside one window.
    pub max_restarts: usize,
    /// The sliding window.
    pub window: Duration,
}

impl Intensity {
    /// Never gives up: for independent children whose failures must not take their neighbours down, such as links.
    pub const UNLIMITED: Self = Self {
        max_restarts: usize::MAX,
        window: Duration::ZERO,
    };

    /// At most `max_restarts` inside `window`.
    pub const fn new(max_restarts: usize, window: Duration) -> Self {
        Self { max_restarts, window }
    }
}

impl Default for Intensity {
    /// 5 restarts in 30 seconds.
    fn default() -> Self {
        Self::new(5, Duration::from_secs(30))
    }
}

/// Pauses between restarts: doubling up to a cap, spread by jitter, forgotten after a long healthy run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartBackoff {
    /// Pause before the first restart.
    pub first: Duration,
    /// The longest pause, before jitter.
    pub cap: Duration,
    /// Part of the pause, 0.0 to 1.0, by which it is spread both ways.
    pub jitter: f64,
    /// A child that was ready for this long starts again at `first`.
    pub reset_after: Duration,
}

impl Default for RestartBackoff {
    /// 0.5 s doubling to 30 s, ±20 %, forgotten after a minute.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            jitter: 0.2,
            reset_after: Duration::from_secs(60),
        }
    }
}

impl RestartBackoff {
    /// The pause after `failures` failures in a row (1 = the first), without jitter.
    pub fn base(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1_u32 << doublings).min(self.cap)
    }

    pub(super) fn pause(&self, failures: u32) -> Duration {
        let base = self.base(failures);
        let jitter = self.jitter.clamp(0.0, 1.0);
        if jitter == 0.0 {
            return base;
        }
        base.mul_f64(rand::rng().random_range(1.0 - jitter..=1.0 + jitter))
    }
}

/// One child of a supervisor.
#[derive(Clone)]
pub struct ChildSpec {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) start: Start,
    pub(super) restart: RestartPolicy,
    pub(super) order: Option<u32>,
    pub(super) start_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) stop_timeout: Duration,
    pub(super) backoff: RestartBackoff,
}

#[derive(Clone)]
pub(super) enum Start {
    Task(Arc<StartTask>),
    Supervisor(Arc<Shared>),
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("restart", &self.restart)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

impl ChildSpec {
    /// A long-running task; `start` is called for every start and restart. The child calls [`ChildContext::ready`]
    /// once it is up, and returns after [`ChildContext::draining`] or [`ChildContext::stopping`].
    pub fn task<F, Fut>(name: impl Into<String>, start: F) -> Self
    where
        F: Fn(ChildContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ChildError>> + Send + 'static,
    {
        let start: Arc<StartTask> = Arc::new(move |ctx| Box::pin(start(ctx)));
        Self::new(name.into(), "task", Start::Task(start))
    }

    /// A nested supervisor, under its own name. Its deadlines follow from those of its children.
    pub fn supervisor(supervisor: Supervisor) -> Self {
        let shared = supervisor.into_shared();
        Self::new(shared.name.clone(), "supervisor", Start::Supervisor(shared))
    }

    fn new(name: String, kind: &'static str, start: Start) -> Self {
        Self {
            name,
            kind,
            start,
            restart: RestartPolicy::Permanent,
            order: None,
            start_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(5),
            backoff: RestartBackoff::default(),
        }
    }

    /// When it is started again. Default: [`RestartPolicy::Permanent`].
    #[must_use]
    pub fn restart(mut self, restart: RestartPolicy) -> Self {
        self.restart = restart;
        self
    }

    /// The word under which its restarts are counted. Default: `task` or `supervisor`.
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Equal numbers start and stop together; a higher one starts once all lower ones are ready, and stops before them.
    #[must_use]
    pub fn order(mut self, order: u32) -> Self {
        self.order = Some(order);
        self
    }

    /// How long a task may take until it reports ready; then it is killed and counted as failed. Default: 30 s.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = timeout;
        self
    }

    /// How long a task may drain before it is told to stop. Default: 10 s.
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// How long a task may take to stop before it is killed. Default: 5 s.
    #[must_use]
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Pauses between restarts.
    #[must_use]
    pub fn backoff(mut self, backoff: RestartBackoff) -> Self {
        self.backoff = backoff;
        self
    }
}

/// Why a child ended when it was not asked to.
#[derive(Debug)]
pub struct ChildError {
    pub(super) fatal: bool,
    pub(super) source: Box<dyn Error + Send + Sync>,
}

impl ChildError {
    /// The child failed; its supervisor restarts it by its policy. A text does as well as an error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            fatal: false,
            source: source.into(),
        }
    }

    /// No restart can help (the engine is poisoned): every supervisor up to the root gives up at once.
    pub fn fatal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            fatal: true,
            source: source.into(),
        }
    }
}

// `ChildError` itself is no `Error`, so that `?` converts every error into it.
impl<E: Error + Send + Sync + 'static> From<E> for ChildError {
    fn from(source: E) -> Self {
        Self::new(source)
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A supervisor gave up and failed upward.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("supervisor {supervisor} gave up on child {child}: {reason}")]
pub struct Escalation {
    /// Path of the supervisor that gave up first.
    pub supervisor: String,
    /// Path of the child that was the last straw.
    pub child: String,
    /// What the child said or did last.
    pub reason: String,
    /// No restart can help, see [`ChildError::fatal`].
    pub fatal: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_cap() {
        let backoff = RestartBackoff::default();
        let seconds: Vec<f64> = (1..=9)
            .map(|failures| backoff.base(failures).as_secs_f64())
            .collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        assert_eq!(backoff.base(u32::MAX), Duration::from_secs(30));
    }

    #[test]
    fn jitter_spreads_both_ways_and_stays_in_its_bounds() {
        let backoff = RestartBackoff {
            first: Duration::from_secs(10),
            ..RestartBackoff::default()
        };
        let pauses: Vec<f64> = (0..1000).map(|_| backoff.pause(1).as_secs_f64()).collect();
        assert!(pauses.iter().all(|pause| (8.0..=12.0).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < 9.5) && pauses.iter().any(|pause| *pause > 10.5));
    }

    #[test]
    fn a_child_error_prints_its_chain() {
        let cause = std::io::Error::other("disk gone");
        let outer = Escalation {
            supervisor: "root".to_owned(),
            child: "root/engine".to_owned(),
            reason: cause.to_string(),
            fatal: true,
        };
        assert_eq!(
            ChildError::from(outer).to_string(),
            "supervisor root gave up on child root/engine: disk gone"
        );
        assert_eq!(ChildError::new("plain words").to_string(), "plain words");
    }
}
