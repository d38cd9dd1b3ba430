//! Messages by their token, compactly: what a comparison holds in memory.
//!
//! Invariant: one entry a token. A message costs 48 octets, and 20 to 40 octets for each name it is found by (its token;
//! each id that was answered): about 110 octets a message.
//!
//! # Limits
//! Ids are known by 64 bits of them: of ten million, two are taken for one with a chance of 1 in 370 000.

use crate::ledger::{Sum, sum};
use crate::token::{Token, Way};
use rustc_hash::FxHashMap;

/// What is known of one message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Message {
    pub(super) run: u32,
    pub(super) number: u32,
    /// What the client was told, and what the receiver saw.
    pub(super) flags: u16,
    /// Submits that the carrier accepted, of the part accepted most often.
    pub(super) carried: u16,
    /// Of those, with an answer that was given.
    pub(super) answered: u16,
    /// Final reports taken.
    pub(super) finals: u16,
    /// Of the text as it was sent.
    pub(super) text: u64,
    /// Of sender and recipient as they were sent.
    pub(super) ends: u64,
    /// Ids answered; of MO: parts.
    pub(super) ids: u16,
    /// Final states that the carrier told, and those that were reported, as bits of [`outcome`].
    pub(super) told: u8,
    pub(super) reported: u8,
    /// Parts of an MO taken, as bits.
    pub(super) parts: u64,
}

/// Bits of `flags`.
pub(super) mod flag {
    pub(in super::super) const ACCEPTED: u16 = 1;
    pub(in super::super) const IN_DOUBT: u16 = 2;
    pub(in super::super) const REFUSED: u16 = 4;
    pub(in super::super) const HAS_TEXT: u16 = 8;
    pub(in super::super) const HAS_SENDER: u16 = 16;
    pub(in super::super) const REPORTED: u16 = 32;
    pub(in super::super) const ALTERED: u16 = 64;
    pub(in super::super) const TAKEN: u16 = 128;
    pub(in super::super) const CALLED: u16 = 256;
    /// It may come twice: something was killed or cut while it was under way.
    pub(in super::super) const MAY_REPEAT: u16 = 512;
    /// The carrier refused a submit of it for good.
    pub(in super::super) const REFUSED_FOR_GOOD: u16 = 1024;
}

/// Final states as bits.
pub(super) mod outcome {
    const WORDS: [(&str, &[&str]); 5] = [
        ("delivered", &["DELIVRD", "0"]),
        ("failed", &["UNDELIV", "UNKNOWN", "FAILED"]),
        ("expired", &["EXPIRED"]),
        ("rejected", &["REJECTD"]),
        ("cancelled", &["DELETED"]),
    ];
    /// What a message that the carrier refused ends as.
    pub(in super::super) const REJECTED: u8 = 8;

    fn bit(fits: impl FnMut(&(&str, &[&str])) -> bool) -> u8 {
        let at = WORDS.iter().position(fits);
        at.and_then(|at| u32::try_from(at).ok())
            .map_or(0, |at| 1_u8.wrapping_shl(at))
    }

    /// Of a word of receipts; none of those that are not final.
    pub(in super::super) fn of_receipt(word: &str) -> u8 {
        bit(|(_, words)| words.contains(&word))
    }

    /// Of a state in reports; none of those that are not final.
    pub(in super::super) fn of_report(state: &str) -> u8 {
        bit(|(name, _)| *name == state)
    }
}

impl Message {
    pub(super) const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn set(&mut self, flag: u16) {
        self.flags |= flag;
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    way: Option<Way>,
    messages: Vec<Message>,
    by_token: FxHashMap<u64, u32>,
    by_id: FxHashMap<u64, u32>,
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl Table {
    /// The place of a message, made when it is not there.
    pub(super) fn place(&mut self, token: Token) -> u32 {
        self.way = Some(token.way);
        let key = u64::from(token.run).wrapping_shl(32) | u64::from(token.number);
        let messages = &mut self.messages;
        *self.by_token.entry(key).or_insert_with(|| {
            messages.push(Message {
                run: token.run,
                number: token.number,
                ..Message::default()
            });
            u32::try_from(messages.len().saturating_sub(1)).unwrap_or(u32::MAX)
        })
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Message> {
        self.messages.get_mut(index(at))
    }

    pub(super) fn message(&mut self, token: Token) -> &mut Message {
        let at = self.place(token);
        self.get_mut(at).expect("a place is within the list")
    }

    /// Notes an id of a message; `false` when it was answered before.
    pub(super) fn note_id(&mut self, id: &str, at: u32) -> bool {
        self.by_id.insert(sum(id.as_bytes()).0, at).is_none()
    }

    /// The message with that id.
    pub(super) fn find_id(&self, id: &str) -> Option<u32> {
        self.by_id.get(&sum(id.as_bytes()).0).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Token, &Message)> {
        let way = self.way.unwrap_or(Way::Mt);
        self.messages.iter().map(move |message| {
            let token = Token {
                way,
                run: message.run,
                number: message.number,
            };
            (token, message)
        })
    }

    /// Octets held, about.
    pub(super) fn memory(&self) -> u64 {
        // A slot of a map is 16 octets and one of control; an eighth of them stays free.
        let maps = self.by_token.capacity().saturating_add(self.by_id.capacity());
        let maps = maps.saturating_mul(17).saturating_mul(8) / 7;
        let list = self.messages.capacity().saturating_mul(size_of::<Message>());
        u64::try_from(list.saturating_add(maps)).unwrap_or(u64::MAX)
    }
}

/// The sum of the two ends of a message, digits only where there are digits: `+49…` and `49…` are one number.
pub(super) fn ends(from: &str, to: &str) -> Sum {
    let plain = |number: &str| number.strip_prefix('+').unwrap_or(number).to_owned();
    sum(format!("{}>{}", plain(from), plain(to)).as_bytes())
}
