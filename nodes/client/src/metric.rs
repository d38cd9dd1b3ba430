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

/// Messages that admission refused, over both faces, by client and reason: the code of the HTTP API where it has one,
/// `unavailable` when something could not be looked up. A rise of `rate_limited` or `quota_exceeded` means that a client sends
/// more than agreed; of the others, that it sends what it may not: tell the client.
pub(crate) static ADMISSION_REFUSED_TOTAL: Counter = Counter::new(
    "smsgw_admission_refused_total",
    "Messages that admission refused.",
    &["client", "why"],
);

/// Time from the last octet of a request for a message to the first octet of its answer: mostly the sync of the engine.
pub(crate) static ACCEPT_SECONDS: Histogram = Histogram::new(
    "smsgw_http_accept_seconds",
    "Time to accept a message durably.",
    &[],
    LATENCY_SECONDS,
);

/// Time that messages waited for their turn to be worked on, of those that had to, by class.
/// A rise means that more comes in than the machine does: of one class or client, its own flood; of all, the machine is full.
pub(crate) static TURN_WAIT_SECONDS: Histogram = Histogram::new(
    "smsgw_turn_wait_seconds",
    "Time that messages waited for their turn.",
    &["class"],
    LATENCY_SECONDS,
);

/// Messages of clients that may be at work at once: 24, 128 while one client sends alone, more when syncs take long.
/// A rise above 128 means that the disk is slow (see `smsgw_engine_sync_seconds`).
pub(crate) static TURNS: Gauge = Gauge::new("smsgw_turns", "Messages that may be at work at once.", &[]);

/// Messages refused with `overloaded` because a bound of `[engine]` is reached, by which one: `engine` (all queues together)
/// or `queue`. A rise means that more comes in than carriers and callbacks take: look for queues that grow.
pub(crate) static FULL_TOTAL: Counter = Counter::new(
    "smsgw_http_full_total",
    "Messages refused because too many wait in the gateway.",
    &["bound"],
);

/// Batches, by client and what happened to them: `accepted`, then one of `completed`, `cancelled`, `expired`. A rise of
/// `expired` means that batches do not get through within `limits.batch_life`: look at the client's rate and at the queues.
pub(crate) static BATCHES_TOTAL: Counter = Counter::new(
    "smsgw_batches_total",
    "Batches accepted and ended.",
    &["client", "event"],
);

/// Lines of batches that became messages (`accepted`) or were refused when their turn came (`refused`); those that were
/// refused at the upload are in its answer. No rise while batches run: the router is behind, or the gateway nearly full.
pub(crate) static BATCH_LINES_TOTAL: Counter = Counter::new(
    "smsgw_batch_lines_total",
    "Lines of batches worked off.",
    &["client", "outcome"],
);

/// Events that wait in the inbox of a client. A steady rise means that the client does not read, or does not acknowledge.
pub(crate) static INBOX_EVENTS: Gauge = Gauge::new(
    "smsgw_inbox_events",
    "Events in the inbox of a client.",
    &["client"],
);

/// Events that a client acknowledged.
pub(crate) static INBOX_ACKNOWLEDGED_TOTAL: Counter = Counter::new(
    "smsgw_inbox_acknowledged_total",
    "Events of inboxes that were acknowledged.",
    &["client"],
);

/// Events that were dropped from an inbox, by client and reason: `expired` (`inbox.expiry`) or `overflow`
/// (`inbox.max_events`). Any number means that the client does not know what became of its messages: call it.
pub(crate) static INBOX_DROPPED_TOTAL: Counter = Counter::new(
    "smsgw_inbox_dropped_total",
    "Events dropped from inboxes.",
    &["client", "reason"],
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

/// Failed logins over HTTP: `wrong` key, password or scheme, `network` not allowed for a key or account that is right,
/// `missing` header. A rise of `wrong` is somebody who guesses, or a key that has ended.
pub(crate) static LOGINS_FAILED_TOTAL: Counter = Counter::new(
    "smsgw_http_logins_failed_total",
    "Requests without valid credentials, by reason.",
    &["why"],
);

/// Connections that were closed at once because their address failed to log in too often (`http.ban_after`).
pub(crate) static BANNED_TOTAL: Counter = Counter::new(
    "smsgw_http_banned_total",
    "Connections from addresses that are kept out.",
    &[],
);

/// TLS handshakes of clients that came to nothing. A rise after a change of certificate: clients do not trust the new one.
pub(crate) static HANDSHAKES_FAILED_TOTAL: Counter = Counter::new(
    "smsgw_http_tls_handshakes_failed_total",
    "TLS handshakes that failed or took too long.",
    &[],
);

/// Replies to MO from the answers to callbacks, and of routes and keywords, by client and outcome: `accepted`, `repeated` (the event was answered before),
/// `waits` (for the rate or a quota), or why they were refused and kept as dead letters of `client.requests`: the code of the HTTP API,
/// `too_many_replies`, `not_allowed`, `no_account`, `malformed`; `loop_guard` (above `reply_max` of a route or keyword) is kept
/// nowhere. A rise of `too_many_replies` or `loop_guard` means that two programs answer each other.
pub(crate) static REPLIES_TOTAL: Counter = Counter::new(
    "smsgw_client_replies_total",
    "Replies to MO handed in with answers to callbacks.",
    &["client", "outcome"],
);
