//! Connections that carriers open: outbind (SMPP 3.4 §2.2.1, §4.1.7), and the links that wait for them.
//!
//! ```text
//! accept ─▶ peer allowed? ─▶ outbind read, its secret checked ─▶ a link that waits ─▶ session: Outbind, bind …
//!             └ unknown_peer   └ no_outbind, wrong_secret          └ no_link
//! ```
//! The octets that were read are handed on in front of the stream, so that the session and every trace see the outbind. Knows
//! no session and no queue. Invariants: a connection is handed to one link, or closed and counted by why; at most
//! [`Listening::room`] connections are not with a link, each for [`GREETING`] at most.
//!
//! # Limits
//! No TLS. Names in `hosts` are looked up at most each [`LOOKED_UP`]: a carrier that moves is let in so much later.

use crate::account::Account;
use crate::bind::Bind;
use crate::dial::{Dialled, Stream};
use crate::metric::OUTBINDS_TOTAL;
use bytes::{Buf, Bytes, BytesMut};
use smsgw_config::Operator;
use smsgw_runtime::{ChildContext, ChildError, Clock};
use smsgw_smpp::framer::Framer;
use smsgw_smpp::{Body, decode};
use smsgw_transport::Listener;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::lookup_host;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

/// From the accept until a link has it.
const GREETING: Duration = Duration::from_secs(10);
/// How long the addresses of names are believed.
const LOOKED_UP: Duration = Duration::from_secs(30);
/// Pause when the address cannot be listened on.
const AGAIN: Duration = Duration::from_secs(5);
/// Strangers are logged once in this time; all are counted.
const COMPLAIN: Duration = Duration::from_secs(10);
/// Octets of a PDU that may still be an outbind: header, 15 and 8 characters with their NULs, and what carriers exceed that by.
const LARGEST: u32 = 512;

/// What a link is to the others that wait: its number from 0, and whether it only sends. Receivers come first: that is what
/// outbind asks for in the first place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(usize, bool);

impl Rank {
    pub(crate) fn of(index: usize, bind: Bind) -> Self {
        Self(index, bind == Bind::Transmitter)
    }
}

/// The links of an operator that wait for its carrier to connect.
#[derive(Default)]
pub(crate) struct Calls {
    waiting: Mutex<Vec<(Rank, oneshot::Sender<Dialled>)>>,
    came: Notify,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls")
    }
}

impl Calls {
    /// The next connection for a link; may be dropped at any time.
    pub(crate) async fn next(&self, rank: Rank) -> Dialled {
        loop {
            let (link, call) = oneshot::channel();
            {
                let mut waiting = self.lock();
                waiting.retain(|(_, other)| !other.is_closed());
                waiting.push((rank, link));
            }
            self.came.notify_waiters();
            if let Ok(call) = call.await {
                return call;
            }
        }
    }

    /// Gives a connection to the first link that waits, or to the next one that does.
    pub(crate) async fn hand_over(&self, mut call: Dialled) {
        loop {
            let came = self.came.notified();
            while let Some(link) = self.first() {
                match link.send(call) {
                    Ok(()) => return,
                    // That link does not wait any more.
                    Err(back) => call = back,
                }
            }
            came.await;
        }
    }

    fn first(&self) -> Option<oneshot::Sender<Dialled>> {
        let mut waiting = self.lock();
        let at = waiting
            .iter()
            .enumerate()
            .min_by_key(|(_, (rank, _))| *rank)
            .map(|(at, _)| at)?;
        Some(waiting.swap_remove(at).1)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Rank, oneshot::Sender<Dialled>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a connection did not come to a link; the metric's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    UnknownPeer,
    TooMany,
    NoOutbind,
    WrongSecret,
    NoLink,
}

impl Closed {
    fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPeer => "unknown_peer",
            Self::TooMany => "too_many",
            Self::NoOutbind => "no_outbind",
            Self::WrongSecret => "wrong_secret",
            Self::NoLink => "no_link",
        }
    }
}

/// The listener of one operator.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) account: Arc<Account>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) address: SocketAddr,
    pub(crate) binds: usize,
    known: Mutex<Option<(Instant, Vec<IpAddr>)>>,
    complained: Mutex<Option<Instant>>,
}

impl Listening {
    pub(crate) fn new(
        account: Arc<Account>,
        calls: Arc<Calls>,
        clock: Arc<dyn Clock>,
        address: SocketAddr,
        binds: usize,
    ) -> Self {
        Self {
            account,
            calls,
            clock,
            address,
            binds,
            known: Mutex::default(),
            complained: Mutex::default(),
        }
    }

    /// Connections that may be without a link: each bind may be called twice at once, and some strangers may come.
    fn room(&self) -> usize {
        self.binds.saturating_mul(4).saturating_add(8)
    }

    fn counted(&self, outcome: &str) {
        OUTBINDS_TOTAL.with(&[self.account.id.as_str(), outcome]).inc();
    }

    fn refuse(&self, peer: SocketAddr, why: Closed) {
        self.counted(why.as_str());
        let now = self.clock.instant();
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| now.saturating_duration_since(at) >= COMPLAIN) {
            *complained = Some(now);
            warn!(operator = %self.account.id, %peer, why = why.as_str(), "connection at outbind_listen closed");
        } else {
            debug!(operator = %self.account.id, %peer, why = why.as_str(), "connection at outbind_listen closed");
        }
    }

    /// Whether the peer may call.
    async fn allows(&self, operator: &Operator, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        if !operator.outbind_allow.is_empty() {
            return operator.outbind_allow.iter().any(|net| net.contains(&peer));
        }
        if operator.hosts.is_empty() {
            return peer.is_loopback();
        }
        let now = self.clock.instant();
        let fresh = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known
                .as_ref()
                .filter(|(at, _)| now.saturating_duration_since(*at) < LOOKED_UP)
                .map(|(_, addresses)| addresses.contains(&peer))
        };
        if let Some(known) = fresh {
            return known;
        }
        let mut addresses = Vec::new();
        for host in &operator.hosts {
            match lookup_host(host.to_string()).await {
                Ok(found) => addresses.extend(found.map(|found| found.ip().to_canonical())),
                Err(error) => {
                    warn!(operator = %self.account.id, %host, %error, "name lookup failed: nobody is let in for it");
                }
            }
        }
        let is_known = addresses.contains(&peer);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, addresses));
        is_known
    }
}

/// The task: listens, until it is told to drain.
pub(crate) async fn run(ctx: ChildContext, listening: Arc<Listening>) -> Result<(), ChildError> {
    // A port that is taken delays nobody: up means running, as for links.
    ctx.ready();
    let account = &listening.account;
    let listener = loop {
        match Listener::bind(listening.address).await {
            Ok(listener) => break listener,
            Err(error) => {
                error!(operator = %account.id, address = %listening.address, error = %error.kind, retry_in = ?AGAIN, "cannot listen for outbind");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = sleep(AGAIN) => {}
                }
            }
        }
    };
    info!(operator = %account.id, address = %listener.local_addr(), "listening for outbind");
    // Tasks end with the set: a listener that is gone greets nobody.
    let mut greetings = JoinSet::new();
    loop {
        tokio::select! {
            () = ctx.draining() => return Ok(()),
            Some(ended) = greetings.join_next() => if let Err(error) = ended {
                error!(operator = %account.id, %error, "greeting a carrier failed");
            },
            (stream, peer) = listener.accept() => {
                if greetings.len() >= listening.room() {
                    listening.refuse(peer, Closed::TooMany);
                    continue;
                }
                let listening = Arc::clone(&listening);
                greetings.spawn(async move { greet(&listening, Box::new(stream), peer).await });
            }
        }
    }
}

/// Takes a connection to a link, or closes it.
async fn greet(listening: &Listening, mut stream: Box<dyn Stream>, peer: SocketAddr) {
    let operator = listening.account.settings();
    let begun = tokio::time::Instant::now();
    let greeted = timeout(GREETING, async {
        if !listening.allows(&operator, peer.ip()).await {
            return Err(Closed::UnknownPeer);
        }
        outbind(&operator, &mut stream).await
    });
    let head = match greeted.await {
        Ok(Ok(head)) => head,
        Ok(Err(why)) => return listening.refuse(peer, why),
        Err(_) => return listening.refuse(peer, Closed::NoOutbind),
    };
    let call = Dialled {
        stream: Box::new(Replayed { head, stream }),
        peer,
        host: "outbind".to_owned(),
        tls: false,
    };
    match timeout(
        GREETING.saturating_sub(begun.elapsed()),
        listening.calls.hand_over(call),
    )
    .await
    {
        Ok(()) => listening.counted("taken"),
        Err(_) => listening.refuse(peer, Closed::NoLink),
    }
}

/// Reads the outbind and checks its secret; gives all octets that came.
async fn outbind(operator: &Operator, stream: &mut Box<dyn Stream>) -> Result<Bytes, Closed> {
    let mut framer = Framer::new(LARGEST);
    let mut octets = BytesMut::new();
    loop {
        let mut chunk = [0; 512];
        let count = stream.read(&mut chunk).await.map_err(|_| Closed::NoOutbind)?;
        let fresh = chunk.get(..count).unwrap_or_default();
        if fresh.is_empty() {
            return Err(Closed::NoOutbind);
        }
        octets.extend_from_slice(fresh);
        framer.push(fresh);
        let Some(frame) = framer.next_frame().map_err(|_| Closed::NoOutbind)? else {
            continue;
        };
        let (pdu, _) = decode::decode(&frame).map_err(|_| Closed::NoOutbind)?;
        let Body::Outbind { system_id, password } = pdu.body else {
            return Err(Closed::NoOutbind);
        };
        let name = operator.outbind_system_id.as_ref();
        let named = name.is_none_or(|name| same(name.as_bytes(), system_id.as_bytes()));
        let secret = operator.outbind_password.as_ref();
        let known = match (secret, &operator.outbind_password_file) {
            (Some(secret), _) => same(secret.expose().as_bytes(), password.expose()),
            // Its file was not read: nobody knows it.
            (None, Some(_)) => false,
            (None, None) => true,
        };
        return if named && known {
            Ok(octets.freeze())
        } else {
            Err(Closed::WrongSecret)
        };
    }
}

/// Compares without telling by its time where the difference is.
pub(crate) fn same(ours: &[u8], theirs: &[u8]) -> bool {
    let differences = ours.iter().zip(theirs).fold(0, |sum, (a, b)| sum | (a ^ b));
    ours.len() == theirs.len() && differences == 0
}

/// A stream whose first octets were read already.
struct Replayed {
    head: Bytes,
    stream: Box<dyn Stream>,
}

impl AsyncRead for Replayed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.head.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, into);
        }
        let count = this.head.len().min(into.remaining());
        into.put_slice(this.head.get(..count).unwrap_or_default());
        this.head.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, octets)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
