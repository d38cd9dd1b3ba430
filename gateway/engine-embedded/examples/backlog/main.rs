//! How the engine bears a backlog: recovery, memory, and the rate with millions of records waiting.
//!
//! `cargo run --release -p smsgw-engine-embedded --example backlog -- [records] [plain|accept] [parent of the directory]`
//! fills a queue in a temporary directory, and then measures each of these in a process of its own: recovery and what is
//! resident after it; cycles of publish, checkout and settle on the full queue (its oldest records, from the disk) and
//! on an empty queue beside it; latency of commits under a steady load; verify, export and import. The directory is removed at the end, whatever
//! happens. At most 20 million records; `SECONDS` (default 20, at most 600) and `RATE` (default 15000) say how the
//! steady load is.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a tool for developers, and its output"
)]

#[path = "../common/mod.rs"]
mod common;

use common::{Drive, Driven, Load, drive, mib, process};
use smsgw_engine_embedded::{EmbeddedConfig, EmbeddedEngine, metric, offline};
use smsgw_message::Clock;
use smsgw_queue::{Engine, QueueName};
use smsgw_runtime::SystemClock;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MOST: u64 = 20_000_000;
/// Records of one measured cycle.
const CYCLE: u64 = 300_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let get = |n: usize| arguments.get(n).map(String::as_str);
    if get(0) == Some("phase") {
        let (phase, records, load) = (get(1).unwrap(), get(2).unwrap(), get(3).unwrap());
        let dir = Path::new(get(4).unwrap());
        return phase_of(phase, records.parse().unwrap(), Load::parse(load).unwrap(), dir);
    }
    let records: u64 = get(0).map_or(1_000_000, |text| text.parse().expect("a number of records"));
    assert!(records <= MOST, "at most {MOST} records");
    let load = get(1).unwrap_or("plain");
    assert!(Load::parse(load).is_some(), "plain, accept or quota");
    let parent = get(2).map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::Builder::new()
        .prefix("smsgw-backlog-")
        .tempdir_in(parent)
        .unwrap();
    println!("{records} records ({load}) in {}", dir.path().display());
    for phase in [
        "empty", "fill", "open", "cycle", "steady", "open", "verify", "export", "import",
    ] {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["phase", phase, &records.to_string(), load])
            .arg(dir.path())
            .status()
            .unwrap();
        if !done.success() {
            println!("{phase} failed: {done}");
            break;
        }
    }
    println!("the directory took {} MiB", mib(octets_of(dir.path())));
    dir.close().unwrap();
}

fn octets_of(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::read_dir(dir)
        .unwrap()
        .map(|item| {
            let item = item.unwrap();
            let metadata = item.metadata().unwrap();
            if metadata.is_dir() {
                octets_of(&item.path())
            } else {
                metadata.blocks() * 512
            }
        })
        .sum()
}

fn setting(name: &str, default: u64, most: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse::<u64>().expect(name).min(most))
}

/// Everything accepted: what a record must be is for others to say.
struct Anything;

impl offline::Judge for Anything {
    fn record(&self, _: &str, _: &[u8]) -> offline::Verdict {
        offline::Verdict::Fits
    }

    fn value(&self, _: &str, _: &[u8]) -> offline::Verdict {
        offline::Verdict::Fits
    }

    fn entry(&self, _: &str, _: &[u8]) -> offline::Verdict {
        offline::Verdict::Fits
    }
}

/// The tools that work on a directory nobody uses. False: it is another phase.
fn tool(phase: &str, dir: &Path) -> bool {
    let clock = SystemClock;
    let (start, cpu) = (clock.instant(), process().cpu);
    let (file, data) = (dir.join("export"), dir.join("imported"));
    let done = match phase {
        "verify" => {
            let report = offline::verify(dir, &Anything, clock.now(), &mut |_| {}).unwrap();
            let codes: Vec<_> = report
                .findings()
                .iter()
                .map(|finding| (finding.code, finding.count))
                .collect();
            format!("{} records, {} values: {codes:?}", report.records, report.values)
        }
        "export" => {
            let out = std::fs::File::create(&file).unwrap();
            let out = std::io::BufWriter::with_capacity(1024 * 1024, out);
            let totals = offline::export(dir, out, clock.now(), &mut |_| {}).unwrap();
            format!("{} records, {} MiB", totals.records, mib(totals.octets))
        }
        "import" => {
            let source = std::fs::File::open(&file).unwrap();
            let source = std::io::BufReader::with_capacity(1024 * 1024, source);
            let totals = offline::import(source, &data, &mut |_| {}).unwrap();
            format!("{} records", totals.records)
        }
        _others => return false,
    };
    let (took, after) = (clock.instant() - start, process());
    println!(
        "{phase:<12} {took:.1?} ({:.1?} processor): {done}; at most {} MiB resident",
        after.cpu - cpu,
        mib(after.peak)
    );
    true
}

fn phase_of(phase: &str, records: u64, load: Load, dir: &Path) {
    if tool(phase, dir) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let before = process();
        let start = clock.instant();
        let engine = EmbeddedEngine::open(EmbeddedConfig::new(dir), clock.clone()).unwrap();
        let opened = clock.instant() - start;
        let queue = load.queue();
        let plan = |queue: &QueueName, first: u64, records: u64| Drive {
            load,
            queue: queue.clone(),
            first,
            records,
            in_flight: 256,
            batch: 16,
            rate: 0,
            fill: false,
            at_most: Duration::from_secs(600),
        };
        match phase {
            "empty" => {
                let driven = drive(&engine, &clock, plan(&queue, 0, CYCLE)).await;
                tell("empty queue", &driven);
            }
            "fill" => {
                let fill = Drive {
                    fill: true,
                    ..plan(&queue, CYCLE, records)
                };
                let driven = drive(&engine, &clock, fill).await;
                tell("fill", &driven);
                tell_memory("  filled", records);
            }
            "open" => {
                let after = process();
                let cpu = after.cpu - before.cpu;
                println!("recovery     {opened:.2?} ({cpu:.2?} processor)");
                tell_memory("  recovered", engine.depth(&queue).ready);
            }
            "cycle" => {
                // The one and the other in turn: what changes on the machine meanwhile changes both.
                let first = CYCLE + records;
                let beside = QueueName::from("beside");
                for (n, (what, queue)) in [
                    ("queue beside", &beside),
                    ("full queue", &queue),
                    ("queue beside", &beside),
                    ("full queue", &queue),
                    ("queue beside", &beside),
                    ("full queue", &queue),
                ]
                .into_iter()
                .enumerate()
                {
                    let first = first + u64::try_from(n).unwrap() * CYCLE;
                    let driven = drive(&engine, &clock, plan(queue, first, CYCLE)).await;
                    tell(what, &driven);
                }
                tell_memory("  after it", engine.depth(&queue).ready);
            }
            // To be looked at with `perf`, by itself.
            "full" | "beside" => {
                let queue = if phase == "full" {
                    queue
                } else {
                    QueueName::from("beside")
                };
                let driven = drive(&engine, &clock, plan(&queue, 9 * CYCLE + records, 4 * CYCLE)).await;
                tell(phase, &driven);
            }
            "steady" => {
                let (seconds, rate) = (setting("SECONDS", 20, 600), setting("RATE", 15_000, 1_000_000));
                let steady = Drive {
                    rate,
                    at_most: Duration::from_secs(seconds + 30),
                    ..plan(&queue, 8 * CYCLE + records, seconds * rate)
                };
                let driven = drive(&engine, &clock, steady).await;
                tell("steady", &driven);
                let slowest = metric::SYNC_SECONDS.with(&[]);
                println!(
                    "             {:.0} us a write and sync on average",
                    slowest.get_sample_sum() * 1e6 / slowest.get_sample_count() as f64
                );
                tell_memory("  after it", engine.depth(&queue).ready);
            }
            other => panic!("no phase {other}"),
        }
        engine.close().await.unwrap();
    });
}

fn tell(what: &str, driven: &Driven) {
    let records = driven.published.max(driven.settled).max(1) as f64;
    println!(
        "{what:<12} {:.0} records/s in {:.1?}, {:.2} us processor and {:.0} octets written a record",
        driven.rate(),
        driven.elapsed,
        driven.cpu.as_secs_f64() * 1e6 / records,
        driven.written as f64 / records,
    );
    println!("             {}", driven.latencies.line());
}

fn tell_memory(what: &str, queued: u64) {
    let now = process();
    println!(
        "{what:<12} {} MiB resident, at most {} MiB; {queued} queued, {:.0} octets each",
        mib(now.resident),
        mib(now.peak),
        now.resident as f64 / queued.max(1) as f64
    );
}
