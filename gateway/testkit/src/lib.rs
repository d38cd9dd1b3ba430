//! What tests from L2 up share: so far a clock that follows virtual time.
//!
//! A development dependency only: nothing here is shipped. Knows the message model and no node, so that every node may
//! test with it. The simulated carrier and load are in `smsgw-sim`.

mod clock;

pub use clock::SimClock;
