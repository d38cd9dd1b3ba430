//! Laws of state: versions, compares, counters, expiry and alarms.

use super::*;
use crate::{CommitErrorKind, Expected, Expiry};
use std::collections::BTreeSet;

const SECOND: Duration = Duration::from_secs(1);

async fn refused(engine: &Arc<dyn Engine>, step: Step) -> CommitErrorKind {
    step.commit(engine.as_ref())
        .await
        .expect_err("this step is refused")
        .kind
}

async fn number(engine: &Arc<dyn Engine>, key: &str) -> Option<i64> {
    get(engine, key)
        .await
        .map(|found| found.as_counter().expect("a counter"))
}

async fn value(engine: &Arc<dyn Engine>, key: &str) -> Option<String> {
    get(engine, key).await.map(|found| text(&found.value))
}

pub async fn value_is_read_as_written<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    assert_eq!(get(&engine, "k").await, None);
    let id = fresh();
    let large = Bytes::from(vec![7; 300_000]);
    let write = Step::new(id)
        .put("k", octets("value"), Expiry::Owner)
        .put("k/longer", large.clone(), Expiry::Owner)
        .put("empty", Bytes::new(), Expiry::Owner);
    let version = ok(&engine, write).await.version;
    drop(engine);
    for _ in 0..2 {
        let engine = harness.engine();
        let written = |value| {
            Some(Versioned {
                value,
                version,
                written_by: id,
            })
        };
        assert_eq!(get(&engine, "k").await, written(octets("value")));
        assert_eq!(get(&engine, "k/longer").await, written(large.clone()));
        assert_eq!(get(&engine, "empty").await, written(Bytes::new()));
        drop(engine);
        harness.crash_and_reopen().await;
    }
}

pub async fn many_keys_are_answered_in_order<H: Harness>() {
    let engine = H::open().await.engine();
    let writes = (0..100).step_by(2).fold(step(), |step, n| {
        step.put(format!("k{n}"), octets(n.to_string()), Expiry::Owner)
    });
    ok(&engine, writes).await;
    let keys = (0..100)
        .rev()
        .map(|n| StateKey::from(format!("k{n}")))
        .chain([StateKey::from("k4")])
        .collect();
    let found: Vec<_> = engine
        .get(keys)
        .await
        .unwrap()
        .into_iter()
        .map(|found| found.map(|found| text(&found.value)))
        .collect();
    let expected = (0..100)
        .rev()
        .chain([4])
        .map(|n| (n % 2 == 0).then(|| n.to_string()));
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(engine.get(Vec::new()).await.unwrap(), []);
}

pub async fn compare_decides_who_writes<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let put = |expected, value: &str| step().compare_and_put("k", expected, octets(value), Expiry::Owner);
    let conflict = |kind| assert!(matches!(kind, CommitErrorKind::Conflict { key } if key.as_str() == "k"));
    conflict(refused(&engine, put(Expected::Version(1), "x")).await);
    let first = ok(&engine, put(Expected::Absent, "first")).await.version;
    conflict(refused(&engine, put(Expected::Absent, "x")).await);
    conflict(refused(&engine, put(Expected::Version(first + 1), "x")).await);
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    let second = ok(&engine, put(Expected::Version(first), "second")).await.version;
    assert!(second > first);
    conflict(refused(&engine, put(Expected::Version(first), "x")).await);
    assert_eq!(value(&engine, "k").await, Some("second".into()));
    ok(&engine, put(Expected::Any, "third")).await;
    assert_eq!(value(&engine, "k").await, Some("third".into()));
}

pub async fn deleted_key_is_gone<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let version = ok(&engine, step().put("k", octets("v"), Expiry::Owner))
        .await
        .version;
    assert!(matches!(
        refused(&engine, step().delete("k", Expected::Version(version + 1))).await,
        CommitErrorKind::Conflict { .. }
    ));
    ok(&engine, step().delete("k", Expected::Version(version))).await;
    assert_eq!(get(&engine, "k").await, None);
    ok(&engine, step().delete("k", Expected::Any)).await;
    assert!(matches!(
        refused(&engine, step().delete("k", Expected::Version(version))).await,
        CommitErrorKind::Conflict { .. }
    ));
    drop(engine);
    harness.crash_and_reopen().await;
    assert_eq!(get(&harness.engine(), "k").await, None);
}

pub async fn counter_adds_up<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    for delta in [5, -8, 1000, -1] {
        ok(&engine, step().add("n", delta, None, Expiry::Owner)).await;
    }
    ok(
        &engine,
        step()
            .put("text", octets("eight is"), Expiry::Owner)
            .put("short", octets("x"), Expiry::Owner),
    )
    .await;
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(number(&engine, "n").await, Some(996));
    let kind = refused(&engine, step().add("short", 1, None, Expiry::Owner)).await;
    assert!(matches!(kind, CommitErrorKind::NotACounter { .. }), "{kind:?}");
    ok(&engine, step().add("n", i64::MAX - 996, None, Expiry::Owner)).await;
    let kind = refused(&engine, step().add("n", 1, None, Expiry::Owner)).await;
    assert!(
        matches!(kind, CommitErrorKind::Floor { .. }),
        "a sum that does not fit is refused, not wrapped: {kind:?}"
    );
    assert_eq!(number(&engine, "n").await, Some(i64::MAX));
}

pub async fn counter_stops_at_its_floor<H: Harness>() {
    let engine = H::open().await.engine();
    let spend = |amount: i64| step().add("credit", -amount, Some(0), Expiry::Owner);
    let floor = |kind| assert!(matches!(kind, CommitErrorKind::Floor { key } if key.as_str() == "credit"));
    floor(refused(&engine, spend(1)).await);
    assert_eq!(get(&engine, "credit").await, None);
    ok(&engine, step().add("credit", 10, None, Expiry::Owner)).await;
    ok(&engine, spend(7)).await;
    floor(refused(&engine, spend(4)).await);
    ok(&engine, spend(3)).await;
    assert_eq!(number(&engine, "credit").await, Some(0));
}

pub async fn value_expires_at_its_time<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let at = |seconds: u32| Expiry::At(harness.now().after(SECOND * seconds));
    let writes = step()
        .put("one", octets("v"), at(1))
        .put("two", octets("v"), at(2))
        .put("kept", octets("v"), at(1))
        .add("n", 5, None, at(2))
        .put("never", octets("v"), Expiry::Owner)
        .put("past", octets("v"), Expiry::At(harness.now().before(SECOND)));
    ok(&engine, writes).await;
    // A later write decides alone.
    ok(&engine, step().put("kept", octets("w"), Expiry::Owner)).await;
    assert_eq!(get(&engine, "past").await, None);
    harness.advance(SECOND - Duration::from_millis(1)).await;
    assert!(get(&engine, "one").await.is_some());
    harness.advance(Duration::from_millis(1)).await;
    assert_eq!(get(&engine, "one").await, None);
    assert!(get(&engine, "two").await.is_some() && get(&engine, "kept").await.is_some());
    drop(engine);
    harness.crash_and_reopen().await;
    harness.advance(SECOND).await;
    let engine = harness.engine();
    assert_eq!(
        (get(&engine, "one").await, get(&engine, "two").await),
        (None, None)
    );
    assert!(get(&engine, "kept").await.is_some() && get(&engine, "never").await.is_some());
    // An expired key is absent for steps, too.
    ok(
        &engine,
        step().compare_and_put("one", Expected::Absent, octets("new"), Expiry::Owner),
    )
    .await;
    ok(&engine, step().add("n", 1, None, Expiry::Owner)).await;
    assert_eq!(number(&engine, "n").await, Some(1));
    harness.advance(SECOND * 3600).await;
    assert_eq!(
        value(&engine, "one").await,
        Some("new".into()),
        "the old expiry is gone with the old value"
    );
}

fn alarm(at: Timestamp) -> Expiry {
    Expiry::Alarm(at, QueueName::from("alarms"), Lane::new(Class::Otp, "router"))
}

pub async fn alarm_goes_off_once<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let at = harness.now().after(SECOND);
    let written = ok(&engine, step().put("mo/1", octets("parts"), alarm(at))).await;
    ok(
        &engine,
        step().put("past", octets("v"), alarm(harness.now().before(SECOND))),
    )
    .await;
    let past = one(&engine, "alarms").await;
    assert_eq!(
        text(past.record()),
        "past",
        "one whose time has passed goes off at once"
    );
    ok(&engine, step().settle(&past)).await;
    nothing(&engine, "alarms").await;
    harness.advance(SECOND).await;
    let delivery = one(&engine, "alarms").await;
    assert_eq!(text(delivery.record()), "mo/1");
    assert_eq!(delivery.lane(), &Lane::new(Class::Otp, "router"));
    let found = get(&engine, "mo/1").await.expect("the value stays");
    assert_eq!(
        (text(&found.value), found.version),
        ("parts".into(), written.version)
    );
    ok(&engine, step().settle(&delivery)).await;
    drop((delivery, past, engine));
    for _ in 0..2 {
        harness.advance(SECOND * 3600).await;
        nothing(&harness.engine(), "alarms").await;
        harness.crash_and_reopen().await;
    }
    assert_eq!(value(&harness.engine(), "mo/1").await, Some("parts".into()));
}

pub async fn later_write_replaces_the_alarm<H: Harness>() {
    let harness = H::open().await;
    let engine = harness.engine();
    let at = |seconds: u32| harness.now().after(SECOND * seconds);
    for key in ["later", "never", "deleted", "counter"] {
        ok(&engine, step().add(key, 1, None, alarm(at(1)))).await;
    }
    let changes = step()
        .put("later", octets("v"), alarm(at(3)))
        .put("never", octets("v"), Expiry::Owner)
        .delete("deleted", Expected::Any)
        .add("counter", 1, None, alarm(at(2)));
    ok(&engine, changes).await;
    harness.advance(SECOND).await;
    nothing(&engine, "alarms").await;
    harness.advance(SECOND).await;
    let first = one(&engine, "alarms").await;
    assert_eq!(text(first.record()), "counter");
    nothing(&engine, "alarms").await;
    harness.advance(SECOND).await;
    let second = one(&engine, "alarms").await;
    assert_eq!(text(second.record()), "later");
    harness.advance(SECOND * 60).await;
    nothing(&engine, "alarms").await;
}

pub async fn alarm_survives_a_crash<H: Harness>() {
    let mut harness = H::open().await;
    let at = harness.now().after(SECOND);
    let writes = (0..20).fold(step(), |step, n| {
        step.put(format!("k{n}"), octets("v"), alarm(at))
    });
    ok(&harness.engine(), writes).await;
    harness.crash_and_reopen().await;
    nothing(&harness.engine(), "alarms").await;
    harness.advance(SECOND).await;
    let rung: BTreeSet<_> = texts(&take(&harness.engine(), "alarms", 20).await)
        .into_iter()
        .collect();
    assert_eq!(rung, (0..20).map(|n| format!("k{n}")).collect());
    harness.crash_and_reopen().await;
    // Those were leased when it crashed: they come again, but no alarm goes off twice.
    assert_eq!(harness.engine().depth(&"alarms".into()).ready, 20);
}

pub async fn versions_never_return<H: Harness>() {
    let mut harness = H::open().await;
    let mut last = 0;
    for round in 0..4 {
        let engine = harness.engine();
        for _ in 0..3 {
            let version = ok(&engine, step().put("k", octets("v"), Expiry::Owner))
                .await
                .version;
            assert!(version > last, "{version} after {last}");
            assert_eq!(get(&engine, "k").await.map(|found| found.version), Some(version));
            last = version;
        }
        ok(&engine, step().delete("k", Expected::Any)).await;
        drop(engine);
        if round % 2 == 0 {
            harness.crash_and_reopen().await;
        }
    }
}
