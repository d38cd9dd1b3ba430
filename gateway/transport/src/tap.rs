//! A stream that somebody looks at: [`Tapped`] shows a [`Tap`] every octet that passes, in order, in both directions.
//!
//! Stands between the driver and the connection, so that with TLS the octets are seen in the clear. Changes nothing that
//! passes, holds nothing of it and never waits: what a tap costs is what it does itself.
//!
//! # Limits
//! `sent` means handed to the operating system (or to TLS), not taken by the peer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Looks at the octets of one stream. Called on the driver's task: it must not block.
pub trait Tap {
    /// The peer sent these.
    fn received(&mut self, octets: &[u8]);
    /// We sent these.
    fn sent(&mut self, octets: &[u8]);
}

/// A stream and who looks at it. The tap is dropped with the stream: that is the end of the connection.
#[derive(Debug)]
pub struct Tapped<IO, T> {
    io: IO,
    tap: T,
}

impl<IO, T> Tapped<IO, T> {
    /// Puts a tap on a stream from now on.
    pub fn new(io: IO, tap: T) -> Self {
        Self { io, tap }
    }
}

impl<IO: AsyncRead + Unpin, T: Tap + Unpin> AsyncRead for Tapped<IO, T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, into))?;
        let fresh = into.filled().get(before..).unwrap_or_default();
        if !fresh.is_empty() {
            this.tap.received(fresh);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin, T: Tap + Unpin> AsyncWrite for Tapped<IO, T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = ready!(Pin::new(&mut this.io).poll_write(cx, octets))?;
        let sent = octets.get(..taken).unwrap_or(octets);
        if !sent.is_empty() {
            this.tap.sent(sent);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[derive(Debug, Clone, Default)]
    struct Seen(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

    impl Tap for Seen {
        fn received(&mut self, octets: &[u8]) {
            self.0.lock().unwrap().0.extend_from_slice(octets);
        }

        fn sent(&mut self, octets: &[u8]) {
            self.0.lock().unwrap().1.extend_from_slice(octets);
        }
    }

    #[tokio::test]
    async fn a_tap_sees_what_passes_once_and_in_order_however_it_is_cut() {
        // Seven octets fit between the two ends: writes are taken in pieces.
        let (near, mut far) = tokio::io::duplex(7);
        let seen = Seen::default();
        let mut near = Tapped::new(near, seen.clone());
        let peer = tokio::spawn(async move {
            let mut got = vec![0; 26];
            far.read_exact(&mut got).await.unwrap();
            far.write_all(b"0123456789").await.unwrap();
            got
        });
        near.write_all(b"abcdefghijklmnopqrstuvwxyz").await.unwrap();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        let (received, sent) = seen.0.lock().unwrap().clone();
        assert_eq!((&received, &sent), (&answer, &peer.await.unwrap()));
        assert_eq!(received, b"0123456789");
    }
}
