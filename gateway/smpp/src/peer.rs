//! What both ends of a session do alike: framing, sequence numbers, the window of our requests and its tombstones, the
//! peer's requests that wait for the owner, enquire_link, inactivity and the unbind.
//!
//! Knows no roles (`esme`, `smsc`) and no clock. Invariants: a tag put into the window leaves it exactly once (answer,
//! timeout or close); every list is bounded by configuration; after `close` nothing is sent and nothing expires.

use crate::{
    decode::DecodeError,
    encode::{EncodeError, encode},
    framer::{Frame, Framer},
    outcome::{CloseCause, Undecodable},
    pdu::{BindResp, Body, MessageResp, QuerySmResp},
    sequence::SequenceNumbers,
    status::CommandStatus,
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
    /// The unbind goes out although something is unanswered.
    Drain,
    /// Our unbind must be answered.
    UnbindAnswer,
}

/// Times and bounds of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) window: usize,
    pub(crate) requests: usize,
    pub(crate) response_timeout: Duration,
    pub(crate) enquire_link: Option<Duration>,
    pub(crate) enquire_link_timeout: Duration,
    pub(crate) inactivity: Option<Duration>,
    pub(crate) unbind_timeout: Duration,
    pub(crate) tombstone_ttl: Duration,
    pub(crate) tombstones: usize,
    pub(crate) max_pdu: u32,
}

/// How an answer of the peer matches what we asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matched {
    /// A request in the window.
    InTime(u64),
    /// A tombstone.
    Late(u64),
    /// Nothing.
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
    /// The time to wait for answers before the unbind is over.
    DrainOver,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) framer: Framer,
    pub(crate) window: Window<u32, u64>,
    limits: Limits,
    out: BytesMut,
    numbers: SequenceNumbers,
    tombstones: Tombstones<u32, u64>,
    /// Requests of the peer that the owner has not answered, in order of arrival.
    pending: VecDeque<(u32, CommandId)>,
    timers: TimerTable<Timer>,
    /// Our unanswered enquire_link: number and when it was sent.
    enquire: Option<(u32, Instant)>,
    unbind: Option<u32>,
    last_received: Instant,
    last_activity: Instant,
}

impl Peer {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            framer: Framer::new(limits.max_pdu),
            window: Window::new(limits.window),
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
        }
    }

    /// Puts a PDU into the output.
    pub(crate) fn send(
        &mut self,
        status: CommandStatus,
        sequence: u32,
        body: &Body,
    ) -> Result<(), EncodeError> {
        encode(status, sequence, body, &mut self.out)
    }

    /// Sends what has no variable field and therefore always fits.
    pub(crate) fn answer(&mut self, status: CommandStatus, sequence: u32, body: &Body) {
        self.send(status, sequence, body)
            .expect("an answer without text fits a PDU");
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

    /// Sends a request that occupies a slot of the window; the caller has checked that one is free.
    pub(crate) fn request(&mut self, now: Instant, tag: u64, body: &Body) -> Result<(), EncodeError> {
        let sequence = self.number();
        self.send(CommandStatus::OK, sequence, body)?;
        self.last_activity = now;
        let deadline = after(now, self.limits.response_timeout);
        self.window
            .insert(sequence, tag, deadline)
            .expect("the number is new and the slot was checked");
        Ok(())
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

    /// Finds what an answer belongs to and takes it out.
    pub(crate) fn matched(&mut self, sequence: u32) -> Matched {
        if let Some(tag) = self.window.remove(&sequence) {
            return Matched::InTime(tag);
        }
        if let Some(tag) = self.tombstones.remove(&sequence) {
            return Matched::Late(tag);
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
        if let Some((sequence, tag)) = self.window.expired(now) {
            // A forgotten tombstone only means that its late answer will be reported as unmatched.
            let _ = self.tombstones.insert(now, sequence, tag);
            return Some(Due::TimedOut(tag));
        }
        while self.tombstones.expired(now).is_some() {}
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Bind => return Some(Due::Close(CloseCause::BindTimeout)),
                Timer::UnbindAnswer => return Some(Due::Close(CloseCause::UnbindTimeout)),
                Timer::Drain => return Some(Due::DrainOver),
                Timer::Silence => self.check_silence(now),
                Timer::EnquireAnswer => {
                    // Anything received since shows that the peer lives, answer or not.
                    if self
                        .enquire
                        .take()
                        .is_some_and(|(_, sent)| self.last_received <= sent)
                    {
                        return Some(Due::Close(CloseCause::EnquireLinkTimeout));
                    }
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
        if until > now {
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
        self.tombstones = Tombstones::new(0, Duration::ZERO);
        self.framer = Framer::new(0);
        self.window.drain().map(|(_, tag)| tag).collect()
    }

    /// Answers a PDU that makes no sense, when it is a request, and reports it.
    pub(crate) fn refuse(&mut self, frame: &Frame<'_>, error: DecodeError) -> Undecodable {
        let answered = if is_answered(frame.command_id) {
            let status = error.status();
            self.answer(
                status,
                frame.sequence,
                &error_answer(CommandId::from(frame.command_id)),
            );
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

/// Answers have none themselves, nor have outbind and alert_notification.
fn is_answered(command_id: u32) -> bool {
    let id = CommandId::from(command_id);
    id.is_operation() && !matches!(id, CommandId::Outbind | CommandId::AlertNotification)
}

/// The answer to a request, without any field; generic_nack where the request is not known.
pub(crate) fn error_answer(request: CommandId) -> Body {
    use crate::pdu::BindKind;
    match request {
        CommandId::SubmitSm => Body::SubmitSmResp(MessageResp::default()),
        CommandId::DeliverSm => Body::DeliverSmResp(MessageResp::default()),
        CommandId::DataSm => Body::DataSmResp(MessageResp::default()),
        CommandId::QuerySm => Body::QuerySmResp(QuerySmResp::default()),
        CommandId::CancelSm => Body::CancelSmResp,
        CommandId::ReplaceSm => Body::ReplaceSmResp,
        CommandId::BindTransmitter => Body::BindResp(BindKind::Transmitter, BindResp::default()),
        CommandId::BindReceiver => Body::BindResp(BindKind::Receiver, BindResp::default()),
        CommandId::BindTransceiver => Body::BindResp(BindKind::Transceiver, BindResp::default()),
        CommandId::Unbind => Body::UnbindResp,
        CommandId::EnquireLink => Body::EnquireLinkResp,
        _ => Body::GenericNack,
    }
}

/// An error, never zero: a generic_nack that says success makes no sense.
pub(crate) fn nack_status(status: CommandStatus) -> CommandStatus {
    if status.is_ok() {
        CommandStatus::UNKNOWN_ERROR
    } else {
        status
    }
}

fn after(now: Instant, within: Duration) -> Instant {
    // A time beyond what the clock can express is as good as a century.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    now.checked_add(within.min(CENTURY)).unwrap_or(now)
}
