//! A connection whose peer does not read is closed after a while.
//!
//! hyper bounds how long a peer may take to send, not how long it may refuse to receive: without this, a peer that sends
//! requests and never reads would hold its connection for ever. Invariant: no write stays pending for longer than
//! `limit`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// `IO` with a bound on how long a write may make no progress.
#[derive(Debug)]
pub(crate) struct WriteStall<IO> {
    io: IO,
    limit: Duration,
    pending: Option<Pin<Box<Sleep>>>,
}

impl<IO> WriteStall<IO> {
    pub(crate) fn new(io: IO, limit: Duration) -> Self {
        Self {
            io,
            limit,
            pending: None,
        }
    }

    /// Passes progress on; turns a wait that is too long into an error.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.pending = None;
            return polled;
        }
        let limit = self.limit;
        let pending = self
            .pending
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(pending.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for WriteStall<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for WriteStall<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn a_peer_that_never_reads_is_given_up_and_one_that_reads_is_not() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut ours = WriteStall::new(ours, Duration::from_millis(50));
        ours.write_all(&[0; 64]).await.unwrap();
        let error = ours.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);

        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut ours = WriteStall::new(ours, Duration::from_secs(5));
        let reader = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            tokio::io::copy(&mut theirs, &mut tokio::io::sink())
                .await
                .unwrap()
        });
        ours.write_all(&[0; 1000]).await.unwrap();
        drop(ours);
        assert_eq!(reader.await.unwrap(), 1000);
    }
}
