//! `[node] watch = true`: notices a changed file of the configuration and asks for a reload.
//!
//! Looks at the files' stamps, and at those of the directories that included files lie in, once a second instead of asking the kernel: it works on every file system, and a file that
//! an editor or a deployment replaces is seen all the same. A watch that begins asks for a reload at once, so that no
//! change falls between the reading of the file and the first look. Must not read the file or apply anything.
//! Invariant: a file that is still being written is not read; it must rest for `QUIET` first.
//!
//! # Limits
//! Passwords and lists in files of their own are not watched: after a change of one send SIGHUP. Nor is a directory that a
//! pattern names and that held no file of the configuration so far.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use smsgw_config::ConfigHandle;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::warn;

use crate::node::Instruction;

/// How long a changed file must rest.
const QUIET: Duration = Duration::from_secs(1);

/// How often the file is looked at; two looks see it rest.
const LOOK: Duration = Duration::from_millis(500);

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl FileStamp {
    /// The stamp of a file as it is now.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::of_metadata(&std::fs::metadata(path)?))
    }

    /// The stamp of a file that was looked at.
    pub(crate) fn of_metadata(metadata: &std::fs::Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode: inode(metadata),
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> u64 {
    0
}

/// Decides when a changed file has rested long enough. Pure: time is an argument.
#[derive(Debug, Clone)]
pub struct Quiet<S> {
    known: S,
    changed: Option<(S, Instant)>,
}

impl<S: PartialEq + Clone> Quiet<S> {
    /// Starts with a stamp that is known already.
    pub fn new(known: S) -> Self {
        Self { known, changed: None }
    }

    /// Takes a look; true once for each version that rested.
    pub fn handle_look(&mut self, now: Instant, stamp: &S) -> bool {
        if *stamp == self.known {
            self.changed = None;
            return false;
        }
        match &self.changed {
            Some((seen, since)) if seen == stamp => {
                let rested = now.saturating_duration_since(*since) >= QUIET;
                if rested {
                    self.known = stamp.clone();
                    self.changed = None;
                }
                rested
            }
            Some(_) | None => {
                self.changed = Some((stamp.clone(), now));
                false
            }
        }
    }
}

/// Watches for as long as the receiver of instructions lives; sleeps while `[node] watch` is off. `files` gives the files of
/// the configuration in force, the main one first.
pub async fn watch(
    files: impl Fn() -> Vec<PathBuf>,
    config: ConfigHandle,
    instructions: mpsc::Sender<Instruction>,
) {
    let mut epochs = config.subscribe();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut quiet: Option<Quiet<Stamps>> = None;
    loop {
        if !config.config().node.watch {
            quiet = None;
            tokio::select! {
                changed = epochs.changed() => if changed.is_err() { return },
                () = instructions.closed() => return,
            }
            continue;
        }
        tokio::select! {
            _ = looks.tick() => {}
            () = instructions.closed() => return,
        }
        let now = Instant::now();
        let stamps = look(files()).await;
        let whole = stamps.first().is_some_and(|(_, stamp)| stamp.is_some());
        match &mut quiet {
            // What changed before this look is asked for now: since the file was read at the start of the process, or
            // while a watch that failed was not there. A reload that finds nothing new changes nothing.
            None => {
                quiet = Some(Quiet::new(stamps));
                if instructions.send(Instruction::Reload).await.is_err() {
                    return;
                }
            }
            // A main file that is gone is not read: it may be on its way to be replaced.
            Some(quiet) => {
                if whole
                    && quiet.handle_look(now, &stamps)
                    && instructions.send(Instruction::Reload).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

/// What was looked at, and its stamp; `None` where nothing is.
type Stamps = Vec<(PathBuf, Option<FileStamp>)>;

async fn look(files: Vec<PathBuf>) -> Stamps {
    let looking = move || {
        let mut paths = files;
        let mut directories: Vec<PathBuf> = paths
            .iter()
            .skip(1)
            .filter_map(|file| Some(file.parent()?.to_owned()))
            .collect();
        directories.sort();
        directories.dedup();
        paths.extend(directories);
        paths
            .into_iter()
            .map(|path| {
                let stamp = look_at(&path);
                (path, stamp)
            })
            .collect()
    };
    tokio::task::spawn_blocking(looking)
        .await
        .unwrap_or_else(|error| {
            warn!(%error, "the look at the configuration files ended");
            Stamps::new()
        })
}

fn look_at(path: &Path) -> Option<FileStamp> {
    match FileStamp::of(path) {
        Ok(stamp) => Some(stamp),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(file = %path.display(), %error, "cannot look at a configuration file");
            }
            None
        }
    }
}
