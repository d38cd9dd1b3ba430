//! What only the router writes: unfinished long MO, and the last reference of long messages.
//!
//! ```text
//! ref/<phone>         LastReference of long messages to a phone
//! mo/<key>            Assembly      Open: parts that wait for the others
//!                                   Done: what was delivered, so that a repeated part is recognised
//! ```
//! Kinds 33 and 36 of the record format. Knows no rule: `assemble` and `recut` decide.

use minicbor::{Decode, Encode};
use smsgw_message::{LinkGroup, Mo, Record, Timestamp};

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
    use crate::fixtures::{at, mo_part};

    /// Records as they were written when their version was released. They must be read for ever, so these texts are
    /// added to and never changed.
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
