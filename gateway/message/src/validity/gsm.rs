//! TP-VP in its relative form, one octet (3GPP TS 23.040 §9.2.3.12.1).
//!
//! ```text
//!   0..=143   (n + 1) * 5 minutes              5 minutes to 12 hours
//! 144..=167   12 hours + (n - 143) * 30 min    to 24 hours
//! 168..=196   (n - 166) days                   2 to 30 days
//! 197..=255   (n - 192) weeks                  5 to 63 weeks
//! ```
//! Invariant: what is written is never shorter than what was asked for, up to the most there is.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;
const WEEK: u64 = 604_800;

/// The validity an octet stands for.
#[must_use]
pub const fn read_tp_vp(octet: u8) -> Duration {
    // Lossless, and the ranges keep every difference above zero.
    let n = octet as u64;
    Duration::from_secs(match octet {
        0..=143 => n.saturating_add(1).saturating_mul(5 * MINUTE),
        144..=167 => (12 * HOUR).saturating_add(n.saturating_sub(143).saturating_mul(30 * MINUTE)),
        168..=196 => n.saturating_sub(166).saturating_mul(DAY),
        197..=255 => n.saturating_sub(192).saturating_mul(WEEK),
    })
}

/// The octet of the shortest validity that is not below `validity`; 255 (63 weeks) when there is none.
#[must_use]
pub fn write_tp_vp(validity: Duration) -> u8 {
    (0..=u8::MAX)
        .find(|octet| read_tp_vp(*octet) >= validity)
        .unwrap_or(u8::MAX)
}
