//! A listener's certificate, from its files to the listener, and again when they change.
//!
//! The files are compared by content every few seconds: certificates are renewed by tools that write, rename or link
//! them, and none of these tells us. Knows no protocol inside TLS. Invariant: files that cannot be read or do not fit
//! together change nothing; while one of them is new and the other not yet, what was before stays in use.

use super::{TlsClients, TlsError, TlsErrorKind, TlsIdentity, TlsServer};
use crate::metric;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Largest file: the certificates of all authorities of a system are 250 KiB.
const LARGEST: u64 = 4 << 20;

/// The files of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, then those that lead to the root (PEM).
    pub cert: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// Whose certificates clients may show, where they are asked for one.
    pub clients: Option<TlsClientFiles>,
}

/// Whose certificates clients may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsClientFiles {
    /// Certificates that sign those of clients (PEM).
    pub ca: PathBuf,
    /// Whether a client that shows none is refused.
    pub required: bool,
}

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFile {
    /// Our certificate.
    Cert,
    /// Our key.
    Key,
    /// Who signs the certificates of clients.
    ClientCa,
}

/// What stands in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsMaterial {
    identity: TlsIdentity,
    clients: Option<TlsClients>,
}

/// A listener's certificate could not be put in use.
#[derive(Debug, Error)]
pub enum TlsFilesError {
    /// A file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// Which of them.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        #[source]
        kind: io::Error,
    },
    /// They can be read, and are not what they have to be.
    #[error("the certificate and key cannot be used: {}", .0.kind)]
    Tls(#[from] TlsError),
}

impl TlsFilesError {
    /// Which file is to be looked at.
    pub fn file(&self) -> TlsFile {
        match self {
            Self::Read { file, .. } => *file,
            Self::Tls(error) => match &error.kind {
                TlsErrorKind::Key(_) | TlsErrorKind::Identity(_) => TlsFile::Key,
                TlsErrorKind::Pem(_)
                | TlsErrorKind::Root(_)
                | TlsErrorKind::NoRoots
                | TlsErrorKind::Verifier(_) => TlsFile::ClientCa,
                TlsErrorKind::Certificate(_)
                | TlsErrorKind::ServerName(_)
                | TlsErrorKind::NoPins
                | TlsErrorKind::Config(_) => TlsFile::Cert,
            },
        }
    }

    /// In a few words, with the cause and without a path.
    pub fn reason(&self) -> String {
        match self {
            Self::Read { kind, .. } => kind.to_string(),
            Self::Tls(error) => match std::error::Error::source(&error.kind) {
                Some(cause) => format!("{}: {cause}", error.kind),
                None => error.kind.to_string(),
            },
        }
    }
}

impl TlsFiles {
    /// When both are configured; clients are not asked for certificates.
    pub fn of(cert: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<Self> {
        Some(Self {
            cert: cert?.clone(),
            key: key?.clone(),
            clients: None,
        })
    }

    /// Reads them. Blocks on the file system.
    ///
    /// # Errors
    /// The file that cannot be read, or is too large.
    pub fn read(&self) -> Result<TlsMaterial, TlsFilesError> {
        let of = |file, path: &Path| {
            octets(path).map_err(|kind| TlsFilesError::Read {
                file,
                path: path.to_owned(),
                kind,
            })
        };
        let identity = TlsIdentity {
            chain: of(TlsFile::Cert, &self.cert)?,
            key: of(TlsFile::Key, &self.key)?,
        };
        let clients = match &self.clients {
            None => None,
            Some(files) => Some(TlsClients {
                roots: of(TlsFile::ClientCa, &files.ca)?,
                required: files.required,
            }),
        };
        Ok(TlsMaterial { identity, clients })
    }

    /// The server side with what the files say now. Blocks on the file system; a few files of some KiB.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what it has to be.
    pub fn open(&self, alpn: &[&[u8]]) -> Result<(TlsServer, TlsMaterial), TlsFilesError> {
        let material = self.read()?;
        let server = TlsServer::try_new(&material.identity, material.clients.as_ref(), alpn)?;
        Ok((server, material))
    }

    /// Follows the files for as long as the listener lives. `listener` is the word in logs and metrics.
    pub async fn follow(&self, listener: &'static str, server: &TlsServer, mut current: TlsMaterial) {
        // What could not be used is said once, not every time it is looked at.
        let mut refused: Option<TlsMaterial> = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let files = self.clone();
            let fresh = match tokio::task::spawn_blocking(move || files.read()).await {
                Ok(Ok(fresh)) => fresh,
                Ok(Err(error)) => {
                    warn!(listener, %error, reason = %error.reason(), "the certificate's files cannot be read; the one before stays in use");
                    continue;
                }
                // The runtime ends, and this with it.
                Err(_) => continue,
            };
            if fresh == current || refused.as_ref() == Some(&fresh) {
                continue;
            }
            match server.replace(&fresh.identity, fresh.clients.as_ref()) {
                Ok(()) => {
                    metric::CERTIFICATES_TOTAL.with(&[listener, "used"]).inc();
                    info!(listener, "certificate exchanged");
                    (current, refused) = (fresh, None);
                }
                Err(error) => {
                    metric::CERTIFICATES_TOTAL.with(&[listener, "refused"]).inc();
                    warn!(listener, %error, kind = %error.kind, "new certificate and key cannot be used; those before stay in use");
                    refused = Some(fresh);
                }
            }
        }
    }
}

fn octets(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let mut file = std::fs::File::open(path)?.take(LARGEST + 1);
    file.read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {LARGEST} octets"),
        ));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_wrong_is_named() {
        let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
        let with = |cert: &str, key: &str, ca: Option<&str>| TlsFiles {
            cert: dir.join(cert),
            key: dir.join(key),
            clients: ca.map(|ca| TlsClientFiles {
                ca: dir.join(ca),
                required: true,
            }),
        };
        with("server.pem", "server.key", Some("ca.pem"))
            .open(&[])
            .unwrap();
        for (files, wrong) in [
            (with("nowhere.pem", "server.key", None), TlsFile::Cert),
            (with("server.key", "server.key", None), TlsFile::Cert),
            (with("server.pem", "nowhere.key", None), TlsFile::Key),
            (with("server.pem", "server.pem", None), TlsFile::Key),
            (with("ca.pem", "server.key", None), TlsFile::Key),
            (
                with("server.pem", "server.key", Some("nowhere.pem")),
                TlsFile::ClientCa,
            ),
            (
                with("server.pem", "server.key", Some("server.key")),
                TlsFile::ClientCa,
            ),
        ] {
            let error = files.open(&[]).unwrap_err();
            assert_eq!(error.file(), wrong, "{files:?}: {error}");
            assert!(!error.reason().is_empty());
        }
    }
}
