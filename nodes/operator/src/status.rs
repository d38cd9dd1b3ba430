//! How the links are, for people: `/readyz` does not depend on it, status pages show it.
//!
//! Invariant: one entry per bind that runs; it goes when the bind is removed.

use crate::load::{LinkLoad, Load};
use crate::trace::{Capture, CaptureError, Watches};
use smsgw_message::{Clock, LinkId, OperatorId, Timestamp};
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
    /// Not to be opened: its operator is not enabled; its parts stay queued.
    Stopped,
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
            Self::Stopped => "stopped",
        }
    }

    /// Not bound, and trying to be.
    fn is_outage(self) -> bool {
        match self {
            Self::Down | Self::Connecting => true,
            Self::Bound | Self::Draining | Self::Unsupported | Self::Stopped => false,
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
            Self::Stopped => 5,
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
    /// Since when. Down and connecting in turn are one outage, which began with the first of them.
    pub since: Timestamp,
    /// The carrier's end, once connected.
    pub peer: Option<SocketAddr>,
    /// What the connection was made to, as configured; `outbind` when the carrier made it.
    pub host: Option<String>,
    /// The connection is encrypted.
    pub tls: bool,
    /// What both ends speak, while bound: `3.4`.
    pub version: Option<String>,
    /// Why it is down, when it is.
    pub reason: Option<String>,
    /// When it is tried again, while it is down and waits for that.
    pub next_try: Option<Timestamp>,
    /// Takes nothing from the queue: held by order or file (`links_held`).
    pub held: bool,
    /// The carrier refused the credentials of the last bind: somebody has to act. Stays until a bind is taken, or ends
    /// otherwise.
    pub credentials_refused: bool,
}

/// By link and bind.
type Entries = BTreeMap<(LinkId, &'static str), (LinkStatus, Option<Arc<Load>>)>;

/// Every bind of this node; clones see the same table.
#[derive(Debug, Clone, Default)]
pub struct LinkTable {
    entries: Arc<Mutex<Entries>>,
    pub(crate) watches: Watches,
}

impl LinkTable {
    /// How every bind is now.
    pub fn snapshot(&self) -> Vec<LinkStatus> {
        self.lock().values().map(|(status, _)| status.clone()).collect()
    }

    /// How every bind is now, and what goes over it.
    pub fn loads(&self) -> Vec<(LinkStatus, LinkLoad)> {
        let entries: Vec<_> = self.lock().values().cloned().collect();
        let load = |load: Option<Arc<Load>>| load.map_or_else(LinkLoad::default, |load| load.snapshot());
        entries
            .into_iter()
            .map(|(status, of)| (status, load(of)))
            .collect()
    }

    /// Begins to capture what goes over a link.
    pub fn capture(&self, link: &LinkId, clock: &dyn Clock) -> Result<Capture, CaptureError> {
        self.watches.capture(link, clock)
    }

    /// Shows a bind; one that never has a session has no load.
    pub(crate) fn set(&self, mut status: LinkStatus, load: Option<&Arc<Load>>) {
        let key = (status.link.clone(), status.bind);
        let mut entries = self.lock();
        if let Some((before, _)) = entries.get(&key)
            && before.state.is_outage()
            && status.state.is_outage()
        {
            status.since = before.since;
        }
        entries.insert(key, (status, load.cloned()));
    }

    /// Changes what is shown of a bind, if it is shown.
    pub(crate) fn update(&self, link: &LinkId, bind: &'static str, change: impl FnOnce(&mut LinkStatus)) {
        if let Some((status, _)) = self.lock().get_mut(&(link.clone(), bind)) {
            change(status);
        }
    }

    pub(crate) fn remove(&self, link: &LinkId, bind: &'static str) {
        self.lock().remove(&(link.clone(), bind));
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
