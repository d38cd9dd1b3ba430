//! Panics and failures at every seam of the node: part by part restarted, nothing lost, nothing told twice.

use super::*;
use smsgw_node_router::supervise;
use smsgw_queue::EngineError;
use smsgw_runtime::{Intensity, TreeStatus};
use smsgw_testkit::{Call, MoodyClock, MoodyEngine, Prank, Pranks, neighbour, restarts_below};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The node on an engine and a clock with moods, with a neighbour beside it.
struct Faulty {
    memory: Arc<MemoryEngine>,
    engine: Arc<MoodyEngine>,
    clock: Arc<SimClock>,
    moody_clock: Arc<MoodyClock>,
    tree: Tree,
    neighbour: Arc<AtomicUsize>,
}

impl Faulty {
    async fn start(intensity: Intensity) -> Self {
        let (clock, config, memory) = world();
        Self::start_on(memory, clock, config, intensity).await
    }

    async fn start_on(
        memory: Arc<MemoryEngine>,
        clock: Arc<SimClock>,
        config: ConfigHandle,
        intensity: Intensity,
    ) -> Self {
        let engine = MoodyEngine::over(memory.clone());
        let moody_clock = MoodyClock::over(clock.clone());
        let node = supervise(engine.clone(), config, moody_clock.clone()).unwrap();
        let (beside, neighbour) = neighbour();
        let tree = Supervisor::new("test", Strategy::OneForOne)
            .intensity(intensity)
            .child(node)
            .child(beside)
            .spawn()
            .await;
        assert!(tree.started().await);
        Self {
            memory,
            engine,
            clock,
            moody_clock,
            tree,
            neighbour,
        }
    }

    /// Carries and listens until so many messages are told of.
    async fn until_told(
        &self,
        count: usize,
        told: &mut BTreeMap<MessageId, Vec<MessageState>>,
        ids: &mut u32,
    ) {
        let mut idle = 0;
        while told.len() < count {
            let carried = carry(&*self.memory, &self.clock, "alpha", ids).await;
            let heard = listen(&*self.memory, told).await;
            idle = if carried + heard > 0 { 0 } else { idle + 1 };
            // A part that failed often pauses for half a minute; a turn takes 0.4 s.
            assert!(
                idle < 400,
                "stuck at {} of {count}: {:#?}",
                told.len(),
                self.tree.status()
            );
        }
    }
}

fn router(status: &TreeStatus) -> &TreeStatus {
    status.find(&["router"]).unwrap()
}

#[tokio::test(start_paused = true)]
async fn panics_and_failures_at_every_seam_lose_nothing_and_tell_nothing_twice() {
    let (mut panics, mut restarts) = (0, 0);
    for seed in 0..16 {
        let faulty = Faulty::start(Intensity::UNLIMITED).await;
        faulty.engine.play(
            Pranks::by(seed)
                .with(Prank::PanicBefore, 40)
                .with(Prank::PanicAfter, 60)
                .with(Prank::LoseAnswer, 40)
                .with(Prank::Refuse, 30)
                .with(Prank::Delay, 100)
                .at_most(60),
        );
        faulty.moody_clock.panic_by(seed, 100, 10);
        let (mut told, mut ids) = (BTreeMap::new(), 0);
        for n in 0..60u16 {
            let message = message(&faulty.clock, n, "491700000001", 1 + usize::from(n % 3));
            accept(&*faulty.memory, &message).await;
            if n % 10 == 9 {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
        faulty.until_told(60, &mut told, &mut ids).await;
        let crashed = faulty.engine.panics() + faulty.moody_clock.panics();
        faulty.engine.calm();
        faulty.moody_clock.calm();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(
            listen(&*faulty.memory, &mut told).await,
            0,
            "seed {seed}: told twice"
        );
        assert!(
            told.values().all(|states| *states == [MessageState::Delivered]),
            "seed {seed}"
        );
        let finals = events(&*faulty.memory).await;
        let finals = finals.iter().filter(|name| **name == EventName::MtFinal).count();
        assert_eq!(finals, 60, "seed {seed}: one final event each");
        for (queue, depth) in faulty.memory.queues() {
            assert_eq!(
                depth,
                smsgw_queue::Depth::default(),
                "seed {seed}: {queue} is not empty"
            );
        }
        let status = faulty.tree.status();
        assert!(status.is_running(), "seed {seed}: {status:#?}");
        assert!(crashed == 0 || restarts_below(router(&status)) > 0, "seed {seed}");
        assert_eq!(faulty.neighbour.load(Ordering::SeqCst), 1, "seed {seed}");
        panics += crashed;
        restarts += restarts_below(router(&status));
        assert_eq!(faulty.tree.drain().await, Exit::Stopped);
    }
    assert!(
        panics > 100 && restarts > 100,
        "{panics} panics, {restarts} restarts"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_restarts_its_own_worker_and_no_other() {
    let faulty = Faulty::start(Intensity::default()).await;
    let of_alarms =
        |call: &Call<'_>| matches!(call, Call::Checkout(queue) if queue.as_str() == names::ALARMS);
    faulty.engine.play(
        Pranks::by(1)
            .with(Prank::PanicBefore, 1000)
            .at_most(2)
            .only(of_alarms),
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = faulty.tree.status();
    for part in &router(&status).children {
        let expected = if part.name == "alarms" { 2 } else { 0 };
        assert_eq!(part.restarts, expected, "{}", part.name);
    }
    let alarms = status.find(&["router", "alarms"]).unwrap();
    let failure = "panicked: the engine panicked before the call";
    assert_eq!(alarms.last_error.as_deref(), Some(failure));
    assert!(status.is_running() && restarts_below(&status) == 2);
    assert_eq!(faulty.tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_can_never_work_ends_the_process_with_70() {
    let faulty = Faulty::start(Intensity::new(3, Duration::from_secs(600))).await;
    let of_alarms =
        |call: &Call<'_>| matches!(call, Call::Checkout(queue) if queue.as_str() == names::ALARMS);
    faulty
        .engine
        .play(Pranks::by(1).with(Prank::PanicBefore, 1000).only(of_alarms));
    let begun = tokio::time::Instant::now();
    let exit = faulty.tree.ended().await;
    assert_eq!(exit.code(), 70);
    let Exit::Escalated(why) = exit else {
        panic!("{exit:?}")
    };
    assert_eq!(why.child, "test/router");
    assert!(
        why.reason.contains("test/router/alarms") && why.reason.contains("panicked"),
        "{why}"
    );
    assert!(
        (60..180).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(router(&faulty.tree.status()).restarts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_engine_ends_the_node_at_once_and_a_full_disk_is_waited_for() {
    let faulty = Faulty::start(Intensity::default()).await;
    faulty
        .engine
        .set(smsgw_testkit::Mood::Refusing(EngineError::NoSpace));
    accept(&*faulty.memory, &message(&faulty.clock, 1, "491700000001", 1)).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(restarts_below(&faulty.tree.status()), 0);
    faulty.engine.calm();
    let (mut told, mut ids) = (BTreeMap::new(), 0);
    faulty.until_told(1, &mut told, &mut ids).await;
    let poison = EngineError::Poisoned("sync failed".to_owned());
    faulty.engine.set(smsgw_testkit::Mood::Refusing(poison));
    accept(&*faulty.memory, &message(&faulty.clock, 2, "491700000001", 1)).await;
    let Exit::Escalated(why) = faulty.tree.ended().await else {
        panic!("must escalate")
    };
    assert!(why.fatal && why.reason.contains("sync failed"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn answers_that_never_come_hold_up_no_stop_and_lose_nothing() {
    let (clock, config, memory) = world();
    let (mut told, mut ids) = (BTreeMap::new(), 0);
    let mut swallowed = 0;
    for round in 0..8 {
        let (memory, clock, config) = (memory.clone(), clock.clone(), config.clone());
        let faulty = Faulty::start_on(memory, clock, config, Intensity::default()).await;
        faulty
            .engine
            .play(Pranks::by(round.into()).with(Prank::Swallow, 300));
        for n in 0..5 {
            accept(
                &*faulty.memory,
                &message(&faulty.clock, round * 5 + n, "491700000001", 2),
            )
            .await;
            carry(&*faulty.memory, &faulty.clock, "alpha", &mut ids).await;
            listen(&*faulty.memory, &mut told).await;
        }
        swallowed += faulty.engine.played(Prank::Swallow);
        let begun = tokio::time::Instant::now();
        assert_eq!(faulty.tree.drain().await, Exit::Stopped);
        assert!(
            begun.elapsed() <= Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
    }
    assert!(swallowed > 8, "{swallowed} answers swallowed");
    let faulty = Faulty::start_on(memory, clock, config, Intensity::default()).await;
    faulty.until_told(40, &mut told, &mut ids).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        listen(&*faulty.memory, &mut told).await,
        0,
        "nothing is told twice"
    );
    assert!(told.values().all(|states| *states == [MessageState::Delivered]));
    assert_eq!(faulty.tree.drain().await, Exit::Stopped);
}
