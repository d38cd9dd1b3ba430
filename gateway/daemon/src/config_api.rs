//! `/config` of the administrator's listener: what a change would do, changes, versions, the audit.
//!
//! ```text
//! GET  /config/versions[?limit=n]   heads of versions, newest first
//! GET  /config/versions/<n>         one
//! GET  /config/audit[?limit=n]      instructions and their results, newest first
//! GET  /config/results/<id>         what became of an instruction; 404 while it is not done
//! POST /config/plan                 {"proposal": …} -> what it would do
//! POST /config/apply                {"proposal": …, "reason": …, "by": …} -> an order
//! POST /config/restore/<n>          {"reason": …, "by": …} -> an order
//! POST /config/reload               the same
//! ```
//! An order goes through the `instructions` queue like any other; this module gives it and waits for its result. Only for this
//! machine, and only with the header `x-smsgw-order`: a plan tells of the configuration. Changes nothing itself. No answer
//! holds a secret.

use crate::operators::{ORDER_HEADER, Operators, json, said};
use crate::trace::serve::BY_CERTIFICATE;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use smsgw_message::{InstructionResult, Record, names};
use smsgw_node_config::{ConfigNode, Instruction, Proposal, Verb, Wanted, audit, give};
use smsgw_queue::StateKey;
use smsgw_runtime::SystemClock;
use std::io;
use std::sync::Arc;

/// Largest body: a file of 16 MiB as JSON text.
const LARGEST: usize = 40 << 20;
/// How many versions or entries are told unless asked otherwise.
const USUAL: usize = 50;
/// How many at most.
const MOST: usize = 10_000;
/// Most characters of a name.
const NAME: usize = 64;
/// Most characters of a reason.
const REASON: usize = 1000;

/// What a request asks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Asked {
    /// The change, of `plan` and `apply`.
    pub(crate) proposal: Proposal,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Who, as the audit shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
}

/// What an instruction came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) outcome: String,
    pub(crate) detail: String,
}

/// Answers a request below `/config`.
pub(crate) async fn answer(
    desk: &Operators<'_>,
    node: Option<&Arc<ConfigNode>>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let Some(node) = node else {
        return said(StatusCode::NOT_FOUND, "this process runs no config node");
    };
    if !request.headers().contains_key(ORDER_HEADER) {
        return said(
            StatusCode::FORBIDDEN,
            "a request for the configuration carries the header x-smsgw-order",
        );
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_start_matches("/config").to_owned();
    let mut words = path.trim_start_matches('/').split('/');
    let (verb, target, more) = (words.next().unwrap_or_default(), words.next(), words.next());
    if more.is_some() {
        return unknown();
    }
    if parts.method == Method::GET {
        let limit = match limit(parts.uri.query()) {
            Ok(limit) => limit,
            Err(why) => return said(StatusCode::UNPROCESSABLE_ENTITY, why),
        };
        return match (verb, target) {
            ("versions", None) => versions(node, limit).await,
            ("versions", Some(number)) => version(node, number).await,
            ("audit", None) => match audit(desk.engine, limit).await {
                Ok(rows) => json(StatusCode::OK, &rows),
                Err(error) => said(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
            },
            ("results", Some(id)) => result(desk, id).await,
            (_, _) => unknown(),
        };
    }
    if parts.method != Method::POST {
        return unknown();
    }
    let asked = match asked(body).await {
        Ok(asked) => asked,
        Err((status, why)) => return said(status, &why),
    };
    match (verb, target) {
        ("plan", None) => json(StatusCode::OK, &node.plan(asked.proposal).await),
        ("apply", None) => match staged(node, asked.proposal.clone()).await {
            Ok(id) => order(desk, Verb::Apply, Some(id), asked).await,
            Err(error) => {
                let text = format!("the change could not be kept: {error}");
                said(StatusCode::SERVICE_UNAVAILABLE, &text)
            }
        },
        ("restore", Some(number)) => order(desk, Verb::Restore, Some(number.to_owned()), asked).await,
        ("reload", None) => order(desk, Verb::Config(Instruction::Reload), None, asked).await,
        (_, _) => unknown(),
    }
}

fn unknown() -> Response<Full<Bytes>> {
    said(
        StatusCode::NOT_FOUND,
        "GET /config/versions, versions/<n>, audit, results/<id>; POST /config/plan, apply, restore/<n>, reload",
    )
}

fn limit(query: Option<&str>) -> Result<usize, &'static str> {
    match query {
        None | Some("") => Ok(USUAL),
        Some(query) => match query.strip_prefix("limit=").map(str::parse::<usize>) {
            Some(Ok(limit)) => Ok(limit.min(MOST)),
            Some(Err(_)) | None => Err("the query is limit=<number>"),
        },
    }
}

async fn asked(body: Incoming) -> Result<Asked, (StatusCode, String)> {
    let octets = match Limited::new(body, LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            let why = format!("the body is larger than {LARGEST} bytes, or was cut off");
            return Err((StatusCode::PAYLOAD_TOO_LARGE, why));
        }
    };
    if octets.is_empty() {
        return Ok(Asked::default());
    }
    let wrong = |why: String| (StatusCode::UNPROCESSABLE_ENTITY, why);
    // The error's own text may repeat a value, which may be a secret.
    let asked: Asked = serde_json::from_slice(&octets).map_err(|error| {
        wrong(format!(
            "the body is not understood at line {} column {}",
            error.line(),
            error.column()
        ))
    })?;
    let long = |text: &Option<String>, most| text.as_ref().is_some_and(|text| text.chars().count() > most);
    let odd = |text: &Option<String>| {
        text.as_ref()
            .is_some_and(|text| text.chars().any(char::is_control))
    };
    if long(&asked.by, NAME) || long(&asked.reason, REASON) || odd(&asked.by) || odd(&asked.reason) {
        return Err(wrong(format!(
            "by has at most {NAME} characters and reason {REASON}, on one line"
        )));
    }
    if asked.by.as_ref().is_some_and(|by| by.starts_with(BY_CERTIFICATE)) {
        return Err(wrong(format!(
            "by does not begin with {BY_CERTIFICATE:?}: that is for who shows one"
        )));
    }
    Ok(asked)
}

async fn versions(node: &Arc<ConfigNode>, limit: usize) -> Response<Full<Bytes>> {
    match of_files(node, move |node| node.history(limit)).await {
        Ok(heads) => json(StatusCode::OK, &heads),
        Err(error) => said(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

async fn version(node: &Arc<ConfigNode>, number: &str) -> Response<Full<Bytes>> {
    let Ok(number) = number.parse::<u64>() else {
        return unknown();
    };
    let heads = of_files(node, |node| node.history(MOST)).await;
    match heads.map(|heads| heads.into_iter().find(|head| head.version == number)) {
        Ok(Some(head)) => json(StatusCode::OK, &head),
        Ok(None) => said(StatusCode::NOT_FOUND, "there is no such version, or not any more"),
        Err(error) => said(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

async fn staged(node: &Arc<ConfigNode>, proposal: Proposal) -> io::Result<String> {
    of_files(node, move |node| node.stage(&proposal)).await
}

/// Work on the files of versions, which blocks.
async fn of_files<T: Send + 'static>(
    node: &Arc<ConfigNode>,
    work: impl FnOnce(&ConfigNode) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let node = Arc::clone(node);
    tokio::task::spawn_blocking(move || work(&node))
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

async fn result(desk: &Operators<'_>, id: &str) -> Response<Full<Bytes>> {
    let Ok(id) = id.parse() else {
        return unknown();
    };
    let key = StateKey::from(names::instruction(id));
    let found = match desk.engine.get(vec![key]).await {
        Ok(found) => found.into_iter().flatten().next(),
        Err(error) => return said(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    };
    let Some(found) = found else {
        return said(
            StatusCode::NOT_FOUND,
            "it is not done yet, or was done more than a day ago",
        );
    };
    match InstructionResult::from_record(&found.value) {
        Ok(result) => {
            let told = Told {
                outcome: result.outcome,
                detail: result.detail,
            };
            json(StatusCode::OK, &told)
        }
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn order(
    desk: &Operators<'_>,
    verb: Verb,
    target: Option<String>,
    asked: Asked,
) -> Response<Full<Bytes>> {
    let by = match asked.by.filter(|by| !by.is_empty()) {
        None => desk.caller.by(),
        // Who shows a certificate is who it says; what they call themselves stands behind it.
        Some(by) if desk.caller.certificate.is_some() => format!("{} ({by})", desk.caller.by()),
        Some(by) => by,
    };
    let wanted = Wanted {
        target,
        reason: asked.reason,
        // Of a restore: the version that it was planned for. A change that is staged has it with it.
        argument: asked.proposal.base.map(|base| base.to_string()),
        ..Wanted::default()
    };
    let given = give(desk.engine, &SystemClock, verb, wanted, &by).await;
    desk.told(given).await
}
