//! How fast a record goes through: publish, checkout, settle, every step synced.
//!
//! `cargo run --release -p smsgw-engine-embedded --example bench -- [records] [in flight] [batch] [dir]`
//! prints cycles per second, latency of commits, steps per sync, and processor time per record. With `BACKLOG=1` nothing
//! is checked out: what is measured then is publishing, and the recovery of a full queue.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a tool for developers"
)]
#![allow(clippy::print_stdout, reason = "its output")]

use bytes::Bytes;
use smsgw_engine_embedded::{EmbeddedConfig, EmbeddedEngine, metric};
use smsgw_message::{Class, Clock};
use smsgw_queue::{Engine, Lane, QueueName, Step, StepId, Want};
use smsgw_runtime::SystemClock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const OCTETS: usize = 300;

fn argument(n: usize, default: u64) -> u64 {
    std::env::args()
        .nth(n)
        .map_or(default, |text| text.parse().expect("a number"))
}

/// Processor time of this process so far, all threads.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let records = argument(1, 1_000_000);
    let backlog = std::env::var_os("BACKLOG").is_some();
    let in_flight = argument(2, 256);
    let batch = argument(3, 16).min(in_flight);
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::args()
        .nth(4)
        .map_or_else(|| temporary.path().to_owned(), Into::into);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = EmbeddedEngine::open(EmbeddedConfig::new(&dir), clock.clone()).unwrap();
    let queue = QueueName::from("bench");
    let tasks = in_flight / batch;
    let (published, settled) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (begin, cpu) = (clock.instant(), processor_time());

    let mut running = Vec::new();
    for task in 0..tasks {
        let (engine, queue, published, clock) =
            (engine.clone(), queue.clone(), published.clone(), clock.clone());
        let settled = settled.clone();
        running.push(tokio::spawn(async move {
            let mut took = Vec::new();
            let lane = Lane::new(Class::Transactional, format!("client{}", task % 8));
            loop {
                let first = published.fetch_add(batch, Ordering::Relaxed);
                if first >= records {
                    return took;
                }
                // As many as the consumers keep up with: what is measured is the cycle, not the backlog.
                while !backlog && first.saturating_sub(settled.load(Ordering::Relaxed)) > in_flight * 16 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let steps = (first..records.min(first + batch)).map(|n| {
                    let id = StepId::from_bytes(u128::from(n).to_be_bytes());
                    Step::new(id).publish(queue.clone(), lane.clone(), Bytes::from(vec![b'x'; OCTETS]))
                });
                let steps = steps.collect();
                let start = clock.instant();
                assert!(engine.commit(steps).await.iter().all(Result::is_ok));
                took.push(clock.instant() - start);
            }
        }));
    }
    let mut consumers = Vec::new();
    for _ in 0..if backlog { 0 } else { tasks } {
        let (engine, queue, settled, clock) = (engine.clone(), queue.clone(), settled.clone(), clock.clone());
        consumers.push(tokio::spawn(async move {
            let mut took = Vec::new();
            while settled.load(Ordering::Relaxed) < records {
                let want = Want::new(usize::try_from(batch).unwrap(), Duration::from_millis(50));
                let deliveries = engine.checkout(&queue, want).await.unwrap();
                if deliveries.is_empty() {
                    continue;
                }
                let steps = deliveries
                    .iter()
                    .map(|delivery| Step::from(delivery).settle(delivery))
                    .collect();
                let start = clock.instant();
                assert!(engine.commit(steps).await.iter().all(Result::is_ok));
                took.push(clock.instant() - start);
                settled.fetch_add(u64::try_from(deliveries.len()).unwrap(), Ordering::Relaxed);
            }
            took
        }));
    }
    let mut took = Vec::new();
    for task in running.into_iter().chain(consumers) {
        took.extend(task.await.unwrap());
    }
    let elapsed = clock.instant() - begin;
    let cpu = processor_time() - cpu;
    took.sort();
    let at = |permille: usize| took[(took.len() - 1) * permille / 1000];
    let syncs = metric::SYNCS_TOTAL.with(&[]).get();
    let sync_seconds = metric::SYNC_SECONDS.with(&[]).get_sample_sum();
    println!("{records} records of {OCTETS} octets, {in_flight} in flight, {batch} a call");
    println!(
        "{:.0} cycles/s in {elapsed:.2?}",
        records as f64 / elapsed.as_secs_f64()
    );
    println!(
        "{:.2} us processor time a record",
        cpu.as_secs_f64() * 1e6 / records as f64
    );
    println!(
        "commit p50 {:?} p99 {:?} p99.9 {:?} max {:?}",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    println!(
        "{syncs} syncs, {:.1} steps a sync, {:.0} us a write and sync",
        2.0 * records as f64 / syncs as f64,
        sync_seconds * 1e6 / syncs as f64
    );
    smsgw_queue::Engine::refresh_metrics(engine.as_ref());
    println!("{} MB on the disk", metric::DISK_USED.with(&[]).get() / 1_000_000);
    engine.close().await.unwrap();
    let start = clock.instant();
    let engine = EmbeddedEngine::open(EmbeddedConfig::new(&dir), clock.clone()).unwrap();
    println!("reopened in {:?}", clock.instant() - start);
    engine.close().await.unwrap();
}
