//! `GET /v1/batches…`: how far a batch is, and what became of each of its lines.

use super::record::{Batch, Chunk, Line, Listed, Order, What, batch_key, chunk_key, list_key, order_key};
use super::store::{broken, find, get, seen};
use crate::http::answer::{Answer, document};
use crate::http::call::Call;
use crate::http::params::Params;
use crate::http::problem::Problem;
use hyper::StatusCode;
use serde::Serialize;
use smsgw_message::{MessageId, Record, Timestamp};
use smsgw_telemetry::ApiCode;
use std::collections::BTreeMap;

/// The state of a line of which nothing is decided.
pub(crate) const PENDING: &str = "pending";
/// Chunks that are read at once for a page of results.
const CHUNKS: usize = 10;

/// A batch as its client sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Batch)]
pub(crate) struct BatchView {
    /// Its id.
    id: String,
    /// One of running, paused, completed, cancelled, expired.
    state: &'static str,
    /// The reference that its messages have in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
    /// What is not sent by then is not sent.
    #[schema(format = DateTime)]
    until: String,
    /// When the last line was done, or the batch was cancelled or expired; null before.
    #[schema(format = DateTime, required)]
    finished_at: Option<String>,
    /// Lines: recipients or messages.
    total: u32,
    /// Lines that are messages now.
    accepted: u32,
    /// Lines of which nothing is decided.
    pending: u32,
    /// Lines that are not sent, by error code.
    refused: BTreeMap<String, u32>,
    /// The first refused lines; only in the answer to the upload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    refused_lines: Vec<LineView>,
}

/// What became of a line.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BatchLine)]
pub(crate) struct LineView {
    /// Its number from 1: the place in `to`, or the line of NDJSON.
    line: u32,
    /// One of pending, accepted, refused, cancelled, expired.
    state: &'static str,
    /// The recipient, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The message, when it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Why it is not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The field that is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

/// A page of batches.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Batches)]
pub(crate) struct BatchesView {
    /// Newest first.
    batches: Vec<BatchView>,
    /// The cursor of the next page; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// A page of lines.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BatchResults)]
pub(crate) struct ResultsView {
    /// In the order of the request.
    results: Vec<LineView>,
    /// The cursor of the next page; null at the end.
    #[schema(required)]
    next: Option<String>,
}

impl BatchView {
    pub(crate) fn of(
        batch: &Batch,
        order: Option<&Order>,
        now: Timestamp,
        refused_lines: Vec<LineView>,
    ) -> Self {
        Self {
            id: batch.id.to_string(),
            state: batch.state(order, now).as_str(),
            reference: batch.reference.clone(),
            created_at: batch.created_at.to_string(),
            until: batch.until.to_string(),
            finished_at: batch.ended_at.map(|at| at.to_string()),
            total: batch.total,
            accepted: batch.accepted,
            pending: batch.pending(),
            refused: batch
                .refused
                .iter()
                .map(|count| (count.code.clone(), count.lines))
                .collect(),
            refused_lines,
        }
    }
}

impl LineView {
    /// A line; `pending` is the word for one of which nothing is decided.
    pub(crate) fn of(line: &Line, pending: &'static str) -> Self {
        let mut view = Self {
            line: line.number,
            state: pending,
            to: None,
            id: None,
            code: None,
            field: None,
        };
        match &line.what {
            // A whole message in JSON is not taken apart to show its recipient.
            What::Pending(text) => view.to = Some(text.clone()).filter(|text| !text.contains('{')),
            What::Accepted(to, id) => {
                view.state = "accepted";
                view.to = Some(to.clone());
                view.id = Some(id.to_string());
            }
            What::Refused(refused) => {
                view.state = "refused";
                view.to.clone_from(&refused.to);
                view.code = Some(refused.code.clone());
                view.field.clone_from(&refused.field);
            }
        }
        view
    }
}

/// `GET /v1/batches/{id}`
pub(crate) async fn show(call: Call) -> Result<Answer, Problem> {
    Params::parse(call.query(), &[])?;
    let (batch, order) = find(&call.shared, &call.caller, call.param()).await?;
    let view = BatchView::of(&batch, order.record.as_ref(), call.shared.clock.now(), Vec::new());
    Ok(document(StatusCode::OK, &view))
}

/// `GET /v1/batches`
pub(crate) async fn list(call: Call) -> Result<Answer, Problem> {
    let params = Params::parse(call.query(), &["cursor", "limit"])?;
    let limit = params.number("limit", 1..=100, 20)?;
    let after: Option<MessageId> = params
        .get("cursor")
        .map(|cursor| cursor.parse().map_err(|_| wrong_cursor()))
        .transpose()?;
    let (client, deadline) = (&call.caller.client, call.caller.deadline);
    let found = get(&call.shared, vec![list_key(client)], deadline).await?;
    let listed = seen::<Listed>(found.into_iter().next().flatten()).map_err(|error| broken(&error))?;
    let listed = listed.record.unwrap_or_default();
    let mut ids: Vec<MessageId> = listed.batches.iter().map(|entry| entry.id).collect();
    // Newest first; two of one moment in any order, as long as it is always the same one.
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let ids: Vec<MessageId> = ids
        .into_iter()
        .filter(|id| after.is_none_or(|after| *id < after))
        .collect();
    let page: Vec<MessageId> = ids.iter().take(limit).copied().collect();
    let keys = page
        .iter()
        .flat_map(|id| [batch_key(client, *id), order_key(client, *id)]);
    let found = get(&call.shared, keys.collect(), deadline).await?;
    let now = call.shared.clock.now();
    let mut batches = Vec::with_capacity(page.len());
    let mut found = found.into_iter();
    while let (Some(batch), Some(order)) = (found.next(), found.next()) {
        let batch = seen::<Batch>(batch).map_err(|error| broken(&error))?;
        let order = seen::<Order>(order).map_err(|error| broken(&error))?;
        // One that has just expired is passed over.
        let view = batch
            .record
            .map(|batch| BatchView::of(&batch, order.record.as_ref(), now, Vec::new()));
        batches.extend(view);
    }
    let next = page
        .last()
        .filter(|_| ids.len() > page.len())
        .map(MessageId::to_string);
    Ok(document(StatusCode::OK, &BatchesView { batches, next }))
}

fn wrong_cursor() -> Problem {
    Problem::field(
        ApiCode::InvalidField,
        "cursor",
        "is none that this path has given",
    )
}

/// Where a page of results begins: a chunk, and a line of it.
fn place(cursor: &str) -> Option<(u32, usize)> {
    let (chunk, line) = cursor.split_once('-')?;
    Some((chunk.parse().ok()?, line.parse().ok()?))
}

/// `GET /v1/batches/{id}/results`
pub(crate) async fn results(call: Call) -> Result<Answer, Problem> {
    let params = Params::parse(call.query(), &["cursor", "limit"])?;
    let limit = params.number("limit", 1..=1000, 100)?;
    let (mut chunk, mut skip) = match params.get("cursor") {
        None => (0, 0),
        Some(cursor) => place(cursor).ok_or_else(wrong_cursor)?,
    };
    let (batch, order) = find(&call.shared, &call.caller, call.param()).await?;
    let pending = match batch.state(order.record.as_ref(), call.shared.clock.now()) {
        super::record::State::Running | super::record::State::Paused => PENDING,
        over @ (super::record::State::Completed
        | super::record::State::Cancelled
        | super::record::State::Expired) => over.as_str(),
    };
    let mut results = Vec::new();
    let mut next = None;
    'page: while chunk < batch.chunks {
        let last = batch
            .chunks
            .min(chunk.saturating_add(u32::try_from(CHUNKS).unwrap_or(u32::MAX)));
        let keys: Vec<_> = (chunk..last).map(|n| chunk_key(batch.id, n)).collect();
        for found in get(&call.shared, keys, call.caller.deadline).await? {
            let lines = match found {
                None => Vec::new(),
                Some(found) => {
                    Chunk::from_record(&found.value)
                        .map_err(|error| broken(&error))?
                        .lines
                }
            };
            for (at, line) in lines.iter().enumerate().skip(skip) {
                if results.len() == limit {
                    next = Some(format!("{chunk}-{at}"));
                    break 'page;
                }
                results.push(LineView::of(line, pending));
            }
            skip = 0;
            chunk = chunk.saturating_add(1);
        }
    }
    Ok(document(StatusCode::OK, &ResultsView { results, next }))
}
