//! What the router counts. Labels are operators, clients and words: all bounded by the configuration.

use smsgw_telemetry::Counter;

/// Receipts that belong to nothing we sent, by operator; each is kept as a dead letter of `up.<p>`.
/// A rise after a crash means answers of submits were lost. A steady rise means the carrier writes ids differently in
/// answers and in receipts, or sends receipts to the wrong account.
pub static RECEIPTS_UNKNOWN_TOTAL: Counter = Counter::new(
    "smsgw_receipts_unknown_total",
    "Receipts that belong to nothing we sent.",
    &["operator"],
);

/// Receipts that were matched with a part, by operator and by the form of the id that did it (`same`, `hex-to-decimal`,
/// `decimal-to-hex`). With parked and unknown receipts beside it, it shows the share that is matched.
/// Two forms at one operator mean that the carrier's platforms differ, or that it has changed its habit: `smsgw status` shows
/// whether it is taken for one that mixes them.
pub static RECEIPTS_MATCHED_TOTAL: Counter = Counter::new(
    "smsgw_receipts_matched_total",
    "Receipts that were matched with a part.",
    &["operator", "form"],
);

/// Receipts that came before the answer to their submit and wait for it, by operator.
/// Fast carriers always have some; together with unknown receipts a rise means answers are lost.
pub static RECEIPTS_PARKED_TOTAL: Counter = Counter::new(
    "smsgw_receipts_parked_total",
    "Receipts that came before the answer to their submit.",
    &["operator"],
);

/// Receipts and answers for a part that was final already, by operator; they change nothing.
/// A rise means the carrier repeats receipts: our answers reach it late.
pub static RECEIPTS_DUPLICATE_TOTAL: Counter = Counter::new(
    "smsgw_receipts_duplicate_total",
    "Receipts and submit answers for a part that was final already.",
    &["operator"],
);

/// Receipts that came after their part was given up, by operator: behind validity and grace, or for a message whose record
/// is gone. They change nothing.
/// A rise means that `limits.receipt_grace` is shorter than the carrier takes.
pub static RECEIPTS_LATE_TOTAL: Counter = Counter::new(
    "smsgw_receipts_late_total",
    "Receipts for a part that was given up before.",
    &["operator"],
);

/// Receipts that nobody asked for, by operator: their part was final when it was sent. They change nothing.
/// Any number means a carrier that does not heed registered_delivery.
pub static RECEIPTS_UNREQUESTED_TOTAL: Counter = Counter::new(
    "smsgw_receipts_unrequested_total",
    "Receipts that were not asked for.",
    &["operator"],
);

/// Receipts from an operator that did not take a part, while another one has it, by operator. They change nothing.
/// Any number: the operator refused a part and sent it all the same; its phone may have got it twice.
pub static RECEIPTS_ELSEWHERE_TOTAL: Counter = Counter::new(
    "smsgw_receipts_elsewhere_total",
    "Receipts for a part that another operator has.",
    &["operator"],
);

/// Parts that were given to another operator, by the one that did not take them and the next one.
/// A rise is a carrier that refuses what it should take, or a list `reroute` that holds too much.
pub static REROUTED_TOTAL: Counter = Counter::new(
    "smsgw_router_rerouted_total",
    "Parts given to another operator.",
    &["from", "to"],
);

/// Parts that waited for an operator and were given to another one by order of an administrator, by both.
/// It rises while `smsgw operator move` is done, and at no other time.
pub static MOVED_TOTAL: Counter = Counter::new(
    "smsgw_router_moved_total",
    "Parts given to another operator by order.",
    &["from", "to"],
);

/// Messages of which parts were to go to another operator and did not, by operator and reason: `no_operator` (all of the
/// route were tried, or are not enabled), `limit` (`limits.reroutes`), `expired` (the validity), `too_late`
/// (`failover.within` of the route) and `incomplete` (another part has failed for good). A rise of `no_operator`: the route has too few operators for what the carriers refuse.
pub static REROUTES_ENDED_TOTAL: Counter = Counter::new(
    "smsgw_router_reroutes_ended_total",
    "Messages of which parts were to go elsewhere and did not.",
    &["operator", "reason"],
);

/// Carrier ids that were given to a second part while the first was still remembered, by operator.
/// A rise means the carrier's ids are too short: reports of the earlier parts are lost to the later ones.
pub static CARRIER_IDS_REUSED_TOTAL: Counter = Counter::new(
    "smsgw_router_carrier_ids_reused_total",
    "Carrier ids given to another part while still remembered.",
    &["operator"],
);

/// Submit results of messages whose record is gone, by operator; each is kept as a dead letter of `up.<p>`.
/// A rise means results come later than validity, grace and retention together.
pub static RESULTS_ORPHANED_TOTAL: Counter = Counter::new(
    "smsgw_router_results_orphaned_total",
    "Submit results of messages whose record is gone.",
    &["operator"],
);

/// Reports that have no target, by client: the message has no callback, and the client is no longer configured.
/// A rise means that an account was taken out of the file while its messages were under way.
pub static REPORTS_WITHOUT_TARGET_TOTAL: Counter = Counter::new(
    "smsgw_reports_without_target_total",
    "Reports that have no target.",
    &["client"],
);

/// MO that no route takes, by operator; each is kept as a dead letter of `up.<p>`.
/// A rise means a number or keyword is in use that `[[route.mo]]` does not name.
pub static MO_UNROUTABLE_TOTAL: Counter = Counter::new(
    "smsgw_mo_unroutable_total",
    "Messages from phones that no route takes.",
    &["operator"],
);

/// MO whose client is not configured, by client; each is kept as a dead letter of `down.callback`.
/// A rise means that a route names an account that is gone; once it is back its dead letters can be released.
pub static MO_WITHOUT_TARGET_TOTAL: Counter = Counter::new(
    "smsgw_mo_without_target_total",
    "Messages from phones whose client has no target.",
    &["client"],
);

/// Parts of long MO that had come before, by operator; they are ignored.
/// A rise means the carrier repeats MO: our answers reach it late.
pub static MO_PARTS_DUPLICATE_TOTAL: Counter = Counter::new(
    "smsgw_mo_parts_duplicate_total",
    "Parts of long MO that had come before.",
    &["operator"],
);

/// Long MO delivered without all their parts, by operator.
/// A rise means the carrier loses parts, or delays them beyond `limits.reassembly`.
pub static MO_INCOMPLETE_TOTAL: Counter = Counter::new(
    "smsgw_mo_incomplete_total",
    "Long MO delivered without all their parts.",
    &["operator"],
);

/// Answers of routes and keywords, by client and outcome: `asked` (the client node has the request; its metric says what became of
/// it), `no_phone` (a name or short code wrote), `own_text` (the text is such an answer itself). A rise of `own_text` means that
/// an answer goes to a number that routes back to us.
pub static AUTO_REPLIES_TOTAL: Counter = Counter::new(
    "smsgw_router_auto_replies_total",
    "Answers of routes and keywords.",
    &["client", "outcome"],
);

/// Messages from phones that were keywords, by client and keyword: `stop`, `start`, `help`.
/// A rise of `stop` means that people do not want what the client sends.
pub static KEYWORDS_TOTAL: Counter = Counter::new(
    "smsgw_router_keywords_total",
    "Messages from phones that were keywords.",
    &["client", "keyword"],
);

/// Records that could not be decoded, by queue; each is kept as corrupt.
/// Any rise needs a person: a newer version wrote them, or the disk is damaged.
pub static CORRUPT_TOTAL: Counter = Counter::new(
    "smsgw_router_corrupt_total",
    "Records or state that could not be decoded.",
    &["queue"],
);

/// Steps that were decided again because state changed under them, by queue.
/// Some are normal where a message's parts go over several link groups, and where receipts come before their answers; a steady rise
/// costs throughput.
pub static CONTENDED_TOTAL: Counter = Counter::new(
    "smsgw_router_contended_total",
    "Steps decided again because state changed under them.",
    &["queue"],
);

/// Steps whose lease was stale, by queue: somebody else has the record.
/// Any rise outside of restarts means leases are lost.
pub static STALE_TOTAL: Counter = Counter::new(
    "smsgw_router_stale_total",
    "Steps whose lease was stale.",
    &["queue"],
);
