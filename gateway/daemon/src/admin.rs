//! The administrator's listener: `/metrics`, `/healthz`, `/readyz`, `/status`. Stands on loopback unless told otherwise.
//!
//! Reads only; what changes the running gateway goes through the `instructions` queue. Carries no message content.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use smsgw_config::ConfigHandle;
use smsgw_node_operator::{LinkStatus, LinkTable};
use smsgw_queue::{Engine, Health, Place};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Tree, TreeStatus};
use smsgw_telemetry::Gauge;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

/// Records of a queue at a place. `ready` that grows means that its consumer is slower than its producers; `dead_letter`
/// and `corrupt` wait for a person.
static QUEUE_DEPTH: Gauge = Gauge::new(
    "smsgw_queue_depth",
    "Records of a queue, by place.",
    &["queue", "place"],
);
/// 1 while the gateway is ready to take messages.
static READY: Gauge = Gauge::new("smsgw_ready", "1 while /readyz answers 200.", &[]);

/// Most connections at once: people and scrapers, not traffic.
const CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);

/// What the listener shows.
#[derive(Debug)]
pub(crate) struct Admin {
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    tree: OnceLock<Tree>,
    links: OnceLock<LinkTable>,
    serving: AtomicBool,
    draining: AtomicBool,
    /// Queues that have gauges: one that is gone loses them.
    shown: Mutex<BTreeSet<String>>,
}

impl Admin {
    pub(crate) fn new(engine: Arc<dyn Engine>, config: ConfigHandle) -> Self {
        Self {
            engine,
            config,
            tree: OnceLock::new(),
            links: OnceLock::new(),
            serving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            shown: Mutex::default(),
        }
    }

    /// The tree exists only after its children were described, and this is one of them.
    pub(crate) fn watches(&self, tree: Tree) {
        self.tree.set(tree).unwrap_or_default();
    }

    /// The links of the operator node, when this process runs one.
    pub(crate) fn shows(&self, links: LinkTable) {
        self.links.set(links).unwrap_or_default();
    }

    pub(crate) fn serving(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why no message should be sent here now; `None` when the gateway is ready.
    fn unready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("draining");
        }
        match self.engine.health() {
            Health::Ready => {}
            Health::LowSpace => return Some("out of disk space"),
            Health::Poisoned(_) => return Some("engine poisoned"),
            Health::Closed => return Some("engine closed"),
        }
        (!self.serving.load(Ordering::Relaxed)).then_some("starting")
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if *request.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        }
        match request.uri().path() {
            "/metrics" => {
                self.refresh();
                let mut answer = text(StatusCode::OK, smsgw_telemetry::exposition());
                answer.headers_mut().insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
                );
                answer
            }
            "/healthz" => match self.engine.health() {
                Health::Poisoned(_) => text(StatusCode::SERVICE_UNAVAILABLE, "engine poisoned\n".to_owned()),
                Health::Ready | Health::LowSpace | Health::Closed => text(StatusCode::OK, "ok\n".to_owned()),
            },
            "/readyz" => match self.unready() {
                None => text(StatusCode::OK, "ready\n".to_owned()),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            "/status" => {
                let mut answer = text(StatusCode::OK, format!("{:#}\n", self.status()));
                answer
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                answer
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "try /metrics, /healthz, /readyz or /status\n".to_owned(),
            ),
        }
    }

    fn refresh(&self) {
        READY.with(&[]).set(i64::from(self.unready().is_none()));
        self.engine.refresh_metrics();
        let queues = self.engine.queues();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeSet<String> = queues
            .iter()
            .map(|(queue, _)| queue.as_str().to_owned())
            .collect();
        for gone in shown.difference(&now) {
            for place in Place::ALL {
                QUEUE_DEPTH.remove(&[gone, place.as_str()]);
            }
        }
        for (queue, depth) in &queues {
            for place in Place::ALL {
                let count = i64::try_from(depth.at(place)).unwrap_or(i64::MAX);
                QUEUE_DEPTH.with(&[queue.as_str(), place.as_str()]).set(count);
            }
        }
        *shown = now;
    }

    fn status(&self) -> Value {
        let queues: serde_json::Map<String, Value> = self
            .engine
            .queues()
            .into_iter()
            .map(|(queue, depth)| {
                let places =
                    Place::ALL.map(|place| (place.as_str().to_owned(), Value::from(depth.at(place))));
                (
                    queue.as_str().to_owned(),
                    Value::Object(places.into_iter().collect()),
                )
            })
            .collect();
        let snapshot = self.config.current();
        json!({
            "node": snapshot.config.node.name,
            "version": env!("CARGO_PKG_VERSION"),
            "epoch": snapshot.epoch,
            "ready": self.unready().is_none(),
            "unready": self.unready(),
            "queues": queues,
            "links": self.links.get().map(|links| links.snapshot().iter().map(link).collect::<Vec<_>>()),
            "tree": self.tree.get().map(|tree| branch(&tree.status())),
        })
    }
}

fn link(status: &LinkStatus) -> Value {
    json!({
        "operator": status.operator.as_str(),
        "link": status.link.as_str(),
        "bind": status.bind,
        "state": status.state.as_str(),
        "since": status.since.to_string(),
        "peer": status.peer.map(|peer| peer.to_string()),
        "reason": status.reason,
    })
}

fn branch(status: &TreeStatus) -> Value {
    json!({
        "name": status.name,
        "state": status.state.as_str(),
        "restarts": status.restarts,
        "last_error": status.last_error,
        "children": status.children.iter().map(branch).collect::<Vec<_>>(),
    })
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

/// The listener under supervision; ready at once when there is none to open.
pub(crate) fn supervise(
    admin: Arc<Admin>,
    listen: Option<SocketAddr>,
) -> (ChildSpec, watch::Receiver<Option<SocketAddr>>) {
    let (bound, watch) = watch::channel(None);
    if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback()) {
        warn!(%listen, "[admin] listen is not loopback: whoever reaches it sees metrics and status");
    }
    let spec = ChildSpec::task("admin", move |ctx| {
        serve(ctx, Arc::clone(&admin), listen, bound.clone())
    });
    (spec.kind("listener"), watch)
}

async fn serve(
    ctx: ChildContext,
    admin: Arc<Admin>,
    listen: Option<SocketAddr>,
    bound: watch::Sender<Option<SocketAddr>>,
) -> Result<(), ChildError> {
    let Some(listen) = listen else {
        ctx.ready();
        ctx.draining().await;
        return Ok(());
    };
    let address = (*bound.borrow()).unwrap_or(listen);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        ChildError::new(format!("failed to listen on {address} ([admin] listen): {error}"))
    })?;
    let address = listener.local_addr()?;
    bound.send_replace(Some(address));
    info!(listen = %address, "admin listens");
    ctx.ready();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(stream, Arc::clone(&admin))); }
                Err(error) => {
                    warn!(%error, "admin connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, admin: Arc<Admin>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = admin.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "admin connection ended");
    }
}
