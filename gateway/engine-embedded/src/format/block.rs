//! What one group appended to a log: as it lies on the disk (drawn in format.rs), and so it is kept in memory (logs.rs).
//!
//! One piece of memory however many entries it has: the thousands that a reader has passed are let go of at once, between two
//! groups, and by themselves they were milliseconds for which every answer waited.
//! Invariant: entries are counted as they are pushed, so the octets are whole at any time.

use super::{Broken, Reader};
use bytes::Bytes;

/// Octets of a number: how many entries there are, and how long each is.
const NUMBER: usize = 4;

/// Octets of a block that is begun: those of a large group are there at once, and what is kept is cut to its size.
const ROOM: usize = 16 * 1024;

/// A block that grows.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    octets: Vec<u8>,
    /// Where each entry ends.
    ends: Vec<u32>,
}

impl Encoder {
    pub(crate) fn push(&mut self, entry: &[u8]) {
        let number = |n: usize| u32::try_from(n).expect("a group is far smaller than 4 GiB");
        if self.ends.is_empty() {
            self.octets.reserve(ROOM);
            self.octets.extend_from_slice(&[0; NUMBER]);
        }
        self.octets.extend_from_slice(&number(entry.len()).to_be_bytes());
        self.octets.extend_from_slice(entry);
        self.ends.push(number(self.octets.len()));
        let count = number(self.ends.len()).to_be_bytes();
        for (to, from) in self.octets.iter_mut().zip(count) {
            *to = from;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// As it is stored; nothing where it is empty.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    pub(crate) fn end(self) -> Block {
        Block {
            octets: Bytes::copy_from_slice(&self.octets),
            ends: self.ends,
        }
    }
}

/// A block that is whole.
#[derive(Debug)]
pub(crate) struct Block {
    octets: Bytes,
    ends: Vec<u32>,
}

impl Block {
    pub(crate) fn decode(octets: Bytes) -> Result<Self, Broken> {
        let mut r = Reader(&octets);
        let count = r.u32()?;
        let mut ends = Vec::new();
        for _ in 0..count {
            r.long()?;
            let end = octets.len().saturating_sub(r.0.len());
            ends.push(u32::try_from(end).map_err(|_| Broken("block is larger than 4 GiB"))?);
        }
        if r.0.is_empty() {
            Ok(Self { octets, ends })
        } else {
            Err(Broken("block has a tail"))
        }
    }

    /// How many entries it has.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.ends.len()).unwrap_or(u64::MAX)
    }

    /// What it takes in memory, about.
    pub(crate) fn cost(&self) -> u64 {
        let octets = self
            .octets
            .len()
            .saturating_add(self.ends.len().saturating_mul(NUMBER));
        u64::try_from(octets).unwrap_or(u64::MAX).saturating_add(128)
    }

    /// Its entries from the n-th on, sharing its memory.
    pub(crate) fn from(&self, n: u64) -> impl Iterator<Item = Bytes> {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let place = |end: &u32| usize::try_from(*end).unwrap_or(usize::MAX);
        let before = n.checked_sub(1).and_then(|last| self.ends.get(last));
        let ends = self.ends.get(n..).unwrap_or_default();
        ends.iter().scan(before.map_or(NUMBER, place), move |begin, end| {
            let entry = begin.saturating_add(NUMBER)..place(end);
            *begin = entry.end;
            Some(self.octets.slice(entry))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_pushed_is_there_from_any_entry_on(entries in vec(vec(any::<u8>(), 0..20), 1..20), from in 0..25_usize) {
            let mut encoder = Encoder::default();
            for entry in &entries {
                encoder.push(entry);
            }
            let stored = Bytes::copy_from_slice(encoder.octets());
            for block in [encoder.end(), Block::decode(stored.clone()).unwrap()] {
                prop_assert_eq!(usize::try_from(block.count()).unwrap(), entries.len());
                let found: Vec<Bytes> = block.from(u64::try_from(from).unwrap()).collect();
                prop_assert_eq!(found.as_slice(), entries.get(from..).unwrap_or_default());
            }
            for n in 0..stored.len() {
                prop_assert!(Block::decode(stored.slice(..n)).is_err());
            }
            let tail = [&stored, b"x".as_slice()].concat();
            prop_assert!(Block::decode(tail.into()).is_err());
        }
    }

    #[test]
    fn a_block_of_nothing_takes_no_octets() {
        assert!(Encoder::default().is_empty());
        assert_eq!(Encoder::default().octets(), b"");
        assert_eq!(Encoder::default().end().from(0).next(), None);
    }
}
