//! Targets with TLS: our certificate where the account has one, the account's own authority, HTTP/2 over one connection.

use super::*;
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper::{Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio_rustls::TlsAcceptor;

#[tokio::test]
async fn a_target_that_wants_our_certificate_gets_it_over_one_http2_connection_and_others_do_not_reach_it() {
    let theirs = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ours = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str, text: String| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca = path("ca.pem", theirs.cert.pem());
    let (cert, key) = (
        path("cert.pem", ours.cert.pem()),
        path("key.pem", ours.signing_key.serialize_pem()),
    );
    let der = |pem: String| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut trusted = RootCertStore::empty();
    trusted.add(der(ours.cert.pem())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(&provider))
        .build()
        .unwrap();
    let private = PrivateKeyDer::from_pem_slice(theirs.signing_key.serialize_pem().as_bytes()).unwrap();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![der(theirs.cert.pem())], private)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, opened) = (Arc::clone(&requests), Arc::clone(&connections));
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(server));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, counted, opened) = (acceptor.clone(), Arc::clone(&counted), Arc::clone(&opened));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                opened.fetch_add(1, Ordering::SeqCst);
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    assert_eq!(request.version(), Version::HTTP_2);
                    counted.fetch_add(1, Ordering::SeqCst);
                    async { Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new())) }
                });
                let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                served.serve_connection(TokioIo::new(stream), service).await.ok();
            });
        }
    });
    let policy = format!(
        "[client.acme]\napi_key = \"k\"\n[client.acme.callback_policy.tls]\nca_file = {ca:?}\ncert_file = {cert:?}\nkey_file = {key:?}\n\
         [client.stranger]\napi_key = \"s\"\n[client.stranger.callback_policy.tls]\nca_file = {ca:?}\n\
         [client.broken]\napi_key = \"b\"\n[client.broken.callback_policy.tls]\nca_file = \"/nonexistent.pem\"\n"
    );
    let node = Node::start_with(&format!("{ALLOWED}retry = [\"10s\"]"), &policy).await;
    let url = format!("https://localhost:{port}/");
    node.report("stranger", &url, 1).await;
    node.report("broken", &url, 1).await;
    until("both failed", SOON, || node.depth().deferred == 2).await;
    assert_eq!(requests.load(Ordering::SeqCst), 0);
    let before = connections.load(Ordering::SeqCst);
    node.report("acme", &url, 50).await;
    until("told", SOON, || {
        requests.load(Ordering::SeqCst) == 50 && node.depth().ready + node.depth().in_flight == 0
    })
    .await;
    let used = connections.load(Ordering::SeqCst) - before;
    assert!(used <= 32, "{used} connections");
    // Once one is there, it carries all of them.
    node.report("acme", &url, 200).await;
    until("told", SOON, || requests.load(Ordering::SeqCst) == 250).await;
    assert_eq!(connections.load(Ordering::SeqCst) - before, used);
    node.tree.drain().await;
}
