//! Messages that get another content, with the client node and the operator played by the test.

use super::*;
use smsgw_message::{CounterSpend, ReplaceRequest, ReplaceVerdict, WaitingParts};
use smsgw_queue::{Delivery, Look};

const TO: &str = "491700000001";
const HOUR: Duration = Duration::from_secs(3600);

fn queue() -> QueueName {
    QueueName::from(names::mt_operator(&operator("alpha")))
}

/// The same message with another content, of so many parts.
fn instead(message: &MtMessage, parts: usize) -> MtMessage {
    let part = Part {
        udh: Vec::new(),
        data: b"instead".to_vec(),
    };
    MtMessage {
        parts: vec![part; parts],
        ..message.clone()
    }
}

/// What the client node does: looks where the parts are, asks, and waits for the verdict.
struct Asking<'a> {
    engine: &'a MemoryEngine,
    clock: &'a SimClock,
    spends: Vec<CounterSpend>,
}

impl Asking<'_> {
    async fn write(&self, message: &MtMessage) {
        let key = names::message(message.id);
        let found = self
            .engine
            .get(vec![key.as_str().into()])
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        let life = MessageLife::from_record(&found.value).unwrap();
        let waiting = match life.parts[0].via {
            None => None,
            Some(_) => {
                let behind = Some(found.written_by.input_number());
                let look = Look::at(Place::Ready, 100).of("acme").behind(behind);
                let page = self.engine.look(&queue(), look).await.unwrap();
                let own = page
                    .records
                    .iter()
                    .filter(|seen| Dispatch::from_record(&seen.record).unwrap().message == message.id);
                Some(WaitingParts {
                    operator: operator("alpha"),
                    records: own.map(|seen| seen.id.as_u64()).collect(),
                })
            }
        };
        let asked = ReplaceRequest {
            client: message.client.clone(),
            at: self.clock.now(),
            seen: found.version,
            message: Some(message.clone()),
            waiting,
            spends: self.spends.clone(),
            verdict: None,
        };
        let key = names::replace(message.id);
        let lane = Lane::new(message.class, &message.client);
        Step::new(StepId::from_bytes([9; 16]))
            .put(key.as_str(), asked.to_record(), Expiry::Owner)
            .publish(names::ALARMS, lane, key.clone().into_bytes().into())
            .commit(self.engine)
            .await
            .unwrap();
    }

    async fn verdict(&self, message: &MtMessage) -> ReplaceVerdict {
        loop {
            let found = self
                .engine
                .get(vec![names::replace(message.id).into()])
                .await
                .unwrap();
            let asked = ReplaceRequest::from_record(&found[0].as_ref().unwrap().value).unwrap();
            if let Some(verdict) = asked.verdict {
                assert_eq!(
                    (asked.message, asked.waiting),
                    (None, None),
                    "what is decided holds no content"
                );
                return verdict;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn replace(&self, message: &MtMessage) -> ReplaceVerdict {
        self.write(message).await;
        self.verdict(message).await
    }
}

async fn checkout(engine: &MemoryEngine) -> Vec<(Delivery, Dispatch)> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let taken = engine
        .checkout(&queue(), Want::new(100, Duration::ZERO))
        .await
        .unwrap();
    let read = |delivery: Delivery| {
        let dispatch = Dispatch::from_record(delivery.record()).unwrap();
        (delivery, dispatch)
    };
    taken.into_iter().map(read).collect()
}

fn contents(taken: &[(Delivery, Dispatch)]) -> Vec<&[u8]> {
    taken
        .iter()
        .map(|(_, dispatch)| dispatch.content.data.as_slice())
        .collect()
}

async fn nothing_is_left(engine: &MemoryEngine) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (queue, depth) in engine.queues() {
        assert_eq!(
            depth.ready + depth.in_flight + depth.dead_letter + depth.corrupt,
            0,
            "{queue}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_an_operator_goes_out_as_it_is_to_be_and_only_so() {
    let (clock, config, engine) = world();
    let tree = start(&engine, &config, &clock).await;
    let asking = Asking {
        engine: &engine,
        clock: &clock,
        spends: Vec::new(),
    };
    let other = message(&clock, 2, TO, 1);
    accept(&*engine, &other).await;
    let first = message(&clock, 1, TO, 3);
    accept(&*engine, &first).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.depth(&queue()).ready, 4);
    let second = instead(&first, 2);
    assert_eq!(asking.replace(&second).await, ReplaceVerdict::Replaced);
    tokio::time::sleep(Duration::from_secs(1)).await;
    // And once more, when it waits there again.
    assert_eq!(
        asking.replace(&instead(&first, 1)).await,
        ReplaceVerdict::Replaced
    );
    let taken = checkout(&engine).await;
    assert_eq!(contents(&taken), [b"x".as_slice(), b"instead"]);
    let there = life(&*engine, first.id).await;
    assert_eq!((there.state, there.parts.len()), (MessageState::Queued, 1));
    let lines: Vec<_> = there.events.iter().map(|line| line.event).collect();
    assert_eq!(
        lines,
        [
            EventName::MtAccepted,
            EventName::MtRouted,
            EventName::MtReplaced,
            EventName::MtRouted,
            EventName::MtReplaced,
            EventName::MtRouted
        ]
    );
    for (delivery, _) in &taken {
        Step::from(delivery)
            .settle(delivery)
            .commit(&*engine)
            .await
            .unwrap();
    }
    drop(taken);
    nothing_is_left(&engine).await;
    tree.drain().await;
}

#[tokio::test(start_paused = true)]
async fn what_left_its_queue_between_the_look_and_the_step_stays_as_it_was() {
    let (clock, config, engine) = world();
    let asking = Asking {
        engine: &engine,
        clock: &clock,
        spends: Vec::new(),
    };
    // Under lease; given back in doubt with a count of tries; given back without a word; settled.
    for case in 0..4u16 {
        let tree = start(&engine, &config, &clock).await;
        let first = message(&clock, case, TO, 2);
        accept(&*engine, &first).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        tree.drain().await;
        asking.write(&instead(&first, 1)).await;
        let mut taken = checkout(&engine).await;
        assert_eq!(taken.len(), 2, "case {case}");
        let (last, dispatch) = taken.pop().unwrap();
        drop(taken);
        match case {
            0 => {}
            1 => {
                let tries = names::tries(&operator("alpha"), first.id, dispatch.part);
                Step::from(&last)
                    .release(
                        &last,
                        Duration::ZERO,
                        smsgw_queue::ReleaseReason::InDoubt,
                        smsgw_queue::Cost::Free,
                    )
                    .put(tries.as_str(), "x".into(), Expiry::Owner)
                    .commit(&*engine)
                    .await
                    .unwrap();
            }
            2 => {}
            _ => drop(Step::from(&last).settle(&last).commit(&*engine).await.unwrap()),
        }
        let last = (case == 0).then_some(last);
        let tree = start(&engine, &config, &clock).await;
        assert_eq!(
            asking.verdict(&first).await,
            ReplaceVerdict::TooLate,
            "case {case}"
        );
        let there = life(&*engine, first.id).await;
        assert_eq!(
            (there.message == first, there.state),
            (true, MessageState::Queued),
            "case {case}"
        );
        drop(last);
        for (delivery, dispatch) in checkout(&engine).await {
            assert_eq!(dispatch.content.data, b"x", "case {case}");
            Step::from(&delivery)
                .settle(&delivery)
                .commit(&*engine)
                .await
                .unwrap();
        }
        nothing_is_left(&engine).await;
        tree.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_routed_yet_is_routed_as_it_is_to_be_and_its_old_input_is_void() {
    let (clock, config, engine) = world();
    let asking = Asking {
        engine: &engine,
        clock: &clock,
        spends: Vec::new(),
    };
    let first = message(&clock, 1, TO, 2);
    accept(&*engine, &first).await;
    // The old input comes round only after the verdict: nobody works on the queue until then.
    let held = engine
        .checkout(&names::MT_ACCEPTED.into(), Want::new(1, Duration::ZERO))
        .await
        .unwrap();
    asking.write(&instead(&first, 3)).await;
    let tree = start(&engine, &config, &clock).await;
    assert_eq!(asking.verdict(&first).await, ReplaceVerdict::Replaced);
    drop(held);
    let taken = checkout(&engine).await;
    assert_eq!(contents(&taken), [b"instead"; 3]);
    drop(taken);
    tree.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_for_later_takes_another_content_and_another_time_either_way() {
    let (clock, config, engine) = world();
    let tree = start(&engine, &config, &clock).await;
    let asking = Asking {
        engine: &engine,
        clock: &clock,
        spends: Vec::new(),
    };
    let at = clock.now().after(HOUR);
    let first = MtMessage {
        send_at: Some(at),
        valid_until: clock.now().after(9 * HOUR),
        ..message(&clock, 1, TO, 1)
    };
    let lane = Lane::new(first.class, &first.client);
    let alarm = Expiry::Alarm(at, QueueName::from(names::ALARMS), lane);
    Step::new(StepId::accept(first.id))
        .put(
            names::message(first.id),
            MessageLife::accepted(first.clone()).to_record(),
            alarm,
        )
        .commit(&*engine)
        .await
        .unwrap();
    let later = MtMessage {
        send_at: Some(clock.now().after(3 * HOUR)),
        ..instead(&first, 1)
    };
    assert_eq!(asking.replace(&later).await, ReplaceVerdict::Replaced);
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(
        (engine.depth(&queue()).ready, life(&*engine, first.id).await.state),
        (0, MessageState::Scheduled)
    );
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(engine.depth(&queue()).ready, 1);
    // From the operator's queue back to a later time, and from there to now.
    let again = MtMessage {
        send_at: Some(clock.now().after(HOUR)),
        ..later.clone()
    };
    assert_eq!(asking.replace(&again).await, ReplaceVerdict::Replaced);
    assert_eq!(
        (engine.depth(&queue()).ready, life(&*engine, first.id).await.state),
        (0, MessageState::Scheduled)
    );
    let now = MtMessage {
        send_at: None,
        ..again
    };
    assert_eq!(asking.replace(&now).await, ReplaceVerdict::Replaced);
    let taken = checkout(&engine).await;
    assert_eq!(contents(&taken), [b"instead"]);
    for (delivery, _) in &taken {
        Step::from(delivery)
            .settle(delivery)
            .commit(&*engine)
            .await
            .unwrap();
    }
    drop(taken);
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(engine.depth(&queue()).ready, 0, "its alarm is gone");
    tree.drain().await;
}

#[tokio::test(start_paused = true)]
async fn parts_on_top_are_paid_with_the_step_or_nothing_happens() {
    let (clock, config, engine) = world();
    let tree = start(&engine, &config, &clock).await;
    let spend = CounterSpend {
        key: "quota/acme/day/2026-11-21".to_owned(),
        delta: -2,
        floor: Some(-3),
        until: clock.now().after(24 * HOUR),
    };
    let asking = Asking {
        engine: &engine,
        clock: &clock,
        spends: vec![spend.clone()],
    };
    let used = async || {
        let found = engine.get(vec![spend.key.as_str().into()]).await.unwrap();
        found[0].as_ref().map(|used| used.as_counter().unwrap())
    };
    let first = message(&clock, 1, TO, 1);
    accept(&*engine, &first).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        asking.replace(&instead(&first, 3)).await,
        ReplaceVerdict::Replaced
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(used().await, Some(-2));
    assert_eq!(
        asking.replace(&instead(&first, 5)).await,
        ReplaceVerdict::OverQuota
    );
    assert_eq!(
        (used().await, life(&*engine, first.id).await.parts.len()),
        (Some(-2), 3)
    );
    // What was judged by another version of the record says nothing.
    let mut stale = ReplaceRequest {
        client: first.client.clone(),
        at: clock.now(),
        seen: 1,
        message: Some(instead(&first, 1)),
        waiting: None,
        spends: Vec::new(),
        verdict: None,
    };
    let key = names::replace(first.id);
    let lane = Lane::new(first.class, &first.client);
    for verdict in [None, Some(ReplaceVerdict::TooLate)] {
        stale.verdict = verdict;
        stale.message = stale.message.filter(|_| verdict.is_none());
        Step::new(StepId::from_bytes([u8::from(verdict.is_some()); 16]))
            .put(key.as_str(), stale.to_record(), Expiry::Owner)
            .publish(names::ALARMS, lane.clone(), key.clone().into_bytes().into())
            .commit(&*engine)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let expected = verdict.unwrap_or(ReplaceVerdict::Changed);
        assert_eq!(asking.verdict(&first).await, expected);
    }
    assert_eq!(life(&*engine, first.id).await.parts.len(), 3);
    tree.drain().await;
}
