//! How fast rows go in, and how many octets a message takes. Measurements, not judgements: run by hand with
//! `cargo nextest run -p smsgw-history --run-ignored only --no-capture`.

use crate::make::{Database, NOW, id, life};
use smsgw_history::Batch;
use smsgw_message::{Event, Record};
use std::path::Path;
use std::time::{Duration, Instant};

const MESSAGES: u32 = 40_000;
/// Events of one batch, as the counter node writes them.
const BATCH: usize = 32_768;

fn size(directory: &Path) -> u64 {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

#[tokio::test]
#[ignore = "a measurement"]
async fn rows_a_second_and_octets_a_message() {
    for database in Database::both() {
        let mut writer = database.writer().await;
        let events: Vec<Event> = (0..MESSAGES)
            .flat_map(|n| {
                life(
                    id(i64::from(n / 5), n as u16),
                    i64::from(n / 5),
                    &format!("49170{n:07}"),
                )
            })
            .collect();
        let (mut rows, mut taken) = (0, Duration::ZERO);
        for (n, events) in events.chunks(BATCH).enumerate() {
            let began = Instant::now();
            let mut batch = Batch::new((n * BATCH) as u64, 0);
            for (position, event) in (batch.next()..).zip(events) {
                batch.push(position, event.to_record());
            }
            let written = writer.write(batch, NOW).await.unwrap();
            rows += written.events + written.messages;
            taken += began.elapsed();
        }
        drop(writer);
        let (name, octets) = match &database {
            Database::Sqlite(directory) => ("sqlite", size(&directory.path().join("history"))),
            Database::Postgres(server) => {
                let sql = "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent IN \
                           ('smsgw_message'::regclass, 'smsgw_event'::regclass)";
                ("postgres", server.psql(sql).parse().unwrap())
            }
        };
        let seconds = taken.as_secs_f64();
        println!(
            "{name}: {:.0} rows/s, {:.0} events/s, {} octets a message of six events",
            rows as f64 / seconds,
            events.len() as f64 / seconds,
            octets / u64::from(MESSAGES)
        );
    }
}
