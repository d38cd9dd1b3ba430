//! One question to the administrator's listener: its `/status`, as it came and as this version reads it.

use super::schema::Status;
use crate::reach::{Listener, PATIENCE, ReachError, try_ask};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::Value;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("it answered {0} to /status: another program, or another version")]
    Status(StatusCode),
    #[error("the answer is not the status of a gateway of this version")]
    Shape(#[from] serde_json::Error),
}

/// The answer as it came, and as this version reads it.
pub(crate) async fn fetch(at: &Listener) -> Result<(Value, Status), FetchError> {
    let (code, body) = try_ask(at, Method::GET, "/status", Bytes::new(), PATIENCE).await?;
    if code != StatusCode::OK {
        return Err(FetchError::Status(code));
    }
    let raw: Value = serde_json::from_slice(&body)?;
    let status = serde_json::from_value(raw.clone())?;
    Ok((raw, status))
}
