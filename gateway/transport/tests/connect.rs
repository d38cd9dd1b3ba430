//! Connecting on the loopback: the next host when one fails, deadlines, TLS with a given root.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use smsgw_transport::{AttemptError, ConnectOptions, Listener, TlsClient, TlsRoots, connect};
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
    let roots = TlsRoots::Pem(include_bytes!("fixtures/ca.pem").to_vec());
    let tls = TlsClient::try_new(&roots, server_name).unwrap();
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
