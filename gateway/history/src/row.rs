//! From events to rows.
//!
//! Knows no database. Each event is a row of its own and changes the row of its message; a batch becomes one row for each message,
//! whatever happened to it, in the partition of its day. Rows borrow their words from the records of the batch; a record that
//! becomes none is counted.
//!
//! Invariant HI-2: what an event adds depends on the columns that are there alone, and the databases merge rows by the same
//! rules: however the log is cut into batches, the rows are the same.

use crate::clean;
use crate::day::{Day, lowest_id};
use crate::metric::PASSED_OVER_TOTAL;
use crate::query::Direction;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use smsgw_message::{EventName, EventView, HistoryView, MessageId, MessageState, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use tracing::error;

/// State of an MO that a carrier handed over.
pub(crate) const RECEIVED: &str = "received";
/// State of an MO that has a client.
pub(crate) const ROUTED: &str = "routed";

/// What a batch says of one message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MessageRow<'b> {
    // The first one that is said counts.
    pub(crate) direction: Option<Direction>,
    pub(crate) client: Option<&'b str>,
    pub(crate) sender: Option<Cow<'b, str>>,
    pub(crate) recipient: Option<Cow<'b, str>>,
    pub(crate) reference: Option<Cow<'b, str>>,
    pub(crate) class: Option<&'static str>,
    /// A JSON array.
    pub(crate) tags: Option<String>,
    pub(crate) encoding: Option<&'static str>,
    pub(crate) text: Option<Cow<'b, str>>,
    pub(crate) accepted_at: Option<Timestamp>,
    pub(crate) sent_at: Option<Timestamp>,
    // The last one counts.
    pub(crate) parts: Option<u16>,
    pub(crate) operator: Option<&'b str>,
    pub(crate) route: Option<u32>,
    pub(crate) told_at: Option<Timestamp>,
    // The last one counts, but nothing that is not final follows what is.
    pub(crate) state: Option<&'static str>,
    pub(crate) error: Option<Cow<'b, str>>,
    pub(crate) final_at: Option<Timestamp>,
}

impl<'b> MessageRow<'b> {
    /// Whether an event says anything that stands in the row of its message.
    fn is_told_by(name: EventName) -> bool {
        !matches!(
            name,
            EventName::ClientUnreachable
                | EventName::DrReceived
                | EventName::DrUnknown
                | EventName::MtRefusedAtAccept
        )
    }

    /// Whether it says the same as another one in all that messages of one sender, sent one after the other, have in common.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        // All of them by name: a new one must be of the one kind or the other.
        let Self {
            direction,
            client,
            sender,
            recipient: _,
            reference: _,
            class,
            tags,
            encoding,
            text: _,
            accepted_at: _,
            sent_at: _,
            parts,
            operator,
            route,
            told_at: _,
            state,
            error,
            final_at: _,
        } = self;
        // What differs most often comes first.
        *state == other.state
            && *client == other.client
            && *sender == other.sender
            && *operator == other.operator
            && *route == other.route
            && *class == other.class
            && *encoding == other.encoding
            && *parts == other.parts
            && *direction == other.direction
            && *tags == other.tags
            && *error == other.error
    }

    /// Adds what an event says. Events come in the order of the log.
    fn add(&mut self, event: &HistoryView<'b>, mask: u8) {
        match event.name {
            EventName::MtAccepted => {
                self.turn(event.state.unwrap_or(MessageState::Accepted).as_str());
                first(&mut self.accepted_at, Some(event.at));
                self.parts = Some(event.parts);
                first_of(&mut self.tags, event.tags.as_deref(), json);
                first(
                    &mut self.encoding,
                    event.encoding.map(|encoding| encoding.as_str()),
                );
                self.add_text(event);
            }
            EventName::MtRouted | EventName::MtRerouted => {
                self.turn(MessageState::Queued.as_str());
                last(&mut self.operator, event.operator);
                last(&mut self.route, event.route);
            }
            EventName::MtRecut => self.parts = Some(event.parts),
            EventName::MtSent => {
                self.turn(MessageState::Sent.as_str());
                first(&mut self.sent_at, Some(event.at));
                last(&mut self.operator, event.operator);
            }
            EventName::MtFinal => {
                self.state = event.state.map(|state| state.as_str());
                self.error = event.error.map(clean::text);
                self.final_at = Some(event.at);
            }
            EventName::MoReceived => {
                self.turn(RECEIVED);
                first(&mut self.accepted_at, Some(event.at));
                last(&mut self.operator, event.operator);
            }
            EventName::MoRouted => {
                self.turn(ROUTED);
                self.parts = Some(event.parts);
                last(&mut self.operator, event.operator);
                last(&mut self.route, event.route);
                self.add_text(event);
            }
            EventName::DeliveredToClient => self.told_at = Some(event.at),
            EventName::MtUnroutable
            | EventName::MtRefused
            | EventName::MtProgress
            | EventName::MtInDoubt
            | EventName::MtReplaced
            | EventName::MtTakenBack
            | EventName::MtCancelRequested => {}
            EventName::ClientUnreachable
            | EventName::DrReceived
            | EventName::DrUnknown
            | EventName::MtRefusedAtAccept => return,
        }
        self.add_ends(event, mask);
    }

    /// Whose it is, from where to where: every event may say it, the first that does counts.
    fn add_ends(&mut self, event: &HistoryView<'b>, mask: u8) {
        let is_mo = matches!(event.name, EventName::MoReceived | EventName::MoRouted);
        // An MO is delivered to the client as well as a report.
        if event.name != EventName::DeliveredToClient {
            first(
                &mut self.direction,
                Some(if is_mo { Direction::Mo } else { Direction::Mt }),
            );
        }
        first(&mut self.client, event.client);
        first_of(&mut self.sender, event.from, |from| {
            clean::address(from.text, mask)
        });
        first_of(&mut self.recipient, event.to, |to| clean::address(to.text, mask));
        first_of(&mut self.reference, event.reference, clean::text);
        first(&mut self.class, event.class.map(|class| class.as_str()));
    }

    fn add_text(&mut self, event: &HistoryView<'b>) {
        first_of(&mut self.text, event.text, clean::text);
    }

    /// A state that is not final.
    fn turn(&mut self, state: &'static str) {
        if self.final_at.is_none() {
            self.state = Some(state);
        }
    }
}

fn first<T>(mine: &mut Option<T>, later: Option<T>) {
    if mine.is_none() {
        *mine = later;
    }
}

/// As [`first`], for what is dear to make.
fn first_of<T, U>(mine: &mut Option<T>, later: Option<U>, make: impl FnOnce(U) -> T) {
    if mine.is_none() {
        *mine = later.map(make);
    }
}

fn last<T>(mine: &mut Option<T>, later: Option<T>) {
    if later.is_some() {
        *mine = later;
    }
}

fn json(tags: &[&str]) -> String {
    let tags: Vec<Cow<'_, str>> = tags.iter().map(|tag| clean::text(tag)).collect();
    serde_json::to_string(&tags).expect("a list of strings is valid JSON")
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventRow<'b> {
    pub(crate) position: u64,
    pub(crate) at: Timestamp,
    pub(crate) name: EventName,
    pub(crate) part: Option<u16>,
    pub(crate) operator: Option<&'b str>,
    pub(crate) link: Option<&'b str>,
    pub(crate) carrier_id: Option<Cow<'b, str>>,
    pub(crate) route: Option<u32>,
    pub(crate) state: Option<MessageState>,
    pub(crate) error: Option<Cow<'b, str>>,
}

/// What a batch says of one message: its row, unless no event told it, and its events in the order of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MessageRows<'b> {
    pub(crate) row: Option<MessageRow<'b>>,
    pub(crate) events: Vec<EventRow<'b>>,
}

/// Rows of one partition. Events without a message are under their time alone. In boxes, because the map moves what is in it.
pub(crate) type DayRows<'b> = FxHashMap<MessageId, Box<MessageRows<'b>>>;

/// In the order of ids: neighbours share pages, and the tree grows at its end.
pub(crate) fn sorted<'a, 'b>(rows: &'a DayRows<'b>) -> Vec<(&'a MessageId, &'a MessageRows<'b>)> {
    let mut sorted: Vec<_> = rows.iter().map(|(id, rows)| (id, &**rows)).collect();
    // An id as a number is compared faster and sorts the same.
    sorted.sort_unstable_by_key(|(id, _)| u128::from_be_bytes(*id.as_bytes()));
    sorted
}

/// The rows of messages among them.
pub(crate) fn told<'a, 'b>(
    rows: &[(&'a MessageId, &'a MessageRows<'b>)],
) -> Vec<(&'a MessageId, &'a MessageRow<'b>)> {
    let told = rows
        .iter()
        .filter_map(|(id, rows)| Some((*id, rows.row.as_ref()?)));
    told.collect()
}

/// What a batch becomes.
#[derive(Debug)]
pub(crate) struct Rows<'b> {
    mask: u8,
    kept: RangeInclusive<Day>,
    pub(crate) days: BTreeMap<Day, DayRows<'b>>,
}

impl<'b> Rows<'b> {
    /// None yet; what belongs to a day that is not `kept` is passed over.
    pub(crate) fn new(batch: &Batch, kept: RangeInclusive<Day>) -> Self {
        Self {
            mask: batch.mask,
            kept,
            days: BTreeMap::new(),
        }
    }

    /// Adds the event at a position; positions only grow.
    pub(crate) fn add(&mut self, position: u64, record: &'b [u8]) {
        let event = match HistoryView::from_record(record) {
            Ok(event) => event,
            Err(error) => {
                PASSED_OVER_TOTAL.with(&["unreadable"]).inc();
                error!(position, %error, "event cannot be decoded and is not in history");
                return;
            }
        };
        let message = event.message.unwrap_or_else(|| lowest_id(event.at));
        let day = Day::of_id(message);
        if !self.kept.contains(&day) {
            PASSED_OVER_TOTAL.with(&["day"]).inc();
            return;
        }
        let rows = self.days.entry(day).or_default().entry(message).or_default();
        if event.message.is_some() && MessageRow::is_told_by(event.name) {
            rows.row.get_or_insert_default().add(&event, self.mask);
        }
        rows.events.push(EventRow {
            position,
            at: event.at,
            name: event.name,
            part: event.part,
            operator: event.operator,
            link: event.link,
            carrier_id: event.carrier_id.map(clean::text),
            route: event.route,
            state: event.state,
            error: event.error.map(clean::text),
        });
    }
}

/// Records of events on their way into the database, in the order of the log.
#[derive(Debug, Clone)]
pub struct Batch {
    mask: u8,
    pub(crate) records: Vec<(u64, Bytes)>,
    next: u64,
}

impl Batch {
    /// Empty, from a position of the log on; `mask` digits at the end of each phone number are not stored.
    pub fn new(from: u64, mask: u8) -> Self {
        Self {
            mask,
            records: Vec::new(),
            next: from,
        }
    }

    /// Adds the record at a position; positions only grow. One that is no event is passed over.
    pub fn push(&mut self, position: u64, record: Bytes) {
        self.records.push((position, record));
        self.next = position.saturating_add(1);
    }

    /// The first position that is not in it.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record in it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// When its first event happened.
    pub fn began(&self) -> Option<Timestamp> {
        let (_, record) = self.records.first()?;
        EventView::from_record(record).ok().map(|event| event.at)
    }
}
