//! Export and import: whatever an engine holds is the same after it, and nothing that is not whole is taken.

use super::verify::Letter;
use crate::{another_boot, support};
use bytes::Bytes;
use proptest::prelude::*;
use smsgw_engine_embedded::offline::{Done, OfflineError, Pass, export, import, verify};
use smsgw_engine_embedded::{EmbeddedEngine, OpenErrorKind};
use smsgw_message::{Class, Clock, Timestamp};
use smsgw_queue::conformance::ManualClock;
use smsgw_queue::transfer::{StreamErrorKind, Totals};
use smsgw_queue::{
    Cost, DeadReason, Delivery, Engine, Expiry, HoldReason, HoldScope, Lane, LogName, Place, Position,
    QueueName, ReleaseReason, StateKey, Step, StepId, Want,
};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const QUEUES: [&str; 3] = ["a", "b.1", "c/d"];
const LOGS: [&str; 2] = ["events", "inbox/acme"];
const KEYS: u8 = 12;

fn key(n: u8) -> StateKey {
    StateKey::from(format!("k{}/{n}", n % 3))
}

fn pick<'a>(from: &[&'a str], n: u8) -> &'a str {
    from[usize::from(n) % from.len()]
}

/// One act of three numbers; the deliveries that stay out are kept in `out`.
async fn act(
    engine: &EmbeddedEngine,
    clock: &ManualClock,
    at: usize,
    act: (u8, u8, u8),
    out: &mut Vec<Delivery>,
) {
    let (what, x, y) = act;
    let queue = pick(&QUEUES, x);
    let lane = Lane::new(Class::ALL[usize::from(y) % 3], format!("f{}", y % 5));
    let octets = Bytes::from(vec![x; usize::from(y) * 7]);
    let step = Step::new(StepId::from_bytes(u128::try_from(at).unwrap().to_be_bytes()));
    let soon = |seconds: u8| clock.now().after(Duration::from_secs(u64::from(seconds)));
    let steps = match what % 12 {
        0 | 1 => vec![step.publish(queue, lane, octets)],
        2 => vec![step.publish_at(queue, lane, octets, soon(y))],
        3 => vec![step.bury(
            queue,
            lane,
            octets,
            if y % 2 == 0 {
                DeadReason::NoRoute
            } else {
                DeadReason::Corrupt
            },
        )],
        4 => vec![step.put(key(x % KEYS), octets, Expiry::Owner)],
        5 => vec![step.put(key(x % KEYS), octets, Expiry::At(soon(y)))],
        6 => vec![step.put(
            key(x % KEYS),
            octets,
            Expiry::Alarm(soon(y), QueueName::from(queue), lane),
        )],
        7 => vec![step.append(pick(&LOGS, x), octets)],
        8 => vec![step.advance(pick(&LOGS, x), "reader", Position(u64::from(y % 9)))],
        9 => {
            let scope = if y % 2 == 0 {
                HoldScope::Queue
            } else {
                HoldScope::Flow(lane.flow)
            };
            vec![match y % 3 {
                0 => step.hold_all(queue, scope, HoldReason::Instructed),
                _ => step.release_all(queue, scope),
            }]
        }
        10 => {
            clock.advance(Duration::from_secs(u64::from(x % 4)));
            engine.tick().await;
            return;
        }
        _ => {
            let want = Want::new(usize::from(y % 4), Duration::ZERO);
            let deliveries = engine.checkout(&QueueName::from(queue), want).await.unwrap();
            let mut steps = Vec::new();
            for (n, delivery) in (u32::from(x)..).zip(&deliveries) {
                let step = Step::from(delivery);
                steps.extend(match n % 5 {
                    0 => Some(step.settle(delivery)),
                    1 => Some(step.release(
                        delivery,
                        Duration::from_secs(u64::from(y % 3)),
                        ReleaseReason::Temporary,
                        Cost::Counted,
                    )),
                    2 => Some(step.hold(delivery, HoldReason::InDoubt)),
                    3 => Some(step.dead_letter(delivery, DeadReason::Refused)),
                    _ => None,
                });
            }
            for answer in engine.commit(steps).await {
                answer.unwrap();
            }
            out.extend(deliveries);
            return;
        }
    };
    for answer in engine.commit(steps).await {
        answer.unwrap();
    }
}

/// Everything that the contract shows of an engine.
async fn content(engine: &EmbeddedEngine) -> Vec<String> {
    let mut said = Vec::new();
    for (queue, depth) in engine.queues() {
        said.push(format!(
            "{queue} {depth:?} {:?} {:?}",
            engine.holds(&queue),
            engine.dead_letters(&queue)
        ));
        for place in Place::ALL {
            for record in engine.browse(&queue, place, None, 10_000).await.unwrap() {
                said.push(format!("{queue} {record:?}"));
            }
        }
    }
    let keys: Vec<StateKey> = (0..KEYS).map(key).collect();
    for (key, value) in keys.iter().zip(engine.get(keys.clone()).await.unwrap()) {
        said.push(format!("{key} {value:?}"));
    }
    for log in LOGS.map(LogName::from) {
        let entries = engine
            .read(&log, Position(0), 10_000, Duration::ZERO)
            .await
            .unwrap();
        let at = engine.position(&log, "reader").await.unwrap();
        said.push(format!("{log} {at:?} {:?} {entries:?}", engine.log_end(&log)));
    }
    said
}

fn exported(dir: &Path) -> Vec<u8> {
    let mut stream = Vec::new();
    export(dir, &mut stream, Timestamp::from_millis(5), &mut |_| {}).unwrap();
    stream
}

async fn same_after_a_round_trip(acts: Vec<(u8, u8, u8)>, power_cut: bool) {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    let mut out = Vec::new();
    for (at, what) in acts.into_iter().enumerate() {
        act(&engine, &clock, at, what, &mut out).await;
    }
    engine.close().await.unwrap();
    drop(out);
    drop(engine);
    if power_cut {
        // And the mark that it was closed in order is gone with the rest of the file.
        another_boot(dir.path());
        for item in fs::read_dir(dir.path()).unwrap() {
            let path = item.unwrap().path();
            if path.extension().is_some_and(|end| end == "log") {
                let octets = fs::read(&path).unwrap();
                fs::write(&path, &octets[..octets.len() - 1]).unwrap();
            }
        }
    }
    let stream = exported(dir.path());
    let target = tempfile::tempdir().unwrap();
    let target = target.path().join("data");
    import(stream.as_slice(), &target, &mut |_| {}).unwrap();
    assert_eq!(
        stream[20..],
        exported(&target)[20..],
        "the same octets but for the time"
    );
    let (before, after) = (
        support::open(dir.path(), clock.clone()),
        support::open(&target, clock.clone()),
    );
    assert_eq!(content(&before).await, content(&after).await);
    // Both go on alike: numbers and versions continue, what is due becomes due.
    for engine in [&before, &after] {
        let step =
            Step::new(StepId::from_bytes([9; 16])).publish("a", Lane::new(Class::Otp, "new"), Bytes::new());
        let step = step
            .put(key(1), Bytes::new(), Expiry::Owner)
            .append(LOGS[0], Bytes::new());
        step.commit(engine.as_ref()).await.unwrap();
    }
    clock.advance(Duration::from_secs(300));
    before.tick().await;
    after.tick().await;
    // Alarms that were due go off in another order when several are due at once: the records they make are alike.
    let strip = |mut said: Vec<String>| {
        said.retain(|line| !line.contains("Browsed"));
        said
    };
    assert_eq!(strip(content(&before).await), strip(content(&after).await));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn what_an_engine_holds_is_the_same_after_export_and_import(
        acts in proptest::collection::vec(any::<(u8, u8, u8)>(), 0..100),
        power_cut in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(same_after_a_round_trip(acts, power_cut));
    }
}

async fn some(dir: &Path) -> Arc<EmbeddedEngine> {
    let engine = support::open(dir, ManualClock::new());
    for n in 0..30 {
        let step = Step::new(StepId::from_bytes([n; 16])).publish(
            "a",
            Lane::new(Class::Otp, "f"),
            Bytes::from(vec![n; 50]),
        );
        let step = step
            .put(key(n % KEYS), Bytes::from(vec![n]), Expiry::Owner)
            .append("events", Bytes::from(vec![n; 9]));
        step.commit(engine.as_ref()).await.unwrap();
    }
    engine
}

#[tokio::test]
async fn a_stream_that_is_not_whole_makes_nothing_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path()).await.close().await.unwrap();
    let stream = exported(dir.path());
    let parent = tempfile::tempdir().unwrap();
    let target = parent.path().join("data");
    for n in 0..8 {
        let at = stream.len() * n / 8 + n;
        let mut changed = stream.clone();
        changed[at] ^= 4;
        for bad in [&stream[..at], changed.as_slice()] {
            let Err(OfflineError::Stream(error)) = import(bad, &target, &mut |_| {}) else {
                panic!("octet {at} was taken");
            };
            assert!(usize::try_from(error.at).unwrap() <= at);
            assert!(!matches!(error.kind, StreamErrorKind::Io(_)));
            assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "nothing is left");
        }
    }
    let totals = import(stream.as_slice(), &target, &mut |_| {}).unwrap();
    let expected = Totals {
        holds: 0,
        records: 30,
        values: u64::from(KEYS),
        logs: 1,
        entries: 30,
        octets: totals.octets,
    };
    assert_eq!(totals, expected);
}

#[tokio::test]
async fn who_watches_sees_it_grow_to_what_there_is() {
    const RECORDS: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let engine = support::open(dir.path(), ManualClock::new());
    for n in 0..RECORDS / 1_000 {
        let mut step = Step::new(StepId::from_bytes(u128::from(n).to_be_bytes()));
        for _ in 0..1_000 {
            step = step.publish("a", Lane::new(Class::Otp, "new"), Bytes::from_static(&[7; 200]));
        }
        step.commit(engine.as_ref()).await.unwrap();
    }
    engine.close().await.unwrap();
    drop(engine);
    let grows = |seen: &[Done], pass: Pass, has_total: bool| {
        let last = seen.last().unwrap();
        assert!(seen.len() > 4, "{pass:?}: {}", seen.len());
        let right = |done: &Done| done.pass == pass && done.read.is_some() == has_total;
        assert!(seen.iter().all(right));
        let pairs = seen.windows(2);
        assert!(
            pairs
                .clone()
                .all(|pair| pair[0].so_far.octets <= pair[1].so_far.octets)
        );
        assert!(
            pairs
                .clone()
                .all(|pair| pair[0].so_far.records <= pair[1].so_far.records)
        );
        assert_eq!(last.so_far.records, RECORDS, "{pass:?}");
        for pair in seen.windows(2) {
            let [before, after] = [pair[0].read, pair[1].read].map(Option::unwrap_or_default);
            assert!(before.0 <= after.0 && after.0 <= after.1, "{pass:?}: {pair:?}");
        }
        let (read, of) = last.read.unwrap_or_default();
        assert_eq!(read, of, "{pass:?} ends where everything is read");
        last.so_far
    };
    let (mut seen, mut stream) = (Vec::new(), Vec::new());
    let now = Timestamp::from_millis(5);
    let written = export(dir.path(), &mut stream, now, &mut |done| seen.push(done)).unwrap();
    let read = grows(&seen, Pass::Export, true);
    assert_eq!(read.records, written.records);
    let (of, all) = (seen[0].read.unwrap().1, seen.last().unwrap().read.unwrap().0);
    assert!(
        (all / 2..all * 2).contains(&of),
        "about as much as there is: {all} of {of}"
    );
    let (mut seen, made) = (Vec::new(), dir.path().join("made"));
    let told = import(stream.as_slice(), &made, &mut |done| seen.push(done)).unwrap();
    assert_eq!(grows(&seen, Pass::Import, false), told);
    assert_eq!(
        told.octets + 89,
        u64::try_from(stream.len()).unwrap(),
        "all but the end frame"
    );
    let mut seen = Vec::new();
    let report = verify(&made, &Letter, now, &mut |done| seen.push(done)).unwrap();
    assert_eq!(grows(&seen, Pass::Check, true).octets, report.octets);
}

#[tokio::test]
async fn an_import_adds_to_nothing_and_an_export_takes_no_running_engine() {
    let dir = tempfile::tempdir().unwrap();
    let engine = some(dir.path()).await;
    let refused = export(dir.path(), Vec::new(), Timestamp::from_millis(5), &mut |_| {}).unwrap_err();
    assert!(
        matches!(&refused, OfflineError::Open(open) if matches!(open.kind, OpenErrorKind::Locked { pid: Some(_) })),
        "{refused:?}"
    );
    engine.close().await.unwrap();
    let stream = exported(dir.path());
    let refused = import(stream.as_slice(), dir.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(refused, OfflineError::NotEmpty(_)), "{refused:?}");
    let empty = tempfile::tempdir().unwrap();
    let refused = export(empty.path(), Vec::new(), Timestamp::from_millis(5), &mut |_| {}).unwrap_err();
    assert!(matches!(refused, OfflineError::Nothing(_)), "{refused:?}");
    assert_eq!(
        fs::read_dir(empty.path()).unwrap().count(),
        0,
        "a look makes nothing"
    );
    // What a killed import left is in nobody's way.
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("data.importing")).unwrap();
    fs::write(parent.path().join("data.importing").join("LOCK"), "").unwrap();
    import(stream.as_slice(), &parent.path().join("data"), &mut |_| {}).unwrap();
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    // An empty directory that is there already is filled.
    import(stream.as_slice(), empty.path(), &mut |_| {}).unwrap();
    drop(support::open(empty.path(), ManualClock::new()));
}
