//! Receipts and messages from phones on their way: sent within the windows, answered, sent again.
//!
//! The half of the machine that sends. Invariant: a delivery is in exactly one of an outbox, the agenda and a session's
//! outstanding ones.

use super::{Job, Moment, SessionId, Smsc, count, hit, later};
use crate::line::Line;
use crate::smsc::account::{Account, Outgoing};
use crate::smsc::options::ReceiptBind;
use crate::smsc::session::{Kind, Sent, Session, State};
use crate::smsc::wire::pdu;
use rustc_hash::FxHashMap;
use std::time::Duration;

/// Where a delivery goes now.
enum Place {
    /// To this session.
    On(SessionId),
    /// Nowhere before the binds have changed.
    Reserved,
    /// Nowhere before a window has room.
    Blocked,
}

impl Smsc {
    pub(super) fn handle_delivered(&mut self, now: Moment, session: SessionId, sequence: u32, status: u32) {
        if self.answers_malformed(sequence) {
            return count(&mut self.stats.unmatched);
        }
        if hit(&mut self.rng, self.options.deliveries.lost_answers) {
            return count(&mut self.stats.answers_lost);
        }
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        let (Some(account), Some(Sent { outgoing, .. })) =
            (known.account, known.outstanding.remove(&sequence))
        else {
            match known.late.iter().position(|late| *late == sequence) {
                Some(at) => {
                    known.late.remove(at);
                    count(&mut self.stats.late_answers);
                }
                None => count(&mut self.stats.unmatched),
            }
            return;
        };
        known.trim_deadlines();
        if self.options.submits.count_delivery_answers
            && let Some(account) = self.accounts.get_mut(account)
        {
            // Counted, never refused: there is nothing to refuse it with.
            account.let_through(now.instant, self.options.throttle, 1);
        }
        if is_temporary(status) {
            return self.redeliver(now, account, outgoing, self.options.redeliver_after);
        }
        self.over(&outgoing);
        match &outgoing.mo {
            _ if status != 0 => count(&mut self.stats.deliveries_refused),
            None => count(&mut self.stats.receipts_taken),
            Some(mo) => {
                count(&mut self.stats.mo_taken);
                self.stats.last_mo_at = now.wall.as_millis();
                if let Some(records) = &mut self.records {
                    let mut token = [0_u8; crate::token::LENGTH];
                    mo.token.write(&mut token);
                    let mut line = Line::new(records);
                    line.text("type", b"mo_taken")
                        .number("at", now.wall.as_millis())
                        .text("token", &token)
                        .text("source", mo.source.as_bytes())
                        .text("destination", mo.destination.as_bytes())
                        .number("part", mo.part)
                        .number("parts", mo.parts)
                        .flag("again", outgoing.sent > 1);
                    if let Some(text) = mo.text {
                        line.sum("text", text);
                    }
                    line.end();
                }
            }
        }
        self.deliver(now, account);
        self.deliver_mo(now);
    }

    /// A delivery goes back, to be sent after `delay` to whatever bind is there then.
    pub(super) fn redeliver(&mut self, now: Moment, account: usize, outgoing: Outgoing, delay: Duration) {
        count(&mut self.stats.redelivered);
        if delay.is_zero() {
            self.enqueue(now, account, outgoing);
        } else {
            let job = Job::Deliver {
                account,
                outgoing,
                number: 0,
            };
            self.agenda.insert(later(now.instant, delay), job);
            self.deliver(now, account);
        }
    }

    pub(super) fn enqueue(&mut self, now: Moment, account: usize, outgoing: Outgoing) {
        let limit = self.options.outbox;
        if let Some(known) = self.accounts.get_mut(account)
            && let Some(forgotten) = known.enqueue(outgoing, limit)
        {
            self.over(&forgotten);
            count(&mut self.stats.deliveries_forgotten);
        }
        self.deliver(now, account);
    }

    /// Sends what waits for the account, as far as the windows of its binds go.
    pub(super) fn deliver(&mut self, now: Moment, account: usize) {
        let policy = self.options.receipt.bind;
        loop {
            let Some(known) = self
                .accounts
                .get_mut(account)
                .filter(|known| known.has_outgoing())
            else {
                return;
            };
            let Some(outgoing) = known.take_outgoing() else {
                return;
            };
            match place(known, &self.sessions, policy, &outgoing) {
                Place::On(session) => self.deliver_on(now, session, outgoing),
                Place::Reserved => known.reserve(outgoing),
                Place::Blocked => return known.put_back(outgoing),
            }
        }
    }

    /// Sends messages from phones that are due to any bind that takes them; receipts go first.
    pub(super) fn deliver_mo(&mut self, now: Moment) {
        while let Some(source) = self.batches.front_mut() {
            if source.is_finished() {
                self.batches.pop_front();
                continue;
            }
            if source.next_at() > now.instant {
                return;
            }
            let sessions = &self.sessions;
            let room = |session: SessionId| sessions.get(&session).is_some_and(Session::has_room);
            let Some(session) = self
                .accounts
                .iter_mut()
                .find_map(|account| account.next_receiver(room))
            else {
                return;
            };
            let Some(ready) = source.take(now.instant, &self.options.deliveries, &mut self.rng) else {
                return;
            };
            count(&mut self.stats.mo);
            let mut outgoing = Outgoing {
                command: ready.command,
                body: ready.body,
                submitted_on: None,
                mo: Some(Box::new(ready.part)),
                sent: 0,
                debt: 0,
            };
            if let Some(account) = self.sessions.get(&session).and_then(|known| known.account) {
                self.owe(account, &mut outgoing, now.wall, None);
            }
            self.deliver_on(now, session, outgoing);
        }
    }

    pub(super) fn has_room_for_mo(&self) -> bool {
        self.sessions.values().any(Session::has_room)
    }

    fn deliver_on(&mut self, now: Moment, session: SessionId, mut outgoing: Outgoing) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        outgoing.sent = outgoing.sent.saturating_add(1);
        known.last_activity = now.instant;
        let sequence = known.number();
        if !known.half_dead {
            pdu(&mut known.out, outgoing.command, 0, sequence, |out| {
                out.extend_from_slice(&outgoing.body);
            });
        }
        if !known.dirty {
            known.dirty = true;
            self.dirty.push_back(session);
        }
        self.next_stamp = self.next_stamp.wrapping_add(1);
        let stamp = self.next_stamp;
        let deadline = later(now.instant, self.options.deliver_timeout);
        known.deadlines.push_back((deadline, sequence, stamp));
        known.outstanding.insert(sequence, Sent { outgoing, stamp });
        if known.check_at.is_none_or(|at| at > deadline) {
            known.check_at = Some(deadline);
            self.agenda.insert(deadline, Job::Check(session));
        }
    }
}

/// Where a delivery goes, by the carrier's habit (quirk 6).
fn place(
    account: &mut Account,
    sessions: &FxHashMap<SessionId, Session>,
    policy: ReceiptBind,
    outgoing: &Outgoing,
) -> Place {
    let receives = |session: &SessionId| {
        sessions
            .get(session)
            .is_some_and(|known| known.state == State::Bound && known.kind.is_some_and(Kind::can_receive))
    };
    let room = |session: SessionId| sessions.get(&session).is_some_and(Session::has_room);
    let found = match (policy, outgoing.submitted_on) {
        (ReceiptBind::Any, _) | (_, None) => account.next_receiver(room),
        (ReceiptBind::Same, Some(own)) if receives(&own) => account.next_receiver(|it| it == own && room(it)),
        (ReceiptBind::Same, Some(_)) => account.next_receiver(room),
        (ReceiptBind::Other, Some(own)) => {
            let another = account.has_receiver(|it| *it != own);
            account.next_receiver(|it| (it != own || !another) && room(it))
        }
        (ReceiptBind::Receiver, Some(_)) => {
            let is_receiver =
                |it: &SessionId| sessions.get(it).is_some_and(|it| it.kind == Some(Kind::Receiver));
            let there_is = account.has_receiver(is_receiver);
            account.next_receiver(|it| (!there_is || is_receiver(&it)) && room(it))
        }
        (ReceiptBind::Reconnected, Some(own)) => {
            let gone = sessions.get(&own).is_none_or(Session::is_over);
            if !gone || !account.has_receiver(|it| *it > own) {
                return Place::Reserved;
            }
            account.next_receiver(|it| it > own && room(it))
        }
    };
    found.map_or(Place::Blocked, Place::On)
}

/// Errors after which a carrier tries again; others are final.
const fn is_temporary(status: u32) -> bool {
    const SYSTEM_ERROR: u32 = 0x08;
    const MESSAGE_QUEUE_FULL: u32 = 0x14;
    const THROTTLED: u32 = 0x58;
    const TEMPORARY_APP_ERROR: u32 = 0x64;
    matches!(
        status,
        SYSTEM_ERROR | MESSAGE_QUEUE_FULL | THROTTLED | TEMPORARY_APP_ERROR
    )
}
