//! Accepts connections.
//!
//! Knows nothing of who connects. Invariant: accepting never ends by itself; a shortage of file descriptors is
//! logged and waited out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

/// How long accepting pauses when the system has no more descriptors or memory.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// An open listening socket.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    local: SocketAddr,
}

/// A listening socket could not be opened.
#[derive(Debug, Error)]
#[error("failed to listen on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub kind: io::Error,
}

impl Listener {
    /// Opens the socket; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |kind| ListenError { address, kind };
        let inner = TcpListener::bind(address).await.map_err(failed)?;
        let local = inner.local_addr().map_err(failed)?;
        Ok(Self { inner, local })
    }

    /// Where it listens, with the port it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next connection, without delay of small segments. May be dropped and called again.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.inner.accept().await {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        // The peer is gone already; its session will find out.
                        warn!(%peer, %error, "cannot set nodelay on an accepted connection");
                    }
                    return (stream, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!(local = %self.local, %error, retry_in = ?SHORTAGE_PAUSE, "cannot accept");
                    tokio::time::sleep(SHORTAGE_PAUSE).await;
                }
            }
        }
    }
}

/// The error belongs to a peer that went away before it was accepted; the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepts_on_a_free_port_and_refuses_a_taken_one() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr()), listener.accept());
        assert_eq!(client.unwrap().local_addr().unwrap(), accepted.1);
        assert!(accepted.0.nodelay().unwrap());
        let taken = Listener::bind(listener.local_addr()).await.unwrap_err();
        assert_eq!(taken.kind.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            taken.to_string(),
            format!("failed to listen on {}", listener.local_addr())
        );
    }
}
