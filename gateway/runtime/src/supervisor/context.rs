//! What a child sees of its supervisor: its name, and the signals ready, draining and stopping.
//!
//! Invariant: stopping implies draining; a supervisor that is gone counts as stopping.

use super::actor::Message;
use super::channels::Channels;
use super::mailbox::Mailbox;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, watch};

/// What the supervisor wants of a child; only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Run,
    Drain,
    Stop,
}

/// A child's view of its supervisor. Clones share the signals; sub-tasks may hold their own.
#[derive(Clone)]
pub struct ChildContext {
    name: Arc<str>,
    phase: watch::Receiver<Phase>,
    readiness: Arc<Readiness>,
    channels: Arc<Channels>,
}

struct Readiness {
    said: AtomicBool,
    supervisor: Mailbox<Message>,
    key: u64,
    generation: u64,
}

impl fmt::Debug for ChildContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildContext")
            .field("name", &self.name)
            .field("phase", &*self.phase.borrow())
            .finish()
    }
}

impl ChildContext {
    pub(super) fn new(
        path: &str,
        phase: watch::Receiver<Phase>,
        supervisor: Mailbox<Message>,
        key: u64,
        generation: u64,
        channels: Arc<Channels>,
    ) -> Self {
        let readiness = Readiness {
            said: AtomicBool::new(false),
            supervisor,
            key,
            generation,
        };
        Self {
            name: Arc::from(path),
            phase,
            readiness: Arc::new(readiness),
            channels,
        }
    }

    /// The child's place in the tree: `smsgw/operator/link-alpha-1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The child is up; what starts after it may start. Further calls do nothing.
    pub fn ready(&self) {
        let Readiness {
            said,
            supervisor,
            key,
            generation,
        } = &*self.readiness;
        if !said.swap(true, Ordering::Relaxed) {
            // A supervisor that is gone needs no answer; its end stops this child.
            supervisor.post(Message::Ready {
                key: *key,
                generation: *generation,
            });
        }
    }

    /// Shows how full a bounded channel of this child is, under a fixed name, while it has a sender and the child lives.
    pub fn shows<T: Send + 'static>(&self, channel: &'static str, sender: &mpsc::Sender<T>) {
        self.channels.show(channel, sender);
    }

    /// Told to take no new work, or to stop.
    pub fn is_draining(&self) -> bool {
        self.reached(Phase::Drain)
    }

    /// Told to return now.
    pub fn is_stopping(&self) -> bool {
        self.reached(Phase::Stop)
    }

    /// Waits until the child shall take no new work, finish what is outstanding and return.
    pub async fn draining(&self) {
        self.wait(Phase::Drain).await;
    }

    /// Waits until the child shall return now, whatever is outstanding.
    pub async fn stopping(&self) {
        self.wait(Phase::Stop).await;
    }

    fn reached(&self, phase: Phase) -> bool {
        *self.phase.borrow() >= phase || self.phase.has_changed().is_err()
    }

    async fn wait(&self, phase: Phase) {
        // An error means the supervisor is gone, which counts as stopping.
        self.phase.clone().wait_for(|now| *now >= phase).await.ok();
    }
}
