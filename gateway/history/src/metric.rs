//! Metrics of the message history.

use smsgw_telemetry::{Counter, Gauge};

/// Rows written, by table: `message` (new or changed) or `event`.
/// It follows the load; when it stands still while messages flow, look at `smsgw_history_lag_entries` and the log.
pub static ROWS_TOTAL: Counter = Counter::new(
    "smsgw_history_rows_total",
    "Rows written to the message history.",
    &["table"],
);

/// Events that are not in history, by reason: `day` (their message is older than `history.keep_days`, or from the future
/// because a clock was wrong), `refused` (the database takes no such row; the log names the event), `unreadable` (the entry
/// cannot be decoded). Any rise of `refused` or `unreadable` needs a person.
pub static PASSED_OVER_TOTAL: Counter = Counter::new(
    "smsgw_history_passed_over_total",
    "Events that were not written to the message history.",
    &["why"],
);

/// Entries of the events log that are not in history yet, as of the last look.
/// A steady rise means that the database is down or too slow: the log keeps what it has not got, on the engine's disk.
pub static LAG: Gauge = Gauge::new(
    "smsgw_history_lag_entries",
    "Entries of the events log that are not in the message history yet.",
    &[],
);

/// Age in seconds of the oldest event that is not in history yet, 0 when all are.
/// Above a minute the database is down or too slow; searches show what was until then.
pub static AGE_SECONDS: Gauge = Gauge::new(
    "smsgw_history_age_seconds",
    "Age of the oldest event that is not in the message history yet.",
    &[],
);

/// Attempts to write that failed; each is repeated.
/// A rise means the database is down or refuses: the log says why once, at the first failure.
pub static WRITE_FAILURES_TOTAL: Counter = Counter::new(
    "smsgw_history_write_failures_total",
    "Failed attempts to write to the message history.",
    &[],
);

/// Queries, by what became of them: `answered`, `late` (`history.query_timeout`), `busy` (too many at once), `failed`.
/// A rise of anything but `answered` means that clients get `503` for searches.
pub static QUERIES_TOTAL: Counter = Counter::new(
    "smsgw_history_queries_total",
    "Queries of the message history.",
    &["outcome"],
);
