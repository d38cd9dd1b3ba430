//! The files of call detail records: written at their end, cut back to what is certain, rotated, compressed, deleted.
//!
//! ```text
//! <dir>/<yyyymmdd>/cdr-<yyyymmdd>-<number>.csv       the file that is written to, and full ones that stay as they are
//! <dir>/<yyyymmdd>/cdr-<yyyymmdd>-<number>.csv.gz    full ones, compressed
//! <dir>/<yyyymmdd>/….tmp                             a compression under way
//! ```
//! The day is that of the first event of a file. Numbers grow over all days and are never used twice for other lines.
//! Blocking: called off the runtime's threads. Knows no engine.
//!
//! Invariant CF-1: a file is at least as long as [`Mark`] says, and whatever is behind that is not certain and goes at the
//! next start. A full file has both its forms only while it is being compressed; what is read whole is never deleted.
//! Files that this engine cannot have begun (it is a new one, or came back from a backup) are nobody's to delete or to cut:
//! numbers go on behind theirs.

use super::Mark;
use flate2::Compression;
use flate2::write::GzEncoder;
use smsgw_config::{CdrCompression, CdrFormat, CdrSection};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// Lines hold numbers of people: not for everybody on the machine.
const MODE: u32 = 0o640;

/// Where the files are, and which one is written to.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    section: CdrSection,
    /// The file that is written to, and its number.
    open: Option<(u64, File)>,
}

/// What a start found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The file as it was left, cut back to what is certain.
    Whole,
    /// The file is shorter than it was, or gone: somebody took lines away.
    Short,
    /// There are files up to this number that the engine knows nothing of: they stay as they are.
    Foreign(u64),
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

impl Files {
    pub(super) fn new(dir: PathBuf, section: CdrSection) -> Self {
        Self {
            dir,
            section,
            open: None,
        }
    }

    fn extension(&self) -> &'static str {
        match self.section.format {
            CdrFormat::Csv => "csv",
            CdrFormat::Json => "jsonl",
        }
    }

    fn path(&self, mark: &Mark) -> PathBuf {
        let name = format!("cdr-{}-{:08}.{}", mark.day, mark.number, mark.extension);
        self.dir.join(&mark.day).join(name)
    }

    /// Puts the directory into the state that the mark tells of, and goes on there. `is_known`: the engine has a mark.
    pub(super) fn recover(&mut self, mark: &Mark, is_known: bool) -> io::Result<Found> {
        self.open = None;
        fs::create_dir_all(&self.dir)?;
        let is_tmp = |path: &Path| path.extension().is_some_and(|end| end == "tmp");
        let files = self.files()?;
        let last = files
            .iter()
            .filter(|(path, _)| !is_tmp(path))
            .map(|(_, number)| *number)
            .max()
            .unwrap_or(0);
        // A file is begun only after the one before it is in the mark: at most one is ahead.
        let ahead = if is_known { 1 } else { 0 };
        let is_foreign = last > mark.number.saturating_add(ahead);
        for (path, number) in files {
            if is_tmp(&path) || (number > mark.number && !is_foreign) {
                // Begun and never said to be: its lines come again.
                info!(file = %path.display(), "unfinished file of call detail records removed");
                fs::remove_file(&path)?;
            }
        }
        if is_foreign {
            return Ok(Found::Foreign(last));
        }
        if mark.is_full || mark.number == 0 {
            return Ok(Found::Whole);
        }
        let path = self.path(mark);
        let mut file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Short),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < mark.length {
            return Ok(Found::Short);
        }
        file.set_len(mark.length)?;
        file.seek(SeekFrom::Start(mark.length))?;
        file.sync_all()?;
        self.open = Some((mark.number, file));
        Ok(Found::Whole)
    }

    /// Writes behind what the mark tells of and makes it durable; returns the mark that is right then. When it fails, the
    /// file is cut back, now or at the next attempt.
    pub(super) fn append(&mut self, mark: &Mark, head: &str, lines: &str) -> io::Result<Mark> {
        let is_new = !matches!(&self.open, Some((number, _)) if *number == mark.number);
        let path = self.path(mark);
        if is_new {
            let dir = self.dir.join(&mark.day);
            fs::create_dir_all(&dir)?;
            let mut options = OpenOptions::new();
            options
                .write(true)
                .create(true)
                .truncate(mark.length == 0)
                .mode(MODE);
            self.open = Some((mark.number, options.open(&path)?));
            sync_dir(&dir)?;
            sync_dir(&self.dir)?;
        }
        let Some((_, file)) = &mut self.open else {
            return Err(io::Error::other("no file is open"));
        };
        file.set_len(mark.length)?;
        file.seek(SeekFrom::Start(mark.length))?;
        let head = if mark.length == 0 { head } else { "" };
        let written = file
            .write_all(head.as_bytes())
            .and_then(|()| file.write_all(lines.as_bytes()))
            .and_then(|()| file.sync_all());
        if let Err(error) = written {
            // A failed sync may have lost what was written before it: the next attempt opens the file anew.
            if let Err(again) = file.set_len(mark.length) {
                warn!(error = %again, "a file of call detail records could not be cut back yet");
            }
            self.open = None;
            return Err(error);
        }
        let added = u64::try_from(head.len() + lines.len()).unwrap_or(u64::MAX);
        Ok(Mark {
            length: mark.length.saturating_add(added),
            ..mark.clone()
        })
    }

    /// The file that comes after this one.
    pub(super) fn next(&self, mark: &Mark, day: &str, begun: i64) -> Mark {
        Mark {
            number: mark.number + 1,
            day: day.to_owned(),
            extension: self.extension().to_owned(),
            length: 0,
            begun,
            is_full: false,
        }
    }

    /// Compresses full files and deletes days that are over. `last` is the newest day that is not deleted.
    pub(super) fn tidy(&self, mark: &Mark, oldest_kept: Option<&str>) -> io::Result<()> {
        for (path, number) in self.files()? {
            let is_full = number < mark.number || (number == mark.number && mark.is_full);
            let is_plain = path.extension().is_some_and(|end| end == "csv" || end == "jsonl");
            if is_full && is_plain && self.section.compress == CdrCompression::Gzip {
                compress(&path)?;
            }
        }
        let Some(oldest) = oldest_kept else {
            return Ok(());
        };
        for day in self.days()? {
            let name = day.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name < oldest && name != mark.day {
                info!(
                    day = name,
                    "call detail records of a day are older than cdr.keep_days and deleted"
                );
                fs::remove_dir_all(&day)?;
            }
        }
        Ok(())
    }

    fn days(&self) -> io::Result<Vec<PathBuf>> {
        let mut days = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_day = name
                .to_str()
                .is_some_and(|name| name.len() == 8 && name.bytes().all(|octet| octet.is_ascii_digit()));
            if is_day && entry.file_type()?.is_dir() {
                days.push(entry.path());
            }
        }
        Ok(days)
    }

    /// Our files and their numbers.
    fn files(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut files = Vec::new();
        for day in self.days()? {
            for entry in fs::read_dir(day)? {
                let path = entry?.path();
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                let number = name
                    .strip_prefix("cdr-")
                    .and_then(|rest| rest.split_once('-'))
                    .and_then(|(_, rest)| rest.split('.').next()?.parse().ok());
                if let Some(number) = number {
                    files.push((path, number));
                }
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

/// Replaces a full file by its gzip. Cut off anywhere, it is done again or already done.
fn compress(path: &Path) -> io::Result<()> {
    let whole = PathBuf::from(format!("{}.gz", path.display()));
    if !whole.exists() {
        let tmp = PathBuf::from(format!("{}.tmp", whole.display()));
        let mut from = File::open(path)?;
        let mut compressed = OpenOptions::new();
        compressed.write(true).create(true).truncate(true).mode(MODE);
        let mut to = GzEncoder::new(compressed.open(&tmp)?, Compression::default());
        io::copy(&mut from, &mut to)?;
        to.finish()?.sync_all()?;
        fs::rename(&tmp, &whole)?;
        if let Some(dir) = path.parent() {
            sync_dir(dir)?;
        }
    }
    fs::remove_file(path)
}
