//! History follows the log: nothing missing and nothing doubled, whatever is stopped when.

use crate::append;
use bytes::Bytes;
use smsgw_history::{Batch, History, Query, Settings, SourceId, Writer};
use smsgw_message::{
    Address, ClientId, Clock, Event, EventName, MessageId, MessageState, OperatorId, Record, Timestamp, names,
};
use smsgw_node_counter::history::{READER, supervise};
use smsgw_queue::{Engine, LogName, MemoryEngine, Position};
use smsgw_runtime::{Strategy, Supervisor, SystemClock, Tree};
use smsgw_testkit::Postgres;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

async fn start(engine: &Arc<MemoryEngine>, settings: Option<Settings>) -> Tree {
    let engine: Arc<dyn Engine> = engine.clone();
    let tree = Supervisor::new("test", Strategy::RestForOne)
        .child(supervise(engine, Arc::new(SystemClock), settings))
        .spawn()
        .await;
    assert!(tree.started().await);
    tree
}

fn engine() -> Arc<MemoryEngine> {
    MemoryEngine::new(Arc::new(SystemClock))
}

/// The life of the n-th message: four events.
fn life(n: u16) -> Vec<Event> {
    let at = SystemClock.now();
    let [high, low] = n.to_be_bytes();
    let id = MessageId::from_parts(at, [high & 0xF, low, high, low, 7, 7, 7, 7, 7, 7]);
    let event = |name| Event {
        message: Some(id),
        client: Some(ClientId::try_new("acme").unwrap()),
        operator: Some(OperatorId::try_new("alpha").unwrap()),
        ..Event::new(at, name)
    };
    vec![
        Event {
            to: Some(Address::msisdn(&format!("4917000{n:05}")).unwrap()),
            reference: Some(format!("order-{n}")),
            ..event(EventName::MtAccepted)
        },
        event(EventName::MtRouted),
        Event {
            part: Some(1),
            carrier_id: Some(format!("C{n}")),
            ..event(EventName::MtSent)
        },
        Event {
            state: Some(MessageState::Delivered),
            ..event(EventName::MtFinal)
        },
    ]
}

async fn position(engine: &MemoryEngine) -> Position {
    engine
        .position(&LogName::from(names::EVENTS), READER)
        .await
        .unwrap()
}

/// Waits until the reader is at the end of the log.
async fn caught_up(engine: &MemoryEngine) {
    for _ in 0..1_200 {
        if position(engine).await == engine.log_end(&LogName::from(names::EVENTS)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("history does not catch up: {:?}", position(engine).await);
}

fn days(settings: &Settings) -> Vec<std::path::PathBuf> {
    let smsgw_history::Place::Sqlite(directory) = &settings.place else {
        unreachable!()
    };
    let files = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "db"))
        .collect()
}

/// The positions of all events, as another program reads them.
fn positions(settings: &Settings) -> Vec<u64> {
    let mut all = Vec::new();
    for file in days(settings) {
        let output = Command::new("sqlite3")
            .arg(file)
            .arg("SELECT position FROM event")
            .output()
            .unwrap();
        assert!(output.status.success());
        all.extend(
            String::from_utf8(output.stdout)
                .unwrap()
                .lines()
                .map(|line| line.parse::<u64>().unwrap()),
        );
    }
    all.sort_unstable();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_events_whenever_the_writer_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::sqlite(directory.path().join("history"));
    let engine = engine();
    let (mut id, mut events) = (0, 0);
    for round in 0..12_u64 {
        let tree = start(&engine, Some(settings.clone())).await;
        for _ in 0..40 {
            append(&*engine, id, &life(u16::try_from(id).unwrap())).await;
            (id, events) = (id + 1, events + 4);
        }
        // Somewhere before, in or after a transaction; the last round is left alone.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..25) * (round % 3))).await;
        if round == 11 {
            caught_up(&engine).await;
        }
        tree.stop().await;
    }
    assert_eq!(positions(&settings), (0..events).collect::<Vec<u64>>());
    let history = History::new(&settings);
    let delivered = Query {
        state: Some("delivered".to_owned()),
        limit: 500,
        ..Query::default()
    };
    assert_eq!(history.search(delivered).await.unwrap().messages.len(), 480);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_holds_up_nothing_and_gets_everything_later() {
    let mut server = Postgres::start();
    let settings = Settings::postgres(server.url());
    let engine = engine();
    let tree = start(&engine, Some(settings)).await;
    let mut id = 0;
    for _ in 0..4 {
        for _ in 0..100 {
            append(&*engine, id, &life(u16::try_from(id).unwrap())).await;
            id += 1;
        }
        // As often in a transaction as not.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..40))).await;
        server.stop();
        let before = position(&engine).await;
        // Traffic goes on; the log keeps what the database has not got.
        for _ in 0..100 {
            append(&*engine, id, &life(u16::try_from(id).unwrap())).await;
            id += 1;
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(
            position(&engine).await.0 <= before.0 + 400,
            "what nobody has is not passed over"
        );
        server.resume();
    }
    caught_up(&engine).await;
    tree.stop().await;
    let all = id * 4;
    let sql = "SELECT count(*), count(DISTINCT position), min(position), max(position) FROM smsgw_event";
    assert_eq!(server.psql(sql), format!("{all}|{all}|0|{}", all - 1));
    let sql = "SELECT count(*), count(DISTINCT reference) FROM smsgw_message WHERE state = 'delivered'";
    assert_eq!(server.psql(sql), format!("{id}|{id}"));
    assert_eq!(server.psql("SELECT position FROM smsgw_source"), all.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_reached_one_day_only_is_whole_after_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::sqlite(directory.path().join("history"));
    let engine = engine();
    start(&engine, Some(settings.clone())).await.stop().await;
    let yesterday = SystemClock.now().as_millis() - 86_400_000;
    let of_yesterday = MessageId::from_parts(Timestamp::from_millis(yesterday), [7; 10]);
    let late = Event {
        message: Some(of_yesterday),
        ..Event::new(SystemClock.now(), EventName::MtFinal)
    };
    append(&*engine, 0, std::slice::from_ref(&late)).await;
    append(&*engine, 1, &life(1)).await;
    // Killed after the file of yesterday: it has what the log has of its day.
    let source = engine.get(vec!["history/source".into()]).await.unwrap();
    let source = source[0].as_ref().unwrap().value.as_ref().try_into().unwrap();
    let mut writer = Writer::new(settings.clone());
    writer
        .open(SourceId::from_bytes(source), SystemClock.now())
        .await
        .unwrap();
    let mut batch = Batch::new(0, 0);
    batch.push(0, late.to_record());
    batch.push(4, Bytes::new());
    writer.write(batch, SystemClock.now()).await.unwrap();
    drop(writer);
    let tree = start(&engine, Some(settings.clone())).await;
    caught_up(&engine).await;
    tree.stop().await;
    assert_eq!(positions(&settings), [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_begins_anew_is_not_taken_for_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::sqlite(directory.path().join("history"));
    for n in 0..2 {
        // Each time another engine: the second one's log is shorter than what the database knows of the first.
        let engine = engine();
        let tree = start(&engine, Some(settings.clone())).await;
        for id in 0..(10 - 5 * n) {
            append(&*engine, id, &life(u16::try_from(n * 100 + id).unwrap())).await;
        }
        caught_up(&engine).await;
        tree.stop().await;
    }
    assert_eq!(positions(&settings).len(), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_decoded_is_passed_over_and_off_lets_the_log_go() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::sqlite(directory.path().join("history"));
    let engine = engine();
    let tree = start(&engine, Some(settings.clone())).await;
    append(&*engine, 0, &life(0)).await;
    let step = smsgw_queue::Step::new(smsgw_queue::StepId::from_bytes([200; 16]));
    step.append(names::EVENTS, bytes::Bytes::from_static(b"no event"))
        .commit(&*engine)
        .await
        .unwrap();
    append(&*engine, 1, &life(1)).await;
    caught_up(&engine).await;
    tree.stop().await;
    assert_eq!(positions(&settings), [0, 1, 2, 3, 5, 6, 7, 8]);
    append(&*engine, 2, &life(2)).await;
    let tree = start(&engine, None).await;
    caught_up(&engine).await;
    tree.stop().await;
    assert_eq!(positions(&settings).len(), 8);
}

/// Appends lives from the `from`-th on, many of them in a step; returns their number of events.
async fn append_many(engine: &MemoryEngine, from: u16, lives: u16) -> u64 {
    let all: Vec<Event> = (from..from + lives).flat_map(life).collect();
    for (n, events) in (0..).zip(all.chunks(512)) {
        append(engine, (u64::from(from) << 32) + n, events).await;
    }
    u64::try_from(all.len()).unwrap()
}

/// Where the reader is once it is no longer there; time goes on only while nothing else is to do.
async fn moved(engine: &MemoryEngine, from: Position) -> Position {
    loop {
        let position = position(engine).await;
        if position != from {
            return position;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// From the beginning of a transaction to that of the next.
const PACE: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_comes_after_silence_is_written_at_once_and_what_follows_a_second_later_together() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::sqlite(directory.path().join("history"));
    let engine = engine();
    let tree = start(&engine, Some(settings.clone())).await;
    for round in 0..3_u16 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let (began, before) = (tokio::time::Instant::now(), position(&engine).await);
        append_many(&engine, 100 * round, 1).await;
        let first = moved(&engine, before).await;
        assert_eq!(first.0, before.0 + 4);
        assert!(began.elapsed() < PACE / 10, "{:?}", began.elapsed());
        for n in 1..5 {
            tokio::time::sleep(PACE / 10).await;
            append_many(&engine, 100 * round + n, 1).await;
        }
        assert_eq!(moved(&engine, first).await.0, first.0 + 16, "one transaction");
        let waited = began.elapsed();
        assert!(waited > PACE * 9 / 10 && waited < PACE * 11 / 10, "{waited:?}");
    }
    tree.stop().await;
    assert_eq!(positions(&settings).len(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_full_transaction_does_not_wait_and_is_no_larger() {
    const FULL: u64 = 65_536;
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::sqlite(directory.path().join("history"));
    let engine = engine();
    let tree = start(&engine, Some(settings.clone())).await;
    append_many(&engine, 0, 1).await;
    let first = moved(&engine, Position(0)).await;
    // While the next transaction gathers: two and a bit.
    let events = append_many(&engine, 1, 33_000).await;
    tokio::time::advance(PACE).await;
    let began = tokio::time::Instant::now();
    // Never idle, so no time goes by: what waits for it does not come.
    let mut seen = vec![first.0];
    for _ in 0..100_000_000 {
        let position = position(&engine).await.0;
        if seen.last() != Some(&position) {
            seen.push(position);
        }
        if seen.len() == 3 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, [4, 4 + FULL, 4 + 2 * FULL]);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(moved(&engine, Position(4 + 2 * FULL)).await.0, 4 + events);
    let waited = began.elapsed();
    assert!(waited > PACE * 9 / 10 && waited < PACE * 11 / 10, "{waited:?}");
    tree.stop().await;
    assert_eq!(positions(&settings), (0..4 + events).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_transaction_that_gathers_and_the_next_start_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::sqlite(directory.path().join("history"));
    let engine = engine();
    let tree = start(&engine, Some(settings.clone())).await;
    append_many(&engine, 0, 1).await;
    let first = moved(&engine, Position(0)).await;
    append_many(&engine, 1, 1).await;
    let began = tokio::time::Instant::now();
    tree.stop().await;
    assert!(began.elapsed() < PACE / 10, "{:?}", began.elapsed());
    assert_eq!(position(&engine).await, first);
    let tree = start(&engine, Some(settings.clone())).await;
    assert_eq!(moved(&engine, first).await.0, 8);
    assert!(began.elapsed() < PACE / 10, "{:?}", began.elapsed());
    tree.stop().await;
    assert_eq!(positions(&settings), (0..8).collect::<Vec<u64>>());
}

/// Events a second from the log into the database, everything included. A measurement, not a judgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn how_fast_a_backlog_goes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Postgres::start();
    for settings in [
        Settings::sqlite(directory.path().join("history")),
        Settings::postgres(server.url()),
    ] {
        let engine = engine();
        // The log is kept for a reader that it knows.
        start(&engine, Some(settings.clone())).await.stop().await;
        for id in 0..40_000_u64 {
            append(&*engine, id, &life(u16::try_from(id % 60_000).unwrap())).await;
        }
        let began = std::time::Instant::now();
        let tree = start(&engine, Some(settings.clone())).await;
        caught_up(&engine).await;
        let seconds = began.elapsed().as_secs_f64();
        tree.stop().await;
        println!(
            "{:?}: {:.0} events/s, {:.0} rows/s",
            settings.place,
            160_000.0 / seconds,
            200_000.0 / seconds
        );
    }
}
