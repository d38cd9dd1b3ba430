//! The links that wait for their carrier to connect, and how a connection comes to one of them.
//!
//! Knows no socket. Invariant: a connection goes to one link that waits for it still, or back to who brought it.

use crate::bind::Bind;
use crate::dial::Dialled;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// What a link is to the others that wait: its number from 0, and whether it only sends. Receivers come first: that is what
/// outbind asks for in the first place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(usize, bool);

impl Rank {
    pub(crate) fn of(index: usize, bind: Bind) -> Self {
        Self(index, bind == Bind::Transmitter)
    }
}

/// The links of an operator that wait for its carrier to connect.
#[derive(Default)]
pub(crate) struct Calls {
    waiting: Mutex<Vec<(Rank, oneshot::Sender<Dialled>)>>,
    came: Notify,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls")
    }
}

impl Calls {
    /// The next connection for a link; may be dropped at any time.
    pub(crate) async fn next(&self, rank: Rank) -> Dialled {
        loop {
            let (link, call) = oneshot::channel();
            {
                let mut waiting = self.lock();
                waiting.retain(|(_, other)| !other.is_closed());
                waiting.push((rank, link));
            }
            self.came.notify_waiters();
            if let Ok(call) = call.await {
                return call;
            }
        }
    }

    /// Gives a connection to the first link that waits, or to the next one that does.
    pub(crate) async fn hand_over(&self, mut call: Dialled) {
        loop {
            let came = self.came.notified();
            while let Some(link) = self.first() {
                match link.send(call) {
                    Ok(()) => return,
                    // That link does not wait any more.
                    Err(back) => call = back,
                }
            }
            came.await;
        }
    }

    fn first(&self) -> Option<oneshot::Sender<Dialled>> {
        let mut waiting = self.lock();
        let at = waiting
            .iter()
            .enumerate()
            .min_by_key(|(_, (rank, _))| *rank)
            .map(|(at, _)| at)?;
        Some(waiting.swap_remove(at).1)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Rank, oneshot::Sender<Dialled>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
