//! Certificate files that change while links are up.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use smsgw_transport::{ConnectOptions, Connection, connect};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A carrier that wants to see our certificate, and the directory with our files.
struct World {
    authority: CertifiedIssuer<'static, KeyPair>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    files: tempfile::TempDir,
    section: TlsSection,
}

impl World {
    async fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let carrier = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let carrier = carrier.signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut store = rustls::RootCertStore::empty();
        store.add(authority.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(store),
            Arc::clone(&provider),
        );
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![carrier.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(files.path().join(name));
        let section = TlsSection {
            ca_file: path("ca.pem"),
            cert_file: path("gw1.pem"),
            key_file: path("gw1.key"),
            server_name: Some("localhost".to_owned()),
            ..TlsSection::default()
        };
        std::fs::write(files.path().join("ca.pem"), authority.pem()).unwrap();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority,
            files,
            section,
        }
    }

    /// A certificate of ours and its key; returns what the carrier will see.
    fn issue(&self) -> (Vec<u8>, String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["gw1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.der().to_vec(), certificate.pem(), key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files.path().join(name), text).unwrap();
    }

    async fn link(&self, client: TlsClient) -> (Connection, TlsStream<TcpStream>, Vec<u8>) {
        let hosts = [self.listener.local_addr().unwrap().to_string()];
        let options = ConnectOptions {
            tls: Some(client),
            ..ConnectOptions::default()
        };
        let serve = async {
            let (stream, _) = self.listener.accept().await.unwrap();
            self.acceptor.accept(stream).await.unwrap()
        };
        let (ours, theirs) = tokio::join!(connect(&hosts, &options), serve);
        let seen = theirs.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        (ours.unwrap(), theirs, seen)
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_at_the_next_connect_and_drops_no_link() {
    let world = World::new().await;
    let mut files = TlsFiles::default();
    let (first, pem, key) = world.issue();
    world.write("gw1.pem", &pem);
    world.write("gw1.key", &key);
    let (mut ours, mut theirs, seen) = world.link(files.client(&world.section).unwrap()).await;
    assert_eq!(seen, first);

    // Half of a renewal: the certificate is new, the key is not yet.
    let (second, pem, key) = world.issue();
    world.write("gw1.pem", &pem);
    let (.., seen) = world.link(files.client(&world.section).unwrap()).await;
    assert_eq!(seen, first, "what was good stays in use");
    world.write("gw1.key", "");
    assert!(files.client(&world.section).is_ok());

    world.write("gw1.key", &key);
    let (.., seen) = world.link(files.client(&world.section).unwrap()).await;
    assert_eq!(seen, second);

    ours.write_all(b"still here").await.unwrap();
    ours.flush().await.unwrap();
    let mut octets = [0; 10];
    theirs.read_exact(&mut octets).await.unwrap();
    assert_eq!(&octets, b"still here");
}

#[tokio::test]
async fn files_that_did_not_change_give_the_same_client() {
    let world = World::new().await;
    let (_, pem, key) = world.issue();
    world.write("gw1.pem", &pem);
    world.write("gw1.key", &key);
    let mut files = TlsFiles::default();
    files.client(&world.section).unwrap();
    let kept = files.0.0.as_ref().map(|(options, _)| options.clone());
    files.client(&world.section).unwrap();
    assert_eq!(files.0.0.map(|(options, _)| options), kept);
}

#[test]
fn files_that_were_never_good_are_said() {
    let mut files = TlsFiles::default();
    let section = TlsSection {
        ca_file: Some(PathBuf::from("/nowhere/ca.pem")),
        ..TlsSection::default()
    };
    assert!(matches!(files.client(&section), Err(TlsSetupError::Read { .. })));
    let section = TlsSection {
        cert_file: Some(PathBuf::from("c.pem")),
        ..TlsSection::default()
    };
    assert!(matches!(files.client(&section), Err(TlsSetupError::HalfIdentity)));
}
