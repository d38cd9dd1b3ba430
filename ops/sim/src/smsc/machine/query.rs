//! query_sm, cancel_sm and replace_sm, answered from the store of latest messages (SMPP 3.4 §4.8 to §4.10).

use super::{Moment, SessionId, Smsc, count};
use crate::line::Line;
use crate::smsc::receipt::{About, absolute};
use crate::smsc::rule::StateWord;
use crate::smsc::session::{Kind, State};
use crate::smsc::wire::{ANSWER, Fields, id, put_string};
use bytes::BufMut;

const INVALID_BIND_STATUS: u32 = 0x04;
const INVALID_COMMAND_LENGTH: u32 = 0x02;
const INVALID_MESSAGE_ID: u32 = 0x0c;
const CANCEL_FAILED: u32 = 0x11;
const REPLACE_FAILED: u32 = 0x13;
const QUERY_FAILED: u32 = 0x67;

impl Smsc {
    fn may_submit(&self, session: SessionId) -> bool {
        self.sessions
            .get(&session)
            .is_some_and(|known| known.state == State::Bound && known.kind.is_some_and(Kind::can_submit))
    }

    pub(super) fn handle_query(&mut self, now: Moment, session: SessionId, sequence: u32, body: &[u8]) {
        count(&mut self.stats.queries);
        let mut fields = Fields(body);
        let message_id = fields.string();
        let found = match fields.address() {
            _ if !self.may_submit(session) => Err(INVALID_BIND_STATUS),
            None => Err(INVALID_COMMAND_LENGTH),
            Some(source) => self
                .store
                .get(message_id)
                .filter(|stored| *stored.source == *source.value)
                .map(|stored| (stored.state, stored.final_at))
                .ok_or(QUERY_FAILED),
        };
        let command = ANSWER | id::QUERY_SM;
        match found {
            Err(status) => self.send(session, command, status, sequence, |_| {}),
            Ok((state, final_at)) => self.send(session, command, 0, sequence, |out| {
                put_string(out, message_id);
                if final_at > now.wall {
                    put_string(out, b"");
                    out.put_slice(&[StateWord::ENROUTE.number(), 0]);
                } else {
                    put_string(out, absolute(final_at).as_bytes());
                    out.put_slice(&[state.number(), u8::from(!state.is_delivered())]);
                }
            }),
        }
    }

    pub(super) fn handle_cancel(&mut self, now: Moment, session: SessionId, sequence: u32, body: &[u8]) {
        count(&mut self.stats.queries);
        let mut fields = Fields(body);
        let _service_type = fields.string();
        let message_id = fields.string();
        let status = match (fields.address(), fields.address()) {
            _ if !self.may_submit(session) => INVALID_BIND_STATUS,
            (Some(source), Some(destination)) => {
                let known = self.store.get(message_id);
                let right = known.is_some_and(|stored| *stored.source == *source.value);
                if right && self.store.cancel(message_id, now.wall) {
                    count(&mut self.stats.cancelled);
                    let shown = String::from_utf8_lossy(message_id).into_owned();
                    let about = About {
                        id: &shown,
                        source: (source.ton, source.npi, source.value),
                        destination: (destination.ton, destination.npi, destination.value),
                        state: StateWord::DELETED,
                        is_final: true,
                        submitted: now.wall,
                        done: now.wall,
                        user_data: &[],
                    };
                    self.send(session, ANSWER | id::CANCEL_SM, 0, sequence, |_| {});
                    return self.report_cancelled(now, session, &about);
                }
                CANCEL_FAILED
            }
            (None, _) | (_, None) => INVALID_COMMAND_LENGTH,
        };
        self.send(session, ANSWER | id::CANCEL_SM, status, sequence, |_| {});
    }

    fn report_cancelled(&mut self, now: Moment, session: SessionId, about: &About<'_>) {
        let Some(account) = self.sessions.get(&session).and_then(|known| known.account) else {
            return;
        };
        count(&mut self.stats.receipts);
        let mut outgoing = self.receipt(about, session);
        self.owe(account, &mut outgoing, now.wall, Some(about));
        self.enqueue(now, account, outgoing);
    }

    pub(super) fn handle_replace(&mut self, now: Moment, session: SessionId, sequence: u32, body: &[u8]) {
        count(&mut self.stats.queries);
        let read = || {
            let mut fields = Fields(body);
            let message_id = fields.string();
            let source = fields.address()?;
            let (_schedule, _validity) = (fields.string(), fields.string());
            let (_registered, _default) = (fields.octet()?, fields.octet()?);
            let length = usize::from(fields.octet()?);
            Some((message_id, source, fields.0.get(..length)?))
        };
        let status = match read() {
            _ if !self.may_submit(session) => INVALID_BIND_STATUS,
            None => INVALID_COMMAND_LENGTH,
            Some((message_id, source, text)) => match self.store.get(message_id) {
                None => INVALID_MESSAGE_ID,
                Some(stored) if *stored.source == *source.value && stored.final_at > now.wall => {
                    count(&mut self.stats.replaced);
                    if let Some(records) = &mut self.records {
                        Line::new(records)
                            .text("type", b"replaced")
                            .number("at", now.wall.as_millis())
                            .text("id", message_id)
                            .hex("octets", text)
                            .end();
                    }
                    0
                }
                Some(_) => REPLACE_FAILED,
            },
        };
        self.send(session, ANSWER | id::REPLACE_SM, status, sequence, |_| {});
    }
}
