//! The directory belongs to one process: an OS lock on `LOCK`, which the kernel takes back however the process ends.
//!
//! Invariant: while a [`DirLock`] lives, no other one of the same directory does, in this process or another. The
//! process id in the file is for people; the lock is what counts.

use crate::config::OpenErrorKind;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// The lock; given back when dropped.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    pub(crate) fn acquire(dir: &Path) -> Result<Self, OpenErrorKind> {
        let io = OpenErrorKind::io;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("LOCK"))
            .map_err(io("open the lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Whoever holds the lock may just be writing its id: then the error names nobody.
                let read = file.read_to_string(&mut text).ok();
                return Err(OpenErrorKind::Locked {
                    pid: read.and_then(|_| text.trim().parse().ok()),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock the directory")(source)),
        }
        file.set_len(0).map_err(io("write the lock file"))?;
        file.rewind().map_err(io("write the lock file"))?;
        writeln!(file, "{}", std::process::id()).map_err(io("write the lock file"))?;
        Ok(Self { _file: file })
    }
}
