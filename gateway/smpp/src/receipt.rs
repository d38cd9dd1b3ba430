//! Delivery receipts: what a carrier says about a message, from TLVs and from the text of Appendix B of SMPP 3.4.
//!
//! The format is "vendor specific" there and so it is: fields are missing, in any case, padded, without their label. TLVs
//! come first, gaps are filled from the text. Knows nothing of the message the receipt belongs to; ids stay strings,
//! because they are hexadecimal, zero padded or longer than any integer. Invariant: without an id there is no receipt.
//!
//! # Limits
//! Times are the carrier's local ones, without a zone. `err` is the text's where both are given: that is the number
//! carriers document; `network_error` keeps the TLV.

use crate::{
    address::Address,
    esm_class,
    pdu::{DeliverSm, ShortMessage},
    time::LocalTime,
    tlv::{TlvTooLong, Tlvs, tag},
};
use bytes::Bytes;

pub use crate::esm_class::is_receipt;

/// State of the message, SMPP 3.4 §5.2.28 and Appendix B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReceiptState {
    /// On its way.
    Enroute,
    /// At the phone.
    Delivered,
    /// Validity is over.
    Expired,
    /// Cancelled.
    Deleted,
    /// Cannot be delivered.
    Undeliverable,
    /// Read on behalf of the subscriber by customer service; many carriers: taken over by the next network.
    Accepted,
    /// The carrier does not know.
    Unknown,
    /// Refused.
    Rejected,
    /// A word or number that is none of the others; `state_text` has it.
    Unrecognised,
}

impl ReceiptState {
    /// Whether no other state follows, unless the carrier's profile says otherwise.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Delivered
            | Self::Expired
            | Self::Deleted
            | Self::Undeliverable
            | Self::Unknown
            | Self::Rejected => true,
            Self::Enroute | Self::Accepted | Self::Unrecognised => false,
        }
    }

    /// The word of Appendix B.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enroute => "ENROUTE",
            Self::Delivered => "DELIVRD",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Undeliverable => "UNDELIV",
            Self::Accepted => "ACCEPTD",
            Self::Unknown | Self::Unrecognised => "UNKNOWN",
            Self::Rejected => "REJECTD",
        }
    }

    /// The number of message_state.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Enroute => 1,
            Self::Delivered => 2,
            Self::Expired => 3,
            Self::Deleted => 4,
            Self::Undeliverable => 5,
            Self::Accepted => 6,
            Self::Unknown | Self::Unrecognised => 7,
            Self::Rejected => 8,
        }
    }

    /// From message_state; 0 and 9 are those of version 5 (scheduled, skipped).
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 | 1 => Self::Enroute,
            2 => Self::Delivered,
            3 => Self::Expired,
            4 => Self::Deleted,
            5 | 9 => Self::Undeliverable,
            6 => Self::Accepted,
            7 => Self::Unknown,
            8 => Self::Rejected,
            _ => Self::Unrecognised,
        }
    }

    /// From the word, in any case, with those that carriers use beside the specification.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "ENROUTE" | "SCHEDULED" | "BUFFRED" | "BUFFERD" | "BUFFERED" => Self::Enroute,
            "DELIVRD" | "DELIVERED" | "DELIVRED" => Self::Delivered,
            "EXPIRED" => Self::Expired,
            "DELETED" => Self::Deleted,
            "UNDELIV" | "UNDELIVERABLE" | "UNDELIVERED" | "FAILED" | "SKIPPED" => Self::Undeliverable,
            "ACCEPTD" | "ACCEPTED" | "ACKED" => Self::Accepted,
            "UNKNOWN" => Self::Unknown,
            "REJECTD" | "REJECTED" => Self::Rejected,
            _ => Self::Unrecognised,
        }
    }
}

/// A receipt as the carrier sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The carrier's id of the message.
    pub id: String,
    /// What became of it.
    pub state: ReceiptState,
    /// The word or number behind `state`.
    pub state_text: Option<String>,
    /// The carrier's error, not always a number.
    pub err: Option<String>,
    /// network_error_code: network type and code.
    pub network_error: Option<(u8, u16)>,
    /// How many parts were submitted, as written.
    pub sub: Option<String>,
    /// How many were delivered, as written.
    pub dlvrd: Option<String>,
    /// As written.
    pub submit_date: Option<String>,
    /// As written.
    pub done_date: Option<String>,
    /// `submit_date` read, in the carrier's local time.
    pub submit_time: Option<LocalTime>,
    /// `done_date` read, in the carrier's local time.
    pub done_time: Option<LocalTime>,
    /// The beginning of the message, when given.
    pub text: Option<Vec<u8>>,
}

/// The labels of Appendix B. `text` is last: what follows it is not searched.
const LABELS: [&[u8]; 8] = [
    b"id:",
    b"sub:",
    b"dlvrd:",
    b"submit date:",
    b"done date:",
    b"stat:",
    b"err:",
    b"text:",
];

impl Receipt {
    /// Reads the receipt in a deliver_sm or data_sm, wherever it stands. Does not look at esm_class: see [`is_receipt`].
    /// `None` when neither TLVs nor text give an id.
    #[must_use]
    pub fn parse(message: &ShortMessage) -> Option<Self> {
        let payload = message.payload();
        let text = TextReceipt::parse(payload);
        // Some set the header indicator on receipts that have none, so the header is only skipped when nothing was found.
        let text = if text.id.is_none() && esm_class::has_udh(message.esm_class) {
            let header = payload
                .first()
                .map_or(0, |len| usize::from(*len).saturating_add(1));
            TextReceipt::parse(payload.get(header..).unwrap_or(&[]))
        } else {
            text
        };
        Self::combine(&message.tlvs, text)
    }

    fn combine(tlvs: &Tlvs, text: TextReceipt) -> Option<Self> {
        let id = tlvs
            .get(tag::RECEIPTED_MESSAGE_ID)
            .map(c_string)
            .filter(|id| !id.is_empty())
            .or(text.id)?;
        let number = tlvs
            .get(tag::MESSAGE_STATE)
            .and_then(|value| value.first().copied());
        let (state, state_text) = match (number, text.stat) {
            (Some(number), word) => (
                ReceiptState::from_number(number),
                word.or_else(|| Some(number.to_string())),
            ),
            (None, Some(word)) => (ReceiptState::from_word(&word), Some(word)),
            (None, None) => (ReceiptState::Unrecognised, None),
        };
        let network = tlvs.get(tag::NETWORK_ERROR_CODE);
        // Three ASCII digits instead of type and code come from one widespread SMSC.
        let digits = network
            .filter(|value| value.len() == 3 && value.iter().all(u8::is_ascii_digit))
            .map(c_string);
        let network_error = match network {
            Some([kind, high, low]) if digits.is_none() => Some((*kind, u16::from_be_bytes([*high, *low]))),
            Some(_) | None => None,
        };
        let err = text
            .err
            .or(digits)
            .or_else(|| network_error.map(|(_, code)| code.to_string()));
        Some(Self {
            id,
            state,
            state_text,
            err,
            network_error,
            sub: text.sub,
            dlvrd: text.dlvrd,
            submit_time: text.submit_date.as_deref().and_then(LocalTime::parse),
            done_time: text.done_date.as_deref().and_then(LocalTime::parse),
            submit_date: text.submit_date,
            done_date: text.done_date,
            text: text.text,
        })
    }
}

#[derive(Debug, Default)]
struct TextReceipt {
    id: Option<String>,
    sub: Option<String>,
    dlvrd: Option<String>,
    submit_date: Option<String>,
    done_date: Option<String>,
    stat: Option<String>,
    err: Option<String>,
    text: Option<Vec<u8>>,
}

impl TextReceipt {
    fn parse(payload: &[u8]) -> Self {
        let narrowed = narrow(payload);
        let payload = narrowed.as_deref().unwrap_or(payload);
        let (fields, text) = match find(payload, b"text:") {
            Some(at) => payload.split_at_checked(at).unwrap_or((payload, &[])),
            None => (payload, &[][..]),
        };
        let value = |label: &[u8]| {
            let value = fields
                .get(find(fields, label)?.saturating_add(label.len())..)?
                .trim_ascii_start();
            let word = first_word(value);
            let is_label = LABELS.iter().any(|label| starts_with(value, label));
            (!word.is_empty() && !is_label).then(|| String::from_utf8_lossy(word).into_owned())
        };
        let stat = value(b"stat:").or_else(|| {
            // Some leave the label out: the state then stands between the fields.
            let words = fields
                .split(|byte| byte.is_ascii_whitespace())
                .filter_map(|word| std::str::from_utf8(word).ok());
            words
                .into_iter()
                .find(|word| ReceiptState::from_word(word) != ReceiptState::Unrecognised)
                .map(str::to_owned)
        });
        Self {
            id: value(b"id:"),
            sub: value(b"sub:"),
            dlvrd: value(b"dlvrd:"),
            submit_date: value(b"submit date:"),
            done_date: value(b"done date:"),
            stat,
            err: value(b"err:"),
            text: text.get(b"text:".len()..).map(<[u8]>::to_vec),
        }
    }
}

/// UCS-2 of ASCII, made ASCII.
fn narrow(payload: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = payload.as_chunks::<2>() else {
        return None;
    };
    let wide = !pairs.is_empty() && pairs.iter().all(|[high, _]| *high == 0);
    wide.then(|| pairs.iter().map(|[_, low]| *low).collect())
}

fn starts_with(bytes: &[u8], label: &[u8]) -> bool {
    bytes
        .get(..label.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(label))
}

/// Where a label stands that is not the end of a longer word.
fn find(bytes: &[u8], label: &[u8]) -> Option<usize> {
    let mut before = None;
    for (at, byte) in bytes.iter().enumerate() {
        let inside = before.is_some_and(|byte: u8| byte.is_ascii_alphanumeric());
        if !inside && starts_with(bytes.get(at..).unwrap_or(&[]), label) {
            return Some(at);
        }
        before = Some(*byte);
    }
    None
}

fn first_word(bytes: &[u8]) -> &[u8] {
    bytes
        .split(|byte| byte.is_ascii_whitespace() || *byte == 0)
        .next()
        .unwrap_or(&[])
}

fn c_string(value: &[u8]) -> String {
    let until = value.split(|byte| *byte == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(until).trim().to_owned()
}

/// A receipt to be written, for clients bound to us and for the simulated carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptText {
    /// Our id of the message.
    pub id: String,
    /// Parts submitted, 999 at most.
    pub sub: u16,
    /// Parts delivered, 999 at most.
    pub dlvrd: u16,
    /// When it was submitted.
    pub submitted: LocalTime,
    /// When it came to this state.
    pub done: LocalTime,
    /// What became of it.
    pub state: ReceiptState,
    /// Error, three digits by custom.
    pub err: String,
    /// The beginning of the message; 20 octets are written.
    pub text: Vec<u8>,
}

impl ReceiptText {
    /// The text of Appendix B:
    /// `id:… sub:001 dlvrd:001 submit date:YYMMDDhhmm done date:YYMMDDhhmm stat:DELIVRD err:000 text:…`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!(
            "id:{} sub:{:03} dlvrd:{:03} submit date:{} done date:{} stat:{} err:{} text:",
            self.id,
            self.sub.min(999),
            self.dlvrd.min(999),
            self.submitted.to_minutes(),
            self.done.to_minutes(),
            self.state.word(),
            self.err,
        )
        .into_bytes();
        out.extend(self.text.iter().take(20));
        out
    }

    /// A deliver_sm with text and TLVs, from the destination of the message to its source.
    ///
    /// # Errors
    /// When the id is too long for a TLV.
    pub fn to_deliver_sm(&self, from: Address, to: Address) -> Result<DeliverSm, TlvTooLong> {
        let mut tlvs = Tlvs::new();
        let mut id = self.id.as_bytes().to_vec();
        id.push(0);
        tlvs.push(tag::RECEIPTED_MESSAGE_ID, &id)?;
        tlvs.push(tag::MESSAGE_STATE, &[self.state.number()])?;
        let esm_class = if self.state.is_final() {
            esm_class::RECEIPT
        } else {
            esm_class::INTERMEDIATE
        };
        Ok(DeliverSm {
            source: from,
            destination: to,
            esm_class,
            short_message: Bytes::from(self.to_bytes()),
            tlvs,
            ..DeliverSm::default()
        })
    }
}

#[cfg(test)]
mod tests;
