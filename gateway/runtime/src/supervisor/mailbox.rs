//! The address of a supervisor's actor, and how many messages wait there.
//!
//! ractor counts no mailboxes, so every message goes out in an [`Envelope`] that counts itself: up when it is made, down
//! when it is opened, or dropped with the mailbox of an actor that ended. Invariant MB-1: the depth is the number of
//! envelopes that exist, so it comes back to 0 however the actor ends.
//!
//! # Limits
//! What ractor itself sends (starts and ends of children) goes through a port of its own and is not counted.

use ractor::ActorRef;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A message on its way to an actor.
#[derive(Debug)]
pub(super) struct Envelope<M> {
    message: M,
    waiting: Waiting,
}

impl<M> Envelope<M> {
    /// Takes the message out: it waits no longer.
    pub(super) fn open(self) -> M {
        drop(self.waiting);
        self.message
    }
}

#[derive(Debug)]
struct Waiting(Arc<AtomicU64>);

impl Waiting {
    fn among(depth: &Arc<AtomicU64>) -> Self {
        depth.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(depth))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where an actor is reached. Clones count together; made once for each life of the actor.
pub(super) struct Mailbox<M> {
    actor: ActorRef<Envelope<M>>,
    depth: Arc<AtomicU64>,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self {
            actor: self.actor.clone(),
            depth: Arc::clone(&self.depth),
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("actor", &self.actor)
            .field("depth", &self.depth)
            .finish()
    }
}

impl<M: Send + 'static> Mailbox<M> {
    pub(super) fn of(actor: ActorRef<Envelope<M>>) -> Self {
        Self {
            actor,
            depth: Arc::default(),
        }
    }

    pub(super) fn actor(&self) -> &ActorRef<Envelope<M>> {
        &self.actor
    }

    /// Sends; false when the actor is gone.
    pub(super) fn post(&self, message: M) -> bool {
        let waiting = Waiting::among(&self.depth);
        self.actor.cast(Envelope { message, waiting }).is_ok()
    }

    /// Messages sent and not yet taken up.
    pub(super) fn depth(&self) -> u64 {
        self.depth.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ractor::{Actor, ActorProcessingErr};
    use std::time::Duration;
    use tokio::sync::Semaphore;

    /// Takes up one message for each permit.
    struct Slow(Arc<Semaphore>);

    impl Actor for Slow {
        type Msg = Envelope<u32>;
        type State = ();
        type Arguments = ();

        async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }

        async fn handle(
            &self,
            _: ActorRef<Self::Msg>,
            envelope: Self::Msg,
            (): &mut (),
        ) -> Result<(), ActorProcessingErr> {
            let message = envelope.open();
            self.0.acquire().await?.forget();
            assert_ne!(message, 13, "a message that its handler cannot take");
            Ok(())
        }
    }

    async fn settle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_depth_counts_what_waits_and_returns_to_0() {
        let permits = Arc::new(Semaphore::new(0));
        let (actor, _join) = Actor::spawn(None, Slow(Arc::clone(&permits)), ()).await.unwrap();
        let mailbox = Mailbox::of(actor);
        for n in 100..200 {
            assert!(mailbox.clone().post(n));
        }
        assert_eq!(mailbox.depth(), 100);
        settle().await;
        assert_eq!(mailbox.depth(), 99, "one is in its handler");
        permits.add_permits(40);
        settle().await;
        assert_eq!(mailbox.depth(), 59);
        permits.add_permits(1_000);
        settle().await;
        assert_eq!(mailbox.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_dead_actor_leaves_is_not_counted() {
        for end in ["panic", "stop", "kill", "drain"] {
            let permits = Arc::new(Semaphore::new(0));
            let (actor, join) = Actor::spawn(None, Slow(Arc::clone(&permits)), ()).await.unwrap();
            let mailbox = Mailbox::of(actor.clone());
            for n in 0..50 {
                mailbox.post(n);
            }
            settle().await;
            assert_eq!(mailbox.depth(), 49, "{end}");
            match end {
                "kill" => actor.kill(),
                "stop" => actor.stop(None),
                "drain" => actor.drain().unwrap(),
                _ => {}
            }
            permits.add_permits(if end == "panic" { 14 } else { 1_000 });
            join.await.unwrap();
            assert_eq!(mailbox.depth(), 0, "{end}");
            assert!(!mailbox.post(1), "{end}");
            assert_eq!(
                mailbox.depth(),
                0,
                "{end}: a message that nobody takes waits nowhere"
            );
        }
    }
}
