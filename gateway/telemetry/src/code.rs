//! The stable error codes of the HTTP API (design section 9): the word in `code`, the HTTP status that goes with it.
//!
//! Clients branch on these words: a code is never renamed and never reused for another meaning.

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiCode {
    /// The body is not JSON, or a value has the wrong type.
    InvalidJson,
    /// No key, an unknown key, or a key that lacks the right.
    Unauthorized,
    /// No such resource, or not the caller's.
    NotFound,
    /// The method does not exist on this path.
    MethodNotAllowed,
    /// The state of the resource does not allow the request.
    Conflict,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The request asks for a field we do not know.
    UnknownField,
    /// A field holds a value outside its range.
    InvalidField,
    /// A phone number or sender that cannot be one.
    InvalidNumber,
    /// The text needs more parts than allowed.
    TextTooLong,
    /// No route leads to the destination.
    NoRoute,
    /// The client may not use this sender.
    SenderDenied,
    /// The client may not send to this destination.
    DestinationDenied,
    /// Prepaid credit or quota is used up.
    InsufficientCredit,
    /// The idempotency key was used with another body.
    IdempotencyMismatch,
    /// Over the client's rate; `Retry-After` says when.
    RateLimited,
    /// The gateway sheds load, drains or cannot store; `Retry-After` says when.
    Overloaded,
}

impl ApiCode {
    /// The word in the `code` member of the problem document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::BodyTooLarge => "body_too_large",
            Self::UnknownField => "unknown_field",
            Self::InvalidField => "invalid_field",
            Self::InvalidNumber => "invalid_number",
            Self::TextTooLong => "text_too_long",
            Self::NoRoute => "no_route",
            Self::SenderDenied => "sender_denied",
            Self::DestinationDenied => "destination_denied",
            Self::InsufficientCredit => "insufficient_credit",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
        }
    }

    /// The HTTP status of the answer (RFC 9110 section 15).
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidJson => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::BodyTooLarge => 413,
            Self::UnknownField
            | Self::InvalidField
            | Self::InvalidNumber
            | Self::TextTooLong
            | Self::NoRoute
            | Self::SenderDenied
            | Self::DestinationDenied
            | Self::InsufficientCredit
            | Self::IdempotencyMismatch => 422,
            Self::RateLimited => 429,
            Self::Overloaded => 503,
        }
    }
}
