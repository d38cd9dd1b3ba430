//! The answer of `/status`: one shape for the listener, for `smsgw status` and for whoever reads the JSON
//! (`ops/docs/api/admin.md`).
//!
//! Values only. Fields are added, never renamed or given another type; a reader ignores those it does not know. No
//! secret, no phone number and no text of a message stands in it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a gateway is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// When this was so; all times are RFC 3339 in UTC with milliseconds.
    pub(crate) at: String,
    pub(crate) node: String,
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// Of the configuration in force, from 1.
    pub(crate) epoch: u64,
    pub(crate) ready: bool,
    /// Why not, when it is not.
    pub(crate) unready: Option<String>,
    pub(crate) engine: EngineState,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) listeners: Vec<Listener>,
    /// Records by queue and place.
    pub(crate) queues: BTreeMap<String, BTreeMap<String, u64>>,
    /// Absent when this process runs no operator node.
    pub(crate) links: Option<Vec<Link>>,
    /// Absent when this process runs no router node.
    pub(crate) receipts: Option<Vec<Receipts>>,
    /// Absent while the process starts.
    pub(crate) tree: Option<Part>,
}

/// The engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EngineState {
    /// `ready`, `low_space`, `poisoned` or `closed`.
    pub(crate) health: String,
    /// What poisoned it.
    pub(crate) cause: Option<String>,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    /// `critical` (messages stand still or the process will end) or `warning`.
    pub(crate) severity: String,
    /// `engine`, `part`, `channel`, `link`, `queue` or `config`.
    pub(crate) kind: String,
    /// Which one: a path of the tree, a link, a queue.
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// An open listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listener {
    /// `http` or `admin`.
    pub(crate) name: String,
    pub(crate) address: String,
}

/// Receipts of one link group since the process started, and how its carrier writes ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Receipts {
    pub(crate) operator: String,
    pub(crate) group: String,
    /// How the id of a receipt follows from that of the answer: `same`, `hex-to-decimal` or `decimal-to-hex`; null while every
    /// form is tried.
    pub(crate) form: Option<String>,
    /// By `message_ids`, not learnt.
    pub(crate) configured: bool,
    pub(crate) matched: u64,
    /// Came before the answer to their submit; each is matched or unknown later.
    pub(crate) parked: u64,
    pub(crate) unknown: u64,
    /// Of those matched or unknown, 0 to 1; null before the first.
    pub(crate) matched_share: Option<f64>,
}

/// One bind of a link to a carrier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) operator: String,
    pub(crate) link: String,
    /// `transceiver`, `transmitter`, `receiver`, or `none` when the protocol is not in this version or the link is stopped.
    pub(crate) bind: String,
    /// `down`, `connecting`, `bound`, `draining`, `unsupported` or `stopped`.
    pub(crate) state: String,
    pub(crate) since: String,
    pub(crate) peer: Option<String>,
    /// As configured; `outbind` (SMPP) or `call` (UCP) when the carrier connected.
    #[serde(default)]
    pub(crate) host: Option<String>,
    #[serde(default)]
    pub(crate) tls: bool,
    /// What both ends speak, while bound.
    #[serde(default)]
    pub(crate) version: Option<String>,
    pub(crate) reason: Option<String>,
    /// When it is tried again, while it waits for that.
    #[serde(default)]
    pub(crate) next_try: Option<String>,
    /// Orders in force: `held` (the link), `operator held`. What closes a link stands in `reason`.
    #[serde(default)]
    pub(crate) orders: Vec<String>,
    /// Parts per second that the operator's links may send together, and may now; null: not limited.
    #[serde(default)]
    pub(crate) rate: Option<f64>,
    #[serde(default)]
    pub(crate) rate_now: Option<f64>,
    pub(crate) in_flight: u64,
    pub(crate) window: u64,
    pub(crate) sent_per_second: f64,
    pub(crate) received_per_second: f64,
    /// Of the answers to submits of the last minute; null when there were none.
    pub(crate) answer_p50_ms: Option<f64>,
    pub(crate) answer_p99_ms: Option<f64>,
    /// What went wrong last, and when: an answer that was no ESME_ROK, or the end of a session.
    pub(crate) last_error: Option<String>,
    pub(crate) last_error_at: Option<String>,
}

/// One part of the supervision tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// `waiting`, `starting`, `running`, `backing off`, `draining`, `stopping`, `stopped` or `failed`.
    pub(crate) state: String,
    pub(crate) since: String,
    /// When it starts again, while it backs off.
    pub(crate) restart_at: Option<String>,
    pub(crate) restarts: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) failed_at: Option<String>,
    /// Messages that wait for a supervisor; null for a task.
    pub(crate) mailbox: Option<u64>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) children: Vec<Part>,
}

/// A bounded channel of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) depth: u64,
    pub(crate) capacity: u64,
}
