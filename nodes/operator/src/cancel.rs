//! Which parts of a checkout their clients have withdrawn.
//!
//! Requests stand in state, one key for each message; the router says until when to look for them (`names::CANCELS`). So a
//! checkout costs one look more, and a part one only while requests are open. A request that comes after the look is too
//! late for the parts of that checkout. A part that was in doubt before ends so, not as cancelled: its phone may have it.
//! Pure but for the two reads.

use bytes::Bytes;
use smsgw_message::{Cancels, Dispatch, MessageId, Record, Timestamp, names};
use smsgw_queue::{Delivery, Engine, EngineError, StateKey};
use std::collections::HashSet;
use tracing::error;

/// Messages that go no further.
#[derive(Debug, Default)]
pub(crate) struct Cancelled(HashSet<MessageId>);

impl Cancelled {
    /// The records of deliveries, to be looked at once it is known that requests are open; shared, not copied.
    pub(crate) fn records(deliveries: &[Delivery]) -> Vec<Bytes> {
        deliveries
            .iter()
            .map(|delivery| delivery.record().clone())
            .collect()
    }

    /// The messages among these records whose clients have withdrawn them.
    pub(crate) async fn among(
        engine: &dyn Engine,
        records: Vec<Bytes>,
        now: Timestamp,
    ) -> Result<Self, EngineError> {
        if records.is_empty() || !are_open(engine, now).await? {
            return Ok(Self::default());
        }
        let ids = records
            .iter()
            .filter_map(|record| Some(Dispatch::from_record(record).ok()?.message));
        let ids: Vec<MessageId> = ids.collect::<HashSet<_>>().into_iter().collect();
        let keys = ids.iter().map(|id| StateKey::from(names::cancel(*id))).collect();
        let found = engine.get(keys).await?;
        let asked = ids
            .into_iter()
            .zip(found)
            .filter(|(_, request)| request.is_some());
        Ok(Self(asked.map(|(id, _)| id).collect()))
    }

    pub(crate) fn has(&self, dispatch: &Dispatch) -> bool {
        self.0.contains(&dispatch.message)
    }
}

async fn are_open(engine: &dyn Engine, now: Timestamp) -> Result<bool, EngineError> {
    let found = engine.get(vec![names::CANCELS.into()]).await?;
    let Some(there) = found.into_iter().next().flatten() else {
        return Ok(false);
    };
    Ok(Cancels::from_record(&there.value).map_or_else(
        |error| {
            error!(%error, "the key that tells of requests to cancel cannot be decoded; each part is looked up");
            true
        },
        |open| now < open.until,
    ))
}
