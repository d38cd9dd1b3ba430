//! What the verbs for a data directory that is not in use have in common: which directory, progress, exit codes.

use crate::boot;
use crate::check::load_or_explain;
use crate::exit::Exit;
use smsgw_engine_embedded::OpenErrorKind;
use smsgw_engine_embedded::offline::OfflineError;
use smsgw_queue::transfer::Totals;
use smsgw_runtime::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two lines of progress.
const OFTEN: Duration = Duration::from_secs(2);

/// The directory that was named, or the one that the configuration names. An error is explained already.
pub(crate) fn directory(dir: Option<PathBuf>, config: Option<PathBuf>) -> Result<PathBuf, Exit> {
    match (dir, config) {
        (Some(dir), _) => Ok(dir),
        (None, Some(file)) => match load_or_explain(&file) {
            Some(loaded) => Ok(boot::data_dir(&loaded.config, &file)),
            None => Err(Exit::Config),
        },
        (None, None) => {
            eprintln!("smsgw: name a data directory, or a configuration with --config");
            Err(Exit::Config)
        }
    }
}

/// Tells a person how far it is.
pub(crate) struct Speaker {
    clock: Arc<dyn Clock>,
    what: &'static str,
    spoke: Instant,
}

impl Speaker {
    pub(crate) fn new(what: &'static str) -> Self {
        let clock = boot::clock();
        Self {
            spoke: clock.instant(),
            clock,
            what,
        }
    }

    pub(crate) fn say(&mut self, totals: Totals) {
        let now = self.clock.instant();
        if now.saturating_duration_since(self.spoke) >= OFTEN {
            self.spoke = now;
            eprintln!("{}: {}", self.what, words(&totals));
        }
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
