//! A data directory while no gateway works in it: checked, repaired, written to a stream, made from one.
//!
//! ```text
//!   directory ─▶ walk (past what cannot be read) ─▶ scan (what fits together) ─▶ items ─┬─▶ report      verify
//!                                                                                       ├─▶ build       repair
//!                                                                                       └─▶ stream      export
//!   stream ─▶ items ─▶ build ─▶ directory                                                               import
//! ```
//! Invariants: the directory's lock is held all the time, so nothing changes meanwhile; what is made is made beside its
//! place and moved there whole; nothing that cannot be read is deleted, it is moved aside.
//!
//! # Limits
//! Memory does not grow with records, values or entries, but with names of queues and logs, with the marks of leases, and by
//! 64 octets for every 512 records that are partly gone.

mod build;
mod logs;
mod records;
mod report;
mod scan;
mod transfer;
mod verify;

pub use report::{Finding, Report, Weight};
pub use scan::{Judge, Verdict};
pub use transfer::{export, import};
pub use verify::{Repaired, repair, verify};

use crate::config::{EmbeddedConfig, OpenError, OpenErrorKind};
use crate::leases::Found;
use crate::lock::DirLock;
use crate::store::Store;
use smsgw_queue::transfer::{StreamError, Totals};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Items between two words of progress.
const OFTEN: u64 = 4_096;

/// Told now and then while a lot is done, and at the end of each pass: how far it is.
pub type Progress<'a> = &'a mut dyn FnMut(Done);

/// What a pass does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Reads everything and looks whether it fits together.
    Check,
    /// Makes a new store of what can be read.
    Rebuild,
    /// Writes everything to a stream.
    Export,
    /// Makes a directory from a stream.
    Import,
}

/// How far a pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Which pass.
    pub pass: Pass,
    /// What was done so far; `octets` of what was read.
    pub so_far: Totals,
    /// Entries of the store that were read, those included that are gone or only lead to others, and how many there are,
    /// about: what was overwritten and not cleared away yet is known only when it does not come. The two are the same at the
    /// end. `None`: of a stream nobody here knows the length.
    pub read: Option<(u64, u64)>,
}

/// Something could not be done with a directory or a stream.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// There is nothing to work on.
    #[error("{} holds no data of smsgw", .0.display())]
    Nothing(PathBuf),
    /// There is something already.
    #[error("{} is not empty: an import makes a directory, it adds to none", .0.display())]
    NotEmpty(PathBuf),
    /// The directory does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something in the directory cannot be read, and what is there would be incomplete without it.
    #[error("{what} (`smsgw verify` says more)")]
    Damaged {
        /// What, in words.
        what: String,
    },
    /// The stream is not right.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The operating system refuses.
    #[error("failed to {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// The storage library refuses.
    #[error("failed to {what}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: fjall::Error,
    },
    /// There is not enough room for a second copy.
    #[error("a repair needs room for a second copy: {needed} octets, and {free} are free")]
    NoRoom {
        /// About how much it takes.
        needed: u64,
        /// How much there is.
        free: u64,
    },
}

impl OfflineError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what: what.into(),
            source,
        }
    }

    fn store(what: &'static str) -> impl FnOnce(fjall::Error) -> Self {
        move |source| Self::Store { what, source }
    }
}

/// A directory that is open and ours.
#[derive(Debug)]
struct Held {
    store: Store,
    leases: Found,
    /// What cannot be read of what was written last; then nothing of that is at its place.
    young: Vec<String>,
    dir: PathBuf,
}

/// Budgets of a pass that reads everything once.
fn config(dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        block_cache: 32 * 1024 * 1024,
        ..EmbeddedConfig::new(dir)
    }
}

fn lock_dir(dir: &Path) -> Result<DirLock, OfflineError> {
    let made = dir.join("store").try_exists();
    if !made.map_err(OfflineError::io(format!("look into {}", dir.display())))? {
        return Err(OfflineError::Nothing(dir.to_owned()));
    }
    DirLock::acquire(dir).map_err(|kind| open_error(dir, kind))
}

fn open_error(dir: &Path, kind: OpenErrorKind) -> OfflineError {
    OfflineError::Open(OpenError {
        dir: dir.to_owned(),
        kind,
    })
}

fn open(dir: &Path) -> Result<Held, OfflineError> {
    let lock = lock_dir(dir)?;
    open_locked(dir, lock).map_err(|kind| open_error(dir, kind))
}

fn open_locked(dir: &Path, lock: impl Into<Arc<DirLock>>) -> Result<Held, OpenErrorKind> {
    let store = Store::open(&config(dir), lock)?;
    let (_, broken) = crate::young::settle(&store, false)?;
    let mut leases = Found::read(dir)?;
    if !leases.complete {
        // As the next start will count it.
        leases.distrust(u64::MAX - 1);
    }
    Ok(Held {
        store,
        leases,
        young: broken,
        dir: dir.to_owned(),
    })
}

/// What was made or moved in a directory survives a power cut.
fn sync_dir(dir: &Path) -> Result<(), OfflineError> {
    let synced = std::fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(OfflineError::io(format!("sync {}", dir.display())))
}
