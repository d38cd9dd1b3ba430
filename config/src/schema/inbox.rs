//! `[inbox]`: reports and MO that wait for clients which have neither callback nor binds.
//!
//! Must not know how a client reads its inbox.
//! Invariant: an inbox is bounded in number and in age.

use std::time::Duration;

use crate::section::between;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

section! {
    /// `[inbox]`: reports and MO that wait for clients which have neither callback nor binds.
    InboxSection {
        /// Age at which an event that was not acknowledged is dropped; a client may have its own. Since 0.1.
        expiry: Duration = 7 * DAY, Live where between(60 * SECOND, 400 * DAY);
        /// Events of one client that are kept; the oldest are dropped above it, and counted. A client may have its own. Since 0.1.
        max_events: u32 = 100_000, Live where between(1, 100_000_000);
        /// Longest `wait` of a request; a longer one is cut to it. Since 0.1.
        max_wait: Duration = 60 * SECOND, Live where between(SECOND, 300 * SECOND);
        /// Requests of one client that may wait or stream at once; above it `429 rate_limited`. Since 0.1.
        max_readers: u32 = 16, Live where between(1, 10_000);
    }
}
