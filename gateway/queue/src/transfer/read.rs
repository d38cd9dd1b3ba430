//! Reads a stream and checks everything that it says of itself.

use super::item::Body;
use super::{
    END, HEADER, Item, LogHead, MAGIC, MAX_FRAME, Marks, StreamError, StreamErrorKind as Kind, Totals,
    VERSION, crc,
};
use crate::name::StateKey;
use sha2::{Digest, Sha256};
use smsgw_message::Timestamp;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};

/// Reads a stream frame by frame. What it says is certain only after [`StreamReader::next`] has returned `None`.
#[derive(Debug)]
pub struct StreamReader<R> {
    source: R,
    digest: Sha256,
    totals: Totals,
    marks: Marks,
    written: Timestamp,
    /// The frame that is read, from its first octet.
    frame: Vec<u8>,
    at: u64,
    ended: bool,
    last_record: Option<u64>,
    last_key: Option<StateKey>,
    log: Option<(LogHead, u64)>,
    logs: BTreeSet<String>,
}

impl<R: Read> StreamReader<R> {
    /// Reads the header.
    pub fn new(source: R) -> Result<Self, StreamError> {
        let mut reader = Self {
            source,
            digest: Sha256::new(),
            totals: Totals::default(),
            marks: Marks::default(),
            written: Timestamp::from_millis(0),
            frame: Vec::with_capacity(4096),
            at: 0,
            ended: false,
            last_record: None,
            last_key: None,
            log: None,
            logs: BTreeSet::new(),
        };
        reader.header().map_err(|kind| reader.fault(kind))?;
        Ok(reader)
    }

    /// The high-water marks of the engine that wrote it.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// When it was written.
    pub fn written(&self) -> Timestamp {
        self.written
    }

    /// What was read so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The next frame; `None` at the end, when all of it was right.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would go on after an error"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, StreamError> {
        if self.ended {
            return Ok(None);
        }
        self.at = self.totals.octets;
        let item = self.read_item().map_err(|kind| self.fault(kind))?;
        self.ended = item.is_none();
        Ok(item)
    }

    fn fault(&self, kind: Kind) -> StreamError {
        StreamError { at: self.at, kind }
    }

    /// Reads so many octets more into the frame.
    fn fill(&mut self, len: usize) -> Result<(), Kind> {
        let begin = self.frame.len();
        // Not more at once than is there: a length that was changed must not cost memory.
        let mut left = len;
        while left > 0 {
            let piece = left.min(64 * 1024);
            let end = self.frame.len();
            self.frame.resize(end.saturating_add(piece), 0);
            let place = self.frame.get_mut(end..).unwrap_or_default();
            match self.source.read_exact(place) {
                Ok(()) => left -= piece,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Kind::Cut),
                Err(error) => return Err(Kind::Io(error)),
            }
        }
        debug_assert_eq!(self.frame.len(), begin + len);
        Ok(())
    }

    /// Reads the check behind the frame, and takes the frame as read.
    fn check(&mut self, counts: bool) -> Result<(), Kind> {
        let len = self.frame.len();
        self.fill(4)?;
        let (frame, check) = self.frame.split_at_checked(len).ok_or(Kind::Cut)?;
        if check != crc(0, frame).to_be_bytes() {
            return Err(Kind::Check);
        }
        if counts {
            self.digest.update(&self.frame);
            let octets = u64::try_from(self.frame.len()).unwrap_or(u64::MAX);
            self.totals.octets = self.totals.octets.saturating_add(octets);
        }
        self.frame.truncate(len);
        Ok(())
    }

    fn header(&mut self) -> Result<(), Kind> {
        self.fill(MAGIC.len()).map_err(|kind| match kind {
            Kind::Cut => Kind::NotOurs,
            other => other,
        })?;
        if self.frame != MAGIC {
            return Err(Kind::NotOurs);
        }
        self.fill(2)?;
        let version = Body(self.frame.get(MAGIC.len()..).unwrap_or_default()).array()?;
        let version = u16::from_be_bytes(version);
        if version != VERSION {
            return Err(Kind::Newer { found: version });
        }
        self.fill(HEADER - 4 - MAGIC.len() - 2)?;
        self.check(true)?;
        let mut r = Body(self.frame.get(12..).unwrap_or_default());
        self.written = r.time()?;
        self.marks = Marks {
            next_record: r.u64()?,
            next_version: r.u64()?,
        };
        Ok(())
    }

    fn read_item(&mut self) -> Result<Option<Item>, Kind> {
        self.frame.clear();
        self.fill(5)?;
        let mut r = Body(&self.frame);
        let [kind] = r.array()?;
        let said = u32::from_be_bytes(r.array()?);
        let len = usize::try_from(said).ok().filter(|len| *len <= MAX_FRAME);
        let len = len.ok_or(Kind::TooLong { len: said })?;
        self.fill(len)?;
        self.check(kind != b'Z')?;
        let body = self.frame.get(5..).unwrap_or_default();
        if kind == b'Z' {
            self.end()?;
            return Ok(None);
        }
        let item = Item::decode(kind, body)?;
        self.in_order(&item)?;
        self.totals.count(&item);
        Ok(Some(item))
    }

    /// Nothing stands twice, entries follow each other, and all lies below the marks.
    fn in_order(&mut self, item: &Item) -> Result<(), Kind> {
        match item {
            Item::Hold(_) => {}
            Item::Record(record) => {
                if self.last_record.is_some_and(|last| record.id <= last) {
                    return Err(Kind::Order("a record"));
                }
                if record.id >= self.marks.next_record {
                    return Err(Kind::Broken("a record lies above the high-water mark"));
                }
                self.last_record = Some(record.id);
            }
            Item::State(state) => {
                if self.last_key.as_ref().is_some_and(|last| state.key <= *last) {
                    return Err(Kind::Order("a value"));
                }
                if state.version >= self.marks.next_version {
                    return Err(Kind::Broken("a value lies above the high-water mark"));
                }
                self.last_key = Some(state.key.clone());
            }
            Item::Log(log) => {
                self.log_ends()?;
                if !self.logs.insert(log.name.as_str().to_owned()) {
                    return Err(Kind::Order("a log"));
                }
                let within = |at: &u64| (log.first..=log.next).contains(at);
                if log.first > log.next || !log.readers.iter().all(|(_, at)| within(at)) {
                    return Err(Kind::Broken("a log or a reader of it begins behind its end"));
                }
                self.log = Some((log.clone(), log.first));
            }
            Item::Entry(entry) => {
                let Some((log, expected)) = &mut self.log else {
                    return Err(Kind::Broken("an entry belongs to no log"));
                };
                if entry.position.0 != *expected || *expected >= log.next {
                    return Err(Kind::Order("an entry"));
                }
                *expected = expected.saturating_add(1);
            }
        }
        Ok(())
    }

    fn log_ends(&self) -> Result<(), Kind> {
        match &self.log {
            Some((log, expected)) if *expected != log.next => {
                Err(Kind::Broken("a log has fewer entries than it says"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Kind> {
        self.log_ends()?;
        let body = self.frame.get(5..).unwrap_or_default();
        if body.len() != END {
            return Err(Kind::Broken("the end is not as long as an end is"));
        }
        let mut r = Body(body);
        let said = Totals {
            holds: r.u64()?,
            records: r.u64()?,
            values: r.u64()?,
            logs: r.u64()?,
            entries: r.u64()?,
            octets: r.u64()?,
        };
        if said != self.totals || r.0 != self.digest.clone().finalize().as_slice() {
            return Err(Kind::Totals);
        }
        match self.source.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Kind::Tail),
            Err(error) => Err(Kind::Io(error)),
        }
    }
}
