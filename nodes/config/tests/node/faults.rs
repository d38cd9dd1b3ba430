//! Panics and failures at every seam of the node under supervision: every instruction has one result, and the file that
//! was written last is in force.

use super::*;
use smsgw_message::{Clock, InstructionResult, MessageId, Record, names};
use smsgw_node_config::{instruct, supervise};
use smsgw_queue::{Depth, Engine, EngineError, MemoryEngine, QueueName};
use smsgw_runtime::{Exit, Intensity, Strategy, Supervisor, Tree};
use smsgw_testkit::{Mood, MoodyClock, MoodyEngine, Prank, Pranks, SimClock, neighbour, restarts_below};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct World {
    _folder: TempDir,
    path: PathBuf,
    memory: Arc<MemoryEngine>,
    engine: Arc<MoodyEngine>,
    clock: Arc<SimClock>,
    luck: Arc<MoodyClock>,
    node: Arc<ConfigNode>,
    neighbour: Arc<AtomicUsize>,
    tree: Tree,
}

impl World {
    async fn start(text: &str, intensity: Intensity) -> Self {
        let (folder, path) = file(text);
        let clock = Arc::new(SimClock::new());
        let memory = MemoryEngine::new(clock.clone());
        let engine = MoodyEngine::over(memory.clone());
        let luck = MoodyClock::over(clock.clone());
        let node = Arc::new(ConfigNode::start(&path).unwrap());
        let (beside, neighbour) = neighbour();
        let tree = Supervisor::new("t", Strategy::OneForOne)
            .intensity(intensity)
            .child(supervise(Arc::clone(&node), engine.clone(), luck.clone()))
            .child(beside)
            .spawn()
            .await;
        assert!(tree.started().await);
        Self {
            _folder: folder,
            path,
            memory,
            engine,
            clock,
            luck,
            node,
            neighbour,
            tree,
        }
    }

    async fn reload(&self) -> MessageId {
        let instruction = Instruction::Reload;
        instruct(&*self.memory, &*self.clock, instruction, "test")
            .await
            .unwrap()
    }

    async fn result(&self, id: MessageId) -> Option<InstructionResult> {
        let found = self
            .memory
            .get(vec![names::instruction(id).into()])
            .await
            .unwrap();
        found[0]
            .as_ref()
            .map(|value| InstructionResult::from_record(&value.value).unwrap())
    }

    async fn until(&self, what: &str, done: impl AsyncFn() -> bool) {
        for _ in 0..6_000 {
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "never: {what}; window {}; {:#?}",
            window(&self.node),
            self.tree.status()
        );
    }

    fn storm(&self, seed: u64) {
        self.engine.play(
            Pranks::by(seed)
                .with(Prank::PanicBefore, 120)
                .with(Prank::PanicAfter, 120)
                .with(Prank::LoseAnswer, 120)
                .with(Prank::Refuse, 80)
                .with(Prank::Delay, 100)
                .at_most(20),
        );
        self.luck.panic_by(seed, 100, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn panics_and_failures_at_every_seam_leave_every_instruction_with_a_result() {
    let mut restarted = 0;
    for seed in 0..12 {
        let world = World::start(&gateway(1, "gw1"), Intensity::UNLIMITED).await;
        world.storm(seed);
        let mut given = Vec::new();
        for window in 2..32 {
            fs::write(&world.path, gateway(window, "gw1")).unwrap();
            given.push(world.reload().await);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        let queue = QueueName::from(names::INSTRUCTIONS);
        world
            .until("all are done", async || {
                world.memory.depth(&queue) == Depth::default()
            })
            .await;
        let panics = world.engine.panics() + world.luck.panics();
        for id in &given {
            let result = world.result(*id).await.expect("every instruction has its result");
            assert!(
                ["applied", "unchanged"].contains(&result.outcome.as_str()),
                "{result:?}"
            );
        }
        assert_eq!(window(&world.node), 31, "seed {seed}");
        let status = world.tree.status();
        let restarts = restarts_below(status.find(&["config"]).unwrap());
        assert!(panics == 0 || restarts > 0, "seed {seed}");
        assert_eq!(world.neighbour.load(Ordering::SeqCst), 1);
        restarted += restarts;
        world.engine.calm();
        world.luck.calm();
        assert_eq!(world.tree.drain().await, Exit::Stopped);
    }
    assert!(restarted > 50, "{restarted} restarts");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_watch_saw_is_taken_over_however_often_it_fails() {
    let on = |window| gateway(window, "gw1").replace("[node]", "[node]\nwatch = true");
    for seed in 0..8 {
        let world = World::start(&on(1), Intensity::UNLIMITED).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.storm(seed);
        for window in [20, 300, 1_000] {
            fs::write(&world.path, on(window)).unwrap();
            world
                .until(&format!("seed {seed}: {window} taken over"), async || {
                    super::window(&world.node) == window
                })
                .await;
        }
        assert_eq!(world.neighbour.load(Ordering::SeqCst), 1);
        world.engine.calm();
        world.luck.calm();
        world.tree.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_for_and_a_node_that_can_never_work_ends_the_process_with_70() {
    let world = World::start(&gateway(1, "gw1"), Intensity::new(3, Duration::from_secs(600))).await;
    world.engine.set(Mood::Refusing(EngineError::NoSpace));
    fs::write(&world.path, gateway(2, "gw1")).unwrap();
    let id = world.reload().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(restarts_below(&world.tree.status()), 0);
    assert_eq!(world.result(id).await, None);
    world.engine.calm();
    world
        .until("done", async || world.result(id).await.is_some())
        .await;
    assert_eq!(window(&world.node), 2);
    world.engine.play(Pranks::by(1).with(Prank::PanicBefore, 1000));
    let exit = world.tree.ended().await;
    assert_eq!(exit.code(), 70);
    let Exit::Escalated(why) = exit else {
        panic!("{exit:?}")
    };
    assert!(why.reason.contains("t/config/instructions"), "{why}");
    assert!(world.clock.now() > SimClock::ORIGIN);
}
