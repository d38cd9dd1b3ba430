//! What the config node counts. `result` is a word of `Outcome`: it stays bounded.

use smsgw_telemetry::{Counter, Gauge};

/// Instructions to change the configuration, by result: `applied`, `unchanged`, `refused`.
/// A rise of `refused` means that someone writes wrong files: the log event `configuration refused` names each problem.
pub static CHANGES_TOTAL: Counter = Counter::new(
    "smsgw_config_changes_total",
    "Reloads and rollbacks of the configuration, by result.",
    &["result"],
);

/// Epoch of the configuration in force, counted from 1 at the start of the process.
/// A value that differs between boxes means only that they started at different times.
pub static EPOCH: Gauge = Gauge::new("smsgw_config_epoch", "Epoch of the configuration in force.", &[]);

/// Keys whose new value waits for a restart.
/// Above zero for long means the process does not do what its file says: restart it, or put the file right.
pub static RESTART_PENDING: Gauge = Gauge::new(
    "smsgw_config_restart_pending_keys",
    "Keys of the configuration file whose value needs a restart of the process.",
    &[],
);
