//! TLS of an operator's links, on whichever side: reads the certificate files for each connection and uses what is new.
//!
//! Invariant: once files were good, files that are broken or half written later (a renewal under way) stop no link: what
//! was read before stays in use, and the log says so. No text of this module holds key material.
//!
//! # Limits
//! The system's roots are read when a link starts and when one of the named files changes, not at each connect.

use smsgw_config::{CarrierCalls, CertificateCheck, TlsSection};
use smsgw_transport::{
    TlsClient, TlsError, TlsIdentity, TlsOptions, TlsPeers, TlsRoots, TlsServer, TlsVerify,
};
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

/// What was read last, and what was made of it.
#[derive(Debug)]
struct Kept<O, T>(Option<(O, T)>);

impl<O: PartialEq, T: Clone> Kept<O, T> {
    /// What is to be used by what the files say now; what was before, when they cannot be used.
    fn latest(
        &mut self,
        read: impl FnOnce() -> Result<O, TlsSetupError>,
        make: impl FnOnce(&O) -> Result<T, TlsError>,
    ) -> Result<T, TlsSetupError> {
        match (self.fresh(read, make), &self.0) {
            (Ok(fresh), _) => Ok(fresh),
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

    fn fresh(
        &mut self,
        read: impl FnOnce() -> Result<O, TlsSetupError>,
        make: impl FnOnce(&O) -> Result<T, TlsError>,
    ) -> Result<T, TlsSetupError> {
        let options = read()?;
        if let Some((before, made)) = &self.0
            && *before == options
        {
            return Ok(made.clone());
        }
        let made = make(&options)?;
        if self.0.is_some() {
            info!("certificate files have changed and are used from now on");
        }
        self.0 = Some((options, made.clone()));
        Ok(made)
    }
}

/// Of the connections that we open.
#[derive(Debug)]
pub(crate) struct TlsFiles(Kept<TlsOptions, TlsClient>);

impl Default for TlsFiles {
    fn default() -> Self {
        Self(Kept(None))
    }
}

impl TlsFiles {
    /// The client for the next connect. Reads files: for a thread that may block.
    pub(crate) fn client(&mut self, section: &TlsSection) -> Result<TlsClient, TlsSetupError> {
        self.0.latest(|| options(section), TlsClient::try_new)
    }
}

/// Of the connections that the carrier opens.
#[derive(Debug)]
pub(crate) struct ServerFiles(Kept<(TlsIdentity, TlsPeers), TlsServer>);

impl Default for ServerFiles {
    fn default() -> Self {
        Self(Kept(None))
    }
}

impl ServerFiles {
    /// Our side of the next handshake. Reads files: for a thread that may block.
    pub(crate) fn server(&mut self, calls: &CarrierCalls) -> Result<TlsServer, TlsSetupError> {
        let read = || {
            let identity = identity(calls.cert_file.as_ref(), calls.key_file.as_ref())?
                .ok_or(TlsSetupError::HalfIdentity)?;
            let peers = TlsPeers {
                roots: calls.ca_file.as_deref().map(read).transpose()?,
                pins: calls.pin_sha256.iter().map(|pin| pin.octets()).collect(),
            };
            Ok((identity, peers))
        };
        self.0.latest(read, |(identity, peers)| {
            TlsServer::try_new_for(peers, identity, &[])
        })
    }
}

fn identity(cert: Option<&PathBuf>, key: Option<&PathBuf>) -> Result<Option<TlsIdentity>, TlsSetupError> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(chain), Some(key)) => Ok(Some(TlsIdentity {
            chain: read(chain)?,
            key: read(key)?,
        })),
        (Some(_), None) | (None, Some(_)) => Err(TlsSetupError::HalfIdentity),
    }
}

fn options(section: &TlsSection) -> Result<TlsOptions, TlsSetupError> {
    Ok(TlsOptions {
        roots: match &section.ca_file {
            None => TlsRoots::Native,
            Some(path) => TlsRoots::Pem(read(path)?),
        },
        server_name: section.server_name.clone(),
        identity: identity(section.cert_file.as_ref(), section.key_file.as_ref())?,
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
