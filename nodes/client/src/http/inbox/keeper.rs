//! Keeps inboxes within their bounds: what is too old or too much is dropped, oldest first, and counted.
//!
//! Looks every second. Knows every account that is or was configured (`inboxes`), so that what an account leaves behind
//! goes by the same rules and then all at once. Invariant: an inbox of an account that is gone is empty after
//! `inbox.expiry` at the latest, and then nothing is left of it but the numbers of its log.
//!
//! # Limits
//! Between two looks an inbox may hold more than its bound.

use super::state::{Head, Inbox, Known, Refused, head_key, known_key, log};
use crate::metric;
use crate::shared::Shared;
use smsgw_config::Config;
use smsgw_message::{ClientId, Down, Record, Timestamp};
use smsgw_queue::{CommitErrorKind, Engine, EngineError, Entry, Expected, Expiry, Position, Step, StepId};
use smsgw_runtime::{ChildContext, ChildError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// How often inboxes are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Events that are looked at for their age in one step.
const BATCH: usize = 256;

/// Looks after all inboxes until told to drain.
pub(crate) async fn run(ctx: ChildContext, shared: Arc<Shared>) -> Result<(), ChildError> {
    metric::INBOX_DROPPED_TOTAL.register();
    ctx.ready();
    loop {
        match look(&shared).await {
            Ok(()) => {}
            Err(EngineError::NoSpace) => warn!("disk is full, inboxes are not trimmed"),
            Err(EngineError::Closed) if ctx.is_draining() => return Ok(()),
            Err(error @ EngineError::Poisoned(_)) => return Err(ChildError::fatal(error)),
            Err(error @ (EngineError::Closed | EngineError::Read(_))) => return Err(error.into()),
        }
        tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(shared: &Shared) -> Result<(), EngineError> {
    let engine = shared.engine.as_ref();
    let tables = shared.tables.current();
    let config = &tables.snapshot.config;
    let now = shared.clock.now();
    let (clients, expected) = known(engine).await?;
    let mut all: BTreeSet<ClientId> = clients.iter().cloned().collect();
    all.extend(config.client.keys().cloned());
    // Before anything can wait for it: whoever is in the file is known for as long as something may be left of him.
    if all.len() > clients.len() {
        remember(engine, &all, expected, now).await?;
        return Ok(());
    }
    let mut gone = BTreeSet::new();
    for client in &all {
        let left = trim(shared, config, client, now).await?;
        if let Some(account) = config.client.get(client) {
            let waits = i64::try_from(left).unwrap_or(i64::MAX);
            if left > 0 || account.callback.is_none() {
                metric::INBOX_EVENTS.with(&[client.as_str()]).set(waits);
            }
        } else if left == 0 {
            gone.insert(client.clone());
        }
    }
    if !gone.is_empty() {
        for client in &gone {
            forget(engine, client, now).await?;
        }
        let rest: BTreeSet<ClientId> = all.difference(&gone).cloned().collect();
        remember(engine, &rest, expected, now).await?;
    }
    Ok(())
}

async fn known(engine: &dyn Engine) -> Result<(Vec<ClientId>, Expected), EngineError> {
    let there = engine.get(vec![known_key()]).await?.into_iter().next().flatten();
    Ok(match there {
        None => (Vec::new(), Expected::Absent),
        Some(there) => {
            let known = Known::from_record(&there.value).unwrap_or_else(|error| {
                error!(%error, "the list of inboxes could not be decoded and begins anew");
                Known::default()
            });
            (known.clients, Expected::Version(there.version))
        }
    })
}

async fn remember(
    engine: &dyn Engine,
    all: &BTreeSet<ClientId>,
    expected: Expected,
    now: Timestamp,
) -> Result<(), EngineError> {
    let known = Known {
        clients: all.iter().cloned().collect(),
    };
    let id = smsgw_message::MessageId::from_parts(now, rand::random());
    let step = Step::new(StepId::accept(id)).compare_and_put(
        known_key(),
        expected,
        known.to_record(),
        Expiry::Owner,
    );
    commit(engine, step).await.map(drop)
}

/// Nothing waits for an account that is gone: its head goes.
async fn forget(engine: &dyn Engine, client: &ClientId, now: Timestamp) -> Result<(), EngineError> {
    let id = smsgw_message::MessageId::from_parts(now, rand::random());
    let step = Step::new(StepId::accept(id)).delete(head_key(client), Expected::Any);
    if commit(engine, step).await? {
        info!(%client, "inbox of an account that is gone is forgotten");
    }
    Ok(())
}

/// Whether it went through; not, when somebody else was faster: the next look sees what is left to do.
async fn commit(engine: &dyn Engine, step: Step) -> Result<bool, EngineError> {
    match step
        .commit(engine)
        .await
        .map_err(|error| Refused::from(error.kind))
    {
        Ok(_) => Ok(true),
        Err(Refused::Moved) => Ok(false),
        Err(Refused::Engine(CommitErrorKind::Engine(error))) => Err(error),
        Err(Refused::Engine(kind)) => {
            error!(error = %kind, "a step of an inbox was refused");
            Ok(false)
        }
    }
}

/// Drops what is too much and what is too old; returns how many events are left.
async fn trim(
    shared: &Shared,
    config: &Config,
    client: &ClientId,
    now: Timestamp,
) -> Result<u64, EngineError> {
    let engine = shared.engine.as_ref();
    // Most accounts have a callback or binds, and nothing in their inbox: no state is read for them.
    if engine.log_end(&log(client)).0 == 0 {
        return Ok(0);
    }
    let account = config.client.get(client);
    let most = account
        .and_then(|account| account.inbox_max_events)
        .unwrap_or(config.inbox.max_events);
    let expiry = account
        .and_then(|account| account.inbox_expiry)
        .unwrap_or(config.inbox.expiry);
    loop {
        let inbox = Inbox::read(engine, client).await?;
        let over = inbox.waits().saturating_sub(u64::from(most));
        let (next, reason) = if over > 0 {
            let first = inbox.head.first.saturating_add(over);
            let overflowed = inbox.head.overflowed.saturating_add(over);
            (
                Head {
                    first,
                    overflowed,
                    ..inbox.head
                },
                "overflow",
            )
        } else {
            let old = too_old(engine, client, inbox.head.first, now.before(expiry)).await?;
            let first = inbox.head.first.saturating_add(old);
            let expired = inbox.head.expired.saturating_add(old);
            (
                Head {
                    first,
                    expired,
                    ..inbox.head
                },
                "expired",
            )
        };
        let dropped = next.first.saturating_sub(inbox.head.first);
        if dropped == 0 {
            return Ok(inbox.waits());
        }
        if commit(engine, inbox.advance(client, next)).await? {
            metric::INBOX_DROPPED_TOTAL
                .with(&[client.as_str(), reason])
                .inc_by(dropped);
            warn!(%client, dropped, reason, "events of an inbox were dropped");
        }
    }
}

/// How many events from a position on are older than they may be; looks at one batch.
async fn too_old(
    engine: &dyn Engine,
    client: &ClientId,
    first: u64,
    oldest: Timestamp,
) -> Result<u64, EngineError> {
    // What cannot be read is of no use to anybody, however old it is.
    let is_old = |entry: &&Entry| Down::from_record(&entry.record).map_or(true, |down| down.at <= oldest);
    let mut old = 0;
    // Mostly the oldest one is young enough, and nothing else is read.
    for most in [1, BATCH] {
        let log = log(client);
        let entries = engine.read(&log, Position(first), most, Duration::ZERO).await?;
        old = entries.iter().take_while(is_old).count();
        if old == 0 {
            break;
        }
    }
    Ok(u64::try_from(old).unwrap_or(u64::MAX))
}
