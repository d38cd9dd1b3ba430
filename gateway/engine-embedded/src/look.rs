//! Records for people and for checkouts, where the disk may be damaged: one that cannot be read back is told apart from
//! its neighbours.
//!
//! Invariant: only damage is taken for damage. A disk that answers with an error of another kind (too many open files, a
//! cable) fails the call, and nothing is set aside for it.

use crate::engine::EmbeddedEngine;
use crate::format::decode_record;
use crate::lock;
use crate::queues::QueueCell;
use crate::store::{ReadResult, Store, panic_text};
use bytes::Bytes;
use smsgw_queue::index::{Leased, View};
use smsgw_queue::{Browsed, DeadReason, Engine, EngineError, Lease, Look, Op, Page, QueueName, Step, StepId};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tracing::error;

/// Why a record cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) String);

/// A record that was asked for.
pub(crate) type Found = Result<Bytes, Damage>;

/// Damage, or a disk that does not answer now.
fn judge(error: &fjall::Error) -> Result<Damage, String> {
    let damaged = |kind: ErrorKind| matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof);
    // What the operating system said, however deep it lies.
    let first: &(dyn std::error::Error + 'static) = error;
    let io = std::iter::successors(Some(first), |error| error.source())
        .find_map(|error| error.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind);
    let gone = matches!(
        error,
        fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted | fjall::Error::Locked
    );
    match io {
        Some(kind) if !damaged(kind) => Err(error.to_string()),
        None if gone => Err(error.to_string()),
        Some(_) | None => Ok(Damage(error.to_string())),
    }
}

impl Store {
    /// One record, by itself. `None`: it is not there.
    pub(crate) fn record_apart(&self, id: u64) -> ReadResult<Option<Found>> {
        let read = catch_unwind(AssertUnwindSafe(|| self.entry(id)));
        Ok(match read {
            Ok(Ok(None)) => None,
            Ok(Ok(Some(entry))) => Some(match decode_record(&entry) {
                Ok((_, octets)) => Ok(Bytes::copy_from_slice(octets)),
                Err(broken) => Err(Damage(broken.0.to_owned())),
            }),
            Ok(Err(error)) => Some(Err(judge(&error)?)),
            Err(panic) => Some(Err(Damage(panic_text(panic.as_ref())))),
        })
    }

    /// Records of the index, each by itself: one that is not there is damaged.
    pub(crate) fn records_apart(&self, ids: &[u64]) -> ReadResult<Vec<Found>> {
        let missing = || Err(Damage("it is missing".to_owned()));
        ids.iter()
            .map(|id| Ok(self.record_apart(*id)?.unwrap_or_else(missing)))
            .collect()
    }
}

impl EmbeddedEngine {
    /// A page for people.
    pub(crate) async fn look_into(&self, queue: &QueueName, look: Look) -> Result<Page, EngineError> {
        self.shared.check()?;
        let Some(cell) = self.shared.queues.find(queue) else {
            return Ok(Page {
                records: Vec::new(),
                next: None,
            });
        };
        let (views, next): (Vec<View>, _) = {
            let mut index = lock(&cell.index);
            index.due(self.shared.clock.now());
            index.look(&look)
        };
        let ids: Vec<u64> = views.iter().map(|view| view.id.as_u64()).collect();
        let here = self.shared.records.get(ids.iter().copied());
        // One that was settled since the look is left out; so each is read by itself.
        let octets = self
            .shared
            .read(move |store| {
                let read = ids.into_iter().zip(here).map(|(id, here)| match here {
                    Some(octets) => Ok(Some(Ok(octets))),
                    None => store.record_apart(id),
                });
                read.collect::<ReadResult<Vec<_>>>()
            })
            .await?;
        let seen = views
            .into_iter()
            .zip(octets)
            .filter_map(|(view, found)| Some(Browsed::new(view, found?.ok())));
        Ok(Page {
            records: seen.collect(),
            next,
        })
    }

    /// Records that were leased and cannot be read back become corrupt; who asked gets their neighbours.
    pub(crate) async fn set_aside(&self, cell: &Arc<QueueCell>, damaged: Vec<(Leased, Damage)>) {
        let lease = |leased: &Leased| Lease {
            queue: cell.name.clone(),
            record: leased.id,
            token: leased.token,
        };
        let steps = damaged.iter().map(|(leased, _)| {
            let op = Op::DeadLetter(lease(leased), DeadReason::Unreadable);
            Step::of_ops(StepId::of_record(&cell.name, leased.id), vec![op])
        });
        let answers = self.commit(steps.collect()).await;
        for ((leased, Damage(why)), answer) in damaged.iter().zip(answers) {
            error!(queue = %cell.name, record = leased.id.as_u64(), lane = ?leased.lane, published_at = %leased.published_at, why, "record cannot be read back; kept as corrupt");
            if let Err(error) = answer {
                error!(queue = %cell.name, record = leased.id.as_u64(), error = %error.kind, "it could not be set aside, and is ready again");
                lock(&cell.index).put_back(leased.id, leased.token);
            }
        }
    }
}
