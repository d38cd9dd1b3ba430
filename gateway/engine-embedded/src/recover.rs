//! What the engine finds when it starts: one scan of the records builds the queues.
//!
//! Invariants: nothing that was acknowledged is missing, nothing that was settled is back; every number and version
//! continues above all that were ever handed out. What cannot be understood ends the start with an error, it is not
//! skipped.

use crate::config::{EmbeddedConfig, OpenErrorKind};
use crate::families::Families;
use crate::format::{
    FORMAT, LogMeta, META_FORMAT, META_NEXT, META_NUMBERS, META_OPENED, Move, RECORDS_HEAD, Reader,
    STATE_HEAD, block_key, decode_block_key, decode_expiry_key, decode_hold, decode_move, decode_record,
    numbered_key,
};
use crate::leases::{Found, Leases};
use crate::lock;
use crate::logs::{LogState, Logs};
use crate::queues::{QueueCell, Queues};
use crate::store::Store;
use fjall::PersistMode;
use rustc_hash::{FxHashMap, FxHashSet};
use smsgw_message::Timestamp;
use smsgw_queue::index::{At, NewRecord, Stored};
use smsgw_queue::{Amount, Flow, Lane, LogName, QueueName, RecordId};
use std::sync::Arc;
use tracing::{info, warn};

/// What the committer continues with.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) queues: Queues,
    pub(crate) logs: Logs,
    pub(crate) leases: Leases,
    pub(crate) next_record: u64,
    pub(crate) next_version: u64,
    pub(crate) next_number: u32,
    pub(crate) next_generation: u32,
    /// Records that have an entry in `moves`.
    pub(crate) moved: FxHashSet<u64>,
    /// Those of them that are elsewhere than their header says.
    pub(crate) elsewhere: FxHashSet<u64>,
    /// What waits in all queues.
    pub(crate) waiting: Amount,
    /// Oldest block of each log, by number.
    pub(crate) floors: FxHashMap<u32, u64>,
    pub(crate) next_due: Option<Timestamp>,
    pub(crate) families: Families,
}

fn head(keyspace: &fjall::Keyspace, key: &[u8]) -> Result<Option<u64>, OpenErrorKind> {
    let entry = keyspace.get(key).map_err(OpenErrorKind::Store)?;
    let number = entry.map(|entry| Reader(&entry).u64()).transpose();
    number.map_err(|broken| OpenErrorKind::damaged("a high-water mark", broken.0))
}

pub(crate) fn recover(
    store: &Store,
    config: &EmbeddedConfig,
    now: Timestamp,
) -> Result<Recovered, OpenErrorKind> {
    let damaged = |what: &'static str, why: &str| OpenErrorKind::damaged(what, why);
    let store_error = OpenErrorKind::Store;

    let epoch = head(&store.meta, META_OPENED)?.unwrap_or(0).saturating_add(1);
    let next_record = head(&store.meta, META_NEXT)?;
    let next_record = next_record.max(head(&store.records, &RECORDS_HEAD)?).unwrap_or(1);
    let generations = crate::generations::find(store)?;
    let next_record = next_record.max(generations.next_record());
    let next_version = head(&store.state, &STATE_HEAD)?.unwrap_or(1);
    let numbers = store.meta.get(META_NUMBERS).map_err(store_error)?;
    let next_number = numbers.map_or(Ok(1), |entry| Reader(&entry).u32());
    let next_number = next_number.map_err(|broken| damaged("the numbers of queues", broken.0))?;

    let mut found = Found::read(&config.dir)?;
    if !found.complete && next_record > 1 {
        warn!("the machine stopped without notice: every record counts as possibly leased");
        found.distrust(epoch.checked_shl(40).unwrap_or(u64::MAX - 1));
    }

    let mut moves: FxHashMap<u64, Move> = FxHashMap::default();
    for item in store.moves.range(..RECORDS_HEAD) {
        let (key, entry) = item.into_inner().map_err(store_error)?;
        let id = Reader(&key).u64().map_err(|broken| damaged("a move", broken.0))?;
        moves.insert(
            id,
            decode_move(&entry).map_err(|broken| damaged("a move", broken.0))?,
        );
    }

    let names = queue_names(store)?;
    let queues = Queues::default();
    let mut cells: FxHashMap<u32, Arc<QueueCell>> = FxHashMap::default();
    let mut flows: FxHashMap<Box<str>, Flow> = FxHashMap::default();
    let mut moved = FxHashSet::default();
    let mut elsewhere = FxHashSet::default();
    hold(store, &queues)?;
    let mut live = FxHashSet::default();
    let mut count = 0u64;
    generations.each_record(store, next_record, &mut |id, entry| {
        let (header, octets) = decode_record(entry).map_err(|broken| damaged("a record", broken.0))?;
        let change = moves.remove(&id);
        let void = change.as_ref().map(|change| change.void);
        let (at, attempt, home) = match change {
            Some(change) => {
                moved.insert(id);
                (change.at, change.attempt, change.home)
            }
            None => (header.at, 1, None),
        };
        let (queue, class, flow) = match &home {
            Some(home) => {
                elsewhere.insert(id);
                (home.queue, home.lane.class, home.lane.flow.as_str())
            }
            None => (header.queue, header.class, header.flow),
        };
        let cell = match cells.get(&queue) {
            Some(cell) => cell,
            None => {
                let name = names.get(&queue);
                let name = name.ok_or_else(|| damaged("a record", "its queue has no name"))?;
                let cell = queues.cell(name);
                cell.set_number(queue);
                cells.entry(queue).or_insert(cell)
            }
        };
        let flow = match flows.get(flow) {
            Some(flow) => flow.clone(),
            None => flows.entry(flow.into()).or_insert(Flow::from(flow)).clone(),
        };
        // What stands aside was not out, even where the marks are not complete; but where it says that they count.
        let leased_before = found.leased(id, void) && (!matches!(at, At::Aside { .. }) || void == Some(0));
        if leased_before {
            live.insert(id);
        }
        let record = NewRecord {
            id: RecordId::from_u64(id),
            lane: Lane::new(class, flow),
            published_at: header.published_at,
            size: octets.len(),
        };
        lock(&cell.index).restore(
            Stored {
                record,
                at,
                attempt,
                leased_before,
            },
            now,
        );
        count += 1;
        Ok(())
    })?;
    if !moves.is_empty() {
        // A record and its move are deleted in one batch.
        return Err(OpenErrorKind::damaged(
            "the moves",
            format!("{} belong to no record", moves.len()),
        ));
    }

    let (logs, floors) = recover_logs(store)?;
    let first_due = store
        .first_due(Timestamp::from_millis(i64::MIN))
        .map_err(|why| damaged("an expiry", &why))?;
    let next_due = first_due
        .map(|key| decode_expiry_key(&key).map(|(at, _, _)| at))
        .transpose();
    let next_due = next_due.map_err(|broken| damaged("an expiry", broken.0))?;

    // The epoch counts before the first mark of it is written.
    let mut batch = store.db.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(&store.meta, META_FORMAT, FORMAT.to_be_bytes());
    batch.insert(&store.meta, META_OPENED, epoch.to_be_bytes());
    batch.insert(&store.meta, META_NEXT, next_record.to_be_bytes());
    let next_generation = generations.go_on(store, next_record, now, &mut batch)?;
    // Queues without records lose their number; whoever publishes to them gets a new one.
    for number in names.keys().filter(|number| !cells.contains_key(number)) {
        batch.remove(&store.meta, numbered_key(b'q', *number));
    }
    batch.commit().map_err(store_error)?;

    info!(
        records = count,
        queues = cells.len(),
        leased_before = live.len(),
        moved = moved.len(),
        logs = floors.len(),
        "engine recovered"
    );
    let waiting = cells
        .values()
        .map(|cell| lock(&cell.index).waits())
        .fold(Amount::default(), Amount::plus);
    let leases = Leases::start(&config.dir, epoch, found, live)?;
    Ok(Recovered {
        queues,
        logs,
        leases,
        next_record,
        next_version,
        next_number,
        next_generation,
        moved,
        elsewhere,
        waiting,
        floors,
        next_due,
        families: Families::of(store)?,
    })
}

/// Holds come first: a held flow never stands in a rotation.
fn hold(store: &Store, queues: &Queues) -> Result<(), OpenErrorKind> {
    for item in store.meta.prefix(b"h") {
        let (key, entry) = item.into_inner().map_err(OpenErrorKind::Store)?;
        let (queue, held) =
            decode_hold(&key, &entry).map_err(|broken| OpenErrorKind::damaged("a hold", broken.0))?;
        warn!(%queue, flow = held.scope.flow().map(Flow::as_str), since = %held.since, "still held");
        lock(&queues.cell(&queue).index).hold_all(held.scope, held.reason, held.since);
    }
    Ok(())
}

fn queue_names(store: &Store) -> Result<FxHashMap<u32, QueueName>, OpenErrorKind> {
    let mut names = FxHashMap::default();
    for item in store.meta.prefix(b"q") {
        let (key, name) = item.into_inner().map_err(OpenErrorKind::Store)?;
        let number = key.get(1..).map(|number| Reader(number).u32());
        let name = std::str::from_utf8(&name).ok();
        let (Some(Ok(number)), Some(name)) = (number, name) else {
            return Err(OpenErrorKind::damaged(
                "the names of queues",
                "an entry is broken",
            ));
        };
        names.insert(number, QueueName::from(name));
    }
    Ok(names)
}

fn recover_logs(store: &Store) -> Result<(Logs, FxHashMap<u32, u64>), OpenErrorKind> {
    let damaged = |broken: crate::format::Broken| OpenErrorKind::damaged("a log", broken.0);
    let logs = Logs::default();
    let mut floors = FxHashMap::default();
    for item in store.meta.prefix(b"l") {
        let (key, entry) = item.into_inner().map_err(OpenErrorKind::Store)?;
        let number = Reader(key.get(1..).unwrap_or_default()).u32().map_err(damaged)?;
        let log = LogMeta::decode(&entry).map_err(damaged)?;
        let mut blocks = store
            .logs
            .range(block_key(number, 0)..block_key(number, log.next));
        let floor = match blocks.next() {
            Some(block) => {
                decode_block_key(&block.key().map_err(OpenErrorKind::Store)?)
                    .map_err(damaged)?
                    .1
            }
            None => log.next,
        };
        floors.insert(number, floor);
        let state = LogState::restored(log.first, log.next, log.readers.into_iter().collect());
        logs.begin(LogName::from(log.name), number, state);
    }
    Ok((logs, floors))
}
