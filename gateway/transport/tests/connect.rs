//! Connecting on the loopback: the next host when one fails, deadlines, TLS with a given root.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use smsgw_transport::{
    AttemptError, ConnectError, ConnectOptions, Listener, TlsClient, TlsIdentity, TlsOptions, TlsRoots,
    TlsVerify, connect, spki_pin,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

async fn listener() -> Listener {
    Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// An address nobody listens on.
async fn dead() -> String {
    listener().await.local_addr().to_string()
}

#[tokio::test]
async fn the_first_host_that_answers_is_taken() {
    let listener = listener().await;
    let alive = format!("localhost:{}", listener.local_addr().port());
    let hosts = [dead().await, "no-port".to_owned(), alive.clone(), dead().await];
    let options = ConnectOptions {
        keepalive: Some(Duration::from_secs(30)),
        ..ConnectOptions::default()
    };
    let (connection, mut accepted) = tokio::join!(connect(&hosts, &options), listener.accept());
    let mut connection = connection.unwrap();
    assert_eq!(connection.host(), alive);
    assert_eq!(connection.peer(), listener.local_addr());
    assert!(!connection.is_tls());
    connection.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    accepted.0.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
}

#[tokio::test]
async fn a_failure_names_every_host_and_what_happened() {
    let dead = dead().await;
    let hosts = [dead.clone(), "no-port".to_owned()];
    let error = connect(&hosts, &ConnectOptions::default()).await.unwrap_err();
    assert_eq!(error.attempts.len(), 2);
    assert!(matches!(error.attempts[0].kind, AttemptError::Tcp(_)));
    assert!(matches!(error.attempts[1].kind, AttemptError::Lookup(_)));
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("failed to connect: {dead}: ")) && text.contains("; no-port: name lookup"),
        "{text}"
    );
    let none = connect(&[], &ConnectOptions::default()).await.unwrap_err();
    assert_eq!(none.to_string(), "failed to connect: no host is given");
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("fixtures/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("fixtures/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn tls(server_name: Option<&str>) -> ConnectOptions {
    let options = TlsOptions {
        roots: TlsRoots::Pem(include_bytes!("fixtures/ca.pem").to_vec()),
        server_name: server_name.map(str::to_owned),
        ..TlsOptions::default()
    };
    let tls = TlsClient::try_new(&options).unwrap();
    ConnectOptions {
        tls: Some(tls),
        timeout: Duration::from_millis(500),
        ..ConnectOptions::default()
    }
}

#[tokio::test]
async fn tls_with_a_given_root_carries_bytes_and_checks_the_name() {
    let listener = listener().await;
    let by_address = [listener.local_addr().to_string()];
    let serve = async {
        let (stream, _) = listener.accept().await;
        acceptor().accept(stream).await
    };
    let options = tls(None);
    let (connection, accepted) = tokio::join!(connect(&by_address, &options), serve);
    let (mut connection, mut accepted) = (connection.unwrap(), accepted.unwrap());
    assert!(connection.is_tls());
    connection.write_all(b"over TLS").await.unwrap();
    connection.flush().await.unwrap();
    let mut bytes = [0; 8];
    accepted.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"over TLS");

    let serve = async {
        let (stream, _) = listener.accept().await;
        acceptor().accept(stream).await
    };
    let options = tls(Some("other.example.net"));
    let (refused, _) = tokio::join!(connect(&by_address, &options), serve);
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused.attempts[0].kind, AttemptError::Tls(_)),
        "{refused}"
    );
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_does_not_hold_up_the_handshake_for_ever() {
    let listener = listener().await;
    let by_address = [listener.local_addr().to_string()];
    let options = tls(None);
    let (refused, _silent) = tokio::join!(connect(&by_address, &options), listener.accept());
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused.attempts[0].kind, AttemptError::Timeout(_)),
        "{refused}"
    );
}

/// A root, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Signed {
    der: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> TlsRoots {
        TlsRoots::Pem(self.0.pem().into_bytes())
    }

    fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Signed {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }
}

impl Signed {
    fn by_itself(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // What `openssl req -x509` makes: a root that serves.
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    fn identity(&self) -> TlsIdentity {
        TlsIdentity {
            chain: self.pem.clone().into_bytes(),
            key: self.key.serialize_pem().into_bytes(),
        }
    }

    fn pin(&self) -> [u8; 32] {
        spki_pin(&self.der).unwrap()
    }
}

/// What a carrier saw of us.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    name: Option<String>,
    certificate: Option<Vec<u8>>,
}

/// One connection to a carrier with this certificate, which asks for one of `clients` when there is such.
async fn meet(
    carrier: &Signed,
    clients: Option<&Authority>,
    options: TlsOptions,
) -> (Result<(), ConnectError>, Option<Seen>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut store = rustls::RootCertStore::empty();
            store.add(authority.0.der().clone()).unwrap();
            builder.with_client_cert_verifier(
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
                    .build()
                    .unwrap(),
            )
        }
    };
    let config = builder
        .with_single_cert(vec![carrier.der.clone()], carrier.key_der())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = listener().await;
    let hosts = [format!("localhost:{}", listener.local_addr().port())];
    let serve = async {
        let (stream, _) = listener.accept().await;
        let mut stream = acceptor.accept(stream).await.ok()?;
        // TLS 1.3 tells the client of a refused certificate only after its handshake.
        stream.write_all(b"!").await.ok()?;
        stream.flush().await.ok()?;
        let (_, session) = stream.get_ref();
        let certificate = session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| leaf.to_vec());
        let name = session.server_name().map(str::to_owned);
        Some(Seen { name, certificate })
    };
    let options = ConnectOptions {
        tls: Some(TlsClient::try_new(&options).unwrap()),
        ..ConnectOptions::default()
    };
    let talk = async {
        let mut connection = connect(&hosts, &options).await?;
        let mut byte = [0];
        // A carrier that refuses us ends the connection here; it tells so by `Seen`.
        connection.read_exact(&mut byte).await.ok();
        Ok(())
    };
    tokio::join!(talk, serve)
}

#[tokio::test]
async fn a_carrier_that_asks_who_we_are_gets_our_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let carrier = authority.sign("localhost");
    let ours = clients.sign("gw1");
    let options = |identity| TlsOptions {
        roots: authority.roots(),
        identity,
        ..TlsOptions::default()
    };
    let (connected, seen) = meet(&carrier, Some(&clients), options(Some(ours.identity()))).await;
    connected.unwrap();
    assert_eq!(
        seen,
        Some(Seen {
            name: Some("localhost".to_owned()),
            certificate: Some(ours.der.to_vec())
        })
    );
    let (_, nobody) = meet(&carrier, Some(&clients), options(None)).await;
    assert_eq!(nobody, None);
    let stranger = authority.sign("gw1");
    let (_, stranger) = meet(&carrier, Some(&clients), options(Some(stranger.identity()))).await;
    assert_eq!(stranger, None);
}

#[tokio::test]
async fn the_server_name_is_asked_for_and_expected_instead_of_the_host() {
    let authority = Authority::new();
    let carrier = authority.sign("smsc.example.net");
    let options = |server_name: Option<&str>| TlsOptions {
        roots: authority.roots(),
        server_name: server_name.map(str::to_owned),
        ..TlsOptions::default()
    };
    let (connected, seen) = meet(&carrier, None, options(Some("smsc.example.net"))).await;
    connected.unwrap();
    assert_eq!(seen.unwrap().name.as_deref(), Some("smsc.example.net"));
    let (refused, _) = meet(&carrier, None, options(None)).await;
    let refused = refused.unwrap_err();
    assert!(
        refused
            .attempts
            .iter()
            .any(|attempt| matches!(attempt.kind, AttemptError::Tls(_))),
        "{refused}"
    );
}

#[tokio::test]
async fn a_pin_refuses_another_key_that_the_same_root_signed() {
    let authority = Authority::new();
    let (carrier, other) = (authority.sign("localhost"), authority.sign("localhost"));
    let pinned = |pins: Vec<[u8; 32]>| TlsOptions {
        roots: authority.roots(),
        pins,
        ..TlsOptions::default()
    };
    let (connected, _) = meet(&carrier, None, pinned(vec![other.pin(), carrier.pin()])).await;
    connected.unwrap();
    let (refused, _) = meet(&carrier, None, pinned(vec![other.pin()])).await;
    assert!(refused.is_err());
    // A pin replaces nothing: the root still has to be ours.
    let foreign = TlsOptions {
        roots: Authority::new().roots(),
        ..pinned(vec![carrier.pin()])
    };
    assert!(meet(&carrier, None, foreign).await.0.is_err());
}

#[tokio::test]
async fn a_carrier_that_signed_itself_is_known_by_its_key_alone() {
    let carrier = Signed::by_itself("smsc.example.net");
    let by_key = |pins: Vec<[u8; 32]>| TlsOptions {
        pins,
        verify: TlsVerify::PinOnly,
        ..TlsOptions::default()
    };
    let (connected, seen) = meet(&carrier, None, by_key(vec![carrier.pin()])).await;
    connected.unwrap();
    assert!(seen.is_some());
    let copy = Signed::by_itself("smsc.example.net");
    let (refused, _) = meet(&copy, None, by_key(vec![carrier.pin()])).await;
    assert!(refused.is_err(), "the same names, another key");
}
