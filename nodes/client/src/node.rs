//! The client node under supervision: its listeners and what they share.

use crate::http::batch::worker;
use crate::http::inbox::keeper;
use crate::http::listener::{self, Bound, Connections};
use crate::refusals;
use crate::sessions::Sessions;
use crate::shared::Shared;
use smsgw_config::ConfigHandle;
use smsgw_history::History;
use smsgw_queue::Engine;
use smsgw_runtime::{ChildSpec, Clock, Strategy, Supervisor};
use smsgw_transport::TlsFiles;
use std::sync::Arc;
use tokio::sync::watch;

/// What is known of the node from outside.
#[derive(Debug)]
pub struct Faces {
    /// Where the HTTP API listens.
    pub http: Bound,
    /// Where the SMPP server listens.
    pub smpp: Bound,
    /// Who is bound.
    pub sessions: Sessions,
}

/// The client node under supervision, as [`supervise_watched`]; for who needs the HTTP API only.
pub fn supervise(engine: Arc<dyn Engine>, config: ConfigHandle, clock: Arc<dyn Clock>) -> (ChildSpec, Bound) {
    let (node, faces) = supervise_watched(engine, config, clock);
    (node, faces.http)
}

/// The client node under supervision. A face without `listen` has no listener; the node is ready without any.
pub fn supervise_watched(
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
) -> (ChildSpec, Faces) {
    supervise_with_history(engine, config, clock, None)
}

/// The client node under supervision, as [`supervise_watched`], with a history to search in.
pub fn supervise_with_history(
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
    history: Option<Arc<History>>,
) -> (ChildSpec, Faces) {
    let (bound, watch) = watch::channel(None);
    let (smpp_bound, smpp) = watch::channel(None);
    let sessions = Sessions::default();
    let snapshot = config.current();
    let http = &snapshot.config.http;
    let listen = http.listen;
    let files = TlsFiles::of(http.cert_file.as_ref(), http.key_file.as_ref());
    let shared = Arc::new(Shared::new(engine, config.clone(), clock).with_history(history));
    let batches = Arc::clone(&shared);
    let mut node = Supervisor::new("client", Strategy::OneForOne)
        .child(ChildSpec::task("batches", move |ctx| worker::run(ctx, Arc::clone(&batches))).kind("batches"));
    let inboxes = Arc::clone(&shared);
    node = node
        .child(ChildSpec::task("inboxes", move |ctx| keeper::run(ctx, Arc::clone(&inboxes))).kind("inboxes"));
    let (refusing, told) = (Arc::clone(&shared), refusals::Told::default());
    node = node.child(
        ChildSpec::task("refusals", move |ctx| {
            refusals::run(ctx, Arc::clone(&refusing), Arc::clone(&told))
        })
        .kind("refusals"),
    );
    let requests = Arc::clone(&shared);
    node = node.child(
        ChildSpec::task("requests", move |ctx| {
            crate::requests::run(ctx, Arc::clone(&requests))
        })
        .kind("requests"),
    );
    if let Some(listen) = snapshot.config.smpp.listen {
        let binds = sessions.binds();
        node = node.child(crate::smpp::supervise(
            Arc::clone(&shared),
            config,
            binds,
            smpp_bound,
            listen,
        ));
    }
    if let Some(listen) = listen {
        let connections = Connections::default();
        node = node.child(
            ChildSpec::task("http", move |ctx| {
                let (shared, connections) = (Arc::clone(&shared), Arc::clone(&connections));
                listener::serve(ctx, listen, shared, bound.clone(), files.clone(), connections)
            })
            .kind("listener"),
        );
    }
    let faces = Faces {
        http: watch,
        smpp,
        sessions,
    };
    (ChildSpec::supervisor(node), faces)
}
