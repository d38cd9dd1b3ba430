//! The plain model: lists that are searched from end to end. A step works on a copy that is thrown away when it fails.

use super::{READERS, stale};
use crate::index::Reason;
use crate::{
    Browsed, CommitErrorKind, Cost, Delivery, Entry, Expected, Expiry, Flows, Lane, Lease, Op, Place,
    Position, QueueName, RecordId, Step, StepId, Versioned,
};
use bytes::Bytes;
use smsgw_message::Timestamp;
use std::collections::BTreeMap;
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
    ) -> Result<Written, CommitErrorKind> {
        let mut world = self.world.clone();
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
        self.world = world;
        Ok(written)
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
                published_at: record.published_at,
                due: record.due,
                record: record.octets.clone(),
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

impl World {
    fn ready(&self, queue: &str) -> impl Iterator<Item = &Record> {
        self.records
            .iter()
            .filter(move |record| record.place == Place::Ready && record.queue.as_str() == queue)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.state
            .get(key)
            .filter(|value| !matches!(value.expiry, Expiry::At(at) if at <= self.now))
    }

    fn enter(&mut self, queue: &QueueName, lane: &Lane, octets: &Bytes) -> &mut Record {
        self.records.push(Record {
            queue: queue.clone(),
            lane: lane.clone(),
            octets: octets.clone(),
            place: Place::Ready,
            reason: Reason::None,
            attempt: 1,
            marked: false,
            published_at: self.now,
            due: None,
            since: None,
            id: None,
            lease: None,
        });
        self.records.last_mut().unwrap()
    }

    /// The record of a good lease. A step says what becomes of it: lease and mark go.
    fn leased(&mut self, lease: &Lease, leases: &[Option<Lease>]) -> Result<&mut Record, CommitErrorKind> {
        let number = leases.iter().position(|known| known.as_ref() == Some(lease));
        let record = self
            .records
            .iter_mut()
            .find(|record| record.lease.is_some() && record.lease == number);
        let record = record.ok_or_else(|| stale(&lease.queue, lease.record))?;
        record.lease = None;
        record.marked = false;
        Ok(record)
    }

    fn aside(&mut self, queue: &QueueName, id: RecordId, places: &[Place]) -> Result<usize, CommitErrorKind> {
        let fits = |record: &Record| {
            record.queue == *queue && record.id == Some(id) && places.contains(&record.place)
        };
        let none = || CommitErrorKind::NoRecord {
            queue: queue.clone(),
            record: id.as_u64(),
        };
        self.records.iter().position(fits).ok_or_else(none)
    }

    fn write(
        &mut self,
        key: &str,
        octets: Bytes,
        version: Version,
        written_by: StepId,
        expiry: &Expiry,
    ) -> Written {
        self.state.insert(
            key.to_owned(),
            Value {
                octets,
                version,
                written_by,
                expiry: expiry.clone(),
            },
        );
        Written::New
    }

    fn as_expected(&self, key: &str, expected: Expected) -> bool {
        match (expected, self.get(key)) {
            (Expected::Any, _) | (Expected::Absent, None) => true,
            (Expected::Version(version), Some(value)) => value.version == Version::Known(version),
            (Expected::WrittenBy(step), Some(value)) => value.written_by == step,
            (Expected::Absent, Some(_)) | (Expected::Version(_) | Expected::WrittenBy(_), None) => false,
        }
    }

    fn apply(
        &mut self,
        op: &Op,
        id: StepId,
        number: usize,
        leases: &[Option<Lease>],
    ) -> Result<Written, CommitErrorKind> {
        let now = self.now;
        match op {
            Op::Settle(lease) => {
                self.leased(lease, leases)?;
                self.records.retain(|record| record.id != Some(lease.record));
            }
            Op::Release(lease, after, reason, cost) => {
                let record = self.leased(lease, leases)?;
                record.attempt += u32::from(*cost == Cost::Counted);
                record.place = Place::Ready;
                if !after.is_zero() {
                    record.place = Place::Deferred;
                    record.reason = Reason::Released(*reason);
                    record.due = Some(now.after(*after));
                }
            }
            Op::Hold(lease, reason) => self.leased(lease, leases)?.aside(Reason::Held(*reason), now),
            Op::DeadLetter(lease, reason) => self.leased(lease, leases)?.aside(Reason::Dead(*reason), now),
            Op::Publish(queue, lane, octets, at) => {
                let record = self.enter(queue, lane, octets);
                if at.is_some_and(|at| at > now) {
                    record.place = Place::Deferred;
                    record.reason = Reason::Scheduled;
                    record.due = *at;
                }
            }
            Op::Bury(queue, lane, octets, reason) => {
                self.enter(queue, lane, octets).aside(Reason::Dead(*reason), now);
            }
            Op::Requeue(queue, id) => {
                let found = self.aside(queue, *id, &[Place::Held, Place::DeadLetter])?;
                let record = &mut self.records[found];
                record.place = Place::Ready;
                record.reason = Reason::None;
                record.since = None;
            }
            Op::Discard(queue, id) => {
                let found = self.aside(queue, *id, &[Place::Held, Place::DeadLetter, Place::Corrupt])?;
                self.records.remove(found);
            }
            Op::Append(_, octets) => self.log.push(octets.clone()),
            Op::Advance(_, reader, to) => {
                let end = u64::try_from(self.log.len()).unwrap();
                let at = self.readers.entry(reader).or_insert(self.oldest);
                *at = (*at).max(to.0.min(end));
            }
            Op::Put(key, octets, expected, expiry) => {
                if self.as_expected(key.as_str(), *expected) {
                    return Ok(self.write(key.as_str(), octets.clone(), Version::Step(number), id, expiry));
                }
                return match self.get(key.as_str()) {
                    Some(value) if value.written_by == id => Ok(Written::Before(value.version)),
                    Some(_) | None => Err(CommitErrorKind::Conflict { key: key.clone() }),
                };
            }
            Op::Delete(key, expected) => {
                if !self.as_expected(key.as_str(), *expected) {
                    return Err(CommitErrorKind::Conflict { key: key.clone() });
                }
                self.state.remove(key.as_str());
            }
            Op::Add(key, delta, floor, expiry) => {
                let before = match self.get(key.as_str()) {
                    None => 0,
                    Some(value) => match <[u8; 8]>::try_from(value.octets.as_ref()) {
                        Ok(octets) => i64::from_be_bytes(octets),
                        Err(_) => return Err(CommitErrorKind::NotACounter { key: key.clone() }),
                    },
                };
                let sum = before + delta;
                if floor.is_some_and(|floor| sum < floor) {
                    return Err(CommitErrorKind::Floor { key: key.clone() });
                }
                let octets = Bytes::copy_from_slice(&sum.to_be_bytes());
                return Ok(self.write(key.as_str(), octets, Version::Step(number), id, expiry));
            }
        }
        Ok(Written::Nothing)
    }
}
