//! Keeps the files of the days, opens, makes and removes them. Blocking: for a thread of its own. What goes into one: `put`.
//!
//! Invariant HI-1, for each file: what is written is synced before `write` returns.

use super::put::{position_of, put};
use super::{BUSY, DAMAGED, MIGRATIONS, days, file, user_version, version};
use crate::day::Day;
use crate::error::{HistoryError, HistoryErrorKind};
use crate::row::{Batch, Rows};
use crate::writer::{SourceId, Written};
use rusqlite::{Connection, TransactionBehavior};
use smsgw_message::Timestamp;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::ops::RangeInclusive;
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
    pub(crate) fn write(
        &mut self,
        batch: &Batch,
        kept: RangeInclusive<Day>,
        now: Timestamp,
    ) -> Result<Written, HistoryError> {
        let mut rows = Rows::new(batch, kept);
        for (position, record) in &batch.records {
            rows.add(*position, record);
        }
        let source = self.source;
        let mut written = Written::default();
        for (day, rows) in &rows.days {
            written += self.with(*day, now, |db| {
                put(db, source, rows, batch.next()).map_err(|e| HistoryError::new("write history", e))
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
    // 64 MiB beside the file: a page that many transactions change is copied into it once. A transaction of full load is some
    // 3,500 pages where numbers are random.
    db.pragma_update(None, "wal_autocheckpoint", 16_000)?;
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
