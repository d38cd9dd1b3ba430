//! What the engine is told at its start, and why a start can fail.
//!
//! Knows no file format. Invariant: every budget here is an upper bound the engine keeps, not a hint.

use smsgw_queue::{Bound, Bounds};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Settings of one engine. `new` gives the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// Where everything is kept. Created when absent; one process at a time.
    pub dir: PathBuf,
    /// With less than this free (octets) only steps that make room go through. Default 1 GiB.
    pub min_free_disk: u64,
    /// Budget of the records that were published lately (octets). Default 256 MiB.
    pub record_cache: u64,
    /// Budget of the values that were read or written lately (octets). Default 64 MiB.
    pub state_cache: u64,
    /// Budget of the newest log blocks (octets). Default 32 MiB.
    pub log_cache: u64,
    /// Budget of fjall's cache of table blocks (octets). Default 64 MiB.
    pub block_cache: u64,
    /// How much a table in memory collects before it is written out (octets, at least 1 MiB); those of what is
    /// young and of values four times, that of their times twice as much. A directory keeps what it was made with. What is
    /// young may be as much. Default 16 MiB.
    pub write_buffer: u64,
    /// Journals may take this much disk before the oldest is made superfluous (octets, at least 64 MiB).
    /// Less than what the tables in memory need has them written early. Default 384 MiB.
    pub max_journals: u64,
    /// Records are kept in runs of about this much (octets, at least 1 MiB), which are deleted as a whole. Default 512 MiB.
    pub generation: u64,
    /// Steps that may wait for the committer; callers wait for room (at least 1). Default 8192.
    pub max_waiting: usize,
    /// Dead letters and corrupt records are deleted after this. Default 7 days.
    pub dead_letter_retention: Duration,
    /// How much is taken in; can be changed while the engine runs. Default: no bound, but 256 MiB of dead letters and as
    /// much of corrupt records in each queue.
    pub bounds: Bounds,
}

impl EmbeddedConfig {
    /// The defaults, in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            dir: dir.into(),
            min_free_disk: 1024 * MIB,
            record_cache: 256 * MIB,
            state_cache: 64 * MIB,
            log_cache: 32 * MIB,
            block_cache: 64 * MIB,
            write_buffer: 16 * MIB,
            max_journals: 384 * MIB,
            generation: 512 * MIB,
            max_waiting: 8192,
            dead_letter_retention: Duration::from_secs(7 * 24 * 3600),
            bounds: Bounds {
                dead_letters: Bound {
                    octets: 256 * MIB,
                    ..Bound::NONE
                },
                ..Bounds::NONE
            },
        }
    }
}

/// The engine did not start.
#[derive(Debug, Error)]
#[error("failed to open the engine in {dir}")]
pub struct OpenError {
    /// Which directory.
    pub dir: PathBuf,
    /// What happened.
    #[source]
    pub kind: OpenErrorKind,
}

/// Why the engine did not start.
#[derive(Debug, Error)]
pub enum OpenErrorKind {
    /// Another process works in this directory.
    #[error("process {} has the directory", .pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()))]
    Locked {
        /// The process, when its lock file says so.
        pid: Option<u32>,
    },
    /// A later version wrote the directory.
    #[error("the directory has format {found}, this build reads up to {known}")]
    Newer {
        /// What the directory says.
        found: u32,
        /// The newest that this build reads.
        known: u32,
    },
    /// What was written cannot be read back.
    #[error(
        "{what} is damaged: {why}. Run `smsgw verify` on the directory: it says what can be kept, and with `--repair` keeps it"
    )]
    Damaged {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refuses.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: std::io::Error,
    },
    /// The storage library refuses.
    #[error("the store does not open")]
    Store(#[source] fjall::Error),
}

impl OpenErrorKind {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    pub(crate) fn damaged(what: &'static str, why: impl Into<String>) -> Self {
        Self::Damaged {
            what,
            why: why.into(),
        }
    }
}
