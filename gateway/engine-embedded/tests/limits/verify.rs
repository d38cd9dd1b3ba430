//! Verify and repair: what is wrong is told, what can be kept is kept, what cannot be read is moved aside.

use crate::support::raw::Raw;
use crate::{journal, support};
use bytes::Bytes;
use smsgw_engine_embedded::offline::{Judge, Verdict, Weight, repair, verify};
use smsgw_engine_embedded::{EmbeddedConfig, EmbeddedEngine};
use smsgw_message::{Class, Timestamp};
use smsgw_queue::{Engine, Expiry, Lane, LogName, Place, Position, QueueName, StateKey, Step, StepId, Want};
use smsgw_runtime::SystemClock;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Records begin with `r`, or they are broken.
pub(super) struct Letter;

impl Judge for Letter {
    fn record(&self, _: &str, octets: &[u8]) -> Verdict {
        match octets.first() {
            Some(b'r') => Verdict::Fits,
            Some(b'n') => Verdict::Newer,
            Some(_) | None => Verdict::Broken("no letter r".to_owned()),
        }
    }

    fn value(&self, _: &str, _: &[u8]) -> Verdict {
        Verdict::Fits
    }

    fn entry(&self, _: &str, _: &[u8]) -> Verdict {
        Verdict::Fits
    }
}

fn codes(dir: &Path) -> Vec<(&'static str, u64)> {
    let report = verify(dir, &Letter, NOW, &mut |_| {}).unwrap();
    report
        .findings()
        .iter()
        .map(|finding| (finding.code, finding.count))
        .collect()
}

fn step(n: u64) -> Step {
    Step::new(StepId::from_bytes(u128::from(n).to_be_bytes()))
}

async fn fill(engine: &EmbeddedEngine, from: u64, to: u64) {
    for n in from..to {
        let record = Bytes::from(format!("r{n} {}", "x".repeat(400)));
        let step = step(n)
            .publish("q", Lane::new(Class::Bulk, "f"), record)
            .append("events", Bytes::from(n.to_string()));
        let step = step.put(format!("k/{n}"), Bytes::from(n.to_string()), Expiry::At(NOW));
        step.commit(engine).await.unwrap();
    }
}

async fn queued(engine: &EmbeddedEngine) -> Vec<u64> {
    let records = engine
        .browse(&QueueName::from("q"), Place::Ready, None, 100_000)
        .await
        .unwrap();
    let number = |record: &Bytes| {
        let text = std::str::from_utf8(record).unwrap();
        text[1..].split(' ').next().unwrap().parse().unwrap()
    };
    records.iter().map(|record| number(&record.record)).collect()
}

#[tokio::test]
async fn a_good_directory_is_clean_and_a_running_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    fill(&engine, 0, 50).await;
    assert!(verify(dir.path(), &Letter, NOW, &mut |_| {}).is_err(), "it runs");
    engine.close().await.unwrap();
    let report = verify(dir.path(), &Letter, NOW, &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(
        (report.records, report.values, report.logs, report.entries),
        (50, 50, 1, 50)
    );
    let repaired = repair(dir.path(), &Letter, NOW, &mut |_| {}).unwrap();
    assert!(
        repaired.aside.is_none() && repaired.lost.is_empty(),
        "nothing was touched"
    );
    assert!(!dir.path().join("repair.new").exists());
}

/// Changes the store as no engine would.
fn meddle(dir: &Path, how: impl FnOnce(&fjall::Database, &dyn Fn(&str) -> fjall::Keyspace)) {
    let db = fjall::Database::builder(dir.join("store")).open().unwrap();
    let keyspace = |name: &str| db.keyspace(name, fjall::KeyspaceCreateOptions::default).unwrap();
    how(&db, &keyspace);
    db.persist(fjall::PersistMode::SyncAll).unwrap();
}

#[tokio::test]
async fn what_does_not_fit_together_is_told_and_put_right_without_loss() {
    let dir = tempfile::tempdir().unwrap();
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    fill(&engine, 0, 20).await;
    for record in ["broken", "newer"] {
        let lane = Lane::new(Class::Bulk, "f");
        step(100)
            .publish("q", lane, Bytes::from(record))
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    engine.close().await.unwrap();
    drop(engine);
    assert_eq!(
        codes(dir.path()),
        [("record-not-decodable", 1), ("record-of-newer-version", 1)]
    );
    meddle(dir.path(), |_, keyspace| {
        keyspace("g1").insert(3u64.to_be_bytes(), [9, 9]).unwrap();
        keyspace("records").insert([0xFF; 8], 5u64.to_be_bytes()).unwrap();
        keyspace("meta").insert("next", 5u64.to_be_bytes()).unwrap();
        keyspace("moves").insert(4u64.to_be_bytes(), [7]).unwrap();
        keyspace("moves").insert(77u64.to_be_bytes(), [0; 22]).unwrap();
        keyspace("state").insert("kk/5", [1]).unwrap();
        let reminders: Vec<_> = keyspace("expiry")
            .iter()
            .map(|item| item.key().unwrap())
            .collect();
        let of = |name: &[u8]| reminders.iter().find(|key| key.ends_with(name)).unwrap().clone();
        keyspace("expiry").remove(of(b"k/7")).unwrap();
        keyspace("expiry").insert([1; 5], []).unwrap();
        let blocks: Vec<_> = keyspace("logs").iter().map(|item| item.key().unwrap()).collect();
        keyspace("logs").remove(blocks[10].clone()).unwrap();
        fs::write(dir.path().join("notes.txt"), "somebody's").unwrap();
    });
    let found = codes(dir.path());
    let has = |code: &str| {
        found
            .iter()
            .find(|(there, _)| *there == code)
            .map_or(0, |(_, count)| *count)
    };
    for code in [
        "record-damaged",
        "move-damaged",
        "move-without-record",
        "value-damaged",
        "value-never-expires",
        "expiry-damaged",
        "log-entries-missing",
        "stray-file",
        "record-not-decodable",
    ] {
        assert_eq!(has(code), 1, "{code} in {found:?}");
    }
    assert!(has("number-too-low") > 10, "{found:?}");
    assert!(
        EmbeddedEngine::open(support::config(dir.path()), Arc::new(SystemClock)).is_err(),
        "it does not start"
    );

    let repaired = repair(dir.path(), &Letter, NOW, &mut |_| {}).unwrap();
    assert_eq!(repaired.lost, ["events 10"], "by name");
    let aside = repaired.aside.unwrap();
    assert!(aside.join("store").join("version").exists() || aside.join("store").exists());
    assert_eq!(
        fs::read_to_string(dir.path().join("notes.txt")).unwrap(),
        "somebody's"
    );
    let rest = codes(dir.path());
    assert!(
        rest.iter()
            .all(|(code, _)| ["record-of-newer-version", "stray-file"].contains(code)),
        "{rest:?}"
    );

    let engine = support::open(dir.path(), Arc::new(SystemClock));
    let there = queued_but_newer(&engine).await;
    assert_eq!(there.len(), 19, "all but the one without a header: {there:?}");
    let corrupt = engine
        .browse(&QueueName::from("q"), Place::Corrupt, None, 10)
        .await
        .unwrap();
    assert_eq!(corrupt.len(), 1);
    assert_eq!(corrupt[0].record, "broken".as_bytes());
    let kept = engine
        .browse(&QueueName::from("unreadable"), Place::Corrupt, None, 10)
        .await
        .unwrap();
    let octets: Vec<&[u8]> = kept.iter().map(|record| record.record.as_ref()).collect();
    assert_eq!(octets, [&[9u8, 9][..], b"kk/5\0\x01"], "their octets are kept");
    let log = engine
        .read(&LogName::from("events"), Position(0), 100, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(log.len(), 20);
    assert!(log[10].record.is_empty() && log[11].record == "11".as_bytes());
    // Numbers go on above all that were used.
    fill(&engine, 500, 501).await;
    assert!(queued_but_newer(&engine).await.contains(&500));
    engine.close().await.unwrap();
}

async fn queued_but_newer(engine: &EmbeddedEngine) -> Vec<u64> {
    let records = engine
        .browse(&QueueName::from("q"), Place::Ready, None, 100_000)
        .await
        .unwrap();
    let old = records.iter().filter(|record| record.record.starts_with(b"r"));
    old.map(|record| {
        let text = std::str::from_utf8(&record.record).unwrap();
        text[1..].split(' ').next().unwrap().parse().unwrap()
    })
    .collect()
}

fn tables(dir: &Path) -> Vec<(u64, PathBuf)> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(tables(&path));
        } else if dir.file_name().is_some_and(|name| name == "tables") {
            found.push((fs::metadata(&path).unwrap().len(), path));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_damaged_table_costs_its_damaged_block_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig {
        write_buffer: 1024 * 1024,
        ..support::config(dir.path())
    };
    let engine = EmbeddedEngine::open(config, Arc::new(SystemClock)).unwrap();
    let lane = Lane::new(Class::Bulk, "f");
    for first in (0..12_000).step_by(500) {
        let steps = (first..first + 500).map(|n| {
            let record = Bytes::from(format!("r{n} {}", "x".repeat(400)));
            step(n).publish("q", lane.clone(), record)
        });
        assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
    }
    engine.close().await.unwrap();
    drop(engine);
    // Those of `young` hold what is at its place by now.
    let young = Raw::open(dir.path()).keyspace("young").path().to_owned();
    let mut of_records = tables(dir.path());
    of_records.retain(|(_, path)| !path.starts_with(&young));
    let (length, largest) = of_records.pop().expect("a table was written");
    assert!(length > 500_000, "{length}");
    let mut octets = fs::read(&largest).unwrap();
    let middle = octets.len() / 3;
    octets[middle] ^= 0xFF;
    fs::write(&largest, octets).unwrap();

    let report = verify(dir.path(), &Letter, NOW, &mut |_| {}).unwrap();
    assert_eq!(report.worst(), Some(Weight::Loss), "{report:?}");
    let found = report.findings();
    assert_eq!(
        (found[0].code, found[0].count),
        ("table-unreadable", 1),
        "{found:?}"
    );
    let repaired = repair(dir.path(), &Letter, NOW, &mut |_| {}).unwrap();
    assert_eq!(repaired.lost.len(), 1, "{:?}", repaired.lost);
    let aside = repaired.aside.unwrap();
    assert!(
        !tables(&aside).is_empty(),
        "what could not be read is not deleted"
    );
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    let there = queued(&engine).await;
    let lost = 12_000 - there.len();
    assert!(
        lost > 0 && lost < 40,
        "{lost} records of 12,000 were in the damaged block"
    );
    // All of them in one place, as it was told.
    let holes = there.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!(holes, 1);
    engine.close().await.unwrap();
    assert_eq!(codes(dir.path()), []);
}

#[tokio::test]
async fn a_damaged_journal_is_mended_around_the_damage() {
    let (dir, running) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = support::open(running.path(), Arc::new(SystemClock));
    fill(&engine, 0, 30).await;
    // As a kill leaves it: one that ends in order writes one more group.
    support::copy(running.path(), dir.path());
    drop(engine);
    let path = journal(dir.path());
    let whole = fs::read(&path).unwrap();
    let end = support::end(&whole);
    for round in 0..8 {
        let copy = tempfile::tempdir().unwrap();
        support::copy(dir.path(), copy.path());
        let mut octets = whole.clone();
        octets[end * (round + 3) / 14] ^= 0x10;
        fs::write(journal(copy.path()), octets).unwrap();
        let report = verify(copy.path(), &Letter, NOW, &mut |_| {}).unwrap();
        // A flipped bit inside an item may only show when the library checks it.
        let code = report.findings().first().map(|finding| finding.code).unwrap();
        assert!(
            ["journal-damaged", "store-does-not-open"].contains(&code),
            "{report:?}"
        );
        let repaired = repair(copy.path(), &Letter, NOW, &mut |_| {}).unwrap();
        assert!(!repaired.lost.is_empty(), "{repaired:?}");
        let aside = repaired.aside.unwrap();
        assert!(
            fs::read_dir(&aside).unwrap().count() > 0,
            "the journal is kept as it was"
        );
        let engine = support::open(copy.path(), Arc::new(SystemClock));
        let there = queued(&engine).await;
        assert_eq!(
            there.len(),
            29,
            "one group is gone, those behind it are not: {there:?}"
        );
        let lost = (0..30).find(|n| !there.contains(n)).unwrap();
        let values = engine
            .get((0..30).map(|n| StateKey::from(format!("k/{n}"))).collect())
            .await;
        drop(values);
        let log = engine
            .read(&LogName::from("events"), Position(0), 100, Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(log.len(), 30);
        assert!(
            log[usize::try_from(lost).unwrap()].record.is_empty(),
            "its entry is an empty one"
        );
        let deliveries = engine
            .checkout(&QueueName::from("q"), Want::new(100, Duration::ZERO))
            .await
            .unwrap();
        assert_eq!(deliveries.len(), 29);
    }
}
