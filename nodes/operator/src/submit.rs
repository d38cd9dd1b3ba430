//! Makes submit_sm of a dispatch, as the operator's settings want it (SMPP 3.4 section 4.4.1).
//!
//! ```text
//! dispatch ─▶ address   source_addr, destination_addr: type, plan and form by kind of address
//!          ─▶ header    user data header, or the sar_* TLVs that stand for its concatenation
//!          ─▶ body      data_coding and octets, as the carrier reads data_coding 0
//!          ─▶ options   what the client asked for, as far as the operator passes it on
//!          ─▶ submit    validity, receipts, TLVs; SubmitBuilder writes and checks the whole
//! ```
//! Pure; time is an argument. Invariant SU-1: nothing is replaced or cut to make it fit: what the carrier cannot be
//! told is refused with its reason.
//!
//! schedule_delivery_time is always empty: a message for later waits here, where it can be cancelled and survives a change
//! of carrier, and is handed over when it is due.
//!
//! # Limits
//! A message class (flash) has no octet for ISO 8859-1 and is left out there, unless it is told by TLV. A part with more
//! than 254 octets goes into message_payload, header and all.

mod address;
mod body;
mod header;
mod options;
#[cfg(test)]
mod tests;

use header::Header;
use smsgw_config::{LongMessages, LongReceipts, Operator, Protocol, Receipts, ValidityFormat};
use smsgw_message::validity::{RelativeTime, SmppTime, ValidityBounds, ZoneOffset};
use smsgw_message::{Class, Dispatch, Part, ReportLevel, Timestamp, segment};
use smsgw_smpp::profile::LongMode;
use smsgw_smpp::submit::{Receipts as Asked, SubmitBuilder, SubmitError};
use smsgw_smpp::{COctets, SubmitSm, tlv};
use thiserror::Error;

/// Why a part cannot be told to this carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unsendable {
    /// A sender or recipient that no address field takes.
    #[error("address_not_encodable")]
    Address,
    /// `service_type` holds a NUL.
    #[error("service_type_not_encodable")]
    ServiceType,
    /// The carrier's alphabet lacks a character, and in UCS-2 the part would be too long.
    #[error("text_not_in_alphabet")]
    Alphabet,
    /// The user data header does not state its own length, or is too long.
    #[error("header_not_valid")]
    Header,
    /// A TLV that the carrier wants in every message was set by nobody (`tlvs_required`).
    #[error("required_tlv_missing")]
    RequiredTlv,
    /// Longer than any parameter takes.
    #[error("message_does_not_fit")]
    TooLong,
}

impl From<SubmitError> for Unsendable {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::FieldTooLong {
                field: "service_type",
                ..
            } => Self::ServiceType,
            SubmitError::FieldTooLong { .. } | SubmitError::CallbackNumber(_) => Self::Address,
            SubmitError::BadHeader
            | SubmitError::HeaderTooLong(_)
            | SubmitError::NoSuchPart { .. }
            | SubmitError::ReferenceTooLarge(_) => Self::Header,
            SubmitError::MessageTooLong(_)
            | SubmitError::PartInPayload
            | SubmitError::TlvTooLong(_)
            | SubmitError::Priority(_) => Self::TooLong,
        }
    }
}

/// What is sent, and whether a receipt will tell what became of it (its own, or that of the part that speaks for all).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submit {
    pub(crate) message: SubmitSm,
    pub(crate) receipt_asked: bool,
    /// What the client asked for and this operator does not pass on, by word.
    pub(crate) left_out: Vec<&'static str>,
}

/// Writes the part of `dispatch`, which waited in the lanes of `class`, for this operator.
pub(crate) fn submit(
    dispatch: &Dispatch,
    class: Class,
    operator: &Operator,
    now: Timestamp,
) -> Result<Submit, Unsendable> {
    let Header { octets, sar } = header::of(&dispatch.content.udh, operator.long_messages);
    let body = body::write(dispatch, octets, operator)?;
    let options = options::of(dispatch, class, operator, &body)?;
    let receipt_asked = match operator.receipts {
        Receipts::Always => true,
        Receipts::Never => false,
        Receipts::Asked => match dispatch.report {
            ReportLevel::None => false,
            ReportLevel::Final | ReportLevel::All => true,
        },
    };
    let asks = receipt_asked && speaks(dispatch, operator.long_receipts);
    let mut builder = SubmitBuilder::new(
        address::source(dispatch, operator)?,
        address::destination(dispatch, operator)?,
    )
    .service_type(options.service_type)
    .header(&body.header)
    .text(options.data_coding, body.octets)
    .validity(validity(operator, dispatch.valid_until, now))
    .receipts(if asks { Asked::Final } else { Asked::None })
    .priority(options.priority)
    .protocol_id(options.protocol_id)
    .replace_if_present(options.replace_if_present);
    if let Some(part) = sar {
        builder = builder.part(part, LongMode::Sar);
    } else if operator.long_messages == LongMessages::Payload && is_long(dispatch) {
        // More than one SMS: in short_message some carriers would cut it off instead of cutting it up.
        builder = builder.payload();
    }
    if let Some(subunit) = body.subunit {
        builder = builder.tlv(tlv::tag::DEST_ADDR_SUBUNIT, &[subunit]);
    }
    if operator.more_messages && dispatch.part < dispatch.parts {
        builder = builder.tlv(tlv::tag::MORE_MESSAGES_TO_SEND, &[1]);
    }
    if operator.protocol == Protocol::Http {
        let seconds = told_until(operator, dispatch.valid_until, now)
            .since(now)
            .as_secs();
        let own = format!(
            "{} {} {} {seconds} {}",
            dispatch.message,
            dispatch.part,
            dispatch.parts,
            dispatch.encoding.as_str()
        );
        builder = builder.tlv(crate::http::OWN_TLV, own.as_bytes());
    }
    for (tag, value) in &options.tlvs {
        builder = builder.tlv(*tag, value);
    }
    Ok(Submit {
        message: builder.build()?,
        receipt_asked,
        left_out: options.left_out,
    })
}

/// Whether it is more than one SMS.
fn is_long(dispatch: &Dispatch) -> bool {
    let Part { udh, data } = &dispatch.content;
    let octets = segment::room(dispatch.encoding, udh.len()).saturating_mul(dispatch.encoding.unit_octets());
    data.len() > octets
}

/// Whether a receipt of this part is wanted: where one part speaks for the message, the others are sent without asking.
fn speaks(dispatch: &Dispatch, rule: LongReceipts) -> bool {
    match rule {
        LongReceipts::All | LongReceipts::Any => true,
        LongReceipts::First => dispatch.part == 1,
        LongReceipts::Last => dispatch.part == dispatch.parts,
    }
}

/// The validity as far as the carrier takes it.
fn told_until(operator: &Operator, until: Timestamp, now: Timestamp) -> Timestamp {
    let bounds = ValidityBounds {
        least: None,
        most: operator.validity_max,
    };
    bounds.clamp(now, until).until
}

/// Empty where the carrier is not to be told, or where SMPP has no words for that time: its own default holds then, and
/// we stop trying at the end of the validity anyway.
fn validity(operator: &Operator, until: Timestamp, now: Timestamp) -> COctets {
    let until = told_until(operator, until, now);
    let time = match operator.validity {
        ValidityFormat::None => None,
        ValidityFormat::Absolute => Some(SmppTime::Absolute {
            at: until,
            zone: ZoneOffset::UTC,
        }),
        ValidityFormat::Relative => RelativeTime::between(now, until).map(SmppTime::Relative),
    };
    time.and_then(SmppTime::write)
        .and_then(|text| COctets::try_from(text).ok())
        .unwrap_or_default()
}
