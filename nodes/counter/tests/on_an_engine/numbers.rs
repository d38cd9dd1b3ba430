//! Sequence numbers on the memory engine: no gap and no repetition, whatever is killed when.

use smsgw_config::{Config, ConfigHandle};
use smsgw_message::{Address, ClientId, Clock, Event, EventName, MessageId, Record, Timestamp, names};
use smsgw_node_counter::numbers;
use smsgw_queue::{Engine, LogName, MemoryEngine, Position, Step, StepId};
use smsgw_runtime::{Exit, Intensity, Strategy, Supervisor, Tree};
use smsgw_testkit::{MoodyEngine, Prank, Pranks, SimClock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn config() -> ConfigHandle {
    let text = "[node]\nname = \"t\"\n[client.all]\napi_key = \"a\"\nnumber = \"client\"\n[client.each]\napi_key = \"e\"\nnumber \
                = \"conversation\"\nnumber_kept = \"1d\"\n[client.none]\napi_key = \"n\"\n";
    ConfigHandle::new(Config::parse("t.toml", text).unwrap_or_else(|problems| panic!("{problems:?}")))
}

async fn start(engine: Arc<dyn Engine>) -> Tree {
    start_with(engine, config()).await
}

async fn start_with(engine: Arc<dyn Engine>, config: ConfigHandle) -> Tree {
    let tree = Supervisor::new("test", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(numbers::supervise(engine, config))
        .spawn()
        .await;
    assert!(tree.started().await);
    tree
}

fn id(n: u64) -> MessageId {
    let mut octets = [7; 16];
    octets[..8].copy_from_slice(&n.to_be_bytes());
    MessageId::from_bytes(octets)
}

/// The nth message: clients and phones in turn, every third from the phone.
fn event(n: u64, at: Timestamp) -> (String, Event) {
    let client = ["all", "each", "none"][usize::try_from(n % 3).unwrap()];
    let phone = format!("49170000000{}", n / 3 % 4);
    let (name, from, to) = match n % 7 < 2 {
        true => (EventName::MoRouted, &*phone, "12345"),
        false => (EventName::MtAccepted, "12345", &*phone),
    };
    let event = Event {
        message: Some(id(n)),
        client: Some(ClientId::try_new(client).unwrap()),
        from: Some(Address::sender(from).unwrap()),
        to: Some(Address::sender(to).unwrap()),
        ..Event::new(at, name)
    };
    let key = match client {
        "each" => format!("each/{phone}"),
        other => other.to_owned(),
    };
    (key, event)
}

async fn append(engine: &dyn Engine, n: u64, at: Timestamp) -> String {
    let (key, event) = event(n, at);
    Step::new(StepId::from_bytes(*id(n).as_bytes()))
        .append(names::EVENTS, event.to_record())
        .commit(engine)
        .await
        .unwrap();
    key
}

async fn number(engine: &dyn Engine, n: u64) -> Option<i64> {
    let found = engine.get(vec![names::number_of(id(n)).into()]).await.unwrap();
    found[0].as_ref().map(|there| there.as_counter().unwrap())
}

/// NU-1 for the first `count` messages, whose keys are these.
async fn proves(engine: &dyn Engine, keys: &[String], what: &str) {
    let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
    for (n, key) in (0..).zip(keys) {
        let number = number(engine, n).await;
        if key == "none" {
            assert_eq!(number, None, "{what}");
            continue;
        }
        let next = expected.entry(key).or_default();
        *next += 1;
        assert_eq!(number, Some(*next), "{what}: message {n} of {key}");
    }
    assert!(expected.len() == 5, "{expected:?}");
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_numbers_have_no_gap_and_no_repetition() {
    let clock = Arc::new(SimClock::new());
    let mut engine = MemoryEngine::new(clock.clone());
    let (mut keys, mut behind) = (Vec::new(), 0);
    for round in 0..60u64 {
        let tree = start(engine.clone()).await;
        for n in round * 20..(round + 1) * 20 {
            keys.push(append(&*engine, n, clock.now()).await);
        }
        for _ in 0..round % 20 {
            tokio::task::yield_now().await;
        }
        engine = engine.reopen();
        tree.stop().await;
        let log = LogName::from(names::EVENTS);
        let Position(read) = engine.position(&log, numbers::NUMBERS_READER).await.unwrap();
        behind += u64::from(read < (round + 1) * 20);
    }
    assert!(
        behind > 10,
        "only {behind} kills came before everything was numbered"
    );
    let tree = start(engine.clone()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    proves(&*engine, &keys, "after all kills").await;

    // A conversation is forgotten after a day without a message and begins anew; the client's own count does not.
    tokio::time::sleep(Duration::from_secs(90_000)).await;
    let count = u64::try_from(keys.len()).unwrap();
    for n in count..count + 2 {
        append(&*engine, n, clock.now()).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = keys.iter().filter(|key| *key == "all").count();
    assert_eq!(
        number(&*engine, count).await,
        Some(i64::try_from(before).unwrap() + 1)
    );
    assert_eq!(number(&*engine, count + 1).await, Some(1));
    assert_eq!(tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn panics_and_failures_at_every_call_leave_no_gap() {
    let mut panics = 0;
    for seed in 0..16 {
        let clock = Arc::new(SimClock::new());
        let memory = MemoryEngine::new(clock.clone());
        let engine = MoodyEngine::over(memory.clone());
        let tree = start(engine.clone()).await;
        engine.play(
            Pranks::by(seed)
                .with(Prank::PanicBefore, 80)
                .with(Prank::PanicAfter, 120)
                .with(Prank::LoseAnswer, 80)
                .with(Prank::Refuse, 80)
                .with(Prank::Delay, 100)
                .at_most(25),
        );
        let mut keys = Vec::new();
        for n in 0..200 {
            keys.push(append(&*memory, n, clock.now()).await);
            if n % 5 == 0 {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
        panics += engine.panics();
        engine.calm();
        tokio::time::sleep(Duration::from_secs(120)).await;
        proves(&*memory, &keys, &format!("seed {seed}")).await;
        assert_eq!(tree.drain().await, Exit::Stopped);
    }
    assert!(panics > 60, "{panics} panics");
}

#[tokio::test(start_paused = true)]
async fn who_is_switched_on_begins_at_one_with_the_next_message() {
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    let on = config();
    let off = ConfigHandle::new(Config::parse("t.toml", "[node]\nname = \"t\"\n").unwrap());
    let tree = start_with(engine.clone(), off.clone()).await;
    let log = LogName::from(names::EVENTS);
    for n in 0..5_000 {
        append(&*engine, n, clock.now()).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at = engine.position(&log, numbers::NUMBERS_READER).await.unwrap();
    assert_eq!(at, engine.log_end(&log), "it keeps nothing in the log");
    off.publish(Config::clone(&on.config()));
    // Of the client that numbers all of its messages.
    for n in [6_000, 6_003] {
        append(&*engine, n, clock.now()).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(number(&*engine, 0).await, None);
    assert_eq!(number(&*engine, 6_000).await, Some(1));
    assert_eq!(number(&*engine, 6_003).await, Some(2));
    assert_eq!(tree.drain().await, Exit::Stopped);
}
