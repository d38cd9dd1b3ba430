//! `/sessions` of the administrator's listener: who is bound over SMPP, and ending a session.
//!
//! An order goes through the `instructions` queue like any other. Only for this machine, and only with the header
//! `x-smsgw-order`. Changes nothing itself.

use crate::operators::{ORDER_HEADER, Operators, json, said};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use smsgw_node_client::{SessionStatus, Sessions};
use smsgw_node_config::instruct_session;
use smsgw_runtime::SystemClock;

/// One bound session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRow {
    /// 16 hexadecimal digits, as in the log.
    pub(crate) session: String,
    pub(crate) client: String,
    /// `transmitter`, `receiver` or `transceiver`.
    pub(crate) bind: String,
    /// Of SMPP.
    pub(crate) version: String,
    pub(crate) peer: String,
    pub(crate) tls: bool,
    pub(crate) since: String,
    /// Messages accepted from it.
    pub(crate) submitted: u64,
    /// Reports and MO that it took.
    pub(crate) delivered: u64,
}

impl From<SessionStatus> for SessionRow {
    fn from(status: SessionStatus) -> Self {
        Self {
            session: format!("{:016x}", status.id),
            client: status.client.as_str().to_owned(),
            bind: status.bind.to_owned(),
            version: status.version.to_owned(),
            peer: status.peer.to_string(),
            tls: status.tls,
            since: status.since.to_string(),
            submitted: status.submitted,
            delivered: status.delivered,
        }
    }
}

/// Answers a request below `/sessions`.
pub(crate) async fn answer<B>(
    operators: &Operators<'_>,
    sessions: Option<&Sessions>,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    let Some(sessions) = sessions else {
        return said(StatusCode::NOT_FOUND, "this process runs no client node");
    };
    let path = request.uri().path().trim_start_matches("/sessions");
    let mut words = path.trim_start_matches('/').split('/');
    match (
        words.next().unwrap_or_default(),
        words.next(),
        words.next(),
        request.method(),
    ) {
        ("", None, None, &Method::GET) => {
            let rows: Vec<SessionRow> = sessions.list().into_iter().map(SessionRow::from).collect();
            json(StatusCode::OK, &rows)
        }
        (session, Some("disconnect"), None, &Method::POST) => {
            let marked = request.headers().contains_key(ORDER_HEADER);
            disconnect(operators, sessions, session, marked).await
        }
        _ => said(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /sessions, POST /sessions/<session>/disconnect",
        ),
    }
}

async fn disconnect(
    operators: &Operators<'_>,
    sessions: &Sessions,
    session: &str,
    marked: bool,
) -> Response<Full<Bytes>> {
    let known = u64::from_str_radix(session, 16)
        .ok()
        .filter(|id| sessions.list().iter().any(|status| status.id == *id));
    if known.is_none() {
        return said(StatusCode::NOT_FOUND, "there is no such session");
    }
    if !marked {
        return said(StatusCode::FORBIDDEN, "an order carries the header x-smsgw-order");
    }
    let given = instruct_session(operators.engine, &SystemClock, session, &operators.caller.by()).await;
    operators.told(given).await
}
