//! How everything lies on the disk. Format 4; formats 1 to 3 are read, and become 4 when they are opened.
//!
//! ```text
//! <dir>/LOCK                    OS lock; the text of the owner's process id
//! <dir>/leases-<epoch>.log      lease marks (drawn in leases.rs)
//! <dir>/store.new/              the same while it is made, moved to its place whole
//! <dir>/store/                  one fjall database, keyspaces:
//!
//! meta     "format"                  u32            version of all of this
//!          "opened"                  u64            how often it was opened: the epoch of the lease marks
//!          'q' number:u32            name           queues; a number is never used again
//!          'l' number:u32            log            next:u64 first:u64 name:text readers:u16 (name:text position:u64)*
//!          "numbers"                 u32            first number not yet given to a queue or log
//!          'h' queue:text 0          reason:u8 since:i64      the queue is held (format 2)
//!          'h' queue:text 1 flow:text   the same              a flow of it is held (format 2)
//!          "next"                    u64            next record id (format 3)
//!          'g' number:u32            state:u8 first:u64 end:u64 from:u64 began:i64    a generation (format 3)
//! young    group:u64                 young group    what it wrote, until that is at its place (format 4; young.rs)
//!          FF*8                      u64            number of the next group
//! g<number>  id:u64                  record         of first up to end; those below `from` are in `records`, too
//!          id:u64 00                 (empty)        anchor: its first record has the next number (turnover.rs)
//! gone     number:u32 chunk:u32      64 octets      bit n: record first + 512 chunk + n is gone (format 3)
//!          FF*8                      (empty)
//! records  id:u64                    record         what its generation did not keep; all records up to format 2
//!          FF*8                      u64            next record id (up to format 2; the larger of the two counts)
//! moves    id:u64                    at:u8 reason:u8 attempt:u32 time:i64 void:u64 (queue:u32 class:u8 flow:text)?
//!          FF*8                      (empty)
//! state    'k' key                   version:u64 entry:u64 step:16 expiry | octets
//!          FF                        u64            next version
//! expiry   time:i64+2^63 entry:u64 key     (empty)
//!          FF*17                     (empty)
//! logs     number:u32 first:u64      count:u32 (len:u32 octets)*
//!          FF*12                     (empty)
//!
//! record  queue:u32 class:u8 at reason:u8 published:i64 time:i64 flow:text | octets
//! state   0 open (the last one)   1 sealed   2 dropped: nothing of it counts
//! at      0 ready   1 deferred until time   2 set aside since time (held, dead letter, corrupt: by reason)
//! expiry  0 owner   1 time:i64 deleted      2 time:i64 queue:text class:u8 flow:text alarm
//! text    len:u16 UTF-8                     numbers are big-endian
//! young group   next_version:u64
//!               records:u32 (id:u64 len:u32 record)*   those that it published
//!               gone:u32 (id:u64)*                     of those that earlier young groups published
//!               values:u32 (key:text (0 | 1 len:u32 value))*   what keys are from now on; 0: nothing
//! ```
//! What a group writes to records and state is one entry of `young` for some seconds. What is still true then goes to its
//! place; most is not, and is never written there (ADR 0014). A start puts what is in `young` to its place first. An older
//! record is deleted by its bit in `gone`: no
//! table is ever merged for it, and the keyspace of a generation is dropped whole when little of it is left (ADR 0006).
//! A generation has at most 2^22 numbers; records beyond that go to `records`. What a release, hold, dead letter or requeue changes is the entry of the
//! same id in `moves`, which outranks the header (a retry writes 34 octets, not the record again). `void` is the last
//! lease mark that this move made void; 0 where the marks still count. Queue, class and flow stand there when the record
//! is in another queue or lane than its header says (format 2); the queue of the header may have lost its name then. An `expiry` entry is a hint: it counts only while the value under its key still
//! names its time and number. The number is the version of the first value with that time: a value that is written anew
//! with the same time keeps the entry. A block of a log holds all that one group appended to it.
//!
//! The entry that begins with FF ends each keyspace but those of generations (nothing is deleted there by its key) and is written by every group that touches the keyspace. It carries
//! the high-water mark, and it keeps the store healthy: a memory table is then never empty once its deleted entries
//! are dropped (fjall would never give its journal back), and no table of nothing but deletions can sink to the lowest
//! level unmerged (it would stay there for ever).
//!
//! Invariant: what this build writes, every later build reads. Decoding never panics and never reads past the end.

use bytes::Bytes;
use smsgw_message::{Class, Timestamp};
use smsgw_queue::index::{At, Reason};
use smsgw_queue::{Expiry, Flow, Held, HoldReason, HoldScope, Lane, QueueName, StepId, Versioned};

/// The version drawn above.
pub(crate) const FORMAT: u32 = 4;
/// The oldest that is read.
pub(crate) const OLDEST_FORMAT: u32 = 1;

pub(crate) const META_FORMAT: &[u8] = b"format";
pub(crate) const META_OPENED: &[u8] = b"opened";
pub(crate) const META_NUMBERS: &[u8] = b"numbers";
/// Next record id.
pub(crate) const META_NEXT: &[u8] = b"next";
/// Ends `records`, `moves`, `gone` and `young`.
pub(crate) const RECORDS_HEAD: [u8; 8] = [0xFF; 8];
pub(crate) const GONE_HEAD: [u8; 8] = RECORDS_HEAD;
pub(crate) const YOUNG_HEAD: [u8; 8] = RECORDS_HEAD;
pub(crate) const STATE_HEAD: [u8; 1] = [0xFF];
pub(crate) const EXPIRY_HEAD: [u8; 17] = [0xFF; 17];
pub(crate) const LOGS_HEAD: [u8; 12] = [0xFF; 12];

/// What was read is not what the drawing says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken(pub &'static str);

/// Reads an entry from its front.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn octets(&mut self, len: usize) -> Result<&'a [u8], Broken> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Broken("entry is too short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let octets = self.octets(N)?;
        octets.try_into().map_err(|_| Broken("entry is too short"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Broken> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Broken> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Broken> {
        self.array()
            .map(|octets| Timestamp::from_millis(i64::from_be_bytes(octets)))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Broken> {
        let len = usize::from(self.u16()?);
        std::str::from_utf8(self.octets(len)?).map_err(|_| Broken("text is not UTF-8"))
    }

    /// Octets with their length in front.
    fn long(&mut self) -> Result<&'a [u8], Broken> {
        let len = usize::try_from(self.u32()?).map_err(|_| Broken("length is too large"))?;
        self.octets(len)
    }

    fn class(&mut self) -> Result<Class, Broken> {
        match self.u8()? {
            0 => Ok(Class::Otp),
            1 => Ok(Class::Transactional),
            2 => Ok(Class::Bulk),
            _ => Err(Broken("class is unknown")),
        }
    }

    fn lane(&mut self) -> Result<Lane, Broken> {
        let class = self.class()?;
        Ok(Lane::new(class, Flow::from(self.text()?)))
    }
}

fn class_code(class: Class) -> u8 {
    match class {
        Class::Otp => 0,
        Class::Transactional => 1,
        Class::Bulk => 2,
    }
}

/// Writes a text; the committer refuses longer names than the contract allows before they come here.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).expect("names are checked against MAX_NAME");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn at_parts(at: &At) -> (u8, u8, Timestamp) {
    match at {
        At::Ready => (0, Reason::None.code(), Timestamp::from_millis(0)),
        At::Deferred { due, reason } => (1, reason.code(), *due),
        At::Aside { reason, since } => (2, reason.code(), *since),
    }
}

fn at_from(kind: u8, reason: u8, time: Timestamp) -> Result<At, Broken> {
    let reason = Reason::from_code(reason).ok_or(Broken("reason is unknown"))?;
    match kind {
        0 => Ok(At::Ready),
        1 => Ok(At::Deferred { due: time, reason }),
        2 => Ok(At::Aside { reason, since: time }),
        _ => Err(Broken("place is unknown")),
    }
}

/// What stands before the octets of a record.
#[derive(Debug)]
pub(crate) struct RecordHeader<'a> {
    pub(crate) queue: u32,
    pub(crate) class: Class,
    pub(crate) flow: &'a str,
    pub(crate) at: At,
    pub(crate) published_at: Timestamp,
}

/// A record as it is written.
pub(crate) fn encode_record(
    queue: u32,
    lane: &Lane,
    at: &At,
    published_at: Timestamp,
    octets: &[u8],
    out: &mut Vec<u8>,
) {
    let flow = lane.flow.as_str();
    let (kind, reason, time) = at_parts(at);
    out.reserve(25 + flow.len() + octets.len());
    out.extend_from_slice(&queue.to_be_bytes());
    out.push(class_code(lane.class));
    out.push(kind);
    out.push(reason);
    out.extend_from_slice(&published_at.as_millis().to_be_bytes());
    out.extend_from_slice(&time.as_millis().to_be_bytes());
    put_text(out, flow);
    out.extend_from_slice(octets);
}

/// The header and the octets of a record.
pub(crate) fn decode_record(entry: &[u8]) -> Result<(RecordHeader<'_>, &[u8]), Broken> {
    let mut r = Reader(entry);
    let queue = r.u32()?;
    let class = r.class()?;
    let (kind, reason) = (r.u8()?, r.u8()?);
    let published_at = r.time()?;
    let time = r.time()?;
    let flow = r.text()?;
    Ok((
        RecordHeader {
            queue,
            class,
            flow,
            at: at_from(kind, reason, time)?,
            published_at,
        },
        r.0,
    ))
}

/// What became of a record since it was published.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) at: At,
    pub(crate) attempt: u32,
    /// Lease marks up to this one say nothing about the record any more.
    pub(crate) void: u64,
    /// Where it is, when its header says something else.
    pub(crate) home: Option<Home>,
}

/// Queue and lane of a record that was moved there.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) queue: u32,
    pub(crate) lane: Lane,
}

pub(crate) fn encode_move(moved: &Move) -> Vec<u8> {
    let (kind, reason, time) = at_parts(&moved.at);
    let mut out = Vec::with_capacity(22);
    out.extend_from_slice(&[kind, reason]);
    out.extend_from_slice(&moved.attempt.to_be_bytes());
    out.extend_from_slice(&time.as_millis().to_be_bytes());
    out.extend_from_slice(&moved.void.to_be_bytes());
    if let Some(Home { queue, lane }) = &moved.home {
        out.extend_from_slice(&queue.to_be_bytes());
        out.push(class_code(lane.class));
        put_text(&mut out, lane.flow.as_str());
    }
    out
}

pub(crate) fn decode_move(entry: &[u8]) -> Result<Move, Broken> {
    let mut r = Reader(entry);
    let (kind, reason, attempt, time, void) = (r.u8()?, r.u8()?, r.u32()?, r.time()?, r.u64()?);
    let home = if r.0.is_empty() {
        None
    } else {
        let queue = r.u32()?;
        Some(Home {
            queue,
            lane: r.lane()?,
        })
    };
    Ok(Move {
        at: at_from(kind, reason, time)?,
        attempt,
        void,
        home,
    })
}

/// The entry of a hold: its key in `meta`.
pub(crate) fn hold_key(queue: &QueueName, scope: &HoldScope) -> Vec<u8> {
    let mut out = vec![b'h'];
    put_text(&mut out, queue.as_str());
    match scope {
        HoldScope::Queue => out.push(0),
        HoldScope::Flow(flow) => {
            out.push(1);
            put_text(&mut out, flow.as_str());
        }
    }
    out
}

pub(crate) fn encode_hold(reason: HoldReason, since: Timestamp) -> [u8; 9] {
    let mut out = [Reason::Held(reason).code(); 9];
    for (to, from) in out.iter_mut().skip(1).zip(since.as_millis().to_be_bytes()) {
        *to = from;
    }
    out
}

/// A hold from its key and its entry.
pub(crate) fn decode_hold(key: &[u8], entry: &[u8]) -> Result<(QueueName, Held), Broken> {
    let mut r = Reader(key.get(1..).unwrap_or_default());
    let queue = QueueName::from(r.text()?);
    let scope = match r.u8()? {
        0 => HoldScope::Queue,
        1 => HoldScope::Flow(Flow::from(r.text()?)),
        _ => return Err(Broken("scope of a hold is unknown")),
    };
    let mut r = Reader(entry);
    let Some(Reason::Held(reason)) = Reason::from_code(r.u8()?) else {
        return Err(Broken("reason of a hold is unknown"));
    };
    let since = r.time()?;
    Ok((queue, Held { scope, reason, since }))
}

/// A value of state with what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) version: u64,
    /// Number of its entry in `expiry`.
    pub(crate) entry: u64,
    pub(crate) step: StepId,
    pub(crate) expiry: Expiry,
    pub(crate) octets: Bytes,
}

/// The time an expiry names.
pub(crate) fn due_of(expiry: &Expiry) -> Option<Timestamp> {
    match expiry {
        Expiry::At(at) | Expiry::Alarm(at, _, _) => Some(*at),
        Expiry::Owner => None,
    }
}

impl Value {
    /// Deleted by time, whether the sweep has been here or not.
    pub(crate) fn expired(&self, now: Timestamp) -> bool {
        match &self.expiry {
            Expiry::At(at) => *at <= now,
            Expiry::Alarm(..) | Expiry::Owner => false,
        }
    }

    /// When the sweep has to look at it.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        due_of(&self.expiry)
    }

    pub(crate) fn versioned(&self) -> Versioned {
        Versioned {
            value: self.octets.clone(),
            version: self.version,
            written_by: self.step,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }

    /// Behind what is in `out`.
    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        out.reserve(64 + self.octets.len());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.entry.to_be_bytes());
        out.extend_from_slice(self.step.as_bytes());
        match &self.expiry {
            Expiry::Owner => out.push(0),
            Expiry::At(at) => {
                out.push(1);
                out.extend_from_slice(&at.as_millis().to_be_bytes());
            }
            Expiry::Alarm(at, queue, lane) => {
                out.push(2);
                out.extend_from_slice(&at.as_millis().to_be_bytes());
                put_text(out, queue.as_str());
                out.push(class_code(lane.class));
                put_text(out, lane.flow.as_str());
            }
        }
        out.extend_from_slice(&self.octets);
    }

    pub(crate) fn decode(entry: &[u8]) -> Result<Self, Broken> {
        let mut r = Reader(entry);
        let version = r.u64()?;
        let number = r.u64()?;
        let step = StepId::from_bytes(r.array()?);
        let expiry = match r.u8()? {
            0 => Expiry::Owner,
            1 => Expiry::At(r.time()?),
            2 => {
                let at = r.time()?;
                let queue = QueueName::from(r.text()?);
                Expiry::Alarm(at, queue, r.lane()?)
            }
            _ => return Err(Broken("expiry is unknown")),
        };
        Ok(Self {
            version,
            entry: number,
            step,
            expiry,
            octets: Bytes::copy_from_slice(r.0),
        })
    }
}

pub(crate) fn state_key(key: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(b'k');
    out.extend_from_slice(key.as_bytes());
    out
}

fn sortable(time: Timestamp) -> u64 {
    time.as_millis().cast_unsigned() ^ (1 << 63)
}

/// Before every `expiry` entry of this time. Sorts by time, also for times before 1970.
pub(crate) fn expiry_from(time: Timestamp) -> [u8; 8] {
    sortable(time).to_be_bytes()
}

pub(crate) fn expiry_key(time: Timestamp, version: u64, key: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + key.len());
    out.extend_from_slice(&expiry_from(time));
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(key.as_bytes());
    out
}

pub(crate) fn decode_expiry_key(key: &[u8]) -> Result<(Timestamp, u64, &str), Broken> {
    let mut r = Reader(key);
    let time = Timestamp::from_millis((r.u64()? ^ (1 << 63)).cast_signed());
    let version = r.u64()?;
    Ok((
        time,
        version,
        std::str::from_utf8(r.0).map_err(|_| Broken("key is not UTF-8"))?,
    ))
}

pub(crate) fn block_key(log: u32, first: u64) -> [u8; 12] {
    let mut out = [0; 12];
    let (number, position) = out.split_at_mut(4);
    number.copy_from_slice(&log.to_be_bytes());
    position.copy_from_slice(&first.to_be_bytes());
    out
}

pub(crate) fn decode_block_key(key: &[u8]) -> Result<(u32, u64), Broken> {
    let mut r = Reader(key);
    Ok((r.u32()?, r.u64()?))
}

/// A log as `meta` keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogMeta {
    pub(crate) next: u64,
    pub(crate) first: u64,
    pub(crate) name: String,
    pub(crate) readers: Vec<(String, u64)>,
}

impl LogMeta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&self.next.to_be_bytes());
        out.extend_from_slice(&self.first.to_be_bytes());
        put_text(&mut out, &self.name);
        let readers = u16::try_from(self.readers.len()).expect("readers are names in our code: a handful");
        out.extend_from_slice(&readers.to_be_bytes());
        for (reader, position) in &self.readers {
            put_text(&mut out, reader);
            out.extend_from_slice(&position.to_be_bytes());
        }
        out
    }

    pub(crate) fn decode(entry: &[u8]) -> Result<Self, Broken> {
        let mut r = Reader(entry);
        let (next, first) = (r.u64()?, r.u64()?);
        let name = r.text()?.to_owned();
        let count = r.u16()?;
        let mut readers = Vec::new();
        for _ in 0..count {
            readers.push((r.text()?.to_owned(), r.u64()?));
        }
        Ok(Self {
            next,
            first,
            name,
            readers,
        })
    }
}

pub(crate) fn numbered_key(kind: u8, number: u32) -> [u8; 5] {
    let mut out = [kind; 5];
    for (to, from) in out.iter_mut().skip(1).zip(number.to_be_bytes()) {
        *to = from;
    }
    out
}

pub(crate) mod block;
mod generation;
pub(crate) mod young;

pub(crate) use generation::{
    Entry as GenerationEntry, State as GenerationState, anchor_key, chunk_key, decode_chunk,
    decode_chunk_key, encode_chunk, generation_name, generation_number,
};

#[cfg(test)]
mod tests;
