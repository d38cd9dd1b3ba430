//! Reads all of a store once, in order, and says what does not fit together. What is found good, or can be made good,
//! is handed on as items; who takes them builds a new store or a stream, or nothing.
//!
//! Changes nothing. Invariants: everything that can be read is handed on once, under its own number; what is handed on
//! fits together, whatever was found.

use super::report::{Report, What};
use super::{Done, Held, OFTEN, OfflineError, Pass, Progress};
use crate::format::{
    EXPIRY_HEAD, FORMAT, META_FORMAT, META_NEXT, META_NUMBERS, Move, OLDEST_FORMAT, RECORDS_HEAD, Reader,
    STATE_HEAD, Value, decode_expiry_key, decode_hold, decode_move, decode_record, expiry_key, state_key,
};
use crate::generations::keyspaces;
use crate::walk::{Next, Walk};
use bytes::Bytes;
use fjall::Keyspace;
use smsgw_message::{Class, Timestamp};
use smsgw_queue::index::{At, Reason};
use smsgw_queue::transfer::{Hold, Item, Marks, StateItem, StoredRecord, Totals};
use smsgw_queue::{DeadReason, Lane, QueueName, StateKey};
use std::collections::BTreeMap;

/// The queue of what nobody knows the queue of.
const UNREADABLE: &str = "unreadable";
/// What somebody who knows the records says of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It decodes, or nobody knows what it should be.
    Fits,
    /// A later version wrote it.
    Newer,
    /// It does not decode, and why.
    Broken(String),
}

/// Knows what stands in queues, logs and state.
pub trait Judge {
    /// Of a record of a queue.
    fn record(&self, queue: &str, octets: &[u8]) -> Verdict;
    /// Of the value of a key.
    fn value(&self, key: &str, octets: &[u8]) -> Verdict;
    /// Of an entry of a log.
    fn entry(&self, log: &str, octets: &[u8]) -> Verdict;
    /// Whether somebody else of smsgw keeps a file or directory of that name beside the store.
    fn is_beside(&self, _name: &str) -> bool {
        false
    }
}

/// Takes everything for good.
#[derive(Debug)]
pub(super) struct NoJudge;

impl Judge for NoJudge {
    fn record(&self, _: &str, _: &[u8]) -> Verdict {
        Verdict::Fits
    }

    fn value(&self, _: &str, _: &[u8]) -> Verdict {
        Verdict::Fits
    }

    fn entry(&self, _: &str, _: &[u8]) -> Verdict {
        Verdict::Fits
    }
}

/// Takes an item.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Item) -> Result<(), OfflineError>;

pub(super) struct Scan<'a> {
    pub(super) held: &'a Held,
    pub(super) judge: &'a dyn Judge,
    now: Timestamp,
    pass: Pass,
    course: Course,
    progress: Progress<'a>,
    pub(super) report: Report,
    pub(super) marks: Marks,
    names: BTreeMap<u32, QueueName>,
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .take(24)
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

/// How much was read of how much. Only shown.
#[derive(Debug, Default)]
struct Course {
    /// Entries read.
    read: u64,
    /// How many that will be, about, when the present part is read.
    until: u64,
    /// In parts that have not begun, about.
    later: u64,
}

impl Course {
    /// A part begins that is in `later`.
    fn begin(&mut self, about: u64) {
        self.later = self.later.saturating_sub(about);
        self.until = self.read.saturating_add(about);
    }

    fn of(&self) -> u64 {
        self.until.max(self.read).saturating_add(self.later)
    }
}

/// Entries of a keyspace, with those that were overwritten or deleted and not cleared away yet.
fn about(keyspace: &Keyspace) -> u64 {
    crate::shared::number(keyspace.approximate_len())
}

/// How a key is told to people.
fn told(key: &[u8]) -> String {
    match <[u8; 8]>::try_from(key) {
        Ok(number) => u64::from_be_bytes(number).to_string(),
        Err(_) => hex(key),
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        held: &'a Held,
        judge: &'a dyn Judge,
        now: Timestamp,
        pass: Pass,
        progress: Progress<'a>,
    ) -> Self {
        let mut scan = Self {
            held,
            judge,
            now,
            pass,
            course: Course::default(),
            progress,
            report: Report::default(),
            marks: Marks::default(),
            names: BTreeMap::new(),
        };
        let next_record = scan.head(&held.store.meta, META_NEXT, "next record");
        scan.marks = Marks {
            next_record: next_record.max(scan.head(&held.store.records, &RECORDS_HEAD, "next record")),
            next_version: scan.head(&held.store.state, &STATE_HEAD, "next version"),
        };
        scan
    }

    /// The high-water marks as far as they are known now.
    pub(super) fn marks(&self) -> Marks {
        self.marks
    }

    /// Goes through everything. Not thorough: leaves out what only a report is interested in.
    pub(super) fn run(&mut self, thorough: bool, sink: Sink<'_>) -> Result<(), OfflineError> {
        let Held { store, dir, .. } = self.held;
        let generations = keyspaces(store).map_err(|kind| super::open_error(dir, kind))?;
        let records = generations
            .values()
            .map(about)
            .fold(about(&store.records), u64::saturating_add);
        let (values, reminders) = (about(&store.state), about(&store.expiry));
        self.course.later = records.saturating_add(values);
        if thorough {
            self.course.later = self.course.later.saturating_add(reminders);
        }
        self.format();
        for why in &self.held.young {
            self.report.add(What::Table, || format!("young: {why}"));
        }
        self.meta(sink)?;
        self.logs(sink)?;
        self.course.begin(records);
        self.records(sink)?;
        self.course.begin(values);
        self.values(sink)?;
        if thorough {
            self.course.begin(reminders);
            self.reminders();
            self.directory()?;
        }
        self.course.begin(0);
        self.tell();
        Ok(())
    }

    /// Entries of logs come, so many of them.
    pub(super) fn expect_entries(&mut self, count: u64) {
        self.course.until = self.course.read.saturating_add(count);
    }

    fn head(&mut self, keyspace: &Keyspace, key: &[u8], what: &'static str) -> u64 {
        match keyspace
            .get(key)
            .map(|entry| entry.map(|entry| Reader(&entry).u64()))
        {
            Ok(None) => 1,
            Ok(Some(Ok(number))) => number,
            Ok(Some(Err(_))) | Err(_) => {
                self.report.add(What::Number, || what.to_owned());
                1
            }
        }
    }

    pub(super) fn gap(&mut self, what: &str, after: &[u8], until: &[u8], why: &str) {
        self.report.add(What::Table, || {
            format!("{what} behind {}, before {}: {why}", told(after), told(until))
        });
    }

    fn format(&mut self) {
        match self.held.store.meta.get(META_FORMAT) {
            Ok(Some(entry)) if matches!(Reader(&entry).u32(), Ok(OLDEST_FORMAT..=FORMAT)) => {}
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => self.report.add(What::Format, || "format".to_owned()),
        }
    }

    /// Names of queues, and holds.
    fn meta(&mut self, sink: Sink<'_>) -> Result<(), OfflineError> {
        let mut highest = 0;
        let mut walk = Walk::new(&self.held.store.meta, b"h", b"m");
        while let Some(next) = walk.next() {
            let (key, entry) = match next {
                Next::Entry(key, entry) => (key, entry),
                Next::Gap { after, until, why } => {
                    self.gap("names", &after, &until, &why);
                    continue;
                }
            };
            match key.first() {
                Some(b'h') => match decode_hold(&key, &entry) {
                    Ok((queue, held)) => sink(Item::Hold(Hold { queue, held }))?,
                    Err(broken) => self.report.add(What::Record, || format!("a hold: {}", broken.0)),
                },
                Some(_) | None => {
                    let number = Reader(key.get(1..).unwrap_or_default()).u32().unwrap_or(0);
                    highest = number.max(highest);
                }
            }
        }
        let mut walk = Walk::new(&self.held.store.meta, b"q", b"r");
        while let Some(next) = walk.next() {
            match next {
                Next::Entry(key, name) => {
                    let number = Reader(key.get(1..).unwrap_or_default()).u32();
                    match (number, std::str::from_utf8(&name)) {
                        (Ok(number), Ok(name)) => {
                            highest = number.max(highest);
                            self.names.insert(number, QueueName::from(name));
                        }
                        (Ok(_) | Err(_), _) => self.report.add(What::QueueName, || hex(&key)),
                    }
                }
                Next::Gap { after, until, why } => self.gap("names", &after, &until, &why),
            }
        }
        let numbers = self.held.store.meta.get(META_NUMBERS).ok().flatten();
        let numbers = numbers.map_or(Ok(1), |entry| Reader(&entry).u32());
        if highest > 0 && !numbers.is_ok_and(|next| next > highest) {
            self.report
                .add(What::Number, || format!("queue or log {highest}"));
        }
        Ok(())
    }

    /// One more entry was read.
    pub(super) fn note_read(&mut self) {
        self.course.read = self.course.read.saturating_add(1);
        if self.course.read.is_multiple_of(OFTEN) {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let report = &self.report;
        (self.progress)(Done {
            pass: self.pass,
            so_far: Totals {
                holds: 0,
                records: report.records,
                values: report.values,
                logs: report.logs,
                entries: report.entries,
                octets: report.octets,
            },
            read: Some((self.course.read, self.course.of())),
        });
    }

    /// A record as it is, or as it can be kept.
    pub(super) fn record(&mut self, id: u64, entry: &[u8], moved: Option<Move>) -> StoredRecord {
        self.report.records = self.report.records.saturating_add(1);
        let octets = u64::try_from(entry.len()).unwrap_or(u64::MAX);
        self.report.octets = self.report.octets.saturating_add(octets);
        let (header, octets) = match decode_record(entry) {
            Ok(decoded) => decoded,
            Err(broken) => {
                self.report
                    .add(What::Record, || format!("record {id}: {}", broken.0));
                return self.kept(id, entry);
            }
        };
        let void = moved.as_ref().map(|moved| moved.void);
        let (mut at, attempt, home) = match moved {
            Some(moved) => (moved.at, moved.attempt, moved.home),
            None => (header.at, 1, None),
        };
        let (number, lane) = match home {
            Some(home) => (home.queue, home.lane),
            None => (header.queue, Lane::new(header.class, header.flow)),
        };
        let queue = match self.names.get(&number) {
            Some(name) => name.clone(),
            None => {
                self.report
                    .add(What::QueueName, || format!("queue {number}, record {id}"));
                let name = QueueName::from(format!("lost.{number}"));
                self.names.insert(number, name.clone());
                name
            }
        };
        let leases = &self.held.leases;
        let aside = matches!(at, At::Aside { .. });
        let leased_before = leases.leased(id, void) && (!aside || void == Some(0));
        // What stands aside is for people, whatever it is.
        if !aside {
            match self.judge.record(queue.as_str(), octets) {
                Verdict::Fits => {}
                Verdict::Newer => self
                    .report
                    .add(What::RecordNewer, || format!("record {id} of {queue}")),
                Verdict::Broken(why) => {
                    self.report
                        .add(What::RecordOctets, || format!("record {id} of {queue}: {why}"));
                    at = self.corrupt();
                }
            }
        }
        StoredRecord {
            id,
            queue,
            lane,
            published_at: header.published_at,
            at,
            attempt,
            leased_before,
            record: Bytes::copy_from_slice(octets),
        }
    }

    fn corrupt(&self) -> At {
        At::Aside {
            reason: Reason::Dead(DeadReason::Corrupt),
            since: self.now,
        }
    }

    /// Octets of which nobody knows whose they are.
    fn kept(&self, id: u64, octets: &[u8]) -> StoredRecord {
        StoredRecord {
            id,
            queue: QueueName::from(UNREADABLE),
            lane: Lane::new(Class::Bulk, UNREADABLE),
            published_at: self.now,
            at: self.corrupt(),
            attempt: 1,
            leased_before: false,
            record: Bytes::copy_from_slice(octets),
        }
    }

    fn values(&mut self, sink: Sink<'_>) -> Result<(), OfflineError> {
        let mut walk = Walk::new(&self.held.store.state, b"k", b"l");
        let mut unreadable = 0u64;
        while let Some(next) = walk.next() {
            let (key, entry) = match next {
                Next::Entry(key, entry) => (key, entry),
                Next::Gap { after, until, why } => {
                    self.gap("values", &after, &until, &why);
                    continue;
                }
            };
            self.report.values = self.report.values.saturating_add(1);
            let octets = u64::try_from(entry.len()).unwrap_or(u64::MAX);
            self.report.octets = self.report.octets.saturating_add(octets);
            self.note_read();
            let text = std::str::from_utf8(key.get(1..).unwrap_or_default());
            let (Ok(text), Ok(value)) = (text, Value::decode(&entry)) else {
                self.report.add(What::Value, || {
                    text.map_or_else(|_| hex(&key), |text| format!("value of {text}"))
                });
                // Behind all records: a number that nobody has.
                let id = self.marks.next_record;
                self.marks.next_record = id.saturating_add(1);
                unreadable = unreadable.saturating_add(1);
                let octets = [&key, &[0][..], &entry].concat();
                sink(Item::Record(self.kept(id, &octets)))?;
                continue;
            };
            if value.version >= self.marks.next_version {
                self.report.add(What::Number, || format!("version of {text}"));
                self.marks.next_version = value.version.saturating_add(1);
            }
            match self.judge.value(text, &value.octets) {
                Verdict::Fits => {}
                Verdict::Newer => self.report.add(What::ValueNewer, || text.to_owned()),
                Verdict::Broken(why) => self.report.add(What::ValueOctets, || format!("{text}: {why}")),
            }
            if let Some(due) = value.due() {
                let reminder = expiry_key(due, value.entry, text);
                if !self.held.store.expiry.contains_key(reminder).unwrap_or(false) {
                    self.report.add(What::NoExpiry, || text.to_owned());
                }
            }
            sink(Item::State(StateItem {
                key: StateKey::from(text),
                version: value.version,
                written_by: value.step,
                expiry: value.expiry,
                value: value.octets,
            }))?;
        }
        Ok(())
    }

    /// Entries of `expiry` without the value they are of.
    fn reminders(&mut self) {
        let mut walk = Walk::new(&self.held.store.expiry, &[], &EXPIRY_HEAD);
        while let Some(next) = walk.next() {
            let key = match next {
                Next::Entry(key, _) => key,
                Next::Gap { after, until, why } => {
                    self.gap("reminders", &after, &until, &why);
                    continue;
                }
            };
            self.note_read();
            let Ok((due, number, text)) = decode_expiry_key(&key) else {
                self.report.add(What::Expiry, || hex(&key));
                continue;
            };
            let value = self.held.store.state.get(state_key(text)).ok().flatten();
            let value = value.and_then(|entry| Value::decode(&entry).ok());
            if !value.is_some_and(|value| value.entry == number && value.due() == Some(due)) {
                self.report.add(What::StaleExpiry, || text.to_owned());
            }
        }
    }

    /// Lease marks, and what else lies there.
    fn directory(&mut self) -> Result<(), OfflineError> {
        let dir = &self.held.dir;
        if !self.held.leases.complete && self.report.records > 0 {
            self.report.add(What::Leases, || dir.display().to_string());
        }
        let listing = std::fs::read_dir(dir).map_err(OfflineError::io(format!("list {}", dir.display())))?;
        for item in listing {
            let item = item.map_err(OfflineError::io(format!("list {}", dir.display())))?;
            let name = item.file_name().to_string_lossy().into_owned();
            let ours = ["LOCK", "store"].contains(&name.as_str())
                || name.starts_with("leases-")
                || name.starts_with("damaged-")
                || self.judge.is_beside(&name);
            if !ours {
                self.report.add(What::Stray, || name);
            }
        }
        Ok(())
    }
}

/// The moves, in step with the records.
pub(super) struct Moves<'a> {
    walk: Walk<'a>,
    next: Option<(u64, Option<Move>)>,
}

impl<'a> Moves<'a> {
    pub(super) fn new(held: &'a Held) -> Self {
        Self {
            walk: Walk::new(&held.store.moves, &[], &RECORDS_HEAD),
            next: None,
        }
    }

    /// The move of a record; tells of those before it, which are of no record.
    pub(super) fn pass(&mut self, id: u64, orphan: &mut dyn FnMut(u64), report: &mut Report) -> Option<Move> {
        loop {
            if self.next.is_none() {
                self.next = self.read(report);
            }
            match self.next.as_ref().map(|(there, _)| *there)? {
                there if there < id => {
                    orphan(there);
                    self.next = None;
                }
                there if there == id => return self.next.take().and_then(|(_, moved)| moved),
                _behind => return None,
            }
        }
    }

    fn read(&mut self, report: &mut Report) -> Option<(u64, Option<Move>)> {
        loop {
            match self.walk.next()? {
                Next::Entry(key, entry) => {
                    let Ok(id) = <[u8; 8]>::try_from(&*key).map(u64::from_be_bytes) else {
                        report.add(What::Move, || hex(&key));
                        continue;
                    };
                    let moved = decode_move(&entry);
                    if moved.is_err() {
                        report.add(What::Move, || format!("record {id}"));
                    }
                    return Some((id, moved.ok()));
                }
                Next::Gap { after, until, why } => report.add(What::Table, || {
                    format!("moves behind {}, before {}: {why}", told(&after), told(&until))
                }),
            }
        }
    }
}
