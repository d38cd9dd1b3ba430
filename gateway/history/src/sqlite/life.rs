//! The events of one message that one batch brings, as one row of the table `life`.
//!
//! ```text
//! message, source, position, at    of the first event; with the source and the message the position is the key
//! carrier_id                       of the one `mt_sent` among them, for who looks for it
//! events                           JSON: [[position, at, name, part, operator, link, carrier_id, route, state, error], …]
//!                                  position and at less those of the row; nulls at the end are left out
//! ```
//! The view `event` takes them apart again. One row is one search in the tree and one entry of a page for what would be four of
//! each. Pure.
//!
//! Invariant: no two `mt_sent` that carry an id are in one row, so that the index leads to each.

use crate::row::EventRow;
use smsgw_message::{EventName, MessageId};
use std::fmt::Write;
use std::iter;

/// A row of the table.
#[derive(Debug)]
pub(super) struct Life<'a> {
    pub(super) message: &'a MessageId,
    pub(super) first: &'a EventRow<'a>,
    more: &'a [EventRow<'a>],
    pub(super) carrier_id: Option<&'a str>,
}

impl<'a> Life<'a> {
    /// The rows of a message's events from a position on; they are in the order of the log.
    pub(super) fn all(
        message: &'a MessageId,
        events: &'a [EventRow<'a>],
        from: u64,
    ) -> impl Iterator<Item = Self> {
        let before = events.partition_point(|event| event.position < from);
        let mut events = events.split_at(before).1;
        iter::from_fn(move || {
            let (first, rest) = events.split_first()?;
            let mut carrier_id = sent_as(first);
            let mut count = 0;
            for event in rest {
                let id = sent_as(event);
                let is_one_too_many = id.is_some() && carrier_id.is_some();
                if is_one_too_many || later(first, event).is_none() {
                    break;
                }
                carrier_id = carrier_id.or(id);
                count += 1;
            }
            let (more, left) = rest.split_at(count);
            events = left;
            Some(Self {
                message,
                first,
                more,
                carrier_id,
            })
        })
    }

    /// How many events.
    pub(super) fn len(&self) -> usize {
        1 + self.more.len()
    }

    /// Writes the events of the row over what is in `json`.
    pub(super) fn write(&self, json: &mut String) {
        json.clear();
        json.push('[');
        add(json, self.first, (0, 0));
        for event in self.more {
            json.push(',');
            add(json, event, later(self.first, event).unwrap_or_default());
        }
        json.push(']');
    }
}

/// How far an event is behind another one: positions, milliseconds.
fn later(first: &EventRow<'_>, event: &EventRow<'_>) -> Option<(i64, i64)> {
    let positions = i64::try_from(event.position.checked_sub(first.position)?).ok()?;
    let millis = event.at.as_millis().checked_sub(first.at.as_millis())?;
    Some((positions, millis))
}

fn add(json: &mut String, event: &EventRow<'_>, (positions, millis): (i64, i64)) {
    json.push('[');
    number(json, positions);
    json.push(',');
    number(json, millis);
    let mut array = Array { json, nulls: 0 };
    array.word(Some(event.name.as_str()));
    array.number(event.part.map(u32::from));
    array.text(event.operator);
    array.text(event.link);
    array.text(event.carrier_id.as_deref());
    array.number(event.route);
    array.word(event.state.map(|state| state.as_str()));
    array.text(event.error.as_deref());
    json.push(']');
}

/// The id under which a carrier took a part, for the index.
fn sent_as<'a>(event: &'a EventRow<'_>) -> Option<&'a str> {
    let is_sent = event.name == EventName::MtSent;
    event.carrier_id.as_deref().filter(|_| is_sent)
}

/// An array that is being written; nulls wait for something that follows them.
struct Array<'a> {
    json: &'a mut String,
    nulls: usize,
}

impl Array<'_> {
    fn next(&mut self) {
        for _ in 0..std::mem::take(&mut self.nulls) {
            self.json.push_str(",null");
        }
        self.json.push(',');
    }

    fn number(&mut self, of: Option<u32>) {
        match of {
            None => self.nulls += 1,
            Some(of) => {
                self.next();
                number(self.json, i64::from(of));
            }
        }
    }

    /// A word of ours: nothing in it must be written otherwise.
    fn word(&mut self, of: Option<&str>) {
        match of {
            None => self.nulls += 1,
            Some(of) => {
                self.next();
                self.json.push('"');
                self.json.push_str(of);
                self.json.push('"');
            }
        }
    }

    /// Whatever stands in the record.
    fn text(&mut self, of: Option<&str>) {
        match of {
            None => self.nulls += 1,
            Some(of) => {
                self.next();
                text(self.json, of);
            }
        }
    }
}

/// Most numbers have few digits.
fn number(json: &mut String, number: i64) {
    match u8::try_from(number) {
        Ok(digit @ 0..10) => json.push(char::from(b'0' + digit)),
        Ok(_) | Err(_) if number > 0 => {
            self::number(json, number / 10);
            self::number(json, number % 10);
        }
        Ok(_) | Err(_) => write!(json, "{number}").expect("writing to a String cannot fail"),
    }
}

/// A string of JSON (RFC 8259 section 7).
fn text(json: &mut String, text: &str) {
    json.push('"');
    let is_plain = |octet: u8| octet >= b' ' && octet != b'"' && octet != b'\\';
    if text.bytes().all(is_plain) {
        json.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => json.push_str("\\\""),
                '\\' => json.push_str("\\\\"),
                c if u32::from(c) < 0x20 => {
                    write!(json, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
                }
                c => json.push(c),
            }
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::Timestamp;
    use std::borrow::Cow;

    const MESSAGE: MessageId = MessageId::from_bytes([1; 16]);

    fn event(position: u64, at: i64) -> EventRow<'static> {
        EventRow {
            position,
            at: Timestamp::from_millis(at),
            name: EventName::MtFinal,
            part: None,
            operator: None,
            link: None,
            carrier_id: None,
            route: None,
            state: None,
            error: None,
        }
    }

    fn json(life: &Life<'_>) -> serde_json::Value {
        let mut json = "what was there".to_owned();
        life.write(&mut json);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_row_holds_what_is_not_null_whatever_is_in_it() {
        let nasty = "\"\\/\u{1}\u{1f}\u{7f}\n\u{2028}\u{10ffff}";
        let first = EventRow {
            operator: Some(nasty),
            carrier_id: Some(nasty.into()),
            error: Some(nasty.into()),
            ..event(5, 1_000)
        };
        let second = EventRow {
            part: Some(0),
            route: Some(u32::MAX),
            ..event(500, 900)
        };
        let events = [event(4, 0), first, second];
        let lives: Vec<Life<'_>> = Life::all(&MESSAGE, &events, 5).collect();
        let [life] = lives.as_slice() else {
            panic!("{lives:?}")
        };
        assert_eq!(life.carrier_id, None, "no mt_sent");
        let expected = serde_json::json!([
            [0, 0, "mt_final", null, nasty, null, nasty, null, null, nasty],
            [495, -100, "mt_final", 0, null, null, null, u32::MAX],
        ]);
        assert_eq!(json(life), expected);
    }

    #[test]
    fn a_row_ends_before_a_second_id_and_where_times_are_too_far_apart() {
        let sent = |position, id: Option<&'static str>| EventRow {
            name: EventName::MtSent,
            carrier_id: id.map(Cow::Borrowed),
            ..event(position, 0)
        };
        let events = [
            event(0, 0),
            sent(1, None),
            sent(2, Some("A")),
            event(3, 0),
            EventRow {
                at: Timestamp::from_millis(-2),
                ..sent(4, Some("B"))
            },
            event(5, -2),
            event(6, i64::MAX),
            event(7, -1),
        ];
        let rows: Vec<(u64, usize, Option<&str>)> = Life::all(&MESSAGE, &events, 0)
            .map(|life| (life.first.position, life.more.len(), life.carrier_id))
            .collect();
        let expected = [(0, 3, Some("A")), (4, 1, Some("B")), (6, 1, None)];
        assert_eq!(rows, expected);
    }
}
