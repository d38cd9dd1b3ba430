//! How submits are answered: body, strings, order (quirks 20, 21 and 24).

use super::{Job, Moment, SessionId, Smsc, hit, later};
use crate::smsc::http::{GARBLED, HALF};
use crate::smsc::options::{AnswerStrings, ErrorAnswer};
use crate::smsc::session::Session;
use crate::smsc::wire::{Operation, id, pdu, put_string, put_tlv, tag};
use bytes::{BufMut, BytesMut};
use rand::seq::SliceRandom;
use std::time::Duration;

/// How long answers are held for others to change places with.
const HOLD: Duration = Duration::from_millis(20);

/// How long an answer may be on its way: what a cut destroys in the buffers of both ends.
const IN_FLIGHT: Duration = Duration::from_millis(500);

impl Smsc {
    /// Cuts a connection. Answers given just before may never arrive: the ledger says so.
    pub(super) fn cut(&mut self, now: Moment, session: SessionId) {
        let known = self.sessions.get_mut(&session).filter(|known| !known.is_over());
        let given = known
            .map(|known| std::mem::take(&mut known.given))
            .unwrap_or_default();
        for (_, id) in given
            .iter()
            .filter(|(at, _)| later(*at, IN_FLIGHT) >= now.instant)
        {
            self.record_lost(session, id);
        }
        self.close(now, session, true);
    }

    /// Whether there are answers in the ledger that no socket has had.
    #[must_use]
    pub fn has_unsent(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|known| known.unsent > 0)
    }

    /// The peer closed its end before it was sent what there is to send: those answers are lost.
    pub fn handle_hung_up(&mut self, session: SessionId) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        known.out.clear();
        let arrived = known
            .given
            .len()
            .saturating_sub(std::mem::take(&mut known.unsent));
        for (_, id) in known.given.split_off(arrived.min(known.given.len())) {
            self.answer_lost(session, &id);
        }
    }

    /// Answers a submit, or records that it cannot.
    pub(super) fn answer(
        &mut self,
        now: Moment,
        session: SessionId,
        operation: Operation,
        sequence: u32,
        status: u32,
        message_id: &str,
    ) {
        let Some(known) = self.sessions.get_mut(&session).filter(|known| !known.is_over()) else {
            if status == 0 {
                self.answer_lost(session, message_id);
            }
            return;
        };
        if known.half_dead {
            if status == 0 {
                self.answer_lost(session, message_id);
            }
            return;
        }
        let spoiled = if status == 0 && known.http.is_some() {
            let quirks = &self.options.http;
            if hit(&mut self.rng, quirks.garbled_answers) {
                Some(GARBLED)
            } else {
                hit(&mut self.rng, quirks.half_answers).then_some(HALF)
            }
        } else {
            None
        };
        if let Some(spoiled) = spoiled {
            self.answer_lost(session, message_id);
            return self.send(session, operation.answer_id(), spoiled, sequence, |out| {
                put_string(out, message_id.as_bytes());
            });
        }
        if status == 0 && self.records.is_some() {
            while known
                .given
                .front()
                .is_some_and(|(at, _)| later(*at, IN_FLIGHT) < now.instant)
            {
                known.given.pop_front();
            }
            known.given.push_back((now.instant, message_id.into()));
            known.unsent = known.unsent.saturating_add(1);
        }
        let quirks = &self.options.answers;
        let congestion = if quirks.congestion_follows_queue {
            let submits = &self.options.submits;
            let queued = known
                .account
                .and_then(|account| self.accounts.get(account))
                .map_or(0, |account| {
                    account.queued(now.instant, submits.service_rate.max(1.0))
                });
            let percent = queued.saturating_mul(100) / submits.service_queue.max(1);
            Some(u8::try_from(percent.min(100)).unwrap_or(100))
        } else {
            quirks.congestion
        };
        let style = Style {
            errors: quirks.error_answers,
            strings: quirks.answer_strings,
            version: self.options.binds.interface_version,
            congestion,
        };
        let twice = hit(&mut self.rng, quirks.duplicate_answers);
        let hold = quirks.out_of_order > 1;
        if !hold {
            // The way that nearly all answers go: no copy.
            for _ in 0..1 + u8::from(twice) {
                write(&mut known.out, operation, sequence, status, message_id, style);
            }
            if !known.dirty {
                known.dirty = true;
                self.dirty.push_back(session);
            }
            return;
        }
        let mut octets = BytesMut::new();
        write(&mut octets, operation, sequence, status, message_id, style);
        if twice {
            write(&mut octets, operation, sequence, status, message_id, style);
        }
        known
            .held
            .push((octets.freeze(), (status == 0).then(|| message_id.into())));
        let held = known.held.len();
        if held >= quirks.out_of_order {
            self.release(session);
        } else if held == 1 {
            self.agenda
                .insert(later(now.instant, HOLD), Job::Release(session));
        }
    }

    /// Sends held answers in random order.
    pub(super) fn release(&mut self, session: SessionId) {
        let Some(mut held) = self
            .sessions
            .get_mut(&session)
            .filter(|known| !Session::is_over(known))
            .map(|known| std::mem::take(&mut known.held))
        else {
            return;
        };
        held.shuffle(&mut self.rng);
        for (octets, _) in held {
            self.send_raw(session, &octets);
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Style {
    errors: ErrorAnswer,
    strings: AnswerStrings,
    version: u8,
    congestion: Option<u8>,
}

fn write(
    out: &mut BytesMut,
    operation: Operation,
    sequence: u32,
    status: u32,
    message_id: &str,
    style: Style,
) {
    let command = operation.answer_id();
    let congestion = |out: &mut BytesMut| {
        if let Some(percent) = style.congestion {
            put_tlv(out, tag::CONGESTION_STATE, &[percent]);
        }
    };
    if status == 0 {
        return pdu(out, command, 0, sequence, |out| {
            match style.strings {
                AnswerStrings::Proper => put_string(out, message_id.as_bytes()),
                // Nothing can follow it.
                AnswerStrings::Unterminated => return out.put_slice(message_id.as_bytes()),
                AnswerStrings::Overlong => put_string(out, format!("{message_id:0>80}").as_bytes()),
                AnswerStrings::Empty => put_string(out, b""),
            }
            if operation == Operation::SubmitMulti {
                out.put_u8(0); // no_unsuccess
            }
            congestion(out);
        });
    }
    // SMPP 3.4 §4.4.2: no body with an error; 3.3 and 5.0 keep it.
    let errors = match style.errors {
        ErrorAnswer::Proper if style.version == 0x34 => ErrorAnswer::Bare,
        ErrorAnswer::Proper => ErrorAnswer::EmptyId,
        other => other,
    };
    let command = if errors == ErrorAnswer::Nack {
        id::GENERIC_NACK
    } else {
        command
    };
    pdu(out, command, status, sequence, |out| match errors {
        ErrorAnswer::Bare | ErrorAnswer::Nack | ErrorAnswer::Proper => {}
        ErrorAnswer::EmptyId => {
            put_string(out, b"");
            congestion(out);
        }
        ErrorAnswer::Id => put_string(out, b"refused-0001"),
        // additional_status_info_text (SMPP 3.4 §5.3.2.11).
        ErrorAnswer::Tlvs => put_tlv(out, 0x001D, b"refused\0"),
    });
}
