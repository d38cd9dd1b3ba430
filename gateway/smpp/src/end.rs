//! What both ends of a session do alike above [`Peer`]: phases, judging what comes in by the operation matrix, answering what
//! needs no owner, sending requests within the window, unbinding, closing.
//!
//! Knows no operation of one end alone: those are `esme`'s and `smsc`'s, through [`End`]. Invariants: `Closed` is emitted
//! once and last; a request that may not be sent is reported with its reason; a request that may not be received is answered
//! and reported, and disturbs nothing else.

use crate::{
    answer::{error_answer, nack_status},
    congestion::Congestion,
    decode::{DecodeError, decode_as},
    encode::{Adapted, EncodeError},
    framer::{Frame, Framer},
    matrix::{self, Judgement, SessionState, Side},
    outcome::{CloseCause, Held, Refusal, Undecodable},
    pdu::{BindKind, Body, Pdu},
    peer::{Due, Limits, Peer, Timer},
    status::CommandStatus,
    tolerated::ToleratedSet,
    version::Version,
};
use rusmpp_core::CommandId;
use std::{
    collections::VecDeque,
    fmt::Debug,
    time::{Duration, Instant},
};

/// What a session is before it is bound; each end has its own.
pub(crate) trait Stage: Copy + Eq + Debug {
    /// The word of the matrix.
    fn state(self) -> SessionState;
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase<B> {
    /// Not bound yet.
    Before(B),
    Bound,
    /// No new requests of ours; waiting for answers.
    Draining,
    /// The unbind is sent.
    Unbinding,
    Closed,
}

/// Events that both ends have, each in its own type.
pub(crate) trait Notice {
    fn unmatched(command_id: CommandId, sequence: u32, status: CommandStatus) -> Self;
    fn undecodable(undecodable: Undecodable) -> Self;
    fn tolerated(command_id: CommandId, quirks: ToleratedSet) -> Self;
    fn refused(command_id: CommandId, sequence: u32, status: CommandStatus) -> Self;
    fn timed_out(tag: u64) -> Self;
    fn not_sent(tag: u64, why: Refusal) -> Self;
    fn congested(state: Congestion) -> Self;
    fn adapted(tag: Option<u64>, command_id: CommandId, adapted: Adapted) -> Self;
    fn closed(cause: CloseCause, in_doubt: Vec<u64>) -> Self;
}

/// Implements [`Notice`] for an event type whose variants have these names and fields; what differs is given.
macro_rules! notice {
    ($event:ident, $refused:ident) => {
        impl $crate::end::Notice for $event {
            fn unmatched(command_id: CommandId, sequence: u32, status: CommandStatus) -> Self {
                Self::Unmatched {
                    command_id,
                    sequence,
                    status,
                }
            }
            fn undecodable(undecodable: Undecodable) -> Self {
                Self::Undecodable(undecodable)
            }
            fn tolerated(command_id: CommandId, quirks: ToleratedSet) -> Self {
                Self::Tolerated { command_id, quirks }
            }
            fn refused(command_id: CommandId, sequence: u32, status: CommandStatus) -> Self {
                Self::$refused {
                    command_id,
                    sequence,
                    status,
                }
            }
            fn timed_out(tag: u64) -> Self {
                Self::TimedOut { tag }
            }
            fn not_sent(tag: u64, why: Refusal) -> Self {
                Self::NotSent { tag, why }
            }
            fn congested(state: Congestion) -> Self {
                Self::Congested(state)
            }
            fn adapted(tag: Option<u64>, command_id: CommandId, adapted: Adapted) -> Self {
                Self::Adapted {
                    tag,
                    command_id,
                    adapted,
                }
            }
            fn closed(cause: CloseCause, in_doubt: Vec<u64>) -> Self {
                Self::Closed { cause, in_doubt }
            }
        }
    };
}
pub(crate) use notice;

/// Header of a PDU whose body goes its own way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) id: CommandId,
    pub(crate) sequence: u32,
    pub(crate) status: CommandStatus,
}

/// What is particular to one end.
pub(crate) trait End {
    type Event: Notice;
    type Stage: Stage;

    fn core(&mut self) -> &mut Core<Self::Event, Self::Stage>;
    /// A request that the matrix allows now, or an answer, that [`handle_frame`] does not deal with itself.
    fn handle_body(&mut self, now: Instant, frame: &Frame<'_>, head: Head, body: Body);
    /// A generic_nack, neither to our enquire_link nor to our unbind; the status is an error.
    fn handle_nack(&mut self, now: Instant, head: Head);
}

/// State that both ends have.
#[derive(Debug)]
pub(crate) struct Core<E, B> {
    pub(crate) peer: Peer,
    pub(crate) phase: Phase<B>,
    /// How it is bound, or will be.
    pub(crate) kind: BindKind,
    /// What the peer may use: decides on what is taken. What both ends speak, and so is sent, stands in `peer`.
    pub(crate) takes: Version,
    /// Told in answers to peers of 5.0.
    pub(crate) told_congestion: Option<Congestion>,
    /// What the peer last said of itself.
    pub(crate) congestion: Option<Congestion>,
    side: Side,
    unbind_timeout: Duration,
    /// Why we unbind, when it is not the owner's wish.
    ending: Option<CloseCause>,
    events: VecDeque<E>,
    closed: Option<E>,
}

impl<E: Notice, B: Stage> Core<E, B> {
    pub(crate) fn new(side: Side, limits: Limits, stage: B, now: Instant) -> Self {
        Self {
            peer: Peer::new(limits, now),
            phase: Phase::Before(stage),
            kind: BindKind::Transceiver,
            takes: Version::V5_0,
            told_congestion: None,
            congestion: None,
            side,
            unbind_timeout: limits.unbind_timeout,
            ending: None,
            events: VecDeque::new(),
            closed: None,
        }
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.unbind_timeout = limits.unbind_timeout;
        self.peer.set_limits(limits);
    }

    pub(crate) fn state(&self) -> SessionState {
        match self.phase {
            Phase::Before(stage) => stage.state(),
            Phase::Bound | Phase::Draining | Phase::Unbinding => SessionState::bound(self.kind),
            Phase::Closed => SessionState::Closed,
        }
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.phase == Phase::Bound
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Slots for messages, as long as this end may send them.
    pub(crate) fn free_slots(&self) -> usize {
        let sends = match self.side {
            Side::Esme => self.kind.can_submit(),
            Side::Smsc => self.kind.can_deliver(),
        };
        if self.is_bound() && sends {
            self.peer.free()
        } else {
            0
        }
    }

    pub(crate) fn held(&self) -> Held {
        self.peer.held()
    }

    pub(crate) fn emit(&mut self, event: E) {
        self.events.push_back(event);
    }

    pub(crate) fn unmatched(&mut self, head: Head) {
        self.emit(E::unmatched(head.id, head.sequence, head.status));
    }

    /// A command for something that is not there.
    pub(crate) fn nothing_there(&mut self, id: CommandId, sequence: u32, status: CommandStatus) {
        if !self.is_closed() {
            self.emit(E::unmatched(id, sequence, status));
        }
    }

    pub(crate) fn close(&mut self, cause: CloseCause) {
        if self.is_closed() {
            return;
        }
        self.phase = Phase::Closed;
        let in_doubt = self.peer.close();
        self.closed = Some(E::closed(cause, in_doubt));
    }

    /// Our own unbind is through.
    fn unbound(&mut self) {
        self.close(self.ending.unwrap_or(CloseCause::Unbound));
    }

    pub(crate) fn poll_event(&mut self) -> Option<E> {
        self.events.pop_front().or_else(|| self.closed.take())
    }

    /// The bind is answered: the session works from now on.
    pub(crate) fn bound(&mut self, now: Instant) {
        self.phase = Phase::Bound;
        self.peer.watch(now);
    }

    /// Sends a request of the owner, or says why not.
    pub(crate) fn request(&mut self, now: Instant, tag: u64, body: &Body) {
        if let Err(why) = self.try_request(now, tag, body) {
            self.not_sent(tag, why);
        }
    }

    pub(crate) fn not_sent(&mut self, tag: u64, why: Refusal) {
        // After Closed has been given out there is nobody left to tell.
        if !self.is_closed() || self.closed.is_some() {
            self.emit(E::not_sent(tag, why));
        }
    }

    fn try_request(&mut self, now: Instant, tag: u64, body: &Body) -> Result<(), Refusal> {
        let command = body.command_id();
        self.may_send(command)?;
        if self.peer.free_for(command) == 0 {
            return Err(Refusal::WindowFull);
        }
        let adapted = self.peer.request(now, tag, body).map_err(misfit)?;
        self.adapted(Some(tag), command, adapted);
        Ok(())
    }

    /// Tells the owner what the peer's version could not be told.
    fn adapted(&mut self, tag: Option<u64>, command: CommandId, adapted: Adapted) {
        if !adapted.is_nothing() {
            self.emit(E::adapted(tag, command, adapted));
        }
    }

    /// Sends what has no answer, or says why not.
    pub(crate) fn notify(&mut self, now: Instant, tag: u64, body: &Body) {
        let command = body.command_id();
        let sent = self
            .may_send(command)
            .and_then(|()| self.peer.notify(now, body).map_err(misfit));
        match sent {
            Ok(adapted) => self.adapted(Some(tag), command, adapted),
            Err(why) => self.not_sent(tag, why),
        }
    }

    fn may_send(&self, command: CommandId) -> Result<(), Refusal> {
        match self.phase {
            Phase::Before(_) => return Err(Refusal::NotBound),
            Phase::Draining | Phase::Unbinding => return Err(Refusal::Draining),
            Phase::Closed => return Err(Refusal::Closed),
            Phase::Bound => {}
        }
        match matrix::judge(self.peer.version, self.state(), self.side, command) {
            Judgement::Allowed => Ok(()),
            Judgement::Unknown => Err(Refusal::NotInVersion),
            Judgement::WrongState | Judgement::WrongSide => Err(Refusal::WrongBind),
        }
    }

    /// Answers the oldest request with that number and one of these ids. The owner's answer may not fit: an answer there
    /// must be, and system error is a true one.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        sequence: u32,
        status: CommandStatus,
        ids: &[CommandId],
        body: impl FnOnce(CommandId) -> Body,
    ) {
        if self.is_closed() {
            return;
        }
        match self.peer.take_request(now, sequence, ids) {
            Some(id) => {
                let mut body = body(id);
                self.tell_congestion(&mut body);
                match self.peer.send(status, sequence, &body) {
                    Ok(adapted) => self.adapted(None, body.command_id(), adapted),
                    Err(_) => self.reply(CommandStatus::SYSTEM_ERROR, sequence, error_answer(id)),
                }
            }
            None => {
                let id = ids
                    .first()
                    .map_or(CommandId::GenericNack, |id| id.matching_response());
                self.nothing_there(id, sequence, status);
            }
        }
        self.unbind_when_idle(now);
    }

    /// Sends an answer that has no text.
    pub(crate) fn reply(&mut self, status: CommandStatus, sequence: u32, mut body: Body) {
        self.tell_congestion(&mut body);
        self.peer.answer(status, sequence, &body);
    }

    fn tell_congestion(&self, answer: &mut Body) {
        if let (Version::V5_0, Some(state)) = (self.peer.version, self.told_congestion) {
            state.tell(answer);
        }
    }

    /// Refuses a request of the peer in its own form.
    pub(crate) fn refuse_request(&mut self, id: CommandId, sequence: u32, status: CommandStatus) {
        self.reply(status, sequence, error_answer(id));
        self.emit(E::refused(id, sequence, status));
    }

    /// Refuses what makes no sense and keeps it.
    pub(crate) fn refuse(&mut self, frame: &Frame<'_>, error: DecodeError) {
        let undecodable = self.peer.refuse(frame, error);
        self.emit(E::undecodable(undecodable));
    }

    /// Takes no new requests of the owner, waits for answers, unbinds.
    pub(crate) fn unbind(&mut self, now: Instant, within: Duration) {
        match self.phase {
            Phase::Before(_) => self.close(CloseCause::Unbound),
            Phase::Bound => {
                self.phase = Phase::Draining;
                self.peer.clear_timer(Timer::Inactivity);
                self.peer.set_timer(Timer::Drain, now, within);
                self.unbind_when_idle(now);
            }
            Phase::Draining => self.peer.set_timer(Timer::Drain, now, within),
            Phase::Unbinding | Phase::Closed => {}
        }
    }

    /// Unbinds at once because the peer answers nothing.
    pub(crate) fn leave(&mut self, now: Instant) {
        match self.phase {
            Phase::Before(_) => self.close(CloseCause::Unanswered),
            Phase::Bound | Phase::Draining => {
                self.ending = Some(CloseCause::Unanswered);
                self.send_unbind(now);
            }
            Phase::Unbinding | Phase::Closed => {}
        }
    }

    pub(crate) fn unbind_when_idle(&mut self, now: Instant) {
        if self.phase == Phase::Draining && self.peer.is_idle() {
            self.send_unbind(now);
        }
    }

    fn send_unbind(&mut self, now: Instant) {
        self.phase = Phase::Unbinding;
        self.peer.send_unbind(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.peer.due(now) {
            match due {
                Due::TimedOut(tag) => {
                    self.emit(E::timed_out(tag));
                    self.unbind_when_idle(now);
                }
                Due::Close(cause) => self.close(self.ending.unwrap_or(cause)),
                Due::Unanswered => self.leave(now),
                Due::Inactive => {
                    self.ending = Some(CloseCause::Inactive);
                    self.unbind(now, self.unbind_timeout);
                }
                Due::DrainOver => {
                    if self.phase == Phase::Draining {
                        self.send_unbind(now);
                    }
                }
            }
        }
    }

    pub(crate) fn handle_eof(&mut self) {
        // Many peers close instead of answering unbind.
        if self.phase == Phase::Unbinding {
            self.unbound();
        } else {
            self.close(CloseCause::Lost);
        }
    }

    fn enquired(&mut self, head: Head, tlvs: &crate::tlv::Tlvs) {
        if !self.peer.matched_enquire(head.sequence) {
            self.unmatched(head);
        }
        if let Some(state) = Congestion::of(tlvs) {
            self.congestion = Some(state);
            self.emit(E::congested(state));
        }
    }
}

fn misfit(error: EncodeError) -> Refusal {
    match error {
        EncodeError::NotInVersion { .. } | EncodeError::NeedsTlv { .. } => Refusal::NotInVersion,
        EncodeError::MessageTooLong(_)
        | EncodeError::StringTooLong { .. }
        | EncodeError::ListTooLong { .. }
        | EncodeError::TooLong => Refusal::DoesNotFit,
    }
}

/// Implements [`smsgw_session::Session`] for an end that has `command`.
macro_rules! session {
    ($session:ident, $command:ident, $event:ident) => {
        impl smsgw_session::Session for $session {
            type Command = $command;
            type Event = $event;

            fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
                $crate::end::handle_bytes(self, now, bytes);
            }
            fn handle_command(&mut self, now: Instant, command: $command) {
                self.command(now, command);
            }
            fn handle_timeout(&mut self, now: Instant) {
                self.core.handle_timeout(now);
            }
            fn handle_eof(&mut self, _now: Instant) {
                self.core.handle_eof();
            }
            fn poll_transmit(&mut self, out: &mut bytes::BytesMut) -> bool {
                self.core.peer.transmit(out)
            }
            fn poll_event(&mut self) -> Option<$event> {
                self.core.poll_event()
            }
            fn poll_timeout(&self) -> Option<Instant> {
                self.core.peer.next_deadline()
            }
            fn is_closed(&self) -> bool {
                self.core.is_closed()
            }
        }
    };
}
pub(crate) use session;

/// Bytes of the peer, for either end.
pub(crate) fn handle_bytes<S: End>(session: &mut S, now: Instant, bytes: &[u8]) {
    if session.core().is_closed() {
        return;
    }
    // Out of the session while frames borrow from it.
    let mut framer = std::mem::replace(&mut session.core().peer.framer, Framer::new(0));
    framer.push(bytes);
    while !session.core().is_closed() {
        match framer.next_frame() {
            Ok(Some(frame)) => handle_frame(session, now, &frame),
            Ok(None) => {
                session.core().peer.framer = framer;
                return;
            }
            Err(bad) => {
                let core = session.core();
                core.peer.answer(
                    CommandStatus::INVALID_COMMAND_LENGTH,
                    bad.sequence,
                    &Body::GenericNack,
                );
                core.close(CloseCause::BadLength(bad.length));
            }
        }
    }
}

fn handle_frame<S: End>(session: &mut S, now: Instant, frame: &Frame<'_>) {
    let core = session.core();
    core.peer.received(now, frame.command_id);
    let id = CommandId::from(frame.command_id);
    if id.is_operation() {
        match matrix::judge(core.takes, core.state(), core.side.other(), id) {
            Judgement::Allowed => {}
            judgement @ Judgement::WrongState if matrix::has_answer(id) => {
                let bound = !matches!(core.phase, Phase::Before(_));
                if let Some(status) = judgement.status(id, bound) {
                    core.refuse_request(id, frame.sequence, status);
                }
                return;
            }
            Judgement::WrongState | Judgement::WrongSide => {
                return core.refuse(frame, DecodeError::WrongDirection);
            }
            Judgement::Unknown => return core.refuse(frame, DecodeError::UnknownCommand(frame.command_id)),
        }
    }
    let (pdu, quirks) = match decode_as(core.peer.version, frame) {
        Ok(decoded) => decoded,
        Err(error) => return core.refuse(frame, error),
    };
    if !quirks.is_empty() {
        core.emit(S::Event::tolerated(id, quirks));
    }
    let Pdu {
        status,
        sequence,
        body,
    } = pdu;
    let head = Head { id, sequence, status };
    match body {
        Body::EnquireLink => core.reply(
            CommandStatus::OK,
            sequence,
            Body::EnquireLinkResp(crate::tlv::Tlvs::new()),
        ),
        Body::EnquireLinkResp(tlvs) => core.enquired(head, &tlvs),
        Body::Unbind => {
            core.peer.answer(CommandStatus::OK, sequence, &Body::UnbindResp);
            if core.phase == Phase::Unbinding {
                core.unbound();
            } else {
                core.close(CloseCause::PeerUnbound);
            }
        }
        Body::UnbindResp if core.phase == Phase::Unbinding => core.unbound(),
        Body::UnbindResp => core.unmatched(head),
        Body::GenericNack => {
            if core.phase == Phase::Unbinding && core.peer.is_unbind(sequence) {
                core.unbound();
            } else if !core.peer.matched_enquire(sequence) {
                let status = nack_status(status);
                session.handle_nack(now, Head { status, ..head });
            }
        }
        // An answer to nothing any version has.
        Body::Raw(raw) => core.refuse(frame, DecodeError::UnknownCommand(raw.command_id)),
        body => session.handle_body(now, frame, head, body),
    }
}
