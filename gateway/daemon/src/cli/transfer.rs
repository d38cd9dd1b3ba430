//! `smsgw export` and `smsgw import`: a data directory as one file, for another machine or another engine.

use super::offline::{bar, explain, show, words};
use super::progress::Unit;
use crate::boot;
use crate::exit::Exit;
use clap::Args;
use smsgw_engine_embedded::offline::{OfflineError, export, import};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Octets that are read or written at once.
const BUFFER: usize = 1024 * 1024;

/// Write everything in the data directory of a gateway that is stopped into one file.
///
/// The file holds every queue, log and value with its place, attempts, times and positions, and a check of each; it is
/// the same for every engine (ops/docs/formats/export.md). It holds the texts and numbers of messages: keep it as safe
/// as the directory. The directory is not changed.
#[derive(Debug, Args)]
pub(crate) struct ExportOptions {
    /// The data directory.
    dir: PathBuf,
    /// The file to write; it must not exist yet. `-` is standard output.
    file: PathBuf,
}

/// Make a data directory from a file that `smsgw export` wrote.
///
/// All of the file is checked, and the directory appears whole or not at all. It must be empty or not exist.
#[derive(Debug, Args)]
pub(crate) struct ImportOptions {
    /// The file to read. `-` is standard input.
    file: PathBuf,
    /// The data directory to make.
    dir: PathBuf,
}

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn failed(what: &str, file: &Path) -> impl FnOnce(io::Error) -> OfflineError {
    let what = format!("{what} {}", file.display());
    move |source| OfflineError::Io { what, source }
}

pub(crate) fn run_export(options: &ExportOptions) -> Exit {
    match write(options) {
        Ok(text) => {
            eprintln!("{text}");
            Exit::Stopped
        }
        Err(error) => explain(error),
    }
}

fn write(options: &ExportOptions) -> Result<String, OfflineError> {
    let ExportOptions { dir, file } = options;
    let mut bar = bar(Unit::Things, false);
    let mut progress = |done| show(&mut bar, done, None);
    let now = boot::clock().now();
    if is_standard(file) {
        let out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
        let totals = export(dir, out, now, &mut progress)?;
        return Ok(format!("exported {}", words(&totals)));
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    // It holds messages: for its owner alone.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let out = options.open(file).map_err(failed("create", file))?;
    let mut whole = |out: &File| -> Result<String, OfflineError> {
        let mut buffered = BufWriter::with_capacity(BUFFER, out);
        let totals = export(dir, &mut buffered, now, &mut progress)?;
        buffered.flush().map_err(failed("write", file))?;
        out.sync_all().map_err(failed("sync", file))?;
        Ok(format!("exported {} to {}", words(&totals), file.display()))
    };
    let written = whole(&out);
    drop(bar);
    if written.is_err()
        && let Err(error) = fs::remove_file(file)
    {
        eprintln!(
            "smsgw: {} is not whole and could not be removed: {error}",
            file.display()
        );
    }
    written
}

pub(crate) fn run_import(options: &ImportOptions) -> Exit {
    match read(options) {
        Ok(text) => {
            println!("{text}");
            Exit::Stopped
        }
        Err(error) => explain(error),
    }
}

fn read(options: &ImportOptions) -> Result<String, OfflineError> {
    let ImportOptions { file, dir } = options;
    let mut bar = bar(Unit::Octets, false);
    let totals = if is_standard(file) {
        let source = BufReader::with_capacity(BUFFER, io::stdin().lock());
        import(source, dir, &mut |done| show(&mut bar, done, None))?
    } else {
        let source = File::open(file).map_err(failed("open", file))?;
        let length = source.metadata().ok().map(|there| there.len());
        let source = BufReader::with_capacity(BUFFER, source);
        import(source, dir, &mut |done| show(&mut bar, done, length))?
    };
    Ok(format!("imported {} into {}", words(&totals), dir.display()))
}
