//! Finds the frames in one direction of a UCP session, whether or not anybody looks at them.
//!
//! Pure; knows nothing of fields. While nobody looks it only follows STX and ETX, so that looking can begin at any moment and
//! begins with a whole frame. Invariant FR-1: whatever is shown as a PDU is one frame from its STX to its ETX; of anything else at
//! most a header's length is shown, once for each gap. At most one frame's octets are held.

use super::cut::Cut;
use super::mask::FRAME_HEAD;
use smsgw_ucp::MAX_FRAME;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// One direction of a session.
#[derive(Debug, Default)]
pub(crate) struct FrameCutter {
    /// Octets of the session so far.
    at: u64,
    /// Between STX and ETX.
    is_inside: bool,
    /// The frame that is not whole yet, from its STX; empty when its beginning was not seen.
    partial: Vec<u8>,
    /// Octets shown of the gap before the next frame.
    strays: usize,
}

impl FrameCutter {
    /// Octets that have passed.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Follows what passes. With `looking`, shows each frame that ends here and began after looking did, and the beginning of
    /// what is no frame, with the number of octets before it.
    pub(crate) fn pass(&mut self, octets: &[u8], looking: bool, mut show: impl FnMut(u64, Cut<'_>)) {
        if !looking {
            self.partial = Vec::new();
            if let Some(mark) = octets.iter().rfind(|octet| matches!(**octet, STX | ETX)) {
                self.is_inside = *mark == STX;
            }
            self.at = self.at.saturating_add(count(octets.len()));
            return;
        }
        let mut rest = octets;
        while !rest.is_empty() {
            if self.is_inside {
                self.inside(&mut rest, &mut show);
            } else {
                self.between(&mut rest, &mut show);
            }
        }
    }

    /// What stands before the next frame; line ends, which some centres write there, are not worth showing.
    fn between(&mut self, rest: &mut &[u8], show: &mut impl FnMut(u64, Cut<'_>)) {
        let next = rest.iter().position(|octet| *octet == STX);
        let start = self.at;
        let gap = self.take(rest, next.unwrap_or(rest.len()));
        let shown = gap.get(..FRAME_HEAD.saturating_sub(self.strays)).unwrap_or(gap);
        if !shown.is_empty() && gap.iter().any(|octet| !matches!(*octet, b'\r' | b'\n' | ETX)) {
            self.strays = self.strays.saturating_add(shown.len());
            show(start, Cut::Garbage(shown));
        }
        if next.is_some() {
            self.begin(rest);
        }
    }

    fn begin(&mut self, rest: &mut &[u8]) {
        let stx = self.take(rest, 1);
        self.partial.clear();
        self.partial.extend_from_slice(stx);
        (self.is_inside, self.strays) = (true, 0);
    }

    fn inside(&mut self, rest: &mut &[u8], show: &mut impl FnMut(u64, Cut<'_>)) {
        let end = rest.iter().position(|octet| matches!(*octet, STX | ETX));
        let is_end = end.and_then(|end| rest.get(end)) == Some(&ETX);
        let piece = self.take(
            rest,
            end.map_or(rest.len(), |end| end.saturating_add(usize::from(is_end))),
        );
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(piece);
            let start = self.at.saturating_sub(count(self.partial.len()));
            let is_too_long = self.partial.len() > MAX_FRAME.saturating_add(2);
            if is_end && !is_too_long {
                show(start, Cut::Pdu(&self.partial));
            } else if end.is_some() || is_too_long {
                show(
                    start,
                    Cut::Garbage(self.partial.get(..FRAME_HEAD).unwrap_or(&self.partial)),
                );
            }
            if end.is_some() || is_too_long {
                self.partial = Vec::new();
            }
        }
        if is_end {
            self.is_inside = false;
        } else if end.is_some() {
            self.begin(rest);
        }
    }

    fn take<'a>(&mut self, rest: &mut &'a [u8], most: usize) -> &'a [u8] {
        let (taken, left) = rest.split_at(most.min(rest.len()));
        *rest = left;
        self.at = self.at.saturating_add(count(taken.len()));
        taken
    }
}

fn count(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes a stream in pieces of a size; what is seen from the piece `from` on.
    fn seen(stream: &[u8], piece: usize, from: usize) -> Vec<(u64, bool, Vec<u8>)> {
        let mut cutter = FrameCutter::default();
        let mut seen = Vec::new();
        for (n, octets) in stream.chunks(piece).enumerate() {
            cutter.pass(octets, n >= from, |at, cut| {
                let is_pdu = matches!(cut, Cut::Pdu(_));
                seen.push((at, is_pdu, cut.octets().to_vec()));
            });
            assert!(cutter.partial.len() <= MAX_FRAME + 2 + piece);
        }
        assert_eq!(cutter.at(), count(stream.len()));
        seen
    }

    #[test]
    fn every_frame_is_seen_whole_however_the_stream_is_cut_and_line_ends_are_not() {
        let frames: [&[u8]; 3] = [
            b"\x0200/a\x03",
            b"\x0201/longer than the others\x03",
            b"\x0202/\x03",
        ];
        let stream = [frames[0], b"\r\n", frames[1], frames[2]].concat();
        for piece in 1..=stream.len() {
            let seen = seen(&stream, piece, 0);
            let octets: Vec<&[u8]> = seen.iter().map(|(.., octets)| octets.as_slice()).collect();
            assert_eq!(octets, frames, "pieces of {piece}");
            let starts: Vec<u64> = seen.iter().map(|(at, ..)| *at).collect();
            assert_eq!(starts, [0, 8, 35], "pieces of {piece}");
        }
    }

    #[test]
    fn looking_begins_with_the_next_whole_frame() {
        let frames: [&[u8]; 4] = [b"\x02one\x03", b"\x02two\x03", b"\x02three\x03", b"\x02four\x03"];
        let stream = frames.concat();
        for piece in 1..12 {
            for from in 0..stream.len().div_ceil(piece) {
                let seen = seen(&stream, piece, from);
                assert!(
                    seen.iter().all(|(_, is_pdu, _)| *is_pdu),
                    "pieces of {piece} from {from}: {seen:?}"
                );
                let octets: Vec<&[u8]> = seen.iter().map(|(.., octets)| octets.as_slice()).collect();
                assert_eq!(octets, frames[4 - seen.len()..], "pieces of {piece} from {from}");
            }
        }
    }

    #[test]
    fn of_what_is_no_frame_only_a_head_is_seen() {
        let secret = "00/00060/O/60/12345/6/5/1/67656865696D//0100//////AB";
        let unfinished = format!("\u{2}{secret}\u{2}next\u{3}{secret}{secret}\u{2}last\u{3}");
        for piece in 1..unfinished.len() {
            let seen = seen(unfinished.as_bytes(), piece, 0);
            let frames: Vec<&[u8]> = seen
                .iter()
                .filter_map(|(_, is_pdu, octets)| is_pdu.then_some(octets.as_slice()))
                .collect();
            assert_eq!(frames, [b"\x02next\x03", b"\x02last\x03"]);
            let garbage: Vec<u8> = seen
                .iter()
                .filter(|(_, is_pdu, _)| !*is_pdu)
                .flat_map(|(.., octets)| octets.clone())
                .collect();
            assert!(garbage.len() <= 2 * FRAME_HEAD, "pieces of {piece}: {garbage:?}");
        }
        let endless = [vec![STX], vec![b'x'; 3 * MAX_FRAME], b"\x03\x02a\x03".to_vec()].concat();
        let seen = seen(&endless, 1000, 0);
        assert_eq!(seen.len(), 2, "a head, and the frame after it");
    }
}
