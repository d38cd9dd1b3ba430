//! What the counter shows. Labels are clients of the configuration and words of this crate: bounded.

use smsgw_telemetry::{Counter, Gauge, Histogram, LATENCY_SECONDS};

/// Events of messages by client (`-` where no client is known) and by what happened: `mt_accepted`, `mt_sent`,
/// `delivered`, `failed` … Counted since the process began.
/// The words are those of the documentation of states and events.
pub static MESSAGES_TOTAL: Counter = Counter::new(
    "smsgw_messages_total",
    "Events of messages by client and by what happened.",
    &["client", "what"],
);

/// Seconds from the accept of a message until a carrier took a part of it.
/// A rise means queues are long: rates or windows of carriers are below what clients send.
pub static ACCEPT_TO_SENT_SECONDS: Histogram = Histogram::new(
    "smsgw_accept_to_sent_seconds",
    "Seconds from the accept until a carrier took a part.",
    &[],
    LATENCY_SECONDS,
);

/// Seconds from the accept of a message until its final state.
/// Phones that are off make the tail; a rise of the median means carriers or their receipts are slow.
pub static ACCEPT_TO_FINAL_SECONDS: Histogram = Histogram::new(
    "smsgw_accept_to_final_seconds",
    "Seconds from the accept until the final state.",
    &[],
    LATENCY_SECONDS,
);

/// Entries of the events log that could not be decoded and were passed over.
/// Any rise needs a person: a newer version wrote them, or the disk is damaged; totals lack those events.
pub static SKIPPED_TOTAL: Counter = Counter::new(
    "smsgw_counter_skipped_total",
    "Events that could not be decoded and were passed over.",
    &[],
);

/// Events folded into totals.
/// It follows the load; when it stands still while messages flow, the node is stuck and the log grows.
pub static FOLDED_TOTAL: Counter =
    Counter::new("smsgw_counter_folded_total", "Events folded into totals.", &[]);

/// Entries of the events log that are not folded yet, as of the last look.
/// A steady rise means that totals fall behind: the disk or the processor is busy, or the node is stuck; the log grows with
/// it.
pub static LAG: Gauge = Gauge::new(
    "smsgw_counter_lag_entries",
    "Entries of the events log that are not folded yet.",
    &[],
);
