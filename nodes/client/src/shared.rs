//! What every request needs, whichever face it came by: the engine, the time, the tables of the epoch in force.
//!
//! Bounds the requests that wait for the engine. Knows no protocol.

use crate::admission::turn::Turns;
use crate::guard::{Guard, Seats};
use crate::http::slots::Slots;
use crate::metric;
use crate::password::Passwords;
use crate::tables::TablesHandle;
use smsgw_config::ConfigHandle;
use smsgw_history::History;
use smsgw_message::names;
use smsgw_queue::{Engine, LogName, QueueName};
use smsgw_runtime::Clock;
use smsgw_telemetry::HistogramHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// The node's parts, one for all listeners and sessions.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tables: TablesHandle,
    pub(crate) accepted: QueueName,
    pub(crate) events: LogName,
    pub(crate) alarms: QueueName,
    /// Messages whose record has expired, and searches; absent where no history is kept.
    pub(crate) history: Option<Arc<History>>,
    pub(crate) accept_seconds: HistogramHandle,
    /// Set when the listener takes no more: whoever waits for something to happen answers with what there is.
    pub(crate) draining: watch::Sender<bool>,
    pub(crate) passwords: Passwords,
    /// Addresses that failed to log in.
    pub(crate) guard: Guard,
    /// HTTP connections by account.
    pub(crate) seats: Seats,
    /// Uploads of batches that are under way.
    pub(crate) uploads: Slots,
    /// Requests for events of inboxes that wait or stream.
    pub(crate) readers: Slots,
    /// Whose request is worked on next.
    pub(crate) turns: Arc<Turns>,
    /// Requests that wait for the engine.
    waiting: AtomicUsize,
}

/// A place among the requests that wait for the engine; given back at its drop.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn new(engine: Arc<dyn Engine>, config: ConfigHandle, clock: Arc<dyn Clock>) -> Self {
        Self {
            engine,
            turns: Turns::new(clock.instant()),
            clock,
            tables: TablesHandle::new(config),
            accepted: QueueName::from(names::MT_ACCEPTED),
            events: LogName::from(names::EVENTS),
            alarms: QueueName::from(names::ALARMS),
            history: None,
            accept_seconds: metric::ACCEPT_SECONDS.with(&[]),
            draining: watch::Sender::new(false),
            passwords: Passwords::default(),
            guard: Guard::default(),
            seats: Seats::default(),
            uploads: Slots::default(),
            readers: Slots::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// With a history to search in.
    pub(crate) fn with_history(self, history: Option<Arc<History>>) -> Self {
        Self { history, ..self }
    }

    /// A place, unless `most` are taken. The bound is given each time, since a reload may change it.
    pub(crate) fn place(&self, most: u32) -> Option<Place<'_>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.waiting);
        (before < most).then_some(place)
    }
}
