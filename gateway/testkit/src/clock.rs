//! Wall time that follows tokio's: under paused time both stand still until a test waits.

use smsgw_message::{Clock, Timestamp};
use std::time::Instant;

/// Begins at [`SimClock::ORIGIN`] when it is made.
#[derive(Debug, Clone)]
pub struct SimClock(tokio::time::Instant);

impl SimClock {
    /// 2026-11-21T08:00:00Z.
    pub const ORIGIN: Timestamp = Timestamp::from_millis(1_795_248_000_000);

    /// A clock that begins now, at the origin. To be made inside the runtime whose time it follows.
    #[expect(
        clippy::new_without_default,
        reason = "a default that depends on when it is asked for would surprise"
    )]
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Self::ORIGIN.after(self.0.elapsed())
    }

    fn instant(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}
