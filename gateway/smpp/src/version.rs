//! The versions of SMPP, and what changed between them that the codec must know.
//!
//! | | 3.3 | 3.4 | 5.0 |
//! |---|---|---|---|
//! | TLVs | none | yes | more of them, on any answer |
//! | message_id | 8 characters, hexadecimal by custom | 64 | 64 |
//! | bind_transceiver, data_sm, alert_notification, outbind | no | yes | yes |
//! | broadcast family | no | no | yes |
//! | submit_sm_resp with an error | with its id | without a body | with its id |
//! | short_message | 254 octets | 254 | 255 |
//!
//! Knows no session. Invariant: an interface_version between two versions counts as the lower one.

use crate::pdu::Body;

/// A version of SMPP. The order is that of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// SMPP 3.3, and what claims to be older.
    V3_3,
    /// SMPP 3.4.
    #[default]
    V3_4,
    /// SMPP 5.0, and what claims to be newer.
    V5_0,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V3_3, Self::V3_4, Self::V5_0];

    /// From interface_version or sc_interface_version (SMPP 5.0 §4.7.13): 0x33 and below, 0x34 to 0x4F, 0x50 and above.
    #[must_use]
    pub const fn from_octet(interface_version: u8) -> Self {
        match interface_version {
            0..=0x33 => Self::V3_3,
            0x34..=0x4F => Self::V3_4,
            0x50..=u8::MAX => Self::V5_0,
        }
    }

    /// The value of interface_version.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::V3_3 => 0x33,
            Self::V3_4 => 0x34,
            Self::V5_0 => 0x50,
        }
    }

    /// Most characters of a message_id, without the NUL.
    #[must_use]
    pub const fn message_id_max(self) -> usize {
        match self {
            Self::V3_3 => 8,
            Self::V3_4 | Self::V5_0 => 64,
        }
    }

    /// Most octets of short_message.
    #[must_use]
    pub const fn short_message_max(self) -> usize {
        match self {
            Self::V3_3 | Self::V3_4 => 254,
            Self::V5_0 => 255,
        }
    }

    /// Whether an answer with an error leaves its body out (SMPP 3.4 §4.4.2). The others write the fields, empty.
    #[must_use]
    pub const fn error_without_body(self) -> bool {
        match self {
            Self::V3_4 => true,
            Self::V3_3 | Self::V5_0 => false,
        }
    }

    /// Whether the version has this operation. Raw ones are the sender's own affair, except for those of 3.3 alone.
    #[must_use]
    pub fn has(self, body: &Body) -> bool {
        self >= first(body) && (self == Self::V3_3 || !is_deprecated(body))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V3_3 => "3.3",
            Self::V3_4 => "3.4",
            Self::V5_0 => "5.0",
        })
    }
}

fn is_deprecated(body: &Body) -> bool {
    matches!(body, Body::Raw(raw) if crate::pdu::deprecated::name(raw.command_id).is_some())
}

/// The version that brought an operation.
const fn first(body: &Body) -> Version {
    use crate::pdu::BindKind;
    match body {
        Body::Bind(BindKind::Transmitter | BindKind::Receiver, _)
        | Body::BindResp(BindKind::Transmitter | BindKind::Receiver, _)
        | Body::Unbind
        | Body::UnbindResp
        | Body::EnquireLink
        | Body::EnquireLinkResp(_)
        | Body::GenericNack
        | Body::SubmitSm(_)
        | Body::SubmitSmResp(_)
        | Body::SubmitMulti(_)
        | Body::SubmitMultiResp(_)
        | Body::DeliverSm(_)
        | Body::DeliverSmResp(_)
        | Body::QuerySm(_)
        | Body::QuerySmResp(_)
        | Body::CancelSm(_)
        | Body::CancelSmResp(_)
        | Body::ReplaceSm(_)
        | Body::ReplaceSmResp(_)
        | Body::Raw(_) => Version::V3_3,
        Body::Bind(BindKind::Transceiver, _)
        | Body::BindResp(BindKind::Transceiver, _)
        | Body::Outbind { .. }
        | Body::DataSm(_)
        | Body::DataSmResp(_)
        | Body::AlertNotification(_) => Version::V3_4,
        Body::BroadcastSm(_)
        | Body::BroadcastSmResp(_)
        | Body::QueryBroadcastSm(_)
        | Body::QueryBroadcastSmResp(_)
        | Body::CancelBroadcastSm(_)
        | Body::CancelBroadcastSmResp(_) => Version::V5_0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::{BroadcastSm, Raw};

    #[test]
    fn octets_between_two_versions_are_the_lower_one() {
        for (octet, version) in [
            (0x00, Version::V3_3),
            (0x33, Version::V3_3),
            (0x34, Version::V3_4),
            (0x40, Version::V3_4),
            (0x50, Version::V5_0),
            (0xFF, Version::V5_0),
        ] {
            assert_eq!(Version::from_octet(octet), version, "{octet:#04x}");
        }
        for version in Version::ALL {
            assert_eq!(Version::from_octet(version.octet()), version);
        }
    }

    #[test]
    fn operations_belong_to_the_versions_that_have_them() {
        let raw = |command_id| {
            Body::Raw(Raw {
                command_id,
                ..Raw::default()
            })
        };
        for (body, expected) in [
            (Body::EnquireLink, [true; 3]),
            (Body::DataSm(Default::default()), [false, true, true]),
            (Body::BroadcastSm(BroadcastSm::default()), [false, false, true]),
            (raw(0x23), [true, false, false]),
            (raw(0x8000_0024), [true, false, false]),
            (raw(0x0001_0000), [true; 3]),
        ] {
            assert_eq!(
                Version::ALL.map(|version| version.has(&body)),
                expected,
                "{body:?}"
            );
        }
    }
}
