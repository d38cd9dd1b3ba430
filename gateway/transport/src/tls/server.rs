//! The server side of TLS: a certificate, and those who sign clients' certificates, that can be exchanged while connections
//! are open.
//!
//! rustls with ring, TLS 1.2 and 1.3. Reads no file: who owns the files brings their octets (`files` does). Invariant: a
//! handshake uses one certificate with its own key, and one set of authorities, from its beginning to its end; what does not
//! fit together changes nothing. A client that shows a certificate has proved that it holds its key.
//!
//! # Limits
//! One certificate for all names. Connections that were begun with an earlier certificate go on. Where clients show
//! certificates no session is resumed: each is looked at each time.

use super::pin::{Pinned, SPKI_PIN_BYTES};
use super::{TlsError, TlsErrorKind, TlsIdentity, identity_of, pem_roots};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Whose certificates clients may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsClients {
    /// Certificates that sign those of clients, as PEM.
    pub roots: Vec<u8>,
    /// Whether a client that shows none is refused. One that shows a wrong one always is.
    pub required: bool,
}

impl TlsClients {
    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsErrorKind> {
        signed_by(&self.roots, self.required, provider)
    }
}

fn signed_by(
    pem: &[u8],
    required: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsErrorKind> {
    let roots = pem_roots(pem)?;
    if roots.is_empty() {
        return Err(TlsErrorKind::NoRoots);
    }
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if !required {
        verifier = verifier.allow_unauthenticated();
    }
    verifier.build().map_err(TlsErrorKind::Verifier)
}

/// Whose certificates let a peer in. Without roots and pins nobody is asked for one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsPeers {
    /// PEM of the certificates that sign those of peers; `None`: who signed them does not matter.
    pub roots: Option<Vec<u8>>,
    /// SHA-256 of the SubjectPublicKeyInfo of a peer's certificate; any of them will do, and with none any key.
    pub pins: Vec<[u8; SPKI_PIN_BYTES]>,
}

impl TlsPeers {
    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsErrorKind> {
        let signed = match &self.roots {
            None => None,
            Some(pem) => Some(signed_by(pem, true, provider)?),
        };
        if self.pins.is_empty() {
            return Ok(signed);
        }
        let algorithms = provider.signature_verification_algorithms;
        Ok(Some(Arc::new(Pinned::new(signed, self.pins.clone(), algorithms))))
    }
}

/// How TLS connections are taken; cheap to clone. All clones change their certificate together.
#[derive(Clone)]
pub struct TlsServer {
    current: Arc<RwLock<TlsAcceptor>>,
    alpn: Arc<[Vec<u8>]>,
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl TlsServer {
    /// With this certificate, asking clients for theirs when `clients` says so; `alpn` names the protocols that are spoken
    /// inside, the preferred one first (RFC 7301), and is empty where there is but one.
    ///
    /// # Errors
    /// What is no certificate or key, or does not fit together.
    pub fn try_new(
        identity: &TlsIdentity,
        clients: Option<&TlsClients>,
        alpn: &[&[u8]],
    ) -> Result<Self, TlsError> {
        Self::with(identity, alpn, |provider| {
            clients.map(|clients| clients.verifier(provider)).transpose()
        })
    }

    /// The same for peers that are known by who signed their certificate, by their key, or by both.
    ///
    /// # Errors
    /// As [`TlsServer::try_new`].
    pub fn try_new_for(peers: &TlsPeers, identity: &TlsIdentity, alpn: &[&[u8]]) -> Result<Self, TlsError> {
        Self::with(identity, alpn, |provider| peers.verifier(provider))
    }

    fn with(
        identity: &TlsIdentity,
        alpn: &[&[u8]],
        verifier: impl FnOnce(&Arc<CryptoProvider>) -> Result<Verifier, TlsErrorKind>,
    ) -> Result<Self, TlsError> {
        let alpn: Arc<[Vec<u8>]> = alpn.iter().map(|name| name.to_vec()).collect();
        let acceptor = acceptor(identity, verifier, &alpn)?;
        Ok(Self {
            current: Arc::new(RwLock::new(acceptor)),
            alpn,
        })
    }

    /// From now on with this certificate, and these authorities of clients.
    ///
    /// # Errors
    /// As [`TlsServer::try_new`]; what was before stays in use.
    pub fn replace(&self, identity: &TlsIdentity, clients: Option<&TlsClients>) -> Result<(), TlsError> {
        let verifier = |provider: &_| clients.map(|clients| clients.verifier(provider)).transpose();
        let fresh = acceptor(identity, verifier, &self.alpn)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn current(&self) -> TlsAcceptor {
        // A pointer is whole whatever panicked.
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The handshake. Waits for the peer as long as the caller lets it.
    ///
    /// # Errors
    /// What the peer did, or the network.
    pub async fn accept<IO>(&self, stream: IO) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.current().accept(stream).await
    }

    /// The same, with the stream given back after a failure, for who wants to close it so that the peer reads the alert.
    ///
    /// # Errors
    /// As [`TlsServer::accept`].
    pub async fn accept_or_return<IO>(&self, stream: IO) -> Result<TlsStream<IO>, (io::Error, IO)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.current().accept(stream).into_fallible().await
    }
}

/// What looks at the certificates of clients, where they are asked for any.
type Verifier = Option<Arc<dyn ClientCertVerifier>>;

fn acceptor(
    identity: &TlsIdentity,
    verifier: impl FnOnce(&Arc<CryptoProvider>) -> Result<Verifier, TlsErrorKind>,
    alpn: &[Vec<u8>],
) -> Result<TlsAcceptor, TlsErrorKind> {
    // Named, not taken from the process: another crate may have installed a different default.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(&provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsErrorKind::Config)?;
    let shows = verifier.is_some();
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let (chain, key) = identity_of(identity)?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(TlsErrorKind::Identity)?;
    config.alpn_protocols = alpn.to_vec();
    if shows {
        // A resumed session would bring the certificate along unseen: one that ran out, or whose authority is gone.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{TlsClient, TlsOptions, TlsVerify, spki_pin};

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
        let client = TlsClient::try_new(&options).unwrap();
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let (server, client) = tokio::join!(server.accept(ours), client.connect("localhost", theirs));
        server.is_ok() && client.is_ok()
    }

    /// Whether a client with this certificate of its own is let in. TLS 1.3 tells a client only with the first octets.
    async fn lets_in(server: &TlsServer, expected: &TlsIdentity, own: Option<&TlsIdentity>) -> bool {
        let options = TlsOptions {
            pins: vec![pin(expected)],
            verify: TlsVerify::PinOnly,
            identity: own.cloned(),
            ..TlsOptions::default()
        };
        let client = TlsClient::try_new(&options).unwrap();
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let (server, _client) = tokio::join!(server.accept(ours), client.connect("localhost", theirs));
        server.is_ok()
    }

    #[tokio::test]
    async fn peers_are_let_in_by_signer_by_key_or_by_both() {
        let ours = identity("ours.example");
        let (known, other) = (identity("known.example"), identity("other.example"));
        let roots = Some(known.chain.clone());
        let by = |roots: Option<Vec<u8>>, pins: Vec<[u8; SPKI_PIN_BYTES]>| {
            TlsServer::try_new_for(&TlsPeers { roots, pins }, &ours, &[]).unwrap()
        };
        let open = by(None, Vec::new());
        assert!(lets_in(&open, &ours, None).await && lets_in(&open, &ours, Some(&other)).await);
        for server in [
            by(roots.clone(), Vec::new()),
            by(None, vec![pin(&known)]),
            by(roots.clone(), vec![[0; SPKI_PIN_BYTES], pin(&known)]),
        ] {
            assert!(lets_in(&server, &ours, Some(&known)).await);
            assert!(!lets_in(&server, &ours, Some(&other)).await);
            assert!(!lets_in(&server, &ours, None).await, "a certificate is asked for");
        }
        let both = by(roots, vec![pin(&other)]);
        assert!(
            !lets_in(&both, &ours, Some(&known)).await,
            "signed, and another key"
        );
        let none = TlsPeers {
            roots: Some(b"no certificate".to_vec()),
            pins: Vec::new(),
        };
        let refused = TlsServer::try_new_for(&none, &ours, &[]).unwrap_err();
        assert!(matches!(refused.kind, TlsErrorKind::NoRoots), "{refused:?}");
    }

    #[tokio::test]
    async fn a_certificate_is_exchanged_while_serving_and_a_wrong_one_changes_nothing() {
        let (old, new) = (identity("old.example"), identity("new.example"));
        let server = TlsServer::try_new(&old, None, &[b"h2", b"http/1.1"]).unwrap();
        assert!(meets(&server, &old).await);
        let mixed = TlsIdentity {
            chain: new.chain.clone(),
            key: old.key.clone(),
        };
        let refused = server.replace(&mixed, None).unwrap_err();
        assert!(matches!(refused.kind, TlsErrorKind::Identity(_)), "{refused:?}");
        assert!(meets(&server, &old).await);
        server.clone().replace(&new, None).unwrap();
        assert!(meets(&server, &new).await);
        assert!(!meets(&server, &old).await);
    }
    /// An authority, and what it signs for a name.
    struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

    impl Authority {
        fn new() -> Self {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().unwrap();
            Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
        }

        fn sign(&self, name: &str) -> TlsIdentity {
            let mut params = rcgen::CertificateParams::new(["admin@example".to_owned()]).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name.to_owned());
            let key = rcgen::KeyPair::generate().unwrap();
            let made = params.signed_by(&key, &self.0).unwrap();
            TlsIdentity {
                chain: made.pem().into_bytes(),
                key: key.serialize_pem().into_bytes(),
            }
        }

        fn clients(&self, required: bool) -> TlsClients {
            let roots = self.0.pem().into_bytes();
            TlsClients { roots, required }
        }
    }

    /// The name in the certificate that a client showed, or that the server did not take it.
    async fn shown(
        server: &TlsServer,
        of: &TlsIdentity,
        client: Option<&TlsIdentity>,
    ) -> Result<Option<String>, String> {
        let options = TlsOptions {
            pins: vec![pin(of)],
            verify: TlsVerify::PinOnly,
            identity: client.cloned(),
            ..TlsOptions::default()
        };
        let client = TlsClient::try_new(&options).unwrap();
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let (server, _client) = tokio::join!(server.accept(ours), client.connect("localhost", theirs));
        let stream = server.map_err(|error| error.to_string())?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        Ok(shown.map(|certificate| crate::certificate_name(certificate).unwrap()))
    }

    #[tokio::test]
    async fn clients_are_known_by_what_their_authority_signed_and_by_nothing_else() {
        let own = identity("gw.example");
        let (ours, theirs) = (Authority::new(), Authority::new());
        let (alice, mallory) = (ours.sign("alice"), theirs.sign("alice"));
        let server = TlsServer::try_new(&own, Some(&ours.clients(true)), &[]).unwrap();
        assert_eq!(
            shown(&server, &own, Some(&alice)).await,
            Ok(Some("alice".to_owned()))
        );
        shown(&server, &own, None).await.unwrap_err();
        shown(&server, &own, Some(&mallory)).await.unwrap_err();

        // Who shows none may come in now; who shows a wrong one may not.
        server.replace(&own, Some(&ours.clients(false))).unwrap();
        assert_eq!(shown(&server, &own, None).await, Ok(None));
        assert_eq!(
            shown(&server, &own, Some(&alice)).await,
            Ok(Some("alice".to_owned()))
        );
        shown(&server, &own, Some(&mallory)).await.unwrap_err();

        // Another authority from now on; files that say nothing change nothing.
        server.replace(&own, Some(&theirs.clients(true))).unwrap();
        shown(&server, &own, Some(&alice)).await.unwrap_err();
        let empty = TlsClients {
            roots: b"nothing".to_vec(),
            required: true,
        };
        let refused = server.replace(&own, Some(&empty)).unwrap_err();
        assert!(matches!(refused.kind, TlsErrorKind::NoRoots), "{refused:?}");
        assert_eq!(
            shown(&server, &own, Some(&mallory)).await,
            Ok(Some("alice".to_owned()))
        );
    }
}
