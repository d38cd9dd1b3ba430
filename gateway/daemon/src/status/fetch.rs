//! One question to the administrator's listener, with a deadline and a bound on the answer.

use super::schema::Status;
use crate::reach::Bearing;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long the answer may take. The listener answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most octets of an answer: a hundred thousand queues are less.
const LARGEST: usize = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("nothing listens there")]
    Connect(#[source] std::io::Error),
    #[error("no answer within {PATIENCE:?}")]
    Late,
    #[error("it does not speak HTTP as the gateway does")]
    Http(#[from] hyper::Error),
    #[error("it wants another token: --token-file FILE or SMSGW_ADMIN_TOKEN")]
    Denied,
    #[error("it answered {0} to /status: another program, or another version")]
    Status(StatusCode),
    #[error("the answer could not be read whole")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is not the status of a gateway of this version")]
    Shape(#[from] serde_json::Error),
}

/// The answer as it came, and as this version reads it.
pub(crate) async fn fetch(address: SocketAddr) -> Result<(Value, Status), FetchError> {
    tokio::time::timeout(PATIENCE, exchange(address))
        .await
        .map_err(|_| FetchError::Late)?
}

async fn exchange(address: SocketAddr) -> Result<(Value, Status), FetchError> {
    let stream = TcpStream::connect(address).await.map_err(FetchError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let ask = async move {
        let request = Request::get("/status")
            .header(HOST, address.to_string())
            .bearing()
            .body(Empty::<Bytes>::new())
            .expect("a fixed path and an address make a request");
        let answer = sender.send_request(request).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            return Err(FetchError::Denied);
        }
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), LARGEST)
            .collect()
            .await
            .map_err(FetchError::Body)?
            .to_bytes();
        let raw: Value = serde_json::from_slice(&body)?;
        let status = serde_json::from_value(raw.clone())?;
        Ok((raw, status))
    };
    let mut connection = std::pin::pin!(connection);
    let mut ask = std::pin::pin!(ask);
    tokio::select! {
        answer = &mut ask => answer,
        // The connection may be over before the answer is read.
        ended = &mut connection => match ended {
            Ok(()) => ask.await,
            Err(error) => Err(error.into()),
        },
    }
}
