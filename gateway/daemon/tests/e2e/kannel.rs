//! Kannel as a client: its bearerbox binds to our SMPP server, its smsbox sends, and what comes back is what it tells of
//! delivery reports and messages from phones.
//!
//! A thousand messages, short and long, each with an answer and a delivery report at Kannel's side.

use crate::harness::{
    Carrier, Gateway, Ledger, PATIENCE, Process, eventually, free_port, hex, ucs2, unhex, usual,
};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

const MESSAGES: usize = 1000;
/// Requests to smsbox at once.
const AT_ONCE: usize = 16;

/// What Kannel asks of us: path and query of each GET.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) port: u16,
    pub(crate) ledger: Arc<Ledger<String>>,
    _server: JoinSet<()>,
}

impl Asked {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ledger = Ledger::new("what Kannel asked");
        let notes = Arc::clone(&ledger);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                while connections.try_join_next().is_some() {}
                let notes = Arc::clone(&notes);
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                        notes.push(request.uri().to_string());
                        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
                    });
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                        .unwrap_or_else(|error| eprintln!("Kannel's request: {error}"));
                });
            }
        });
        Self {
            port,
            ledger,
            _server: server,
        }
    }
}

/// A box of Kannel on its configuration.
pub(crate) fn kannel(program: &str, config: &Path) -> Process {
    let mut command = Command::new(program);
    command.arg("-v").arg("1").arg(config);
    Process::spawn(program, command)
}

/// The ports of Kannel's boxes.
#[derive(Debug)]
pub(crate) struct Boxes {
    admin: u16,
    boxes: u16,
    pub(crate) sendsms: u16,
}

impl Boxes {
    pub(crate) fn free() -> Self {
        Self {
            admin: free_port(),
            boxes: free_port(),
            sendsms: free_port(),
        }
    }

    /// A configuration with this group `smsc`; messages from phones are told to `asked`.
    pub(crate) fn configuration(&self, smsc: &str, asked: u16) -> String {
        let Self {
            admin,
            boxes,
            sendsms,
        } = self;
        format!(
            r#"group = core
admin-port = {admin}
admin-password = boxes
admin-interface = "127.0.0.1"
admin-deny-ip = ""
admin-allow-ip = "127.0.0.1"
smsbox-port = {boxes}
box-allow-ip = "127.0.0.1"
dlr-storage = internal

group = smsc
host = "127.0.0.1"
reconnect-delay = 1
{smsc}

group = smsbox
bearerbox-host = "127.0.0.1"
sendsms-interface = "127.0.0.1"
sendsms-port = {sendsms}
http-request-retry = 3

group = sendsms-user
username = sender
password = sender
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://127.0.0.1:{asked}/mo?from=%p&to=%P&text=%a"
"#
        )
    }
}

/// A client of an SMPP server.
fn smsc(port: u16) -> String {
    format!(
        r#"smsc = smpp
smsc-id = gateway
port = {port}
transceiver-mode = true
smsc-username = "kannel"
smsc-password = "kannelpw"
system-type = ""
max-pending-submits = 50"#
    )
}

/// A text as a query has it.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, octet| {
        if octet.is_ascii_alphanumeric() {
            out.push(char::from(octet));
        } else {
            write!(out, "%{octet:02X}").unwrap();
        }
        out
    })
}

/// The octets that a query has escaped.
pub(crate) fn octets(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut out = Vec::new();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match (first, more.split_at_checked(2)) {
            (b'%', Some((digits, behind))) => {
                out.extend(unhex(std::str::from_utf8(digits).unwrap()));
                rest = behind;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    out
}

/// The value of a field of a query.
pub(crate) fn field<'a>(asked: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = asked.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[tokio::test]
async fn kannel_sends_a_thousand_messages_and_gets_their_reports_and_mo() {
    let asked = Asked::start().await;
    let mut carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let (smpp, boxes) = (free_port(), Boxes::free());
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, "http://127.0.0.1:9/unused")
        .line("smpp", &format!("listen = \"127.0.0.1:{smpp}\""))
        .line("client.kannel", "system_id = \"kannel\"")
        .line("client.kannel", "password = \"kannelpw\"")
        .without_routes()
        .route_mt(&[], &["alpha"])
        .route_mo(&["12345"], "kannel")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let config = dir.path().join("kannel.conf");
    std::fs::write(&config, boxes.configuration(&smsc(smpp), asked.port)).unwrap();
    let sendsms = boxes.sendsms;
    let bearerbox = kannel("bearerbox", &config);
    gateway
        .process
        .out
        .wait("bearerbox is bound", |lines| {
            lines
                .iter()
                .find(|line| line.contains("\"bound\"") && line.contains("\"kannel\""))
                .map(drop)
        })
        .await;
    let smsbox = kannel("smsbox", &config);
    eventually("smsbox listens", || async {
        TcpStream::connect(("127.0.0.1", sendsms)).await.ok().map(drop)
    })
    .await;

    let mut sending = JoinSet::new();
    for worker in 0..AT_ONCE {
        let (port, asked) = (sendsms, asked.port);
        sending.spawn(async move {
            for number in (worker..MESSAGES).step_by(AT_ONCE) {
                let text = match number % 50 {
                    0 => format!("{number} ").repeat(80),
                    _ => format!("number {number}"),
                };
                let dlr = escaped(&format!("http://127.0.0.1:{asked}/dlr?n={number}&type=%d"));
                let to = 491_700_000_000 + number;
                let path = format!(
                    "/cgi-bin/sendsms?username=sender&password=sender&from=12345&to={to}&text={}&dlr-mask=31&dlr-url={dlr}",
                    escaped(&text)
                );
                let answer = get(port, &path).await;
                assert!(answer.contains(" 202 "), "{answer}");
            }
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }

    // Kannel tells of each part: 8, the gateway took it; 4, an intermediate state, which it asks for; 1, it is on the phone.
    let parts = |number: usize| {
        let length = format!("{number} ").len() * 80;
        if number.is_multiple_of(50) && length > 160 {
            length.div_ceil(153)
        } else {
            1
        }
    };
    let told = tokio::time::timeout(4 * PATIENCE, async {
        loop {
            let mut told: BTreeMap<(usize, String), usize> = BTreeMap::new();
            asked.ledger.read(|all| {
                for one in all.iter().filter(|one| one.starts_with("/dlr")) {
                    let number = field(one, "n").unwrap().parse().unwrap();
                    *told
                        .entry((number, field(one, "type").unwrap().to_owned()))
                        .or_default() += 1;
                }
            });
            let whole = (0..MESSAGES).all(|number| told.contains_key(&(number, "1".to_owned())));
            if whole {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("a report for every message");
    for ((number, kind), times) in &told {
        assert!(
            matches!(kind.as_str(), "1" | "4" | "8"),
            "message {number} was told as {kind}"
        );
        assert!(
            *times <= parts(*number),
            "message {number} was told {times} times as {kind}"
        );
    }
    let all: usize = (0..MESSAGES).map(parts).sum();
    let taken = carrier
        .submits()
        .iter()
        .filter(|submit| submit["status"] == 0)
        .count();
    assert_eq!(taken, all, "every part once at the carrier");

    carrier
        .command(
            &serde_json::json!({"cmd": "mo", "from": "491700000001", "to": "12345", "data_coding": 8,
            "esm_class": 0, "hex": hex(&ucs2("Привет"))}),
        )
        .await;
    asked
        .ledger
        .wait("the message from a phone", |all| {
            all.iter()
                .find(|one| one.starts_with("/mo") && field(one, "text").map(octets) == Some(ucs2("Привет")))
                .map(drop)
        })
        .await;
    gateway.stop().await;
    drop((smsbox, bearerbox));
}

/// One request; the whole answer.
pub(crate) async fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}
