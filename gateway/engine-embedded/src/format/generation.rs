//! Generations of records as they lie on the disk; drawn in format.rs, kept by turnover.rs.

use super::{Broken, Reader};
use smsgw_message::Timestamp;

/// What a generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// New records go into it: there is one at most, the last.
    Open,
    /// It has all the records that it will ever have.
    Sealed,
    /// Nothing of it counts; its keyspace and its marks are on their way out.
    Dropped,
}

/// The entry of a generation in `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) state: State,
    /// Its first record.
    pub(crate) first: u64,
    /// Behind its last record.
    pub(crate) end: u64,
    /// Its records before this are in `records`.
    pub(crate) from: u64,
    pub(crate) began: Timestamp,
}

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(33);
        out.push(match self.state {
            State::Open => 0,
            State::Sealed => 1,
            State::Dropped => 2,
        });
        for number in [self.first, self.end, self.from] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.began.as_millis().to_be_bytes());
        out
    }

    pub(crate) fn decode(entry: &[u8]) -> Result<Self, Broken> {
        let mut r = Reader(entry);
        let state = match r.u8()? {
            0 => State::Open,
            1 => State::Sealed,
            2 => State::Dropped,
            _ => return Err(Broken("state of a generation is unknown")),
        };
        let (first, end, from) = (r.u64()?, r.u64()?, r.u64()?);
        if first > end || !(first..=end).contains(&from) {
            return Err(Broken("bounds of a generation do not fit"));
        }
        Ok(Self {
            state,
            first,
            end,
            from,
            began: r.time()?,
        })
    }
}

/// The keyspace of a generation.
pub(crate) fn generation_name(number: u32) -> String {
    format!("g{number}")
}

/// The generation that a keyspace is of, if it is of one.
pub(crate) fn generation_number(keyspace: &str) -> Option<u32> {
    keyspace.strip_prefix('g')?.parse().ok()
}

/// Sorts behind the record `id` and before the next one.
pub(crate) fn anchor_key(id: u64) -> [u8; 9] {
    let mut out = [0; 9];
    for (to, from) in out.iter_mut().zip(id.to_be_bytes()) {
        *to = from;
    }
    out
}

pub(crate) fn chunk_key(number: u32, chunk: u32) -> [u8; 8] {
    let mut out = [0; 8];
    let (high, low) = out.split_at_mut(4);
    high.copy_from_slice(&number.to_be_bytes());
    low.copy_from_slice(&chunk.to_be_bytes());
    out
}

pub(crate) fn decode_chunk_key(key: &[u8]) -> Result<(u32, u32), Broken> {
    let mut r = Reader(key);
    Ok((r.u32()?, r.u32()?))
}

/// Bit n of the chunk is bit n % 64 of its word n / 64, the lowest first.
pub(crate) fn encode_chunk(words: &[u64; 8]) -> [u8; 64] {
    let mut out = [0; 64];
    for (to, word) in out.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    out
}

pub(crate) fn decode_chunk(entry: &[u8]) -> Result<[u64; 8], Broken> {
    let mut r = Reader(entry);
    let mut words = [0; 8];
    for word in &mut words {
        *word = r.u64()?;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_written_by_format_3_read_for_ever() {
        let entry = Entry {
            state: State::Sealed,
            first: 1,
            end: 0x0203,
            from: 2,
            began: Timestamp::from_millis(258),
        };
        let octets = entry.encode();
        assert_eq!(
            octets,
            *b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x02\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x01\x02"
        );
        assert_eq!(Entry::decode(&octets), Ok(entry));
        for end in 0..octets.len() {
            assert!(Entry::decode(&octets[..end]).is_err(), "cut at {end}");
        }
        assert!(Entry::decode(&[9; 33]).is_err());
    }

    #[test]
    fn anchors_lie_between_records_and_chunks_keep_their_bits() {
        let id = |id: u64| id.to_be_bytes();
        assert!(id(7)[..] < anchor_key(7)[..] && anchor_key(7)[..] < id(8)[..]);
        assert_eq!(decode_chunk_key(&chunk_key(3, 2047)), Ok((3, 2047)));
        let words = [1, 1 << 63, 2, 3, 4, 5, u64::MAX, 7];
        assert_eq!(decode_chunk(&encode_chunk(&words)), Ok(words));
        assert!(decode_chunk(&[0; 63]).is_err());
        assert_eq!(generation_number(&generation_name(12)), Some(12));
        assert_eq!(generation_number("gone"), None);
    }
}
