//! What only the router writes: correlations and unfinished long MO.
//!
//! ```text
//! corr/<group>/<id>   Correlation   Sent: which part the carrier's id belongs to, an id that is written as the key
//!                                   Owned: the same for ids that are written otherwise, or several of one key; where ids are
//!                                          shared, with receipts that wait for one more answer
//!                                   Parked: receipts that came before the answer to their submit
//! ref/<phone>         LastReference of long messages to a phone
//! mo/<key>            Assembly      Open: parts that wait for the others
//!                                   Done: what was delivered, so that a repeated part is recognised
//! ```
//! Kinds 32 and 33 of the record format. Knows no rule: `correlate` and `assemble` decide.

use minicbor::{Decode, Encode};
use smsgw_message::{LinkGroup, MessageId, Mo, Receipt, Record, Timestamp};

/// State of a carrier's id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Correlation {
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
    /// Receipts with an id that nobody has told us yet, oldest first. Bounded by `correlate::MAX_PARKED`.
    #[n(1)]
    Parked {
        /// The receipts.
        #[n(0)]
        receipts: Vec<Receipt>,
        /// Half of their time is over, and it was noticed while this node was at work.
        #[n(1)]
        is_late: bool,
    },
    /// The carrier gave ids to parts that are kept under one key. Bounded by `correlate::MAX_OWNERS`.
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
pub(crate) struct Early {
    /// Oldest first. Bounded by `correlate::MAX_PARKED`.
    #[n(0)]
    pub(crate) receipts: Vec<Receipt>,
    /// Half of their time is over, as with parked ones.
    #[n(1)]
    pub(crate) is_late: bool,
    /// When the owners are forgotten, whatever becomes of these.
    #[n(2)]
    pub(crate) owned_until: Timestamp,
}

/// A part, and its id as the carrier wrote it in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Owner {
    /// The id.
    #[n(0)]
    pub(crate) id: String,
    /// The message.
    #[n(1)]
    pub(crate) message: MessageId,
    /// Which part, from 1.
    #[n(2)]
    pub(crate) part: u16,
}

impl Record for Correlation {
    const KIND: u8 = 32;
    const VERSION: u8 = 1;
}

/// State of a long MO.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Assembly {
    /// Parts are missing.
    #[n(0)]
    Open {
        /// How many parts there will be.
        #[n(0)]
        total: u8,
        /// What came so far, in the order of the parts. At most `total`.
        #[n(1)]
        pieces: Vec<Piece>,
        /// When it is delivered as it is.
        #[n(2)]
        deadline: Timestamp,
        /// How often its deadline was put off because nobody had been at work.
        #[n(3)]
        put_off: Option<u8>,
    },
    /// It was delivered whole; kept for a while because carriers repeat what they think we missed.
    #[n(1)]
    Done {
        /// Digest of each part, in order.
        #[n(0)]
        digests: Vec<u64>,
    },
}

impl Assembly {
    /// The link group of the parts that wait.
    pub(crate) fn group(&self) -> Option<&LinkGroup> {
        match self {
            Self::Open { pieces, .. } => pieces.first().map(|piece| &piece.mo.via.group),
            Self::Done { .. } => None,
        }
    }
}

impl Record for Assembly {
    const KIND: u8 = 33;
    const VERSION: u8 = 1;
}

/// One part of a long MO.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Piece {
    /// Which part, from 1.
    #[n(0)]
    pub(crate) number: u8,
    /// The part as it came.
    #[n(1)]
    pub(crate) mo: Mo,
}

/// The reference of the last long message to a phone; of 8-bit references the low octet. Gone a day after that message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LastReference {
    /// The reference.
    #[n(0)]
    pub(crate) reference: u16,
}

impl Record for LastReference {
    const KIND: u8 = 36;
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, message_id, mo_part, receipt};
    use smsgw_message::ReceiptState;

    /// Records as they were written when their version was released. They must be read for ever, so these texts are
    /// added to and never changed.
    const SENT: &str = "2001820082500000000000017101810101010101010102";
    const PARKED: &str = "200182018281878265616c70686165616c70686167616c7068612d3162413702633030316005f4";
    const OWNED: &str = "200182028181836441306637500000000000017101810101010101010101";
    const OPEN: &str = concat!(
        "2101820083028182018a50000000000002710181010101010101018265616c70686165616c70686167616c7068612d31",
        "8301016c3439313730303030303030328303006531323334350000460500030702014268690309",
    );
    const LAST: &str = "240181190102";
    const DONE: &str = "210182018182011bffffffffffffffff";

    fn unhex(text: &str) -> Vec<u8> {
        let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(octet).collect()
    }

    #[test]
    fn records_are_written_and_read_as_when_they_were_released() {
        let sent = Correlation::Sent {
            message: message_id(1),
            part: 2,
        };
        let parked = Correlation::Parked {
            receipts: vec![receipt("A7", ReceiptState::Delivered, 5)],
            is_late: false,
        };
        let owned = Correlation::Owned {
            owners: vec![Owner {
                id: "A0f7".to_owned(),
                message: message_id(1),
                part: 1,
            }],
            early: None,
        };
        for (text, record) in [(SENT, sent), (PARKED, parked), (OWNED, owned)] {
            assert_eq!(Correlation::from_record(&unhex(text)).unwrap(), record);
            assert_eq!(record.to_record(), unhex(text));
        }
        let piece = Piece {
            number: 1,
            mo: mo_part(7, 2, 1, "hi"),
        };
        let open = Assembly::Open {
            total: 2,
            pieces: vec![piece],
            deadline: at(9),
            put_off: None,
        };
        let done = Assembly::Done {
            digests: vec![1, u64::MAX],
        };
        let last = LastReference { reference: 0x0102 };
        assert_eq!(LastReference::from_record(&unhex(LAST)).unwrap(), last);
        assert_eq!(last.to_record(), unhex(LAST));
        for (text, record) in [(OPEN, open), (DONE, done)] {
            assert_eq!(Assembly::from_record(&unhex(text)).unwrap(), record);
            assert_eq!(record.to_record(), unhex(text));
        }
    }
}
