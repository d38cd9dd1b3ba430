//! Real ends of a real process: `kill -9` at any moment, and a disk that answers EIO or ENOSPC. The process is this
//! test binary again, running only `child`; it says on its output what was acknowledged to it.
//!
//! ```text
//! P n   publish of record n, with its state and its log entry, was acknowledged      (said after)
//! C n   record n was checked out                                                     (said before its next step)
//! S n   settle of record n was acknowledged                                          (said after)
//! R n   release of record n was acknowledged                                         (said after)
//! X     the engine says that it is poisoned      A   a commit went through after that
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

mod support;
#[path = "kill/sweep.rs"]
mod sweep;
#[path = "kill/turnover.rs"]
mod turnover;

use bytes::Bytes;
use smsgw_engine_embedded::EmbeddedEngine;
use smsgw_message::Class;
use smsgw_queue::{
    Cost, Engine, Expiry, Lane, LogName, Position, QueueName, ReleaseReason, StateKey, Step, StepId, Want,
};
use smsgw_runtime::SystemClock;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const DIR: &str = "SMSGW_TEST_ENGINE_DIR";
const FIRST: &str = "SMSGW_TEST_FIRST_RECORD";

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}").unwrap();
    out.flush().unwrap();
}

fn id(kind: u8, n: u64) -> StepId {
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    StepId::from_bytes(id)
}

fn publish(n: u64) -> Step {
    let octets = |text: String| Bytes::from(text);
    Step::new(id(1, n))
        .publish(
            "q",
            Lane::new(Class::Otp, format!("f{}", n % 3)),
            octets(format!("{n} {}", "x".repeat(300))),
        )
        .put(format!("k/{n}"), octets(n.to_string()), Expiry::Owner)
        .append("log", octets(n.to_string()))
}

/// Not a test of its own: what the tests below run as another process.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let engine = support::open(Path::new(&dir), Arc::new(SystemClock));
        let next = Arc::new(AtomicU64::new(first));
        for _ in 0..4 {
            tokio::spawn(publisher(engine.clone(), next.clone()));
            tokio::spawn(consumer(engine.clone()));
        }
        engine.poisoned().await;
        say("X");
        for n in 0..20 {
            let answer = publish(u64::MAX - n).commit(engine.as_ref()).await;
            if answer.is_ok() {
                say("A");
            }
        }
        std::process::exit(3);
    });
}

async fn publisher(engine: Arc<EmbeddedEngine>, next: Arc<AtomicU64>) {
    loop {
        let first = next.fetch_add(4, Ordering::Relaxed);
        let answers = engine.commit((first..first + 4).map(publish).collect()).await;
        for (n, answer) in (first..).zip(answers) {
            match answer {
                Ok(_) => say(&format!("P {n}")),
                Err(_) => return,
            }
        }
        // Consumers stay behind a little, so that records of every kind are there at the end.
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
}

async fn consumer(engine: Arc<EmbeddedEngine>) {
    let queue = QueueName::from("q");
    loop {
        let Ok(deliveries) = engine
            .checkout(&queue, Want::new(3, Duration::from_millis(20)))
            .await
        else {
            return;
        };
        for delivery in &deliveries {
            let n = number(delivery.record());
            say(&format!("C {n}"));
            let (step, done) = if n.is_multiple_of(5) && delivery.attempt() == 1 {
                let reason = ReleaseReason::Temporary;
                (
                    Step::from(delivery).release(delivery, Duration::ZERO, reason, Cost::Counted),
                    "R",
                )
            } else {
                (Step::from(delivery).settle(delivery), "S")
            };
            // One in eight is still out when the next ones come.
            if n % 8 == 7 {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            match step.commit(engine.as_ref()).await {
                Ok(_) => say(&format!("{done} {n}")),
                Err(_) => return,
            }
        }
    }
}

fn number(record: &Bytes) -> u64 {
    std::str::from_utf8(record)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn child_command(dir: &Path, first: u64, under: &[String]) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut command = match under.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
        None => Command::new(this),
    };
    command
        .args(["child", "--exact", "--nocapture"])
        .env(DIR, dir)
        .env(FIRST, first.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a child said, by word; and everything it said in order.
struct Said {
    words: HashMap<String, Vec<u64>>,
    lines: Vec<String>,
}

impl Said {
    fn of(output: &str) -> Self {
        // What has no end of line was being said when it died: it does not count.
        let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
        let mut words: HashMap<String, Vec<u64>> = HashMap::new();
        for line in &lines {
            if let Some((word, n)) = line.split_once(' ')
                && let Ok(n) = n.parse()
            {
                words.entry(word.to_owned()).or_default().push(n);
            }
        }
        Self { words, lines }
    }

    fn all(&self, word: &str) -> HashSet<u64> {
        self.words.get(word).into_iter().flatten().copied().collect()
    }
}

/// Opens what the child left and compares it with what the child said. Leaves the queue empty.
async fn check(dir: &Path, said: &Said) {
    let engine = support::open(dir, Arc::new(SystemClock));
    let (published, out, settled, released) = (said.all("P"), said.all("C"), said.all("S"), said.all("R"));
    let mut there = HashMap::new();
    loop {
        let want = Want::new(10_000, Duration::ZERO);
        let deliveries = engine.checkout(&"q".into(), want).await.unwrap();
        if deliveries.is_empty() {
            break;
        }
        for delivery in &deliveries {
            let state = (delivery.leased_before_crash(), delivery.attempt());
            assert!(
                there.insert(number(delivery.record()), state).is_none(),
                "nothing is there twice"
            );
        }
        let settle = deliveries
            .iter()
            .map(|delivery| Step::from(delivery).settle(delivery))
            .collect();
        assert!(engine.commit(settle).await.iter().all(Result::is_ok));
    }
    for n in &published {
        assert!(
            there.contains_key(n) || out.contains(n),
            "record {n} was acknowledged and is lost"
        );
    }
    for n in &settled {
        assert!(!there.contains_key(n), "record {n} was settled and is back");
    }
    // The last word of the child on each record.
    let mut last: HashMap<u64, &str> = HashMap::new();
    for line in &said.lines {
        if let Some((word, n)) = line.split_once(' ')
            && let Ok(n) = n.parse()
            && ["C", "S", "R"].contains(&word)
        {
            last.insert(n, word);
        }
    }
    for (n, (leased, attempt)) in &there {
        // Its release may have been durable without a word, and it is out once more without one.
        let may_be_released = n.is_multiple_of(5);
        if last.get(n) == Some(&"C") && !may_be_released {
            assert!(leased, "record {n} was out and is not marked");
        }
        if released.contains(n) {
            assert_eq!(*attempt, 2, "release of record {n} was acknowledged");
        }
    }
    let log = engine
        .read(&LogName::from("log"), Position(0), usize::MAX, Duration::ZERO)
        .await
        .unwrap();
    let mut logged = BTreeSet::new();
    for entry in &log {
        let n: u64 = std::str::from_utf8(&entry.record).unwrap().parse().unwrap();
        assert!(logged.insert(n), "entry {n} is there twice");
    }
    assert!(
        log.iter()
            .zip(0..)
            .all(|(entry, at)| entry.position == Position(at)),
        "no position is missing"
    );
    let keys: Vec<u64> = published.iter().copied().collect();
    let values = engine
        .get(keys.iter().map(|n| StateKey::from(format!("k/{n}"))).collect())
        .await
        .unwrap();
    for (n, value) in keys.iter().zip(values) {
        assert_eq!(value.unwrap().value, n.to_string().as_bytes());
        assert!(logged.contains(n), "entry {n} was acknowledged and is lost");
    }
    // A step is whole: what is in the log has its state, acknowledged or not.
    let keys: Vec<_> = logged.iter().map(|n| StateKey::from(format!("k/{n}"))).collect();
    assert!(engine.get(keys).await.unwrap().iter().all(Option::is_some));
    drop(engine);
}

#[tokio::test]
async fn kill_at_any_moment_loses_nothing_and_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = 0;
    let mut acknowledged = 0;
    for round in 0..6u64 {
        let mut child = child_command(dir.path(), first, &[]).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let reading = std::thread::spawn(move || {
            let mut said = Vec::new();
            output.read_to_end(&mut said).unwrap();
            said
        });
        // Moments that have nothing to do with each other.
        tokio::time::sleep(Duration::from_millis(150 + round * round * 37 % 500)).await;
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let output = String::from_utf8(reading.join().unwrap()).unwrap();
        let said = Said::of(&output);
        acknowledged += said.all("P").len();
        check(dir.path(), &said).await;
        first += 1_000_000;
    }
    assert!(
        acknowledged > 500,
        "only {acknowledged} publishes in all rounds: the test says nothing"
    );
}

/// Whether ptrace is allowed here: strace of a trivial process.
fn strace_works() -> bool {
    let tried = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    let works = tried.as_ref().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("SKIPPED: strace is missing or may not trace here: {tried:?}");
    }
    works
}

async fn fails_on(inject: impl Fn(&Path) -> Vec<String>) {
    if !strace_works() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // The store exists, so that its files have their names.
    drop(support::open(dir.path(), Arc::new(SystemClock)));
    let mut under: Vec<String> = ["strace", "-f", "-qq", "-o", "/dev/null"]
        .map(str::to_owned)
        .to_vec();
    under.extend(inject(dir.path()));
    let output = tokio::task::spawn_blocking({
        let mut command = child_command(dir.path(), 0, &under);
        move || command.output().unwrap()
    });
    let output = tokio::time::timeout(Duration::from_secs(60), output)
        .await
        .unwrap()
        .unwrap();
    let said = Said::of(&String::from_utf8(output.stdout).unwrap());
    let poisoned = said.lines.iter().any(|line| line == "X");
    assert!(
        poisoned,
        "{:?}\n{}",
        said.lines,
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(3));
    assert!(
        !said.lines.iter().any(|line| line == "A"),
        "nothing goes through any more"
    );
    assert!(!said.all("P").is_empty(), "something went through before");
    // After the failure the process must recover as after any end: all it acknowledged is there.
    check(dir.path(), &said).await;
}

#[tokio::test]
async fn failed_sync_poisons_and_acknowledges_nothing_any_more() {
    fails_on(|_| {
        vec![
            "-e".into(),
            "trace=fdatasync".into(),
            "-e".into(),
            "inject=fdatasync:error=EIO:when=25".into(),
        ]
    })
    .await;
}

#[tokio::test]
async fn full_disk_poisons_and_acknowledges_nothing_any_more() {
    fails_on(|dir| {
        let journal = dir.join("store").join("0.jnl").display().to_string();
        let inject = "inject=write:error=ENOSPC:when=40+".into();
        vec![
            "-P".into(),
            journal,
            "-e".into(),
            "trace=write".into(),
            "-e".into(),
            inject,
        ]
    })
    .await;
}
