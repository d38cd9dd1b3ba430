//! A look at fjall's journals before fjall opens them, because it takes two kinds of damage for the end of a journal
//! or for none: an octet that is no tag cuts off everything behind it, synced or not, and the sequence number of a
//! batch is not covered by its checksum (a larger one hides what later batches wrote).
//!
//! ```text
//! batch   1 count:u32 seqno:u64   (2 type:u8 compression:u8 keyspace:u64 key:u16 value:u32 disk:u32 key value)*
//!         3 checksum:u64 "FJL\x03"                                        little-endian; fjall 3.1, pinned
//! ```
//! A batch that was being written when the machine stopped is cut off here: nobody was told of it. (fjall cuts off some of
//! them, and refuses or panics at others: sectors are written in any order, and a journal is zeros where nothing was
//! written yet.) Each batch is synced before the next one is written, so there is at most one such batch, and nothing
//! whole behind it. Whatever else is found ends the start with an error: acknowledged steps are there and would be
//! lost without a word.
//!
//! Invariant: passes every journal that a crash can leave; changes nothing else than the end of one.

use crate::config::OpenErrorKind;
use crate::format::Broken;
use std::fs;
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"FJL\x03";
/// More batches than this in a row are not lost by one flipped bit, nor written between two others.
const JUMP: u64 = 1 << 40;

struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Broken> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Broken("batch is cut"))?;
        self.0 = rest;
        Ok(head)
    }

    fn number(&mut self, len: usize) -> Result<u64, Broken> {
        Ok(self
            .take(len)?
            .iter()
            .rev()
            .fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }

    fn len(&mut self, octets: usize) -> Result<usize, Broken> {
        usize::try_from(self.number(octets)?).map_err(|_| Broken("length is too large"))
    }

    fn tag(&mut self, tag: u64) -> Result<(), Broken> {
        if self.number(1)? == tag {
            Ok(())
        } else {
            Err(Broken("tag is unknown"))
        }
    }

    /// The sequence number of a whole batch.
    fn batch(&mut self) -> Result<u64, Broken> {
        self.tag(1)?;
        let count = self.number(4)?;
        let seqno = self.number(8)?;
        for _ in 0..count {
            self.tag(2)?;
            self.take(2 + 8)?;
            let key = self.len(2)?;
            self.take(4)?;
            let value = self.len(4)?;
            self.take(key)?;
            self.take(value)?;
        }
        self.tag(3)?;
        self.take(8)?;
        if self.take(MAGIC.len())? == MAGIC {
            Ok(seqno)
        } else {
            Err(Broken("batch has no end"))
        }
    }
}

/// Checks one journal; `last` is the newest sequence number so far. Where it has to be cut off, if it has to.
fn check_octets(octets: &[u8], last: &mut Option<u64>) -> Result<Option<usize>, String> {
    let follows = |seqno: u64, last: Option<u64>| last.is_none_or(|last| seqno > last && seqno - last < JUMP);
    let mut rest = octets;
    let stopped_at = loop {
        let mut r = Octets(rest);
        let Ok(seqno) = r.batch() else { break r.0 };
        if !is_intact(rest.get(..rest.len() - r.0.len()).unwrap_or_default()) {
            break r.0;
        }
        if !follows(seqno, *last) {
            return Err(format!(
                "batch {seqno} follows batch {}",
                last.unwrap_or_default()
            ));
        }
        *last = Some(seqno);
        rest = r.0;
    };
    let (at, newest) = (octets.len() - rest.len(), *last);
    let whole_behind = |behind: &[u8]| {
        let mut r = Octets(behind);
        let seqno = r.batch().ok().filter(|seqno| follows(*seqno, newest))?;
        is_intact(behind.get(..behind.len() - r.0.len()).unwrap_or_default()).then_some(())?;
        Some(format!("octet {at} begins no batch, but batch {seqno} follows"))
    };
    // Only its end may be damaged.
    if let Some(why) = whole_behind(stopped_at) {
        return Err(why);
    }
    // What was allotted and never written is skipped in large pieces.
    let pieces = rest.chunks(4096).scan(0, |begin, piece| {
        let here = *begin;
        *begin += piece.len();
        Some((here, piece))
    });
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut cut = None;
    for (begin, _) in pieces.filter(|(_, piece)| ZEROS.get(..piece.len()) != Some(*piece)) {
        cut = Some(at);
        // An end may lie across two pieces.
        let piece = rest
            .get(begin..rest.len().min(begin + 4096 + MAGIC.len() - 1))
            .unwrap_or_default();
        for (end, _) in piece
            .windows(MAGIC.len())
            .enumerate()
            .filter(|(_, window)| *window == MAGIC)
        {
            let behind = rest.get(begin + end + MAGIC.len()..).unwrap_or_default();
            if let Some(why) = whole_behind(behind) {
                return Err(why);
            }
        }
    }
    Ok(cut)
}

/// Checks the journals of a store, if it has any.
pub(crate) fn check(store: &Path) -> Result<(), OpenErrorKind> {
    let io = OpenErrorKind::io;
    if !store.try_exists().map_err(io("look for the store"))? {
        return Ok(());
    }
    let mut last = None;
    for path in journals(store)? {
        let octets = fs::read(&path).map_err(io("read a journal"))?;
        let cut = check_octets(&octets, &mut last)
            .map_err(|why| OpenErrorKind::damaged("a journal", format!("{}: {why}", path.display())))?;
        if let Some(cut) = cut {
            tracing::warn!(journal = %path.display(), octet = cut, "the last batch was not written whole; it is cut off");
            let len = u64::try_from(cut).unwrap_or(u64::MAX);
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_len(len).and_then(|()| file.sync_all()))
                .map_err(io("cut off a journal"))?;
        }
    }
    Ok(())
}

/// The journals of a store, oldest first.
fn journals(store: &Path) -> Result<Vec<PathBuf>, OpenErrorKind> {
    let io = OpenErrorKind::io;
    let mut journals: Vec<(u64, PathBuf)> = Vec::new();
    for item in fs::read_dir(store).map_err(io("list the store"))? {
        let path = item.map_err(io("list the store"))?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".jnl"));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// Batches that are whole and follow each other; where those lie that are not, and have a whole one behind them.
fn whole_batches(octets: &[u8], last: &mut Option<u64>) -> (Vec<u8>, Vec<String>) {
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    let mut rest = octets;
    // Where what cannot be read begins.
    let mut hole = None;
    while !rest.is_empty() {
        let at = octets.len() - rest.len();
        let mut r = Octets(rest);
        let seqno = r.batch().ok();
        let batch = rest.get(..rest.len() - r.0.len()).unwrap_or_default();
        let follows = |seqno: &u64| last.is_none_or(|last| *seqno > last && *seqno - last < JUMP);
        match seqno.filter(follows).filter(|_| is_intact(batch)) {
            Some(seqno) => {
                if let Some(begin) = hole.take() {
                    lost.push(format!(
                        "octets {begin} to {at}: batches behind {}, before {seqno}",
                        last.unwrap_or_default()
                    ));
                }
                *last = Some(seqno);
                kept.extend_from_slice(batch);
                rest = r.0;
            }
            None => {
                hole.get_or_insert(at);
                // The next batch can begin behind the next end of one.
                let end = rest.windows(MAGIC.len()).position(|window| window == MAGIC);
                rest = end
                    .and_then(|end| rest.get(end + MAGIC.len()..))
                    .unwrap_or_default();
            }
        }
    }
    (kept, lost)
}

/// Whether the checksum of a whole batch is right. It covers the items, not the frame around them.
fn is_intact(batch: &[u8]) -> bool {
    const FRAME: usize = 1 + 4 + 8;
    let end = batch.len().saturating_sub(1 + 8 + MAGIC.len());
    let items = batch.get(FRAME..end).unwrap_or_default();
    let said = batch.get(end + 1..end + 9).unwrap_or_default();
    xxhash_rust::xxh3::xxh3_64(items).to_le_bytes() == said
}

/// Keeps every whole batch of damaged journals: copies each damaged journal to `aside`, then cuts out what cannot be
/// read. Says what was cut out.
pub(crate) fn salvage(store: &Path, aside: &Path) -> Result<Vec<String>, OpenErrorKind> {
    let io = OpenErrorKind::io;
    let mut last = None;
    let mut lost = Vec::new();
    for path in journals(store)? {
        let octets = fs::read(&path).map_err(io("read a journal"))?;
        let before = last;
        if check_octets(&octets, &mut last).is_ok() {
            continue;
        }
        last = before;
        let (kept, holes) = whole_batches(&octets, &mut last);
        let name = path.file_name().unwrap_or_default();
        let copy = aside.join(name);
        fs::write(&copy, &octets).map_err(io("copy a damaged journal"))?;
        fs::File::open(&copy)
            .and_then(|file| file.sync_all())
            .map_err(io("sync a damaged journal"))?;
        let new = path.with_extension("new");
        fs::write(&new, &kept).map_err(io("write a mended journal"))?;
        fs::File::open(&new)
            .and_then(|file| file.sync_all())
            .map_err(io("sync a mended journal"))?;
        fs::rename(&new, &path).map_err(io("name a mended journal"))?;
        fs::File::open(store)
            .and_then(|dir| dir.sync_all())
            .map_err(io("sync the store"))?;
        lost.extend(
            holes
                .into_iter()
                .map(|hole| format!("{}: {hole}", name.display())),
        );
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(seqno: u64, value: &[u8]) -> Vec<u8> {
        let mut out = vec![1, 1, 0, 0, 0];
        out.extend_from_slice(&seqno.to_le_bytes());
        let items = out.len();
        out.extend_from_slice(&[2, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        let len = u32::try_from(value.len()).unwrap().to_le_bytes();
        out.extend_from_slice(&[len, len].concat());
        out.push(b'k');
        out.extend_from_slice(value);
        let check = xxhash_rust::xxh3::xxh3_64(&out[items..]);
        out.push(3);
        out.extend_from_slice(&check.to_le_bytes());
        out.extend_from_slice(MAGIC);
        out
    }

    fn journal(batches: &[Vec<u8>]) -> Vec<u8> {
        let mut out = batches.concat();
        out.resize(out.len() + 20_000, 0);
        out
    }

    #[test]
    fn a_whole_journal_and_one_that_was_cut_anywhere_pass() {
        let whole = journal(&[batch(5, b"a"), batch(6, &[b'x'; 9000]), batch(9, b"FJL\x03")]);
        let mut last = None;
        assert_eq!(check_octets(&whole, &mut last), Ok(None));
        assert_eq!(last, Some(9));
        for cut in (0..whole.len()).step_by(7) {
            check_octets(&whole[..cut], &mut None).unwrap();
        }
    }

    #[test]
    fn a_last_batch_that_is_damaged_passes_and_one_before_it_does_not() {
        let (first, second) = (batch(5, b"abc"), batch(6, &[b'x'; 9000]));
        for at in [0, 3, first.len() - 1] {
            let mut damaged = journal(&[first.clone(), second.clone()]);
            damaged[at] ^= 0x40;
            assert!(check_octets(&damaged, &mut None).is_err(), "octet {at}");
            let mut damaged = journal(&[first.clone(), second.clone()]);
            damaged[first.len() + at] ^= 0x40;
            check_octets(&damaged, &mut None).unwrap();
        }
    }

    #[test]
    fn a_last_batch_with_its_end_and_not_its_middle_is_cut_off() {
        let (first, second) = (batch(5, b"abc"), batch(6, &[b'x'; 9000]));
        let mut damaged = journal(&[first.clone(), second.clone()]);
        damaged[first.len() + 4096..first.len() + 8192].fill(0);
        assert_eq!(check_octets(&damaged, &mut None), Ok(Some(first.len())));
        let mut damaged = journal(&[first.clone(), second, batch(7, b"d")]);
        damaged[first.len() + 4096..first.len() + 8192].fill(0);
        assert!(
            check_octets(&damaged, &mut None).is_err(),
            "one behind it was acknowledged"
        );
    }

    #[test]
    fn whole_batches_around_damage_are_kept() {
        let batches = [
            batch(5, b"abc"),
            batch(6, &[b'x'; 9000]),
            batch(9, b"FJL\x03"),
            batch(10, b"e"),
        ];
        let whole = journal(&batches);
        let begin = batches[0].len();
        for at in (begin..begin + batches[1].len()).step_by(13) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            let (kept, lost) = whole_batches(&damaged, &mut None);
            assert_eq!(
                kept,
                [&batches[0][..], &batches[2], &batches[3]].concat(),
                "octet {at}"
            );
            assert_eq!(lost.len(), 1, "{lost:?}");
        }
        let (kept, lost) = whole_batches(&whole, &mut None);
        assert_eq!((kept, lost), (batches.concat(), Vec::new()));
    }

    #[test]
    fn batches_out_of_order_are_refused() {
        let twice = journal(&[batch(6, b"a"), batch(6, b"b")]);
        assert!(check_octets(&twice, &mut None).is_err());
        assert!(check_octets(&journal(&[batch(6, b"a"), batch(6 + JUMP, b"b")]), &mut None).is_err());
        assert!(
            check_octets(&journal(&[batch(6, b"a")]), &mut Some(7)).is_err(),
            "journals follow each other"
        );
    }
}
