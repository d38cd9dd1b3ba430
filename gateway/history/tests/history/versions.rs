//! Files of versions that were are read and written on.

use crate::make::{Database, id, life, write};
use smsgw_history::{Clue, History, HistoryErrorKind, Query, Writer};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn sqlite3(file: &Path, sql: &str) {
    let mut child = Command::new("sqlite3")
        .arg("-bail")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// A directory with one day as version 1 wrote it: a message that was accepted, routed and sent.
fn version_1() -> Database {
    let database = Database::sqlite();
    let Database::Sqlite(directory) = &database else {
        unreachable!()
    };
    let directory = directory.path().join("history");
    fs::create_dir(&directory).unwrap();
    let hex: String = id(0, 1)
        .as_bytes()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let sql = include_str!("version_1.sql").replace("{id}", &hex);
    sqlite3(&directory.join("20261121.db"), &sql);
    database
}

#[tokio::test]
async fn a_file_of_version_1_is_brought_up_to_date_and_a_life_goes_on_in_it() {
    let database = version_1();
    let message = id(0, 1);
    assert_eq!(
        database.history().life(message).await.unwrap(),
        None,
        "not before its writer has seen it"
    );
    let mut writer = database.writer().await;
    let before = database.history().life(message).await.unwrap().unwrap();
    assert_eq!(before.events.len(), 3);
    assert_eq!(before.events[2].carrier_id.as_deref(), Some("C0"));
    write(&mut writer, 3, &life(message, 0, "491700000001")[3..]).await;
    write(&mut writer, 6, &life(id(5, 2), 5, "491700000002")).await;
    let after = database.history().life(message).await.unwrap().unwrap();
    assert_eq!(after.message.state.as_deref(), Some("delivered"));
    assert_eq!(after.message.reference, before.message.reference);
    assert_eq!(after.message.text.as_deref(), Some("Your parcel arrives"));
    let words: Vec<&str> = after.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        words,
        [
            "mt_accepted",
            "mt_routed",
            "mt_sent",
            "mt_final",
            "delivered_to_client"
        ]
    );
    let positions: Vec<String> = (0..12).map(|position| position.to_string()).collect();
    assert_eq!(
        database.rows("20261121", "position", "event", "position"),
        positions
    );
    let history = database.history();
    for (carrier_id, found) in [("C0", message), ("C5", id(5, 2))] {
        let rows = history
            .find(Clue::CarrierId(carrier_id.to_owned()), 5)
            .await
            .unwrap();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [found]);
    }
    let parcel = Query {
        text: Some("parcel".to_owned()),
        limit: 5,
        ..Query::default()
    };
    assert_eq!(history.search(parcel).await.unwrap().messages.len(), 1);
}

#[tokio::test]
async fn a_file_of_a_later_version_is_left_alone() {
    let database = Database::sqlite();
    let mut writer = database.writer().await;
    write(&mut writer, 0, &life(id(0, 1), 0, "491700000001")).await;
    drop(writer);
    let Database::Sqlite(directory) = &database else {
        unreachable!()
    };
    let file = directory.path().join("history/20261121.db");
    sqlite3(&file, "PRAGMA user_version = 99");
    let settings = database.settings();
    let error = Writer::new(settings.clone())
        .open(crate::make::SOURCE, crate::make::NOW)
        .await
        .unwrap_err();
    assert!(matches!(error.kind, HistoryErrorKind::Newer(99, 2)), "{error:?}");
    let error = History::new(&settings).life(id(0, 1)).await.unwrap_err();
    assert!(matches!(error.kind, HistoryErrorKind::Newer(99, 2)), "{error:?}");
}
