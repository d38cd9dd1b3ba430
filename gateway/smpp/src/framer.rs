//! Cuts the byte stream into PDUs by command_length, before anything looks inside.
//!
//! ```text
//! 0        4        8        12       16
//! | length | id     | status | sequence | body …      all big endian; length counts itself
//! ```
//! Knows nothing of bodies. Invariant: whatever a PDU holds, the next one starts where this one's length says. A length
//! below 16 or above the limit cannot be followed: the framer stops for good. It holds what was handed in and not yet
//! cut, never more; a length alone allocates nothing.

use thiserror::Error;

/// Octets of a PDU header.
pub const HEADER: usize = 16;
/// Largest PDU taken unless configured otherwise.
pub const DEFAULT_MAX_PDU: u32 = 64 * 1024;

/// A command_length that no PDU can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("command_length {length} is not within 16 and {max}")]
pub struct BadLength {
    /// As received.
    pub length: u32,
    /// The largest taken.
    pub max: u32,
    /// sequence_number of the broken PDU, when its header was there; 0 otherwise.
    pub sequence: u32,
}

/// One whole PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// command_id.
    pub command_id: u32,
    /// command_status.
    pub status: u32,
    /// sequence_number.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
    /// All of it, header included.
    pub raw: &'a [u8],
}

/// The cutter.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    start: usize,
    max: u32,
    failed: Option<BadLength>,
}

impl Framer {
    /// Takes PDUs up to `max` octets (16 at least).
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            max: max.max(16),
            failed: None,
        }
    }

    /// More bytes, cut anywhere. Call [`Framer::next_frame`] until `None` before the next ones.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start.min(self.buffer.len()));
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole PDU.
    ///
    /// # Errors
    /// When the length is impossible, now and from then on.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, BadLength> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let rest = self.buffer.get(self.start..).unwrap_or(&[]);
        let Some(length) = word(rest, 0) else {
            return Ok(None);
        };
        let bad = if length < 16 || length > self.max {
            let sequence = if length < 16 {
                0
            } else {
                word(rest, 12).unwrap_or(0)
            };
            Some(BadLength {
                length,
                max: self.max,
                sequence,
            })
        } else {
            None
        };
        if let Some(bad) = bad {
            self.failed = Some(bad);
            self.buffer = Vec::new();
            self.start = 0;
            return Err(bad);
        }
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        // Looked up again because a borrow that is returned must not reach into the failure above.
        let Some(raw) = self.buffer.get(self.start..self.start.saturating_add(whole)) else {
            return Ok(None);
        };
        self.start = self.start.saturating_add(whole);
        let field = |at| word(raw, at).expect("a frame is at least its header");
        Ok(Some(Frame {
            command_id: field(4),
            status: field(8),
            sequence: field(12),
            body: raw.get(HEADER..).unwrap_or(&[]),
            raw,
        }))
    }

    /// Bytes held that are not a whole PDU yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk::<4>()
        .map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Cut = (u32, u32, u32, Vec<u8>);

    fn wire(pdus: &[Cut]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (id, status, sequence, body) in pdus {
            let length = u32::try_from(body.len() + HEADER).expect("short");
            for word in [length, *id, *status, *sequence] {
                bytes.extend_from_slice(&word.to_be_bytes());
            }
            bytes.extend_from_slice(body);
        }
        bytes
    }

    fn collect(framer: &mut Framer, into: &mut Vec<Cut>) -> Result<(), BadLength> {
        while let Some(frame) = framer.next_frame()? {
            into.push((
                frame.command_id,
                frame.status,
                frame.sequence,
                frame.body.to_vec(),
            ));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_cutting_of_the_stream_gives_the_same_pdus(
            pdus in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..200)), 0..12),
            sizes in prop::collection::vec(1usize..90, 1..40),
        ) {
            let bytes = wire(&pdus);
            let (mut framer, mut seen, mut rest) = (Framer::new(1000), Vec::new(), &bytes[..]);
            for size in sizes.iter().cycle() {
                let (head, tail) = rest.split_at((*size).min(rest.len()));
                framer.push(head);
                prop_assert!(collect(&mut framer, &mut seen).is_ok());
                prop_assert!(framer.pending() < 216);
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(seen, pdus);
            prop_assert_eq!(framer.pending(), 0);
        }

        #[test]
        fn random_bytes_never_panic_and_never_grow_beyond_what_was_given(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..20)) {
            let mut framer = Framer::new(DEFAULT_MAX_PDU);
            let mut given = 0;
            for chunk in &chunks {
                framer.push(chunk);
                given += chunk.len();
                let _ = collect(&mut framer, &mut Vec::new());
                prop_assert!(framer.buffer.len() <= given);
            }
        }
    }

    #[test]
    fn an_impossible_length_ends_it_for_good_after_the_pdus_before_it() {
        for (length, sequence) in [(0u32, 0), (15, 0), (1001, 7), (u32::MAX, 7)] {
            let mut bytes = wire(&[(0x15, 0, 1, vec![])]);
            for word in [length, 4, 0, 7] {
                bytes.extend_from_slice(&word.to_be_bytes());
            }
            bytes.extend(wire(&[(0x15, 0, 2, vec![])]));
            let (mut framer, mut seen) = (Framer::new(1000), Vec::new());
            framer.push(&bytes);
            let bad = BadLength {
                length,
                max: 1000,
                sequence,
            };
            assert_eq!(collect(&mut framer, &mut seen), Err(bad));
            assert_eq!(seen.len(), 1);
            framer.push(&bytes);
            assert_eq!(
                (collect(&mut framer, &mut seen), seen.len(), framer.pending()),
                (Err(bad), 1, 0)
            );
        }
    }
}
