//! The book of one account in one currency: what each thing that happened moves, and its line. Pure.
//!
//! Reads no clock; the caller brings the book as it stands and writes what comes out, in the step that advances the positions.
//! Invariant BK-1: the balance of a book changes by the amounts of its lines and by nothing else, but for commits, which move
//! no money of the balance.

use super::policy::{self, Settled};
use minicbor::{Decode, Encode};
use smsgw_message::{
    Charge, CreditOrder, Event, EventName, LedgerLine, MessageId, Movement, Record, Timestamp,
};

/// What stands in state under `credit/<client>/<currency>/book`. Written by the reader only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Book {
    /// After the last line.
    #[n(0)]
    pub(super) balance: i64,
    /// How many lines there were.
    #[n(1)]
    pub(super) lines: u64,
}

impl Record for Book {
    const KIND: u8 = 72;
    const VERSION: u8 = 1;
}

/// What a batch moves in one account.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moves {
    /// For the counter of what can be spent: only what is given back; the rest was taken by the accepts.
    pub(super) balance: i64,
    /// For the counter of what is put aside.
    pub(super) reserved: i64,
    /// For the counter of what was taken for good.
    pub(super) charged: i64,
    /// New lines, oldest first.
    pub(super) lines: Vec<LedgerLine>,
}

/// A book that is being written.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) book: Book,
    pub(super) moves: Moves,
}

/// What a line is about.
struct About<'a> {
    at: Timestamp,
    id: MessageId,
    parts: u16,
    reference: Option<&'a str>,
}

impl Open {
    pub(super) fn of(book: Book) -> Self {
        Self {
            book,
            moves: Moves::default(),
        }
    }

    /// An administrator's order: the counters were changed by its own step.
    pub(super) fn handle_order(&mut self, order: &CreditOrder) {
        let about = About {
            at: order.at,
            id: order.id,
            parts: 0,
            reference: order.reference.as_deref(),
        };
        self.line(order.movement, order.amount, about);
    }

    /// Something became of a message with a charge; other events move nothing.
    pub(super) fn handle_event(&mut self, event: &Event, id: MessageId, charge: &Charge) {
        let about = |parts| About {
            at: event.at,
            id,
            parts,
            reference: None,
        };
        match event.name {
            EventName::MtAccepted => {
                // The accept itself has moved it from the balance to what is put aside.
                self.line(
                    Movement::Reserve,
                    charge.reserved().saturating_neg(),
                    about(charge.parts),
                );
                if let Some(settled) = policy::at_accept(charge) {
                    self.settle(settled, about);
                }
            }
            EventName::MtFinal => {
                if let Some(settled) = policy::at_end(charge) {
                    self.settle(settled, about);
                }
            }
            EventName::MtRouted
            | EventName::MtUnroutable
            | EventName::MtSent
            | EventName::MtRefused
            | EventName::MtProgress
            | EventName::MoReceived
            | EventName::MoRouted
            | EventName::DrReceived
            | EventName::DeliveredToClient
            | EventName::ClientUnreachable
            | EventName::DrUnknown
            | EventName::MtInDoubt
            | EventName::MtRecut
            | EventName::MtRerouted
            | EventName::MtCancelRequested
            | EventName::MtRefusedAtAccept
            | EventName::MtReplaced
            | EventName::MtTakenBack => {}
        }
    }

    fn settle<'a>(&mut self, settled: Settled, about: impl Fn(u16) -> About<'a>) {
        let Settled {
            taken_parts,
            taken,
            back_parts,
            back,
        } = settled;
        let moves = &mut self.moves;
        moves.reserved = moves.reserved.saturating_sub(taken.saturating_add(back));
        moves.charged = moves.charged.saturating_add(taken);
        moves.balance = moves.balance.saturating_add(back);
        if taken > 0 {
            self.line(Movement::Commit, taken, about(taken_parts));
        }
        if back > 0 {
            self.line(Movement::Refund, back, about(back_parts));
        }
    }

    fn line(&mut self, movement: Movement, amount: i64, about: About<'_>) {
        let book = &mut self.book;
        book.lines = book.lines.saturating_add(1);
        match movement {
            Movement::Commit => {}
            Movement::Reserve | Movement::Refund | Movement::TopUp | Movement::Correction => {
                book.balance = book.balance.saturating_add(amount);
            }
        }
        self.moves.lines.push(LedgerLine {
            number: book.lines,
            at: about.at,
            movement,
            amount,
            balance: book.balance,
            id: about.id,
            parts: about.parts,
            reference: about.reference.map(str::to_owned),
        });
    }
}
