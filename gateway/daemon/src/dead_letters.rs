//! `/dead-letters` of the administrator's listener: what was given up or cannot be read, in every queue, and replaying or dropping
//! it.
//!
//! ```text
//! GET  /dead-letters                                       queues with dead letters, by reason
//! GET  /dead-letters/<queue>?[filter][&after=][&max=][&reveal=1]     a page of them
//! GET  /dead-letters/<queue>/<number>[?reveal=1]           one
//! POST /dead-letters/<queue>/<replay|drop>?[filter][&after=]         as far as one order goes
//! filter: id, client, reason, target, older_than, newer_than (30s, 48h, 7d), corrupt=1
//! ```
//! An order goes through the `instructions` queue like any other. Only for this machine, and only with the header `x-smsgw-order`.
//! Numbers are cut and contents left out unless `reveal=1` asks for them. Changes nothing itself.

use crate::operators::{ORDER_HEADER, Operators, json, not_stored, said};
use crate::trace::query;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use smsgw_message::{ClientRequest, Clock, Dispatch, Down, DownKind, MtMessage, Record, Up, document};
use smsgw_node_config::{
    Acted, DeadLetterAct, DeadLetterFilter, Selection, Verb, Wanted, give, host_of, select_dead_letters,
};
use smsgw_queue::{Browsed, QueueName};
use smsgw_runtime::SystemClock;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Records of a page unless asked otherwise, and at most.
const PAGE: usize = 100;
const MOST: usize = 1_000;
/// Octets of a record that are shown.
const SHOWN: usize = 16 * 1024;

/// Dead letters and corrupt records of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueRow {
    pub(crate) queue: String,
    pub(crate) dead_letter: u64,
    pub(crate) corrupt: u64,
    /// Records by reason.
    pub(crate) reasons: BTreeMap<String, u64>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LetterRow {
    pub(crate) queue: String,
    /// Its number in the queue.
    pub(crate) id: u64,
    /// `dead_letter` or `corrupt`.
    pub(crate) place: String,
    pub(crate) reason: String,
    /// The flow: the client, where flows are clients.
    pub(crate) client: String,
    pub(crate) class: String,
    pub(crate) attempts: u32,
    pub(crate) published_at: String,
    pub(crate) since: Option<String>,
    pub(crate) size: u64,
    /// `report`, `mo`, `message`, `part`, `up`, `reply` or `unknown`.
    pub(crate) kind: String,
    pub(crate) message_id: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    /// Scheme-less host of a callback.
    pub(crate) target: Option<String>,
    /// What a person should know: the state of a report, why a reply was refused.
    pub(crate) detail: Option<String>,
    /// The whole of it, when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) content: Option<String>,
}

/// Some records of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LetterPage {
    pub(crate) letters: Vec<LetterRow>,
    /// Where the next page begins.
    pub(crate) next: Option<u64>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LettersOrdered {
    pub(crate) instruction: String,
    pub(crate) outcome: String,
    /// In words, where the numbers are not known.
    pub(crate) detail: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) acted: Option<Acted>,
}

/// Answers a request below `/dead-letters`.
pub(crate) async fn answer<B>(desk: &Operators<'_>, request: &Request<B>) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_start_matches("/dead-letters");
    let asked = request.uri().query().unwrap_or_default();
    let mut words = path.trim_start_matches('/').splitn(3, '/');
    let queue = words.next().filter(|queue| !queue.is_empty());
    let word = words.next();
    if words.next().is_some() {
        return said(
            StatusCode::NOT_FOUND,
            "try /dead-letters, /dead-letters/<queue>/<number>",
        );
    }
    let selection = match selection(asked, &SystemClock) {
        Ok(selection) => selection,
        Err(why) => return said(StatusCode::UNPROCESSABLE_ENTITY, why),
    };
    let reveal = query::value(asked, "reveal").as_deref() == Some("1");
    match (queue, word, request.method()) {
        (None, None, &Method::GET) => json(StatusCode::OK, &queues(desk)),
        (Some(queue), None, &Method::GET) => {
            let most = query::value(asked, "max").map_or(Some(PAGE), |text| text.parse().ok());
            let Some(most) = most.filter(|most| (1..=MOST).contains(most)) else {
                return said(StatusCode::UNPROCESSABLE_ENTITY, "max lies between 1 and 1000");
            };
            page(desk, queue, &selection, most, reveal).await
        }
        (Some(queue), Some(word), &Method::POST) => {
            let act = match word {
                "replay" => DeadLetterAct::Replay,
                "drop" => DeadLetterAct::Drop,
                _ => return said(StatusCode::NOT_FOUND, "dead letters can be told replay or drop"),
            };
            if !request.headers().contains_key(ORDER_HEADER) {
                return said(StatusCode::FORBIDDEN, "an order carries the header x-smsgw-order");
            }
            order(desk, queue, act, &selection).await
        }
        (Some(queue), Some(number), &Method::GET) => match number.parse() {
            Ok(id) => one(desk, queue, id, reveal).await,
            Err(_) => said(StatusCode::NOT_FOUND, "a dead letter has a number"),
        },
        _ => said(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /dead-letters[/<queue>[/<number>]], POST /dead-letters/<queue>/<replay|drop>",
        ),
    }
}

fn selection(asked: &str, clock: &dyn Clock) -> Result<Selection, &'static str> {
    const KEYS: [&str; 11] = [
        "id",
        "client",
        "reason",
        "target",
        "older_than",
        "newer_than",
        "corrupt",
        "after",
        "max",
        "reveal",
        "",
    ];
    let strange = |pair: &str| !KEYS.contains(&pair.split('=').next().unwrap_or_default());
    if asked.split('&').any(strange) {
        // An unknown filter must not mean everything.
        return Err(
            "the query has a key that is none of id, client, reason, target, older_than, newer_than, corrupt, after, max, reveal",
        );
    }
    let text = |key: &str| query::value(asked, key).filter(|text| !text.is_empty());
    let number = |key: &str| text(key).map(|text| text.parse::<u64>()).transpose();
    let ago = |key: &str| {
        let span = text(key).map(|text| smsgw_config::duration_from_text(&text).ok_or(()));
        let at = span.transpose()?.map(|span| clock.now().before(span).as_millis());
        Ok::<_, ()>(at)
    };
    let filter = DeadLetterFilter {
        id: number("id").map_err(|_| "id is a number")?,
        client: text("client"),
        reason: text("reason"),
        target: text("target"),
        before: ago("older_than").map_err(|()| "older_than is a time such as 30s, 48h or 7d")?,
        from: ago("newer_than").map_err(|()| "newer_than is a time such as 30s, 48h or 7d")?,
    };
    if !filter.knows_reason() {
        return Err("there is no such reason: see /dead-letters for those that are there");
    }
    Ok(Selection {
        filter,
        corrupt: text("corrupt").as_deref() == Some("1"),
        after: number("after").map_err(|_| "after is a number")?,
    })
}

fn queues(desk: &Operators<'_>) -> Vec<QueueRow> {
    let row = |(queue, depth): (QueueName, smsgw_queue::Depth)| QueueRow {
        dead_letter: depth.dead_letter,
        corrupt: depth.corrupt,
        reasons: desk
            .engine
            .dead_letters(&queue)
            .into_iter()
            .map(|letters| (letters.reason.as_str().to_owned(), letters.amount.records))
            .collect(),
        queue: queue.as_str().to_owned(),
    };
    let all = desk.engine.queues().into_iter();
    all.filter(|(_, depth)| depth.dead_letter > 0 || depth.corrupt > 0)
        .map(row)
        .collect()
}

async fn page(
    desk: &Operators<'_>,
    queue: &str,
    selection: &Selection,
    most: usize,
    reveal: bool,
) -> Response<Full<Bytes>> {
    match select_dead_letters(desk.engine, &QueueName::from(queue), selection, most).await {
        Ok((found, next)) => {
            let page = LetterPage {
                letters: found.iter().map(|seen| row(queue, seen, reveal)).collect(),
                next: next.map(|next| next.as_u64()),
            };
            json(StatusCode::OK, &page)
        }
        Err(error) => said(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("the queue cannot be read: {error}"),
        ),
    }
}

async fn one(desk: &Operators<'_>, queue: &str, id: u64, reveal: bool) -> Response<Full<Bytes>> {
    for corrupt in [false, true] {
        let selection = Selection {
            filter: DeadLetterFilter {
                id: Some(id),
                ..DeadLetterFilter::default()
            },
            corrupt,
            after: None,
        };
        match select_dead_letters(desk.engine, &QueueName::from(queue), &selection, 1).await {
            Ok((found, _)) => {
                if let Some(seen) = found.first() {
                    return json(StatusCode::OK, &row(queue, seen, reveal));
                }
            }
            Err(error) => {
                return said(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &format!("the queue cannot be read: {error}"),
                );
            }
        }
    }
    said(StatusCode::NOT_FOUND, "there is no such dead letter")
}

async fn order(
    desk: &Operators<'_>,
    queue: &str,
    act: DeadLetterAct,
    selection: &Selection,
) -> Response<Full<Bytes>> {
    let argument = match serde_json::to_string(selection) {
        Ok(argument) => argument,
        Err(error) => return said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let wanted = Wanted {
        target: Some(queue.to_owned()),
        argument: Some(argument),
        ..Wanted::default()
    };
    let given = match give(
        desk.engine,
        &SystemClock,
        Verb::DeadLetters(act),
        wanted,
        &desk.caller.by(),
    )
    .await
    {
        Ok(given) => given,
        Err(error) => return not_stored(&error),
    };
    let instruction = given.to_string();
    let Some(result) = desk.result(given).await else {
        let waiting = LettersOrdered {
            instruction,
            outcome: "waiting".to_owned(),
            detail: "the order is stored and will be done".to_owned(),
            acted: None,
        };
        return json(StatusCode::ACCEPTED, &waiting);
    };
    let acted = serde_json::from_str(&result.detail).ok();
    let status = if result.outcome == "refused" {
        StatusCode::CONFLICT
    } else {
        StatusCode::OK
    };
    let ordered = LettersOrdered {
        instruction,
        outcome: result.outcome,
        detail: if acted.is_some() {
            String::new()
        } else {
            result.detail
        },
        acted,
    };
    json(status, &ordered)
}

/// What a record says of itself.
#[derive(Debug, Default)]
struct Told {
    kind: &'static str,
    message_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    target: Option<String>,
    detail: Option<String>,
    content: Option<String>,
}

fn row(queue: &str, seen: &Browsed, reveal: bool) -> LetterRow {
    let told = told(&seen.record);
    let masked = |number: Option<String>| match reveal {
        true => number,
        false => number.map(|number| mask(&number)),
    };
    let raw = || {
        let shown = seen.record.get(..SHOWN).unwrap_or(&seen.record);
        shown.iter().fold("octets ".to_owned(), |mut text, octet| {
            write!(text, "{octet:02x}").expect("writing to a String cannot fail");
            text
        })
    };
    LetterRow {
        queue: queue.to_owned(),
        id: seen.id.as_u64(),
        place: seen.place.as_str().to_owned(),
        reason: seen.reason.to_owned(),
        client: seen.lane.flow.as_str().to_owned(),
        class: seen.lane.class.as_str().to_owned(),
        attempts: seen.attempt,
        published_at: seen.published_at.to_string(),
        since: seen.since.map(|since| since.to_string()),
        size: seen.size,
        kind: told.kind.to_owned(),
        message_id: told.message_id,
        from: masked(told.from),
        to: masked(told.to),
        target: told.target,
        detail: told.detail,
        content: reveal.then(|| told.content.unwrap_or_else(raw)),
    }
}

/// The country and a little more; the rest is nobody's business who only looks after queues.
fn mask(number: &str) -> String {
    let shown: String = number.chars().take(4).collect();
    let left = number.chars().count().saturating_sub(4);
    format!("{shown}{}", "*".repeat(left))
}

fn told(record: &[u8]) -> Told {
    if let Ok(down) = Down::from_record(record) {
        let content = String::from_utf8_lossy(&document::render(&down)).into_owned();
        let target = down.url.as_deref().and_then(host_of).map(str::to_owned);
        let told = Told {
            target,
            content: Some(content),
            ..Told::default()
        };
        return match &down.what {
            DownKind::Report(report) => Told {
                kind: "report",
                message_id: Some(report.message.to_string()),
                from: report.from.as_ref().map(ToString::to_string),
                to: Some(report.to.to_string()),
                detail: Some(report.state.as_str().to_owned()),
                ..told
            },
            DownKind::Mo(mo) => Told {
                kind: "mo",
                message_id: Some(mo.message.to_string()),
                from: Some(mo.from.to_string()),
                to: Some(mo.to.to_string()),
                ..told
            },
        };
    }
    if let Ok(request) = ClientRequest::from_record(record) {
        return Told {
            kind: "reply",
            to: Some(request.phone.to_string()),
            from: Some(request.number.to_string()),
            detail: request.refused,
            content: Some(request.body),
            ..Told::default()
        };
    }
    if let Ok(message) = MtMessage::from_record(record) {
        return Told {
            kind: "message",
            message_id: Some(message.id.to_string()),
            from: message.from.as_ref().map(ToString::to_string),
            to: Some(message.to.to_string()),
            content: Some(format!("{message:?}")),
            ..Told::default()
        };
    }
    if let Ok(part) = Dispatch::from_record(record) {
        return Told {
            kind: "part",
            message_id: Some(part.message.to_string()),
            to: Some(part.to.to_string()),
            content: Some(format!("{part:?}")),
            ..Told::default()
        };
    }
    match Up::from_record(record) {
        Ok(up) => {
            let (message_id, from, to, detail) = match &up {
                Up::SubmitResult(result) => (Some(result.message.to_string()), None, None, "submit result"),
                Up::Receipt(receipt) => (
                    None,
                    receipt.from.as_ref().map(ToString::to_string),
                    None,
                    "receipt",
                ),
                Up::Mo(mo) => (
                    Some(mo.id.to_string()),
                    Some(mo.from.to_string()),
                    Some(mo.to.to_string()),
                    "mo",
                ),
                Up::InDoubt(doubt) => (Some(doubt.message.to_string()), None, None, "in doubt"),
            };
            Told {
                kind: "up",
                message_id,
                from,
                to,
                detail: Some(detail.to_owned()),
                content: Some(format!("{up:?}")),
                ..Told::default()
            }
        }
        Err(_) => Told {
            kind: "unknown",
            ..Told::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_no_filter() {
        let read = |asked: &str| selection(asked, &SystemClock);
        assert_eq!(read(""), Ok(Selection::default()));
        let some = read("client=acme&reason=refused&corrupt=1&after=7&max=3").unwrap();
        assert_eq!(
            (some.filter.client.as_deref(), some.corrupt, some.after),
            (Some("acme"), true, Some(7))
        );
        for wrong in [
            "cleint=acme",
            "reason=tired",
            "id=x",
            "older_than=soon",
            "after=-1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_cut_and_octets_only_shown_when_asked_for() {
        assert_eq!(mask("491700000001"), "4917********");
        assert_eq!(mask("123"), "123");
        assert_eq!(told(&[9, 9, 9]).kind, "unknown");
    }
}
