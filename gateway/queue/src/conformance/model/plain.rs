//! The plain model: lists that are searched from end to end. A step works on a copy that is thrown away when it fails.

mod world;

use super::{READERS, stale};
use crate::index::Reason;
use crate::{
    Browsed, CommitErrorKind, Cost, Delivery, Entry, Expected, Expiry, Flows, Full, HoldScope, Lane, Lease,
    Op, Place, Position, QueueName, RecordId, Step, StepId, Versioned,
};
use bytes::Bytes;
use smsgw_message::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Clone)]
struct Record {
    queue: QueueName,
    lane: Lane,
    octets: Bytes,
    place: Place,
    reason: Reason,
    attempt: u32,
    marked: bool,
    published_at: Timestamp,
    due: Option<Timestamp>,
    since: Option<Timestamp>,
    /// Learned from the engine.
    id: Option<RecordId>,
    /// Number of the delivery that has it.
    lease: Option<usize>,
}

/// The version of a value: as the engine said, or that of a step of the call that is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Version {
    Known(u64),
    Step(usize),
}

#[derive(Debug, Clone)]
struct Value {
    octets: Bytes,
    version: Version,
    written_by: StepId,
    expiry: Expiry,
}

/// What a step wrote of state.
#[derive(Debug)]
pub(super) enum Written {
    New,
    /// Nothing: a compare found what this step had written before.
    Before(Version),
    Nothing,
}

#[derive(Debug, Clone)]
struct World {
    records: Vec<Record>,
    log: Vec<Bytes>,
    /// Position of the oldest entry that is kept.
    oldest: u64,
    readers: BTreeMap<&'static str, u64>,
    state: BTreeMap<String, Value>,
    holds: BTreeSet<(String, HoldScope)>,
    /// What waits at most in all queues, and in each of them.
    most: [usize; 2],
    /// Counters after each add of the step that is applied.
    sums: Vec<i64>,
    /// A compare of the step that is applied found that it was done before.
    done_before: bool,
    now: Timestamp,
}

pub(super) struct Plain {
    world: World,
    unique: u64,
    versions: BTreeMap<usize, u64>,
}

impl Plain {
    pub(super) fn new(now: Timestamp) -> Self {
        let world = World {
            records: Vec::new(),
            log: Vec::new(),
            oldest: 0,
            readers: BTreeMap::new(),
            state: BTreeMap::new(),
            holds: BTreeSet::new(),
            most: [usize::MAX; 2],
            sums: Vec::new(),
            done_before: false,
            now,
        };
        Self {
            world,
            unique: 0,
            versions: BTreeMap::new(),
        }
    }

    /// A text that was never used.
    pub(super) fn unique(&mut self) -> String {
        self.unique += 1;
        format!("unique {}", self.unique)
    }

    pub(super) fn any_record(&self, n: usize) -> Option<(QueueName, RecordId)> {
        let records = &self.world.records;
        let record = records.get(n.checked_rem(records.len())?)?;
        Some((record.queue.clone(), record.id?))
    }

    pub(super) fn version(&self, key: &str) -> Option<u64> {
        self.world.get(key).map(|value| self.resolve(value.version))
    }

    pub(super) fn resolve(&self, version: Version) -> u64 {
        match version {
            Version::Known(version) => version,
            Version::Step(number) => self.versions[&number],
        }
    }

    /// The version that the engine gave to a step of the call.
    pub(super) fn learn_version(&mut self, number: usize, version: u64) {
        self.versions.insert(number, version);
    }

    /// The call is over: every version is known.
    pub(super) fn resolve_versions(&mut self) {
        for value in self.world.state.values_mut() {
            if let Version::Step(number) = value.version {
                value.version = Version::Known(self.versions[&number]);
            }
        }
        self.versions.clear();
    }

    pub(super) fn commit(
        &mut self,
        step: &Step,
        number: usize,
        leases: &[Option<Lease>],
    ) -> Result<(Written, Vec<i64>), CommitErrorKind> {
        let mut world = self.world.clone();
        world.sums.clear();
        world.done_before = false;
        world.admit(step)?;
        let mut written = Written::Nothing;
        for op in step.ops() {
            match (world.apply(op, step.id(), number, leases)?, &written) {
                (Written::New, _) => written = Written::New,
                (Written::Before(version), Written::Nothing | Written::Before(_)) => {
                    written = Written::Before(version);
                }
                (Written::Before(_), Written::New) | (Written::Nothing, _) => {}
            }
        }
        world.oldest = world.readers.values().min().copied().unwrap_or(0);
        let sums = world.sums.clone();
        self.world = world;
        Ok((written, sums))
    }

    pub(super) fn bound(&mut self, most: [usize; 2]) {
        self.world.most = most;
    }

    pub(super) fn most(&self) -> [usize; 2] {
        self.world.most
    }

    pub(super) fn holds(&self, queue: &str) -> Vec<HoldScope> {
        let holds = self.world.holds.iter().filter(|(held, _)| held == queue);
        holds.map(|(_, scope)| scope.clone()).collect()
    }

    pub(super) fn log_end(&self) -> Position {
        Position(u64::try_from(self.world.log.len()).unwrap())
    }

    pub(super) fn could_take(&self, queue: &str, flows: &Flows) -> usize {
        self.world
            .ready(queue)
            .filter(|record| open(flows, record))
            .count()
    }

    pub(super) fn lease(&mut self, delivery: &Delivery, flows: &Flows, number: usize) {
        let oldest = self
            .world
            .ready(delivery.queue().as_str())
            .filter(|record| open(flows, record) && record.lane == *delivery.lane())
            .min_by_key(|record| record.id)
            .and_then(|record| record.id);
        assert_eq!(oldest, Some(delivery.id()), "the oldest record of an open lane");
        let record = self
            .world
            .records
            .iter_mut()
            .find(|record| record.id == oldest)
            .unwrap();
        assert_eq!(
            (
                delivery.attempt(),
                delivery.leased_before_crash(),
                delivery.record(),
                delivery.published_at()
            ),
            (record.attempt, record.marked, &record.octets, record.published_at)
        );
        record.place = Place::InFlight;
        record.lease = Some(number);
    }

    pub(super) fn abandon(&mut self, number: usize) {
        for record in &mut self.world.records {
            if record.lease == Some(number) {
                record.back();
            }
        }
    }

    pub(super) fn crash(&mut self) {
        for record in &mut self.world.records {
            if record.lease.is_some() {
                record.back();
            }
        }
    }

    /// Time goes on: what is due is done.
    pub(super) fn pass(&mut self, now: Timestamp) {
        let world = &mut self.world;
        world.now = now;
        for record in &mut world.records {
            if record.due.is_some_and(|due| due <= now) {
                record.due = None;
                record.place = Place::Ready;
                record.reason = Reason::None;
            }
        }
        world.records.retain(|record| {
            let kept = matches!(record.place, Place::DeadLetter | Place::Corrupt);
            !(kept && record.since.is_some_and(|since| since.after(RETENTION) <= now))
        });
        world
            .state
            .retain(|_, value| !matches!(value.expiry, Expiry::At(at) if at <= now));
        let mut rung = Vec::new();
        for (key, value) in &mut world.state {
            if matches!(value.expiry, Expiry::Alarm(at, ..) if at <= now)
                && let Expiry::Alarm(_, queue, lane) = std::mem::replace(&mut value.expiry, Expiry::Owner)
            {
                rung.push((queue, lane, Bytes::copy_from_slice(key.as_bytes())));
            }
        }
        for (queue, lane, octets) in rung {
            world.enter(&queue, &lane, &octets);
        }
    }

    /// New records of a queue get the numbers that the engine gave them.
    pub(super) fn learn_ids(
        &mut self,
        queue: &str,
        found: &[Browsed],
        last: Option<RecordId>,
    ) -> Option<RecordId> {
        for seen in found {
            if self.world.records.iter().any(|record| record.id == Some(seen.id)) {
                continue;
            }
            let record = self.world.records.iter_mut().find(|record| {
                record.id.is_none() && record.queue.as_str() == queue && record.octets == seen.record
            });
            record
                .unwrap_or_else(|| panic!("{queue} has {seen:?}, which nobody published"))
                .id = Some(seen.id);
            assert!(Some(seen.id) > last, "numbers of records grow");
        }
        last
    }

    pub(super) fn newest(&self) -> Option<RecordId> {
        self.world.records.iter().filter_map(|record| record.id).max()
    }

    pub(super) fn compare_queue(&self, queue: &str, mut found: Vec<Browsed>) {
        found.sort_by_key(|seen| seen.id);
        let mut expected: Vec<_> = self
            .world
            .records
            .iter()
            .filter(|record| record.queue.as_str() == queue)
            .map(|record| Browsed {
                id: record.id.unwrap_or_else(|| panic!("{queue} lost {record:?}")),
                lane: record.lane.clone(),
                place: record.place,
                reason: record.reason.as_str(),
                attempt: record.attempt,
                leased_before: record.marked,
                published_at: record.published_at,
                due: record.due,
                since: record.since,
                size: u64::try_from(record.octets.len()).unwrap(),
                record: record.octets.clone(),
                readable: true,
            })
            .collect();
        expected.sort_by_key(|seen| seen.id);
        assert_eq!(found, expected, "records of {queue}");
    }

    pub(super) fn queues(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .world
            .records
            .iter()
            .map(|record| record.queue.to_string())
            .chain(self.world.holds.iter().map(|(queue, _)| queue.clone()))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn compare_log(&self, found: &[Entry]) {
        let expected: Vec<_> = (0..)
            .map(Position)
            .zip(&self.world.log)
            .skip(usize::try_from(self.world.oldest).unwrap())
            .map(|(position, record)| Entry {
                position,
                record: record.clone(),
            })
            .collect();
        assert_eq!(found, expected);
    }

    pub(super) fn readers(&self) -> Vec<(&'static str, Position)> {
        READERS
            .into_iter()
            .filter_map(|reader| Some((reader, Position(*self.world.readers.get(reader)?))))
            .collect()
    }

    pub(super) fn compare_state(&self, key: &str, found: Option<Versioned>) {
        let expected = self.world.get(key).map(|value| Versioned {
            value: value.octets.clone(),
            version: self.resolve(value.version),
            written_by: value.written_by,
        });
        assert_eq!(found, expected, "value of {key}");
    }
}

fn open(flows: &Flows, record: &Record) -> bool {
    match flows {
        Flows::All => true,
        Flows::Only(only) => record.lane.flow == *only,
        Flows::Except(out) => !out.contains(&record.lane.flow),
    }
}

impl Record {
    /// Its lease is lost.
    fn back(&mut self) {
        self.lease = None;
        self.place = Place::Ready;
        self.marked = true;
    }

    fn aside(&mut self, reason: Reason, now: Timestamp) {
        self.place = reason.place();
        self.reason = reason;
        self.since = Some(now);
    }
}
