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

/// Lines written into ledgers of prepaid accounts, by client and movement: `reserve`, `commit`, `refund`, `top-up`,
/// `correction`.
/// `refund` that rises against `commit` means that carriers take or deliver less than before.
pub static CREDIT_LINES_TOTAL: Counter = Counter::new(
    "smsgw_credit_lines_total",
    "Movements of prepaid accounts, by client and movement.",
    &["client", "movement"],
);

/// Records that may move money, could not be decoded and were passed over.
/// Any rise needs a person: what an account paid for those messages stays put aside until it is corrected.
pub static CREDIT_SKIPPED_TOTAL: Counter = Counter::new(
    "smsgw_credit_skipped_total",
    "Records that may move money and could not be decoded.",
    &[],
);

/// The balance of a prepaid account after the last line of its ledger, in millionths of a unit of its currency.
/// What is put aside for messages under way is not in it. At the account's floor its messages are refused.
pub static CREDIT_BALANCE_MICRO: Gauge = Gauge::new(
    "smsgw_credit_balance_micro",
    "Balance of a prepaid account in millionths.",
    &["client", "currency"],
);

/// 1 while the balance of a prepaid account is below its `low_balance`.
/// Alarm: tell the client to pay, or top up.
pub static CREDIT_LOW: Gauge = Gauge::new(
    "smsgw_credit_low",
    "1 while the balance of an account is below its low_balance.",
    &["client"],
);

/// Sequence numbers given to messages.
pub static NUMBERS_TOTAL: Counter =
    Counter::new("smsgw_numbers_total", "Sequence numbers given to messages.", &[]);

/// Messages that were accepted and have not ended, by the ledger.
/// A steady rise means that messages do not come to an end: carriers do not answer, or send no receipts.
pub static OPEN: Gauge = Gauge::new(
    "smsgw_ledger_open_messages",
    "Messages that were accepted and have not ended.",
    &[],
);

/// Minutes of accepts in the ledger that do not balance yet.
/// Those of the last minutes are always there. A steady rise means that a few messages never end, or that one ended twice:
/// `smsgw balance` names them.
pub static OPEN_MINUTES: Gauge = Gauge::new(
    "smsgw_ledger_open_minutes",
    "Minutes of accepts that do not balance yet.",
    &[],
);

/// Lines of call detail records that are durable.
/// It follows the events when `[cdr]` is on; when it stands still while messages flow, look at `smsgw_cdr_stuck`.
pub static CDR_LINES_TOTAL: Counter =
    Counter::new("smsgw_cdr_lines_total", "Lines of call detail records.", &[]);

/// Files of call detail records that were found shorter than they had been, or not at all.
/// Any rise needs a person: somebody or a damaged disk took lines away.
pub static CDR_LOST_TOTAL: Counter = Counter::new(
    "smsgw_cdr_lost_total",
    "Files of call detail records that had lost lines.",
    &[],
);

/// 1 while call detail records cannot be written: the disk is full, or the directory may not be written to.
/// Nothing is lost meanwhile, but the events log grows: make room.
pub static CDR_STUCK: Gauge = Gauge::new(
    "smsgw_cdr_stuck",
    "1 while call detail records cannot be written.",
    &[],
);

/// Entries of the events log that have no line yet, as of the last look.
/// A steady rise means that files are written more slowly than events come, or not at all.
pub static CDR_LAG: Gauge = Gauge::new(
    "smsgw_cdr_lag_entries",
    "Entries of the events log that have no line yet.",
    &[],
);
