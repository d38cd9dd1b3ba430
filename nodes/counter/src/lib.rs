//! The counter node: reads the events log and keeps totals per day of each client and each operator.
//!
//! ```text
//! events ──▶ fold a batch in memory ──▶ one step: add to totals, advance the position
//!   count/<yyyymmdd>/client/<id>/<what>      count/<yyyymmdd>/operator/<id>/<what>
//! ```
//! Knows no other node and no engine. Days are those of UTC.
//!
//! Invariant CN-1: each event is counted exactly once, whatever crashes: totals and position change in one step, and
//! the position is read again after every failure.
//!
//! # Limits
//! The counters on `/metrics` begin at zero with the process; the totals in state do not. A position is advanced by one
//! reader: two counter nodes on one log would count twice.

mod fold;
pub mod metric;
mod reader;
mod totals;

pub use fold::{Day, What, Who};
pub use reader::{READER, supervise};
pub use totals::totals;
