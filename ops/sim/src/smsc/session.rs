//! One connection of the simulated carrier: its bind, its octets in both directions, and what it owes.
//!
//! A value without a will: the machine decides. Invariant: `out` holds whole PDUs, except those that are wrong on purpose.

use super::account::Outgoing;
use super::http::Http;
use super::options::Sequences;
use super::ucp::Ucp;
use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Instant;

/// How an ESME is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Transmitter,
    Receiver,
    Transceiver,
}

impl Kind {
    pub(super) const fn can_submit(self) -> bool {
        matches!(self, Self::Transmitter | Self::Transceiver)
    }

    pub(super) const fn can_receive(self) -> bool {
        matches!(self, Self::Receiver | Self::Transceiver)
    }
}

/// Where the session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not bound.
    Open,
    /// A bind waits for its answer.
    Asked,
    /// Bound.
    Bound,
    /// Our unbind is sent.
    Unbinding,
    /// Over: what is in `out` is sent, then the connection is closed.
    Closed,
}

/// A delivery that waits for its answer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) outgoing: Outgoing,
    /// Tells this delivery from another with the same number.
    pub(super) stamp: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    /// Where it speaks UCP.
    pub(super) ucp: Option<Box<Ucp>>,
    /// Where it speaks HTTP.
    pub(super) http: Option<Box<Http>>,
    pub(super) state: State,
    pub(super) account: Option<usize>,
    pub(super) kind: Option<Kind>,
    /// interface_version of its bind.
    pub(super) version: u8,
    /// The start of a PDU that has not come whole.
    pub(super) input: BytesMut,
    pub(super) out: BytesMut,
    /// It is in the list of sessions with something new.
    pub(super) dirty: bool,
    /// It takes everything and answers nothing.
    pub(super) half_dead: bool,
    /// Nothing is read from it any more.
    pub(super) deaf: bool,
    /// It ends with a reset.
    pub(super) reset: bool,
    pub(super) window: usize,
    pub(super) outstanding: FxHashMap<u32, Sent>,
    /// When deliveries time out: by number and stamp; answered ones are left in and passed over.
    pub(super) deadlines: VecDeque<(Instant, u32, u64)>,
    /// Numbers of deliveries that timed out lately.
    pub(super) late: VecDeque<u32>,
    /// Submits without an answer.
    pub(super) pending: usize,
    /// Answers held to be sent in another order, with the id they give.
    pub(super) held: Vec<(Bytes, Option<Box<str>>)>,
    /// Ids given lately, where there is a ledger: a cut may overtake them.
    pub(super) given: VecDeque<(Instant, Box<str>)>,
    /// How many of these, the latest, no socket has had.
    pub(super) unsent: usize,
    pub(super) submits: u64,
    sequences: Sequences,
    next_sequence: u32,
    pub(super) opened: Instant,
    pub(super) last_received: Instant,
    pub(super) last_enquire: Instant,
    pub(super) last_activity: Instant,
    pub(super) enquire_sent: Option<Instant>,
    /// When its times are looked at next.
    pub(super) check_at: Option<Instant>,
}

/// Numbers of timed-out deliveries kept.
const LATE: usize = 1024;

impl Session {
    pub(super) fn new(now: Instant, window: usize, sequences: Sequences) -> Self {
        let (window, next_sequence) = match sequences {
            Sequences::Proper => (window, 1),
            Sequences::Zero => (1, 0),
            Sequences::Restarted => (window.min(8), 1),
            Sequences::High => (window, 0x8000_0000),
        };
        Self {
            ucp: None,
            http: None,
            state: State::Open,
            account: None,
            kind: None,
            version: 0,
            input: BytesMut::new(),
            out: BytesMut::new(),
            dirty: false,
            half_dead: false,
            deaf: false,
            reset: false,
            window: window.max(1),
            outstanding: FxHashMap::default(),
            deadlines: VecDeque::new(),
            late: VecDeque::new(),
            pending: 0,
            held: Vec::new(),
            given: VecDeque::new(),
            unsent: 0,
            submits: 0,
            sequences,
            next_sequence,
            opened: now,
            last_received: now,
            last_enquire: now,
            last_activity: now,
            enquire_sent: None,
            check_at: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether a delivery may be sent on it now.
    pub(super) fn has_room(&self) -> bool {
        self.state == State::Bound
            && self.outstanding.len() < self.window
            && self.kind.is_some_and(Kind::can_receive)
    }

    /// The number of our next request.
    pub(super) fn number(&mut self) -> u32 {
        loop {
            let number = self.next_sequence;
            self.next_sequence = match self.sequences {
                Sequences::Proper if number >= 0x7FFF_FFFF => 1,
                Sequences::Restarted if number >= 8 => 1,
                Sequences::Zero => 0,
                Sequences::High if number == u32::MAX => 0x8000_0000,
                Sequences::Proper | Sequences::Restarted | Sequences::High => number.saturating_add(1),
            };
            if !self.outstanding.contains_key(&number) || self.outstanding.len() >= self.window {
                return number;
            }
        }
    }

    pub(super) fn note_late(&mut self, sequence: u32) {
        if self.late.len() >= LATE {
            self.late.pop_front();
        }
        self.late.push_back(sequence);
    }

    /// Forgets deadlines of what is answered, so that the list stays as short as the window.
    pub(super) fn trim_deadlines(&mut self) {
        while let Some((_, sequence, stamp)) = self.deadlines.front() {
            if self
                .outstanding
                .get(sequence)
                .is_some_and(|sent| sent.stamp == *stamp)
            {
                return;
            }
            self.deadlines.pop_front();
        }
    }
}
