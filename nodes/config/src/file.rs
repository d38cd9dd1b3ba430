//! Reads the configuration file, and the files of passwords and lists that it names.
//!
//! Blocks on the file system: call it outside the runtime's workers. Must not know what is in force.
//! Invariant: nothing read here is larger than its limit, and no text of a file reaches a log.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use smsgw_config::{Config, Problem, Secret, SecretFile};
use thiserror::Error;

use crate::lists::Lists;
use crate::render::{RenderStyle, render};

/// Largest configuration file.
const MAX_FILE: u64 = 16 << 20;

/// Largest password file.
const MAX_SECRET: u64 = 64 << 10;

/// A configuration that was read without a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration, passwords put in, `data_dir` and TLS files counted from the file's directory.
    pub config: Config,
    /// What is not wrong and should be put right.
    pub warnings: Vec<LoadWarning>,
}

/// Something to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadWarning {
    /// A file with a secret can be read by every user of the machine.
    ReadableByOthers(PathBuf),
}

impl fmt::Display for LoadWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadableByOthers(path) => {
                write!(
                    f,
                    "{} holds a secret and every user of this machine can read it",
                    path.display()
                )
            }
        }
    }
}

/// A configuration that cannot be used, with everything that is wrong.
#[derive(Clone, Error)]
#[error("failed to load {file}: {} problem(s)", problems.len())]
pub struct LoadError {
    /// The file.
    pub file: String,
    /// Every problem, in the order of the text.
    pub problems: Vec<Problem>,
    text: String,
}

/// The text of the file is left out: it holds secrets.
impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadError")
            .field("file", &self.file)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

impl LoadError {
    /// The problems for people, with source lines and carets.
    pub fn render(&self, style: RenderStyle) -> String {
        render(&self.problems, &self.text, style)
    }
}

/// Reads and validates a configuration file.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    load_over(path, &Config::default(), &mut Lists::default())
}

/// The same; a list whose file did not change is not read again, and one that has the same numbers as in `current` is
/// not kept twice.
pub(crate) fn load_over(path: &Path, current: &Config, lists: &mut Lists) -> Result<Loaded, LoadError> {
    lists.begin(current);
    let loaded = read(path, lists);
    lists.end(loaded.is_ok());
    loaded
}

fn read(path: &Path, lists: &mut Lists) -> Result<Loaded, LoadError> {
    let file = path.display().to_string();
    let (text, open_to_all) = match read_limited(path, MAX_FILE) {
        Ok(read) => read,
        Err(error) => {
            let problem = Problem::unreadable(&file, format!("cannot be read: {error}"));
            return Err(LoadError {
                file,
                problems: vec![problem],
                text: String::new(),
            });
        }
    };
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let mut warnings = Vec::new();
    let mut read = |secret: &SecretFile| read_secret(&directory.join(&secret.path), &mut warnings);
    let mut list = |path: &Path| lists.numbers(&directory.join(path));
    match Config::parse_with_files(&file, &text, &mut read, &mut list) {
        Ok(mut config) => {
            if open_to_all && has_secret(&config) {
                warnings.push(LoadWarning::ReadableByOthers(path.to_owned()));
            }
            count_from(directory, &mut config);
            Ok(Loaded { config, warnings })
        }
        Err(problems) => Err(LoadError { file, problems, text }),
    }
}

/// Whether a secret stands in the configuration file itself.
fn has_secret(config: &Config) -> bool {
    let operators = config.operator.values().any(|o| {
        (o.password.is_some() && o.password_file.is_none())
            || (o.outbind_password.is_some() && o.outbind_password_file.is_none())
    });
    let clients = config
        .client
        .values()
        .any(|c| c.api_key.is_some() || (c.password.is_some() && c.password_file.is_none()));
    operators || clients
}

/// Makes the paths of files and directories count from the directory of the configuration file.
fn count_from(directory: &Path, config: &mut Config) {
    // `join` leaves an absolute path as it is.
    config.node.data_dir = directory.join(&config.node.data_dir);
    let listeners = [
        &mut config.http.cert_file,
        &mut config.http.key_file,
        &mut config.smpp.cert_file,
        &mut config.smpp.key_file,
    ];
    for file in listeners.into_iter().flatten() {
        *file = directory.join(&*file);
    }
    for tls in config
        .operator
        .values_mut()
        .filter_map(|operator| operator.tls.as_mut())
    {
        for file in [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file]
            .into_iter()
            .flatten()
        {
            *file = directory.join(&*file);
        }
    }
}

fn read_secret(path: &Path, warnings: &mut Vec<LoadWarning>) -> Result<Secret, String> {
    let (text, open_to_all) = read_limited(path, MAX_SECRET).map_err(|error| error.to_string())?;
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        return Err("its first line is empty".to_owned());
    }
    if open_to_all {
        warnings.push(LoadWarning::ReadableByOthers(path.to_owned()));
    }
    Ok(Secret::new(first))
}

/// The text of a file, and whether every user of the machine can read it.
fn read_limited(path: &Path, limit: u64) -> io::Result<(String, bool)> {
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
fn open_to_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn open_to_all(_: &std::fs::Metadata) -> bool {
    false
}
