//! TLS of the SMPP server.

use crate::harness::*;
use smsgw_runtime::{Clock, SystemClock};
use smsgw_smpp::{BindKind, CommandStatus, EsmeSession};
use smsgw_transport::{ConnectOptions, TlsClient, TlsOptions, TlsRoots, connect};
use std::path::PathBuf;
use std::time::Duration;

/// A certificate that vouches for itself, and its key, as PEM.
struct Made {
    cert: String,
    key: String,
}

impl Made {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            cert: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

struct Files {
    cert: PathBuf,
    key: PathBuf,
    _dir: tempfile::TempDir,
}

impl Files {
    fn of(made: &Made) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = Self {
            cert: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
            _dir: dir,
        };
        std::fs::write(&files.cert, &made.cert).unwrap();
        std::fs::write(&files.key, &made.key).unwrap();
        files
    }

    fn settings(&self) -> String {
        let (cert, key) = (&self.cert, &self.key);
        format!("cert_file = {cert:?}\nkey_file = {key:?}\nbind_timeout = \"1s\"")
    }
}

/// A bound client that trusts that certificate only; `None` when the server shows another one.
async fn secure(node: &Node, trusted: &Made) -> Option<Esme> {
    let options = ConnectOptions {
        tls: Some(
            TlsClient::try_new(&TlsOptions {
                roots: TlsRoots::Pem(trusted.cert.clone().into_bytes()),
                server_name: Some("localhost".to_owned()),
                ..TlsOptions::default()
            })
            .unwrap(),
        ),
        ..ConnectOptions::default()
    };
    let connection = connect(&[node.address.to_string()], &options).await.ok()?;
    let config = esme_config("acme", "a long secret", BindKind::Transceiver, 0x34);
    let mut esme = Esme::over(connection, EsmeSession::new(config, SystemClock.instant()));
    esme.event().await;
    Some(esme)
}

#[tokio::test]
async fn with_a_certificate_the_listener_takes_tls_only() {
    let made = Made::new();
    let files = Files::of(&made);
    let node = Node::start(&files.settings(), "").await;
    let mut esme = secure(&node, &made).await.unwrap();
    assert_eq!(esme.answer(text("Hello")).await.0, CommandStatus::OK);
    assert!(node.sessions.list()[0].tls);

    let plain = tokio::net::TcpStream::connect(node.address).await.unwrap();
    let config = esme_config("acme", "a long secret", BindKind::Transceiver, 0x34);
    let mut esme = Esme::over(plain, EsmeSession::new(config, SystemClock.instant()));
    esme.closed().await;
    assert_eq!(node.sessions.list().len(), 1);
}

/// Lets the server look at its files: some time passes at once.
async fn looked_at() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_half_of_one_to_none() {
    let (old, new) = (Made::new(), Made::new());
    let files = Files::of(&old);
    let node = Node::start(&files.settings(), "").await;
    let mut before = secure(&node, &old).await.unwrap();

    std::fs::write(&files.cert, &new.cert).unwrap();
    looked_at().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        secure(&node, &old).await.is_some(),
        "the key is not that of the new one"
    );
    assert!(secure(&node, &new).await.is_none());

    std::fs::write(&files.key, &new.key).unwrap();
    looked_at().await;
    let shown = async {
        while secure(&node, &new).await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, shown)
        .await
        .expect("the new one in time");
    assert!(secure(&node, &old).await.is_none());
    assert_eq!(
        before.answer(text("Hello")).await.0,
        CommandStatus::OK,
        "who was there stays"
    );
}
