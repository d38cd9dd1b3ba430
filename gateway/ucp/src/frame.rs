//! Frames: where one begins and ends, its header, length and checksum (EMI-UCP 4.0 section 3).
//!
//! ```text
//! STX TRN / LEN / O|R / OT / data … / checksum ETX
//!     00    00113  O    51   AdC/OAdC/…  hex of the sum
//! ```
//! - TRN, two digits: pairs a result with its operation.
//! - LEN, five digits: the octets between STX and ETX.
//! - The checksum is the sum of the octets from the first of TRN to the last `/`, its low eight bits as two hex digits.
//!
//! Knows no operation. Invariants: the [`Framer`] stays in step whatever comes: STX always begins a frame, what stands
//! between frames is skipped and counted, and it never holds more than [`MAX_FRAME`] octets of one frame.

use std::fmt;
use thiserror::Error;

/// Octets between STX and ETX at most. LEN would allow 99,999; the longest operation of the standard has below 1,000.
pub const MAX_FRAME: usize = 8 * 1024;
const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// Transaction reference number, 00 to 99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Trn(u8);

impl Trn {
    /// How many there are.
    pub const COUNT: usize = 100;

    /// `None` above 99.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 100 { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Trn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// Number of an operation, `OT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationType(pub u8);

impl fmt::Display for OperationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// Header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which transaction.
    pub trn: Trn,
    /// An operation, else a result.
    pub is_operation: bool,
    /// Which operation, or of which one this is the result.
    pub ot: OperationType,
}

/// A frame that was cut and checked; `data` are its fields between header and checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub head: Head,
    /// The fields, in their order.
    pub data: Vec<&'a [u8]>,
}

/// What is wrong with a frame. The header stands beside it when it can be read: then the peer can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// No header of two digits, five digits, `O` or `R`, two digits.
    #[error("the header cannot be read")]
    Header,
    /// LEN is not the number of octets.
    #[error("LEN says {said}, the frame has {found} octets")]
    Length {
        /// What LEN says.
        said: usize,
        /// Octets between STX and ETX.
        found: usize,
    },
    /// The checksum is another one.
    #[error("the checksum is not that of the frame")]
    Checksum,
}

/// Cuts a stream into frames.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Octets at the front of the buffer that were given out.
    taken: usize,
    skipped: Skipped,
}

/// What the framer had to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Octets that stood outside of frames (other than the line ends that some centres write there).
    pub octets: u64,
    /// Frames without an end: a new one began, or they grew too long.
    pub frames: u64,
}

impl Framer {
    /// Takes octets of the peer.
    pub fn push(&mut self, octets: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole frame: what stands between STX and ETX. `None`: more octets are needed.
    pub fn next_frame(&mut self) -> Option<&[u8]> {
        loop {
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            let Some(start) = rest.iter().position(|octet| *octet == STX) else {
                self.skipped.octets += stray(rest);
                self.taken = self.buffer.len();
                return None;
            };
            self.skipped.octets += stray(rest.get(..start).unwrap_or_default());
            let from = self.taken.saturating_add(start).saturating_add(1);
            let body = self.buffer.get(from..).unwrap_or_default();
            match body.iter().position(|octet| matches!(*octet, STX | ETX)) {
                Some(end) if body.get(end) == Some(&ETX) && end <= MAX_FRAME => {
                    let to = from.saturating_add(end);
                    self.taken = to.saturating_add(1);
                    return self.buffer.get(from..to);
                }
                // Its end is missing: the STX found begins the next one, an ETX ends one that is too long.
                Some(end) => {
                    self.skipped.frames += 1;
                    self.taken = from.saturating_add(end);
                }
                None if body.len() > MAX_FRAME => {
                    self.skipped.frames += 1;
                    self.taken = self.buffer.len();
                    return None;
                }
                None => {
                    self.taken = from.saturating_sub(1);
                    return None;
                }
            }
        }
    }

    /// What was left out since this was asked last.
    pub fn take_skipped(&mut self) -> Skipped {
        std::mem::take(&mut self.skipped)
    }

    /// Octets that are no whole frame yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len().saturating_sub(self.taken)
    }
}

fn stray(octets: &[u8]) -> u64 {
    let strays = octets
        .iter()
        .filter(|octet| !matches!(**octet, b'\r' | b'\n' | ETX));
    u64::try_from(strays.count()).unwrap_or(u64::MAX)
}

impl<'a> Frame<'a> {
    /// Reads what stands between STX and ETX.
    ///
    /// # Errors
    /// What is wrong, with the header where it can be read.
    pub fn read(octets: &'a [u8]) -> Result<Self, (FrameError, Option<Head>)> {
        let mut data: Vec<&[u8]> = octets.split(|octet| *octet == b'/').collect();
        let (head, said) = header(&data).ok_or((FrameError::Header, None))?;
        let wrong = |error| (error, Some(head));
        if said != octets.len() {
            let found = octets.len();
            return Err(wrong(FrameError::Length { said, found }));
        }
        let checksum = data.pop().unwrap_or_default();
        let summed = octets
            .get(..octets.len().saturating_sub(checksum.len()))
            .unwrap_or_default();
        if !hex(sum(summed)).eq_ignore_ascii_case(checksum) {
            return Err(wrong(FrameError::Checksum));
        }
        data.drain(..4.min(data.len()));
        Ok(Self { head, data })
    }
}

fn header(fields: &[&[u8]]) -> Option<(Head, usize)> {
    // Four fields of header and the checksum are there at least.
    let &[trn, length, kind, ot, _, ..] = fields else {
        return None;
    };
    let trn = Trn::new(u8::try_from(digits(trn, 2)?).ok()?)?;
    let ot = OperationType(u8::try_from(digits(ot, 2)?).ok()?);
    let is_operation = match kind {
        b"O" => true,
        b"R" => false,
        _ => return None,
    };
    let head = Head {
        trn,
        is_operation,
        ot,
    };
    Some((head, digits(length, 5)?))
}

/// A number of exactly so many digits.
fn digits(text: &[u8], count: usize) -> Option<usize> {
    if text.len() != count || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Appends a frame with these fields.
pub(crate) fn write<'a>(head: Head, fields: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(format!("\x02{}/00000/", head.trn).as_bytes());
    out.push(if head.is_operation { b'O' } else { b'R' });
    out.extend_from_slice(format!("/{}/", head.ot).as_bytes());
    for field in fields {
        out.extend_from_slice(field.as_bytes());
        out.push(b'/');
    }
    // Without STX, and with the two octets of the checksum.
    let length = out.len().saturating_sub(begin).saturating_add(1);
    if let Some(place) = out.get_mut(begin.saturating_add(4)..begin.saturating_add(9)) {
        place.copy_from_slice(format!("{:05}", length.min(99_999)).as_bytes());
    }
    let checksum = sum(out.get(begin.saturating_add(1)..).unwrap_or_default());
    out.extend_from_slice(&hex(checksum));
    out.push(ETX);
}

fn sum(octets: &[u8]) -> u8 {
    octets.iter().fold(0, |sum: u8, octet| sum.wrapping_add(*octet))
}

fn hex(octet: u8) -> [u8; 2] {
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + (nibble - 10),
    };
    [digit(octet >> 4), digit(octet & 0x0F)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A call input operation and its answer, with the checksums that the standard's examples have.
    const EXAMPLE: &str = "00/00070/O/01/01234567890/09876543210//3/53686F7274204D657373616765/D9";

    fn frames(framer: &mut Framer) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| framer.next_frame().map(<[u8]>::to_vec)).collect()
    }

    fn written(head: Head, fields: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        write(head, fields.iter().copied(), &mut out);
        out
    }

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let frame = Frame::read(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((frame.head.trn.number(), frame.head.ot), (0, OperationType(1)));
        assert!(frame.head.is_operation);
        let fields: Vec<&str> = frame
            .data
            .iter()
            .map(|f| std::str::from_utf8(f).unwrap())
            .collect();
        assert_eq!(
            fields,
            [
                "01234567890",
                "09876543210",
                "",
                "3",
                "53686F7274204D657373616765"
            ]
        );
        assert_eq!(
            written(frame.head, &fields),
            format!("\x02{EXAMPLE}\x03").into_bytes()
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_the_header_kept() {
        let read = |text: &str| Frame::read(text.as_bytes()).unwrap_err();
        for text in [
            "",
            "/",
            "00/00070/X/01/x/D9",
            "0/00070/O/01//D9",
            "00/00070/O/1//D9",
            "00/+0070/O/01//D9",
        ] {
            assert_eq!(read(text), (FrameError::Header, None), "{text}");
        }
        let (error, head) = read(&EXAMPLE.replace("00070", "00071"));
        assert_eq!(error, FrameError::Length { said: 71, found: 70 });
        assert_eq!(head.unwrap().ot, OperationType(1));
        assert_eq!(read(&EXAMPLE.replace("D9", "D8")).0, FrameError::Checksum);
        assert!(Frame::read(EXAMPLE.replace("D9", "d9").as_bytes()).is_ok());
    }

    #[test]
    fn strays_are_skipped_and_an_unfinished_frame_gives_way_to_the_next() {
        let mut framer = Framer::default();
        framer.push(b"hello\r\n\x0200/lost\x02a\x03\x03\r\n\x02b");
        assert_eq!(frames(&mut framer), [b"a".to_vec()]);
        assert_eq!(framer.take_skipped(), Skipped { octets: 5, frames: 1 });
        framer.push(b"c\x03");
        assert_eq!(frames(&mut framer), [b"bc".to_vec()]);
        assert_eq!((framer.held(), framer.take_skipped()), (0, Skipped::default()));
    }

    #[test]
    fn a_frame_without_end_is_not_kept() {
        let mut framer = Framer::default();
        framer.push(&[STX]);
        for _ in 0..100 {
            framer.push(&[b'x'; 1000]);
            assert_eq!(framer.next_frame(), None);
            assert!(framer.held() <= MAX_FRAME + 1000);
        }
        framer.push(b"\x03\x02a\x03");
        assert_eq!(frames(&mut framer), [b"a".to_vec()]);
        assert_eq!(framer.take_skipped().frames, 1);
    }

    proptest! {
        #[test]
        fn frames_cut_anywhere_come_out_whole(
            fields in prop::collection::vec("[0-9A-F]{0,20}", 0..12), trn in 0u8..100, ot in 0u8..100,
            operation: bool, cut in 1usize..40, count in 1usize..6,
        ) {
            let head = Head { trn: Trn::new(trn).unwrap(), is_operation: operation, ot: OperationType(ot) };
            let one = written(head, &fields.iter().map(String::as_str).collect::<Vec<_>>());
            let mut framer = Framer::default();
            let mut found = Vec::new();
            for piece in one.repeat(count).chunks(cut) {
                framer.push(piece);
                found.extend(frames(&mut framer));
            }
            prop_assert_eq!(found.len(), count);
            for frame in &found {
                let frame = Frame::read(frame).unwrap();
                prop_assert_eq!(frame.head, head);
                prop_assert_eq!(frame.data.len(), fields.len());
                prop_assert!(frame.data.iter().zip(&fields).all(|(a, b)| *a == b.as_bytes()));
            }
            prop_assert_eq!(framer.take_skipped(), Skipped::default());
        }

        #[test]
        fn whatever_comes_it_stays_in_step(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut framer = Framer::default();
            framer.push(&noise);
            frames(&mut framer).iter().for_each(|frame| { Frame::read(frame).ok(); });
            framer.push(b"\x03\x02a\x03");
            let last = frames(&mut framer).pop();
            prop_assert_eq!(last, Some(b"a".to_vec()));
        }
    }
}
