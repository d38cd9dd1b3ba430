//! The tree as metrics: one series for each part, taken off when the part is gone.
//!
//! Set from a snapshot when somebody asks for metrics; nothing is counted on the way of traffic. Invariant GA-1: after
//! [`TreeGauges::show`] the series are those of that snapshot and of no other.

use super::status::TreeStatus;
use crate::metric::{ACTOR_CHANNEL_DEPTH, ACTOR_MAILBOX_DEPTH, ACTOR_RESTARTS, ACTOR_STATE};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The series that are shown now. One for a process.
#[derive(Debug, Default)]
pub struct TreeGauges(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    actors: BTreeSet<String>,
    mailboxes: BTreeSet<String>,
    channels: BTreeSet<(String, &'static str)>,
}

impl TreeGauges {
    /// Sets the gauges of every part, and takes off those of parts that are gone.
    pub fn show(&self, tree: &TreeStatus) {
        let mut now = Shown::default();
        walk(tree, tree.name.clone(), &mut now);
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.actors.difference(&now.actors) {
            ACTOR_STATE.remove(&[gone]);
            ACTOR_RESTARTS.remove(&[gone]);
        }
        for gone in shown.mailboxes.difference(&now.mailboxes) {
            ACTOR_MAILBOX_DEPTH.remove(&[gone]);
        }
        for (actor, channel) in shown.channels.difference(&now.channels) {
            ACTOR_CHANNEL_DEPTH.remove(&[actor, channel]);
        }
        *shown = now;
    }
}

fn walk(part: &TreeStatus, path: String, now: &mut Shown) {
    let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    ACTOR_STATE.with(&[&path]).set(part.state.number());
    ACTOR_RESTARTS.with(&[&path]).set(gauge(part.restarts));
    if let Some(depth) = part.mailbox {
        ACTOR_MAILBOX_DEPTH.with(&[&path]).set(gauge(depth));
        now.mailboxes.insert(path.clone());
    }
    for channel in &part.channels {
        let depth = i64::try_from(channel.depth).unwrap_or(i64::MAX);
        ACTOR_CHANNEL_DEPTH.with(&[&path, channel.name]).set(depth);
        now.channels.insert((path.clone(), channel.name));
    }
    for child in &part.children {
        walk(child, format!("{path}/{}", child.name), now);
    }
    now.actors.insert(path);
}
