//! `[client.<id>.credit]`: whether an account pays before it sends, and what becomes of its money.
//!
//! Must not know a balance: what was paid in stands in the engine, not in the file.
//! Invariant: a prepaid account can have a price in its currency (checked across sections).

use std::time::Duration;

use smsgw_message::ChargeAt;
use smsgw_routing::{Currency, MicroUnits};

use crate::section::between;

const DAY: Duration = Duration::from_secs(86_400);

words! {
    /// Whether an account pays before it sends.
    CreditKind {
        /// No balance is kept.
        None = "none",
        /// A message is accepted when the balance pays for it.
        Prepaid = "prepaid",
    }
}

words! {
    /// When the price of a part is due for good. What is not due in the end is given back.
    ChargeWhen {
        /// With the accept; nothing is given back.
        Accept = "accept",
        /// When a carrier took the part.
        Sent = "sent",
        /// When the part was delivered.
        Delivered = "delivered",
    }
}

words! {
    /// What becomes of a message without a price in the currency of a prepaid account.
    Unpriced {
        /// Refused with `insufficient_credit`.
        Refuse = "refuse",
        /// Accepted, and costs nothing.
        Free = "free",
    }
}

section! {
    /// `[client.<id>.credit]`: the account pays before it sends.
    CreditSection {
        /// Whether the account is prepaid; `prepaid`: a message that its balance does not pay for is refused with
        /// `insufficient_credit`. Since 0.1.
        kind: CreditKind = CreditKind::None, Live;
        /// Currency of the balance; prices in others are none for this account. Since 0.1.
        currency: Currency = Currency::EUR, Live;
        /// When a part is due for good; messages that were accepted before a change keep what held then. Since 0.1.
        charge: ChargeWhen = ChargeWhen::Sent, Live;
        /// How far the balance may go below zero. Since 0.1.
        overdraft: MicroUnits = MicroUnits::new(0), Live;
        /// What becomes of messages without a price in this currency. Since 0.1.
        unpriced: Unpriced = Unpriced::Refuse, Live;
        /// A balance below it is an alarm: a warning in the log and `smsgw_credit_low`; absent: none. Since 0.1.
        low_balance: Option<MicroUnits> = None, Live;
        /// How long lines of the account's ledger are kept. Since 0.1.
        ledger_kept: Duration = 400 * DAY, Live where between(DAY, 4_000 * DAY);
    }
}

impl From<ChargeWhen> for ChargeAt {
    fn from(when: ChargeWhen) -> Self {
        match when {
            ChargeWhen::Accept => Self::Accept,
            ChargeWhen::Sent => Self::Sent,
            ChargeWhen::Delivered => Self::Delivered,
        }
    }
}

words! {
    /// By what the messages of a client are numbered.
    Numbering {
        /// They are not.
        None = "none",
        /// All of the client, from 1.
        Client = "client",
        /// Those between one phone and one of our numbers, from 1.
        Conversation = "conversation",
    }
}
