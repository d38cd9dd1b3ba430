//! What the engines count, and the one place where they count it.
//!
//! Labels are names of queues and reasons: both bounded by the configuration and by our enums.

use crate::name::QueueName;
use crate::step::Op;
use rustc_hash::FxHashMap;
use smsgw_telemetry::{Counter, IntCounter};
use std::sync::{LazyLock, PoisonError, RwLock};

/// Records put into a queue, alarms included. A rise that `smsgw_queue_settled_total` does not follow means that the
/// consumers of the queue are slower than its producers, or stopped.
pub static PUBLISHED: Counter = Counter::new(
    "smsgw_queue_published_total",
    "Records published to a queue.",
    &["queue"],
);
/// Records that were done with. Stands still while the queue has ready records: its consumers are stopped or stuck.
pub static SETTLED: Counter = Counter::new(
    "smsgw_queue_settled_total",
    "Records of a queue that were settled.",
    &["queue"],
);
/// Records put back into a queue, by reason. A steady rise of `throttled` means that our rate is above the
/// carrier's; of `callback_failed`, that a client's target is down.
pub static RELEASED: Counter = Counter::new(
    "smsgw_queue_released_total",
    "Records put back into a queue.",
    &["queue", "reason"],
);
/// Records that wait for a person, by reason. Any rise of `in_doubt` asks for a decision.
pub static HELD: Counter = Counter::new(
    "smsgw_queue_held_total",
    "Records held for a person to decide.",
    &["queue", "reason"],
);
/// Records given up and kept for people, by reason. A rise of `unknown_receipt` means that a carrier sends receipts
/// for messages that are not ours or forgotten; of `corrupt`, that records cannot be decoded: a defect.
pub static DEAD_LETTERS: Counter = Counter::new(
    "smsgw_queue_dead_letters_total",
    "Records that became dead letters.",
    &["queue", "reason"],
);
/// Dead letters deleted because nobody wanted them within the retention. A rise means that dead letters are not
/// looked at.
pub static DEAD_LETTERS_EXPIRED: Counter = Counter::new(
    "smsgw_queue_dead_letters_expired_total",
    "Dead letters deleted at the end of their retention.",
    &["queue"],
);
/// Dead letters and corrupt records deleted because their queue had more of them than it may keep, by reason. A rise means
/// that something makes them faster than people look at them: look at what has this reason, then requeue or discard.
pub static DEAD_LETTERS_DROPPED: Counter = Counter::new(
    "smsgw_queue_dead_letters_dropped_total",
    "Dead letters deleted above the bound of their queue.",
    &["queue", "reason"],
);
/// Records that people moved out of a queue into another one, by the queue they left.
pub static MOVED: Counter = Counter::new(
    "smsgw_queue_moved_total",
    "Records moved to another queue.",
    &["queue"],
);
/// Deliveries dropped without a step: their records went back marked as possibly handled. A rise means that a
/// consumer panics or is stopped in the middle.
pub static ABANDONED: Counter = Counter::new(
    "smsgw_queue_abandoned_total",
    "Deliveries dropped without a step.",
    &["queue"],
);

/// What is counted for every record, by queue: looked up without building labels.
#[derive(Debug, Clone)]
struct Handles {
    published: IntCounter,
    settled: IntCounter,
}

static HANDLES: LazyLock<RwLock<FxHashMap<QueueName, Handles>>> = LazyLock::new(RwLock::default);

fn with_handles(queue: &QueueName, count: impl Fn(&Handles)) {
    // A panic of another thread cannot leave the map half changed: an insert is its only change.
    if let Some(handles) = HANDLES.read().unwrap_or_else(PoisonError::into_inner).get(queue) {
        return count(handles);
    }
    let label = [queue.as_str()];
    let handles = Handles {
        published: PUBLISHED.with(&label),
        settled: SETTLED.with(&label),
    };
    count(&handles);
    HANDLES
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(queue.clone(), handles);
}

/// Counts one change of a step that went through. Engines call it once for each.
pub fn count(op: &Op) {
    match op {
        Op::Publish(queue, ..) => published(queue),
        Op::Settle(lease) => with_handles(&lease.queue, |handles| handles.settled.inc()),
        Op::Release(lease, _, reason, _) => RELEASED.with(&[lease.queue.as_str(), reason.as_str()]).inc(),
        Op::HoldRecord(queue, _, reason) => HELD.with(&[queue.as_str(), reason.as_str()]).inc(),
        Op::Move(queue, ..) => MOVED.with(&[queue.as_str()]).inc(),
        Op::Hold(lease, reason) => HELD.with(&[lease.queue.as_str(), reason.as_str()]).inc(),
        Op::DeadLetter(lease, reason) => {
            DEAD_LETTERS.with(&[lease.queue.as_str(), reason.as_str()]).inc();
        }
        Op::Bury(queue, _, _, reason) => DEAD_LETTERS.with(&[queue.as_str(), reason.as_str()]).inc(),
        Op::Requeue(..)
        | Op::Discard(..)
        | Op::HoldAll(..)
        | Op::ReleaseAll(..)
        | Op::Append(..)
        | Op::Advance(..)
        | Op::Put(..)
        | Op::Delete(..)
        | Op::Add(..) => {}
    }
}

/// A record was published by the engine itself: an alarm went off.
pub fn published(queue: &QueueName) {
    with_handles(queue, |handles| handles.published.inc());
}

/// A delivery was dropped without a step while its lease was good.
pub fn abandoned(queue: &QueueName) {
    ABANDONED.with(&[queue.as_str()]).inc();
}

/// A dead letter or corrupt record was deleted at the end of its retention.
pub fn expired(queue: &QueueName) {
    DEAD_LETTERS_EXPIRED.with(&[queue.as_str()]).inc();
}

/// A dead letter or corrupt record was deleted because there were too many.
pub fn dropped(queue: &QueueName, reason: &str) {
    DEAD_LETTERS_DROPPED.with(&[queue.as_str(), reason]).inc();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeadReason, Lane, Lease, RecordId, ReleaseReason};
    use bytes::Bytes;
    use smsgw_message::Class;
    use std::time::Duration;

    #[test]
    fn each_change_counts_where_it_belongs() {
        let queue = QueueName::from("metric.test");
        let lane = || Lane::new(Class::Bulk, "acme");
        let lease = || Lease {
            queue: queue.clone(),
            record: RecordId::from_u64(1),
            token: 1,
        };
        for _ in 0..3 {
            count(&Op::Publish(queue.clone(), lane(), Bytes::new(), None));
        }
        count(&Op::Settle(lease()));
        count(&Op::Release(
            lease(),
            Duration::ZERO,
            ReleaseReason::Throttled,
            crate::Cost::Free,
        ));
        count(&Op::Bury(
            queue.clone(),
            lane(),
            Bytes::new(),
            DeadReason::NoRoute,
        ));
        count(&Op::DeadLetter(lease(), DeadReason::NoRoute));
        abandoned(&queue);
        let text = smsgw_telemetry::exposition();
        for line in [
            "smsgw_queue_published_total{queue=\"metric.test\"} 3",
            "smsgw_queue_settled_total{queue=\"metric.test\"} 1",
            "smsgw_queue_released_total{queue=\"metric.test\",reason=\"throttled\"} 1",
            "smsgw_queue_dead_letters_total{queue=\"metric.test\",reason=\"no_route\"} 2",
            "smsgw_queue_abandoned_total{queue=\"metric.test\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
