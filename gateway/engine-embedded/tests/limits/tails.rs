//! The end of the journal, cut off or damaged at every octet of its last batches: all that was before is there, wholly,
//! and nothing is there in part. A sample runs by default, every octet with `SMSGW_FULL_SWEEP=1`.

use crate::{end, journal, lane, octets, step, support};
use smsgw_engine_embedded::{EmbeddedEngine, OpenErrorKind};
use smsgw_queue::{Engine, Expiry, LogName, Place, Position, QueueName, StateKey};
use smsgw_runtime::SystemClock;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const STEPS: u64 = 6;

/// How many steps are there; each wholly.
async fn steps(engine: &EmbeddedEngine) -> u64 {
    let records = engine
        .browse(&QueueName::from("q"), Place::Ready, None, 100)
        .await
        .unwrap();
    for (n, record) in (0..).zip(&records) {
        assert_eq!(record.record, octets(n), "a beginning, nothing else");
    }
    let log = engine
        .read(&LogName::from("log"), Position(0), 100, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(log.len(), records.len(), "steps are whole");
    let keys = (0..STEPS).map(|n| StateKey::from(format!("k/{n}"))).collect();
    let values = engine.get(keys).await.unwrap();
    assert_eq!(values.iter().flatten().count(), records.len(), "steps are whole");
    u64::try_from(records.len()).unwrap()
}

/// A directory whose journal has these octets, opened.
async fn opened(image: &Path, journal_octets: &[u8]) -> Result<u64, OpenErrorKind> {
    let copy = tempfile::tempdir().unwrap();
    support::copy(image, copy.path());
    fs::write(journal(copy.path()), journal_octets).unwrap();
    let engine =
        EmbeddedEngine::open(support::config(copy.path()), Arc::new(SystemClock)).map_err(|error| {
            assert_eq!(error.dir, copy.path(), "the directory is named");
            error.kind
        })?;
    Ok(steps(&engine).await)
}

#[tokio::test]
async fn a_tail_that_is_cut_or_damaged_at_any_octet_leaves_whole_steps() {
    let dir = tempfile::tempdir().unwrap();
    let engine = support::open(dir.path(), Arc::new(SystemClock));
    let mut ends = Vec::new();
    for n in 0..STEPS {
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
    let whole = fs::read(journal(image.path())).unwrap();
    let stride = if std::env::var_os("SMSGW_FULL_SWEEP").is_some() {
        1
    } else {
        23
    };
    let begin = ends[usize::try_from(STEPS - 3).unwrap()];
    let last = ends[usize::try_from(STEPS - 2).unwrap()];
    let length = ends[usize::try_from(STEPS - 1).unwrap()];
    for at in (begin..=length).step_by(stride) {
        let before = u64::try_from(ends.iter().filter(|end| **end <= at).count()).unwrap();
        let found = opened(image.path(), &whole[..at]).await.unwrap();
        assert_eq!(found, before, "cut at octet {at}");
        // What was never written reads as zeros.
        let mut zeroed = whole.clone();
        zeroed[at..].fill(0);
        assert_eq!(
            opened(image.path(), &zeroed).await.unwrap(),
            before,
            "zeros from octet {at}"
        );
        if at == length {
            continue;
        }
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        match opened(image.path(), &flipped).await {
            // In the last batch it looks like one that was being written; its number alone may change without harm.
            Ok(found) => assert!(at >= last && found >= STEPS - 1, "octet {at}: {found} steps"),
            Err(OpenErrorKind::Damaged { what, why }) => {
                assert!(at < length, "octet {at}");
                assert!(
                    what.contains("journal") && why.contains("0.jnl"),
                    "the file is named: {why}"
                );
            }
            Err(other) => panic!("octet {at}: {other:?}"),
        }
    }
}
