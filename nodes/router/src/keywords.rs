//! What a phone says with a whole message: its wish as state, in the step that gives the message to its client.
//!
//! Knows no admission: it writes the list that admission reads. Invariant KW-1: after the step of an opt-out the list holds the
//! phone as far as the words say, after that of an opt-in none of the entries that an opt-out to this number can have made.
//!
//! # Limits
//! The list says since when by the last opt-out, and for ever. An opt-in also takes back an entry that the client itself
//! made by its API for the same phone: the phone has the last word.

use crate::outcome::Outcome;
use smsgw_message::{Address, ClientId, KeywordAction, OptOut, Record, Timestamp, names};
use smsgw_queue::{Expected, Expiry, StateKey};
use smsgw_routing::{KeywordScope, Spoken};

/// Keeps what the phone wants of the client's messages. Who speaks last has said last: nothing to compare with.
pub(crate) fn keep(
    outcome: Outcome,
    now: Timestamp,
    client: &ClientId,
    phone: &Address,
    number: &Address,
    spoken: &Spoken<'_>,
) -> Outcome {
    let key_of = |scope| {
        StateKey::from(match scope {
            KeywordScope::Client => names::opted_out_of_client(client, phone),
            KeywordScope::Sender => names::opted_out_of_clients_sender(client, number, phone),
            KeywordScope::Number => names::opted_out_of_sender(number, phone),
        })
    };
    match spoken.action {
        KeywordAction::OptOut => {
            let record = OptOut {
                since: now,
                until: None,
            };
            outcome.with(|step| {
                let key = key_of(spoken.scope);
                step.compare_and_put(key, Expected::Any, record.to_record(), Expiry::Owner)
            })
        }
        KeywordAction::OptIn => [KeywordScope::Client, KeywordScope::Sender, KeywordScope::Number]
            .into_iter()
            .fold(outcome, |outcome, scope| {
                outcome.with(|step| step.delete(key_of(scope), Expected::Any))
            }),
        KeywordAction::Help => outcome,
    }
}
