//! The SMSC end of an SMPP 3.4 session: what we are towards a client, and what the simulated carrier is.
//!
//! Hands binds, submits and other requests to its owner and sends the owner's answers, delivers within a window, keeps the
//! link alive, unbinds. Checks which operation a bind allows (SMPP 3.4 §2.3); accounts, limits and routes are the owner's.
//! Invariants:
//! - a delivery ends as exactly one of answered, timed out, not sent, in doubt;
//! - a request is answered by the owner, or refused here with an event, never on its behalf;
//! - `Closed` comes once and last; bytes and commands after it do nothing.
//!
//! # Limits
//! Deliveries go out as deliver_sm only. outbind and alert_notification are not sent.

mod api;

pub use api::{SmscCommand, SmscConfig, SmscEvent};

use crate::{
    decode::{DecodeError, decode},
    encode::version_tlv,
    esme::Operation,
    framer::{Frame, Framer},
    octets::COctets,
    outcome::{CloseCause, Refusal},
    pdu::{Bind, BindKind, BindResp, Body, DeliverSm, MessageResp, Pdu},
    peer::{Due, Limits, Matched, Peer, Timer, error_answer, nack_status},
    status::CommandStatus,
    tlv::Tlvs,
};
use bytes::BytesMut;
use rusmpp_core::CommandId;
use smsgw_session::Session;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody has asked to bind.
    Open,
    /// The owner decides on the bind.
    Asked {
        kind: BindKind,
        sequence: u32,
        version: u8,
    },
    Bound(BindKind),
    /// No new requests; waiting for answers.
    Draining(BindKind),
    /// The unbind is sent.
    Unbinding(BindKind),
    Closed,
}

/// SMSC side of one session; see the module and [`Session`].
#[derive(Debug)]
pub struct SmscSession {
    config: SmscConfig,
    peer: Peer,
    state: State,
    /// Why we unbind, when it is not the owner's wish.
    ending: Option<CloseCause>,
    events: VecDeque<SmscEvent>,
    closed: Option<SmscEvent>,
}

impl SmscSession {
    /// A session that waits for a bind.
    #[must_use]
    pub fn new(config: SmscConfig, now: Instant) -> Self {
        let limits = Limits {
            window: config.window.max(1),
            requests: config.requests,
            response_timeout: config.response_timeout,
            enquire_link: config.enquire_link,
            enquire_link_timeout: config.enquire_link_timeout,
            inactivity: config.inactivity,
            unbind_timeout: config.unbind_timeout,
            tombstone_ttl: config.tombstone_ttl,
            tombstones: config.tombstones,
            max_pdu: config.max_pdu,
        };
        let mut peer = Peer::new(limits, now);
        peer.set_timer(Timer::Bind, now, config.bind_timeout);
        Self {
            peer,
            state: State::Open,
            ending: None,
            events: VecDeque::new(),
            closed: None,
            config,
        }
    }

    /// How many deliveries the window takes now.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        match self.state {
            State::Bound(kind) if kind.can_deliver() => self.peer.window.free(),
            State::Bound(_)
            | State::Open
            | State::Asked { .. }
            | State::Draining(_)
            | State::Unbinding(_)
            | State::Closed => 0,
        }
    }

    /// How the ESME is bound, `None` while it is not, and when the session is unbinding or over.
    #[must_use]
    pub fn bind_kind(&self) -> Option<BindKind> {
        match self.state {
            State::Bound(kind) => Some(kind),
            State::Open | State::Asked { .. } | State::Draining(_) | State::Unbinding(_) | State::Closed => {
                None
            }
        }
    }

    /// Deliveries sent and not answered yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.peer.window.len()
    }

    fn emit(&mut self, event: SmscEvent) {
        self.events.push_back(event);
    }

    fn close(&mut self, cause: CloseCause) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        let in_doubt = self.peer.close();
        self.closed = Some(SmscEvent::Closed { cause, in_doubt });
    }

    fn bind_requested(&mut self, now: Instant, sequence: u32, kind: BindKind, bind: Bind) {
        if self.state != State::Open {
            let refusal = Body::BindResp(kind, BindResp::default());
            return self.refuse_request(sequence, &refusal, CommandStatus::ALREADY_BOUND);
        }
        let Bind {
            system_id,
            password,
            system_type,
            interface_version,
            address_range,
        } = bind;
        self.state = State::Asked {
            kind,
            sequence,
            version: interface_version,
        };
        // From here the owner decides, in the same time again.
        self.peer.set_timer(Timer::Bind, now, self.config.bind_timeout);
        self.emit(SmscEvent::BindRequested {
            kind,
            system_id,
            password,
            system_type,
            interface_version,
            address_range,
        });
    }

    fn accept(&mut self, now: Instant, window: Option<usize>) {
        let State::Asked {
            kind,
            sequence,
            version,
        } = self.state
        else {
            return self.nothing_to_answer(CommandId::BindTransceiverResp, 0, CommandStatus::OK);
        };
        if let Some(window) = window {
            self.peer.window.set_capacity(window.max(1));
        }
        // ESMEs before 3.4 know no TLVs (SMPP 3.4 §3.4.1).
        let told = self.config.interface_version.filter(|_| version >= 0x34);
        let resp = BindResp {
            system_id: self.config.system_id.clone(),
            tlvs: version_tlv(told),
        };
        if self
            .peer
            .send(CommandStatus::OK, sequence, &Body::BindResp(kind, resp))
            .is_err()
        {
            // Our own name does not fit; the ESME is better off without it than without a session.
            let resp = BindResp {
                system_id: COctets::new(),
                tlvs: version_tlv(told),
            };
            self.peer
                .answer(CommandStatus::OK, sequence, &Body::BindResp(kind, resp));
        }
        self.state = State::Bound(kind);
        self.peer.watch(now);
    }

    fn refuse_bind(&mut self, status: CommandStatus) {
        let State::Asked { kind, sequence, .. } = self.state else {
            return self.nothing_to_answer(CommandId::BindTransceiverResp, 0, status);
        };
        let status = if status.is_ok() {
            CommandStatus::BIND_FAILED
        } else {
            status
        };
        self.peer
            .answer(status, sequence, &Body::BindResp(kind, BindResp::default()));
        self.close(CloseCause::BindRefused(status));
    }

    /// Hands a request to the owner, or refuses it: unless bound for it, when unbinding, when too many wait.
    fn request(&mut self, sequence: u32, id: CommandId, event: SmscEvent) {
        let status = match self.state {
            State::Bound(kind) if kind.can_submit() => {
                if self.peer.note_request(sequence, id) {
                    return self.emit(event);
                }
                self.config.overload_status
            }
            State::Draining(kind) | State::Unbinding(kind) if kind.can_submit() => {
                self.config.overload_status
            }
            State::Open
            | State::Asked { .. }
            | State::Bound(_)
            | State::Draining(_)
            | State::Unbinding(_)
            | State::Closed => CommandStatus::INVALID_BIND_STATUS,
        };
        self.refuse_request(sequence, &error_answer(id), status);
    }

    fn refuse_request(&mut self, sequence: u32, answer: &Body, status: CommandStatus) {
        self.peer.answer(status, sequence, answer);
        let command_id = CommandId::matching_request(answer.command_id());
        self.emit(SmscEvent::RequestRefused {
            command_id,
            sequence,
            status,
        });
    }

    fn nothing_to_answer(&mut self, command_id: CommandId, sequence: u32, status: CommandStatus) {
        if self.state != State::Closed {
            self.emit(SmscEvent::Unmatched {
                command_id,
                sequence,
                status,
            });
        }
    }

    /// Sends the owner's answer to the oldest request with that number and one of these ids.
    fn answer(
        &mut self,
        now: Instant,
        sequence: u32,
        status: CommandStatus,
        ids: &[CommandId],
        body: impl FnOnce(CommandId) -> Body,
    ) {
        match self.peer.take_request(now, sequence, ids) {
            Some(id) => {
                if self.peer.send(status, sequence, &body(id)).is_err() {
                    // The owner's id does not fit: an answer there must be, and this one is true.
                    self.peer
                        .answer(CommandStatus::SYSTEM_ERROR, sequence, &error_answer(id));
                }
            }
            None => {
                let id = ids
                    .first()
                    .map_or(CommandId::GenericNack, |id| CommandId::matching_response(*id));
                self.nothing_to_answer(id, sequence, status);
            }
        }
        self.unbind_when_idle(now);
    }

    fn deliver(&mut self, now: Instant, tag: u64, message: DeliverSm) {
        let refusal = match self.state {
            State::Open | State::Asked { .. } => Some(Refusal::NotBound),
            State::Draining(_) | State::Unbinding(_) => Some(Refusal::Draining),
            State::Closed => Some(Refusal::Closed),
            State::Bound(kind) if !kind.can_deliver() => Some(Refusal::WrongBind),
            State::Bound(_) if self.peer.window.free() == 0 => Some(Refusal::WindowFull),
            State::Bound(_) => None,
        };
        let why = match refusal {
            Some(why) => why,
            None => match self.peer.request(now, tag, &Body::DeliverSm(message)) {
                Ok(()) => return,
                Err(_) => Refusal::DoesNotFit,
            },
        };
        // After Closed has been given out there is nobody left to tell.
        if self.state != State::Closed || self.closed.is_some() {
            self.emit(SmscEvent::NotSent { tag, why });
        }
    }

    fn unbind(&mut self, now: Instant, within: Duration) {
        match self.state {
            State::Open | State::Asked { .. } => self.close(CloseCause::Unbound),
            State::Bound(kind) => {
                self.state = State::Draining(kind);
                self.peer.clear_timer(Timer::Inactivity);
                self.peer.set_timer(Timer::Drain, now, within);
                self.unbind_when_idle(now);
            }
            State::Draining(_) => self.peer.set_timer(Timer::Drain, now, within),
            State::Unbinding(_) | State::Closed => {}
        }
    }

    fn unbind_when_idle(&mut self, now: Instant) {
        if self.peer.is_idle() {
            self.send_unbind(now);
        }
    }

    fn send_unbind(&mut self, now: Instant) {
        if let State::Draining(kind) = self.state {
            self.state = State::Unbinding(kind);
            self.peer.send_unbind(now);
        }
    }

    fn unbound(&self) -> CloseCause {
        self.ending.unwrap_or(CloseCause::Unbound)
    }

    fn handle_frame(&mut self, now: Instant, frame: &Frame<'_>) {
        self.peer.received(now, frame.command_id);
        let (pdu, quirks) = match decode(frame) {
            Ok(decoded) => decoded,
            Err(error) => return self.refuse(frame, error),
        };
        if !quirks.is_empty() {
            self.emit(SmscEvent::Tolerated {
                command_id: pdu.body.command_id(),
                quirks,
            });
        }
        let Pdu {
            status,
            sequence,
            body,
        } = pdu;
        let id = body.command_id();
        match body {
            Body::SubmitSm(message) => {
                self.request(
                    sequence,
                    id,
                    SmscEvent::Submit {
                        sequence,
                        operation: Operation::SubmitSm,
                        message,
                    },
                );
            }
            Body::DataSm(message) => {
                self.request(
                    sequence,
                    id,
                    SmscEvent::Submit {
                        sequence,
                        operation: Operation::DataSm,
                        message,
                    },
                );
            }
            Body::QuerySm(query) => self.request(sequence, id, SmscEvent::Query { sequence, query }),
            Body::CancelSm(cancel) => self.request(sequence, id, SmscEvent::Cancel { sequence, cancel }),
            Body::ReplaceSm(replace) => self.request(sequence, id, SmscEvent::Replace { sequence, replace }),
            Body::DeliverSmResp(resp) | Body::DataSmResp(resp) => {
                self.answered(now, id, sequence, status, resp.tlvs);
            }
            Body::EnquireLink => self
                .peer
                .answer(CommandStatus::OK, sequence, &Body::EnquireLinkResp),
            Body::EnquireLinkResp => {
                if !self.peer.matched_enquire(sequence) {
                    self.emit(SmscEvent::Unmatched {
                        command_id: id,
                        sequence,
                        status,
                    });
                }
            }
            Body::Bind(kind, bind) => self.bind_requested(now, sequence, kind, bind),
            Body::GenericNack => {
                let unbinding = matches!(self.state, State::Unbinding(_));
                if unbinding && self.peer.is_unbind(sequence) {
                    self.close(self.unbound());
                } else if !self.peer.matched_enquire(sequence) {
                    self.answered(now, id, sequence, nack_status(status), Tlvs::new());
                }
            }
            Body::Unbind => {
                self.peer.answer(CommandStatus::OK, sequence, &Body::UnbindResp);
                let ours = matches!(self.state, State::Unbinding(_));
                self.close(if ours {
                    self.unbound()
                } else {
                    CloseCause::PeerUnbound
                });
            }
            Body::UnbindResp => {
                if matches!(self.state, State::Unbinding(_)) {
                    self.close(self.unbound());
                } else {
                    self.emit(SmscEvent::Unmatched {
                        command_id: id,
                        sequence,
                        status,
                    });
                }
            }
            Body::BindResp(..)
            | Body::SubmitSmResp(_)
            | Body::QuerySmResp(_)
            | Body::CancelSmResp
            | Body::ReplaceSmResp => self.emit(SmscEvent::Unmatched {
                command_id: id,
                sequence,
                status,
            }),
            Body::Outbind { .. } | Body::DeliverSm(_) | Body::AlertNotification(_) => {
                self.refuse(frame, DecodeError::WrongDirection);
            }
        }
    }

    fn refuse(&mut self, frame: &Frame<'_>, error: DecodeError) {
        let undecodable = self.peer.refuse(frame, error);
        self.emit(SmscEvent::Undecodable(undecodable));
    }

    fn answered(
        &mut self,
        now: Instant,
        command_id: CommandId,
        sequence: u32,
        status: CommandStatus,
        tlvs: Tlvs,
    ) {
        match self.peer.matched(sequence) {
            Matched::InTime(tag) => self.emit(SmscEvent::DeliverAnswered { tag, status, tlvs }),
            Matched::Late(tag) => self.emit(SmscEvent::LateAnswer { tag, status }),
            Matched::Nothing => self.emit(SmscEvent::Unmatched {
                command_id,
                sequence,
                status,
            }),
        }
        self.unbind_when_idle(now);
    }
}

impl Session for SmscSession {
    type Command = SmscCommand;
    type Event = SmscEvent;

    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        // Out of the session while frames borrow from it.
        let mut framer = std::mem::replace(&mut self.peer.framer, Framer::new(0));
        framer.push(bytes);
        while self.state != State::Closed {
            match framer.next_frame() {
                Ok(Some(frame)) => self.handle_frame(now, &frame),
                Ok(None) => {
                    self.peer.framer = framer;
                    return;
                }
                Err(bad) => {
                    let status = CommandStatus::INVALID_COMMAND_LENGTH;
                    self.peer.answer(status, bad.sequence, &Body::GenericNack);
                    self.close(CloseCause::BadLength(bad.length));
                }
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: SmscCommand) {
        match command {
            SmscCommand::AcceptBind { window } => self.accept(now, window),
            SmscCommand::RefuseBind { status } => self.refuse_bind(status),
            SmscCommand::AnswerSubmit {
                sequence,
                status,
                message_id,
            } => {
                let message_id = if status.is_ok() {
                    message_id
                } else {
                    COctets::new()
                };
                let resp = MessageResp {
                    message_id,
                    tlvs: Tlvs::new(),
                };
                self.answer(
                    now,
                    sequence,
                    status,
                    &[CommandId::SubmitSm, CommandId::DataSm],
                    |id| match id {
                        CommandId::DataSm => Body::DataSmResp(resp),
                        _ => Body::SubmitSmResp(resp),
                    },
                );
            }
            SmscCommand::AnswerQuery {
                sequence,
                status,
                answer,
            } => {
                let body = if status.is_ok() {
                    Body::QuerySmResp(answer)
                } else {
                    error_answer(CommandId::QuerySm)
                };
                self.answer(now, sequence, status, &[CommandId::QuerySm], |_| body);
            }
            SmscCommand::AnswerCancel { sequence, status } => {
                self.answer(now, sequence, status, &[CommandId::CancelSm], |_| {
                    Body::CancelSmResp
                });
            }
            SmscCommand::AnswerReplace { sequence, status } => {
                self.answer(now, sequence, status, &[CommandId::ReplaceSm], |_| {
                    Body::ReplaceSmResp
                });
            }
            SmscCommand::Deliver { tag, message } => self.deliver(now, tag, message),
            SmscCommand::Unbind { within } => self.unbind(now, within),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.peer.due(now) {
            match due {
                Due::TimedOut(tag) => {
                    self.emit(SmscEvent::TimedOut { tag });
                    self.unbind_when_idle(now);
                }
                Due::Close(cause) => self.close(self.ending.unwrap_or(cause)),
                Due::Inactive => {
                    self.ending = Some(CloseCause::Inactive);
                    self.unbind(now, self.config.unbind_timeout);
                }
                Due::DrainOver => self.send_unbind(now),
            }
        }
    }

    fn handle_eof(&mut self, _now: Instant) {
        // Many peers close instead of answering unbind.
        let ours = matches!(self.state, State::Unbinding(_));
        self.close(if ours { self.unbound() } else { CloseCause::Lost });
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        self.peer.transmit(out)
    }

    fn poll_event(&mut self) -> Option<SmscEvent> {
        self.events.pop_front().or_else(|| self.closed.take())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.peer.next_deadline()
    }

    fn is_closed(&self) -> bool {
        self.state == State::Closed
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
mod tests;
