//! Takes the connections of the administrator's listener: in the clear, or inside TLS where it has a certificate.
//!
//! Knows who is at the other end (address, name in the certificate), not who may ask what: `Admin` decides. Invariants: a
//! panic of the listener ends no connection; a handshake and a head have bounded time, and connections a bounded number.
//!
//! # Limits
//! Whoever reaches the port can take all connections, for the time of a handshake or a head each. One that is open goes on
//! when certificates are exchanged.

use super::{Admin, Visit};
use crate::trace::serve::Caller;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use smsgw_config::ClientCert;
use smsgw_node_client::Bound;
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Intensity, Strategy, Supervisor};
use smsgw_telemetry::Counter;
use smsgw_transport::{TlsFiles, TlsMaterial, TlsServer, certificate_name};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, error, info, warn};

/// TLS handshakes of the administrator's listener that came to nothing. A rise: who scrapes or asks has no certificate or a wrong
/// one, or does not trust ours; the log says why at debug.
static HANDSHAKES_FAILED_TOTAL: Counter = Counter::new(
    "smsgw_admin_tls_handshakes_failed_total",
    "TLS handshakes of the administrator's listener that failed or took too long.",
    &[],
);

/// Most connections at once: people and scrapers, not traffic.
const CONNECTIONS: usize = 64;
/// How long a handshake, or a request's head, may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long, and how many octets more, a peer whose handshake failed is listened to, so that it can read why.
const LINGER: Duration = Duration::from_secs(1);
const LEFT: usize = 64 * 1024;
/// The protocol inside TLS (RFC 7301).
const ALPN: &[&[u8]] = &[b"http/1.1"];

/// The listener under supervision; ready at once when there is none to open. It never gives up: traffic does not need it.
pub(crate) fn supervise(
    admin: Arc<Admin>,
    listen: Option<SocketAddr>,
    files: Option<TlsFiles>,
) -> (ChildSpec, Bound) {
    let (bound, watch) = watch::channel(None);
    if let Some(listen) = listen.filter(|listen| !listen.ip().to_canonical().is_loopback()) {
        if files.is_some() {
            info!(%listen, "[admin] listen is not loopback: whoever has the token or a certificate administers this gateway");
        } else {
            warn!(%listen, "[admin] listen is not loopback and takes no TLS: whoever has the token administers this gateway, and whoever sees the net can read it");
        }
    }
    let connections = Connections::default();
    let listener = ChildSpec::task("http", move |ctx| {
        serve(
            ctx,
            Arc::clone(&admin),
            listen,
            files.clone(),
            bound.clone(),
            Arc::clone(&connections),
        )
    });
    let node = Supervisor::new("admin", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(listener.kind("listener"));
    (ChildSpec::supervisor(node), watch)
}

/// Connections that are open. They outlive a listener that panics; the next one looks after them.
type Connections = Arc<tokio::sync::Mutex<JoinSet<()>>>;

/// How TLS is taken.
#[derive(Debug, Clone)]
struct Secure {
    server: TlsServer,
    /// Whether administrators show certificates.
    asks: Option<ClientCert>,
}

/// A listener that cannot have its certificate must not start without.
async fn open(files: &TlsFiles) -> Result<(Secure, TlsMaterial), ChildError> {
    let asks = files.clients.as_ref().map(|clients| match clients.required {
        true => ClientCert::Required,
        false => ClientCert::Optional,
    });
    let files = files.clone();
    match tokio::task::spawn_blocking(move || files.open(ALPN)).await {
        Ok(Ok((server, material))) => Ok((Secure { server, asks }, material)),
        Ok(Err(error)) => Err(ChildError::new(format!("{error}: {}", error.reason()))),
        Err(ended) => Err(ChildError::new(ended.to_string())),
    }
}

async fn serve(
    ctx: ChildContext,
    admin: Arc<Admin>,
    listen: Option<SocketAddr>,
    files: Option<TlsFiles>,
    bound: watch::Sender<Option<SocketAddr>>,
    connections: Connections,
) -> Result<(), ChildError> {
    let mut connections = connections.lock().await;
    let Some(listen) = listen else {
        ctx.ready();
        ctx.draining().await;
        return Ok(());
    };
    let opened = match &files {
        Some(files) => Some(open(files).await?),
        None => None,
    };
    let (secure, material) = opened.unzip();
    let following = async {
        match (&files, &secure, material) {
            (Some(files), Some(secure), Some(material)) => {
                files.follow("admin", &secure.server, material).await;
            }
            (_, _, _) => std::future::pending().await,
        }
    };
    let mut following = pin!(following);
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
    info!(listen = %address, tls = secure.is_some(), "admin listens");
    ctx.ready();
    loop {
        tokio::select! {
            biased;
            () = ctx.draining() => break,
            () = following.as_mut() => {}
            Some(ended) = connections.join_next(), if !connections.is_empty() => if let Err(error) = ended {
                error!(%error, "an answer of the admin listener panicked; its connection is closed");
            },
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(stream, Arc::clone(&admin), secure.clone())); }
                Err(error) => {
                    warn!(%error, "admin connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    connections.shutdown().await;
    Ok(())
}

async fn connection(stream: TcpStream, admin: Arc<Admin>, secure: Option<Secure>) {
    let caller = Caller {
        peer: stream.peer_addr().ok().map(|peer| peer.ip()),
        bearer: false,
        certificate: None,
    };
    let Some(Secure { server, asks }) = secure else {
        return answer(stream, admin, Visit { caller, asks: None }).await;
    };
    let deadline = Instant::now() + HEAD;
    let late = || format!("not done within {HEAD:?}");
    let failed = match timeout_at(deadline, is_in_the_clear(&stream)).await {
        Ok(Ok(true)) => {
            timeout(HEAD, tell_of_tls(stream)).await.unwrap_or_default();
            "it speaks HTTP without TLS".to_owned()
        }
        Ok(Ok(false)) => match timeout_at(deadline, server.accept_or_return(stream)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = shown.map(|certificate| {
                    // It was verified, so it can be read; a name that cannot be is still that of an administrator.
                    let name = certificate_name(certificate).unwrap_or_else(|| "without a name".to_owned());
                    Arc::from(name)
                });
                let caller = Caller {
                    certificate,
                    ..caller
                };
                return answer(stream, admin, Visit { caller, asks }).await;
            }
            Ok(Err((error, stream))) => {
                linger(stream).await;
                error.to_string()
            }
            Err(_) => late(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => late(),
    };
    HANDSHAKES_FAILED_TOTAL.with(&[]).inc();
    debug!(peer = ?caller.peer, error = failed, "TLS handshake of an admin connection failed");
}

/// Whether it begins with a method of HTTP; a record of TLS begins with 22.
async fn is_in_the_clear(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0];
    let count = stream.peek(&mut first).await?;
    Ok(count > 0 && first.first().is_some_and(u8::is_ascii_uppercase))
}

/// Answers whatever is asked in the clear with 426 (RFC 9110 section 15.5.22), and closes.
async fn tell_of_tls(stream: TcpStream) {
    let service = service_fn(|_: Request<Incoming>| async {
        let text = "this port takes TLS only: ask https://\n".to_owned();
        let mut answer = super::text(StatusCode::UPGRADE_REQUIRED, text);
        let headers = answer.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("TLS/1.2, HTTP/1.1"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
        Ok::<_, Infallible>(answer)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "a request in the clear could not be answered");
    }
}

/// Closes so that the peer can read our alert: with octets of it left unread, the system would cut the connection off.
async fn linger(mut stream: TcpStream) {
    let reading = async {
        let (mut octets, mut left) = ([0; 1024], LEFT);
        if stream.shutdown().await.is_err() {
            return;
        }
        while left > 0 {
            match stream.read(&mut octets).await {
                // It is gone.
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    };
    // A peer that stays has had its time.
    timeout(LINGER, reading).await.unwrap_or_default();
}

async fn answer<IO>(stream: IO, admin: Arc<Admin>, visit: Visit)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let visit = Arc::new(visit);
    let service = service_fn(move |request: Request<Incoming>| {
        let (admin, visit) = (Arc::clone(&admin), Arc::clone(&visit));
        async move {
            let answer = match admin.admits(&request, &visit) {
                Ok(caller) if request.uri().path().starts_with("/config/") => {
                    admin.configure(request, caller).await
                }
                Ok(caller) => admin.respond(&request, caller).await,
                Err(refusal) => (*refusal).map(Either::Left),
            };
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "admin connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_config::{Config, ConfigHandle};
    use smsgw_queue::MemoryEngine;
    use smsgw_runtime::SystemClock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncWriteExt;
    use tracing::{Event, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    /// Whoever logs here panics, so many times: the accept loop calls nothing else that a test could break.
    struct Fuse(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Fuse {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let is_ours = event.metadata().target() == "smsgw::admin::listener";
            let burns = |left: usize| left.checked_sub(1);
            if is_ours
                && self
                    .0
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, burns)
                    .is_ok()
            {
                std::panic::resume_unwind(Box::new("the fuse has burnt"));
            }
        }
    }

    async fn ask(stream: &mut TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut octets = [0; 4096];
        let count = stream.read(&mut octets).await.unwrap();
        String::from_utf8(octets[..count].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_of_the_listener_opens_the_same_port_again_and_ends_no_connection() {
        const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
        let fuse = Arc::new(AtomicUsize::new(0));
        let subscriber = tracing_subscriber::registry().with(Fuse(Arc::clone(&fuse)));
        let _default = tracing::subscriber::set_default(subscriber);
        let engine = MemoryEngine::new(Arc::new(SystemClock));
        let config = ConfigHandle::new(Config::parse("t.toml", "[node]\nname = \"t\"\n").unwrap());
        let admin = Arc::new(Admin::new(engine, config, Arc::new(SystemClock)));
        let (spec, bound) = supervise(admin, Some(([127, 0, 0, 1], 0).into()), None);
        let tree = Supervisor::new("t", Strategy::OneForOne)
            .child(spec)
            .spawn()
            .await;
        assert!(tree.started().await);
        let address = bound.borrow().unwrap();
        let listener = || tree.status().find(&["admin", "http"]).unwrap().clone();
        let reached = async |state: smsgw_runtime::ChildState| {
            let waiting = async {
                while listener().state != state {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
            assert!(waited.is_ok(), "{:#?}", tree.status());
        };
        let mut bystander = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut bystander, HEALTH).await.starts_with("HTTP/1.1 200"));
        // The first in the task of a connection, the second where the listener tells of that.
        fuse.store(2, Ordering::SeqCst);
        let mut hostile = TcpStream::connect(address).await.unwrap();
        ask(&mut hostile, "\0\r\n\r\n").await;
        reached(smsgw_runtime::ChildState::BackingOff).await;
        assert_eq!(fuse.load(Ordering::SeqCst), 0);
        assert_eq!(
            listener().last_error.as_deref(),
            Some("panicked: the fuse has burnt")
        );
        assert!(ask(&mut bystander, HEALTH).await.starts_with("HTTP/1.1 200"));
        reached(smsgw_runtime::ChildState::Running).await;
        let mut next = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut next, HEALTH).await.starts_with("HTTP/1.1 200"));
        assert_eq!(listener().restarts, 1);
        tree.drain().await;
        assert_eq!(bystander.read(&mut [0; 16]).await.unwrap(), 0);
    }
}
