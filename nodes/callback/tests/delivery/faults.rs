//! Panics and failures at every seam of the node: it restarts, and every callback is posted, settled and told once.
//!
//! Real sockets, so real time: a few panics each, because the pauses between restarts are real as well.

use super::*;
use smsgw_config::{Config, ConfigHandle};
use smsgw_node_callback::supervise;
use smsgw_queue::{Engine, EngineError, MemoryEngine};
use smsgw_runtime::{Clock, Intensity, Strategy, Supervisor};
use smsgw_testkit::{MoodyEngine, Prank, Pranks, SimClock, restarts_below};
use std::collections::BTreeMap;
use std::sync::Arc;

async fn storm(seed: u64) -> u64 {
    let target = Target::start(Reply::Status(200)).await;
    let node = Node::start(&format!("{ALLOWED}retry = [\"100ms for 10m\"]")).await;
    node.engine.play(
        Pranks::by(seed)
            .with(Prank::PanicBefore, 60)
            .with(Prank::PanicAfter, 60)
            .with(Prank::LoseAnswer, 60)
            .with(Prank::Delay, 200)
            .at_most(12),
    );
    node.luck.panic_by(seed, 15, 2);
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.extend(node.report("acme", &target.url(), 5).await);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    until("settled", Duration::from_secs(60), || {
        node.depth() == Depth::default()
    })
    .await;
    let panics = node.engine.panics() + node.luck.panics();
    node.engine.calm();
    node.luck.calm();
    until("running again", Duration::from_secs(40), || {
        node.tree.status().is_running()
    })
    .await;
    assert_eq!(node.aside(Place::DeadLetter).await.len(), 0, "seed {seed}");
    let mut told: BTreeMap<_, usize> = BTreeMap::new();
    for event in node.events().await {
        assert_eq!(event.name, EventName::DeliveredToClient, "seed {seed}");
        *told.entry(event.message.unwrap()).or_default() += 1;
    }
    for id in &ids {
        assert_eq!(told.remove(id), Some(1), "seed {seed}: told once");
        assert!(node.told(*id).await.is_some(), "seed {seed}");
    }
    assert!(told.is_empty(), "seed {seed}: {told:?}");
    // What was posted and not settled at a panic is posted again; nothing else is.
    assert!(target.count() >= 60, "seed {seed}: {}", target.count());
    let restarts = restarts_below(node.tree.status().find(&["callback"]).unwrap());
    assert!(panics == 0 || restarts > 0, "seed {seed}: {panics} panics");
    assert_eq!(node.neighbour.load(Ordering::SeqCst), 1, "seed {seed}");
    node.tree.stop().await;
    restarts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_and_failures_at_every_seam_tell_every_client_and_count_it_once() {
    let mut running = tokio::task::JoinSet::new();
    for seed in 0..12 {
        running.spawn(storm(seed));
    }
    let mut restarts = 0;
    while let Some(ended) = running.join_next().await {
        restarts += ended.unwrap();
    }
    assert!(restarts > 12, "{restarts} restarts");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_can_never_work_ends_the_process_with_70_and_a_full_disk_does_not() {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new());
    let engine = MoodyEngine::over(MemoryEngine::new(Arc::clone(&clock)) as Arc<dyn Engine>);
    let config = ConfigHandle::new(Config::default());
    let tree = Supervisor::new("t", Strategy::OneForOne)
        .intensity(Intensity::new(3, Duration::from_secs(600)))
        .child(supervise(engine.clone(), config, clock))
        .spawn()
        .await;
    assert!(tree.started().await);
    engine.set(Mood::Refusing(EngineError::NoSpace));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(restarts_below(&tree.status()), 0);
    engine.calm();
    engine.play(Pranks::by(1).with(Prank::PanicBefore, 1000));
    let exit = tree.ended().await;
    assert_eq!(exit.code(), 70);
    let Exit::Escalated(why) = exit else {
        panic!("{exit:?}")
    };
    assert!(!why.fatal && why.reason.contains("t/callback/dispatch"), "{why}");
}
