//! One end of a UCP session, either of them: the centre logs nobody in and sends 52 and 53, its client logs in and sends 51; all
//! else is the same.
//!
//! Logs in when it is told to, sends operations within a window of TRNs, hands the peer's operations to its owner and
//! sends the owner's answers, keeps the link alive with operation 31 and answers the peer's. Reads no clock.
//! Invariants:
//! - an operation ends as exactly one of answered, timed out, not sent, in doubt;
//! - a TRN that timed out is not used again until its late answer came or its tombstone is over;
//! - what the peer asks is answered by the owner, or refused here with an event, never on its behalf (but for 31);
//! - `Closed` comes once, and after it nothing but `NotSent`.
//!
//! # Limits
//! Octets of an operation count as sent once the command is taken, even if the driver has not written them: in doubt rather than
//! lost. A TRN that a peer uses again before it was answered is taken for a new operation: UCP cannot tell.

mod api;

pub use api::{
    CloseCause, InDoubt, Login, NotSent, UcpCommand, UcpConfig, UcpEvent, Undecodable, UndecodableKind,
};

use crate::error_code::ErrorCode;
use crate::frame::{Frame, FrameError, Framer, OperationType, Skipped, Trn};
use crate::operation::{Alert, Body, Operation, Outcome, Pdu};
use crate::text::Text;
use bytes::{Bytes, BytesMut};
use smsgw_session::{Keys, TimerTable, Tombstones, Window};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Our login is sent, or the peer's is waited for.
    LoggingIn,
    Bound,
    /// Takes no new operations of the owner, waits for answers.
    Draining,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Login,
    KeepAlive,
    Silence,
    Drain,
}

/// What waits under a TRN.
#[derive(Debug, Clone, Copy)]
enum Sent {
    Login,
    KeepAlive,
    Request {
        tag: u64,
        ot: OperationType,
        at: Instant,
    },
}

/// What the peer asked and the owner has not answered.
#[derive(Debug, Clone, Copy)]
struct Asked {
    trn: Trn,
    ot: OperationType,
}

/// One end of a session; see the module and [`smsgw_session::Session`].
#[derive(Debug)]
pub struct UcpSession {
    config: UcpConfig,
    phase: Phase,
    framer: Framer,
    keys: Keys,
    window: Window<u32, Sent>,
    tombstones: Tombstones<u32, Sent>,
    asked: HashMap<u64, Asked>,
    next_request: u64,
    timers: TimerTable<Timer>,
    /// Something came since operation 31 was sent.
    heard: bool,
    out: Vec<u8>,
    events: VecDeque<UcpEvent>,
}

impl UcpSession {
    /// A session on a connection that has just been opened, by either end. With a login of ours, its frame is the first thing
    /// `poll_transmit` gives.
    #[must_use]
    pub fn new(config: UcpConfig, now: Instant) -> Self {
        let mut session = Self {
            phase: Phase::LoggingIn,
            framer: Framer::default(),
            keys: Keys::new(0, 99),
            // Login and keep-alive take a TRN as well; how many of the owner's there may be is for `free_slots`.
            window: Window::new(Trn::COUNT),
            tombstones: Tombstones::new(Trn::COUNT, config.tombstone_ttl),
            asked: HashMap::new(),
            next_request: 0,
            timers: TimerTable::new(),
            heard: true,
            out: Vec::new(),
            events: VecDeque::new(),
            config,
        };
        session.begin(now);
        session
    }

    /// How many operations may be sent now: reserve first, then take a message from the queue.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        if self.phase != Phase::Bound {
            return 0;
        }
        let slots = self
            .config
            .window
            .clamp(1, Trn::COUNT)
            .saturating_sub(self.window.len());
        let reserved = self.window.len().saturating_add(self.tombstones.len());
        slots.min(Trn::COUNT.saturating_sub(reserved))
    }

    /// Logged in and not closing.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.phase == Phase::Bound
    }

    /// Operations sent and not answered yet, keep-alives among them.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.window.len()
    }

    /// TRNs that are reserved for a late answer.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.tombstones.len()
    }

    fn begin(&mut self, now: Instant) {
        if let Some(limit) = self.config.silence_limit {
            self.arm(Timer::Silence, now, limit);
        }
        if let Some(login) = &self.config.login {
            let operation = login.operation();
            self.send(now, self.config.login_timeout, Sent::Login, operation);
        } else if !self.config.expect_login {
            return self.bound(now);
        }
        self.arm(Timer::Login, now, self.config.login_timeout);
    }

    fn bound(&mut self, now: Instant) {
        self.timers.clear(Timer::Login);
        self.phase = Phase::Bound;
        self.listen_on(now);
        self.events.push_back(UcpEvent::Bound);
    }

    fn arm(&mut self, timer: Timer, now: Instant, after: Duration) {
        self.timers.set(timer, now.checked_add(after).unwrap_or(now));
    }

    fn listen_on(&mut self, now: Instant) {
        if let (Phase::Bound | Phase::Draining, Some(after)) = (self.phase, self.config.keep_alive) {
            self.arm(Timer::KeepAlive, now, after);
        }
    }

    /// Sends an operation under the next free TRN. False: there is none.
    fn send(&mut self, now: Instant, within: Duration, sent: Sent, operation: Operation) -> bool {
        let (window, tombstones) = (&self.window, &self.tombstones);
        let free = self
            .keys
            .next(|key| window.contains(&key) || tombstones.contains(&key));
        let trn = free.and_then(|key| Some((key, Trn::new(u8::try_from(key).ok()?)?)));
        let Some((key, trn)) = trn else { return false };
        let deadline = now.checked_add(within).unwrap_or(now);
        if self.window.insert(key, sent, deadline).is_err() {
            return false;
        }
        Pdu {
            trn,
            body: Body::Operation(operation),
        }
        .write(&mut self.out);
        true
    }

    fn submit(&mut self, now: Instant, tag: u64, operation: Operation) {
        let ot = operation.ot();
        let why = match self.phase {
            Phase::LoggingIn => NotSent::NotBound,
            Phase::Draining => NotSent::Draining,
            Phase::Closed => NotSent::Closed,
            Phase::Bound if self.free_slots() == 0 => NotSent::WindowFull,
            Phase::Bound => {
                let sent = Sent::Request { tag, ot, at: now };
                if self.send(now, self.config.response_timeout, sent, operation) {
                    return;
                }
                NotSent::WindowFull
            }
        };
        self.events.push_back(UcpEvent::NotSent { tag, why });
    }

    fn answer(&mut self, now: Instant, request: u64, outcome: Outcome) {
        let Some(Asked { trn, ot }) = self.asked.remove(&request) else {
            return self.events.push_back(UcpEvent::NothingToAnswer { request });
        };
        let refused = match &outcome {
            Outcome::Ack { .. } => None,
            Outcome::Nack { code, .. } => Some(*code),
        };
        self.reply(trn, ot, outcome);
        if self.phase == Phase::LoggingIn && ot == OperationType(60) {
            match refused {
                None => self.bound(now),
                Some(code) => self.close(CloseCause::LoginRefused(code)),
            }
        }
        self.close_when_idle();
    }

    fn reply(&mut self, trn: Trn, ot: OperationType, outcome: Outcome) {
        Pdu {
            trn,
            body: Body::Result(ot, outcome),
        }
        .write(&mut self.out);
    }

    fn close(&mut self, cause: CloseCause) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.timers.clear_all();
        self.asked.clear();
        let in_doubt = self.window.drain().filter_map(|(_, sent)| match sent {
            Sent::Request { tag, .. } => Some(InDoubt { tag }),
            Sent::Login | Sent::KeepAlive => None,
        });
        let in_doubt = in_doubt.collect();
        self.events.push_back(UcpEvent::Closed { cause, in_doubt });
    }

    fn close_when_idle(&mut self) {
        if self.phase == Phase::Draining && self.window.is_empty() && self.asked.is_empty() {
            self.close(CloseCause::Drained);
        }
    }

    fn drain(&mut self, now: Instant, within: Duration) {
        match self.phase {
            Phase::LoggingIn => self.close(CloseCause::Drained),
            Phase::Bound | Phase::Draining => {
                self.phase = Phase::Draining;
                self.arm(Timer::Drain, now, within);
                self.close_when_idle();
            }
            Phase::Closed => {}
        }
    }

    fn handle_frame(&mut self, now: Instant, raw: &[u8]) {
        let frame = match Frame::read(raw) {
            Ok(frame) => frame,
            Err((error, head)) => {
                let code = match error {
                    FrameError::Checksum => ErrorCode::CHECKSUM,
                    FrameError::Header | FrameError::Length { .. } => ErrorCode::SYNTAX,
                };
                let to = head
                    .filter(|head| head.is_operation)
                    .map(|head| (head.trn, head.ot));
                return self.refuse(UndecodableKind::Frame(error), to, code, raw);
            }
        };
        let to = frame.head.is_operation.then_some((frame.head.trn, frame.head.ot));
        match Pdu::read(&frame) {
            Err(error) => self.refuse(UndecodableKind::Syntax(error), to, ErrorCode::SYNTAX, raw),
            Ok((pdu, tolerated)) => {
                if !tolerated.is_none() {
                    self.events
                        .push_back(UcpEvent::Tolerated(frame.head.ot, tolerated));
                }
                match pdu.body {
                    Body::Operation(Operation::Unknown(ot, _)) => {
                        self.refuse(UndecodableKind::Unknown(ot), to, ErrorCode::NOT_SUPPORTED, raw);
                    }
                    Body::Operation(operation) => self.handle_operation(pdu.trn, operation),
                    Body::Result(ot, outcome) => self.handle_result(now, pdu.trn, ot, outcome),
                }
            }
        }
    }

    fn refuse(
        &mut self,
        error: UndecodableKind,
        to: Option<(Trn, OperationType)>,
        code: ErrorCode,
        raw: &[u8],
    ) {
        if let Some((trn, ot)) = to {
            self.reply(trn, ot, Outcome::nack(code));
        }
        let raw = Bytes::copy_from_slice(raw);
        self.events.push_back(UcpEvent::Undecodable(Undecodable {
            error,
            answered: to.map(|_| code),
            raw,
        }));
    }

    fn handle_operation(&mut self, trn: Trn, operation: Operation) {
        let ot = operation.ot();
        if let Operation::Alert(alert) = operation {
            self.reply(trn, ot, Outcome::ack());
            return self.events.push_back(UcpEvent::Alerted(alert));
        }
        let before_login = self.phase == Phase::LoggingIn && self.config.expect_login;
        let is_login = matches!(operation, Operation::Session(_));
        if (before_login && !is_login) || self.asked.len() >= self.config.deliveries {
            let code = ErrorCode::NOT_ALLOWED;
            self.reply(trn, ot, Outcome::nack(code));
            return self.events.push_back(UcpEvent::Refused { ot, code });
        }
        let request = self.next_request;
        self.next_request = self.next_request.wrapping_add(1);
        self.asked.insert(request, Asked { trn, ot });
        self.events.push_back(match operation {
            Operation::Session(session) if before_login => UcpEvent::LoginAsked { request, session },
            operation => UcpEvent::Delivered { request, operation },
        });
    }

    fn handle_result(&mut self, now: Instant, trn: Trn, ot: OperationType, outcome: Outcome) {
        let key = u32::from(trn.number());
        let is_its = |sent: Option<&Sent>| match sent {
            Some(Sent::Login) => ot == OperationType(60),
            Some(Sent::KeepAlive) => ot == OperationType(31),
            Some(Sent::Request { ot: asked, .. }) => *asked == ot,
            None => false,
        };
        let in_time = is_its(self.window.get(&key));
        let sent = if in_time {
            self.window.remove(&key)
        } else if is_its(self.tombstones.get(&key)) {
            self.tombstones.remove(&key)
        } else {
            None
        };
        match sent {
            None => self.events.push_back(UcpEvent::Unmatched { trn, ot }),
            Some(Sent::Login) => match outcome {
                Outcome::Ack { .. } => self.bound(now),
                Outcome::Nack { code, sm } => {
                    self.events.push_back(UcpEvent::LoginRefused { code, sm });
                    self.close(CloseCause::LoginRefused(code));
                }
            },
            // Even a refusal is a sign of life.
            Some(Sent::KeepAlive) => {}
            Some(Sent::Request { tag, at, .. }) => {
                let took = now.saturating_duration_since(at);
                self.events.push_back(if in_time {
                    UcpEvent::Answered { tag, outcome, took }
                } else {
                    UcpEvent::LateAnswer { tag, outcome, took }
                });
            }
        }
        self.close_when_idle();
    }

    /// What has waited for its answer too long.
    fn expire(&mut self, now: Instant) {
        while let Some((key, sent)) = self.window.expired(now) {
            match sent {
                // Its own timer ends the session.
                Sent::Login => {}
                Sent::KeepAlive if self.heard => {
                    self.tombstones.insert(now, key, sent);
                }
                Sent::KeepAlive => return self.close(CloseCause::KeepAliveTimeout),
                Sent::Request { tag, .. } => {
                    self.tombstones.insert(now, key, sent);
                    self.events.push_back(UcpEvent::TimedOut { tag });
                }
            }
        }
        while self.tombstones.expired(now).is_some() {}
        self.close_when_idle();
    }

    fn keep_alive(&mut self, now: Instant) {
        self.listen_on(now);
        // Where the window is full, what is in it tells whether the peer lives.
        if self.free_slots() == 0 {
            return;
        }
        self.heard = false;
        let alert = Alert {
            adc: self.config.keep_alive_address.clone(),
            pid: Text::number(539, 4),
        };
        self.send(
            now,
            self.config.response_timeout,
            Sent::KeepAlive,
            Operation::Alert(alert),
        );
    }
}

impl smsgw_session::Session for UcpSession {
    type Command = UcpCommand;
    type Event = UcpEvent;

    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if self.phase == Phase::Closed {
            return;
        }
        // Out of the session while frames borrow from it.
        let mut framer = std::mem::take(&mut self.framer);
        framer.push(bytes);
        while self.phase != Phase::Closed
            && let Some(raw) = framer.next_frame()
        {
            self.heard = true;
            if let Some(limit) = self.config.silence_limit {
                self.arm(Timer::Silence, now, limit);
            }
            self.listen_on(now);
            self.handle_frame(now, raw);
        }
        let skipped = framer.take_skipped();
        if skipped != Skipped::default() && self.phase != Phase::Closed {
            self.events.push_back(UcpEvent::Skipped(skipped));
        }
        self.framer = framer;
    }

    fn handle_command(&mut self, now: Instant, command: UcpCommand) {
        match command {
            UcpCommand::Submit { tag, operation } => self.submit(now, tag, operation),
            UcpCommand::Answer { request, outcome } => {
                if self.phase != Phase::Closed {
                    self.answer(now, request, outcome);
                }
            }
            UcpCommand::Close { within } => self.drain(now, within),
            UcpCommand::Leave => self.close(CloseCause::Unanswered),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
        while let Some(due) = self.timers.expired(now) {
            match due {
                Timer::Login => self.close(CloseCause::LoginTimeout),
                Timer::Silence => self.close(CloseCause::Silent),
                Timer::Drain => self.close(CloseCause::DrainTimeout),
                Timer::KeepAlive => self.keep_alive(now),
            }
        }
    }

    fn handle_eof(&mut self, _now: Instant) {
        self.close(CloseCause::Lost);
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        let any = !self.out.is_empty();
        out.extend_from_slice(&self.out);
        self.out.clear();
        any
    }

    fn poll_event(&mut self) -> Option<UcpEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Closed {
            return None;
        }
        let deadlines = [
            self.timers.next(),
            self.window.next_deadline(),
            self.tombstones.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
mod tests;
