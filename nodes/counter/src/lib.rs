//! The counter node: folds the events log into totals and the ledger, and writes call detail records.
//!
//! ```text
//! events ──▶ fold in memory ──▶ one step: totals, ledger, position
//!   count/<period>/<dimension>/<value>   by client, operator, route, country, class, sender; hours, days, all time
//!   ledger/…                             the ids of messages that are open
//! events ──▶ lines in files ──▶ sync ──▶ one step: position and length of the file      (`cdr`, where it is on)
//! events ──▶ rows of SQL ──▶ one step: position of the reader `history`              (`history`, where it is on)
//! ```
//! Knows no other node and no engine. Hours and days are those of UTC.
//!
//! Invariant CN-1: each event is counted exactly once, whatever crashes: totals and position change in one step, and
//! the position is read again after every failure.
//!
//! Invariant CN-2: what this node cannot read stops one of its readers, seen as an alarm of `smsgw status`, and no message:
//! that reader is started again, at most every 30 s, until it can go on, and the events wait for it.
//!
//! # Limits
//! The counters on `/metrics` begin at zero with the process; the totals in state do not. A position is advanced by one
//! reader: two counter nodes on one log would count twice.

pub mod cdr;
pub mod credit;
mod dimension;
mod fold;
pub mod history;
pub mod ledger;
pub mod metric;
pub mod numbers;
mod period;
mod query;
mod reader;
mod row;
mod sheet;
mod spread;
mod turns;

pub use dimension::{Dimension, SENDERS_OF_CLIENT};
pub use period::{Day, Hour, Period};
pub use query::{Span, Totals, between, totals};
pub use reader::{READER, supervise};
pub use row::{Count, OTHER, Row};
pub use sheet::ReadError;
pub use spread::{BUCKETS, Spread, end_of};
