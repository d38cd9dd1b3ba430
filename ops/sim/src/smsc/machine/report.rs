//! Receipts: which messages get one, with which states, when, and in whose words.

use super::{Job, Moment, SessionId, Smsc, count, hit, later};
use crate::ledger::sum;
use crate::smsc::account::Outgoing;
use crate::smsc::id::Id;
use crate::smsc::options::{ReceiptForm, ReceiptWhen, ReceiptedPart};
use crate::smsc::receipt::{About, Habits, body};
use crate::smsc::rule::{StateShare, StateWord};
use crate::smsc::wire::{Part, Submission, id};
use rand::Rng;
use std::time::Duration;

impl Smsc {
    /// Sends what is to be told about a message, `after` its answer.
    #[expect(clippy::too_many_arguments, reason = "all there is to know of one submit")]
    pub(super) fn report(
        &mut self,
        now: Moment,
        session: SessionId,
        account: usize,
        message: &Submission<'_>,
        id: Option<&Id>,
        number: u64,
        after: Duration,
    ) {
        let refused = id.is_none();
        if refused && !self.options.receipt.for_refused {
            return;
        }
        let state = if refused {
            StateWord::REJECTED
        } else if let Some(state) = self.state_by_recipient(message) {
            state
        } else if self.options.states.is_empty() {
            StateWord::DELIVERED
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
                2 => !state.is_delivered(),
                _ => state.is_delivered(),
            },
        };
        let delay =
            after.saturating_add(self.spread(self.options.receipt_delay, self.options.receipt_jitter));
        if let Some(id) = id
            && self.options.store > 0
        {
            self.remember(message, id, number, state, now.wall.after(delay));
        }
        if !wanted || !self.is_receipted(message.part()) {
            return;
        }
        let spare;
        let shown = match id {
            Some(id) => id.receipt(),
            None => {
                spare = format!("refused-{}", self.stats.refused);
                spare.as_str()
            }
        };
        let steps = self.options.receipt.intermediate.clone();
        let mut at = delay;
        for step in steps {
            self.tell(now, session, account, message, shown, step, false, at, 0);
            at = at.saturating_add(self.options.receipt.intermediate_delay);
        }
        let copies = if hit(&mut self.rng, self.options.duplicate_receipts) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            self.tell(now, session, account, message, shown, state, true, at, number);
        }
        if hit(&mut self.rng, self.options.receipt.stray) {
            let stray = format!("stray{}", self.stats.receipts);
            self.tell(now, session, account, message, &stray, state, true, at, 0);
        }
    }

    /// The final state of all messages to that recipient, where it follows from the recipient.
    pub(super) fn state_by_recipient(&self, message: &Submission<'_>) -> Option<StateWord> {
        let share =
            f64::from(u16::try_from(sum(message.destination.value).0 & 0xFFFF).unwrap_or(0)) / 65_536.0;
        self.options
            .states_by_recipient
            .then(|| StateShare::choose(&self.options.states, share))
    }

    /// Whether this part of a long message gets a receipt.
    fn is_receipted(&self, part: Option<Part>) -> bool {
        let Some(part) = part else { return true };
        match self.options.receipt.part {
            ReceiptedPart::Each => true,
            ReceiptedPart::First => part.number == 1,
            ReceiptedPart::Last => part.number == part.total,
            ReceiptedPart::Arbitrary => part.number == part.reference % part.total.max(1) + 1,
            ReceiptedPart::Several => part.number == 1 || part.number == part.total,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one receipt, from one place")]
    fn tell(
        &mut self,
        now: Moment,
        session: SessionId,
        account: usize,
        message: &Submission<'_>,
        shown: &str,
        state: StateWord,
        is_final: bool,
        delay: Duration,
        number: u64,
    ) {
        count(&mut self.stats.receipts);
        let about = About {
            id: shown,
            source: (message.source.ton, message.source.npi, message.source.value),
            destination: (
                message.destination.ton,
                message.destination.npi,
                message.destination.value,
            ),
            state,
            is_final,
            submitted: now.wall,
            done: now.wall.after(delay),
            user_data: message.user_data(),
        };
        let mut outgoing = self.receipt(&about, session);
        self.owe(account, &mut outgoing, about.done, Some(&about));
        if delay.is_zero() {
            self.enqueue(now, account, outgoing);
        } else {
            let job = Job::Deliver {
                account,
                outgoing,
                number,
            };
            self.agenda.insert(later(now.instant, delay), job);
        }
    }

    pub(super) fn receipt(&self, about: &About<'_>, session: SessionId) -> Outgoing {
        let form = self.options.receipt_form;
        let habits = Habits {
            form,
            receipt: &self.options.receipt,
            deliveries: &self.options.deliveries,
        };
        Outgoing {
            command: if form == ReceiptForm::DataSm {
                id::DATA_SM
            } else {
                id::DELIVER_SM
            },
            body: body(about, habits),
            submitted_on: Some(session),
            mo: None,
            sent: 0,
            debt: 0,
        }
    }
}
