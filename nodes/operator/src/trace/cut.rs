//! Finds the PDUs in one direction of an SMPP session, whether or not anybody looks at them.
//!
//! Pure; knows nothing of bodies. While nobody looks it only follows command_length, so that looking can begin at any
//! moment and begins with a whole PDU. Invariant CU-1: whatever is shown is one whole PDU, and holds at most one PDU's
//! octets meanwhile. Invariant CU-2: after a length that cannot be (SMPP 3.4 section 5.1.1; below 16 or above the framer's
//! limit) nothing more is shown but that header: the session ends there too.

use smsgw_smpp::framer::DEFAULT_MAX_PDU;
use std::ops::ControlFlow;

/// Octets of command_length.
const LENGTH: usize = 4;
/// Octets of a PDU header.
const HEADER: usize = 16;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut<'a> {
    /// A whole PDU.
    Pdu(&'a [u8]),
    /// The beginning, at most a header, of something that is none.
    Garbage(&'a [u8]),
}

impl<'a> Cut<'a> {
    /// What was found, as octets.
    pub(crate) fn octets(self) -> &'a [u8] {
        match self {
            Self::Pdu(octets) | Self::Garbage(octets) => octets,
        }
    }
}

/// One direction of a session.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// Octets of the session so far.
    at: u64,
    /// The PDU that is not whole yet, from its first octet; nobody looks: at most its length.
    partial: Vec<u8>,
    /// Octets of a PDU that are not looked at.
    skip: usize,
    lost: bool,
}

impl Cutter {
    /// Octets that have passed.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Follows what passes. With `looking`, shows each PDU that ends here and began after looking did, with the
    /// number of octets before it.
    pub(crate) fn pass(&mut self, octets: &[u8], looking: bool, mut show: impl FnMut(u64, Cut<'_>)) {
        let mut rest = octets;
        while !rest.is_empty() && !self.lost {
            if let ControlFlow::Break(()) = self.step(&mut rest, looking, &mut show) {
                self.lost = true;
                self.partial = Vec::new();
            }
        }
        self.at = self.at.saturating_add(count(rest.len()));
    }

    fn step(
        &mut self,
        rest: &mut &[u8],
        looking: bool,
        show: &mut impl FnMut(u64, Cut<'_>),
    ) -> ControlFlow<()> {
        if self.skip > 0 {
            self.skip -= self.take(rest, self.skip).len();
            return ControlFlow::Continue(());
        }
        if self.partial.is_empty()
            && let Some(head) = rest.first_chunk::<LENGTH>()
        {
            let Some(length) = length(head) else {
                if looking {
                    let start = rest.get(..HEADER).unwrap_or(rest);
                    show(self.at, Cut::Garbage(start));
                }
                return ControlFlow::Break(());
            };
            if !looking {
                self.skip = length;
            } else if rest.len() >= length {
                let start = self.at;
                show(start, Cut::Pdu(self.take(rest, length)));
            } else {
                let piece = self.take(rest, length);
                self.partial.extend_from_slice(piece);
            }
            return ControlFlow::Continue(());
        }
        self.gather(rest, looking, show)
    }

    /// A PDU whose octets come in pieces.
    fn gather(
        &mut self,
        rest: &mut &[u8],
        looking: bool,
        show: &mut impl FnMut(u64, Cut<'_>),
    ) -> ControlFlow<()> {
        let whole = match self.partial.first_chunk::<LENGTH>() {
            None => LENGTH,
            Some(head) => length(head).unwrap_or(LENGTH),
        };
        let piece = self.take(rest, whole.saturating_sub(self.partial.len()));
        self.partial.extend_from_slice(piece);
        let Some(head) = self.partial.first_chunk::<LENGTH>() else {
            return ControlFlow::Continue(());
        };
        let start = self.at.saturating_sub(count(self.partial.len()));
        let Some(length) = length(head) else {
            if looking {
                show(start, Cut::Garbage(&self.partial));
            }
            return ControlFlow::Break(());
        };
        if !looking {
            self.skip = length.saturating_sub(self.partial.len());
            self.partial = Vec::new();
        } else if self.partial.len() >= length {
            show(start, Cut::Pdu(&self.partial));
            self.partial.clear();
        }
        ControlFlow::Continue(())
    }

    fn take<'a>(&mut self, rest: &mut &'a [u8], most: usize) -> &'a [u8] {
        let (taken, left) = rest.split_at(most.min(rest.len()));
        *rest = left;
        self.at = self.at.saturating_add(count(taken.len()));
        taken
    }
}

/// command_length, when a PDU can have it.
fn length(head: &[u8; LENGTH]) -> Option<usize> {
    let length = u32::from_be_bytes(*head);
    let fits = (16..=DEFAULT_MAX_PDU).contains(&length);
    usize::try_from(length).ok().filter(|_| fits)
}

fn count(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pdu(sequence: u8, body: usize) -> Vec<u8> {
        let length = u32::try_from(16 + body).unwrap();
        let mut pdu = length.to_be_bytes().to_vec();
        pdu.extend([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, sequence]);
        pdu.resize(16 + body, sequence);
        pdu
    }

    /// Passes a stream in pieces of a size; what is seen from the piece `from` on.
    fn seen(stream: &[u8], piece: usize, from: usize) -> Vec<(u64, Vec<u8>)> {
        let mut cutter = Cutter::default();
        let mut seen = Vec::new();
        for (n, octets) in stream.chunks(piece).enumerate() {
            cutter.pass(octets, n >= from, |at, cut| {
                assert!(matches!(cut, Cut::Pdu(_)));
                seen.push((at, cut.octets().to_vec()));
            });
        }
        assert_eq!(cutter.at(), count(stream.len()));
        seen
    }

    #[test]
    fn every_pdu_is_seen_whole_however_the_stream_is_cut() {
        let pdus = [pdu(1, 0), pdu(2, 100), pdu(3, 1), pdu(4, 40)];
        let stream = pdus.concat();
        for piece in 1..=stream.len() {
            let seen = seen(&stream, piece, 0);
            let octets: Vec<Vec<u8>> = seen.iter().map(|(_, octets)| octets.clone()).collect();
            assert_eq!(octets, pdus, "pieces of {piece}");
            let starts: Vec<u64> = seen.iter().map(|(at, _)| *at).collect();
            assert_eq!(starts, [0, 16, 132, 149], "pieces of {piece}");
        }
    }

    #[test]
    fn looking_begins_with_the_next_whole_pdu() {
        let pdus = [pdu(1, 0), pdu(2, 100), pdu(3, 1), pdu(4, 40)];
        let stream = pdus.concat();
        for piece in 1..40 {
            for from in 0..stream.len().div_ceil(piece) {
                let seen = seen(&stream, piece, from);
                let first = pdus.len() - seen.len();
                let octets: Vec<Vec<u8>> = seen.iter().map(|(_, octets)| octets.clone()).collect();
                assert_eq!(octets, pdus[first..], "pieces of {piece} from {from}");
                let unseen: usize = pdus[..first].iter().map(Vec::len).sum();
                assert!(
                    unseen <= from * piece + 100 + 16,
                    "at most the PDU that was under way is missed"
                );
            }
        }
    }

    #[test]
    fn what_is_no_pdu_is_shown_once_and_followed_no_further() {
        let mut stream = pdu(1, 3);
        stream.extend(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        stream.extend(pdu(2, 0));
        for piece in 1..stream.len() {
            let mut cutter = Cutter::default();
            let mut seen = Vec::new();
            for octets in stream.chunks(piece) {
                cutter.pass(octets, true, |at, cut| match cut {
                    Cut::Pdu(octets) => seen.push((at, octets.to_vec())),
                    Cut::Garbage(octets) => {
                        assert!((4..=16).contains(&octets.len()) && stream[19..].starts_with(octets));
                        seen.push((at, b"garbage".to_vec()));
                    }
                });
            }
            assert_eq!(
                seen,
                [(0, pdu(1, 3)), (19, b"garbage".to_vec())],
                "pieces of {piece}"
            );
        }
        for bad in [0, 15, DEFAULT_MAX_PDU + 1, u32::MAX] {
            assert_eq!(length(&bad.to_be_bytes()), None);
        }
    }
}
