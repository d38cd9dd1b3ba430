//! Writes history, whichever database it is in.
//!
//! The one that knows when to connect again; when to try again is its caller's business.

use crate::day::Day;
use crate::error::{HistoryError, HistoryErrorKind};
use crate::metric;
use crate::postgres::write::PostgresWriter;
use crate::row::Batch;
use crate::settings::{Place, Settings};
use crate::sqlite::desk::Desk;
use smsgw_message::Timestamp;
use std::ops::AddAssign;

/// Which events log: the identity of its engine. Two gateways may write into one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId([u8; 16]);

impl SourceId {
    /// From 16 octets that no other engine has.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What a database has of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// The highest position of any of it: a log that ends before it is another log.
    pub highest: Option<u64>,
    /// Up to here all of it is there. Absent in SQLite, where each file tells it for its own day: a batch may have reached
    /// one of them and not the next.
    pub whole: Option<u64>,
}

/// How many rows a batch became.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows of messages, new or changed.
    pub messages: usize,
    /// Events, however many of them share a row.
    pub events: usize,
}

impl AddAssign for Written {
    fn add_assign(&mut self, more: Self) {
        self.messages += more.messages;
        self.events += more.events;
    }
}

/// The only writer of a database for one events log.
#[derive(Debug)]
pub struct Writer {
    settings: Settings,
    base: Base,
}

#[derive(Debug)]
enum Base {
    Closed,
    Sqlite(Desk),
    Postgres(Box<PostgresWriter>),
}

impl Writer {
    /// Not connected yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            base: Base::Closed,
        }
    }

    /// What it writes where.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Connects and brings the schema up to date, unless that is done; tells what of the log is in the database.
    pub async fn open(&mut self, source: SourceId, now: Timestamp) -> Result<Known, HistoryError> {
        self.base = Base::Closed;
        let (base, known) = match &self.settings.place {
            Place::Sqlite(directory) => {
                let (desk, highest) = Desk::open(directory.clone(), source, now).await?;
                let known = Known { highest, whole: None };
                (Base::Sqlite(desk), known)
            }
            Place::Postgres(place) => {
                let opened = PostgresWriter::open(place, source).await?;
                let known = Known {
                    highest: opened.1,
                    whole: opened.1,
                };
                (Base::Postgres(Box::new(opened.0)), known)
            }
        };
        self.base = base;
        Ok(known)
    }

    /// Whether it must be opened (again) before it can write.
    pub fn is_closed(&self) -> bool {
        match &self.base {
            Base::Closed => true,
            Base::Sqlite(_) => false,
            Base::Postgres(writer) => !writer.is_open(),
        }
    }

    /// Writes a batch durably. After an error it is open whether the batch is in the database: write it again.
    pub async fn write(&mut self, batch: Batch, now: Timestamp) -> Result<Written, HistoryError> {
        // A day that retention has removed is not begun anew; one that lies ahead is a damaged clock, and would never go.
        let today = Day::of(now);
        let kept = today.minus(i64::from(self.settings.days))..=today.next();
        let written = match std::mem::replace(&mut self.base, Base::Closed) {
            Base::Closed => Err(HistoryError::new("write history", HistoryErrorKind::Ended)),
            Base::Sqlite(desk) => {
                let written = desk
                    .run("write history", move |writer| writer.write(&batch, kept, now))
                    .await;
                self.keep(desk, written)
            }
            Base::Postgres(mut writer) => {
                let written = writer.write(&batch, kept).await;
                // After a failure the state of the connection is not worth finding out.
                if written.as_ref().err().is_none_or(HistoryError::is_about_rows) {
                    self.base = Base::Postgres(writer);
                }
                written
            }
        }?;
        let rows = |number| u64::try_from(number).unwrap_or(u64::MAX);
        metric::ROWS_TOTAL
            .with(&["message"])
            .inc_by(rows(written.messages));
        metric::ROWS_TOTAL.with(&["event"]).inc_by(rows(written.events));
        Ok(written)
    }

    /// Removes the days that are too old, and the oldest ones while history is too large.
    pub async fn retain(&mut self, now: Timestamp) -> Result<Vec<Day>, HistoryError> {
        let today = Day::of(now);
        let oldest = today.minus(i64::from(self.settings.days));
        let max = self.settings.max_octets;
        match std::mem::replace(&mut self.base, Base::Closed) {
            Base::Closed => Ok(Vec::new()),
            Base::Sqlite(desk) => {
                let removed = desk
                    .run("remove old history", move |writer| {
                        writer.retain(oldest, today, max)
                    })
                    .await;
                self.keep(desk, removed)
            }
            Base::Postgres(mut writer) => {
                let removed = writer.retain(oldest, today, max).await;
                if writer.is_open() {
                    self.base = Base::Postgres(writer);
                }
                removed
            }
        }
    }

    /// Keeps the desk for the next job, unless its thread is gone.
    fn keep<T>(&mut self, desk: Desk, done: Result<T, HistoryError>) -> Result<T, HistoryError> {
        let is_gone = matches!(&done, Err(error) if matches!(error.kind, HistoryErrorKind::Ended));
        if !is_gone {
            self.base = Base::Sqlite(desk);
        }
        done
    }
}
