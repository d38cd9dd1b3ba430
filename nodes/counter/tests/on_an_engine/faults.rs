//! Panics and failures at every call of the engine: the reader restarts and each event is counted once.

use super::*;
use smsgw_queue::{EngineError, Expiry};
use smsgw_runtime::Intensity;
use smsgw_testkit::{Mood, MoodyEngine, Prank, Pranks, neighbour, restarts_below};
use std::sync::atomic::Ordering;

#[tokio::test(start_paused = true)]
async fn panics_and_failures_at_every_call_count_each_event_exactly_once() {
    let mut restarted = 0;
    for seed in 0..24 {
        let clock = Arc::new(SimClock::new());
        let memory = MemoryEngine::new(clock.clone());
        let engine = MoodyEngine::over(memory.clone());
        let (beside, starts) = neighbour();
        let tree = Supervisor::new("test", Strategy::OneForOne)
            .intensity(Intensity::UNLIMITED)
            .child(supervise(engine.clone(), clock.clone(), None))
            .child(beside)
            .spawn()
            .await;
        assert!(tree.started().await);
        engine.play(
            Pranks::by(seed)
                .with(Prank::PanicBefore, 80)
                .with(Prank::PanicAfter, 120)
                .with(Prank::LoseAnswer, 80)
                .with(Prank::Refuse, 80)
                .with(Prank::Delay, 100)
                .at_most(25),
        );
        for round in 0..40 {
            append(&*memory, round, &vec![event(clock.now(), EventName::MtSent); 5]).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let panics = engine.panics();
        engine.calm();
        tokio::time::sleep(Duration::from_secs(120)).await;
        for (dimension, value) in BOTH {
            let counted = total(&*memory, dimension, value, Count::Sent).await;
            assert_eq!(counted, 200, "seed {seed}");
        }
        let status = tree.status();
        assert!(status.is_running(), "seed {seed}");
        let restarts = restarts_below(status.find(&["counter"]).unwrap());
        assert!(
            restarts >= u64::try_from(panics).unwrap(),
            "seed {seed}: {restarts} after {panics} panics"
        );
        assert_eq!(starts.load(Ordering::SeqCst), 1, "seed {seed}");
        restarted += restarts;
        assert_eq!(tree.drain().await, Exit::Stopped);
    }
    assert!(restarted > 100, "{restarted} restarts");
}

#[tokio::test(start_paused = true)]
async fn totals_that_cannot_be_added_to_stop_their_reader_alone_until_they_can_and_a_full_disk_is_waited_for()
{
    let clock = Arc::new(SimClock::new());
    let memory = MemoryEngine::new(clock.clone());
    let engine = MoodyEngine::over(memory.clone());
    let (beside, starts) = neighbour();
    let tree = Supervisor::new("test", Strategy::OneForOne)
        .intensity(Intensity::new(3, Duration::from_secs(600)))
        .child(supervise(engine.clone(), clock.clone(), None))
        .child(beside)
        .spawn()
        .await;
    assert!(tree.started().await);
    engine.set(Mood::Refusing(EngineError::NoSpace));
    append(&*memory, 1, &[event(clock.now(), EventName::MtSent)]).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(restarts_below(&tree.status()), 0);
    engine.calm();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(total(&*memory, Dimension::Client, "acme", Count::Sent).await, 1);
    // Somebody wrote something else where a total belongs; a restart reads it.
    engine.set(Mood::Refusing(EngineError::Read("once".to_owned())));
    let key = format!("count/{}/client/acme", Day::of(clock.now()));
    let there = memory.get(vec![key.clone().into()]).await.unwrap().remove(0);
    let whole = there.expect("a total").value;
    let write = async |n, value: bytes::Bytes| {
        let step = Step::new(StepId::from_bytes([n; 16])).put(key.clone(), value, Expiry::Owner);
        step.commit(&*memory).await.unwrap();
    };
    write(7, b"no total".to_vec().into()).await;
    append(&*memory, 2, &[event(clock.now(), EventName::MtSent)]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.calm();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let status = tree.status();
    let reader = status.find(&["counter", "reader"]).unwrap();
    assert!(tree.is_running() && reader.restarts > 60, "{reader:?}");
    assert!(
        reader.last_error.as_ref().unwrap().contains("cannot be decoded"),
        "{reader:?}"
    );
    assert_eq!(starts.load(Ordering::SeqCst), 1, "nothing else was started again");
    write(8, whole).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(total(&*memory, Dimension::Client, "acme", Count::Sent).await, 2);
    assert_eq!(tree.drain().await, Exit::Stopped);
}
