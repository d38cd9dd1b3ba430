//! Laws of records and leases: who has a record, and what becomes of it.

use super::*;
use crate::{CommitErrorKind, Cost, HoldReason, ReleaseReason};

const SECOND: Duration = Duration::from_secs(1);

pub async fn published_record_is_checked_out_once<H: Harness>() {
    let engine = H::open().await.engine();
    publish(&engine, "q", "a").await;
    assert_eq!(
        texts(&now(&engine, "q", 10).await.and_settle(&engine).await),
        ["a"]
    );
    nothing(&engine, "q").await;
}

pub async fn leased_record_is_nobody_elses<H: Harness>() {
    let engine = H::open().await.engine();
    publish(&engine, "q", "a").await;
    publish(&engine, "q", "b").await;
    let first = now(&engine, "q", 1).await;
    let second = now(&engine, "q", 10).await;
    assert_eq!(
        (texts(&first), texts(&second)),
        (vec!["a".into()], vec!["b".into()])
    );
    nothing(&engine, "q").await;
    assert_eq!(engine.depth(&"q".into()).in_flight, 2);
}

pub async fn settled_record_is_gone_for_good<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    let delivery = one(&engine, "q").await;
    ok(&engine, Step::from(&delivery).settle(&delivery)).await;
    let again = step()
        .settle(&delivery)
        .commit(engine.as_ref())
        .await
        .unwrap_err();
    assert!(matches!(again.kind, CommitErrorKind::Stale { record, .. } if record == delivery.id().as_u64()));
    drop(delivery);
    nothing(&engine, "q").await;
    drop(engine);
    harness.crash_and_reopen().await;
    nothing(&harness.engine(), "q").await;
    assert_eq!(harness.engine().depth(&"q".into()), crate::Depth::default());
}

pub async fn record_comes_back_as_it_was_published<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let large = Bytes::from((0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<_>>());
    let lane = Lane::new(Class::Bulk, "a flow / of its own");
    let published_at = harness.now();
    ok(
        &engine,
        step()
            .publish("q", lane.clone(), large.clone())
            .publish("q", lane.clone(), Bytes::new()),
    )
    .await;
    harness.advance(SECOND).await;
    drop(engine);
    harness.crash_and_reopen().await;
    let deliveries = take(&harness.engine(), "q", 2).await;
    assert!(deliveries[0].record() == &large && deliveries[1].record().is_empty());
    for delivery in &deliveries {
        assert_eq!((delivery.lane(), delivery.queue().as_str()), (&lane, "q"));
        assert_eq!((delivery.attempt(), delivery.leased_before_crash()), (1, false));
        assert_eq!(delivery.published_at(), published_at);
    }
}

pub async fn released_record_is_ready_after_its_time_with_its_reason<H: Harness>() {
    let harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    let delivery = one(&engine, "q").await;
    let due = harness.now().after(SECOND);
    ok(
        &engine,
        Step::from(&delivery).release(&delivery, SECOND, ReleaseReason::Throttled, Cost::Free),
    )
    .await;
    drop(delivery);
    nothing(&engine, "q").await;
    let seen = browse(&engine, "q", Place::Deferred).await;
    assert_eq!(
        (seen.len(), seen[0].reason, seen[0].due),
        (1, "throttled", Some(due))
    );
    harness.advance(SECOND - Duration::from_millis(1)).await;
    nothing(&engine, "q").await;
    harness.advance(Duration::from_millis(1)).await;
    let delivery = one(&engine, "q").await;
    assert_eq!((delivery.attempt(), delivery.leased_before_crash()), (1, false));
    ok(
        &engine,
        step().release(&delivery, Duration::ZERO, ReleaseReason::LinkLost, Cost::Free),
    )
    .await;
    assert_eq!(
        texts(&now(&engine, "q", 10).await),
        ["a"],
        "no time to wait is ready at once"
    );
}

pub async fn attempt_grows_only_at_a_cost<H: Harness>() {
    let mut harness = H::open().await;
    publish(&harness.engine(), "q", "a").await;
    for (cost, attempt) in [
        (Cost::Counted, 1),
        (Cost::Free, 2),
        (Cost::Counted, 2),
        (Cost::Free, 3),
    ] {
        let engine = harness.engine();
        let delivery = one(&engine, "q").await;
        assert_eq!(delivery.attempt(), attempt);
        ok(
            &engine,
            step().release(&delivery, Duration::ZERO, ReleaseReason::Temporary, cost),
        )
        .await;
        drop((delivery, engine));
        harness.crash_and_reopen().await;
    }
    assert_eq!(browse(&harness.engine(), "q", Place::Ready).await[0].attempt, 3);
}

pub async fn release_keeps_its_due_time_over_a_crash<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    let delivery = one(&engine, "q").await;
    let due = harness.now().after(SECOND * 5);
    ok(
        &engine,
        step().release(
            &delivery,
            SECOND * 5,
            ReleaseReason::CallbackFailed,
            Cost::Counted,
        ),
    )
    .await;
    drop((delivery, engine));
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    nothing(&engine, "q").await;
    let seen = browse(&engine, "q", Place::Deferred).await;
    assert_eq!(
        (seen[0].reason, seen[0].due, seen[0].attempt),
        ("callback_failed", Some(due), 2)
    );
    harness.advance(SECOND * 5).await;
    let delivery = one(&engine, "q").await;
    assert_eq!((delivery.attempt(), delivery.leased_before_crash()), (2, false));
}

pub async fn released_record_keeps_its_age<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    for record in ["a", "b", "c", "d"] {
        publish(&engine, "q", record).await;
    }
    let deliveries = now(&engine, "q", 3).await;
    for delivery in [&deliveries[2], &deliveries[0]] {
        ok(
            &engine,
            step().release(delivery, Duration::ZERO, ReleaseReason::LinkLost, Cost::Free),
        )
        .await;
    }
    drop(deliveries);
    let again = now(&engine, "q", 10).await;
    // The one in between was dropped: it is as old as it was, too.
    assert_eq!(texts(&again), ["a", "b", "c", "d"]);
    for delivery in again.iter().rev() {
        ok(
            &engine,
            step().release(delivery, Duration::ZERO, ReleaseReason::LinkLost, Cost::Free),
        )
        .await;
    }
    drop((again, engine));
    harness.crash_and_reopen().await;
    assert_eq!(
        texts(&take(&harness.engine(), "q", 4).await),
        ["a", "b", "c", "d"]
    );
}

pub async fn dropped_delivery_comes_back_marked<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    drop(one(&engine, "q").await);
    let delivery = one(&engine, "q").await;
    assert_eq!((delivery.attempt(), delivery.leased_before_crash()), (1, true));
    drop((delivery, engine));
    harness.crash_and_reopen().await;
    assert!(
        one(&harness.engine(), "q").await.leased_before_crash(),
        "a crash does not take the mark away"
    );
}

pub async fn a_step_says_what_became_of_it_and_the_mark_goes<H: Harness>() {
    let engine = H::open().await.engine();
    publish(&engine, "q", "a").await;
    drop(one(&engine, "q").await);
    let delivery = one(&engine, "q").await;
    assert!(delivery.leased_before_crash());
    ok(
        &engine,
        step().release(&delivery, Duration::ZERO, ReleaseReason::InDoubt, Cost::Free),
    )
    .await;
    drop(delivery);
    assert!(!one(&engine, "q").await.leased_before_crash());
}

pub async fn crash_marks_what_was_leased_and_keeps_its_attempt<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    publish(&engine, "q", "b").await;
    let delivery = one(&engine, "q").await;
    ok(
        &engine,
        step().release(&delivery, Duration::ZERO, ReleaseReason::Temporary, Cost::Counted),
    )
    .await;
    let leased = one(&engine, "q").await;
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    let stale = step().settle(&leased).commit(engine.as_ref()).await.unwrap_err();
    assert!(matches!(stale.kind, CommitErrorKind::Stale { .. }), "{stale:?}");
    drop((delivery, leased));
    let deliveries = take(&engine, "q", 2).await;
    assert_eq!(texts(&deliveries), ["a", "b"]);
    let marks: Vec<_> = deliveries
        .iter()
        .map(|d| (d.attempt(), d.leased_before_crash()))
        .collect();
    assert_eq!(marks, [(2, true), (1, false)]);
}

pub async fn lease_that_was_given_back_is_stale<H: Harness>() {
    let engine = H::open().await.engine();
    publish(&engine, "q", "a").await;
    let delivery = one(&engine, "q").await;
    let steps = [
        step().release(&delivery, Duration::ZERO, ReleaseReason::LinkLost, Cost::Free),
        step().settle(&delivery),
        step().release(&delivery, Duration::ZERO, ReleaseReason::LinkLost, Cost::Counted),
        step().hold(&delivery, HoldReason::InDoubt),
        step().dead_letter(&delivery, crate::DeadReason::Refused),
    ];
    let mut answers = engine.commit(steps.to_vec()).await;
    assert!(answers.remove(0).is_ok());
    for answer in answers {
        assert!(matches!(answer.unwrap_err().kind, CommitErrorKind::Stale { .. }));
    }
    let again = one(&engine, "q").await;
    drop(delivery);
    nothing(&engine, "q").await;
    assert_eq!(again.attempt(), 1);
    // A new lease of the same record does not make the old one good.
    ok(&engine, step().settle(&again)).await;
}

pub async fn scheduled_record_waits_for_its_time<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let now = harness.now();
    let steps = step()
        .publish_at("q", lane(), octets("later"), now.after(SECOND * 3))
        .publish_at("q", lane(), octets("past"), now.before(SECOND))
        .publish_at("q", lane(), octets("soon"), now.after(SECOND));
    ok(&engine, steps).await;
    assert_eq!(
        texts(&super::now(&engine, "q", 10).await.and_settle(&engine).await),
        ["past"]
    );
    assert_eq!(browse(&engine, "q", Place::Deferred).await[0].reason, "scheduled");
    harness.advance(SECOND).await;
    let soon = one(&engine, "q").await;
    assert_eq!(text(soon.record()), "soon");
    ok(&engine, step().settle(&soon)).await;
    drop((soon, engine));
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    nothing(&engine, "q").await;
    harness.advance(SECOND * 2).await;
    assert_eq!(text(one(&engine, "q").await.record()), "later");
}

pub async fn held_record_waits_for_a_person<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    publish(&engine, "q", "b").await;
    let deliveries = take(&engine, "q", 2).await;
    for delivery in &deliveries {
        ok(&engine, Step::from(delivery).hold(delivery, HoldReason::InDoubt)).await;
    }
    drop((deliveries, engine));
    harness.crash_and_reopen().await;
    harness.advance(SECOND * 3600 * 24 * 30).await;
    let engine = harness.engine();
    nothing(&engine, "q").await;
    let seen = browse(&engine, "q", Place::Held).await;
    assert_eq!(
        seen.iter().map(|seen| seen.reason).collect::<Vec<_>>(),
        ["in_doubt", "in_doubt"]
    );
    ok(&engine, step().requeue("q", seen[0].id).discard("q", seen[1].id)).await;
    for gone in [step().requeue("q", seen[0].id), step().discard("q", seen[1].id)] {
        let error = gone.commit(engine.as_ref()).await.unwrap_err();
        assert!(
            matches!(error.kind, CommitErrorKind::NoRecord { .. }),
            "{error:?}"
        );
    }
    let delivery = one(&engine, "q").await;
    assert_eq!((text(delivery.record()), delivery.id()), ("a".into(), seen[0].id));
    assert!(!delivery.leased_before_crash());
    nothing(&engine, "q").await;
    ok(&engine, step().settle(&delivery)).await;
    assert_eq!(engine.depth(&"q".into()), crate::Depth::default());
}

pub async fn record_numbers_never_return<H: Harness>() {
    let mut harness = H::open().await;
    let mut last = None;
    for round in 0..6 {
        let engine = harness.engine();
        publish(&engine, "q", "a").await;
        let delivery = one(&engine, "q").await;
        assert!(last < Some(delivery.id()), "{:?} after {last:?}", delivery.id());
        last = Some(delivery.id());
        ok(&engine, Step::from(&delivery).settle(&delivery)).await;
        drop((delivery, engine));
        if round % 2 == 1 {
            harness.crash_and_reopen().await;
        }
    }
}

/// Settles what was just looked at.
trait AndSettle {
    async fn and_settle(self, engine: &Arc<dyn Engine>) -> Self;
}

impl AndSettle for Vec<Delivery> {
    async fn and_settle(self, engine: &Arc<dyn Engine>) -> Self {
        for delivery in &self {
            ok(engine, Step::from(delivery).settle(delivery)).await;
        }
        self
    }
}
