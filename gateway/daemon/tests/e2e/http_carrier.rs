//! An operator over HTTP, as `config/samples/http-carrier.toml` describes it, against a carrier in this test that throttles, fails,
//! refuses, hangs up and reports: nothing is lost, what was sent twice was in doubt, receipts and MO come in.

use crate::harness::{Gateway, Http, Ledger, Receiver, eventually, free_port, root};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A request, and what was done about it.
#[derive(Debug, Clone)]
struct Taken {
    form: BTreeMap<String, String>,
    authorization: String,
    fate: Fate,
    sid: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    /// Taken, and the connection cut before the answer.
    Cut,
    Throttled,
    Broken,
    Refused,
}

struct Stub {
    port: u16,
    ledger: Arc<Ledger<Taken>>,
    _server: JoinSet<()>,
}

impl Stub {
    async fn start() -> Self {
        Self::start_on(0, Ledger::new("HTTP carrier")).await
    }

    /// What an earlier one took stays noted.
    async fn start_on(port: u16, ledger: Arc<Ledger<Taken>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let first = ledger.read(<[Taken]>::len);
        let (seen, noted) = (Arc::new(AtomicUsize::new(first)), Arc::clone(&ledger));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, noted) = (Arc::clone(&seen), Arc::clone(&noted));
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        take(request, seen.fetch_add(1, Ordering::SeqCst), Arc::clone(&noted))
                    });
                    // A fate of this test is an error here: the connection ends without an answer.
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                        .unwrap_or_else(|error| eprintln!("carrier's connection: {error}"));
                });
            }
        });
        Self {
            port,
            ledger,
            _server: server,
        }
    }

    fn of(&self, to: &str) -> Vec<Taken> {
        self.ledger.read(|all| {
            all.iter()
                .filter(|taken| taken.form["To"] == to)
                .cloned()
                .collect()
        })
    }
}

async fn take(
    request: Request<Incoming>,
    number: usize,
    ledger: Arc<Ledger<Taken>>,
) -> Result<Response<Full<Bytes>>, String> {
    assert_eq!(
        (request.method(), request.uri().path()),
        (&Method::POST, "/2010/Accounts/AC1/Messages.json")
    );
    let authorization = request.headers()["authorization"].to_str().unwrap().to_owned();
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body.to_bytes())
        .into_owned()
        .collect();
    // Numbers that end in 99 are barred for good.
    let fate = match number % 20 {
        _ if form["To"].ends_with("99") => Fate::Refused,
        7 => Fate::Cut,
        11 => Fate::Broken,
        13 => Fate::Throttled,
        _ => Fate::Accepted,
    };
    let sid = format!("SM{number:032x}");
    ledger.push(Taken {
        form,
        authorization,
        fate,
        sid: sid.clone(),
    });
    let answer = |status: u16, body: serde_json::Value| {
        let response = Response::builder().status(status);
        let response = if status == 429 {
            response.header("retry-after", "1")
        } else {
            response
        };
        Ok(response.body(Full::new(Bytes::from(body.to_string()))).unwrap())
    };
    match fate {
        Fate::Accepted => answer(201, json!({"sid": sid, "status": "queued"})),
        Fate::Cut => Err("the line is cut".to_owned()),
        Fate::Throttled => answer(429, json!({"code": 20429, "message": "Too Many Requests"})),
        Fate::Broken => answer(500, json!({"message": "oops"})),
        Fate::Refused => answer(400, json!({"code": 21211, "message": "invalid number"})),
    }
}

/// The sample, with addresses of this test.
fn write(dir: &Path, carrier: u16, inbound: u16, callback: &str) {
    let sample = std::fs::read_to_string(root().join("config/samples/http-carrier.toml")).unwrap();
    let mut text = sample;
    for (from, to) in [
        ("https://api.carrier.example", format!("http://127.0.0.1:{carrier}")),
        ("127.0.0.1:9080", format!("127.0.0.1:{inbound}")),
        ("https://sms.example.com\"", format!("http://127.0.0.1:{inbound}\"")),
        ("127.0.0.1:8080", "127.0.0.1:0".to_owned()),
        ("127.0.0.1:8081", "127.0.0.1:0".to_owned()),
        ("http://127.0.0.1:9000/events", callback.to_owned()),
        ("response_timeout = \"10s\"", "response_timeout = \"2s\"\ntemporary_retry = [\"200ms\"]\nreconnect_min = \"50ms\"\nreconnect_max = \"500ms\"".to_owned()),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, &to);
    }
    text.push_str("[log]\nformat = \"json\"\n");
    let file = dir.join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

async fn tell(http: &Http, url: &str, form: &[(&str, &str)]) -> u16 {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    // A GET with the fields in the query is as good as a form.
    let answer = http.get(&format!("{url}?{query}"), None).await.unwrap();
    if answer.status == 200 {
        assert_eq!(
            (answer.text().as_str(), answer.header("content-type")),
            ("<Response/>", Some("text/xml"))
        );
    }
    answer.status
}

#[tokio::test]
async fn messages_receipts_and_mo_go_over_http_and_nothing_is_lost() {
    let (receiver, stub) = (Receiver::start().await, Stub::start().await);
    let inbound = free_port();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), stub.port, inbound, &receiver.url());
    let mut gateway = Gateway::start(dir.path()).await;
    let mut ids = Vec::new();
    for number in 0..200 {
        let text = match number % 3 {
            0 => format!("plain & simple = 100 % {number}"),
            1 => format!("номер {number}"),
            _ => format!("long € {number} ").repeat(40),
        };
        let to = format!("4917{number:08}");
        let message = json!({"to": to, "from": "12345", "text": text});
        let id = gateway.api.submit(&message).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        ids.push((format!("+{to}"), id, text));
    }
    let http = Http::new();
    let mut doubled = 0;
    for (to, id, text) in &ids {
        let is_barred = to.ends_with("99");
        let last = eventually(&format!("an end for {to}"), || async {
            let last = stub.of(to).pop()?;
            matches!(last.fate, Fate::Accepted | Fate::Refused).then_some(last)
        })
        .await;
        assert_eq!(last.form["Body"], *text);
        assert_eq!(last.form["From"], "12345");
        assert_eq!(last.authorization, "Basic QUMxOmFwaS1zZWNyZXQ=");
        if is_barred {
            assert_eq!(
                receiver.report(id).await.body["message"]["state"],
                "rejected",
                "{to}"
            );
            continue;
        }
        let callback = &last.form["StatusCallback"];
        assert_eq!(
            *callback,
            format!("http://127.0.0.1:{inbound}/gamma/receipt/inbound-secret")
        );
        for state in ["sent", "delivered"] {
            assert_eq!(
                tell(
                    &http,
                    callback,
                    &[("MessageSid", &last.sid), ("MessageStatus", state)]
                )
                .await,
                200
            );
        }
        assert_eq!(
            receiver.report(id).await.body["message"]["state"],
            "delivered",
            "{to}"
        );
        // Each request but the last was refused, or its answer lost; only the last was accepted.
        let all = stub.of(to);
        let accepted = all.iter().filter(|taken| taken.fate == Fate::Accepted).count();
        assert_eq!(accepted, 1, "{to}: {all:?}");
        doubled += all.iter().filter(|taken| taken.fate == Fate::Cut).count();
    }
    let fates = stub
        .ledger
        .read(|all| all.iter().map(|taken| taken.fate).collect::<Vec<_>>());
    for fate in [Fate::Cut, Fate::Throttled, Fate::Broken, Fate::Refused] {
        assert!(fates.contains(&fate), "{fate:?}");
    }
    let metrics = gateway.metrics().await;
    let in_doubt = metrics.sum("smsgw_operator_in_doubt_total", &[("operator", "gamma")]);
    assert_eq!(in_doubt, doubled as f64, "what went out twice was in doubt");

    // Phones, and strangers.
    let base = format!("http://127.0.0.1:{inbound}/gamma");
    let mo = [
        ("From", "+491700000001"),
        ("To", "12345"),
        ("Body", "hello € & привет"),
    ];
    assert_eq!(tell(&http, &format!("{base}/mo/inbound-secret"), &mo).await, 200);
    let brought = receiver
        .mo("the MO", |message| message["from"] == "491700000001")
        .await;
    assert_eq!(brought.body["message"]["text"], "hello € & привет");
    assert_eq!(tell(&http, &format!("{base}/mo/other-secret"), &mo).await, 404);
    assert_eq!(
        tell(&http, &format!("{base}/mo/inbound-secret"), &mo[..1]).await,
        422
    );
    gateway.stop().await;
}
