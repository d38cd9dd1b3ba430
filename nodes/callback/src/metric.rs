//! Metrics of the callback node.

use smsgw_telemetry::{Counter, Gauge, Histogram, LATENCY_SECONDS};

/// Attempts by client and outcome word (`delivered`, `status`, `timeout`, `connect`, `blocked`, `panicked`).
/// A rise of anything but `delivered` means a client's endpoint has trouble; nothing is lost until `give_up`.
pub(crate) static ATTEMPTS_TOTAL: Counter = Counter::new(
    "smsgw_callback_attempts_total",
    "Attempts to deliver a callback.",
    &["client", "outcome"],
);

/// Callbacks given up and kept as dead letters. Somebody must look: the client was not told.
pub(crate) static GIVEN_UP_TOTAL: Counter = Counter::new(
    "smsgw_callback_given_up_total",
    "Callbacks given up, kept as dead letters.",
    &["client", "reason"],
);

/// Time from the request to the end of its answer.
pub(crate) static ATTEMPT_SECONDS: Histogram = Histogram::new(
    "smsgw_callback_attempt_seconds",
    "Time a callback target took.",
    &[],
    LATENCY_SECONDS,
);

/// Requests under way now.
pub(crate) static IN_FLIGHT: Gauge =
    Gauge::new("smsgw_callback_in_flight", "Callback requests under way.", &[]);

/// Targets whose breaker is open now.
pub(crate) static BREAKERS_OPEN: Gauge = Gauge::new(
    "smsgw_callback_breakers_open",
    "Callback targets whose breaker is open.",
    &[],
);
