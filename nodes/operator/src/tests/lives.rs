//! Answers that say all there is to say of a message: its life is written with them, and nothing goes up.

use super::carrier::Reply;
use super::*;
use smsgw_config::{Failover, MtRoute, Receipts};
use smsgw_message::{
    Correlation, LinkGroup, LinkId, MessageLife, MessageState, MtMessage, Origin, Receipt, ReceiptState,
    ReportLevel, Routed, Timestamp, Via,
};
use smsgw_queue::{Expected, Expiry, StateKey};
use smsgw_smpp::CommandStatus;

/// What an accept knows of the message of [`dispatch`].
fn message(part: &Dispatch) -> MtMessage {
    MtMessage {
        id: part.message,
        client: part.client.clone(),
        accepted_at: Timestamp::from_millis(1_795_248_000_000),
        from: part.from.clone(),
        to: part.to.clone(),
        encoding: part.encoding,
        parts: vec![part.content.clone()],
        class: Class::Otp,
        valid_until: part.valid_until,
        report: part.report,
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

fn life_of(part: &Dispatch) -> MessageLife {
    let mut life = MessageLife::accepted(message(part));
    let routed = Routed {
        operator: part.operator.clone(),
        route: None,
        sent_as: None,
    };
    life.give(&routed, life.message.accepted_at);
    life.state = MessageState::Queued;
    life
}

fn key(n: u64) -> StateKey {
    StateKey::from(names::message(id(n)))
}

fn id_key(carrier_id: &str) -> StateKey {
    StateKey::from(Correlation::key(&LinkGroup::of(&alpha()), carrier_id))
}

impl World {
    async fn put(&self, key: StateKey, record: bytes::Bytes) {
        Step::new(StepId::from_bytes(rand::random()))
            .compare_and_put(key, Expected::Any, record, Expiry::Owner)
            .commit(&*self.memory)
            .await
            .unwrap();
    }

    /// As [`World::send`], after an accept that has written the lives of the messages.
    pub(super) async fn send_accepted(&self, report: ReportLevel, parts: impl IntoIterator<Item = u64>) {
        for n in parts {
            let part = Dispatch {
                report,
                ..dispatch(n)
            };
            self.put(key(n), life_of(&part).to_record()).await;
            self.publish(vec![part]).await;
        }
    }

    async fn value<R: Record>(&self, key: StateKey) -> Option<R> {
        let there = self.memory.get(vec![key]).await.unwrap().pop().unwrap()?;
        Some(R::from_record(&there.value).unwrap())
    }

    pub(super) async fn life(&self, n: u64) -> MessageLife {
        self.value(key(n)).await.expect("a life")
    }

    /// Whether an answer has come to the life of a message; waits at most a minute of paused time.
    async fn told(&self, n: u64) -> MessageLife {
        for _ in 0..6_000 {
            let life = self.life(n).await;
            if life.state != MessageState::Queued {
                return life;
            }
            tokio::time::sleep(ms(10)).await;
        }
        panic!("nothing was written of message {n}");
    }
}

fn lines(life: &MessageLife) -> Vec<EventName> {
    life.events.iter().map(|line| line.event).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_its_receipt_is_written_sent_and_nothing_goes_up() {
    let world = World::start(operator()).await;
    world.send_accepted(ReportLevel::Final, [1]).await;
    let life = world.told(1).await;
    assert_eq!((life.state, life.is_final), (MessageState::Sent, false));
    assert_eq!(life.parts[0].carrier_id.as_deref(), Some("C1"));
    assert_eq!(
        life.parts[0].link.as_ref().map(ToString::to_string).as_deref(),
        Some("alpha-1")
    );
    assert_eq!(
        lines(&life),
        [EventName::MtAccepted, EventName::MtRouted, EventName::MtSent]
    );
    let owned = Correlation::first("C1", id(1), 1);
    assert_eq!(world.value::<Correlation>(id_key("C1")).await, Some(owned));
    assert_eq!(world.event_names().await, [EventName::MtSent]);
    assert_eq!((world.depth(), world.up_depth()), Default::default());

    // No receipt comes: the router is woken when none is waited for any more.
    let limits = &world.config.config().limits;
    let alarms = QueueName::from(names::ALARMS);
    let before = limits.given_up_at(&life.message).since(world.clock.now());
    tokio::time::advance(before - ms(1)).await;
    world.memory.tick();
    assert_eq!(world.memory.depth(&alarms).ready, 0, "not too soon");
    tokio::time::advance(ms(1)).await;
    world.memory.tick();
    assert_eq!(world.memory.depth(&alarms).ready, 1);
    world.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_wants_nothing_more_ends_with_its_answer() {
    let asked = Operator {
        receipts: Receipts::Asked,
        ..operator()
    };
    let world = World::start(asked).await;
    world.send_accepted(ReportLevel::None, [1]).await;
    let life = world.told(1).await;
    assert_eq!((life.state, life.is_final), (MessageState::Sent, true));
    assert_eq!(life.message.parts[0].data, b"");
    assert_eq!(
        lines(&life),
        [
            EventName::MtAccepted,
            EventName::MtRouted,
            EventName::MtSent,
            EventName::MtFinal
        ]
    );
    let events = world.events().await;
    let [sent, last] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(
        [(sent.name, sent.state), (last.name, last.state)],
        [
            (EventName::MtSent, None),
            (EventName::MtFinal, Some(MessageState::Sent))
        ]
    );
    assert_eq!((world.depth(), world.up_depth()), Default::default());

    // The record stays as long as the configuration says, and goes.
    let kept = world.config.config().limits.message_retention;
    tokio::time::advance(kept - ms(60_000)).await;
    world.memory.tick();
    assert!(world.value::<MessageLife>(key(1)).await.is_some());
    tokio::time::advance(ms(120_000)).await;
    world.memory.tick();
    assert!(world.value::<MessageLife>(key(1)).await.is_none());
    world.drain().await;
}

#[tokio::test(start_paused = true)]
async fn what_more_follows_from_goes_up_and_its_life_is_left_alone() {
    let refuses = |n: usize, _: &_| match n {
        0 => Reply::Now(CommandStatus::INVALID_DESTINATION),
        _ => Reply::Now(CommandStatus::OK),
    };
    let world = World::start_with(config(&[("alpha", operator())]), Carrier::scripted(refuses)).await;
    world.send_accepted(ReportLevel::Final, [1]).await;
    assert!(matches!(
        world.result().await.outcome,
        SubmitOutcome::Refused { .. }
    ));
    world.send_accepted(ReportLevel::All, [2]).await;
    assert_eq!(
        world.result().await.message,
        id(2),
        "the client is told of the stage"
    );
    let part = Dispatch {
        parts: 2,
        ..dispatch(3)
    };
    world.put(key(3), life_of(&part).to_record()).await;
    world.publish(vec![part]).await;
    assert_eq!(world.result().await.message, id(3), "there is another part");
    for n in 1..=3 {
        assert_eq!(world.life(n).await.state, MessageState::Queued, "{n}");
    }
    assert_eq!(
        counter("smsgw_operator_commits_failed_total", &[("why", "contended")]),
        0.0
    );
    world.drain().await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_part_that_something_was_counted_of_comes_behind_what_the_router_was_told() {
    let answers = |n: usize, _: &_| match n {
        0 => Reply::Now(CommandStatus::MESSAGE_QUEUE_FULL),
        _ => Reply::Now(CommandStatus::OK),
    };
    let world = World::start_with(config(&[("alpha", operator())]), Carrier::scripted(answers)).await;
    world.send_accepted(ReportLevel::Final, [1]).await;
    assert_eq!(world.result().await.message, id(1));
    assert_eq!(world.life(1).await.state, MessageState::Queued);
    world.send_accepted(ReportLevel::Final, [2]).await;
    assert_eq!(
        world.told(2).await.state,
        MessageState::Sent,
        "nothing was counted of this one"
    );
    world.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_may_try_another_operator_is_asked_from_the_next_configuration_on() {
    let world = World::start(operator()).await;
    world.send_accepted(ReportLevel::Final, [1]).await;
    world.told(1).await;
    let mut next = config(&[("alpha", operator())]);
    next.route.mt.push(MtRoute {
        operators: vec![alpha()],
        failover: Failover {
            silence: Some(Duration::from_secs(60)),
            ..Failover::default()
        },
        ..MtRoute::default()
    });
    world.config.publish(next);
    tokio::time::sleep(ms(100)).await;
    world.send_accepted(ReportLevel::Final, [2]).await;
    assert_eq!(world.result().await.message, id(2));
    assert_eq!(world.life(2).await.state, MessageState::Queued);
    world.drain().await;
}

#[tokio::test(start_paused = true)]
async fn where_a_receipt_came_before_its_answer_the_router_brings_them_together() {
    let world = World::start(operator()).await;
    let receipt = Receipt {
        link: LinkId::new(&alpha(), 1),
        carrier_id: "C1".to_owned(),
        state: ReceiptState::Delivered,
        error: None,
        text: String::new(),
        at: Timestamp::from_millis(1_795_248_000_500),
        done_date: None,
        from: None,
        to: None,
        text_id: None,
        via: Via {
            group: LinkGroup::of(&alpha()),
            operator: alpha(),
        },
    };
    let parked = Correlation::Parked {
        receipts: vec![receipt],
        is_late: false,
    };
    world.put(id_key("C1"), parked.to_record()).await;
    let contended = || counter("smsgw_operator_commits_failed_total", &[("why", "contended")]);
    let before = contended();
    world.send_accepted(ReportLevel::Final, [1]).await;
    let result = world.result().await;
    assert_eq!((result.message, carrier_id(&result)), (id(1), "C1"));
    assert_eq!(
        world.life(1).await.state,
        MessageState::Queued,
        "nothing of the step stands"
    );
    assert_eq!(world.value(id_key("C1")).await, Some(parked));
    assert_eq!(world.event_names().await, [EventName::MtSent], "told once");
    assert_eq!(contended() - before, 1.0);

    // Such a carrier is not decided twice each time; after a while it is tried again.
    world.send_accepted(ReportLevel::Final, [2]).await;
    assert_eq!(world.result().await.message, id(2));
    for n in 3..=65 {
        world.send_accepted(ReportLevel::Final, [n]).await;
        assert_eq!(world.result().await.message, id(n));
    }
    world.send_accepted(ReportLevel::Final, [66]).await;
    assert_eq!(world.told(66).await.state, MessageState::Sent);
    assert_eq!(contended() - before, 1.0);
    world.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_life_that_cannot_be_read_is_the_routers_to_complain_about() {
    let world = World::start(operator()).await;
    world
        .put(key(1), bytes::Bytes::from_static(b"not a record"))
        .await;
    world.send([1]).await;
    assert_eq!(world.result().await.message, id(1));
    world.drain().await;
}
