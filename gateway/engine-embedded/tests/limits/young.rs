//! What the last groups wrote: it survives a kill, goes to its place when it is some seconds old, and is written nowhere
//! else when it ends before.

use super::support::raw::Raw;
use super::support::tenths::{numbers, pass, publish, record};
use super::{Duration, EmbeddedEngine, OpenErrorKind, Path, QueueName, Step, StepId, Want, support};
use bytes::Bytes;
use smsgw_engine_embedded::offline::{export, repair, verify};
use smsgw_message::{Class, Clock};
use smsgw_queue::conformance::ManualClock;
use smsgw_queue::{Engine, Expected, Expiry, Lane, Place, StateKey};

fn key(n: u64) -> StateKey {
    StateKey::from(format!("k/{n}"))
}

/// Values that go away after an hour.
async fn put(engine: &EmbeddedEngine, clock: &ManualClock, numbers: std::ops::Range<u64>, text: &str) {
    let hour = Expiry::At(clock.now().after(Duration::from_secs(3600)));
    for n in numbers {
        Step::new(StepId::from_bytes([7; 16]))
            .compare_and_put(key(n), Expected::Any, Bytes::from(text.to_owned()), hour.clone())
            .commit(engine)
            .await
            .unwrap();
    }
}

async fn values(engine: &EmbeddedEngine, numbers: std::ops::Range<u64>) -> Vec<Option<Bytes>> {
    let found = engine.get(numbers.map(key).collect()).await.unwrap();
    found
        .into_iter()
        .map(|found| found.map(|found| found.value))
        .collect()
}

async fn settle(engine: &EmbeddedEngine, count: usize) {
    let taken = engine
        .checkout(&QueueName::from("q"), Want::new(count, Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(taken.len(), count);
    for delivery in &taken {
        Step::from(delivery)
            .settle(delivery)
            .commit(engine)
            .await
            .unwrap();
    }
}

/// Records that lie in generations.
fn at_their_place(raw: &Raw) -> usize {
    let generations = raw.generations();
    let keys = generations.iter().flat_map(|name| raw.keys(name));
    // The rest are anchors.
    keys.filter(|key| key.len() == 8).count()
}

fn is_clean(dir: &Path, clock: &ManualClock) -> bool {
    let report = verify(dir, &super::verify::Letter, clock.now(), &mut |_| {}).unwrap();
    report.is_clean() || panic!("{report:?}")
}

#[tokio::test]
async fn what_ends_while_it_is_young_is_written_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    publish(&engine, 0..100).await;
    put(&engine, &clock, 0..10, "first").await;
    settle(&engine, 100).await;
    for n in 0..10 {
        let step = Step::new(StepId::from_bytes([8; 16])).delete(key(n), Expected::Any);
        step.commit(engine.as_ref()).await.unwrap();
    }
    assert_eq!(values(&engine, 0..10).await, vec![None; 10]);
    engine.close().await.unwrap();
    drop(engine);
    let raw = Raw::open(dir.path());
    assert_eq!(at_their_place(&raw), 0);
    for keyspace in ["young", "state", "expiry", "records"] {
        assert_eq!(raw.keys(keyspace).len(), 0, "{keyspace}");
    }
    drop(raw);
    assert!(is_clean(dir.path(), &clock));
}

#[tokio::test]
async fn what_is_young_survives_a_kill_and_is_at_its_place_after_the_next_start() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    publish(&engine, 0..100).await;
    put(&engine, &clock, 0..20, "first").await;
    put(&engine, &clock, 10..30, "second").await;
    settle(&engine, 30).await;
    support::copy(dir.path(), killed.path());
    let raw = Raw::open(killed.path());
    assert!(raw.keys("young").len() > 30, "{}", raw.keys("young").len());
    assert_eq!((at_their_place(&raw), raw.keys("state").len()), (0, 0));
    // Nobody looked for what was there before, and yet it is known that nothing was.
    assert_eq!(raw.keys("expiry").len(), 0);
    drop(raw);
    let mut stream = Vec::new();
    let exported = tempfile::tempdir().unwrap();
    support::copy(killed.path(), exported.path());
    let totals = export(exported.path(), &mut stream, clock.now(), &mut |_| {}).unwrap();
    assert_eq!((totals.records, totals.values), (70, 30));

    let expected = |n| Some(Bytes::from_static(if n < 10 { b"first" } else { b"second" }));
    let expected: Vec<_> = (0..30).map(expected).collect();
    for _ in 0..2 {
        let engine = support::open(killed.path(), clock.clone());
        assert_eq!(numbers(&engine, Place::Ready).await, (30..100).collect());
        assert_eq!(values(&engine, 0..30).await, expected);
        engine.close().await.unwrap();
        drop(engine);
        let raw = Raw::open(killed.path());
        assert_eq!(raw.keys("young").len(), 0);
        assert_eq!((at_their_place(&raw), raw.keys("state").len()), (70, 30));
        assert_eq!(raw.keys("expiry").len(), 30);
        drop(raw);
        assert!(is_clean(killed.path(), &clock));
    }
    // What they are due for is not forgotten.
    let engine = support::open(killed.path(), clock.clone());
    clock.advance(Duration::from_secs(7200));
    engine.tick().await;
    assert_eq!(values(&engine, 0..30).await, vec![None; 30]);
}

/// Killed when all was at its place and `young` was not empty yet, and killed again.
#[tokio::test]
async fn a_start_that_was_killed_is_done_again_and_nothing_is_there_twice() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    publish(&engine, 0..50).await;
    put(&engine, &clock, 0..5, "first").await;
    settle(&engine, 10).await;
    support::copy(dir.path(), killed.path());
    drop(engine);
    let young: Vec<_> = {
        let raw = Raw::open(killed.path());
        let young = raw.keyspace("young");
        young.iter().map(|item| item.into_inner().unwrap()).collect()
    };
    let engine = support::open(killed.path(), clock.clone());
    engine.close().await.unwrap();
    drop(engine);
    {
        let raw = Raw::open(killed.path());
        let keyspace = raw.keyspace("young");
        for (key, entry) in young {
            keyspace.insert(key, entry).unwrap();
        }
        raw.db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let engine = support::open(killed.path(), clock.clone());
    assert_eq!(numbers(&engine, Place::Ready).await, (10..50).collect());
    settle(&engine, 40).await;
    put(&engine, &clock, 0..5, "second").await;
    engine.close().await.unwrap();
    drop(engine);
    let engine = support::open(killed.path(), clock.clone());
    assert_eq!(numbers(&engine, Place::Ready).await.len(), 0);
    let second = Some(Bytes::from_static(b"second"));
    assert_eq!(values(&engine, 0..5).await, vec![second; 5]);
    drop(engine);
    assert!(is_clean(killed.path(), &clock));
}

#[tokio::test]
async fn what_is_old_enough_goes_to_its_place_and_is_settled_there() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    publish(&engine, 0..100).await;
    put(&engine, &clock, 0..10, "first").await;
    pass(&clock, &engine, Duration::from_millis(500), 5).await;
    support::copy(dir.path(), killed.path());
    let raw = Raw::open(killed.path());
    assert_eq!((raw.keys("young").len(), at_their_place(&raw)), (0, 100));
    assert_eq!((raw.keys("state").len(), raw.keys("expiry").len()), (10, 10));
    drop(raw);
    // Old ones are settled, new ones are young, and a value is rewritten with another time.
    settle(&engine, 60).await;
    publish(&engine, 100..120).await;
    clock.advance(Duration::from_millis(1));
    put(&engine, &clock, 0..10, "second").await;
    let killed = tempfile::tempdir().unwrap();
    support::copy(dir.path(), killed.path());
    let engine = support::open(killed.path(), clock.clone());
    assert_eq!(numbers(&engine, Place::Ready).await, (60..120).collect());
    let second = Some(Bytes::from_static(b"second"));
    assert_eq!(values(&engine, 0..10).await, vec![second; 10]);
    engine.close().await.unwrap();
    drop(engine);
    let raw = Raw::open(killed.path());
    assert_eq!(
        raw.keys("expiry").len(),
        10,
        "no entry of the first values is left"
    );
    drop(raw);
    assert!(is_clean(killed.path(), &clock));
}

/// A clock that is set goes over times that nobody has written down yet.
#[tokio::test]
async fn what_is_due_while_it_is_young_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    let at = clock.now().after(Duration::from_secs(1800));
    let lane = Lane::new(Class::Otp, "acme");
    let step = Step::new(StepId::from_bytes([9; 16])).compare_and_put(
        key(1),
        Expected::Absent,
        Bytes::from_static(b"v"),
        Expiry::Alarm(at, "alarms".into(), lane),
    );
    step.commit(engine.as_ref()).await.unwrap();
    put(&engine, &clock, 2..5, "gone").await;
    clock.advance(Duration::from_secs(4000));
    engine.tick().await;
    assert_eq!(engine.depth(&"alarms".into()).ready, 1);
    let there: Vec<bool> = values(&engine, 1..5).await.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, false, false]);
    clock.advance(Duration::from_secs(4000));
    engine.tick().await;
    assert_eq!(engine.depth(&"alarms".into()).ready, 1, "once");
}

#[tokio::test]
async fn a_young_group_that_cannot_be_read_is_told_and_costs_no_other() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    for n in 0..10 {
        publish(&engine, n..n + 1).await;
    }
    support::copy(dir.path(), killed.path());
    drop(engine);
    {
        let raw = Raw::open(killed.path());
        let keys = raw.keys("young");
        assert_eq!(keys.len(), 10);
        raw.keyspace("young").insert(keys[4].clone(), [1; 11]).unwrap();
        raw.db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let refused = EmbeddedEngine::open(support::config(killed.path()), clock.clone()).unwrap_err();
    assert!(
        matches!(refused.kind, OpenErrorKind::Damaged { .. }),
        "{refused:?}"
    );
    assert!(refused.kind.to_string().contains("`smsgw verify`"), "{refused:?}");
    let judge = &super::verify::Letter;
    let report = verify(killed.path(), judge, clock.now(), &mut |_| {}).unwrap();
    let told: Vec<_> = report.findings().iter().map(|finding| finding.code).collect();
    assert_eq!(told, ["table-unreadable"]);
    let repaired = repair(killed.path(), judge, clock.now(), &mut |_| {}).unwrap();
    assert!(
        repaired.lost.iter().any(|lost| lost.starts_with("young: ")),
        "{:?}",
        repaired.lost
    );
    let engine = support::open(killed.path(), clock.clone());
    let left = (0..10).filter(|n| *n != 4).collect();
    assert_eq!(numbers(&engine, Place::Ready).await, left);
    let lane = Lane::new(Class::Bulk, "acme");
    let step = Step::new(StepId::from_bytes([1; 16])).publish("q", lane, record(10));
    step.commit(engine.as_ref()).await.unwrap();
    assert_eq!(engine.depth(&"q".into()).ready, 10);
}

/// What is put beside a generation that nobody finds would come back when it is settled.
#[tokio::test]
async fn nothing_young_is_put_elsewhere_for_want_of_its_generation() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    publish(&engine, 0..50).await;
    support::copy(dir.path(), killed.path());
    drop(engine);
    {
        let raw = Raw::open(killed.path());
        raw.keyspace("meta").insert(*b"g\0\0\0\x01", [9; 33]).unwrap();
        raw.db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let refused = EmbeddedEngine::open(support::config(killed.path()), clock.clone()).unwrap_err();
    assert!(
        matches!(refused.kind, OpenErrorKind::Damaged { .. }),
        "{refused:?}"
    );
    let raw = Raw::open(killed.path());
    assert_eq!((raw.keys("young").len(), raw.keys("records").len()), (1, 0));
    drop(raw);
    let repaired = repair(killed.path(), &super::verify::Letter, clock.now(), &mut |_| {}).unwrap();
    assert!(repaired.aside.is_some());
    let engine = support::open(killed.path(), clock.clone());
    assert_eq!(numbers(&engine, Place::Ready).await, (0..50).collect());
}
