//! Every code of `ops/docs/exit-codes.md` from a real end of the binary, and what it says to the person who must act.
//! 75 and the wrong files of 2 are in `startup`, 69 is in `status`, the orderly 0 in `stop`.

use crate::harness::{Carrier, Gateway, Process, Receiver, Settings, World, eventually, usual};
use rustix::process::Signal;
use serde_json::Value;
use smsgw_engine_embedded::{EmbeddedConfig, EmbeddedEngine};
use smsgw_queue::{Engine, Expected, Expiry, Step, StepId};
use smsgw_runtime::{Clock, SystemClock};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;

/// Log lines at error, as one text.
fn errors(process: &Process) -> String {
    process.out.read(|lines| {
        let errors = lines
            .iter()
            .filter(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line["level"] == "ERROR"));
        errors.cloned().collect::<Vec<_>>().join("\n")
    })
}

/// Starts on settings and waits for the end: its code and what it logged as errors.
async fn end_of(settings: &Settings, dir: &Path) -> (Option<i32>, String) {
    settings.write(dir);
    let mut process = Gateway::spawn(dir);
    let status = process.ended().await;
    (status.code(), errors(&process))
}

fn idle() -> Settings {
    usual(9, "http://127.0.0.1:9/events")
}

#[tokio::test]
async fn a_wrong_command_line_is_2() {
    for words in [&["run"][..], &["fly"], &["run", "--config"], &["check"], &[]] {
        let mut process = Gateway::tool(words);
        assert_eq!(process.ended().await.code(), Some(2), "{words:?}");
        let said = process.err.read(|lines| lines.join("\n"));
        assert!(
            said.contains("Usage: smsgw") || said.contains("try '--help'"),
            "{words:?}: {said}"
        );
    }
}

#[tokio::test]
async fn a_port_in_use_is_70_at_once_and_named() {
    for (section, key) in [("http", "[http] listen"), ("admin", "[admin] listen")] {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let (code, said) = end_of(
            &idle().line(section, &format!("listen = \"{address}\"")),
            dir.path(),
        )
        .await;
        assert_eq!(code, Some(70), "{said}");
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "not tried for ever: {:?}",
            begun.elapsed()
        );
        assert!(
            said.contains(&format!("failed to listen on {address} ({key})")),
            "{said}"
        );
        assert!(said.contains("Address already in use"), "{said}");
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_73_and_named() {
    // A file where a directory should be, and a file system where nobody may write, root included.
    for (data_dir, why) in [
        ("gateway.toml/data", "Not a directory"),
        ("/proc/smsgw-e2e", "No such file or directory"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let settings = idle().line("node", &format!("data_dir = \"{data_dir}\""));
        let (code, said) = end_of(&settings, dir.path()).await;
        assert_eq!(code, Some(73), "{said}");
        assert!(
            said.contains("the engine cannot be opened") && said.contains(data_dir),
            "{said}"
        );
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn a_damaged_data_directory_is_73_and_left_as_it_is() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| settings).await;
    let id = world.gateway.api.text("491700000001", "before the damage").await;
    world.receiver.report(&id).await;
    world.gateway.stop().await;
    let store = world.dir.path().join("data/store");
    let journals: Vec<_> = std::fs::read_dir(&store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    let journal = journals
        .iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    // In its middle, so that it cannot be taken for a write that was cut off.
    let mut octets = std::fs::read(journal).unwrap();
    let used = octets.iter().rposition(|octet| *octet != 0).unwrap();
    assert!(used > 1_000, "{used} octets are not enough to damage");
    octets[used / 3] ^= 0xFF;
    std::fs::write(journal, &octets).unwrap();

    let mut process = Gateway::spawn(world.dir.path());
    assert_eq!(process.ended().await.code(), Some(73));
    let said = errors(&process);
    let data = world.dir.path().join("data");
    assert!(
        said.contains("the engine cannot be opened") && said.contains(data.to_str().unwrap()),
        "{said}"
    );
    assert!(
        said.contains("damaged") || said.contains("ChecksumMismatch"),
        "it says what: {said}"
    );
    assert_eq!(std::fs::read(journal).unwrap(), octets, "evidence is not touched");
}

#[tokio::test]
async fn a_data_directory_of_a_newer_version_is_73_and_opened_again_by_the_version_that_knows_it() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| settings).await;
    let id = world
        .gateway
        .api
        .text("491700000001", "before the downgrade")
        .await;
    world.receiver.report(&id).await;
    world.gateway.stop().await;
    let data = world.dir.path().join("data");
    // What a later version would have written, and the number of this one again.
    let replace = |version: Option<Vec<u8>>| {
        let db = fjall::Database::builder(data.join("store")).open().unwrap();
        let meta = db
            .keyspace("meta", fjall::KeyspaceCreateOptions::default)
            .unwrap();
        let before = meta
            .get("format")
            .unwrap()
            .expect("the format stands there")
            .to_vec();
        meta.insert(
            "format",
            version.unwrap_or_else(|| u32::MAX.to_be_bytes().to_vec()),
        )
        .unwrap();
        db.persist(fjall::PersistMode::SyncAll).unwrap();
        before
    };
    let ours = replace(None);
    let mut process = Gateway::spawn(world.dir.path());
    assert_eq!(process.ended().await.code(), Some(73));
    let said = errors(&process);
    assert!(
        said.contains("the engine cannot be opened") && said.contains(data.to_str().unwrap()),
        "{said}"
    );
    assert!(
        said.contains(&u32::MAX.to_string()),
        "it says which version: {said}"
    );
    replace(Some(ours));
    world.restart().await;
    let message = world.gateway.api.message(&id).await;
    assert_eq!(message["state"], "delivered", "nothing was touched");
    world.gateway.stop().await;
}

/// Whether ptrace is allowed here.
fn strace_works() -> bool {
    let tried = std::process::Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    let works = tried.as_ref().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("SKIPPED: strace is missing or may not trace here: {tried:?}");
    }
    works
}

#[tokio::test]
async fn a_failed_sync_is_74_and_what_was_acknowledged_is_there_after_the_restart() {
    if !strace_works() {
        return;
    }
    let receiver = Receiver::start().await;
    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &receiver.url()).write(dir.path());
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"])
        .arg("inject=fdatasync:error=EIO:when=60")
        .arg(Gateway::binary())
        .args(["run", "--config"])
        .arg(dir.path().join("gateway.toml"));
    let mut gateway = Gateway::started(Process::spawn("gateway under strace", command)).await;
    let mut accepted = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Ok(answer) = gateway
        .api
        .post(r#"{"to":"491700000001","text":"acknowledged"}"#)
        .await
    {
        if answer.status == 202 {
            accepted.push(answer.json()["id"].as_str().unwrap().to_owned());
        }
        assert!(
            Instant::now() < deadline,
            "{} accepted and no sync failed",
            accepted.len()
        );
    }
    assert_eq!(gateway.process.ended().await.code(), Some(74));
    let said = errors(&gateway.process);
    assert!(
        said.contains("the engine is poisoned; ending, the next start recovers"),
        "{said}"
    );
    assert!(
        said.contains("Input/output error"),
        "the disk's own words: {said}"
    );
    assert!(!accepted.is_empty());

    let mut gateway = Gateway::start(dir.path()).await;
    for id in &accepted {
        assert_eq!(receiver.report(id).await.body["message"]["state"], "delivered");
    }
    gateway.stop().await;
}

/// No message waits for a total: what reads them is tried for ever, seen, and counts everything once it can.
#[tokio::test]
async fn totals_that_cannot_be_read_are_seen_and_cost_no_message_and_are_right_again_in_the_end() {
    let receiver = Receiver::start().await;
    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &receiver.url()).write(dir.path());
    // A value that is no total where those of today and tomorrow belong.
    let data = dir.path().join("data");
    edit(&data, |key| {
        Step::new(StepId::from_bytes(rand::random())).put(key, b"broken".to_vec().into(), Expiry::Owner)
    })
    .await;

    let mut gateway = Gateway::start(dir.path()).await;
    let address = gateway.admin_address();
    let mut sent = 0;
    let reader = loop {
        let id = gateway.api.text("491700000001", "counted by nobody yet").await;
        assert_eq!(receiver.report(&id).await.body["message"]["state"], "delivered");
        sent += 1;
        let status = json_of(&["status", "--json", "--admin", &address]).await;
        let counter = part(&status["tree"], "counter");
        assert_eq!(counter["restarts"], 0, "the node is not given up: {counter:#}");
        let reader = part(counter, "reader");
        // More often than a node takes that gives up.
        if reader["restarts"].as_u64() >= Some(6) && reader["state"] == "backing off" {
            assert!(
                reader["last_error"]
                    .as_str()
                    .unwrap()
                    .contains("cannot be decoded"),
                "{reader:#}"
            );
            let alarms = status["alarms"].as_array().unwrap();
            let is_told = |alarm: &Value| {
                alarm["kind"] == "part" && alarm["subject"].as_str().unwrap().ends_with("counter/reader")
            };
            assert!(alarms.iter().any(is_told), "{alarms:#?}");
            break reader.clone();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let mut status = Gateway::tool(&["status", "--tree", "--admin", &address]);
    status.ended().await;
    let drawn = status.out.read(|lines| lines.join("\n"));
    assert!(drawn.contains("starts again at "), "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
    assert!(sent > 20, "messages went on all the time: {sent}, {reader:#}");
    gateway.stop().await;

    edit(&data, |key| {
        Step::new(StepId::from_bytes(rand::random())).delete(key, Expected::Any)
    })
    .await;
    let gateway = Gateway::start(dir.path()).await;
    let address = gateway.admin_address();
    eventually("everything is counted, once", || async {
        let counted = json_of(&["counters", "--admin", &address, "--by", "client", "--json"]).await;
        let counts = &counted["lines"][0]["counts"];
        (counts["mt_accepted"] == sent && counts["delivered"] == sent).then_some(())
    })
    .await;
}

/// A step for each of the keys under which the totals of clients of today and tomorrow stand, while no gateway runs.
async fn edit(data: &Path, step: impl Fn(String) -> Step) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = EmbeddedEngine::open(EmbeddedConfig::new(data), Arc::clone(&clock)).unwrap();
    for ahead in [0, 24 * 3600] {
        let day = clock.now().after(Duration::from_secs(ahead)).to_string();
        let day: String = day.chars().take(10).filter(char::is_ascii_digit).collect();
        step(format!("count/{day}/client"))
            .commit(&*engine)
            .await
            .unwrap();
    }
    engine.close().await.unwrap();
}

async fn json_of(words: &[&str]) -> Value {
    let mut process = Gateway::tool(words);
    process.ended().await;
    let said = process.out.read(|lines| lines.join("\n"));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn part<'a>(tree: &'a Value, name: &str) -> &'a Value {
    let children = tree["children"].as_array().unwrap();
    let found = children.iter().find(|part| part["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {tree:#}"))
}

#[tokio::test]
async fn a_second_sigterm_ends_a_drain_at_once_with_0_and_loses_nothing() {
    let mut world = World::start(&["--receipt-delay", "5", "--answer-delay", "60000"], |settings| {
        settings.line("node", "drain_timeout = \"60s\"")
    })
    .await;
    let id = world.gateway.api.text("491700000001", "in doubt").await;
    world.carrier.submits_at_least(1).await;
    world.gateway.process.signal(Signal::TERM);
    world
        .gateway
        .process
        .out
        .wait("it drains", |lines| {
            lines
                .iter()
                .any(|line| line.contains("SIGTERM: draining"))
                .then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.gateway.process.has_ended(), None, "it waits for the answer");
    let begun = Instant::now();
    assert_eq!(world.gateway.terminate().await.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let said = world.gateway.process.out.read(|lines| lines.join("\n"));
    assert!(said.contains("second signal: stopping at once"), "{said}");

    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let (receiver, dir) = (&world.receiver, &world.dir);
    usual(carrier.port, &receiver.url()).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    assert_eq!(receiver.report(&id).await.body["message"]["state"], "delivered");
    let doubts = gateway.metrics().await.sum("smsgw_operator_in_doubt_total", &[]);
    assert!(doubts > 0.5, "counted as in doubt");
    gateway.stop().await;
}
