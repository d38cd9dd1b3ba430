//! Connects to the first of several hosts that answers, with or without TLS.
//!
//! Knows no protocol. Invariant: every step (name lookup, TCP, TLS) has a deadline, and a failure says which host,
//! which address and which step.
//!
//! # Limits
//! Addresses are tried one after the other: a host with a dead IPv6 address costs one timeout before its IPv4 address.

use crate::tls::TlsClient;
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How connections are opened.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Deadline of each step: name lookup, TCP of one address, TLS. Default: 10 s.
    pub timeout: Duration,
    /// Send small segments at once. Default: true.
    pub nodelay: bool,
    /// Silence after which the system probes the peer; `None` leaves that to the protocol. Default: none.
    pub keepalive: Option<Duration>,
    /// TLS, if the peer wants it.
    pub tls: Option<TlsClient>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            nodelay: true,
            keepalive: None,
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
        let mut failed = |peer, kind| {
            attempts.push(Attempt {
                host: host.clone(),
                peer,
                kind,
            })
        };
        let addresses = match within(options.timeout, lookup_host(host.as_str()), AttemptError::Lookup).await
        {
            Ok(addresses) => addresses.collect::<Vec<_>>(),
            Err(kind) => {
                failed(None, kind);
                continue;
            }
        };
        if addresses.is_empty() {
            failed(None, AttemptError::NoAddress);
        }
        for peer in addresses {
            match open(host, peer, options).await {
                Ok(stream) => {
                    return Ok(Connection {
                        stream,
                        peer,
                        host: host.clone(),
                    });
                }
                Err(kind) => failed(Some(peer), kind),
            }
        }
    }
    Err(ConnectError { attempts })
}

async fn open(host: &str, peer: SocketAddr, options: &ConnectOptions) -> Result<Stream, AttemptError> {
    let tcp = within(options.timeout, TcpStream::connect(peer), AttemptError::Tcp).await?;
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
}
