//! Connections that carriers open, and the links that wait for them: outbind (SMPP 3.4 §2.2.1), and UCP centres that deliver over
//! lines of their own, to a notification address among others.
//!
//! ```text
//! accept ─▶ peer allowed? ─▶ TLS ─▶ who it says it is ─▶ a link that waits ─▶ its session
//!             └ unknown_peer   └ no_tls  └ no_outbind, no_login, wrong_secret  └ no_link
//! ```
//! The octets that were read are handed on in front of the stream, so that the session and every trace see them. Knows no
//! session and no queue. Invariants: a connection is handed to one link, or closed and counted by why; at most
//! [`Listening::room`] connections are not with a link, each for [`GREETING`] at most; no file is read for a stranger.
//!
//! # Limits
//! Names in `hosts` are looked up at most each [`LOOKED_UP`]: a carrier that moves is let in so much later.

mod greeting;
mod replayed;
mod waiting;

pub(crate) use greeting::{Credentials, same};
pub(crate) use waiting::{Calls, Rank};

use crate::account::Account;
use crate::dial::{Dialled, Stream};
use crate::metric::CALLS_TOTAL;
use crate::tls::ServerFiles;
use bytes::Bytes;
use replayed::Replayed;
use smsgw_config::{CarrierCalls, Operator, Protocol};
use smsgw_runtime::{ChildContext, ChildError, Clock};
use smsgw_transport::{Listener, TlsServer};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::lookup_host;
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

/// What a connection of this protocol is called where its host would stand.
pub(crate) fn host(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Smpp => "outbind",
        Protocol::Ucp | Protocol::Http => "call",
    }
}

/// Why a connection did not come to a link; the metric's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    UnknownPeer,
    TooMany,
    NoTls,
    NoOutbind,
    NoLogin,
    WrongSecret,
    NoLink,
}

impl Closed {
    fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPeer => "unknown_peer",
            Self::TooMany => "too_many",
            Self::NoTls => "no_tls",
            Self::NoOutbind => "no_outbind",
            Self::NoLogin => "no_login",
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
    /// How many links wait for it.
    pub(crate) links: usize,
    known: Mutex<Option<(Instant, Vec<IpAddr>)>>,
    complained: Mutex<Option<Instant>>,
    files: Arc<Mutex<ServerFiles>>,
}

impl Listening {
    pub(crate) fn new(
        account: Arc<Account>,
        calls: Arc<Calls>,
        clock: Arc<dyn Clock>,
        address: SocketAddr,
        links: usize,
    ) -> Self {
        Self {
            account,
            calls,
            clock,
            address,
            links,
            known: Mutex::default(),
            complained: Mutex::default(),
            files: Arc::default(),
        }
    }

    /// Connections that may be without a link: each link may be called twice at once, and some strangers may come.
    fn room(&self) -> usize {
        self.links.saturating_mul(4).saturating_add(8)
    }

    fn counted(&self, outcome: &str) {
        CALLS_TOTAL.with(&[self.account.id.as_str(), outcome]).inc();
    }

    fn refuse(&self, peer: SocketAddr, why: Closed) {
        self.counted(why.as_str());
        let now = self.clock.instant();
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| now.saturating_duration_since(at) >= COMPLAIN) {
            *complained = Some(now);
            warn!(operator = %self.account.id, %peer, why = why.as_str(), "connection at calls.listen closed");
        } else {
            debug!(operator = %self.account.id, %peer, why = why.as_str(), "connection at calls.listen closed");
        }
    }

    /// Whether the peer may call.
    async fn allows(&self, operator: &Operator, calls: &CarrierCalls, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        if !calls.allow.is_empty() {
            return calls.allow.iter().any(|net| net.contains(&peer));
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

    /// Our side of TLS, with what its files say now.
    async fn tls(&self, calls: &CarrierCalls) -> Result<TlsServer, Closed> {
        let (files, calls) = (Arc::clone(&self.files), calls.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            files.server(&calls)
        });
        let why = match reading.await {
            Ok(Ok(server)) => return Ok(server),
            Ok(Err(error)) => crate::link::chain(&error),
            Err(error) => error.to_string(),
        };
        error!(operator = %self.account.id, why, "certificate files cannot be used: the carrier is let in by none");
        Err(Closed::NoTls)
    }

    /// Lets a peer in, as far as it can be known before a session: the stream, what was read of it, and whether it is TLS.
    /// `stage` is what it fails by when its time is over.
    async fn let_in(
        &self,
        operator: &Operator,
        stream: Box<dyn Stream>,
        peer: SocketAddr,
        stage: &mut Closed,
    ) -> Result<(Box<dyn Stream>, Bytes, bool), Closed> {
        // Its section went with a reload: this task is about to end.
        let Some(calls) = &operator.calls else {
            return Err(Closed::NoLink);
        };
        if !self.allows(operator, calls, peer.ip()).await {
            return Err(Closed::UnknownPeer);
        }
        let is_tls = calls.cert_file.is_some();
        let mut stream = stream;
        if is_tls {
            *stage = Closed::NoTls;
            let server = self.tls(calls).await?;
            match server.accept(stream).await {
                Ok(secure) => stream = Box::new(secure),
                Err(error) => {
                    debug!(operator = %self.account.id, %peer, %error, "no TLS with a carrier");
                    return Err(Closed::NoTls);
                }
            }
        }
        let known = Credentials::of(calls);
        let head = match operator.protocol {
            Protocol::Smpp => {
                *stage = Closed::NoOutbind;
                greeting::outbind(&known, &mut stream).await?
            }
            Protocol::Ucp if calls.asks_who() => {
                *stage = Closed::NoLogin;
                greeting::login(&known, &mut stream).await?
            }
            Protocol::Ucp | Protocol::Http => Bytes::new(),
        };
        Ok((stream, head, is_tls))
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
                error!(operator = %account.id, address = %listening.address, error = %error.kind, retry_in = ?AGAIN, "cannot listen for the carrier");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = sleep(AGAIN) => {}
                }
            }
        }
    };
    info!(operator = %account.id, address = %listener.local_addr(), "listening for the carrier");
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
async fn greet(listening: &Listening, stream: Box<dyn Stream>, peer: SocketAddr) {
    let operator = listening.account.settings();
    let begun = tokio::time::Instant::now();
    let mut stage = Closed::UnknownPeer;
    let greeted = timeout(GREETING, listening.let_in(&operator, stream, peer, &mut stage)).await;
    let (stream, head, tls) = match greeted {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(why)) => return listening.refuse(peer, why),
        Err(_) => return listening.refuse(peer, stage),
    };
    let call = Dialled {
        stream: Box::new(Replayed { head, stream }),
        peer,
        host: host(operator.protocol).to_owned(),
        tls,
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
