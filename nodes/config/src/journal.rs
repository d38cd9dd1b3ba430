//! Writes several files of a configuration so that a crash leaves all of them or none.
//!
//! ```text
//! .<main file>.smsgw-journal   beside the main file, 0600: [[path, text or null], …]; there while files are being written
//! ```
//! One file needs no journal: its rename is whole. [`finish`] does what a journal still says, before the files are read at
//! a start. Blocks on the file system. Invariant: what a journal holds was checked before it was written.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::disk::{Overlay, identity, read_limited};
use crate::versions::{sync_directory, write_whole};

/// Largest journal.
const LARGEST: u64 = 1 << 30;
/// Permissions of a file that was not there before.
const PRIVATE: u32 = 0o600;

fn journal_of(main: &Path) -> PathBuf {
    let main = identity(main);
    let name = main
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    main.with_file_name(format!(".{name}.smsgw-journal"))
}

/// Writes and removes files.
pub(crate) fn write(main: &Path, files: &Overlay) -> io::Result<()> {
    if files.len() > 1 {
        let text = serde_json::to_string(&files.iter().collect::<Vec<_>>()).map_err(io::Error::other)?;
        write_whole(&journal_of(main), &text, PRIVATE)?;
    }
    let mut before = Vec::new();
    let mut written = Ok(());
    for (path, text) in files {
        let old = match read_limited(path, LARGEST) {
            Ok((text, _)) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        written = old.and_then(|old| {
            before.push((path, old));
            put(path, text.as_deref())
        });
        if written.is_err() {
            break;
        }
    }
    if written.is_err() {
        // Back to what was there. Where that fails too, the journal stays, and the next start goes forward.
        for (path, old) in before {
            put(path, old.as_deref())?;
        }
    }
    if files.len() > 1 {
        fs::remove_file(journal_of(main))?;
        sync_directory(journal_of(main).parent().unwrap_or_else(|| Path::new("/")))?;
    }
    written
}

/// Does what a crash left undone; true when there was something.
///
/// # Errors
/// When a journal is there and cannot be followed: the files are then a mixture.
pub fn finish(main: &Path) -> io::Result<bool> {
    let journal = journal_of(main);
    let text = match read_limited(&journal, LARGEST) {
        Ok((text, _)) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let files: Vec<(PathBuf, Option<String>)> = serde_json::from_str(&text).map_err(|error| {
        let place = format!(
            "{}: line {} column {}",
            journal.display(),
            error.line(),
            error.column()
        );
        io::Error::new(io::ErrorKind::InvalidData, place)
    })?;
    for (path, text) in &files {
        put(path, text.as_deref())?;
    }
    fs::remove_file(&journal)?;
    sync_directory(journal.parent().unwrap_or_else(|| Path::new("/")))?;
    Ok(true)
}

fn put(path: &Path, text: Option<&str>) -> io::Result<()> {
    let Some(text) = text else {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        return sync_directory(path.parent().unwrap_or_else(|| Path::new("/")));
    };
    let mode = File::open(path)
        .and_then(|file| file.metadata())
        .map_or(PRIVATE, |metadata| metadata.permissions().mode() & 0o777);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    write_whole(path, text, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_journal_says_is_done_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("gateway.toml");
        let (other, old) = (folder.path().join("sub/a.toml"), folder.path().join("old.toml"));
        fs::write(&main, "before").unwrap();
        fs::write(&old, "old").unwrap();
        fs::set_permissions(&main, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(!finish(&main).unwrap());
        let files = Overlay::from([
            (main.clone(), Some("after".to_owned())),
            (other.clone(), Some("new".to_owned())),
            (old.clone(), None),
        ]);
        let text = serde_json::to_string(&files.iter().collect::<Vec<_>>()).unwrap();
        fs::write(journal_of(&main), text).unwrap();
        assert!(finish(&main).unwrap());
        let read = |path: &Path| fs::read_to_string(path).ok();
        let after = || (read(&main), read(&other), read(&old));
        let wanted = (Some("after".to_owned()), Some("new".to_owned()), None);
        assert_eq!(after(), wanted);
        assert!(!finish(&main).unwrap());
        // The same without a crash leaves no journal.
        fs::write(&main, "before").unwrap();
        write(&main, &files).unwrap();
        assert_eq!(after(), wanted);
        assert!(!journal_of(&main).exists());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&main), mode(&other)), (0o640, 0o600));
    }
}
