//! Carriers that connect to us inside TLS, over SMPP (outbind) and UCP: messages, receipts and phones go over such a connection, and
//! who cannot show the certificate that the section asks for is turned away.

use crate::harness::{
    Authority, Callback, Gateway, PATIENCE, Process, Receiver, Settings, eventually, free_port, peer, stats,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Messages of clients, and of phones.
const MESSAGES: usize = 40;

/// What the carrier speaks.
#[derive(Debug, Clone, Copy)]
enum Speech {
    Smpp,
    Ucp,
}

/// A gateway whose operator `alpha` is called inside TLS at a port: `gateway.pem` signed its certificate, `carriers.pem` those that
/// it lets in. There are such certificates of the carrier (`centre`) and of one that nobody knows (`mallory`).
struct Called {
    speech: Speech,
    port: u16,
    gateway: Gateway,
    receiver: Receiver,
    dir: TempDir,
}

impl Called {
    async fn start(speech: Speech) -> Self {
        let (receiver, port) = (Receiver::start().await, free_port());
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        Authority::new(at, "gateway.pem").signs(at, "gw", "gw.example", &["127.0.0.1"]);
        Authority::new(at, "carriers.pem").signs(at, "centre", "centre.example", &["centre.example"]);
        Authority::new(at, "strangers.pem").signs(at, "mallory", "centre.example", &["centre.example"]);
        let settings = Settings::new()
            .line("operator.alpha", "reconnect_min = \"50ms\"")
            .line("operator.alpha.calls", &format!("listen = \"127.0.0.1:{port}\""))
            .line("operator.alpha.calls", "cert_file = \"gw.pem\"")
            .line("operator.alpha.calls", "key_file = \"gw.key\"")
            .line("operator.alpha.calls", "ca_file = \"carriers.pem\"")
            .client("acme", &receiver.url())
            .route_mt(&[], &["alpha"])
            .route_mo(&["12345"], "acme");
        match speech {
            Speech::Smpp => settings
                .line("operator.alpha", "protocol = \"smpp\"")
                .line("operator.alpha", "system_id = \"test\"")
                .line("operator.alpha", "password = \"test\""),
            Speech::Ucp => settings
                .line("operator.alpha", "protocol = \"ucp\"")
                .line("operator.alpha.calls", "submit = true"),
        }
        .write(at);
        Self {
            gateway: Gateway::start(at).await,
            speech,
            port,
            receiver,
            dir,
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The words of a carrier that trusts this authority and shows this certificate.
    fn words(&self, trusts: &str, shows: Option<&str>) -> Vec<String> {
        let file = |name: String| self.dir.path().join(name).display().to_string();
        let (kind, how) = match self.speech {
            Speech::Smpp => ("smsc", "--outbind"),
            Speech::Ucp => ("ucp", "--connect"),
        };
        let listen = ["--listen", "127.0.0.1:0", "--control", "--receipt-delay", "20ms"];
        let mut words: Vec<String> = ["sim", kind]
            .into_iter()
            .chain(listen)
            .map(str::to_owned)
            .collect();
        words.extend([how.to_owned(), self.address()]);
        words.extend(["--tls-ca".to_owned(), file(trusts.to_owned())]);
        if let Some(name) = shows {
            words.extend(["--tls-cert".to_owned(), file(format!("{name}.pem"))]);
            words.extend(["--tls-key".to_owned(), file(format!("{name}.key"))]);
        }
        words
    }

    async fn carrier(&self, trusts: &str, shows: Option<&str>) -> Process {
        let words = self.words(trusts, shows);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        peer(&words).await.0
    }

    async fn counted(&self, outcome: &str, times: f64) {
        let labels = [("operator", "alpha"), ("outcome", outcome)];
        let counted = self
            .gateway
            .metric_at_least("smsgw_operator_calls_total", &labels, times)
            .await;
        assert_eq!(counted, times, "{outcome}");
    }

    async fn link(&self, state: &str) -> Value {
        eventually(&format!("the link is {state}"), || async {
            let status: Value = serde_json::from_slice(&self.gateway.admin("/status").await.body).unwrap();
            Some(status["links"][0].clone()).filter(|link| link["state"] == state)
        })
        .await
    }

    /// Messages go out, one in three of them in two parts, and their receipts come back.
    async fn exchange(&self, prefix: &str) {
        let mut ids = Vec::new();
        for number in 0..MESSAGES {
            let text = "x".repeat(if number % 3 == 0 { 200 } else { 20 });
            ids.push(
                self.gateway
                    .api
                    .text(&format!("{prefix}{number:08}"), &text)
                    .await,
            );
        }
        for id in &ids {
            let report = self.receiver.report(id).await;
            assert_eq!(report.body["message"]["state"], "delivered");
        }
    }

    /// As many phones have been heard, each once.
    async fn heard(&self, phones: usize) {
        eventually(&format!("{phones} phones are heard"), || async {
            let from = |callback: &Callback| {
                let message = &callback.body["message"];
                (callback.body["type"] == "mo").then(|| message["from"].as_str().unwrap().to_owned())
            };
            let all: Vec<String> = self.receiver.all().iter().filter_map(from).collect();
            let distinct: BTreeSet<&String> = all.iter().collect();
            assert_eq!(all.len(), distinct.len(), "{all:?}");
            (all.len() == phones).then_some(())
        })
        .await;
    }
}

/// Nothing is said on a connection without TLS, and it is closed once it has said something.
async fn speaks_plainly(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(&[0; 64]).await.unwrap();
    let mut said = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    // An alert of TLS may come first, and a reset may cut it off.
    assert!(closed.is_ok() && said.len() < 16, "{closed:?} {said:?}");
}

async fn talk(speech: Speech) {
    let mut called = Called::start(speech).await;
    // Without a certificate, with one of another authority, and without TLS.
    let mut strangers = vec![
        called.carrier("gateway.pem", None).await,
        called.carrier("gateway.pem", Some("mallory")).await,
    ];
    speaks_plainly(called.port).await;
    called.counted("no_tls", 3.0).await;
    // The carrier does not believe us: it ends, and says why.
    let words = called.words("strangers.pem", Some("centre"));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut careful = Gateway::tool(&words);
    assert!(!careful.ended().await.success());
    let said = careful.err.read(|lines| lines.join("\n"));
    assert!(said.contains("UnknownIssuer"), "{said}");
    called.counted("no_tls", 4.0).await;
    called.link("down").await;
    called.counted("taken", 0.0).await;

    let waits = called
        .gateway
        .api
        .text("491600000000", "waits for the carrier")
        .await;
    let mut carrier = called.carrier("gateway.pem", Some("centre")).await;
    assert_eq!(called.link("bound").await["tls"], true);
    let report = called.receiver.report(&waits).await;
    assert_eq!(report.body["message"]["state"], "delivered");
    carrier
        .tell(&format!("mo {}", json!({"total": MESSAGES, "from": "49171*"})))
        .await;
    called.exchange("4917").await;
    called.heard(MESSAGES).await;

    // The connection is lost in the middle; the carrier calls again, inside TLS again.
    carrier.tell("cut").await;
    called.link("down").await;
    carrier
        .tell(&format!(
            "mo {}",
            json!({"total": MESSAGES, "from": "49172*", "parts": 2})
        ))
        .await;
    let again = match speech {
        Speech::Smpp => "outbind",
        Speech::Ucp => "connect",
    };
    carrier.tell(&format!("{again} {}", called.address())).await;
    assert_eq!(called.link("bound").await["tls"], true);
    called.exchange("4918").await;
    called.heard(2 * MESSAGES).await;
    called.counted("taken", 2.0).await;

    let counted = stats(&mut carrier).await;
    assert_eq!(
        (&counted["refused"], &counted["undecodable"], &counted["owed"]),
        (&json!(0), &json!(0), &json!(0)),
        "{counted}"
    );
    for stranger in &mut strangers {
        let counted = stats(stranger).await;
        assert_eq!((&counted["submits"], &counted["mo"]), (&json!(0), &json!(0)));
    }
    called.gateway.stop().await;
}

#[tokio::test]
async fn an_smpp_carrier_that_calls_inside_tls_is_believed_by_its_certificate() {
    talk(Speech::Smpp).await;
}

#[tokio::test]
async fn a_ucp_centre_that_calls_inside_tls_is_believed_by_its_certificate() {
    talk(Speech::Ucp).await;
}
