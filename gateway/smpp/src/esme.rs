//! The ESME end of an SMPP session: what we are towards a carrier.
//!
//! Binds at once, or when the carrier's outbind is accepted; sends requests within a window, hands deliveries to its owner and
//! sends the owner's answers, keeps the link alive, unbinds. Knows nothing of queues, rates or retries, and no clock.
//! Invariants:
//! - a request ends as exactly one of answered, timed out, not sent, in doubt;
//! - a delivery is answered by the owner, or refused here with an event, never on its behalf;
//! - `Closed` comes once and last; bytes and commands after it do nothing.
//!
//! Which operations go over the session in which direction is [`crate::matrix`]'s. We send what both ends speak: the lower
//! of our interface_version and the carrier's sc_interface_version. We take what our own version has, because carriers
//! that understate theirs deliver data_sm all the same; one that states none is taken at ours, as most that leave it out
//! speak it.
//!
//! # Limits
//! Bytes of a request count as sent once the command is taken, even if the driver has not written them: in doubt rather
//! than lost.

mod api;

pub use api::{Answer, EsmeCommand, EsmeConfig, EsmeEvent, Operation, Reply, Request};

use crate::{
    congestion::Congestion,
    decode::{DecodeError, interface_version},
    end::{Core, End, Head, Phase, Stage, session},
    framer::Frame,
    matrix::{SessionState, Side, version_of_bind},
    octets::COctets,
    outcome::{CloseCause, Held},
    pdu::{Bind, BindResp, Body, DeliverSm, MessageResp, SubmitMultiResp},
    peer::{Limits, Matched, Sent, Timer, limits},
    status::CommandStatus,
    tlv::Tlvs,
    version::Version,
};
use rusmpp_core::CommandId;
use std::time::Instant;

/// Before the session is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Waiting for outbind.
    Listening,
    /// The owner decides on the outbind.
    Asked,
    /// The bind is sent; whether an outbind asked for it.
    Binding { asked: bool },
}

impl Stage for Before {
    fn state(self) -> SessionState {
        match self {
            Self::Listening | Self::Binding { asked: false } => SessionState::Open,
            Self::Asked | Self::Binding { asked: true } => SessionState::Outbound,
        }
    }
}

/// ESME side of one session; see the module and [`smsgw_session::Session`].
#[derive(Debug)]
pub struct EsmeSession {
    config: EsmeConfig,
    core: Core<EsmeEvent, Before>,
}

fn limits_of(config: &EsmeConfig) -> Limits {
    limits!(config, config.deliveries)
}

impl EsmeSession {
    /// A session that binds: the request is the first thing `poll_transmit` gives.
    ///
    /// Credentials too long for any PDU end it at once, as a refused bind.
    #[must_use]
    pub fn new(config: EsmeConfig, now: Instant) -> Self {
        let mut session = Self::with(config, Before::Binding { asked: false }, now);
        session.bind(now, false);
        session
    }

    /// A session on a connection that the carrier opened: it waits for outbind (SMPP 3.4 §2.2.1). Until then and until
    /// [`EsmeCommand::Bind`] only the times and bounds of `config` matter.
    #[must_use]
    pub fn listen(config: EsmeConfig, now: Instant) -> Self {
        let mut session = Self::with(config, Before::Listening, now);
        let within = session.config.bind_timeout;
        session.core.peer.set_timer(Timer::Bind, now, within);
        session
    }

    fn with(config: EsmeConfig, stage: Before, now: Instant) -> Self {
        Self {
            core: Core::new(Side::Esme, limits_of(&config), stage, now),
            config,
        }
    }

    fn bind(&mut self, now: Instant, asked: bool) {
        let bind = Bind {
            system_id: self.config.system_id.clone(),
            password: self.config.password.clone(),
            system_type: self.config.system_type.clone(),
            interface_version: self.config.interface_version,
            address_range: self.config.address_range.clone(),
        };
        self.core.kind = self.config.bind;
        self.core.peer.version = version_of_bind(self.config.bind, self.config.interface_version);
        self.core.takes = self.core.peer.version;
        self.core.phase = Phase::Before(Before::Binding { asked });
        let sequence = self.core.peer.number();
        if self
            .core
            .peer
            .send(CommandStatus::OK, sequence, &Body::Bind(self.config.bind, bind))
            .is_err()
        {
            self.refused(CommandStatus::INVALID_SYSTEM_ID);
            return;
        }
        let within = self.config.bind_timeout;
        self.core.peer.set_timer(Timer::Bind, now, within);
    }

    /// How many messages the window takes now: reserve first, then take a message from the queue.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.core.free_slots()
    }

    /// Bound and not unbinding.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.core.is_bound()
    }

    /// Requests sent and not answered yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.core.peer.outstanding()
    }

    /// What both ends speak; our own version before the bind is answered.
    #[must_use]
    pub fn version(&self) -> Version {
        self.core.peer.version
    }

    /// What the carrier last said about its load.
    #[must_use]
    pub fn congestion(&self) -> Option<Congestion> {
        self.core.congestion
    }

    /// What the session holds in memory.
    #[must_use]
    pub fn held(&self) -> Held {
        self.core.held()
    }

    fn refused(&mut self, status: CommandStatus) {
        self.core.emit(EsmeEvent::BindRefused { status });
        self.core.close(CloseCause::BindRefused(status));
    }

    fn accept_outbind(&mut self, now: Instant, config: EsmeConfig) {
        if self.core.phase != Phase::Before(Before::Asked) {
            return self.core.nothing_there(CommandId::Outbind, 0, CommandStatus::OK);
        }
        self.core.set_limits(limits_of(&config));
        self.config = config;
        self.bind(now, true);
    }

    fn refuse_outbind(&mut self) {
        if self.core.phase == Phase::Before(Before::Asked) {
            self.core.close(CloseCause::OutbindRefused);
        } else {
            self.core
                .nothing_there(CommandId::Outbind, 0, CommandStatus::BIND_FAILED);
        }
    }

    fn bind_answered(&mut self, now: Instant, head: Head, resp: BindResp) {
        if !matches!(self.core.phase, Phase::Before(Before::Binding { .. })) {
            return self.core.unmatched(head);
        }
        if !head.status.is_ok() {
            return self.refused(head.status);
        }
        let stated = interface_version(&resp.tlvs);
        if let Some(octet) = stated {
            let theirs = version_of_bind(self.core.kind, octet);
            self.core.peer.version = self.core.peer.version.min(theirs);
        }
        self.core.bound(now);
        self.core.emit(EsmeEvent::Bound {
            system_id: resp.system_id,
            interface_version: stated,
            version: self.core.peer.version,
        });
    }

    fn answered(&mut self, now: Instant, head: Head, body: Body) {
        let (sent, late) = match self.core.peer.matched(now, head.sequence, head.id) {
            Matched::InTime(sent) => (sent, false),
            Matched::Late(sent) => (sent, true),
            Matched::Nothing => return self.core.unmatched(head),
        };
        let Sent { tag, command, at, .. } = sent;
        let answer = Answer::of(command, head.status, body);
        if let Some(congestion) = Congestion::of(&answer.tlvs) {
            self.core.congestion = Some(congestion);
        }
        let took = now.saturating_duration_since(at);
        self.core.emit(answer.told(tag, took, late));
        self.core.unbind_when_idle(now);
    }

    fn deliver(&mut self, head: Head, operation: Operation, message: DeliverSm) {
        if self.core.peer.note_request(head.sequence, head.id) {
            self.core.emit(EsmeEvent::Delivered {
                sequence: head.sequence,
                operation,
                message,
            });
        } else {
            self.core
                .refuse_request(head.id, head.sequence, CommandStatus::TEMPORARY_APP_ERROR);
        }
    }
}

impl Answer {
    fn of(request: CommandId, status: CommandStatus, body: Body) -> Self {
        let mut answer = Self {
            status,
            message_id: COctets::new(),
            tlvs: Tlvs::new(),
            reply: match request {
                CommandId::DataSm => Reply::DataSm,
                CommandId::SubmitMulti => Reply::SubmitMulti {
                    unsuccess: Vec::new(),
                },
                CommandId::QuerySm => Reply::QuerySm(Box::default()),
                CommandId::CancelSm => Reply::CancelSm,
                CommandId::ReplaceSm => Reply::ReplaceSm,
                _ => Reply::SubmitSm,
            },
        };
        match body {
            Body::SubmitSmResp(MessageResp { message_id, tlvs })
            | Body::DataSmResp(MessageResp { message_id, tlvs }) => {
                answer.message_id = message_id;
                answer.tlvs = tlvs;
            }
            Body::SubmitMultiResp(SubmitMultiResp {
                message_id,
                unsuccess: failed,
                tlvs,
            }) => {
                answer.message_id = message_id;
                answer.tlvs = tlvs;
                match &mut answer.reply {
                    Reply::SubmitMulti { unsuccess } => *unsuccess = failed,
                    Reply::SubmitSm
                    | Reply::DataSm
                    | Reply::QuerySm(_)
                    | Reply::CancelSm
                    | Reply::ReplaceSm => {
                        // The only destination there was has not been taken.
                        if let (true, Some(first)) = (status.is_ok(), failed.first()) {
                            answer.status = first.status;
                        }
                    }
                }
            }
            Body::QuerySmResp(mut found) => {
                answer.tlvs = std::mem::take(&mut found.tlvs);
                answer.reply = Reply::QuerySm(Box::new(found));
            }
            Body::CancelSmResp(tlvs) | Body::ReplaceSmResp(tlvs) => answer.tlvs = tlvs,
            // A generic_nack says nothing more; other bodies are no answers to what we send.
            _ => {}
        }
        answer
    }
}

impl End for EsmeSession {
    type Event = EsmeEvent;
    type Stage = Before;

    fn core(&mut self) -> &mut Core<EsmeEvent, Before> {
        &mut self.core
    }

    fn handle_body(&mut self, now: Instant, frame: &Frame<'_>, head: Head, body: Body) {
        match body {
            Body::SubmitSmResp(_)
            | Body::DataSmResp(_)
            | Body::SubmitMultiResp(_)
            | Body::QuerySmResp(_)
            | Body::CancelSmResp(_)
            | Body::ReplaceSmResp(_) => self.answered(now, head, body),
            Body::DeliverSm(message) => self.deliver(head, Operation::DeliverSm, message),
            Body::DataSm(message) => self.deliver(head, Operation::DataSm, message),
            Body::AlertNotification(alert) => self.core.emit(EsmeEvent::Alert(alert)),
            Body::BindResp(_, resp) => self.bind_answered(now, head, resp),
            Body::Outbind { system_id, password } if self.core.phase == Phase::Before(Before::Listening) => {
                self.core.phase = Phase::Before(Before::Asked);
                // From here the owner decides, in the same time again.
                let within = self.config.bind_timeout;
                self.core.peer.set_timer(Timer::Bind, now, within);
                self.core.emit(EsmeEvent::Outbind { system_id, password });
            }
            Body::DeliverSmResp(_)
            | Body::BroadcastSmResp(_)
            | Body::QueryBroadcastSmResp(_)
            | Body::CancelBroadcastSmResp(_) => self.core.unmatched(head),
            Body::Outbind { .. }
            | Body::Bind(..)
            | Body::SubmitSm(_)
            | Body::SubmitMulti(_)
            | Body::QuerySm(_)
            | Body::CancelSm(_)
            | Body::ReplaceSm(_)
            | Body::BroadcastSm(_)
            | Body::QueryBroadcastSm(_)
            | Body::CancelBroadcastSm(_)
            | Body::EnquireLink
            | Body::EnquireLinkResp(_)
            | Body::Unbind
            | Body::UnbindResp
            | Body::GenericNack
            | Body::Raw(_) => self.core.refuse(frame, DecodeError::WrongDirection),
        }
    }

    fn handle_nack(&mut self, now: Instant, head: Head) {
        match self.core.phase {
            // Only the bind can be meant, whatever number the peer gives.
            Phase::Before(Before::Binding { .. }) => self.refused(head.status),
            Phase::Before(Before::Listening | Before::Asked)
            | Phase::Bound
            | Phase::Draining
            | Phase::Unbinding
            | Phase::Closed => self.answered(now, head, Body::GenericNack),
        }
    }
}

impl EsmeSession {
    fn command(&mut self, now: Instant, command: EsmeCommand) {
        match command {
            EsmeCommand::Submit { tag, message } => self.core.request(now, tag, &Body::SubmitSm(message)),
            EsmeCommand::Request { tag, request } => self.core.request(now, tag, &request.into_body()),
            EsmeCommand::Answer { sequence, status } => {
                let ids = [CommandId::DeliverSm, CommandId::DataSm];
                self.core.answer(now, sequence, status, &ids, |id| match id {
                    CommandId::DataSm => Body::DataSmResp(MessageResp::default()),
                    _ => Body::DeliverSmResp(MessageResp::default()),
                });
            }
            EsmeCommand::Bind(config) => self.accept_outbind(now, *config),
            EsmeCommand::RefuseOutbind => self.refuse_outbind(),
            EsmeCommand::Unbind { within } => self.core.unbind(now, within),
            EsmeCommand::Leave => self.core.leave(now),
        }
    }
}

session!(EsmeSession, EsmeCommand, EsmeEvent);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
mod tests;
