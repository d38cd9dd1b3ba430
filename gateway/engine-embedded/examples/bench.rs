//! How fast a record goes through, and what it costs: publish, checkout, settle, every step synced.
//!
//! `cargo run --release -p smsgw-engine-embedded --example bench -- [records] [in flight] [batch] [plain|accept|quota] [dir]`
//! prints the table of `ops/bench/README.md`. At most 20 million records; a directory that is named is kept. For how a
//! backlog is borne, see the example `backlog`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a tool for developers, and its output"
)]

mod common;

use common::{Drive, Load, drive, mib, process};
use smsgw_engine_embedded::{EmbeddedConfig, EmbeddedEngine, metric};
use smsgw_message::Clock;
use smsgw_queue::Engine;
use smsgw_runtime::SystemClock;
use std::sync::Arc;
use std::time::Duration;

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MOST: u64 = 20_000_000;

fn argument(n: usize, default: u64) -> u64 {
    std::env::args()
        .nth(n)
        .map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let records = argument(1, 500_000).min(MOST);
    let in_flight = argument(2, 256);
    let batch = argument(3, 16).clamp(1, in_flight);
    let word = std::env::args().nth(4).unwrap_or_else(|| "plain".to_owned());
    let load = Load::parse(&word).expect("plain, accept or quota");
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::args()
        .nth(5)
        .map_or_else(|| temporary.path().to_owned(), Into::into);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = EmbeddedEngine::open(EmbeddedConfig::new(&dir), clock.clone()).unwrap();
    let plan = Drive {
        load,
        queue: load.queue(),
        first: 0,
        records,
        in_flight,
        batch,
        rate: 0,
        fill: false,
        at_most: Duration::from_secs(600),
    };
    let syncs_before = metric::SYNCS_TOTAL.with(&[]).get();
    let cycle = drive(&engine, &clock, plan.clone()).await;
    let syncs = metric::SYNCS_TOTAL.with(&[]).get() - syncs_before;
    let steps = (cycle.published + cycle.settled) as f64;
    let per = |what: f64| what / cycle.published.max(1) as f64;
    println!("{records} records ({word}), {in_flight} in flight, {batch} a call");
    let row = |what: &str, figure: String, bare: &str| println!("{what:<34} {figure:>12}   {bare}");
    row("", "measured".to_owned(), "bare cost (performance.md)");
    row(
        "durable steps a second",
        format!("{:.0}", steps / cycle.elapsed.as_secs_f64()),
        "446,000: fjall alone, 2 x 223,000",
    );
    row(
        "processor time a record, us",
        format!("{:.2}", per(cycle.cpu.as_secs_f64() * 1e6)),
        "5: fjall, enqueue, take and acknowledge",
    );
    row(
        "syncs a step",
        format!("{:.4}", syncs as f64 / steps),
        "1 for each group",
    );
    let sync_seconds = metric::SYNC_SECONDS.with(&[]);
    row(
        "a write and sync, us",
        format!("{:.0}", sync_seconds.get_sample_sum() * 1e6 / syncs.max(1) as f64),
        "100 to 200: fdatasync alone",
    );
    row(
        "octets written a record",
        format!("{:.0}", per(cycle.written as f64)),
        "about 420: 300 octets at 1.4",
    );
    println!("commits                            {}", cycle.latencies.line());

    // The same once more without a consumer: what waits, and what it takes to start with it.
    let fill = Drive {
        fill: true,
        first: records,
        ..plan
    };
    let queue = fill.queue.clone();
    drive(&engine, &clock, fill).await;
    engine.close().await.unwrap();
    drop(engine);
    let before = process();
    let start = clock.instant();
    let engine = EmbeddedEngine::open(EmbeddedConfig::new(&dir), clock.clone()).unwrap();
    let took = clock.instant() - start;
    let depth = engine.depth(&queue);
    row(
        "recovery of what waits, s",
        format!("{:.2}", took.as_secs_f64()),
        "0.7 for a million records: fjall alone",
    );
    row("  records", depth.ready.to_string(), "");
    let after = process();
    row(
        "resident with them, MiB",
        mib(after.resident).to_string(),
        "(the process has run before: see backlog)",
    );
    row("  before opening, MiB", mib(before.resident).to_string(), "");
    Engine::refresh_metrics(engine.as_ref());
    let used = metric::DISK_USED.with(&[]).get();
    row("on the disk, MiB", (used / (1024 * 1024)).to_string(), "");
    engine.close().await.unwrap();
}
