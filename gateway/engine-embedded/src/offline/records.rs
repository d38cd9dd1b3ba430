//! The part of a scan that reads records: those of generations and those of `records`, as one run in the order of their
//! numbers.
//!
//! Invariant: a record that can be read and is not known to be gone is handed on once, even where nobody knows any more
//! what its generation was.
//!
//! # Limits
//! Generations that overlap, which none that an engine wrote do, are read one after the other: records of the later
//! one whose numbers were passed are ready as they were published.

use super::OfflineError;
use super::report::What;
use super::scan::{Scan, Sink, hex};
use crate::bodies::CHUNK;
use crate::format::{
    GONE_HEAD, GenerationEntry, GenerationState, RECORDS_HEAD, Reader, decode_chunk, decode_chunk_key,
    generation_name, numbered_key,
};
use crate::generations::keyspaces;
use crate::walk::{Next, Walk};
use fjall::{Keyspace, UserValue};
use rustc_hash::FxHashMap;
use smsgw_queue::transfer::Item;
use std::collections::BTreeMap;
use std::iter::Peekable;

/// A generation that is read.
struct Run {
    number: u32,
    first: u64,
    /// What comes before is in `records`.
    from: u64,
    keyspace: Keyspace,
}

impl Run {
    /// Whether a record of it is in `records` now.
    fn moved(&self, id: u64) -> bool {
        (self.first..self.from).contains(&id)
    }
}

/// The number that a key begins with.
fn at(key: &[u8]) -> u64 {
    Reader(key).u64().unwrap_or(0)
}

/// A record, or what is in the place of some.
enum Piece {
    Record(u64, UserValue),
    /// A key that is none.
    Odd(Vec<u8>),
    Gap {
        after: Vec<u8>,
        until: Vec<u8>,
        why: String,
    },
}

impl Piece {
    fn of(next: Next) -> Self {
        match next {
            Next::Entry(key, entry) => match <[u8; 8]>::try_from(&*key) {
                Ok(id) => Self::Record(u64::from_be_bytes(id), entry),
                Err(_) => Self::Odd(key.to_vec()),
            },
            Next::Gap { after, until, why } => Self::Gap { after, until, why },
        }
    }

    /// Where it stands among the others.
    fn position(&self) -> u64 {
        match self {
            Self::Record(id, _) => *id,
            Self::Odd(key) => at(key),
            Self::Gap { after, .. } => at(after),
        }
    }
}

struct Pieces<'a>(Walk<'a>);

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        self.0.next().map(Piece::of)
    }
}

fn pieces<'a>(keyspace: &'a Keyspace, from: u64) -> Peekable<Pieces<'a>> {
    Pieces(Walk::new(keyspace, &from.to_be_bytes(), &RECORDS_HEAD)).peekable()
}

/// What is known to be gone, by generation and chunk.
type Marks = FxHashMap<(u32, u32), [u64; 8]>;

fn is_gone(run: &Run, id: u64, marks: &Marks) -> bool {
    let Some(offset) = id.checked_sub(run.first) else {
        return false;
    };
    let Ok(chunk) = u32::try_from(offset / CHUNK) else {
        return false;
    };
    let word = marks.get(&(run.number, chunk)).and_then(|words| {
        let word = usize::try_from(offset % CHUNK / 64).ok()?;
        words.get(word)
    });
    word.is_some_and(|word| word >> (offset % 64) & 1 == 1)
}

impl Scan<'_> {
    pub(super) fn records(&mut self, sink: Sink<'_>) -> Result<(), OfflineError> {
        let runs = self.runs()?;
        let marks = self.marks_of_gone();
        let held = self.held;
        let mut kept = pieces(&held.store.records, 0);
        let mut reading = Reading::new(held);
        for run in &runs {
            // From the first key on: a record that is not of it was written there by mistake, and counts.
            for piece in pieces(&run.keyspace, 0) {
                self.note_read();
                while let Some(before) = kept.next_if(|kept| kept.position() <= piece.position()) {
                    self.note_read();
                    self.piece(before, &mut reading, sink)?;
                }
                match &piece {
                    Piece::Record(id, _) if run.moved(*id) || is_gone(run, *id, &marks) => {}
                    Piece::Gap { after, until, .. } if run.moved(at(after)) && at(until) <= run.from => {}
                    Piece::Record(id, _) if *id < run.first => {
                        let number = run.number;
                        self.report.add(What::Misplaced, || {
                            format!("record {id} in {}", generation_name(number))
                        });
                        self.piece(piece, &mut reading, sink)?;
                    }
                    // An anchor.
                    Piece::Odd(key) if key.len() == 9 => {}
                    Piece::Record(..) | Piece::Odd(_) | Piece::Gap { .. } => {
                        self.piece(piece, &mut reading, sink)?;
                    }
                }
            }
        }
        for piece in kept {
            self.note_read();
            self.piece(piece, &mut reading, sink)?;
        }
        self.orphans(u64::MAX, &mut reading);
        Ok(())
    }

    fn piece(&mut self, piece: Piece, reading: &mut Reading<'_>, sink: Sink<'_>) -> Result<(), OfflineError> {
        let (id, entry) = match piece {
            Piece::Record(id, entry) => (id, entry),
            Piece::Odd(key) => {
                self.report
                    .add(What::Table, || format!("a record under the key {}", hex(&key)));
                return Ok(());
            }
            Piece::Gap { after, until, why } => {
                self.gap("records", &after, &until, &why);
                // What is known of records that cannot be read goes with them.
                let until = Reader(&until).u64().unwrap_or(u64::MAX);
                reading.gaps.push((Reader(&after).u64().unwrap_or(0), until));
                return Ok(());
            }
        };
        if reading.last == Some(id) {
            // Once in `records`, once in a generation whose entry is lost.
            return Ok(());
        }
        let moved = self.orphans(id, reading);
        reading.last = Some(id);
        if id >= self.marks.next_record {
            self.report.add(What::Number, || format!("record {id}"));
            self.marks.next_record = id.saturating_add(1);
        }
        let item = self.record(id, &entry, moved);
        sink(Item::Record(item))
    }

    /// Tells of moves before a record that are of no record; returns that of the record.
    fn orphans(&mut self, id: u64, reading: &mut Reading<'_>) -> Option<crate::format::Move> {
        let Reading { moves, gaps, .. } = reading;
        let mut orphans = Vec::new();
        let moved = moves.pass(id, &mut |orphan| orphans.push(orphan), &mut self.report);
        let told = |orphan: &u64| {
            !gaps
                .iter()
                .any(|(after, until)| (after..=until).contains(&orphan))
        };
        for orphan in orphans.into_iter().filter(told) {
            self.report.add(What::OrphanMove, || format!("record {orphan}"));
        }
        moved
    }

    /// Generations that count, by their first record.
    fn runs(&mut self) -> Result<Vec<Run>, OfflineError> {
        let store = &self.held.store;
        let mut there = keyspaces(store).map_err(|kind| super::open_error(&self.held.dir, kind))?;
        let mut entries: BTreeMap<u32, GenerationEntry> = BTreeMap::new();
        let mut walk = Walk::new(&store.meta, b"g", b"h");
        while let Some(next) = walk.next() {
            match next {
                Next::Entry(key, entry) => {
                    let number = Reader(key.get(1..).unwrap_or_default()).u32();
                    match (number, GenerationEntry::decode(&entry)) {
                        (Ok(number), Ok(entry)) => {
                            entries.insert(number, entry);
                        }
                        (Ok(_) | Err(_), _) => self.report.add(What::GenerationEntry, || hex(&key)),
                    }
                }
                Next::Gap { after, until, why } => self.gap("generations", &after, &until, &why),
            }
        }
        let mut runs = Vec::new();
        for (number, entry) in entries {
            match (entry.state, there.remove(&number)) {
                (GenerationState::Dropped, _) => {}
                (GenerationState::Open | GenerationState::Sealed, Some(keyspace)) => runs.push(Run {
                    number,
                    first: entry.first,
                    from: entry.from,
                    keyspace,
                }),
                (GenerationState::Open | GenerationState::Sealed, None) => {
                    self.report.add(What::Generation, || {
                        format!(
                            "{}: records {} to {}",
                            generation_name(number),
                            entry.from,
                            entry.end
                        )
                    });
                }
            }
        }
        for (number, keyspace) in there {
            let key = match keyspace.first_key_value().map(fjall::Guard::key) {
                // Made for a generation that never began.
                None => continue,
                Some(Ok(key)) => Reader(&key)
                    .u64()
                    .map(|id| (id, key.len() == 9))
                    .unwrap_or((0, false)),
                Some(Err(_)) => (0, false),
            };
            self.report.add(What::GenerationEntry, || {
                let entry = numbered_key(b'g', number);
                format!("{} has no entry {}", generation_name(number), hex(&entry))
            });
            // The first anchor stands right before the first record.
            let (id, is_anchor) = key;
            let first = if is_anchor { id.saturating_add(1) } else { id };
            runs.push(Run {
                number,
                first,
                from: first,
                keyspace,
            });
        }
        runs.sort_by_key(|run| run.first);
        Ok(runs)
    }

    fn marks_of_gone(&mut self) -> Marks {
        let mut marks = Marks::default();
        let mut walk = Walk::new(&self.held.store.gone, &[], &GONE_HEAD);
        while let Some(next) = walk.next() {
            match next {
                Next::Entry(key, entry) => match (decode_chunk_key(&key), decode_chunk(&entry)) {
                    (Ok(chunk), Ok(words)) => {
                        marks.insert(chunk, words);
                    }
                    (Ok(_) | Err(_), _) => self.report.add(What::Gone, || hex(&key)),
                },
                Next::Gap { after, until, why } => {
                    self.report.add(What::Gone, || {
                        format!("behind {}, before {}: {why}", hex(&after), hex(&until))
                    });
                }
            }
        }
        marks
    }
}

/// Where the reading of records is.
struct Reading<'a> {
    moves: super::scan::Moves<'a>,
    /// Numbers of records that cannot be read.
    gaps: Vec<(u64, u64)>,
    last: Option<u64>,
}

impl<'a> Reading<'a> {
    fn new(held: &'a super::Held) -> Self {
        Self {
            moves: super::scan::Moves::new(held),
            gaps: Vec::new(),
            last: None,
        }
    }
}
