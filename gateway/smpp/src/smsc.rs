//! The SMSC end of an SMPP session: what we are towards a client, and what the simulated carrier is.
//!
//! Hands binds, submits and other requests to its owner and sends the owner's answers, delivers within a window, keeps the
//! link alive, unbinds. Which operation a bind allows is [`crate::matrix`]'s; accounts, limits and routes are the owner's.
//! Invariants:
//! - a delivery ends as exactly one of answered, timed out, not sent, in doubt;
//! - a request is answered by the owner, or refused here with an event, never on its behalf;
//! - `Closed` comes once and last; bytes and commands after it do nothing.
//!
//! A client speaks the lower of its interface_version and ours; a transceiver speaks 3.4 at least. A client of 3.3 gets no
//! TLVs, and its data_sm is unknown.
//!
//! # Limits
//! The broadcast family is refused: known to clients of 5.0 (own answer, ESME_RPROHIBITED), unknown to others.

mod api;

pub use api::{SmscCommand, SmscConfig, SmscEvent};

use crate::{
    answer::error_answer,
    decode::DecodeError,
    encode::{EncodeError, version_tlv},
    end::{Core, End, Head, Phase, Stage, session},
    esme::Operation,
    framer::Frame,
    matrix::{SessionState, Side, version_of_bind},
    octets::COctets,
    outcome::{CloseCause, Held},
    password::Password,
    pdu::{Bind, BindKind, BindResp, Body, MessageResp, SubmitMultiResp, SubmitSm},
    peer::{Matched, Timer, limits},
    status::CommandStatus,
    tlv::Tlvs,
    version::Version,
};
use rusmpp_core::CommandId;
use std::time::Instant;

/// Before the session is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nobody has asked to bind; whether we have asked for it by outbind.
    Open { outbound: bool },
    /// The owner decides on the bind.
    Asked {
        sequence: u32,
        version: u8,
        outbound: bool,
    },
}

impl Stage for Before {
    fn state(self) -> SessionState {
        match self {
            Self::Open { outbound: false } | Self::Asked { outbound: false, .. } => SessionState::Open,
            Self::Open { outbound: true } | Self::Asked { outbound: true, .. } => SessionState::Outbound,
        }
    }
}

/// SMSC side of one session; see the module and [`smsgw_session::Session`].
#[derive(Debug)]
pub struct SmscSession {
    config: SmscConfig,
    core: Core<SmscEvent, Before>,
}

impl SmscSession {
    /// A session that waits for a bind.
    #[must_use]
    pub fn new(config: SmscConfig, now: Instant) -> Self {
        Self::with(config, false, now)
    }

    /// A session on a connection that we opened to an ESME: it asks the ESME to bind, and waits for that (SMPP 3.4 §2.2.1).
    ///
    /// # Errors
    /// When name or secret do not fit a PDU.
    pub fn outbind(
        config: SmscConfig,
        system_id: COctets,
        password: Password,
        now: Instant,
    ) -> Result<Self, EncodeError> {
        let mut session = Self::with(config, true, now);
        session
            .core
            .peer
            .notify(now, &Body::Outbind { system_id, password })?;
        Ok(session)
    }

    fn with(config: SmscConfig, outbound: bool, now: Instant) -> Self {
        let limits = limits!(config, config.requests);
        let mut core = Core::new(Side::Smsc, limits, Before::Open { outbound }, now);
        core.peer.set_timer(Timer::Bind, now, config.bind_timeout);
        Self { core, config }
    }

    /// How many deliveries the window takes now.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.core.free_slots()
    }

    /// How the ESME is bound, `None` while it is not, and when the session is unbinding or over.
    #[must_use]
    pub fn bind_kind(&self) -> Option<BindKind> {
        self.core.is_bound().then_some(self.core.kind)
    }

    /// Deliveries sent and not answered yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.core.peer.outstanding()
    }

    /// What both ends speak; of no meaning before the bind.
    #[must_use]
    pub fn version(&self) -> Version {
        self.core.peer.version
    }

    /// What the session holds in memory.
    #[must_use]
    pub fn held(&self) -> Held {
        self.core.held()
    }

    fn bind_requested(&mut self, now: Instant, head: Head, kind: BindKind, bind: Bind) {
        let Phase::Before(Before::Open { outbound }) = self.core.phase else {
            return self
                .core
                .refuse_request(head.id, head.sequence, CommandStatus::ALREADY_BOUND);
        };
        let Bind {
            system_id,
            password,
            system_type,
            interface_version,
            address_range,
        } = bind;
        self.core.kind = kind;
        self.core.phase = Phase::Before(Before::Asked {
            sequence: head.sequence,
            version: interface_version,
            outbound,
        });
        // From here the owner decides, in the same time again.
        let within = self.config.bind_timeout;
        self.core.peer.set_timer(Timer::Bind, now, within);
        self.core.emit(SmscEvent::BindRequested {
            kind,
            system_id,
            password,
            system_type,
            interface_version,
            address_range,
        });
    }

    fn accept(&mut self, now: Instant, window: Option<usize>) {
        let Phase::Before(Before::Asked {
            sequence, version, ..
        }) = self.core.phase
        else {
            return self.no_bind(CommandStatus::OK);
        };
        if let Some(window) = window {
            self.core.peer.set_window(window);
        }
        let kind = self.core.kind;
        let ours = self
            .config
            .interface_version
            .map_or(Version::V3_4, Version::from_octet);
        self.core.peer.version = ours.min(version_of_bind(kind, version));
        self.core.takes = self.core.peer.version;
        // ESMEs before 3.4 know no TLVs (SMPP 3.4 §3.4.1).
        let told = self
            .config
            .interface_version
            .filter(|_| Version::from_octet(version) >= Version::V3_4);
        let resp = BindResp {
            system_id: self.config.system_id.clone(),
            tlvs: version_tlv(told),
        };
        let body = Body::BindResp(kind, resp);
        if self.core.peer.send(CommandStatus::OK, sequence, &body).is_err() {
            // Our own name does not fit; the ESME is better off without it than without a session.
            let resp = BindResp {
                system_id: COctets::new(),
                tlvs: version_tlv(told),
            };
            self.core
                .peer
                .answer(CommandStatus::OK, sequence, &Body::BindResp(kind, resp));
        }
        self.core.bound(now);
    }

    fn refuse_bind(&mut self, status: CommandStatus) {
        let Phase::Before(Before::Asked { sequence, .. }) = self.core.phase else {
            return self.no_bind(status);
        };
        let status = if status.is_ok() {
            CommandStatus::BIND_FAILED
        } else {
            status
        };
        let refusal = Body::BindResp(self.core.kind, BindResp::default());
        self.core.peer.answer(status, sequence, &refusal);
        self.core.close(CloseCause::BindRefused(status));
    }

    fn no_bind(&mut self, status: CommandStatus) {
        self.core.nothing_there(CommandId::BindTransceiverResp, 0, status);
    }

    /// Hands a request to the owner, or refuses it: when unbinding, when too many wait.
    fn request(&mut self, head: Head, event: SmscEvent) {
        if self.core.is_bound() && self.core.peer.note_request(head.sequence, head.id) {
            self.core.emit(event);
        } else {
            self.core
                .refuse_request(head.id, head.sequence, self.config.overload_status);
        }
    }

    fn submitted(&mut self, head: Head, operation: Operation, message: SubmitSm) {
        let sequence = head.sequence;
        self.request(
            head,
            SmscEvent::Submit {
                sequence,
                operation,
                message,
            },
        );
    }

    fn answered(&mut self, now: Instant, head: Head, tlvs: Tlvs) {
        let Head {
            id, sequence, status, ..
        } = head;
        match self.core.peer.matched(now, sequence, id) {
            Matched::InTime(sent) => self.core.emit(SmscEvent::DeliverAnswered {
                tag: sent.tag,
                status,
                tlvs,
            }),
            Matched::Late(sent) => self.core.emit(SmscEvent::LateAnswer {
                tag: sent.tag,
                status,
            }),
            Matched::Nothing => self.core.unmatched(head),
        }
        self.core.unbind_when_idle(now);
    }

    fn answer_one(&mut self, now: Instant, sequence: u32, status: CommandStatus, id: CommandId, body: Body) {
        let body = if status.is_ok() { body } else { error_answer(id) };
        self.core.answer(now, sequence, status, &[id], |_| body);
    }
}

impl End for SmscSession {
    type Event = SmscEvent;
    type Stage = Before;

    fn core(&mut self) -> &mut Core<SmscEvent, Before> {
        &mut self.core
    }

    fn handle_body(&mut self, now: Instant, frame: &Frame<'_>, head: Head, body: Body) {
        let sequence = head.sequence;
        match body {
            Body::SubmitSm(message) => self.submitted(head, Operation::SubmitSm, message),
            Body::DataSm(message) => self.submitted(head, Operation::DataSm, message),
            Body::SubmitMulti(message) => self.request(head, SmscEvent::SubmitMulti { sequence, message }),
            Body::QuerySm(query) => self.request(head, SmscEvent::Query { sequence, query }),
            Body::CancelSm(cancel) => self.request(head, SmscEvent::Cancel { sequence, cancel }),
            Body::ReplaceSm(replace) => self.request(head, SmscEvent::Replace { sequence, replace }),
            Body::DeliverSmResp(resp) | Body::DataSmResp(resp) => self.answered(now, head, resp.tlvs),
            Body::Bind(kind, bind) => self.bind_requested(now, head, kind, bind),
            Body::BroadcastSm(_) | Body::QueryBroadcastSm(_) | Body::CancelBroadcastSm(_) => {
                self.core
                    .refuse_request(head.id, sequence, CommandStatus::PROHIBITED);
            }
            Body::BindResp(..)
            | Body::SubmitSmResp(_)
            | Body::SubmitMultiResp(_)
            | Body::QuerySmResp(_)
            | Body::CancelSmResp(_)
            | Body::ReplaceSmResp(_)
            | Body::BroadcastSmResp(_)
            | Body::QueryBroadcastSmResp(_)
            | Body::CancelBroadcastSmResp(_) => self.core.unmatched(head),
            Body::Outbind { .. }
            | Body::DeliverSm(_)
            | Body::AlertNotification(_)
            | Body::EnquireLink
            | Body::EnquireLinkResp(_)
            | Body::Unbind
            | Body::UnbindResp
            | Body::GenericNack
            | Body::Raw(_) => self.core.refuse(frame, DecodeError::WrongDirection),
        }
    }

    fn handle_nack(&mut self, now: Instant, head: Head) {
        self.answered(now, head, Tlvs::new());
    }
}

impl SmscSession {
    fn command(&mut self, now: Instant, command: SmscCommand) {
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
                let ids = [CommandId::SubmitSm, CommandId::DataSm];
                self.core.answer(now, sequence, status, &ids, |id| match id {
                    CommandId::DataSm => Body::DataSmResp(resp),
                    _ => Body::SubmitSmResp(resp),
                });
            }
            SmscCommand::AnswerMulti {
                sequence,
                status,
                message_id,
                unsuccess,
            } => {
                let body = Body::SubmitMultiResp(SubmitMultiResp {
                    message_id,
                    unsuccess,
                    tlvs: Tlvs::new(),
                });
                self.answer_one(now, sequence, status, CommandId::SubmitMulti, body);
            }
            SmscCommand::AnswerQuery {
                sequence,
                status,
                answer,
            } => {
                let body = Body::QuerySmResp(answer);
                self.answer_one(now, sequence, status, CommandId::QuerySm, body);
            }
            SmscCommand::AnswerCancel { sequence, status } => {
                let body = Body::CancelSmResp(Tlvs::new());
                self.answer_one(now, sequence, status, CommandId::CancelSm, body);
            }
            SmscCommand::AnswerReplace { sequence, status } => {
                let body = Body::ReplaceSmResp(Tlvs::new());
                self.answer_one(now, sequence, status, CommandId::ReplaceSm, body);
            }
            SmscCommand::Deliver { tag, message } => self.core.request(now, tag, &Body::DeliverSm(message)),
            SmscCommand::DeliverData { tag, message } => self.core.request(now, tag, &Body::DataSm(message)),
            SmscCommand::Alert { tag, alert } => {
                self.core.notify(now, tag, &Body::AlertNotification(alert));
            }
            SmscCommand::Congestion(state) => self.core.told_congestion = state,
            SmscCommand::Unbind { within } => self.core.unbind(now, within),
        }
    }
}

session!(SmscSession, SmscCommand, SmscEvent);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
mod tests;
