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
    /// A time is neither empty nor sixteen characters long; it stays as it is.
    TimeForm,
    /// The list of destinations that were not taken ends early; what is there was kept.
    TruncatedList,
    /// The id in an answer has more octets than anybody keeps; it counts as none.
    MessageIdRefused,
    /// A known TLV has a length that its definition does not allow; it stays as it is.
    TlvLength,
    /// A known TLV stands in a PDU that does not have it; it stays there.
    TlvMisplaced,
    /// A TLV that may stand once stands more often; all stay, the first is read.
    TlvRepeated,
    /// A peer that speaks SMPP 3.3 sends TLVs, which that version does not have; they are read.
    TlvFromOldVersion,
    /// A receipt without the bits of esm_class that say so, known by its text or TLVs.
    ReceiptUnflagged,
    /// TLVs and text of a receipt say different things; the TLVs were taken.
    ReceiptDisagrees,
    /// The text of a receipt lacks fields of Appendix B, or the whole text is missing.
    ReceiptFieldsMissing,
    /// The state stands in the text of a receipt without `stat:` before it.
    ReceiptStateUnlabelled,
    /// The state is a word or number that the specification does not have.
    ReceiptStateWord,
    /// A date in a receipt is not `YYMMDDhhmm`.
    ReceiptDate,
    /// Octets that are no text follow the fields of a receipt.
    ReceiptTrailing,
    /// network_error_code is three ASCII digits, or has no three octets.
    NetworkErrorDigits,
}

impl Tolerated {
    /// All of them, for tables and metrics.
    pub const ALL: [Self; 28] = [
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
        Self::TimeForm,
        Self::TruncatedList,
        Self::MessageIdRefused,
        Self::TlvLength,
        Self::TlvMisplaced,
        Self::TlvRepeated,
        Self::TlvFromOldVersion,
        Self::ReceiptUnflagged,
        Self::ReceiptDisagrees,
        Self::ReceiptFieldsMissing,
        Self::ReceiptStateUnlabelled,
        Self::ReceiptStateWord,
        Self::ReceiptDate,
        Self::ReceiptTrailing,
        Self::NetworkErrorDigits,
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
            Self::TimeForm => "time_form",
            Self::TruncatedList => "truncated_list",
            Self::MessageIdRefused => "message_id_refused",
            Self::TlvLength => "tlv_length",
            Self::TlvMisplaced => "tlv_misplaced",
            Self::TlvRepeated => "tlv_repeated",
            Self::TlvFromOldVersion => "tlv_from_old_version",
            Self::ReceiptUnflagged => "receipt_unflagged",
            Self::ReceiptDisagrees => "receipt_disagrees",
            Self::ReceiptFieldsMissing => "receipt_fields_missing",
            Self::ReceiptStateUnlabelled => "receipt_state_unlabelled",
            Self::ReceiptStateWord => "receipt_state_word",
            Self::ReceiptDate => "receipt_date",
            Self::ReceiptTrailing => "receipt_trailing",
            Self::NetworkErrorDigits => "network_error_digits",
        }
    }

    const fn bit(self) -> u32 {
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
pub struct ToleratedSet(u32);

impl ToleratedSet {
    /// None: the PDU is as the specification says.
    pub const NONE: Self = Self(0);

    /// Notes one.
    pub const fn insert(&mut self, quirk: Tolerated) {
        self.0 |= quirk.bit();
    }

    /// Notes all of another set.
    pub const fn extend(&mut self, other: Self) {
        self.0 |= other.0;
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
