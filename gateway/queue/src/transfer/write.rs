//! Writes a stream.

use super::{HEADER, Item, MAGIC, MAX_FRAME, Marks, Totals, VERSION, crc};
use sha2::{Digest, Sha256};
use smsgw_message::Timestamp;
use std::io::{self, Write};

/// Writes a stream frame by frame. It is whole only after [`StreamWriter::finish`].
#[derive(Debug)]
pub struct StreamWriter<W> {
    out: W,
    digest: Sha256,
    totals: Totals,
    frame: Vec<u8>,
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "longer than a frame may be")
}

impl<W: Write> StreamWriter<W> {
    /// Begins a stream. `written` is when that is, for people.
    pub fn new(out: W, marks: Marks, written: Timestamp) -> io::Result<Self> {
        let mut writer = Self {
            out,
            digest: Sha256::new(),
            totals: Totals::default(),
            frame: Vec::with_capacity(4096),
        };
        let frame = &mut writer.frame;
        frame.extend_from_slice(MAGIC);
        frame.extend_from_slice(&VERSION.to_be_bytes());
        frame.extend_from_slice(&[0; 2]);
        frame.extend_from_slice(&written.as_millis().to_be_bytes());
        frame.extend_from_slice(&marks.next_record.to_be_bytes());
        frame.extend_from_slice(&marks.next_version.to_be_bytes());
        debug_assert_eq!(frame.len() + 4, HEADER);
        writer.put()?;
        Ok(writer)
    }

    /// The next frame. The caller keeps the order of the drawing.
    pub fn write(&mut self, item: &Item) -> io::Result<()> {
        self.frame.clear();
        self.frame.push(item.kind());
        self.frame.extend_from_slice(&[0; 4]);
        item.encode(&mut self.frame).ok_or_else(too_long)?;
        let len = self.frame.len().saturating_sub(5);
        if len > MAX_FRAME {
            return Err(too_long());
        }
        let len = u32::try_from(len).map_err(io::Error::other)?;
        for (to, from) in self.frame.iter_mut().skip(1).zip(len.to_be_bytes()) {
            *to = from;
        }
        self.put()?;
        self.totals.count(item);
        Ok(())
    }

    /// What was written so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Writes the end and flushes.
    pub fn finish(mut self) -> io::Result<(W, Totals)> {
        let totals = self.totals;
        let Totals {
            holds,
            records,
            values,
            logs,
            entries,
            octets,
        } = totals;
        let digest = self.digest.clone().finalize();
        self.frame.clear();
        self.frame.push(b'Z');
        self.frame.extend_from_slice(&80u32.to_be_bytes());
        for number in [holds, records, values, logs, entries, octets] {
            self.frame.extend_from_slice(&number.to_be_bytes());
        }
        self.frame.extend_from_slice(&digest);
        self.put()?;
        self.out.flush()?;
        Ok((self.out, self.totals))
    }

    /// Writes the frame that was built, with its check.
    fn put(&mut self) -> io::Result<()> {
        let check = crc(0, &self.frame);
        self.frame.extend_from_slice(&check.to_be_bytes());
        self.digest.update(&self.frame);
        let octets = u64::try_from(self.frame.len()).map_err(io::Error::other)?;
        self.totals.octets = self.totals.octets.saturating_add(octets);
        self.out.write_all(&self.frame)
    }
}
