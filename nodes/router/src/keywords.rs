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

/// How far the entries go that a wish makes (an opt-out) or takes away (an opt-in).
pub(crate) fn entries(spoken: &Spoken<'_>) -> Vec<KeywordScope> {
    match spoken.action {
        KeywordAction::OptOut => vec![spoken.scope],
        KeywordAction::OptIn => vec![KeywordScope::Client, KeywordScope::Sender, KeywordScope::Number],
        KeywordAction::Help => Vec::new(),
    }
}

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
    let since = OptOut {
        since: now,
        until: None,
    };
    entries(spoken).into_iter().fold(outcome, |outcome, scope| {
        outcome.with(|step| match spoken.action {
            KeywordAction::OptOut => {
                step.compare_and_put(key_of(scope), Expected::Any, since.to_record(), Expiry::Owner)
            }
            KeywordAction::OptIn | KeywordAction::Help => step.delete(key_of(scope), Expected::Any),
        })
    })
}
