//! The router node on the memory engine under paused time, with the other nodes played by the test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod faults;
mod moving;
mod phones;
mod replacing;

use smsgw_config::{Config, ConfigHandle};
use smsgw_message::{
    Address, Class, ClientId, Clock, Dispatch, Down, DownKind, Encoding, Event, EventName, LinkGroup, LinkId,
    MessageId, MessageLife, MessageState, MtMessage, OperatorId, Origin, Part, Receipt, ReceiptState, Record,
    ReportLevel, SubmitOutcome, SubmitResult, Timestamp, Up, Via, names,
};
use smsgw_queue::{
    DeadReason, Engine, Expected, Expiry, Lane, LogName, MemoryEngine, Place, Position, QueueName, Step,
    StepId, Want,
};
use smsgw_runtime::{Exit, Strategy, Supervisor, Tree};
use smsgw_testkit::SimClock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const CONFIG: &str = r#"
[node]
name = "gw1"
[operator.alpha]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "test"
password = "test"
[operator.beta]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "test"
password = "test"
[client.acme]
api_key = "acme-key"
callback = "http://127.0.0.1:9000/events"
[[route.mt]]
prefix = ["49"]
operators = ["alpha"]
[[route.mt]]
prefix = ["43"]
operators = ["beta"]
"#;

fn config(text: &str) -> Config {
    Config::parse("test.toml", text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

async fn start(engine: &Arc<MemoryEngine>, config: &ConfigHandle, clock: &Arc<SimClock>) -> Tree {
    let engine: Arc<dyn Engine> = engine.clone();
    let router = smsgw_node_router::supervise(engine, config.clone(), clock.clone()).unwrap();
    let tree = Supervisor::new("test", Strategy::RestForOne)
        .child(router)
        .spawn()
        .await;
    assert!(tree.started().await);
    tree
}

fn message(clock: &SimClock, n: u16, to: &str, parts: usize) -> MtMessage {
    let mut random = [0; 10];
    random[..2].copy_from_slice(&n.to_be_bytes());
    MtMessage {
        id: MessageId::from_parts(SimClock::ORIGIN, random),
        client: ClientId::try_new("acme").unwrap(),
        accepted_at: clock.now(),
        from: None,
        to: Address::msisdn(to).unwrap(),
        encoding: Encoding::Gsm7,
        parts: vec![
            Part {
                udh: Vec::new(),
                data: b"x".to_vec()
            };
            parts
        ],
        class: Class::Transactional,
        valid_until: clock.now().after(Duration::from_secs(3600)),
        report: ReportLevel::Final,
        callback: None,
        reference: None,
        origin: Origin::Http,
        message_class: None,
        options: None,
        send_at: None,
        tags: None,
        registered_delivery: None,
        bind: None,
        bundle: None,
        batch: None,
        charge: None,
        submitted_coding: None,
    }
}

/// What the client node does.
async fn accept(engine: &dyn Engine, message: &MtMessage) {
    let life = MessageLife::accepted(message.clone()).to_record();
    let lane = Lane::new(message.class, &message.client);
    Step::new(StepId::accept(message.id))
        .publish(names::MT_ACCEPTED, lane, message.to_record())
        .compare_and_put(names::message(message.id), Expected::Absent, life, Expiry::Owner)
        .commit(engine)
        .await
        .unwrap();
}

fn operator(name: &str) -> OperatorId {
    OperatorId::try_new(name).unwrap()
}

fn via(name: &str) -> Via {
    Via {
        operator: operator(name),
        group: LinkGroup::of(&operator(name)),
    }
}

fn result(dispatch: &Dispatch, via: Via, carrier_id: &str, at: Timestamp) -> Up {
    Up::SubmitResult(SubmitResult {
        message: dispatch.message,
        part: dispatch.part,
        client: dispatch.client.clone(),
        link: Some(LinkId::new(&via.operator, 1)),
        via,
        outcome: SubmitOutcome::Sent {
            carrier_id: carrier_id.to_owned(),
        },
        at,
        receipt_asked: true,
        report: dispatch.report,
        reroute: None,
    })
}

fn receipt(via: Via, carrier_id: &str, at: Timestamp) -> Up {
    Up::Receipt(Receipt {
        link: LinkId::new(&via.operator, 1),
        via,
        carrier_id: carrier_id.to_owned(),
        state: ReceiptState::Delivered,
        error: None,
        text: String::new(),
        at,
        done_date: None,
        from: None,
        to: None,
        text_id: None,
    })
}

async fn send_up(engine: &dyn Engine, group: &LinkGroup, up: &Up, id: [u8; 16]) {
    let lane = Lane::new(Class::Transactional, "carrier");
    Step::new(StepId::from_bytes(id))
        .publish(names::up(group), lane, up.to_record())
        .commit(engine)
        .await
        .unwrap();
}

/// What the operator nodes do: every part is taken; `ids` counts carrier ids; every third receipt comes before the
/// answer, every fifth comes twice. Gives the number of parts it took.
async fn carry(engine: &dyn Engine, clock: &SimClock, name: &str, ids: &mut u32) -> usize {
    let queue = QueueName::from(names::mt_operator(&operator(name)));
    let taken = engine
        .checkout(&queue, Want::new(100, Duration::from_millis(200)))
        .await
        .unwrap();
    for delivery in &taken {
        *ids += 1;
        let (carrier_id, now, via) = (format!("{name}-{ids}"), clock.now(), via(name));
        let dispatch = Dispatch::from_record(delivery.record()).unwrap();
        let told = receipt(via.clone(), &carrier_id, now).to_record();
        let answer = result(&dispatch, via.clone(), &carrier_id, now).to_record();
        let (up, lane) = (names::up(&via.group), delivery.lane().clone());
        let early = (*ids).is_multiple_of(3);
        let (first, second) = if early { (&told, &answer) } else { (&answer, &told) };
        let mut step = Step::from(delivery)
            .settle(delivery)
            .publish(up.as_str(), lane.clone(), first.clone())
            .publish(up.as_str(), lane.clone(), second.clone());
        if (*ids).is_multiple_of(5) {
            step = step.publish(up.as_str(), lane, told);
        }
        step.commit(engine).await.unwrap();
    }
    taken.len()
}

/// What the callback node does: reports by message.
async fn listen(engine: &dyn Engine, told: &mut BTreeMap<MessageId, Vec<MessageState>>) -> usize {
    let queue = QueueName::from(names::DOWN_CALLBACK);
    let downs = engine
        .checkout(&queue, Want::new(1_000, Duration::from_millis(200)))
        .await
        .unwrap();
    let mut steps = Vec::new();
    for delivery in &downs {
        match Down::from_record(delivery.record()).unwrap().what {
            DownKind::Report(report) => told.entry(report.message).or_default().push(report.state),
            DownKind::Mo(_) => panic!("no message from a phone in this test"),
        }
        steps.push(Step::from(delivery).settle(delivery));
    }
    for answer in engine.commit(steps).await {
        answer.unwrap();
    }
    downs.len()
}

async fn events(engine: &dyn Engine) -> Vec<EventName> {
    let entries = engine
        .read(
            &LogName::from(names::EVENTS),
            Position(0),
            100_000,
            Duration::ZERO,
        )
        .await
        .unwrap();
    entries
        .iter()
        .map(|entry| Event::from_record(&entry.record).unwrap().name)
        .collect()
}

async fn dead(engine: &dyn Engine, queue: &str) -> Vec<&'static str> {
    let queue = QueueName::from(queue);
    let browsed = engine
        .browse(&queue, Place::DeadLetter, None, 1_000)
        .await
        .unwrap();
    browsed.into_iter().map(|record| record.reason).collect()
}

async fn life(engine: &dyn Engine, id: MessageId) -> MessageLife {
    let found = engine
        .get(vec![names::message(id).into()])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    MessageLife::from_record(&found.value).unwrap()
}

fn world() -> (Arc<SimClock>, ConfigHandle, Arc<MemoryEngine>) {
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    (clock, ConfigHandle::new(config(CONFIG)), engine)
}

#[tokio::test(start_paused = true)]
async fn every_message_is_reported_once_over_both_operators() {
    let (clock, config, engine) = world();
    let tree = start(&engine, &config, &clock).await;
    for n in 0..300u16 {
        let to = if n.is_multiple_of(2) {
            "491700000001"
        } else {
            "436640000001"
        };
        accept(&*engine, &message(&clock, n, to, 1 + usize::from(n % 4))).await;
    }
    let (mut told, mut alpha, mut beta) = (BTreeMap::new(), 0, 0);
    while told.len() < 300 {
        let carried = carry(&*engine, &clock, "alpha", &mut alpha).await
            + carry(&*engine, &clock, "beta", &mut beta).await;
        let heard = listen(&*engine, &mut told).await;
        assert!(carried + heard > 0, "stuck at {} of 300", told.len());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(listen(&*engine, &mut told).await, 0, "nothing is told twice");
    assert!(told.values().all(|states| *states == [MessageState::Delivered]));
    let finals = events(&*engine)
        .await
        .into_iter()
        .filter(|name| *name == EventName::MtFinal)
        .count();
    assert_eq!(finals, 300);
    for (queue, depth) in engine.queues() {
        assert_eq!(depth, smsgw_queue::Depth::default(), "{queue} is not empty");
    }
    assert_eq!(tree.drain().await, Exit::Stopped);
}

/// Receipts stand under the ids of answers that the router takes for new.
#[tokio::test(start_paused = true)]
async fn answers_find_the_receipts_that_have_waited_for_them() {
    let (clock, config, engine) = world();
    let tree = start(&engine, &config, &clock).await;
    for n in 0..300 {
        accept(&*engine, &message(&clock, n, "491700000001", 1)).await;
    }
    let queue = QueueName::from(names::mt_operator(&operator("alpha")));
    let via = via("alpha");
    let mut taken = Vec::new();
    while taken.len() < 300 {
        let want = Want::new(100, Duration::from_millis(200));
        taken.extend(engine.checkout(&queue, want).await.unwrap());
    }
    let step = |kind: u8, n: usize| {
        let mut id = [kind; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        id
    };
    // Two of three are there long before.
    for n in (0..300).filter(|n| n % 3 > 0) {
        let told = receipt(via.clone(), &format!("id-{n}"), clock.now());
        send_up(&*engine, &via.group, &told, step(1, n)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (n, delivery) in taken.iter().enumerate() {
        let dispatch = Dispatch::from_record(delivery.record()).unwrap();
        let answer = result(&dispatch, via.clone(), &format!("id-{n}"), clock.now());
        send_up(&*engine, &via.group, &answer, step(2, n)).await;
        Step::from(delivery)
            .settle(delivery)
            .commit(&*engine)
            .await
            .unwrap();
    }
    for n in (0..300).filter(|n| n % 3 == 0) {
        let told = receipt(via.clone(), &format!("id-{n}"), clock.now());
        send_up(&*engine, &via.group, &told, step(1, n)).await;
    }
    let mut told = BTreeMap::new();
    while told.len() < 300 {
        assert!(
            listen(&*engine, &mut told).await > 0,
            "stuck at {} of 300",
            told.len()
        );
    }
    assert!(told.values().all(|states| *states == [MessageState::Delivered]));
    assert_eq!(dead(&*engine, &names::up(&via.group)).await, Vec::<&str>::new());
    assert_eq!(tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_every_message_is_still_reported_once() {
    let (clock, config, mut engine) = world();
    for n in 0..200u16 {
        accept(
            &*engine,
            &message(&clock, n, "491700000001", 1 + usize::from(n % 3)),
        )
        .await;
    }
    let (mut told, mut ids) = (BTreeMap::new(), 0);
    let mut kills = 0;
    let mut idle = 0;
    while told.len() < 200 {
        let tree = start(&engine, &config, &clock).await;
        // A different number of turns of the runtime each time, so that kills fall between steps of every kind.
        for _ in 0..kills {
            tokio::task::yield_now().await;
        }
        let carried = carry(&*engine, &clock, "alpha", &mut ids).await;
        let heard = listen(&*engine, &mut told).await;
        idle = if carried + heard > 0 { 0 } else { idle + 1 };
        assert!(idle < 20, "stuck at {} of 200", told.len());
        engine = engine.reopen();
        tree.stop().await;
        kills += 1;
    }
    assert!(kills >= 3, "killed {kills} times");
    let tree = start(&engine, &config, &clock).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(listen(&*engine, &mut told).await, 0, "nothing is told twice");
    assert!(told.values().all(|states| *states == [MessageState::Delivered]));
    assert_eq!(tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn parts_over_two_link_groups_meet_in_one_report() {
    let (clock, config, engine) = world();
    let tree = start(&engine, &config, &clock).await;
    let long = message(&clock, 1, "491700000001", 40);
    accept(&*engine, &long).await;
    let queue = QueueName::from(names::mt_operator(&operator("alpha")));
    let parts = engine
        .checkout(&queue, Want::new(100, Duration::from_secs(5)))
        .await
        .unwrap();
    assert_eq!(parts.len(), 40);
    // All at once into two partitions: both workers write the same record again and again.
    let mut steps = Vec::new();
    for (n, delivery) in parts.iter().enumerate() {
        let via = via(if n.is_multiple_of(2) { "alpha" } else { "beta" });
        let dispatch = Dispatch::from_record(delivery.record()).unwrap();
        let (up, lane, id, now) = (
            names::up(&via.group),
            delivery.lane().clone(),
            format!("id-{n}"),
            clock.now(),
        );
        steps.push(
            Step::from(delivery)
                .settle(delivery)
                .publish(
                    up.as_str(),
                    lane.clone(),
                    result(&dispatch, via.clone(), &id, now).to_record(),
                )
                .publish(up.as_str(), lane, receipt(via, &id, now).to_record()),
        );
    }
    assert!(
        engine
            .commit(steps)
            .await
            .into_iter()
            .all(|answer| answer.is_ok())
    );
    let mut told = BTreeMap::new();
    for _ in 0..50 {
        listen(&*engine, &mut told).await;
    }
    assert_eq!(told.remove(&long.id), Some(vec![MessageState::Delivered]));
    assert_eq!(tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_nobody_claims_is_a_dead_letter_and_a_message_nobody_ends_expires() {
    let (clock, config, engine) = world();
    let tree = start(&engine, &config, &clock).await;
    let lost = message(&clock, 1, "491700000001", 1);
    accept(&*engine, &lost).await;
    let group = via("alpha").group;
    send_up(
        &*engine,
        &group,
        &receipt(via("alpha"), "nobodys", clock.now()),
        [9; 16],
    )
    .await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!(dead(&*engine, &names::up(&group)).await.len(), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        dead(&*engine, &names::up(&group)).await,
        [DeadReason::UnknownReceipt.as_str()]
    );
    assert!(events(&*engine).await.contains(&EventName::DrUnknown));
    assert_eq!(life(&*engine, lost.id).await.state, MessageState::Queued);
    // One hour of validity and 24 hours of grace.
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    let mut told = BTreeMap::new();
    listen(&*engine, &mut told).await;
    assert_eq!(told.remove(&lost.id), Some(vec![MessageState::Expired]));
    assert_eq!(tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_new_route_is_used_from_its_epoch_on_and_corrupt_records_stop_nobody() {
    let (clock, config_handle, engine) = world();
    let tree = start(&engine, &config_handle, &clock).await;
    let lane = || Lane::new(Class::Otp, "acme");
    let broken = smsgw_queue::Step::new(StepId::from_bytes([1; 16]))
        .publish(names::MT_ACCEPTED, lane(), vec![1, 99, 0].into())
        .publish(names::ALARMS, lane(), vec![0xFF].into())
        .publish(names::up_partition(0), lane(), Vec::new().into());
    broken.commit(&*engine).await.unwrap();
    let before = message(&clock, 1, "33100000000", 1);
    accept(&*engine, &before).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(life(&*engine, before.id).await.error.as_deref(), Some("no_route"));
    for queue in [names::MT_ACCEPTED, names::ALARMS, "up.0"] {
        assert_eq!(engine.depth(&QueueName::from(queue)).corrupt, 1, "{queue}");
    }
    config_handle.publish(config(&CONFIG.replace("\"43\"", "\"43\", \"33\"")));
    // The table is built on a thread of its own, in real time: messages are tried until one takes the new route.
    let mut state = MessageState::Rejected;
    for n in 2..5_000 {
        let after = message(&clock, n, "33100000000", 1);
        accept(&*engine, &after).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        state = life(&*engine, after.id).await.state;
        if state == MessageState::Queued {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(state, MessageState::Queued);
    assert_eq!(tree.drain().await, Exit::Stopped);
}
