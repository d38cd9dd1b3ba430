//! History in SQLite: a directory with one file for each day.
//!
//! ```text
//! <directory>/20261121.db   schema `PRAGMA user_version`; tables source, message, life, text, words; view event
//!             20261121.db.damaged-<ms>   a file that was no database any more, kept for people until its day goes
//! ```
//! Each file is whole in itself: its table `source` says up to which position of the log it has everything that belongs
//! to its day, written in the same transaction as the rows. So a batch that reached one file and not the next one is
//! written again, and the first file passes over it. Files are removed whole; nothing is ever deleted in one.
//!
//! What each index of `message` is for: its key for one message and for pages in the order of time; client, sender, recipient
//! and reference for searches by them. Each costs some 3,000 instructions a message, so there is none besides.

mod bind;
pub(crate) mod desk;
mod life;
mod put;
pub(crate) mod read;
pub(crate) mod write;

use crate::day::Day;
use crate::error::{HistoryError, HistoryErrorKind};
use rusqlite::{Connection, OpenFlags};
use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ENDING: &str = "db";
const DAMAGED: &str = "damaged";
/// How long one connection waits for another one's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// The steps from an empty file to the schema of this program; a file's `user_version` is how many it has had.
/// Released ones are never changed. The second one copies nothing, so that thirty large days are there at once: events that are
/// rows stay so in `plain_event`, which is empty in the files of new days, and the view shows both.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE source (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        position INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE message (
        id BLOB NOT NULL PRIMARY KEY,
        direction TEXT, client TEXT, sender TEXT, recipient TEXT, reference TEXT, class TEXT,
        tags TEXT, encoding TEXT, parts INTEGER, operator TEXT, route INTEGER,
        state TEXT, error TEXT,
        accepted_at INTEGER, sent_at INTEGER, final_at INTEGER, told_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX message_client ON message (client);
    CREATE INDEX message_recipient ON message (recipient);
    CREATE INDEX message_sender ON message (sender);
    CREATE INDEX message_reference ON message (reference) WHERE reference IS NOT NULL;
    CREATE TABLE event (
        message BLOB NOT NULL, source INTEGER NOT NULL, position INTEGER NOT NULL,
        at INTEGER NOT NULL, name TEXT NOT NULL, part INTEGER, operator TEXT, link TEXT,
        carrier_id TEXT, route INTEGER, state TEXT, error TEXT,
        PRIMARY KEY (message, source, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX event_carrier_id ON event (carrier_id) WHERE name = 'mt_sent';
    CREATE TABLE text (
        number INTEGER PRIMARY KEY,
        message BLOB NOT NULL UNIQUE,
        body TEXT NOT NULL
    ) STRICT;
    CREATE VIRTUAL TABLE words USING fts5 (body, content = 'text', content_rowid = 'number');
    CREATE TRIGGER text_words AFTER INSERT ON text BEGIN
        INSERT INTO words (rowid, body) VALUES (new.number, new.body);
    END;
", "
    ALTER TABLE event RENAME TO plain_event;
    CREATE TABLE life (
        number INTEGER PRIMARY KEY,
        message BLOB NOT NULL, source INTEGER NOT NULL, position INTEGER NOT NULL,
        at INTEGER NOT NULL, carrier_id TEXT, events TEXT NOT NULL
    ) STRICT;
    CREATE INDEX life_message ON life (message);
    CREATE INDEX life_carrier_id ON life (carrier_id) WHERE carrier_id IS NOT NULL;
    CREATE VIEW event AS
    SELECT l.message AS message, l.source AS source, l.position + json_extract(e.value, '$[0]') AS position,
        l.at + json_extract(e.value, '$[1]') AS at, json_extract(e.value, '$[2]') AS name,
        json_extract(e.value, '$[3]') AS part, json_extract(e.value, '$[4]') AS operator,
        json_extract(e.value, '$[5]') AS link, json_extract(e.value, '$[6]') AS carrier_id,
        json_extract(e.value, '$[7]') AS route, json_extract(e.value, '$[8]') AS state,
        json_extract(e.value, '$[9]') AS error
    FROM life l, json_each(l.events) e
    UNION ALL
    SELECT message, source, position, at, name, part, operator, link, carrier_id, route, state, error FROM plain_event;
"];

fn version() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("a few migrations")
}

fn file(directory: &Path, day: Day) -> PathBuf {
    directory.join(format!("{day}.{ENDING}"))
}

/// The days that have a file, in no order.
fn days(directory: &Path) -> io::Result<Vec<Day>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut days = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let day = name.to_str().and_then(|name| name.strip_suffix(".db"));
        days.extend(day.and_then(Day::from_name));
    }
    Ok(days)
}

/// Opens the file of a day for reading; `None` while the writer has not made its schema yet.
fn open_to_read(directory: &Path, day: Day) -> Result<Option<Connection>, HistoryError> {
    let what = "open a day of history";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db =
        Connection::open_with_flags(file(directory, day), flags).map_err(|e| HistoryError::new(what, e))?;
    db.busy_timeout(BUSY).map_err(|e| HistoryError::new(what, e))?;
    let found = user_version(&db).map_err(|e| HistoryError::new(what, e))?;
    match found.cmp(&version()) {
        Ordering::Less => Ok(None),
        Ordering::Equal => Ok(Some(db)),
        Ordering::Greater => Err(HistoryError::new(what, HistoryErrorKind::Newer(found, version()))),
    }
}

fn user_version(db: &Connection) -> rusqlite::Result<i32> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}
