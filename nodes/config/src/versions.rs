//! Versions of the configuration: the files as they were, who changed them, when, why, and what that changed.
//!
//! ```text
//! <data_dir>/config-versions/      0700
//!   00000007.json                  0600  one version: head, diff (secrets masked), texts of its files
//!   staged-<id>.json               0600  a change that an instruction will name; gone once it is done, or after a day
//! ```
//! Texts of files hold secrets as the files do, which is why nobody else may read the directory, and why no command shows
//! them. A version is written before its files are, marked as prepared, and marked as in force afterwards: a crash in between
//! is seen at the start. Blocks on the file system. Invariant: numbers grow; a file is there whole or not at all.
//!
//! # Limits
//! Passwords and lists in files of their own are not part of a version: a way back uses them as they are now.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use smsgw_config::Sources;
use smsgw_message::Timestamp;
use smsgw_runtime::{Clock as _, SystemClock};

use crate::disk::{identity, read_limited};

/// The directory below `node.data_dir`.
const DIRECTORY: &str = "config-versions";
/// Format of the files.
const FORMAT: u32 = 1;
/// Largest version that is read: as many files as there may be.
const LARGEST: u64 = 1 << 30;
/// How long a change that nobody asked for is kept.
const STAGED_KEPT: Duration = Duration::from_secs(24 * 3600);

/// What is known of a version without its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionHead {
    /// Counted from 1.
    pub version: u64,
    /// When, RFC 3339.
    pub at: String,
    /// Who asked.
    pub by: String,
    /// `start`, `reload`, `apply`, `restore`.
    pub verb: String,
    /// Why, in the words of who asked.
    #[serde(default)]
    pub reason: Option<String>,
    /// The instruction that made it.
    #[serde(default)]
    pub instruction: Option<String>,
    /// What it changed, a line each, secrets masked.
    pub changes: Vec<String>,
    /// False while its files are not known to be written.
    pub in_force: bool,
    /// Its files: name and SHA-256.
    pub files: Vec<FileHead>,
}

/// A file of a version without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHead {
    /// Counted from the directory of the main file where it lies below it; the main file is the first.
    pub name: String,
    /// SHA-256 of its text.
    pub sha256: String,
}

/// A version with the texts of its files, in the order of its head.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    format: u32,
    pub(crate) head: VersionHead,
    pub(crate) texts: Vec<String>,
}

/// The texts are left out: they hold secrets.
impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Version {
    /// Whether it has exactly these files.
    pub(crate) fn is_of(&self, files: &[(String, String)]) -> bool {
        let mine = self.head.files.iter().map(|file| &file.name).zip(&self.texts);
        mine.eq(files.iter().map(|(name, text)| (name, text)))
    }
}

/// Names of files and their texts, the main one first.
pub(crate) fn named(main: &Path, sources: &Sources) -> Vec<(String, String)> {
    let files = sources.files().iter();
    files
        .map(|file| (name_of(main, Path::new(&file.identity)), file.text.clone()))
        .collect()
}

/// The name of a file in a version.
pub(crate) fn name_of(main: &Path, file: &Path) -> String {
    let main = identity(main);
    let below = main
        .parent()
        .and_then(|directory| file.strip_prefix(directory).ok());
    below.unwrap_or(file).display().to_string()
}

/// Where the file of a name lies.
pub(crate) fn path_of(main: &Path, name: &str) -> PathBuf {
    let main = identity(main);
    let directory = main.parent().unwrap_or_else(|| Path::new("/"));
    identity(&directory.join(name))
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

/// The versions of one process.
#[derive(Debug)]
pub(crate) struct Versions {
    directory: PathBuf,
}

impl Versions {
    /// Opens the directory below `data_dir`, made when it is not there.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let directory = data_dir.join(DIRECTORY);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
        let versions = Self { directory };
        versions.forget_staged()?;
        Ok(versions)
    }

    /// Every number there is, oldest first.
    pub(crate) fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// One version; `None` when there is none of this number, or none any more.
    pub(crate) fn get(&self, number: u64) -> io::Result<Option<Version>> {
        let found: Option<Version> = self.load(&format!("{number:08}.json"))?;
        match found {
            Some(version) if version.format != FORMAT => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "version {number} has format {}, this build reads {FORMAT}",
                    version.format
                ),
            )),
            found => Ok(found),
        }
    }

    /// The newest version.
    pub(crate) fn latest(&self) -> io::Result<Option<Version>> {
        match self.numbers()?.last() {
            Some(number) => self.get(*number),
            None => Ok(None),
        }
    }

    /// The heads of the newest versions, newest first.
    pub(crate) fn heads(&self, most: usize) -> io::Result<Vec<VersionHead>> {
        let numbers = self.numbers()?;
        let mut heads = Vec::new();
        for number in numbers.iter().rev().take(most) {
            // One that retention takes away meanwhile is no fault.
            heads.extend(self.get(*number)?.map(|version| version.head));
        }
        Ok(heads)
    }

    /// Writes the next version of these files; `head.version` and `head.files` are filled in. Older ones than `keep` go.
    pub(crate) fn record(
        &self,
        head: VersionHead,
        files: Vec<(String, String)>,
        keep: usize,
    ) -> io::Result<Version> {
        let numbers = self.numbers()?;
        let number = numbers.last().copied().unwrap_or(0).saturating_add(1);
        let heads = files.iter().map(|(name, text)| FileHead {
            name: name.clone(),
            sha256: sha256(text),
        });
        let version = Version {
            format: FORMAT,
            head: VersionHead {
                version: number,
                files: heads.collect(),
                ..head
            },
            texts: files.into_iter().map(|(_, text)| text).collect(),
        };
        self.store(&format!("{number:08}.json"), &version)?;
        let excess = (numbers.len() + 1).saturating_sub(keep.max(1));
        for old in numbers.iter().take(excess) {
            fs::remove_file(self.directory.join(format!("{old:08}.json")))?;
        }
        Ok(version)
    }

    /// Marks a version as in force: its files are written.
    pub(crate) fn put_in_force(&self, mut version: Version) -> io::Result<()> {
        version.head.in_force = true;
        self.store(&format!("{:08}.json", version.head.version), &version)
    }

    /// Takes a version back whose files were never written.
    pub(crate) fn withdraw(&self, number: u64) -> io::Result<()> {
        fs::remove_file(self.directory.join(format!("{number:08}.json")))?;
        sync_directory(&self.directory)
    }

    /// Keeps a change until an instruction names it.
    pub(crate) fn stage<T: Serialize>(&self, id: &str, change: &T) -> io::Result<()> {
        self.store(&staged(id)?, change)
    }

    /// The change that an instruction names; `None` when it is gone.
    pub(crate) fn staged<T: DeserializeOwned>(&self, id: &str) -> io::Result<Option<T>> {
        self.load(&staged(id)?)
    }

    /// Forgets a change that was done or refused.
    pub(crate) fn unstage(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(staged(id)?)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Changes that no instruction ever named, and what a crash left half written.
    fn forget_staged(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let modified = entry.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let millis = modified
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis();
            let modified = Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
            let age = SystemClock.now().since(modified);
            if name.starts_with('.') || (name.starts_with("staged-") && age > STAGED_KEPT) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn load<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        let text = match read_limited(&self.directory.join(name), LARGEST) {
            Ok((text, _)) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // The error's text names a place and a field, never what stands there.
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let place = format!("{name}: line {} column {}", error.line(), error.column());
            io::Error::new(io::ErrorKind::InvalidData, place)
        })
    }

    fn store<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        write_whole(&self.directory.join(name), &text, 0o600)
    }
}

/// The name of a staged change; an id is hexadecimal with dashes.
fn staged(id: &str) -> io::Result<String> {
    let plain = !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    match plain {
        true => Ok(format!("staged-{id}.json")),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "no such change")),
    }
}

/// Writes a file so that it is there whole or not at all: beside it, synced, renamed, its directory synced.
pub(crate) fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no name"))?;
    let beside = directory.join(format!(".{name}.smsgw-new"));
    let written = (|| {
        // What a crash left there may have other permissions.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        // `mode` is cut by the mask of the process.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if let Err(error) = written {
        // Left behind it would only be overwritten; the first error is the one to tell.
        fs::remove_file(&beside).unwrap_or_default();
        return Err(error);
    }
    sync_directory(directory)
}

/// Makes renames and removals in a directory last.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(by: &str) -> VersionHead {
        VersionHead {
            version: 0,
            at: "2026-11-21T00:00:00Z".to_owned(),
            by: by.to_owned(),
            verb: "reload".to_owned(),
            reason: None,
            instruction: None,
            changes: Vec::new(),
            in_force: true,
            files: Vec::new(),
        }
    }

    #[test]
    fn versions_count_up_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let versions = Versions::open(folder.path()).unwrap();
        for n in 1..=5 {
            let files = vec![("gateway.toml".to_owned(), format!("text {n}"))];
            assert_eq!(versions.record(head("a"), files, 3).unwrap().head.version, n);
        }
        assert_eq!(versions.numbers().unwrap(), [3, 4, 5]);
        let again = Versions::open(folder.path()).unwrap();
        assert_eq!(again.latest().unwrap().unwrap().texts, ["text 5"]);
        assert_eq!(again.get(2).unwrap(), None);
        again.withdraw(5).unwrap();
        assert_eq!(again.heads(10).unwrap().len(), 2);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join(DIRECTORY)), 0o700);
        assert_eq!(mode(&folder.path().join(DIRECTORY).join("00000004.json")), 0o600);
    }

    #[test]
    fn a_damaged_version_is_told_without_what_stands_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let versions = Versions::open(folder.path()).unwrap();
        fs::write(
            folder.path().join(DIRECTORY).join("00000001.json"),
            "{\"hush\": hush}",
        )
        .unwrap();
        let error = versions.get(1).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("hush"), "{error}");
        assert!(versions.staged::<String>("../x").is_err());
    }
}
