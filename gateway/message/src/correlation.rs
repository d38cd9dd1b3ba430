//! Which part of which message a carrier's id belongs to: state under `corr/<group>/<id>`.
//!
//! ```text
//! Sent      an id that is written as its key, of one part
//! Owned     ids that are written otherwise, or several of one key; where ids are shared, with receipts that wait for one more answer
//! Parked    receipts that came before the answer to their submit
//! ```
//! The operator node writes the first of them with the answer of its carrier when nothing stands there; all else is the
//! router's. Ids are texts: they are never read as numbers of the machine.

use crate::id::{LinkGroup, MessageId};
use crate::up::Receipt;
use crate::{Record, Timestamp, names};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;

/// Longest id that stands in a key as it is or in hexadecimal.
const MAX_ID: usize = 64;

/// State of a carrier's id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Correlation {
    /// The carrier gave this id to a part of a message.
    #[n(0)]
    Sent {
        /// The message.
        #[n(0)]
        message: MessageId,
        /// Which part, from 1.
        #[n(1)]
        part: u16,
    },
    /// Receipts with an id that nobody has told us yet, oldest first. Bounded by the router.
    #[n(1)]
    Parked {
        /// The receipts.
        #[n(0)]
        receipts: Vec<Receipt>,
        /// Half of their time is over, and it was noticed while this node was at work.
        #[n(1)]
        is_late: bool,
    },
    /// The carrier gave ids to parts that are kept under one key. Bounded by the router.
    #[n(2)]
    Owned {
        /// Newest last.
        #[n(0)]
        owners: Vec<Owner>,
        /// Where ids are shared: receipts that came while each of the owners had its own.
        #[n(1)]
        early: Option<Early>,
    },
}

/// Receipts of a shared id that wait for one more answer with that id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Early {
    /// Oldest first. Bounded by the router.
    #[n(0)]
    pub receipts: Vec<Receipt>,
    /// Half of their time is over, as with parked ones.
    #[n(1)]
    pub is_late: bool,
    /// When the owners are forgotten, whatever becomes of these.
    #[n(2)]
    pub owned_until: Timestamp,
}

/// A part, and its id as the carrier wrote it in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Owner {
    /// The id.
    #[n(0)]
    pub id: String,
    /// The message.
    #[n(1)]
    pub message: MessageId,
    /// Which part, from 1.
    #[n(2)]
    pub part: u16,
}

impl Record for Correlation {
    const KIND: u8 = 32;
    const VERSION: u8 = 1;
}

impl Correlation {
    /// What an answer makes of an id that nothing is known of.
    pub fn first(carrier_id: &str, message: MessageId, part: u16) -> Self {
        let owner = Owner {
            id: carrier_id.to_owned(),
            message,
            part,
        };
        Self::of(&fold(carrier_id), vec![owner])
    }

    /// The shortest record that says it.
    pub fn of(folded: &str, owners: Vec<Owner>) -> Self {
        match owners.as_slice() {
            [only] if only.id == folded => Self::Sent {
                message: only.message,
                part: only.part,
            },
            _ => Self::Owned { owners, early: None },
        }
    }

    /// The key of an id as an answer has it.
    pub fn key(group: &LinkGroup, carrier_id: &str) -> String {
        Self::key_of_folded(group, &fold(carrier_id))
    }

    /// The key of a carrier's id that was folded before.
    pub fn key_of_folded(group: &LinkGroup, folded: &str) -> String {
        names::correlation(group, &canonical(folded))
    }
}

/// The text under which an id is kept. Hexadecimal digits in lower case, without leading zeros.
pub fn fold(id: &str) -> Cow<'_, str> {
    let hexadecimal = id.bytes().all(|octet| octet.is_ascii_hexdigit() || octet == b'-');
    if !hexadecimal {
        return Cow::Borrowed(id);
    }
    let digits = id.trim_start_matches('0');
    // All zeros, or zeros before a dash: the last one stays.
    let folded = if digits.is_empty() || digits.starts_with('-') {
        let zeros = id.len() - digits.len();
        id.get(zeros.saturating_sub(1)..).unwrap_or(id)
    } else {
        digits
    };
    if folded.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return Cow::Owned(folded.to_ascii_lowercase());
    }
    Cow::Borrowed(folded)
}

/// The form of an id that stands in its key. Injective: `=` and `~` do not stand in a plain id.
fn canonical(folded: &str) -> Cow<'_, str> {
    let plain =
        |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b':' | b'@' | b'+');
    if folded.len() > MAX_ID {
        Cow::Owned(hex('~', &Sha256::digest(folded.as_bytes())))
    } else if folded.bytes().all(plain) {
        Cow::Borrowed(folded)
    } else {
        Cow::Owned(hex('=', folded.as_bytes()))
    }
}

fn hex(mark: char, octets: &[u8]) -> String {
    let mut text = String::with_capacity(1 + 2 * octets.len());
    text.push(mark);
    for octet in octets {
        write!(text, "{octet:02x}").expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LinkId, OperatorId, ReceiptState, Via};

    /// Records as they were written when their version was released. They must be read for ever, so these texts are
    /// added to and never changed.
    const SENT: &str = "2001820082500000000000017101810101010101010102";
    const PARKED: &str = "200182018281878265616c70686165616c70686167616c7068612d3162413702633030316005f4";
    const OWNED: &str = "200182028181836441306637500000000000017101810101010101010101";

    fn unhex(text: &str) -> Vec<u8> {
        let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(octet).collect()
    }

    #[test]
    fn records_are_written_and_read_as_when_they_were_released() {
        let alpha = OperatorId::try_new("alpha").unwrap();
        let message = MessageId::from_parts(Timestamp::from_millis(1), [1; 10]);
        let receipt = Receipt {
            link: LinkId::new(&alpha, 1),
            carrier_id: "A7".to_owned(),
            state: ReceiptState::Delivered,
            error: Some("001".to_owned()),
            text: String::new(),
            at: Timestamp::from_millis(5),
            done_date: None,
            from: None,
            to: None,
            text_id: None,
            via: Via {
                group: LinkGroup::of(&alpha),
                operator: alpha,
            },
        };
        let parked = Correlation::Parked {
            receipts: vec![receipt],
            is_late: false,
        };
        let sent = Correlation::Sent { message, part: 2 };
        let owned = Correlation::first("A0f7", message, 1);
        for (text, record) in [(SENT, sent), (PARKED, parked), (OWNED, owned)] {
            assert_eq!(Correlation::from_record(&unhex(text)).unwrap(), record);
            assert_eq!(record.to_record(), unhex(text));
        }
    }

    #[test]
    fn an_id_that_is_its_key_is_not_written_twice() {
        let message = MessageId::from_parts(Timestamp::from_millis(1), [1; 10]);
        for (id, is_short) in [
            ("a7", true),
            ("A7", false),
            ("0a7", false),
            ("x7", true),
            ("X7", true),
        ] {
            let first = Correlation::first(id, message, 1);
            assert_eq!(first == Correlation::Sent { message, part: 1 }, is_short, "{id}");
        }
    }
}
