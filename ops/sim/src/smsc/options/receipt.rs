//! How receipts look and travel.

use super::super::rule::StateWord;
use crate::span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a receipt says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptForm {
    /// In the text and in TLVs.
    #[default]
    Both,
    /// In the text only.
    Text,
    /// In TLVs only; short_message is empty.
    Tlv,
    /// As text, in message_payload (quirk 12).
    Payload,
    /// In the text, and receipted_message_id without message_state (quirk 10).
    IdTlv,
    /// In the text, and message_state without receipted_message_id (quirk 10).
    StateTlv,
    /// In data_sm: TLVs, and the text in message_payload (quirk 12).
    DataSm,
}

/// Forms of the text (quirk 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptText {
    /// As in SMPP 3.4 Appendix B.
    #[default]
    Proper,
    /// Without `sub` and `dlvrd`.
    NoCounts,
    /// Without `text`.
    NoText,
    /// Without `sub`, `dlvrd` and `text`.
    Bare,
    /// `Text:` instead of `text:`.
    CapitalText,
    /// Values padded on the left: `err: 042`.
    Padded,
    /// `stat:delivrd`.
    LowerCase,
    /// All labels in upper case.
    UpperLabels,
    /// Without the word `stat:`: `… done date:180903120816 DELIVRD err:000`.
    NoStatLabel,
    /// Four digits of error: `err:0000`.
    LongErr,
    /// `err:nul`.
    WordErr,
    /// Octets that are no text after the text.
    BinaryTail,
    /// No blank or text after the last field.
    NoTail,
    /// `submit_date` and `done_date` with an underscore.
    Underscores,
}

/// Forms of dates (quirk 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateForm {
    /// YYMMDDhhmm.
    #[default]
    Minutes,
    /// YYMMDDhhmmss.
    Seconds,
    /// YYYYMMDDhhmm.
    Century,
    /// YYYYMMDDhhmmss.
    CenturySeconds,
    /// No date at all after the label.
    Empty,
}

/// What TLVs and text disagree about (quirk 10). The TLV is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disagreement {
    /// Nothing.
    #[default]
    None,
    /// The text says another id.
    Id,
    /// The text says another state.
    State,
    /// Both.
    Both,
}

/// network_error_code (quirk 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkError {
    /// Left out.
    #[default]
    None,
    /// Network type and two octets.
    Proper,
    /// Three ASCII digits.
    Ascii,
}

/// Which bind a receipt goes to (quirk 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptBind {
    /// Any of the account that receives, in turn.
    #[default]
    Any,
    /// The one that submitted, as long as it is there.
    Same,
    /// Never the one that submitted, as long as another is there.
    Other,
    /// A receiver, as long as there is one; never a transceiver then.
    Receiver,
    /// Only binds made after the one that submitted was lost.
    Reconnected,
}

/// Which parts of a long message get a receipt (quirk 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptedPart {
    /// Each.
    #[default]
    Each,
    /// The first only.
    First,
    /// The last only.
    Last,
    /// One, chosen by the reference.
    Arbitrary,
    /// The first and the last.
    Several,
}

/// Receipts: quirks 6 to 16.
#[derive(Debug, Clone, PartialEq, Default, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiptQuirks {
    /// Form of the text (quirk 7).
    #[arg(id = "receipt-text", long = "receipt-text", value_enum, default_value_t = ReceiptText::Proper)]
    pub text: ReceiptText,
    /// Form of its dates (quirk 8).
    #[arg(id = "receipt-dates", long = "receipt-dates", value_enum, default_value_t = DateForm::Minutes)]
    pub dates: DateForm,
    /// Minutes that the carrier's local time is ahead of UTC (quirk 8).
    #[arg(
        id = "receipt-zone",
        long = "receipt-zone",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub zone: i32,
    /// Intermediate states sent before the final one, such as `enroute,acceptd` (quirk 9).
    #[arg(id = "intermediate", long = "intermediate", value_delimiter = ',')]
    pub intermediate: Vec<StateWord>,
    /// What text and TLVs disagree about (quirk 10).
    #[arg(id = "receipt-disagree", long = "receipt-disagree", value_enum, default_value_t = Disagreement::None)]
    pub disagree: Disagreement,
    /// network_error_code (quirk 11).
    #[arg(id = "network-error", long = "network-error", value_enum, default_value_t = NetworkError::None)]
    pub network_error: NetworkError,
    /// esm_class of receipts: 0x44 or 0xc4 with bits that mean nothing, 0 for carriers that never set it (quirk 13).
    #[arg(id = "receipt-esm-class", long = "receipt-esm-class", value_parser = span::octet)]
    pub esm_class: Option<u8>,
    /// Send a receipt (REJECTD) for refused submits too (quirk 14: status 0x45 and a receipt).
    #[arg(id = "receipt-for-refused", long = "receipt-for-refused")]
    pub for_refused: bool,
    /// Which parts of a long message get one (quirk 15).
    #[arg(id = "receipt-part", long = "receipt-part", value_enum, default_value_t = ReceiptedPart::Each)]
    pub part: ReceiptedPart,
    /// Which bind it goes to (quirk 6).
    #[arg(id = "receipt-bind", long = "receipt-bind", value_enum, default_value_t = ReceiptBind::Any)]
    pub bind: ReceiptBind,
    /// Time between an intermediate state and what follows.
    #[arg(id = "intermediate-delay", long = "intermediate-delay", value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub intermediate_delay: Duration,
    /// Share of receipts about ids that nobody was given.
    #[arg(id = "stray-receipts", long = "stray-receipts", default_value_t = 0.0)]
    pub stray: f64,
}
