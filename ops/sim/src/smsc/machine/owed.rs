//! What is owed: counted always, and told line by line where it is to outlive the process.
//!
//! Invariant: a delivery is owed from where it is made until it is over; its line is there before anything that a peer could
//! conclude it from.

use super::{Job, Moment, SessionId, Smsc, later};
use crate::smsc::account::{Account, Outgoing};
use crate::smsc::options::Protocol;
use crate::smsc::owed::{Owed, OwedRecord, Told};
use crate::smsc::receipt::About;
use serde::Serialize;
use smsgw_message::Timestamp;
use std::time::Duration;

/// A session of an earlier life: none has this number.
const BEFORE: SessionId = SessionId(0);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Debts {
    /// Number of the latest.
    last: u64,
    /// How many there are.
    pub(super) count: u64,
    /// How many of them were there at the start.
    pub(super) resumed: u64,
    /// Where somebody keeps them.
    lines: Option<Vec<u8>>,
}

impl Debts {
    fn tell(&mut self, record: impl FnOnce() -> OwedRecord) {
        if let Some(lines) = &mut self.lines {
            record()
                .serialize(&mut serde_json::Serializer::new(&mut *lines))
                .expect("memory takes all text");
            lines.push(b'\n');
        }
    }
}

impl Smsc {
    /// From now on lines say what is owed. This is owed since an earlier life, and goes out when it is due.
    pub(in crate::smsc) fn resume(&mut self, now: Moment, owed: Vec<Owed>) {
        self.debts.lines = Some(Vec::new());
        for one in owed {
            let account = self.account(one.account.as_bytes());
            if let Some(told) = &one.receipt
                && self.options.protocol == Protocol::Ucp
            {
                let at = Timestamp::from_millis(told.at);
                self.keys.note(told.id.as_bytes(), at);
            }
            self.debts.last = self.debts.last.max(one.number);
            self.debts.count = self.debts.count.saturating_add(1);
            self.debts.resumed = self.debts.resumed.saturating_add(1);
            let outgoing = Outgoing {
                command: one.command,
                body: one.body.into(),
                submitted_on: one.receipt.map(|_| BEFORE),
                mo: one.mo.map(Box::new),
                // Nobody knows whether it was.
                sent: 1,
                debt: one.number,
            };
            // What is overdue is not waited for.
            let wait = u64::try_from(one.due.saturating_sub(now.wall.as_millis())).unwrap_or(0);
            let job = Job::Deliver {
                account,
                outgoing,
                number: 0,
            };
            self.agenda
                .insert(later(now.instant, Duration::from_millis(wait)), job);
        }
    }

    /// Lines of what is owed; to be taken and cleared before anything is sent.
    pub(in crate::smsc) fn debts(&mut self) -> Option<&mut Vec<u8>> {
        self.debts.lines.as_mut().filter(|lines| !lines.is_empty())
    }

    /// The account of that name, known from now on.
    pub(super) fn account(&mut self, name: &[u8]) -> usize {
        let accounts = &mut self.accounts;
        *self.account_names.entry(name.into()).or_insert_with(|| {
            accounts.push(Account::new(String::from_utf8_lossy(name).into_owned()));
            accounts.len().saturating_sub(1)
        })
    }

    /// A delivery was made, to be sent when it is `due`; `about` what, when it is a receipt.
    pub(super) fn owe(
        &mut self,
        account: usize,
        outgoing: &mut Outgoing,
        due: Timestamp,
        about: Option<&About<'_>>,
    ) {
        self.debts.last = self.debts.last.wrapping_add(1);
        self.debts.count = self.debts.count.saturating_add(1);
        outgoing.debt = self.debts.last;
        let accounts = &self.accounts;
        self.debts.tell(|| {
            OwedRecord::Owed(Owed {
                number: outgoing.debt,
                account: accounts
                    .get(account)
                    .map_or_else(String::new, |account| account.name().to_owned()),
                command: outgoing.command,
                body: outgoing.body.to_vec(),
                due: due.as_millis(),
                receipt: about.map(|about| Told {
                    id: about.id.to_owned(),
                    at: about.submitted.as_millis(),
                }),
                mo: outgoing.mo.as_deref().cloned(),
            })
        });
    }

    /// A delivery is over.
    pub(super) fn over(&mut self, outgoing: &Outgoing) {
        self.debts.count = self.debts.count.saturating_sub(1);
        let number = outgoing.debt;
        self.debts.tell(|| OwedRecord::Over { number });
    }
}
