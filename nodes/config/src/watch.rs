//! `[node] watch = true`: notices a changed file and asks for a reload.
//!
//! Looks at the file's stamp once a second instead of asking the kernel: it works on every file system, and a file that
//! an editor or a deployment replaces is seen all the same. A watch that begins asks for a reload at once, so that no
//! change falls between the reading of the file and the first look. Must not read the file or apply anything.
//! Invariant: a file that is still being written is not read; it must rest for `QUIET` first.
//!
//! # Limits
//! Only the configuration file is watched; after a change of a password file send SIGHUP.

use std::io;
use std::path::Path;
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

/// Watches for as long as the receiver of instructions lives; sleeps while `[node] watch` is off.
pub async fn watch(path: &Path, config: ConfigHandle, instructions: mpsc::Sender<Instruction>) {
    let mut epochs = config.subscribe();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut quiet: Option<Quiet<Option<FileStamp>>> = None;
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
        let stamp = look(path).await;
        match &mut quiet {
            // What changed before this look is asked for now: since the file was read at the start of the process, or
            // while a watch that failed was not there. A reload that finds nothing new changes nothing.
            None => {
                quiet = Some(Quiet::new(stamp));
                if instructions.send(Instruction::Reload).await.is_err() {
                    return;
                }
            }
            // A file that is gone is not read: it may be on its way to be replaced.
            Some(quiet) => {
                if stamp.is_some()
                    && quiet.handle_look(now, &stamp)
                    && instructions.send(Instruction::Reload).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

async fn look(path: &Path) -> Option<FileStamp> {
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || (FileStamp::of(&path), path)).await {
        Ok((Ok(stamp), _)) => Some(stamp),
        Ok((Err(error), path)) => {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(file = %path.display(), %error, "cannot look at the configuration file");
            }
            None
        }
        Err(error) => {
            warn!(%error, "the look at the configuration file ended");
            None
        }
    }
}
