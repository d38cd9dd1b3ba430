//! The inbox as server-sent events (the HTML standard, section 9.2): `id` is the cursor, `data` the event.
//!
//! One page at a time is in memory, and the next is read when the peer has taken this one. The stream ends when the node
//! drains, when the configuration changes (the account or its key may be gone; who comes back is asked for it again), and
//! after [`LIFE`]; a client comes back with `Last-Event-ID` by itself. Invariant: events come in their order, and none is
//! left out.

use super::{Given, Reader, give, log};
use crate::http::answer::{Answer, Content};
use crate::shared::Shared;
use crate::tables::Tables;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use smsgw_message::ClientId;
use smsgw_queue::Position;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tracing::error;

/// Events of one read.
const PAGE: usize = 100;
/// Silence after which a comment is sent, so that nobody between takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long one stream lives.
const LIFE: Duration = Duration::from_secs(3600);

/// What a stream needs; moves into each read and out of it again.
struct Source {
    shared: Arc<Shared>,
    client: ClientId,
    epoch: u64,
    from: u64,
    end: Instant,
    _slot: Reader,
}

type Reading = Pin<Box<dyn Future<Output = Option<(Bytes, Source)>> + Send>>;

/// The body of the answer.
struct Events(Option<Reading>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(reading) = &mut self.0 else {
            return Poll::Ready(None);
        };
        match ready!(reading.as_mut().poll(cx)) {
            None => {
                self.0 = None;
                Poll::Ready(None)
            }
            Some((octets, source)) => {
                self.0 = Some(Box::pin(read(source)));
                Poll::Ready(Some(Ok(Frame::data(octets))))
            }
        }
    }
}

/// The answer: its head, and events as they come.
pub(super) fn answer(
    shared: Arc<Shared>,
    tables: Arc<Tables>,
    client: ClientId,
    from: u64,
    slot: Reader,
) -> Answer {
    let source = Source {
        epoch: tables.snapshot.epoch,
        shared,
        client,
        from,
        end: Instant::now() + LIFE,
        _slot: slot,
    };
    // The first octets go at once: the client sees that it is connected, and how soon to come back.
    let first = async move { Some((Bytes::from_static(b"retry: 2000\n\n"), source)) };
    let body: Content = Events(Some(Box::pin(first))).boxed_unsync();
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The next events, or a sign of life; `None`: the stream is over.
async fn read(mut source: Source) -> Option<(Bytes, Source)> {
    let mut draining = source.shared.draining.subscribe();
    let is_current = source.shared.tables.current().snapshot.epoch == source.epoch;
    if *draining.borrow() || !is_current || Instant::now() >= source.end {
        return None;
    }
    let log = log(&source.client);
    let entries = {
        let reading = source
            .shared
            .engine
            .read(&log, Position(source.from), PAGE, HEARTBEAT);
        tokio::select! {
            biased;
            entries = reading => entries,
            _ = draining.wait_for(|draining| *draining) => return None,
        }
    };
    match entries {
        Ok(entries) => {
            let (given, next) = give(entries, source.from);
            source.from = next;
            Some((write(&given), source))
        }
        Err(error) => {
            error!(%error, "an inbox could not be read, its stream ends");
            None
        }
    }
}

fn write(given: &[Given]) -> Bytes {
    if given.is_empty() {
        return Bytes::from_static(b":\n\n");
    }
    let mut text = String::new();
    for Given { cursor, kind, json } in given {
        // JSON has no line end outside of its texts, and inside they are escaped.
        for piece in ["id: ", cursor, "\nevent: ", kind, "\ndata: ", json, "\n\n"] {
            text.push_str(piece);
        }
    }
    Bytes::from(text)
}
