//! What the verbs for a data directory that is not in use have in common: which directory, progress, exit codes.

use super::progress::{Bar, Unit};
use crate::check::load_or_explain;
use crate::exit::Exit;
use smsgw_engine_embedded::OpenErrorKind;
use smsgw_engine_embedded::offline::{Done, OfflineError, Pass};
use smsgw_queue::transfer::Totals;
use std::path::PathBuf;

/// The directory that was named, or the one that the configuration names. An error is explained already.
pub(crate) fn directory(dir: Option<PathBuf>, config: Option<PathBuf>) -> Result<PathBuf, Exit> {
    match (dir, config) {
        (Some(dir), _) => Ok(dir),
        (None, Some(file)) => match load_or_explain(&file) {
            Some(loaded) => Ok(loaded.config.node.data_dir),
            None => Err(Exit::Config),
        },
        (None, None) => {
            eprintln!("smsgw: name a data directory, or a configuration with --config");
            Err(Exit::Config)
        }
    }
}

/// A bar for passes over a directory, which count entries, or over a stream. `quiet`: the answer is for a program.
pub(crate) fn bar(unit: Unit, quiet: bool) -> Bar {
    let mut bar = Bar::new(unit, quiet);
    bar.begin("opening");
    bar
}

/// Shows how far a pass over a directory or stream is. `length` is that of the stream, where somebody knows it.
pub(crate) fn show(bar: &mut Bar, done: Done, length: Option<u64>) {
    bar.begin(match done.pass {
        Pass::Check => "checking",
        Pass::Rebuild => "rebuilding",
        Pass::Export => "exporting",
        Pass::Import => "importing",
    });
    match done.read {
        Some((read, of)) => bar.show(read, Some(of)),
        None => bar.show(done.so_far.octets, length),
    }
}

/// How much there is, for people.
pub(crate) fn words(totals: &Totals) -> String {
    let Totals {
        holds: _,
        records,
        values,
        logs,
        entries,
        octets,
    } = totals;
    format!(
        "{records} records, {values} values of state, {entries} entries of {logs} logs, {} MiB",
        octets / (1024 * 1024)
    )
}

/// Explains an error and says how to exit.
pub(crate) fn explain(error: OfflineError) -> Exit {
    let exit = match &error {
        OfflineError::Open(open) => match open.kind {
            OpenErrorKind::Locked { .. } => {
                eprintln!(
                    "smsgw: {}: the gateway is running there ({}). Stop it first; nothing was changed",
                    open.dir.display(),
                    open.kind
                );
                return Exit::Locked;
            }
            OpenErrorKind::Newer { .. }
            | OpenErrorKind::Damaged { .. }
            | OpenErrorKind::Io { .. }
            | OpenErrorKind::Store(_) => Exit::Data,
        },
        OfflineError::Nothing(_)
        | OfflineError::NotEmpty(_)
        | OfflineError::Damaged { .. }
        | OfflineError::NoRoom { .. } => Exit::Data,
        OfflineError::Stream(_) => Exit::Input,
        OfflineError::Io { .. } | OfflineError::Store { .. } => Exit::Poisoned,
    };
    eprintln!("smsgw: {:#}", anyhow::Error::from(error));
    exit
}
