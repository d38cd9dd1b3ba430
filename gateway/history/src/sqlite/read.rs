//! Reads the files of the days. Blocking: for threads that may wait.
//!
//! Opens files for reading only, and keeps a few open. A file that retention removed meanwhile is passed over.

use super::{days, file, open_to_read};
use crate::day::Day;
use crate::error::{HistoryError, HistoryErrorKind};
use crate::query::{
    Clue, Cursor, Dialect, EVENT_COLUMNS, Event, Life, MAX_EVENTS, Message, Page, Query, Select, Value,
    by_id, days_within,
};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, InterruptHandle, Row, ToSql, params_from_iter};
use smsgw_message::{MessageId, Timestamp};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Connections kept for the next query.
const KEPT: usize = 8;

/// A directory, for readers.
#[derive(Debug)]
pub(crate) struct SqliteReader {
    directory: PathBuf,
    mask: u8,
    /// Connections nobody uses, the last used ones last.
    idle: Mutex<Vec<(Day, Connection)>>,
}

/// Stops a query from another thread.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: AtomicBool,
    running: Mutex<Option<InterruptHandle>>,
}

impl Stop {
    /// Ends what runs, and lets nothing more begin.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Ok(running) = self.running.lock()
            && let Some(running) = running.as_ref()
        {
            running.interrupt();
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn runs(&self, on: Option<InterruptHandle>) {
        if let Ok(mut running) = self.running.lock() {
            *running = on;
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Id(id) => ValueRef::Blob(id.as_bytes()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl SqliteReader {
    pub(crate) fn new(directory: PathBuf, mask: u8) -> Self {
        Self {
            directory,
            mask,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// A page: the days from the newest on until it is full. Told to stop between two days, it says where it got to.
    pub(crate) fn search(&self, query: &Query, stop: &Stop) -> Result<Page, HistoryError> {
        let what = "search history";
        let (low, high) = query.range();
        let limit = query.limit();
        let mut page = Page::default();
        for day in self.days(low, high)? {
            let (begin, end) = (low.max(day.first_id()), high.min(day.next().first_id()));
            if stop.is_stopped() {
                page.next = Some(Cursor(end));
                return Ok(page);
            }
            let wanted = limit.saturating_sub(page.messages.len()).saturating_add(1);
            let select = query.select(Dialect::Sqlite, begin, end, wanted, self.mask);
            let found = self.on(day, stop, what, |db| messages(db, &select))?;
            page.messages.extend(found.into_iter().flatten());
            if page.messages.len() > limit {
                page.messages.truncate(limit);
                page.next = page.messages.last().map(|last| Cursor(last.id));
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// A message and its events.
    pub(crate) fn life(&self, id: MessageId, stop: &Stop) -> Result<Option<Life>, HistoryError> {
        let life = self.on(Day::of_id(id), stop, "look a message up in history", |db| {
            let Some(message) = messages(db, &by_id(Dialect::Sqlite, id))?.pop() else {
                return Ok(None);
            };
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event WHERE message = ?1 ORDER BY at, source, position LIMIT {MAX_EVENTS}"
            );
            let mut select = db.prepare_cached(&sql)?;
            let events = select.query_map([Value::Id(id)], event)?.collect::<Result<_, _>>()?;
            Ok(Some(Life { message, events }))
        })?;
        Ok(life.flatten())
    }

    /// Messages that a clue leads to, newest first.
    pub(crate) fn find(&self, clue: &Clue, limit: usize, stop: &Stop) -> Result<Vec<Message>, HistoryError> {
        let mut found = Vec::new();
        for day in self.days(MessageId::from_bytes([0; 16]), MessageId::from_bytes([0xFF; 16]))? {
            let wanted = limit.saturating_sub(found.len());
            if wanted == 0 || stop.is_stopped() {
                break;
            }
            let select = clue.select(Dialect::Sqlite, wanted, self.mask);
            let of_day = self.on(day, stop, "look for messages in history", |db| {
                messages(db, &select)
            })?;
            found.extend(of_day.into_iter().flatten());
        }
        Ok(found)
    }

    fn days(&self, low: MessageId, high: MessageId) -> Result<Vec<Day>, HistoryError> {
        let there = days(&self.directory).map_err(|e| HistoryError::new("list the days of history", e))?;
        Ok(days_within(&there, low, high))
    }

    /// Asks one day; `None` when there is no file of it.
    fn on<T>(
        &self,
        day: Day,
        stop: &Stop,
        what: &'static str,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, HistoryError> {
        let Some(db) = self.take(day)? else {
            return Ok(None);
        };
        stop.runs(Some(db.get_interrupt_handle()));
        // Told to stop before the handle was there: nobody would interrupt.
        let answer = if stop.is_stopped() {
            Err(HistoryError::new(what, HistoryErrorKind::Ended))
        } else {
            ask(&db).map_err(|e| HistoryError::new(what, e))
        };
        stop.runs(None);
        if answer.is_ok()
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push((day, db));
            if idle.len() > KEPT {
                idle.remove(0);
            }
        }
        answer.map(Some)
    }

    fn take(&self, day: Day) -> Result<Option<Connection>, HistoryError> {
        let is_there = |day| file(&self.directory, day).exists();
        if let Ok(mut idle) = self.idle.lock() {
            // A day that was removed takes room until nobody has it open.
            idle.retain(|(kept, _)| is_there(*kept));
            if let Some(index) = idle.iter().rposition(|(kept, _)| *kept == day) {
                return Ok(Some(idle.remove(index).1));
            }
        }
        match is_there(day) {
            false => Ok(None),
            true => open_to_read(&self.directory, day),
        }
    }
}

fn messages(db: &Connection, select: &Select) -> rusqlite::Result<Vec<Message>> {
    let mut prepared = db.prepare_cached(&select.sql)?;
    prepared
        .query_map(params_from_iter(&select.values), message)?
        .collect()
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let time =
        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis));
    let tags: Option<String> = row.get(7)?;
    Ok(Message {
        id: MessageId::from_bytes(row.get(0)?),
        direction: row.get(1)?,
        client: row.get(2)?,
        sender: row.get(3)?,
        recipient: row.get(4)?,
        reference: row.get(5)?,
        class: row.get(6)?,
        tags: tags.map_or_else(Vec::new, |tags| serde_json::from_str(&tags).unwrap_or_default()),
        encoding: row.get(8)?,
        parts: row.get(9)?,
        operator: row.get(10)?,
        route: row.get(11)?,
        state: row.get(12)?,
        error: row.get(13)?,
        accepted_at: time(14)?,
        sent_at: time(15)?,
        final_at: time(16)?,
        told_at: time(17)?,
        text: row.get(18)?,
    })
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        at: Timestamp::from_millis(row.get(0)?),
        name: row.get(1)?,
        part: row.get(2)?,
        operator: row.get(3)?,
        link: row.get(4)?,
        carrier_id: row.get(5)?,
        route: row.get(6)?,
        state: row.get(7)?,
        error: row.get(8)?,
    })
}
