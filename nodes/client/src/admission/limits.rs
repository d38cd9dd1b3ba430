//! What is left to a client: of its rate, and of its quotas.
//!
//! Knows no face. Invariant: what is told of a quota was true at one moment, and is exact.

use crate::admission::no_account;
use crate::admission::quota::{Period, QuotaLeft};
use crate::admission::{RateLeft, Refused};
use crate::shared::Shared;
use crate::tables::Tables;
use smsgw_message::ClientId;
use tracing::error;

/// What is left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Left {
    /// Of the rate; `None` when there is no limit.
    pub(crate) rate: Option<RateLeft>,
    /// Of the quotas there are.
    pub(crate) quotas: Vec<(Period, QuotaLeft)>,
}

/// What is left to a client now. Reads the counters of its quotas: one read of the engine, none without quotas.
pub(crate) async fn left(shared: &Shared, tables: &Tables, client: &ClientId) -> Result<Left, Refused> {
    let account = tables.account(client).ok_or_else(no_account)?;
    let now = shared.clock.now();
    let keys: Vec<_> = account.quotas().map(|quota| quota.counter(now)).collect();
    let counters = if keys.is_empty() {
        Vec::new()
    } else {
        shared.engine.get(keys).await.map_err(|error| {
            error!(%client, %error, "the counters of a quota could not be read");
            Refused::unavailable("the gateway could not read the account's counters")
        })?
    };
    let quotas = account.quotas().zip(counters).map(|(quota, counter)| {
        let count = counter.and_then(|counter| counter.as_counter()).unwrap_or(0);
        (quota.period(), quota.left(now, count))
    });
    Ok(Left {
        rate: account.rate_left(shared.clock.instant()),
        quotas: quotas.collect(),
    })
}
