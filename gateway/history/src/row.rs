//! From events to rows.
//!
//! Pure. Each event is a row of its own and changes the row of its message; a batch holds one row for each message, whatever
//! happened to it, in the partition of its day.
//!
//! Invariant HI-2: what an event adds depends on the columns that are there alone, and the databases merge rows by the same
//! rules: however the log is cut into batches, the rows are the same.

use crate::clean;
use crate::day::{Day, lowest_id};
use crate::query::Direction;
use rustc_hash::FxHashMap;
use smsgw_message::{ClientId, Event, EventName, LinkId, MessageId, MessageState, OperatorId, Timestamp};
use std::collections::BTreeMap;

/// State of an MO that a carrier handed over.
pub(crate) const RECEIVED: &str = "received";
/// State of an MO that has a client.
pub(crate) const ROUTED: &str = "routed";

/// What a batch says of one message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MessageRow {
    // The first one that is said counts.
    pub(crate) direction: Option<Direction>,
    pub(crate) client: Option<ClientId>,
    pub(crate) sender: Option<String>,
    pub(crate) recipient: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) class: Option<&'static str>,
    /// A JSON array.
    pub(crate) tags: Option<String>,
    pub(crate) encoding: Option<&'static str>,
    pub(crate) text: Option<String>,
    pub(crate) accepted_at: Option<Timestamp>,
    pub(crate) sent_at: Option<Timestamp>,
    // The last one counts.
    pub(crate) parts: Option<u16>,
    pub(crate) operator: Option<OperatorId>,
    pub(crate) route: Option<u32>,
    pub(crate) told_at: Option<Timestamp>,
    // The last one counts, but nothing that is not final follows what is.
    pub(crate) state: Option<&'static str>,
    pub(crate) error: Option<String>,
    pub(crate) final_at: Option<Timestamp>,
}

impl MessageRow {
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
    fn add(&mut self, event: &Event, mask: u8) {
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
                last(&mut self.operator, &event.operator);
                last(&mut self.route, &event.route);
            }
            EventName::MtRecut => self.parts = Some(event.parts),
            EventName::MtSent => {
                self.turn(MessageState::Sent.as_str());
                first(&mut self.sent_at, Some(event.at));
                last(&mut self.operator, &event.operator);
            }
            EventName::MtFinal => {
                self.state = event.state.map(|state| state.as_str());
                self.error = event.error.clone().map(clean::text);
                self.final_at = Some(event.at);
            }
            EventName::MoReceived => {
                self.turn(RECEIVED);
                first(&mut self.accepted_at, Some(event.at));
                last(&mut self.operator, &event.operator);
            }
            EventName::MoRouted => {
                self.turn(ROUTED);
                self.parts = Some(event.parts);
                last(&mut self.operator, &event.operator);
                last(&mut self.route, &event.route);
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
    fn add_ends(&mut self, event: &Event, mask: u8) {
        let is_mo = matches!(event.name, EventName::MoReceived | EventName::MoRouted);
        // An MO is delivered to the client as well as a report.
        if event.name != EventName::DeliveredToClient {
            first(
                &mut self.direction,
                Some(if is_mo { Direction::Mo } else { Direction::Mt }),
            );
        }
        first_of(&mut self.client, event.client.as_ref(), ClientId::clone);
        first_of(&mut self.sender, event.from.as_ref(), |from| {
            clean::address(from, mask)
        });
        first_of(&mut self.recipient, event.to.as_ref(), |to| {
            clean::address(to, mask)
        });
        first_of(&mut self.reference, event.reference.as_ref(), |own| {
            clean::text(own.clone())
        });
        first(&mut self.class, event.class.map(|class| class.as_str()));
    }

    fn add_text(&mut self, event: &Event) {
        first_of(&mut self.text, event.text.as_ref(), |text| {
            clean::text(text.clone())
        });
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
fn first_of<T, U: ?Sized>(mine: &mut Option<T>, later: Option<&U>, make: impl FnOnce(&U) -> T) {
    if mine.is_none() {
        *mine = later.map(make);
    }
}

fn last<T: Clone>(mine: &mut Option<T>, later: &Option<T>) {
    if later.is_some() {
        mine.clone_from(later);
    }
}

fn json(tags: &[String]) -> String {
    let tags: Vec<String> = tags.iter().cloned().map(clean::text).collect();
    serde_json::to_string(&tags).expect("a list of strings is valid JSON")
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventRow {
    /// The message, or the time alone where there is none.
    pub(crate) message: MessageId,
    pub(crate) position: u64,
    pub(crate) at: Timestamp,
    pub(crate) name: &'static str,
    pub(crate) part: Option<u16>,
    pub(crate) operator: Option<OperatorId>,
    pub(crate) link: Option<LinkId>,
    pub(crate) carrier_id: Option<String>,
    pub(crate) route: Option<u32>,
    pub(crate) state: Option<&'static str>,
    pub(crate) error: Option<String>,
}

/// Rows of one partition.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DayRows {
    pub(crate) messages: FxHashMap<MessageId, MessageRow>,
    pub(crate) events: Vec<EventRow>,
}

impl DayRows {
    /// A message that comes and goes within a batch has four events or more.
    fn with_room(events: usize) -> Self {
        let mut messages = FxHashMap::default();
        messages.reserve(events / 4);
        Self {
            messages,
            events: Vec::with_capacity(events),
        }
    }
}

/// Events on their way into the database, in the order of the log.
#[derive(Debug, Clone)]
pub struct Batch {
    mask: u8,
    pub(crate) days: BTreeMap<Day, DayRows>,
    /// The first position that is not in it.
    pub(crate) next: u64,
    events: usize,
    /// How many events the rows of the first day have room for from the start: few are of another one.
    room: usize,
}

impl Batch {
    /// Empty, from a position of the log on; `mask` digits at the end of each phone number are not stored.
    pub fn new(from: u64, mask: u8) -> Self {
        Self {
            mask,
            days: BTreeMap::new(),
            next: from,
            events: 0,
            room: 0,
        }
    }

    /// About so many events will come: their rows are not moved to larger places again and again.
    #[must_use]
    pub fn for_about(self, events: usize) -> Self {
        Self { room: events, ..self }
    }

    /// Adds the event at a position; positions only grow.
    pub fn push(&mut self, position: u64, event: &Event) {
        let message = event.message.unwrap_or_else(|| lowest_id(event.at));
        let Self { days, room, .. } = self;
        let day = days
            .entry(Day::of_id(message))
            .or_insert_with(|| DayRows::with_room(std::mem::take(room)));
        if let Some(id) = event.message
            && MessageRow::is_told_by(event.name)
        {
            day.messages.entry(id).or_default().add(event, self.mask);
        }
        day.events.push(EventRow {
            message,
            position,
            at: event.at,
            name: event.name.as_str(),
            part: event.part,
            operator: event.operator.clone(),
            link: event.link.clone(),
            carrier_id: event.carrier_id.clone().map(clean::text),
            route: event.route,
            state: event.state.map(|state| state.as_str()),
            error: event.error.clone().map(clean::text),
        });
        self.events += 1;
        self.skip(position);
    }

    /// Passes over an entry that is no event.
    pub fn skip(&mut self, position: u64) {
        self.next = self.next.max(position.saturating_add(1));
    }

    /// The first position that is not in it.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.events
    }

    /// Whether there is no event in it.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Takes out the days before `oldest` and after `newest`; returns how many events went with them.
    pub(crate) fn keep_days(&mut self, oldest: Day, newest: Day) -> usize {
        let mut gone = 0;
        self.days.retain(|day, rows| {
            let kept = *day >= oldest && *day <= newest;
            if !kept {
                gone += rows.events.len();
            }
            kept
        });
        gone
    }
}
