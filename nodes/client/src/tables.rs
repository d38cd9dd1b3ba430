//! What admission looks things up in: keys, routes and rates, built once for each epoch of the configuration.
//!
//! Invariant: a request sees one epoch from its first check to its answer. A client whose rate did not change keeps
//! what it has used of it across a reload.

use crate::admission::bucket::Bucket;
use crate::admission::{Admitted, Refused, Why};
use crate::http::auth::Keys;
use arc_swap::ArcSwap;
use smsgw_config::{ConfigHandle, Snapshot};
use smsgw_message::{ClientId, MtMessage};
use smsgw_routing::{RouteTable, decide_mt};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::error;

/// One epoch's tables.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) keys: Keys,
    routes: RouteTable,
    admission: HashMap<ClientId, Admission>,
}

#[derive(Clone)]
struct Admission {
    rate: f64,
    burst: u32,
    bucket: Arc<Mutex<Bucket>>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admission({}/s, burst {})", self.rate, self.burst)
    }
}

impl Tables {
    fn build(snapshot: Arc<Snapshot>, before: Option<&Self>) -> Self {
        let config = &snapshot.config;
        let admission = config.client.iter().filter_map(|(id, client)| {
            let burst = client.burst.unwrap_or_else(|| one_second(client.rate));
            let bucket = Bucket::try_new(client.rate, burst)?;
            let kept = before
                .and_then(|before| before.admission.get(id))
                .filter(|kept| kept.rate.to_bits() == client.rate.to_bits() && kept.burst == burst);
            let admission = kept.cloned().unwrap_or_else(|| Admission {
                rate: client.rate,
                burst,
                bucket: Arc::new(Mutex::new(bucket)),
            });
            Some((id.clone(), admission))
        });
        Self {
            keys: Keys::of(config),
            routes: config.route_table().unwrap_or_else(|error| {
                // Validation refuses such a file; if one comes through, no message may take a wrong way.
                error!(%error, "routes could not be built: every destination is refused until the next reload");
                RouteTable::default()
            }),
            admission: admission.collect(),
            snapshot: Arc::clone(&snapshot),
        }
    }

    /// Judges a message and takes what it costs from the client's rate.
    pub(crate) fn admit(&self, message: &mut MtMessage, now: Instant) -> Result<Admitted, Refused> {
        if decide_mt(&self.routes, &message.client, message.class, &message.to).is_err() {
            return Err(Refused {
                why: Why::NoRoute,
                detail: "no route leads to this destination".to_owned(),
                retry_after: None,
            });
        }
        self.within_rate(&message.client, now).map_err(|wait| Refused {
            why: Why::RateLimited,
            detail: "over the account's rate".to_owned(),
            retry_after: Some(wait),
        })?;
        Ok(Admitted::default())
    }

    fn within_rate(&self, client: &ClientId, now: Instant) -> Result<(), Duration> {
        let Some(admission) = self.admission.get(client) else {
            return Ok(());
        };
        // A bucket is one time: whatever a panic left in it is still a bucket.
        let mut bucket = admission.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(now)
    }
}

/// The parts that fit in one second at this rate, at least one.
fn one_second(rate: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "configuration keeps it in 0..=1e6"
    )]
    let whole = rate.ceil() as u32;
    whole.max(1)
}

/// The tables of the epoch in force.
#[derive(Debug)]
pub(crate) struct TablesHandle {
    config: ConfigHandle,
    tables: ArcSwap<Tables>,
    /// Held while tables are built, so that an epoch is built once and never replaces a later one.
    building: Mutex<()>,
}

impl TablesHandle {
    pub(crate) fn new(config: ConfigHandle) -> Self {
        let tables = ArcSwap::from_pointee(Tables::build(config.current(), None));
        Self {
            config,
            tables,
            building: Mutex::new(()),
        }
    }

    /// The tables now; built anew by whoever first sees a new epoch.
    pub(crate) fn current(&self) -> Arc<Tables> {
        let tables = self.tables.load_full();
        if tables.snapshot.epoch == self.config.current().epoch {
            return tables;
        }
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = self.tables.load_full();
        let snapshot = self.config.current();
        if tables.snapshot.epoch == snapshot.epoch {
            return tables;
        }
        let fresh = Arc::new(Tables::build(snapshot, Some(&tables)));
        self.tables.store(Arc::clone(&fresh));
        fresh
    }
}
