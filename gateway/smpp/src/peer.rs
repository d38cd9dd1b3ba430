//! What both ends of a session do alike: framing, sequence numbers, the window of our requests and its tombstones, the
//! peer's requests that wait for the owner, enquire_link, inactivity and the unbind.
//!
//! Knows no roles (`esme`, `smsc`) and no clock. Invariants: a tag put into the window leaves it exactly once (answer,
//! timeout or close); every list is bounded by configuration; after `close` nothing is sent and nothing expires.
//!
//! An answer belongs to the request with its number if it can be one of it (see [`answers`]): by number only, in any
//! order, and never to one that is not outstanding or buried.

use crate::{
    answer::{answers, error_answer, is_answered},
    decode::DecodeError,
    encode::{Adapted, EncodeError, encode, encode_as},
    framer::{Frame, Framer},
    outcome::{CloseCause, Held, Undecodable, WindowCounts},
    pdu::Body,
    sequence::SequenceNumbers,
    status::CommandStatus,
    version::Version,
};
use bytes::{Bytes, BytesMut};
use rusmpp_core::CommandId;
use smsgw_session::{TimerTable, Tombstones, Window};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The deadlines of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The bind must be done.
    Bind,
    /// The peer may have been silent for too long.
    Silence,
    /// Our enquire_link must be answered.
    EnquireAnswer,
    /// Nothing may have happened for too long.
    Inactivity,
    /// The peer may have been silent for longer than it may be.
    Quiet,
    /// Nothing we asked may have been answered for too long.
    Unanswered,
    /// The unbind goes out although something is unanswered.
    Drain,
    /// Our unbind must be answered.
    UnbindAnswer,
}

/// Times and bounds of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) window: usize,
    pub(crate) window_counts: WindowCounts,
    pub(crate) requests: usize,
    pub(crate) response_timeout: Duration,
    pub(crate) enquire_link: Option<Duration>,
    pub(crate) enquire_link_always: bool,
    pub(crate) enquire_link_strict: bool,
    pub(crate) enquire_link_timeout: Duration,
    pub(crate) silence_limit: Option<Duration>,
    pub(crate) unanswered_limit: Option<Duration>,
    pub(crate) inactivity: Option<Duration>,
    pub(crate) unbind_timeout: Duration,
    pub(crate) tombstone_ttl: Duration,
    pub(crate) tombstones: usize,
    pub(crate) max_pdu: u32,
}

/// Of either configuration, whose fields have the same names.
macro_rules! limits {
    ($config:expr, $requests:expr) => {
        $crate::peer::Limits {
            window: $config.window,
            window_counts: $config.window_counts,
            requests: $requests,
            response_timeout: $config.response_timeout,
            enquire_link: $config.enquire_link,
            enquire_link_always: $config.enquire_link_always,
            enquire_link_strict: $config.enquire_link_strict,
            enquire_link_timeout: $config.enquire_link_timeout,
            silence_limit: $config.silence_limit,
            unanswered_limit: $config.unanswered_limit,
            inactivity: $config.inactivity,
            unbind_timeout: $config.unbind_timeout,
            tombstone_ttl: $config.tombstone_ttl,
            tombstones: $config.tombstones,
            max_pdu: $config.max_pdu,
        }
    };
}
pub(crate) use limits;

/// A request of ours that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) tag: u64,
    pub(crate) command: CommandId,
    pub(crate) at: Instant,
    counted: bool,
}

/// How an answer of the peer matches what we asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matched {
    /// A request in the window.
    InTime(Sent),
    /// A tombstone.
    Late(Sent),
    /// Nothing, or a request that cannot have such an answer.
    Nothing,
}

/// What a timer of [`Peer`] asks its session to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// This request was not answered in time.
    TimedOut(u64),
    /// The session must end.
    Close(CloseCause),
    /// Nobody has used the session for too long: unbind.
    Inactive,
    /// Nothing we asked was answered for too long: unbind at once.
    Unanswered,
    /// The time to wait for answers before the unbind is over.
    DrainOver,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) framer: Framer,
    /// What both ends speak.
    pub(crate) version: Version,
    window: Window<u32, Sent>,
    /// Requests in the window that count towards its limit.
    counted: usize,
    limits: Limits,
    out: BytesMut,
    numbers: SequenceNumbers,
    tombstones: Tombstones<u32, Sent>,
    /// Requests of the peer that the owner has not answered, in order of arrival.
    pending: VecDeque<(u32, CommandId)>,
    timers: TimerTable<Timer>,
    /// Our unanswered enquire_link: number and when it was sent.
    enquire: Option<(u32, Instant)>,
    unbind: Option<u32>,
    last_received: Instant,
    last_activity: Instant,
    /// Since when the peer owes us an answer without having given any.
    owed_since: Option<Instant>,
}

impl Peer {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            framer: Framer::new(limits.max_pdu),
            version: Version::V3_4,
            window: Window::new(room(limits.window)),
            counted: 0,
            limits,
            out: BytesMut::new(),
            numbers: SequenceNumbers::starting_at(1),
            tombstones: Tombstones::new(limits.tombstones, limits.tombstone_ttl),
            pending: VecDeque::new(),
            timers: TimerTable::new(),
            enquire: None,
            unbind: None,
            last_received: now,
            last_activity: now,
            owed_since: None,
        }
    }

    /// Other limits, before anything was asked.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.tombstones = Tombstones::new(limits.tombstones, limits.tombstone_ttl);
        self.set_window(limits.window);
    }

    /// How many requests may be unanswered from now on; 1 at least.
    pub(crate) fn set_window(&mut self, window: usize) {
        self.limits.window = window.max(1);
        self.window.set_capacity(room(window));
    }

    /// Whether a request takes a slot of the window.
    fn counts(&self, command: CommandId) -> bool {
        match self.limits.window_counts {
            WindowCounts::Everything => true,
            WindowCounts::Messages => matches!(
                command,
                CommandId::SubmitSm | CommandId::SubmitMulti | CommandId::DataSm | CommandId::DeliverSm
            ),
        }
    }

    /// How many more messages may be sent.
    pub(crate) fn free(&self) -> usize {
        self.limits.window.max(1).saturating_sub(self.counted)
    }

    /// How many more requests of that kind may be sent. What does not count has a window of its own of the same size.
    pub(crate) fn free_for(&self, command: CommandId) -> usize {
        if self.counts(command) {
            self.free()
        } else {
            let beside = self.window.len().saturating_sub(self.counted);
            self.limits.window.max(1).saturating_sub(beside)
        }
    }

    /// Requests sent and not answered yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.window.len()
    }

    /// What is held.
    pub(crate) fn held(&self) -> Held {
        Held {
            unanswered: self.window.len(),
            tombstones: self.tombstones.len(),
            waiting: self.pending.len(),
            input: self.framer.pending(),
            output: self.out.len(),
        }
    }

    fn leaves(&mut self, sent: &Sent) {
        if sent.counted {
            self.counted = self.counted.saturating_sub(1);
        }
    }

    /// Puts a PDU into the output.
    pub(crate) fn send(
        &mut self,
        status: CommandStatus,
        sequence: u32,
        body: &Body,
    ) -> Result<Adapted, EncodeError> {
        encode_as(self.version, status, sequence, body, &mut self.out)
    }

    /// Sends what has no variable field and therefore always fits. Nothing in it could be left out.
    pub(crate) fn answer(&mut self, status: CommandStatus, sequence: u32, body: &Body) {
        // Not in the peer's version is what the matrix has let through for an older peer: its own form says it best.
        if self.send(status, sequence, body).is_err() {
            encode(status, sequence, body, &mut self.out).expect("an answer without text fits a PDU");
        }
    }

    /// A number for a request of ours.
    pub(crate) fn number(&mut self) -> u32 {
        let (window, tombstones, enquire, unbind) =
            (&self.window, &self.tombstones, self.enquire, self.unbind);
        self.numbers.next(|number| {
            window.contains(&number)
                || tombstones.contains(&number)
                || unbind == Some(number)
                || enquire.is_some_and(|(sequence, _)| sequence == number)
        })
    }

    /// Sends a request that occupies a slot; the caller has checked that one is free for it.
    pub(crate) fn request(&mut self, now: Instant, tag: u64, body: &Body) -> Result<Adapted, EncodeError> {
        let sequence = self.number();
        let adapted = self.send(CommandStatus::OK, sequence, body)?;
        self.last_activity = now;
        let deadline = after(now, self.limits.response_timeout);
        let command = body.command_id();
        let sent = Sent {
            tag,
            command,
            at: now,
            counted: self.counts(command),
        };
        self.window
            .insert(sequence, sent, deadline)
            .expect("the number is new and the slot was checked");
        if sent.counted {
            self.counted = self.counted.saturating_add(1);
        }
        if self.owed_since.is_none() {
            self.owed(now);
        }
        Ok(adapted)
    }

    /// From now on the peer owes an answer.
    fn owed(&mut self, since: Instant) {
        self.owed_since = Some(since);
        if let Some(limit) = self.limits.unanswered_limit {
            self.set_timer(Timer::Unanswered, since, limit);
        }
    }

    /// The peer has answered something.
    fn paid(&mut self, now: Instant) {
        self.owed_since = None;
        if self.window.is_empty() {
            self.timers.clear(Timer::Unanswered);
        } else {
            self.owed(now);
        }
    }

    /// Sends what has no answer.
    pub(crate) fn notify(&mut self, now: Instant, body: &Body) -> Result<Adapted, EncodeError> {
        let sequence = self.number();
        let adapted = self.send(CommandStatus::OK, sequence, body)?;
        self.last_activity = now;
        Ok(adapted)
    }

    /// Bytes for the driver; the buffers change places when the driver's is empty.
    pub(crate) fn transmit(&mut self, out: &mut BytesMut) -> bool {
        if self.out.is_empty() {
            return false;
        }
        if out.is_empty() {
            std::mem::swap(out, &mut self.out);
        } else {
            out.extend_from_slice(&self.out);
        }
        self.out.clear();
        true
    }

    /// A whole PDU came.
    pub(crate) fn received(&mut self, now: Instant, command_id: u32) {
        self.last_received = now;
        let id = CommandId::from(command_id);
        if !matches!(id, CommandId::EnquireLink | CommandId::EnquireLinkResp) {
            self.last_activity = now;
        }
    }

    /// Finds what an answer belongs to and takes it out. One that cannot be the answer of its request leaves it there.
    pub(crate) fn matched(&mut self, now: Instant, sequence: u32, response: CommandId) -> Matched {
        let fits = |sent: &Sent| answers(response, sent.command);
        if self.window.get(&sequence).is_some_and(fits)
            && let Some(sent) = self.window.remove(&sequence)
        {
            self.leaves(&sent);
            self.paid(now);
            return Matched::InTime(sent);
        }
        if self.tombstones.get(&sequence).is_some_and(fits)
            && let Some(sent) = self.tombstones.remove(&sequence)
        {
            self.paid(now);
            return Matched::Late(sent);
        }
        Matched::Nothing
    }

    /// Whether it answers our enquire_link, which is done then.
    pub(crate) fn matched_enquire(&mut self, sequence: u32) -> bool {
        let ours = self.enquire.is_some_and(|(number, _)| number == sequence);
        if ours {
            self.enquire = None;
            self.timers.clear(Timer::EnquireAnswer);
        }
        ours
    }

    /// Whether that is the number of our unbind.
    pub(crate) fn is_unbind(&self, sequence: u32) -> bool {
        self.unbind == Some(sequence)
    }

    /// Notes a request of the peer for the owner; `false` when too many wait.
    pub(crate) fn note_request(&mut self, sequence: u32, command_id: CommandId) -> bool {
        let room = self.pending.len() < self.limits.requests;
        if room {
            self.pending.push_back((sequence, command_id));
        }
        room
    }

    /// Takes out the oldest unanswered request with that number and one of these ids.
    pub(crate) fn take_request(
        &mut self,
        now: Instant,
        sequence: u32,
        ids: &[CommandId],
    ) -> Option<CommandId> {
        let at = self
            .pending
            .iter()
            .position(|(number, id)| *number == sequence && ids.contains(id))?;
        let (_, id) = self.pending.remove(at)?;
        self.last_activity = now;
        Some(id)
    }

    /// Nothing unanswered in either direction.
    pub(crate) fn is_idle(&self) -> bool {
        self.window.is_empty() && self.pending.is_empty()
    }

    pub(crate) fn set_timer(&mut self, timer: Timer, now: Instant, within: Duration) {
        self.timers.set(timer, after(now, within));
    }

    pub(crate) fn clear_timer(&mut self, timer: Timer) {
        self.timers.clear(timer);
    }

    /// The session is bound: watch the peer from now on.
    pub(crate) fn watch(&mut self, now: Instant) {
        self.timers.clear(Timer::Bind);
        self.last_received = now;
        self.last_activity = now;
        if let Some(silence) = self.limits.enquire_link {
            self.set_timer(Timer::Silence, now, silence);
        }
        if let Some(limit) = self.limits.silence_limit {
            self.set_timer(Timer::Quiet, now, limit);
        }
        if let Some(inactivity) = self.limits.inactivity {
            self.set_timer(Timer::Inactivity, now, inactivity);
        }
    }

    /// Sends unbind.
    pub(crate) fn send_unbind(&mut self, now: Instant) {
        let sequence = self.number();
        self.answer(CommandStatus::OK, sequence, &Body::Unbind);
        self.unbind = Some(sequence);
        self.timers.clear(Timer::Drain);
        self.timers.clear(Timer::Inactivity);
        self.set_timer(Timer::UnbindAnswer, now, self.limits.unbind_timeout);
    }

    /// The next thing that is due. Call until `None`.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        if let Some((sequence, sent)) = self.window.expired(now) {
            self.leaves(&sent);
            // A forgotten tombstone only means that its late answer will be reported as unmatched.
            let _ = self.tombstones.insert(now, sequence, sent);
            return Some(Due::TimedOut(sent.tag));
        }
        while self.tombstones.expired(now).is_some() {}
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Bind => return Some(Due::Close(CloseCause::BindTimeout)),
                Timer::UnbindAnswer => return Some(Due::Close(CloseCause::UnbindTimeout)),
                Timer::Drain => return Some(Due::DrainOver),
                Timer::Silence => self.check_silence(now),
                Timer::EnquireAnswer => {
                    // Anything received since shows that the peer lives, answer or not, unless its answer is wanted.
                    let strict = self.limits.enquire_link_strict;
                    if self
                        .enquire
                        .take()
                        .is_some_and(|(_, sent)| strict || self.last_received <= sent)
                    {
                        return Some(Due::Close(CloseCause::EnquireLinkTimeout));
                    }
                }
                Timer::Unanswered => {
                    // One timer per debt: it is moved with every answer.
                    if self.owed_since.take().is_some() {
                        return Some(Due::Unanswered);
                    }
                }
                Timer::Quiet => {
                    let Some(limit) = self.limits.silence_limit else {
                        continue;
                    };
                    let until = after(self.last_received, limit);
                    if until <= now {
                        return Some(Due::Close(CloseCause::Silent));
                    }
                    self.timers.set(Timer::Quiet, until);
                }
                Timer::Inactivity => {
                    let Some(inactivity) = self.limits.inactivity else {
                        continue;
                    };
                    let until = after(self.last_activity, inactivity);
                    if until <= now {
                        return Some(Due::Inactive);
                    }
                    self.timers.set(Timer::Inactivity, until);
                }
            }
        }
        None
    }

    fn check_silence(&mut self, now: Instant) {
        let Some(silence) = self.limits.enquire_link else {
            return;
        };
        let until = after(self.last_received, silence);
        if until > now && !self.limits.enquire_link_always {
            self.timers.set(Timer::Silence, until);
            return;
        }
        self.set_timer(Timer::Silence, now, silence);
        if self.enquire.is_none() {
            let sequence = self.number();
            self.answer(CommandStatus::OK, sequence, &Body::EnquireLink);
            self.enquire = Some((sequence, now));
            self.set_timer(Timer::EnquireAnswer, now, self.limits.enquire_link_timeout);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        [
            self.window.next_deadline(),
            self.tombstones.next_deadline(),
            self.timers.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Ends everything; returns what was in doubt. The output stays for the driver to flush.
    pub(crate) fn close(&mut self) -> Vec<u64> {
        self.timers.clear_all();
        self.pending.clear();
        self.enquire = None;
        self.owed_since = None;
        self.counted = 0;
        self.tombstones = Tombstones::new(0, Duration::ZERO);
        self.framer = Framer::new(0);
        self.window.drain().map(|(_, sent)| sent.tag).collect()
    }

    /// Answers a PDU that makes no sense, when it is a request, and reports it.
    pub(crate) fn refuse(&mut self, frame: &Frame<'_>, error: DecodeError) -> Undecodable {
        let unknown = matches!(error, DecodeError::UnknownCommand(_));
        let answered = if is_answered(frame.command_id, unknown) {
            let status = error.status();
            // What the peer's version does not have is unknown to it, whatever we know.
            let answer = match error {
                DecodeError::UnknownCommand(_) => Body::GenericNack,
                DecodeError::MissingField(_)
                | DecodeError::MessageLength { .. }
                | DecodeError::DestinationFlag(_)
                | DecodeError::MessageIdTooLong(_)
                | DecodeError::WrongDirection => error_answer(CommandId::from(frame.command_id)),
            };
            self.answer(status, frame.sequence, &answer);
            Some(status)
        } else {
            None
        };
        Undecodable {
            command_id: frame.command_id,
            sequence: frame.sequence,
            error,
            answered,
            raw: Bytes::copy_from_slice(frame.raw),
        }
    }

    #[cfg(test)]
    pub(crate) fn start_numbers_at(&mut self, next: u32) {
        self.numbers = SequenceNumbers::starting_at(next);
    }
}

/// Slots for what counts and for what does not.
const fn room(window: usize) -> usize {
    let window = if window == 0 { 1 } else { window };
    window.saturating_mul(2)
}

fn after(now: Instant, within: Duration) -> Instant {
    // A time beyond what the clock can express is as good as a century.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    now.checked_add(within.min(CENTURY)).unwrap_or(now)
}
