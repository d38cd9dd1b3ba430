//! Connects to the first of several hosts that answers, with or without TLS.
//!
//! Knows no protocol. Invariants: every step (name lookup, TCP, TLS) has a deadline, and a failure says which host,
//! which address and which step; names are looked up at every call, so that a host that moved is found.
//!
//! The addresses of one host are raced as RFC 8305 describes: IPv6 and IPv4 in turn, the next one [`HEAD_START`] after
//! the one before or as soon as that has failed. Hosts are an order of preference and are not raced.
//!
//! # Limits
//! A and AAAA records are asked for in one lookup of the system: a resolver that is slow for one of them delays both.

use crate::tls::TlsClient;
use socket2::{SockRef, TcpKeepalive};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long an address has for itself before the next one is tried beside it (RFC 8305 section 8).
const HEAD_START: Duration = Duration::from_millis(250);

/// How connections are opened.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Deadline of each step: name lookup, TCP of one address, TLS. Default: 10 s.
    pub timeout: Duration,
    /// Send small segments at once. Default: true.
    pub nodelay: bool,
    /// Silence after which the system probes the peer; `None` leaves that to the protocol. Default: none.
    pub keepalive: Option<Duration>,
    /// Our own address; those of a host that are of the other family are passed over. Default: the system's choice.
    pub source: Option<IpAddr>,
    /// TLS, if the peer wants it.
    pub tls: Option<TlsClient>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            nodelay: true,
            keepalive: None,
            source: None,
            tls: None,
        }
    }
}

/// No host could be connected.
#[derive(Debug, Error)]
pub struct ConnectError {
    /// What was tried, in order; empty when there was no host to try.
    pub attempts: Vec<Attempt>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to connect")?;
        if self.attempts.is_empty() {
            return f.write_str(": no host is given");
        }
        for (at, attempt) in self.attempts.iter().enumerate() {
            write!(f, "{}{attempt}", if at == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

/// One failed try.
#[derive(Debug)]
pub struct Attempt {
    /// As configured.
    pub host: String,
    /// The address tried, once the name was found.
    pub peer: Option<SocketAddr>,
    /// What happened.
    pub kind: AttemptError,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) if peer.to_string() != self.host => write!(f, "{} ({peer}): {}", self.host, self.kind),
            Some(_) | None => write!(f, "{}: {}", self.host, self.kind),
        }
    }
}

/// Why one try failed.
#[derive(Debug, Error)]
pub enum AttemptError {
    /// The name could not be looked up, or the port is missing.
    #[error("name lookup failed: {0}")]
    Lookup(#[source] io::Error),
    /// The name has no address.
    #[error("the name has no address")]
    NoAddress,
    /// The address is of another family than ours.
    #[error("the address is of another family than source address {0}")]
    Family(IpAddr),
    /// Our own address cannot be used.
    #[error("source address {address} cannot be used: {source}")]
    Source {
        /// As configured.
        address: IpAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// TCP refused.
    #[error("{0}")]
    Tcp(#[source] io::Error),
    /// The TLS handshake failed, or the certificate is not trusted.
    #[error("TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
    /// The host cannot be checked against a certificate.
    #[error("the host is no name a certificate could carry")]
    ServerName,
    /// Nothing came within the deadline.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// An open connection, ready for the driver.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: SocketAddr,
    host: String,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// The address that answered.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The configured host it belongs to.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The line is encrypted.
    pub fn is_tls(&self) -> bool {
        match self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(_) => true,
        }
    }
}

/// Connects to the first of `hosts` (`name:port`, `1.2.3.4:port`, `[::1]:port`) that answers, in their order.
pub async fn connect(hosts: &[String], options: &ConnectOptions) -> Result<Connection, ConnectError> {
    let mut attempts = Vec::new();
    for host in hosts {
        let addresses = match within(options.timeout, lookup_host(host.as_str()), AttemptError::Lookup).await
        {
            Ok(addresses) => addresses.collect::<Vec<_>>(),
            Err(kind) => {
                attempts.push(Attempt {
                    host: host.clone(),
                    peer: None,
                    kind,
                });
                continue;
            }
        };
        if let Some((stream, peer)) = first_of(host, addresses, options, &mut attempts).await {
            return Ok(Connection {
                stream,
                peer,
                host: host.clone(),
            });
        }
    }
    Err(ConnectError { attempts })
}

/// The first address of a host that takes us; what failed before is noted.
async fn first_of(
    host: &str,
    addresses: Vec<SocketAddr>,
    options: &ConnectOptions,
    attempts: &mut Vec<Attempt>,
) -> Option<(Stream, SocketAddr)> {
    let mut failed = |peer, kind| {
        attempts.push(Attempt {
            host: host.to_owned(),
            peer,
            kind,
        });
    };
    if addresses.is_empty() {
        failed(None, AttemptError::NoAddress);
    }
    let mut waiting = VecDeque::new();
    for peer in in_turn(addresses) {
        match options.source {
            Some(source) if source.is_ipv4() != peer.is_ipv4() => {
                failed(Some(peer), AttemptError::Family(source));
            }
            Some(_) | None => waiting.push_back(peer),
        }
    }
    // An address that wins the race and then fails at TLS leaves the race to the others.
    while let Some((tcp, peer)) = race(&mut waiting, options, &mut failed).await {
        match dress(host, tcp, options).await {
            Ok(stream) => return Some((stream, peer)),
            Err(kind) => failed(Some(peer), kind),
        }
    }
    None
}

/// The families in turn, beginning with that of the first address (RFC 8305 section 4).
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let mut second = second.into_iter();
    let mut turns = Vec::new();
    for address in first {
        turns.push(address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns
}

/// The first address that answers TCP. Those that were still being tried wait again, in front.
async fn race(
    waiting: &mut VecDeque<SocketAddr>,
    options: &ConnectOptions,
    failed: &mut impl FnMut(Option<SocketAddr>, AttemptError),
) -> Option<(TcpStream, SocketAddr)> {
    // Tasks end with the set: nothing connects behind the back of a caller that went away.
    let mut tries = JoinSet::new();
    let mut trying: Vec<SocketAddr> = Vec::new();
    loop {
        if let Some(peer) = waiting.pop_front() {
            let (limit, source) = (options.timeout, options.source);
            trying.push(peer);
            tries.spawn(async move { (peer, open(peer, source, limit).await) });
        }
        let ended = tokio::select! {
            ended = tries.join_next() => ended?,
            () = sleep(HEAD_START), if !waiting.is_empty() => continue,
        };
        match ended {
            Ok((peer, Ok(tcp))) => {
                trying.retain(|other| *other != peer);
                trying
                    .into_iter()
                    .rev()
                    .for_each(|other| waiting.push_front(other));
                return Some((tcp, peer));
            }
            Ok((peer, Err(kind))) => {
                trying.retain(|other| *other != peer);
                failed(Some(peer), kind);
            }
            Err(error) => failed(None, AttemptError::Tcp(io::Error::other(error))),
        }
    }
}

async fn open(peer: SocketAddr, source: Option<IpAddr>, limit: Duration) -> Result<TcpStream, AttemptError> {
    let socket = match peer {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(AttemptError::Tcp)?;
    if let Some(address) = source {
        socket
            .bind(SocketAddr::new(address, 0))
            .map_err(|source| AttemptError::Source { address, source })?;
    }
    within(limit, socket.connect(peer), AttemptError::Tcp).await
}

/// Socket options and TLS.
async fn dress(host: &str, tcp: TcpStream, options: &ConnectOptions) -> Result<Stream, AttemptError> {
    tcp.set_nodelay(options.nodelay).map_err(AttemptError::Tcp)?;
    if let Some(silence) = options.keepalive {
        let keepalive = TcpKeepalive::new()
            .with_time(silence)
            .with_interval(silence.min(Duration::from_secs(10)));
        SockRef::from(&tcp)
            .set_tcp_keepalive(&keepalive)
            .map_err(AttemptError::Tcp)?;
    }
    let Some(tls) = &options.tls else {
        return Ok(Stream::Plain(tcp));
    };
    let name = tls
        .name_for(name_of(host))
        .map_err(|_| AttemptError::ServerName)?;
    let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
    let stream = within(options.timeout, connector.connect(name, tcp), AttemptError::Tls).await?;
    Ok(Stream::Tls(Box::new(stream)))
}

async fn within<T>(
    limit: Duration,
    step: impl Future<Output = io::Result<T>>,
    failed: fn(io::Error) -> AttemptError,
) -> Result<T, AttemptError> {
    match timeout(limit, step).await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(AttemptError::Timeout(limit)),
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn name_of(host: &str) -> &str {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    name.strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name)
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_for_the_certificate_is_the_host_without_port_and_brackets() {
        assert_eq!(name_of("smsc.example.net:3550"), "smsc.example.net");
        assert_eq!(name_of("[2001:db8::1]:2775"), "2001:db8::1");
        assert_eq!(name_of("192.0.2.1:2775"), "192.0.2.1");
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_families_of_a_host_are_tried_in_turn() {
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "192.0.2.1:1", "192.0.2.2:1"].map(address);
        let turns = ["[::1]:1", "192.0.2.1:1", "[::2]:1", "192.0.2.2:1", "[::3]:1"].map(address);
        assert_eq!(in_turn(found.to_vec()), turns);
        assert!(in_turn(Vec::new()).is_empty());
        let one = ["192.0.2.1:1", "[::1]:1", "[::2]:1"].map(address);
        assert_eq!(in_turn(one.to_vec()), one);
    }

    /// An address whose accept queue is full: the system drops what comes, as a firewall does.
    async fn black_hole() -> (SocketAddr, Vec<TcpStream>, socket2::Socket) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&address("127.0.0.1:0").into()).unwrap();
        socket.listen(0).unwrap();
        let hole = socket.local_addr().unwrap().as_socket().unwrap();
        let mut held = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(hole)).await {
            held.push(stream.unwrap());
            assert!(held.len() < 10, "the queue fills up");
        }
        (hole, held, socket)
    }

    #[tokio::test]
    async fn a_dead_address_delays_the_next_one_by_its_head_start_only() {
        let (hole, _held, _socket) = black_hole().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let mut attempts = Vec::new();
        let begun = tokio::time::Instant::now();
        let (_, peer) = first_of(
            "both.example.net:1",
            vec![hole, alive],
            &ConnectOptions::default(),
            &mut attempts,
        )
        .await
        .unwrap();
        let took = begun.elapsed();
        assert_eq!(peer, alive);
        assert!(took >= HEAD_START && took < Duration::from_secs(2), "{took:?}");
        assert!(attempts.is_empty(), "nothing failed: {attempts:?}");
    }

    #[tokio::test]
    async fn a_refused_address_is_followed_by_the_next_at_once() {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = gone.local_addr().unwrap();
        drop(gone);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let mut attempts = Vec::new();
        let begun = tokio::time::Instant::now();
        let options = ConnectOptions::default();
        let (_, peer) = first_of("x:1", vec![dead, alive], &options, &mut attempts)
            .await
            .unwrap();
        assert!(begun.elapsed() < HEAD_START);
        assert_eq!((peer, attempts.len()), (alive, 1));
    }

    #[tokio::test]
    async fn the_source_address_is_ours_and_decides_the_family() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let from = |source: &str| ConnectOptions {
            source: Some(source.parse().unwrap()),
            ..ConnectOptions::default()
        };
        let mut attempts = Vec::new();
        let found = vec![address("[::1]:9"), alive];
        let options = from("127.0.0.2");
        let (connected, accepted) =
            tokio::join!(first_of("x:1", found, &options, &mut attempts), listener.accept());
        assert!(connected.is_some());
        assert_eq!(accepted.unwrap().1.ip().to_string(), "127.0.0.2");
        assert!(
            matches!(
                attempts.as_slice(),
                [Attempt {
                    kind: AttemptError::Family(_),
                    ..
                }]
            ),
            "{attempts:?}"
        );
        // TEST-NET-1 is nobody's address.
        let mut attempts = Vec::new();
        let options = from("192.0.2.77");
        assert!(
            first_of("x:1", vec![alive], &options, &mut attempts)
                .await
                .is_none()
        );
        assert!(
            matches!(
                attempts.as_slice(),
                [Attempt {
                    kind: AttemptError::Source { .. },
                    ..
                }]
            ),
            "{attempts:?}"
        );
    }
}
