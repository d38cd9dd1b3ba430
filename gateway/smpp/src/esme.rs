//! The ESME end of an SMPP 3.4 session: what we are towards a carrier.
//!
//! Binds at once, submits within a window, hands deliveries to its owner and sends the owner's answers, keeps the link
//! alive, unbinds. Knows nothing of queues, rates or retries, and no clock. Invariants:
//! - a submit ends as exactly one of answered, timed out, not sent, in doubt;
//! - a delivery is answered by the owner, or refused here with an event, never on its behalf;
//! - `Closed` comes once and last; bytes and commands after it do nothing.
//!
//! # Limits
//! Bytes of a submit count as sent once the command is taken, even if the driver has not written them: in doubt rather
//! than lost. query_sm, cancel_sm and replace_sm are decoded but not sent by this end yet.

mod api;

pub use api::{EsmeCommand, EsmeConfig, EsmeEvent, Operation};

use crate::{
    decode::{DecodeError, decode, interface_version},
    framer::{Frame, Framer},
    outcome::{CloseCause, Refusal},
    pdu::{Bind, Body, MessageResp, Pdu},
    peer::{Due, Limits, Matched, Peer, Timer, nack_status},
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
    /// The bind is sent.
    Binding,
    Bound,
    /// No new submits; waiting for answers.
    Draining,
    /// The unbind is sent.
    Unbinding,
    Closed,
}

/// ESME side of one session; see the module and [`Session`].
#[derive(Debug)]
pub struct EsmeSession {
    config: EsmeConfig,
    peer: Peer,
    state: State,
    /// Why we unbind, when it is not the owner's wish.
    ending: Option<CloseCause>,
    events: VecDeque<EsmeEvent>,
    closed: Option<EsmeEvent>,
}

impl EsmeSession {
    /// A session that binds: the request is the first thing `poll_transmit` gives.
    ///
    /// Credentials too long for any PDU end it at once, as a refused bind.
    #[must_use]
    pub fn new(config: EsmeConfig, now: Instant) -> Self {
        let limits = Limits {
            window: config.window.max(1),
            requests: config.deliveries,
            response_timeout: config.response_timeout,
            enquire_link: config.enquire_link,
            enquire_link_timeout: config.enquire_link_timeout,
            inactivity: config.inactivity,
            unbind_timeout: config.unbind_timeout,
            tombstone_ttl: config.tombstone_ttl,
            tombstones: config.tombstones,
            max_pdu: config.max_pdu,
        };
        let mut session = Self {
            peer: Peer::new(limits, now),
            state: State::Binding,
            ending: None,
            events: VecDeque::new(),
            closed: None,
            config,
        };
        session.bind(now);
        session
    }

    fn bind(&mut self, now: Instant) {
        let bind = Bind {
            system_id: self.config.system_id.clone(),
            password: self.config.password.clone(),
            system_type: self.config.system_type.clone(),
            interface_version: self.config.interface_version,
            address_range: self.config.address_range.clone(),
        };
        let sequence = self.peer.number();
        if self
            .peer
            .send(CommandStatus::OK, sequence, &Body::Bind(self.config.bind, bind))
            .is_err()
        {
            self.refused(CommandStatus::INVALID_SYSTEM_ID);
            return;
        }
        self.peer.set_timer(Timer::Bind, now, self.config.bind_timeout);
    }

    /// How many submits the window takes now: reserve first, then take a message from the queue.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        if self.state == State::Bound && self.config.bind.can_submit() {
            self.peer.window.free()
        } else {
            0
        }
    }

    /// Bound and not unbinding.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.state == State::Bound
    }

    /// Submits sent and not answered yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.peer.window.len()
    }

    fn emit(&mut self, event: EsmeEvent) {
        self.events.push_back(event);
    }

    fn close(&mut self, cause: CloseCause) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        let in_doubt = self.peer.close();
        self.closed = Some(EsmeEvent::Closed { cause, in_doubt });
    }

    fn refused(&mut self, status: CommandStatus) {
        self.emit(EsmeEvent::BindRefused { status });
        self.close(CloseCause::BindRefused(status));
    }

    fn submit(&mut self, now: Instant, tag: u64, message: crate::pdu::SubmitSm) {
        let refusal = match self.state {
            State::Binding => Some(Refusal::NotBound),
            State::Draining | State::Unbinding => Some(Refusal::Draining),
            State::Closed => Some(Refusal::Closed),
            State::Bound if !self.config.bind.can_submit() => Some(Refusal::WrongBind),
            State::Bound if self.peer.window.free() == 0 => Some(Refusal::WindowFull),
            State::Bound => None,
        };
        let why = match refusal {
            Some(why) => why,
            None => match self.peer.request(now, tag, &Body::SubmitSm(message)) {
                Ok(()) => return,
                Err(_) => Refusal::DoesNotFit,
            },
        };
        // After Closed has been given out there is nobody left to tell.
        if self.state != State::Closed || self.closed.is_some() {
            self.emit(EsmeEvent::NotSent { tag, why });
        }
    }

    fn answer(&mut self, now: Instant, sequence: u32, status: CommandStatus) {
        if self.state == State::Closed {
            return;
        }
        let resp = MessageResp::default();
        match self
            .peer
            .take_request(now, sequence, &[CommandId::DeliverSm, CommandId::DataSm])
        {
            Some(CommandId::DataSm) => self.peer.answer(status, sequence, &Body::DataSmResp(resp)),
            Some(_) => self.peer.answer(status, sequence, &Body::DeliverSmResp(resp)),
            None => self.emit(EsmeEvent::Unmatched {
                command_id: CommandId::DeliverSmResp,
                sequence,
                status,
            }),
        }
        self.unbind_when_idle(now);
    }

    fn unbind(&mut self, now: Instant, within: Duration) {
        match self.state {
            State::Binding => self.close(CloseCause::Unbound),
            State::Bound => {
                self.state = State::Draining;
                self.peer.clear_timer(Timer::Inactivity);
                self.peer.set_timer(Timer::Drain, now, within);
                self.unbind_when_idle(now);
            }
            State::Draining => self.peer.set_timer(Timer::Drain, now, within),
            State::Unbinding | State::Closed => {}
        }
    }

    fn leave(&mut self, now: Instant) {
        match self.state {
            State::Binding => self.close(CloseCause::Unanswered),
            State::Bound | State::Draining => {
                self.ending = Some(CloseCause::Unanswered);
                self.send_unbind(now);
            }
            State::Unbinding | State::Closed => {}
        }
    }

    fn unbind_when_idle(&mut self, now: Instant) {
        if self.state == State::Draining && self.peer.is_idle() {
            self.send_unbind(now);
        }
    }

    fn send_unbind(&mut self, now: Instant) {
        self.state = State::Unbinding;
        self.peer.send_unbind(now);
    }

    fn handle_frame(&mut self, now: Instant, frame: &Frame<'_>) {
        self.peer.received(now, frame.command_id);
        let (pdu, quirks) = match decode(frame) {
            Ok(decoded) => decoded,
            Err(error) => return self.refuse(frame, error),
        };
        if !quirks.is_empty() {
            self.emit(EsmeEvent::Tolerated {
                command_id: pdu.body.command_id(),
                quirks,
            });
        }
        let Pdu {
            status,
            sequence,
            body,
        } = pdu;
        match body {
            Body::SubmitSmResp(resp) | Body::DataSmResp(resp) => {
                let id = CommandId::SubmitSmResp;
                self.answered(now, id, sequence, status, resp);
            }
            Body::DeliverSm(message) => self.deliver(sequence, Operation::DeliverSm, message),
            Body::DataSm(message) => self.deliver(sequence, Operation::DataSm, message),
            Body::EnquireLink => self
                .peer
                .answer(CommandStatus::OK, sequence, &Body::EnquireLinkResp),
            Body::EnquireLinkResp => {
                if !self.peer.matched_enquire(sequence) {
                    self.emit(EsmeEvent::Unmatched {
                        command_id: CommandId::EnquireLinkResp,
                        sequence,
                        status,
                    });
                }
            }
            Body::BindResp(kind, resp) => {
                if self.state != State::Binding {
                    let command_id = Body::BindResp(kind, resp).command_id();
                    self.emit(EsmeEvent::Unmatched {
                        command_id,
                        sequence,
                        status,
                    });
                } else if status.is_ok() {
                    self.state = State::Bound;
                    self.peer.watch(now);
                    let interface_version = interface_version(&resp.tlvs);
                    self.emit(EsmeEvent::Bound {
                        system_id: resp.system_id,
                        interface_version,
                    });
                } else {
                    self.refused(status);
                }
            }
            Body::GenericNack => self.nacked(now, sequence, nack_status(status)),
            Body::Unbind => {
                self.peer.answer(CommandStatus::OK, sequence, &Body::UnbindResp);
                let ours = self.state == State::Unbinding;
                self.close(if ours {
                    self.ending.unwrap_or(CloseCause::Unbound)
                } else {
                    CloseCause::PeerUnbound
                });
            }
            Body::UnbindResp => {
                if self.state == State::Unbinding {
                    self.close(self.ending.unwrap_or(CloseCause::Unbound));
                } else {
                    self.emit(EsmeEvent::Unmatched {
                        command_id: CommandId::UnbindResp,
                        sequence,
                        status,
                    });
                }
            }
            Body::AlertNotification(alert) => self.emit(EsmeEvent::Alert(alert)),
            Body::DeliverSmResp(_) | Body::QuerySmResp(_) | Body::CancelSmResp | Body::ReplaceSmResp => {
                let command_id = CommandId::from(frame.command_id);
                self.emit(EsmeEvent::Unmatched {
                    command_id,
                    sequence,
                    status,
                });
            }
            Body::Bind(..)
            | Body::Outbind { .. }
            | Body::SubmitSm(_)
            | Body::QuerySm(_)
            | Body::CancelSm(_)
            | Body::ReplaceSm(_) => self.refuse(frame, DecodeError::WrongDirection),
        }
    }

    fn refuse(&mut self, frame: &Frame<'_>, error: DecodeError) {
        let undecodable = self.peer.refuse(frame, error);
        self.emit(EsmeEvent::Undecodable(undecodable));
    }

    fn answered(
        &mut self,
        now: Instant,
        command_id: CommandId,
        sequence: u32,
        status: CommandStatus,
        resp: MessageResp,
    ) {
        let MessageResp { message_id, tlvs } = resp;
        match self.peer.matched(sequence) {
            Matched::InTime(tag) => self.emit(EsmeEvent::Answered {
                tag,
                status,
                message_id,
                tlvs,
            }),
            Matched::Late(tag) => self.emit(EsmeEvent::LateAnswer {
                tag,
                status,
                message_id,
                tlvs,
            }),
            Matched::Nothing => self.emit(EsmeEvent::Unmatched {
                command_id,
                sequence,
                status,
            }),
        }
        self.unbind_when_idle(now);
    }

    fn nacked(&mut self, now: Instant, sequence: u32, status: CommandStatus) {
        let nothing = MessageResp {
            message_id: crate::octets::COctets::new(),
            tlvs: Tlvs::new(),
        };
        match self.state {
            // Only the bind can be meant, whatever number the peer gives.
            State::Binding => self.refused(status),
            State::Unbinding if self.peer.is_unbind(sequence) => {
                self.close(self.ending.unwrap_or(CloseCause::Unbound));
            }
            State::Bound | State::Draining | State::Unbinding | State::Closed => {
                if !self.peer.matched_enquire(sequence) {
                    self.answered(now, CommandId::GenericNack, sequence, status, nothing);
                }
            }
        }
    }

    fn deliver(&mut self, sequence: u32, operation: Operation, message: crate::pdu::DeliverSm) {
        let command_id = match operation {
            Operation::DataSm => CommandId::DataSm,
            Operation::DeliverSm | Operation::SubmitSm => CommandId::DeliverSm,
        };
        let allowed = self.state != State::Binding && self.config.bind.can_deliver();
        let status = if !allowed {
            CommandStatus::INVALID_BIND_STATUS
        } else if self.peer.note_request(sequence, command_id) {
            return self.emit(EsmeEvent::Delivered {
                sequence,
                operation,
                message,
            });
        } else {
            CommandStatus::TEMPORARY_APP_ERROR
        };
        self.peer
            .answer(status, sequence, &crate::peer::error_answer(command_id));
        self.emit(EsmeEvent::DeliveryRefused { sequence, status });
    }
}

impl Session for EsmeSession {
    type Command = EsmeCommand;
    type Event = EsmeEvent;

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

    fn handle_command(&mut self, now: Instant, command: EsmeCommand) {
        match command {
            EsmeCommand::Submit { tag, message } => self.submit(now, tag, message),
            EsmeCommand::Answer { sequence, status } => self.answer(now, sequence, status),
            EsmeCommand::Unbind { within } => self.unbind(now, within),
            EsmeCommand::Leave => self.leave(now),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.peer.due(now) {
            match due {
                Due::TimedOut(tag) => {
                    self.emit(EsmeEvent::TimedOut { tag });
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
        let ours = self.state == State::Unbinding;
        self.close(if ours {
            self.ending.unwrap_or(CloseCause::Unbound)
        } else {
            CloseCause::Lost
        });
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        self.peer.transmit(out)
    }

    fn poll_event(&mut self) -> Option<EsmeEvent> {
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
