//! The answers of `/trace/link` and `/trace/message`: one shape for the listener, for `smsgw trace` and for whoever reads the
//! JSON (`ops/docs/api/admin.md`).
//!
//! Values only. Fields are added, never renamed or given another type.

use serde::{Deserialize, Serialize};

/// One line of the answer of `/trace/link`; there is one at the start, one each second, one at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Where the capture is, on the gateway's machine. Whole once `ended` is there.
    pub(crate) file: String,
    pub(crate) pdus: u64,
    /// PDUs that came faster than they could be written; each is a gap in the file.
    pub(crate) left_out: u64,
    /// Size of the file so far.
    pub(crate) octets: u64,
    /// `time`, `size`, `stopped` (whoever asked is gone), `disk` or `draining`; absent while it runs.
    pub(crate) ended: Option<String>,
    /// What the disk said.
    pub(crate) error: Option<String>,
}

/// The answer of `/trace/message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// What was asked for.
    pub(crate) id: String,
    /// Messages that it may mean; several when carriers gave the same id.
    pub(crate) messages: Vec<Message>,
    /// Receipts that wait for the answer to their submit.
    pub(crate) parked: Vec<Parked>,
    /// Messages whose record has expired and that no history knows, though a carrier's id still points at them.
    pub(crate) gone: Vec<String>,
    /// Why the message history could not be asked, when it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) history_error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) message_id: String,
    pub(crate) found_by: FoundBy,
    pub(crate) client: String,
    pub(crate) reference: Option<String>,
    pub(crate) class: String,
    /// The last three characters, unless `log.bodies` is on.
    pub(crate) from: Option<String>,
    /// The last three characters, unless `log.bodies` is on.
    pub(crate) to: String,
    pub(crate) encoding: String,
    pub(crate) accepted_at: String,
    pub(crate) valid_until: String,
    pub(crate) state: String,
    pub(crate) is_final: bool,
    pub(crate) error: Option<String>,
    pub(crate) parts: Vec<Part>,
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    /// When the client answered to the final report.
    pub(crate) told_at: Option<String>,
    pub(crate) told_attempts: Option<u32>,
}

/// Which id led to the message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FoundBy {
    /// `message_id`, `carrier_id`, `reference` or `number`; what only the history knows has no group, part and form.
    pub(crate) kind: String,
    /// Of a carrier's id.
    pub(crate) group: Option<String>,
    pub(crate) part: Option<u16>,
    pub(crate) carrier_id: Option<String>,
    /// `same`, `hex-to-decimal` or `decimal-to-hex`.
    pub(crate) form: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// From 1.
    pub(crate) part: u16,
    pub(crate) state: String,
    pub(crate) is_final: bool,
    pub(crate) operator: Option<String>,
    pub(crate) link: Option<String>,
    pub(crate) carrier_id: Option<String>,
    pub(crate) error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: String,
    pub(crate) event: String,
    /// Of which part; absent for the whole message.
    pub(crate) part: Option<u16>,
    pub(crate) detail: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parked {
    pub(crate) group: String,
    pub(crate) carrier_id: String,
    pub(crate) state: String,
    pub(crate) link: String,
    pub(crate) at: String,
}
