//! `GET /v1/messages?reference=…`: the message that was accepted last under a client's own name for it.
//!
//! The accept writes one small key for a message with a reference (`accept::reference_key`), which lives as long as the
//! message's record. Every other search is a matter of the message history.
//!
//! # Limits
//! Of several messages with one reference the last is found. Time, number, state and tag are refused with
//! `history_required`, not answered by halves.

use crate::accept;
use crate::http::answer::{Answer, document};
use crate::http::call::Call;
use crate::http::messages::{place, read_life};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::router::{Handler, Route};
use crate::http::view::{self, View};
use hyper::{Method, StatusCode};
use serde::Serialize;
use smsgw_config::Scope;
use smsgw_message::MessageId;
use smsgw_telemetry::ApiCode;
use tokio::time::timeout_at;
use tracing::error;

pub(crate) const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/v1/messages",
    label: "search",
    handler: Handler::Scoped(Scope::Read, |call| Box::pin(search(call))),
}];

/// Parameters that only the history can serve.
const OF_HISTORY: [&str; 8] = [
    "from_time",
    "to_time",
    "to",
    "from",
    "state",
    "tag",
    "cursor",
    "limit",
];

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Messages)]
pub(crate) struct Page<'a> {
    messages: Vec<View<'a>>,
    /// Where the next page begins: there is none.
    next: Option<&'a str>,
}

async fn search(call: Call) -> Result<Answer, Problem> {
    let known: Vec<&'static str> = ["reference"].into_iter().chain(OF_HISTORY).collect();
    let params = Params::parse(call.query(), &known)?;
    if let Some(field) = OF_HISTORY.into_iter().find(|name| params.get(name).is_some()) {
        let why =
            "searches by anything but reference need the message history, which this gateway does not keep";
        return Err(Problem::field(ApiCode::HistoryRequired, field, why));
    }
    let reference = params
        .get("reference")
        .filter(|reference| !reference.is_empty())
        .ok_or_else(|| Problem::field(ApiCode::InvalidField, "reference", "is required"))?;
    let Call {
        shared,
        tables,
        caller,
        ..
    } = &call;
    let _place = place(shared, tables, caller).await?;
    let unreadable = || Problem::overloaded("the gateway could not look the reference up");
    let key = accept::reference_key(&caller.client, reference);
    let found = timeout_at(caller.deadline, shared.engine.get(vec![key])).await;
    let found = found.map_err(|_| unreadable())?.map_err(|error| {
        error!(%error, "a reference could not be looked up");
        unreadable()
    })?;
    let id = found.into_iter().next().flatten().and_then(|there| {
        Some(MessageId::from_bytes(
            <[u8; 16]>::try_from(there.value.as_ref()).ok()?,
        ))
    });
    let found = match id {
        None => None,
        Some(id) => read_life(shared, id, caller.deadline).await?,
    };
    // The key is a digest, and its message may be gone: what counts is what its record says.
    let found = found.filter(|(life, _)| {
        life.message.client == caller.client && life.message.reference.as_deref() == Some(reference)
    });
    let page = Page {
        messages: found
            .iter()
            .map(|(life, told)| view::of(life, told.as_ref()))
            .collect(),
        next: None,
    };
    Ok(document(StatusCode::OK, &page))
}
