//! What tests from L2 up share: a clock that follows virtual time, and things that go wrong on purpose.
//!
//! [`MoodyEngine`] and [`MoodyClock`] stand where an engine and a clock are handed in, so that faults and panics come
//! through the dependencies that a node has anyway: nothing of them is in shipped code. Every node reads the clock in
//! its handlers and timers and calls the engine around its channels, which makes these two the seams of them all.
//!
//! [`Postgres`] is a real server of the test's own, for what is kept in SQL.
//!
//! A development dependency only. Knows the message model, the engine contract and the supervisor, and no node. The
//! simulated carrier and load are in `smsgw-sim`.

mod clock;
mod dice;
mod moody;
mod postgres;
mod tree;

pub use clock::{MoodyClock, SimClock};
pub use moody::{Call, Mood, MoodyEngine, Prank, Pranks};
pub use postgres::Postgres;
pub use tree::{neighbour, restarts_below};
