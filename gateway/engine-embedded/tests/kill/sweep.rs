//! One short run, spoiled at every single call it makes to the disk: an error at the first write, at the second, …; the
//! process killed at each of them. And a disk that is really full.
//!
//! The run is a script, the same every time. Which calls are spoiled is chosen by file (journal, lease marks), so what
//! the child says on its output always arrives. A sample runs by default; with `SMSGW_FULL_SWEEP=1` every occurrence:
//! `SMSGW_FULL_SWEEP=1 cargo nextest run -p smsgw-engine-embedded sweep`.
//!
//! Said beside the words of the parent: `O text` the engine did not open, `X text` it is poisoned.

use crate::{DIR, Said, check, number, publish, say, strace_works, support};
use smsgw_engine_embedded::EmbeddedEngine;
use smsgw_queue::{Cost, Engine, QueueName, ReleaseReason, Step, Want};
use smsgw_runtime::SystemClock;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

/// Ends of the child.
const DONE: i32 = 0;
const POISONED: i32 = 3;
const NOT_OPENED: i32 = 4;
/// More occurrences than any call has in the script.
const MOST: u32 = 200;

/// Not a test of its own: the script.
#[test]
fn script() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let code = runtime.block_on(run(Path::new(&dir)));
    std::process::exit(code);
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

async fn run(dir: &Path) -> i32 {
    let engine = match EmbeddedEngine::open(support::config(dir), Arc::new(SystemClock)) {
        Ok(engine) => engine,
        Err(error) => {
            say(&format!("O {}", chain(&error).replace('\n', " ")));
            return NOT_OPENED;
        }
    };
    let commits = if std::env::var("SMSGW_TEST_MANY").is_ok() {
        100_000
    } else {
        12
    };
    for n in 0..commits {
        match publish(n).commit(engine.as_ref()).await {
            Ok(_) => say(&format!("P {n}")),
            Err(_) => return poisoned(&engine).await,
        }
        if n % 2 == 1 && commits < 100 {
            let want = Want::new(1, Duration::ZERO);
            let Ok(deliveries) = engine.checkout(&QueueName::from("q"), want).await else {
                return poisoned(&engine).await;
            };
            for delivery in &deliveries {
                let n = number(delivery.record());
                say(&format!("C {n}"));
                let (step, word) = if n.is_multiple_of(5) && delivery.attempt() == 1 {
                    let release = Step::from(delivery);
                    (
                        release.release(delivery, Duration::ZERO, ReleaseReason::Temporary, Cost::Counted),
                        "R",
                    )
                } else {
                    (Step::from(delivery).settle(delivery), "S")
                };
                match step.commit(engine.as_ref()).await {
                    Ok(_) => say(&format!("{word} {n}")),
                    Err(_) => return poisoned(&engine).await,
                }
            }
        }
    }
    match engine.close().await {
        Ok(()) => DONE,
        Err(error) => {
            say(&format!("X {}", chain(&error).replace('\n', " ")));
            POISONED
        }
    }
}

async fn poisoned(engine: &EmbeddedEngine) -> i32 {
    let cause = tokio::time::timeout(Duration::from_secs(10), engine.poisoned())
        .await
        .unwrap();
    say(&format!("X {}", cause.replace('\n', " ")));
    for n in 1000..1003 {
        if publish(n).commit(engine).await.is_ok() {
            say("A");
        }
    }
    POISONED
}

fn command(dir: &Path, under: &[String]) -> Command {
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
        .args(["sweep::script", "--exact", "--nocapture"])
        .env(DIR, dir);
    command
}

/// The files whose calls are spoiled: the journal, and the lease marks of the second start.
fn spoiled_files(dir: &Path) -> Vec<String> {
    let marks = dir.join(format!("leases-{}.log", (2u64 << 40) + 1));
    let files = [
        // Deleted when the new marks are there.
        dir.join(format!("leases-{}.log", (1u64 << 40) + 1)),
        dir.join("store").join("0.jnl"),
        marks.with_extension("new"),
        marks,
        dir.join("store"),
        dir.to_owned(),
    ];
    files
        .iter()
        .flat_map(|file| ["-P".to_owned(), file.display().to_string()])
        .collect()
}

fn spoil(dir: &Path, calls: &str, how: &str, when: u32) -> Output {
    // The store exists, so that its files have their names.
    drop(support::open(dir, Arc::new(SystemClock)));
    let mut under: Vec<String> = ["strace", "-f", "-qq", "-o", "/dev/null"]
        .map(str::to_owned)
        .to_vec();
    under.extend(spoiled_files(dir));
    under.extend(["-e".to_owned(), format!("trace={calls}")]);
    under.extend(["-e".to_owned(), format!("inject={calls}:{how}:when={when}")]);
    command(dir, &under).output().unwrap()
}

/// The occurrences to spoil: all of them, or fewer the later they come.
fn occurrences() -> Vec<u32> {
    if std::env::var_os("SMSGW_FULL_SWEEP").is_some() {
        (1..=MOST).collect()
    } else {
        vec![1, 2, 4, 9, 15, 22]
    }
}

async fn sweep(calls: &str, how: &str, cause: Option<&str>) {
    if !strace_works() {
        return;
    }
    let (mut spoiled, mut unharmed) = (0, 0);
    for when in occurrences() {
        let dir = tempfile::tempdir().unwrap();
        let output = spoil(dir.path(), calls, how, when);
        let text = String::from_utf8(output.stdout).unwrap();
        let said = Said::of(&text);
        let place = format!(
            "{calls}:{how}:when={when}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            !said.lines.iter().any(|line| line == "A"),
            "went on after a failure: {place}"
        );
        let told = said
            .lines
            .iter()
            .find(|line| line.starts_with("X ") || line.starts_with("O "));
        match output.status.code() {
            Some(DONE) => unharmed += 1,
            Some(POISONED | NOT_OPENED) => {
                spoiled += 1;
                let told = told.expect(&place);
                let cause = cause.expect(&place);
                assert!(told.contains(cause), "the cause is named: {place}");
                assert!(
                    told.contains(&dir.path().display().to_string()),
                    "the directory is named: {place}"
                );
            }
            // Killed.
            None | Some(137) if cause.is_none() => spoiled += 1,
            other => panic!("ended with {other:?}: {place}"),
        }
        check(dir.path(), &said).await;
        // Twice nothing to spoil: the call does not occur so often.
        if unharmed == 2 {
            break;
        }
    }
    eprintln!("{calls} {how}: {spoiled} runs spoiled");
    assert!(
        spoiled > 0,
        "{calls} {how} spoiled nothing: the test says nothing"
    );
}

#[tokio::test]
async fn an_error_of_any_write_loses_nothing_acknowledged() {
    sweep("write", "error=EIO", Some("os error 5")).await;
    sweep("write", "error=ENOSPC", Some("os error 28")).await;
}

#[tokio::test]
async fn an_error_of_any_sync_loses_nothing_acknowledged() {
    sweep("fdatasync", "error=EIO", Some("os error 5")).await;
    sweep("fdatasync", "error=ENOSPC", Some("os error 28")).await;
    sweep("fsync", "error=EIO", Some("os error 5")).await;
}

#[tokio::test]
async fn a_kill_at_any_call_of_a_commit_loses_nothing_acknowledged() {
    for calls in ["write", "fdatasync", "fsync", "/^rename", "/^unlink"] {
        sweep(calls, "signal=KILL", None).await;
    }
}

#[tokio::test]
async fn a_disk_that_is_full_poisons_and_loses_nothing_acknowledged() {
    let may_mount = Command::new("unshare").args(["-rm", "true"]).output();
    if !may_mount.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no disk of its own can be mounted here: {may_mount:?}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    // A disk of 3 MB; what is on it at the end is copied out, because it vanishes with the process.
    let script = format!(
        "mount -t tmpfs -o size=3m none {dir} && \"$0\" \"$@\"; code=$?; cp -r --sparse=always {dir}/. {copy}; exit $code",
        dir = dir.path().display(),
        copy = copy.path().display()
    );
    let under = ["unshare", "-rm", "sh", "-c", &script].map(str::to_owned);
    let output = command(dir.path(), &under)
        .env("SMSGW_TEST_MANY", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = Said::of(&text);
    assert_eq!(
        output.status.code(),
        Some(POISONED),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = said.lines.iter().find(|line| line.starts_with("X ")).unwrap();
    assert!(told.contains("os error 28"), "{told}");
    assert!(said.all("P").len() > 100, "something went through before");
    check(copy.path(), &said).await;
}
