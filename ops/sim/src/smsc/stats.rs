//! What the carrier counted.
//!
//! Invariant: `submits = accepted + refused + throttled`, and of those accepted `unanswered` and `cut` got no answer.
//! `accepted - unanswered - cut` were answered, or will be while their connection lives.

use serde::{Deserialize, Serialize};

/// Counts since the start, and how much waits now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmscStats {
    /// Connections open now.
    pub sessions: u64,
    /// Bound now.
    pub bound: u64,
    /// Binds taken.
    pub binds: u64,
    /// Binds refused.
    pub binds_refused: u64,
    /// Submits that reached the carrier (those beyond the window did not).
    pub submits: u64,
    /// Accepted.
    pub accepted: u64,
    /// Of those accepted: never answered.
    pub unanswered: u64,
    /// Of those accepted: connection cut instead of an answer.
    pub cut: u64,
    /// Refused by a rule.
    pub refused: u64,
    /// Refused because of the rate.
    pub throttled: u64,
    /// Refused by the session: beyond the window, or not bound for it.
    pub overloaded: u64,
    /// Receipts made, duplicates included.
    pub receipts: u64,
    /// Receipts answered with OK.
    pub receipts_taken: u64,
    /// MO made.
    pub mo: u64,
    /// MO answered with OK.
    pub mo_taken: u64,
    /// Deliveries that went back to be sent again: cut off, timed out or answered with a temporary error.
    pub redelivered: u64,
    /// Deliveries refused for good.
    pub deliveries_refused: u64,
    /// Deliveries forgotten because the outbox was full.
    pub deliveries_forgotten: u64,
    /// Deliveries answered after they had timed out.
    pub late_answers: u64,
    /// Deliveries that wait to be sent.
    pub waiting: u64,
    /// Deliveries that wait for their answer.
    pub outstanding: u64,
    /// Deliveries that are not over: these, and those that are not due yet.
    pub owed: u64,
    /// Deliveries that an earlier life of the carrier owed when this one began.
    pub resumed: u64,
    /// Phases of changed behaviour that have begun.
    pub phases: u64,
    /// Malformed PDUs sent.
    pub malformed: u64,
    /// Deliveries among them: cut right, but not decodable.
    pub malformed_deliveries: u64,
    /// Of these: answered.
    pub malformed_answered: u64,
    /// Requests over HTTP that were reset or answered with an error, and not taken.
    pub turned_away: u64,
    /// PDUs that could not be decoded.
    pub undecodable: u64,
    /// Answers to nothing: those to malformed PDUs among them.
    pub unmatched: u64,
    /// query_sm, cancel_sm and replace_sm.
    pub queries: u64,
    /// Messages cancelled.
    pub cancelled: u64,
    /// Messages replaced.
    pub replaced: u64,
    /// alert_notification sent.
    pub alerts: u64,
    /// PDUs taken by a half-dead connection.
    pub swallowed: u64,
    /// Answers to deliveries lost on purpose.
    pub answers_lost: u64,
    /// Answers to deliveries that held an id.
    pub ids_in_answers: u64,
    /// When the latest submit was accepted, in milliseconds since 1970.
    pub last_accepted_at: i64,
    /// When the latest MO was taken.
    pub last_mo_at: i64,
    /// Ledger records neither in a file nor in memory.
    pub records_forgotten: u64,
}
