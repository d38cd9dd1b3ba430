//! What can be asked of history, what is answered, and the SQL of it.
//!
//! Pure. Both databases have the same columns; what differs is how a parameter is written and how texts and tags are
//! searched. Invariant: values are parameters, never parts of the SQL.

use crate::clean;
use crate::day::{Day, lowest_id};
use smsgw_message::{ClientId, MessageId, Timestamp};
use std::fmt::{self, Write};
use std::str::FromStr;

/// Most messages of a page.
pub const MAX_PAGE: usize = 500;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To a phone.
    Mt,
    /// From a phone.
    Mo,
}

impl Direction {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mt => "mt",
            Self::Mo => "mo",
        }
    }
}

/// Where a page begins: after a message that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub(crate) MessageId);

impl Cursor {
    /// The page after a message.
    pub const fn after(id: MessageId) -> Self {
        Self(id)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_bytes()
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 32 || !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| ())?;
        Ok(Self(MessageId::from_bytes(number.to_be_bytes())))
    }
}

/// A search; all conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Whose; absent: anybody's.
    pub client: Option<ClientId>,
    /// Which way.
    pub direction: Option<Direction>,
    /// Accepted at this time or later.
    pub since: Option<Timestamp>,
    /// Accepted before this time.
    pub until: Option<Timestamp>,
    /// Sender, with or without plus.
    pub sender: Option<String>,
    /// Recipient, with or without plus.
    pub recipient: Option<String>,
    /// State.
    pub state: Option<String>,
    /// The client's own name for it.
    pub reference: Option<String>,
    /// One of its tags.
    pub tag: Option<String>,
    /// Words that all stand in its text.
    pub text: Option<String>,
    /// Where the page begins.
    pub after: Option<Cursor>,
    /// Messages at most, up to [`MAX_PAGE`].
    pub limit: usize,
}

/// Something that leads to messages, whosever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clue {
    /// An id that a carrier gave to a part.
    CarrierId(String),
    /// A client's name for a message.
    Reference(String),
    /// A phone number or another address, at either end.
    Number(String),
}

/// A row of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// `mt` or `mo`; absent when the events that say so are gone.
    pub direction: Option<String>,
    /// Whose.
    pub client: Option<String>,
    /// From.
    pub sender: Option<String>,
    /// To.
    pub recipient: Option<String>,
    /// The client's own name for it.
    pub reference: Option<String>,
    /// Class of service.
    pub class: Option<String>,
    /// The client's words for its statistics.
    pub tags: Vec<String>,
    /// How the parts' octets are read.
    pub encoding: Option<String>,
    /// Parts.
    pub parts: Option<u16>,
    /// Which carrier had it last.
    pub operator: Option<String>,
    /// By which route, counted from 1.
    pub route: Option<u32>,
    /// State, as of the last event.
    pub state: Option<String>,
    /// Why, when it failed.
    pub error: Option<String>,
    /// When it was accepted from the client, or from the carrier.
    pub accepted_at: Option<Timestamp>,
    /// When a carrier took its first part.
    pub sent_at: Option<Timestamp>,
    /// When it came to its end.
    pub final_at: Option<Timestamp>,
    /// When its client was told last.
    pub told_at: Option<Timestamp>,
    /// Its text, where storing it is allowed.
    pub text: Option<String>,
}

/// A row of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The word of `smsgw_message::EventName`.
    pub name: String,
    /// Of which part, from 1.
    pub part: Option<u16>,
    /// Which carrier.
    pub operator: Option<String>,
    /// Over which link.
    pub link: Option<String>,
    /// The carrier's id of the part.
    pub carrier_id: Option<String>,
    /// By which route, counted from 1.
    pub route: Option<u32>,
    /// The state reached.
    pub state: Option<String>,
    /// Error word.
    pub error: Option<String>,
}

/// A message and its events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The message.
    pub message: Message,
    /// What happened.
    pub events: Vec<Event>,
}

/// Messages, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// At most as many as were asked for; fewer, even none, where `next` says that there is more to look through.
    pub messages: Vec<Message>,
    /// Where the next page begins; absent after the last one.
    pub next: Option<Cursor>,
}

/// Columns of a message in the order in which they are read.
pub(crate) const COLUMNS: &str = "m.id, m.direction, m.client, m.sender, m.recipient, m.reference, m.class, m.tags, m.encoding, \
    m.parts, m.operator, m.route, m.state, m.error, m.accepted_at, m.sent_at, m.final_at, m.told_at";

/// Columns of an event in the order in which they are read.
pub(crate) const EVENT_COLUMNS: &str = "at, name, part, operator, link, carrier_id, route, state, error";

/// Most events of one life.
pub(crate) const MAX_EVENTS: usize = 1_000;

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Id(MessageId),
    Text(String),
}

/// What the databases write differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// SQL with its parameters.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
    dialect: Dialect,
}

impl Select {
    fn new(dialect: Dialect) -> Self {
        let (message, text) = match dialect {
            Dialect::Sqlite => ("message", "(SELECT t.body FROM text t WHERE t.message = m.id)"),
            Dialect::Postgres => ("smsgw_message", "m.text"),
        };
        Self {
            sql: format!("SELECT {COLUMNS}, {text} FROM {message} m WHERE TRUE"),
            values: Vec::new(),
            dialect,
        }
    }

    /// Adds a condition; `?` stands for the value.
    fn and(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        let mark = match self.dialect {
            Dialect::Sqlite => format!("?{}", self.values.len()),
            Dialect::Postgres => format!("${}", self.values.len()),
        };
        self.sql.push_str(" AND ");
        self.sql.push_str(&condition.replace('?', &mark));
    }

    fn newest_first(&mut self, limit: usize) {
        write!(self.sql, " ORDER BY m.id DESC LIMIT {limit}").expect("writing to a String cannot fail");
    }
}

impl Query {
    /// Messages at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit.clamp(1, MAX_PAGE)
    }

    /// Ids from the first one on, up to the second one, which is not meant.
    pub(crate) fn range(&self) -> (MessageId, MessageId) {
        let low = self.since.map_or(MessageId::from_bytes([0; 16]), lowest_id);
        let high = self.until.map_or(MessageId::from_bytes([0xFF; 16]), lowest_id);
        let high = self.after.map_or(high, |cursor| cursor.0.min(high));
        (low, high)
    }

    /// The messages between two ids; one more than the page holds, to see whether there is more.
    pub(crate) fn select(
        &self,
        dialect: Dialect,
        low: MessageId,
        high: MessageId,
        limit: usize,
        mask: u8,
    ) -> Select {
        let mut select = Select::new(dialect);
        select.and("m.id >= ?", Value::Id(low));
        select.and("m.id < ?", Value::Id(high));
        if let Some(client) = &self.client {
            // Where an index leads to a few rows, that of the client, which leads to many, must not be taken: SQLite has no
            // statistics to tell them apart, and takes none for a term with a plus.
            let is_narrow = self.recipient.is_some() || self.reference.is_some() || self.sender.is_some();
            let condition = match dialect {
                Dialect::Sqlite if is_narrow => "+m.client = ?",
                Dialect::Sqlite | Dialect::Postgres => "m.client = ?",
            };
            select.and(condition, Value::Text(client.to_string()));
        }
        if let Some(direction) = self.direction {
            select.and("m.direction = ?", Value::Text(direction.as_str().to_owned()));
        }
        let number = |number: &str| Value::Text(clean::wanted(number, mask));
        if let Some(sender) = &self.sender {
            select.and("m.sender = ?", number(sender));
        }
        if let Some(recipient) = &self.recipient {
            select.and("m.recipient = ?", number(recipient));
        }
        if let Some(state) = &self.state {
            select.and("m.state = ?", Value::Text(clean::text(state).into_owned()));
        }
        if let Some(reference) = &self.reference {
            select.and(
                "m.reference = ?",
                Value::Text(clean::text(reference).into_owned()),
            );
        }
        if let Some(tag) = &self.tag {
            let condition = match dialect {
                Dialect::Sqlite => "EXISTS (SELECT 1 FROM json_each(m.tags) j WHERE j.value = ?)",
                Dialect::Postgres => "jsonb_exists(m.tags, ?)",
            };
            select.and(condition, Value::Text(clean::text(tag).into_owned()));
        }
        if let Some(text) = &self.text {
            let (condition, words) = match dialect {
                Dialect::Sqlite => (
                    "m.id IN (SELECT t.message FROM words w JOIN text t ON t.number = w.rowid WHERE words MATCH ?)",
                    phrases(text),
                ),
                Dialect::Postgres => (
                    "m.words @@ plainto_tsquery('simple', ?)",
                    clean::text(text).into_owned(),
                ),
            };
            select.and(condition, Value::Text(words));
        }
        select.newest_first(limit);
        select
    }
}

impl Clue {
    /// The messages it leads to, newest first.
    pub(crate) fn select(&self, dialect: Dialect, limit: usize, mask: u8) -> Select {
        let mut select = Select::new(dialect);
        match self {
            Self::CarrierId(id) => {
                let condition = match dialect {
                    Dialect::Sqlite => {
                        "m.id IN (SELECT l.message FROM life l WHERE l.carrier_id = ? UNION ALL \
                         SELECT e.message FROM plain_event e WHERE e.name = 'mt_sent' AND e.carrier_id = ?)"
                    }
                    Dialect::Postgres => {
                        "m.id IN (SELECT e.message FROM smsgw_event e WHERE e.name = 'mt_sent' AND e.carrier_id = ?)"
                    }
                };
                select.and(condition, Value::Text(clean::text(id).into_owned()));
            }
            Self::Reference(reference) => select.and(
                "m.reference = ?",
                Value::Text(clean::text(reference).into_owned()),
            ),
            Self::Number(number) => {
                let wanted = Value::Text(clean::wanted(number, mask));
                select.and("(m.recipient = ? OR m.sender = ?)", wanted);
            }
        }
        select.newest_first(limit);
        select
    }
}

/// A message by its id.
pub(crate) fn by_id(dialect: Dialect, id: MessageId) -> Select {
    let mut select = Select::new(dialect);
    select.and("m.id = ?", Value::Id(id));
    select
}

/// The words of a text as FTS5 wants them: each a string, so that nothing in them is an operator (SQLite, FTS5 section 3.1).
fn phrases(text: &str) -> String {
    let words = clean::text(text);
    let words: Vec<String> = words
        .split_whitespace()
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    words.join(" ")
}

/// The days of a range, newest first, of those that are there.
pub(crate) fn days_within(there: &[Day], low: MessageId, high: MessageId) -> Vec<Day> {
    let mut days: Vec<Day> = there
        .iter()
        .copied()
        .filter(|day| day.first_id() < high && day.next().first_id() > low)
        .collect();
    days.sort_unstable();
    days.dedup();
    days.reverse();
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor(MessageId::from_bytes([7; 16]));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "07", &"g".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert_eq!(wrong.parse::<Cursor>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn values_are_parameters_and_words_no_operators() {
        let nasty = "x'; DROP TABLE message; --";
        let query = Query {
            sender: Some(nasty.to_owned()),
            tag: Some(nasty.to_owned()),
            text: Some("NEAR \"a\" OR b*".to_owned()),
            ..Query::default()
        };
        let (low, high) = query.range();
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let select = query.select(dialect, low, high, 5, 0);
            assert!(!select.sql.contains("DROP"), "{}", select.sql);
            assert_eq!(select.values.len(), 5);
        }
        assert_eq!(phrases("NEAR \"a\" OR b*"), r#""NEAR" """a""" "OR" "b*""#);
    }
}
