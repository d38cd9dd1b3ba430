//! How much the disk still takes, and which steps go through when that is little.
//!
//! A step that has an input makes room, or at least moves what is already inside on its way out. So, with less than
//! `min_free_disk`: a step goes through if it settles, releases, holds, dead-letters, requeues, discards, deletes or
//! advances anything; one that only publishes, buries, appends, puts or adds is refused (an accept of a client, a
//! receipt of a carrier: their senders are told to come again). With less than a quarter of it, only steps go through
//! that write nothing new at all.
//!
//! Invariant: a step of nothing but settles, discards, deletes and advances always goes through.

use rustix::fs::statvfs;
use smsgw_queue::{Op, Step};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Says how many octets are free. Another one than the operating system's is for tests.
#[derive(Clone)]
pub struct SpaceProbe(Arc<Probe>);

type Probe = dyn Fn(&Path) -> io::Result<u64> + Send + Sync;

impl SpaceProbe {
    /// What the operating system gives to unprivileged processes.
    pub fn system() -> Self {
        Self::new(|dir| {
            let disk = statvfs(dir)?;
            Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
        })
    }

    /// A function that says it.
    pub fn new(probe: impl Fn(&Path) -> io::Result<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(probe))
    }

    pub(crate) fn free(&self, dir: &Path) -> io::Result<u64> {
        (self.0)(dir)
    }
}

impl fmt::Debug for SpaceProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpaceProbe")
    }
}

/// How tight it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// Everything goes through.
    Enough,
    /// Steps with an input go through.
    Low,
    /// Steps that write nothing new go through.
    Critical,
}

impl Space {
    pub(crate) fn of(free: u64, min_free: u64) -> Self {
        if free >= min_free {
            Self::Enough
        } else if free >= min_free / 4 {
            Self::Low
        } else {
            Self::Critical
        }
    }

    /// Whether a step goes through.
    pub(crate) fn admits(self, step: &Step) -> bool {
        let adds = |op: &Op| match op {
            Op::Publish(..) | Op::Bury(..) | Op::Append(..) | Op::Put(..) | Op::Add(..) => true,
            Op::Settle(_)
            | Op::Release(..)
            | Op::Hold(..)
            | Op::HoldRecord(..)
            | Op::HoldAll(..)
            | Op::ReleaseAll(..)
            | Op::Move(..)
            | Op::DeadLetter(..)
            | Op::Requeue(..)
            | Op::Discard(..)
            | Op::Advance(..)
            | Op::Delete(..) => false,
        };
        match self {
            Self::Enough => true,
            Self::Low => step.ops().is_empty() || step.ops().iter().any(|op| !adds(op)),
            Self::Critical => !step.ops().iter().any(adds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use smsgw_message::Class;
    use smsgw_queue::{Expected, Expiry, Lane, Lease, QueueName, RecordId, StepId};

    #[test]
    fn steps_with_an_input_go_through_when_space_is_low() {
        let id = StepId::from_bytes([0; 16]);
        let lane = Lane::new(Class::Otp, "a");
        let accept =
            Step::new(id)
                .publish("q", lane.clone(), Bytes::new())
                .put("k", Bytes::new(), Expiry::Owner);
        let tidy = Step::new(id)
            .delete("k", Expected::Any)
            .discard("q", RecordId::from_u64(1));
        let lease = Lease {
            queue: QueueName::from("q"),
            record: RecordId::from_u64(1),
            token: 1,
        };
        let home: Arc<dyn smsgw_queue::LeaseHome> = Arc::new(Nowhere);
        let delivery = smsgw_queue::Delivery::new(
            home,
            lease,
            lane.clone(),
            Bytes::new(),
            1,
            false,
            smsgw_message::Timestamp::default(),
        );
        let hop = Step::from(&delivery)
            .settle(&delivery)
            .publish("r", lane, Bytes::new());
        let table = [
            (&accept, [true, false, false]),
            (&hop, [true, true, false]),
            (&tidy, [true, true, true]),
        ];
        for (step, expected) in table {
            let spaces = [Space::of(100, 100), Space::of(99, 100), Space::of(24, 100)];
            assert_eq!(spaces.map(|space| space.admits(step)), expected, "{step:?}");
        }
    }

    struct Nowhere;
    impl smsgw_queue::LeaseHome for Nowhere {
        fn abandoned(&self, _: Lease) {}
    }
}
