//! How the links are, for people: `/readyz` does not depend on it, status pages show it.
//!
//! Invariant: one entry per bind that runs; it goes when the bind is removed.

use smsgw_message::{LinkId, OperatorId, Timestamp};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// State of a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// Not connected; waiting before the next try.
    Down,
    /// Connecting or binding.
    Connecting,
    /// Bound.
    Bound,
    /// Takes no new parts, waits for answers, unbinds.
    Draining,
    /// This version does not speak the operator's protocol; its parts stay queued.
    Unsupported,
}

impl LinkState {
    /// The word in logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Connecting => "connecting",
            Self::Bound => "bound",
            Self::Draining => "draining",
            Self::Unsupported => "unsupported",
        }
    }

    /// The value of `smsgw_operator_link_state`.
    pub fn number(self) -> i64 {
        match self {
            Self::Down => 0,
            Self::Connecting => 1,
            Self::Bound => 2,
            Self::Draining => 3,
            Self::Unsupported => 4,
        }
    }
}

/// How one bind is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// Whose.
    pub operator: OperatorId,
    /// Which link. The two binds of a `transmitter+receiver` link share it.
    pub link: LinkId,
    /// `transceiver`, `transmitter` or `receiver`.
    pub bind: &'static str,
    /// Its state.
    pub state: LinkState,
    /// Since when.
    pub since: Timestamp,
    /// The carrier's end, once connected.
    pub peer: Option<SocketAddr>,
    /// Why it is down, when it is.
    pub reason: Option<String>,
}

/// Every bind of this node; clones see the same table.
#[derive(Debug, Clone, Default)]
pub struct LinkTable {
    entries: Arc<Mutex<BTreeMap<(LinkId, &'static str), LinkStatus>>>,
}

impl LinkTable {
    /// How every bind is now.
    pub fn snapshot(&self) -> Vec<LinkStatus> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn set(&self, status: LinkStatus) {
        self.lock().insert((status.link.clone(), status.bind), status);
    }

    pub(crate) fn remove(&self, link: &LinkId, bind: &'static str) {
        self.lock().remove(&(link.clone(), bind));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(LinkId, &'static str), LinkStatus>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
