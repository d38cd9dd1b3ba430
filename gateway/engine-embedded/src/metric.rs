//! What this engine measures beside what every engine counts.

use smsgw_telemetry::{Counter, Gauge, Histogram, LATENCY_SECONDS};

/// From the call of `commit` to its answer. A rise of the median means a slow disk (see `smsgw_engine_sync_seconds`)
/// or steps that wait for values on the disk; a rise of the tail alone, table writes and compactions.
pub static COMMIT_SECONDS: Histogram = Histogram::new(
    "smsgw_engine_commit_seconds",
    "Time from the call of commit to its answer.",
    &[],
    LATENCY_SECONDS,
);
/// Write and fdatasync of one group. A rise means that the disk got slower, or that fjall holds writes back because
/// table writes do not keep up.
pub static SYNC_SECONDS: Histogram = Histogram::new(
    "smsgw_engine_sync_seconds",
    "Time of one write and sync of a group of steps.",
    &[],
    LATENCY_SECONDS,
);
/// Steps that one sync made durable. Grows with load; steadily at its upper end means the disk is the bottleneck.
pub static GROUP_STEPS: Histogram = Histogram::new(
    "smsgw_engine_group_steps",
    "Steps made durable by one sync.",
    &[],
    &[
        1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0,
    ],
);
/// Syncs. Their rate is what the disk gives.
pub static SYNCS_TOTAL: Counter = Counter::new("smsgw_engine_syncs_total", "Syncs of the journal.", &[]);
/// Groups that waited up to 20 ms before they were written, because tables were not written or merged as fast as they
/// came. A steady rise means that the disk or the processor does not keep up with the load.
pub static PACED_GROUPS_TOTAL: Counter = Counter::new(
    "smsgw_engine_paced_groups_total",
    "Groups held back because the store is behind with its tables.",
    &[],
);
/// Steps refused, by reason. `no_space` needs a person: the disk is almost full.
pub static REFUSED_TOTAL: Counter = Counter::new(
    "smsgw_engine_refused_steps_total",
    "Steps that did not go through.",
    &["reason"],
);
/// Octets of all records of a queue.
pub static OCTETS: Gauge = Gauge::new(
    "smsgw_queue_octets",
    "Octets of the records of a queue.",
    &["queue"],
);
/// Holds that stand on a queue as a whole or on flows of it. Not 0: a person keeps records back, and has to release them.
pub static HOLDS: Gauge = Gauge::new(
    "smsgw_queue_holds",
    "Holds of a queue and of its flows.",
    &["queue"],
);
/// Dead letters and corrupt records of a queue, by reason. They wait for a person: requeue or discard them.
pub static DEAD_LETTERS: Gauge = Gauge::new(
    "smsgw_queue_dead_letter_records",
    "Dead letters and corrupt records of a queue.",
    &["queue", "reason"],
);
/// Octets that groups of the last two seconds wrote and that are not at their place yet. Follows the load up to 16 MiB; a
/// start after a kill has so much to put to its place.
pub static YOUNG_OCTETS: Gauge = Gauge::new(
    "smsgw_engine_young_octets",
    "Octets written lately that are not at their place yet.",
    &[],
);
/// Octets free on the disk of the data directory. Below `min_free_disk` only steps that make room go through.
pub static DISK_FREE: Gauge = Gauge::new(
    "smsgw_engine_disk_free_octets",
    "Octets free on the disk of the data directory.",
    &[],
);
/// Octets that the store takes on the disk. Grows with backlog and state; growth without them is a defect.
pub static DISK_USED: Gauge = Gauge::new(
    "smsgw_engine_disk_used_octets",
    "Octets of the store on the disk.",
    &[],
);
/// Reads served from memory, by what was read (record, state, log).
pub static CACHE_HITS_TOTAL: Counter = Counter::new(
    "smsgw_engine_cache_hits_total",
    "Reads served from memory.",
    &["what"],
);
/// Reads that went to the store, by what was read. Many for `record` mean a backlog larger than its budget.
pub static CACHE_MISSES_TOTAL: Counter = Counter::new(
    "smsgw_engine_cache_misses_total",
    "Reads that went to the store.",
    &["what"],
);
/// Generations of records that are on the disk. Grows with what waits: one for each 512 MiB of it, and a few.
/// Growth without a backlog is a defect, or damage (`cannot be read` in the log).
pub static GENERATIONS: Gauge = Gauge::new(
    "smsgw_engine_generations",
    "Generations of records on the disk.",
    &[],
);
/// What fjall was done with and a thread of ours let go of: tables in memory that were written (`table`), and versions of a
/// keyspace, with the files of what was merged (`version`). Grows with what is written; standing still under load means that
/// the committer waits for it instead (`smsgw_engine_commit_seconds`).
pub static RELEASED_TOTAL: Counter = Counter::new(
    "smsgw_engine_released_total",
    "Tables in memory and versions of keyspaces let go of.",
    &["what"],
);
/// Records that outlived their generation and were copied. Up to a third of all records is as it should be; they cost
/// a second write.
pub static KEPT_TOTAL: Counter = Counter::new(
    "smsgw_engine_kept_records_total",
    "Records copied out of a generation of which little was left.",
    &[],
);
