//! TLS on the listener: HTTP/1.1 and HTTP/2 by what the client asks for, a drain for both, nothing in the clear.

use crate::harness::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use smsgw_runtime::Exit;
use smsgw_testkit::Mood;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

struct Secure {
    node: Node,
    root: CertificateDer<'static>,
    _files: tempfile::TempDir,
}

impl Secure {
    async fn start(http: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = tempfile::tempdir().unwrap();
        let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let http = format!("cert_file = {cert:?}\nkey_file = {key:?}\n{http}");
        Self {
            node: Node::start(&http).await,
            root: CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap(),
            _files: files,
        }
    }

    async fn connect(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.node.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }

    async fn h2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = self.connect(&[b"h2"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }
}

fn message() -> Request<Full<Bytes>> {
    Request::post("https://localhost/v1/messages")
        .header("authorization", "Bearer acme-key")
        .body(Full::from(HELLO))
        .unwrap()
}

#[tokio::test]
async fn both_protocols_are_spoken_inside_tls_and_none_in_the_clear() {
    let secure = Secure::start("header_timeout = \"1s\"").await;
    let mut stream = secure.connect(&[b"http/1.1"]).await;
    stream.write_all(post(HELLO).as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 202");
    let sender = secure.h2().await;
    let asked = (0..50).map(|_| {
        let mut sender = sender.clone();
        tokio::spawn(async move { sender.send_request(message()).await.unwrap().status() })
    });
    for answer in asked.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), StatusCode::ACCEPTED);
    }
    assert_eq!(secure.node.accepted(), 51);
    let mut plain = secure.node.connect().await;
    plain.send(&post(HELLO)).await;
    assert!(plain.is_closed_within(Duration::from_secs(2)).await);
    let mut silent = secure.node.connect().await;
    assert!(
        silent.is_closed_within(Duration::from_secs(3)).await,
        "a handshake has its time"
    );
    assert_eq!(secure.node.accepted(), 51);
}

#[tokio::test]
async fn heads_and_streams_of_http2_are_bounded() {
    let secure = Secure::start("max_streams = 4").await;
    let mut sender = secure.h2().await;
    let mut huge = message();
    let value = "x".repeat(64 * 1024);
    huge.headers_mut().insert("x-large", value.parse().unwrap());
    let refused = sender.send_request(huge).await;
    let is_refused = refused.as_ref().map_or(true, |answer| {
        answer.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    });
    assert!(is_refused, "{refused:?}");
    // More than the connection may have open at once: the others wait for their turn, and all are answered.
    let mut sender = secure.h2().await;
    // Until it knows how many, a client may begin too many; those are refused unprocessed (RFC 9113 section 8.7).
    assert_eq!(
        sender.send_request(message()).await.unwrap().status(),
        StatusCode::ACCEPTED
    );
    secure.node.engine.set(Mood::Delay(Duration::from_millis(100)));
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { sender.send_request(message()).await.unwrap().status() })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn a_drain_answers_what_was_asked_over_http2() {
    let secure = Secure::start("").await;
    let mut sender = secure.h2().await;
    secure.node.engine.set(Mood::Delay(Duration::from_millis(500)));
    let asked = tokio::spawn(async move {
        let answer = sender.send_request(message()).await.unwrap();
        let status = answer.status();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let tree = secure.node.tree.clone();
    let drained = tokio::spawn(async move { tree.drain().await });
    let (status, body) = asked.await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED);
    assert!(!body.is_empty());
    let exit = timeout(Duration::from_secs(5), drained).await.unwrap().unwrap();
    assert_eq!(exit, Exit::Stopped);
}
