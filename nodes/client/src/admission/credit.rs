//! A prepaid account's money at the accept: put aside in the step that makes the message durable, or the message is refused.
//!
//! ```text
//! accept: publish, msg/<id>, event with its charge,                            one step: all of it, or nothing
//!         add(credit/acme/EUR/balance, -price x parts, floor -overdraft)
//!         add(credit/acme/EUR/reserved, +price x parts)
//! ```
//! The engine refuses a sum below the floor, so the balance holds for all faces and sessions, and over restarts. What becomes
//! of the money at the end of the message is the counter node's: it gives back or takes for good what was put aside.
//! Reads no clock. Invariant CR-1: no accept leaves a balance below its floor (the overdraft as it was at that accept), and
//! what is put aside is exactly what the message's own charge says.
//!
//! # Limits
//! Taking from the balance is [`Reserve::add_to`] and nothing else: one key for each account, which the embedded engine adds to
//! exactly. A cluster spends such a key from allotments (`smsgw_queue::Allotment`): the floor then holds but for the sum of
//! the open blocks, and only that function changes. An overdraft that is made smaller than what is owed admits nothing
//! until it is paid. After a refusal messages that cost as much are refused from memory for a quarter of a second, so a top-up
//! may be seen that much later.

use crate::accept::Refusal;
use crate::admission::{Charge, Refused, Why};
use crate::shared::Shared;
use smsgw_config::{Client, CreditKind, Unpriced};
use smsgw_message::{ChargeAt, ClientId, MtMessage, Timestamp, names};
use smsgw_queue::{CommitErrorKind, Expiry, Op, StateKey, Step};
use smsgw_routing::{Currency, MicroUnits};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::debug;

/// For how long a balance is known not to pay for something without asking the engine: a client that goes on sending costs
/// no step for each message.
const KNOWN: Duration = Duration::from_millis(250);

/// What a client is told.
pub(crate) const WORDS: &str = "the account's credit does not pay for the message";
/// What a client is told of a message that cannot be charged.
const NO_PRICE: &str = "the account is prepaid and has no price for this destination";

/// The credit of a prepaid account.
#[derive(Debug)]
pub(crate) struct Credit {
    currency: Currency,
    at: ChargeAt,
    /// In millionths, 0 or less.
    floor: i64,
    unpriced: Unpriced,
    balance: StateKey,
    reserved: StateKey,
    /// The least amount that was refused, and until when that is believed.
    short: Mutex<Option<(i64, Timestamp)>>,
}

/// What the accept of a message has to put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reserve {
    balance: StateKey,
    reserved: StateKey,
    amount: i64,
    floor: i64,
}

impl Reserve {
    /// Takes from the balance: the only place where an accept does.
    pub(crate) fn add_to(self, step: Step) -> Step {
        step.add(
            self.balance,
            self.amount.saturating_neg(),
            Some(self.floor),
            Expiry::Owner,
        )
        .add(self.reserved, self.amount, None, Expiry::Owner)
    }
}

/// What a step takes from a balance, to know what was refused.
#[derive(Debug)]
pub(crate) struct Asked(Option<(StateKey, i64)>);

impl Asked {
    /// Of a step; when it takes several times, what it takes first.
    pub(crate) fn of(step: &Step) -> Self {
        Self(step.ops().iter().find_map(|op| {
            let Op::Add(key, amount, Some(_), _) = op else {
                return None;
            };
            (key.space() == names::CREDIT).then(|| (key.clone(), amount.saturating_neg()))
        }))
    }

    /// What to tell of a step that was refused because a balance does not pay for it; counted as a refusal of its client,
    /// which knows for a moment that it is short.
    pub(crate) fn insufficient(&self, shared: &Shared, error: &CommitErrorKind) -> Option<Refusal> {
        let CommitErrorKind::Floor { key } = error else {
            return None;
        };
        let (_, amount) = self.0.as_ref().filter(|(asked, _)| asked == key)?;
        let client: ClientId = key.as_str().split('/').nth(1)?.parse().ok()?;
        // A reload may have taken the account away: the refusal stands.
        if let Some(account) = shared.tables.current().account(&client) {
            if let Some(credit) = account.credit() {
                credit.is_short(key, *amount, shared.clock.now());
            }
            account.count(Why::InsufficientCredit);
        }
        debug!(%client, "message not admitted: its account's credit does not pay for it");
        Some(Refusal::InsufficientCredit)
    }
}

impl Credit {
    /// Of a client; `None` when it is not prepaid.
    pub(crate) fn of(id: &ClientId, client: &Client) -> Option<Self> {
        let section = &client.credit;
        let key = |what| StateKey::from(names::credit(id, section.currency.as_str(), what));
        match section.kind {
            CreditKind::None => None,
            CreditKind::Prepaid => Some(Self {
                currency: section.currency,
                at: section.charge.into(),
                floor: section.overdraft.as_i64().saturating_neg(),
                unpriced: section.unpriced,
                balance: key(names::CREDIT_BALANCE),
                reserved: key(names::CREDIT_RESERVED),
                short: Mutex::new(None),
            }),
        }
    }

    /// Writes into a message what it costs, and says what its accept has to put aside; `None` when it costs nothing.
    pub(crate) fn charge(
        &self,
        message: &mut MtMessage,
        price: Option<Charge>,
    ) -> Result<Option<Reserve>, Refused> {
        message.charge = None;
        let Some(price) = price.filter(|price| price.currency == self.currency) else {
            return match self.unpriced {
                Unpriced::Free => Ok(None),
                Unpriced::Refuse => Err(Refused::of(Why::InsufficientCredit, NO_PRICE)),
            };
        };
        let charge = smsgw_message::Charge {
            per_part: price.per_part.as_i64(),
            currency: self.currency.to_string(),
            parts: message.part_count(),
            at: self.at,
            outcome: None,
        };
        let amount = charge.reserved();
        if amount == 0 {
            return Ok(None);
        }
        if self.is_known_short(amount, message.accepted_at) {
            return Err(Refused::of(Why::InsufficientCredit, WORDS));
        }
        message.charge = Some(charge);
        Ok(Some(Reserve {
            balance: self.balance.clone(),
            reserved: self.reserved.clone(),
            amount,
            floor: self.floor,
        }))
    }

    /// The engine refused this amount at this time; nothing happens when the balance is not ours.
    fn is_short(&self, key: &StateKey, amount: i64, at: Timestamp) {
        if self.balance == *key {
            let mut short = self.short.lock().unwrap_or_else(PoisonError::into_inner);
            let least = match *short {
                Some((least, until)) if at < until => least.min(amount),
                Some(_) | None => amount,
            };
            *short = Some((least, at.after(KNOWN)));
        }
    }

    fn is_known_short(&self, amount: i64, at: Timestamp) -> bool {
        let short = self.short.lock().unwrap_or_else(PoisonError::into_inner);
        short.is_some_and(|(least, until)| amount >= least && at < until)
    }

    /// In which currency.
    pub(crate) fn currency(&self) -> Currency {
        self.currency
    }

    /// How far it may go below zero.
    pub(crate) fn overdraft(&self) -> MicroUnits {
        MicroUnits::new(self.floor.saturating_neg())
    }

    /// The counters of what can be spent and of what is put aside.
    pub(crate) fn counters(&self) -> [StateKey; 2] {
        [self.balance.clone(), self.reserved.clone()]
    }
}

#[cfg(test)]
mod tests;
