//! The loop of the node: takes records while there is room, starts attempts, keeps bad targets from good ones.
//!
//! Every client is one flow of `down.callback`; which flows are left out of a checkout is for `places` to say.
//! Invariants: at most `max_in_flight` requests are under way, `max_per_target` of them to one target, half of them for
//! one client; a client has at most one checkout's records waiting for a place, and nothing more is taken for it then.

use crate::attempt::{Outcome, Poster, Target};
use crate::breaker::BreakerPolicy;
use crate::metric;
use crate::places::{Ask, Begin, Limits, Places, Ticket, Turned};
use crate::settle::{self, Settlement, after_attempt, give_up};
use smsgw_config::{CallbackSection, Config, ConfigHandle};
use smsgw_message::{Down, Record, Timestamp, names};
use smsgw_queue::{
    BoxFuture, Cost, DeadReason, Delivery, Engine, EngineError, Flow, Flows, QueueName, ReleaseReason, Step,
    Want,
};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Clock, Strategy, Supervisor};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, info, warn};

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
    ctx.ready();
    metric::BREAKERS_OPEN.with(&[]).set(0);
    let mut dispatcher = Dispatcher {
        sweep_at: clock.instant() + SWEEP,
        poster: Poster::new(config.clone()),
        queue: QueueName::from(names::DOWN_CALLBACK),
        places: Places::new(),
        attempts: JoinSet::new(),
        tickets: HashMap::new(),
        resume: VecDeque::new(),
        ctx: ctx.clone(),
        engine,
        config,
        clock,
        settlements,
    };
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

/// A poisoned engine must end the process; everything else may pass with a restart.
fn fault(error: EngineError) -> ChildError {
    match error {
        EngineError::Poisoned(_) => ChildError::fatal(error),
        EngineError::NoSpace | EngineError::Closed | EngineError::Read(_) => ChildError::from(error),
    }
}

/// An attempt that ended.
struct Done {
    delivery: Delivery,
    down: Down,
    outcome: Outcome,
}

/// A record that may be posted as soon as its target has room.
struct Job {
    delivery: Delivery,
    down: Down,
    target: Target,
}

/// A checkout under way and what it was asked for.
struct Asked {
    taking: BoxFuture<'static, Result<Vec<Delivery>, EngineError>>,
    max: usize,
    flows: Flows,
    gated: Option<Flow>,
}

struct Dispatcher {
    ctx: ChildContext,
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
    poster: Poster,
    settlements: mpsc::Sender<Settlement>,
    queue: QueueName,
    places: Places<Job>,
    attempts: JoinSet<Done>,
    /// What each attempt under way took: kept here, so that one that panics gives it back too.
    tickets: HashMap<Id, Ticket>,
    /// Targets with room and waiting records, while `max_in_flight` requests are under way.
    resume: VecDeque<String>,
    sweep_at: Instant,
}

impl Dispatcher {
    async fn run(&mut self) -> Result<(), EngineError> {
        let ctx = self.ctx.clone();
        let in_flight = metric::IN_FLIGHT.with(&[]);
        let mut asked: Option<Asked> = None;
        while !ctx.is_draining() {
            in_flight.set(i64::try_from(self.attempts.len()).unwrap_or(i64::MAX));
            let config = self.config.config();
            self.sweep(&config);
            // A checkout is kept until it answers, so that busy attempts cannot keep it from ever doing so; it is asked
            // anew only when a flow that it leaves out is open again, or when it might take more than there is room.
            let limits = limits(&config.callback);
            let room = most(&config.callback).saturating_sub(self.attempts.len());
            if asked
                .as_ref()
                .is_some_and(|asked| asked.max > room || self.places.any_open(&asked.flows, limits))
            {
                asked = None;
            }
            if asked.is_none() && room > 0 {
                asked = Some(self.ask(room, limits));
            }
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
            }
        }
        drop(asked);
        self.drain().await;
        Ok(())
    }

    /// What was started is finished; what was not goes back as it came.
    async fn drain(&mut self) {
        for job in self.places.take_waiting() {
            let step = release(&job.delivery, Duration::ZERO, ReleaseReason::Stopping);
            self.settle(step, job.delivery).await;
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
    fn ask(&mut self, room: usize, limits: Limits) -> Asked {
        let now = self.clock.instant();
        let (max, wait, flows, gated) = match self.places.ask(now, limits) {
            Ask::Gated(flow) => (1, Duration::ZERO, Flows::Only(flow.clone()), Some(flow)),
            Ask::Open { closed, until } => {
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

    async fn take(&mut self, deliveries: Vec<Delivery>, gated: Option<Flow>, config: &Config) {
        if let Some(flow) = gated {
            // Its record, if there is one, sets the gate anew or proves that there is no need of it.
            self.places.opened(&flow);
        }
        for delivery in deliveries {
            let down = match Down::from_record(delivery.record()) {
                Ok(down) => down,
                Err(error) => {
                    error!(%error, record = delivery.id().as_u64(), "record of down.callback cannot be decoded");
                    metric::GIVEN_UP_TOTAL
                        .with(&[delivery.lane().flow.as_str(), DeadReason::Corrupt.as_str()])
                        .inc();
                    let step = Step::from(&delivery).dead_letter(&delivery, DeadReason::Corrupt);
                    self.settle(step, delivery).await;
                    continue;
                }
            };
            let Some(target) = down.url.as_deref().and_then(Target::from_url) else {
                let step = give_up(&delivery, &down, DeadReason::NoOwner, self.clock.now());
                self.settle(step, delivery).await;
                continue;
            };
            let (origin, flow) = (target.origin.clone(), delivery.lane().flow.clone());
            let job = Job {
                delivery,
                down,
                target,
            };
            let now = self.clock.instant();
            let begun = self
                .places
                .begin(now, &origin, &flow, job, limits(&config.callback));
            self.go_on(begun, flow, &config.callback).await;
        }
    }

    /// Starts the attempt, or gives the record back until the breaker's probe.
    async fn go_on(&mut self, begun: Begin<Job>, flow: Flow, policy: &CallbackSection) {
        match begun {
            Begin::Start { job, probe } => {
                let ticket = Ticket {
                    origin: job.target.origin.clone(),
                    flow,
                    probe,
                };
                let attempt = attempt(self.poster.clone(), job, policy.timeout);
                self.tickets.insert(self.attempts.spawn(attempt).id(), ticket);
            }
            Begin::Waits => {}
            Begin::NotBefore(job, until) => {
                let (now, at) = (self.clock.now(), self.clock.instant());
                // Behind an open breaker only probes go, so age alone must end the wait of the others.
                let step = if is_too_old(&job.delivery, now, policy) {
                    self.places.opened(&flow);
                    give_up(&job.delivery, &job.down, DeadReason::AttemptsExhausted, now)
                } else {
                    release(
                        &job.delivery,
                        until.saturating_duration_since(at),
                        ReleaseReason::BreakerOpen,
                    )
                };
                self.settle(step, job.delivery).await;
            }
        }
    }

    async fn finish(&mut self, ended: Result<(Id, Done), JoinError>, config: &Config) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Some(done)),
            Err(error) => {
                // Its delivery went back when the task unwound.
                error!(%error, "attempt at a callback panicked; the callback is sent again");
                (error.id(), None)
            }
        };
        let Some(ticket) = self.tickets.remove(&id) else {
            error!("an attempt ended that nobody started; its record goes back");
            return;
        };
        let outcome = done.as_ref().map_or(Outcome::Panicked, |done| done.outcome);
        metric::ATTEMPTS_TOTAL
            .with(&[ticket.flow.as_str(), outcome.as_str()])
            .inc();
        let policy = &config.callback;
        let breaker = BreakerPolicy {
            failures: policy.breaker_failures,
            probe: policy.breaker_probe,
            probe_max: policy.breaker_probe_max,
        };
        let answered = match outcome {
            Outcome::Delivered => true,
            Outcome::Status(_)
            | Outcome::Timeout
            | Outcome::Connect
            | Outcome::Blocked
            | Outcome::Panicked => false,
        };
        match self.places.end(self.clock.instant(), &ticket, answered, &breaker) {
            Turned::Opened => {
                warn!(target = %ticket.origin, client = %ticket.flow, outcome = outcome.as_str(), "callback breaker opened");
                metric::BREAKERS_OPEN.with(&[]).inc();
            }
            Turned::Closed => {
                info!(target = %ticket.origin, client = %ticket.flow, "callback breaker closed: the target answers again");
                metric::BREAKERS_OPEN.with(&[]).dec();
            }
            Turned::Unchanged => {}
        }
        if let Some(Done {
            delivery,
            down,
            outcome,
        }) = done
        {
            if !answered && is_too_old(&delivery, self.clock.now(), policy) {
                // Those behind it may be too old as well, and no probe is needed to give them up.
                self.places.opened(&ticket.flow);
            }
            let retention = config.limits.message_retention;
            let step = after_attempt(&delivery, &down, outcome, self.clock.now(), policy, retention);
            self.settle(step, delivery).await;
        }
        if self.places.has_waiting(&ticket.origin) && !self.resume.contains(&ticket.origin) {
            self.resume.push_back(ticket.origin);
        }
        self.resume_waiting(policy).await;
    }

    /// Gives places that are free to the records that wait for them, while there is room for requests at all.
    async fn resume_waiting(&mut self, policy: &CallbackSection) {
        while self.attempts.len() < most(policy)
            && let Some(origin) = self.resume.front().cloned()
        {
            match self.places.next(self.clock.instant(), &origin, limits(policy)) {
                Some((begun, flow)) => self.go_on(begun, flow, policy).await,
                None => {
                    self.resume.pop_front();
                }
            }
        }
    }

    fn sweep(&mut self, config: &Config) {
        let now = self.clock.instant();
        if now < self.sweep_at {
            return;
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
    }

    async fn settle(&self, step: Step, delivery: Delivery) {
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

async fn attempt(poster: Poster, job: Job, within: Duration) -> Done {
    let Job {
        delivery,
        down,
        target,
    } = job;
    let timer = metric::ATTEMPT_SECONDS.with(&[]).start_timer();
    let body = smsgw_message::document::render(&down);
    let event = down.event.to_string();
    let outcome = poster
        .post(&target, &event, delivery.attempt(), body, within)
        .await;
    timer.observe_duration();
    Done {
        delivery,
        down,
        outcome,
    }
}

/// Back to the queue, at nobody's cost.
fn release(delivery: &Delivery, after: Duration, reason: ReleaseReason) -> Step {
    Step::from(delivery).release(delivery, after, reason, Cost::Free)
}

fn is_too_old(delivery: &Delivery, now: Timestamp, policy: &CallbackSection) -> bool {
    now.since(delivery.published_at()) >= policy.give_up
}

fn most(policy: &CallbackSection) -> usize {
    usize::try_from(policy.max_in_flight).unwrap_or(usize::MAX)
}

fn limits(policy: &CallbackSection) -> Limits {
    Limits {
        per_target: usize::try_from(policy.max_per_target).unwrap_or(usize::MAX),
        per_flow: most(policy).div_ceil(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::{Address, Class, ClientId, DownKind, MessageId, MessageState, Report};
    use smsgw_queue::{Lane, MemoryEngine, Place, StepId};
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
            let mut dispatcher = Dispatcher {
                sweep_at: clock.instant() + SWEEP,
                poster: Poster::new(config.clone()),
                queue: queue.clone(),
                places: Places::new(),
                attempts: JoinSet::new(),
                tickets: HashMap::new(),
                resume: VecDeque::new(),
                ctx,
                engine: engine.clone(),
                config: config.clone(),
                clock,
                settlements,
            };
            let taken = engine
                .checkout(&queue, Want::new(2, Duration::ZERO))
                .await
                .unwrap();
            dispatcher.take(taken, None, &config.config()).await;
            assert_eq!(dispatcher.tickets.len(), 1, "the other one waits");
            // The real attempt gives way to one that panics under its ticket.
            let ticket = dispatcher.tickets.drain().next().unwrap().1;
            dispatcher.attempts.shutdown().await;
            let id = dispatcher
                .attempts
                .spawn(async { panic!("a fault of ours") })
                .id();
            dispatcher.tickets.insert(id, ticket);
            let ended = dispatcher.attempts.join_next_with_id().await.unwrap();
            dispatcher.finish(ended, &config.config()).await;
            assert_eq!(dispatcher.attempts.len(), 1, "the waiting record goes now");
            assert_eq!(dispatcher.tickets.len(), 1);
            assert!(!dispatcher.places.has_waiting("http://127.0.0.1:1"));
            assert_eq!(
                engine.depth(&queue).at(Place::Ready),
                1,
                "the record of the panic is in the queue again"
            );
        })
        .await;
    }
}
