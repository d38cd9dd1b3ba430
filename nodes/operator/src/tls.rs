//! TLS of an operator's links: reads the certificate files at each connect and uses what is new.
//!
//! Invariant: once files were good, files that are broken or half written later (a renewal under way) stop no link: what
//! was read before stays in use, and the log says so. No text of this module holds key material.
//!
//! # Limits
//! The system's roots are read when a link starts and when one of the named files changes, not at each connect.

use smsgw_config::{CertificateCheck, TlsSection};
use smsgw_transport::{TlsClient, TlsError, TlsIdentity, TlsOptions, TlsRoots, TlsVerify};
use std::path::{Path, PathBuf};
use thiserror::Error;
use tracing::{info, warn};

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub(crate) enum TlsSetupError {
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cert_file and key_file go together")]
    HalfIdentity,
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What was read last, and the client made of it.
#[derive(Debug, Default)]
pub(crate) struct TlsFiles {
    kept: Option<(TlsOptions, TlsClient)>,
}

impl TlsFiles {
    /// The client for the next connect. Reads files: for a thread that may block.
    pub(crate) fn client(&mut self, section: &TlsSection) -> Result<TlsClient, TlsSetupError> {
        match (self.fresh(section), &self.kept) {
            (Ok(client), _) => Ok(client),
            (Err(error), Some((_, kept))) => {
                let error = &error as &dyn std::error::Error;
                warn!(
                    error,
                    "certificate files cannot be used; those read before stay in use"
                );
                Ok(kept.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    fn fresh(&mut self, section: &TlsSection) -> Result<TlsClient, TlsSetupError> {
        let options = options(section)?;
        if let Some((before, client)) = &self.kept
            && *before == options
        {
            return Ok(client.clone());
        }
        let client = TlsClient::try_new(&options)?;
        if self.kept.is_some() {
            info!("certificate files have changed and are used from now on");
        }
        self.kept = Some((options, client.clone()));
        Ok(client)
    }
}

fn options(section: &TlsSection) -> Result<TlsOptions, TlsSetupError> {
    let identity = match (&section.cert_file, &section.key_file) {
        (None, None) => None,
        (Some(chain), Some(key)) => Some(TlsIdentity {
            chain: read(chain)?,
            key: read(key)?,
        }),
        (Some(_), None) | (None, Some(_)) => return Err(TlsSetupError::HalfIdentity),
    };
    Ok(TlsOptions {
        roots: match &section.ca_file {
            None => TlsRoots::Native,
            Some(path) => TlsRoots::Pem(read(path)?),
        },
        server_name: section.server_name.clone(),
        identity,
        pins: section.pin_sha256.iter().map(|pin| pin.octets()).collect(),
        verify: match section.verify {
            CertificateCheck::Full => TlsVerify::Full,
            CertificateCheck::Pin => TlsVerify::PinOnly,
        },
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsSetupError> {
    std::fs::read(path).map_err(|source| TlsSetupError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
