//! The files of a configuration on the disk, as they are or as a change that is not made yet would leave them.
//!
//! Resolves the patterns of `include` lists and reads files within a limit. Blocks on the file system. Must not know what
//! stands in a file. Invariant: with an [`Overlay`] nothing is read that the overlay replaces, and nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use smsgw_config::Source;

/// Largest file of a configuration.
pub(crate) const MAX_FILE: u64 = 16 << 20;

/// Files as they are to be, by identity; `None`: gone.
pub(crate) type Overlay = BTreeMap<PathBuf, Option<String>>;

/// What is the same for the same file, however it is named: an absolute path without links as far as it exists.
pub(crate) fn identity(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match (
        parent.unwrap_or_else(|| Path::new(".")).canonicalize(),
        path.file_name(),
    ) {
        (Ok(parent), Some(name)) => parent.join(name),
        (_, _) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// A file that was read, and whether every user of the machine can read it.
pub(crate) struct Read {
    pub(crate) source: Source,
    pub(crate) open_to_all: bool,
}

/// Reads one file of a configuration.
pub(crate) fn read(path: &Path, overlay: &Overlay) -> io::Result<Read> {
    let identity = identity(path);
    let (text, open_to_all) = match overlay.get(&identity) {
        Some(Some(text)) => (
            text.clone(),
            File::open(path)
                .and_then(|file| file.metadata())
                .is_ok_and(|m| open_to_all(&m)),
        ),
        Some(None) => return Err(io::Error::new(io::ErrorKind::NotFound, "it is to be removed")),
        None => read_limited(path, MAX_FILE)?,
    };
    let source = Source {
        name: path.display().to_string(),
        identity: identity.display().to_string(),
        text,
    };
    Ok(Read { source, open_to_all })
}

/// Every file that a pattern names, counted from a directory, by name; or why there is none, in a few words.
pub(crate) fn expand(directory: &Path, pattern: &str, overlay: &Overlay) -> Result<Vec<PathBuf>, String> {
    if pattern.is_empty() {
        return Err("names no file".to_owned());
    }
    if !pattern.contains(['*', '?']) {
        return Ok(vec![directory.join(pattern)]);
    }
    let mut found: Vec<PathBuf> = vec![directory.to_owned()];
    let parts: Vec<Component<'_>> = Path::new(pattern).components().collect();
    for (n, part) in parts.iter().enumerate() {
        let is_last = n + 1 == parts.len();
        let Component::Normal(name) = part else {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let name = name.to_str().ok_or("is not text")?;
        if !name.contains(['*', '?']) {
            found.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        let mut next = Vec::new();
        for directory in &found {
            let names = names_in(directory, is_last, overlay)
                .map_err(|error| format!("cannot be resolved: {}: {error}", directory.display()))?;
            let fits = names.into_iter().filter(|there| matches(name, there));
            next.extend(fits.map(|there| directory.join(there)));
        }
        found = next;
    }
    let there = |path: &PathBuf| match overlay.get(&identity(path)) {
        Some(text) => text.is_some(),
        None => path.is_file(),
    };
    found.retain(there);
    Ok(found)
}

/// The names in a directory, and of files that are to come there; none when there is no such directory.
fn names_in(directory: &Path, files: bool, overlay: &Overlay) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let looked_in = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    match std::fs::read_dir(looked_in) {
        Ok(entries) => {
            for entry in entries {
                // A name that is no text cannot be named in the file either.
                names.extend(entry?.file_name().into_string().ok());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if files {
        let here = identity(looked_in);
        let coming = overlay.iter().filter(|(_, text)| text.is_some());
        let coming = coming.filter(|(path, _)| path.parent() == Some(here.as_path()));
        names.extend(coming.filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned())));
    }
    names.retain(|name| !name.starts_with('.'));
    Ok(names)
}

/// Whether a name fits a pattern of `*` (any characters) and `?` (one).
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Where the last `*` stands, and how much of the name it has taken.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match (pattern.get(p), star) {
            (Some('*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(wanted), _) if *wanted == '?' || name.get(n) == Some(wanted) => {
                p += 1;
                n += 1;
            }
            (Some(_) | None, Some((at, taken))) => {
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
            (Some(_) | None, None) => return false,
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|c| *c == '*'))
}

/// The text of a file, and whether every user of the machine can read it.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<(String, bool)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let mut octets = Vec::new();
    file.take(limit + 1).read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {limit} bytes"),
        ));
    }
    // The error of `from_utf8` would carry the octets along.
    let text = String::from_utf8(octets)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}", error.utf8_error())))?;
    Ok((text, open_to_all(&metadata)))
}

#[cfg(unix)]
pub(crate) fn open_to_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
pub(crate) fn open_to_all(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name) in [
            ("*.toml", "a.toml"),
            ("*", ""),
            ("a?c*", "abcd"),
            ("*a*b", "xaxab"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.toml", "a.toml~"),
            ("?", ""),
            ("a?c", "ac"),
            ("*a*b", "ba"),
            ("", "x"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_gives_files_by_name_and_what_an_overlay_says_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let sub = folder.path().join("operators");
        std::fs::create_dir(&sub).unwrap();
        for name in ["b.toml", "a.toml", ".hidden.toml", "c.txt"] {
            std::fs::write(sub.join(name), "").unwrap();
        }
        std::fs::create_dir(sub.join("d.toml")).unwrap();
        let names = |overlay: &Overlay, pattern: &str| -> Vec<String> {
            let found = expand(folder.path(), pattern, overlay).unwrap();
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            found.iter().map(name).collect()
        };
        assert_eq!(names(&Overlay::new(), "operators/*.toml"), ["a.toml", "b.toml"]);
        assert_eq!(names(&Overlay::new(), "op*/?.toml"), ["a.toml", "b.toml"]);
        assert!(names(&Overlay::new(), "nothing/*.toml").is_empty());
        let overlay = Overlay::from([
            (identity(&sub.join("a.toml")), None),
            (identity(&sub.join("z.toml")), Some(String::new())),
        ]);
        assert_eq!(names(&overlay, "operators/*.toml"), ["b.toml", "z.toml"]);
        assert!(expand(folder.path(), "", &overlay).is_err());
    }
}
