//! Sockets of the carrier: the port, the connections of peers, those to the gateway's inbound, and TLS on those that it opens.
//!
//! Decides nothing. Invariants: nothing is written to a peer that has closed its end (the ledger says that such answers are
//! lost); nothing is read from a connection that does not take what is written to it.

use super::super::machine::{Flow, SessionId, Smsc};
use super::{CONNECTIONS, Shared};
use bytes::{Buf, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smsgw_transport::{Listener, TlsClient};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;
use tracing::{debug, warn};

/// Octets taken from a socket at once.
const READ: usize = 64 * 1024;
/// Unsent octets above which nothing more is read from a connection.
const HIGH_WATER: usize = 1 << 20;
/// How long a peer may take none of what is to be sent.
const STALL: Duration = Duration::from_secs(30);
/// How long a connection that we open may take.
const OPENING: Duration = Duration::from_secs(10);
/// How long our close waits for the peer's, so that the last octets are not lost to a reset.
const LINGER: Duration = Duration::from_millis(500);
/// Pause after a port or a peer could not be had.
const AGAIN: Duration = Duration::from_millis(100);

/// A connection: octets in both directions, and the socket that they go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// What a connection has done.
enum Done {
    Wrote(usize),
    Flushed,
    Read(usize),
}

/// Writes what there is, else flushes what is not; reads where it may. Nothing of it is lost when it is not waited for.
fn poll_both(
    cx: &mut Context<'_>,
    stream: &mut impl Stream,
    out: &BytesMut,
    is_flushed: bool,
    input: Option<&mut [u8]>,
) -> Poll<io::Result<Done>> {
    let mut stream = Pin::new(stream);
    if !out.is_empty() {
        if let Poll::Ready(wrote) = stream.as_mut().poll_write(cx, out)? {
            return Poll::Ready(Ok(Done::Wrote(wrote)));
        }
    } else if !is_flushed && stream.as_mut().poll_flush(cx)?.is_ready() {
        return Poll::Ready(Ok(Done::Flushed));
    }
    let Some(input) = input else {
        return Poll::Pending;
    };
    let mut input = ReadBuf::new(input);
    stream
        .poll_read(cx, &mut input)
        .map_ok(|()| Done::Read(input.filled().len()))
}

/// Opens a connection, inside TLS where there is some.
pub(super) async fn open(
    shared: &Arc<Shared>,
    to: SocketAddr,
    tls: Option<&TlsClient>,
) -> io::Result<Option<SessionId>> {
    let opening = async {
        let stream = TcpStream::connect(to).await?;
        Ok(match tls {
            None => shared.open(stream),
            Some(tls) => shared.open(tls.connect(&to.ip().to_string(), stream).await?),
        })
    };
    timeout(OPENING, opening)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Whether the peer has closed its end, whatever it sent before stands unread.
pub(super) fn has_hung_up(stream: &TcpStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // What cannot be asked is found out by writing.
    poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// Takes connections in; while they are to be refused nobody listens, and nobody else gets the port.
pub(super) async fn accept(shared: Arc<Shared>, listener: Listener) {
    let mut shut = shared.shut.subscribe();
    let local = listener.local_addr();
    let mut listener = Some(listener);
    loop {
        let is_shut = *shut.borrow_and_update();
        match &listener {
            Some(open) if !is_shut => tokio::select! {
                (stream, peer) = open.accept() => if shared.open(stream).is_none() {
                    warn!(%peer, limit = CONNECTIONS, "too many connections; closed at once");
                },
                changed = shut.changed() => if changed.is_err() { return },
            },
            Some(_) | None if is_shut => {
                drop(listener.take());
                let held = hold(local);
                if let Err(error) = &held {
                    debug!(%local, %error, "the port is not kept");
                }
                if shut.wait_for(|shut| !shut).await.is_err() {
                    return;
                }
                // Before the port is let go.
                listener = Listener::bind(local).await.ok();
            }
            Some(_) | None => match Listener::bind(local).await {
                Ok(open) => listener = Some(open),
                Err(error) => {
                    debug!(%local, %error, "the port is not free yet");
                    sleep(AGAIN).await;
                }
            },
        }
    }
}

/// The port, without listening at it: who connects is refused.
fn hold(local: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match local {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    Ok(socket)
}

/// Keeps one connection to the gateway's inbound (HTTP).
pub(super) async fn reach(shared: Arc<Shared>) {
    loop {
        let inbound = shared.lock().machine.options().http.inbound.clone();
        let Some(inbound) = inbound else {
            sleep(AGAIN).await;
            continue;
        };
        match TcpStream::connect(&inbound).await {
            Ok(stream) => {
                if let Some((session, wake)) = shared.enter(Smsc::handle_reached) {
                    shared.serve(session, stream, &wake).await;
                }
            }
            Err(error) => debug!(inbound, %error, "the gateway's inbound cannot be connected to"),
        }
        sleep(AGAIN).await;
    }
}

pub(super) async fn connection(
    shared: &Shared,
    session: SessionId,
    mut stream: impl Stream,
    wake: &Notify,
) -> io::Result<()> {
    stream.socket().set_nodelay(true)?;
    let mut input = vec![0; READ];
    let (mut out, mut is_flushed) = (BytesMut::new(), true);
    let mut flow = shared.lock().transmit(session, &mut out, stream.socket());
    loop {
        if flow == Flow::Resetting {
            // What was said before goes as far as the socket takes it at once.
            let last = poll_fn(|cx| Poll::Ready(poll_both(cx, &mut stream, &out, true, None))).await;
            if let Poll::Ready(done) = last {
                done?;
            }
            return stream.socket().set_zero_linger();
        }
        if flow == Flow::Closing && out.is_empty() {
            stream.shutdown().await?;
            let read_out = async { while stream.read(&mut input).await.is_ok_and(|count| count > 0) {} };
            // Whether the peer closes in time changes nothing.
            timeout(LINGER, read_out).await.ok();
            return Ok(());
        }
        let reads = flow == Flow::Open && out.len() < HIGH_WATER;
        let moving = poll_fn(|cx| {
            let input = reads.then_some(input.as_mut_slice());
            poll_both(cx, &mut stream, &out, is_flushed, input)
        });
        tokio::select! {
            done = moving => match done? {
                Done::Wrote(0) | Done::Read(0) => return Ok(()),
                Done::Wrote(count) => {
                    out.advance(count);
                    is_flushed = false;
                }
                Done::Flushed => is_flushed = true,
                Done::Read(count) => {
                    let bytes = input.get(..count).unwrap_or(&[]);
                    flow = shared.turn(Some(session), |core, now| {
                        core.machine.handle_bytes(now, session, bytes);
                        core.keep_records();
                        core.transmit(session, &mut out, stream.socket())
                    });
                }
            },
            () = wake.notified() => flow = shared.lock().transmit(session, &mut out, stream.socket()),
            () = sleep(STALL), if !(out.is_empty() && is_flushed) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes no octets"));
            }
        }
    }
}
