//! Delivery receipts: what a carrier says about a message, from TLVs and from the text of Appendix B of SMPP 3.4.
//!
//! The format is "vendor specific" there and so it is: fields are missing, in any case, padded, without their label. TLVs
//! come first, gaps are filled from the text, and where the two disagree that is noted. Knows nothing of the message the
//! receipt belongs to; ids stay strings ([`message_id`]), because they are hexadecimal, zero padded or longer than any
//! integer. Invariant: without an id there is no receipt.
//!
//! # Limits
//! Times are the carrier's local ones, without a zone. `err` is the text's where both are given: that is the number
//! carriers document; `network_error` keeps the TLV.

mod state;
mod text;
mod write;

use crate::{
    esm_class, message_id,
    pdu::ShortMessage,
    time::LocalTime,
    tlv::{Tlvs, tag},
    tolerated::{Tolerated, ToleratedSet},
};
use text::TextReceipt;

pub use crate::esm_class::is_receipt;
pub use state::{ReceiptState, StateMap};
pub use write::{ReceiptForm, ReceiptText};

/// When a delivery without the bits of esm_class that make it a receipt is one all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unflagged {
    /// Never.
    Never,
    /// When receipted_message_id and message_state are there, which no phone can set.
    #[default]
    Tlvs,
    /// Also when its text has the whole form of Appendix B. Anybody with a phone can write such a text and claim that a
    /// message was delivered, so only for a carrier that never sets the bits.
    Text,
}

/// How one carrier's receipts are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiptProfile {
    /// Receipts that do not say that they are.
    pub unflagged: Unflagged,
    /// Words and numbers that mean something else there.
    pub states: StateMap,
}

/// What a delivery turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart where it is made, never kept"
)]
pub enum Reading {
    /// Something else: a message of a phone.
    None,
    /// A receipt.
    Receipt(Receipt),
    /// It says that it is a receipt, and cannot be matched with any message.
    Unreadable(Unreadable),
}

/// Why a receipt cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Neither TLVs nor text have an id.
    #[error("the receipt has no id")]
    NoId,
    /// The id is longer than any that is kept ([`message_id::MAX`]).
    #[error("the receipt's id has {0} octets, more than {max}", max = message_id::MAX)]
    IdTooLong(usize),
}

/// A receipt as the carrier sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The carrier's id of the message, in its canonical form ([`message_id`]).
    pub id: String,
    /// The id in the text, where the TLV has another one.
    pub text_id: Option<String>,
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
    /// What had to be put up with.
    pub tolerated: ToleratedSet,
}

impl Receipt {
    /// Reads a deliver_sm or data_sm of a carrier: whether it is a receipt, and what it says.
    #[must_use]
    pub fn read(message: &ShortMessage, profile: &ReceiptProfile) -> Reading {
        let flagged = is_receipt(message.esm_class);
        if !flagged && !is_unflagged_receipt(message, profile.unflagged) {
            return Reading::None;
        }
        match combine(message, &profile.states) {
            Ok(mut receipt) => {
                if !flagged {
                    receipt.tolerated.insert(Tolerated::ReceiptUnflagged);
                }
                Reading::Receipt(receipt)
            }
            Err(why) if flagged => Reading::Unreadable(why),
            Err(_) => Reading::None,
        }
    }

    /// Reads the receipt in a deliver_sm or data_sm, wherever it stands. Does not look at esm_class: see [`Receipt::read`].
    /// `None` when neither TLVs nor text give an id that can be kept.
    #[must_use]
    pub fn parse(message: &ShortMessage) -> Option<Self> {
        combine(message, &StateMap::new()).ok()
    }
}

fn is_unflagged_receipt(message: &ShortMessage, unflagged: Unflagged) -> bool {
    let by_tlvs = || {
        let has = |tag| message.tlvs.get(tag).is_some();
        has(tag::RECEIPTED_MESSAGE_ID) && has(tag::MESSAGE_STATE)
    };
    match unflagged {
        Unflagged::Never => false,
        Unflagged::Tlvs => by_tlvs(),
        Unflagged::Text => by_tlvs() || text::is_whole_form(message.payload()),
    }
}

fn combine(message: &ShortMessage, states: &StateMap) -> Result<Receipt, Unreadable> {
    let payload = message.payload();
    let mut text = TextReceipt::parse(payload, states);
    // Some set the header indicator on receipts that have none, so the header is only skipped when nothing was found.
    if text.id.is_none() && esm_class::has_udh(message.esm_class) {
        let header = payload
            .first()
            .map_or(0, |len| usize::from(*len).saturating_add(1));
        text = TextReceipt::parse(payload.get(header..).unwrap_or(&[]), states);
    }
    let mut tolerated = ToleratedSet::NONE;
    if !payload.is_empty() && text.is_incomplete() {
        tolerated.insert(Tolerated::ReceiptFieldsMissing);
    }
    if text.trailing {
        tolerated.insert(Tolerated::ReceiptTrailing);
    }
    let (id, text_id) = id(&message.tlvs, text.id.take(), &mut tolerated)?;
    let (state, state_text) = state(&message.tlvs, &text, states, &mut tolerated);
    let (network_error, digits) = network_error(&message.tlvs, &mut tolerated);
    let err = text
        .err
        .or(digits)
        .or_else(|| network_error.map(|(_, code)| code.to_string()));
    Ok(Receipt {
        id,
        text_id,
        state,
        state_text,
        err,
        network_error,
        sub: text.sub,
        dlvrd: text.dlvrd,
        submit_time: date(text.submit_date.as_deref(), &mut tolerated),
        done_time: date(text.done_date.as_deref(), &mut tolerated),
        submit_date: text.submit_date,
        done_date: text.done_date,
        text: text.text,
        tolerated,
    })
}

/// The id, and the text's where that is another one.
fn id(
    tlvs: &Tlvs,
    in_text: Option<String>,
    tolerated: &mut ToleratedSet,
) -> Result<(String, Option<String>), Unreadable> {
    let in_tlv = tlvs
        .text(tag::RECEIPTED_MESSAGE_ID)
        .map(message_id::canonical)
        .filter(|id| !id.is_empty());
    let (id, other) = match (in_tlv, in_text) {
        (Some(tlv), Some(text)) if tlv != text => {
            tolerated.insert(Tolerated::ReceiptDisagrees);
            (tlv, Some(text))
        }
        (Some(id), _) | (None, Some(id)) => (id, None),
        (None, None) => return Err(Unreadable::NoId),
    };
    // Escapes make the text longer than the octets, which are what is limited.
    if id.len() > message_id::MAX {
        let len = message_id::octets(&id).map_or(id.len(), |octets| octets.len());
        if len > message_id::MAX {
            return Err(Unreadable::IdTooLong(len));
        }
    }
    Ok((id, other))
}

fn state(
    tlvs: &Tlvs,
    text: &TextReceipt,
    states: &StateMap,
    tolerated: &mut ToleratedSet,
) -> (ReceiptState, Option<String>) {
    let number = tlvs.integer(tag::MESSAGE_STATE);
    if let Some(word) = &text.stat {
        if text.unlabelled {
            tolerated.insert(Tolerated::ReceiptStateUnlabelled);
        }
        let read = states.of_word(word);
        if read == ReceiptState::Unrecognised || read.word() != word {
            tolerated.insert(Tolerated::ReceiptStateWord);
        }
        // Appendix B has fewer words than 5.0 has numbers.
        if number.is_some_and(|number| states.of_number(number).word() != read.word()) {
            tolerated.insert(Tolerated::ReceiptDisagrees);
        }
    }
    match (number, &text.stat) {
        (Some(number), word) => {
            let read = states.of_number(number);
            if read == ReceiptState::Unrecognised {
                tolerated.insert(Tolerated::ReceiptStateWord);
            }
            (read, word.clone().or_else(|| Some(number.to_string())))
        }
        (None, Some(word)) => (states.of_word(word), Some(word.clone())),
        (None, None) => (ReceiptState::Unrecognised, None),
    }
}

/// network_error_code, or the three ASCII digits that one widespread SMSC writes instead of type and code.
fn network_error(tlvs: &Tlvs, tolerated: &mut ToleratedSet) -> (Option<(u8, u16)>, Option<String>) {
    match tlvs.get(tag::NETWORK_ERROR_CODE) {
        None => (None, None),
        Some(&[kind, high, low]) if ![kind, high, low].iter().all(u8::is_ascii_digit) => {
            (Some((kind, u16::from_be_bytes([high, low]))), None)
        }
        Some(other) => {
            tolerated.insert(Tolerated::NetworkErrorDigits);
            let digits = other.split(|octet| *octet == 0).next().unwrap_or(&[]);
            let readable = !digits.is_empty() && digits.iter().all(u8::is_ascii_graphic);
            let text = || digits.iter().copied().map(char::from).collect();
            (None, readable.then(text))
        }
    }
}

fn date(text: Option<&str>, tolerated: &mut ToleratedSet) -> Option<LocalTime> {
    let text = text?;
    let time = LocalTime::parse(text);
    if time.is_none() || text.len() != 10 {
        tolerated.insert(Tolerated::ReceiptDate);
    }
    time
}

#[cfg(test)]
mod tests;
