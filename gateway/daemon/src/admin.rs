//! The administrator's listener: `/metrics`, `/healthz`, `/readyz`, `/status`, `/trace/…`. Stands on loopback unless told
//! otherwise.
//!
//! Reads only (a capture of a link is a file beside the data); what changes the running gateway goes through the `instructions` queue. Carries no message content.

use crate::operators::{self, Operators};
use crate::sessions;
use crate::status::gather::Facts;
use crate::status::schema::Status;
use crate::trace::Captures;
use crate::trace::serve::{Answer, Desk};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use smsgw_config::ConfigHandle;
use smsgw_node_client::{Bound, Sessions};
use smsgw_node_operator::LinkTable;
use smsgw_node_router::IdTable;
use smsgw_queue::{Engine, Health, Place};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Intensity, Strategy, Supervisor, Tree, TreeGauges};
use smsgw_telemetry::Gauge;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

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
    ids: OnceLock<IdTable>,
    captures: OnceLock<Captures>,
    sessions: OnceLock<Sessions>,
    /// Listeners by name, and where they are open.
    listeners: Mutex<Vec<(&'static str, Bound)>>,
    gauges: TreeGauges,
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
            ids: OnceLock::new(),
            captures: OnceLock::new(),
            sessions: OnceLock::new(),
            listeners: Mutex::default(),
            gauges: TreeGauges::default(),
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

    /// Who is bound over SMPP, when this process runs a client node.
    pub(crate) fn shows_sessions(&self, sessions: Sessions) {
        self.sessions.set(sessions).unwrap_or_default();
    }

    /// How carriers write their ids, when this process runs a router node.
    pub(crate) fn shows_ids(&self, ids: IdTable) {
        self.ids.set(ids).unwrap_or_default();
    }

    /// Captures of links go into this directory.
    pub(crate) fn captures_into(&self, dir: PathBuf) {
        self.captures.set(Captures::new(dir)).unwrap_or_default();
    }

    /// A listener of this process.
    pub(crate) fn listens(&self, name: &'static str, bound: Bound) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push((name, bound));
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

    async fn respond(&self, request: &Request<Incoming>, peer: Option<IpAddr>) -> Answer {
        let path = request.uri().path();
        let operators = path == "/operators" || path.starts_with("/operators/");
        let sessions = path == "/sessions" || path.starts_with("/sessions/");
        if !operators && !sessions && !path.starts_with("/trace/") {
            return self.answer(request).map(Either::Left);
        }
        let desk = Desk {
            engine: &self.engine,
            config: &self.config,
            links: self.links.get(),
            captures: self.captures.get(),
            peer,
        };
        if !operators && !sessions {
            return desk.answer(request).await;
        }
        if !desk.is_near(request) {
            let text = "/operators and /sessions answer only on this machine, under its loopback address";
            return operators::said(StatusCode::FORBIDDEN, text).map(Either::Left);
        }
        let desk = Operators {
            engine: &*self.engine,
            config: &self.config,
            links: self.links.get(),
        };
        if sessions {
            return sessions::answer(&desk, self.sessions.get(), request)
                .await
                .map(Either::Left);
        }
        desk.answer(request).await.map(Either::Left)
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
                let mut answer = match serde_json::to_string_pretty(&self.status()) {
                    Ok(body) => text(StatusCode::OK, format!("{body}\n")),
                    Err(error) => {
                        error!(%error, "status cannot be told");
                        text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
                    }
                };
                answer
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                answer
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "try /metrics, /healthz, /readyz, /status, /trace/message or /trace/link\n".to_owned(),
            ),
        }
    }

    fn refresh(&self) {
        READY.with(&[]).set(i64::from(self.unready().is_none()));
        self.engine.refresh_metrics();
        if let Some(tree) = self.tree.get() {
            self.gauges.show(&tree.status());
        }
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

    fn status(&self) -> Status {
        let snapshot = self.config.current();
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let open = listeners
            .iter()
            .filter_map(|(name, bound)| Some((*name, (*bound.borrow())?)));
        Facts {
            engine: &*self.engine,
            snapshot: &snapshot,
            unready: self.unready(),
            restart_pending: smsgw_node_config::metric::RESTART_PENDING.with(&[]).get(),
            listeners: open.collect(),
            links: self.links.get().map(LinkTable::loads),
            receipts: self.ids.get().map(IdTable::snapshot),
            tree: self.tree.get().map(Tree::status),
        }
        .status()
    }
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

/// The listener under supervision; ready at once when there is none to open. It never gives up: traffic does not need it.
pub(crate) fn supervise(admin: Arc<Admin>, listen: Option<SocketAddr>) -> (ChildSpec, Bound) {
    let (bound, watch) = watch::channel(None);
    if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback()) {
        warn!(%listen, "[admin] listen is not loopback: whoever reaches it sees metrics and status");
    }
    let listener = ChildSpec::task("http", move |ctx| {
        serve(ctx, Arc::clone(&admin), listen, bound.clone())
    });
    let node = Supervisor::new("admin", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(listener.kind("listener"));
    (ChildSpec::supervisor(node), watch)
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
        let why = format!("failed to listen on {address} ([admin] listen): {error}");
        // A port that was never ours is not worth waiting for; one that was is freed by whoever took it meanwhile.
        match *bound.borrow() {
            None => ChildError::fatal(why),
            Some(_) => ChildError::new(why),
        }
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
            Some(ended) = connections.join_next(), if !connections.is_empty() => if let Err(error) = ended {
                error!(%error, "an answer of the admin listener panicked; its connection is closed");
            },
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
    let peer = stream.peer_addr().ok().map(|peer| peer.ip());
    let service = service_fn(move |request: Request<Incoming>| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(admin.respond(&request, peer).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "admin connection ended");
    }
}
