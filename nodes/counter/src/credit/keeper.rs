//! Drops lines of ledgers that are older than `credit.ledger_kept`, oldest first.
//!
//! Looks every minute at all accounts that ever had credit. Invariant: an entry goes when its newest line is too old, and
//! none goes before the ones ahead of it. Positions and numbers of lines stay.
//!
//! # Limits
//! Bounded by time, not by number: some 60 octets a line, two or three lines a message.

use crate::turns::pause_or_fail;
use smsgw_config::{ConfigHandle, CreditSection};
use smsgw_message::{ClientId, Clock, CreditAccounts, LedgerPage, Record, Timestamp, names};
use smsgw_queue::{CommitErrorKind, Engine, EngineError, Entry, LogName, Position, StateKey, Step, StepId};
use smsgw_runtime::{ChildContext, ChildError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The reader of a ledger behind which it is trimmed.
const KEEPER: &str = "keeper";
/// How often ledgers are looked at.
const EVERY: Duration = Duration::from_secs(60);
/// Entries of one step.
const BATCH: usize = 64;

pub(super) async fn run(
    ctx: ChildContext,
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
) -> Result<(), ChildError> {
    ctx.ready();
    loop {
        let looked = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            looked = look(&*engine, &config, clock.now()) => looked,
        };
        if let Err(error) = looked
            && pause_or_fail(&ctx, error).await?
        {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(engine: &dyn Engine, config: &ConfigHandle, now: Timestamp) -> Result<(), CommitErrorKind> {
    let found = engine
        .get(vec![StateKey::from(names::CREDIT)])
        .await
        .map_err(CommitErrorKind::Engine)?;
    let Some(there) = found.into_iter().flatten().next() else {
        return Ok(());
    };
    let accounts = CreditAccounts::from_record(&there.value)
        .map_err(|error| EngineError::Read(format!("the list of accounts with credit: {error}")))
        .map_err(CommitErrorKind::Engine)?;
    let clients: BTreeSet<ClientId> = accounts.accounts.into_iter().map(|(client, _)| client).collect();
    let config = config.config();
    for client in clients {
        let kept = match config.client.get(&client) {
            Some(account) => account.credit.ledger_kept,
            None => CreditSection::default().ledger_kept,
        };
        while trim(engine, &client, now.before(kept)).await? {}
    }
    Ok(())
}

/// Drops what is older, at most a batch. True: there may be more.
async fn trim(engine: &dyn Engine, client: &ClientId, before: Timestamp) -> Result<bool, CommitErrorKind> {
    let log = LogName::from(names::ledger(client));
    let from = engine
        .position(&log, KEEPER)
        .await
        .map_err(CommitErrorKind::Engine)?;
    let entries = engine
        .read(&log, from, BATCH, Duration::ZERO)
        .await
        .map_err(CommitErrorKind::Engine)?;
    let old = entries.iter().take_while(|entry| is_older(entry, before)).last();
    let Some(to) = old.map(|entry| entry.position.next()) else {
        return Ok(false);
    };
    Step::new(step_id(client, to))
        .advance(log, KEEPER, to)
        .commit(engine)
        .await
        .map_err(|error| error.kind)?;
    Ok(entries.len() == BATCH && entries.last().is_some_and(|last| last.position.next() == to))
}

/// What cannot be decoded is in nobody's way and goes.
fn is_older(entry: &Entry, before: Timestamp) -> bool {
    LedgerPage::from_record(&entry.record)
        .map_or(true, |page| page.lines.last().is_none_or(|line| line.at < before))
}

/// FNV-1a of the client, and the position: a step that only advances, so that one done twice does no harm.
fn step_id(client: &ClientId, to: Position) -> StepId {
    let hash = client
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
    let [_, _, _, a, b, c, d, e] = hash.to_be_bytes();
    let mut id = [0; 16];
    let (head, tail) = id.split_at_mut(8);
    head.copy_from_slice(&[b'c', b'r', b'k', a, b, c, d, e]);
    tail.copy_from_slice(&to.0.to_be_bytes());
    StepId::from_bytes(id)
}
