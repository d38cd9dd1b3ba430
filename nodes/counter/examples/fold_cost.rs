//! What it costs to fold an event: `cargo run --release -p smsgw-node-counter --example fold_cost`.
//!
//! Puts a day's mix of events into a memory engine, starts the counter node, and divides the processor time until all are
//! counted by their number. The engine's own reads and commits are in it, the making of the events is not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use smsgw_message::{
    Address, Class, ClientId, Clock, Event, EventName, MessageId, MessageState, OperatorId, Record, names,
};
use smsgw_node_counter::{READER, supervise};
use smsgw_queue::{Engine, LogName, MemoryEngine, Position, Step, StepId};
use smsgw_runtime::{Strategy, Supervisor, SystemClock};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages; each has five events.
const MESSAGES: u64 = 200_000;

fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    // Of the main thread alone: the runtime has no other.
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let clock = Arc::new(SystemClock);
    let engine = MemoryEngine::new(clock.clone());
    for n in 0..MESSAGES {
        let now = clock.now();
        let id = MessageId::from_parts(now, [0; 10]).derive(n);
        let whole = |name| Event {
            message: Some(id),
            client: Some(ClientId::try_new(&format!("client-{}", n % 20)).unwrap()),
            operator: Some(OperatorId::try_new(&format!("operator-{}", n % 4)).unwrap()),
            from: Some(Address::sender(&format!("BRAND{}", n % 7)).unwrap()),
            to: Some(
                Address::msisdn(&format!(
                    "{}{:08}",
                    ["49170", "4479", "336", "39320"][(n % 4) as usize],
                    n
                ))
                .unwrap(),
            ),
            class: Some(Class::Transactional),
            route: Some(u32::try_from(n % 5).unwrap()),
            reference: Some(format!("order-{n}")),
            age_ms: Some(n % 3_000),
            ..Event::new(now, name)
        };
        let end = Event {
            state: Some(MessageState::Delivered),
            after_sent_ms: Some(n % 9_000),
            ..whole(EventName::MtFinal)
        };
        let mut step = Step::new(StepId::from_bytes(*id.as_bytes()));
        for event in [
            whole(EventName::MtAccepted),
            whole(EventName::MtRouted),
            whole(EventName::MtSent),
            whole(EventName::DrReceived),
            end,
        ] {
            step = step.append(names::EVENTS, event.to_record());
        }
        step.commit(&*engine).await.unwrap();
    }
    let events = MESSAGES * 5;
    let log = LogName::from(names::EVENTS);
    let (began, before) = (Instant::now(), cpu());
    let counted: Arc<dyn Engine> = engine.clone();
    let tree = Supervisor::new("cost", Strategy::OneForOne)
        .child(supervise(counted, clock, None))
        .spawn()
        .await;
    while engine.position(&log, READER).await.unwrap() < Position(events) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (took, cpu) = (began.elapsed(), cpu() - before);
    let nanos = cpu.as_nanos() as f64 / events as f64;
    println!(
        "{events} events in {took:.2?}: {nanos:.0} ns of processor time each; 75000 a second take {:.1} % of a core",
        nanos * 75_000.0 / 1e7
    );
    tree.drain().await;
}
