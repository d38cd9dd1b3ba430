//! What stands in a stream, and how its body is written and read.

use super::StreamErrorKind as Kind;
use crate::delivery::Position;
use crate::index::{At, Reason};
use crate::look::{Held, HoldScope};
use crate::name::{Flow, Lane, LogName, QueueName, StateKey};
use crate::step::{Expiry, StepId};
use bytes::Bytes;
use smsgw_message::{Class, Timestamp};

/// High-water marks: what was ever handed out lies below them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Number of the next record.
    pub next_record: u64,
    /// Version of the next write of state.
    pub next_version: u64,
}

/// A queue or a flow of it from which nothing is checked out until a person says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The queue.
    pub queue: QueueName,
    /// What is held, why and since when.
    pub held: Held,
}

/// A record of a queue, and what became of it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its number. Steps are recognised by it, so it stays.
    pub id: u64,
    /// Its queue.
    pub queue: QueueName,
    /// Its lane.
    pub lane: Lane,
    /// When it was published.
    pub published_at: Timestamp,
    /// Where it is.
    pub at: At,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// Somebody had it and never said what became of it.
    pub leased_before: bool,
    /// The record itself.
    pub record: Bytes,
}

/// A value of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateItem {
    /// Its key.
    pub key: StateKey,
    /// Its version.
    pub version: u64,
    /// The step that wrote it.
    pub written_by: StepId,
    /// When it goes away.
    pub expiry: Expiry,
    /// The value itself.
    pub value: Bytes,
}

/// A log. Its entries follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    /// Its name.
    pub name: LogName,
    /// Its oldest entry.
    pub first: u64,
    /// Where its next entry goes.
    pub next: u64,
    /// Its readers and where they are.
    pub readers: Vec<(String, u64)>,
}

/// An entry of the log that came last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Where it stands.
    pub position: Position,
    /// The entry itself.
    pub record: Bytes,
}

/// One frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A hold.
    Hold(Hold),
    /// A record of a queue.
    Record(StoredRecord),
    /// A value of state.
    State(StateItem),
    /// A log.
    Log(LogHead),
    /// An entry of the log that came last.
    Entry(LogEntry),
}

impl Item {
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Hold(_) => b'H',
            Self::Record(_) => b'R',
            Self::State(_) => b'S',
            Self::Log(_) => b'L',
            Self::Entry(_) => b'E',
        }
    }

    /// Appends the body. `None`: a text is too long for its length.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Hold(Hold { queue, held }) => {
                put_text(out, queue.as_str())?;
                match &held.scope {
                    HoldScope::Queue => out.push(0),
                    HoldScope::Flow(flow) => {
                        out.push(1);
                        put_text(out, flow.as_str())?;
                    }
                }
                out.push(Reason::Held(held.reason).code());
                out.extend_from_slice(&held.since.as_millis().to_be_bytes());
            }
            Self::Record(record) => {
                out.extend_from_slice(&record.id.to_be_bytes());
                put_text(out, record.queue.as_str())?;
                put_lane(out, &record.lane)?;
                out.extend_from_slice(&record.published_at.as_millis().to_be_bytes());
                let (place, reason, time) = match record.at {
                    At::Ready => (0, Reason::None, Timestamp::from_millis(0)),
                    At::Deferred { due, reason } => (1, reason, due),
                    At::Aside { reason, since } => (2, reason, since),
                };
                out.push(place);
                out.push(reason.code());
                out.extend_from_slice(&time.as_millis().to_be_bytes());
                out.extend_from_slice(&record.attempt.to_be_bytes());
                out.push(u8::from(record.leased_before));
                out.extend_from_slice(&record.record);
            }
            Self::State(state) => {
                put_text(out, state.key.as_str())?;
                out.extend_from_slice(&state.version.to_be_bytes());
                out.extend_from_slice(state.written_by.as_bytes());
                match &state.expiry {
                    Expiry::Owner => out.push(0),
                    Expiry::At(at) => {
                        out.push(1);
                        out.extend_from_slice(&at.as_millis().to_be_bytes());
                    }
                    Expiry::Alarm(at, queue, lane) => {
                        out.push(2);
                        out.extend_from_slice(&at.as_millis().to_be_bytes());
                        put_text(out, queue.as_str())?;
                        put_lane(out, lane)?;
                    }
                }
                out.extend_from_slice(&state.value);
            }
            Self::Log(log) => {
                put_text(out, log.name.as_str())?;
                out.extend_from_slice(&log.first.to_be_bytes());
                out.extend_from_slice(&log.next.to_be_bytes());
                out.extend_from_slice(&u16::try_from(log.readers.len()).ok()?.to_be_bytes());
                for (reader, position) in &log.readers {
                    put_text(out, reader)?;
                    out.extend_from_slice(&position.to_be_bytes());
                }
            }
            Self::Entry(entry) => {
                out.extend_from_slice(&entry.position.0.to_be_bytes());
                out.extend_from_slice(&entry.record);
            }
        }
        Some(())
    }

    pub(super) fn decode(kind: u8, body: &[u8]) -> Result<Self, Kind> {
        let mut r = Body(body);
        match kind {
            b'H' => {
                let queue = QueueName::from(r.text()?);
                let scope = match r.u8()? {
                    0 => HoldScope::Queue,
                    1 => HoldScope::Flow(Flow::from(r.text()?)),
                    _ => return Err(Kind::Broken("the scope of a hold is unknown")),
                };
                let Some(Reason::Held(reason)) = Reason::from_code(r.u8()?) else {
                    return Err(Kind::Broken("the reason of a hold is unknown"));
                };
                let since = r.time()?;
                Ok(Self::Hold(Hold {
                    queue,
                    held: Held { scope, reason, since },
                }))
            }
            b'R' => Ok(Self::Record(StoredRecord {
                id: r.u64()?,
                queue: QueueName::from(r.text()?),
                lane: r.lane()?,
                published_at: r.time()?,
                at: r.place()?,
                attempt: u32::from_be_bytes(r.array()?),
                leased_before: match r.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Kind::Broken("a mark of a lease is neither 0 nor 1")),
                },
                record: Bytes::copy_from_slice(r.0),
            })),
            b'S' => Ok(Self::State(StateItem {
                key: StateKey::from(r.text()?),
                version: r.u64()?,
                written_by: StepId::from_bytes(r.array()?),
                expiry: match r.u8()? {
                    0 => Expiry::Owner,
                    1 => Expiry::At(r.time()?),
                    2 => Expiry::Alarm(r.time()?, QueueName::from(r.text()?), r.lane()?),
                    _ => return Err(Kind::Broken("an expiry is unknown")),
                },
                value: Bytes::copy_from_slice(r.0),
            })),
            b'L' => {
                let (name, first, next) = (LogName::from(r.text()?), r.u64()?, r.u64()?);
                let count = u16::from_be_bytes(r.array()?);
                let mut readers = Vec::new();
                for _ in 0..count {
                    readers.push((r.text()?.to_owned(), r.u64()?));
                }
                if !r.0.is_empty() {
                    return Err(Kind::Broken("a log has a tail"));
                }
                Ok(Self::Log(LogHead {
                    name,
                    first,
                    next,
                    readers,
                }))
            }
            b'E' => Ok(Self::Entry(LogEntry {
                position: Position(r.u64()?),
                record: Bytes::copy_from_slice(r.0),
            })),
            kind => Err(Kind::Kind(kind)),
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

fn put_lane(out: &mut Vec<u8>, lane: &Lane) -> Option<()> {
    out.push(match lane.class {
        Class::Otp => 0,
        Class::Transactional => 1,
        Class::Bulk => 2,
    });
    put_text(out, lane.flow.as_str())
}

/// Reads a body from its front.
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl<'a> Body<'a> {
    fn octets(&mut self, len: usize) -> Result<&'a [u8], Kind> {
        let (head, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Kind::Broken("a frame is too short"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Kind> {
        let octets = self.octets(N)?;
        octets
            .try_into()
            .map_err(|_| Kind::Broken("a frame is too short"))
    }

    fn u8(&mut self) -> Result<u8, Kind> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Kind> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Kind> {
        self.array()
            .map(|octets| Timestamp::from_millis(i64::from_be_bytes(octets)))
    }

    fn text(&mut self) -> Result<&'a str, Kind> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        std::str::from_utf8(self.octets(len)?).map_err(|_| Kind::Broken("a text is not UTF-8"))
    }

    fn lane(&mut self) -> Result<Lane, Kind> {
        let class = match self.u8()? {
            0 => Class::Otp,
            1 => Class::Transactional,
            2 => Class::Bulk,
            _ => return Err(Kind::Broken("a class is unknown")),
        };
        Ok(Lane::new(class, Flow::from(self.text()?)))
    }

    fn place(&mut self) -> Result<At, Kind> {
        let place = self.u8()?;
        let reason = Reason::from_code(self.u8()?).ok_or(Kind::Broken("a reason is unknown"))?;
        let time = self.time()?;
        match place {
            0 => Ok(At::Ready),
            1 => Ok(At::Deferred { due: time, reason }),
            2 => Ok(At::Aside { reason, since: time }),
            _ => Err(Kind::Broken("a place is unknown")),
        }
    }
}
