//! The HTTP listener: accepts connections, bounds them, and lets them finish when the node drains.
//!
//! Bounds: `http.max_connections` open sockets, `http.max_in_flight` requests that wait for the engine (above it 503),
//! timeouts for the head, for the body with its answer, and for a peer that does not read; a body limit. Invariant: a request that was read before a drain is answered.

use crate::http::api;
use crate::http::stall::WriteStall;
use crate::metric;
use crate::shared::Shared;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use smsgw_runtime::{ChildContext, ChildError};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, info, warn};

/// Where the API listens, once it does. The port is the real one when the configuration says 0.
pub type Bound = watch::Receiver<Option<SocketAddr>>;

pub(crate) async fn serve(
    ctx: ChildContext,
    listen: SocketAddr,
    shared: Arc<Shared>,
    bound: watch::Sender<Option<SocketAddr>>,
) -> Result<(), ChildError> {
    // After a restart the same port again, even if it was chosen for us.
    let address = (*bound.borrow()).unwrap_or(listen);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let why = format!("failed to listen on {address} ([http] listen): {error}");
        // A port that was never ours is not worth waiting for; one that was is freed by whoever took it meanwhile.
        match *bound.borrow() {
            None => ChildError::fatal(why),
            Some(_) => ChildError::new(why),
        }
    })?;
    let address = listener.local_addr()?;
    bound.send_replace(Some(address));
    info!(listen = %address, "HTTP API listens");
    ctx.ready();

    let full = |open: usize| {
        let most = shared.tables.current().snapshot.config.http.max_connections;
        open >= usize::try_from(most).unwrap_or(usize::MAX)
    };
    let open = metric::CONNECTIONS.with(&[]);
    open.set(0);
    let (draining, drain) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = ctx.draining() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                open.dec();
                note_panic(ended);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if full(connections.len()) => {
                    metric::CONNECTIONS_REFUSED_TOTAL.with(&[]).inc();
                    drop(stream);
                }
                Ok((stream, peer)) => {
                    open.inc();
                    connections.spawn(connection(stream, peer, Arc::clone(&shared), drain.clone()));
                }
                Err(error) => {
                    // Out of file descriptors or an aborted handshake: the listener itself is sound.
                    warn!(%error, "connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    draining.send_replace(true);
    tokio::select! {
        () = ctx.stopping() => warn!(open = connections.len(), "connections cut off at the end of the drain"),
        () = async {
            while let Some(ended) = connections.join_next().await {
                open.dec();
                note_panic(ended);
            }
        } => {}
    }
    open.set(0);
    Ok(())
}

/// A connection whose request made us panic is closed without an answer; all others go on.
fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        metric::CONNECTION_PANICS_TOTAL.with(&[]).inc();
        error!(%error, "a request panicked; its connection is closed and its client has no answer");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    mut drain: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "TCP_NODELAY could not be set");
    }
    let tables = shared.tables.current();
    let http = &tables.snapshot.config.http;
    let header_timeout = http.header_timeout;
    let stream = WriteStall::new(stream, http.request_timeout);
    // Only for the length of this line: a connection may outlive many epochs.
    drop(tables);
    let service = service_fn(move |request| respond(Arc::clone(&shared), request));
    let mut builder = hyper::server::conn::http1::Builder::new();
    // Not `pipeline_flush`: it keeps an answer back while a part of the next request has come (a stray CRLF is enough),
    // and lifts the bound on answers that wait to be written.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = drained(&mut drain) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended");
    }
}

/// Returns when the node drains, or is gone.
async fn drained(drain: &mut watch::Receiver<bool>) {
    drain
        .wait_for(|draining| *draining)
        .await
        .map(drop)
        .unwrap_or_default();
}

async fn respond(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(api::handle(&shared, request).await)
}
