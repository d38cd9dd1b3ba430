//! `/v1/inbox`: reports and MO for accounts without callback and binds, read by position.
//!
//! ```text
//! router ─▶ inbox.<client> (log) ─▶ GET: a page, a long poll, or a stream of server-sent events
//!                                └▶ DELETE ?through=: acknowledged, told, trimmed
//! keeper ─▶ drops what is too old or too much
//! ```
//! A cursor is the position of an event in its log: what is behind it comes next, and what is through it can be
//! acknowledged. Invariant: an event is given again and again until it is acknowledged or dropped, and dropped events are
//! counted.
//!
//! # Limits
//! Acknowledging is by position: who works on several events at once acknowledges the oldest that is not done last.

pub(crate) mod keeper;
mod state;
mod stream;

use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::router::{Handler, Route};
use crate::http::slots::Slot;
use crate::shared::Shared;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Serialize;
use smsgw_config::{Scope, duration_from_text};
use smsgw_message::{ClientId, Down, DownKind, Record, document};
use smsgw_queue::{CommitErrorKind, EngineError, Entry, Position, told};
use smsgw_telemetry::ApiCode;
use state::{Head, Inbox, Refused, log};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::error;

pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/v1/inbox",
        label: "inbox",
        handler: Handler::Scoped(Scope::Inbox, |call| Box::pin(read(call))),
    },
    Route {
        method: Method::DELETE,
        path: "/v1/inbox",
        label: "inbox_acknowledge",
        handler: Handler::Scoped(Scope::Inbox, |call| Box::pin(acknowledge(call))),
    },
];

/// Events of one page when the request does not say.
const PAGE: usize = 100;
/// Events of one page at most.
const MAX_PAGE: usize = 1000;
/// Octets of one page, beyond which no event is added.
const PAGE_OCTETS: usize = 1024 * 1024;
/// Events that are acknowledged in one step.
const ACKNOWLEDGED: usize = 256;

/// A page of events. The events themselves are JSON already: they are put in as they are.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Inbox)]
pub(crate) struct PageView {
    /// Oldest first, each as a callback has it.
    #[schema(value_type = Vec<crate::http::openapi::EventDocument>)]
    events: [(); 0],
    /// Names the last event of this page: `cursor` for the next one, `through` to acknowledge. Null when nothing was ever read.
    #[schema(required)]
    cursor: Option<String>,
    /// Events that wait behind this page.
    waiting: u64,
    /// Events that were dropped since the account exists, because they were too old or too many.
    dropped: u64,
}

/// How an empty list begins the page.
const BEGINNING: &str = "{\"events\":[";

impl PageView {
    /// The page with its events.
    fn with(&self, given: &[Given]) -> Vec<u8> {
        let page = serde_json::to_string(self).expect("a struct of strings and numbers is valid JSON");
        let rest = page
            .strip_prefix(BEGINNING)
            .expect("the list is the first field, and empty");
        let events: Vec<&str> = given.iter().map(|given| given.json.as_str()).collect();
        format!("{BEGINNING}{}{rest}", events.join(",")).into_bytes()
    }
}

/// What an acknowledgement did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Acknowledged)]
pub(crate) struct AcknowledgedView {
    /// Events that were acknowledged by this request.
    acknowledged: u64,
    /// Events that wait.
    waiting: u64,
}

/// An event ready to be written, and its cursor.
struct Given {
    cursor: String,
    kind: &'static str,
    json: String,
}

/// The cursor of an event.
fn cursor_of(position: u64) -> String {
    position.to_string()
}

/// The position behind the event that a cursor names.
fn behind(name: &'static str, cursor: &str) -> Result<u64, Problem> {
    let is_plain = !cursor.is_empty() && cursor.bytes().all(|octet| octet.is_ascii_digit());
    cursor
        .parse::<u64>()
        .ok()
        .filter(|_| is_plain)
        .and_then(|position| position.checked_add(1))
        .ok_or_else(|| Problem::field(ApiCode::InvalidField, name, "is none that this path has given"))
}

fn unreadable(error: &EngineError) -> Problem {
    error!(%error, "an inbox could not be read");
    Problem::overloaded("the gateway could not read the inbox")
}

/// Entries from a position on that fit on one page, and the position behind them. What cannot be decoded is passed over.
fn give(entries: Vec<Entry>, from: u64) -> (Vec<Given>, u64) {
    let mut octets = 0_usize;
    let mut next = from;
    let mut given = Vec::with_capacity(entries.len());
    for entry in entries {
        if octets > PAGE_OCTETS {
            break;
        }
        next = entry.position.next().0;
        match Down::from_record(&entry.record) {
            Ok(down) => {
                let json =
                    String::from_utf8(document::render(&down)).expect("what is made of texts is UTF-8");
                octets = octets.saturating_add(json.len());
                given.push(Given {
                    cursor: cursor_of(entry.position.0),
                    kind: match down.what {
                        DownKind::Report(_) => "report",
                        DownKind::Mo(_) => "mo",
                    },
                    json,
                });
            }
            Err(error) => {
                error!(position = entry.position.0, %error, "an event of an inbox could not be decoded and is passed over");
            }
        }
    }
    (given, next)
}

/// `GET /v1/inbox`
async fn read(call: Call) -> Result<Answer, Problem> {
    let params = Params::parse(call.query(), &["cursor", "limit", "wait"])?;
    let limit = params.number("limit", 1..=MAX_PAGE, PAGE)?;
    let inbox_section = &call.tables.snapshot.config.inbox;
    let wait = match params.get("wait") {
        None => Duration::ZERO,
        Some(text) => duration_from_text(text)
            .ok_or_else(|| Problem::field(ApiCode::InvalidField, "wait", "is a time such as 30s or 0s"))?
            .min(inbox_section.max_wait),
    };
    let is_stream = call
        .head
        .headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .any(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("text/event-stream")
        });
    let last = call.head.headers.get("last-event-id");
    let last = last
        .map(|last| behind("last-event-id", last.to_str().unwrap_or("")))
        .transpose()?;
    let cursor = params
        .get("cursor")
        .map(|cursor| behind("cursor", cursor))
        .transpose()?;
    // A client that comes back to a stream has its old address, and knows better by now.
    let asked = last.filter(|_| is_stream).or(cursor);
    let client = call.caller.client.clone();
    let most = usize::try_from(inbox_section.max_readers).unwrap_or(usize::MAX);
    let slot = if is_stream || wait > Duration::ZERO {
        let slot = call.shared.readers.take(&client, most).ok_or_else(|| {
            let why = format!("{most} requests of the account wait for events");
            Problem::new(ApiCode::RateLimited, why).retry_after(Duration::from_secs(1))
        })?;
        Some(slot)
    } else {
        None
    };
    let inbox = look(&call.shared, &client, call.caller.deadline).await?;
    let from = asked.unwrap_or(inbox.head.first);
    if from > inbox.end {
        let why = "lies behind the end of the inbox";
        return Err(Problem::field(ApiCode::InvalidField, "cursor", why));
    }
    if let (true, Some(slot)) = (is_stream, slot) {
        return Ok(stream::answer(call.shared, call.tables, client, from, slot));
    }
    // What was acknowledged or dropped is gone, whatever cursor is given.
    let from = from.max(inbox.head.first);
    let entries = next(&call.shared, &client, from, limit, wait).await?;
    let (given, next) = give(entries, from);
    let end = call.shared.engine.log_end(&log(&client)).0;
    let page = PageView {
        events: [],
        cursor: next.checked_sub(1).map(cursor_of),
        waiting: end.saturating_sub(next),
        dropped: inbox.head.dropped(),
    };
    let mut answer = crate::http::answer::json(StatusCode::OK, page.with(&given));
    // Two requests for the same page may have two answers.
    answer
        .headers_mut()
        .insert(hyper::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

async fn look(shared: &Shared, client: &ClientId, deadline: Instant) -> Result<Inbox, Problem> {
    timeout_at(deadline, Inbox::read(shared.engine.as_ref(), client))
        .await
        .map_err(|_| Problem::overloaded("the gateway could not read the inbox in time"))?
        .map_err(|error| unreadable(&error))
}

/// Entries from a position on; waits for the first, but no longer than the listener lives.
async fn next(
    shared: &Shared,
    client: &ClientId,
    from: u64,
    limit: usize,
    wait: Duration,
) -> Result<Vec<Entry>, Problem> {
    let mut draining = shared.draining.subscribe();
    let log = log(client);
    let reading = shared.engine.read(&log, Position(from), limit, wait);
    let entries = tokio::select! {
        biased;
        entries = reading => entries,
        _ = draining.wait_for(|draining| *draining) => Ok(Vec::new()),
    };
    entries.map_err(|error| unreadable(&error))
}

/// `DELETE /v1/inbox?through=<cursor>`
async fn acknowledge(call: Call) -> Result<Answer, Problem> {
    let params = Params::parse(call.query(), &["through"])?;
    let Some(through) = params.get("through") else {
        return Err(Problem::field(ApiCode::InvalidField, "through", "is required"));
    };
    let until = behind("through", through)?;
    let (shared, client, deadline) = (&call.shared, &call.caller.client, call.caller.deadline);
    let retention = call.tables.snapshot.config.limits.message_retention;
    let mut acknowledged = 0_u64;
    loop {
        let inbox = look(shared, client, deadline).await?;
        if until > inbox.end {
            let why = "lies behind the end of the inbox";
            return Err(Problem::field(ApiCode::InvalidField, "through", why));
        }
        if inbox.head.first >= until {
            let view = AcknowledgedView {
                acknowledged,
                waiting: inbox.waits(),
            };
            return Ok(crate::http::answer::document(StatusCode::OK, &view));
        }
        let most = usize::try_from(until.saturating_sub(inbox.head.first)).unwrap_or(usize::MAX);
        let reading = shared.engine.read(
            &log(client),
            Position(inbox.head.first),
            most.min(ACKNOWLEDGED),
            Duration::ZERO,
        );
        let entries = timeout_at(deadline, reading)
            .await
            .map_err(|_| Problem::overloaded("the gateway could not read the inbox in time"))?
            .map_err(|error| unreadable(&error))?;
        let first = match entries.last() {
            Some(last) => last.position.next().0,
            None => until,
        };
        let head = Head { first, ..inbox.head };
        let now = shared.clock.now();
        let step = entries
            .iter()
            .filter_map(|entry| Down::from_record(&entry.record).ok())
            .fold(inbox.advance(client, head), |step, down| {
                told::delivered(step, &down, None, now, 1, retention)
            });
        let committed = timeout_at(deadline, step.commit(shared.engine.as_ref()))
            .await
            .map_err(|_| Problem::overloaded("the gateway could not confirm the acknowledgement in time"))?;
        match committed.map_err(|error| Refused::from(error.kind)) {
            Ok(_) => {
                let done = first.saturating_sub(inbox.head.first);
                acknowledged = acknowledged.saturating_add(done);
                crate::metric::INBOX_ACKNOWLEDGED_TOTAL
                    .with(&[client.as_str()])
                    .inc_by(done);
            }
            // Another request, or the keeper, was faster: what is left is looked at again.
            Err(Refused::Moved) => {}
            Err(Refused::Engine(kind)) => return Err(refused(&kind)),
        }
    }
}

fn refused(kind: &CommitErrorKind) -> Problem {
    error!(error = %kind, "an acknowledgement could not be stored");
    Problem::overloaded("the gateway could not store the acknowledgement")
}

/// Held for as long as a request waits or streams.
type Reader = Slot;
