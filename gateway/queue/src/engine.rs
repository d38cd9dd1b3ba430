//! The trait that every engine implements and every node holds.

use crate::bound::Bounds;
use crate::delivery::{Delivery, Depth, Entry, Place, Position, RecordId, Versioned};
use crate::error::{CommitError, EngineError};
use crate::look::{Browsed, DeadLetters, Held, Look, Page};
use crate::name::{Flow, LogName, QueueName, StateKey};
use crate::step::Step;
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future behind a pointer: engines are called per batch, so one allocation a call is cheap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A step went through and is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Version of every key this step wrote.
    pub version: u64,
    /// What each counter was after its [`Op::Add`](crate::Op::Add), in the order of these changes. For an add that was not
    /// done again: what the counter is now.
    pub sums: Vec<i64>,
}

/// Which flows a checkout takes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Flows {
    /// Every flow in its turn.
    #[default]
    All,
    /// This one.
    Only(Flow),
    /// All but these (a target with an open breaker).
    Except(BTreeSet<Flow>),
}

/// What a checkout asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// At most this many records.
    pub max: usize,
    /// How long to wait for the first one; the answer is empty when none came.
    pub wait: Duration,
    /// At most so many octets of records; one record is always given.
    pub max_octets: u64,
    /// From which flows.
    pub flows: Flows,
}

impl Want {
    /// Up to `max` records of any flow.
    pub fn new(max: usize, wait: Duration) -> Self {
        Self {
            max,
            wait,
            max_octets: u64::MAX,
            flows: Flows::All,
        }
    }

    /// From these flows.
    #[must_use]
    pub fn flows(self, flows: Flows) -> Self {
        Self { flows, ..self }
    }

    /// At most so many octets; one record is always given.
    #[must_use]
    pub fn octets(self, max_octets: u64) -> Self {
        Self { max_octets, ..self }
    }
}

/// How an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Takes everything.
    Ready,
    /// Takes only steps that make room.
    LowSpace,
    /// Takes nothing; the process must end and recover. With the cause.
    Poisoned(String),
    /// Closed.
    Closed,
}

/// Durable queues, logs and state. Cheap to share; every method may be called from any task.
///
/// Cancelling: a dropped `checkout` future loses nothing (what it had leased goes back); a dropped `commit` future
/// leaves it open whether the steps went through.
pub trait Engine: Send + Sync + fmt::Debug {
    /// Commits steps, each all or nothing; returns when all that went through are durable, with one answer for each
    /// step in their order. Steps of one call may be written together; a failed one never fails its neighbours. Steps
    /// of one call see each other's changes in order.
    fn commit(&self, steps: Vec<Step>) -> BoxFuture<'_, Vec<Result<Committed, CommitError>>>;

    /// Leases records: classes by weight, flows within a class in turn, records of a flow in order. Waits up to
    /// `want.wait` for the first. Nothing comes from what is held ([`Op::HoldAll`](crate::Op::HoldAll)).
    ///
    /// Turns: a class gets its weight (otp 16, transactional 4, bulk 1) in every 21 records of a backlog; while records of
    /// other classes come and go it may wait for one round more. Flows of a class that have records get as many turns as
    /// each other, give or take one. Turns go on from one checkout to the next, and begin anew when the engine is opened.
    ///
    /// A record that cannot be read back from the disk is set aside as corrupt ([`DeadReason::Unreadable`]
    /// (crate::DeadReason::Unreadable)) and its neighbours are handed out.
    fn checkout(&self, queue: &QueueName, want: Want) -> BoxFuture<'_, Result<Vec<Delivery>, EngineError>>;

    /// Entries of a log from a position on, at most `max`. Entries before the log's oldest are skipped. Waits up to
    /// `wait` for the first.
    fn read(
        &self,
        log: &LogName,
        from: Position,
        max: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Entry>, EngineError>>;

    /// Where a reader of a log is: after what it last advanced over, or at the start.
    fn position(&self, log: &LogName, reader: &'static str) -> BoxFuture<'_, Result<Position, EngineError>>;

    /// Values of keys, in the order asked. Expired ones are absent.
    fn get(&self, keys: Vec<StateKey>) -> BoxFuture<'_, Result<Vec<Option<Versioned>>, EngineError>>;

    /// How many records of a queue are where. All zero for a queue that never had one.
    fn depth(&self, queue: &QueueName) -> Depth;

    /// Every queue that has records or is held, with its depth.
    fn queues(&self) -> Vec<(QueueName, Depth)>;

    /// A page of records, oldest first. Takes as long as the page is, not as the queue is.
    fn look(&self, queue: &QueueName, look: Look) -> BoxFuture<'_, Result<Page, EngineError>>;

    /// Records of one place, oldest first, behind `after`: [`Engine::look`] for every flow.
    fn browse(
        &self,
        queue: &QueueName,
        place: Place,
        after: Option<RecordId>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Browsed>, EngineError>> {
        let page = self.look(queue, Look::at(place, max).behind(after));
        Box::pin(async move { Ok(page.await?.records) })
    }

    /// Dead letters and corrupt records of a queue by reason; reasons without any are left out.
    fn dead_letters(&self, queue: &QueueName) -> Vec<DeadLetters>;

    /// What is held of a queue, by a person or by order of one; the queue as a whole first.
    fn holds(&self, queue: &QueueName) -> Vec<Held>;

    /// Where a log ends: the position of its next entry. A reader that stands there has read everything.
    fn log_end(&self, log: &LogName) -> Position;

    /// How much is taken in. Dead letters above their new bound go at once, oldest first; nothing else is deleted.
    fn set_bounds(&self, bounds: Bounds);

    /// How much is taken in, as it is set now.
    fn bounds(&self) -> Bounds;

    /// How the engine is.
    fn health(&self) -> Health;

    /// Sets the gauges that cost too much to keep up to date. Called before metrics are shown.
    fn refresh_metrics(&self) {}

    /// Stops taking steps, makes what was taken durable, gives the directory back.
    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>>;
}
