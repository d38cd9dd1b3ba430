//! Laws of what people do: hold, release, move, look.

use super::*;
use crate::{
    CommitErrorKind, Cost, DeadReason, Held, HoldReason, HoldScope, Look, Moved, RecordId, ReleaseReason,
    move_all, requeue_all,
};

const HOUR: Duration = Duration::from_secs(3600);

fn all(reason: HoldReason, since: Timestamp) -> Held {
    Held {
        scope: HoldScope::Queue,
        reason,
        since,
    }
}

async fn fill(engine: &Arc<dyn Engine>, queue: &str, flow: &str, count: usize) {
    let steps = (0..count).map(|n| {
        let record = octets(format!("{flow}{n}"));
        step().publish(queue, Lane::new(Class::Otp, flow), record)
    });
    assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
}

/// The first record of a place.
async fn first(engine: &Arc<dyn Engine>, queue: &str, place: Place) -> Browsed {
    browse(engine, queue, place).await.into_iter().next().unwrap()
}

async fn refused(engine: &Arc<dyn Engine>, step: Step) -> CommitErrorKind {
    step.commit(engine.as_ref()).await.unwrap_err().kind
}

pub async fn held_queue_gives_nothing_until_it_is_released<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    fill(&engine, "q", "a", 2).await;
    let out = one(&engine, "q").await;
    ok(
        &engine,
        step().hold_all("q", HoldScope::Queue, HoldReason::Instructed),
    )
    .await;
    let since = harness.now();
    nothing(&engine, "q").await;
    // What is out may come back, what is new may come in: it stays.
    ok(
        &engine,
        step().release(&out, Duration::ZERO, ReleaseReason::Throttled, Cost::Free),
    )
    .await;
    fill(&engine, "q", "b", 1).await;
    nothing(&engine, "q").await;
    assert_eq!(engine.holds(&"q".into()), [all(HoldReason::Instructed, since)]);
    let depth = engine.depth(&"q".into());
    assert_eq!((depth.ready, depth.holds), (3, 1));
    drop((out, engine));
    harness.advance(HOUR).await;
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    nothing(&engine, "q").await;
    // Again: reason and time stay as they were.
    ok(
        &engine,
        step().hold_all("q", HoldScope::Queue, HoldReason::InDoubt),
    )
    .await;
    assert_eq!(engine.holds(&"q".into()), [all(HoldReason::Instructed, since)]);
    let waiter = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { take(&engine, "q", 3).await.len() }
    });
    super::wait::begun(&waiter).await;
    ok(&engine, step().release_all("q", HoldScope::Queue)).await;
    assert_eq!(waiter.await.unwrap(), 3, "who waits is woken");
    assert!(engine.holds(&"q".into()).is_empty());
    // What is not held is released without harm.
    ok(&engine, step().release_all("q", HoldScope::Queue)).await;
    drop(engine);
    harness.crash_and_reopen().await;
    assert_eq!(take(&harness.engine(), "q", 3).await.len(), 3);
}

pub async fn held_flow_is_passed_over_whenever_its_records_come<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let scope = || HoldScope::Flow("a".into());
    // Before the flow or the queue exists.
    ok(&engine, step().hold_all("q", scope(), HoldReason::Instructed)).await;
    let listed = engine.queues();
    assert_eq!((listed.len(), listed[0].1.holds), (1, 1), "nobody forgets it");
    fill(&engine, "q", "a", 3).await;
    fill(&engine, "q", "b", 1).await;
    assert_eq!(texts(&now(&engine, "q", 9).await), ["b0"]);
    let only = Want::new(9, Duration::ZERO).flows(Flows::Only("a".into()));
    assert!(
        engine
            .checkout(&"q".into(), only.clone())
            .await
            .unwrap()
            .is_empty()
    );
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(texts(&take(&engine, "q", 1).await), ["b0"]);
    assert!(engine.checkout(&"q".into(), only).await.unwrap().is_empty());
    // In the step that holds it, nothing of it is out of order.
    ok(
        &engine,
        step()
            .release_all("q", scope())
            .publish("q", Lane::new(Class::Otp, "a"), octets("a3")),
    )
    .await;
    let served = take_from(&engine, "q", 4, Flows::Only("a".into())).await;
    assert_eq!(texts(&served), ["a0", "a1", "a2", "a3"]);
}

pub async fn refused_step_holds_nothing<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    ok(
        &engine,
        step().put("text", octets("no number"), crate::Expiry::Owner),
    )
    .await;
    let failing = step()
        .hold_all("q", HoldScope::Queue, HoldReason::Instructed)
        .add("text", 1, None, crate::Expiry::Owner);
    assert!(failing.commit(engine.as_ref()).await.is_err());
    publish(&engine, "q", "a").await;
    drop(engine);
    for _ in 0..2 {
        let engine = harness.engine();
        assert!(engine.holds(&"q".into()).is_empty());
        assert_eq!(take(&engine, "q", 1).await.len(), 1);
        drop(engine);
        harness.crash_and_reopen().await;
    }
}

pub async fn single_record_is_held_where_it_waits_and_not_under_lease<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    fill(&engine, "q", "a", 3).await;
    let later = harness.now().after(HOUR);
    ok(&engine, step().publish_at("q", lane(), octets("later"), later)).await;
    let delivery = one(&engine, "q").await;
    let hold = |id| step().hold_record("q", id, HoldReason::Instructed);
    assert!(
        matches!(refused(&engine, hold(delivery.id())).await, CommitErrorKind::Leased { record, .. } if record == delivery.id().as_u64())
    );
    let ready = first(&engine, "q", Place::Ready).await;
    let deferred = first(&engine, "q", Place::Deferred).await;
    ok(&engine, hold(ready.id)).await;
    ok(&engine, hold(deferred.id)).await;
    assert!(matches!(
        refused(&engine, hold(ready.id)).await,
        CommitErrorKind::NoRecord { .. }
    ));
    drop((delivery, engine));
    harness.advance(HOUR * 2).await;
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    let held = browse(&engine, "q", Place::Held).await;
    let seen = |seen: &Browsed| (text(&seen.record), seen.reason, seen.due, seen.since.is_some());
    assert_eq!(
        held.iter().map(seen).collect::<Vec<_>>(),
        [
            ("a1".to_owned(), "instructed", None, true),
            ("later".to_owned(), "instructed", None, true)
        ]
    );
    assert_eq!(texts(&take(&engine, "q", 2).await), ["a0", "a2"]);
    ok(&engine, step().requeue("q", held[0].id).discard("q", held[1].id)).await;
    assert!(
        texts(&take(&engine, "q", 1).await).contains(&"a0".to_owned()) || engine.depth(&"q".into()).held == 0
    );
}

pub async fn record_that_nobody_has_handled_is_deleted_where_it_waits_and_no_other<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    fill(&engine, "q", "a", 4).await;
    let later = harness.now().after(HOUR);
    ok(&engine, step().publish_at("q", lane(), octets("later"), later)).await;
    let ready: Vec<_> = browse(&engine, "q", Place::Ready).await;
    let deferred = first(&engine, "q", Place::Deferred).await;
    let leased = one(&engine, "q").await;
    let discard = |id| step().publish("next", lane(), octets("new")).discard("q", id);
    assert!(
        matches!(refused(&engine, discard(leased.id())).await, CommitErrorKind::Leased { record, .. } if record == leased.id().as_u64())
    );
    drop(leased);
    // Whoever lost it may have handled it.
    assert!(matches!(
        refused(&engine, discard(ready[0].id)).await,
        CommitErrorKind::NoRecord { .. }
    ));
    // All of a step or nothing: the first of these two is there still.
    let both = discard(ready[1].id).discard("q", ready[0].id);
    assert!(matches!(
        refused(&engine, both).await,
        CommitErrorKind::NoRecord { .. }
    ));
    // One that was given back in order is as one that nobody had.
    let given_back = take(&engine, "q", 2).await.pop().unwrap();
    assert_eq!(given_back.id(), ready[1].id);
    ok(
        &engine,
        step().release(&given_back, Duration::ZERO, ReleaseReason::Throttled, Cost::Free),
    )
    .await;
    drop(given_back);
    for id in [ready[1].id, ready[2].id, deferred.id] {
        ok(&engine, discard(id)).await;
        assert!(matches!(
            refused(&engine, discard(id)).await,
            CommitErrorKind::NoRecord { .. }
        ));
    }
    drop(engine);
    for _ in 0..2 {
        let engine = harness.engine();
        let left = browse(&engine, "q", Place::Ready).await;
        let texts: Vec<_> = left.iter().map(|seen| text(&seen.record)).collect();
        assert_eq!(texts, ["a0", "a3"]);
        assert_eq!(
            (
                engine.depth(&"q".into()).deferred,
                engine.depth(&"next".into()).ready
            ),
            (0, 3)
        );
        drop(engine);
        harness.crash_and_reopen().await;
    }
}

pub async fn moved_record_keeps_all_but_queue_and_lane<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let published = harness.now();
    let later = published.after(HOUR * 9);
    publish(&engine, "from", "twice tried").await;
    let delivery = one(&engine, "from").await;
    ok(
        &engine,
        step().release(&delivery, Duration::ZERO, ReleaseReason::Throttled, Cost::Counted),
    )
    .await;
    drop(delivery);
    ok(&engine, step().publish_at("from", lane(), octets("later"), later)).await;
    for text in ["held", "dead", "corrupt"] {
        publish(&engine, "from", text).await;
    }
    let [tried, held, dead, corrupt] = take(&engine, "from", 4).await.try_into().unwrap();
    ok(&engine, step().hold(&held, HoldReason::InDoubt)).await;
    ok(&engine, step().dead_letter(&dead, DeadReason::Refused)).await;
    ok(&engine, step().dead_letter(&corrupt, DeadReason::Corrupt)).await;
    let new = Lane::new(Class::Bulk, "moved");
    let go = |id| step().move_record("from", id, "to", new.clone());
    assert!(matches!(
        refused(&engine, go(tried.id())).await,
        CommitErrorKind::Leased { .. }
    ));
    let never = RecordId::from_u64(u64::MAX - 9);
    assert!(matches!(
        refused(&engine, go(never)).await,
        CommitErrorKind::NoRecord { .. }
    ));
    // Not handled, and not known whether it was: the mark goes with it.
    drop((tried, held, dead, corrupt));
    let mut before = Vec::new();
    for place in Place::ALL {
        before.extend(browse(&engine, "from", place).await);
    }
    assert_eq!(before.len(), 5);
    harness.advance(HOUR).await;
    for seen in &before {
        ok(&engine, go(seen.id)).await;
    }
    let expected: Vec<Browsed> = before
        .into_iter()
        .map(|seen| Browsed {
            lane: new.clone(),
            ..seen
        })
        .collect();
    drop(engine);
    for round in 0..2 {
        let engine = harness.engine();
        let mut after = Vec::new();
        for place in Place::ALL {
            after.extend(browse(&engine, "to", place).await);
        }
        assert_eq!(after, expected, "round {round}");
        let queues: Vec<_> = engine
            .queues()
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect();
        assert_eq!(queues, ["to"]);
        drop(engine);
        harness.crash_and_reopen().await;
    }
    let engine = harness.engine();
    let delivery = one(&engine, "to").await;
    assert_eq!(
        (
            delivery.attempt(),
            delivery.leased_before_crash(),
            delivery.published_at()
        ),
        (2, true, published)
    );
    assert_eq!(
        (text(delivery.record()), delivery.lane()),
        ("twice tried".into(), &new)
    );
    ok(
        &engine,
        step().release(&delivery, HOUR, ReleaseReason::Throttled, Cost::Counted),
    )
    .await;
    drop((delivery, engine));
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(
        first(&engine, "to", Place::Deferred).await.attempt,
        3,
        "it stays where it was moved"
    );
    assert_eq!(engine.depth(&"from".into()), crate::Depth::default());
}

pub async fn move_and_requeue_are_one_step_when_asked_so<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    ok(
        &engine,
        step().bury("a", lane(), octets("x"), DeadReason::NoRoute),
    )
    .await;
    let id = first(&engine, "a", Place::DeadLetter).await.id;
    let failing = step()
        .move_record("a", id, "b", lane())
        .requeue("b", id)
        .discard("a", id);
    assert!(matches!(
        refused(&engine, failing).await,
        CommitErrorKind::NoRecord { .. }
    ));
    assert_eq!(
        first(&engine, "a", Place::DeadLetter).await.id,
        id,
        "nothing of it"
    );
    ok(&engine, step().move_record("a", id, "b", lane()).requeue("b", id)).await;
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    let delivery = one(&engine, "b").await;
    assert_eq!(delivery.id(), id);
    ok(&engine, step().settle(&delivery)).await;
    drop((delivery, engine));
    harness.crash_and_reopen().await;
    assert!(harness.engine().queues().is_empty());
}

pub async fn many_records_are_moved_in_bounded_steps_and_it_may_be_repeated<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let (from, to) = (QueueName::from("from"), QueueName::from("to"));
    fill(&engine, "from", "a", 700).await;
    fill(&engine, "from", "b", 300).await;
    let look = |max| Look::at(Place::Ready, max).of("a");
    let same = |seen: &Browsed| Some(seen.lane.clone());
    let part = move_all(&*engine, &from, &to, look(300), same).await.unwrap();
    assert_eq!(
        (part.records, part.octets, part.passed_over),
        (300, 300 * 4 - 110, 0)
    );
    assert!(part.next.is_some());
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    // One is out: it is passed over, and can be moved when it is back.
    let out = take_from(&engine, "from", 1, Flows::Only("a".into())).await;
    // From the start again, as after a crash of whoever did it.
    let rest = move_all(&*engine, &from, &to, look(10_000), same).await.unwrap();
    assert_eq!((rest.records, rest.next), (399, None));
    drop(out);
    let last = move_all(&*engine, &from, &to, look(10_000), same).await.unwrap();
    assert_eq!(last.records, 1);
    assert_eq!(engine.depth(&from).ready, 300);
    let served = take_from(&engine, "to", 700, Flows::Only("a".into())).await;
    let expected: Vec<String> = (0..700).map(|n| format!("a{n}")).collect();
    assert_eq!(texts(&served), expected, "in their order");
    // Those for which there is no lane stay.
    let odd = |seen: &Browsed| {
        let odd = seen.record.last().is_some_and(|digit| digit % 2 == 1);
        odd.then(|| Lane::new(Class::Bulk, "odd"))
    };
    let look = Look::at(Place::Ready, 10_000);
    assert_eq!(
        move_all(&*engine, &from, &to, look, odd).await.unwrap().records,
        150
    );
}

pub async fn many_dead_letters_are_requeued_in_bounded_steps<H: Harness>() {
    let engine = H::open().await.engine();
    let steps = (0..600).map(|n| {
        let reason = if n % 3 == 0 {
            DeadReason::NoRoute
        } else {
            DeadReason::Refused
        };
        step().bury("q", lane(), octets(n.to_string()), reason)
    });
    assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
    let queue = QueueName::from("q");
    let refused = |seen: &Browsed| seen.reason == "refused";
    let look = Look::at(Place::DeadLetter, 250);
    let done = requeue_all(&*engine, &queue, look.clone(), refused)
        .await
        .unwrap();
    assert_eq!(done.records, 250);
    let done = requeue_all(&*engine, &queue, look.behind(done.next), refused)
        .await
        .unwrap();
    assert_eq!((done.records, done.next), (150, None));
    let depth = engine.depth(&queue);
    assert_eq!((depth.ready, depth.dead_letter), (400, 200));
    assert_eq!(
        requeue_all(&*engine, &"none".into(), Look::at(Place::Held, 9), |_| true)
            .await
            .unwrap(),
        Moved::default()
    );
}

pub async fn pages_of_one_flow_leave_nothing_out<H: Harness>() {
    let engine = H::open().await.engine();
    // A rare flow behind more of another than one look passes over.
    let steps = (0..Look::PASSES + 3000).map(|n| {
        let flow = if n % 6000 == 5999 { "rare" } else { "common" };
        step().publish("q", Lane::new(Class::Bulk, flow), octets(n.to_string()))
    });
    assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
    let mut look = Look::at(Place::Ready, 1).of("rare");
    let (mut found, mut looks) = (Vec::new(), 0);
    loop {
        let page = engine.look(&"q".into(), look.clone()).await.unwrap();
        assert!(page.records.len() <= 1);
        found.extend(page.records.iter().map(|seen| text(&seen.record)));
        looks += 1;
        let Some(next) = page.next else { break };
        look = look.behind(Some(next));
    }
    assert_eq!(found, ["5999", "11999"]);
    assert!(looks <= 5, "{looks} looks");
    let none = engine
        .look(&"q".into(), Look::at(Place::Held, 5).of("rare"))
        .await
        .unwrap();
    assert_eq!((none.records.len(), none.next), (0, None));
    let page = engine.look(&"q".into(), Look::at(Place::Ready, 2)).await.unwrap();
    assert_eq!(page.next, Some(page.records[1].id));
    assert_eq!((page.records[1].size, page.records[1].readable), (1, true));
}
