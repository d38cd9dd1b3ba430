//! What tests from L2 up begin with: a clock that follows virtual time, and messages that need no ceremony.
//!
//! A development dependency only: nothing here is shipped. Knows the message model and no node, so that every node may
//! test with it. The simulated carrier and load are in `smsgw-sim`, which the daemon's tests run as processes.

mod builders;
mod clock;

pub use builders::{client, link, message_id, mt, operator, phone, via};
pub use clock::SimClock;
