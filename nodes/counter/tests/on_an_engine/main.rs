//! The counter node on the memory engine: exactly once, whatever is killed when.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod faults;

use smsgw_message::{ClientId, Clock, Event, EventName, MessageState, OperatorId, Record, Timestamp, names};
use smsgw_node_counter::{Day, READER, What, Who, supervise, totals};
use smsgw_queue::{Engine, LogName, MemoryEngine, Position, Step, StepId};
use smsgw_runtime::{Exit, Strategy, Supervisor, Tree};
use smsgw_testkit::SimClock;
use std::sync::Arc;
use std::time::Duration;

async fn start(engine: &Arc<MemoryEngine>) -> Tree {
    let engine: Arc<dyn Engine> = engine.clone();
    let tree = Supervisor::new("test", Strategy::RestForOne)
        .child(supervise(engine))
        .spawn()
        .await;
    assert!(tree.started().await);
    tree
}

fn client() -> Who {
    Who::Client(ClientId::try_new("acme").unwrap())
}

fn operator() -> Who {
    Who::Operator(OperatorId::try_new("alpha").unwrap())
}

fn event(at: Timestamp, name: EventName) -> Event {
    Event {
        client: Some(ClientId::try_new("acme").unwrap()),
        operator: Some(OperatorId::try_new("alpha").unwrap()),
        age_ms: Some(20),
        ..Event::new(at, name)
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

async fn total(engine: &dyn Engine, who: &Who, what: What) -> i64 {
    let day = Day::of(SimClock::ORIGIN);
    let totals = totals(engine, day, who).await.unwrap();
    totals
        .into_iter()
        .find(|(one, _)| *one == what)
        .map_or(0, |(_, number)| number)
}

#[tokio::test(start_paused = true)]
async fn totals_of_client_and_operator_follow_the_log() {
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    let tree = start(&engine).await;
    let now = clock.now();
    let mut end = event(now, EventName::MtFinal);
    end.state = Some(MessageState::Delivered);
    let accepted = Event {
        operator: None,
        parts: 3,
        ..event(now, EventName::MtAccepted)
    };
    append(&*engine, 1, &[accepted, event(now, EventName::MtSent), end]).await;
    let broken = Step::new(StepId::from_bytes([9; 16])).append(names::EVENTS, vec![0xFF, 1, 2].into());
    broken.commit(&*engine).await.unwrap();
    append(&*engine, 2, &[event(now, EventName::MtSent)]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let day = Day::of(now);
    let of_client = totals(&*engine, day, &client()).await.unwrap();
    assert_eq!(
        of_client,
        [
            (What::Happened(EventName::MtAccepted), 1),
            (What::Happened(EventName::MtSent), 2),
            (What::Ended(MessageState::Delivered), 1),
            (What::PartsAccepted, 3),
        ]
    );
    let of_operator = totals(&*engine, day, &operator()).await.unwrap();
    assert_eq!(
        of_operator,
        [
            (What::Happened(EventName::MtSent), 2),
            (What::Ended(MessageState::Delivered), 1)
        ]
    );
    let text = smsgw_telemetry::exposition();
    assert!(
        text.contains("smsgw_messages_total{client=\"acme\",what=\"delivered\"} 1"),
        "{text}"
    );
    assert!(text.contains("smsgw_counter_skipped_total 1"), "{text}");
    assert!(text.contains("smsgw_accept_to_sent_seconds_count 2"), "{text}");

    // Totals outlive 400 days and no longer.
    assert_eq!(tree.drain().await, Exit::Stopped);
    tokio::time::sleep(Duration::from_secs(399 * 86_400)).await;
    assert_eq!(total(&*engine, &client(), What::PartsAccepted).await, 3);
    tokio::time::sleep(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(totals(&*engine, day, &client()).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_every_event_is_counted_exactly_once() {
    let clock = Arc::new(SimClock::new());
    let mut engine = MemoryEngine::new(clock.clone());
    let mut appended = 0;
    let mut partly = 0;
    for round in 0..60u64 {
        let tree = start(&engine).await;
        let events = vec![event(clock.now(), EventName::MtSent); 50];
        append(&*engine, round, &events).await;
        appended += 50;
        // Killed after a different number of turns of the runtime each time: before, between and after its calls.
        for _ in 0..round % 20 {
            tokio::task::yield_now().await;
        }
        engine = engine.reopen();
        tree.stop().await;
        let counted = total(&*engine, &client(), What::Happened(EventName::MtSent)).await;
        // Totals and position never part.
        assert_eq!(
            u64::try_from(counted).unwrap(),
            position(&*engine).await.0,
            "round {round}"
        );
        partly += i64::from(counted < appended);
    }
    assert!(partly > 0, "no kill came before its batch was counted");
    let tree = start(&engine).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for who in [client(), operator()] {
        assert_eq!(
            total(&*engine, &who, What::Happened(EventName::MtSent)).await,
            appended
        );
    }
    assert_eq!(tree.drain().await, Exit::Stopped);
}
