//! `/v1/messages`: sending one message, and what became of it.
//!
//! Invariant: a 202 was durable before its first octet was written.

use crate::accept::{self, Refusal};
use crate::admission::{self, turn::Turn};
use crate::cancel::{self, Denied};
use crate::http::answer::{Answer, document, json};
use crate::http::call::{Call, Caller};
use crate::http::idempotency::Key;
use crate::http::problem::Problem;
use crate::http::router::{Handler, Route};
use crate::http::view::{PriceView, SmartView};
use crate::http::{search, submit, view};
use crate::shared::{Place, Shared};
use crate::tables::Tables;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, StatusCode};
use serde::Serialize;
use smsgw_config::Scope;
use smsgw_message::{Class, MessageId, MessageLife, Record, Told, names};
use smsgw_telemetry::ApiCode;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error};

pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/v1/messages",
        label: "submit",
        handler: Handler::Scoped(Scope::Send, |call| Box::pin(send(call))),
    },
    Route {
        method: Method::GET,
        path: "/v1/messages/{id}",
        label: "view",
        handler: Handler::Scoped(Scope::Read, |call| Box::pin(show(call))),
    },
    Route {
        method: Method::DELETE,
        path: "/v1/messages/{id}",
        label: "cancel",
        handler: Handler::Scoped(Scope::Send, |call| Box::pin(withdraw(call))),
    },
];

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Accepted)]
pub(crate) struct Accepted<'a> {
    id: &'a str,
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<String>,
    encoding: &'static str,
    parts: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<PriceView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smart: Option<SmartView<'a>>,
}

async fn send(mut call: Call) -> Result<Answer, Problem> {
    let key = Key::of(&call.head.headers, &call.caller.client);
    let octets = call.read().await?;
    let Call {
        shared,
        tables,
        caller,
        ..
    } = call;
    let (client, deadline) = (&caller.client, caller.deadline);
    let config = &tables.snapshot.config;
    let key = key?.map(|key| key.with_body(&octets));
    let started = shared.clock.instant();
    let body = submit::parse(&octets)?;
    let (_turn, _place) = turn(&shared, &tables, &caller, body.class.as_deref()).await?;
    if let Some(answer) = replay(&shared, key.as_ref(), deadline).await? {
        return Ok(answer);
    }
    let random: [u8; 10] = rand::random();
    let now = shared.clock.now();
    let id = MessageId::from_parts(now, random);
    let submit::Built { mut message, smart } = submit::build(&body, client, config, id, now, rand::random())?;
    let admitted = admission::check(&shared, &tables, &mut message).await?;
    let mut room = [0; MessageId::LENGTH];
    let name: &str = id.write(&mut room);
    let answer = Accepted {
        id: name,
        to: message.to.as_str(),
        from: message.from.as_ref().map(smsgw_message::Address::as_str),
        reference: message.reference.as_deref(),
        state: MessageLife::first_state(&message).as_str(),
        send_at: message.send_at.map(|at| at.to_string()),
        encoding: message.encoding.as_str(),
        parts: message.part_count(),
        price: admitted.charge.as_ref().map(PriceView::of),
        smart: smart.as_ref().map(SmartView::of),
    };
    let answer = serde_json::to_vec(&answer).expect("a struct of strings and numbers is valid JSON");
    let location = ["/v1/messages/", name].concat();
    if config.log.bodies {
        debug!(message_id = %id, %client, to = %message.to, from = message.from.as_ref().map(tracing::field::display),
            body = %String::from_utf8_lossy(&octets), "request");
    }
    let until = accept::remembered_until(&message, &config.limits);
    let step = accept::step(&shared, message, admitted.routed.as_ref(), &config.limits);
    let step = match &key {
        None => step,
        Some(key) => key.remember(step, &answer, &location, until),
    };
    // Behind the key: of two requests with one key, the second one is told so, and not that the first one used the quota up.
    let step = admitted.add_to(step);
    if let Err(refusal) = accept::commit(&shared, step, deadline).await {
        // A request with the same key was faster: its answer is ours.
        if let (Refusal::Taken, Some(answer)) = (refusal, replay(&shared, key.as_ref(), deadline).await?) {
            return Ok(answer);
        }
        // A key that was taken meanwhile was looked up above; what is left is the engine's refusal.
        return Err(Problem::not_stored(refusal));
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
pub(crate) async fn replay(
    shared: &Shared,
    key: Option<&Key>,
    deadline: Instant,
) -> Result<Option<Answer>, Problem> {
    let Some(key) = key else { return Ok(None) };
    let unreadable = || Problem::overloaded("the gateway could not look the idempotency key up");
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

pub(crate) fn too_many_requests() -> Problem {
    Problem::overloaded("too many requests wait for the gateway")
}

/// The turn of a message, then a place among all requests that wait for the engine: whoever has more under way than its
/// share waits in its own row and takes no place meanwhile.
async fn turn<'a>(
    shared: &'a Shared,
    tables: &Tables,
    caller: &Caller,
    class: Option<&str>,
) -> Result<(Turn, Place<'a>), Problem> {
    let config = &tables.snapshot.config;
    let most = config.http.max_in_flight;
    let account = config.client.get(&caller.client).ok_or_else(gone)?;
    // A word that is no class is refused when the message is built.
    let class = class.and_then(Class::from_word).unwrap_or(account.class);
    let turn = timeout_at(
        caller.deadline,
        shared.turns.take((class, &caller.client), 1, most),
    )
    .await
    .map_err(|_| Problem::overloaded("the account has too many requests under way"))?
    .ok_or_else(too_many_requests)?;
    let place = shared.place(most).ok_or_else(too_many_requests)?;
    Ok((turn, place))
}

/// For a request that stores no message: as many as an account may have at once, then a place.
pub(crate) async fn place<'a>(
    shared: &'a Shared,
    tables: &Tables,
    caller: &Caller,
) -> Result<(OwnedSemaphorePermit, Place<'a>), Problem> {
    let most = tables.snapshot.config.http.max_in_flight;
    let account = tables.account(&caller.client).ok_or_else(gone)?;
    let looks = Arc::clone(&account.looks).acquire_owned();
    let look = timeout_at(caller.deadline, looks)
        .await
        .map_err(|_| Problem::overloaded("the account has too many requests under way"))?
        .expect("the semaphore is never closed");
    let place = shared.place(most).ok_or_else(too_many_requests)?;
    Ok((look, place))
}

fn gone() -> Problem {
    Problem::new(ApiCode::Unauthorized, "the account no longer exists")
}

async fn show(call: Call) -> Result<Answer, Problem> {
    let not_found = || Problem::new(ApiCode::NotFound, "there is no such message");
    let id: MessageId = call.param().parse().map_err(|_| not_found())?;
    let _place = place(&call.shared, &call.tables, &call.caller).await?;
    let found = read_life(&call.shared, id, call.caller.deadline).await?;
    if let Some(Read { life, told, number }) = found {
        if life.message.client != call.caller.client {
            return Err(not_found());
        }
        return Ok(document(StatusCode::OK, &view::of(&life, told.as_ref(), number)));
    }
    let Some(history) = &call.shared.history else {
        return Err(not_found());
    };
    let found = timeout_at(call.caller.deadline, history.life(id)).await;
    let found = found
        .map_err(|_| search::unanswered())?
        .map_err(|error| search::failed(&error))?;
    let life = found
        .filter(|life| life.message.client.as_deref() == Some(call.caller.client.as_str()))
        .ok_or_else(not_found)?;
    Ok(document(StatusCode::OK, &view::of_history(&life)))
}

/// What is known of a message.
pub(crate) struct Read {
    pub(crate) life: MessageLife,
    /// When its client was told of its end.
    pub(crate) told: Option<Told>,
    /// Among the messages of its client or conversation.
    pub(crate) number: Option<i64>,
}

/// What is known of a message, whosever it is.
pub(crate) async fn read_life(
    shared: &Shared,
    id: MessageId,
    deadline: Instant,
) -> Result<Option<Read>, Problem> {
    let keys = vec![
        names::message(id).into(),
        names::told(id).into(),
        names::number_of(id).into(),
    ];
    let found = timeout_at(deadline, shared.engine.get(keys)).await.map_err(|_| {
        error!(message_id = %id, "the engine did not answer within http.request_timeout");
        Problem::overloaded("the gateway could not read the message in time")
    })?;
    let found = found.map_err(|error| {
        error!(message_id = %id, %error, "message could not be read");
        Problem::overloaded("the gateway could not read the message")
    })?;
    let broken = |error| {
        error!(message_id = %id, %error, "record of a message could not be decoded");
        Problem::overloaded("the message's record is damaged")
    };
    let mut found = found.into_iter();
    let Some(life) = found.next().flatten() else {
        return Ok(None);
    };
    let life = MessageLife::from_record(&life.value).map_err(broken)?;
    let told = found
        .next()
        .flatten()
        .map(|told| Told::from_record(&told.value))
        .transpose()
        .map_err(broken)?;
    let number = found.next().flatten().and_then(|there| there.as_counter());
    Ok(Some(Read { life, told, number }))
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Withdrawn)]
pub(crate) struct Withdrawn {
    id: String,
    state: &'static str,
    cancel_requested: bool,
}

/// Asks for what is not sent yet to be withdrawn.
async fn withdraw(call: Call) -> Result<Answer, Problem> {
    let not_found = || Problem::new(ApiCode::NotFound, "there is no such message");
    let id: MessageId = call.param().parse().map_err(|_| not_found())?;
    let _place = place(&call.shared, &call.tables, &call.caller).await?;
    let asked = cancel::request(&call.shared, &call.caller.client, id, call.caller.deadline).await;
    let state = asked.map_err(|denied| match denied {
        Denied::NotFound => not_found(),
        Denied::Final(state) => {
            let why = format!("the message has come to its end: {}", state.as_str());
            Problem::new(ApiCode::Conflict, why)
        }
        Denied::Sent => Problem::new(ApiCode::Conflict, "every part of the message was sent"),
        Denied::Unreadable => Problem::overloaded("the gateway could not read the message"),
        Denied::Refused(refusal) => Problem::overloaded(refusal.words()),
    })?;
    let withdrawn = Withdrawn {
        id: id.to_string(),
        state: state.as_str(),
        cancel_requested: true,
    };
    Ok(document(StatusCode::ACCEPTED, &withdrawn))
}
