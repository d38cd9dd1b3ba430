//! `/queues` of the administrator's listener: every queue with what waits in it, how long, and what is held; the lanes of
//! one.
//!
//! Reads only. No record's content is shown. Invariant: a count that is not of the whole queue says so.
//!
//! # Limits
//! Lanes are counted by looking through records, at most [`PASSES`] of each place.

use crate::operators::{json, said};
use crate::trace::query;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use smsgw_queue::{Depth, Engine, EngineError, Look, Place, QueueName};
use smsgw_runtime::Clock;
use std::collections::BTreeMap;

/// Records of a place that are looked through for its lanes.
const PASSES: usize = 10_000;
/// Records read at once.
const PAGE: usize = 500;
/// Where a record waits for its turn; the others wait for a person.
const WAITING: [Place; 4] = [Place::Ready, Place::InFlight, Place::Deferred, Place::Held];

/// Every queue that there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queues {
    /// When this was so; RFC 3339 in UTC.
    pub(crate) at: String,
    pub(crate) queues: Vec<QueueRow>,
}

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueRow {
    pub(crate) queue: String,
    /// Records by place.
    pub(crate) places: BTreeMap<String, u64>,
    /// Octets of all of them.
    pub(crate) octets: u64,
    /// When the oldest record of a place was published, where it has one.
    pub(crate) oldest: BTreeMap<String, String>,
    /// Milliseconds since the oldest record that waits for its turn (ready, in flight, deferred, held) was published.
    pub(crate) oldest_ms: Option<u64>,
    pub(crate) holds: Vec<HoldRow>,
    /// Only where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lanes: Option<Lanes>,
}

/// A hold of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldRow {
    /// Null: the whole queue.
    pub(crate) flow: Option<String>,
    pub(crate) reason: String,
    pub(crate) since: String,
}

/// What waits in a queue, by lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lanes {
    /// False: there is more than was looked through.
    pub(crate) whole: bool,
    pub(crate) lanes: Vec<LaneRow>,
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneRow {
    pub(crate) class: String,
    pub(crate) flow: String,
    pub(crate) places: BTreeMap<String, u64>,
    pub(crate) octets: u64,
    pub(crate) oldest_ms: u64,
}

/// Answers `GET /queues`, and `GET /queues?queue=NAME` with the lanes of that one.
pub(crate) async fn answer<B>(
    engine: &dyn Engine,
    clock: &dyn Clock,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    if *request.method() != Method::GET {
        return said(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /queues, GET /queues?queue=NAME",
        );
    }
    let wanted = match request.uri().query() {
        None => None,
        Some(asked) => match query::value(asked, "queue") {
            Some(name) => Some(name),
            None => return said(StatusCode::UNPROCESSABLE_ENTITY, "queue is missing or no text"),
        },
    };
    match rows(engine, clock, wanted.as_deref()).await {
        Ok(queues) if wanted.is_some() && queues.queues.is_empty() => {
            said(StatusCode::NOT_FOUND, "there is no such queue")
        }
        Ok(queues) => json(StatusCode::OK, &queues),
        Err(error) => said(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

async fn rows(engine: &dyn Engine, clock: &dyn Clock, wanted: Option<&str>) -> Result<Queues, EngineError> {
    let now = clock.now();
    let mut queues = Vec::new();
    for (queue, depth) in engine.queues() {
        if wanted.is_some_and(|wanted| wanted != queue.as_str()) {
            continue;
        }
        let mut row = row(engine, &queue, &depth, now).await?;
        if wanted.is_some() {
            row.lanes = Some(lanes(engine, &queue, now).await?);
        }
        queues.push(row);
    }
    queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(Queues {
        at: now.to_string(),
        queues,
    })
}

async fn row(
    engine: &dyn Engine,
    queue: &QueueName,
    depth: &Depth,
    now: smsgw_message::Timestamp,
) -> Result<QueueRow, EngineError> {
    let (mut oldest, mut first) = (BTreeMap::new(), None);
    for place in Place::ALL.into_iter().filter(|place| depth.at(*place) > 0) {
        let page = engine.look(queue, Look::at(place, 1)).await?;
        // It may be gone meanwhile.
        let Some(record) = page.records.first() else {
            continue;
        };
        oldest.insert(place.as_str().to_owned(), record.published_at.to_string());
        if WAITING.contains(&place) {
            let published = record.published_at;
            first = Some(first.map_or(published, |first| published.min(first)));
        }
    }
    Ok(QueueRow {
        queue: queue.as_str().to_owned(),
        places: Place::ALL
            .map(|place| (place.as_str().to_owned(), depth.at(place)))
            .into(),
        octets: depth.octets,
        oldest,
        oldest_ms: first.map(|first| age(first, now)),
        holds: engine
            .holds(queue)
            .iter()
            .map(|held| HoldRow {
                flow: held.scope.flow().map(ToString::to_string),
                reason: held.reason.as_str().to_owned(),
                since: held.since.to_string(),
            })
            .collect(),
        lanes: None,
    })
}

fn age(published: smsgw_message::Timestamp, now: smsgw_message::Timestamp) -> u64 {
    u64::try_from(now.as_millis().saturating_sub(published.as_millis())).unwrap_or(0)
}

async fn lanes(
    engine: &dyn Engine,
    queue: &QueueName,
    now: smsgw_message::Timestamp,
) -> Result<Lanes, EngineError> {
    let mut lanes: BTreeMap<(String, String), LaneRow> = BTreeMap::new();
    let mut whole = true;
    for place in Place::ALL {
        let (mut after, mut seen) = (None, 0_usize);
        loop {
            let page = engine.look(queue, Look::at(place, PAGE).behind(after)).await?;
            seen = seen.saturating_add(page.records.len());
            for record in page.records {
                let key = (
                    record.lane.class.as_str().to_owned(),
                    record.lane.flow.to_string(),
                );
                let lane = lanes.entry(key).or_insert_with_key(|(class, flow)| LaneRow {
                    class: class.clone(),
                    flow: flow.clone(),
                    places: BTreeMap::new(),
                    octets: 0,
                    oldest_ms: 0,
                });
                let count = lane.places.entry(place.as_str().to_owned()).or_default();
                *count = count.saturating_add(1);
                lane.octets = lane.octets.saturating_add(record.size);
                lane.oldest_ms = lane.oldest_ms.max(age(record.published_at, now));
            }
            match page.next {
                Some(_) if seen >= PASSES => {
                    whole = false;
                    break;
                }
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    Ok(Lanes {
        whole,
        lanes: lanes.into_values().collect(),
    })
}
