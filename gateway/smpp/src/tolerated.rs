//! Names for what peers get wrong and we put up with, so that it can be counted instead of disturbing a session.
//!
//! The quirks are described in the project's notes on carriers. Invariant: the decoder accepts nothing outside the
//! specification without one of these names.

use std::fmt;

/// One departure from the specification that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tolerated {
    /// A C-octet string ran to the end of the PDU without its NUL.
    UnterminatedString,
    /// A C-octet string is longer than the specification allows.
    OverlongString,
    /// The PDU ended before a C-octet string; it counts as empty.
    MissingString,
    /// NULs follow short_message (or the last field) where nothing or a TLV may stand.
    TrailingNul,
    /// The last TLV is cut off, or what follows the fields is no TLV; ignored.
    TruncatedTlv,
    /// An answer with an error status carries a body.
    BodyOnError,
    /// An answer that should have a body has none.
    MissingBody,
    /// sm_length is larger than what follows; the rest of the PDU is the message.
    ShortMessageTruncated,
    /// sm_length is smaller than the message that plainly follows it; the longer one was taken.
    ShortMessageUnderstated,
    /// sm_length counts more than the 254 octets of SMPP 3.4 (255 fits the field).
    ShortMessageOverlong,
    /// sequence_number 0 or above 0x7FFFFFFF in a request.
    ReservedSequence,
    /// command_status is not zero in a request.
    StatusInRequest,
    /// A PDU without fields has a body; ignored.
    UnexpectedBody,
}

impl Tolerated {
    /// All of them, for tables and metrics.
    pub const ALL: [Self; 13] = [
        Self::UnterminatedString,
        Self::OverlongString,
        Self::MissingString,
        Self::TrailingNul,
        Self::TruncatedTlv,
        Self::BodyOnError,
        Self::MissingBody,
        Self::ShortMessageTruncated,
        Self::ShortMessageUnderstated,
        Self::ShortMessageOverlong,
        Self::ReservedSequence,
        Self::StatusInRequest,
        Self::UnexpectedBody,
    ];

    /// The word for logs and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnterminatedString => "unterminated_string",
            Self::OverlongString => "overlong_string",
            Self::MissingString => "missing_string",
            Self::TrailingNul => "trailing_nul",
            Self::TruncatedTlv => "truncated_tlv",
            Self::BodyOnError => "body_on_error",
            Self::MissingBody => "missing_body",
            Self::ShortMessageTruncated => "short_message_truncated",
            Self::ShortMessageUnderstated => "short_message_understated",
            Self::ShortMessageOverlong => "short_message_overlong",
            Self::ReservedSequence => "reserved_sequence",
            Self::StatusInRequest => "status_in_request",
            Self::UnexpectedBody => "unexpected_body",
        }
    }

    const fn bit(self) -> u16 {
        1 << (self as u8)
    }
}

impl fmt::Display for Tolerated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The departures found in one PDU.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ToleratedSet(u16);

impl ToleratedSet {
    /// None: the PDU is as the specification says.
    pub const NONE: Self = Self(0);

    /// Notes one.
    pub const fn insert(&mut self, quirk: Tolerated) {
        self.0 |= quirk.bit();
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn contains(self, quirk: Tolerated) -> bool {
        self.0 & quirk.bit() != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those found, in the order of the enum.
    pub fn iter(self) -> impl Iterator<Item = Tolerated> {
        Tolerated::ALL
            .into_iter()
            .filter(move |quirk| self.contains(*quirk))
    }
}

impl fmt::Debug for ToleratedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Tolerated> for ToleratedSet {
    fn from_iter<I: IntoIterator<Item = Tolerated>>(quirks: I) -> Self {
        let mut set = Self::NONE;
        for quirk in quirks {
            set.insert(quirk);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quirk_has_its_own_bit_and_its_own_name() {
        let all: ToleratedSet = Tolerated::ALL.into_iter().collect();
        assert_eq!(all.iter().count(), Tolerated::ALL.len());
        let names: std::collections::BTreeSet<_> = Tolerated::ALL.iter().map(|quirk| quirk.name()).collect();
        assert_eq!(names.len(), Tolerated::ALL.len());
        assert!(ToleratedSet::NONE.is_empty());
    }
}
