//! The ledger: what is open, what balances, and that whatever is planted is found and named.

use super::*;
use smsgw_message::{Encoding, MessageLife, MtMessage, Origin, Part, ReportLevel};
use smsgw_node_counter::ledger::{Balance, Broken, Fault, Scope, balance};
use smsgw_queue::{Expected, Expiry, Lane};

const SCOPE: Scope = Scope {
    at_most: 100_000,
    patience: Duration::from_secs(5),
};

fn life(id: MessageId, at: Timestamp, is_final: bool) -> MessageLife {
    let mut life = MessageLife::accepted(MtMessage {
        id,
        client: ClientId::try_new("acme").unwrap(),
        accepted_at: at,
        from: None,
        to: Address::msisdn("491700000001").unwrap(),
        encoding: Encoding::Gsm7,
        parts: vec![Part {
            udh: Vec::new(),
            data: b"x".to_vec(),
        }],
        class: Class::Otp,
        valid_until: at.after(Duration::from_secs(86_400)),
        report: ReportLevel::None,
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
    });
    life.is_final = is_final;
    life
}

struct World {
    clock: Arc<SimClock>,
    engine: Arc<MemoryEngine>,
    tree: Tree,
    steps: u64,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(SimClock::new());
        let engine = MemoryEngine::new(clock.clone());
        let tree = start(&engine, &clock).await;
        Self {
            clock,
            engine,
            tree,
            steps: 0,
        }
    }

    async fn commit(&mut self, with: impl FnOnce(Step) -> Step) {
        self.steps += 1;
        let mut id = *b"world\0\0\0________";
        id[8..].copy_from_slice(&self.steps.to_be_bytes());
        with(Step::new(StepId::from_bytes(id)))
            .commit(&*self.engine)
            .await
            .unwrap();
    }

    /// As the client node does it: record and event in one step.
    async fn accept(&mut self, n: u64) -> MessageId {
        let now = self.clock.now();
        let event = accepted(now, n);
        let id = event.message.unwrap();
        let life = life(id, now, false).to_record();
        self.commit(|step| {
            step.put(names::message(id), life, Expiry::Owner)
                .append(names::EVENTS, event.to_record())
        })
        .await;
        id
    }

    /// As the router does it.
    async fn end(&mut self, id: MessageId, state: MessageState) {
        let now = self.clock.now();
        let event = Event {
            message: Some(id),
            state: Some(state),
            ..event(now, EventName::MtFinal)
        };
        let life = life(id, now, true).to_record();
        self.commit(|step| {
            step.put(names::message(id), life, Expiry::Owner)
                .append(names::EVENTS, event.to_record())
        })
        .await;
    }

    async fn event(&mut self, event: Event) {
        self.commit(|step| step.append(names::EVENTS, event.to_record()))
            .await;
    }

    async fn balance(&self) -> Balance {
        balance(&*self.engine, SCOPE).await.unwrap()
    }
}

fn broken(message: MessageId, fault: Fault) -> Vec<Broken> {
    vec![Broken { message, fault }]
}

#[tokio::test(start_paused = true)]
async fn every_message_is_open_or_has_ended_once_and_what_balances_is_forgotten() {
    let mut world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(world.accept(n).await);
    }
    counted().await;
    let found = world.balance().await;
    assert!(found.holds() && found.is_settled(), "{found:#?}");
    assert_eq!((found.open, found.checked, found.clients[0].open()), (20, 20, 20));
    assert_eq!(found.clients[0].found_open, Some(20));
    // Ends come hours later, in another order; one message stays open.
    tokio::time::sleep(Duration::from_secs(5 * 3600)).await;
    let states = [
        MessageState::Delivered,
        MessageState::Failed,
        MessageState::Expired,
        MessageState::Rejected,
        MessageState::Cancelled,
        MessageState::Sent,
    ];
    for (n, id) in ids.iter().enumerate().skip(1).rev() {
        world.end(*id, states[n % 6]).await;
    }
    counted().await;
    let found = world.balance().await;
    assert!(found.holds() && found.is_settled(), "{found:#?}");
    assert_eq!((found.open, found.clients[0].totals.ended()), (1, 19));
    world.end(ids[0], MessageState::Delivered).await;
    counted().await;
    let found = world.balance().await;
    assert!(
        found.holds() && found.open == 0 && found.checked == 0,
        "{found:#?}"
    );
    // Nothing is left of the minute but the totals.
    let minute = ids[0].as_bytes()[..6]
        .iter()
        .fold(0_i64, |sum, octet| sum << 8 | i64::from(*octet))
        / 60_000;
    let keys = [
        format!("ledger/{minute}"),
        format!("ledger/{minute}/0"),
        format!("ledger/{minute}/1"),
    ];
    let left = world
        .engine
        .get(keys.iter().map(|key| key.as_str().into()).collect())
        .await
        .unwrap();
    assert!(left.iter().all(Option::is_none), "{left:?}");
    assert_eq!(world.tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_lost_is_named() {
    let mut world = World::new().await;
    world.accept(1).await;
    let lost = world.accept(2).await;
    world
        .commit(|step| step.delete(names::message(lost), Expected::Any))
        .await;
    counted().await;
    let found = world.balance().await;
    assert!(!found.holds());
    assert_eq!(found.broken, broken(lost, Fault::Lost));
    assert_eq!(found.clients[0].difference(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_not_counted_and_one_that_is_counted_twice_are_named_at_once_and_later() {
    let mut world = World::new().await;
    let (silent, twice) = (world.accept(1).await, world.accept(2).await);
    let now = world.clock.now();
    let record = life(silent, now, true).to_record();
    world
        .commit(|step| step.put(names::message(silent), record, Expiry::Owner))
        .await;
    counted().await;
    assert_eq!(world.balance().await.broken, broken(silent, Fault::EndNotCounted));
    world.end(silent, MessageState::Delivered).await;
    world.end(twice, MessageState::Delivered).await;
    counted().await;
    assert!(world.balance().await.holds());
    world.end(twice, MessageState::Failed).await;
    counted().await;
    let found = world.balance().await;
    assert_eq!(found.broken, broken(twice, Fault::EndedTwice));
    assert_eq!(found.clients[0].difference(), -1);
    // Nor does a later accept make up for it.
    let open = world.accept(3).await;
    counted().await;
    assert_eq!(world.balance().await.broken, broken(twice, Fault::EndedTwice));
    world.end(open, MessageState::Delivered).await;
    counted().await;
    assert!(!world.balance().await.holds());
}

#[tokio::test(start_paused = true)]
async fn an_end_after_its_minute_was_closed_is_named_and_so_is_one_of_nobody() {
    let mut world = World::new().await;
    let id = world.accept(1).await;
    world.end(id, MessageState::Delivered).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let other = world.accept(2).await;
    world.end(other, MessageState::Delivered).await;
    counted().await;
    let found = world.balance().await;
    assert!(found.holds() && found.open == 0);
    world.end(id, MessageState::Delivered).await;
    counted().await;
    assert_eq!(world.balance().await.broken, broken(id, Fault::EndedUnknown));
}

#[tokio::test(start_paused = true)]
async fn parts_of_an_operator_are_sent_refused_or_in_its_queue() {
    let mut world = World::new().await;
    let now = world.clock.now();
    let given = Event {
        parts: 3,
        ..event(now, EventName::MtRouted)
    };
    let queue = names::mt_operator(&OperatorId::try_new("alpha").unwrap());
    let lane = Lane::new(Class::Otp, "acme");
    world
        .commit(|step| {
            let step = step.append(names::EVENTS, given.to_record());
            (0..3).fold(step, |step, _| {
                step.publish(queue.as_str(), lane.clone(), b"part".to_vec().into())
            })
        })
        .await;
    counted().await;
    let found = world.balance().await;
    assert!(found.holds() && found.operators[0].waiting == 3, "{found:#?}");
    // A part that was sent and is still in its queue; and one that left its queue without a word.
    world.event(event(now, EventName::MtSent)).await;
    counted().await;
    let found = world.balance().await;
    assert!(!found.holds());
    assert_eq!(found.operators[0].difference(), -1);
    let want = smsgw_queue::Want::new(2, Duration::ZERO);
    for delivery in world.engine.checkout(&queue.as_str().into(), want).await.unwrap() {
        Step::from(&delivery)
            .settle(&delivery)
            .commit(&*world.engine)
            .await
            .unwrap();
    }
    let found = world.balance().await;
    assert_eq!(found.operators[0].difference(), 1, "{found:#?}");
    // It was given to another operator.
    world.event(event(now, EventName::MtTakenBack)).await;
    counted().await;
    let found = world.balance().await;
    assert!(found.holds() && found.operators[0].waiting == 1, "{found:#?}");
}

/// Nothing is called broken because the counter is behind.
#[tokio::test(start_paused = true)]
async fn a_counter_that_is_behind_makes_nothing_broken() {
    let mut world = World::new().await;
    let id = world.accept(1).await;
    counted().await;
    assert_eq!(world.tree.drain().await, Exit::Stopped);
    // The record says that it has ended; nobody counts its end.
    world.end(id, MessageState::Delivered).await;
    let found = world.balance().await;
    assert!(found.holds() && !found.is_settled(), "{found:#?}");
    assert_eq!(found.lag, 1);
    world.tree = start(&world.engine, &world.clock).await;
    counted().await;
    let found = world.balance().await;
    assert!(found.holds() && found.is_settled(), "{found:#?}");
}

/// Killed again and again while messages come and end: the ledger is always that of its position.
#[tokio::test(start_paused = true)]
async fn the_ledger_balances_after_every_kill() {
    let mut world = World::new().await;
    let mut open = Vec::new();
    for round in 0..40_u64 {
        for n in 0..5 {
            open.push(world.accept(round * 100 + n).await);
        }
        for _ in 0..round % 9 {
            if let Some(id) = (!open.is_empty()).then(|| open.swap_remove(open.len() * 7 / 11)) {
                world.end(id, MessageState::Delivered).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(round % 5 * 10_130)).await;
        world.engine = world.engine.reopen();
        world.tree.stop().await;
        world.tree = start(&world.engine, &world.clock).await;
        if round % 8 == 7 {
            counted().await;
            let found = world.balance().await;
            assert!(found.holds() && found.is_settled(), "round {round}: {found:#?}");
            assert_eq!(found.open, u64::try_from(open.len()).unwrap());
        }
    }
}
