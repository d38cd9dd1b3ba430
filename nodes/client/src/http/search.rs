//! `GET /v1/messages?…`: messages by time, number, state, reference, tag and text, newest first, in pages.
//!
//! The history finds them; each is told from its record while that lives, so that a search and a look at the message say the
//! same. A reference alone is answered without a history too, by one small key that the accept writes
//! (`accept::reference_key`), and includes what was accepted a moment ago; everything else needs a history and is a moment
//! behind. Invariant: a client sees its own messages only.
//!
//! # Limits
//! Without a history the last message with a reference is found, and all other searches are refused with
//! `history_required`. A message that changes while it is searched may be told in a state that was not asked for.

use crate::accept;
use crate::http::answer::{Answer, document};
use crate::http::call::Call;
use crate::http::messages::{Read, place, read_life};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::router::{Handler, Route};
use crate::http::view::{self, View};
use hyper::{Method, StatusCode};
use serde::Serialize;
use smsgw_config::Scope;
use smsgw_history::{Cursor, Direction, History, HistoryError, Life, Query};
use smsgw_message::{MessageId, MessageState, Timestamp};
use smsgw_telemetry::ApiCode;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error};

pub(crate) const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/v1/messages",
    label: "search",
    handler: Handler::Scoped(Scope::Read, |call| Box::pin(search(call))),
}];

/// What a page may be asked to hold at most, and what it holds when nothing is said.
pub(crate) const LIMIT: (usize, usize) = (100, 50);
/// Longest value of a condition, in characters.
pub(crate) const LONGEST: usize = 255;

const PARAMETERS: [&str; 11] = [
    "reference",
    "from_time",
    "to_time",
    "to",
    "from",
    "state",
    "tag",
    "text",
    "direction",
    "cursor",
    "limit",
];

/// States of an MO, beside those of messages to phones.
pub(crate) const MO_STATES: [&str; 2] = ["received", "routed"];

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Messages)]
pub(crate) struct Page<'a> {
    messages: Vec<View<'a>>,
    /// Where the next page begins: hand it in as `cursor`; null after the last page. A page may be short, even empty, and lead on.
    next: Option<String>,
}

/// A message as it was found.
enum Found {
    Record(Read),
    History(Life),
}

impl Found {
    fn id(&self) -> MessageId {
        match self {
            Self::Record(read) => read.life.message.id,
            Self::History(life) => life.message.id,
        }
    }

    fn view(&self) -> View<'_> {
        match self {
            Self::Record(read) => view::of(&read.life, read.told.as_ref(), read.number),
            Self::History(life) => view::of_history(life),
        }
    }
}

async fn search(call: Call) -> Result<Answer, Problem> {
    let params = Params::parse(call.query(), &PARAMETERS)?;
    let query = query(&params, &call)?;
    let deadline = call.caller.deadline;
    let alone = |name: &str| {
        PARAMETERS
            .iter()
            .all(|other| (*other == name) == params.get(other).is_some())
    };
    let by_reference = query.reference.clone().filter(|_| alone("reference"));
    let _place = place(&call.shared, &call.tables, &call.caller).await?;
    let newest = match &by_reference {
        Some(reference) => last_of(&call, reference).await?,
        None => None,
    };
    let Some(history) = call.shared.history.as_deref() else {
        if by_reference.is_none() {
            return Err(not_kept(&params));
        }
        let found: Vec<Found> = newest.map(Found::Record).into_iter().collect();
        return Ok(page(&found, None));
    };
    let limit = query.limit;
    let (mut found, mut next) = in_history(&call, history, query, deadline).await?;
    if let Some(newest) = newest
        && found.iter().all(|found| found.id() != newest.life.message.id)
    {
        // History has not got it yet, so it is newer than all.
        found.insert(0, Found::Record(newest));
        if found.len() > limit {
            found.truncate(limit);
            next = found.last().map(|last| Cursor::after(last.id()));
        }
    }
    Ok(page(&found, next))
}

fn page(found: &[Found], next: Option<Cursor>) -> Answer {
    let page = Page {
        messages: found.iter().map(Found::view).collect(),
        next: next.map(|cursor| cursor.to_string()),
    };
    document(StatusCode::OK, &page)
}

/// Why nothing can be searched, with the first condition that is to blame.
fn not_kept(params: &Params) -> Problem {
    let why = "searches by anything but reference need the message history, which this gateway does not keep";
    let asked = PARAMETERS
        .into_iter()
        .find(|name| *name != "reference" && params.get(name).is_some());
    Problem::field(ApiCode::HistoryRequired, asked.unwrap_or("reference"), why)
}

/// The message that was accepted last under a reference.
async fn last_of(call: &Call, reference: &str) -> Result<Option<Read>, Problem> {
    let (shared, caller) = (&call.shared, &call.caller);
    let unreadable = || Problem::overloaded("the gateway could not look the reference up");
    let key = accept::reference_key(&caller.client, reference);
    let found = timeout_at(caller.deadline, shared.engine.get(vec![key])).await;
    let found = found.map_err(|_| unreadable())?.map_err(|error| {
        error!(%error, "a reference could not be looked up");
        unreadable()
    })?;
    let id = found.into_iter().next().flatten().and_then(|there| {
        Some(MessageId::from_bytes(
            <[u8; 16]>::try_from(there.value.as_ref()).ok()?,
        ))
    });
    let found = match id {
        None => None,
        Some(id) => read_life(shared, id, caller.deadline).await?,
    };
    // The key is a digest, and its message may be gone: what counts is what its record says.
    Ok(found.filter(|found| {
        let message = &found.life.message;
        message.client == caller.client && message.reference.as_deref() == Some(reference)
    }))
}

async fn in_history(
    call: &Call,
    history: &History,
    query: Query,
    deadline: Instant,
) -> Result<(Vec<Found>, Option<Cursor>), Problem> {
    let page = timeout_at(deadline, history.search(query)).await;
    let page = page.map_err(|_| unanswered())?.map_err(|error| failed(&error))?;
    let mut found = Vec::with_capacity(page.messages.len());
    for message in page.messages {
        let id = message.id;
        if let Some(read) = read_life(&call.shared, id, deadline).await? {
            found.push(Found::Record(read));
            continue;
        }
        let life = timeout_at(deadline, history.life(id)).await;
        let life = life.map_err(|_| unanswered())?.map_err(|error| failed(&error))?;
        // Its day may have been deleted meanwhile.
        found.extend(life.map(Found::History));
    }
    Ok((found, page.next))
}

/// The history did not answer while there was time.
pub(crate) fn unanswered() -> Problem {
    Problem::overloaded("the message history did not answer in time")
}

/// The history could not be asked. Said to whoever runs the gateway by its writer, once; here it would be for each request.
pub(crate) fn failed(error: &HistoryError) -> Problem {
    debug!(error = %error.words(), "the message history could not be read");
    Problem::overloaded("the message history cannot be read at the moment")
}

fn query(params: &Params, call: &Call) -> Result<Query, Problem> {
    let invalid = |name, why| Problem::field(ApiCode::InvalidField, name, why);
    let text = |name: &'static str| match params.get(name) {
        Some(text) if text.is_empty() || text.chars().count() > LONGEST => {
            Err(invalid(name, "has from 1 to 255 characters"))
        }
        text => Ok(text.map(str::to_owned)),
    };
    let time = |name: &'static str| match params.get(name) {
        None => Ok(None),
        Some(text) => Timestamp::from_rfc3339(text)
            .map(Some)
            .ok_or_else(|| invalid(name, "is a time such as 2026-11-21T08:20:00Z")),
    };
    let state = text("state")?;
    let is_known = |state: &str| {
        MO_STATES.contains(&state) || MessageState::ALL.iter().any(|known| known.as_str() == state)
    };
    if state.as_deref().is_some_and(|state| !is_known(state)) {
        return Err(invalid("state", "is no state of a message"));
    }
    let direction = match params.get("direction") {
        None | Some("mt") => Direction::Mt,
        Some("mo") => Direction::Mo,
        Some(_) => return Err(invalid("direction", "is mt or mo")),
    };
    let after = match params.get("cursor") {
        None => None,
        Some(cursor) => Some(
            cursor
                .parse()
                .map_err(|()| invalid("cursor", "is no `next` of an earlier page"))?,
        ),
    };
    Ok(Query {
        client: Some(call.caller.client.clone()),
        direction: Some(direction),
        since: time("from_time")?,
        until: time("to_time")?,
        sender: text("from")?,
        recipient: text("to")?,
        state,
        reference: text("reference")?,
        tag: text("tag")?,
        text: text("text")?,
        after,
        limit: params.number("limit", 1..=LIMIT.0, LIMIT.1)?,
    })
}
