//! `/v1/batches`: one text to many recipients, or many messages in one request.
//!
//! ```text
//! request ─▶ scan (recipients or lines) ─▶ upload ─▶ batch-part/<id>/<n> … ─▶ one step: batch, body, ticket ─▶ 202
//! mt.batch ─▶ worker ─▶ one step: messages, chunk, batch, next ticket ─▶ … ─▶ completed
//! ```
//! The request is written as it comes, chunk by chunk, and nothing of it counts before the last step. The worker then turns
//! it into messages at the account's rate. Invariant: a line becomes a message at most once, and exactly once in a batch
//! that is neither cancelled nor expired, whenever the process is killed.
//!
//! # Limits
//! The messages of a batch and those that the account sends otherwise share its rate: while a batch runs at the full rate,
//! single messages may get `429`. Chunks of an upload that was cut off by a crash stay until the batch would have expired.

mod orders;
mod record;
mod room;
mod scan;
mod store;
mod upload;
mod view;
pub(crate) mod worker;

pub(crate) use view::{BatchView, BatchesView, ResultsView};

use crate::http::router::{Handler, Route};
use hyper::Method;
use smsgw_config::Scope;

pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/v1/batches",
        label: "batch",
        handler: Handler::Scoped(Scope::Send, |call| Box::pin(upload::create(call))),
    },
    Route {
        method: Method::GET,
        path: "/v1/batches",
        label: "batches",
        handler: Handler::Scoped(Scope::Read, |call| Box::pin(view::list(call))),
    },
    Route {
        method: Method::GET,
        path: "/v1/batches/{id}",
        label: "batch_view",
        handler: Handler::Scoped(Scope::Read, |call| Box::pin(view::show(call))),
    },
    Route {
        method: Method::GET,
        path: "/v1/batches/{id}/results",
        label: "batch_results",
        handler: Handler::Scoped(Scope::Read, |call| Box::pin(view::results(call))),
    },
    Route {
        method: Method::POST,
        path: "/v1/batches/{id}/pause",
        label: "batch_pause",
        handler: Handler::Scoped(Scope::Send, |call| Box::pin(orders::pause(call))),
    },
    Route {
        method: Method::POST,
        path: "/v1/batches/{id}/resume",
        label: "batch_resume",
        handler: Handler::Scoped(Scope::Send, |call| Box::pin(orders::resume(call))),
    },
    Route {
        method: Method::POST,
        path: "/v1/batches/{id}/cancel",
        label: "batch_cancel",
        handler: Handler::Scoped(Scope::Send, |call| Box::pin(orders::cancel(call))),
    },
];
