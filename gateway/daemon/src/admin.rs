//! The administrator's listener: `/metrics`, `/healthz`, `/readyz`, `/status`, `/queues`, `/links`, `/trace/…`. Stands on
//! loopback unless told otherwise; from other machines only who has the token or a certificate is answered.
//!
//! `listener` takes the connections. Reads only (a capture of a link is a file beside the data); what changes the running gateway goes through the `instructions` queue. Carries no message content.

mod listener;

pub(crate) use listener::supervise;

use crate::config_api;
use crate::counters;
use crate::credit;
use crate::dead_letters;
use crate::operators::{self, Operators};
use crate::queues;
use crate::sessions;
use crate::status::gather::Facts;
use crate::status::schema::Status;
use crate::trace::Captures;
use crate::trace::serve::{Answer, Caller, Desk};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use smsgw_config::{ClientCert, ConfigHandle, Secret, Sha256Digest};
use smsgw_history::History;
use smsgw_node_client::{Bound, Sessions};
use smsgw_node_config::ConfigNode;
use smsgw_node_operator::LinkTable;
use smsgw_node_router::IdTable;
use smsgw_queue::{Engine, Health, Place};
use smsgw_runtime::{Clock, Tree, TreeGauges};
use smsgw_telemetry::Gauge;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tracing::error;

/// Records of a queue at a place. `ready` that grows means that its consumer is slower than its producers; `dead_letter`
/// and `corrupt` wait for a person.
static QUEUE_DEPTH: Gauge = Gauge::new(
    "smsgw_queue_depth",
    "Records of a queue, by place.",
    &["queue", "place"],
);
/// 1 while the gateway is ready to take messages.
static READY: Gauge = Gauge::new("smsgw_ready", "1 while /readyz answers 200.", &[]);

/// A connection to the listener.
#[derive(Debug)]
struct Visit {
    /// Before anything is asked.
    caller: Caller,
    /// Whether the listener asks for certificates, as it was opened: the configuration in force may wait for a restart.
    asks: Option<ClientCert>,
}

/// What the listener shows.
#[derive(Debug)]
pub(crate) struct Admin {
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
    tree: OnceLock<Tree>,
    links: OnceLock<LinkTable>,
    ids: OnceLock<IdTable>,
    captures: OnceLock<Captures>,
    history: OnceLock<Arc<History>>,
    sessions: OnceLock<Sessions>,
    node: OnceLock<Arc<ConfigNode>>,
    /// Listeners by name, and where they are open.
    listeners: Mutex<Vec<(&'static str, Bound)>>,
    gauges: TreeGauges,
    serving: AtomicBool,
    draining: AtomicBool,
    /// Queues that have gauges: one that is gone loses them.
    shown: Mutex<BTreeSet<String>>,
}

impl Admin {
    pub(crate) fn new(engine: Arc<dyn Engine>, config: ConfigHandle, clock: Arc<dyn Clock>) -> Self {
        Self {
            engine,
            config,
            clock,
            tree: OnceLock::new(),
            links: OnceLock::new(),
            ids: OnceLock::new(),
            captures: OnceLock::new(),
            history: OnceLock::new(),
            sessions: OnceLock::new(),
            node: OnceLock::new(),
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

    /// The owner of the configuration, when this process runs a config node.
    pub(crate) fn configures(&self, node: Arc<ConfigNode>) {
        self.node.set(node).unwrap_or_default();
    }

    /// How carriers write their ids, when this process runs a router node.
    pub(crate) fn shows_ids(&self, ids: IdTable) {
        self.ids.set(ids).unwrap_or_default();
    }

    /// Captures of links go into this directory.
    pub(crate) fn captures_into(&self, dir: PathBuf) {
        self.captures.set(Captures::new(dir)).unwrap_or_default();
    }

    /// Messages are looked for in this history too.
    pub(crate) fn remembers(&self, history: Arc<History>) {
        self.history.set(history).unwrap_or_default();
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

    /// Who may ask at all. Probes need no token; else whoever has it or shows a certificate, as the listener asks for them, and
    /// this machine where it asks for neither.
    fn admits<B>(&self, request: &Request<B>, visit: &Visit) -> Result<Caller, Box<Response<Full<Bytes>>>> {
        let mut caller = visit.caller.clone();
        if matches!(request.uri().path(), "/healthz" | "/readyz") {
            return Ok(caller);
        }
        let config = self.config.config();
        let given = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|given| given.to_str().ok())
            .and_then(|given| given.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, given)| given.trim());
        // Digests are compared: the time that takes tells nothing of the token.
        let bears = |token: &Secret| {
            given.is_some_and(|given| Sha256Digest::of(given) == Sha256Digest::of(token.expose()))
        };
        caller.bearer = config.admin.token.as_ref().is_some_and(bears);
        let refusal = match (&config.admin.token, visit.asks) {
            (Some(_), None | Some(ClientCert::Required)) if caller.bearer => return Ok(caller),
            (Some(_), Some(ClientCert::Optional)) if caller.bearer || caller.certificate.is_some() => {
                return Ok(caller);
            }
            (None, Some(_)) if caller.certificate.is_some() => return Ok(caller),
            // A token that was taken away while the listener stays where it is: closed, not open to everybody.
            (None, None) if caller.is_here() => return Ok(caller),
            (None, None) => operators::said(
                StatusCode::FORBIDDEN,
                "there is no [admin] token: only this machine is answered",
            ),
            (None, Some(_)) => operators::said(
                StatusCode::FORBIDDEN,
                "this needs the certificate of an administrator",
            ),
            (Some(_), asks) => {
                let text = match asks {
                    Some(ClientCert::Optional) => {
                        "this needs the token (Authorization: Bearer ...) or the certificate of an administrator"
                    }
                    None | Some(ClientCert::Required) => "this needs the token: Authorization: Bearer ...",
                };
                let mut refusal = operators::said(StatusCode::UNAUTHORIZED, text);
                refusal
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                refusal
            }
        };
        Err(Box::new(refusal))
    }

    /// Below `/config`, whose requests have bodies.
    async fn configure(&self, request: Request<Incoming>, caller: Caller) -> Answer {
        let desk = Desk {
            engine: &self.engine,
            config: &self.config,
            links: self.links.get(),
            captures: self.captures.get(),
            history: self.history.get().map(Arc::as_ref),
            caller: &caller,
        };
        if !desk.is_near(&request) {
            let text = "/config answers only on this machine, under its loopback address";
            return operators::said(StatusCode::FORBIDDEN, text).map(Either::Left);
        }
        let desk = Operators {
            engine: &*self.engine,
            config: &self.config,
            links: self.links.get(),
            caller: &caller,
        };
        config_api::answer(&desk, self.node.get(), request)
            .await
            .map(Either::Left)
    }

    async fn respond(&self, request: &Request<Incoming>, caller: Caller) -> Answer {
        let path = request.uri().path();
        if path == "/queues" {
            return queues::answer(&*self.engine, &*self.clock, request)
                .await
                .map(Either::Left);
        }
        if path == "/counters" || path == "/balance" {
            return counters::answer(&*self.engine, &*self.clock, request)
                .await
                .map(Either::Left);
        }
        let operators = path == "/operators" || path.starts_with("/operators/");
        let sessions = path == "/sessions" || path.starts_with("/sessions/");
        let credit = path == "/credit" || path.starts_with("/credit/");
        let letters = path == "/dead-letters" || path.starts_with("/dead-letters/");
        let explain = path == "/explain";
        if !operators && !sessions && !credit && !letters && !explain && !path.starts_with("/trace/") {
            return self.answer(request).map(Either::Left);
        }
        let desk = Desk {
            engine: &self.engine,
            config: &self.config,
            links: self.links.get(),
            captures: self.captures.get(),
            history: self.history.get().map(Arc::as_ref),
            caller: &caller,
        };
        if !operators && !sessions && !credit && !letters && !explain {
            return desk.answer(request).await;
        }
        if !desk.is_near(request) {
            let text = "/operators, /sessions, /credit, /dead-letters and /explain answer only on this machine, under its loopback address";
            return operators::said(StatusCode::FORBIDDEN, text).map(Either::Left);
        }
        if explain {
            let now = self.clock.now();
            return crate::explain::answer(&*self.engine, &self.config, now, request)
                .await
                .map(Either::Left);
        }
        let desk = Operators {
            engine: &*self.engine,
            config: &self.config,
            links: self.links.get(),
            caller: &caller,
        };
        if letters {
            return dead_letters::answer(&desk, request).await.map(Either::Left);
        }
        if credit {
            return credit::answer(&desk, request).await.map(Either::Left);
        }
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
            "/links" => match self.status().links {
                Some(links) => operators::json(StatusCode::OK, &links),
                None => text(
                    StatusCode::NOT_FOUND,
                    "this process runs no operator node\n".to_owned(),
                ),
            },
            _ => text(
                StatusCode::NOT_FOUND,
                "try /metrics, /healthz, /readyz, /status, /queues, /links, /trace/message or /trace/link\n"
                    .to_owned(),
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
