//! Turns: how many requests of one account are worked on at once, so that whoever has a thousand under way does not stand
//! with all of them before a neighbour who has one.
//!
//! Between a request that was read and its answer lie the processors and the engine's commits, and both take what comes in
//! the order in which it comes. So an account has [`AT_ONCE`] requests there; its others wait for their turn among
//! themselves, in order, and cost nothing meanwhile. Knows no face. Invariant: a turn is given back when it is dropped, and
//! no account ever waits for another one's.
//!
//! # Limits
//! The row of an account knows no classes: they are read from a body only when it has its turn. In queues, where the long
//! waits are, classes count. Uploads of batches have bounds of their own and take no turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests of an account that are worked on at once. One commit of the engine takes all that came during the one before;
/// so many are enough to fill it (with a sync of 10 ms, 25,600 messages a second), and few enough to wait for.
const AT_ONCE: usize = 256;

/// The turns of an account.
#[derive(Debug)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// One of them.
#[derive(Debug)]
#[must_use = "a turn is given back when it is dropped"]
pub(crate) struct Turn(
    #[expect(dead_code, reason = "held, and given back at the drop")] OwnedSemaphorePermit,
);

impl Default for Turns {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: AtomicUsize::new(0),
        }
    }
}

/// Counts who waits, also when the wait is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    /// Waits for the turn of so many requests that come as one; `None` at once when `most` wait already. What is more than
    /// all turns has all of them.
    pub(crate) async fn take(&self, requests: usize, most: u32) -> Option<Turn> {
        let turns = u32::try_from(requests.min(AT_ONCE)).expect("a small constant fits");
        if let Ok(free) = Arc::clone(&self.free).try_acquire_many_owned(turns) {
            return Some(Turn(free));
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= usize::try_from(most).unwrap_or(usize::MAX) {
            return None;
        }
        let free = Arc::clone(&self.free).acquire_many_owned(turns).await;
        Some(Turn(free.expect("the semaphore is never closed")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn so_many_have_a_turn_the_others_wait_and_too_many_are_told_so() {
        let (turns, other) = (Turns::default(), Turns::default());
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(turns.take(1, 0).await.unwrap());
        }
        assert!(turns.take(1, 0).await.is_none(), "nobody may wait");
        let gives_up = timeout(Duration::from_millis(10), turns.take(1, 1)).await;
        assert!(gives_up.is_err(), "it waits");
        assert_eq!(
            turns.waiting.load(Ordering::Relaxed),
            0,
            "who gave up waits no more"
        );
        assert!(
            other.take(1000, 0).await.is_some(),
            "another account has its own, and no batch needs more"
        );
        let (next, ()) = tokio::join!(turns.take(1, 1), async {
            tokio::task::yield_now().await;
            assert!(turns.take(1, 1).await.is_none(), "one waits already");
            taken.pop();
        });
        assert!(next.is_some());
    }
}
