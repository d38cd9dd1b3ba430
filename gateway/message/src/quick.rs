//! Reads records in the form in which builds of this gateway write them; all others are left to minicbor. Writing: [`write`].
//!
//! minicbor looks at each item up to four times and passes over an absent field as over anything of any depth. Here an item is
//! looked at once: definite lengths, no tags, no fields but those that are known. Must not judge: `None` says that a
//! record is not of this form, and never that it is broken. Invariant QU-1: what is read here minicbor reads as the same
//! value.

pub(crate) mod write;

use crate::record::RecordError;
use crate::{ClientId, LinkGroup, LinkId, MessageId, OperatorId, Timestamp};
use minicbor::bytes::ByteVec;
use smol_str::SmolStr;

/// Major types (RFC 8949 section 3.1).
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const SIMPLE: u8 = 7;
/// Whole items.
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

/// Items of a vector that room is made for before the first of them is read: a length is only a claim.
const ROOM: u64 = 8;
/// Items that may be added without moving the others: a hop adds a line or two to a message's life.
const MORE: u64 = 2;

/// Reads a body, quickly where it can be.
pub(crate) fn from_body<'b, T>(body: &'b [u8]) -> Result<T, RecordError>
where
    T: Quick<'b> + minicbor::Decode<'b, ()>,
{
    match T::read(&mut Octets(body)) {
        Some(value) => Ok(value),
        None => minicbor::decode(body).map_err(RecordError::Body),
    }
}

/// How many elements the array has that a body is.
pub(crate) fn array_length(body: &[u8]) -> Option<u64> {
    Octets(body).argument(ARRAY)
}

/// What can be read quickly.
pub(crate) trait Quick<'b>: Sized {
    /// Reads one item; `None` where minicbor has to look at it.
    fn read(octets: &mut Octets<'b>) -> Option<Self>;

    /// The value of a field for which its array is too short.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reads and writes a struct as an array of its fields, which stand here in the order of their indexes, from 0 and without a
/// gap.
macro_rules! fields {
    ($type:ident: $($field:ident),+) => {
        impl<'b> $crate::quick::Quick<'b> for $type {
            fn read(octets: &mut $crate::quick::Octets<'b>) -> Option<Self> {
                let mut elements = octets.elements()?;
                $(let $field = elements.next()?;)+
                elements.end()?;
                Some(Self { $($field),+ })
            }
        }

        impl $crate::quick::write::Put for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let elements = $crate::quick::write::array(out, [$(self.$field.is_absent()),+]);
                let mut places = 0..elements;
                $(
                    if places.next().is_some() {
                        self.$field.put(out);
                    }
                )+
            }
        }
    };
}

/// Reads and writes an enum without fields as its index; the variants stand here in the order of their indexes, from 0.
macro_rules! words {
    ($type:ident: $($word:ident),+) => {
        impl<'b> $crate::quick::Quick<'b> for $type {
            fn read(octets: &mut $crate::quick::Octets<'b>) -> Option<Self> {
                [$(Self::$word),+].get(usize::from(u8::read(octets)?)).copied()
            }
        }

        impl $crate::quick::write::Put for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $crate::quick::write::word(out, *self as u8);
            }
        }
    };
}

pub(crate) use {fields, words};

/// What is left of a body.
pub(crate) struct Octets<'b>(&'b [u8]);

impl<'b> Octets<'b> {
    /// The elements of an array.
    #[inline]
    pub(crate) fn elements(&mut self) -> Option<Elements<'_, 'b>> {
        let left = self.argument(ARRAY)?;
        Some(Elements { octets: self, left })
    }

    /// The index of an enum's variant; its fields follow.
    pub(crate) fn variant(&mut self) -> Option<u64> {
        if self.argument(ARRAY)? != 2 {
            return None;
        }
        self.argument(UNSIGNED)
    }

    /// The only field of a variant.
    pub(crate) fn only<T: Quick<'b>>(&mut self) -> Option<T> {
        let mut elements = self.elements()?;
        let value = elements.next()?;
        elements.end()?;
        Some(value)
    }

    #[inline]
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    #[inline]
    fn take(&mut self, octets: u64) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(octets).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The head of an item: its major type and argument.
    #[inline]
    fn head(&mut self) -> Option<(u8, u64)> {
        let first = self.octet()?;
        let argument = match first & 0x1f {
            small @ 0..=23 => u64::from(small),
            more => self.long(more)?,
        };
        Some((first >> 5, argument))
    }

    /// An argument that stands behind its head's octet.
    fn long(&mut self, more: u8) -> Option<u64> {
        match more {
            24 => self.octet().map(u64::from),
            25 => self.fixed().map(u16::from_be_bytes).map(u64::from),
            26 => self.fixed().map(u32::from_be_bytes).map(u64::from),
            27 => self.fixed().map(u64::from_be_bytes),
            _ => None,
        }
    }

    #[inline]
    fn argument(&mut self, wanted: u8) -> Option<u64> {
        let (major, argument) = self.head()?;
        (major == wanted).then_some(argument)
    }

    #[inline]
    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.argument(BYTES)?;
        self.take(length)
    }
}

/// The elements of an array that were not read yet.
pub(crate) struct Elements<'a, 'b> {
    octets: &'a mut Octets<'b>,
    left: u64,
}

impl<'b> Elements<'_, 'b> {
    // Most fields of most records are absent or null: a call for each of them would be most of the work.
    #[inline(always)]
    pub(crate) fn next<T: Quick<'b>>(&mut self) -> Option<T> {
        match self.left.checked_sub(1) {
            None => T::absent(),
            Some(left) => {
                self.left = left;
                T::read(self.octets)
            }
        }
    }

    /// Passes over so many of them.
    pub(crate) fn pass(&mut self, elements: u64) -> Option<()> {
        (0..elements).try_for_each(|_| self.next().map(|Passed| ()))
    }

    /// Octets that are written as such.
    pub(crate) fn next_bytes(&mut self) -> Option<Vec<u8>> {
        self.next().map(|Bytes(octets)| octets.to_vec())
    }

    /// These were all. Asked before a value is made of them, which would be moved through here.
    #[inline]
    pub(crate) fn end(self) -> Option<()> {
        (self.left == 0).then_some(())
    }
}

struct Bytes<'b>(&'b [u8]);

impl<'b> Quick<'b> for Bytes<'b> {
    #[inline]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        octets.bytes().map(Self)
    }
}

/// An item that nobody asks for.
pub(crate) struct Passed;

impl<'b> Quick<'b> for Passed {
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        let mut items = 1_u64;
        while let Some(left) = items.checked_sub(1) {
            items = left;
            match octets.head()? {
                (UNSIGNED | NEGATIVE | SIMPLE, _) => {}
                (BYTES, length) => drop(octets.take(length)?),
                (TEXT, length) => drop(str::from_utf8(octets.take(length)?).ok()?),
                (ARRAY, length) => items = items.checked_add(length)?,
                _ => return None,
            }
        }
        Some(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self)
    }
}

impl<'b, T: Quick<'b>> Quick<'b> for Option<T> {
    #[inline(always)]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        if let Some((&NULL, rest)) = octets.0.split_first() {
            octets.0 = rest;
            return Some(None);
        }
        T::read(octets).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<'b, T: Quick<'b>> Quick<'b> for Vec<T> {
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        let length = octets.argument(ARRAY)?;
        let mut items = Self::with_capacity(usize::try_from(length.min(ROOM) + MORE).ok()?);
        for _ in 0..length {
            items.push(T::read(octets)?);
        }
        Some(items)
    }
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl<'b> Quick<'b> for $type {
            #[inline]
            fn read(octets: &mut Octets<'b>) -> Option<Self> {
                octets.argument(UNSIGNED)?.try_into().ok()
            }
        }
    )+};
}

numbers!(u8 u16 u32 u64);

impl<'b> Quick<'b> for i64 {
    #[inline]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        match octets.head()? {
            (UNSIGNED, argument) => argument.try_into().ok(),
            (NEGATIVE, argument) => Self::try_from(argument).ok().map(|number| -1 - number),
            _ => None,
        }
    }
}

impl<'b> Quick<'b> for bool {
    #[inline]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        match octets.octet()? {
            FALSE => Some(false),
            TRUE => Some(true),
            _ => None,
        }
    }
}

impl<'b> Quick<'b> for &'b str {
    #[inline]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        let length = octets.argument(TEXT)?;
        str::from_utf8(octets.take(length)?).ok()
    }
}

impl<'b> Quick<'b> for String {
    #[inline]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        <&str>::read(octets).map(str::to_owned)
    }
}

impl<'b> Quick<'b> for SmolStr {
    #[inline]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        <&str>::read(octets).map(Self::new)
    }
}

impl<'b> Quick<'b> for ByteVec {
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        octets.bytes().map(|octets| octets.to_vec().into())
    }
}

impl<'b> Quick<'b> for Timestamp {
    #[inline]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        i64::read(octets).map(Self::from_millis)
    }
}

impl<'b> Quick<'b> for MessageId {
    #[inline]
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        octets.bytes()?.try_into().ok().map(Self::from_bytes)
    }
}

macro_rules! names {
    ($($type:ident)+) => {$(
        impl<'b> Quick<'b> for $type {
            fn read(octets: &mut Octets<'b>) -> Option<Self> {
                Self::try_new(<&str>::read(octets)?).ok()
            }
        }
    )+};
}

names!(ClientId OperatorId LinkGroup LinkId);

#[cfg(test)]
mod tests {
    use super::write::Put;
    use super::*;
    use crate::{
        ChargeAt, Class, Dispatch, Down, Encoding, Event, EventName, EventView, HistoryView, MessageLife,
        MessageState, MtMessage, Origin, ReceiptState, ReportLevel, RerouteReason, Up,
    };
    use minicbor::Decode;
    use proptest::prelude::*;
    use std::fmt::Debug;
    use std::path::Path;

    /// Records of every release, by the names of their files.
    fn fixtures() -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let octets = |path: &Path| {
            let hex = std::fs::read_to_string(path).unwrap();
            let digits: Vec<char> = hex.trim().chars().collect();
            let octet = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
            digits.chunks(2).map(octet).collect()
        };
        files
            .map(|path| {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, octets(&path))
            })
            .collect()
    }

    /// Whether a body is read quickly; if so, minicbor reads the same.
    fn is_quick<'b, T: Quick<'b> + Decode<'b, ()> + PartialEq + Debug>(body: &'b [u8]) -> bool {
        let read = T::read(&mut Octets(body));
        if let Some(read) = &read {
            assert_eq!(&minicbor::decode::<T>(body).unwrap(), read);
        }
        read.is_some()
    }

    /// How many of the types read it quickly.
    fn quick(body: &[u8]) -> usize {
        let types = [
            is_quick::<MtMessage>,
            is_quick::<Dispatch>,
            is_quick::<MessageLife>,
            is_quick::<Event>,
            is_quick::<EventView<'_>>,
            is_quick::<HistoryView<'_>>,
            is_quick::<Up>,
            is_quick::<Down>,
        ];
        types.into_iter().filter(|is_quick| is_quick(body)).count()
    }

    #[test]
    fn what_is_written_often_is_read_quickly() {
        for (name, record) in fixtures() {
            let kind = name.split('-').next().unwrap();
            let is_rare = [
                "up-refused-",
                "up-expired-",
                "up-in-doubt-",
                "up-doubt-",
                "up-mo-",
                "down-mo-",
            ]
            .iter()
            .any(|rare| name.starts_with(rare));
            if ["mt", "dispatch", "life", "event", "up", "down"].contains(&kind) {
                assert_eq!(quick(&record[2..]) > 0, !is_rare, "{name}");
            }
        }
    }

    fn written(value: &impl Put) -> Vec<u8> {
        let mut out = Vec::new();
        value.put(&mut out);
        out
    }

    #[test]
    fn numbers_of_every_size_are_read_and_written_as_minicbor_does() {
        for power in 0..64 {
            let power = 1_u64 << power;
            for number in [power - 1, power, power.saturating_add(23), u64::MAX - power] {
                let octets = minicbor::to_vec(number).unwrap();
                assert_eq!(written(&number), octets);
                assert!(is_quick::<u64>(&octets));
                let number = number.cast_signed();
                let octets = minicbor::to_vec(number).unwrap();
                assert_eq!(written(&number), octets);
                assert!(is_quick::<i64>(&octets));
            }
        }
    }

    #[test]
    fn every_word_has_the_index_that_minicbor_knows() {
        fn words<'b, T: Quick<'b> + Put + Decode<'b, ()> + PartialEq + Debug>(indexes: &'b [[u8; 1]]) {
            for index in indexes {
                let read = minicbor::decode::<T>(index);
                assert_eq!(is_quick::<T>(index), read.is_ok(), "{index:?}");
                if let Ok(word) = read {
                    assert_eq!(written(&word), index);
                }
            }
        }
        let indexes: Vec<[u8; 1]> = (0..24).map(|index| [index]).collect();
        words::<ChargeAt>(&indexes);
        words::<Class>(&indexes);
        words::<Encoding>(&indexes);
        words::<EventName>(&indexes);
        words::<MessageState>(&indexes);
        words::<Origin>(&indexes);
        words::<ReceiptState>(&indexes);
        words::<ReportLevel>(&indexes);
        words::<RerouteReason>(&indexes);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_is_read_quickly_from_any_octets_minicbor_reads_the_same(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let (_, mut record) = which.get(&fixtures()).clone();
            for (place, octet) in changes {
                *place.get_mut(&mut record) = octet;
            }
            if let Some(cut) = cut {
                record.truncate(cut.index(record.len()));
            }
            quick(record.get(2..).unwrap_or_default());
        }
    }
}
