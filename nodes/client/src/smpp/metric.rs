//! Metrics of the SMPP server. The label `client` is a configured name, or `-` where nobody is known.

use smsgw_telemetry::{Counter, Gauge, Histogram, LATENCY_SECONDS};

/// Connections that are open now, bound or not.
pub(crate) static CONNECTIONS: Gauge =
    Gauge::new("smsgw_esme_connections", "Open connections of SMPP clients.", &[]);

/// Connections that were closed at once because `smpp.max_connections` were open.
pub(crate) static CONNECTIONS_REFUSED_TOTAL: Counter = Counter::new(
    "smsgw_esme_connections_refused_total",
    "SMPP connections over smpp.max_connections.",
    &[],
);

/// Connections that were closed at once because their address failed to log in too often (`smpp.ban_after`).
pub(crate) static BANNED_TOTAL: Counter = Counter::new(
    "smsgw_esme_banned_total",
    "SMPP connections from addresses that are kept out.",
    &[],
);

/// Sessions that are bound now, by client and kind of bind. A client that is missing gets its reports and MO late.
pub(crate) static SESSIONS: Gauge = Gauge::new(
    "smsgw_esme_sessions",
    "Bound sessions of SMPP clients.",
    &["client", "bind"],
);

/// Binds by their outcome: `accepted`, or why not. A rise of `password` or `system_id` is somebody who guesses, or a client
/// whose password was changed at one end only.
pub(crate) static BINDS_TOTAL: Counter = Counter::new(
    "smsgw_esme_binds_total",
    "Binds of SMPP clients, by outcome.",
    &["client", "outcome"],
);

/// Sessions that ended, by cause. A rise of `lost` is the network or the client's program; of `enquire_link_timeout`, a
/// client that hangs.
pub(crate) static UNBINDS_TOTAL: Counter = Counter::new(
    "smsgw_esme_unbinds_total",
    "Sessions of SMPP clients that ended, by cause.",
    &["client", "cause"],
);

/// Requests of clients by command and the status they were answered with. A rise of `ESME_RTHROTTLED` is a client over its
/// rate; of `ESME_RMSGQFUL`, that more comes in than goes out, or a quota at its end.
pub(crate) static REQUESTS_TOTAL: Counter = Counter::new(
    "smsgw_esme_requests_total",
    "Requests of SMPP clients, by command and status.",
    &["client", "command", "status"],
);

/// Time from a submit that was read to its answer: mostly the sync of the engine, and the wait for a client's own rate.
pub(crate) static ACCEPT_SECONDS: Histogram = Histogram::new(
    "smsgw_esme_accept_seconds",
    "Time to accept a submit durably.",
    &[],
    LATENCY_SECONDS,
);

/// Reports and MO to clients by outcome: `delivered`, `temporary`, `refused`, `timeout`, `lost`, `misfit`. A rise of
/// `timeout` is a client that reads and does not answer.
pub(crate) static DELIVERIES_TOTAL: Counter = Counter::new(
    "smsgw_esme_deliveries_total",
    "Reports and MO to SMPP clients, by outcome.",
    &["client", "kind", "outcome"],
);

/// Reports and MO that became dead letters, by reason: the client was away for too long, has too many waiting, refused for
/// good, or is no longer configured.
pub(crate) static GIVEN_UP_TOTAL: Counter = Counter::new(
    "smsgw_esme_given_up_total",
    "Reports and MO to SMPP clients that were given up.",
    &["client", "reason"],
);

/// PDUs of clients that are not as the specification says and were taken all the same, and those that could not be decoded
/// (`undecodable`).
pub(crate) static MALFORMED_TOTAL: Counter = Counter::new(
    "smsgw_esme_malformed_total",
    "PDUs of SMPP clients with something wrong.",
    &["client", "what"],
);

/// Calls to clients that something waits for (outbind), by outcome: `bound`, `unanswered`, `connect_failed`.
pub(crate) static OUTBINDS_TOTAL: Counter = Counter::new(
    "smsgw_esme_outbinds_total",
    "Outbinds to SMPP clients, by outcome.",
    &["client", "outcome"],
);
