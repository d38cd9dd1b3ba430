//! Sequence numbers: each message of a client, or of a conversation of it, gets the next number, without a gap.
//!
//! ```text
//! events: mt_accepted, mo_routed ──▶ number/<client>[/<conversation>] + 1, number-of/<message id>, the position    one step
//! ```
//! A conversation is a client, a phone and one of our numbers; its key has a digest of both, since keys may be logged. The order
//! is that of the events log: of accepts, and of MO as they were routed. `GET /v1/messages/{id}` shows the number.
//! Invariant NU-1: numbers of a key are 1, 2, 3 … in the order of the log, each given once, whatever crashes: a number and
//! the position of its event change in one step, and the last number is written by compare.
//!
//! # Limits
//! A number is there some milliseconds after the accept. A conversation without a message for `number_kept` is forgotten
//! and begins anew at 1; a client's own count never does. What is switched on later begins at 1 with the next message. A
//! message without a sender of its own belongs to the conversation with no number. An event that cannot be decoded has no
//! number, and leaves no gap.

mod assign;
mod reader;

pub use reader::NUMBERS_READER;

use crate::turns;
use reader::NumbersReader;
use smsgw_config::ConfigHandle;
use smsgw_queue::Engine;
use smsgw_runtime::{ChildSpec, Intensity, Strategy, Supervisor};
use std::sync::Arc;

/// The giving of numbers, as a child of the daemon's tree. It must be ready before anything is accepted: its reader holds
/// the events log from then on.
pub fn supervise(engine: Arc<dyn Engine>, config: ConfigHandle) -> ChildSpec {
    let reader = ChildSpec::task("reader", move |ctx| {
        turns::follow(ctx, NumbersReader::new(Arc::clone(&engine), config.clone()))
    });
    let supervisor = Supervisor::new("numbers", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(reader);
    ChildSpec::supervisor(supervisor)
}
