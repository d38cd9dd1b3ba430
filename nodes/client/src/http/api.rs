//! The requests of the HTTP API: from method and path to a durable answer.

use crate::accept::{self, Refusal};
use crate::admission::{Refused, Why};
use crate::http::idempotency::Key;
use crate::http::problem::Problem;
use crate::http::{receive, submit, view};
use crate::{metric, shared::Shared, tables::Tables};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use smsgw_message::{ClientId, MessageId, MessageLife, Record, Told, names};
use smsgw_telemetry::ApiCode;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error};

type Answer = Response<Full<Bytes>>;

/// After how long a client should try again when the gateway sheds load.
const OVERLOAD_RETRY: Duration = Duration::from_secs(2);

/// Answers one request; whatever goes wrong is an answer too.
pub(crate) async fn handle(shared: &Shared, request: Request<Incoming>) -> Answer {
    let tables = shared.tables.current();
    let route = Route::of(request.method(), request.uri().path());
    let label = route.label();
    let (client, outcome) = answer(shared, &tables, route, request).await;
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

enum Route {
    Submit,
    View(String),
    /// The path is known and has these methods.
    WrongMethod(&'static str),
    Unknown,
}

impl Route {
    fn of(method: &Method, path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/v1/messages") else {
            return Self::Unknown;
        };
        if rest.is_empty() {
            return if *method == Method::POST {
                Self::Submit
            } else {
                Self::WrongMethod("POST")
            };
        }
        match rest.strip_prefix('/') {
            Some(id) if !id.is_empty() && !id.contains('/') => {
                // hyper leaves the body out of an answer to HEAD.
                if matches!(*method, Method::GET | Method::HEAD) {
                    Self::View(id.to_owned())
                } else {
                    Self::WrongMethod("GET, HEAD")
                }
            }
            Some(_) | None => Self::Unknown,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::View(_) => "view",
            Self::WrongMethod(_) | Self::Unknown => "other",
        }
    }
}

async fn answer(
    shared: &Shared,
    tables: &Tables,
    route: Route,
    request: Request<Incoming>,
) -> (Option<ClientId>, Result<Answer, Problem>) {
    let deadline = Instant::now() + tables.snapshot.config.http.request_timeout;
    let Some(client) = tables.keys.client(authorization(request.headers())) else {
        receive::discard(request, &tables.snapshot.config.http).await;
        let problem = Problem::new(
            ApiCode::Unauthorized,
            "no valid API key in the Authorization header",
        );
        return (None, Err(problem));
    };
    let outcome = match route {
        Route::Submit => submit(shared, tables, &client, request, deadline).await,
        Route::View(id) => {
            receive::discard(request, &tables.snapshot.config.http).await;
            view(shared, tables, &client, &id, deadline).await
        }
        Route::WrongMethod(allow) => {
            receive::discard(request, &tables.snapshot.config.http).await;
            Err(Problem::wrong_method(allow))
        }
        Route::Unknown => {
            receive::discard(request, &tables.snapshot.config.http).await;
            Err(Problem::new(ApiCode::NotFound, "there is no such path"))
        }
    };
    (Some(client), outcome)
}

/// The one `Authorization` header. With two of them, one before us may have judged by the other.
fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => Some(one.as_bytes()),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

#[derive(Serialize)]
struct Accepted<'a> {
    id: String,
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    state: &'static str,
    encoding: &'static str,
    parts: u16,
}

async fn submit(
    shared: &Shared,
    tables: &Tables,
    client: &ClientId,
    request: Request<Incoming>,
    deadline: Instant,
) -> Result<Answer, Problem> {
    let config = &tables.snapshot.config;
    let key = Key::of(request.headers(), client);
    let octets = receive::read(request, &config.http, deadline).await?;
    let key = key?.map(|key| key.with_body(&octets));
    let started = shared.clock.instant();
    let _place = shared
        .place(config.http.max_in_flight)
        .ok_or_else(too_many_requests)?;
    if let Some(answer) = replay(shared, key.as_ref(), deadline).await? {
        return Ok(answer);
    }
    let body = submit::parse(&octets)?;
    let random: [u8; 10] = rand::random();
    let now = shared.clock.now();
    let id = MessageId::from_parts(now, random);
    let mut message = submit::build(&body, client, config, id, now, rand::random())?;
    let admitted = tables.admit(&mut message, started).map_err(not_admitted)?;
    let answer = Accepted {
        id: id.to_string(),
        to: message.to.as_str(),
        from: message.from.as_ref().map(smsgw_message::Address::as_str),
        reference: message.reference.as_deref(),
        state: "accepted",
        encoding: message.encoding.as_str(),
        parts: message.part_count(),
    };
    let answer = serde_json::to_vec(&answer).expect("a struct of strings and numbers is valid JSON");
    let location = format!("/v1/messages/{id}");
    if config.log.bodies {
        debug!(message_id = %id, %client, to = %message.to, from = message.from.as_ref().map(tracing::field::display),
            body = %String::from_utf8_lossy(&octets), "request");
    }
    let until = accept::remembered_until(&message, &config.limits);
    let step = admitted.add_to(accept::step(shared, message, &config.limits));
    let step = match &key {
        None => step,
        Some(key) => key.remember(step, &answer, &location, until),
    };
    if let Err(refusal) = accept::commit(shared, step, deadline).await {
        // A request with the same key was faster: its answer is ours.
        if let (Refusal::Taken, Some(answer)) = (refusal, replay(shared, key.as_ref(), deadline).await?) {
            return Ok(answer);
        }
        return Err(refused(refusal));
    }
    shared.accept_seconds.observe(
        shared
            .clock
            .instant()
            .saturating_duration_since(started)
            .as_secs_f64(),
    );
    debug!(message_id = %id, %client, "accepted");
    Ok(accepted(answer, &location))
}

fn accepted(answer: Vec<u8>, location: &str) -> Answer {
    let mut response = json(StatusCode::ACCEPTED, answer);
    let location = HeaderValue::try_from(location).expect("a UUID is valid in a header");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The answer that was given to the first request with this key; `None` when this is the first one.
async fn replay(shared: &Shared, key: Option<&Key>, deadline: Instant) -> Result<Option<Answer>, Problem> {
    let Some(key) = key else { return Ok(None) };
    let unreadable = || overloaded("the gateway could not look the idempotency key up");
    let found = timeout_at(deadline, shared.engine.get(vec![key.state.clone()]))
        .await
        .map_err(|_| unreadable())?;
    let found = found.map_err(|error| {
        error!(%error, "an idempotency key could not be read");
        unreadable()
    })?;
    let Some(there) = found.into_iter().next().flatten() else {
        return Ok(None);
    };
    let judged = key.judge(&there.value).map_err(|error| {
        error!(%error, "the record of an idempotency key could not be decoded");
        unreadable()
    })?;
    let replay = judged?;
    let mut answer = accepted(replay.answer, &replay.location);
    answer
        .headers_mut()
        .insert("idempotency-replayed", HeaderValue::from_static("true"));
    Ok(Some(answer))
}

/// What the engine's refusal is called here. A key that was taken meanwhile is looked up before this is asked.
fn refused(refusal: Refusal) -> Problem {
    overloaded(refusal.words())
}

fn not_admitted(refused: Refused) -> Problem {
    let (code, field) = match refused.why {
        Why::RateLimited => (ApiCode::RateLimited, None),
        Why::NoRoute => (ApiCode::NoRoute, Some("to")),
    };
    let mut problem = Problem::new(code, refused.detail);
    problem.field = field;
    problem.retry_after = refused.retry_after;
    problem
}

fn overloaded(why: &'static str) -> Problem {
    Problem::new(ApiCode::Overloaded, why).retry_after(OVERLOAD_RETRY)
}

fn too_many_requests() -> Problem {
    overloaded("too many requests wait for the gateway")
}

async fn view(
    shared: &Shared,
    tables: &Tables,
    client: &ClientId,
    id: &str,
    deadline: Instant,
) -> Result<Answer, Problem> {
    let not_found = || Problem::new(ApiCode::NotFound, "there is no such message");
    let id: MessageId = id.parse().map_err(|_| not_found())?;
    let _place = shared
        .place(tables.snapshot.config.http.max_in_flight)
        .ok_or_else(too_many_requests)?;
    let keys = vec![names::message(id).into(), names::told(id).into()];
    let found = timeout_at(deadline, shared.engine.get(keys)).await.map_err(|_| {
        error!(message_id = %id, "the engine did not answer within http.request_timeout");
        overloaded("the gateway could not read the message in time")
    })?;
    let found = found.map_err(|error| {
        error!(message_id = %id, %error, "message could not be read");
        overloaded("the gateway could not read the message")
    })?;
    let mut found = found.into_iter();
    let life = found.next().flatten().ok_or_else(not_found)?;
    let broken = |error| {
        error!(message_id = %id, %error, "record of a message could not be decoded");
        overloaded("the message's record is damaged")
    };
    let life = MessageLife::from_record(&life.value).map_err(broken)?;
    if life.message.client != *client {
        return Err(not_found());
    }
    let told = found
        .next()
        .flatten()
        .map(|told| Told::from_record(&told.value))
        .transpose()
        .map_err(broken)?;
    Ok(json(StatusCode::OK, view::render(&life, told.as_ref())))
}

fn json(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
