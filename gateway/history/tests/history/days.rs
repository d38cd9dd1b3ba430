//! Days: their files and partitions, how they go, and a file that is damaged.

use crate::make::{Database, NOW, SOURCE, accepted, at, id, life, write};
use bytes::Bytes;
use smsgw_history::{Query, Settings, Writer};
use smsgw_message::{Event, EventName};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn days_go_when_they_are_too_old_and_what_comes_late_for_them_is_passed_over() {
    for database in Database::both() {
        let mut writer = Writer::new(Settings {
            days: 2,
            ..database.settings()
        });
        writer.open(SOURCE, NOW).await.unwrap();
        let mut position = 0;
        for day in 0..3 {
            let millis = -day * DAY;
            write(
                &mut writer,
                position,
                &life(id(millis, 1), millis, "491700000001"),
            )
            .await;
            position += 6;
        }
        assert_eq!(writer.retain(NOW).await.unwrap(), []);
        let tomorrow = at(DAY);
        let gone = writer.retain(tomorrow).await.unwrap();
        assert_eq!(
            gone.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["20261119"]
        );
        let history = database.history();
        assert_eq!(history.life(id(-2 * DAY, 1)).await.unwrap(), None);
        assert_eq!(
            history
                .search(Query {
                    limit: 9,
                    ..Query::default()
                })
                .await
                .unwrap()
                .messages
                .len(),
            2
        );
        let late = crate::make::batch(
            position,
            &[
                accepted(id(-2 * DAY, 1), 0, "491700000001"),
                accepted(id(9 * DAY, 1), 0, "491700000001"),
            ],
        );
        assert_eq!(writer.write(late, tomorrow).await.unwrap().events, 0);
        assert_eq!(
            history
                .search(Query {
                    limit: 9,
                    ..Query::default()
                })
                .await
                .unwrap()
                .messages
                .len(),
            2
        );
        if let Database::Sqlite(directory) = &database {
            let mut files: Vec<String> = fs::read_dir(directory.path().join("history"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name.ends_with(".db"))
                .collect();
            files.sort();
            assert_eq!(files, ["20261120.db", "20261121.db"]);
        }
    }
}

#[tokio::test]
async fn the_oldest_days_go_when_all_are_too_large_but_never_today() {
    for database in Database::both() {
        let mut writer = Writer::new(Settings {
            max_octets: Some(1),
            ..database.settings()
        });
        writer.open(SOURCE, NOW).await.unwrap();
        write(&mut writer, 0, &life(id(-DAY, 1), -DAY, "491700000001")).await;
        write(&mut writer, 6, &life(id(0, 1), 0, "491700000001")).await;
        let gone = writer.retain(NOW).await.unwrap();
        assert_eq!(
            gone.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["20261120"]
        );
        assert!(database.history().life(id(0, 1)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_batch_over_midnight_lands_in_both_days() {
    for database in Database::both() {
        let mut writer = database.writer().await;
        let events: Vec<Event> = [-DAY, 0]
            .into_iter()
            .flat_map(|millis| life(id(millis, 1), millis, "491700000001"))
            .chain([Event {
                message: None,
                ..Event::new(at(0), EventName::DrUnknown)
            }])
            .collect();
        write(&mut writer, 0, &events).await;
        let order = "position";
        let all = match database {
            Database::Sqlite(_) => {
                database.rows("20261120", "position", "event", order).len()
                    + database.rows("20261121", "position", "event", order).len()
            }
            Database::Postgres(_) => database.rows("", "position", "event", order).len(),
        };
        assert_eq!(all, 13);
    }
}

#[tokio::test]
async fn what_reached_one_day_and_not_the_next_is_written_again() {
    let database = Database::sqlite();
    let (old, new) = (
        life(id(-DAY, 1), -DAY, "491700000001"),
        life(id(0, 1), 0, "491700000001"),
    );
    let events: Vec<Event> = old.iter().chain(&new).cloned().collect();
    let mut writer = database.writer().await;
    let mut cut = crate::make::batch(0, &old);
    cut.push(11, Bytes::new());
    writer.write(cut, NOW).await.unwrap();
    // Killed between two files, the engine knows of neither.
    let mut writer = Writer::new(database.settings());
    let known = writer.open(SOURCE, NOW).await.unwrap();
    assert_eq!((known.highest, known.whole), (Some(12), None));
    let written = write(&mut writer, 0, &events).await;
    assert_eq!((written.messages, written.events), (1, 6));
    for (day, positions) in [("20261120", 0..6), ("20261121", 6..12)] {
        let positions: Vec<String> = positions.map(|position: u64| position.to_string()).collect();
        assert_eq!(database.rows(day, "position", "event", "position"), positions);
    }
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_begun_anew() {
    let database = Database::sqlite();
    let Database::Sqlite(directory) = &database else {
        unreachable!()
    };
    let mut writer = database.writer().await;
    write(&mut writer, 0, &life(id(0, 1), 0, "491700000001")).await;
    drop(writer);
    let directory = directory.path().join("history");
    let file = directory.join("20261121.db");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
    fs::remove_file(directory.join("20261121.db-wal")).unwrap_or_default();
    fs::remove_file(directory.join("20261121.db-shm")).unwrap_or_default();
    fs::write(&file, vec![b'x'; 8_192]).unwrap();
    let mut writer = database.writer().await;
    write(&mut writer, 6, &life(id(5, 2), 5, "491700000002")).await;
    assert!(database.history().life(id(5, 2)).await.unwrap().is_some());
    let aside = fs::read_dir(&directory)
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains(".db.damaged-")
        })
        .count();
    assert_eq!(aside, 1);
    // It goes with its day.
    let mut writer = Writer::new(Settings {
        days: 0,
        ..database.settings()
    });
    writer.open(SOURCE, NOW).await.unwrap();
    writer.retain(at(DAY)).await.unwrap();
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}
