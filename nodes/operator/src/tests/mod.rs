//! The node against a simulated carrier, over in-memory streams, on the memory engine, under paused time.

mod arrivals;
mod called;
mod called_off;
mod called_tls;
mod called_ucp;
mod carrier;
mod doubt;
mod fair;
mod faults;
mod flow;
mod links;
mod lives;
mod long;
mod orders;
mod sending;

use crate::dial::Dial;
use crate::fixtures::dispatch;
use crate::{LinkState, LinkTable, supervise_over};
use carrier::Carrier;
use smsgw_config::{Config, ConfigHandle, Operator, Secret};
use smsgw_message::{
    Class, Dispatch, Event, EventName, MessageId, OperatorId, Record, SubmitOutcome, SubmitResult, Up, names,
};
use smsgw_queue::{Depth, Engine, Lane, LogName, MemoryEngine, Position, QueueName, Step, StepId, Want};
use smsgw_runtime::{Clock, Exit, Strategy, Supervisor, Tree};
use smsgw_testkit::{MoodyClock, MoodyEngine, SimClock, neighbour};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn alpha() -> OperatorId {
    OperatorId::try_new("alpha").unwrap()
}

/// An operator that the simulated carrier takes.
fn operator() -> Operator {
    Operator {
        hosts: vec!["192.0.2.1:2775".parse_host()],
        system_id: Some("test".to_owned()),
        password: Some(Secret::new("secret")),
        ..Operator::default()
    }
}

trait ParseHost {
    fn parse_host(&self) -> smsgw_config::HostPort;
}

impl ParseHost for str {
    fn parse_host(&self) -> smsgw_config::HostPort {
        smsgw_config::HostPort::from_text(self).unwrap()
    }
}

fn config(operators: &[(&str, Operator)]) -> Config {
    Config {
        operator: operators
            .iter()
            .map(|(id, operator)| (OperatorId::try_new(id).unwrap(), operator.clone()))
            .collect(),
        ..Config::default()
    }
}

/// A running node with its carrier and engine.
struct World {
    memory: Arc<MemoryEngine>,
    engine: Arc<MoodyEngine>,
    luck: Arc<MoodyClock>,
    neighbour: Arc<AtomicUsize>,
    carrier: Carrier,
    config: ConfigHandle,
    clock: Arc<SimClock>,
    table: LinkTable,
    tree: Tree,
}

impl World {
    /// With one operator, `alpha`.
    async fn start(operator: Operator) -> Self {
        Self::start_with(config(&[("alpha", operator)]), Carrier::accepting()).await
    }

    async fn start_with(config: Config, carrier: Carrier) -> Self {
        let clock = Arc::new(SimClock::new());
        let memory = MemoryEngine::new(Arc::clone(&clock) as Arc<dyn Clock>);
        Self::start_on(memory, clock, config, carrier).await
    }

    async fn start_on(
        memory: Arc<MemoryEngine>,
        clock: Arc<SimClock>,
        config: Config,
        carrier: Carrier,
    ) -> Self {
        let dial = Arc::new(carrier.clone());
        Self::start_over(memory, clock, config, carrier, dial).await
    }

    async fn start_over(
        memory: Arc<MemoryEngine>,
        clock: Arc<SimClock>,
        config: Config,
        carrier: Carrier,
        dial: Arc<dyn Dial>,
    ) -> Self {
        let luck = MoodyClock::over(Arc::clone(&clock) as Arc<dyn Clock>);
        let (beside, neighbour) = neighbour();
        let moody = MoodyEngine::over(Arc::clone(&memory) as Arc<dyn Engine>);
        let config = ConfigHandle::new(config);
        let engine = Arc::clone(&moody) as Arc<dyn Engine>;
        let (node, table) = supervise_over(engine, config.clone(), Arc::clone(&luck) as Arc<dyn Clock>, dial);
        let tree = Supervisor::new("smsgw", Strategy::RestForOne)
            .child(beside)
            .child(node)
            .spawn()
            .await;
        assert!(tree.started().await, "the node is up");
        Self {
            memory,
            engine: moody,
            luck,
            neighbour,
            carrier,
            config,
            clock,
            table,
            tree,
        }
    }

    /// Puts parts into the queue of `alpha`; numbers name them.
    async fn send(&self, parts: impl IntoIterator<Item = u64>) {
        self.publish(parts.into_iter().map(dispatch).collect()).await;
    }

    async fn publish(&self, parts: Vec<Dispatch>) {
        let steps = parts
            .iter()
            .map(|part| {
                let queue = QueueName::from(names::mt_operator(&part.operator));
                let lane = Lane::new(Class::Otp, &part.client);
                Step::new(StepId::accept(part.message)).publish(queue, lane, part.to_record())
            })
            .collect();
        for committed in self.memory.commit(steps).await {
            committed.unwrap();
        }
    }

    /// The next record that went up for `alpha`, settled; waits at most a minute of paused time.
    async fn up(&self) -> (Up, Lane) {
        self.up_within(Duration::from_secs(60))
            .await
            .expect("a record came up")
    }

    async fn up_within(&self, wait: Duration) -> Option<(Up, Lane)> {
        let queue = QueueName::from(names::up(&smsgw_message::LinkGroup::of(&alpha())));
        let delivery = self
            .memory
            .checkout(&queue, Want::new(1, wait))
            .await
            .unwrap()
            .pop()?;
        let up = Up::from_record(delivery.record()).unwrap();
        let lane = delivery.lane().clone();
        Step::from(&delivery)
            .settle(&delivery)
            .commit(&*self.memory)
            .await
            .unwrap();
        Some((up, lane))
    }

    async fn result(&self) -> SubmitResult {
        loop {
            match self.up().await {
                (Up::SubmitResult(result), _) => return result,
                (Up::InDoubt(_), _) => {}
                (other, _) => panic!("a submit result, not {other:?}"),
            }
        }
    }

    async fn results(&self, count: usize) -> Vec<SubmitResult> {
        let mut results = Vec::new();
        for _ in 0..count {
            results.push(self.result().await);
        }
        results
    }

    async fn events(&self) -> Vec<Event> {
        let log = LogName::from(names::EVENTS);
        let entries = self
            .memory
            .read(&log, Position::default(), 10_000, Duration::ZERO)
            .await
            .unwrap();
        entries
            .iter()
            .map(|entry| Event::from_record(&entry.record).unwrap())
            .collect()
    }

    async fn event_names(&self) -> Vec<EventName> {
        self.events().await.into_iter().map(|event| event.name).collect()
    }

    fn depth(&self) -> Depth {
        self.memory.depth(&QueueName::from(names::mt_operator(&alpha())))
    }

    fn up_depth(&self) -> Depth {
        self.memory
            .depth(&QueueName::from(names::up(&smsgw_message::LinkGroup::of(
                &alpha(),
            ))))
    }

    fn states(&self) -> Vec<(String, LinkState)> {
        self.table
            .snapshot()
            .into_iter()
            .map(|status| (status.link.to_string(), status.state))
            .collect()
    }

    /// Waits until `done`, at most ten minutes of paused time.
    async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..60_000 {
            if done(self) {
                return;
            }
            tokio::time::sleep(ms(10)).await;
        }
        panic!(
            "never: {what}; links {:?}, depth {:?}",
            self.table.snapshot(),
            self.depth()
        );
    }

    async fn bound(&self) {
        self.until("bound", |world| {
            let states = world.states();
            !states.is_empty() && states.iter().all(|(_, state)| *state == LinkState::Bound)
        })
        .await;
    }

    async fn drain(self) -> (Arc<MemoryEngine>, Arc<SimClock>, Carrier) {
        assert_eq!(self.tree.drain().await, Exit::Stopped);
        (self.memory, self.clock, self.carrier)
    }
}

fn id(n: u64) -> MessageId {
    dispatch(n).message
}

fn carrier_id(result: &SubmitResult) -> &str {
    match &result.outcome {
        SubmitOutcome::Sent { carrier_id } => carrier_id,
        other => panic!("sent, not {other:?}"),
    }
}

fn counter(name: &str, labels: &[(&str, &str)]) -> f64 {
    let text = smsgw_telemetry::exposition();
    text.lines()
        .filter(|line| line.starts_with(&format!("{name}{{")))
        .filter(|line| {
            labels
                .iter()
                .all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
