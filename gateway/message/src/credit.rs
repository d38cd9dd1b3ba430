//! Prepaid credit: what a message costs, and the lines of an account's ledger.
//!
//! ```text
//! accept ── Charge in the message and in mt_accepted: reserved ──▶ mt_final: Charge with its outcome ──▶ charged, refunded
//! order of an administrator ── CreditOrder in the log `credit.orders` ──▶ LedgerPage in the log `ledger.<client>`
//! ```
//! Money is a whole number of millionths of a unit of its currency. Must not know how a part is priced (`routing` does) nor
//! what an outcome is worth (the counter node's policy does). Invariant: a charge says all that is needed to settle it, so a
//! price or policy that changes later changes no message that was accepted before.

use crate::quick::{fields, words};
use crate::record::Record;
use crate::{ClientId, MessageId, Timestamp};
use minicbor::{Decode, Encode};

/// When the price of a part is due for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ChargeAt {
    /// With the accept, whatever becomes of the part.
    #[n(0)]
    Accept,
    /// When a carrier takes the part.
    #[n(1)]
    Sent,
    /// When the part is delivered.
    #[n(2)]
    Delivered,
}

words!(ChargeAt: Accept, Sent, Delivered);

/// What a message of a prepaid account costs. Reserved in the step of its accept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Charge {
    /// Price of a part, in millionths; never negative.
    #[n(0)]
    pub per_part: i64,
    /// Three capital letters.
    #[n(1)]
    pub currency: String,
    /// Parts that were reserved for, those of the accept: a message may be cut into others later.
    #[n(2)]
    pub parts: u16,
    /// When they are due.
    #[n(3)]
    pub at: ChargeAt,
    /// What became of the parts, for `mt_final`.
    #[n(4)]
    pub outcome: Option<PartOutcome>,
}

fields!(Charge: per_part, currency, parts, at, outcome);

impl Charge {
    /// So many parts of it, in millionths; the most there is where that does not fit.
    pub fn of_parts(&self, parts: u16) -> i64 {
        self.per_part.saturating_mul(i64::from(parts))
    }

    /// What was reserved, in millionths.
    pub fn reserved(&self) -> i64 {
        self.of_parts(self.parts)
    }
}

/// What became of the parts of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PartOutcome {
    /// How many there were in the end.
    #[n(0)]
    pub parts: u16,
    /// Those that a carrier took.
    #[n(1)]
    pub sent: u16,
    /// Those that were delivered.
    #[n(2)]
    pub delivered: u16,
}

fields!(PartOutcome: parts, sent, delivered);

/// Money that an administrator put into an account or took out of it: a record of the log `credit.orders`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CreditOrder {
    /// The instruction.
    #[n(0)]
    pub id: MessageId,
    /// Whose account.
    #[n(1)]
    pub client: ClientId,
    /// [`Movement::TopUp`] or [`Movement::Correction`].
    #[n(2)]
    pub movement: Movement,
    /// In millionths; less than 0 takes out.
    #[n(3)]
    pub amount: i64,
    /// Three capital letters.
    #[n(4)]
    pub currency: String,
    /// The administrator's words: the number of an invoice.
    #[n(5)]
    pub reference: Option<String>,
    /// When it was done.
    #[n(6)]
    pub at: Timestamp,
}

impl Record for CreditOrder {
    const KIND: u8 = 18;
    const VERSION: u8 = 1;
}

/// Why money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Movement {
    /// Put aside for a message that was accepted.
    #[n(0)]
    Reserve,
    /// Of what was put aside, taken for good. The balance stays.
    #[n(1)]
    Commit,
    /// Of what was put aside, given back.
    #[n(2)]
    Refund,
    /// Paid in.
    #[n(3)]
    TopUp,
    /// Set right by an administrator.
    #[n(4)]
    Correction,
}

impl Movement {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Reserve,
        Self::Commit,
        Self::Refund,
        Self::TopUp,
        Self::Correction,
    ];

    /// The word in answers, metrics and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Commit => "commit",
            Self::Refund => "refund",
            Self::TopUp => "top-up",
            Self::Correction => "correction",
        }
    }
}

/// One movement.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LedgerLine {
    /// Counts the lines of the account in this currency, from 1, without a gap.
    #[n(0)]
    pub number: u64,
    /// When it happened.
    #[n(1)]
    pub at: Timestamp,
    /// Why.
    #[n(2)]
    pub movement: Movement,
    /// How much, in millionths: what the balance changes by, but for a commit, which changes nothing and says what was taken.
    #[n(3)]
    pub amount: i64,
    /// The balance after this line and all before it.
    #[n(4)]
    pub balance: i64,
    /// The message, or the instruction of an administrator.
    #[n(5)]
    pub id: MessageId,
    /// Parts that it is for; 0 for an administrator's.
    #[n(6)]
    pub parts: u16,
    /// The administrator's words.
    #[n(7)]
    pub reference: Option<String>,
}

/// Some lines of an account in one currency: an entry of the log `ledger.<client>`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LedgerPage {
    /// Of all its lines.
    #[n(0)]
    pub currency: String,
    /// Oldest first; at least one.
    #[n(1)]
    pub lines: Vec<LedgerLine>,
}

impl Record for LedgerPage {
    const KIND: u8 = 19;
    const VERSION: u8 = 1;
}

/// Who has credit, in which currencies: state under `credit`, so that what an account leaves behind is found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct CreditAccounts {
    /// Client and currency, each once.
    #[n(0)]
    pub accounts: Vec<(ClientId, String)>,
}

impl Record for CreditAccounts {
    const KIND: u8 = 20;
    const VERSION: u8 = 1;
}
