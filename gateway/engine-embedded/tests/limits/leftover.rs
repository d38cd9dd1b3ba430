//! What is left on the disk: nothing of what has expired; what is damaged harms no neighbour.

use super::support::raw::{KEYSPACES, Raw};
use super::{Arc, Bytes, Duration, EmbeddedEngine, Path, fs, lane, octets, step, support};
use smsgw_message::Clock;
use smsgw_queue::conformance::ManualClock;
use smsgw_queue::{
    Cost, DeadReason, Depth, Engine, Expiry, HoldReason, HoldScope, Place, Position, QueueName,
    ReleaseReason, Step, Want,
};

async fn pass(clock: &ManualClock, engine: &EmbeddedEngine, by: Duration) {
    clock.advance(by);
    // What is done for time is bounded for each group.
    for _ in 0..20 {
        clock.advance(Duration::from_millis(60));
        engine.tick().await;
    }
}

#[tokio::test]
async fn when_all_has_expired_no_key_is_left_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let engine = support::open(dir.path(), clock.clone());
    let minute = Duration::from_secs(60);
    for n in 0..500 {
        let soon = clock.now().after(Duration::from_secs(30 + n % 50));
        let queue = format!("q/{}", n % 40);
        let own = step(n)
            .publish(queue.as_str(), lane(), octets(n))
            .bury(queue.as_str(), lane(), octets(n), DeadReason::NoRoute)
            .append("log", octets(n))
            .put(format!("k/{n}"), octets(n), Expiry::At(soon))
            .put(
                format!("alarm/{n}"),
                octets(n),
                Expiry::Alarm(soon, "alarms".into(), lane()),
            )
            .add(format!("n/{}", n % 9), 1, None, Expiry::At(soon));
        own.commit(engine.as_ref()).await.unwrap();
    }
    // Released, moved, held, released again; everything else is settled.
    for n in 0..40 {
        let queue = QueueName::from(format!("q/{n}"));
        let held = HoldScope::Flow("f".into());
        step(0)
            .hold_all(queue.clone(), held.clone(), HoldReason::Instructed)
            .commit(engine.as_ref())
            .await
            .unwrap();
        let id = engine.browse(&queue, Place::Ready, None, 1).await.unwrap()[0].id;
        step(0)
            .move_record(queue.clone(), id, "elsewhere", lane())
            .release_all(queue.clone(), held)
            .commit(engine.as_ref())
            .await
            .unwrap();
        for delivery in engine
            .checkout(&queue, Want::new(100, Duration::ZERO))
            .await
            .unwrap()
        {
            let own = Step::from(&delivery);
            let own = if n % 2 == 0 {
                own.settle(&delivery)
            } else {
                own.release(&delivery, minute, ReleaseReason::Throttled, Cost::Counted)
            };
            own.commit(engine.as_ref()).await.unwrap();
        }
    }
    pass(&clock, &engine, 2 * minute).await;
    let names: Vec<QueueName> = engine.queues().into_iter().map(|(name, _)| name).collect();
    for queue in &names {
        for delivery in engine
            .checkout(queue, Want::new(1000, Duration::ZERO))
            .await
            .unwrap()
        {
            let own = Step::from(&delivery).settle(&delivery);
            let own = match std::str::from_utf8(delivery.record()) {
                Ok(key) if key.starts_with("alarm/") => own.delete(key, smsgw_queue::Expected::Any),
                Ok(_) | Err(_) => own,
            };
            own.commit(engine.as_ref()).await.unwrap();
        }
    }
    step(0)
        .advance("log", "reader", Position(500))
        .commit(engine.as_ref())
        .await
        .unwrap();
    pass(&clock, &engine, Duration::from_secs(8 * 24 * 3600)).await;
    // Queues without records keep their numbers for a minute.
    pass(&clock, &engine, 2 * minute).await;
    pass(&clock, &engine, 2 * minute).await;
    assert_eq!(engine.queues(), []);
    // Keyspaces are made and dropped beside the committer.
    for _ in 0..50 {
        pass(&clock, &engine, Duration::ZERO).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for queue in &names {
        assert_eq!(engine.depth(queue), Depth::default());
    }
    engine.close().await.unwrap();
    drop(engine);
    let raw = Raw::open(dir.path());
    let generations = raw.generations();
    assert_eq!(generations.len(), 1, "the open one alone");
    for name in KEYSPACES
        .into_iter()
        .chain(generations.iter().map(String::as_str))
    {
        let keys = raw.keys(name);
        let left: Vec<_> = keys
            .iter()
            .filter(|key| !matches!(key.as_slice(), b"format" | b"opened" | b"numbers" | b"next"))
            // The open generation.
            .filter(|key| !(name == "meta" && key.first() == Some(&b'g')))
            // A log keeps its name and positions: they never return.
            .filter(|key| !(name == "meta" && key.first() == Some(&b'l')))
            .collect();
        assert!(left.is_empty(), "{name} has {left:?}");
    }
}

/// Octets that no compression makes shorter.
fn noise(n: u64) -> Bytes {
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let octets = (0..8000).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    });
    // Its number first, so that it is known again.
    n.to_be_bytes().into_iter().chain(octets).collect()
}

/// Flips a bit of every table that holds these octets, in its place: the engine has the files open.
fn damage(dir: &Path, what: &[u8]) -> usize {
    let mut hits = 0;
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            hits += damage(&path, what);
            continue;
        }
        let octets = fs::read(&path).unwrap();
        let Some(at) = octets.windows(what.len()).position(|window| window == what) else {
            continue;
        };
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[octets[at] ^ 1], u64::try_from(at).unwrap())
            .unwrap();
        hits += 1;
    }
    hits
}

#[tokio::test]
async fn damaged_record_becomes_corrupt_and_its_neighbours_are_delivered() {
    const RECORDS: u64 = 600;
    let dir = tempfile::tempdir().unwrap();
    let config = || {
        let mut config = support::config(dir.path());
        config.write_buffer = 1024 * 1024;
        // One of them: then only the last table is still in memory.
        config.generation = 256 * 1024 * 1024;
        config
    };
    let clock = || Arc::new(smsgw_runtime::SystemClock);
    let engine = EmbeddedEngine::open(config(), clock()).unwrap();
    for n in 0..RECORDS {
        step(n)
            .publish("q", lane(), noise(n))
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    engine.close().await.unwrap();
    drop(engine);
    let engine = EmbeddedEngine::open(config(), clock()).unwrap();
    // After the start: a disk that goes bad while the engine runs. The tables, not the journals.
    let tables = dir.path().join("store").join("keyspaces");
    // Some of them may be in memory, from the start.
    let broken = [40_u64, 130, 220, 310];
    for n in broken {
        assert!(damage(&tables, &noise(n)[..200]) > 0, "record {n} is in a table");
    }
    let queue = QueueName::from("q");
    let (mut taken, mut numbers) = (Vec::new(), Vec::new());
    loop {
        let want = Want::new(10, Duration::ZERO);
        let more = engine.checkout(&queue, want).await.unwrap();
        if more.is_empty() {
            break;
        }
        numbers.extend(more.iter().map(|delivery| {
            let n = u64::from_be_bytes(delivery.record()[..8].try_into().unwrap());
            assert_eq!(*delivery.record(), noise(n), "as it was published");
            n
        }));
        taken.extend(more);
    }
    let corrupt = engine.browse(&queue, Place::Corrupt, None, 9).await.unwrap();
    assert!(
        (1..=8).contains(&corrupt.len()),
        "a table block holds few records: {}",
        corrupt.len()
    );
    assert!(
        corrupt
            .iter()
            .all(|seen| seen.reason == "unreadable" && !seen.readable && seen.size == 8008)
    );
    assert!(broken.iter().any(|n| !numbers.contains(n)));
    assert!(numbers.is_sorted(), "neighbours in their order");
    assert_eq!(
        numbers.len() + corrupt.len(),
        usize::try_from(RECORDS).unwrap(),
        "nobody else is missing"
    );
    let told = engine.dead_letters(&queue);
    assert_eq!(told[0].reason, DeadReason::Unreadable);
    for seen in &corrupt {
        step(0)
            .discard("q", seen.id)
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    assert_eq!(engine.depth(&queue).corrupt, 0);
}
