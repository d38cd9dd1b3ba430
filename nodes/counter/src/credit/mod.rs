//! Credit: the money of prepaid accounts after the accept, and the ledger of all that moved.
//!
//! ```text
//! client node, step of the accept    balance - x, reserved + x, mt_accepted with its charge
//! `orders`   instructions.credit ──▶ balance + y, paid + y, a line for `credit.orders`, the result        one step
//! `reader`   credit.orders, events ──▶ by `policy`: reserved - x, charged + what is due, balance + the rest,
//!                                      the book, lines in ledger.<client>, both positions                 one step
//! `keeper`   ledger.<client>: what is older than credit.ledger_kept goes
//! ```
//! Knows no other node and no engine. Invariant CD-1: balance + reserved + charged = paid, at every moment and whatever
//! crashes; a message is settled once, because its settlement and the position of its event change in one step.
//! Invariant CD-2: the book is the account's statement: its lines are numbered without a gap, each balance is the one before
//! it and its amount, and when everything is folded the last one is the balance.
//!
//! # Limits
//! The balance of a line is that of the statement: money that a message gives back stands in it where the message ended,
//! and can be spent when the reader has come there, some milliseconds later. Counters of an account are kept as long as the
//! data directory: money does not expire. An event that cannot be decoded moves no money and is an error in the log; its
//! message's money stays put aside until a person corrects it.

mod book;
mod keeper;
mod orders;
mod policy;
mod reader;
#[cfg(test)]
mod tests;

pub use reader::READER;

use crate::turns;
use reader::CreditReader;
use smsgw_config::ConfigHandle;
use smsgw_message::Clock;
use smsgw_queue::Engine;
use smsgw_runtime::{ChildSpec, Intensity, Strategy, Supervisor};
use std::sync::Arc;

/// The keeping of credit, as a child of the daemon's tree. It must be ready before anything is accepted: its reader holds
/// the events log from then on.
pub fn supervise(engine: Arc<dyn Engine>, config: ConfigHandle, clock: Arc<dyn Clock>) -> ChildSpec {
    let reading = (Arc::clone(&engine), config.clone());
    let ordering = (Arc::clone(&engine), config.clone(), Arc::clone(&clock));
    let supervisor = Supervisor::new("credit", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(ChildSpec::task("reader", move |ctx| {
            let (engine, config) = reading.clone();
            turns::follow(ctx, CreditReader::new(engine, config))
        }))
        .child(ChildSpec::task("orders", move |ctx| {
            let (engine, config, clock) = ordering.clone();
            orders::run(ctx, engine, config, clock)
        }))
        .child(ChildSpec::task("keeper", move |ctx| {
            keeper::run(ctx, Arc::clone(&engine), config.clone(), Arc::clone(&clock))
        }));
    ChildSpec::supervisor(supervisor)
}
