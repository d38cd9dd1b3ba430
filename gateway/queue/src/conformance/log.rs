//! Laws of logs: read by position, trimmed behind the slowest reader.

use super::*;

const ALL: usize = 10_000;

async fn append(engine: &Arc<dyn Engine>, records: std::ops::Range<u64>) {
    let steps = records
        .map(|n| step().append("log", octets(n.to_string())))
        .collect();
    assert!(engine.commit(steps).await.iter().all(Result::is_ok));
}

/// Positions and records, from a position on.
async fn read(engine: &Arc<dyn Engine>, from: u64, max: usize) -> Vec<(u64, String)> {
    let entries = engine
        .read(&"log".into(), Position(from), max, Duration::ZERO)
        .await
        .unwrap();
    entries
        .iter()
        .map(|entry| (entry.position.0, text(&entry.record)))
        .collect()
}

fn expected(range: std::ops::Range<u64>) -> Vec<(u64, String)> {
    range.map(|n| (n, n.to_string())).collect()
}

async fn advance(engine: &Arc<dyn Engine>, reader: &'static str, to: u64) {
    ok(engine, step().advance("log", reader, Position(to))).await;
}

pub async fn log_is_read_in_the_order_of_appends<H: Harness>() {
    let mut harness = H::open().await;
    append(&harness.engine(), 0..100).await;
    for _ in 0..2 {
        let engine = harness.engine();
        assert_eq!(read(&engine, 0, ALL).await, expected(0..100));
        assert_eq!(read(&engine, 10, 5).await, expected(10..15));
        assert_eq!(read(&engine, 98, ALL).await, expected(98..100));
        assert_eq!(read(&engine, 100, ALL).await, []);
        assert_eq!(read(&engine, 500, ALL).await, []);
        assert_eq!(read(&engine, 0, 0).await, []);
        drop(engine);
        harness.crash_and_reopen().await;
    }
}

pub async fn log_without_readers_keeps_everything<H: Harness>() {
    let mut harness = H::open().await;
    append(&harness.engine(), 0..50).await;
    assert_eq!(
        harness.engine().position(&"log".into(), "new").await.unwrap(),
        Position(0)
    );
    assert_eq!(
        harness.engine().position(&"none".into(), "new").await.unwrap(),
        Position(0)
    );
    harness.crash_and_reopen().await;
    assert_eq!(read(&harness.engine(), 0, ALL).await, expected(0..50));
}

pub async fn log_is_trimmed_behind_its_slowest_reader<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    append(&engine, 0..30).await;
    advance(&engine, "slow", 5).await;
    advance(&engine, "fast", 20).await;
    assert_eq!(read(&engine, 0, ALL).await, expected(5..30));
    assert_eq!(read(&engine, 0, 3).await, expected(5..8));
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(read(&engine, 0, ALL).await, expected(5..30));
    advance(&engine, "slow", 12).await;
    assert_eq!(read(&engine, 0, ALL).await, expected(12..30));
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(read(&engine, 0, ALL).await, expected(12..30));
    advance(&engine, "slow", 30).await;
    assert_eq!(read(&engine, 0, ALL).await, expected(20..30));
    // What is gone stays gone: a new reader starts at the oldest entry that is left.
    advance(&engine, "new", 3).await;
    assert_eq!(engine.position(&"log".into(), "new").await.unwrap(), Position(20));
    assert_eq!(read(&engine, 0, ALL).await, expected(20..30));
}

pub async fn readers_that_begin_in_one_step_begin_together<H: Harness>() {
    let harness = H::open().await;
    let engine = harness.engine();
    append(&engine, 0..4).await;
    let both = step()
        .advance("log", "fast", Position(4))
        .advance("log", "slow", Position(1));
    ok(&engine, both).await;
    assert_eq!(read(&engine, 0, ALL).await, expected(1..4));
    assert_eq!(engine.position(&"log".into(), "slow").await.unwrap(), Position(1));
    assert_eq!(engine.position(&"log".into(), "fast").await.unwrap(), Position(4));
}

pub async fn reader_position_survives_a_crash<H: Harness>() {
    let mut harness = H::open().await;
    append(&harness.engine(), 0..10).await;
    advance(&harness.engine(), "one", 4).await;
    advance(&harness.engine(), "two", 7).await;
    for _ in 0..2 {
        let engine = harness.engine();
        for (reader, position) in [("one", 4), ("two", 7)] {
            assert_eq!(
                engine.position(&"log".into(), reader).await.unwrap(),
                Position(position)
            );
        }
        drop(engine);
        harness.crash_and_reopen().await;
    }
}

pub async fn reader_neither_goes_back_nor_past_the_end<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    append(&engine, 0..10).await;
    advance(&engine, "r", 6).await;
    advance(&engine, "r", 3).await;
    assert_eq!(engine.position(&"log".into(), "r").await.unwrap(), Position(6));
    advance(&engine, "r", 1000).await;
    assert_eq!(engine.position(&"log".into(), "r").await.unwrap(), Position(10));
    append(&engine, 10..12).await;
    drop(engine);
    harness.crash_and_reopen().await;
    assert_eq!(read(&harness.engine(), 0, ALL).await, expected(10..12));
}

pub async fn positions_never_return<H: Harness>() {
    let mut harness = H::open().await;
    for round in 0..3 {
        let engine = harness.engine();
        append(&engine, round * 5..round * 5 + 5).await;
        assert_eq!(read(&engine, 0, ALL).await, expected(round * 5..round * 5 + 5));
        advance(&engine, "r", round * 5 + 5).await;
        assert_eq!(read(&engine, 0, ALL).await, []);
        drop(engine);
        harness.crash_and_reopen().await;
    }
}
