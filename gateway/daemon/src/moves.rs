//! `/operators/<id>/move` of the administrator's listener: gives what waits for an operator to another one.
//!
//! ```text
//! POST /operators/<from>/move?to=<operator>[&class=…][&client=…][&reason=…]     or routes=1 instead of to
//! GET  /operators/<from>/move/<instruction>                                     how far it is, or what came of it
//! ```
//! The order goes through the `instructions` queue and is done by the router node. `<from>` need not be configured any more. Changes
//! nothing itself.

use crate::operators::{Operators, json, not_stored, said};
use crate::trace::query::value;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use smsgw_message::{Class, ClientId, InstructionResult, MessageId, OperatorId, Record, names};
use smsgw_node_config::{MOVE, Verb, Wanted, give};
use smsgw_node_router::{COUNTED, MoveOrder, Moved};
use smsgw_queue::{EngineError, QueueName, StateKey};
use smsgw_runtime::SystemClock;

/// Longest reason, in characters.
const MAX_REASON: usize = 200;

/// What is said of a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MoveRow {
    /// Under which the result is found.
    pub(crate) instruction: String,
    /// `applied`, `unchanged`, `refused`; `waiting` while it is not at its end.
    pub(crate) outcome: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// What was moved, so far or in all.
    pub(crate) moved: Moved,
    /// Parts that wait in the queue now.
    pub(crate) waiting: u64,
}

fn queue(from: &OperatorId) -> QueueName {
    QueueName::from(names::mt_operator(from))
}

fn waiting(desk: &Operators<'_>, from: &OperatorId) -> u64 {
    let depth = desk.engine.depth(&queue(from));
    depth.ready.saturating_add(depth.deferred)
}

/// Gives the order, and waits some seconds for its end.
pub(crate) async fn order(
    desk: &Operators<'_>,
    from: &str,
    query: &str,
    marked: bool,
) -> Response<Full<Bytes>> {
    let known = OperatorId::try_new(from).ok().filter(|from| {
        let is_configured = desk.config.config().operator.contains_key(from);
        // Nobody need know an operator any more whose parts are moved.
        is_configured
            || desk
                .engine
                .queues()
                .iter()
                .any(|(there, _)| *there == queue(from))
    });
    let Some(from) = known else {
        return said(
            StatusCode::NOT_FOUND,
            "there is no such operator, and nothing waits for one of that name",
        );
    };
    let (order, reason) = match asked(desk, &from, query) {
        Ok(asked) => asked,
        Err(why) => return said(StatusCode::UNPROCESSABLE_ENTITY, &why),
    };
    if !marked {
        return said(StatusCode::FORBIDDEN, "an order carries the header x-smsgw-order");
    }
    let wanted = Wanted {
        target: Some(from.to_string()),
        reason,
        argument: Some(serde_json::to_string(&order).expect("texts are valid JSON")),
        ..Wanted::default()
    };
    let given = match give(
        desk.engine,
        &SystemClock,
        Verb::Forwarded(MOVE),
        wanted,
        &desk.caller.by(),
    )
    .await
    {
        Ok(given) => given,
        Err(error) => return not_stored(&error),
    };
    match desk.result(given).await {
        Some(result) => ended(desk, &from, given, result),
        None => under_way(desk, &from, given).await,
    }
}

/// The order that a query means, and why it is given.
fn asked(
    desk: &Operators<'_>,
    from: &OperatorId,
    query: &str,
) -> Result<(MoveOrder, Option<String>), String> {
    let to = match (value(query, "to"), value(query, "routes").as_deref()) {
        (Some(to), None) => {
            let known = OperatorId::try_new(&to).ok();
            let config = desk.config.config();
            match known.filter(|to| config.operator.contains_key(to)) {
                None => return Err("to is no operator of the configuration".to_owned()),
                Some(to) if to == *from => return Err("to is the operator that they wait for".to_owned()),
                Some(_) => Some(to),
            }
        }
        (None, Some("1")) => None,
        (_, _) => return Err("to=<operator>, or routes=1".to_owned()),
    };
    let class = value(query, "class");
    if class
        .as_deref()
        .is_some_and(|word| Class::from_word(word).is_none())
    {
        return Err("class is otp, transactional or bulk".to_owned());
    }
    let client = value(query, "client");
    if client
        .as_deref()
        .is_some_and(|name| ClientId::try_new(name).is_err())
    {
        return Err("client is no name of a client".to_owned());
    }
    let reason = value(query, "reason").filter(|reason| !reason.is_empty());
    let fits = |text: &str| text.chars().count() <= MAX_REASON && !text.chars().any(char::is_control);
    if !reason.as_deref().is_none_or(fits) {
        return Err(format!("reason has at most {MAX_REASON} characters, on one line"));
    }
    Ok((MoveOrder { to, class, client }, reason))
}

/// How far an order is.
pub(crate) async fn look(desk: &Operators<'_>, from: &str, given: &str) -> Response<Full<Bytes>> {
    let (Ok(from), Ok(given)) = (OperatorId::try_new(from), given.parse()) else {
        return said(StatusCode::NOT_FOUND, "there is no such order");
    };
    let found = desk
        .engine
        .get(vec![StateKey::from(names::instruction(given))])
        .await;
    let found = found.map(|found| found.into_iter().flatten().next());
    match found.map(|there| there.map(|there| InstructionResult::from_record(&there.value))) {
        Ok(None) => under_way(desk, &from, given).await,
        Ok(Some(Ok(result))) => ended(desk, &from, given, result),
        Ok(Some(Err(error))) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => said(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

fn ended(
    desk: &Operators<'_>,
    from: &OperatorId,
    given: MessageId,
    result: InstructionResult,
) -> Response<Full<Bytes>> {
    let moved = serde_json::from_str(&result.detail);
    let row = MoveRow {
        instruction: given.to_string(),
        outcome: result.outcome,
        detail: moved.is_err().then_some(result.detail),
        moved: moved.unwrap_or_default(),
        waiting: waiting(desk, from),
    };
    let status = match row.outcome.as_str() {
        "refused" => StatusCode::CONFLICT,
        _ => StatusCode::OK,
    };
    json(status, &row)
}

async fn under_way(desk: &Operators<'_>, from: &OperatorId, given: MessageId) -> Response<Full<Bytes>> {
    let moved = match so_far(desk, given).await {
        Ok(moved) => moved,
        Err(error) => return said(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    };
    let row = MoveRow {
        instruction: given.to_string(),
        outcome: "waiting".to_owned(),
        detail: None,
        moved,
        waiting: waiting(desk, from),
    };
    json(StatusCode::ACCEPTED, &row)
}

async fn so_far(desk: &Operators<'_>, given: MessageId) -> Result<Moved, EngineError> {
    let keys = COUNTED.map(|what| StateKey::from(names::moved(given, what)));
    let found = desk.engine.get(keys.into()).await?;
    let mut numbers = found.into_iter().map(|there| {
        let number = there.and_then(|there| there.as_counter()).unwrap_or(0);
        u64::try_from(number).unwrap_or(0)
    });
    let [messages, parts, ended] = COUNTED.map(|_| numbers.next().unwrap_or(0));
    Ok(Moved {
        messages,
        parts,
        ended,
        ..Moved::default()
    })
}
