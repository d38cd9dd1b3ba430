//! Orders about operators: they are done, last across a restart and a reload, and touch no other operator.

use super::*;
use smsgw_message::{Class, Clock, InstructionResult, MessageId, OperatorId, Record, names};
use smsgw_node_config::{OperatorAct, instruct_operator, supervise};
use smsgw_queue::{Engine, Lane, MemoryEngine, QueueName, StateKey, Step, StepId, Want};
use smsgw_runtime::{Strategy, Supervisor, Tree};
use smsgw_testkit::SimClock;
use std::sync::Arc;

const TWO: &str = "[node]\nname = \"gw1\"\n[operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"h:1\"]\nsystem_id = \"a\"\n\
                   password = \"x\"\n[operator.beta]\nprotocol = \"smpp\"\nhosts = [\"h:1\"]\nsystem_id = \"b\"\npassword = \"x\"\n";

fn id(name: &str) -> OperatorId {
    OperatorId::try_new(name).unwrap()
}

struct World {
    _folder: TempDir,
    path: PathBuf,
    memory: Arc<MemoryEngine>,
    clock: Arc<SimClock>,
    node: Arc<ConfigNode>,
    tree: Tree,
}

impl World {
    async fn start() -> Self {
        let (folder, path) = file(TWO);
        let clock = Arc::new(SimClock::new());
        let memory = MemoryEngine::new(clock.clone());
        Self::start_over(folder, path, memory, clock).await
    }

    async fn start_over(
        folder: TempDir,
        path: PathBuf,
        memory: Arc<MemoryEngine>,
        clock: Arc<SimClock>,
    ) -> Self {
        let node = ConfigNode::start(&path).unwrap();
        node.restore(&*memory).await.unwrap();
        let node = Arc::new(node);
        let tree = Supervisor::new("t", Strategy::OneForOne)
            .child(supervise(Arc::clone(&node), memory.clone(), clock.clone()))
            .spawn()
            .await;
        assert!(tree.started().await);
        Self {
            _folder: folder,
            path,
            memory,
            clock,
            node,
            tree,
        }
    }

    async fn restart(self) -> Self {
        self.tree.drain().await;
        Self::start_over(self._folder, self.path, self.memory, self.clock).await
    }

    async fn result(&self, of: MessageId) -> (String, String) {
        let key = StateKey::from(names::instruction(of));
        for _ in 0..1000 {
            if let Some(found) = self.memory.get(vec![key.clone()]).await.unwrap().pop().flatten() {
                let result = InstructionResult::from_record(&found.value).unwrap();
                return (result.outcome, result.detail);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no result");
    }

    async fn order(&self, act: OperatorAct, operator: &str) -> (String, String) {
        self.order_link(act, operator, None).await
    }

    async fn order_link(&self, act: OperatorAct, operator: &str, link: Option<u32>) -> (String, String) {
        let given = instruct_operator(&*self.memory, &*self.clock, act, &id(operator), link, "test").await;
        self.result(given.unwrap()).await
    }

    async fn word(&self, act: OperatorAct, operator: &str) -> String {
        self.order(act, operator).await.0
    }

    fn enabled(&self) -> Vec<bool> {
        let config = self.node.config().config();
        config
            .operator
            .values()
            .map(|operator| operator.enabled)
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_lasts_across_restart_and_reload_until_the_start() {
    let world = World::start().await;
    assert_eq!(world.word(OperatorAct::Stop, "alpha").await, "applied");
    assert_eq!(world.enabled(), [false, true], "beta is not touched");
    assert_eq!(world.word(OperatorAct::Stop, "alpha").await, "unchanged");

    let world = world.restart().await;
    assert_eq!(world.enabled(), [false, true]);
    fs::write(&world.path, TWO.replace("h:1", "h:2")).unwrap();
    assert!(matches!(
        world.node.handle(Instruction::Reload).await,
        Outcome::Applied { .. }
    ));
    assert_eq!(world.enabled(), [false, true]);
    assert!(matches!(
        world.node.handle(Instruction::Rollback).await,
        Outcome::Applied { .. }
    ));
    assert_eq!(world.enabled(), [false, true]);

    assert_eq!(world.word(OperatorAct::Start, "alpha").await, "applied");
    let world = world.restart().await;
    assert_eq!(world.enabled(), [true, true]);
}

#[tokio::test(start_paused = true)]
async fn orders_for_one_link_last_and_leave_its_siblings() {
    let world = World::start().await;
    let two = TWO.replace(
        "password = \"x\"\n[operator.beta]",
        "password = \"x\"\nbinds = 3\nlinks_stopped = [3]\n[operator.beta]",
    );
    fs::write(&world.path, &two).unwrap();
    world.node.handle(Instruction::Reload).await;
    let wishes = |world: &World| {
        let config = world.node.config().config();
        let alpha = &config.operator[&id("alpha")];
        [1, 2, 3].map(|link| alpha.link_wish(link))
    };
    use smsgw_config::LinkWish::{Drained, Held, Open, Stopped};
    assert_eq!(wishes(&world), [Open, Open, Stopped]);
    for (act, link, said, then) in [
        (
            OperatorAct::Drain,
            2,
            "link alpha-2 is drained: closed once all is answered",
            [Open, Drained, Stopped],
        ),
        (
            OperatorAct::Start,
            3,
            "link alpha-3 is started",
            [Open, Drained, Open],
        ),
        (
            OperatorAct::Hold,
            3,
            "link alpha-3 is held",
            [Open, Drained, Held],
        ),
        (
            OperatorAct::Stop,
            2,
            "link alpha-2 is stopped",
            [Open, Stopped, Held],
        ),
    ] {
        let told = world.order_link(act, "alpha", Some(link)).await;
        assert_eq!((told.0.as_str(), told.1.as_str()), ("applied", said));
        assert_eq!(wishes(&world), then);
    }
    let again = world.order_link(OperatorAct::Stop, "alpha", Some(2)).await;
    assert_eq!(again.0, "unchanged");
    let none = world.order_link(OperatorAct::Stop, "alpha", Some(4)).await;
    assert_eq!(
        (none.0.as_str(), none.1.as_str()),
        ("refused", "operator alpha has no link 4: there are 1 to 3")
    );

    let world = world.restart().await;
    assert_eq!(wishes(&world), [Open, Stopped, Held]);
    // The whole operator: its links' own orders stay.
    assert_eq!(world.word(OperatorAct::Drain, "alpha").await, "applied");
    assert_eq!(wishes(&world), [Drained; 3]);
    let held = world.order_link(OperatorAct::Release, "alpha", Some(3)).await;
    assert_eq!(held.0, "applied");
    let started = world.order(OperatorAct::Start, "alpha").await;
    assert_eq!(
        started.1,
        "operator alpha is started, but these links stay closed: alpha-2"
    );
    assert_eq!(wishes(&world), [Open, Stopped, Open]);
    // Links that leave the file take their orders along, with the next order.
    fs::write(&world.path, TWO).unwrap();
    world.node.handle(Instruction::Reload).await;
    world.word(OperatorAct::Stop, "beta").await;
    fs::write(&world.path, &two).unwrap();
    world.node.handle(Instruction::Reload).await;
    assert_eq!(wishes(&world), [Open, Open, Stopped]);
}

#[tokio::test(start_paused = true)]
async fn a_start_opens_what_the_file_keeps_closed() {
    let world = World::start().await;
    fs::write(&world.path, TWO.to_owned() + "enabled = false\n").unwrap();
    world.node.handle(Instruction::Reload).await;
    assert_eq!(world.enabled(), [true, false]);
    assert_eq!(world.word(OperatorAct::Start, "beta").await, "applied");
    let world = world.restart().await;
    assert_eq!(world.enabled(), [true, true]);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_stays_until_it_is_released() {
    let world = World::start().await;
    let queue = QueueName::from(names::mt_operator(&id("alpha")));
    assert_eq!(world.word(OperatorAct::Hold, "alpha").await, "applied");
    assert_eq!(world.word(OperatorAct::Hold, "alpha").await, "unchanged");
    let message = MessageId::from_parts(world.clock.now(), [7; 10]);
    Step::new(StepId::accept(message))
        .publish(
            queue.clone(),
            Lane::new(Class::Otp, "acme"),
            b"part".to_vec().into(),
        )
        .commit(&*world.memory)
        .await
        .unwrap();
    let none = world
        .memory
        .checkout(&queue, Want::new(1, Duration::from_secs(5)))
        .await;
    assert!(none.unwrap().is_empty());
    assert_eq!(world.enabled(), [true, true], "links are not touched");
    assert_eq!(world.word(OperatorAct::Release, "alpha").await, "applied");
    assert_eq!(world.word(OperatorAct::Release, "alpha").await, "unchanged");
    let one = world
        .memory
        .checkout(&queue, Want::new(1, Duration::from_secs(5)))
        .await;
    assert_eq!(one.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_for_nobody_is_refused_and_said() {
    let world = World::start().await;
    for act in ["stop", "start", "drain", "hold", "release"] {
        let act = OperatorAct::from_word(act).unwrap();
        let (word, detail) = world.order(act, "gamma").await;
        assert_eq!(
            (word.as_str(), detail.as_str()),
            ("refused", "there is no operator \"gamma\"")
        );
    }
    assert_eq!(world.enabled(), [true, true]);
    assert!(
        world
            .memory
            .queues()
            .iter()
            .all(|(queue, _)| !queue.as_str().contains("gamma"))
    );
}
