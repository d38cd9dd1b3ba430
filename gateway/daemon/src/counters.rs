//! `/counters` and `/balance` of the administrator's listener: totals, and whether the ledger balances.
//!
//! Reads only. Carries no content and no phone number but the senders that clients write themselves.
//! Invariant: what is asked for is bounded: so many periods, so many records of messages.

use crate::trace::query;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use smsgw_message::{Clock, Timestamp};
use smsgw_node_counter::ledger::{Balance, Scope, balance};
use smsgw_node_counter::{Count, Dimension, ReadError, Row, Spread, between};
use smsgw_queue::Engine;
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::error;

/// Open messages whose records are looked at, unless it is said otherwise.
pub(crate) const AT_MOST: u64 = 1_000_000;
/// Longest time that a question about the balance may wait for a quiet moment.
pub(crate) const MOST_PATIENCE: Duration = Duration::from_secs(120);
/// Usual one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Totals of one value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The client, operator … it is.
    pub(crate) value: String,
    /// What was counted, by its word; what is zero is left out.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Why, by what was counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) causes: BTreeMap<String, BTreeMap<String, u64>>,
    /// From the accept until a carrier took a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accept_to_sent: Option<Times>,
    /// From when a carrier took the last part until the message was on the phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent_to_delivered: Option<Times>,
}

/// How long things took, in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) count: u64,
    /// Half of them took no longer; absent: more than 49 days.
    pub(crate) p50: Option<u64>,
    pub(crate) p90: Option<u64>,
    pub(crate) p99: Option<u64>,
    /// Counts by the longest time of their bucket, `null` for the last one.
    pub(crate) buckets: Vec<(Option<u64>, u64)>,
}

/// The answer of `/counters`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// The periods that were added up: `yyyymmdd` days and `yyyymmddhh` hours of UTC.
    pub(crate) periods: Vec<String>,
    pub(crate) by: String,
    pub(crate) lines: Vec<Line>,
}

/// The answer of `/balance`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// Nothing is broken.
    pub(crate) holds: bool,
    /// Everything could be compared.
    pub(crate) settled: bool,
    /// Up to which event of the log it is, and how many were not counted yet.
    pub(crate) position: u64,
    pub(crate) lag: u64,
    /// Messages that are open, and how many of their records were looked at.
    pub(crate) open: u64,
    pub(crate) checked: u64,
    /// By how much totals and ledger disagree.
    pub(crate) totals_differ: i64,
    pub(crate) clients: Vec<Account>,
    pub(crate) operators: Vec<Account>,
    pub(crate) broken: Vec<BrokenMessage>,
    pub(crate) more_broken: bool,
}

/// The ledger of a client, in messages, or of an operator, in parts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) name: String,
    /// What came in, and what became of it, by word.
    pub(crate) counts: BTreeMap<String, u64>,
    /// What is open by the totals.
    pub(crate) open: i64,
    /// What is open by records or queue; absent: not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<u64>,
    /// By how much they disagree.
    pub(crate) difference: i64,
}

/// A message that breaks the balance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BrokenMessage {
    pub(crate) id: String,
    pub(crate) fault: String,
}

fn times(spread: &Spread) -> Times {
    let buckets = spread.filled();
    Times {
        count: spread.count(),
        p50: spread.quantile(50),
        p90: spread.quantile(90),
        p99: spread.quantile(99),
        buckets: buckets
            .map(|(bucket, count)| (smsgw_node_counter::end_of(bucket).map(|end| end - 1), count))
            .collect(),
    }
}

fn counts(row: &Row, wanted: &[Count]) -> BTreeMap<String, u64> {
    let counted = wanted
        .iter()
        .map(|count| (count.as_str().to_owned(), row.get(*count)));
    counted.filter(|(_, times)| *times > 0).collect()
}

fn line(value: String, row: &Row) -> Line {
    let mut causes: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (count, cause, times) in row.causes() {
        let of_count = causes.entry(count.as_str().to_owned()).or_default();
        of_count.insert(cause.to_owned(), times);
    }
    Line {
        value,
        counts: counts(row, &Count::ALL),
        causes,
        accept_to_sent: row.accept_to_sent().map(times),
        sent_to_delivered: row.sent_to_delivered().map(times),
    }
}

/// Answers `/counters` and `/balance`.
pub(crate) async fn answer<B>(
    engine: &dyn Engine,
    clock: &dyn Clock,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    if *request.method() != Method::GET {
        return said(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    let asked = request.uri().query().unwrap_or_default();
    match request.uri().path() {
        "/counters" => counters(engine, clock, asked).await,
        "/balance" => judged(engine, asked).await,
        _ => said(StatusCode::NOT_FOUND, "try /counters or /balance"),
    }
}

/// A time as people write it: `2026-11-21`, or RFC 3339.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let whole = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    Timestamp::from_rfc3339(&whole)
}

async fn counters(engine: &dyn Engine, clock: &dyn Clock, asked: &str) -> Response<Full<Bytes>> {
    let word = query::value(asked, "by").unwrap_or_else(|| "client".to_owned());
    let Some(by) = Dimension::from_word(&word) else {
        return said(
            StatusCode::UNPROCESSABLE_ENTITY,
            "by is client, operator, route, country, class or sender",
        );
    };
    let now = clock.now();
    // Up to the end of this hour; from the beginning of the day.
    let usual = (
        smsgw_node_counter::Day::of(now).begin(),
        smsgw_node_counter::Hour::of(now).next().begin(),
    );
    let read = |key, usual| match query::value(asked, key) {
        None => Some(usual),
        Some(text) => time(&text),
    };
    let (Some(from), Some(to)) = (read("from", usual.0), read("to", usual.1)) else {
        return said(
            StatusCode::UNPROCESSABLE_ENTITY,
            "from and to are days (2026-11-21) or times (2026-11-21T17:00:00Z)",
        );
    };
    let Some(span) = between(from, to) else {
        return said(
            StatusCode::UNPROCESSABLE_ENTITY,
            "to must be later than from, at most 400 days",
        );
    };
    match span.totals(engine, by).await {
        Ok(totals) => json(&Counters {
            periods: span.periods().iter().map(ToString::to_string).collect(),
            by: by.as_str().to_owned(),
            lines: totals.into_iter().map(|(value, row)| line(value, &row)).collect(),
        }),
        Err(error) => failed(error),
    }
}

async fn judged(engine: &dyn Engine, asked: &str) -> Response<Full<Bytes>> {
    let number = |key, usual: u64| match query::value(asked, key) {
        None => Some(usual),
        Some(text) => text.parse().ok(),
    };
    let patience = number("seconds", PATIENCE.as_secs())
        .map(Duration::from_secs)
        .filter(|patience| *patience <= MOST_PATIENCE);
    let (Some(at_most), Some(patience)) = (number("at_most", AT_MOST), patience) else {
        return said(
            StatusCode::UNPROCESSABLE_ENTITY,
            "at_most is a number, seconds one up to 120",
        );
    };
    match balance(engine, Scope { at_most, patience }).await {
        Ok(found) => json(&told(&found)),
        Err(error) => failed(error),
    }
}

fn small(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

fn told(found: &Balance) -> Judged {
    const CLIENT: [Count; 7] = [
        Count::Accepted,
        Count::Delivered,
        Count::Failed,
        Count::Expired,
        Count::Rejected,
        Count::Cancelled,
        Count::EndedSent,
    ];
    const OPERATOR: [Count; 4] = [
        Count::PartsGiven,
        Count::Sent,
        Count::Refused,
        Count::PartsTakenBack,
    ];
    let clients = found.clients.iter().map(|client| Account {
        name: client.client.clone(),
        counts: counts(&client.totals, &CLIENT),
        open: small(client.open()),
        found: client.found_open,
        difference: small(client.difference()),
    });
    let operators = found.operators.iter().map(|operator| Account {
        name: operator.operator.clone(),
        counts: counts(&operator.totals, &OPERATOR),
        open: small(operator.open()),
        found: operator.settled.then_some(operator.waiting),
        difference: small(operator.difference()),
    });
    let broken = found.broken.iter().map(|broken| BrokenMessage {
        id: broken.message.to_string(),
        fault: broken.fault.as_str().to_owned(),
    });
    Judged {
        holds: found.holds(),
        settled: found.is_settled(),
        position: found.position.0,
        lag: found.lag,
        open: found.open,
        checked: found.checked,
        totals_differ: small(found.totals_differ),
        clients: clients.collect(),
        operators: operators.collect(),
        broken: broken.collect(),
        more_broken: found.more_broken,
    }
}

fn failed(error: ReadError) -> Response<Full<Bytes>> {
    let error = anyhow::Error::from(error);
    error!(error = format_args!("{error:#}"), "totals cannot be read");
    said(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}"))
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).expect("strings and numbers are valid JSON");
    of(StatusCode::OK, "application/json", body)
}

fn said(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    of(
        status,
        "text/plain; charset=utf-8",
        format!("{text}\n").into_bytes(),
    )
}

fn of(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_queue::MemoryEngine;
    use smsgw_runtime::SystemClock;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_cannot_be_asked_is_refused_by_name() {
        let clock = Arc::new(SystemClock);
        let engine = MemoryEngine::new(clock.clone());
        let ask = async |method: Method, uri: &str| {
            let request = Request::builder().method(method).uri(uri).body(()).unwrap();
            answer(&*engine, &*clock, &request).await.status().as_u16()
        };
        assert_eq!(ask(Method::GET, "/counters").await, 200);
        assert_eq!(
            ask(Method::GET, "/counters?from=2026-11-01&to=2026-11-21&by=sender").await,
            200
        );
        assert_eq!(ask(Method::GET, "/balance").await, 200);
        assert_eq!(ask(Method::GET, "/counters/x").await, 404);
        assert_eq!(ask(Method::POST, "/counters").await, 405);
        for wrong in [
            "/counters?by=phone",
            "/counters?from=yesterday",
            "/counters?from=2026-11-21&to=2026-11-21",
            "/counters?from=2020-11-21&to=2026-11-21",
            "/balance?seconds=121",
            "/balance?at_most=all",
        ] {
            assert_eq!(ask(Method::GET, wrong).await, 422, "{wrong}");
        }
    }
}
