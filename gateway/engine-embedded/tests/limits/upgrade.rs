//! What earlier formats left on disks: `tests/fixtures/format-2` was written by the last build that wrote it, part of it
//! in tables, part in the journal.

use super::support::raw::Raw;
use super::{Duration, EmbeddedEngine, Path, lane, octets, step, support};
use smsgw_engine_embedded::offline::verify;
use smsgw_message::Clock;
use smsgw_queue::conformance::ManualClock;
use smsgw_queue::{Engine, Flows, LogName, Place, Position, QueueName, StateKey, Step, Want};

fn fixture() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-2");
    support::copy(&from, dir.path());
    dir
}

async fn texts(engine: &EmbeddedEngine, queue: &str, place: Place) -> Vec<String> {
    let records = engine
        .browse(&QueueName::from(queue), place, None, 1000)
        .await
        .unwrap();
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    records
        .iter()
        .map(|seen| text(&seen.record).trim_end_matches(" x").replace('x', ""))
        .collect()
}

#[tokio::test]
async fn a_directory_of_format_2_is_whole_after_its_upgrade_and_drains() {
    let dir = fixture();
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    let (q, log) = (QueueName::from("q"), LogName::from("log"));
    let depth = engine.depth(&q);
    assert_eq!((depth.ready, depth.deferred, depth.dead_letter), (63, 4, 3));
    assert_eq!(texts(&engine, "held", Place::Ready).await, ["held"]);
    assert_eq!(texts(&engine, "elsewhere", Place::Ready).await.len(), 1);
    assert_eq!(engine.holds(&"held".into()).len(), 1);
    assert_eq!(engine.position(&log, "reader").await.unwrap(), Position(7));
    let entries = engine.read(&log, Position(7), 100, Duration::ZERO).await.unwrap();
    assert_eq!((entries.len(), &*entries[0].record), (53, b"entry 7".as_slice()));
    let values = engine
        .get((0..60).map(|n| StateKey::from(format!("k/{n}"))).collect())
        .await
        .unwrap();
    assert!(values.iter().all(Option::is_some));
    // New records go behind the old ones, into the first generation.
    for n in 0..20 {
        step(2000 + n)
            .publish("q", lane(), octets(n))
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    let mut leased_before = 0;
    for _ in 0..20 {
        let want = Want {
            flows: Flows::All,
            ..Want::new(5, Duration::ZERO)
        };
        for delivery in engine.checkout(&q, want).await.unwrap() {
            leased_before += u64::from(delivery.leased_before_crash());
            Step::from(&delivery)
                .settle(&delivery)
                .commit(engine.as_ref())
                .await
                .unwrap();
        }
    }
    assert_eq!(leased_before, 4, "who had it when format 2 ended");
    assert_eq!(engine.depth(&q).ready, 0);
    engine.close().await.unwrap();
    drop(engine);
    let raw = Raw::open(dir.path());
    assert_eq!(
        &*raw.keyspace("meta").get("format").unwrap().unwrap(),
        4u32.to_be_bytes()
    );
    // Deferred, dead, held and moved ones are all that is left of the old records.
    assert_eq!(raw.keys("records").len(), 4 + 3 + 1 + 1);
    drop(raw);
    let report = verify(dir.path(), &super::verify::Letter, clock.now(), &mut |_| {}).unwrap();
    assert_eq!(report.records, 9, "{report:?}");
}

#[tokio::test]
async fn an_upgrade_that_was_killed_is_done_at_the_next_start() {
    let dir = fixture();
    // As far as the keyspace of the first generation, and not its entry.
    {
        let raw = Raw::open(dir.path());
        raw.keyspace("gone");
        raw.keyspace("g1");
    }
    let engine = support::open(dir.path(), ManualClock::new());
    assert_eq!(engine.depth(&"q".into()).ready, 63);
}
