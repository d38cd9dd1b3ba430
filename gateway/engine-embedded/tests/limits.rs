//! One process a directory, little space, damaged files, and a disk that does not grow.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

#[path = "limits/generations.rs"]
mod generations;
#[path = "limits/leftover.rs"]
mod leftover;
mod support;
#[path = "limits/tails.rs"]
mod tails;
#[path = "limits/transfer.rs"]
mod transfer;
#[path = "limits/upgrade.rs"]
mod upgrade;
#[path = "limits/verify.rs"]
mod verify;
#[path = "limits/young.rs"]
mod young;

use bytes::Bytes;
use smsgw_engine_embedded::{EmbeddedEngine, OpenErrorKind, SpaceProbe};
use smsgw_message::Class;
use smsgw_queue::{
    CommitErrorKind, Engine, EngineError, Expiry, Health, Lane, LogName, Position, QueueName, Step, StepId,
    Want,
};
use smsgw_runtime::SystemClock;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn step(n: u64) -> Step {
    Step::new(StepId::from_bytes(u128::from(n).to_be_bytes()))
}

fn lane() -> Lane {
    Lane::new(Class::Bulk, "acme")
}

fn octets(n: u64) -> Bytes {
    Bytes::from(n.to_string())
}

#[tokio::test]
async fn second_open_names_the_process_that_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    let error = EmbeddedEngine::open(support::config(dir.path()), Arc::new(SystemClock)).unwrap_err();
    assert!(
        matches!(error.kind, OpenErrorKind::Locked { pid: Some(pid) } if pid == std::process::id()),
        "{error:?}"
    );
    assert_eq!(
        error.kind.to_string(),
        format!("process {} has the directory", std::process::id())
    );
    engine.close().await.unwrap();
    drop(support::open(dir.path(), Arc::new(SystemClock)));
}

#[tokio::test]
async fn a_store_that_was_killed_while_it_was_made_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    // As a kill leaves it: some files, none of them whole.
    let unfinished = dir.path().join("store.new");
    fs::create_dir_all(unfinished.join("keyspaces/1")).unwrap();
    fs::write(unfinished.join("keyspaces/1/current"), b"").unwrap();
    fs::write(unfinished.join("0.jnl"), b"torn").unwrap();
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    step(1)
        .publish("q", lane(), octets(1))
        .commit(engine.as_ref())
        .await
        .unwrap();
    engine.close().await.unwrap();
    drop(engine);
    assert!(!unfinished.exists());
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    assert_eq!(engine.depth(&QueueName::from("q")).ready, 1);
}

#[tokio::test]
async fn newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    support::open(dir.path(), Arc::new(SystemClock))
        .close()
        .await
        .unwrap();
    {
        let db = fjall::Database::builder(dir.path().join("store")).open().unwrap();
        let meta = db
            .keyspace("meta", fjall::KeyspaceCreateOptions::default)
            .unwrap();
        meta.insert("format", 5u32.to_be_bytes()).unwrap();
        db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let error = EmbeddedEngine::open(support::config(dir.path()), Arc::new(SystemClock)).unwrap_err();
    assert!(
        matches!(error.kind, OpenErrorKind::Newer { found: 5, known: 4 }),
        "{error:?}"
    );
}

async fn until(what: &str, mut there: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if there() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} does not come");
}

#[tokio::test]
async fn little_space_refuses_what_comes_from_outside_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(1000));
    let probe = SpaceProbe::new({
        let free = free.clone();
        move |_| Ok(free.load(Ordering::Relaxed))
    });
    let mut config = support::config(dir.path());
    config.min_free_disk = 1000;
    let engine = EmbeddedEngine::open_with_probe(config, Arc::new(SystemClock), probe).unwrap();
    for n in 0..3 {
        step(n)
            .publish("q", lane(), octets(n))
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    free.store(999, Ordering::Relaxed);
    until("low space", || engine.health() == Health::LowSpace).await;
    let refused = step(10)
        .publish("q", lane(), octets(10))
        .put("k", octets(1), Expiry::Owner);
    let error = refused.clone().commit(engine.as_ref()).await.unwrap_err();
    assert_eq!(error.kind, CommitErrorKind::Engine(EngineError::NoSpace));
    let mut deliveries = engine
        .checkout(&QueueName::from("q"), Want::new(2, Duration::from_secs(5)))
        .await
        .unwrap();
    let hop = deliveries.pop().unwrap();
    step(11)
        .settle(&hop)
        .publish("r", lane(), octets(11))
        .commit(engine.as_ref())
        .await
        .unwrap();
    free.store(100, Ordering::Relaxed);
    let hop = deliveries.pop().unwrap();
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let error = step(12)
        .settle(&hop)
        .publish("r", lane(), octets(12))
        .commit(engine.as_ref())
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        CommitErrorKind::Engine(EngineError::NoSpace),
        "critical"
    );
    step(13).settle(&hop).commit(engine.as_ref()).await.unwrap();
    free.store(5000, Ordering::Relaxed);
    until("enough space", || engine.health() == Health::Ready).await;
    refused.commit(engine.as_ref()).await.unwrap();
    engine.close().await.unwrap();
}

fn journal(dir: &Path) -> PathBuf {
    let journals = fs::read_dir(dir.join("store"))
        .unwrap()
        .map(|item| item.unwrap().path());
    let mut journals: Vec<_> = journals
        .filter(|path| path.extension().is_some_and(|end| end == "jnl"))
        .collect();
    assert_eq!(journals.len(), 1);
    journals.pop().unwrap()
}

/// Where the journal ends; what lies behind it was allotted in advance.
fn end(journal: &Path) -> usize {
    support::end(&fs::read(journal).unwrap())
}

#[tokio::test]
async fn damaged_journal_gives_back_what_was_before_the_damage_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    // Length of the journal after each step.
    let mut ends = Vec::new();
    for n in 0..24 {
        let step = step(n)
            .publish("q", lane(), octets(n))
            .put(format!("k/{n}"), octets(n), Expiry::Owner);
        step.append("log", octets(n))
            .commit(engine.as_ref())
            .await
            .unwrap();
        ends.push(end(&journal(dir.path())));
    }
    let image = tempfile::tempdir().unwrap();
    support::copy(dir.path(), image.path());
    drop(engine);
    let (begin, length) = (ends[0], ends[23]);
    let (mut refused, mut recovered) = (0, 0);
    for round in 0..48 {
        let copy = tempfile::tempdir().unwrap();
        support::copy(image.path(), copy.path());
        let path = journal(copy.path());
        // Spread over the whole journal; odd rounds flip a bit, even ones cut.
        let at = begin + (length - begin) * round / 48;
        if round % 2 == 0 {
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(u64::try_from(at).unwrap())
                .unwrap();
        } else {
            let mut octets = fs::read(&path).unwrap();
            octets[at] ^= 1 << (round % 8);
            fs::write(&path, octets).unwrap();
        }
        let whole = ends.iter().filter(|end| **end <= at).count();
        let engine = match EmbeddedEngine::open(support::config(copy.path()), Arc::new(SystemClock)) {
            Ok(engine) => engine,
            Err(error) => {
                let kind = &error.kind;
                assert!(
                    matches!(kind, OpenErrorKind::Store(_) | OpenErrorKind::Damaged { .. }),
                    "{error:?}"
                );
                refused += 1;
                continue;
            }
        };
        recovered += 1;
        let deliveries = engine
            .checkout(&QueueName::from("q"), Want::new(100, Duration::ZERO))
            .await
            .unwrap();
        assert!(
            deliveries.len() >= whole,
            "{} of {whole} records before octet {at}",
            deliveries.len()
        );
        for (n, delivery) in (0..).zip(&deliveries) {
            assert_eq!(delivery.record(), &octets(n), "a prefix, nothing else");
        }
        let log = engine
            .read(&LogName::from("log"), Position(0), 100, Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(log.len(), deliveries.len(), "steps are whole");
        let keys = (0..24).map(|n| format!("k/{n}").into()).collect();
        let values = engine.get(keys).await.unwrap();
        assert_eq!(
            values.iter().flatten().count(),
            deliveries.len(),
            "steps are whole"
        );
        // And it goes on from there.
        step(100)
            .publish("q", lane(), octets(100))
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    eprintln!("{recovered} recovered, {refused} refused");
    assert!(recovered >= 24, "cuts are recovered");
}

/// As if the machine had been started anew since: every file of lease marks says another boot id.
fn another_boot(dir: &Path) {
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.extension().is_some_and(|end| end == "log") {
            let mut octets = fs::read(&path).unwrap();
            octets[12] ^= 1;
            fs::write(path, octets).unwrap();
        }
    }
}

#[tokio::test]
async fn after_a_power_cut_every_record_counts_as_possibly_leased_until_a_step_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    for n in 0..3 {
        step(n)
            .publish("q", lane(), octets(n))
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    let (cut, killed, closed) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    support::copy(dir.path(), cut.path());
    engine.close().await.unwrap();
    support::copy(dir.path(), closed.path());
    another_boot(closed.path());
    let leased = async |engine: &Arc<EmbeddedEngine>| {
        let deliveries = engine
            .checkout(&QueueName::from("q"), Want::new(9, Duration::ZERO))
            .await
            .unwrap();
        let leased: Vec<bool> = deliveries
            .iter()
            .map(smsgw_queue::Delivery::leased_before_crash)
            .collect();
        (deliveries, leased)
    };
    let engine = support::open(closed.path(), Arc::new(SystemClock));
    assert_eq!(
        leased(&engine).await.1,
        [false; 3],
        "closed in order before the machine stopped"
    );

    another_boot(cut.path());
    let engine = support::open(cut.path(), Arc::new(SystemClock));
    let (deliveries, marked) = leased(&engine).await;
    assert_eq!(marked, [true; 3]);
    let release = Step::from(&deliveries[1]).release(
        &deliveries[1],
        Duration::ZERO,
        smsgw_queue::ReleaseReason::Stopping,
        smsgw_queue::Cost::Free,
    );
    release.commit(engine.as_ref()).await.unwrap();
    support::copy(cut.path(), killed.path());
    let engine = support::open(killed.path(), Arc::new(SystemClock));
    assert_eq!(
        leased(&engine).await.1,
        [true, false, true],
        "and the marks outlive the next crash"
    );
}

fn octets_on_disk(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for item in fs::read_dir(dir).into_iter().flatten().flatten() {
        // Files come and go meanwhile.
        let Ok(metadata) = item.metadata() else { continue };
        sum += if metadata.is_dir() {
            octets_on_disk(&item.path())
        } else {
            metadata.blocks() * 512
        };
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_traffic_does_not_grow_the_disk() {
    const RECORDS: u64 = 300_000;
    const BATCH: u64 = 500;
    let dir = tempfile::tempdir().unwrap();
    let mut config = support::config(dir.path());
    config.write_buffer = 2 * 1024 * 1024;
    config.max_journals = 64 * 1024 * 1024;
    config.generation = 8 * 1024 * 1024;
    let engine = EmbeddedEngine::open(config, Arc::new(SystemClock)).unwrap();
    let queue = QueueName::from("q");
    let tables = dir.path().join("store").join("keyspaces");
    let (mut most_tables, mut most) = (0, 0);
    // Some records are always there, as in a queue that works.
    let mut leased = Vec::new();
    for first in (0..RECORDS).step_by(usize::try_from(BATCH).unwrap()) {
        let steps = (first..first + BATCH).map(|n| {
            let value = Bytes::from(vec![b'v'; 100]);
            step(n)
                .publish(queue.clone(), lane(), Bytes::from(vec![b'r'; 300]))
                .append("log", octets(n))
                .put(format!("k/{n}"), value, Expiry::Owner)
                .put("hot", octets(n), Expiry::Owner)
        });
        assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
        let next = engine
            .checkout(&queue, Want::new(500, Duration::from_secs(5)))
            .await
            .unwrap();
        let old = std::mem::replace(&mut leased, next);
        let settle = (0..).zip(&old).map(|(n, delivery)| {
            let step = Step::from(delivery).settle(delivery);
            let done = (first + n).saturating_sub(2 * BATCH);
            step.delete(format!("k/{done}"), smsgw_queue::Expected::Any)
        });
        let mut steps: Vec<Step> = settle.collect();
        steps.push(step(u64::MAX).advance("log", "reader", Position(first)));
        assert!(engine.commit(steps).await.iter().all(Result::is_ok));
        if first % (20 * BATCH) == 0 && first > RECORDS / 4 {
            most_tables = octets_on_disk(&tables).max(most_tables);
            most = octets_on_disk(dir.path()).max(most);
        }
    }
    eprintln!(
        "at most {} KB of tables, {} KB in all",
        most_tables / 1024,
        most / 1024
    );
    // 150 MB went through. How much waits to be merged depends on what else the processors do: 15 to 26 MB were seen.
    assert!(most_tables < 48 * 1024 * 1024, "{most_tables} octets of tables");
    assert!(most < 250 * 1024 * 1024, "{most} octets in all");
    drop(leased);
    engine.close().await.unwrap();
}
