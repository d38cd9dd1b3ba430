//! A young group as it lies on the disk; drawn in format.rs, kept by young.rs.

use super::{Broken, Reader, put_text};

/// Writes a group: its parts in order, each with its number of items in front.
pub(crate) struct Encoder {
    out: Vec<u8>,
    /// Where the number of the part that is being written stands, and how far it got.
    part: (usize, u32),
}

impl Encoder {
    /// `octets`: about how many it will be.
    pub(crate) fn new(next_version: u64, octets: usize) -> Self {
        let mut out = Vec::with_capacity(octets);
        out.extend_from_slice(&next_version.to_be_bytes());
        let mut encoder = Self { out, part: (0, 0) };
        encoder.next_part();
        encoder
    }

    fn next_part(&mut self) {
        self.part = (self.out.len(), 0);
        self.out.extend_from_slice(&[0; 4]);
    }

    fn count(&mut self) {
        self.part.1 = self.part.1.saturating_add(1);
    }

    fn end_part(&mut self) {
        let (at, count) = self.part;
        for (to, from) in self.out.iter_mut().skip(at).zip(count.to_be_bytes()) {
            *to = from;
        }
    }

    /// What `write` writes, with its length in front.
    fn long(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        write(&mut self.out);
        let len = self.out.len().saturating_sub(at).saturating_sub(4);
        let len = u32::try_from(len).expect("a record or value is far smaller than 4 GiB");
        for (to, from) in self.out.iter_mut().skip(at).zip(len.to_be_bytes()) {
            *to = from;
        }
    }

    /// A record that was published.
    pub(crate) fn record(&mut self, id: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.count();
        self.out.extend_from_slice(&id.to_be_bytes());
        self.long(write);
    }

    /// No more records: what follows are those that are gone.
    pub(crate) fn end_records(&mut self) {
        self.end_part();
        self.next_part();
    }

    /// A record of an earlier young group is gone.
    pub(crate) fn gone(&mut self, id: u64) {
        self.count();
        self.out.extend_from_slice(&id.to_be_bytes());
    }

    /// No more of them: what follows are values.
    pub(crate) fn end_gone(&mut self) {
        self.end_part();
        self.next_part();
    }

    /// What a key is from now on; `None`: nothing.
    pub(crate) fn value(&mut self, key: &str, write: Option<impl FnOnce(&mut Vec<u8>)>) {
        self.count();
        put_text(&mut self.out, key);
        match write {
            Some(write) => {
                self.out.push(1);
                self.long(write);
            }
            None => self.out.push(0),
        }
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.end_part();
        self.out
    }
}

/// A group that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded<'a> {
    pub(crate) next_version: u64,
    pub(crate) records: Vec<(u64, &'a [u8])>,
    pub(crate) gone: Vec<u64>,
    pub(crate) values: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl<'a> Decoded<'a> {
    pub(crate) fn of(entry: &'a [u8]) -> Result<Self, Broken> {
        let mut r = Reader(entry);
        let mut decoded = Self {
            next_version: r.u64()?,
            records: Vec::new(),
            gone: Vec::new(),
            values: Vec::new(),
        };
        for _ in 0..r.u32()? {
            decoded.records.push((r.u64()?, r.long()?));
        }
        for _ in 0..r.u32()? {
            decoded.gone.push(r.u64()?);
        }
        for _ in 0..r.u32()? {
            let key = r.text()?;
            let value = match r.u8()? {
                0 => None,
                1 => Some(r.long()?),
                _ => return Err(Broken("what a key is from now on is unknown")),
            };
            decoded.values.push((key, value));
        }
        if r.0.is_empty() {
            Ok(decoded)
        } else {
            Err(Broken("a young group has a tail"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_written_by_format_4_read_for_ever() {
        let mut encoder = Encoder::new(0x0102, 0);
        encoder.record(7, |out| out.extend_from_slice(b"rec"));
        encoder.record(9, |_| ());
        encoder.end_records();
        encoder.gone(3);
        encoder.end_gone();
        encoder.value("k/1", Some(|out: &mut Vec<u8>| out.push(b'v')));
        encoder.value("k/2", None::<fn(&mut Vec<u8>)>);
        let octets = encoder.end();
        let expected = [
            b"\0\0\0\0\0\0\x01\x02".as_slice(),
            b"\0\0\0\x02\0\0\0\0\0\0\0\x07\0\0\0\x03rec\0\0\0\0\0\0\0\x09\0\0\0\0",
            b"\0\0\0\x01\0\0\0\0\0\0\0\x03",
            b"\0\0\0\x02\0\x03k/1\x01\0\0\0\x01v\0\x03k/2\0",
        ];
        assert_eq!(octets, expected.concat());
        let read = Decoded {
            next_version: 0x0102,
            records: vec![(7, b"rec"), (9, b"")],
            gone: vec![3],
            values: vec![("k/1", Some(b"v")), ("k/2", None)],
        };
        assert_eq!(Decoded::of(&octets), Ok(read));
        for end in 0..octets.len() {
            assert!(Decoded::of(&octets[..end]).is_err(), "cut at {end}");
        }
        assert!(Decoded::of(&[octets.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn a_number_that_promises_more_than_there_is_costs_nothing() {
        assert!(Decoded::of(&[0xFF; 64]).is_err());
    }
}
