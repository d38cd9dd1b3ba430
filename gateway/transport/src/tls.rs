//! TLS: whom we trust, which name and key we expect, and who we say we are. The client side is here, the server side in
//! [`server`].
//!
//! rustls with ring, TLS 1.2 and 1.3. Knows no socket; reads the system's roots, and in [`files`] those of a listener. Nothing
//! of a private key is shown by `Debug` or an error.
//!
//! # Limits
//! Revocation is not checked: neither CRLs nor OCSP.

mod files;
mod pin;
mod server;
mod subject;
mod trouble;

pub use files::{TlsClientFiles, TlsFile, TlsFiles, TlsFilesError, TlsMaterial};
pub use pin::{SPKI_PIN_BYTES, spki_pin};
pub use server::{TlsClients, TlsPeers, TlsServer};
pub use subject::certificate_name;
pub use trouble::TlsTrouble;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::server::VerifierBuilderError;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsRoots {
    /// Those of the system.
    Native,
    /// Those in a PEM file, and no others.
    Pem(Vec<u8>),
}

/// What the peer's certificate is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVerify {
    /// It is signed by a root, valid today, has the name; and its key is one of the pins, where there are any.
    #[default]
    Full,
    /// Its key is one of the pins, whatever else it says: for peers that signed their certificate themselves.
    PinOnly,
}

/// Our certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// Our certificate, then those that lead to the root.
    pub chain: Vec<u8>,
    /// The private key: PKCS #8, PKCS #1 or SEC1.
    pub key: Vec<u8>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

/// Everything that TLS is set up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whom we trust.
    pub roots: TlsRoots,
    /// The name to expect and to ask for (SNI); `None`: the host connected to. An address is not asked for by SNI.
    pub server_name: Option<String>,
    /// Who we are, when the peer asks.
    pub identity: Option<TlsIdentity>,
    /// SHA-256 of the SubjectPublicKeyInfo of the peer's certificate; any of them will do.
    pub pins: Vec<[u8; SPKI_PIN_BYTES]>,
    /// How the peer is checked.
    pub verify: TlsVerify,
}

impl Default for TlsOptions {
    /// The system's roots, the host's name, nothing else.
    fn default() -> Self {
        Self {
            roots: TlsRoots::Native,
            server_name: None,
            identity: None,
            pins: Vec::new(),
            verify: TlsVerify::Full,
        }
    }
}

impl TlsOptions {
    /// Trusts one peer: the one with the key of the first certificate of a chain (PEM), whatever name is in it.
    ///
    /// # Errors
    /// What is no certificate.
    pub fn only(chain: &[u8]) -> Result<Self, TlsError> {
        let no_certificate = || TlsErrorKind::Certificate(rustls::pki_types::pem::Error::NoItemsFound);
        let first = CertificateDer::pem_slice_iter(chain)
            .next()
            .ok_or_else(no_certificate)?
            .map_err(TlsErrorKind::Certificate)?;
        Ok(Self {
            pins: vec![spki_pin(&first).ok_or_else(no_certificate)?],
            verify: TlsVerify::PinOnly,
            ..Self::default()
        })
    }
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
    /// `PinOnly` without a pin would trust nobody, or everybody.
    #[error("no key is pinned")]
    NoPins,
    /// The roots cannot be used for checks.
    #[error("the root certificates cannot be used")]
    Verifier(#[source] VerifierBuilderError),
    /// Our certificate file is no PEM, or has no certificate.
    #[error("our certificate is not valid PEM")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// Our key file is no PEM, or has no key.
    #[error("our private key is not valid PEM")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// Our key is of a kind unknown, or belongs to another certificate.
    #[error("our certificate and private key do not fit")]
    Identity(#[source] rustls::Error),
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
    /// As the options say. Reads the system's certificates from disk, where these are the roots: not for a hot path.
    ///
    /// # Errors
    /// What does not fit together, or is no certificate, key or name.
    pub fn try_new(options: &TlsOptions) -> Result<Self, TlsError> {
        let server_name = options
            .server_name
            .as_deref()
            .map(parse_name)
            .transpose()
            .map_err(TlsErrorKind::ServerName)?;
        // Named, not taken from the process: another crate may have installed a different default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let inner: Option<Arc<dyn ServerCertVerifier>> = match options.verify {
            TlsVerify::PinOnly if options.pins.is_empty() => return Err(TlsErrorKind::NoPins.into()),
            TlsVerify::PinOnly => None,
            TlsVerify::Full => {
                let store = match &options.roots {
                    TlsRoots::Native => native_roots(),
                    TlsRoots::Pem(pem) => pem_roots(pem)?,
                };
                if store.is_empty() {
                    return Err(TlsErrorKind::NoRoots.into());
                }
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
                        .build()
                        .map_err(TlsErrorKind::Verifier)?;
                Some(verifier)
            }
        };
        let verifier = match (inner, options.pins.is_empty()) {
            (Some(verifier), true) => verifier,
            (inner, _) => Arc::new(pin::Pinned::new(
                inner,
                options.pins.clone(),
                provider.signature_verification_algorithms,
            )),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsErrorKind::Config)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity_of(identity)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(TlsErrorKind::Identity)?
            }
        };
        Ok(Self {
            config: Arc::new(config),
            server_name,
        })
    }

    /// What the TLS library is set up with, for clients of other protocols over this trust and identity. It holds no name: who
    /// connects names the server.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The handshake with a host, which is also the name to expect unless the options said another. Waits for the peer as long
    /// as the caller lets it. With TLS 1.3 a server that does not take our certificate says so only at the first read.
    ///
    /// # Errors
    /// What the peer did or is ([`TlsTrouble::of`] tells), a host that is no name, or the network.
    pub async fn connect<IO>(&self, host: &str, stream: IO) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self
            .name_for(host)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await
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

fn identity_of(
    identity: &TlsIdentity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsErrorKind> {
    let chain = CertificateDer::pem_slice_iter(&identity.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsErrorKind::Certificate)?;
    if chain.is_empty() {
        let none = rustls::pki_types::pem::Error::NoItemsFound;
        return Err(TlsErrorKind::Certificate(none));
    }
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(TlsErrorKind::Key)?;
    Ok((chain, key))
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

    fn refused(change: impl FnOnce(&mut TlsOptions)) -> TlsErrorKind {
        let mut options = TlsOptions {
            roots: TlsRoots::Pem(include_bytes!("../tests/fixtures/ca.pem").to_vec()),
            ..TlsOptions::default()
        };
        change(&mut options);
        TlsClient::try_new(&options).unwrap_err().kind
    }

    #[test]
    fn an_empty_or_broken_ca_file_and_a_wrong_name_are_refused() {
        let empty = refused(|options| options.roots = TlsRoots::Pem(b"no certificate here".to_vec()));
        assert!(matches!(empty, TlsErrorKind::NoRoots), "{empty:?}");
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let broken = refused(|options| options.roots = TlsRoots::Pem(broken.to_vec()));
        assert!(matches!(broken, TlsErrorKind::Root(_)), "{broken:?}");
        let name = refused(|options| options.server_name = Some("not a name".to_owned()));
        assert!(matches!(name, TlsErrorKind::ServerName(_)), "{name:?}");
        let nobody = refused(|options| options.verify = TlsVerify::PinOnly);
        assert!(matches!(nobody, TlsErrorKind::NoPins), "{nobody:?}");
    }

    #[test]
    fn a_certificate_without_its_own_key_is_refused_and_the_key_not_shown() {
        let chain = include_bytes!("../tests/fixtures/server.pem").to_vec();
        let key = include_bytes!("../tests/fixtures/server.key").to_vec();
        let with = |chain: &[u8], key: &[u8]| {
            let identity = TlsIdentity {
                chain: chain.to_vec(),
                key: key.to_vec(),
            };
            assert_eq!(format!("{identity:?}"), "TlsIdentity { .. }");
            refused(|options| options.identity = Some(identity))
        };
        let other = include_bytes!("../tests/fixtures/ca.pem");
        let mixed = with(other, &key);
        assert!(matches!(mixed, TlsErrorKind::Identity(_)), "{mixed:?}");
        let no_key = with(&chain, &chain);
        assert!(matches!(no_key, TlsErrorKind::Key(_)), "{no_key:?}");
        let no_chain = with(&key, &key);
        assert!(matches!(no_chain, TlsErrorKind::Certificate(_)), "{no_chain:?}");
    }
}
