//! Takes what waits for clients and hands it to their binds; leaves those alone who are away.
//!
//! Every client is one flow of `down.smpp`. A flow is *closed*, and left out of checkouts, while records of it wait here for
//! room in a window, or while its client has no bind that receives (which is learned from the first record that comes: that
//! goes back, and the flow is closed until a bind comes). Invariants:
//! - DI-1: at most one checkout's records of a client wait in memory; a client that is slow or away holds up nobody.
//! - DI-2: what is older than `waiting_expiry`, or above `waiting_max`, of a client that is away becomes a dead letter, oldest
//!   first.
//!
//! # Limits
//! Age and number of what waits for clients that are away are looked at once a minute.

use super::Job;
use super::outcome::{give_up, is_too_old};
use crate::smpp::Server;
use crate::smpp::outbind::Outbinds;
use smsgw_config::{Client, Config};
use smsgw_message::{ClientId, Down, Record, names};
use smsgw_queue::{
    BoxFuture, CommitErrorKind, Cost, DeadReason, Delivery, EngineError, Flow, Flows, Look, Place, QueueName,
    ReleaseReason, Step, Want,
};
use smsgw_runtime::{ChildContext, ChildError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{error, warn};

/// Records of one checkout.
const CHECKOUT: usize = 64;
/// How long a checkout waits before the loop looks around.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// How often what waits for clients that are away is looked at.
const SWEEP: Duration = Duration::from_secs(60);
/// How soon after a client was found to be away, at a start say, they are looked at first.
const FIRST_SWEEP: Duration = Duration::from_secs(1);
/// Records of one step back to the queue or to the dead letters.
const BATCH: usize = 256;

/// What is known of a client for which something waits.
#[derive(Debug, Default)]
struct FlowState {
    /// Checked out, and no window has room.
    waiting: VecDeque<Job>,
    /// No bind of it receives.
    away: bool,
}

type Taking = BoxFuture<'static, Result<Vec<Delivery>, EngineError>>;

/// A checkout under way and the flows it leaves out.
struct Asked {
    taking: Taking,
    closed: BTreeSet<Flow>,
}

struct Dispatcher {
    server: Arc<Server>,
    outbinds: Outbinds,
    queue: QueueName,
    flows: BTreeMap<Flow, FlowState>,
    sweep_at: Instant,
}

/// The task.
pub(in crate::smpp) async fn run(ctx: ChildContext, server: Arc<Server>) -> Result<(), ChildError> {
    ctx.ready();
    let mut dispatcher = Dispatcher {
        outbinds: Outbinds::new(Arc::clone(&server)),
        queue: QueueName::from(names::DOWN_SMPP),
        flows: BTreeMap::new(),
        sweep_at: server.shared.clock.instant(),
        server,
    };
    let mut asked: Option<Asked> = None;
    let ran = loop {
        dispatcher.hand_out();
        if asked
            .as_ref()
            .is_some_and(|asked| dispatcher.is_any_open(&asked.closed))
        {
            asked = None;
        }
        let asking = asked.get_or_insert_with(|| dispatcher.ask());
        let changed = dispatcher.server.binds.changed.notified();
        tokio::select! {
            () = ctx.draining() => break Ok(()),
            () = changed => {}
            taken = asking.taking.as_mut() => {
                asked = None;
                let done = match taken {
                    Ok(taken) => dispatcher.take(taken).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = done { break Err(error) }
            }
        }
        let now = dispatcher.server.shared.clock.instant();
        if now >= dispatcher.sweep_at {
            dispatcher.sweep_at = now + SWEEP;
            if let Err(error) = dispatcher.sweep().await {
                break Err(error);
            }
        }
    };
    drop(asked);
    // What waits goes back with its lease.
    ran.map_err(|error| match error {
        EngineError::Poisoned(_) => ChildError::fatal(error),
        EngineError::NoSpace | EngineError::Closed | EngineError::Read(_) => ChildError::from(error),
    })
}

impl Dispatcher {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.server.shared.tables.current().snapshot.config)
    }

    fn ask(&mut self) -> Asked {
        self.flows
            .retain(|_, state| state.away || !state.waiting.is_empty());
        let closed: BTreeSet<Flow> = self.flows.keys().cloned().collect();
        let flows = if closed.is_empty() {
            Flows::All
        } else {
            Flows::Except(closed.clone())
        };
        Asked {
            taking: self.checkout(CHECKOUT, LOOK_AROUND, flows),
            closed,
        }
    }

    fn checkout(&self, max: usize, wait: Duration, flows: Flows) -> Taking {
        let (engine, queue) = (Arc::clone(&self.server.shared.engine), self.queue.clone());
        Box::pin(async move { engine.checkout(&queue, Want::new(max, wait).flows(flows)).await })
    }

    fn is_any_open(&self, closed: &BTreeSet<Flow>) -> bool {
        closed.iter().any(|flow| !self.flows.contains_key(flow))
    }

    /// Gives windows that have room again what waits for them, and opens the flows of clients that are back.
    fn hand_out(&mut self) {
        let binds = &self.server.binds;
        self.flows.retain(|flow, state| {
            let Ok(client) = ClientId::try_new(flow.as_str()) else {
                return false;
            };
            while let Some(job) = state.waiting.pop_front() {
                let preferred = job.down.for_bind.as_ref().and_then(|more| more.bind);
                if let Err(job) = binds.hand_out(&client, preferred, job) {
                    state.waiting.push_front(job);
                    break;
                }
            }
            if !binds.receives(&client) {
                // Its last bind went while something waited: that goes back with its lease.
                state.away = state.away || !state.waiting.is_empty();
                state.waiting.clear();
            } else {
                state.away = false;
            }
            state.away || !state.waiting.is_empty()
        });
    }

    async fn take(&mut self, deliveries: Vec<Delivery>) -> Result<(), EngineError> {
        let config = self.config();
        let now = self.server.shared.clock.now();
        let mut steps = Steps::default();
        for delivery in deliveries {
            let down = match Down::from_record(delivery.record()) {
                Ok(down) => down,
                Err(error) => {
                    error!(%error, record = delivery.id().as_u64(), "record of down.smpp cannot be decoded");
                    steps.push(
                        Step::from(&delivery).dead_letter(&delivery, DeadReason::Corrupt),
                        delivery,
                    );
                    continue;
                }
            };
            let Some(account) = account(&config, &down.client) else {
                steps.push(give_up(&delivery, &down, DeadReason::NoOwner, now), delivery);
                continue;
            };
            if is_too_old(&delivery, now, account.smpp.waiting_expiry) {
                steps.push(
                    give_up(&delivery, &down, DeadReason::AttemptsExhausted, now),
                    delivery,
                );
                continue;
            }
            let client = down.client.clone();
            let flow = delivery.lane().flow.clone();
            if !self.server.binds.receives(&client) {
                steps.push(back(&delivery), delivery);
                self.flows.entry(flow).or_default().away = true;
                let soon = self.server.shared.clock.instant() + FIRST_SWEEP;
                self.sweep_at = self.sweep_at.min(soon);
                self.outbinds.call(&client, account);
                continue;
            }
            let preferred = down.for_bind.as_ref().and_then(|more| more.bind);
            let state = self.flows.get_mut(&flow);
            let job = Job::new(delivery, down);
            match state {
                // In its order: behind those that wait.
                Some(state) if !state.waiting.is_empty() => state.waiting.push_back(job),
                Some(_) | None => {
                    if let Err(job) = self.server.binds.hand_out(&client, preferred, job) {
                        self.flows.entry(flow).or_default().waiting.push_back(job);
                    }
                }
            }
        }
        self.commit(steps).await
    }

    /// Ends the wait of what is too old or too much for clients that are away.
    async fn sweep(&mut self) -> Result<(), EngineError> {
        let config = self.config();
        let away: Vec<Flow> = self
            .flows
            .iter()
            .filter(|(_, state)| state.away)
            .map(|(flow, _)| flow.clone())
            .collect();
        for flow in away {
            let Ok(client) = ClientId::try_new(flow.as_str()) else {
                continue;
            };
            let Some(account) = account(&config, &client) else {
                // Its records are to be looked at by `take`.
                self.flows.remove(&flow);
                continue;
            };
            self.outbinds.call(&client, account);
            let surplus = self.surplus(&flow, account).await?;
            self.thin_out(&flow, account, surplus).await?;
        }
        Ok(())
    }

    /// How many records of a flow are above its bound. Counted only when the whole queue is.
    async fn surplus(&self, flow: &Flow, account: &Client) -> Result<u64, EngineError> {
        let engine = &self.server.shared.engine;
        let most = account.smpp.waiting_max;
        if engine.depth(&self.queue).ready <= most {
            return Ok(0);
        }
        let mut count = 0_u64;
        let mut after = None;
        loop {
            let look = Look::at(Place::Ready, 1000).of(flow.clone()).behind(after);
            let page = engine.look(&self.queue, look).await?;
            count = count.saturating_add(u64::try_from(page.records.len()).unwrap_or(u64::MAX));
            after = page.next;
            if after.is_none() {
                return Ok(count.saturating_sub(most));
            }
        }
    }

    /// Makes dead letters of the oldest: so many, and those that are too old.
    async fn thin_out(&self, flow: &Flow, account: &Client, mut surplus: u64) -> Result<(), EngineError> {
        let now = self.server.shared.clock.now();
        loop {
            let max = usize::try_from(surplus).unwrap_or(usize::MAX).clamp(1, BATCH);
            if surplus == 0 && !self.oldest_is_too_old(flow, account).await? {
                return Ok(());
            }
            let taken = self
                .checkout(max, Duration::ZERO, Flows::Only(flow.clone()))
                .await?;
            if taken.is_empty() {
                return Ok(());
            }
            let mut steps = Steps::default();
            for delivery in taken {
                let down = Down::from_record(delivery.record());
                let ends = surplus > 0 || is_too_old(&delivery, now, account.smpp.waiting_expiry);
                surplus = surplus.saturating_sub(1);
                let step = match down {
                    Ok(down) if ends => give_up(&delivery, &down, DeadReason::AttemptsExhausted, now),
                    Ok(_) => back(&delivery),
                    Err(_) => Step::from(&delivery).dead_letter(&delivery, DeadReason::Corrupt),
                };
                steps.push(step, delivery);
            }
            self.commit(steps).await?;
        }
    }

    async fn oldest_is_too_old(&self, flow: &Flow, account: &Client) -> Result<bool, EngineError> {
        let now = self.server.shared.clock.now();
        let look = Look::at(Place::Ready, 1).of(flow.clone());
        let page = self.server.shared.engine.look(&self.queue, look).await?;
        let oldest = page.records.first();
        Ok(oldest.is_some_and(|record| now.since(record.published_at) >= account.smpp.waiting_expiry))
    }

    async fn commit(&self, steps: Steps) -> Result<(), EngineError> {
        let Steps { steps, deliveries } = steps;
        if steps.is_empty() {
            return Ok(());
        }
        let answers = self.server.shared.engine.commit(steps).await;
        // Until here: a delivery that is dropped before goes back.
        drop(deliveries);
        for refused in answers.into_iter().filter_map(Result::err) {
            match refused.kind {
                CommitErrorKind::Engine(error @ (EngineError::Poisoned(_) | EngineError::Closed)) => {
                    return Err(error);
                }
                kind => warn!(%kind, "what became of a delivery could not be stored; it comes again"),
            }
        }
        Ok(())
    }
}

/// Steps with the deliveries that they are about.
#[derive(Default)]
struct Steps {
    steps: Vec<Step>,
    deliveries: Vec<Delivery>,
}

impl Steps {
    fn push(&mut self, step: Step, delivery: Delivery) {
        self.steps.push(step);
        self.deliveries.push(delivery);
    }
}

/// The account, as long as it may bind.
fn account<'a>(config: &'a Config, client: &ClientId) -> Option<&'a Client> {
    config
        .client
        .get(client)
        .filter(|account| account.system_id.is_some())
}

/// Back to the queue, at nobody's cost.
fn back(delivery: &Delivery) -> Step {
    Step::from(delivery).release(delivery, Duration::ZERO, ReleaseReason::LinkLost, Cost::Free)
}
