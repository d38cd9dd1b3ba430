//! An engine in front of another one, with a mood: it delays, refuses, hangs, loses answers and panics.
//!
//! Two ways to make trouble. A [`Mood`] is what every call meets until it is changed: a test says exactly what happens.
//! [`Pranks`] are thrown by a seed for single calls: a randomized test says how much of what.
//!
//! Invariant MO-1: whatever is answered or thrown, the engine behind sees a call whole or not at all.

use crate::dice::{Dice, unwind};
use smsgw_queue::{
    Bounds, BoxFuture, CommitError, CommitErrorKind, Committed, DeadLetters, Delivery, Depth, Engine,
    EngineError, Entry, Health, Held, LogName, Look, Page, Position, QueueName, StateKey, Step, Versioned,
    Want,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How every call is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// Handed on.
    Calm,
    /// Commits wait so long before they are handed on.
    Delay(Duration),
    /// Commits wait until the mood changes, and then meet the new one.
    Held,
    /// Commits and reads of state are never answered, and nothing is handed on.
    Stuck,
    /// Commits and reads of state are refused.
    Refusing(EngineError),
}

/// What may happen to a single call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prank {
    /// Refused, not handed on.
    Refuse,
    /// Handed on after a while.
    Delay,
    /// Handed on, and answered as if it had failed.
    LoseAnswer,
    /// Handed on, and never answered.
    Swallow,
    /// Panics instead of being handed on.
    PanicBefore,
    /// Handed on, and panics with the answer in hand.
    PanicAfter,
}

impl Prank {
    const ALL: [Self; 6] = [
        Self::Refuse,
        Self::Delay,
        Self::LoseAnswer,
        Self::Swallow,
        Self::PanicBefore,
        Self::PanicAfter,
    ];
}

/// A call, as a filter sees it.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// Of these steps.
    Commit(&'a [Step]),
    /// From this queue.
    Checkout(&'a QueueName),
    /// Of this log.
    Read(&'a LogName),
    /// Of a reader of this log.
    Position(&'a LogName),
    /// Of these keys.
    Get(&'a [StateKey]),
}

type Filter = Box<dyn Fn(&Call<'_>) -> bool + Send + Sync>;

/// Chances out of 1000 for each prank, for the calls that the filter takes.
pub struct Pranks {
    seed: u64,
    chances: BTreeMap<Prank, u32>,
    at_most: usize,
    delay: Duration,
    only: Filter,
}

impl fmt::Debug for Pranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pranks")
            .field("seed", &self.seed)
            .field("chances", &self.chances)
            .field("at_most", &self.at_most)
            .finish_non_exhaustive()
    }
}

impl Pranks {
    /// None yet; all calls; without end.
    pub fn by(seed: u64) -> Self {
        Self {
            seed,
            chances: BTreeMap::new(),
            at_most: usize::MAX,
            delay: Duration::from_millis(50),
            only: Box::new(|_| true),
        }
    }

    /// This prank, with this chance out of 1000.
    #[must_use]
    pub fn with(mut self, prank: Prank, chance: u32) -> Self {
        self.chances.insert(prank, chance);
        self
    }

    /// So many in all, then calm.
    #[must_use]
    pub fn at_most(mut self, count: usize) -> Self {
        self.at_most = count;
        self
    }

    /// Only for these calls.
    #[must_use]
    pub fn only(mut self, filter: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.only = Box::new(filter);
        self
    }
}

struct Temper {
    pranks: Pranks,
    dice: Dice,
    played: BTreeMap<Prank, usize>,
}

/// The engine with a mood; remembers the steps it was given.
pub struct MoodyEngine {
    inner: Arc<dyn Engine>,
    mood: watch::Sender<Mood>,
    temper: Mutex<Temper>,
    batches: Mutex<Vec<Vec<Step>>>,
}

impl fmt::Debug for MoodyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MoodyEngine")
            .field("inner", &self.inner)
            .field("mood", &*self.mood.borrow())
            .finish_non_exhaustive()
    }
}

impl MoodyEngine {
    /// Calm, in front of an engine.
    pub fn over(inner: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            mood: watch::Sender::new(Mood::Calm),
            temper: Mutex::new(Temper {
                pranks: Pranks::by(0),
                dice: Dice::new(0, 0),
                played: BTreeMap::new(),
            }),
            batches: Mutex::default(),
        })
    }

    /// How calls are met from now on.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Plays pranks from now on, in place of those before.
    pub fn play(&self, pranks: Pranks) {
        let mut temper = self.temper();
        temper.dice = Dice::new(pranks.seed, pranks.at_most);
        temper.pranks = pranks;
    }

    /// No mood and no pranks any more.
    pub fn calm(&self) {
        self.play(Pranks::by(0));
        self.set(Mood::Calm);
    }

    /// How often a prank was played.
    pub fn played(&self, prank: Prank) -> usize {
        self.temper().played.get(&prank).copied().unwrap_or(0)
    }

    /// How many pranks were played that end a part.
    pub fn panics(&self) -> usize {
        self.played(Prank::PanicBefore) + self.played(Prank::PanicAfter)
    }

    /// Every step it was given to commit, in order.
    pub fn steps(&self) -> Vec<Step> {
        self.batches().iter().flatten().cloned().collect()
    }

    /// How many steps each commit had that was not held back, in order.
    pub fn batch_sizes(&self) -> Vec<usize> {
        self.batches().iter().map(Vec::len).collect()
    }

    fn temper(&self) -> MutexGuard<'_, Temper> {
        self.temper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batches(&self) -> MutexGuard<'_, Vec<Vec<Step>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throw(&self, call: &Call<'_>) -> Option<Prank> {
        let mut temper = self.temper();
        if !(temper.pranks.only)(call) {
            return None;
        }
        let chances = Prank::ALL.map(|prank| temper.pranks.chances.get(&prank).copied().unwrap_or(0));
        let prank = temper
            .dice
            .throw(&chances)
            .and_then(|at| Prank::ALL.get(at).copied())?;
        *temper.played.entry(prank).or_default() += 1;
        Some(prank)
    }

    /// Hands a call on, with the prank that was thrown for it.
    async fn meet<T>(
        &self,
        prank: Option<Prank>,
        handed_on: BoxFuture<'_, T>,
        failed: impl FnOnce() -> T,
    ) -> T {
        let Some(prank) = prank else {
            return handed_on.await;
        };
        match prank {
            Prank::Refuse => failed(),
            Prank::Delay => {
                let delay = self.temper().pranks.delay;
                tokio::time::sleep(delay).await;
                handed_on.await
            }
            Prank::LoseAnswer => {
                drop(handed_on.await);
                failed()
            }
            Prank::Swallow => {
                drop(handed_on.await);
                std::future::pending().await
            }
            Prank::PanicBefore => unwind("the engine panicked before the call"),
            Prank::PanicAfter => {
                drop(handed_on.await);
                unwind("the engine panicked after the call")
            }
        }
    }
}

fn refused(steps: &[Step], error: &EngineError) -> Vec<Result<Committed, CommitError>> {
    let refused = |step: &Step| {
        Err(CommitError {
            step: step.id(),
            kind: CommitErrorKind::Engine(error.clone()),
        })
    };
    steps.iter().map(refused).collect()
}

/// What a prank answers: a fault that may pass.
fn prank() -> EngineError {
    EngineError::Read("a prank".to_owned())
}

impl Engine for MoodyEngine {
    fn commit(&self, steps: Vec<Step>) -> BoxFuture<'_, Vec<Result<Committed, CommitError>>> {
        Box::pin(async move {
            let mut mood = self.mood.subscribe();
            let mood = match mood.wait_for(|mood| *mood != Mood::Held).await {
                Ok(mood) => mood.clone(),
                Err(_) => unreachable!("the sender is a field of the engine that is called"),
            };
            self.batches().push(steps.clone());
            match mood {
                Mood::Calm | Mood::Held => {}
                Mood::Delay(wait) => tokio::time::sleep(wait).await,
                Mood::Stuck => std::future::pending().await,
                Mood::Refusing(error) => return refused(&steps, &error),
            }
            let thrown = self.throw(&Call::Commit(&steps));
            let failed = refused(&steps, &prank());
            self.meet(thrown, self.inner.commit(steps), || failed).await
        })
    }

    fn checkout(&self, queue: &QueueName, want: Want) -> BoxFuture<'_, Result<Vec<Delivery>, EngineError>> {
        let thrown = self.throw(&Call::Checkout(queue));
        let handed_on = self.inner.checkout(queue, want);
        Box::pin(self.meet(thrown, handed_on, || Err(prank())))
    }

    fn read(
        &self,
        log: &LogName,
        from: Position,
        max: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Entry>, EngineError>> {
        let thrown = self.throw(&Call::Read(log));
        let handed_on = self.inner.read(log, from, max, wait);
        Box::pin(self.meet(thrown, handed_on, || Err(prank())))
    }

    fn position(&self, log: &LogName, reader: &'static str) -> BoxFuture<'_, Result<Position, EngineError>> {
        let thrown = self.throw(&Call::Position(log));
        let handed_on = self.inner.position(log, reader);
        Box::pin(self.meet(thrown, handed_on, || Err(prank())))
    }

    fn get(&self, keys: Vec<StateKey>) -> BoxFuture<'_, Result<Vec<Option<Versioned>>, EngineError>> {
        Box::pin(async move {
            let mood = self.mood.borrow().clone();
            match mood {
                Mood::Calm | Mood::Held | Mood::Delay(_) => {}
                Mood::Stuck => std::future::pending().await,
                Mood::Refusing(error) => return Err(error),
            }
            let thrown = self.throw(&Call::Get(&keys));
            self.meet(thrown, self.inner.get(keys), || Err(prank())).await
        })
    }

    fn depth(&self, queue: &QueueName) -> Depth {
        self.inner.depth(queue)
    }

    fn queues(&self) -> Vec<(QueueName, Depth)> {
        self.inner.queues()
    }

    fn look(&self, queue: &QueueName, look: Look) -> BoxFuture<'_, Result<Page, EngineError>> {
        self.inner.look(queue, look)
    }

    fn dead_letters(&self, queue: &QueueName) -> Vec<DeadLetters> {
        self.inner.dead_letters(queue)
    }

    fn holds(&self, queue: &QueueName) -> Vec<Held> {
        self.inner.holds(queue)
    }

    fn log_end(&self, log: &LogName) -> Position {
        self.inner.log_end(log)
    }

    fn set_bounds(&self, bounds: Bounds) {
        self.inner.set_bounds(bounds);
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn refresh_metrics(&self) {
        self.inner.refresh_metrics();
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests;
