//! Call detail records: each event has one line, whatever is killed when.

use super::*;
use flate2::read::GzDecoder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use smsgw_config::{ByteSize, CdrCompression, CdrSection};
use smsgw_node_counter::cdr::{self, Settings};
use std::fs;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

async fn writing(engine: &Arc<MemoryEngine>, clock: &Arc<SimClock>, settings: &Settings) -> Tree {
    let engine: Arc<dyn Engine> = engine.clone();
    let tree = Supervisor::new("test", Strategy::RestForOne)
        .child(supervise(engine, clock.clone(), Some(settings.clone())))
        .spawn()
        .await;
    assert!(tree.started().await);
    tree
}

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.to_owned(),
        section: CdrSection {
            enabled: true,
            ..CdrSection::default()
        },
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for day in fs::read_dir(dir).into_iter().flatten() {
        for file in fs::read_dir(day.unwrap().path()).unwrap() {
            files.push(file.unwrap().path());
        }
    }
    files.sort();
    files
}

fn text(file: &Path) -> String {
    try_text(file).unwrap()
}

fn try_text(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let mut raw = fs::File::open(file)?;
    if file.extension().unwrap() == "gz" {
        GzDecoder::new(raw).read_to_string(&mut text)?;
    } else {
        raw.read_to_string(&mut text)?;
    }
    Ok(text)
}

/// All files in their order, each once; `None` while one is being compressed, which goes on after a stop.
fn texts(dir: &Path) -> Option<Vec<String>> {
    let files = files(dir);
    let names: std::collections::BTreeSet<String> = files
        .iter()
        .map(|file| file.to_str().unwrap().trim_end_matches(".gz").to_owned())
        .collect();
    let is_busy = |file: &PathBuf| file.extension().unwrap() == "tmp";
    if files.iter().any(is_busy) || names.len() < files.len() {
        return None;
    }
    files.iter().map(|file| try_text(file).ok()).collect()
}

/// References of all lines, in the order of the files.
fn references(dir: &Path) -> Vec<String> {
    let texts = (0..2_000)
        .find_map(|_| {
            texts(dir).or_else(|| {
                std::thread::sleep(Duration::from_millis(10));
                None
            })
        })
        .expect("files that can be read");
    let lines = texts.iter().flat_map(|text| text.split_terminator("\r\n"));
    lines
        .map(|line| line.split(',').nth(8).unwrap().to_owned())
        .collect()
}

async fn cdr_position(engine: &dyn Engine) -> u64 {
    let log = LogName::from(names::EVENTS);
    engine.position(&log, cdr::READER).await.unwrap().0
}

/// Real time: the files are written by threads that virtual time does not wait for.
async fn written(engine: &dyn Engine, position: u64) {
    for _ in 0..2_000 {
        if cdr_position(engine).await >= position {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} of {position}", cdr_position(engine).await);
}

fn numbered(clock: &SimClock, from: u64, many: u64) -> Vec<Event> {
    (from..from + many)
        .map(|n| Event {
            reference: Some(n.to_string()),
            ..event(clock.now(), EventName::MtSent)
        })
        .collect()
}

/// What is done beside the lines (compressing, deleting) is waited for.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in 20 s: {what}");
}

#[tokio::test]
async fn an_engine_that_begins_anew_leaves_the_files_of_the_one_before_alone() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimClock::new());
    let settings = settings(dir.path());
    for round in 0..3 {
        // A new one each time, as after the data directory was lost.
        let engine = MemoryEngine::new(clock.clone());
        append(&*engine, 0, &numbered(&clock, round * 10, 10)).await;
        let tree = writing(&engine, &clock, &settings).await;
        written(&*engine, 10).await;
        assert_eq!(tree.drain().await, Exit::Stopped);
    }
    let expected: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(references(dir.path()), expected);
}

#[tokio::test]
async fn killed_again_and_again_every_event_has_one_line_in_order() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimClock::new());
    let mut engine = MemoryEngine::new(clock.clone());
    let mut settings = settings(dir.path());
    settings.section.rotate_size = ByteSize::kib(64);
    let mut appended = 0;
    let mut partly = 0;
    for round in 0..60 {
        let many = rng.random_range(1..900);
        append(&*engine, round, &numbered(&clock, appended, many)).await;
        appended += many;
        let tree = writing(&engine, &clock, &settings).await;
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..30_000))).await;
        engine = engine.reopen();
        tree.stop().await;
        // A write that was under way when the process was killed: its end is not certain.
        if rng.random_bool(0.5)
            && let Some(last) = files(dir.path())
                .iter()
                .rfind(|file| file.extension().unwrap() == "csv")
        {
            // Unless it is full: then what the kill left of the process may be reading it, to compress it.
            let Ok(lines) = fs::read(last) else { continue };
            if lines.len() < 64 * 1024 {
                let torn = &lines[..lines.len().min(rng.random_range(0..500))];
                let mut file = fs::OpenOptions::new().append(true).open(last).unwrap();
                file.write_all(torn).unwrap();
            }
        }
        partly += u32::from(cdr_position(&*engine).await < appended);
    }
    assert!(partly > 0, "no kill came before its lines were written");
    let tree = writing(&engine, &clock, &settings).await;
    written(&*engine, appended).await;
    let compressed = || {
        let files = files(dir.path());
        files
            .iter()
            .filter(|file| file.extension().unwrap() == "gz")
            .count()
    };
    until("full files are compressed", || compressed() > 5).await;
    assert_eq!(tree.drain().await, Exit::Stopped);
    let expected: Vec<String> = (0..appended).map(|n| n.to_string()).collect();
    let found = references(dir.path());
    assert!(found == expected, "{} lines of {appended}", found.len());
    let files = files(dir.path());
    assert!(files.len() > 10, "{files:?}");
    println!(
        "{appended} lines, {partly} kills in between, {} files",
        files.len()
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_loses_nothing_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    // Root may write anywhere, but not below a file.
    let inside = dir.path().join("cdr");
    fs::write(&inside, b"in the way").unwrap();
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o600)).unwrap();
    append(&*engine, 1, &numbered(&clock, 0, 10)).await;
    let tree = writing(&engine, &clock, &settings(&inside)).await;
    let stuck = || smsgw_telemetry::exposition().contains("\nsmsgw_cdr_stuck 1\n");
    while !stuck() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cdr_position(&*engine).await, 0);
    fs::remove_file(&inside).unwrap();
    written(&*engine, 10).await;
    while stuck() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(tree.drain().await, Exit::Stopped);
    assert_eq!(references(&inside).len(), 10);
}

#[tokio::test]
async fn days_have_directories_old_ones_go_and_full_files_are_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    for day in ["20190101", "20261101", "mine"] {
        fs::create_dir(dir.path().join(day)).unwrap();
        fs::write(dir.path().join(day).join("notes.txt"), b"x").unwrap();
    }
    let mut settings = settings(dir.path());
    settings.section.header = true;
    settings.section.keep_days = 100;
    let at = |days: u64| SimClock::ORIGIN.after(Duration::from_secs(days * 86_400));
    for day in 0..3 {
        append(
            &*engine,
            day,
            &[
                event(at(day), EventName::MtSent),
                event(at(day), EventName::MtSent),
            ],
        )
        .await;
    }
    // Not to be decoded: no line, and no stop.
    let broken = Step::new(StepId::from_bytes([9; 16])).append(names::EVENTS, vec![0xFF, 1, 2].into());
    broken.commit(&*engine).await.unwrap();
    let tree = writing(&engine, &clock, &settings).await;
    written(&*engine, 7).await;
    let compressed = || {
        files(dir.path())
            .iter()
            .filter(|file| file.extension().unwrap() == "gz")
            .count()
    };
    until("two days are compressed", || compressed() == 2).await;
    until("an old day is deleted", || !dir.path().join("20190101").exists()).await;
    assert_eq!(tree.drain().await, Exit::Stopped);
    for (number, day) in (1..).zip((0..3).map(|day| Day::of(at(day)).to_string())) {
        let end = if number < 3 { "csv.gz" } else { "csv" };
        let file = dir.path().join(&day).join(format!("cdr-{day}-{number:08}.{end}"));
        let text = text(&file);
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("time,event,id,client"), "{text}");
    }
    assert!(dir.path().join("20261101").exists());
    assert!(dir.path().join("mine").exists(), "not ours");

    // A file that somebody shortened is left as it is; what comes goes into the next one.
    let last = files(dir.path())
        .into_iter()
        .rfind(|file| file.extension().unwrap() == "csv")
        .unwrap();
    fs::write(&last, b"gone").unwrap();
    let tree = writing(&engine, &clock, &settings).await;
    append(&*engine, 10, &[event(at(2), EventName::MtSent)]).await;
    written(&*engine, 8).await;
    assert_eq!(tree.drain().await, Exit::Stopped);
    assert!(smsgw_telemetry::exposition().contains("smsgw_cdr_lost_total 1"));
    let day = Day::of(at(2));
    assert!(dir.path().join(format!("{day}/cdr-{day}-00000004.csv")).exists());
}

#[tokio::test(start_paused = true)]
async fn records_that_are_switched_off_do_not_hold_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    let mut settings = settings(dir.path());
    settings.section.compress = CdrCompression::None;
    append(&*engine, 1, &numbered(&clock, 0, 5)).await;
    let tree = writing(&engine, &clock, &settings).await;
    written(&*engine, 5).await;
    assert_eq!(tree.drain().await, Exit::Stopped);
    let tree = start(&engine, &clock).await;
    append(&*engine, 2, &numbered(&clock, 5, 5)).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(cdr_position(&*engine).await, 10);
    assert_eq!(tree.drain().await, Exit::Stopped);
    // On again: what passed meanwhile has no line.
    append(&*engine, 3, &numbered(&clock, 10, 5)).await;
    let tree = writing(&engine, &clock, &settings).await;
    written(&*engine, 15).await;
    assert_eq!(tree.drain().await, Exit::Stopped);
    let expected: Vec<String> = (0..5).chain(10..15).map(|n| n.to_string()).collect();
    assert_eq!(references(dir.path()), expected);
}
