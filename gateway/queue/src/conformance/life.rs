//! Laws of the whole engine: what it tells of itself, how it ends, what many tasks do to it.

use super::wait::begun;
use super::*;
use crate::{
    CommitErrorKind, Cost, DeadReason, Depth, EngineError, Expiry, Health, HoldReason, ReleaseReason,
};
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

pub async fn depth_counts_every_place<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    assert_eq!(engine.depth(&"q".into()), Depth::default());
    let steps = (0..21).map(|n| step().publish("q", lane(), octets(n.to_string())));
    assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
    let mut deliveries = take(&engine, "q", 15).await.into_iter();
    let mut next = || deliveries.next().unwrap();
    for _ in 0..4 {
        let delivery = next();
        let hour = Duration::from_secs(3600);
        ok(
            &engine,
            step().release(&delivery, hour, ReleaseReason::Temporary, Cost::Free),
        )
        .await;
    }
    for _ in 0..3 {
        let delivery = next();
        ok(&engine, step().hold(&delivery, HoldReason::Instructed)).await;
    }
    for _ in 0..2 {
        let delivery = next();
        ok(&engine, step().dead_letter(&delivery, DeadReason::Refused)).await;
    }
    let delivery = next();
    ok(&engine, step().dead_letter(&delivery, DeadReason::Corrupt)).await;
    let expected = Depth {
        ready: 6,
        in_flight: 5,
        deferred: 4,
        held: 3,
        dead_letter: 2,
        corrupt: 1,
        // Ten of one digit, eleven of two.
        octets: 32,
        holds: 0,
    };
    assert_eq!(engine.depth(&"q".into()), expected);
    for place in Place::ALL {
        let seen = browse(&engine, "q", place).await;
        assert_eq!(u64::try_from(seen.len()).unwrap(), expected.at(place));
        assert!(seen.iter().all(|seen| seen.place == place));
    }
    drop(engine);
    harness.crash_and_reopen().await;
    let recovered = Depth {
        ready: 11,
        in_flight: 0,
        ..expected
    };
    assert_eq!(harness.engine().depth(&"q".into()), recovered);
}

pub async fn queues_are_listed_while_they_have_records<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    assert!(engine.queues().is_empty());
    publish(&engine, "a", "1").await;
    publish(&engine, "b", "2").await;
    ok(
        &engine,
        step().bury("c", lane(), octets("3"), DeadReason::NoRoute),
    )
    .await;
    let names = |engine: &Arc<dyn Engine>| -> BTreeMap<String, Depth> {
        engine
            .queues()
            .into_iter()
            .map(|(name, depth)| (name.to_string(), depth))
            .collect()
    };
    let delivery = one(&engine, "b").await;
    ok(&engine, step().settle(&delivery)).await;
    let ready = Depth {
        ready: 1,
        octets: 1,
        ..Depth::default()
    };
    let dead = Depth {
        dead_letter: 1,
        octets: 1,
        ..Depth::default()
    };
    let expected = BTreeMap::from([("a".to_owned(), ready), ("c".to_owned(), dead)]);
    assert_eq!(names(&engine), expected);
    drop((delivery, engine));
    harness.crash_and_reopen().await;
    assert_eq!(names(&harness.engine()), expected);
}

pub async fn closed_engine_refuses<H: Harness>() {
    let engine = H::open().await.engine();
    publish(&engine, "q", "a").await;
    publish(&engine, "q", "b").await;
    let delivery = one(&engine, "q").await;
    assert_eq!(engine.health(), Health::Ready);
    engine.close().await.unwrap();
    assert_eq!(engine.health(), Health::Closed);
    let answers = engine.commit(vec![step().settle(&delivery), step()]).await;
    assert_eq!(answers.len(), 2);
    for answer in answers {
        assert_eq!(
            answer.unwrap_err().kind,
            CommitErrorKind::Engine(EngineError::Closed)
        );
    }
    drop(delivery);
    assert_eq!(
        engine.checkout(&"q".into(), Want::new(1, PATIENCE)).await.err(),
        Some(EngineError::Closed)
    );
    let read = engine.read(&"log".into(), Position(0), 1, PATIENCE).await;
    assert_eq!(read.err(), Some(EngineError::Closed));
    assert_eq!(
        engine.get(vec!["k".into()]).await.err(),
        Some(EngineError::Closed)
    );
    assert_eq!(
        engine.position(&"log".into(), "r").await.err(),
        Some(EngineError::Closed)
    );
    assert_eq!(
        engine.browse(&"q".into(), Place::Ready, None, 1).await.err(),
        Some(EngineError::Closed)
    );
    // Closing what is closed is done already.
    engine.close().await.unwrap();
}

pub async fn close_ends_waiting_calls<H: Harness>() {
    let engine = H::open().await.engine();
    let checkout = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            engine
                .checkout(&"q".into(), Want::new(1, 4 * PATIENCE))
                .await
                .err()
        }
    });
    let read = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            engine
                .read(&"log".into(), Position(0), 1, 4 * PATIENCE)
                .await
                .err()
        }
    });
    begun(&checkout).await;
    begun(&read).await;
    engine.close().await.unwrap();
    for task in [checkout, read] {
        let answer = tokio::time::timeout(PATIENCE, task)
            .await
            .expect("it ends")
            .unwrap();
        assert_eq!(answer, Some(EngineError::Closed));
    }
}

pub async fn closed_engine_opens_again_with_everything<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    publish(&engine, "q", "b").await;
    let delivery = one(&engine, "q").await;
    ok(
        &engine,
        step()
            .append("log", octets("x"))
            .put("k", octets("v"), Expiry::Owner),
    )
    .await;
    engine.close().await.unwrap();
    drop((delivery, engine));
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    let deliveries = take(&engine, "q", 2).await;
    assert_eq!(texts(&deliveries), ["a", "b"]);
    assert!(deliveries[0].leased_before_crash() && !deliveries[1].leased_before_crash());
    assert_eq!(
        (
            entries(&engine, "log").await.len(),
            get(&engine, "k").await.is_some()
        ),
        (1, true)
    );
}

const TASKS: usize = 8;
const RECORDS: usize = 10_000;

pub async fn many_tasks_share_a_queue_without_loss_or_repetition<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let producer = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            for batch in 0..RECORDS / 500 {
                let steps = (0..500).map(|n| {
                    let class = Class::ALL[n % 3];
                    step().publish(
                        "q",
                        Lane::new(class, format!("f{}", n % 7)),
                        octets((batch * 500 + n).to_string()),
                    )
                });
                assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
            }
        }
    });
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (engine, seen) = (Arc::clone(&engine), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut rounds = 0;
                while seen.lock().unwrap().len() < RECORDS {
                    // The wait is short: the last record may be with another task.
                    let want = Want::new(20 + task, Duration::from_millis(50));
                    let mut deliveries = engine.checkout(&"q".into(), want).await.unwrap();
                    rounds += 1;
                    if rounds % 10 == 0 {
                        // This one is given back: it comes again, to whoever.
                        deliveries.pop();
                    }
                    let steps = deliveries
                        .iter()
                        .map(|delivery| Step::from(delivery).settle(delivery));
                    let answers = engine.commit(steps.collect()).await;
                    assert!(
                        answers.iter().all(Result::is_ok),
                        "a lease is good as long as the delivery lives"
                    );
                    for record in texts(&deliveries) {
                        assert!(seen.lock().unwrap().insert(record), "settled twice");
                    }
                }
            })
        })
        .collect();
    producer.await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(seen.lock().unwrap().len(), RECORDS);
    assert_eq!(engine.depth(&"q".into()), Depth::default());
    drop(engine);
    harness.crash_and_reopen().await;
    assert_eq!(harness.engine().depth(&"q".into()), Depth::default());
}

pub async fn many_tasks_add_to_one_counter<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    ok(&engine, step().add("credit", 1000, None, Expiry::Owner)).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let mut spent = 0_i64;
                for _ in 0..30 {
                    let steps = (0..5).map(|_| {
                        step()
                            .add("credit", -1, Some(0), Expiry::Owner)
                            .append("spent", octets("x"))
                    });
                    let answers = engine.commit(steps.collect()).await;
                    spent += answers
                        .iter()
                        .map(|answer| i64::from(answer.is_ok()))
                        .sum::<i64>();
                }
                spent
            })
        })
        .collect();
    let mut spent = 0;
    for task in tasks {
        spent += task.await.unwrap();
    }
    // 1200 were asked for.
    assert_eq!(spent, 1000);
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(
        get(&engine, "credit").await.and_then(|found| found.as_counter()),
        Some(0)
    );
    assert_eq!(entries(&engine, "spent").await.len(), 1000);
}
