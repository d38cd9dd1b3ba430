//! What goes down to bound clients: reports and MO of `down.smpp`, one flow for each client.
//!
//! ```text
//! down.smpp ─checkout─▶ dispatch ─job─▶ session ─render─▶ deliver_sm … answers ─▶ outcome ─▶ settle · release · dead letter
//! ```
//! A job holds its delivery (the lease) and its slot in the window of a bind: whoever drops it gives both back.

pub(super) mod dispatch;
pub(super) mod outcome;
pub(super) mod receipt;
pub(super) mod render;

use super::binds::Slot;
use smsgw_message::{Down, DownKind};
use smsgw_queue::Delivery;

/// A report or MO on its way to one bind.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) delivery: Delivery,
    pub(super) down: Down,
    #[expect(dead_code, reason = "held until its drop gives the slot back")]
    slot: Option<Slot>,
}

impl Job {
    pub(super) fn new(delivery: Delivery, down: Down) -> Self {
        Self {
            delivery,
            down,
            slot: None,
        }
    }

    /// With the slot it takes in a window.
    pub(super) fn with(self, slot: Slot) -> Self {
        Self {
            slot: Some(slot),
            ..self
        }
    }

    /// Gives the slot back.
    pub(super) fn without_slot(self) -> Self {
        Self { slot: None, ..self }
    }
}

/// The word in metrics.
pub(super) fn kind(down: &Down) -> &'static str {
    match &down.what {
        DownKind::Report(_) => "report",
        DownKind::Mo(_) => "mo",
    }
}
