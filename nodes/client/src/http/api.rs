//! From a request to its answer: which route, who asks, may they, then the route's handler.
//!
//! Knows no resource. Invariant: every request is answered and counted once; what a caller may not do is refused before
//! its body is read.

use crate::http::answer::Answer;
use crate::http::auth::{Denied, Grant};
use crate::http::call::{Call, Caller};
use crate::http::connection::Connection;
use crate::http::problem::Problem;
use crate::http::receive;
use crate::http::router::{self, Found, Handler};
use crate::{metric, shared::Shared, tables::Tables};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Request};
use smsgw_message::ClientId;
use smsgw_telemetry::ApiCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::debug;

/// Answers one request; whatever goes wrong is an answer too.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Answer {
    let _busy = connection.busy();
    let tables = shared.tables.current();
    let (head, body) = request.into_parts();
    let found = router::find(&head.method, head.uri.path());
    let label = match &found {
        Found::Route(route, _) => route.label,
        Found::WrongMethod(_) | Found::Unknown => "other",
    };
    let (client, outcome) = answer(shared, tables, &connection, found, head, body).await;
    let response = outcome.unwrap_or_else(|problem| {
        let client = client.as_ref().map_or("-", ClientId::as_str);
        metric::REFUSED_TOTAL.with(&[client, problem.code.as_str()]).inc();
        debug!(client, code = problem.code.as_str(), "request refused");
        problem.into_response()
    });
    metric::REQUESTS_TOTAL
        .with(&[label, response.status().as_str()])
        .inc();
    response
}

async fn answer(
    shared: Arc<Shared>,
    tables: Arc<Tables>,
    connection: &Connection,
    found: Found,
    head: Parts,
    body: Incoming,
) -> (Option<ClientId>, Result<Answer, Problem>) {
    let http = &tables.snapshot.config.http;
    let deadline = Instant::now() + http.request_timeout;
    let wanted = match found {
        Found::Route(route, params) => match route.handler {
            Handler::Open(handler) => {
                receive::discard(&head.headers, body, http).await;
                return (None, handler(shared).await);
            }
            Handler::Known(handler) => Ok((None, handler, params)),
            Handler::Scoped(scope, handler) => Ok((Some(scope), handler, params)),
        },
        Found::WrongMethod(allow) => Err(Problem::wrong_method(allow)),
        Found::Unknown => Err(Problem::new(ApiCode::NotFound, "there is no such path")),
    };
    let granted = who(&shared, &tables, connection, &head.headers).await;
    let Grant { client, scopes } = match granted {
        Ok(grant) => grant,
        Err(Refused { client, problem }) => {
            receive::discard(&head.headers, body, http).await;
            return (client, Err(problem));
        }
    };
    let caller = Caller {
        client: client.clone(),
        scopes,
        deadline,
    };
    let allowed = wanted.and_then(|(scope, handler, params)| match scope {
        Some(scope) if !caller.scopes.has(scope) => {
            let why = format!("the key has no scope {:?}, which this needs", scope.as_str());
            Err(Problem::new(ApiCode::Forbidden, why))
        }
        Some(_) | None => Ok((handler, params)),
    });
    let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
    let body = if allowed.is_ok() && has_body {
        Some(body)
    } else {
        receive::discard(&head.headers, body, http).await;
        None
    };
    let outcome = match allowed {
        Err(problem) => Err(problem),
        Ok((handler, params)) => {
            let call = Call {
                shared,
                tables,
                caller,
                head,
                params,
                body,
            };
            handler(call).await
        }
    };
    (Some(client), outcome)
}

/// A request of nobody we serve.
struct Refused {
    client: Option<ClientId>,
    problem: Problem,
}

/// Who asks, as far as they may. A failed login is answered late.
async fn who(
    shared: &Shared,
    tables: &Tables,
    connection: &Connection,
    headers: &HeaderMap,
) -> Result<Grant, Refused> {
    let config = &tables.snapshot.config;
    let http = &config.http;
    let (given, now) = (authorization(headers), shared.clock.now());
    let grant = tables
        .keys
        .grant(config, &shared.passwords, given, connection.peer, now)
        .await;
    let (why, client, problem) = match grant {
        Ok(grant) => {
            let most = config
                .client
                .get(&grant.client)
                .map_or(0, |account| account.max_connections);
            if connection.belongs_to(&grant.client, &shared.seats, most) {
                return Ok(grant);
            }
            let problem = Problem::new(ApiCode::RateLimited, "the account has too many connections open");
            return Err(Refused {
                client: Some(grant.client),
                problem: problem.retry_after(Duration::from_secs(1)),
            });
        }
        Err(Denied::Missing) => {
            let why = "there is no Authorization header, or more than one";
            ("missing", None, Problem::new(ApiCode::Unauthorized, why))
        }
        Err(Denied::Wrong) => {
            let why = "no valid API key or password in the Authorization header";
            ("wrong", None, Problem::new(ApiCode::Unauthorized, why))
        }
        Err(Denied::Network(client)) => {
            let why = "the account or key may not be used from this address";
            ("network", Some(client), Problem::new(ApiCode::Forbidden, why))
        }
    };
    metric::LOGINS_FAILED_TOTAL.with(&[why]).inc();
    debug!(peer = %connection.peer, client = client.as_ref().map(tracing::field::display), why, "login failed");
    // Who says nothing guesses nothing.
    if why != "missing" {
        let instant = shared.clock.instant();
        shared
            .guard
            .failed(connection.peer, instant, http.ban_after, http.ban_time);
        tokio::time::sleep(http.login_delay).await;
    }
    Err(Refused { client, problem })
}

/// The one `Authorization` header. With two of them, one before us may have judged by the other.
fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => Some(one.as_bytes()),
        (Some(_), Some(_)) | (None, _) => None,
    }
}
