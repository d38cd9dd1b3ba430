//! The HTTP listener: accepts connections, bounds them, and lets them finish when the node drains.
//!
//! Bounds: `http.max_connections` open sockets, `http.max_in_flight` requests that wait for the engine (above it 503),
//! timeouts for the handshake, the head, the body with its answer, and for a peer that does not read; a body limit. With a
//! certificate it takes TLS only, and HTTP/2 for those who ask for it. Invariants: a request that was read before a drain is
//! answered; a panic of the listener ends no connection.
//!
//! # Limits
//! A stop in the half second between such a panic and the next start cuts connections off.
//! HTTP/2 without TLS is not spoken. A peer that answers pings and never opens its HTTP/2 windows keeps its connection, with
//! at most `http.max_streams` answers of 64 KiB each waiting in it.

use crate::http::api;
use crate::http::connection::Connection;
use crate::http::stall::WriteStall;
use crate::metric;
use crate::shared::Shared;
use crate::tls;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smsgw_config::HttpSection;
use smsgw_runtime::{ChildContext, ChildError};
use smsgw_transport::{TlsFiles, TlsServer};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

/// Protocols inside TLS (RFC 7301, RFC 9113).
const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
/// Octets of the heads of one HTTP/2 request.
const MAX_HEADER_LIST: u32 = 16 * 1024;
/// Octets of answers that wait for the peer, on one HTTP/2 stream.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// Where the API listens, once it does. The port is the real one when the configuration says 0.
pub type Bound = watch::Receiver<Option<SocketAddr>>;

/// Connections that are open. They outlive a listener that panics; the next one looks after them.
pub(crate) type Connections = Arc<Mutex<JoinSet<()>>>;

pub(crate) async fn serve(
    ctx: ChildContext,
    listen: SocketAddr,
    shared: Arc<Shared>,
    bound: watch::Sender<Option<SocketAddr>>,
    files: Option<TlsFiles>,
    connections: Connections,
) -> Result<(), ChildError> {
    let mut connections = connections.lock().await;
    let opened = tls::for_listener(files.as_ref(), &[H2, HTTP_1_1]).await?;
    let secure = opened.as_ref().map(|(server, _)| server.clone());
    let following = async {
        match (&files, opened) {
            (Some(files), Some((server, identity))) => files.follow("http", &server, identity).await,
            (_, None) | (None, _) => std::future::pending().await,
        }
    };
    let mut following = pin!(following);
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
    info!(listen = %address, tls = secure.is_some(), "HTTP API listens");
    ctx.ready();

    let full = |open: usize| {
        let most = shared.tables.current().snapshot.config.http.max_connections;
        open >= usize::try_from(most).unwrap_or(usize::MAX)
    };
    let open = metric::CONNECTIONS.with(&[]);
    open.set(i64::try_from(connections.len()).unwrap_or(i64::MAX));
    // Of a listener before this one.
    shared.draining.send_replace(false);
    let drain = shared.draining.subscribe();
    loop {
        tokio::select! {
            biased;
            () = ctx.draining() => break,
            () = following.as_mut() => {}
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                open.dec();
                note_panic(ended);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if full(connections.len()) => {
                    metric::CONNECTIONS_REFUSED_TOTAL.with(&[]).inc();
                    drop(stream);
                }
                Ok((_, peer)) if is_kept_out(&shared, peer.ip()) => metric::BANNED_TOTAL.with(&[]).inc(),
                Ok((stream, peer)) => {
                    open.inc();
                    connections.spawn(connection(stream, peer, Arc::clone(&shared), drain.clone(), secure.clone()));
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
    shared.draining.send_replace(true);
    tokio::select! {
        () = ctx.stopping() => {
            warn!(open = connections.len(), "connections cut off at the end of the drain");
            connections.shutdown().await;
        }
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
    if let Err(error) = ended
        && error.is_panic()
    {
        metric::CONNECTION_PANICS_TOTAL.with(&[]).inc();
        error!(%error, "a request panicked; its connection is closed and its client has no answer");
    }
}

fn is_kept_out(shared: &Shared, peer: IpAddr) -> bool {
    let tables = shared.tables.current();
    let http = &tables.snapshot.config.http;
    if http.ban_after == 0 {
        return false;
    }
    let now = shared.clock.instant();
    shared.guard.keeps_out(peer, now, http.ban_after, http.ban_time)
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    mut drain: watch::Receiver<bool>,
    secure: Option<TlsServer>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "TCP_NODELAY could not be set");
    }
    let tables = shared.tables.current();
    let bounds = Bounds::of(&tables.snapshot.config.http);
    let stream = WriteStall::new(stream, bounds.request_timeout);
    // Only for the length of this line: a connection may outlive many epochs.
    drop(tables);
    let connection = Arc::new(Connection::new(peer.ip()));
    let ended = match secure {
        None => serve_http1(stream, shared, &connection, &bounds, &mut drain).await,
        Some(secure) => {
            let handshake = timeout(bounds.header_timeout, secure.accept(stream));
            let stream = tokio::select! {
                stream = handshake => stream,
                // Nothing was asked yet.
                () = drained(&mut drain) => return,
            };
            let failed = match stream {
                Ok(Ok(stream)) => {
                    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                    let ended = if is_h2 {
                        serve_http2(stream, shared, &connection, &bounds, &mut drain).await
                    } else {
                        serve_http1(stream, shared, &connection, &bounds, &mut drain).await
                    };
                    return note_end(peer, ended);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "not done within http.header_timeout".to_owned(),
            };
            metric::HANDSHAKES_FAILED_TOTAL.with(&[]).inc();
            debug!(%peer, error = failed, "TLS handshake failed");
            return;
        }
    };
    note_end(peer, ended);
}

fn note_end(peer: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended");
    }
}

/// What a connection keeps to, as it was when it was opened.
struct Bounds {
    header_timeout: Duration,
    request_timeout: Duration,
    max_streams: u32,
}

impl Bounds {
    fn of(http: &HttpSection) -> Self {
        Self {
            header_timeout: http.header_timeout,
            request_timeout: http.request_timeout,
            max_streams: http.max_streams,
        }
    }
}

async fn serve_http1<IO: AsyncRead + AsyncWrite + Unpin>(
    stream: IO,
    shared: Arc<Shared>,
    connection: &Arc<Connection>,
    bounds: &Bounds,
    drain: &mut watch::Receiver<bool>,
) -> hyper::Result<()> {
    let mut builder = hyper::server::conn::http1::Builder::new();
    // Not `pipeline_flush`: it keeps an answer back while a part of the next request has come (a stray CRLF is enough),
    // and lifts the bound on answers that wait to be written.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        // An answer is some hundred octets: one piece costs the kernel less than its head and body apart.
        .writev(false);
    let of = Arc::clone(connection);
    let service = service_fn(move |request| {
        let answer = api::handle(Arc::clone(&shared), Arc::clone(&of), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = served.as_mut() => return ended,
        () = drained(drain) => {}
        () = connection.ended(bounds.request_timeout) => {}
    }
    served.as_mut().graceful_shutdown();
    served.await
}

/// The library bounds what it keeps for streams that a peer resets (CVE-2023-44487) or makes us reset, and ends the
/// connection above that; heads with CONTINUATION count towards the size of the header list.
async fn serve_http2<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: IO,
    shared: Arc<Shared>,
    connection: &Arc<Connection>,
    bounds: &Bounds,
    drain: &mut watch::Receiver<bool>,
) -> hyper::Result<()> {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.max_streams)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .keep_alive_interval(bounds.request_timeout)
        .keep_alive_timeout(bounds.header_timeout);
    let of = Arc::clone(connection);
    let service = service_fn(move |request| {
        let answer = api::handle(Arc::clone(&shared), Arc::clone(&of), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = served.as_mut() => return ended,
        () = drained(drain) => {}
        () = connection.ended(bounds.request_timeout) => {}
    }
    served.as_mut().graceful_shutdown();
    served.await
}

/// Returns when the node drains, or is gone.
async fn drained(drain: &mut watch::Receiver<bool>) {
    drain
        .wait_for(|draining| *draining)
        .await
        .map(drop)
        .unwrap_or_default();
}
