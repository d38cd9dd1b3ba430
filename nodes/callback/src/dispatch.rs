//! The loop of the node: takes records while there is room, starts attempts, keeps bad targets from good ones.
//!
//! Every client is one flow of `down.callback`; which flows are left out of a checkout is for `places` and `pace` to say.
//! Invariants: at most `max_in_flight` requests are under way, `max_per_target` of them to one target, half of them (or as its
//! policy says) for one client; a client has at most one checkout's records waiting for a place or for its rate, and nothing
//! more is taken for it then.

use crate::answer::Answer;
use crate::batch::Batches;
use crate::metric;
use crate::order::{OVERDUE, Order};
use crate::pace::Pace;
use crate::places::{Ask, Places, Ticket};
use crate::policy::{Policies, Policy, most};
use crate::request::{Target, message};
use crate::settle::{self, Settlement};
use crate::take::release;
use smsgw_config::{Config, ConfigHandle};
use smsgw_message::{Down, DownKind, MessageId, Record, names};
use smsgw_queue::{
    BoxFuture, Delivery, Engine, EngineError, Flow, Flows, Look, Place, QueueName, RecordId, ReleaseReason,
    Step, Want,
};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Clock, Strategy, Supervisor};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tracing::warn;

/// Records of one checkout.
const CHECKOUT: usize = 64;
/// How long a checkout waits before the loop looks around.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// Settlements on their way to the engine.
const SETTLEMENTS: usize = 512;
/// How often unused targets are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// How long an unused target is remembered, beyond twice the longest interval of probes.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Records of one page, where the queue is read through.
const PAGE: usize = 256;
/// Overdue events that are looked for in one sweep.
const LOST: usize = 64;

/// The callback node under supervision.
pub fn supervise(engine: Arc<dyn Engine>, config: ConfigHandle, clock: Arc<dyn Clock>) -> ChildSpec {
    let node = Supervisor::new("callback", Strategy::OneForOne).child(
        ChildSpec::task("dispatch", move |ctx| {
            run(ctx, Arc::clone(&engine), config.clone(), Arc::clone(&clock))
        })
        .kind("callback"),
    );
    ChildSpec::supervisor(node)
}

async fn run(
    ctx: ChildContext,
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
) -> Result<(), ChildError> {
    let (settlements, outcomes) = mpsc::channel(SETTLEMENTS);
    let mut settling = JoinSet::new();
    settling.spawn(settle::run(outcomes, Arc::clone(&engine)));
    ctx.shows("settlements", &settlements);
    metric::BREAKERS_OPEN.with(&[]).set(0);
    let policies = policies(&config, None).await?;
    let mut dispatcher = Dispatcher::new(ctx.clone(), engine, config, clock, settlements, policies);
    ctx.ready();
    let ran = tokio::select! {
        ran = dispatcher.run() => ran,
        // Ends before its sender is gone only when the engine takes nothing any more.
        Some(settled) = settling.join_next() => return settled?.map_err(fault),
    };
    drop(dispatcher);
    metric::IN_FLIGHT.with(&[]).set(0);
    if let Some(settled) = settling.join_next().await {
        settled?.map_err(fault)?;
    }
    ran.map_err(fault)
}

/// What holds for each client in the epoch in force: reads files, so not on a worker of the runtime.
async fn policies(config: &ConfigHandle, before: Option<Arc<Policies>>) -> Result<Arc<Policies>, ChildError> {
    let (snapshot, config) = (config.current(), config.clone());
    let made = tokio::task::spawn_blocking(move || Policies::of(&snapshot, &config, before.as_deref()));
    Ok(Arc::new(made.await?))
}

/// A poisoned engine must end the process; everything else may pass with a restart.
fn fault(error: EngineError) -> ChildError {
    match error {
        EngineError::Poisoned(_) => ChildError::fatal(error),
        EngineError::NoSpace | EngineError::Closed | EngineError::Read(_) => ChildError::from(error),
    }
}

/// An event under lease.
pub(crate) struct Item {
    pub(crate) delivery: Delivery,
    pub(crate) down: Down,
    /// As it is written, where it was written already.
    pub(crate) document: Option<Vec<u8>>,
    /// Nothing follows it.
    pub(crate) is_final: bool,
}

impl Item {
    /// Under what its place in the order is known; `None` when nothing can wait for it.
    pub(crate) fn ordered(&self) -> Option<(MessageId, RecordId)> {
        (!self.is_final).then(|| (message(&self.down), self.delivery.id()))
    }
}

/// An attempt that ended.
pub(crate) struct Done {
    pub(crate) items: Vec<Item>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) answer: Answer,
}

/// Events that may be posted in one request as soon as their target has room.
pub(crate) struct Job {
    pub(crate) items: Vec<Item>,
    pub(crate) target: Target,
    pub(crate) policy: Arc<Policy>,
}

impl Job {
    /// The name that breaker and limits go by: what another client does to the same host is not this one's fault.
    pub(crate) fn key(&self, flow: &Flow) -> String {
        format!("{} of {flow}", self.target.origin)
    }
}

/// What an attempt under way took: kept here, so that one that panics gives it back too.
pub(crate) struct Flight {
    pub(crate) ticket: Ticket,
    pub(crate) policy: Arc<Policy>,
    pub(crate) records: Vec<(MessageId, RecordId)>,
}

/// Where records wait for what became free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resume {
    /// At a target of this flow.
    Target(String, Flow),
    Flow(Flow),
}

/// A checkout under way and what it was asked for.
struct Asked {
    taking: BoxFuture<'static, Result<Vec<Delivery>, EngineError>>,
    max: usize,
    flows: Flows,
    gated: Option<Flow>,
}

pub(crate) struct Dispatcher {
    ctx: ChildContext,
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policies: Arc<Policies>,
    settlements: mpsc::Sender<Settlement>,
    queue: QueueName,
    pub(crate) pace: Pace<(Item, Target)>,
    pub(crate) order: Order,
    pub(crate) batches: Batches<(Item, Target)>,
    /// The number of the last request.
    pub(crate) unit: u64,
    pub(crate) places: Places<Job>,
    pub(crate) attempts: JoinSet<Done>,
    pub(crate) flights: HashMap<Id, Flight>,
    /// What has room and waiting records, while `max_in_flight` requests are under way.
    pub(crate) resume: VecDeque<Resume>,
    sweep_at: Instant,
}

impl Dispatcher {
    fn new(
        ctx: ChildContext,
        engine: Arc<dyn Engine>,
        config: ConfigHandle,
        clock: Arc<dyn Clock>,
        settlements: mpsc::Sender<Settlement>,
        policies: Arc<Policies>,
    ) -> Self {
        Self {
            sweep_at: clock.instant() + SWEEP,
            queue: QueueName::from(names::DOWN_CALLBACK),
            pace: Pace::new(),
            order: Order::default(),
            batches: Batches::new(),
            unit: 0,
            places: Places::new(),
            attempts: JoinSet::new(),
            flights: HashMap::new(),
            resume: VecDeque::new(),
            ctx,
            engine,
            config,
            clock,
            policies,
            settlements,
        }
    }

    async fn run(&mut self) -> Result<(), EngineError> {
        let ctx = self.ctx.clone();
        let in_flight = metric::IN_FLIGHT.with(&[]);
        self.remember().await?;
        let mut asked: Option<Asked> = None;
        while !ctx.is_draining() {
            in_flight.set(i64::try_from(self.attempts.len()).unwrap_or(i64::MAX));
            let snapshot = self.config.current();
            let config = Arc::clone(&snapshot.config);
            if snapshot.epoch != self.policies.epoch() {
                match policies(&self.config, Some(Arc::clone(&self.policies))).await {
                    Ok(policies) => self.policies = policies,
                    Err(error) => {
                        warn!(%error, "policies of callbacks could not be made anew; the old ones stay")
                    }
                }
            }
            self.sweep(&config).await?;
            self.tick(&config).await;
            // A checkout is kept until it answers, so that busy attempts cannot keep it from ever doing so; it is asked
            // anew only when a flow that it leaves out is open again, or when it might take more than there is room.
            let room = most(&config).saturating_sub(self.attempts.len());
            if asked
                .as_ref()
                .is_some_and(|asked| asked.max > room || self.any_open(&asked.flows))
            {
                asked = None;
            }
            if asked.is_none() && room > 0 {
                asked = Some(self.ask(room));
            }
            let wake = self.wake();
            tokio::select! {
                () = ctx.draining() => break,
                Some(ended) = self.attempts.join_next_with_id(), if !self.attempts.is_empty() => {
                    self.finish(ended, &config).await;
                    while let Some(ended) = self.attempts.try_join_next_with_id() {
                        self.finish(ended, &config).await;
                    }
                }
                taken = answer(&mut asked) => {
                    let gated = asked.take().and_then(|asked| asked.gated);
                    self.take(taken?, gated, &config).await;
                }
                () = tokio::time::sleep(wake.unwrap_or(LOOK_AROUND)), if wake.is_some() => {}
            }
        }
        drop(asked);
        self.drain().await;
        Ok(())
    }

    /// After how long somebody's rate or open unit wants to be looked at.
    fn wake(&self) -> Option<Duration> {
        let now = self.clock.instant();
        let next = [self.pace.next(now), self.batches.next()];
        let next = next.into_iter().flatten().min()?;
        // Timers are no finer than that, and a turn may be a little early for the clock that is asked.
        Some(next.saturating_duration_since(now).max(Duration::from_millis(1)))
    }

    /// What waits for its next attempt since before the start: later events of the same messages wait for it.
    async fn remember(&mut self) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            let look = Look::at(Place::Deferred, PAGE).behind(after);
            let page = self.engine.look(&self.queue, look).await?;
            let (now, at) = (self.clock.now(), self.clock.instant());
            for seen in &page.records {
                if let Ok(down) = Down::from_record(&seen.record)
                    && let DownKind::Report(report) = &down.what
                    && !report.state.is_final()
                {
                    let left = seen.due.map(|due| due.since(now)).unwrap_or_default();
                    self.order.deferred(report.message, seen.id, at + left, false);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// What was started is finished; what was not goes back as it came.
    async fn drain(&mut self) {
        let waiting = self.places.take_waiting().into_iter().flat_map(|job| job.items);
        let paced = self.pace.take_waiting().into_iter();
        let open = self.batches.take_all().into_iter();
        let back: Vec<Item> = waiting.chain(paced.chain(open).map(|(item, _)| item)).collect();
        for item in back {
            let step = release(&item.delivery, Duration::ZERO, ReleaseReason::Stopping);
            self.settle(step, item.delivery).await;
        }
        let ctx = self.ctx.clone();
        let config = self.config.config();
        while !self.attempts.is_empty() {
            tokio::select! {
                () = ctx.stopping() => {
                    warn!(under_way = self.attempts.len(), "callbacks cut off at the end of the drain; they are sent again");
                    return;
                }
                Some(ended) = self.attempts.join_next_with_id() => self.finish(ended, &config).await,
            }
        }
    }

    /// One record of a flow whose gate opens, else any of the flows that are open: a part of the room, so that one
    /// client that comes first does not fill it.
    fn ask(&mut self, room: usize) -> Asked {
        let now = self.clock.instant();
        let (max, wait, flows, gated) = match self.places.ask(now) {
            Ask::Gated(flow) => (1, Duration::ZERO, Flows::Only(flow.clone()), Some(flow)),
            Ask::Open { mut closed, until } => {
                closed.extend(self.pace.closed().cloned());
                let wait = until.map_or(LOOK_AROUND, |until| {
                    until.saturating_duration_since(now).min(LOOK_AROUND)
                });
                let flows = if closed.is_empty() {
                    Flows::All
                } else {
                    Flows::Except(closed)
                };
                (room.div_ceil(4).min(CHECKOUT), wait, flows, None)
            }
        };
        let want = Want::new(max, wait).flows(flows.clone());
        let (engine, queue) = (Arc::clone(&self.engine), self.queue.clone());
        Asked {
            taking: Box::pin(async move { engine.checkout(&queue, want).await }),
            max,
            flows,
            gated,
        }
    }

    /// Whether one of the flows that a checkout leaves out may be checked out again.
    fn any_open(&self, flows: &Flows) -> bool {
        match flows {
            Flows::All | Flows::Only(_) => false,
            Flows::Except(closed) => closed
                .iter()
                .any(|flow| self.places.is_open(flow) && !self.pace.is_waiting(flow)),
        }
    }

    /// Forgets what nobody needs any more.
    async fn sweep(&mut self, config: &Config) -> Result<(), EngineError> {
        let now = self.clock.instant();
        if now < self.sweep_at {
            return Ok(());
        }
        self.sweep_at = now + SWEEP;
        let unused = config
            .callback
            .breaker_probe_max
            .saturating_mul(2)
            .saturating_add(REMEMBERED);
        let open = self.places.forget(now, unused);
        metric::BREAKERS_OPEN
            .with(&[])
            .sub(i64::try_from(open).unwrap_or(i64::MAX));
        self.pace.forget(now, OVERDUE);
        // Somebody may have dropped, moved or held an event that others wait for.
        for (message, record) in self.order.overdue(now, LOST) {
            if self.is_there(record).await? {
                // Its turn to be looked for comes after that of the others.
                self.order.deferred(message, record, now, false);
            } else {
                self.order.done(message, record);
            }
        }
        Ok(())
    }

    async fn is_there(&self, record: RecordId) -> Result<bool, EngineError> {
        let before = record.as_u64().checked_sub(1).map(RecordId::from_u64);
        for place in [Place::Deferred, Place::Ready, Place::InFlight] {
            let look = Look::at(place, 1).behind(before);
            let page = self.engine.look(&self.queue, look).await?;
            if page.records.first().is_some_and(|seen| seen.id == record) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) async fn settle(&self, step: Step, delivery: Delivery) {
        let settlement = Settlement { step, delivery };
        tokio::select! {
            // The receiver ends first only when the engine takes nothing any more: then the record goes back at its
            // drop, as it does when the node must return while the engine does not answer.
            sent = self.settlements.send(settlement) => sent.map_err(drop).unwrap_or_default(),
            () = self.ctx.stopping() => {}
        }
    }
}

/// The answer of the checkout under way; never, when there is none.
async fn answer(asked: &mut Option<Asked>) -> Result<Vec<Delivery>, EngineError> {
    match asked {
        Some(asked) => asked.taking.as_mut().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::{Address, Class, ClientId, MessageState, Report, Timestamp};
    use smsgw_queue::{Lane, MemoryEngine, StepId};
    use smsgw_runtime::SystemClock;
    use tokio::sync::oneshot;

    fn down(n: u8) -> Down {
        Down {
            event: MessageId::from_bytes([n; 16]),
            client: ClientId::try_new("acme").unwrap(),
            url: Some("http://127.0.0.1:1/".to_owned()),
            at: Timestamp::from_millis(1),
            what: DownKind::Report(Report {
                message: MessageId::from_bytes([n; 16]),
                reference: None,
                from: None,
                to: Address::msisdn("491700000001").unwrap(),
                state: MessageState::Delivered,
                error: None,
                accepted_at: Timestamp::from_millis(1),
            }),
            for_bind: None,
        }
    }

    /// A dispatcher has a context, and only a supervisor makes one.
    async fn with_context<F, Fut>(test: F)
    where
        F: Fn(ChildContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (passed, has_passed) = oneshot::channel();
        let passed = std::sync::Mutex::new(Some(passed));
        let test = Arc::new(test);
        let passed = Arc::new(passed);
        let tree = Supervisor::new("t", Strategy::OneForOne)
            .child(ChildSpec::task("test", move |ctx| {
                let (test, passed) = (Arc::clone(&test), Arc::clone(&passed));
                async move {
                    ctx.ready();
                    test(ctx.clone()).await;
                    passed.lock().unwrap().take().unwrap().send(()).unwrap();
                    ctx.draining().await;
                    Ok(())
                }
            }))
            .spawn()
            .await;
        has_passed.await.expect("the test inside panicked");
        tree.stop().await;
    }

    #[tokio::test]
    async fn an_attempt_that_panics_gives_its_place_back_and_lets_the_next_one_go() {
        with_context(|ctx| async move {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let engine = MemoryEngine::new(Arc::clone(&clock));
            let mut config = Config::default();
            config.callback.max_per_target = 1;
            let config = ConfigHandle::new(config);
            let (settlements, _outcomes) = mpsc::channel(SETTLEMENTS);
            let queue = QueueName::from(names::DOWN_CALLBACK);
            for n in 0..2 {
                let lane = Lane::new(Class::Bulk, "acme");
                let step =
                    Step::new(StepId::from_bytes([n; 16])).publish(queue.clone(), lane, down(n).to_record());
                step.commit(engine.as_ref()).await.unwrap();
            }
            let policies = policies(&config, None).await.unwrap();
            let mut dispatcher =
                Dispatcher::new(ctx, engine.clone(), config.clone(), clock, settlements, policies);
            let taken = engine
                .checkout(&queue, Want::new(2, Duration::ZERO))
                .await
                .unwrap();
            dispatcher.take(taken, None, &config.config()).await;
            assert_eq!(dispatcher.flights.len(), 1, "the other one waits");
            // The real attempt gives way to one that panics in its place.
            let flight = dispatcher.flights.drain().next().unwrap().1;
            dispatcher.attempts.shutdown().await;
            let id = dispatcher
                .attempts
                .spawn(async { panic!("a fault of ours") })
                .id();
            dispatcher.flights.insert(id, flight);
            let ended = dispatcher.attempts.join_next_with_id().await.unwrap();
            dispatcher.finish(ended, &config.config()).await;
            assert_eq!(dispatcher.attempts.len(), 1, "the waiting record goes now");
            assert_eq!(dispatcher.flights.len(), 1);
            assert!(!dispatcher.places.has_waiting("http://127.0.0.1:1 of acme"));
            assert_eq!(
                engine.depth(&queue).at(Place::Ready),
                1,
                "the record of the panic is in the queue again"
            );
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_gone_is_found_behind_more_that_is_there_than_one_sweep_looks_for() {
        with_context(|ctx| async move {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let engine = MemoryEngine::new(Arc::clone(&clock));
            let config = ConfigHandle::new(Config::default());
            let (settlements, _outcomes) = mpsc::channel(SETTLEMENTS);
            let queue = QueueName::from(names::DOWN_CALLBACK);
            for n in 0..200 {
                let lane = Lane::new(Class::Bulk, "acme");
                let step =
                    Step::new(StepId::from_bytes([n; 16])).publish(queue.clone(), lane, down(n).to_record());
                step.commit(engine.as_ref()).await.unwrap();
            }
            let there = engine.look(&queue, Look::at(Place::Ready, PAGE)).await.unwrap();
            assert_eq!(there.records.len(), 200);
            let gone = (0..50).map(|n| RecordId::from_u64(1_000_000 + n));
            let records = there.records.iter().map(|seen| seen.id).chain(gone);
            let policies = policies(&config, None).await.unwrap();
            let mut dispatcher = Dispatcher::new(
                ctx,
                engine.clone(),
                config.clone(),
                Arc::clone(&clock),
                settlements,
                policies,
            );
            let long_ago = clock.instant().checked_sub(2 * OVERDUE).unwrap();
            for (n, record) in (0_u16..).zip(records) {
                let message = MessageId::from_parts(Timestamp::from_millis(i64::from(n)), [0; 10]);
                dispatcher.order.deferred(message, record, long_ago, false);
            }
            for _ in 0..250_usize.div_ceil(LOST) {
                dispatcher.sweep_at = clock.instant();
                dispatcher.sweep(&config.config()).await.unwrap();
            }
            let later = clock.instant() + 2 * OVERDUE;
            assert_eq!(dispatcher.order.overdue(later, 1_000).len(), 200);
        })
        .await;
    }
}
