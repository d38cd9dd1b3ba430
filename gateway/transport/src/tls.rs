//! The client side of TLS: whom we trust and which name we expect.
//!
//! rustls with ring, TLS 1.2 and 1.3. Knows no socket.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::sync::Arc;
use thiserror::Error;
use tracing::warn;

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsRoots {
    /// Those of the system.
    Native,
    /// Those in a PEM file, and no others.
    Pem(Vec<u8>),
}

/// How TLS connections are opened; cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    pub(crate) config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// TLS could not be set up.
#[derive(Debug, Error)]
#[error("failed to set up TLS")]
pub struct TlsError {
    /// What stood in the way.
    #[source]
    pub kind: TlsErrorKind,
}

/// Why TLS could not be set up.
#[derive(Debug, Error)]
pub enum TlsErrorKind {
    /// The CA file is no PEM.
    #[error("the certificate file is not valid PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// A certificate in it cannot be a root.
    #[error("a certificate cannot be used as a root")]
    Root(#[source] rustls::Error),
    /// There is nobody to trust.
    #[error("no root certificate was found")]
    NoRoots,
    /// The expected name is neither a DNS name nor an address.
    #[error("server name is neither a DNS name nor an address")]
    ServerName(#[source] InvalidDnsNameError),
    /// The cryptography does not offer the protocol versions.
    #[error("the TLS library refused its configuration")]
    Config(#[source] rustls::Error),
}

impl From<TlsErrorKind> for TlsError {
    fn from(kind: TlsErrorKind) -> Self {
        Self { kind }
    }
}

impl TlsClient {
    /// Trusts `roots`; expects `server_name`, or the host connected to when there is none. Reads the system's
    /// certificates from disk: not for a hot path.
    pub fn try_new(roots: &TlsRoots, server_name: Option<&str>) -> Result<Self, TlsError> {
        let store = match roots {
            TlsRoots::Native => native_roots(),
            TlsRoots::Pem(pem) => pem_roots(pem)?,
        };
        if store.is_empty() {
            return Err(TlsErrorKind::NoRoots.into());
        }
        let server_name = server_name
            .map(parse_name)
            .transpose()
            .map_err(TlsErrorKind::ServerName)?;
        // Named, not taken from the process: another crate may have installed a different default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsErrorKind::Config)?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self {
            config: Arc::new(config),
            server_name,
        })
    }

    pub(crate) fn name_for(&self, host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => parse_name(host),
        }
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    ServerName::try_from(name.to_owned())
}

fn native_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        warn!(%error, "cannot read a system certificate");
    }
    let mut store = RootCertStore::empty();
    // Systems carry a few certificates that no library accepts; the others are enough.
    let (_added, ignored) = store.add_parsable_certificates(found.certs);
    if ignored > 0 {
        warn!(ignored, "system certificates ignored");
    }
    store
}

fn pem_roots(pem: &[u8]) -> Result<RootCertStore, TlsErrorKind> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        store
            .add(certificate.map_err(TlsErrorKind::Pem)?)
            .map_err(TlsErrorKind::Root)?;
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_broken_ca_file_and_a_wrong_name_are_refused() {
        let empty = TlsClient::try_new(&TlsRoots::Pem(b"no certificate here".to_vec()), None).unwrap_err();
        assert!(matches!(empty.kind, TlsErrorKind::NoRoots), "{empty:?}");
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let broken = TlsClient::try_new(&TlsRoots::Pem(broken.to_vec()), None).unwrap_err();
        assert!(matches!(broken.kind, TlsErrorKind::Root(_)), "{broken:?}");
        let ca = include_bytes!("../tests/fixtures/ca.pem").to_vec();
        let name = TlsClient::try_new(&TlsRoots::Pem(ca), Some("not a name")).unwrap_err();
        assert!(matches!(name.kind, TlsErrorKind::ServerName(_)), "{name:?}");
    }
}
