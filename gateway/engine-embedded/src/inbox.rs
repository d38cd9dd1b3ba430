//! The bounded way into the committer: callers wait for room, the committer takes all there is at once.
//!
//! Invariant: never more than `max` steps wait (a single larger call counts as `max`); a request is either taken by the
//! committer or answered with why the inbox is closed.

use crate::lock;
use smsgw_queue::{CommitError, Committed, EngineError, Step};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// One call of `commit`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) steps: Vec<Step>,
    pub(crate) answer: oneshot::Sender<Vec<Result<Committed, CommitError>>>,
    pub(crate) since: Instant,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: Vec<Request>,
    room_taken: u32,
    closed: Option<EngineError>,
    committer_waits: bool,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    room: Semaphore,
    max: u32,
}

/// What the committer got.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Perhaps nothing: then the time is up.
    Requests(Vec<Request>),
    /// Nothing comes any more.
    Closed,
}

impl Inbox {
    pub(crate) fn new(max: usize) -> Self {
        let max = u32::try_from(max.clamp(1, Semaphore::MAX_PERMITS / 2)).unwrap_or(u32::MAX / 2);
        let room = Semaphore::new(usize::try_from(max).unwrap_or(1));
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            room,
            max,
        }
    }

    /// Puts a call in, as soon as there is room. An error: it was not put in.
    pub(crate) async fn put(&self, request: Request) -> Result<(), EngineError> {
        let room = u32::try_from(request.steps.len())
            .unwrap_or(self.max)
            .clamp(1, self.max);
        // The semaphore is never closed: a closed inbox is told by its reason.
        if let Ok(permit) = self.room.acquire_many(room).await {
            permit.forget();
        }
        let wake = {
            let mut waiting = lock(&self.waiting);
            if let Some(why) = &waiting.closed {
                let why = why.clone();
                drop(waiting);
                self.room.add_permits(usize::try_from(room).unwrap_or(1));
                return Err(why);
            }
            waiting.requests.push(request);
            waiting.room_taken = waiting.room_taken.saturating_add(room);
            std::mem::take(&mut waiting.committer_waits)
        };
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// All that waits; after `timeout` perhaps nothing.
    pub(crate) fn take(&self, timeout: Duration) -> Taken {
        let mut waiting = lock(&self.waiting);
        if waiting.requests.is_empty() && waiting.closed.is_none() && !timeout.is_zero() {
            waiting.committer_waits = true;
            // Time or a wake-up without cause: both are "perhaps nothing".
            (waiting, _) = self
                .arrived
                .wait_timeout(waiting, timeout)
                .unwrap_or_else(PoisonError::into_inner);
            waiting.committer_waits = false;
        }
        let requests = std::mem::take(&mut waiting.requests);
        let room = std::mem::take(&mut waiting.room_taken);
        let closed = waiting.closed.is_some();
        drop(waiting);
        self.room.add_permits(usize::try_from(room).unwrap_or(0));
        if closed && requests.is_empty() {
            Taken::Closed
        } else {
            Taken::Requests(requests)
        }
    }

    /// Takes nothing more; what waits is still for the committer. The first reason stays.
    pub(crate) fn close(&self, why: EngineError) {
        lock(&self.waiting).closed.get_or_insert(why);
        self.arrived.notify_one();
    }
}
