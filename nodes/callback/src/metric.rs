//! Metrics of the callback node.

use smsgw_telemetry::{Counter, Gauge, Histogram, LATENCY_SECONDS};

/// Requests by client and outcome word (`delivered`, `status`, `unmatched`, `gone`, `timeout`, `connect`, `blocked`, `panicked`).
/// A rise of anything but `delivered` means a client's endpoint has trouble; nothing is lost until `give_up`, but `gone` (410) is
/// a dead letter at once.
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

/// Events that went out, by client: more than requests where several go in one.
pub(crate) static EVENTS_TOTAL: Counter = Counter::new(
    "smsgw_callback_events_total",
    "Events in requests to callback targets, each attempt.",
    &["client"],
);

/// Answers with a reply to an MO, by client and outcome: `taken` was handed to the client node, `malformed` is a dead letter of
/// `client.requests`. A rise of `malformed` means that a client's program answers wrongly.
pub(crate) static REPLIES_TOTAL: Counter = Counter::new(
    "smsgw_callback_replies_total",
    "Replies to MO in the answers to callbacks.",
    &["client", "outcome"],
);

/// Events that wait for an earlier one of their message, each time they are put back. A steady rise for one client means that its
/// endpoint fails while it asks for `report = "all"`.
pub(crate) static ORDER_WAITS_TOTAL: Counter = Counter::new(
    "smsgw_callback_order_waits_total",
    "Events put back because an earlier one of their message is not told yet.",
    &["client"],
);

/// Failed events that could not be remembered, so that a later one of the same message may overtake them. Above zero: so many
/// intermediate reports fail that the bound is reached; see which client's endpoint is ill.
pub(crate) static ORDER_FORGOTTEN_TOTAL: Counter = Counter::new(
    "smsgw_callback_order_forgotten_total",
    "Events whose order is not kept because too many are remembered.",
    &[],
);
