//! Generations of records: what is gone stays gone, what is left survives its generation, and a start in the middle of
//! any of it finds everything.

use super::support::raw::Raw;
use super::support::tenths::{number, numbers, pass, publish, record, settle_most, tenths};
use super::{Arc, Duration, EmbeddedEngine, OpenErrorKind, Path, fs, support};
use smsgw_engine_embedded::offline::{export, import, repair, verify};
use smsgw_message::{Class, Clock, Timestamp};
use smsgw_queue::conformance::ManualClock;
use smsgw_queue::{CommitErrorKind, Engine, Expected, Lane, Place, Step, StepId, Want};
use smsgw_runtime::SystemClock;

fn directories(dir: &Path) -> usize {
    fs::read_dir(dir.join("store/keyspaces")).unwrap().count()
}

#[tokio::test]
async fn what_outlives_its_generation_is_kept_and_the_rest_leaves_the_disk() {
    const RECORDS: u64 = 8000;
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    for first in (0..RECORDS).step_by(1000) {
        publish(&engine, first..first + 1000).await;
        pass(&clock, &engine, Duration::from_millis(60), 6).await;
    }
    let full = directories(dir.path());
    assert!(
        full >= 8 + 4,
        "{full} keyspaces for eight megaoctets in generations of one"
    );
    settle_most(&engine).await;
    assert_eq!(numbers(&engine, Place::Deferred).await, tenths(RECORDS));
    // They are looked at every ten seconds, and emptied when they did not change in between.
    pass(&clock, &engine, Duration::from_millis(600), 400).await;
    let few = directories(dir.path());
    assert!(few <= 10, "{few} keyspaces are left of {full}");
    assert_eq!(numbers(&engine, Place::Deferred).await, tenths(RECORDS));
    engine.close().await.unwrap();
    drop(engine);
    let report = verify(dir.path(), &super::verify::Letter, clock.now(), &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.records, RECORDS / 10);

    let raw = Raw::open(dir.path());
    assert!(raw.generations().len() <= 2, "{:?}", raw.generations());
    assert!(raw.keys("records").len() >= 700, "what was left was copied");
    // Marks of generations that are gone went with them.
    assert!(raw.keys("gone").len() <= 4, "{:?}", raw.keys("gone"));
    drop(raw);

    let engine = support::open(dir.path(), clock.clone());
    assert_eq!(numbers(&engine, Place::Deferred).await, tenths(RECORDS));
    clock.advance(Duration::from_secs(7200));
    let mut order = Vec::new();
    loop {
        let taken = engine
            .checkout(&"q".into(), Want::new(64, Duration::ZERO))
            .await
            .unwrap();
        if taken.is_empty() {
            break;
        }
        for delivery in &taken {
            order.push(number(delivery.record()));
            assert_eq!(delivery.attempt(), 2);
            Step::from(delivery)
                .settle(delivery)
                .commit(engine.as_ref())
                .await
                .unwrap();
        }
    }
    assert_eq!(
        order,
        tenths(RECORDS).into_iter().collect::<Vec<_>>(),
        "in their order"
    );
    engine.close().await.unwrap();
    drop(engine);
    assert_eq!(Raw::open(dir.path()).keys("records").len(), 0, "and then nothing");
}

#[tokio::test]
async fn damage_to_generations_is_told_and_repaired() {
    const RECORDS: u64 = 6000;
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    for first in (0..RECORDS).step_by(1000) {
        publish(&engine, first..first + 1000).await;
        pass(&clock, &engine, Duration::from_millis(60), 6).await;
    }
    settle_most(&engine).await;
    engine.close().await.unwrap();
    drop(engine);
    let judge = &super::verify::Letter;
    let codes = |dir: &Path| {
        let report = verify(dir, judge, Timestamp::from_millis(0), &mut |_| {}).unwrap();
        let findings = report.findings();
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(dir.path()), Vec::<&str>::new());
    // What is known of one generation is lost.
    let unknown = tempfile::tempdir().unwrap();
    support::copy(dir.path(), unknown.path());
    {
        let raw = Raw::open(unknown.path());
        assert!(raw.generations().len() > 3);
        raw.keyspace("meta").remove(*b"g\0\0\0\x02").unwrap();
        raw.db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let refused = EmbeddedEngine::open(support::config(unknown.path()), clock.clone()).unwrap_err();
    let told = refused.kind.to_string();
    assert!(
        matches!(refused.kind, OpenErrorKind::Damaged { .. }),
        "{refused:?}"
    );
    assert!(
        told.contains("g2 has no entry") && told.contains("`smsgw verify`"),
        "{told}"
    );
    assert_eq!(codes(unknown.path()), ["generation-unknown"]);
    let repaired = repair(unknown.path(), judge, Timestamp::from_millis(0), &mut |_| {}).unwrap();
    assert!(repaired.lost.is_empty(), "{:?}", repaired.lost);
    let engine = support::open(unknown.path(), clock.clone());
    assert_eq!(
        numbers(&engine, Place::Deferred).await,
        tenths(RECORDS),
        "and no more"
    );
    assert_eq!(engine.depth(&"q".into()).ready, 0, "what was gone stays gone");
    drop(engine);
    // The last record of a generation lies in the one behind it.
    let misplaced = tempfile::tempdir().unwrap();
    support::copy(dir.path(), misplaced.path());
    {
        let raw = Raw::open(misplaced.path());
        let own = raw.keyspace("g2");
        let waits = |octets: &[u8]| (0..RECORDS).step_by(10).any(|n| octets.ends_with(&record(n)));
        let (key, octets) = own
            .iter()
            .map(|item| item.into_inner().unwrap())
            .filter(|(key, octets)| key.len() == 8 && waits(octets))
            .last()
            .unwrap();
        own.remove(key.clone()).unwrap();
        raw.keyspace("g3").insert(key, octets).unwrap();
        raw.db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    EmbeddedEngine::open(support::config(misplaced.path()), clock.clone()).unwrap_err();
    assert_eq!(codes(misplaced.path()), ["record-misplaced"]);
    let repaired = repair(misplaced.path(), judge, Timestamp::from_millis(0), &mut |_| {}).unwrap();
    assert!(repaired.lost.is_empty(), "{:?}", repaired.lost);
    let engine = support::open(misplaced.path(), clock.clone());
    assert_eq!(numbers(&engine, Place::Deferred).await, tenths(RECORDS));
    drop(engine);
    // Marks that cannot be read: records come back rather than get lost.
    let unmarked = tempfile::tempdir().unwrap();
    support::copy(dir.path(), unmarked.path());
    {
        let raw = Raw::open(unmarked.path());
        let gone = raw.keys("gone");
        raw.keyspace("gone").insert(gone[0].clone(), [1; 3]).unwrap();
        raw.db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    EmbeddedEngine::open(support::config(unmarked.path()), clock.clone()).unwrap_err();
    assert_eq!(codes(unmarked.path()), ["marks-unreadable"]);
    repair(unmarked.path(), judge, Timestamp::from_millis(0), &mut |_| {}).unwrap();
    let engine = support::open(unmarked.path(), clock.clone());
    assert_eq!(numbers(&engine, Place::Deferred).await, tenths(RECORDS));
    let back = engine.depth(&"q".into()).ready;
    assert!((300..=512).contains(&back), "{back} came back");
    drop(engine);
    // A whole generation is not there.
    {
        let raw = Raw::open(dir.path());
        raw.db.delete_keyspace(raw.keyspace("g2")).unwrap();
    }
    EmbeddedEngine::open(support::config(dir.path()), clock.clone()).unwrap_err();
    let found = codes(dir.path());
    assert!(found.contains(&"generation-missing"), "{found:?}");
    let repaired = repair(dir.path(), judge, Timestamp::from_millis(0), &mut |_| {}).unwrap();
    assert!(
        repaired.lost.iter().any(|lost| lost.starts_with("g2: records ")),
        "{:?}",
        repaired.lost
    );
    let engine = support::open(dir.path(), clock.clone());
    let left = numbers(&engine, Place::Deferred).await;
    assert!(
        left.is_subset(&tenths(RECORDS)) && left.len() > 350,
        "{}",
        left.len()
    );
}

#[tokio::test]
async fn an_export_has_the_records_of_all_generations_and_an_import_makes_them_anew() {
    const RECORDS: u64 = 5000;
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    for first in (0..RECORDS).step_by(1000) {
        publish(&engine, first..first + 1000).await;
        pass(&clock, &engine, Duration::from_millis(60), 6).await;
    }
    settle_most(&engine).await;
    publish(&engine, RECORDS..RECORDS + 100).await;
    engine.close().await.unwrap();
    drop(engine);
    let mut stream = Vec::new();
    let totals = export(dir.path(), &mut stream, clock.now(), &mut |_| {}).unwrap();
    assert_eq!(totals.records, RECORDS / 10 + 100);
    let made = tempfile::tempdir().unwrap();
    let made = made.path().join("data");
    import(stream.as_slice(), &made, &mut |_| {}).unwrap();
    let report = verify(&made, &super::verify::Letter, clock.now(), &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let engine = support::open(&made, clock.clone());
    assert_eq!(numbers(&engine, Place::Deferred).await, tenths(RECORDS));
    assert_eq!(
        numbers(&engine, Place::Ready).await,
        (RECORDS..RECORDS + 100).collect()
    );
    engine.close().await.unwrap();
    drop(engine);
    assert_eq!(
        Raw::open(&made).keys("records").len(),
        0,
        "they lie in a generation"
    );
}

/// Steps that fail use up numbers of which nothing is written; a generation that begins behind them says how far they went.
#[tokio::test]
async fn a_generation_that_begins_behind_failed_steps_keeps_its_numbers_over_a_crash() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let clock = ManualClock::new();
    let engine = support::open(dirs[0].path(), clock.clone());
    publish(&engine, 0..3).await;
    let lane = Lane::new(Class::Bulk, "acme");
    for n in 0..5 {
        let step = Step::new(StepId::from_bytes([100 + n; 16]))
            .publish("q", lane.clone(), record(9))
            .delete("k/absent", Expected::Version(7));
        let error = step.commit(engine.as_ref()).await.unwrap_err();
        assert!(
            matches!(error.kind, CommitErrorKind::Conflict { .. }),
            "{error:?}"
        );
    }
    pass(&clock, &engine, Duration::from_secs(3600), 3).await;
    support::copy(dirs[0].path(), dirs[1].path());
    let raw = Raw::open(dirs[1].path());
    assert_eq!(raw.generations().len(), 2, "the next one has begun");
    drop(raw);

    let engine = support::open(dirs[1].path(), clock.clone());
    publish(&engine, 3..6).await;
    support::copy(dirs[1].path(), dirs[2].path());
    let engine = support::open(dirs[2].path(), clock.clone());
    assert_eq!(numbers(&engine, Place::Ready).await, (0..6).collect());
}

#[tokio::test]
async fn a_damaged_journal_names_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    publish(&engine, 0..100).await;
    engine.close().await.unwrap();
    drop(engine);
    let path = dir.path().join("store/0.jnl");
    let mut octets = fs::read(&path).unwrap();
    octets[40] ^= 1;
    fs::write(&path, octets).unwrap();
    let error = EmbeddedEngine::open(support::config(dir.path()), Arc::new(SystemClock)).unwrap_err();
    let told = error.kind.to_string();
    for word in [
        "a journal is damaged",
        "0.jnl",
        "Run `smsgw verify`",
        "`--repair`",
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }
}
