//! The client node under supervision: its listeners and what they share.

use crate::http::listener::{self, Bound};
use crate::shared::Shared;
use smsgw_config::ConfigHandle;
use smsgw_queue::Engine;
use smsgw_runtime::{ChildSpec, Clock, Strategy, Supervisor};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::warn;

/// The client node under supervision. Without `[http] listen` it has no listener and is ready at once.
pub fn supervise(engine: Arc<dyn Engine>, config: ConfigHandle, clock: Arc<dyn Clock>) -> (ChildSpec, Bound) {
    let (bound, watch) = watch::channel(None);
    let snapshot = config.current();
    let listen = snapshot.config.http.listen;
    if let Some(listen) = snapshot.config.smpp.listen {
        warn!(%listen, "[smpp] listen: this version serves clients over HTTP only; nothing listens there");
    }
    let shared = Arc::new(Shared::new(engine, config, clock));
    let mut node = Supervisor::new("client", Strategy::OneForOne);
    if let Some(listen) = listen {
        node = node.child(
            ChildSpec::task("http", move |ctx| {
                listener::serve(ctx, listen, Arc::clone(&shared), bound.clone())
            })
            .kind("listener"),
        );
    }
    (ChildSpec::supervisor(node), watch)
}
