//! Puts together what leaves a queue as one: the parts of a message, or the messages that a client cut from one.
//!
//! ```text
//! record ─┬─ alone ─────────────────▶ a unit
//!         └─ one of several ─▶ waits for its siblings ─▶ a unit once all were seen
//! ```
//! Phones join the parts of one sender, over one carrier; and each carrier names parts in ids of its own: so parts stay
//! together. Pure; knows no engine. Invariant UN-1: a unit has every part of what it is, each once.
//!
//! # Limits
//! At most [`MOST`] messages wait for siblings; those above it are seen again in the next round. Of a message that a client cut,
//! the header says how many siblings there are (3GPP 23.040 section 9.2.3.24.1); one that says nothing is taken as alone.

use rustc_hash::FxHashMap;
use smsgw_message::udh::Udh;
use smsgw_message::{ClientId, Dispatch, MessageId, Timestamp};
use smsgw_queue::RecordId;

/// Messages whose siblings are looked for at once.
pub(crate) const MOST: usize = 10_000;

/// A part that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) record: RecordId,
    pub(crate) message: MessageId,
    /// From 1.
    pub(crate) part: u16,
    /// Somebody had it before and never said what became of it.
    pub(crate) maybe_sent: bool,
    pub(crate) valid_until: Timestamp,
}

/// What goes together, in the order of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) parts: Vec<Waiting>,
}

/// What ties parts together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Tie {
    Message(MessageId),
    Cut(ClientId, u64),
}

/// Some of the parts of a whole.
#[derive(Debug, Default)]
struct Open {
    /// With the place of each in the whole, from 1.
    parts: Vec<(u16, Waiting)>,
}

/// What was seen and is not whole.
#[derive(Debug)]
pub(crate) struct Units {
    most: usize,
    open: FxHashMap<Tie, Open>,
    above: u64,
}

impl Units {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            open: FxHashMap::default(),
            above: 0,
        }
    }

    /// Takes a record; gives the unit that is whole with it.
    pub(crate) fn add(&mut self, record: RecordId, dispatch: &Dispatch, maybe_sent: bool) -> Option<Unit> {
        let waiting = Waiting {
            record,
            message: dispatch.message,
            part: dispatch.part,
            maybe_sent,
            valid_until: dispatch.valid_until,
        };
        let Some((tie, place, of)) = tie(dispatch) else {
            return Some(Unit { parts: vec![waiting] });
        };
        if !self.open.contains_key(&tie) && self.open.len() >= self.most {
            self.above = self.above.saturating_add(1);
            return None;
        }
        let open = self.open.entry(tie.clone()).or_default();
        // A record that became ready meanwhile is seen at both places.
        if open.parts.iter().all(|(_, seen)| seen.record != record) {
            open.parts.push((place, waiting));
        }
        let is_there = |place: u16| open.parts.iter().any(|(seen, _)| *seen == place);
        if !(1..=of).all(is_there) {
            return None;
        }
        let mut parts: Vec<Waiting> = self
            .open
            .remove(&tie)?
            .parts
            .into_iter()
            .map(|(_, seen)| seen)
            .collect();
        parts.sort_by_key(|waiting| waiting.record);
        Some(Unit { parts })
    }

    /// Parts that were not looked at for want of room.
    pub(crate) fn above(&self) -> u64 {
        self.above
    }

    /// Parts whose siblings were not found.
    pub(crate) fn apart(&self) -> u64 {
        let parts = self.open.values().map(|open| open.parts.len());
        u64::try_from(parts.sum::<usize>()).unwrap_or(u64::MAX)
    }
}

/// What a part belongs to, its place there, and how many there are; `None` when it is alone.
fn tie(dispatch: &Dispatch) -> Option<(Tie, u16, u16)> {
    if dispatch.parts > 1 {
        return Some((Tie::Message(dispatch.message), dispatch.part, dispatch.parts));
    }
    let bundle = dispatch.bundle?;
    let (header, _) = Udh::parse(&dispatch.content.udh).ok()?;
    let concat = header.concat.filter(|concat| concat.total > 1)?;
    let tie = Tie::Cut(dispatch.client.clone(), bundle);
    Some((tie, u16::from(concat.sequence), u16::from(concat.total)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{mt, operator};
    use smsgw_message::Part;

    fn part(n: u8, part: u16, of: usize) -> Dispatch {
        let mut message = mt(n, 1);
        message.parts = vec![message.parts[0].clone(); of];
        message.dispatch(part, &operator("alpha")).unwrap()
    }

    fn cut(n: u8, sequence: u8) -> Dispatch {
        Dispatch {
            bundle: Some(7),
            content: Part {
                udh: vec![5, 0, 3, 9, 2, sequence],
                data: b"x".to_vec(),
            },
            ..part(n, 1, 1)
        }
    }

    fn numbers(unit: Option<Unit>) -> Option<Vec<u64>> {
        let parts = unit?.parts;
        Some(parts.iter().map(|waiting| waiting.record.as_u64()).collect())
    }

    #[test]
    fn parts_come_out_whole_in_the_order_of_the_queue() {
        let mut units = Units::new(10);
        let mut add =
            |record, dispatch: &Dispatch| numbers(units.add(RecordId::from_u64(record), dispatch, false));
        assert_eq!(add(5, &part(1, 1, 1)), Some(vec![5]));
        assert_eq!(add(8, &part(2, 2, 3)), None);
        assert_eq!(add(8, &part(2, 2, 3)), None, "seen at two places");
        assert_eq!(add(9, &part(2, 3, 3)), None);
        assert_eq!(add(10, &cut(3, 2)), None);
        assert_eq!(add(7, &part(2, 1, 3)), Some(vec![7, 8, 9]));
        assert_eq!(add(11, &part(5, 1, 2)), None);
        assert_eq!(
            add(12, &cut(4, 1)),
            Some(vec![10, 12]),
            "another message, the same text"
        );
        assert_eq!((units.apart(), units.above()), (1, 0));
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let mut units = Units::new(2);
        for n in 1..=5 {
            let unit = units.add(RecordId::from_u64(u64::from(n)), &part(n, 1, 2), false);
            assert_eq!(unit, None);
        }
        assert_eq!((units.apart(), units.above()), (2, 3));
        assert!(units.add(RecordId::from_u64(9), &part(1, 2, 2), false).is_some());
        assert_eq!(units.apart(), 1);
    }
}
