//! UCP as the centre reads and writes it: octets, by hand (EMI-UCP 4.0 sections 3 to 6).
//!
//! Shares no codec with the gateway: what one misunderstands the other does not confirm. Knows no session. Invariant: reading
//! never leaves the slice it was given; a frame written states its length and its sum.

use crate::smsc::gsm;
use bytes::BytesMut;
use std::fmt::Write;

const STX: u8 = 2;
const ETX: u8 = 3;
/// Octets of a frame at most.
const LONGEST: usize = 8192;

/// A frame's header and the fields between it and the sum.
#[derive(Debug)]
pub(in crate::smsc) struct Frame<'a> {
    pub(in crate::smsc) trn: u8,
    pub(in crate::smsc) is_operation: bool,
    pub(in crate::smsc) ot: u8,
    pub(in crate::smsc) fields: Vec<&'a str>,
    /// Length and sum are right.
    pub(in crate::smsc) is_sound: bool,
}

impl<'a> Frame<'a> {
    pub(super) fn field(&self, at: usize) -> &'a str {
        self.fields.get(at).copied().unwrap_or_default()
    }
}

/// What stands at the front of a stream.
#[derive(Debug)]
pub(in crate::smsc) enum Cut<'a> {
    /// A frame, and how many octets it took.
    Frame(Frame<'a>, usize),
    /// Octets that are no frame.
    Noise(usize),
    /// Not all of it yet.
    Partial,
}

pub(in crate::smsc) fn cut(stream: &[u8]) -> Cut<'_> {
    let Some(start) = stream.iter().position(|octet| *octet == STX) else {
        return if stream.is_empty() {
            Cut::Partial
        } else {
            Cut::Noise(stream.len())
        };
    };
    if start > 0 {
        return Cut::Noise(start);
    }
    let Some(end) = stream.iter().position(|octet| *octet == ETX) else {
        return if stream.len() > LONGEST {
            Cut::Noise(stream.len())
        } else {
            Cut::Partial
        };
    };
    let taken = end.saturating_add(1);
    let inner = stream
        .get(1..end)
        .and_then(|octets| std::str::from_utf8(octets).ok());
    inner
        .and_then(read)
        .map_or(Cut::Noise(taken), |frame| Cut::Frame(frame, taken))
}

fn read(inner: &str) -> Option<Frame<'_>> {
    let (summed, sum) = inner.rsplit_once('/')?;
    let mut fields = summed.split('/');
    let (trn, length, kind, ot) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let right =
        u8::from_str_radix(sum, 16).is_ok_and(|sum| sum == sum_of(summed.as_bytes()).wrapping_add(b'/'));
    Some(Frame {
        trn: trn.parse().ok().filter(|trn| *trn < 100)?,
        is_operation: match kind {
            "O" => true,
            "R" => false,
            _ => return None,
        },
        ot: ot.parse().ok()?,
        fields: fields.collect(),
        is_sound: right && length.parse() == Ok(inner.len()) && length.len() == 5,
    })
}

fn sum_of(octets: &[u8]) -> u8 {
    octets.iter().fold(0, |sum, octet| sum.wrapping_add(*octet))
}

/// Appends a frame; `spoil` is added to its sum.
pub(in crate::smsc) fn put(
    out: &mut BytesMut,
    trn: u8,
    is_operation: bool,
    ot: u8,
    fields: &[&str],
    spoil: u8,
) {
    let body = fields.join("/");
    // TRN, LEN, O or R, OT, the four slashes behind them, the slash behind the body, the sum.
    let length = body.len().saturating_add(17);
    let kind = if is_operation { 'O' } else { 'R' };
    let text = format!("{trn:02}/{length:05}/{kind}/{ot:02}/{body}/");
    let sum = sum_of(text.as_bytes()).wrapping_add(spoil);
    out.extend_from_slice(format!("\u{2}{text}{sum:02X}\u{3}").as_bytes());
}

pub(in crate::smsc) fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
            write!(text, "{octet:02X}").expect("a string takes all");
            text
        })
}

pub(in crate::smsc) fn unhex(text: &str) -> Option<Vec<u8>> {
    let octets = text.as_bytes();
    if !octets.len().is_multiple_of(2) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    octets.chunks(2).map(pair).collect()
}

/// The data of a service in XSer.
pub(in crate::smsc) fn service(xser: &str, wanted: u8) -> Option<Vec<u8>> {
    let octets = unhex(xser)?;
    let mut rest = octets.as_slice();
    while let [kind, length, tail @ ..] = rest {
        let (data, next) = tail.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return Some(data.to_vec());
        }
        rest = next;
    }
    None
}

/// A name under OTOA 5039, as text.
pub(in crate::smsc) fn name(oadc: &str) -> Option<String> {
    let octets = unhex(oadc)?;
    let (semi_octets, packed) = octets.split_first()?;
    let count = usize::from(*semi_octets).saturating_mul(4) / 7;
    let mut bits = packed
        .iter()
        .flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1));
    let septets: Vec<u8> = (0..count)
        .map(|_| (0..7).map(|place| bits.next().unwrap_or(0) << place).sum())
        .collect();
    Some(gsm::decode(&septets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read_and_written() {
        let example = b"\x0200/00070/O/01/01234567890/09876543210//3/53686F7274204D657373616765/D9\x03";
        let Cut::Frame(frame, taken) = cut(example) else {
            panic!()
        };
        assert_eq!(
            (frame.trn, frame.ot, frame.is_operation, frame.is_sound),
            (0, 1, true, true)
        );
        assert_eq!((taken, frame.field(0)), (example.len(), "01234567890"));
        let mut out = BytesMut::new();
        put(&mut out, 0, true, 1, &frame.fields, 0);
        assert_eq!(out, example[..]);
        let mut spoiled = BytesMut::new();
        put(&mut spoiled, 0, true, 1, &frame.fields, 1);
        assert!(matches!(
            cut(&spoiled),
            Cut::Frame(Frame { is_sound: false, .. }, _)
        ));
        assert_eq!(name("10412614190438AB4D").as_deref(), Some("ALPHA@NUM"));
    }

    #[test]
    fn noise_is_passed_over_and_a_half_waits() {
        assert!(matches!(cut(b"\r\n\x02x"), Cut::Noise(2)));
        assert!(matches!(cut(b"\x02nothing\x03"), Cut::Noise(9)));
        assert!(matches!(cut(b"\x0200/"), Cut::Partial));
        assert_eq!(service("01060500030A0201020108", 2), Some(vec![8]));
        assert_eq!(service("0106", 1), None);
    }
}
