//! Lease marks: which records somebody had when the process died. One mark for each checkout, written before the
//! deliveries are handed out.
//!
//! ```text
//! leases-<n>.log    magic "smsgwL1\n"  boot:text                            boot id of the machine that wrote it
//!                   1 seq:u64 count:u32 (record id:u64)* check:u64           these were leased
//!                   2 seq:u64 count=0 check:u64                              closed in order
//! ```
//! The marks lie beside the store and not in it, because fjall holds its journal lock while it syncs: a mark would wait
//! for the sync of a group it has nothing to do with. Here a mark is one `write(2)` (measured under constant
//! fdatasync of the journal: 1 us, 99.99 % below 60 us); it survives the death of the process, and needs no sync,
//! because after a power cut (another boot id, and not closed) every record counts as possibly leased.
//! A mark is never taken back: settled records are gone, and a move of a record says which marks it makes void. When
//! the file is full, the committer starts a new one with the marks that still matter and deletes the old one.
//!
//! Invariant: a record that was handed out and neither settled nor moved durably has a mark in the files of the
//! directory. Sequence numbers grow for ever (the epoch is their upper part).

use crate::config::OpenErrorKind;
use crate::format::{Broken, Reader, put_text};
use crate::lock;
use rustc_hash::{FxHashMap, FxHashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const MAGIC: &[u8; 8] = b"smsgwL1\n";
const MARK: u8 = 1;
const CLOSED: u8 = 2;
const DAMAGED: Broken = Broken("the check of a lease mark");
/// A file is replaced when it is this large (octets) and four times what it began with.
const FULL: u64 = 16 * 1024 * 1024;

/// The marks found at the start.
#[derive(Debug, Default)]
pub(crate) struct Found {
    marks: FxHashMap<u64, u64>,
    /// They are not all there were: every record may have been leased, up to this mark.
    distrusted: Option<u64>,
    /// They say all there was: the machine did not stop since, or the engine was closed in order.
    pub(crate) complete: bool,
    files: Vec<PathBuf>,
}

impl Found {
    /// Reads the marks of a directory. What a crash cut off is skipped; what is damaged makes them incomplete.
    pub(crate) fn read(dir: &Path) -> Result<Self, OpenErrorKind> {
        let io = OpenErrorKind::io;
        let mut files = Vec::new();
        let mut unfinished = Vec::new();
        for item in fs::read_dir(dir).map_err(io("list the directory"))? {
            let path = item.map_err(io("list the directory"))?.path();
            if path.extension().is_some_and(|end| end == "new") {
                unfinished.push(path);
            } else if let Some(number) = number_of(&path) {
                files.push((number, path));
            }
        }
        files.sort();
        let boot = boot_id();
        let mut found = Self::default();
        for (_, path) in &files {
            let octets = fs::read(path).map_err(io("read the lease marks"))?;
            // The newest file decides.
            found.complete = found.take(&octets, boot.as_deref());
        }
        found.files = files
            .into_iter()
            .map(|(_, path)| path)
            .chain(unfinished)
            .collect();
        Ok(found)
    }

    /// Takes what a file says; whether it is complete.
    fn take(&mut self, octets: &[u8], boot: Option<&str>) -> bool {
        let mut r = Reader(octets);
        if r.octets(MAGIC.len()) != Ok(MAGIC) {
            return false;
        }
        let Ok(written_in) = r.text() else { return false };
        let mut closed = false;
        while !r.0.is_empty() {
            let entry = r.0;
            let mut read = || -> Result<(u8, u64, Vec<u64>), Broken> {
                let (kind, seq, count) = (r.u8()?, r.u64()?, r.u32()?);
                let mut ids = Vec::new();
                for _ in 0..count {
                    ids.push(r.u64()?);
                }
                let len = entry.len() - r.0.len();
                let body = entry.get(..len).unwrap_or_default();
                if r.u64()? == check(body) {
                    Ok((kind, seq, ids))
                } else {
                    Err(DAMAGED)
                }
            };
            let (kind, seq, ids) = match read() {
                Ok(entry) => entry,
                Err(DAMAGED) => return false,
                // The process died while it wrote: nobody got these records.
                Err(_cut) => break,
            };
            closed = kind == CLOSED;
            if kind == MARK {
                for id in ids {
                    let last = self.marks.entry(id).or_default();
                    *last = seq.max(*last);
                }
            }
        }
        closed || boot.is_some_and(|boot| boot == written_in)
    }

    /// Every record may have been leased: the marks are not complete.
    pub(crate) fn distrust(&mut self, seq: u64) {
        self.distrusted = Some(seq);
    }

    /// Somebody may have had this record, which was last moved at `void`.
    pub(crate) fn leased(&self, id: u64, void: Option<u64>) -> bool {
        let newest = self.marks.get(&id).copied().max(self.distrusted);
        newest.is_some_and(|seq| void.is_none_or(|void| seq > void))
    }
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    written: u64,
    full: u64,
    /// Marked, and neither settled nor moved since.
    live: FxHashSet<u64>,
    buffer: Vec<u8>,
}

/// The marks of this run.
#[derive(Debug)]
pub(crate) struct Leases {
    inner: Mutex<Inner>,
    seq: AtomicU64,
}

impl Leases {
    /// Starts a file with the marks that still matter, and deletes the files they were found in.
    pub(crate) fn start(
        dir: &Path,
        epoch: u64,
        found: Found,
        live: FxHashSet<u64>,
    ) -> Result<Self, OpenErrorKind> {
        let io = OpenErrorKind::io;
        let seq = epoch.checked_shl(40).unwrap_or(u64::MAX - 1).saturating_add(1);
        let path = file_of(dir, seq);
        // It gets its name when it is whole: a start that is cut off leaves the old files as they were.
        let new = path.with_extension("new");
        let file = create(&new).map_err(io("create the lease marks"))?;
        let dir = dir.to_owned();
        let mut inner = Inner {
            dir,
            file,
            path,
            written: 0,
            full: FULL,
            live,
            buffer: Vec::new(),
        };
        inner.snapshot(seq).map_err(io("write the lease marks"))?;
        inner.file.sync_all().map_err(io("sync the lease marks"))?;
        fs::rename(&new, &inner.path).map_err(io("name the lease marks"))?;
        File::open(&inner.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(io("sync the directory"))?;
        for old in found.files.iter().filter(|old| **old != new) {
            fs::remove_file(old).map_err(io("delete old lease marks"))?;
        }
        Ok(Self {
            inner: Mutex::new(inner),
            seq: AtomicU64::new(seq),
        })
    }

    /// Marks records as leased. They may be handed out when this has returned.
    pub(crate) fn mark(&self, ids: impl ExactSizeIterator<Item = u64> + Clone) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        let seq = self.seq.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        inner.live.extend(ids.clone());
        inner.write(MARK, seq, ids)
    }

    /// The newest mark: a move of a record makes it and all before it void.
    pub(crate) fn newest(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    /// These were settled or moved, durably, and not leased again yet.
    pub(crate) fn forget(&self, ids: &[u64]) {
        let mut inner = lock(&self.inner);
        for id in ids {
            inner.live.remove(id);
        }
    }

    /// Starts a new file when this one is full. Only while no change waits for its sync.
    pub(crate) fn rotate_when_full(&self) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        if inner.written < inner.full {
            return Ok(());
        }
        let seq = self.seq.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        let path = file_of(&inner.dir, seq);
        inner.file = create(&path)?;
        let old = std::mem::replace(&mut inner.path, path);
        inner.written = 0;
        inner.snapshot(seq)?;
        drop(inner);
        fs::remove_file(old)
    }

    /// The engine is closed in order: the marks are complete, whatever happens to the machine.
    pub(crate) fn close(&self) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        inner.write(CLOSED, self.newest(), std::iter::empty::<u64>())?;
        inner.file.sync_all()
    }
}

impl Inner {
    fn write(&mut self, kind: u8, seq: u64, ids: impl ExactSizeIterator<Item = u64>) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.push(kind);
        self.buffer.extend_from_slice(&seq.to_be_bytes());
        let count = u32::try_from(ids.len()).map_err(io::Error::other)?;
        self.buffer.extend_from_slice(&count.to_be_bytes());
        for id in ids {
            self.buffer.extend_from_slice(&id.to_be_bytes());
        }
        let check = check(&self.buffer);
        self.buffer.extend_from_slice(&check.to_be_bytes());
        self.file.write_all(&self.buffer)?;
        self.written = self
            .written
            .saturating_add(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// What a new file begins with.
    fn snapshot(&mut self, seq: u64) -> io::Result<()> {
        let live: Vec<u64> = self.live.iter().copied().collect();
        self.write(MARK, seq, live.into_iter())?;
        self.full = FULL.max(self.written.saturating_mul(4));
        Ok(())
    }
}

fn file_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("leases-{number}.log"))
}

fn create(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    // A start that failed half-way may have left it.
    file.set_len(0)?;
    let mut head = MAGIC.to_vec();
    put_text(&mut head, boot_id().as_deref().unwrap_or_default());
    file.write_all(&head)?;
    Ok(file)
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?
        .to_str()?
        .strip_prefix("leases-")?
        .strip_suffix(".log")?
        .parse()
        .ok()
}

/// Tells one run of the machine from the next. `None` where the kernel does not say.
fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty() && id.len() <= 64)
}

/// FNV-1a by words of eight octets: tells a cut or damaged entry, and costs little.
fn check(octets: &[u8]) -> u64 {
    octets.chunks(8).fold(0xcbf2_9ce4_8422_2325, |hash, chunk| {
        let word = chunk
            .iter()
            .fold(0u64, |word, octet| word << 8 | u64::from(*octet));
        (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(dir: &Path, epoch: u64) -> Leases {
        let found = Found::read(dir).unwrap();
        Leases::start(dir, epoch, found, FxHashSet::default()).unwrap()
    }

    fn mark(leases: &Leases, ids: &[u64]) {
        leases.mark(ids.iter().copied()).unwrap();
    }

    #[test]
    fn marks_survive_and_a_later_move_makes_them_void() {
        let dir = tempfile::tempdir().unwrap();
        let leases = start(dir.path(), 1);
        mark(&leases, &[1, 2]);
        let void = leases.newest();
        mark(&leases, &[2]);
        let found = Found::read(dir.path()).unwrap();
        assert!(found.complete, "same boot");
        assert!(found.leased(1, None) && !found.leased(1, Some(void)));
        assert!(found.leased(2, Some(void)), "leased again after the move");
        assert!(!found.leased(3, None));
    }

    #[test]
    fn another_boot_is_complete_only_when_closed() {
        let dir = tempfile::tempdir().unwrap();
        let leases = start(dir.path(), 1);
        mark(&leases, &[1]);
        let path = lock(&leases.inner).path.clone();
        let mut octets = fs::read(&path).unwrap();
        octets[12] ^= 1;
        let mut found = Found::default();
        assert!(!found.take(&octets, boot_id().as_deref()));
        found.distrust(99);
        assert!(found.leased(9, Some(98)) && !found.leased(9, Some(99)));
        leases.close().unwrap();
        let mut octets = fs::read(&path).unwrap();
        octets[12] ^= 1;
        assert!(Found::default().take(&octets, boot_id().as_deref()));
    }

    #[test]
    fn a_cut_file_keeps_the_marks_before_the_cut() {
        let dir = tempfile::tempdir().unwrap();
        let leases = start(dir.path(), 1);
        mark(&leases, &[1]);
        let whole = fs::read(&lock(&leases.inner).path).unwrap();
        mark(&leases, &[2]);
        let octets = fs::read(&lock(&leases.inner).path).unwrap();
        for n in 0..octets.len() {
            let mut found = Found::default();
            found.take(&octets[..n], None);
            assert_eq!(found.leased(1, None), n >= whole.len());
            assert!(!found.leased(2, None));
        }
    }

    #[test]
    fn a_full_file_is_replaced_by_what_still_matters() {
        let dir = tempfile::tempdir().unwrap();
        let leases = start(dir.path(), 1);
        for id in 0..50_000u64 {
            mark(&leases, &[id]);
            leases.forget(&[id]);
        }
        mark(&leases, &[7_000_000]);
        lock(&leases.inner).full = 1;
        leases.rotate_when_full().unwrap();
        let octets: u64 = fs::read_dir(dir.path())
            .unwrap()
            .map(|item| item.unwrap().metadata().unwrap().len())
            .sum();
        assert!(octets < 200, "{octets}");
        let found = Found::read(dir.path()).unwrap();
        assert!(found.leased(7_000_000, None) && !found.leased(49_999, None));
    }
}
