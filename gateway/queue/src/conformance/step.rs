//! Laws of steps: all or nothing, for ever.

use super::*;
use crate::{
    CommitErrorKind, Cost, DeadReason, Depth, Expected, Expiry, HoldReason, RecordId, ReleaseReason,
};

/// Whether an error is the expected one.
type Judge = fn(&CommitErrorKind) -> bool;

/// A step that touches everything an engine has.
fn everything(input: &Delivery, name: &str) -> Step {
    Step::new(fresh())
        .settle(input)
        .publish("out", lane(), octets(name))
        .publish_at(
            "out",
            lane(),
            octets(format!("{name} later")),
            Timestamp::from_millis(i64::MAX),
        )
        .bury(
            "out",
            lane(),
            octets(format!("{name} buried")),
            DeadReason::NoRoute,
        )
        .append("log", octets(name))
        .advance("log", "reader", Position(1))
        .put("value", octets(name), Expiry::Owner)
        .delete("old", Expected::Any)
        .add("counter", 5, None, Expiry::Owner)
}

/// What there is before such a step, and the input for it.
async fn before(engine: &Arc<dyn Engine>) -> Delivery {
    let base = step()
        .append("log", octets("first"))
        .put("value", octets("before"), Expiry::Owner)
        .put("old", octets("old"), Expiry::Owner)
        .put("text", octets("no number"), Expiry::Owner)
        .add("counter", 1, None, Expiry::Owner);
    ok(engine, base).await;
    publish(engine, "in", "input").await;
    one(engine, "in").await
}

/// What there is: depth of `out`, of `in`, the log, the reader, the values.
async fn seen(engine: &Arc<dyn Engine>) -> (Depth, Depth, Vec<Entry>, Position, Vec<Option<Versioned>>) {
    let keys = ["value", "old", "text", "counter", "new"]
        .map(StateKey::from)
        .to_vec();
    (
        engine.depth(&"out".into()),
        engine.depth(&"in".into()),
        entries(engine, "log").await,
        engine.position(&"log".into(), "reader").await.unwrap(),
        engine.get(keys).await.unwrap(),
    )
}

pub async fn committed_step_survives_the_crash_wholly<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let input = before(&engine).await;
    ok(&engine, everything(&input, "done")).await;
    drop(input);
    let then = seen(&engine).await;
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(seen(&engine).await, then);
    let (out, input, log, position, values) = then;
    assert_eq!(
        (out, input),
        (
            Depth {
                ready: 1,
                deferred: 1,
                dead_letter: 1,
                octets: 25,
                ..Depth::default()
            },
            Depth::default()
        )
    );
    assert_eq!(
        log.iter().map(|entry| text(&entry.record)).collect::<Vec<_>>(),
        ["done"]
    );
    assert_eq!(position, Position(1));
    assert_eq!(
        values[0].as_ref().map(|value| text(&value.value)),
        Some("done".into())
    );
    assert_eq!(values[1], None);
    assert_eq!(values[3].as_ref().and_then(Versioned::as_counter), Some(6));
    assert_eq!(text(one(&engine, "out").await.record()), "done");
}

pub async fn failed_step_leaves_nothing_and_fails_no_neighbour<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let input = before(&engine).await;
    publish(&engine, "other", "gone").await;
    let stale = one(&engine, "other").await;
    ok(&engine, step().settle(&stale)).await;
    let then = seen(&engine).await;
    let queue = QueueName::from("in");
    let version = Expected::Version(u64::MAX);
    let void = |step: Step| step.put("new", octets("x"), Expiry::Owner);
    let failing: Vec<(Step, Judge)> = vec![
        (everything(&input, "x").settle(&stale), |kind| {
            matches!(kind, CommitErrorKind::Stale { .. })
        }),
        (everything(&input, "x").settle(&input), |kind| {
            matches!(kind, CommitErrorKind::Stale { .. })
        }),
        (void(everything(&stale, "x")), |kind| {
            matches!(kind, CommitErrorKind::Stale { .. })
        }),
        (
            everything(&input, "x").compare_and_put("text", version, octets("x"), Expiry::Owner),
            |kind| matches!(kind, CommitErrorKind::Conflict { key } if key.as_str() == "text"),
        ),
        (
            everything(&input, "x").compare_and_put("text", Expected::Absent, octets("x"), Expiry::Owner),
            |kind| matches!(kind, CommitErrorKind::Conflict { .. }),
        ),
        (everything(&input, "x").delete("text", version), |kind| {
            matches!(kind, CommitErrorKind::Conflict { .. })
        }),
        (
            void(everything(&input, "x")).add("counter", -7, Some(0), Expiry::Owner),
            |kind| matches!(kind, CommitErrorKind::Floor { key } if key.as_str() == "counter"),
        ),
        (
            everything(&input, "x").add("text", 1, None, Expiry::Owner),
            |kind| matches!(kind, CommitErrorKind::NotACounter { key } if key.as_str() == "text"),
        ),
        (
            everything(&input, "x").requeue(queue.clone(), RecordId::from_u64(u64::MAX)),
            |kind| matches!(kind, CommitErrorKind::NoRecord { record: u64::MAX, .. }),
        ),
        (everything(&input, "x").discard(queue, input.id()), |kind| {
            matches!(kind, CommitErrorKind::NoRecord { .. })
        }),
    ];
    for (failing, expected) in failing {
        let id = failing.id();
        let call = vec![
            step().publish("neighbour", lane(), octets("left")),
            failing,
            step().publish("neighbour", lane(), octets("right")),
        ];
        let answers = engine.commit(call).await;
        assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
        let error = answers[1].as_ref().unwrap_err();
        assert!(error.step == id && expected(&error.kind), "{error:?}");
        assert_eq!(seen(&engine).await, then, "after {error:?}");
        assert_eq!(texts(&take(&engine, "neighbour", 2).await), ["left", "right"]);
        // The two were dropped; they are settled so that the next round sees its own.
        for delivery in take(&engine, "neighbour", 2).await {
            ok(&engine, step().settle(&delivery)).await;
        }
    }
    // The input is still ours: a step that is refused does not cost the lease.
    ok(&engine, everything(&input, "done")).await;
    let done = seen(&engine).await;
    drop((input, stale, engine));
    harness.crash_and_reopen().await;
    assert_eq!(seen(&harness.engine()).await, done);
}

pub async fn steps_of_one_call_see_each_other<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    publish(&engine, "q", "b").await;
    let deliveries = take(&engine, "q", 2).await;
    let (a, b) = (&deliveries[0], &deliveries[1]);
    let absent = Expected::Absent;
    let call = vec![
        step().compare_and_put("k", absent, octets("first"), Expiry::Owner),
        step().compare_and_put("k", absent, octets("second"), Expiry::Owner),
        step().delete("k", Expected::Any),
        step().compare_and_put("k", absent, octets("third"), Expiry::Owner),
        step().add("n", 3, None, Expiry::Owner),
        step().add("n", -2, Some(0), Expiry::Owner),
        step().add("n", -2, Some(0), Expiry::Owner),
        step().add("n", -1, Some(0), Expiry::Owner),
        step().settle(a).publish("out", lane(), octets("once")),
        step().settle(a).publish("out", lane(), octets("twice")),
        step().hold(b, HoldReason::Instructed),
        step().release(b, Duration::ZERO, ReleaseReason::Instructed, Cost::Free),
        step().requeue("q", b.id()),
        step().append("log", octets("x")),
        step().append("log", octets("y")).advance("log", "r", Position(1)),
    ];
    let went: Vec<bool> = engine.commit(call).await.iter().map(Result::is_ok).collect();
    assert_eq!(
        went,
        [
            true, false, true, true, true, true, false, true, true, false, true, false, true, true, true
        ]
    );
    drop(deliveries);
    for _ in 0..2 {
        let engine = harness.engine();
        assert_eq!(
            get(&engine, "k").await.map(|k| text(&k.value)),
            Some("third".into())
        );
        assert_eq!(get(&engine, "n").await.and_then(|n| n.as_counter()), Some(0));
        assert_eq!(texts(&take(&engine, "out", 1).await), ["once"]);
        assert_eq!(texts(&take(&engine, "q", 1).await), ["b"]);
        assert_eq!(entries(&engine, "log").await.len(), 1);
        drop(engine);
        harness.crash_and_reopen().await;
    }
}

pub async fn changes_of_one_step_are_done_in_order<H: Harness>() {
    let engine = H::open().await.engine();
    let changes = step()
        .add("n", 3, Some(0), Expiry::Owner)
        .add("n", -3, Some(0), Expiry::Owner)
        .put("k", octets("x"), Expiry::Owner)
        .delete("k", Expected::Any)
        .compare_and_put("k", Expected::Absent, octets("y"), Expiry::Owner)
        .append("log", octets("a"))
        .append("log", octets("b"))
        .publish("q", lane(), octets("1"))
        .publish("q", lane(), octets("2"));
    ok(&engine, changes).await;
    assert_eq!(get(&engine, "n").await.and_then(|n| n.as_counter()), Some(0));
    assert_eq!(get(&engine, "k").await.map(|k| text(&k.value)), Some("y".into()));
    let log = entries(&engine, "log").await;
    assert_eq!(
        log.iter().map(|entry| text(&entry.record)).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(texts(&take(&engine, "q", 2).await), ["1", "2"]);
    let spent = step()
        .add("n", -3, Some(0), Expiry::Owner)
        .add("n", 3, Some(0), Expiry::Owner);
    assert!(
        spent.commit(engine.as_ref()).await.is_err(),
        "the floor holds at every change"
    );
}

pub async fn answers_come_in_the_order_of_their_steps<H: Harness>() {
    let engine = H::open().await.engine();
    assert!(engine.commit(Vec::new()).await.is_empty());
    ok(&engine, step()).await;
    let steps: Vec<_> = (0..100)
        .map(|n| {
            let step = step().publish("q", lane(), octets(n.to_string()));
            if n % 3 == 0 {
                step.delete("nothing", Expected::Version(1))
            } else {
                step
            }
        })
        .collect();
    let ids: Vec<_> = steps.iter().map(Step::id).collect();
    let answers = engine.commit(steps).await;
    assert_eq!(answers.len(), 100);
    for (n, (answer, id)) in answers.iter().zip(ids).enumerate() {
        assert_eq!(
            answer.as_ref().err().map(|error| error.step),
            (n % 3 == 0).then_some(id)
        );
    }
    let expected: Vec<_> = (0..100).filter(|n| n % 3 != 0).map(|n| n.to_string()).collect();
    assert_eq!(texts(&take(&engine, "q", expected.len()).await), expected);
}

pub async fn steps_of_one_call_build_on_each_other_or_fail_together<H: Harness>() {
    let harness = H::open().await;
    let engine = harness.engine();
    let chain = |base: Expected, word: &str| {
        let (first, second, third) = (fresh(), fresh(), fresh());
        let put = |id, expected, n: u8| {
            Step::new(id).compare_and_put("k", expected, octets(format!("{word}{n}")), Expiry::Owner)
        };
        vec![
            put(first, base, 1),
            put(second, Expected::WrittenBy(first), 2),
            put(third, Expected::WrittenBy(second), 3).publish("q", lane(), octets(word)),
        ]
    };
    let answers = engine.commit(chain(Expected::Absent, "a")).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let found = get(&engine, "k").await.unwrap();
    assert_eq!(found.value, octets("a3"));
    // The first one expects what is not there: none of the chain goes through.
    for answer in engine.commit(chain(Expected::Absent, "b")).await {
        assert!(matches!(
            answer.unwrap_err().kind,
            CommitErrorKind::Conflict { .. }
        ));
    }
    assert_eq!(get(&engine, "k").await.unwrap(), found);
    let answers = engine.commit(chain(Expected::Version(found.version), "c")).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(texts(&take(&engine, "q", 2).await), ["a", "c"]);
}

pub async fn own_step_id_counts_as_done<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let id = fresh();
    let accept = |id| Step::new(id).compare_and_put("k", Expected::Absent, octets("mine"), Expiry::Owner);
    let first = ok(&engine, accept(id)).await;
    drop(engine);
    for _ in 0..2 {
        let engine = harness.engine();
        assert_eq!(
            ok(&engine, accept(id).publish("q", lane(), octets("again"))).await,
            first
        );
        let found = get(&engine, "k").await.unwrap();
        assert_eq!((found.version, found.written_by), (first.version, id));
        let other = accept(fresh()).commit(engine.as_ref()).await.unwrap_err();
        assert!(matches!(other.kind, CommitErrorKind::Conflict { .. }));
        drop(engine);
        harness.crash_and_reopen().await;
    }
    // Somebody else wrote it since: it is no longer this step's.
    let engine = harness.engine();
    ok(&engine, step().put("k", octets("theirs"), Expiry::Owner)).await;
    assert!(accept(id).commit(engine.as_ref()).await.is_err());
}
