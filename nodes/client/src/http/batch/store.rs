//! Reading and writing the state of batches, with what can go wrong told as a problem.

use super::record::{Batch, Order, batch_key, order_key};
use crate::http::call::Caller;
use crate::http::problem::Problem;
use crate::shared::Shared;
use smsgw_message::{MessageId, Record, RecordError};
use smsgw_queue::{CommitErrorKind, EngineError, Expected, StateKey, Versioned};
use smsgw_telemetry::ApiCode;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error};

/// A record as it is, and what a write of it must expect.
#[derive(Debug, Clone)]
pub(crate) struct Seen<R> {
    pub(crate) record: Option<R>,
    pub(crate) expected: Expected,
}

/// What stands under a key.
pub(crate) fn seen<R: Record>(there: Option<Versioned>) -> Result<Seen<R>, RecordError> {
    Ok(match there {
        None => Seen {
            record: None,
            expected: Expected::Absent,
        },
        Some(there) => Seen {
            record: Some(R::from_record(&there.value)?),
            expected: Expected::Version(there.version),
        },
    })
}

/// Values of keys, in their order.
pub(crate) async fn get(
    shared: &Shared,
    keys: Vec<StateKey>,
    deadline: Instant,
) -> Result<Vec<Option<Versioned>>, Problem> {
    let found = timeout_at(deadline, shared.engine.get(keys)).await.map_err(|_| {
        error!("the engine did not answer within http.request_timeout");
        Problem::overloaded("the gateway could not read what it knows in time")
    })?;
    found.map_err(|error| {
        error!(%error, "state could not be read");
        Problem::overloaded("the gateway could not read what it knows")
    })
}

/// A record that cannot be decoded: nothing the client can change.
pub(crate) fn broken(error: &RecordError) -> Problem {
    error!(%error, "a record of a batch could not be decoded");
    Problem::overloaded("a record is damaged")
}

/// There is no such batch of this account.
pub(crate) fn not_found() -> Problem {
    Problem::new(ApiCode::NotFound, "there is no such batch")
}

/// The batch that a path names, with what was asked of it.
pub(crate) async fn find(
    shared: &Shared,
    caller: &Caller,
    id: &str,
) -> Result<(Batch, Seen<Order>), Problem> {
    let id: MessageId = id.parse().map_err(|_| not_found())?;
    let keys = vec![batch_key(&caller.client, id), order_key(&caller.client, id)];
    let mut found = get(shared, keys, caller.deadline).await?.into_iter();
    let batch = seen::<Batch>(found.next().flatten()).map_err(|error| broken(&error))?;
    let order = seen::<Order>(found.next().flatten()).map_err(|error| broken(&error))?;
    Ok((batch.record.ok_or_else(not_found)?, order))
}

/// What a refused commit is for the client.
pub(crate) fn refused(kind: &CommitErrorKind) -> Problem {
    Problem::overloaded(match kind {
        CommitErrorKind::Full(_) => "too many messages wait in the gateway",
        CommitErrorKind::Engine(EngineError::NoSpace) => "the gateway has no room to store this",
        CommitErrorKind::Engine(EngineError::Closed) => "the gateway is stopping",
        CommitErrorKind::Conflict { .. } => {
            debug!("a batch was changed by several requests at once");
            "several requests changed this at once"
        }
        CommitErrorKind::Engine(EngineError::Poisoned(_) | EngineError::Read(_))
        | CommitErrorKind::Stale { .. }
        | CommitErrorKind::Floor { .. }
        | CommitErrorKind::NotACounter { .. }
        | CommitErrorKind::NoRecord { .. }
        | CommitErrorKind::Leased { .. }
        | CommitErrorKind::Invalid(_) => {
            error!(error = %kind, "the engine could not store a batch");
            "the gateway could not store this"
        }
    })
}
