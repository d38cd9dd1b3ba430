//! Binds: who may, how many, and how it is said (SMPP 3.4 §4.1).

use super::{ACCOUNTS, Job, Moment, SessionId, Smsc, count, later};
use crate::smsc::options::AnswerStrings;
use crate::smsc::session::{Kind, State};
use crate::smsc::wire::{ANSWER, Fields, Head, id, put_string, put_tlv, tag};
use bytes::BufMut;

/// command_status of binds.
const ALREADY_BOUND: u32 = 0x05;
const BIND_FAILED: u32 = 0x0d;
const INVALID_COMMAND_LENGTH: u32 = 0x02;

impl Smsc {
    pub(super) fn handle_bind(
        &mut self,
        now: Moment,
        session: SessionId,
        kind: Kind,
        head: Head,
        body: &[u8],
    ) {
        let mut fields = Fields(body);
        let (name, password, _system_type) = (fields.string(), fields.string(), fields.string());
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        let refusal = match (known.state, fields.octet()) {
            (State::Open, Some(version)) => {
                known.version = version;
                self.refusal(now, name, password)
            }
            (State::Open, None) => Some(INVALID_COMMAND_LENGTH),
            _ => {
                // A second bind changes nothing about the first.
                return self.send(session, ANSWER | head.id, ALREADY_BOUND, head.sequence, |_| {});
            }
        };
        if let Some(status) = refusal {
            count(&mut self.stats.binds_refused);
            self.send(session, ANSWER | head.id, status, head.sequence, |_| {});
            return self.close(now, session, false);
        }
        let account = self.account(name);
        if let Some(known) = self.sessions.get_mut(&session) {
            (known.account, known.kind, known.state) = (Some(account), Some(kind), State::Asked);
        }
        let delay = self.options.binds.bind_delay;
        if delay.is_zero() {
            self.accept(now, session, head.sequence);
        } else {
            let sequence = head.sequence;
            self.agenda
                .insert(later(now.instant, delay), Job::Bind { session, sequence });
        }
    }

    /// Why this bind is refused, if it is.
    fn refusal(&self, now: Moment, name: &[u8], password: &[u8]) -> Option<u32> {
        let options = &self.options;
        let right = |wanted: &Option<String>, given: &[u8]| {
            wanted.as_ref().is_none_or(|want| want.as_bytes() == given)
        };
        if options.refuse_binds != 0 {
            return Some(options.refuse_binds);
        }
        if !right(&options.system_id, name) {
            return Some(options.binds.wrong_system_id_status);
        }
        if !right(&options.password, password) {
            return Some(options.binds.wrong_password_status);
        }
        let Some(account) = self.account_names.get(name).and_then(|at| self.accounts.get(*at)) else {
            return (self.accounts.len() >= ACCOUNTS).then_some(BIND_FAILED);
        };
        if account.ghost_until.is_some_and(|until| until > now.instant) {
            return Some(ALREADY_BOUND);
        }
        let limit = options.binds.max_sessions;
        (limit > 0 && account.bound >= limit).then_some(options.binds.max_sessions_status)
    }

    /// Answers a bind that was found right.
    pub(super) fn accept(&mut self, now: Moment, session: SessionId, sequence: u32) {
        let Some(known) = self
            .sessions
            .get_mut(&session)
            .filter(|known| known.state == State::Asked)
        else {
            return;
        };
        let (Some(account), Some(kind)) = (known.account, known.kind) else {
            return;
        };
        known.state = State::Bound;
        known.last_activity = now.instant;
        known.last_enquire = now.instant;
        let knows_tlvs = known.version >= 0x34;
        if let Some(account) = self.accounts.get_mut(account) {
            account.bound = account.bound.saturating_add(1);
            if kind.can_receive() {
                account.add_receiver(session);
                account.release_reserved();
            }
        }
        count(&mut self.stats.binds);
        let command = ANSWER
            | match kind {
                Kind::Transmitter => id::BIND_TRANSMITTER,
                Kind::Receiver => id::BIND_RECEIVER,
                Kind::Transceiver => id::BIND_TRANSCEIVER,
            };
        let (name, strings) = (self.options.name.clone(), self.options.answers.answer_strings);
        let version = self.options.binds.interface_version;
        self.send(session, command, 0, sequence, |out| {
            match strings {
                AnswerStrings::Proper => put_string(out, name.as_bytes()),
                AnswerStrings::Unterminated => return out.put_slice(name.as_bytes()),
                AnswerStrings::Overlong => put_string(out, format!("{name:-<40}").as_bytes()),
                AnswerStrings::Empty => put_string(out, b""),
            }
            if knows_tlvs && version != 0 {
                put_tlv(out, tag::SC_INTERFACE_VERSION, &[version]);
            }
        });
        self.check(now, session);
        self.deliver(now, account);
        self.deliver_mo(now);
    }
}
