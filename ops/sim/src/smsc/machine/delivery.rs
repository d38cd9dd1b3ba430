//! Receipts and messages from phones: made, sent within the windows, answered, sent again.
//!
//! The half of the machine that sends; see there. Invariant: a delivery is in exactly one of an outbox, the agenda and
//! a session's outstanding ones.

use super::{Job, Moment, Session, SessionId, Smsc, count, hit, later};
use crate::ledger::{CarrierRecord, MoTaken};
use crate::smsc::account::{Account, Outgoing};
use crate::smsc::id::Id;
use crate::smsc::options::ReceiptWhen;
use crate::smsc::receipt::ReceiptDue;
use crate::smsc::rule::StateShare;
use bytes::Bytes;
use rand::Rng;
use smsgw_smpp::{BindKind, CommandStatus, ReceiptState, SmscCommand, SubmitSm};
use std::time::Duration;

impl Smsc {
    pub(super) fn receipt(&mut self, now: Moment, message: &SubmitSm, id: Id) -> Option<ReceiptDue> {
        let state = if self.options.states.is_empty() {
            ReceiptState::Delivered
        } else {
            StateShare::choose(&self.options.states, self.rng.random())
        };
        let wanted = match self.options.receipts {
            ReceiptWhen::Always => true,
            ReceiptWhen::Never => false,
            // Bits 0 and 1: 1 always, 2 on failure, 3 on success (SMPP 3.4 §5.2.17; 3 since 5.0).
            ReceiptWhen::Asked => match message.registered_delivery & 3 {
                0 => false,
                1 => true,
                2 => state != ReceiptState::Delivered,
                _ => state == ReceiptState::Delivered,
            },
        };
        wanted.then(|| ReceiptDue {
            id: id.into_receipt(),
            source: message.source.clone(),
            destination: message.destination.clone(),
            state,
            submitted: now.wall,
            done: now.wall,
            text: Bytes::copy_from_slice(message.payload().get(..20).unwrap_or(message.payload())),
        })
    }

    pub(super) fn schedule_receipt(&mut self, now: Moment, account: usize, after: Duration, due: ReceiptDue) {
        let copies = if hit(&mut self.rng, self.options.duplicate_receipts) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            count(&mut self.stats.receipts);
            let delay =
                after.saturating_add(self.spread(self.options.receipt_delay, self.options.receipt_jitter));
            let outgoing = Outgoing::Receipt(ReceiptDue {
                done: now.wall.after(delay),
                ..due.clone()
            });
            if delay.is_zero() {
                self.enqueue(account, outgoing);
            } else {
                self.agenda
                    .insert(later(now.instant, delay), Job::Deliver { account, outgoing });
            }
        }
    }

    pub(super) fn handle_delivered(
        &mut self,
        now: Moment,
        session: SessionId,
        tag: u64,
        status: CommandStatus,
    ) {
        if is_temporary(status) {
            return self.redeliver(now, session, tag, self.options.redeliver_after);
        }
        let Some((account, outgoing)) = self.take_outstanding(session, tag) else {
            return;
        };
        match outgoing {
            _ if !status.is_ok() => count(&mut self.stats.deliveries_refused),
            Outgoing::Receipt(_) => count(&mut self.stats.receipts_taken),
            Outgoing::Mo(mo) => {
                count(&mut self.stats.mo_taken);
                self.stats.last_mo_at = now.wall.as_millis();
                if let Some(records) = &mut self.records {
                    records.push_back(CarrierRecord::MoTaken(MoTaken {
                        at: now.wall.as_millis(),
                        token: Some(mo.token),
                        source: mo.message.source.value.to_string_lossy(),
                        destination: mo.message.destination.value.to_string_lossy(),
                    }));
                }
            }
        }
        self.deliver(account);
        self.deliver_mo(now);
    }

    /// A delivery goes back, to be sent after `delay` to whatever bind is there then.
    pub(super) fn redeliver(&mut self, now: Moment, session: SessionId, tag: u64, delay: Duration) {
        let Some((account, outgoing)) = self.take_outstanding(session, tag) else {
            return;
        };
        count(&mut self.stats.redelivered);
        if delay.is_zero() {
            self.enqueue(account, outgoing);
        } else {
            self.agenda
                .insert(later(now.instant, delay), Job::Deliver { account, outgoing });
            self.deliver(account);
        }
    }

    pub(super) fn take_outstanding(&mut self, session: SessionId, tag: u64) -> Option<(usize, Outgoing)> {
        let session = self.sessions.get_mut(&session)?;
        Some((session.account?, session.outstanding.remove(&tag)?))
    }

    pub(super) fn enqueue(&mut self, account: usize, outgoing: Outgoing) {
        let limit = self.options.outbox;
        if let Some(known) = self.accounts.get_mut(account)
            && known.enqueue(outgoing, limit).is_some()
        {
            count(&mut self.stats.deliveries_forgotten);
        }
        self.deliver(account);
    }

    /// Sends what waits for the account, as far as the windows of its binds go.
    pub(super) fn deliver(&mut self, account: usize) {
        while self
            .accounts
            .get(account)
            .is_some_and(|account| account.waiting() > 0)
        {
            let Some(session) = self.receiver_of(account) else {
                return;
            };
            let Some(outgoing) = self.accounts.get_mut(account).and_then(Account::take_outgoing) else {
                return;
            };
            self.send(session, outgoing);
        }
    }

    fn receiver_of(&mut self, account: usize) -> Option<SessionId> {
        let sessions = &self.sessions;
        self.accounts
            .get_mut(account)?
            .next_receiver(|session| sessions.get(&session).is_some_and(Session::has_room))
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
            let receivers = (0..self.accounts.len()).find_map(|account| self.receiver_of(account));
            let Some(session) = receivers else { return };
            let Some(mo) = self
                .batches
                .front_mut()
                .and_then(|source| source.take(now.instant))
            else {
                return;
            };
            count(&mut self.stats.mo);
            self.send(session, Outgoing::Mo(Box::new(mo)));
        }
    }

    pub(super) fn has_room_for_mo(&self) -> bool {
        self.sessions
            .values()
            .any(|session| session.kind.is_some_and(BindKind::can_deliver) && session.has_room())
    }

    fn send(&mut self, session: SessionId, outgoing: Outgoing) {
        self.next_tag = self.next_tag.wrapping_add(1);
        let tag = self.next_tag;
        let message = match &outgoing {
            Outgoing::Receipt(due) => due.to_deliver_sm(self.options.receipt_form),
            Outgoing::Mo(mo) => mo.message.clone(),
        };
        if let Some(known) = self.sessions.get_mut(&session) {
            known.outstanding.insert(tag, outgoing);
            self.command(session, SmscCommand::Deliver { tag, message });
        }
    }
}

/// After which a carrier tries again.
fn is_temporary(status: CommandStatus) -> bool {
    [
        CommandStatus::TEMPORARY_APP_ERROR,
        CommandStatus::MESSAGE_QUEUE_FULL,
        CommandStatus::THROTTLED,
        CommandStatus::SYSTEM_ERROR,
    ]
    .contains(&status)
}
