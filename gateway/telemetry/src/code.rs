//! The stable error codes of the HTTP API (design section 9): the word in `code`, the HTTP status that goes with it.
//!
//! Clients branch on these words: a code is never renamed and never reused for another meaning.

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiCode {
    /// The body is not JSON, or a value has the wrong type.
    InvalidJson,
    /// No key or password, an unknown or an expired one.
    Unauthorized,
    /// The caller is known and may not do this: the key lacks the scope, or may not be used from this address.
    Forbidden,
    /// No such resource, or not the caller's.
    NotFound,
    /// The account has no prepaid credit, so it has no balance.
    NotPrepaid,
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
    /// The client may not send this content: a pattern, a length or an encoding that its account does not allow.
    ContentDenied,
    /// Who has the phone does not want messages of this client or sender.
    OptedOut,
    /// Prepaid credit is used up.
    InsufficientCredit,
    /// The idempotency key was used with another body.
    IdempotencyMismatch,
    /// Over the client's rate; `Retry-After` says when.
    RateLimited,
    /// The account's parts of the day or month are used up; `Retry-After` says when the next one begins.
    QuotaExceeded,
    /// The search needs the message history, which this gateway does not keep.
    HistoryRequired,
    /// The gateway sheds load, drains or cannot store; `Retry-After` says when.
    Overloaded,
}

impl ApiCode {
    /// The word in the `code` member of the problem document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::NotPrepaid => "not_prepaid",
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
            Self::ContentDenied => "content_denied",
            Self::OptedOut => "opted_out",
            Self::InsufficientCredit => "insufficient_credit",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::HistoryRequired => "history_required",
            Self::Overloaded => "overloaded",
        }
    }

    /// The HTTP status of the answer (RFC 9110 section 15).
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidJson => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::NotPrepaid => 404,
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
            | Self::ContentDenied
            | Self::OptedOut
            | Self::InsufficientCredit
            | Self::IdempotencyMismatch => 422,
            Self::RateLimited | Self::QuotaExceeded => 429,
            Self::HistoryRequired => 501,
            Self::Overloaded => 503,
        }
    }
}
