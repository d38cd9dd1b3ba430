//! The carrier as a machine: octets of connections and time go in, octets and lines for the ledger come out.
//!
//! Knows no socket and reads no clock; everything random comes from the seed. It does what a proper carrier would do and
//! passes that through the habits of this one: `judge` (what is taken), `answer` (how it is said), `report` (receipts),
//! `delivery` (what is sent when and where). Invariants:
//! - the line of a submit is there before its answer;
//! - a delivery is made once and stays until it is answered, refused for good or pushed out of a full outbox (counted);
//!   what a lost session had not answered goes to the next bind of its account;
//! - the same options, seed, input and times give the same output.
//!
//! # Limits
//! A delivery that timed out is sent again even if its late answer comes meanwhile. At most [`ACCOUNTS`] accounts are
//! known.

mod answer;
mod bind;
mod called;
mod delivery;
mod judge;
mod owed;
mod query;
mod report;
mod submit;
mod times;

use super::account::{Account, Outgoing};
use super::agenda::Agenda;
use super::http::{self, Bringer, Http, Taker};
use super::mo::{MoBatch, MoSource};
use super::options::{BindQuirks, Protocol, ReceiptForm, ReceiptWhen, SmscOptions};
use super::session::{Kind, Session, State};
use super::stats::SmscStats;
use super::store::Store;
use super::ucp::{self, Keys, Ucp};
use super::wire::{self, ANSWER, Cut, Head, Operation, cut, id, pdu};
use crate::ledger::Fate;
use crate::line::Line;
use bytes::BytesMut;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustc_hash::FxHashMap;
use smsgw_message::Timestamp;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Accounts known at most; binds of further ones are refused.
const ACCOUNTS: usize = 10_000;

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A point in time, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For delays.
    pub instant: Instant,
    /// For receipts and ledgers.
    pub wall: Timestamp,
}

/// What shall become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Open,
    /// Go on, without reading.
    Deaf,
    /// Send what there is, then close.
    Closing,
    /// Close at once, with a reset.
    Resetting,
}

#[derive(Debug)]
enum Job {
    Answer {
        session: SessionId,
        sequence: u32,
        operation: Operation,
        status: u32,
        id: Box<str>,
    },
    Deliver {
        account: usize,
        outgoing: Outgoing,
        /// Message the receipt is about; 0 none.
        number: u64,
    },
    /// Answer a bind.
    Bind { session: SessionId, sequence: u32 },
    /// Send held answers.
    Release(SessionId),
    /// Look at the times of a session.
    Check(SessionId),
}

/// See the module.
#[derive(Debug)]
pub struct Smsc {
    options: SmscOptions,
    rng: StdRng,
    run: u32,
    next_id: u64,
    next_stamp: u64,
    sessions: FxHashMap<SessionId, Session>,
    accounts: Vec<Account>,
    account_names: FxHashMap<Box<[u8]>, usize>,
    agenda: Agenda<Job>,
    batches: VecDeque<MoSource>,
    store: Store,
    debts: owed::Debts,
    dirty: VecDeque<SessionId>,
    records: Option<Vec<u8>>,
    stats: SmscStats,
    /// Of sessions that speak UCP.
    keys: Keys,
    /// When something happened last.
    wall: Timestamp,
}

/// UCP and HTTP tell id and state in fields of their own; HTTP has no keep-alive and no answer to a bind.
fn spoken(options: SmscOptions) -> SmscOptions {
    match options.protocol {
        Protocol::Smpp => options,
        Protocol::Ucp => SmscOptions {
            receipt_form: ReceiptForm::Both,
            ..options
        },
        Protocol::Http => SmscOptions {
            receipt_form: ReceiptForm::Both,
            receipts: match options.http.inbound {
                Some(_) => options.receipts,
                None => ReceiptWhen::Never,
            },
            binds: BindQuirks {
                bind_delay: Duration::ZERO,
                enquire_link: Duration::ZERO,
                enquire_before_bind: false,
                ..options.binds
            },
            ..options
        },
    }
}

impl Smsc {
    /// A carrier; `records` says whether anybody wants ledger records.
    #[must_use]
    pub fn new(options: SmscOptions, now: Moment, records: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(options.seed);
        let millis = u64::try_from(now.wall.as_millis()).unwrap_or(0);
        Self {
            run: rng.random::<u32>() ^ u32::try_from(millis % (1 << 32)).unwrap_or(0),
            rng,
            // Ten thousand ids a millisecond of run time before a restart could repeat one.
            next_id: options.first_id.unwrap_or_else(|| millis.saturating_mul(10_000)),
            next_stamp: 0,
            sessions: FxHashMap::default(),
            accounts: Vec::new(),
            account_names: FxHashMap::default(),
            agenda: Agenda::new(),
            batches: VecDeque::new(),
            store: Store::default(),
            debts: owed::Debts::default(),
            dirty: VecDeque::new(),
            records: records.then(Vec::new),
            stats: SmscStats::default(),
            keys: Keys::default(),
            wall: now.wall,
            options: spoken(options),
        }
    }

    /// Changes the behaviour from now on; windows, numbers and the name count for new sessions, the seed not at all.
    pub fn set_options(&mut self, options: SmscOptions) {
        self.options = spoken(options);
    }

    /// The behaviour now.
    #[must_use]
    pub const fn options(&self) -> &SmscOptions {
        &self.options
    }

    /// A connection was opened.
    pub fn handle_opened(&mut self, now: Moment, session: SessionId) {
        let speaks_ucp = self.options.protocol == Protocol::Ucp;
        let most = if speaks_ucp { ucp::WINDOW } else { usize::MAX };
        let mut opened = Session::new(
            now.instant,
            self.options.deliver_window.min(most),
            self.options.deliveries.sequences,
        );
        opened.ucp = speaks_ucp.then(|| Box::new(Ucp::new()));
        if self.options.protocol == Protocol::Http {
            let taker = Taker::new(self.options.system_id.is_some());
            opened.http = Some(Box::new(Http::Taker(taker)));
        }
        self.sessions.insert(session, opened);
        if self.options.binds.enquire_before_bind {
            self.request(session, id::ENQUIRE_LINK, |_| {});
        }
        self.check(now, session);
    }

    /// A connection to the gateway's inbound was opened (HTTP): deliveries go out over it, one at a time.
    pub fn handle_reached(&mut self, now: Moment, session: SessionId) {
        let mut opened = Session::new(now.instant, 1, self.options.deliveries.sequences);
        opened.http = Some(Box::new(Http::Bringer(Bringer::new(&self.options.http))));
        self.sessions.insert(session, opened);
        let name = self
            .options
            .system_id
            .as_deref()
            .unwrap_or(http::ACCOUNT)
            .to_owned();
        let password = self.options.password.clone().unwrap_or_default();
        let bind = Bringer::bind(name.as_bytes(), password.as_bytes());
        if let Cut::Pdu(head, body, _) = cut(&bind) {
            self.handle_bind(now, session, Kind::Receiver, head, body);
        }
    }

    /// Octets came, cut anywhere.
    pub fn handle_bytes(&mut self, now: Moment, session: SessionId, bytes: &[u8]) {
        let Some(known) = self.sessions.get_mut(&session).filter(|known| !known.is_over()) else {
            return;
        };
        known.last_received = now.instant;
        self.wall = now.wall;
        let translated = match (&mut known.ucp, &mut known.http) {
            (Some(ucp), _) => Some(ucp.take(bytes)),
            (None, Some(http)) => Some(http.take(bytes)),
            (None, None) => None,
        };
        let bytes = translated.as_deref().unwrap_or(bytes);
        let mut kept = std::mem::take(&mut known.input);
        let stream: &[u8] = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept
        };
        let mut rest = stream;
        loop {
            match cut(rest) {
                Cut::Pdu(head, body, length) => {
                    self.handle_pdu(now, session, head, body);
                    rest = rest.get(length..).unwrap_or(&[]);
                    if self.sessions.get(&session).is_none_or(Session::is_over) {
                        return;
                    }
                }
                Cut::Partial => break,
                Cut::BadLength => {
                    self.stats.undecodable = self.stats.undecodable.saturating_add(1);
                    self.send(session, id::GENERIC_NACK, 0x02, 0, |_| {});
                    return self.close(now, session, true);
                }
            }
        }
        let left = BytesMut::from(rest);
        if let Some(known) = self.sessions.get_mut(&session) {
            known.input = left;
        }
    }

    /// A connection is gone, whether the machine closed it or not.
    pub fn handle_ended(&mut self, now: Moment, session: SessionId) {
        self.close(now, session, true);
        self.sessions.remove(&session);
    }

    /// Asks an ESME that was connected to, to bind (SMPP 3.4 §4.1.7).
    pub fn outbind(&mut self, session: SessionId, password: &str) {
        let name = self.options.name.clone();
        self.request(session, id::OUTBIND, |out| {
            wire::put_string(out, name.as_bytes());
            wire::put_string(out, password.as_bytes());
        });
    }

    /// Cuts every connection now.
    pub fn cut_all(&mut self, now: Moment) {
        let mut all: Vec<SessionId> = self.sessions.keys().copied().collect();
        all.sort_unstable();
        for session in all {
            self.cut(now, session);
        }
    }

    /// Unbinds every session.
    pub fn unbind_all(&mut self) {
        let mut all: Vec<SessionId> = self.sessions.keys().copied().collect();
        all.sort_unstable();
        for session in all {
            self.unbind(session);
        }
    }

    /// Sends messages from phones.
    pub fn inject_mo(&mut self, now: Moment, batch: MoBatch) {
        let run = self
            .run
            .wrapping_add(u32::try_from(self.batches.len()).unwrap_or(0))
            .wrapping_add(self.rng.random());
        self.batches.push_back(MoSource::new(batch, run, now.instant));
        self.deliver_mo(now);
    }

    /// When [`Self::handle_timeout`] must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let mo = self
            .batches
            .front()
            .filter(|_| self.has_room_for_mo())
            .map(MoSource::next_at);
        [self.agenda.next_at(), mo].into_iter().flatten().min()
    }

    /// The next session with something to send or to end. Take the records first.
    pub fn poll_dirty(&mut self) -> Option<SessionId> {
        let session = self.dirty.pop_front()?;
        if let Some(known) = self.sessions.get_mut(&session) {
            known.dirty = false;
        }
        Some(session)
    }

    /// Moves what a session has to send behind `out`; what shall become of the connection.
    pub fn poll_transmit(&mut self, session: SessionId, out: &mut BytesMut) -> Flow {
        let Some(known) = self.sessions.get_mut(&session) else {
            return Flow::Closing;
        };
        if let Some(ucp) = &mut known.ucp {
            let pdus = std::mem::take(&mut known.out);
            if ucp.give(&pdus, &mut self.keys, self.wall, out) {
                return Flow::Closing;
            }
        } else if let Some(http) = &mut known.http {
            let pdus = std::mem::take(&mut known.out);
            if http.give(&pdus, &self.options.http, out) {
                return Flow::Closing;
            }
        } else if out.is_empty() {
            std::mem::swap(out, &mut known.out);
        } else {
            out.extend_from_slice(&known.out);
        }
        known.out.clear();
        known.unsent = 0;
        if known.reset {
            Flow::Resetting
        } else if known.is_over() {
            Flow::Closing
        } else if known.deaf {
            Flow::Deaf
        } else {
            Flow::Open
        }
    }

    /// Lines for the ledger; to be taken and cleared before anything is sent.
    pub fn records(&mut self) -> Option<&mut Vec<u8>> {
        self.records.as_mut().filter(|records| !records.is_empty())
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> SmscStats {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        SmscStats {
            sessions: number(self.sessions.len()),
            bound: number(
                self.sessions
                    .values()
                    .filter(|session| session.state == State::Bound)
                    .count(),
            ),
            waiting: self
                .accounts
                .iter()
                .map(|account| number(account.waiting()))
                .sum(),
            outstanding: self
                .sessions
                .values()
                .map(|session| number(session.outstanding.len()))
                .sum(),
            owed: self.debts.count,
            resumed: self.debts.resumed,
            ..self.stats.clone()
        }
    }

    fn handle_pdu(&mut self, now: Moment, session: SessionId, head: Head, body: &[u8]) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        if known.half_dead {
            self.stats.swallowed = self.stats.swallowed.saturating_add(1);
            return;
        }
        let sequence = head.sequence;
        match head.id {
            id::SUBMIT_SM => self.handle_submit(now, session, Operation::SubmitSm, sequence, body),
            id::DATA_SM => self.handle_submit(now, session, Operation::DataSm, sequence, body),
            id::SUBMIT_MULTI => self.handle_submit(now, session, Operation::SubmitMulti, sequence, body),
            id if id == ANSWER | id::DELIVER_SM || id == ANSWER | id::DATA_SM || id == id::GENERIC_NACK => {
                known.last_activity = now.instant;
                if id != id::GENERIC_NACK && !matches!(body, [] | [0]) {
                    self.stats.ids_in_answers = self.stats.ids_in_answers.saturating_add(1);
                }
                let refused = id == id::GENERIC_NACK && head.status == 0;
                self.handle_delivered(now, session, sequence, if refused { 0xff } else { head.status });
            }
            id::ENQUIRE_LINK => {
                known.last_enquire = now.instant;
                if !self.options.ignore_enquire_link {
                    self.send(session, ANSWER | id::ENQUIRE_LINK, 0, sequence, |_| {});
                }
            }
            id if id == ANSWER | id::ENQUIRE_LINK => {
                known.enquire_sent = None;
                self.check(now, session);
            }
            id::BIND_TRANSMITTER => self.handle_bind(now, session, Kind::Transmitter, head, body),
            id::BIND_RECEIVER => self.handle_bind(now, session, Kind::Receiver, head, body),
            id::BIND_TRANSCEIVER => self.handle_bind(now, session, Kind::Transceiver, head, body),
            id::UNBIND => {
                self.send(session, ANSWER | id::UNBIND, 0, sequence, |_| {});
                self.close(now, session, false);
            }
            id if id == ANSWER | id::UNBIND => self.close(now, session, false),
            id::QUERY_SM => self.handle_query(now, session, sequence, body),
            id::CANCEL_SM => self.handle_cancel(now, session, sequence, body),
            id::REPLACE_SM => self.handle_replace(now, session, sequence, body),
            id if id & ANSWER != 0 => {
                self.answers_malformed(sequence);
                count(&mut self.stats.unmatched);
            }
            _ => {
                self.stats.undecodable = self.stats.undecodable.saturating_add(1);
                self.send(session, id::GENERIC_NACK, 0x03, sequence, |_| {});
            }
        }
    }

    /// Puts a PDU into a session's output.
    fn send(
        &mut self,
        session: SessionId,
        command: u32,
        status: u32,
        sequence: u32,
        write: impl FnOnce(&mut BytesMut),
    ) {
        let Some(known) = self
            .sessions
            .get_mut(&session)
            .filter(|known| !known.is_over() && !known.half_dead)
        else {
            return;
        };
        pdu(&mut known.out, command, status, sequence, write);
        if !known.dirty {
            known.dirty = true;
            self.dirty.push_back(session);
        }
    }

    /// A request of ours that is not a delivery.
    fn request(&mut self, session: SessionId, command: u32, write: impl FnOnce(&mut BytesMut)) {
        if let Some(sequence) = self.sessions.get_mut(&session).map(Session::number) {
            self.send(session, command, 0, sequence, write);
        }
    }

    /// Octets as they are.
    fn send_raw(&mut self, session: SessionId, octets: &[u8]) {
        if let Some(known) = self.sessions.get_mut(&session).filter(|known| !known.is_over()) {
            known.out.extend_from_slice(octets);
            if !known.dirty {
                known.dirty = true;
                self.dirty.push_back(session);
            }
        }
    }

    fn unbind(&mut self, session: SessionId) {
        if self
            .sessions
            .get(&session)
            .is_some_and(|known| known.state == State::Bound)
        {
            self.request(session, id::UNBIND, |_| {});
            if let Some(known) = self.sessions.get_mut(&session) {
                known.state = State::Unbinding;
            }
        }
    }

    /// Ends a session: what it had not answered goes back, what it was not told is recorded.
    fn close(&mut self, now: Moment, session: SessionId, lost: bool) {
        let Some(known) = self.sessions.get_mut(&session).filter(|known| !known.is_over()) else {
            return;
        };
        let was_bound = matches!(known.state, State::Bound | State::Unbinding);
        known.state = State::Closed;
        if !known.dirty {
            known.dirty = true;
            self.dirty.push_back(session);
        }
        let held = std::mem::take(&mut known.held);
        let mut unanswered: Vec<_> = std::mem::take(&mut known.outstanding).into_values().collect();
        known.deadlines.clear();
        let account = known.account.filter(|_| was_bound);
        for (_, id) in held {
            if let Some(id) = id {
                self.answer_lost(session, &id);
            }
        }
        let Some(account) = account else { return };
        unanswered.sort_unstable_by_key(|sent| std::cmp::Reverse(sent.stamp));
        if let Some(known) = self.accounts.get_mut(account) {
            known.remove_receiver(session);
            known.bound = known.bound.saturating_sub(1);
            if lost && !self.options.binds.ghost.is_zero() {
                known.ghost_until = now.instant.checked_add(self.options.binds.ghost);
            }
            for sent in unanswered {
                self.stats.redelivered = self.stats.redelivered.saturating_add(1);
                known.put_back(sent.outgoing);
            }
            known.release_reserved();
        }
        self.deliver(now, account);
    }

    fn answer_lost(&mut self, session: SessionId, id: &str) {
        count(&mut self.stats.unanswered);
        self.record_lost(session, id);
    }

    fn record_lost(&mut self, session: SessionId, id: &str) {
        if let Some(records) = &mut self.records {
            Line::new(records)
                .text("type", b"answer_lost")
                .number("session", session.0)
                .text("id", id.as_bytes())
                .end();
        }
    }

    fn spread(&mut self, delay: Duration, jitter: Duration) -> Duration {
        if jitter.is_zero() {
            delay
        } else {
            delay.saturating_add(jitter.mul_f64(self.rng.random()))
        }
    }
}

const fn fate_word(fate: Fate) -> &'static [u8] {
    match fate {
        Fate::Accepted => b"accepted",
        Fate::Unanswered => b"unanswered",
        Fate::Cut => b"cut",
        Fate::Refused => b"refused",
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

fn later(at: Instant, delay: Duration) -> Instant {
    at.checked_add(delay).unwrap_or(at)
}

fn hit(rng: &mut StdRng, share: f64) -> bool {
    share > 0.0 && rng.random::<f64>() < share
}

const fn is_nth(number: u64, every: u64) -> bool {
    every > 0 && number.is_multiple_of(every)
}
