//! Looks at what goes over a link, octet for octet: `pdu_log` writes a line for each PDU, a [`Capture`] gives a pcapng file.
//!
//! ```text
//! driver ── Tapped ── SessionTap ── cut, frames ──▶ PDUs ──▶ pdu_log     one line each
//!                                             └─mask─▶ bounded channel ──▶ Capture ── pcapng ──▶ whoever asked
//! ```
//! Knows no file. Invariants: a session never waits for whoever looks: what a capture is too slow for is left out, counted,
//! and a gap in the file. No password leaves this module. While nobody looks, a read or write of the socket costs two loads
//! and a few instructions for each PDU in it, to stay in step with the stream.
//!
//! # Limits
//! A PDU that was under way when looking began is not shown. Of what is no PDU only the beginning is. Links over HTTP have none.

mod cut;
mod frames;
mod mask;
mod pcapng;

use crate::bind::Bind;
use crate::pdu_log::{Lines, PduLog};
use bytes::Bytes;
use cut::{Cut, Cutter};
use frames::FrameCutter;
pub(crate) use pcapng::Direction;
use pcapng::{Flow, Offsets};
use smsgw_config::Protocol;
use smsgw_message::{LinkId, OperatorId, Timestamp};
use smsgw_runtime::Clock;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;
use tokio::sync::mpsc;

/// PDUs of a capture that wait to be written.
const WAITING: usize = 8192;
/// Their octets.
const WAITING_OCTETS: usize = 4 * 1024 * 1024;
/// Octets after which no further packet is appended at once. One packet has at most a PDU.
const BATCH: usize = 256 * 1024;
/// Captures of one link at once.
const CAPTURES: usize = 2;

/// Who looks at the sessions of one link, whatever becomes of those.
#[derive(Debug)]
pub(crate) struct Watch {
    link: LinkId,
    /// Whether `sinks` has any: read for every piece of a stream.
    capturing: AtomicBool,
    sinks: Mutex<Vec<Arc<Sink>>>,
    sessions: AtomicU32,
}

impl Watch {
    pub(crate) fn link(&self) -> &LinkId {
        &self.link
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Sink>>> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, said: &dyn Fn() -> Said, flow: Flow, now: Instant) {
        for sink in self.lock().iter() {
            sink.take(flow, said(), now);
        }
    }
}

/// The watches of a node's links, by link. A watch lives while its link or a capture of it does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watches(Arc<Mutex<BTreeMap<LinkId, Weak<Watch>>>>);

impl Watches {
    /// The watch of a link that there is.
    pub(crate) fn of(&self, link: &LinkId) -> Arc<Watch> {
        let mut watches = self.lock();
        watches.retain(|_, watch| watch.strong_count() > 0);
        if let Some(watch) = watches.get(link).and_then(Weak::upgrade) {
            return watch;
        }
        let watch = Arc::new(Watch {
            link: link.clone(),
            capturing: AtomicBool::new(false),
            sinks: Mutex::default(),
            sessions: AtomicU32::new(0),
        });
        watches.insert(link.clone(), Arc::downgrade(&watch));
        watch
    }

    /// Begins to capture a link.
    pub(crate) fn capture(&self, link: &LinkId, clock: &dyn Clock) -> Result<Capture, CaptureError> {
        let watch = self.lock().get(link).and_then(Weak::upgrade);
        let watch = watch.ok_or(CaptureError::NoSuchLink)?;
        let mut sinks = watch.lock();
        if sinks.len() >= CAPTURES {
            return Err(CaptureError::Busy);
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let sink = Arc::new(Sink {
            sender,
            began: (clock.now(), clock.instant()),
            waiting: AtomicUsize::new(0),
            pdus: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        });
        sinks.push(Arc::clone(&sink));
        watch.capturing.store(true, Ordering::Relaxed);
        drop(sinks);
        Ok(Capture {
            watch,
            sink,
            receiver,
            last_micros: 0,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LinkId, Weak<Watch>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a link cannot be captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// No link of this node has that name.
    #[error("there is no such link")]
    NoSuchLink,
    /// Enough of them run.
    #[error("the link is being captured {CAPTURES} times already")]
    Busy,
}

/// What a bind's task needs to let its sessions be looked at.
#[derive(Debug, Clone)]
pub(crate) struct LinkTap {
    pub(crate) watch: Arc<Watch>,
    pub(crate) pdu_log: Arc<PduLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) operator: OperatorId,
    pub(crate) bind: Bind,
}

impl LinkTap {
    /// A session begins, on a connection to this peer.
    pub(crate) fn session(&self, protocol: Protocol, peer: SocketAddr) -> SessionTap {
        let wire = match protocol {
            Protocol::Smpp | Protocol::Http => Wire::Smpp,
            Protocol::Ucp => Wire::Ucp,
        };
        let session = self.watch.sessions.fetch_add(1, Ordering::Relaxed);
        let flow = Flow { session, peer };
        if self.watch.capturing.load(Ordering::Relaxed) {
            self.watch.tell(&|| Said::Opened, flow, self.clock.instant());
        }
        SessionTap {
            tap: self.clone(),
            flow,
            wire,
            sent: Cutting::of(wire),
            received: Cutting::of(wire),
            lines: Lines::default(),
        }
    }
}

/// What is spoken over a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Smpp,
    Ucp,
}

/// One direction of a session.
#[derive(Debug)]
enum Cutting {
    Smpp(Cutter),
    Ucp(FrameCutter),
}

impl Cutting {
    fn of(wire: Wire) -> Self {
        match wire {
            Wire::Smpp => Self::Smpp(Cutter::default()),
            Wire::Ucp => Self::Ucp(FrameCutter::default()),
        }
    }

    fn at(&self) -> u64 {
        match self {
            Self::Smpp(cutter) => cutter.at(),
            Self::Ucp(cutter) => cutter.at(),
        }
    }

    fn pass(&mut self, octets: &[u8], looking: bool, show: impl FnMut(u64, Cut<'_>)) {
        match self {
            Self::Smpp(cutter) => cutter.pass(octets, looking, show),
            Self::Ucp(cutter) => cutter.pass(octets, looking, show),
        }
    }
}

/// Looks at one session, for as long as its connection lives.
#[derive(Debug)]
pub(crate) struct SessionTap {
    tap: LinkTap,
    flow: Flow,
    wire: Wire,
    sent: Cutting,
    received: Cutting,
    lines: Lines,
}

impl SessionTap {
    fn see(&mut self, direction: Direction, octets: &[u8]) {
        let Self {
            tap,
            flow,
            wire,
            sent,
            received,
            lines,
        } = self;
        let logging = tap.pdu_log.is_on();
        let capturing = tap.watch.capturing.load(Ordering::Relaxed);
        let (own, other) = match direction {
            Direction::Out => (sent, received.at()),
            Direction::In => (received, sent.at()),
        };
        own.pass(octets, logging || capturing, |at, cut| {
            let now = tap.clock.instant();
            if logging {
                lines.write(tap, *wire, direction, cut.octets(), now);
            }
            if capturing {
                let pdu = without_secret(*wire, cut);
                let offsets = Offsets { own: at, other };
                let said = || Said::Octets(direction, offsets, pdu.clone());
                tap.watch.tell(&said, *flow, now);
            }
        });
    }
}

fn without_secret(wire: Wire, cut: Cut<'_>) -> Bytes {
    let octets = cut.octets();
    if mask::has_secret(wire, octets) {
        let mut masked = octets.to_vec();
        mask::mask(wire, &mut masked);
        Bytes::from(masked)
    } else {
        Bytes::copy_from_slice(octets)
    }
}

impl smsgw_transport::Tap for SessionTap {
    fn received(&mut self, octets: &[u8]) {
        self.see(Direction::In, octets);
    }

    fn sent(&mut self, octets: &[u8]) {
        self.see(Direction::Out, octets);
    }
}

impl Drop for SessionTap {
    fn drop(&mut self) {
        self.lines.end(&self.tap);
        if self.tap.watch.capturing.load(Ordering::Relaxed) {
            let (sent, received) = (self.sent.at(), self.received.at());
            let said = || Said::Closed { sent, received };
            self.tap.watch.tell(&said, self.flow, self.tap.clock.instant());
        }
    }
}

#[derive(Debug)]
enum Said {
    Opened,
    Octets(Direction, Offsets, Bytes),
    Closed { sent: u64, received: u64 },
}

#[derive(Debug)]
struct Seen {
    at_micros: u64,
    flow: Flow,
    said: Said,
}

/// The sessions' end of a capture.
#[derive(Debug)]
struct Sink {
    sender: mpsc::Sender<Seen>,
    /// Wall time and monotonic time at the beginning: between them, microseconds.
    began: (Timestamp, Instant),
    waiting: AtomicUsize,
    pdus: AtomicU64,
    left_out: AtomicU64,
}

impl Sink {
    fn take(&self, flow: Flow, said: Said, now: Instant) {
        let (octets, is_pdu) = match &said {
            Said::Octets(.., octets) => (octets.len(), true),
            Said::Opened | Said::Closed { .. } => (0, false),
        };
        let seen = Seen {
            at_micros: self.micros(now),
            flow,
            said,
        };
        let room = self.waiting.load(Ordering::Relaxed).saturating_add(octets) <= WAITING_OCTETS;
        // Counted before it is sent: the other side takes it off again.
        self.waiting.fetch_add(octets, Ordering::Relaxed);
        if room && self.sender.try_send(seen).is_ok() {
            self.pdus.fetch_add(u64::from(is_pdu), Ordering::Relaxed);
        } else {
            self.waiting.fetch_sub(octets, Ordering::Relaxed);
            self.left_out.fetch_add(u64::from(is_pdu), Ordering::Relaxed);
        }
    }

    fn micros(&self, now: Instant) -> u64 {
        let (wall, began) = self.began;
        let wall = u64::try_from(wall.as_millis()).unwrap_or(0).saturating_mul(1000);
        let since = now.saturating_duration_since(began).as_micros();
        wall.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

/// What a capture has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureCounts {
    /// PDUs taken.
    pub pdus: u64,
    /// PDUs left out because they came faster than they were taken away.
    pub left_out: u64,
}

/// A capture of one link, as pcapng. Ends when it is dropped; sessions that begin and end meanwhile are all in it.
#[derive(Debug)]
pub struct Capture {
    watch: Arc<Watch>,
    sink: Arc<Sink>,
    receiver: mpsc::Receiver<Seen>,
    last_micros: u64,
}

impl Capture {
    /// Appends the head of the file.
    pub fn head(&self, out: &mut Vec<u8>) {
        pcapng::head(self.watch.link.as_str(), out);
    }

    /// Waits for packets and appends some of them, not much more than 300 KiB. Dropping the future loses none.
    pub async fn next(&mut self, out: &mut Vec<u8>) {
        let Some(first) = self.receiver.recv().await else {
            // Cannot be: we hold a sender ourselves.
            return std::future::pending().await;
        };
        self.write(first, out);
        while out.len() < BATCH {
            match self.receiver.try_recv() {
                Ok(seen) => self.write(seen, out),
                Err(mpsc::error::TryRecvError::Empty | mpsc::error::TryRecvError::Disconnected) => break,
            }
        }
    }

    /// Takes nothing more; appends packets that came before, until `room` octets are there, and the end of the file. What
    /// finds no room counts as left out.
    pub fn finish(mut self, room: usize, out: &mut Vec<u8>) -> CaptureCounts {
        self.receiver.close();
        let mut late = 0_u64;
        while let Ok(seen) = self.receiver.try_recv() {
            if out.len() < room {
                self.write(seen, out);
            } else {
                late = late.saturating_add(u64::from(matches!(seen.said, Said::Octets(..))));
            }
        }
        let CaptureCounts { pdus, left_out } = self.counts();
        let counts = CaptureCounts {
            pdus: pdus.saturating_sub(late),
            left_out: left_out.saturating_add(late),
        };
        let all = pdus.saturating_add(left_out);
        pcapng::tail(self.last_micros, all, counts.left_out, out);
        counts
    }

    /// What was seen so far.
    pub fn counts(&self) -> CaptureCounts {
        CaptureCounts {
            pdus: self.sink.pdus.load(Ordering::Relaxed),
            left_out: self.sink.left_out.load(Ordering::Relaxed),
        }
    }

    fn write(&mut self, seen: Seen, out: &mut Vec<u8>) {
        let Seen {
            at_micros,
            flow,
            said,
        } = seen;
        self.last_micros = self.last_micros.max(at_micros);
        match said {
            Said::Opened => pcapng::opened(at_micros, flow, out),
            Said::Octets(direction, offsets, octets) => {
                self.sink.waiting.fetch_sub(octets.len(), Ordering::Relaxed);
                pcapng::octets(at_micros, flow, direction, offsets, &octets, out);
            }
            Said::Closed { sent, received } => pcapng::closed(at_micros, flow, sent, received, out),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let mut sinks = self.watch.lock();
        sinks.retain(|sink| !Arc::ptr_eq(sink, &self.sink));
        self.watch.capturing.store(!sinks.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
