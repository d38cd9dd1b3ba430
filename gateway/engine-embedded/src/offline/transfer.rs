//! `smsgw export` and `smsgw import`: a directory to a stream, and a stream to a directory.

use super::build::Builder;
use super::scan::{NoJudge, Scan};
use super::{Done, OFTEN, OfflineError, Pass, Progress, open, sync_dir};
use crate::lock::DirLock;
use smsgw_message::Timestamp;
use smsgw_queue::transfer::{StreamReader, StreamWriter, Totals};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Writes everything in a directory to a stream. Refuses a directory with damage: what it writes is complete.
pub fn export(
    dir: &Path,
    out: impl Write,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Totals, OfflineError> {
    let write = || OfflineError::io("write the export");
    let held = open(dir)?;
    let mut scan = Scan::new(&held, &NoJudge, now, Pass::Export, progress);
    let mut stream = StreamWriter::new(out, scan.marks(), now).map_err(write())?;
    scan.run(false, &mut |item| stream.write(&item).map_err(write()))?;
    if !scan.report.is_clean() {
        let worst = scan.report.findings().into_iter().next();
        let what = worst.map_or_else(String::new, |finding| {
            let example = finding.examples.first().map_or("", String::as_str);
            format!("{} has damage: {} ({example})", dir.display(), finding.code)
        });
        return Err(OfflineError::Damaged { what });
    }
    let (_, totals) = stream.finish().map_err(write())?;
    Ok(totals)
}

/// Beside the directory, while it is made.
fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".importing");
    dir.with_file_name(name)
}

/// Makes a directory from a stream: all of it, or nothing. Only where nothing is yet.
pub fn import(source: impl Read, dir: &Path, progress: Progress<'_>) -> Result<Totals, OfflineError> {
    let io = |what: &str| OfflineError::io(format!("{what} {}", dir.display()));
    let dir = std::path::absolute(dir).map_err(io("find"))?;
    if let Ok(mut listing) = fs::read_dir(&dir)
        && listing.next().is_some()
    {
        return Err(OfflineError::NotEmpty(dir));
    }
    let mut stream = StreamReader::new(source)?;
    let new = beside(&dir);
    if new
        .try_exists()
        .map_err(OfflineError::io(format!("look for {}", new.display())))?
    {
        // An import that was killed left it; one that runs has its lock.
        let lock = DirLock::acquire(&new).map_err(|kind| super::open_error(&new, kind))?;
        remove(&new)?;
        drop(lock);
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(OfflineError::io(format!("make {}", parent.display())))?;
    }
    let made = fill(&mut stream, &new, progress);
    if made.is_err() {
        // Nobody will ever ask for it; the reason counts, not what becomes of it.
        fs::remove_dir_all(&new).ok();
    }
    let totals = made?;
    // Replaces an empty directory, and nothing else.
    fs::rename(&new, &dir).map_err(OfflineError::io(format!(
        "move {} to {}",
        new.display(),
        dir.display()
    )))?;
    dir.parent().map_or(Ok(()), sync_dir)?;
    Ok(totals)
}

fn remove(dir: &Path) -> Result<(), OfflineError> {
    fs::remove_dir_all(dir).map_err(OfflineError::io(format!("remove {}", dir.display())))
}

fn fill<R: Read>(
    stream: &mut StreamReader<R>,
    new: &Path,
    progress: Progress<'_>,
) -> Result<Totals, OfflineError> {
    let mut builder = Builder::new(new)?;
    let mut count = 0u64;
    let mut tell = |so_far| {
        let (pass, read) = (Pass::Import, None);
        progress(Done { pass, so_far, read });
    };
    while let Some(item) = stream.next()? {
        builder.add(item)?;
        count = count.saturating_add(1);
        if count.is_multiple_of(OFTEN) {
            tell(stream.totals());
        }
    }
    tell(stream.totals());
    builder.finish(stream.marks(), 1)?;
    Ok(stream.totals())
}
