//! A carrier reached over HTTP, in the words of an ESME, so that everything about a link is the same for all protocols: window,
//! rate, verdicts, doubt, receipts, metrics, orders.
//!
//! ```text
//! EsmeCommand::Submit ─▶ request ─▶ hyper ─▶ answer (pick) ─▶ Answered: a status of HTTP or a code as command_status, the id
//!                                       └─ no answer ─▶ TimedOut: grace, then in doubt     not connected ─▶ NotSent, Closed
//! carrier's request ─▶ inbound ─▶ Arrivals ─▶ link: Delivered ─▶ commit ─▶ EsmeCommand::Answer ─▶ 2xx, or 503 with Retry-After
//! ```
//! A link is not a connection: it is bound while the carrier can be connected to, and its requests share a pool. Statuses stand
//! above [`smsgw_config::HTTP_BASE`], codes above [`smsgw_config::HTTP_CODE_BASE`]: the lists of an operator name them so.
//! Invariant HC-1: each Submit gets exactly one of Answered, TimedOut and NotSent, or is in doubt in Closed; only what was never
//! written, or was answered 401 (nothing was taken: the link goes down, as with a bind that is refused), is NotSent.
//!
//! # Limits
//! A request that breaks after it was written waits for the grace of a late answer before the in-doubt policy decides. While a
//! link is down receipts and MO are answered 503. A query of a part in doubt does not exist.

mod answer;
mod inbound;
mod link;
mod pick;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use inbound::{Inbound, run as listen};
pub(crate) use link::try_once;

use bytes::Bytes;
use smsgw_smpp::DeliverSm;
use tokio::sync::{Mutex, mpsc, oneshot};

/// The TLV under which [`crate::submit`] tells an HTTP link what submit_sm has no field for; it never leaves the process.
/// `message id, part, parts, seconds of validity`, separated by spaces.
pub(crate) const OWN_TLV: u16 = 0x3FF0;

/// Deliveries that wait for a link.
const ARRIVALS: usize = 64;

/// What a request of the carrier holds.
#[derive(Debug)]
enum Brought {
    Message(DeliverSm),
    /// A field is missing: it is kept as it is.
    Unreadable(Bytes),
}

/// A delivery of the carrier, and who waits for its fate: whether it is durable. One that cannot be read is answered once a link
/// has it.
#[derive(Debug)]
pub(crate) struct Arrival {
    brought: Brought,
    answer: oneshot::Sender<bool>,
}

/// What the listener took and no link has yet.
#[derive(Debug)]
pub(crate) struct Arrivals {
    sender: mpsc::Sender<Arrival>,
    receiver: Mutex<mpsc::Receiver<Arrival>>,
}

impl Default for Arrivals {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(ARRIVALS);
        Self {
            sender,
            receiver: Mutex::new(receiver),
        }
    }
}

impl Arrivals {
    /// The next one that is still waited for; for whichever link asks.
    async fn next(&self) -> Option<Arrival> {
        let mut receiver = self.receiver.lock().await;
        loop {
            let arrival = receiver.recv().await?;
            if !arrival.answer.is_closed() {
                return Some(arrival);
            }
        }
    }
}
