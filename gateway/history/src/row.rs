//! From events to rows.
//!
//! Pure. Each event is a row of its own and changes the row of its message; a batch holds one row for each message, whatever
//! happened to it, in the partition of its day.
//!
//! Invariant HI-2: `merge` is associative, and the databases merge by the same rules: however the log is cut into batches,
//! the rows are the same.

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
    /// Adds what came later.
    fn merge(&mut self, later: Self) {
        fn first<T>(mine: &mut Option<T>, later: Option<T>) {
            if mine.is_none() {
                *mine = later;
            }
        }
        fn last<T>(mine: &mut Option<T>, later: Option<T>) {
            if later.is_some() {
                *mine = later;
            }
        }
        if later.final_at.is_some() {
            (self.state, self.error) = (later.state, later.error);
        } else if self.final_at.is_none() {
            last(&mut self.state, later.state);
        }
        last(&mut self.final_at, later.final_at);
        first(&mut self.direction, later.direction);
        first(&mut self.client, later.client);
        first(&mut self.sender, later.sender);
        first(&mut self.recipient, later.recipient);
        first(&mut self.reference, later.reference);
        first(&mut self.class, later.class);
        first(&mut self.tags, later.tags);
        first(&mut self.encoding, later.encoding);
        first(&mut self.text, later.text);
        first(&mut self.accepted_at, later.accepted_at);
        first(&mut self.sent_at, later.sent_at);
        last(&mut self.parts, later.parts);
        last(&mut self.operator, later.operator);
        last(&mut self.route, later.route);
        last(&mut self.told_at, later.told_at);
    }

    /// What one event says of its message; `None` when it says nothing.
    fn of(event: &Event, mask: u8) -> Option<Self> {
        let is_mo = matches!(event.name, EventName::MoReceived | EventName::MoRouted);
        let mut row = Self {
            client: event.client.clone(),
            sender: event.from.as_ref().map(|from| clean::address(from, mask)),
            recipient: event.to.as_ref().map(|to| clean::address(to, mask)),
            reference: event.reference.clone().map(clean::text),
            class: event.class.map(|class| class.as_str()),
            ..Self::default()
        };
        row.direction = Some(if is_mo { Direction::Mo } else { Direction::Mt });
        match event.name {
            EventName::MtAccepted => {
                row.state = Some(event.state.unwrap_or(MessageState::Accepted).as_str());
                row.accepted_at = Some(event.at);
                row.parts = Some(event.parts);
                row.tags = event.tags.as_ref().map(|tags| json(tags));
                row.encoding = event.encoding.map(|encoding| encoding.as_str());
                row.text = event.text.clone().map(clean::text);
            }
            EventName::MtRouted | EventName::MtRerouted => {
                row.state = Some(MessageState::Queued.as_str());
                row.operator = event.operator.clone();
                row.route = event.route;
            }
            EventName::MtRecut => row.parts = Some(event.parts),
            EventName::MtSent => {
                row.state = Some(MessageState::Sent.as_str());
                row.sent_at = Some(event.at);
                row.operator = event.operator.clone();
            }
            EventName::MtFinal => {
                row.state = event.state.map(|state| state.as_str());
                row.error = event.error.clone().map(clean::text);
                row.final_at = Some(event.at);
            }
            EventName::MoReceived => {
                row.state = Some(RECEIVED);
                row.accepted_at = Some(event.at);
                row.operator = event.operator.clone();
            }
            EventName::MoRouted => {
                row.state = Some(ROUTED);
                row.parts = Some(event.parts);
                row.operator = event.operator.clone();
                row.route = event.route;
                row.text = event.text.clone().map(clean::text);
            }
            EventName::DeliveredToClient => {
                // Of an MO as well as of a report.
                row.direction = None;
                row.told_at = Some(event.at);
            }
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
            | EventName::MtRefusedAtAccept => return None,
        }
        Some(row)
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

/// Events on their way into the database, in the order of the log.
#[derive(Debug, Clone)]
pub struct Batch {
    mask: u8,
    pub(crate) days: BTreeMap<Day, DayRows>,
    /// The first position that is not in it.
    pub(crate) next: u64,
    events: usize,
}

impl Batch {
    /// Empty, from a position of the log on; `mask` digits at the end of each phone number are not stored.
    pub fn new(from: u64, mask: u8) -> Self {
        Self {
            mask,
            days: BTreeMap::new(),
            next: from,
            events: 0,
        }
    }

    /// Adds the event at a position; positions only grow.
    pub fn push(&mut self, position: u64, event: &Event) {
        let message = event.message.unwrap_or_else(|| lowest_id(event.at));
        let day = self.days.entry(Day::of_id(message)).or_default();
        if let Some(id) = event.message
            && let Some(row) = MessageRow::of(event, self.mask)
        {
            day.messages.entry(id).or_default().merge(row);
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
