//! `/operators` of the administrator's listener: how operators are ordered to be, and the orders.
//!
//! An order goes through the `instructions` queue like any other; this module gives it and waits for its result. Only for
//! this machine, and only with the header `x-smsgw-order`, which a web page of another site cannot send. Changes nothing
//! itself.

use crate::moves;
use crate::trace::serve::Caller;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use smsgw_config::ConfigHandle;
use smsgw_message::{InstructionResult, MessageId, OperatorId, Record, names};
use smsgw_node_config::{OperatorAct, instruct_operator};
use smsgw_node_operator::LinkTable;
use smsgw_queue::{CommitError, Engine, HoldScope, Place, QueueName, StateKey};
use smsgw_runtime::SystemClock;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The header that an order carries.
pub(crate) const ORDER_HEADER: &str = "x-smsgw-order";
/// How long a result is waited for; the order is done later all the same.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often the result is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// One operator, as ordered and as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OperatorRow {
    pub(crate) operator: String,
    /// Whether its links are to be open: by the file, or by order.
    pub(crate) enabled: bool,
    /// `stop` or `drain`: how its links were closed, or would be.
    #[serde(default)]
    pub(crate) closing: String,
    /// Links with an order or setting of their own, by number: `stopped`, `drained` or `held`.
    #[serde(default)]
    pub(crate) ordered: BTreeMap<u32, String>,
    /// Since when nothing is taken from its queue; null when it is not held.
    pub(crate) held_since: Option<String>,
    /// Its links by state; absent when this process runs no operator node.
    pub(crate) links: BTreeMap<String, u64>,
    /// Records of its queue by place.
    pub(crate) queue: BTreeMap<String, u64>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ordered {
    /// Under which the result is found.
    pub(crate) instruction: String,
    /// `applied`, `unchanged`, `refused`; `waiting` when it was not done yet.
    pub(crate) outcome: String,
    pub(crate) detail: String,
}

/// What the answers are made of.
pub(crate) struct Operators<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) config: &'a ConfigHandle,
    /// Absent when this process runs no operator node.
    pub(crate) links: Option<&'a LinkTable>,
    pub(crate) caller: &'a Caller,
}

impl Operators<'_> {
    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path().trim_start_matches("/operators");
        let mut words = path.trim_start_matches('/').split('/');
        match (
            words.next().unwrap_or_default(),
            words.next(),
            words.next(),
            request.method(),
        ) {
            ("", None, None, &Method::GET) => json(StatusCode::OK, &self.rows()),
            (from, Some("move"), None, &Method::POST) => {
                let marked = request.headers().contains_key(ORDER_HEADER);
                let query = request.uri().query().unwrap_or_default();
                moves::order(self, from, query, marked).await
            }
            (from, Some("move"), Some(given), &Method::GET) => moves::look(self, from, given).await,
            (operator, Some(act), None, &Method::POST) => {
                let marked = request.headers().contains_key(ORDER_HEADER);
                match link_of(request.uri().query()) {
                    Ok(link) => self.order(operator, act, link, marked).await,
                    Err(why) => said(StatusCode::UNPROCESSABLE_ENTITY, why),
                }
            }
            _ => said(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET /operators, POST /operators/<id>/<stop|drain|start|hold|release>, with ?link=<n> for one link, POST /operators/<id>/move?to=<id>",
            ),
        }
    }

    fn rows(&self) -> Vec<OperatorRow> {
        let links = self.links.map(LinkTable::snapshot).unwrap_or_default();
        let config = self.config.config();
        let row = |(id, operator): (&OperatorId, &smsgw_config::Operator)| {
            let queue = QueueName::from(names::mt_operator(id));
            let depth = self.engine.depth(&queue);
            let mut states = BTreeMap::new();
            for link in links.iter().filter(|link| link.operator == *id) {
                *states.entry(link.state.as_str().to_owned()).or_insert(0) += 1;
            }
            let holds = self.engine.holds(&queue);
            let held = holds.iter().find(|held| held.scope == HoldScope::Queue);
            OperatorRow {
                operator: id.as_str().to_owned(),
                enabled: operator.enabled,
                closing: operator.closing.as_str().to_owned(),
                ordered: ordered(operator),
                held_since: held.map(|held| held.since.to_string()),
                links: states,
                queue: Place::ALL
                    .into_iter()
                    .map(|place| (place.as_str().to_owned(), depth.at(place)))
                    .collect(),
            }
        };
        config.operator.iter().map(row).collect()
    }

    async fn order(
        &self,
        operator: &str,
        act: &str,
        link: Option<u32>,
        marked: bool,
    ) -> Response<Full<Bytes>> {
        let Some(act) = OperatorAct::from_word(act) else {
            return said(
                StatusCode::NOT_FOUND,
                "an operator can be told stop, drain, start, hold, release or move",
            );
        };
        let known = OperatorId::try_new(operator)
            .ok()
            .filter(|id| self.config.config().operator.contains_key(id));
        let Some(id) = known else {
            return said(StatusCode::NOT_FOUND, "there is no such operator");
        };
        let binds = self
            .config
            .config()
            .operator
            .get(&id)
            .map_or(0, |known| known.binds);
        if link.is_some_and(|link| !(1..=binds).contains(&link)) {
            return said(
                StatusCode::NOT_FOUND,
                &format!("there is no such link: operator {id} has links 1 to {binds}"),
            );
        }
        if !marked {
            return said(StatusCode::FORBIDDEN, "an order carries the header x-smsgw-order");
        }
        let by = self.caller.by();
        self.told(instruct_operator(self.engine, &SystemClock, act, &id, link, &by).await)
            .await
    }

    /// The answer to an order that was given: what became of it, as far as that is known in time.
    pub(crate) async fn told(&self, given: Result<MessageId, CommitError>) -> Response<Full<Bytes>> {
        let given = match given {
            Ok(given) => given,
            Err(error) => return not_stored(&error),
        };
        let (status, outcome, detail) = match self.result(given).await {
            Some(result) if result.outcome == "refused" => {
                (StatusCode::CONFLICT, result.outcome, result.detail)
            }
            Some(result) => (StatusCode::OK, result.outcome, result.detail),
            None => (
                StatusCode::ACCEPTED,
                "waiting".to_owned(),
                "the order is stored and will be done".to_owned(),
            ),
        };
        let instruction = given.to_string();
        json(
            status,
            &Ordered {
                instruction,
                outcome,
                detail,
            },
        )
    }

    /// What became of an order, once it is known.
    pub(crate) async fn result(&self, given: MessageId) -> Option<InstructionResult> {
        let key = StateKey::from(names::instruction(given));
        let until = Instant::now().checked_add(PATIENCE)?;
        while Instant::now() < until {
            // An engine that does not answer has its own alarm; the order is stored.
            let found = self.engine.get(vec![key.clone()]).await.ok()?;
            if let Some(found) = found.into_iter().flatten().next() {
                return InstructionResult::from_record(&found.value).ok();
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }
}

/// The answer to an order that the engine did not take.
pub(crate) fn not_stored(error: &CommitError) -> Response<Full<Bytes>> {
    let text = format!("the order could not be stored: {error}: {}", error.kind);
    said(StatusCode::SERVICE_UNAVAILABLE, &text)
}

/// The link that a query names.
fn link_of(query: Option<&str>) -> Result<Option<u32>, &'static str> {
    match query {
        None | Some("") => Ok(None),
        Some(query) => match query.strip_prefix("link=").map(str::parse) {
            Some(Ok(link)) => Ok(Some(link)),
            Some(Err(_)) | None => Err("the query of an order is link=<number>"),
        },
    }
}

/// What the file or an order says of single links.
fn ordered(operator: &smsgw_config::Operator) -> BTreeMap<u32, String> {
    let mut ordered = BTreeMap::new();
    // What closes a link comes last, and counts.
    for (links, word) in [
        (&operator.links_held, "held"),
        (&operator.links_drained, "drained"),
        (&operator.links_stopped, "stopped"),
    ] {
        ordered.extend(links.iter().map(|link| (*link, word.to_owned())));
    }
    ordered
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_string_pretty(value) {
        Ok(body) => with_type(status, format!("{body}\n"), "application/json"),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(crate) fn said(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    with_type(status, format!("{text}\n"), "text/plain; charset=utf-8")
}

fn with_type(status: StatusCode, body: String, kind: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
