//! What supervision counts. The label `kind` is a word of the child's spec. The label `actor` is its place in the tree,
//! as in `smsgw/operator/link-alpha-1`: as many as the configuration makes, and gone with the actor.

use smsgw_telemetry::{Counter, Gauge};

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

/// State of each part of the supervision tree: 0 waiting, 1 starting, 2 running, 3 backing off, 4 draining, 5 stopping,
/// 6 stopped, 7 failed. Anything but 2 for longer than a minute means that part does not work: `smsgw status --tree`
/// says why.
pub static ACTOR_STATE: Gauge = Gauge::new(
    "smsgw_runtime_actor_state",
    "State of each part of the supervision tree, as a number.",
    &["actor"],
);

/// Restarts of each part of the supervision tree since it was added.
/// A rise means that part fails and comes back; `smsgw status --tree` shows its last failure.
pub static ACTOR_RESTARTS: Gauge = Gauge::new(
    "smsgw_runtime_actor_restarts",
    "Restarts of each part of the supervision tree.",
    &["actor"],
);

/// Control messages that wait for each supervisor. No traffic goes through mailboxes, so this is 0 at nearly any time;
/// a rise means that supervisor hangs: its children are not started, stopped or restarted.
pub static ACTOR_MAILBOX_DEPTH: Gauge = Gauge::new(
    "smsgw_runtime_actor_mailbox_depth",
    "Messages that wait for a supervisor's actor.",
    &["actor"],
);

/// What waits in the bounded channels of a part. One that stays at its capacity (`smsgw status --tree` shows it) is
/// back-pressure: what empties it is slower than what fills it.
pub static ACTOR_CHANNEL_DEPTH: Gauge = Gauge::new(
    "smsgw_runtime_actor_channel_depth",
    "Items that wait in a bounded channel of a part of the tree.",
    &["actor", "channel"],
);
