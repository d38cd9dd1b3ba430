//! Answers of SMPP carriers (command_status) as an operator's lists name them: a number, a name, or a range.
//!
//! Must not know what a status means; the operator node's verdict does. The names are those of SMPP 3.4 §5.1.3 and 5.0
//! §4.7.6; the operator node has a test that they and their numbers are those of the protocol crate.
//! Invariant: a range is never empty and never holds 0, which is success.

use std::fmt;

/// Names of the specification and their codes, by code.
const NAMES: &[(&str, u32)] = &[
    ("ESME_RINVMSGLEN", 0x01),
    ("ESME_RINVCMDLEN", 0x02),
    ("ESME_RINVCMDID", 0x03),
    ("ESME_RINVBNDSTS", 0x04),
    ("ESME_RALYBND", 0x05),
    ("ESME_RINVPRTFLG", 0x06),
    ("ESME_RINVREGDLVFLG", 0x07),
    ("ESME_RSYSERR", 0x08),
    ("ESME_RINVSRCADR", 0x0A),
    ("ESME_RINVDSTADR", 0x0B),
    ("ESME_RINVMSGID", 0x0C),
    ("ESME_RBINDFAIL", 0x0D),
    ("ESME_RINVPASWD", 0x0E),
    ("ESME_RINVSYSID", 0x0F),
    ("ESME_RCANCELFAIL", 0x11),
    ("ESME_RREPLACEFAIL", 0x13),
    ("ESME_RMSGQFUL", 0x14),
    ("ESME_RINVSERTYP", 0x15),
    ("ESME_RINVNUMDESTS", 0x33),
    ("ESME_RINVDLNAME", 0x34),
    ("ESME_RINVDESTFLAG", 0x40),
    ("ESME_RINVSUBREP", 0x42),
    ("ESME_RINVESMCLASS", 0x43),
    ("ESME_RCNTSUBDL", 0x44),
    ("ESME_RSUBMITFAIL", 0x45),
    ("ESME_RINVSRCTON", 0x48),
    ("ESME_RINVSRCNPI", 0x49),
    ("ESME_RINVDSTTON", 0x50),
    ("ESME_RINVDSTNPI", 0x51),
    ("ESME_RINVSYSTYP", 0x53),
    ("ESME_RINVREPFLAG", 0x54),
    ("ESME_RINVNUMMSGS", 0x55),
    ("ESME_RTHROTTLED", 0x58),
    ("ESME_RINVSCHED", 0x61),
    ("ESME_RINVEXPIRY", 0x62),
    ("ESME_RINVDFTMSGID", 0x63),
    ("ESME_RX_T_APPN", 0x64),
    ("ESME_RX_P_APPN", 0x65),
    ("ESME_RX_R_APPN", 0x66),
    ("ESME_RQUERYFAIL", 0x67),
    ("ESME_RINVOPTPARSTREAM", 0xC0),
    ("ESME_ROPTPARNOTALLWD", 0xC1),
    ("ESME_RINVPARLEN", 0xC2),
    ("ESME_RMISSINGOPTPARAM", 0xC3),
    ("ESME_RINVOPTPARAMVAL", 0xC4),
    ("ESME_RDELIVERYFAILURE", 0xFE),
    ("ESME_RUNKNOWNERR", 0xFF),
    ("ESME_RSERTYPUNAUTH", 0x100),
    ("ESME_RPROHIBITED", 0x101),
    ("ESME_RSERTYPUNAVAIL", 0x102),
    ("ESME_RSERTYPDENIED", 0x103),
    ("ESME_RINVDCS", 0x104),
    ("ESME_RINVSRCADDRSUBUNIT", 0x105),
    ("ESME_RINVDSTADDRSUBUNIT", 0x106),
    ("ESME_RINVBCASTFREQINT", 0x107),
    ("ESME_RINVBCASTALIAS_NAME", 0x108),
    ("ESME_RINVBCASTAREAFMT", 0x109),
    ("ESME_RINVNUMBCAST_AREAS", 0x10A),
    ("ESME_RINVBCASTCNTTYPE", 0x10B),
    ("ESME_RINVBCASTMSGCLASS", 0x10C),
    ("ESME_RBCASTFAIL", 0x10D),
    ("ESME_RBCASTQUERYFAIL", 0x10E),
    ("ESME_RBCASTCANCELFAIL", 0x10F),
    ("ESME_RINVBCAST_REP", 0x110),
    ("ESME_RINVBCASTSRVGRP", 0x111),
    ("ESME_RINVBCASTCHANIND", 0x112),
];

/// Error codes of UCP stand above this number among statuses, under the names `UCP_01` to `UCP_99`.
pub const UCP_BASE: u32 = 0x0001_0000;

/// Statuses of HTTP stand above this number, under the names `HTTP_100` to `HTTP_599`.
pub const HTTP_BASE: u32 = 0x0002_0000;

/// Codes in the answers of HTTP carriers stand above this number, under the names `HTTP_CODE_0` to `HTTP_CODE_65535`.
pub const HTTP_CODE_BASE: u32 = 0x0003_0000;

/// One answer, or all from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    first: u32,
    last: u32,
}

impl StatusRange {
    /// One answer; `None` for 0.
    pub const fn one(code: u32) -> Option<Self> {
        Self::between(code, code)
    }

    /// All from `first` to `last`, both included; `None` when that is nothing, or holds 0.
    pub const fn between(first: u32, last: u32) -> Option<Self> {
        if first == 0 || first > last {
            return None;
        }
        Some(Self { first, last })
    }

    /// Reads `ESME_RTHROTTLED`, `0x58`, `88` or `0x400-0x4FF`.
    pub fn from_text(text: &str) -> Option<Self> {
        if let Some((first, last)) = text.split_once('-') {
            return Self::between(code(first.trim())?, code(last.trim())?);
        }
        Self::one(code(text)?)
    }

    /// Whether the answer is one of these.
    pub const fn contains(self, code: u32) -> bool {
        self.first <= code && code <= self.last
    }

    /// The lowest and the highest.
    pub const fn bounds(self) -> (u32, u32) {
        (self.first, self.last)
    }
}

/// A list of answers known at compile time.
pub(crate) fn codes(list: &[u32]) -> Vec<StatusRange> {
    list.iter().copied().filter_map(StatusRange::one).collect()
}

fn code(text: &str) -> Option<u32> {
    if text.contains('+') {
        return None; // Which the conversions would take.
    }
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("UCP_").or_else(|| text.strip_prefix("ucp_")) {
        let code: u32 = digits.parse().ok().filter(|code| (1..=99).contains(code))?;
        return UCP_BASE.checked_add(code);
    }
    if let Some(digits) = prefixed(text, "HTTP_CODE_") {
        let code: u16 = digits.parse().ok()?;
        return HTTP_CODE_BASE.checked_add(u32::from(code));
    }
    if let Some(digits) = prefixed(text, "HTTP_") {
        let code: u32 = digits.parse().ok().filter(|code| (100..=599).contains(code))?;
        return HTTP_BASE.checked_add(code);
    }
    let named = NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, code)| *code);
    named.or_else(|| text.parse().ok())
}

fn prefixed<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_ucp = |code: u32| code.checked_sub(UCP_BASE).filter(|code| (1..=99).contains(code));
        if let (Some(first), Some(last)) = (of_ucp(self.first), of_ucp(self.last)) {
            return if first == last {
                write!(f, "\"UCP_{first:02}\"")
            } else {
                write!(f, "\"UCP_{first:02}-UCP_{last:02}\"")
            };
        }
        if self.first == self.last {
            write!(f, "{:#04x}", self.first)
        } else {
            write!(f, "\"{:#04x}-{:#04x}\"", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_ranges_are_read() {
        for (text, bounds) in [
            ("ESME_RTHROTTLED", Some((0x58, 0x58))),
            ("esme_rmsgqful", Some((0x14, 0x14))),
            ("0x58", Some((0x58, 0x58))),
            ("88", Some((88, 88))),
            ("0x400-0x4ff", Some((0x400, 0x4FF))),
            ("ESME_RX_T_APPN - ESME_RX_R_APPN", Some((0x64, 0x66))),
            ("UCP_04", Some((0x1_0004, 0x1_0004))),
            ("ucp_01-UCP_38", Some((0x1_0001, 0x1_0026))),
            ("HTTP_429", Some((0x2_01AD, 0x2_01AD))),
            ("http_500-HTTP_599", Some((0x2_01F4, 0x2_0257))),
            ("HTTP_CODE_21610", Some((0x3_546A, 0x3_546A))),
            ("HTTP_99", None),
            ("HTTP_CODE_65536", None),
            ("UCP_0", None),
            ("UCP_100", None),
            ("0xFFFFFFFF", Some((u32::MAX, u32::MAX))),
            ("0", None),
            ("0-5", None),
            ("5-4", None),
            ("ESME_ROK", None),
            ("ESME_RTHROTTELED", None),
            ("0x100000000", None),
            ("-1", None),
            ("0x+58", None),
            ("+88", None),
            ("", None),
        ] {
            assert_eq!(
                StatusRange::from_text(text).map(StatusRange::bounds),
                bounds,
                "{text:?}"
            );
        }
    }

    #[test]
    fn each_name_stands_once_in_the_order_of_its_code() {
        assert!(NAMES.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for range in [
            StatusRange::one(0x58),
            StatusRange::between(0x400, u32::MAX),
            StatusRange::one(UCP_BASE + 4),
            StatusRange::between(UCP_BASE + 1, UCP_BASE + 38),
            StatusRange::between(4, UCP_BASE + 4),
        ] {
            let range = range.unwrap();
            assert_eq!(
                StatusRange::from_text(range.to_string().trim_matches('"')),
                Some(range)
            );
        }
    }
}
