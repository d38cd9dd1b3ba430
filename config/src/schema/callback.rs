//! `[callback]`: how reports and MO are posted to clients.
//!
//! Must not know a client's own target (that is in `client`).
//! Invariant: without `allow` no private address is ever called.

use std::time::Duration;

use ipnet::IpNet;

use crate::section::between;
use crate::types::Ladder;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

section! {
    /// `[callback]`: how reports and MO are posted to clients.
    CallbackSection {
        /// Networks (CIDR) of private, loopback or link-local targets that may be called. Since 0.1.
        allow: Vec<IpNet> = Vec::new(), Live;
        /// How long a target may take from connecting to the end of its answer. Since 0.1.
        timeout: Duration = 10 * SECOND, Live where between(SECOND, 300 * SECOND);
        /// Delays between attempts; `1m for 10m` repeats a delay for that long. Since 0.1.
        retry: Ladder = Ladder::callback(), Live;
        /// Age at which an undelivered callback is dead-lettered. Since 0.1.
        give_up: Duration = 48 * HOUR, Live where between(Duration::ZERO, 30 * 24 * HOUR);
        /// Random share added to or taken from every delay. Since 0.1.
        jitter: f64 = 0.2, Live where between(0.0, 0.9);
        /// Failures in a row after which the target's breaker opens. Since 0.1.
        breaker_failures: u32 = 20, Live where between(1, 100_000);
        /// First interval of probes while the breaker is open; it doubles. Since 0.1.
        breaker_probe: Duration = SECOND, Live where between(Duration::from_millis(100), HOUR);
        /// Longest interval of probes. Since 0.1.
        breaker_probe_max: Duration = 60 * SECOND, Live where between(Duration::from_millis(100), HOUR);
        /// Requests in flight over all targets. Since 0.1.
        max_in_flight: u32 = 256, Live where between(1, 65_536);
        /// Requests in flight to one target. Since 0.1.
        max_per_target: u32 = 32, Live where between(1, 65_536);
    }
}
