//! Status codes of SMPP (command_status, SMPP 3.4 §5.1.3, SMPP 5.0 §4.7.6) with the names that operators know.
//!
//! What a status means for a message (final, retry) is the operator node's verdict, not told here.

use crate::version::Version;
use std::fmt;

/// A command_status. Zero is success; vendors use codes of their own, which stay what they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CommandStatus(pub u32);

impl CommandStatus {
    /// ESME_ROK.
    pub const OK: Self = Self(0x00);
    /// ESME_RINVMSGLEN.
    pub const INVALID_MESSAGE_LENGTH: Self = Self(0x01);
    /// ESME_RINVCMDLEN.
    pub const INVALID_COMMAND_LENGTH: Self = Self(0x02);
    /// ESME_RINVCMDID.
    pub const INVALID_COMMAND_ID: Self = Self(0x03);
    /// ESME_RINVBNDSTS.
    pub const INVALID_BIND_STATUS: Self = Self(0x04);
    /// ESME_RALYBND.
    pub const ALREADY_BOUND: Self = Self(0x05);
    /// ESME_RINVPRTFLG.
    pub const INVALID_PRIORITY: Self = Self(0x06);
    /// ESME_RINVREGDLVFLG.
    pub const INVALID_REGISTERED_DELIVERY: Self = Self(0x07);
    /// ESME_RSYSERR.
    pub const SYSTEM_ERROR: Self = Self(0x08);
    /// ESME_RINVSRCADR.
    pub const INVALID_SOURCE: Self = Self(0x0a);
    /// ESME_RINVDSTADR.
    pub const INVALID_DESTINATION: Self = Self(0x0b);
    /// ESME_RINVMSGID.
    pub const INVALID_MESSAGE_ID: Self = Self(0x0c);
    /// ESME_RBINDFAIL.
    pub const BIND_FAILED: Self = Self(0x0d);
    /// ESME_RINVPASWD.
    pub const INVALID_PASSWORD: Self = Self(0x0e);
    /// ESME_RINVSYSID.
    pub const INVALID_SYSTEM_ID: Self = Self(0x0f);
    /// ESME_RCANCELFAIL.
    pub const CANCEL_FAILED: Self = Self(0x11);
    /// ESME_RREPLACEFAIL.
    pub const REPLACE_FAILED: Self = Self(0x13);
    /// ESME_RMSGQFUL.
    pub const MESSAGE_QUEUE_FULL: Self = Self(0x14);
    /// ESME_RINVSERTYP.
    pub const INVALID_SERVICE_TYPE: Self = Self(0x15);
    /// ESME_RINVNUMDESTS.
    pub const INVALID_DESTINATION_COUNT: Self = Self(0x33);
    /// ESME_RINVDLNAME.
    pub const INVALID_LIST_NAME: Self = Self(0x34);
    /// ESME_RINVDESTFLAG.
    pub const INVALID_DESTINATION_FLAG: Self = Self(0x40);
    /// ESME_RINVSUBREP.
    pub const INVALID_SUBMIT_REPLACE: Self = Self(0x42);
    /// ESME_RINVESMCLASS.
    pub const INVALID_ESM_CLASS: Self = Self(0x43);
    /// ESME_RCNTSUBDL.
    pub const CANNOT_SUBMIT_TO_LIST: Self = Self(0x44);
    /// ESME_RSUBMITFAIL.
    pub const SUBMIT_FAILED: Self = Self(0x45);
    /// ESME_RINVSRCTON.
    pub const INVALID_SOURCE_TON: Self = Self(0x48);
    /// ESME_RINVSRCNPI.
    pub const INVALID_SOURCE_NPI: Self = Self(0x49);
    /// ESME_RINVDSTTON.
    pub const INVALID_DESTINATION_TON: Self = Self(0x50);
    /// ESME_RINVDSTNPI.
    pub const INVALID_DESTINATION_NPI: Self = Self(0x51);
    /// ESME_RINVSYSTYP.
    pub const INVALID_SYSTEM_TYPE: Self = Self(0x53);
    /// ESME_RINVREPFLAG.
    pub const INVALID_REPLACE_FLAG: Self = Self(0x54);
    /// ESME_RINVNUMMSGS.
    pub const INVALID_MESSAGE_COUNT: Self = Self(0x55);
    /// ESME_RTHROTTLED.
    pub const THROTTLED: Self = Self(0x58);
    /// ESME_RINVSCHED.
    pub const INVALID_SCHEDULE: Self = Self(0x61);
    /// ESME_RINVEXPIRY.
    pub const INVALID_EXPIRY: Self = Self(0x62);
    /// ESME_RINVDFTMSGID.
    pub const INVALID_DEFAULT_MESSAGE: Self = Self(0x63);
    /// ESME_RX_T_APPN.
    pub const TEMPORARY_APP_ERROR: Self = Self(0x64);
    /// ESME_RX_P_APPN.
    pub const PERMANENT_APP_ERROR: Self = Self(0x65);
    /// ESME_RX_R_APPN.
    pub const REJECT_APP_ERROR: Self = Self(0x66);
    /// ESME_RQUERYFAIL.
    pub const QUERY_FAILED: Self = Self(0x67);
    /// ESME_RINVOPTPARSTREAM.
    pub const INVALID_TLV_STREAM: Self = Self(0xc0);
    /// ESME_ROPTPARNOTALLWD.
    pub const TLV_NOT_ALLOWED: Self = Self(0xc1);
    /// ESME_RINVPARLEN.
    pub const INVALID_TLV_LENGTH: Self = Self(0xc2);
    /// ESME_RMISSINGOPTPARAM.
    pub const MISSING_TLV: Self = Self(0xc3);
    /// ESME_RINVOPTPARAMVAL.
    pub const INVALID_TLV_VALUE: Self = Self(0xc4);
    /// ESME_RDELIVERYFAILURE.
    pub const DELIVERY_FAILURE: Self = Self(0xfe);
    /// ESME_RUNKNOWNERR.
    pub const UNKNOWN_ERROR: Self = Self(0xff);
    /// ESME_RSERTYPUNAUTH, from 5.0 on.
    pub const SERVICE_TYPE_UNAUTHORISED: Self = Self(0x100);
    /// ESME_RPROHIBITED, from 5.0 on.
    pub const PROHIBITED: Self = Self(0x101);
    /// ESME_RSERTYPUNAVAIL, from 5.0 on.
    pub const SERVICE_TYPE_UNAVAILABLE: Self = Self(0x102);
    /// ESME_RSERTYPDENIED, from 5.0 on.
    pub const SERVICE_TYPE_DENIED: Self = Self(0x103);
    /// ESME_RINVDCS, from 5.0 on.
    pub const INVALID_DATA_CODING: Self = Self(0x104);
    /// ESME_RINVSRCADDRSUBUNIT, from 5.0 on.
    pub const INVALID_SOURCE_SUBUNIT: Self = Self(0x105);
    /// ESME_RINVDSTADDRSUBUNIT, from 5.0 on.
    pub const INVALID_DESTINATION_SUBUNIT: Self = Self(0x106);
    /// ESME_RINVBCASTFREQINT, from 5.0 on.
    pub const INVALID_BROADCAST_FREQUENCY: Self = Self(0x107);
    /// ESME_RINVBCASTALIAS_NAME, from 5.0 on.
    pub const INVALID_BROADCAST_ALIAS: Self = Self(0x108);
    /// ESME_RINVBCASTAREAFMT, from 5.0 on.
    pub const INVALID_BROADCAST_AREA_FORMAT: Self = Self(0x109);
    /// ESME_RINVNUMBCAST_AREAS, from 5.0 on.
    pub const INVALID_BROADCAST_AREA_COUNT: Self = Self(0x10a);
    /// ESME_RINVBCASTCNTTYPE, from 5.0 on.
    pub const INVALID_BROADCAST_CONTENT_TYPE: Self = Self(0x10b);
    /// ESME_RINVBCASTMSGCLASS, from 5.0 on.
    pub const INVALID_BROADCAST_CLASS: Self = Self(0x10c);
    /// ESME_RBCASTFAIL, from 5.0 on.
    pub const BROADCAST_FAILED: Self = Self(0x10d);
    /// ESME_RBCASTQUERYFAIL, from 5.0 on.
    pub const BROADCAST_QUERY_FAILED: Self = Self(0x10e);
    /// ESME_RBCASTCANCELFAIL, from 5.0 on.
    pub const BROADCAST_CANCEL_FAILED: Self = Self(0x10f);
    /// ESME_RINVBCAST_REP, from 5.0 on.
    pub const INVALID_BROADCAST_REPETITIONS: Self = Self(0x110);
    /// ESME_RINVBCASTSRVGRP, from 5.0 on.
    pub const INVALID_BROADCAST_SERVICE_GROUP: Self = Self(0x111);
    /// ESME_RINVBCASTCHANIND, from 5.0 on.
    pub const INVALID_BROADCAST_CHANNEL: Self = Self(0x112);

    /// Whether it says success.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// What a peer of that version understands: itself, or the nearest older code where this one came later (0xC0 to 0xC4
    /// and 0xFE with 3.4, 0x100 to 0x112 with 5.0). Vendors' codes pass: they are agreed, whatever the version.
    #[must_use]
    pub const fn known_in(self, version: Version) -> Self {
        let in_3_4 = match (self, version) {
            (_, Version::V5_0) => return self,
            (
                Self::SERVICE_TYPE_UNAUTHORISED | Self::SERVICE_TYPE_UNAVAILABLE | Self::SERVICE_TYPE_DENIED,
                _,
            ) => Self::INVALID_SERVICE_TYPE,
            (Self::PROHIBITED, _) => Self::INVALID_BIND_STATUS,
            (Self::INVALID_SOURCE_SUBUNIT | Self::INVALID_DESTINATION_SUBUNIT, _) => Self::INVALID_TLV_VALUE,
            (Self(0x104 | 0x107..=0x112), _) => Self::SUBMIT_FAILED,
            (other, Version::V3_3 | Version::V3_4) => other,
        };
        match (in_3_4, version) {
            (Self(0xC0..=0xC4 | 0xFE), Version::V3_3) => Self::SUBMIT_FAILED,
            (other, Version::V3_3 | Version::V3_4 | Version::V5_0) => other,
        }
    }

    /// The name of the specification, `None` for reserved and vendor codes.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::OK => "ESME_ROK",
            Self::INVALID_MESSAGE_LENGTH => "ESME_RINVMSGLEN",
            Self::INVALID_COMMAND_LENGTH => "ESME_RINVCMDLEN",
            Self::INVALID_COMMAND_ID => "ESME_RINVCMDID",
            Self::INVALID_BIND_STATUS => "ESME_RINVBNDSTS",
            Self::ALREADY_BOUND => "ESME_RALYBND",
            Self::INVALID_PRIORITY => "ESME_RINVPRTFLG",
            Self::INVALID_REGISTERED_DELIVERY => "ESME_RINVREGDLVFLG",
            Self::SYSTEM_ERROR => "ESME_RSYSERR",
            Self::INVALID_SOURCE => "ESME_RINVSRCADR",
            Self::INVALID_DESTINATION => "ESME_RINVDSTADR",
            Self::INVALID_MESSAGE_ID => "ESME_RINVMSGID",
            Self::BIND_FAILED => "ESME_RBINDFAIL",
            Self::INVALID_PASSWORD => "ESME_RINVPASWD",
            Self::INVALID_SYSTEM_ID => "ESME_RINVSYSID",
            Self::CANCEL_FAILED => "ESME_RCANCELFAIL",
            Self::REPLACE_FAILED => "ESME_RREPLACEFAIL",
            Self::MESSAGE_QUEUE_FULL => "ESME_RMSGQFUL",
            Self::INVALID_SERVICE_TYPE => "ESME_RINVSERTYP",
            Self::INVALID_DESTINATION_COUNT => "ESME_RINVNUMDESTS",
            Self::INVALID_LIST_NAME => "ESME_RINVDLNAME",
            Self::INVALID_DESTINATION_FLAG => "ESME_RINVDESTFLAG",
            Self::INVALID_SUBMIT_REPLACE => "ESME_RINVSUBREP",
            Self::INVALID_ESM_CLASS => "ESME_RINVESMCLASS",
            Self::CANNOT_SUBMIT_TO_LIST => "ESME_RCNTSUBDL",
            Self::SUBMIT_FAILED => "ESME_RSUBMITFAIL",
            Self::INVALID_SOURCE_TON => "ESME_RINVSRCTON",
            Self::INVALID_SOURCE_NPI => "ESME_RINVSRCNPI",
            Self::INVALID_DESTINATION_TON => "ESME_RINVDSTTON",
            Self::INVALID_DESTINATION_NPI => "ESME_RINVDSTNPI",
            Self::INVALID_SYSTEM_TYPE => "ESME_RINVSYSTYP",
            Self::INVALID_REPLACE_FLAG => "ESME_RINVREPFLAG",
            Self::INVALID_MESSAGE_COUNT => "ESME_RINVNUMMSGS",
            Self::THROTTLED => "ESME_RTHROTTLED",
            Self::INVALID_SCHEDULE => "ESME_RINVSCHED",
            Self::INVALID_EXPIRY => "ESME_RINVEXPIRY",
            Self::INVALID_DEFAULT_MESSAGE => "ESME_RINVDFTMSGID",
            Self::TEMPORARY_APP_ERROR => "ESME_RX_T_APPN",
            Self::PERMANENT_APP_ERROR => "ESME_RX_P_APPN",
            Self::REJECT_APP_ERROR => "ESME_RX_R_APPN",
            Self::QUERY_FAILED => "ESME_RQUERYFAIL",
            Self::INVALID_TLV_STREAM => "ESME_RINVOPTPARSTREAM",
            Self::TLV_NOT_ALLOWED => "ESME_ROPTPARNOTALLWD",
            Self::INVALID_TLV_LENGTH => "ESME_RINVPARLEN",
            Self::MISSING_TLV => "ESME_RMISSINGOPTPARAM",
            Self::INVALID_TLV_VALUE => "ESME_RINVOPTPARAMVAL",
            Self::DELIVERY_FAILURE => "ESME_RDELIVERYFAILURE",
            Self::UNKNOWN_ERROR => "ESME_RUNKNOWNERR",
            Self::SERVICE_TYPE_UNAUTHORISED => "ESME_RSERTYPUNAUTH",
            Self::PROHIBITED => "ESME_RPROHIBITED",
            Self::SERVICE_TYPE_UNAVAILABLE => "ESME_RSERTYPUNAVAIL",
            Self::SERVICE_TYPE_DENIED => "ESME_RSERTYPDENIED",
            Self::INVALID_DATA_CODING => "ESME_RINVDCS",
            Self::INVALID_SOURCE_SUBUNIT => "ESME_RINVSRCADDRSUBUNIT",
            Self::INVALID_DESTINATION_SUBUNIT => "ESME_RINVDSTADDRSUBUNIT",
            Self::INVALID_BROADCAST_FREQUENCY => "ESME_RINVBCASTFREQINT",
            Self::INVALID_BROADCAST_ALIAS => "ESME_RINVBCASTALIAS_NAME",
            Self::INVALID_BROADCAST_AREA_FORMAT => "ESME_RINVBCASTAREAFMT",
            Self::INVALID_BROADCAST_AREA_COUNT => "ESME_RINVNUMBCAST_AREAS",
            Self::INVALID_BROADCAST_CONTENT_TYPE => "ESME_RINVBCASTCNTTYPE",
            Self::INVALID_BROADCAST_CLASS => "ESME_RINVBCASTMSGCLASS",
            Self::BROADCAST_FAILED => "ESME_RBCASTFAIL",
            Self::BROADCAST_QUERY_FAILED => "ESME_RBCASTQUERYFAIL",
            Self::BROADCAST_CANCEL_FAILED => "ESME_RBCASTCANCELFAIL",
            Self::INVALID_BROADCAST_REPETITIONS => "ESME_RINVBCAST_REP",
            Self::INVALID_BROADCAST_SERVICE_GROUP => "ESME_RINVBCASTSRVGRP",
            Self::INVALID_BROADCAST_CHANNEL => "ESME_RINVBCASTCHANIND",
            _ => return None,
        })
    }
}

impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({:#04x})", self.0),
            None => write!(f, "status {:#04x}", self.0),
        }
    }
}

impl fmt::Debug for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<u32> for CommandStatus {
    fn from(code: u32) -> Self {
        Self(code)
    }
}

impl From<CommandStatus> for u32 {
    fn from(status: CommandStatus) -> Self {
        status.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_have_names_and_vendor_codes_show_their_number() {
        assert_eq!(CommandStatus::THROTTLED.to_string(), "ESME_RTHROTTLED (0x58)");
        assert_eq!(CommandStatus(0x400).to_string(), "status 0x400");
        assert_eq!(CommandStatus(0x400).name(), None);
        assert!(CommandStatus::OK.is_ok());
        assert!(!CommandStatus::SYSTEM_ERROR.is_ok());
    }

    #[test]
    fn an_older_peer_gets_the_nearest_code_it_knows() {
        for (code, in_3_3, in_3_4) in [
            (0x58, 0x58, 0x58),
            (0x100, 0x15, 0x15),
            (0x101, 0x04, 0x04),
            (0x104, 0x45, 0x45),
            (0x105, 0x45, 0xC4),
            (0x112, 0x45, 0x45),
            (0xC2, 0x45, 0xC2),
            (0xFF, 0xFF, 0xFF),
            (0x400, 0x400, 0x400),
        ] {
            let code = CommandStatus(code);
            let known = Version::ALL.map(|version| code.known_in(version).0);
            assert_eq!(known, [in_3_3, in_3_4, code.0], "{code}");
        }
        for code in (0..=0xFF).chain(0x100..=0x112).map(CommandStatus) {
            assert!(code.is_ok() == code.known_in(Version::V3_3).is_ok());
        }
    }
}
