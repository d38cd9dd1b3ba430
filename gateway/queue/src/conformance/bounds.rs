//! Laws of bounds: what comes in where it is full, what is too large, what dead letters may take.

use super::*;
use crate::{
    Amount, Bound, Bounds, CommitErrorKind, DeadLetters, DeadReason, Expected, Expiry, Full, HoldReason,
    HoldScope, Invalid, MAX_NAME, MAX_RECORD,
};

fn records(records: u64) -> Bound {
    Bound {
        records,
        octets: u64::MAX,
    }
}

fn octets_at_most(octets: u64) -> Bound {
    Bound {
        records: u64::MAX,
        octets,
    }
}

async fn kind(engine: &Arc<dyn Engine>, step: Step) -> Option<CommitErrorKind> {
    step.commit(engine.as_ref()).await.err().map(|error| error.kind)
}

fn accept(queue: &str, record: &str) -> Step {
    step()
        .publish(queue, lane(), octets(record))
        .put("seen", octets(record), Expiry::Owner)
        .append("log", octets(record))
}

pub async fn full_queue_refuses_what_comes_in_and_nothing_else<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let mut bounds = Bounds {
        queue: records(2),
        queues: [("large".into(), octets_at_most(10))].into(),
        exempt: ["instructions".into()].into(),
        ..Bounds::NONE
    };
    engine.set_bounds(bounds.clone());
    assert_eq!(engine.bounds(), bounds);
    // Two of one call fit in, the third does not: steps of a call see each other.
    let answers = engine
        .commit(vec![accept("q", "a"), accept("q", "b"), accept("q", "c")])
        .await;
    let full = CommitErrorKind::Full(Full::Queue("q".into()));
    assert_eq!(
        answers.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(answers[2].as_ref().unwrap_err().kind, full);
    assert_eq!(entries(&engine, "log").await.len(), 2, "nothing of it");
    assert_eq!(get(&engine, "seen").await.unwrap().value, octets("b"));
    assert_eq!(kind(&engine, accept("other", "a")).await, None);
    // In flight, deferred and held wait as well.
    let [a, b] = take(&engine, "q", 2).await.try_into().unwrap();
    ok(&engine, step().hold(&a, HoldReason::Instructed)).await;
    assert_eq!(kind(&engine, accept("q", "c")).await, Some(full.clone()));
    // What has an input goes through, whatever it publishes; so does what is no record.
    ok(
        &engine,
        step()
            .settle(&b)
            .publish("q", lane(), octets("d"))
            .publish("q", lane(), octets("e")),
    )
    .await;
    ok(&engine, step().put("k", octets("v"), Expiry::Owner)).await;
    ok(
        &engine,
        step().bury("q", lane(), octets("dead"), DeadReason::NoRoute),
    )
    .await;
    assert_eq!(engine.depth(&"q".into()).ready, 2);
    for _ in 0..3 {
        publish(&engine, "instructions", "reload").await;
    }
    // By octets: passed by at most one step, and only when it was not reached before.
    publish(&engine, "large", "123456789").await;
    publish(&engine, "large", "another one, however long").await;
    let full_large = CommitErrorKind::Full(Full::Queue("large".into()));
    assert_eq!(kind(&engine, accept("large", "")).await, Some(full_large));
    // Dead letters wait for nobody.
    for delivery in take(&engine, "q", 2).await {
        ok(&engine, step().dead_letter(&delivery, DeadReason::Refused)).await;
    }
    publish(&engine, "q", "f").await;
    bounds.queue = records(100);
    engine.set_bounds(bounds);
    for _ in 0..10 {
        publish(&engine, "q", "more").await;
    }
    drop((a, b, engine));
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    // A smaller bound deletes nothing.
    engine.set_bounds(Bounds {
        queue: records(3),
        ..Bounds::NONE
    });
    assert_eq!(kind(&engine, accept("q", "g")).await, Some(full));
    assert_eq!(take(&engine, "q", 11).await.len(), 11);
}

pub async fn full_engine_refuses_what_comes_in<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let bounds = Bounds {
        engine: Bound {
            records: 4,
            octets: 100,
        },
        ..Bounds::NONE
    };
    engine.set_bounds(bounds.clone());
    let full = Some(CommitErrorKind::Full(Full::Engine));
    for queue in ["a", "b", "c"] {
        publish(&engine, queue, "x").await;
    }
    // An alarm is no accept: it is inside already.
    let at = harness.now().after(Duration::from_secs(1));
    ok(
        &engine,
        step().put("k", octets("v"), Expiry::Alarm(at, "alarms".into(), lane())),
    )
    .await;
    publish(&engine, "d", "x").await;
    harness.advance(Duration::from_secs(2)).await;
    assert_eq!(take(&engine, "alarms", 1).await.len(), 1);
    assert_eq!(kind(&engine, accept("e", "x")).await, full);
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    engine.set_bounds(bounds);
    assert_eq!(
        kind(&engine, accept("e", "x")).await,
        full,
        "it is known what waits after a start"
    );
    for queue in ["a", "b", "alarms"] {
        let delivery = one(&engine, queue).await;
        ok(&engine, step().settle(&delivery)).await;
    }
    publish(&engine, "e", "x".repeat(200)).await;
    assert_eq!(kind(&engine, accept("e", "x")).await, full, "by octets");
    // Moving and holding let nothing in.
    let id = browse(&engine, "e", Place::Ready).await[0].id;
    ok(&engine, step().move_record("e", id, "f", lane())).await;
    ok(
        &engine,
        step().hold_all("f", HoldScope::Queue, HoldReason::Instructed),
    )
    .await;
    ok(&engine, step().hold_record("f", id, HoldReason::Instructed)).await;
    ok(&engine, step().discard("f", id).publish("e", lane(), octets("y"))).await;
    assert_eq!(kind(&engine, accept("e", "x")).await, None);
}

pub async fn dead_letters_are_told_by_reason_and_bounded<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    engine.set_bounds(Bounds {
        dead_letters: octets_at_most(100),
        ..Bounds::NONE
    });
    publish(&engine, "q", "ready").await;
    for n in 10..40 {
        let reason = if n % 2 == 0 {
            DeadReason::NoRoute
        } else {
            DeadReason::Refused
        };
        ok(
            &engine,
            step().bury("q", lane(), octets(format!("{n}{}", "x".repeat(8))), reason),
        )
        .await;
    }
    for n in 10..15 {
        ok(
            &engine,
            step().bury(
                "q",
                lane(),
                octets(format!("{n}{}", "y".repeat(18))),
                DeadReason::Corrupt,
            ),
        )
        .await;
    }
    harness.advance(Duration::from_secs(1)).await;
    let kept = browse(&engine, "q", Place::DeadLetter).await;
    let names: Vec<String> = kept
        .iter()
        .map(|seen| text(&seen.record)[..2].to_owned())
        .collect();
    assert_eq!(
        names,
        (30..40).map(|n| n.to_string()).collect::<Vec<_>>(),
        "the oldest go first"
    );
    let sum = |reason, records, octets| DeadLetters {
        reason,
        amount: Amount { records, octets },
    };
    let expected = [
        sum(DeadReason::NoRoute, 5, 50),
        sum(DeadReason::Refused, 5, 50),
        sum(DeadReason::Corrupt, 5, 100),
    ];
    assert_eq!(engine.dead_letters(&"q".into()), expected);
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(engine.dead_letters(&"q".into()), expected);
    // By number, live, and a requeue makes room.
    ok(&engine, step().requeue("q", kept[9].id)).await;
    engine.set_bounds(Bounds {
        dead_letters: records(3),
        ..Bounds::NONE
    });
    harness.advance(Duration::from_secs(1)).await;
    let depth = engine.depth(&"q".into());
    assert_eq!((depth.ready, depth.dead_letter, depth.corrupt), (2, 3, 3));
    assert!(engine.dead_letters(&"none".into()).is_empty());
}

pub async fn checkout_is_bounded_by_octets_and_gives_one_at_least<H: Harness>() {
    let engine = H::open().await.engine();
    for size in [10, 20, 30, 200, 5] {
        publish(&engine, "q", "x".repeat(size)).await;
    }
    let ask = async |max_octets| {
        let want = Want::new(9, Duration::ZERO).octets(max_octets);
        let taken = engine.checkout(&"q".into(), want).await.unwrap();
        let sizes: Vec<usize> = taken.iter().map(|delivery| delivery.record().len()).collect();
        (taken, sizes)
    };
    let (first, sizes) = ask(59).await;
    assert_eq!(sizes, [10, 20]);
    drop(first);
    let (first, sizes) = ask(60).await;
    assert_eq!(sizes, [10, 20, 30]);
    let (second, sizes) = ask(0).await;
    assert_eq!(sizes, [200], "one is always given");
    let (third, sizes) = ask(u64::MAX).await;
    assert_eq!(sizes, [5]);
    drop((first, second, third));
}

pub async fn mistakes_of_the_caller_have_their_own_error<H: Harness>() {
    let engine = H::open().await.engine();
    let long = "n".repeat(MAX_NAME + 1);
    let most = "n".repeat(MAX_NAME);
    let at = Expiry::Alarm(Timestamp::from_millis(1), long.as_str().into(), lane());
    let table = [
        (step().publish(long.as_str(), lane(), octets("")), "queue"),
        (
            step().publish("q", Lane::new(Class::Otp, long.as_str()), octets("")),
            "flow",
        ),
        (
            step().bury(long.as_str(), lane(), octets(""), DeadReason::NoRoute),
            "queue",
        ),
        (step().append(long.as_str(), octets("")), "log"),
        (step().put(long.as_str(), octets(""), Expiry::Owner), "key"),
        (step().put("k", octets(""), at), "queue"),
        (step().add(long.as_str(), 1, None, Expiry::Owner), "key"),
        (step().delete(long.as_str(), Expected::Any), "key"),
        (
            step().hold_all("q", HoldScope::Flow(long.as_str().into()), HoldReason::Instructed),
            "flow",
        ),
        (
            step().move_record("q", crate::RecordId::from_u64(1), long.as_str(), lane()),
            "queue",
        ),
    ];
    for (step, what) in table {
        let expected = Invalid::NameTooLong {
            what,
            octets: MAX_NAME + 1,
        };
        assert_eq!(
            kind(&engine, step).await,
            Some(CommitErrorKind::Invalid(expected))
        );
    }
    let large = Bytes::from(vec![b'x'; MAX_RECORD + 1]);
    let expected = |what| {
        CommitErrorKind::Invalid(Invalid::TooLarge {
            what,
            octets: MAX_RECORD + 1,
        })
    };
    assert_eq!(
        kind(&engine, step().publish("q", lane(), large.clone())).await,
        Some(expected("record"))
    );
    assert_eq!(
        kind(&engine, step().append("log", large.clone())).await,
        Some(expected("log entry"))
    );
    assert_eq!(
        kind(&engine, step().put("k", large, Expiry::Owner)).await,
        Some(expected("value"))
    );
    assert!(engine.queues().is_empty());
    ok(
        &engine,
        step()
            .publish(most.as_str(), Lane::new(Class::Otp, most.as_str()), octets("a"))
            .put(most.as_str(), octets(""), Expiry::Owner)
            .hold_all(
                most.as_str(),
                HoldScope::Flow(most.as_str().into()),
                HoldReason::Instructed,
            ),
    )
    .await;
    assert_eq!(engine.depth(&most.as_str().into()).ready, 1);
}

pub async fn adds_of_one_step_are_done_together_and_tell_their_sums<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let committed = ok(
        &engine,
        step()
            .add("a", 10, None, Expiry::Owner)
            .put("b", octets("x"), Expiry::Owner)
            .add("c", 5, None, Expiry::Owner)
            .add("a", -4, Some(0), Expiry::Owner),
    )
    .await;
    assert_eq!(committed.sums, [10, 5, 6]);
    let failing = step()
        .add("c", 1, None, Expiry::Owner)
        .add("a", -7, Some(0), Expiry::Owner)
        .add("d", 1, None, Expiry::Owner);
    assert!(matches!(
        kind(&engine, failing).await,
        Some(CommitErrorKind::Floor { .. })
    ));
    // A step that finds itself done adds nothing again, and tells how it is.
    let id = fresh();
    let grant = || {
        Step::new(id)
            .compare_and_put("block", Expected::Absent, octets("6"), Expiry::Owner)
            .add("a", -6, Some(0), Expiry::Owner)
    };
    assert_eq!(ok(&engine, grant()).await.sums, [0]);
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(ok(&engine, grant()).await.sums, [0]);
    ok(&engine, step().add("a", 3, None, Expiry::Owner)).await;
    let answers = engine.commit(vec![grant(), grant()]).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().sums == [3]));
    let counters = ["a", "c", "d"].map(StateKey::from).to_vec();
    let found = engine.get(counters).await.unwrap();
    let numbers: Vec<_> = found
        .into_iter()
        .map(|value| value.and_then(|value| value.as_counter()))
        .collect();
    assert_eq!(numbers, [Some(3), Some(5), None]);
}
