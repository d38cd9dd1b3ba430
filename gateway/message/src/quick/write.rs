//! Writes records as minicbor writes them, octet for octet.
//!
//! minicbor passes each item through four calls and asks after every step whether the vector failed. Invariant QW-1: what is
//! written here is what minicbor writes; a build with debug assertions compares the two, so every test does.

use super::{ARRAY, BYTES, FALSE, NEGATIVE, NULL, TEXT, TRUE, UNSIGNED};
use crate::{ClientId, LinkGroup, LinkId, MessageId, OperatorId, Timestamp};
use minicbor::bytes::ByteVec;
use smol_str::SmolStr;

/// Writes a body.
pub(crate) fn body<T: Put + minicbor::Encode<()>>(record: &T, out: &mut Vec<u8>) {
    let before = out.len();
    record.put(out);
    debug_assert_eq!(
        out.get(before..),
        minicbor::to_vec(record).ok().as_deref(),
        "written as minicbor writes it"
    );
}

/// What can be written quickly.
pub(crate) trait Put {
    /// Writes one item.
    fn put(&self, out: &mut Vec<u8>);

    /// Whether an array that would end with it ends before it.
    fn is_absent(&self) -> bool {
        false
    }
}

/// The head of an item.
#[inline]
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    match u8::try_from(argument) {
        Ok(small @ 0..=23) => out.push(major << 5 | small),
        Ok(_) | Err(_) => long_head(out, major << 5, argument),
    }
}

fn long_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    if let Ok(argument) = u8::try_from(argument) {
        out.extend([major | 24, argument]);
    } else if let Ok(argument) = u16::try_from(argument) {
        out.push(major | 25);
        out.extend(argument.to_be_bytes());
    } else if let Ok(argument) = u32::try_from(argument) {
        out.push(major | 26);
        out.extend(argument.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend(argument.to_be_bytes());
    }
}

/// The head of an item that is as long as this; no length is beyond 64 bits.
#[inline]
fn length(out: &mut Vec<u8>, major: u8, length: usize) {
    head(out, major, u64::try_from(length).unwrap_or(u64::MAX));
}

/// How many elements an array has, by which of its fields are absent; and its head.
#[inline]
pub(crate) fn array<const N: usize>(out: &mut Vec<u8>, absent: [bool; N]) -> usize {
    let elements = absent
        .iter()
        .rposition(|absent| !absent)
        .map_or(0, |last| last + 1);
    length(out, ARRAY, elements);
    elements
}

/// A word by its index.
pub(crate) fn word(out: &mut Vec<u8>, index: u8) {
    head(out, UNSIGNED, index.into());
}

/// Octets that are written as such.
#[inline]
pub(crate) fn bytes(out: &mut Vec<u8>, octets: &[u8]) {
    length(out, BYTES, octets.len());
    out.extend_from_slice(octets);
}

/// A variant with one field.
pub(crate) fn only(out: &mut Vec<u8>, variant: u8, field: &impl Put) {
    head(out, ARRAY, 2);
    word(out, variant);
    head(out, ARRAY, 1);
    field.put(out);
}

/// What is left to minicbor.
pub(crate) fn rare(out: &mut Vec<u8>, record: &impl minicbor::Encode<()>) {
    minicbor::encode(record, out).expect("writing to a Vec cannot fail");
}

impl<T: Put> Put for Option<T> {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(NULL),
            Some(value) => value.put(out),
        }
    }

    #[inline]
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        length(out, ARRAY, self.len());
        for item in self {
            item.put(out);
        }
    }
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl Put for $type {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                head(out, UNSIGNED, (*self).into());
            }
        }
    )+};
}

numbers!(u8 u16 u32 u64);

impl Put for i64 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        match u64::try_from(*self) {
            Ok(number) => head(out, UNSIGNED, number),
            // -1 - n, without the bits of the sign.
            Err(_) => head(out, NEGATIVE, (!*self).unsigned_abs()),
        }
    }
}

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(if *self { TRUE } else { FALSE });
    }
}

impl Put for str {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        length(out, TEXT, self.len());
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for String {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().put(out);
    }
}

impl Put for ByteVec {
    fn put(&self, out: &mut Vec<u8>) {
        bytes(out, self);
    }
}

impl Put for Timestamp {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        self.as_millis().put(out);
    }
}

impl Put for MessageId {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        bytes(out, self.as_bytes());
    }
}

macro_rules! names {
    ($($type:ident)+) => {$(
        impl Put for $type {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                self.as_str().put(out);
            }
        }
    )+};
}

names!(ClientId OperatorId LinkGroup LinkId SmolStr);
