//! Reads the configuration: its files, the environment, and the files of passwords and lists that it names.
//!
//! Blocks on the file system: call it outside the runtime's workers. Must not know what is in force.
//! Invariant: nothing read here is larger than its limit, and no text of a file reaches a log.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use smsgw_config::{
    AdminSection, ClientCert, Config, Inputs, Problem, Secret, SecretFile, Source, Sources, key_table,
};
use smsgw_transport::{TlsClientFiles, TlsFile, TlsFiles};
use thiserror::Error;

use crate::disk::{self, Overlay, read_limited};
use crate::lists::Lists;
use crate::render::{RenderStyle, render};

/// Largest password file.
const MAX_SECRET: u64 = 64 << 10;

/// A configuration that was read without a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration, passwords put in, `data_dir` and TLS files counted from the file's directory.
    pub config: Config,
    /// The files it was read from, the main one first.
    pub sources: Sources,
    /// What is not wrong and should be put right.
    pub warnings: Vec<LoadWarning>,
}

/// Something to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadWarning {
    /// A file with a secret can be read by every user of the machine.
    ReadableByOthers(PathBuf),
    /// The administrator's listener is reached by other machines, and takes no TLS.
    AdminInTheClear(SocketAddr),
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
            Self::AdminInTheClear(listen) => {
                write!(
                    f,
                    "[admin] listen {listen} is reached by other machines in the clear: token and texts can be read on the way; \
                     cert_file and key_file make it TLS"
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
    sources: Sources,
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
        render(&self.problems, &self.sources, style)
    }
}

/// Reads and validates a configuration file.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    load_over(path, &Overlay::new(), &Config::default(), &mut Lists::default())
}

/// The same, with files as an overlay has them; a list whose file did not change is not read again, and one that has the same
/// numbers as in `current` is not kept twice.
pub(crate) fn load_over(
    path: &Path,
    overlay: &Overlay,
    current: &Config,
    lists: &mut Lists,
) -> Result<Loaded, LoadError> {
    lists.begin(current);
    let loaded = read(path, overlay, lists);
    lists.end(loaded.is_ok());
    loaded
}

fn read(path: &Path, overlay: &Overlay, lists: &mut Lists) -> Result<Loaded, LoadError> {
    let file = path.display().to_string();
    let main = match disk::read(path, overlay) {
        Ok(read) => read,
        Err(error) => {
            let problem = Problem::unreadable(&file, format!("cannot be read: {error}"));
            return Err(LoadError {
                file,
                problems: vec![problem],
                sources: Sources::default(),
            });
        }
    };
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let mut warnings = Vec::new();
    let mut open_to_all: Vec<PathBuf> = main.open_to_all.then(|| path.to_owned()).into_iter().collect();
    let mut include = |from: &Source, pattern: &str| {
        let directory = Path::new(&from.name).parent().unwrap_or_else(|| Path::new(""));
        let files = disk::expand(directory, pattern, overlay)?;
        let read = files.into_iter().map(|file| {
            let read = disk::read(&file, overlay).map_err(|error| format!("cannot be read: {error}"))?;
            open_to_all.extend(read.open_to_all.then_some(file));
            Ok(read.source)
        });
        read.collect()
    };
    let mut secret = |secret: &SecretFile| read_secret(&directory.join(&secret.path), &mut warnings);
    let lists = std::cell::RefCell::new(lists);
    let mut list = |path: &Path| lists.borrow_mut().numbers(&directory.join(path));
    let mut ported = |path: &Path| lists.borrow_mut().ported(&directory.join(path));
    let inputs = Inputs {
        environment: &|name| std::env::var(name).ok(),
        include: &mut include,
        secret: &mut secret,
        list: &mut list,
        ported: &mut ported,
        certificates: &mut |admin| certificates(directory, admin),
    };
    match Config::parse_sources(main.source, inputs) {
        (sources, Ok(mut config)) => {
            let with_secret = |path: &PathBuf| {
                let text = sources.text_of(&path.display().to_string());
                text.is_some_and(names_secret)
            };
            if has_secret(&config) {
                open_to_all.retain(with_secret);
                warnings.extend(open_to_all.into_iter().map(LoadWarning::ReadableByOthers));
            }
            count_from(directory, &mut config);
            if let Some(listen) = config.admin.listen
                && config.admin.is_open()
                && !config.admin.is_tls()
            {
                warnings.push(LoadWarning::AdminInTheClear(listen));
            }
            if let Some(files) = admin_files(&config.admin)
                && std::fs::metadata(&files.key).is_ok_and(|found| disk::open_to_all(&found))
            {
                warnings.push(LoadWarning::ReadableByOthers(files.key));
            }
            Ok(Loaded {
                config,
                sources,
                warnings,
            })
        }
        (sources, Err(problems)) => Err(LoadError {
            file,
            problems,
            sources,
        }),
    }
}

/// Whether the key of a secret stands in a text. A line of a comment or of a longer text may look like one: then the warning
/// is given for nothing.
fn names_secret(text: &str) -> bool {
    let table = key_table();
    let leaf = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let secrets: Vec<String> = table
        .iter()
        .filter(|row| row.secret)
        .map(|row| leaf(&row.path))
        .collect();
    text.lines().any(|line| {
        line.split(['{', ',']).any(|part| {
            let key = part.split_once('=').map(|(key, _)| leaf(key.trim()));
            key.is_some_and(|key| {
                secrets
                    .iter()
                    .any(|secret| *secret == key.trim_matches(['"', '\'']))
            })
        })
    })
}

/// Whether a secret stands in the configuration file itself.
fn has_secret(config: &Config) -> bool {
    let operators = config.operator.values().any(|o| {
        (o.password.is_some() && o.password_file.is_none())
            || o.calls
                .as_ref()
                .is_some_and(|calls| calls.password.is_some() && calls.password_file.is_none())
    });
    let clients = config.client.values().any(|c| {
        c.api_key.is_some()
            || (c.password.is_some() && c.password_file.is_none())
            || c.callback_policy.has_secret()
    });
    operators || clients
}

/// Makes the paths of files and directories count from the directory of the configuration file.
fn count_from(directory: &Path, config: &mut Config) {
    // `join` leaves an absolute path as it is.
    config.node.data_dir = directory.join(&config.node.data_dir);
    let listeners = [
        &mut config.admin.cert_file,
        &mut config.admin.key_file,
        &mut config.admin.client_ca_file,
        &mut config.http.cert_file,
        &mut config.http.key_file,
        &mut config.smpp.cert_file,
        &mut config.smpp.key_file,
    ];
    for file in listeners.into_iter().flatten() {
        *file = directory.join(&*file);
    }
    for tls in config
        .client
        .values_mut()
        .filter_map(|client| client.callback_policy.tls.as_mut())
    {
        for file in [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file]
            .into_iter()
            .flatten()
        {
            *file = directory.join(&*file);
        }
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
    for calls in config
        .operator
        .values_mut()
        .filter_map(|operator| operator.calls.as_mut())
    {
        for file in [&mut calls.ca_file, &mut calls.cert_file, &mut calls.key_file]
            .into_iter()
            .flatten()
        {
            *file = directory.join(&*file);
        }
    }
}

/// The files of the administrator's listener, when it takes TLS.
pub fn admin_files(admin: &AdminSection) -> Option<TlsFiles> {
    let files = TlsFiles::of(admin.cert_file.as_ref(), admin.key_file.as_ref())?;
    Some(TlsFiles {
        clients: admin.client_ca_file.as_ref().map(|ca| TlsClientFiles {
            ca: ca.clone(),
            required: match admin.client_cert {
                ClientCert::Required => true,
                ClientCert::Optional => false,
            },
        }),
        ..files
    })
}

/// Whether a listener could be opened with these files; else the key of the one that is wrong, and why.
fn certificates(directory: &Path, admin: &AdminSection) -> Result<(), (&'static str, String)> {
    let Some(named) = admin_files(admin) else {
        return Ok(());
    };
    let files = TlsFiles {
        cert: directory.join(&named.cert),
        key: directory.join(&named.key),
        clients: named.clients.clone().map(|clients| TlsClientFiles {
            ca: directory.join(&clients.ca),
            ..clients
        }),
    };
    files.open(&[]).map(drop).map_err(|error| {
        let clients = named.clients.as_ref().map(|clients| &clients.ca);
        let (key, path) = match error.file() {
            TlsFile::Cert => ("cert_file", &named.cert),
            TlsFile::Key => ("key_file", &named.key),
            TlsFile::ClientCa => ("client_ca_file", clients.unwrap_or(&named.cert)),
        };
        (
            key,
            format!("{} cannot be used: {}", path.display(), error.reason()),
        )
    })
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
