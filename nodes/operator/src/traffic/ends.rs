//! What is finished with on its way to the engine, in batches.
//!
//! Keeps TR-1 and TR-3 of [`super`]: results stay counted until their commit has ended, and deliveries of the carrier are
//! committed one batch after the other.

use super::{COMMITS, Over, Taken, Traffic};
use crate::commit::{self, Ended};
use crate::hop::{End, Fate, Finished};
use smsgw_message::Timestamp;
use smsgw_queue::{Cost, Delivery, ReleaseReason};
use std::sync::Arc;
use std::time::Duration;

impl Traffic<'_> {
    pub(super) fn start_commits(&mut self) {
        if !self.results.is_empty() && self.commits.len() < COMMITS {
            let batch = std::mem::take(&mut self.results);
            let link = self.link;
            self.commits.spawn(commit::parts(
                Arc::clone(&link.engine),
                Arc::clone(&link.account),
                link.id.clone(),
                batch,
            ));
        }
        // One at a time: what a carrier tells keeps its order.
        if !self.intake.is_empty() && self.intake_commit.is_empty() {
            let batch = std::mem::take(&mut self.intake);
            let octets = batch.iter().map(|arrived| arrived.octets).sum();
            let (deliveries, steps) = batch
                .into_iter()
                .map(|arrived| (arrived.delivery, arrived.step))
                .unzip();
            let (engine, account) = (Arc::clone(&self.link.engine), Arc::clone(&self.link.account));
            self.intake_commit.spawn(async move {
                let (kept, ended) = commit::arrivals(engine, account, steps).await;
                Taken {
                    deliveries,
                    octets,
                    kept,
                    ended,
                }
            });
        }
    }

    pub(super) fn finish(&mut self, delivery: Delivery, fate: Fate, at: Timestamp) {
        self.finish_as(delivery, End::Known(fate), at);
    }

    pub(super) fn finish_as(&mut self, delivery: Delivery, end: End, at: Timestamp) {
        self.uncommitted += 1;
        self.results.push(Finished { delivery, end, at });
    }
}

pub(super) fn back(after: Duration, reason: ReleaseReason) -> Fate {
    Fate::Back {
        after,
        reason,
        cost: Cost::Free,
    }
}

pub(super) fn broken(ended: Ended) -> Option<Over> {
    match ended {
        Ended::Done => None,
        Ended::Poisoned(cause) => Some(Over::Poisoned(cause)),
        Ended::Closed => Some(Over::Broken("the engine is closed")),
    }
}
