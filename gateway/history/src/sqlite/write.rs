//! Writes batches into the files of their days. Blocking: for a thread of its own.
//!
//! Invariant HI-1, for each file: rows and position in one transaction, synced before `write` returns.

use super::{BUSY, DAMAGED, MIGRATIONS, days, file, user_version, version};
use crate::day::Day;
use crate::error::{HistoryError, HistoryErrorKind};
use crate::row::{Batch, DayRows};
use crate::writer::{SourceId, Written};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use smsgw_message::Timestamp;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use tracing::{error, info};

/// Files kept open: today's, yesterday's, and one that a late receipt belongs to.
const OPEN: usize = 3;

/// The only writer of a directory.
#[derive(Debug)]
pub(crate) struct SqliteWriter {
    directory: PathBuf,
    source: SourceId,
    open: BTreeMap<Day, Connection>,
}

impl SqliteWriter {
    /// Makes the directory, brings every file in it to the schema of this program, and tells the highest position of the
    /// source.
    pub(crate) fn open(
        directory: PathBuf,
        source: SourceId,
        now: Timestamp,
    ) -> Result<(Self, Option<u64>), HistoryError> {
        let what = "open the directory of history";
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|e| HistoryError::new(what, e))?;
        let mut writer = Self {
            directory,
            source,
            open: BTreeMap::new(),
        };
        let mut position = None;
        for day in days(&writer.directory).map_err(|e| HistoryError::new(what, e))? {
            let known = writer.with(day, now, |db| {
                position_of(db, source).map_err(|e| HistoryError::new(what, e))
            })?;
            position = position.max(known);
        }
        Ok((writer, position))
    }

    /// Writes each day in one transaction; what a file has already is passed over.
    pub(crate) fn write(&mut self, batch: &Batch, now: Timestamp) -> Result<Written, HistoryError> {
        let source = self.source;
        let mut written = Written::default();
        for (day, rows) in &batch.days {
            written += self.with(*day, now, |db| {
                put(db, source, rows, batch.next).map_err(|e| HistoryError::new("write history", e))
            })?;
        }
        Ok(written)
    }

    /// Removes days before `oldest`, and the oldest ones while all together are larger than `max`; never `today`.
    pub(crate) fn retain(
        &mut self,
        oldest: Day,
        today: Day,
        max: Option<u64>,
    ) -> Result<Vec<Day>, HistoryError> {
        let removed = self.remove(oldest, today, max);
        removed.map_err(|e| HistoryError::new("remove old history", e))
    }

    fn remove(&mut self, oldest: Day, today: Day, max: Option<u64>) -> io::Result<Vec<Day>> {
        let mut files: BTreeMap<Day, (u64, Vec<PathBuf>)> = BTreeMap::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((day, _)) = name.to_str().and_then(|name| name.split_once(".db")) else {
                continue;
            };
            if let Some(day) = Day::from_name(day) {
                let of_day = files.entry(day).or_default();
                of_day.0 = of_day
                    .0
                    .saturating_add(entry.metadata().map_or(0, |data| data.len()));
                of_day.1.push(entry.path());
            }
        }
        let mut size: u64 = files.values().map(|(size, _)| *size).sum();
        let mut removed = Vec::new();
        for (day, (octets, paths)) in files {
            let too_large = max.is_some_and(|max| size > max) && day < today;
            if day >= oldest && !too_large {
                continue;
            }
            self.open.remove(&day);
            for path in paths {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            size = size.saturating_sub(octets);
            removed.push(day);
        }
        Ok(removed)
    }

    /// Does something with the file of a day; a file that is damaged is set aside, and a new one begun.
    fn with<T>(
        &mut self,
        day: Day,
        now: Timestamp,
        work: impl Fn(&mut Connection) -> Result<T, HistoryError>,
    ) -> Result<T, HistoryError> {
        let done = self.connection(day).and_then(&work);
        match done {
            Err(error) if error.is_damage() => {
                self.set_aside(day, now, &error)
                    .map_err(|e| HistoryError::new("set a damaged day aside", e))?;
                self.connection(day).and_then(&work)
            }
            Err(error) => {
                // Whatever the connection remembers of the failure goes with it.
                self.open.remove(&day);
                Err(error)
            }
            Ok(done) => Ok(done),
        }
    }

    fn set_aside(&mut self, day: Day, now: Timestamp, why: &HistoryError) -> io::Result<()> {
        self.open.remove(&day);
        let path = file(&self.directory, day);
        let aside = path.with_extension(format!("db.{DAMAGED}-{}", now.as_millis()));
        error!(file = %path.display(), aside = %aside.display(), error = %why.words(),
            "a day of history is damaged: it is set aside and begun anew");
        fs::rename(&path, aside)?;
        for tail in ["db-wal", "db-shm"] {
            match fs::remove_file(path.with_extension(tail)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn connection(&mut self, day: Day) -> Result<&mut Connection, HistoryError> {
        if !self.open.contains_key(&day) {
            // The oldest goes: what comes late comes seldom.
            while self.open.len() >= OPEN {
                self.open.pop_first();
            }
            let path = file(&self.directory, day);
            let db = open(&path).map_err(|e| HistoryError::new("open a day of history", e))?;
            self.open.insert(day, db);
        }
        Ok(self
            .open
            .get_mut(&day)
            .expect("it is there or was just put there"))
    }
}

fn open(path: &PathBuf) -> Result<Connection, HistoryErrorKind> {
    let mut db = Connection::open(path)?;
    // Before the first page is written: nobody else reads numbers and texts.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // The log is trimmed once we say that a batch is written: then it must be on the disk.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -16_384)?;
    db.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    db.set_prepared_statement_cache_capacity(16);
    let found = user_version(&db)?;
    if found > version() {
        return Err(HistoryErrorKind::Newer(found, version()));
    }
    let had = usize::try_from(found).unwrap_or(0);
    for (number, migration) in (1_i32..).zip(MIGRATIONS).skip(had) {
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(migration)?;
        step.pragma_update(None, "user_version", number)?;
        step.commit()?;
        if had > 0 {
            info!(file = %path.display(), version = number, "schema of a day of history brought up to date");
        }
    }
    Ok(db)
}

fn position_of(db: &Connection, source: SourceId) -> rusqlite::Result<Option<u64>> {
    let position = db
        .query_row(
            "SELECT position FROM source WHERE id = ?1",
            [source.as_bytes()],
            |row| row.get::<_, i64>(0),
        )
        .optional()?;
    Ok(position.and_then(|position| u64::try_from(position).ok()))
}

fn put(db: &mut Connection, source: SourceId, rows: &DayRows, next: u64) -> rusqlite::Result<Written> {
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let has = position_of(&step, source)?.unwrap_or(0);
    if has >= next {
        return Ok(Written::default());
    }
    // What overlaps is written again and changes nothing (HI-2): the rows end as the log does.
    let number: i64 = step.query_row(
        "INSERT INTO source (id, position) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET position = excluded.position \
         RETURNING number",
        params![source.as_bytes(), signed(next)],
        |row| row.get(0),
    )?;
    put_messages(&step, rows)?;
    put_events(&step, rows, number)?;
    step.commit()?;
    Ok(Written {
        messages: rows.messages.len(),
        events: rows.events.len(),
    })
}

fn put_messages(step: &Transaction<'_>, rows: &DayRows) -> rusqlite::Result<()> {
    let mut upsert = step.prepare_cached(
        "INSERT INTO message AS m (id, direction, client, sender, recipient, reference, class, tags, encoding, parts, \
         operator, route, state, error, accepted_at, sent_at, final_at, told_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) \
         ON CONFLICT (id) DO UPDATE SET \
         direction = coalesce(m.direction, excluded.direction), client = coalesce(m.client, excluded.client), \
         sender = coalesce(m.sender, excluded.sender), recipient = coalesce(m.recipient, excluded.recipient), \
         reference = coalesce(m.reference, excluded.reference), class = coalesce(m.class, excluded.class), \
         tags = coalesce(m.tags, excluded.tags), encoding = coalesce(m.encoding, excluded.encoding), \
         accepted_at = coalesce(m.accepted_at, excluded.accepted_at), sent_at = coalesce(m.sent_at, excluded.sent_at), \
         parts = coalesce(excluded.parts, m.parts), operator = coalesce(excluded.operator, m.operator), \
         route = coalesce(excluded.route, m.route), told_at = coalesce(excluded.told_at, m.told_at), \
         state = CASE WHEN excluded.final_at IS NOT NULL THEN excluded.state \
                      WHEN m.final_at IS NOT NULL THEN m.state ELSE coalesce(excluded.state, m.state) END, \
         error = CASE WHEN excluded.final_at IS NOT NULL THEN excluded.error ELSE m.error END, \
         final_at = coalesce(excluded.final_at, m.final_at)",
    )?;
    let mut text = step.prepare_cached("INSERT OR IGNORE INTO text (message, body) VALUES (?1, ?2)")?;
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
    // In the order of the ids: neighbours share pages.
    let sorted: BTreeMap<_, _> = rows.messages.iter().collect();
    for (id, row) in sorted {
        upsert.execute(params![
            id.as_bytes(),
            row.direction.map(|direction| direction.as_str()),
            row.client.as_ref().map(|client| client.as_str()),
            row.sender,
            row.recipient,
            row.reference,
            row.class,
            row.tags,
            row.encoding,
            row.parts,
            row.operator.as_ref().map(|operator| operator.as_str()),
            row.route,
            row.state,
            row.error,
            millis(row.accepted_at),
            millis(row.sent_at),
            millis(row.final_at),
            millis(row.told_at),
        ])?;
        if let Some(body) = &row.text {
            text.execute(params![id.as_bytes(), body])?;
        }
    }
    Ok(())
}

fn put_events(step: &Transaction<'_>, rows: &DayRows, source: i64) -> rusqlite::Result<()> {
    let mut insert = step.prepare_cached(
        "INSERT OR REPLACE INTO event (message, source, position, at, name, part, operator, link, carrier_id, route, state, \
         error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for event in &rows.events {
        insert.execute(params![
            event.message.as_bytes(),
            source,
            signed(event.position),
            event.at.as_millis(),
            event.name,
            event.part,
            event.operator.as_ref().map(|operator| operator.as_str()),
            event.link.as_ref().map(|link| link.as_str()),
            event.carrier_id,
            event.route,
            event.state,
            event.error,
        ])?;
    }
    Ok(())
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
