//! Which parts of a checkout their clients have withdrawn.
//!
//! Requests stand in state, one key for each message; the router says until when to look for them (`names::CANCELS`). So a
//! checkout costs one look more, and a part one only while requests are open; one more by its numbers when its client has
//! withdrawn groups. A request that comes after the look is too
//! late for the parts of that checkout. A part that was in doubt before ends so, not as cancelled: its phone may have it.
//! Pure but for the two reads.

use bytes::Bytes;
use smsgw_message::{CancelGroup, Cancels, ClientId, Dispatch, MessageId, Record, Timestamp, names};
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
        if records.is_empty() {
            return Ok(Self::default());
        }
        let open = Open::read(engine, now).await?;
        if open.is_nothing() {
            return Ok(Self::default());
        }
        let dispatches = records
            .iter()
            .filter_map(|record| Dispatch::from_record(record).ok());
        let mut seen = HashSet::new();
        let dispatches: Vec<Dispatch> = dispatches
            .filter(|dispatch| seen.insert(dispatch.message))
            .collect();
        let mut asks = Vec::new();
        for dispatch in &dispatches {
            if open.single {
                asks.push((
                    dispatch,
                    Asked::Single,
                    StateKey::from(names::cancel(dispatch.message)),
                ));
            }
            // By the client's own numbers: the route may have given the carrier others.
            if let ((Some(from), to), true) = (dispatch.numbers(), open.groups.contains(&dispatch.client)) {
                let key = names::cancel_group(&dispatch.client, from, to);
                asks.push((dispatch, Asked::Group, StateKey::from(key)));
            }
        }
        let keys = asks.iter().map(|(_, _, key)| key.clone()).collect();
        let found = engine.get(keys).await?;
        let withdrawn = asks
            .into_iter()
            .zip(found)
            .filter_map(|((dispatch, asked, key), request)| {
                let request = request?;
                let is_meant = match asked {
                    Asked::Single => true,
                    Asked::Group => is_of_group(dispatch, &key, &request.value),
                };
                is_meant.then_some(dispatch.message)
            });
        Ok(Self(withdrawn.collect()))
    }

    pub(crate) fn has(&self, dispatch: &Dispatch) -> bool {
        self.0.contains(&dispatch.message)
    }
}

/// What a key was looked up for.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Single,
    Group,
}

/// What there is to look for.
struct Open {
    single: bool,
    /// Clients that have requests for groups.
    groups: HashSet<ClientId>,
}

impl Open {
    fn is_nothing(&self) -> bool {
        !self.single && self.groups.is_empty()
    }

    async fn read(engine: &dyn Engine, now: Timestamp) -> Result<Self, EngineError> {
        let found = engine.get(vec![names::CANCELS.into()]).await?;
        let nothing = Self {
            single: false,
            groups: HashSet::new(),
        };
        let Some(there) = found.into_iter().next().flatten() else {
            return Ok(nothing);
        };
        Ok(Cancels::from_record(&there.value).map_or_else(
            |error| {
                error!(%error, "the key that tells of requests to cancel cannot be decoded; each part is looked up");
                Self {
                    single: true,
                    ..nothing
                }
            },
            |open| Self {
                single: now < open.until,
                groups: open
                    .groups
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|group| (now < group.until).then_some(group.client))
                    .collect(),
            },
        ))
    }
}

fn is_of_group(dispatch: &Dispatch, key: &StateKey, record: &[u8]) -> bool {
    let service_type = dispatch
        .options
        .as_ref()
        .and_then(|options| options.service_type.as_deref());
    CancelGroup::from_record(record).map_or_else(
        |error| {
            error!(key = key.space(), %error, "a request to cancel a group cannot be decoded; its messages go out");
            false
        },
        |group| group.client == dispatch.client && group.means(dispatch.message, service_type),
    )
}
