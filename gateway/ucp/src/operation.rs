//! Operations and results, field by field (EMI-UCP 4.0 sections 4 to 6).
//!
//! A field is kept as it stood on the wire ([`Text`]); what it means is read by [`crate::content`], [`crate::address`] and
//! [`crate::xser`]. So whatever a peer sent is written the same again, error codes with two digits.
//!
//! Tolerated and counted: fields missing at the end count as not given, and so does MVP of a result that has one field less; fields
//! beyond the last are left out.
//!
//! # Limits
//! The 4-digit operations of provisioning (STYP 4 and 6 of operation 60) are read and written; what they carry is not known here.

mod layout;

pub use layout::{Alert, CallInput, Message, MultipleRest, ServicesHead, ServicesRest, Session, Transfer};

use crate::error_code::ErrorCode;
use crate::frame::{Frame, Head, OperationType, Trn, write};
use crate::text::Text;
use thiserror::Error;

/// Addresses of one operation at most, for 02 and 03.
pub const MAX_ADDRESSES: usize = 20;

/// Why the fields of a frame are no operation or result. The peer is told [`ErrorCode::SYNTAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SyntaxError {
    /// A field with octets that cannot stand in one.
    #[error("field {0} has octets that are no text")]
    NoText(usize),
    /// The number of addresses is missing, or above [`MAX_ADDRESSES`].
    #[error("the number of addresses is none, or too large")]
    Addresses,
    /// A result that begins with neither `A` nor `N`.
    #[error("the result is neither positive nor negative")]
    NoResult,
    /// A negative result without an error code.
    #[error("the error code is no number")]
    NoErrorCode,
}

/// What a peer did that the standard does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tolerated {
    /// Fields that are missing: at the end, and MVP.
    pub missing: usize,
    /// Fields beyond the last.
    pub surplus: usize,
}

impl Tolerated {
    /// Whether all was as it should be.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Takes fields in order.
struct Reader<'a> {
    fields: std::slice::Iter<'a, &'a [u8]>,
    read: usize,
    tolerated: Tolerated,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Text, SyntaxError> {
        self.read = self.read.saturating_add(1);
        let Some(field) = self.fields.next() else {
            self.tolerated.missing = self.tolerated.missing.saturating_add(1);
            return Ok(Text::default());
        };
        let text = std::str::from_utf8(field).ok().and_then(Text::new);
        text.ok_or(SyntaxError::NoText(self.read))
    }

    fn addresses(&mut self, count: &Text) -> Result<Vec<Text>, SyntaxError> {
        let count = if count.is_empty() {
            Some(0)
        } else {
            count.to_number()
        };
        let count = count.and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| *count <= MAX_ADDRESSES);
        (0..count.ok_or(SyntaxError::Addresses)?)
            .map(|_| self.next())
            .collect()
    }
}

/// Which of operations 51 to 58 a [`Message`] belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// 51, to the centre.
    Submit,
    /// 52, a message from a phone.
    Deliver,
    /// 53, what became of a message.
    Notification,
    /// 54, changes a message that waits.
    Modify,
    /// 55, asks about messages.
    Inquiry,
    /// 56, deletes messages.
    Delete,
    /// 57, answers an inquiry.
    InquiryResponse,
    /// 58, answers a deletion.
    DeleteResponse,
}

impl MessageKind {
    const ALL: [Self; 8] = [
        Self::Submit,
        Self::Deliver,
        Self::Notification,
        Self::Modify,
        Self::Inquiry,
        Self::Delete,
        Self::InquiryResponse,
        Self::DeleteResponse,
    ];

    /// Its OT.
    #[must_use]
    pub const fn ot(self) -> OperationType {
        OperationType(match self {
            Self::Submit => 51,
            Self::Deliver => 52,
            Self::Notification => 53,
            Self::Modify => 54,
            Self::Inquiry => 55,
            Self::Delete => 56,
            Self::InquiryResponse => 57,
            Self::DeleteResponse => 58,
        })
    }
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// 01.
    CallInput(CallInput),
    /// 02: one message to several.
    Multiple {
        /// RAds: recipients, at most [`MAX_ADDRESSES`].
        recipients: Vec<Text>,
        /// The rest.
        rest: MultipleRest,
    },
    /// 03: with supplementary services.
    Services {
        /// Before the addresses.
        head: ServicesHead,
        /// GAs: more addresses, at most [`MAX_ADDRESSES`].
        addresses: Vec<Text>,
        /// Behind them.
        rest: Box<ServicesRest>,
    },
    /// 30.
    Transfer(Box<Transfer>),
    /// 31.
    Alert(Alert),
    /// 51 to 58.
    Message(MessageKind, Box<Message>),
    /// 60.
    Session(Box<Session>),
    /// 61.
    List(Box<Session>),
    /// One that is not known here, with its fields.
    Unknown(OperationType, Vec<Text>),
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `A`: taken.
    Ack {
        /// MVP: the validity as the centre shortened it, DDMMYYHHmm; only for 30 and 51 to 58.
        mvp: Text,
        /// SM: `AdC:SCTS` where a message was taken, else anything.
        sm: Text,
    },
    /// `N`: refused.
    Nack {
        /// EC; read with any number of digits, written with two.
        code: ErrorCode,
        /// SM: words, or anything.
        sm: Text,
    },
}

impl Outcome {
    /// Taken, with nothing more to say.
    #[must_use]
    pub fn ack() -> Self {
        Self::Ack {
            mvp: Text::default(),
            sm: Text::default(),
        }
    }

    /// Refused, in the words of the standard.
    #[must_use]
    pub fn nack(code: ErrorCode) -> Self {
        let sm = Text::new(code.words()).unwrap_or_default();
        Self::Nack { code, sm }
    }

    /// `AdC` and `SCTS` of a message that was taken: what its notifications are matched by.
    #[must_use]
    pub fn key(&self) -> Option<(&str, &str)> {
        match self {
            Self::Ack { sm, .. } => sm.as_str().rsplit_once(':'),
            Self::Nack { .. } => None,
        }
    }
}

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// An operation.
    Operation(Operation),
    /// The result of one of that type.
    Result(OperationType, Outcome),
}

/// A frame in terms of the standard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    /// Pairs operation and result.
    pub trn: Trn,
    /// The rest.
    pub body: Body,
}

impl Operation {
    /// Its OT.
    #[must_use]
    pub fn ot(&self) -> OperationType {
        match self {
            Self::CallInput(_) => OperationType(1),
            Self::Multiple { .. } => OperationType(2),
            Self::Services { .. } => OperationType(3),
            Self::Transfer(_) => OperationType(30),
            Self::Alert(_) => OperationType(31),
            Self::Message(kind, _) => kind.ot(),
            Self::Session(_) => OperationType(60),
            Self::List(_) => OperationType(61),
            Self::Unknown(ot, _) => *ot,
        }
    }

    fn read(ot: OperationType, reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
        if let Some(kind) = MessageKind::ALL.into_iter().find(|kind| kind.ot() == ot) {
            return Ok(Self::Message(kind, Box::new(Message::read(reader)?)));
        }
        Ok(match ot.0 {
            1 => Self::CallInput(CallInput::read(reader)?),
            2 => {
                let count = reader.next()?;
                if count.is_empty() {
                    return Err(SyntaxError::Addresses);
                }
                Self::Multiple {
                    recipients: reader.addresses(&count)?,
                    rest: MultipleRest::read(reader)?,
                }
            }
            3 => {
                let head = ServicesHead::read(reader)?;
                let count = reader.next()?;
                Self::Services {
                    head,
                    addresses: reader.addresses(&count)?,
                    rest: Box::new(ServicesRest::read(reader)?),
                }
            }
            30 => Self::Transfer(Box::new(Transfer::read(reader)?)),
            31 => Self::Alert(Alert::read(reader)?),
            60 => Self::Session(Box::new(Session::read(reader)?)),
            61 => Self::List(Box::new(Session::read(reader)?)),
            _ => {
                let fields = (0..reader.fields.len())
                    .map(|_| reader.next())
                    .collect::<Result<_, _>>()?;
                Self::Unknown(ot, fields)
            }
        })
    }

    fn fields(&self) -> Vec<String> {
        let strings = |fields: Vec<&str>| fields.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let counted = |addresses: &[Text]| {
            let texts = addresses.iter().take(MAX_ADDRESSES).map(Text::to_string);
            std::iter::once(texts.len().to_string())
                .chain(texts)
                .collect::<Vec<_>>()
        };
        match self {
            Self::CallInput(call) => strings(call.fields()),
            Self::Multiple { recipients, rest } => [counted(recipients), strings(rest.fields())].concat(),
            Self::Services {
                head,
                addresses,
                rest,
            } => {
                let addresses = if addresses.is_empty() {
                    vec![String::new()]
                } else {
                    counted(addresses)
                };
                [strings(head.fields()), addresses, strings(rest.fields())].concat()
            }
            Self::Transfer(transfer) => strings(transfer.fields()),
            Self::Alert(alert) => strings(alert.fields()),
            Self::Message(_, message) => strings(message.fields()),
            Self::Session(session) | Self::List(session) => strings(session.fields()),
            Self::Unknown(_, fields) => fields.iter().map(Text::to_string).collect(),
        }
    }
}

/// Whether a positive result has a place for MVP.
fn has_mvp(ot: OperationType) -> bool {
    matches!(ot.0, 30 | 51..=58)
}

impl Pdu {
    /// Reads a frame.
    ///
    /// # Errors
    /// What is wrong with its fields.
    pub fn read(frame: &Frame<'_>) -> Result<(Self, Tolerated), SyntaxError> {
        let mut reader = Reader {
            fields: frame.data.iter(),
            read: 0,
            tolerated: Tolerated::default(),
        };
        let Head {
            trn,
            is_operation,
            ot,
        } = frame.head;
        let body = if is_operation {
            Body::Operation(Operation::read(ot, &mut reader)?)
        } else {
            Body::Result(ot, read_outcome(ot, &mut reader)?)
        };
        let mut tolerated = reader.tolerated;
        tolerated.surplus = reader.fields.len();
        Ok((Self { trn, body }, tolerated))
    }

    /// Appends it as a frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (is_operation, ot, fields) = match &self.body {
            Body::Operation(operation) => (true, operation.ot(), operation.fields()),
            Body::Result(ot, outcome) => (false, *ot, outcome_fields(*ot, outcome)),
        };
        let head = Head {
            trn: self.trn,
            is_operation,
            ot,
        };
        write(head, fields.iter().map(String::as_str), out);
    }
}

fn read_outcome(ot: OperationType, reader: &mut Reader<'_>) -> Result<Outcome, SyntaxError> {
    match reader.next()?.as_str() {
        "A" => {
            let mvp = match (has_mvp(ot), reader.fields.len()) {
                (false, _) => Text::default(),
                // Some centres leave MVP out.
                (true, 1) => {
                    reader.tolerated.missing = reader.tolerated.missing.saturating_add(1);
                    Text::default()
                }
                (true, _) => reader.next()?,
            };
            Ok(Outcome::Ack {
                mvp,
                sm: reader.next()?,
            })
        }
        "N" => {
            let code = reader
                .next()?
                .to_number()
                .and_then(|code| u8::try_from(code).ok());
            let code = ErrorCode(code.ok_or(SyntaxError::NoErrorCode)?);
            Ok(Outcome::Nack {
                code,
                sm: reader.next()?,
            })
        }
        _ => Err(SyntaxError::NoResult),
    }
}

fn outcome_fields(ot: OperationType, outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Ack { mvp, sm } if has_mvp(ot) => vec!["A".to_owned(), mvp.to_string(), sm.to_string()],
        Outcome::Ack { sm, .. } => vec!["A".to_owned(), sm.to_string()],
        Outcome::Nack { code, sm } => vec!["N".to_owned(), code.to_string(), sm.to_string()],
    }
}

#[cfg(test)]
mod tests;
