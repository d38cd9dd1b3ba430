//! A client's callback endpoint: notes every request before it answers it.

use super::ledger::Ledger;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// One request as it came, and what it was answered with.
#[derive(Debug, Clone)]
pub(crate) struct Callback {
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) attempt: u32,
    pub(crate) answered: u16,
    pub(crate) body: Value,
}

#[derive(Debug)]
struct Manner {
    ledger: Arc<Ledger<Callback>>,
    /// Answer of the next requests …
    bad: AtomicU16,
    /// … so many of them; then 200 again.
    bad_left: AtomicU32,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    pub(crate) ledger: Arc<Ledger<Callback>>,
    manner: Arc<Manner>,
    server: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_on(0).await
    }

    pub(crate) async fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ledger = Ledger::new("callback receiver");
        let manner = Arc::new(Manner {
            ledger: Arc::clone(&ledger),
            bad: AtomicU16::new(500),
            bad_left: AtomicU32::new(0),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&manner)));
        Self {
            port,
            ledger,
            manner,
            server,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    /// Answers the next requests with this status.
    pub(crate) fn answer_badly(&self, status: u16, times: u32) {
        self.manner.bad.store(status, Ordering::SeqCst);
        self.manner.bad_left.store(times, Ordering::SeqCst);
    }

    /// Everything that came, in order.
    pub(crate) fn all(&self) -> Vec<Callback> {
        self.ledger.read(<[Callback]>::to_vec)
    }

    /// Every callback about one message, in order.
    pub(crate) fn about(&self, id: &str) -> Vec<Callback> {
        self.ledger.read(|all| of(all, id))
    }

    /// Waits for the first report about a message that was answered 2xx.
    pub(crate) async fn report(&self, id: &str) -> Callback {
        self.ledger
            .wait(&format!("a report about {id}"), |all| {
                of(all, id).into_iter().find(|callback| callback.answered < 300)
            })
            .await
    }

    /// Waits for the first MO that the judge takes.
    pub(crate) async fn mo(&self, what: &str, judge: impl Fn(&Value) -> bool) -> Callback {
        self.ledger
            .wait(what, |all| {
                all.iter()
                    .find(|callback| callback.body["type"] == "mo" && judge(&callback.body["message"]))
                    .cloned()
            })
            .await
    }
}

fn of(all: &[Callback], id: &str) -> Vec<Callback> {
    all.iter()
        .filter(|callback| callback.body["message"]["id"] == id)
        .cloned()
        .collect()
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, manner: Arc<Manner>) {
    // Connections end with the server: they live in this set.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let manner = Arc::clone(&manner);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&manner), request));
            // A gateway that is killed in the middle is part of the scenarios.
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .unwrap_or_else(|error| eprintln!("callback connection: {error}"));
        });
    }
}

async fn answer(
    manner: Arc<Manner>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let path = request.uri().path().to_owned();
    let (content_type, attempt) = (header("content-type"), header("smsgw-attempt"));
    let body = request.into_body().collect().await?.to_bytes();
    let left = manner
        .bad_left
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    let status = if left.is_ok() {
        manner.bad.load(Ordering::SeqCst)
    } else {
        200
    };
    manner.ledger.push(Callback {
        path,
        content_type,
        attempt: attempt.parse().unwrap(),
        answered: status,
        body: serde_json::from_slice(&body).unwrap(),
    });
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok::<_, Infallible>(response).map_err(|never| match never {})
}
