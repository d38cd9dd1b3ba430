//! The body of a request: read whole within its bounds, or thrown away so that a refusal can be read.
//!
//! A connection that is closed with octets unread is reset, and a reset destroys the answer on its way to a peer that
//! still writes. So a refused body is read and thrown away, up to a bound. Invariant: at most the limit is kept in
//! memory, and memory grows with what has come, not with what was announced.

use crate::http::problem::Problem;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{EXPECT, HeaderMap};
use smsgw_config::HttpSection;
use smsgw_telemetry::ApiCode;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a refused body is read.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many octets of a refused body are read, as a multiple of the limit.
const THROWN_AWAY: usize = 4;

/// The whole body.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    http: &HttpSection,
    deadline: Instant,
) -> Result<Vec<u8>, Problem> {
    let limit = http.body_limit.as_usize();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        discard(headers, body, http).await;
        return Err(too_large(limit));
    }
    let mut whole = Vec::new();
    loop {
        match timeout_at(deadline, body.frame()).await {
            Ok(None) => return Ok(whole),
            Ok(Some(Ok(frame))) => {
                // Trailers are of no use here.
                let Some(data) = frame.data_ref() else { continue };
                if whole.len().saturating_add(data.len()) > limit {
                    drop(whole);
                    throw_away(&mut body, limit).await;
                    return Err(too_large(limit));
                }
                whole.extend_from_slice(data);
            }
            Ok(Some(Err(_))) => {
                return Err(Problem::new(
                    ApiCode::InvalidJson,
                    "the body ended before it was complete",
                ));
            }
            Err(_) => {
                return Err(Problem::new(
                    ApiCode::InvalidJson,
                    "the body did not arrive in time",
                ));
            }
        }
    }
}

/// Reads what a refused request still sends. A client that waits to be asked for its body is not asked.
pub(crate) async fn discard(headers: &HeaderMap, mut body: Incoming, http: &HttpSection) {
    if headers.contains_key(EXPECT) || body.is_end_stream() {
        return;
    }
    throw_away(&mut body, http.body_limit.as_usize()).await;
}

async fn throw_away(body: &mut Incoming, limit: usize) {
    let most = limit.saturating_mul(THROWN_AWAY);
    let reading = async {
        let mut read = 0_usize;
        while let Some(Ok(frame)) = body.frame().await {
            read = read.saturating_add(frame.data_ref().map_or(0, |data| data.len()));
            if read > most {
                return;
            }
        }
    };
    // Whether all of it came is the peer's affair.
    timeout(PATIENCE, reading).await.unwrap_or_default();
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        ApiCode::BodyTooLarge,
        format!("the body has more than {limit} octets"),
    )
}
