//! Parts that belong here because their siblings went this way, and that another link checked out.
//!
//! Keeps TR-1 of [`super`]: what is in the channel when the link stops sending goes back to the queue.

use super::{Traffic, back};
use crate::together::Parcel;
use smsgw_message::Timestamp;
use smsgw_queue::ReleaseReason;
use std::time::Duration;
use tokio::sync::mpsc;

/// The next part that was handed over; never ends while there is no channel.
pub(super) async fn next(handed: &mut Option<mpsc::Receiver<Parcel>>) -> Option<Parcel> {
    match handed {
        Some(channel) => channel.recv().await,
        None => std::future::pending().await,
    }
}

impl Traffic<'_> {
    /// The session is bound: other links may hand parts over.
    pub(super) fn join(&mut self) {
        if !self.link.bind.can_submit() || self.draining || self.link.is_held() {
            return;
        }
        let (membership, handed) = self.link.account.together.join();
        self.membership = Some(membership);
        self.handed = Some(handed);
    }

    /// Whether parts are taken out of the channel now: as many as may wait for slots anyway.
    pub(super) fn may_be_handed(&self) -> bool {
        self.bound && !self.draining && self.backlog.len() < self.window
    }

    /// Takes all that was handed over so far.
    pub(super) fn take_handed(&mut self) {
        let parcels = self.drain_channel();
        self.take(parcels);
    }

    /// Nothing more is sent over this session: what was handed over goes back.
    pub(super) fn leave(&mut self, reason: ReleaseReason, at: Timestamp) {
        // First, so that nothing comes after.
        let unsorted = self
            .membership
            .take()
            .map_or_else(Vec::new, |membership| membership.unsorted());
        for delivery in unsorted {
            self.finish(delivery, back(Duration::ZERO, reason), at);
        }
        for parcel in self.drain_channel() {
            self.finish(parcel.delivery, back(Duration::ZERO, reason), at);
        }
        self.handed = None;
    }

    fn drain_channel(&mut self) -> Vec<Parcel> {
        let Some(handed) = &mut self.handed else {
            return Vec::new();
        };
        std::iter::from_fn(|| handed.try_recv().ok()).collect()
    }
}
