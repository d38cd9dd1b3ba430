//! The server side of TLS: a certificate that can be exchanged while connections are open.
//!
//! rustls with ring, TLS 1.2 and 1.3, no client certificates. Reads no file: who owns the files brings their octets.
//! Invariant: a handshake uses one certificate with its own key from its beginning to its end; an identity that does not
//! fit together changes nothing.
//!
//! # Limits
//! One certificate for all names. Sessions that were begun with an earlier certificate go on, and may be resumed.

use super::{TlsError, TlsErrorKind, TlsIdentity, identity_of};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How TLS connections are taken; cheap to clone. All clones change their certificate together.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
    identity: Arc<Identity>,
}

/// The certificate in use.
#[derive(Debug)]
struct Identity {
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A pointer is whole whatever panicked.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl TlsServer {
    /// With this certificate; `alpn` names the protocols that are spoken inside, the preferred one first (RFC 7301), and is
    /// empty where there is but one.
    ///
    /// # Errors
    /// What is no certificate or key, or does not fit together.
    pub fn try_new(identity: &TlsIdentity, alpn: &[&[u8]]) -> Result<Self, TlsError> {
        // Named, not taken from the process: another crate may have installed a different default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let identity = Arc::new(Identity {
            current: RwLock::new(certified(identity, &provider)?),
            provider: Arc::clone(&provider),
        });
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Identity>::clone(&identity);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsErrorKind::Config)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            identity,
        })
    }

    /// From now on with this certificate.
    ///
    /// # Errors
    /// As [`TlsServer::try_new`]; the certificate before stays in use.
    pub fn replace(&self, identity: &TlsIdentity) -> Result<(), TlsError> {
        let fresh = certified(identity, &self.identity.provider)?;
        *self
            .identity
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The handshake. Waits for the peer as long as the caller lets it.
    ///
    /// # Errors
    /// What the peer did, or the network.
    pub async fn accept<IO>(&self, stream: IO) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }
}

fn certified(identity: &TlsIdentity, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsErrorKind> {
    let (chain, key) = identity_of(identity)?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(TlsErrorKind::Identity)?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{TlsClient, TlsOptions, TlsVerify, spki_pin};
    use rustls::pki_types::ServerName;
    use tokio_rustls::TlsConnector;

    fn identity(name: &str) -> TlsIdentity {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        TlsIdentity {
            chain: made.cert.pem().into_bytes(),
            key: made.signing_key.serialize_pem().into_bytes(),
        }
    }

    fn pin(identity: &TlsIdentity) -> [u8; 32] {
        let (chain, _) = identity_of(identity).unwrap();
        spki_pin(&chain[0]).unwrap()
    }

    async fn meets(server: &TlsServer, expected: &TlsIdentity) -> bool {
        let options = TlsOptions {
            pins: vec![pin(expected)],
            verify: TlsVerify::PinOnly,
            ..TlsOptions::default()
        };
        let client = TlsConnector::from(TlsClient::try_new(&options).unwrap().config);
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let name = ServerName::try_from("localhost").unwrap();
        let (server, client) = tokio::join!(server.accept(ours), client.connect(name, theirs));
        server.is_ok() && client.is_ok()
    }

    #[tokio::test]
    async fn a_certificate_is_exchanged_while_serving_and_a_wrong_one_changes_nothing() {
        let (old, new) = (identity("old.example"), identity("new.example"));
        let server = TlsServer::try_new(&old, &[b"h2", b"http/1.1"]).unwrap();
        assert!(meets(&server, &old).await);
        let mixed = TlsIdentity {
            chain: new.chain.clone(),
            key: old.key.clone(),
        };
        let refused = server.replace(&mixed).unwrap_err();
        assert!(matches!(refused.kind, TlsErrorKind::Identity(_)), "{refused:?}");
        assert!(meets(&server, &old).await);
        server.clone().replace(&new).unwrap();
        assert!(meets(&server, &new).await);
        assert!(!meets(&server, &old).await);
    }
}
