//! Submits: judged, recorded, answered, reported.

use super::{Job, Moment, SessionId, Smsc, count, fate_word, hit, is_nth, later};
use crate::ledger::Fate;
use crate::line::Line;
use crate::smsc::id::Id;
use crate::smsc::options::Protocol;
use crate::smsc::rule::StateWord;
use crate::smsc::session::{Kind, State};
use crate::smsc::store::Stored;
use crate::smsc::wire::{Operation, Submission, id, pdu, put_address, put_tlv, tag};
use crate::token::Token;
use bytes::{BufMut, BytesMut};
use std::time::Duration;

const INVALID_BIND_STATUS: u32 = 0x04;
const THROTTLED: u32 = 0x58;
const SYSTEM_ERROR: u32 = 0x08;
const TEMPORARY_APP_ERROR: u32 = 0x64;
/// Upper bits of the sequence_number of malformed deliveries.
const MALFORMED: u32 = 0x7000_0000;

/// What was decided about one message.
pub(super) struct Decided {
    fate: Fate,
    status: u32,
    id: Option<Id>,
    number: u64,
}

impl Smsc {
    pub(super) fn handle_submit(
        &mut self,
        now: Moment,
        session: SessionId,
        operation: Operation,
        sequence: u32,
        body: &[u8],
    ) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        known.last_activity = now.instant;
        let may = known.state == State::Bound && known.kind.is_some_and(Kind::can_submit);
        let refusal = if !may {
            Some(INVALID_BIND_STATUS)
        } else if known.pending >= self.options.window {
            Some(THROTTLED)
        } else {
            None
        };
        let (Some(account), None) = (known.account, refusal) else {
            count(&mut self.stats.overloaded);
            let status = refusal.unwrap_or(INVALID_BIND_STATUS);
            return self.answer(now, session, operation, sequence, status, "");
        };
        let (message, more) = match Submission::read(operation, body) {
            Ok(read) => read,
            Err(status) => {
                count(&mut self.stats.undecodable);
                return self.answer(now, session, operation, sequence, status, "");
            }
        };
        if self.options.protocol == Protocol::Http {
            // A request behind the answer: that one has arrived.
            let arrived = known.given.len().saturating_sub(known.unsent);
            known.given.drain(..arrived);
            if self.turned_away(now, session, operation, sequence) {
                return;
            }
        }
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        known.submits = known.submits.saturating_add(1);
        known.pending = known.pending.saturating_add(1);
        let submits = known.submits;
        count(&mut self.stats.submits);
        let (fate, status, served) = self.judge(now, account, &message);
        let decided = self.decide(now, fate, status);
        self.record(now, session, account, sequence, &message, &decided);
        for destination in more.iter().skip(1) {
            // Each further destination of submit_multi is a message of its own under the same id.
            let message = Submission {
                destination: *destination,
                ..message
            };
            self.record(now, session, account, sequence, &message, &decided);
        }
        self.settle(now, session, account, sequence, &message, &decided, served);
        for destination in more.iter().skip(1) {
            let message = Submission {
                destination: *destination,
                ..message
            };
            self.report(
                now,
                session,
                account,
                &message,
                decided.id.as_ref(),
                decided.number,
                Duration::ZERO,
            );
        }
        self.after_submit(session, submits);
    }

    /// Whether a request is not even looked at: its connection is reset, or the server has an error.
    fn turned_away(&mut self, now: Moment, session: SessionId, operation: Operation, sequence: u32) -> bool {
        if hit(&mut self.rng, self.options.http.resets) {
            count(&mut self.stats.turned_away);
            if let Some(known) = self.sessions.get_mut(&session) {
                known.reset = true;
            }
            self.close(now, session, true);
            return true;
        }
        let fails = hit(&mut self.rng, self.options.http.errors);
        if fails {
            count(&mut self.stats.turned_away);
            let status = if sequence.is_multiple_of(2) {
                TEMPORARY_APP_ERROR
            } else {
                SYSTEM_ERROR
            };
            self.answer(now, session, operation, sequence, status, "");
        }
        fails
    }

    fn decide(&mut self, now: Moment, fate: Fate, status: u32) -> Decided {
        match fate {
            Fate::Accepted | Fate::Unanswered | Fate::Cut => {
                count(&mut self.stats.accepted);
                self.stats.last_accepted_at = now.wall.as_millis();
                self.next_id = self.next_id.wrapping_add(1);
                let id = Id::new(self.options.ids, self.next_id, &mut self.rng);
                if self.options.protocol == Protocol::Ucp {
                    self.keys.note(id.answer.as_bytes(), now.wall);
                }
                Decided {
                    fate,
                    status,
                    id: Some(id),
                    number: self.next_id,
                }
            }
            Fate::Refused => Decided {
                fate,
                status,
                id: None,
                number: 0,
            },
        }
    }

    /// Answers (or not) and reports.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two halves of one submit, from one place"
    )]
    fn settle(
        &mut self,
        now: Moment,
        session: SessionId,
        account: usize,
        sequence: u32,
        message: &Submission<'_>,
        decided: &Decided,
        served: Duration,
    ) {
        let mut delay = self
            .spread(self.options.answer_delay, self.options.answer_jitter)
            .saturating_add(served);
        if hit(&mut self.rng, self.options.answers.late_share) {
            delay = delay.saturating_add(self.options.answers.late_after);
        }
        let id = decided.id.as_ref();
        let answer_id = id.map(|id| id.answer.as_str()).unwrap_or_default();
        if self.options.receipt_first {
            self.report(now, session, account, message, id, decided.number, Duration::ZERO);
        }
        match decided.fate {
            Fate::Accepted | Fate::Refused if delay.is_zero() => {
                self.answered(session);
                self.answer(
                    now,
                    session,
                    message.operation,
                    sequence,
                    decided.status,
                    answer_id,
                );
            }
            Fate::Accepted | Fate::Refused => {
                let job = Job::Answer {
                    session,
                    sequence,
                    operation: message.operation,
                    status: decided.status,
                    id: answer_id.into(),
                };
                self.agenda.insert(later(now.instant, delay), job);
            }
            Fate::Unanswered => {
                count(&mut self.stats.unanswered);
                // Nobody waits for it any more.
                self.answered(session);
            }
            Fate::Cut => {
                count(&mut self.stats.cut);
                self.cut(now, session);
            }
        }
        if !self.options.receipt_first {
            self.report(now, session, account, message, id, decided.number, delay);
        }
    }

    /// Whether an answer under this number is one to a malformed delivery; counted then.
    pub(super) fn answers_malformed(&mut self, sequence: u32) -> bool {
        let is_malformed = sequence & !0x0fff_ffff == MALFORMED;
        if is_malformed {
            count(&mut self.stats.malformed_answered);
        }
        is_malformed
    }

    /// A submit is not waiting any more.
    pub(super) fn answered(&mut self, session: SessionId) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.pending = known.pending.saturating_sub(1);
        }
    }

    /// What is sent beside answers and deliveries.
    fn after_submit(&mut self, submitted: SessionId, of_session: u64) {
        let total = self.stats.submits;
        let Some(session) = self.beside(submitted) else {
            return self.wear(submitted, of_session);
        };
        if is_nth(total, self.options.malformed_every) {
            count(&mut self.stats.malformed);
            count(&mut self.stats.malformed_deliveries);
            let number = u32::try_from(self.stats.malformed % 0x0fff_ffff).unwrap_or(0);
            // A deliver_sm whose body ends inside its addresses: cut right, but not decodable.
            self.send(session, id::DELIVER_SM, 0, MALFORMED | number, |out| {
                out.put_slice(&[0, 1, 1])
            });
        }
        if is_nth(total, self.options.deliveries.unknown_every) {
            count(&mut self.stats.malformed);
            self.request(session, 0x0001_0203, |out| out.put_slice(b"vendor"));
        }
        if is_nth(total, self.options.deliveries.alert_every) {
            count(&mut self.stats.alerts);
            self.request(session, id::ALERT_NOTIFICATION, |out| {
                put_address(out, 1, 1, b"491700000001");
                put_address(out, 0, 0, b"12345");
                put_tlv(out, tag::MS_AVAILABILITY_STATUS, &[0]);
            });
        }
        if is_nth(total, self.options.deliveries.bad_length_every) {
            count(&mut self.stats.malformed);
            let mut octets = BytesMut::new();
            pdu(&mut octets, id::DELIVER_SM, 0, 1, |_| {});
            if let Some(length) = octets.first_chunk_mut::<4>() {
                *length = 8_u32.to_be_bytes();
            }
            self.send_raw(session, &octets);
        }
        self.wear(submitted, of_session);
    }

    /// Where requests that are no deliveries go: over HTTP the connection of a submit takes none.
    fn beside(&mut self, session: SessionId) -> Option<SessionId> {
        let known = self.sessions.get(&session)?;
        if known.http.is_none() {
            return Some(session);
        }
        let sessions = &self.sessions;
        self.accounts
            .get_mut(known.account?)?
            .next_receiver(|session| sessions.get(&session).is_some_and(|known| !known.is_over()))
    }

    /// What becomes of a session after so many submits.
    fn wear(&mut self, session: SessionId, of_session: u64) {
        let binds = &self.options.binds;
        let (half_dead, deaf) = (binds.half_dead_after, binds.deaf_after);
        let unbind = is_nth(of_session, binds.unbind_every);
        if let Some(known) = self.sessions.get_mut(&session) {
            known.half_dead |= half_dead > 0 && of_session >= half_dead;
            known.deaf |= deaf > 0 && of_session >= deaf;
        }
        if unbind {
            self.unbind(session);
        }
    }

    /// Remembers an accepted message for queries.
    pub(super) fn remember(
        &mut self,
        message: &Submission<'_>,
        id: &Id,
        number: u64,
        state: StateWord,
        final_at: smsgw_message::Timestamp,
    ) {
        let stored = Stored {
            number,
            source: message.source.value.into(),
            state,
            final_at,
        };
        self.store
            .insert(id.answer.as_bytes(), stored, self.options.store);
    }

    fn record(
        &mut self,
        now: Moment,
        session: SessionId,
        account: usize,
        sequence: u32,
        message: &Submission<'_>,
        decided: &Decided,
    ) {
        let state = decided.id.as_ref().and_then(|_| self.state_by_recipient(message));
        let Some(records) = &mut self.records else { return };
        let user_data = message.user_data();
        let has_udh = message.has_udh();
        let mut token = [0_u8; crate::token::LENGTH];
        let token = Token::find(user_data, has_udh, message.data_coding).map(|found| {
            found.write(&mut token);
            &token[..]
        });
        let id = decided
            .id
            .as_ref()
            .map(|id| id.answer.as_bytes())
            .unwrap_or_default();
        let name = self
            .accounts
            .get(account)
            .map(|account| account.name().as_bytes());
        let mut line = Line::new(records);
        if let Some(state) = state {
            line.text("state", state.word().as_bytes());
        }
        line.text("type", b"submit")
            .number("at", now.wall.as_millis())
            .number("session", session.0)
            .text("system_id", name.unwrap_or_default())
            .number("sequence", sequence)
            .text("id", id)
            .optional("token", token)
            .text("source", message.source.value)
            .text("destination", message.destination.value)
            .hex("octets", user_data);
        if !has_udh && let Some(part) = message.part() {
            line.array("sar", &[part.reference, part.total, part.number]);
        }
        line.number("esm_class", message.esm_class)
            .number("data_coding", message.data_coding)
            .number("registered_delivery", message.registered_delivery)
            .number("status", decided.status)
            .text("fate", fate_word(decided.fate))
            .end();
    }
}
