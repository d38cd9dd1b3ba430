//! Error codes of negative results (EMI-UCP 4.0 appendix A) and reasons of notifications (appendix B).

use std::fmt;

/// EC of a negative result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub u8);

/// Code and words, by code.
const CODES: &[(u8, &str)] = &[
    (1, "Checksum error"),
    (2, "Syntax error"),
    (3, "Operation not supported by system"),
    (4, "Operation not allowed"),
    (5, "Call barring active"),
    (6, "AdC invalid"),
    (7, "Authentication failure"),
    (8, "Legitimisation code for all calls failure"),
    (9, "GA not valid"),
    (10, "Repetition not allowed"),
    (11, "Legitimisation code for repetition failure"),
    (12, "Priority call not allowed"),
    (13, "Legitimisation code for priority call failure"),
    (14, "Urgent message not allowed"),
    (15, "Legitimisation code for urgent message failure"),
    (16, "Reverse charging not allowed"),
    (17, "Legitimisation code for reverse charging failure"),
    (18, "Deferred delivery not allowed"),
    (19, "New AC not valid"),
    (20, "New legitimisation code not valid"),
    (21, "Standard text not valid"),
    (22, "Time period not valid"),
    (23, "Message type not supported by system"),
    (24, "Message too long"),
    (25, "Requested standard text not valid"),
    (26, "Message type not valid for pager type"),
    (27, "Message not found in SMSC"),
    (30, "Subscriber hang-up"),
    (31, "Fax group not supported"),
    (32, "Fax message type not supported"),
    (33, "Address already in list"),
    (34, "Address not in list"),
    (35, "List full, cannot add address"),
    (36, "RPID already in use"),
    (37, "Delivery in progress"),
    (38, "Message forwarded"),
];

impl ErrorCode {
    /// The sum of the frame is another one.
    pub const CHECKSUM: Self = Self(1);
    /// The frame cannot be read.
    pub const SYNTAX: Self = Self(2);
    /// The operation is not known.
    pub const NOT_SUPPORTED: Self = Self(3);
    /// The operation is known and not for this peer, or not now: many centres throttle with it.
    pub const NOT_ALLOWED: Self = Self(4);
    /// The recipient is none.
    pub const ADC_INVALID: Self = Self(6);
    /// Wrong account or password.
    pub const AUTHENTICATION: Self = Self(7);
    /// A time that cannot be.
    pub const TIME_PERIOD: Self = Self(22);
    /// More than fits.
    pub const TOO_LONG: Self = Self(24);
    /// No such message.
    pub const NOT_FOUND: Self = Self(27);

    /// The words of the standard; empty for a code it does not have.
    #[must_use]
    pub fn words(self) -> &'static str {
        CODES
            .iter()
            .find(|(code, _)| *code == self.0)
            .map_or("", |(_, words)| words)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// Rsn of a notification: why a message was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason(pub u16);

/// Reason and words, by number.
const REASONS: &[(u16, &str)] = &[
    (0, "unknown subscriber"),
    (1, "service temporarily not available"),
    (2, "service temporarily not available"),
    (3, "service temporarily not available"),
    (4, "service temporarily not available"),
    (5, "service temporarily not available"),
    (6, "service temporarily not available"),
    (7, "service temporarily not available"),
    (8, "service temporarily not available"),
    (9, "illegal error code"),
    (10, "network time-out"),
    (100, "facility not supported"),
    (101, "unknown subscriber"),
    (102, "facility not provided"),
    (103, "call barred"),
    (104, "operation barred"),
    (105, "SC congestion"),
    (106, "facility not supported"),
    (107, "absent subscriber"),
    (108, "delivery fail"),
    (109, "SC congestion"),
    (110, "protocol error"),
    (111, "MS not equipped"),
    (112, "unknown SC"),
    (113, "SC congestion"),
    (114, "illegal MS"),
    (115, "MS not a subscriber"),
    (116, "error in MS"),
    (117, "SMS lower layer not provisioned"),
    (118, "system fail"),
    (119, "PLMN system failure"),
    (120, "HLR system failure"),
    (121, "VLR system failure"),
    (122, "previous VLR system failure"),
    (123, "controlling MSC system failure"),
    (124, "VMSC system failure"),
    (125, "EIR system failure"),
    (126, "system failure"),
    (127, "unexpected data value"),
    (200, "error in address service centre"),
    (201, "invalid absolute validity period"),
    (202, "short message exceeds maximum"),
    (203, "unable to unpack GSM message"),
    (204, "unable to convert to IRA alphabet"),
    (205, "invalid validity period format"),
    (206, "invalid destination address"),
    (207, "duplicate message submit"),
    (208, "invalid message type indicator"),
];

impl Reason {
    /// The words; empty for a reason that is not known.
    #[must_use]
    pub fn words(self) -> &'static str {
        REASONS
            .iter()
            .find(|(reason, _)| *reason == self.0)
            .map_or("", |(_, words)| words)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    #[test]
    fn each_number_stands_once_and_its_words_fit_a_field() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(REASONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(CODES.iter().all(|(_, words)| Text::new(words).is_some()));
        assert_eq!(
            (ErrorCode(7).to_string().as_str(), ErrorCode(99).words()),
            ("07", "")
        );
        assert_eq!(
            (Reason(7).to_string().as_str(), Reason(107).words()),
            ("007", "absent subscriber")
        );
    }
}
