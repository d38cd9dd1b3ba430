//! Reads from PostgreSQL over a few connections that are kept.

use super::{connect, uuid};
use crate::error::HistoryError;
use crate::query::{
    Clue, Cursor, Dialect, EVENT_COLUMNS, Event, Life, MAX_EVENTS, Message, Page, Query, Select, Value, by_id,
};
use crate::settings::PostgresPlace;
use smsgw_message::{MessageId, Timestamp};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// Connections kept for the next query.
const KEPT: usize = 4;

/// A server, for readers.
#[derive(Debug)]
pub(crate) struct PostgresReader {
    place: PostgresPlace,
    timeout: Duration,
    mask: u8,
    idle: Mutex<Vec<Client>>,
}

impl PostgresReader {
    pub(crate) fn new(place: PostgresPlace, timeout: Duration, mask: u8) -> Self {
        Self {
            place,
            timeout,
            mask,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// A page.
    pub(crate) async fn search(&self, query: &Query) -> Result<Page, HistoryError> {
        let (low, high) = query.range();
        let limit = query.limit();
        let select = query.select(Dialect::Postgres, low, high, limit.saturating_add(1), self.mask);
        let mut page = Page {
            messages: self.messages("search history", &select).await?,
            next: None,
        };
        if page.messages.len() > limit {
            page.messages.truncate(limit);
            page.next = page.messages.last().map(|last| Cursor(last.id));
        }
        Ok(page)
    }

    /// A message and its events.
    pub(crate) async fn life(&self, id: MessageId) -> Result<Option<Life>, HistoryError> {
        let what = "look a message up in history";
        let Some(message) = self.messages(what, &by_id(Dialect::Postgres, id)).await?.pop() else {
            return Ok(None);
        };
        let sql = format!(
            "SELECT {EVENT_COLUMNS} FROM smsgw_event WHERE message = $1 ORDER BY at, source, position LIMIT {MAX_EVENTS}"
        );
        let rows = self.ask(what, &sql, &[Value::Id(id)]).await?;
        let events = rows.iter().map(event).collect::<Result<_, _>>();
        let events = events.map_err(|e| HistoryError::new(what, e))?;
        Ok(Some(Life { message, events }))
    }

    /// Messages that a clue leads to, newest first.
    pub(crate) async fn find(&self, clue: &Clue, limit: usize) -> Result<Vec<Message>, HistoryError> {
        let select = clue.select(Dialect::Postgres, limit, self.mask);
        self.messages("look for messages in history", &select).await
    }

    async fn messages(&self, what: &'static str, select: &Select) -> Result<Vec<Message>, HistoryError> {
        let rows = self.ask(what, &select.sql, &select.values).await?;
        let messages = rows.iter().map(message).collect::<Result<_, _>>();
        messages.map_err(|e| HistoryError::new(what, e))
    }

    async fn ask(&self, what: &'static str, sql: &str, values: &[Value]) -> Result<Vec<Row>, HistoryError> {
        let values: Vec<Box<dyn ToSql + Sync + Send>> = values
            .iter()
            .map(|value| match value {
                Value::Id(id) => Box::new(uuid(*id)) as Box<dyn ToSql + Sync + Send>,
                Value::Text(text) => Box::new(text.clone()),
            })
            .collect();
        let values: Vec<&(dyn ToSql + Sync)> = values
            .iter()
            .map(|value| &**value as &(dyn ToSql + Sync))
            .collect();
        let kept = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        // A query that is given up here goes on in the server until `statement_timeout`; its connection is not used again.
        let asked = match kept.filter(|client| !client.is_closed()) {
            Some(client) => match client.query(sql, &values).await {
                // The server went away since the last query: this one deserves a connection that stands.
                Err(_) if client.is_closed() => None,
                answer => Some((client, answer)),
            },
            None => None,
        };
        let (client, answer) = match asked {
            Some(asked) => asked,
            None => {
                let client = connect(&self.place, self.timeout).await?;
                let answer = client.query(sql, &values).await;
                (client, answer)
            }
        };
        let rows = match answer {
            Ok(rows) => rows,
            // The writer has not made the schema yet: there is nothing.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Vec::new(),
            Err(error) => return Err(HistoryError::new(what, error)),
        };
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < KEPT
        {
            idle.push(client);
        }
        Ok(rows)
    }
}

fn message(row: &Row) -> Result<Message, tokio_postgres::Error> {
    let tags: Option<serde_json::Value> = row.try_get(7)?;
    let time = |column: usize| {
        Ok::<_, tokio_postgres::Error>(row.try_get::<_, Option<SystemTime>>(column)?.map(timestamp))
    };
    Ok(Message {
        id: MessageId::from_bytes(*row.try_get::<_, Uuid>(0)?.as_bytes()),
        direction: row.try_get(1)?,
        client: row.try_get(2)?,
        sender: row.try_get(3)?,
        recipient: row.try_get(4)?,
        reference: row.try_get(5)?,
        class: row.try_get(6)?,
        tags: tags.map_or_else(Vec::new, |tags| serde_json::from_value(tags).unwrap_or_default()),
        encoding: row.try_get(8)?,
        parts: row
            .try_get::<_, Option<i32>>(9)?
            .and_then(|parts| u16::try_from(parts).ok()),
        operator: row.try_get(10)?,
        route: row
            .try_get::<_, Option<i64>>(11)?
            .and_then(|route| u32::try_from(route).ok()),
        state: row.try_get(12)?,
        error: row.try_get(13)?,
        accepted_at: time(14)?,
        sent_at: time(15)?,
        final_at: time(16)?,
        told_at: time(17)?,
        text: row.try_get(18)?,
    })
}

fn event(row: &Row) -> Result<Event, tokio_postgres::Error> {
    Ok(Event {
        at: timestamp(row.try_get(0)?),
        name: row.try_get(1)?,
        part: row
            .try_get::<_, Option<i32>>(2)?
            .and_then(|part| u16::try_from(part).ok()),
        operator: row.try_get(3)?,
        link: row.try_get(4)?,
        carrier_id: row.try_get(5)?,
        route: row
            .try_get::<_, Option<i64>>(6)?
            .and_then(|route| u32::try_from(route).ok()),
        state: row.try_get(7)?,
        error: row.try_get(8)?,
    })
}

fn timestamp(at: SystemTime) -> Timestamp {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => millis(before.duration()).saturating_neg(),
    })
}
