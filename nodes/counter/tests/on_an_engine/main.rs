//! The counter node on the memory engine: exactly once, whatever is killed when.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod cdr;
mod counters;
mod credit;
mod faults;
mod history;
mod ledger;
mod numbers;

use smsgw_message::{
    Address, Class, ClientId, Clock, Event, EventName, MessageId, MessageState, OperatorId, Record,
    Timestamp, names,
};
use smsgw_node_counter::{Count, Day, Dimension, Hour, Period, READER, Row, supervise, totals};
use smsgw_queue::{Engine, LogName, MemoryEngine, Position, Step, StepId};
use smsgw_runtime::{Exit, Strategy, Supervisor, Tree};
use smsgw_testkit::SimClock;
use std::sync::Arc;
use std::time::Duration;

async fn start(engine: &Arc<MemoryEngine>, clock: &Arc<SimClock>) -> Tree {
    let engine: Arc<dyn Engine> = engine.clone();
    let tree = Supervisor::new("test", Strategy::RestForOne)
        .child(supervise(engine, clock.clone(), None))
        .spawn()
        .await;
    assert!(tree.started().await);
    tree
}

/// The `n`-th message that was accepted at this time.
fn message(at: Timestamp, n: u64) -> MessageId {
    MessageId::from_parts(at, [0; 10]).derive(n)
}

fn event(at: Timestamp, name: EventName) -> Event {
    Event {
        client: Some(ClientId::try_new("acme").unwrap()),
        operator: Some(OperatorId::try_new("alpha").unwrap()),
        age_ms: Some(20),
        ..Event::new(at, name)
    }
}

fn accepted(at: Timestamp, n: u64) -> Event {
    Event {
        message: Some(message(at, n)),
        operator: None,
        age_ms: None,
        ..event(at, EventName::MtAccepted)
    }
}

async fn append(engine: &dyn Engine, n: u64, events: &[Event]) {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    let step = Step::new(StepId::from_bytes(id));
    let step = events
        .iter()
        .fold(step, |step, event| step.append(names::EVENTS, event.to_record()));
    step.commit(engine).await.unwrap();
}

async fn position(engine: &dyn Engine) -> Position {
    engine
        .position(&LogName::from(names::EVENTS), READER)
        .await
        .unwrap()
}

/// The totals of a client or operator today.
async fn row(engine: &dyn Engine, dimension: Dimension, value: &str) -> Row {
    let day = Period::Day(Day::of(SimClock::ORIGIN));
    let mut all = totals(engine, day, dimension).await.unwrap();
    all.remove(value).unwrap_or_default()
}

async fn total(engine: &dyn Engine, dimension: Dimension, value: &str, count: Count) -> u64 {
    row(engine, dimension, value).await.get(count)
}

const BOTH: [(Dimension, &str); 2] = [(Dimension::Client, "acme"), (Dimension::Operator, "alpha")];

/// Longer than events wait to be committed.
async fn counted() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}
