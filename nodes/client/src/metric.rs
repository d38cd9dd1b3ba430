//! Metrics of the client node.

use smsgw_telemetry::{Counter, Gauge, Histogram, LATENCY_SECONDS};

/// Requests of the HTTP API, by path word and status.
/// A rise of 5xx means the engine refuses (see `smsgw_engine_*`); of 4xx, that a client sends what we do not take.
pub(crate) static REQUESTS_TOTAL: Counter = Counter::new(
    "smsgw_http_requests_total",
    "Requests of the HTTP API.",
    &["route", "status"],
);

/// Refusals by code and client. `unauthorized` has the client `-`.
pub(crate) static REFUSED_TOTAL: Counter = Counter::new(
    "smsgw_http_refused_total",
    "Requests refused, by error code.",
    &["client", "code"],
);

/// Time from the last octet of a request for a message to the first octet of its answer: mostly the sync of the engine.
pub(crate) static ACCEPT_SECONDS: Histogram = Histogram::new(
    "smsgw_http_accept_seconds",
    "Time to accept a message durably.",
    &[],
    LATENCY_SECONDS,
);

/// Messages refused with `overloaded` because a bound of `[engine]` is reached, by which one: `engine` (all queues together)
/// or `queue`. A rise means that more comes in than carriers and callbacks take: look for queues that grow.
pub(crate) static FULL_TOTAL: Counter = Counter::new(
    "smsgw_http_full_total",
    "Messages refused because too many wait in the gateway.",
    &["bound"],
);

/// Connections that are open now.
pub(crate) static CONNECTIONS: Gauge = Gauge::new("smsgw_http_connections", "Open HTTP connections.", &[]);

/// Connections that were closed at once because `http.max_connections` were open.
pub(crate) static CONNECTIONS_REFUSED_TOTAL: Counter = Counter::new(
    "smsgw_http_connections_refused_total",
    "Connections over http.max_connections.",
    &[],
);

/// Requests that made us panic: a defect of ours, to be reported with the log event `panic` of that moment. The client
/// got no answer; its message may have been accepted, as after any lost answer.
pub(crate) static CONNECTION_PANICS_TOTAL: Counter = Counter::new(
    "smsgw_http_connection_panics_total",
    "Connections closed because their request panicked.",
    &[],
);
