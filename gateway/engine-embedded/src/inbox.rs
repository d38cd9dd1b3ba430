//! The bounded way into the committer: callers wait for room, the committer takes what makes a group.
//!
//! A call of many steps comes in portions, each a round after the one before it, and what is taken is taken round by round:
//! so one step does not stand behind the hundreds of another call. Invariants: never more than `max` steps wait; portions of
//! a call are taken in their order; what comes while others are left is of a later round than what was taken, so that nothing
//! waits for ever; a request is either taken by the committer or answered with why the inbox is closed.

use crate::lock;
use smsgw_queue::{CommitError, Committed, EngineError, Step};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// Steps of a portion.
pub(crate) const PORTION: usize = 32;

/// One call of `commit`, or a portion of it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) steps: Vec<Step>,
    pub(crate) answer: oneshot::Sender<Vec<Result<Committed, CommitError>>>,
    pub(crate) since: Instant,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By round, then in order.
    requests: BTreeMap<(u64, u64), Request>,
    /// Of what comes now.
    round: u64,
    numbers: u64,
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

    /// Puts the n-th portion of a call in, as soon as there is room. An error: it was not put in.
    pub(crate) async fn put(&self, request: Request, portion: u64) -> Result<(), EngineError> {
        let room = self.room_of(&request);
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
            waiting.numbers = waiting.numbers.wrapping_add(1);
            let place = (waiting.round.saturating_add(portion), waiting.numbers);
            waiting.requests.insert(place, request);
            std::mem::take(&mut waiting.committer_waits)
        };
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    fn room_of(&self, request: &Request) -> u32 {
        u32::try_from(request.steps.len())
            .unwrap_or(self.max)
            .clamp(1, self.max)
    }

    /// What is next, until that is `most` steps; after `timeout` perhaps nothing.
    pub(crate) fn take(&self, timeout: Duration, most: usize) -> Taken {
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
        let mut requests = Vec::with_capacity(waiting.requests.len().min(most));
        let (mut steps, mut room) = (0usize, 0u32);
        while steps < most
            && let Some(((round, _), request)) = waiting.requests.pop_first()
        {
            steps = steps.saturating_add(request.steps.len());
            room = room.saturating_add(self.room_of(&request));
            waiting.round = round;
            requests.push(request);
        }
        if !waiting.requests.is_empty() {
            waiting.round = waiting.round.saturating_add(1);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_queue::StepId;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn request(steps: usize) -> Request {
        Request {
            steps: vec![Step::new(StepId::from_bytes([7; 16])); steps],
            answer: oneshot::channel().0,
            since: tokio::time::Instant::now().into_std(),
        }
    }

    fn sizes(inbox: &Inbox, most: usize) -> Vec<usize> {
        match inbox.take(Duration::ZERO, most) {
            Taken::Requests(requests) => requests.iter().map(|request| request.steps.len()).collect(),
            Taken::Closed => panic!("closed"),
        }
    }

    #[tokio::test]
    async fn one_step_stands_behind_a_portion_of_a_large_call_and_not_behind_all_of_it() {
        let inbox = Inbox::new(1000);
        for (portion, steps) in (0..).zip([30, 31, 32, 33]) {
            inbox.put(request(steps), portion).await.unwrap();
        }
        inbox.put(request(1), 0).await.unwrap();
        assert_eq!(sizes(&inbox, 31), [30, 1]);
        inbox.put(request(2), 0).await.unwrap();
        assert_eq!(sizes(&inbox, 33), [31, 2]);
        inbox.put(request(3), 0).await.unwrap();
        inbox.put(request(4), 1).await.unwrap();
        assert_eq!(sizes(&inbox, 1000), [32, 3, 33, 4]);
        assert_eq!(sizes(&inbox, 1000), [0; 0]);
    }

    #[tokio::test]
    async fn the_last_portion_comes_however_many_small_calls_do() {
        let inbox = Inbox::new(1000);
        for portion in 0..4 {
            inbox.put(request(32), portion).await.unwrap();
        }
        let mut taken = Vec::new();
        for _ in 0..12 {
            for _ in 0..16 {
                inbox.put(request(1), 0).await.unwrap();
            }
            taken.push(sizes(&inbox, 16).contains(&32));
        }
        assert_eq!(taken.iter().filter(|is_large| **is_large).count(), 4, "{taken:?}");
    }

    #[tokio::test]
    async fn room_is_that_of_what_was_taken_and_what_was_left_is_taken_before_the_end() {
        let inbox = Inbox::new(10);
        inbox.put(request(4), 0).await.unwrap();
        inbox.put(request(6), 1).await.unwrap();
        let more = inbox.put(request(5), 0);
        let mut more = pin!(more);
        let mut context = Context::from_waker(Waker::noop());
        assert!(more.as_mut().poll(&mut context).is_pending());
        assert_eq!(sizes(&inbox, 4), [4]);
        assert!(more.as_mut().poll(&mut context).is_pending(), "four are not five");
        assert_eq!(sizes(&inbox, 4), [6]);
        more.await.unwrap();
        inbox.close(EngineError::Closed);
        assert_eq!(sizes(&inbox, 4), [5]);
        assert!(matches!(inbox.take(Duration::ZERO, 4), Taken::Closed));
        assert_eq!(inbox.put(request(1), 0).await, Err(EngineError::Closed));
        let one_too_large = Inbox::new(10);
        one_too_large.put(request(50), 0).await.unwrap();
        assert_eq!(sizes(&one_too_large, 1), [50]);
        one_too_large.put(request(10), 0).await.unwrap();
    }
}
