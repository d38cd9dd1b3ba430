//! Where a body is cut.
//!
//! Invariant SG-2 of `segment` lives here: between characters only.

use crate::gsm7::ESC;
use crate::text::Encoding;

/// The bodies of the parts, in order; never empty ones.
pub(super) struct Cuts<'a> {
    encoding: Encoding,
    rest: &'a [u8],
    room_octets: usize,
}

impl<'a> Cuts<'a> {
    /// `room` is at least that of the longest character, in units.
    pub(super) const fn new(encoding: Encoding, units: &'a [u8], room: usize) -> Self {
        Self {
            encoding,
            rest: units,
            room_octets: room * encoding.unit_octets(),
        }
    }
}

impl<'a> Iterator for Cuts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (full, behind) = match self.rest.split_at_checked(self.room_octets) {
            Some((full, behind)) if !behind.is_empty() => (full, behind),
            Some(_) | None => return Some(std::mem::take(&mut self.rest)),
        };
        let keep = full.len() - octets_of_cut_pair(self.encoding, full, behind);
        let (data, rest) = self.rest.split_at(keep);
        self.rest = rest;
        Some(data)
    }
}

/// Octets at the end of `full` that belong to a pair whose other half is at the start of `behind`.
fn octets_of_cut_pair(encoding: Encoding, full: &[u8], behind: &[u8]) -> usize {
    match encoding {
        Encoding::Latin1 | Encoding::Binary => 0,
        Encoding::Gsm7 => {
            // Parts begin between characters, so an escape opens a pair exactly when the run of
            // escapes it ends is odd: a doubled escape is a pair of its own.
            let escapes = full.iter().rev().take_while(|unit| **unit == ESC).count();
            escapes % 2
        }
        Encoding::Ucs2 => {
            let high = matches!(full, [.., 0xD8..=0xDB, _]);
            let low = matches!(behind, [0xDC..=0xDF, ..]);
            if high && low { 2 } else { 0 }
        }
    }
}
