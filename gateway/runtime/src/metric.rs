//! What supervision counts. The label `kind` is a word of the child's spec, never its name: it stays bounded.

use smsgw_telemetry::Counter;

/// Restarts of children, by kind.
/// A rise means children of that kind fail and come back after their backoff; the log event `child failed` says why.
pub static CHILD_RESTARTS_TOTAL: Counter = Counter::new(
    "smsgw_runtime_child_restarts_total",
    "Restarts of supervised children, by kind.",
    &["kind"],
);

/// Children killed because they missed a deadline, by kind.
/// A rise means children hang while they start or stop: what they had in flight comes back by redelivery.
pub static CHILD_KILLS_TOTAL: Counter = Counter::new(
    "smsgw_runtime_child_kills_total",
    "Supervised children killed at a start or stop deadline, by kind.",
    &["kind"],
);

/// Supervisors that gave up and failed upward, by kind of the child that was the last straw.
/// Any rise needs a person: that part of the gateway was restarted as a whole, or the process exits.
pub static ESCALATIONS_TOTAL: Counter = Counter::new(
    "smsgw_runtime_escalations_total",
    "Supervisors that gave up after too many restarts or a fatal error, by kind of the child.",
    &["kind"],
);
