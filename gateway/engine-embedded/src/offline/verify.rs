//! `smsgw verify`, and its repair.
//!
//! A repair reads everything that can be read and makes a new store of it beside the old one; then the two change places
//! in one call, and the old one goes into a directory `damaged-<milliseconds>` that nobody deletes but a person.
//! Invariant: at every moment there is a whole store at its place, the old one or the new one.

use super::build::Builder;
use super::report::{Report, What};
use super::scan::{Judge, Scan};
use super::{Held, OfflineError, Pass, Progress, lock_dir, open_error, open_locked, sync_dir};
use crate::config::OpenErrorKind;
use crate::format::{META_OPENED, Reader};
use crate::journal;
use crate::lock::DirLock;
use crate::space::SpaceProbe;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use smsgw_message::Timestamp;
use smsgw_queue::transfer::Totals;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads everything in a directory and says what is wrong with it. Changes nothing.
pub fn verify(
    dir: &Path,
    judge: &dyn Judge,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Report, OfflineError> {
    let lock = Arc::new(lock_dir(dir)?);
    match opened(dir, &lock)? {
        Ok(held) => look(&held, judge, now, progress),
        Err(report) => Ok(report),
    }
}

/// What a repair did.
#[derive(Debug)]
pub struct Repaired {
    /// What was found before.
    pub report: Report,
    /// Where the old store is now. `None`: nothing was wrong, nothing was changed.
    pub aside: Option<PathBuf>,
    /// What the directory holds now.
    pub kept: Totals,
    /// What could not be kept, in words.
    pub lost: Vec<String>,
}

/// Reads everything and puts right what can be put right. What cannot be read is moved aside, not deleted.
pub fn repair(
    dir: &Path,
    judge: &dyn Judge,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Repaired, OfflineError> {
    let lock = Arc::new(lock_dir(dir)?);
    let aside = dir.join(format!("damaged-{}", now.as_millis()));
    let mut repaired = Repaired {
        report: Report::default(),
        aside: None,
        kept: Totals::default(),
        lost: Vec::new(),
    };
    let mut held = opened(dir, &lock)?;
    if let Err(report) = &held {
        let journal_alone = report
            .findings()
            .iter()
            .all(|finding| finding.code == "journal-damaged");
        if !journal_alone {
            repaired.report = report.clone();
            repaired.lost = all(report);
            return Ok(repaired);
        }
        repaired.report = report.clone();
        make(&aside)?;
        repaired.lost = journal::salvage(&dir.join("store"), &aside).map_err(|kind| open_error(dir, kind))?;
        repaired.aside = Some(aside.clone());
        held = opened(dir, &lock)?;
    }
    let held = match held {
        Ok(held) => held,
        Err(report) => {
            repaired.lost.extend(all(&report));
            return Ok(repaired);
        }
    };
    let report = look(&held, judge, now, progress)?;
    let rebuild = !report.is_clean();
    if repaired.aside.is_none() {
        repaired.report = report.clone();
    }
    repaired.kept = Totals {
        holds: 0,
        records: report.records,
        values: report.values,
        logs: report.logs,
        entries: report.entries,
        octets: report.octets,
    };
    if rebuild {
        repaired.lost.extend(losses(&report));
        rebuild_store(dir, held, judge, now, progress, &aside)?;
        repaired.report = report;
        repaired.aside = Some(aside);
    }
    Ok(repaired)
}

fn all(report: &Report) -> Vec<String> {
    report
        .findings()
        .iter()
        .flat_map(|finding| finding.examples.clone())
        .collect()
}

fn losses(report: &Report) -> Vec<String> {
    let lost = report
        .findings()
        .into_iter()
        .filter(|finding| finding.weight == super::Weight::Loss);
    lost.flat_map(|finding| {
        let more = finding
            .count
            .saturating_sub(u64::try_from(finding.examples.len()).unwrap_or(u64::MAX));
        let more = (more > 0).then(|| format!("and {more} more ({})", finding.code));
        finding.examples.clone().into_iter().chain(more)
    })
    .collect()
}

fn make(dir: &Path) -> Result<(), OfflineError> {
    fs::create_dir_all(dir).map_err(OfflineError::io(format!("make {}", dir.display())))
}

/// The directory, or what keeps it from being opened.
fn opened(dir: &Path, lock: &Arc<DirLock>) -> Result<Result<Held, Report>, OfflineError> {
    let mut report = Report::default();
    match journal::check(&dir.join("store")) {
        Ok(()) => {}
        Err(OpenErrorKind::Damaged { why, .. }) => {
            report.add(What::Journal, || why);
            return Ok(Err(report));
        }
        Err(kind) => return Err(open_error(dir, kind)),
    }
    match open_locked(dir, lock.clone()) {
        Ok(held) => Ok(Ok(held)),
        Err(kind @ (OpenErrorKind::Damaged { .. } | OpenErrorKind::Store(_))) => {
            report.add(What::Store, || match &kind {
                OpenErrorKind::Store(source) => source.to_string(),
                // Without the advice to run what runs.
                OpenErrorKind::Damaged { what, why } => format!("{what}: {why}"),
                other => other.to_string(),
            });
            Ok(Err(report))
        }
        Err(kind) => Err(open_error(dir, kind)),
    }
}

fn look(
    held: &Held,
    judge: &dyn Judge,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Report, OfflineError> {
    let mut scan = Scan::new(held, judge, now, Pass::Check, progress);
    scan.run(true, &mut |_| Ok(()))?;
    Ok(scan.report)
}

fn rebuild_store(
    dir: &Path,
    held: Held,
    judge: &dyn Judge,
    now: Timestamp,
    progress: Progress<'_>,
    aside: &Path,
) -> Result<(), OfflineError> {
    let used = held
        .store
        .db
        .disk_space()
        .map_err(OfflineError::store("measure the store"))?;
    let needed = used.saturating_add(64 * 1024 * 1024);
    let free = SpaceProbe::system()
        .free(dir)
        .map_err(OfflineError::io("measure the free space"))?;
    if free < needed {
        return Err(OfflineError::NoRoom { needed, free });
    }
    let new = dir.join("repair.new");
    if new
        .try_exists()
        .map_err(OfflineError::io(format!("look for {}", new.display())))?
    {
        // A repair that was killed left it: nothing in it is anywhere else.
        fs::remove_dir_all(&new).map_err(OfflineError::io(format!("remove {}", new.display())))?;
    }
    let opened = held
        .store
        .meta
        .get(META_OPENED)
        .map_err(OfflineError::store("read the epoch"))?;
    let epoch = opened
        .and_then(|entry| Reader(&entry).u64().ok())
        .unwrap_or(0)
        .saturating_add(1);
    // Where something of it cannot be read, the rest may bring back what was settled; that is better than none of it.
    crate::young::settle(&held.store, true).map_err(|kind| open_error(dir, kind))?;
    let mut builder = Builder::new(&new)?;
    let mut scan = Scan::new(&held, judge, now, Pass::Rebuild, progress);
    scan.run(false, &mut |item| builder.add(item))?;
    let marks = scan.marks();
    builder.finish(marks, epoch)?;
    drop(held);
    make(aside)?;
    let io = |what: &str, path: &Path| OfflineError::io(format!("{what} {}", path.display()));
    let mut old_marks = Vec::new();
    for item in fs::read_dir(dir).map_err(io("list", dir))? {
        let path = item.map_err(io("list", dir))?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("leases-"))
        {
            old_marks.push(path);
        }
    }
    // The new marks come first: with the old store they only say more than they have to.
    for item in fs::read_dir(&new).map_err(io("list", &new))? {
        let path = item.map_err(io("list", &new))?.path();
        if let Some(name) = path
            .file_name()
            .filter(|name| name.to_string_lossy().starts_with("leases-"))
        {
            fs::rename(&path, dir.join(name)).map_err(io("move", &path))?;
        }
    }
    sync_dir(dir)?;
    let (store, made) = (dir.join("store"), new.join("store"));
    renameat_with(CWD, &made, CWD, &store, RenameFlags::EXCHANGE)
        .map_err(|error| io("exchange the new store with", &store)(error.into()))?;
    fs::rename(&made, aside.join("store")).map_err(io("move", &made))?;
    for path in old_marks {
        if let Some(name) = path.file_name() {
            fs::rename(&path, aside.join(name)).map_err(io("move", &path))?;
        }
    }
    fs::remove_dir_all(&new).map_err(io("remove", &new))?;
    sync_dir(aside)?;
    sync_dir(dir)
}
