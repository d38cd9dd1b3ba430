//! Message history in SQL: the life of every message, searchable by time, number, state, reference, tag and text.
//!
//! ```text
//!  events log ──▶ Batch ──▶ Writer: rows by day ──▶ SQLite: one file a day     ──▶ History: search, life, find
//!                                               └─▶ PostgreSQL: one partition a day ─┘
//! ```
//! The counter node writes, the client node and the administrator's face read; nobody else opens the database. A message
//! and all its events stand in the partition of the day its id was made (UUIDv7, RFC 9562 section 5.7), so that a lookup
//! touches one partition and retention is the removal of whole ones. Knows no queue, no engine and no configuration file.
//!
//! Invariant HI-1: rows and the position of the log that they come from are written in one transaction, so a batch written
//! twice changes nothing. Invariant HI-2: however the log is cut into batches, the rows are the same.
//!
//! # Limits
//! A message is found in history a moment after it happened (the writer gathers for a second). Texts are stored only
//! where the event carries one. What belongs to a day that retention removed is passed over and counted.

mod clean;
mod day;
mod error;
pub mod metric;
mod postgres;
mod query;
mod reader;
mod row;
mod settings;
mod sqlite;
mod writer;

pub use day::Day;
pub use error::{HistoryError, HistoryErrorKind};
pub use query::{Clue, Cursor, Direction, Event, Life, MAX_PAGE, Message, Page, Query};
pub use reader::History;
pub use row::Batch;
pub use settings::{Place, PostgresPlace, Settings};
pub use writer::{Known, SourceId, Writer, Written};
