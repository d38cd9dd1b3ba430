//! Records of which one in ten outlives the others.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "tests; not every test uses all of it"
)]

use bytes::Bytes;
use smsgw_engine_embedded::EmbeddedEngine;
use smsgw_message::Class;
use smsgw_queue::conformance::ManualClock;
use smsgw_queue::{Cost, Engine, Lane, Place, QueueName, ReleaseReason, Step, StepId, Want};
use std::collections::BTreeSet;
use std::time::Duration;

/// Octets that begin with their number.
pub(crate) fn record(n: u64) -> Bytes {
    let mut octets = vec![b'r'; 1000];
    octets[1..9].copy_from_slice(&n.to_be_bytes());
    octets.into()
}

pub(crate) fn number(octets: &[u8]) -> u64 {
    assert_eq!((octets.len(), octets[0], octets[9]), (1000, b'r', b'r'));
    u64::from_be_bytes(octets[1..9].try_into().unwrap())
}

pub(crate) async fn publish(engine: &EmbeddedEngine, numbers: std::ops::Range<u64>) {
    for first in numbers.clone().step_by(50) {
        let steps = (first..numbers.end.min(first + 50)).map(|n| {
            Step::new(StepId::from_bytes(u128::from(n).to_be_bytes())).publish(
                "q",
                Lane::new(Class::Bulk, "acme"),
                record(n),
            )
        });
        let answers = engine.commit(steps.collect()).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
}

/// Takes everything that is ready, and settles but those of which one in ten is kept for later.
pub(crate) async fn settle_most(engine: &EmbeddedEngine) {
    let queue = QueueName::from("q");
    loop {
        let taken = engine
            .checkout(&queue, Want::new(100, Duration::ZERO))
            .await
            .unwrap();
        if taken.is_empty() {
            return;
        }
        let steps = taken.iter().map(|delivery| {
            let own = Step::from(delivery);
            if number(delivery.record()).is_multiple_of(10) {
                let hour = Duration::from_secs(3600);
                own.release(delivery, hour, ReleaseReason::Throttled, Cost::Counted)
            } else {
                own.settle(delivery)
            }
        });
        let answers = engine.commit(steps.collect()).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
}

pub(crate) async fn numbers(engine: &EmbeddedEngine, place: Place) -> BTreeSet<u64> {
    let seen = engine.browse(&"q".into(), place, None, 100_000).await.unwrap();
    assert!(seen.iter().all(|seen| seen.readable));
    let found: BTreeSet<u64> = seen.iter().map(|seen| number(&seen.record)).collect();
    assert_eq!(found.len(), seen.len(), "each once");
    found
}

pub(crate) fn tenths(end: u64) -> BTreeSet<u64> {
    (0..end).filter(|n| n.is_multiple_of(10)).collect()
}

/// Time passes until the generations are those that are wanted.
pub(crate) async fn pass(clock: &ManualClock, engine: &EmbeddedEngine, by: Duration, times: u32) {
    for _ in 0..times {
        clock.advance(by);
        engine.tick().await;
        // Keyspaces are made, read and dropped beside the committer.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
