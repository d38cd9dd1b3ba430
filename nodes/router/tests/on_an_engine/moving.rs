//! What waits for an operator is given to another one, with the administrator and the operators played by the test.

use super::*;
use smsgw_message::{Instruction, InstructionResult, Tries};
use smsgw_node_router::{MoveOrder, Moved};
use smsgw_queue::{Cost, Flow, ReleaseReason};
use smsgw_runtime::Intensity;
use smsgw_testkit::{MoodyEngine, Prank, Pranks};

const TO: &str = "491700000001";

fn queue(name: &str) -> QueueName {
    QueueName::from(names::mt_operator(&operator(name)))
}

/// What the config node forwards.
async fn order(engine: &dyn Engine, at: Timestamp, n: u8, from: &str, order: &MoveOrder) -> MessageId {
    let id = MessageId::from_parts(at, [n; 10]);
    let instruction = Instruction {
        id,
        verb: names::MOVE.to_owned(),
        by: "test".to_owned(),
        at,
        target: Some(from.to_owned()),
        link: None,
        reason: None,
        argument: Some(serde_json::to_string(order).unwrap()),
    };
    Step::new(StepId::accept(id))
        .publish(
            names::INSTRUCTIONS_ROUTER,
            Lane::new(Class::Otp, Flow::from("instructions")),
            instruction.to_record(),
        )
        .commit(engine)
        .await
        .unwrap();
    id
}

fn to(name: &str) -> MoveOrder {
    MoveOrder {
        to: Some(name.to_owned()),
        ..MoveOrder::default()
    }
}

async fn result(engine: &dyn Engine, id: MessageId) -> Option<(String, Result<Moved, String>)> {
    let found = engine
        .get(vec![names::instruction(id).into()])
        .await
        .unwrap()
        .remove(0)?;
    let result = InstructionResult::from_record(&found.value).unwrap();
    let moved = serde_json::from_str(&result.detail).map_err(|_| result.detail);
    Some((result.outcome, moved))
}

async fn done(engine: &dyn Engine, id: MessageId) -> (String, Moved) {
    for _ in 0..600 {
        if let Some((outcome, moved)) = result(engine, id).await {
            return (outcome, moved.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the order is not answered");
}

/// Messages and parts of every record that waits, by operator: nothing may be there twice.
async fn waiting(engine: &dyn Engine, name: &str) -> BTreeMap<(MessageId, u16), usize> {
    let mut seen = BTreeMap::new();
    for place in [Place::Ready, Place::Deferred, Place::InFlight] {
        for browsed in engine.browse(&queue(name), place, None, 10_000).await.unwrap() {
            let dispatch = Dispatch::from_record(&browsed.record).unwrap();
            assert_eq!(dispatch.operator, operator(name));
            *seen.entry((dispatch.message, dispatch.part)).or_insert(0) += 1;
        }
    }
    seen
}

fn stays(moved: &Moved) -> Vec<(&str, u64)> {
    moved
        .stays
        .iter()
        .map(|(why, parts)| (why.as_str(), *parts))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn interrupted_again_and_again_everything_goes_and_is_sent_once() {
    let (clock, config, engine) = world();
    let tree = start(&engine, &config, &clock).await;
    let mut parts = 0;
    for n in 0..600u16 {
        let count = 1 + usize::from(n % 3);
        parts += count;
        accept(&*engine, &message(&clock, n, TO, count)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(waiting(&*engine, "alpha").await.len(), parts);
    tree.stop().await;
    let given = order(&*engine, clock.now(), 1, "alpha", &to("beta")).await;
    let moody = MoodyEngine::over(engine.clone());
    let pranks = Pranks::by(7)
        .with(Prank::PanicBefore, 100)
        .with(Prank::PanicAfter, 200)
        .with(Prank::LoseAnswer, 150)
        .with(Prank::Refuse, 50)
        .with(Prank::Delay, 100);
    moody.play(pranks.at_most(60));
    let node = smsgw_node_router::supervise(moody.clone(), config.clone(), clock.clone()).unwrap();
    let tree = Supervisor::new("test", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(node)
        .spawn()
        .await;
    let mut looks = 0;
    while result(&*engine, given).await.is_none() {
        let (alpha, beta) = (waiting(&*engine, "alpha").await, waiting(&*engine, "beta").await);
        assert!(alpha.values().chain(beta.values()).all(|times| *times == 1));
        assert!(alpha.keys().all(|part| !beta.contains_key(part)));
        assert_eq!(alpha.len() + beta.len(), parts);
        tokio::time::sleep(Duration::from_millis(20)).await;
        looks += 1;
        assert!(looks < 100_000, "{:#?}", tree.status());
    }
    assert!(moody.panics() > 3, "{} panics", moody.panics());
    tree.stop().await;
    let (outcome, moved) = done(&*engine, given).await;
    assert_eq!(
        (
            outcome.as_str(),
            moved.messages,
            moved.parts,
            moved.ended,
            stays(&moved)
        ),
        ("applied", 600, parts as u64, 0, vec![])
    );
    let tree = start(&engine, &config, &clock).await;
    let (mut told, mut ids) = (BTreeMap::new(), 0);
    while told.len() < 600 {
        let carried = carry(&*engine, &clock, "beta", &mut ids).await;
        let heard = listen(&*engine, &mut told).await;
        assert!(carried + heard > 0, "stuck at {} of 600", told.len());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(listen(&*engine, &mut told).await, 0, "nothing is told twice");
    assert!(told.values().all(|states| *states == [MessageState::Delivered]));
    assert_eq!(u64::from(ids), parts as u64, "each part was sent once");
    // What was given to alpha is taken back from it, part by part.
    let entries = engine
        .read(
            &LogName::from(names::EVENTS),
            Position(0),
            100_000,
            Duration::ZERO,
        )
        .await
        .unwrap();
    let of = |name: EventName, operator: &str| {
        let events = entries
            .iter()
            .map(|entry| Event::from_record(&entry.record).unwrap());
        let events = events.filter(|event| event.name == name);
        let events = events.filter(|event| {
            event
                .operator
                .as_ref()
                .is_some_and(|there| there.as_str() == operator)
        });
        events.map(|event| usize::from(event.parts)).sum::<usize>()
    };
    assert_eq!(of(EventName::MtRouted, "alpha"), parts);
    assert_eq!(of(EventName::MtTakenBack, "alpha"), parts);
    assert_eq!(of(EventName::MtRerouted, "beta"), parts);
    for (queue, depth) in engine.queues() {
        assert_eq!(depth, smsgw_queue::Depth::default(), "{queue} is not empty");
    }
    assert_eq!(tree.drain().await, Exit::Stopped);
}

/// A part that a client cut itself, one of two.
fn cut(clock: &SimClock, n: u16, sequence: u8) -> MtMessage {
    MtMessage {
        bundle: Some(7 + u64::from(n / 10)),
        parts: vec![Part {
            udh: vec![5, 0, 3, 9, 2, sequence],
            data: b"x".to_vec(),
        }],
        ..message(clock, n, TO, 1)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_or_may_have_been_stays_with_its_siblings() {
    let (clock, config, mut engine) = world();
    let tree = start(&engine, &config, &clock).await;
    let id = |n: u16| message(&clock, n, TO, 1).id;
    let routed = async |engine: &MemoryEngine, message: &MtMessage| {
        accept(engine, message).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let checkout = async |engine: &MemoryEngine, max: usize| {
        engine
            .checkout(&queue("alpha"), Want::new(max, Duration::ZERO))
            .await
            .unwrap()
    };
    // 1: its first part is sent. 2: with a carrier when the process died, and since then in doubt.
    routed(&engine, &message(&clock, 1, TO, 2)).await;
    let taken = checkout(&engine, 1).await;
    let dispatch = Dispatch::from_record(taken[0].record()).unwrap();
    let answer = super::result(&dispatch, via("alpha"), "a1", clock.now());
    Step::from(&taken[0])
        .settle(&taken[0])
        .publish(
            names::up(&via("alpha").group),
            taken[0].lane().clone(),
            answer.to_record(),
        )
        .commit(&*engine)
        .await
        .unwrap();
    drop(taken);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = checkout(&engine, 1).await;
    Step::from(&second[0])
        .release(
            &second[0],
            Duration::from_secs(600),
            ReleaseReason::Temporary,
            Cost::Counted,
        )
        .commit(&*engine)
        .await
        .unwrap();
    drop(second);
    routed(&engine, &message(&clock, 2, TO, 1)).await;
    let dying = checkout(&engine, 1).await;
    engine = engine.reopen();
    tree.stop().await;
    drop(dying);
    let tree = start(&engine, &config, &clock).await;
    let in_doubt = checkout(&engine, 1).await;
    assert!(in_doubt[0].leased_before_crash());
    Step::from(&in_doubt[0])
        .release(
            &in_doubt[0],
            Duration::from_secs(600),
            ReleaseReason::InDoubt,
            Cost::Free,
        )
        .put(
            names::tries(&operator("alpha"), id(2), 1),
            Tries { full: 0, in_doubt: 1 }.to_record(),
            Expiry::Owner,
        )
        .commit(&*engine)
        .await
        .unwrap();
    drop(in_doubt);
    // 3: a doubt was counted. 4: the carrier's queue was full, which says that it has nothing of it.
    for (n, tries) in [
        (3, Tries { full: 0, in_doubt: 1 }),
        (4, Tries { full: 2, in_doubt: 0 }),
    ] {
        routed(&engine, &message(&clock, n, TO, 1)).await;
        let taken = checkout(&engine, 1).await;
        Step::from(&taken[0])
            .release(
                &taken[0],
                Duration::from_secs(600),
                ReleaseReason::MobileQueueFull,
                Cost::Free,
            )
            .put(
                names::tries(&operator("alpha"), id(n), 1),
                tries.to_record(),
                Expiry::Owner,
            )
            .commit(&*engine)
            .await
            .unwrap();
    }
    // 11: one of two parts that a client cut. 21 and 22: both of two.
    for message in [cut(&clock, 11, 1), cut(&clock, 21, 1), cut(&clock, 22, 2)] {
        routed(&engine, &message).await;
    }
    // 5: it has ended. 6: its record is gone. 7: three parts, nothing of it ever sent.
    routed(&engine, &message(&clock, 5, TO, 1)).await;
    let ended = MessageLife {
        is_final: true,
        ..life(&*engine, id(5)).await
    };
    routed(&engine, &message(&clock, 6, TO, 1)).await;
    Step::new(StepId::from_bytes([8; 16]))
        .put(names::message(id(5)), ended.to_record(), Expiry::Owner)
        .delete(names::message(id(6)), Expected::Any)
        .commit(&*engine)
        .await
        .unwrap();
    routed(&engine, &message(&clock, 7, TO, 3)).await;
    // 8: with a link now. 10: a link had it, and never said what became of it.
    for n in [8, 10] {
        routed(&engine, &message(&clock, n, TO, 1)).await;
    }
    let page = engine
        .browse(&queue("alpha"), Place::Ready, None, 100)
        .await
        .unwrap();
    let all = checkout(&engine, 100).await;
    assert_eq!(all.len(), page.len());
    let (with_a_link, rest): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|delivery| Dispatch::from_record(delivery.record()).unwrap().message == id(8));
    let is = |delivery: &smsgw_queue::Delivery, n| {
        Dispatch::from_record(delivery.record()).unwrap().message == id(n)
    };
    for delivery in rest.iter().filter(|delivery| !is(delivery, 10)) {
        Step::from(delivery)
            .release(delivery, Duration::ZERO, ReleaseReason::LinkLost, Cost::Free)
            .commit(&*engine)
            .await
            .unwrap();
    }
    drop(rest);
    let now = clock.now();
    tokio::time::sleep(Duration::from_millis(10)).await;
    // 9: put there after the order.
    routed(&engine, &message(&clock, 9, TO, 1)).await;
    let given = order(&*engine, now, 1, "alpha", &to("beta")).await;
    let (outcome, moved) = done(&*engine, given).await;
    assert_eq!(
        (outcome.as_str(), moved.messages, moved.parts, moved.ended),
        ("applied", 4, 6, 1)
    );
    assert_eq!(
        stays(&moved),
        [
            ("apart", 2),
            ("in_doubt", 3),
            ("in_flight", 1),
            ("later", 1),
            ("unknown", 1)
        ]
    );
    let there: Vec<(MessageId, u16)> = waiting(&*engine, "beta").await.into_keys().collect();
    assert_eq!(
        there,
        [
            (id(4), 1),
            (id(7), 1),
            (id(7), 2),
            (id(7), 3),
            (id(21), 1),
            (id(22), 1)
        ]
    );
    assert!(
        engine
            .get(vec![names::tries(&operator("alpha"), id(4), 1).into()])
            .await
            .unwrap()[0]
            .is_none()
    );
    let moved_life = life(&*engine, id(7)).await;
    assert!(moved_life.parts.iter().all(|part| part.via == Some(via("beta"))));
    let last = moved_life.events.last().unwrap();
    assert_eq!(
        (last.event, last.detail.as_deref()),
        (EventName::MtRerouted, Some("alpha to beta: moved by instruction"))
    );
    assert_eq!(life(&*engine, id(1)).await.parts[1].via, Some(via("alpha")));
    drop(with_a_link);
    // The same again finds what came back meanwhile, and nothing else.
    let again = order(&*engine, clock.now(), 2, "alpha", &to("beta")).await;
    let (outcome, moved) = done(&*engine, again).await;
    assert_eq!((outcome.as_str(), moved.parts), ("applied", 1), "{moved:?}");
    assert_eq!(tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_gone_is_emptied_by_class_client_and_route() {
    let (clock, config_handle, engine) = world();
    let tree = start(&engine, &config_handle, &clock).await;
    for n in 0..30u16 {
        let class = if n < 10 { Class::Otp } else { Class::Bulk };
        accept(
            &*engine,
            &MtMessage {
                class,
                ..message(&clock, n, TO, 1)
            },
        )
        .await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Without alpha, and with a route of its phones to beta, which is the only one to it that there is.
    let without = CONFIG
        .replace("[operator.alpha]", "[operator.gamma]")
        .replace("\"alpha\"", "\"beta\"");
    config_handle.publish(config(&without));
    for (n, order_of, outcome, parts) in [
        (
            1,
            MoveOrder {
                class: Some("otp".to_owned()),
                ..to("gamma")
            },
            "applied",
            10,
        ),
        (
            2,
            MoveOrder {
                client: Some("other".to_owned()),
                ..to("gamma")
            },
            "unchanged",
            0,
        ),
        (
            3,
            MoveOrder {
                client: Some("acme".to_owned()),
                ..MoveOrder::default()
            },
            "applied",
            20,
        ),
    ] {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let given = order(&*engine, clock.now(), n, "alpha", &order_of).await;
        let (word, moved) = done(&*engine, given).await;
        assert_eq!(
            (word.as_str(), moved.parts),
            (outcome, parts),
            "{order_of:?}: {moved:?}"
        );
    }
    assert_eq!(waiting(&*engine, "gamma").await.len(), 10);
    assert_eq!(waiting(&*engine, "beta").await.len(), 20);
    for (n, from, order_of, why) in [
        (4, "beta", to("beta"), "they wait for operator beta already"),
        (5, "beta", to("alpha"), "there is no operator alpha"),
        (
            6,
            "no name!",
            to("beta"),
            "\"no name!\" is no name of an operator",
        ),
        (
            7,
            "beta",
            MoveOrder {
                class: Some("fast".to_owned()),
                ..to("gamma")
            },
            "\"fast\" is no class",
        ),
    ] {
        let given = order(&*engine, clock.now(), n, from, &order_of).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (outcome, detail) = result(&*engine, given).await.unwrap();
        assert_eq!(outcome, "refused");
        assert!(detail.as_ref().unwrap_err().contains(why), "{detail:?}");
    }
    assert_eq!(tree.drain().await, Exit::Stopped);
}
