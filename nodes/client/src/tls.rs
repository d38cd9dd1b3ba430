//! Our certificate, from its files to the listener, and again when they change.
//!
//! The files are compared by content every few seconds: certificates are renewed by tools that write, rename or link
//! them, and none of these tells us. Knows no protocol inside TLS. Invariant: files that cannot be read or do not fit
//! together change nothing; while one of the two is new and the other not yet, the certificate before stays in use.

use crate::metric;
use smsgw_runtime::ChildError;
use smsgw_transport::{TlsError, TlsIdentity, TlsServer};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// The two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// A listener's certificate could not be put in use.
#[derive(Debug, Error)]
pub(crate) enum FilesError {
    #[error("failed to read {path}")]
    Read {
        path: PathBuf,
        #[source]
        kind: io::Error,
    },
    #[error("the certificate and key cannot be used")]
    Tls(#[from] TlsError),
}

impl Files {
    /// When both are configured.
    pub(crate) fn of(cert: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<Self> {
        Some(Self {
            cert: cert?.clone(),
            key: key?.clone(),
        })
    }

    pub(crate) async fn read(&self) -> Result<TlsIdentity, FilesError> {
        let read = async |path: &PathBuf| {
            let path = path.clone();
            tokio::fs::read(&path)
                .await
                .map_err(|kind| FilesError::Read { path, kind })
        };
        Ok(TlsIdentity {
            chain: read(&self.cert).await?,
            key: read(&self.key).await?,
        })
    }

    /// The server side with what the files say now.
    pub(crate) async fn open(&self, alpn: &[&[u8]]) -> Result<(TlsServer, TlsIdentity), FilesError> {
        let identity = self.read().await?;
        Ok((TlsServer::try_new(&identity, alpn)?, identity))
    }

    /// Follows the files for as long as the listener lives. `face` is the word in logs and metrics.
    pub(crate) async fn follow(&self, face: &'static str, server: &TlsServer, mut current: TlsIdentity) {
        // What could not be used is said once, not every time it is looked at.
        let mut refused: Option<TlsIdentity> = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let fresh = match self.read().await {
                Ok(fresh) => fresh,
                Err(error) => {
                    warn!(face, %error, "the certificate's files cannot be read; the one before stays in use");
                    continue;
                }
            };
            if fresh == current || refused.as_ref() == Some(&fresh) {
                continue;
            }
            match server.replace(&fresh) {
                Ok(()) => {
                    metric::CERTIFICATES_TOTAL.with(&[face, "used"]).inc();
                    info!(face, "certificate exchanged");
                    (current, refused) = (fresh, None);
                }
                Err(error) => {
                    metric::CERTIFICATES_TOTAL.with(&[face, "refused"]).inc();
                    warn!(face, %error, kind = %error.kind, "new certificate and key cannot be used; those before stay in use");
                    refused = Some(fresh);
                }
            }
        }
    }
}

/// Opens a listener's TLS, when it has a certificate. A listener that cannot have it must not start without.
pub(crate) async fn for_listener(
    files: Option<&Files>,
    alpn: &[&[u8]],
) -> Result<Option<(TlsServer, TlsIdentity)>, ChildError> {
    let Some(files) = files else { return Ok(None) };
    match files.open(alpn).await {
        Ok(opened) => Ok(Some(opened)),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Err(ChildError::new(format!("{error}: {}", cause.unwrap_or_default())))
        }
    }
}
